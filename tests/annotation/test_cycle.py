"""Review through a real server, from the shell: double review, calibration, changed minds, kills and deletions."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from label_studio import Person, builder, choice, join, running, server, text
from prefect_server import free_port
from sklearn.metrics import cohen_kappa_score
from support import Ran, Run, command, environment

from annotation.access import Access
from expertad.ledger import Ledger, sqlite_url
from expertad.verdict import Verdict

pytestmark = [pytest.mark.server, pytest.mark.slow]
SAMPLES = 24


class Review:
    """A workspace whose drafts wait for people, and what one asks of it at a shell."""

    def __init__(self, expertad: Run, bsdata: Path, folder: Path) -> None:
        self.workspace = folder / "a workspace"
        self._expertad = expertad
        self._source = ("--source", "real-iad", "--root", bsdata, "--workspace", self.workspace, "--limit", SAMPLES)

    def build(self, *more: object) -> Ran:
        ran = self._expertad("build", *self._source, "--review", "label-studio", "--json", *more)
        assert ran.code == 0, ran.err
        return ran

    def __call__(self, *words: object) -> dict:
        ran = self._expertad("review", words[0], "--workspace", self.workspace, "--json", *words[1:])
        assert ran.code == 0, ran.err
        return ran.json | {"said": ran.err}

    def state(self, sample_id: str) -> dict:
        return self._expertad("status", "--workspace", self.workspace, "--sample", sample_id, "--json").json

    @property
    def verdicts(self) -> list[Verdict]:
        ledger = Ledger(sqlite_url(self.workspace), create=False)
        try:
            return [verdict for found in ledger.verdicts().values() for verdict in found]
        finally:
            ledger.close()

    @property
    def rows(self) -> dict[str, dict]:
        folder = self.workspace / "dataset"
        tables = [path for name in ("pa_sft", "sc_grpo") for path in (folder / name).glob("*.parquet")]
        return {row["id"]: row for path in tables for row in pq.read_table(path).to_pylist()}


@pytest.fixture(scope="module")
def built(bsdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which everything waits for people; each test works on a copy."""
    folder = tmp_path_factory.mktemp("cycle")

    def run(*words: object) -> Ran:
        done = subprocess.run(command(*words), cwd=folder, env=environment(), capture_output=True, text=True)
        return Ran(done.returncode, done.stdout, done.stderr)

    made = Review(run, bsdata, folder)
    made.build()
    return made.workspace


@pytest.fixture
def review(expertad: Run, bsdata: Path, built: Path, tmp_path: Path) -> Review:
    made = Review(expertad, bsdata, tmp_path)
    shutil.copytree(built, made.workspace)
    return made


def projects(person: Person) -> dict[str, int]:
    """Numbers of the workspace's projects by kind."""
    found = person.ask("GET", "/api/projects/?page_size=100")["results"]
    assert len({project["description"] for project in found}) == len(found)
    return {project["description"].split()[2]: project["id"] for project in found}


def tasks(person: Person, kind: str = "review") -> list[dict]:
    project = projects(person)[kind]
    return person.ask("GET", f"/api/tasks/?project={project}&page_size=500&fields=task_only")["tasks"]


def accept() -> list[dict]:
    return [choice("decision", "query", "accept")]


def reject(*reasons: str) -> list[dict]:
    return [choice("decision", "query", "reject"), choice("why", "query", *(reasons or ("inaccurate",)))]


def moved(task: dict, location: str) -> list[dict]:
    """An edit that moves the defect, in the field and in the reasoning."""
    think = task["data"]["think"].replace(task["data"]["location"], location)
    return [
        choice("decision", "query", "edit"),
        choice("corrected_location", "query", location),
        text("corrected_think", "query", think),
    ]


