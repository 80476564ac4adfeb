"""From the entries of one Real-IAD category's JSON to samples and unusable entries.

Almost every entry is good, so each first takes a short way that only ever says "a sample" or "look closer"; the long
way then finds out what is wrong. Both state the same rules, and tests hold them to each other.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from expertad.sample import NORMAL_CLASS, Part, Sample, Stratum
from expertad.sources.base import Inventory, Unusable, content_id, few
from expertad.sources.disk import Fault, difference, file_fault, fold, text_fault
from expertad.taxonomy import CODE_TO_COARSE

VIEWS = frozenset(("C1", "C2", "C3", "C4", "C5"))
SPLITS = ("train", "test")
_KEYS = ("category", "anomaly_class", "image_path", "mask_path")
_VIEW_IN_NAME = re.compile(r"_(C[1-5])(?=[_.])")
_PART_NUMBER = re.compile(r"S[0-9]+")
_FOLDER_CODE = re.compile(r"[A-Z0-9]+")


@dataclass(frozen=True)
class Place:
    """Where a category's entries come from and where its files lie.

    Args:
        category: the category, as its JSON file is named.
        json_name: the JSON file as messages name it.
        base: folder of its images relative to the image root: the category's, or one below it.
        lead: what is put before each path of an entry to make it relative to the image root.
        image_root: real path of the image root, which no file may leave.
        files: usable files on disk below `base`, relative to the image root.
    """

    category: str
    json_name: str
    base: str
    lead: str
    image_root: str
    files: set[str]

    def near(self, path: str) -> str | None:
        """A file on disk whose path differs from this one in letter case or Unicode composition alone."""
        return self._folded.get(fold(path))

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {fold(path): path for path in self.files}


class _PartFolder(NamedTuple):
    """A folder that holds the views of one part, and how its file names should begin before the view."""

    part_id: str
    code: str
    heads: tuple[str, str]


class _PartFolders(dict[str, _PartFolder]):
    """Part folders by their path relative to the image root, each understood once; KeyError for any other folder."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._category = place.category
        self._base = f"{place.base}/"

    def __missing__(self, folder: str) -> _PartFolder:
        if not folder.startswith(self._base):
            raise KeyError(folder)
        match folder[len(self._base) :].split("/"):
            case [code, number] if code == NORMAL_CLASS and _PART_NUMBER.fullmatch(number):
                status = code
            case ["NG", code, number] if _FOLDER_CODE.fullmatch(code) and _PART_NUMBER.fullmatch(number):
                status = f"NG_{code}"
            case _:
                raise KeyError(folder)
        tail = f"{number[1:]}_{status}"
        # Both spellings occur in the release: one or two underscores after the category.
        heads = (f"{self._category}_{tail}", f"{self._category}__{tail}")
        found = self[folder] = _PartFolder(Part(self._category, status, number).part_id, code, heads)
        return found


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one entry claims, and whether it may.

    Args:
        sample_id: the id it is about; None when its path does not tell.
        paths: its image and mask, relative to the image root, as far as it names them.
        truth: the label it states, in comparable form; None when it states none.
        content: the entry's bytes, by which it is recognised.
        where: file, list and position, for people.
        result: the sample, or why there is none.
    """

    sample_id: str | None
    paths: tuple[str, ...]
    truth: tuple[str, str | None] | None
    content: bytes
    where: str
    result: Sample | Fault


def read_entries(document: dict[str, Any], place: Place) -> Inventory:
    """Every entry of a category's document, whose `train` and `test` are known to be lists, exactly once."""
    parts = _PartFolders(place)
    taken: dict[str, tuple[Sample, str, int]] = {}
    doubtful: list[tuple[str, int]] = []
    for split in SPLITS:
        for index, entry in enumerate(document[split]):
            sample = _short_way(entry, place, parts)
            if sample is None or sample.sample_id in taken:
                doubtful.append((split, index))
            else:
                taken[sample.sample_id] = (sample, split, index)

    claims: defaultdict[str | None, list[_Claim]] = defaultdict(list)
    for split, index in doubtful:
        claim = _long_way(document[split][index], f"{place.json_name}, {split}[{index}]", place, parts)
        claims[claim.sample_id].append(claim)
        if claim.sample_id in taken:
            _, split, index = taken.pop(claim.sample_id)
            rival = _long_way(document[split][index], f"{place.json_name}, {split}[{index}]", place, parts)
            claims[claim.sample_id].append(rival)

    late: list[Sample] = []
    unusable: list[Unusable] = []
    for result in _settled(claims, place.category):
        if isinstance(result, Sample):
            late.append(result)
        else:
            unusable.append(result)
    samples = [sample for sample, _, _ in taken.values()] + late
    samples.sort(key=lambda sample: sample.sample_id)
    unusable.sort(key=lambda entry: entry.sample_id)
    mentioned = {path for rivals in claims.values() for claim in rivals for path in claim.paths}
    return Inventory(place.category, samples, unusable, _notes(samples, late, mentioned, place))


