"""Reading photographs, and the few operations on pixels that every measurement shares."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from expertad.errors import ImageError
from expertad.teachers.grounding.facts import Lab

Array = npt.NDArray[Any]

_READ_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read(path: Path, reduced: int) -> Array:
    """8-bit BGR pixels, height x width x 3, reduced by 1, 2, 4 or 8 while decoding.

    Raises:
        ImageError: the file cannot be read or decoded.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the image root") from error
    pixels: Array | None = None
    # OpenCV answers None to most damage and raises for the rest, an empty buffer among it.
    with suppress(cv2.error):
        pixels = cv2.imdecode(data, _READ_FLAGS[reduced] | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ImageError(f"{path}: cannot be decoded; replace the file or exclude the sample")
    return pixels


def to_lab(bgr: Array) -> Array:
    """8-bit BGR as float32 L*a*b*, height x width x 3."""
    lab: Array = cv2.cvtColor(bgr.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    return lab


def triple(values: Array) -> Lab:
    """Three numbers of an array as plain floats."""
    return float(values[0]), float(values[1]), float(values[2])


def shrink(pixels: Array, long_side: int) -> Array:
    """The picture with its long side at most `long_side` pixels, averaged over areas."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Array = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small


def gradient(lightness: Array) -> tuple[Array, Array]:
    """Horizontal and vertical slope in L* per pixel (Sobel, normalised)."""
    return (
        cv2.Sobel(lightness, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8),
        cv2.Sobel(lightness, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8),
    )


def orientation(dx: Array, dy: Array) -> tuple[float, float]:
    """Direction along the edges in [0, 180) degrees and coherence 0 to 1, from the mean structure tensor."""
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    if xx + yy < 1e-6:
        return 0.0, 0.0
    coherence = math.hypot(xx - yy, 2 * xy) / (xx + yy)
    across = 0.5 * math.atan2(2 * xy, xx - yy)
    return (math.degrees(across) + 90) % 180, coherence


def turn(one: float, other: float) -> float:
    """Angle between two directions, 0 to 90 degrees."""
    return min(abs(one - other), 180 - abs(one - other))
