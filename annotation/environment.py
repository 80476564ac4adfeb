"""Label Studio's own environment: a virtual environment made once, from pins, by pip.

Label Studio cannot share ours: it would take Prefect, openai and numpy back to old versions. Its pins,
`label-studio.txt`, are one working installation; they fit Python 3.11 to 3.13. `python -m annotation.environment
[FOLDER]` makes it beforehand.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from annotation.child import tied
from expertad.errors import DiskFull, ExpertADError, ReviewError

if TYPE_CHECKING:
    from expertad.doctor import Finding

VERSION = "1.23.2"
PYTHONS = ((3, 11), (3, 13))
"""First and last Python that the pins fit."""
VARIABLE = "EXPERTAD_LABEL_STUDIO"
STAMP = ".expertad"
"""In the folder: empty from the start of the making, the pins' digest from its end."""
ENOUGH_BYTES = 1_800_000_000

Say = Callable[[str], None]


def default_folder() -> Path:
    """Where the environment lies: what `EXPERTAD_LABEL_STUDIO` names, else the user's cache."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "expertad" / f"label-studio-{VERSION}"


def ensure(folder: Path | None, say: Say) -> Path:
    """Label Studio's program; its environment is made first where it is missing, half made or of other pins.

    An environment of this version that somebody else made is used as it is.

    Raises:
        ReviewError: it cannot be made; says why, with pip's last lines.
        DiskFull: there is no space for it.
    """
    folder = (folder or default_folder()).absolute()
    if _ready(folder):
        return _program(folder)
    with _writing(folder), _only_maker(folder, say):
        if not _ready(folder):
            _make(folder, say)
    return _program(folder)


def _program(folder: Path) -> Path:
    return folder / "bin" / "label-studio"


def _ready(folder: Path) -> bool:
    if not _program(folder).is_file():
        return False
    stamp = folder / STAMP
    if stamp.exists():
        return stamp.read_text() == _digest()
    if next(folder.glob(f"lib/python3*/site-packages/label_studio-{VERSION}.dist-info"), None):
        return True
    raise ReviewError(f"{folder} holds another Label Studio than {VERSION}: name another folder with {VARIABLE}")


def _digest() -> str:
    lines = pins().read_text(encoding="utf-8").splitlines()
    return hashlib.sha256("\n".join(line for line in lines if not line.startswith("#")).encode()).hexdigest()


def pins() -> Path:
    """The file that names every package of the environment with its version."""
    return Path(str(files("annotation").joinpath("label-studio.txt")))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(folder) from error
        raise ReviewError(
            f"cannot make Label Studio's environment: {error.filename or folder}: {error.strerror or error}; name "
            f"another folder with {VARIABLE}"
        ) from error


@contextmanager
def _only_maker(folder: Path, say: Say) -> Iterator[None]:
    """Wait until nobody else makes this environment; the operating system lets go of a maker that was killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process, which makes Label Studio's environment in {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make(folder: Path, say: Say) -> None:
    check_python(sys.version_info[:2])
    if folder.exists() and not (folder / STAMP).exists() and any(folder.iterdir()):
        raise ReviewError(f"{folder} holds something else, which is left alone: name an empty folder with {VARIABLE}")
    check_space(shutil.disk_usage(folder.parent).free, folder)
    say(f"making Label Studio's own environment in {folder}: about 1 GB and some minutes, once")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    stamp = folder / STAMP
    stamp.touch()
    _run([sys.executable, "-m", "venv", folder], folder)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # Every package is named, so pip has nothing to choose.
    _run([*pip, "install", "--no-deps", "--requirement", pins()], folder)
    # The whole digest or none: a reader takes anything else for half made.
    partial = stamp.with_name(f"{STAMP}.part")
    partial.write_text(_digest())
    partial.replace(stamp)
    say("Label Studio's environment is ready")


def check_python(version: tuple[int, ...]) -> None:
    """Refuse a Python, `(major, minor)`, for which the pins are not known to fit."""
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        first, last, this = (".".join(map(str, one)) for one in (*PYTHONS, version))
        raise ReviewError(
            f"the pins of Label Studio {VERSION} fit Python {first} to {last}, and this is {this}: make a virtual "
            f"environment with one of those, install label-studio=={VERSION} into it, and name it with {VARIABLE}"
        )


def check_space(free: int, folder: Path) -> None:
    """Refuse to begin with fewer bytes than the whole takes while it is made."""
    needed = ENOUGH_BYTES / 1e9
    if free < ENOUGH_BYTES:
        raise DiskFull(
            f"Label Studio's environment needs {needed:.1f} GB, and {free / 1e9:.1f} are free for {folder}; "
            f"free some, or name another folder with {VARIABLE}"
        )


def _run(command: list[str | Path], folder: Path) -> None:
    """Run one step of the making; it dies with us, so that nobody writes into a folder that a later maker clears."""
    done = subprocess.Popen(
        tied(command), env=_clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    try:
        assert done.stdout is not None
        last = deque((line.rstrip() for line in done.stdout), maxlen=12)
        done.wait()
    finally:
        done.kill()
        done.communicate()
    if done.returncode == 0:
        return
    said = "\n".join(f"  {line}" for line in last if line)
    if re.search(r"No space left on device|Errno 28|Disk quota exceeded", said):
        raise _full(folder)
    raise ReviewError(
        f"Label Studio's environment could not be made in {folder}; {Path(command[0]).name} said last:\n{said}\n"
        "It needs a package index that pip reaches; once that is mended, run the same command again"
    )


def _full(folder: Path) -> DiskFull:
    return DiskFull(f"no space is left to make Label Studio's environment in {folder}; free some and run again")


def _clean_environment() -> dict[str, str]:
    """Ours without what would lead another Python to our packages."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


def look(folder: Path | None = None) -> Finding:
    """What `expertad doctor` says about it; that it is missing is no fault, because it is made on first use."""
    from expertad.doctor import Finding

    folder = (folder or default_folder()).absolute()
    try:
        ready = _ready(folder)
    except ReviewError as error:
        return Finding(False, "Label Studio", str(error))
    return Finding(True, "Label Studio", f"{VERSION} in {folder}" + ("" if ready else ", made on first use (1 GB)"))


def main() -> int:
    """Make the environment and print its program."""
    try:
        print(ensure(Path(sys.argv[1]) if len(sys.argv) > 1 else None, lambda line: print(line, file=sys.stderr)))
    except ExpertADError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
