"""A second teacher's opinion: where two teachers differ about a sample, a person decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expertad import taxonomy
from expertad.grid import phrase_to_cells
from expertad.sample import Case
from expertad.teachers.asking import Asker, Described, Distilled, Quarantined

Aspect = Literal["answer", "location", "type", "no second opinion"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a second teacher said about a sample, and in what the two differ; nothing means they agree."""

    sample_id: str
    differs: tuple[Aspect, ...]
    second: Distilled | Quarantined

    @property
    def reason(self) -> str:
        """For the person who decides; "" when the teachers agree."""
        return f"the teachers differ in {', '.join(self.differs)}" if self.differs else ""


async def second_opinion(case: Case, first: Distilled, other: Asker) -> Agreement:
    """Ask another teacher both steps and compare.

    Raises:
        AbortError: the other teacher cannot be asked.
    """
    described = await other.describe(case)
    second = await other.distill(case, described) if isinstance(described, Described) else described
    return Agreement(case.sample.sample_id, differences(first, second, case.region.grid if case.region else 3), second)


def differences(first: Distilled, second: Distilled | Quarantined, grid: int = 3) -> tuple[Aspect, ...]:
    """In what two teachers differ.

    A second teacher that contradicts the label differs in the answer; one that gave up gives no opinion. Places agree
    when their cells are known and equal, or their texts are. Types agree when they are equal, listed under one coarse
    type, or one contains the other on word borders.
    """
    if isinstance(second, Quarantined):
        return ("answer",) if second.code == "contradiction" else ("no second opinion",)
    found: list[Aspect] = []
    if first.answer != second.answer:
        found.append("answer")
    if not _same_place(first.location, second.location, grid):
        found.append("location")
    if not _same_type(first.fine_type, second.fine_type):
        found.append("type")
    return tuple(found)


def _same_place(first: str | None, second: str | None, grid: int) -> bool:
    if first is None or second is None:
        return first is second
    cells, others = phrase_to_cells(first, grid), phrase_to_cells(second, grid)
    if cells is None or others is None:
        return taxonomy.normalize(first) == taxonomy.normalize(second)
    return bool(cells == others)


def _same_type(first: str | None, second: str | None) -> bool:
    if first is None or second is None:
        return first is second
    one, other = taxonomy.normalize(first), taxonomy.normalize(second)
    if f" {one} " in f" {other} " or f" {other} " in f" {one} ":
        return True
    coarse = taxonomy.coarse_type(first)
    return coarse is not None and coarse == taxonomy.coarse_type(second)
