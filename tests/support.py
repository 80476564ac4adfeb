"""The command line as a user runs it, for tests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
BSDATA = REPOSITORY.parent / "shared" / "data" / "bsdata"
"""80 real photographs in Real-IAD's layout."""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of stdout."""
        return json.loads(self.out.splitlines()[-1])


Run = Callable[..., Ran]


def command(*words: object) -> list[str]:
    """`expertad …` with the interpreter that runs the tests."""
    return [sys.executable, "-m", "expertad.cli", *map(str, words)]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a user with nothing configured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EXPERTAD_", "PREFECT_"))}
    return kept | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"} | extra
