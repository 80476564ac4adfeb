"""Images ready for the wire: at most the pixels the model uses, no metadata, and no quality lost without need.

A photograph that is small enough is sent as it is, with its metadata cut out of the file; it is compressed again only
when it was resized, outlined, or too many bytes. Each result is kept for a while, since a reference serves many
queries and both stages show the same photographs.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pybase64
from numpy.typing import NDArray

from expertad.errors import ImageError
from expertad.highlight import highlight
from expertad.images import read_mask
from expertad.teachers.base import Encoded, Picture
from expertad.teachers.tokens import ImageRules

MAX_BYTES = 2_200_000
"""Bytes of one image file: two of them in base64 stay below the 6,291,456 bytes a DashScope body may have."""

_QUALITY = (92, 85, 75, 60)
_SHARE_OF_CACHE = 4
_END_OR_START = re.compile(rb"\xff[\xd8\xd9]")  # a pattern finds two bytes three times as fast as bytes.find


class ImageEncoder:
    """Encodes pictures in threads and remembers the latest.

    Args:
        rules: how many pixels the model uses.
        threads: pictures encoded at a time.
        cache_bytes: memory for results; base64 text counts.
    """

    def __init__(self, rules: ImageRules | None = None, *, threads: int = 2, cache_bytes: int = 48 << 20) -> None:
        self.rules = rules or ImageRules()
        self._pool = ThreadPoolExecutor(threads, "encode")
        self._kept: OrderedDict[tuple[Any, ...], Encoded] = OrderedDict()
        self._size, self._most = 0, cache_bytes

    async def encode(self, pictures: tuple[Picture, ...]) -> tuple[Encoded, ...]:
        """The pictures in order.

        Raises:
            ImageError: a file cannot be read, or is not the one that was hashed.
            MaskError: a mask cannot be read.
        """
        return tuple([await self._one(picture) for picture in pictures])

    async def _one(self, picture: Picture) -> Encoded:
        key = (picture.file.sha256, picture.mark)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        made = await asyncio.get_running_loop().run_in_executor(self._pool, encode, picture, self.rules)
        if key not in self._kept and len(made.base64) * _SHARE_OF_CACHE <= self._most:
            self._kept[key] = made
            self._size += len(made.base64)
            while self._size > self._most:
                _, old = self._kept.popitem(last=False)
                self._size -= len(old.base64)
        return made


def encode(picture: Picture, rules: ImageRules) -> Encoded:
    """One picture: read, checked against its digest, outlined and resized as needed.

    Raises:
        ImageError: the file cannot be read or decoded, or is not the one that was hashed.
        MaskError: the mask cannot be read.
    """
    file = picture.file
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise ImageError(f"{file.path}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ImageError(f"{file.path}: changed while the build ran; run the build again")
    fits = file.width * file.height <= rules.max_pixels and len(data) <= MAX_BYTES
    if picture.mark is None and fits:
        bare = without_metadata(data)
        if bare is not None:
            mime = "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png"
            return Encoded(mime, pybase64.b64encode(bare), file.width, file.height)
    pixels = _decode(data, picture)
    if picture.mark is not None:
        mask = read_mask(picture.mark.mask, (file.width, file.height))
        drawn = highlight(pixels[..., ::-1], mask, picture.mark.region)
        pixels = np.ascontiguousarray(drawn[..., ::-1])
    if file.width * file.height > rules.max_pixels:
        pixels = cv2.resize(pixels, rules.useful_size(file.width, file.height), interpolation=cv2.INTER_AREA)
    return Encoded("image/jpeg", pybase64.b64encode(_jpeg(pixels)), pixels.shape[1], pixels.shape[0])


def without_metadata(data: bytes) -> bytes | None:
    """The same pixels without EXIF, XMP, comments or thumbnails; None for a kind of file that must be encoded anew.

    Kept are the pieces that decide how pixels look: JFIF, Adobe's and an ICC profile in a JPEG; the critical chunks,
    transparency, gamma and colour space in a PNG.
    """
    if data.startswith(b"\xff\xd8"):
        return _bare_jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _bare_png(data)
    return None


def _bare_jpeg(data: bytes) -> bytes | None:
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        segment = data[at : at + 2 + length]
        if length < 2 or len(segment) < 2 + length:
            return None
        if marker == 0xDA:
            end = _end(data, at)
            if end is None:
                return None
            untouched = sum(map(len, parts)) == at and end == len(data)
            return data if untouched else b"".join([*parts, data[at:end]])
        body = segment[4:]
        if marker == 0xE2 and body.startswith(b"MPF\x00"):
            return None
        is_application, is_comment = 0xE0 <= marker <= 0xEF, marker == 0xFE
        keeps = marker in (0xE0, 0xEE) or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\x00"))
        if not is_comment and (keeps or not is_application):
            parts.append(segment)
        at += 2 + length
    return None


def _end(data: bytes, scan: int) -> int | None:
    """Where the picture ends that is being scanned from `scan`; None when another one may hide behind it.

    Within coded data 0xFF is followed by 0 or a restart number, so the first end marker nearly always is the end.
    """
    first = _END_OR_START.search(data, scan)
    if first is not None and first.end() == len(data):
        return len(data) if first[0] == b"\xff\xd9" else None
    if first is None or b"\xff\xd8\xff" in data[scan:]:
        return None
    return data.rfind(b"\xff\xd9") + 2 or None


def _bare_png(data: bytes) -> bytes | None:
    kept = {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP"}
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return None
        if kind[:1].isupper() or kind in kept:
            parts.append(data[at:end])
        if kind == b"IEND":
            return b"".join(parts)
        at = end
    return None


def _decode(data: bytes, picture: Picture) -> NDArray[np.uint8]:
    """Pixels of shape (height, width, 3), BGR."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != (picture.file.height, picture.file.width):
        raise ImageError(f"{picture.file.path}: cannot be decoded")
    return np.asarray(pixels, np.uint8)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG of at most MAX_BYTES, at the best quality that allows it."""
    data = b""
    for quality in _QUALITY:
        done, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise ImageError("the picture could not be compressed")
        data = buffer.tobytes()
        if len(data) <= MAX_BYTES:
            break
    return data