def test_two_people_a_conflict_and_an_adjudicator(review: Review):
    with running(review.workspace) as access:
        pushed = review("push", "--overlap", 2)
        assert [(p["kind"], p["added"]) for p in pushed["projects"]] == [("review", SAMPLES)]
        anna, bob = builder(access), join(access, "bob@example.org")
        waiting = tasks(anna)
        assert len(waiting) == SAMPLES
        plan = random.Random(5)
        said: dict[str, list[str]] = {}
        for task in waiting:
            first = plan.choice(["accept", "accept", "reject"])
            second = first if plan.random() < 0.7 else plan.choice(["accept", "reject"])
            said[task["data"]["sample_id"]] = [first, second]
            for person, decision in ((anna, first), (bob, second)):
                person.answer(task["id"], accept() if decision == "accept" else reject())
        disputed = {name for name, (first, second) in said.items() if first != second}
        assert disputed

        pulled = review("pull")
        assert (pulled["added"], pulled["refused"]) == (2 * SAMPLES, [])
        labels = list(zip(*said.values(), strict=True))
        expected = cohen_kappa_score(*labels)
        (agreed,) = [a for a in review("status")["agreement"] if a["about"] == "decision"]
        assert agreed["value"] == pytest.approx(expected, abs=1e-12)
        assert agreed["items"] == SAMPLES
        assert agreed["observed"] == pytest.approx(1 - len(disputed) / SAMPLES)

        built = review.build()
        accepted = {name for name, decisions in said.items() if decisions == ["accept", "accept"]}
        assert review.rows.keys() == accepted
        assert built.json["waiting"] >= len(disputed)
        card = (review.workspace / "dataset" / "README.md").read_text()
        assert "Cohen's kappa" in card
        assert f"{expected:.3f}" in card

        # Each conflict has a task that shows both opinions, and its verdict decides.
        conflicts = {task["data"]["sample_id"]: task for task in tasks(anna, "adjudication")}
        assert conflicts.keys() == disputed
        name = min(disputed)
        assert "Reviewer 1: " in conflicts[name]["data"]["hints"]
        assert "Reviewer 2: " in conflicts[name]["data"]["hints"]
        assert "example.org" not in json.dumps(conflicts[name]["data"])
        bob.answer(conflicts[name]["id"], accept())
        review.build()
        assert name in review.rows
        assert review.state(name)["reason"] == "an adjudicator chose accept"


def test_one_of_two_is_not_enough(review: Review):
    with running(review.workspace) as access:
        review("push", "--overlap", 2)
        anna = builder(access)
        task = tasks(anna)[0]
        anna.answer(task["id"], accept())
        review("pull")
        review.build()
        assert not review.rows
        assert review.state(task["data"]["sample_id"])["reason"] == "1 of 2 reviewers have decided"


def test_calibration_scores_people_and_changes_nothing(review: Review):
    with running(review.workspace) as access:
        review("push")
        anna, bob = builder(access), join(access, "bob@example.org")
        for number, task in enumerate(tasks(anna)[:6]):
            anna.answer(task["id"], reject() if number % 3 == 0 else accept())
        review("pull")
        review.build()
        before = review.rows
        assert len(before) == 4
        pushed = review("push", "--which", "calibration=4")
        assert ("calibration", 4) in [(p["kind"], p["added"]) for p in pushed["projects"]]
        known = {verdict.sample_id: verdict.decision for verdict in review.verdicts}
        right = 0
        for number, task in enumerate(tasks(bob, "calibration")):
            assert known[task["data"]["sample_id"]] not in task["data"]["hints"]
            decision = ("accept", "reject")[number % 2]
            right += decision == known[task["data"]["sample_id"]]
            bob.answer(task["id"], accept() if decision == "accept" else reject())
        assert review("pull")["added"] == 4
        (score,) = [person["score"] for person in review("status")["people"] if person["annotator"] == bob.email]
        assert score["decision"] == [right, 4]
        review.build()
        assert review.rows == before


