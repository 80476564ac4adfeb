"""What is installed from a wheel works far from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import REPOSITORY, environment

pytestmark = pytest.mark.slow


def must(words: list[object], cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """A wheel of this checkout in an environment of its own."""

    wheel: Path
    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "venv" / "bin"

    @property
    def site(self) -> Path:
        return next((self.folder / "venv" / "lib").glob("python*/site-packages"))

    @property
    def env(self) -> dict[str, str]:
        clean = {name: value for name, value in environment().items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return clean | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def run(self, *words: object) -> str:
        return must(list(words), self.folder, self.env)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel alone comes from the checkout; what it depends on is borrowed from the environment of the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    env = environment()
    must([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY], folder, env)
    (wheel,) = folder.glob("*.whl")
    must([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], folder, env)
    made = Installed(wheel, folder)
    python = made.bin / "python"
    must([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel], folder, env)
    # A path in a .pth file is searched last, and .pth files in that folder are not read: the checkout stays unknown.
    (made.site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def sources(*folders: str) -> set[str]:
    """Every file of these folders of the checkout but what Python leaves behind."""
    found = (path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.is_file())
    return {path.relative_to(REPOSITORY).as_posix() for path in found if "__pycache__" not in path.parts}


def test_everything_that_is_read_at_run_time_travels(installed: Installed):
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert sources("expertad", "flows", "annotation", "training") <= names
    assert {name.replace("schemas/", "expertad/schemas/") for name in sources("schemas")} <= names
    for name in ("expertad/pages/report.html", "expertad/prompts/distill_anomalous.v1.txt", "flows/build_expert_ad.py"):
        assert name in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "workspace"))]


def test_the_checkout_is_not_what_runs(installed: Installed):
    program = (
        "import sys, expertad, flows.build_expert_ad, training, annotation;"
        "print(*(m.__file__ for m in (expertad, flows.build_expert_ad, training, annotation)), *sys.path, sep='\\n')"
    )
    lines = installed.run(installed.bin / "python", "-c", program).splitlines()
    assert all(Path(line).is_relative_to(installed.site) for line in lines[:4])
    assert str(REPOSITORY) not in lines


def test_it_draws_builds_and_looks_back_outside_the_repository(installed: Installed):
    assert "images and" in installed.run("expertad", "draw", "D", "--parts", 3, "--profile", "smoke")
    words = ("expertad", "build", "--source", "real-iad", "--root", "D", "--workspace", "W", "--limit", 12, "--json")
    result = json.loads(installed.run(*words).splitlines()[-1])
    assert result["pa_sft"] > 0
    assert result["sc_grpo"] > 0
    assert "<title>expertad report</title>" in Path(result["report"]).read_text(encoding="utf-8")
    assert json.loads(installed.run(*words).splitlines()[-1])["teacher"]["calls"] == 0
    assert str(installed.site / "expertad" / "schemas") in installed.run("expertad", "doctor", "--workspace", "W")
    rows = (
        "import sys; from datasets import load_dataset;"
        "print(load_dataset(sys.argv[1], 'pa_sft', split='train', cache_dir='cache').num_rows)"
    )
    assert int(installed.run(installed.bin / "python", "-c", rows, result["dataset"])) == result["pa_sft"]


def test_training_tells_its_options(installed: Installed):
    told = installed.run(installed.bin / "python", "-m", "training.run_all", "--help")
    assert "usage: " in told
    assert "--dry-run" in told


def test_training_without_its_extra_says_what_to_install(installed: Installed):
    """A module that cannot be found stands for an environment in which nobody installed the extra."""
    blocked = installed.folder / "blocked" / "torch"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    done = subprocess.run(
        [installed.bin / "python", "-m", "training.run_all", "--help"], cwd=installed.folder,
        env=installed.env | {"PYTHONPATH": str(blocked.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "training needs torch, which is not installed: pip install 'expertad[training]'\n"
