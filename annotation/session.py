"""A workspace and its review server: which server, what is pushed to it, and what a pull means for the build."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Literal, get_args

import orjson

from annotation.access import Access, known, served
from annotation.client import TOLD
from annotation.images import Images, LocalImages, UploadedImages
from annotation.pull import Pulled, mark_stale, pull
from annotation.push import EVERYBODY, Pushed, projects_of, push, the_project, workspace_id
from annotation.server import Server, Unreachable
from annotation.tasks import Candidate
from annotation.which import NEEDS_REVIEW, Which, candidates
from expertad import review
from expertad.build import Build, Result
from expertad.config import Settings
from expertad.errors import ReviewError
from expertad.ledger import Ledger
from expertad.verdict import Role

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
MOST_SAID = 5

ImagesMode = Literal["local", "upload"]


class NoServer(ReviewError):
    """No review server is known for this workspace."""


@dataclass(frozen=True, slots=True)
class Told:
    """How to reach the server, as far as somebody said.

    Args:
        url: of a server that `expertad review serve` did not start.
        token_file: file that holds its token.
        images: how the photographs get there.
        document_root: the server's folder for local files, as this machine sees it.
    """

    url: str | None = None
    token_file: Path | None = None
    images: ImagesMode | None = None
    document_root: Path | None = None


def told_before(ledger: Ledger) -> Told:
    """What was said last, in this workspace."""
    values = orjson.loads(ledger.recall(TOLD) or "{}")
    paths = {name: Path(values[name]) for name in ("token_file", "document_root") if values.get(name) is not None}
    return Told(**{**values, **paths})


def told_now(ledger: Ledger, settings: Settings, given: Told) -> Told:
    """What holds: what is said now, then settings, then what was said last. Another server begins anew."""
    before = told_before(ledger)
    url = given.url or settings.label_studio_url or before.url
    if url != before.url:
        before = Told(url)
    token_file = given.token_file or settings.label_studio_token_file or before.token_file
    return Told(
        url,
        None if token_file is None else token_file.absolute(),
        given.images or before.images,
        None if (root := given.document_root or before.document_root) is None else root.absolute(),
    )


def remember(ledger: Ledger, told: Told) -> None:
    """Keep what was said for later commands; a token file's name is no secret, and its content is not kept."""
    values = {name: None if value is None else str(value) for name, value in asdict(told).items()}
    if ledger.recall(TOLD) != (text := orjson.dumps(values).decode()):
        ledger.remember(TOLD, text)


def access(workspace: Path, told: Told) -> Access:
    """Address and token of the server.

    Raises:
        NoServer: none is known.
        Unreachable: the workspace's own does not run.
        ReviewError: a token is missing or cannot be read.
    """
    if told.url is None:
        own = known(workspace)
        if own is None:
            raise NoServer(
                f"no review server is known for {workspace}: start one with `expertad review serve --workspace "
                f"{quote(str(workspace))}`, or name one with --url and its token in {TOKEN_VARIABLE} or --token-file"
            )
        if not served(workspace):  # another program may have its port by now, and must not be told the token
            raise Unreachable(
                f"the review server of {workspace} does not run: start it with `expertad review serve --workspace "
                f"{quote(str(workspace))}`, or name another with --url"
            )
        return own
    return Access(told.url, _token(told), told.document_root)


def _token(told: Told) -> str:
    if told.token_file is not None:
        try:
            token = told.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ReviewError(f"cannot read the token file {told.token_file}: {error}") from None
        if not token or len(token.split()) > 1 or not token.isascii():
            raise ReviewError(f"{told.token_file} does not hold one token")
        return token
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise ReviewError(
            f"{told.url} needs a token: make a personal access token in Label Studio under Account & Settings, and put "
            f"it into {TOKEN_VARIABLE}, or into a file named with --token-file"
        )
    return token


