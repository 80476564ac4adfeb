"""Write the data set in all its published forms, as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from expertad import charts
from expertad.card import PublishInfo, render
from expertad.errors import RecordError, WorkspaceError
from expertad.images import sha256_file
from expertad.record import (
    CONFIGS,
    QUESTION,
    SCHEMA_VERSION,
    SPLIT_OF,
    Config,
    Kind,
    Record,
    messages,
    solution,
    to_row,
    validate,
)
from expertad.replace_folder import replaced_folder, sync_tree
from expertad.variant import Variant

DIGEST_FILE = "digest.json"
CHECKED_BYTES = 64_000_000
"""Files up to this size have a digest, compared at every run in milliseconds. Larger ones hold images, whose bytes are
compared with `image_sha256` as they are written; reading them twice would cost half as much again."""

LLAMAFACTORY_NAME = "expert_ad_pa_sft"

Tables = Mapping[Config, Sequence[Record]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """What lies at `path` now.

    Args:
        path: the data set's folder.
        digest: digest of its rows.
        changed: False when it was there already, and nothing was written.
        counts: rows by config.
    """

    path: Path
    digest: str
    changed: bool
    counts: Mapping[Config, int]


def publish(
    tables: Tables,
    out: Path,
    info: PublishInfo,
    *,
    variant: Variant | None = None,
    with_images: bool = False,
    image_root: Path | None = None,
    shard_bytes: int | None = None,
    verify: bool = False,
) -> Published:
    """Publish a variant of the records to a folder; what was there stays whole until the new one is.

    Args:
        tables: the full data set's records by config, in any order.
        out: the folder; it must be new, empty, or an earlier publication.
        info: what the card says beside the rows.
        variant: the full data set when None.
        with_images: put the images' bytes into the Parquet files.
        image_root: where the records' image paths begin; needed with images.
        verify: write large files again, which no digest vouches for.
        shard_bytes: size at which a Parquet shard is closed; `parquet.SHARD_BYTES` when None.

    Raises:
        RecordError: a row breaks its schema, an id occurs twice, or a part or a reference is where it must not be.
        SourceError: an image is gone or has changed.
        WorkspaceError: the folder holds something else, or cannot be written.
        DiskFull: no room is left.
    """
    if with_images and image_root is None:
        raise ValueError("publishing with images needs image_root")
    variant = variant or Variant()
    require_disjoint(tables)
    chosen: Tables = {
        config: sorted(records, key=lambda record: record.id)
        for config, records in variant.apply(tables, info.seed).items()
    }
    records = [record for config in CONFIGS for record in chosen.get(config, ())]
    counts = {config: len(chosen.get(config, ())) for config in CONFIGS}
    digest = data_digest(chosen, variant, with_images=with_images)
    card = render(chosen, info, variant=variant, with_images=with_images, digest=digest, charts=charts.plan(records))
    stamp = {
        "schema": SCHEMA_VERSION,
        "digest": digest,
        "card": sha256(card.encode()).hexdigest(),
        "variant": variant.name,
        "with_images": with_images,
        "source": info.source,
        "source_licence": info.source_licence,
        "rows": counts,
    }

    def fill(folder: Path) -> None:
        for config in CONFIGS:
            _write_config(
                chosen.get(config, ()), config, folder, variant, image_root if with_images else None, shard_bytes
            )
        registry = dataset_info()
        validate(registry, "dataset_info")
        _write_json(folder / "dataset_info.json", registry)
        with ThreadPoolExecutor(max_workers=1) as pool:
            # The disk takes in the shards while the charts are drawn.
            synced = pool.submit(sync_tree, folder)
            charts.draw(records, info.grid, folder / "assets")
            synced.result()
        (folder / "README.md").write_text(card, encoding="utf-8")

    return Published(out, digest, changed=write_published(out, stamp, fill, verify=verify), counts=counts)


def write_published(out: Path, stamp: Row, fill: Callable[[Path], None], *, verify: bool = False) -> bool:
    """Have a published folder stand at `out` as its stamp says; False when it did already.

    Args:
        out: the folder; new, empty, or an earlier publication of the same form.
        stamp: what digest.json says, beside the files that it lists by itself; "form" tells what is no data set.
        fill: writes the files into an empty folder.
        verify: do not trust large files that stand there.

    Raises:
        WorkspaceError: the folder holds something else, or cannot be written.
        DiskFull: no room is left.
    """
    _require_ours(out, stamp.get("form"))
    if _is_published(out, stamp, verify):
        return False
    with replaced_folder(out) as folder:
        fill(folder)
        _write_json(folder / DIGEST_FILE, {**stamp, "files": _sizes(folder), "sha256": _digests(folder)})
    return True


def require_disjoint(tables: Tables) -> None:
    """Refuse tables in which an id occurs twice, a part is in two configs, or a row's reference is another row.

    Raises:
        RecordError: naming the first offender.
    """
    config_of: dict[str, Config] = {}
    ids: set[str] = set()
    for config in CONFIGS:
        for record in tables.get(config, ()):
            if record.id in ids:
                raise RecordError(f"{record.id}: occurs twice")
            ids.add(record.id)
            other = config_of.setdefault(record.part, config)
            if other != config:
                raise RecordError(f"{record.part}: the part is in {other} and in {config}")
    for config in CONFIGS:
        for record in tables.get(config, ()):
            reference = dict(record.provenance).get("reference")
            if reference in ids:
                raise RecordError(f"{record.id}: its reference {reference} is itself a row")


def data_digest(tables: Tables, variant: Variant, *, with_images: bool) -> str:
    """SHA-256 of the rows in their published form and order, whatever library writes them."""
    digest = sha256(json.dumps([SCHEMA_VERSION, with_images], separators=(",", ":")).encode())
    for config in CONFIGS:
        for record in tables.get(config, ()):
            row = to_row(record, config, reasoning=variant.reasoning)
            digest.update(dumps([config, row]).encode() + b"\n")
    return digest.hexdigest()


def dataset_info() -> Row:
    """LLaMA-Factory's registry of the data set."""
    return {
        LLAMAFACTORY_NAME: {
            "file_name": "pa_sft.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
    }


def llamafactory_row(record: Record, *, reasoning: bool = True, as_list: bool = False) -> Row:
    """A row of pa_sft.json; `as_list` gives one image as a list of one."""
    return {"images": _images(record, as_list), "messages": messages(record, reasoning=reasoning)}


def release_row(record: Record, *, as_list: bool = False) -> Row:
    """A row of sc_grpo.json; `as_list` gives one image as a list of one."""
    return {
        "id": record.id,
        "image": _images(record, as_list),
        "problem": QUESTION,
        "solution": solution(record),
    }


def _images(record: Record, as_list: bool) -> str | list[str]:
    return list(record.images) if as_list or len(record.images) > 1 else record.images[0]


def _write_config(
    records: Sequence[Record],
    config: Config,
    folder: Path,
    variant: Variant,
    image_root: Path | None,
    shard_bytes: int | None,
) -> None:
    """One config's Parquet files and its JSON file, in one pass over the records.

    Both JSON files are read through Arrow by their users, which takes a column of texts or a column of lists: rows with
    a reference make every row of their file a list.
    """
    from expertad import parquet  # a build that has nothing to publish does without it, and its 40 MB

    as_list = any(record.shot for record in records)
    kind: Kind = "pa_sft_answer_only" if config == "pa_sft" and not variant.reasoning else config
    schema = parquet.arrow_schema(config, with_images=image_root is not None)
    with ExitStack() as stack:
        add: Callable[[Row], None] | None = None
        if config != "held_out":
            add = stack.enter_context(json_list(folder / f"{config}.json"))

        def rows() -> Iterator[Row]:
            for record in records:
                row = to_row(record, config, reasoning=variant.reasoning)
                validate(row, kind)
                if add is not None:
                    add(_json_row(record, config, variant, as_list))
                yield row if image_root is None else parquet.with_bytes(row, image_root)

        split = SPLIT_OF[config]
        parquet.write_shards(rows(), folder / config, split, schema, shard_bytes=shard_bytes or parquet.SHARD_BYTES)


def _json_row(record: Record, config: Config, variant: Variant, as_list: bool) -> Row:
    if config == "pa_sft":
        row = llamafactory_row(record, reasoning=variant.reasoning, as_list=as_list)
        validate(row, "llamafactory_pa_sft")
    else:
        row = release_row(record, as_list=as_list)
        validate(row, "release_sc_grpo")
    return row


@contextmanager
def json_list(path: Path) -> Iterator[Callable[[Row], None]]:
    """A JSON array with one row a line, written as rows come."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        separator = "\n"

        def add(row: Row) -> None:
            nonlocal separator
            file.write(f"{separator}{dumps(row)}")
            separator = ",\n"

        yield add
        file.write("\n]\n")


def dumps(value: object) -> str:
    """JSON on one line, as published."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _sizes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGEST_FILE)


def _digests(folder: Path) -> dict[str, str]:
    small = (path for path in _files(folder) if path.stat().st_size <= CHECKED_BYTES)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in small}


