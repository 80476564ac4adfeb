"""From settings to a teacher that can be asked; each backend is imported only when it is the one asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expertad.errors import ConfigError
from expertad.prompts import load as load_prompts
from expertad.teachers.asking import Asker, Encoder, Limits
from expertad.teachers.base import SUCCESSORS, Backend
from expertad.teachers.calls import CallLog
from expertad.teachers.money import Budget, price_of
from expertad.teachers.pacing import Pacer, SharedLimits
from expertad.teachers.secret import read_key
from expertad.teachers.tokens import ImageRules

NAMES = ("grounded", "openai", "dashscope")

REGIONS: dict[str, str] = {
    "cn": "https://dashscope.aliyuncs.com",
    "intl": "https://dashscope-intl.aliyuncs.com",
    "us": "https://dashscope-us.aliyuncs.com",
}
"""DashScope's addresses; a key belongs to one of them."""

_PATHS = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}

DEFAULT_PARAMETERS: dict[str, Any] = {"temperature": 0.6, "top_p": 0.8, "seed": 7}
"""Part of every key. The seed is fixed here and never the build's own, so that another choice of samples re-bills
nothing."""

_RESERVED = frozenset(
    {"model", "messages", "input", "n", "stream", "incremental_output", "tools", "result_format"}
    | {"api_key", "session", "headers", "base_address", "request_timeout", "workspace", "text"}
)
"""Names that would change what a reply is, or where and with which key it is asked for."""

_CAN_THINK = re.compile(r"^(qwen3|qwen-(plus|flash|turbo))", re.IGNORECASE)
_ALWAYS_THINKS = re.compile(r"(^qwen3\.8-max|-thinking|^qvq)", re.IGNORECASE)


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
        asks: False for a teacher whose answers are only looked up, which needs no key.
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
    asks: bool = True
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
    if name not in NAMES:
        raise ConfigError(f"unknown teacher {name!r}; known: {', '.join(NAMES)}")
    if not settings.model:
        raise ConfigError(
            f"--teacher {name} needs --model, the model's name. The paper's teacher, qwen-vl-max, was retired by its "
            f"vendor in 2026; successors: {SUCCESSORS}"
        )
    address = _address(name, settings)
    secret = read_key(_key_variables(settings), settings.key_file, required=settings.asks and settings.base_url is None)
    parameters = parameters_for(settings)
    if name == "dashscope":
        from expertad.teachers.dashscope_native import DashScopeBackend

        return DashScopeBackend(settings.model, address, secret, parameters)
    from expertad.teachers.openai_compatible import OpenAICompatibleBackend

    return OpenAICompatibleBackend(settings.model, address, secret, parameters)


def parameters_for(settings: TeacherSettings) -> dict[str, Any]:
    """What goes beside the messages: defaults, JSON mode, thinking, and what the builder set.

    They depend on the model and the settings, never on the host, since they are part of a call's key. JSON mode and
    thinking exclude each other: a model that always thinks is asked for JSON by its prompt alone.

    Raises:
        ConfigError: a parameter that is not the builder's to set.
    """
    reserved = sorted(_RESERVED & settings.parameters.keys())
    if reserved:
        raise ConfigError(f"parameters: {', '.join(reserved)} cannot be set; expertad sets what it asks and how")
    model = (settings.model or "").rsplit("/", 1)[-1]
    parameters = dict(DEFAULT_PARAMETERS)
    thinks = settings.thinking or bool(_ALWAYS_THINKS.search(model))
    if settings.json_mode and not thinks:
        parameters["response_format"] = {"type": "json_object"}
    if _CAN_THINK.search(model) and not _ALWAYS_THINKS.search(model):
        parameters["enable_thinking"] = thinks
    parameters.update(settings.parameters)
    return {name: value for name, value in parameters.items() if value is not None}


def _address(name: str, settings: TeacherSettings) -> str:
    if settings.base_url is not None:
        return settings.base_url
    region = settings.region or "cn"
    if region not in REGIONS:
        raise ConfigError(f"--region {region!r} is unknown; known: {', '.join(REGIONS)}. Or give --base-url")
    return REGIONS[region] + _PATHS[name]


def _key_variables(settings: TeacherSettings) -> tuple[str, ...]:
    if settings.key_env is not None:
        return (settings.key_env,)
    if settings.base_url is not None and "aliyuncs.com" not in settings.base_url:
        return ("EXPERTAD_TEACHER_KEY", "OPENAI_API_KEY")
    return ("EXPERTAD_TEACHER_KEY", "DASHSCOPE_API_KEY")


def announcement(backend: Backend, images: int) -> str:
    """What a builder must know before the first remote call: which images go where."""
    return (
        f"{images} image{'s' if images != 1 else ''} of your data set will be sent to {backend.host} "
        f"(teacher {backend.name}, model {backend.model}); the license of the data must allow that"
    )


def make_asker(
    name: str,
    settings: TeacherSettings,
    calls: CallLog,
    *,
    spent: float = 0.0,
    shared: SharedLimits | None = None,
    backend: Backend | None = None,
    budget: Budget | None = None,
) -> Asker:
    """A teacher with its prompts, pace and purse.

    Args:
        name: "grounded", "openai" or "dashscope".
        settings: what the builder set.
        calls: where calls are kept.
        spent: money that the workspace spent before, in the price's currency.
        shared: limits shared with other machines.
        backend: a backend made before; made from the settings when not given.
        budget: one purse for several teachers; made from the settings when not given.

    Raises:
        ConfigError: see `make_backend`; or a budget without a price, or in another currency than the price.
    """
    backend = backend or make_backend(name, settings)
    price = price_of(backend.model, _priced_region(settings), settings.prices) if backend.remote else None
    if settings.budget is not None and backend.remote and price is None:
        raise ConfigError(
            f'--budget needs the price of {backend.model}: set prices."{backend.model}" to '
            "{input = ..., output = ..., currency = ...}, per million tokens"
        )
    if budget is not None and price is not None and budget.limit is not None and budget.currency != price.currency:
        raise ConfigError(
            f"--budget is in {budget.currency}, but {backend.model} is paid in {price.currency}; "
            "give both teachers prices in one currency"
        )
    return Asker(
        backend,
        calls,
        prompts=load_prompts(settings.prompts),
        pacer=Pacer(settings.rpm, settings.tpm, shared=shared) if backend.remote else None,
        price=price,
        budget=(budget or Budget(settings.budget, price.currency, spent)) if price else None,
        encoder=_encoder(settings) if backend.remote else None,
        rules=settings.image,
        limits=settings.limits,
    )


def _priced_region(settings: TeacherSettings) -> str | None:
    return settings.region or ("cn" if settings.base_url is None else None)


def _encoder(settings: TeacherSettings) -> Encoder:
    from expertad.teachers.encode import ImageEncoder

    return ImageEncoder(settings.image, threads=settings.threads)
