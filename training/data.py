"""The published data set as training rows: read, checked, and turned into prompts.

`load_rows` gives the published columns with images decoded when a row is read. `pa_sft_rows` and `sc_grpo_rows` add the
conversational columns that TRL's trainers take; images stand in the prompt where the published `<image>` stands, so a
one-shot prompt keeps text between its two images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertad import pattern
from expertad.errors import DataError, UserError
from expertad.record import (
    CONFIGS,
    EXPERT_PROMPT,
    ONE_SHOT_PROMPT,
    QUESTION,
    SCHEMA_VERSION,
    SPLIT_OF,
    ZERO_SHOT_PROMPT,
    Config,
    parts,
)
from expertad.replace_file import replaced_file
from training.rewards import Truth

if TYPE_CHECKING:
    from datasets import Dataset

    from training.settings import Settings, Wording

IMAGE = "<image>"
TEST_QUESTION = "Are there any defects in the test image?"
"""How Table 8 words the question when testing; training data say "query image"."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")

TRUTH_COLUMNS = ("anomalous", "location", "fine_type", "coarse_type", "cells")
_NEEDED = ("id", "images", "image_sha256", "boxes", "shot", "provenance", *TRUTH_COLUMNS)


def load_rows(dataset: str, config: Config, image_root: Path | None = None) -> Dataset:
    """Reads one config of a published data set; `images` become PIL images when a row is read.

    Args:
        dataset: a folder that `expertad build` published, or a hub id.
        config: pa_sft, sc_grpo or held_out.
        image_root: the source's image root, for a data set of annotations and relative paths.

    Raises:
        UserError: no data set there, no such config, columns missing, another schema version, or images missing.
    """
    import yaml
    from datasets import Image, List, load_dataset
    from datasets.exceptions import DatasetGenerationError

    folder = Path(dataset)
    if not folder.is_dir() and (folder.is_absolute() or dataset.startswith(".") or dataset.count("/") != 1):
        raise UserError(f"{dataset}: no such folder; build a data set with `expertad build`, or give --dataset")
    if folder.is_dir() and not (folder / "README.md").is_file():
        raise UserError(f"{dataset}: holds no README.md, so it is not a published Expert-AD data set; give --dataset")
    try:
        rows = load_dataset(dataset, config, split=SPLIT_OF[config], cache_dir=_cache(folder))
    except ConnectionError:
        raise UserError(
            f"{dataset}: not in the local cache and not to be had from the hub; give --dataset a published folder"
        ) from None
    except DatasetGenerationError as error:
        raise UserError(
            f"{dataset}: the Parquet files of {config} are empty or damaged ({_first_line(error.__cause__ or error)}); "
            "publish the data set again"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(
            f"{dataset}: README.md has a damaged YAML header ({_first_line(error)}); publish the data set again"
        ) from None
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"{dataset}: cannot read config {config}: {_first_line(error)}") from None
    check_columns(dataset, config, rows)
    feature = rows.features["images"].feature
    if isinstance(feature, Image):
        return rows
    if image_root is None:
        raise UserError(
            f"{dataset}: holds annotations and paths but no images; give --image-root, the source's image folder"
        )
    if not image_root.is_dir():
        raise UserError(
            f"{image_root}: no such folder; --image-root is the folder that the published paths are relative to"
        )
    root = str(image_root.resolve())
    rows = rows.map(
        lambda row: {"images": [f"{root}/{path}" for path in row["images"]]},
        desc="image paths",
        load_from_cache_file=False,
    )
    return rows.cast_column("images", List(Image()))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def rows_of(run: Settings, config: Config) -> Dataset:
    """`load_rows` for a run: its data set, and its image root where it has one."""
    return load_rows(run.dataset, config, Path(run.image_root) if run.image_root else None)


