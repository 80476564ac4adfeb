"""Measures a case's photographs: the query as a whole, the query against the reference, the defect against its ring.

Every number is a function of the files' bytes. Tens of milliseconds for a 1024 x 1024 pair, almost all of it inside
OpenCV, which releases the interpreter lock.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from expertad.errors import ImageError
from expertad.images import read_mask, sha256_file
from expertad.sample import Case, ImageFile
from expertad.teachers.grounding.defect import measure_defect
from expertad.teachers.grounding.facts import Facts
from expertad.teachers.grounding.frame import SCENE, Frame, measure_likeness, measure_scene, shared_background
from expertad.teachers.grounding.pixels import read


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
    pixels = read(query.path, reduced=1 if mask_path is not None else _reduction(query))
    frame = Frame(pixels)
    normal = Frame(read(reference.path, reduced=_reduction(reference)))
    background = shared_background(frame, normal)
    scene = measure_scene(frame, background)
    likeness, offset = measure_likeness(frame, normal, scene)
    if mask_path is None:
        return Facts(scene, likeness, None)
    if pixels.shape[:2] != (query.height, query.width):
        raise ImageError(
            f"{query.path}: is no longer {query.width}x{query.height}; run the build again to read it anew"
        )
    mask = read_mask(mask_path, (query.width, query.height))
    foreground = (mask > int(mask.max()) / 2).astype(np.uint8)
    return Facts(scene, likeness, measure_defect(pixels, foreground, background, normal, offset))


def _reduction(image: ImageFile) -> int:
    """JPEG's own reduction (1, 2, 4, 8) that leaves at least twice SCENE pixels on the long side."""
    long_side = max(image.width, image.height)
    return max((factor for factor in (1, 2, 4, 8) if long_side // factor >= 2 * SCENE), default=1)