def read_stamp(folder: Path) -> Row | None:
    """What digest.json says of a published folder; None when there is none, or it cannot be read."""
    try:
        stamp = json.loads((folder / DIGEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("files"), dict) else None


def is_whole(folder: Path, stamp: Row, *, verify: bool = False) -> bool:
    """True when every file that the stamp lists is there as it was written.

    Files of more than CHECKED_BYTES have no digest and are taken at their size; with `verify` they are not trusted.
    """
    digests = stamp.get("sha256") or {}
    for name, size in stamp["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return False
        if size > CHECKED_BYTES:
            if verify:
                return False
        elif sha256_file(path) != digests.get(name):
            return False
    return True


def _is_published(out: Path, stamp: Row, verify: bool) -> bool:
    found = read_stamp(out)
    if found is None:
        return False
    written = {name: found.get(name) for name in ("files", "sha256")}
    return {**stamp, **written} == found and is_whole(out, found, verify=verify)


def _require_ours(out: Path, form: str | None) -> None:
    """Refuse to replace a folder with anything else in it."""
    if out.is_dir() and any(out.iterdir()):
        found = read_stamp(out)
        if not (out / DIGEST_FILE).is_file() or (found is not None and found.get("form") != form):
            what = f"published {form}" if form else "a published data set"
            raise WorkspaceError(f"{out} holds other files than {what}; choose a new or an empty folder")
