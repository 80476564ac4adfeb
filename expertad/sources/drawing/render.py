"""One photograph of one part, and the exact mask of its flaw.

The part without its flaw is painted first; where a camera could see the flaw, that window is painted again with it.
The mask is where the two differ visibly; a view in which too little does is the flawless photograph itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from expertad.sources.drawing import marks
from expertad.sources.drawing.camera import Camera, Matrix, Pose, into_plan, lamp_place, project
from expertad.sources.drawing.fields import Field, Pixels, clouds, generator, grain, pixels, smooth, smoothstep
from expertad.sources.drawing.flaws import Bend, Change, Cut, Decal, Flaw, Lean, piece_of
from expertad.sources.drawing.form import Form, Piece, Skirt, Window, lay, shadow, walls

VISIBLE = 9
"""Smallest difference of a channel (0..255), before sensor noise, that counts as a visible change."""

SMALLEST = 0.0004
"""Smallest share of the image that counts as a visible flaw."""


@dataclass(frozen=True)
class Body:
    """One physical part: its form, the paint of its slabs (premultiplied by their outlines), tint and pose."""

    form: Form
    paints: tuple[Pixels, ...]
    poses: tuple[Pose, ...]
    tints: tuple[tuple[float, float, float], ...]
    seed: int
    name: str


@dataclass(frozen=True)
class Photo:
    """An RGB photograph; `mask` is 0 / 255, or None when no flaw is visible."""

    image: Pixels
    mask: Pixels | None

    @property
    def share(self) -> float:
        """Share of the image that the mask covers, 0 without one."""
        return 0.0 if self.mask is None else float(np.count_nonzero(self.mask)) / self.mask.size


@dataclass(frozen=True)
class _Painted:
    """A slab in one camera's light: sprite and outline of its box (corner at plan pixel x, y), walls and shadow."""

    sprite: Pixels
    alpha: Pixels
    x: int
    y: int
    skirt: Skirt
    top: float


