"""Review by files, from the shell: what people write is what is published, and nothing of who they are."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support import Ran, Run

from expertad import config
from expertad.builder import here, opened
from expertad.progress import Progress
from expertad.workspace import open_ledger

PEOPLE = ("Annegret Oberhuber", "bob@factory.example")
Pending = dict[str, dict]


class Reviewed:
    """A workspace whose drafts wait for people."""

    def __init__(self, expertad: Run, root: Path, folder: Path) -> None:
        self._expertad = expertad
        self._root = root
        self.workspace = folder / "W"
        self.verdicts = self.workspace / "review" / "verdicts.jsonl"

    def build(self, *more: object, review: str = "file") -> Ran:
        return self._expertad(
            "build", "--source", "real-iad", "--root", self._root, "--workspace", self.workspace, "--limit", 8,
            "--review", review, "--json", *more,
        )  # fmt: skip

    @property
    def pending(self) -> Pending:
        lines = (self.workspace / "review" / "pending.jsonl").read_text().splitlines()
        return {row["sample_id"]: row for row in map(json.loads, lines)}

    def write(self, *rows: dict) -> None:
        self.verdicts.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    @property
    def rows(self) -> dict[str, dict]:
        tables = [
            path for name in ("pa_sft", "sc_grpo") for path in (self.workspace / "dataset" / name).glob("*.parquet")
        ]
        return {row["id"]: row for path in tables for row in pq.read_table(path).to_pylist()}

    @property
    def card(self) -> str:
        return (self.workspace / "dataset" / "README.md").read_text()

    def told(self, sample_id: str) -> str:
        return self._expertad("status", "--workspace", self.workspace, "--sample", sample_id).out

    def state(self, sample_id: str) -> dict:
        return self._expertad("status", "--workspace", self.workspace, "--sample", sample_id, "--json").json


@pytest.fixture
def reviewed(expertad: Run, bsdata: Path, tmp_path: Path) -> Reviewed:
    return Reviewed(expertad, bsdata, tmp_path)


def decide(row: dict, decision: str, who: str = PEOPLE[0], **fields: object) -> dict:
    return {**row, "decision": decision, "annotator": who, **fields}


def anomalous(pending: Pending) -> list[dict]:
    return [row for row in pending.values() if row["location"] is not None]


def published_bytes(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.slow
def test_what_people_wrote_is_published_and_nothing_of_who_they_are(reviewed: Reviewed):
    first = reviewed.build()
    assert first.code == 0, first.err
    assert (first.json["published"], first.json["pending"], first.json["waiting"]) == (0, 8, 8)
    assert "8 samples wait for a person" in first.err
    pending = reviewed.pending
    assert len(pending) == 8
    for row in pending.values():
        assert Path(row["query"]).is_file()
        assert Path(row["reference"]).is_file()
        assert row["waits_for"].startswith("waits for a person")

    accepted, edited, refused, *open_ = anomalous(pending)
    normal = next(row for row in pending.values() if row["location"] is None)
    term = next(name for name in edited["fine_types"] if name != edited["fine_type"])
    think = edited["think"].replace(edited["fine_type"], term) + " This is certain."
    reviewed.write(
        decide(accepted, "accept"),
        decide(edited, "edit", PEOPLE[1], think=think, fine_type=term),
        decide(refused, "reject", reasons=["inaccurate", f"as {PEOPLE[1]} told me"], note="Annegret says no"),
        decide(normal, "accept", PEOPLE[1]),
    )
    second = reviewed.build()
    assert second.code == 0, second.err
    assert second.json["teacher"]["calls"] == 2  # the next candidate takes the place of the refused one
    rows = reviewed.rows
    assert rows.keys() == {accepted["sample_id"], edited["sample_id"], normal["sample_id"]}
    assert {row["reviewed"] for row in rows.values()} == {"human"}
    changed = rows[edited["sample_id"]]
    assert changed["fine_type"] == term
    if "messages" in changed:
        assert f"<think>{think}</think>" in changed["messages"][1]["content"]
    assert rows[accepted["sample_id"]]["fine_type"] == accepted["fine_type"]
    assert rows[accepted["sample_id"]]["revision"] == accepted["revision"]
    assert rows[accepted["sample_id"]]["provenance"]["annotators"] == "annotator-1"
    assert changed["provenance"]["annotators"] == "annotator-2"

    assert (second.json["published"], second.json["rejected"]) == (3, 1)
    assert reviewed.state(refused["sample_id"])["reason"].startswith("a person rejected it: inaccurate")
    assert not {accepted["sample_id"], refused["sample_id"]} & reviewed.pending.keys()
    data = published_bytes(reviewed.workspace / "dataset")
    for word in ("Annegret", "Oberhuber", "bob@", "factory.example"):
        assert word.encode() not in data
    card = (reviewed.workspace / "dataset" / "README.md").read_text()
    assert "2 annotators" in card

    third = reviewed.build()
    assert third.json["teacher"]["calls"] == 0
    assert published_bytes(reviewed.workspace / "dataset") == data

    # A changed mind, twice; the second time to what was said at first.
    reviewed.write(decide(accepted, "reject", reasons=["low_quality"]))
    assert reviewed.build().code == 0
    assert accepted["sample_id"] not in reviewed.rows
    assert edited["sample_id"] in reviewed.rows  # a verdict outlives the file it came from
    reviewed.write(decide(accepted, "accept"))
    assert reviewed.build().code == 0
    assert accepted["sample_id"] in reviewed.rows
    told = [verdict["decision"] for verdict in reviewed.state(accepted["sample_id"])["verdicts"]]
    assert told == ["accept", "reject", "accept"]

    # Another mode: what people decided stays, and the rest passes by the checks alone.
    assert reviewed.build(review="auto").code == 0
    rows = reviewed.rows
    assert refused["sample_id"] not in rows
    assert rows[edited["sample_id"]]["fine_type"] == term
    assert rows[edited["sample_id"]]["reviewed"] == "human"
    assert {row["reviewed"] for row in rows.values()} == {"human", "auto"}
    assert not reviewed.pending
    assert open_[0]["sample_id"] in rows


@pytest.mark.slow
def test_verdicts_that_cannot_be_published_wait_and_say_why(reviewed: Reviewed):
    # What passed by the checks alone waits for people once people are to decide.
    assert reviewed.build(review="auto").json["published"] == 8
    first = reviewed.build()
    assert (first.json["published"], first.json["pending"], first.json["teacher"]["calls"]) == (0, 8, 0)
    pending = reviewed.pending
    normal = next(row for row in pending.values() if row["location"] is None)
    leaky, moved, disputed, stale = anomalous(pending)[:4]
    elsewhere = "top" if moved["location"] != "top" else "bottom"
    reviewed.write(
        decide(leaky, "edit", think="In the highlighted box, " + leaky["think"]),
        decide(moved, "edit", location=elsewhere),
        decide(disputed, "accept", PEOPLE[0]),
        decide(disputed, "reject", PEOPLE[1], reasons=["inconsistent"]),
        decide(stale, "accept", revision="0" * 32),
        decide(normal, "edit", location="top", fine_type="stain"),
        decide(normal | {"sample_id": "no/such/sample"}, "accept"),
    )
    done = reviewed.build()
    assert done.code == 0, done.err
    assert (done.json["published"], done.json["pending"]) == (0, 8)
    waits = {row["sample_id"]: row["waits_for"] for row in reviewed.pending.values()}
    assert waits[leaky["sample_id"]].startswith("the edited text does not pass: leak")
    assert waits[moved["sample_id"]].startswith("the edited text does not pass: location")
    assert waits[disputed["sample_id"]] == "2 reviewers disagree and somebody has to decide"
    assert "an earlier verdict was about another text" in waits[stale["sample_id"]]
    assert "a normal sample has no location" in waits[normal["sample_id"]]
    assert len(reviewed.state(stale["sample_id"])["verdicts"]) == 1
    assert "1 verdict names no sample of this source" in done.err

    # One of the two gives in; the rest of their words stays as it was.
    with reviewed.verdicts.open("a") as file:
        file.write(json.dumps(decide(disputed, "accept", PEOPLE[1])) + "\n")
    assert reviewed.build().json["published"] == 1
    assert reviewed.rows.keys() == {disputed["sample_id"]}
    assert reviewed.rows[disputed["sample_id"]]["provenance"]["annotators"] == "annotator-1 annotator-2"


@pytest.mark.slow
def test_a_bad_verdict_line_stops_with_2_and_loses_nothing(reviewed: Reviewed):
    assert reviewed.build().code == 0
    row = next(iter(reviewed.pending.values()))
    reviewed.write(decide(row, "accept"))
    good = reviewed.verdicts.read_text()
    for bad, message in (("{nonsense\n", "not JSON"), (good.replace('"accept"', '"perhaps"'), "'perhaps' is none of")):
        reviewed.verdicts.write_text(good + bad)
        done = reviewed.build()
        assert done.code == 2
        assert f"{reviewed.verdicts}, line 2: " in done.err
        assert message in done.err
        assert "Traceback" not in done.err
        assert done.json["error"] in done.err
        assert done.json["pending"] == 8  # as the last run left it
        assert reviewed.rows == {}
    reviewed.verdicts.write_text(good)
    mended = reviewed.build()
    assert mended.json["published"] == 1
    assert mended.json["teacher"]["calls"] == 0


@pytest.mark.slow
def test_two_people_judge_each_sample_and_a_third_decides_where_they_differ(reviewed: Reviewed):
    assert reviewed.build("--overlap", 2).json["waiting"] == 8
    first = reviewed.pending
    same, other, once = anomalous(first)[:3]
    normal = next(row for row in first.values() if row["location"] is None)
    think = other["think"] + " This is certain."
    reviewed.write(
        decide(same, "accept", "zoe", role="calibration"),  # counts for nothing below
        decide(same, "accept", "ann"),
        decide(same, "edit", "bob"),  # changes nothing, so it is no other opinion
        decide(other, "reject", "ann", reasons=["inaccurate"]),
        decide(other, "edit", "bob", think=think),
        decide(once, "accept", "ann"),
        decide(normal, "accept", "ann"),
        decide(normal, "accept", "bob"),
    )
    done = reviewed.build()  # the overlap is remembered
    assert done.code == 0, done.err
    assert reviewed.rows.keys() == {same["sample_id"], normal["sample_id"]}
    assert reviewed.rows[same["sample_id"]]["provenance"]["annotators"] == "annotator-1 annotator-2"
    waits = {name: row["waits_for"] for name, row in reviewed.pending.items()}
    assert waits[once["sample_id"]] == "1 of 2 reviewers have decided"
    assert waits[other["sample_id"]] == "2 reviewers disagree and somebody has to decide"
    card = reviewed.card
    # Decisions accept-edit, reject-edit, accept-accept: observed 1/3; ann accepts 2 and rejects 1, bob edits 2 and
    # accepts 1, so by chance 2/9; kappa (3/9 - 2/9) / (1 - 2/9) = 1/7.
    assert "| decision | Cohen's kappa | 0.143 | 33.3% | 3 | 2 |" in card
    assert "2 annotators accepted 1 drafts, corrected 1 and rejected 0." in card
    assert "calibration" not in card

    with reviewed.verdicts.open("a") as file:
        file.write(json.dumps(decide(other, "edit", "cleo", think=think, role="adjudication")) + "\n")
    done = reviewed.build()
    assert done.code == 0, done.err
    row = reviewed.rows[other["sample_id"]]
    assert row["provenance"]["annotators"] == "annotator-1 annotator-2 annotator-3"
    assert reviewed.state(other["sample_id"])["reason"] == "an adjudicator chose edit"
    assert "3 annotators accepted 1 drafts, corrected 2 and rejected 0. Of these, 1 were decided" in reviewed.card
    assert "| decision | Cohen's kappa | 0.143 |" in reviewed.card  # what the two said stays as it was
    told = reviewed.told(other["sample_id"])
    assert "ann rejected it for inaccurate (file)" in told
    assert "cleo edited it, to decide between reviewers (file)" in told
    assert "{+This is certain.+}" in " ".join(told.split())
    verdicts = reviewed.state(other["sample_id"])["verdicts"]
    assert {verdict["shown"]["think"] for verdict in verdicts} == {other["think"]}

    # Who asks for one opinion only is content with what there is.
    assert reviewed.build("--overlap", 1).code == 0
    assert once["sample_id"] in reviewed.rows


@pytest.mark.slow
def test_a_list_of_what_waits_is_there_only_while_people_read_files(bsdata: Path, tmp_path: Path):
    listed = tmp_path / "W" / "review" / "pending.jsonl"

    def waiting(review: str) -> int:
        flags = {"source": "real-iad", "root": bsdata, "workspace": tmp_path / "W", "limit": 4, "review": review}
        with Progress() as progress, opened(config.load(flags), progress) as build:
            return build.run(here(build)).waiting

    assert waiting("label-studio") == 4
    assert not listed.exists()
    assert waiting("file") == 4
    assert len(listed.read_text().splitlines()) == 4
    assert waiting("label-studio") == 4
    assert not listed.exists()  # it would grow old beside the server, and be believed
    with open_ledger(config.load({"workspace": tmp_path / "W"})) as ledger:
        shown = ledger.shown()
    assert len(shown) == 4
    assert all(content["think"] for content in shown.values())
