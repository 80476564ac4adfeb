"""Push: bring what people should judge to Label Studio, each revision of each sample once.

Nothing is kept here about what the server holds. A push lists the server, sends what is missing, and lists it again;
so one that was cut anywhere is simply run again, and an answer that never came does no harm.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from annotation import screen
from annotation.images import Images
from annotation.server import Project, Server, Task, Unreachable
from annotation.tasks import MODEL_VERSION, Candidate, Key, task
from expertad.errors import ReviewError
from expertad.ledger import Ledger
from expertad.review import shown
from expertad.sample import ImageFile
from expertad.verdict import Role

Kind = Literal["review", "adjudication", "calibration", "images"]

WORKSPACE_ID = "workspace_id"
"""Under this name the ledger keeps the mark by which a workspace finds its projects on any server."""

CHUNK = 250
"""Tasks an import: half a second for the server, and little to send again."""

TITLE_LENGTH = 50
EVERYBODY = 100
"""Judgements asked for of a calibration task."""

STALLED_ROUNDS = 8
SETTLE_S = 2.0
"""An import whose answer was lost may still be at work on the server; it takes about a second."""

GUIDE = (
    "<p>Judge the reasoning on the right against the two pictures: accept it, edit it, or reject it with reasons. "
    "Keys: 1 accept, 2 edit, 3 reject; Ctrl+Enter submits, Ctrl+Space skips what you cannot decide. "
    "The whole guide is ANNOTATORS.md.</p>"
)
IMAGES_SCREEN = '<View><Image name="picture" value="$picture"/></View>'


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push left on the server, for one project.

    Args:
        kind: of the project.
        project: its number.
        url: where a reviewer opens it.
        wanted: drafts that should be there.
        there: tasks that are there, those of earlier pushes among them.
        added: tasks that this push brought.
        removed: tasks that it took away, which nobody had touched: doubles, and texts that have been replaced.
    """

    kind: Kind
    project: int
    url: str
    wanted: int
    there: int
    added: int
    removed: int

    def __str__(self) -> str:
        """One line for the builder."""
        removed = f", {self.removed} outdated or doubled ones removed" if self.removed else ""
        return f"{self.kind}: {self.there} tasks ({self.added} new{removed}) at {self.url}"


def workspace_id(ledger: Ledger) -> str:
    """The workspace's mark; made at first use, and kept before anything on a server bears it."""
    known = ledger.recall(WORKSPACE_ID)
    if known is None:
        known = secrets.token_hex(8)
        ledger.remember(WORKSPACE_ID, known)
    return known


def projects_of(server: Server, mark: str) -> dict[Kind, list[Project]]:
    """A workspace's projects by kind, oldest first."""
    found: dict[Kind, list[Project]] = {"review": [], "adjudication": [], "calibration": [], "images": []}
    for project in server.projects():
        for kind, members in found.items():
            if project.description.startswith(_mark(mark, kind)):
                members.append(project)
    return found


def _mark(mark: str, kind: Kind) -> str:
    return f"expertad {mark} {kind}"


