"""Pull: copy what people decided out of Label Studio into the ledger, where it is only ever added to.

Anybody with an account can delete anything on the server, and the server takes any value; so every verdict is copied
here, every value is looked at, and what was deleted there stays here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, get_args

from annotation.push import projects_of, workspace_id
from annotation.server import Failed, Gone, Server, Unreachable
from annotation.tasks import as_shown, seal
from expertad import grid, taxonomy
from expertad.ledger import Ledger
from expertad.review import REASONS, in_time
from expertad.verdict import Decision, Role, Verdict

MOST_REFUSED = 20
"""Refused values told one by one."""

ORIGIN = "label-studio"
"""Where the verdicts came from. Address and numbers are left out: a server that moves, or comes back from a copy, must
not make new verdicts of old ones."""

EXPORTS = 4
"""Tries to export a project whole."""

PARTS = (100, 10, 1)
"""Tasks an export, in the search for one that cannot be exported: as many as an address may name, then fewer."""

MOST_FAILED = 12
"""Exports in a row that may fail before it is the server that is ill."""

BROKEN = (
    "Label Studio cannot write its annotations out, as when half an emoji was left in a text, so nobody's verdict on it"
    " can be read. Delete the task in the project's list there, and push again"
)


class Refusal(Exception):
    """An annotation that is no verdict; says why."""


@dataclass(slots=True)
class Pulled:
    """What a pull found.

    Args:
        added: verdicts that were new.
        known: verdicts that the ledger had already.
        skipped: tasks somebody skipped: undecided.
        refused: annotations that are no verdicts: the task's address, and why.
        stale: new verdicts about a text that has been replaced; kept, and without effect. Filled by who knows.
        new: the verdicts that were new, oldest first.
    """

    added: int = 0
    known: int = 0
    skipped: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    stale: list[Verdict] = field(default_factory=list)
    new: list[Verdict] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """What the builder reads."""
        yield f"pulled {self.added} new verdicts ({self.known} known already, {self.skipped} tasks skipped)"
        if self.stale:
            yield (
                f"{len(self.stale)} of them are refused: the text they are about has been replaced since. They stay as "
                f"history and decide nothing; such as {self.stale[0].sample_id}"
            )
        for address, why in self.refused[:MOST_REFUSED]:
            yield f"refused {address}: {why}"
        if len(self.refused) > MOST_REFUSED:
            yield f"… and {len(self.refused) - MOST_REFUSED} more refused"


def pull(server: Server, ledger: Ledger) -> Pulled:
    """Add what people decided since the last pull.

    Raises:
        Unreachable: the server fails; what was read before is kept only when all of it was.
        ReviewError: the server refuses.
    """
    pulled = Pulled()
    read: list[Verdict] = []
    projects = projects_of(server, workspace_id(ledger))
    if any(projects[role] for role in get_args(Role)):
        people = server.people()
        for role in get_args(Role):
            for project in projects[role]:
                tasks = _export(server, project.id, pulled)
                known = ledger.shown({str(task.get("data", {}).get("revision")) for task in tasks})
                for task in tasks:
                    read += _read(task, server.address(project.id, task.get("id", 0)), role, known, people, pulled)
    pulled.new = list(_news(ledger.verdicts(), sorted(read, key=lambda found: found.at)))
    pulled.added = ledger.append_verdicts(pulled.new)
    pulled.known = len(read) - pulled.added
    return pulled


def _news(known: Mapping[str, Sequence[Verdict]], read: Sequence[Verdict]) -> Iterator[Verdict]:
    """What was read and says something new; the server dates an annotation anew for much that changes nothing."""
    dated = {found for given in known.values() for found in given}
    last: dict[tuple[str, str, str], Verdict] = {}
    for given in known.values():
        for found in in_time(given):
            last[found.revision, found.annotator, found.role] = found
    for found in read:
        key = found.revision, found.annotator, found.role
        if found not in dated and (key not in last or _content(found) != _content(last[key])):
            yield found
            last[key] = found


def _content(verdict: Verdict) -> Verdict:
    return replace(verdict, at="", lead_time=None, origin="")


def mark_stale(pulled: Pulled, current: Mapping[str, str]) -> None:
    """Say which verdicts are about a text that is not the current one.

    Args:
        pulled: what was pulled.
        current: sample -> the revision it has now.
    """
    pulled.stale = [
        verdict
        for verdict in pulled.new
        if verdict.sample_id in current and current[verdict.sample_id] != verdict.revision
    ]


def _export(server: Server, project: int, pulled: Pulled) -> list[dict[str, Any]]:
    """Everything decided in a project; a task that the server took and cannot give back does not keep back others."""
    try:
        return _tried(server, project)
    except Failed as failed:
        search = _Search(server, project, failed)
    tasks = search.export([task.id for task in server.tasks(project) if task.annotations or task.skipped])
    pulled.refused += [(server.address(project, number), BROKEN) for number in search.broken]
    return tasks


def _tried(server: Server, project: int, tasks: Sequence[int] = ()) -> list[dict[str, Any]]:
    for left in range(EXPORTS - 1, -1, -1):
        try:
            return server.export(project, tasks)
        except Gone:
            return []  # deleted since it was listed
        except Failed:
            raise  # as often as asked
        except Unreachable:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


@dataclass(slots=True)
class _Search:
    """Export in ever smaller parts, until only tasks are left out that fail alone."""

    server: Server
    project: int
    failed: Failed
    broken: list[int] = field(default_factory=list)
    in_a_row: int = 0

    def export(self, tasks: Sequence[int]) -> list[dict[str, Any]]:
        size = next((size for size in PARTS if size < len(tasks)), 1)
        found = []
        for start in range(0, len(tasks), size):
            part = tasks[start : start + size]
            try:
                found += _tried(self.server, self.project, part)
                self.in_a_row = 0
            except Failed:
                self.in_a_row += 1
                if self.in_a_row > MOST_FAILED:
                    raise self.failed from None
                if len(part) == 1:
                    self.broken += part
                else:
                    found += self.export(part)
        return found


def _read(
    task: Mapping[str, Any],
    address: str,
    role: Role,
    known: Mapping[str, Mapping[str, Any]],
    people: Mapping[int, str],
    pulled: Pulled,
) -> Iterator[Verdict]:
    """The verdicts on one task; what is none is counted in `pulled`."""
    for annotation in task.get("annotations") or ():
        if annotation.get("was_cancelled"):
            pulled.skipped += 1
            continue
        try:
            yield verdict(annotation, task.get("data") or {}, role, known, people)
        except Refusal as refusal:
            pulled.refused.append(
                (address, f"{refusal} (annotation {annotation.get('id')} of {_author(annotation, people)})")
            )


def verdict(
    annotation: Mapping[str, Any],
    data: Mapping[str, Any],
    role: Role,
    known: Mapping[str, Mapping[str, Any]],
    people: Mapping[int, str],
) -> Verdict:
    """An annotation as a verdict, each value looked at.

    Args:
        annotation: as exported.
        data: of its task.
        role: of its project.
        known: what was pushed, by revision.
        people: e-mails by the server's numbers.

    Raises:
        Refusal: it cannot be used.
    """
    shown = _what_was_shown(data, known)
    given = _given(annotation.get("result"))
    decision = _one(given, "decision", get_args(Decision))
    if decision is None:
        raise Refusal("it has no decision: accept, edit or reject; open the task and decide")
    location = fine_type = think = None
    if decision != "reject":
        location = _location(given, shown)
        fine_type = _fine_type(given, shown)
        think = _think(given, shown)
    return Verdict(
        sample_id=shown["sample_id"],
        revision=data["revision"],
        annotator=_who(annotation, people),
        decision=decision,  # type: ignore[arg-type]  # one of them, as `_one` made sure
        reasons=tuple(_several(given, "why", REASONS)),
        location=location,
        fine_type=fine_type,
        think=think,
        note=_text(given, "remark") or "",
        at=_time(annotation.get("updated_at") or annotation.get("created_at")),
        lead_time=_lead_time(annotation.get("lead_time")),
        origin=ORIGIN,
        role=role,
    )


def _what_was_shown(data: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    shown = known.get(str(data.get("revision")))
    if shown is None:
        raise Refusal(f"this workspace has never pushed the revision {str(data.get('revision'))!r}")
    changed = [name for name, value in as_shown(data).items() if value != shown[name]]
    if changed or data.get("seal") != seal(data):
        raise Refusal(
            f"its {', '.join(changed) or 'data'} was changed on the server after it was pushed, so nobody knows what "
            "was judged; delete the task there and push again"
        )
    return shown


def _given(result: object) -> dict[str, list[Any]]:
    """The values by control, each control at most once but for boxes, which decide nothing."""
    if not isinstance(result, list):
        raise Refusal("its result is no list")
    given: dict[str, list[Any]] = {}
    for item in result:
        if not isinstance(item, Mapping) or not isinstance(item.get("value"), Mapping):
            raise Refusal("its result holds something that is no value of a control")
        name, value = str(item.get("from_name")), item["value"]
        if name == "box":
            continue
        if name not in CONTROLS:
            raise Refusal(f"{name[:40]!r} is no control of the review screen")
        if name in given:
            raise Refusal(f"{name} is given twice")
        found = value.get(CONTROLS[name])
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise Refusal(f"{name} holds no {CONTROLS[name]}")
        given[name] = found
    return given


CONTROLS = {
    "decision": "choices",
    "why": "choices",
    "corrected_location": "choices",
    "corrected_type": "choices",
    "corrected_think": "text",
    "remark": "text",
}


def _several(given: Mapping[str, Sequence[str]], name: str, allowed: Sequence[str]) -> list[str]:
    values = list(given.get(name, ()))
    for value in values:
        if value not in allowed:
            raise Refusal(f"{name} is {value[:60]!r}, which is none of {', '.join(allowed)}")
    if most := [value for value, count in Counter(values).items() if count > 1]:
        raise Refusal(f"{name} holds {most[0]!r} twice")
    return values


def _one(given: Mapping[str, Sequence[str]], name: str, allowed: Sequence[str]) -> str | None:
    values = _several(given, name, allowed)
    if len(values) > 1:
        raise Refusal(f"{name} holds {len(values)} values, and one is asked for")
    return values[0] if values else None


def _location(given: Mapping[str, Sequence[str]], shown: Mapping[str, Any]) -> str | None:
    if shown["location"] is None:
        if given.get("corrected_location"):
            raise Refusal("it gives a location to a normal sample")
        return None
    names = next(names for n in (3, 1, 2, 4, 5) if shown["location"] in (names := grid.cell_names(n)))
    return _changed(_one(given, "corrected_location", names), shown["location"])


def _fine_type(given: Mapping[str, Sequence[str]], shown: Mapping[str, Any]) -> str | None:
    if shown["coarse_type"] is None:
        if given.get("corrected_type"):
            raise Refusal("it gives a type to a normal sample")
        return None
    return _changed(_one(given, "corrected_type", taxonomy.FINE_TERMS[shown["coarse_type"]]), shown["fine_type"])


def _think(given: Mapping[str, Sequence[str]], shown: Mapping[str, Any]) -> str | None:
    text = _text(given, "corrected_think")
    if text is None:
        return None
    if not text:
        raise Refusal("its reasoning is empty; reject the sample instead")
    return _changed(text, _tidy(shown["think"]))


def _text(given: Mapping[str, Sequence[str]], name: str) -> str | None:
    """What was typed; people split a text into several only where a screen lets them, and ours does not."""
    values = given.get(name)
    return None if values is None else _tidy("\n".join(values))


def _tidy(text: str) -> str:
    """A text as a browser may change it without anybody wanting to: other line ends, white space around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _changed(value: str | None, before: str | None) -> str | None:
    return None if value == before else value


def _who(annotation: Mapping[str, Any], people: Mapping[int, str]) -> str:
    """Whose annotation it is. Others may change it, or only put a star on it, and are no second judge by that."""
    number = annotation.get("completed_by")
    if isinstance(number, Mapping):
        number = number.get("id")
    if not isinstance(number, int):
        raise Refusal("nobody is named as its author; the account was deleted")
    return people.get(number, f"account {number}")


def _author(annotation: Mapping[str, Any], people: Mapping[int, str]) -> str:
    try:
        return _who(annotation, people)
    except Refusal:
        return "nobody"


def _time(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).isoformat(timespec="microseconds")
    except ValueError:
        raise Refusal(f"its time {str(text)[:40]!r} is none") from None


def _lead_time(value: object) -> float | None:
    """Seconds; None where the browser's clock told nonsense, which is no reason to lose a verdict."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return round(float(value), 3)
