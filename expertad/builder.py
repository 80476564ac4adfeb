"""One whole run from settings: open everything, build, publish what is decided, report, and say how it went."""

from __future__ import annotations

import json
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import click
import orjson

from expertad import config
from expertad.build import Build, Each, Outcome, Result, Stopped, in_process
from expertad.card import PublishInfo, ReviewStats
from expertad.checks import CHECKS_VERSION
from expertad.config import Settings
from expertad.errors import AbortError, ConfigError, ExpertADError, RecordError, ReviewError, UserError
from expertad.integrate import held_out as held_out_record
from expertad.integrate import integrate
from expertad.ledger import SELECTED_STATES, Accounting, Ledger, shared_reason
from expertad.locate import workers
from expertad.progress import Progress
from expertad.publish import Published, publish
from expertad.record import Config, Record, to_row, validate
from expertad.report import write_report
from expertad.review import PENDING_FILE, published_reason, revision
from expertad.sources import open_source
from expertad.teachers.asking import Asker, Counts, Limits
from expertad.teachers.calls import CallLog
from expertad.teachers.pacing import SharedLimits
from expertad.teachers.registry import TeacherSettings, make_asker
from expertad.teachers.tokens import ImageRules
from expertad.variant import Variant
from expertad.workspace import explained, hold, open_ledger

CHUNKS_AT_ONCE = 4
DATASET = "dataset"
REPORT = "report.html"
SETTINGS = "settings"
"""Under this name the ledger remembers the last build's settings, so that `report` and `publish` need not be told."""
MOST_REASONS = 5