def _cache(folder: Path) -> str | None:
    """A cache of its own for each state of a local data set; None, the usual one, for a hub id.

    `datasets` tells local data sets apart by folder name and pattern, so two of the same name would share one cache.
    """
    if not folder.is_dir():
        return None
    from datasets import config

    state = sha256(str(folder.resolve()).encode())
    for path in sorted(folder.rglob("*.parquet")):
        stat = path.stat()
        state.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}".encode())
    return str(Path(config.HF_DATASETS_CACHE) / f"expertad-{state.hexdigest()[:16]}")


def check_columns(dataset: str, config: Config, rows: Dataset) -> None:
    """Refuses rows that this version cannot train on.

    Raises:
        UserError: columns missing, no rows, or another schema version.
    """
    needed = [*_NEEDED, *{"pa_sft": ["messages"], "sc_grpo": ["problem", "solution"], "held_out": []}[config]]
    missing = [name for name in needed if name not in rows.column_names]
    if missing:
        raise UserError(
            f"{dataset}: {config} lacks the columns {', '.join(missing)}; publish it again with this version"
        )
    if not len(rows):
        raise UserError(f"{dataset}: {config} has no rows")
    versions = {entry["schema"] for entry in rows.select_columns(["provenance"])["provenance"]}
    if versions != {SCHEMA_VERSION}:
        raise UserError(
            f"{dataset}: {config} has schema version {', '.join(sorted(map(str, versions)))}, this is version "
            f"{SCHEMA_VERSION}; publish the data set again with this version"
        )


def check_truths(rows: Dataset, grid: int) -> None:
    """Refuses rows whose truth no reward could be computed for.

    Raises:
        UserError: names the first such row.
    """
    columns = rows.select_columns(["id", *TRUTH_COLUMNS])
    for row in columns:
        try:
            Truth.from_row(row, grid)
        except DataError as error:
            raise UserError(f"{row['id']}: {error}") from None


def check_images(rows: Dataset, image_root: Path | None, memory: Path | None = None) -> int:
    """Compares every image with its published SHA-256; returns how many images there are.

    Args:
        rows: from `load_rows`.
        image_root: as given to `load_rows`; None when images are included, whose bytes are then hashed.
        memory: JSON file of what was hashed before; a file of unchanged size and mtime is not hashed again.

    Raises:
        UserError: a row without images or with another number of digests; how many images differ or are missing,
            with the first three of them; or `memory` cannot be written.
    """
    known = _remembered(memory) if memory else {}
    seen: set[str] = set()
    faults: list[str] = []

    def fault(item: tuple[str, str, bytes | None]) -> str | None:
        path, digest, content = item
        if content is None:
            try:
                stat = Path(path).stat()
                if known.get(path) == [stat.st_size, stat.st_mtime_ns, digest]:
                    return None
                content = Path(path).read_bytes()
            except OSError as error:
                return f"{path}: {error.strerror}"
            known[path] = [stat.st_size, stat.st_mtime_ns, digest]
        if sha256(content).hexdigest() == digest:
            return None
        known.pop(path, None)
        return f"{path}: not the image that was published (SHA-256 differs)"

    # Arrow rows hold bytes or a path undecoded; a batch at a time, so that no data set has to fit in memory.
    with ThreadPoolExecutor() as pool:
        for batch in rows.select_columns(["id", "images", "image_sha256"]).with_format("arrow").iter(64):
            items = []
            for row in batch.to_pylist():
                if not row["images"] or len(row["images"]) != len(row["image_sha256"] or ()):
                    raise UserError(
                        f"row {row['id']} has {len(row['images'] or ())} images and {len(row['image_sha256'] or ())} "
                        "values of image_sha256; it needs at least one, and as many of each; publish it again"
                    )
                for image, digest in zip(row["images"], row["image_sha256"], strict=True):
                    if image["path"] not in seen:
                        seen.add(image["path"])
                        items.append((image["path"], digest, image["bytes"]))
            faults += [text for text in pool.map(fault, items) if text]
    if faults:
        shown = "; ".join(faults[:3])
        hint = f"is --image-root {image_root} the right folder?" if image_root else "fetch the data set again"
        raise UserError(f"{len(faults)} of {len(seen)} images cannot be used ({shown}); {hint}")
    if memory:
        try:
            with replaced_file(memory) as file:
                file.write(json.dumps(known).encode())
        except OSError as error:
            raise UserError(f"{memory}: {error.strerror}; give another --out") from None
    return len(seen)


