"""The smoke profile: tiny textures with one large mark in one of nine cells, for training tiny models on a CPU.

Marks are drawn in closed form on an 84-pixel square: a black hole, a bright scratch, a colored stain; each keeps to its
cell, and cells and kinds are dealt evenly.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from expertad.order import order_key
from expertad.sources.drawing.fields import Field, clouds, generator, grain, pixels
from expertad.sources.drawing.lot import Ticket
from expertad.sources.drawing.render import Photo

SIZE = 84
CODES = ("AK", "HS", "ZW")
TEXTURES = ("fabric", "metal", "wood")
POOL = 24


@cache
def _grounds(texture: str, size: int) -> list[Field]:
    """A pool of flawless textures, larger than the image, each (h, w, 3) in 0..255."""
    out = []
    side = size * 3 // 2
    axis = np.arange(side, dtype=np.float32) * (SIZE / size)
    x, y = axis[None, :], axis[:, None]
    for number in range(POOL):
        rng = generator(0, "smoke ground", texture, str(number))
        if texture == "fabric":
            weave = np.sin(2 * np.pi * x / 6.0) * np.sin(2 * np.pi * y / 6.0)
            tone, color = 1.0 + 0.16 * weave, (124, 134, 150)
        elif texture == "metal":
            lines = grain(rng, (side, 1), 0.7)
            tone, color = 1.0 + 0.035 * lines + 0.04 * clouds(rng, (side, side), 3, 1), (164, 166, 168)
        else:
            rings = np.sin(2 * np.pi * (x / 11.0 + 0.35 * np.sin(y / 17.0 + rng.uniform(0, 6))))
            tone, color = 1.0 + 0.13 * rings, (156, 118, 78)
        out.append(np.asarray(np.broadcast_to(tone, (side, side))[..., None] * np.array(color, np.float32), np.float32))
    return out


def photograph(texture: str, seed: int, ticket: Ticket, size: int = SIZE, *, flawless: bool = False) -> Photo:
    """The one view (C1) of a smoke part; `flawless` leaves its mark out."""
    rng = generator(seed, "smoke", texture, str(ticket.index))
    grounds = _grounds(texture, size)
    ground = grounds[int(rng.integers(len(grounds)))]
    y, x = rng.integers(0, ground.shape[0] - size + 1, 2)
    image = ground[y : y + size, x : x + size] * np.float32(rng.uniform(0.9, 1.1))
    noise = rng.standard_normal((size, size), np.float32)
    image = image + 5.0 * noise[..., None]
    if not ticket.defective or flawless:
        return Photo(pixels(image), None)
    cover, color = _mark(rng, seed, texture, ticket, size)
    flawed = image + (np.array(color, np.float32) - image) * cover[..., None]
    clean, changed = pixels(image), pixels(flawed)
    mask = (np.abs(clean.astype(np.int16) - changed).max(2) >= 10) & (cover > 0.15)
    return Photo(np.where(mask[..., None], changed, clean), mask.astype(np.uint8) * np.uint8(255))


def cell_of(seed: int, texture: str, code: str, number: int) -> int:
    """Cell (0..8) of the `number`-th part (from 1) of a code: every nine parts use every cell."""
    turn, place = divmod(number - 1, 9)
    return sorted(range(9), key=lambda c: order_key(seed, "smoke cell", texture, code, str(turn), str(c)))[place]


def _mark(
    rng: np.random.Generator, seed: int, texture: str, ticket: Ticket, size: int
) -> tuple[Field, tuple[int, int, int]]:
    """Cover (0..1) and color of the part's mark, wholly inside its cell."""
    cell = size / 3
    row, column = divmod(cell_of(seed, texture, ticket.code, ticket.number), 3)
    axis = np.arange(size, dtype=np.float32) + 0.5
    u, v = axis[None, :] - column * cell, axis[:, None] - row * cell
    inside = ((u > 0) & (u < cell) & (v > 0) & (v < cell)).astype(np.float32)
    cx, cy = rng.uniform(0.40, 0.60, 2) * cell
    if ticket.code == "AK":
        radius = rng.uniform(0.26, 0.36) * cell
        cover = np.clip(radius - np.hypot(u - cx, v - cy) + 0.5, 0, 1)
        return np.asarray(cover * inside, np.float32), (10, 10, 12)
    angle = rng.uniform(0, np.pi)
    along = (u - cx) * np.cos(angle) + (v - cy) * np.sin(angle)
    across = -(u - cx) * np.sin(angle) + (v - cy) * np.cos(angle)
    if ticket.code == "HS":
        wave = 0.04 * cell * np.sin(along / cell * rng.uniform(2, 5))
        cover = np.clip(0.075 * cell - np.abs(across - wave) + 0.5, 0, 1) * (np.abs(along) < 0.42 * cell)
        return np.asarray(cover * inside, np.float32), (252, 252, 246)
    reach = np.hypot(along / (rng.uniform(0.28, 0.4) * cell), across / (rng.uniform(0.26, 0.36) * cell))
    cover = 0.85 * np.clip((1.12 - reach) * 5.0, 0, 1)
    color = ((40, 128, 58), (150, 52, 40))[int(rng.integers(2))]
    return np.asarray(cover * inside, np.float32), color
