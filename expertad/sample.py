"""The values that travel through the build: all frozen; a step takes one and returns another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Stratum = Literal["normal", "anomalous", "ng_view_ok"]

NORMAL_CLASS = "OK"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One physical product, photographed in up to five views.

    `status` is "OK" or "NG_<CODE>", as the source files it; it names the part and is never its views' label.
    """

    category: str
    status: str
    number: str

    @property
    def part_id(self) -> str:
        """`<category>/<status>/<number>`, the sample id without its view."""
        return f"{self.category}/{self.status}/{self.number}"


@dataclass(frozen=True, slots=True)
class View:
    """One photograph of a part: its name ("C1" to "C5") and its files, relative to the image root."""

    name: str
    image_path: str
    mask_path: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One query image with its truth as the source states it.

    Args:
        sample_id: `<category>/<OK|NG_CODE>/S<number>/C<view>`; other sources `<category>/<path without suffix>`.
        category: product category, the first segment of every published path.
        part_id: the part all of whose views must stay in one partition.
        view: "C1" to "C5"; "" where the source has no views.
        stratum: "normal", "anomalous", or "ng_view_ok" (a defective part's view in which no defect is visible).
        code: the source's class of this image ("OK", "HS", ...); the label, never read from the path.
        coarse_type: one of taxonomy.COARSE_TYPES for an anomalous sample, else None.
        image_path: POSIX path relative to the image root; begins with the category.
        mask_path: likewise; None for a sample without a visible defect.
    """

    sample_id: str
    category: str
    part_id: str
    view: str
    stratum: Stratum
    code: str
    coarse_type: str | None
    image_path: str
    mask_path: str | None

    @property
    def anomalous(self) -> bool:
        """True when the image shows a defect."""
        return self.stratum == "anomalous"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A photograph on disk as it was when hashed.

    `sha256` is lower-case hex of the file's bytes; `width` and `height` are in pixels.
    """

    path: Path
    relative: str
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Region:
    """Where the defect is, as DESIGN defines it from the mask (see `expertad.grid.locate`).

    Args:
        location: name of the cell that holds most foreground.
        cells: 0-based cell numbers in reading order that hold at least a tenth of the foreground.
        boxes: pixel `(x, y, width, height)` of the 8-connected components, largest area first.
        area: foreground's share of the image, 0 < area <= 1.
        grid: n of the n x n grid.
    """

    location: str
    cells: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    area: float
    grid: int = 3


@dataclass(frozen=True, slots=True)
class Case:
    """All that a teacher may be told about one sample: the query, a normal reference, and the truth.

    `shot` is 0 when the student will see the query alone, 1 when it will see reference and query; the text a teacher
    writes must fit that. `region`, `mask` and `mask_sha256` are None for a normal sample.
    """

    sample: Sample
    query: ImageFile
    reference: ImageFile
    reference_id: str
    region: Region | None
    mask: Path | None
    shot: Literal[0, 1] = 0
    mask_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What the teacher wrote about one sample, before a person sees it.

    `fine_type` is None for a normal sample. `provenance` names backend, models and prompt versions.
    """

    sample_id: str
    description: str
    think: str
    fine_type: str | None
    provenance: tuple[tuple[str, str], ...] = field(default=())
