"""A glazed ceramic tile with a printed border and a cobalt rosette; it fills the frame."""

from __future__ import annotations

import numpy as np

from .. import flaws, render
from ..camera import Camera
from ..fields import Field, Pixels, clouds, generator, grain, pixels, smoothstep
from ..form import Form, Material, Slab
from ..shapes import Category, Plan, bevel, crop, mix, outline, solid, textured

NAME = "tile"
GLAZE = (226, 222, 211)
COBALT = (44, 74, 138)
BISQUE = (196, 138, 98)


def _print(plan: Plan) -> Pixels:
    size = plan.size
    picture = np.full((size, size, 3), GLAZE, np.float32)
    angle, radius = np.arctan2(plan.y, plan.x), plan.radius()
    petals = (radius - 0.105 - 0.075 * np.abs(np.cos(4 * angle)) ** 0.7) * size
    picture = mix(picture, COBALT, 0.82 * solid(np.asarray(petals, np.float32)))
    picture = mix(picture, GLAZE, solid(plan.disc(0.075)))
    picture = mix(picture, (188, 142, 62), 0.9 * solid(plan.disc(0.05)))
    for inset, width in ((0.40, 0.006), (0.375, 0.003)):
        frame = np.abs(plan.box(inset, inset, 0.02)) - width * size / 2
        picture = mix(picture, COBALT, 0.78 * solid(frame))
    for sx in (-1, 1):
        for sy in (-1, 1):
            quarter = np.abs(plan.disc(0.16, 0.375 * sx, 0.375 * sy)) - 0.014 * size
            inside = solid(plan.box(0.368, 0.368, 0.0))
            picture = mix(picture, COBALT, 0.78 * solid(quarter) * inside)
            dot = solid(plan.disc(0.035, 0.275 * sx, 0.275 * sy))
            picture = mix(picture, (188, 142, 62), 0.88 * dot)
    return pixels(picture)


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    body = plan.box(0.455, 0.455, 0.012)
    rng = generator(0, "form", NAME)
    relief = bevel(body, 16 * unit, 0.6) + 1.1 * unit * clouds(rng, (size, size), 12, 2)
    glaze = Material(gloss=0.30, shininess=70, mirror=0.5)
    slabs = (
        Slab("tile", outline(body), np.asarray(relief, np.float32), _print(plan), 0.0, 0.045 * size, glaze, BISQUE, wall_gloss=0.05),
    )  # fmt: skip
    texture = render.soft_texture(NAME, size, 0.05, 1.4, 0.04)

    def ground(camera: Camera) -> Pixels:
        return render.mat(size, (104, 99, 92), texture, camera)

    return Form(NAME, size, slabs, ground, zoom=1.02)


def dress(rng: np.random.Generator, form: Form) -> tuple[Pixels, ...]:
    """Glaze that pools a little differently on every tile."""
    large = form.keep("pool", lambda: _pool(form.size))
    return tuple(textured(slab.paint, crop(rng, large, form.size), slab.alpha) for slab in form.slabs)


def _pool(size: int) -> Field:
    rng = generator(0, "pool", NAME)
    shape = (size * 5 // 4, size * 5 // 4)
    spots = smoothstep(2.1, 2.6, grain(rng, shape, 1.3 * size / 1024))
    return np.asarray(0.02 * clouds(rng, shape, 7) - 0.10 * spots + 0.006 * grain(rng, shape), np.float32)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "AK": (flaws.pits((0,), (0.010, 0.034), floor=0.34, wall=0.0),),
        "CH": (flaws.scuffs((0,), light=False, length=(0.1, 0.3), strength=(0.3, 0.55)),),
        "HS": (flaws.scratches((0,), bright=0.0, length=(0.08, 0.5), wall=0.0),),
        "PS": (
            flaws.chipped((0,), BISQUE, (0.028, 0.075)),
            flaws.cracks((0,), (0.14, 0.45)),
        ),
        "ZW": (
            flaws.dirt((0,), ((92, 64, 34), (52, 48, 44), (110, 96, 40)), (0.02, 0.1), (0.35, 0.75), wall=0.12),
        ),
    },
)
