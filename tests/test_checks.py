"""The proof of the checks is a table of sentences, good and bad, in `data/check_sentences.jsonl`.

A row names the check it is about and what that check must say: "reject", "person" or "ok". A sentence stands in a
carrier, a text that passes every check by itself, so a good row must leave the whole text without any finding;
carrier "whole" means that the row is the whole think.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expertad.checks import CHECKS, CHECKS_VERSION, Finding, near_duplicates, run_checks
from expertad.checks.duplicates import normalize
from expertad.checks.leak import RULES
from expertad.checks.leak_rule import Rule
from expertad.checks.reading import plain
from expertad.grid import name_to_cell
from expertad.sample import Case, Draft, ImageFile, Region, Sample
from expertad.taxonomy import CODE_TO_COARSE

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "check_sentences.jsonl").read_text("utf-8").splitlines()
]
CODE_OF = {coarse: code for code, coarse in CODE_TO_COARSE.items()}

CARRIER = {
    "anomalous": (
        "Looking over the part from its upper edge downward, most of the finish is smooth and evenly colored. {} "
        "A thin, bright scratch runs across the bottom left region and interrupts the uniform finish expected of a "
        "machined part. Because it breaks the coating, the part is defective."
    ),
    "normal": (
        "I look over the whole part, edges and surface alike. {} The finish is smooth and evenly colored, and every "
        "contour follows the expected shape. No scratches, dents or contamination are visible, so the part meets the "
        "quality standard and has no defects."
    ),
    "whole": "{}",
}
DESCRIPTION = "The part lies on a dark background. Its coating is smooth apart from what is described below."


def case(
    kind: str = "anomalous",
    coarse: str = "Scratch",
    location: str = "bottom left",
    cells: tuple[int, ...] | None = None,
    shot: int = 0,
    grid: int = 3,
) -> Case:
    """A case without files: the checks read no pixel."""
    anomalous = kind == "anomalous"
    code = CODE_OF[coarse] if anomalous else "OK"
    part = f"plate/{'NG_' + code if anomalous else 'OK'}/S0001"
    sample = Sample(
        sample_id=f"{part}/C1",
        category="plate",
        part_id=part,
        view="C1",
        stratum="anomalous" if anomalous else "normal",
        code=code,
        coarse_type=coarse if anomalous else None,
        image_path="plate/a.jpg",
        mask_path="plate/a.png" if anomalous else None,
    )
    image = ImageFile(Path("a.jpg"), "plate/a.jpg", "0" * 64, 900, 900)
    region = None
    if anomalous:
        held = tuple(cells) if cells else (name_to_cell(location, grid),)
        region = Region(location, held, ((10, 610, 200, 40),), 0.01, grid)
    return Case(
        sample, image, image, "plate/OK/S0002/C1", region, Path("a.png") if anomalous else None, 1 if shot else 0
    )


def draft(of: Case, think: str, fine_type: str | None = "scratch", description: str = DESCRIPTION) -> Draft:
    return Draft(of.sample.sample_id, description, think, fine_type if of.sample.anomalous else None)


def judge(row: dict) -> tuple[Finding, ...]:
    kind = row.get("kind") or ("normal" if row["carrier"] == "normal" else "anomalous")
    coarse = row.get("coarse", "Scratch")
    of = case(kind, coarse, row.get("location", "bottom left"), row.get("cells"), row.get("shot", 0))
    text = CARRIER[row["carrier"]].format(row["text"])
    fine = row["fine"] if "fine" in row else coarse.lower()
    written = draft(of, text)
    fine = fine if of.sample.anomalous or "fine" in row else None
    return run_checks(of, Draft(written.sample_id, written.description, text, fine))


def label(row: dict) -> str:
    return (
        f"{row['check']}-{row['expect']}-{row.get('fine') or ''}{row['text']!r}"[:110]
        .encode("ascii", "replace")
        .decode()
    )


@pytest.mark.parametrize("row", [r for r in ROWS if r["expect"] != "ok"], ids=label)
def test_a_bad_sentence_is_found_by_its_check(row: dict) -> None:
    findings = judge(row)
    assert row["expect"] in {f.severity for f in findings if f.name == row["check"]}, findings
    if row["expect"] == "person":
        assert not [f for f in findings if f.severity == "reject"]


@pytest.mark.parametrize("row", [r for r in ROWS if r["expect"] == "ok"], ids=label)
def test_a_good_sentence_passes_every_check(row: dict) -> None:
    assert judge(row) == ()


def test_the_carriers_pass_every_check() -> None:
    assert judge({"carrier": "anomalous", "text": ""}) == ()
    assert judge({"carrier": "normal", "text": ""}) == ()


def test_the_table_is_large_enough_to_prove_something() -> None:
    good = {r["text"] for r in ROWS if r["expect"] == "ok"}
    bad = {r["text"] for r in ROWS if r["expect"] != "ok"}
    assert len(good) >= 120
    assert len(bad) >= 120
    assert {r["check"] for r in ROWS} >= set(CHECKS)


def test_reasons_quote_the_offending_words() -> None:
    row = {"carrier": "anomalous", "text": "The red outlined area shows bare metal."}
    (finding,) = judge(row)
    assert (finding.name, finding.severity) == ("leak", "reject")
    assert "red outlined" in finding.reason


def test_a_wrong_place_names_both_places() -> None:
    of = case(location="top right")
    think = CARRIER["anomalous"].format("")
    (finding,) = run_checks(of, draft(of, think))
    assert finding.name == "location"
    assert "bottom left" in finding.reason
    assert "top right" in finding.reason


def test_a_grid_of_one_cell_demands_no_place() -> None:
    of = case(location="center", grid=1)
    think = "Looking over the part, a bright scratch interrupts the uniform coating. The part is therefore defective."
    assert run_checks(of, draft(of, think)) == ()


def test_a_finer_grid_reads_rows_and_columns() -> None:
    right = case(location="row 4, column 1", grid=4)
    wrong = case(location="row 1, column 1", grid=4)
    think = (
        "Looking over the part, a bright scratch at row 4, column 1 interrupts the uniform coating. "
        "The part is therefore defective."
    )
    assert run_checks(right, draft(right, think)) == ()
    assert [f.name for f in run_checks(wrong, draft(wrong, think))] == ["location"]


def test_a_reference_is_named_only_where_the_student_sees_one() -> None:
    text = "Compared to the reference image, the coating is broken."
    assert [f.name for f in judge({"carrier": "anomalous", "text": text})] == ["leak"]
    assert judge({"carrier": "anomalous", "text": text, "shot": 1}) == ()


def test_no_trigger_hides_a_leak() -> None:
    """Triggers only save time: without them the rules find the same in every sentence of the table."""
    for row in ROWS:
        low = plain(row["text"])
        for rule in RULES:
            if rule.pattern.search(low):
                assert any(trigger in low for trigger in rule.triggers), (
                    rule.family,
                    rule.pattern.pattern,
                    row["text"],
                )


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.family}-{rule.triggers[0]}")
def test_no_trigger_hides_any_match(rule: Rule) -> None:
    @given(st.from_regex(rule.pattern))
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def every_match_holds_a_trigger(text: str) -> None:
        assert any(trigger in text for trigger in rule.triggers)

    every_match_holds_a_trigger()


def test_the_product_itself_is_not_one_of_its_parts() -> None:
    cap = replace(case("normal"), sample=replace(case("normal").sample, category="bottle_cap"))
    think = (
        "A crack is visible along the edge of the material. The rim should be round and closed. The cap has no defects "
        "and meets the quality standard."
    )
    found = run_checks(cap, draft(cap, think))
    assert "contradiction" in {f.name for f in found}


def test_a_draft_of_another_sample_is_refused() -> None:
    of = case()
    other = Draft("plate/OK/S0009/C1", DESCRIPTION, CARRIER["anomalous"].format(""), "scratch")
    with pytest.raises(ValueError, match=r"S0009.*S0001"):
        run_checks(of, other)


def test_an_empty_description_is_found() -> None:
    of = case()
    findings = run_checks(of, draft(of, CARRIER["anomalous"].format(""), description=" "))
    assert [(f.name, f.severity) for f in findings] == [("empty", "reject")]


@given(st.text(max_size=400), st.sampled_from(["anomalous", "normal"]))
@settings(max_examples=150, deadline=None)
def test_any_text_is_judged_without_an_error(text: str, kind: str) -> None:
    of = case(kind)
    for finding in run_checks(of, draft(of, text, text, text)):
        assert finding.name in CHECKS
        assert finding.reason


def test_every_finding_is_within_its_checks_severity() -> None:
    for row in ROWS:
        for finding in judge(row):
            assert CHECKS[finding.name].severity in ("reject", finding.severity)


def test_the_version_is_stable_and_short() -> None:
    assert len(CHECKS_VERSION) == 16
    assert int(CHECKS_VERSION, 16) >= 0


def shingles(text: str) -> set[str]:
    form = normalize(text)
    return {form[i : i + 5] for i in range(max(1, len(form) - 4))} if form else set()


def brute_force(texts: list[tuple[str, str]]) -> dict[str, str]:
    kept: list[tuple[str, set[str]]] = []
    repeats = {}
    for name, text in texts:
        own = shingles(text)
        for earlier, other in kept:
            if own and other and 5 * len(own & other) >= 4 * len(own | other):
                repeats[name] = earlier
                break
        else:
            kept.append((name, own))
    return repeats


WORDS = "a thin scratch runs across the left edge of this plate and breaks its even coating here dent".split()


@st.composite
def families(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Texts of which some are others with a few words changed, so that many pairs lie around the threshold."""
    texts: list[str] = []
    for _ in range(draw(st.integers(1, 14))):
        if texts and draw(st.booleans()):
            words = draw(st.sampled_from(texts)).split(" ")
            for _ in range(draw(st.integers(0, 3))):
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(draw(st.lists(st.sampled_from(WORDS), min_size=0, max_size=30))))
    return [(f"t{i}", text) for i, text in enumerate(texts)]


