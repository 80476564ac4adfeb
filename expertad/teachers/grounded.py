"""The embedded teacher: it measures the photographs and writes down what it measured; no model, no network.

It serves the demonstration, where it stands in for a vision-language model, and experiments, as the control that knows
the labels and what can be computed from the pixels, and nothing else. Both stages are pure functions of the files'
bytes, the case's truth and MODEL; wordings are chosen by a hash of sample id and image, so texts differ between samples
and never between runs.
"""

from __future__ import annotations

from typing import Any

from expertad.errors import MaskError
from expertad.sample import Case
from expertad.teachers.grounding.facts import Facts
from expertad.teachers.grounding.finetypes import Rule, fine_rule
from expertad.teachers.grounding.measure import measure
from expertad.teachers.grounding.prose import description as write_description
from expertad.teachers.grounding.prose import reasoning
from expertad.teachers.grounding.words import Voice

BACKEND = "grounded"
# The version of measurements, type rules and wordings; part of every call's key, so a new one writes all texts anew.
MODEL = "grounded-1"


def describe(case: Case) -> dict[str, Any]:
    """Step 2: `{"description": str, "defect": bool, "location": str | None}`, query beside reference.

    Raises:
        ImageError: a photograph cannot be decoded.
        MaskError: the mask of an anomalous case cannot be used, or it has none.
    """
    facts = measure(case)
    text = write_description(case, facts, _rule(case, facts), _voice(case, "describe"))
    return {"description": text, "defect": case.sample.anomalous, "location": _location(case)}


def distill(case: Case, description: str) -> dict[str, Any]:
    """Step 3: `{"think": str, "fine_type": str | None, "answer": "Yes" | "No", "location": str | None}`.

    The description is not read: the reasoning comes from the same measurements, so the two cannot disagree.

    Raises:
        ImageError: a photograph cannot be decoded.
        MaskError: the mask of an anomalous case cannot be used, or it has none.
    """
    facts = measure(case)
    rule = _rule(case, facts)
    return {
        "think": reasoning(case, facts, rule, _voice(case, f"distill{case.shot}")),
        "fine_type": rule.term if rule else None,
        "answer": "Yes" if case.sample.anomalous else "No",
        "location": _location(case),
    }


def _rule(case: Case, facts: Facts) -> Rule | None:
    if not case.sample.anomalous:
        return None
    if facts.defect is None or case.sample.coarse_type is None:
        raise MaskError(f"{case.sample.sample_id}: an anomalous sample without mask or type cannot be described")
    return fine_rule(case.sample.coarse_type, facts.defect)


def _location(case: Case) -> str | None:
    return case.region.location if case.region and case.sample.anomalous else None


def _voice(case: Case, stage: str) -> Voice:
    return Voice(MODEL, stage, case.sample.sample_id, case.query.sha256)
