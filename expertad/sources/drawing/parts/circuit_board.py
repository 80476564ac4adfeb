"""A green circuit board: traces and pads under solder mask, white print, soldered components."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from .. import flaws, marks, render
from ..camera import Camera
from ..fields import Field, Pixels, clouds, generator, grain, pixels, smooth, smoothstep
from ..form import Form, Item, Material, Slab
from ..marks import Mark
from ..shapes import Category, Plan, bevel, crop, mix, outline, solid, textured

NAME = "circuit_board"
MASK, TRACE, GOLD, PRINT = (20, 84, 58), (34, 116, 78), (214, 180, 104), (226, 230, 224)
HALF_X, HALF_Y = 0.45, 0.42

CHIPS = ((-0.16, -0.14, 0.105, 0.105, "XA-7 2041"), (0.20, 0.14, 0.075, 0.11, "K93 LM"))
SMALL = tuple((-0.37 + 0.085 * i, 0.12, 1) for i in range(5)) + tuple((0.06 + 0.075 * i, -0.33, 0) for i in range(5)) + (
    (0.33, -0.16, 1),
    (0.40, -0.16, 1),
    (-0.37, -0.30, 0),
    (-0.02, 0.20, 1),
    (-0.02, 0.04, 0),
)  # fmt: skip
CAN = (-0.05, 0.32, 0.052)
CAN2 = (0.21, -0.20, 0.052)


def _copper(plan: Plan) -> tuple[Field, Field]:
    """Traces (0..1) and bare pads (0..1)."""
    size = plan.size
    rng = generator(0, "copper", NAME)
    traces = np.zeros((size, size), np.uint8)
    width = max(1, round(0.0065 * size))

    def at(x: float, y: float) -> tuple[int, int]:
        return round((x + 0.5) * size), round((y + 0.5) * size)

    for x, y, hx, hy, _ in CHIPS:
        for side in (-1, 1):
            for k in range(9):
                lane = y - hy * 0.82 + k * hy * 0.205
                start = x + side * (hx + 0.02)
                bend = start + side * rng.uniform(0.02, 0.06)
                drop = rng.choice([-1, 0, 1]) * rng.uniform(0.03, 0.12)
                far = bend + side * (abs(drop) + rng.uniform(0.02, 0.16))
                points = [at(start, lane), at(bend, lane), at(bend + side * abs(drop), lane + drop), at(far, lane + drop)]
                cv2.polylines(traces, [np.array(points)], False, 255, width, cv2.LINE_AA)
                cv2.circle(traces, points[-1], round(0.009 * size), 255, -1, cv2.LINE_AA)
    for _ in range(26):
        x, y = rng.uniform(-0.40, 0.40), rng.uniform(-0.37, 0.37)
        points = [at(x, y)]
        for _ in range(3):
            step = rng.uniform(0.03, 0.14)
            dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1), (0.7, 0.7), (-0.7, 0.7))[int(rng.integers(6))]
            x, y = float(np.clip(x + dx * step, -0.42, 0.42)), float(np.clip(y + dy * step, -0.39, 0.39))
            points.append(at(x, y))
        cv2.polylines(traces, [np.array(points)], False, 255, width, cv2.LINE_AA)
        cv2.circle(traces, points[-1], round(0.009 * size), 255, -1, cv2.LINE_AA)
    pads = np.full((size, size), 1e9, np.float32)
    for x, y, hx, hy, _ in CHIPS:
        for side in (-1, 1):
            for k in range(9):
                pads = np.minimum(pads, plan.box(0.021, 0.0072, 0.002, x + side * (hx + 0.016), y - hy * 0.82 + k * hy * 0.205))
    for x, y, upright in SMALL:
        for side in (-1, 1):
            dx, dy = (0.0, 0.021 * side) if upright else (0.021 * side, 0.0)
            hx, hy = (0.0175, 0.013) if upright else (0.013, 0.0175)
            pads = np.minimum(pads, plan.box(hx, hy, 0.003, x + dx, y + dy))
    for k in range(9):
        pads = np.minimum(pads, np.maximum(plan.disc(0.017, -0.34 + 0.048 * k + 0.3, 0.375 + 0.0), -plan.disc(0.0085, -0.34 + 0.048 * k + 0.3, 0.375)))
    return traces.astype(np.float32) / 255.0, solid(pads)


def _picture(plan: Plan) -> tuple[Pixels, Field]:
    """Paint and relief of the bare board."""
    size, unit = plan.size, plan.size / 1024
    traces, pads = _copper(plan)
    picture = np.full((size, size, 3), MASK, np.float32)
    picture = mix(picture, TRACE, 0.85 * traces)
    ink = np.zeros((size, size), np.float32)
    for x, y, hx, hy, _ in CHIPS:
        ink = np.maximum(ink, solid(np.abs(plan.box(hx + 0.045, hy + 0.018, 0.004, x, y)) - 1.6 * unit))
    for number, (x, y, upright) in enumerate(SMALL):
        hx, hy = (0.024, 0.042) if upright else (0.042, 0.024)
        ink = np.maximum(ink, solid(np.abs(plan.box(hx, hy, 0.003, x, y)) - 1.3 * unit))
        ink = np.maximum(ink, plan.text(f"R{number + 1}", x + (0 if upright else 0.0), y + (0.058 if upright else 0.038), 0.016, 0.1))
    for x, y, r in (CAN, CAN2):
        ink = np.maximum(ink, solid(np.abs(plan.disc(r + 0.014, x, y)) - 1.6 * unit))
    ink = np.maximum(ink, plan.text("EX-210 REV C", -0.26, 0.385, 0.026, 0.12))
    ink = np.maximum(ink, plan.text("J1", 0.41, 0.335, 0.022, 0.12))
    picture = mix(picture, PRINT, 0.9 * ink * (1 - pads))
    picture = mix(picture, GOLD, pads)
    holes = np.full((size, size), 1e9, np.float32)
    for k in range(9):
        holes = np.minimum(holes, plan.disc(0.0085, -0.04 + 0.048 * k, 0.375))
    for sx in (-1, 1):
        for sy in (-1, 1):
            ring = np.maximum(plan.disc(0.030, 0.405 * sx, 0.375 * sy), -plan.disc(0.018, 0.405 * sx, 0.375 * sy))
            if (sx, sy) != (1, 1) and (sx, sy) != (-1, 1):
                picture = mix(picture, GOLD, solid(ring))
                holes = np.minimum(holes, plan.disc(0.018, 0.405 * sx, 0.375 * sy))
    picture = mix(picture, (34, 34, 36), solid(holes))
    relief = 1.1 * unit * smooth(traces, 1.0 * unit) + 1.6 * unit * smooth(pads, 1.2 * unit) - 3 * unit * smooth(solid(holes), unit)
    return pixels(picture), np.asarray(relief, np.float32)


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    board = plan.box(HALF_X, HALF_Y, 0.018)
    picture, relief = _picture(plan)
    low = np.full((size, size), 1e9, np.float32)
    caps = np.zeros((size, size), np.float32)
    low_paint = np.full((size, size, 3), (38, 38, 41), np.float32)
    items: list[Item] = []
    for number, (x, y, upright) in enumerate(SMALL):
        hx, hy = (0.0155, 0.029) if upright else (0.029, 0.0155)
        low = np.minimum(low, plan.box(hx, hy, 0.003, x, y))
        for side in (-1, 1):
            dx, dy = (0.0, 0.0235 * side) if upright else (0.0235 * side, 0.0)
            ex, ey = (0.0155, 0.0058) if upright else (0.0058, 0.0155)
            caps = np.maximum(caps, solid(plan.box(ex, ey, 0.001, x + dx, y + dy)))
        brown = number % 3 == 1
        if brown:
            low_paint = mix(low_paint, (150, 112, 74), solid(plan.box(hx + 0.004, hy + 0.004, 0.0, x, y)))
        else:
            low_paint = mix(low_paint, (214, 214, 210), 0.85 * plan.text(("103", "472", "220")[number % 3], x, y, 0.0105, 0.12))
        items.append(Item(f"small {number + 1}", plan.pixel_box(x, y, hx + 0.004, hy + 0.004)))
    low_paint = mix(low_paint, (206, 206, 208), caps)
    legs = np.full((size, size), 1e9, np.float32)
    for x, y, hx, hy, _ in CHIPS:
        for side in (-1, 1):
            for k in range(9):
                legs = np.minimum(legs, plan.box(0.015, 0.0046, 0.001, x + side * (hx + 0.010), y - hy * 0.82 + k * hy * 0.205))
    low_paint = mix(low_paint, (200, 202, 205), solid(legs - 2))
    low_all = np.minimum(low, legs)
    high = np.full((size, size), 1e9, np.float32)
    high_paint = np.full((size, size, 3), (40, 41, 44), np.float32)
    for x, y, hx, hy, words in CHIPS:
        high = np.minimum(high, plan.box(hx, hy, 0.004, x, y))
        high_paint = mix(high_paint, (182, 184, 182), 0.75 * plan.text(words, x, y - 0.005, 0.021, 0.11))
        high_paint = mix(high_paint, (58, 59, 62), solid(plan.disc(0.010, x - hx + 0.025, y - hy + 0.025)))
    cans = np.minimum(plan.disc(CAN[2], CAN[0], CAN[1]), plan.disc(CAN2[2], CAN2[0], CAN2[1]))
    can_paint = np.full((size, size, 3), (186, 190, 196), np.float32)
    for x, y, r in (CAN, CAN2):
        side = solid(np.asarray(plan.disc(r * 0.96, x, y), np.float32)) * (plan.x - x < -0.45 * r)
        can_paint = mix(can_paint, (46, 48, 54), np.asarray(side, np.float32))
        items.append(Item(f"can {x}", plan.pixel_box(x, y, r + 0.004, r + 0.004)))
    laminate = Material(gloss=0.22, shininess=28, mirror=0.15)
    resin = Material(gloss=0.14, shininess=12, mirror=0.2)
    tin = Material(gloss=0.3, shininess=30, metal=0.35, mirror=0.3)
    metal = Material(gloss=0.25, shininess=30, metal=0.75)
    rough = 0.12 * grain(generator(0, "form", NAME), (size, size), unit)
    slabs = (
        Slab("board", outline(board), relief + bevel(board, 3 * unit), picture, 0.0, 0.028 * size, laminate, (122, 128, 84), wall_gloss=0.05),
        Slab("low", outline(low_all), bevel(low_all, 4 * unit), pixels(low_paint), 0.028 * size, 0.046 * size, tin, (120, 118, 114), tuple(i for i in items if i.name.startswith("small")), wall_gloss=0.3),
        Slab("chips", outline(high), bevel(high, 6 * unit) + rough, pixels(high_paint), 0.034 * size, 0.066 * size, resin, (36, 37, 40), wall_gloss=0.1),
        Slab("cans", outline(cans), bevel(cans, 9 * unit), pixels(can_paint), 0.028 * size, 0.125 * size, metal, (150, 154, 162), tuple(i for i in items if i.name.startswith("can")), wall_gloss=0.8),
    )  # fmt: skip
    texture = render.soft_texture(NAME, size, 0.018, 1.0, 0.015)

    def ground(camera: Camera) -> Pixels:
        return render.mat(size, (148, 158, 172), texture, camera)

    return Form(NAME, size, slabs, ground, zoom=1.02)


@cache
def _weave(size: int) -> Field:
    rng = generator(0, "weave", NAME)
    shape = (size * 5 // 4, size * 5 // 4)
    x = np.arange(shape[1], dtype=np.float32)[None, :] / size
    y = np.arange(shape[0], dtype=np.float32)[:, None] / size
    cloth = 0.012 * (np.sin(2 * np.pi * x * 150) + np.sin(2 * np.pi * y * 150))
    return np.asarray(0.02 * clouds(rng, shape, 6) + cloth + 0.015 * grain(rng, shape, 0.7), np.float32)


def dress(rng: np.random.Generator, form: Form) -> tuple[Pixels, ...]:
    """Boards of one lot: the same print, a slightly different mask."""
    texture = crop(rng, _weave(form.size), form.size) + np.float32(rng.normal(0, 0.025))
    return tuple(textured(slab.paint, texture if slab.name == "board" else 0.4 * texture, slab.alpha) for slab in form.slabs)


def _bare(rng: np.random.Generator, unit: float, item: Item) -> Mark:
    """Solder left on the pads of a component that is not there."""
    n = marks.room(max(item.box[2:]) * 1.2)
    cover, tone, color, paint_, relief = marks.blank(n)
    x, y = marks.plane(n)
    upright = item.box[3] > item.box[2]
    along = y if upright else x
    lump = np.exp(-(((np.abs(along) - 20 * unit) / (9 * unit)) ** 2)) * np.exp(-(((x if upright else y) / (11 * unit)) ** 2))
    relief = np.asarray(7 * unit * lump, np.float32)
    return Mark(np.clip(lump * 1.4, 0, 1).astype(np.float32), tone, color, paint_, relief, 0.8)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "HS": (flaws.scratches((0, 0, 0, 2), bright=0.8, length=(0.08, 0.36), wall=0.0),),
        "QS": (flaws.missing(1, scar=_bare), flaws.missing(3)),
        "PS": (flaws.chipped((0,), (176, 172, 130), (0.03, 0.075)), flaws.chipped((2,), (92, 92, 94), (0.02, 0.04)), flaws.cracks((2,), (0.08, 0.16))),
        "YW": (flaws.objects((0, 0, 2), ((26, 24, 24), (196, 42, 38), (228, 226, 220), (48, 74, 150))),),
        "ZW": (
            flaws.dirt((0,), ((222, 214, 186), (140, 104, 48), (206, 206, 200)), (0.018, 0.075), (0.35, 0.7), wall=0.0),
        ),
    },
)
