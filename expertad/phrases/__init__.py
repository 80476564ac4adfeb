"""Reading places out of words: the second half of Φ, whose public face is `expertad.grid`.

A text becomes tokens; direction words that stand together form an *atom* ("lower right-hand corner"); atoms that
describe one place from two sides join ("near the top edge on the right"), others stay apart ("top left and center").
Every step looks at a bounded number of neighbors, so the time is linear in the text.

    vocabulary.py   the words, each list once
    tokens.py       text -> words and marks
    addresses.py    "row 2, column 3"
    atoms.py        direction words, their nouns, and whether they name a place at all
    joining.py      atoms -> places
    meaning.py      which places the text denies, calls sound, or only compares with

What was decided where English leaves it open:

* An axis that is not named lies in the middle: "top" is the middle of the top row.
* "left of center" is left; "slightly left of center" is still the center; "off center" names no place.
* "to the left of the zipper" is beside a thing, not a place in the picture; "the left of the image" is a place.
* "top surface", "bottom layer", "top view" name a face of the product; "center pin", "central hole" name a part.
  Neither is a place. "left terminal" names a part too, but tells where it lies: it counts when the text names no place
  otherwise, and so does "the center of the gear".
* "left edge of the stain", "bottom of the groove", "center of the scratch" describe the thing, not where it is.
* "top corner" does not say which corner: unknown. "top corners" are both.
* "from left to right", "bent to the right", "viewed from the top" tell an orientation; "from the top left to the bottom
  right" names both ends.
* "top and left" are two places, "top, left" is one, "top left and right" are two at the top, "top left and center" are
  the corner and the center.
* A place is not named when it is denied ("not at the top", "nothing at the left", "no scratch in the center"), called
  sound ("the top left is intact") or only compared with ("unlike the right side").
* n = 2: "left" is both left cells, the center is unknown. n = 1: any place is the one cell. n = 4, 5: only rows and
  columns say enough; "top left" could be any of several cells, so it is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from expertad.phrases.addresses import read_addresses
from expertad.phrases.atoms import read_atoms
from expertad.phrases.joining import join_atoms
from expertad.phrases.meaning import drop_unmeant
from expertad.phrases.place import spot_cells
from expertad.phrases.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Mention:
    """A place named in running text: its cells, and `text`, which is characters `start` to `end` of the whole."""

    cells: frozenset[int]
    start: int
    end: int
    text: str


def phrase_to_cells(text: str, n: int = 3) -> frozenset[int] | None:
    """The cells that a phrase names, the union over its `mentions`; None when it names none.

    Args:
        text: anything; takes time linear in its length.
        n: of the n x n grid.

    Raises:
        ValueError: n is not 1 to 5.

    >>> sorted(phrase_to_cells("Upper-left corner and the centre"))
    [0, 4]
    >>> phrase_to_cells("somewhere on the object") is None
    True
    """
    return frozenset().union(*(mention.cells for mention in mentions(text, n))) or None


def mentions(text: str, n: int = 3) -> tuple[Mention, ...]:
    """The places that a running text names, in its order; the top of this file says what counts as one.

    Args:
        text: anything; takes time linear in its length.
        n: of the n x n grid.

    Raises:
        ValueError: n is not 1 to 5.
    """
    if n not in (1, 2, 3, 4, 5):
        raise ValueError(f"the grid is {n} x {n}; n must be 1, 2, 3, 4 or 5")
    tokens = Tokens(text)
    places = read_addresses(tokens, n)
    if n < 4:
        taken = {index for place in places for index in range(place.start, place.end)}
        places += join_atoms(tokens, read_atoms(tokens, taken))
    places = drop_unmeant(tokens, sorted(places, key=lambda place: place.start))
    if any(place.strong for place in places):
        places = [place for place in places if place.strong]
    found = []
    for place in places:
        cells = place.cells | {cell for spot in place.spots for cell in spot_cells(spot, n)}
        if cells:
            start, end = tokens.items[place.start].start, tokens.items[place.end - 1].end
            found.append(Mention(cells, start, end, text[start:end]))
    return tuple(found)
