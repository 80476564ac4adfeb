"""The workspace's report.html: one self-contained page in which a person looks through everything a build decided.

The page is private to the workspace: it holds money, times and reviewers' reasons, and links to the photographs on this
machine. Everything that a model wrote goes into it as data and is shown as text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import orjson

from expertad import __version__
from expertad.build import Build, Outcome, Result
from expertad.grid import cell_names
from expertad.ledger import shared_reason
from expertad.locate import workers
from expertad.replace_file import replaced_file
from expertad.sample import ImageFile, Sample

THUMB_PIXELS = 192
THUMB_QUALITY = 62
THUMBS_A_BLOCK = 128
"""Thumbnails are parsed a block at a time, when a page first shows one of them."""

MOST_UNUSABLE = 2_000
"""Unusable entries listed one by one; a source that lost a folder can have a hundred thousand."""


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Small copies of photographs, made once for each content and kept in a folder of the workspace."""

    folder: Path

    def of(self, image: ImageFile) -> bytes:
        """A WebP of at most THUMB_PIXELS; empty when the photograph cannot be read any more."""
        path = self.folder / image.sha256[:2] / f"{image.sha256}.webp"
        try:
            return path.read_bytes()
        except OSError:
            pass
        made = _thumbnail(image)
        if made:
            with replaced_file(path) as out:
                out.write(made)
        return made


def _thumbnail(image: ImageFile) -> bytes:
    try:
        data = np.frombuffer(image.path.read_bytes(), np.uint8)
    except OSError:
        return b""
    shrink = max(image.width, image.height) / THUMB_PIXELS
    flag = (
        cv2.IMREAD_REDUCED_COLOR_4 if shrink >= 4 else cv2.IMREAD_REDUCED_COLOR_2 if shrink >= 2 else cv2.IMREAD_COLOR
    )
    pixels = cv2.imdecode(data, flag)
    if pixels is None:
        return b""
    scale = THUMB_PIXELS / max(pixels.shape[:2])
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, THUMB_QUALITY])
    return encoded.tobytes() if done else b""


@dataclass(frozen=True, slots=True)
class Standing:
    """One selected sample as the page shows it: the set it belongs to, and how it stands."""

    place: str
    sample: Sample
    outcome: Outcome


def write_report(build: Build, result: Result, path: Path) -> Path:
    """Write the page, unless it already says exactly this.

    Args:
        build: the builder.
        result: where the build stands.
        path: the page; its thumbnails are kept in `thumbnails` beside it.
    """
    standing = [
        Standing(place, sample, result.outcomes[sample.sample_id])
        for place, samples in result.selection.selected.items()
        for sample in samples
    ]
    standing.sort(key=lambda found: found.sample.sample_id)
    root = build.source.image_root.absolute().as_uri()
    return write_page(path, _head(build, result), standing, _unusable(build), root, build.settings.workers)


def write_page(
    path: Path,
    head: Mapping[str, Any],
    standing: Sequence[Standing],
    unusable: Sequence[Mapping[str, Any]],
    root: str,
    threads: int = 0,
) -> Path:
    """Write the page from what it shows, unless it already says exactly this.

    Args:
        path: the page; its thumbnails are kept in `thumbnails` beside it.
        head: what stands above the samples.
        standing: the selected samples, in the order of the page.
        unusable: rows of samples that cannot be used.
        root: URI of the folder that the photographs' paths begin in.
        threads: for thumbnails; 0 takes one for each core.
    """
    images = _distinct(found.outcome for found in standing)
    number = {image.sha256: index for index, image in enumerate(images)}

    def body() -> Iterator[bytes]:
        return _page(head, chain((_row(found, number, root) for found in standing), unusable))

    template = files("expertad").joinpath("pages/report.html").read_text(encoding="utf-8")
    digest = _digest(template, body())
    if _says(path, digest):
        return path
    before, between, after = _parts(template.replace("@digest@", digest))
    thumbnails = Thumbnails(path.parent / "thumbnails")
    with replaced_file(path) as out, ThreadPoolExecutor(workers(threads)) as pool:
        out.write(before.encode())
        for piece in _script("data", body()):
            out.write(piece)
        out.write(between.encode())
        for block, chunk in enumerate(_blocks(images)):
            made = [_data_uri(thumb) for thumb in pool.map(thumbnails.of, chunk)]
            for piece in _script(f"thumbs-{block}", [orjson.dumps(made)]):
                out.write(piece)
        out.write(after.encode())
    return path


def _parts(template: str) -> tuple[str, str, str]:
    """The page before the data, between data and thumbnails, and after them."""
    before, _, rest = template.partition("<!--data-->")
    between, _, after = rest.partition("<!--thumbs-->")
    return before, between, after


