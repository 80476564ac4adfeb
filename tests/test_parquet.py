from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from expertad.parquet import arrow_schema, with_bytes, write_shards
from expertad.record import CONFIGS, Config, to_row
from tests.make_records import record


@pytest.mark.parametrize("with_images", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_datasets_reads_its_features_from_the_schema_as_it_would_write_them(config: Config, with_images: bool) -> None:
    schema = arrow_schema(config, with_images=with_images)
    features = datasets.Features.from_arrow_schema(schema)
    assert features.arrow_schema.remove_metadata() == schema.remove_metadata()
    assert json.loads(features.arrow_schema.metadata[b"huggingface"]) == json.loads(schema.metadata[b"huggingface"])
    assert isinstance(features["images"].feature, datasets.Image) is with_images


def rows(root: Path, count: int) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        yield with_bytes(to_row(record(root, number), "sc_grpo"), root)


def test_rows_go_to_groups_and_shards_by_size_and_come_back_in_order(tmp_path: Path) -> None:
    schema = arrow_schema("sc_grpo", with_images=True)
    expected = list(rows(tmp_path, 9))
    size = len(expected[0]["images"][0]["bytes"])
    names = write_shards(expected, tmp_path / "out", "train", schema, shard_bytes=5 * size, group_bytes=size + 1)
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert 1 < len(names) < 5
    assert pq.ParquetFile(tmp_path / "out" / names[0]).num_row_groups > 1
    found = [row for name in names for row in pq.read_table(tmp_path / "out" / name).to_pylist()]
    assert found == expected


def test_photographs_are_stored_as_they_are(tmp_path: Path) -> None:
    write_shards(rows(tmp_path, 3), tmp_path / "out", "train", arrow_schema("sc_grpo", with_images=True))
    content = (tmp_path / "out" / "train-00000-of-00001.parquet").read_bytes()
    for row in rows(tmp_path, 3):
        assert row["images"][0]["bytes"] in content


def test_an_error_among_the_rows_reaches_the_caller(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from rows(tmp_path, 4)
        raise KeyError("the fifth")

    schema = arrow_schema("sc_grpo", with_images=True)
    with pytest.raises(KeyError, match="the fifth"):
        write_shards(broken(), tmp_path / "out", "train", schema, group_bytes=1)


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    assert write_shards([], tmp_path / "out", "test", arrow_schema("held_out", with_images=False)) == []
    assert list((tmp_path / "out").iterdir()) == []
