r"""Photographs in folders laid out like MVTec AD's, with a small YAML file that says what each defect folder shows.

    <root>/<category>/train/good/000.png                          normal
    <root>/<category>/test/good/000.png                           normal
    <root>/<category>/test/<defect>/000.png                       anomalous
    <root>/<category>/ground_truth/<defect>/000_mask.png          its mask

The root may itself be one category. The mapping, `<root>/expertad-folder.yaml` unless another is given:

    title: Screws of line 4                # for the card
    licence: CC BY 4.0                     # for the card
    types:                                 # defect folder -> one of the eight coarse types
      scratch_head: Scratch
    part: '(.+)_view(\d)'                  # file name without suffix -> part, and view where there is a second group
    categories:                            # the same, for one category alone
      screw:
        types: {thread_side: Damage}

A defect folder named after a coarse type or one of its listed terms ("hole", "surface_scratch") needs no line.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from expertad.errors import SourceError
from expertad.sample import NORMAL_CLASS, Sample, Stratum
from expertad.sources.base import Inventory, Unusable, content_id, few, required_folder
from expertad.sources.disk import (
    Fault,
    file_fault,
    fold,
    folder_stamp,
    inside,
    listed,
    printable,
    text_fault,
    usable_files,
)
from expertad.taxonomy import COARSE_TYPES, coarse_type

MAPPING_NAME = "expertad-folder.yaml"
_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"))
_RULES = 1
"""Raised when the same files would be read to another inventory, so that fingerprints change with it."""


@dataclass(frozen=True)
class _Rules:
    """What the mapping says about one category, or about all: defect folder -> coarse type, and the part pattern."""

    types: dict[str, str] = field(default_factory=dict)
    part: re.Pattern[str] | None = None


@dataclass(frozen=True)
class _Mapping:
    path: Path
    title: str | None
    licence: str | None
    everywhere: _Rules
    categories: dict[str, _Rules]

    def rules(self, category: str) -> _Rules:
        """What holds for a category: its own lines, then those for all."""
        own = self.categories.get(category, _Rules())
        return _Rules({**self.everywhere.types, **own.types}, own.part or self.everywhere.part)


class Folder:
    """Reader of one category or several in MVTec AD's layout.

    Every image file under `train/` and `test/` is an entry. A sample is named `<category>/<path without suffix>`, and
    is its own part unless the mapping has a part pattern. Labels come from folders: `good` is normal, each other folder
    under `test/` shows the coarse type that the mapping, or its own name, says.

    Args:
        root: a folder of categories, or one category; `image_root` is the folder that holds the categories.
        mapping: the YAML file; `<root>/expertad-folder.yaml`, if there is one, when None.
        only: read only these categories; all when None.

    Raises:
        SourceError: there is no category below root, a wished one is not there, or the mapping is wrong.
    """

    name = "folder"

    def __init__(self, root: Path, mapping: Path | None = None, *, only: Sequence[str] | None = None) -> None:
        root = required_folder(root, "the folder that holds the categories")
        single = _is_category(root)
        self.image_root = root.parent if single else root
        self._boundary = os.path.realpath(root)
        self._categories = _checked((root.name,), root.parent) if single else _checked(_categories(root), root)
        self._mapping = _read_mapping(mapping or root / MAPPING_NAME, required=mapping is not None)
        unknown = sorted(set(self._mapping.categories) - set(self._categories))
        if unknown:
            raise SourceError(
                f"{self._mapping.path}: categories names {', '.join(unknown)}, which {root} does not have; it has "
                f"{', '.join(self._categories)}"
            )
        missing = sorted(set(only or ()) - set(self._categories))
        if missing:
            raise SourceError(f"{root} has no category {', '.join(missing)}; it has {', '.join(self._categories)}")
        if only is not None:
            self._categories = tuple(sorted(set(only)))
        self.title = self._mapping.title or root.name
        self.licence = self._mapping.licence or "not stated"

    def categories(self) -> Sequence[str]:
        """The folders that hold `train` or `test`, sorted."""
        return self._categories

    def fingerprint(self, category: str) -> str:
        """Digest of the category's lines of the mapping and of every folder's path and time.

        Raises:
            SourceError: the category is not one of this source's.
        """
        rules = self._mapping.rules(category)
        pattern = rules.part.pattern if rules.part else None
        lines = [f"{_RULES} {self.image_root} {sorted(rules.types.items())!r} {pattern!r}"]
        for folder in sorted(usable_files(self._top(category), category, self._boundary)):
            lines.append(f"{folder} {folder_stamp(f'{self.image_root}/{folder}')}")
        return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def read(self, category: str) -> Inventory:
        """Every image file under the category's `train/` and `test/`. Images are not opened.

        Raises:
            SourceError: the category is not one of this source's, or a symbolic link leads out of the root.
        """
        top = self._top(category)
        files = usable_files(top, category, self._boundary)
        return _Category(category, files, self._boundary, self.image_root, self._mapping).inventory()

    def _top(self, category: str) -> str:
        if category not in self._categories:
            raise SourceError(f"{category!r} is not a category here; there are {', '.join(self._categories)}")
        top = f"{self.image_root}/{category}"
        if not inside(os.path.realpath(top), self._boundary):
            raise SourceError(f"{top} is a symbolic link out of {self.image_root}; copy the category there")
        return top


@dataclass(frozen=True)
class _Category:
    """One category on disk; `files` are the usable names in each folder by its path from the image root."""

    category: str
    files: dict[str, set[str]]
    boundary: str
    image_root: Path
    mapping: _Mapping

    def inventory(self) -> Inventory:
        """Every image file as a sample or as unusable with a reason."""
        rules = self.mapping.rules(self.category)
        results: defaultdict[str, list[tuple[str, Sample | Fault]]] = defaultdict(list)
        ignored: list[str] = []
        for folder in sorted(self.files):
            for name in self._listed(folder):
                path = f"{folder}/{name}"
                # A folder that was not entered may hide photographs, so it is not passed over like other files.
                if not _is_image(name) and not os.path.isdir(f"{self.image_root}/{path}"):
                    ignored.append(path)
                else:
                    results[printable(os.path.splitext(path)[0])].append((path, self._examined(folder, name, rules)))

        inventory = Inventory(self.category)
        for sample_id, found in sorted(results.items()):
            kept = next((path for path, result in found if isinstance(result, Sample)), None)
            for rank, (path, result) in enumerate(found):
                if isinstance(result, Sample) and path == kept:
                    inventory.samples.append(result)
                    continue
                fault = result if isinstance(result, Fault) else _same_stem(path, str(kept))
                own_id = content_id(sample_id, os.fsencode(path), 0) if kept or rank else sample_id
                inventory.unusable.append(Unusable(own_id, fault.reason, fault.detail))
        inventory.unusable.sort(key=lambda entry: entry.sample_id)
        inventory.notes.extend(self._notes(inventory.samples, ignored, rules))
        return inventory

    def _listed(self, folder: str) -> list[str]:
        """What stands in a folder of `train/` or `test/` and was not entered as a folder, in order."""
        names = listed(f"{self.image_root}/{folder}")
        if folder == self.category:
            names = [name for name in names if name in ("train", "test")]
        elif folder.split("/")[1] not in ("train", "test"):
            return []
        return sorted(name for name in names if f"{folder}/{name}" not in self.files)

    def _examined(self, folder: str, name: str, rules: _Rules) -> Sample | Fault:
        """The sample of one file, or the first thing that keeps it from being one."""
        path = f"{folder}/{name}"
        if fault := _name_fault(path) or self._disk_fault(path, "image"):
            return fault.about(f"image {printable(path)!r}")
        match folder.split("/")[1:]:
            case ["train" | "test", "good"]:
                code, coarse, mask = NORMAL_CLASS, None, None
            case ["test", code]:
                coarse = rules.types.get(code) or coarse_type(code)
                if coarse is None:
                    return self._unmapped(path, code, rules)
                mask = f"{self.category}/ground_truth/{code}/{os.path.splitext(name)[0]}_mask.png"
                if fault := self._disk_fault(mask, "mask"):
                    return self._with_near_mask(fault, mask).about(f"mask {mask!r} of {path!r}")
            case _:
                places = f"{self.category}/train/good, {self.category}/test/good or {self.category}/test/<defect>"
                return Fault("path not of the layout", f"{path!r} does not lie in {places}; move it there")
        sample_id = os.path.splitext(path)[0]
        part_id, view = sample_id, ""
        if rules.part is not None:
            found = rules.part.fullmatch(os.path.splitext(name)[0])
            if found is None or not found[1]:
                return Fault(
                    "part unknown",
                    f"{path!r} does not match the part pattern {rules.part.pattern!r} of {self.mapping.path}; correct "
                    f"the pattern or the file's name",
                )
            part_id, view = f"{folder}/{found[1]}", found[2] or "" if rules.part.groups > 1 else ""
        stratum: Stratum = "normal" if coarse is None else "anomalous"
        return Sample(sample_id, self.category, part_id, view, stratum, code, coarse, path, mask)

    def _disk_fault(self, path: str, what: str) -> Fault | None:
        folder, _, name = path.rpartition("/")
        if name in self.files.get(folder, ()):
            return None
        return file_fault(f"{self.image_root}/{path}", self.boundary, what)

    def _with_near_mask(self, fault: Fault, mask: str) -> Fault:
        """The fault of a missing mask with the name of the file that may be meant."""
        folder, _, name = mask.rpartition("/")
        stem = name.removesuffix("_mask.png")
        meant = (fold(stem), fold(f"{stem}_mask"))
        near = few(other for other in self.files.get(folder, ()) if fold(os.path.splitext(other)[0]) in meant)
        if fault.reason != "mask missing" or not near:
            return fault
        return Fault(fault.reason, f"does not exist, but {near} does; rename it to {name} (a PNG file)")

    def _unmapped(self, path: str, defect: str, rules: _Rules) -> Fault:
        """Which line the mapping lacks for a defect folder."""
        line = yaml.safe_dump({defect: "<type>"}, allow_unicode=True).strip()
        similar = difflib.get_close_matches(defect, rules.types, n=1)
        typing = f" (its line for {similar[0]!r} may be meant for it)" if similar else ""
        if fold(defect) == "good":
            typing = " (or rename the folder to good, if it holds normal images)"
        return Fault(
            "defect folder not mapped",
            f'{path!r}: add the line "  {line}" under "types:" in {self.mapping.path}{typing}, where <type> is one of '
            f"{', '.join(COARSE_TYPES)}",
        )

    def _notes(self, samples: list[Sample], ignored: list[str], rules: _Rules) -> list[str]:
        """What is odd about the category and costs no entry."""
        category = self.category
        notes = []
        if not samples:
            notes.append(f"{category} has no usable image.")
        elif all(sample.anomalous for sample in samples):
            notes.append(f"{category} has no usable normal image, so its samples have no reference.")
        shown = [path for path in ignored if not path.rpartition("/")[2].startswith(".")]
        if shown:
            notes.append(f"{len(shown)} files of {category} are no photographs and are not read: {few(shown)}.")
        idle = self._masks_without_image()
        if idle:
            notes.append(f"{len(idle)} masks of {category} have no image under {category}/test: {few(idle)}.")
        known = {category, *(f"{category}/{name}" for name in ("train", "test", "ground_truth"))}
        others = [folder for folder in self.files if folder.count("/") == 1 and folder not in known]
        if others:
            notes.append(f"{len(others)} folders of {category} are not of the layout and are not read: {few(others)}.")
        own = self.mapping.categories.get(category, _Rules()).types
        lost = [name for name in own if f"{category}/test/{name}" not in self.files]
        if lost:
            notes.append(f"{self.mapping.path} maps folders that {category}/test does not have: {few(lost)}.")
        return notes

    def _masks_without_image(self) -> list[str]:
        """Files under `ground_truth/` that are no defective image's mask."""
        top = f"{self.category}/ground_truth"
        idle = []
        for folder, names in self.files.items():
            if folder != top and not folder.startswith(f"{top}/"):
                continue
            defect = folder.removeprefix(top)
            images = self.files.get(f"{self.category}/test{defect}", ()) if defect not in ("", "/good") else ()
            wanted = {f"{os.path.splitext(image)[0]}_mask.png" for image in images if _is_image(image)}
            idle += [f"{folder}/{name}" for name in names - wanted if _is_image(name)]
        return idle


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def _name_fault(path: str) -> Fault | None:
    """What is wrong with a name found on disk that will be published."""
    if printable(path) != path:
        return Fault("path not plain", "has a name that is not UTF-8; rename it")
    return text_fault(path)


