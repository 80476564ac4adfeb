"""Commands that ask a remote teacher, as a builder runs them, against a server on this machine: estimates, comparisons,
batches, second opinions, budgets and interrupts, on real photographs."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import Ran, Run, command, environment

from expertad import prompts
from tests.teachers.helpers import KEY
from tests.teachers.loopback import MODEL, Answer, Hit, Loopback, good

pytestmark = pytest.mark.slow

SENT = "of your data set will be sent to 127.0.0.1"
PRICES = "\n".join(
    f'[prices."{model}"]\ninput = 1.6\noutput = 4.0\ncurrency = "CNY"' for model in (MODEL, "model-a", "model-b")
)


class Builder:
    """One builder at a shell, with a configured price and a key in the environment."""

    def __init__(self, run: Run, folder: Path, bsdata: Path) -> None:
        self._run, self.folder = run, folder
        self._source = ("--source", "real-iad", "--root", bsdata, "--workspace", "W", "--limit", 12)
        (folder / "expertad.toml").write_text(PRICES)

    def words(self, server: Loopback, name: str, *words: object, teachers: str = "") -> tuple[object, ...]:
        who = ("--teachers", teachers) if teachers else ("--teacher", "openai", "--model", MODEL)
        return (name, *self._source, *who, "--base-url", server.url("openai"), *words)

    def __call__(self, server: Loopback, name: str, *words: object, teachers: str = "") -> Ran:
        return self._run(*self.words(server, name, *words, teachers=teachers), env={"EXPERTAD_TEACHER_KEY": KEY})

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "W" / "ledger.sqlite3") as connection:
            return connection.execute(query).fetchall()

    def calls(self) -> int:
        return int(self.rows("select count(*) from calls")[0][0])


@pytest.fixture
def builder(expertad: Run, tmp_path: Path, bsdata: Path) -> Builder:
    return Builder(expertad, tmp_path, bsdata)


def test_an_estimate_asks_only_its_sample_and_the_build_uses_those_answers(builder: Builder) -> None:
    with Loopback() as server:
        guess = builder(server, "estimate", "--sample", 0, "--rpm", 4)
        assert guess.code == 0, guess.err
        assert server.hits == []
        assert SENT not in guess.err
        lines = guess.out.splitlines()
        assert lines[0] == "12 samples are selected"
        for line, stage in zip(lines[2:4], ("describe", "distill"), strict=True):
            assert line.split()[:5] == [stage, "12", "questions", "(12", "still"]
            assert line.endswith(" CNY")
        assert "text only guessed" in lines[4]
        assert lines[5].endswith("0.1 hours for what is left, bound by requests a minute")

        measured = builder(server, "estimate", "--sample", 3, "--tpm", 600_000)
        assert measured.code == 0, measured.err
        assert len(server.hits) == builder.calls() == 6
        assert measured.err.count(SENT) == 1
        assert "(9 still to ask)" in measured.out
        assert "measured on 3 samples" in measured.out
        assert "bound by tokens a minute" in measured.out
        again = builder(server, "estimate", "--sample", 3)
        assert len(server.hits) == 6
        assert SENT not in again.err

        built = builder(server, "build", "--review", "auto", "--json")
        assert built.code == 0, built.err
        assert len(server.hits) == builder.calls()
        assert built.json["teacher"]["calls"] == len(server.hits) - 6
        assert built.json["teacher"]["cached"] == 6
        assert max(Counter(builder.rows("select key from calls")).values()) == 1


def test_two_prompts_are_compared_and_what_is_shared_is_asked_once(builder: Builder, expertad: Run) -> None:
    folder = builder.folder / "mine"
    folder.mkdir()
    for path in Path(prompts.__file__).parent.glob("distill_*.v1.txt"):
        text = path.read_text("utf-8").replace("[user]\n", "[user]\nBe short.\n")
        (folder / path.name.replace("v1", "v2")).write_text(text, "utf-8")
    with Loopback() as server:
        done = builder(server, "compare-prompts", "shipped", folder, "--limit", 4)
        assert done.code == 0, done.err
        assert len(server.hits) == builder.calls() == 4 + 4 + 4
        assert sum("Be short." in hit.prompt for hit in server.hits) == 4
        assert done.err.count(SENT) == 1
        table = {line[:32].strip(): line[32:].split() for line in done.out.splitlines()[2:]}
        assert table["drafts written"] == ["4", "4"]
        first, _, second, _ = table["cost"]
        assert float(first) > float(second) > 0
        paid = builder.rows("select sum(cost) from calls")[0][0]
        assert float(first) + float(second) == pytest.approx(paid, abs=2e-4)

        broke = builder(server, "compare-prompts", "shipped", folder, "--limit", 6, "--budget", f"{paid:f}")
        assert broke.code == 3
        assert "raise --budget" in broke.err
        assert len(server.hits) == 12
    refused = expertad("compare-prompts", "shipped", folder)
    assert refused.code == 2
    assert refused.err.splitlines() == [
        "expertad: the grounded teacher reads no prompts; compare them with --teacher openai or dashscope"
    ]


def test_batches_answer_both_stages_once_and_the_build_asks_nothing_more(builder: Builder) -> None:
    with Loopback() as server:
        server.finish_batches = False
        submitted = builder(server, "batch")
        assert submitted.code == 0, submitted.err
        assert f"describe by {MODEL}: 0 settled, 12 under way, 0 open" in submitted.err
        assert f"distill by {MODEL}: 0 settled, 0 under way, 0 open" in submitted.err
        assert submitted.err.count(SENT) == 1
        assert "12 under way" in builder(server, "batch").err
        assert (len(server.batches), server.hits) == (1, [])
        server.finish_batches = True
        collected = builder(server, "batch", "--wait", 1)
        assert f"describe by {MODEL}: 12 settled, 0 under way, 0 open" in collected.err
        assert f"distill by {MODEL}: 0 settled, 12 under way, 0 open" in collected.err
        assert f"distill by {MODEL}: 12 settled, 0 under way, 0 open" in collected.err
        assert "nothing is under way" in collected.err.splitlines()[-1]
        assert len(server.batches) == 2
        assert len(server.hits) == builder.calls() == 24
        assert SENT not in builder(server, "batch").err
        asked = {row[0] for row in builder.rows("select distinct sample_id from calls")}
        built = builder(server, "build", "--json")
        assert built.code == 0, built.err
        assert SENT not in built.err
        assert {row[0] for row in builder.rows("select distinct sample_id from calls")} == asked
        assert len(server.hits) == 24
        assert built.json["teacher"]["calls"] == 0
        assert built.json["waiting"] + built.json["rejected"] >= 12


def differing(hit: Hit, seen: Counter[str]) -> Answer:
    """A second teacher that differs from the first about some samples, each in another way."""
    if hit.body["model"] == "model-a":
        return good(hit)
    seen[hit.stage, hit.anomalous] += 1
    turn = seen[hit.stage, hit.anomalous] % 3
    if hit.stage == "describe" and not hit.anomalous and turn == 1:
        return good(hit, defect=True, location="center")
    if hit.stage == "distill" and hit.anomalous and turn == 1:
        return good(hit, location="outside")
    if hit.stage == "distill" and hit.anomalous and turn == 2:
        return good(hit, fine_type="unheard-of spot", new_term_reason="nothing on the list is like it")
    return good(hit)


def test_a_person_decides_where_two_teachers_differ(builder: Builder, expertad: Run) -> None:
    seen: Counter[Any] = Counter()
    both = {"teachers": "openai:model-a,openai:model-b"}
    with Loopback(lambda hit: differing(hit, seen)) as server:
        first = builder(server, "build", "--json", **both)
        assert first.code == 0, first.err
        assert first.err.count(SENT) == 2
        assert len(server.hits) == builder.calls()
        by_model = dict(builder.rows("select model, sum(cost) from calls group by model"))
        assert first.json["teacher"]["cost"] == pytest.approx(sum(by_model.values()), abs=1e-5)
        assert first.json["teacher"]["cached"] == 0
        told = expertad("status", "--workspace", "W", "--json").json
        pending = told["reasons"]["pending"]
        differ = pending["waits for a person; second_opinion"]
        assert 0 < differ < 12
        lines = [json.loads(line) for line in (builder.folder / "W/review/pending.jsonl").read_text().splitlines()]
        hints = Counter(hint for line in lines for hint in line["hints"] if hint.startswith("second_opinion"))
        assert sum(hints.values()) == differ
        ways = ("answer", "location", "type")
        assert set(hints) == {f"second_opinion: the teachers differ in {way}" for way in ways}
        report = (builder.folder / "W/report.html").read_text()
        assert report.count("the teachers differ in") >= differ

        asked = len(server.hits)
        again = builder(server, "build", "--json", **both)
        assert (len(server.hits), again.json["teacher"]["calls"]) == (asked, 0)
        assert SENT not in again.err
        differed = {line["sample_id"] for line in lines if any("second_opinion" in hint for hint in line["hints"])}

        server.play = good
        decided = builder(server, "build", "--json", "--review", "auto", **both)
        assert decided.code == 0, decided.err
        rejected = builder.rows("select sample_id from samples where reason like 'second_opinion: the teachers %'")
        assert rejected
        assert {row[0] for row in rejected} <= differed
        assert decided.json["rejected"] >= len(rejected)
        published = {row[0] for row in builder.rows("select sample_id from samples where state = 'published'")}
        assert published
        assert not published & differed
        agreed = {line["sample_id"] for line in lines} - differed
        assert published & agreed


def test_a_second_teacher_that_joins_later_is_announced_and_pays_from_the_same_purse(builder: Builder) -> None:
    with Loopback() as server:
        alone = builder(server, "build", "--json", teachers="openai:model-a,grounded")
        assert alone.code == 0, alone.err
        spent, asked = alone.json["teacher"]["cost"], len(server.hits)
        both = {"teachers": "openai:model-a,openai:model-b"}
        broke = builder(server, "build", "--json", "--budget", f"{spent:f}", **both)
        assert broke.code == 3
        assert "raise --budget" in broke.json["error"]
        assert len(server.hits) == asked
        joined = builder(server, "build", "--json", **both)
        assert joined.code == 0, joined.err
        assert joined.err.count(SENT) == 1
        assert "model model-b" in joined.err
        assert Counter(hit.body["model"] for hit in server.hits[asked:]).keys() == {"model-b"}
        assert joined.json["teacher"]["calls"] == len(server.hits) - asked


def test_a_spent_budget_stops_the_run_and_more_of_it_goes_on(builder: Builder) -> None:
    with Loopback() as server:
        stopped = builder(server, "build", "--json", "--budget", 0.05, "--at-once", 2)
        assert stopped.code == 3, stopped.err
        assert stopped.err.count(SENT) == 1
        assert "budget of 0.05 CNY" in stopped.err.splitlines()[-1]
        assert "raise --budget to go on" in stopped.json["error"]
        teacher = stopped.json["teacher"]
        kept = builder.calls()
        assert 0 < teacher["calls"] == kept == len(server.hits)
        assert 0 < teacher["cost"] <= 0.05
        assert teacher["currency"] == "CNY"
        assert stopped.json["left"] > 0
        finished = builder(server, "build", "--json", "--budget", 5)
        assert finished.code == 0, finished.err
        assert finished.json["left"] == 0
        assert finished.json["teacher"]["calls"] == len(server.hits) - kept
        assert max(Counter(builder.rows("select key from calls")).values()) == 1
        quiet = builder(server, "build", "--json", "--budget", 0)
        assert quiet.code == 0, quiet.err
        assert SENT not in quiet.err
        assert quiet.json["teacher"]["calls"] == 0


def test_limits_that_only_the_flow_can_take_from_are_not_passed_over(builder: Builder) -> None:
    with Loopback() as server:
        done = builder(server, "build", "--json", "--shared-limit", "ours")
        assert done.code == 2
        assert "-p shared_limit=ours" in done.json["error"]
        assert server.hits == []


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_keeps_the_calls_under_way_and_starts_no_other(builder: Builder, presses: int) -> None:
    errors = builder.folder / "errors.txt"
    told: list[str] = []

    def play(hit: Hit) -> Answer:
        if hit.number == 1:
            told.append(errors.read_text())
        return good(hit)

    with Loopback(play, latency_s=3.0) as server, errors.open("w") as out:
        words = builder.words(server, "build", "--limit", 40, "--at-once", 20, "--json")
        process = subprocess.Popen(
            command(*words), cwd=builder.folder, env=environment(EXPERTAD_TEACHER_KEY=KEY), stderr=out,
            stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        end = time.monotonic() + 120
        while len(server.hits) < 20 and time.monotonic() < end:
            assert process.poll() is None, errors.read_text()
            time.sleep(0.05)
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 130, errors.read_text()
        assert SENT in told[0]
        assert json.loads(printed.splitlines()[-1])["error"] == "interrupted"
        assert errors.read_text().splitlines()[-1].startswith("expertad: interrupted; what is done is kept")
        assert "Traceback" not in errors.read_text()
        sent = len(server.hits)
        assert sent < 40
        kept = builder.calls()
        assert kept == sent
        settled = {row[0] for row in builder.rows("select key from calls where outcome in ('ok', 'repaired')")}
        assert (len(settled) == sent) == (presses == 1)
        server.latency_s = 0.0
        done = builder(server, "build", "--limit", 40, "--json")
        assert done.code == 0, done.err
        assert len(server.hits) == builder.calls()
        again = {row[0] for row in builder.rows(f"select key from calls where id > {kept}")}
        assert again
        assert not again & settled
