"""Every check's message, and that a sound run passes them all."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from expertad.errors import ConfigError, UserError
from training import checks, memory, settings
from training.backbones import load, names
from training.checks import Host

FULL = frozenset({"deepspeed", "vllm", "torchvision", "peft"})
FOUR = Host((80.0,) * 4, FULL)


def run_for(preset="4xA100", backbone="llava-onevision-si-0.5b", **changes):
    return settings.merge(settings.for_backbone(preset, load(backbone), "d"), changes, "test")


@pytest.mark.parametrize("backbone", names())
def test_every_backbone_passes_on_the_papers_machine(backbone):
    run = run_for(backbone=backbone)
    checks.check_settings(run)
    checks.check_machine(run, FOUR)
    assert tuple(checks.completions_a_step(run)) == (24, 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sc_grpo": {"generations": 5}}, r"3 processes x 4 completions x 2 accumulations = 24 .* groups of 5"),
        ({"sc_grpo": {"generations": 1}}, "group of at least 2"),
        ({"sc_grpo": {"rewards": "papers"}}, "unknown reward scheme"),
        ({"sc_grpo": {"location": "iou"}}, "unknown location reward"),
        ({"machine": {"processes": 1}}, "GPU of its own"),
        ({"machine": {"nodes": 2}}, "one node only"),
        ({"pa_sft": {"freeze": "vision"}}, r"pa_sft\.freeze: 'vision' is none of nothing, release"),
        ({"sc_grpo": {"vllm": "sever"}}, r"sc_grpo\.vllm: 'sever' is none of server, colocate, off"),
        ({"machine": {"zero": 1}}, r"machine\.zero: 1 is none of 0, 2, 3"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        checks.check_settings(run_for(**changes))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("seed", -1, "0 to 4294967295"),
        ("grid", 0, "1 to 5"),
        ("grid", 99, "1 to 5"),
        ("max_pixels", 0, "at least 1"),
        ("machine.workers", -1, "0 or more"),
        ("lora.rank", -1, "0 or more"),
        ("lora.targets", "(", "a regular expression"),
        ("pa_sft.batch", 0, "at least 1"),
        ("pa_sft.epochs", 0, "more than 0 where pa_sft.max_steps is -1"),
        ("pa_sft.max_steps", 0, "at least 1, or -1 to go by epochs"),
        ("pa_sft.learning_rate", 0, "more than 0"),
        ("pa_sft.beta2", 1, "from 0 to below 1"),
        ("pa_sft.warmup_steps", -1, "0 or more"),
        ("sc_grpo.temperature", 0, "more than 0"),
        ("sc_grpo.top_p", 1.5, "more than 0 and at most 1"),
        ("sc_grpo.top_p", 0, "more than 0 and at most 1"),
        ("sc_grpo.beta", -0.1, "0 or more"),
        ("sc_grpo.epsilon", -0.1, "0 or more"),
        ("evaluate.rows", -1, "0 or more"),
        ("smoke.arch", "gpt", "one of qwen2_vl"),
        ("smoke.held_out", 1, "more than 0 and below 1"),
        ("smoke.parts", 0, "1 to 99999"),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_what_is_allowed(key, value, allowed):
    changes = value
    for name in reversed(key.split(".")):
        changes = {name: changes}
    run = run_for("smoke" if key.startswith("smoke.") else "4xA100", **changes)
    with pytest.raises(checks.CheckError, match=rf"^{re.escape(key)} is .*; it must be {re.escape(allowed)}"):
        checks.check_settings(run)


@pytest.mark.parametrize("preset", settings.presets())
def test_every_preset_lies_within_the_bounds(preset):
    checks.check_settings(run_for(preset))


def test_epochs_do_not_matter_where_steps_are_given():
    checks.check_settings(run_for(pa_sft={"epochs": 0, "max_steps": 5}))


@pytest.mark.parametrize(
    ("host", "backbone", "message"),
    [
        (Host((), FULL), "llava-onevision-si-0.5b", "no GPU is visible; use --preset smoke"),
        (Host((80.0,) * 2, FULL), "llava-onevision-si-0.5b", "needs 4 GPUs, 2 are visible"),
        (Host((24.0,) * 4, FULL), "qwen2.5-vl-7b", r"PA-SFT of qwen2\.5-vl-7b needs about \d+ GiB a GPU"),
        (Host((80.0,) * 4, FULL - {"vllm"}), "llava-onevision-si-0.5b", r"pip install vllm==0\.31\.0"),
        (Host((80.0,) * 4, FULL - {"deepspeed"}), "llava-onevision-si-0.5b", r"pip install deepspeed==0\.19\.8"),
        (Host((80.0,) * 4, FULL - {"torchvision"}), "llava-onevision-si-0.5b", r"torchvision==0\.28\.0"),
    ],
)
def test_a_machine_that_is_too_small_is_refused(host, backbone, message):
    with pytest.raises(checks.CheckError, match=message):
        checks.check_machine(run_for(backbone=backbone), host)


def test_lora_needs_peft():
    with pytest.raises(checks.CheckError, match="needs peft"):
        checks.check_machine(run_for("1xGPU"), Host((24.0,), FULL - {"peft"}))


def test_one_24_gib_gpu_is_enough_for_lora_on_a_small_backbone():
    checks.check_machine(run_for("1xGPU", "qwen2-vl-2b"), Host((24.0,), FULL))


def test_memory_grows_with_parameters_and_shrinks_with_zero():
    small, large = run_for(backbone="qwen2-vl-2b"), run_for(backbone="qwen2.5-vl-7b")
    need = memory.pa_sft_bytes
    assert need(load("qwen2.5-vl-7b"), large) > need(load("qwen2-vl-2b"), small)
    whole = settings.merge(large, {"machine": {"zero": 0}}, "test")
    two = settings.merge(large, {"machine": {"zero": 2}}, "test")
    sizes = [need(load("qwen2.5-vl-7b"), run) for run in (large, two, whole)]
    assert sizes == sorted(sizes)
    # 16 bytes a weight without ZeRO: 8.3 thousand million weights are 124 GiB before anything else.
    assert sizes[-1] > 16 * 8_292_166_656


def test_the_readme_shows_the_computed_table():
    from pathlib import Path

    readme = (Path(memory.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert memory.table() in readme


def test_a_missing_model_is_named(tmp_path):
    run = run_for()
    with pytest.raises(checks.CheckError, match=r"no model there \(no config\.json\)"):
        checks.check_model(replace(run, model=str(tmp_path)))

    def absent(hub):
        raise checks.CheckError(f"{hub}: absent")

    with pytest.raises(checks.CheckError, match="llava-onevision-qwen2-0.5b-si-hf: absent"):
        checks.check_model(run, absent)


def test_a_model_of_another_architecture_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_vl"}))
    with pytest.raises(checks.CheckError, match="architecture qwen2_vl, but backbone llava-onevision-si-0.5b is"):
        checks.check_model(replace(run_for(), model=str(tmp_path)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", r"config\.json is damaged"),
        ("[1]", r"config\.json is damaged"),
        ('{"model_type": "llava_onevision"}', r"holds no weights"),
    ],
)
def test_a_damaged_model_folder_is_refused(config, message, tmp_path):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(checks.CheckError, match=message):
        checks.check_model(replace(run_for(), model=str(tmp_path)))


@pytest.mark.slow
def test_an_unreachable_hub_is_one_line(tmp_path, tiny):
    import os
    import socket
    import subprocess
    import sys

    nobody = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    nobody.close()
    alone = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path)}
    alone.pop("HF_HUB_OFFLINE", None)

    def ends(*words):
        command = [sys.executable, "-m", "training.run_all", "--preset", "1xGPU", "--set", "machine.gpu=false"]
        done = subprocess.run([*command, *words], capture_output=True, text=True, env=alone, check=False, cwd=tmp_path)
        assert done.returncode == 2
        return done.stdout, done.stderr

    said, error = ends()
    assert "the hub does not answer" in said
    assert "hf download llava-hf/llava-onevision-qwen2-0.5b-si-hf" in error
    assert error.count("\n") == 1
    _, error = ends("--model", str(tiny("llava_onevision")), "--dataset", "somebody/something")
    assert error.startswith("error: somebody/something: not in the local cache")
    assert error.count("\n") == 1


def test_the_data_check_counts_rows_and_images(dataset, make_settings, tmp_path):
    run = make_settings(dataset, tmp_path)
    lines = []
    checks.check_data(run, None, lines.append)
    assert lines[0] == "pa_sft: 16 rows, 16 images as published"
    with pytest.raises(checks.CheckError, match=r"pa_sft has 16 rows, one step needs 32"):
        checks.check_data(settings.merge(run, {"pa_sft": {"batch": 32}}, "test"), None, lines.append)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pa_stf": {}}, "unknown setting 'pa_stf'"),
        ({"pa_sft": {"epoch": 2}}, "unknown setting 'pa_sft.epoch'"),
        ({"pa_sft": {"batch": "four"}}, r"pa_sft\.batch: 'four' is no int"),
        ({"machine": {"gpu": 1}}, r"machine\.gpu: 1 is no bool"),
        ({"pa_sft": {"scheduler": "cosin"}}, r"pa_sft\.scheduler: 'cosin' is none of linear, cosine"),
        ({"sc_grpo": {"beta": "nan"}}, r"sc_grpo\.beta: nan is no finite number"),
        ({"sc_grpo": {"beta": 10**400}}, r"sc_grpo\.beta: 10+ is no float"),
        ({"pa_sft": {"epochs": float("inf")}}, r"pa_sft\.epochs: inf is no finite number"),
    ],
)
def test_a_misspelt_setting_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        run_for(**changes)


def test_settings_survive_their_file(tmp_path):
    for preset in settings.presets():
        run = run_for(preset)
        settings.write(run, tmp_path / "config.yaml")
        assert settings.read(tmp_path / "config.yaml") == run
    (tmp_path / "config.yaml").write_text("preset: x\nbogus: 1\n")
    with pytest.raises(ConfigError, match="not settings of this version"):
        settings.read(tmp_path / "config.yaml")


def test_the_presets_hold_the_papers_numbers():
    run = run_for()
    assert (run.pa_sft.epochs, run.sc_grpo.epochs, run.pa_sft.warmup_steps, run.pa_sft.weight_decay) == (2, 1, 100, 0.1)
    g = run.sc_grpo
    assert (g.generations, g.beta, g.epsilon, g.temperature, g.top_p, g.top_k) == (4, 0.04, 0.2, 0.9, 0.9, 50)
    assert (g.learning_rate, g.max_completion_tokens, run.max_pixels, run.machine.zero) == (1e-6, 512, 480_000, 3)
    assert {load(n).pa_sft_learning_rate for n in ("llava-onevision-si-0.5b", "qwen2-vl-2b")} == {2e-5}
    assert {load(n).pa_sft_learning_rate for n in names()} == {1e-5, 2e-5}
