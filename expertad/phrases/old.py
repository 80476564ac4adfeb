"""Reading places out of words: the second half of Φ, whose public face is `expertad.grid`.

A text is split into tokens once; direction words that stand together form an *atom* ("lower right-hand corner"); atoms
that describe one place from two sides join ("near the top edge on the right"), others stay apart ("top left and center").
Every step looks at a bounded number of neighbors, so the time is linear in the text.

What was decided where English leaves it open:

* An axis that is not named lies in the middle: "top" is the middle of the top row.
* "left of center" is left; "slightly left of center" is still the center. "off center" names no place.
* "to the left of the zipper" is relative to a thing, not a place in the picture; "the left of the image" is a place.
* "top surface", "bottom layer", "top view" name a face of the product; "center pin", "central hole" name a part. Neither is
  a place. "left terminal" is a part too, but its name tells where it lies: it counts when the text names no place otherwise.
* "left edge of the stain", "bottom of the groove", "center of the scratch" describe the thing, not where it is.
* "top corner" does not say which corner: unknown; "top corners" are both.
* "from left to right" is an orientation; "from the top left to the bottom right" names both ends.
* A place that is denied ("not at the top", "nothing at the left", "no scratch in the center"), called sound ("the top left
  is intact") or only compared with ("unlike the right side") is not named.
* n = 2: "left" is both left cells, the center is unknown. n = 1: any place is the one cell. n = 4, 5: only rows and columns
  say enough; "top left" could be any of several cells, so it is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Mention:
    """A place named in running text: its cells, and `text`, which is characters `start` to `end` of the whole."""

    cells: frozenset[int]
    start: int
    end: int
    text: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


Axis = Literal["v", "h", "c"]

_UP = _words("top upper topmost uppermost north northern")
_DOWN = _words("bottom lower bottommost lowermost south southern")
_LEFT = _words("left lefthand leftmost west western")
_RIGHT = _words("right righthand rightmost east eastern")
_CENTER = _words("center centre central centrally middle mid")
_DIRECTIONS: dict[str, tuple[tuple[Axis, int], ...]] = {
    **{word: (("v", -1),) for word in _UP},
    **{word: (("v", 1),) for word in _DOWN},
    **{word: (("h", -1),) for word in _LEFT},
    **{word: (("h", 1),) for word in _RIGHT},
    **{word: (("c", 0),) for word in _CENTER},
}
_DIRECTIONS |= {
    first + second: _DIRECTIONS[first] + _DIRECTIONS[second]
    for first, second in product(
        _words("top upper bottom lower left right center centre middle mid north south"),
        _words("top upper bottom lower left right center centre middle east west"),
    )
    if _DIRECTIONS[first][0][0] != _DIRECTIONS[second][0][0]
}

_REGIONS = _words(
    "corner edge side area region part portion section half third quarter quadrant zone end border margin boundary sector"
    " cell rim periphery perimeter segment extremity location position vicinity row column band point"
)
_WHOLES = _words(
    "image picture photo photograph frame view screen object component product item sample specimen workpiece piece unit"
    " device body surface assembly"
)
_FACES = _words(
    "surface face view layer coat coating finish film cover lid cap plate sheet case shell notch quality level priority"
    " grade down up speed tier class choice rated line dollar out off it condition three five ten"
)
_ABSTRACT = _words(
    "angle angled angular triangle way place spot size shape material answer time tool amount choice conclusion order one"
    " thing kind color colour now away handed hander thread threaded click wing brain wrong contrast brightness density"
    " quality limit bound value level intensity reflectivity gloss resolution temperature pressure frequency number risk"
    " probability likelihood confidence grade rate cost priority case class standard tolerance threshold severity degree"
    " saturation luminance roughness hardness strength speed hand fit over"
)
_DEFECTS = _words(
    "defect flaw anomaly anomalie damage scratch dent crack stain contamination mark blemish issue problem sign evidence"
    " trace indication deformation abrasion wear debri debris irregularity irregularitie abnormality abnormalitie"
    " imperfection deviation chip break dirt discoloration discolouration burr corrosion rust fault error spot hole pit"
    " scuff smudge fracture impurity particle residue bump void lesion streak"
)
_CAVITIES = _words("groove cavity recess slot crater bore well pocket notch gap indentation opening")
_ABSTRACT_CENTERS = _words("attention gravity mass rotation curvature interest excellence pressure stage")

_ARTICLES = _words("the a an its their his her our your my these those")
_PREPOSITIONS = _words(
    "of at on in to toward towards near along by around within inside close from next into through across above below"
    " under beneath over behind between beside besides against via past underneath alongside onto up down with for about"
    " before after during until"
)
_PLACERS = _words("located positioned situated placed lying found seen visible present appearing occurring side")
_INTENSIFIERS = _words("very far extreme exact exactly more further just slightly rather dead right directly mostly mainly")
_HEDGES = _words("slightly just bit little marginally barely somewhat touch fractionally")
_CONJUNCTIONS = _words("and or nor plus")
_CONNECTORS = _words("of at on in near toward towards along by around within close -") | _ARTICLES | _INTENSIFIERS | _HEDGES
_BE = _words(
    "is are was were be been being appears appear appeared looks look looked seems seem seemed remains remain remained stays"
    " stay"
)
_VERBS = _BE | _words(
    "has have had shows show showed exhibits exhibit contains contain reveals reveal displays display presents suggests"
    " indicates suffers includes does do did can could may might must should will would extends extend runs starts begins"
    " reaches lies sits matches differs deviates bears carries"
)
_PRONOUNS = _words(
    "where which that who whose when if as than because since so then there here it they we i you he she this not no also"
    " too only both all each some any without while whereas although though but however except yet instead let"
)
_PUNCTUATION = frozenset(",.;:!?/") | {""}
_CLAUSE_ENDS = frozenset(".;:!?") | {""}
_STOPS = _PUNCTUATION | _ARTICLES | _PREPOSITIONS | _CONJUNCTIONS | _VERBS | _PRONOUNS | _PLACERS - {"side"}
_TURNS = _words("but however while whereas although though except instead only")
_SOUND = _words(
    "clean intact undamaged normal flawless uniform unaffected smooth regular fine unremarkable sound consistent straight"
    " unblemished pristine ok okay good unmarked even unbroken unscathed perfect symmetric symmetrical identical aligned"
    " parallel clear unchanged complete spotless"
)
_LEFT_BEHIND = _words("by behind a an after alone out unattended with over untreated exposed open blank empty")

_TOKEN = re.compile(r"\n\s*(?:\n|[-*•–]\s)|[^\W_]+(?:['’](?:t|s|re|ve|ll|d|m)\b)?|[^\w\s]|_")
_LONGEST_WORD = 40


class _Token(NamedTuple):
    word: str
    start: int
    end: int


class _Tokens:
    """The tokens of a text; any index outside reads as the empty word, which ends clauses."""

    def __init__(self, text: str) -> None:
        self.items = list(_tokenize(text))

    def __len__(self) -> int:
        return len(self.items)

    def word(self, index: int) -> str:
        return self.items[index].word if 0 <= index < len(self.items) else ""

    def before(self, index: int) -> str:
        """The word before `index`, hyphens skipped."""
        return self.word(index - 2) if self.word(index - 1) == "-" else self.word(index - 1)

    def after(self, index: int) -> str:
        """The word at `index`, or behind the hyphen there."""
        return self.word(index + 1) if self.word(index) == "-" else self.word(index)


def _tokenize(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        raw, start, end = found[0], found.start(), found.end()
        if raw[0] == "\n":
            yield _Token(";", start, end)
        elif raw[0].isalnum():
            word = unicodedata.normalize("NFKC", raw).casefold().replace("’", "'") if len(raw) <= _LONGEST_WORD else "?"
            if word.endswith("n't"):
                yield _Token(word[:-3], start, end)
                word = "not"
            yield _Token(word.removesuffix("'s"), start, end)
        else:
            mark = _punctuation(raw, text[start - 1 : start].isspace() and text[end : end + 1].isspace())
            if mark:
                yield _Token(mark, start, end)


def _punctuation(raw: str, spaced: bool) -> str:
    """One of `, . ; : ! ? / - and to`, or nothing for what only decorates, such as quotes."""
    mark = unicodedata.normalize("NFKC", raw)
    if raw in "—―" or mark in "([{、":
        return ","
    if raw == "_" or mark == "−" or unicodedata.category(mark[0]) == "Pd":
        return "," if spaced else "-"
    return {"<": ";", ">": ";", "\\": "/", "|": "/", "&": "and", "+": "and", "→": "to", "...": ".", "。": "."}.get(
        mark, mark if mark in ",.;:!?/" else ""
    )


def _is(word: str, nouns: frozenset[str]) -> bool:
    """Whether a word, or its singular, is one of the nouns."""
    return word in nouns or (word.endswith("s") and (word[:-1] in nouns or word[:-2] in nouns))


def phrase_to_cells(text: str, n: int = 3) -> frozenset[int] | None:
    """The cells that a phrase names, the union over its `mentions`; None when it names none.

    Args:
        text: anything; never raises.
        n: of the n x n grid, 1 to 5.

    >>> sorted(phrase_to_cells("Upper-left corner and the centre"))
    [0, 4]
    >>> phrase_to_cells("somewhere on the object") is None
    True
    """
    return frozenset().union(*(mention.cells for mention in mentions(text, n))) or None


def mentions(text: str, n: int = 3) -> tuple[Mention, ...]:
    """The places that a running text names, in its order; see the top of this file for what counts as one.

    Args:
        text: anything; never raises, and takes time linear in its length.
        n: of the n x n grid, 1 to 5.
    """
    tokens = _Tokens(text)
    addressed = _read_addresses(tokens, n)
    spoken = _read_places(tokens, {index for place in addressed for index in range(place.start, place.end)}) if n < 4 else []
    places = _drop_unmeant(tokens, sorted([*addressed, *spoken], key=lambda place: place.start))
    if any(place.strong for place in places):
        places = [place for place in places if place.strong]
    found = []
    for place in places:
        cells = frozenset(cell for spot in place.spots for cell in _spot_cells(spot, n)) | place.cells
        if cells:
            start, end = tokens.items[place.start].start, tokens.items[place.end - 1].end
            found.append(Mention(cells, start, end, text[start:end]))
    return tuple(found)


_Spot = tuple[int | None, int | None]
"""Up -1 or down 1, left -1 or right 1; None is not named, and so in the middle."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What one mention names, as spots or as cells; `start` and `end` are token indices."""

    spots: tuple[_Spot, ...]
    cells: frozenset[int]
    start: int
    end: int
    strong: bool


