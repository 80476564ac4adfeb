"""The ledger keeps what it was given, whole or not at all, and never twice."""

from __future__ import annotations

import dataclasses
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from expertad.errors import WorkspaceError
from expertad.ledger import Accounting, FileRow, Ledger, RegionRow, Standing, sqlite_url
from expertad.sample import Region, Sample
from expertad.teachers.base import Call
from expertad.verdict import Verdict


def sample(name: str, category: str = "bolt") -> Sample:
    return Sample(
        f"{category}/{name}", category, f"{category}/{name}", "", "normal", "OK", None, f"{category}/{name}.jpg", None
    )


def call(key: str, outcome: str = "ok", sample_id: str = "bolt/a", **changes: object) -> Call:
    values = {
        "key": key,
        "stage": "describe",
        "sample_id": sample_id,
        "attempt": 1,
        "backend": "openai",
        "model": "m",
        "host": "h",
        "outcome": outcome,
        "reason": "why",
        "code": "",
        "raw": "{}",
        "http_status": 200,
        "request_id": "r",
        "finish_reason": "stop",
        "input_tokens": 10,
        "output_tokens": 5,
        "image_tokens": 3,
        "cost": 0.5,
        "currency": "USD",
        "latency_s": 1.5,
        "prompt_version": "v1",
        "at": "2026-01-01T00:00:00Z",
    }
    return Call(**(values | changes))


@pytest.fixture
def ledger(tmp_path: Path):
    made = Ledger(sqlite_url(tmp_path))
    yield made
    made.close()


def test_a_category_is_replaced_as_a_whole(ledger: Ledger):
    ledger.replace_category("bolt", "f1", [sample("a"), sample("b")], [("bolt/x", "image missing")], notes=["odd"])
    ledger.replace_category("nut", "f1", [sample("a", "nut")], [])
    ledger.replace_category("bolt", "f2", [sample("b")], [])
    assert [s.sample_id for s in ledger.samples()] == ["bolt/b", "nut/a"]
    assert ledger.ingested() == 2
    assert ledger.categories()["bolt"] == ("f2", None, [])


def test_an_insert_that_fails_leaves_the_category_as_it_was(ledger: Ledger):
    ledger.replace_category("bolt", "f1", [sample("a")], [])
    with pytest.raises(WorkspaceError):
        ledger.replace_category("bolt", "f2", [sample("b"), sample("b")], [])
    assert [s.sample_id for s in ledger.samples()] == ["bolt/a"]
    assert ledger.categories()["bolt"][0] == "f1"


def test_samples_come_back_as_they_went_in(ledger: Ledger):
    anomalous = Sample("c/NG_HS/S1/C1", "c", "c/NG_HS/S1", "C1", "anomalous", "HS", "Scratch", "c/ü x.jpg", "c/ü x.png")
    ledger.replace_category("c", "f", [anomalous], [])
    assert ledger.samples() == [anomalous]


def test_an_unplaced_sample_counts_as_unselected_and_the_accounting_adds_up(ledger: Ledger):
    ledger.replace_category("bolt", "f", [sample("a"), sample("b"), sample("c")], [("bolt/x", "bad")])
    ledger.settle({"bolt/a": Standing("published", "ok", "pa_sft"), "bolt/x": Standing("unusable", "bad", None)})
    accounting = ledger.accounting()
    accounting.check()
    assert accounting == Accounting(4, 1, 2, 1, 1, 0, 0, 0)


def test_numbers_that_do_not_add_up_are_refused():
    with pytest.raises(WorkspaceError, match="does not add up"):
        Accounting(4, 1, 1, 1, 1, 0, 0, 0).check()


def test_settled_is_the_last_usable_or_quarantined_call(ledger: Ledger):
    ledger.commit(call("k", "retry"))
    assert ledger.settled("k") is None
    ledger.commit(call("k", "quarantine", attempt=2))
    assert ledger.settled("k").outcome == "quarantine"
    assert ledger.attempts("k") == 2
    assert ledger.quarantined() == {"k": ("bolt/a", "why")}


def test_retry_releases_only_what_is_named_and_keeps_the_rows(ledger: Ledger):
    ledger.commit_many([call("k1", "quarantine"), call("k2", "quarantine", sample_id="bolt/b")])
    assert ledger.release(["bolt/a", "bolt/none"]) == ["bolt/a"]
    assert ledger.settled("k1") is None
    assert ledger.settled("k2") is not None
    assert len(list(ledger.calls())) == 2
    ledger.commit(call("k1", "ok", attempt=2))
    assert ledger.settled("k1").outcome == "ok"
    assert set(ledger.quarantined()) == {"k2"}


