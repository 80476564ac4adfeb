"""Programs that we start: they end with us, even when we are killed outright, and we can tell where they listen."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Asked of the kernel by the child itself: code between fork and exec would be unsafe where there are threads. The
# parent may be gone before the child has asked, which it then sees from having another one.
_PROGRAM = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.getppid() == int(sys.argv[1]) or os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def tied(command: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The command that runs `command`, whose program is a whole path, and dies with this process (Linux).

    To be started from a thread that lives as long as the child may: the kernel looks at the thread.
    """
    return [sys.executable, "-I", "-c", _PROGRAM, str(os.getpid()), *(os.fspath(word) for word in command)]


def listens(pid: int) -> set[int]:
    """The TCP ports on which a process of this user waits for connections (Linux); none where it has ended."""
    try:
        rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        sockets = {_target(handle) for handle in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()
    listening = "0A"
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == listening and f"socket:[{row[9]}]" in sockets}


def _target(handle: Path) -> str:
    try:
        return os.readlink(handle)
    except OSError:  # closed since it was listed
        return ""
