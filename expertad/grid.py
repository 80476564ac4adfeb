"""Φ, the one map between masks, grid cells and words (IAD-R1, section on location reward; n = 3 unless said otherwise).

Cell (r, c) of an n x n grid spans pixel rows r*H//n to (r+1)*H//n and columns c*W//n to (c+1)*W//n; cells are numbered
in reading order from 0.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from expertad.errors import MaskError
from expertad.phrases import Mention, mentions, phrase_to_cells
from expertad.sample import Region

__all__ = [
    "Mention",
    "cell_name",
    "cell_names",
    "largest_channel",
    "locate",
    "mentions",
    "name_to_cell",
    "phrase_to_cells",
]

_NAMES: dict[int, tuple[str, ...]] = {
    1: ("center",),
    2: ("top left", "top right", "bottom left", "bottom right"),
    3: ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"),
    **{n: tuple(f"row {r}, column {c}" for r in range(1, n + 1) for c in range(1, n + 1)) for n in (4, 5)},
}


def cell_names(n: int = 3) -> tuple[str, ...]:
    """The names of all n*n cells in reading order.

    Raises:
        ValueError: n is not 1 to 5.
    """
    if n not in _NAMES:
        raise ValueError(f"the grid is {n} x {n}; n must be 1, 2, 3, 4 or 5")
    return _NAMES[n]


def cell_name(cell: int, n: int = 3) -> str:
    """The name of cell 0 to n*n - 1.

    Raises:
        ValueError: there is no such cell or grid.
    """
    names = cell_names(n)
    if not 0 <= cell < len(names):
        raise ValueError(f"there is no cell {cell} in a {n} x {n} grid")
    return names[cell]


def name_to_cell(name: str, n: int = 3) -> int:
    """The number of the cell with exactly this name; `phrase_to_cells` reads freer wording.

    Raises:
        ValueError: there is no such name or grid.
    """
    names = cell_names(n)
    if name not in names:
        raise ValueError(f"{name!r} names no cell of a {n} x {n} grid; its cells are: {'; '.join(names)}")
    return names.index(name)


def locate(mask: NDArray[Any], n: int = 3) -> Region:
    """Where a mask's foreground lies: its cells, boxes and share of the image.

    Foreground is `value > max / 2`. `location` is the cell with most of it, ties to the first in reading order; `cells`
    are those with at least a tenth of it, and always the location; `boxes` are the 8-connected components, largest
    pixel count first, then topmost, then leftmost.

    Args:
        mask: (h, w) or (h, w, channels) as for `largest_channel`; any boolean, integer or finite float dtype.
        n: 1 to 5.

    Raises:
        MaskError: no pixel, no value above 0, a shape that is no mask, or a value that is no number.
        ValueError: n is not 1 to 5.
    """
    names = cell_names(n)
    values = largest_channel(mask)
    if values.size == 0 or values.dtype.kind not in "biuf":
        raise MaskError(f"an array of shape {values.shape} and dtype {values.dtype} is not a mask")
    height, width = values.shape
    foreground, left, top = _foreground(values)
    counts = _count_cells(foreground, left, top, width, height, n)
    total = sum(counts)
    location = counts.index(max(counts))
    cells = tuple(cell for cell, count in enumerate(counts) if cell == location or 10 * count >= total)
    return Region(names[location], cells, _boxes(foreground, left, top), total / (width * height), n)


def largest_channel(pixels: NDArray[Any]) -> NDArray[Any]:
    """Each pixel's largest color value, (h, w), from (h, w) or (h, w, channels).

    One channel is gray, two are gray and alpha, three are colors, four are colors and alpha; alpha is no color.

    Raises:
        MaskError: another shape.
    """
    if pixels.ndim == 2:
        return pixels
    colors = {1: 1, 2: 1, 3: 3, 4: 3}.get(pixels.shape[2]) if pixels.ndim == 3 else None
    if colors is None:
        raise MaskError(f"an array of shape {pixels.shape} is neither gray nor color")
    # Pairwise maxima run over whole planes; `max(axis=2)` walks three values at a time and is ten times slower.
    largest: NDArray[Any] = pixels[..., 0]
    for channel in range(1, colors):
        largest = np.maximum(largest, pixels[..., channel])
    return largest


def _foreground(values: NDArray[Any]) -> tuple[NDArray[np.uint8], int, int]:
    """1 where `values > max / 2`, cut to its bounding rectangle, and that rectangle's left and top."""
    left = top = 0
    if values.dtype == np.uint8 and values.flags.c_contiguous:
        # Nearly every mask: what follows then costs by the defect's extent and not by the image's.
        values, left, top = _crop(values)
    peak = values.max() if values.size else 0
    if not np.isfinite(peak):
        raise MaskError("the mask holds a value that is no number")
    if not peak > 0:
        raise MaskError("the mask has no value above 0, so it marks nothing")
    # For whole numbers `value > peak / 2` is `value > peak // 2`, which stays exact in any width.
    half = peak // 2 if values.dtype.kind in "iu" else peak / 2
    foreground, more_left, more_top = _crop(np.greater(values, half, order="C").view(np.uint8))
    return foreground, left + more_left, top + more_top


def _crop(values: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int, int]:
    """The smallest rectangle that holds every value above 0, and its left and top."""
    left, top, width, height = cv2.boundingRect(values)
    return values[top : top + height, left : left + width], left, top


def _count_cells(foreground: NDArray[np.uint8], left: int, top: int, width: int, height: int, n: int) -> list[int]:
    """Foreground pixels of each cell in reading order."""
    rows = [min(max(r * height // n - top, 0), foreground.shape[0]) for r in range(n + 1)]
    columns = [min(max(c * width // n - left, 0), foreground.shape[1]) for c in range(n + 1)]
    counts = []
    for r in range(n):
        for c in range(n):
            cell = foreground[rows[r] : rows[r + 1], columns[c] : columns[c + 1]]
            counts.append(cv2.countNonZero(cell) if cell.size else 0)
    return counts


def _boxes(foreground: NDArray[np.uint8], left: int, top: int) -> tuple[tuple[int, int, int, int], ...]:
    """`(x, y, width, height)` of the 8-connected components, most pixels first.

    Tracing borders costs a fraction of labeling every pixel. Pick's theorem then counts the pixels: a walk of L steps
    around a component encloses, borders included, A + L/2 + 1 of them, A being the area of the walk's polygon; the walk
    around a hole leaves A - L/2 + 1 out.
    """
    borders, hierarchy = cv2.findContours(foreground, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents: list[int] = hierarchy[0, :, 3].tolist()
    pixels = [0.0] * len(borders)
    for index, (border, parent) in enumerate(zip(borders, parents, strict=True)):
        area, steps = cv2.contourArea(border), len(border) if len(border) > 1 else 0
        if parent < 0:
            pixels[index] += area + steps / 2 + 1
        else:
            pixels[parent] -= area - steps / 2 + 1
    found = []
    for border, parent, count in zip(borders, parents, pixels, strict=True):
        if parent < 0:
            x, y, width, height = cv2.boundingRect(border)
            found.append((-count, y + top, x + left, width, height))
    return tuple((x, y, width, height) for _, y, x, width, height in sorted(found))