def test_calls_come_back_as_they_went_in(ledger: Ledger):
    rows = [call("k", raw='{"a": "ü"}', cost=0.1), call("k", http_status=None, served_model="n", via="batch")]
    ledger.commit_many(rows)
    assert list(ledger.calls("bolt/a")) == rows
    assert ledger.spent()["m", "describe", "USD"]["calls"] == 2


def test_a_verdict_is_kept_once_and_in_order(ledger: Ledger):
    first = Verdict("bolt/a", "r1", "ann", "reject", reasons=("inaccurate",), at="2026-01-01T00:00:00Z")
    second = dataclasses.replace(first, decision="accept", reasons=(), at="2026-01-02T00:00:00Z")
    assert ledger.append_verdicts([first, second]) == 2
    assert ledger.append_verdicts([second, first]) == 0
    assert ledger.verdicts() == {"bolt/a": [first, second]}
    assert ledger.annotators() == ["ann"]


def test_files_and_regions_are_replaced_by_key(ledger: Ledger):
    region = Region("top left", (0, 1), ((1, 2, 3, 4),), 0.25, 3)
    ledger.store_files([FileRow("/a", 1, 2, "x", 3, 4, None)])
    ledger.store_files([FileRow("/a", 9, 9, None, None, None, "gone")])
    ledger.store_regions([RegionRow("m", "3x4", 3, region, None), RegionRow("m", "9x9", 3, None, "size")])
    assert ledger.files() == {"/a": FileRow("/a", 9, 9, None, None, None, "gone")}
    assert ledger.regions(3)["m", "3x4"].region == region
    assert ledger.regions(3)["m", "9x9"].problem == "size"
    assert ledger.regions(4) == {}


def test_a_newer_ledger_is_refused_with_advice(tmp_path: Path):
    Ledger(sqlite_url(tmp_path), version=7).close()
    with pytest.raises(WorkspaceError, match=r"schema version 7.*upgrade expertad"):
        Ledger(sqlite_url(tmp_path))


def test_an_older_ledger_is_backed_up_and_migrated(tmp_path: Path):
    ledger = Ledger(sqlite_url(tmp_path), version=1)
    ledger.replace_category("bolt", "f", [sample("a")], [])
    ledger.close()
    steps = {1: lambda connection: connection.execute(sa.text("ALTER TABLE samples ADD COLUMN extra TEXT"))}
    migrated = Ledger(sqlite_url(tmp_path), migrations=steps, version=2)
    assert migrated.recall("schema_version") == "2"
    migrated.close()
    backup = tmp_path / "ledger.sqlite3.v1.bak"
    with sqlite3.connect(backup) as old:
        assert old.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("1",)
        assert old.execute("SELECT count(*) FROM samples").fetchone() == (1,)


def as_version_1(path: Path, *verdicts: tuple[str, str]) -> None:
    """Make a ledger as version 1 left it, with verdicts (sample id, annotator)."""
    Ledger(sqlite_url(path)).close()
    with sqlite3.connect(path / "ledger.sqlite3") as database:
        database.execute("ALTER TABLE verdicts DROP COLUMN role")
        database.execute("DROP TABLE shown")
        database.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
        for number, (sample_id, annotator) in enumerate(verdicts, start=1):
            database.execute(
                "INSERT INTO verdicts VALUES (?, ?, ?, 'r', ?, 'reject', '[\"inaccurate\"]', NULL, NULL, NULL, '', '', "
                "NULL, 'file')",
                (str(number), number, sample_id, annotator),
            )


def test_verdicts_of_version_1_keep_counting(tmp_path: Path):
    as_version_1(tmp_path, ("bolt/a", "ann"), ("bolt/b", "bob"))
    old = [
        Verdict(f"bolt/{x}", "r", who, "reject", ("inaccurate",), origin="file")
        for x, who in (("a", "ann"), ("b", "bob"))
    ]
    ledger = Ledger(sqlite_url(tmp_path))
    try:
        assert ledger.recall("schema_version") == "2"
        assert ledger.verdicts() == {"bolt/a": [old[0]], "bolt/b": [old[1]]}
        assert ledger.annotators() == ["ann", "bob"]
        assert ledger.append_verdicts(old) == 0
        assert ledger.append_verdicts([dataclasses.replace(old[0], role="adjudication")]) == 1
        assert ledger.shown() == {}
    finally:
        ledger.close()
    assert (tmp_path / "ledger.sqlite3.v1.bak").is_file()


