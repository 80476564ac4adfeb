"""Plain colour words for L*a*b* values: a hue is named only where there is enough chroma to see one."""

from __future__ import annotations

import math

from expertad.teachers.grounding.facts import Lab

# Below NEUTRAL a surface reads as grey; below VIVID as a tinted grey.
NEUTRAL = 7.0
VIVID = 18.0

# Hue angle in degrees up to which the pair holds: (adjective, noun). Borders lie between the sRGB primaries' hue angles
# (red 40, yellow 103, green 136, cyan 196, blue 306, magenta 328).
_HUES: tuple[tuple[float, str, str], ...] = (
    (20, "pinkish", "pink"),
    (52, "reddish", "red"),
    (80, "brownish", "brown"),
    (112, "yellowish", "yellow"),
    (165, "greenish", "green"),
    (225, "bluish green", "teal"),
    (300, "bluish", "blue"),
    (345, "purplish", "purple"),
    (360, "pinkish", "pink"),
)


def hue_word(a: float, b: float) -> str:
    """Adjective for a direction in the a*b* plane, such as "reddish"."""
    angle = math.degrees(math.atan2(b, a)) % 360
    return next(adjective for border, adjective, _ in _HUES if angle < border)


def color_name(lab: Lab) -> str:
    """Noun phrase for a colour, such as "dark grey", "brownish grey" or "light green"."""
    lightness, a, b = lab
    chroma = math.hypot(a, b)
    if chroma < NEUTRAL:
        for border, name in ((15, "black"), (38, "dark grey"), (66, "mid grey"), (88, "light grey")):
            if lightness < border:
                return name
        return "near white"
    if chroma < VIVID:
        depth = "dark " if lightness < 35 else "pale " if lightness >= 72 else ""
        return f"{depth}{hue_word(a, b)} grey"
    angle = math.degrees(math.atan2(b, a)) % 360
    noun = next(name for border, _, name in _HUES if angle < border)
    if noun == "brown" and lightness >= 60:
        noun = "orange" if chroma >= 45 else "tan"
    elif noun == "yellow" and lightness < 60:
        noun = "olive"
    elif noun == "yellow" and chroma < 35:
        noun = "pale yellow"
    depth = "dark " if lightness < 35 else "light " if lightness >= 75 and noun not in {"pale yellow", "tan"} else ""
    return depth + noun


def comparative(inside: Lab, around: Lab) -> str | None:
    """How a defect's colour departs from its surroundings: "more reddish", "greyer", "more saturated", or None.

    The defect's own hue is named where it has one that differs from the surroundings'; a faint defect is named by the
    direction of the shift; a loss of chroma is "greyer", since its direction would name a hue nobody sees.
    """
    shift = (inside[1] - around[1], inside[2] - around[2])
    if math.hypot(*shift) < 6:
        return None
    own, other = math.hypot(inside[1], inside[2]), math.hypot(around[1], around[2])
    if own < NEUTRAL + 3:
        return "greyer" if other - own >= 6 else None
    hue = hue_word(inside[1], inside[2])
    if other >= NEUTRAL + 3 and hue == hue_word(around[1], around[2]):
        if abs(own - other) < 6:
            return None
        return "more saturated" if own > other else "greyer"
    return f"more {hue}"
