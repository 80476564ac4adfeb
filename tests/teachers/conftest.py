from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from expertad.sample import Case
from tests.teachers.helpers import build_case


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Case]:
    """Builds cases with real files: `make_case(number, anomalous=True, size=(96, 80), shot=0)`."""
    return partial(build_case, tmp_path)
