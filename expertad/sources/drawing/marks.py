"""What a flaw looks like: small square patches with a cover, a color change and a relief, lit like the part.

Each function draws in a patch of its own, `span` plan pixels wide, and knows nothing of parts or cameras. Lengths are
in plan pixels; `unit` is size / 1024, so a mark of a given kind has the same share of any image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from expertad.sources.drawing.fields import Field, clouds, gradient, grain, smooth, smoothstep


@dataclass(frozen=True)
class Mark:
    """A drawn flaw before it is lit; every array is n x n (color n x n x 3).

    Args:
        cover: 0..1, how far `color` and `tone` replace what lies below.
        tone: multiplier of what lies below where covered (1 leaves it).
        color: 0..255, mixed in by `paint`.
        paint: 0..1, opacity of `color`.
        relief: height in pixels; its slopes catch the light.
        glint: 0..1, white highlight where slopes face the lamp.
        shadow: 0..1, darkness cast on the surface beside a thing that lies on it.
        fickle: 0..1, how much the mark's strength depends on where the lamp stands; 0 shows in any light.
        along: direction of the mark in its patch (radians), used with `fickle`.
    """

    cover: Field
    tone: Field
    color: Field
    paint: Field
    relief: Field
    glint: float = 0.0
    shadow: Field | None = None
    fickle: float = 0.0
    along: float = 0.0

    @property
    def span(self) -> int:
        """Width of the patch in plan pixels."""
        return int(self.cover.shape[0])


def blank(n: int) -> tuple[Field, Field, Field, Field, Field]:
    """Cover 0, tone 1, black color, paint 0, flat relief."""
    return (
        np.zeros((n, n), np.float32),
        np.ones((n, n), np.float32),
        np.zeros((n, n, 3), np.float32),
        np.zeros((n, n), np.float32),
        np.zeros((n, n), np.float32),
    )


def plane(n: int) -> tuple[Field, Field]:
    """X and y of every pixel relative to the patch's center."""
    axis = np.arange(n, dtype=np.float32) - (n - 1) / 2
    x, y = np.meshgrid(axis, axis)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def blob(rng: np.random.Generator, n: int, rx: float, ry: float, rough: float = 0.25, cells: float = 5.0) -> Field:
    """Signed 'radius' of a ragged ellipse: below 1 inside, about 1 at the edge."""
    x, y = plane(n)
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    return np.asarray(np.hypot(u / max(rx, 0.5), v / max(ry, 0.5)) + rough * clouds(rng, (n, n), cells, 3), np.float32)


def curve(rng: np.random.Generator, length: float, bend: float, points: int = 40) -> npt.NDArray[np.float64]:
    """A smooth wandering line of given length around the origin, (points, 2); `bend` is its total turn in radians."""
    walk = np.pad(np.cumsum(rng.normal(0, 1, points)), 6, mode="edge")
    turn = np.asarray(np.convolve(walk, np.ones(13) / 13, mode="valid"), np.float64)
    turn = (turn - turn.mean()) / max(float(np.ptp(turn)), 1e-6) * bend * 0.6 + np.linspace(-0.5, 0.5, points) * bend
    heading = rng.uniform(0, 2 * np.pi) + turn
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0) * (length / points)
    return np.asarray(path - path.mean(0), np.float64)


def stroke(n: int, path: npt.NDArray[np.float64], widths: npt.NDArray[np.float64]) -> Field:
    """Anti-aliased line of varying width (pixels), 0..1, in an n x n patch centered on the origin."""
    zoom = 4
    big = np.zeros((n * zoom, n * zoom), np.uint8)
    places = np.rint((path + n / 2) * zoom).astype(np.int32)
    for start, end, width in zip(places[:-1], places[1:], widths, strict=False):
        cv2.line(big, tuple(map(int, start)), tuple(map(int, end)), 255, max(1, round(float(width) * zoom)))
    return np.asarray(cv2.resize(big, (n, n), interpolation=cv2.INTER_AREA), np.float32) / 255.0


def room(extent: float) -> int:
    """Patch width that holds a mark of the given extent with a margin for its soft edge."""
    return max(8, int(np.ceil(extent * 1.15 + 10)))


def bolder(mark: Mark) -> Mark:
    """The same mark with more contrast, in any light: for images so small that a faint one would drown."""
    cover, paint = np.clip(1.7 * mark.cover, 0, 1), np.clip(1.7 * mark.paint, 0, 1)
    return replace(mark, cover=cover, paint=paint, tone=mark.tone * mark.tone, fickle=0.0)


