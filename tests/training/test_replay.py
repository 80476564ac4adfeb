"""The replay: its table, the hacking it finds, and what it says about a bad file."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.replay import main, score, suspicions
from training.rewards import Truth, scheme
from training.rollouts import Rollout, read_rollouts

DEFECTS = [Truth(True, place, "stain", "Contamination") for place in ("top left", "center", "bottom", "right")]
GOOD = Truth(False)


def said(location="center", type_="stain", think="a dark spot on the even surface", answer="Yes"):
    return f"<think>{think}</think><location>{location}</location><type>{type_}</type><answer>{answer}</answer>"


def clean(think="an even surface without any mark"):
    return f"<think>{think}</think><answer>No</answer>"


def names(rollouts, spec="paper"):
    return {s.name for s in suspicions(score(rollouts, scheme(spec)))}


def honest():
    defects = [Rollout(said(t.location, think=f"a dark spot at the {t.location}"), t) for t in DEFECTS]
    return defects + [Rollout(clean(f"an even surface, number {i} of them"), GOOD) for i in range(4)]


def test_honest_completions_raise_no_suspicion():
    assert names(honest()) == set()


def test_a_constant_answer_is_found():
    assert "one answer for every image" in names(
        [Rollout(clean(f"fine surface number {i}"), t) for i, t in enumerate([*DEFECTS, GOOD])]
    )


def test_a_constant_answer_is_no_hack_when_every_truth_is_the_same():
    assert "one answer for every image" not in names(
        [Rollout(clean(f"fine surface number {i}"), GOOD) for i in range(5)]
    )


def test_empty_reasoning_is_found():
    assert "empty reasoning" in names([*honest(), Rollout(clean("ok"), GOOD)])


def test_stuffed_directions_are_found():
    stuffed = Rollout(said("left right top bottom"), DEFECTS[0])
    assert "direction words stuffed" in names([*honest(), stuffed])


def test_stuffed_types_are_found():
    assert "types stuffed" in names([*honest(), Rollout(said("center", "scratch hole stain dent"), DEFECTS[1])])


def test_a_constant_location_is_found():
    rollouts = [Rollout(said("center", think=f"dark spot, case {i} of these"), t) for i, t in enumerate(DEFECTS)]
    assert "one location for every defect" in names(rollouts)


def test_pay_for_a_wrong_answer_is_a_fault_of_the_release_alone():
    wrong = [Rollout(said(t.location, answer="No", think=f"spot at the {t.location}"), t) for t in DEFECTS]
    assert "paid for a wrong answer" in names(wrong, "release")
    assert "paid for a wrong answer" not in names(wrong, "paper")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_the_table_shows_every_reward_with_its_reasons(tmp_path, capsys):
    file = write(
        tmp_path / "c.jsonl",
        [
            {"completion": said("upper left", "dirt"), "solution": DEFECTS[0].solution, "group": "a"},
            {"completion": said("center", "hole"), "solution": DEFECTS[0].solution, "group": "a"},
            {"completion": clean(), "solution": GOOD.solution, "group": "b"},
            {"completion": clean(), "solution": GOOD.solution, "group": "b"},
        ],
    )
    out = tmp_path / "scored.jsonl"
    assert main([file, "--rewards", "paper", "--rewards", "release", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for expected in ("scheme paper", "scheme release", "same cell", "other cell", "semantic match", "image is normal"):
        assert expected in text
    assert "groups without variance: 1 of 2" in text
    scored = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["total"] for row in scored[:4]] == [3.85, 2.0, 2.0, 2.0]
    assert scored[0]["rewards"]["type"] == {"value": 0.85, "why": "semantic match"}


def test_a_rollout_dump_is_read_with_its_groups(tmp_path):
    rows = [
        {
            "step": 3,
            "group": 7,
            "completion": said(),
            "anomalous": True,
            "location": "center",
            "fine_type": "stain",
            "coarse_type": "Contamination",
            "cells": [4],
        }
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    [rollout] = read_rollouts(tmp_path / "r.parquet")
    assert (rollout.group, rollout.truth.cells) == ("3/7", (4,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not json}\n", "line 1: not JSON"),
        ('{"solution": "<answer>No</answer>"}\n', "row 1: no 'completion'"),
        ('{"completion": "x", "solution": "<answer>eh</answer>"}\n', "row 1: .*no answer"),
        ('{"completion": "x"}\n', "row 1: no 'anomalous'"),
        ('{"completion": 3, "solution": "<answer>No</answer>"}\n', "not text"),
    ],
)
def test_a_bad_file_names_its_line(tmp_path, capsys, content, message):
    import re

    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    assert main([str(file)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_missing_file_and_an_unknown_scheme_exit_2(tmp_path, capsys):
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main([write(tmp_path / "c.jsonl", []), "--rewards", "paper2"]) == 2
    assert "unknown reward scheme" in capsys.readouterr().err