def _says(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as page:
            return digest.encode() in page.read(400)
    except OSError:
        return False


def _page(head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The page's data as JSON, a row at a time: all of it at once would be twice as large as all that is known."""
    yield b'{"head":' + orjson.dumps(head, option=orjson.OPT_SORT_KEYS) + b',"rows":['
    separator = b""
    for row in rows:
        yield separator + orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        separator = b","
    yield b"]}"


def _digest(template: str, body: Iterable[bytes]) -> str:
    digest = blake2b(template.encode(), digest_size=16)
    for piece in body:
        digest.update(piece)
    return digest.hexdigest()


def _script(name: str, body: Iterable[bytes]) -> Iterator[bytes]:
    """JSON inside HTML: with no "<" in it, nothing in the data can end the element or begin another."""
    yield b'<script type="application/json" id="%s">' % name.encode()
    for piece in body:
        yield piece.replace(b"<", b"\\u003c")
    yield b"</script>\n"


def _data_uri(thumb: bytes) -> str:
    import base64

    return "data:image/webp;base64," + base64.b64encode(thumb).decode() if thumb else ""


def _blocks(images: Sequence[ImageFile]) -> Iterator[Sequence[ImageFile]]:
    for start in range(0, len(images), THUMBS_A_BLOCK):
        yield images[start : start + THUMBS_A_BLOCK]


def _distinct(outcomes: Iterable[Outcome]) -> list[ImageFile]:
    """Every photograph once, a query's reference right behind it where it is new."""
    found: dict[str, ImageFile] = {}
    for outcome in outcomes:
        if outcome.case is not None:
            found.setdefault(outcome.case.query.sha256, outcome.case.query)
            found.setdefault(outcome.case.reference.sha256, outcome.case.reference)
    return list(found.values())


def _row(found: Standing, number: Mapping[str, int], root: str) -> dict[str, Any]:
    sample, outcome = found.sample, found.outcome
    case, draft, ruling = outcome.case, outcome.draft, outcome.ruling
    row: dict[str, Any] = {
        "id": sample.sample_id,
        "state": outcome.state,
        "reason": outcome.reason,
        "set": found.place,
        "category": sample.category,
        "type": sample.coarse_type or "normal",
    }
    if case is not None:
        region = case.region
        row |= {
            "query": number[case.query.sha256],
            "reference": number[case.reference.sha256],
            "reference_id": case.reference_id,
            "size": [case.query.width, case.query.height],
            "files": [f"{root}/{quote(os.fsencode(image.relative))}" for image in (case.query, case.reference)],
            "shot": case.shot,
        }
        if region is not None:
            row |= {"location": region.location, "boxes": region.boxes, "area": region.area, "cells": region.cells}
    if draft is not None:
        row |= {"description": draft.description, "think": draft.think, "fine_type": draft.fine_type}
        row["findings"] = [[finding.name, finding.severity, finding.reason] for finding in outcome.findings]
    if ruling is not None and ruling.verdict is not None:
        verdict = ruling.verdict
        row["verdict"] = {
            "by": verdict.annotator,
            "decision": verdict.decision,
            "reasons": verdict.reasons,
            "at": verdict.at,
            "note": verdict.note,
            "think": verdict.think,
            "fine_type": verdict.fine_type,
            "location": verdict.location,
        }
    return row


def _unusable(build: Build) -> list[dict[str, Any]]:
    return [
        {"id": name, "state": "unusable", "reason": reason, "set": "", "category": name.split("/")[0], "type": ""}
        for name, reason in build.ledger.unusable(MOST_UNUSABLE)
    ]


def _head(build: Build, result: Result) -> dict[str, Any]:
    settings = build.settings
    return {
        "version": __version__,
        "title": build.source.title,
        "accounting": asdict(result.accounting),
        "waiting": result.waiting,
        "left": result.left,
        "notes": [*result.ingested.notes, *result.selection.notes],
        "problems": sorted(result.ingested.problems.items()),
        "reasons": _reasons(build),
        "spent": [
            {"model": model, "stage": stage, "currency": currency, **totals}
            for (model, stage, currency), totals in build.ledger.spent().items()
        ],
        "asked": build.sizes,
        "target": dict(result.selection.target),
        "held_out": len(result.held_out),
        "grid": settings.grid,
        "cells": cell_names(settings.grid),
        "seed": settings.seed,
        "teacher": [build.asker.backend.name, build.asker.backend.model],
        "review": settings.review_mode,
        "agreement": [asdict(found) for found in result.agreement],
        "calibration": [str(score) for score in result.calibration],
    }


def _reasons(build: Build) -> list[tuple[str, str, int]]:
    counts: dict[tuple[str, str], int] = {}
    for (state, reason), count in build.ledger.reasons().items():
        key = (state, shared_reason(reason))
        counts[key] = counts.get(key, 0) + count
    return [(state, reason, count) for (state, reason), count in sorted(counts.items(), key=lambda item: -item[1])]
