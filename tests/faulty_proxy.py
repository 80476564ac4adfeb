"""A proxy on loopback that does to requests what bad networks and busy servers do, by a seeded plan."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("cut before", "cut after", "cut inside", "delay", "repeat", "503 before", "502 after")
"""Before: the server never sees the request. After: it does, and its answer is lost."""
DELAY_S = 0.2


class Proxy:
    """What the proxy was told to do, and what it did."""

    def __init__(self, upstream: str, seed: int, share: float) -> None:
        self.upstream = urlsplit(upstream)
        self.share = share
        self.done: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.url = ""

    def fault(self, method: str, path: str) -> str:
        """What to do to this request; "" lets it pass."""
        with self._lock:
            if self._random.random() >= self.share:
                return ""
            fault = self._random.choice(FAULTS)
            self.done[f"{fault}: {kind_of(method, path)}"] += 1
            return fault


def kind_of(method: str, path: str) -> str:
    """What a request is about."""
    plain = path.split("?")[0]
    if plain.startswith("/api/token/refresh"):
        return "refresh"
    if plain.endswith("/import"):
        return "import"
    if plain.endswith("/export"):
        return "export"
    return f"{method} other"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault(self.command, self.path)
        if fault == "cut before":
            return self._cut()
        if fault == "503 before":
            return self._answer(503, [], b"busy")
        if fault == "delay":
            threading.Event().wait(DELAY_S)
        status, headers, reply = self._forward(body)
        if fault == "repeat":
            status, headers, reply = self._forward(body)
        if fault == "cut after":
            return self._cut()
        if fault == "502 after":
            return self._answer(502, [], b"bad gateway")
        self._answer(status, headers, reply, cut=fault == "cut inside")

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _handle

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.proxy.upstream.hostname, self.proxy.upstream.port, timeout=120)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            upstream.request(self.command, self.path, body or None, kept)
            reply = upstream.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()


@contextmanager
def faulty(upstream: str, *, seed: int, share: float = 0.35) -> Iterator[Proxy]:
    """A proxy before a server that harms this share of the requests.

    Args:
        upstream: address of the server.
        seed: of the plan.
        share: 0 to 1.
    """
    proxy = Proxy(upstream, seed, share)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
