"""A black pin header: a moulded block of cells with gold pins standing in it."""

from __future__ import annotations

import numpy as np

from expertad.sources.drawing import flaws, marks, render
from expertad.sources.drawing.camera import Camera
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, smoothstep
from expertad.sources.drawing.form import Form, Item, Material, Slab
from expertad.sources.drawing.marks import Mark
from expertad.sources.drawing.shapes import Category, Plan, bevel, crop, outline, paint, textured

NAME = "pin_header"
BLACK = (47, 48, 51)
GOLD = (222, 182, 92)
COLUMNS, ROWS, PITCH, PIN = 6, 5, 0.142, 0.021


def places() -> list[tuple[float, float]]:
    """Center of every pin, row by row."""
    return [
        ((c - (COLUMNS - 1) / 2) * PITCH, (r - (ROWS - 1) / 2) * PITCH * 1.12)
        for r in range(ROWS)
        for c in range(COLUMNS)
    ]


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    half_x, half_y = COLUMNS * PITCH / 2, ROWS * PITCH * 1.12 / 2
    block = plan.box(half_x, half_y, 0.006)
    # Each cell of the block has cut corners, so the long sides are notched between pins.
    for c in range(1, COLUMNS):
        for side in (-1, 1):
            x, y = (c - COLUMNS / 2) * PITCH, side * half_y
            notch = (np.abs(plan.x - x) + np.abs(plan.y - y) - 0.016) * size
            block = np.maximum(block, -np.asarray(notch, np.float32))
    relief = bevel(block, 7 * unit)
    for c in range(1, COLUMNS):
        relief = relief - 4 * unit * smoothstep(0.006, 0.002, np.abs(plan.x - (c - COLUMNS / 2) * PITCH))
    for r in range(1, ROWS):
        relief = relief - 4 * unit * smoothstep(0.006, 0.002, np.abs(plan.y - (r - ROWS / 2) * PITCH * 1.12))
    pins = plan.boxes([(x, y, PIN, PIN) for x, y in places()], 0.004)
    holes = plan.boxes([(x, y, PIN + 0.009, PIN + 0.009) for x, y in places()], 0.006)
    items = [
        Item(f"pin {number + 1}", plan.pixel_box(x, y, PIN + 0.004, PIN + 0.004))
        for number, (x, y) in enumerate(places())
    ]
    relief = relief - 5 * unit * smoothstep(1.5 * unit, -2 * unit, holes)
    relief = relief + 0.16 * grain(generator(0, "form", NAME), (size, size), 1.2 * unit)
    plastic = Material(gloss=0.16, shininess=14, mirror=0.18)
    gold = Material(gloss=0.25, shininess=40, metal=0.85)
    slabs = (
        Slab(
            "block",
            outline(block),
            np.asarray(relief, np.float32),
            paint(size, BLACK),
            0.0,
            0.085 * size,
            plastic,
            (42, 43, 46),
            wall_gloss=0.14,
        ),
        Slab(
            "pins",
            outline(pins),
            bevel(pins, 13 * unit, 0.9),
            paint(size, GOLD),
            0.075 * size,
            0.19 * size,
            gold,
            (186, 140, 58),
            tuple(items),
            wall_gloss=0.7,
        ),
    )
    texture = render.soft_texture(NAME, size, 0.02, 1.2, 0.02)

    def ground(camera: Camera) -> Pixels:
        return render.mat((168, 174, 178), texture, camera)

    return Form(NAME, size, slabs, ground, zoom=0.96)


def dress(rng: np.random.Generator, form: Form) -> tuple[Pixels, ...]:
    """Plastic of its own shade."""
    large = form.keep("resin", lambda: _resin(form.size))
    texture = crop(rng, large, form.size) + np.float32(rng.normal(0, 0.025))
    return tuple(textured(slab.paint, texture, slab.alpha) for slab in form.slabs)


def _resin(size: int) -> Field:
    rng = generator(0, "resin", NAME)
    shape = (size * 5 // 4, size * 5 // 4)
    return np.asarray(0.03 * clouds(rng, shape, 5) + 0.03 * grain(rng, shape, 0.8), np.float32)


def _socket(rng: np.random.Generator, unit: float, item: Item) -> Mark:
    """The empty hole a lost pin leaves in the block."""
    w, h = item.box[2] * 1.12, item.box[3] * 1.12
    n = marks.room(max(w, h) * 1.2)
    cover, tone, color, paint_, relief = marks.blank(n)
    x, y = marks.plane(n)
    edge = np.maximum(np.abs(x) / (w / 2), np.abs(y) / (h / 2))
    inside = smoothstep(1.05, 0.92, edge)
    tone = np.asarray(1.0 - 0.8 * inside * smoothstep(1.0, 0.6, edge), np.float32)
    return Mark(inside, tone, color, paint_, np.asarray(-6.0 * unit * inside, np.float32), 0.3)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "BX": (flaws.leaning(1, (0.03, 0.075)),),
        "QS": (flaws.missing(1, scar=_socket),),
        "PS": (
            flaws.chipped((0,), (92, 92, 95), (0.03, 0.08)),
            flaws.wall_chips(0, (104, 104, 108)),
            flaws.cracks((0,), (0.1, 0.25)),
        ),
        "HS": (flaws.scratches((0,), bright=0.9, length=(0.07, 0.3), wall=0.4),),
        "ZW": (
            flaws.dirt(
                (0,),
                ((206, 200, 186), (150, 120, 70), (190, 194, 196)),
                (0.018, 0.07),
                (0.4, 0.75),
                kinds=("stain", "ring", "specks", "smear"),
                wall=0.4,
            ),
        ),
    },
)
