"""Seeded order and chance that depend on content alone: the same id draws the same number whatever stands beside it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def order_key(seed: int, purpose: str, *ids: str) -> bytes:
    """Eight bytes to sort by; `purpose` keeps independent decisions about the same id independent."""
    return blake2b("|".join((str(seed), purpose, *ids)).encode(), digest_size=8).digest()


def order_keys(seed: int, purpose: str, first: str, others: Iterable[str]) -> list[bytes]:
    """`order_key(seed, purpose, first, other)` of each other id; what they begin with is hashed once."""
    beginning = blake2b(f"{seed}|{purpose}|{first}|".encode(), digest_size=8)
    keys = []
    for other in others:
        state = beginning.copy()
        state.update(other.encode())
        keys.append(state.digest())
    return keys


def unit(seed: int, purpose: str, *ids: str) -> float:
    """A number in [0, 1), uniform over ids."""
    return int.from_bytes(order_key(seed, purpose, *ids), "big") / 2**64