@dataclass(slots=True)
class Session:
    """A workspace's work with its server; what a build, `push` and `pull` are handed.

    Args:
        server: asked as one of its users.
        reached: address and document root.
        ours: whether `expertad review serve` started it.
        images: how photographs get there; None takes what fits the server.
        pulled: what the last pull found.
    """

    server: Server
    reached: Access
    ours: bool
    images: ImagesMode | None = None
    pulled: Pulled = field(default_factory=Pulled)

    def pull(self, ledger: Ledger) -> None:
        """Copy new verdicts into the ledger."""
        self.pulled = pull(self.server, ledger)

    def conclude(self, build: Build, result: Result) -> list[str]:
        """At the end of a build: say what was pulled, and push what waits for a person."""
        lines = list(self.told(result))
        lines += [str(pushed) for pushed in self.push(build, result)]
        self.server.close()
        return lines

    def told(self, result: Result) -> Iterator[str]:
        """What the pull means, once it is known how every sample stands."""
        mark_stale(self.pulled, revisions(result))
        yield from self.pulled.lines()
        yield from unfit(result)
        yield from half_judged(result)

    def push(self, build: Build, result: Result, which: Which = NEEDS_REVIEW) -> list[Pushed]:
        """Bring to the server what somebody should judge."""
        found = candidates(result, which, seed=build.settings.seed)
        images = self._images(build)
        current = revisions(result)
        pushed = []
        for role in get_args(Role):
            if role == "calibration" and which.kind != "calibration":
                continue
            chosen = found.get(role, [])
            if not chosen and not self._has_tasks(build.ledger, role):
                continue
            pushed.append(self._push(build, role, chosen, images, current))
        return pushed

    def _push(
        self, build: Build, role: Role, chosen: list[Candidate], images: Images, current: Mapping[str, str]
    ) -> Pushed:
        overlap = {
            "review": review.overlap(build.ledger, build.settings.overlap),
            "adjudication": 1,
            "calibration": EVERYBODY,
        }[role]
        if role == "adjudication":
            current = {}  # whatever nobody has to decide any more goes
        return push(
            self.server,
            build.ledger,
            role,
            chosen,
            images,
            name=name_of(build.settings.workspace),
            grid=build.settings.grid,
            overlap=overlap,
            current=None if role == "calibration" else current,
        )

    def _has_tasks(self, ledger: Ledger, role: Role) -> bool:
        return any(project.tasks for project in projects_of(self.server, workspace_id(ledger))[role])

    def _images(self, build: Build) -> Images:
        mode = self.images or ("local" if self.reached.document_root is not None else "upload")
        if mode == "local":
            if self.reached.document_root is None:
                raise ReviewError(
                    f"--images local needs the folder whose files {self.server.url} may show: name its "
                    "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT with --document-root, or use --images upload"
                )
            return LocalImages(self.reached.document_root, build.source.image_root, link=self.ours)
        name = name_of(build.settings.workspace)
        mark = workspace_id(build.ledger)
        return UploadedImages(the_project(self.server, mark, "images", name=name, grid=build.settings.grid, overlap=1))


def name_of(workspace: Path) -> str:
    """What people call a workspace: its folder's name."""
    return workspace.absolute().name


def revisions(result: Result) -> dict[str, str]:
    """The revision that each selected sample's draft has now."""
    return {
        name: review.revision(outcome.case, outcome.draft)
        for name, outcome in result.outcomes.items()
        if outcome.case is not None and outcome.draft is not None
    }


def unfit(result: Result) -> Iterator[str]:
    """What people decided and nobody can use as it is, with the reason."""
    found = [
        (name, outcome)
        for name, outcome in sorted(result.outcomes.items())
        if outcome.state == "pending" and outcome.ruling is not None and outcome.ruling.verdict is not None
    ]
    for name, outcome in found[:MOST_SAID]:
        yield f"{name}: {outcome.reason}; somebody has to decide again, which is a task of the adjudication project"
    if len(found) > MOST_SAID:
        yield f"… and {len(found) - MOST_SAID} more decisions that do not fit"


def half_judged(result: Result) -> Iterator[str]:
    """How many samples wait for a second reviewer, though one has decided."""
    count = sum("reviewers have decided" in outcome.reason for outcome in result.outcomes.values())
    if count:
        yield f"{count} samples that somebody has judged wait for another reviewer (overlap)"


def open_session(
    settings: Settings,
    ledger: Ledger,
    given: Told = Told(),
    *,
    keep: bool = True,
    make: Callable[[str, str], Server] = Server,
) -> Session:
    """The way to the workspace's server, once it has let us in.

    Args:
        settings: in force.
        ledger: open.
        given: what is said now.
        keep: remember what is said for later commands.
        make: makes the client from address and token.

    Raises:
        NoServer: none is known.
        ReviewError: its token is missing, or it does not answer or does not take it; nothing is remembered then.
    """
    told = told_now(ledger, settings, given)
    reached = access(settings.workspace, told)
    session = Session(make(reached.url, reached.token), reached, ours=told.url is None, images=told.images)
    session.server.whoami()
    if keep:
        remember(ledger, told)
    return session


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands in where no server is known: nothing is pulled or pushed, and the build says so."""

    reason: str

    def pull(self, ledger: Ledger) -> None:
        """Pull nothing."""

    def conclude(self, build: Build, result: Result) -> list[str]:
        """Say why nothing was pushed, if something should be."""
        return [self.reason] if result.waiting else []
