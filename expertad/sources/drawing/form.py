"""Slabs and forms: what a category is made of, and how light falls on it.

A slab is a flat piece seen from above: an outline (`alpha`), a relief on its top, a color, and the heights it spans. A
form is a stack of slabs, lowest first; a camera sees a higher slab before a lower one, so painting upwards is exact.
Everything here depends on category and size alone and is worked out once.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, TypeVar

import cv2
import numpy as np

from expertad.sources.drawing.camera import Camera, Matrix, homography, lamp_place, toward_camera
from expertad.sources.drawing.fields import Field, Pixels, gradient, pixels, smooth, smoothstep

Color = tuple[int, int, int]
Piece: TypeAlias = tuple[Pixels, tuple[float, float]]
"""A part of a slab's outline and how far its top leans aside (dx, dy), in plan pixels."""
Window: TypeAlias = tuple[int, int, int, int]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Material:
    """How a surface answers light.

    Args:
        gloss: strength of the white highlight, 0..1.
        shininess: its exponent; higher is smaller and sharper.
        metal: share of light that is mirrored in the surface's own color, 0..1.
        lines: direction of fine tool marks, which stretch the highlight across them.
        mirror: strength of the lamp's softbox mirrored in sloping places, 0..1.
    """

    gloss: float = 0.2
    shininess: float = 20.0
    metal: float = 0.0
    lines: Literal["", "radial", "x", "y"] = ""
    mirror: float = 0.0


@dataclass(frozen=True, slots=True)
class Item:
    """One separable piece of a slab: a pin, a tooth, a component. `box` is x, y, width, height in plan pixels."""

    name: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Slab:
    """One flat piece. Arrays are size x size; `paint` has three channels (RGB); heights in plan pixels."""

    name: str
    alpha: Pixels
    relief: Field
    paint: Pixels
    bottom: float
    top: float
    material: Material
    wall: Color
    items: tuple[Item, ...] = ()
    wall_gloss: float = 0.3


@dataclass(frozen=True)
class Lit:
    """A slab's box in the light, one channel each: `diffuse` 128 = unchanged color, `shine` is added white."""

    diffuse: Pixels
    shine: Pixels


@dataclass(frozen=True)
class Skirt:
    """A slab's walls and shadow in a camera's image at half size.

    `color` is premultiplied by `cover`; `shade` multiplies what lies below (255 = no shadow).
    """

    color: Pixels
    cover: Pixels
    shade: Pixels

    @cached_property
    def gain(self) -> Pixels:
        """What remains of the image below, 0..255; `color` is added to it."""
        return np.asarray(cv2.multiply(self.shade, cv2.bitwise_not(self.cover), scale=1 / 255), np.uint8)

    @cached_property
    def reach(self) -> Window:
        """The rectangle outside of which nothing below is changed."""
        x, y, w, h = cv2.boundingRect(np.asarray(cv2.bitwise_not(self.gain), np.uint8))
        return int(x), int(y), int(w), int(h)


