"""Label Studio's environment is made once, whole or again; whatever stands in the way is said.

Real pip makes real environments here, from a folder that holds a stand-in of a few lines for each package.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from label_studio import ENVIRONMENT
from support import environment

from annotation.environment import STAMP, VERSION, check_python, check_space, ensure, look, pins
from expertad.doctor import Finding
from expertad.errors import DiskFull, ReviewError

FULL_DISK = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "full"\nbackend-path = ["."]\n',
    "full.py": "import errno\n\n\ndef __getattr__(name):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which pip finds something empty for every pin, and a program called label-studio."""
    folder = tmp_path_factory.mktemp("index")
    for name, version in pinned().items():
        wheel(folder, name, version)
    return folder


def pinned() -> dict[str, str]:
    lines = (line for line in pins().read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("==") for line in lines)


def wheel(folder: Path, name: str, version: str) -> None:
    plain = re.sub(r"[-_.]+", "_", name).lower()
    about = f"{plain}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if name == "label-studio":
            file.writestr("stand_in.py", "def main():\n    print('a stand-in')\n")
            file.writestr(f"{about}/entry_points.txt", "[console_scripts]\nlabel-studio = stand_in:main\n")
        file.writestr(f"{about}/RECORD", "")


def start(folder: Path, index: Path) -> subprocess.Popen[str]:
    """`python -m annotation.environment` as a user runs it, where packages come from this folder alone."""
    env = environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index), PIP_CONFIG_FILE=os.devnull)
    return subprocess.Popen(
        [sys.executable, "-m", "annotation.environment", str(folder)], env=env, cwd=folder.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def make(folder: Path, index: Path) -> tuple[int, str, str]:
    process = start(folder, index)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def said_by(program: str) -> str:
    return subprocess.run([program.strip()], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_it_is_made_once_and_again_when_it_is_of_other_pins(tmp_path: Path, index: Path):
    folder = tmp_path / "deep" / "environment"
    folder.parent.mkdir()
    code, out, err = make(folder, index)
    assert (code, Path(out.strip())) == (0, folder / "bin" / "label-studio")
    assert err.startswith("making ")
    assert said_by(out) == "a stand-in\n"

    assert make(folder, index) == (0, out, "")
    lines: list[str] = []
    assert (ensure(folder, lines.append), lines) == (folder / "bin" / "label-studio", [])

    (folder / STAMP).write_text("the digest of older pins")
    (folder / "left-over").touch()
    code, out, err = make(folder, index)
    assert (code, err.splitlines()[-1]) == (0, "Label Studio's environment is ready")
    assert not (folder / "left-over").exists()


@pytest.mark.slow
def test_killed_in_the_middle_it_is_made_again_and_nothing_works_on_behind(tmp_path: Path, index: Path):
    folder = tmp_path / "environment"
    process = start(folder, index)
    while not (folder / "bin" / "python").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (folder / "bin" / "label-studio").exists()
    wait_until_none_works_in(folder)
    code, out, err = make(folder, index)
    assert (code, said_by(out)) == (0, "a stand-in\n")
    assert err.startswith("making ")


@pytest.mark.slow
def test_stopped_in_order_it_stops_what_it_started(tmp_path: Path, index: Path):
    folder = tmp_path / "environment"
    process = start(folder, index)
    while not (folder / "bin" / "python").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (130, 1)
    wait_until_none_works_in(folder)


def wait_until_none_works_in(folder: Path) -> None:
    """Let the kernel end what was tied to a killed process; nothing else would end it before it is done."""
    end = time.monotonic() + 10
    while any(str(folder) in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_two_at_once_make_one(tmp_path: Path, index: Path):
    folder = tmp_path / "environment"
    first, second = start(folder, index), start(folder, index)
    told = [process.communicate(timeout=300) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert {out for out, _ in told} == {f"{folder / 'bin' / 'label-studio'}\n"}
    assert sorted(err.split()[0] for _, err in told) == ["making", "waiting"]
    assert "another process" in "".join(err for _, err in told)


@pytest.mark.slow
def test_what_pip_says_last_is_passed_on_and_the_next_try_begins_anew(tmp_path: Path, index: Path):
    folder, nothing = tmp_path / "environment", tmp_path / "nothing"
    nothing.mkdir()
    code, out, err = make(folder, nothing)
    assert (code, out) == (2, "")
    assert "No matching distribution found for " in err
    assert str(folder) in err
    assert "Traceback" not in err
    assert make(folder, index)[0] == 0


@pytest.mark.slow
def test_a_disk_that_fills_up_is_no_fault_of_the_network(tmp_path: Path, index: Path):
    """The first package comes as a source whose own making meets a full disk."""
    name, version = next(iter(pinned().items()))
    full = tmp_path / "index"
    shutil.copytree(index, full, ignore=shutil.ignore_patterns(f"{name.replace('-', '_')}-*"))
    with tarfile.open(full / f"{name}-{version}.tar.gz", "w:gz") as package:
        for path, text in FULL_DISK.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text)
            package.addfile(entry, io.BytesIO(text.encode()))
    code, _, err = make(tmp_path / "environment", full)
    assert code == 3
    assert err.splitlines()[-1].startswith("no space is left to make Label Studio's environment in ")


def test_too_little_space_is_said_before_anything_is_done(tmp_path: Path):
    check_space(2_000_000_000, tmp_path)
    with pytest.raises(DiskFull, match=r"needs 1\.8 GB, and 0\.3 are free"):
        check_space(300_000_000, tmp_path)


@pytest.mark.parametrize("version", [(3, 10), (3, 14), (4, 0)])
def test_a_python_that_the_pins_do_not_fit_is_refused(version: tuple[int, int]):
    with pytest.raises(ReviewError, match=r"fit Python 3\.11 to 3\.13, and this is "):
        check_python(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_python_that_the_pins_fit_is_taken(version: tuple[int, int]):
    check_python(version)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ReviewError, match="holds something else, which is left alone"):
        ensure(tmp_path, print)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ReviewError, match=r"/file: File exists; name another folder with EXPERTAD_LABEL_STUDIO$"):
        ensure(tmp_path / "file" / "environment", print)


def test_somebody_elses_environment_is_used_when_it_has_this_version(tmp_path: Path):
    program = tmp_path / "bin" / "label-studio"
    program.parent.mkdir()
    program.touch()
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "label_studio-1.11.0.dist-info").mkdir(parents=True)
    with pytest.raises(ReviewError, match=f"holds another Label Studio than {VERSION}"):
        ensure(tmp_path, print)
    assert not look(tmp_path).ok
    (packages / f"label_studio-{VERSION}.dist-info").mkdir()
    assert ensure(tmp_path, print) == program
    assert look(tmp_path) == Finding(True, "Label Studio", f"{VERSION} in {tmp_path}")


def test_the_doctor_finds_no_fault_with_one_that_is_yet_to_be_made(tmp_path: Path):
    found = look(tmp_path / "environment")
    assert found.ok
    assert found.detail == f"{VERSION} in {tmp_path / 'environment'}, made on first use (1 GB)"


@pytest.mark.server
def test_the_real_one_holds_the_pinned_packages_and_no_others():
    python = ensure(ENVIRONMENT, print).with_name("python")
    listed = subprocess.run([python, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True).stdout
    held = dict(line.split("==") for line in listed.splitlines() if not line.startswith("pip=="))
    assert held == pinned()
    assert held["label-studio"] == VERSION
