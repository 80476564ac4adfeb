"""Which samples to build from: partitions of parts, an order of candidates, and how many of each stratum.

Every choice is a function of ids and seed. A part goes, once and with all its views, to the reference pool, to the
held-out set, to PA-SFT or to SC-GRPO. Inside a partition, candidates of one stratum (category and coarse type, or
category and normal) stand in a fixed order; what is selected is the shortest beginning of that order that holds enough
viable samples, so each reject is followed by the next candidate and nothing else moves.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal, TypeVar

from expertad.order import order_key, order_keys, unit
from expertad.sample import Sample

Partition = Literal["pool", "held_out", "pa_sft", "sc_grpo"]
TRAINED: tuple[Literal["pa_sft", "sc_grpo"], ...] = ("pa_sft", "sc_grpo")

POOL_SHARE = 0.2
"""Share of a category's normal parts set apart as references."""

Key = TypeVar("Key", bound=Hashable)

Outcome = Literal["viable", "failed", "unusable"]
Judge = Callable[[Sample], Outcome]
Stratum = tuple[str, str]
NORMAL = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that does not depend on how the samples turn out.

    Args:
        partition: of each part that is in one.
        candidates: per trained partition and stratum, the candidates in order.
        held_out: the held-out samples, by id.
        references: normal samples of the pool by (category, view), by id.
        left_out: samples that can never be selected, with the reason.
    """

    partition: Mapping[str, Partition]
    candidates: Mapping[str, Mapping[Stratum, tuple[Sample, ...]]]
    held_out: tuple[Sample, ...]
    references: Mapping[tuple[str, str], tuple[Sample, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is selected now, and why the rest is not.

    Args:
        selected: per trained partition, samples in candidate order (failed ones among them).
        target: per trained partition, how many viable samples it can have.
        notes: what the builder should know, such as a source too small for the sizes asked for.
    """

    selected: Mapping[str, tuple[Sample, ...]]
    target: Mapping[str, int]
    notes: tuple[str, ...]


def plan(samples: Iterable[Sample], *, seed: int, pa_sft: int, sc_grpo: int, held_out: float) -> Plan:
    """Divide parts and order candidates.

    Args:
        samples: all usable samples of the source.
        seed: of every choice.
        pa_sft: rows asked for; with `sc_grpo` the ratio in which parts are divided.
        sc_grpo: rows asked for.
        held_out: share of the parts outside the pool that is never selected.
    """
    parts: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        parts[sample.part_id].append(sample)
    partition: dict[str, Partition] = {}
    by_stratum: dict[Stratum, list[str]] = defaultdict(list)
    normals: dict[str, list[str]] = defaultdict(list)
    for part_id, views in parts.items():
        category = views[0].category
        defects = [view.coarse_type or "" for view in views if view.anomalous]
        if defects:
            by_stratum[category, min(defects)].append(part_id)
        elif all(view.stratum == "normal" for view in views):
            normals[category].append(part_id)
    for category, part_ids in normals.items():
        pool = _pool(part_ids, parts, seed)
        partition.update(dict.fromkeys(pool, "pool"))
        by_stratum[category, NORMAL] = [part_id for part_id in part_ids if part_id not in pool]
    ratio = pa_sft / (pa_sft + sc_grpo)
    for group in _groups(by_stratum):
        # Shares run on from one type of a category to the next, so that many small strata together keep them too.
        held_start, divide_start = unit(seed, "held-out", *group), unit(seed, "divide", *group)
        seen = trained = 0
        for stratum in sorted(key for key in by_stratum if _group(key) == group):
            ordered = sorted(by_stratum[stratum], key=lambda part_id: order_key(seed, "part", part_id))
            count = _share(seen, len(ordered), held_out, held_start)
            partition.update(dict.fromkeys(ordered[:count], "held_out"))
            for part_id in ordered[count:]:
                partition[part_id] = "pa_sft" if _share(trained, 1, ratio, divide_start) else "sc_grpo"
                trained += 1
            seen += len(ordered)
    return _ordered(parts, partition, seed)


