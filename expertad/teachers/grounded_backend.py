"""The grounded writer as a teacher: no model and no network; text from measurements of the files and the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from expertad.errors import DataError
from expertad.sample import Case
from expertad.teachers.base import Fault, RawReply, Request, Usage

Describe = Callable[[Case], Mapping[str, Any]]
Distill = Callable[[Case, str], Mapping[str, Any]]


class GroundedBackend:
    """Wraps the two pure functions of `expertad.teachers.grounded`.

    Args:
        describe: case -> description reply.
        distill: case, description -> distill reply.
        model: name and version of the functions; part of the key, so that other text is written when they change.
        threads: how many samples are measured at a time.
    """

    name = "grounded"
    host = ""
    remote = False

    def __init__(self, describe: Describe, distill: Distill, model: str, threads: int = 2) -> None:
        self.model = model
        self.parameters: Mapping[str, Any] = {}
        self._describe, self._distill = describe, distill
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    async def send(self, request: Request) -> RawReply:
        """Write the reply in a thread; a file that cannot be measured is a quarantine."""
        self._pool = self._pool or ThreadPoolExecutor(self._threads, "grounded")
        started = time.monotonic()
        try:
            text = await asyncio.get_running_loop().run_in_executor(self._pool, self._write, request)
        except DataError as error:
            raise Fault("quarantine", str(error), code="unreadable") from error
        latency = time.monotonic() - started
        return RawReply(text, text, self.model, finish_reason="stop", usage=Usage(), latency_s=latency)

    def _write(self, request: Request) -> str:
        if request.stage == "describe":
            return orjson.dumps(self._describe(request.case)).decode()
        return orjson.dumps(self._distill(request.case, request.description or "")).decode()

    async def aclose(self) -> None:
        """End the threads; the next `send` starts them again."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
