"""A green circuit board: traces and pads under solder mask, white print, soldered components."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from expertad.sources.drawing import flaws, marks, render
from expertad.sources.drawing.camera import Camera
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, pixels, smooth
from expertad.sources.drawing.form import Form, Item, Material, Slab
from expertad.sources.drawing.marks import Mark
from expertad.sources.drawing.shapes import Category, Plan, bevel, canvas, crop, mix, outline, solid, textured

NAME = "circuit_board"
MASK, TRACE, GOLD, PRINT = (20, 84, 58), (34, 116, 78), (214, 180, 104), (226, 230, 224)
HALF_X, HALF_Y = 0.45, 0.42

CHIPS = ((-0.16, -0.14, 0.105, 0.105, "XA-7 2041"), (0.20, 0.14, 0.075, 0.11, "K93 LM"))
SMALL = (
    *((-0.37 + 0.085 * i, 0.12, 1) for i in range(5)),
    *((0.06 + 0.085 * i, -0.33, 0) for i in range(4)),
    (0.33, -0.17, 1),
    (0.40, -0.17, 1),
    (-0.36, -0.30, 0),
    (0.03, 0.235, 1),
    (-0.17, 0.025, 0),
)
CANS = ((-0.27, 0.285, 0.052), (0.20, -0.185, 0.052))
HEADER = tuple((-0.04 + 0.048 * k, 0.375) for k in range(9))
MOUNTS = ((-0.405, -0.375), (0.405, -0.375))
LEGS = 9


def _legs() -> list[tuple[float, float, int]]:
    """Where chips meet the board: x of the body's edge, y, and the side (-1 left, 1 right)."""
    return [
        (x + side * hx, y - hy * 0.82 + k * hy * 0.205, side)
        for x, y, hx, hy, _ in CHIPS
        for side in (-1, 1)
        for k in range(LEGS)
    ]


