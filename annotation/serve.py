"""`expertad review serve`: a Label Studio of this workspace's own, on loopback, with settings that are safe.

Nobody outside this machine reaches it, nobody signs up without the invite link, it reports to nobody, and its files are
its owner's alone. It ends with the command, however that ends, and goes on from the same data when it is started again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from annotation.access import Access, Account, account_of, home, invite, known, token_of, write_private
from annotation.child import listens, tied
from annotation.environment import Say, ensure
from expertad.errors import AbortError, DiskFull, ReviewError
from expertad.workspace import write_errors

__all__ = ["Access", "Server", "invite", "known", "serve", "serving"]

HOST = "127.0.0.1"
START_SECONDS = 900.0
"""A first start makes the database: half a minute alone, several on a machine that is busy with other things."""
STOP_SECONDS = 15.0
TOLD_SECONDS = 15.0
ENOUGH_BYTES = 50_000_000

PASSED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DJANGO_DB", "LABEL_STUDIO_DJANGO_DB")
PASSED_PREFIXES = ("LC_", "POSTGRE_", "LABEL_STUDIO_POSTGRE_", "PG")
"""What the server sees of our environment: it reads plain names like DEBUG, HOST and PORT, set for other programs."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Label Studio that answers."""

    access: Access
    account: Account
    folder: Path
    process: subprocess.Popen[bytes]


def serve(
    workspace: Path, port: int, email: str, environment: Path | None, say: Say, public_url: str | None = None
) -> int:
    """Run this workspace's Label Studio until Ctrl-C or SIGTERM, and end it then.

    Args:
        workspace: the build's folder; everything of the server goes into its `label-studio`.
        port: on loopback.
        email: names the account, where there is none yet.
        environment: Label Studio's own virtual environment; None takes the usual one. Made on first use.
        say: takes one line for the user at a time; never a secret.
        public_url: `https://…` of the front through which other machines reach it, if any; it has to pass on the name
            it was asked by.

    Raises:
        ReviewError, WorkspaceError, DiskFull: it cannot be started; says why.
        AbortError: it ended by itself.
    """
    with _terminated_as_interrupted(), serving(workspace, port, email, environment, say, public_url) as server:
        try:
            for line in _welcome(server, workspace):
                say(line)
            code = server.process.wait()
        except KeyboardInterrupt:
            say("Label Studio is being stopped; everything is kept")
            return 0
    raise AbortError(f"Label Studio ended by itself with code {code}; {_last_words(server.folder, server.account)}")


def _welcome(server: Server, workspace: Path) -> Iterator[str]:
    url, port = server.access.url, server.access.url.rsplit(":", 1)[1]
    yield f"Label Studio answers at {url}; Ctrl-C ends it"
    yield f"log in as {server.account.email}; the password is in {server.folder / 'account.json'}"
    yield f"colleagues join through the link that `expertad review invite --workspace {workspace}` prints"
    if server.access.public_url:
        yield f"from another machine: {server.access.public_url}"
    else:
        yield f"from another machine: ssh -L {port}:{HOST}:{port} {socket.gethostname()}, then open {url}"


@contextmanager
def serving(
    workspace: Path, port: int, email: str, environment: Path | None, say: Say, public_url: str | None = None
) -> Iterator[Server]:
    """This workspace's Label Studio while the block runs; `serve` says what the arguments are and what is raised."""
    if not 0 < port < 65536:
        raise ReviewError(f"port {port} is none: give --port a number from 1 to 65535")
    names = _names(public_url)
    folder, url = home(workspace), f"http://{HOST}:{port}"
    with write_errors(folder):
        for part in (folder, folder / "data", folder / "files"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.chmod(0o700)
    with _only_server(folder, url):
        _must_be_free(port)
        program = ensure(environment, say)
        with write_errors(folder):
            if shutil.disk_usage(folder).free < ENOUGH_BYTES:
                raise DiskFull(f"no space is left for Label Studio in {folder}; free some and run again")
            for half_written in folder.glob("*.part"):
                half_written.unlink()
            account = account_of(folder, email)
            log = _new_log(folder)
        if account.email != email.lower():
            say(f"this workspace's account is {account.email}, as it was made first")
        try:
            process = subprocess.Popen(
                tied([program, "start", "--no-browser", "--internal-host", HOST, "--port", str(port)]),
                cwd=folder / "data", env=_environment(folder, account) | names, umask=0o077, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
                # Ctrl-C at the terminal reaches us alone, who then end it in order.
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)
        try:
            _wait_until_it_answers(process, folder, account, port, say)
            with write_errors(folder):
                access = Access(url, token_of(folder, url, account), folder / "files", public_url)
                found = {"url": url, "public_url": public_url, "pid": process.pid}
                write_private(folder / "server.json", json.dumps(found) + "\n")
            yield Server(access, account, folder, process)
        finally:
            _stop(process)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does. Python lets only the main thread say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _only_server(folder: Path, url: str) -> Iterator[None]:
    """Keep the folder to this process; the operating system lets go of it however the process ends."""
    with write_errors(folder):
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(lock, 500, 0).decode() or "a process that just starts it"
            raise ReviewError(
                f"Label Studio of this workspace is served already: {who}; use that one, or stop it"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}, at {url}".encode(), 0)
        yield
    finally:
        os.close(lock)


def _must_be_free(port: int) -> None:
    """Label Studio would silently take the next port."""
    with socket.socket() as probe:
        # As the server itself binds: connections of an earlier server that are still closing are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ReviewError(
                f"port {port} cannot be used ({error.strerror}): choose another with --port, or stop what uses it"
            ) from None


