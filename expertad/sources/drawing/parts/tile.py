"""A glazed ceramic tile with a printed border and a cobalt rosette; it fills the frame."""

from __future__ import annotations

import numpy as np

from expertad.sources.drawing import flaws, render
from expertad.sources.drawing.camera import Camera
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, pixels, smoothstep
from expertad.sources.drawing.form import Form, Material, Slab
from expertad.sources.drawing.shapes import Category, Plan, bevel, canvas, crop, mix, outline, solid, textured

NAME = "tile"
GLAZE = (205, 201, 190)
COBALT = (42, 66, 122)
OCHRE = (178, 132, 58)
SAGE = (104, 128, 104)
BISQUE = (196, 138, 98)


def _print(plan: Plan) -> Pixels:
    """Border, rosette and corner fans under the glaze."""
    size = plan.size
    rng = generator(0, "print", NAME)
    picture = canvas(size, GLAZE)
    # Hand-printed color is uneven: it is thinner in places.
    ink = np.clip(0.86 + 0.10 * clouds(rng, (size, size), 16, 2), 0.6, 1.0)
    angle, radius = np.arctan2(plan.y, plan.x), plan.radius()
    petals = np.asarray((radius - 0.075 - 0.125 * np.abs(np.cos(4 * angle)) ** 0.55) * size, np.float32)
    picture = mix(picture, COBALT, solid(petals) * ink)
    veins = np.asarray((np.abs(np.sin(4 * angle)) * radius - 0.012) * size, np.float32)
    picture = mix(picture, GLAZE, 0.75 * solid(np.maximum(veins, petals + 0.018 * size)))
    leaves = np.asarray((np.abs(radius - 0.245) - 0.020 * np.abs(np.sin(4 * angle)) ** 2 + 0.008) * size, np.float32)
    picture = mix(picture, SAGE, solid(leaves) * ink)
    picture = mix(picture, GLAZE, solid(plan.disc(0.078)))
    picture = mix(picture, OCHRE, solid(plan.disc(0.060)) * ink)
    picture = mix(picture, COBALT, solid(plan.disc(0.020)) * ink)
    for inset, width in ((0.425, 0.010), (0.403, 0.003)):
        frame = np.abs(plan.box(inset, inset, 0.012)) - width * size / 2
        picture = mix(picture, COBALT, solid(frame) * ink)
    inside = solid(plan.box(0.395, 0.395))
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = 0.395 * sx, 0.395 * sy
            for r, width in ((0.190, 0.016), (0.155, 0.004)):
                picture = mix(picture, COBALT, solid(np.abs(plan.disc(r, x, y)) - width * size / 2) * inside * ink)
            turn = np.arctan2(plan.y - y, plan.x - x)
            fan = (plan.radius(x, y) - 0.06 - 0.07 * np.abs(np.cos(6 * turn)) ** 0.8) * size
            picture = mix(picture, OCHRE, solid(np.asarray(fan, np.float32)) * inside * ink)
            picture = mix(picture, COBALT, solid(plan.disc(0.038, x, y)) * inside * ink)
    return pixels(picture)


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    body = plan.box(0.455, 0.455, 0.012)
    rng = generator(0, "form", NAME)
    relief = bevel(body, 16 * unit, 0.6) + 1.1 * unit * clouds(rng, (size, size), 12, 2)
    glaze = Material(gloss=0.22, shininess=60, mirror=0.5)
    slabs = (
        Slab(
            "tile",
            outline(body),
            np.asarray(relief, np.float32),
            _print(plan),
            0.0,
            0.045 * size,
            glaze,
            BISQUE,
            wall_gloss=0.05,
        ),
    )
    texture = render.soft_texture(NAME, size, 0.05, 1.4, 0.04)

    def ground(camera: Camera) -> Pixels:
        return render.mat((104, 99, 92), texture, camera)

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
        "AK": (flaws.pits((0,), (0.010, 0.034), floor=0.34, wall=0.25),),
        "CH": (flaws.scuffs((0,), light=False, length=(0.1, 0.3), strength=(0.3, 0.55)),),
        "HS": (flaws.scratches((0,), bright=0.0, length=(0.08, 0.5), wall=0.1),),
        "PS": (
            flaws.chipped((0,), BISQUE, (0.028, 0.075)),
            flaws.cracks((0,), (0.14, 0.45), (1.2, 2.6)),
            flaws.wall_chips(0, (226, 190, 160), (0.03, 0.07)),
        ),
        "ZW": (flaws.dirt((0,), ((92, 64, 34), (52, 48, 44), (110, 96, 40)), (0.02, 0.1), (0.35, 0.75), wall=0.25),),
    },
)
