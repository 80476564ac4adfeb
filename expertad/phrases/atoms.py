"""Direction words as atoms: which stand together, which noun they modify, and whether they name a place at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from expertad.phrases.tokens import Tokens
from expertad.phrases.vocabulary import (
    ABBREVIATIONS,
    ARTICLES,
    BE,
    CAVITIES,
    CLAUSE_ENDS,
    CONJUNCTIONS,
    DEFECTS,
    DIRECTIONS,
    FACES,
    HANDED,
    HEDGES,
    INTENSIFIERS,
    LEADS,
    NO_CENTERS,
    NOT_PARTS,
    PICTURES,
    PLACERS,
    PREPOSITIONS,
    PUNCTUATION,
    REGIONS,
    STOPS,
    WHOLES,
    Axis,
    is_one_of,
    words,
)


@dataclass(frozen=True, slots=True)
class Atom:
    """Direction words that stand together, with the noun they belong to.

    `vertical` is -1 up or 1 down, `horizontal` -1 left or 1 right, None where not named. `axes` is the order in which
    they are named ("vh" for "top left", "ch" for "center left"). Tokens: `start` to `core` are the direction words, and
    `end` is behind the noun. `noun` is its region noun in the singular, or "".
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
        """Whether both axes are named."""
        return self.vertical is not None and self.horizontal is not None


def read_atoms(tokens: Tokens, taken: set[int]) -> list[Atom]:
    """The atoms of a text that name a place, in its order; tokens in `taken` are already read."""
    atoms: list[Atom] = []
    end = 0
    for index in range(len(tokens)):
        atom = _read_atom(tokens, index) if index >= end and index not in taken else None
        if atom is not None:
            atoms.append(_with_noun(tokens, atom))
            end = atom.core
    judged = (_judge(tokens, atom) for atom in _drop_orientations(tokens, atoms))
    return [atom for atom in judged if atom is not None]


def hedged(tokens: Tokens, start: int) -> bool:
    """Whether "slightly", "just", "a bit" or the like stands before a token, "to the" between."""
    for index in range(start - 1, start - 5, -1):
        if tokens.word(index) in HEDGES:
            return True
        if tokens.word(index) not in ("to", "toward", "towards", "the", "-"):
            break
    return False


def _read_atom(tokens: Tokens, start: int) -> Atom | None:
    """As many direction words as stand together, with hyphens, "-hand" and "-most", and fit one place."""
    sides: dict[Axis, int] = {}
    index = core = start
    while core - start < 12:
        steps = _steps(tokens, index)
        if not steps or any(sides.get(axis, side) != side for axis, side in steps):
            break
        sides |= dict(steps)
        core = index + 1
        if tokens.after(core) in ("hand", "most"):
            core += 1 + (tokens.word(core) == "-")
        index = core + (tokens.word(core) == "-")
    return Atom(sides.get("v"), sides.get("h"), "".join(sides), start, core, core) if sides else None


def _steps(tokens: Tokens, index: int) -> tuple[tuple[Axis, int], ...]:
    word = tokens.word(index)
    if word in DIRECTIONS:
        return DIRECTIONS[word]
    if word in ABBREVIATIONS:
        spelled = tokens.raw(index, index + 1).isupper() and is_one_of(tokens.after(index + 1), REGIONS)
        if len(tokens) == 1 or spelled:
            return ABBREVIATIONS[word]
    return ()


def _with_noun(tokens: Tokens, atom: Atom) -> Atom:
    """Find the region noun that the direction words modify, at most three words on ("left outer edge")."""
    index = atom.core + (tokens.word(atom.core) == "-")
    for ahead in range(index, index + 3):
        word = tokens.word(ahead)
        if word in REGIONS:
            return replace(atom, end=ahead + 1, noun=word)
        if is_one_of(word, REGIONS):
            noun = word[:-1] if word[:-1] in REGIONS else word[:-2]
            return replace(atom, end=ahead + 1, noun=noun, plural=True)
        if word in STOPS or word in DIRECTIONS:
            break
    return atom


