"""`expertad review serve`: a real server from nothing, closed to everybody else, that survives what happens to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from label_studio import EMAIL, ENVIRONMENT, Person, builder, join, prepare, running, server
from prefect_server import free_port
from support import command, environment

from annotation.access import Account, accepted, account_of, client, home, invite, known, log_in, served, submit
from annotation.environment import VARIABLE, VERSION
from annotation.serve import serve, serving
from expertad.errors import ReviewError, UserError


class Command:
    """`expertad review serve` as a process, with what it said."""

    def __init__(self, workspace: Path, port: int, folder: Path = ENVIRONMENT, **env: str) -> None:
        self.workspace, self.port = workspace, port
        self.said = workspace.with_name(f"{workspace.name}-{port}.said")
        words = ("review", "serve", "--workspace", workspace, "--port", port, "--email", EMAIL)
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                command(*words), cwd=workspace.parent, env=environment(**{VARIABLE: str(folder)}, **env), stdout=out,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def text(self) -> str:
        return self.said.read_text()

    @property
    def server(self) -> psutil.Process:
        """The process that answers."""
        return psutil.Process(json.loads((home(self.workspace) / "server.json").read_text())["pid"])

    def until(self, true: Callable[[], object], seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < end, self.text
            time.sleep(0.02)

    def until_it_answers(self) -> None:
        self.until(lambda: "Label Studio answers at " in self.text)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@contextmanager
def started(workspace: Path, port: int, folder: Path = ENVIRONMENT, **env: str) -> Iterator[Command]:
    made = Command(workspace, port, folder, **env)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "W"


def open_port(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def whoami(workspace: Path) -> str:
    access = known(workspace)
    assert access is not None
    return Person(EMAIL, access).ask("GET", "/api/current-user/whoami")["email"]


def secrets_of(workspace: Path) -> list[str]:
    """The password, the token, and each part of the token that is not the same for everybody."""
    token = (home(workspace) / "token").read_text().strip()
    return [account_of(home(workspace), EMAIL).password, token, *token.split(".")[1:]]


def assert_private(workspace: Path) -> None:
    folder = home(workspace)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert modes[folder] == 0o700
    assert {path for path, mode in modes.items() if mode & 0o077} == set()


# --- with a real server ---


@pytest.mark.server
@pytest.mark.slow
def test_from_nothing_to_a_server_with_account_and_token_and_back(workspace: Path):
    """What other programs mean with DEBUG, PORT and the like, and an old setting left behind, change nothing."""
    assert (known(workspace), served(workspace)) == (None, False)
    misleading = {"DEBUG": "true", "PORT": "1", "HOST": "https://elsewhere.example", "SECRET_KEY": "known to all"}
    open_door = {"LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "false", "DATABASE_NAME": "/nowhere/db"}
    with started(workspace, free_port(), **misleading, **open_door) as serve:
        serve.until_it_answers()
        url = f"http://127.0.0.1:{serve.port}"
        assert f"Label Studio answers at {url}; " in serve.text
        assert EMAIL in serve.text
        assert str(home(workspace) / "account.json") in serve.text
        assert f"expertad review invite --workspace {workspace}" in serve.text
        assert whoami(workspace) == EMAIL
        assert served(workspace)
        assert_private(workspace)
        with client(url) as visitor:
            log_in(visitor, account_of(home(workspace), EMAIL))
            assert visitor.get("/api/current-user/whoami").json()["email"] == EMAIL
            assert visitor.get("/no/such/page").status_code == 404
            assert "DEBUG = True" not in visitor.get("/no/such/page").text
        with client(url) as stranger:
            assert submit(stranger, "/user/signup/", email="s@example.org", password="a-password").status_code == 403
        server = serve.server
        assert serve.end(signal.SIGTERM) == 0
        assert not server.is_running()
        assert not open_port(serve.port)
        with socket.create_server(("127.0.0.1", serve.port)):
            assert not served(workspace)
        assert not (home(workspace) / "data" / "label_studio.sqlite3-journal").exists()
        assert_private(workspace)
        said = serve.text + (home(workspace) / "server.log").read_text()
        assert [secret for secret in secrets_of(workspace) if secret in said] == []


@pytest.mark.server
@pytest.mark.slow
def test_it_is_closed_to_everybody_who_was_not_invited(workspace: Path):
    with server(workspace) as made:
        access = made.access
        port = int(access.url.rsplit(":", 1)[1])
        # Whoever listens on every address answers on this one too.
        assert open_port(port, "127.0.0.1")
        assert not open_port(port, "127.0.0.2")
        with client(access.url) as stranger:
            form = {"email": "stranger@example.org", "password": "a-password"}
            assert submit(stranger, "/user/signup/", **form).status_code == 403
            assert submit(stranger, "/user/signup/?token=guess", **form).status_code == 403
            assert stranger.get("/api/projects/").status_code == 401
            assert stranger.get("/data/local-files/?d=images/a.png").status_code in (302, 401, 403, 404)
            assert stranger.get("/user/login/", headers={"Host": "rebound.example"}).status_code == 400
            page = stranger.get("/user/login/", headers={"Origin": "https://elsewhere.example"})
            assert page.status_code == 200
            assert "access-control-allow-origin" not in page.headers
        joined = join(access, "anna@example.org")
        assert joined.ask("GET", "/api/current-user/whoami")["email"] == "anna@example.org"
        assert not joined.ask("GET", "/api/current-user/whoami").get("is_superuser")
        page = Pages(access.url, made.program.account).get("/projects/")
        assert "sentry.io" not in page
        assert re.search(r"collect_analytics\W+false", page)


class Pages:
    """The pages somebody sees after logging in."""

    def __init__(self, url: str, account: Account) -> None:
        self._url, self._account = url, account

    def get(self, path: str) -> str:
        with client(self._url) as visitor:
            log_in(visitor, self._account)
            return visitor.get(path).raise_for_status().text


@pytest.mark.server
@pytest.mark.slow
def test_behind_a_front_it_answers_to_that_name_too(workspace: Path):
    prepare(workspace)
    front = "https://review.example.org"
    with serving(workspace, free_port(), EMAIL, ENVIRONMENT, print, front) as made:
        assert invite(made.access).startswith(f"{front}/user/signup/?token=")
        assert known(workspace) == made.access
        for origin, status in ((front, 302), ("https://elsewhere.example", 403)):
            with client(made.access.url) as colleague:
                colleague.headers.update({"Host": "review.example.org", "Origin": origin})
                form = {"email": EMAIL, "password": made.program.account.password}
                assert submit(colleague, "/user/login/", **form).status_code == status


@pytest.mark.server
@pytest.mark.slow
def test_started_again_it_goes_on_with_the_same_account_token_and_data(workspace: Path):
    with running(workspace) as first:
        project = builder(first).ask("POST", "/api/projects/", json={"title": "Kept over the night"})
        account = account_of(home(workspace), EMAIL)
    lines: list[str] = []
    with serving(workspace, free_port(), "somebody.else@example.org", ENVIRONMENT, lines.append) as second:
        assert second.access.url != first.url
        assert second.access.token == first.token
        assert second.program.account == account
        assert builder(second.access).ask("GET", f"/api/projects/{project['id']}/")["title"] == "Kept over the night"
        assert known(workspace) == second.access
    assert f"this workspace's account is {EMAIL}, as it was made first" in lines


@pytest.mark.server
@pytest.mark.slow
def test_a_token_that_was_made_and_not_saved_is_replaced(workspace: Path):
    """Killed between the two, nobody knows the token that stands in the way of another."""
    prepare(workspace)
    path = home(workspace) / "token"
    lost = path.read_text().strip()
    path.unlink()
    with running(workspace) as access:
        assert access.token != lost
        assert (accepted(access.url, access.token), accepted(access.url, lost)) == (True, False)
        assert path.read_text().strip() == access.token
    path.write_text("not a token at all")
    with running(workspace) as again:
        assert (accepted(again.url, again.token), accepted(again.url, access.token)) == (True, False)


@pytest.mark.server
@pytest.mark.slow
def test_a_password_that_was_changed_there_is_asked_for(workspace: Path):
    prepare(workspace)
    (home(workspace) / "token").unlink()
    path = home(workspace) / "account.json"
    right = path.read_text()
    path.write_text(json.dumps({"email": EMAIL, "password": "not-any-more"}))
    with (
        pytest.raises(ReviewError, match=f"does not let {EMAIL} in: .* into account.json") as refused,
        running(workspace),
    ):
        pytest.fail("it started")
    assert "not-any-more" not in str(refused.value)
    path.write_text(right)
    with running(workspace):
        assert whoami(workspace) == EMAIL


@pytest.mark.server
@pytest.mark.slow
def test_a_workspace_is_served_once_and_a_port_is_taken_once(workspace: Path, tmp_path: Path):
    with running(workspace) as access:
        with started(workspace, free_port()) as second:
            assert second.process.wait(60) == 2
            assert f"is served already: process {os.getpid()} on {socket.gethostname()}, at {access.url}" in second.text
        assert whoami(workspace) == EMAIL
        port = int(access.url.rsplit(":", 1)[1])
        with started(tmp_path / "other", port) as other:
            assert other.process.wait(60) == 2
            assert f"port {port} cannot be used (Address already in use): choose another with --port" in other.text
        assert not (home(tmp_path / "other") / "server.log").exists()


@pytest.mark.server
@pytest.mark.slow
def test_a_port_that_is_taken_while_it_starts_is_noticed(workspace: Path):
    """Label Studio itself would go on, on the next port, and say so to nobody."""
    prepare(workspace)
    with started(workspace, free_port()) as serve:
        serve.until((home(workspace) / "server.log").exists)
        with socket.create_server(("127.0.0.1", serve.port)):
            assert serve.process.wait(120) == 2
        assert f"port {serve.port} was taken by something else while Label Studio started" in serve.text
        assert not open_port(serve.port + 1)


@pytest.mark.server
@pytest.mark.slow
def test_killed_outright_it_leaves_nothing_behind_and_starts_again(workspace: Path):
    prepare(workspace)
    with started(workspace, free_port()) as serve:
        serve.until_it_answers()
        access, child = known(workspace), serve.server
        serve.process.kill()
        serve.process.wait()
        psutil.wait_procs([child], timeout=20)
        assert not child.is_running()
        assert not open_port(serve.port)
    with started(workspace, serve.port) as again:
        again.until_it_answers()
        assert known(workspace) == access
        assert whoami(workspace) == EMAIL
        assert again.end(signal.SIGINT) == 0
    assert "Traceback" not in again.text


@pytest.mark.server
@pytest.mark.slow
def test_it_says_when_the_server_ends_by_itself(workspace: Path):
    prepare(workspace)
    with started(workspace, free_port()) as serve:
        serve.until_it_answers()
        serve.server.kill()
        assert serve.process.wait(60) == 3
        assert "Label Studio ended by itself with code -9; its log, " in serve.text
        assert [secret for secret in secrets_of(workspace) if secret in serve.text] == []


@pytest.mark.server
@pytest.mark.slow
def test_interrupted_while_it_starts_it_ends_and_leaves_nothing(workspace: Path):
    prepare(workspace)
    with started(workspace, free_port()) as serve:
        serve.until(lambda: psutil.Process(serve.process.pid).children())
        (child,) = psutil.Process(serve.process.pid).children()
        assert serve.end(signal.SIGTERM) == 130
        assert not child.is_running()
    assert "Traceback" not in serve.text
    with running(workspace):
        assert whoami(workspace) == EMAIL


@pytest.mark.soak
@pytest.mark.server
def test_killed_at_any_moment_of_its_first_start_it_gets_there_in_the_end(workspace: Path):
    """From the folder's making to the saved token; each try goes on from what the one before left."""
    port = free_port()
    for share in (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95, 1.0):
        with started(workspace, port) as serve:
            end = time.monotonic() + 40 * share
            while time.monotonic() < end and "answers at" not in serve.text:
                assert serve.process.poll() is None, serve.text
                time.sleep(0.05)
    with started(workspace, port) as serve:
        serve.until_it_answers()
        assert whoami(workspace) == EMAIL
        assert_private(workspace)
        assert serve.end(signal.SIGTERM) == 0


