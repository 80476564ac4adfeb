"""Evaluation on the held-out parts: generate, read with the one parser, balanced accuracy by label.

    torchrun --nproc-per-node N -m training.evaluate --config RUN/config.yaml --model DIR --out DIR [--untaught]

Balanced accuracy is the mean of the accuracies on normal and on anomalous images, by label and never by path. An answer
that reads as neither yes nor no is wrong, and counted. Each process generates for its share of the rows.

A backbone that was never taught the tags (`--untaught`) answers in its own words, as the paper's baselines do: where it
writes no answer tag, the first word of its text that is yes or no is its answer, and a few words are enough.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any, Protocol

from training import backbones, settings, stage
from training.data import TRUTH_COLUMNS, prompt, rows_of, worded
from training.rewards import Truth, read, scheme
from training.rewards.scheme import total
from training.rewards.truth import Reading

UNTAUGHT_TOKENS = 32
"""A model that was not taught to reason first gives its answer within so many tokens, or none."""

_PLAIN_ANSWER = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)


class Engine(Protocol):
    """Anything that answers prompts about images."""

    def generate(self, prompts: Sequence[list[dict[str, Any]]], images: Sequence[list[Any]]) -> list[str]:
        """One completion per prompt, in order; `images` are PIL images, one list per prompt, in placeholder order."""


@dataclass
class TransformersEngine:
    """Greedy generation with transformers, left-padded in batches as they come."""

    model: Any
    processor: Any
    max_tokens: int

    def generate(self, prompts: Sequence[list[dict[str, Any]]], images: Sequence[list[Any]]) -> list[str]:
        """See Engine."""
        import torch

        texts = [self.processor.apply_chat_template(p, add_generation_prompt=True, tokenize=False) for p in prompts]
        inputs = self.processor(
            text=texts,
            images=list(images),
            padding=True,
            padding_side="left",
            add_special_tokens=False,
            return_tensors="pt",
        ).to(self.model.device)
        for key, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[key] = value.to(self.model.dtype)
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=self.max_tokens, do_sample=False)
        new = out[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return list(texts)


def interval(hits: int, n: int) -> float:
    """Half width of the 95 % interval of a share, from the Agresti-Coull estimate, which holds near 0 and 1 too."""
    if n == 0:
        return 1.0
    p = (hits + 2) / (n + 4)
    return 1.96 * sqrt(p * (1 - p) / (n + 4))


def read_untaught(completion: str) -> Reading:
    """Reads the completion of a model that does not know the tags: the first "yes" or "no" is its answer.

    Examples: "Yes, there is a noticeable scratch." says yes; "There are no defects." says no; "Nothing." says neither.
    """
    reading = read(completion)
    if reading.answer is not None:
        return reading
    found = _PLAIN_ANSWER.search(completion)
    return replace(reading, answer=found.group().lower()) if found else reading


def score(predictions: Iterable[dict[str, Any]], grid: int = 3, *, untaught: bool = False) -> dict[str, Any]:
    """Scores completions.

    Args:
        predictions: rows with completion, category and the truth columns.
        grid: n of the data set's grid.
        untaught: read answers as `read_untaught` does; rewards stay those of the tags.

    Returns:
        n, balanced_accuracy and its ci95 half width, accuracy by label, unread answers, share of each pattern kept,
        location and type on true positives, mean rewards of the paper's scheme with ci95, and balanced accuracy by
        category.
    """
    paper = scheme("paper")
    rows = []
    for p in predictions:
        truth = Truth.from_row(p, grid)
        reading = read_untaught(p["completion"]) if untaught else read(p["completion"])
        paid = paper.pay(p["completion"], truth)
        rows.append((p["category"], truth, reading, paid))
    normal = [reading.says(truth) for _, truth, reading, _ in rows if not truth.anomalous]
    defects = [reading.says(truth) for _, truth, reading, _ in rows if truth.anomalous]
    found = [paid for _, truth, reading, paid in rows if truth.anomalous and reading.says(truth)]
    totals = [total(paid) for *_, paid in rows]
    result: dict[str, Any] = {
        "n": len(rows),
        "normal": len(normal),
        "anomalous": len(defects),
        "balanced_accuracy": _balanced(normal, defects),
        "balanced_accuracy_ci95": sqrt(
            interval(sum(normal), len(normal)) ** 2 + interval(sum(defects), len(defects)) ** 2
        )
        / 2,
        "accuracy_normal": _mean(normal),
        "accuracy_anomalous": _mean(defects),
        "unread_answers": sum(reading.answer not in ("yes", "no") for _, _, reading, _ in rows),
        "format": _mean([reading.kind is not None for _, _, reading, _ in rows]),
        "location_on_found": _mean([paid["location"].value or 0.0 for paid in found]),
        "type_on_found": _mean([paid["type"].value or 0.0 for paid in found]),
        "rewards": {
            "total": _mean_ci(totals),
            "accuracy": _share_ci([paid["accuracy"].value or 0.0 for *_, paid in rows]),
            "consistency": _share_ci([paid["consistency"].value or 0.0 for *_, paid in rows]),
        },
    }
    categories: dict[str, tuple[list[bool], list[bool]]] = {}
    for category, truth, reading, _ in rows:
        categories.setdefault(category, ([], []))[truth.anomalous].append(reading.says(truth))
    result["categories"] = {name: _balanced(*pair) for name, pair in sorted(categories.items())}
    return result


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _balanced(normal: Sequence[bool], defects: Sequence[bool]) -> float | None:
    """Mean of both accuracies; unknown, never a number, when one label is absent."""
    if not normal or not defects:
        return None
    return (sum(normal) / len(normal) + sum(defects) / len(defects)) / 2


def _mean_ci(values: Sequence[float]) -> dict[str, float]:
    n = len(values)
    mean = sum(values) / n
    variance = sum((v - mean) ** 2 for v in values) / max(1, n - 1)
    return {"mean": mean, "ci95": 1.96 * sqrt(variance / n)}


def _share_ci(values: Sequence[float]) -> dict[str, float]:
    """As `_mean_ci` for rewards that are 0 or 1, whose interval must not vanish when all are alike."""
    return {"mean": sum(values) / len(values), "ci95": interval(round(sum(values)), len(values))}


def predict(run: settings.Settings, engine: Engine, rank: int, world: int) -> list[dict[str, Any]]:
    """Generates for every `world`-th of the rows to evaluate, from the `rank`-th on.

    Published rows are sorted by category and label: fewer than all are taken at even distances, not from the front.
    """
    rows = rows_of(run, "held_out")
    e = run.evaluate
    count = min(e.rows, len(rows)) if e.rows else len(rows)
    question = worded(e.wording)
    own = [i * len(rows) // count for i in range(count)][rank::world]
    predictions = []
    for start in range(0, len(own), e.batch):
        batch = [rows[i] for i in own[start : start + e.batch]]
        texts = engine.generate([prompt(row["shot"], question) for row in batch], [row["images"] for row in batch])
        predictions += [
            {"id": row["id"], "category": row["category"], **{n: row[n] for n in TRUTH_COLUMNS}, "completion": text}
            for row, text in zip(batch, texts, strict=True)
        ]
    return predictions


def run_evaluation(run: settings.Settings, model: str, out: Path, *, untaught: bool = False) -> None:
    """Evaluates a model and writes predictions.jsonl, scores.json and done.json."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState(cpu=not torch.cuda.is_available())
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    loaded = backbones.load_model(model, run.machine.dtype).to(state.device).eval()
    processor = backbones.load_processor(model, run.arch, run.max_pixels)
    tokens = min(run.evaluate.max_tokens, UNTAUGHT_TOKENS) if untaught else run.evaluate.max_tokens
    engine = TransformersEngine(loaded, processor, tokens)
    own = predict(run, engine, state.process_index, state.num_processes)
    predictions = sorted(gather_object(own), key=lambda p: p["id"])
    if state.is_main_process:
        with (out / "predictions.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions)
        scores = score(predictions, run.grid, untaught=untaught)
        (out / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
        stage.write_done(out, {"seconds": round(time.monotonic() - start, 1)})
        shown = {k: scores[k] for k in ("n", "balanced_accuracy", "format", "location_on_found", "type_on_found")}
        print(json.dumps({"stage": "evaluate", **shown}), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of every process of the evaluation."""
    parser = stage.command_line("evaluate", __doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--untaught", action="store_true", help="the model does not know the tags: read its own words")
    return stage.run_process(
        parser, argv, lambda run, args: run_evaluation(run, args.model, args.out, untaught=args.untaught)
    )


if __name__ == "__main__":
    sys.exit(main())
