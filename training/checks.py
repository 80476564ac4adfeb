"""What is looked at before anything is started; each check raises one clear line within seconds."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from expertad.errors import UserError
from training import data, memory
from training.backbones import ARCHITECTURES, load, names
from training.rewards import scheme
from training.settings import Settings


class CheckError(UserError):
    """A run that cannot succeed as it is set up; says what is wrong and what to change."""


@dataclass(frozen=True)
class Host:
    """What the machine offers: GiB of each visible GPU, and which optional packages are installed."""

    gpus: tuple[float, ...]
    packages: frozenset[str]

    @classmethod
    def look(cls) -> Host:
        """This machine."""
        import torch

        gpus = tuple(
            torch.cuda.get_device_properties(i).total_memory / memory.GIB for i in range(torch.cuda.device_count())
        )
        optional = ("deepspeed", "vllm", "torchvision", "peft")
        return cls(gpus, frozenset(name for name in optional if importlib.util.find_spec(name)))


Bound = tuple[str, Callable[[Any], bool]]


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


_COUNT: Bound = ("at least 1", lambda value: value >= 1)
_NOT_NEGATIVE: Bound = ("0 or more", lambda value: value >= 0)
_POSITIVE: Bound = ("more than 0", lambda value: value > 0)
_UNDER_ONE: Bound = ("from 0 to below 1", lambda value: 0 <= value < 1)
_STEPS: Bound = ("at least 1, or -1 to go by epochs", lambda value: value == -1 or value >= 1)

_BOUNDS: tuple[tuple[Bound, tuple[str, ...]], ...] = (
    (("1 to 5", lambda value: 1 <= value <= 5), ("grid",)),
    (("at least 1", lambda value: value is None or value >= 1), ("max_pixels",)),
    (("0 to 4294967295", lambda value: 0 <= value < 2**32), ("seed",)),
    (
        _COUNT,
        (
            *("machine.processes", "machine.nodes", "lora.alpha"),
            *(f"pa_sft.{name}" for name in ("batch", "accumulation", "max_tokens", "save_steps", "logging_steps")),
            *(f"sc_grpo.{name}" for name in ("batch", "accumulation", "max_prompt_tokens", "max_completion_tokens")),
            *("sc_grpo.save_steps", "sc_grpo.logging_steps", "evaluate.batch", "evaluate.max_tokens"),
        ),
    ),
    (
        _NOT_NEGATIVE,
        (
            *("machine.workers", "lora.rank", "evaluate.rows", "pa_sft.warmup_steps", "pa_sft.weight_decay"),
            *("pa_sft.sentences", "sc_grpo.warmup_steps", "sc_grpo.beta", "sc_grpo.epsilon", "sc_grpo.top_k"),
        ),
    ),
    (_POSITIVE, ("pa_sft.learning_rate", "sc_grpo.learning_rate", "sc_grpo.temperature")),
    (_UNDER_ONE, ("pa_sft.beta2", "lora.dropout")),
    (_STEPS, ("pa_sft.max_steps", "sc_grpo.max_steps")),
    (("more than 0 and at most 1", lambda value: 0 < value <= 1), ("sc_grpo.top_p",)),
    (("1 to 65535", lambda value: 1 <= value <= 65535), ("sc_grpo.vllm_port",)),
    (("a regular expression", _compiles), ("lora.targets",)),
)

_SMOKE_BOUNDS: tuple[tuple[Bound, tuple[str, ...]], ...] = (
    ((f"one of {', '.join(ARCHITECTURES)}", lambda value: value in ARCHITECTURES), ("smoke.arch",)),
    (("more than 0 and below 1", lambda value: 0 < value < 1), ("smoke.held_out",)),
    (("1 to 99999", lambda value: 1 <= value <= 99_999), ("smoke.parts",)),
    (
        _COUNT,
        tuple(
            f"smoke.{name}"
            for name in (
                *("pa_sft", "sc_grpo", "hidden", "layers", "vision_hidden", "vision_layers"),
                *("image", "patch", "vocabulary"),
            )
        ),
    ),
    (_NOT_NEGATIVE, ("smoke.warm_steps",)),
)


def check_bounds(run: Settings) -> None:
    """Every number lies where the stages can use it.

    Raises:
        CheckError: the first that does not, with what is allowed.
    """
    for (allowed, fits), keys in _BOUNDS + (_SMOKE_BOUNDS if run.smoke else ()):
        for key in keys:
            value = attrgetter(key)(run)
            if not fits(value):
                raise CheckError(f"{key} is {value!r}; it must be {allowed}")
    for name, part in (("pa_sft", run.pa_sft), ("sc_grpo", run.sc_grpo)):
        if part.max_steps == -1 and part.epochs <= 0:
            raise CheckError(f"{name}.epochs is {part.epochs!r}; it must be more than 0 where {name}.max_steps is -1")


def check_settings(run: Settings) -> None:
    """Numbers lie in their bounds, batch sizes divide, the rewards exist, and processes suffice.

    Raises:
        UserError: the first thing that does not fit.
    """
    g, machine = run.sc_grpo, run.machine
    scheme(g.rewards, g.location)
    check_bounds(run)
    if g.generations < 2:
        raise CheckError(f"sc_grpo.generations is {g.generations}; an advantage needs a group of at least 2")
    if run.grpo_processes < 1:
        raise CheckError(
            "sc_grpo.vllm server takes a GPU of its own: use 2 or more processes, or --set sc_grpo.vllm=off"
        )
    if g.vllm == "server" and machine.nodes > 1:
        raise CheckError("sc_grpo.vllm server is started on one node only: use --set sc_grpo.vllm=colocate on several")
    completions = run.grpo_processes * machine.nodes * g.batch * g.accumulation
    if completions % g.generations:
        raise CheckError(
            f"{run.grpo_processes * machine.nodes} processes x {g.batch} completions x {g.accumulation} accumulations "
            f"= {completions} completions a step do not divide into groups of {g.generations}; "
            "change sc_grpo.batch, sc_grpo.accumulation or sc_grpo.generations"
        )


def check_machine(run: Settings, host: Host) -> None:
    """GPUs, their memory by the estimate of training.memory, and the packages that the settings need.

    Raises:
        CheckError: the first thing that is missing.
    """
    machine = run.machine
    if machine.gpu and not host.gpus:
        raise CheckError("no GPU is visible; use --preset smoke for a CPU, or --dry-run to see the commands")
    if "torchvision" not in host.packages:
        raise CheckError("torchvision is not installed; the image processors need it: pip install torchvision==0.28.0")
    if run.lora.rank and "peft" not in host.packages:
        raise CheckError("LoRA needs peft, which is not installed: pip install 'expertad[training]'")
    if machine.zero and "deepspeed" not in host.packages:
        raise CheckError(
            f"machine.zero {machine.zero} needs DeepSpeed, which is not installed: "
            "pip install deepspeed==0.19.8, or --set machine.zero=0"
        )
    if not machine.gpu:
        return
    if len(host.gpus) < machine.processes:
        raise CheckError(
            f"preset {run.preset} needs {machine.processes} GPUs, {len(host.gpus)} are visible; "
            "use --preset 1xGPU or --set machine.processes=N"
        )
    if run.sc_grpo.vllm != "off" and "vllm" not in host.packages:
        raise CheckError(
            f"sc_grpo.vllm {run.sc_grpo.vllm} needs vLLM, which is not installed: "
            "pip install vllm==0.31.0, or --set sc_grpo.vllm=off"
        )
    if run.backbone not in names():
        return
    backbone = load(run.backbone)
    smallest = min(host.gpus[: machine.processes])
    for stage, need in (
        ("PA-SFT", memory.pa_sft_bytes(backbone, run)),
        ("SC-GRPO", memory.sc_grpo_bytes(backbone, run)),
    ):
        if need / memory.GIB > smallest:
            raise CheckError(
                f"{stage} of {run.backbone} needs about {need / memory.GIB:.0f} GiB a GPU, the smallest has "
                f"{smallest:.0f}; "
                "use more GPUs with ZeRO-3, --preset 1xGPU (LoRA), or a smaller backbone"
            )


def check_model(run: Settings, fetch: Callable[[str], str] | None = None) -> None:
    """The model is a folder with weights and a configuration of the right architecture, or can be found on the hub.

    Args:
        run: settings.
        fetch: hub id -> path of its config.json; by default from the local cache or the hub.

    Raises:
        CheckError: it is missing, damaged, or of another architecture.
    """
    folder = Path(run.model)
    local = folder.is_dir() or folder.is_absolute() or run.model.startswith(".")
    if local:
        path = folder / "config.json"
        if not path.is_file():
            raise CheckError(f"{folder}: no model there (no config.json); give --model a folder or hub id")
    else:
        path = Path((fetch or _fetch)(run.model))
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        configuration = None
    if not isinstance(configuration, dict):
        raise CheckError(f"{run.model}: config.json is damaged; fetch the model again")
    found = configuration.get("model_type")
    if found != run.arch:
        raise CheckError(f"{run.model}: architecture {found}, but backbone {run.backbone} is {run.arch}")
    weights = ("model*.safetensors", "pytorch_model*.bin")
    if local and not any(any(folder.glob(name)) for name in weights):
        raise CheckError(f"{run.model}: holds no weights ({' or '.join(weights)}); fetch the model again")


def hub_answers() -> bool:
    """True when the hub can be reached; asked once, without the retries of its client, which take half a minute."""
    import httpx

    try:
        httpx.head(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", timeout=5)
    except (httpx.HTTPError, OSError):
        return False
    return True


def _fetch(hub: str) -> str:
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(hub, "config.json", etag_timeout=5)
    # The client raises a dozen unrelated classes for missing, gated, offline and unreachable; all mean the same here.
    except Exception as error:
        raise CheckError(
            f"{hub}: not in the local cache and not to be had from the hub ({type(error).__name__}); "
            f"run `hf download {hub}` where there is a network, or give --model a folder"
        ) from None


def check_data(run: Settings, memory_file: Path | None = None, log: Callable[[str], None] = print) -> None:
    """All three configs can be read, fit this version and grid, are large enough, and show the published images.

    Raises:
        UserError: the first thing that is wrong.
    """
    root = Path(run.image_root) if run.image_root else None
    machine = run.machine
    least = {
        "pa_sft": machine.processes * machine.nodes * run.pa_sft.batch * run.pa_sft.accumulation,
        "sc_grpo": -(
            -run.grpo_processes
            * machine.nodes
            * run.sc_grpo.batch
            * run.sc_grpo.accumulation
            // run.sc_grpo.generations
        ),
        "held_out": 1,
    }
    for config in data.CONFIGS:
        rows = data.rows_of(run, config)
        if len(rows) < least[config]:
            raise CheckError(
                f"{run.dataset}: {config} has {len(rows)} rows, one step needs {least[config]}; "
                "build more or use a smaller batch"
            )
        data.check_truths(rows, run.grid)
        images = data.check_images(rows, root, memory_file)
        log(f"{config}: {len(rows)} rows, {images} images as published")


def check_folder(out: Path) -> None:
    """A run folder can be made, or written into, there; nothing is left there yet.

    Raises:
        CheckError: it cannot.
    """
    try:
        nearest = next(path for path in (out, *out.parents) if path.exists())
        if not nearest.is_dir():
            raise CheckError(f"{nearest} is a file; give --out a folder")
        # Permissions do not tell everything: nobody can make a folder in /proc, not even who may write there.
        with tempfile.TemporaryDirectory(dir=nearest):
            pass
    except OSError as error:
        raise CheckError(f"{out} cannot be made or written ({error.strerror}); give another --out") from None


def all_checks(run: Settings, host: Host, memory_file: Path | None = None, *, with_data: bool = True) -> None:
    """Every check, cheapest first."""
    check_settings(run)
    check_machine(run, host)
    if run.smoke is None:
        check_model(run)
    if with_data:
        check_data(run, memory_file)


def completions_a_step(run: Settings) -> Sequence[int]:
    """(completions, prompts) of one SC-GRPO step, for the log."""
    completions = run.grpo_processes * run.machine.nodes * run.sc_grpo.batch * run.sc_grpo.accumulation
    return completions, completions // run.sc_grpo.generations
