from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expertad.errors import TeacherAbort
from expertad.teachers.asking import Asker, Described
from expertad.teachers.batch import Batches, BatchLimits, Progress
from expertad.teachers.calls import MemoryCallLog
from tests.teachers.helpers import finish, make_asker
from tests.teachers.loopback import Answer, Hit, Loopback, error, good


def advance(asker: Asker, folder: Path, cases: list[Any], limits: BatchLimits | None = None) -> Progress:
    async def run() -> Progress:
        batches = Batches(asker, folder, limits=limits)
        return await batches.advance([asker.describe_request(case) for case in cases])

    return finish(asker, run())


def test_batch_is_written_sent_collected_and_shared_with_online_calls(make_case: Any, tmp_path: Path) -> None:
    log, cases = MemoryCallLog(), [make_case(number) for number in range(6)]
    with Loopback() as server:
        asker = make_asker(server, log)
        online = finish(asker, asker.describe(cases[0]))
        assert isinstance(online, Described)
        server.finish_batches = False
        assert advance(asker, tmp_path, cases) == Progress(1, 5, 0)
        assert advance(asker, tmp_path, cases) == Progress(1, 5, 0)
        server.finish_batches = True
        assert advance(asker, tmp_path, cases) == Progress(6, 0, 0)
        assert len(server.batches) == 1
        hits = len(server.hits)
        assert hits == len(log.calls) == 6
        for case in cases:
            assert finish(asker, asker.describe(case)).cached
        assert len(server.hits) == hits
    batched = [call for call in log.calls if call.via == "batch"]
    assert len(batched) == 5
    for call in batched:
        full = (call.input_tokens * 1.6 + call.output_tokens * 4.0) / 1e6
        assert call.cost == pytest.approx(full / 2)


def test_answers_are_matched_by_key_not_by_order(make_case: Any, tmp_path: Path) -> None:
    log, cases = MemoryCallLog(), [make_case(number, anomalous=number % 2 == 0) for number in range(8)]
    with Loopback() as server:
        asker = make_asker(server, log)
        advance(asker, tmp_path, cases)
        assert advance(asker, tmp_path, cases).settled == 8
    for case in cases:
        settled = log.settled(asker.describe_key(case))
        assert settled is not None
        assert settled.sample_id == case.sample.sample_id
        assert json.loads(settled.raw)["defect"] == case.sample.anomalous


def test_files_keep_within_lines_and_bytes(make_case: Any, tmp_path: Path) -> None:
    cases = [make_case(number) for number in range(7)]
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
        advance(asker, tmp_path / "lines", cases, BatchLimits(lines=3))
        counts = sorted(len(data.splitlines()) for data in server.files.values())
        assert counts == [1, 3, 3]
        longest = max(len(line) for data in server.files.values() for line in data.splitlines())
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
        advance(asker, tmp_path / "bytes", cases, BatchLimits(file_bytes=2 * longest + 10))
        assert all(len(data) <= 2 * longest + 10 for data in server.files.values())
        assert sum(len(data.splitlines()) for data in server.files.values()) == 7
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
        progress = advance(asker, tmp_path / "line", cases, BatchLimits(line_bytes=100))
        assert progress == Progress(0, 0, 7)
        assert server.files == {}


def test_line_is_what_the_api_asks_for(make_case: Any, tmp_path: Path) -> None:
    with Loopback() as server:
        asker = make_asker(server, MemoryCallLog())
        advance(asker, tmp_path, [make_case(1), make_case(2)])
        lines = [json.loads(line) for line in next(iter(server.files.values())).splitlines()]
    assert len({line["custom_id"] for line in lines}) == 2
    for line in lines:
        assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
        assert line["body"]["model"] == asker.backend.model
        assert line["body"]["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_batch_that_ends_early_loses_nothing(status: str, make_case: Any, tmp_path: Path) -> None:
    log, cases = MemoryCallLog(), [make_case(number) for number in range(10)]
    with Loopback() as server:
        asker = make_asker(server, log)
        server.finish_batches = False
        advance(asker, tmp_path, cases)
        server.end_batch("batch-1", status, 0.4)
        progress = advance(asker, tmp_path, cases)
        assert progress.settled == 4
        assert progress.under_way == 6
        server.finish_batches = True
        assert advance(asker, tmp_path, cases) == Progress(10, 0, 0)
    assert len(server.hits) == len(log.calls) == 10


def test_crash_after_submitting_does_not_submit_again(make_case: Any, tmp_path: Path) -> None:
    cases = [make_case(number) for number in range(3)]
    with Loopback() as server:
        server.finish_batches = False
        asker = make_asker(server, MemoryCallLog())
        advance(asker, tmp_path, cases)
        state = next(tmp_path.glob("part-*.json"))
        known = json.loads(state.read_text())
        state.write_text(json.dumps({**known, "batch_id": "", "file_id": "", "status": "written"}))
        assert advance(asker, tmp_path, cases).under_way == 3
        assert json.loads(state.read_text())["batch_id"] == known["batch_id"]
        assert len(server.batches) == 1


def test_what_a_batch_could_not_answer_stays_open_for_online_calls(make_case: Any, tmp_path: Path) -> None:
    log, cases = MemoryCallLog(), [make_case(number) for number in range(4)]

    def play(hit: Hit) -> Answer:
        if hit.number == 2:
            return error(hit, 500, "InternalError", "busy")
        return good(hit, defect=False, location=None) if hit.number == 3 else good(hit)

    with Loopback(play) as server:
        asker = make_asker(server, log)
        advance(asker, tmp_path, cases)
        progress = advance(asker, tmp_path, cases)
        assert (progress.settled, progress.under_way, progress.open) == (3, 0, 1)
        assert any("busy" in reason for reason in progress.reasons)
        results = [finish(asker, asker.describe(case)) for case in cases]
    assert sum(isinstance(result, Described) for result in results) == 3
    assert sorted(call.outcome for call in log.calls) == ["ok", "ok", "ok", "quarantine", "retry"]
    assert len(server.hits) == len(log.calls) == 5


def test_retired_model_in_a_batch_ends_the_run(make_case: Any, tmp_path: Path) -> None:
    log, cases = MemoryCallLog(), [make_case(number) for number in range(3)]
    with Loopback(lambda hit: error(hit, 404, "ModelNotFound", "Model not exist.")) as server:
        asker = make_asker(server, log)
        advance(asker, tmp_path, cases)
        with pytest.raises(TeacherAbort, match="qwen3.7-plus"):
            advance(asker, tmp_path, cases)
    assert len(log.calls) == 3


def test_native_endpoint_has_no_batches(tmp_path: Path) -> None:
    with Loopback() as server, pytest.raises(TeacherAbort, match="--teacher openai"):
        Batches(make_asker(server, MemoryCallLog(), "dashscope"), tmp_path)
