"""What lies on disk below a folder, read with few system calls, and what is wrong with a file that cannot be used.

Paths inside a source are POSIX strings relative to its image root: a whole data set is too many files for path objects.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import unicodedata
from typing import NamedTuple

RECENT_NS = 2_000_000_000
"""File systems stamp folders in steps of up to two seconds, so a later change may leave so young a stamp as it is."""


class Fault(NamedTuple):
    """Why a path cannot be used: `reason` a phrase to count by, `detail` the rest of a sentence about that path."""

    reason: str
    detail: str

    def about(self, subject: str) -> Fault:
        """The same fault with its sentence complete."""
        return Fault(self.reason, f"{subject} {self.detail}")


def text_fault(path: str) -> Fault | None:
    """What is wrong with a relative path as it is written, before any disk is asked; None when it is plain."""
    segments = path.split("/")
    if "\0" in path:
        return Fault("path not plain", "contains a NUL character")
    if "\\" in path:
        return Fault("path not plain", 'contains a backslash; write folders with "/"')
    if path.startswith("/") or (path[:1].isalpha() and path[1:2] == ":"):
        return Fault("outside the image root", "is absolute; write it relative to the category's folder")
    if ".." in segments:
        return Fault("outside the image root", 'climbs with ".."; write it relative to the category\'s folder')
    if "" in segments or "." in segments:
        return Fault("path not plain", 'has an empty or "." segment; write each folder once')
    return None


def file_fault(path: str, boundary: str, what: str) -> Fault | None:
    """What is wrong with a file on disk; None for a regular file whose real place is below `boundary`.

    Args:
        path: the file, below an existing folder.
        boundary: the real path (no symbolic links) of the folder that files must not leave.
        what: "image" or "mask", for the reason.
    """
    try:
        real = os.path.realpath(path, strict=True)
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            return Fault(f"{what} missing", "is a symbolic link to a file that does not exist; restore that file")
        return Fault(f"{what} missing", "does not exist on disk; extract or download it again, or remove the entry")
    except NotADirectoryError:
        return Fault(f"{what} missing", "does not exist: one of its folders is a file")
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Fault("symbolic link loop", "is a symbolic link that leads back to itself; replace it by the file")
        return Fault(f"{what} unreachable", f"cannot be reached: {error.strerror}")
    if not inside(real, boundary):
        return Fault("outside the image root", f"is a symbolic link out of {printable(boundary)}; copy the file there")
    if not stat.S_ISREG(mode):
        return Fault(f"{what} not a file", "is not a regular file")
    return None


def inside(real: str, boundary: str) -> bool:
    """True when a real path is the boundary or lies below it."""
    return real == boundary or real.startswith(boundary.rstrip(os.sep) + os.sep)


def printable(text: str) -> str:
    """The text with bytes of a file name that are not UTF-8 written as escapes, so that it can be stored."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def usable_files(top: str, name: str, boundary: str) -> dict[str, set[str]]:
    """The names of the files in each folder at and below `top`, by `name` + the folder's path relative to it.

    Only regular files whose real place is below `boundary` (a real path) count. Folders behind symbolic links are
    entered while their real place is below it too and is none of the folders that led there, so that the walk ends;
    folders that cannot be listed are left out, as are names with a backslash, which no POSIX path may hold here.
    """
    found: dict[str, set[str]] = {}
    waiting: list[tuple[str, str, tuple[str, ...]]] = [(top, name, ())]
    while waiting:
        folder, relative, above = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            continue
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        others = () if len(names) == len(entries) else [entry for entry in entries if entry.name not in names]
        for entry in others:
            below = f"{relative}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, below, above))
            elif entry.is_symlink():
                real = os.path.realpath(entry.path)
                led_here = (*above, os.path.realpath(folder))
                loops = any(inside(ancestor, real) for ancestor in led_here)
                if os.path.isdir(real) and inside(real, boundary) and not loops:
                    waiting.append((entry.path, below, led_here))
                elif file_fault(entry.path, boundary, "file") is None:
                    names.add(entry.name)
        if "\\" in "".join(names):
            names = {name for name in names if "\\" not in name}
        found[relative] = names
    return found


def fold(text: str) -> str:
    """The text with differences of letter case and of Unicode composition removed: how near misses are found."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def difference(found: str, wanted: str) -> str:
    """The hint to append where two names are alike and not equal; "" where they are not alike."""
    if fold(found) != fold(wanted):
        return ""
    if unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", wanted):
        return " (the same letters, composed otherwise in Unicode: rename one after the other)"
    return " (they differ in letter case alone: rename one after the other)"


def listed(folder: str) -> list[str]:
    """The names in a folder; none where it cannot be listed, or not any more."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def folder_stamp(folder: str) -> str:
    """What changes when a file is added to or removed from a folder; "" where it cannot be reached.

    The folder's time of change is enough unless it is so young that a further change could carry the same stamp; then
    the names count too.
    """
    try:
        mtime_ns = os.stat(folder).st_mtime_ns
    except OSError:
        return ""
    return f"{mtime_ns} {sorted(listed(folder))!r}" if time.time_ns() - mtime_ns < RECENT_NS else str(mtime_ns)