def _short_way(entry: Any, place: Place, parts: _PartFolders) -> Sample | None:
    """The sample of an entry in which everything is as it should be; None for any that needs a closer look."""
    try:
        code, image, mask = entry["anomaly_class"], entry["image_path"], entry["mask_path"]
        image = place.lead + image
        if image not in place.files or "\\" in image or entry["category"] != place.category:
            return None
        folder, _, name = image.rpartition("/")
        part = parts[folder]
        head, view, _ = name.rsplit("_", 2)
        if view not in VIEWS or head not in part.heads:
            return None
        stratum: Stratum
        if code == NORMAL_CLASS:
            if mask is not None:
                return None
            coarse = None
            stratum = "normal" if part.code == NORMAL_CLASS else "ng_view_ok"
        else:
            coarse, stratum = CODE_TO_COARSE[code], "anomalous"
            mask = place.lead + mask
            if mask not in place.files or "\\" in mask or mask == image:
                return None
    except (TypeError, KeyError, ValueError):
        return None
    return Sample(f"{part.part_id}/{view}", place.category, part.part_id, view, stratum, code, coarse, image, mask)


def _long_way(entry: Any, where: str, place: Place, parts: _PartFolders) -> _Claim:
    """What the entry claims and, when it cannot have it, the first reason why."""
    content = _content(entry)
    fault = _shape_fault(entry, place.category)
    stated = (entry.get("image_path"), entry.get("mask_path")) if isinstance(entry, dict) else (None, None)
    paths = tuple(place.lead + path for path in stated if isinstance(path, str)) if isinstance(stated[0], str) else ()
    spot = _spot(paths[0], parts) if paths else None
    sample_id = f"{spot[0].part_id}/{spot[1]}" if spot else None
    if fault is not None:
        return _Claim(sample_id, paths, None, content, where, fault)
    truth = (entry["anomaly_class"], entry["mask_path"])
    return _Claim(sample_id, paths, truth, content, where, _examined(entry, spot, place))


def _examined(entry: dict[str, Any], spot: tuple[_PartFolder, str] | None, place: Place) -> Sample | Fault:
    """The sample of a well-formed entry, or the first thing that keeps it from being one."""
    code, mask = entry["anomaly_class"], entry["mask_path"]
    for key in ("image_path", "mask_path"):
        if entry[key] is not None and (fault := text_fault(entry[key])):
            return fault.about(f"{key} {entry[key]!r}")
    image = place.lead + entry["image_path"]
    if spot is None:
        return Fault(
            "path not of the layout",
            f"image_path {entry['image_path']!r} is not {place.base}/OK/S<number>/<name>_C<1-5>_<time>.jpg or "
            f"{place.base}/NG/<CODE>/S<number>/..., so its part and view are unknown; restore the released path",
        )
    if code not in CODE_TO_COARSE and code != NORMAL_CLASS:
        known = ", ".join((NORMAL_CLASS, *CODE_TO_COARSE))
        return Fault("unknown class", f"anomaly_class {code!r} of {image!r} is none of {known}; correct the entry")
    if code == NORMAL_CLASS and mask is not None:
        return Fault(
            "mask on a normal entry",
            f"{image!r} has anomaly_class OK and yet the mask {mask!r}; correct the class or set mask_path to null",
        )
    if code != NORMAL_CLASS and mask is None:
        return Fault(
            "no mask named", f"{image!r} has anomaly_class {code} and no mask_path; name its mask or remove the entry"
        )
    if mask == entry["image_path"]:
        return Fault("mask is the image", f"mask_path and image_path are both {image!r}; name the mask")
    if fault := _disk_fault(image, "image", place):
        return fault
    if mask is not None:
        mask = place.lead + mask
        if fault := _disk_fault(mask, "mask", place):
            return fault
    part, view = spot
    stratum: Stratum = "anomalous"
    if code == NORMAL_CLASS:
        stratum = "normal" if part.code == NORMAL_CLASS else "ng_view_ok"
    coarse = CODE_TO_COARSE.get(code)
    return Sample(f"{part.part_id}/{view}", place.category, part.part_id, view, stratum, code, coarse, image, mask)


def _shape_fault(entry: Any, category: str) -> Fault | None:
    """Why an entry states nothing about its category's images: not four keys of the right types, or another's entry."""
    if not isinstance(entry, dict):
        return Fault("malformed entry", f"is {_json_type(entry)}, not an object with {', '.join(_KEYS)}")
    faults = [f"{key} is missing" for key in _KEYS if key not in entry]
    for key in _KEYS:
        value = entry.get(key)
        if key in entry and not (isinstance(value, str) and value) and not (key == "mask_path" and value is None):
            wanted = "text or null" if key == "mask_path" else "text"
            faults.append(f"{key} is {_json_type(value)}, not {wanted}")
    if faults:
        return Fault("malformed entry", f"{'; '.join(faults)}; correct the entry or extract the JSON again")
    if entry["category"] != category:
        other = entry["category"]
        return Fault(
            "another category", f"category is {other!r}, the file's is {category!r}{difference(other, category)}"
        )
    return None


