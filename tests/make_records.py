"""Tiny real photographs, masks and the records made from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from expertad.agreement import Agreement
from expertad.card import PublishInfo, ReviewStats
from expertad.grid import locate
from expertad.images import sha256_file
from expertad.integrate import held_out, integrate
from expertad.order import unit
from expertad.record import Config, Record
from expertad.sample import Case, Draft, ImageFile, Sample
from expertad.taxonomy import CODE_TO_COARSE, FINE_TERMS

CATEGORIES = ("audiojack", "zipper")
REVISION = "0123456789abcdef" * 2
PROVENANCE = {
    "source": "real_iad",
    "backend": "openai",
    "describe_model": "qwen-vl-max",
    "describe_prompt": "describe.v1",
    "distill_model": "qwen-vl-max",
    "distill_prompt": "distill.v1",
    "checks": "c0ffee",
    "host": "gpu-box-7.example.org",
    "asked_at": "2026-01-02T03:04:05Z",
}
AGREEMENT = (
    Agreement("decision", "Krippendorff's alpha", 0.8125, 0.9, 12, 3),
    Agreement("location", "Krippendorff's alpha", None, 1.0, 7, 2),
)
INFO = PublishInfo(
    source="real_iad",
    source_title="Real-IAD",
    source_licence="CC BY-NC-SA 4.0",
    seed=7,
    grid=3,
    asked={"pa_sft": 12, "sc_grpo": 8},
    held_out=0.1,
    accounting={
        "ingested": 40,
        "selected": 26,
        "unselected": 12,
        "unusable": 2,
        "published": 20,
        "rejected": 3,
        "quarantined": 2,
        "pending": 1,
    },
    reasons={"rejected": {"wrong place": 2, "a | pipe": 1}},
    review=ReviewStats(8, 2, 3, 2, {"wrong location": 3}, AGREEMENT),
    notes=("the source had too few parts",),
)


def photograph(root: Path, relative: str, seed: int) -> ImageFile:
    """A 48 x 40 JPEG of a texture of its own."""
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    texture = np.random.default_rng(seed).integers(90, 160, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(texture).save(path, quality=90)
    return ImageFile(path, relative, sha256_file(path), 48, 40)


def case(
    root: Path,
    number: int,
    *,
    code: str = "OK",
    category: str = "audiojack",
    shot: Literal[0, 1] = 0,
    block: tuple[int, int] = (2, 3),
) -> Case:
    """A sample whose files lie under `root`; a defective one has a 6 x 5 px defect at `block` (row, column)."""
    status = "OK" if code == "OK" else f"NG_{code}"
    place = "OK" if code == "OK" else f"NG/{code}"
    part = f"{category}/{status}/S{number:04d}"
    stem = f"{category}/{place}/S{number:04d}/{category}_{number:04d}_C1"
    mask = None
    region = None
    if code != "OK":
        pixels = np.zeros((40, 48), dtype=np.uint8)
        pixels[block[0] : block[0] + 6, block[1] : block[1] + 5] = 255
        region = locate(pixels)
        mask = root / f"{stem}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(mask)
    sample = Sample(
        sample_id=f"{part}/C1",
        category=category,
        part_id=part,
        view="C1",
        stratum="normal" if code == "OK" else "anomalous",
        code=code,
        coarse_type=CODE_TO_COARSE.get(code),
        image_path=f"{stem}.jpg",
        mask_path=None if mask is None else f"{stem}.png",
    )
    reference = photograph(root, f"{category}/OK/S9000/{category}_9000_C1.jpg", 9000)
    query = photograph(root, f"{stem}.jpg", number)
    return Case(sample, query, reference, f"{category}/OK/S9000/C1", region, mask, shot)


def draft(case: Case) -> Draft:
    """What a teacher might have written about the case."""
    sample = case.sample
    fine_type = None
    think = "I scan the whole surface. Its texture is even and within the standard. Nothing affects its function."
    if sample.coarse_type is not None and case.region is not None:
        terms = FINE_TERMS[sample.coarse_type]
        fine_type = terms[int(unit(0, "term", sample.sample_id) * len(terms))]
        think = f"I scan the surface and stop at the {case.region.location}: “{fine_type}”, 2 µm wide. It is a defect."
    return Draft(sample.sample_id, "A description.", think, fine_type, tuple(PROVENANCE.items()))


def record(root: Path, number: int, **options: object) -> Record:
    """The record of `case(root, number, **options)`, passed by the checks alone."""
    made = case(root, number, **options)  # type: ignore[arg-type]
    return integrate(made, draft(made), None, reviewed="auto", revision=REVISION, provenance={})


def tables(
    root: Path,
    sizes: Sequence[int] = (12, 8, 4),
    shots: Sequence[Literal[0, 1]] = (0,),
    categories: Sequence[str] = CATEGORIES,
) -> dict[Config, list[Record]]:
    """Records for pa_sft, sc_grpo and held_out, half of each anomalous, `shots` taking turns."""
    codes = list(CODE_TO_COARSE)
    made: dict[Config, list[Record]] = {"pa_sft": [], "sc_grpo": [], "held_out": []}
    number = 0
    for config, size in zip(made, sizes, strict=True):
        for index in range(size):
            number += 1
            options = {
                "code": codes[number % len(codes)] if index % 2 else "OK",
                "category": categories[(index // 2) % len(categories)],
                "shot": shots[index % len(shots)],
                "block": (number * 7 % 34, number * 11 % 42),
            }
            if config == "held_out":
                made[config].append(held_out(case(root, number, **options), provenance={"source": "real_iad"}))  # type: ignore[arg-type]
            else:
                made[config].append(record(root, number, **options))
    return made


def files(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