def _pool(part_ids: Sequence[str], parts: Mapping[str, list[Sample]], seed: int) -> set[str]:
    """A fifth of the normal parts, and one of each view that two parts or more show."""
    ordered = sorted(part_ids, key=lambda part_id: order_key(seed, "pool", part_id))
    pool = set(ordered[: math.floor(len(ordered) * POOL_SHARE)])
    showing: dict[str, list[str]] = defaultdict(list)
    for part_id in ordered:
        for sample in parts[part_id]:
            showing[sample.view].append(part_id)
    for view in sorted(showing):
        if len(showing[view]) >= 2 and not pool.intersection(showing[view]):
            pool.add(showing[view][0])
    return pool


def _group(stratum: Stratum) -> tuple[str, str]:
    """Strata that share out parts together: a category's normal parts, and all of its defective ones."""
    return stratum[0], "normal" if stratum[1] == NORMAL else "anomalous"


def _groups(strata: Iterable[Stratum]) -> list[tuple[str, str]]:
    return sorted({_group(stratum) for stratum in strata})


def _share(before: int, count: int, share: float, start: float) -> int:
    """How many of the next `count` items fall to a share; every beginning of the order holds about that share."""
    return math.floor((before + count) * share + start) - math.floor(before * share + start)


def _ordered(parts: Mapping[str, list[Sample]], partition: Mapping[str, Partition], seed: int) -> Plan:
    candidates: dict[str, dict[Stratum, list[tuple[int, bytes, Sample]]]] = {
        name: defaultdict(list) for name in TRAINED
    }
    references: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    held_out: list[Sample] = []
    left_out: dict[str, str] = {}
    seen_views = {
        (sample.category, sample.view)
        for part_id, views in parts.items()
        if partition.get(part_id) == "pool"
        for sample in views
    }
    for part_id, views in parts.items():
        place = partition.get(part_id)
        # The views of a part follow one another at a distance, so that different products come first.
        turn = 0
        for sample in sorted(views, key=lambda view: order_key(seed, "view", view.sample_id)):
            if sample.stratum == "ng_view_ok":
                left_out[sample.sample_id] = "a defective part's view without a visible defect"
            elif place == "pool":
                references[sample.category, sample.view].append(sample)
                left_out[sample.sample_id] = "in the reference pool"
            elif place == "held_out":
                held_out.append(sample)
                left_out[sample.sample_id] = "held out for evaluation"
            elif place is None or (not sample.anomalous and any(view.anomalous for view in views)):
                left_out[sample.sample_id] = "a normal view of a part that is filed as both normal and defective"
            elif (sample.category, sample.view) not in seen_views:
                left_out[sample.sample_id] = "no normal reference of this category and view"
            else:
                stratum = (sample.category, sample.coarse_type or NORMAL)
                candidates[place][stratum].append((turn, order_key(seed, "part", part_id), sample))
                turn += 1
    return Plan(
        partition=partition,
        candidates={
            place: {
                stratum: tuple(item[2] for item in sorted(rows, key=lambda r: r[:2])) for stratum, rows in of.items()
            }
            for place, of in candidates.items()
        },
        held_out=tuple(sorted(held_out, key=lambda sample: sample.sample_id)),
        references={key: tuple(sorted(rows, key=lambda s: s.sample_id)) for key, rows in references.items()},
        left_out=left_out,
    )


def reference_order(sample: Sample, plan: Plan, seed: int) -> list[Sample]:
    """References for a sample, best first: of its category and view, in an order of its own (rendezvous hashing)."""
    pool = plan.references.get((sample.category, sample.view), ())
    keys = order_keys(seed, "reference", sample.sample_id, (normal.sample_id for normal in pool))
    return [normal for _, normal in sorted(zip(keys, pool, strict=True), key=itemgetter(0))]


def shot(sample: Sample, seed: int, one_shot: float) -> Literal[0, 1]:
    """1 when the sample is to show a normal reference beside the query, for a share `one_shot` of all samples."""
    return 1 if unit(seed, "shot", sample.sample_id) < one_shot else 0


