"""Six thousand samples: pushed, judged, pulled and looked at, with the times printed and the memory bounded."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from label_studio import builder, choice, running, steady
from support import command, environment

from expertad.ledger import Ledger, sqlite_url

SAMPLES = 6_000
MEGABYTES = 400

pytestmark = [pytest.mark.soak, pytest.mark.server]


LAUNCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, file=sys.stderr)
sys.exit(code != 0)
"""


def timed(what: str, *words: object) -> str:
    """Run a command to its end; prints how long it took and how much memory it had, and returns what it said.

    A small process starts it, because a process's peak memory counts what the one that started it holds.
    """
    begun = time.monotonic()
    launched = [sys.executable, "-c", LAUNCH, *command(*words)]
    done = subprocess.run(launched, env=environment(), capture_output=True, text=True, check=False)
    megabytes = float(done.stderr)
    print(f"{what} of {SAMPLES}: {time.monotonic() - begun:.1f} s, {megabytes:.0f} MB")
    assert done.returncode == 0, done.stdout
    if what != "build":
        assert megabytes < MEGABYTES, what
    return done.stdout


def test_six_thousand_samples_go_out_and_come_back(tmp_path: Path):
    workspace, drawn = tmp_path / "W", tmp_path / "drawn"
    here = ("--workspace", workspace)
    half = SAMPLES // 2
    subprocess.run(command("draw", drawn, "--profile", "smoke", "--parts", 3_300), env=environment(), check=True)
    timed(
        "build",
        *("build", "--source", "real-iad", "--root", drawn, *here, "--held-out", 0, "--review", "label-studio"),
        *("--pa-sft", half, "--sc-grpo", half),
    )
    with running(workspace) as access:
        assert f"review: {SAMPLES} tasks ({SAMPLES} new)" in timed("push", "review", "push", *here)
        assert f"review: {SAMPLES} tasks (0 new)" in timed("second push", "review", "push", *here)
        person = builder(access)
        (project,) = person.ask("GET", "/api/projects/")["results"]
        assert project["task_number"] == SAMPLES
        with steady(access) as post:
            seen = 0
            while seen < SAMPLES:
                page = seen // 500 + 1
                found = person.ask("GET", f"/api/tasks/?project={project['id']}&page={page}&page_size=500")["tasks"]
                for task in found:
                    post(task["id"], [choice("decision", "query", "accept")])
                seen += len(found)
        assert f"pulled {SAMPLES} new verdicts" in timed("pull", "review", "pull", *here)
        assert f"pulled 0 new verdicts ({SAMPLES} known" in timed("second pull", "review", "pull", *here)
        assert f"{SAMPLES} are decided by people" in timed("status", "review", "status", *here)
    ledger = Ledger(sqlite_url(workspace), create=False)
    try:
        assert sum(len(found) for found in ledger.verdicts().values()) == SAMPLES
    finally:
        ledger.close()
