"""Stage 7: who lets a draft pass. The checks alone (auto), or people, through files or through a review server.

A draft's revision is the digest of everything a reviewer is shown, so a verdict holds for exactly what was judged. The
latest verdict of a person on a revision wins; all verdicts are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import orjson

from expertad import grid, pattern, taxonomy
from expertad.checks import Finding, run_checks
from expertad.errors import PatternError, ReviewError
from expertad.ledger import Ledger
from expertad.record import QUESTION
from expertad.sample import Case, Draft
from expertad.verdict import Decision, Role, Verdict

PENDING_FILE = "pending.jsonl"
VERDICT_FILES = "verdicts*.jsonl"
OVERLAP = "overlap"
"""Under this name the ledger remembers how many people judge each sample."""
REASONS = ("low_quality", "inconsistent", "inaccurate", "wrong_location", "wrong_type")


def published_reason(reason: str) -> str:
    """A reviewer's reason as published data name it; what somebody wrote freely may name people."""
    return reason if reason in REASONS else "other"


def shown(case: Case, draft: Draft) -> dict[str, Any]:
    """Everything a reviewer is shown about a draft, except hints that are derived from it."""
    region = case.region
    return {
        "sample_id": case.sample.sample_id,
        "query_sha256": case.query.sha256,
        "reference_sha256": case.reference.sha256,
        "coarse_type": case.sample.coarse_type,
        "location": region.location if region else None,
        "cells": list(region.cells) if region else [],
        "boxes": [list(box) for box in region.boxes] if region else [],
        "question": QUESTION,
        "answer": "Yes" if case.sample.anomalous else "No",
        "shot": case.shot,
        "description": draft.description,
        "think": draft.think,
        "fine_type": draft.fine_type,
    }