def test_a_migration_that_was_killed_half_way_is_finished(tmp_path: Path):
    as_version_1(tmp_path, ("bolt/a", "ann"))
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        database.execute("ALTER TABLE verdicts ADD COLUMN role TEXT NOT NULL DEFAULT 'review'")
    ledger = Ledger(sqlite_url(tmp_path))
    ledger.store_shown({"r": {"think": "x"}})
    assert [found.role for found in ledger.verdicts()["bolt/a"]] == ["review"]
    ledger.close()


def test_many_may_open_an_old_ledger_at_once(tmp_path: Path):
    as_version_1(tmp_path, ("bolt/a", "ann"))
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Ledger(sqlite_url(tmp_path)), range(8)))
    for ledger in opened:
        assert ledger.recall("schema_version") == "2"
        assert len(ledger.verdicts()["bolt/a"]) == 1
        ledger.close()


def test_what_was_shown_is_kept_as_it_was_first(ledger: Ledger):
    many = {f"r{number:04}": {"think": f"ü {number}", "cells": [number]} for number in range(1_203)}
    ledger.store_shown(many)
    ledger.store_shown({"r0001": {"think": "other"}, "new": {"think": "new"}})
    assert ledger.shown() == many | {"new": {"think": "new"}}
    assert ledger.shown(many) == many
    assert ledger.shown(["r0001", "none"]) == {"r0001": many["r0001"]}
    assert ledger.shown([]) == {}


def test_calibration_numbers_nobody(ledger: Ledger):
    practice = [Verdict("bolt/a", "r", who, "accept", role="calibration") for who in ("ann", "bob")]
    ledger.append_verdicts([*practice, Verdict("bolt/a", "r", "bob", "accept"), Verdict("bolt/a", "r", "ann", "edit")])
    assert ledger.annotators() == ["bob", "ann"]


def test_a_failing_migration_leaves_the_old_ledger(tmp_path: Path):
    Ledger(sqlite_url(tmp_path), version=1).close()
    with pytest.raises(WorkspaceError):
        Ledger(sqlite_url(tmp_path), migrations={1: lambda c: c.execute(sa.text("ALTER TABLE none ADD x"))}, version=2)
    again = Ledger(sqlite_url(tmp_path), version=1)
    assert again.recall("schema_version") == "1"
    again.close()


def test_who_only_looks_makes_no_tables(tmp_path: Path):
    (tmp_path / "ledger.sqlite3").touch()
    with pytest.raises(WorkspaceError, match="only being made"):
        Ledger(sqlite_url(tmp_path), create=False)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    Ledger(sqlite_url(tmp_path)).close()
    Ledger(sqlite_url(tmp_path), create=False).close()


def test_a_builder_killed_while_making_the_tables_is_followed_by_one_that_makes_the_rest(tmp_path: Path):
    Ledger(sqlite_url(tmp_path)).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        database.execute("DELETE FROM meta")
        database.execute("DROP TABLE verdicts")
    ledger = Ledger(sqlite_url(tmp_path))
    assert ledger.recall("schema_version") is not None
    assert ledger.verdicts() == {}
    ledger.close()


def test_a_file_that_is_no_database_is_refused_with_advice(tmp_path: Path):
    (tmp_path / "ledger.sqlite3").write_bytes(b"not a database at all" * 100)
    with pytest.raises(WorkspaceError, match="damaged"):
        Ledger(sqlite_url(tmp_path))


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from expertad.ledger import Ledger, sqlite_url
from tests_ledger_rows import call
ledger = Ledger(sqlite_url(Path(sys.argv[1])))
for number in range(10_000):
    ledger.commit(call(f"k{number}"))
    print(number, flush=True)
"""


def test_what_was_committed_survives_kill_9(tmp_path: Path):
    (tmp_path / "tests_ledger_rows.py").write_text(Path(__file__).read_text())
    program = tmp_path / "writer.py"
    program.write_text(WRITER)
    writer = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path), str(tmp_path)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parent.parent, env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": ""},
    )  # fmt: skip
    said = [writer.stdout.readline() for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().splitlines()
    writer.wait()
    last = int(rest[-1]) if rest else int(said[-1])
    ledger = Ledger(sqlite_url(tmp_path))
    kept = {row.key for row in ledger.calls()}
    ledger.close()
    assert kept >= {f"k{number}" for number in range(last + 1)}
    assert len(kept) <= last + 2