def _spot(image: str, parts: _PartFolders) -> tuple[_PartFolder, str] | None:
    """The part by the folder and the view by the file name of an image; None when either cannot be read."""
    folder, _, name = image.rpartition("/")
    views = _VIEW_IN_NAME.findall(name)
    try:
        return (parts[folder], views[-1]) if views else None
    except KeyError:
        return None


def _disk_fault(path: str, what: str, place: Place) -> Fault | None:
    """What is wrong with a file of this place, with the near miss that explains a missing one."""
    if path in place.files:
        return None
    fault = file_fault(f"{place.image_root}/{path}", place.image_root, what)
    if fault is None:
        return None
    near = place.near(path)
    if fault.reason == f"{what} missing" and near is not None:
        fault = Fault(fault.reason, f"does not exist, but {near!r} does{difference(near, path)}")
    return fault.about(f"{what} {path!r}")


def _settled(claims: dict[str | None, list[_Claim]], category: str) -> Iterator[Sample | Unusable]:
    """One result for each claim: at most one sample for each id, and an id of its own for each that is none."""
    repeats: Counter[tuple[str, bytes]] = Counter()
    for sample_id, rivals in claims.items():
        rivals.sort(key=lambda claim: (claim.paths, claim.content))
        winner = _winner(rivals)
        if winner is not None:
            assert isinstance(winner.result, Sample)
            yield winner.result
        losers = [claim for claim in rivals if claim is not winner]
        for rank, claim in enumerate(losers):
            fault = claim.result if isinstance(claim.result, Fault) else _lost(claim, rivals, winner)
            if sample_id is not None and winner is None and rank == 0:
                own_id = sample_id
            else:
                stem = f"{category}/entry" if sample_id is None else sample_id
                own_id = content_id(stem, claim.content, repeats[stem, claim.content])
                repeats[stem, claim.content] += 1
            yield Unusable(own_id, fault.reason, f"{claim.where}: {fault.detail}")


def _winner(rivals: list[_Claim]) -> _Claim | None:
    """The first usable claim in path order, leaving out images about which entries contradict each other."""
    contested = _contested(rivals)
    usable = (claim for claim in rivals if isinstance(claim.result, Sample) and claim.paths[0] not in contested)
    return next(usable, None)


def _contested(rivals: list[_Claim]) -> set[str]:
    """Images to which entries give more than one truth."""
    truths: defaultdict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for claim in rivals:
        if claim.truth is not None:
            truths[claim.paths[0]].add(claim.truth)
    return {image for image, stated in truths.items() if len(stated) > 1}


def _lost(claim: _Claim, rivals: list[_Claim], winner: _Claim | None) -> Fault:
    """Why a claim that is good in itself does not have its id."""
    image = claim.paths[0]
    if winner is None or image in _contested(rivals):
        others = few({rival.where for rival in rivals if rival.paths[0] == image and rival is not claim})
        return Fault(
            "conflicting entries", f"{image!r} has another class or mask in {others}; keep the right entry only"
        )
    if winner.paths[0] == image:
        return Fault("duplicate entry", f"{image!r} is listed again; {winner.where} is the one kept")
    return Fault(
        "same part and view",
        f"{image!r} shows the part and view that {winner.paths[0]!r} ({winner.where}) shows; keep one of them",
    )


def _notes(samples: list[Sample], late: list[Sample], mentioned: set[str], place: Place) -> list[str]:
    """What is odd about a category and costs no entry; `late` are the samples that needed the long way."""
    notes = []
    if not samples:
        notes.append(f"{place.category} has no usable entry.")
    elif not any(sample.stratum == "normal" for sample in samples):
        notes.append(f"{place.category} has no usable normal image, so its samples have no reference.")
    strays = place.files - {sample.image_path for sample in samples} - mentioned
    strays -= {sample.mask_path for sample in samples if sample.mask_path}
    if strays:
        notes.append(f"{len(strays)} files of {place.category} have no entry in {place.json_name}: {few(strays)}.")
    refiled = [s.image_path for s in samples if s.anomalous and f"/NG_{s.code}/" not in s.part_id]
    if refiled:
        notes.append(
            f"{len(refiled)} images of {place.category} have another class than their folder; the class counts: "
            f"{few(refiled)}."
        )
    misnamed = [s.image_path for s in late if not _named_as_filed(s)]
    if misnamed:
        notes.append(
            f"{len(misnamed)} images of {place.category} are named after another part than their folder's; the folder "
            f"counts: {few(misnamed)}."
        )
    return notes


def _named_as_filed(sample: Sample) -> bool:
    """True when a file name repeats category, number and status of its folder before the view, as released ones do."""
    _, status, number = sample.part_id.rsplit("/", 2)
    name = sample.image_path.rpartition("/")[2]
    tail = f"{number[1:]}_{status}_{sample.view}"
    return name.startswith((f"{sample.category}_{tail}", f"{sample.category}__{tail}"))


def _content(entry: Any) -> bytes:
    """The entry's own bytes, whatever the order of its keys."""
    try:
        return orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return b"nested too deeply to write"


def _json_type(value: Any) -> str:
    """What JSON calls a value."""
    if value == "":
        return "empty text"
    names = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