# --- with a stand-in for the server: what it is given, and what is said when it fails ---


def stand_in(folder: Path, script: str) -> Path:
    """An environment whose program is this shell script."""
    program = folder / "bin" / "label-studio"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (folder / "lib" / "python3.11" / "site-packages" / f"label_studio-{VERSION}.dist-info").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("step", "message"),
    [("init", "Label Studio could not make its database"), ("start", "Label Studio did not start")],
)
def test_last_words_of_a_server_that_fails_are_passed_on_without_secrets(
    workspace: Path, tmp_path: Path, step: str, message: str
):
    words = 'echo "cannot log in with $LABEL_STUDIO_PASSWORD to $POSTGRE_HOST as $POSTGRE_PASSWORD"'
    database = {"POSTGRE_HOST": "db.example", "POSTGRE_PASSWORD": "of-the-database"}
    folder = stand_in(tmp_path / "env", f"[ $1 = {step} ] || exit 0\n{words}\nexit 7")
    with started(workspace, free_port(), folder, **database) as serve:
        assert serve.process.wait(60) == 2
        assert message in serve.text
        assert ": it ended with code 7; its log, " in serve.text
        assert ("give it an empty one" in serve.text) == (step == "init")
        assert serve.text.splitlines()[-1].strip() == "cannot log in with … to db.example as …"


