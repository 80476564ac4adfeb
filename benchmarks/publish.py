"""How much slower publishing with images is than writing the same bytes to Parquet and nothing else.

    python -m benchmarks.publish [--rows 2000] [--kib 350] [--repeat 5]

Photographs are random bytes of the usual size of a Real-IAD photograph at 1024 px, made in a temporary folder; both
sides read them from there (from the page cache, after the first time) and end with an fsync. Both run in turns in this
one process; the medians and their ratio are printed. `bare, no fsync` says what the disk's part in it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.row import Row
from expertad.card import PublishInfo
from expertad.publish import publish
from expertad.record import Record, published_provenance

INFO = PublishInfo("made", "random bytes", "CC0 1.0", seed=0, grid=3)
GROUP_ROWS = 50
RATIO_TARGET = 1.3


def make_records(root: Path, rows: int, size: int) -> list[Record]:
    """Records of photographs of `size` bytes each, half of them anomalous."""
    random = np.random.default_rng(0)
    (root / "tape").mkdir(parents=True)
    made = []
    for number in range(rows):
        content = random.bytes(size)
        relative = f"tape/S{number:05d}.jpg"
        (root / relative).write_bytes(content)
        bad = number % 2 == 1
        made.append(
            Record(
                id=f"tape/{'NG_HS' if bad else 'OK'}/S{number:05d}/C1",
                images=(relative,),
                image_sha256=(sha256(content).hexdigest(),),
                category="tape",
                part=f"tape/{'NG_HS' if bad else 'OK'}/S{number:05d}",
                view="C1",
                anomalous=bad,
                coarse_type="Scratch" if bad else None,
                fine_type="score mark" if bad else None,
                location="top" if bad else None,
                cells=(1,) if bad else (),
                boxes=((400, 20, 90, 60), (500, 30, 9, 6)) if bad else (),
                shot=0,
                reviewed="auto",
                revision="0123456789abcdef" * 2,
                provenance=published_provenance({"backend": "made"}),
                think=f"Sample {number}. " + "I scan the surface from the left to the right and compare it. " * 8,
            )
        )
    return made


def write_bare(records: Sequence[Record], root: Path, path: Path, *, sync: bool) -> None:
    """Images and their paths in row groups, with pyarrow's own settings."""
    schema = pa.schema([("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])))])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(records), GROUP_ROWS):
            rows = [
                {"images": [{"bytes": (root / name).read_bytes(), "path": name} for name in record.images]}
                for record in records[start : start + GROUP_ROWS]
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    if sync:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(rows: int, kib: int, repeat: int) -> dict[str, float]:
    """Median seconds of each way, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        records = make_records(root / "photos", rows, kib * 1024)
        half = len(records) // 2
        tables = {"pa_sft": records[:half], "sc_grpo": records[half:], "held_out": []}
        bare, out = root / "bare.parquet", root / "out"
        works: dict[str, Callable[[], object]] = {
            "bare": lambda: write_bare(records, root / "photos", bare, sync=True),
            "bare, no fsync": lambda: write_bare(records, root / "photos", bare, sync=False),
            "publish": lambda: publish(tables, out, INFO, with_images=True, image_root=root / "photos"),
        }
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(repeat):
            for name, work in works.items():
                times[name].append(seconds(work))
                bare.unlink(missing_ok=True)
                shutil.rmtree(out, ignore_errors=True)
                os.sync()
    return {name: statistics.median(values) for name, values in times.items()}


def rows(*, quick: bool = False) -> list[Row]:
    """The table's row; `quick` publishes a quarter of the photographs."""
    number, repeat = (500, 3) if quick else (2000, 5)
    medians = measure(number, 350, repeat)
    ratio = medians["publish"] / medians["bare"]
    return [
        Row(
            f"publishing {number:,} rows with images / a bare Parquet write",
            f"{ratio:.2f} ({medians['publish']:.2f} and {medians['bare']:.2f} s)",
            f"<= {RATIO_TARGET:g}",
            ratio <= RATIO_TARGET,
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--kib", type=int, default=350, help="size of a photograph")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    medians = measure(options.rows, options.kib, options.repeat)
    megabytes = options.rows * options.kib * 1024 / 1e6
    print(f"{options.rows} rows, {megabytes:.0f} MB of images, medians of {options.repeat}")
    for name, median in medians.items():
        print(f"  {name:<15} {median:6.2f} s  {megabytes / median:6.0f} MB/s")
    print(f"publish / bare = {medians['publish'] / medians['bare']:.2f}")


if __name__ == "__main__":
    main()
