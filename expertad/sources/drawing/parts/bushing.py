"""A turned brass bushing with a flange: concentric tool marks, four countersunk holes, a raised collar."""

from __future__ import annotations

import numpy as np

from expertad.sources.drawing import flaws, render
from expertad.sources.drawing.camera import Camera
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, smooth
from expertad.sources.drawing.form import Form, Material, Slab
from expertad.sources.drawing.shapes import Category, Plan, bevel, crop, outline, paint, textured

NAME = "bushing"
BRASS = (206, 172, 112)
WALL = (168, 132, 76)
OUTER, COLLAR, BORE, HOLES = 0.45, 0.285, 0.165, 0.365


def grooves(rng: np.random.Generator, plan: Plan, depth: float) -> Field:
    """Concentric tool marks: one random profile along the radius."""
    count = plan.size
    profile = smooth(rng.standard_normal((1, count), np.float32), 0.8)[0]
    profile += 0.6 * smooth(rng.standard_normal((1, count), np.float32), 3.0)[0]
    index = np.clip((plan.radius() * 2 * count).astype(np.int32), 0, count - 1)
    return np.asarray(depth * profile[index], np.float32)


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    rng = generator(0, "form", NAME)
    bore = -plan.disc(BORE)
    holes = plan.nothing
    for quarter in range(4):
        angle = np.pi / 4 + quarter * np.pi / 2
        holes = np.minimum(holes, plan.disc(0.030, HOLES * np.cos(angle), HOLES * np.sin(angle)))
    flange = np.maximum(np.maximum(plan.disc(OUTER), bore), -holes)
    collar = np.maximum(plan.disc(COLLAR), bore)
    metal = Material(gloss=0.10, shininess=26, metal=0.8, lines="radial")
    marks = grooves(rng, plan, 0.12)
    sink = -0.5 * np.clip(16 * unit - holes, 0, 16 * unit)
    step = 5 * unit * np.clip(plan.radius() - 0.325, 0, 0.012) / 0.012
    slabs = (
        Slab(
            "flange",
            outline(flange),
            np.asarray(bevel(flange, 9 * unit) + marks + sink + step, np.float32),
            paint(size, BRASS),
            0.0,
            0.06 * size,
            metal,
            WALL,
            wall_gloss=0.55,
        ),
        Slab(
            "collar",
            outline(collar),
            bevel(collar, 13 * unit) + marks,
            paint(size, BRASS),
            0.06 * size,
            0.125 * size,
            metal,
            WALL,
            wall_gloss=0.55,
        ),
    )
    texture = render.soft_texture(NAME, size, 0.055, 1.1, 0.03)

    def ground(camera: Camera) -> Pixels:
        return render.mat((66, 70, 76), texture, camera)

    return Form(NAME, size, slabs, ground, zoom=0.98)


def dress(rng: np.random.Generator, form: Form) -> tuple[Pixels, ...]:
    """Every part has its own tool marks and a faint patina."""
    plan = Plan(form.size)
    large = form.keep("patina", lambda: _patina(form.size))
    texture = crop(rng, large, form.size) + grooves(rng, plan, 0.035)
    return tuple(textured(slab.paint, texture, slab.alpha) for slab in form.slabs)


def _patina(size: int) -> Field:
    rng = generator(0, "patina", NAME)
    shape = (size * 5 // 4, size * 5 // 4)
    return np.asarray(0.02 * clouds(rng, shape, 6) + 0.012 * grain(rng, shape, 0.7), np.float32)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "AK": (flaws.pits((0, 1), (0.012, 0.036), floor=0.38),),
        "BX": (flaws.dented((0,), (0.06, 0.13), (0.014, 0.034), depth=0.10),),
        "CH": (flaws.scuffs((0, 1), light=True, length=(0.08, 0.2)),),
        "HS": (flaws.scratches((0, 0, 1), bright=0.45, length=(0.06, 0.3)),),
        "ZW": (flaws.dirt((0, 1), ((42, 34, 26), (70, 48, 22), (58, 66, 44)), (0.016, 0.065), (0.45, 0.8)),),
    },
)
