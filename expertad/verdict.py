"""What a person decided about one draft. Verdicts are appended, never changed; see `Verdict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decision = Literal["accept", "edit", "reject"]
Role = Literal["review", "adjudication", "calibration"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One person's decision on one revision of one draft.

    Args:
        sample_id: the sample the draft is about.
        revision: digest of everything the person was shown; the verdict holds for this revision alone.
        annotator: who decided, as the review tool names them; published only as a pseudonym.
        decision: "accept" as it is, "edit" with the fields below, or "reject" for `reasons`.
        reasons: why it was rejected; empty otherwise.
        location: the corrected cell name; None when the person left it alone.
        fine_type: the corrected fine-grained type; None likewise.
        think: the corrected reasoning; None likewise.
        note: free text for the builder; never published.
        at: ISO 8601 time in UTC at which the review tool recorded the decision.
        lead_time: seconds the person spent, where the tool measured it.
        origin: where the verdict came from, such as a review server's project or a file.
        role: "review", the ordinary; "adjudication", final for its revision when reviewers disagree; "calibration", an
            answer to a task whose verdict is known, which never counts for publishing.
    """

    sample_id: str
    revision: str
    annotator: str
    decision: Decision
    reasons: tuple[str, ...] = ()
    location: str | None = None
    fine_type: str | None = None
    think: str | None = None
    note: str = ""
    at: str = ""
    lead_time: float | None = None
    origin: str = ""
    role: Role = "review"
