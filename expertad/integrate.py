"""Step 5 of the paper: a case, its draft and the verdict on it become a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from expertad import pattern
from expertad.errors import PatternError, RecordError
from expertad.record import Record, published_provenance
from expertad.review import edited, tidy
from expertad.sample import Case, Draft
from expertad.verdict import Verdict


def integrate(
    case: Case,
    draft: Draft,
    verdict: Verdict | None,
    *,
    reviewed: Literal["human", "auto"],
    revision: str,
    provenance: Mapping[str, str],
) -> Record:
    """The record of a draft that passed its review, with the reviewer's corrections.

    A corrected location need not be among the mask's cells. Cells and boxes stay the mask's truth; the reviewer's cell
    is added to the cells when it is missing there, because `location` is always one of `cells`.

    Args:
        case: the sample, its images and its truth.
        draft: what the teacher wrote.
        verdict: the verdict that holds; None when `reviewed` is "auto".
        reviewed: who let it pass: a person, or the checks alone.
        revision: digest of what a reviewer is shown.
        provenance: what is known beside the draft's own provenance, annotators as pseudonyms; see
            `expertad.record.published_provenance` for what of it is published.

    Raises:
        RecordError: the verdict does not fit, or the result cannot be written in its pattern.
    """
    sample = case.sample
    _require_fit(case, draft, verdict, reviewed, revision)
    if verdict is not None and verdict.decision == "edit":
        try:
            case, draft = edited(case, draft, verdict)
        except ValueError as error:
            raise RecordError(f"{sample.sample_id}: the verdict's location: {error}") from error
    think = draft.think.strip()
    fine_type = tidy(draft.fine_type)
    location = case.region.location if case.region else None
    try:
        pattern.write(think, location, fine_type)
    except PatternError as error:
        raise RecordError(f"{sample.sample_id}: {error}") from error
    return _record(
        case,
        fine_type=fine_type,
        think=think,
        reviewed=reviewed,
        revision=revision,
        known={**dict(draft.provenance), **provenance},
    )


def held_out(case: Case, *, provenance: Mapping[str, str]) -> Record:
    """The record of a held-out sample: its truth, without reasoning or fine-grained type."""
    return _record(
        case,
        fine_type=None,
        think="",
        reviewed=None,
        revision=None,
        known=provenance,
    )


def _record(
    case: Case,
    *,
    fine_type: str | None,
    think: str,
    reviewed: Literal["human", "auto"] | None,
    revision: str | None,
    known: Mapping[str, str],
) -> Record:
    sample, region = case.sample, case.region
    shown = (case.reference, case.query) if case.shot else (case.query,)
    reference = {"reference": case.reference_id, "reference_sha256": case.reference.sha256}
    return Record(
        id=sample.sample_id,
        images=tuple(image.relative for image in shown),
        image_sha256=tuple(image.sha256 for image in shown),
        category=sample.category,
        part=sample.part_id,
        view=sample.view,
        anomalous=sample.anomalous,
        coarse_type=sample.coarse_type,
        fine_type=fine_type,
        location=region.location if region else None,
        cells=region.cells if region else (),
        boxes=region.boxes if region else (),
        shot=case.shot,
        reviewed=reviewed,
        revision=revision,
        provenance=published_provenance({**known, **reference}),
        think=think,
    )


def _require_fit(case: Case, draft: Draft, verdict: Verdict | None, reviewed: str, revision: str) -> None:
    sample = case.sample
    edits = () if verdict is None else (verdict.location, verdict.fine_type, verdict.think)
    problem = None
    if draft.sample_id != sample.sample_id:
        problem = f"the draft is about {draft.sample_id}"
    elif sample.anomalous != (case.region is not None):
        problem = "an anomalous sample needs a region, and only that has one"
    elif (verdict is None) != (reviewed == "auto"):
        problem = f"reviewed is {reviewed!r} {'without' if verdict is None else 'with'} a verdict"
    elif verdict is None:
        return
    elif verdict.sample_id != sample.sample_id:
        problem = f"the verdict is about {verdict.sample_id}"
    elif verdict.revision != revision:
        problem = "the verdict holds for another revision of the draft"
    elif verdict.decision == "reject":
        problem = "a rejected draft cannot be published"
    elif verdict.decision == "accept" and any(edit is not None for edit in edits):
        problem = "an accepted draft carries corrections; the decision should be 'edit'"
    elif not sample.anomalous and (verdict.location is not None or verdict.fine_type is not None):
        problem = "a normal sample has neither location nor type to correct"
    if problem is not None:
        raise RecordError(f"{sample.sample_id}: {problem}")
