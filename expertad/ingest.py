"""Stage 1: bring the ledger's entries up to date with the source, a category at a time."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from expertad.errors import SourceError
from expertad.ledger import Ledger
from expertad.sources.base import Source


@dataclass(frozen=True, slots=True)
class Ingested:
    """What ingesting found: categories read anew, those that could not be read (with the reason), and notes."""

    read: tuple[str, ...]
    problems: dict[str, str]
    notes: tuple[str, ...]


def ingest(source: Source, ledger: Ledger) -> Ingested:
    """Read every category whose files changed since the ledger read it; forget those the source no longer has.

    A category that cannot be read is recorded with the reason and does not stop the others.
    """
    known = ledger.categories()
    names = source.categories()
    ledger.drop_categories(set(known) - set(names))
    read: list[str] = []
    for category in names:
        try:
            fingerprint = _fingerprint(source, category)
        except SourceError as error:
            ledger.replace_category(category, "", [], [], problem=str(error))
            continue
        if category in known and known[category][0] == fingerprint:
            continue
        try:
            inventory = source.read(category)
        except SourceError as error:
            ledger.replace_category(category, fingerprint, [], [], problem=str(error))
            continue
        unusable = ((entry.sample_id, f"{entry.reason}: {entry.detail}") for entry in inventory.unusable)
        ledger.replace_category(category, fingerprint, inventory.samples, unusable, notes=inventory.notes)
        read.append(category)
    state = ledger.categories()
    return Ingested(
        read=tuple(read),
        problems={name: problem for name, (_, problem, _) in sorted(state.items()) if problem},
        notes=tuple(note for _, (_, _, notes) in sorted(state.items()) for note in notes),
    )


def _fingerprint(source: Source, category: str) -> str:
    """The source's own fingerprint, bound to which source it is: another root is another set of files."""
    identity = f"{source.name}|{source.image_root}|{source.fingerprint(category)}"
    return blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