def photograph(body: Body, camera: Camera, number: int, flaw: Flaw | None = None) -> Photo:
    """Take view `number` of a part.

    Args:
        body: the part.
        camera: its camera.
        number: index of the view, for pose, tint and noise.
        flaw: what is wrong with it, if anything.
    """
    form, size = body.form, body.form.size
    pose = body.poses[number]
    whole = (0, 0, size, size)
    slabs = _paint(body, camera)
    rng = generator(body.seed, "photo", body.name, camera.name)
    offset = (int(rng.integers(0, size // 4 + 1)), int(rng.integers(0, size // 4 + 1)))
    curve = _tone(body.tints[number])
    raw = _compose(form, slabs, (), camera, pose, whole, offset)
    developed = _develop(form, raw, camera, whole, curve)
    mask: Pixels | None = None
    if flaw is not None:
        window = _window(form, flaw, camera, pose)
        if window is not None:
            changed = _compose(
                form, _spoil(form, slabs, flaw.changes, camera), flaw.decals, camera, pose, window, offset
            )
            left, top, width, height = window
            flawed = _develop(form, changed, camera, window, curve)
            clean = developed[top : top + height, left : left + width]
            found, specks = _difference(clean, flawed, size, any(isinstance(c, Bend) for c in flaw.changes))
            if found is not None:
                np.copyto(clean, flawed, where=specks[..., None] == 0)
                mask = np.zeros((size, size), np.uint8)
                mask[top : top + height, left : left + width] = found
    return Photo(_noise(form, developed, rng), mask)


def _paint(body: Body, camera: Camera) -> list[_Painted]:
    form = body.form
    painted = []
    for index, (slab, paint) in enumerate(zip(form.slabs, body.paints, strict=True)):
        lit = form.lit(index, camera)
        x, y, w, h = form.box(index)
        own = slice(y, y + h), slice(x, x + w)
        sprite = cv2.multiply(paint[own], cv2.cvtColor(lit.diffuse, cv2.COLOR_GRAY2RGB), scale=1 / 128)
        sprite = np.asarray(cv2.add(sprite, cv2.cvtColor(lit.shine, cv2.COLOR_GRAY2RGB)), np.uint8)
        painted.append(_Painted(sprite, slab.alpha[own], x, y, form.skirt(index, camera), slab.top))
    return painted


def _spoil(form: Form, slabs: list[_Painted], changes: tuple[Change, ...], camera: Camera) -> list[_Painted]:
    """The slabs after every change of their outlines."""
    out = list(slabs)
    for index in sorted({change.slab for change in changes}):
        was = slabs[index]
        sprite, alpha = was.sprite.copy(), was.alpha.copy()
        leaning: list[Piece] = []
        own = [change for change in changes if change.slab == index]
        for change in own:
            match change:
                case Cut():
                    _cut(sprite, alpha, replace(change, x=change.x - was.x, y=change.y - was.y))
                case Bend():
                    _bend(sprite, alpha, replace(change, x=change.x - was.x, y=change.y - was.y))
                case Lean():
                    x, y, w, h = change.item.box
                    piece = piece_of(alpha, (x - was.x, y - was.y, w, h))
                    alpha = np.asarray(cv2.subtract(alpha, piece), np.uint8)
                    leaning.append((piece, (change.dx, change.dy)))
        pieces = [(_on_plan(form, was, part), lean) for part, lean in [(alpha, (0.0, 0.0)), *leaning]]
        side = _walls(form, index, pieces, own, camera)
        for piece, (dx, dy) in leaning:
            sprite, alpha = _move(sprite, alpha, piece, dx, dy)
        out[index] = replace(was, sprite=sprite, alpha=alpha, skirt=side)
    return out


def _on_plan(form: Form, slab: _Painted, alpha: Pixels) -> Pixels:
    """An outline in the slab's box, put back on the whole plan."""
    out = np.zeros((form.size, form.size), np.uint8)
    out[slab.y : slab.y + alpha.shape[0], slab.x : slab.x + alpha.shape[1]] = alpha
    return out


def _walls(form: Form, index: int, pieces: list[Piece], changes: list[Change], camera: Camera) -> Skirt:
    """Walls painted anew where they changed; the shadow too when a whole piece moved or went."""
    slab, known = form.slabs[index], form.skirt(index, camera)
    color, cover = known.color.copy(), known.cover.copy()
    window = _window(form, Flaw((), tuple(changes)), camera, Pose(), form.half / form.size)
    if window is not None:
        left, top, width, height = window
        fresh = walls(form, slab, pieces, camera, window)
        color[top : top + height, left : left + width], cover[top : top + height, left : left + width] = fresh
    fresh_shade = shadow(form, slab, pieces, camera)
    if any(isinstance(change, Lean) or (isinstance(change, Cut) and change.whole) for change in changes):
        return Skirt(color, cover, fresh_shade)
    # A dent or a chip hardly moves the soft shadow around the part; what it uncovers is a little lighter.
    scale = form.half / form.size
    ground = np.diag([scale, scale, 1.0]) @ form.matrix(camera, slab.bottom)
    footprint = cv2.warpPerspective(slab.alpha, ground, (form.half, form.half))
    between = cv2.addWeighted(fresh_shade, 0.3, known.shade, 0.7, 0.0)
    shade = np.where(footprint > 127, between, known.shade).astype(np.uint8)
    return Skirt(color, cover, shade)


def _cut(sprite: Pixels, alpha: Pixels, change: Cut) -> None:
    height, width = change.hole.shape
    x0, y0 = max(change.x, 0), max(change.y, 0)
    x1, y1 = min(change.x + width, alpha.shape[1]), min(change.y + height, alpha.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    keep = 1.0 - change.hole[y0 - change.y : y1 - change.y, x0 - change.x : x1 - change.x]
    alpha[y0:y1, x0:x1] = pixels(alpha[y0:y1, x0:x1] * keep)
    sprite[y0:y1, x0:x1] = pixels(sprite[y0:y1, x0:x1] * keep[..., None])


def _bend(sprite: Pixels, alpha: Pixels, change: Bend) -> None:
    reach = int(change.radius * 2.2)
    x0, y0 = max(int(change.x) - reach, 0), max(int(change.y) - reach, 0)
    x1, y1 = min(int(change.x) + reach, alpha.shape[1]), min(int(change.y) + reach, alpha.shape[0])
    columns, rows = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    pull = smoothstep(1.0, 0.0, np.hypot(columns - change.x, rows - change.y) / (2.0 * change.radius))
    from_x = np.asarray(columns - change.dx * pull, np.float32)
    from_y = np.asarray(rows - change.dy * pull, np.float32)
    for image in (sprite, alpha):
        image[y0:y1, x0:x1] = cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _move(sprite: Pixels, alpha: Pixels, piece: Pixels, dx: float, dy: float) -> tuple[Pixels, Pixels]:
    """Lift a piece's paint off and lay it down (dx, dy) away, over what is there."""
    size = alpha.shape[1], alpha.shape[0]
    share = cv2.cvtColor(piece, cv2.COLOR_GRAY2RGB)
    own = cv2.multiply(sprite, (share > 0).astype(np.uint8))
    rest = cv2.subtract(sprite, own)
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    own = cv2.warpAffine(own, shift, size)
    moved = np.asarray(cv2.warpAffine(piece, shift, size), np.uint8)
    hidden = cv2.cvtColor(cv2.bitwise_not(moved), cv2.COLOR_GRAY2RGB)
    sprite = np.asarray(cv2.add(cv2.multiply(rest, hidden, scale=1 / 255), own), np.uint8)
    alpha = np.asarray(cv2.max(alpha, moved), np.uint8)
    return sprite, alpha


def _compose(
    form: Form,
    slabs: list[_Painted],
    decals: tuple[Decal, ...],
    camera: Camera,
    pose: Pose,
    window: Window,
    offset: tuple[int, int],
) -> Pixels:
    """Paint ground, then each slab's shadow, walls, top and marks, lowest first, into a window of the image."""
    left, top, width, height = window
    place = _moved(-left, -top) @ pose.matrix(form.size)
    ground = form.keep(("ground", camera.name), lambda: form.ground(camera))
    y, x = offset[0] + top, offset[1] + left
    image = np.array(ground[y : y + height, x : x + width])
    double = place @ np.diag([form.size / form.half] * 2 + [1.0])
    for index, slab in enumerate(slabs):
        _lay_skirt(image, slab.skirt, double)
        for decal in decals:
            if decal.slab == index and decal.where == "wall":
                cover = cv2.warpAffine(slab.skirt.cover, double[:2], (width, height))
                _lay_decal(form, image, decal, camera, place, np.asarray(cover, np.uint8))
        _lay_top(image, slab, place @ form.matrix(camera, slab.top))
        clip: Pixels | None = None
        for decal in decals:
            if decal.slab == index and decal.where == "top":
                if clip is None:
                    to_window = place @ form.matrix(camera, slab.top) @ _moved(slab.x, slab.y)
                    clip = np.asarray(cv2.warpPerspective(slab.alpha, to_window, (width, height)), np.uint8)
                _lay_decal(form, image, decal, camera, place, clip)
    for decal in decals:
        if decal.where == "over":
            _lay_decal(form, image, decal, camera, place, None)
    return image


def _moved(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _inside(image: Pixels, matrix: Matrix, x: float, y: float, w: float, h: float) -> Window | None:
    """The part of an image that a rectangle covers once it is mapped there."""
    points = _corners(matrix, x, y, w, h)
    low = np.maximum(np.floor(points.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 2, (image.shape[1], image.shape[0]))
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _lay_skirt(image: Pixels, skirt: Skirt, matrix: Matrix) -> None:
    window = _inside(image, matrix, *skirt.reach)
    if window is None:
        return
    x, y, w, h = window
    own = (_moved(-x, -y) @ matrix)[:2]
    color = np.asarray(cv2.warpAffine(skirt.color, own, (w, h)), np.uint8)
    gain = np.asarray(cv2.warpAffine(skirt.gain, own, (w, h), borderValue=255), np.uint8)
    part = image[y : y + h, x : x + w]
    part[:] = lay(part, color, gain)


def _lay_top(image: Pixels, slab: _Painted, matrix: Matrix) -> None:
    own = matrix @ _moved(slab.x, slab.y)
    window = _inside(image, own, 0, 0, slab.alpha.shape[1], slab.alpha.shape[0])
    if window is None:
        return
    x, y, w, h = window
    own = _moved(-x, -y) @ own
    alpha = np.asarray(cv2.warpPerspective(slab.alpha, own, (w, h)), np.uint8)
    sprite = np.asarray(cv2.warpPerspective(slab.sprite, own, (w, h)), np.uint8)
    part = image[y : y + h, x : x + w]
    part[:] = lay(part, sprite, np.asarray(cv2.bitwise_not(alpha), np.uint8))


def _frame(form: Form, decal: Decal, camera: Camera) -> tuple[Matrix, tuple[float, float, float]] | None:
    """Map from patch pixels to image pixels, and the lamp in the patch's axes; None when the wall faces away."""
    n = decal.mark.span
    lx, ly, lz = lamp_place(camera, form.size)
    lx, ly, lz = lx - (decal.x - form.size / 2), ly - (decal.y - form.size / 2), lz - decal.z
    length = float(np.sqrt(lx * lx + ly * ly + lz * lz))
    lamp = (lx / length, ly / length, lz / length)
    to_center = np.array([[1, 0, -n / 2], [0, 1, -n / 2], [0, 0, 1]], np.float64)
    if decal.where != "wall":
        c, s = np.cos(decal.turn), np.sin(decal.turn)
        to_plan = np.array([[c, -s, decal.x], [s, c, decal.y], [0, 0, 1]], np.float64) @ to_center
        own = (c * lamp[0] + s * lamp[1], -s * lamp[0] + c * lamp[1], lamp[2])
        return form.matrix(camera, decal.z) @ to_plan, own
    out = np.array([np.cos(decal.facing), np.sin(decal.facing)])
    view = into_plan(camera, (0.0, 1.0, 0.0))
    if camera.tilt == 0 or out @ np.array(view[:2]) < 0.35:
        return None
    along = np.array([-out[1], out[0]])
    here, there = form.matrix(camera, decal.z), form.matrix(camera, decal.z + 1.0)
    origin = np.array(project(here, decal.x, decal.y))
    step = np.array(project(here, decal.x + along[0], decal.y + along[1])) - origin
    rise = np.array(project(there, decal.x, decal.y)) - origin
    to_image = np.array([[step[0], -rise[0], origin[0]], [step[1], -rise[1], origin[1]], [0, 0, 1]], np.float64)
    # Walls are lit from the camera's side too, so the lamp grazes them less than it would alone.
    own = (0.55 * float(along @ lamp[:2]), -0.55 * lamp[2], float(max(out @ lamp[:2], 0.75)))
    return to_image @ to_center, own


def _lay_decal(form: Form, image: Pixels, decal: Decal, camera: Camera, place: Matrix, clip: Pixels | None) -> None:
    framed = _frame(form, decal, camera)
    if framed is None:
        return
    matrix, lamp = place @ framed[0], framed[1]
    n = decal.mark.span
    window = _inside(image, matrix, 0, 0, n, n)
    if window is None:
        return
    x, y, w, h = window
    matrix = _moved(-x, -y) @ matrix
    gain, add = marks.lit(decal.mark, lamp, decal.strength, camera.glow)
    gain = np.asarray(cv2.warpPerspective(gain, matrix, (w, h), borderValue=1.0), np.float32)
    add = np.asarray(cv2.warpPerspective(add, matrix, (w, h)), np.float32)
    part = image[y : y + h, x : x + w]
    before = part.astype(np.float32)
    after = before * gain[..., None] + add
    if clip is not None:
        after = before + (after - before) * (clip[y : y + h, x : x + w].astype(np.float32) / 255.0)[..., None]
    part[:] = pixels(after)


def _window(form: Form, flaw: Flaw, camera: Camera, pose: Pose, scale: float = 1.0) -> Window | None:
    """Rectangle of the scaled image around everything the flaw can change, with a margin; None when out of sight."""
    corners: list[npt.NDArray[np.float64]] = []
    posed = pose.matrix(form.size)
    for decal in flaw.decals:
        framed = _frame(form, decal, camera)
        if framed is not None:
            n = decal.mark.span
            corners.append(_corners(posed @ framed[0], 0, 0, n, n))
    for change in flaw.changes:
        slab = form.slabs[change.slab]
        grow = 1.6 * (slab.top - slab.bottom) + 0.02 * form.size
        match change:
            case Cut():
                x, y, w, h = map(float, (change.x, change.y, change.hole.shape[1], change.hole.shape[0]))
            case Bend():
                reach = 2.1 * change.radius
                x, y, w, h = change.x - reach, change.y - reach, 2 * reach, 2 * reach
            case Lean():
                x, y, w, h = map(float, change.item.box)
                grow += float(np.hypot(change.dx, change.dy))
        for z in (slab.bottom, slab.top):
            corners.append(_corners(posed @ form.matrix(camera, z), x - grow, y - grow, w + 2 * grow, h + 2 * grow))
    if not corners:
        return None
    points = np.concatenate(corners) * scale
    limit = round(form.size * scale)
    low = np.clip(np.floor(points.min(0)) - 6, 0, limit).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 6, 0, limit).astype(int)
    if (high - low).min() < 8:
        return None
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _corners(matrix: Matrix, x: float, y: float, w: float, h: float) -> npt.NDArray[np.float64]:
    return np.array([project(matrix, x + i * w, y + j * h) for i in (0, 1) for j in (0, 1)], np.float64)


def _difference(clean: Pixels, flawed: Pixels, size: int, moved: bool) -> tuple[Pixels | None, Pixels]:
    """0 / 255 where the two differ visibly, None when too little does; and the stray pixels that are left out.

    `moved`: the surface itself shifted, so the plain places between its changed marks belong to the change.
    """
    change = cv2.absdiff(clean, flawed).max(2)
    strong = (change >= VISIBLE).astype(np.uint8)
    # The blur of a window's outermost pixels knows nothing of what lies outside it.
    edge = np.ones_like(strong)
    edge[2:-2, 2:-2] = 0
    strong[edge > 0] = 0
    reach = max(1, round(size / (70 if moved else 340)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    joined = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= max(3.0, 1.2e-5 * size * size)
    keep[0] = False
    found = keep[labels]
    stray = np.asarray((strong > 0) & ~found | (edge > 0), np.uint8)
    if np.count_nonzero(found) < SMALLEST * size * size or float(change[found].mean()) < 1.6 * VISIBLE:
        return None, stray
    return np.asarray(found, np.uint8) * np.uint8(255), stray


def _tone(tint: tuple[float, float, float]) -> Pixels:
    """256 x 1 x 3 curve: a mild film-like S and the part's tint."""
    x = np.linspace(0.0, 1.0, 256)
    s = x + 0.10 * np.sin(2 * np.pi * (x - 0.5)) * x * (1 - x) * 2.2
    return pixels(255.0 * np.stack([s * t for t in tint], 1)[:, None, :])


def _develop(form: Form, raw: Pixels, camera: Camera, window: Window, curve: Pixels) -> Pixels:
    """Lens blur, vignette and tone: everything the camera does but its noise."""
    left, top, width, height = window
    fall = form.keep(("vignette", camera.name), lambda: _vignette(form.size, camera))
    soft = cv2.GaussianBlur(raw, (3, 3), 0.62)
    soft = cv2.multiply(soft, np.ascontiguousarray(fall[top : top + height, left : left + width]), scale=1 / 200)
    return np.asarray(cv2.LUT(soft, curve), np.uint8)


def _vignette(size: int, camera: Camera) -> Pixels:
    """Light that falls off from the lamp's side and into the corners; 200 = unchanged."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    toward = (x * camera.lamp[0] + y * camera.lamp[1]) / float(np.hypot(*camera.lamp[:2]))
    fall = 1.0 - 0.13 * (x * x + y * y) ** 1.2 + 0.06 * toward
    return np.asarray(cv2.cvtColor(pixels(200.0 * fall), cv2.COLOR_GRAY2RGB), np.uint8)


def _noise(form: Form, image: Pixels, rng: np.random.Generator) -> Pixels:
    """Sensor noise, from one large field per form at a place of the photograph's own."""
    size = form.size

    def make() -> Pixels:
        source = generator(0, "sensor", form.name)
        shape = (size * 5 // 4 + 1, size * 5 // 4 + 1)
        luma = grain(source, shape, 0.55)
        chroma = np.dstack([grain(source, shape, 0.9) for _ in range(3)])
        return pixels(128.0 + 1.35 * luma[..., None] + 0.55 * chroma)

    field = form.keep("sensor", make)
    y, x = int(rng.integers(0, size // 4 + 1)), int(rng.integers(0, size // 4 + 1))
    return np.asarray(cv2.addWeighted(image, 1.0, field[y : y + size, x : x + size], 1.0, -128.0), np.uint8)


def mat(color: tuple[int, int, int], texture: Field, camera: Camera) -> Pixels:
    """A ground a quarter larger than the image: a color times a texture, lit from the lamp's side."""
    shape = texture.shape
    axis = np.linspace(-1, 1, shape[0], dtype=np.float32)
    glow = 1.0 + 0.10 * (axis[None, :] * camera.lamp[0] + axis[:, None] * camera.lamp[1])
    lit = (glow * (1.0 + texture))[..., None] * np.array(color, np.float32)
    return pixels(lit)


def soft_texture(seed: str, size: int, rough: float, blur: float, patches: float) -> Field:
    """Texture of a station's ground: fine roughness and slow patches."""
    rng = generator(0, "ground", seed)
    shape = (size * 5 // 4 + 1, size * 5 // 4 + 1)
    fine = grain(rng, shape, blur * size / 1024)
    return np.asarray(rough * fine + patches * smooth(clouds(rng, shape, 5, 2), 1.0), np.float32)
