"""PA-SFT: supervised fine-tuning on the published reasoning (equations 1 and 7).

    torchrun --nproc-per-node N -m training.pa_sft --config RUN/config.yaml --out RUN/pa_sft

The loss is the mean negative log-likelihood of the completion's tokens; the prompt's tokens carry none. All weights are
trained, as the paper says; the released scripts leave vision tower and projector frozen (`freeze: release`). Run again
after a kill, it goes on from the last checkpoint with the same data order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from expertad.errors import ConfigError
from training import backbones, settings, stage
from training.compat import import_torchvision
from training.data import pa_sft_rows, rows_of


def longest(rows: Any, processor: Any, tokens_of: Callable[[int], int]) -> tuple[int, str]:
    """Upper bound of tokens of the longest row, and its id: its text's tokens plus the most that its images take."""
    texts = [
        "".join(block.get("text") or "" for turn in (*p, *c) for block in turn["content"])
        for p, c in zip(rows["prompt"], rows["completion"], strict=True)
    ]
    images = [sum(block["type"] == "image" for block in p[0]["content"]) for p in rows["prompt"]]
    lengths = [len(ids) for ids in processor.tokenizer(texts, add_special_tokens=False)["input_ids"]]
    totals = [length + tokens_of(count) for length, count in zip(lengths, images, strict=True)]
    top = max(range(len(totals)), key=totals.__getitem__)
    return totals[top], rows["id"][top]


def train(run: settings.Settings, out: Path) -> None:
    """Runs the stage to its end.

    Raises:
        UserError: the data cannot be used, or a row is longer than `max_tokens` (rows are never cut: cutting would
            remove image tokens or the answer).
    """
    import_torchvision()
    from trl import SFTConfig, SFTTrainer

    out.mkdir(parents=True, exist_ok=True)
    rows = pa_sft_rows(rows_of(run, "pa_sft"), run.pa_sft.sentences)

    class PaSftTrainer(stage.StageTrainer, SFTTrainer):
        """TRL's trainer, which needs nothing else for these backbones."""

    s = run.pa_sft
    arguments = SFTConfig(
        **stage.common_arguments(run, out),
        num_train_epochs=s.epochs,
        max_steps=s.max_steps,
        per_device_train_batch_size=s.batch,
        gradient_accumulation_steps=s.accumulation,
        learning_rate=s.learning_rate,
        lr_scheduler_type=s.scheduler,
        warmup_steps=s.warmup_steps,
        weight_decay=s.weight_decay,
        adam_beta2=s.beta2,
        gradient_checkpointing=s.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if s.gradient_checkpointing else None,
        save_steps=s.save_steps,
        logging_steps=s.logging_steps,
        max_length=None,
        completion_only_loss=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    model, processor, lora = stage.prepare(run, run.model)
    if not lora:
        backbones.freeze(model, run.pa_sft.freeze)
    if run.smoke is None:
        tokens, row_id = longest(
            rows.select_columns(["id", "prompt", "completion"]), processor, backbones.load(run.backbone).tokens_of
        )
        if tokens > run.pa_sft.max_tokens:
            raise ConfigError(
                f"row {row_id} may take {tokens} tokens, more than pa_sft.max_tokens {run.pa_sft.max_tokens}; "
                "raise it, lower max_pixels, or publish shorter reasoning"
            )
    trainer = PaSftTrainer(
        model=model,
        args=arguments,
        train_dataset=rows.remove_columns(["id"]),
        processing_class=processor,
        peft_config=lora,
    )
    stage.train_to_end("pa_sft", trainer, processor, run, run.model, out, figure)


def figure(history: Sequence[dict[str, Any]], out: Path) -> None:
    """Loss and token accuracy over steps."""
    stage.line_figure(
        out / "loss.png",
        [
            ("PA-SFT loss", {"loss": stage.curve(history, "loss")}),
            ("token accuracy", {"accuracy": stage.curve(history, "mean_token_accuracy")}),
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of every process of the stage."""
    return stage.run_process(stage.command_line("pa_sft", __doc__), argv, lambda run, args: train(run, args.out))


if __name__ == "__main__":
    sys.exit(main())
