"""`expertad review …`: people's review in Label Studio, from the builder's shell."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click
import orjson

from annotation.client import TOLD, require_client
from expertad import config
from expertad.build import Build, Result
from expertad.builder import as_before, opened
from expertad.cli import CONFIG_OPTION, JSON_OPTION, guarded, settings_options
from expertad.config import Settings
from expertad.errors import ReviewError, WorkspaceNotBuilt
from expertad.progress import Progress
from expertad.workspace import hold, open_ledger

if TYPE_CHECKING:
    from annotation.session import Session, Told

WHICH = "needs-review"
PORT = 8080

Command = Callable[..., int | None]


@click.group(context_settings={"max_content_width": 110})
def review() -> None:
    """Have people judge drafts, in Label Studio.

    `serve` once, then `push`; annotators work in their browsers; `pull` whenever you like, and `expertad build`
    publishes what is decided. `expertad build --review label-studio` pulls and pushes by itself.
    """


def server_options(function: Command) -> Command:
    """Options that say which server."""

    @click.option("--url", help="A Label Studio that runs elsewhere; the workspace's own if not given.")
    @click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        help="File with that server's access token; else LABEL_STUDIO_API_KEY is taken.",
    )
    @functools.wraps(function)
    def run(*args: Any, url: str | None, token_file: Path | None, **kwargs: Any) -> int | None:
        kwargs["given"] = {"label_studio_url": url, "label_studio_token_file": token_file}
        return function(*args, **kwargs)

    return run


@review.command()
@settings_options("workspace")
@CONFIG_OPTION
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port on this machine.")
@click.option("--email", default="reviewer@expertad.local", show_default=True, help="Name of the first account.")
@click.option("--environment", type=click.Path(path_type=Path), help="Folder of Label Studio's own Python environment.")
@click.option(
    "--public-url", help="https://… of the front through which other machines reach it, if you put one before it."
)
@guarded
def serve(
    config_file: Path | None,
    port: int,
    email: str,
    environment: Path | None,
    public_url: str | None,
    **flags: Any,
) -> int:
    """Run the workspace's server, until Ctrl-C.

    It is reached from this machine only, unless a front is put before it.

    The first time, Label Studio is installed into an environment of its own (about 1 GB). Its data stay in
    WORKSPACE/label-studio. For a team, set POSTGRE_HOST, POSTGRE_NAME, POSTGRE_USER and POSTGRE_PASSWORD.
    """
    from annotation.serve import serve as run_server

    settings = config.load(flags, config_file)
    _forget_another_server(settings)
    return run_server(settings.workspace, port, email, environment, click.echo, public_url)


def _forget_another_server(settings: Settings) -> None:
    """Who serves the workspace wants its own server used from now on, whatever --url said before."""
    try:
        with open_ledger(settings, create=False) as ledger:
            if ledger.recall(TOLD) is not None:
                ledger.remember(TOLD, "{}")
    except WorkspaceNotBuilt:
        pass


@review.command()
@settings_options("workspace")
@CONFIG_OPTION
@guarded
def invite(config_file: Path | None, **flags: Any) -> int:
    """Print the link with which a colleague gets an account.

    On the workspace's own server, which must have been started once.
    """
    from annotation.access import invite as link
    from annotation.access import known

    settings = config.load(flags, config_file)
    access = known(settings.workspace)
    if access is None:
        raise ReviewError(
            f"{settings.workspace} has no server of its own: start it with `expertad review serve --workspace "
            f"{quote(str(settings.workspace))}`"
        )
    click.echo(link(access))
    return 0


@review.command()
@settings_options("workspace", "ledger_url", "overlap")
@CONFIG_OPTION
@server_options
@click.option(
    "--which",
    default=WHICH,
    show_default=True,
    help="needs-review; all; audit=0.1 (that share of what is published, chosen at random); calibration or "
    "calibration=30 (drafts with a known verdict, for everybody to judge).",
)
@click.option(
    "--images",
    type=click.Choice(["local", "upload"]),
    help="How photographs get to the server: from a disk it shares with us, or sent to it. The workspace's own server "
    "takes local, another one upload.",
)
@click.option(
    "--document-root",
    type=click.Path(path_type=Path),
    help="With --images local and --url: that server's folder for local files, as this machine sees it.",
)
@JSON_OPTION
@guarded
def push(
    config_file: Path | None,
    given: dict[str, Any],
    which: str,
    images: Any,
    document_root: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Bring to the server what people should judge.

    Disagreements come first; what is there already stays as it is.
    """
    require_client()
    from annotation.session import Told, half_judged
    from annotation.which import Which

    chosen = Which.parse(which)
    with _reviewing({**flags, **given}, config_file, Told(images=images, document_root=document_root)) as at:
        pushed = at.session.push(at.build, at.result, chosen)
        lines = [str(item) for item in pushed] or [_nothing(at.build.settings, chosen.kind)]
        for line in (*lines, *half_judged(at.result)):
            click.echo(line, err=as_json)
        if as_json:
            click.echo(orjson.dumps({"projects": pushed, "waiting": at.result.waiting}).decode())
    return 0


