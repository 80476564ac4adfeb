"""Measures whole photographs, reduced to SCENE pixels' long side: the query, and the query beside its reference."""

from __future__ import annotations

import math

import cv2
import numpy as np

from expertad.teachers.grounding.colors import color_name
from expertad.teachers.grounding.facts import Lab, Likeness, Scene
from expertad.teachers.grounding.pixels import Array, gradient, orientation, shrink, to_lab, triple

SCENE = 256

# Two border colours closer than this (CIE76) count as the same background.
SAME_BACKGROUND = 14.0


class Frame:
    """A whole photograph at SCENE pixels' long side: L*a*b*, and its background if that is plain."""

    def __init__(self, pixels: Array) -> None:
        self.lab = to_lab(shrink(pixels, SCENE))
        self.lightness: Array = np.ascontiguousarray(self.lab[:, :, 0])
        self.slopes = gradient(self.lightness)
        self.mean = triple(self.lab.reshape(-1, 3).mean(axis=0))
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
    return (triple(np.median(lab[edge], axis=0)), area) if 0.07 <= area.mean() <= 0.92 else None


def shared_background(query: Frame, reference: Frame) -> tuple[Lab, Array] | None:
    """The query's plain background, if the reference has the same one.

    A surface that fills the frame also has a plain border, and then its defect would look like the part; a normal
    reference has no defect, so what stands out in it is the part.
    """
    if query.background is None or reference.background is None:
        return None
    return query.background if math.dist(query.background[0], reference.background[0]) < 20 else None


def _details(frame: Frame) -> tuple[int, float]:
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


def measure_scene(frame: Frame, background: tuple[Lab, Array] | None) -> Scene:
    """The query as a whole; `background` is its plain background, if it and the reference share one."""
    low, high = np.percentile(frame.lightness, (5, 95))
    dx, dy = frame.slopes
    magnitude = np.hypot(dx, dy)
    direction, coherence = orientation(dx, dy)
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


def measure_likeness(query: Frame, reference: Frame, scene: Scene) -> tuple[Likeness, tuple[float, float] | None]:
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
