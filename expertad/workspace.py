"""A workspace: the folder of one build, its ledger, and the lock that lets one builder in at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from expertad.config import Settings
from expertad.errors import DiskFull, WorkspaceError, WorkspaceHeld, WorkspaceNotBuilt
from expertad.ledger import Ledger, sqlite_url

LOCK_NAME = ".lock"


@contextmanager
def hold(workspace: Path) -> Iterator[None]:
    """Keep a workspace to this process; the operating system lets go of it however the process ends.

    Raises:
        WorkspaceError: another builder holds it, or the folder cannot be written.
    """
    path = workspace / LOCK_NAME
    with write_errors(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceHeld(
                f"another build is at work in {workspace}: {_holder(path)}; wait for it, or stop it"
            ) from None
        with write_errors(workspace):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_myself()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _myself() -> dict[str, str | int]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "its process did not say which"


@contextmanager
def write_errors(where: Path) -> Iterator[None]:
    """Turn failures of the file system into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise explained(error, where) from error


def explained(error: OSError, where: Path) -> WorkspaceError | DiskFull:
    """The error of ours that an `OSError` means."""
    name = error.filename or where
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space is left to write {name}; free some and run again, what is done is kept")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return WorkspaceError(f"cannot write {name}: {error.strerror}; choose a folder you may write with --workspace")
    return WorkspaceError(f"cannot use {name}: {error.strerror or error}")


def ledger_url(settings: Settings) -> str:
    """The ledger's URL: what the settings name, or SQLite in the workspace."""
    return settings.ledger_url or sqlite_url(settings.workspace.absolute())


@contextmanager
def open_ledger(settings: Settings, *, create: bool = True) -> Iterator[Ledger]:
    """The workspace's ledger, closed at the end.

    Raises:
        WorkspaceError: it cannot be used, or, with `create=False`, there is none yet.
    """
    if not create and settings.ledger_url is None and not (settings.workspace / "ledger.sqlite3").is_file():
        raise WorkspaceNotBuilt(
            f"there is no build in {settings.workspace} yet: run `expertad build`, or name another with --workspace"
        )
    ledger = Ledger(ledger_url(settings), create=create)
    try:
        yield ledger
    finally:
        ledger.close()
