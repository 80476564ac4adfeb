"""From the entries of one Real-IAD category's JSON to samples and unusable entries.

Almost every entry is good, so each first takes a short way that only ever says "a sample" or "look closer"; the long
way then finds out what is wrong. Both state the same rules, and tests hold them to each other.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from expertad.sample import NORMAL_CLASS, Part, Sample, Stratum
from expertad.sources.base import Inventory, Unusable, content_id, few
from expertad.sources.disk import Fault, difference, file_fault, fold, text_fault
from expertad.taxonomy import CODE_TO_COARSE

VIEWS = frozenset(("C1", "C2", "C3", "C4", "C5"))
_KEYS = ("category", "anomaly_class", "image_path", "mask_path")
_LAYOUT = re.compile(r"(OK|NG/([A-Z0-9]+))/S([0-9]+)")
_VIEW_IN_NAME = re.compile(r"_(C[1-5])(?=[_.])")


@dataclass(frozen=True)
class Place:
    """Where a category's entries come from and where its files lie.

    Args:
        category: the category, as its JSON file is named.
        json_name: the JSON file as messages name it.
        base: folder of its images relative to the image root: the category's, or one below it.
        lead: what is put before each path of an entry to make it relative to the image root.
        image_root: real path of the image root, which no file may leave.
        files: names of the usable files in each folder at and below `base`, by the folder's path from the image root.
    """

    category: str
    json_name: str
    base: str
    lead: str
    image_root: str
    files: dict[str, set[str]]

    def near(self, path: str) -> str | None:
        """A file on disk whose path differs from this one in letter case or Unicode composition alone."""
        return self._folded.get(fold(path))

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {fold(path): path for path in self.paths()}

    def paths(self) -> Iterator[str]:
        """Every usable file below `base`, relative to the image root."""
        return (f"{folder}/{name}" for folder, names in self.files.items() for name in names)


class _PartFolder(NamedTuple):
    """A folder that holds the views of one part.

    Args:
        part_id: the part.
        code: "OK" or the code of the folder it is filed under; no label.
        heads: how its files' names begin before the view; both spellings occur in the release.
        names: the usable files in it.
    """

    part_id: str
    code: str
    heads: tuple[str, str]
    names: Set[str]


class _PartFolders(dict[str, _PartFolder]):
    """Part folders by their path in entries, each understood once; KeyError for any other folder."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._base = f"{place.base}/"

    def __missing__(self, folder: str) -> _PartFolder:
        place = self._place
        path = place.lead + folder
        filed = _LAYOUT.fullmatch(path, len(self._base)) if path.startswith(self._base) else None
        if filed is None:
            raise KeyError(folder)
        status, code, number = filed.groups()
        if code:
            status = f"NG_{code}"
        part = Part(place.category, status, f"S{number}")
        heads = (f"{place.category}_{number}_{status}", f"{place.category}__{number}_{status}")
        found = self[folder] = _PartFolder(part.part_id, code or status, heads, place.files.get(path, frozenset()))
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
    entries = [*document["train"], *document["test"]]
    taken: dict[str, Sample] = {}
    doubtful: set[int] = set()
    for number, entry in enumerate(entries):
        sample = _short_way(entry, place, parts)
        if sample is None or sample.sample_id in taken:
            doubtful.add(number)
        else:
            taken[sample.sample_id] = sample

    claims = _claims(entries, len(document["train"]), doubtful, taken, place, parts) if doubtful else {}
    late: list[Sample] = []
    unusable: list[Unusable] = []
    for result in _settled(claims, place.category):
        if isinstance(result, Sample):
            late.append(result)
        else:
            unusable.append(result)
    samples = [*taken.values(), *late]
    samples.sort(key=attrgetter("sample_id"))
    unusable.sort(key=attrgetter("sample_id"))
    mentioned = {path for rivals in claims.values() for claim in rivals for path in claim.paths}
    return Inventory(place.category, samples, unusable, _notes(samples, late, mentioned, place))


def _claims(
    entries: list[Any], trained: int, doubtful: set[int], taken: dict[str, Sample], place: Place, parts: _PartFolders
) -> dict[str | None, list[_Claim]]:
    """The claims to each id that a doubtful entry is about; a sample among them is no longer in `taken`."""
    sure = (number for number in range(len(entries)) if number not in doubtful)
    holders = dict(zip(taken, sure, strict=True))
    claims: defaultdict[str | None, list[_Claim]] = defaultdict(list)
    waiting = sorted(doubtful)
    for number in waiting:
        split, index = ("train", number) if number < trained else ("test", number - trained)
        claim = _long_way(entries[number], f"{place.json_name}, {split}[{index}]", place, parts)
        claims[claim.sample_id].append(claim)
        if claim.sample_id in taken:
            del taken[claim.sample_id]
            waiting.append(holders[claim.sample_id])
    return claims


