"""How long it takes to read all metadata of Real-IAD at its true size, against `json.loads` of the same bytes.

    python -m benchmarks.ingest [--tree FOLDER] [--rounds 5]

Builds, once, a tree with Real-IAD's 30 categories, 151,050 entries and 202,379 empty files, then times reader and
`json.loads` in turn in one process and prints medians, their ratio, and the peak memory. `measure` takes the function
that ingests: the reader alone, or the whole way into a fresh ledger.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.row import Row
from expertad.ingest import ingest
from expertad.ledger import Ledger, sqlite_url
from expertad.sources.base import Source
from expertad.sources.real_iad import RealIAD

CODES = {
    "audiojack": "BX HS QS ZW",
    "bottle_cap": "AK HS QS ZW",
    "button_battery": "AK CH HS ZW",
    "end_cap": "HS PS QS ZW",
    "eraser": "AK HS QS ZW",
    "fire_hood": "AK HS QS ZW",
    "mint": "QS YW ZW",
    "mounts": "AK QS ZW",
    "pcb": "HS QS YW ZW",
    "phone_battery": "AK HS PS ZW",
    "plastic_nut": "AK HS QS ZW",
    "plastic_plug": "AK HS QS ZW",
    "porcelain_doll": "CH HS ZW",
    "regulator": "AK HS QS ZW",
    "rolled_strip_base": "AK QS ZW",
    "sim_card_set": "CH HS ZW",
    "switch": "HS QS ZW",
    "tape": "HS PS QS ZW",
    "terminalblock": "AK QS ZW",
    "toothbrush": "CH QS ZW",
    "toy": "AK HS QS ZW",
    "toy_brick": "AK HS QS ZW",
    "transistor1": "BX QS ZW",
    "u_block": "CH HS QS ZW",
    "usb": "BX HS QS ZW",
    "usb_adaptor": "AK CH HS ZW",
    "vcpill": "AK HS QS ZW",
    "wooden_beads": "AK HS QS ZW",
    "woodstick": "AK HS QS ZW",
    "zipper": "BX PS QS ZW",
}
"""The classes of each category, as counted in the release."""

OK_PARTS, NG_PARTS, VIEWS = 14_568, 15_642, 5
NG_VIEWS_OK, TRAIN = 26_881, 36_465
ENTRIES = (OK_PARTS + NG_PARTS) * VIEWS

RATIO_TARGET = 20.0
MEMORY_TARGET_MB = 300.0


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds, in seconds by the clock and of this process, and memory in MB before and at its peak."""

    ingest_s: float
    json_s: float
    ingest_cpu_s: float
    json_cpu_s: float
    idle_mb: float
    peak_mb: float

    @property
    def ratio(self) -> float:
        """The ingest's time as a multiple of json.loads of the same files."""
        return self.ingest_s / self.json_s

    @property
    def cpu_ratio(self) -> float:
        """The same of processor time, which other programs disturb less."""
        return self.ingest_cpu_s / self.json_cpu_s


def build(root: Path) -> None:
    """Write a tree of Real-IAD's size below `root`: JSON files with content, photographs and masks empty."""
    jsons = root / "realiad_jsons"
    jsons.mkdir(parents=True)
    ok_parts, ng_parts = _shares(OK_PARTS), _shares(NG_PARTS)
    ng_views_ok, train = _shares(NG_VIEWS_OK), _shares(TRAIN)
    for number, (category, codes) in enumerate(CODES.items()):
        entries = [*_normal(category, ok_parts[number])]
        defective = [*_defective(category, codes.split(), ng_parts[number], ng_views_ok[number])]
        document = {
            "meta": {"prefix": f"{category}/", "normal_class": "OK", "pre_transform": None},
            "train": entries[: train[number]],
            "test": entries[train[number] :] + defective,
        }
        folder = root / "realiad_1024" / category
        for entry in entries + defective:
            image = folder / str(entry["image_path"])
            if image.name.find("_C1_") > 0:
                image.parent.mkdir(parents=True)
            image.touch()
            if entry["mask_path"]:
                (folder / entry["mask_path"]).touch()
        (jsons / f"{category}.json").write_text(json.dumps(document), encoding="utf-8")


