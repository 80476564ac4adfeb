from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from expertad import charts
from expertad.card import ReviewStats, licence_id, may_redistribute, render
from expertad.record import Config, Record, published_provenance
from expertad.variant import Variant
from tests.make_records import INFO, tables


@pytest.fixture
def made(tmp_path: Path) -> dict[Config, list[Record]]:
    return tables(tmp_path)


def card(made: Any, info: Any = INFO, *, variant: str = "full", with_images: bool = False) -> str:
    records = [record for table in made.values() for record in table]
    return render(
        made,
        info,
        variant=Variant.parse(variant),
        with_images=with_images,
        digest="d" * 64,
        charts=charts.plan(records),
    )


def header(text: str) -> Any:
    return yaml.safe_load(text.split("---\n")[1])


def by(made: Any, backend: str) -> Any:
    known = published_provenance({"backend": backend})
    return {config: [replace(record, provenance=known) for record in table] for config, table in made.items()}


def test_header_lists_the_configs_that_have_rows(made: Any) -> None:
    head = header(card(made))
    assert head["license"] == "cc-by-nc-sa-4.0"
    assert [(c["config_name"], c["data_files"][0]["split"]) for c in head["configs"]] == [
        ("pa_sft", "train"),
        ("sc_grpo", "train"),
        ("held_out", "test"),
    ]
    assert [c["config_name"] for c in header(card({**made, "sc_grpo": []}))["configs"]] == ["pa_sft", "held_out"]


def test_counts_are_those_of_the_rows(made: Any) -> None:
    text = card(made)
    assert "| `pa_sft` | train | 12 | 12 | 6 | 6 | 12 | 2 | 0 |" in text
    assert "| `sc_grpo` | train | 8 | 8 | 4 | 4 | 8 | 2 | 0 |" in text
    assert "| `held_out` | test | 4 | – | 2 | 2 | 4 | 2 | 0 |" in text


def test_says_who_wrote_it_who_reviewed_it_and_what_became_of_the_rest(made: Any) -> None:
    text = card(made)
    assert "| openai | qwen-vl-max | describe.v1 | qwen-vl-max | distill.v1 | c0ffee | 20 |" in text
    assert "Of 20 rows with reasoning, 0 (0%) were passed by a person and 20 (100%) by automatic checks alone" in text
    assert "2 annotators accepted 8 drafts, corrected 2 and rejected 3." in text
    assert "| decision | Krippendorff's alpha | 0.812 | 90.0% | 12 | 3 |" in text
    assert "| location | Krippendorff's alpha | – | 100.0% | 7 | 2 |" in text
    assert "undefined (–) where everybody always chose the same label" in text
    assert "| quarantined | 2 |" in text
    assert "| rejected | wrong place | 2 |" in text
    assert "> the source had too few parts" in text
    assert "d" * 64 in text
    assert "Seed 7, grid 3 x 3" in text


def test_a_reason_with_a_pipe_stays_in_its_table_cell(made: Any) -> None:
    assert "| rejected | a \\| pipe | 1 |" in card(made)


def test_reasoning_of_the_grounded_teacher_is_called_what_it_is(made: Any) -> None:
    words = "measured, template-written text; not a vision-language model"
    assert words not in card(made)
    assert f"**20 (100%) of the reasoning is {words}" in card(by(made, "grounded")).replace("\n", " ")
    mixed = {**made, "sc_grpo": by(made, "grounded")["sc_grpo"]}
    assert f"**8 (40%) of the reasoning is {words}" in card(mixed)


def test_says_whether_images_are_inside_and_under_which_licence(made: Any) -> None:
    assert "not part of this data set; get them from Real-IAD (licence: CC BY-NC-SA 4.0)" in card(made)
    assert "images in the Parquet files are those of Real-IAD (licence: CC BY-NC-SA 4.0)" in card(
        made, with_images=True
    )
    assert "same licence" in card(made)
    unstated = card(made, replace(INFO, source_licence="not stated"))
    assert "same licence" not in unstated
    assert "ask its owner" in unstated


