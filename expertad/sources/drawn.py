"""`expertad draw`: a sample data set made of drawn parts, in the exact layout of Real-IAD.

    <root>/realiad_1024/<category>/OK/S0001/<category>_0001_OK_C1_<stamp>.jpg
    <root>/realiad_1024/<category>/NG/<CODE>/S0001/<category>__0001_NG_<CODE>_C1_<stamp>.jpg    (+ .png, the mask)
    <root>/realiad_jsons/<category>.json
    <root>/drawn.json                    the arguments it was drawn with

Every byte follows from the arguments; the stamps in file names are drawn from the seed too. A view in which a part's
defect cannot be seen lies under NG with class "OK" and no mask, as in Real-IAD. An interrupted drawing goes on where
it stopped when it is started again: files and JSON appear by renaming, a mask before its photograph, the JSON of a
category last.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from expertad.errors import DiskFull, UserError
from expertad.sources.drawing import lot, smoke
from expertad.sources.drawing.camera import CAMERAS
from expertad.sources.drawing.fields import Pixels
from expertad.sources.drawing.lot import Ticket
from expertad.sources.drawing.parts import CATEGORIES
from expertad.sources.drawing.render import Photo

Profile = Literal["parts", "smoke"]

QUALITY = {"parts": 92, "smoke": 95}
SIZES = {"parts": 1024, "smoke": smoke.SIZE}
IMAGE_DIR = "realiad_1024"
JSON_DIR = "realiad_jsons"
MANIFEST = "drawn.json"
VERSION = 1
"""Raised whenever the same arguments draw other bytes."""


@dataclass(frozen=True, slots=True)
class DrawReport:
    """What lies in the folder: photographs, masks, and the names of the categories."""

    images: int
    masks: int
    categories: tuple[str, ...]


def draw(
    root: Path,
    parts: int = 8,
    seed: int = 0,
    *,
    profile: Profile = "parts",
    size: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DrawReport:
    """Draw a data set into `root`, or complete the one that was begun there with the same arguments.

    Args:
        root: a folder that is new, empty, or was drawn with the same arguments.
        parts: physical parts per category; about half of them are defective. The first parts of a larger number are
            the same as those of a smaller one.
        seed: any whole number.
        profile: "parts" for photographs of drawn products in five views; "smoke" for tiny textures in one view.
        size: width and height of the images in pixels; 1024 for parts, 84 for smoke.
        workers: threads; one per available core by default.
        progress: called with (photographs done, photographs in all).

    Raises:
        UserError: an argument is out of range, or the folder holds something else.
        DiskFull: there is no room left; what was drawn is kept.
    """
    side = SIZES.get(profile, 0) if size is None else size
    _check(parts, profile, side)
    names = tuple(CATEGORIES) if profile == "parts" else smoke.TEXTURES
    arguments = {"parts": parts, "profile": profile, "seed": seed, "size": side, "version": VERSION}
    threads = workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers or os.cpu_count()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        _claim(root, arguments)
        return _Drawing(root, profile, parts, seed, side, names, progress).run(max(1, int(threads or 1)))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no room left in {root}: free some space and draw again; what is there is kept") from error
        raise UserError(f"cannot draw into {root}: {error}; choose a folder that can be written") from error
    finally:
        cv2.setNumThreads(before)


def _check(parts: int, profile: str, size: int) -> None:
    if profile not in SIZES:
        raise UserError(f"unknown profile {profile!r}: choose one of {', '.join(SIZES)}")
    if not 1 <= parts <= 9999:
        raise UserError(f"--parts {parts}: give a number from 1 to 9999 (parts per category)")
    if not 48 <= size <= 4096:
        raise UserError(f"size {size}: give a number of pixels from 48 to 4096")


def _claim(root: Path, arguments: dict[str, Any]) -> None:
    """Make sure the folder is ours to draw in, and say what is drawn there before anything else is."""
    manifest = root / MANIFEST
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file: name a folder to draw into")
    root.mkdir(parents=True, exist_ok=True)
    if manifest.exists():
        try:
            found = json.loads(manifest.read_text("utf-8"))
        except ValueError as error:
            raise UserError(f"{manifest} cannot be read: remove the folder {root} and draw again") from error
        if found != arguments:
            keys = [k for k in arguments if not isinstance(found, dict) or found.get(k) != arguments[k]]
            was = ", ".join(
                f"{k} {found.get(k) if isinstance(found, dict) else None}, now {arguments[k]}" for k in keys
            )
            raise UserError(f"{root} was drawn with other arguments ({was}): choose another folder or remove this one")
        return
    if any(path.name != f"{MANIFEST}.part" for path in root.iterdir()):
        raise UserError(f"{root} is not empty and was not drawn by this command: choose a new or an empty folder")
    _write(manifest, _json(arguments))


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def stem(category: str, ticket: Ticket, view: int) -> str:
    """Path of a photograph without its suffix, relative to the category's folder."""
    number = f"{ticket.number:04d}"
    if ticket.defective:
        folder = f"NG/{ticket.code}/S{number}"
        return f"{folder}/{category}__{number}_NG_{ticket.code}_C{view + 1}_{ticket.stamp}"
    return f"OK/S{number}/{category}_{number}_OK_C{view + 1}_{ticket.stamp}"


