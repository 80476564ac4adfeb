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
    """One completion with its truth; `group` is shared by the completions of one prompt ("" when the file has none)."""

    completion: str
    truth: Truth
    group: str = ""


def read_rollouts(path: Path, grid: int = 3) -> list[Rollout]:
    """Reads a rollout dump (.parquet) or JSON lines.

    A JSON line needs `completion`, and either `solution` (the release's form) or the published truth columns; `group`
    is optional.

    Raises:
        UserError: the file is missing, of another kind, or a line of it cannot be used; says which.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a rollout dump (.parquet) or a file of JSON lines")
    return [_rollout(path, number, row, grid) for number, row in enumerate(_rows(path), 1)]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield from pq.read_table(path).to_pylist()
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}, line {number}: not JSON ({error.msg})") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number}: expected an object with a completion")
            yield row


def _rollout(path: Path, number: int, row: dict[str, Any], grid: int) -> Rollout:
    try:
        completion = row["completion"]
        if not isinstance(completion, str):
            raise DataError("its completion is not text")
        if "solution" in row:
            truth = Truth.from_solution(row["solution"], grid)
        else:
            truth = Truth.from_row({"coarse_type": None, "cells": (), **row}, grid)
    except KeyError as error:
        raise UserError(
            f"{path}, row {number}: no {error}; a row needs completion and solution or truth columns"
        ) from None
    except DataError as error:
        raise UserError(f"{path}, row {number}: {error}") from None
    group = f"{row['step']}/{row['group']}" if "step" in row and "group" in row else str(row.get("group", ""))
    return Rollout(completion, truth, group)


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
