"""Which drafts people should look at: what needs them, everything, a random share, or what is known already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from annotation.tasks import Candidate
from expertad.build import Outcome, Result
from expertad.errors import ConfigError
from expertad.order import order_key, unit
from expertad.review import revision
from expertad.sample import Case, Draft
from expertad.verdict import Role, Verdict

CALIBRATION_SIZE = 50


@dataclass(frozen=True, slots=True)
class Which:
    """A choice of drafts; see `parse`.

    Args:
        kind: how they are chosen.
        share: of an audit, 0 to 1.
        count: of a calibration set.
    """

    kind: Literal["needs-review", "all", "audit", "calibration"] = "needs-review"
    share: float = 0.0
    count: int = CALIBRATION_SIZE

    @classmethod
    def parse(cls, text: str) -> Which:
        """Read "needs-review", "all", "audit=0.1", "calibration" or "calibration=30".

        Raises:
            ConfigError: it is none of these.
        """
        kind, has_value, value = text.strip().partition("=")
        try:
            if kind in ("needs-review", "all") and not has_value:
                return cls(kind)  # type: ignore[arg-type]
            if kind == "audit" and 0 < float(value) <= 1:
                return cls("audit", share=float(value))
            if kind == "calibration" and (not has_value or int(value) > 0):
                return cls("calibration", count=int(value) if has_value else CALIBRATION_SIZE)
        except ValueError:
            pass
        raise ConfigError(
            f"--which is needs-review, all, audit=SHARE (such as audit=0.1) or calibration (or calibration=30), "
            f"not {text!r}"
        )


NEEDS_REVIEW = Which()


def candidates(result: Result, which: Which, *, seed: int) -> dict[Role, list[Candidate]]:
    """The drafts by what their verdicts will be for, in the build's order.

    Whatever people decided without settling it is for an adjudicator, however the rest is chosen.

    Args:
        result: where the build stands.
        which: the choice.
        seed: the build's; an audit or a calibration set is the same in every push.
    """
    found: dict[Role, list[Candidate]] = {"review": [], "adjudication": []}
    for name, outcome in result.outcomes.items():
        if outcome.case is None or outcome.draft is None or outcome.todo is not None:
            continue
        said = _said(outcome)
        if said:
            tried = _attempts(outcome.case, outcome.draft, result)
            found["adjudication"].append(
                Candidate(outcome.case, outcome.draft, outcome.findings, said, outcome.reason, tried)
            )
        elif _chosen(name, outcome, which, seed):
            found["review"].append(Candidate(outcome.case, outcome.draft, outcome.findings))
    if which.kind == "calibration":
        found["calibration"] = _known(result, which.count, seed)
    return found


def _said(outcome: Outcome) -> tuple[Verdict, ...]:
    """The verdicts that leave a sample pending, if people gave any: they disagree, or what they say does not fit."""
    if outcome.state != "pending" or outcome.ruling is None:
        return ()
    return outcome.ruling.disputed or ((outcome.ruling.verdict,) if outcome.ruling.verdict is not None else ())


def _attempts(case: Case, draft: Draft, result: Result) -> int:
    """How many adjudications of this text did not settle it; each further one is a task of its own."""
    text = revision(case, draft)
    given = result.judged.get(case.sample.sample_id, ())
    return sum(verdict.role == "adjudication" and verdict.revision == text for verdict in given)


def _chosen(name: str, outcome: Outcome, which: Which, seed: int) -> bool:
    if which.kind == "all":
        return True
    if which.kind == "audit":
        return outcome.state == "published" and unit(seed, "audit", name) < which.share
    return which.kind == "needs-review" and outcome.state == "pending"


def _known(result: Result, count: int, seed: int) -> list[Candidate]:
    """Drafts on which people have settled, some of each decision as far as there are any."""
    settled = [
        (order_key(seed, "calibration", name), outcome.ruling.verdict.decision, outcome)
        for name, outcome in result.outcomes.items()
        if outcome.state in ("published", "rejected") and outcome.ruling is not None and outcome.ruling.verdict
    ]
    by_decision: dict[str, list[Outcome]] = {}
    for _, decision, outcome in sorted(settled, key=lambda item: item[0]):
        by_decision.setdefault(decision, []).append(outcome)
    chosen: list[Outcome] = []
    while len(chosen) < count and any(by_decision.values()):
        for waiting in by_decision.values():
            if waiting and len(chosen) < count:
                chosen.append(waiting.pop(0))
    return [
        Candidate(outcome.case, outcome.draft, outcome.findings)
        for outcome in chosen
        if outcome.case is not None and outcome.draft is not None
    ]
