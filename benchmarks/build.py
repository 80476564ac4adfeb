"""What a build costs when nothing is left to do, and how its memory grows with the number of samples.

    python -m benchmarks.build [--rows 5900] [--folder FOLDER] [--rounds 5]

Makes a data set of 30 categories in Real-IAD's layout with photographs of 1024 pixels, builds it, and then times
`expertad build` on the same workspace as a process of its own. A few drawn photographs lend their pixels to all the
others; every file is there and of its own content, since each JPEG carries its name as a comment. The grounded teacher
writes all texts; photographs of equal pixels are measured once, so that the first build takes minutes and not an hour.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2

from benchmarks.ingest import CODES
from benchmarks.row import Row
from expertad import builder, config
from expertad.build import Build, in_process
from expertad.config import Settings
from expertad.locate import workers
from expertad.progress import Progress
from expertad.publish import publish
from expertad.report import write_report
from expertad.sample import Case, ImageFile
from expertad.sources import open_source
from expertad.sources.drawn import draw
from expertad.teachers import grounded
from expertad.teachers.grounded_backend import GroundedBackend
from expertad.teachers.registry import TeacherSettings, make_asker
from expertad.workspace import hold, open_ledger

ROWS = 5_900
VIEWS = 5
QUALITY = 60
NORMAL_SHARE, DEFECT_SHARE = 0.62, 0.78
"""Rows for each photograph: the others are references, held out, or repeat another's text."""

SECONDS_TARGET = 3.0
GROWTH_TARGET = 1024


@dataclass(frozen=True)
class Base:
    """A drawn photograph that lends its pixels: its JPEG, its mask, and both as files to measure."""

    jpeg: bytes
    png: bytes | None
    file: ImageFile
    mask: Path | None


@dataclass(frozen=True)
class Run:
    """One `expertad build` as a process: seconds by the clock and of its processors, peak memory, and its JSON."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    json: dict[str, Any]


def draw_bases(folder: Path) -> dict[str, dict[str, Base]]:
    """For each drawn category, one photograph of each of its classes, "OK" among them."""
    draw(folder / "drawn", parts=8)
    bases: dict[str, dict[str, Base]] = {}
    for path in sorted((folder / "drawn" / "realiad_jsons").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        images = folder / "drawn" / "realiad_1024" / path.stem
        for entry in document["train"] + document["test"]:
            kind, mask = entry["anomaly_class"], entry["mask_path"]
            if kind in bases.setdefault(path.stem, {}) or (kind == "OK") != entry["image_path"].startswith("OK/"):
                continue
            pixels = cv2.imread(str(images / entry["image_path"]))
            jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            file = folder / f"{path.stem}_{kind}.jpg"
            file.write_bytes(jpeg)
            bases[path.stem][kind] = Base(
                jpeg,
                (images / mask).read_bytes() if mask else None,
                ImageFile(file, file.name, sha256(jpeg).hexdigest(), pixels.shape[1], pixels.shape[0]),
                images / mask if mask else None,
            )
    return bases


def make_tree(root: Path, bases: Mapping[str, Mapping[str, Base]], rows: int) -> dict[str, Base]:
    """A data set that has enough for `rows` published rows; returns whose pixels each photograph has, by its path."""
    lenders: dict[str, Base] = {}
    each = rows / 2 / len(CODES) / VIEWS
    (root / "realiad_jsons").mkdir(parents=True)
    for number, category in enumerate(CODES):
        drawn = bases[sorted(bases)[number % len(bases)]]
        kinds = sorted(drawn.keys() - {"OK"})
        parts = [("OK", count) for count in range(1, 3 + math.ceil(each / NORMAL_SHARE))]
        parts += [
            (kind, count) for kind in kinds for count in range(1, 2 + math.ceil(each / DEFECT_SHARE / len(kinds)))
        ]
        entries = []
        for kind, count in parts:
            folder = f"OK/S{count:04}" if kind == "OK" else f"NG/{kind}/S{count:04}"
            (root / "realiad_1024" / category / folder).mkdir(parents=True)
            for view in range(1, VIEWS + 1):
                sign = f"_{count:04}_OK" if kind == "OK" else f"__{count:04}_NG_{kind}"
                stem = f"{folder}/{category}{sign}_C{view}_{20230922140000 + count}"
                base = drawn[kind]
                image = root / "realiad_1024" / category / f"{stem}.jpg"
                image.write_bytes(_commented(base.jpeg, f"{category}/{stem}"))
                if base.png is not None:
                    image.with_suffix(".png").write_bytes(base.png)
                mask = f"{stem}.png" if base.png is not None else None
                lenders[f"{category}/{stem}.jpg"] = base
                entries.append(
                    {"category": category, "anomaly_class": kind, "image_path": f"{stem}.jpg", "mask_path": mask}
                )
        document = {"meta": {"prefix": f"{category}/", "normal_class": "OK"}, "train": [], "test": entries}
        (root / "realiad_jsons" / f"{category}.json").write_text(json.dumps(document), encoding="utf-8")
    return lenders


def _commented(jpeg: bytes, comment: str) -> bytes:
    """The JPEG with a comment behind its first marker: other bytes, the same pixels."""
    text = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def teacher(lenders: Mapping[str, Base], threads: int) -> GroundedBackend:
    """The grounded teacher, which measures a lender's files instead of each photograph that has its pixels."""

    def lent(case: Case) -> Case:
        query, reference = lenders[case.query.relative], lenders[case.reference.relative]
        return replace(case, query=query.file, reference=reference.file, mask=query.mask)

    return GroundedBackend(
        lambda case: grounded.describe(lent(case)),
        lambda case, description: grounded.distill(lent(case), description),
        grounded.MODEL,
        threads,
    )


