"""A real Label Studio for tests, started in seconds from a database made once, and people who work in it.

with running(tmp_path / "W") as access:  # the workspace's own server, with account and token
    anna = join(access, "anna@example.org")
    anna.answer(task_id, [choice("decision", "question", "accept")])
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from prefect_server import free_port
from support import REPOSITORY

from annotation.access import Access, Account, client, home, invite, personal_token, submit
from annotation.environment import VARIABLE
from annotation.serve import Server, serving

ENVIRONMENT = Path(os.environ.get(VARIABLE) or REPOSITORY / ".venv-label-studio")
"""Label Studio's own environment, made by `make test` beforehand, and otherwise by the first test that needs it."""
EMAIL = "builder@example.org"
PASSWORD = "a-password-for-tests"


@cache
def template() -> Path:
    """A workspace whose server was started once: half a minute, once for all tests of a run."""
    folder = Path(tempfile.mkdtemp(prefix="expertad-label-studio-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with serving(folder, free_port(), EMAIL, ENVIRONMENT, print):
        pass
    return folder


def prepare(workspace: Path) -> None:
    """Give a workspace a database, an account and a token, as if it had been served before."""
    if not home(workspace).exists():
        left = shutil.ignore_patterns("lock", "server.*")
        shutil.copytree(home(template()), home(workspace), ignore=left)


@contextmanager
def server(workspace: Path, port: int | None = None) -> Iterator[Server]:
    """This workspace's server with its process and folder; started again later, it goes on from the same data."""
    prepare(workspace)
    with serving(workspace, port or free_port(), EMAIL, ENVIRONMENT, print) as made:
        yield made


@contextmanager
def running(workspace: Path, port: int | None = None) -> Iterator[Access]:
    """This workspace's server while the block runs, on a port of its own."""
    with server(workspace, port) as made:
        yield made.access


@dataclass(frozen=True)
class Person:
    """Somebody with an account on a server."""

    email: str
    access: Access
    password: str = field(default=PASSWORD, repr=False)

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """What the server answers this person."""
        with client(self.access.url) as caller:
            fresh = caller.post("/api/token/refresh/", json={"refresh": self.access.token}).raise_for_status()
            headers = {"Authorization": f"Bearer {fresh.json()['access']}"} | more.pop("headers", {})
            reply = caller.request(method, path, headers=headers, **more)
            assert reply.is_success, f"{reply.status_code} to {method} {path}: {reply.text[:2000]}"
            return reply.json() if reply.content else None

    def answer(self, task: int, result: list[dict[str, Any]], lead_time: float = 12.5) -> dict[str, Any]:
        """Submit an annotation, as the screen does."""
        return self.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": lead_time})

    def answer_again(self, annotation: int, result: list[dict[str, Any]], lead_time: float = 20.0) -> dict[str, Any]:
        """Change an annotation that was submitted."""
        return self.ask("PATCH", f"/api/annotations/{annotation}/", json={"result": result, "lead_time": lead_time})

    def skip(self, task: int) -> dict[str, Any]:
        """Put a task aside undecided."""
        return self.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": [], "was_cancelled": True})


def builder(access: Access) -> Person:
    """The one whose account `expertad review serve` made."""
    return Person(EMAIL, access, password="")


def join(access: Access, email: str) -> Person:
    """Somebody signs up through the invite link, and gets a token of their own."""
    link = httpx.URL(invite(access))
    with client(access.url) as visitor:
        reply = submit(visitor, link.raw_path.decode(), email=email, password=PASSWORD)
    assert reply.status_code == 302, reply.text[-2000:]
    token = personal_token(access.url, Account(email, PASSWORD))
    return Person(email, Access(access.url, token, access.document_root))


def choice(control: str, to: str, *values: str) -> dict[str, Any]:
    """The part of an annotation in which a Choices control says these values of the object tag `to`."""
    return {"from_name": control, "to_name": to, "type": "choices", "value": {"choices": list(values)}}


def text(control: str, to: str, value: str) -> dict[str, Any]:
    """The part of an annotation in which a TextArea control holds this text."""
    return {"from_name": control, "to_name": to, "type": "textarea", "value": {"text": [value]}}


@contextmanager
def steady(access: Access) -> Iterator[Callable[[int, list[dict[str, Any]]], None]]:
    """Submit annotations one after the other over one connection, with one access token at a time."""
    with client(access.url) as caller:
        sent = 0

        def post(task: int, result: list[dict[str, Any]]) -> None:
            nonlocal sent
            if sent % 500 == 0:
                fresh = caller.post("/api/token/refresh/", json={"refresh": access.token}).raise_for_status()
                caller.headers["Authorization"] = f"Bearer {fresh.json()['access']}"
            sent += 1
            reply = caller.post(f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": 9.5})
            assert reply.status_code == 201, reply.text[:500]

        yield post