def the_project(
    server: Server,
    mark: str,
    kind: Kind,
    *,
    name: str,
    grid: int,
    overlap: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Project:
    """The workspace's project of a kind, made if there is none, with the screen and overlap that it should have.

    Args:
        server: where.
        mark: the workspace's.
        kind: of the project.
        name: what people call the workspace.
        grid: n of the n x n grid of locations.
        overlap: how many people judge a task.
        sleep: waits.
    """
    found = projects_of(server, mark)[kind]
    wanted = IMAGES_SCREEN if kind == "images" else screen(grid)
    for _ in range(STALLED_ROUNDS):
        if found:
            break
        room = TITLE_LENGTH - len(kind) - 2
        try:
            server.make_project(
                f"{name[:room]}: {kind}", f"{_mark(mark, kind)} (do not change this line)", wanted, overlap, GUIDE
            )
        except Unreachable:
            sleep(SETTLE_S)
        found = projects_of(server, mark)[kind]
    if not found:
        raise Unreachable(f"{server.url} could not make the {kind} project; run again")
    for double in found[1:]:
        if not double.tasks and kind != "images":
            server.delete_project(double.id)
    project = found[0]
    if project.overlap != overlap and kind != "images":
        server.update_project(project.id, maximum_annotations=overlap)
    if project.screen.split() != wanted.split():
        _update_screen(server, project, wanted)
    return project


def _update_screen(server: Server, project: Project, wanted: str) -> None:
    try:
        server.update_project(project.id, label_config=wanted)
    except Unreachable:
        raise
    except ReviewError as error:
        raise ReviewError(
            f"the screen of project {project.id} cannot be brought up to date, because of what was judged with the "
            f"earlier one ({error}); pull, delete that project in Label Studio, and push again: pulled verdicts stay"
        ) from None


def push(
    server: Server,
    ledger: Ledger,
    kind: Role,
    candidates: Sequence[Candidate],
    images: Images,
    *,
    name: str,
    grid: int,
    overlap: int,
    current: Mapping[str, str] | None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Make the server hold these drafts as tasks, once each, the most urgent first.

    Args:
        server: where.
        ledger: keeps what is shown, so that a verdict can be held against it.
        kind: what the verdicts will be for.
        candidates: the drafts.
        images: how the browser gets their photographs.
        name: what people call the workspace.
        grid: n of the n x n grid of locations.
        overlap: how many people judge a task.
        current: sample -> the revision it has now; an untouched task about another revision, or about a sample that is
            not among them, is taken away. None takes nothing away.
        sleep: waits.

    Raises:
        Unreachable: the server fails again and again; what arrived stays, and the next push goes on from there.
        ReviewError: the server refuses.
    """
    ledger.store_shown({candidate.key[1]: shown(candidate.case, candidate.draft) for candidate in candidates})
    mark = workspace_id(ledger)
    project = the_project(server, mark, kind, name=name, grid=grid, overlap=overlap, sleep=sleep)
    wanted = {candidate.key: candidate for candidate in sorted(candidates, key=lambda item: item.rank)}
    pictures = {image.sha256: image for item in candidates for image in (item.case.reference, item.case.query)}
    _show(server, project.id, images, list(pictures.values()), sleep)
    at_first: set[Key] | None = None
    before: set[int] = set()
    removed, tries, troubled = 0, 0, False
    while True:
        listed = server.tasks(project.id)
        there = {found.key for found in listed}
        at_first = there if at_first is None else at_first
        spare = doubles(listed) + (outdated(listed, current, wanted) if current is not None else [])
        if spare:
            server.delete_tasks(project.id, spare)
            removed += len(spare)
            continue
        missing = [key for key in wanted if key not in there]
        numbers = {found.id for found in listed}
        if not missing and not (troubled and numbers != before):
            break
        tries = tries + 1 if numbers == before else 0
        if tries == STALLED_ROUNDS:
            raise Unreachable(
                f"{server.url} did not take {len(missing)} of {len(wanted)} tasks after many tries; run again"
            )
        before = numbers
        try:
            _send(server, project.id, [wanted[key] for key in missing], images)
        except Unreachable:
            troubled = True
        if troubled:
            # What was sent may have arrived, or arrive yet: look again before anything is sent twice.
            sleep(SETTLE_S)
    added = len(wanted.keys() - at_first)
    # The server knows no predictions of that name before there is one.
    if project.shown_model != MODEL_VERSION and any(candidate.case.region for candidate in candidates):
        server.update_project(project.id, model_version=MODEL_VERSION)
    url = f"{server.url}/projects/{project.id}"
    return Pushed(kind, project.id, url, len(wanted), len(listed), added, removed)


def _show(
    server: Server, project: int, images: Images, pictures: Sequence[ImageFile], sleep: Callable[[float], None]
) -> None:
    """Every push makes sure of the photographs, of tasks that are there already too: folders move."""
    for left in range(STALLED_ROUNDS - 1, -1, -1):
        try:
            return images.prepare(server, project, pictures)
        except Unreachable:
            if not left:
                raise
            sleep(SETTLE_S)


def _send(server: Server, project: int, candidates: Sequence[Candidate], images: Images) -> None:
    for start in range(0, len(candidates), CHUNK):
        chunk = candidates[start : start + CHUNK]
        server.import_tasks(project, [task(candidate, images.url) for candidate in chunk])


def doubles(listed: Sequence[Task]) -> list[int]:
    """Untouched tasks beside another of the same sample and revision; of those all untouched, the oldest stays."""
    groups: dict[Key, list[Task]] = {}
    for found in listed:
        groups.setdefault(found.key, []).append(found)
    spare: list[int] = []
    for group in groups.values():
        kept = max(group, key=lambda found: (found.annotations + found.skipped, -found.id))
        spare += [found.id for found in group if found is not kept and _untouched(found)]
    return spare


def outdated(listed: Sequence[Task], current: Mapping[str, str], wanted: Mapping[Key, Any]) -> list[int]:
    """Untouched tasks about a text that has been replaced, or about a sample that nobody asks about any more."""
    return [
        found.id
        for found in listed
        if found.key not in wanted and current.get(found.key[0]) != found.key[1] and _untouched(found)
    ]


def _untouched(found: Task) -> bool:
    return found.annotations + found.skipped == 0
