"""The one command: what it would run, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from expertad.errors import AbortError, UserError
from training import run_all, settings
from training.backbones import load, names
from training.run_all import Step, claim, execute, held, main, plan


def test_the_bare_command_is_the_papers_run(capsys):
    assert main(["--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "llava-onevision-si-0.5b, preset 4xA100" in lines[0]
    modules = [line.split(" -m training.")[1].split()[0] for line in lines[1:] if " -m training." in line]
    assert modules == ["evaluate", "pa_sft", "evaluate", "sc_grpo", "evaluate"]
    untaught = [line for line in lines if "--untaught" in line]
    assert untaught == [line for line in lines if "--model llava-hf/llava-onevision-qwen2-0.5b-si-hf " in line]
    assert "/evaluate_backbone " in untaught[0]
    server = next(line for line in lines if "vllm-serve" in line)
    assert server.startswith("CUDA_VISIBLE_DEVICES=3 ")
    assert server.endswith("&")
    grpo = next(line for line in lines if "training.sc_grpo" in line)
    assert "CUDA_VISIBLE_DEVICES=0,1,2 " in grpo
    assert "--nproc-per-node 3" in grpo
    assert "--nproc-per-node 4" in next(line for line in lines if "training.pa_sft" in line)


def test_all_backbones_are_planned(capsys):
    assert main(["--backbone", "all", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert all(f"# {name}, preset" in text for name in names())


def test_the_smoke_preset_draws_builds_and_makes_its_own_backbone(capsys, tmp_path):
    assert main(["--preset", "smoke", "--dry-run", "--out", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    for word in ("expertad.cli draw", "--profile smoke", "expertad.cli build", "--with-images", "training.tiny"):
        assert word in text
    assert text.index("expertad.cli draw") < text.index("expertad.cli build") < text.index("training.tiny")
    assert not (tmp_path / "run").exists()


def test_several_nodes_pass_torchruns_own_flags(capsys):
    words = ["--set", "machine.nodes=2", "--set", "sc_grpo.vllm=colocate", "--torchrun", "--rdzv-endpoint head:29500"]
    assert main(["--dry-run", *words]) == 0
    text = capsys.readouterr().out
    assert "--nnodes 2 --rdzv-endpoint head:29500 --nproc-per-node 4 -m training.sc_grpo" in text
    assert "--standalone" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backbone", "gpt"], "unknown backbone 'gpt'"),
        (["--preset", "8xB200"], "unknown preset '8xB200'"),
        (["--set", "sc_grpo.batch"], "expected KEY=VALUE"),
        (["--set", "sc_grpo.bach=4"], "unknown setting 'sc_grpo.bach'"),
        (["--set", "sc_grpo.batch=["], "sc_grpo.batch: '[' is no int"),
        (["--set", "pa_sft=3"], "pa_sft is a group of settings; set one of them: pa_sft.epochs"),
        (["--set", "smoke.parts=3"], "smoke has no settings in this preset"),
        (["--preset", "smoke", "--dataset", "elsewhere"], "makes its own data set and backbone"),
        (["--rewards", "paper2"], "unknown reward scheme"),
        (["--backbone", "../configs/qwen2-vl-2b"], "unknown backbone '../configs/qwen2-vl-2b'"),
        (["--preset", "../presets/smoke"], "unknown preset '../presets/smoke'"),
        (["--preset", "smoke", "--set", "dataset=/x"], "leave out --set dataset"),
        (["--backbone", "all", "--model", "x"], "leave out --model, or name a backbone"),
        (["--torchrun", "a 'b"], '--torchrun "a \'b": No closing quotation'),
        (["--set", "machine.processes=0"], "machine.processes is 0; it must be at least 1"),
        (["--set", "image_root=3"], "image_root: 3 is no str | None"),
    ],
)
def test_mistakes_exit_2_with_one_line(words, message, capsys):
    assert main(["--dry-run", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_without_a_gpu_it_says_so(capsys, tmp_path):
    import torch

    if torch.cuda.is_available():
        return
    assert main(["--out", str(tmp_path / "run"), "--set", "machine.zero=0"]) == 2
    assert "no GPU is visible; use --preset smoke" in capsys.readouterr().err


def test_options_reach_the_settings():
    args = run_all.parse(["--rewards", "answer-only", "--freeze", "release", "--seed", "7", "--set", "sc_grpo.beta=0"])
    run = run_all.settings_for(args, "qwen2-vl-2b")
    assert (run.sc_grpo.rewards, run.pa_sft.freeze, run.seed, run.sc_grpo.beta) == ("answer-only", "release", 7, 0.0)
    assert run.pa_sft.learning_rate == 2e-5


def test_values_are_read_as_they_are_written():
    words = ("sc_grpo.learning_rate=2e-6", "pa_sft.weight_decay=0", "sc_grpo.vllm=off", "machine.gpu=False")
    args = run_all.parse([word for pair in words for word in ("--set", pair)])
    run = run_all.settings_for(args, "qwen2-vl-2b")
    assert (run.sc_grpo.learning_rate, run.pa_sft.weight_decay) == (2e-6, 0.0)
    assert (run.sc_grpo.vllm, run.machine.gpu) == ("off", False)


def test_the_same_command_finds_its_own_run_folder_and_another_a_different_one():
    def folder(*words):
        args = run_all.parse(list(words))
        return run_all.folder_for(args, run_all.settings_for(args, "qwen2-vl-2b"), several=False)

    assert folder() == folder()
    assert folder() != folder("--seed", "1")


def test_a_folder_of_another_run_is_refused_by_its_first_difference(tmp_path):
    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d")
    claim(run, tmp_path)
    claim(run, tmp_path)
    with pytest.raises(UserError, match=r"sc_grpo\.beta 0\.04, now 0\.1; give another --out"):
        claim(settings.merge(run, {"sc_grpo": {"beta": 0.1}}, "test"), tmp_path)


def test_a_folder_of_a_run_on_other_data_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    rows = tmp_path / "data" / "rows.parquet"
    rows.write_bytes(b"old")
    out = tmp_path / "run"
    out.mkdir()
    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), str(tmp_path / "data"))
    claim(run, out)
    claim(run, out)
    run_all.manifest(run, out)
    before = json.loads((out / "manifest.json").read_text())["dataset"]
    rows.write_bytes(b"new")
    with pytest.raises(UserError, match=r"holds a run on other data: .*data has changed since; give another --out"):
        claim(run, out)
    run_all.manifest(run, out)
    assert json.loads((out / "manifest.json").read_text())["dataset"] == before


def test_a_run_that_is_merely_repeated_keeps_its_manifest(tmp_path, monkeypatch):
    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d")
    one = run_all.Planned(run, tmp_path, [step(tmp_path, "only", "")])
    monkeypatch.setattr(run_all, "write_card", lambda run, out: "")
    run_all.carry_out(one)
    (tmp_path / "manifest.json").write_text("as it was")
    run_all.carry_out(one)
    assert (tmp_path / "manifest.json").read_text() == "as it was"


@pytest.mark.parametrize("content", [b"preset: [", b"\xff\xfe\x00", b"a list"])
def test_a_damaged_config_in_the_run_folder_is_named(content, tmp_path):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml: (damaged|not settings)") as caught:
        claim(settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d"), tmp_path)
    assert "\n" not in str(caught.value)


def test_all_backbones_are_checked_before_the_first_starts(tmp_path, monkeypatch, capsys):
    seen = []

    def check(one, *, with_data):
        seen.append((one.run.backbone, with_data))
        if one.run.backbone == names()[-1]:
            raise UserError("the last one cannot run")

    monkeypatch.setattr(run_all, "check", check)
    monkeypatch.setattr(run_all, "carry_out", lambda one: pytest.fail("started"))
    assert main(["--backbone", "all", "--out", str(tmp_path)]) == 2
    assert seen == [(name, name == names()[0]) for name in names()]
    assert "the last one cannot run" in capsys.readouterr().err


def test_the_memory_table_takes_no_words():
    def memory(*words):
        command = [sys.executable, "-m", "training.memory", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert memory("nonsense").returncode == 2
    assert memory("--help").stdout.startswith("usage: python -m training.memory")


def test_a_folder_that_cannot_be_made_is_named_and_nothing_is_left_behind(tmp_path, capsys):
    assert main(["--preset", "smoke", "--out", "/proc/foo"]) == 2
    assert "error: /proc/foo cannot be made or written" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["--preset", "smoke", "--out", str(tmp_path / "file" / "run")]) == 2
    assert f"error: {tmp_path}/file is a file; give --out a folder" in capsys.readouterr().err
    assert main(["--out", str(tmp_path / "run"), "--set", "machine.gpu=false", "--model", str(tmp_path)]) == 2
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_folder_is_told_who_is_there(tmp_path):
    with held(tmp_path / "run"):
        with pytest.raises(UserError, match=rf"process {os.getpid()} on .* is at work there"), held(tmp_path / "run"):
            pass
    with held(tmp_path / "run"):
        pass


@pytest.mark.training
def test_without_a_data_set_it_says_how_to_build_one(tmp_path, monkeypatch, capsys, tiny):
    monkeypatch.chdir(tmp_path)
    words = ["--preset", "1xGPU", "--set", "machine.gpu=false", "--model", str(tiny("llava_onevision"))]
    assert main(words) == 2
    assert (
        f"error: {tmp_path}/workspace/dataset: no such folder; build a data set with `expertad build`"
        in capsys.readouterr().err
    )


def test_the_smoke_runs_folder_does_not_depend_on_what_lies_beside_it(tmp_path, monkeypatch):
    def folder():
        args = run_all.parse(["--preset", "smoke"])
        return run_all.folder_for(args, run_all.settings_for(args, "qwen2-vl-2b"), several=False)

    monkeypatch.chdir(tmp_path)
    before = folder()
    (tmp_path / "workspace" / "dataset").mkdir(parents=True)
    assert folder() == before


def step(tmp_path, name, code):
    return Step(name, (sys.executable, "-c", code), tmp_path / name / "done.json")


def test_finished_steps_are_skipped_and_a_failed_one_is_named_with_its_log(tmp_path, capsys):
    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d")
    counter = tmp_path / "count"
    once = step(tmp_path, "once", f"open({str(counter)!r}, 'a').write('x')")
    bad = step(tmp_path, "bad", "import sys; print('error: rows are too long'); sys.exit(2)")
    for _ in range(2):
        with pytest.raises(AbortError, match=r"bad failed with exit code 2; error: rows are too long; .*bad\.log"):
            execute([once, bad], run, tmp_path)
    died = step(tmp_path, "died", "import sys; print('terminate called without an active exception'); sys.exit(1)")
    with pytest.raises(AbortError, match="died failed with exit code 1; terminate called without an active exception"):
        execute([died], run, tmp_path)
    assert counter.read_text() == "x"
    assert "once: done before" in capsys.readouterr().out


def test_the_server_beside_a_step_is_waited_for_and_stopped(tmp_path):
    import socket
    import urllib.error
    import urllib.request

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = (
        "import http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "    def log_message(self, *words): pass\n"
        f"h.HTTPServer(('127.0.0.1', {port}), H).serve_forever()\n"
    )
    asks = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/health', timeout=5)"
    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d")
    run = settings.merge(run, {"sc_grpo": {"vllm_port": port}}, "test")
    both = Step("both", (sys.executable, "-c", asks), tmp_path / "done", server=(sys.executable, "-c", serve))
    execute([both], run, tmp_path)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)


def test_a_server_that_ends_at_once_is_an_error_with_its_words(tmp_path):
    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d")
    dead = (sys.executable, "-c", "raise RuntimeError('out of memory')")
    both = Step("both", (sys.executable, "-c", ""), tmp_path / "done", server=dead)
    with pytest.raises(AbortError, match=r"server ended with exit code 1; RuntimeError: out of memory"):
        execute([both], run, tmp_path)


def test_the_card_tells_scores_settings_and_warnings(tmp_path):
    from training.card import write_card
    from training.evaluate import score

    run = settings.for_backbone("4xA100", load("qwen2-vl-2b"), "d")
    row = {"category": "c", "anomalous": False, "location": None, "fine_type": None, "coarse_type": None, "cells": []}
    good = {**row, "completion": "<think>a</think><answer>No</answer>"}
    bad = {**row, "completion": "<think>a</think><answer>No</answer>"} | {
        "anomalous": True,
        "location": "top",
        "coarse_type": "Scratch",
    }
    plain = [{**good, "completion": "It looks fine."}, {**bad, "completion": "Yes, there is a scratch."}]
    for name, scored in {
        "backbone": score(plain, untaught=True),
        "pa_sft": score([good, bad]),
        "sc_grpo": score([good, bad]),
    }.items():
        (tmp_path / f"evaluate_{name}").mkdir()
        (tmp_path / f"evaluate_{name}" / "scores.json").write_text(json.dumps(scored))
    (tmp_path / "sc_grpo").mkdir()
    (tmp_path / "sc_grpo" / "health.jsonl").write_text('{"step": 3, "warning": "length collapse"}\n')
    facts = {"dataset": "abc", "settings": "def", "git": "123", "versions": {"torch": "2", "vllm": None}}
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    table = write_card(run, tmp_path)
    assert "| backbone, untaught | 2 | 0.500 ±" in table
    assert "| after PA-SFT | 2 | 0.500 ±" in table
    card = (tmp_path / "README.md").read_text()
    for expected in (table, "step 3: length collapse", "`abc`", "torch 2", "rewards paper"):
        assert expected in card
    assert "vllm" not in card


def test_the_plan_depends_on_settings_alone(tmp_path):
    run = settings.for_backbone("1xGPU", load("qwen2-vl-2b"), "d")
    assert plan(run, tmp_path) == plan(run, tmp_path)
    assert all(not s.server for s in plan(run, tmp_path))