def _spot_cells(spot: _Spot, n: int) -> tuple[int, ...]:
    vertical, horizontal = spot
    if n == 1:
        return (0,)
    if n == 3:
        return (3 * ((vertical or 0) + 1) + (horizontal or 0) + 1,)
    if vertical is None and horizontal is None:
        return ()
    rows, columns = ((0, 1) if side is None else (0,) if side < 0 else (1,) for side in spot)
    return tuple(2 * row + column for row in rows for column in columns)


# --- rows and columns ---------------------------------------------------------------------------------------------

_ROWS, _COLUMNS = _words("row rows"), _words("column columns col cols")
_CARDINALS = {word: index for index, word in enumerate("one two three four five six seven eight nine ten".split(), 1)}
_ORDINALS = {
    word: index
    for index, word in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)
}
_ORDINAL = re.compile(r"([0-9]{1,3})(?:st|nd|rd|th)")
_ADDRESS = re.compile(r"(?:r([0-9]{1,3}))?(?:c([0-9]{1,3}))?")
_BETWEEN_AXES = _words(", and of in the at / - x on within")


class _Line(NamedTuple):
    """One or more rows, or columns, by their numbers from 1."""

    axis: Literal["row", "column"]
    numbers: tuple[int, ...]
    start: int
    end: int


