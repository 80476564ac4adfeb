"""What people decided in Label Studio, pulled and published: the workspace's last build, run again every few minutes.

No flow waits for a person. This one runs by a schedule (`prefect.yaml`), does what is left and ends; it says that all
is complete when nothing is pending.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from expertad import config
from expertad.builder import as_before
from expertad.errors import WorkspaceHeld, WorkspaceNotBuilt
from flows.build_expert_ad import build, runner

NAME = "follow-reviews"


@flow(name=NAME, task_runner=runner, log_prints=False)
def follow_reviews(
    workspace: Path = Path("workspace"), ledger_url: str | None = None, config_file: Path | None = None
) -> State[Any]:
    """Run the workspace's last build again, with its settings: pull, publish what is decided, push what is new.

    A workspace in which nothing was built, whose reviews are not made in Label Studio, or in which a build is at work
    right now is left alone.

    Args:
        workspace: folder of the build; a relative one begins where the worker runs the flow.
        ledger_url: of its ledger, if that is not in the workspace.
        config_file: TOML file; expertad.toml if there is one.
    """
    given = {"workspace": workspace, "ledger_url": ledger_url}
    try:
        settings = as_before(config.load(given, config_file))
        if settings.review_mode != "label-studio":
            return _told(f"{workspace} is reviewed by {settings.review_mode}, not in Label Studio: nothing to follow")
        summary = build(settings)
    except (WorkspaceHeld, WorkspaceNotBuilt) as error:
        return _told(f"left alone: {error}")
    if summary["complete"]:
        return _told("complete: nothing is pending", summary)
    return _told(f"{summary['waiting']} samples wait for a person, {summary['left']} for the teacher", summary)


def _told(line: str, data: dict[str, Any] | None = None) -> State[Any]:
    get_run_logger().info(line)
    return Completed(message=line, data=data)


if __name__ == "__main__":
    follow_reviews()
