"""Masks to cells, against a slow reference written here from the definitions alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from expertad import grid
from expertad.errors import MaskError


def reference_cell_counts(foreground: list[list[bool]], n: int) -> list[int]:
    """Foreground pixels of each cell; cell (r, c) spans rows r*H//n to (r+1)*H//n, likewise columns."""
    height, width = len(foreground), len(foreground[0])
    return [
        sum(
            foreground[y][x]
            for y in range(r * height // n, (r + 1) * height // n)
            for x in range(c * width // n, (c + 1) * width // n)
        )
        for r in range(n)
        for c in range(n)
    ]


def reference_boxes(foreground: list[list[bool]]) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Pixel count and box of each 8-connected component, by flood fill."""
    height, width = len(foreground), len(foreground[0])
    left = {(y, x) for y in range(height) for x in range(width) if foreground[y][x]}
    found = []
    while left:
        front, component = [left.pop()], []
        while front:
            y, x = front.pop()
            component.append((y, x))
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            front += around
        top, bottom = min(y for y, _ in component), max(y for y, _ in component)
        west, east = min(x for _, x in component), max(x for _, x in component)
        found.append((len(component), (west, top, east - west + 1, bottom - top + 1)))
    return found


def check_against_reference(mask: np.ndarray[Any, Any], n: int) -> None:
    values = mask.tolist()
    half = Fraction(max(max(row) for row in values)) / 2
    foreground = [[value > half for value in row] for row in values]
    counts = reference_cell_counts(foreground, n)
    total, location = sum(counts), counts.index(max(counts))

    region = grid.locate(mask, n)

    assert region.location == grid.cell_names(n)[location]
    assert region.cells == tuple(c for c, count in enumerate(counts) if c == location or 10 * count >= total)
    assert region.area == total / mask.size
    assert region.grid == n
    components = reference_boxes(foreground)
    assert sorted(region.boxes) == sorted(box for _, box in components)
    # Two components may share a box; then either may stand first.
    sizes: dict[tuple[int, int, int, int], list[int]] = {}
    for size, box in sorted(components, reverse=True):
        sizes.setdefault(box, []).append(size)
    in_order = [sizes[box].pop(0) for box in region.boxes]
    assert in_order == sorted(in_order, reverse=True)


SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=17)
DTYPES = st.sampled_from([np.dtype(name) for name in ("bool", "uint8", "uint16", ">u2", "int32", "float32")])


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Random masks of any dtype, sparse to dense, with at least one value above 0."""
    shape, dtype = draw(SHAPES), draw(DTYPES)
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.03, 0.2, 0.5, 0.8, 1.0]))
    generator = np.random.default_rng(seed)
    highest = draw(st.sampled_from([1, 2, 3, 255] if dtype.itemsize == 1 else [1, 3, 255, 40_000]))
    values = generator.integers(1, highest + 1, shape) * (generator.random(shape) < share)
    values[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = highest
    return values.astype(dtype)


@given(masks(), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_locate_agrees_with_the_definitions(mask: np.ndarray[Any, Any], n: int) -> None:
    check_against_reference(mask, n)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_boxes_of_tangled_shapes(seed: int) -> None:
    """Rings in rings, diagonal chains and holes at the border, where tracing borders could go wrong."""
    generator = np.random.default_rng(seed)
    mask = np.zeros((24, 31), np.uint8)
    for _ in range(6):
        y, x = generator.integers(0, 24), generator.integers(0, 31)
        height, width = generator.integers(1, 14, 2)
        mask[y : y + height, x : x + width] = 255
        mask[y + 1 : y + height - 1, x + 1 : x + width - 1] = 0
    for _ in range(12):
        y, x = generator.integers(0, 23), generator.integers(0, 30)
        mask[y, x] = mask[y + 1, x + 1] = 255
    mask[0, 0] = 255
    check_against_reference(mask, 3)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (7, 1), (10, 11), (13, 5)])
def test_one_pixel_anywhere(shape: tuple[int, int], n: int) -> None:
    for y in range(shape[0]):
        for x in range(shape[1]):
            mask = np.zeros(shape, np.uint8)
            mask[y, x] = 1
            check_against_reference(mask, n)
            assert grid.locate(mask, n).boxes == ((x, y, 1, 1),)


def test_a_tie_goes_to_the_first_in_reading_order() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[0, 8] = mask[8, 0] = mask[4, 4] = 255
    region = grid.locate(mask)
    assert region.location == "top right"
    assert region.cells == (2, 4, 6)