def _read_addresses(tokens: _Tokens, n: int) -> list[_Place]:
    """Pairs of rows and columns: "row 2, column 3", "third column of the second row", "r2c3"."""
    lines: list[_Line] = []
    index = 0
    while index < len(tokens):
        read = _read_lines(tokens, index, n)
        lines += read
        index = read[-1].end if read else index + 1
    places = []
    index = 0
    while index + 1 < len(lines):
        if not _pairs(tokens, lines[index], lines[index + 1]):
            index += 1
            continue
        first, second = lines[index : index + 2]
        index += 2
        # "row 2, column 3 and column 4": further lines of the second axis, unless they begin a pair of their own.
        while (
            index < len(lines)
            and lines[index].axis == second.axis
            and _gap(tokens, second.end, lines[index].start) <= _BETWEEN_AXES
            and not (index + 1 < len(lines) and _pairs(tokens, lines[index], lines[index + 1]))
        ):
            second = second._replace(numbers=second.numbers + lines[index].numbers, end=lines[index].end)
            index += 1
        rows, columns = (first, second) if first.axis == "row" else (second, first)
        if all(1 <= number <= n for number in rows.numbers + columns.numbers):
            cells = frozenset((r - 1) * n + c - 1 for r in rows.numbers for c in columns.numbers)
            places.append(_Place((), cells, first.start, second.end, True))
    return places