def revision(case: Case, draft: Draft) -> str:
    """Digest of everything a reviewer is shown: 32 hexadecimal digits."""
    return blake2b(orjson.dumps(shown(case, draft), option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the review says of one draft.

    Args:
        state: "published" when it may be published, "rejected", or "pending" while a person has to decide.
        reason: why.
        verdict: the verdict that decided, with its corrections; None when the checks alone did.
        reviewed: who let it pass.
        disputed: the verdicts of reviewers who disagree, oldest first, while nobody has decided between them.
    """

    state: Literal["published", "rejected", "pending"]
    reason: str
    verdict: Verdict | None = None
    reviewed: Literal["human", "auto"] = "auto"
    disputed: tuple[Verdict, ...] = ()


def overlap(ledger: Ledger, told: int | None = None) -> int:
    """How many people judge each sample: as told now, which is remembered; else as last told; else 1."""
    remembered = ledger.recall(OVERLAP)
    if told is not None and remembered != str(told):
        ledger.remember(OVERLAP, str(told))
    return told or int(remembered or 1)


def rule(
    case: Case,
    draft: Draft,
    findings: Sequence[Finding],
    verdicts: Sequence[Verdict],
    *,
    people: bool,
    overlap: int = 1,
) -> Ruling:
    """Decide about a draft. What people said holds whether drafts wait for people or not.

    An adjudication decides alone, the latest one where there are several; what was said for calibration does not count.

    Args:
        case: its sample.
        draft: what the teacher wrote.
        findings: of the checks.
        verdicts: all verdicts on this sample, oldest first, whatever revision they are about.
        people: whether drafts wait for people; without, whatever the checks object to is rejected.
        overlap: how many people have to judge a draft that waits for people.
    """
    hard = [finding for finding in findings if finding.severity == "reject"]
    current = _current(verdicts, revision(case, draft)) if verdicts else []
    if current:
        return _by_people(case, draft, hard, current, overlap if people else 1)
    if hard:
        return Ruling("rejected", _named(hard[0]))
    if people:
        stale = " (an earlier verdict was about another text)" if verdicts else ""
        hint = f"; {_named(findings[0])}" if findings else ""
        return Ruling("pending", f"waits for a person{stale}{hint}")
    if findings:
        return Ruling("rejected", _named(findings[0]))
    return Ruling("published", "passed all checks")


def _by_people(case: Case, draft: Draft, hard: Sequence[Finding], current: Sequence[Verdict], overlap: int) -> Ruling:
    latest = current[-1]
    who = "a person"
    if latest.role == "adjudication":
        who = "an adjudicator"
    elif len(current) < overlap:
        if hard and all(verdict.decision == "accept" for verdict in current):
            return Ruling("rejected", _named(hard[0]))  # it was accepted before there was this check
        return Ruling("pending", f"{len(current)} of {overlap} reviewers have decided")
    elif len({meant(shown(case, draft), verdict) for verdict in current}) > 1:
        reason = f"{len(current)} reviewers disagree and somebody has to decide"
        return Ruling("pending", reason, disputed=tuple(current))
    if latest.decision == "reject":
        return Ruling("rejected", f"{who} rejected it: " + (", ".join(latest.reasons) or "no reason given"), latest)
    misfit = _misfit(case, draft, latest)
    if misfit is not None:
        return Ruling("pending", f"the {latest.decision} does not fit: {misfit}", latest, "human")
    left = hard
    if latest.decision == "edit":
        left = _left(case, draft, latest)
        if left:
            return Ruling("pending", f"the edited text does not pass: {_named(left[0])}", latest, "human")
    if left:  # it was accepted before there was this check
        return Ruling("rejected", _named(left[0]))
    return Ruling("published", f"{who} chose {latest.decision}", latest, "human")


class Meant(NamedTuple):
    """What a verdict would publish."""

    location: str | None
    fine_type: str | None
    think: str


def meant(shown: Mapping[str, Any], verdict: Verdict) -> Meant | None:
    """What a verdict would publish of what was shown; None for a rejection.

    An edit that repeats a field says of it what one says that leaves it alone.
    """
    if verdict.decision == "reject":
        return None
    fine_type = tidy(verdict.fine_type or shown.get("fine_type"))
    return Meant(
        verdict.location or shown.get("location"), fine_type, (verdict.think or shown.get("think", "")).strip()
    )


def tidy(fine_type: str | None) -> str | None:
    """A fine-grained type as it is published: single spaces, and none around it."""
    return None if fine_type is None else " ".join(fine_type.split())


def _misfit(case: Case, draft: Draft, verdict: Verdict) -> str | None:
    """Why a verdict's corrections cannot be applied to this sample, if they cannot."""
    if verdict.decision == "accept":
        corrected = [verdict.location, verdict.fine_type, verdict.think] != [None] * 3
        return "it carries corrections; decide edit, or accept without them" if corrected else None
    if case.region is None:
        if verdict.location is not None or verdict.fine_type is not None:
            return "a normal sample has no location and no type"
    elif verdict.location is not None and verdict.location not in grid.cell_names(case.region.grid):
        return f"{verdict.location!r} names no cell of a {case.region.grid} x {case.region.grid} grid"
    case, draft = edited(case, draft, verdict)
    try:
        pattern.write(draft.think.strip(), case.region.location if case.region else None, draft.fine_type)
    except PatternError as error:
        return str(error)
    return None


def _left(case: Case, draft: Draft, verdict: Verdict) -> list[Finding]:
    """What stands against an edited draft, such as a corrected place that the reasoning does not name."""
    moved = case.region is not None and verdict.location not in (None, case.region.location)
    return [
        finding
        for finding in run_checks(*edited(case, draft, verdict))
        if finding.severity == "reject" or (moved and finding.name == "location")
    ]


def edited(case: Case, draft: Draft, verdict: Verdict) -> tuple[Case, Draft]:
    """Case and draft as a person corrected them.

    Raises:
        ValueError: the corrected location is no cell of the case's grid.
    """
    region = case.region
    if verdict.location is not None and region is not None:
        cell = grid.name_to_cell(verdict.location, region.grid)
        region = dataclasses.replace(region, location=verdict.location, cells=tuple(sorted({*region.cells, cell})))
    return (
        dataclasses.replace(case, region=region),
        dataclasses.replace(draft, think=verdict.think or draft.think, fine_type=verdict.fine_type or draft.fine_type),
    )


def in_time(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts in the order in which they were given, however late they were read.

    Args:
        verdicts: in the order in which they came to the ledger. One without a time, or with one that cannot be read,
            was given when it came: after whatever came before it.
    """
    if len(verdicts) < 2:
        return list(verdicts)
    times: list[datetime] = []
    for verdict in verdicts:
        given = _given_at(verdict.at)
        times.append(given if given is not None else max(times, default=datetime.min.replace(tzinfo=UTC)))
    return [verdicts[number] for number in sorted(range(len(verdicts)), key=lambda number: times[number])]


def _given_at(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _current(verdicts: Sequence[Verdict], wanted: str) -> list[Verdict]:
    """The latest adjudication of this revision; without one, each person's latest verdict on it, oldest first."""
    latest: dict[str, Verdict] = {}
    final: Verdict | None = None
    for verdict in in_time(verdicts):
        if verdict.revision != wanted or verdict.role == "calibration":
            continue
        if verdict.role == "adjudication":
            final = verdict
        latest.pop(verdict.annotator, None)
        latest[verdict.annotator] = verdict
    return list(latest.values()) if final is None else [final]


def _named(finding: Finding) -> str:
    return f"{finding.name}: {finding.reason}"


# -- review by files


def write_pending(path: Path, waiting: Iterable[tuple[Case, Draft, Sequence[Finding], str]]) -> int:
    """Write what waits for a person, a JSON object a line, replacing the file whole; returns how many lines.

    Each line holds what the reviewer is shown, the images' paths, the checks' hints, why it waits, the fine types to
    choose from, and an empty verdict to fill in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    count = 0
    with partial.open("wb") as out:
        for case, draft, findings, reason in waiting:
            coarse = case.sample.coarse_type
            row = shown(case, draft) | {
                "revision": revision(case, draft),
                "query": str(case.query.path),
                "reference": str(case.reference.path),
                "hints": [_named(finding) for finding in findings],
                "waits_for": reason,
                "fine_types": list(taxonomy.FINE_TERMS[coarse]) if coarse else [],
                "decision": None,
                "annotator": None,
                "reasons": [],
            }
            out.write(orjson.dumps(row) + b"\n")
            count += 1
    partial.replace(path)
    return count


def read_verdicts(folder: Path) -> list[Verdict]:
    """All verdicts in `verdicts*.jsonl` of a folder, files by name, lines in order.

    A line needs `sample_id`, `revision`, `annotator` and `decision` (accept, edit or reject); `reasons`, `location`,
    `fine_type`, `think`, `note`, `at`, `lead_time` and `role` are optional. A line copied from `pending.jsonl` whose
    decision is still null is passed over; other keys of it are ignored unless the decision is "edit".

    Raises:
        ReviewError: a line cannot be used; names the file and the line, and nothing of the file is taken.
    """
    verdicts = []
    for path in sorted(folder.glob(VERDICT_FILES)):
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if line.strip():
                verdict = _verdict(line, f"{path}, line {number}")
                if verdict is not None:
                    verdicts.append(verdict)
    return verdicts


def _verdict(line: bytes, where: str) -> Verdict | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ReviewError(f"{where}: not JSON ({error}); write one JSON object a line") from None
    if not isinstance(row, dict):
        raise ReviewError(f"{where}: a verdict is a JSON object, not {type(row).__name__}")
    if row.get("decision") is None:
        return None
    values: dict[str, Any] = {}
    for name in ("sample_id", "revision", "annotator", "decision"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ReviewError(f"{where}: {name} is missing or is not text")
        values[name] = row[name].strip()
    if values["decision"] not in get_args(Decision):
        raise ReviewError(f"{where}: decision {row['decision']!r} is none of {', '.join(get_args(Decision))}")
    reasons = row.get("reasons") or []
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise ReviewError(f"{where}: reasons is a list of texts, such as {list(REASONS)}")
    for name in ("note", "at"):
        values[name] = _text(row, name, where) or ""
    if values["decision"] == "edit":
        for name in ("location", "fine_type", "think"):
            values[name] = _text(row, name, where)
        _check_edit(values, where)
    lead_time = row.get("lead_time")
    if lead_time is not None and not isinstance(lead_time, int | float):
        raise ReviewError(f"{where}: lead_time is a number of seconds")
    values["role"] = row.get("role", "review")
    if values["role"] not in get_args(Role):
        raise ReviewError(f"{where}: role {values['role']!r} is none of {', '.join(get_args(Role))}")
    return Verdict(**values, reasons=tuple(reasons), lead_time=lead_time, origin="file")


def _check_edit(values: Mapping[str, Any], where: str) -> None:
    location = values["location"]
    if location is not None and not any(location in grid.cell_names(n) for n in range(1, 6)):
        raise ReviewError(
            f"{where}: location {location!r} is no cell's name; for a 3 x 3 grid they are "
            f"{', '.join(grid.cell_names(3))}"
        )
    for name in ("think", "fine_type"):
        if values[name] is not None and ("<" in values[name] or not values[name].strip()):
            raise ReviewError(f"{where}: {name} must be plain text without '<', and not empty")


def _text(row: Mapping[str, Any], name: str, where: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise ReviewError(f"{where}: {name} is text or null, not {type(value).__name__}")
    return value
