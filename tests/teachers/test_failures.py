"""Every row of the catalogue of failures, played by a real server against both remote backends.

For each row: what the ledger's rows say, in order; how often the server was hit; and that both numbers agree.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from expertad.errors import TeacherAbort
from expertad.teachers.asking import Asker, Described, Limits, Quarantined, each
from expertad.teachers.calls import MemoryCallLog
from expertad.teachers.pacing import Pacer
from tests.teachers.helpers import BACKENDS, KEY, Clock, make_asker, make_backend
from tests.teachers.loopback import MODEL, Answer, Hit, Loopback, Play, completion, error, good, model_reply


def throttled_asker(name: str, server: Loopback, log: MemoryCallLog, **options: Any) -> tuple[Asker, Clock]:
    clock = Clock()
    options.setdefault("limits", Limits(deadline_s=5.0))
    pacer = Pacer(6000, clock=clock.read, sleep=clock.sleep, chance=lambda: 0.5)
    return make_asker(server, log, name, pacer=pacer, sleep=clock.sleep, chance=lambda: 0.5, **options), clock


def ask_one(name: str, play: Play, case: Any, **options: Any) -> tuple[Any, MemoryCallLog, Loopback, Clock]:
    log = MemoryCallLog()
    with Loopback(play) as server:
        asker, clock = throttled_asker(name, server, log, **options)

        async def run() -> Any:
            try:
                return await asker.describe(case)
            except TeacherAbort as error:
                return error
            finally:
                await asker.aclose()

        return asyncio.run(run()), log, server, clock


def first(bad: Callable[[Hit], Answer], times: int = 1) -> Play:
    """Plays `bad` for the first hits and a good model afterwards."""
    return lambda hit: bad(hit) if hit.number <= times else good(hit)


def fenced(hit: Hit) -> Answer:
    return completion(hit, "```json\n" + json.dumps(model_reply(hit)) + "\n```")


def prefaced(hit: Hit) -> Answer:
    return completion(hit, "Here is the description:\n" + json.dumps(model_reply(hit)) + "\nI hope this helps!")


def two_objects(hit: Hit) -> Answer:
    other = {**model_reply(hit), "description": "Something else entirely."}
    return completion(hit, json.dumps(model_reply(hit)) + "\n" + json.dumps(other))


def duplicate_keys(hit: Hit) -> Answer:
    return completion(hit, '{"defect": false, ' + json.dumps(model_reply(hit))[1:])


def with_nan(hit: Hit) -> Answer:
    return completion(hit, json.dumps(model_reply(hit))[:-1] + ', "score": NaN}')


def without(name: str) -> Play:
    def play(hit: Hit) -> Answer:
        reply = model_reply(hit)
        del reply[name]
        return completion(hit, json.dumps(reply))

    return play


def raw(body: bytes, status: int = 200, content_type: str = "application/json", action: str = "respond") -> Play:
    return lambda hit: Answer(status, body, {"Content-Type": content_type}, action)


def acted(action: str) -> Play:
    def play(hit: Hit) -> Answer:
        answer = good(hit)
        answer.action = action
        return answer

    return play


def cut_json(hit: Hit) -> Answer:
    answer = good(hit)
    answer.body = answer.body[: len(answer.body) // 2]
    return answer


def not_utf8(hit: Hit) -> Answer:
    answer = good(hit)
    answer.body = answer.body.replace(b"plug", b"pl\xfcg")
    return answer


def escaped_inside(escape: str) -> Play:
    """The bad character as an escape inside the inner JSON, which itself is a string of the outer one."""
    return lambda hit: completion(hit, json.dumps(model_reply(hit)).replace("plug", f"{escape}plug"))


def no_output(hit: Hit) -> Answer:
    body = {"code": "InternalError", "message": "Algo failed", "request_id": "x"}
    return Answer(200, json.dumps(body).encode())


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
CHINESE = "该产品左上角有一道划痕，表面其余部分完好。"


@dataclass(frozen=True)
class Row:
    """A failure that happens `times` times, after which the model is well, and the outcomes the ledger must show."""

    name: str
    play: Play
    outcomes: tuple[str, ...]
    times: int = 1
    code: str | None = None


FOREVER = 10_000
ROWS = [
    Row("429 rate", lambda h: error(h, 429, "Throttling.RateQuota", "exceeded"), ("throttle", "ok")),
    Row("429 burst", lambda h: error(h, 429, "Throttling.BurstRate", "increased too quickly"), ("throttle", "ok")),
    Row("429 quota", lambda h: error(h, 429, "insufficient_quota", "You exceeded your quota"), ("throttle", "ok")),
    Row("429 allocation", lambda h: error(h, 429, "Throttling.AllocationQuota", "exceeded"), ("throttle", "ok")),
    Row("429 Retry-After", lambda h: error(h, 429, "limit", "slow down", Retry_After="7"), ("throttle", "ok")),
    Row("500", lambda h: error(h, 500, "InternalError", "oops"), ("retry", "ok")),
    Row("502 HTML", raw(HTML, 502, "text/html"), ("retry", "ok")),
    Row("503", lambda h: error(h, 503, "ModelServingError", "busy"), ("retry", "ok")),
    Row("504 HTML", raw(HTML, 504, "text/html"), ("retry", "ok")),
    Row("500 JSON that is HTML", raw(HTML, 500), ("retry", "ok")),
    Row("500 timeout", lambda h: error(h, 500, "RequestTimeOut", "Request timed out"), ("retry", "ok")),
    Row("reset before the reply", acted("reset"), ("retry", "ok")),
    Row("reset within the body", acted("reset_mid"), ("retry", "ok")),
    Row("closed within the body", acted("cut"), ("retry", "ok")),
    Row("truncated JSON", cut_json, ("retry", "ok")),
    Row("empty body", raw(b""), ("retry", "ok")),
    Row("200 HTML", raw(HTML, 200, "text/html"), ("retry", "ok")),
    Row("200 HTML called JSON", raw(HTML), ("retry", "ok")),
    Row("200 business error", no_output, ("retry", "ok")),
    Row("no choices", lambda h: completion(h, None, choices=[]), ("retry", "ok")),
    Row("content null", lambda h: completion(h, None), ("retry", "ok")),
    Row("content empty", lambda h: completion(h, ""), ("retry", "ok")),
    Row("content empty for ever", lambda h: completion(h, ""), ("retry", "retry", "quarantine"), FOREVER),
    Row("server down for ever", lambda h: error(h, 500, "x", ""), ("retry",) * 4 + ("quarantine",), FOREVER, "gave_up"),
    Row("cut by length", lambda h: completion(h, '{"descr', finish_reason="length"), ("reask", "ok")),
    Row(
        "cut by length for ever",
        lambda h: completion(h, '{"descr', finish_reason="length"),
        ("reask", "reask", "quarantine"),
        FOREVER,
        "cut",
    ),
    Row(
        "partial response",
        lambda h: completion(h, '{"descr', headers={"x-dashscope-partialresponse": "true"}),
        ("retry", "ok"),
    ),
    Row("content filter", lambda h: completion(h, "x", finish_reason="content_filter"), ("quarantine",), 1, "refused"),
    Row("refusal", lambda h: completion(h, "I'm sorry, but I can't help with that."), ("quarantine",), 1, "refused"),
    Row(
        "inspection",
        lambda h: error(h, 400, "DataInspectionFailed", "Output data may contain inappropriate content."),
        ("quarantine",),
        1,
        "refused",
    ),
    Row("400", lambda h: error(h, 400, "InvalidParameter", "bad"), ("quarantine",), 1, "invalid_request"),
    Row("413", lambda h: error(h, 413, "RequestEntityTooLarge", "big"), ("quarantine",), 1, "invalid_request"),
    Row("fence", fenced, ("repaired",)),
    Row("prose", prefaced, ("repaired",)),
    Row("two objects", two_objects, ("reask", "ok")),
    Row("two objects for ever", two_objects, ("reask", "reask", "quarantine"), FOREVER),
    Row("duplicate keys", duplicate_keys, ("reask", "ok")),
    Row("NaN", with_nan, ("reask", "ok")),
    Row("missing key", without("defect"), ("reask", "ok")),
    Row("missing key twice", without("defect"), ("reask", "quarantine"), 2, "schema"),
    Row("wrong type", lambda h: good(h, defect="yes"), ("reask", "ok")),
    Row("wrong type twice", lambda h: good(h, description=["a"]), ("reask", "quarantine"), 2, "schema"),
    Row("no place", lambda h: good(h, location=None), ("reask", "ok")),
    Row("Chinese", lambda h: good(h, description=CHINESE), ("reask", "ok")),
    Row("Chinese twice", lambda h: good(h, description=CHINESE), ("reask", "quarantine"), 2, "language"),
    Row(
        "contradiction",
        lambda h: good(h, defect=False, location=None),
        ("quarantine",),
        1,
        "contradiction",
    ),
    Row("huge reply", lambda h: good(h, description="scratch " * 1_000_000), ("quarantine",), 1, "huge"),
    Row("long reply", lambda h: good(h, description="scratch " * 5_000), ("quarantine",), 1, "huge"),
    Row("not UTF-8", not_utf8, ("retry", "ok")),
    Row("not UTF-8 for ever", not_utf8, ("retry", "quarantine"), FOREVER, "gave_up"),
    Row("lone surrogate", escaped_inside("\\ud83d"), ("reask", "ok")),
    Row("NUL", escaped_inside("\\u0000"), ("reask", "ok")),
    Row("NUL itself", lambda h: completion(h, "\x00" + json.dumps(model_reply(h))), ("reask", "ok")),
    Row("surrogate itself", lambda h: completion(h, json.dumps(model_reply(h)) + "\ud83d"), ("reask", "ok")),
    Row("other model", lambda h: completion(h, json.dumps(model_reply(h)), model="gpt-9"), ("quarantine",), 1),
    Row("usage missing", lambda h: completion(h, json.dumps(model_reply(h)), usage=None), ("ok",)),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_of_the_catalogue(row: Row, backend: str, make_case: Any) -> None:
    result, log, server, _ = ask_one(backend, first(row.play, row.times), make_case(1))
    assert tuple(call.outcome for call in log.calls) == row.outcomes
    assert len(server.hits) == len(log.calls)
    assert [call.attempt for call in log.calls] == list(range(1, len(log.calls) + 1))
    if row.outcomes[-1] == "quarantine":
        assert isinstance(result, Quarantined)
        assert result.reason
        assert row.code is None or result.code == row.code
    else:
        assert isinstance(result, Described)
        assert log.settled(result.key) == log.calls[-1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("action", ["hang", "drip"])
def test_reply_that_does_not_end_in_time_is_asked_again(action: str, backend: str, make_case: Any) -> None:
    limits = Limits(deadline_s=0.5)
    result, log, server, _ = ask_one(backend, first(acted(action)), make_case(1), limits=limits)
    assert [call.outcome for call in log.calls] == ["retry", "ok"]
    assert len(server.hits) == 2
    assert isinstance(result, Described)


@pytest.mark.parametrize("backend", BACKENDS)
def test_reask_quotes_the_fault_and_a_retry_does_not(backend: str, make_case: Any) -> None:
    _, _, server, _ = ask_one(backend, first(two_objects), make_case(1))
    plain, quoting = (hit.prompt for hit in server.hits)
    assert "2 different JSON objects" in quoting
    assert quoting.startswith(plain)
    _, _, server, _ = ask_one(backend, first(cut_json), make_case(1))
    assert server.hits[0].body == server.hits[1].body


@pytest.mark.parametrize("backend", BACKENDS)
def test_received_text_is_kept_whatever_becomes_of_it(backend: str, make_case: Any) -> None:
    _, log, _, _ = ask_one(backend, lambda hit: good(hit, defect=False, location=None), make_case(1))
    assert '"defect": false' in log.calls[0].raw
    _, log, _, _ = ask_one(backend, first(raw(HTML, 502, "text/html")), make_case(1))
    assert log.calls[0].raw == HTML.decode()
    assert log.calls[0].http_status == 502
    _, log, _, _ = ask_one(backend, first(escaped_inside("\\ud83d")), make_case(1))
    log.calls[0].raw.encode("utf-8")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_nothing_is_sent_before_retry_after(form: str, backend: str, make_case: Any) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=30)
    header = "30" if form == "seconds" else format_datetime(moment, usegmt=True)
    play = first(lambda hit: error(hit, 429, "limit", "slow", Retry_After=header))
    result, log, _, clock = ask_one(backend, play, make_case(1))
    assert isinstance(result, Described)
    assert [call.outcome for call in log.calls] == ["throttle", "ok"]
    assert clock.now - 1000 >= (30 if form == "seconds" else 28)


@pytest.mark.parametrize("backend", BACKENDS)
def test_429_without_header_pauses_everybody(backend: str, make_case: Any) -> None:
    log = MemoryCallLog()
    with Loopback(lambda hit: error(hit, 429, "limit", "slow") if 5 <= hit.number <= 6 else good(hit)) as server:
        asker, clock = throttled_asker(backend, server, log)

        async def run() -> list[Any]:
            cases = [make_case(number) for number in range(12)]
            found = [result async for _, result in each(cases, asker.describe, at_once=4)]
            await asker.aclose()
            return found

        results = asyncio.run(run())
    assert all(isinstance(result, Described) for result in results)
    assert len(results) == 12
    assert asker.counts.outcomes == {"ok": 12, "throttle": 2}
    assert len(server.hits) == len(log.calls) == 14
    assert clock.now - 1000 >= 1.0


ABORTS = [
    ("429 Retry-After 600", lambda h: error(h, 429, "limit", "slow", Retry_After="600"), "600 s"),
    ("429 overdue", lambda h: error(h, 429, "PrepaidBillOverdue", "The prepaid bill is overdue."), "money"),
    ("429 free quota", lambda h: error(h, 429, "AllocationQuota", "Free allocated quota exceeded."), "quota"),
    ("400 arrearage", lambda h: error(h, 400, "Arrearage", "Access denied, account not in good standing"), "money"),
    ("401", lambda h: error(h, 401, "InvalidApiKey", "Invalid API-key provided."), "key"),
    ("403", lambda h: error(h, 403, "AccessDenied", "Access denied."), "key"),
    ("404", lambda h: error(h, 404, "ModelNotFound", "Model not exist."), "qwen3.7-plus"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("play", "says"), [row[1:] for row in ABORTS], ids=[row[0] for row in ABORTS])
def test_abort_costs_one_request_however_many_samples_wait(play: Play, says: str, backend: str, make_case: Any) -> None:
    log = MemoryCallLog()
    with Loopback(play, latency_s=0.02) as server:
        asker, clock = throttled_asker(backend, server, log)

        async def run() -> list[Any]:
            cases = [make_case(number) for number in range(20)]
            tasks = [asyncio.ensure_future(asker.describe(case)) for case in cases]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            await asker.aclose()
            return found

        results = asyncio.run(run())
    assert all(isinstance(result, TeacherAbort) for result in results)
    assert len(server.hits) == 1
    assert [call.outcome for call in log.calls] == ["abort"]
    assert says in str(results[0])
    assert clock.now - 1000 < 60


@pytest.mark.parametrize("backend", BACKENDS)
def test_retired_model_is_named_with_its_successors(backend: str, make_case: Any) -> None:
    result, _, _, _ = ask_one(backend, lambda hit: error(hit, 404, "ModelNotFound", "Model not exist."), make_case(1))
    assert isinstance(result, TeacherAbort)
    for words in (MODEL, "qwen-vl-max", "retired", "2026", "qwen3.7-plus", "--model"):
        assert words in str(result)


@pytest.mark.parametrize("backend", BACKENDS)
def test_later_abort_keeps_what_is_under_way_and_starts_nothing(backend: str, make_case: Any) -> None:
    log = MemoryCallLog()

    def play(hit: Hit) -> Answer:
        return error(hit, 401, "InvalidApiKey", "key was revoked") if hit.number == 5 else good(hit)

    with Loopback(play, latency_s=0.1) as server:
        asker, _ = throttled_asker(backend, server, log)

        async def run() -> None:
            cases = [make_case(number) for number in range(30)]
            tasks = [asyncio.ensure_future(asker.describe(case)) for case in cases]
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                await asker.aclose()
            done = [task.result() for task in tasks if task.exception() is None]
            failed = [task.exception() for task in tasks if task.exception() is not None]
            assert len(done) + len(failed) == 30
            assert all(isinstance(result, Described) for result in done)
            assert all(isinstance(problem, TeacherAbort) for problem in failed)
            assert len(done) == sum(call.outcome == "ok" for call in log.calls)

        asyncio.run(run())
    assert len(server.hits) == len(log.calls)
    assert [call.outcome for call in log.calls].count("abort") == 1
    assert all(call.outcome in ("ok", "abort") for call in log.calls)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("play", "code", "hits"),
    [
        (lambda hit: error(hit, 400, "InvalidParameter", "temperature"), "invalid_request", 3),
        (lambda hit: completion(hit, json.dumps(model_reply(hit)), model="gpt-9"), "other_model", None),
        (lambda hit: good(hit, item="deadbeef00"), "other_item", None),
        (lambda hit: error(hit, 500, "x", "down"), "gave_up", 15),
    ],
    ids=["same 400 for all", "other model for all", "reply for another item", "server down"],
)
def test_what_every_sample_fails_of_ends_the_run(
    play: Play, code: str, hits: int | None, backend: str, make_case: Any
) -> None:
    log = MemoryCallLog()
    with Loopback(play) as server:
        asker, _ = throttled_asker(backend, server, log)

        async def run() -> None:
            try:
                async for _ in each([make_case(number) for number in range(20)], asker.describe, at_once=1):
                    pass
            finally:
                await asker.aclose()

        with pytest.raises(TeacherAbort):
            asyncio.run(run())
    assert log.calls[-1].code == code
    assert len(server.hits) == len(log.calls)
    assert len(server.hits) == hits or (hits is None and len(server.hits) <= 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_contradictions_are_counted_and_too_many_end_the_run(backend: str, make_case: Any) -> None:
    def play(hit: Hit) -> Answer:
        return good(hit, defect=not hit.anomalous, location=None if hit.anomalous else "top left")

    log = MemoryCallLog()
    with Loopback(play) as server:
        asker, _ = throttled_asker(backend, server, log)

        async def run() -> None:
            try:
                async for _ in each([make_case(n, anomalous=n % 2 == 0) for n in range(40)], asker.describe, at_once=1):
                    pass
            finally:
                await asker.aclose()

        with pytest.raises(TeacherAbort, match="contradict|label"):
            asyncio.run(run())
    assert len(server.hits) == len(log.calls) == 20
    assert asker.counts.codes["contradiction"] == 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_repeated_request_id_is_noted_and_rows_stay_apart(backend: str, make_case: Any) -> None:
    log = MemoryCallLog()
    with Loopback(lambda hit: completion(hit, json.dumps(model_reply(hit)), request_id="same")) as server:
        asker, _ = throttled_asker(backend, server, log)

        async def run() -> list[Any]:
            found = [await asker.describe(make_case(number)) for number in range(3)]
            await asker.aclose()
            return found

        results = asyncio.run(run())
    assert len({result.key for result in results}) == 3
    assert len({call.raw for call in log.calls}) == 3
    assert [call.reason != "" for call in log.calls] == [False, True, True]
    assert len(server.hits) == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_missing_usage_is_replaced_by_the_estimate(backend: str, make_case: Any) -> None:
    play = first(lambda hit: completion(hit, json.dumps(model_reply(hit)), usage=None))
    _, log, _, _ = ask_one(backend, play, make_case(1))
    assert log.calls[0].input_tokens > 100
    assert log.calls[0].output_tokens > 0
    assert log.calls[0].cost > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_key_is_in_no_row_and_no_error_even_when_the_server_repeats_it(
    backend: str, make_case: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    plays: list[Play] = [
        lambda hit: error(hit, 401, "InvalidApiKey", f"Incorrect API key provided: {KEY}"),
        lambda hit: error(hit, 400, "InvalidParameter", f"Authorization: Bearer {KEY}"),
        first(raw(f"<html>{KEY}</html>".encode(), 502, "text/html")),
        first(lambda hit: completion(hit, f"your key is {KEY}")),
        lambda hit: good(hit, description=f"The plug, {KEY}, has a scratch at the top left."),
        first(acted("reset")),
        first(lambda hit: Answer(302, b"", {"Location": f"http://127.0.0.1:9/{KEY}"})),
    ]
    for play in plays:
        result, log, server, _ = ask_one(backend, play, make_case(1))
        assert server.hits[0].headers["Authorization"] == f"Bearer {KEY}"
        assert KEY not in repr(result)
        assert KEY not in repr(log.calls)
    with Loopback() as server:
        wired = make_backend(backend, server)
        assert KEY not in repr(vars(wired)) + repr(vars(wired.wire))  # type: ignore[attr-defined]
    out, err = capfd.readouterr()
    assert KEY not in out + err
    assert all(KEY not in record.getMessage() + str(record.exc_text) for record in caplog.records)


@pytest.mark.parametrize("backend", BACKENDS)
def test_server_that_is_not_there_ends_the_run_and_quarantines_nobody(backend: str, make_case: Any) -> None:
    with Loopback() as server:
        log = MemoryCallLog()
        asker, clock = throttled_asker(backend, server, log)
    # the server is gone now

    async def run() -> None:
        try:
            async for _ in each([make_case(number) for number in range(5)], asker.describe, at_once=5):
                pass
        finally:
            await asker.aclose()

    with pytest.raises(TeacherAbort, match="--base-url"):
        asyncio.run(run())
    assert [call.outcome for call in log.calls].count("abort") == 1
    assert set(call.outcome for call in log.calls) == {"retry", "abort"}
    assert clock.now - 1000 < 120
