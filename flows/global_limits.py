"""One account's limits shared by several machines, through Prefect's global concurrency limits.

Make them once, with a decay that is the account's rate per second:

    prefect gcl create expert-ad-requests --limit 40 --slot-decay-per-second 20
    prefect gcl create expert-ad-tokens --limit 30000 --slot-decay-per-second 16000

Acquiring costs a request to the server, about 12 a second at most, so the pacer takes permits in blocks.
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
