"""What is sent again, and what never is."""

from __future__ import annotations

import httpx
import pytest

from annotation.server import Server, Unreachable
from annotation.wire import PatientTransport
from expertad.errors import ReviewError

COOKIE = "sessionid=secret-session"
TOKEN = "a-legacy-token-of-forty-hexadecimal-digits"


class Wire(httpx.BaseTransport):
    """A wire that plays a list of happenings, then answers; it counts what was sent."""

    def __init__(self, *happenings: int | Exception, answer: object = None) -> None:
        self.happenings = list(happenings)
        self.answer = answer
        self.sent: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(f"{request.method} {request.url.path}")
        if self.happenings:
            happening = self.happenings.pop(0)
            if isinstance(happening, Exception):
                raise happening
            return httpx.Response(happening, headers={"set-cookie": COOKIE}, json={"detail": "no"}, request=request)
        return httpx.Response(200, json=self.answer, request=request)


def patient(wire: Wire) -> tuple[httpx.Client, list[float]]:
    waited: list[float] = []
    return httpx.Client(transport=PatientTransport(wire, sleep=waited.append), base_url="http://ls"), waited


@pytest.mark.parametrize("happening", [httpx.ConnectError("no"), httpx.RemoteProtocolError("cut"), 500, 503, 429])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/tasks/"), ("PATCH", "/api/projects/1/"), ("DELETE", "/api/projects/1/"),
     ("POST", "/api/token/refresh/"), ("POST", "/api/dm/actions")],
)  # fmt: skip
def test_what_changes_nothing_when_repeated_is_sent_again(happening: int | Exception, method: str, path: str):
    wire = Wire(happening, happening, answer={"ok": True})
    client, waited = patient(wire)
    assert client.request(method, path).json() == {"ok": True}
    assert wire.sent == [f"{method} {path}"] * 3
    assert waited == sorted(waited)
    assert len(waited) == 2


@pytest.mark.parametrize("path", ["/api/projects/1/import", "/api/projects/", "/api/storages/localfiles/"])
def test_what_makes_something_is_sent_once(path: str):
    wire = Wire(503)
    client, waited = patient(wire)
    assert client.post(path).status_code == 503
    wire.happenings.append(httpx.ReadError("cut"))
    with pytest.raises(httpx.ReadError):
        client.post(path)
    assert wire.sent == [f"POST {path}"] * 2
    assert waited == []


def test_a_server_that_stays_away_is_given_up():
    wire = Wire(*[httpx.ConnectError("no")] * 100)
    client, waited = patient(wire)
    with pytest.raises(httpx.ConnectError):
        client.get("/api/tasks/")
    assert len(wire.sent) == len(waited) + 1
    assert sum(waited) > 10


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(401, ReviewError, "refused the token"), (403, ReviewError, "refused the token"), (400, ReviewError, "no"),
     (404, ReviewError, "nothing there"), (409, Unreachable, "run again")],
)  # fmt: skip
def test_errors_say_what_to_do_and_hold_neither_token_nor_cookies(status: int, kind: type[Exception], words: str):
    with Server("http://ls", TOKEN, Wire(*[status] * 20)) as server, pytest.raises(kind) as raised:
        server.import_tasks(1, [{"data": {}}])
    assert words in str(raised.value)
    assert "http://ls" in str(raised.value)
    for secret in (TOKEN, COOKIE, "set-cookie", "Authorization"):
        assert secret not in str(raised.value)
    assert raised.value.__cause__ is None
