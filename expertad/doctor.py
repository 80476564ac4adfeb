"""Everything a build needs, checked one by one, each with what to do when it is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from expertad.config import Settings
from expertad.errors import ExpertADError
from expertad.record import KINDS, schema_dir
from expertad.sources import open_source
from expertad.workspace import open_ledger

ENOUGH_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is as it should be, and what was found or what to do."""

    ok: bool
    what: str
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; nothing is written but the ledger's own migration."""
    return [_python(), _schemas(), _space(settings), _ledger(settings), *_source(settings), _teacher(settings)]


def _python() -> Finding:
    return Finding(sys.version_info >= (3, 11), "Python", sys.version.split()[0])


def _schemas() -> Finding:
    missing = [kind for kind in KINDS if not (schema_dir() / f"{kind}.schema.json").is_file()]
    detail = f"{len(KINDS)} in {schema_dir()}" if not missing else f"missing {missing}; install expertad again"
    return Finding(not missing, "schemas", detail)


def _space(settings: Settings) -> Finding:
    folder = settings.workspace.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return Finding(False, "workspace", f"{folder} is no folder; name another with --workspace")
    if not os.access(folder, os.W_OK):
        return Finding(False, "workspace", f"{folder} cannot be written; name another folder with --workspace")
    free = shutil.disk_usage(folder).free
    return Finding(free >= ENOUGH_BYTES, "workspace", f"{folder}, {free / 1e9:.1f} GB free")


def _ledger(settings: Settings) -> Finding:
    try:
        with open_ledger(settings, create=False) as ledger:
            return Finding(True, "ledger", f"{ledger.url}, {ledger.ingested()} samples")
    except ExpertADError as error:
        fresh = settings.ledger_url is None and not (settings.workspace / "ledger.sqlite3").exists()
        return Finding(fresh, "ledger", "none yet; the first build makes it" if fresh else str(error))


def _source(settings: Settings) -> Iterator[Finding]:
    if settings.source == "drawn" and not settings.source_root.exists():
        yield Finding(
            True, "source", f"the drawn set, not drawn yet; the first build draws it into {settings.source_root}"
        )
        return
    try:
        source = open_source(settings, lambda done, total: None)
    except ExpertADError as error:
        yield Finding(False, "source", str(error))
        return
    yield Finding(True, "source", f"{source.title} at {source.image_root}, {len(source.categories())} categories")


def _teacher(settings: Settings) -> Finding:
    from expertad.builder import teacher_settings
    from expertad.teachers.registry import make_backend

    try:
        name, model = settings.pair[0]
        backend = make_backend(name, teacher_settings(settings, model))
    except ExpertADError as error:
        return Finding(False, "teacher", str(error))
    where = f"; images will go to {backend.host}" if backend.remote else ", embedded: nothing leaves this machine"
    return Finding(True, "teacher", f"{backend.name}, {backend.model}{where}")