def _drop_orientations(tokens: Tokens, atoms: list[Atom]) -> list[Atom]:
    """Leave out "from left to right", "top-to-bottom" and "left-right symmetry": they name an orientation."""
    dropped: set[int] = set()
    for index, (first, second) in enumerate(zip(atoms, atoms[1:], strict=False)):
        bare = len(first.axes) == 1 and first.axes == second.axes and not first.noun and not second.noun
        if not bare or second.start - first.core > 3:
            continue
        between = tokens.between(first.core, second.start) - {"-"}
        travel = between == {"to"} and tokens.before(first.start) not in ARTICLES
        symmetry = tokens.after(second.core).startswith(("symmetr", "asymmetr", "orient"))
        hyphened = tokens.word(first.core) == "-" and first.core + 1 == second.start
        if travel or hyphened or (symmetry and between <= {"/"}):
            dropped |= {index, index + 1}
    return [atom for index, atom in enumerate(atoms) if index not in dropped]


Owner = Literal["direction", "picture", "whole", "never", "other"]


def _owner(tokens: Tokens, index: int) -> Owner:
    """What the words from `index` on name: another place, the picture, the product, a defect or cavity, or a part."""
    for ahead in range(index, index + 5):
        word = tokens.word(ahead)
        if word in DIRECTIONS:
            return "direction"
        if word in WHOLES:
            return "picture" if word in PICTURES else "whole"
        if is_one_of(word, DEFECTS) or is_one_of(word, CAVITIES) or word in NO_CENTERS:
            return "never"
        if word in STOPS and word not in ARTICLES:
            break
    return "other"


_TURNED = words(
    "bent bend bends bending tilted tilt tilts tilting leaning lean leans pointing point points rotated rotate rotates"
    " rotating facing face faces curved curve curves skewed slanted turned turn turns turning inclined oriented"
    " orientated deflected displaced shifted shift shifts moved pulled pushed twisted twist folded screwed drifts"
)


def _judge(tokens: Tokens, atom: Atom) -> Atom | None:
    """The atom when it names a place, weak when only a part's name tells it, None when it is no place."""
    if is_one_of(tokens.after(atom.core), HANDED):
        return None
    owned = atom.end + (tokens.word(atom.end) == "-")
    owner = _owner(tokens, owned + 1) if tokens.word(owned) == "of" else None
    if owner == "never":
        return None
    if len(atom.axes) > 1:
        beside = _to_the(tokens, atom) and not atom.noun and owner in ("whole", "other")
        return None if beside else atom
    if not atom.noun and _turned(tokens, atom.start):
        return None
    if atom.axes == "c":
        return _judge_center(tokens, atom, owner)
    if atom.axes == "h":
        return _judge_side(tokens, atom, owner)
    return _judge_height(tokens, atom, owner)


def _to_the(tokens: Tokens, atom: Atom) -> bool:
    return tokens.word(atom.start - 1) == "the" and tokens.word(atom.start - 2) == "to"


def _turned(tokens: Tokens, start: int) -> bool:
    """Whether it says which way something is bent: "bent to the right"."""
    index = start - 1 - (tokens.word(start - 1) in ARTICLES)
    if tokens.word(index) not in ("to", "toward", "towards"):
        return False
    back = tokens.word(index - 1)
    index -= 1 + (back in HEDGES or back in ("it", "them") or back.endswith("ly"))
    return tokens.word(index) in _TURNED


def _ends_noun_phrase(following: str) -> bool:
    return following in STOPS or following in DIRECTIONS or following.endswith("ly")


def _weak(tokens: Tokens, atom: Atom) -> Atom:
    """A part's name, the part included, so that "the left terminal at the top" still joins."""
    return replace(atom, end=atom.core + 1 + (tokens.word(atom.core) == "-"), strong=False)


