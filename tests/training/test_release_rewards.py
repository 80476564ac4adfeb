"""The released rewards' behaviour, faults included, as measured on the released code."""

from __future__ import annotations

import pytest

from training.rewards import Truth, scheme
from training.rewards.release import accuracy, consistency, location_reward, type_reward

YES = "<location>top left</location><type>stain</type><answer>Yes</answer>"
NO = "<answer>No</answer>"
WHOLE = "<think>a</think><location>top left</location><type>stain</type><answer>Yes</answer>"


def test_consistency_follows_the_truth_and_allows_text_around():
    assert consistency(WHOLE, YES) == 1.0
    assert consistency(f"Well: {WHOLE} Done.", YES) == 1.0
    assert consistency("<think>a</think><answer>Yes</answer>", NO) == 1.0
    assert consistency(WHOLE, NO) == 0.0


def test_a_line_break_between_tags_costs_consistency_but_not_inside_them():
    assert consistency(WHOLE.replace("</think><", "</think>\n<"), YES) == 0.0
    assert consistency(WHOLE.replace(">a<", ">a\nb<"), YES) == 1.0


def test_a_truth_of_neither_kind_pays_nothing_at_all():
    assert consistency(WHOLE, "<answer>maybe</answer>") is None
    assert accuracy(WHOLE, "<answer>maybe</answer>") == 0.0


def test_accuracy_is_not_gated_by_the_answer():
    assert accuracy(WHOLE, YES) == 2.0
    assert accuracy(WHOLE.replace("Yes", "No"), YES) == 1.0
    assert accuracy("<answer>Yes</answer>", YES) == 1.0
    assert accuracy("<answer>Yes</answer>", NO) == 0.0
    assert accuracy("<answer> no </answer>", NO) == 1.0


def test_a_line_break_inside_a_tag_costs_that_field():
    assert accuracy("<answer>\nNo</answer>", NO) == 0.0
    assert accuracy(WHOLE.replace("top left", "top\nleft"), YES) == 1.5


@pytest.mark.parametrize(
    ("predicted", "true", "value"),
    [
        ("somewhere on the object", "center", 1.0),
        ("upper left", "top left", 1.0),
        ("left and right", "left", 1.0),
        ("top and bottom", "top", 1.0),
        ("lower", "bottom", 1.0),
        ("right", "left", 0.0),
    ],
)
def test_any_text_without_a_direction_counts_as_the_center(predicted, true, value):
    assert location_reward(predicted, true) == value


@pytest.mark.parametrize(
    ("predicted", "true", "value"),
    [
        ("stain", "stain", 1.0),
        ("a stain", "stain", 0.85),
        ("dirt", "stain", 0.85),
        ("surface anomaly", "stain", 0.3),
        ("surface anomaly", "hole", 0.0),
        ("hole", "stain", 0.0),
        ("scratch", "stain", 0.3),
        ("holes", "void", 0.6 + 0.25 * 4 / 5),
        ("crack", "crcak", 0.4 * 0.8),
        ("!!!", "crack", 0.85),
        ("", "stain", 0.0),
    ],
)
def test_type_reward_values(predicted, true, value):
    assert type_reward(predicted, true) == pytest.approx(value)


def test_the_scheme_logs_the_releases_two_rewards_and_says_when_a_wrong_answer_is_paid():
    truth = Truth(True, "top left", "stain", "Contamination")
    paid = scheme("release").pay(WHOLE.replace("Yes", "No"), truth)
    assert {name: p.value for name, p in paid.items()} == {"consistency": 1.0, "accuracy": 1.0}
    assert paid["accuracy"].why == "paid without a right answer"
