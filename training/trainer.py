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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expertad.errors import ConfigError
from training.compat import import_torchvision
from training.data import TRUTH_COLUMNS
from training.health import Health
from training.rewards.scheme import completion_text
from training.rollouts import one_token_an_image, write_rollouts
from training.stage import StageTrainer

import_torchvision()

import torch  # noqa: E402
from accelerate.utils import gather_object  # noqa: E402
from trl import GRPOTrainer  # noqa: E402


class ScGrpoTrainer(StageTrainer, GRPOTrainer):
    """GRPOTrainer with the two repairs, a rollout dump (see training.rollouts) and health warnings.

    Args:
        rollouts: folder for the dump, one Parquet file a generation; None writes none.
        health: the watcher; None watches nothing.
        resample: beyond the paper: groups without variance, too easy or too hard to teach anything, give their places
            to groups with variance, all of these with equal chance. Done in expectation: instead of copying rollouts,
            the advantages of the groups with variance are multiplied by groups / groups with variance. The dump keeps
            equation 10's advantages.
    """

    def __init__(
        self,
        *args: Any,
        rollouts: Path | None = None,
        health: Health | None = None,
        resample: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._resample = resample
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
        sampled: tuple[Any, Any] = super()._generate_single_turn(prompt_ids, images, *args, **kwargs)
        return sampled

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
            if self._resample:
                output["advantages"] = output["advantages"] * self._live_groups_weight()
        return output

    def _live_groups_weight(self) -> float:
        """Groups over groups whose completions do not all earn the same; 1 when there is none of these."""
        if self._paid is None:
            return 1.0
        totals = (self._paid * self.reward_weights.to(self._paid.device)).nansum(1).view(-1, self.num_generations)
        live = int(((totals.max(1).values - totals.min(1).values) > 1e-6).sum())
        return len(totals) / live if live else 1.0

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
