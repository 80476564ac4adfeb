"""Atoms that describe one place from two sides join; atoms of a list share their common word or stay apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from expertad.phrases.atoms import Atom, hedged
from expertad.phrases.place import Place, Spot
from expertad.phrases.tokens import Tokens
from expertad.phrases.vocabulary import (
    ARTICLES,
    CONNECTORS,
    LISTING,
    REGIONS,
    SPECIFIERS,
    STOPS,
    WHOLES,
    is_one_of,
)

_FARTHEST = 8
_CORNERS: tuple[Spot, ...] = tuple((vertical, horizontal) for vertical, horizontal in product((-1, 1), repeat=2))


def join_atoms(tokens: Tokens, atoms: list[Atom]) -> list[Place]:
    """The places that the atoms of a text name, and "all four corners", which needs no direction word."""
    related = _relate_to_center(tokens, atoms)
    return [*_share(tokens, _join(tokens, related)), *_all_corners(tokens)]


def _relate_to_center(tokens: Tokens, atoms: list[Atom]) -> list[Atom]:
    """Join "left of the center", which is left, and "slightly left of the center", which is still the center."""
    related: list[Atom] = []
    for atom in atoms:
        first = related[-1] if related else None
        if (
            first is None
            or first.noun
            or "c" in first.axes
            or atom.axes != "c"
            or tokens.after(first.end) != "of"
            or not _connects(tokens, first, atom)
        ):
            related.append(atom)
        elif hedged(tokens, first.start):
            related[-1] = replace(atom, start=first.start)
        else:
            related[-1] = replace(first, end=atom.end)
    return related


def _join(tokens: Tokens, atoms: list[Atom]) -> list[Atom]:
    joined: list[Atom] = []
    for index, atom in enumerate(atoms):
        merged = None
        if joined:
            follows_list = len(joined) > 1 and joined[-2].end == joined[-1].start - 1
            leads_list = (
                index + 1 < len(atoms) and atoms[index + 1].start - atom.end <= 3 and tokens.word(atom.end) in LISTING
            )
            merged = _joined(tokens, joined[-1], atom, follows_list or leads_list)
        if merged is None:
            joined.append(atom)
        else:
            joined[-1] = merged
    return joined


def _joined(tokens: Tokens, first: Atom, second: Atom, listed: bool) -> Atom | None:
    """Both as one place, or None when they are two: sides that clash, words between that do not connect, a list."""
    named_twice = [
        pair for pair in ((first.vertical, second.vertical), (first.horizontal, second.horizontal)) if None not in pair
    ]
    if any(one != other for one, other in named_twice) or not _connects(tokens, first, second):
        return None
    if "," in tokens.between(first.end, second.start):
        single = len(first.axes) == len(second.axes) == 1
        if named_twice or listed or not single:
            return None
    if "c" in first.axes and hedged(tokens, second.start):
        return replace(first, end=second.end)
    corner = first if first.noun == "corner" else second
    return Atom(
        second.vertical if first.vertical is None else first.vertical,
        second.horizontal if first.horizontal is None else first.horizontal,
        first.axes + second.axes,
        first.start,
        second.core,
        second.end,
        corner.noun,
        corner.plural,
        first.strong or second.strong,
    )


def _connects(tokens: Tokens, first: Atom, second: Atom) -> bool:
    """Whether only connecting words lie between: "top edge *on the* right", "top *of the gear near the* left"."""
    if second.start - first.end > _FARTHEST:
        return False
    opening = first.start - 1
    while tokens.word(opening) in SPECIFIERS and first.start - opening < 4:
        opening -= 1
    ranged = tokens.word(opening) in ("from", "between")
    commas = owner = 0
    for index in range(first.end, second.start):
        word = tokens.word(index)
        if word == ",":
            commas += 1
        elif word == "of":
            owner = 3
        elif word in ("to", "toward", "towards") and ranged:
            return False
        elif word == "to":
            if tokens.word(index + 1) not in ARTICLES or (first.axes == "c" and second.complete):
                return False
        elif word not in CONNECTORS and word not in WHOLES and not is_one_of(word, REGIONS):
            if word in STOPS or not owner:
                return False
            owner -= 1
    return commas < 2


def _share(tokens: Tokens, atoms: list[Atom]) -> Iterator[Place]:
    """Atoms as places, after "upper and lower left" and "top left and right" have shared their common word."""
    shared = list(atoms)
    for index in range(len(shared) - 1):
        first, second = shared[index], shared[index + 1]
        listed = first.end < second.start <= first.end + 2 and tokens.between(first.end, second.start) <= LISTING
        axis = second.axes[0]
        opposite = (
            axis in first.axes
            and axis != "c"
            and (first.vertical != second.vertical if axis == "v" else first.horizontal != second.horizontal)
        )
        if first.noun or not listed:
            continue
        if len(first.axes) == 1 and "of" in tokens.between(second.start, second.core):
            # "left and center parts of the top edge": what follows "of" holds for both.
            shared[index] = _completed(first, second, second.axes[-1])
        elif not opposite:
            continue
        elif first.axes == axis and second.complete:
            # "upper" needs its noun, "top" may be one: "top and bottom right" is left as two places.
            if tokens.word(first.start) in ("upper", "lower") or second.plural or axis == "h":
                shared[index] = _completed(first, second, second.axes[-1])
        elif first.complete and first.axes[-1] == axis == second.axes and (second.plural or not second.noun):
            shared[index + 1] = _completed(second, first, first.axes[0])
    for atom in shared:
        spots = _spots(atom)
        if spots:
            yield Place(spots, frozenset(), atom.start, atom.end, atom.strong)


def _completed(atom: Atom, other: Atom, axis: str) -> Atom:
    """The atom with an axis taken from the other, unless it names that axis itself."""
    if axis == "v" and atom.vertical is None:
        return replace(atom, vertical=other.vertical)
    if axis == "h" and atom.horizontal is None:
        return replace(atom, horizontal=other.horizontal)
    return atom


def _spots(atom: Atom) -> tuple[Spot, ...]:
    """Where an atom lies: "top corners" are both, "top corner" does not say which, so none."""
    if atom.noun == "corner" and "c" not in atom.axes and not atom.complete:
        both: tuple[Spot, ...] = tuple(
            spot for spot in _CORNERS if atom.vertical == spot[0] or atom.horizontal == spot[1]
        )
        return both if atom.plural else ()
    return ((atom.vertical, atom.horizontal),)


def _all_corners(tokens: Tokens) -> Iterator[Place]:
    for index in range(len(tokens)):
        if tokens.word(index) not in ("corner", "corners"):
            continue
        start = index - 1
        if tokens.word(start) in ("the", "four"):
            start -= tokens.word(start - 1) in ("all", "the")
            start -= tokens.word(start) == "the" and tokens.word(start - 1) == "all"
        counted = tokens.word(start) in ("all", "every", "each") or "four" in tokens.between(start, index)
        if counted:
            yield Place(_CORNERS, frozenset(), start, index + 1)