def first_build(settings: Settings, lenders: Mapping[str, Base]) -> None:
    """What `expertad build` does, with the teacher above."""
    with Progress() as progress, hold(settings.workspace), open_ledger(settings) as ledger:
        source = open_source(settings, lambda done, total: None)
        backend = teacher(lenders, workers(settings.workers))
        asker = make_asker("grounded", TeacherSettings(), ledger, backend=backend)
        build = Build(settings, ledger, source, asker, progress)
        result = build.run(in_process(4, lambda: None))
        tables = builder.integrated(build, result)
        publish(tables, settings.workspace / builder.DATASET, builder.publish_info(build, result))
        write_report(build, result, settings.workspace / builder.REPORT)


LAUNCH = """
import json, os, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run([sys.executable, "-m", "expertad.cli", *sys.argv[1:], "--json"], capture_output=True, text=True)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
last = done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr
print(json.dumps([done.returncode, last, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def again(words: list[str]) -> Run:
    """`expertad build` as a user runs it.

    A small process starts it, because a process's peak memory counts what the one that started it holds.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXPERTAD_")}
    command = [sys.executable, "-c", LAUNCH, *words]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    code, last, wall_s, cpu_s, peak_mb = json.loads(out)
    if code != 0:
        raise SystemExit(f"expertad {' '.join(words)} ended with {code}: {last}")
    return Run(wall_s, cpu_s, peak_mb, json.loads(last))


@dataclass(frozen=True)
class Measured:
    """No-op builds over one data set: samples ingested, published rows, the first build's seconds, and the runs."""

    samples: int
    published: int
    first_s: float
    runs: tuple[Run, ...]

    @property
    def wall_s(self) -> float:
        """Median by the clock."""
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        """Median of processor time."""
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_mb(self) -> float:
        """Median of peak memory."""
        return statistics.median(run.peak_mb for run in self.runs)


