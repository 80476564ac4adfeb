from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertad import prompts, taxonomy
from expertad.errors import ConfigError
from expertad.grid import cell_names
from expertad.sample import Case, ImageFile, Region, Sample

FILE = ImageFile(Path("/x/a.jpg"), "a.jpg", "0" * 64, 640, 480)


def case_of(*, anomalous: bool, shot: int = 0, coarse: str = "Scratch", category: str = "toy_brick") -> Case:
    sample = Sample(
        f"{category}/S1/C1",
        category,
        f"{category}/S1",
        "C1",
        "anomalous" if anomalous else "normal",
        "HS" if anomalous else "OK",
        coarse if anomalous else None,
        "a.jpg",
        None,
    )
    region = Region("bottom left", (6, 7), ((1, 2, 3, 4),), 0.0123) if anomalous else None
    return Case(sample, FILE, FILE, "r", region, None, 1 if shot else 0)


ALL = [
    (stage, case_of(anomalous=a, shot=s)) for stage in ("describe", "distill") for a in (True, False) for s in (0, 1)
]


@pytest.mark.parametrize(("stage", "case"), ALL)
def test_every_prompt_is_filled_in_completely(stage: Any, case: Case) -> None:
    prompt = prompts.load().choose(stage, case)
    system, user = prompt.render(case, "A scratch costs $5 and $name." if stage == "distill" else None)
    assert "toy brick" in user
    assert "json" in user.lower()
    assert "$" not in system + user.replace("$5 and $name", "")
    assert prompt.version == f"{stage}_{'anomalous' if case.sample.anomalous else 'normal'}.v1"


def test_location_is_asked_for_in_the_grid_s_words() -> None:
    for stage in ("describe", "distill"):
        case = case_of(anomalous=True)
        _, user = prompts.load().choose(stage, case).render(case, "text")  # type: ignore[arg-type]
        assert '"location": "bottom left"' in user
        assert ", ".join(cell_names(3)) in user
    finer = replace(case, region=replace(case.region, grid=4, location="row 2, column 3", cells=(6,)))
    _, user = prompts.load().choose("describe", finer).render(finer)
    assert "row 4, column 4" in user


@pytest.mark.parametrize("coarse", taxonomy.COARSE_TYPES)
def test_fine_terms_of_the_coarse_type_are_listed(coarse: str) -> None:
    case = case_of(anomalous=True, coarse=coarse)
    _, user = prompts.load().choose("distill", case).render(case, "text")
    assert all(term in user for term in taxonomy.FINE_TERMS[coarse])
    assert "new_term_reason" in user
    other = next(name for name in taxonomy.COARSE_TYPES if name != coarse)
    assert taxonomy.FINE_TERMS[other][0] not in user


@pytest.mark.parametrize("anomalous", [True, False])
def test_known_leaks_are_forbidden_where_the_reasoning_is_written(anomalous: bool) -> None:
    zero, one = case_of(anomalous=anomalous), case_of(anomalous=anomalous, shot=1)
    _, user = prompts.load().choose("distill", zero).render(zero, "text")
    for leak in ("label", "prior guidance", "provided information", "criteria defined earlier"):
        assert leak in user
    if anomalous:
        for leak in ("highlight", "outline", "colour", "mask", "expected locations"):
            assert leak in user
    assert "do not mention a reference" in user
    _, user = prompts.load().choose("distill", one).render(one, "text")
    assert "do not mention a reference" not in user
    assert "normal sample" in user
    for layer in ("Spatial perception", "knowledge", "Decision"):
        assert layer in user


def test_normal_samples_are_told_nothing_of_a_place(tmp_path: Path) -> None:
    case = case_of(anomalous=False)
    _, user = prompts.load().choose("describe", case).render(case)
    assert '"location": null' in user
    assert "outline" not in user


GOOD = "# remark\n[system]\nYou inspect.\n[user]\nDescribe $category as JSON. It costs $$5.\n"


def own(tmp_path: Path, text: str | bytes, name: str = "describe_normal.v1.txt") -> prompts.Prompts:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return prompts.load(tmp_path)


def test_own_prompt_replaces_one_and_says_so_in_its_version(tmp_path: Path) -> None:
    found = own(tmp_path, GOOD)
    prompt = found.choose("describe", case_of(anomalous=False))
    assert prompt.version.startswith("describe_normal.v1+")
    assert prompt.render(case_of(anomalous=False)) == ("You inspect.", "Describe toy brick as JSON. It costs $5.")
    assert found.choose("describe", case_of(anomalous=True)).version == "describe_anomalous.v1"
    changed = own(tmp_path, GOOD.replace("inspect", "look"))
    assert changed.choose("describe", case_of(anomalous=False)).version != prompt.version


def test_highest_version_is_used(tmp_path: Path) -> None:
    for version in (2, 10, 9):
        own(tmp_path, GOOD.replace("inspect", f"inspect {version}"), f"describe_normal.v{version}.txt")
    prompt = prompts.load(tmp_path).choose("describe", case_of(anomalous=False))
    assert "inspect 10" in prompt.sections["system"]


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("[system]\nx\n", "describe_normal.v1.txt", r"\[user\] is missing"),
        (GOOD.replace("JSON", "text"), "describe_normal.v1.txt", "JSON"),
        (GOOD + "$nonsense", "describe_normal.v1.txt", "unknown .nonsense"),
        (GOOD + "$ 5", "describe_normal.v1.txt", "dollar"),
        (GOOD + "[user]\nagain", "describe_normal.v1.txt", r"line 6.*twice"),
        (GOOD + "[extra]\n", "describe_normal.v1.txt", r"\[extra\]"),
        ("hello\n" + GOOD, "describe_normal.v1.txt", "line 1"),
        (GOOD, "describe.txt", "named <name>"),
        (GOOD, "distill_normal.v1.txt", "description"),
        (b"\xff\xfe", "describe_normal.v1.txt", "UTF-8"),
    ],
)
def test_unusable_prompt_is_refused_with_its_place(text: str | bytes, name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        own(tmp_path, text, name)
    assert name in str(caught.value)


def test_folder_must_exist_and_hold_prompts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        prompts.load(tmp_path / "none")
    with pytest.raises(ConfigError, match="holds no file"):
        prompts.load(tmp_path)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_of_a_sample_is_taken_for_a_template(description: str, category: str) -> None:
    case = case_of(anomalous=True, category=category)
    _, user = prompts.load().choose("distill", case).render(case, description)
    assert description in user
    assert category.replace("_", " ") in user
