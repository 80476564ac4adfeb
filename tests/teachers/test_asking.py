"""Keys, cache, restarts and the order of things: what a build relies on, whoever the teacher is."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from expertad import prompts
from expertad.errors import DiskFull, ImageError, UserError
from expertad.sample import Case, Region
from expertad.teachers.asking import Asker, Described, Distilled, Limits, Quarantined, each
from expertad.teachers.base import Call
from expertad.teachers.calls import MemoryCallLog
from expertad.teachers.encode import ImageEncoder
from expertad.teachers.grounded_backend import GroundedBackend
from expertad.teachers.openai_compatible import OpenAICompatibleBackend
from expertad.teachers.registry import TeacherSettings, announcement, make_backend, parameters_for
from expertad.teachers.secret import Secret
from tests.teachers.helpers import BACKENDS, PARAMETERS, both, finish, make_asker
from tests.teachers.loopback import MODEL, Answer, Hit, Loopback, error, good

PROMPTS = Path(prompts.__file__).parent


def cases_of(make_case: Any, count: int = 12) -> list[Case]:
    return [make_case(number, anomalous=number % 2 == 0, shot=int(number % 3 == 0)) for number in range(count)]


def run_all(asker: Asker, cases: list[Case], at_once: int = 8) -> list[Any]:
    async def run() -> list[Any]:
        return [result async for _, result in each(cases, lambda case: both(asker, case), at_once=at_once)]

    return finish(asker, run())


@pytest.mark.parametrize("backend", BACKENDS)
def test_second_run_asks_nothing_whatever_the_order_and_the_host(backend: str, make_case: Any) -> None:
    log, cases = MemoryCallLog(), cases_of(make_case)
    with Loopback() as server:
        results = run_all(make_asker(server, log, backend), cases)
    assert all(isinstance(result, Distilled) for result in results)
    assert len(server.hits) == len(log.calls) == 24
    with Loopback() as other:
        asker = make_asker(other, log, backend)
        again = run_all(asker, cases[::-1], at_once=3)
    assert other.hits == []
    assert asker.counts.cached == 24
    assert {(r.sample_id, r.think) for r in again} == {(r.sample_id, r.think) for r in results}


def test_prompt_edited_for_normal_samples_asks_only_about_them_again(make_case: Any, tmp_path: Path) -> None:
    log, cases = MemoryCallLog(), cases_of(make_case)
    own = tmp_path / "prompts"
    own.mkdir()
    text = (PROMPTS / "describe_normal.v1.txt").read_text("utf-8")
    (own / "describe_normal.v2.txt").write_text(text.replace("70 to 140", "60 to 90"), "utf-8")
    with Loopback() as server:
        run_all(make_asker(server, log), cases)
        before = len(server.hits)
        run_all(make_asker(server, log, prompts=prompts.load(own)), cases)
        asked = {call.sample_id for call in log.calls[before:]}
    assert asked == {case.sample.sample_id for case in cases if not case.sample.anomalous}
    assert log.calls[-1].prompt_version != log.calls[0].prompt_version


def test_changed_image_asks_only_about_its_sample_again(make_case: Any) -> None:
    log, cases = MemoryCallLog(), cases_of(make_case)
    with Loopback() as server:
        run_all(make_asker(server, log), cases)
        path = cases[3].query.path
        path.write_bytes(path.read_bytes() + b"\x00")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        cases[3] = replace(cases[3], query=replace(cases[3].query, sha256=digest))
        before = len(server.hits)
        run_all(make_asker(server, log), cases)
    assert {call.sample_id for call in log.calls[before:]} == {cases[3].sample.sample_id}


CHANGES: list[tuple[str, Any]] = [
    ("query", lambda case: replace(case, query=replace(case.query, sha256="0" * 64))),
    ("reference", lambda case: replace(case, reference=replace(case.reference, sha256="0" * 64))),
    ("region", lambda case: replace(case, region=Region("left", (3,), ((1, 2, 3, 4),), 0.1))),
    ("mask", lambda case: replace(case, mask_sha256="0" * 64)),
    ("coarse type", lambda case: replace(case, sample=replace(case.sample, coarse_type="Hole"))),
    ("category", lambda case: replace(case, sample=replace(case.sample, category="cap"))),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_key_changes_with_what_the_teacher_sees(change: Any, make_case: Any) -> None:
    case = make_case(2)
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
    assert asker.describe_key(change(case)) != asker.describe_key(case)


def test_key_ignores_paths_and_names_and_sees_settings(make_case: Any, tmp_path: Path) -> None:
    case = make_case(2)
    moved = replace(
        case,
        sample=replace(case.sample, sample_id="plug/other/S1", part_id="p", image_path="plug/x.jpg"),
        query=replace(case.query, path=tmp_path / "elsewhere.jpg", relative="plug/x.jpg"),
        reference_id="another",
    )

    def key(case: Case, model: str = MODEL, parameters: Any = PARAMETERS, url: str = "http://a/v1") -> str:
        backend = OpenAICompatibleBackend(model, url, Secret("k"), parameters)
        return Asker(backend, MemoryCallLog(), encoder=ImageEncoder()).describe_key(case)

    assert key(moved) == key(case)
    assert key(case, url="http://b:9/v2") == key(case)
    assert key(case, parameters=dict(reversed(PARAMETERS.items()))) == key(case)
    assert key(case, model="other") != key(case)
    assert key(case, parameters={"temperature": 0.9}) != key(case)


def test_zero_and_one_shot_reasoning_are_different_questions(make_case: Any) -> None:
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
        zero, one = make_case(2, shot=0), make_case(2, shot=1)
        assert asker.describe_key(zero) == asker.describe_key(one)
        assert asker.distill_key(zero, "text") != asker.distill_key(one, "text")
        assert asker.distill_key(zero, "text") != asker.distill_key(zero, "another")
        assert len(run_all(asker, [zero, one])) == 2
    seen = [(hit.stage, len(hit.images)) for hit in server.hits]
    assert sorted(seen) == [("describe", 2), ("distill", 1), ("distill", 2)]
    one_shot = next(hit for hit in server.hits if hit.stage == "distill" and len(hit.images) == 2)
    zero_shot = next(hit for hit in server.hits if hit.stage == "distill" and len(hit.images) == 1)
    assert "normal sample" in one_shot.prompt
    assert "do not mention a reference" in zero_shot.prompt


def test_teacher_sees_the_outline_and_the_student_s_view_has_none(make_case: Any) -> None:
    with Loopback() as server:
        case = make_case(2, size=(400, 300))
        run_all(make_asker(server, MemoryCallLog()), [case])
    describe, distill = server.hits
    assert describe.images[1] != case.query.path.read_bytes()
    assert distill.images[0] == case.query.path.read_bytes()


def test_same_question_at_the_same_time_is_asked_once(make_case: Any) -> None:
    log = MemoryCallLog()
    case = make_case(2)
    twin = replace(case, sample=replace(case.sample, sample_id="plug/NG_HS/S9999/C1"))
    with Loopback(latency_s=0.1) as server:
        asker = make_asker(server, log)

        async def run() -> list[Any]:
            return list(await asyncio.gather(asker.describe(case), asker.describe(twin), asker.describe(case)))

        results = finish(asker, run())
    assert len(server.hits) == len(log.calls) == 1
    assert len({result.description for result in results}) == 1


def test_quarantine_is_settled_until_it_is_released(make_case: Any) -> None:
    log, case = MemoryCallLog(), make_case(2)
    with Loopback(lambda hit: good(hit, defect=False, location=None) if hit.number == 1 else good(hit)) as server:
        first = finish(make_asker(server, log), make_asker(server, log).describe(case))
        assert isinstance(first, Quarantined)
        asker = make_asker(server, log)
        second = finish(asker, asker.describe(case))
        assert isinstance(second, Quarantined)
        assert second.cached
        assert len(server.hits) == 1
        log.release(first.key)
        asker = make_asker(server, log)
        assert isinstance(finish(asker, asker.describe(case)), Described)
    assert [call.attempt for call in log.calls] == [1, 2]


def test_unreadable_image_is_quarantined_and_nothing_is_sent(make_case: Any) -> None:
    log, case = MemoryCallLog(), make_case(2)
    case.query.path.unlink()
    with Loopback() as server:
        asker = make_asker(server, log)
        result = finish(asker, asker.describe(case))
    assert isinstance(result, Quarantined)
    assert result.code == "unreadable"
    assert str(case.query.path) in result.reason
    assert server.hits == []
    assert [(call.outcome, call.host) for call in log.calls] == [("quarantine", "")]


def test_no_more_requests_are_under_way_than_allowed(make_case: Any) -> None:
    cases = [make_case(number) for number in range(24)]
    with Loopback(latency_s=0.05) as server:
        asker = make_asker(server, MemoryCallLog(), limits=Limits(at_once=5))

        async def run() -> None:
            await asyncio.gather(*(asker.describe(case) for case in cases))

        finish(asker, run())
    assert server.most_at_once == 5


def test_first_request_goes_alone(make_case: Any) -> None:
    cases = [make_case(number) for number in range(10)]
    alone: list[int] = []

    def play(hit: Hit) -> Answer:
        if hit.number == 1:
            time.sleep(0.2)
            alone.append(len(server.hits))
        return good(hit)

    with Loopback(play) as server:
        asker = make_asker(server, MemoryCallLog())

        async def run() -> None:
            await asyncio.gather(*(asker.describe(case) for case in cases))

        finish(asker, run())
    assert alone == [1]
    assert len(server.hits) == 10


def test_asker_serves_one_event_loop_after_another(make_case: Any) -> None:
    log = MemoryCallLog()
    with Loopback() as server:
        asker = make_asker(server, log)
        for number in range(3):
            assert isinstance(finish(asker, asker.describe(make_case(number))), Described)
    assert len(log.calls) == 3


def test_description_already_held_is_found_without_asking(make_case: Any) -> None:
    log, case = MemoryCallLog(), make_case(2)
    with Loopback() as server:
        asker = make_asker(server, log)
        assert asker.described(case) is None
        described = finish(asker, asker.describe(case))
        assert asker.described(case) == described.description
    assert len(server.hits) == 1


class FullDisk(MemoryCallLog):
    """A ledger on a disk that fills up after some rows."""

    def __init__(self, room: int) -> None:
        self.room = room
        super().__init__()

    def commit_many(self, calls: Any) -> None:
        if len(self.calls) + len(calls) > self.room:
            raise DiskFull("no space left")
        super().commit_many(calls)


def test_full_disk_stops_the_run_before_more_is_spent(make_case: Any) -> None:
    cases = [make_case(number) for number in range(30)]
    with Loopback(latency_s=0.02) as server:
        asker = make_asker(server, FullDisk(5), limits=Limits(at_once=4))
        with pytest.raises(DiskFull):
            run_all(asker, cases, at_once=4)
    assert len(server.hits) <= 5 + 4


def test_stop_lets_calls_under_way_finish(make_case: Any) -> None:
    log = MemoryCallLog()
    cases = [make_case(number) for number in range(20)]
    with Loopback(latency_s=0.2) as server:
        asker = make_asker(server, log, limits=Limits(at_once=4))

        async def run() -> list[Any]:
            tasks = [asyncio.ensure_future(asker.describe(case)) for case in cases]
            while len(server.hits) < 3:
                await asyncio.sleep(0.005)
            asker.stop(UserError("interrupted"))
            return list(await asyncio.gather(*tasks, return_exceptions=True))

        results = finish(asker, run())
    kept = sum(isinstance(result, Described) for result in results)
    assert 1 <= kept == len(log.calls) == len(server.hits) < 20
    assert sum(isinstance(result, UserError) for result in results) == 20 - kept


def test_rows_are_committed_in_order_and_together_when_they_come_together(make_case: Any) -> None:
    class Counting(MemoryCallLog):
        def __init__(self) -> None:
            self.transactions = 0
            super().__init__()

        def commit_many(self, calls: Any) -> None:
            time.sleep(0.05)
            self.transactions += bool(calls)
            super().commit_many(calls)

    log = Counting()
    with Loopback() as server:
        run_all(make_asker(server, log), [make_case(number) for number in range(20)], at_once=20)
    assert len(log.calls) == 40
    assert log.transactions < 30


def test_each_gives_results_of_what_was_under_way_before_it_raises() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.01 * (number == 0) + 0.03)
        if number == 1:
            raise UserError("bad")
        return number

    async def run() -> tuple[list[int], int]:
        seen, begun = [], 0

        def items() -> Any:
            nonlocal begun
            for number in range(100):
                begun += 1
                yield number

        try:
            async for _, result in each(items(), work, at_once=4):
                seen.append(result)
        except UserError:
            return seen, begun
        raise AssertionError("no error")

    seen, begun = asyncio.run(run())
    assert sorted(seen) == [0, 2, 3]
    assert begun == 4


def describe(case: Case) -> dict[str, Any]:
    if case.sample.sample_id.endswith("S0003/C1"):
        raise ImageError("cannot be measured")
    return {"description": f"About {case.sample.sample_id}.", "defect": case.sample.anomalous, "location": place(case)}


def distill(case: Case, description: str) -> dict[str, Any]:
    return {
        "think": f"Seen: {description}",
        "fine_type": "scratch" if case.region else None,
        "answer": "Yes" if case.region else "No",
        "location": place(case),
    }


def place(case: Case) -> str | None:
    return case.region.location if case.region else None


def test_local_teacher_goes_through_the_same_loop(make_case: Any) -> None:
    log = MemoryCallLog()
    cases = [make_case(number, anomalous=number % 2 == 0) for number in range(8)]
    asker = Asker(GroundedBackend(describe, distill, "local-1"), log)

    async def run() -> list[Any]:
        found = []
        for case in cases:
            described = await asker.describe(case)
            found.append(described if isinstance(described, Quarantined) else await asker.distill(case, described))
        return found

    results = finish(asker, run())
    assert [type(result) for result in results].count(Quarantined) == 1
    assert all(call.cost == 0 and call.host == "" for call in log.calls)
    assert len(log.calls) == 15
    later = Asker(GroundedBackend(describe, distill, "local-2"), log)
    assert later.describe_key(cases[0]) != asker.describe_key(cases[0])


def test_keys_of_a_whole_build_are_all_different(make_case: Any) -> None:
    template = make_case(2)
    digests = [f"{number:064x}" for number in range(2950)]
    cases = [replace(template, query=replace(template.query, sha256=digest)) for digest in digests]
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
    keys = set()
    for case in cases:
        keys |= {asker.describe_key(case), asker.distill_key(case, "A long description. " * 30)}
    assert len(keys) == 5900


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        ("qwen-vl-max", False, {"response_format": {"type": "json_object"}}),
        ("qwen3.7-plus", False, {"response_format": {"type": "json_object"}, "enable_thinking": False}),
        ("qwen3.7-plus", True, {"enable_thinking": True}),
        ("qwen3.8-max", False, {}),
        ("Qwen/Qwen2.5-VL-7B-Instruct", False, {"response_format": {"type": "json_object"}}),
    ],
)
def test_json_mode_and_thinking_never_meet(model: str, thinking: bool, expected: dict[str, Any]) -> None:
    found = parameters_for(TeacherSettings(model=model, thinking=thinking))
    assert {name: found[name] for name in found if name in ("response_format", "enable_thinking")} == expected


def test_builder_s_parameters_win_and_none_removes_one() -> None:
    found = parameters_for(TeacherSettings(model="m", parameters={"temperature": 0.1, "seed": None, "top_k": 5}))
    assert found["temperature"] == 0.1
    assert found["top_k"] == 5
    assert "seed" not in found


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("openai", TeacherSettings(), "qwen-vl-max.*retired.*qwen3.7-plus"),
        ("dashscope", TeacherSettings(), "--model"),
        ("other", TeacherSettings(), "grounded, openai, dashscope"),
        ("openai", TeacherSettings(model="m", base_url="http://h/v1", parameters={"stream": True}), "stream"),
        ("openai", TeacherSettings(model="m", region="mars"), "cn, intl, us"),
        ("openai", TeacherSettings(model="m", base_url="http://sk-key@host/v1"), "--key-file"),
        ("openai", TeacherSettings(model="m", base_url="ftp://host"), "https://host/v1"),
        ("openai", TeacherSettings(model="m", key_file=Path("/nowhere/key")), "/nowhere/key"),
    ],
)
def test_settings_that_cannot_work_say_what_to_do(name: str, settings: TeacherSettings, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        make_backend(name, settings)
    assert "sk-key" not in str(caught.value)


def test_region_gives_the_address_and_the_builder_is_told_where_images_go(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1")
    hosts = {
        (name, region): make_backend(name, TeacherSettings(model="m", region=region, key_file=key))
        for name in BACKENDS
        for region in ("cn", "intl", "us")
    }
    assert len({backend.host for backend in hosts.values()}) == 3
    assert hosts["openai", "intl"].wire.base_url.endswith("/compatible-mode/v1")  # type: ignore[attr-defined]
    assert hosts["dashscope", "us"].wire.base_url.endswith("/api/v1")  # type: ignore[attr-defined]
    told = announcement(hosts["openai", "cn"], 5900)
    assert "5900 images" in told
    assert "dashscope.aliyuncs.com" in told


def test_rows_fit_any_store(make_case: Any) -> None:
    log = MemoryCallLog()
    with Loopback(lambda hit: error(hit, 500, "x\x00", "odd \ud800 text") if hit.number == 1 else good(hit)) as server:
        asker = make_asker(server, log)
        finish(asker, asker.describe(make_case(2)))
    assert all(isinstance(call, Call) and orjson.dumps(call) for call in log.calls)
    assert all("\x00" not in call.raw + call.reason for call in log.calls)
