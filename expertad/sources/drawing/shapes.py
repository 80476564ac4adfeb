"""Outlines as signed distances, and the bevels, texts and paints that slabs are made with.

Lengths are in sizes (1 = width of the plan) from the plan's center; distances come out in pixels, negative inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from expertad.sources.drawing.fields import Field, Pixels, pixels
from expertad.sources.drawing.flaws import Builder
from expertad.sources.drawing.form import Color, Form, premultiplied

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Category:
    """One drawn product.

    Args:
        name: the data set's category.
        build: size -> Form, the same for all parts.
        dress: (generator, form) -> one paint per slab, premultiplied by its outline: what differs from part to part.
        flaws: builders per class code.
    """

    name: str
    build: Callable[[int], Form]
    dress: Callable[[np.random.Generator, Form], tuple[Pixels, ...]]
    flaws: dict[str, tuple[Builder, ...]]


@dataclass(frozen=True)
class Plan:
    """A size x size drawing board."""

    size: int

    @property
    def x(self) -> Field:
        """Place of every column, (1, size), in sizes from the center."""
        return np.asarray((np.arange(self.size) + 0.5) / self.size - 0.5, np.float32)[None, :]

    @property
    def y(self) -> Field:
        """Place of every row, (size, 1)."""
        return np.asarray((np.arange(self.size) + 0.5) / self.size - 0.5, np.float32)[:, None]

    def radius(self, x: float = 0.0, y: float = 0.0) -> Field:
        """Distance from a place, in sizes."""
        return np.asarray(np.hypot(self.x - x, self.y - y), np.float32)

    def disc(self, r: float, x: float = 0.0, y: float = 0.0) -> Field:
        """A disc's signed distance."""
        return np.asarray((self.radius(x, y) - r) * self.size, np.float32)

    def box(self, hx: float, hy: float, r: float = 0.0, x: float = 0.0, y: float = 0.0) -> Field:
        """A rounded box's signed distance; `hx`, `hy` are half its width and height."""
        dx, dy = np.abs(self.x - x) - (hx - r), np.abs(self.y - y) - (hy - r)
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        return np.asarray((outside + np.minimum(np.maximum(dx, dy), 0) - r) * self.size, np.float32)

    def boxes(self, places: Sequence[tuple[float, float, float, float]], r: float = 0.0) -> Field:
        """Signed distance of many small boxes (x, y, hx, hy); far from all of them it is merely large."""
        out = np.full((self.size, self.size), 1e3, np.float32)
        for x, y, hx, hy in places:
            x0, y0, w, h = self.pixel_box(x, y, hx + 0.012, hy + 0.012)
            dx = np.abs(self.x[:, x0 : x0 + w] - x) - (hx - r)
            dy = np.abs(self.y[y0 : y0 + h] - y) - (hy - r)
            outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
            own = (outside + np.minimum(np.maximum(dx, dy), 0) - r) * self.size
            part = out[y0 : y0 + h, x0 : x0 + w]
            np.minimum(part, own, out=part)
        return out

    @property
    def nothing(self) -> Field:
        """The signed distance of an empty board, to be united with others by `np.minimum`."""
        return np.full((self.size, self.size), 1e9, np.float32)

    @property
    def clean(self) -> Field:
        """A share of 0 everywhere, to be added to with `np.maximum`."""
        return np.zeros((self.size, self.size), np.float32)

    def text(self, words: str, x: float, y: float, height: float, thick: float = 0.12) -> Field:
        """0..1 picture of a line of text centered at a place."""
        canvas = np.zeros((self.size, self.size), np.uint8)
        scale = height * self.size / 21.0
        stroke = max(1, round(height * self.size * thick))
        (w, h), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
        place = round((x + 0.5) * self.size - w / 2), round((y + 0.5) * self.size + h / 2)
        cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, stroke, cv2.LINE_AA)
        return canvas.astype(np.float32) / 255.0

    def pixel_box(self, x: float, y: float, hx: float, hy: float) -> tuple[int, int, int, int]:
        """A box around a place as x, y, width, height in plan pixels, inside the board."""
        x0, y0 = max(0, int((x - hx + 0.5) * self.size)), max(0, int((y - hy + 0.5) * self.size))
        x1, y1 = int(np.ceil((x + hx + 0.5) * self.size)), int(np.ceil((y + hy + 0.5) * self.size))
        return x0, y0, min(x1, self.size) - x0, min(y1, self.size) - y0


def solid(distance: Array) -> Field:
    """0..1 inside of a signed distance, with an anti-aliased edge."""
    return np.asarray(np.clip(0.5 - distance, 0.0, 1.0), np.float32)


def outline(distance: Array) -> Pixels:
    """The same, 0..255."""
    return pixels(255.0 * solid(distance))


def bevel(distance: Array, width: float, steep: float = 0.8) -> Field:
    """Height of a rounded edge: 0 at the outline, level `width` pixels inside."""
    depth = np.clip(-distance / max(width, 0.5), 0.0, 1.0)
    return np.asarray(steep * width * np.sqrt(1.0 - (1.0 - depth) ** 2), np.float32)


def paint(size: int, color: Color) -> Pixels:
    """An even RGB field."""
    return np.full((size, size, 3), color, np.uint8)


def canvas(size: int, color: Color) -> Field:
    """The same as floats, to be painted on with `mix`."""
    return np.full((size, size, 3), color, np.float32)


def mix(base: Field, color: Color, share: Array) -> Field:
    """`base` (h x w x 3 float) with `color` over it where `share` is 1."""
    return np.asarray(base + (np.array(color, np.float32) - base) * share[..., None], np.float32)


def textured(base: Pixels, texture: Field, alpha: Pixels) -> Pixels:
    """Paint times (1 + texture), premultiplied by the outline."""
    gain = pixels(128.0 * (1.0 + texture))
    out = cv2.multiply(base, cv2.cvtColor(gain, cv2.COLOR_GRAY2RGB), scale=1 / 128)
    return premultiplied(np.asarray(out, np.uint8), alpha)


def crop(rng: np.random.Generator, field: Field, size: int) -> Field:
    """A size x size piece of a larger texture, flipped at random: one part's own stretch of it."""
    y = int(rng.integers(0, field.shape[0] - size + 1))
    x = int(rng.integers(0, field.shape[1] - size + 1))
    piece = field[y : y + size, x : x + size]
    return piece[:: 1 if rng.random() < 0.5 else -1, :: 1 if rng.random() < 0.5 else -1]
