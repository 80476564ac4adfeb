"""Measures a defect against the surface around it, on a crop of the full-size query."""

from __future__ import annotations

import math

import cv2
import numpy as np

from expertad.teachers.grounding.facts import Defect, Lab
from expertad.teachers.grounding.frame import SCENE, Frame
from expertad.teachers.grounding.pixels import Array, gradient, orientation, to_lab, triple, turn
from expertad.teachers.grounding.shape import measure_shape

# Longer crops are reduced to this many pixels.
CROP = 640

# Pixels of the ring this close to its median (CIE76) share its tone.
RULING_TONE = 14.0


def measure_defect(
    pixels: Array,
    foreground: Array,
    background: tuple[Lab, Array] | None,
    reference: Frame,
    offset: tuple[float, float] | None,
) -> Defect:
    """The defect against its ring.

    Args:
        pixels: the full-size query, 8-bit BGR.
        foreground: the mask, 0 and 1, of the same size and not empty.
        background: colour and SCENE-sized area of the plain background, or None.
        reference: the normal photograph.
        offset: translation of the reference in SCENE pixels onto the query where the two coincide, or None.
    """
    height, width = foreground.shape
    area = float(foreground.mean())
    x, y, w, h = cv2.boundingRect(foreground)
    ring_width = max(6, min(60, round(0.5 * math.sqrt(foreground.sum()))))
    margin = ring_width + 6
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin)
    shape = measure_shape(foreground[y : y + h, x : x + w], max(height, width))

    scale = min(1.0, CROP / max(x1 - x0, y1 - y0))
    crop, mask = pixels[y0:y1, x0:x1], foreground[y0:y1, x0:x1]
    if scale < 1:
        size = (round((x1 - x0) * scale), round((y1 - y0) * scale))
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        covered = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        # A quarter keeps lines of one pixel; where even that leaves nothing, any touch counts.
        mask = (covered > (0.25 if covered.max() > 0.25 else 0)).astype(np.uint8)
    lab = to_lab(crop)
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
    dx, dy = gradient(lightness)
    slope = np.hypot(dx, dy)
    roughness, streaks = _texture(dx, dy, slope, inward >= 3, ring)
    step = float(inside[0] - around[0])
    shows_background = (
        background is not None
        and math.dist(triple(inside), background[0]) < 12
        and math.dist(triple(around), background[0]) > 15
    )
    return Defect(
        **shape,
        area=area,
        inside=triple(inside),
        around=triple(around),
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
    shared = own is not None and others is not None and turn(own, others) <= 20
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
    direction, coherence = orientation(across, down)
    one_way = math.hypot(float(across.mean()), float(down.mean())) / float(np.hypot(across, down).mean())
    return direction if coherence >= 0.5 and one_way < 0.4 else None


def _reference_step(foreground: Array, reference: Frame, offset: tuple[float, float]) -> float | None:
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
