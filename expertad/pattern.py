"""The two answer patterns: the one writer and the one parser, shared by checks, rewards and evaluation.

    N  <think>…</think><answer>No</answer>
    A  <think>…</think><location>…</location><type>…</type><answer>Yes</answer>

Strict: lower-case tags, each once, in this order, none inside another, none empty; white space before, between and
after them and nothing else; the answer yes or no in any case, agreeing with the pattern.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from expertad.errors import PatternError

Kind = Literal["N", "A"]

FIELDS = ("think", "location", "type", "answer")
_PATTERNS: dict[Kind, tuple[str, ...]] = {"N": ("think", "answer"), "A": FIELDS}
_ANSWERS: dict[Kind, str] = {"N": "No", "A": "Yes"}
_KINDS: dict[str, Kind] = {"no": "N", "yes": "A"}

_TAG = re.compile(rf"<\s*(/?)\s*({'|'.join(FIELDS)})\s*>", re.IGNORECASE)
# Any markup, not only our tags: where this text goes, "<image>" is a placeholder and "<|" opens a control token.
_MARKUP = re.compile(rf"<(?:[A-Za-z!?|]|\s*/|\s*(?:{'|'.join(FIELDS)})\b)", re.IGNORECASE)
_SPOKEN_ANSWER = re.compile(r"\W*(yes|no)\b\s*(?:[^\w\s].*)?", re.IGNORECASE | re.DOTALL)
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says, as far as it could be read; fields are stripped, None where there is nothing to read.

    `kind` is "N" or "A". `answer` is "Yes" or "No" where it reads as either, else as it stands. `reason` says what is
    wrong with the text, None when nothing is.
    """

    kind: Kind | None
    think: str | None
    location: str | None
    type: str | None
    answer: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Tag:
    """One opening or closing tag as found; `exact` when it is spelled `<name>` or `</name>`."""

    name: str
    closing: bool
    exact: bool
    start: int
    end: int

    def __str__(self) -> str:
        return f"<{'/' if self.closing else ''}{self.name}>"


class _NotStrict(Exception):
    """The first reason why a text does not follow either pattern."""


def parse(text: str) -> Parsed:
    """Read a text that follows the N- or the A-pattern exactly; otherwise every field is None and `reason` says why.

    Never raises; linear in the length of the text.

    >>> parse("<think>No flaw.</think><answer>No</answer>").kind
    'N'
    >>> parse("<think>No flaw.</think>").reason
    'no <answer> tag'
    """
    try:
        return _parse_strict(text)
    except _NotStrict as fault:
        return Parsed(None, None, None, None, None, str(fault))


def parse_lenient(text: str) -> Parsed:
    """Read each field whose tag occurs exactly once, opened before it is closed, in any case, whatever surrounds it.

    `kind` is "A" when the answer reads yes, "N" when it reads no ("Yes.", "no, it is flawless"), else None: the pattern
    as a whole is `parse`'s business. `reason` lists the fields that could not be read; `location` and `type` are missed
    only when the answer does not read no. Never raises; linear in the length of the text.
    """
    tags = _tags(text)
    counts = Counter(str(tag) for tag in tags)
    fields: dict[str, str | None] = {}
    faults: dict[str, str] = {}
    for name in FIELDS:
        try:
            fields[name] = _read_field(text, tags, counts, name)
        except _NotStrict as fault:
            fields[name], faults[name] = None, str(fault)
    kind: Kind | None = None
    answer = fields["answer"]
    if answer is not None:
        kind = _spoken_kind(answer)
        if kind is None:
            faults["answer"] = "the answer reads neither yes nor no"
        else:
            answer = _ANSWERS[kind]
    if kind == "N":
        for name in ("location", "type"):
            if not counts[f"<{name}>"] and not counts[f"</{name}>"]:
                faults.pop(name, None)
    reason = "; ".join(faults.values()) or None
    return Parsed(kind, fields["think"], fields["location"], fields["type"], answer, reason)


