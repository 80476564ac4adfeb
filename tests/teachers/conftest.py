from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from expertad.grid import locate
from expertad.sample import Case, ImageFile, Sample

MakeCase = Callable[..., Case]


def photo(folder: Path, name: str, pixels: np.ndarray, quality: int = 90) -> ImageFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageFile(path, name, digest, pixels.shape[1], pixels.shape[0])


@pytest.fixture
def make_case(tmp_path: Path) -> MakeCase:
    """Builds cases with real files: `make_case(number, anomalous=True, size=(96, 80), shot=0)`."""

    def make(number: int, *, anomalous: bool = True, size: tuple[int, int] = (96, 80), shot: int = 0) -> Case:
        width, height = size
        rng = np.random.default_rng(number)
        pixels = rng.integers(90, 130, (height, width, 3), np.uint8)
        name = f"plug/{'NG/HS' if anomalous else 'OK'}/S{number:04d}/plug_{number:04d}.jpg"
        mask_path, region = None, None
        if anomalous:
            mask = np.zeros((height, width), np.uint8)
            mask[height // 8 : height // 4, width // 10 : width // 4] = 255
            pixels[mask > 0] = 30
            mask_path = tmp_path / name.replace(".jpg", ".png")
            mask_path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(mask_path), mask)
            region = locate(mask)
        reference = tmp_path / "plug/OK/S0000/reference.jpg"
        if not reference.exists():
            photo(tmp_path, "plug/OK/S0000/reference.jpg", np.full((height, width, 3), 110, np.uint8))
        sample = Sample(
            sample_id=f"plug/{'NG_HS' if anomalous else 'OK'}/S{number:04d}/C1",
            category="plug",
            part_id=f"plug/{'NG_HS' if anomalous else 'OK'}/S{number:04d}",
            view="C1",
            stratum="anomalous" if anomalous else "normal",
            code="HS" if anomalous else "OK",
            coarse_type="Scratch" if anomalous else None,
            image_path=name,
            mask_path=name.replace(".jpg", ".png") if anomalous else None,
        )
        digest = hashlib.sha256(reference.read_bytes()).hexdigest()
        seen = cv2.imread(str(reference)).shape
        template = ImageFile(reference, "plug/OK/S0000/reference.jpg", digest, seen[1], seen[0])
        return Case(
            sample, photo(tmp_path, name, pixels), template, "plug/OK/S0000/C1", region, mask_path, 1 if shot else 0
        )

    return make