def _same_stem(path: str, kept: str) -> Fault:
    return Fault("same name", f"{path!r} and {kept!r} differ in their suffix alone; the latter is kept, rename one")


def _is_category(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in ("train", "test"))


def _categories(root: Path) -> tuple[str, ...]:
    """The folders below root that hold `train` or `test`."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = tuple(path.name for path in folders if _is_category(path))
    if not found:
        seen = few((path.name for path in folders), 5) or "no folders"
        raise SourceError(
            f"no category in {root}: looked for <category>/train/good and <category>/test/<defect>, found {seen}; "
            f"give the folder that holds the categories, or one category"
        )
    return found


def _checked(categories: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The categories, when each has a name that can be published."""
    for name in categories:
        if fault := _name_fault(name):
            raise SourceError(f"category folder {printable(name)!r} in {folder} {fault.detail}")
    return categories


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that occurs twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        result = super().construct_mapping(node, deep=deep)
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice", key_node.start_mark
                )
            seen.add(key)
        return result


def _read_mapping(path: Path, *, required: bool) -> _Mapping:
    """The mapping of a YAML file; an empty one where an optional file does not exist."""
    if not path.exists() and not required:
        return _Mapping(path, None, None, _Rules(), {})
    try:
        document = yaml.load(path.read_bytes(), _StrictLoader)
    except OSError as error:
        raise SourceError(f"mapping {path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SourceError(f"{path}{place}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SourceError(f"{path}: not YAML: {error}") from error
    top = _object(document, path, "the file", ("title", "licence", "types", "part", "categories"))
    own = _object(top.get("categories"), path, "categories", None)
    return _Mapping(
        path,
        _text(top, "title", path, "the file"),
        _text(top, "licence", path, "the file"),
        _rules(top, path, "the file"),
        {name: _category_rules(value, path, name) for name, value in own.items()},
    )


def _category_rules(value: Any, path: Path, category: str) -> _Rules:
    where = f"categories: {category}"
    return _rules(_object(value, path, where, ("types", "part")), path, where)


def _rules(block: dict[str, Any], path: Path, where: str) -> _Rules:
    """The `types` and `part` of a block of the mapping."""
    types = {}
    for defect, value in _object(block.get("types"), path, f"types in {where}", None).items():
        coarse = coarse_type(value) if isinstance(value, str) else None
        if coarse is None:
            raise SourceError(
                f"{path}: {where}: {value!r}, for the folder {defect!r}, is no coarse type; write one of "
                f"{', '.join(COARSE_TYPES)}"
            )
        if defect == "good":
            raise SourceError(f"{path}: {where}: good holds normal images and cannot have a type; remove its line")
        types[defect] = coarse
    pattern = _text(block, "part", path, where)
    if pattern is None:
        return _Rules(types)
    try:
        part = re.compile(pattern)
    except re.error as error:
        raise SourceError(f"{path}: {where}: part is not a regular expression: {error}") from error
    if part.groups < 1:
        raise SourceError(f"{path}: {where}: part {pattern!r} has no group; put the part's name in one: '(.+)_view\\d'")
    return _Rules(types, part)


def _object(value: Any, path: Path, where: str, known: Sequence[str] | None) -> dict[str, Any]:
    """A block of the mapping with text for keys, of `known` ones where given; a missing block is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SourceError(f'{path}: {where} should hold lines like "name: value", not {value!r:.60}')
    for key in value:
        if not isinstance(key, str):
            raise SourceError(f"{path}: {where}: YAML does not read the key {key!r} as text; put it in quotes")
        if known is not None and key not in known:
            raise SourceError(f"{path}: {where}: unknown key {key!r}; known are {', '.join(known)}")
    return value


def _text(block: dict[str, Any], key: str, path: Path, where: str) -> str | None:
    value = block.get(key)
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise SourceError(f"{path}: {where}: {key} should be text, not {value!r:.60}; put it in quotes")
    return value
