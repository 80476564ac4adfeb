"""The build as a Prefect flow: the library's stages as chunked tasks, with progress and a summary as artifacts.

Every run does what is left and ends; the ledger, not Prefect, knows what is done. So tasks keep no results, and a run
that was killed is repeated by another one.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from annotation.client import for_build
from expertad import config
from expertad.build import Stage
from expertad.builder import Summary, run
from expertad.config import ReviewMode, Settings, SourceName, TeacherName
from expertad.errors import AbortError, ReviewError
from flows.global_limits import GlobalLimits

NAME = "build-expert-ad"
PARALLEL_CHUNKS = 4
PROGRESS_SECONDS = 1.0
"""An update of a progress artifact is a request to the server."""


runner: Any = ThreadPoolTaskRunner(max_workers=PARALLEL_CHUNKS)


@flow(name=NAME, task_runner=runner, log_prints=False)
def build_expert_ad(
    source: SourceName = "drawn",
    root: Path | None = None,
    workspace: Path = Path("workspace"),
    pa_sft: int = 2900,
    sc_grpo: int = 3000,
    limit: int | None = None,
    held_out: float = 0.1,
    one_shot: float = 0.0,
    grid: int = 3,
    seed: int = 0,
    review: ReviewMode | None = None,
    overlap: int | None = None,
    label_studio_url: str | None = None,
    label_studio_token_file: Path | None = None,
    categories: list[str] | None = None,
    resolution: str | None = None,
    variant: str = "realiad_jsons",
    mapping: Path | None = None,
    title: str | None = None,
    licence: str | None = None,
    parts: int = 8,
    teacher: TeacherName = "grounded",
    model: str | None = None,
    teachers: str | None = None,
    region: str | None = None,
    base_url: str | None = None,
    key_env: str | None = None,
    key_file: Path | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    at_once: int = 64,
    budget: float | None = None,
    prompts: Path | None = None,
    shared_limit: str | None = None,
    with_images: bool = False,
    verify: bool = False,
    ledger_url: str | None = None,
    workers: int = 0,
    chunk: int = 128,
    config_file: Path | None = None,
) -> dict[str, Any]:
    """Do all that is left of a build; parameters as the flags of `expertad build`.

    A parameter left at its default gives way to the environment and to expertad.toml, as a flag that is not given does.
    Relative paths begin where the worker runs the flow; absolute ones are safer.

    Returns:
        The object that ends `expertad build --json`.
    """
    given = dict(locals())
    config_file = given.pop("config_file")
    return build(config.load(_changed(given), config_file))


def build(settings: Settings) -> dict[str, Any]:
    """One build inside a flow run, with progress and its summary as artifacts.

    Raises:
        UserError: nothing could be done, or the review server could not be used; what was done besides is published.
        AbortError: stopped early; what was done is published.
    """
    board = Board()
    shared = None if settings.shared_limit is None else GlobalLimits(settings.shared_limit)
    summary = run(settings, board, each_as_tasks, shared, for_build)
    create_markdown_artifact(markdown(summary), key=f"{NAME}-summary", description="Accounting of the build")
    if summary.aborted is not None:
        raise AbortError(summary.aborted)
    if summary.trouble is not None:
        raise ReviewError(summary.trouble)
    return summary.to_json()


def _changed(given: dict[str, Any]) -> dict[str, Any]:
    defaults = inspect.signature(build_expert_ad.fn).parameters
    return {name: value for name, value in given.items() if value != defaults[name].default}


def each_as_tasks(stage: Stage, work: Callable[[Sequence[Any]], None], chunks: Sequence[Sequence[Any]]) -> None:
    """Run a stage's chunks as task runs; the samples stay in this process, a task is told only which chunk is its."""

    @task(name=stage, task_run_name=f"{stage} {{number}}", cache_policy=NO_CACHE, persist_result=False)
    def one(number: int) -> None:
        work(chunks[number])

    futures = [one.submit(number) for number in range(len(chunks))]
    wait(futures)
    for future in futures:
        future.result()


class Board:
    """Shows progress as one artifact a stage, and lines in the run's log."""

    def __init__(self) -> None:
        self.note = ""
        self._logger = get_run_logger()
        self._artifacts: dict[str, UUID] = {}
        self._shown: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Update a stage's artifact, at most once a second but always at its end."""
        if total == 0:
            return
        with self._lock:
            now = time.monotonic()
            if done < total and now - self._shown.get(stage, -PROGRESS_SECONDS) < PROGRESS_SECONDS:
                return
            self._shown[stage] = now
            percent = 100.0 * done / total
            if stage in self._artifacts:
                update_progress_artifact(self._artifacts[stage], progress=percent)
            else:
                made = create_progress_artifact(percent, key=f"{NAME}-{stage}", description=f"{stage}: {total} items")
                if isinstance(made, UUID):
                    self._artifacts[stage] = made

    def say(self, line: str) -> None:
        """A line in the log."""
        self._logger.info(line)


def markdown(summary: Summary) -> str:
    """The summary artifact: the accounting as a table, then what else a builder reads at the end."""
    values = summary.to_json()
    states = ("ingested", "selected", "unselected", "unusable", "published", "rejected", "quarantined", "pending")
    rows = "\n".join(f"| {name} | {values[name]} |" for name in (*states, "pa_sft", "sc_grpo", "held_out"))
    lines = "\n".join(f"- {line}" for line in summary.lines())
    return f"# {NAME}\n\n| | samples |\n| --- | ---: |\n{rows}\n\n{lines}\n"


if __name__ == "__main__":
    build_expert_ad()