def choose(plan: Plan, judge: Judge, *, sizes: Mapping[str, int], limit: int | None, seed: int) -> Selection:
    """The selection, given how samples have turned out so far.

    Args:
        plan: partitions and orders.
        judge: "viable" for a sample that is published, pending or not yet tried; "failed" for one that was rejected or
            quarantined; "unusable" for one whose files are bad.
        sizes: rows asked for in each trained partition.
        limit: at most this many rows in all, divided in the same ratio.
        seed: decides who gets the remainder of an uneven division.
    """
    selected: dict[str, tuple[Sample, ...]] = {}
    target: dict[str, int] = {}
    notes: list[str] = []
    for place, asked in _limited(sizes, limit).items():
        strata = plan.candidates.get(place, {})
        verdicts = {stratum: [judge(sample) for sample in rows] for stratum, rows in strata.items()}
        viable = {stratum: row.count("viable") for stratum, row in verdicts.items()}
        quota = _quota(viable, asked, seed)
        target[place] = sum(quota.values())
        if asked and plan.held_out and not any(plan.candidates.values()):
            notes.append(
                f"{place}: {asked} rows were asked for, and the held-out share leaves no part to take them from"
            )
        elif target[place] < asked:
            normal = sum(count for (_, kind), count in viable.items() if kind == NORMAL)
            notes.append(
                f"{place}: {asked} rows were asked for and the source has enough for {target[place]} "
                f"at 1 normal : 1 anomalous ({normal} normal and {sum(viable.values()) - normal} anomalous candidates)"
            )
        selected[place] = tuple(
            sample
            for stratum in sorted(strata)
            for sample in _beginning(strata[stratum], verdicts[stratum], quota[stratum], viable[stratum])
        )
    return Selection(selected=selected, target=target, notes=tuple(notes))


def _limited(sizes: Mapping[str, int], limit: int | None) -> dict[str, int]:
    total = sum(sizes.values())
    if limit is None or limit >= total:
        return dict(sizes)
    first = min(round(limit * sizes["pa_sft"] / total), limit)
    return {"pa_sft": first, "sc_grpo": limit - first}


def _beginning(rows: Sequence[Sample], verdicts: Sequence[Outcome], quota: int, viable: int) -> Iterable[Sample]:
    """Candidates up to the one that fills the quota; all of them when the quota takes every viable one."""
    if quota == 0 and viable > 0:
        return
    count = 0
    for sample, verdict in zip(rows, verdicts, strict=True):
        if count == quota and quota < viable:
            return
        if verdict != "unusable":
            yield sample
        count += verdict == "viable"


def _quota(viable: Mapping[Stratum, int], asked: int, seed: int) -> dict[Stratum, int]:
    """Half normal, half anomalous; evenly over categories, then evenly over a category's types."""
    normal = {stratum: count for stratum, count in viable.items() if stratum[1] == NORMAL}
    anomalous = {stratum: count for stratum, count in viable.items() if stratum[1] != NORMAL}
    half = min(asked // 2, sum(normal.values()), sum(anomalous.values()))
    # An odd size has one more anomalous row, which carry more to learn from.
    extra = 1 if asked % 2 and half == asked // 2 and sum(anomalous.values()) > half else 0
    by_category: dict[str, int] = defaultdict(int)
    for (category, _), count in anomalous.items():
        by_category[category] += count
    quota = fill(half, normal, seed)
    for category, share in fill(half + extra, by_category, seed).items():
        quota |= fill(share, {stratum: count for stratum, count in anomalous.items() if stratum[0] == category}, seed)
    return quota


def fill(total: int, capacity: Mapping[Key, int], seed: int) -> dict[Key, int]:
    """Share `total` as evenly as the capacities allow (max-min fair); remainders go in content order.

    >>> fill(7, {"a": 1, "b": 10, "c": 10}, seed=0) == {"a": 1, "b": 3, "c": 3}
    True
    """
    share = dict.fromkeys(capacity, 0)
    left = min(total, sum(capacity.values()))
    while left:
        open_keys = [key for key in capacity if share[key] < capacity[key]]
        step = left // len(open_keys)
        if step == 0:
            first = sorted(open_keys, key=lambda key: order_key(seed, "share", str(key)))[:left]
            for key in first:
                share[key] += 1
            break
        for key in open_keys:
            given = min(step, capacity[key] - share[key])
            share[key] += given
            left -= given
    return share
