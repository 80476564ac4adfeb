"""Replace a folder as a whole: whoever reads it sees the old one or the new one, whenever the writer dies."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from expertad.errors import DiskFull, WorkspaceError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

Exchange = Callable[[Path, Path], bool]


def exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step with renameat2(2); False where the kernel or file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(second))


@contextmanager
def replaced_folder(out: Path, exchange: Exchange = exchange) -> Iterator[Path]:
    """A new empty folder beside `out` that takes its place when the block ends well, and is removed when it does not.

    Everything is on disk (fsync) before the swap. Folders that a killed writer left behind are removed first; those of
    a living one are locked and left alone.

    Args:
        out: the folder to replace, or to make; its parents are made.
        exchange: swaps two folders at once, or returns False where that cannot be done. Then two renames follow each
            other, and a writer that dies between them leaves the old folder to be put back by the next.

    Raises:
        DiskFull: no room, or no quota, is left.
        WorkspaceError: the folder cannot be written for another reason.
    """
    out = out.resolve()
    with _as_our_errors(out):
        if out.exists() and not out.is_dir():
            raise WorkspaceError(f"{out} is a file; choose another folder to publish to, or move it away")
        out.parent.mkdir(parents=True, exist_ok=True)
        _clean_up(out)
        fresh, lock = _locked_folder(out)
        try:
            yield fresh
            sync_tree(fresh)
            _swap(fresh, out, exchange)
            _sync(out.parent)
        finally:
            # After the swap this is the old folder.
            shutil.rmtree(fresh, ignore_errors=True)
            os.close(lock)


@contextmanager
def _as_our_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise DiskFull(
                f"{out} could not be written: {reason}; make room and run again, what was there is intact"
            ) from error
        raise WorkspaceError(f"{out} could not be written: {reason} ({error.filename or out})") from error


def _prefix(out: Path) -> str:
    return f".{out.name}.new-"


def _retired(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def _clean_up(out: Path) -> None:
    retired = _retired(out)
    if retired.exists():
        if out.exists():
            shutil.rmtree(retired)
        else:
            retired.rename(out)
    for entry in out.parent.iterdir():
        if entry.name.startswith(_prefix(out)):
            lock = _try_lock(entry)
            if lock is not None:
                shutil.rmtree(entry, ignore_errors=True)
                os.close(lock)


def _locked_folder(out: Path) -> tuple[Path, int]:
    while True:
        fresh = out.with_name(f"{_prefix(out)}{secrets.token_hex(6)}")
        fresh.mkdir()
        # Another writer's clean-up may hold the folder, or have removed it, before it is locked: then take a new one.
        lock = _try_lock(fresh)
        if lock is not None and os.fstat(lock).st_nlink > 0:
            return fresh, lock


def _try_lock(folder: Path) -> int | None:
    """A file descriptor that holds the folder's lock until it is closed; None when it is held, or gone."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor
    return None


def _swap(fresh: Path, out: Path, exchange: Exchange) -> None:
    if not out.exists():
        fresh.rename(out)
    elif not exchange(fresh, out):
        retired = _retired(out)
        out.rename(retired)
        fresh.rename(out)
        shutil.rmtree(retired)


def sync_tree(folder: Path) -> None:
    """Wait until a folder with everything in it is on disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
