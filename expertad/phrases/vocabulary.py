"""The words that the reader of places knows, each list once, all lower-case and in the singular."""

from __future__ import annotations

from itertools import product
from typing import Literal


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


def is_one_of(word: str, nouns: frozenset[str]) -> bool:
    """Whether a word, or its singular, is one of the nouns."""
    return word in nouns or (word.endswith("s") and (word[:-1] in nouns or word[:-2] in nouns))


Axis = Literal["v", "h", "c"]
"""Vertical, horizontal, or the center of whichever axis is not named."""

UP = words("top upper topmost uppermost north northern")
DOWN = words("bottom lower bottommost lowermost south southern")
LEFT = words("left lefthand leftmost west western")
RIGHT = words("right righthand rightmost east eastern")
CENTER = words("center centre central centrally middle mid")

DIRECTIONS: dict[str, tuple[tuple[Axis, int], ...]] = {
    **{word: (("v", -1),) for word in UP},
    **{word: (("v", 1),) for word in DOWN},
    **{word: (("h", -1),) for word in LEFT},
    **{word: (("h", 1),) for word in RIGHT},
    **{word: (("c", 0),) for word in CENTER},
}
DIRECTIONS |= {
    first + second: DIRECTIONS[first] + DIRECTIONS[second]
    for first, second in product(
        words("top upper bottom lower left right center centre middle mid north south"),
        words("top upper bottom lower left right center centre middle east west"),
    )
    if DIRECTIONS[first][0][0] != DIRECTIONS[second][0][0]
}
"""Each direction word, also two written as one ("topleft", "northeast"), and the sides it names: up and left are -1."""

ABBREVIATIONS: dict[str, tuple[tuple[Axis, int], ...]] = {
    vertical + horizontal: (("v", up), ("h", left))
    for vertical, up in (("t", -1), ("u", -1), ("b", 1), ("l", 1))
    for horizontal, left in (("l", -1), ("r", 1))
}
"""TL, UR, BL, ...: they mean other things too, so they count only alone or before a region noun."""

REGIONS = words(
    "corner edge side area region part portion section half third quarter quadrant zone end border margin boundary"
    " sector cell rim periphery perimeter segment extremity location position vicinity row column band point"
)
"""Nouns for a stretch of the picture: a direction before one of them names a place, whatever stands around."""

PICTURES = words("image picture photo photograph frame view screen")
WHOLES = PICTURES | words(
    "object component part product item sample specimen workpiece piece unit device body surface assembly"
)

FACES = words(
    "surface face view layer coat coating finish film cover lid cap plate sheet case shell"
    " notch quality level priority grade down up speed tier class choice rated line dollar out off it condition"
)
"""After "top" or "bottom" these name a side of the product, or no place at all ("top-notch", "bottom line")."""

NOT_PARTS = words(
    "angle angled angular triangle way place spot size shape material answer time tool amount choice conclusion order"
    " one thing kind color colour now away click wing brain wrong hand fit over contrast brightness density quality"
    " limit bound value level intensity reflectivity gloss resolution temperature pressure frequency number risk"
    " probability likelihood confidence grade rate cost priority case class standard tolerance threshold severity"
    " degree saturation luminance roughness hardness strength speed torque impression moment track decision result"
)
"""Nouns before which a direction word says something else: "right angle", "lower contrast"."""

HANDED = words("handed hander drive thread threaded threading angled")
"""After "left" or "right": the sense of a thread, of a tool, of a bend."""

DEFECTS = words(
    "defect flaw anomaly anomalie damage scratch dent crack stain contamination mark blemish issue problem sign"
    " evidence trace indication deformation abrasion wear debri debris irregularity irregularitie abnormality"
    " abnormalitie imperfection deviation chip break dirt discoloration discolouration burr corrosion rust fault error"
    " spot hole pit scuff smudge fracture impurity particle residue bump void lesion streak"
)
CAVITIES = words("groove cavity recess slot crater bore well pocket notch gap indentation opening")
NO_CENTERS = words(
    "attention gravity mass rotation curvature interest excellence pressure stage inspection process production night"
)

ARTICLES = words("the a an its their his her our your my these those")
PREPOSITIONS = words(
    "of at on in to toward towards near along by around within inside close from next into through across above below"
    " under beneath over behind between beside besides against via past underneath alongside onto up down with for"
    " about before after during until"
)
LEADS = ARTICLES | PREPOSITIONS
CONJUNCTIONS = words("and or nor plus")
PLACERS = words("located positioned situated placed lying found seen visible present appearing occurring")
INTENSIFIERS = words(
    "very far extreme exact exactly more further slightly just rather dead right directly mostly mainly"
)
SPECIFIERS = ARTICLES | INTENSIFIERS
HEDGES = words("slightly just bit little marginally barely somewhat touch fractionally")
BE = words(
    "is are was were be been being appears appear appeared looks look looked seems seem seemed remains remain remained"
    " stays stay"
)
VERBS = BE | words(
    "has have had shows show showed exhibits exhibit contains contain reveals reveal displays display presents suggests"
    " indicates suffers includes does do did can could may might must should will would extends extend runs starts"
    " begins reaches lies sits matches differs deviates bears carries"
)
PRONOUNS = words(
    "where which that who whose when if as than because since so then there here it they we i you he she this not no"
    " also too only both all each some any without while whereas although though but however except yet instead let"
)
PUNCTUATION = words(", . ; : ! ? /") | {""}
CLAUSE_ENDS = PUNCTUATION - words(", /")
STOPS = PUNCTUATION | ARTICLES | PREPOSITIONS | CONJUNCTIONS | VERBS | PRONOUNS | PLACERS
"""What cannot belong to the noun phrase that a direction word opens, so ends it."""

CONNECTORS = (
    words("of at on in near toward towards along by around within close above below -")
    | ARTICLES
    | INTENSIFIERS
    | HEDGES
)
"""What may stand between two halves of one place: "near the top edge *on the* right"."""

LISTING = words(", and or nor /")
TURNS = words("but however while whereas although though except instead only")
SOUND = words(
    "clean intact undamaged normal flawless uniform unaffected smooth regular fine unremarkable sound consistent"
    " straight unblemished pristine ok okay good unmarked even unbroken unscathed perfect symmetric symmetrical"
    " identical aligned parallel clear unchanged complete spotless"
)
