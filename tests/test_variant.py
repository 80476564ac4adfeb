from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertad.errors import ConfigError
from expertad.record import Record, published_provenance
from expertad.taxonomy import COARSE_TYPES
from expertad.variant import PERCENTS, Variant, fraction
from tests.make_records import REVISION, tables


def bare(number: int, category: str, coarse_type: str | None) -> Record:
    """A record without files; fractions look at id, category and type alone."""
    return Record(
        id=f"{category}/S{number:04d}",
        images=(f"{category}/S{number:04d}.jpg",),
        image_sha256=("0" * 64,),
        category=category,
        part=f"{category}/S{number:04d}",
        view="",
        anomalous=coarse_type is not None,
        coarse_type=coarse_type,
        fine_type=coarse_type,
        location="top" if coarse_type else None,
        cells=(1,) if coarse_type else (),
        boxes=((1, 1, 1, 1),) if coarse_type else (),
        shot=0,
        reviewed="auto",
        revision=REVISION,
        provenance=published_provenance({}),
        think="Even.",
    )


_KINDS = st.tuples(st.sampled_from(["tape", "usb", "零件"]), st.sampled_from([None, *COARSE_TYPES[:3]]))


@settings(deadline=None)
@given(kinds=st.lists(_KINDS, max_size=120), seed=st.integers(0, 2**32), random=st.randoms(use_true_random=False))
def test_fractions_are_nested_exact_balanced_and_stratified(kinds: list[Any], seed: int, random: Any) -> None:
    records = [bare(number, category, coarse) for number, (category, coarse) in enumerate(kinds)]
    cuts = {percent: fraction(records, percent, seed) for percent in PERCENTS}
    for smaller, larger in zip(PERCENTS, PERCENTS[1:], strict=False):
        assert {record.id for record in cuts[smaller]} <= {record.id for record in cuts[larger]}
    assert cuts[100] == sorted(records, key=lambda record: record.id)
    for percent, cut in cuts.items():
        for anomalous in (False, True):
            whole = sum(record.anomalous is anomalous for record in records)
            assert sum(record.anomalous is anomalous for record in cut) == (whole * percent + 50) // 100
        whole_strata = Counter((record.category, record.coarse_type) for record in records)
        cut_strata = Counter((record.category, record.coarse_type) for record in cut)
        for stratum, size in whole_strata.items():
            # Each stratum is off its share by the rounding of the cut, which at most all strata of a side share.
            assert abs(cut_strata[stratum] - size * percent / 100) <= 2
    shuffled = records[:]
    random.shuffle(shuffled)
    assert fraction(shuffled, 40, seed) == cuts[40]


def test_fractions_depend_on_the_seed() -> None:
    records = [bare(number, "tape", None) for number in range(50)]
    assert fraction(records, 20, 1) != fraction(records, 20, 2)


@pytest.mark.parametrize(
    ("text", "name", "folder"),
    [
        ("full", "full", "dataset"),
        ("answer-only", "answer-only", "dataset-answer-only"),
        ("Coarse-Type", "coarse-type", "dataset-coarse-type"),
        ("20%", "20%", "dataset-20-percent"),
        ("80", "80%", "dataset-80-percent"),
    ],
)
def test_names_and_folders(text: str, name: str, folder: str) -> None:
    variant = Variant.parse(text)
    assert variant.name == name
    assert Variant.parse(variant.name) == variant
    assert variant.folder(Path("/data/dataset")) == Path("/data") / folder


@pytest.mark.parametrize("text", ["", "0%", "30%", "120", "half", "grid"])
def test_an_unknown_variant_is_named_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="answer-only, coarse-type, 20%, 40%, 60%, 80%, 100%"):
        Variant.parse(text)


def test_applying_a_variant_leaves_the_full_tables_alone(tmp_path: Path) -> None:
    made = tables(tmp_path, (4, 4, 2))
    before = {config: list(records) for config, records in made.items()}
    for name in ("full", "answer-only", "coarse-type", "20%"):
        Variant.parse(name).apply(made, seed=0)
    assert made == before
    coarse = Variant.parse("coarse-type").apply(made, seed=0)
    assert coarse["pa_sft"] == [replace(record, fine_type=record.coarse_type) for record in made["pa_sft"]]
    assert coarse["held_out"] == made["held_out"]