def test_equal_boxes_stand_topmost_then_leftmost() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[6, 0] = mask[2, 7] = mask[2, 3] = 255
    assert grid.locate(mask).boxes == ((3, 2, 1, 1), (7, 2, 1, 1), (0, 6, 1, 1))


def test_a_cell_with_exactly_a_tenth_counts_and_less_does_not() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[0, :9] = 255
    mask[29, 29] = 255
    assert grid.locate(mask).cells == (0, 8)
    mask[1, :1] = 255
    assert grid.locate(mask).cells == (0,)


def test_the_location_counts_even_when_it_holds_less_than_a_tenth() -> None:
    mask = np.full((10, 10), 255, np.uint8)
    region = grid.locate(mask, 5)
    assert region.location == "row 1, column 1"
    assert 0 in region.cells


def test_foreground_is_above_half_of_the_largest_value() -> None:
    mask = np.array([[0, 100, 101, 200]], np.uint8)
    assert grid.locate(mask).area == 0.5
    assert grid.locate(mask.astype(np.uint16) * 300).area == 0.5


def test_sixteen_bit_values_are_not_clipped() -> None:
    mask = np.zeros((6, 6), np.uint16)
    mask[0, 0], mask[5, 5] = 300, 60_000
    assert grid.locate(mask).boxes == ((5, 5, 1, 1),)


def test_of_colors_the_largest_counts_and_alpha_does_not() -> None:
    mask = np.zeros((6, 6, 4), np.uint8)
    mask[..., 3] = 255
    mask[5, 0] = (0, 200, 10, 255)
    assert grid.locate(mask).location == "bottom left"
    assert grid.locate(mask).area == 1 / 36
    gray_alpha = np.zeros((6, 6, 2), np.uint8)
    gray_alpha[..., 1] = 255
    gray_alpha[0, 5, 0] = 7
    assert grid.locate(gray_alpha).location == "top right"
    assert grid.locate(gray_alpha[..., :1]).location == "top right"


def test_a_mask_that_is_a_view_is_read_like_its_copy() -> None:
    base = np.zeros((20, 30), np.uint8)
    base[2:5, 3:20] = 9
    for view in (base[::2, ::3], base[::-1, ::-1], base.T, np.asfortranarray(base)):
        assert grid.locate(view) == grid.locate(view.copy())


def test_numbers_are_plain() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[1, 1] = 255
    region = grid.locate(mask)
    assert type(region.area) is float
    assert all(type(number) is int for number in (*region.cells, *region.boxes[0]))


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((5, 5), np.uint8), "no value above 0"),
        (np.zeros((5, 5), np.float32), "no value above 0"),
        (np.full((5, 5), -3, np.int16), "no value above 0"),
        (np.zeros((0, 0), np.uint8), "is not a mask"),
        (np.zeros((0, 5, 3), np.uint8), "is not a mask"),
        (np.array([[np.nan, 1.0]]), "no number"),
        (np.array([[np.inf, 1.0]]), "no number"),
        (np.ones(5, np.uint8), "neither gray nor color"),
        (np.ones((5, 5, 7), np.uint8), "neither gray nor color"),
        (np.ones((5, 5, 3, 1), np.uint8), "neither gray nor color"),
        (np.full((2, 2), "x"), "is not a mask"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_reason(mask: np.ndarray[Any, Any], reason: str) -> None:
    with pytest.raises(MaskError, match=reason):
        grid.locate(mask)


@pytest.mark.parametrize("n", [0, 6, -3])
def test_there_are_five_grids(n: int) -> None:
    for ask in (lambda: grid.locate(np.ones((3, 3), np.uint8), n), lambda: grid.cell_names(n)):
        with pytest.raises(ValueError, match="n must be 1, 2, 3, 4 or 5"):
            ask()


def test_names() -> None:
    assert grid.cell_names() == (
        "top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right",
    )  # fmt: skip
    assert grid.cell_names(1) == ("center",)
    assert grid.cell_names(2) == ("top left", "top right", "bottom left", "bottom right")
    assert grid.cell_name(6, 4) == "row 2, column 3"
    assert grid.cell_name(24, 5) == "row 5, column 5"
    for n in range(1, 6):
        assert [grid.name_to_cell(name, n) for name in grid.cell_names(n)] == list(range(n * n))


def test_unknown_names_and_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="'upper left' names no cell of a 3 x 3 grid"):
        grid.name_to_cell("upper left")
    with pytest.raises(ValueError, match="no cell 9 in a 3 x 3 grid"):
        grid.cell_name(9)
    with pytest.raises(ValueError, match="no cell -1"):
        grid.cell_name(-1)
