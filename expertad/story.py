"""One sample's story for people: where it stands, who was asked about it, and what reviewers made of it."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import click

from expertad.ledger import Standing
from expertad.teachers.base import Call
from expertad.verdict import Verdict

WIDTH = 100
COLOURS = {"published": "green", "rejected": "red", "quarantined": "magenta", "pending": "yellow"}
DECIDED = {"accept": "accepted it", "edit": "edited it", "reject": "rejected it"}
PURPOSE = {"review": "", "adjudication": ", to decide between reviewers", "calibration": ", for calibration only"}


def tell(
    sample_id: str,
    standing: Standing,
    calls: Sequence[Call],
    verdicts: Sequence[Verdict],
    shown: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    """The story, line by line; edits of the reasoning as words [-taken away-] and {+put in+}.

    Args:
        sample_id: of the sample.
        standing: where it stands.
        calls: all calls about it, oldest first.
        verdicts: all verdicts on it, oldest first.
        shown: what their givers were shown, by revision, as far as it is known.
    """
    state = click.style(standing.state, fg=COLOURS.get(standing.state), bold=True)
    yield f"{_inert(sample_id)}: {state}" + (f", {standing.partition}" if standing.partition else "")
    yield from _wrapped(_inert(standing.reason))
    for call in calls:
        money = f", {call.cost:.4f} {call.currency}" if call.currency else ""
        reason = f": {call.reason}" if call.reason else ""
        asked = f"{call.stage} by {call.model or call.backend}, attempt {call.attempt}"
        yield from _wrapped(_inert(f"{call.at}  {asked}: {call.outcome}{reason} ({call.latency_s:.1f} s{money})"))
    for text in dict.fromkeys(verdict.revision for verdict in verdicts):
        yield ""
        yield from _text(text, shown.get(text))
        for verdict in verdicts:
            if verdict.revision == text:
                yield from _verdict(verdict, shown.get(text, {}))


def _text(revision: str, shown: Mapping[str, Any] | None) -> Iterator[str]:
    if shown is None:
        yield f"text {revision[:8]}, which is not kept"
        return
    parts = [shown.get("coarse_type"), shown.get("fine_type"), shown.get("location")]
    yield f"text {revision[:8]}: " + (_inert(" · ".join(part for part in parts if part)) or "normal")
    yield from _wrapped(_inert(shown.get("think", "")))


def _verdict(verdict: Verdict, shown: Mapping[str, Any]) -> Iterator[str]:
    when = f" at {verdict.at}" if verdict.at else ""
    spent = f" in {verdict.lead_time:.0f} s" if verdict.lead_time is not None else ""
    decided = click.style(DECIDED[verdict.decision], bold=True)
    reasons = f" for {', '.join(verdict.reasons)}" if verdict.reasons else ""
    yield (
        _inert(f"  {verdict.annotator}")
        + f" {decided}"
        + _inert(f"{reasons}{spent}{when}{PURPOSE[verdict.role]}" + (f" ({verdict.origin})" if verdict.origin else ""))
    )
    for name, corrected in (("location", verdict.location), ("fine_type", verdict.fine_type)):
        before = shown.get(name)
        if corrected is not None and corrected != before:
            yield f"    {name.replace('_', ' ')}: " + (_taken(before) if before else "") + _put(corrected)
    if verdict.think is not None and verdict.think != shown.get("think"):
        yield from _wrapped(word_diff(shown["think"], verdict.think) if shown else _inert(verdict.think), 4)
    if verdict.note:
        yield from _wrapped(_inert(f"note: {verdict.note}"), 4)


def word_diff(before: str, after: str) -> str:
    """A text with the words that another version lacks and adds marked as `git diff --word-diff` does.

    >>> click.unstyle(word_diff("a thin line", "a thick line here"))
    'a [-thin-]{+thick+} line {+here+}'
    """
    old, new = before.split(), after.split()
    pieces = []
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(_inert(" ".join(old[i:j])))
        else:
            gone, come = " ".join(old[i:j]), " ".join(new[k:m])
            pieces.append((_taken(gone) if gone else "") + (_put(come) if come else ""))
    return " ".join(pieces)


def _taken(text: str) -> str:
    return click.style(f"[-{_inert(text)}-]", fg="red")


def _put(text: str) -> str:
    return click.style(f"{{+{_inert(text)}+}}", fg="green")


def _wrapped(text: str, indent: int = 2) -> Iterator[str]:
    """Indented lines of a text that is inert."""
    margin = " " * indent
    for line in text.splitlines():
        yield textwrap.fill(line, WIDTH, initial_indent=margin, subsequent_indent=margin)


def _inert(text: str) -> str:
    """What a model or a person wrote, without anything that a terminal would obey."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text
    )
