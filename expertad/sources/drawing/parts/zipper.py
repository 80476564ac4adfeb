"""A closed metal zipper: two bands of twill tape, interlocking teeth, a slider with its pull."""

from __future__ import annotations

import numpy as np

from expertad.sources.drawing import flaws, marks, render
from expertad.sources.drawing.camera import Camera
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, pixels, smoothstep
from expertad.sources.drawing.flaws import Decal, Flaw
from expertad.sources.drawing.form import Form, Item, Material, Slab
from expertad.sources.drawing.shapes import Category, Plan, bevel, canvas, crop, mix, outline, paint, solid, textured

NAME = "zipper"
RED = (116, 36, 42)
NICKEL = (150, 148, 143)
PITCH, TEETH, FIRST = 0.0295, 30, -0.43
BAND, GAP, LENGTH = 0.335, 0.002, 0.455


def _twill(plan: Plan) -> Field:
    """Height of the weave, -1..1: diagonal ribs of threads that pass over and under."""
    across, along = plan.x * 170, plan.y * 170
    rib = np.sin(2 * np.pi * (np.abs(across) * 0.5 + along) * 0.5)
    thread = np.sin(2 * np.pi * along)
    return np.asarray(0.65 * rib + 0.35 * thread * np.cos(2 * np.pi * across * 0.5), np.float32)


def build(size: int) -> Form:
    """The form at a size."""
    plan, unit = Plan(size), size / 1024
    rng = generator(0, "form", NAME)
    wave = 0.0015 * clouds(rng, (size, 1), 9, 2)
    left = plan.box((BAND - GAP) / 2, LENGTH, 0.004, -(BAND + GAP) / 2) + wave * size
    right = plan.box((BAND - GAP) / 2, LENGTH, 0.004, (BAND + GAP) / 2) - wave * size
    tape = np.asarray(np.minimum(left, right), np.float32)
    cord = 7 * unit * smoothstep(0.022, 0.004, np.abs(np.abs(plan.x) - 0.050))
    hem = 3 * unit * smoothstep(0.020, 0.004, np.abs(np.abs(plan.x) - (BAND - 0.012)))
    weave = 0.85 * unit * _twill(plan)
    relief = weave + cord + hem + 2.5 * unit * clouds(rng, (size, size), 5, 2) + bevel(tape, 4 * unit)
    stitch = (np.abs(np.abs(plan.x) - 0.083) - 0.0035) * size + 1e3 * (np.sin(2 * np.pi * plan.y * 42) < -0.35)
    color = mix(canvas(size, RED), (150, 66, 68), 0.8 * solid(np.asarray(stitch, np.float32)))
    relief = relief + 2.0 * unit * solid(np.asarray(stitch, np.float32))
    boxes, items = [], []
    for number in range(TEETH):
        y = FIRST + number * PITCH
        side = -1 if number % 2 else 1
        boxes.append((side * 0.0225, y, 0.0375, 0.0118))
        name = "covered" if -0.36 < y < 0.07 else "tooth"
        items.append(Item(f"{name} {number + 1}", plan.pixel_box(side * 0.0225, y, 0.041, 0.0135)))
    teeth = plan.boxes(boxes, 0.004)
    hooks = (
        3.0 * unit * smoothstep(0.010, 0.003, np.hypot(np.abs(plan.x) - 0.004, ((plan.y - FIRST) % PITCH) - PITCH / 2))
    )
    slider = np.maximum(plan.box(0.088, 0.105, 0.045, 0, -0.25), -plan.boxes([(0, -0.355, 0.012, 0.03)], 0.004))
    bridge = np.minimum(plan.box(0.026, 0.078, 0.018, 0, -0.25), plan.box(0.052, 0.012, 0.01, 0, -0.325))
    pull = np.maximum(plan.box(0.046, 0.135, 0.03, 0, -0.075), -plan.box(0.026, 0.034, 0.014, 0, -0.165))
    pull = np.maximum(pull, -plan.box(0.018, 0.014, 0.012, 0, 0.03))
    steel = Material(gloss=0.28, shininess=34, metal=0.75, mirror=0.2)
    cloth = Material(gloss=0.03, shininess=6)
    metal_paint = paint(size, NICKEL)
    slabs = (
        Slab(
            "tape",
            outline(tape),
            np.asarray(relief, np.float32),
            pixels(color),
            0.0,
            0.012 * size,
            cloth,
            (104, 34, 40),
            wall_gloss=0.0,
        ),
        Slab(
            "teeth",
            outline(teeth),
            bevel(teeth, 6 * unit, 0.9) + hooks,
            metal_paint,
            0.012 * size,
            0.034 * size,
            steel,
            (128, 126, 122),
            tuple(items),
            wall_gloss=0.7,
        ),
        Slab(
            "slider",
            outline(slider),
            bevel(slider, 16 * unit, 0.7),
            metal_paint,
            0.030 * size,
            0.050 * size,
            steel,
            (132, 130, 126),
            wall_gloss=0.7,
        ),
        Slab(
            "bridge",
            outline(bridge),
            bevel(bridge, 9 * unit),
            metal_paint,
            0.050 * size,
            0.070 * size,
            steel,
            (132, 130, 126),
            wall_gloss=0.7,
        ),
        Slab(
            "pull",
            outline(pull),
            bevel(pull, 9 * unit),
            metal_paint,
            0.058 * size,
            0.068 * size,
            steel,
            (132, 130, 126),
            wall_gloss=0.7,
        ),
    )
    texture = render.soft_texture(NAME, size, 0.02, 1.3, 0.02)

    def ground(camera: Camera) -> Pixels:
        return render.mat((186, 184, 178), texture, camera)

    return Form(NAME, size, slabs, ground, zoom=1.04)


