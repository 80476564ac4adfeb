"""Cells by row and column: "row 2, column 3", "third column of the second row", "rows 2-3, column 1", "r2c3"."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from expertad.phrases.place import Place
from expertad.phrases.tokens import Tokens
from expertad.phrases.vocabulary import CENTER, DOWN, LEFT, RIGHT, UP, words

_ROWS, _COLUMNS = words("row rows"), words("column columns col cols")
_LINES = _ROWS | _COLUMNS
_HIGHEST = 99
_CARDINALS = {str(number): number for number in range(_HIGHEST + 1)} | {
    word: number for number, word in enumerate("one two three four five six seven eight nine".split(), 1)
}
_ORDINALS = {f"{number}{suffix}": number for number in range(_HIGHEST + 1) for suffix in ("st", "nd", "rd", "th")} | {
    word: number for number, word in enumerate("first second third fourth fifth sixth seventh eighth ninth".split(), 1)
}
_ADDRESS = re.compile(r"(?:r([0-9]{1,3}))?(?:c([0-9]{1,3}))?")
_CONNECTING = words(", and of in the at / - x on within")
_MOST_NUMBERS = 9


class _Line(NamedTuple):
    """One or more rows, or columns, by their numbers from 1; `start` and `end` are token indices."""

    axis: Literal["row", "column"]
    numbers: tuple[int, ...]
    start: int
    end: int


def read_addresses(tokens: Tokens, n: int) -> list[Place]:
    """Every pair of rows and columns; one that leaves the grid, or rows without columns, names no cell."""
    if not any(word in _LINES or (word and _ADDRESS.fullmatch(word)) for word in tokens.vocabulary):
        return []
    lines = _find_lines(tokens, n)
    places = []
    index = 0
    while index + 1 < len(lines):
        if not _pairs(tokens, lines, index):
            index += 1
            continue
        first, second = lines[index : index + 2]
        index += 2
        # "row 2, column 3 and column 4": further lines of the second axis, unless they begin a pair of their own.
        while (
            index < len(lines)
            and lines[index].axis == second.axis
            and tokens.between(second.end, lines[index].start) <= _CONNECTING
            and not _pairs(tokens, lines, index)
        ):
            second = second._replace(numbers=second.numbers + lines[index].numbers, end=lines[index].end)
            index += 1
        rows, columns = (first, second) if first.axis == "row" else (second, first)
        if all(1 <= number <= n for number in rows.numbers + columns.numbers):
            cells = frozenset((r - 1) * n + c - 1 for r in rows.numbers for c in columns.numbers)
            places.append(Place((), cells, first.start, second.end))
    return places


def _find_lines(tokens: Tokens, n: int) -> list[_Line]:
    lines: list[_Line] = []
    end = 0
    for index in range(len(tokens)):
        if index >= end:
            read = _read_lines(tokens, index, n)
            lines += read
            end = read[-1].end if read else end
    return lines


def _pairs(tokens: Tokens, lines: list[_Line], index: int) -> bool:
    """Whether the line at `index` and the next are a row and a column with nothing but connecting words between."""
    if index + 1 >= len(lines):
        return False
    first, second = lines[index : index + 2]
    near = second.start - first.end <= 4 and tokens.between(first.end, second.start) <= _CONNECTING
    return near and first.axis != second.axis


def _read_lines(tokens: Tokens, index: int, n: int) -> list[_Line]:
    word = tokens.word(index)
    address = _ADDRESS.fullmatch(word) if word.startswith(("r", "c")) else None
    if address:
        row, column = address.groups()
        lines = [_Line("row", (int(row),), index, index + 1)] if row else []
        return lines + ([_Line("column", (int(column),), index, index + 1)] if column else [])
    if word in _LINES:
        start = index + 1
        while start < index + 4 and tokens.word(start) in ("-", ":", ".", "no", "number"):
            start += 1
        numbers, end = _read_numbers(tokens, start, _CARDINALS)
    else:
        numbers, end = _read_numbers(tokens, index, _ordinals(n))
        end += tokens.word(end) == "-"
        word = tokens.word(end)
        end += 1
    if not numbers or word not in _LINES:
        return []
    return [_Line("row" if word in _ROWS else "column", numbers, index, end)]


@lru_cache
def _ordinals(n: int) -> dict[str, int]:
    """Words that count rows or columns from 1; a direction word does too: the bottom row is row n."""
    ends = dict.fromkeys(UP | LEFT, 1) | dict.fromkeys(DOWN | RIGHT | {"last"}, n)
    return _ORDINALS | ends | (dict.fromkeys(CENTER, n // 2 + 1) if n % 2 else {})


def _read_numbers(tokens: Tokens, index: int, values: dict[str, int]) -> tuple[tuple[int, ...], int]:
    """The numbers in "2", "2 and 3", "1, 2 or 4", "2 to 4", "2-3", and the index behind them."""
    number = values.get(tokens.word(index))
    if number is None:
        return (), index
    numbers = [number]
    index += 1
    while len(numbers) < _MOST_NUMBERS:
        separator, ahead = tokens.word(index), index + 1
        if separator == "," and tokens.word(ahead) in ("and", "or"):
            ahead += 1
        following = values.get(tokens.word(ahead))
        if following is None or separator not in (",", "and", "or", "/", "to", "through", "-"):
            break
        # "row 2, 3 columns wide": the number belongs to what follows it.
        if values is _CARDINALS and tokens.word(ahead + 1) in _LINES:
            break
        if separator in ("to", "through", "-"):
            numbers.extend(range(number + 1, min(following, number + _MOST_NUMBERS)))
        numbers.append(following)
        number, index = following, ahead + 1
    return tuple(numbers), index