class Shown(Protocol):
    """Who shows progress and lines to the builder."""

    note: str

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Progress of a stage."""

    def say(self, line: str) -> None:
        """A line of text."""


class Reviewer(Protocol):
    """A review server, as a build uses it; nothing here waits for a person."""

    def pull(self, ledger: Ledger) -> None:
        """Copy into the ledger what people decided."""

    def conclude(self, build: Build, result: Result) -> list[str]:
        """Bring what waits for a person to the server; returns what the builder should know."""


Connect = Callable[[Settings, Ledger], Reviewer]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended.

    Args:
        accounting: every sample counted once.
        published: rows by config.
        dataset: folder of the data set; None when nothing was published.
        report: the report's file; None when none was written.
        teacher: calls, cached, input_tokens, output_tokens, cost, currency.
        waiting: samples that wait for a person.
        left: samples that wait for a call.
        notes: what the builder should know.
        aborted: why the run stopped early; None when it did not.
        pending: the file of what waits for a person; None when nothing does, or people look elsewhere.
    """

    accounting: Accounting
    published: Mapping[str, int]
    dataset: Path | None
    report: Path | None
    teacher: Mapping[str, Any]
    waiting: int
    left: int
    notes: tuple[str, ...]
    aborted: str | None = None
    pending: Path | None = None
    trouble: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that ends `expertad build --json`."""
        return {
            **asdict(self.accounting),
            **{name: self.published.get(name, 0) for name in ("pa_sft", "sc_grpo", "held_out")},
            "dataset": None if self.dataset is None else str(self.dataset.absolute()),
            "report": None if self.report is None else str(self.report.absolute()),
            "teacher": dict(self.teacher),
            "waiting": self.waiting,
            "left": self.left,
            "complete": self.complete,
            "notes": list(self.notes),
            "error": self.aborted or self.trouble,
        }

    @property
    def complete(self) -> bool:
        """Whether everything that was selected is decided."""
        return self.accounting.selected > 0 and self.accounting.pending == 0

    def lines(self) -> Iterator[str]:
        """What a person reads at the end."""
        yield from self.notes
        count = self.accounting
        yield (
            f"ingested {count.ingested} = selected {count.selected} + unselected {count.unselected} "
            f"+ unusable {count.unusable}"
        )
        yield (
            f"selected {count.selected} = published {count.published} + rejected {count.rejected} "
            f"+ quarantined {count.quarantined} + pending {count.pending}"
        )
        money = f", {self.teacher['cost']:.4f} {self.teacher['currency']}" if self.teacher["currency"] else ""
        yield f"teacher: {self.teacher['calls']} calls, {self.teacher['cached']} answers from the ledger{money}"
        if self.waiting:
            yield f"{self.waiting} samples wait for a person" + (f": {self.pending}" if self.pending else "")
        if self.left:
            yield f"{self.left} samples wait for the teacher; run again to go on"
        if self.complete:
            yield "complete: nothing is pending"
        if self.dataset is not None:
            rows = ", ".join(f"{name} {number}" for name, number in self.published.items())
            yield f"data set: {self.dataset} ({rows})"
        if self.report is not None:
            yield f"report: {self.report}"


@contextmanager
def opened(
    settings: Settings, shown: Shown, shared: SharedLimits | None = None, *, asks: bool = True
) -> Iterator[Build]:
    """Everything a build needs, held and opened, and closed at the end; with `asks=False` no teacher needs a key."""
    with hold(settings.workspace), open_ledger(settings) as ledger:
        _refuse_another_source(settings, ledger)
        source = open_source(settings, lambda done, total: shown("draw", done, total))
        first, *others = askers(settings, ledger, shared, asks=asks)
        yield Build(settings, ledger, source, first, shown, *others)


def _refuse_another_source(settings: Settings, ledger: Ledger) -> None:
    """A workspace that was built from photographs is not filled with drawn ones because the flag was forgotten."""
    remembered = ledger.recall(SETTINGS)
    earlier = json.loads(remembered) if remembered is not None else {}
    if "source" in settings.model_fields_set or earlier.get("source", settings.source) == settings.source:
        return
    root = f" --root {earlier['root']}" if earlier.get("root") else ""
    raise UserError(
        f"{settings.workspace} was built from another source: name it with --source {earlier['source']}{root}, or "
        f"name another folder with --workspace to build the {settings.source} set in"
    )


def here(build: Build) -> Each:
    """Stages in this process; an interrupt lets calls under way finish and starts no other."""

    def stop() -> None:
        for asker in build.askers:
            asker.stop(AbortError("interrupted"))

    return in_process(CHUNKS_AT_ONCE, stop)


def askers(
    settings: Settings, ledger: CallLog, shared: SharedLimits | None = None, *, asks: bool = True
) -> list[Asker]:
    """The teacher who writes and, where two are named, the one who gives a second opinion; both pay from one purse."""
    spent = _spent(ledger) if isinstance(ledger, Ledger) else 0.0
    made: list[Asker] = []
    for name, model in settings.pair:
        purse = next((asker.budget for asker in made if asker.budget is not None), None)
        teacher = replace(teacher_settings(settings, model), asks=asks)
        made.append(make_asker(name, teacher, ledger, spent=spent, shared=shared, budget=purse))
    return made


def teacher_settings(settings: Settings, model: str | None) -> TeacherSettings:
    """What the settings say about a teacher with that model."""
    return TeacherSettings(
        model=model,
        region=settings.region,
        base_url=settings.base_url,
        key_env=settings.key_env,
        key_file=settings.key_file,
        parameters=settings.parameters,
        thinking=settings.thinking,
        json_mode=settings.json_mode,
        rpm=settings.rpm,
        tpm=settings.tpm,
        budget=settings.budget,
        prices=settings.prices,
        prompts=settings.prompts,
        image=ImageRules(patch=settings.patch, max_pixels=settings.max_pixels),
        limits=Limits(at_once=settings.at_once),
        threads=workers(settings.workers),
    )


def _spent(ledger: Ledger) -> float:
    return sum(totals["cost"] for totals in ledger.spent().values())


def run(
    settings: Settings,
    shown: Shown,
    each: Each | None = None,
    shared: SharedLimits | None = None,
    connect: Connect | None = None,
) -> Summary:
    """Build, publish and report; with `review = "label-studio"`, pull before and push after.

    Args:
        settings: in force.
        shown: hears about progress.
        each: how stages run over chunks; in this process when None.
        shared: limits of the teacher's account that other machines use too.
        connect: opens the review server.

    Raises:
        UserError: nothing could be done. An abort is no error here, nor is a review server that fails: both are in the
            summary, beside what was done all the same.
    """
    if settings.shared_limit is not None and shared is None and {name for name, _ in settings.pair} != {"grounded"}:
        raise ConfigError(
            "--shared-limit: such limits are kept by Prefect's server, so only the flow can take from them: "
            f"prefect deployment run build-expert-ad -p shared_limit={settings.shared_limit} ..."
        )
    with opened(settings, shown, shared) as build:
        _remember(build.ledger, settings)
        reviewer, trouble = _pulled(settings, build.ledger, connect)
        aborted: str | None = None

        def built() -> Result:
            nonlocal aborted
            try:
                return build.run(each or here(build))
            except Stopped as stopped:
                aborted = str(stopped)
                return stopped.result

        result, published = _published(build, built(), built, Variant(), settings.workspace / DATASET)
        report = write_report(build, result, settings.workspace / REPORT)
        said: list[str] = []
        if reviewer is not None:
            try:
                said = reviewer.conclude(build, result)
            except ReviewError as error:
                trouble = str(error)
        summary = _summary(build, result, published, report, aborted)
        return replace(summary, notes=(*summary.notes, *said), trouble=trouble)


def _pulled(settings: Settings, ledger: Ledger, connect: Connect | None) -> tuple[Reviewer | None, str | None]:
    """The review server, once its verdicts are here; without one that answers, what stands in the way."""
    if settings.review_mode != "label-studio":
        return None, None
    if connect is None:
        raise ConfigError("review in Label Studio was asked for, and nobody connects to it")
    try:
        reviewer = connect(settings, ledger)
        reviewer.pull(ledger)
    except ReviewError as error:
        return None, str(error)
    return reviewer, None


def _published(
    build: Build, result: Result, settle: Callable[[], Result], variant: Variant, out: Path
) -> tuple[Result, Published]:
    """Publish; when rows break their schema, reject them with the reason, settle again, and publish that."""
    while True:
        build.notify("publish", 0, 1)
        try:
            published = _publish(build, result, integrated(build, result), variant, out)
        except RecordError:
            faults = dict(_faults(build, result))
            if not faults:
                raise  # it is about no single row
            build.refuse(faults, result)
            result = replace(settle(), reused=result.reused)
        else:
            build.notify("publish", 1, 1)
            return result, published


def _faults(build: Build, result: Result) -> Iterator[tuple[str, str]]:
    """Samples whose rows cannot be published, with the reason."""
    for place, samples in result.selection.selected.items():
        for sample in samples:
            outcome = result.outcomes[sample.sample_id]
            if outcome.state == "published":
                try:
                    validate(to_row(_record(outcome, {}, {}), place), place)  # type: ignore[arg-type]
                except RecordError as error:
                    yield sample.sample_id, str(error).removeprefix(f"{sample.sample_id}: ")
    for case in result.held_out:
        try:
            validate(to_row(held_out_record(case, provenance={}), "held_out"), "held_out")
        except RecordError as error:
            yield case.sample.sample_id, str(error).removeprefix(f"{case.sample.sample_id}: ")


def integrated(build: Build, result: Result) -> dict[Config, list[Record]]:
    """Stage 8: the records of everything that passed its review, and of what is held out."""
    source = {"source": build.source.name}
    people = _people(build.ledger)
    tables: dict[Config, list[Record]] = {"pa_sft": [], "sc_grpo": [], "held_out": []}
    for place, samples in result.selection.selected.items():
        for sample in samples:
            outcome = result.outcomes[sample.sample_id]
            if outcome.state == "published":
                tables[place].append(_record(outcome, source, people))  # type: ignore[index]
    tables["held_out"] = [held_out_record(case, provenance=source) for case in result.held_out]
    return tables


def _record(outcome: Outcome, source: Mapping[str, str], people: Mapping[str, Mapping[str, Sequence[str]]]) -> Record:
    if outcome.case is None or outcome.draft is None or outcome.ruling is None:
        raise AssertionError("what may be published has a case, a draft and a ruling")
    text = revision(outcome.case, outcome.draft)
    reviewers = people.get(outcome.case.sample.sample_id, {}).get(text, ())
    return integrate(
        outcome.case,
        outcome.draft,
        outcome.ruling.verdict,
        reviewed=outcome.ruling.reviewed,
        revision=text,
        provenance={**source, "annotators": " ".join(reviewers), "checks": CHECKS_VERSION},
    )


def _people(ledger: Ledger) -> dict[str, dict[str, list[str]]]:
    """Pseudonyms of those who decided, by sample and by revision of its text.

    People are numbered by their first verdict in this ledger: stable, the same for the same verdicts, and nothing that
    a name could be guessed from.
    """
    numbers = {name: f"annotator-{number}" for number, name in enumerate(ledger.annotators(), start=1)}
    found: dict[str, dict[str, list[str]]] = {}
    for sample_id, verdicts in ledger.verdicts().items():
        for verdict in verdicts:
            if verdict.role == "calibration":
                continue
            names = found.setdefault(sample_id, {}).setdefault(verdict.revision, [])
            if numbers[verdict.annotator] not in names:
                names.append(numbers[verdict.annotator])
    return found


def _publish(
    build: Build, result: Result, tables: Mapping[Config, Sequence[Record]], variant: Variant, out: Path
) -> Published:
    return publish(
        tables,
        out,
        publish_info(build, result),
        variant=variant,
        with_images=build.settings.with_images,
        image_root=build.source.image_root,
        verify=build.settings.verify,
    )


def publish_info(build: Build, result: Result) -> PublishInfo:
    """What the card says beside the rows; nothing in it depends on time, machine or way."""
    settings = build.settings
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for (state, reason), count in build.ledger.reasons().items():
        reasons[state][shared_reason(reason)] += count
    accounting = {name: count for name, count in asdict(result.accounting).items()}
    return PublishInfo(
        source=build.source.name,
        source_title=build.source.title,
        source_licence=build.source.licence,
        seed=settings.seed,
        grid=settings.grid,
        image_root=build.source.image_root.name,
        asked=dict(build.sizes),
        held_out=settings.held_out,
        one_shot=settings.one_shot,
        accounting=accounting,
        reasons={state: dict(sorted(counts.items())) for state, counts in sorted(reasons.items())},
        review=_review_stats(result),
        notes=result.selection.notes,
    )


def _review_stats(result: Result) -> ReviewStats | None:
    """What people did about the texts that this data set is made of, or would be but for them."""
    verdicts = [
        outcome.ruling.verdict
        for outcome in result.outcomes.values()
        if outcome.ruling is not None and outcome.ruling.verdict is not None and outcome.state != "pending"
    ]
    if not verdicts and not result.agreement:
        return None
    decisions = Counter(verdict.decision for verdict in verdicts)
    judges = {verdict.annotator for decided in verdicts for verdict in result.judged[decided.sample_id]}
    return ReviewStats(
        accepted=decisions["accept"],
        edited=decisions["edit"],
        rejected=decisions["reject"],
        annotators=len(judges),
        reasons=dict(
            sorted(Counter(published_reason(reason) for verdict in verdicts for reason in verdict.reasons).items())
        ),
        agreement=result.agreement,
        adjudicated=sum(verdict.role == "adjudication" for verdict in verdicts),
    )


def _summary(build: Build, result: Result, published: Published, report: Path, aborted: str | None) -> Summary:
    found = result.ingested
    notes = [f"category {name} could not be read: {why}" for name, why in found.problems.items()]
    notes += found.notes + result.selection.notes
    notes += _unusable(build.ledger)
    judged = build.ledger.verdicts().keys()
    if strangers := judged and judged - build.ledger.standings().keys():
        names = "verdict names" if len(strangers) == 1 else "verdicts name"
        notes.append(f"{len(strangers)} {names} no sample of this source, such as {min(strangers)!r}")
    return Summary(
        accounting=result.accounting,
        published={str(name): count for name, count in published.counts.items()},
        dataset=published.path,
        report=report,
        teacher=teacher_counts([asker.counts for asker in build.askers], result.reused),
        waiting=result.waiting,
        pending=_pending_file(build.settings) if result.waiting else None,
        left=result.left,
        notes=tuple(notes),
        aborted=aborted,
    )


def _pending_file(settings: Settings) -> Path | None:
    path = settings.workspace / "review" / PENDING_FILE
    return path if path.exists() else None


def _unusable(ledger: Ledger) -> Iterator[str]:
    """Why samples cannot be used, the commonest reasons first, each in full for one of them."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for (state, reason), count in sorted(ledger.reasons().items()):
        if state == "unusable":
            counts[shared_reason(reason)] += count
            examples.setdefault(shared_reason(reason), reason)
    for short, count in counts.most_common(MOST_REASONS):
        yield f"{count} unusable, such as: {examples[short]}"