def dress(rng: np.random.Generator, form: Form) -> tuple[Pixels, ...]:
    """Tape from its own place on the roll; metal that is brushed a little."""
    yarn = crop(rng, form.keep("yarn", lambda: _yarn(form.size)), form.size)
    shade = np.float32(rng.normal(0, 0.03))
    return tuple(textured(s.paint, yarn + shade if s.name == "tape" else 0.35 * yarn, s.alpha) for s in form.slabs)


def _yarn(size: int) -> Field:
    rng = generator(0, "yarn", NAME)
    shape = (size * 5 // 4, size * 5 // 4)
    threads = grain(rng, (shape[0], 1), 0.6) * 0.03 + grain(rng, (1, shape[1]), 0.6) * 0.02
    return np.asarray(threads + 0.03 * clouds(rng, shape, 8) + 0.05 * grain(rng, shape, 0.8), np.float32)


_notch = flaws.chipped((0,), RED, (0.03, 0.075))


def _torn(rng: np.random.Generator, form: Form) -> Flaw:
    """A tear at the edge of the tape: part of the weave is gone and loose threads hang out."""
    tear = _notch(rng, form)
    at, unit = tear.decals[0], form.size / 1024
    reach = 0.36 * at.mark.span / 3.4
    threads = []
    for _ in range(int(rng.integers(9, 18))):
        shade = rng.uniform(0.8, 1.25)
        color = int(132 * shade), int(46 * shade), int(52 * shade)
        length = rng.uniform(0.5, 1.3) * reach + 20 * unit
        thread = marks.fibre(rng, unit, length, rng.uniform(1.4, 2.6) * unit + 0.3, color, (0.2, 1.6))
        x, y = at.x + rng.normal(0, 0.9) * reach, at.y + rng.normal(0, 0.9) * reach
        threads.append(Decal(thread, 0, "over", float(x), float(y), float(rng.uniform(0, 6.28)), at.z))
    return Flaw(tuple(threads), tear.changes)


CATEGORY = Category(
    NAME,
    build,
    dress,
    {
        "BX": (
            flaws.knocked((1, 0), (0.03, 0.05), (0.010, 0.018), "tooth"),
            flaws.dented((0,), (0.07, 0.12), (0.02, 0.04), inward=0.5, depth=0.2),
        ),
        "PS": (_torn,),
        "QS": (flaws.missing(1, prefix="tooth"),),
        "YW": (
            flaws.objects(
                (0, 0, 1), ((32, 30, 34), (232, 228, 216), (52, 96, 150), (196, 178, 60)), ("fibre", "fibre", "chip")
            ),
        ),
        "ZW": (
            flaws.dirt((0,), ((214, 206, 184), (44, 36, 32), (150, 132, 84)), (0.02, 0.085), (0.4, 0.75), wall=0.0),
        ),
    },
)
