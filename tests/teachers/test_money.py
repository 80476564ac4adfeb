from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from expertad.errors import BudgetExceeded, ConfigError
from expertad.teachers.asking import Described, Limits, each
from expertad.teachers.base import Usage
from expertad.teachers.calls import MemoryCallLog
from expertad.teachers.money import Budget, Price, price_of
from expertad.teachers.registry import TeacherSettings
from expertad.teachers.registry import make_asker as make_asker_from
from tests.teachers.helpers import PRICE, both, finish, make_asker
from tests.teachers.loopback import Loopback


def test_cost_is_per_million_tokens_and_half_in_a_batch() -> None:
    price = Price(1.6, 4.0, "CNY")
    usage = Usage(2_650_000, 500_000)
    assert price.cost(usage) == pytest.approx(2.65 * 1.6 + 0.5 * 4.0)
    assert price.cost(usage, via="batch") == pytest.approx(price.cost(usage) / 2)


def test_configured_price_wins_over_the_list() -> None:
    assert price_of("qwen-vl-max", "intl", {}) == Price(0.8, 3.2, "USD")
    own = {"qwen-vl-max": {"input": 1, "output": 2, "currency": "EUR"}}
    assert price_of("qwen-vl-max", "intl", own) == Price(1.0, 2.0, "EUR")
    assert price_of("some-model", "cn", {}) is None


@pytest.mark.parametrize(
    "entry", [{"input": 1}, {"input": "x", "output": 1, "currency": "EUR"}, {"input": -1, "output": 1, "currency": "E"}]
)
def test_unusable_price_is_named(entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="prices.m"):
        price_of("m", None, {"m": entry})


def test_budget_counts_what_is_under_way() -> None:
    budget = Budget(1.0, "CNY", spent=0.5)
    budget.reserve(0.3)
    with pytest.raises(BudgetExceeded, match="0.5"):
        budget.reserve(0.3)
    budget.settle(0.3, 0.1)
    budget.reserve(0.3)
    assert budget.spent == pytest.approx(0.6)


@pytest.mark.parametrize("at_once", [1, 16])
def test_run_stops_before_the_budget_is_passed_and_goes_on_with_a_larger_one(make_case: Any, at_once: int) -> None:
    log = MemoryCallLog()
    cases = [make_case(number, anomalous=number % 2 == 0) for number in range(30)]

    def run(limit: float) -> None:
        spent = sum(call.cost for call in log.calls)
        limits = Limits(at_once=at_once)
        asker = make_asker(server, log, budget=Budget(limit, PRICE.currency, spent), limits=limits)

        async def all_cases() -> None:
            async for _ in each(cases, lambda case: both(asker, case), at_once=at_once):
                pass

        finish(asker, all_cases())

    with Loopback() as server:
        with pytest.raises(BudgetExceeded, match="--budget"):
            run(0.02)
        spent = sum(call.cost for call in log.calls)
        assert 0.005 < spent <= 0.02
        assert len(server.hits) == len(log.calls)
        before = len(server.hits)
        run(10.0)
        assert len(server.hits) == 60
        assert before < 60
    assert len(log.calls) == 60


def test_no_call_is_made_without_money(make_case: Any) -> None:
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog(), budget=Budget(0.0, "CNY"))
        with pytest.raises(BudgetExceeded):
            finish(asker, asker.describe(make_case(1)))
    assert server.hits == []


def test_cost_and_tokens_are_counted_as_the_server_says(make_case: Any) -> None:
    log = MemoryCallLog()
    with Loopback() as server:
        asker = make_asker(server, log)
        assert isinstance(finish(asker, asker.describe(make_case(1))), Described)
    call = log.calls[0]
    assert call.image_tokens == 2 * (3 * 2 + 2)
    assert call.cost == pytest.approx((call.input_tokens * 1.6 + call.output_tokens * 4.0) / 1e6)
    assert asker.counts.cost == call.cost
    assert asker.counts.currency == call.currency == "CNY"


def test_two_teachers_can_share_one_purse_but_not_two_currencies() -> None:
    prices = {"one": {"input": 1, "output": 1, "currency": "CNY"}, "two": {"input": 1, "output": 1, "currency": "USD"}}
    settings = TeacherSettings(model="one", base_url="http://127.0.0.1:9/v1", prices=prices, budget=5.0)
    purse = Budget(5.0, "CNY")
    make_asker_from("openai", settings, MemoryCallLog(), budget=purse)
    with pytest.raises(ConfigError, match="one currency"):
        make_asker_from("openai", replace(settings, model="two"), MemoryCallLog(), budget=purse)
    with pytest.raises(ConfigError, match="needs the price of three"):
        make_asker_from("openai", replace(settings, model="three"), MemoryCallLog())
