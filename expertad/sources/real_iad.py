"""Real-IAD as it is published: one JSON and one folder of photographs for each of its categories.

Layout (CVPR 2024, arXiv 2403.12580, and its Hugging Face repository):

    <root>/realiad_<256|512|1024|raw>/<category>/OK/S####/<name>.jpg
    <root>/realiad_<...>/<category>/NG/<CODE>/S####/<name>.jpg      mask: the same stem, .png
    <root>/<variant>/<category>.json      or <root>/<variant>/<variant>/<category>.json

An image's label is its entry's `anomaly_class` and never its path.
"""

from __future__ import annotations

import gc
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from expertad.errors import SourceError
from expertad.sample import NORMAL_CLASS
from expertad.sources.base import Inventory, few, required_folder
from expertad.sources.disk import difference, fold, folder_stamp, inside, printable, text_fault, usable_files
from expertad.sources.real_iad_entries import Place, read_entries

_RULES = 1
"""Raised when the same files would be read to another inventory, so that fingerprints change with it."""

_IMAGE_FOLDER = re.compile(r"realiad_(raw|\d+)")
_PART_FOLDER = re.compile(r"S\d+")
_DEEPEST = 8
_SPLITS = ("train", "test")


class RealIAD:
    """Reader of a copy of Real-IAD, or of any data set laid out like it.

    Args:
        root: the folder that holds `realiad_<resolution>` and the folder of JSON files.
        resolution: "256", "512", "1024" or "raw"; the largest one extracted when None.
        variant: the folder of JSON files: realiad_jsons, realiad_jsons_sv, realiad_jsons_fuiad_0.0 to _0.4.
        categories: read only these; all when None.
        licence: licence of the photographs, for the card.
        title: name of the data set, for the card.

    Raises:
        SourceError: root, JSON files, photographs or a wished category are not there.
    """

    name = "real_iad"

    def __init__(
        self,
        root: Path,
        *,
        resolution: str | None = None,
        variant: str = "realiad_jsons",
        categories: Sequence[str] | None = None,
        licence: str = "CC BY-NC-SA 4.0",
        title: str = "Real-IAD",
    ) -> None:
        self.licence = licence
        self.title = title
        self._root = required_folder(root, f"the folder that holds realiad_1024 and {variant}")
        self._jsons = _json_files(self._root, variant)
        self.image_root = _image_root(self._root, resolution)
        self._boundary = os.path.realpath(self.image_root)
        self._categories = tuple(sorted(self._jsons)) if categories is None else self._wished(categories)

    def categories(self) -> Sequence[str]:
        """The categories that have a JSON file, or those asked for, sorted."""
        return self._categories

    def fingerprint(self, category: str) -> str:
        """Digest of the JSON's size and time, and of every folder's path and time down to the part folders.

        Raises:
            SourceError: the category is not one of this source's, or its JSON cannot be reached.
        """
        path = self._json_path(category)
        try:
            info = path.stat()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}; extract the JSON files again") from error
        lines = [f"{_RULES} {path} {self.image_root} {info.st_size} {info.st_mtime_ns}"]
        folder = self.image_root / category
        if folder.is_dir():
            lines += sorted(_folder_lines(os.fspath(folder), "", 0))
        return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def read(self, category: str) -> Inventory:
        """Every entry of the category, as a sample or as unusable with a reason. Images are not opened.

        Raises:
            SourceError: the JSON cannot be read or is not Real-IAD's, or the category's photographs are not there.
        """
        with _collector_paused():
            return self._read(self._json_path(category), category)

    def _read(self, path: Path, category: str) -> Inventory:
        document = _load(path)
        lead, base = _image_folder(document["meta"], path, category)
        self._require_images(base, category)
        json_name = path.relative_to(self._root).as_posix()
        files = usable_files(f"{self._boundary}/{base}", base, self._boundary)
        inventory = read_entries(document, Place(category, json_name, base, lead, self._boundary, files))
        inventory.notes.extend(
            f"{json_name} has the list {key!r}, which Real-IAD does not have; its {len(value)} entries are not read."
            for key, value in document.items()
            if key not in _SPLITS and isinstance(value, list)
        )
        return inventory

    def _wished(self, categories: Sequence[str]) -> tuple[str, ...]:
        """The categories asked for, as they are spelled on disk."""
        spelled = {fold(name): name for name in self._jsons}
        spelled |= {name: name for name in self._jsons}
        missing = sorted({name for name in categories if name not in spelled and fold(name) not in spelled})
        if missing or not categories:
            asked = f"no JSON for category {', '.join(missing)}" if missing else "no category asked for"
            raise SourceError(f"{asked}; {self._root} has {', '.join(sorted(self._jsons))}")
        return tuple(sorted({spelled.get(name) or spelled[fold(name)] for name in categories}))

    def _json_path(self, category: str) -> Path:
        if category not in self._categories:
            raise SourceError(f"{category!r} is not a category of {self._root}; it has {', '.join(self._categories)}")
        return self._jsons[category]

    def _require_images(self, base: str, category: str) -> None:
        """Raise unless the category's photographs are extracted where its JSON says."""
        folder = self.image_root / base
        real = os.path.realpath(folder)
        if folder.is_dir():
            if not inside(real, self._boundary):
                raise SourceError(
                    f"{folder} is a symbolic link out of {self.image_root}; link the whole of {self.image_root.name} "
                    f"instead, or move the category there"
                )
            nested = folder / category
            if nested.is_dir() and not (folder / "OK").is_dir() and not (folder / "NG").is_dir():
                raise SourceError(f"{nested} is one folder too deep (extracted twice); move what it holds to {folder}")
            return
        if folder.is_symlink():
            raise SourceError(f"{folder} is a symbolic link to a folder that does not exist; restore it")
        zipped = self.image_root / f"{category}.zip"
        if zipped.is_file():
            raise SourceError(f"{folder} is missing and {zipped} not extracted; unzip {zipped} -d {self.image_root}")
        names = _folders(self.image_root)
        alike = next((name for name in names if difference(name, base)), None)
        hint = f"; {printable(alike)!r} is there{difference(alike, base)}" if alike else ""
        raise SourceError(
            f"images of {category} not found: looked for {folder}{hint or '; there are ' + few(names, 5)}. "
            f"Extract {category}.zip there, or leave the category out"
        )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No cyclic garbage is made in here, and looking for it takes an eighth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _json_files(root: Path, variant: str) -> dict[str, Path]:
    """The JSON file of each category, from the variant's folder or from one of the same name inside it."""
    if text_fault(variant) or "/" in variant:
        raise SourceError(f"variant {variant!r} is not the name of a folder; use realiad_jsons or realiad_jsons_sv")
    places = (root / variant, root / variant / variant)
    for place in places:
        # Archives made on a Mac hold a "._<name>.json" beside each file.
        found = {path.stem: path for path in place.glob("*.json") if path.is_file() and path.name[0] != "."}
        if found:
            for name in found:
                if printable(name) != name or text_fault(name):
                    raise SourceError(f"file name {printable(name)!r}.json in {place} cannot be published; rename it")
            return found
    looked = " and ".join(f"{place}/*.json" for place in places)
    if (root / f"{variant}.zip").is_file():
        advice = f"unzip {root / variant}.zip -d {root}"
    elif others := sorted(path.name for path in root.glob("realiad_jsons*") if path.is_dir() and path.name != variant):
        advice = f"extract {variant}.zip there, or use the variant {' or '.join(others)}"
    elif _IMAGE_FOLDER.fullmatch(root.name) or root.name == variant:
        advice = f"give its parent folder, {root.parent}, as root"
    else:
        advice = f"extract {variant}.zip there, or give the folder that holds {variant} as root"
    raise SourceError(f"no JSON files: looked for {looked}; found {_content_of(root)}. Do this: {advice}")


