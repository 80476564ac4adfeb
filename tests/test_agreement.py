"""Agreement against tables worked by hand, and against the libraries called directly on the same labels."""

from __future__ import annotations

import random
from collections.abc import Iterable

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from expertad.agreement import Agreement, Share, calibration, measure, settled
from expertad.verdict import Verdict

PLACES = ("top", "center", "left")


def verdict(item: str, who: str, decision: str = "accept", **fields: object) -> Verdict:
    return Verdict(f"bolt/{item}", item, who, decision, **fields)  # type: ignore[arg-type]


def by_sample(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for one in verdicts:
        found.setdefault(one.sample_id, []).append(one)
    return found


def was_shown(*items: str, location: str | None = "top", fine_type: str | None = "scratch") -> dict[str, dict]:
    answer = "No" if location is None else "Yes"
    one = {"location": location, "fine_type": fine_type, "think": "t", "answer": answer}
    return {item: one for item in items}


def decisions(*pairs: tuple[str, ...]) -> list[Verdict]:
    """Verdicts of as many people as a pair has words; "" is no verdict."""
    return [
        verdict(str(number), f"p{person}", decision)
        for number, words in enumerate(pairs)
        for person, decision in enumerate(words)
        if decision
    ]


def on(about: str, found: tuple[Agreement, ...]) -> Agreement:
    return next(agreement for agreement in found if agreement.about == about)


def test_kappa_of_a_table_worked_by_hand():
    # Of 10 drafts both accept 4 and both reject 3; one accepts 2 that the other rejects, and rejects 1 that it accepts.
    # Observed .7; by chance .6 * .5 + .4 * .5 = .5; kappa (.7 - .5) / (1 - .5) = .4.
    pairs = [("accept", "accept")] * 4 + [("reject", "reject")] * 3
    pairs += [("accept", "reject")] * 2 + [("reject", "accept")]
    found = measure(by_sample(decisions(*pairs)), {})
    assert on("decision", found) == Agreement("decision", "Cohen's kappa", pytest.approx(0.4), 0.7, 10, 2)


def test_alpha_of_a_table_worked_by_hand():
    # Three people: aaa, aar, rr-, ar-, and one draft of one person, which says nothing.
    # Coincidences: aaa gives a-a 3; aar gives a-a 1, a-r 1, r-a 1; rr- gives r-r 2; ar- gives a-r 1, r-a 1. So of 10
    # labels 6 are a, 4 are r; 4 coincidences disagree, by chance 6 * 4 * 2 / 9 would; alpha is 1 - 4 * 9 / 48 = .25.
    rows = [
        ("accept",) * 3, ("accept", "accept", "reject"), ("reject", "reject", ""), ("accept", "", "reject"),
        ("", "reject", ""),
    ]  # fmt: skip
    found = on("decision", measure(by_sample(decisions(*rows)), {}))
    assert found.statistic == "Krippendorff's alpha"
    assert found.value == pytest.approx(0.25)
    assert found.observed == pytest.approx(5 / 8)
    assert (found.items, found.annotators) == (4, 3)


LABELS = st.sampled_from(["accept", "edit", "reject"])


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]):
    found = on("decision", measure(by_sample(decisions(*pairs)), {}))
    if len({label for pair in pairs for label in pair}) == 1:
        assert found.value is None
        assert found.observed == 1
    else:
        assert found.value == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


@given(st.lists(st.lists(st.sampled_from(["accept", "edit", "reject", ""]), min_size=4, max_size=4), max_size=25))
def test_alpha_is_that_of_krippendorff(rows: list[list[str]]):
    found = [agreement for agreement in measure(by_sample(decisions(*map(tuple, rows))), {})]
    people = {person for row in rows if sum(map(bool, row)) > 1 for person, word in enumerate(row) if word}
    if len(people) < 3:
        assert all(agreement.statistic == "Cohen's kappa" for agreement in found)
        return
    number = {"accept": 0.0, "edit": 1.0, "reject": 2.0, "": np.nan}
    table = np.array([[number[word] for word in row] for row in rows]).T
    twice = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    one = on("decision", tuple(found))
    if len(np.unique(twice[~np.isnan(twice)])) == 1:
        assert one.value is None
    else:
        assert one.value == pytest.approx(krippendorff.alpha(table, level_of_measurement="nominal"))


def test_alpha_of_many_labels_is_that_of_krippendorff_on_the_same_labels():
    random.seed(3)
    terms = [f"term {number}" for number in range(12)]
    truth = [random.choice(terms) for _ in range(200)]
    given_terms = [[term if random.random() < 0.8 else random.choice(terms) for _ in range(3)] for term in truth]
    verdicts = [
        verdict(f"{number}", f"p{person}", "edit", fine_type=term)
        for number, row in enumerate(given_terms)
        for person, term in enumerate(row)
    ]
    found = on("type", measure(by_sample(verdicts), was_shown(*map(str, range(200)))))
    expected = krippendorff.alpha(np.array(given_terms).T, level_of_measurement="nominal")
    assert found.value == pytest.approx(expected)
    assert 0.4 < expected < 0.8


