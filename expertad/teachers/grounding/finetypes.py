"""Which fine-grained term the measurements support, under the coarse type that is the truth.

Each coarse type has an ordered list of rules; the first that holds gives the term, and the last always holds. `because`
says why the measurement speaks for the term. Terms that one photograph cannot show are never chosen: "twisting" (a
rotation needs two views of the axis) and "penetration defect" on an opaque bottom (depth is not measured).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from expertad.teachers.grounding.facts import Defect


@dataclass(frozen=True, slots=True)
class Rule:
    """One fine-grained term, the measurement that calls for it, and why it does."""

    term: str
    holds: Callable[[Defect], bool]
    because: str


def _otherwise(_: Defect) -> bool:
    return True


RULES: dict[str, tuple[Rule, ...]] = {
    "Contamination": (
        Rule("dirt", lambda d: d.pieces >= 4, "soil settles in many separate specks"),
        Rule("color anomaly", lambda d: d.tint >= 10 and d.tint > abs(d.step), "hue departs more than lightness"),
        Rule("impurity", lambda d: d.area < 0.0006 and not d.elongated, "one compact speck"),
        Rule("stain", lambda d: d.step <= -5 or (d.tint >= 6 and d.sharp is not True), "a darker or tinted film"),
        Rule("surface contamination", _otherwise, "a deposit without a narrower look"),
    ),
    "Presence of foreign objects": (
        Rule("debris", lambda d: d.pieces >= 4, "many loose pieces"),
        Rule("extraneous material", lambda d: d.pieces >= 2, "material in more than one place"),
        Rule("foreign matter", lambda d: d.aspect >= 4, "a thread-like piece is matter rather than an object"),
        Rule("unwanted object", lambda d: d.area >= 0.03, "large enough to be an object of its own"),
        Rule("contaminant object", lambda d: d.tint >= 14, "its colour belongs to nothing around it"),
        Rule("foreign body", lambda d: d.area < 0.002, "a small compact piece"),
        Rule("foreign object", lambda d: d.sharp is True or d.contrast >= 18, "a body with a border of its own"),
        Rule("foreign element", _otherwise, "a piece that blends in tone"),
    ),
    "Scratch": (
        Rule("score mark", lambda d: d.parallel, "lines side by side come from one scoring movement"),
        Rule("linear anomaly", lambda d: d.straight and d.contrast < 3, "a line with hardly any tone of its own"),
        Rule("surface scratch", lambda d: d.elongated and d.contrast < 9, "a shallow line catches little light"),
        Rule("linear scratch", lambda d: d.straight, "a straight line with clear contrast"),
        Rule("scratch mark", _otherwise, "a curved, broken or short trace"),
    ),
    "Missing parts": (
        Rule("missing part", lambda d: d.area >= 0.015, "an absent area this large is a piece, not a nick"),
        Rule("gap", lambda d: d.aspect >= 3.5 and d.at_silhouette is not True, "a long narrow absence within the part"),
        Rule("chip", lambda d: d.at_silhouette is True and d.area < 0.003, "a small bite out of the part's rim"),
        Rule("notch", lambda d: d.at_silhouette is True, "a larger bite out of the part's rim"),
        Rule("surface notch", lambda d: d.step <= -6, "a recess within the surface lies in shade"),
        Rule("surface discontinuity", _otherwise, "the surface stops without a recess showing"),
    ),
    "Deformation": (
        Rule("warping", lambda d: d.area >= 0.05, "shape departs over a wide area"),
        Rule("bending", lambda d: d.elongated and d.bow >= 0.04, "a long piece with a curved middle line"),
        Rule("bent component", lambda d: d.straight and d.at_silhouette is True, "a long piece standing off the rim"),
        Rule("shape deviation", lambda d: d.at_silhouette is True, "the rim itself departs from its course"),
        Rule("irregularity", lambda d: d.area < 0.001, "a small local unevenness"),
        Rule("shape distortion", lambda d: d.mixed, "lit and shaded flanks side by side show relief"),
        Rule("geometric distortion", _otherwise, "form departs within the surface"),
    ),
    "Hole": (
        Rule("perforation", lambda d: d.pieces >= 3, "several openings"),
        Rule("through-hole", lambda d: d.shows_background and d.aspect < 2.5, "the background shows through"),
        Rule("penetration defect", lambda d: d.shows_background, "the background shows through a ragged opening"),
        Rule("opening", lambda d: d.aspect >= 4.5, "a long mouth, slit rather than pit"),
        Rule("puncture", lambda d: d.area < 0.0003 and d.aspect < 1.8, "a pin-sized compact spot"),
        Rule("aperture", lambda d: d.round and d.area >= 0.01, "a wide round mouth"),
        Rule("cavity", lambda d: d.step <= -8, "depth swallows light"),
        Rule("void", _otherwise, "material is absent without strong shade"),
    ),
    "Damage": (
        Rule("fracture", lambda d: d.aspect >= 4, "a long narrow break"),
        Rule("deterioration", lambda d: d.pieces >= 4, "breakdown in many places"),
        Rule("structural damage", lambda d: d.at_silhouette is True and d.area >= 0.01, "a wide break in the rim"),
        Rule("breakage", lambda d: d.at_silhouette is True, "a break in the rim"),
        Rule("rupture", lambda d: d.mixed and d.solidity < 0.8, "a torn shape with lit and shaded flanks"),
        Rule("material damage", lambda d: d.roughness is not None and d.roughness >= 1.5, "the texture is broken up"),
        Rule("surface damage", _otherwise, "harm that keeps to the surface"),
    ),
    "Abrasion": (
        Rule("grinding damage", lambda d: d.streaks is not None and not d.elongated, "directional streaks inside"),
        Rule("wear mark", lambda d: d.elongated or d.area < 0.0015, "one narrow or small rubbed trace"),
        Rule("surface erosion", lambda d: d.roughness is not None and d.roughness >= 1.35, "the finish is roughened"),
        Rule("wear", lambda d: d.pieces >= 2, "rubbing in several places"),
        Rule("surface wear", _otherwise, "one rubbed area with an even finish"),
    ),
}


def fine_rule(coarse: str, defect: Defect) -> Rule:
    """The first rule of the coarse type that the measurements satisfy.

    Raises:
        KeyError: `coarse` is not one of taxonomy.COARSE_TYPES.
    """
    return next(rule for rule in RULES[coarse] if rule.holds(defect))