def measure(folder: Path, tree: Path, lenders: Mapping[str, Base], rows: int, rounds: int) -> Measured:
    """Build `rows` rows from a tree into a new workspace in `folder`, and time building them again."""
    workspace = folder / f"workspace_{tree.name}_{rows}"
    shutil.rmtree(workspace, ignore_errors=True)
    flags = {"source": "real-iad", "root": tree, "workspace": workspace}
    sizes = {"pa_sft": rows * 29 // 59, "sc_grpo": rows - rows * 29 // 59}
    started = time.perf_counter()
    first_build(config.load({**flags, **sizes}), lenders)
    first_s = time.perf_counter() - started
    return time_again(flags, sizes, rounds, first_s)


def time_again(flags: Mapping[str, object], sizes: Mapping[str, int], rounds: int, first_s: float) -> Measured:
    """Run the build on a finished workspace and insist that it did nothing."""
    words = ["build"]
    for name, value in {**flags, **sizes}.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    stamp = Path(str(flags["workspace"])) / builder.DATASET / "digest.json"
    before = stamp.stat().st_mtime_ns
    runs = tuple(again(words) for _ in range(rounds + 1))[1:]  # the first one warms the page cache
    for run in runs:
        if run.json["teacher"]["calls"] or run.json["left"] or stamp.stat().st_mtime_ns != before:
            raise SystemExit(f"a second build had something to do: {run.json}")
    return Measured(runs[0].json["ingested"], runs[0].json["published"], first_s, runs)


def rows(*, quick: bool = False) -> list[Row]:
    """The table's rows; `quick` builds a tenth."""
    number, rounds = (ROWS // 10, 3) if quick else (ROWS, 5)
    few = number // 4
    with tempfile.TemporaryDirectory(prefix="expertad-build-") as temporary:
        folder = Path(temporary)
        bases = draw_bases(folder)
        small, large = folder / "small", folder / "large"
        small_lenders, large_lenders = make_tree(small, bases, few), make_tree(large, bases, number)
        least = measure(folder, small, small_lenders, few, rounds)
        more = measure(folder, large, large_lenders, few, rounds)
        most = measure(folder, large, large_lenders, number, rounds)
    a_sample = grown(least, more) / (more.samples - least.samples)
    a_row = grown(more, most) / (most.published - more.published)
    return [
        Row(
            f"build with nothing to do, {most.published:,} finished samples",
            f"{most.wall_s:.2f} s ({most.cpu_s:.2f} s of processor time)",
            f"< {SECONDS_TARGET:g} s",
            most.wall_s < SECONDS_TARGET,
        ),
        Row(
            f"its memory from {least.samples:,} to {more.samples:,} samples, {more.published:,} rows",
            f"{least.peak_mb:.0f} to {more.peak_mb:.0f} MB, {a_sample:.0f} bytes a sample",
            f"<= {GROWTH_TARGET:,} bytes",
            a_sample <= GROWTH_TARGET,
        ),
        Row(
            f"its memory from {more.published:,} to {most.published:,} rows, {most.samples:,} samples",
            f"{more.peak_mb:.0f} to {most.peak_mb:.0f} MB, {a_row:.0f} bytes a row, its texts among them",
        ),
    ]


def grown(small: Measured, large: Measured) -> float:
    """Bytes of peak memory by which one build needs more than another."""
    return (large.peak_mb - small.peak_mb) * 1024 * 1024


def main() -> None:
    """Make, build, build again, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="work here and keep what is made (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="expertad-build-") as temporary:
        folder = options.folder or Path(temporary)
        tree = folder / f"tree{options.rows}"
        shutil.rmtree(tree, ignore_errors=True)
        lenders = make_tree(tree, draw_bases(folder), options.rows)
        found = measure(folder, tree, lenders, options.rows, options.rounds)
    print(f"{found.samples} samples, {found.published} published, first build {found.first_s:.0f} s")
    for run in found.runs:
        print(f"again {run.wall_s:.2f} s ({run.cpu_s:.2f} s of processor time), {run.peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
