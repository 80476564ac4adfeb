"""Measures a case's photographs: the query as a whole, the query against the reference, the defect against its ring.

Every number is a function of the files' bytes. The whole frames are reduced to SCENE pixels' long side; the defect is
measured on a crop of the full-size query, reduced only where it is larger than CROP. Tens of milliseconds for a
1024 x 1024 pair, almost all of it inside OpenCV, which releases the interpreter lock.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from expertad.errors import ImageError
from expertad.images import read_mask, sha256_file
from expertad.sample import Case, ImageFile
from expertad.teachers.grounding.colors import color_name
from expertad.teachers.grounding.facts import Defect, Facts, Lab, Likeness, Scene

Array = npt.NDArray[Any]

SCENE = 256
CROP = 640

# Pixels of the ring this close to its median (CIE76) share its tone.
RULING_TONE = 14.0

# Two border colours closer than this (CIE76) count as the same background.
SAME_BACKGROUND = 14.0


def measure(case: Case) -> Facts:
    """All facts of a case; remembered for the last few cases, since describing and distilling need the same.

    Raises:
        ImageError: query or reference cannot be decoded.
        MaskError: the mask of an anomalous case is absent, unreadable, empty or of another size.
    """
    if case.mask is None or case.region is None:
        return _measure(case.query, case.reference, None, "")
    digest = case.mask_sha256 or (sha256_file(case.mask) if case.mask.is_file() else "absent")
    return _measure(case.query, case.reference, case.mask, digest)


@lru_cache(maxsize=64)
def _measure(query: ImageFile, reference: ImageFile, mask_path: Path | None, mask_digest: str) -> Facts:
    # mask_digest is part of the memory's key: a mask redrawn under the same name is measured again.
    pixels = _read(query.path, reduced=1 if mask_path is not None else _reduction(query))
    frame = _Frame(pixels)
    normal = _Frame(_read(reference.path, reduced=_reduction(reference)))
    background = _shared_background(frame, normal)
    scene = _scene(frame, background)
    likeness, offset = _likeness(frame, normal, scene)
    if mask_path is None:
        return Facts(scene, likeness, None)
    mask = read_mask(mask_path, (query.width, query.height))
    foreground = (mask > int(mask.max()) / 2).astype(np.uint8)
    return Facts(scene, likeness, _defect(pixels, foreground, background, normal, offset))


def _reduction(image: ImageFile) -> int:
    """JPEG's own reduction (1, 2, 4, 8) that leaves at least twice SCENE pixels on the long side."""
    long_side = max(image.width, image.height)
    return max((factor for factor in (1, 2, 4, 8) if long_side // factor >= 2 * SCENE), default=1)


_READ_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def _read(path: Path, reduced: int) -> Array:
    """8-bit BGR pixels, height x width x 3, reduced by an integer factor while decoding."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the image root") from error
    pixels: Array | None = (
        cv2.imdecode(data, _READ_FLAGS[reduced] | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    )
    if pixels is None:
        raise ImageError(f"{path}: cannot be decoded; replace the file or exclude the sample")
    return pixels


def _lab(bgr: Array) -> Array:
    lab: Array = cv2.cvtColor(bgr.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    return lab


def _triple(values: Array) -> Lab:
    return float(values[0]), float(values[1]), float(values[2])


def _shrink(pixels: Array, long_side: int) -> Array:
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Array = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small


def _gradient(lightness: Array) -> tuple[Array, Array]:
    """Horizontal and vertical slope in L* per pixel (Sobel, normalised)."""
    return (
        cv2.Sobel(lightness, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8),
        cv2.Sobel(lightness, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8),
    )


def _orientation(dx: Array, dy: Array) -> tuple[float, float]:
    """Direction along the edges in [0, 180) degrees and coherence 0 to 1, from the mean structure tensor."""
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    if xx + yy < 1e-6:
        return 0.0, 0.0
    coherence = math.hypot(xx - yy, 2 * xy) / (xx + yy)
    across = 0.5 * math.atan2(2 * xy, xx - yy)
    return (math.degrees(across) + 90) % 180, coherence


class _Frame:
    """A whole photograph at SCENE pixels' long side: L*a*b*, and its background if that is plain."""

    def __init__(self, pixels: Array) -> None:
        self.lab = _lab(_shrink(pixels, SCENE))
        self.lightness: Array = np.ascontiguousarray(self.lab[:, :, 0])
        self.slopes = _gradient(self.lightness)
        self.mean = _triple(self.lab.reshape(-1, 3).mean(axis=0))
        self.background = _plain_background(self.lab)


def _plain_background(lab: Array) -> tuple[Lab, Array] | None:
    """Median colour and area of a plain background, or None where the frame's border shows none.

    Light falls off over a background, so a quadratic surface is fitted to the border's L*, a* and b*; what is close to
    it and joined to the border is background.
    """
    height, width = lab.shape[:2]
    rim = max(2, round(0.03 * min(height, width)))
    edge = np.ones((height, width), bool)
    edge[rim:-rim, rim:-rim] = False
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(xs), xs, ys, xs * xs, xs * ys, ys * ys], axis=2)
    seen, at = lab[edge][::7], terms[edge][::7]
    # A part that runs out of the frame must not bend the fit: it is done twice, the second time without outliers.
    model = np.linalg.lstsq(at, seen, rcond=None)[0]
    kept = ((seen - at @ model) ** 2).sum(axis=1) < (2 * SAME_BACKGROUND) ** 2
    if kept.mean() < 0.8:
        return None
    model = np.linalg.lstsq(at[kept], seen[kept], rcond=None)[0]
    away = lab - terms @ model
    near = (np.einsum("ijk,ijk->ij", away, away) < SAME_BACKGROUND**2).astype(np.uint8)
    if near[edge].mean() < 0.85:
        return None
    count, labels = cv2.connectedComponents(near, connectivity=4)
    outside = np.zeros(count, bool)
    outside[np.unique(labels[edge & (near > 0)])] = True
    area = outside[labels] & (near > 0)
    return (_triple(np.median(lab[edge], axis=0)), area) if 0.07 <= area.mean() <= 0.92 else None