def _image_root(root: Path, resolution: str | None) -> Path:
    """The folder of photographs of a resolution, or of the largest one that is extracted."""
    names = [name for name in _folders(root) if _IMAGE_FOLDER.fullmatch(name)]
    extracted = [name for name in names if _folders(root / name)]
    if resolution is not None:
        wished = f"realiad_{str(resolution).removeprefix('realiad_')}"
        if wished in extracted:
            return root / wished
        looked = f"{root / wished} with a folder for each category"
    elif extracted:
        return root / max(extracted, key=_size)
    else:
        looked = f"{root}/realiad_<256|512|1024|raw> with a folder for each category"
        wished = max(names, key=_size, default="realiad_1024")
    zips = sorted(path.name for path in (root / wished).glob("*.zip"))
    if zips:
        advice = f"its {len(zips)} archives are not extracted: unzip each of {few(zips)} -d {root / wished}"
    elif extracted:
        advice = f"use the resolution {' or '.join(name.removeprefix('realiad_') for name in extracted)}"
    else:
        advice = f"extract the archives <category>.zip to {root / wished}"
    raise SourceError(f"no photographs: looked for {looked}; found {_content_of(root)}. Do this: {advice}")


def _size(name: str) -> float:
    resolution = name.removeprefix("realiad_")
    return float("inf") if resolution == "raw" else int(resolution)


