from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expertad.errors import RecordError
from expertad.integrate import held_out, integrate
from expertad.record import Record, to_row, validate
from expertad.sample import Case
from expertad.verdict import Verdict
from tests.make_records import REVISION, case, draft


def decide(made: Case, decision: Any, **edits: Any) -> Record:
    verdict = Verdict(made.sample.sample_id, REVISION, "mei", decision, **edits)
    return integrate(
        made, draft(made), verdict, reviewed="human", revision=REVISION, provenance={"annotators": "annotator-1"}
    )


def test_an_automatic_pass_publishes_the_draft_and_the_mask_s_truth(tmp_path: Path) -> None:
    made = case(tmp_path, 1, code="HS", block=(2, 40))
    written = draft(made)
    record = integrate(made, written, None, reviewed="auto", revision=REVISION, provenance={"checks": "abc"})
    assert (record.think, record.fine_type, record.reviewed) == (written.think, written.fine_type, "auto")
    assert (record.location, record.cells, record.boxes) == ("top right", (2,), ((40, 2, 5, 6),))
    assert record.images == (made.sample.image_path,)
    assert record.image_sha256 == (made.query.sha256,)
    validate(to_row(record, "pa_sft"), "pa_sft")
    validate(to_row(record, "sc_grpo"), "sc_grpo")


def test_provenance_joins_draft_reference_and_what_is_handed_in(tmp_path: Path) -> None:
    made = case(tmp_path, 1)
    known = dict(decide(made, "accept").provenance)
    assert known["describe_model"] == "qwen-vl-max"
    assert known["annotators"] == "annotator-1"
    assert (known["reference"], known["reference_sha256"]) == ("audiojack/OK/S9000/C1", made.reference.sha256)
    assert not any("gpu-box-7" in value or str(tmp_path) in value for value in known.values())


def test_an_edit_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    made = case(tmp_path, 1, code="HS")
    before = decide(made, "accept")
    after = decide(
        made, "edit", fine_type="  score\n mark ", think="Seen again, at the top left: a score mark. A defect."
    )
    assert after.fine_type == "score mark"
    assert after.think == "Seen again, at the top left: a score mark. A defect."
    assert replace(after, fine_type=before.fine_type, think=before.think) == before


def test_an_edited_location_is_added_to_the_mask_s_cells(tmp_path: Path) -> None:
    made = case(tmp_path, 1, code="HS")
    after = decide(made, "edit", location="bottom right")
    assert (after.location, after.cells) == ("bottom right", (0, 8))
    assert after.boxes == decide(made, "accept").boxes


def test_one_of_the_mask_s_cells_as_location_leaves_the_cells_alone(tmp_path: Path) -> None:
    made = case(tmp_path, 1, code="HS", block=(10, 3))
    assert decide(made, "accept").cells == (0, 3)
    other = next(name for name in ("top left", "left") if name != decide(made, "accept").location)
    after = decide(made, "edit", location=other)
    assert (after.location, after.cells) == (other, (0, 3))


@pytest.mark.parametrize(
    ("decision", "edits", "reason"),
    [
        ("reject", {"reasons": ("wrong location",)}, "rejected"),
        ("accept", {"fine_type": "dent"}, "edit"),
        ("edit", {"location": "upper-left corner"}, "upper-left corner"),
        ("edit", {"think": "A </think> inside."}, "markup"),
        ("edit", {"fine_type": "<type>dent</type>"}, "markup"),
    ],
)
def test_a_verdict_that_cannot_be_published_is_refused(
    tmp_path: Path, decision: str, edits: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RecordError, match=reason) as caught:
        decide(case(tmp_path, 1, code="HS"), decision, **edits)
    assert str(caught.value).startswith("audiojack/NG_HS/S0001/C1: ")


def test_a_normal_sample_has_no_location_to_correct(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="normal sample"):
        decide(case(tmp_path, 1), "edit", location="top")


def test_a_verdict_on_another_revision_does_not_count(tmp_path: Path) -> None:
    made = case(tmp_path, 1)
    old = Verdict(made.sample.sample_id, "f" * 32, "mei", "accept")
    with pytest.raises(RecordError, match="another revision"):
        integrate(made, draft(made), old, reviewed="human", revision=REVISION, provenance={})


def test_human_review_needs_a_verdict_and_automatic_review_has_none(tmp_path: Path) -> None:
    made = case(tmp_path, 1)
    verdict = Verdict(made.sample.sample_id, REVISION, "mei", "accept")
    with pytest.raises(RecordError, match="without a verdict"):
        integrate(made, draft(made), None, reviewed="human", revision=REVISION, provenance={})
    with pytest.raises(RecordError, match="with a verdict"):
        integrate(made, draft(made), verdict, reviewed="auto", revision=REVISION, provenance={})


def test_an_anomalous_draft_without_a_type_is_refused(tmp_path: Path) -> None:
    made = case(tmp_path, 1, code="HS")
    written = replace(draft(made), fine_type=None)
    with pytest.raises(RecordError, match="type"):
        integrate(made, written, None, reviewed="auto", revision=REVISION, provenance={})


def test_held_out_keeps_the_truth_and_nothing_written(tmp_path: Path) -> None:
    record = held_out(case(tmp_path, 1, code="HS"), provenance={"source": "real_iad"})
    assert (record.location, record.fine_type, record.think, record.reviewed) == ("top left", None, "", None)
    validate(to_row(record, "held_out"), "held_out")
