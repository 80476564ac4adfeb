"""Progress for people: bars on a terminal, a quiet line now and then where output goes to a file."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

QUIET_SECONDS = 30.0
"""At least this long between two lines about the same stage when there is no terminal."""


class Progress:
    """Call it with a stage, how much is done, and how much there is; safe from any thread.

    Everything goes to stderr, so that stdout holds results alone. `note` sets a short text behind the bars, such as the
    money spent.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = (
            RichProgress(
                TextColumn("{task.description:>9}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            if self._console.is_terminal
            else None
        )
        self._tasks: dict[str, TaskID] = {}
        self._spoken: dict[str, float] = {}
        self.note = ""

    def __enter__(self) -> Progress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` items of a stage are done."""
        if self._bars is None:
            self._speak(stage, done, total)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note="")
        self._bars.update(self._tasks[stage], completed=done, total=total, note=self.note)

    def say(self, line: str) -> None:
        """One line of text above the bars."""
        if self._bars:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _speak(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if total == 0 or (done < total and now - self._spoken.setdefault(stage, now) < QUIET_SECONDS):
            return
        self._spoken[stage] = now
        self.say(f"{stage}: {done} of {total}" + (f"  {self.note}" if self.note else ""))