def write(think: str, location: str | None = None, type: str | None = None) -> str:
    """The N-pattern from `think` alone, the A-pattern with a location and a type; fields are written stripped.

    `parse(write(...))` gives the stripped fields back. A plain less-than sign ("< 2 mm") may stand in a field.

    Raises:
        PatternError: a field is empty or holds markup (our tags in any case, or anything that begins like a tag), or
            location and type are not given together.
    """
    if (location is None) != (type is None):
        raise PatternError("a location and a type belong together: give both or neither")
    kind: Kind = "N" if location is None else "A"
    fields = {"think": think, "location": location, "type": type, "answer": _ANSWERS[kind]}
    parts = []
    for name in _PATTERNS[kind]:
        value = (fields[name] or "").strip()
        if not value:
            raise PatternError(f"the {name} field is empty")
        markup = _MARKUP.search(value)
        if markup:
            raise PatternError(f"the {name} field holds markup: {value[markup.start() : markup.start() + 20]!r}")
        parts.append(f"<{name}>{value}</{name}>")
    return "".join(parts)


def _tags(text: str) -> list[_Tag]:
    tags = []
    for found in _TAG.finditer(text):
        name = found[2].lower()
        exact = found[0] == f"<{found[1]}{name}>"
        tags.append(_Tag(name, bool(found[1]), exact, found.start(), found.end()))
    return tags


def _parse_strict(text: str) -> Parsed:
    tags = _tags(text)
    counts = Counter(str(tag) for tag in tags)
    for tag in tags:
        if not tag.exact:
            raise _NotStrict(f"the tag {text[tag.start : tag.end]!r} must be written {tag}")
    kind: Kind = "A" if any(tag.name in ("location", "type") for tag in tags) else "N"
    values = {name: _read_field(text, tags, counts, name) for name in _PATTERNS[kind]}
    expected = [(name, closing) for name in _PATTERNS[kind] for closing in (False, True)]
    for tag, (name, closing) in zip(tags, expected, strict=True):
        if (tag.name, tag.closing) != (name, closing):
            raise _NotStrict(f"{tag} stands where <{'/' if closing else ''}{name}> belongs")
    _refuse_text_outside(text, tags)
    spoken = _KINDS.get(values["answer"].lower())
    if spoken is None:
        raise _NotStrict(f"the answer is {values['answer'][:40]!r}, neither Yes nor No")
    if spoken != kind:
        raise _NotStrict(
            "the answer is Yes, but location and type are missing"
            if kind == "N"
            else "the answer is No, but a location and a type are given"
        )
    return Parsed(kind, values["think"], values.get("location"), values.get("type"), _ANSWERS[kind], None)


def _read_field(text: str, tags: list[_Tag], counts: Counter[str], name: str) -> str:
    """The stripped text between the one `<name>` and the one `</name>`."""
    for tag in (f"<{name}>", f"</{name}>"):
        if not counts[tag]:
            raise _NotStrict(f"no {tag} tag")
        if counts[tag] > 1:
            raise _NotStrict(f"{tag} occurs {counts[tag]} times")
    first, second = (tag for tag in tags if tag.name == name)
    if first.closing:
        raise _NotStrict(f"</{name}> stands before <{name}>")
    value = text[first.end : second.start].strip()
    if not value:
        raise _NotStrict(f"<{name}> is empty")
    return value


def _refuse_text_outside(text: str, tags: list[_Tag]) -> None:
    if text[: tags[0].start].strip():
        raise _NotStrict(f"text before {tags[0]}")
    for closing, opening in zip(tags[1:-1:2], tags[2::2], strict=True):
        if text[closing.end : opening.start].strip():
            raise _NotStrict(f"text between {closing} and {opening}")
    if text[tags[-1].end :].strip():
        raise _NotStrict(f"text after {tags[-1]}")


def _spoken_kind(answer: str) -> Kind | None:
    """Yes or no as the first word, followed by punctuation or nothing, and not taken back by the other word later."""
    found = _SPOKEN_ANSWER.fullmatch(answer)
    if found is None or len({word.lower() for word in _YES_NO.findall(answer)}) > 1:
        return None
    return _KINDS[found[1].lower()]
