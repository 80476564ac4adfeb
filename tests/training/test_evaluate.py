"""Scores worked by hand, and the health warnings."""

from __future__ import annotations

import pytest

from training.data import load_rows
from training.evaluate import interval, predict, read_untaught, score
from training.health import Health

NO = "<think>a</think><answer>No</answer>"
YES = "<think>a</think><location>top</location><type>scratch</type><answer>Yes</answer>"


def row(anomalous, completion, category="c"):
    truth = {"location": "top", "coarse_type": "Scratch", "cells": [1]} if anomalous else {}
    empty = {"location": None, "fine_type": None, "coarse_type": None, "cells": []}
    return {"category": category, "anomalous": anomalous, **empty, **truth, "completion": completion}


def test_balanced_accuracy_is_the_mean_over_labels_not_over_images():
    s = score([row(True, YES), *[row(False, NO)] * 8, *[row(False, YES)] * 2])
    assert s["balanced_accuracy"] == pytest.approx((1.0 + 0.8) / 2)
    assert (s["normal"], s["anomalous"], s["n"]) == (10, 1, 11)
    assert s["rewards"]["total"]["mean"] == pytest.approx((4 + 8 * 2 + 0) / 11)


def test_an_answer_that_cannot_be_read_is_wrong_and_counted():
    s = score([row(True, "<answer>perhaps</answer>"), row(False, ""), row(False, NO)])
    assert s["unread_answers"] == 2
    assert s["balanced_accuracy"] == pytest.approx(0.25)
    assert s["format"] == pytest.approx(1 / 3)


def test_location_and_type_are_scored_on_found_defects_only():
    elsewhere = YES.replace("top", "bottom")
    s = score([row(True, YES), row(True, elsewhere), row(True, NO), row(False, NO)])
    assert s["location_on_found"] == pytest.approx(0.5)
    assert s["type_on_found"] == pytest.approx(1.0)


def test_a_missing_label_leaves_the_balance_unknown():
    s = score([row(False, NO)])
    assert s["balanced_accuracy"] is None
    assert s["accuracy_anomalous"] is None


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("Yes, there is a noticeable scratch.", "yes"),
        ("There are no defects in the test image.", "no"),
        ("NO.", "no"),
        ("Nothing unusual; I do not know.", None),
        ("", None),
        ("No tags before <answer>Yes</answer>", "yes"),
    ],
)
def test_an_untaught_model_is_read_in_its_own_words(completion, answer):
    assert read_untaught(completion).answer == answer


def test_own_words_count_only_for_a_model_that_was_not_taught_the_tags():
    rows = [row(True, "Yes, a scratch."), row(False, "No.")]
    assert score(rows, untaught=True)["balanced_accuracy"] == 1.0
    taught = score(rows)
    assert (taught["balanced_accuracy"], taught["unread_answers"]) == (0.0, 2)
    # Rewards are the tags' either way.
    assert score(rows, untaught=True)["rewards"]["accuracy"]["mean"] == 0.0


def test_a_share_of_all_or_none_still_has_an_interval():
    rewards = score([row(False, NO)] * 50)["rewards"]
    assert rewards["accuracy"]["mean"] == 1.0
    assert 0.01 < rewards["accuracy"]["ci95"] < 0.1


class Counting:
    """An engine that answers with the number of images it was shown."""

    def generate(self, prompts, images):
        return [f"{len(shown)} of {prompt[0]['role']}" for prompt, shown in zip(prompts, images, strict=True)]


@pytest.mark.parametrize(("count", "taken"), [(0, list(range(16))), (4, [0, 4, 8, 12]), (99, list(range(16)))])
def test_fewer_rows_are_spread_over_the_set_and_shared_by_the_processes(count, taken, dataset, make_settings, tmp_path):
    run = make_settings(dataset, tmp_path, evaluate={"rows": count, "batch": 3})
    ids = load_rows(str(dataset), "held_out")["id"]
    shares = [predict(run, Counting(), rank, 2) for rank in (0, 1)]
    assert sorted(p["id"] for share in shares for p in share) == sorted(ids[i] for i in taken)
    assert abs(len(shares[0]) - len(shares[1])) <= 1
    assert {p["completion"] for share in shares for p in share} == {"1 of user"}


def test_categories_are_scored_apart():
    s = score([row(True, YES, "a"), row(False, NO, "a"), row(True, NO, "b"), row(False, NO, "b")])
    assert s["categories"] == {"a": 1.0, "b": 0.5}


def test_the_interval_narrows_with_images_and_never_vanishes():
    assert interval(50, 100) > interval(500, 1000) > 0
    assert interval(100, 100) > 0
    assert interval(50, 100) == pytest.approx(0.096, abs=0.002)


def rollouts(reward, completion, tokens=50):
    return [
        {"group": i // 4, "reward": reward(i), "completion": completion(i), "tokens": tokens, "anomalous": i % 8 < 4}
        for i in range(16)
    ]


def healthy(i):
    return YES if i % 2 else NO


def test_a_healthy_run_raises_no_warning():
    health = Health(window=5)
    assert [w for _ in range(12) for w in health.update(rollouts(lambda i: i % 4, healthy))] == []


@pytest.mark.parametrize(
    ("reward", "completion", "tokens", "warning"),
    [
        (lambda i: 1.0, healthy, 50, "reward variance is gone"),
        (lambda i: i % 4, lambda i: NO, 50, "one class is always answered: no"),
        (lambda i: i % 4, healthy, 5, "length collapse"),
    ],
)
def test_each_quiet_death_is_told_once(reward, completion, tokens, warning):
    health = Health(window=5)
    for _ in range(5):
        assert health.update(rollouts(lambda i: i % 4, healthy)) == []
    told = [w for _ in range(20) for w in health.update(rollouts(reward, completion, tokens))]
    assert len(told) == 1
    assert warning in told[0]
