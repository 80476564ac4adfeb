"""Which parts a lot consists of, and how part number i comes out: decided by seed, category and i alone.

So a larger lot begins with the same parts, and no category knows of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from expertad.order import order_key
from expertad.sources.drawing import camera, render
from expertad.sources.drawing.fields import generator
from expertad.sources.drawing.flaws import Flaw
from expertad.sources.drawing.form import Form
from expertad.sources.drawing.marks import bolder
from expertad.sources.drawing.render import Body, Photo
from expertad.sources.drawing.shapes import Category

ATTEMPTS = 12
LARGEST = 0.07
"""Largest share of an image that a flaw may cover."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One part of a lot.

    Args:
        index: 0-based place in the lot.
        code: class code of a defective part, "OK" for a normal one.
        number: 1-based count among the parts of the same code: the `S####` folder.
        stamp: 14 digits that stand where Real-IAD has the time of the photograph.
        train: whether a normal part's photographs are in the train split.
    """

    index: int
    code: str
    number: int
    stamp: str
    train: bool

    @property
    def defective(self) -> bool:
        """True when the part lies under NG."""
        return self.code != "OK"


def tickets(category: str, codes: Sequence[str], parts: int, seed: int) -> list[Ticket]:
    """The first `parts` parts: in every two one is defective, in every len(codes) defective ones each code occurs."""
    out: list[Ticket] = []
    counts: dict[str, int] = {}
    defective = normal = 0
    for index in range(parts):
        key = order_key(seed, "lot pair", category, str(index // 2))
        if (key[0] + index) % 2:
            turn, place = divmod(defective, len(codes))
            order = sorted(codes, key=lambda code: order_key(seed, "lot codes", category, str(turn), code))  # noqa: B023
            code, train = order[place], False
            defective += 1
        else:
            code = "OK"
            train = (order_key(seed, "lot split", category, str(normal // 2))[0] + normal) % 2 == 0
            normal += 1
        counts[code] = counts.get(code, 0) + 1
        out.append(Ticket(index, code, counts[code], _stamp(seed, category, index), train))
    return out


def _stamp(seed: int, category: str, index: int) -> str:
    """A plausible time of day in 2024, drawn from the part's identity."""
    number = int.from_bytes(order_key(seed, "stamp", category, str(index)), "big")
    parts = []
    for span, start in ((12, 1), (28, 1), (10, 8), (60, 0), (60, 0)):
        number, rest = divmod(number, span)
        parts.append(f"{rest + start:02d}")
    return "2024" + "".join(parts)


def body(category: Category, form: Form, seed: int, index: int) -> Body:
    """Part `index` as a flawless thing: paint, and how it lies before each camera."""
    name = f"{category.name}/{index}"
    rng = generator(seed, "body", category.name, str(index))
    paints = category.dress(rng, form)
    turn = float(np.clip(rng.normal(0, 2.0), -5, 5))
    poses, tints = [], []
    shade = float(rng.normal(0, 0.012))
    for _ in camera.CAMERAS:
        dx, dy = np.clip(rng.normal(0, 0.006, 2), -0.014, 0.014)
        own = turn + float(np.clip(rng.normal(0, 0.6), -1.5, 1.5))
        poses.append(camera.Pose(float(dx), float(dy), own, float(1 + np.clip(rng.normal(0, 0.006), -0.015, 0.015))))
        r, g, b = 1.0 + shade + rng.normal(0, 0.008, 3)
        tints.append((float(r), float(g), float(b)))
    return Body(form, paints, tuple(poses), tuple(tints), seed, name)


def flaw(category: Category, form: Form, seed: int, index: int, code: str, attempt: int) -> Flaw:
    """What is wrong with part `index`, at the given try; later tries draw bolder marks."""
    rng = generator(seed, "flaw", category.name, str(index), code, str(attempt))
    builders = category.flaws[code]
    wrong = builders[int(rng.integers(len(builders)))](rng, form)
    for _ in range(attempt // 3):
        wrong = replace(wrong, decals=tuple(replace(d, strength=1.0, mark=bolder(d.mark)) for d in wrong.decals))
    return wrong


def photographs(category: Category, form: Form, seed: int, ticket: Ticket) -> list[Photo]:
    """All views of one part, C1 first.

    A flaw that no camera sees, or that covers more than `LARGEST` of an image, is drawn anew.
    """
    thing = body(category, form, seed, ticket.index)
    order = [(view + ticket.index) % len(camera.CAMERAS) for view in range(len(camera.CAMERAS))]
    if not ticket.defective:
        return _in_order({v: render.photograph(thing, camera.CAMERAS[v], v) for v in order})
    best: list[Photo] = []
    for attempt in range(ATTEMPTS):
        wrong = flaw(category, form, seed, ticket.index, ticket.code, attempt)
        shots = _in_order({v: render.photograph(thing, camera.CAMERAS[v], v, wrong) for v in order})
        if any(shot.mask is not None for shot in shots):
            best = shots
            if max(shot.share for shot in shots) <= LARGEST:
                break
    if not best:
        raise RuntimeError(f"part {ticket.index} of {category.name} shows no {ticket.code} in {ATTEMPTS} tries")
    return best


def _in_order(shots: dict[int, Photo]) -> list[Photo]:
    return [shots[view] for view in sorted(shots)]
