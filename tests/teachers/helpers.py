"""Small real parts that the teachers' tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from expertad.teachers.asking import Asker
from expertad.teachers.base import Backend
from expertad.teachers.dashscope_native import DashScopeBackend
from expertad.teachers.encode import ImageEncoder
from expertad.teachers.money import Price
from expertad.teachers.openai_compatible import OpenAICompatibleBackend
from expertad.teachers.secret import Secret
from tests.teachers.loopback import MODEL, Loopback

T = TypeVar("T")

KEY = "sk-loopback-0123456789abcdef"
BACKENDS = ("openai", "dashscope")
PRICE = Price(1.6, 4.0, "CNY")
PARAMETERS = {"temperature": 0.5, "response_format": {"type": "json_object"}}


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def make_backend(name: str, server: Loopback, key: str = KEY) -> Backend:
    kind = DashScopeBackend if name == "dashscope" else OpenAICompatibleBackend
    return kind(MODEL, server.url(name), Secret(key), PARAMETERS)


def make_asker(server: Loopback, log: Any, name: str = "openai", **options: Any) -> Asker:
    options.setdefault("price", PRICE)
    return Asker(make_backend(name, server), log, encoder=ImageEncoder(threads=1), **options)


def finish(asker: Asker, work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and close the asker's connections."""

    async def run() -> T:
        try:
            return await work
        finally:
            await asker.aclose()

    return asyncio.run(run())


async def both(asker: Asker, case: Any) -> Any:
    """Both steps of a case."""
    described = await asker.describe(case)
    return await asker.distill(case, described)