def _gap(tokens: _Tokens, start: int, end: int) -> frozenset[str]:
    """The words between two token indices; a gap too wide to join anything reads as a full stop."""
    return frozenset(tokens.word(index) for index in range(start, end)) if end - start <= 12 else frozenset(".")


def _pairs(tokens: _Tokens, first: _Line, second: _Line) -> bool:
    return (
        first.axis != second.axis
        and second.start - first.end <= 4
        and _gap(tokens, first.end, second.start) <= _BETWEEN_AXES
    )


def _read_lines(tokens: _Tokens, index: int, n: int) -> list[_Line]:
    word = tokens.word(index)
    address = _ADDRESS.fullmatch(word)
    if address:
        row, column = address.groups()
        lines = [_Line("row", (int(row),), index, index + 1)] if row else []
        return lines + ([_Line("column", (int(column),), index, index + 1)] if column else [])
    if word in _ROWS or word in _COLUMNS:
        start = index + 1
        while tokens.word(start) in _words("- : . no number") and start < index + 4:
            start += 1
        numbers, end = _read_numbers(tokens, start, _cardinal)
    else:
        numbers, end = _read_numbers(tokens, index, lambda word: _ordinal(word, n))
        end += tokens.word(end) == "-"
        word = tokens.word(end)
        end += 1
        if word not in _ROWS and word not in _COLUMNS:
            return []
    return [_Line("row" if word in _ROWS else "column", numbers, index, end)] if numbers else []


