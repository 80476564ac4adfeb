"""From settings to a teacher that can be asked; each backend is imported only when it is the one asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expertad.errors import ConfigError
from expertad.prompts import load as load_prompts
from expertad.teachers.asking import Asker, Limits
from expertad.teachers.base import Backend
from expertad.teachers.calls import CallLog
from expertad.teachers.money import Budget, price_of
from expertad.teachers.pacing import Pacer, SharedLimits
from expertad.teachers.tokens import ImageRules

NAMES = ("grounded", "openai", "dashscope")


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """What a builder may set about a teacher.

    Args:
        model: the model's name; required by remote teachers, there is no default.
        region: "cn", "intl" or "us": DashScope's addresses; None with `base_url`.
        base_url: any server instead, e.g. "http://localhost:8000/v1" for vLLM.
        key_env: environment variable that holds the key; None takes the region's usual ones.
        key_file: file that holds the key, instead of the environment.
        parameters: sampling parameters, over the defaults; a None value removes a default.
        thinking: whether the model may think before it writes; off by default, since JSON mode needs that.
        json_mode: ask the server for JSON; off for servers that do not know `response_format`.
        rpm: requests a minute of the account; None for no limit.
        tpm: tokens a minute of the account, input and output together.
        budget: the most to spend in this workspace, in the price's currency.
        prices: model -> {input, output, currency}, per million tokens; over the built-in table.
        prompts: folder with the builder's own prompts.
        image: how the model sees images.
        limits: patience and concurrency.
        threads: of the grounded teacher, and for encoding images.
    """

    model: str | None = None
    region: str | None = None
    base_url: str | None = None
    key_env: str | None = None
    key_file: Path | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    thinking: bool = False
    json_mode: bool = True
    rpm: float | None = None
    tpm: float | None = None
    budget: float | None = None
    prices: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    prompts: Path | None = None
    image: ImageRules = field(default_factory=ImageRules)
    limits: Limits = field(default_factory=Limits)
    threads: int = 2


def make_backend(name: str, settings: TeacherSettings) -> Backend:
    """The teacher called `name`.

    Raises:
        ConfigError: the name is unknown, or the teacher lacks a setting; says which and how to give it.
    """
    if name == "grounded":
        from expertad.teachers import grounded
        from expertad.teachers.grounded_backend import GroundedBackend

        return GroundedBackend(grounded.describe, grounded.distill, grounded.MODEL, settings.threads)
    raise ConfigError(f"unknown teacher {name!r}; known: {', '.join(NAMES)}")


def make_asker(
    name: str,
    settings: TeacherSettings,
    calls: CallLog,
    *,
    spent: float = 0.0,
    shared: SharedLimits | None = None,
    backend: Backend | None = None,
) -> Asker:
    """A teacher with its prompts, pace and purse.

    Args:
        name: "grounded", "openai" or "dashscope".
        settings: what the builder set.
        calls: where calls are kept.
        spent: money that the workspace spent before, in the price's currency.
        shared: limits shared with other machines.
        backend: a backend made before; made from the settings when not given.

    Raises:
        ConfigError: see `make_backend`; or a budget without a price.
    """
    backend = backend or make_backend(name, settings)
    price = price_of(backend.model, settings.region, settings.prices) if backend.remote else None
    if settings.budget is not None and backend.remote and price is None:
        raise ConfigError(
            f'--budget needs the price of {backend.model}: set prices."{backend.model}" to '
            "{input = ..., output = ..., currency = ...}, per million tokens"
        )
    return Asker(
        backend,
        calls,
        prompts=load_prompts(settings.prompts),
        pacer=Pacer(settings.rpm, settings.tpm, shared=shared) if backend.remote else None,
        price=price,
        budget=Budget(settings.budget, price.currency, spent) if price else None,
        rules=settings.image,
        limits=settings.limits,
    )
