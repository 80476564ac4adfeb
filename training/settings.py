"""Settings of a run: what a preset, a backbone and the command line come to; every stage reads them from one file.

Numbers are the paper's; where the released scripts differ, the comment says how.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from expertad.errors import ConfigError
from expertad.replace_file import replaced_file
from training.backbones import CONFIGS, Backbone

PRESETS = CONFIGS / "presets"

Vllm = Literal["server", "colocate", "off"]
Freeze = Literal["nothing", "release"]
Scheduler = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
]
"""Those of transformers that need nothing but the number of steps."""
Wording = Literal["query", "test", "expert"]
"""How a model is asked: as in training data ("query image"), as Table 8 does in tests ("test image"), or with Table 8's
instruction of an expert before the question, as in SC-GRPO."""


@dataclass(frozen=True)
class Machine:
    """Where it runs: processes of one node, ZeRO stage (0: none), weights' type, and whether a GPU must be there."""

    processes: int = 4
    nodes: int = 1
    zero: Literal[0, 2, 3] = 3
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    gpu: bool = True
    gpu_memory_gib: float = 80.0
    workers: int = 4


@dataclass(frozen=True)
class Lora:
    """LoRA instead of full-parameter training; `rank` 0 turns it off."""

    rank: int = 0
    alpha: int = 32
    dropout: float = 0.05
    targets: str = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"


@dataclass(frozen=True)
class PaSft:
    """Stage one. `batch` counts rows per process."""

    epochs: float = 2.0  # the released scripts: 1
    max_steps: int = -1
    batch: int = 1
    accumulation: int = 2
    learning_rate: float = 1e-5
    scheduler: Scheduler = "cosine"
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta2: float = 0.999
    max_tokens: int = 8192
    sentences: int = 0  # of the reasoning; 0 keeps all
    freeze: Freeze = "nothing"  # the released scripts: "release", vision tower and projector
    gradient_checkpointing: bool = True
    save_steps: int = 100
    logging_steps: int = 10


@dataclass(frozen=True)
class ScGrpo:
    """Stage two. `batch` counts completions per process."""

    epochs: float = 1.0
    max_steps: int = -1
    generations: int = 4
    batch: int = 4  # the release counts 1 prompt a process: the same, with 4 generations each
    accumulation: int = 2
    learning_rate: float = 1e-6
    scheduler: Scheduler = "linear"
    warmup_steps: int = 0
    beta: float = 0.04
    epsilon: float = 0.2
    temperature: float = 0.9
    top_p: float = 0.9
    top_k: int = 50
    max_prompt_tokens: int = 8192
    max_completion_tokens: int = 512
    rewards: str = "paper"
    location: str = "cell"
    wording: Wording = "expert"
    vllm: Vllm = "server"
    vllm_port: int = 8000
    gradient_checkpointing: bool = True
    resample: bool = False  # beyond the paper, see trainer.py
    save_steps: int = 100
    logging_steps: int = 1


@dataclass(frozen=True)
class Evaluate:
    """What is measured before, between and after the stages. `rows` 0 takes all, a number so many at even distances."""

    batch: int = 4
    max_tokens: int = 512
    rows: int = 0
    wording: Wording = "test"


@dataclass(frozen=True)
class Smoke:
    """Only in the smoke preset: how much is drawn, and the tiny backbone that stands in for a real one."""

    parts: int = 0
    pa_sft: int = 0
    sc_grpo: int = 0
    held_out: float = 0.0
    arch: str = "llava_onevision"
    hidden: int = 64
    layers: int = 2
    vision_hidden: int = 64
    vision_layers: int = 2
    image: int = 84
    patch: int = 14
    vocabulary: int = 1024
    warm_steps: int = 200


@dataclass(frozen=True)
class Settings:
    """Everything a run depends on; its digest names the run."""

    preset: str
    backbone: str
    arch: str
    model: str
    dataset: str
    image_root: str | None = None
    grid: int = 3
    seed: int = 0
    report_to: str = "none"
    max_pixels: int | None = None
    machine: Machine = field(default_factory=Machine)
    lora: Lora = field(default_factory=Lora)
    pa_sft: PaSft = field(default_factory=PaSft)
    sc_grpo: ScGrpo = field(default_factory=ScGrpo)
    evaluate: Evaluate = field(default_factory=Evaluate)
    smoke: Smoke | None = None

    @property
    def grpo_processes(self) -> int:
        """Training processes of SC-GRPO: one GPU fewer where the last one serves vLLM."""
        return self.machine.processes - (1 if self.sc_grpo.vllm == "server" else 0)


