"""A place as read, before it is known whether the text means it."""

from __future__ import annotations

from dataclasses import dataclass

Spot = tuple[int | None, int | None]
"""Up -1 or down 1, then left -1 or right 1; None is not named, and so in the middle."""


@dataclass(frozen=True, slots=True)
class Place:
    """What one mention names, as spots or as cells; `start` and `end` are token indices.

    A weak place, where only a part's name tells it, counts when the text names no other.
    """

    spots: tuple[Spot, ...]
    cells: frozenset[int]
    start: int
    end: int
    strong: bool = True


def spot_cells(spot: Spot, n: int) -> tuple[int, ...]:
    """The cells of a spot in a grid of n = 1, 2 or 3; none for the center of four cells."""
    if n == 1:
        return (0,)
    vertical, horizontal = spot
    if n == 3:
        return (3 * ((vertical or 0) + 1) + (horizontal or 0) + 1,)
    if vertical is None and horizontal is None:
        return ()
    rows, columns = ((0, 1) if side is None else (0,) if side < 0 else (1,) for side in spot)
    return tuple(2 * row + column for row in rows for column in columns)
