"""What a reviewer is given: a case with its draft as a task; checked here, since the server accepts anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from expertad import taxonomy
from expertad.build import SECOND_OPINION
from expertad.checks import Finding
from expertad.errors import ReviewError
from expertad.review import revision, shown
from expertad.sample import Case, Draft, ImageFile
from expertad.verdict import Verdict

MODEL_VERSION = "expertad"
"""Name of the predictions that hold the boxes; a project shows those of one name only."""

Key = tuple[str, str, int]
"""Sample, revision, and how often its adjudication was tried in vain: a task of that key is there once."""

Url = Callable[[ImageFile], str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft that somebody should look at.

    Args:
        case: its sample.
        draft: what the teacher wrote.
        findings: of the checks.
        said: verdicts that were given and do not settle it; for an adjudicator.
        trouble: why those do not settle it.
        attempt: how many adjudications it has had that settled nothing.
    """

    case: Case
    draft: Draft
    findings: tuple[Finding, ...] = ()
    said: tuple[Verdict, ...] = ()
    trouble: str = ""
    attempt: int = 0

    @property
    def key(self) -> Key:
        """What it is known by on the server."""
        return self.case.sample.sample_id, revision(self.case, self.draft), self.attempt

    @property
    def rank(self) -> tuple[int, int]:
        """Disagreements first, then what the checks object to, most of it first."""
        disputed = bool(self.said) or any(finding.name == SECOND_OPINION for finding in self.findings)
        return (0 if disputed else 1, -len(self.findings))


def task(candidate: Candidate, url: Url) -> dict[str, Any]:
    """A task: the data that the screen shows, and the defect's boxes as a prediction.

    Args:
        candidate: who is judged.
        url: address of a photograph, as the reviewer's browser asks for it.

    Raises:
        ReviewError: a box lies outside its photograph.
    """
    case = candidate.case
    row = shown(case, candidate.draft)
    coarse = row["coarse_type"]
    data = {
        "sample_id": row["sample_id"],
        "revision": candidate.key[1],
        "reference_image": url(case.reference),
        "query_image": url(case.query),
        "coarse_type": coarse or "",
        "location": row["location"] or "",
        "question": row["question"],
        "answer": row["answer"],
        "description": row["description"],
        "think": row["think"],
        "fine_type": row["fine_type"] or "",
        "fine_types": [{"value": term} for term in (taxonomy.FINE_TERMS[coarse] if coarse else ())],
        "hints": "\n".join(hints(candidate)),
        "attempt": candidate.attempt,
    }
    data["seal"] = seal(data)
    boxes = [_box(case.query, box) for box in row["boxes"]]
    prediction = {"model_version": MODEL_VERSION, "result": boxes}
    return {"data": data, "predictions": [prediction] if boxes else []}


def as_shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of a task's data, what `review.shown` says too, in its form; for comparing with what was pushed."""
    return {
        "sample_id": data.get("sample_id"),
        "coarse_type": data.get("coarse_type") or None,
        "location": data.get("location") or None,
        "question": data.get("question"),
        "answer": data.get("answer"),
        "description": data.get("description"),
        "think": data.get("think"),
        "fine_type": data.get("fine_type") or None,
    }


def seal(data: Mapping[str, Any]) -> str:
    """Digest of a task's data, by which a pull sees whether anybody changed it on the server: 32 hexadecimal digits."""
    content = {name: value for name, value in data.items() if name != "seal"}
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def hints(candidate: Candidate) -> list[str]:
    """What a reviewer should know before judging: the checks' findings, and what others said."""
    lines = [f"{finding.name}: {finding.reason}" for finding in candidate.findings]
    if candidate.trouble:
        lines.append(candidate.trouble)
    lines += [f"Reviewer {number}: {told(verdict)}" for number, verdict in enumerate(candidate.said, start=1)]
    return lines or ["The checks found nothing."]


def told(verdict: Verdict) -> str:
    """A verdict in words, without its author."""
    parts: list[str] = [verdict.decision]
    if verdict.reasons:
        parts.append(f"because of {', '.join(reason.replace('_', ' ') for reason in verdict.reasons)}")
    if verdict.location is not None:
        parts.append(f"location {verdict.location}")
    if verdict.fine_type is not None:
        parts.append(f"type {verdict.fine_type}")
    if verdict.think is not None:
        parts.append(f"reasoning: {verdict.think}")
    if verdict.note:
        parts.append(f"note: {verdict.note}")
    return "; ".join(parts)


def _box(query: ImageFile, box: Sequence[int]) -> dict[str, Any]:
    """A box in percent of its photograph, as a prediction of the screen's `box`."""
    x, y, width, height = box
    if x < 0 or y < 0 or width <= 0 or height <= 0 or x + width > query.width or y + height > query.height:
        raise ReviewError(f"{query.relative}: the box {list(box)} lies outside its {query.width} x {query.height}")
    return {
        "from_name": "box",
        "to_name": "query",
        "type": "rectanglelabels",
        "original_width": query.width,
        "original_height": query.height,
        "image_rotation": 0,
        "readonly": True,
        "value": {
            "x": 100 * x / query.width,
            "y": 100 * y / query.height,
            "width": 100 * width / query.width,
            "height": 100 * height / query.height,
            "rotation": 0,
            "rectanglelabels": ["defect"],
        },
    }
