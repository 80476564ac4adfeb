"""Reading the published data set: rows, prompts, and every way in which it can be the wrong one."""

from __future__ import annotations

import json

import pytest

from expertad import pattern
from expertad.errors import UserError
from training import data
from training.data import load_rows, pa_sft_rows, sc_grpo_rows


def test_rows_come_with_decoded_images_and_truth(dataset):
    rows = load_rows(str(dataset), "pa_sft")
    assert len(rows) == 16
    assert [image.size for image in rows[1]["images"]] == [(84, 84)]
    assert rows[1]["images"][0].mode == "RGB"
    assert rows[1]["anomalous"] is True
    data.check_truths(rows, 3)


def test_annotations_only_gives_the_same_images(annotations_only):
    folder, root = annotations_only
    rows = load_rows(str(folder), "held_out", root)
    assert rows[0]["images"][0].size == (84, 84)
    assert data.check_images(rows, root) == 16


def test_pa_sft_prompts_keep_the_published_text_and_image_places(dataset, one_shot_dataset):
    zero = pa_sft_rows(load_rows(str(dataset), "pa_sft"))[1]
    assert zero["prompt"][0]["content"] == [
        {"type": "image"},
        {"type": "text", "text": "\nAre there any defects in the query image?"},
    ]
    assert pattern.parse(zero["completion"][0]["content"][0]["text"]).kind == "A"
    one = pa_sft_rows(load_rows(str(one_shot_dataset), "pa_sft"))[0]
    kinds = [block["type"] for block in one["prompt"][0]["content"]]
    assert kinds == ["text", "image", "text", "image", "text"]
    assert len(one["images"]) == 2


def test_sc_grpo_asks_as_table_8_does_or_as_pa_sft(dataset):
    rows = load_rows(str(dataset), "sc_grpo")
    text = sc_grpo_rows(rows)[0]["prompt"][0]["content"][1]["text"]
    assert text.startswith("\nYou are an expert in detecting defects in image.")
    assert text.endswith("\n Are there any defects in the query image?")
    plain = sc_grpo_rows(rows, "query")[0]
    assert plain["prompt"][0]["content"][1]["text"] == "\nAre there any defects in the query image?"
    assert set(plain) == {"id", "images", "prompt", *data.TRUTH_COLUMNS}


def test_reasoning_can_be_shortened_without_touching_the_rest():
    reply = pattern.write("First one. Second one! Third?", "top left", "stain")
    assert data.shorten(reply, 2) == pattern.write("First one. Second one!", "top left", "stain")
    assert data.shorten(reply, 0) == reply
    assert data.shorten("<answer>No</answer>", 1) == "<answer>No</answer>"


def test_two_data_sets_of_one_name_are_not_confused(dataset, one_shot_dataset):
    assert dataset.name == one_shot_dataset.name
    assert len(load_rows(str(dataset), "held_out")[0]["images"]) == 1
    assert len(load_rows(str(one_shot_dataset), "held_out")[0]["images"]) == 2


def test_a_missing_folder_is_named():
    with pytest.raises(UserError, match="no such folder; build a data set"):
        load_rows("./nowhere/dataset", "pa_sft")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no README\.md"):
        load_rows(str(tmp_path), "pa_sft")


def test_a_missing_config_is_named(tmp_path, dataset):
    import shutil

    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    readme = (copy / "README.md").read_text().replace("config_name: sc_grpo", "config_name: other")
    (copy / "README.md").write_text(readme)
    with pytest.raises(UserError, match="cannot read config sc_grpo"):
        load_rows(str(copy), "sc_grpo")


def test_paths_without_an_image_root_are_refused(annotations_only):
    folder, root = annotations_only
    with pytest.raises(UserError, match="give --image-root"):
        load_rows(str(folder), "pa_sft")
    with pytest.raises(UserError, match="no such folder"):
        load_rows(str(folder), "pa_sft", root / "elsewhere")