def _shared_background(query: _Frame, reference: _Frame) -> tuple[Lab, Array] | None:
    """The query's plain background, if the reference has the same one.

    A surface that fills the frame also has a plain border, and then its defect would look like the part; a normal
    reference has no defect, so what stands out in it is the part.
    """
    if query.background is None or reference.background is None:
        return None
    return query.background if math.dist(query.background[0], reference.background[0]) < 20 else None


def _details(frame: _Frame) -> tuple[int, float]:
    """Number of small isolated spots of contrast, and the largest share of them in one ninth of the frame."""
    flat = cv2.medianBlur(np.clip(frame.lightness * 2.55, 0, 255).astype(np.uint8), 5).astype(np.float32) / 2.55
    spots = (np.abs(frame.lightness - flat) > 8).astype(np.uint8)
    count, _, stats, centers = cv2.connectedComponentsWithStats(spots, connectivity=8)
    if count == 1:
        return 0, 0.0
    width, height, area = stats[1:, 2], stats[1:, 3], stats[1:, 4]
    small = (area >= 2) & (area <= 12) & (np.maximum(width, height) <= 3 * np.minimum(width, height))
    if not small.any():
        return 0, 0.0
    at = centers[1:][small]
    cells = (at[:, 1] * 3 // frame.lab.shape[0]).astype(int) * 3 + (at[:, 0] * 3 // frame.lab.shape[1]).astype(int)
    return int(small.sum()), float(np.bincount(cells).max() / small.sum())


def _correlation(one: Array, other: Array) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / norm if norm > 1e-6 else 0.0


def _colors(lab: Array, counted: Array | None = None) -> tuple[tuple[str, float], ...]:
    """Named colours with their shares, of the whole frame or of the pixels counted."""
    small = cv2.resize(lab, (64, 64), interpolation=cv2.INTER_AREA)
    if counted is not None:
        small = small[cv2.resize(counted.astype(np.uint8), (64, 64), interpolation=cv2.INTER_NEAREST) > 0]
    small = small.reshape(-1, 3)
    # Steps of two units are finer than any border between names, and leave a few hundred colours to name.
    shades, counts = np.unique(np.round(small / 2).astype(np.int8), axis=0, return_counts=True)
    names: dict[str, int] = {}
    for shade, count in zip(shades, counts, strict=True):
        name = color_name((2.0 * shade[0], 2.0 * shade[1], 2.0 * shade[2]))
        names[name] = names.get(name, 0) + int(count)
    ranked = sorted(names.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((name, count / len(small)) for name, count in ranked)


def _solidity(part: Array) -> float:
    """Area over convex hull's area of the largest piece, holes filled."""
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    return float(cv2.contourArea(largest) / max(1.0, cv2.contourArea(cv2.convexHull(largest))))


def _scene(frame: _Frame, background: tuple[Lab, Array] | None) -> Scene:
    low, high = np.percentile(frame.lightness, (5, 95))
    dx, dy = frame.slopes
    magnitude = np.hypot(dx, dy)
    direction, coherence = _orientation(dx, dy)
    small = cv2.resize(frame.lightness, (64, 64), interpolation=cv2.INTER_AREA)
    ninths = cv2.resize(frame.lightness, (3, 3), interpolation=cv2.INTER_AREA)
    details, gathered = _details(frame)
    return Scene(
        colors=_colors(frame.lab),
        lightness=frame.mean[0],
        spread=float(high - low),
        grain=_grain(magnitude),
        edges=float((magnitude > 4).mean()),
        direction=direction if coherence >= 0.25 else None,
        mirror=(_correlation(small, small[:, ::-1]), _correlation(small, small[::-1])),
        details=details,
        details_cell=gathered,
        falloff=float(ninths.max() - ninths.min()),
        part_share=None if background is None else float(1 - background[1].mean()),
        background=None if background is None else color_name(background[0]),
        part_colors=() if background is None else _colors(frame.lab, ~background[1]),
        silhouette=None if background is None else _solidity(~background[1]),
    )


def _grain(magnitude: Array) -> float:
    """Mean gradient of the flatter half: texture, without the part's own edges."""
    return float(magnitude[magnitude <= np.median(magnitude)].mean())


def _likeness(query: _Frame, reference: _Frame, scene: Scene) -> tuple[Likeness, tuple[float, float] | None]:
    """Whole-frame comparison, and the reference's offset in SCENE pixels where the frames coincide."""
    shift = tuple(q - r for q, r in zip(query.mean, reference.mean, strict=True))
    bins = np.linspace(-40, 140, 61)
    one = np.histogram(query.lightness - shift[0], bins)[0] / query.lightness.size
    other = np.histogram(reference.lightness, bins)[0] / reference.lightness.size
    agreement, offset = _align(query.lightness, reference.lightness)
    grain = _grain(np.hypot(*reference.slopes))
    likeness = Likeness(
        shift=(shift[0], shift[1], shift[2]),
        overlap=float(np.minimum(one, other).sum()),
        grain=scene.grain / grain if grain > 1e-3 else 1.0,
        details=_details(reference)[0],
        part=None
        if scene.part_share is None or reference.background is None
        else float(scene.part_share / (1 - reference.background[1].mean())),
        aligned=offset is not None,
        agreement=agreement,
    )
    return likeness, offset


def _align(query: Array, reference: Array) -> tuple[float, tuple[float, float] | None]:
    """Correlation after the best translation, and that translation where it is small and the frames then coincide."""
    if query.shape != reference.shape or query.std() < 1 or reference.std() < 1:
        return 0.0, None
    window = cv2.createHanningWindow((query.shape[1], query.shape[0]), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(reference, query, window)
    if max(abs(dx), abs(dy)) > 0.06 * SCENE:
        dx = dy = 0.0
    moved = cv2.warpAffine(reference, np.array([[1, 0, dx], [0, 1, dy]], np.float32), query.shape[::-1])
    margin = math.ceil(max(abs(dx), abs(dy)))
    inner = np.s_[margin : query.shape[0] - margin, margin : query.shape[1] - margin]
    agreement = _correlation(query[inner], moved[inner])
    return agreement, (dx, dy) if agreement >= 0.9 else None


def _defect(
    pixels: Array,
    foreground: Array,
    background: tuple[Lab, Array] | None,
    reference: _Frame,
    offset: tuple[float, float] | None,
) -> Defect:
    height, width = foreground.shape
    area = float(foreground.mean())
    x, y, w, h = cv2.boundingRect(foreground)
    ring_width = max(6, min(60, round(0.5 * math.sqrt(foreground.sum()))))
    margin = ring_width + 6
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin)
    shape = _shape(foreground[y : y + h, x : x + w], max(height, width))

    scale = min(1.0, CROP / max(x1 - x0, y1 - y0))
    crop, mask = pixels[y0:y1, x0:x1], foreground[y0:y1, x0:x1]
    if scale < 1:
        size = (round((x1 - x0) * scale), round((y1 - y0) * scale))
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        covered = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        # A quarter keeps lines of one pixel; where even that leaves nothing, any touch counts.
        mask = (covered > (0.25 if covered.max() > 0.25 else 0)).astype(np.uint8)
    lab = _lab(crop)
    lightness = np.ascontiguousarray(lab[:, :, 0])
    outward = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    inward = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    reach = max(5.0, ring_width * scale)
    ring = (outward > 2) & (outward <= reach + 2)
    at_silhouette: bool | None = None
    if background is not None:
        fx, fy = background[1].shape[1] / width, background[1].shape[0] / height
        part = background[1][int(y0 * fy) : math.ceil(y1 * fy), int(x0 * fx) : math.ceil(x1 * fx)].astype(np.uint8)
        outside = cv2.resize(part, lab.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
        at_silhouette = _meets(foreground, background[1], bool((ring & outside).sum() >= 0.12 * max(1, ring.sum())))
        if (ring & ~outside).sum() >= 0.2 * max(1, ring.sum()):
            ring &= ~outside
    # A defect's outermost pixels are half surface; the core is taken where there is one.
    core = inward > 1.5 if (inward > 1.5).sum() >= 12 else mask > 0
    if not ring.any():
        ring = mask == 0 if (mask == 0).any() else core
    inside = lab[core].mean(axis=0)
    # Printing, a seam or a neighbouring feature may cross the ring; where one tone rules it, that is the surroundings.
    surface = ring & (np.linalg.norm(lab - np.median(lab[ring], axis=0), axis=2) < RULING_TONE)
    if surface.sum() < 0.6 * ring.sum():
        surface = ring
    around = np.median(lab[surface], axis=0)
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    noise = float(lightness[surface].std())
    margin_l = max(6.0, 1.5 * noise)
    dx, dy = _gradient(lightness)
    slope = np.hypot(dx, dy)
    roughness, streaks = _texture(dx, dy, slope, inward >= 3, ring)
    step = float(inside[0] - around[0])
    shows_background = (
        background is not None
        and math.dist(_triple(inside), background[0]) < 12
        and math.dist(_triple(around), background[0]) > 15
    )
    return Defect(
        **shape,
        area=area,
        inside=_triple(inside),
        around=_triple(around),
        noise=noise,
        tint_noise=float(np.sqrt(((lab[surface][:, 1:] - around[1:]) ** 2).sum(axis=1).mean())),
        rank=float((lightness[surface] < inside[0]).mean()),
        brightness=float(gray[core].mean() / max(1.0, float(np.median(gray[surface])))),
        dark_share=float((lightness[core] < around[0] - margin_l).mean()),
        light_share=float((lightness[core] > around[0] + margin_l).mean()),
        roughness=roughness,
        streaks=streaks,
        edge=_edge(slope, inward, outward, ring, step),
        at_silhouette=at_silhouette,
        shows_background=shows_background,
        at_frame=bool(x == 0 or y == 0 or x + w == width or y + h == height),
        reference_step=None if offset is None else _reference_step(foreground, reference, offset),
    )


def _meets(foreground: Array, background: Array, touching: bool) -> bool | None:
    """Whether a defect reaches the silhouette; None where it is too near to it to tell, as in a shadow by the rim."""
    if touching:
        return True
    height, width = background.shape
    there = cv2.resize(foreground.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
    distance = cv2.distanceTransform((~background).astype(np.uint8), cv2.DIST_L2, 3)
    return False if distance[there].min() > 0.1 * SCENE else None


def _edge(slope: Array, inward: Array, outward: Array, ring: Array, step: float) -> float | None:
    """Steep quarter of the slopes near the border, texture's own slope taken off, as a share of the contrast."""
    if abs(step) < 4:
        return None
    band = (inward <= 3) & (outward <= 3)
    excess = float(np.percentile(slope[band], 75) - np.median(slope[ring]))
    return max(0.0, excess / abs(step))


def _texture(dx: Array, dy: Array, slope: Array, core: Array, ring: Array) -> tuple[float | None, float | None]:
    """Roughness inside over the ring's, and the direction of streaks that the ring does not share.

    Both are None for under 80 core pixels.
    """
    if core.sum() < 80 or not ring.any():
        return None, None
    inside, around = float(slope[core].mean()), float(slope[ring].mean())
    own, others = _streaks(dx[core], dy[core]), _streaks(dx[ring], dy[ring])
    shared = own is not None and others is not None and _turn(own, others) <= 20
    return (inside + 0.1) / (around + 0.1), None if shared else own


def _streaks(dx: Array, dy: Array) -> float | None:
    """Direction of parallel streaks, None where there are none.

    Slopes count up to their median alone, so that one strong line is no texture; and they must point both ways across
    the streaks, since a shaded surface slopes in one direction too.
    """
    slope = np.hypot(dx, dy)
    if slope.mean() < 0.8:
        return None
    weight = 1 / np.maximum(slope, max(0.1, float(np.median(slope))))
    across, down = dx * weight, dy * weight
    direction, coherence = _orientation(across, down)
    one_way = math.hypot(float(across.mean()), float(down.mean())) / float(np.hypot(across, down).mean())
    return direction if coherence >= 0.5 and one_way < 0.4 else None


def _turn(one: float, other: float) -> float:
    """Angle between two directions, 0 to 90 degrees."""
    return min(abs(one - other), 180 - abs(one - other))


def _reference_step(foreground: Array, reference: _Frame, offset: tuple[float, float]) -> float | None:
    """Lightness of the defect's place minus its ring in the aligned reference; None where too small to sample."""
    height, width = reference.lightness.shape
    share = cv2.resize(foreground.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    dx, dy = offset
    share = cv2.warpAffine(share, np.array([[1, 0, -dx], [0, 1, -dy]], np.float32), (width, height))
    place = share > 0.3
    if place.sum() < 4:
        return None
    near = cv2.dilate(place.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    ring = near & ~(cv2.dilate(place.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    return float(reference.lightness[place].mean() - reference.lightness[ring].mean()) if ring.any() else None


def _shape(mask: Array, long_side: int) -> dict[str, Any]:
    """Geometry of the pieces and of the largest one; holes inside a piece count as filled."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # A contour runs through pixel centres; half a pixel on every side belongs to the piece.
    areas = [cv2.contourArea(c) + cv2.arcLength(c, closed=True) / 2 + 1 for c in contours]
    order = sorted(range(len(contours)), key=lambda i: (-areas[i], contours[i].tolist()[0]))
    kept = [i for i in order if areas[i] >= 0.02 * areas[order[0]]]
    axes = [_axis(contours[i]) for i in kept[:12]]
    length, aspect, angle, bow = axes[0]
    contour, area = contours[kept[0]], areas[kept[0]]
    hull = cv2.convexHull(contour)
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, closed=True) / 2 + 1
    directions = [a for extent, ratio, a, _ in axes if ratio >= 3 and extent >= 0.4 * length]
    turn = max((_turn(a, directions[0]) for a in directions), default=0)
    return {
        "pieces": len(kept),
        "aspect": aspect,
        "angle": angle,
        "bow": bow,
        "roundness": min(1.0, 4 * math.pi * area / (cv2.arcLength(contour, closed=True) + 4) ** 2),
        "solidity": min(1.0, area / hull_area),
        "parallel": len(directions) >= 2 and turn <= 12,
        "length": length / long_side,
    }


def _axis(contour: Array) -> tuple[float, float, float, float]:
    """Length in pixels, length over width, direction in degrees and bow (share of length) of one filled piece.

    The middle line is the mean offset across the long axis in steps along it. The width of a piece that is long and
    evenly wide is its area over that line's length, so a thin arc is thin although its rectangle is not; of any other
    piece it is the extent across.
    """
    x, y, w, h = cv2.boundingRect(contour)
    filled = np.zeros((h, w), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    ys, xs = np.nonzero(filled)
    area = len(xs)
    if area < 3:
        return float(max(w, h)), float(max(w, h)), 0.0 if w >= h else 90.0, 0.0
    points = np.stack([xs, ys], axis=1).astype(np.float64)
    points -= points.mean(axis=0)
    _, vectors = np.linalg.eigh(points.T @ points)
    along, across = points @ vectors[:, 1], points @ vectors[:, 0]
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180
    extent, width = float(np.ptp(along)) + 1, float(np.ptp(across)) + 1
    steps = int(np.clip(extent / 4, 3, 24))
    index = np.minimum(((along - along.min()) / extent * steps).astype(int), steps - 1)
    count = np.bincount(index, minlength=steps)
    line = np.bincount(index, across, minlength=steps)[count > 0] / count[count > 0]
    spacing = extent / steps
    length = float(np.hypot(np.diff(line), spacing).sum()) + spacing
    bow = float(np.abs(line - np.linspace(line[0], line[-1], len(line))).max()) / length
    padded = cv2.copyMakeBorder(filled, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    thickest = 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) - 1
    # The line of a ragged blob wanders too, but it is thick somewhere, or no longer than a few times its thickness.
    thin = thickest <= 1.7 * area / length and (extent >= 3 * width or length >= 5 * thickest)
    return (length, length * length / area, angle, bow) if thin else (extent, max(1.0, extent / width), angle, bow)