def test_unreviewed_data_claim_no_agreement(made: Any) -> None:
    text = card(made, replace(INFO, review=None))
    assert "agreement" not in text
    assert "annotator accepted" not in text
    assert "Rows marked `auto` were seen by no person." in text


def test_what_an_adjudicator_decided_is_told(made: Any) -> None:
    assert "adjudicator" not in card(made)
    review = ReviewStats(8, 2, 3, 3, adjudicated=4)
    text = card(made, replace(INFO, review=review))
    assert "3 annotators accepted 8 drafts, corrected 2 and rejected 3. Of these, 4 were decided by an adjud" in text
    assert "Nothing was reviewed by two people" in text


@pytest.mark.parametrize(
    ("variant", "words"),
    [("answer-only", "without reasoning"), ("coarse-type", "coarse type stands"), ("60%", "60 % of the full")],
)
def test_a_variant_says_what_it_is(made: Any, variant: str, words: str) -> None:
    assert words in card(made, variant=variant)
    assert words not in card(made)


@pytest.mark.parametrize(
    ("licence", "identifier", "free"),
    [
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0", False),
        ("CC-BY-SA 4.0", "cc-by-sa-4.0", True),
        ("CC0 1.0", "cc0-1.0", True),
        ("ask the vendor", "other", False),
    ],
)
def test_licences(made: Any, licence: str, identifier: str, free: bool) -> None:
    assert (licence_id(licence), may_redistribute(licence)) == (identifier, free)
    head = header(card(made, replace(INFO, source_licence=licence)))
    assert head["license"] == identifier
    assert head.get("license_name") == (licence if identifier == "other" else None)


def test_charts_are_drawn_as_planned_and_alike_each_time(made: Any, tmp_path: Path) -> None:
    records = [record for table in made.values() for record in table]
    for name in ("one", "two"):
        charts.draw(records, 3, tmp_path / name)
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert set(drawn) == set(charts.plan(records)) == {"types.png", "fine_types.png", "locations.png", "categories.png"}
    for name, content in drawn.items():
        assert b"Software" not in content
        with Image.open(tmp_path / "one" / name) as image:
            assert image.width > 400
            assert len(set(image.convert("RGB").getdata())) > 10


def test_charts_show_other_counts_differently(made: Any, tmp_path: Path) -> None:
    records = [record for table in made.values() for record in table]
    charts.draw(records, 3, tmp_path / "all")
    charts.draw(records[:-2], 3, tmp_path / "fewer")
    for name in ("types.png", "locations.png", "categories.png"):
        assert (tmp_path / "all" / name).read_bytes() != (tmp_path / "fewer" / name).read_bytes()


def test_charts_of_what_there_is(tmp_path: Path) -> None:
    normal = [record for record in tables(tmp_path / "a", (6, 0, 0))["pa_sft"] if not record.anomalous]
    assert list(charts.plan(normal)) == ["types.png", "categories.png"]
    charts.draw(normal, 3, tmp_path / "normal")
    assert charts.plan([]) == {}
    charts.draw([], 3, tmp_path / "none")
    assert list((tmp_path / "none").iterdir()) == []


@pytest.mark.parametrize("grid", [1, 2, 4, 5])
def test_charts_of_other_grids_and_of_names_no_font_has(tmp_path: Path, grid: int) -> None:
    records = tables(tmp_path / "photos", (8, 0, 0), categories=("零件_é$x$_{",))["pa_sft"]
    name = {1: "center", 2: "top right", 4: "row 1, column 2", 5: "row 1, column 2"}[grid]
    cell = 0 if grid == 1 else 1
    placed = [replace(record, location=name, cells=(cell,)) if record.anomalous else record for record in records]
    charts.draw(placed, grid, tmp_path / "charts")
    assert len(list((tmp_path / "charts").iterdir())) == 4
