"""All five architectures as tiny models: both stages, log-probabilities, saving, templates."""

from __future__ import annotations

import json

import pytest

from training.backbones import ARCHITECTURES, chat_template, load, names

ARCHES = sorted(ARCHITECTURES)


def test_there_are_seven_backbones_in_five_architectures():
    backbones = [load(name) for name in names()]
    assert len(backbones) == 7
    assert {b.arch for b in backbones} == set(ARCHITECTURES)
    assert names()[0] == "llava-onevision-si-0.5b"
    # Two images must fit the lengths that the release allows, as one does.
    assert all(b.tokens_of(images) + 300 < b.sc_grpo_prompt_tokens for b in backbones for images in (1, 2))


@pytest.mark.parametrize("arch", ARCHES)
def test_a_prompt_is_a_strict_prefix_of_prompt_and_completion_and_keeps_text_between_images(arch):
    import jinja2

    from training.data import prompt

    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(chat_template(arch))
    marks = {"bos_token": "<s>", "eos_token": "</s>"}
    for shot in (0, 1):
        user = prompt(shot, "Any defects?")
        reply = [{"role": "assistant", "content": [{"type": "text", "text": "<think>a</think>"}]}]
        asked = template.render(messages=user, add_generation_prompt=True, **marks)
        whole = template.render(messages=user + reply, add_generation_prompt=False, **marks)
        assert whole.startswith(asked)
        assert "<think>a</think>" in whole[len(asked) :]
        image = "<|image_pad|>" if arch.startswith("qwen") else "<image>"
        assert asked.count(image) == 1 + shot
        assert image + image not in asked.replace("<|vision_start|>", "").replace("<|vision_end|>", "")
        if arch in ("llava", "llava_next"):
            assert asked.startswith("<s>")
            assert whole.endswith("</s>")


@pytest.mark.training
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("images", [1, 2])
def test_one_step_of_each_stage_saves_a_model_that_reloads_and_generates_the_same(
    arch, images, dataset, one_shot_dataset, tiny, make_settings, tmp_path
):
    from training import pa_sft, sc_grpo
    from training.backbones import load_model, load_processor
    from training.evaluate import TransformersEngine, predict

    run = make_settings(dataset if images == 1 else one_shot_dataset, tiny(arch), arch)
    pa_sft.train(run, tmp_path / "sft")
    sc_grpo.train(run, str(tmp_path / "sft" / "final"), tmp_path / "grpo")

    def answers():
        folder = str(tmp_path / "grpo" / "final")
        engine = TransformersEngine(load_model(folder, "float32").eval(), load_processor(folder, arch), 6)
        return [p["completion"] for p in predict(run, engine, 0, 4)]

    first = answers()
    assert len(first) == 4
    assert first == answers()
    for stage in ("sft", "grpo"):
        done = json.loads((tmp_path / stage / "done.json").read_text())
        assert done["steps"] == 1
        assert 0 < done["waiting_for_data"] < 1
        assert (tmp_path / stage / "curves.json").is_file()
        assert len(list((tmp_path / stage).glob("*.png"))) == 1


@pytest.mark.training
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("images", [1, 2])
def test_the_trainers_log_probabilities_equal_a_plain_forward(
    arch, images, dataset, one_shot_dataset, tiny, make_settings, tmp_path
):
    import torch

    from training.data import load_rows, prompt
    from training.sc_grpo import make_trainer

    data = dataset if images == 1 else one_shot_dataset
    trainer, processor = make_trainer(make_settings(data, tiny(arch), arch), str(tiny(arch)), tmp_path)
    model = trainer.model.eval()
    rows = load_rows(str(data), "held_out")
    sizes = [(84, 84), (70, 84), (84, 56), (56, 56)]
    pictures = [[image.resize(size) for image in rows[i]["images"]] for i, size in enumerate(sizes)]
    questions = ["Any?", "Are there any defects?", "What is it?", "Are there any defects in the test image?"]
    texts = [
        processor.apply_chat_template(prompt(images - 1, q), add_generation_prompt=True, tokenize=False)
        for q in questions
    ]
    reply = processor.tokenizer("<think>x</think><answer>No</answer>", add_special_tokens=False, return_tensors="pt")
    reply = reply["input_ids"]

    def inputs(indices):
        batch = processor(
            text=[texts[i] for i in indices],
            images=[pictures[i] for i in indices],
            padding=True,
            add_special_tokens=False,
            return_tensors="pt",
        )
        count = len(indices)
        batch["input_ids"] = torch.cat([batch["input_ids"], reply.expand(count, -1)], 1)
        batch["attention_mask"] = torch.cat([batch["attention_mask"], torch.ones_like(reply).expand(count, -1)], 1)
        if "mm_token_type_ids" in batch:
            batch["mm_token_type_ids"] = torch.cat(
                [batch["mm_token_type_ids"], torch.zeros_like(reply).expand(count, -1)], 1
            )
        return dict(batch)

    with torch.no_grad():
        whole = inputs(range(4))
        ids, mask = whole.pop("input_ids"), whole.pop("attention_mask")
        got, _, _ = trainer._get_per_token_logps_and_entropies(
            model, ids, mask, reply.shape[1], batch_size=2, num_images=[images] * 4, **whole
        )
        for i in range(4):
            logits = model(**inputs([i])).logits[0, -reply.shape[1] - 1 : -1]
            plain = logits.log_softmax(-1).gather(1, reply[0][:, None])[:, 0]
            assert (got[i] - plain).abs().max() < 1e-5


@pytest.mark.training
@pytest.mark.parametrize("arch", ["qwen2_vl", "qwen2_5_vl"])
def test_the_pixel_limit_is_baked_into_the_saved_processor(arch, tiny, tmp_path):
    from PIL import Image

    from training.backbones import load_processor

    limit = 2 * 28 * 28
    load_processor(str(tiny(arch)), arch, limit).save_pretrained(tmp_path)
    saved = load_processor(str(tmp_path), arch)
    image = Image.new("RGB", (224, 224))

    def patches(processor):
        return int(processor.image_processor(images=[image], return_tensors="pt")["image_grid_thw"].prod())

    assert patches(saved) * 14 * 14 <= limit
    assert patches(load_processor(str(tiny(arch)), arch)) > patches(saved)
