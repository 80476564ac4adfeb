"""Noise fields in [-1, 1] or around 0, and the types of pixel arrays; all functions of a generator alone."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from expertad.order import order_key

Pixels: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float32]


def generator(seed: int, purpose: str, *ids: str) -> np.random.Generator:
    """A random generator that depends on content alone."""
    return np.random.default_rng(int.from_bytes(order_key(seed, purpose, *ids), "big"))


def pixels(values: npt.NDArray[Any]) -> Pixels:
    """Rounded and clipped to 0..255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def smooth(field: npt.NDArray[Any], sigma: float) -> Field:
    """Gaussian blur of a float copy; `sigma` in pixels, 0 or less leaves the field as it is."""
    out = np.asarray(field, np.float32)
    return out if sigma <= 0 else np.asarray(cv2.GaussianBlur(out, (0, 0), sigma), np.float32)


def clouds(rng: np.random.Generator, shape: tuple[int, int], cells: float, octaves: int = 3) -> Field:
    """Cloudy noise of about unit amplitude: `cells` blobs along the longer side, each octave twice as fine."""
    height, width = shape
    out = np.zeros(shape, np.float32)
    weight = 1.0
    for octave in range(octaves):
        step = max(shape) / (cells * 2**octave)
        grid = (max(2, round(height / step) + 1), max(2, round(width / step) + 1))
        coarse = rng.standard_normal(grid, np.float32)
        out += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= 0.5
    return out / 1.3


def grain(rng: np.random.Generator, shape: tuple[int, int], sigma: float = 0.0) -> Field:
    """White noise of standard deviation 1, blurred to `sigma` pixels and brought back to deviation 1."""
    out = smooth(rng.standard_normal(shape, np.float32), sigma)
    return out / max(float(out.std()), 1e-6) if sigma > 0 else out


def smoothstep(low: float, high: float, x: npt.ArrayLike) -> Field:
    """0 below `low`, 1 above `high`, a smooth S between; `low > high` falls instead."""
    t = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def gradient(field: Field) -> tuple[Field, Field]:
    """Central differences (d/dx, d/dy), the edges repeated."""
    padded = cv2.copyMakeBorder(field, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    dx = 0.5 * (padded[1:-1, 2:] - padded[1:-1, :-2])
    dy = 0.5 * (padded[2:, 1:-1] - padded[:-2, 1:-1])
    return np.asarray(dx, np.float32), np.asarray(dy, np.float32)
