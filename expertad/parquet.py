"""Rows to Parquet shards that `datasets.load_dataset` reads: streamed, and equal bytes for equal rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from expertad.errors import SourceError
from expertad.record import PROVENANCE_KEYS, Config

SHARD_BYTES = 500_000_000
"""A shard is closed by the row that brings its images and texts to this size."""

GROUP_BYTES = 16_000_000
GROUP_ROWS = 1_000
"""A row group is closed by the row that reaches either; two groups are in memory at once."""

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_EXTRA: dict[Config, list[tuple[str, pa.DataType]]] = {
    "pa_sft": [("messages", pa.list_(_MESSAGE))],
    "sc_grpo": [("problem", pa.string()), ("solution", pa.string())],
    "held_out": [],
}
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_PHOTOGRAPH = "images.list.element.bytes"


def arrow_schema(config: Config, *, with_images: bool) -> pa.Schema:
    """The columns of a config, with the metadata from which `datasets` takes its features.

    `images` is a list of paths, or of {bytes, path} that `datasets` decodes to images.
    """
    fields = [
        ("id", pa.string()),
        ("images", pa.list_(_IMAGE if with_images else pa.string())),
        ("image_sha256", pa.list_(pa.string())),
        ("category", pa.string()),
        ("part", pa.string()),
        ("view", pa.string()),
        ("anomalous", pa.bool_()),
        ("coarse_type", pa.string()),
        ("fine_type", pa.string()),
        ("location", pa.string()),
        ("cells", pa.list_(pa.int32())),
        ("boxes", pa.list_(pa.list_(pa.int32()))),
        ("shot", pa.int32()),
        ("reviewed", pa.string()),
        ("revision", pa.string()),
        ("provenance", pa.struct([(key, pa.string()) for key in PROVENANCE_KEYS])),
        *_EXTRA[config],
    ]
    features = {name: _feature(kind) for name, kind in fields}
    metadata = json.dumps({"info": {"features": features}}, separators=(",", ":"))
    return pa.schema(fields, metadata={"huggingface": metadata})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """The `datasets` feature of an Arrow type, as its JSON metadata spells it."""
    if kind == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


def read_image(image_root: Path, relative: str, digest: str) -> bytes:
    """The untouched bytes of an image.

    Raises:
        SourceError: it is gone, or it is not what was hashed when the source was read.
    """
    try:
        content = (image_root / relative).read_bytes()
    except OSError as error:
        raise SourceError(
            f"{relative}: cannot be read from {image_root}: {error.strerror}; restore it, or build again"
        ) from error
    if sha256(content).hexdigest() != digest:
        raise SourceError(f"{relative}: has changed since the source was read; build again, then publish")
    return content


def with_bytes(row: Mapping[str, Any], image_root: Path) -> dict[str, Any]:
    """A row whose images carry their bytes beside their relative path."""
    images = [
        {"bytes": read_image(image_root, path, digest), "path": path}
        for path, digest in zip(row["images"], row["image_sha256"], strict=True)
    ]
    return {**row, "images": images}


def write_shards(
    rows: Iterable[Mapping[str, Any]],
    folder: Path,
    split: str,
    schema: pa.Schema,
    *,
    shard_bytes: int = SHARD_BYTES,
    group_bytes: int = GROUP_BYTES,
) -> list[str]:
    """Write rows in their order to `<split>-00000-of-0000N.parquet` and return the file names; no rows, no file.

    One thread makes row groups while another writes them, so that checks and hashes hide behind the disk.

    Args:
        rows: as `schema` describes them.
        folder: made when missing.
        split: begins the file names.
        schema: from `arrow_schema`.
        shard_bytes: a shard's size before compression.
        group_bytes: a row group's size before compression.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[Path] = []
    writer: pq.ParquetWriter | None = None
    written = 0
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            pending: Future[None] | None = None
            for group in _groups(rows, schema, min(group_bytes, shard_bytes)):
                if pending is not None:
                    pending.result()
                if writer is not None and written >= shard_bytes:
                    writer.close()
                    writer = None
                if writer is None:
                    shards.append(folder / f"{split}-{len(shards):05d}.parquet")
                    writer, written = _writer(shards[-1], schema), 0
                written += group.nbytes
                pending = pool.submit(writer.write_table, group, row_group_size=group.num_rows)
            if pending is not None:
                pending.result()
    finally:
        if writer is not None:
            writer.close()
    names = [f"{split}-{index:05d}-of-{len(shards):05d}.parquet" for index in range(len(shards))]
    for shard, name in zip(shards, names, strict=True):
        shard.rename(folder / name)
    return names


def _groups(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, group_bytes: int) -> Iterator[pa.Table]:
    group: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(image["bytes"]) for image in row["images"] if isinstance(image, dict))
        if size >= group_bytes or len(group) >= GROUP_ROWS:
            yield pa.Table.from_pylist(group, schema=schema)
            group, size = [], 0
    if group:
        yield pa.Table.from_pylist(group, schema=schema)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # A photograph is compressed already and occurs once: no codec, dictionary or statistics would make it smaller or
    # quicker to find.
    columns = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    texts = [column for column in columns if column != _PHOTOGRAPH]
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression={column: "zstd" if column in texts else "none" for column in columns},
        use_dictionary=texts,
        write_statistics=texts,
    )


def _leaves(name: str, kind: pa.DataType) -> list[str]:
    """The Parquet paths of a column's leaves, such as "boxes.list.element.list.element"."""
    if pa.types.is_list(kind):
        return _leaves(f"{name}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(f"{name}.{field.name}", field.type)]
    return [name]
