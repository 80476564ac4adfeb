"""One line of the table that `python -m benchmarks` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its target; `met` is None where a figure has none."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None
