"""How the review stands: what is on the server, who judged how much, and how well people agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from annotation.push import WORKSPACE_ID, projects_of
from annotation.session import Told, open_session
from expertad.agreement import Agreement, Score, calibration, measure, settled
from expertad.config import Settings
from expertad.errors import ReviewError
from expertad.ledger import Ledger, shared_reason
from expertad.verdict import Verdict

FOR_A_CALL = ("waits for the ", "waits for a look")
"""How the reasons of those begin who wait for a machine."""


@dataclass(frozen=True, slots=True)
class Work:
    """One person's verdicts.

    Args:
        annotator: who.
        accepted: drafts accepted, by the person's latest verdict on each.
        edited: drafts corrected.
        rejected: drafts rejected.
        seconds: median time on a draft, where the server measured it.
        score: against known verdicts; None without a calibration set.
    """

    annotator: str
    accepted: int
    edited: int
    rejected: int
    seconds: float | None
    score: Score | None

    def __str__(self) -> str:
        pace = "" if self.seconds is None else f", {self.seconds:.0f} s a draft (median)"
        score = "" if self.score is None else f"; calibration: {str(self.score).removeprefix(f'{self.annotator}: ')}"
        return (
            f"{self.annotator}: accepted {self.accepted}, edited {self.edited}, rejected {self.rejected}{pace}{score}"
        )


@dataclass(frozen=True, slots=True)
class Status:
    """How the review stands.

    Args:
        server: address, or why none answers.
        reached: whether it answered.
        projects: what is on it.
        waiting: samples that wait for a person, as of the last build or pull.
        decided: samples that people decided.
        reasons: why samples wait, the commonest first.
        people: who judged.
        agreement: of those who judged the same drafts.
    """

    server: str
    reached: bool
    projects: tuple[Mapping[str, Any], ...]
    waiting: int
    decided: int
    reasons: Mapping[str, int]
    people: tuple[Work, ...]
    agreement: tuple[Agreement, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield self.server
        for project in self.projects:
            yield (
                f"  {project['kind']}: {project['tasks']} tasks, {project['finished']} finished, "
                f"{project['judged']} judgements, {project['skipped']} skips: {project['url']}"
            )
        if self.reached and not self.projects:
            yield "  nothing was pushed yet: `expertad review push`"
        yield f"{self.waiting} samples wait for a person, {self.decided} are decided by people"
        for reason, count in self.reasons.items():
            yield f"  {count:>6}  {reason}"
        for work in self.people:
            yield str(work)
        for agreement in self.agreement:
            yield f"agreement on {agreement}"
        if self.people and not self.agreement:
            yield "agreement: no draft was judged by two people (`expertad review push --overlap 2`)"


def look(settings: Settings, ledger: Ledger, given: Told) -> Status:
    """Look at ledger and server; a server that does not answer is told, and is no error."""
    server, reached, projects = _on_server(settings, ledger, given)
    verdicts = ledger.verdicts()
    shown = ledger.shown({verdict.revision for found in verdicts.values() for verdict in found})
    scores = {score.annotator: score for score in calibration(verdicts, shown)}
    judged = {verdict.sample_id for verdict in settled(verdicts, shown).values()}
    standings = ledger.standings()
    waiting = [
        shared_reason(standing.reason)
        for standing in standings.values()
        if standing.state == "pending" and not standing.reason.startswith(FOR_A_CALL)
    ]
    decided = [name for name in judged if name in standings and standings[name].state in ("published", "rejected")]
    return Status(
        server=server,
        reached=reached,
        projects=projects,
        waiting=len(waiting),
        decided=len(decided),
        reasons=dict(Counter(waiting).most_common()),
        people=tuple(_works(verdicts, scores)),
        agreement=measure(verdicts, shown),
    )


def _on_server(settings: Settings, ledger: Ledger, given: Told) -> tuple[str, bool, tuple[Mapping[str, Any], ...]]:
    """Where the server is or why there is none, whether it answers, and the workspace's projects on it."""
    try:
        session = open_session(settings, ledger, given, keep=False)
        with session.server as server:
            mark = ledger.recall(WORKSPACE_ID)
            found = {} if mark is None else projects_of(server, mark)
    except ReviewError as error:
        return str(error), False, ()
    projects = [
        {
            "kind": kind,
            "tasks": project.tasks,
            "finished": project.finished,
            "judged": project.judged,
            "skipped": project.skipped,
            "url": f"{server.url}/projects/{project.id}",
        }
        for kind, members in found.items()
        for project in members
        if kind != "images"
    ]
    return server.url, True, tuple(projects)


def _works(verdicts: Mapping[str, Sequence[Verdict]], scores: Mapping[str, Score]) -> Iterator[Work]:
    """Each person's work, busiest first."""
    latest: dict[str, dict[str, Verdict]] = defaultdict(dict)
    seconds: dict[str, list[float]] = defaultdict(list)
    for found in verdicts.values():
        for verdict in found:
            if verdict.role != "calibration":
                latest[verdict.annotator][verdict.revision] = verdict
            if verdict.lead_time is not None:
                seconds[verdict.annotator].append(verdict.lead_time)
    for who in sorted(latest.keys() | scores.keys(), key=lambda name: (-len(latest.get(name, ())), name)):
        counts = Counter(verdict.decision for verdict in latest[who].values())
        yield Work(
            who,
            counts["accept"],
            counts["edit"],
            counts["reject"],
            median(seconds[who]) if seconds[who] else None,
            scores.get(who),
        )
