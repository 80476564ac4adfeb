"""What every source of photographs offers the build, and how its entries keep their identity.

A source is read a category at a time. Each of its entries comes back exactly once, as a sample or as an unusable entry
with a reason, so that the accounting of the build begins complete.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from expertad.errors import SourceError
from expertad.sample import Sample
from expertad.sources.disk import printable


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry of the source that cannot become a sample.

    Args:
        sample_id: the id the sample would have; where that is unreadable or another entry holds it, one made of the
            entry's content. Unique among all ids of its category.
        reason: a short phrase from a fixed list, to count by ("image missing").
        detail: what is wrong, where, and what to do.
    """

    sample_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All entries of one category: `len(samples) + len(unusable)` is their number; no id occurs twice.

    `samples` and `unusable` are in order of their ids. `notes` are whole sentences for the user about what is odd but
    costs no entry.
    """

    category: str
    samples: list[Sample] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Source(Protocol):
    """A data set on disk, read a category at a time.

    `image_root` is the folder that every `image_path` and `mask_path` of its samples is relative to. `licence` and
    `title` go on the published card.
    """

    @property
    def name(self) -> str:
        """Which reader this is: "real_iad", "folder", ..."""

    @property
    def image_root(self) -> Path:
        """The folder that paths of samples are relative to."""

    @property
    def licence(self) -> str:
        """The licence of the photographs."""

    @property
    def title(self) -> str:
        """The data set's name for people."""

    def categories(self) -> Sequence[str]:
        """The categories it holds, sorted."""

    def fingerprint(self, category: str) -> str:
        """A digest that is cheap to take; while it stays equal there is nothing new to read.

        Raises:
            SourceError: the category is not one of `categories()`.
        """

    def read(self, category: str) -> Inventory:
        """Every entry of one category.

        Raises:
            SourceError: the category cannot be read at all; the others may still be.
        """


def content_id(stem: str, content: bytes, repeat: int) -> str:
    """An id for an entry that may not have the id `stem`: the same content has the same id wherever it stands.

    `repeat` tells apart entries of equal content: 0 for the first, 1 for the second.
    """
    digest = hashlib.blake2b(content + b"|%d" % repeat, digest_size=8).hexdigest()
    return f"{stem}~{digest}"


def few(names: Iterable[str], most: int = 3) -> str:
    """The first few names in order, and how many more there are: "a, b, c and 12 more"."""
    ordered = sorted(names)
    text = ", ".join(printable(name) for name in islice(ordered, most))
    return f"{text} and {len(ordered) - most} more" if len(ordered) > most else text


def required_folder(path: Path, meaning: str) -> Path:
    """The absolute path of a folder that can be listed.

    Raises:
        SourceError: it cannot; the message asks for `meaning`.
    """
    path = Path(os.path.abspath(path))
    try:
        os.listdir(path)
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist; give {meaning}") from error
    except NotADirectoryError as error:
        raise SourceError(f"{path} is a file; give {meaning}") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be listed: {error.strerror}; give {meaning}") from error
    return path
