"""Photographs and masks as files: what is accepted, how masks decode, and the one reason for each fault."""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from expertad.errors import ImageError, MaskError
from expertad.images import MAX_PIXELS, PhotoFacts, read_mask, read_photo_facts, sha256_file


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 120, height: int = 80) -> Image.Image:
    """A picture with detail everywhere, so that no byte of its file is idle."""
    noise = np.random.default_rng(7).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(noise)


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(width: int, height: int, bits: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG made by hand, for kinds that no writer here makes; `rows` begin with their filter byte."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# --- photographs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 90, "progressive": True}),
        ("JPEG", {"quality": 60, "subsampling": 0, "restart_marker_blocks": 3}),
        ("PNG", {}),
        ("BMP", {}),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_facts_of_a_photograph(tmp_path: Path, kind: str, options: dict[str, Any], mode: str) -> None:
    data = encoded(scene(121, 83).convert(mode), kind, **options)
    path = put(tmp_path, "photo", data)
    assert read_photo_facts(path) == PhotoFacts(hashlib.sha256(data).hexdigest(), 121, 83)
    assert read_photo_facts(str(path)).sha256 == sha256_file(path)


def test_real_photographs(bsdata: Path) -> None:
    photos = sorted(bsdata.rglob("*.jpg"))
    assert len(photos) == 80
    for path in photos:
        with Image.open(path) as image:
            assert read_photo_facts(path) == PhotoFacts(sha256_file(path), *image.size)


@pytest.mark.parametrize(
    "name", ["with space.png", "Prüfling 部品 №1.png", "emoji 🔩.png", "-dash.png", "a'b\"c%20.png"]
)
def test_any_file_name(tmp_path: Path, name: str) -> None:
    assert read_photo_facts(put(tmp_path, name, encoded(scene()))).width == 120


def test_the_smallest_picture(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "BMP"):
        facts = read_photo_facts(put(tmp_path, kind, encoded(scene(1, 1), kind)))
        assert (facts.width, facts.height) == (1, 1)


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"exif": b"Exif\x00\x00" + b"thumbnail \xff\xd8\xff\xd9 within"}],
    ids=["baseline", "progressive", "with an end marker inside its header"],
)
def test_a_jpeg_cut_anywhere_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    data = encoded(scene(), "JPEG", **options)
    for length in {*range(3, len(data), 97), *range(len(data) - 20, len(data))}:
        with pytest.raises(ImageError, match="cut short"):
            read_photo_facts(put(tmp_path, "cut.jpg", data[:length]))


def test_a_jpeg_whose_tail_is_zeros_is_refused(tmp_path: Path) -> None:
    data = encoded(scene(), "JPEG")
    with pytest.raises(ImageError, match="cut short"):
        read_photo_facts(put(tmp_path, "zeros.jpg", data[:-500] + bytes(500)))


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_a_png_or_bmp_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    data = encoded(scene(), kind)
    for length in {*range(9, len(data), 911), *range(len(data) - 13, len(data))}:
        with pytest.raises(ImageError, match="cut short|cannot be decoded"):
            read_photo_facts(put(tmp_path, "cut", data[:length]))


