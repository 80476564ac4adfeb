"""A published data set in the tools it is published for: LLaMA-Factory, ms-swift and TRL, as released.

LLaMA-Factory and ms-swift want other versions than this project does, so each gets an environment of its own, from the
pins in foreign/. They are made under EXPERTAD_ENVS and kept there, or in a folder of this run when it is not set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from support import command, environment

from expertad.record import EXPERT_PROMPT, ONE_SHOT_PROMPT, QUESTION, ZERO_SHOT_PROMPT

FOREIGN = Path(__file__).parent / "foreign"
pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def must(words: list[object], cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[:4]}: {done.stdout[-1000:]}{done.stderr[-4000:]}"
    return done.stdout


# torchaudio, which LLaMA-Factory imports and images do not need, is linked against CUDA: beside a CPU build of torch
# its compiled part cannot be loaded. Without that part it works, in Python alone.
PLAIN_TORCHAUDIO = """
import importlib.util, pathlib, torch
found = importlib.util.find_spec("torchaudio")
if found and torch.version.cuda is None:
    for part in (pathlib.Path(found.origin).parent / "lib").glob("*.so"):
        part.unlink()
"""


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function: name of a file of pins -> Python of an environment with them."""
    kept = os.environ.get("EXPERTAD_ENVS")
    base = Path(kept) if kept else tmp_path_factory.mktemp("environments")

    def python(name: str) -> Path:
        pins = FOREIGN / f"{name}.txt"
        folder = base / f"{name}-{sha256(pins.read_bytes() + PLAIN_TORCHAUDIO.encode()).hexdigest()[:12]}"
        done, found = folder / "installed", folder / "bin" / "python"
        if not done.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            clean = {key: value for key, value in environment().items() if not key.startswith(("PYTHON", "VIRTUAL_"))}
            must([sys.executable, "-m", "venv", folder], FOREIGN, clean)
            must([found, "-m", "pip", "install", "--quiet", "--requirement", pins], folder, clean)
            must([found, "-c", PLAIN_TORCHAUDIO], folder, clean)
            done.touch()
        return found

    return python


def isolated(folder: Path, **extra: str) -> dict[str, str]:
    """An environment whose caches are in `folder` and which asks no hub."""
    caches = {"HF_HOME": "huggingface", "HF_DATASETS_CACHE": "datasets", "MODELSCOPE_CACHE": "modelscope"}
    return environment(**{key: str(folder / name) for key, name in caches.items()}, OMP_NUM_THREADS="1", **extra)


