"""What is wrong with a part: marks at places in part coordinates, and changes of its outline.

A *builder* is a function (generator, form) -> Flaw. Categories list their builders per class code; the ones here are
made to measure by a few numbers. Lengths are given in sizes (1 = width of the image) and drawn log-uniformly, so that
small flaws are as common as large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from expertad.sources.drawing import marks
from expertad.sources.drawing.fields import Field, Pixels, gradient, smooth, smoothstep
from expertad.sources.drawing.form import Form, Item
from expertad.sources.drawing.marks import Mark

RGB = tuple[int, int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Decal:
    """A mark on a part.

    Args:
        mark: what is drawn.
        slab: index of the slab it is on.
        where: "top" and "wall" are clipped by their surface; "over" lies on everything.
        x, y: plan pixels of its center.
        turn: radians from the plan's x axis to the patch's.
        facing: outward direction of the wall (radians) for "wall".
        z: height of its center in plan pixels.
        strength: 0..1.
    """

    mark: Mark
    slab: int
    where: Literal["top", "wall", "over"]
    x: float
    y: float
    turn: float
    z: float
    facing: float = 0.0
    strength: float = 1.0


@dataclass(frozen=True)
class Cut:
    """Material gone from a slab: `hole` (0..1) with its corner at plan pixel (x, y); `whole` when a piece is gone."""

    slab: int
    x: int
    y: int
    hole: Field
    whole: bool = False


@dataclass(frozen=True)
class Lean:
    """A piece of a slab whose top leans aside by (dx, dy) plan pixels, its foot staying where it is."""

    slab: int
    item: Item
    dx: float
    dy: float


@dataclass(frozen=True)
class Bend:
    """Material pushed by (dx, dy) plan pixels at (x, y), fading over `radius`."""

    slab: int
    x: float
    y: float
    radius: float
    dx: float
    dy: float


Change: TypeAlias = Cut | Lean | Bend


@dataclass(frozen=True)
class Flaw:
    """All that is wrong with one part: what is drawn on it and how its outline changed."""

    decals: tuple[Decal, ...] = ()
    changes: tuple[Change, ...] = ()

    def __add__(self, other: Flaw) -> Flaw:
        return Flaw(self.decals + other.decals, self.changes + other.changes)


Builder: TypeAlias = Callable[[np.random.Generator, Form], Flaw]


def between(rng: np.random.Generator, limits: Range) -> float:
    """Log-uniform between two positive numbers."""
    return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))


def choose(rng: np.random.Generator, options: Sequence[RGB]) -> RGB:
    """One of the colors."""
    return options[int(rng.integers(len(options)))]


# ---- places ---------------------------------------------------------------------------------------------------------


def open_top(form: Form, slab: int, margin: float) -> list[npt.NDArray[np.int32]]:
    """Free places of a slab's top by image cell: up to nine arrays of (x, y), at least `margin` plan pixels inside."""

    def make() -> list[npt.NDArray[np.int32]]:
        free = form.slabs[slab].alpha > 200
        for above in form.slabs[slab + 1 :]:
            free &= above.alpha < 40
        inside = cv2.distanceTransform(np.pad(free, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        inside = inside * _in_frame(form)
        rows, columns = np.nonzero(inside >= min(margin, float(inside.max()) * 0.8))
        cell = rows * 3 // form.size * 3 + columns * 3 // form.size
        places = np.stack([columns, rows], 1).astype(np.int32)
        roomy = [places[cell == c] for c in range(9) if (cell == c).sum() > form.size**2 / 4000]
        return roomy or [places]

    return form.keep(("open", slab, round(margin / form.size, 2)), make)


def _in_frame(form: Form) -> npt.NDArray[np.bool_]:
    """Plan pixels that the upper camera sees well inside the frame."""
    across = np.abs(np.arange(form.size) - form.size / 2) * form.zoom < 0.475 * form.size
    return np.asarray(across[:, None] & across[None, :])


def on_top(rng: np.random.Generator, form: Form, slab: int, margin: float) -> tuple[float, float]:
    """A free place on a slab's top; every image cell that has room is equally likely."""
    cells = open_top(form, slab, margin)
    places = cells[int(rng.integers(len(cells)))]
    x, y = places[int(rng.integers(len(places)))]
    return float(x), float(y)


def outline(form: Form, slab: int) -> npt.NDArray[np.float64]:
    """Points of a slab's outline: rows of x, y and the outward direction in radians."""

    def make() -> npt.NDArray[np.float64]:
        alpha = form.slabs[slab].alpha
        gx, gy = gradient(smooth(alpha.astype(np.float32), max(1.0, form.size / 150)))
        contours, _ = cv2.findContours((alpha > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        points = np.concatenate([c.reshape(-1, 2) for c in contours if len(c) > form.size / 8])
        seen = _in_frame(form)[points[:, 1], points[:, 0]]
        points = points[seen]
        at = points[:, 1], points[:, 0]
        return np.column_stack([points, np.arctan2(-gy[at], -gx[at])]).astype(np.float64)

    return form.keep(("outline", slab), make)


def on_outline(rng: np.random.Generator, form: Form, slab: int, outer: bool = True) -> tuple[float, float, float]:
    """A point of the outline with its outward direction; `outer` keeps to the side away from the part's center."""
    points = outline(form, slab)
    if outer:
        away = points[:, :2] - form.size / 2
        points = points[(away[:, 0] * np.cos(points[:, 2]) + away[:, 1] * np.sin(points[:, 2])) > 0.2 * form.size]
    x, y, facing = points[int(rng.integers(len(points)))]
    return float(x), float(y), float(facing)


# ---- marks on surfaces ----------------------------------------------------------------------------------------------


def marked(
    draw: Callable[[np.random.Generator, float], Mark],
    slabs: Sequence[int],
    *,
    margin: float = 0.012,
    wall: float = 0.0,
    strength: Range = (0.55, 1.0),
    again: float = 0.12,
    over: bool = False,
) -> Builder:
    """A builder that puts a mark on one of `slabs`.

    Args:
        draw: (generator, unit) -> Mark.
        slabs: candidates; each call takes one.
        margin: distance from the edge of the surface, in sizes.
        wall: chance that the mark is on the side of the slab instead of its top.
        strength: range of contrast.
        again: chance of a second mark of the same kind nearby.
        over: the mark lies on top of everything (foreign objects).
    """

    def build(rng: np.random.Generator, form: Form) -> Flaw:
        unit = form.size / 1024
        slab = int(slabs[int(rng.integers(len(slabs)))])
        mark = draw(rng, unit)
        power = float(rng.uniform(*strength))
        sideways = rng.random() < wall
        if sideways:
            slab = max(slabs, key=lambda s: form.slabs[s].top - form.slabs[s].bottom)
        piece = form.slabs[slab]
        if sideways:
            x, y, facing = on_outline(rng, form, slab)
            z = piece.bottom + (piece.top - piece.bottom) * rng.uniform(0.35, 0.75)
            return Flaw((Decal(mark, slab, "wall", x, y, 0.0, z, facing, power),))
        x, y = on_top(rng, form, slab, margin * form.size)
        angle = rng.uniform(0, 2 * np.pi)
        first = Decal(mark, slab, "over" if over else "top", x, y, float(angle), piece.top, 0.0, power)
        if rng.random() >= again:
            return Flaw((first,))
        away = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.7, 1.3) * min(mark.span, 0.12 * form.size)
        x, y = x + reach * np.cos(away), y + reach * np.sin(away)
        if not (0 <= x < form.size and 0 <= y < form.size and piece.alpha[int(y), int(x)] > 127):
            return Flaw((first,))
        return Flaw((first, replace(first, mark=draw(rng, unit), x=float(x), y=float(y), turn=float(angle) + 0.4)))

    return build


def scratches(slabs: Sequence[int], bright: float, length: Range = (0.07, 0.42), wall: float = 0.35) -> Builder:
    """Thin grooves; `bright` is the chance that bare material shines through."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        reach = between(rng, length) * 1024 * unit
        return marks.scratch(rng, unit, reach, rng.uniform(1.8, 4.4) * unit + 0.5, rng.random() < bright)

    return marked(draw, slabs, strength=(0.6, 1.0), wall=wall, margin=0.02)


def pits(slabs: Sequence[int], radius: Range = (0.013, 0.05), floor: float = 0.42, wall: float = 0.45) -> Builder:
    """Small craters."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        return marks.pit(rng, unit, between(rng, radius) * 1024 * unit, rng.uniform(0.6, 1.0), floor)

    return marked(draw, slabs, wall=wall, strength=(0.75, 1.0), again=0.25)


def scuffs(
    slabs: Sequence[int], light: bool, length: Range = (0.08, 0.3), strength: Range = (0.4, 0.8), wall: float = 0.45
) -> Builder:
    """Worn patches of fine parallel scuffs."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        reach = between(rng, length) * 1024 * unit
        return marks.scuff(rng, unit, reach, reach * rng.uniform(0.35, 0.7), light, rng.uniform(*strength))

    return marked(draw, slabs, wall=wall, strength=(0.75, 1.0), margin=0.02)


def dirt(
    slabs: Sequence[int],
    colors: Sequence[RGB],
    radius: Range = (0.02, 0.1),
    opacity: Range = (0.35, 0.8),
    kinds: Sequence[str] = ("stain", "ring", "oil", "specks", "smear"),
    wall: float = 0.4,
) -> Builder:
    """Contamination: dried drops, oily films, smears, clusters of specks."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        kind = kinds[int(rng.integers(len(kinds)))]
        reach = between(rng, radius) * 1024 * unit
        color, power = choose(rng, colors), float(rng.uniform(*opacity))
        if kind == "specks":
            return marks.specks(rng, unit, 1.3 * reach, int(rng.integers(16, 52)), color, min(1.0, power + 0.25))
        if kind == "oil":
            return marks.oil(rng, unit, reach * 1.2, reach * rng.uniform(0.6, 1.0), rng.uniform(0.25, 0.45))
        if kind == "smear":
            return marks.stain(rng, unit, reach * 1.7, reach * rng.uniform(0.25, 0.5), color, power * 0.85, False)
        return marks.stain(rng, unit, reach, reach * rng.uniform(0.55, 1.0), color, power, kind == "ring")

    return marked(draw, slabs, wall=wall, strength=(0.7, 1.0))


def cracks(slabs: Sequence[int], length: Range = (0.08, 0.3), width: Range = (2.0, 4.2), wall: float = 0.0) -> Builder:
    """Branching cracks."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        reach, thick = between(rng, length) * 1024 * unit, between(rng, width) * unit + 0.3
        return marks.crack(rng, unit, reach, thick, rng.uniform(0.6, 0.85))

    return marked(draw, slabs, wall=wall, strength=(0.85, 1.0), again=0.0, margin=0.01)


def objects(slabs: Sequence[int], colors: Sequence[RGB], kinds: Sequence[str] = ("fibre", "chip", "curl")) -> Builder:
    """Foreign objects that lie on the part: fibres, crumbs, metal curls."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind == "fibre":
            length = between(rng, (0.12, 0.42)) * 1024 * unit
            return marks.fibre(rng, unit, length, rng.uniform(2.0, 5.0) * unit + 0.5, choose(rng, colors))
        if kind == "curl":
            return marks.curl(rng, unit, between(rng, (0.022, 0.06)) * 1024 * unit)
        shiny = bool(rng.random() < 0.4)
        color = (176, 178, 182) if shiny else choose(rng, colors)
        return marks.chip(rng, unit, between(rng, (0.014, 0.045)) * 1024 * unit, color, shiny)

    return marked(draw, slabs, strength=(0.95, 1.0), over=True, again=0.15)


def wall_chips(slab: int, raw: RGB, radius: Range = (0.02, 0.05)) -> Builder:
    """A piece broken out of a side wall: seen from one side or two, never from above."""

    def draw(rng: np.random.Generator, unit: float) -> Mark:
        reach = between(rng, radius) * 1024 * unit
        n = marks.room(reach * 2.6)
        edge = marks.blob(rng, n, reach * rng.uniform(0.9, 1.4), reach * rng.uniform(0.5, 0.8), 0.2, 5)
        return marks.fracture(rng, unit, edge, raw, 0.8, 1.0)

    return marked(draw, (slab,), wall=1.0, strength=(0.9, 1.0), again=0.0)


# ---- changes of the outline -----------------------------------------------------------------------------------------


def chipped(slabs: Sequence[int], raw: RGB, radius: Range = (0.025, 0.07)) -> Builder:
    """A piece broken off at an edge: the outline is cut and the broken face shows raw material."""

    def build(rng: np.random.Generator, form: Form) -> Flaw:
        unit = form.size / 1024
        slab = int(slabs[int(rng.integers(len(slabs)))])
        x, y, facing = on_outline(rng, form, slab)
        reach = between(rng, radius) * form.size
        n = marks.room(reach * 3.4)
        edge = marks.blob(rng, n, reach * rng.uniform(0.9, 1.3), reach * rng.uniform(0.6, 0.95), 0.2, 5)
        face = Decal(
            marks.fracture(rng, unit, np.asarray(edge * 0.74, np.float32), raw, 0.85, 1.0),
            slab,
            "top",
            x,
            y,
            0.0,
            form.slabs[slab].top,
        )
        out = reach * 0.35
        hole = smoothstep(1.0 + 1.5 / reach, 1.0 - 1.5 / reach, edge)
        corner = round(x + out * np.cos(facing) - n / 2), round(y + out * np.sin(facing) - n / 2)
        return Flaw((face,), (Cut(slab, corner[0], corner[1], hole),))

    return build


def missing(
    slab: int,
    prefix: str = "",
    scar: Callable[[np.random.Generator, float, Item], Mark] | None = None,
) -> Builder:
    """An item of `slab` that is not there; `scar` is what it left below."""

    def build(rng: np.random.Generator, form: Form) -> Flaw:
        items = [item for item in form.slabs[slab].items if item.name.startswith(prefix)]
        count = 1 if rng.random() < 0.75 or len(items) < 4 else 2
        start = int(rng.integers(len(items)))
        gone = [items[(start + i) % len(items)] for i in range(count)]
        changes: list[Change] = []
        decals: list[Decal] = []
        for item in gone:
            x, y, w, h = item.box
            changes.append(Cut(slab, x, y, np.ones((h, w), np.float32), whole=True))
            if scar is not None and slab > 0:
                mark = scar(rng, form.size / 1024, item)
                lower = slab - 1
                decals.append(Decal(mark, lower, "top", x + w / 2, y + h / 2, 0.0, form.slabs[lower].top))
        return Flaw(tuple(decals), tuple(changes))

    return build


def leaning(slab: int, reach: Range) -> Builder:
    """A pin or tooth bent aside: its top leans by `reach` sizes."""

    def build(rng: np.random.Generator, form: Form) -> Flaw:
        items = form.slabs[slab].items
        item = items[int(rng.integers(len(items)))]
        angle = rng.uniform(0, 2 * np.pi)
        far = between(rng, reach) * form.size
        dx, dy = far * np.cos(angle), far * np.sin(angle)
        return Flaw((), (Lean(slab, item, float(dx), float(dy)),))

    return build


def knocked(slabs: Sequence[int], radius: Range, push: Range, prefix: str = "") -> Builder:
    """Pieces knocked out of line: the first of `slabs` has the items, all are warped around one of them."""

    def build(rng: np.random.Generator, form: Form) -> Flaw:
        items = [item for item in form.slabs[slabs[0]].items if item.name.startswith(prefix)]
        x, y, w, h = items[int(rng.integers(len(items)))].box
        angle, far, wide = rng.uniform(0, 2 * np.pi), between(rng, push) * form.size, between(rng, radius) * form.size
        dx, dy = float(far * np.cos(angle)), float(far * np.sin(angle))
        return Flaw((), tuple(Bend(s, x + w / 2, y + h / 2, wide, dx, dy) for s in slabs))

    return build


def dented(slabs: Sequence[int], radius: Range, push: Range, inward: float = 0.7, depth: float = 0.3) -> Builder:
    """An edge pushed in (or out): every slab of `slabs` is warped, and the dent catches the light."""

    def build(rng: np.random.Generator, form: Form) -> Flaw:
        unit = form.size / 1024
        x, y, facing = on_outline(rng, form, int(slabs[0]))
        wide = between(rng, radius) * form.size
        far = between(rng, push) * form.size * (-1 if rng.random() < inward else 1)
        dx, dy = far * np.cos(facing), far * np.sin(facing)
        n = marks.room(wide * 2.6)
        cover, tone, color, paint, _ = marks.blank(n)
        px, py = marks.plane(n)
        r = np.hypot(px, py) / wide
        relief = np.asarray(-depth * wide * np.exp(-((r / 0.62) ** 2)), np.float32)
        relief = relief + 0.6 * unit * smooth(relief, 2)
        cover = smoothstep(1.15, 0.55, r)
        shading = Mark(cover, tone, color, paint, relief, 0.35)
        top = int(slabs[-1])
        decal = Decal(shading, top, "top", x + dx * 0.6, y + dy * 0.6, 0.0, form.slabs[top].top)
        bends = tuple(Bend(int(s), x, y, wide, float(dx), float(dy)) for s in slabs)
        return Flaw((decal,), bends)

    return build


def piece_of(alpha: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """The outline of what lies in a box (x, y, width, height), alone."""
    out = np.zeros_like(alpha)
    x, y, w, h = box
    out[y : y + h, x : x + w] = alpha[y : y + h, x : x + w]
    return out