def scratch(
    rng: np.random.Generator, unit: float, length: float, width: float, bright: bool, depth: float = 1.0
) -> Mark:
    """A thin curved groove: dark or bright floor, one raised edge that catches the light."""
    n = room(length)
    cover, tone, color, paint, relief = blank(n)
    path = curve(rng, length, rng.uniform(0.05, 0.7))
    taper = np.clip(np.minimum(np.linspace(0, 6, len(path)), np.linspace(9, 0, len(path))), 0.25, 1.0)
    wobble = np.clip(1 + 0.35 * rng.standard_normal(len(path)), 0.4, 1.8)
    line = smooth(stroke(n, path, width * taper * wobble), 0.45)
    if rng.random() < 0.45:
        shift = rng.uniform(2.5, 6.0) * unit * np.array([1.0, rng.uniform(-1, 1)])
        part = slice(len(path) // 4, len(path) * 3 // 4)
        line = np.maximum(line, 0.7 * smooth(stroke(n, path[part] + shift, 0.6 * width * taper[part]), 0.45))
    gaps = np.clip(0.75 + 0.5 * clouds(rng, (n, n), max(4.0, length / (28 * unit)), 2), 0.25, 1.0)
    line = line * gaps
    cover = np.clip(line * 1.3, 0, 1)
    relief = -depth * width * smooth(line, 0.7)
    if bright:
        color[:] = (236, 236, 232)
        paint = 0.62 * cover
    else:
        tone = np.full((n, n), 0.52, np.float32)
    heading = path[-1] - path[0]
    return Mark(cover, tone, color, paint, relief, 0.75, fickle=0.95, along=float(np.arctan2(heading[1], heading[0])))


def pit(rng: np.random.Generator, unit: float, radius: float, depth: float = 0.8, floor: float = 0.42) -> Mark:
    """A small crater: a dark sunken floor, a shaded wall and a bright rim on the far side."""
    n = room(radius * 3.2)
    cover, tone, color, paint, relief = blank(n)
    edge = blob(rng, n, radius, radius * rng.uniform(0.65, 1.0), 0.16, 3.5)
    inside = smoothstep(1.12, 0.62, edge)
    rim = np.exp(-(((edge - 1.12) / 0.16) ** 2)).astype(np.float32)
    relief = -depth * radius * inside + 0.12 * radius * rim + 0.05 * radius * inside * grain(rng, (n, n), 1.2 * unit)
    cover = smoothstep(1.45, 1.0, edge)
    tone = 1.0 - (1.0 - floor) * smoothstep(1.0, 0.45, edge)
    return Mark(cover, np.asarray(tone, np.float32), color, paint, np.asarray(relief, np.float32), 0.45)


def scuff(rng: np.random.Generator, unit: float, length: float, width: float, light: bool, strength: float) -> Mark:
    """A worn patch: many fine, nearly parallel scuffs in a soft-edged field."""
    n = room(max(length, width))
    cover, tone, color, paint, relief = blank(n)
    x, y = plane(n)
    lines = np.zeros((n, n), np.float32)
    for _ in range(int(rng.integers(34, 64))):
        cx, cy = rng.normal(0, 0.2, 2) * (length, width)
        reach = length * rng.uniform(0.12, 0.5)
        path = curve(rng, reach, 0.12)
        heading = np.arctan2(*(path[-1] - path[0])[::-1])
        turn = rng.normal(0, 0.09) - heading
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        moved = path @ rotation + (cx, cy)
        lines = np.maximum(lines, rng.uniform(0.35, 1.0) * _fast_stroke(n, moved, rng.uniform(0.7, 2.2) * unit))
    envelope = smoothstep(1.25, 0.45, np.hypot(x / (0.5 * length), y / (0.5 * width)) + 0.22 * clouds(rng, (n, n), 5))
    streaks = lines * envelope
    haze = envelope * (0.35 + 0.25 * clouds(rng, (n, n), 9))
    cover = np.clip(streaks + np.maximum(haze, 0.0), 0, 1)
    relief = -1.4 * unit * streaks
    if light:
        color[:] = (222, 220, 214)
        paint = np.asarray(strength * (0.85 * streaks + 0.32 * np.maximum(haze, 0)), np.float32)
    else:
        tone = np.asarray(1.0 - strength * np.clip(0.9 * streaks + 0.4 * haze, 0, 1), np.float32)
    return Mark(cover, tone, color, np.clip(paint, 0, 1), np.asarray(relief, np.float32), 0.5, fickle=0.7, along=0.0)


def _fast_stroke(n: int, path: npt.NDArray[np.float64], width: float) -> Field:
    """A constant-width anti-aliased line, for marks made of many."""
    canvas = np.zeros((n, n), np.uint8)
    places = np.rint((path + n / 2) * 8).astype(np.int32)
    cv2.polylines(canvas, [places.reshape(-1, 1, 2)], False, 255, max(1, round(width)), cv2.LINE_AA, 3)
    return canvas.astype(np.float32) / 255.0 * min(1.0, width)


def stain(
    rng: np.random.Generator, unit: float, rx: float, ry: float, color: tuple[int, int, int], opacity: float, ring: bool
) -> Mark:
    """A dried drop or a smear: a ragged field of color, darker along its rim when `ring`."""
    n = room(2.6 * max(rx, ry))
    cover, tone, paint_color, paint, relief = blank(n)
    edge = blob(rng, n, rx, ry, 0.24, 4.0)
    inside = smoothstep(1.08, 0.9, edge)
    body = inside * np.clip(0.62 + 0.22 * clouds(rng, (n, n), 7), 0.2, 1.0)
    if ring:
        body = body * (0.55 + 0.45 * smoothstep(0.45, 0.98, edge)) + 0.25 * np.exp(-(((edge - 0.95) / 0.07) ** 2))
    for _ in range(int(rng.integers(0, 5))):
        radius = rng.uniform(0.04, 0.1) * min(rx, ry) + 1.0
        angle = rng.uniform(0, 2 * np.pi)
        x, y = plane(n)
        away = rng.uniform(1.0, 1.2)
        drop = np.hypot(x - away * rx * np.cos(angle), y - away * ry * np.sin(angle))
        body = np.maximum(body, 0.8 * smoothstep(radius + 1, radius - 1, drop))
    cover = np.clip(smoothstep(1.1, 0.95, edge) + (body > 0.02), 0, 1).astype(np.float32)
    paint_color[:] = color
    return Mark(cover, tone, paint_color, np.clip(opacity * body, 0, 1).astype(np.float32), relief, 0.1)


def oil(rng: np.random.Generator, unit: float, rx: float, ry: float, strength: float) -> Mark:
    """A wet film: darkens what lies below, with a glossy, slightly raised rim."""
    n = room(2.6 * max(rx, ry))
    cover, tone, color, paint, relief = blank(n)
    edge = blob(rng, n, rx, ry, 0.2, 3.0)
    inside = smoothstep(1.06, 0.94, edge)
    cover = smoothstep(1.15, 1.0, edge)
    tone = np.asarray(1.0 - strength * inside * (0.85 + 0.15 * clouds(rng, (n, n), 4)), np.float32)
    relief = 3.2 * unit * smoothstep(1.08, 0.72, edge)
    color[:] = (96, 74, 40)
    paint = np.asarray(0.22 * inside, np.float32)
    return Mark(cover, tone, color, paint, np.asarray(relief, np.float32), 0.9)


def specks(
    rng: np.random.Generator, unit: float, spread: float, count: int, color: tuple[int, int, int], opacity: float
) -> Mark:
    """A loose cluster of dust or dirt grains."""
    n = room(2.4 * spread)
    cover, tone, paint_color, paint, relief = blank(n)
    x, y = plane(n)
    for _ in range(count):
        cx, cy = np.clip(rng.normal(0, 0.36, 2), -0.9, 0.9) * spread
        radius = float(np.clip(rng.lognormal(1.0, 0.6), 1.4, 9.0)) * unit + 0.4
        squash = rng.uniform(0.6, 1.0)
        angle = rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        dot = smoothstep(radius + 0.8, radius - 0.8, np.hypot(u, v / squash))
        paint = np.maximum(paint, dot * rng.uniform(0.6, 1.0))
    relief = 1.4 * unit * smooth(paint, 0.8)
    paint_color[:] = color
    return Mark(np.clip(paint * 1.4, 0, 1), tone, paint_color, opacity * paint, relief, 0.25)


def crack(rng: np.random.Generator, unit: float, length: float, width: float, darkness: float) -> Mark:
    """A jagged, branching dark line with one lit lip."""
    n = room(length * 1.15)
    cover, tone, color, paint, relief = blank(n)
    line: Field = np.zeros((n, n), np.float32)
    steps = int(rng.integers(14, 22))
    heading = rng.uniform(0, 2 * np.pi)
    main_heading = heading
    points: list[npt.NDArray[np.float64]] = [np.zeros(2)]
    for _ in range(steps):
        heading += rng.normal(0, 0.55) - 0.45 * (heading - main_heading)
        points.append(points[-1] + np.array([np.cos(heading), np.sin(heading)]) * length / steps)
    path = np.array(points) - np.mean(points, 0)
    taper = np.linspace(1.0, 0.25, len(path)) * rng.uniform(0.6, 1.2, len(path))
    line = np.maximum(line, stroke(n, path, width * taper))
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(3, steps - 3))
        branch = [path[at]]
        turn = main_heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        for _ in range(int(rng.integers(3, 7))):
            turn += rng.normal(0, 0.4)
            branch.append(branch[-1] + np.array([np.cos(turn), np.sin(turn)]) * length / steps * 0.8)
        fade = np.asarray(0.6 * width * np.linspace(1, 0.3, len(branch)), np.float64)
        line = np.maximum(line, 0.9 * stroke(n, np.array(branch), fade))
    line = smooth(line, 0.4)
    cover = np.clip(smooth(line, 1.0) * 2.0, 0, 1)
    tone = np.asarray(1.0 - darkness * np.clip(line * 1.2, 0, 1), np.float32)
    relief = -2.2 * width * smooth(line, 0.9)
    return Mark(np.maximum(cover, np.clip(line * 1.2, 0, 1)), tone, color, paint, relief, 0.55)