@dataclass(frozen=True)
class Form:
    """A category at one size: its slabs, the ground it lies on, the zoom that makes it fill the frame.

    Answers that are expensive (light, walls, grounds) are kept, so a form is shared by the parts of its category.
    """

    name: str
    size: int
    slabs: tuple[Slab, ...]
    ground: Callable[[Camera], Pixels]
    zoom: float = 0.92
    _kept: dict[object, object] = field(default_factory=dict, repr=False)
    _locks: defaultdict[object, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock), repr=False)

    @property
    def half(self) -> int:
        """Width of the half-size images that walls and shadows are kept in."""
        return max(self.size // 2, 1)

    def keep(self, key: object, make: Callable[[], _T]) -> _T:
        """The value of `make()`, worked out once per key."""
        found = self._kept.get(key)
        if found is None:
            with self._locks[key]:
                found = self._kept.get(key)
                if found is None:
                    found = self._kept[key] = make()
        return found  # type: ignore[return-value]

    def matrix(self, camera: Camera, z: float) -> Matrix:
        """Plan pixels at height `z` to image pixels; the part's middle height stays in the middle of the frame."""
        lift = max(slab.top for slab in self.slabs) / 2
        return homography(camera, self.size, z - lift, self.zoom)

    def box(self, index: int) -> Window:
        """The rectangle of the plan that holds slab `index`, with room for what may be bent out of its outline."""

        def make() -> Window:
            x, y, w, h = cv2.boundingRect(self.slabs[index].alpha)
            room = self.size // 10
            x0, y0 = max(x - room, 0), max(y - room, 0)
            return x0, y0, min(x + w + room, self.size) - x0, min(y + h + room, self.size) - y0

        return self.keep(("box", index), make)

    def lit(self, index: int, camera: Camera) -> Lit:
        """Slab `index` under the camera's lamp."""
        return self.keep(
            ("lit", index, camera.name), lambda: light(self.slabs[index], camera, self.size, self.box(index))
        )

    def skirt(self, index: int, camera: Camera) -> Skirt:
        """Shadow and walls of slab `index` as it is when nothing is wrong with it."""
        slab = self.slabs[index]
        return self.keep(("skirt", index, camera.name), lambda: skirt(self, slab, [(slab.alpha, (0.0, 0.0))], camera))


def lamp_vectors(camera: Camera, size: int, z: float, box: Window) -> tuple[Field, Field, Field, Field]:
    """Unit vectors from every plan pixel of a box to the lamp, and its falloff relative to the plan's center."""
    x, y, height = lamp_place(camera, size)
    left, top, w, h = box
    lx = np.broadcast_to((x + size / 2 - np.arange(left, left + w, dtype=np.float32))[None, :], (h, w))
    ly = np.broadcast_to((y + size / 2 - np.arange(top, top + h, dtype=np.float32))[:, None], (h, w))
    lz = np.float32(height - z)
    inverse = 1.0 / np.sqrt(lx * lx + ly * ly + lz * lz)
    reference = float(np.sqrt(x * x + y * y + lz * lz))
    return lx * inverse, ly * inverse, lz * inverse, np.asarray(reference * inverse, np.float32)


def light(slab: Slab, camera: Camera, size: int, box: Window) -> Lit:
    """Lambert plus ambient, a Blinn highlight, and for metals a mirrored room, over the relief's normals."""
    material = slab.material
    left, top, width, height = box
    own = slice(top, top + height), slice(left, left + width)
    gx, gy = gradient(slab.relief[own])
    norm = 1.0 / np.sqrt(gx * gx + gy * gy + 1.0)
    nx, ny, nz = -gx * norm, -gy * norm, norm
    lx, ly, lz, near = lamp_vectors(camera, size, slab.top, box)
    vx, vy, vz = toward_camera(camera)
    place = lamp_place(camera, size)
    flat = (place[2] - slab.top) / float(np.hypot(np.hypot(place[0], place[1]), place[2] - slab.top))
    lambert = np.maximum(nx * lx + ny * ly + nz * lz, 0.0) / flat * near**1.15
    shade = camera.glow * (0.55 + 0.45 * nz) + (1.0 - camera.glow) * lambert
    hx, hy, hz = lx + vx, ly + vy, lz + vz
    h_norm = 1.0 / np.sqrt(hx * hx + hy * hy + hz * hz)
    nh = np.clip((nx * hx + ny * hy + nz * hz) * h_norm, 0.0, 1.0)
    if material.lines:
        shade = shade * (1.0 - material.metal) + material.metal * (
            0.45 * shade + _streak(material, size, box, hx, hy, hz)
        )
    elif material.metal:
        # A room mirrored in plain metal: a light ceiling on the lamp's side, a darker floor.
        vn = vx * nx + vy * ny + vz * nz
        up = 2.0 * vn * nz - vz
        side = (2.0 * vn * nx - vx) * lx + (2.0 * vn * ny - vy) * ly
        room = 0.35 + 0.75 * smoothstep(0.1, 1.0, up) + 0.5 * smoothstep(0.1, 0.75, side)
        shade = shade * (1.0 - material.metal) + material.metal * room
    shine = material.gloss * nh**material.shininess * near
    if material.mirror:
        facing = nx * lx + ny * ly + nz * lz
        slope = smoothstep(0.06, 0.35, np.sqrt(gx * gx + gy * gy))
        shine = shine + material.mirror * slope * smoothstep(0.72, 0.97, facing) * near
    cover = slab.alpha[own].astype(np.float32) / 255.0
    return Lit(pixels(shade * 128.0), pixels(shine * 255.0 * cover))


def _streak(material: Material, size: int, box: Window, hx: Field, hy: Field, hz: Field) -> Field:
    """Highlight of parallel or concentric tool marks: narrow along the marks, wide across (after Ward, 1992)."""
    if material.lines == "radial":
        left, top, w, h = box
        x = (np.arange(left, left + w, dtype=np.float32) - (size - 1) / 2)[None, :]
        y = (np.arange(top, top + h, dtype=np.float32) - (size - 1) / 2)[:, None]
        radius = np.maximum(np.hypot(x, y), 1.0)
        rx, ry = x / radius, y / radius
    else:
        rx, ry = (np.float32(0.0), np.float32(1.0)) if material.lines == "x" else (np.float32(1.0), np.float32(0.0))
    along = (-hx * ry + hy * rx) / hz
    cross = (hx * rx + hy * ry) / hz
    return np.asarray(0.36 + 0.62 * np.exp(-((along / 0.26) ** 2) - (cross / 0.95) ** 2), np.float32)


def skirt(form: Form, slab: Slab, pieces: Sequence[Piece], camera: Camera) -> Skirt:
    """Walls and shadow of a slab made of `pieces`."""
    half = form.half
    return Skirt(*walls(form, slab, pieces, camera, (0, 0, half, half)), shadow(form, slab, pieces, camera))


def walls(form: Form, slab: Slab, pieces: Sequence[Piece], camera: Camera, window: Window) -> tuple[Pixels, Pixels]:
    """The sides of a slab, painted from the bottom up: color (premultiplied) and cover, in a window of the half image.

    A slab's slice at a height is its outline seen through that height's homography; enough slices leave no gap.
    """
    left, top, width, height = window
    half = form.half
    scale = half / form.size
    to_half = np.array([[scale, 0, -left], [0, scale, -top], [0, 0, 1]], np.float64)
    color: Pixels = np.zeros((height, width, 3), np.uint8)
    cover: Pixels = np.zeros((height, width), np.uint8)
    tall = slab.top - slab.bottom
    for alpha, lean in pieces:
        reach = max(tall * float(np.sin(np.deg2rad(camera.tilt))), float(np.hypot(*lean))) * form.zoom * scale
        count = int(np.clip(np.ceil(reach * 0.8), 0, 48)) if camera.tilt or any(lean) else 0
        if count == 0:
            continue
        whole = cv2.resize(alpha, (half, half), interpolation=cv2.INTER_AREA)
        x, y, w, h = cv2.boundingRect(whole)
        x, y = max(x - 8, 0), max(y - 8, 0)
        small = np.asarray(whole[y : y + h + 16, x : x + w + 16], np.uint8)
        from_half = np.array([[1 / scale, 0, x / scale], [0, 1 / scale, y / scale], [0, 0, 1]], np.float64)
        sides = np.dstack([premultiplied(pixels(_wall(slab, small, camera, half)), small), small])
        for step in range(count):
            share = step / count
            shift = np.array([[1, 0, lean[0] * share], [0, 1, lean[1] * share], [0, 0, 1]], np.float64)
            matrix = to_half @ form.matrix(camera, slab.bottom + share * tall) @ shift @ from_half
            piece = np.asarray(cv2.warpPerspective(sides, matrix, (width, height)), np.uint8)
            dim = 0.62 + 0.38 * min(1.0, (share + 0.12) * 1.6) if slab.bottom <= 0 else 0.78 + 0.22 * share
            own = np.ascontiguousarray(piece[..., 3])
            color = lay(
                color, np.asarray(cv2.convertScaleAbs(piece[..., :3], alpha=dim), np.uint8), cv2.bitwise_not(own)
            )
            cover = np.asarray(cv2.max(cover, own), np.uint8)
    return color, cover


def lay(image: Pixels, add: Pixels, gain: Pixels) -> Pixels:
    """Image * gain / 255 + add, saturating; `gain` has one channel."""
    dimmed = cv2.multiply(image, cv2.cvtColor(gain, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return np.asarray(cv2.add(dimmed, add), np.uint8)


def premultiplied(base: Pixels, alpha: Pixels) -> Pixels:
    """Paint that is black where the outline is empty."""
    return np.asarray(cv2.multiply(base, cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), scale=1 / 255), np.uint8)


def shadow(form: Form, slab: Slab, pieces: Sequence[Piece], camera: Camera) -> Pixels:
    """Multiplier (255 = none) of what lies under a slab: a soft shadow away from the lamp, and a line of contact."""
    quarter = max(form.size // 4, 1)
    pad = quarter // 3
    scale = quarter / form.size
    x, y, z = lamp_place(camera, form.size)
    tall = (slab.top - slab.bottom) * scale
    away = (-x / z * tall, -y / z * tall)
    side = quarter + 2 * pad
    cast: Pixels = np.zeros((side, side), np.uint8)
    near: Pixels = np.zeros((side, side), np.uint8)
    for alpha, lean in pieces:
        small = cv2.resize(alpha, (quarter, quarter), interpolation=cv2.INTER_AREA)
        padded = np.asarray(cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT), np.uint8)
        near = np.maximum(near, padded)
        for share in np.linspace(0.0, 1.0, 7):
            dx, dy = (away[0] + lean[0] * scale) * share, (away[1] + lean[1] * scale) * share
            moved = cv2.warpAffine(padded, np.array([[1, 0, dx], [0, 1, dy]], np.float64), (side, side))
            cast = np.maximum(cast, np.asarray(moved, np.uint8))
    soft = smooth(cast.astype(np.float32) / 255.0, 0.006 * quarter + 0.22 * tall)
    wide = smooth(near.astype(np.float32) / 255.0, 0.004 * quarter + 0.45 * tall)
    gain = pixels(255.0 * (1.0 - 0.40 * soft - 0.24 * wide))
    half = form.half
    grow = half / form.size
    to_half = np.diag([grow, grow, 1.0]) @ form.matrix(camera, slab.bottom)
    from_pad = np.array([[1 / scale, 0, -pad / scale], [0, 1 / scale, -pad / scale], [0, 0, 1]], np.float64)
    return np.asarray(cv2.warpPerspective(gain, to_half @ from_pad, (half, half), borderValue=255), np.uint8)


def _wall(slab: Slab, alpha: Pixels, camera: Camera, half: int) -> Field:
    """Color of a slab's walls, (half, half, 3) in 0..255, by the way each piece of outline faces."""
    gx, gy = gradient(smooth(alpha.astype(np.float32) / 255.0, max(half / 220, 0.8)))
    norm = np.maximum(np.hypot(gx, gy), 1e-5)
    outward = (-gx / norm, -gy / norm)
    x, y, z = lamp_place(camera, half)
    length = float(np.sqrt(x * x + y * y + z * z))
    facing = np.maximum((outward[0] * x + outward[1] * y) / length, 0.0)
    vx, vy, _ = toward_camera(camera)
    hx, hy = x / length + vx, y / length + vy
    h = float(np.sqrt(hx * hx + hy * hy + (z / length + 0.8) ** 2))
    gleam = np.maximum((outward[0] * hx + outward[1] * hy) / h, 0.0) ** 8
    # The camera's own ring light fills the walls that face it.
    fill = np.maximum(outward[0] * vx + outward[1] * vy, 0.0)
    shade = camera.glow * 0.75 + 0.42 * fill + (1.0 - camera.glow) * 1.15 * facing
    base = np.array(slab.wall, np.float32)
    return np.asarray(
        np.minimum(base * shade[..., None] + 255.0 * slab.wall_gloss * gleam[..., None], 255.0), np.float32
    )
