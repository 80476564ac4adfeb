"""Geometry of a mask: its pieces, and the course and form of the largest one."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from expertad.teachers.grounding.pixels import Array, turn


def measure_shape(mask: Array, long_side: int) -> dict[str, Any]:
    """Geometry of the pieces and of the largest one; holes inside a piece count as filled."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # A contour runs through pixel centres; half a pixel on every side belongs to the piece.
    areas = [cv2.contourArea(c) + cv2.arcLength(c, closed=True) / 2 + 1 for c in contours]
    order = sorted(range(len(contours)), key=lambda i: (-areas[i], contours[i].tolist()[0]))
    kept = [i for i in order if areas[i] >= 0.02 * areas[order[0]]]
    axes = [_axis(contours[i]) for i in kept[:12]]
    length, aspect, angle, bow = axes[0]
    contour, area = contours[kept[0]], areas[kept[0]]
    hull = cv2.convexHull(contour)
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, closed=True) / 2 + 1
    directions = [a for extent, ratio, a, _ in axes if ratio >= 3 and extent >= 0.4 * length]
    spread = max((turn(a, directions[0]) for a in directions), default=0)
    return {
        "pieces": len(kept),
        "aspect": aspect,
        "angle": angle,
        "bow": bow,
        "roundness": min(1.0, 4 * math.pi * area / (cv2.arcLength(contour, closed=True) + 4) ** 2),
        "solidity": min(1.0, area / hull_area),
        "parallel": len(directions) >= 2 and spread <= 12,
        "length": length / long_side,
    }


def _axis(contour: Array) -> tuple[float, float, float, float]:
    """Length in pixels, length over width, direction in degrees and bow (share of length) of one filled piece.

    The middle line is the mean offset across the long axis in steps along it. The width of a piece that is long and
    evenly wide is its area over that line's length, so a thin arc is thin although its rectangle is not; of any other
    piece it is the extent across.
    """
    x, y, w, h = cv2.boundingRect(contour)
    filled = np.zeros((h, w), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    ys, xs = np.nonzero(filled)
    area = len(xs)
    if area < 3:
        return float(max(w, h)), float(max(w, h)), 0.0 if w >= h else 90.0, 0.0
    points = np.stack([xs, ys], axis=1).astype(np.float64)
    points -= points.mean(axis=0)
    _, vectors = np.linalg.eigh(points.T @ points)
    along, across = points @ vectors[:, 1], points @ vectors[:, 0]
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180
    extent, width = float(np.ptp(along)) + 1, float(np.ptp(across)) + 1
    steps = int(np.clip(extent / 4, 3, 24))
    index = np.minimum(((along - along.min()) / extent * steps).astype(int), steps - 1)
    count = np.bincount(index, minlength=steps)
    line = np.bincount(index, across, minlength=steps)[count > 0] / count[count > 0]
    spacing = extent / steps
    length = float(np.hypot(np.diff(line), spacing).sum()) + spacing
    bow = float(np.abs(line - np.linspace(line[0], line[-1], len(line))).max()) / length
    padded = cv2.copyMakeBorder(filled, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    thickest = 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) - 1
    # The line of a ragged blob wanders too, but it is thick somewhere, or no longer than a few times its thickness.
    thin = thickest <= 1.7 * area / length and (extent >= 3 * width or length >= 5 * thickest)
    return (length, length * length / area, angle, bow) if thin else (extent, max(1.0, extent / width), angle, bow)