def fracture(
    rng: np.random.Generator, unit: float, edge: Field, color: tuple[int, int, int], opacity: float, depth: float
) -> Mark:
    """The broken face left by a chip: facets of raw material inside `edge` (below 1 inside)."""
    n = edge.shape[0]
    _, _, paint_color, _, _ = blank(n)
    inside = smoothstep(1.06, 0.95, edge)
    facets = clouds(rng, (n, n), 9, 2) + 0.5 * clouds(rng, (n, n), 22, 1)
    relief = depth * unit * (-7.0 * smoothstep(1.1, 0.35, edge) + 1.6 * facets) * inside
    paint_color[:] = color
    tone = np.asarray(1.0 - 0.25 * inside * smoothstep(1.0, 0.3, edge), np.float32)
    return Mark(inside, tone, paint_color, opacity * inside, np.asarray(relief, np.float32), 0.25)


def fibre(
    rng: np.random.Generator,
    unit: float,
    length: float,
    width: float,
    color: tuple[int, int, int],
    bend: tuple[float, float] = (1.2, 5.5),
) -> Mark:
    """A hair or thread that lies loosely on the part, with its shadow."""
    n = room(length * 1.05)
    cover, tone, paint_color, paint, relief = blank(n)
    path = curve(rng, length, rng.uniform(*bend), 70)
    line = smooth(stroke(n, path, np.full(len(path), width)), 0.45)
    relief = width * 0.9 * smooth(line, 0.6)
    paint_color[:] = color
    cover = np.clip(line * 1.5, 0, 1)
    return Mark(cover, tone, paint_color, np.clip(line * 1.25, 0, 1), relief, 0.4, shadow=line)


