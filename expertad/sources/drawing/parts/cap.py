"""A moulded blue screw cap: ribbed skirt, raised rim, an embossed mark in the middle."""

from __future__ import annotations

import numpy as np

from expertad.sources.drawing import flaws, render
from expertad.sources.drawing.camera import Camera
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, smooth, smoothstep
from expertad.sources.drawing.form import Form, Material, Slab
from expertad.sources.drawing.shapes import Category, Plan, bevel, crop, outline, paint, textured

NAME = "cap"
BLUE = (38, 92, 168)
RADIUS, RIBS = 0.425, 64


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    angle = np.arctan2(plan.y, plan.x)
    rib = 0.0085 * np.cos(angle * RIBS)
    skirt = np.asarray((plan.radius() - RADIUS - np.maximum(rib, -0.004)) * size, np.float32)
    top = plan.disc(0.385)
    radius = plan.radius()
    rim = 7 * unit * (smoothstep(0.300, 0.312, radius) - smoothstep(0.352, 0.364, radius))
    ring = 4 * unit * (smoothstep(0.168, 0.175, radius) - smoothstep(0.183, 0.19, radius))
    mark = (
        5
        * unit
        * smooth(
            np.maximum(plan.text("PP", 0, -0.05, 0.09, 0.16), plan.text("28-410", 0, 0.07, 0.045, 0.14)), 1.3 * unit
        )
    )
    gate = -4 * unit * smoothstep(0.012, 0.006, np.hypot(plan.x, plan.y - 0.006))
    rough = 0.10 * grain(generator(0, "form", NAME), (size, size), 1.0 * unit)
    plastic = Material(gloss=0.34, shininess=30, mirror=0.55)
    slabs = (
        Slab(
            "skirt",
            outline(skirt),
            bevel(skirt, 10 * unit),
            paint(size, BLUE),
            0.0,
            0.10 * size,
            plastic,
            (30, 78, 150),
            wall_gloss=0.4,
        ),
        Slab(
            "top",
            outline(top),
            bevel(top, 26 * unit, 0.9) + rim + ring + mark + gate + rough,
            paint(size, BLUE),
            0.10 * size,
            0.118 * size,
            plastic,
            (34, 84, 158),
            wall_gloss=0.3,
        ),
    )
    texture = render.soft_texture(NAME, size, 0.016, 1.6, 0.02)

    def ground(camera: Camera) -> Pixels:
        return render.mat((196, 197, 194), texture, camera)

    return Form(NAME, size, slabs, ground, zoom=1.0)


def dress(rng: np.random.Generator, form: Form) -> tuple[Pixels, ...]:
    """Slight flow marks and a shade of its own."""
    large = form.keep("flow", lambda: _flow(form.size))
    texture = crop(rng, large, form.size) + np.float32(rng.normal(0, 0.03))
    return tuple(textured(slab.paint, texture, slab.alpha) for slab in form.slabs)


def _flow(size: int) -> Field:
    rng = generator(0, "flow", NAME)
    shape = (size * 5 // 4, size * 5 // 4)
    return np.asarray(0.018 * clouds(rng, shape, 4) + 0.012 * grain(rng, shape, 1.0), np.float32)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "BX": (flaws.dented((0, 1), (0.08, 0.17), (0.018, 0.042), inward=0.85),),
        "HS": (flaws.scratches((1,), bright=0.75, length=(0.08, 0.4), wall=0.0),),
        "PS": (flaws.cracks((1,), (0.1, 0.32), (2.6, 5.0)), flaws.wall_chips(0, (96, 146, 210), (0.03, 0.06))),
        "QS": (flaws.chipped((0,), (70, 122, 192), (0.045, 0.095)),),
        "ZW": (flaws.dirt((1, 1, 1, 0), ((40, 34, 28), (120, 92, 40), (225, 222, 210)), (0.018, 0.085), (0.4, 0.8)),),
    },
)
