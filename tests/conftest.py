"""What several test files share: real photographs, a small drawn set, and the command line."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from support import BSDATA, Ran, Run, command, environment

from expertad.sources.drawn import draw

# A busy machine is no reason to fail: tests assert what happens, and benchmarks how fast.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets its background jobs ignore Ctrl-C, and what they start inherits that; the tests send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def expertad(tmp_path: Path) -> Run:
    """Run `expertad` in an empty folder."""

    def run(*words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            command(*words), cwd=cwd or tmp_path, env=environment(**(env or {})), capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def bsdata() -> Path:
    """80 real photographs in Real-IAD's layout."""
    if not BSDATA.is_dir():
        pytest.fail(f"the real photographs are not at {BSDATA}")
    return BSDATA


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn set: every category, six parts each, 128 pixels."""
    root = tmp_path_factory.mktemp("drawn")
    draw(root, parts=6, seed=0, size=128)
    return root
