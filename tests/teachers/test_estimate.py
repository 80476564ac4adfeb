from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from expertad.sources.drawn import draw
from expertad.sources.real_iad import RealIAD
from expertad.teachers.asking import each
from expertad.teachers.calls import MemoryCallLog
from expertad.teachers.estimate import Estimate, estimate
from tests.support import BSDATA
from tests.teachers import photographs
from tests.teachers.helpers import PRICE, both, finish, make_asker
from tests.teachers.loopback import Loopback


def ask_all(server: Loopback, log: MemoryCallLog, cases: list[Any]) -> None:
    asker = make_asker(server, log)

    async def run() -> None:
        async for _ in each(cases, lambda case: both(asker, case), at_once=8):
            pass

    finish(asker, run())


def estimated(server: Loopback, log: MemoryCallLog, cases: list[Any], sample: int, **limits: Any) -> Estimate:
    asker = make_asker(server, log)
    limits = {"rpm": None, "tpm": None, **limits}
    return finish(asker, estimate(cases, asker, price=PRICE, sample=sample, **limits))


@pytest.fixture
def cases(make_case: Any) -> list[Any]:
    sizes = [(300, 200), (640, 480), (1130, 460), (96, 80)]
    return [
        make_case(number, anomalous=number % 2 == 0, shot=int(number % 5 == 0), size=sizes[number % 4])
        for number in range(60)
    ]


def test_estimate_is_within_a_tenth_of_what_is_then_used(cases: list[Any]) -> None:
    log = MemoryCallLog()
    with Loopback() as server:
        found = estimated(server, log, cases, sample=8)
        assert len(server.hits) == 16
        ask_all(server, log, cases)
        assert len(server.hits) == 120
    used = sum(call.input_tokens + call.output_tokens for call in log.calls)
    images = sum(call.image_tokens for call in log.calls)
    assert found.tokens == pytest.approx(used, rel=0.1)
    assert sum(stage.image_tokens for stage in found.stages.values()) == pytest.approx(images, rel=0.02)
    assert found.cost == pytest.approx(sum(call.cost for call in log.calls), rel=0.1)


def test_sample_is_kept_and_not_paid_twice(cases: list[Any]) -> None:
    log = MemoryCallLog()
    with Loopback() as server:
        estimated(server, log, cases, sample=4)
        found = estimated(server, log, cases, sample=4)
        assert len(server.hits) == len(log.calls) == 8
    assert found.stages["describe"].left == found.stages["distill"].left == 56


def test_nothing_is_asked_without_a_sample(cases: list[Any]) -> None:
    log = MemoryCallLog()
    with Loopback() as server:
        found = estimated(server, log, cases, sample=0)
        assert server.hits == []
        ask_all(server, log, cases)
    used = sum(call.input_tokens + call.output_tokens for call in log.calls)
    assert found.tokens == pytest.approx(used, rel=0.35)


def test_what_is_settled_counts_at_what_it_used(cases: list[Any]) -> None:
    log = MemoryCallLog()
    with Loopback() as server:
        ask_all(server, log, cases)
        found = estimated(server, log, cases, sample=0, rpm=60)
    assert found.tokens == sum(call.input_tokens + call.output_tokens for call in log.calls)
    assert found.cost == pytest.approx(sum(call.cost for call in log.calls))
    assert found.hours == 0
    assert all(stage.left == 0 for stage in found.stages.values())


def test_hours_come_from_the_limit_that_binds(cases: list[Any]) -> None:
    with Loopback() as server:
        by_requests = estimated(server, MemoryCallLog(), cases, sample=0, rpm=6)
        by_tokens = estimated(server, MemoryCallLog(), cases, sample=0, rpm=6000, tpm=1000)
    assert by_requests.hours == pytest.approx(120 / 6 / 60)
    assert by_requests.bound_by == "requests a minute"
    assert by_tokens.bound_by == "tokens a minute"
    assert by_tokens.hours == pytest.approx(by_tokens.tokens / 1000 / 60, rel=0.01)
    assert any("CNY" in line for line in by_tokens.lines())


@pytest.mark.slow
def test_estimate_holds_on_real_and_drawn_photographs(tmp_path: Path) -> None:
    draw(tmp_path, parts=6, size=512)
    real = photographs.cases(RealIAD(BSDATA), 70)
    cases = real + photographs.cases(RealIAD(tmp_path), 200 - len(real))
    assert len(cases) == 200
    log = MemoryCallLog()
    with Loopback() as server:
        found = estimated(server, log, cases, sample=12)
        ask_all(server, log, cases)
        assert len(server.hits) == len(log.calls) == 400
    used = sum(call.input_tokens + call.output_tokens for call in log.calls)
    images = sum(call.image_tokens for call in log.calls)
    assert found.tokens == pytest.approx(used, rel=0.1)
    assert sum(stage.image_tokens for stage in found.stages.values()) == images
