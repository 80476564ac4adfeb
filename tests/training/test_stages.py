"""Both stages on tiny models: the rollout dump, resuming, LoRA, freezing, several processes, ZeRO-3."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from training import pa_sft, sc_grpo, settings
from training.backbones import ARCHITECTURES, CONFIGS

ROOT = Path(sc_grpo.__file__).parent.parent
pytestmark = pytest.mark.training


def losses(folder):
    return [entry["loss"] for entry in json.loads((folder / "curves.json").read_text()) if "loss" in entry]


def rollouts(folder):
    import pyarrow.parquet as pq

    return [row for file in sorted((folder / "rollouts").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def launch(processes, module, *words):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "-m", module, *words], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


LEAVES = """
import sys, time
from pathlib import Path
import torch.distributed as dist
from accelerate import PartialState
from expertad.errors import UserError
from training import stage

def work(run, args):
    state = PartialState(cpu=True)
    if args.out.name == "fails":
        raise UserError("the data are wrong")
    if state.is_main_process:
        time.sleep(2)
        (args.out / "written").touch()

parser = stage.command_line("leaves", "A stage.")
args = parser.parse_args(sys.argv[1:])
code = stage.run_process(parser, sys.argv[1:], work)
assert not dist.is_initialized()
assert code or (args.out / "written").is_file(), "ended before the first process had"
sys.exit(code)
"""


@pytest.mark.parametrize(("name", "code"), [("works", 0), ("fails", 1)])
def test_every_process_waits_for_the_others_and_takes_the_group_down(name, code, make_settings, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / "leaves.py").write_text(LEAVES)
    settings.write(make_settings(tmp_path, tmp_path), tmp_path / "config.yaml")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [tmp_path / "leaves.py", "--config", tmp_path / "config.yaml", "--out", tmp_path / name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr[-3000:]
    assert "AssertionError" not in done.stderr
    assert ("error: the data are wrong" in done.stderr) is bool(code)


def test_advantages_recomputed_from_the_dump_equal_the_trainers(dataset, tiny, make_settings, tmp_path):
    run = make_settings(dataset, tiny("llava_onevision"), sc_grpo={"max_steps": 2, "max_completion_tokens": 20})
    trainer, _ = sc_grpo.make_trainer(run, run.model, tmp_path)
    # A random model earns nothing; a reward that varies makes advantages worth recomputing.
    trainer.reward_funcs[0] = lambda completions, **_: [float(i % 3) for i in range(len(completions))]
    given = []
    score = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: given.append(score(inputs)) or given[-1]
    trainer.train()
    rows = rollouts(tmp_path)
    assert len(rows) == 16
    assert {row["step"] for row in rows} == {0, 1}
    for step in (0, 1):
        own = [row for row in rows if row["step"] == step]
        for group in (0, 1):
            members = [row for row in own if row["group"] == group]
            assert [row["index"] for row in members] == [0, 1, 2, 3]
            assert len({row["id"] for row in members}) == 1
            rewards = [row["reward"] for row in members]
            spread = statistics.stdev(rewards)
            assert spread > 0
            for row in members:
                by_hand = (row["reward"] - statistics.mean(rewards)) / (spread + 1e-4)
                assert row["advantage"] == pytest.approx(by_hand, abs=1e-5)
                parts = [value for name, value in row.items() if name.startswith("reward/") and value is not None]
                assert row["reward"] == pytest.approx(sum(parts))
        assert sorted(given[step]["advantages"].tolist()) == pytest.approx(sorted(row["advantage"] for row in own))


def test_resampling_gives_silent_groups_places_to_those_with_variance(dataset, tiny, make_settings, tmp_path):
    run = make_settings(dataset, tiny("qwen2_vl"), "qwen2_vl", sc_grpo={"resample": True})
    trainer, _ = sc_grpo.make_trainer(run, run.model, tmp_path)
    # Two groups of four: the first earns all the same, the second does not.
    trainer.reward_funcs[0] = lambda completions, **_: [0.0] * 4 + [0.0, 1.0, 2.0, 3.0]
    trainer.reward_funcs[1] = lambda completions, **_: [0.0] * 8
    given = []
    score = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: given.append(score(inputs)) or given[-1]
    trainer.train()
    recorded = sorted(row["advantage"] for row in rollouts(tmp_path))
    assert recorded[0] < -0.5
    assert sorted(given[0]["advantages"].tolist()) == pytest.approx([2 * value for value in recorded], abs=1e-5)


def test_a_normal_image_has_no_location_or_type_reward_in_the_dump(dataset, tiny, make_settings, tmp_path):
    sc_grpo.train(make_settings(dataset, tiny("qwen2_vl"), "qwen2_vl"), str(tiny("qwen2_vl")), tmp_path)
    for row in rollouts(tmp_path):
        assert (row["reward/location"] is None) == (not row["anomalous"])
        assert (row["reward/type"] is None) == (not row["anomalous"])


@pytest.mark.parametrize("stage", ["pa_sft", "sc_grpo"])
def test_a_run_cut_short_ends_as_one_that_was_not(stage, dataset, tiny, make_settings, tmp_path):
    changes = {stage: {"max_steps": 4, "save_steps": 2, "logging_steps": 1}}
    run = make_settings(dataset, tiny("llava_onevision"), **changes)
    module = {"pa_sft": pa_sft, "sc_grpo": sc_grpo}[stage]

    def train(out):
        pa_sft.train(run, out) if stage == "pa_sft" else sc_grpo.train(run, run.model, out)

    train(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for name in ("final", "checkpoints/checkpoint-4"):
        shutil.rmtree(tmp_path / "cut" / name)
    # What a kill in the middle of saving leaves behind: a checkpoint without its state.
    shutil.copytree(
        tmp_path / "cut" / "checkpoints" / "checkpoint-2", tmp_path / "cut" / "checkpoints" / "checkpoint-3"
    )
    (tmp_path / "cut" / "checkpoints" / "checkpoint-3" / "trainer_state.json").unlink()
    train(tmp_path / "cut")
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)
    assert len(losses(tmp_path / "cut")) == 4
    assert module.__name__.endswith(stage)
    if stage == "sc_grpo":
        keys = ("step", "group", "id", "completion")
        pick = [[tuple(row[k] for k in keys) for row in rollouts(tmp_path / name)] for name in ("whole", "cut")]
        assert pick[0] == pick[1]


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_freezing_as_the_release_does_leaves_vision_and_projector_alone(arch, tiny):
    from training.backbones import freeze, load_model

    model = load_model(str(tiny(arch)), "float32")
    assert freeze(model, "nothing") == 0
    assert all(weight.requires_grad for weight in model.parameters())
    frozen = freeze(model, "release")
    assert 0 < frozen < sum(weight.numel() for weight in model.parameters())
    left = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert left
    assert not [name for name in left if "visual" in name or "vision" in name or "projector" in name]


def test_lora_is_merged_into_a_plain_model_whose_vision_is_untouched(dataset, tiny, make_settings, tmp_path):
    from training.backbones import load_model

    run = make_settings(
        dataset, tiny("qwen2_vl"), "qwen2_vl", lora={"rank": 4}, pa_sft={"learning_rate": 0.01, "max_steps": 2}
    )
    pa_sft.train(run, tmp_path / "sft")
    before = dict(load_model(run.model, "float32").named_parameters())
    after = dict(load_model(str(tmp_path / "sft" / "final"), "float32").named_parameters())
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all("language_model" in name for name in changed)
    assert not (tmp_path / "sft" / "final" / "adapter_config.json").exists()


def test_a_row_too_long_for_the_backbone_is_named_and_never_cut(dataset, tiny):
    from training.backbones import load_processor
    from training.data import load_rows, pa_sft_rows

    processor = load_processor(str(tiny("llava")), "llava")
    rows = pa_sft_rows(load_rows(str(dataset), "pa_sft"))
    tokens, row_id = pa_sft.longest(rows, processor, lambda images: 36 * images)
    assert 36 < tokens < 200
    assert row_id.startswith("pa_sft/")


def test_two_processes_train_as_one_with_the_same_global_batch(dataset, tiny, make_settings, tmp_path):
    base = tiny("llava_onevision")
    for processes, batch in ((1, 4), (2, 2)):
        steps = {"max_steps": 3, "save_steps": 2, "batch": batch}
        run = make_settings(dataset, base, pa_sft=steps, machine={"processes": processes})
        config = tmp_path / f"{processes}.yaml"
        settings.write(run, config)
        launch(processes, "training.pa_sft", "--config", str(config), "--out", str(tmp_path / str(processes)))
    whole = losses(tmp_path / "2")
    assert losses(tmp_path / "1") == pytest.approx(whole, abs=1e-3)
    for name in ("final", "checkpoints/checkpoint-3"):
        shutil.rmtree(tmp_path / "2" / name)
    launch(2, "training.pa_sft", "--config", str(tmp_path / "2.yaml"), "--out", str(tmp_path / "2"))
    assert losses(tmp_path / "2") == pytest.approx(whole, abs=1e-5)


def test_the_deepspeed_files_are_valid_and_a_misspelling_is_not():
    from deepspeed.runtime.config import DeepSpeedConfig

    for stage in (2, 3):
        values = json.loads((CONFIGS / f"zero{stage}.json").read_text())
        values |= {
            "train_batch_size": 8,
            "train_micro_batch_size_per_gpu": 8,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": 1.0,
            "bf16": {"enabled": True},
        }
        zero = {k: 100_000 if v == "auto" else v for k, v in values["zero_optimization"].items()}
        assert DeepSpeedConfig(values | {"zero_optimization": zero}).zero_config.stage == stage
        with pytest.raises(Exception, match="overlap_com"):
            DeepSpeedConfig(values | {"zero_optimization": zero | {"overlap_com": True}})


def test_one_sc_grpo_step_with_zero_3_on_cpu(dataset, tiny, make_settings, tmp_path):
    from training.backbones import load_model

    run = make_settings(dataset, tiny("llava_onevision"), machine={"processes": 2, "zero": 3}, sc_grpo={"batch": 4})
    settings.write(run, tmp_path / "config.yaml")
    words = ("--config", str(tmp_path / "config.yaml"), "--model", run.model, "--out", str(tmp_path / "out"))
    launch(2, "training.sc_grpo", *words)
    assert len(rollouts(tmp_path / "out")) == 8
    before = dict(load_model(run.model, "float32").named_parameters())
    after = dict(load_model(str(tmp_path / "out" / "final"), "float32").named_parameters())
    assert before.keys() == after.keys()
    # One step at this rate moves no weight further than the rate itself, and a lost weight would be random.
    assert all((before[name] - after[name]).abs().max() < 1e-4 for name in before)
