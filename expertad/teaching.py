"""Commands about teachers: what a build will cost, which prompts write better, and half-price batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from expertad.builder import Shown, here, opened, teacher_settings
from expertad.checks import run_checks
from expertad.config import Settings
from expertad.errors import ConfigError
from expertad.order import order_key
from expertad.sample import Case
from expertad.teachers.asking import Asker
from expertad.teachers.base import Request
from expertad.teachers.batch import Batches
from expertad.teachers.compare import compare_prompts
from expertad.teachers.estimate import estimate, spread
from expertad.teachers.registry import announcement, make_asker

SHIPPED = "shipped"
BATCH_FOLDER = "batches"


def tell_estimate(settings: Settings, shown: Shown, sample: int) -> Iterator[str]:
    """What asking about everything selected will cost, and how long it takes at the account's limits.

    Args:
        settings: in force.
        shown: hears about progress.
        sample: cases that are asked for real, to measure their text; the build uses those answers.
    """
    with opened(settings, shown) as build:
        cases = build.cases(here(build))
        build.announce(spread(cases, sample))

        async def ask(asker: Asker) -> list[str]:
            try:
                found = await estimate(
                    cases, asker, price=asker.price, rpm=settings.rpm, tpm=settings.tpm, sample=sample
                )
                return found.lines()
            finally:
                await asker.aclose()

        yield f"{len(cases)} samples are selected"
        for asker in build.askers:
            yield f"{asker.backend.name} teacher, model {asker.backend.model}"
            yield from asyncio.run(ask(asker))


def tell_comparison(settings: Settings, shown: Shown, first: str, second: str, limit: int) -> Iterator[str]:
    """Both prompts on the same samples: checks side by side, and the cost of each.

    Args:
        settings: in force.
        shown: hears about progress.
        first: folder of prompts, or "shipped".
        second: likewise.
        limit: how many samples.

    Raises:
        ConfigError: the teacher reads no prompts.
    """
    name, model = settings.pair[0]
    if name == "grounded":
        raise ConfigError("the grounded teacher reads no prompts; compare them with --teacher openai or dashscope")
    with opened(settings, shown) as build:
        cases = build.cases(here(build))
        chosen = sorted(cases, key=lambda case: order_key(settings.seed, "compare", case.sample.sample_id))[:limit]
        purse = build.asker.budget
        sides = [
            make_asker(
                name, replace(teacher_settings(settings, model), prompts=_prompts(text)), build.ledger, budget=purse
            )
            for text in (first, second)
        ]
        _announce(sides, chosen, shown)

        async def ask() -> list[str]:
            try:
                return (await compare_prompts(chosen, sides[0], sides[1], run_checks)).lines()
            finally:
                for side in sides:
                    await side.aclose()

        yield f"{len(chosen)} samples, {first} and {second}"
        yield from asyncio.run(ask())


def _prompts(text: str) -> Path | None:
    if text == SHIPPED:
        return None
    if not Path(text).is_dir():
        raise ConfigError(f"{text} is no folder of prompts; give a folder, or the word {SHIPPED!r}")
    return Path(text)


def advance_batches(settings: Settings, shown: Shown, wait: float | None) -> Iterator[str]:
    """Collect what finished, submit what is open, and say what is under way.

    Args:
        settings: in force.
        shown: hears about progress.
        wait: seconds between looks until nothing is under way; None looks once.
    """
    with opened(settings, shown) as build:
        cases = build.cases(here(build))
        folder = settings.workspace / BATCH_FOLDER
        askers = [asker for asker in build.askers if asker is build.asker or asker.backend.name == "openai"]
        batches = [(asker, Batches(asker, folder)) for asker in askers]
        build.announce(cases)
        while True:
            under_way = 0
            for asker, its in batches:
                waiting, lines = asyncio.run(_advance(asker, its, cases))
                under_way += waiting
                yield from lines
            if not under_way or wait is None:
                break
            asyncio.run(asyncio.sleep(wait))
        if not under_way:
            yield "nothing is under way; `expertad build` asks online for what is still open, and goes on"


async def _advance(asker: Asker, batches: Batches, cases: Sequence[Case]) -> tuple[int, list[str]]:
    lines: list[str] = []
    under_way = 0

    async def stage(name: str, requests: Sequence[Request]) -> None:
        nonlocal under_way
        progress = await batches.advance(requests)
        under_way += progress.under_way
        lines.append(
            f"{name} by {asker.backend.model}: {progress.settled} settled, {progress.under_way} under way, "
            f"{progress.open} open"
        )
        lines.extend(f"  {reason}" for reason in dict.fromkeys(progress.reasons))

    try:
        await stage("describe", [asker.describe_request(case) for case in cases])
        described = [(case, asker.described(case)) for case in cases]  # those just collected among them
        await stage("distill", [asker.distill_request(case, text) for case, text in described if text is not None])
    finally:
        await asker.aclose()
    return under_way, lines


def _announce(askers: Sequence[Asker], cases: Sequence[Case], shown: Shown) -> None:
    """Say how many images go where before they do; askers are of one backend."""
    images = {image for asker in askers for case in cases for image in asker.to_send(case)}
    if images:
        shown.say(announcement(askers[0].backend, len(images)))
