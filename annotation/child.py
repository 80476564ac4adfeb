"""Programs that end with the process that started them, even when that is killed outright."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

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
