"""Equations 2 to 5 and 9 on a table worked by hand, and what must hold for any completion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertad.errors import ConfigError, DataError
from training.rewards import Truth, read, reward_functions, scheme
from training.rewards.matching import STEPS, type_step
from training.rewards.scheme import total

STAIN = Truth(True, "top left", "stain", "Contamination", (0, 1))
GOOD = Truth(False)


def said(location: str, type_: str, answer: str = "Yes", think: str = "There is a dark spot.") -> str:
    return f"<think>{think}</think><location>{location}</location><type>{type_}</type><answer>{answer}</answer>"


def clean(answer: str = "No", think: str = "Even surface.") -> str:
    return f"<think>{think}</think><answer>{answer}</answer>"


# completion, truth, (R_con, R_acc, R_loc, R_type): each row worked out by hand from the equations.
HAND = [
    (said("top left", "stain"), STAIN, (1, 1, 1, 1)),
    (said("the upper left corner", "Stain."), STAIN, (1, 1, 1, 1)),
    (said("top left", "dirt"), STAIN, (1, 1, 1, 0.85)),
    (said("top left", "brown stain"), STAIN, (1, 1, 1, 0.85)),
    (said("top left", "scratch"), STAIN, (1, 1, 1, 0.3)),
    (said("top left", "hole"), STAIN, (1, 1, 1, 0)),
    (said("top right", "stain"), STAIN, (1, 1, 0, 1)),
    (said("somewhere on the object", "stain"), STAIN, (1, 1, 0, 1)),
    (said("top left", "stain", "No"), STAIN, (0, 0, 0, 0)),
    (clean("No"), STAIN, (0, 0, 0, 0)),
    ("<location>top left</location><type>stain</type><answer>Yes</answer>", STAIN, (0, 1, 1, 1)),
    ("Sure. " + said("top left", "stain"), STAIN, (0, 1, 1, 1)),
    (said("top left", "stain", "yes"), STAIN, (1, 1, 1, 1)),
    (
        "<think>x</think>\n<location>top left</location>\n<type>stain</type>\n<answer>Yes</answer>\n",
        STAIN,
        (1, 1, 1, 1),
    ),
    ("<answer>Yes</answer>", STAIN, (0, 1, 0, 0)),
    ("Yes", STAIN, (0, 0, 0, 0)),
    ("", STAIN, (0, 0, 0, 0)),
    (clean("No"), GOOD, (1, 1, None, None)),
    (clean("no"), GOOD, (1, 1, None, None)),
    (clean("Cannot determine"), GOOD, (0, 0, None, None)),
    (said("top left", "stain"), GOOD, (0, 0, None, None)),
    ("<think>fine</think>", GOOD, (0, 0, None, None)),
    ("<answer>No</answer><answer>No</answer>", GOOD, (0, 0, None, None)),
]


@pytest.mark.parametrize(("completion", "truth", "expected"), HAND)
def test_the_four_rewards_on_a_table_worked_by_hand(completion, truth, expected):
    paid = scheme("paper").pay(completion, truth)
    assert tuple(p.value for p in paid.values()) == expected
    assert list(paid) == ["consistency", "accuracy", "location", "type"]
    assert total(paid) == pytest.approx(sum(v for v in expected if v is not None))
    assert all(p.why for p in paid.values())


@pytest.mark.parametrize(
    ("predicted", "true", "coarse", "step"),
    [
        ("Surface  Contamination!", "surface contamination", "Contamination", "exact"),
        ("contamination", "stain", "Contamination", "semantic"),
        ("impurity", "dirt", None, "semantic"),
        ("hairline scratch near the rim", "hairline scratch", "Scratch", "semantic"),
        ("through hole", "through-hole", "Hole", "semantic"),
        ("a long scratch mark", "gouge", "Scratch", "category"),
        ("bending", "dent", "Deformation", "category"),
        ("dentt", "dent", "Deformation", "fuzzy"),
        ("scratch", "stain", "Contamination", "group"),
        ("surface anomaly", "stain", "Contamination", "group"),
        ("structural anomalies", "fracture", "Damage", "group"),
        ("structural anomaly", "stain", "Contamination", "none"),
        ("hole", "stain", "Contamination", "none"),
        ("sta", "stain", "Contamination", "fuzzy"),
        ("hol", "hole", "Hole", "fuzzy"),
        ("ear", "wear", "Abrasion", "fuzzy"),
        ("chipped tooth", "chip", "Missing parts", "none"),
        ("", "stain", "Contamination", "none"),
        ("...", "stain", "Contamination", "none"),
        ("weird thing", "stain", "Contamination", "none"),
    ],
)
def test_type_steps_on_a_table_worked_by_hand(predicted, true, coarse, step):
    assert type_step(predicted, true, coarse) == step


def test_the_steps_are_those_of_equation_5():
    assert list(STEPS.values()) == [1.0, 0.85, 0.6, 0.4, 0.3, 0.0]


TAGS = ["<think>", "</think>", "<location>", "</location>", "<type>", "</type>", "<answer>", "</answer>"]
PIECES = st.sampled_from(
    [
        *TAGS,
        "Yes",
        "No",
        "yes ",
        "top left",
        "center",
        "stain",
        "dirt",
        "hole",
        "\n",
        " ",
        "x",
        "é",
        "<",
        "surface anomaly",
    ]
)
COMPLETIONS = st.lists(PIECES, max_size=24).map("".join) | st.builds(
    said, PIECES, PIECES, st.sampled_from(["Yes", "No", "maybe"])
)
TRUTHS = st.sampled_from(
    [STAIN, GOOD, Truth(True, "center", "hole", "Hole"), Truth(True, "bottom", "odd mark", "Scratch")]
)


@given(COMPLETIONS, TRUTHS)
def test_nothing_but_a_right_answer_earns_location_or_type(completion, truth):
    paid = scheme("paper").pay(completion, truth)
    assert paid["accuracy"].value in (0.0, 1.0)
    assert paid["consistency"].value in (0.0, 1.0)
    for name in ("location", "type"):
        value = paid[name].value
        assert (value is None) == (not truth.anomalous)
        if paid["accuracy"].value == 0.0:
            assert not value
    assert total(paid) <= (4.0 if truth.anomalous else 2.0)


@given(COMPLETIONS, TRUTHS)
def test_the_truths_pattern_implies_the_right_answer(completion, truth):
    paid = scheme("paper").pay(completion, truth)
    if paid["consistency"].value == 1.0:
        assert paid["accuracy"].value == 1.0


@given(st.text(max_size=40), st.sampled_from(["stain", "hole", "linear scratch", "odd mark"]))
def test_a_type_step_does_not_depend_on_case_or_surrounding_space(text, true):
    assert type_step(f"  {text.upper().lower()} ", true) == type_step(text.upper().lower(), true)


@given(st.text(max_size=40), TRUTHS)
def test_a_location_that_names_no_cell_is_never_paid(text, truth):
    from expertad.grid import phrase_to_cells

    if "<" not in text and phrase_to_cells(text) is None:
        assert not scheme("paper").pay(said(text, "stain"), truth)["location"].value


def test_answer_only_pays_the_answer_alone():
    assert scheme("answer-only").total(said("bottom", "hole"), STAIN) == 1.0
    assert list(scheme("answer-only").rewards) == ["accuracy"]


@pytest.mark.parametrize("spec", ["accuracy+location", "type+accuracy", "consistency+accuracy+location"])
def test_a_subset_pays_its_rewards_and_keeps_the_gate(spec):
    chosen = scheme(spec)
    assert set(chosen.rewards) == set(spec.split("+"))
    whole = scheme("paper").pay(said("top left", "dirt"), STAIN)
    assert chosen.total(said("top left", "dirt"), STAIN) == sum(whole[name].value for name in chosen.rewards)
    assert chosen.total(said("top left", "stain", "No"), STAIN) == 0.0


@pytest.mark.parametrize(
    ("spec", "location"), [("papers", "cell"), ("accuracy+loc", "cell"), ("release", "overlap"), ("paper", "iou")]
)
def test_an_unknown_scheme_is_refused_by_name(spec, location):
    with pytest.raises(ConfigError, match=r"known|no location"):
        scheme(spec, location)


def test_overlap_and_nearness_pay_part_of_the_way_but_never_a_wrong_answer():
    overlap, near = scheme("paper", "overlap"), scheme("paper", "nearness")
    assert overlap.pay(said("top left", "stain"), STAIN)["location"].value == 0.5
    assert overlap.pay(said("top left and top", "stain"), STAIN)["location"].value == 1.0
    assert near.pay(said("center", "stain"), STAIN)["location"].value == pytest.approx(0.5)
    assert near.pay(said("bottom right", "stain"), STAIN)["location"].value == pytest.approx(0.0)
    for chosen in (overlap, near):
        assert chosen.pay(said("top left", "stain", "No"), STAIN)["location"].value == 0.0
        assert chosen.pay(clean(), GOOD)["location"].value is None


def test_trl_functions_return_one_value_a_completion_and_none_where_a_reward_does_not_apply():
    columns = {
        "anomalous": [True, False],
        "location": ["top left", None],
        "fine_type": ["stain", None],
        "coarse_type": ["Contamination", None],
        "cells": [[0, 1], []],
    }
    functions = reward_functions(scheme("paper"))
    turns = [[{"role": "assistant", "content": said("top left", "dirt")}], [{"role": "assistant", "content": clean()}]]
    values = {f.__name__: f(completions=turns, prompts=["p", "p"], **columns) for f in functions}
    assert values == {"consistency": [1.0, 1.0], "accuracy": [1.0, 1.0], "location": [1.0, None], "type": [0.85, None]}
    assert functions[3](completions=[t[0]["content"] for t in turns], **columns) == [0.85, None]


def test_a_truth_no_completion_could_match_is_refused():
    with pytest.raises(DataError, match="names no cell"):
        Truth(True, "somewhere", "stain")
    with pytest.raises(DataError, match="another grid"):
        Truth.from_row(
            {"anomalous": True, "location": "row 2, column 3", "fine_type": "stain", "coarse_type": None, "cells": []}
        )
    with pytest.raises(DataError, match="no type"):
        Truth(True, "center", " ")
    with pytest.raises(DataError, match="neither|no answer"):
        Truth.from_solution("<answer>perhaps</answer>")


@pytest.mark.parametrize(
    ("column", "value"),
    [("anomalous", "False"), ("anomalous", None), ("anomalous", 2), ("fine_type", 7), ("coarse_type", 7)]
    + [("cells", value) for value in (3, "04", [9], ["4"])],
)
def test_a_column_of_another_kind_is_refused_by_name(column, value):
    row = {"anomalous": True, "location": "center", "fine_type": "stain", "coarse_type": None, "cells": [4]}
    with pytest.raises(DataError, match=f"^{column} is "):
        Truth.from_row({**row, column: value})


@pytest.mark.parametrize("yes", [True, 1, np.bool_(True), np.int64(1)])
def test_labels_and_cells_as_parquet_gives_them_are_read(yes):
    row = {"location": "center", "fine_type": "stain", "coarse_type": None, "cells": np.array([4])}
    assert Truth.from_row({**row, "anomalous": yes}) == Truth(True, "center", "stain", None, (4,))
    assert Truth.from_row({**row, "anomalous": type(yes)(0)}) == GOOD


def test_a_truth_survives_the_released_form():
    assert Truth.from_solution(STAIN.solution) == Truth(True, "top left", "stain")
    assert Truth.from_solution(GOOD.solution) == GOOD


def test_a_completion_is_parsed_into_its_fields():
    reading = read(said("top left", "dirt", "YES"))
    assert (reading.kind, reading.location, reading.type, reading.answer) == ("A", "top left", "dirt", "yes")
    assert read("no tags").kind is None
    assert read("no tags").reason
