"""How far people agree who judged the same drafts, and how near each comes to verdicts that are known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple, get_args

from expertad.review import in_time, meant
from expertad.verdict import Role, Verdict

About = Literal["decision", "location", "type"]
ABOUT: tuple[About, ...] = get_args(About)
Statistic = Literal["Cohen's kappa", "Krippendorff's alpha"]

Verdicts = Mapping[str, Sequence[Verdict]]
"""By sample id, oldest first, as the ledger gives them."""
Shown = Mapping[str, Mapping[str, Any]]
"""By revision, as `expertad.review.shown` makes it."""

_Judged = dict[str, dict[str, Verdict]]
"""Revision -> person -> what that person said last."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree about one thing.

    Args:
        about: their decision, the place, or the fine-grained type.
        statistic: Cohen's kappa for two people (Cohen 1960), Krippendorff's alpha for nominal labels for more
            (Krippendorff 2004); both are 1 for full agreement and 0 for what chance would give.
        value: -1 to 1; None when it is undefined because everybody always chose the same label.
        observed: share of the pairs of labels of a draft that are equal, 0 to 1.
        items: how many drafts two people or more gave a label to.
        annotators: how many people gave those labels.
    """

    about: About
    statistic: Statistic
    value: float | None
    observed: float
    items: int
    annotators: int

    def __str__(self) -> str:
        value = "undefined, for everybody always chose the same," if self.value is None else f"{self.value:.3f}"
        return (
            f"{self.about}: {self.statistic} {value} with {self.observed:.0%} of the pairs equal, "
            f"on {self.items} draft{'' if self.items == 1 else 's'} by {self.annotators} people"
        )


def measure(verdicts: Verdicts, shown: Shown) -> tuple[Agreement, ...]:
    """Agreement on the decision, the place and the type, as far as anything was judged by two people or more.

    A person's place and type are those of the latest verdict on a revision: the corrected ones, else what was shown. A
    rejected draft and a normal sample have neither. Verdicts of adjudication and calibration do not count.
    """
    twice = [(revision, by) for revision, by in sorted(_judged(verdicts, "review").items()) if len(by) > 1]
    people = {who for _, by in twice for who in by}
    found = []
    for about in ABOUT:
        items = []
        for revision, by in twice:
            labels = {who: _label(about, by[who], shown.get(revision, {})) for who in sorted(by)}
            given = {who: label for who, label in labels.items() if label is not None}
            if len(given) > 1:
                items.append(given)
        if items:
            found.append(_agreement(about, items, two=len(people) == 2))
    return tuple(found)


def _agreement(about: About, items: Sequence[Mapping[str, str]], *, two: bool) -> Agreement:
    equal = [a == b for item in items for a, b in combinations(item.values(), 2)]
    distinct = {label for item in items for label in item.values()}
    value = None
    if len(distinct) > 1:
        value = _kappa(items) if two else _alpha(items, sorted(distinct))
    return Agreement(
        about=about,
        statistic="Cohen's kappa" if two else "Krippendorff's alpha",
        value=value,
        observed=sum(equal) / len(equal),
        items=len(items),
        annotators=len({who for item in items for who in item}),
    )


def _kappa(items: Sequence[Mapping[str, str]]) -> float:
    from sklearn.metrics import cohen_kappa_score  # takes most of a second to import, and few builds need it

    first, second = zip(*(item.values() for item in items), strict=True)
    return float(cohen_kappa_score(first, second))


def _alpha(items: Sequence[Mapping[str, str]], labels: Sequence[str]) -> float:
    """Krippendorff's alpha of nominal labels.

    Drafts on which all agree count alike however they are grouped: k labels of one kind add k to its coincidences. So
    all that have one label are handed over as one draft, for the library's memory grows with drafts x labels squared.
    """
    import krippendorff
    import numpy as np

    number = {label: index for index, label in enumerate(labels)}
    alike: Counter[str] = Counter()
    rows = []
    for item in items:
        counts = Counter(item.values())
        if len(counts) == 1:
            alike += counts
        else:
            rows.append(counts)
    rows += [Counter({label: count}) for label, count in sorted(alike.items())]
    table = np.zeros((len(rows), len(labels)), dtype=np.int64)
    for row, counts in enumerate(rows):
        for label, count in counts.items():
            table[row, number[label]] = count
    return float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal"))


def _judged(verdicts: Verdicts, role: Role) -> _Judged:
    found: _Judged = defaultdict(dict)
    for given in verdicts.values():
        for verdict in in_time(given):
            if verdict.role == role:
                found[verdict.revision].pop(verdict.annotator, None)
                found[verdict.revision][verdict.annotator] = verdict
    return found


def _label(about: About, verdict: Verdict, shown: Mapping[str, Any]) -> str | None:
    if about == "decision":
        return verdict.decision
    outcome = meant(shown, verdict)
    if outcome is None or shown.get("answer") == "No":
        return None
    return outcome.location if about == "location" else outcome.fine_type


# -- calibration


class Share(NamedTuple):
    """How many of so many were right."""

    right: int
    of: int

    @property
    def value(self) -> float | None:
        """0 to 1; None of nothing."""
        return self.right / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.right} of {self.of}"


@dataclass(frozen=True, slots=True)
class Score:
    """How often one person gave the known answer in calibration.

    Place and type are compared where both verdicts have them: the known one and the person's.
    """

    annotator: str
    decision: Share
    location: Share
    fine_type: Share

    def __str__(self) -> str:
        parts = [("decisions", self.decision), ("places", self.location), ("types", self.fine_type)]
        return f"{self.annotator}: right in " + ", ".join(f"{share} {what}" for what, share in parts if share.of)


def calibration(verdicts: Verdicts, shown: Shown) -> tuple[Score, ...]:
    """What each person scored against known verdicts, by name; answers to what only they had judged do not count."""
    known = _settled(verdicts, shown)
    right: dict[str, Counter[About]] = defaultdict(Counter)
    total: dict[str, Counter[About]] = defaultdict(Counter)
    for revision, by in _judged(verdicts, "calibration").items():
        if revision not in known:
            continue
        answer, judges = known[revision]
        for who, verdict in by.items():
            if judges <= {who}:
                continue
            for about in ABOUT:
                wanted = _label(about, answer, shown.get(revision, {}))
                given = _label(about, verdict, shown.get(revision, {}))
                if wanted is not None and given is not None:
                    total[who][about] += 1
                    right[who][about] += wanted == given
    return tuple(Score(who, *(Share(right[who][about], total[who][about]) for about in ABOUT)) for who in sorted(total))


def settled(verdicts: Verdicts, shown: Shown) -> dict[str, Verdict]:
    """The known verdicts, by revision: the latest adjudication, else the latest review where all reviewers agree."""
    return {revision: verdict for revision, (verdict, _) in _settled(verdicts, shown).items()}


def _settled(verdicts: Verdicts, shown: Shown) -> dict[str, tuple[Verdict, set[str]]]:
    """Known verdicts with those who gave them."""
    found: dict[str, tuple[Verdict, set[str]]] = {}
    for revision, by in _judged(verdicts, "review").items():
        given = list(by.values())
        if len({meant(shown.get(revision, {}), verdict) for verdict in given}) == 1:
            found[revision] = given[-1], set(by)
    for revision, by in _judged(verdicts, "adjudication").items():
        last = list(by.values())[-1]
        found[revision] = last, {last.annotator}
    return found
