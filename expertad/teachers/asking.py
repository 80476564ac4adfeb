"""The one loop in which a teacher is asked, whoever it is.

    key -> settled? -> a free place -> encode -> budget -> pace -> send -> judge -> commit -> use, ask again, or give up

Judging is pure, so a reply is committed together with its verdict before anything is built on it. A run's first
request goes alone until a reply has come, so a wrong key or model costs one request. When a call says that no other
can succeed, the calls under way finish and are kept, and no further one starts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

from expertad.errors import AbortError, BudgetExceeded, DataError, ExpertADError, TeacherAbort
from expertad.prompts import Prompts
from expertad.prompts import load as load_prompts
from expertad.sample import Case
from expertad.teachers import replies
from expertad.teachers.base import (
    Backend,
    Call,
    Encoded,
    Fault,
    FaultKind,
    Mark,
    Outcome,
    Picture,
    RawReply,
    Request,
    Stage,
    Usage,
)
from expertad.teachers.calls import CallLog
from expertad.teachers.money import Budget, Price
from expertad.teachers.pacing import Pacer, full_jitter
from expertad.teachers.tokens import ImageRules, TokenMeter

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Described:
    """Step 2's result for a sample."""

    sample_id: str
    key: str
    description: str
    location: str | None
    model: str
    prompt_version: str
    cached: bool


@dataclass(frozen=True, slots=True)
class Distilled:
    """Step 3's result for a sample; `fine_type` and `location` are None for a normal one."""

    sample_id: str
    key: str
    think: str
    fine_type: str | None
    answer: str
    location: str | None
    model: str
    prompt_version: str
    cached: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A sample the teacher gave up on, or contradicted the label of; the raw reply is in the ledger under `key`."""

    sample_id: str
    key: str
    stage: Stage
    reason: str
    code: str
    cached: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often a teacher is asked.

    Args:
        at_once: requests under way at a time.
        deadline_s: from sending to the last byte.
        attempts: requests for one question that fail on the way (status 5xx, cut connections, no reply).
        reasks: further requests that quote what was wrong with a reply.
        throttles: times one question may be turned away by 429 before the run gives up.
        backoff_s: first and largest pause before a failed request is made again; full jitter between.
        longest_wait_s: a Retry-After beyond this ends the run instead of waiting.
        abort_share: share of contradictions, or of refusals, among the samples of a run that ends it.
        abort_after: samples before that share is looked at.
    """

    at_once: int = 64
    deadline_s: float = 240.0
    attempts: int = 5
    reasks: int = 2
    throttles: int = 12
    backoff_s: tuple[float, float] = (1.0, 60.0)
    longest_wait_s: float = 120.0
    abort_share: float = 0.5
    abort_after: int = 20


@dataclass(slots=True)
class Counts:
    """What a run has done so far; `calls` are requests made, `cached` answers found in the ledger."""

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    image_tokens: int = 0
    cost: float = 0.0
    currency: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)


class Encoder(Protocol):
    """Makes pictures ready for the wire."""

    async def encode(self, pictures: tuple[Picture, ...]) -> tuple[Encoded, ...]:
        """The pictures in order; raises ImageError or MaskError for a file that cannot be shown."""
        ...


class _Tried:
    """How often one question was asked in vain in this run, by kind and by code."""

    def __init__(self) -> None:
        self.kinds: Counter[FaultKind] = Counter()
        self.codes: Counter[str] = Counter()


class _Verdict(NamedTuple):
    outcome: Outcome
    reason: str
    code: str
    fields: Mapping[str, Any]
    raw: str


class _Sent(NamedTuple):
    """A request that went out: what came back, its status, its cost, and how long it took."""

    reply: RawReply | None
    http_status: int | None
    cost: float
    latency_s: float