def test_a_changed_mind_a_stale_text_and_a_deleted_project(review: Review):
    with running(review.workspace) as access:
        review("push")
        anna = builder(access)
        defects = [task for task in tasks(anna) if task["data"]["location"]]
        kept, changed, edited = defects[:3]
        elsewhere = "center" if edited["data"]["location"] != "center" else "top"
        anna.answer(kept["id"], accept())
        first = anna.answer(changed["id"], reject("low_quality"))
        anna.answer(edited["id"], moved(edited, elsewhere))
        assert review("pull")["added"] == 3
        assert review("pull")["added"] == 0
        anna.answer_again(first["id"], accept())
        assert review("pull")["added"] == 1
        name = changed["data"]["sample_id"]
        assert [v["decision"] for v in review.state(name)["verdicts"]] == ["reject", "accept"]
        review.build()
        rows = review.rows
        assert rows.keys() == {task["data"]["sample_id"] for task in (kept, changed, edited)}
        assert rows[edited["data"]["sample_id"]]["location"] == elsewhere

        # One-shot questions show another text: what was judged before does not count for it, and stays.
        stale = review.build("--one-shot", 1)
        assert stale.json["published"] == 0
        assert len(review.verdicts) == 4
        assert "refused: the text they are about has been replaced" not in stale.err  # none of them is new
        late = tasks(anna)
        old = [task for task in late if task["id"] in {kept["id"], changed["id"], edited["id"]}]
        assert len(old) == 3  # touched tasks are left, untouched ones about the old text are not
        assert len(late) == SAMPLES + 3
        anna.answer(kept["id"], reject())
        said = review.build("--one-shot", 1).err
        assert "1 of them are refused: the text they are about has been replaced" in said
        review.build()
        assert review.rows.keys() == {task["data"]["sample_id"] for task in (changed, edited)}

        before = review.verdicts
        for project in projects(anna).values():
            anna.ask("DELETE", f"/api/projects/{project}/")
        assert review("pull")["added"] == 0
        assert review.verdicts == before
        review.build()
        assert review.rows.keys() == {task["data"]["sample_id"] for task in (changed, edited)}
        assert len(tasks(anna)) == review.build().json["waiting"]  # what still waits is there again


def test_photographs_can_be_uploaded_and_nobody_without_an_account_sees_them(review: Review, tmp_path: Path):
    with running(tmp_path / "elsewhere") as access:
        token = tmp_path / "token"
        token.write_text(access.token)
        where = ("--url", access.url, "--token-file", token)
        said = review("push", *where)
        assert said["projects"][0]["added"] == SAMPLES
        assert review("push")["projects"][0]["added"] == 0  # the server is remembered
        anna = builder(access)
        task = tasks(anna)[0]
        for name in ("query_image", "reference_image"):
            path = task["data"][name]
            assert path.startswith("/data/upload/")
            fresh = httpx.post(f"{access.url}/api/token/refresh/", json={"refresh": access.token}).json()["access"]
            shown = httpx.get(access.url + path, headers={"Authorization": f"Bearer {fresh}"}, follow_redirects=True)
            assert shown.headers["content-type"] == "image/jpeg"
            assert shown.content[:2] == b"\xff\xd8"
            assert httpx.get(access.url + path).status_code == 401
        anna.answer(task["id"], accept())
        assert review("pull")["added"] == 1
        assert access.token.encode() not in (review.workspace / "ledger.sqlite3").read_bytes()


def test_kills_of_client_and_server_anywhere_lose_and_double_nothing(review: Review):
    port = free_port()
    plan = random.Random(11)
    words = command("review", "push", "--workspace", review.workspace, "--json")

    def begin(words: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )

    def whole(access: Access) -> list[dict]:
        found = tasks(builder(access))
        keys = Counter((task["data"]["sample_id"], task["data"]["revision"]) for task in found)
        assert set(keys.values()) == {1}
        return found

    with server(review.workspace, port) as made:
        for _ in range(3):  # the client dies
            process = begin(words)
            time.sleep(plan.uniform(0.5, 3.5))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process = begin(words)  # the server dies while it pushes
        time.sleep(plan.uniform(1.0, 2.5))
        made.process.kill()
        _, told = process.communicate(timeout=120)
        assert b"Traceback" not in told
        assert made.access.token.encode() not in told
    with server(review.workspace, port) as made:
        review("push")
        found = whole(made.access)
        assert len(found) == SAMPLES
        anna = builder(made.access)
        for task in found:
            anna.answer(task["id"], accept())
        for _ in range(3):
            process = begin(command("review", "pull", "--workspace", review.workspace))
            time.sleep(plan.uniform(0.5, 3.0))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        review("pull")
        assert len(review.verdicts) == SAMPLES
        assert {verdict.sample_id for verdict in review.verdicts} == {task["data"]["sample_id"] for task in found}
    shutil.rmtree(review.workspace / "label-studio")
    assert len(review.verdicts) == SAMPLES
    assert review.build().json["complete"] is True
    assert len(review.rows) == SAMPLES


