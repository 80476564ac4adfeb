"""Whole builds on real photographs with a remote teacher: from the command line to the published data set."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.teachers.helpers import BACKENDS, KEY
from tests.teachers.loopback import MODEL, Answer, Hit, Loopback, completion, error, good

BSDATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bsdata"
pytestmark = pytest.mark.slow


def build(workspace: Path, url: str, backend: str, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the summary, and all that was printed."""
    command = [sys.executable, "-m", "expertad.cli", "build", "--source", "real-iad", "--root", str(BSDATA)]
    command += ["--workspace", str(workspace), "--teacher", backend, "--model", MODEL, "--base-url", url]
    command += ["--review", "auto", "--pa-sft", "12", "--sc-grpo", "12", "--json", *flags]
    environment = {**os.environ, "EXPERTAD_TEACHER_KEY": KEY}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def rows(workspace: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(workspace / "ledger.sqlite3") as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("backend", BACKENDS)
def test_build_ends_in_a_data_set_and_is_paid_once(backend: str, tmp_path: Path) -> None:
    with Loopback() as server:
        code, summary, printed = build(tmp_path, server.url(backend), backend)
        assert code == 0, printed
        assert summary["pa_sft"] == summary["sc_grpo"] == 12
        asked = len(server.hits)
        assert rows(tmp_path, "select count(*) from calls") == [(asked,)]
        assert {hit.path.endswith("/generation") for hit in server.hits} == {backend == "dashscope"}
        assert all(hit.headers["Authorization"] == f"Bearer {KEY}" for hit in server.hits)
    with Loopback() as elsewhere:
        code, _, printed = build(tmp_path, elsewhere.url(backend), backend, "--chunk", "5", "--at-once", "3")
        assert code == 0, printed
        assert elsewhere.hits == []
        seen = {row[0] for row in rows(tmp_path, "select distinct sample_id from calls")}
        build(tmp_path, elsewhere.url(backend), backend, "--seed", "5")
        again = Counter(row[0] for row in rows(tmp_path, "select key from calls"))
        assert max(again.values()) == 1
        fresh = {row[0] for row in rows(tmp_path, "select distinct sample_id from calls")} - seen
        pairs = rows(tmp_path, f"select sample_id from calls where id > {asked}")
        assert len(elsewhere.hits) == len(pairs)
        assert fresh <= {row[0] for row in pairs}


@pytest.mark.parametrize("backend", BACKENDS)
def test_stormy_build_adds_up_and_hides_the_key(backend: str, tmp_path: Path) -> None:
    storm = random.Random(3)

    def play(hit: Hit) -> Answer:
        if hit.number == 1:
            return good(hit)
        bad = {
            "busy": lambda: error(hit, 503, "Busy", f"key {KEY} is fine, the server is not"),
            "limit": lambda: error(hit, 429, "Throttling", "slow down", Retry_After="0"),
            "html": lambda: Answer(502, f"<html>{KEY}</html>".encode(), {"Content-Type": "text/html"}),
            "talk": lambda: completion(hit, f"I was given {KEY}."),
            "filter": lambda: error(hit, 400, "DataInspectionFailed", "inappropriate content"),
            "contrary": lambda: good(hit, defect=not hit.anomalous, answer="No" if hit.anomalous else "Yes"),
            "reset": lambda: Answer(action="reset"),
        }
        if storm.random() < 0.35:
            return bad[storm.choice(sorted(bad))]()
        return good(hit)

    with Loopback(play) as server:
        code, summary, printed = build(tmp_path, server.url(backend), backend)
        assert code in (0, 3), printed
        assert rows(tmp_path, "select count(*) from calls where host <> ''") == [(len(server.hits),)]
    outcomes = Counter(row[0] for row in rows(tmp_path, "select outcome from calls"))
    assert outcomes["quarantine"] > 0
    assert outcomes["retry"] > 0
    assert outcomes["ok"] > 20
    count = summary
    assert count["ingested"] == count["selected"] + count["unselected"] + count["unusable"]
    assert count["selected"] == sum(count[name] for name in ("published", "rejected", "quarantined", "pending"))
    assert KEY not in printed
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_wrong_key_costs_one_request_and_exits_with_3(tmp_path: Path) -> None:
    with Loopback(lambda hit: error(hit, 401, "InvalidApiKey", f"Incorrect API key provided: {KEY}")) as server:
        code, _, printed = build(tmp_path, server.url("openai"), "openai")
    assert code == 3, printed
    assert len(server.hits) == 1
    assert KEY not in printed
    assert "401" in printed


def test_looking_at_a_build_needs_no_key(tmp_path: Path) -> None:
    words = ["--source", "real-iad", "--root", str(BSDATA), "--teacher", "openai", "--model", "m", "--region", "intl"]
    names = ("EXPERTAD_TEACHER_KEY", "DASHSCOPE_API_KEY", "OPENAI_API_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in names}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "expertad.cli", command, *words, "--workspace", str(tmp_path / "W")]
        return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300, check=False)

    built, looked = run("build"), run("report")
    assert built.returncode == 2
    assert "key" in built.stderr
    assert "key" not in looked.stderr
