from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from expertad.teachers import replies
from expertad.teachers.base import Fault, RawReply, Request

GOOD = {"description": "A scratch runs over the rim.", "defect": True, "location": "left"}
DISTILLED = {"think": "The rim is cut.", "fine_type": "scratch mark", "answer": "Yes", "location": "left"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def kind_of(text: str, stage: Any = "describe") -> str:
    try:
        judged = replies.read(text, stage)
    except Fault as fault:
        return fault.kind
    return "repaired" if judged.repaired else "ok"


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert kind_of(text) in ("ok", "repaired", "reask", "quarantine")


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=6))
def test_any_object_is_read_or_refused(value: dict[str, Any]) -> None:
    assert kind_of(json.dumps({**value, **GOOD})) in ("ok", "repaired", "reask", "quarantine")


@given(st.text(alphabet="{}[]\"',:0atn \n`", max_size=300))
def test_brackets_do_not_break_the_reader(text: str) -> None:
    assert kind_of(text) in ("ok", "repaired", "reask", "quarantine")


@pytest.mark.parametrize("opening", ["{" * 9000, '{"a":' * 3900, "[" * 15000, '{"a":[' * 3000])
def test_deep_nesting_is_refused_and_quickly(opening: str) -> None:
    assert kind_of(opening) == "reask"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("```json\n", "\n```"),
        ("```\n", "```"),
        ("Sure! Here it is:\n", ""),
        ("", "\nLet me know {if} this helps."),
        ("<think>the rim {?} looks cut</think>\n", ""),
    ],
)
def test_one_object_in_other_text_is_taken_and_the_repair_is_named(before: str, after: str) -> None:
    judged = replies.read(before + json.dumps(GOOD) + after, "describe")
    assert judged.fields == GOOD
    assert judged.repaired


def test_the_same_object_twice_is_one_object() -> None:
    assert replies.read(json.dumps(GOOD) + "\n" + json.dumps(GOOD), "describe").fields == GOOD


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(GOOD) + json.dumps({**GOOD, "location": "right"}), "2 different"),
        (json.dumps(GOOD)[:-1] + ', "location": "right"}', "twice"),
        (json.dumps(GOOD)[:-1] + ', "a": {"b": 1, "b": 2}}', "twice"),
        (json.dumps(GOOD)[:-1] + ', "a": Infinity}', "Infinity"),
        (json.dumps([GOOD]), "not an object"),
        (json.dumps(GOOD)[:-1], "no complete JSON object"),
        ("The rim is scratched.", "no complete JSON object"),
        (json.dumps({**GOOD, "description": ""}), "description"),
        (json.dumps({**GOOD, "defect": "true"}), "defect"),
        (json.dumps({**GOOD, "location": 4}), "location"),
    ],
)
def test_what_is_wrong_is_named_so_that_the_teacher_can_mend_it(text: str, says: str) -> None:
    with pytest.raises(Fault, match=says) as caught:
        replies.read(text, "describe")
    assert caught.value.kind == "reask"


@pytest.mark.parametrize(("said", "meant"), [("yes", "Yes"), ("NO", "No"), ("Yes.", "Yes")])
def test_answer_in_another_case_is_respelt(said: str, meant: str) -> None:
    judged = replies.read(json.dumps({**DISTILLED, "answer": said}), "distill")
    assert judged.fields["answer"] == meant
    assert judged.repaired


@pytest.mark.parametrize("said", ["maybe", "", "true", 1, None])
def test_another_answer_is_refused(said: object) -> None:
    assert kind_of(json.dumps({**DISTILLED, "answer": said}), "distill") == "reask"


@pytest.mark.parametrize("word", ["", "none", "N/A", "null", "None."])
def test_words_for_nothing_are_null(word: str) -> None:
    text = json.dumps({"description": "Even.", "defect": False, "location": word})
    assert replies.read(text, "describe").fields["location"] is None


