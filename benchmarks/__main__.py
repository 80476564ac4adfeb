"""Run the benchmarks and print one Markdown table: `python -m benchmarks [name ...] [--quick]`.

Every figure is a ratio of medians or a median taken in this one run, so that a busy machine disturbs both sides alike;
where it is not, processor time stands beside it. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.row import Row

NAMES = ("locate", "ingest", "publish", "build", "teachers", "rewards", "loading")


def machine() -> str:
    """Cores, processor, Python."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{len(os.sched_getaffinity(0))} cores, {model}, {platform.system()}, Python {platform.python_version()}"


def line(row: Row) -> str:
    """A row in Markdown."""
    met = {True: "yes", False: "NO", None: ""}[row.met]
    return f"| {row.what} | {row.figure} | {row.target} | {met} |"


def main() -> int:
    """Run what is asked for, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"which of {', '.join(NAMES)}; all if none")
    parser.add_argument("--quick", action="store_true", help="fewer samples and rounds: whether it works, not how fast")
    parser.add_argument("--bare", action="store_true", help="rows alone, without the table's head")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if not options.bare:
        print(f"{machine()}, load {os.getloadavg()[0]:.1f}\n")
        print("| what | figure | target | met |\n|---|---|---|---|", flush=True)
    names = options.names or NAMES
    if len(names) == 1:
        missed = 0
        for row in importlib.import_module(f"benchmarks.{names[0]}").rows(quick=options.quick):
            print(line(row), flush=True)
            missed += row.met is False
        return 1 if missed else 0
    # A process for each: the peak memory of one would otherwise be the least that the next can show.
    flags = ["--bare", *(["--quick"] if options.quick else [])]
    codes = [
        subprocess.run([sys.executable, "-m", "benchmarks", name, *flags], check=False).returncode for name in names
    ]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