@pytest.mark.parametrize(
    ("named", "engine"),
    [({}, "sqlite"), ({"POSTGRE_HOST": "db.example"}, "default"), ({"DJANGO_DB": "postgresql"}, "postgresql")],
)
def test_postgresql_is_taken_when_the_environment_names_it(
    workspace: Path, tmp_path: Path, named: dict[str, str], engine: str
):
    script = f"env > {tmp_path / 'given'}; exit 1"
    names = {**named, "POSTGRE_PASSWORD": "of-the-database", "OPENAI_API_KEY": "of-the-teacher"}
    with started(workspace, free_port(), stand_in(tmp_path / "env", script), **names) as serve:
        assert serve.process.wait(60) == 2
        given = dict(line.split("=", 1) for line in (tmp_path / "given").read_text().splitlines())
        assert given["DJANGO_DB"] == engine
        assert given["POSTGRE_PASSWORD"] == "of-the-database"
        assert named.items() <= given.items()
        assert "of-the-teacher" not in given.values()
        assert "of-the-database" not in serve.text


def test_a_workspace_that_cannot_be_used_and_bad_words_are_said_plainly(tmp_path: Path):
    (tmp_path / "file").touch()
    for workspace, port, email, message in (
        (tmp_path / "file", 8080, EMAIL, "cannot use .*file/label-studio: Not a directory"),
        (tmp_path / "W", 70000, EMAIL, "port 70000 is none: give --port a number from 1 to 65535"),
        (tmp_path / "W", free_port(), "me", "'me' is no e-mail address"),
    ):
        stand = stand_in(tmp_path / str(port), "exit 1")
        with pytest.raises(UserError, match=message), serving(workspace, port, email, stand, print):
            pytest.fail("it started")
    for front in ("review.example.org", "https://review.example.org/label-studio", "ftp://review.example.org"):
        with pytest.raises(ReviewError, match=f"'{front}' is no address of a front"):
            serve(tmp_path / "W", 8080, EMAIL, None, print, front)
    assert not (tmp_path / "W").exists()


def test_damaged_files_are_named(workspace: Path):
    folder = home(workspace)
    folder.mkdir(parents=True)
    (folder / "account.json").write_text("{}")
    with pytest.raises(ReviewError, match=r"account\.json is damaged"):
        account_of(folder, EMAIL)
    (folder / "token").write_text("t")
    (folder / "server.json").write_text('{"url": ')
    with pytest.raises(
        ReviewError, match=r"label-studio cannot be read \(JSONDecodeError\): run `expertad review serve`"
    ):
        known(workspace)


def test_nobody_answers(workspace: Path):
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ReviewError, match=r"does not answer \(ConnectError\): start it with `expertad review serve`"):
        accepted(url, "token")
    with client(url) as nobody, pytest.raises(httpx.ConnectError):
        nobody.get("/health")
