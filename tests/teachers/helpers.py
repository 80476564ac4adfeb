"""Small real parts that the teachers' tests share."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from expertad.grid import locate
from expertad.sample import Case, ImageFile, Sample
from expertad.teachers.asking import Asker
from expertad.teachers.base import Backend
from expertad.teachers.dashscope_native import DashScopeBackend
from expertad.teachers.encode import ImageEncoder
from expertad.teachers.money import Price
from expertad.teachers.openai_compatible import OpenAICompatibleBackend
from expertad.teachers.secret import Secret
from tests.teachers.loopback import MODEL, Loopback

T = TypeVar("T")

KEY = "sk-loopback-0123456789abcdef"
BACKENDS = ("openai", "dashscope")
PRICE = Price(1.6, 4.0, "CNY")
PARAMETERS = {"temperature": 0.5, "response_format": {"type": "json_object"}}


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def make_backend(name: str, server: Loopback, key: str = KEY) -> Backend:
    kind = DashScopeBackend if name == "dashscope" else OpenAICompatibleBackend
    return kind(MODEL, server.url(name), Secret(key), PARAMETERS)


def make_asker(server: Loopback, log: Any, name: str = "openai", **options: Any) -> Asker:
    options.setdefault("price", PRICE)
    return Asker(make_backend(name, server), log, encoder=ImageEncoder(threads=1), **options)


def finish(asker: Asker, work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and close the asker's connections."""

    async def run() -> T:
        try:
            return await work
        finally:
            await asker.aclose()

    return asyncio.run(run())


async def both(asker: Asker, case: Any) -> Any:
    """Both steps of a case."""
    described = await asker.describe(case)
    return await asker.distill(case, described)


def photo(folder: Path, name: str, pixels: np.ndarray, quality: int = 90) -> ImageFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageFile(path, name, digest, pixels.shape[1], pixels.shape[0])


def build_case(
    folder: Path, number: int, *, anomalous: bool = True, size: tuple[int, int] = (96, 80), shot: int = 0
) -> Case:
    width, height = size
    rng = np.random.default_rng(number)
    pixels = rng.integers(90, 130, (height, width, 3), np.uint8)
    name = f"plug/{'NG/HS' if anomalous else 'OK'}/S{number:04d}/plug_{number:04d}.jpg"
    mask_path, region = None, None
    if anomalous:
        mask = np.zeros((height, width), np.uint8)
        mask[height // 8 : height // 4, width // 10 : width // 4] = 255
        pixels[mask > 0] = 30
        mask_path = folder / name.replace(".jpg", ".png")
        mask_path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(mask_path), mask)
        region = locate(mask)
    reference = folder / "plug/OK/S0000/reference.jpg"
    if not reference.exists():
        photo(folder, "plug/OK/S0000/reference.jpg", np.full((height, width, 3), 110, np.uint8))
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
    return Case(sample, photo(folder, name, pixels), template, "plug/OK/S0000/C1", region, mask_path, 1 if shot else 0)
