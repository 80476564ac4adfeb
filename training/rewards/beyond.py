"""Location rewards the paper does not have, off unless asked for; gated by a correct answer like equation 4."""

from __future__ import annotations

from math import hypot

from training.rewards.paper import ANSWER_WRONG, NOT_ANOMALOUS
from training.rewards.truth import Pay, Reading, Truth, cells_of


def _named(reading: Reading, truth: Truth) -> frozenset[int] | Pay:
    if not truth.anomalous:
        return NOT_ANOMALOUS
    if not reading.says(truth):
        return ANSWER_WRONG
    if reading.location is None:
        return Pay(0.0, "no location")
    cells = cells_of(reading.location, truth.grid)
    return cells if cells is not None else Pay(0.0, "location names no cell")


def _true_cells(truth: Truth) -> frozenset[int]:
    if truth.cells:
        return frozenset(truth.cells)
    return cells_of(truth.location or "", truth.grid) or frozenset()


def overlap(reading: Reading, truth: Truth) -> Pay:
    """Cells named and cells the defect covers: |named ∩ true| / |named ∪ true|, in [0, 1].

    For defects that cross cells, where equation 4 pays the main cell alone.

    Example: a defect over cells top left and top; "top left" pays 1/2, "top left and top" pays 1.
    """
    named = _named(reading, truth)
    if isinstance(named, Pay):
        return named
    true = _true_cells(truth)
    return Pay(len(named & true) / len(named | true), "cells overlap" if named & true else "no cell in common")


def nearness(reading: Reading, truth: Truth) -> Pay:
    """1 - d / d_max, in [0, 1]: d from the mean of the cells named to the true cell's center, d_max corner to corner.

    A smooth stand-in for equation 4 when hardly any rollout finds the cell.

    Example, 3 x 3, truth "top left": "top left" 1, "center" 1/2, "bottom right" 0.
    """
    named = _named(reading, truth)
    if isinstance(named, Pay):
        return named
    n = truth.grid
    target = cells_of(truth.location or "", n) or frozenset()

    def middle(cells: frozenset[int]) -> tuple[float, float]:
        return sum(cell // n for cell in cells) / len(cells), sum(cell % n for cell in cells) / len(cells)

    (r, c), (tr, tc) = middle(named), middle(target)
    if n == 1:
        return Pay(1.0, "only one cell")
    return Pay(1.0 - hypot(r - tr, c - tc) / hypot(n - 1, n - 1), "by distance")
