"""Do the places a think names agree with the mask?

Only places of the defect count. "The left side shows no damage" and "scanning from the top left" name places too, so
each mention takes the polarity of its clause: a clause that asserts a defect claims its place, one that says a place
is fine or that it was looked at does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertad import grid
from expertad.checks.finding import Finding, Severity, quote
from expertad.checks.reading import Clause, Reading
from expertad.sample import Case, Draft, Region

# Directions that are no place in the image: of motion, of an order, of a face, of something else in the picture.
_NO_PLACE_AROUND = re.compile(
    r"\b(?:left[- ]to[- ]right|right[- ]to[- ]left|top[- ]to[- ]bottom|bottom[- ]to[- ]top|top[- ]down|bottom[- ]up|"
    r"side[- ]to[- ]side|center[- ]to[- ]edge|(?:clockwise|upward|downward)\w* from the (?:top|bottom)|"
    r"right angles?|right[- ]angled|top[- ]quality|center[- ]punched|all right|left (?:behind|over|by|"
    r"on|in|unfinished|from|open|"
    r"exposed|a|an|the|no|some|visible|only)|(?:is|are|was|were|been|being|has|have) left(?! (?:of|"
    r"edge|side))|bottom line|"
    r"(?:top|bottom|upper|lower) (?:surface|face|cover|layer|coat|coating|plate|shell|case|sheet|film|"
    r"side of the (?:board|pcb)))\b"
)
# "to the right of the logo" is relative to something; "from the center to the right of the tablet" spans the image.
_BESIDE = re.compile(r"\bto the (?:left|right) of (?!(?:the )?(?:image|photo|frame|picture|center|centre|middle))")
_SPANS_FROM = re.compile(r"\bfrom (?:the )?[\w -]+ $")


def _places(case: Case, think: Reading, size: int) -> list[tuple[frozenset[int], int, int, str]]:
    """Cells, offsets and words of each mention of a place in the image."""
    skipped = [m.span() for m in _NO_PLACE_AROUND.finditer(think.low)]
    skipped += [
        m.span()
        for m in _BESIDE.finditer(think.low)
        if not _SPANS_FROM.search(think.low, max(0, m.start() - 30), m.start())
    ]
    return [
        (m.cells, m.start, m.end, m.text)
        for m in grid.mentions(think.text, size)
        if not any(a <= m.start and m.end <= b or m.start <= a and b <= m.end for a, b in skipped)
    ]


def _clause_at(think: Reading, offset: int) -> Clause | None:
    return next((c for c in think.clauses if c.start <= offset < c.end), None)


def _claims(think: Reading, clause: Clause, coarse: str | None) -> bool:
    """True when the clause asserts a defect, or what this coarse type would look like, as present."""
    return any(
        t.stance in ("asserted", "hedged")
        or (t.stance == "weighed" and not t.strong and coarse is not None and t.coarse == coarse)
        for t in clause.terms
    )


def check_location(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """Places named for the defect are among the mask's cells and include its location; a normal part has none."""
    region = case.region
    if region is None:
        yield from _check_normal(case, think)
    elif region.grid > 1:  # with one cell there is nothing to be wrong about
        yield from _check_anomalous(case, think, region)


def _check_normal(case: Case, think: Reading) -> Iterator[Finding]:
    for _, start, _, words in _places(case, think, 3):
        clause = _clause_at(think, start)
        if clause and any(t.stance == "asserted" and t.strong for t in clause.terms):
            yield Finding(
                "location", "reject", f"places a defect at {quote(words)} on a normal sample: {quote(clause.text)}"
            )
            return


def _check_anomalous(case: Case, think: Reading, region: Region) -> Iterator[Finding]:
    coarse = case.sample.coarse_type
    places = [(cells, _clause_at(think, start), words) for cells, start, _, words in _places(case, think, region.grid)]
    claimed = [(cells, words, clause) for cells, clause, words in places if clause and _claims(think, clause, coarse)]
    if not claimed:
        claimed = [
            (cells, words, clause)
            for cells, clause, words in places
            if clause and _leads_to_claim(think, clause, coarse)
        ]
    if not claimed:
        known = f"the defect lies at {region.location}"
        if not places:
            yield Finding("location", "reject", f"names no place, while {known}")
        elif any(region.grid and grid.name_to_cell(region.location, region.grid) in cells for cells, _, _ in places):
            yield Finding("location", "person", f"names {region.location} but not clearly as the defect's place")
        else:
            yield Finding(
                "location",
                "reject",
                f"names no place for the defect, only {quote(places[0][2])} in passing, while {known}",
            )
        return
    yield from _compare(region, claimed)


def _leads_to_claim(think: Reading, clause: Clause, coarse: str | None) -> bool:
    """True for a place looked at just before the defect is told: "Focusing on the lower left, a dent …"."""
    if clause.fine:
        return False
    clauses = think.clauses
    index = clauses.index(clause)
    following = clauses[index + 1 : index + 3]
    return any(_claims(think, c, coarse) for c in following if c.sentence <= clause.sentence + 1)


def _compare(region: Region, claimed: list[tuple[frozenset[int], str, Clause]]) -> Iterator[Finding]:
    target = grid.name_to_cell(region.location, region.grid)
    true = frozenset(region.cells) | {target}
    names = ", ".join(grid.cell_name(c, region.grid) for c in sorted(true))
    named: set[int] = set()
    loose: list[str] = []
    for cells, words, clause in claimed:
        named |= cells
        if cells <= true:
            continue
        if _coarser(cells, true, region.grid):
            loose.append(words)
            continue
        yield Finding(
            "location",
            "reject",
            f"places the defect at {quote(words)} in {quote(clause.text)}, while the mask has it at {names}",
        )
        return
    if target not in named:
        severity: Severity = "person" if loose else "reject"
        said = ", ".join(quote(words) for _, words, _ in claimed)
        yield Finding("location", severity, f"names {said} but never {region.location}, where most of the defect lies")


def _coarser(cells: frozenset[int], true: frozenset[int], n: int) -> bool:
    """True when the words are only less exact: an edge whose row or column holds part of the defect, as "left" for
    top left.

    A person has to say whether it means the part's edge or the image's cell.
    """
    if n != 3 or len(cells) != 1:
        return False
    (cell,) = cells
    row, column = divmod(cell, 3)
    if (row == 1) == (column == 1):
        return False
    return any(t // 3 == row for t in true) if column == 1 else any(t % 3 == column for t in true)
