"""Reading photographs and masks: every byte is read once, and each fault has one clear reason with the file's path.

Headers are read here, not by an imaging library, so that a picture of absurd size is refused before any pixel is
decoded and a damaged EXIF block warns nobody. Pixels are decoded by OpenCV, which keeps 16 bit, expands palettes to
their colors, refuses a stream that ends early, and releases the interpreter lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from expertad.errors import DataError, ImageError, MaskError
from expertad.grid import largest_channel

MAX_PIXELS = 50_000_000
"""Larger pictures are refused: decoded, one would take more memory than all workers together should."""

_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What the build records about a photograph: lower-case hex of its bytes' SHA-256, width and height in pixels."""

    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Header:
    """What a file says about itself before any pixel is decoded."""

    kind: str
    width: int
    height: int
    orientation: int = 1
    cmyk: bool = False
    animated: bool = False


class _Fault(Exception):
    """A reason without its path; the public functions add the path and choose the error class."""


def read_photo_facts(path: str | os.PathLike[str]) -> PhotoFacts:
    """Hash a photograph and prove that all of it decodes; JPEG, PNG and BMP are photographs.

    A JPEG is decoded at an eighth of its size: all its entropy-coded data are read, few pixels are kept.

    Raises:
        ImageError: missing, not a readable file, empty, cut short, not a photograph, animated, turned by its EXIF or
            XMP orientation, CMYK, over `MAX_PIXELS`, or damaged. The message names the path and the one reason.
    """
    try:
        data = _read_bytes(path)
        header = _read_header(data)
        _refuse_size(header)
        if header.animated:
            raise _Fault("is animated; one still picture is needed")
        if header.orientation != 1:
            raise _Fault(f"has EXIF orientation {header.orientation}, not 1; save it upright, so that its mask fits")
        if header.cmyk:
            raise _Fault("is a CMYK JPEG; save it as RGB")
        flags = cv2.IMREAD_REDUCED_GRAYSCALE_8 if header.kind == "JPEG" else cv2.IMREAD_UNCHANGED
        _decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except _Fault as fault:
        raise _error(ImageError, path, fault) from fault.__cause__
    return PhotoFacts(hashlib.sha256(data).hexdigest(), header.width, header.height)


def read_mask(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> NDArray[Any]:
    """Decode a mask without clipping.

    A palette is expanded to its colors, 1, 2 and 4 bit are spread over 0..255, 16 bit is kept, of a color mask each
    pixel's largest channel is taken, and alpha is never foreground.

    Args:
        path: a PNG, BMP or JPEG file.
        size: `(width, height)` of the photograph in pixels, when the mask must match one.

    Returns:
        Array of shape (height, width), uint8 or uint16, with at least one pixel above 0.

    Raises:
        MaskError: as for photographs, and for another size than `size` or a mask with no pixel above 0.
    """
    try:
        data = _read_bytes(path)
        header = _read_header(data)
        _refuse_size(header)
        if header.animated:
            raise _Fault("is animated; one still mask is needed")
        if size is not None and (header.width, header.height) != tuple(size):
            raise _Fault(f"is {header.width}x{header.height} pixels, but its image is {size[0]}x{size[1]}")
        mask = largest_channel(_decode(data, cv2.IMREAD_UNCHANGED))
        if not cv2.hasNonZero(mask):
            raise _Fault("has no pixel above 0, so it marks nothing")
    except _Fault as fault:
        raise _error(MaskError, path, fault) from fault.__cause__
    return mask


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Lower-case hex SHA-256 of a file of any kind, read in blocks.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    try:
        _refuse_special(path)
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except _Fault as fault:
        raise _error(ImageError, path, fault) from fault.__cause__
    except OSError as error:
        raise _error(ImageError, path, _os_fault(error)) from error


def _error(kind: type[DataError], path: str | os.PathLike[str], fault: _Fault) -> DataError:
    return kind(f"{Path(path)} {fault}")


def _os_fault(error: OSError) -> _Fault:
    return _Fault(f"cannot be read: {error.strerror or error}")


def _refuse_special(path: str | os.PathLike[str]) -> None:
    """Refuse what is no plain file; opening a pipe or a device would wait for ever or never end."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise _Fault("does not exist") from error
    except OSError as error:
        raise _os_fault(error) from error
    except ValueError as error:
        raise _Fault(f"is no path: {error}") from error
    if not stat.S_ISREG(mode):
        raise _Fault("is a folder, not a file" if stat.S_ISDIR(mode) else "is not a plain file")


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    _refuse_special(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise _os_fault(error) from error
    if not data:
        raise _Fault("is empty (0 bytes)")
    return data


def _refuse_size(header: _Header) -> None:
    if header.width < 1 or header.height < 1:
        raise _Fault(f"says that it is {header.width}x{header.height} pixels; the file is damaged")
    if header.width * header.height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise _Fault(f"is {header.width}x{header.height} pixels, over the limit of {limit} megapixels")


def _decode(data: bytes, flags: int) -> NDArray[Any]:
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise _Fault("cannot be decoded; the file is damaged") from error
    if pixels is None:
        raise _Fault("cannot be decoded; the file is damaged")
    return pixels


def _read_header(data: bytes) -> _Header:
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg_header(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png_header(data)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return _Header("BMP", width, abs(height))
    except (struct.error, IndexError) as error:
        raise _Fault("is cut short") from error
    raise _Fault("is not a JPEG, PNG or BMP picture")


def _jpeg_header(data: bytes) -> _Header:
    """Walk all segments to the end-of-image marker (ITU-T T.81, annex B), so that a file cut anywhere is noticed."""
    width = height = 0
    orientation, cmyk = 1, False
    at = 2
    while True:
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            raise _Fault("is cut short: the JPEG has no end")
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            break
        (length,) = struct.unpack_from(">H", data, at)
        body = data[at + 2 : at + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack_from(">xHHB", body)
            cmyk = channels == 4
        elif marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            orientation = _exif_orientation(body[6:]) or orientation
        elif marker == 0xE1 and orientation == 1:
            orientation = _xmp_orientation(body)
        at += length
    if not width:
        raise _Fault("cannot be decoded; the JPEG describes no picture")
    return _Header("JPEG", width, height, orientation, cmyk)


def _png_header(data: bytes) -> _Header:
    """Walk all chunks to IEND (PNG specification, section 5)."""
    width, height = struct.unpack_from(">II", data, 16)
    orientation, animated = 1, False
    at = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise _Fault("is cut short: the PNG has no end")
        if name == b"IEND":
            return _Header("PNG", width, height, orientation, animated=animated)
        if name == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : at + 8 + length]) or orientation
        elif name == b"iTXt" and orientation == 1:
            orientation = _xmp_orientation(data[at + 8 : at + 8 + length])
        animated |= name == b"acTL"
        at += 12 + length


def _exif_orientation(block: bytes) -> int | None:
    """Tag 0x0112 of the first directory (EXIF 2.32, section 4.6); None when absent or when the block is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", block, entry)
            if tag == 0x0112:
                (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), block, entry + 8)
                return int(value)
    except struct.error:
        return None
    return None


def _xmp_orientation(block: bytes) -> int:
    found = _XMP_ORIENTATION.search(block)
    return int(found[1]) if found else 1
