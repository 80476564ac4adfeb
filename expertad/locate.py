"""Stage 3: look at the files of selected samples once, and find the defect's region from its mask.

A file is hashed and decoded again only when its size or mtime_ns changed; a region is found once for each mask content,
image size and grid. What is wrong with a file is a row like any other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from expertad import grid, images
from expertad.errors import ImageError, MaskError
from expertad.ledger import FileRow, RegionRow


@dataclass(frozen=True, slots=True)
class Sight:
    """Files to look at together: a photograph, and the mask that belongs to it (None for a normal one)."""

    photo: Path
    mask: Path | None


def workers(asked: int) -> int:
    """Threads to use: as many as asked for, or one for each core this process may run on."""
    return asked or len(os.sched_getaffinity(0))


def is_current(row: FileRow, path: Path) -> bool:
    """True when the file still has the size and time it was looked at with; a missing file has size -1."""
    try:
        status = os.stat(path)
    except OSError:
        return row.size == -1
    return (row.size, row.mtime_ns) == (status.st_size, status.st_mtime_ns)


def locate(
    sights: Sequence[Sight],
    known: Mapping[str, FileRow],
    *,
    n: int,
    threads: int = 0,
) -> tuple[list[FileRow], list[RegionRow]]:
    """Look at photographs and masks.

    Args:
        sights: what to look at.
        known: rows about files by absolute path; those that are current are not read again.
        n: the grid.
        threads: of the pool; 0 takes one for each core.

    Returns:
        Rows to store: about every file that had to be read, and about every mask of a usable photograph.
    """
    with ThreadPoolExecutor(workers(threads)) as pool:
        photos = dict(zip(sights, pool.map(lambda sight: _photo(sight.photo, known), sights), strict=True))
        masked = [(sight, row) for sight, row in photos.items() if sight.mask is not None and row.problem is None]
        found = list(pool.map(lambda item: _region(item[0].mask, item[1], n), masked))
    fresh = [row for row in photos.values() if known.get(row.path) != row]
    return [*fresh, *(row for row, _ in found)], [region for _, region in found]


def _photo(path: Path, known: Mapping[str, FileRow]) -> FileRow:
    row = known.get(str(path))
    if row is not None and is_current(row, path):
        return row
    size, mtime_ns = _identity(path)
    try:
        facts = images.read_photo_facts(path)
    except ImageError as error:
        return FileRow(str(path), size, mtime_ns, None, None, None, f"unusable photograph: {error}")
    return FileRow(str(path), size, mtime_ns, facts.sha256, facts.width, facts.height, None)


def _region(path: Path | None, photo: FileRow, n: int) -> tuple[FileRow, RegionRow]:
    if path is None or photo.width is None or photo.height is None:
        raise AssertionError("only masked samples with a readable photograph come here")
    size, mtime_ns = _identity(path)
    shape = image_size(photo.width, photo.height)
    try:
        digest = images.sha256_file(path)
    except (OSError, ImageError, MaskError) as error:
        # Without content there is nothing to key the region by; the file's own row carries the reason.
        problem = f"unusable mask: {error}"
        return FileRow(str(path), size, mtime_ns, None, None, None, problem), RegionRow("", shape, n, None, problem)
    row = FileRow(str(path), size, mtime_ns, digest, None, None, None)
    try:
        return row, RegionRow(
            digest, shape, n, grid.locate(images.read_mask(path, (photo.width, photo.height)), n), None
        )
    except MaskError as error:
        return row, RegionRow(digest, shape, n, None, f"unusable mask: {error}")


def image_size(width: int, height: int) -> str:
    """How a region row names the size its mask has to have."""
    return f"{width}x{height}"


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def sights_of(pairs: Iterable[tuple[Path, Path | None]]) -> list[Sight]:
    """Distinct sights, in order; a photograph that is asked for with and without a mask is looked at with it."""
    masks: dict[Path, Path | None] = {}
    for photo, mask in pairs:
        masks[photo] = mask or masks.get(photo)
    return [Sight(photo, mask) for photo, mask in masks.items()]
