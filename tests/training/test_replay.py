"""The replay: its table, the hacking it finds, and what it says about a bad file."""

from __future__ import annotations

import io
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expertad.errors import UserError
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


def test_right_answers_to_images_that_are_mostly_alike_are_no_hack():
    first, second = DEFECTS[:2]
    places = [Rollout(said(t.location, think=f"dark spot, case {i} of these"), t) for i, t in enumerate([first] * 19)]
    assert names([*places, Rollout(said(second.location), second)]) == set()
    normal = [Rollout(clean(f"an even surface, number {i} of them"), GOOD) for i in range(19)]
    assert names([*normal, Rollout(said(first.location), first)]) == set()


def test_one_reasoning_is_found_over_several_images_only():
    converged = [Rollout(clean(), GOOD, "a")] * 4
    varied = [Rollout(clean(f"an even surface, number {i} of them"), GOOD, "b") for i in range(4)]
    assert names(converged + varied) == set()
    assert names([*converged, *varied, Rollout(clean(), GOOD, "c")]) == {"one reasoning for many images"}


def test_one_image_sampled_in_two_groups_stays_one_image():
    assert names([Rollout(clean(), GOOD, group, image="cup-1") for group in "ab"]) == set()


def test_what_is_not_said_or_not_paid_is_no_hack():
    assert names([Rollout("I cannot tell", t) for t in [*DEFECTS, GOOD]]) == set()
    unpaid = "<think>a dull and even surface</think>"
    assert names([Rollout(unpaid, t) for t in [*DEFECTS, GOOD]]) == set()


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


def test_equal_group_names_of_two_files_are_two_groups(tmp_path, capsys):
    row = {"solution": GOOD.solution, "group": 0}
    right = write(tmp_path / "right.jsonl", [{**row, "completion": clean()}] * 2)
    wrong = write(tmp_path / "wrong.jsonl", [{**row, "completion": said()}] * 2)
    assert main([right, wrong]) == 0
    assert "groups without variance: 2 of 2" in capsys.readouterr().out


def test_a_rollout_dump_is_read_with_its_groups(tmp_path):
    rows = [
        {
            "step": 3,
            "group": 7,
            "id": "cup-1",
            "completion": said(),
            "anomalous": True,
            "location": "center",
            "fine_type": "stain",
            "coarse_type": "Contamination",
            "cells": [4],
        }
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.PARQUET")
    [rollout] = read_rollouts(tmp_path / "r.PARQUET")
    assert (rollout.group, rollout.image, rollout.truth.cells) == ("3/7", "cup-1", (4,))


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path):
    file = tmp_path / "c.jsonl"
    row = json.dumps({"completion": "x", "solution": GOOD.solution})
    file.write_text(f"{row}\n\n{row}\n", encoding="utf-8-sig")
    assert len(read_rollouts(file)) == 2
    file.write_text(f"{row}\n\n{{}}\n")
    with pytest.raises(UserError, match="line 3: no 'completion'"):
        read_rollouts(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not json}\n", "line 1: not JSON"),
        ('{"solution": "<answer>No</answer>"}\n', "line 1: no 'completion'"),
        ('{"completion": "x", "solution": "<answer>eh</answer>"}\n', "line 1: .*no answer"),
        ('{"completion": "x"}\n', "line 1: no 'anomalous'"),
        ('{"completion": "x", "solution": null}\n', "line 1: the solution is None"),
        ('{"completion": "x", "solution": ["<answer>No</answer>"]}\n', "line 1: the solution is "),
        ('{"completion": "x", "anomalous": "False"}\n', "line 1: anomalous is 'False'"),
        ("[" * 200_000 + "\n", "line 1: .*too deep"),
        ('{"completion": "x", "n": ' + "9" * 5000 + "}\n", "line 1: a number is too long"),
        ("", "no completions"),
        ("\n \n", "no completions"),
        ('{"completion": 3, "solution": "<answer>No</answer>"}\n', "not text"),
    ],
)
def test_a_bad_file_names_its_line(tmp_path, capsys, content, message):
    import re

    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    assert main([str(file)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.jsonl", b'{"completion": "x", "solution": "<answer>No</answer>"}\n"\xe9"\n', "line 2: not UTF-8"),
        ("c.parquet", b"PAR1 and then nothing of use", "not a readable Parquet file"),
        ("c.parquet", b"", "not a readable Parquet file"),
    ],
)
def test_a_file_of_another_kind_is_one_line(tmp_path, capsys, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert main([str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "message"), [(".", "is a folder"), ("none/out.jsonl", "no folder"), ("c.jsonl", "would be overwritten")]
)
def test_an_unusable_out_is_refused_before_scoring(tmp_path, capsys, out, message):
    file = write(tmp_path / "c.jsonl", [{"completion": clean(), "solution": GOOD.solution}])
    assert main([file, "--out", str(tmp_path / out)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out


@pytest.mark.parametrize("grid", ["0", "-1", "6", "100000"])
def test_an_unknown_grid_is_refused(tmp_path, capsys, grid):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "c.jsonl"), "--grid", grid])
    assert "--grid" in capsys.readouterr().err


def test_an_ascii_terminal_gets_its_table(tmp_path, monkeypatch):
    file = write(tmp_path / "c.jsonl", [{"completion": clean(), "solution": GOOD.solution}])
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main([file]) == 0
    terminal.flush()
    assert b"total 2.000 ? 0.000" in terminal.buffer.getvalue()


def test_a_missing_file_and_an_unknown_scheme_exit_2(tmp_path, capsys):
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main([write(tmp_path / "c.jsonl", []), "--rewards", "paper2"]) == 2
    assert "unknown reward scheme" in capsys.readouterr().err
