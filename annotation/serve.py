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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import httpx

from annotation.access import Access, account_of, check_email, home, invite, known, token_of, write_private
from annotation.child import listens
from annotation.environment import Say, ensure
from annotation.program import HOST, Program, check_front, stop
from expertad.errors import AbortError, DiskFull, ReviewError
from expertad.workspace import write_errors

__all__ = ["Access", "Server", "invite", "known", "serve", "serving"]

ENOUGH_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A Label Studio that answers."""

    access: Access
    program: Program
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
    raise AbortError(f"Label Studio ended by itself with code {code}; {server.program.last_words()}")


def _welcome(server: Server, workspace: Path) -> Iterator[str]:
    url, port = server.access.url, server.access.url.rsplit(":", 1)[1]
    yield f"Label Studio answers at {url}; Ctrl-C ends it"
    account = server.program.folder / "account.json"
    yield f"log in as {server.program.account.email}; the password is in {account}"
    yield f"colleagues join through the link that `expertad review invite --workspace {quote(str(workspace))}` prints"
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
    check_email(email)
    if public_url is not None:
        check_front(public_url)
    folder, url = home(workspace), f"http://{HOST}:{port}"
    with write_errors(folder):
        for part in (folder, folder / "files"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.chmod(0o700)
    with _only_server(folder, url):
        _must_be_free(port)
        path = ensure(environment, say)
        with write_errors(folder):
            if shutil.disk_usage(folder).free < ENOUGH_BYTES:
                raise DiskFull(f"no space is left for Label Studio in {folder}; free some and run again")
            for half_written in folder.glob("*.part"):
                half_written.unlink()
            program = Program(path, folder, account_of(folder, email), public_url)
            program.new_log()
        if program.account.email != email.lower():
            say(f"this workspace's account is {program.account.email}, as it was made first")
        program.make_data(say)
        process = program.start(port)
        try:
            _prove(program, process, port, say)
            with write_errors(folder):
                access = Access(url, token_of(folder, url, program.account), folder / "files", public_url)
                found = {"url": url, "public_url": public_url, "pid": process.pid}
                write_private(folder / "server.json", json.dumps(found) + "\n")
            yield Server(access, program, process)
        finally:
            stop(process)


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


def _prove(program: Program, process: subprocess.Popen[bytes], port: int, say: Say) -> None:
    """Return when this very process, and not whoever else, answers on this port."""
    say("Label Studio is starting")
    if not program.wait(process, lambda: _decided(process.pid, port), say):
        raise ReviewError(
            f"Label Studio did not start: it ended with code {process.returncode}; {program.last_words()}"
        )
    if port not in listens(process.pid):
        raise ReviewError(
            f"port {port} was taken by something else while Label Studio started: choose another with --port"
        )


def _decided(pid: int, port: int) -> bool:
    """Whether it answers, or listens elsewhere and never will."""
    ports = listens(pid)
    return _healthy(port) if port in ports else bool(ports)


def _healthy(port: int) -> bool:
    try:
        return bool(httpx.get(f"http://{HOST}:{port}/health", timeout=30, trust_env=False).is_success)
    except httpx.HTTPError:
        return False