class _Local:
    """What belongs to one event loop: locks and places cannot move between loops."""

    def __init__(self, at_once: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.places = asyncio.Semaphore(at_once)
        self.alone = asyncio.Lock()
        self.stopping = asyncio.Event()
        self.asked: dict[str, asyncio.Lock] = {}


class Asker:
    """Asks one teacher, keeps every call, and never pays twice for the same question.

    Args:
        backend: the teacher.
        calls: where calls are kept (the ledger).
        prompts: the prompts in use; the shipped ones when not given.
        pacer: the account's limits; None for no limits.
        price: price of the backend's model; None counts nothing.
        budget: money that may be spent; None for no limit.
        encoder: makes images ready; required by a remote backend.
        rules: how the model sees images, for estimates.
        limits: patience.
        sleep: waits that many seconds.
        chance: uniform in [0, 1), for jitter.

    An asker may serve several event loops one after another; call `aclose` at the end of each.
    """

    def __init__(
        self,
        backend: Backend,
        calls: CallLog,
        *,
        prompts: Prompts | None = None,
        pacer: Pacer | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
        encoder: Encoder | None = None,
        rules: ImageRules | None = None,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if backend.remote and encoder is None:
            raise ValueError(f"the {backend.name} teacher needs an encoder for its images")
        self.backend, self.calls = backend, calls
        self.prompts = prompts or load_prompts()
        self.limits = limits or Limits()
        self.counts = Counts(currency=price.currency if price else "")
        self.meter = TokenMeter(rules or ImageRules())
        self._rules = orjson.dumps([self.meter.rules.patch, self.meter.rules.max_pixels]).decode()
        self._pacer, self._price, self._budget = pacer, price, budget
        self._encoder, self._sleep, self._chance = encoder, sleep, chance
        self._local: _Local | None = None
        self._committer = Committer(calls)
        self._stopped: ExpertADError | None = None
        self._proven = not backend.remote
        self._watch = _Watch(self.limits)
        self._request_ids: set[str] = set()

    @property
    def price(self) -> Price | None:
        """Price of the backend's model; None where it is not known or nothing is paid."""
        return self._price

    @property
    def budget(self) -> Budget | None:
        """The purse it pays from."""
        return self._budget

    # -- keys

    def describe_key(self, case: Case) -> str:
        """Key of a case's description."""
        return self.key(self.describe_request(case))

    def distill_key(self, case: Case, description: str) -> str:
        """Key of a case's reasoning, given its description."""
        return self.key(self.distill_request(case, description))

    def key(self, request: Request) -> str:
        """Digest of image bytes and what is done to them, prompts, backend, model, parameters and schema version."""
        content = (
            request.stage,
            [_shown(picture) for picture in request.pictures],
            self._rules if self.backend.remote else "",
            request.system,
            request.prompt,
            request.description,
            self.backend.name,
            self.backend.model,
            self.backend.parameters,
            request.schema_version,
        )
        return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()

    # -- asking

    async def describe(self, case: Case) -> Described | Quarantined:
        """Step 2: what is seen in the query beside its reference.

        Raises:
            AbortError: no further call can succeed, or the budget is spent; what was received is kept.
        """
        request = self.describe_request(case)
        call, fields, cached = await self._answer(request)
        if fields is None:
            return _quarantined(call, cached)
        return Described(
            case.sample.sample_id,
            call.key,
            fields["description"].strip(),
            fields["location"],
            call.served_model or call.model,
            call.prompt_version,
            cached,
        )

    async def distill(self, case: Case, described: Described) -> Distilled | Quarantined:
        """Step 3: the reasoning, distilled from the description.

        Raises:
            AbortError: see `describe`.
        """
        request = self.distill_request(case, described.description)
        call, fields, cached = await self._answer(request)
        return _quarantined(call, cached) if fields is None else _distilled(call, fields, cached)

    def described(self, case: Case) -> str | None:
        """The description that the call log already holds for a case; asks nobody."""
        call = self.calls.settled(self.describe_key(case))
        if call is None or call.outcome == "quarantine":
            return None
        description: str = replies.read(call.raw, "describe").fields["description"]
        return description.strip()

    def distilled(self, case: Case, description: str) -> Distilled | None:
        """The reasoning that the call log already holds for a case and its description; asks nobody."""
        call = self.calls.settled(self.distill_key(case, description))
        if call is None or call.outcome == "quarantine":
            return None
        return _distilled(call, replies.read(call.raw, "distill").fields, cached=True)

    def to_send(self, case: Case) -> set[str]:
        """Digests of the photographs that leave this machine for what is not settled about a case."""
        if not self.backend.remote:
            return set()
        request = self.describe_request(case)
        if self.calls.settled(self.key(request)) is not None:
            described = self.described(case)
            if described is None:
                return set()
            request = self.distill_request(case, described)
            if self.calls.settled(self.key(request)) is not None:
                return set()
        return {picture.file.sha256 for picture in request.pictures}

    def stop(self, error: ExpertADError) -> None:
        """Start no further call: calls under way finish and are kept, every other asker gets `error`."""
        self._stopped = self._stopped or error
        local = self._local
        if local is not None:
            local.loop.call_soon_threadsafe(local.stopping.set)

    async def aclose(self) -> None:
        """Wait for rows being committed and close connections; they open again with the next call."""
        await self._committer.aclose()
        await self.backend.aclose()
        self._local = None

    # -- requests

    def describe_request(self, case: Case) -> Request:
        """What is asked in step 2: the reference and the query, outlined where its defect is."""
        query = Picture(
            case.query, Mark(case.mask, case.region, case.mask_sha256) if case.mask and case.region else None
        )
        return self._request("describe", case, None, (Picture(case.reference), query))

    def distill_request(self, case: Case, description: str) -> Request:
        """What is asked in step 3: the description, and what the student will see."""
        query = Picture(case.query)
        return self._request("distill", case, description, (Picture(case.reference), query) if case.shot else (query,))

    def _request(self, stage: Stage, case: Case, description: str | None, pictures: tuple[Picture, ...]) -> Request:
        if not self.backend.remote:
            known = (case.sample, case.reference_id, case.reference.sha256, case.region, case.mask_sha256, case.shot)
            facts = orjson.dumps(known).decode()
            return Request(
                stage, case, "", facts, self.backend.model, replies.SCHEMA_VERSION, description, pictures=pictures
            )
        prompt = self.prompts.choose(stage, case)
        system, user = prompt.render(case, description)
        return Request(
            stage,
            case,
            system,
            user,
            prompt.version,
            replies.SCHEMA_VERSION,
            description,
            self.backend.parameters,
            pictures,
        )

    # -- one question

    async def _answer(self, request: Request) -> tuple[Call, Mapping[str, Any] | None, bool]:
        """The settled call of a question, its fields (None: quarantined), and whether it was settled before."""
        key = self.key(request)
        local = self._here()
        lock = local.asked.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                settled = self.calls.settled(key)
                if settled is not None:
                    self.counts.cached += 1
                    if settled.outcome == "quarantine":
                        return settled, None, True
                    return settled, replies.read(settled.raw, request.stage).fields, True
                self._go_on()
                async with local.places:
                    self._go_on()
                    try:
                        ready = await self._encoded(key, request)
                    except DataError as error:
                        return await self._unreadable(key, request, error), None, False
                    call, fields = await self._converse(key, ready, local)
                    return call, fields, False
        finally:
            local.asked.pop(key, None)

    async def settle(self, request: Request, answer: RawReply | Fault, *, via: str) -> Call:
        """Judge and keep an answer that came by another way than `send`; nothing is asked again.

        A fault that asking again may cure is kept as what it is, so the question stays open.
        """
        reply = answer if isinstance(answer, RawReply) else answer.reply
        try:
            if isinstance(answer, Fault):
                raise answer
            verdict = self._accept(replies.judge(answer, request, self.backend.model), answer)
        except Fault as fault:
            verdict = _Verdict(fault.kind, fault.reason, fault.code, {}, fault.raw or (reply.raw if reply else ""))
        usage = reply.usage if reply and reply.usage else Usage()
        key = self.key(request)
        cost = self._price.cost(usage, via=via) if self._price else 0.0
        sent = _Sent(reply, answer.http_status, cost, 0.0)
        call = replace(self._call(key, request, self.calls.attempts(key) + 1, verdict, sent, usage), via=via)
        if self._budget is not None:
            self._budget.settle(0.0, cost)
        await self._keep(call)
        return call

    async def ready(self, request: Request) -> Request:
        """The request with its pictures encoded, as it would be sent.

        Raises:
            DataError: a file cannot be shown.
        """
        return await self._encoded(self.key(request), request)

    async def _encoded(self, key: str, request: Request) -> Request:
        if not self.backend.remote or self._encoder is None:
            return request
        return replace(request, encoded=await self._encoder.encode(request.pictures), item=key[:10])

    async def _unreadable(self, key: str, request: Request, error: DataError) -> Call:
        """Settle a question that cannot be sent: a row without a host, since nothing went out."""
        attempt = self.calls.attempts(key) + 1
        call = self._call(
            key, request, attempt, _Verdict("quarantine", str(error), "unreadable", {}, ""), None, Usage()
        )
        await self._keep(call)
        return call

    async def _converse(self, key: str, request: Request, local: _Local) -> tuple[Call, Mapping[str, Any] | None]:
        tried = _Tried()
        attempt = self.calls.attempts(key)
        while True:
            attempt += 1
            async with self._alone(local):
                call, verdict, fault = await self._exchange(key, request, attempt, tried, local)
                await self._keep(call)
                self._after(call, fault)
            if verdict.outcome in ("ok", "repaired"):
                return call, verdict.fields
            if verdict.outcome == "quarantine":
                return call, None
            if verdict.outcome == "reask":
                request = replace(request, fault=verdict.reason[:300])
            elif verdict.outcome == "retry":
                base, cap = self.limits.backoff_s
                pause = full_jitter(tried.kinds["retry"], base=base, cap=cap, chance=self._chance)
                await self._wait(self._sleep(max(pause, (fault.retry_after or 0.0) if fault else 0.0)), local)
            self._go_on()

    async def _exchange(
        self, key: str, request: Request, attempt: int, tried: _Tried, local: _Local
    ) -> tuple[Call, _Verdict, Fault | None]:
        estimate, aside = self._estimate(request)
        if self._budget is not None:
            try:
                self._budget.reserve(aside)
            except BudgetExceeded as error:
                self.stop(error)
                raise
        reply: RawReply | None = None
        fault: Fault | None = None
        cost = 0.0
        try:
            if self._pacer is not None:
                await self._wait(self._pacer.acquire(estimate.total), local)
                self._go_on()
            started = time.monotonic()
            try:
                async with asyncio.timeout(self.limits.deadline_s):
                    reply = await self.backend.send(request)
                judged = replies.judge(reply, request, self.backend.model)
                verdict = self._accept(judged, reply)
            except TimeoutError:
                fault = Fault("retry", f"no whole reply within {self.limits.deadline_s:g} s", code="timeout")
                verdict = self._rule(fault, reply, tried)
            except Fault as error:
                fault = error
                reply = reply or error.reply
                verdict = self._rule(error, reply, tried)
            usage = self._used(reply, fault, estimate)
            if reply is not None and reply.usage is not None:
                self.meter.learn(request, reply.usage)
            if self._pacer is not None:
                self._pacer.settle(estimate.total, usage.total)
            cost = self._price.cost(usage) if self._price else 0.0
        finally:
            if self._budget is not None:
                self._budget.settle(aside, cost)
        sent = _Sent(reply, fault.http_status if fault else None, cost, time.monotonic() - started)
        return self._call(key, request, attempt, verdict, sent, usage), verdict, fault

    def _call(
        self, key: str, request: Request, attempt: int, verdict: _Verdict, sent: _Sent | None, usage: Usage
    ) -> Call:
        reply = sent.reply if sent else None
        return Call(
            key=key,
            stage=request.stage,
            sample_id=request.case.sample.sample_id,
            attempt=attempt,
            backend=self.backend.name,
            model=self.backend.model,
            host=self.backend.host if sent else "",
            outcome=verdict.outcome,
            reason=replies.storable(verdict.reason),
            code=verdict.code,
            raw=replies.storable(verdict.raw),
            http_status=reply.http_status if reply else sent.http_status if sent else None,
            request_id=reply.request_id if reply else "",
            finish_reason=reply.finish_reason if reply else "",
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            image_tokens=usage.image_tokens,
            cost=sent.cost if sent else 0.0,
            currency=self._price.currency if self._price else "",
            latency_s=reply.latency_s if reply else sent.latency_s if sent else 0.0,
            prompt_version=request.prompt_version,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            served_model=reply.model if reply else "",
        )

    def _accept(self, judged: replies.Judged, reply: RawReply) -> _Verdict:
        notes = [judged.repaired] if judged.repaired else []
        if reply.request_id and reply.request_id in self._request_ids:
            notes.append("the server gave this request id before")
        self._request_ids.add(reply.request_id)
        return _Verdict("repaired" if judged.repaired else "ok", "; ".join(notes), "", judged.fields, reply.text or "")

    def _rule(self, fault: Fault, reply: RawReply | None, tried: _Tried) -> _Verdict:
        """What becomes of a question after a fault: its kind, unless patience is at an end."""
        raw = fault.raw or (reply.raw if reply else "")
        tried.kinds[fault.kind] += 1
        tried.codes[fault.code] += 1
        limits = {"retry": self.limits.attempts - 1, "reask": self.limits.reasks, "throttle": self.limits.throttles}
        allowed = limits.get(fault.kind)
        times = tried.kinds[fault.kind]
        wait = fault.retry_after or 0.0
        if fault.kind == "throttle" and wait > self.limits.longest_wait_s:
            reason = f"{fault.reason}; the server asks to wait {wait:.0f} s, run again after that"
            return _Verdict("abort", reason, "throttle", {}, raw)
        spent = allowed is not None and (
            times > allowed or (fault.again is not None and tried.codes[fault.code] > fault.again)
        )
        if not spent:
            return _Verdict(fault.kind, fault.reason, fault.code, {}, raw)
        if fault.kind == "throttle":
            return _Verdict("abort", f"turned away {times} times in a row: {fault.reason}", "throttle", {}, raw)
        if fault.code in ("network", "timeout") and not self._proven:
            reason = f"no reply came to {times} requests: {fault.reason}. Check --base-url and that the server runs"
            return _Verdict("abort", reason, "unreachable", {}, raw)
        code = "gave_up" if fault.kind == "retry" else fault.code
        return _Verdict("quarantine", f"after {times} requests: {fault.reason}", code, {}, raw)

    def _after(self, call: Call, fault: Fault | None) -> None:
        """Draw the consequences of a call for the run: pace, trust, and whether to go on."""
        if call.http_status == 200 or not self.backend.remote:
            self._proven = True
        if self._pacer is not None:
            if call.outcome == "throttle":
                self._pacer.throttled(fault.retry_after if fault else None)
            elif call.http_status == 200:
                self._pacer.succeeded()
        problem = self._watch.look(call)
        if call.outcome == "abort":
            problem = call.reason
        if problem:
            self.stop(TeacherAbort(f"{self.backend.name} teacher, model {self.backend.model}: {problem}"))
        if call.outcome == "abort":
            self._go_on()

    async def _keep(self, call: Call) -> None:
        counts = self.counts
        counts.calls += 1
        counts.input_tokens += call.input_tokens
        counts.output_tokens += call.output_tokens
        counts.image_tokens += call.image_tokens
        counts.cost += call.cost
        counts.outcomes[call.outcome] += 1
        if call.code:
            counts.codes[call.code] += 1
        try:
            await self._committer.commit(call)
        except AbortError as error:
            self.stop(error)
            raise

    # -- small parts

    def _estimate(self, request: Request) -> tuple[Usage, float]:
        if not self.backend.remote:
            return Usage(), 0.0
        aside = self._price.cost(self.meter.at_most(request)) if self._price and self._budget else 0.0
        return self.meter.estimate(request), aside

    def _used(self, reply: RawReply | None, fault: Fault | None, estimate: Usage) -> Usage:
        """Tokens of a call: the server's count, else the estimate for a reply that came or may have been billed."""
        if reply is not None and reply.usage is not None:
            return reply.usage
        billed = reply.http_status == 200 if reply is not None else fault is not None and fault.http_status is None
        return estimate if billed and self.backend.remote else Usage()

    def _here(self) -> _Local:
        if self._local is None or self._local.loop is not asyncio.get_running_loop():
            self._local = _Local(self.limits.at_once)
        return self._local

    @asynccontextmanager
    async def _alone(self, local: _Local) -> AsyncIterator[None]:
        """Until the run's first reply has come, one request at a time."""
        if not self._proven:
            async with local.alone:
                self._go_on()
                if not self._proven:
                    yield
                    return
        yield

    def _go_on(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    async def _wait(self, waiting: Awaitable[None], local: _Local) -> None:
        """Wait for the pace or a pause, but no longer than until the run is stopped."""
        wait = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(local.stopping.wait())
        try:
            await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
            if wait.done():
                wait.result()
        finally:
            for task in (wait, stop):
                if not task.done():
                    task.cancel()
        self._go_on()


class _Watch:
    """Sees what single samples cannot: that every sample fails for the same reason."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._samples = 0
        self._codes: Counter[str] = Counter()
        self._row: deque[str] = deque(maxlen=3)

    def look(self, call: Call) -> str | None:
        """Why the run cannot go on after this call, or None."""
        if call.outcome not in ("ok", "repaired", "quarantine"):
            return None
        self._samples += 1
        code = call.code if call.outcome == "quarantine" else ""
        self._codes[code] += 1
        self._row.append(code)
        if code == "other_item":
            return f"{call.reason}; replies and requests are out of step"
        if code and code in ("invalid_request", "other_model") and self._samples == self._codes[code] == 3:
            return f"the first 3 samples all failed: {call.reason}"
        if list(self._row) == ["gave_up"] * 3:
            return f"3 samples in a row got no usable reply, last: {call.reason}"
        if self._samples >= self._limits.abort_after and code in ("contradiction", "refused"):
            share = self._codes[code] / self._samples
            if share > self._limits.abort_share:
                return f"{share:.0%} of {self._samples} samples ended so: {call.reason}"
        return None


class Committer:
    """Commits rows from one thread, those that are ready together in one transaction; order is kept."""

    def __init__(self, calls: CallLog) -> None:
        self._calls = calls
        self._ready: list[tuple[Call, asyncio.Future[None]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def commit(self, call: Call) -> None:
        """Return when the row is durable."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._ready.append((call, done))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._drain())
        await asyncio.shield(done)

    async def aclose(self) -> None:
        """Wait for every row handed in."""
        if self._worker is not None and not self._worker.done():
            await self._worker
        self._worker = None
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    async def _drain(self) -> None:
        self._thread = self._thread or ThreadPoolExecutor(1, "commit")
        while self._ready:
            batch, self._ready = self._ready, []
            rows = [call for call, _ in batch]
            writing = self._thread.submit(self._calls.commit_many, rows)
            try:
                await asyncio.shield(asyncio.wrap_future(writing))
            except asyncio.CancelledError:
                writing.result()
                rest = [call for call, _ in self._ready]
                if rest:
                    self._thread.submit(self._calls.commit_many, rest).result()
                raise
            except Exception as error:  # whatever the database raised belongs to those who wait for these rows
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[R]], *, at_once: int) -> AsyncIterator[tuple[T, R]]:
    """Work on items, `at_once` at a time, and give results as they come.

    The first error stops taking items; what is under way ends first, its results are given, and then the error is
    raised: a reply under way has been paid for.
    """
    waiting = iter(items)
    under_way: dict[asyncio.Future[R], T] = {}
    error: BaseException | None = None
    exhausted = False
    while True:
        while not exhausted and error is None and len(under_way) < at_once:
            try:
                item = next(waiting)
            except StopIteration:
                exhausted = True
            else:
                under_way[asyncio.ensure_future(work(item))] = item
        if not under_way:
            break
        done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            item = under_way.pop(task)
            if task.exception() is not None:
                error = error or task.exception()
            else:
                yield item, task.result()
    if error is not None:
        raise error


def _distilled(call: Call, fields: Mapping[str, Any], cached: bool) -> Distilled:
    term = fields["fine_type"]
    return Distilled(
        call.sample_id,
        call.key,
        fields["think"].strip(),
        term.strip() if term else None,
        fields["answer"],
        fields["location"],
        call.served_model or call.model,
        call.prompt_version,
        cached,
    )


def _quarantined(call: Call, cached: bool) -> Quarantined:
    return Quarantined(call.sample_id, call.key, call.stage, call.reason, call.code, cached)


def _shown(picture: Picture) -> tuple[Any, ...]:
    if picture.mark is None:
        return (picture.file.sha256,)
    region = picture.mark.region
    return (
        picture.file.sha256,
        "outlined.v1",
        picture.mark.sha256,
        region.location,
        region.cells,
        region.boxes,
        region.area,
        region.grid,
    )
