"""Which annotations are verdicts, and why the others are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.pull import Refusal, verdict
from annotation.tasks import as_shown, seal
from expertad import taxonomy
from expertad.grid import cell_names

REVISION = "r" * 32
THINK = "A thin bright line runs across the top left."
SHOWN: dict[str, Any] = {
    "sample_id": "bushing/NG_HS/S0001/C1",
    "query_sha256": "0" * 64,
    "reference_sha256": "1" * 64,
    "coarse_type": "Scratch",
    "location": "top left",
    "cells": [0],
    "boxes": [[1, 2, 3, 4]],
    "question": "Are there any defects in the query image?",
    "answer": "Yes",
    "shot": 0,
    "description": "A line.",
    "think": THINK,
    "fine_type": taxonomy.FINE_TERMS["Scratch"][0],
}
NORMAL = SHOWN | {"coarse_type": None, "location": None, "fine_type": None, "answer": "No", "cells": [], "boxes": []}
OTHER_TERM = taxonomy.FINE_TERMS["Scratch"][1]


def data(shown: dict[str, Any] = SHOWN) -> dict[str, Any]:
    made = {name: "" if value is None else value for name, value in as_shown(shown).items()} | {"revision": REVISION}
    return made | {"query_image": "/data/local-files/?d=images/a.jpg", "seal": ""} | {"seal": seal_of(made)}


def seal_of(made: dict[str, Any]) -> str:
    return seal(made | {"query_image": "/data/local-files/?d=images/a.jpg"})


def choices(name: str, *values: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "query", "type": "choices", "value": {"choices": list(values)}}


def text(name: str, *values: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "query", "type": "textarea", "value": {"text": list(values)}}


def annotation(*result: Any, **more: Any) -> dict[str, Any]:
    return {
        "result": list(result),
        "completed_by": 2,
        "updated_by": 2,
        "created_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T12:00:00.500000+02:00",
        "lead_time": 12.3456,
    } | more


def read(*result: Any, shown: dict[str, Any] = SHOWN, given: dict[str, Any] | None = None, **more: Any):
    people = {2: "anna@example.org", 3: "bob@example.org"}
    return verdict(
        annotation(*result, **more), given or data(shown), "review", {REVISION: shown}, people
    )  # fmt: skip


def test_an_accept_whose_text_came_back_untouched_carries_no_corrections():
    found = read(choices("decision", "accept"), text("corrected_think", f" {THINK}\r\n"))
    assert (found.decision, found.location, found.fine_type, found.think) == ("accept", None, None, None)
    assert (found.annotator, found.origin, found.revision) == ("anna@example.org", "label-studio", REVISION)
    assert (found.at, found.lead_time) == ("2026-03-01T10:00:00.500000+00:00", 12.346)


def test_an_edit_holds_what_differs_from_what_was_shown_and_nothing_else():
    found = read(
        choices("decision", "edit"), choices("corrected_location", "top"), choices("corrected_type", OTHER_TERM),
        text("corrected_think", "Another text."), text("remark", "see me"),
    )  # fmt: skip
    assert (found.location, found.fine_type, found.think, found.note) == ("top", OTHER_TERM, "Another text.", "see me")
    same = read(
        choices("decision", "edit"), choices("corrected_location", "top left"),
        choices("corrected_type", SHOWN["fine_type"]), text("corrected_think", THINK + " More."),
    )  # fmt: skip
    assert (same.location, same.fine_type, same.think) == (None, None, THINK + " More.")


def test_a_reject_keeps_its_reasons_and_drops_corrections():
    found = read(
        choices("decision", "reject"), choices("why", "inaccurate", "wrong_type"), text("corrected_think", "Other.")
    )
    assert (found.decision, found.reasons, found.think) == ("reject", ("inaccurate", "wrong_type"), None)


def test_a_colleague_who_changes_or_stars_an_annotation_is_no_second_judge():
    assert read(choices("decision", "accept"), updated_by=3).annotator == "anna@example.org"
    assert read(choices("decision", "accept"), completed_by={"id": 3}).annotator == "bob@example.org"
    assert read(choices("decision", "accept"), completed_by=9).annotator == "account 9"


BOX = {
    "from_name": "box",
    "to_name": "query",
    "type": "rectanglelabels",
    "value": {"x": 1, "rectanglelabels": ["defect"]},
}


def test_boxes_decide_nothing():
    assert read(BOX, BOX, choices("decision", "accept")).decision == "accept"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([], "no decision"),
        ([choices("decision")], "no decision"),
        ([choices("decision", "maybe")], "'maybe', which is none of accept, edit, reject"),
        ([choices("decision", "accept", "reject")], "holds 2 values"),
        ([choices("decision", "accept"), choices("decision", "reject")], "given twice"),
        ([choices("decision", 1)], "holds no choices"),
        ([text("decision", "accept")], "holds no choices"),
        ([choices("decision", "reject"), choices("why", "because")], "'because'"),
        ([choices("decision", "reject"), choices("why", "inaccurate", "inaccurate")], "twice"),
        ([choices("decision", "edit"), choices("corrected_location", "moon")], "'moon'"),
        ([choices("decision", "edit"), choices("corrected_type", "dent in the moon")], "'dent in the moon'"),
        ([choices("decision", "edit"), text("corrected_think", "  ")], "empty"),
        ([choices("decision", "accept"), choices("verdict", "accept")], "'verdict' is no control"),
        ([choices("decision", "accept"), 7], "no value of a control"),
        ([choices("decision", "accept"), {"from_name": "why"}], "no value of a control"),
        ("accept", "no list"),
        (None, "no list"),
    ],
)  # fmt: skip
def test_a_value_that_the_screen_cannot_give_is_refused_with_words(result: Any, words: str):
    with pytest.raises(Refusal, match=words):
        verdict(annotation() | {"result": result}, data(), "review", {REVISION: SHOWN}, {2: "anna@example.org"})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"updated_at": "yesterday"}, "time 'yesterday'"),
        ({"completed_by": None}, "nobody is named"),
    ],
)
def test_bad_times_and_authors_are_refused(more: dict[str, Any], words: str):
    with pytest.raises(Refusal, match=words):
        read(choices("decision", "accept"), **more)


@pytest.mark.parametrize("lead_time", ["soon", -1, 1e300, True, float("nan")])
def test_a_clock_that_tells_nonsense_costs_no_verdict(lead_time: object):
    found = read(choices("decision", "accept"), lead_time=lead_time)
    assert (found.decision, found.lead_time) == ("accept", None)


def test_a_normal_sample_has_no_place_and_no_type():
    assert read(choices("decision", "accept"), shown=NORMAL).decision == "accept"
    for control, value in (("corrected_location", "top"), ("corrected_type", OTHER_TERM)):
        with pytest.raises(Refusal, match="normal sample"):
            read(choices("decision", "edit"), choices(control, value), shown=NORMAL)


@pytest.mark.parametrize(
    "name", ["think", "description", "location", "fine_type", "coarse_type", "answer", "sample_id"]
)
def test_a_text_that_was_changed_on_the_server_cannot_be_judged(name: str):
    with pytest.raises(Refusal, match=f"its {name} was changed on the server"):
        read(choices("decision", "accept"), given=data() | {name: "something else"})


def test_other_pictures_or_hints_on_the_server_cannot_be_judged_either():
    for name, value in (("query_image", "/data/local-files/?d=images/b.jpg"), ("hints", "all is well")):
        with pytest.raises(Refusal, match="its data was changed on the server"):
            read(choices("decision", "accept"), given=data() | {name: value})


def test_a_revision_that_was_never_pushed_is_refused():
    with pytest.raises(Refusal, match="never pushed"):
        read(choices("decision", "accept"), given=data() | {"revision": "x"})
    with pytest.raises(Refusal, match="never pushed"):
        read(choices("decision", "accept"), given={"foreign": 1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "from_name": st.sampled_from(
            ["decision", "why", "corrected_location", "corrected_type", "corrected_think", "box"]
        )
        | JSON,
        "value": st.fixed_dictionaries(
            {},
            optional={
                "choices": st.lists(st.sampled_from(["accept", "edit", "reject", "inaccurate", *cell_names(3)])) | JSON,
                "text": JSON,
            },
        )
        | JSON,
    },
)


@given(st.lists(ITEM | JSON, max_size=4) | JSON, st.dictionaries(st.sampled_from(["completed_by", "lead_time"]), JSON))
def test_anything_at_all_is_a_verdict_or_a_refusal(result: Any, more: dict[str, Any]):
    try:
        found = verdict(
            annotation() | {"result": result} | more,
            data(),
            "review",
            {REVISION: SHOWN},
            {2: "anna@example.org"},
        )
    except Refusal:
        return
    assert found.decision in ("accept", "edit", "reject")
    assert found.location is None or found.location in cell_names(3)
    assert found.fine_type is None or found.fine_type in taxonomy.FINE_TERMS["Scratch"]
