"""One account's limits shared by several machines, through Prefect's global concurrency limits.

Make them once, with two seconds' worth as the limit and the account's rate per second as the decay; for 1,200 requests
and 1,000,000 tokens a minute:

    prefect gcl create expert-ad-requests --limit 40 --slot-decay-per-second 20
    prefect gcl create expert-ad-tokens --limit 33334 --slot-decay-per-second 16667

Acquiring costs a request to the server, about 12 a second at most, so the pacer takes permits in blocks of two seconds'
worth (rpm / 30 and tpm / 30): a smaller limit could never give a block.
"""

from __future__ import annotations

from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, rate_limit

from expertad.errors import TeacherAbort


class GlobalLimits:
    """Takes permits from the limits `<name>-requests` and `<name>-tokens`.

    A limit that does not exist is an error: without that, a misspelt name would mean no limit at all.
    """

    def __init__(self, name: str) -> None:
        self._names = (f"{name}-requests", f"{name}-tokens")
        self._refused: TeacherAbort | None = None

    async def take(self, requests: int, tokens: int) -> None:
        """Wait for that many requests and tokens of the common allowance.

        Raises:
            TeacherAbort: a limit does not exist, is smaller than what is taken, or does not decay; says how to make
                it. Prefect's server is not asked again after that.
        """
        for name, amount in zip(self._names, (requests, tokens), strict=True):
            if self._refused is not None:
                raise self._refused
            try:
                await rate_limit(name, occupy=amount, strict=True)
            except ConcurrencySlotAcquisitionError as error:
                self._refused = TeacherAbort(
                    f"Prefect's global limit {name!r} gives no {amount} permits: {error}. Make or change it with "
                    f"`prefect gcl create {name} --limit {amount} --slot-decay-per-second {amount / 2:g}`"
                )
                raise self._refused from error
