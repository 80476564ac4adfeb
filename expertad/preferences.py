"""People's work as preference data: what they corrected or accepted, beside what they corrected or rejected.

An edited draft gives a pair by itself: the corrected text is chosen, the draft as it was shown is rejected. A rejected
draft gives one only with a text of the same sample that was accepted or published, earlier or later; none is made up.
The form is that of TRL's DPOTrainer for vision-language models: `images`, and `prompt`, `chosen` and `rejected` as
messages; the prompt is PA-SFT's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from expertad import pattern, select
from expertad.build import Build, Outcome, Result
from expertad.builder import as_before, opened, publish_info
from expertad.checks import run_checks
from expertad.config import Settings
from expertad.errors import PatternError, RecordError, UserError
from expertad.integrate import integrate
from expertad.preferences_card import render
from expertad.progress import Progress
from expertad.publish import dumps, json_list, write_published
from expertad.record import SCHEMA_VERSION, Config, Record, messages, parts, validate
from expertad.review import Ruling, published_reason, revision, rule, tidy
from expertad.sample import Case, Draft
from expertad.verdict import Verdict

FILE = "preferences.json"
FORM = "preferences"
FOLDER = "preferences"

Kind = Literal["edited", "rejected"]

NO_PARTNER = "rejected, and no text of the same sample was accepted"
UNSETTLED = "people have yet to agree, or their correction does not pass the checks"
SAME = "the edit changes nothing that is published"
GONE = "what was shown is not kept"
MOVED = "the sample's photographs, place or prompt have changed since"
UNSELECTED = "the sample is not selected by these settings, or its files cannot be used"
UNWRITABLE = "the draft cannot be written in its pattern"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies about one sample, one of which people preferred.

    Args:
        chosen: the record of the preferred text.
        rejected: the other reply, whole.
        rejected_revision: digest of what people were shown with it.
        kind: what people did with it.
        config: the part of the data set that its sample belongs to; never held_out.
        reasons: why, as far as people named one of the known reasons.
    """

    chosen: Record
    rejected: str
    rejected_revision: str
    kind: Kind
    config: Config
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preferences:
    """All pairs by sample and revision, and how many drafts gave none, by reason."""

    pairs: tuple[Pair, ...]
    unpaired: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Judged:
    """One text of a sample, as people judged it."""

    draft: Draft
    revision: str
    ruling: Ruling


def collect(build: Build, result: Result) -> Preferences:
    """The preference data that people's verdicts give, in an order that depends on content alone.

    Args:
        build: the builder; its ledger holds the verdicts and what was shown.
        result: where the build stands; only samples that it selects for training are paired.
    """
    shown = build.ledger.shown()
    verdicts = {name: [v for v in given if v.role != "calibration"] for name, given in build.ledger.verdicts().items()}
    place_of = {sample.sample_id: place for place in select.TRAINED for sample in result.selection.selected[place]}
    pairs: list[Pair] = []
    unpaired: Counter[str] = Counter()
    for name, given in sorted(verdicts.items()):
        outcome = result.outcomes.get(name)
        if name not in place_of or outcome is None or outcome.case is None:
            unpaired[UNSELECTED] += len(_objected(given))
            continue
        for found in _of_sample(build, outcome, outcome.case, place_of[name], given, shown):
            if isinstance(found, Pair):
                pairs.append(found)
            else:
                unpaired[found] += 1
    pairs.sort(key=lambda pair: (pair.chosen.id, pair.rejected_revision))
    return Preferences(tuple(pairs), {reason: count for reason, count in sorted(unpaired.items()) if count})


def _objected(verdicts: Sequence[Verdict]) -> list[str]:
    """Revisions that somebody edited or rejected."""
    return list(dict.fromkeys(verdict.revision for verdict in verdicts if verdict.decision != "accept"))


def _of_sample(
    build: Build,
    outcome: Outcome,
    case: Case,
    config: Config,
    verdicts: Sequence[Verdict],
    shown: Mapping[str, Mapping[str, Any]],
) -> Iterator[Pair | str]:
    """Pairs, and for each objected draft without one the reason."""
    objected = _objected(verdicts)
    texts: list[_Judged] = []
    for name in dict.fromkeys(verdict.revision for verdict in verdicts):
        judged = _judged(build, outcome, case, name, verdicts, shown)
        if isinstance(judged, _Judged):
            texts.append(judged)
        elif name in objected:
            yield judged
    accepted = _accepted(outcome, case, texts)
    for text in texts:
        if text.revision not in objected:
            continue
        verdict = text.ruling.verdict
        if verdict is None or text.ruling.state == "pending":
            yield UNSETTLED
        elif verdict.decision == "edit" and text.revision in accepted:
            yield _pair(case, text, accepted[text.revision], "edited", config, verdict)
        elif verdict.decision == "reject" and text.ruling.state == "rejected":
            last = next(reversed(accepted.values()), None)
            yield NO_PARTNER if last is None else _pair(case, text, last, "rejected", config, verdict)


