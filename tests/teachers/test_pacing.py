from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertad.teachers.pacing import Pacer, full_jitter, retry_after_seconds
from tests.teachers.helpers import Clock


class Enforcer:
    """An account's limits as a server keeps them: buckets of two seconds' depth, never less than one request."""

    def __init__(self, rpm: float | None, tpm: float | None, clock: Clock) -> None:
        self._clock = clock
        self._rates = [(rpm or 1e12) / 60, (tpm or 1e12) / 60]
        self._levels = [max(2 * self._rates[0], 1.0), 2 * self._rates[1]]
        self._at = clock.now

    def admits(self, tokens: int) -> bool:
        passed, self._at = self._clock.now - self._at, self._clock.now
        for index, amount in enumerate((1.0, float(tokens))):
            depth = max(2 * self._rates[index], amount)
            self._levels[index] = min(depth, self._levels[index] + passed * self._rates[index])
        if self._levels[0] < 1 - 1e-6 or self._levels[1] < tokens - 1e-6:
            return False
        self._levels[0] -= 1
        self._levels[1] -= tokens
        return True


def run_paced(rpm: float | None, tpm: float | None, used: list[int], guess: float = 1.0) -> tuple[float, int]:
    """Send requests that use `used` tokens, estimated wrongly by the factor `guess`; seconds taken and refusals."""
    clock = Clock()
    pacer = Pacer(rpm, tpm, clock=clock.read, sleep=clock.sleep)
    server = Enforcer(rpm, tpm, clock)

    async def run() -> int:
        refused = 0
        for tokens in used:
            estimate = round(tokens * guess)
            await pacer.acquire(estimate)
            refused += not server.admits(tokens)
            pacer.settle(estimate, tokens)
        return refused

    refused = asyncio.run(run())
    return clock.now - 1000, refused


@pytest.mark.parametrize("rpm", [60, 1200, 3000])
def test_requests_reach_the_limit_without_one_refusal(rpm: int) -> None:
    count = rpm * 3
    seconds, refused = run_paced(rpm, None, [10] * count)
    assert refused == 0
    assert count / seconds * 60 >= 0.95 * rpm


@pytest.mark.parametrize("tpm", [100_000, 1_000_000])
@pytest.mark.parametrize("guess", [1.0, 0.85, 1.2])
def test_tokens_reach_the_limit_without_one_refusal(tpm: int, guess: float) -> None:
    used = [2500, 2900, 1200] * (tpm // 2200)
    seconds, refused = run_paced(None, tpm, used, guess)
    assert refused == 0
    assert sum(used) / seconds * 60 >= 0.95 * tpm


@given(
    st.sampled_from([None, 60, 600, 1200]),
    st.sampled_from([None, 60_000, 1_000_000]),
    st.lists(st.integers(1, 20_000), min_size=1, max_size=60),
)
def test_both_limits_hold_together_for_any_sizes(rpm: int | None, tpm: int | None, used: list[int]) -> None:
    _, refused = run_paced(rpm, tpm, used)
    assert refused == 0


def test_waiting_askers_are_served_in_order() -> None:
    clock = Clock()
    pacer = Pacer(60, clock=clock.read, sleep=clock.sleep)
    served: list[int] = []

    async def one(number: int) -> None:
        await pacer.acquire(1)
        served.append(number)

    async def run() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(run())
    assert served == list(range(20))


def test_a_429_pauses_all_and_is_counted_once_for_what_was_under_way() -> None:
    clock = Clock()
    pacer = Pacer(6000, clock=clock.read, sleep=clock.sleep, chance=lambda: 0.0)
    first = pacer.throttled(None)
    assert first > 0
    assert pacer.throttled(None) == pytest.approx(first)

    async def run() -> None:
        await pacer.acquire(1)

    asyncio.run(run())
    assert clock.now - 1000 >= first


def test_pauses_grow_with_each_429_and_start_afresh_after_a_success() -> None:
    clock = Clock()
    pacer = Pacer(6000, clock=clock.read, sleep=clock.sleep, chance=lambda: 1.0)
    pauses = []
    for _ in range(8):
        pauses.append(pacer.throttled(None))
        clock.now += pauses[-1] + 0.001
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 60
    pacer.succeeded()
    assert pacer.throttled(None) == pytest.approx(pauses[0])


def test_after_a_429_the_pace_is_lower_and_later_full_again() -> None:
    clock = Clock()
    pacer = Pacer(600, clock=clock.read, sleep=clock.sleep, chance=lambda: 0.0)

    async def rate(count: int) -> float:
        began = clock.now
        for _ in range(count):
            await pacer.acquire(1)
        return count / (clock.now - began)

    async def run() -> tuple[float, float, float]:
        before = await rate(100)
        clock.now += pacer.throttled(None)
        lower = await rate(100)
        for _ in range(10):
            clock.now += 61
            await pacer.acquire(1)
        await rate(20)
        return before, lower, await rate(100)

    before, lower, later = asyncio.run(run())
    assert lower < 0.8 * before
    assert later > 9.5


class Blocks:
    """A common allowance that counts what is taken from it."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    async def take(self, requests: int, tokens: int) -> None:
        self.taken.append((requests, tokens))


def test_shared_limits_are_taken_in_blocks_that_cover_what_is_used() -> None:
    clock, shared = Clock(), Blocks()
    pacer = Pacer(600, 600_000, shared=shared, clock=clock.read, sleep=clock.sleep)

    async def run() -> None:
        for _ in range(200):
            await pacer.acquire(900)
            pacer.settle(900, 1000)

    asyncio.run(run())
    requests, tokens = (sum(column) for column in zip(*shared.taken, strict=True))
    assert 200 <= requests <= 240
    assert 198_000 <= tokens <= 260_000
    assert len(shared.taken) <= 15


@given(st.integers(1, 30), st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded_and_uses_its_full_range(attempt: int, chance: float) -> None:
    wait = full_jitter(attempt, base=1.0, cap=60.0, chance=lambda: chance)
    assert 0 <= wait <= min(60.0, 2.0 ** (attempt - 1))
    assert wait == pytest.approx(chance * min(60.0, 2.0 ** (attempt - 1)))


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("1e999", None),
        ("nan", None),
    ],
)
def test_retry_after_in_both_forms(value: Any, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=40))
def test_any_header_is_read_or_ignored(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or 0 <= seconds < float("inf")