def test_bytes_after_the_end_do_no_harm(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG"):
        assert read_photo_facts(put(tmp_path, kind, encoded(scene(), kind) + b"trailing \xff\xd8")).height == 80


def test_damage_inside_is_refused(tmp_path: Path) -> None:
    png = bytearray(encoded(scene()))
    png[len(png) // 2] ^= 0xFF
    jpeg = encoded(scene(), "JPEG")
    tables = jpeg.replace(b"\xff\xdb", b"\xff\xef")
    for name, data in (("a.png", bytes(png)), ("b.jpg", tables)):
        with pytest.raises(ImageError, match=rf"{name} cannot be decoded; the file is damaged"):
            read_photo_facts(put(tmp_path, name, data))


def test_a_jpeg_without_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="describes no picture"):
        read_photo_facts(put(tmp_path, "a.jpg", b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9"))


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_turned_photograph_is_refused(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG"):
        with pytest.raises(ImageError, match=f"has EXIF orientation {orientation}, not 1"):
            read_photo_facts(put(tmp_path, "turned", encoded(scene(), kind, exif=exif)))


def test_an_orientation_in_xmp_is_one_too(tmp_path: Path) -> None:
    for spelled in (b'<x tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"):
        with pytest.raises(ImageError, match="orientation 6"):
            read_photo_facts(put(tmp_path, "turned.jpg", encoded(scene(), "JPEG", xmp=spelled)))


def test_an_upright_or_unreadable_exif_does_no_harm(tmp_path: Path) -> None:
    upright = Image.Exif()
    upright[0x0112] = 1
    upright[0x010E] = "an ordinary description"
    damaged = [b"", b"MM\x00*\xff\xff\xff\xff", b"II*\x00\x08\x00\x00\x00\xff\xff", b"nonsense"]
    for block in (upright.tobytes(), *(b"Exif\x00\x00" + block for block in damaged)):
        assert read_photo_facts(put(tmp_path, "a.jpg", encoded(scene(), "JPEG", exif=block))).width == 120


def test_big_endian_exif_is_read(tmp_path: Path) -> None:
    block = (
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00"
    )
    with pytest.raises(ImageError, match="orientation 3"):
        read_photo_facts(put(tmp_path, "a.jpg", encoded(scene(), "JPEG", exif=block)))


def test_a_cmyk_jpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a CMYK JPEG"):
        read_photo_facts(put(tmp_path, "a.jpg", encoded(scene().convert("CMYK"), "JPEG")))


def test_an_animated_png_is_refused(tmp_path: Path) -> None:
    data = encoded(scene(), save_all=True, append_images=[scene().rotate(90)])
    with pytest.raises(ImageError, match="is animated"):
        read_photo_facts(put(tmp_path, "a.png", data))
    with pytest.raises(MaskError, match="is animated"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize(
    "data",
    [
        b"just text, long enough to hold a header",
        encoded(scene(), "GIF"),
        encoded(scene(), "WEBP"),
        b"\x00" * 4096,
        b"\xff",
    ],
    ids=["text", "gif", "webp", "zeros", "one byte"],
)
def test_what_is_no_photograph_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ImageError, match="is not a JPEG, PNG or BMP picture"):
        read_photo_facts(put(tmp_path, "a.jpg", data))


def test_a_bomb_is_refused_by_its_header_before_any_pixel_is_decoded(tmp_path: Path) -> None:
    """60 megapixels, 180 MB decoded: the process may not grow by even a tenth of that."""
    rows = zlib.compressobj(9)
    idat = b"".join(rows.compress(bytes(1 + 3 * 10_000)) for _ in range(6_000)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 6_000, 8, 2, 0, 0, 0))
    bomb = put(tmp_path, "bomb.png", b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", idat) + chunk(b"IEND", b""))
    measured = subprocess.run(
        [
            sys.executable,
            "-c",
            "import re, sys\n"
            "from expertad.images import read_mask, read_photo_facts\n"
            "from expertad.errors import DataError\n"
            "def peak():  # of this program; getrusage counts what the process held before it became this program\n"
            "    return int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])\n"
            "before = peak()\n"
            "for read in (read_photo_facts, read_mask):\n"
            "    try:\n"
            "        read(sys.argv[1])\n"
            "    except DataError as error:\n"
            "        print(error)\n"
            "print(peak() - before)\n",
            str(bomb),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    ).stdout.splitlines()
    assert measured[:2] == [f"{bomb} is 10000x6000 pixels, over the limit of 50 megapixels"] * 2
    assert int(measured[2]) < 18_000


def test_the_limit_itself_is_allowed_by_the_header(tmp_path: Path) -> None:
    def bmp(width: int, height: int) -> bytes:
        return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)

    with pytest.raises(ImageError, match="over the limit"):
        read_photo_facts(put(tmp_path, "over.bmp", bmp(MAX_PIXELS // 1000 + 1, -1000)))
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_photo_facts(put(tmp_path, "at.bmp", bmp(MAX_PIXELS // 1000, 1000)))
    with pytest.raises(ImageError, match="says that it is 0x5 pixels"):
        read_photo_facts(put(tmp_path, "none.bmp", bmp(0, 5)))


# --- files that are no files, for both readers and the digest ------------------------------------------------------


READERS = [(read_photo_facts, ImageError), (read_mask, MaskError), (sha256_file, ImageError)]


@pytest.mark.parametrize(("read", "error"), READERS)
def test_faults_of_the_file_itself(tmp_path: Path, read: Any, error: type[Exception]) -> None:
    loop, pipe, missing = tmp_path / "loop", tmp_path / "pipe", tmp_path / "no such.png"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    for path, reason in (
        (missing, "does not exist"),
        (tmp_path, "is a folder, not a file"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (pipe, "is not a plain file"),
        (tmp_path / "x" / ("n" * 300), "cannot be read: File name too long|does not exist"),
        (missing / "below", "does not exist|cannot be read"),
    ):
        with pytest.raises(error, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)
    with pytest.raises(error, match="is no path"):
        read("a\0b")


@pytest.mark.parametrize(("read", "error"), READERS)
def test_a_file_without_permission(tmp_path: Path, read: Any, error: type[Exception]) -> None:
    path = put(tmp_path, "secret.png", encoded(scene()))
    path.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(error, match="cannot be read: Permission denied"):
            read(path)
        return
    # Root may read anything, so a thread gives up the privilege for itself alone, as Linux allows.
    caught: list[BaseException] = []

    def unprivileged() -> None:
        ctypes.CDLL(None).setfsuid(65534)
        try:
            read(path)
        except error as raised:
            caught.append(raised)

    tmp_path.chmod(0o755)
    thread = threading.Thread(target=unprivileged)
    thread.start()
    thread.join()
    assert "cannot be read: Permission denied" in str(caught[0])


@pytest.mark.parametrize(("read", "error"), READERS[:2])
def test_an_empty_file(tmp_path: Path, read: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"a\.png is empty \(0 bytes\)"):
        read(put(tmp_path, "a.png", b""))


def test_a_symlink_to_a_photograph_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(put(tmp_path, "a.png", encoded(scene())))
    assert read_photo_facts(tmp_path / "link.png") == read_photo_facts(tmp_path / "a.png")


def test_the_digest_of_any_file(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    assert sha256_file(put(tmp_path, "any", data)) == hashlib.sha256(data).hexdigest()
    assert sha256_file(put(tmp_path, "none", b"")) == hashlib.sha256(b"").hexdigest()


# --- masks ---------------------------------------------------------------------------------------------------------


SHAPE = np.zeros((40, 60), np.uint8)
SHAPE[5:20, 10:30] = 200
SHAPE[20:25, 3:6] = 99


def palette_mask(colors: list[int]) -> Image.Image:
    image = Image.fromarray((SHAPE > 0).astype(np.uint8), "L")
    image = image.copy()
    image.putpalette(colors)
    return image


COLOR = np.stack([SHAPE, SHAPE // 2, 255 - SHAPE], -1)
WITH_ALPHA = {alpha: np.dstack([COLOR, np.full_like(SHAPE, alpha)]) for alpha in (0, 255)}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.fromarray(SHAPE)), SHAPE),
        (encoded(Image.fromarray(SHAPE), "BMP"), SHAPE),
        (encoded(Image.fromarray(SHAPE > 0)), np.where(SHAPE > 0, 255, 0)),
        (encoded(Image.fromarray(SHAPE > 0), "BMP"), np.where(SHAPE > 0, 255, 0)),
        (encoded(Image.fromarray(SHAPE.astype(np.uint16) * 300)), SHAPE.astype(np.uint16) * 300),
        (encoded(Image.fromarray(SHAPE), transparency=200), SHAPE),
        (encoded(palette_mask([0, 0, 0, 10, 250, 40])), np.where(SHAPE > 0, 250, 0)),
        (encoded(palette_mask([9, 5, 0, 10, 250, 40]), bits=1), np.where(SHAPE > 0, 250, 9)),
        (encoded(palette_mask([0, 0, 0, 10, 250, 40]), transparency=1), np.where(SHAPE > 0, 250, 0)),
        (encoded(palette_mask([0, 0, 0, 10, 250, 40]), transparency=bytes([0, 128])), np.where(SHAPE > 0, 250, 0)),
        (encoded(palette_mask([0, 0, 0, 10, 250, 40]), "BMP"), np.where(SHAPE > 0, 250, 0)),
        (encoded(Image.fromarray(COLOR)), COLOR.max(axis=2)),
        (encoded(Image.fromarray(COLOR), transparency=(0, 0, 255)), COLOR.max(axis=2)),
        (encoded(Image.fromarray(WITH_ALPHA[255])), COLOR.max(axis=2)),
        (encoded(Image.fromarray(WITH_ALPHA[0])), COLOR.max(axis=2)),
        (encoded(Image.fromarray(np.dstack([SHAPE, np.full_like(SHAPE, 255)]), "LA")), SHAPE),
        (encoded(Image.fromarray(np.dstack([SHAPE, np.zeros_like(SHAPE)]), "LA")), SHAPE),
    ],
    ids=[
        "8 bit", "BMP", "1 bit", "BMP 1 bit", "16 bit", "transparent gray", "palette", "palette 1 bit",
        "palette, transparent entry", "palette, half transparent entry", "BMP palette", "RGB", "RGB, transparent color",
        "RGBA opaque", "RGBA clear", "LA opaque", "LA clear",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
def test_masks_decode_without_clipping(tmp_path: Path, data: bytes, expected: np.ndarray[Any, Any]) -> None:
    mask = read_mask(put(tmp_path, "mask.png", data), (60, 40))
    assert mask.dtype == (np.uint16 if expected.dtype == np.uint16 else np.uint8)
    assert mask.tolist() == expected.tolist()
    # The judge: Pillow's own reading of the file, expanded to colors, alpha dropped.
    with Image.open(io.BytesIO(data)) as image:
        if image.mode != "I;16":
            colors = np.asarray(image.convert("RGBA"))[..., :3]
            assert mask.tolist() == colors.max(axis=2).tolist()


def test_two_and_four_bit_grays_are_spread(tmp_path: Path) -> None:
    two = put(tmp_path, "2.png", raw_png(4, 1, 2, 0, bytes([0, 0b00_01_10_11])))
    four = put(tmp_path, "4.png", raw_png(2, 1, 4, 0, bytes([0, 0x3F])))
    assert read_mask(two).tolist() == [[0, 85, 170, 255]]
    assert read_mask(four).tolist() == [[51, 255]]


def test_sixteen_bit_colors_keep_their_depth(tmp_path: Path) -> None:
    pixels = struct.pack(">6H", 0, 40_000, 3, 0, 0, 7)
    path = put(tmp_path, "16.png", raw_png(2, 1, 16, 2, b"\0" + pixels))
    assert read_mask(path).tolist() == [[40_000, 7]]
    with_alpha = struct.pack(">8H", 0, 500, 3, 65_535, 0, 0, 7, 65_535)
    path = put(tmp_path, "16a.png", raw_png(2, 1, 16, 6, b"\0" + with_alpha))
    assert read_mask(path).tolist() == [[500, 7]]


def test_a_black_mask_with_opaque_alpha_marks_nothing(tmp_path: Path) -> None:
    black = np.zeros((8, 8, 4), np.uint8)
    black[..., 3] = 255
    with pytest.raises(MaskError, match="has no pixel above 0"):
        read_mask(put(tmp_path, "a.png", encoded(Image.fromarray(black))))


def test_an_all_black_mask_marks_nothing(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"a\.png has no pixel above 0"):
        read_mask(put(tmp_path, "a.png", encoded(Image.new("L", (8, 8)))))
    with pytest.raises(MaskError, match="has no pixel above 0"):
        read_mask(put(tmp_path, "b.png", encoded(Image.fromarray(np.zeros((8, 8), np.uint16)))))


def test_a_mask_of_another_size_names_both(tmp_path: Path) -> None:
    path = put(tmp_path, "a.png", encoded(Image.fromarray(SHAPE)))
    with pytest.raises(MaskError, match="is 60x40 pixels, but its image is 40x60"):
        read_mask(path, (40, 60))
    assert read_mask(path).shape == (40, 60)


def test_a_mask_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(SHAPE))
    for length in range(9, len(data)):
        with pytest.raises(MaskError, match="cut short"):
            read_mask(put(tmp_path, "cut.png", data[:length]))


def test_a_mask_that_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="is not a JPEG, PNG or BMP picture"):
        read_mask(put(tmp_path, "a.png", b"not a mask"))


def test_real_masks(bsdata: Path) -> None:
    masks = sorted(bsdata.rglob("*.png"))
    assert masks
    for path in masks:
        with Image.open(path) as image:
            assert np.array_equal(read_mask(path, image.size), np.asarray(image.convert("L")))


def test_threads_read_the_same_as_one(tmp_path: Path) -> None:
    paths = [put(tmp_path, f"{i}.jpg", encoded(scene(60 + i, 50), "JPEG")) for i in range(16)]
    alone = [read_photo_facts(path) for path in paths]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read_photo_facts, paths * 4)) == alone * 4


def test_the_pixels_are_the_callers_own(tmp_path: Path) -> None:
    path = put(tmp_path, "a.png", encoded(Image.fromarray(SHAPE)))
    first = read_mask(path)
    cv2.bitwise_not(first, first)
    assert read_mask(path).tolist() == SHAPE.tolist()
