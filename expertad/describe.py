"""Stage 4 (step 2 of the paper): the teacher describes each query beside its normal reference."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from expertad.sample import Case
from expertad.teachers.asking import Asker, Described

T = TypeVar("T")


async def describe(cases: Sequence[Case], asker: Asker) -> list[tuple[Case, Described]]:
    """Descriptions of the cases; those the teacher gave up on or contradicted are left out, their calls say why.

    Raises:
        AbortError: no further call can succeed, or the budget is spent; what was received before is kept.
    """
    answers = await gather(asker.describe(case) for case in cases)
    return [(case, answer) for case, answer in zip(cases, answers, strict=True) if isinstance(answer, Described)]


async def gather(waiting: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all to their end, then raise the first error: no paid reply is cut off because another call aborts."""
    results = await asyncio.gather(*waiting, return_exceptions=True)
    made: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        made.append(result)
    return made