def teacher_counts(counts: Sequence[Counts], reused: int) -> dict[str, Any]:
    """What the teachers did in this run; `reused` drafts were answered by two calls of earlier runs each."""
    return {
        "calls": sum(count.calls for count in counts),
        "cached": sum(count.cached for count in counts) + 2 * reused,
        "input_tokens": sum(count.input_tokens for count in counts),
        "output_tokens": sum(count.output_tokens for count in counts),
        "cost": round(sum(count.cost for count in counts), 6),
        "currency": next((count.currency for count in counts if count.currency), ""),
    }


# -- from the shell


def run_from_shell(
    flags: Mapping[str, Any], config_file: Path | None, as_json: bool, connect: Connect | None = None
) -> int:
    """`expertad build`: run, print, and return the exit code. With JSON, its object ends stdout whatever happens."""
    settings: Settings | None = None
    code, payload = 0, _empty()
    try:
        settings = config.load(dict(flags), config_file)
        with Progress() as progress:
            summary = run(settings, progress, connect=connect)
        for line in summary.lines():
            click.echo(line, err=as_json)
        payload = summary.to_json()
        if summary.aborted is not None:
            click.echo(f"expertad: {summary.aborted}", err=True)
            code = AbortError.exit_code
        elif summary.trouble is not None:
            click.echo(f"expertad: {summary.trouble}", err=True)
            code = ReviewError.exit_code
    except BrokenPipeError:
        raise  # nobody reads stdout any more
    except KeyboardInterrupt:
        click.echo("expertad: interrupted; what is done is kept, run the same command to go on", err=True)
        code, payload = 130, _last(settings, "interrupted")
    except (ExpertADError, OSError) as raised:
        error = raised if isinstance(raised, ExpertADError) else explained(raised, Path())
        click.echo(f"expertad: {error}", err=True)
        code, payload = error.exit_code, _last(settings, str(error))
    except Exception as bug:  # a caller that reads the last line gets it even then
        traceback.print_exc()
        code, payload = 1, _last(settings, f"{type(bug).__name__}: {bug}")
    if as_json:
        click.echo(orjson.dumps(payload).decode())
    return code


