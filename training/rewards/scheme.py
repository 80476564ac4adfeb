"""Schemes by name, equation 9, and the functions TRL calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from expertad.errors import ConfigError
from training.rewards import beyond, paper, release
from training.rewards.truth import Pay, Reading, Truth, read

Reward = Callable[[Reading, Truth], Pay]
TrlReward = Callable[..., list[float | None]]

PAPER: dict[str, Reward] = {
    "consistency": paper.consistency,
    "accuracy": paper.accuracy,
    "location": paper.location,
    "type": paper.type_,
}
NAMED: dict[str, dict[str, Reward]] = {
    "paper": PAPER,
    "answer-only": {"accuracy": paper.accuracy},
    "release": {"consistency": release.consistency_pay, "accuracy": release.accuracy_pay},
}
LOCATIONS: dict[str, Reward] = {"cell": paper.location, "overlap": beyond.overlap, "nearness": beyond.nearness}


@dataclass(frozen=True)
class Scheme:
    """A name and the rewards that are summed under it, in the order they are logged."""

    name: str
    rewards: Mapping[str, Reward]

    def pay(self, completion: str, truth: Truth) -> dict[str, Pay]:
        """What each reward pays this completion, and why."""
        reading = read(completion)
        return {name: reward(reading, truth) for name, reward in self.rewards.items()}

    def total(self, completion: str, truth: Truth) -> float:
        """Equation 9: the sum of the rewards that apply."""
        return total(self.pay(completion, truth))


def total(payment: Mapping[str, Pay]) -> float:
    """Sum over the rewards that apply; one that does not (None) adds nothing."""
    return sum(pay.value for pay in payment.values() if pay.value is not None)


def scheme(spec: str = "paper", location: str = "cell") -> Scheme:
    """Finds a scheme.

    Args:
        spec: "paper", "release", "answer-only", or a subset of the paper's four joined by "+", as in Table 5's rows
            ("accuracy+location").
        location: "cell" (equation 4), or beyond the paper "overlap" and "nearness".

    Raises:
        ConfigError: an unknown name, or a location variant where it has no effect.
    """
    if location not in LOCATIONS:
        raise ConfigError(f"unknown location reward {location!r}; known: {', '.join(LOCATIONS)}")
    if spec in NAMED:
        rewards = dict(NAMED[spec])
    else:
        names = spec.split("+")
        unknown = [name for name in names if name not in PAPER]
        if unknown:
            raise ConfigError(
                f"unknown reward scheme {spec!r}; known: {', '.join(NAMED)}, or any of {', '.join(PAPER)} joined by '+'"
            )
        rewards = {name: reward for name, reward in PAPER.items() if name in names}
    if location != "cell":
        if rewards.get("location") is not paper.location:
            raise ConfigError(f"scheme {spec!r} has no location reward of the paper for {location!r} to replace")
        rewards["location"] = LOCATIONS[location]
    return Scheme(spec if location == "cell" else f"{spec} ({location})", rewards)


def completion_text(completion: str | Sequence[Mapping[str, Any]]) -> str:
    """The text of a completion as TRL hands it over: a string, or one assistant turn."""
    return completion if isinstance(completion, str) else completion[0]["content"]


def reward_functions(chosen: Scheme, grid: int = 3) -> list[TrlReward]:
    """One TRL reward function per reward of the scheme, named after it; truths come from the data set's columns.

    Every function returns one float a completion, or None where the reward does not apply to the image: TRL leaves None
    out of both the sum and the logged mean. The first of them to meet a completion parses and scores it for all.
    """

    @lru_cache(maxsize=16_384)
    def paid(completion: str, truth: Truth) -> dict[str, Pay]:
        return chosen.pay(completion, truth)

    def function(name: str) -> TrlReward:
        def reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
            return [
                paid(completion_text(completion), _truth(columns, i, grid))[name].value
                for i, completion in enumerate(completions)
            ]

        reward.__name__ = name
        return reward

    return [function(name) for name in chosen.rewards]


def _truth(columns: Mapping[str, Sequence[Any]], i: int, grid: int) -> Truth:
    names = ("anomalous", "location", "fine_type", "coarse_type", "cells")
    return _truth_of(*(tuple(v) if isinstance(v := columns[name][i], list) else v for name in names), grid)


@lru_cache(maxsize=16_384)
def _truth_of(
    anomalous: bool,
    location: str | None,
    fine_type: str | None,
    coarse: str | None,
    cells: tuple[int, ...] | None,
    grid: int,
) -> Truth:
    row = {"anomalous": anomalous, "location": location, "fine_type": fine_type, "coarse_type": coarse, "cells": cells}
    return Truth.from_row(row, grid)