def _shares(total: int) -> list[int]:
    """The total over the categories, uneven by up to a quarter and always in the same way."""
    weights = [1 + ((number * 7) % 11 - 5) / 20 for number in range(len(CODES))]
    ends = [round(total * sum(weights[: number + 1]) / sum(weights)) for number in range(len(CODES))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _normal(category: str, parts: int) -> Iterator[dict[str, str | None]]:
    for number in range(1, parts + 1):
        for view in range(1, VIEWS + 1):
            name = f"{category}_{number:04}_OK_C{view}_{20230922140000 + number}"
            yield _entry(category, "OK", f"OK/S{number:04}/{name}", masked=False)


def _defective(category: str, codes: list[str], parts: int, views_ok: int) -> Iterator[dict[str, str | None]]:
    for count in range(parts):
        code, number = codes[count % len(codes)], count // len(codes) + 1
        for view in range(1, VIEWS + 1):
            place = count * VIEWS + view - 1
            unseen = (place + 1) * views_ok // (parts * VIEWS) > place * views_ok // (parts * VIEWS)
            name = f"{category}__{number:04}_NG_{code}_C{view}_{20231023090000 + number}"
            yield _entry(category, "OK" if unseen else code, f"NG/{code}/S{number:04}/{name}", masked=not unseen)


def _entry(category: str, label: str, stem: str, *, masked: bool) -> dict[str, str | None]:
    mask = f"{stem}.png" if masked else None
    return {"category": category, "anomaly_class": label, "image_path": f"{stem}.jpg", "mask_path": mask}


def read_all(source: Source) -> None:
    """Read every category, one in memory at a time, and check that the sums are Real-IAD's."""
    strata = {"normal": 0, "ng_view_ok": 0, "anomalous": 0}
    for category in source.categories():
        inventory = source.read(category)
        for sample in inventory.samples:
            strata[sample.stratum] += 1
    expected = {"normal": OK_PARTS * VIEWS, "ng_view_ok": NG_VIEWS_OK, "anomalous": NG_PARTS * VIEWS - NG_VIEWS_OK}
    if strata != expected:
        raise SystemExit(f"read {strata}, not {expected}: remove the tree and build it again")


def ingest_into_ledger(source: Source) -> None:
    """The build's own first stage, into a new ledger on disk."""
    with tempfile.TemporaryDirectory(prefix="expertad-ledger-") as folder:
        ledger = Ledger(sqlite_url(Path(folder)))
        try:
            ingest(source, ledger)
            if ledger.ingested() != ENTRIES:
                raise SystemExit(f"{ledger.ingested()} entries are in the ledger, not {ENTRIES}")
        finally:
            ledger.close()


def measure(ingest_all: Callable[[Source], None], root: Path, rounds: int = 5) -> Timing:
    """Time `ingest_all` over the tree below `root` against `json.loads` of its JSON files.

    Each round times both, in turn, in this process; peak memory is taken first, in a process of its own.
    """
    idle_mb, peak_mb = _memory(ingest_all, root)
    ingests, loads = [], []
    for _ in range(rounds):
        loads.append(_seconds(lambda: _load_all(root)))
        ingests.append(_seconds(lambda: ingest_all(RealIAD(root))))
    ingest_s, ingest_cpu_s = (statistics.median(column) for column in zip(*ingests, strict=True))
    json_s, json_cpu_s = (statistics.median(column) for column in zip(*loads, strict=True))
    return Timing(ingest_s, json_s, ingest_cpu_s, json_cpu_s, idle_mb, peak_mb)


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """What a piece of work takes by the clock and of this process."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def _load_all(root: Path) -> None:
    for path in sorted((root / "realiad_jsons").glob("*.json")):
        json.loads(path.read_bytes())


def _memory(ingest_all: Callable[[Source], None], root: Path) -> tuple[float, float]:
    """Peak memory in MB of a process before and after one ingest."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_ingest_and_tell, args=(ingest_all, root, there))
    child.start()
    there.close()
    idle, peak = here.recv()
    child.join()
    return idle, peak


def _ingest_and_tell(ingest_all: Callable[[Source], None], root: Path, there: Connection) -> None:
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ingest_all(RealIAD(root))
    there.send((idle, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Build the tree where it is missing, measure, print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tree", type=Path, help="keep the tree here and use it again (default: a temporary folder)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="expertad-ingest-") as temporary:
        root = options.tree or Path(temporary) / "tree"
        if not root.exists():
            start = time.perf_counter()
            build(root)
            print(f"built {ENTRIES} entries in {time.perf_counter() - start:.1f} s")
        timings = {
            "reader": measure(read_all, root, options.rounds),
            "ledger": measure(ingest_into_ledger, root, options.rounds),
        }
    print(f"entries {ENTRIES}, medians of {options.rounds} rounds")
    for name, timing in timings.items():
        print(f"{name:<12}{timing.ingest_s:.2f} s ({timing.ingest_cpu_s:.2f} s of processor time)")
        print(f"json.loads  {timing.json_s:.2f} s ({timing.json_cpu_s:.2f} s of processor time)")
        print(f"ratio       {timing.ratio:.1f} ({timing.cpu_ratio:.1f} in processor time)")
        print(f"memory      {timing.peak_mb:.0f} MB at its peak, {timing.idle_mb:.0f} MB before")


def rows(*, quick: bool = False) -> list[Row]:
    """The table's rows, always at the true size; `quick` measures once."""
    with tempfile.TemporaryDirectory(prefix="expertad-ingest-") as temporary:
        root = Path(temporary) / "tree"
        build(root)
        timing = measure(ingest_into_ledger, root, 1 if quick else 5)
    return [
        Row(
            f"ingest of {ENTRIES:,} entries / json.loads of their files",
            f"{timing.ratio:.1f} ({timing.cpu_ratio:.1f} in processor time)",
            f"<= {RATIO_TARGET:g}",
            timing.ratio <= RATIO_TARGET,
        ),
        Row(
            "its peak memory",
            f"{timing.peak_mb:.0f} MB",
            f"< {MEMORY_TARGET_MB:g} MB",
            timing.peak_mb < MEMORY_TARGET_MB,
        ),
    ]


if __name__ == "__main__":
    main()
