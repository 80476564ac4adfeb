"""Who lets a draft pass, and what files of verdicts may hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertad.checks import Finding, run_checks
from expertad.errors import ReviewError
from expertad.ledger import Ledger, sqlite_url
from expertad.review import edited, overlap, read_verdicts, revision, rule, write_pending
from expertad.sample import Case, Draft, ImageFile, Region, Sample
from expertad.verdict import Verdict

THINK = (
    "I look over the whole housing from left to right and stop at its top left, where a thin bright line crosses the "
    "coating. A sound surface is even there; this one is cut open. It is a defect, and corrosion may begin in it."
)
DESCRIPTION = "A thin bright line crosses the coating at the top left of the housing; elsewhere the surface is even."
HARD = Finding("leak", "reject", "speaks of a mask")
SOFT = Finding("layers", "person", "no trace of a decision")


def photo(name: str) -> ImageFile:
    return ImageFile(Path("/photos") / name, name, name.encode().hex().ljust(64, "0"), 300, 300)


def scratched() -> Case:
    name = "housing/NG_HS/S0001/C1"
    sample = Sample(
        name, "housing", "housing/NG_HS/S0001", "C1", "anomalous", "HS", "Scratch", "housing/a.jpg", "housing/a.png"
    )
    region = Region("top left", (0, 1), ((10, 10, 120, 4),), 0.005, 3)
    return Case(sample, photo("a.jpg"), photo("r.jpg"), "housing/OK/S0009/C1", region, Path("/photos/a.png"))


def sound() -> Case:
    name = "housing/OK/S0002/C1"
    sample = Sample(name, "housing", "housing/OK/S0002", "C1", "normal", "OK", None, "housing/b.jpg", None)
    return Case(sample, photo("b.jpg"), photo("r.jpg"), "housing/OK/S0009/C1", None, None)


def written(case: Case) -> Draft:
    if case.region is not None:
        return Draft(case.sample.sample_id, DESCRIPTION, THINK, "surface scratch", ())
    think = (
        "I scan the whole housing and its coating is even everywhere. Nothing is missing or bent, as the standard "
        "demands. The part has no defect and will work as it should."
    )
    return Draft(case.sample.sample_id, "An even coating without any mark or gap in this view.", think, None, ())


def verdict(case: Case, who: str, decision: str, **fields: object) -> Verdict:
    return Verdict(case.sample.sample_id, revision(case, written(case)), who, decision, **fields)  # type: ignore[arg-type]


def test_the_texts_used_here_pass_the_checks():
    for case in (scratched(), sound()):
        assert run_checks(case, written(case)) == ()


# ------------------------------------------------------------------------------------------------ who decides


@pytest.mark.parametrize(
    ("findings", "people", "state", "reason"),
    [
        ((), False, "published", "passed all checks"),
        ((SOFT,), False, "rejected", "layers: no trace of a decision"),
        ((SOFT, HARD), False, "rejected", "leak: speaks of a mask"),
        ((), True, "pending", "waits for a person"),
        ((SOFT,), True, "pending", "waits for a person; layers: no trace of a decision"),
        ((SOFT, HARD), True, "rejected", "leak: speaks of a mask"),
    ],
)
def test_without_verdicts_the_checks_decide_or_a_person_is_waited_for(findings, people, state, reason):
    case = scratched()
    ruling = rule(case, written(case), findings, (), people=people)
    assert (ruling.state, ruling.reason, ruling.verdict, ruling.reviewed) == (state, reason, None, "auto")


@pytest.mark.parametrize("people", [True, False])
@pytest.mark.parametrize(
    ("decision", "state"), [("accept", "published"), ("edit", "published"), ("reject", "rejected")]
)
def test_what_a_person_decided_holds_in_every_mode(people: bool, decision: str, state: str):
    case = scratched()
    given_verdict = verdict(case, "ann", decision)
    ruling = rule(case, written(case), (SOFT,), [given_verdict], people=people)
    assert (ruling.state, ruling.verdict) == (state, given_verdict)
    assert ruling.reviewed == ("human" if state == "published" else "auto")


def test_a_rejection_tells_its_reasons():
    case = scratched()
    ruling = rule(
        case, written(case), (), [verdict(case, "ann", "reject", reasons=("inaccurate", "wrong_type"))], people=True
    )
    assert ruling.reason == "a person rejected it: inaccurate, wrong_type"


def test_the_latest_verdict_of_a_person_wins():
    case = scratched()
    history = [verdict(case, "ann", "reject"), verdict(case, "ann", "accept")]
    assert rule(case, written(case), (), history, people=True).state == "published"
    assert rule(case, written(case), (), history[::-1], people=True).state == "rejected"


def test_people_who_disagree_leave_it_open_until_one_changes_their_mind():
    case = scratched()
    history = [verdict(case, "ann", "accept"), verdict(case, "bob", "reject")]
    ruling = rule(case, written(case), (), history, people=True)
    assert (ruling.state, ruling.reason) == ("pending", "2 reviewers disagree and somebody has to decide")
    history.append(verdict(case, "bob", "accept"))
    assert rule(case, written(case), (), history, people=True).state == "published"


def test_two_different_edits_are_a_disagreement():
    case = scratched()
    history = [
        verdict(case, "ann", "edit", fine_type="scratch mark"),
        verdict(case, "bob", "edit", fine_type="score mark"),
    ]
    assert "disagree" in rule(case, written(case), (), history, people=True).reason


def test_an_edit_that_changes_nothing_agrees_with_an_accept():
    case = scratched()
    same = {"location": "top left", "fine_type": " surface  scratch ", "think": THINK + "\n"}
    history = [verdict(case, "ann", "accept"), verdict(case, "bob", "edit", **same)]
    assert rule(case, written(case), (), history, people=True, overlap=2).state == "published"


@pytest.mark.parametrize("second", ["accept", "reject"])
def test_with_overlap_a_draft_waits_for_enough_people(second: str):
    case = scratched()
    history = [verdict(case, "ann", second), verdict(case, "ann", second)]
    ruling = rule(case, written(case), (), history, people=True, overlap=2)
    assert (ruling.state, ruling.reason) == ("pending", "1 of 2 reviewers have decided")
    assert ruling.disputed == ()
    history.append(verdict(case, "bob", second))
    assert rule(case, written(case), (), history, people=True, overlap=2).state != "pending"
    assert rule(case, written(case), (), history, people=True, overlap=3).reason == "2 of 3 reviewers have decided"
    assert rule(case, written(case), (), history[:1], people=False, overlap=2).state != "pending"


def test_reviewers_who_disagree_are_told_apart_only_once_all_have_decided():
    case = scratched()
    history = [verdict(case, "ann", "accept"), verdict(case, "bob", "reject")]
    assert rule(case, written(case), (), history, people=True, overlap=3).disputed == ()
    assert rule(case, written(case), (), history, people=True, overlap=2).disputed == tuple(history)


@pytest.mark.parametrize(
    ("decision", "state", "reason"),
    [
        ("accept", "published", "an adjudicator chose accept"),
        ("reject", "rejected", "an adjudicator rejected it: no reason given"),
    ],
)
def test_an_adjudication_decides_whatever_reviewers_said_before_or_after(decision: str, state: str, reason: str):
    case = scratched()
    reviews = [verdict(case, "ann", "accept"), verdict(case, "bob", "reject")]
    earlier = verdict(case, "dan", "reject" if decision == "accept" else "accept", role="adjudication")
    final = verdict(case, "cleo", decision, role="adjudication")
    for history in ([*reviews, earlier, final], [earlier, final, *reviews], [final]):
        ruling = rule(case, written(case), (), history, people=True, overlap=2)
        assert (ruling.state, ruling.reason, ruling.verdict, ruling.disputed) == (state, reason, final, ())


def test_an_adjudication_that_cannot_be_published_waits():
    case = scratched()
    final = verdict(case, "cleo", "edit", location="bottom", role="adjudication")
    ruling = rule(case, written(case), (), [final], people=True, overlap=2)
    assert (ruling.state, ruling.verdict) == ("pending", final)
    assert "does not pass: location" in ruling.reason


def test_calibration_never_counts():
    case = scratched()
    practice = verdict(case, "ann", "reject", role="calibration")
    alone = rule(case, written(case), (), [practice], people=True)
    assert (alone.state, alone.verdict) == ("pending", None)
    history = [verdict(case, "ann", "accept"), practice]
    assert rule(case, written(case), (), history, people=True).state == "published"
    assert rule(case, written(case), (), history, people=True, overlap=2).reason == "1 of 2 reviewers have decided"


def test_a_text_that_a_check_refuses_waits_for_no_second_reviewer():
    case = scratched()
    ruling = rule(case, written(case), (HARD,), [verdict(case, "ann", "accept")], people=True, overlap=2)
    assert (ruling.state, ruling.reason) == ("rejected", "leak: speaks of a mask")


def test_how_many_judge_is_as_last_told(tmp_path: Path):
    ledger = Ledger(sqlite_url(tmp_path))
    try:
        assert overlap(ledger) == 1
        assert overlap(ledger, 2) == 2
        assert overlap(ledger) == 2
        assert overlap(ledger, 1) == 1
        assert overlap(ledger) == 1
    finally:
        ledger.close()


def test_a_verdict_about_another_text_is_history():
    case = scratched()
    old = dataclasses.replace(verdict(case, "ann", "accept"), revision="0" * 32)
    ruling = rule(case, written(case), (), [old], people=True)
    assert (ruling.state, ruling.reason) == (
        "pending",
        "waits for a person (an earlier verdict was about another text)",
    )


def test_a_text_accepted_before_a_check_was_there_is_still_refused_by_it():
    case = scratched()
    ruling = rule(case, written(case), (HARD,), [verdict(case, "ann", "accept")], people=True)
    assert (ruling.state, ruling.reason, ruling.verdict) == ("rejected", "leak: speaks of a mask", None)


def test_an_edit_can_mend_what_a_check_refused():
    case = scratched()
    draft = dataclasses.replace(written(case), think=THINK.replace("thin bright line", "thin line in the mask"))
    findings = run_checks(case, draft)
    assert "leak" in {finding.name for finding in findings}
    mended = Verdict(draft.sample_id, revision(case, draft), "ann", "edit", think=THINK)
    assert rule(case, draft, findings, [mended], people=True).state == "published"


@pytest.mark.parametrize(
    ("case", "fields", "reason"),
    [
        (scratched(), {"think": "As the mask shows, " + THINK}, "the edited text does not pass: leak"),
        (scratched(), {"location": "bottom"}, "the edited text does not pass: location"),
        (scratched(), {"fine_type": "puncture"}, "the edited text does not pass: type"),
        (scratched(), {"location": "row 4, column 4"}, "no cell of a 3 x 3 grid"),
        (scratched(), {"think": THINK + "</think>"}, "the edit does not fit"),
        (sound(), {"location": "top"}, "a normal sample has no location and no type"),
        (sound(), {"fine_type": "stain"}, "a normal sample has no location and no type"),
    ],
)
def test_corrections_that_cannot_be_published_wait_with_the_reason(case: Case, fields: dict, reason: str):
    ruling = rule(case, written(case), (), [verdict(case, "ann", "edit", **fields)], people=True)
    assert ruling.state == "pending"
    assert reason in ruling.reason


def test_an_accept_that_carries_corrections_waits():
    case = scratched()
    ruling = rule(case, written(case), (), [verdict(case, "ann", "accept", fine_type="scratch mark")], people=True)
    assert ruling.state == "pending"
    assert "decide edit" in ruling.reason


def test_an_edited_location_is_one_of_the_cells():
    case, draft = edited(scratched(), written(scratched()), verdict(scratched(), "ann", "edit", location="bottom"))
    assert case.region is not None
    assert (case.region.location, case.region.cells) == ("bottom", (0, 1, 7))
    assert draft == written(scratched())


def test_everything_that_is_shown_changes_the_revision():
    case, draft = scratched(), written(scratched())
    region = case.region
    assert region is not None
    others = [
        revision(dataclasses.replace(case, query=photo("c.jpg")), draft),
        revision(dataclasses.replace(case, reference=photo("c.jpg")), draft),
        revision(dataclasses.replace(case, region=dataclasses.replace(region, location="top")), draft),
        revision(dataclasses.replace(case, region=dataclasses.replace(region, boxes=((1, 2, 3, 4),))), draft),
        revision(dataclasses.replace(case, shot=1), draft),
        revision(case, dataclasses.replace(draft, think=THINK + " Yes.")),
        revision(case, dataclasses.replace(draft, description=DESCRIPTION + " Yes.")),
        revision(case, dataclasses.replace(draft, fine_type="scratch mark")),
    ]
    assert len({revision(case, draft), *others}) == 1 + len(others)
    elsewhere = dataclasses.replace(case, query=dataclasses.replace(case.query, path=Path("/elsewhere/a.jpg")))
    assert revision(elsewhere, draft) == revision(case, draft)
    assert revision(case, dataclasses.replace(draft, provenance=(("model", "x"),))) == revision(case, draft)


# ------------------------------------------------------------------------------------------------ files


def test_a_pending_line_filled_in_is_a_verdict(tmp_path: Path):
    case = scratched()
    assert write_pending(tmp_path / "pending.jsonl", [(case, written(case), (SOFT,), "waits for a person")]) == 1
    row = orjson.loads((tmp_path / "pending.jsonl").read_bytes())
    assert row["query"] == "/photos/a.jpg"
    assert row["hints"] == ["layers: no trace of a decision"]
    assert row["waits_for"] == "waits for a person"
    assert "surface scratch" in row["fine_types"]
    (tmp_path / "verdicts.jsonl").write_bytes(orjson.dumps(row) + b"\n")
    assert read_verdicts(tmp_path) == []  # nobody decided yet
    filled = row | {"decision": "edit", "annotator": " ann ", "fine_type": "scratch mark", "reasons": ["wrong_type"]}
    (tmp_path / "verdicts.jsonl").write_bytes(orjson.dumps(filled) + b"\n")
    (read,) = read_verdicts(tmp_path)
    assert (read.annotator, read.decision, read.fine_type) == ("ann", "edit", "scratch mark")
    assert (read.location, read.think) == ("top left", THINK)
    assert rule(case, written(case), (), [read], people=True).state == "published"


def test_what_an_accepting_line_copies_is_no_correction(tmp_path: Path):
    case = scratched()
    write_pending(tmp_path / "pending.jsonl", [(case, written(case), (), "")])
    row = orjson.loads((tmp_path / "pending.jsonl").read_bytes()) | {"decision": "accept", "annotator": "ann"}
    (tmp_path / "verdicts.jsonl").write_bytes(orjson.dumps(row))
    (read,) = read_verdicts(tmp_path)
    assert (read.location, read.fine_type, read.think) == (None, None, None)


def test_a_line_may_say_what_it_is_for(tmp_path: Path):
    line = GOOD | {"decision": "accept"}
    rows = [line, line | {"role": "adjudication"}, line | {"role": "calibration"}]
    (tmp_path / "verdicts.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    assert [read.role for read in read_verdicts(tmp_path)] == ["review", "adjudication", "calibration"]


def test_files_are_read_by_name_and_lines_in_order(tmp_path: Path):
    def line(who: str) -> str:
        return f'{{"sample_id": "s", "revision": "r", "annotator": "{who}", "decision": "accept"}}\n'

    (tmp_path / "verdicts-b.jsonl").write_text(line("3"))
    (tmp_path / "verdicts-a.jsonl").write_text(line("1") + "\n" + line("2"))
    (tmp_path / "notes.jsonl").write_text("not a verdict")
    assert [read.annotator for read in read_verdicts(tmp_path)] == ["1", "2", "3"]
    assert read_verdicts(tmp_path / "nowhere") == []


GOOD = {"sample_id": "s", "revision": "r", "annotator": "ann", "decision": "edit"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decision": "maybe"}, "decision 'maybe' is none of accept, edit, reject"),
        ({"role": "judge"}, "role 'judge' is none of review, adjudication, calibration"),
        ({"role": None}, "role None is none of"),
        ({"decision": 1}, "decision is missing or is not text"),
        ({"annotator": None}, "annotator is missing"),
        ({"annotator": "  "}, "annotator is missing"),
        ({"revision": 5}, "revision is missing or is not text"),
        ({"sample_id": ""}, "sample_id is missing"),
        ({"reasons": "bad"}, "reasons is a list of texts"),
        ({"reasons": [1]}, "reasons is a list of texts"),
        ({"location": "nowhere"}, "location 'nowhere' is no cell's name.*top left"),
        ({"think": "<b>bold</b>"}, "think must be plain text"),
        ({"think": " "}, "think must be plain text"),
        ({"fine_type": 3}, "fine_type is text or null, not int"),
        ({"lead_time": "long"}, "lead_time is a number of seconds"),
        ({"note": ["x"]}, "note is text or null"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(orjson.dumps(GOOD) + b"\n\n" + orjson.dumps(GOOD | change) + b"\n")
    with pytest.raises(ReviewError, match=rf"verdicts\.jsonl, line 3: .*{message}"):
        read_verdicts(tmp_path)


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b"\xff\xfe", b'{"a": 1} {"b": 2}', b"accept"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: bytes):
    (tmp_path / "verdicts.jsonl").write_bytes(line + b"\n")
    with pytest.raises(ReviewError, match=r"verdicts\.jsonl, line 1: "):
        read_verdicts(tmp_path)


# ------------------------------------------------------------------------------------------------ history


WORDS = st.lists(st.sampled_from(["accept", "reject", "edit"]), min_size=1, max_size=6)


@settings(max_examples=20, deadline=None)  # each example opens a database
@given(readings=st.lists(WORDS, min_size=1, max_size=4))
def test_what_a_file_says_last_is_what_holds_and_reading_it_again_adds_nothing(
    tmp_path_factory: pytest.TempPathFactory, readings: list[list[str]]
):
    ledger = Ledger(sqlite_url(tmp_path_factory.mktemp("ledger")))
    try:
        for words in readings:
            read = [Verdict("s", "r", "ann", word, origin="file") for word in words]  # type: ignore[arg-type]
            ledger.append_verdicts(read)
            assert ledger.append_verdicts(read) == 0
            assert ledger.verdicts()["s"][-len(read) :] == read
    finally:
        ledger.close()


def test_an_old_dated_verdict_read_again_is_not_the_latest(tmp_path: Path):
    first = Verdict("s", "r", "ann", "accept", at="2026-01-01T00:00:00Z")
    second = Verdict("s", "r", "ann", "reject", at="2026-01-02T00:00:00Z")
    ledger = Ledger(sqlite_url(tmp_path))
    try:
        assert ledger.append_verdicts([first]) == 1
        assert ledger.append_verdicts([second]) == 1
        assert ledger.append_verdicts([first]) == 0
        assert ledger.verdicts()["s"] == [first, second]
    finally:
        ledger.close()