@pytest.fixture
def ask(make_case: Any) -> Any:
    def make(stage: Any, *, anomalous: bool = True, item: str = "") -> Request:
        return Request(stage, make_case(1, anomalous=anomalous), "", "", "p.v1", "1", item=item)

    return make


def judge(fields: dict[str, Any], request: Request) -> replies.Judged:
    text = json.dumps(fields)
    return replies.judge(RawReply(text, text), request, "m")


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"answer": "No", "fine_type": None, "location": None}, "quarantine", "label"),
        ({"fine_type": None}, "reask", "fine_type"),
        ({"fine_type": "dirt"}, "reask", "Contamination"),
        ({"fine_type": "hairline groove"}, "reask", "new_term_reason"),
        ({"fine_type": "scratch " * 20}, "reask", "plain term"),
        ({"location": None}, "reask", "location"),
        ({"think": "<think>The rim is cut.</think>"}, "reask", "tags"),
        ({"think": "Край поцарапан."}, "reask", "English"),
        ({"think": "   "}, "reask", "empty"),
        ({"item": "0000000000"}, "quarantine", "item"),
    ],
)
def test_fields_must_fit_the_sample(ask: Any, changes: dict[str, Any], kind: str, says: str) -> None:
    with pytest.raises(Fault, match=says) as caught:
        judge({**DISTILLED, **changes}, ask("distill", item="abc"))
    assert caught.value.kind == kind


def test_new_term_with_a_reason_is_taken(ask: Any) -> None:
    fields = {**DISTILLED, "fine_type": "hairline groove", "new_term_reason": "it is as thin as a hair"}
    assert judge(fields, ask("distill", item="abc")).fields["fine_type"] == "hairline groove"


def test_normal_product_has_neither_place_nor_type(ask: Any) -> None:
    sound = {"think": "All is even.", "fine_type": None, "answer": "No", "location": None}
    assert judge(sound, ask("distill", anomalous=False)).repaired == ""
    for change in ({"location": "left"}, {"fine_type": "scratch"}):
        with pytest.raises(Fault) as caught:
            judge({**sound, **change}, ask("distill", anomalous=False))
        assert caught.value.kind == "reask"
    with pytest.raises(Fault) as caught:
        judge({**sound, "answer": "Yes"}, ask("distill", anomalous=False))
    assert caught.value.kind == "quarantine"


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("qwen-vl-max", "qwen-vl-max", True),
        ("qwen-vl-max", "qwen-vl-max-2025-08-13", True),
        ("qwen-vl-max", "Qwen-VL-Max-latest", True),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b-instruct", True),
        ("qwen-vl-max", "", True),
        ("qwen-vl-max", "qwen-vl-plus", False),
        ("qwen3-vl", "qwen3-vl-plus", False),
        ("gpt-4o", "gpt-4o-mini", False),
    ],
)
def test_served_model_is_the_asked_one_or_a_snapshot_of_it(asked: str, served: str, same: bool) -> None:
    assert replies.same_model(asked, served) is same


@given(st.text(max_size=80), st.sampled_from(["\x00", "\ud800", "", "\udfff"]))
def test_any_text_can_be_stored(text: str, odd: str) -> None:
    stored = replies.storable(text + odd)
    assert "\x00" not in stored
    assert stored.encode("utf-8").decode("utf-8") == stored


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "description": st.sampled_from(["", "text", None, 1, ["a"]]),
            "defect": st.sampled_from([True, 0, 1, "true", None]),
            "location": st.sampled_from(["left", None, 1, False]),
            "item": st.sampled_from(["a", None, 3]),
            "more": json_values,
        },
    )
)
def test_quick_check_decides_as_the_schema_does(fields: dict[str, Any]) -> None:
    valid = Draft202012Validator(replies.SCHEMAS["describe"]).is_valid(fields)
    assert (kind_of(json.dumps(fields)) in ("ok", "repaired")) == valid
