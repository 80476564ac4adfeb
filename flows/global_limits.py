"""One account's limits shared by several machines, through Prefect's global concurrency limits.

Make them once, with two seconds' worth as the limit and the account's rate per second as the decay; for 1,200 requests
and 1,000,000 tokens a minute:

    prefect gcl create expert-ad-requests --limit 40 --slot-decay-per-second 20
    prefect gcl create expert-ad-tokens --limit 33334 --slot-decay-per-second 16667

Acquiring costs a request to the server, about 12 a second at most, so the pacer takes permits in blocks of two seconds'
worth (rpm / 30 and tpm / 30): a smaller limit could never give a block.
"""

from __future__ import annotations

from prefect.concurrency.asyncio import rate_limit


class GlobalLimits:
    """Takes permits from the limits `<name>-requests` and `<name>-tokens`.

    A limit that does not exist is an error: without that, a misspelt name would mean no limit at all.
    """

    def __init__(self, name: str) -> None:
        self._requests, self._tokens = f"{name}-requests", f"{name}-tokens"

    async def take(self, requests: int, tokens: int) -> None:
        """Wait for that many requests and tokens of the common allowance."""
        await rate_limit(self._requests, occupy=requests, strict=True)
        await rate_limit(self._tokens, occupy=tokens, strict=True)
