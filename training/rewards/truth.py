"""The values every reward works on: an image's truth, a completion read once, and a payment with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from reprlib import repr as shown
from typing import Any, NamedTuple

import numpy as np

from expertad import pattern
from expertad.errors import DataError
from expertad.grid import cell_names, phrase_to_cells


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one image.

    Args:
        anomalous: the label.
        location: name of the cell that holds most of the defect; None for a normal image.
        fine_type: the fine-grained type; None for a normal image.
        coarse_type: one of taxonomy.COARSE_TYPES, or None when the data do not say.
        cells: 0-based cells that hold at least a tenth of the defect; empty when the data do not say.
        grid: n of the n x n grid that `location` and `cells` speak of.
    """

    anomalous: bool
    location: str | None = None
    fine_type: str | None = None
    coarse_type: str | None = None
    cells: tuple[int, ...] = ()
    grid: int = 3

    def __post_init__(self) -> None:
        """Refuses a truth that no completion could match.

        Raises:
            DataError: an anomalous truth without a type, or with a location that names no cell of its grid.
        """
        if not self.anomalous:
            return
        if not (self.fine_type or "").strip():
            raise DataError("an anomalous truth has no type: rewards cannot be computed for it")
        if cells_of(self.location or "", self.grid) is None:
            raise DataError(
                f"the true location {shown(self.location)} names no cell of a {self.grid}x{self.grid} grid; "
                "was the data set built for another grid?"
            )

    @property
    def answer(self) -> str:
        """The right answer: "yes" for an anomalous image, "no" for a normal one."""
        return "yes" if self.anomalous else "no"

    @property
    def solution(self) -> str:
        """The truth in the release's form: tags without reasoning."""
        if not self.anomalous:
            return "<answer>No</answer>"
        return f"<location>{self.location}</location><type>{self.fine_type}</type><answer>Yes</answer>"

    @classmethod
    def from_row(cls, row: Mapping[str, Any], grid: int = 3) -> Truth:
        """Reads a published row (columns anomalous, location, fine_type, coarse_type, cells).

        Where nobody has written a fine-grained type (held_out), the coarse type stands in for it.

        Raises:
            DataError: as the constructor, for a location that is not the exact name of a cell, and for a column of
                another kind: the text "False" is no label, and would count as true.
        """
        anomalous = row["anomalous"]
        if not isinstance(anomalous, (Integral, np.bool_)) or anomalous not in (0, 1):
            raise DataError(f"anomalous is {shown(anomalous)}; write true or false, without quotes")
        if not anomalous:
            return cls(anomalous=False, grid=grid)
        if row["location"] not in cell_names(grid):
            raise DataError(
                f"the true location {shown(row['location'])} is no cell of a {grid}x{grid} grid; "
                "was the data set built for another grid?"
            )
        for name in ("fine_type", "coarse_type"):
            if not isinstance(row[name], (str, type(None))):
                raise DataError(f"{name} is {shown(row[name])}; write text or null")
        return cls(
            anomalous=True,
            location=row["location"],
            fine_type=row["fine_type"] or row["coarse_type"],
            coarse_type=row["coarse_type"],
            cells=_cells(row["cells"], grid),
            grid=grid,
        )

    @classmethod
    def from_solution(cls, solution: str, grid: int = 3) -> Truth:
        """Reads the release's form.

        Raises:
            DataError: not text, the answer is neither yes nor no, or an anomalous solution lacks its location or type.
        """
        if not isinstance(solution, str):
            raise DataError(f"the solution is {shown(solution)}; write text such as '<answer>No</answer>'")
        fields = pattern.parse_lenient(solution)
        answer = (fields.answer or "").strip().casefold()
        if answer not in ("yes", "no"):
            raise DataError(f"the solution {shown(solution)} has no answer of yes or no")
        if answer == "no":
            return cls(anomalous=False, grid=grid)
        return cls(anomalous=True, location=fields.location, fine_type=fields.type, grid=grid)


def _cells(cells: object, grid: int) -> tuple[int, ...]:
    if cells is None:
        return ()
    if not isinstance(cells, (list, tuple, np.ndarray)) or not all(
        isinstance(cell, Integral) and 0 <= int(cell) < grid * grid for cell in cells
    ):
        raise DataError(f"cells is {shown(cells)}; write a list of cell numbers from 0 to {grid * grid - 1}")
    return tuple(map(int, cells))


@dataclass(frozen=True, slots=True)
class Reading:
    """One completion after its only parse.

    `kind` is what the strict parser found ("N", "A" or None, with `reason`); `location`, `type` and `answer` are the
    fields the lenient parser read, `answer` folded to lower case. `text` is the completion itself.
    """

    text: str
    kind: str | None
    reason: str | None
    think: str | None
    location: str | None
    type: str | None
    answer: str | None

    def says(self, truth: Truth) -> bool:
        """True when the answer is the truth's."""
        return self.answer == truth.answer


class Pay(NamedTuple):
    """One reward: `value` in [0, 1] (None: does not apply to this image) and why, as a short constant phrase."""

    value: float | None
    why: str


@lru_cache(maxsize=16_384)
def cells_of(phrase: str, grid: int) -> frozenset[int] | None:
    """Φ of a phrase (see `expertad.grid.phrase_to_cells`); completions repeat the same few."""
    return phrase_to_cells(phrase, grid)


@lru_cache(maxsize=16_384)
def read(completion: str) -> Reading:
    """Parses a completion; the several rewards of one training step share the result."""
    strict = pattern.parse(completion)
    fields = strict if strict.kind else pattern.parse_lenient(completion)
    answer = fields.answer.strip().casefold() if fields.answer is not None else None
    return Reading(completion, strict.kind, strict.reason, fields.think, fields.location, fields.type, answer)
