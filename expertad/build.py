"""The build: ingest, select, locate, describe, distill, check and review, again and again until nothing is left.

A build is a function of its settings and of what the ledger holds. Every run does what is left and stops: after a
crash, after more reviews, after a changed prompt, only what is affected is done again. Nothing waits for a person.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import orjson

from expertad import __version__, checks, review, select
from expertad.agreement import Agreement, Score, calibration, measure
from expertad.checks import CHECKS_VERSION, Finding, near_duplicates
from expertad.config import Settings
from expertad.describe import describe
from expertad.distill import differences, distill
from expertad.errors import AbortError
from expertad.ingest import Ingested, ingest
from expertad.ledger import Accounting, DraftRow, FileRow, Ledger, RegionRow, Standing, State
from expertad.locate import Sight, image_size, is_current, locate, sights_of
from expertad.sample import Case, Draft, ImageFile, Region, Sample
from expertad.select import Plan, Selection
from expertad.sources.base import Source
from expertad.teachers.asking import Asker, Described
from expertad.teachers.registry import announcement
from expertad.verdict import Verdict

Stage = Literal["locate", "describe", "distill", "check"]
Call = Callable[[Coroutine[Any, Any, Any]], Any]
Item = TypeVar("Item")


class Each(Protocol):
    """How a stage is run over chunks: in this process, or as tasks of a flow."""

    def __call__(self, stage: Stage, work: Callable[[Sequence[Any]], None], chunks: Sequence[Sequence[Any]]) -> None:
        """Call `work` on every chunk; the first error ends the stage once the chunks already begun are done."""


class Notify(Protocol):
    """Who hears about progress; `note` is a short text to show beside it, such as the money spent."""

    note: str

    def __call__(self, stage: str, done: int, total: int) -> None:
        """How many of a stage's items are done; called from any thread, often; must be quick."""

    def say(self, line: str) -> None:
        """A line of text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one sample stands, as far as the ledger tells.

    Args:
        state: "published" also stands for "may be published".
        reason: why.
        todo: the stage it waits for; None when it waits for nobody, or for a person.
        case: once its files are known.
        draft: once it is written.
        findings: of the checks, once they ran.
        ruling: of the review, once there is a draft.
    """

    state: State
    reason: str
    todo: Stage | None = None
    case: Case | None = None
    draft: Draft | None = None
    findings: tuple[Finding, ...] = ()
    ruling: review.Ruling | None = None


