"""Real-IAD's class codes, IAD-R1's eight coarse types in two groups, and the fine-grained terms under each.

The terms are the ones the released reward code lists (IAD-R1, equation 5: semantic, category and group matches are
defined over them). A teacher may justify a new term; what it is filed under is then its sample's coarse type.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Group = Literal["Surface", "Structural"]

CODE_TO_COARSE: dict[str, str] = {
    "AK": "Hole",
    "BX": "Deformation",
    "CH": "Abrasion",
    "HS": "Scratch",
    "PS": "Damage",
    "QS": "Missing parts",
    "YW": "Presence of foreign objects",
    "ZW": "Contamination",
}

FINE_TERMS: dict[str, tuple[str, ...]] = {
    "Contamination": ("surface contamination", "stain", "dirt", "impurity", "color anomaly"),
    "Presence of foreign objects": (
        "foreign object",
        "foreign body",
        "debris",
        "contaminant object",
        "extraneous material",
        "foreign element",
        "foreign matter",
        "unwanted object",
    ),
    "Scratch": ("surface scratch", "scratch mark", "linear scratch", "score mark", "linear anomaly"),
    "Missing parts": ("missing part", "surface notch", "notch", "gap", "chip", "surface discontinuity"),
    "Deformation": (
        "shape distortion",
        "warping",
        "bending",
        "twisting",
        "shape deviation",
        "geometric distortion",
        "irregularity",
        "bent component",
    ),
    "Hole": (
        "opening",
        "perforation",
        "puncture",
        "cavity",
        "void",
        "aperture",
        "penetration defect",
        "through-hole",
    ),
    "Damage": (
        "structural damage",
        "breakage",
        "fracture",
        "rupture",
        "deterioration",
        "material damage",
        "surface damage",
    ),
    "Abrasion": ("wear", "grinding damage", "surface erosion", "wear mark", "surface wear"),
}

GROUP_OF: dict[str, Group] = {
    "Contamination": "Surface",
    "Presence of foreign objects": "Surface",
    "Scratch": "Surface",
    "Missing parts": "Surface",
    "Deformation": "Structural",
    "Hole": "Structural",
    "Damage": "Structural",
    "Abrasion": "Structural",
}

GROUP_NAMES: dict[str, Group] = {
    "surface anomaly": "Surface",
    "surface anomalies": "Surface",
    "structural anomaly": "Structural",
    "structural anomalies": "Structural",
}

COARSE_TYPES: tuple[str, ...] = tuple(FINE_TERMS)

_SPACE = re.compile(r"\s+")
_PUNCTUATION = re.compile(r"[^\w\s-]|_")


def normalize(text: str) -> str:
    """Lower-cased, white space squeezed, punctuation but hyphens dropped: how two type texts are compared."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE.sub(" ", _PUNCTUATION.sub(" ", text)).strip()


_COARSE_BY_NAME = {normalize(name): name for name in COARSE_TYPES}
_COARSE_BY_TERM = {normalize(term): coarse for coarse, terms in FINE_TERMS.items() for term in terms}


def coarse_type(text: str) -> str | None:
    """The coarse type that a text names, by its own name or by one of its listed terms; None when neither."""
    key = normalize(text)
    return _COARSE_BY_NAME.get(key) or _COARSE_BY_TERM.get(key)


def group(coarse: str) -> Group:
    """The group of a coarse type: surface or structural.

    Raises:
        KeyError: `coarse` is not one of COARSE_TYPES.
    """
    return GROUP_OF[coarse]


def is_known_term(text: str, coarse: str) -> bool:
    """True when the text is the coarse type itself or one of its listed fine-grained terms."""
    return coarse_type(text) == coarse