def _cardinal(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() and len(word) < 4 else _CARDINALS.get(word)


def _ordinal(word: str, n: int) -> int | None:
    """The number of a row or column from 1; a direction word counts as one: the bottom row is row n."""
    found = _ORDINAL.fullmatch(word)
    if found:
        return int(found[1])
    if word in _UP or word in _LEFT:
        return 1
    if word in _DOWN or word in _RIGHT or word == "last":
        return n
    if word in _CENTER and n % 2:
        return n // 2 + 1
    return _ORDINALS.get(word)


def _read_numbers(
    tokens: _Tokens, index: int, read: Callable[[str], int | None]
) -> tuple[tuple[int, ...], int]:
    """"2", "2 and 3", "1, 2 or 4", "2 to 4", "2-3"; and the index behind them."""
    number = read(tokens.word(index))
    if number is None:
        return (), index
    numbers = [number]
    index += 1
    while len(numbers) < 25:
        separator, ahead = tokens.word(index), index + 1
        if separator == "," and tokens.word(ahead) in ("and", "or"):
            ahead += 1
        following = read(tokens.word(ahead))
        if following is None or separator not in _words(", and or / to through -"):
            break
        # "row 2, 3 columns wide": the number belongs to what follows it.
        if tokens.word(ahead + 1) in _ROWS | _COLUMNS and read is _cardinal:
            break
        if separator in ("to", "through", "-") and number < following <= number + 9:
            numbers.extend(range(number + 1, following))
        numbers.append(following)
        number, index = following, ahead + 1
    return tuple(numbers), index


# --- directions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Atom:
    """Direction words that stand together, with the noun they belong to.

    `axes` is the order in which axes are named ("vh" for "top left", "ch" for "center left"). Tokens: `start` to `core`
    are the direction words, `end` is behind the noun. `noun` is its region noun in the singular, or "".
    """

    vertical: int | None
    horizontal: int | None
    axes: str
    start: int
    core: int
    end: int
    noun: str = ""
    plural: bool = False
    strong: bool = True

    @property
    def complete(self) -> bool:
        return self.vertical is not None and self.horizontal is not None


def _read_places(tokens: _Tokens, taken: set[int]) -> list[_Place]:
    atoms: list[_Atom] = []
    index = 0
    while index < len(tokens):
        if index in taken or tokens.word(index) not in _DIRECTIONS:
            index += 1
            continue
        atom = _with_noun(tokens, _read_atom(tokens, index))
        index = atom.core
        atoms.append(atom)
    judged = [_judge(tokens, atom) for atom in _drop_orientations(tokens, atoms)]
    places = [*_all_corners(tokens)]
    groups = _join(tokens, [atom for atom in judged if atom is not None])
    return places + [place for place in _share(tokens, groups) if place is not None]


def _read_atom(tokens: _Tokens, start: int) -> _Atom:
    """As many direction words as stand together, hyphens and "-hand" between, and fit one place."""
    sides: dict[str, int] = {}
    index = core = start
    while core - start < 12:
        steps = _DIRECTIONS.get(tokens.word(index))
        if steps is None or any(sides.get(axis, side) != side for axis, side in steps):
            break
        sides |= dict(steps)
        core = index + 1
        if "h" in dict(steps) and tokens.after(core) == "hand":
            core += 1 + (tokens.word(core) == "-")
        index = core + (tokens.word(core) == "-")
    return _Atom(sides.get("v"), sides.get("h"), "".join(sides), start, core, core)


def _with_noun(tokens: _Tokens, atom: _Atom) -> _Atom:
    """Find the region noun that the direction words modify, at most three words on ("left outer edge")."""
    index = atom.core + (tokens.word(atom.core) == "-")
    for ahead in range(index, index + 3):
        word = tokens.word(ahead)
        if word in _STOPS or word in _DIRECTIONS:
            break
        if _is(word, _REGIONS):
            plural = word not in _REGIONS
            noun = word if not plural else word.removesuffix("s") if word[:-1] in _REGIONS else word[:-2]
            return replace(atom, end=ahead + 1, noun=noun, plural=plural)
    return atom


def _drop_orientations(tokens: _Tokens, atoms: list[_Atom]) -> list[_Atom]:
    """Leave out "from left to right", "top-to-bottom" and "left-right symmetry": they name an orientation."""
    dropped: set[int] = set()
    for index, (first, second) in enumerate(zip(atoms, atoms[1:], strict=False)):
        bare = len(first.axes) == len(second.axes) == 1 and not first.noun and not second.noun
        if not bare or first.axes != second.axes or second.start - first.core > 3:
            continue
        between = "".join(tokens.word(at) for at in range(first.core, second.start)).replace("-", "")
        travel = between == "to" and tokens.before(first.start) not in _ARTICLES
        if travel or (between in ("", "/") and tokens.after(second.core).startswith(("symmetr", "asymmetr", "orient"))):
            dropped |= {index, index + 1}
    return [atom for index, atom in enumerate(atoms) if index not in dropped]


Thing = Literal["direction", "picture", "whole", "never", "other"]

_PICTURES = _words("image picture photo photograph frame view screen")


def _thing(tokens: _Tokens, index: int) -> Thing:
    """What an "of" before `index` belongs to: another place, the picture, the product, a defect or cavity, or a part."""
    for ahead in range(index, index + 5):
        word = tokens.word(ahead)
        if word in _DIRECTIONS:
            return "direction"
        if word in _PICTURES:
            return "picture"
        if word in _WHOLES:
            return "whole"
        if _is(word, _DEFECTS) or _is(word, _CAVITIES) or word in _ABSTRACT_CENTERS:
            return "never"
        if word in _STOPS and word not in _ARTICLES:
            break
    return "other"


def _judge(tokens: _Tokens, atom: _Atom) -> _Atom | None:
    """The atom when it names a place, weak when only a part's name tells it, None when it is no place."""
    following = tokens.after(atom.core)
    if _is(following, _words("handed hander thread threaded threading angled")):
        return None
    thing = _thing(tokens, atom.end + 1) if tokens.word(atom.end) == "of" else None
    if thing == "never":
        return None
    to_the = tokens.word(atom.start - 1) == "the" and tokens.word(atom.start - 2) == "to"
    if len(atom.axes) > 1:
        return None if to_the and not atom.noun and thing in ("whole", "other") else atom
    if atom.axes == "c":
        return _judge_center(tokens, atom, thing)
    if atom.axes == "h":
        return _judge_side(tokens, atom, thing, to_the)
    return _judge_height(tokens, atom, thing)


def _weak(tokens: _Tokens, atom: _Atom) -> _Atom:
    return replace(atom, end=atom.core + 1 + (tokens.word(atom.core) == "-"), strong=False)


def _judge_center(tokens: _Tokens, atom: _Atom, thing: Thing | None) -> _Atom | None:
    word, before, following = tokens.word(atom.start), tokens.before(atom.start), tokens.after(atom.core)
    if before in ("off", "non", "self") or (word == "central" and following == "to"):
        return None
    if atom.noun:
        return _raised(tokens, atom)
    if following == "surface" and word != "mid":
        return replace(atom, end=atom.core + 1)
    if word == "mid" or not _ends_noun_phrase(following):
        return None
    if following in _ARTICLES and before not in _ARTICLES and before not in _PREPOSITIONS:
        return None
    return replace(_raised(tokens, atom), strong=thing != "other")


def _ends_noun_phrase(following: str) -> bool:
    return following in _STOPS or following in _DIRECTIONS or following.endswith("ly")


def _raised(tokens: _Tokens, center: _Atom) -> _Atom:
    """The center, or what "above the center" and "below the image center" name; "just above" stays in the center."""
    index = center.start - 1
    while tokens.word(index) in _ARTICLES | _PICTURES and center.start - index < 4:
        index -= 1
    side = {"above": -1, "below": 1}.get(tokens.word(index))
    if side is None:
        return center
    return replace(center, vertical=None if _hedged(tokens, index) else side, start=index)


def _judge_side(tokens: _Tokens, atom: _Atom, thing: Thing | None, to_the: bool) -> _Atom | None:
    word, before, following = tokens.word(atom.start), tokens.before(atom.start), tokens.after(atom.core)
    if atom.noun:
        return None if following == "side" and tokens.after(atom.core + 1) in ("up", "out") else atom
    if thing is not None:
        outside = thing == "other" or (thing == "whole" and to_the)
        return None if outside else atom
    opens = before in _PUNCTUATION
    settled = (
        before in _ARTICLES | _INTENSIFIERS | _PLACERS | _WHOLES | _CONJUNCTIONS
        or before in _words("on at to toward towards from in near along by both")
        or _is(before, _REGIONS)
        or before in _DIRECTIONS
        or opens
    )
    if not settled or (opens and following in _LEFT_BEHIND):
        return None
    if following == "over" and tokens.word(atom.start - 2) not in _PREPOSITIONS:
        return None
    exactly = following in _PREPOSITIONS and following != "of" and word == "right"
    if exactly and before not in _ARTICLES and before not in _words("far extreme on to toward towards from at"):
        return None
    if _ends_noun_phrase(following):
        return atom
    return None if _is(following, _ABSTRACT) else _weak(tokens, atom)


def _judge_height(tokens: _Tokens, atom: _Atom, thing: Thing | None) -> _Atom | None:
    word, before, following = tokens.word(atom.start), tokens.before(atom.start), tokens.after(atom.core)
    if _is(following, _FACES) or _is(following, _ABSTRACT) or following.isdigit():
        return None
    if atom.noun:
        return atom
    if before == "on" and thing is not None and thing != "picture":
        return None
    if _ends_noun_phrase(following):
        comparative = word in ("upper", "lower") and (
            following == "than" or following in _ARTICLES or not _settles_adjective(before)
        )
        return None if comparative else atom
    return _weak(tokens, atom)


def _settles_adjective(before: str) -> bool:
    return before in _PUNCTUATION | _ARTICLES | _PREPOSITIONS | _CONJUNCTIONS | _INTENSIFIERS | _PLACERS


def _all_corners(tokens: _Tokens) -> Iterator[_Place]:
    for index in range(len(tokens)):
        if _is(tokens.word(index), frozenset({"corner"})) and tokens.word(index - 1) in _words("all four every each"):
            yield _Place(tuple(product((-1, 1), repeat=2)), frozenset(), index - 1, index + 1, True)
        elif tokens.word(index) == "corners" and tokens.word(index - 2) == "all":
            yield _Place(tuple(product((-1, 1), repeat=2)), frozenset(), index - 2, index + 1, True)


def _join(tokens: _Tokens, atoms: list[_Atom]) -> list[_Atom]:
    """Join neighbors that describe one place from two sides; the result spans both."""
    joined: list[_Atom] = []
    for index, atom in enumerate(atoms):
        merged = None
        if joined:
            comma_before = len(joined) > 1 and joined[-2].end == joined[-1].start - 1
            listed = comma_before or (
                index + 1 < len(atoms)
                and atoms[index + 1].start - atom.end <= 3
                and tokens.word(atom.end) in _LISTING
            )
            merged = _joined(tokens, joined[-1], atom, listed)
        if merged is None:
            joined.append(atom)
        else:
            joined[-1] = merged
    return joined


def _joined(tokens: _Tokens, first: _Atom, second: _Atom, listed: bool) -> _Atom | None:
    """Both as one place, or None when they are two: axes that clash, words between that do not connect, a list."""
    clash = (first.vertical, second.vertical), (first.horizontal, second.horizontal)
    if any(None not in pair and pair[0] != pair[1] for pair in clash) or not _connects(tokens, first, second):
        return None
    between = _gap(tokens, first.end, second.start)
    if "," in between:
        again = any(None not in pair for pair in clash)
        if again or listed or len(first.axes) > 1 or len(second.axes) > 1:
            return None
    if "c" in first.axes and _hedged(tokens, second.start):
        return replace(first, end=second.end)
    if "c" in second.axes and "of" in between and _hedged(tokens, first.start):
        return replace(second, start=first.start)
    corner = first if first.noun == "corner" else second
    return _Atom(
        first.vertical if first.vertical is not None else second.vertical,
        first.horizontal if first.horizontal is not None else second.horizontal,
        first.axes + second.axes,
        first.start,
        second.core,
        second.end,
        corner.noun,
        corner.plural,
        first.strong or second.strong,
    )


def _connects(tokens: _Tokens, first: _Atom, second: _Atom) -> bool:
    """Whether only connecting words lie between: "near the top *edge on the* right", "top *of the gear near the* left"."""
    if second.start - first.end > 8:
        return False
    opening = first.start - 1
    while tokens.word(opening) in _ARTICLES | _INTENSIFIERS and first.start - opening < 4:
        opening -= 1
    ranged = tokens.word(opening) in ("from", "between")
    commas = owner = 0
    for index in range(first.end, second.start):
        word = tokens.word(index)
        if word == ",":
            commas += 1
        elif word == "of":
            owner = 3
        elif word in ("to", "toward", "towards") and ranged:
            return False
        elif word == "to":
            if tokens.word(index + 1) not in _ARTICLES:
                return False
        elif word not in _CONNECTORS and word not in _WHOLES and not _is(word, _REGIONS):
            if word in _STOPS or not owner:
                return False
            owner -= 1
    return commas < 2


def _hedged(tokens: _Tokens, start: int) -> bool:
    """Whether "slightly", "just", "a bit" or the like stands before, "to the" between."""
    for index in range(start - 1, start - 5, -1):
        if tokens.word(index) in _HEDGES:
            return True
        if tokens.word(index) not in ("to", "the", "-"):
            break
    return False


def _share(tokens: _Tokens, atoms: list[_Atom]) -> Iterator[_Place]:
    """Atoms as places, after "upper and lower left" and "top left and right" have shared their common word."""
    shared = list(atoms)
    for index in range(len(shared) - 1):
        first, second = shared[index], shared[index + 1]
        if not (first.end < second.start <= first.end + 2 and _gap(tokens, first.end, second.start) <= _LISTING):
            continue
        axis = second.axes[0]
        opposite = (
            first.vertical != second.vertical if axis == "v" else axis == "h" and first.horizontal != second.horizontal
        )
        if first.noun or not opposite:
            continue
        if first.axes == axis and second.complete:
            adjective = tokens.word(first.start) in ("upper", "lower") or second.plural or axis == "h"
            if adjective:
                shared[index] = _completed(first, second)
        elif len(first.axes) == 2 and first.axes[1] == axis and second.axes == axis and (second.plural or not second.noun):
            shared[index + 1] = _completed(second, first)
    for atom in shared:
        spots = _spots(atom)
        if spots:
            yield _Place(spots, frozenset(), atom.start, atom.end, atom.strong)


def _completed(atom: _Atom, other: _Atom) -> _Atom:
    """The atom with the axis that it leaves open taken from the other."""
    if atom.vertical is None:
        return replace(atom, vertical=other.vertical)
    return replace(atom, horizontal=other.horizontal)


def _spots(atom: _Atom) -> tuple[_Spot, ...]:
    if atom.noun == "corner" and "c" not in atom.axes and not atom.complete:
        if not atom.plural:
            return ()
        if atom.vertical is None:
            return ((-1, atom.horizontal), (1, atom.horizontal))
        return ((atom.vertical, -1), (atom.vertical, 1))
    return ((atom.vertical, atom.horizontal),)


# --- what is not meant --------------------------------------------------------------------------------------------

_LISTING = _words(", and or nor /")
_COMPARISONS = _words("unlike than versus vs opposite outside contrast compared comparison relative symmetrical beyond")
_REACHES = _words("reach extend touch include affect cover involve lie sit appear occur show see find notice observe detect")
_PASSED = (
    _ARTICLES
    | _PREPOSITIONS
    | _PLACERS
    | _INTENSIFIERS
    | _REACHES
    | _BE
    | _words("- any anything anywhere even other same")
)


def _drop_unmeant(tokens: _Tokens, places: list[_Place]) -> list[_Place]:
    """Leave out places that are denied, compared with, or called sound, and their neighbors in the same list."""
    denials: list[str] = []
    for index, place in enumerate(places):
        denial = _denial(tokens, place)
        if not denial and index and denials[-1]:
            between = _gap(tokens, places[index - 1].end, place.start)
            connected = between and between <= _LISTING | _ARTICLES | _words("at on in near along")
            # "not at the top, at the bottom" corrects itself; "nothing at the top, at the bottom" goes on.
            corrected = denials[-1] == "not" and "," in between and not between <= _LISTING | _ARTICLES
            denial = denials[-1] if connected and between & _LISTING and not corrected else ""
        denials.append(denial)
    sound = [False] * (len(places) + 1)
    for index in range(len(places) - 1, -1, -1):
        place = places[index]
        linked = False
        if sound[index + 1]:
            between = _gap(tokens, place.end, places[index + 1].start)
            linked = bool(between) and between <= _LISTING | _ARTICLES
        sound[index] = linked or _called_sound(tokens, place)
    return [place for index, place in enumerate(places) if not denials[index] and not sound[index]]


def _denial(tokens: _Tokens, place: _Place) -> str:
    """The word that denies the place, or "".

    "not" must stand at the place itself ("not at the top"), for "not smooth at the top" says the opposite; "no" denies a
    place through a defect ("no scratch at the top"), for "no label at the top" says that one is missing there.
    """
    direct, defect, any_defect = True, False, False
    for index in range(place.start - 1, place.start - 15, -1):
        word, following = tokens.word(index), tokens.word(index + 1)
        if word in _CLAUSE_ENDS or (word in _TURNS and not (word == "instead" and following == "of")):
            return ""
        if word in (",", "and") and (following in _STOPS or following in _TURNS) and index + 1 < place.start:
            return ""
        if word in ("nothing", "none", "nowhere"):
            return "no"
        if word in ("no", "without", "free", "devoid"):
            if following in ("longer", "doubt", "question"):
                return ""
            beside = index + 1 == place.start or defect
            return "no" if beside or any(_is(tokens.word(place.end + ahead), _DEFECTS) for ahead in range(3)) else ""
        if word in ("not", "never"):
            return "not" if direct and (any_defect or not defect) and following not in _NOT_ONLY else ""
        if word in ("neither", "nor", "instead") or word in _COMPARISONS:
            return "not" if direct and not defect else ""
        if word in ("away", "far", "distant") and following == "from" and direct:
            return "not" if tokens.word(index - 1) != "not" else ""
        defect = defect or _is(word, _DEFECTS)
        any_defect = any_defect or word in ("any", "anything")
        direct = direct and (word in _PASSED or _is(word, _DEFECTS))
    return ""


_NOT_ONLY = _words("only just merely limited confined restricted")


def _called_sound(tokens: _Tokens, place: _Place) -> bool:
    """Whether the clause goes on to call the place sound ("is clean", "shows no damage") and has no defect as its subject."""
    for index in range(place.start - 1, place.start - 13, -1):
        word = tokens.word(index)
        if word in _CLAUSE_ENDS or word == "," or word in _TURNS:
            break
        if _is(word, _DEFECTS):
            return False
    for index in range(place.end, place.end + 9):
        word = tokens.word(index)
        if word in _PUNCTUATION or word in _TURNS or word in _CONJUNCTIONS:
            return False
        if word in _BE:
            return _sound_predicate(tokens, index + 1)
        if tokens.word(index + 1) in ("no", "without") and word in _VERBS:
            return any(_is(tokens.word(ahead), _DEFECTS) for ahead in range(index + 2, index + 6))
    return False


def _sound_predicate(tokens: _Tokens, index: int) -> bool:
    while tokens.word(index).endswith("ly") or tokens.word(index) in ("also", "quite", "very", "well", "all", "both", "still"):
        index += 1
    word, end = tokens.word(index), index + 1
    if word == "-" or tokens.word(index + 1) == "-":
        word, end = tokens.word(index + 2), index + 3
        if word != "free":
            return False
    if word in ("free", "without"):
        if end == index + 1 and not any(_is(tokens.word(ahead), _DEFECTS) for ahead in range(end, end + 4)):
            return False
    elif word not in _SOUND or (tokens.word(end) not in _STOPS):
        return False
    return not any(tokens.word(ahead) in ("except", "apart", "but", "besides", "until") for ahead in range(end, end + 8))
