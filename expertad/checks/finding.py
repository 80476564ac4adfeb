"""What a check hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["reject", "person"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong with a draft.

    Args:
        name: the check, a key of `expertad.checks.CHECKS`.
        severity: "reject" when the text would teach something false, privileged or broken and nobody needs to look
        to know
            it; "person" when it may be right and someone has to decide.
        reason: the offending words in quotation marks and why they offend.
    """

    name: str
    severity: Severity
    reason: str


def quote(text: str, limit: int = 90) -> str:
    """The words in quotation marks on one line, cut in the middle when longer than `limit` characters."""
    flat = " ".join(text.split())
    if len(flat) > limit:
        flat = f"{flat[: limit * 2 // 3].rstrip()} … {flat[-limit // 4 :].lstrip()}"
    return f'"{flat}"'
