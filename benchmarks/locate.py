"""What locating costs beside decoding: `python -m benchmarks.locate [masks]`.

Draws masks of 1024 x 1024 pixels as defects look (a blob or a few, a thin line, scattered specks), writes them as PNG,
and reports in one table, all from this run: the medians of a bare decode and of reading a mask and locating it, their
ratio, and the throughput of one thread and of two. Two threads need two idle cores to show what they can.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from benchmarks.row import Row
from expertad.grid import locate
from expertad.images import read_mask

SIDE = 1024
REPEATS = 5
RATIO_TARGET, GAIN_TARGET = 1.5, 1.7


def draw_mask(generator: np.random.Generator) -> np.ndarray:
    """One defect: round or ragged blobs, a scratch, or specks, in 0 and 255, as (1024, 1024) uint8."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    kind = generator.choice(["blob", "blobs", "scratch", "specks"])
    counts = {
        "blob": 1,
        "blobs": int(generator.integers(2, 6)),
        "scratch": 1,
        "specks": int(generator.integers(10, 40)),
    }
    for _ in range(counts[kind]):
        x, y = (int(value) for value in generator.integers(60, SIDE - 60, 2))
        if kind == "scratch":
            path = np.cumsum(generator.normal((6, 2), 4, (40, 2)), axis=0) + (x, y)
            cv2.polylines(mask, [path.astype(np.int32)], False, 255, int(generator.integers(2, 7)))
            continue
        radius = generator.integers(2, 8) if kind == "specks" else generator.integers(12, 120)
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        reach = radius * generator.uniform(0.7, 1.3, 32)
        outline = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [outline.astype(np.int32)], 255)
    return mask


def decode(path: Path) -> None:
    """The bare decode that locating is measured against."""
    cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)


def decode_and_locate(path: Path) -> None:
    """What the build does with a mask."""
    locate(read_mask(path))


def seconds(work: Callable[[Path], None], path: Path) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    work(path)
    return time.perf_counter() - begun


def throughput(paths: list[Path], threads: int) -> float:
    """Masks decoded and located in a second."""
    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(decode_and_locate, paths))
        return len(paths) / (time.perf_counter() - begun)


@dataclass(frozen=True)
class Measured:
    """Medians of one run: milliseconds a mask, and masks a second with one thread and with two."""

    bare_ms: float
    located_ms: float
    one: float
    two: float
    gain: float

    @property
    def ratio(self) -> float:
        """Reading and locating as a multiple of the bare decode."""
        return self.located_ms / self.bare_ms


def measure(count: int) -> Measured:
    """Draw masks, then time both ways on each, and all of them with one thread and with two."""
    cv2.setNumThreads(1)  # so that threads here are all the threads there are
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.png" for index in range(count)]
        for path in paths:
            path.write_bytes(cv2.imencode(".png", draw_mask(generator))[1].tobytes())
        bare, located = [], []
        for path in paths:
            bare.append(seconds(decode, path))
            located.append(seconds(decode_and_locate, path))
        # Alternating, so that a busy moment of the machine falls on both alike.
        rates = [(throughput(paths, 1), throughput(paths, 2)) for _ in range(REPEATS)]
    return Measured(
        1e3 * median(bare),
        1e3 * median(located),
        median(rate for rate, _ in rates),
        median(rate for _, rate in rates),
        median(second / first for first, second in rates),
    )


def rows(*, quick: bool = False) -> list[Row]:
    """The table's rows; `quick` takes a tenth of the masks."""
    count = 200 if quick else 2_000
    found = measure(count)
    return [
        Row(
            f"locate / bare decode, {count:,} masks of {SIDE} pixels",
            f"{found.ratio:.2f} ({found.located_ms:.2f} and {found.bare_ms:.2f} ms)",
            f"<= {RATIO_TARGET:g}",
            found.ratio <= RATIO_TARGET,
        ),
        Row(
            "locate with two threads / with one",
            f"{found.gain:.2f} ({found.two:.0f} and {found.one:.0f} masks/s)",
            f">= {GAIN_TARGET:g} on two idle cores",
            found.gain >= GAIN_TARGET,
        ),
    ]


def main() -> None:
    """Draw, measure, print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    found = measure(count)
    print(f"{count} masks of {SIDE} x {SIDE} pixels, medians of one run")
    print(f"{'bare decode':32}{found.bare_ms:10.3f} ms")
    print(f"{'decode and locate':32}{found.located_ms:10.3f} ms")
    print(f"{'ratio of medians':32}{found.ratio:10.3f}")
    print(f"{'one thread':32}{found.one:10.0f} masks/s")
    print(f"{'two threads':32}{found.two:10.0f} masks/s")
    print(f"{'ratio, median of pairs':32}{found.gain:10.3f}")


if __name__ == "__main__":
    main()
