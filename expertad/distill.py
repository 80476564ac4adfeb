"""Stage 5 (step 3 of the paper): each description becomes a concise reasoning and a fine-grained type."""

from __future__ import annotations

from collections.abc import Sequence

from expertad.describe import gather
from expertad.sample import Case, Draft
from expertad.teachers.agreement import second_opinion
from expertad.teachers.asking import Asker, Described, Distilled


async def distill(described: Sequence[tuple[Case, Described]], asker: Asker) -> list[tuple[Case, Draft]]:
    """Drafts of described cases; those the teacher gave up on or contradicted are left out, their calls say why.

    Raises:
        AbortError: no further call can succeed, or the budget is spent; what was received before is kept.
    """
    answers = await gather(asker.distill(case, seen) for case, seen in described)
    return [
        (case, _draft(case, seen, answer, asker))
        for (case, seen), answer in zip(described, answers, strict=True)
        if isinstance(answer, Distilled)
    ]


def _draft(case: Case, seen: Described, written: Distilled, asker: Asker) -> Draft:
    provenance = {
        "backend": asker.backend.name,
        "describe_model": seen.model,
        "describe_prompt": seen.prompt_version,
        "distill_model": written.model,
        "distill_prompt": written.prompt_version,
    }
    return Draft(case.sample.sample_id, seen.description, written.think, written.fine_type, tuple(provenance.items()))


async def differences(drafts: Sequence[tuple[Case, Draft]], first: Asker, second: Asker) -> dict[str, str]:
    """In what a second teacher differs from the first, who wrote the drafts, by sample id.

    Raises:
        AbortError: no further call can succeed, or the budget is spent; what was received before is kept.
    """
    reasons = await gather(_difference(case, draft, first, second) for case, draft in drafts)
    return {draft.sample_id: why for (_, draft), why in zip(drafts, reasons, strict=True) if why}


async def _difference(case: Case, draft: Draft, first: Asker, second: Asker) -> str:
    written = first.distilled(case, draft.description)
    if written is None:
        raise AssertionError("the reply that a draft was made of is in the call log")
    return (await second_opinion(case, written, second)).reason
