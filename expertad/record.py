"""A published row: its columns, the texts a student sees, and the only place that validates against schemas/."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from expertad import pattern
from expertad.errors import PatternError, RecordError

SCHEMA_VERSION = "1"
"""Changes whenever a column, its meaning, or a file's form changes."""

QUESTION = "Are there any defects in the query image?"
ZERO_SHOT_PROMPT = f"<image>\n{QUESTION}"
ONE_SHOT_PROMPT = (
    "Following is 1 image of normal sample, which can be used as a template to compare the image being queried. "
    f"<image>\nFollowing is image of test sample: <image>\n{QUESTION}"
)

EXPERT_PROMPT = (
    "You are an expert in detecting defects in image. "
    "Your task is to detect if there are any defects in the test image. \n {question}"
)
"""What SC-GRPO asks, where the question stands alone in PA-SFT (Table 8)."""

Config = Literal["pa_sft", "sc_grpo", "held_out"]
CONFIGS: tuple[Config, ...] = get_args(Config)
SPLIT_OF: dict[Config, str] = {"pa_sft": "train", "sc_grpo": "train", "held_out": "test"}

Kind = Literal[
    "pa_sft",
    "pa_sft_answer_only",
    "sc_grpo",
    "held_out",
    "llamafactory_pa_sft",
    "release_sc_grpo",
    "dataset_info",
    "preferences",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

PROVENANCE_KEYS = (
    "source",
    "reference",
    "reference_sha256",
    "backend",
    "describe_model",
    "describe_prompt",
    "distill_model",
    "distill_prompt",
    "checks",
    "annotators",
    "schema",
)
"""Fields of the `provenance` column. All are text, "" where nothing applies; none holds a clock, a host or a path."""

Provenance = tuple[tuple[str, str], ...]


def published_provenance(known: Mapping[str, str]) -> Provenance:
    """The published provenance: PROVENANCE_KEYS in their order, from what is known.

    Anything else that is known (a call's key, the host that answered, times) stays in the ledger, because published
    bytes depend on content alone.
    """
    return tuple((key, SCHEMA_VERSION if key == "schema" else str(known.get(key, ""))) for key in PROVENANCE_KEYS)


@dataclass(frozen=True, slots=True)
class Record:
    """One publishable row, common to all configs; `to_row` gives it a config's shape.

    Args:
        id: the sample's id.
        images: POSIX paths relative to the image root: (query,) or (reference, query).
        image_sha256: lower-case hex of each file's bytes, in the order of `images`.
        category: product category.
        part: the physical product; all its views are in one config.
        view: "C1" to "C5" in Real-IAD, the source's own name elsewhere; "" where it has no views.
        anomalous: the truth. False leaves the next five fields empty.
        coarse_type: one of taxonomy.COARSE_TYPES.
        fine_type: the narrower term; None in held_out, where nobody has written one.
        location: name of the cell with most foreground.
        cells: 0-based cells in reading order.
        boxes: pixel (x, y, width, height), largest component first.
        shot: 0 when the student sees the query alone, 1 with a reference before it.
        reviewed: "human" or "auto"; None in held_out.
        revision: digest of what a reviewer is shown; None in held_out.
        provenance: as `published_provenance` gives it.
        think: the reasoning; "" in held_out. Published inside pa_sft's messages, never as a column.
    """

    id: str
    images: tuple[str, ...]
    image_sha256: tuple[str, ...]
    category: str
    part: str
    view: str
    anomalous: bool
    coarse_type: str | None
    fine_type: str | None
    location: str | None
    cells: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    shot: Literal[0, 1]
    reviewed: Literal["human", "auto"] | None
    revision: str | None
    provenance: Provenance
    think: str = ""


def answer(record: Record) -> str:
    """The final answer alone, in its tags."""
    return f"<answer>{'Yes' if record.anomalous else 'No'}</answer>"


def solution(record: Record) -> str:
    """What SC-GRPO's rewards compare with: the A- or N-pattern without its reasoning, on one line.

    >>> solution(normal)  # doctest: +SKIP
    '<answer>No</answer>'
    """
    if not record.anomalous:
        return answer(record)
    return f"<location>{record.location}</location><type>{record.fine_type}</type>{answer(record)}"


def messages(record: Record, *, reasoning: bool = True) -> list[dict[str, str]]:
    """The question and the taught reply, with one `<image>` per image; `reasoning=False` teaches the answer alone.

    Raises:
        RecordError: the fields cannot be written in the record's pattern.
    """
    try:
        reply = pattern.write(record.think, record.location, record.fine_type) if reasoning else answer(record)
    except PatternError as error:
        raise RecordError(f"{record.id}: {error}") from error
    prompt = ONE_SHOT_PROMPT if record.shot else ZERO_SHOT_PROMPT
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]