def _load(path: Path) -> dict[str, Any]:
    """A category's document with a `meta` object and its lists of entries; entries themselves are not looked at."""
    advice = "extract it again, or leave the category out"
    try:
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        document = orjson.loads(text)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; {advice}") from error
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SourceError(f"{path}, {place}: not JSON ({error.msg}), {len(text)} bytes in all; {advice}") from error
    if not isinstance(document, dict) or not isinstance(document.get("meta"), dict):
        raise SourceError(f"{path} is not a Real-IAD JSON: no object with an object 'meta' at its top; {advice}")
    for split in _SPLITS:
        if not isinstance(document.get(split), list):
            raise SourceError(f"{path} is not a Real-IAD JSON: {split!r} is not a list of entries; {advice}")
    normal = document["meta"].get("normal_class", NORMAL_CLASS)
    if normal != NORMAL_CLASS:
        raise SourceError(f"{path}: meta.normal_class is {normal!r}, not {NORMAL_CLASS!r}; correct it or its entries")
    return document


def _image_folder(meta: dict[str, Any], path: Path, category: str) -> tuple[str, str]:
    """What meta.prefix puts before each path, and the folder that all images lie in, both from the image root."""
    prefix = meta.get("prefix")
    if not isinstance(prefix, str):
        raise SourceError(f"{path}: meta.prefix is missing or not text; it should be '{category}/'")
    plain = prefix.removeprefix("./").rstrip("/")
    if plain in ("", ".") and not prefix.startswith("/"):
        return "", category
    if fault := text_fault(prefix.removeprefix("./").removesuffix("/")):
        raise SourceError(f"{path}: meta.prefix {prefix!r} {fault.detail}; it should be '{category}/'")
    first = plain.split("/")[0]
    if first != category:
        raise SourceError(
            f"{path}: meta.prefix {prefix!r} does not begin with the category {category!r} that the file is named "
            f"after{difference(first, category)}"
        )
    return f"{plain}/", plain


def _folder_lines(path: str, relative: str, depth: int) -> list[str]:
    """A line for a folder and for each below it, down to part folders, that changes when its files do."""
    lines = [f"{relative} {folder_stamp(path)}"]
    if _PART_FOLDER.fullmatch(os.path.basename(path)) or depth == _DEEPEST:
        return lines
    try:
        with os.scandir(path) as listing:
            entries = list(listing)
    except OSError:
        return lines
    for entry in entries:
        if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
            lines += _folder_lines(entry.path, f"{relative}/{entry.name}", depth + 1)
    return lines


def _folders(path: Path) -> list[str]:
    """Names of the folders in a folder, sorted; none where there is no such folder."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def _content_of(folder: Path) -> str:
    """What a folder holds, for a message."""
    names = [f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir()]
    return few(names, 8) if names else "an empty folder"