@dataclass(slots=True)
class Known:
    """A snapshot of the ledger, loaded at once: judging thousands of samples asks the database nothing."""

    files: dict[str, FileRow]
    regions: dict[tuple[str, str], RegionRow]
    drafts: dict[str, list[DraftRow]]
    verdicts: dict[str, list[Verdict]]
    quarantined: dict[str, tuple[str, str]]
    troubled: set[str] = field(init=False)
    current: dict[str, bool] = field(default_factory=dict)
    references: dict[str, ImageFile | str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.troubled = {sample_id for sample_id, _ in self.quarantined.values()}


@dataclass(frozen=True)
class Result:
    """Where the build stands at the end of a run.

    Args:
        accounting: every sample counted once.
        selection: what is selected, with notes.
        plan: partitions and orders.
        outcomes: per selected sample.
        held_out: cases of the held-out samples.
        ingested: what ingesting found.
        waiting: how many samples wait for a person.
        left: how many samples wait for a call that this run did not make.
        reused: how many drafts were there when the run began.
        judged: the verdicts on the selected samples' present texts, by sample; those of calibration are not among them.
        shown: what their givers were shown, by revision.
        calibration: what each person scored in calibration.
    """

    accounting: Accounting
    selection: Selection
    plan: Plan
    outcomes: Mapping[str, Outcome]
    held_out: tuple[Case, ...]
    ingested: Ingested
    waiting: int
    left: int
    reused: int
    judged: Mapping[str, Sequence[Verdict]]
    shown: Mapping[str, Mapping[str, Any]]
    calibration: tuple[Score, ...]

    @cached_property
    def agreement(self) -> tuple[Agreement, ...]:
        """Of the people who gave these verdicts; only who asks pays for the library that measures it."""
        return measure(self.judged, self.shown)


class Build:
    """One builder at work on one workspace.

    Args:
        settings: in force.
        ledger: open.
        source: of samples.
        asker: the teacher, with its pace, its purse and the ledger's call log.
        notify: hears about progress.
        second: a teacher who is asked for a second opinion on every draft; where it differs, a person decides.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        source: Source,
        asker: Asker,
        notify: Notify,
        second: Asker | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.source = source
        self.asker = asker
        self.second = second
        self.notify = notify
        self.checks_version = CHECKS_VERSION if second is None else f"{CHECKS_VERSION}+{second.backend.model}"
        self.overlap = 1
        self._announced: dict[str, set[str]] = defaultdict(set)
        self.sizes = {"pa_sft": settings.pa_sft, "sc_grpo": settings.sc_grpo}
        self._verify = settings.verify
        self._verified: set[str] = set()
        self._tried: set[tuple[Stage, str]] = set()
        self._duplicates: dict[str, tuple[str, dict[str, str]]] = {}
        self._refused: dict[str, tuple[str, str]] = {}

    @property
    def askers(self) -> tuple[Asker, ...]:
        """Everybody who is asked."""
        return (self.asker,) if self.second is None else (self.asker, self.second)

    # -- the one order of stages

    def run(self, each: Each) -> Result:
        """Do all that is left.

        Raises:
            UserError: the source, a verdict file or the workspace cannot be used.
            AbortError: stopped early; `partial` is the result so far.
        """
        found, samples, plan = self._begin()
        error: AbortError | None = None
        reused: int | None = None
        with event_loop() as call:
            try:
                while True:
                    known = self._load()
                    selection, outcomes = self._settle(plan, known)
                    held_out, unseen = self._held_out(plan, known)
                    if reused is None:
                        reused = sum(outcome.draft is not None for outcome in outcomes.values())
                    if error is not None:
                        break
                    try:
                        if not self._work(each, selection, outcomes, plan, known, unseen, call):
                            break
                    except AbortError as raised:
                        error = raised
            finally:
                for asker in self.askers:
                    call(asker.aclose())
        result = self._conclude(samples, plan, selection, outcomes, held_out, known, found, reused)
        if error is not None:
            raise Stopped(error, result) from error
        return result

    def cases(self, each: Each) -> list[Case]:
        """The selected cases, once their files are looked at: what a teacher would be asked about. Nobody is asked."""
        found, samples, plan = self._begin()
        while True:
            known = self._load()
            selection, outcomes = self._settle(plan, known)
            sights = [
                sight
                for place in select.TRAINED
                for sample in selection.selected[place]
                if outcomes[sample.sample_id].todo == "locate"
                for sight in self._sights(sample, plan, known)
            ]
            looks = [sight for sight in sights_of(sights) if self._first_try("locate", str(sight.photo))]
            if not looks:
                break
            self._each(each, "locate", self._locate(known), looks)
        self._conclude(samples, plan, selection, outcomes, (), known, found, 0)
        chosen = [sample.sample_id for place in select.TRAINED for sample in selection.selected[place]]
        return [case for name in chosen if (case := outcomes[name].case) is not None]

    def survey(self) -> Result:
        """Where the build stands, without doing any of what is left; new reviews and changed files count."""
        self._verify = False  # it would leave every file unlooked-at, for nothing is looked at here
        found, samples, plan = self._begin()
        known = self._load()
        selection, outcomes = self._settle(plan, known)
        held_out, _ = self._held_out(plan, known)
        return self._conclude(samples, plan, selection, outcomes, held_out, known, found, 0)

    def _begin(self) -> tuple[Ingested, list[Sample], Plan]:
        self._duplicates = self._recall_pairs("near_duplicates")
        self._refused = self._recall_pairs("refused")
        found = ingest(self.source, self.ledger)
        samples = self.ledger.samples()
        self.ledger.append_verdicts(review.read_verdicts(self.settings.workspace / "review"))
        self.overlap = review.overlap(self.ledger, self.settings.overlap)
        plan = select.plan(
            samples,
            seed=self.settings.seed,
            pa_sft=self.settings.pa_sft,
            sc_grpo=self.settings.sc_grpo,
            held_out=self.settings.held_out,
        )
        return found, samples, plan

    def _work(
        self,
        each: Each,
        selection: Selection,
        outcomes: Mapping[str, Outcome],
        plan: Plan,
        known: Known,
        unseen: Sequence[tuple[Path, Path | None]],
        call: Call,
    ) -> bool:
        """Run the next stage that something waits for; False when nothing does or all was tried in this run."""
        todo: dict[Stage, list[Outcome]] = defaultdict(list)
        sights = list(unseen)
        for place in select.TRAINED:
            for sample in selection.selected[place]:
                outcome = outcomes[sample.sample_id]
                if outcome.todo == "locate":
                    sights += self._sights(sample, plan, known)
                elif outcome.todo is not None:
                    todo[outcome.todo].append(outcome)
        looks = [sight for sight in sights_of(sights) if self._first_try("locate", str(sight.photo))]
        if looks:
            self._each(each, "locate", self._locate(known), looks)
            return True
        waiting = [outcome.case for outcome in todo["describe"] if outcome.case is not None]
        cases = [case for case in waiting if self._first_try("describe", case.sample.sample_id)]
        if cases:
            self.announce(cases)
            described: list[tuple[Case, Described]] = []
            self._each(each, "describe", lambda chunk: described.extend(call(describe(chunk, self.asker))), cases)
            self._each(each, "distill", lambda chunk: self._distill(chunk, call), described)
            return True
        unchecked = [o for o in todo["check"] if o.draft and self._first_try("check", o.draft.sample_id)]
        if unchecked:
            if self.second is not None:
                self.announce([outcome.case for outcome in unchecked if outcome.case is not None])
            self._each(each, "check", lambda chunk: self._check(chunk, call), unchecked)
            return True
        return False

    def _each(self, each: Each, stage: Stage, work: Callable[[Sequence[Any]], None], items: Sequence[Any]) -> None:
        size = self.settings.chunk
        done = 0
        lock = threading.Lock()
        self.notify(stage, 0, len(items))

        def counted(chunk: Sequence[Any]) -> None:
            nonlocal done
            work(chunk)
            with lock:
                done += len(chunk)
                self.notify.note = self._money()
                self.notify(stage, done, len(items))

        each(stage, counted, [items[start : start + size] for start in range(0, len(items), size)])

    def _money(self) -> str:
        return ", ".join(f"{a.counts.cost:.2f} {a.counts.currency}" for a in self.askers if a.counts.currency)

    # -- stages over chunks

    def _locate(self, known: Known) -> Callable[[Sequence[Sight]], None]:
        stale = {} if self._verify else known.files
        if self._verify:
            stale = {path: row for path, row in known.files.items() if path in self._verified}

        def work(chunk: Sequence[Sight]) -> None:
            files, regions = locate(chunk, stale, n=self.settings.grid, threads=self.settings.workers)
            self.ledger.store_regions(regions)
            self.ledger.store_files(files)
            self._verified.update(row.path for row in files)

        return work

    def announce(self, cases: Sequence[Case]) -> None:
        """Say plainly, before they are sent, how many images of these cases go where; nothing if nobody is asked."""
        for asker in self.askers:
            known = self._announced[f"{asker.backend.name} {asker.backend.host} {asker.backend.model}"]
            images = {image for case in cases for image in asker.to_send(case)} - known
            known |= images
            if images:
                self.notify.say(announcement(asker.backend, len(images)))

    def _first_try(self, stage: Stage, name: str) -> bool:
        """True once in a run: what a stage could not settle is left for the next run, not tried for ever."""
        if (stage, name) in self._tried:
            return False
        self._tried.add((stage, name))
        return True

    def _distill(self, chunk: Sequence[tuple[Case, Described]], call: Call) -> None:
        self._store(call(distill(chunk, self.asker)), call)

    def _check(self, chunk: Sequence[Outcome], call: Call) -> None:
        self._store([(outcome.case, outcome.draft) for outcome in chunk if outcome.case and outcome.draft], call)

    def _store(self, drafts: Sequence[tuple[Case, Draft]], call: Call) -> None:
        """Check drafts, hear the second teacher, and keep the drafts with what was found."""
        opinions: dict[str, str] = {}
        if self.second is not None:
            opinions = call(differences(drafts, self.asker, self.second))
        self.ledger.store_drafts(
            [
                DraftRow(
                    describe_key=self.asker.describe_key(case),
                    distill_key=self.asker.distill_key(case, draft.description),
                    sample_id=draft.sample_id,
                    description=draft.description,
                    think=draft.think,
                    fine_type=draft.fine_type,
                    provenance=draft.provenance,
                    checks_version=self.checks_version,
                    findings=(
                        *((f.name, f.severity, f.reason) for f in checks.run_checks(case, draft)),
                        *((SECOND_OPINION, "person", why) for why in (opinions.get(draft.sample_id),) if why),
                    ),
                )
                for case, draft in drafts
            ]
        )

    # -- judging

    def _load(self) -> Known:
        ledger = self.ledger
        return Known(
            files=ledger.files(),
            regions=ledger.regions(self.settings.grid),
            drafts=ledger.drafts(),
            verdicts=ledger.verdicts(),
            quarantined=ledger.quarantined(),
        )

    def _settle(self, plan: Plan, known: Known) -> tuple[Selection, dict[str, Outcome]]:
        """Select, judge what is selected, and select again until the selection stands."""
        outcomes: dict[str, Outcome] = {}
        copies: dict[str, str] = {}

        def judge(sample: Sample) -> select.Outcome:
            outcome = outcomes.get(sample.sample_id)
            if outcome is None or outcome.state in ("published", "pending"):
                return "viable"
            return "unusable" if outcome.state == "unusable" else "failed"

        while True:
            selection = select.choose(plan, judge, sizes=self.sizes, limit=self.settings.limit, seed=self.settings.seed)
            fresh = [
                sample
                for place in select.TRAINED
                for sample in selection.selected[place]
                if sample.sample_id not in outcomes
            ]
            for sample in fresh:
                outcomes[sample.sample_id] = self._judge(sample, plan, known)
            found = self._copies(selection, outcomes)
            if not fresh and found == copies:
                break
            for sample_id in found.keys() - copies.keys():
                outcomes[sample_id] = self._repeats(outcomes[sample_id], found[sample_id])
            copies = found
        return selection, outcomes

    def _judge(self, sample: Sample, plan: Plan, known: Known) -> Outcome:
        """How a sample stands, from its files onwards."""
        made = self._case(sample, plan, known)
        if isinstance(made, Outcome):
            return made
        case = made
        key = self.asker.describe_key(case)
        if key in known.quarantined:
            return Outcome("quarantined", known.quarantined[key][1], case=case)
        row = self._draft(case, key, known)
        if row is None:
            return Outcome("pending", "waits for the teacher's description", "describe", case)
        if isinstance(row, Outcome):
            return row
        draft = Draft(sample.sample_id, row.description, row.think, row.fine_type, row.provenance)
        if row.checks_version != self.checks_version:
            return Outcome("pending", "waits for the checks", "check", case, draft)
        findings = tuple(Finding(name, severity, reason) for name, severity, reason in row.findings)  # type: ignore[arg-type]
        verdicts = known.verdicts.get(sample.sample_id, ())
        people = self.settings.review_mode != "auto"
        ruling = review.rule(case, draft, findings, verdicts, people=people, overlap=self.overlap)
        if ruling.state == "published" and (why := self._why_refused(case, draft, ruling.verdict)) is not None:
            ruling = replace(ruling, state="rejected", reason=why)
        return Outcome(ruling.state, ruling.reason, None, case, draft, findings, ruling)

    def refuse(self, faults: Mapping[str, str], result: Result) -> None:
        """Reject what turned out to be no publishable row, for as long as the row would be the same.

        Args:
            faults: why, by sample.
            result: in which these samples were to be published.
        """
        cases = {case.sample.sample_id: case for case in result.held_out}
        for name, reason in faults.items():
            outcome = result.outcomes.get(name)
            if outcome is not None and outcome.case is not None:
                verdict = outcome.ruling.verdict if outcome.ruling is not None else None
                self._refused[name] = (_row_digest(outcome.case, outcome.draft, verdict), reason)
            else:
                self._refused[name] = (_row_digest(cases[name], None, None), reason)
        self.ledger.remember("refused", orjson.dumps(self._refused).decode())

    def _why_refused(self, case: Case, draft: Draft | None, verdict: Verdict | None) -> str | None:
        digest, reason = self._refused.get(case.sample.sample_id, ("", ""))
        return f"record: {reason}" if digest and digest == _row_digest(case, draft, verdict) else None

    def _draft(self, case: Case, key: str, known: Known) -> DraftRow | Outcome | None:
        """The draft that answers this case's two questions; or their quarantine; or None when they are to be asked."""
        for row in known.drafts.get(key, ()):
            if self.asker.distill_key(case, row.description) == row.distill_key:
                return row
        if case.sample.sample_id in known.troubled:
            described = self.asker.described(case)
            if described is not None:
                quarantine = known.quarantined.get(self.asker.distill_key(case, described))
                if quarantine is not None:
                    return Outcome("quarantined", quarantine[1], case=case)
        return None

    def _case(self, sample: Sample, plan: Plan, known: Known) -> Case | Outcome:
        root = self.source.image_root
        query = self._file(root, sample.image_path, known)
        if query is None:
            return UNSEEN
        if isinstance(query, str):
            return Outcome("unusable", query)
        region: Region | None = None
        mask: Path | None = None
        mask_sha256: str | None = None
        if sample.mask_path is not None:
            mask = root / sample.mask_path
            found = self._region(mask, query, known)
            if found is None:
                return UNSEEN
            if isinstance(found, str):
                return Outcome("unusable", found)
            region = found
            mask_sha256 = known.files[str(mask)].sha256
        for normal in select.reference_order(sample, plan, self.settings.seed):
            reference = self._reference(root, normal.image_path, known)
            if reference is None:
                return UNSEEN
            if not isinstance(reference, str):
                shot = select.shot(sample, self.settings.seed, self.settings.one_shot)
                return Case(sample, query, reference, normal.sample_id, region, mask, shot, mask_sha256)
        return Outcome("unusable", "every normal reference of its category and view is unusable")

    def _reference(self, root: Path, relative: str, known: Known) -> ImageFile | str | None:
        """As `_file`; many samples share a reference, and then its value too."""
        if relative not in known.references:
            known.references[relative] = self._file(root, relative, known)
        return known.references[relative]

    def _file(self, root: Path, relative: str, known: Known) -> ImageFile | str | None:
        """The photograph; what is wrong with it; or None when it has to be looked at."""
        path = root / relative
        row = self._row(path, known)
        if row is None:
            return None
        if row.problem is not None:
            return row.problem
        if row.sha256 is None or row.width is None or row.height is None:
            return None
        return ImageFile(path, relative, row.sha256, row.width, row.height)

    def _region(self, mask: Path, query: ImageFile, known: Known) -> Region | str | None:
        row = self._row(mask, known)
        if row is None:
            return None
        if row.problem is not None or row.sha256 is None:
            return row.problem
        found = known.regions.get((row.sha256, image_size(query.width, query.height)))
        if found is None:
            return None
        return found.problem if found.region is None else found.region

    def _row(self, path: Path, known: Known) -> FileRow | None:
        name = str(path)
        row = known.files.get(name)
        if row is None or (self._verify and name not in self._verified):
            return None
        if name not in known.current:
            known.current[name] = is_current(row, path)
        return row if known.current[name] else None

    def _sights(self, sample: Sample, plan: Plan, known: Known) -> list[tuple[Path, Path | None]]:
        root = self.source.image_root
        sights = [(root / sample.image_path, root / sample.mask_path if sample.mask_path else None)]
        for normal in select.reference_order(sample, plan, self.settings.seed):
            reference = self._reference(root, normal.image_path, known)
            if reference is None:
                sights.append((root / normal.image_path, None))
            if not isinstance(reference, str):
                break
        return sights

    def _held_out(self, plan: Plan, known: Known) -> tuple[tuple[Case, ...], list[tuple[Path, Path | None]]]:
        """Held-out cases with their truth, and the files that have to be looked at first."""
        ready: list[Case] = []
        sights: list[tuple[Path, Path | None]] = []
        for sample in plan.held_out:
            case = self._case(sample, plan, known)
            if isinstance(case, Case):
                case = replace(case, shot=0)
                if self._why_refused(case, None, None) is None:
                    ready.append(case)
            elif case.todo == "locate":
                sights += self._sights(sample, plan, known)
        return tuple(ready), sights

    # -- texts that repeat one another

    def _copies(self, selection: Selection, outcomes: Mapping[str, Outcome]) -> dict[str, str]:
        """Samples whose reasoning nearly repeats that of an earlier candidate of the same stratum.

        Only candidates of one stratum are compared: there, everything earlier was tried before anything later, so that
        what repeats what does not depend on the way by which the build came here.
        """
        found: dict[str, str] = {}
        for place in select.TRAINED:
            strata: dict[str, list[tuple[str, str]]] = defaultdict(list)
            for sample in selection.selected[place]:
                outcome = outcomes.get(sample.sample_id)
                if outcome and outcome.draft and outcome.ruling and self._counts(outcome):
                    stratum = f"{place}|{sample.category}|{sample.coarse_type or ''}"
                    strata[stratum].append((sample.sample_id, outcome.draft.think))
            for stratum, texts in strata.items():
                found |= self._near(stratum, texts)
        return found

    @staticmethod
    def _counts(outcome: Outcome) -> bool:
        """A text counts when it may be published, or was refused for no other reason than repeating another."""
        return outcome.state in ("published", "pending") or outcome.reason.startswith(REPEATS)

    def _near(self, stratum: str, texts: list[tuple[str, str]]) -> dict[str, str]:
        digest = blake2b(orjson.dumps([CHECKS_VERSION, texts]), digest_size=16).hexdigest()
        known = self._duplicates.get(stratum)
        if known is None or known[0] != digest:
            self._duplicates[stratum] = known = (digest, near_duplicates(texts))
        return known[1]

    def _recall_pairs(self, name: str) -> dict[str, tuple[str, Any]]:
        text = self.ledger.recall(name)
        return {} if text is None else {key: (value[0], value[1]) for key, value in orjson.loads(text).items()}

    def _repeats(self, outcome: Outcome, earlier: str) -> Outcome:
        reason = f"{REPEATS}: the reasoning nearly repeats that of {earlier}"
        finding = Finding("near_duplicate", "person", reason)
        if outcome.ruling is None or outcome.ruling.reviewed == "human":
            return outcome  # a person has seen it and decided
        state: State = "rejected" if self.settings.review_mode == "auto" else "pending"
        return replace(outcome, state=state, reason=reason, findings=(*outcome.findings, finding))

    # -- the end of a run

    def _conclude(
        self,
        samples: Sequence[Sample],
        plan: Plan,
        selection: Selection,
        outcomes: Mapping[str, Outcome],
        held_out: tuple[Case, ...],
        known: Known,
        found: Ingested,
        reused: int,
    ) -> Result:
        chosen = {sample.sample_id for place in select.TRAINED for sample in selection.selected[place]}
        self.ledger.settle(self._moved(samples, plan, outcomes, chosen, known))
        if self.ledger.recall("near_duplicates") != (text := orjson.dumps(self._duplicates).decode()):
            self.ledger.remember("near_duplicates", text)
        accounting = self.ledger.accounting()
        accounting.check()
        selected = {name: outcomes[name] for name in outcomes if name in chosen}
        pending = [outcome for outcome in selected.values() if outcome.state == "pending"]
        waiting = sum(outcome.todo is None for outcome in pending)
        self._write_pending(pending)
        judged, shown = _judged(selected, known.verdicts)
        self.ledger.store_shown(shown)
        return Result(
            accounting=accounting,
            selection=selection,
            plan=plan,
            outcomes=selected,
            held_out=held_out,
            ingested=found,
            waiting=waiting,
            left=len(pending) - waiting,
            reused=reused,
            judged=judged,
            shown=shown,
            calibration=self._calibration(known),
        )

    def _write_pending(self, pending: Sequence[Outcome]) -> None:
        waiting = [
            (outcome.case, outcome.draft, outcome.findings, outcome.reason)
            for outcome in pending
            if outcome.todo is None and outcome.case is not None and outcome.draft is not None
        ]
        waiting.sort(key=lambda item: item[0].sample.sample_id)
        path = self.settings.workspace / "review" / review.PENDING_FILE
        if self.settings.review_mode == "label-studio":
            path.unlink(missing_ok=True)  # an old list would ask people to judge what is judged elsewhere
        elif self.settings.review_mode == "file" or path.exists():
            review.write_pending(path, waiting)

    def _calibration(self, known: Known) -> tuple[Score, ...]:
        """Scores over all texts that were ever used for it."""
        used = {v.revision for given in known.verdicts.values() for v in given if v.role == "calibration"}
        return calibration(known.verdicts, self.ledger.shown(used)) if used else ()

    def _moved(
        self,
        samples: Sequence[Sample],
        plan: Plan,
        outcomes: Mapping[str, Outcome],
        chosen: set[str],
        known: Known,
    ) -> dict[str, Standing]:
        """Where samples stand now that stood elsewhere, found in one pass beside what is stored about them."""
        root = f"{self.source.image_root}"
        moved: dict[str, Standing] = {}
        following = iter(samples)
        for name, entry_problem, before in self.ledger.standings_in_order():
            if entry_problem is not None:
                now = Standing("unusable", entry_problem, None)
            else:
                sample = next(following)
                place = plan.partition.get(sample.part_id)
                if name in chosen:
                    now = Standing(outcomes[name].state, outcomes[name].reason, place)
                elif (problem := self._problem(root, sample, known)) is not None:
                    now = Standing("unusable", problem, place)
                else:
                    now = Standing("unselected", plan.left_out.get(name, NOT_NEEDED), place)
            if now != before:
                moved[name] = now
        return moved

    def _problem(self, root: str, sample: Sample, known: Known) -> str | None:
        """What is wrong with the files of a sample, as far as anybody has looked."""
        name = f"{root}/{sample.image_path}"
        row = known.files.get(name)
        if row is None or not known.current.get(name, False):
            return None
        if row.problem is not None:
            return row.problem
        if sample.mask_path is None or row.sha256 is None or row.width is None or row.height is None:
            return None
        query = ImageFile(Path(name), sample.image_path, row.sha256, row.width, row.height)
        region = self._region(Path(root, sample.mask_path), query, known)
        return region if isinstance(region, str) else None


def _row_digest(case: Case, draft: Draft | None, verdict: Verdict | None) -> str:
    """Digest of all that a published row is made of, and of the program that makes it."""
    images = (case.query.relative, case.query.sha256, case.reference.relative, case.reference.sha256)
    made_of = (__version__, case.sample, images, case.reference_id, case.region, case.shot, draft, verdict)
    return blake2b(repr(made_of).encode(), digest_size=16).hexdigest()


def _judged(
    outcomes: Mapping[str, Outcome], verdicts: Mapping[str, Sequence[Verdict]]
) -> tuple[dict[str, list[Verdict]], dict[str, dict[str, Any]]]:
    """The verdicts on these samples' present texts, and what is shown of all texts that people judge or have judged."""
    judged: dict[str, list[Verdict]] = {}
    shown: dict[str, dict[str, Any]] = {}
    for name, outcome in outcomes.items():
        case, draft = outcome.case, outcome.draft
        if case is None or draft is None:
            continue
        asked = outcome.state == "pending" and outcome.todo is None
        given = [verdict for verdict in verdicts.get(name, ()) if verdict.role != "calibration"]
        if not given and not asked:
            continue
        revision = review.revision(case, draft)
        if on_this := [verdict for verdict in given if verdict.revision == revision]:
            judged[name] = on_this
        if on_this or asked:
            shown[revision] = review.shown(case, draft)
    return judged, shown


REPEATS = "near_duplicate"
NOT_NEEDED = "not needed: enough candidates come before it"
UNSEEN = Outcome("pending", "waits for a look at its files", "locate")
SECOND_OPINION = "second_opinion"


class Stopped(AbortError):
    """A run that an abort ended, with its result so far."""

    def __init__(self, cause: AbortError, result: Result) -> None:
        super().__init__(str(cause))
        self.result = result


def in_process(threads: int, on_interrupt: Callable[[], None]) -> Each:
    """Run chunks here, one after another or a few at a time.

    An interrupt calls `on_interrupt`, waits for what is under way, which is kept, and goes on upwards.
    """
    from concurrent.futures import ThreadPoolExecutor

    def each(stage: Stage, work: Callable[[Sequence[Any]], None], chunks: Sequence[Sequence[Any]]) -> None:
        with ThreadPoolExecutor(1 if stage in ("locate", "check") else threads) as pool:
            waiting = [pool.submit(work, chunk) for chunk in chunks]
            try:
                for future in waiting:
                    future.result()
            except KeyboardInterrupt:
                on_interrupt()
                raise
            finally:
                for future in waiting:
                    future.cancel()

    return each


@contextmanager
def event_loop() -> Iterator[Call]:
    """One event loop in a thread of its own, since a teacher's connections belong to the loop that made them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="teacher", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    """End what a second interrupt left under way: a thread that waits for it would wait for ever."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