def refused(error: str) -> str:
    """The JSON object of a build that was not begun."""
    return orjson.dumps(_empty() | {"error": error}).decode()


def _empty() -> dict[str, Any]:
    accounting = Accounting(*([0] * (4 + len(SELECTED_STATES))))
    return Summary(accounting, {}, None, None, teacher_counts([], 0), 0, 0, ()).to_json()


def _last(settings: Settings | None, error: str) -> dict[str, Any]:
    """The object of a run that did not come to its end: the ledger's last accounting, if there is one to read."""
    payload = _empty()
    if settings is not None:
        try:
            with open_ledger(settings, create=False) as ledger:
                payload |= asdict(ledger.accounting())
        except (ExpertADError, OSError):
            pass  # the first error is the one to tell
    return payload | {"error": error}


def _remember(ledger: Ledger, settings: Settings) -> None:
    if ledger.recall(SETTINGS) != (text := config.to_remember(settings)):
        ledger.remember(SETTINGS, text)


def as_before(settings: Settings) -> Settings:
    """Settings of the workspace's last build, but for what is given now.

    Raises:
        WorkspaceError: nothing was built here yet.
    """
    with open_ledger(settings, create=False) as ledger:
        remembered = ledger.recall(SETTINGS)
    return settings if remembered is None else config.as_before(settings, remembered)


