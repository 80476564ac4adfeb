from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from expertad.teachers.agreement import differences, second_opinion
from expertad.teachers.asking import Distilled, Quarantined
from expertad.teachers.calls import MemoryCallLog
from tests.teachers.helpers import both, finish, make_asker
from tests.teachers.loopback import Answer, Hit, Loopback, good

FIRST = Distilled("s", "k", "text", "scratch mark", "Yes", "top left", "m", "p", False)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, ()),
        ({"location": "upper-left corner"}, ()),
        ({"location": "top"}, ("location",)),
        ({"location": None}, ("location",)),
        ({"location": "somewhere"}, ("location",)),
        ({"fine_type": "Scratch Mark."}, ()),
        ({"fine_type": "linear scratch"}, ()),
        ({"fine_type": "deep scratch mark"}, ()),
        ({"fine_type": "hairline groove"}, ("type",)),
        ({"fine_type": None}, ("type",)),
        ({"answer": "No", "fine_type": None, "location": None}, ("answer", "location", "type")),
    ],
)
def test_teachers_differ_in_answer_place_or_type(changes: dict[str, Any], differs: tuple[str, ...]) -> None:
    assert differences(FIRST, replace(FIRST, **changes)) == differs


def test_contradiction_and_silence_are_told_apart() -> None:
    contradiction = Quarantined("s", "k", "describe", "says otherwise", "contradiction", False)
    assert differences(FIRST, contradiction) == ("answer",)
    assert differences(FIRST, replace(contradiction, code="refused")) == ("no second opinion",)


def test_second_teacher_is_asked_its_own_questions(make_case: Any) -> None:
    case = make_case(2)

    def contrary(hit: Hit) -> Answer:
        return good(hit, location="bottom right") if hit.stage == "distill" else good(hit)

    with Loopback() as one, Loopback(contrary) as two:
        first, other = make_asker(one, MemoryCallLog()), make_asker(two, MemoryCallLog(), "dashscope")
        written = finish(first, both(first, case))
        agreement = finish(other, second_opinion(case, written, other))
    assert agreement.differs == ("location",)
    assert "location" in agreement.reason
    assert len(two.hits) == 2
