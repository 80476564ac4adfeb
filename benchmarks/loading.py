"""Whether data loading can hold PA-SFT up: `python -m benchmarks.loading [rows]`.

Measures how many rows a second of processor time one loading process, which has one thread, prepares for the default
backbone at its real image sizes (read from Parquet, decode 1024-pixel JPEG, chat template, image tiles, tokens), and
sets it beside what one training process takes, which is computed (training.memory), not measured. The waiting share is
what is left when `machine.workers` processes load. Every training run measures its own share too: `waiting_for_data`
in its stages' done.json.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.row import Row
from expertad.parquet import arrow_schema, write_shards
from expertad.record import PROVENANCE_KEYS, SCHEMA_VERSION, ZERO_SHOT_PROMPT
from training import memory
from training.backbones import chat_template, load
from training.compat import import_torchvision
from training.data import corpus, load_rows, pa_sft_rows
from training.settings import for_backbone
from training.tiny import Shape, build

BACKBONE = "llava-onevision-si-0.5b"
SIDE = 1024


def publish(folder: Path, rows: int) -> None:
    """Writes a PA-SFT config of noisy photographs, which are as slow to decode as real ones."""
    rng = np.random.default_rng(0)
    reply = "<think>" + "The surface is even. " * 30 + "</think><answer>No</answer>"
    records = []
    for number in range(rows):
        coarse = rng.normal(130, 30, (SIDE // 8, SIDE // 8, 3)).clip(0, 255).astype(np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE))) + rng.normal(0, 4, (SIDE, SIDE, 1))
        photo = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(photo, "JPEG", quality=92)
        records.append(
            {
                "id": f"bench/OK/S{number}/C1",
                "images": [{"bytes": photo.getvalue(), "path": f"bench/{number}.jpg"}],
                "image_sha256": [sha256(photo.getvalue()).hexdigest()],
                "category": "bench",
                "part": f"bench/OK/S{number}",
                "view": "C1",
                "anomalous": False,
                "cells": [],
                "boxes": [],
                "shot": 0,
                "reviewed": "auto",
                "revision": "0" * 64,
                "provenance": dict.fromkeys(PROVENANCE_KEYS, "") | {"schema": SCHEMA_VERSION},
                "messages": [{"role": "user", "content": ZERO_SHOT_PROMPT}, {"role": "assistant", "content": reply}],
            }
        )
    write_shards(records, folder / "pa_sft", "train", arrow_schema("pa_sft", with_images=True))
    files = [{"config_name": "pa_sft", "data_files": [{"split": "train", "path": "pa_sft/*.parquet"}]}]
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': files})}---\n", encoding="utf-8")


def measure(rows: int) -> tuple[float, float, int]:
    """(rows a second one process prepares, rows a second one training process takes, loading processes)."""
    import_torchvision()
    import torch
    from datasets import disable_progress_bars
    from transformers import LlavaOnevisionImageProcessor
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    disable_progress_bars()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder), rows)
        published = load_rows(folder, "pa_sft")
        _, processor = build("llava_onevision", corpus(published), Shape())
        processor.image_processor = LlavaOnevisionImageProcessor()  # the hub's sizes: tiles of 384, up to 6 x 6
        processor.num_image_tokens = 729
        processor.chat_template = chat_template("llava_onevision")
        prepared = pa_sft_rows(published).remove_columns(["id"])
        collate = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True, max_length=None)
        collate([prepared[0]])
        start = time.process_time()
        for number in range(rows):
            collate([prepared[number]])
        offered = rows / (time.process_time() - start)
    backbone = load(BACKBONE)
    settings = for_backbone("4xA100", backbone, "")
    hours, _ = memory.hours(backbone, settings)
    taken = memory.ROWS["pa_sft"] * settings.pa_sft.epochs / (hours * 3600) / settings.machine.processes
    return offered, taken, settings.machine.workers


def rows(*, quick: bool = False) -> list[Row]:
    """The table's row."""
    offered, taken, workers = measure(4 if quick else 24)
    share = waiting(offered, taken, workers)
    figure = f"{share:.1%} ({workers} x {offered:.1f} rows/s offered, {taken:.1f} rows/s taken by an A100, computed)"
    return [Row("share of a PA-SFT step that waits for data", figure, "0.0%", share == 0)]


def waiting(offered: float, taken: float, workers: int) -> float:
    """Share of a step that a training process waits when `workers` processes offer so many rows a second each."""
    return max(0.0, 1 - workers * offered / taken)


def main() -> int:
    offered, taken, workers = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
    share = waiting(offered, taken, workers)
    print(f"one loading process   {offered:6.2f} rows/s (measured, {SIDE} px, {BACKBONE})")
    print(f"one training process  {taken:6.2f} rows/s (computed, A100)")
    print(f"waiting share with {workers} loading processes: {share:.1%}")
    return 1 if share else 0


if __name__ == "__main__":
    sys.exit(main())
