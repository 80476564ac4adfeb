"""Draws the outline by which a teacher, and a reviewer, finds the defect (step 2 of the paper)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from expertad.sample import Region

COLORS: tuple[tuple[int, int, int], ...] = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (255, 0, 255),
    (0, 255, 255),
    (255, 128, 0),
)
"""Saturated RGB colours; products are mostly gray, black, brown or white."""

_MARGIN = 0.012
_LEAST_MARGIN = 4


def highlight(image_rgb: NDArray[np.uint8], mask: NDArray[Any], region: Region) -> NDArray[np.uint8]:
    """A copy of the image with a closed line around the defect, at a distance that leaves the defect itself untouched.

    The colour is the one of `COLORS` that differs most from the pixels the line runs over.

    Args:
        image_rgb: shape (height, width, 3), uint8, RGB.
        mask: shape (height, width); foreground is `value > max / 2`.
        region: the mask's region; its boxes bound the work.

    Returns:
        Array like `image_rgb`; equal to it wherever the mask is foreground.

    Raises:
        ValueError: the mask's shape is not the image's.
    """
    if mask.shape != image_rgb.shape[:2]:
        raise ValueError(f"the mask has shape {mask.shape}, the image {image_rgb.shape[:2]}")
    height, width = mask.shape
    margin = max(_LEAST_MARGIN, round(_MARGIN * max(height, width)))
    stroke = max(2, margin // 3)
    left, top, right, bottom = _around(region, margin + stroke + 1, width, height)
    defect = (mask[top:bottom, left:right] > mask.max() / 2).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    contours, _ = cv2.findContours(cv2.dilate(defect, kernel), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    line = np.zeros_like(defect)
    cv2.drawContours(line, contours, -1, 1, stroke)
    on_line = (line > 0) & (defect == 0)
    drawn = image_rgb.copy()
    window = drawn[top:bottom, left:right]
    if on_line.any():
        window[on_line] = _contrasting(window[on_line])
    return drawn


def _around(region: Region, margin: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The rectangle (left, top, right, bottom) that holds all boxes and a margin, within the image."""
    left = min(x for x, _, _, _ in region.boxes) - margin
    top = min(y for _, y, _, _ in region.boxes) - margin
    right = max(x + w for x, _, w, _ in region.boxes) + margin
    bottom = max(y + h for _, y, _, h in region.boxes) + margin
    return max(0, left), max(0, top), min(width, right), min(height, bottom)


def _contrasting(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colour that stays furthest, in CIE Lab, from the tenth of the pixels (n, 3) it is nearest to."""
    candidates = np.array(COLORS, np.uint8)
    lab = cv2.cvtColor(np.concatenate([candidates, pixels])[None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    colors, seen = lab[: len(candidates)], lab[len(candidates) :]
    distance = np.linalg.norm(colors[:, None] - seen[None], axis=2)
    chosen: NDArray[np.uint8] = candidates[np.argmax(np.percentile(distance, 10, axis=1))]
    return chosen
