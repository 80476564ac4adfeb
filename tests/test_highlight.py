from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertad.grid import locate
from expertad.highlight import highlight


def disk(size: int, x: int, y: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.where((columns - x) ** 2 + (rows - y) ** 2 <= radius**2, 255, 0).astype(np.uint8)


@settings(max_examples=60)
@given(st.integers(0, 119), st.integers(0, 119), st.integers(0, 50), st.integers(0, 255))
def test_defect_itself_is_untouched_and_a_line_runs_around_it(x: int, y: int, radius: int, gray: int) -> None:
    image = np.full((120, 120, 3), gray, np.uint8)
    mask = disk(120, x, y, radius)
    before = image.copy()
    drawn = highlight(image, mask, locate(mask))
    assert (image == before).all()
    assert drawn.shape == image.shape
    assert (drawn[mask > 0] == image[mask > 0]).all()
    changed = (drawn != image).any(axis=2)
    assert changed.any()
    rows, columns = np.nonzero(changed)
    assert np.hypot(columns - x, rows - y).max() <= radius + 20


@pytest.mark.parametrize(
    "color", [(255, 0, 0), (0, 255, 0), (255, 255, 0), (128, 128, 128), (0, 0, 0), (255, 255, 255)]
)
def test_line_stands_out_from_what_it_runs_over(color: tuple[int, int, int]) -> None:
    image = np.full((200, 200, 3), color, np.uint8)
    mask = disk(200, 100, 100, 20)
    drawn = highlight(image, mask, locate(mask))
    line = drawn[(drawn != image).any(axis=2)]
    assert len(np.unique(line, axis=0)) == 1
    assert np.abs(line[0].astype(int) - np.array(color)).max() >= 127


def test_each_of_several_marks_is_outlined() -> None:
    image = np.full((300, 300, 3), 90, np.uint8)
    mask = disk(300, 40, 40, 6) | disk(300, 250, 250, 6)
    changed = (highlight(image, mask, locate(mask)) != image).any(axis=2)
    assert changed[:100, :100].any()
    assert changed[200:, 200:].any()
    assert not changed[120:180, 120:180].any()


def test_sixteen_bit_mask_is_read_by_its_own_maximum() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    mask = disk(100, 50, 50, 10).astype(np.uint16) * 200
    mask[0, 0] = 100
    changed = (highlight(image, mask, locate(mask)) != image).any(axis=2)
    assert not changed[:20, :20].any()


def test_defect_that_fills_the_image_leaves_it_as_it_is() -> None:
    image = np.full((50, 50, 3), 90, np.uint8)
    mask = np.full((50, 50), 255, np.uint8)
    assert (highlight(image, mask, locate(mask)) == image).all()


def test_mask_of_another_size_is_refused() -> None:
    mask = disk(100, 50, 50, 10)
    with pytest.raises(ValueError, match="shape"):
        highlight(np.zeros((50, 50, 3), np.uint8), mask, locate(mask))
