"""Push and pull over a wire that cuts, delays, repeats and answers 5xx: every task once, every verdict once."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from faulty_proxy import faulty
from label_studio import Person, builder, choice, running, steady
from support import Run, command, environment

from expertad.ledger import Ledger, sqlite_url

pytestmark = [pytest.mark.server, pytest.mark.slow]
SAMPLES = 600


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which 600 drafts wait for people."""
    folder = tmp_path_factory.mktemp("faults")
    half = SAMPLES // 2
    for words in (
        ("draw", folder / "drawn", "--profile", "smoke", "--parts", 340),
        (
            *("build", "--source", "real-iad", "--root", folder / "drawn", "--workspace", folder / "W"),
            *("--pa-sft", half, "--sc-grpo", half, "--held-out", 0, "--review", "label-studio"),
        ),
    ):
        done = subprocess.run(
            command(*words), cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder / "W"


def listed(person: Person, project: int) -> list[dict]:
    found: list[dict] = []
    while page := person.ask(
        "GET", f"/api/tasks/?project={project}&page_size=300&page={len(found) // 300 + 1}&fields=task_only"
    ):
        found += page["tasks"]
        if len(found) >= page["total"]:
            return found
    return found


def verdicts(workspace: Path) -> list:
    ledger = Ledger(sqlite_url(workspace), create=False)
    try:
        return [verdict for found in ledger.verdicts().values() for verdict in found]
    finally:
        ledger.close()


def everything(folder: Path, but: Path) -> bytes:
    return b"\n".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and but not in p.parents)


def again(expertad: Run, *words: object, env: dict[str, str]) -> str:
    """What a command says until it ends well, run again and again as it tells the builder to."""
    told = ""
    for _ in range(12):
        ran = expertad(*words, env=env)
        told += ran.out + ran.err
        assert "Traceback" not in told
        if ran.code == 0:
            return told
        assert ran.code == 2
        assert "run again" in ran.err or "could not be reached" in ran.err
    pytest.fail(f"it never ended well:\n{told[-3000:]}")


def test_six_hundred_tasks_and_verdicts_survive_a_bad_wire(expertad: Run, waiting: Path, tmp_path: Path):
    with running(tmp_path / "server") as access, faulty(access.url, seed=3, share=0.3) as proxy:
        env = {"LABEL_STUDIO_API_KEY": access.token}
        where = ("--workspace", waiting, "--url", proxy.url)
        told = again(expertad, "review", "push", *where, env=env)
        sent = {kind.split(": ")[1] for kind in proxy.done}
        assert {"import", "refresh"} <= sent

        person = builder(access)
        projects = {p["description"].split()[2]: p for p in person.ask("GET", "/api/projects/")["results"]}
        assert projects.keys() == {"review", "images"}
        review = projects["review"]["id"]
        tasks = listed(person, review)
        keys = Counter((task["data"]["sample_id"], task["data"]["revision"]) for task in tasks)
        assert len(keys) == SAMPLES
        assert set(keys.values()) == {1}
        picture = tasks[0]["data"]["query_image"]
        assert picture.startswith("/data/upload/")

        wanted = {}
        with steady(access) as post:
            for number, task in enumerate(tasks):
                decision = ("accept", "reject")[number % 2]
                wanted[task["data"]["sample_id"]] = decision
                result = [choice("decision", "query", decision)]
                if decision == "reject":
                    result.append(choice("why", "query", "inaccurate"))
                post(task["id"], result)
        proxy.share = 0.5
        for pulls in range(12):
            told += again(expertad, "review", "pull", *where, env=env)
            harmed = sum(count for kind, count in proxy.done.items() if kind.endswith("export"))
            if pulls >= 1 and harmed:
                break
        assert harmed
        found = verdicts(waiting)
        assert {verdict.sample_id: verdict.decision for verdict in found} == wanted
        assert len(found) == SAMPLES
        assert access.token not in told
        assert access.token.encode() not in everything(waiting, but=waiting / "nothing")