def chip(rng: np.random.Generator, unit: float, radius: float, color: tuple[int, int, int], metal: bool) -> Mark:
    """A small angular crumb (plastic, solder, swarf) lying on the part, with its shadow."""
    n = room(radius * 4.0)
    _, tone, paint_color, _, _ = blank(n)
    corners = int(rng.integers(4, 8))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners) * 0.35 + np.linspace(0, 2 * np.pi, corners, endpoint=False))
    stretch = rng.uniform(0.55, 1.0)
    points = np.stack([np.cos(angles), np.sin(angles) * stretch], 1) * radius * rng.uniform(0.75, 1.1, (corners, 1))
    zoom = 4
    big = np.zeros((n * zoom, n * zoom), np.uint8)
    cv2.fillPoly(big, [np.rint((points + n / 2) * zoom).astype(np.int32)], 255)
    body = np.asarray(cv2.resize(big, (n, n), interpolation=cv2.INTER_AREA), np.float32) / 255.0
    inside = np.asarray(cv2.distanceTransform((body > 0.5).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    relief = 0.9 * np.minimum(inside, 0.35 * radius) + 0.05 * radius * clouds(rng, (n, n), 6) * body
    paint_color[:] = color
    return Mark(body, tone, paint_color, body, smooth(relief, 0.6), 0.9 if metal else 0.35, shadow=body)


def curl(rng: np.random.Generator, unit: float, radius: float) -> Mark:
    """A turned metal shaving: a bright spiral ribbon with its shadow."""
    n = room(radius * 3.0)
    _, tone, paint_color, _, _ = blank(n)
    turns = rng.uniform(1.4, 2.6)
    t = np.linspace(0, turns * 2 * np.pi, 160)
    reach = radius * (0.35 + 0.65 * t / t[-1])
    drift = np.linspace(-0.25, 0.25, len(t)) * radius
    path = np.stack([reach * np.cos(t) + drift, reach * 0.72 * np.sin(t)], 1)
    width = max(2.0, radius * 0.13)
    line = smooth(stroke(n, path, np.full(len(path), width)), 0.5)
    lit = 150 + 90 * np.cos(np.linspace(0, turns * 4 * np.pi, len(path)))
    tint = stroke_values(n, path, lit, width * 1.6)
    paint_color[:] = np.clip(tint, 40, 250)[..., None]
    relief = 0.7 * width * smooth(line, 0.8)
    return Mark(np.clip(line * 1.2, 0, 1), tone, paint_color, np.clip(line * 1.2, 0, 1), relief, 0.9, shadow=line)


def stroke_values(n: int, path: npt.NDArray[np.float64], values: npt.NDArray[np.float64], width: float) -> Field:
    """A line whose gray value changes along it; nearest values, for coloring ribbons."""
    canvas = np.full((n, n), 128, np.uint8)
    places = np.rint((path + n / 2) * 8).astype(np.int32)
    for start, end, value in zip(places[:-1], places[1:], values, strict=False):
        ends = tuple(map(int, start)), tuple(map(int, end))
        cv2.line(canvas, *ends, int(np.clip(value, 0, 255)), max(1, round(width)), cv2.LINE_8, 3)
    return smooth(canvas.astype(np.float32), 0.6)


def lit(mark: Mark, lamp: tuple[float, float, float], strength: float = 1.0, glow: float = 0.42) -> tuple[Field, Field]:
    """The mark under a lamp: gain (n x n) and add (n x n x 3); the image becomes image * gain + add.

    Args:
        mark: what is drawn.
        lamp: unit vector to the lamp in the patch's axes (x, y along the patch, z out of it).
        strength: 0..1 fades the whole mark.
        glow: share of ambient light, which slopes do not change.
    """
    x, y, z = lamp
    if mark.fickle:
        across = abs(-np.sin(mark.along) * x + np.cos(mark.along) * y) / max(float(np.hypot(x, y)), 1e-6)
        strength = strength * (1.0 - mark.fickle * (1.0 - float(smoothstep(0.4, 0.9, across))))
    gx, gy = gradient(mark.relief)
    norm = 1.0 / np.sqrt(gx * gx + gy * gy + 1.0)
    facing = np.maximum((-gx * x - gy * y + z) * norm, 0.0) / max(z, 0.2)
    shade = np.clip(glow + (1.0 - glow) * facing, 0.25, 1.9)
    cover = mark.cover * strength
    gain = 1.0 + cover * (mark.tone * shade - 1.0)
    paint = np.clip(mark.paint * strength, 0.0, 1.0)
    add = mark.color * (paint * shade)[..., None]
    gleam = np.clip((facing - 1.08) * 2.2, 0.0, 1.0) * mark.glint * cover
    add = add + 190.0 * gleam[..., None]
    gain = gain * (1.0 - paint)
    if mark.shadow is not None:
        gain = gain * (1.0 - 0.55 * strength * _cast(mark, x, y, z) * (1.0 - paint))
    return np.asarray(gain, np.float32), np.asarray(add, np.float32)


def _cast(mark: Mark, x: float, y: float, z: float) -> Field:
    """Shadow of a thing that lies on the surface: its outline moved away from the lamp and blurred."""
    assert mark.shadow is not None
    height = max(float(mark.relief.max()), 1.0) * 2.2
    move = np.array([[1, 0, -x / max(z, 0.3) * height], [0, 1, -y / max(z, 0.3) * height]], np.float64)
    n = mark.span
    moved = np.asarray(cv2.warpAffine(mark.shadow, move, (n, n)), np.float32)
    return np.clip(smooth(moved, 0.35 * height + 0.5) * 1.2, 0, 1)
