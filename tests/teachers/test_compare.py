from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from expertad import prompts
from expertad.sample import Case, Draft
from expertad.teachers.calls import MemoryCallLog
from expertad.teachers.compare import Comparison, compare_prompts
from tests.teachers.helpers import finish, make_asker
from tests.teachers.loopback import Answer, Hit, Loopback, good


class Finding(NamedTuple):
    name: str
    severity: str


def check(case: Case, draft: Draft) -> list[Finding]:
    return [Finding("place", "reject")] if "somewhere" in draft.think else []


def test_both_prompts_are_measured_on_the_same_samples(make_case: Any, tmp_path: Path) -> None:
    shipped = Path(prompts.__file__).parent / "distill_anomalous.v1.txt"
    (tmp_path / "distill_anomalous.v2.txt").write_text(shipped.read_text("utf-8").replace("Rules:", "Be vague. Rules:"))
    cases = [make_case(number, anomalous=number % 2 == 0) for number in range(8)]

    def play(hit: Hit) -> Answer:
        if "Be vague" in hit.prompt:
            return good(hit, think="A mark is somewhere on it.")
        return good(hit)

    log = MemoryCallLog()
    with Loopback(play) as server:
        first, second = make_asker(server, log), make_asker(server, log, prompts=prompts.load(tmp_path))

        async def run() -> Comparison:
            found = await compare_prompts(cases, first, second, check)
            await second.aclose()
            return found

        found = finish(first, run())
    assert (found.first.written, found.first.clean, found.first.rejected) == (8, 8, 0)
    assert (found.second.written, found.second.clean, found.second.rejected) == (8, 4, 4)
    assert found.second.findings == {"place": 4}
    assert len(server.hits) == 16 + 4
    assert found.first.cost > found.second.cost > 0
    table = "\n".join(found.lines())
    assert "distill_anomalous.v1" in table
    assert "distill_anomalous.v2+" in table
    assert "place" in table
