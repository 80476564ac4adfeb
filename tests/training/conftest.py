"""A small published data set, written by the project's own writers from drawn masks, and tiny backbones."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from expertad import grid, pattern
from expertad.parquet import arrow_schema, with_bytes, write_shards
from expertad.record import (
    ONE_SHOT_PROMPT,
    PROVENANCE_KEYS,
    QUESTION,
    SCHEMA_VERSION,
    SPLIT_OF,
    ZERO_SHOT_PROMPT,
    validate,
)

# Read when `datasets` is imported; keeps the rows of these tests out of the user's cache.
os.environ.setdefault("HF_DATASETS_CACHE", f"{tempfile.gettempdir()}/expertad-tests-datasets")

SIDE = 84
KINDS = [
    ("hole", "Hole", (10, 10, 10)),
    ("stain", "Contamination", (30, 140, 50)),
    ("scratch mark", "Scratch", (250, 250, 245)),
]


def draw(path: Path, seed: int, anomalous: bool):
    """One 84-pixel texture, with a blob of one of three kinds in a random place; returns (region, kind) or None."""
    rng = np.random.default_rng(seed)
    image = np.clip(rng.normal(140, 8, (SIDE, SIDE, 3)), 0, 255)
    found = None
    if anomalous:
        kind = KINDS[rng.integers(3)]
        cell_y, cell_x = rng.integers(3), rng.integers(3)
        cy, cx = 28 * cell_y + 14 + rng.integers(-4, 5), 28 * cell_x + 14 + rng.integers(-4, 5)
        y, x = np.mgrid[0:SIDE, 0:SIDE]
        mask = ((y - cy) ** 2 + (x - cx) ** 2 <= 8**2).astype(np.uint8) * 255
        image[mask > 0] = kind[2]
        found = grid.locate(mask, 3), kind
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path)
    return found


def row(root: Path, config: str, number: int, shot: int):
    anomalous = number % 2 == 1
    seed = number + {"pa_sft": 0, "sc_grpo": 100_000, "held_out": 200_000}[config]
    status = "NG_AK" if anomalous else "OK"
    name = f"{config}/{status}/S{number:04d}"
    query = f"{name}/C1.png"
    found = draw(root / query, seed, anomalous)
    images = [query]
    if shot:
        reference = f"{config}/OK/S{number:04d}r/C1.png"
        draw(root / reference, seed + 500_000, False)
        images = [reference, query]
    fields = {
        "id": f"{name}/C1",
        "images": images,
        "image_sha256": [sha256((root / image).read_bytes()).hexdigest() for image in images],
        "category": config,
        "part": name,
        "view": "C1",
        "anomalous": anomalous,
        "coarse_type": found[1][1] if found else None,
        "fine_type": found[1][0] if found and config != "held_out" else None,
        "location": found[0].location if found else None,
        "cells": list(found[0].cells) if found else [],
        "boxes": [list(box) for box in found[0].boxes] if found else [],
        "shot": shot,
        "reviewed": "auto" if config != "held_out" else None,
        "revision": "0" * 64 if config != "held_out" else None,
        "provenance": {key: "" for key in PROVENANCE_KEYS} | {"schema": SCHEMA_VERSION},
    }
    if config == "pa_sft":
        think = f"A {found[1][0]} lies at the {found[0].location}." if found else "The surface is even everywhere."
        reply = pattern.write(think, fields["location"], fields["fine_type"])
        prompt = ONE_SHOT_PROMPT if shot else ZERO_SHOT_PROMPT
        fields["messages"] = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
    elif config == "sc_grpo":
        tags = f"<location>{fields['location']}</location><type>{fields['fine_type']}</type>" if found else ""
        fields |= {"problem": QUESTION, "solution": f"{tags}<answer>{'Yes' if found else 'No'}</answer>"}
    return fields


def publish(folder: Path, root: Path, counts: dict[str, int], *, with_images: bool, shot: int = 0) -> Path:
    """Writes a data set in the published form and returns its folder."""
    configs = []
    for config, count in counts.items():
        rows = [row(root, config, number, shot) for number in range(count)]
        for one in rows:
            validate(one, config)
        rows = [with_bytes(one, root) for one in rows] if with_images else rows
        split = SPLIT_OF[config]
        write_shards(rows, folder / config, split, arrow_schema(config, with_images=with_images))
        configs.append({"config_name": config, "data_files": [{"split": split, "path": f"{config}/*.parquet"}]})
    header = yaml.safe_dump({"configs": configs}, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{header}---\n# A small data set\n", encoding="utf-8")
    return folder


COUNTS = {"pa_sft": 16, "sc_grpo": 8, "held_out": 16}


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Annotations with images included."""
    base = tmp_path_factory.mktemp("published")
    return publish(base / "dataset", base / "images", COUNTS, with_images=True)


@pytest.fixture(scope="session")
def one_shot_dataset(tmp_path_factory) -> Path:
    """Reference and query in every row."""
    base = tmp_path_factory.mktemp("one_shot")
    return publish(base / "dataset", base / "images", COUNTS, with_images=True, shot=1)


@pytest.fixture
def annotations_only(tmp_path) -> tuple[Path, Path]:
    """(data set, image root): paths without images."""
    return publish(tmp_path / "dataset", tmp_path / "images", COUNTS, with_images=False), tmp_path / "images"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, dataset):
    """A function: architecture -> folder of a tiny saved backbone of it."""
    from training import tiny as builder
    from training.data import corpus, load_rows

    base = tmp_path_factory.mktemp("tiny")

    def folder(arch: str) -> Path:
        path = base / arch
        if not path.is_dir():
            model, processor = builder.build(arch, corpus(load_rows(str(dataset), "pa_sft")))
            model.save_pretrained(path)
            processor.save_pretrained(path)
        return path

    return folder


def settings_for(dataset: Path, model: Path, arch: str = "llava_onevision", **changes):
    """Settings of a few-second run of a tiny model in this process."""
    from training.settings import Machine, PaSft, ScGrpo, Settings, Smoke, merge

    base = Settings(
        preset="test",
        backbone="tiny",
        arch=arch,
        model=str(model),
        dataset=str(dataset),
        machine=Machine(processes=1, zero=0, dtype="float32", gpu=False, workers=0),
        pa_sft=PaSft(
            max_steps=1, batch=2, accumulation=1, warmup_steps=0, gradient_checkpointing=False, logging_steps=1
        ),
        sc_grpo=ScGrpo(
            max_steps=1,
            batch=8,
            accumulation=1,
            generations=4,
            max_completion_tokens=12,
            vllm="off",
            gradient_checkpointing=False,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
        ),
        smoke=Smoke(),
    )
    return merge(base, changes, "test")


@pytest.fixture
def make_settings():
    """`settings_for` as a fixture."""
    return settings_for
