"""Equation 5's steps: how close a predicted type is to the true one.

R_type = 1.0 exact, 0.85 semantic, 0.6 category, 0.4 fuzzy, 0.3 group, else 0; the highest step that applies.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache

from expertad.taxonomy import COARSE_TYPES, FINE_TERMS, GROUP_NAMES, GROUP_OF, coarse_type, normalize

STEPS: dict[str, float] = {"exact": 1.0, "semantic": 0.85, "category": 0.6, "fuzzy": 0.4, "group": 0.3, "none": 0.0}
FUZZY_RATIO = 0.7


def _words(text: str) -> str:
    """Normalized words between single spaces, one space at each end, so that `in` respects word borders."""
    return f" {normalize(text).replace('-', ' ')} "


_TERM_WORDS = tuple((_words(term), coarse) for coarse in COARSE_TYPES for term in (coarse, *FINE_TERMS[coarse]))


@lru_cache(maxsize=4096)
def filed_under(text: str) -> str | None:
    """The coarse type a text speaks of: by name or listed term, else by the listed terms it contains.

    Terms of two coarse types in one text leave it unknown: naming everything is not naming.
    """
    named = coarse_type(text)
    if named:
        return named
    words = _words(text)
    found = {coarse for term, coarse in _TERM_WORDS if term in words}
    return found.pop() if len(found) == 1 else None


def _group(text: str, coarse: str | None) -> str | None:
    return GROUP_NAMES.get(normalize(text)) or (GROUP_OF[coarse] if coarse else None)


@lru_cache(maxsize=16_384)
def type_step(predicted: str, true: str, true_coarse: str | None = None) -> str:
    """The name of the highest step in STEPS that applies.

    exact: equal after normalization. semantic: both are listed under the same coarse type (its name or its terms), or
    one contains the other on word borders. category: the same coarse type. fuzzy: SequenceMatcher ratio >= 0.7.
    group: the same of the two groups, surface or structural. An empty text matches nothing.

    Args:
        predicted: text of the completion's type.
        true: text of the true type.
        true_coarse: the true coarse type where the data say it; otherwise it is looked up from `true`.

    Examples: ("Stain", "stain") exact; ("dirt", "stain") semantic; ("deep scratch mark", "gouge", "Scratch") category;
    ("dentt", "dent", "Deformation") fuzzy; ("scratch", "stain") group; ("hole", "stain") none.
    """
    said, want = normalize(predicted), normalize(true)
    if not said or not want:
        return "none"
    if said == want:
        return "exact"
    true_coarse = true_coarse or filed_under(true)
    listed, wanted = coarse_type(said), coarse_type(want)
    if listed is not None and listed == wanted:
        return "semantic"
    said_words, want_words = _words(said), _words(want)
    if said_words in want_words or want_words in said_words:
        return "semantic"
    coarse = filed_under(said)
    if coarse is not None and coarse == true_coarse:
        return "category"
    matcher = SequenceMatcher(None, said, want)
    # The two bounds are cheap and never below the ratio.
    if (
        matcher.real_quick_ratio() >= FUZZY_RATIO
        and matcher.quick_ratio() >= FUZZY_RATIO
        and matcher.ratio() >= FUZZY_RATIO
    ):
        return "fuzzy"
    group = _group(said, coarse)
    return "group" if group is not None and group == _group(want, true_coarse) else "none"
