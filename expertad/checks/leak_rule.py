"""What a leak rule is, and the words that several of them share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from expertad.checks.finding import Severity

COLOR = r"(?:red|green|blue|yellow|orange|magenta|cyan|purple|pink|violet|lime)"
ANY_COLOR = (
    r"(?:red|green|blue|yellow|orange|magenta|cyan|purple|pink|violet|lime|white|black|colou?red|bright|neon|"
    r"dashed|dotted)"
)
REGION = (
    r"(?:areas?|regions?|zones?|sections?|spots?|locations?|places?|positions?|sites?|portions?|patch(?:es)?|"
    r"parts?|points?)"
)
SHAPE = (
    r"(?:box(?:es)?|rectangles?|squares?|circles?|ellipses?|ovals?|contours?|polygons?|frames?|outlines?|"
    r"borders?|overlays?)"
)
FOUND = (
    r"(?:defects?|anomal\w+|flaws?|faults?|damage|scratch\w*|holes?|contaminat\w+|deformations?|abrasions?|"
    r"stains?|marks?)"
)
# What is really on a product: printed, moulded, stuck on or built in.
ON_PRODUCT = (
    r"\b(?:print\w*|emboss\w*|engrav\w*|etch\w*|stamp\w*|silkscreen\w*|silk-?screen\w*|paint(?:ed|ing)?|"
    r"mold\w*|mould\w*|logo|lettering|letters?|text|symbols?|icons?|sticker|polarity|serial|part number|brand|"
    r"ink|insulation|wires?|cables?|sleeves?|packag\w*|carton|cardboard|decorat\w*|pattern|warning|"
    r"graphics?)\b"
)
GIVEN_NOUN = (
    r"(?:information|info|locations?|labels?|types?|descriptions?|coordinates|hints?|contexts?|details|data|"
    r"annotations?|categor(?:y|ies)|class(?:es)?|guidance|instructions?|criteria|captions?|masks?|cues?|"
    r"clues?|defect (?:type|location|class)|coarse type|regions?|areas?)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to leak.

    Args:
        family: what leaks; part of every reason.
        severity: "reject" or "person".
        pattern: searched in a sentence in lower case.
        triggers: literal strings of which one must be in the text; only a filter for speed.
        unless: no finding when this matches in the same sentence, within 60 characters of the match.
        why: ends the reason.
        zero_shot: applies only where the student sees no reference.
    """

    family: str
    severity: Severity
    pattern: re.Pattern[str]
    triggers: tuple[str, ...]
    why: str
    unless: re.Pattern[str] | None = None
    zero_shot: bool = False


def rule(
    family: str,
    severity: Severity,
    triggers: str,
    pattern: str,
    why: str,
    *,
    unless: str | None = None,
    zero_shot: bool = False,
) -> Rule:
    """A Rule of patterns not yet compiled; `triggers` are joined by "|"."""
    excuse = re.compile(unless) if unless else None
    return Rule(family, severity, re.compile(pattern), tuple(triggers.split("|")), why, excuse, zero_shot)
