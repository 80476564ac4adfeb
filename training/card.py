"""The card of a trained model: README.md of a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.settings import Settings

EVALUATED = {"backbone": "backbone, untaught", "pa_sft": "after PA-SFT", "sc_grpo": "after SC-GRPO"}
"""What a run evaluates, in order, and how its tables call it."""


def write_card(run: Settings, out: Path) -> str:
    """Writes `<out>/README.md` from the run's own files; returns the table of scores."""
    facts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    table = _table({shown: _scores(out / f"evaluate_{name}" / "scores.json") for name, shown in EVALUATED.items()})
    grpo = run.sc_grpo
    tuned = f"LoRA of rank {run.lora.rank}" if run.lora.rank else f"all weights, {run.pa_sft.freeze} frozen"
    lines = [
        "---",
        f"base_model: {run.model if run.smoke is None else 'a tiny random backbone'}",
        "tags: [industrial anomaly detection, grpo, trl]",
        "---",
        f"# {run.backbone} after PA-SFT and SC-GRPO",
        "",
        "Says whether an image of an industrial product shows a defect, and where and what it is, with its reasons.",
        "Trained on data derived from its source's images: the source's licence binds the use of the weights too.",
        "",
        "## Held-out scores",
        "",
        table,
        "",
        "Half widths of 95 % intervals behind ±. Balanced accuracy is by label; an answer that is neither yes nor no",
        "is unread, and wrong. The backbone was not taught the tags, so it earns no rewards: its answer is the first",
        "yes or no of its own words.",
        "",
        "## Training",
        "",
        f"* Preset {run.preset}, {run.machine.processes} processes, ZeRO {run.machine.zero}, {run.machine.dtype}, "
        f"seed {run.seed}.",
        f"* PA-SFT: {tuned}; learning rate {run.pa_sft.learning_rate:g}. ![loss](pa_sft/loss.png)",
        f"* SC-GRPO: rewards {grpo.rewards}, {grpo.generations} completions a prompt, learning rate "
        f"{grpo.learning_rate:g}, beta {grpo.beta:g}. ![dynamics](sc_grpo/dynamics.png)",
        f"* Data set digest `{facts['dataset']}`, settings digest `{facts['settings']}`, code `{facts['git']}`.",
        "* " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version) + ".",
        *_health(out / "sc_grpo" / "health.jsonl"),
        "",
    ]
    (out / "README.md").write_text("\n".join(lines), encoding="utf-8")
    return table


def _scores(path: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return scores


def _table(scores: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| model | images | balanced accuracy | unread | format | location | type | total reward |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, s in scores.items():
        total = s["rewards"]["total"]
        cells = (
            name,
            s["n"],
            f"{_number(s['balanced_accuracy'])} ± {s['balanced_accuracy_ci95']:.3f}",
            s["unread_answers"],
            *(_number(s[key]) for key in ("format", "location_on_found", "type_on_found")),
            f"{total['mean']:.3f} ± {total['ci95']:.3f}",
        )
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _health(path: Path) -> list[str]:
    if not path.is_file():
        return []
    warnings = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [f"* Warning at step {w['step']}: {w['warning']}." for w in warnings]