def _judged(
    build: Build,
    outcome: Outcome,
    case: Case,
    name: str,
    verdicts: Sequence[Verdict],
    shown: Mapping[str, Mapping[str, Any]],
) -> _Judged | str:
    """The text of that revision, and what people decided about it; or why that cannot be told."""
    if outcome.draft is not None and outcome.ruling is not None and revision(case, outcome.draft) == name:
        return _Judged(outcome.draft, name, outcome.ruling)
    if name not in shown:
        return GONE
    content = shown[name]
    draft = Draft(case.sample.sample_id, content["description"], content["think"], content["fine_type"])
    if revision(case, draft) != name:
        return MOVED
    people = build.settings.review_mode != "auto"
    ruling = rule(case, draft, run_checks(case, draft), verdicts, people=people, overlap=build.overlap)
    return _Judged(draft, name, ruling)


def _accepted(outcome: Outcome, case: Case, texts: Sequence[_Judged]) -> dict[str, Record]:
    """Records of the texts that may be published, by revision; last comes what is published now, if anything is."""
    good = {text.revision: text for text in texts if text.ruling.state == "published"}
    if outcome.state == "published" and outcome.draft is not None and outcome.ruling is not None:
        now = revision(case, outcome.draft)
        good.pop(now, None)
        good[now] = _Judged(outcome.draft, now, outcome.ruling)
    found = {}
    for text in good.values():
        try:
            found[text.revision] = integrate(
                case,
                text.draft,
                text.ruling.verdict,
                reviewed=text.ruling.reviewed,
                revision=text.revision,
                provenance={},
            )
        except RecordError:
            continue  # it is not published either
    return found


def _pair(case: Case, text: _Judged, chosen: Record, kind: Kind, config: Config, verdict: Verdict) -> Pair | str:
    location = case.region.location if case.region else None
    try:
        rejected = pattern.write(text.draft.think.strip(), location, tidy(text.draft.fine_type))
    except PatternError:
        return UNWRITABLE
    if rejected == messages(chosen)[1]["content"]:
        return SAME
    reasons = tuple(sorted({published_reason(reason) for reason in verdict.reasons}))
    return Pair(chosen, rejected, text.revision, kind, config, reasons)


def to_row(pair: Pair) -> dict[str, Any]:
    """A pair as the JSON object that schemas/preferences.schema.json describes."""
    record = pair.chosen
    question, reply = messages(record)
    return {
        "id": record.id,
        "images": list(record.images),
        "image_sha256": list(record.image_sha256),
        "category": record.category,
        "part": record.part,
        "config": pair.config,
        "anomalous": record.anomalous,
        "shot": record.shot,
        "kind": pair.kind,
        "reasons": list(pair.reasons),
        "chosen_revision": record.revision,
        "rejected_revision": pair.rejected_revision,
        "prompt": [{"role": "user", "content": parts(question["content"])}],
        "chosen": [reply],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
    }


def publish(settings: Settings, out: Path | None) -> Iterator[str]:
    """`expertad publish --preferences`: write the pairs of a workspace to a folder, as a whole; yields lines.

    Raises:
        UserError: there is no pair; says why not.
        WorkspaceError: nothing was built here, or the folder holds something else or cannot be written.
    """
    settings = as_before(settings)
    target = out or settings.workspace / FOLDER
    with Progress() as progress, opened(settings, progress, asks=False) as build:
        result = build.survey()
        found = collect(build, result)
        if not found.pairs:
            why = "".join(f"; {count} without: {reason}" for reason, count in found.unpaired.items())
            old = f"; {target} still holds pairs of an earlier state: delete it" if target.exists() else ""
            raise UserError(f"people have edited or rejected nothing that gives a pair{why}{old}")
        rows = [to_row(pair) for pair in found.pairs]
        for row in rows:
            validate(row, "preferences")
        digest = sha256(dumps([SCHEMA_VERSION, rows]).encode()).hexdigest()
        info = publish_info(build, result)
        card = render(rows, found.unpaired, info, digest)
    stamp = {
        "form": FORM,
        "schema": SCHEMA_VERSION,
        "digest": digest,
        "card": sha256(card.encode()).hexdigest(),
        "with_images": False,
        "source": info.source,
        "source_licence": info.source_licence,
        "rows": len(rows),
    }

    def fill(folder: Path) -> None:
        with json_list(folder / FILE) as add:
            for row in rows:
                add(row)
        (folder / "README.md").write_text(card, encoding="utf-8")

    changed = write_published(target, stamp, fill)
    kinds = Counter(row["kind"] for row in rows)
    yield (
        f"{target}: {len(rows)} pairs, {kinds['edited']} of edited drafts and {kinds['rejected']} of rejected ones"
        + ("" if changed else " (unchanged)")
    )
    for reason, count in found.unpaired.items():
        yield f"{count} drafts gave no pair: {reason}"