def write_report_only(settings: Settings) -> Path:
    """`expertad report`: the report of what the ledger holds now."""
    settings = as_before(settings)
    with Progress() as progress, opened(settings, progress, asks=False) as build:
        result = build.survey()
        return write_report(build, result, settings.workspace / REPORT)


def _refuse_undecided(result: Result) -> None:
    """A data set that stands is not replaced by an empty one only because a build has yet to run."""
    if result.left and not result.accounting.published:
        raise UserError(
            f"nothing is decided under these settings, and {result.left} samples wait for the teacher: "
            "run `expertad build` with them first"
        )


def publish_only(
    settings: Settings,
    variant_name: str,
    out: Path | None,
    repo_id: str | None,
    *,
    dry_run: bool,
    private: bool,
    allow_images: bool,
) -> Iterator[str]:
    """`expertad publish`: what is decided now, whole or as a variant, and up to the hub if asked; yields lines."""
    variant = Variant.parse(variant_name)
    settings = as_before(settings)
    with Progress() as progress, opened(settings, progress, asks=False) as build:
        result = build.survey()
        _refuse_undecided(result)
        if result.left and out is None:
            raise UserError(
                f"{result.left} samples that these settings select are not written yet, so a data set of the others "
                f"would take the place of {settings.workspace / DATASET}: run `expertad build` with these settings "
                "first, or name another folder with --out"
            )
        target = out or variant.folder(settings.workspace / DATASET)
        result, published = _published(build, result, build.survey, variant, target)
    rows = ", ".join(f"{name} {count}" for name, count in published.counts.items())
    yield f"{published.path}: {rows}" + ("" if published.changed else " (unchanged)")
    if result.left:
        yield f"{result.left} selected samples wait for the teacher, so they are not in it; `expertad build` goes on"
    if repo_id is not None:
        from expertad.hub import push_to_hub

        push = push_to_hub(published.path, repo_id, dry_run=dry_run, private=private, allow_images=allow_images)
        yield str(push)
