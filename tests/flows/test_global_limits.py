"""Limits that several machines share, on a real Prefect server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_server import Prefect, running
from support import REPOSITORY

TAKE = """
import asyncio, sys
from expertad.errors import TeacherAbort
from flows.global_limits import GlobalLimits

async def main():
    limits = GlobalLimits(sys.argv[1])
    try:
        for _ in range(2):
            await limits.take(2, 300)
    except TeacherAbort as error:
        print(error)

asyncio.run(main())
"""

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with running(tmp_path_factory.mktemp("prefect")) as made:
        yield made


def take(prefect: Prefect, name: str) -> str:
    """What two blocks of two requests and 300 tokens end in; "" when they were given."""
    done = subprocess.run(
        [sys.executable, "-c", TAKE, name], cwd=REPOSITORY, env=prefect.env, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make(prefect: Prefect, name: str, limit: int, decay: float) -> None:
    prefect.run("gcl", "create", name, "--limit", str(limit), "--slot-decay-per-second", str(decay))


def used(prefect: Prefect, name: str) -> int:
    return prefect.ask(f"/v2/concurrency_limits/{name}")["active_slots"]


def test_a_limit_that_cannot_give_a_block_says_how_to_make_it(prefect: Prefect, tmp_path: Path):
    missing = take(prefect, "none")
    assert "'none-requests'" in missing
    assert "must be created" in missing
    assert "prefect gcl create none-requests --limit 2 --slot-decay-per-second 1`" in missing
    make(prefect, "small-requests", 10, 5)
    make(prefect, "small-tokens", 299, 150)
    small = take(prefect, "small")
    assert "'small-tokens'" in small
    assert "greater than the limit" in small
    assert "--limit 300" in small


def test_blocks_are_taken_from_both_limits(prefect: Prefect):
    make(prefect, "both-requests", 10, 0.001)
    make(prefect, "both-tokens", 1000, 0.001)
    assert take(prefect, "both") == ""
    assert used(prefect, "both-requests") == 4
    assert used(prefect, "both-tokens") == 600
