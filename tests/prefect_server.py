"""A real Prefect server for tests, in a home of its own."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import REPOSITORY, environment

PREFECT = [sys.executable, "-m", "prefect"]


def free_port() -> int:
    """A free port below those that the system gives to outgoing connections, which could take it before its server."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Prefect:
    """A real server with its own home, and Prefect's command line against it."""

    def __init__(self, home: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/api"
        self.env = environment(
            PREFECT_HOME=str(home),
            PREFECT_API_URL=self.url,
            PREFECT_WORKER_QUERY_SECONDS="2",
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
        )
        self.log = home / "log.txt"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, cwd: Path = REPOSITORY) -> None:
        with self.log.open("ab") as log:
            self._running.append(
                subprocess.Popen([*PREFECT, *words], cwd=cwd, env=self.env, stdout=log, stderr=subprocess.STDOUT)
            )

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*PREFECT, *words], cwd=REPOSITORY, env=self.env, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, payload: dict | None = None) -> list | dict:
        data = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())

    def wait_for(self, what: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end or any(process.poll() is not None for process in self._running):
                pytest.fail(f"Prefect did not come up in {seconds} s:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.5)

    def healthy(self) -> bool:
        try:
            self.ask("/admin/version")
        except OSError:
            return False
        return True

    def stop(self) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            process.wait(30)


@contextmanager
def running(home: Path) -> Iterator[Prefect]:
    """A server that answers, ended with everything started beside it."""
    made = Prefect(home)
    made.start("server", "start", "--host", "127.0.0.1", "--port", made.url.split(":")[2].split("/")[0])
    try:
        made.wait_for(made.healthy, 120)
        yield made
    finally:
        made.stop()