def _nothing(settings: Settings, kind: str) -> str:
    if kind == "calibration":
        return "nothing was pushed: no sample has a verdict that people have settled on yet"
    if kind != "needs-review":
        return "nothing was pushed: no draft is chosen"
    why = "" if settings.review_mode != "auto" else ": this workspace was built with --review auto"
    return (
        f"nothing waits for a person{why}; --which audit=0.1 or --which all has people judge what the checks let pass, "
        "and `expertad build --review label-studio` has drafts wait for people"
    )


@review.command()
@settings_options("workspace", "ledger_url")
@CONFIG_OPTION
@server_options
@JSON_OPTION
@guarded
def pull(config_file: Path | None, given: dict[str, Any], as_json: bool, **flags: Any) -> int:
    """Copy what people decided into the ledger.

    And say what it means; `expertad build` then publishes it.
    """
    require_client()
    from annotation.session import open_session

    settings = as_before(config.load({**flags, **given}, config_file))
    with hold(settings.workspace), open_ledger(settings) as ledger:
        session = open_session(settings, ledger)
        with session.server:
            session.pull(ledger)
    # The verdicts are here, whatever stands in the way of what follows, such as photographs that are elsewhere now.
    with Progress() as progress, opened(settings, progress, asks=False) as build:
        result = build.survey()
    for line in session.told(result):
        click.echo(line, err=as_json)
    count = result.accounting
    click.echo(
        f"of {count.selected} selected samples {count.published} may be published, {count.rejected} are rejected, "
        f"{result.waiting} wait for a person and {result.left} for the teacher; `expertad build` goes on",
        err=as_json,
    )
    if as_json:
        found = session.pulled
        payload = {
            "added": found.added,
            "known": found.known,
            "skipped": found.skipped,
            "stale": len(found.stale),
            "refused": [{"task": address, "reason": why} for address, why in found.refused],
        }
        click.echo(orjson.dumps(asdict(count) | payload | {"waiting": result.waiting}).decode())
    return 0


@review.command()
@settings_options("workspace", "ledger_url")
@CONFIG_OPTION
@server_options
@JSON_OPTION
@guarded
def status(config_file: Path | None, given: dict[str, Any], as_json: bool, **flags: Any) -> int:
    """Show what waits, who judged how much, who agrees.

    With the agreement of people by decision, place and type.
    """
    require_client()
    from annotation.session import Told
    from annotation.status import look

    settings = as_before(config.load({**flags, **given}, config_file))
    with open_ledger(settings, create=False) as ledger:
        found = look(settings, ledger, Told())
    if as_json:
        click.echo(orjson.dumps(found.to_json(), default=list).decode())
    else:
        for line in found.lines():
            click.echo(line)
    return 0


@dataclass(frozen=True, slots=True)
class _At:
    """A workspace held, where its build stands, and its server."""

    build: Build
    result: Result
    session: Session


@contextmanager
def _reviewing(flags: dict[str, Any], config_file: Path | None, given: Told) -> Iterator[_At]:
    from annotation.session import open_session

    settings = as_before(config.load(flags, config_file))
    with Progress() as progress, opened(settings, progress, asks=False) as build:
        session = open_session(settings, build.ledger, given)
        with session.server:
            yield _At(build, build.survey(), session)
