"""What the stages share: their command line, model and processor, resuming, the final folder, curves."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from expertad.errors import ExpertADError
from training import backbones
from training.compat import read_numbered_cpus
from training.settings import Settings, read

FINAL = "final"
DONE = "done.json"


def end_with_parent() -> None:
    """Asks Linux to end this process when its parent ends, however it ends.

    So a killed run leaves no stage, worker or server behind that would go on writing beside its successor.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def command_line(module: str, doc: str | None) -> argparse.ArgumentParser:
    """The parser of a stage's command line, with what every stage is told: its settings and its folder."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{module}", description=(doc or "").splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="config.yaml of the run folder")
    parser.add_argument("--out", type=Path, required=True, help="the stage's own folder")
    return parser


def run_process(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[Settings, argparse.Namespace], None],
) -> int:
    """Does a stage's work in this process; returns the exit code, after one line for an error that is the user's."""
    args = parser.parse_args(argv)
    end_with_parent()
    whole = False
    try:
        work(read(args.config), args)
        whole = True
    except ExpertADError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        leave(wait=whole)
    return 0


def leave(*, wait: bool) -> None:
    """Ends this process's part in the process group, where there is one.

    A process that ends with its group still up may be aborted by the group's own threads, and torchrun then takes a
    finished stage for a failed one.

    Args:
        wait: for all others first, so that none loses the one it still talks to; not after an error, where they may
            never come.
    """
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_initialized():
        return
    if wait:
        dist.barrier()
    elif dist.get_backend() == "nccl":
        return  # taking NCCL down waits for the others too
    dist.destroy_process_group()


def prepare(settings: Settings, model: str) -> tuple[Any, Any, Any]:
    """Loads (model, processor, LoRA configuration or None) for training.

    To be called after the stage's TRL arguments are made: with ZeRO-3 they are what tells `from_pretrained` to divide
    the weights as it reads them, so that no process ever holds the whole model.
    """
    processor = backbones.load_processor(model, settings.arch, settings.max_pixels)
    start_deepspeed(settings)
    loaded = backbones.load_model(model, settings.machine.dtype)
    if not settings.lora.rank:
        return loaded, processor, None
    from peft import LoraConfig

    lora = settings.lora
    return (
        loaded,
        processor,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            task_type="CAUSAL_LM",
        ),
    )


def start_deepspeed(settings: Settings) -> None:
    """Starts DeepSpeed's own communication where the trainer does not: on CPUs.

    TrainingArguments(use_cpu=True) leaves it out, and DeepSpeed would then take itself for the only process.
    """
    import torch

    if settings.machine.zero and not torch.cuda.is_available():
        import deepspeed

        deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)


def common_arguments(settings: Settings, out: Path) -> dict[str, Any]:
    """TrainingArguments that both stages set alike."""
    import torch

    if not torch.cuda.is_available():
        read_numbered_cpus()
    zero = settings.machine.zero
    return {
        "output_dir": str(out / "checkpoints"),
        "bf16": settings.machine.dtype == "bfloat16",
        "fp16": False,
        "use_cpu": not torch.cuda.is_available(),
        "deepspeed": str(backbones.CONFIGS / f"zero{zero}.json") if zero else None,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "dataloader_num_workers": settings.machine.workers,
        "report_to": [] if settings.report_to == "none" else settings.report_to.split(","),
        "save_total_limit": 2,
        "disable_tqdm": True,
        "logging_first_step": True,
        "remove_unused_columns": False,
    }


def last_checkpoint(out: Path) -> str | None:
    """The newest whole checkpoint; one that a kill cut short lacks a process's random state or the trainer's."""
    found = None
    folders = sorted((out / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    for folder in folders:
        if _whole(folder):
            found = str(folder)
        elif os.environ.get("RANK", "0") == "0":
            shutil.rmtree(folder, ignore_errors=True)
    return found


def _whole(folder: Path) -> bool:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    states = [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
    if not all((folder / name).is_file() for name in states):
        return False
    try:
        json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


class StageTrainer:
    """Goes before a TRL trainer among a class's bases: reloads checkpoints rightly, and measures waiting for data.

    A checkpoint names weights as the hub does, a model in memory otherwise for these architectures. The trainer of
    transformers 5.17 matches the names as they are, finds none of them, warns, and goes on with the weights it has: a
    resumed run would start again from the base model. DeepSpeed and adapters have checkpoints of their own and are
    left alone.

    `waited` is the seconds in which training stood still because the next rows were not there yet.
    """

    model: Any
    waited = 0.0

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """See transformers.Trainer; timed."""
        start = time.perf_counter()
        batch = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        self.waited += time.perf_counter() - start
        return batch

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = self.model if model is None else model
        if hasattr(target, "peft_config"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        saved = backbones.load_model(resume_from_checkpoint, str(target.dtype).removeprefix("torch."), "sdpa")
        target.load_state_dict(saved.state_dict())


def train_to_end(
    name: str,
    trainer: Any,
    processor: Any,
    settings: Settings,
    base: str,
    out: Path,
    figure: Callable[[Sequence[dict[str, Any]], Path], None],
) -> None:
    """Trains, from the last checkpoint if there is one, and writes model, curves, figure and, last, done.json.

    Args:
        name: the stage's.
        trainer: a TRL trainer, see StageTrainer.
        processor: saved beside the model.
        settings: the run's.
        base: the model that training started from.
        out: the stage's folder.
        figure: draws the trainer's log history into a folder.
    """
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=last_checkpoint(out))
    seconds = time.monotonic() - start
    save_final(trainer, processor, settings, base, out)
    if not trainer.accelerator.is_main_process:
        return
    history = trainer.state.log_history
    (out / "curves.json").write_text(json.dumps(history, indent=1), encoding="utf-8")
    figure(history, out)
    facts = {
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "waiting_for_data": round(trainer.waited / seconds, 4),
    }
    write_done(out, facts)
    print(json.dumps({"stage": name, **facts}), flush=True)


def save_final(trainer: Any, processor: Any, settings: Settings, base: str, out: Path) -> None:
    """Writes the trained model and its processor to `<out>/final`; LoRA is merged into the base first."""
    partial = out / f"{FINAL}.partial"
    target = out / "adapter" if settings.lora.rank else partial
    trainer.save_model(str(target))  # all processes: ZeRO-3 gathers the weights here
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        if settings.lora.rank:
            from peft import PeftModel

            whole = backbones.load_model(base, settings.machine.dtype, attention="sdpa")
            PeftModel.from_pretrained(whole, str(target)).merge_and_unload().save_pretrained(partial)
        processor.save_pretrained(partial)
        shutil.rmtree(out / FINAL, ignore_errors=True)
        partial.rename(out / FINAL)
    trainer.accelerator.wait_for_everyone()


def write_done(out: Path, content: dict[str, Any]) -> None:
    """Marks the stage as finished; written last, and whole or not at all."""
    partial = out / f"{DONE}.partial"
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.rename(out / DONE)


def line_figure(path: Path, panels: Sequence[tuple[str, dict[str, tuple[list[float], list[float]]]]]) -> None:
    """Draws panels side by side: each a title and its curves, name -> (steps, values)."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.2 * len(panels), 3.6), squeeze=False)
    for axis, (title, curves) in zip(axes[0], panels, strict=True):
        for name, (steps, values) in curves.items():
            axis.plot(steps, values, label=name)
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
        if len(curves) > 1:
            axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def curve(history: Sequence[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of one logged number."""
    points = [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]
    return [float(step) for step, _ in points], [float(value) for _, value in points]