def _new_log(folder: Path) -> int:
    path = folder / "server.log"
    if path.exists():
        path.replace(folder / "server.log.1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _environment(folder: Path, account: Account) -> dict[str, str]:
    """The server's whole environment: the safe settings, the database, and what any program needs."""
    kept = {name: value for name, value in os.environ.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    return kept | _database(kept) | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_CORS_ALLOW_ALL_ORIGINS": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / "files"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
    }  # fmt: skip


def _names(public_url: str | None) -> dict[str, str]:
    """Settings for the names by which the server may be asked; it refuses every other."""
    own = f"{HOST},localhost"
    if public_url is None:
        return {"LABEL_STUDIO_ALLOWED_HOSTS": own}
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ReviewError(f"{public_url!r} is no address of a front: give one like https://review.example.org")
    return {
        "LABEL_STUDIO_ALLOWED_HOSTS": f"{own},{parts.hostname}",
        "LABEL_STUDIO_HOST": f"{parts.scheme}://{parts.netloc}",
        "LABEL_STUDIO_CSRF_TRUSTED_ORIGINS": f"{parts.scheme}://{parts.netloc}",
    }


def _database(environment: Mapping[str, str]) -> dict[str, str]:
    """PostgreSQL where the environment names it in Label Studio's own words; else SQLite in the folder."""
    if any(name.endswith("DJANGO_DB") for name in environment):
        return {}
    return {"DJANGO_DB": "default" if any(name.endswith("POSTGRE_HOST") for name in environment) else "sqlite"}


def _wait_until_it_answers(
    process: subprocess.Popen[bytes], folder: Path, account: Account, port: int, say: Say
) -> None:
    """Return when this very process, and not whoever else, answers on this port."""
    say("Label Studio is starting; the first time takes a minute or more")
    begun = time.monotonic()
    told = begun
    while True:
        if process.poll() is not None:
            words = _last_words(folder, account)
            raise ReviewError(f"Label Studio did not start (it ended with code {process.returncode}); {words}")
        ports = listens(process.pid)
        if port in ports and _healthy(port):
            return
        if ports and port not in ports:
            raise ReviewError(
                f"port {port} was taken by something else while Label Studio started: choose another with --port"
            )
        now = time.monotonic()
        if now - begun > START_SECONDS:
            words = _last_words(folder, account)
            raise ReviewError(f"Label Studio did not answer in {START_SECONDS:.0f} seconds; {words}")
        if now - told > TOLD_SECONDS:
            say(f"still starting, {now - begun:.0f} s")
            told = now
        time.sleep(0.2)


def _healthy(port: int) -> bool:
    try:
        return bool(httpx.get(f"http://{HOST}:{port}/health", timeout=30, trust_env=False).is_success)
    except httpx.HTTPError:
        return False


def _last_words(folder: Path, account: Account) -> str:
    """The end of the server's log, without the secrets that we gave it."""
    path = folder / "server.log"
    text = "\n".join(path.read_text(errors="replace").splitlines()[-12:])
    for secret in (account.password, os.environ.get("POSTGRE_PASSWORD"), os.environ.get("PGPASSWORD")):
        text = text.replace(secret, "…") if secret else text
    return f"its log, {path}, says last:\n{text}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