@dataclass(frozen=True)
class Published:
    """A data set built from real photographs, and what its card tells users to do."""

    folder: Path
    root: Path
    shots: set[int]

    def rows(self, name: str) -> list[dict[str, Any]]:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def snippet(self, language: str, word: str) -> str:
        """The card's one block in a language that has a word, with the paths filled in."""
        card = (self.folder / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(rf"```{language}\n(.*?)```", card, re.DOTALL)
        (block,) = [one for one in blocks if word in one]
        return block.replace("path/to/this/folder", str(self.folder)).replace("path/to/realiad_1024", str(self.root))


@pytest.fixture(scope="module", params=["zero-shot", "one-shot"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bsdata: Path) -> Published:
    folder = tmp_path_factory.mktemp(request.param)
    extra = ["--one-shot", "0.5"] if request.param == "one-shot" else []
    words = command("build", "--source", "real-iad", "--root", bsdata, "--workspace", folder / "W", *extra)
    must(list(words), folder, environment())
    made = Published(folder / "W" / "dataset", bsdata / "realiad_1024", {0, 1} if extra else {0})
    for name, column in (("pa_sft.json", "images"), ("sc_grpo.json", "image")):
        assert {len(paths(row[column])) - 1 for row in made.rows(name)} == made.shots
    return made


def paths(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def tiny_of(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function: architecture -> folder of a tiny backbone whose tokenizer has learnt from the published texts."""
    from training import tiny

    def folder(arch: str) -> Path:
        model, processor = tiny.build(arch, texts())
        # Random weights would sample an image token now and then, for which there is no image.
        model.generation_config.suppress_tokens = [model.config.image_token_id]
        path = tmp_path_factory.mktemp(arch)
        model.save_pretrained(path)
        processor.save_pretrained(path)
        return path

    def texts() -> Iterator[str]:
        for row in published.rows("pa_sft.json"):
            for message in row["messages"]:
                yield message["content"].replace("<image>", "")

    return folder


def test_llamafactory_teaches_every_published_reply_with_its_images(
    published: Published,
    interpreter: Callable[[str], Path],
    tiny_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    arguments = yaml.safe_load(published.snippet("yaml", "dataset_dir")) | {
        "model_name_or_path": str(tiny_of("qwen2_vl")),
        "template": "qwen2_vl",
        "stage": "sft",
        "do_train": True,
        "cutoff_len": 4096,
        "output_dir": str(tmp_path / "run"),
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "report_to": "none",
    }
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    python = interpreter("llamafactory")
    script = FOREIGN / "read_llamafactory.py"
    must([python, script, tmp_path / "arguments.json", tmp_path / "seen.json"], tmp_path, isolated(tmp_path))
    seen = json.loads((tmp_path / "seen.json").read_text())
    rows = published.rows("pa_sft.json")
    assert len(seen) == len(rows) > 20
    for row, one in zip(rows, seen, strict=True):
        user, reply = (message["content"] for message in row["messages"])
        assert user in (ZERO_SHOT_PROMPT, ONE_SHOT_PROMPT)
        assert one["taught"] == f"{reply}<|im_end|>\n"
        asked = user.replace("<image>", "<|vision_start|><|vision_end|>")
        assert f"user\n{asked}<|im_end|>" in one["read"]
        assert [Path(path) for path in one["images"]] == [published.root / path for path in paths(row["images"])]
        assert len(one["tokens_of_images"]) == len(one["images"])
        assert min(one["tokens_of_images"]) > 0
        assert one["tokens_in_text"] == one["tokens_in_batch"] == one["tokens_of_images"]
    assert json.loads((tmp_path / "run" / "train_results.json").read_text())["train_loss"] > 1


def test_swift_rewards_completions_of_every_row_with_its_solution(
    published: Published,
    interpreter: Callable[[str], Path],
    tiny_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    env = isolated(tmp_path, USE_HF="1", ROOT_IMAGE_DIR=str(published.root))
    words = [FOREIGN / "read_swift.py", published.folder / "sc_grpo.json", tiny_of("llava"), tmp_path]
    must([interpreter("swift"), *words], tmp_path, env)
    rows = published.rows("sc_grpo.json")
    seen = json.loads((tmp_path / "rows.json").read_text())
    assert len(seen) == len(rows) > 20
    for row, one in zip(rows, seen, strict=True):
        assert (one["id"], one["solution"]) == (row["id"], row["solution"])
        assert one["messages"] == [{"role": "user", "content": QUESTION}]
        assert QUESTION in one["asked"]
        assert row["solution"] not in one["asked"]
        assert one["images"] == paths(row["image"])
        # 84 x 84 pixels in patches of 14
        assert one["image_tokens"] == [36] * len(one["images"])
        assert one["images_seen"] == len(one["images"])
    rewarded = json.loads((tmp_path / "rewarded.json").read_text())
    assert Counter(row["id"] for row in rewarded) == {row["id"]: 2 for row in rows}
    by_id = {row["id"]: {"id": row["id"], "solution": row["solution"], "images": paths(row["image"])} for row in rows}
    assert all(row == by_id[row["id"]] for row in rewarded)


def size(path: Path) -> tuple[int, int]:
    """(height, width)"""
    with Image.open(path) as image:
        return image.height, image.width


def test_trl_rewards_completions_of_every_row_with_its_solution(
    published: Published, tiny_of: Callable[[str], Path], tmp_path: Path
) -> None:
    from training.compat import import_torchvision
    from training.data import prompt

    import_torchvision()
    from transformers import AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    names: dict[str, Any] = {}
    exec(compile(published.snippet("python", "sc_grpo.json"), "the card", "exec"), names)
    rows = published.rows("sc_grpo.json")
    assert len(names["rows"]) == len(rows) > 20
    rewarded = []

    def recording(completions: list[Any], solution: list[str], id: list[str], **others: Any) -> list[float]:
        for one, truth, shown, turns in zip(id, solution, others["images"], others["prompts"], strict=True):
            rewarded.append((one, truth, [(image.height, image.width) for image in shown], turns))
        return [float(i % 2) for i in range(len(completions))]

    model = str(tiny_of("qwen2_vl"))
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=recording,
        train_dataset=names["rows"],
        processing_class=AutoProcessor.from_pretrained(model),
        args=GRPOConfig(
            output_dir=str(tmp_path),
            num_train_epochs=1,
            per_device_train_batch_size=20,
            num_generations=2,
            max_completion_length=8,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to=[],
        ),
    )
    before = trainer.model.lm_head.weight.detach().clone()
    trainer.train()
    assert not trainer.model.lm_head.weight.equal(before)
    assert Counter(one for one, *_ in rewarded) == {row["id"]: 2 for row in rows}
    by_id = {row["id"]: row for row in rows}
    for one, truth, sizes, turns in rewarded:
        assert truth == by_id[one]["solution"]
        assert sizes == [size(published.root / path) for path in paths(by_id[one]["image"])]
        (user,) = turns
        (expected,) = prompt(len(sizes) - 1, EXPERT_PROMPT.format(question=QUESTION))
        assert [(part["type"], part.get("text")) for part in user["content"]] == [
            (part["type"], part.get("text")) for part in expected["content"]
        ]
