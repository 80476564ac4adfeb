"""kill -9 in the middle of 500 calls: what was committed is never asked again, and little else is."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from expertad.ledger import Ledger, sqlite_url
from tests.teachers.loopback import Hit, Loopback

CALLS, AT_ONCE = 500, 64


def start(folder: Path, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.teachers.describe_all", str(folder), url, str(CALLS), str(AT_ONCE)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def item(hit: Hit) -> str:
    return hit.prompt.rpartition('"item": "')[2][:10]


def committed(folder: Path) -> set[str]:
    ledger = Ledger(sqlite_url(folder))
    found = {call.key[:10] for call in ledger.calls() if call.outcome == "ok"}
    ledger.close()
    return found


def kill_and_finish(folder: Path, after: int) -> None:
    """One round: kill once `after` requests have arrived, run again to the end, and compare wire and ledger."""
    with Loopback(latency_s=0.15) as server:
        first = start(folder, server.url("openai"))
        deadline = time.monotonic() + 120
        while len(server.hits) < after and time.monotonic() < deadline:
            assert first.poll() is None, first.communicate()[1].decode()
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(0.3)
        seen, kept = len(server.hits), committed(folder)
        assert after <= seen < CALLS
        assert seen - len(kept) <= AT_ONCE
        second = start(folder, server.url("openai"))
        _, errors = second.communicate(timeout=120)
        assert second.returncode == 0, errors.decode()
        hits = Counter(item(hit) for hit in server.hits)
        assert len(hits) == CALLS
        assert committed(folder) == set(hits)
        assert all(hits[key] == 1 for key in kept)
        assert max(hits.values()) <= 2
        assert CALLS <= sum(hits.values()) <= CALLS + AT_ONCE


def rounds(folder: Path, count: int) -> None:
    chance = random.Random(7)
    for number in range(count):
        kill_and_finish(folder / str(number), chance.randrange(100, 420))


@pytest.mark.slow
def test_killed_twice(tmp_path: Path) -> None:
    rounds(tmp_path, 2)


@pytest.mark.soak
def test_killed_ten_times(tmp_path: Path) -> None:
    rounds(tmp_path, 10)
