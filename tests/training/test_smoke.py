"""`--preset smoke`: the whole way on two CPU cores, and the whole way again with a kill in every stage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training import run_all

ROOT = Path(run_all.__file__).parent.parent
pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def start(out: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "training.run_all", "--preset", "smoke", "--out", str(out), *words]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))


def finish(out: Path, *words: str) -> None:
    assert start(out, *words).wait() == 0, (out.parent / f"{out.name}.log").read_text()[-3000:]


def scores(out: Path, stage: str):
    return json.loads((out / f"evaluate_{stage}" / "scores.json").read_text())


def test_the_smoke_run_learns_to_see_and_is_rewarded_for_it(tmp_path):
    out = tmp_path / "run"
    begun = time.monotonic()
    finish(out)
    print(f"smoke run: {time.monotonic() - begun:.0f} s")
    backbone, sft, grpo = (scores(out, stage) for stage in ("backbone", "pa_sft", "sc_grpo"))
    assert backbone["n"] == sft["n"]
    # Random language weights answer by chance at best, and mostly not at all, which counts as wrong.
    assert backbone["balanced_accuracy"] <= 0.5 + backbone["balanced_accuracy_ci95"]
    assert sft["n"] >= 600
    assert sft["balanced_accuracy"] > 0.90
    assert sft["format"] > 0.95
    history = [e for e in json.loads((out / "sc_grpo" / "curves.json").read_text()) if "reward" in e]
    fifth = len(history) // 5
    for name in ("reward", "rewards/accuracy/mean", "rewards/consistency/mean"):
        first, last = ([e[name] for e in part] for part in (history[:fifth], history[-fifth:]))
        assert sum(last) > sum(first), name
    for name in ("total", "accuracy", "consistency"):
        before, after = sft["rewards"][name], grpo["rewards"][name]
        assert after["mean"] >= before["mean"] - before["ci95"], name
    assert (out / "README.md").is_file()
    assert (out / "sc_grpo" / "dynamics.png").stat().st_size > 10_000


SHORT = [
    *("--set", "smoke.parts=120", "--set", "smoke.pa_sft=96", "--set", "smoke.sc_grpo=48"),
    *("--set", "smoke.warm_steps=10", "--set", "pa_sft.max_steps=12", "--set", "pa_sft.save_steps=3"),
    *("--set", "pa_sft.logging_steps=1", "--set", "sc_grpo.max_steps=6", "--set", "sc_grpo.save_steps=2"),
    *("--set", "evaluate.rows=16"),
]


def kill_when(out: Path, there) -> None:
    """Starts the run, and kills it with -9 as soon as `there` exists."""
    process = start(out, *SHORT)
    while not there():
        assert process.poll() is None, (out.parent / f"{out.name}.log").read_text()[-3000:]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(3)  # workers end with their parent


def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finish(whole, *SHORT)
    kill_when(cut, lambda: (cut / "workspace").is_dir())
    kill_when(cut, lambda: (cut / "logs" / "tiny.log").is_file())
    kill_when(cut, lambda: (cut / "logs" / "evaluate_backbone.log").is_file())
    kill_when(cut, lambda: (cut / "pa_sft" / "checkpoints" / "checkpoint-6" / "trainer_state.json").is_file())
    kill_when(cut, lambda: (cut / "evaluate_pa_sft").is_dir())
    kill_when(cut, lambda: (cut / "sc_grpo" / "checkpoints" / "checkpoint-2" / "trainer_state.json").is_file())
    finish(cut, *SHORT)

    def losses(out, stage):
        return [e["loss"] for e in json.loads((out / stage / "curves.json").read_text()) if "loss" in e]

    def order(out):
        import pyarrow.parquet as pq

        files = sorted((out / "sc_grpo" / "rollouts").glob("*.parquet"))
        return [tuple(row[k] for k in ("step", "group", "id")) for f in files for row in pq.read_table(f).to_pylist()]

    assert losses(cut, "pa_sft") == pytest.approx(losses(whole, "pa_sft"), abs=1e-4)
    assert order(cut) == order(whole)
    assert len(losses(cut, "sc_grpo")) == 6
