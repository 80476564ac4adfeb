"""Privileged information: what the teacher was shown or told and the student will not have.

The teacher sees an outline or box drawn in some color around the defect, is told the coarse type and the place, and
sees a normal reference. A think that speaks of any of it teaches the student to invent sources. The words for these
things are also plain words for products ("label", "mask", "outline", "box", "arrow", "standard", "reference plane"),
so every rule is a word together with what makes it a leak, and an exception where inspection English means the
product. A rule rejects when no reading about the product is left, and asks a person when one is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertad import taxonomy
from expertad.checks import leak_drawn, leak_reference, leak_told
from expertad.checks.finding import Finding, Severity, quote
from expertad.checks.leak_rule import Rule
from expertad.checks.reading import Reading
from expertad.sample import Case, Draft

RULES: tuple[Rule, ...] = (*leak_drawn.RULES, *leak_told.RULES, *leak_reference.RULES)

_NEAR = 60


def check_leak(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The think speaks of what only the teacher had: drawings, mask, label, information, in zero-shot the reference."""
    reported: set[tuple[str, Severity]] = set()
    for rule in RULES:
        if rule.zero_shot and case.shot:
            continue
        if not any(t in think.low for t in rule.triggers):
            continue
        if not rule.pattern.search(think.low):
            continue
        found = _first(rule, think)
        if found and (rule.family, rule.severity) not in reported and (rule.family, "reject") not in reported:
            reported.add((rule.family, rule.severity))
            yield Finding("leak", rule.severity, f"{rule.family}: {found}: {rule.why}")
    yield from _codes(case, draft)


def _first(rule: Rule, think: Reading) -> str | None:
    """The first unexcused match, quoted with a little of what stands around it."""
    for sentence in think.sentences:
        for match in rule.pattern.finditer(sentence.text):
            near = sentence.text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
            if rule.unless is None or not rule.unless.search(near):
                a, b = sentence.start + match.start(), sentence.start + match.end()
                return quote(think.text[a:b])
    return None


_CODE = re.compile(r"\b(" + "|".join(taxonomy.CODE_TO_COARSE) + r")\b")
_CODE_SAID = re.compile(
    r"\b(?:code|class|type|categor(?:y|ies)|label|defect)\w*(?: is| of|:)? ?[\"'(]?(?:"
    + "|".join(taxonomy.CODE_TO_COARSE)
    + r"|NG|OK)\b|\bNG_[A-Z]{2}\b|\bNG\b(?= (?:part|sample|image|code|class|label))"
)


def _codes(case: Case, draft: Draft) -> Iterator[Finding]:
    """The source's class codes, which read like any two capitals on a product unless they are this sample's own."""
    for match in _CODE.finditer(draft.think):
        if match.group() == case.sample.code:
            yield Finding("leak", "reject", f"label: {quote(match.group())} is the source's code for this class")
            return
    said = _CODE_SAID.search(draft.think)
    if said:
        yield Finding("leak", "reject", f"label: {quote(said.group())} is a class code of the source")