def parts(content: str) -> list[dict[str, str]]:
    """A prompt with `<image>` in it as the blocks of a chat message: texts, and a placeholder for each image."""
    blocks: list[dict[str, str]] = []
    for number, text in enumerate(content.split("<image>")):
        if number:
            blocks.append({"type": "image"})
        if text:
            blocks.append({"type": "text", "text": text})
    return blocks


def to_row(record: Record, config: Config, *, reasoning: bool = True) -> dict[str, Any]:
    """A record as the JSON object that schemas/`config`.schema.json describes; images are paths.

    Args:
        record: the record.
        config: which config the row belongs to.
        reasoning: False writes pa_sft rows of the answer-only variant.

    Raises:
        RecordError: the fields cannot be written in the record's pattern.
    """
    row: dict[str, Any] = {
        "id": record.id,
        "images": list(record.images),
        "image_sha256": list(record.image_sha256),
        "category": record.category,
        "part": record.part,
        "view": record.view,
        "anomalous": record.anomalous,
        "coarse_type": record.coarse_type,
        "fine_type": record.fine_type,
        "location": record.location,
        "cells": list(record.cells),
        "boxes": [list(box) for box in record.boxes],
        "shot": record.shot,
        "reviewed": record.reviewed,
        "revision": record.revision,
        "provenance": dict(record.provenance),
    }
    if config == "pa_sft":
        row["messages"] = messages(record, reasoning=reasoning)
    elif config == "sc_grpo":
        row |= {"problem": QUESTION, "solution": solution(record)}
    return row


def schema_dir() -> Path:
    """The folder of the JSON Schemas: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    candidates = (package / "schemas", package.parent / "schemas")
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


@cache
def _validator(kind: Kind) -> Draft202012Validator:
    schema = json.loads((schema_dir() / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


class _Quick:
    """Whether a value satisfies a schema, by the library's own keywords.

    `Draft202012Validator` makes a validator of its own for every subschema, to follow references and to tell where an
    error is. That takes more than half of its time; our schemas have no references, and nearly all rows no error.
    """

    __slots__ = ("schema",)

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def is_valid(self, instance: Any) -> bool:
        return all(False for _ in self.descend(instance, self.schema))

    def evolve(self, schema: Any) -> _Quick:
        return _Quick(schema)

    def is_type(self, instance: Any, type: str) -> bool:
        return bool(Draft202012Validator.TYPE_CHECKER.is_type(instance, type))

    def descend(self, instance: Any, schema: Any, path: Any = None, schema_path: Any = None) -> Iterator[Any]:
        if isinstance(schema, bool):
            if not schema:
                yield ValidationError("nothing is allowed here")
            return
        for keyword, value in schema.items():
            check = Draft202012Validator.VALIDATORS.get(keyword)
            if check is not None:
                yield from check(self, value, instance, schema) or ()


def validate(row: Mapping[str, Any], kind: Kind) -> None:
    """Check one row, or one file, against its published schema.

    Args:
        row: the JSON object; with images included, the row as it was before their bytes were put in.
        kind: a config, or one of the JSON files' forms.

    Raises:
        RecordError: naming the row, the path inside it and the reason.
    """
    validator = _validator(kind)
    if _Quick(validator.schema).is_valid(row):
        return
    error = best_match(validator.iter_errors(row))
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path).lstrip(".")
    raise RecordError(f"{row.get('id', kind)}: {where or 'row'}: {_readable(error.message)} (schema: {kind})")


def _readable(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else f"{message[: limit // 2]} … {message[-limit // 2 :]}"
