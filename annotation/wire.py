"""A transport that survives a bad wire: whatever may be sent twice is sent again, and nothing else.

The SDK resends every request, imports too, so that ten tasks become twenty. Its own retries are switched off
(`annotation.server`), and this transport, handed to its HTTP client, repeats only what changes nothing when repeated.
What may not be repeated raises `httpx.TransportError` or returns the 5xx answer, and the caller looks at the server
before it sends again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import httpx

PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between tries: some 16 s in all, about as long as a restarted server takes."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
SAFE_PATHS = ("/api/token/refresh/", "/api/dm/actions")
"""POSTs that change nothing when repeated: a new access token, and the deletion of tasks named by their ids."""


class PatientTransport(httpx.BaseTransport):
    """Tries again after a broken connection, a cut answer, a 5xx or a 429.

    Args:
        inner: who sends.
        pauses: seconds to wait before each further try.
        sleep: waits.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        pauses: Sequence[float] = PAUSES_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._pauses = pauses
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and read the whole answer, so that one that is cut is noticed here."""
        pauses = iter(self._pauses if may_repeat(request) else ())
        request.read()
        while True:
            pause = next(pauses, None)
            try:
                response = _whole(self._inner.handle_request(request))
            except httpx.TransportError:
                if pause is None:
                    raise
            else:
                if pause is None or not (response.status_code >= 500 or response.status_code == 429):
                    return response
            self._sleep(pause)

    def close(self) -> None:
        """Close the sender's connections."""
        self._inner.close()


def may_repeat(request: httpx.Request) -> bool:
    """True when sending this twice is the same as sending it once."""
    return request.method in SAFE_METHODS or (request.method == "POST" and request.url.path in SAFE_PATHS)


def _whole(response: httpx.Response) -> httpx.Response:
    try:
        body = b"".join(response.stream)  # type: ignore[arg-type]  # a synchronous transport's stream
    finally:
        response.close()
    return httpx.Response(response.status_code, headers=response.headers, content=body, extensions=response.extensions)