T = TypeVar("T")


def merge(base: T, changes: Mapping[str, Any], where: str, path: str = "") -> T:
    """A copy of a settings value with changes, nested ones included.

    Args:
        base: settings, or a part of them.
        changes: name -> new value, or a mapping of such for a part.
        where: where the changes come from, for the message.
        path: what leads to `base` from the settings, such as "pa_sft.".

    Raises:
        ConfigError: a key that does not exist, or a value of another type than the default's; names it.
    """
    known = get_type_hints(type(base))
    new: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown setting {f'{path}{key}'!r}; known: {', '.join(known)}")
        old = getattr(base, key)
        wrong = ConfigError(f"{where}: {path}{key}: {value!r} is no {type(old).__name__}")
        if is_dataclass(old):
            if not isinstance(value, Mapping):
                names = ", ".join(f"{path}{key}.{f.name}" for f in fields(old)[:2])
                raise ConfigError(f"{where}: {path}{key} is a group of settings; set one of them: {names} …")
            value = merge(old, value, where, f"{path}{key}.")
        elif old is None and isinstance(value, Mapping):
            raise ConfigError(f"{where}: {path}{key} has no settings in this preset")
        elif old is None and not isinstance(value, known[key]):
            raise ConfigError(f"{where}: {path}{key}: {value!r} is no {known[key]}")
        elif isinstance(old, bool) is not isinstance(value, bool) and isinstance(old, bool | int | float):
            raise wrong
        elif isinstance(old, float) and isinstance(value, int | str) and _number(value) is not None:
            value = _number(value)
        elif old is not None and not isinstance(value, type(old)):
            raise wrong
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{where}: {path}{key}: {value} is no finite number")
        choices = get_args(known[key]) if get_origin(known[key]) is Literal else (value,)
        if value not in choices:
            raise ConfigError(f"{where}: {path}{key}: {value!r} is none of {', '.join(map(str, choices))}")
        new[key] = value
    return replace(base, **new)  # type: ignore[type-var]


def _number(value: int | str) -> float | None:
    """A number, also in a spelling that YAML 1.1 takes for text, such as 1e-5; None when it is none."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def presets() -> list[str]:
    """Names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def for_backbone(preset: str, backbone: Backbone, dataset: str, image_root: str | None = None) -> Settings:
    """A preset applied to a backbone: defaults, then the backbone's rates and lengths, then the preset's own words.

    Raises:
        ConfigError: no such preset, or a mistake in its file.
    """
    path = PRESETS / f"{preset}.yaml"
    if preset not in presets():  # looked up, not opened: a name is no path
        raise ConfigError(f"unknown preset {preset!r}; known: {', '.join(presets())}")
    settings = Settings(
        preset=preset,
        backbone=backbone.name,
        arch=backbone.arch,
        model=backbone.hub,
        dataset=dataset,
        image_root=image_root,
        max_pixels=backbone.max_pixels,
        pa_sft=PaSft(learning_rate=backbone.pa_sft_learning_rate, max_tokens=backbone.pa_sft_tokens),
        sc_grpo=ScGrpo(learning_rate=backbone.sc_grpo_learning_rate, max_prompt_tokens=backbone.sc_grpo_prompt_tokens),
    )
    changes = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if "smoke" in changes:
        settings = replace(settings, smoke=Smoke())
    return merge(settings, changes, path.name)


def write(settings: Settings, path: Path) -> None:
    """Writes settings as YAML, whole or not at all."""
    with replaced_file(path) as file:
        file.write(yaml.safe_dump(asdict(settings), sort_keys=False, allow_unicode=True).encode())


def read(path: Path) -> Settings:
    """Reads what `write` wrote.

    Raises:
        ConfigError: the file is missing or not settings of this version.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such settings file; run_all writes one as config.yaml into its run folder")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: damaged ({str(error).splitlines()[0]}); give another --out") from None
    parts = {"machine": Machine, "lora": Lora, "pa_sft": PaSft, "sc_grpo": ScGrpo, "evaluate": Evaluate, "smoke": Smoke}
    try:
        values = {k: parts[k](**v) if k in parts and v is not None else v for k, v in data.items()}
        return Settings(**values)
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not settings of this version ({error})") from None
