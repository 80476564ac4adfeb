"""The paper's ablation data sets as views of the full one: answers alone, coarse types, nested fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from expertad.errors import ConfigError
from expertad.order import order_key, unit
from expertad.record import Config, Record

PERCENTS = (20, 40, 60, 80, 100)


@dataclass(frozen=True, slots=True)
class Variant:
    """Which form of the data set is published; see `parse` for the names.

    Grids of other sizes are no variant: their truth comes from a build with `--grid`.

    Args:
        kind: "full"; "answer-only" teaches the answer without reasoning (IAD-R1, table 10, "Original"); "coarse-type"
            teaches the coarse type in place of the fine-grained one (figure 7); "fraction" keeps `percent` of pa_sft
            (table 6).
        percent: 100 but for a fraction.
    """

    kind: Literal["full", "answer-only", "coarse-type", "fraction"] = "full"
    percent: int = 100

    @classmethod
    def parse(cls, name: str) -> Variant:
        """The variant called "full", "answer-only", "coarse-type", or "20%" to "100%".

        Raises:
            ConfigError: there is no such variant.
        """
        text = name.strip().lower()
        if text in ("full", "answer-only", "coarse-type"):
            return cls(text)  # type: ignore[arg-type]  # narrowed by the line above, which mypy does not follow
        digits = text.removesuffix("%")
        if digits.isdecimal() and int(digits) in PERCENTS:
            return cls("fraction", int(digits))
        known = ", ".join(("full", "answer-only", "coarse-type", *(f"{percent}%" for percent in PERCENTS)))
        raise ConfigError(f"unknown variant {name!r}; use one of: {known}")

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        return f"{self.percent}%" if self.kind == "fraction" else self.kind

    @property
    def reasoning(self) -> bool:
        """False where pa_sft teaches the answer alone."""
        return self.kind != "answer-only"

    def folder(self, base: Path) -> Path:
        """Where it is published: `base` itself for the full data set, else beside it (`dataset-answer-only`)."""
        if self.kind == "full":
            return base
        suffix = f"{self.percent}-percent" if self.kind == "fraction" else self.kind
        return base.with_name(f"{base.name}-{suffix}")

    def apply(self, tables: Mapping[Config, Sequence[Record]], seed: int) -> dict[Config, list[Record]]:
        """The records that this variant publishes; the full tables are left as they are."""
        chosen = {config: list(records) for config, records in tables.items()}
        if self.kind == "coarse-type":
            for config in ("pa_sft", "sc_grpo"):
                chosen[config] = [replace(record, fine_type=record.coarse_type) for record in chosen.get(config, [])]
        if self.kind == "fraction":
            chosen["pa_sft"] = fraction(chosen.get("pa_sft", []), self.percent, seed)
        return chosen


def fraction(records: Sequence[Record], percent: int, seed: int) -> list[Record]:
    """The share of records that a percentage keeps, stratified by category and coarse type and nested.

    Normal and anomalous records are cut separately, each to its exact share, so that their balance holds. Within each,
    the r-th of a stratum's n records (in content order) stands at (r + u)/n, u drawn per stratum, and the lowest stand
    in. Each percentage therefore contains all smaller ones.

    Args:
        records: any order; the result depends on the set alone.
        percent: 0 to 100.
        seed: the build's seed.
    """
    kept: list[Record] = []
    for anomalous in (False, True):
        side = _spread([record for record in records if record.anomalous is anomalous], seed)
        kept += side[: (len(side) * percent + 50) // 100]
    return sorted(kept, key=lambda record: record.id)


def _spread(records: Sequence[Record], seed: int) -> list[Record]:
    strata: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        strata[record.category, record.coarse_type or ""].append(record)
    placed: list[tuple[float, bytes, str, Record]] = []
    for stratum, members in strata.items():
        offset = unit(seed, "fraction-stratum", *stratum)
        keyed = sorted(members, key=lambda record: (order_key(seed, "fraction", record.id), record.id))
        placed += [
            ((rank + offset) / len(keyed), order_key(seed, "fraction", record.id), record.id, record)
            for rank, record in enumerate(keyed)
        ]
    return [record for *_, record in sorted(placed, key=lambda item: item[:3])]
