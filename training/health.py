"""Warnings while SC-GRPO runs: reward variance gone, one class always answered, length collapse."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.rewards import read


@dataclass
class Health:
    """Watches sampled completions for the ways in which GRPO dies quietly.

    Args:
        window: steps that a condition must hold on average before it is a warning.
        silent: share of groups without variance from which nothing is learnt any more.
        one_sided: share of one answer among answers, on images of both labels.
        shrunk: share of the first window's length below which completions have collapsed.
    """

    window: int = 20
    silent: float = 0.9
    one_sided: float = 0.98
    shrunk: float = 0.3
    _silent: deque[float] = field(init=False)
    _yes: deque[tuple[int, int, bool]] = field(init=False)
    _length: deque[float] = field(init=False)
    _first: list[float] = field(init=False, default_factory=list)
    _active: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """Makes the windows."""
        self._silent = deque(maxlen=self.window)
        self._yes = deque(maxlen=self.window)
        self._length = deque(maxlen=self.window)

    def update(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        """Takes the rollouts of one step; returns warnings that have just become true.

        Args:
            rows: of the rollout dump, at least group, reward, completion, tokens and anomalous.
        """
        groups: dict[int, list[float]] = {}
        for row in rows:
            groups.setdefault(row["group"], []).append(row["reward"])
        self._silent.append(sum(max(g) - min(g) < 1e-6 for g in groups.values()) / len(groups))
        answers = [read(row["completion"]).answer for row in rows]
        both = len({row["anomalous"] for row in rows}) == 2
        self._yes.append((answers.count("yes"), answers.count("yes") + answers.count("no"), both))
        length = sum(row["tokens"] for row in rows) / len(rows)
        self._length.append(length)
        if len(self._first) < self.window:
            self._first.append(length)
        if len(self._silent) < self.window:
            return []
        now = dict(self._conditions())
        new = [text for name, text in now.items() if name not in self._active]
        self._active = set(now)
        return new

    def _conditions(self) -> Iterator[tuple[str, str]]:
        silent = sum(self._silent) / len(self._silent)
        if silent >= self.silent:
            yield "silent", f"reward variance is gone: {silent:.0%} of the groups earn all the same, nothing is learnt"
        yes, answered = sum(y for y, _, _ in self._yes), sum(n for _, n, _ in self._yes)
        if answered and any(both for _, _, both in self._yes):
            share = max(yes, answered - yes) / answered
            if share >= self.one_sided:
                said = "yes" if 2 * yes > answered else "no"
                yield "one-sided", f"one class is always answered: {said}, by {share:.0%}"
        first, last = sum(self._first) / len(self._first), sum(self._length) / len(self._length)
        if last < self.shrunk * first:
            yield "short", f"length collapse: completions of {last:.0f} tokens, {first:.0f} at the start"
