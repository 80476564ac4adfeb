"""What a reviewer is given, who comes first, and which drafts are chosen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from annotation import screen
from annotation.push import doubles, outdated
from annotation.server import Task
from annotation.tasks import Candidate, as_shown, task, told
from annotation.which import Which
from expertad import taxonomy
from expertad.build import SECOND_OPINION
from expertad.checks import Finding
from expertad.errors import ConfigError, ReviewError
from expertad.review import shown
from expertad.sample import Case, Draft, ImageFile, Region, Sample
from expertad.verdict import Verdict

WIDTH, HEIGHT = 400, 300


def image(name: str) -> ImageFile:
    return ImageFile(Path("/data") / name, name, "0" * 64, WIDTH, HEIGHT)


def candidate(*boxes: tuple[int, int, int, int], findings: tuple[Finding, ...] = (), **more) -> Candidate:
    coarse = "Scratch" if boxes else None
    sample = Sample(
        "bushing/NG_HS/S0001/C1", "bushing", "bushing/NG_HS/S0001", "C1", "anomalous" if boxes else "normal",
        "HS" if boxes else "OK", coarse, "bushing/a.jpg", "bushing/a.png" if boxes else None,
    )  # fmt: skip
    region = Region("top left", (0,), boxes, 0.01) if boxes else None
    case = Case(sample, image("bushing/a b.jpg"), image("bushing/ref.jpg"), "bushing/OK/S0002/C1", region, None)
    draft = Draft(sample.sample_id, "Described.", "Thought.", taxonomy.FINE_TERMS[coarse][0] if coarse else None)
    return Candidate(case, draft, findings, **more)


def url(picture: ImageFile) -> str:
    return f"/files/{picture.relative}"


BOX = st.tuples(
    st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT)
)  # fmt: skip


@given(st.lists(BOX, min_size=1, max_size=4))
def test_boxes_become_percentages_that_the_screen_accepts_or_are_refused(boxes: list[tuple[int, int, int, int]]):
    fits = all(x + width <= WIDTH and y + height <= HEIGHT for x, y, width, height in boxes)
    if not fits:
        with pytest.raises(ReviewError, match="lies outside its 400 x 300"):
            task(candidate(*boxes), url)
        return
    (prediction,) = task(candidate(*boxes), url)["predictions"]
    assert len(prediction["result"]) == len(boxes)
    for (x, y, width, height), found in zip(boxes, prediction["result"], strict=True):
        value = found["value"]
        assert value["x"] * WIDTH / 100 == pytest.approx(x)
        assert value["y"] * HEIGHT / 100 == pytest.approx(y)
        assert value["width"] * WIDTH / 100 == pytest.approx(width)
        assert value["height"] * HEIGHT / 100 == pytest.approx(height)
        assert value["x"] + value["width"] <= 100.0001


def test_tasks_satisfy_label_studios_own_rules_for_the_screen():
    interface = LabelInterface(screen(3))
    for one in (candidate((10, 20, 30, 40)), candidate()):
        made = task(one, url)
        wanted = {tag.value_name for tag in interface.objects} | {"fine_types"}
        assert {name.lstrip("$") for name in wanted} <= made["data"].keys()
        for prediction in made["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []


def test_what_a_task_holds_says_the_same_as_what_the_verdict_is_held_against():
    for one in (candidate((10, 20, 30, 40)), candidate()):
        data = task(one, url)["data"]
        said = shown(one.case, one.draft)
        assert as_shown(data) == {name: said[name] for name in as_shown(data)}
        assert (data["sample_id"], data["revision"], data["attempt"]) == one.key
        assert None not in data.values()  # the server takes no task without all of its data


def test_a_normal_sample_offers_no_place_and_no_type():
    made = task(candidate(), url)
    assert (made["predictions"], made["data"]["fine_types"], made["data"]["location"]) == ([], [], "")


def test_disagreements_come_first_then_what_the_checks_object_to():
    finding = Finding("layers", "person", "no evaluation")
    plain, doubtful = candidate(), candidate(findings=(finding,))
    very = candidate(findings=(finding, finding))
    second = candidate(findings=(Finding(SECOND_OPINION, "person", "another place"),))
    disputed = candidate(said=(Verdict("s", "r", "anna@example.org", "accept"),))
    order = sorted([plain, doubtful, very, second, disputed], key=lambda one: one.rank)
    assert order[-3:] == [very, doubtful, plain]
    assert set(map(id, order[:2])) == {id(second), id(disputed)}


def test_an_adjudicator_reads_what_others_said_and_not_who_they_are():
    verdict = Verdict("s", "r", "anna@example.org", "reject", ("wrong_type",), note="look closer")
    edit = Verdict("s", "r", "bob@example.org", "edit", location="top", think="Otherwise.")
    hints = task(candidate(said=(verdict, edit), trouble="2 reviewers disagree"), url)["data"]["hints"]
    assert hints.splitlines() == [
        "2 reviewers disagree",
        "Reviewer 1: reject; because of wrong type; note: look closer",
        "Reviewer 2: edit; location top; reasoning: Otherwise.",
    ]
    assert "example.org" not in hints
    assert told(dataclasses.replace(edit, think=None)) == "edit; location top"


@pytest.mark.parametrize(
    ("text", "kind", "share", "count"),
    [("needs-review", "needs-review", 0, 50), ("all", "all", 0, 50), ("audit=0.25", "audit", 0.25, 50),
     (" audit=1 ", "audit", 1, 50), ("calibration", "calibration", 0, 50), ("calibration=7", "calibration", 0, 7)],
)  # fmt: skip
def test_which_is_read(text: str, kind: str, share: float, count: int):
    found = Which.parse(text)
    assert (found.kind, found.share, found.count) == (kind, share, count)


@pytest.mark.parametrize(
    "text",
    ["", "some", "audit", "audit=", "audit=0", "audit=1.5", "audit=nan", "all=1", "calibration=0", "calibration=x"],
)
def test_another_which_is_refused_with_the_choices(text: str):
    with pytest.raises(ConfigError, match="needs-review, all, audit=SHARE"):
        Which.parse(text)


def listed(number: int, sample: str, revision: str = "r", annotations: int = 0, skipped: int = 0) -> Task:
    return Task(number, {"sample_id": sample, "revision": revision}, annotations, skipped)


def test_of_doubles_the_judged_one_stays_else_the_oldest():
    tasks = [listed(1, "a"), listed(2, "a"), listed(3, "b"), listed(4, "b", annotations=1), listed(5, "c", skipped=1),
             listed(6, "c", annotations=1), listed(7, "d")]  # fmt: skip
    assert doubles(tasks) == [2, 3]


def test_only_untouched_tasks_about_replaced_texts_are_outdated():
    tasks = [listed(1, "a", "old"), listed(2, "a", "new"), listed(3, "b", "old", annotations=1), listed(4, "gone"),
             listed(5, "c", "asked for")]  # fmt: skip
    assert outdated(tasks, {"a": "new", "b": "new", "c": "now"}, {("c", "asked for", 0): None}) == [1, 4]
