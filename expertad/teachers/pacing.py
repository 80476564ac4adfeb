"""Keeps requests under an account's limits: requests and tokens per minute together, enforced per second.

DashScope counts RPM/60 and TPM/60 in every second over the whole account (input and output tokens), so both buckets
here hold one second's worth, and a request larger than that waits until it has been saved up. What a request will
cost is estimated before and settled after with what the server counted.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

_DEPTH_S = 1.0
_HEADROOM = 0.985
"""Share of the set limit that is used: clocks differ, and one 429 costs more than this."""


_INSTANT_S = 1e-6
"""Shorter waits are rounding, which no sleep would ever end."""


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class SharedLimits(Protocol):
    """A limit that several machines share. `take` returns when the block asked for may be used."""

    async def take(self, requests: int, tokens: int) -> None:
        """Wait for, and use up, that many requests and tokens of the common allowance."""
        ...


class _Bucket:
    """A token bucket whose depth is never less than the amount just asked for."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60 * _HEADROOM
        self._level = self._rate * _DEPTH_S
        self._at = now
        self.factor = 1.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is there; 0.0 when it is."""
        rate = self._rate * self.factor
        depth = max(self._rate * _DEPTH_S, amount)
        self._level = min(depth, self._level + (now - self._at) * rate)
        self._at = now
        return max(0.0, (amount - self._level) / rate)

    def take(self, amount: float) -> None:
        self._level -= amount

    def drain(self) -> None:
        """Forget what was saved up."""
        self._level = min(self._level, 0.0)


class Pacer:
    """Lets requests through at the pace of the account, first come first served.

    Args:
        rpm: requests a minute; None for no limit.
        tpm: tokens a minute, input and output together; None for no limit.
        shared: an allowance shared with other machines, taken in blocks of two seconds' worth of both limits, so that
            no block is larger than `rpm / 30` requests and `tpm / 30` tokens.
        clock: monotonic seconds.
        sleep: waits that many seconds.
        chance: uniform in [0, 1), for jitter.
    """

    def __init__(
        self,
        rpm: float | None = None,
        tpm: float | None = None,
        *,
        shared: SharedLimits | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._sleep, self._chance, self._shared = clock, sleep, chance, shared
        self._requests = _Bucket(rpm, clock()) if rpm else None
        self._tokens = _Bucket(tpm, clock()) if tpm else None
        self._block_requests = max(1, round((rpm or 600) / 30))
        self._block_tokens = max(1, round((tpm or 600_000) / 30))
        self._left_requests, self._left_tokens = 0, 0
        self._turn = asyncio.Lock()
        self._paused_until = 0.0
        self._streak = 0
        self._slowed_at = float("-inf")

    async def acquire(self, tokens: int) -> None:
        """Wait until one request of about `tokens` tokens may go out."""
        async with self._turn:
            while True:
                now = self._clock()
                self._recover(now)
                wait = self._paused_until - now
                if wait <= 0:
                    wait = max(
                        self._requests.wait(1, now) if self._requests else 0.0,
                        self._tokens.wait(tokens, now) if self._tokens else 0.0,
                    )
                if wait <= _INSTANT_S:
                    break
                await self._sleep(wait)
            if self._shared is not None:
                await self._take_shared(tokens)
            if self._requests:
                self._requests.take(1)
            if self._tokens:
                self._tokens.take(tokens)

    def settle(self, estimated: int, actual: int) -> None:
        """Correct the token bucket by what a finished request really used."""
        if self._tokens:
            self._tokens.take(actual - estimated)
        self._left_tokens -= actual - estimated

    def throttled(self, retry_after: float | None) -> float:
        """The server said 429: pause everybody; returns the pause in seconds.

        Replies to requests that were already under way when a pause began do not lengthen it, unless the server
        names a later time.
        """
        now = self._clock()
        fresh = now >= self._paused_until
        if fresh:
            self._streak += 1
            self._slowed_at = now
            for bucket in (self._requests, self._tokens):
                if bucket:
                    bucket.factor = max(0.1, bucket.factor * 0.7)
                    bucket.drain()
        if retry_after is not None:
            pause = retry_after + 0.25 * self._chance()
        elif fresh:
            pause = min(60.0, 2.0**self._streak) * (0.5 + 0.5 * self._chance())
        else:
            pause = 0.0
        self._paused_until = max(self._paused_until, now + pause)
        return self._paused_until - now

    def succeeded(self) -> None:
        """A reply came: the next 429 is a new story."""
        self._streak = 0

    def _recover(self, now: float) -> None:
        """After a minute without a 429 the full pace is tried again."""
        if now - self._slowed_at > 60:
            for bucket in (self._requests, self._tokens):
                if bucket:
                    bucket.factor = min(1.0, bucket.factor / 0.7)
            self._slowed_at = now

    async def _take_shared(self, tokens: int) -> None:
        assert self._shared is not None
        while self._left_requests < 1 or self._left_tokens < tokens:
            await self._shared.take(self._block_requests, self._block_tokens)
            self._left_requests += self._block_requests
            self._left_tokens += self._block_tokens
        self._left_requests -= 1
        self._left_tokens -= tokens


def full_jitter(attempt: int, *, base: float, cap: float, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before retry number `attempt` (from 1): uniform in [0, min(cap, base * 2**(attempt - 1)))."""
    return chance() * min(cap, base * 2.0 ** (attempt - 1))


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """A Retry-After header in seconds from now, either form of RFC 9110 section 10.2.3; None when unreadable."""
    if value is None:
        return None
    text = value.strip()
    return float(text) if _SECONDS.fullmatch(text) else _until(text, now)


def _until(text: str, now: datetime | None) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