def _short_way(entry: Any, place: Place, parts: _PartFolders) -> Sample | None:
    """The sample of an entry in which everything is as it should be; None for any that needs a closer look."""
    try:
        code, image, mask = entry["anomaly_class"], entry["image_path"], entry["mask_path"]
        folder, _, name = image.rpartition("/")
        part_id, filed_as, heads, names = parts[folder]
        head, view, _ = name.rsplit("_", 2)
        if name not in names or view not in VIEWS or head not in heads or entry["category"] != place.category:
            return None
        stratum: Stratum
        if code == NORMAL_CLASS:
            if mask is not None:
                return None
            coarse = None
            stratum = "normal" if filed_as == NORMAL_CLASS else "ng_view_ok"
        else:
            coarse, stratum = CODE_TO_COARSE[code], "anomalous"
            if mask != f"{image[:-4]}.png" or f"{name[:-4]}.png" not in names or mask == image:
                return None
            mask = place.lead + mask
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    image = place.lead + image
    return Sample(f"{part_id}/{view}", place.category, part_id, view, stratum, code, coarse, image, mask)


def _long_way(entry: Any, where: str, place: Place, parts: _PartFolders) -> _Claim:
    """What the entry claims and, when it cannot have it, the first reason why."""
    content = _content(entry)
    fault = _shape_fault(entry, place.category)
    image, mask = (entry.get("image_path"), entry.get("mask_path")) if isinstance(entry, dict) else (None, None)
    spot = None
    paths: tuple[str, ...] = ()
    if isinstance(image, str):
        spot = _spot(image, parts)
        paths = tuple(place.lead + path for path in (image, mask) if isinstance(path, str))
    sample_id = f"{spot[0].part_id}/{spot[1]}" if spot else None
    if fault is not None:
        return _Claim(sample_id, paths, None, content, where, fault)
    return _Claim(sample_id, paths, (entry["anomaly_class"], mask), content, where, _examined(entry, spot, place))


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
    """The part by the folder and the view by the file name of an entry's image; None when either cannot be read."""
    folder, _, name = image.rpartition("/")
    views = _VIEW_IN_NAME.findall(name)
    try:
        return (parts[folder], views[-1]) if views else None
    except KeyError:
        return None


def _disk_fault(path: str, what: str, place: Place) -> Fault | None:
    """What is wrong with a file of this place, with the near miss that explains a missing one."""
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
        contested = _contested(rivals)
        winner = next((c for c in rivals if isinstance(c.result, Sample) and c.paths[0] not in contested), None)
        if winner is not None:
            assert isinstance(winner.result, Sample)
            yield winner.result
        losers = [claim for claim in rivals if claim is not winner]
        for rank, claim in enumerate(losers):
            fault = claim.result if isinstance(claim.result, Fault) else _lost(claim, rivals, winner, contested)
            if sample_id is not None and winner is None and rank == 0:
                own_id = sample_id
            else:
                stem = f"{category}/entry" if sample_id is None else sample_id
                own_id = content_id(stem, claim.content, repeats[stem, claim.content])
                repeats[stem, claim.content] += 1
            yield Unusable(own_id, fault.reason, f"{claim.where}: {fault.detail}")


def _contested(rivals: list[_Claim]) -> set[str]:
    """Images to which entries give more than one truth."""
    truths: defaultdict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for claim in rivals:
        if claim.truth is not None:
            truths[claim.paths[0]].add(claim.truth)
    return {image for image, stated in truths.items() if len(stated) > 1}


def _lost(claim: _Claim, rivals: list[_Claim], winner: _Claim | None, contested: set[str]) -> Fault:
    """Why a claim that is good in itself does not have its id."""
    image = claim.paths[0]
    if winner is None or image in contested:
        others = (rival.where for rival in rivals if rival.paths[0] == image and rival.truth not in (claim.truth, None))
        return Fault(
            "conflicting entries",
            f"{image!r} has another class or mask in {next(others)}; keep the right entry only",
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
    # Without doubtful entries every image and every mask is a file of its own, so that counting is enough.
    masks = sum(sample.mask_path is not None for sample in samples)
    if mentioned or len(samples) + masks != sum(map(len, place.files.values())):
        used = mentioned.union(map(attrgetter("image_path"), samples), map(attrgetter("mask_path"), samples))
        strays = [path for path in place.paths() if path not in used]
    else:
        strays = []
    if strays:
        notes.append(f"{len(strays)} files of {place.category} have no entry in {place.json_name}: {few(strays)}.")
    refiled = [s.image_path for s in samples if s.code != NORMAL_CLASS and f"/NG_{s.code}/" not in s.part_id]
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
