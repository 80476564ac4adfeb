from __future__ import annotations

import asyncio
import base64
import hashlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from expertad.errors import ImageError
from expertad.grid import locate
from expertad.sample import ImageFile
from expertad.teachers.base import Encoded, Mark, Picture
from expertad.teachers.encode import MAX_BYTES, ImageEncoder, encode, without_metadata
from expertad.teachers.tokens import ImageRules
from tests.teachers.loopback import image_tokens

RULES = ImageRules()


def file_of(path: Path) -> ImageFile:
    data = path.read_bytes()
    with Image.open(path) as image:
        width, height = image.size
    return ImageFile(path, path.name, hashlib.sha256(data).hexdigest(), width, height)


def pixels_of(encoded: Encoded) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(encoded.base64), np.uint8), cv2.IMREAD_COLOR)


def textured(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(5)
    return Image.fromarray(cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), 3))


def jpeg_with_exif(path: Path, size: tuple[int, int] = (400, 300)) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 12.0)}
    textured(*size).save(path, quality=92, exif=exif, comment=b"SecretComment")


def test_metadata_is_gone_and_not_one_pixel_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    jpeg_with_exif(path)
    assert b"SecretCamera" in path.read_bytes()
    made = encode(Picture(file_of(path)), RULES)
    sent = base64.b64decode(made.base64)
    assert b"Secret" not in sent
    assert b"Exif" not in sent
    assert (pixels_of(made) == cv2.imread(str(path))).all()
    assert made.mime == "image/jpeg"


def test_png_keeps_its_pixels_and_loses_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "SecretAuthor")
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    textured(120, 90).save(path, pnginfo=info, exif=exif)
    made = encode(Picture(file_of(path)), RULES)
    assert b"Secret" not in base64.b64decode(made.base64)
    assert (pixels_of(made) == cv2.imread(str(path))).all()
    assert made.mime == "image/png"


def test_photograph_hidden_behind_the_first_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    jpeg_with_exif(path)
    behind = tmp_path / "b.jpg"
    jpeg_with_exif(behind, (64, 64))
    path.write_bytes(path.read_bytes() + behind.read_bytes())
    sent = base64.b64decode(encode(Picture(file_of(path)), RULES).base64)
    assert b"Secret" not in sent
    assert sent.count(b"\xff\xd8\xff") == 1


@given(st.binary(max_size=200), st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1\x00\x10Exif"]))
def test_broken_files_never_crash_the_stripper(tail: bytes, head: bytes) -> None:
    bare = without_metadata(head + tail)
    assert bare is None or len(bare) <= len(head + tail)


@pytest.mark.parametrize("kind", ["a.bmp", "a.jpg"])
def test_large_photograph_is_brought_to_what_the_model_uses(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    textured(2600, 1700).save(path)
    made = encode(Picture(file_of(path)), RULES)
    assert made.width % 32 == made.height % 32 == 0
    assert made.width * made.height <= RULES.max_pixels
    assert abs(made.width / made.height - 2600 / 1700) < 0.03
    assert pixels_of(made).shape[:2] == (made.height, made.width)
    assert RULES.tokens(2600, 1700) == RULES.tokens(made.width, made.height)


def test_file_of_too_many_bytes_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (1100, 1100, 3), np.uint8)).save(path)
    assert path.stat().st_size > MAX_BYTES
    made = encode(Picture(file_of(path)), RULES)
    assert len(base64.b64decode(made.base64)) <= MAX_BYTES
    assert made.mime == "image/jpeg"


def test_outline_is_drawn_on_the_query_only(tmp_path: Path) -> None:
    path, mask_path = tmp_path / "a.jpg", tmp_path / "m.png"
    Image.new("RGB", (200, 160), (90, 90, 90)).save(path, quality=95)
    mask = np.zeros((160, 200), np.uint8)
    mask[60:90, 70:110] = 255
    cv2.imwrite(str(mask_path), mask)
    plain = pixels_of(encode(Picture(file_of(path)), RULES))
    marked = pixels_of(encode(Picture(file_of(path), Mark(mask_path, locate(mask))), RULES))
    difference = np.abs(plain.astype(int) - marked).max(axis=2)
    assert difference[50:100, 60:120].max() > 100
    assert difference[64:86, 74:106].max() < 40
    assert difference[:30].max() < 20


def test_file_that_changed_since_it_was_hashed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    jpeg_with_exif(path)
    file = file_of(path)
    Image.new("RGB", (400, 300)).save(path)
    with pytest.raises(ImageError, match="changed"):
        encode(Picture(file), RULES)
    path.unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        encode(Picture(file), RULES)


def test_results_are_reused_and_memory_is_bounded(tmp_path: Path) -> None:
    encoder = ImageEncoder(RULES, threads=1, cache_bytes=400_000)
    files = []
    for number in range(12):
        path = tmp_path / f"{number}.jpg"
        buffer = BytesIO()
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 255, (150, 200, 3), np.uint8)).save(buffer, "JPEG", quality=90)
        path.write_bytes(buffer.getvalue())
        files.append(file_of(path))

    async def run() -> tuple[Encoded, Encoded]:
        first = (await encoder.encode((Picture(files[0]),)))[0]
        again = (await encoder.encode((Picture(files[0]),)))[0]
        assert again is first
        for file in files[1:]:
            await encoder.encode((Picture(file),))
        return first, (await encoder.encode((Picture(files[0]),)))[0]

    first, later = asyncio.run(run())
    assert later == first
    assert later is not first


@pytest.mark.parametrize(
    ("size", "tokens"), [((1024, 1024), 1026), ((1130, 460), 492), ((16, 16), 6), ((4000, 3000), 2496)]
)
def test_image_tokens_follow_the_formula(size: tuple[int, int], tokens: int) -> None:
    assert RULES.tokens(*size) == tokens


@given(st.integers(11, 3000), st.integers(11, 3000))
def test_formula_agrees_with_a_second_writing_of_it(width: int, height: int) -> None:
    if width * height < 20_000 or max(width, height) > 20 * min(width, height):
        return
    across, down = max(1, round(width / 32)) * 32, max(1, round(height / 32)) * 32
    if across * down > 2_621_440:
        beta = (width * height / 2_621_440) ** 0.5
        across, down = int(width / beta / 32) * 32, int(height / beta / 32) * 32
    assert RULES.tokens(width, height) == across * down // 1024 + 2


def test_server_counts_what_the_formula_says(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    textured(1130, 460).save(path)
    made = encode(Picture(file_of(path)), RULES)
    assert image_tokens(base64.b64decode(made.base64)) == RULES.tokens(1130, 460)
