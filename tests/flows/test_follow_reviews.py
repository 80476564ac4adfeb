"""A build that waits for people in Label Studio, and the scheduled flow that follows what they decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_studio import builder, choice
from label_studio import running as running_label_studio
from prefect_server import Prefect, running

LIMIT = 4

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with running(tmp_path_factory.mktemp("prefect")) as made:
        made.run("work-pool", "create", "expert-ad", "--type", "process")
        made.run("deploy", "--all")
        made.start("worker", "start", "--pool", "expert-ad", cwd=made.log.parent)
        yield made


def said(prefect: Prefect) -> str:
    """The message of the last run's state."""
    (run,) = prefect.ask("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    assert run["state_type"] == "COMPLETED", run["state"]
    return str(run["state"]["message"])


def test_the_deployment_runs_every_ten_minutes(prefect: Prefect):
    deployment = prefect.ask("/deployments/name/follow-reviews/follow-reviews")
    (schedule,) = deployment["schedules"]
    assert schedule["schedule"]["interval"] == 600
    assert schedule["active"] is True


def test_a_build_pushes_and_ends_and_later_runs_publish_what_people_decided(
    prefect: Prefect, bsdata: Path, tmp_path: Path
):
    workspace = tmp_path / "W"
    follow = ("deployment", "run", "follow-reviews", "-p", f"workspace={workspace}", "--watch")
    prefect.run(*follow)
    assert "there is no build in" in said(prefect)

    with running_label_studio(workspace) as access:
        prefect.run(
            *("deployment", "run", "build-expert-ad", "-p", "source=real-iad", "-p", f"root={bsdata}"),
            *("-p", f"workspace={workspace}", "-p", f"limit={LIMIT}", "-p", "review=label-studio", "--watch"),
        )
        artifact = prefect.ask(
            "/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["build-expert-ad-summary"]}}}
        )[0]["data"]
        assert f"{LIMIT} samples wait for a person" in artifact
        anna = builder(access)
        (project,) = anna.ask("GET", "/api/projects/")["results"]
        tasks = anna.ask("GET", f"/api/tasks/?project={project['id']}&fields=task_only")["tasks"]
        assert len(tasks) == LIMIT

        anna.answer(tasks[0]["id"], [choice("decision", "query", "accept")])
        prefect.run(*follow)
        assert said(prefect) == f"{LIMIT - 1} samples wait for a person, 0 for the teacher"
        for task in tasks[1:]:
            anna.answer(task["id"], [choice("decision", "query", "accept")])
        prefect.run(*follow)
        assert said(prefect) == "complete: nothing is pending"
    card = (workspace / "dataset" / "README.md").read_text()
    assert f"accepted {LIMIT} drafts" in card

    deployment = prefect.ask("/deployments/name/follow-reviews/follow-reviews")
    made = prefect.ask(
        f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"workspace": str(workspace)}}
    )

    def ended() -> bool:
        return prefect.ask(f"/flow_runs/{made['id']}")["state_type"] in ("FAILED", "COMPLETED", "CRASHED")

    prefect.wait_for(ended, 120)
    failed = prefect.ask(f"/flow_runs/{made['id']}")
    assert failed["state_type"] == "FAILED"  # a server that is down is seen in Prefect, and nothing is lost
    assert "does not run" in failed["state"]["message"]
    assert (workspace / "dataset" / "README.md").read_text() == card
