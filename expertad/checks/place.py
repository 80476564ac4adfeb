"""Do the places a think names agree with the mask?

Only places of the defect count. `grid.mentions` leaves out what is no place in the image and what is denied. "The
left side shows no damage" and "scanning from the top left" name places too, so each mention takes the polarity of
its clause: a clause that asserts a defect claims its place, one that says a place is fine or that it was looked at
does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from expertad import grid
from expertad.checks.finding import Finding, quote
from expertad.checks.reading import Clause, Reading
from expertad.sample import Case, Draft, Region


@dataclass(frozen=True, slots=True)
class _Place:
    """One place named in the text: its cells, its words, and the clause around it."""

    cells: frozenset[int]
    words: str
    clause: Clause


def _places(think: Reading, n: int) -> list[_Place]:
    return [
        _Place(m.cells, m.text, next(c for c in think.clauses if c.start <= m.start < c.end))
        for m in grid.mentions(think.text, n)
    ]


def _claims(clause: Clause, coarse: str | None) -> bool:
    """True when the clause says that a defect, or what this coarse type would look like, is there."""
    return any(
        t.stance in ("asserted", "hedged") or (t.stance == "mentioned" and coarse is not None and t.coarse == coarse)
        for t in clause.terms
    )


def _leads_to_claim(think: Reading, clause: Clause, coarse: str | None) -> bool:
    """True for a place looked at just before the defect is told: "Focusing on the lower left, a dent …"."""
    if clause.fine:
        return False
    index = think.clauses.index(clause)
    following = think.clauses[index + 1 : index + 3]
    return any(_claims(c, coarse) for c in following if c.sentence <= clause.sentence + 1)


# What continues the clause before without naming its subject again.
_GOES_ON = re.compile(
    r"(?:and )?(?:another|a second|others|one more|more|further ones|a smaller one|with (?:another|others)|extending|"
    r"reaching|running|continuing|spreading|stretching|from (?:where|there)|from which)\b"
)


def _goes_on(think: Reading, clause: Clause, coarse: str | None) -> bool:
    """True for the rest of a claim: "a stain on the left and another in the bottom right"."""
    index = think.clauses.index(clause)
    before = think.clauses[index - 1] if index else None
    return (
        before is not None
        and before.sentence == clause.sentence
        and bool(_GOES_ON.match(clause.text))
        and _claims(before, coarse)
    )


def check_location(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """Places named for the defect are among the mask's cells and include its location; a normal part has none.

    Rejects a place outside the cells, a text without any direction, and a defect placed on a normal part. Asks a person
    where words are less exact than the cells, miss only the main one, or name a part by its side.
    """
    region = case.region
    if region is None:
        yield from _check_normal(think)
    elif region.grid > 1:  # with one cell there is nothing to be wrong about
        yield from _check_anomalous(think, region, case.sample.coarse_type)


def _check_normal(think: Reading) -> Iterator[Finding]:
    for place in _places(think, 3):
        if any(t.stance == "asserted" and t.strong for t in place.clause.terms):
            where, said = quote(place.words), quote(place.clause.text)
            yield Finding("location", "reject", f"places a defect at {where} on a normal sample: {said}")
            return


def _check_anomalous(think: Reading, region: Region, coarse: str | None) -> Iterator[Finding]:
    places = _places(think, region.grid)
    for meant in (
        [p for p in places if _claims(p.clause, coarse) or _goes_on(think, p.clause, coarse)],
        [p for p in places if _leads_to_claim(think, p.clause, coarse)],
        [p for p in places if not p.clause.fine and not p.clause.scan],
    ):
        if meant:
            yield from _compare(region, meant)
            return
    known = f"the defect lies at {region.location}"
    direction = _DIRECTION.search(think.low)
    if places:
        yield Finding("location", "person", f"names {quote(places[0].words)} only in passing, while {known}")
    elif direction:
        said = quote(think.text[direction.start() : direction.end()])
        yield Finding("location", "person", f"names no place in the image by {said}, while {known}")
    else:
        yield Finding("location", "reject", f"names no place, while {known}")


# A direction that names a part ("the center stud") may still say where.
_DIRECTION = re.compile(r"\b(?:(?:top|upper|bottom|lower|left|right)(?:most)?|cent(?:er|re|ral)|middle)(?: [a-z]+)?\b")


def _compare(region: Region, meant: list[_Place]) -> Iterator[Finding]:
    target = grid.name_to_cell(region.location, region.grid)
    true = frozenset(region.cells) | {target}
    names = ", ".join(grid.cell_name(c, region.grid) for c in sorted(true))
    for place in meant:
        if not place.cells <= true and not _coarser(place.cells, true, region.grid):
            where, said = quote(place.words), quote(place.clause.text)
            yield Finding(
                "location", "reject", f"places the defect at {where} in {said}, while the mask has it at {names}"
            )
            return
    loose = next((p for p in meant if not p.cells <= true), None)
    if loose:
        yield Finding("location", "person", f"names {quote(loose.words)}, which is less exact than {names}")
    elif not any(target in p.cells for p in meant):
        said = ", ".join(quote(p.words) for p in meant)
        yield Finding("location", "person", f"names {said} but never {region.location}, where most of the defect lies")


def _coarser(cells: frozenset[int], true: frozenset[int], n: int) -> bool:
    """True for an edge whose row or column holds part of the defect, as "left" does for top left.

    It may mean the part's edge, or the image's cell; a person has to say which.
    """
    if n != 3 or len(cells) != 1:
        return False
    row, column = divmod(next(iter(cells)), 3)
    if (row == 1) == (column == 1):
        return False
    return any(t // 3 == row for t in true) if column == 1 else any(t % 3 == column for t in true)
