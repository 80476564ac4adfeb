"""What the reward code released with IAD-R1 (commit 625b936) pays, its faults included, for comparison only.

Two rewards, unlike the paper's four:

* consistency, in {0, 1}: the truth's tags in order with nothing between one tag and the next, any text around them. A
  line break between two tags costs it; what stands inside the tags does not matter, not even the answer.
* accuracy, in [0, 2]: normal: 1 for the answer "no". Anomalous: (type + location) / 2, plus 1 for the answer "yes".

Kept on purpose: a wrong "No" with the right location and type still earns 1.0; a place that names no direction is the
center; a field is read only when it stands on one line; type steps depend on substring lengths. Left to the caller: for
a truth that is neither yes nor no the released consistency leaves its list one short; here it is None.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache

from expertad.taxonomy import COARSE_TYPES, FINE_TERMS, GROUP_NAMES, GROUP_OF
from training.rewards.truth import Pay, Reading, Truth

_FIRST = {tag: re.compile(f"<{tag}>(.*?)</{tag}>") for tag in ("answer", "location", "type")}
_ORDER = {
    "yes": ("<think>", "</think><location>", "</location><type>", "</type><answer>", "</answer>"),
    "no": ("<think>", "</think><answer>", "</answer>"),
}
_BLANKS = re.compile(r"\s+")
_DROPPED = re.compile(r"[^\w\s-]")


def _field(tag: str, text: str) -> str | None:
    found = _FIRST[tag].search(text)
    return found.group(1).strip().lower() if found else None


def _truth_answer(solution: str) -> str:
    found = _field("answer", solution)
    return found if found is not None else solution.strip().lower()


def consistency(completion: str, solution: str) -> float | None:
    """1.0 when the pattern that the solution's answer asks for occurs, else 0.0; None for a truth of neither kind."""
    answer = _truth_answer(solution)
    if answer not in _ORDER:
        return None
    if answer == "no" and ("<location>" in completion or "<type>" in completion):
        return 0.0
    position = 0
    for piece in _ORDER[answer]:
        found = completion.find(piece, position)
        if found < 0:
            return 0.0
        position = found + len(piece)
    return 1.0


def accuracy(completion: str, solution: str) -> float:
    """Answer, and for anomalous truths the mean of type and location, which no answer gates; in [0, 2]."""
    truth = _truth_answer(solution)
    said = _field("answer", completion)
    if truth == "no":
        return 1.0 if said == "no" else 0.0
    if truth != "yes":
        return 0.0
    total = 0.0
    for tag, pay in (("type", type_reward), ("location", location_reward)):
        predicted, true = _field(tag, completion), _field(tag, solution)
        if predicted is not None and true is not None:
            total += pay(predicted, true)
    return total / 2.0 + (1.0 if said == "yes" else 0.0)


def region(text: str) -> int:
    """1 to 9 in reading order; 5, the center, for any text without a direction."""
    cell = 5
    if "left" in text:
        cell -= 1
    elif "right" in text:
        cell += 1
    if "top" in text or "upper" in text:
        cell -= 3
    elif "bottom" in text or "lower" in text:
        cell += 3
    return min(9, max(1, cell))


def location_reward(predicted: str, true: str) -> float:
    """1.0 when both texts fall into the same region."""
    return 1.0 if region(predicted) == region(true) else 0.0


def _plain(text: str) -> str:
    return _DROPPED.sub("", _BLANKS.sub(" ", text.lower().strip()))


_COARSE = {_plain(term): coarse for coarse in COARSE_TYPES for term in (coarse, *FINE_TERMS[coarse])}


def _ratio(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second).ratio()


@lru_cache(maxsize=4096)
def _best_match(text: str) -> tuple[str | None, float]:
    """Coarse type of a plain text and the confidence in it; ties go to the term listed first."""
    if text in _COARSE:
        return _COARSE[text], 1.0
    best: tuple[str | None, float] = (None, 0.0)
    for term, coarse in _COARSE.items():
        if text in term or term in text:
            share = min(len(text), len(term)) / max(len(text), len(term))
            if share > best[1]:
                best = (coarse, share)
    if best[0]:
        return best
    for term, coarse in _COARSE.items():
        likeness = _ratio(text, term)
        if likeness >= 0.7 and likeness > best[1]:
            best = (coarse, likeness)
    return best


@lru_cache(maxsize=16_384)
def type_reward(predicted: str, true: str) -> float:
    """The released type score of two lower-cased texts, in [0, 1]."""
    if not predicted or not true:
        return 0.0
    said, want = _plain(predicted), _plain(true)
    said_type, said_sure = _best_match(said)
    want_type, want_sure = _best_match(want)
    said_named, want_named = GROUP_NAMES.get(said), GROUP_NAMES.get(want)
    said_group = said_named or (GROUP_OF[said_type] if said_type else None)
    want_group = want_named or (GROUP_OF[want_type] if want_type else None)
    if said_group and want_group and said_group != want_group:
        return 0.0
    if bool(said_named) != bool(want_named) and said_group == want_group:
        return 0.3
    if said == want:
        return 1.0
    if said in want or want in said:
        return 0.85
    if said_type and want_type:
        if said_type == want_type:
            return 0.6 + (0.85 - 0.6) * min(said_sure, want_sure)
        if GROUP_OF[said_type] == GROUP_OF[want_type]:
            return 0.3
    likeness = _ratio(said, want)
    return likeness * 0.4 if likeness >= 0.7 else 0.0


def consistency_pay(reading: Reading, truth: Truth) -> Pay:
    """`consistency` on the project's own values."""
    return Pay(consistency(reading.text, truth.solution), "released format")


def accuracy_pay(reading: Reading, truth: Truth) -> Pay:
    """`accuracy` on the project's own values."""
    value = accuracy(reading.text, truth.solution)
    return Pay(value, "released accuracy" if reading.says(truth) or not value else "paid without a right answer")