def _remembered(memory: Path) -> dict[str, Any]:
    """What an earlier check wrote; nothing where it is missing or damaged, which only costs hashing again."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def digest(dataset: str) -> str:
    """SHA-256 over the data set's Parquet files, or of the hub id for one that is not a local folder."""
    folder = Path(dataset)
    if not folder.is_dir():
        return sha256(dataset.encode()).hexdigest()
    total = sha256()
    for path in sorted(folder.rglob("*.parquet")):
        total.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def prompt(shot: int, text: str) -> list[dict[str, Any]]:
    """One user turn that shows the query (shot 0), or reference and query (shot 1), and says `text`."""
    frame = (ONE_SHOT_PROMPT if shot else ZERO_SHOT_PROMPT).removesuffix(QUESTION)
    return [{"role": "user", "content": parts(frame + text)}]


def worded(wording: Wording, problem: str = QUESTION) -> str:
    """What a prompt says beside its images, the published question in one of the wordings."""
    return {"query": problem, "test": TEST_QUESTION, "expert": EXPERT_PROMPT.format(question=problem)}[wording]


def shorten(reply: str, sentences: int) -> str:
    """A reply in either pattern with the first sentences of its reasoning; unchanged for 0 or in another form."""
    parsed = pattern.parse(reply)
    if not sentences or parsed.think is None:
        return reply
    kept = " ".join(_SENTENCE_END.split(parsed.think)[:sentences])
    return pattern.write(kept, parsed.location, parsed.type)


def pa_sft_rows(rows: Dataset, sentences: int = 0) -> Dataset:
    """Adds `prompt` and `completion` and drops what PA-SFT does not need.

    Args:
        rows: from `load_rows(…, "pa_sft")`.
        sentences: keep this many sentences of each reasoning; 0 keeps all. For tiny models, whose few weights are
            better spent on the image than on prose.
    """

    def convert(messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        user, reply = messages
        text = shorten(reply["content"], sentences)
        return {
            "prompt": [{"role": "user", "content": parts(user["content"])}],
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
        }

    converted = rows.map(convert, input_columns=["messages"], desc="PA-SFT prompts", load_from_cache_file=False)
    return converted.select_columns(["id", "images", "prompt", "completion"])


def sc_grpo_rows(rows: Dataset, wording: Wording = "expert") -> Dataset:
    """Adds `prompt` and keeps the truth columns that the rewards read.

    Args:
        rows: from `load_rows(…, "sc_grpo")`.
        wording: how it asks.
    """

    def convert(problem: str, shot: int) -> dict[str, Any]:
        return {"prompt": prompt(shot, worded(wording, problem))}

    converted = rows.map(convert, input_columns=["problem", "shot"], desc="SC-GRPO prompts", load_from_cache_file=False)
    return converted.select_columns(["id", "images", "prompt", *TRUTH_COLUMNS])


def corpus(rows: Dataset) -> Iterator[str]:
    """Every text of a PA-SFT config, for a tiny backbone's tokenizer; SC-GRPO's prompt is among it."""
    yield worded("expert")
    for messages in rows.select_columns(["messages"])["messages"]:
        for message in messages:
            yield message["content"].replace(IMAGE, "")


__all__ = [
    "CONFIGS",
    "check_images",
    "check_truths",
    "corpus",
    "digest",
    "load_rows",
    "pa_sft_rows",
    "prompt",
    "sc_grpo_rows",
]
