"""The owner's command, against a real Prefect server, deployment and worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_server import PREFECT, Prefect, running
from support import REPOSITORY, environment

STATES = ("ingested", "selected", "unselected", "unusable", "published", "rejected", "quarantined", "pending")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with running(tmp_path_factory.mktemp("prefect")) as made:
        made.run("work-pool", "create", "expert-ad", "--type", "process")
        made.run("deploy", "--all")
        # A worker runs wherever it was started; the deployment says which folder the flow runs in.
        made.start("worker", "start", "--pool", "expert-ad", cwd=made.log.parent)
        yield made


def summary(prefect: Prefect) -> str:
    found = prefect.ask("/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["build-expert-ad-summary"]}}})
    assert len(found) == 1
    return str(found[0]["data"])


@pytest.mark.server
def test_the_literal_command_builds_and_its_artifact_holds_the_accounting(
    prefect: Prefect, bsdata: Path, tmp_path: Path
):
    words = ("-p", "source=real-iad", "-p", f"root={bsdata}", "-p", f"workspace={tmp_path / 'W'}", "--watch")
    said = prefect.run("deployment", "run", "build-expert-ad", *words)
    assert "Completed" in said
    rows = dict(re.findall(r"^\| (\w+) \| (\d+) \|$", summary(prefect), flags=re.MULTILINE))
    here = subprocess.run(
        [sys.executable, "-m", "expertad.cli", "status", "--workspace", str(tmp_path / "W"), "--json"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    accounting = json.loads(here.stdout)
    assert {name: int(rows[name]) for name in STATES} == {name: accounting[name] for name in STATES}
    assert accounting["ingested"] == 80
    assert int(rows["pa_sft"]) > 0
    progress = prefect.ask("/artifacts/latest/filter", {"artifacts": {"type": {"any_": ["progress"]}}})
    assert {item["key"] for item in progress} >= {"build-expert-ad-locate", "build-expert-ad-describe"}
    assert {item["data"] for item in progress} == {100.0}


@pytest.mark.server
def test_a_failing_build_fails_its_run_and_says_why(prefect: Prefect, tmp_path: Path):
    words = ("-p", "source=real-iad", "-p", f"root={tmp_path / 'nowhere'}", "-p", f"workspace={tmp_path / 'W'}")
    done = subprocess.run(
        [*PREFECT, "deployment", "run", "build-expert-ad/build-expert-ad", *words, "--watch"],
        cwd=REPOSITORY, env=prefect.env, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    runs = prefect.ask("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    assert runs[0]["state_type"] == "FAILED"
    assert "does not exist" in runs[0]["state"]["message"]


@pytest.mark.server
def test_an_unknown_bare_name_is_not_found(prefect: Prefect):
    done = subprocess.run(
        [*PREFECT, "deployment", "run", "no-such-build"],
        cwd=REPOSITORY, env=prefect.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "not found" in done.stdout + done.stderr


def test_the_flow_has_the_flags_of_the_command():
    from expertad.cli import BUILD_SETTINGS
    from expertad.config import Settings
    from flows.build_expert_ad import build_expert_ad

    properties = build_expert_ad.parameters.properties
    assert set(properties) - {"config_file"} == set(BUILD_SETTINGS)
    assert build_expert_ad.parameters.required == []
    for name in BUILD_SETTINGS:
        default = Settings.model_fields[name].default
        if default not in (None, ()):
            assert str(properties[name]["default"]) == str(default)
