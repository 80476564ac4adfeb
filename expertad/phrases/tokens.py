"""Text as words and marks: letters of any width in lower case, a dozen kinds of punctuation, decoration left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# A new paragraph or a bullet ends what came before it; any other line break is a space.
_TOKEN = re.compile(r"\n\s*(?:\n|[-*•–]\s)|[^\W_]+(?:['’](?:t|s|re|ve|ll|d|m)\b)?|[^\w\s]|_")
_LONGEST_WORD = 40


class Token(NamedTuple):
    """A word in lower case, or one of `, . ; : ! ? / -`, and where it stands in the text."""

    word: str
    start: int
    end: int


_FARTHEST_LOOK = 32


class Tokens:
    """The tokens of a text; an index a little outside reads as the empty word, which ends clauses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.items = list(_tokenize(text))
        margin = [""] * _FARTHEST_LOOK
        self._words = [*margin, *(token.word for token in self.items), *margin]
        self.vocabulary = frozenset(self._words)

    def __len__(self) -> int:
        return len(self.items)

    def word(self, index: int) -> str:
        """The word at an index, which may lie up to 32 tokens outside."""
        return self._words[index + _FARTHEST_LOOK]

    def before(self, index: int) -> str:
        """The word before an index, a hyphen skipped."""
        return self.word(index - 2) if self.word(index - 1) == "-" else self.word(index - 1)

    def after(self, index: int) -> str:
        """The word at an index, or behind the hyphen there."""
        return self.word(index + 1) if self.word(index) == "-" else self.word(index)

    def between(self, start: int, end: int) -> frozenset[str]:
        """The words between two indices; a gap too wide to connect anything reads as a full stop."""
        return frozenset(self.word(index) for index in range(start, end)) if end - start <= 12 else frozenset(".")

    def raw(self, start: int, end: int) -> str:
        """The text from one token to before another, as it was written."""
        return self.text[self.items[start].start : self.items[end - 1].end]


def _tokenize(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        raw, start, end = found[0], found.start(), found.end()
        if raw[0] == "\n":
            yield Token(";", start, end)
        elif raw[0].isalnum():
            word = _normal(raw) if end - start <= _LONGEST_WORD else "?"
            if word.endswith("n't"):
                yield Token(word[:-3], start, end)
                word = "not"
            yield Token(word.removesuffix("'s"), start, end)
        else:
            mark = _mark(raw, text[start - 1 : start].isspace() and text[end : end + 1].isspace())
            if mark:
                yield Token(mark, start, end)


@lru_cache(maxsize=4096)
def _normal(raw: str) -> str:
    return unicodedata.normalize("NFKC", raw).casefold().replace("’", "'")


_MARKS = {mark: mark for mark in ",.;:!?/"} | {
    **dict.fromkeys("([{、—―", ","),
    **dict.fromkeys("<>", ";"),
    **dict.fromkeys("\\|", "/"),
    **dict.fromkeys("&+", "and"),
    "。": ".",
    "...": ".",
    "→": "to",
}


@lru_cache(maxsize=4096)
def _mark(raw: str, spaced: bool) -> str:
    """What a character that is no letter stands for: quotes and the like for nothing, a spaced dash for a comma."""
    mark = unicodedata.normalize("NFKC", raw)
    if mark in _MARKS:
        return _MARKS[mark]
    if mark in "_−" or unicodedata.category(mark[0]) == "Pd":
        return "," if spaced else "-"
    return ""