def test_a_server_and_a_workspace_that_move_take_everything_with_them(review: Review, tmp_path: Path):
    with running(review.workspace) as access:
        review("push")
        anna = builder(access)
        waiting = tasks(anna)
        first = anna.answer(waiting[0]["id"], accept())
        anna.answer(waiting[1]["id"], reject())
        assert review("pull")["added"] == 2
        anna.ask("PATCH", f"/api/annotations/{first['id']}/", json={"ground_truth": True})  # dates it anew
        assert review("pull")["added"] == 0
    before = review.verdicts
    review.workspace = Path(shutil.move(review.workspace, tmp_path / "moved"))
    with running(review.workspace) as access:  # on another port
        assert review("pull")["added"] == 0
        assert review.verdicts == before
        pushed = review("push")["projects"][0]
        assert (pushed["added"], pushed["there"]) == (0, SAMPLES)
        fresh = httpx.post(f"{access.url}/api/token/refresh/", json={"refresh": access.token}).json()["access"]
        shown = httpx.get(access.url + waiting[0]["data"]["query_image"], headers={"Authorization": f"Bearer {fresh}"})
        assert (shown.status_code, shown.content[:2]) == (200, b"\xff\xd8")


def test_an_adjudication_that_does_not_fit_is_asked_again(review: Review):
    with running(review.workspace) as access:
        review("push")
        anna = builder(access)
        task = next(task for task in tasks(anna) if task["data"]["location"])
        anna.answer(task["id"], [choice("decision", "query", "edit"), text("corrected_think", "query", "Short.")])
        assert "somebody has to decide again" in review("pull")["said"]
        review("push")
        (asked,) = tasks(anna, "adjudication")
        assert "Short." in asked["data"]["hints"]
        anna.answer(asked["id"], [choice("decision", "query", "edit"), text("corrected_think", "query", "Shorter.")])
        review("pull")
        review("push")
        review("push")
        assert sorted(task["data"]["attempt"] for task in tasks(anna, "adjudication")) == [0, 1]
        again = max(tasks(anna, "adjudication"), key=lambda found: found["id"])
        anna.answer(again["id"], accept())
        review("pull")
        review.build()
        assert task["data"]["sample_id"] in review.rows


def test_a_text_that_the_server_takes_and_cannot_give_back_keeps_back_nobody_elses_verdict(review: Review):
    with running(review.workspace) as access:
        review("push")
        anna, ben = builder(access), join(access, "ben@example.org")
        broken, first, second = tasks(anna)[:3]
        anna.answer(first["id"], accept())
        # Half an emoji, as a browser sends what is left of one cut in two.
        half = json.dumps({"result": [*reject(), text("remark", "query", "lone \ud83d x")], "lead_time": 9.0})
        address = f"/api/tasks/{broken['id']}/annotations/"
        with pytest.raises(AssertionError, match="^500 to POST"):
            ben.ask("POST", address, content=half, headers={"Content-Type": "application/json"})
        anna.answer(second["id"], reject())

        pulled = review("pull")
        (refused,) = pulled["refused"]
        assert pulled["added"] == 2
        assert refused["task"].endswith(f"?task={broken['id']}")
        assert "Delete the task" in refused["reason"]
        project = projects(anna)["review"]
        selected = {"selectedItems": {"all": False, "included": [broken["id"]]}}
        anna.ask("POST", f"/api/dm/actions?id=delete_tasks&project={project}", json=selected)
        assert "(1 new)" in review("push")["said"]
        again = max(tasks(anna), key=lambda found: found["id"])
        assert again["data"]["sample_id"] == broken["data"]["sample_id"]
        ben.answer(again["id"], accept())
        pulled = review("pull")
        assert (pulled["added"], pulled["refused"]) == (1, [])


def test_a_server_that_did_not_let_us_in_is_not_remembered(review: Review, expertad: Run):
    with running(review.workspace):
        nobody = f"http://127.0.0.1:{free_port()}"
        words = ("review", "push", "--workspace", review.workspace, "--url", nobody)
        refused = expertad(*words, env={"LABEL_STUDIO_API_KEY": "x" * 40})
        assert refused.code == 2
        assert "could not be reached" in refused.err
        assert review("push")["projects"][0]["added"] == SAMPLES
