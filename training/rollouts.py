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
from collections.abc import Iterator
from dataclasses import dataclass
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