def _traces(plan: Plan) -> Field:
    """Bundles of traces that leave the chips side by side and bend together; ends in vias. 0..1."""
    size = plan.size
    rng = generator(0, "copper", NAME)
    out = np.zeros((size, size), np.uint8)
    width = max(1, round(0.0052 * size))

    def run(points: list[tuple[float, float]]) -> None:
        places = np.array([[round((x + 0.5) * size * 8), round((y + 0.5) * size * 8)] for x, y in points], np.int32)
        cv2.polylines(out, [places.reshape(-1, 1, 2)], False, 255, width, cv2.LINE_AA, 3)
        end = int(places[-1][0]), int(places[-1][1])
        cv2.circle(out, end, round(0.0085 * size * 8), 255, -1, cv2.LINE_AA, 3)

    for x, y, hx, hy, _ in CHIPS:
        for side in (-1, 1):
            for half in (-1, 1):
                drop = half * rng.uniform(0.03, 0.09)
                reach = rng.uniform(0.02, 0.05)
                for k in range(LEGS // 2):
                    lane = y + half * (0.5 + k) * hy * 0.205
                    start = x + side * (hx + 0.02)
                    bend = start + side * (reach + 0.010 * (LEGS // 2 - k))
                    far = bend + side * (abs(drop) + 0.02 + 0.022 * (k % 3))
                    run([(start, lane), (bend, lane), (bend + side * abs(drop), lane + drop), (far, lane + drop)])
    for x, y in HEADER[1:-1:2]:
        run([(x, y), (x, y - 0.05), (x + 0.03, y - 0.08), (x + 0.03, y - 0.08 - rng.uniform(0.02, 0.05))])
    for x, y, upright in SMALL:
        dx, dy = (0.0, 0.021) if upright else (0.021, 0.0)
        sign = -1 if y > 0 else 1
        tail = rng.uniform(0.02, 0.045)
        if upright:
            run([(x, y + sign * dy), (x, y + sign * (dy + 0.03)), (x + tail, y + sign * (dy + 0.03) + sign * tail)])
        else:
            run([(x + dx, y), (x + dx + 0.012, y), (x + dx + 0.012, y + sign * (0.03 + tail))])
    return out.astype(np.float32) / 255.0


def _pads(plan: Plan) -> Field:
    """Bare gold pads, 0..1."""
    places = [(x + side * 0.016, y, 0.021, 0.0072) for x, y, side in _legs()]
    for x, y, upright in SMALL:
        for side in (-1, 1):
            if upright:
                places.append((x, y + 0.021 * side, 0.0175, 0.013))
            else:
                places.append((x + 0.021 * side, y, 0.013, 0.0175))
    pads = plan.boxes(places, 0.003)
    for x, y in HEADER:
        pads = np.minimum(pads, plan.disc(0.017, x, y))
    for x, y in MOUNTS:
        pads = np.minimum(pads, plan.disc(0.030, x, y))
    return solid(pads)


def _picture(plan: Plan) -> tuple[Pixels, Field]:
    """Paint and relief of the bare board."""
    size, unit = plan.size, plan.size / 1024
    traces, pads = _traces(plan), _pads(plan)
    picture = canvas(size, MASK)
    picture = mix(picture, TRACE, 0.85 * traces)
    ink = plan.clean
    for x, y, hx, hy, _ in CHIPS:
        ink = np.maximum(ink, solid(np.abs(plan.box(hx + 0.045, hy + 0.018, 0.004, x, y)) - 1.6 * unit))
    frames = [(x, y, 0.024, 0.042) if upright else (x, y, 0.042, 0.024) for x, y, upright in SMALL]
    ink = np.maximum(ink, solid(np.abs(plan.boxes(frames, 0.003)) - 1.3 * unit))
    for number, (x, y, upright) in enumerate(SMALL):
        ink = np.maximum(ink, plan.text(f"R{number + 1}", x, y + (0.058 if upright else 0.040), 0.016, 0.1))
    for x, y, r in CANS:
        ink = np.maximum(ink, solid(np.abs(plan.disc(r + 0.014, x, y)) - 1.6 * unit))
    ink = np.maximum(ink, plan.text("EX-210 REV C", -0.26, 0.388, 0.026, 0.12))
    ink = np.maximum(ink, plan.text("J1", 0.41, 0.335, 0.022, 0.12))
    picture = mix(picture, PRINT, 0.9 * ink * (1 - pads))
    picture = mix(picture, GOLD, pads)
    holes = plan.nothing
    for (x, y), r in [*((place, 0.0085) for place in HEADER), *((place, 0.018) for place in MOUNTS)]:
        holes = np.minimum(holes, plan.disc(r, x, y))
    picture = mix(picture, (34, 34, 36), solid(holes))
    relief = (
        1.1 * unit * smooth(traces, unit)
        + 1.6 * unit * smooth(pads, 1.2 * unit)
        - 3 * unit * smooth(solid(holes), unit)
    )
    return pixels(picture), np.asarray(relief, np.float32)


def _low(plan: Plan) -> tuple[Field, Pixels, tuple[Item, ...]]:
    """Resistors, capacitors and the chips' legs: outline, paint, and the components that can be missing."""
    size = plan.size
    bodies, ends, items = [], [], []
    color = canvas(size, (38, 38, 41))
    for number, (x, y, upright) in enumerate(SMALL):
        hx, hy = (0.0155, 0.029) if upright else (0.029, 0.0155)
        bodies.append((x, y, hx, hy))
        for side in (-1, 1):
            ends.append((x, y + 0.0235 * side, 0.0155, 0.0058) if upright else (x + 0.0235 * side, y, 0.0058, 0.0155))
        items.append(Item(f"small {number + 1}", plan.pixel_box(x, y, hx + 0.004, hy + 0.004)))
        if number % 3 != 1:
            color = mix(color, (214, 214, 210), 0.85 * plan.text(("103", "472", "220")[number % 3], x, y, 0.0105, 0.12))
    ceramic = [(x, y, 0.02, 0.03) if upright else (x, y, 0.03, 0.02) for x, y, upright in SMALL[1::3]]
    color = mix(color, (150, 112, 74), solid(plan.boxes(ceramic)))
    color = mix(color, (206, 206, 208), solid(plan.boxes(ends, 0.001)))
    legs = plan.boxes([(x + side * 0.010, y, 0.015, 0.0046) for x, y, side in _legs()], 0.001)
    color = mix(color, (200, 202, 205), solid(legs - 2))
    return np.minimum(plan.boxes(bodies, 0.003), legs), pixels(color), tuple(items)


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    board = plan.box(HALF_X, HALF_Y, 0.018)
    picture, relief = _picture(plan)
    low, low_paint, items = _low(plan)
    high = plan.boxes([(x, y, hx, hy) for x, y, hx, hy, _ in CHIPS], 0.004)
    high_paint = canvas(size, (40, 41, 44))
    for x, y, hx, hy, words in CHIPS:
        high_paint = mix(high_paint, (182, 184, 182), 0.75 * plan.text(words, x, y - 0.005, 0.021, 0.11))
        high_paint = mix(high_paint, (58, 59, 62), solid(plan.disc(0.010, x - hx + 0.025, y - hy + 0.025)))
    cans = np.minimum(*(plan.disc(r, x, y) for x, y, r in CANS))
    can_paint = canvas(size, (186, 190, 196))
    for x, y, r in CANS:
        stripe = solid(plan.disc(r * 0.96, x, y)) * (plan.x - x < -0.45 * r)
        can_paint = mix(can_paint, (46, 48, 54), np.asarray(stripe, np.float32))
    can_items = tuple(Item(f"can {i}", plan.pixel_box(x, y, r + 0.004, r + 0.004)) for i, (x, y, r) in enumerate(CANS))
    laminate = Material(gloss=0.22, shininess=28, mirror=0.15)
    resin = Material(gloss=0.14, shininess=12, mirror=0.2)
    tin = Material(gloss=0.3, shininess=30, metal=0.35, mirror=0.3)
    metal = Material(gloss=0.25, shininess=30, metal=0.75)
    rough = 0.12 * grain(generator(0, "form", NAME), (size, size), unit)
    slabs = (
        Slab(
            "board",
            outline(board),
            relief + bevel(board, 3 * unit),
            picture,
            0.0,
            0.028 * size,
            laminate,
            (122, 128, 84),
            wall_gloss=0.05,
        ),
        Slab(
            "low",
            outline(low),
            bevel(low, 4 * unit),
            low_paint,
            0.028 * size,
            0.046 * size,
            tin,
            (120, 118, 114),
            items,
            wall_gloss=0.3,
        ),
        Slab(
            "chips",
            outline(high),
            bevel(high, 6 * unit) + rough,
            pixels(high_paint),
            0.034 * size,
            0.066 * size,
            resin,
            (36, 37, 40),
            wall_gloss=0.1,
        ),
        Slab(
            "cans",
            outline(cans),
            bevel(cans, 9 * unit),
            pixels(can_paint),
            0.028 * size,
            0.115 * size,
            metal,
            (112, 116, 124),
            can_items,
            wall_gloss=0.8,
        ),
    )
    texture = render.soft_texture(NAME, size, 0.018, 1.0, 0.015)

    def ground(camera: Camera) -> Pixels:
        return render.mat((148, 158, 172), texture, camera)

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
    return tuple(
        textured(slab.paint, texture if slab.name == "board" else 0.4 * texture, slab.alpha) for slab in form.slabs
    )


def _bare(rng: np.random.Generator, unit: float, item: Item) -> Mark:
    """Solder left on the pads of a component that is not there."""
    n = marks.room(max(item.box[2:]) * 1.2)
    cover, tone, color, paint_, relief = marks.blank(n)
    x, y = marks.plane(n)
    upright = item.box[3] > item.box[2]
    along = y if upright else x
    lump = np.exp(-(((np.abs(along) - 20 * unit) / (9 * unit)) ** 2)) * np.exp(
        -(((x if upright else y) / (11 * unit)) ** 2)
    )
    relief = np.asarray(7 * unit * lump, np.float32)
    return Mark(np.clip(lump * 1.4, 0, 1).astype(np.float32), tone, color, paint_, relief, 0.8)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "HS": (flaws.scratches((0, 0, 0, 2), bright=0.8, length=(0.12, 0.4), wall=0.0),),
        "QS": (flaws.missing(1, scar=_bare), flaws.missing(3)),
        "PS": (
            flaws.chipped((0,), (176, 172, 130), (0.03, 0.075)),
            flaws.chipped((2,), (92, 92, 94), (0.02, 0.04)),
            flaws.cracks((2,), (0.08, 0.16)),
        ),
        "YW": (flaws.objects((0, 0, 2), ((26, 24, 24), (196, 42, 38), (228, 226, 220), (48, 74, 150))),),
        "ZW": (
            flaws.dirt((0,), ((222, 214, 186), (140, 104, 48), (206, 206, 200)), (0.018, 0.075), (0.35, 0.7), wall=0.0),
        ),
    },
)