def test_a_persons_place_and_type_are_the_corrected_ones_else_what_was_shown():
    verdicts = [
        verdict("1", "ann", "accept"),  # top, scratch
        verdict("1", "bob", "edit", fine_type=" scratch "),  # top, scratch
        verdict("2", "ann", "edit", location="left"),  # left, scratch
        verdict("2", "bob", "edit", location="center", fine_type="deep  scratch"),  # center, deep scratch
        verdict("3", "ann", "accept"),
        verdict("3", "bob", "reject"),  # no place, no type
    ]
    found = measure(by_sample(verdicts), was_shown("1", "2", "3"))
    assert [(a.about, a.observed, a.items) for a in found] == [
        ("decision", pytest.approx(1 / 3), 3),
        ("location", 0.5, 2),
        ("type", 0.5, 2),
    ]
    assert on("location", found).value == pytest.approx(cohen_kappa_score(["top", "left"], ["top", "center"]))
    assert on("type", found).value == pytest.approx(
        cohen_kappa_score(["scratch", "scratch"], ["scratch", "deep scratch"])
    )


def test_a_normal_sample_has_no_place_and_no_type_to_agree_on():
    verdicts = decisions(("accept", "accept"), ("reject", "accept"))
    found = measure(by_sample(verdicts), was_shown("0", "1", location=None, fine_type=None))
    assert [agreement.about for agreement in found] == ["decision"]


def test_only_the_latest_word_of_reviewers_counts():
    verdicts = [
        verdict("1", "ann", "reject"),
        verdict("1", "bob", "accept"),
        verdict("1", "ann", "accept"),
        verdict("2", "ann", "accept"),
        verdict("2", "bob", "reject"),
        verdict("2", "cleo", "reject", role="adjudication"),
        verdict("2", "dan", "reject", role="calibration"),
        verdict("3", "ann", "reject"),  # judged by one person only
    ]
    found = on("decision", measure(by_sample(verdicts), {}))
    assert (found.statistic, found.observed, found.items, found.annotators) == ("Cohen's kappa", 0.5, 2, 2)


def test_two_texts_of_one_sample_are_two_drafts():
    verdicts = [
        Verdict("bolt/1", text, who, "accept" if text == "old" else decision)  # type: ignore[arg-type]
        for text in ("old", "new")
        for who, decision in (("ann", "accept"), ("bob", "reject"))
    ]
    found = on("decision", measure(by_sample(verdicts), {}))
    assert (found.items, found.observed) == (2, 0.5)


def test_who_always_chooses_one_label_shows_no_agreement_beyond_chance():
    same = measure(by_sample(decisions(*[("accept", "accept")] * 5)), was_shown("0", "1"))
    assert [(a.about, a.value, a.observed, a.items) for a in same] == [
        ("decision", None, 1.0, 5),
        ("location", None, 1.0, 2),
        ("type", None, 1.0, 2),
    ]
    assert "undefined" in str(same[0])
    three = measure(by_sample(decisions(*[("reject",) * 3] * 2)), {})
    assert (three[0].statistic, three[0].value) == ("Krippendorff's alpha", None)
    opposed = measure(by_sample(decisions(("accept", "reject"))), {})
    assert (opposed[0].value, opposed[0].observed) == (0.0, 0.0)


def test_nothing_judged_twice_has_no_agreement():
    assert measure({}, {}) == ()
    assert measure(by_sample([verdict("1", "ann"), verdict("1", "ann", "reject"), verdict("2", "bob")]), {}) == ()


def test_the_order_in_which_verdicts_came_changes_nothing():
    verdicts = decisions(*[("accept", "edit", "accept"), ("reject", "reject", ""), ("edit", "", "reject")])
    expected = measure(by_sample(verdicts), {})
    assert measure(by_sample(reversed(verdicts)), {}) == expected


# ------------------------------------------------------------------------------------------------ calibration


def test_scores_are_shares_of_known_answers():
    verdicts = [
        verdict("1", "ann", "edit", location="left"),  # the known verdict of 1: edit, left, scratch
        verdict("2", "ann", "accept"),  # disputed, but decided: reject
        verdict("2", "bob", "reject"),
        verdict("2", "cleo", "reject", role="adjudication"),
        verdict("3", "ann", "accept"),  # disputed, and nobody decided
        verdict("3", "bob", "reject"),
        *(verdict(item, "dan", "reject", role="calibration") for item in "12345"),
        *(verdict(item, "eva", "edit", location="left", role="calibration") for item in "13"),
        verdict("1", "dan", "edit", location="top", role="calibration"),  # dan's last word on 1
    ]
    shown = was_shown(*"12345")
    assert {name: v.decision for name, v in settled(by_sample(verdicts), shown).items()} == {"1": "edit", "2": "reject"}
    dan, eva = calibration(by_sample(verdicts), shown)
    assert (dan.annotator, dan.decision, dan.location, dan.fine_type) == ("dan", (2, 2), (0, 1), (1, 1))
    assert (eva.annotator, eva.decision, eva.location, eva.fine_type) == ("eva", (1, 1), (1, 1), (1, 1))
    assert dan.location.value == 0.0
    assert Share(0, 0).value is None
    assert str(dan) == "dan: right in 2 of 2 decisions, 0 of 1 places, 1 of 1 types"


def test_nobody_is_scored_against_themselves():
    verdicts = [
        verdict("1", "ann", "accept"),
        verdict("1", "ann", "accept", role="calibration"),
        verdict("2", "ann", "accept"),
        verdict("2", "bob", "accept"),
        verdict("2", "ann", "reject", role="calibration"),
        verdict("3", "ann", "reject", role="adjudication"),
        verdict("3", "ann", "reject", role="calibration"),
    ]
    (score,) = calibration(by_sample(verdicts), {})
    assert (score.annotator, score.decision) == ("ann", (0, 1))
