"""The tiny backbone's warm-up: it teaches eyes, nothing else, and its labels are those of the boxes."""

from __future__ import annotations

import pytest
from PIL import Image

from training.backbones import PROJECTOR_PARTS, VISION_PARTS, load_model, load_processor
from training.data import load_rows
from training.warm import _token_cells, _token_kinds, warm_vision


def test_a_token_has_the_kind_of_the_box_that_it_meets():
    row = {"images": [Image.new("RGB", (84, 84))], "anomalous": True, "coarse_type": "Hole", "boxes": [[30, 0, 26, 28]]}
    hole = _token_kinds(row, 3)[1]
    assert hole > 0
    assert _token_kinds(row, 3) == [0, hole, 0, 0, 0, 0, 0, 0, 0]
    # One pixel more, and it reaches into the next row.
    row["boxes"] = [[30, 0, 26, 29]]
    assert _token_kinds(row, 3) == [0, hole, 0, 0, hole, 0, 0, 0, 0]
    assert _token_kinds({**row, "anomalous": False}, 3) == [0] * 9


def test_tokens_lie_in_the_cells_of_the_grid():
    assert _token_cells(3) == list(range(9))
    assert _token_cells(6)[:6] == [0, 0, 1, 1, 2, 2]
    assert _token_cells(6)[-1] == 8


@pytest.mark.training
@pytest.mark.parametrize("arch", ["llava_onevision", "qwen2_vl"])
def test_it_teaches_vision_and_projector_alone(arch, tiny, dataset):
    model = load_model(str(tiny(arch)), "float32")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    rows, processor = list(load_rows(str(dataset), "pa_sft")), load_processor(str(tiny(arch)), arch)
    first = warm_vision(model, processor, rows, steps=1, batch=8)
    last = warm_vision(model, processor, rows, steps=20, batch=8)
    changed = {name for name, weight in model.named_parameters() if not weight.equal(before[name])}
    assert changed
    assert all(any(part in name for part in (*VISION_PARTS, *PROJECTOR_PARTS)) for name in changed)
    assert [line["step"] for line in (*first, *last)] == [1, 20]
    assert last[-1]["loss"] < first[-1]["loss"]
