"""Wording: a seeded voice that chooses among alternatives, and the plain words for numbers, sizes and directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias, TypeVar

T = TypeVar("T")

_BRACKETS = re.compile(r"([\[\]|])")
_ARTICLE = re.compile(r"\b([Aa])n? (?=(\w+))")
# Vowel letters that sound like consonants; "one" and "uni-" begin with w and y.
_CONSONANT_SOUND = re.compile(r"(?:uni|use|usu|one|eu)", re.IGNORECASE)

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

# A product name that contains one of these would be read as a place, or as talk about the annotation.
_UNSAYABLE = re.compile(
    r"\b(?:left|right|top|bottom|center|centre|middle|upper|lower|side|corner|row|column|"
    r"mask|label|reference|template|outline|box|highlight|annotation|normal|ok|ng)\b"
)
_CAPITALS = {"pcb": "PCB", "usb": "USB", "sim": "SIM", "led": "LED"}


class Voice:
    """Chooses wordings by a hash of its keys: the same keys speak the same way on every machine.

    A template holds alternatives as `[first|second]`, nested at will, and facts as `{name}`.
    """

    def __init__(self, *keys: str) -> None:
        self._seed = "|".join(keys)
        self._turn = 0

    def number(self) -> int:
        """The next 64-bit number of this voice."""
        self._turn += 1
        return int.from_bytes(blake2b(f"{self._seed}|{self._turn}".encode(), digest_size=8).digest(), "big")

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.number() % len(options)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in an order of this voice's own."""
        return [option for _, _, option in sorted((self.number(), i, option) for i, option in enumerate(options))]

    def say(self, template: str, **facts: object) -> str:
        """The template with its alternatives chosen and its facts filled in."""
        return self._spoken(_alternatives(template)).format(**facts)

    def _spoken(self, node: _Node) -> str:
        return "".join(part if isinstance(part, str) else self._spoken(self.pick(part)) for part in node)


# A run of plain text and choices; a choice is a tuple of runs.
_Node: TypeAlias = "tuple[str | tuple[_Node, ...], ...]"


@lru_cache(maxsize=1024)
def _alternatives(template: str) -> _Node:
    """A template as a tree.

    Raises:
        ValueError: a bracket has no partner.
    """
    tokens = _BRACKETS.split(template)
    node, end = _run(tokens, 0)
    if end != len(tokens):
        raise ValueError(f"unbalanced brackets in the template {template!r}")
    return node


def _run(tokens: list[str], at: int) -> tuple[_Node, int]:
    """Plain text and choices up to a bar or a closing bracket that is not this run's own."""
    parts: list[str | tuple[_Node, ...]] = []
    while at < len(tokens) and tokens[at] not in ("|", "]"):
        if tokens[at] != "[":
            parts.append(tokens[at])
            at += 1
            continue
        options: list[_Node] = []
        while tokens[at] != "]":
            option, at = _run(tokens, at + 1)
            options.append(option)
            if at == len(tokens):
                raise ValueError("a bracket of the template is never closed")
        parts.append(tuple(options))
        at += 1
    return tuple(parts), at


def sentence(text: str) -> str:
    """A capital at the start, one full stop at the end, single spaces, and "a" or "an" as the next word sounds."""
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    text = _ARTICLE.sub(_sounded, text)
    return text[:1].upper() + text[1:] + "."


def _sounded(match: re.Match[str]) -> str:
    word = match[2]
    vowel = word[0].lower() in "aeiou" and not _CONSONANT_SOUND.match(word)
    vowel = vowel or word.startswith("8") or word in {"11", "18"} or word in {"SIM", "LED"}
    return f"{match[1]}n " if vowel else f"{match[1]} "


def word_count(text: str) -> int:
    """Words as white space divides them."""
    return len(text.split())


def count_word(number: int) -> str:
    """A count as a reader would give it: words to twelve, then rounded to what can be taken in."""
    if number < len(_NUMBERS):
        return _NUMBERS[number]
    return f"about {round(number, -1)}" if number >= 20 else str(number)


def plural(noun: str) -> str:
    """Regular English plural of a noun phrase that ends in its noun."""
    return noun + ("es" if noun.endswith(("ch", "sh", "s", "x")) else "s")


def percent(share: float) -> str:
    """A share of the frame, two digits at most."""
    value = 100 * share
    if value < 0.01:
        return "less than 0.01%"
    if value < 0.095:
        return f"{value:.2f}%"
    return f"{value:.1f}%" if value < 9.5 else f"{value:.0f}%"


def points(difference: float) -> str:
    """A difference in lightness, in whole points."""
    rounded = round(abs(difference))
    return "less than one point" if rounded == 0 else "one point" if rounded == 1 else f"{rounded} points"


def size_word(area: float) -> str:
    """Size of a defect by its share of the frame."""
    for border, word in ((0.0004, "tiny"), (0.004, "small"), (0.02, "medium-sized"), (0.08, "large")):
        if area < border:
            return word
    return "very large"


def about(share: float) -> str:
    """A share as an estimate: "about 4%", but "less than 0.01%"."""
    words = percent(share)
    return words if words.startswith("less") else f"about {words}"


def times(ratio: float) -> str:
    """A ratio of lengths, whole from three up; beyond twenty the width is a pixel or two and the ratio no longer "
    "exact.
    """
    if ratio > 20:
        return "more than 20"
    return f"{ratio:.0f}" if ratio >= 2.75 else f"{round(ratio * 2) / 2:g}"


def direction_word(angle: float) -> str:
    """A direction in the photograph: horizontal, vertical or diagonal (within 22.5 degrees)."""
    if angle < 22.5 or angle >= 157.5:
        return "horizontal"
    return "vertical" if 67.5 <= angle < 112.5 else "diagonal"


def joined(items: Sequence[str]) -> str:
    """A list in prose: "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def product_name(category: str) -> str:
    """The category as a noun to follow "the": underscores opened, trailing digits dropped; "part" where it says a "
    "place.
    """
    name = re.sub(r"[\s_\-]+", " ", category).strip().rstrip("0123456789").strip().lower()
    if not name or _UNSAYABLE.search(name):
        return "part"
    return " ".join(_CAPITALS.get(word, word) for word in name.split())
