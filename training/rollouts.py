"""Rollouts on disk: what was sampled, what it earned, which advantage it got; and any file of completions to replay.

A rollout dump is Parquet, one row a completion:

    step, group, index   training step, number of the prompt within the run, position within its group
    id                   the image's sample id
    completion, tokens   the sampled text and its length
    anomalous, location, fine_type, coarse_type, cells     the truth
    reward/<name>        float, null where the reward does not apply
    reward, advantage    their sum, and equation 10's value of it
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from expertad.errors import DataError, UserError
from training.rewards import Truth


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion with its truth.

    `group` is shared by the completions of one prompt within `file`; `image` is the sample id. Each is "" when unknown.
    """

    completion: str
    truth: Truth
    group: str = ""
    image: str = ""
    file: str = ""


def read_rollouts(path: Path, grid: int = 3) -> list[Rollout]:
    """Reads a rollout dump (.parquet) or JSON lines.

    A JSON line needs `completion`, and either `solution` (the release's form) or the published truth columns; `group`
    and `id` are optional.

    Raises:
        UserError: the file is missing, empty, of another kind, or a line of it cannot be used; says which.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a rollout dump (.parquet) or a file of JSON lines")
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _json_rows(path)
    rollouts = [_rollout(path, where, row, grid) for where, row in rows]
    if not rollouts:
        raise UserError(f"{path}: holds no completions; give a file with at least one")
    return rollouts


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.ParquetFile(path).read().to_pylist()
    # Arrow reports damage as its own errors, as OSError, and bytes that are no text as UnicodeDecodeError.
    except (pa.ArrowException, OSError, ValueError) as error:
        why = (str(error).splitlines() or ["unknown damage"])[0]
        raise UserError(f"{path}: not a readable Parquet file ({why}); write or copy it again") from None
    for number, row in enumerate(rows, 1):
        yield f"row {number}", row


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        # Bytes, so that a line that is no UTF-8 is known by its number.
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"line {number}", _json_row(f"{path}, line {number}", line)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _json_row(where: str, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8 text; save it as UTF-8 (a rollout dump must be named .parquet)") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg}); give one object a line") from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{where}: a number is too long or the nesting too deep; remove what replay does not need"
        ) from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected an object with a completion")
    return row


def _rollout(path: Path, where: str, row: dict[str, Any], grid: int) -> Rollout:
    try:
        completion = row["completion"]
        if not isinstance(completion, str):
            raise DataError("its completion is not text")
        if "solution" in row:
            truth = Truth.from_solution(row["solution"], grid)
        else:
            truth = Truth.from_row({"coarse_type": None, "cells": (), **row}, grid)
    except KeyError as error:
        raise UserError(f"{path}, {where}: no {error}; a row needs completion and solution or truth columns") from None
    except DataError as error:
        raise UserError(f"{path}, {where}: {error}") from None
    group, image = _text(row.get("group")), _text(row.get("id"))
    if group and "step" in row:
        group = f"{row['step']}/{group}"
    return Rollout(completion, truth, group, image, str(path))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def write_rollouts(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes one generation's rollouts to `<folder>/step-<n>.parquet`; a repeated step replaces its file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    fixed = {
        "step": pa.int32(),
        "group": pa.int32(),
        "index": pa.int32(),
        "id": pa.string(),
        "completion": pa.string(),
        "tokens": pa.int32(),
        "anomalous": pa.bool_(),
        "location": pa.string(),
        "fine_type": pa.string(),
        "coarse_type": pa.string(),
        "cells": pa.list_(pa.int32()),
    }
    kinds = {name: fixed.get(name, pa.float64()) for name in rows[0]}
    path = folder / f"step-{rows[0]['step']:06d}.parquet"
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(list(kinds.items()))), partial)
    partial.rename(path)


def one_token_an_image(ids: Sequence[int], image_token: int) -> list[int]:
    """Token ids with every run of image tokens reduced to one, as vLLM wants them beside the images."""
    reduced: list[int] = []
    for token, run in groupby(ids):
        reduced += [token] if token == image_token else list(run)
    return reduced