@given(families())
@settings(max_examples=200, deadline=None)
def test_near_duplicates_equal_brute_force(texts: list[tuple[str, str]]) -> None:
    assert near_duplicates(texts) == brute_force(texts)


@given(st.lists(st.text(max_size=12), max_size=12))
@settings(max_examples=200, deadline=None)
def test_near_duplicates_of_any_characters_equal_brute_force(texts: list[str]) -> None:
    named = [(str(i), text) for i, text in enumerate(texts)]
    assert near_duplicates(named) == brute_force(named)


def test_near_duplicates_ignore_digits_case_and_space() -> None:
    first = "A scratch of 3 mm runs across the bottom left of the plate."
    assert near_duplicates([("a", first), ("b", first.upper().replace("3", "7") + "\n")]) == {"b": "a"}


def test_precedence_is_the_order_given() -> None:
    text = "A scratch runs across the bottom left of the plate and breaks the coating."
    assert near_duplicates([("z", text), ("a", text), ("m", text)]) == {"a": "z", "m": "z"}


def test_thousands_of_texts_of_one_mould_are_compared_exactly() -> None:
    chance = random.Random(7)
    vocabulary = [f"{a}{b}" for a in WORDS for b in ("", "s", "ing")]
    opening = "Looking over the part from edge to edge, the coating is even and "
    texts = [(str(i), opening + " ".join(chance.choices(vocabulary, k=70))) for i in range(1500)]
    copies = {}
    for i in range(0, 1500, 50):
        words = texts[i][1].split(" ")
        words[chance.randrange(20, 60)] = "differently"
        copies[f"copy {i}"] = str(i)
        texts.append((f"copy {i}", " ".join(words)))
    assert near_duplicates(texts) == copies