def _judge_center(tokens: Tokens, atom: Atom, owner: Owner | None) -> Atom | None:
    word, before, following = tokens.word(atom.start), tokens.before(atom.start), tokens.after(atom.core)
    if before in ("off", "non", "self") or (word == "central" and following == "to"):
        return None
    if following == "surface" and word != "mid" and not atom.noun:
        return _raised(tokens, replace(atom, end=atom.core + 1))
    if not atom.noun:
        if word == "mid" or not _ends_noun_phrase(following):
            return None
        if following in ARTICLES and before not in LEADS:
            return None  # "center the part"
    return replace(_raised(tokens, atom), strong=bool(atom.noun) or owner != "other")


def _raised(tokens: Tokens, center: Atom) -> Atom:
    """The center, or what "above the center" and "below the image center" name; "just above" stays in the center."""
    index = center.start - 1
    while (tokens.word(index) in ARTICLES or tokens.word(index) in PICTURES) and center.start - index < 4:
        index -= 1
    side = {"above": -1, "below": 1}.get(tokens.word(index))
    if side is None:
        return center
    return replace(center, vertical=None if hedged(tokens, index) else side, start=index)


_SETTLING = ARTICLES | INTENSIFIERS | PLACERS | WHOLES | CONJUNCTIONS | PUNCTUATION
_SETTLING_A_SIDE = _SETTLING | words("on at to toward towards from in near along by both side")
_LEFT_BEHIND = words("by behind a an after alone out unattended with over untreated exposed open blank empty")
_PLACE_NOUNS = words("location position place side")
_OPENERS = words("let i so now we this it")


def _judge_side(tokens: Tokens, atom: Atom, owner: Owner | None) -> Atom | None:
    """Alone, "left" and "right" are verbs, adverbs and adjectives too, so something must show that a side is meant."""
    word, before, following = tokens.word(atom.start), tokens.before(atom.start), tokens.after(atom.core)
    if atom.noun:
        return None if following == "side" and tokens.after(atom.core + 1) in ("up", "out") else atom
    if owner is not None:
        if owner == "other" or (owner == "whole" and _to_the(tokens, atom)):
            beside = _to_the(tokens, atom) or before not in ARTICLES
            return None if beside else replace(atom, strong=False)
        return atom
    stated = before in BE and any(tokens.word(atom.start - back) in _PLACE_NOUNS for back in range(2, 7))
    settled = stated or before in _SETTLING_A_SIDE or before in DIRECTIONS or is_one_of(before, REGIONS)
    if not settled:
        return None
    if word == "left" and before in PUNCTUATION:
        placed = following not in PREPOSITIONS or _owner(tokens, atom.core + 1) != "other"
        if following in _LEFT_BEHIND or not placed:
            return None
    if following == "over" and tokens.word(atom.start - 2) not in PREPOSITIONS:
        return None
    if word == "right":
        exactly = following in PREPOSITIONS and before not in ARTICLES
        if exactly and before not in ("far", "extreme", "on", "to", "toward", "towards", "from", "at"):
            return None
        if before in CLAUSE_ENDS and following == "," and tokens.word(atom.core + 1) in _OPENERS:
            return None
    if _ends_noun_phrase(following):
        return atom
    return None if is_one_of(following, NOT_PARTS) else _weak(tokens, atom)


def _judge_height(tokens: Tokens, atom: Atom, owner: Owner | None) -> Atom | None:
    word, before, following = tokens.word(atom.start), tokens.before(atom.start), tokens.after(atom.core)
    if is_one_of(following, FACES) or is_one_of(following, NOT_PARTS) or following.isdigit():
        return None
    if atom.noun:
        return atom
    if before == "on" and owner is not None and owner != "picture":
        return None  # "on top of"
    if not _ends_noun_phrase(following):
        return _weak(tokens, atom)
    if word in ("upper", "lower"):
        settled = before in _SETTLING or before in PREPOSITIONS
        return atom if settled and following != "than" and following not in ARTICLES else None
    return atom
