"""What the ledger must offer to keep the calls made to teachers.

A row is committed as soon as its reply has been received and before anything is built on it. Replies are judged by
pure functions, so a row carries its outcome from the start and is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from expertad.teachers.base import SETTLED, Call


class CallLog(Protocol):
    """Where calls are kept. `commit` and `commit_many` return only when the rows would survive a crash."""

    def settled(self, key: str) -> Call | None:
        """The ok, repaired or quarantine row of this key that no `retry` has released; None when there is none."""
        ...

    def attempts(self, key: str) -> int:
        """How many requests were made under this key, over all runs."""
        ...

    def commit(self, call: Call) -> None:
        """Keep one row."""
        ...

    def commit_many(self, calls: Sequence[Call]) -> None:
        """Keep several rows in one transaction: all or none."""
        ...


class MemoryCallLog:
    """A call log that lives as long as the process: for estimates, comparisons and tests."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        self.calls: list[Call] = []
        self._by_key: dict[str, list[Call]] = {}
        self._released: set[str] = set()
        self.commit_many(tuple(calls))

    def settled(self, key: str) -> Call | None:
        """See `CallLog.settled`."""
        if key in self._released:
            return None
        return next((call for call in reversed(self._by_key.get(key, ())) if call.outcome in SETTLED), None)

    def attempts(self, key: str) -> int:
        """See `CallLog.attempts`."""
        return len(self._by_key.get(key, ()))

    def commit(self, call: Call) -> None:
        """See `CallLog.commit`."""
        self.commit_many((call,))

    def commit_many(self, calls: Sequence[Call]) -> None:
        """See `CallLog.commit_many`."""
        for call in calls:
            self.calls.append(call)
            self._by_key.setdefault(call.key, []).append(call)
            self._released.discard(call.key)

    def release(self, key: str) -> None:
        """Let a quarantined key be asked again."""
        self._released.add(key)
