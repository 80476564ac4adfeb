"""What calls cost: a price table, and a budget that stops before the next call would exceed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expertad.errors import BudgetExceeded, ConfigError
from expertad.teachers.base import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model per million tokens, in `currency` (ISO 4217); a batch costs `batch_share` of it."""

    input: float
    output: float
    currency: str
    batch_share: float = 0.5

    def cost(self, usage: Usage, *, via: str = "online") -> float:
        """Cost of one call, in `currency`."""
        full = (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6
        return full * self.batch_share if via == "batch" else full


KNOWN_PRICES: dict[tuple[str, str], Price] = {
    ("cn", "qwen-vl-max"): Price(1.6, 4.0, "CNY"),
    ("intl", "qwen-vl-max"): Price(0.8, 3.2, "USD"),
}
"""Vendor list prices by region and model, as of November 2026; a configured price wins."""


def price_of(model: str, region: str | None, configured: Mapping[str, Mapping[str, object]]) -> Price | None:
    """The configured price of a model, else the list price of its region, else None.

    Raises:
        ConfigError: the configured price is not `{input, output, currency}`.
    """
    entry = configured.get(model)
    if entry is None:
        return KNOWN_PRICES.get((region or "", model))
    try:
        price = Price(
            float(str(entry["input"])),
            float(str(entry["output"])),
            str(entry["currency"]),
            float(str(entry.get("batch_share", 0.5))),
        )
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"prices.{model}: needs input and output (per million tokens) and currency, has {dict(entry)} ({error})"
        ) from None
    if price.input < 0 or price.output < 0 or not 0 < price.batch_share <= 1:
        raise ConfigError(f"prices.{model}: input and output must be 0 or more, batch_share in (0, 1]")
    return price


class Budget:
    """Money that may be spent: what is under way is reserved at its estimate and settled at its real cost.

    Args:
        limit: the most that may be spent, in `currency`; None for no limit.
        currency: of the limit.
        spent: what earlier runs of the workspace spent.
    """

    def __init__(self, limit: float | None = None, currency: str = "", spent: float = 0.0) -> None:
        self.limit, self.currency, self.spent = limit, currency, spent
        self._reserved = 0.0

    def reserve(self, estimate: float) -> None:
        """Set `estimate` aside for the next call.

        Raises:
            BudgetExceeded: it would take the total over the limit.
        """
        if self.limit is not None and self.spent + self._reserved + estimate > self.limit:
            raise BudgetExceeded(
                f"budget of {self.limit:g} {self.currency}: {self.spent:.4f} spent, {self._reserved:.4f} under way, "
                f"and the next call may cost {estimate:.4f}. Everything received is kept; raise --budget to go on"
            )
        self._reserved += estimate

    def settle(self, estimate: float, actual: float) -> None:
        """Replace a reservation by what the call really cost."""
        self._reserved = max(0.0, self._reserved - estimate)
        self.spent += actual
