"""What is looked at before anything is started; each check raises one clear line within seconds."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from expertad.errors import UserError
from training import data, memory
from training.backbones import load, names
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


def check_settings(run: Settings) -> None:
    """Batch sizes divide, the rewards exist, and processes suffice.

    Raises:
        UserError: the first thing that does not fit.
    """
    g, machine = run.sc_grpo, run.machine
    scheme(g.rewards, g.location)
    for name, value in {
        "machine.processes": machine.processes,
        "machine.nodes": machine.nodes,
        "pa_sft.batch": run.pa_sft.batch,
        "pa_sft.accumulation": run.pa_sft.accumulation,
        "sc_grpo.batch": g.batch,
        "sc_grpo.accumulation": g.accumulation,
        "evaluate.batch": run.evaluate.batch,
    }.items():
        if value < 1:
            raise CheckError(f"{name} is {value}; it must be at least 1")
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
    """The model is a folder with a configuration of the right architecture, or can be found on the hub.

    Args:
        run: settings.
        fetch: hub id -> path of its config.json; by default from the local cache or the hub.

    Raises:
        CheckError: it is missing, or of another architecture.
    """
    folder = Path(run.model)
    if folder.is_dir() or folder.is_absolute() or run.model.startswith("."):
        path = folder / "config.json"
        if not path.is_file():
            raise CheckError(f"{folder}: no model there (no config.json); give --model a folder or hub id")
    else:
        path = Path((fetch or _fetch)(run.model))
    found = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    if found != run.arch:
        raise CheckError(f"{run.model}: architecture {found}, but backbone {run.backbone} is {run.arch}")


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
    """A run folder can be made, or written into, there; nothing is made yet.

    Raises:
        CheckError: it cannot.
    """
    nearest = next(path for path in (out, *out.parents) if path.exists())
    if not nearest.is_dir():
        raise CheckError(f"{nearest} is a file; give --out a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise CheckError(f"{nearest} cannot be written; give another --out")


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