class _Drawing:
    """One run of `draw`: what is shared by its categories."""

    def __init__(
        self,
        root: Path,
        profile: Profile,
        parts: int,
        seed: int,
        size: int,
        names: Sequence[str],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.root, self.profile, self.parts, self.seed, self.size = root, profile, parts, seed, size
        self.names = tuple(names)
        self.views = len(CAMERAS) if profile == "parts" else 1
        self.total = parts * self.views * len(self.names)
        self.progress = progress
        self.done = self.masks = 0

    def run(self, threads: int) -> DrawReport:
        with ThreadPoolExecutor(threads, "draw") as pool:
            try:
                for name in self.names:
                    self._category(name, pool, threads)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return DrawReport(self.done, self.masks, self.names)

    def _category(self, name: str, pool: ThreadPoolExecutor, threads: int) -> None:
        folder = self.root / IMAGE_DIR / name
        codes = tuple(CATEGORIES[name].flaws) if self.profile == "parts" else smoke.CODES
        tickets = lot.tickets(name, codes, self.parts, self.seed)
        visible: dict[int, list[bool]] = {}
        left = []
        for ticket in tickets:
            found = self._present(folder, name, ticket)
            if found is None:
                left.append(ticket)
            else:
                visible[ticket.index] = found
        self._advance([v for views in visible.values() for v in views])
        if left:
            shoot = self._shooter(name)
            step = max(1, min(64, len(left) // (4 * threads)))
            batches = [left[i : i + step] for i in range(0, len(left), step)]
            waiting = {pool.submit(self._batch, folder, name, batch, shoot) for batch in batches}
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    part = future.result()
                    visible.update(part)
                    self._advance([v for views in part.values() for v in views])
        index = self.root / JSON_DIR / f"{name}.json"
        data = _json(self._index(name, tickets, visible))
        if not index.exists() or index.read_bytes() != data:
            index.parent.mkdir(parents=True, exist_ok=True)
            _write(index, data)

    def _shooter(self, name: str) -> Callable[[Ticket], list[Photo]]:
        if self.profile == "smoke":
            return lambda ticket: [smoke.photograph(name, self.seed, ticket, self.size)]
        category = CATEGORIES[name]
        form = category.build(self.size)
        return lambda ticket: lot.photographs(category, form, self.seed, ticket)

    def _batch(
        self, folder: Path, name: str, tickets: Sequence[Ticket], shoot: Callable[[Ticket], list[Photo]]
    ) -> dict[int, list[bool]]:
        """Draw some parts and write their files; which of their views show a defect."""
        out = {}
        for ticket in tickets:
            photos = shoot(ticket)
            (folder / stem(name, ticket, 0)).parent.mkdir(parents=True, exist_ok=True)
            for view, photo in enumerate(photos):
                path = folder / stem(name, ticket, view)
                if photo.mask is not None:
                    _write(path.with_name(path.name + ".png"), _png(photo.mask))
                _write(path.with_name(path.name + ".jpg"), _jpeg(photo.image, QUALITY[self.profile]))
            out[ticket.index] = [photo.mask is not None for photo in photos]
        return out

    def _present(self, folder: Path, name: str, ticket: Ticket) -> list[bool] | None:
        """Which views of a part show a defect, when all of its files are there."""
        out = []
        for view in range(self.views):
            path = folder / stem(name, ticket, view)
            if not path.with_name(path.name + ".jpg").is_file():
                return None
            out.append(path.with_name(path.name + ".png").is_file())
        return None if ticket.defective and not any(out) else out

    def _advance(self, visible: Sequence[bool]) -> None:
        self.done += len(visible)
        self.masks += sum(visible)
        if self.progress is not None and visible:
            self.progress(self.done, self.total)

    def _index(self, name: str, tickets: Sequence[Ticket], visible: dict[int, list[bool]]) -> dict[str, Any]:
        """The category's JSON, as the real set has it: normal parts in both splits, every defective part in test."""
        train: list[dict[str, str | None]] = []
        test: list[dict[str, str | None]] = []
        for ticket in sorted(tickets, key=lambda t: (t.defective, t.code, t.number)):
            for view, seen in enumerate(visible[ticket.index]):
                path = stem(name, ticket, view)
                item = {
                    "category": name,
                    "anomaly_class": ticket.code if seen else "OK",
                    "image_path": f"{path}.jpg",
                    "mask_path": f"{path}.png" if seen else None,
                }
                (train if ticket.train else test).append(item)
        return {
            "meta": {"prefix": f"{name}/", "normal_class": "OK", "pre_transform": False},
            "train": train,
            "test": test,
        }


def _jpeg(image: Pixels, quality: int) -> bytes:
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return np.asarray(data, np.uint8).tobytes()


def _png(mask: Pixels) -> bytes:
    ok, data = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert ok
    return np.asarray(data, np.uint8).tobytes()
