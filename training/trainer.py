"""TRL's GRPOTrainer with what it lacks for these backbones, and a record of every rollout.

Two repairs of TRL 1.16:

* LLaVA-OneVision's processor returns `batch_num_images`, which the trainer's scoring pass does not take (TypeError) and
  the model needs: without it each image of a two-image prompt counts as one of any resolution.
* vLLM in the trainer's own process (colocate) is given prompts whose image tokens are already repeated, and repeats
  them again (TRL issue 6294); each run is reduced to one token first. That needs a token between two images, which the
  prompts of this project have.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from expertad.errors import ConfigError
from training.compat import import_torchvision
from training.data import TRUTH_COLUMNS
from training.rewards import read
from training.rewards.scheme import completion_text

import_torchvision()

import torch  # noqa: E402
from accelerate.utils import gather_object  # noqa: E402
from trl import GRPOTrainer  # noqa: E402


def one_token_an_image(ids: Sequence[int], image_token: int) -> list[int]:
    """Token ids with every run of image tokens reduced to one, as vLLM wants them beside the images."""
    reduced: list[int] = []
    for token, run in groupby(ids):
        reduced += [token] if token == image_token else list(run)
    return reduced


@dataclass
class Health:
    """Watches sampled completions for the ways in which GRPO dies quietly.

    Args:
        window: steps that a condition must hold on average before it is a warning.
        silent: share of groups without variance from which nothing is learnt any more.
        one_sided: share of one answer among answers, on images of both labels.
        shrunk: share of the first window's length below which completions have collapsed.
    """

    window: int = 20
    silent: float = 0.9
    one_sided: float = 0.98
    shrunk: float = 0.3
    _silent: deque[float] = field(init=False)
    _yes: deque[tuple[int, int, bool]] = field(init=False)
    _length: deque[float] = field(init=False)
    _first: list[float] = field(init=False, default_factory=list)
    _active: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """Makes the windows."""
        self._silent = deque(maxlen=self.window)
        self._yes = deque(maxlen=self.window)
        self._length = deque(maxlen=self.window)

    def update(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        """Takes the rollouts of one step; returns warnings that have just become true.

        Args:
            rows: of the rollout dump, at least group, reward, completion, tokens and anomalous.
        """
        groups: dict[int, list[float]] = {}
        for row in rows:
            groups.setdefault(row["group"], []).append(row["reward"])
        self._silent.append(sum(max(g) - min(g) < 1e-6 for g in groups.values()) / len(groups))
        answers = [read(row["completion"]).answer for row in rows]
        both = len({row["anomalous"] for row in rows}) == 2
        self._yes.append((answers.count("yes"), answers.count("yes") + answers.count("no"), both))
        length = sum(row["tokens"] for row in rows) / len(rows)
        self._length.append(length)
        if len(self._first) < self.window:
            self._first.append(length)
        if len(self._silent) < self.window:
            return []
        now = set(self._conditions())
        new, self._active = sorted(now - self._active), now
        return new

    def _conditions(self) -> Iterator[str]:
        silent = sum(self._silent) / len(self._silent)
        if silent >= self.silent:
            yield f"reward variance is gone: {silent:.0%} of the groups earn all the same, so nothing is learnt"
        yes, answered = sum(y for y, _, _ in self._yes), sum(n for _, n, _ in self._yes)
        if answered and any(both for _, _, both in self._yes):
            share = max(yes, answered - yes) / answered
            if share >= self.one_sided:
                yield f"one class is always answered: {'yes' if 2 * yes > answered else 'no'}, by {share:.0%}"
        first, last = sum(self._first) / len(self._first), sum(self._length) / len(self._length)
        if last < self.shrunk * first:
            yield f"length collapse: completions of {last:.0f} tokens, {first:.0f} at the start"


class ScGrpoTrainer(GRPOTrainer):
    """GRPOTrainer with the two repairs, a rollout dump (see training.rollouts) and health warnings.

    Args:
        rollouts: folder for the dump, one Parquet file a generation; None writes none.
        health: the watcher; None watches nothing.
    """

    def __init__(self, *args: Any, rollouts: Path | None = None, health: Health | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rollouts = rollouts
        self._health = health
        self._sampled: list[dict[str, Any]] = []
        self._paid: torch.Tensor | None = None

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, *args: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        if self.use_vllm and images is not None and self.args.vllm_mode == "colocate":
            token = self.processing_class.image_token_id
            prompt_ids = [one_token_an_image(ids, token) for ids in prompt_ids]
            for ids, shown in zip(prompt_ids, images, strict=True):
                if shown and ids.count(token) != len(shown):
                    raise ConfigError("two images touch in a prompt: the chat template must keep text between them")
        return super()._generate_single_turn(prompt_ids, images, *args, **kwargs)

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("batch_num_images", None)
        images = kwargs.get("num_images")
        if images is None or self.model.config.model_type != "llava_onevision":
            return super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)
        with _image_counts(self.accelerator.unwrap_model(model), images):
            return super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids: Any) -> torch.Tensor:
        paid = super()._calculate_rewards(inputs, prompts, completions, completion_ids)
        self._paid = paid
        self._sampled = [
            {"id": row["id"], "completion": completion_text(completion), "tokens": len(ids)}
            | {name: row[name] for name in TRUTH_COLUMNS}
            for row, completion, ids in zip(inputs, completions, completion_ids, strict=True)
        ]
        return paid

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        if self.model.training:
            self._record()
        return output

    def _record(self) -> None:
        sampled = gather_object(self._sampled)
        if not self.accelerator.is_main_process or self._paid is None:
            return
        advantages = list(self._logs["advantages"])[-len(sampled) :]
        weights = self.reward_weights.tolist()
        rows = []
        for i, (row, paid, advantage) in enumerate(zip(sampled, self._paid.tolist(), advantages, strict=True)):
            values = {f"reward/{n}": None if v != v else v for n, v in zip(self.reward_func_names, paid, strict=True)}
            rows.append(
                {"step": self.state.global_step, "group": i // self.num_generations, "index": i % self.num_generations}
                | row
                | values
                | {"reward": sum(w * v for w, v in zip(weights, values.values(), strict=True) if v is not None)}
                | {"advantage": advantage}
            )
        if self._rollouts:
            write_rollouts(rows, self._rollouts)
        if self._health:
            for warning in self._health.update(rows):
                line = {"step": self.state.global_step, "warning": warning}
                print(f"WARNING step {line['step']}: {warning}", file=sys.stderr, flush=True)
                if self._rollouts:
                    with (self._rollouts.parent / "health.jsonl").open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")


def write_rollouts(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes one generation's rollouts to `<folder>/step-<n>.parquet`; a repeated step replaces its file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    fixed = {
        "step": pa.int32(),
        "group": pa.int32(),
        "index": pa.int32(),
        "id": pa.string(),
        "completion": pa.string(),
        "tokens": pa.int32(),
        "anomalous": pa.bool_(),
        "location": pa.string(),
        "fine_type": pa.string(),
        "coarse_type": pa.string(),
        "cells": pa.list_(pa.int32()),
    }
    kinds = {name: fixed.get(name, pa.float64()) for name in rows[0]}
    path = folder / f"step-{rows[0]['step']:06d}.parquet"
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(list(kinds.items()))), partial)
    partial.rename(path)


@contextmanager
def _image_counts(model: Any, counts: Sequence[int]) -> Iterator[None]:
    """Hands LLaVA-OneVision, for every slice of the batch in turn, the number of images of each of its rows."""
    rows = iter(counts)

    def add(_module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        own = [next(rows) for _ in range(len(kwargs["input_ids"]))]
        return args, kwargs | {"batch_num_images": torch.tensor(own, device=kwargs["input_ids"].device)}

    handle = model.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