def test_a_changed_or_missing_image_is_found_and_an_unchanged_one_not_read_again(annotations_only, tmp_path):
    folder, root = annotations_only
    memory = tmp_path / "memory.json"
    rows = load_rows(str(folder), "pa_sft", root)
    assert data.check_images(rows, root, memory) == 16
    assert memory.stat().st_size > 100
    changed = sorted((root / "pa_sft").rglob("*.png"))
    changed[0].write_bytes(changed[0].read_bytes() + b" ")
    changed[1].unlink()
    with pytest.raises(UserError, match=r"2 of 16 images cannot be used .*SHA-256 differs.*--image-root"):
        data.check_images(rows, root, memory)


def test_a_damaged_memory_of_images_is_as_none(annotations_only, tmp_path):
    folder, root = annotations_only
    memory = tmp_path / "memory.json"
    rows = load_rows(str(folder), "pa_sft", root)
    for content in (b'{"a": [1', b"\xff", b"[]"):
        memory.write_bytes(content)
        assert data.check_images(rows, root, memory) == 16
    assert len(json.loads(memory.read_text())) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "has 0 images and 1 values of image_sha256"),
        ({"image_sha256": []}, "has 1 images and 0 values of image_sha256"),
    ],
)
def test_a_row_without_images_or_digests_is_named(changes, message, dataset, tmp_path):
    rows = load_rows(str(edited(dataset, tmp_path, lambda rows: [{**rows[0], **changes}])), "pa_sft")
    with pytest.raises(UserError, match=rf"row pa_sft/OK/S0000/C1 {message}"):
        data.check_images(rows, None)


def test_a_data_set_without_rows_or_with_a_damaged_header_is_one_line(dataset, tmp_path):
    folder = edited(dataset, tmp_path, lambda rows: [])
    with pytest.raises(UserError, match="the Parquet files of pa_sft are empty or damaged"):
        load_rows(str(folder), "pa_sft")
    (folder / "README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(UserError, match=r"README\.md has a damaged YAML header") as caught:
        load_rows(str(folder), "pa_sft")
    assert "\n" not in str(caught.value)


def edited(dataset, base, change):
    """A data set whose PA-SFT rows were changed after it was published."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = base / "dataset"
    (folder / "pa_sft").mkdir(parents=True)
    source = next((dataset / "pa_sft").glob("*.parquet"))
    table = pq.read_table(source)
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / "pa_sft" / source.name)
    (folder / "README.md").write_text((dataset / "README.md").read_text())
    return folder


def test_another_schema_version_is_refused(tmp_path, dataset):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "dataset"
    (folder / "pa_sft").mkdir(parents=True)
    source = next((dataset / "pa_sft").glob("*.parquet"))
    table = pq.read_table(source)
    rows = table.to_pylist()
    for row in rows:
        row["provenance"]["schema"] = "0"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / "pa_sft" / source.name)
    (folder / "README.md").write_text((dataset / "README.md").read_text())
    with pytest.raises(UserError, match="schema version 0, this is version 1"):
        load_rows(str(folder), "pa_sft")


def test_missing_columns_are_named(tmp_path, dataset):
    import pyarrow.parquet as pq

    folder = tmp_path / "dataset"
    (folder / "pa_sft").mkdir(parents=True)
    source = next((dataset / "pa_sft").glob("*.parquet"))
    table = pq.read_table(source).drop_columns(["messages", "cells"]).replace_schema_metadata(None)
    pq.write_table(table, folder / "pa_sft" / source.name)
    (folder / "README.md").write_text((dataset / "README.md").read_text())
    with pytest.raises(UserError, match="lacks the columns cells, messages"):
        load_rows(str(folder), "pa_sft")


def test_a_truth_of_another_grid_is_named(dataset):
    with pytest.raises(UserError, match="no cell of a 5x5 grid"):
        data.check_truths(load_rows(str(dataset), "pa_sft"), 5)


def test_the_digest_follows_the_content(dataset, one_shot_dataset):
    assert data.digest(str(dataset)) == data.digest(str(dataset))
    assert data.digest(str(dataset)) != data.digest(str(one_shot_dataset))
