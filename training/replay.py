"""`python -m training.replay FILE …`: who is paid what and why, before a GPU is spent.

Scores a rollout dump or JSON lines of completions under one or several schemes, and looks for reward hacking: text that
earns without looking at the image.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

from expertad.errors import ExpertADError, UserError
from expertad.grid import mentions, phrase_to_cells
from expertad.taxonomy import COARSE_TYPES, FINE_TERMS, normalize
from training.rewards import Pay, Reading, Scheme, read, scheme
from training.rewards.scheme import LOCATIONS, total
from training.rollouts import Rollout, read_rollouts

CONSTANT_SHARE = 0.95
REPEATED_SHARE = 0.5
SHORT_THINK_WORDS = 3
STUFFED_CELLS = 3


@dataclass(frozen=True, slots=True)
class Scored:
    """One rollout under one scheme."""

    rollout: Rollout
    reading: Reading
    payment: dict[str, Pay]

    @property
    def total(self) -> float:
        """Equation 9."""
        return total(self.payment)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A pattern that earns without looking: how many show it, what they and the others earn on average, an example."""

    name: str
    count: int
    share: float
    earns: float
    others_earn: float | None
    example: str


def score(rollouts: Sequence[Rollout], chosen: Scheme) -> list[Scored]:
    """Scores every rollout under one scheme."""
    return [Scored(r, read(r.completion), chosen.pay(r.completion, r.truth)) for r in rollouts]


def suspicions(scored: Sequence[Scored]) -> list[Suspicion]:
    """What looks like reward hacking in a set of scored rollouts; empty when nothing does."""
    if not scored:
        return []
    found = [_suspicion(name, [s for s in scored if test(s)], scored) for name, test in _SINGLE.items()]
    found += [
        _suspicion(name, _commonest(scored, key, share), scored)
        for name, key, share in (
            ("one answer for every image", _answer, CONSTANT_SHARE),
            ("one location for every defect", _location, CONSTANT_SHARE),
            ("one reasoning for many images", _think, REPEATED_SHARE),
        )
    ]
    return [suspicion for suspicion in found if suspicion.count]


def _suspicion(name: str, guilty: Sequence[Scored], everyone: Sequence[Scored]) -> Suspicion:
    chosen = {id(s) for s in guilty}
    others = [s.total for s in everyone if id(s) not in chosen]
    return Suspicion(
        name=name,
        count=len(guilty),
        share=len(guilty) / len(everyone),
        earns=fmean(s.total for s in guilty) if guilty else 0.0,
        others_earn=fmean(others) if others else None,
        example=guilty[0].rollout.completion if guilty else "",
    )


def _paid(scored: Scored) -> bool:
    return scored.total > 0


def _empty_think(scored: Scored) -> bool:
    return _paid(scored) and len((scored.reading.think or "").split()) < SHORT_THINK_WORDS


def _directions_stuffed(scored: Scored) -> bool:
    """Many cells in `location`, or a reasoning that has named most of the grid."""
    if not _paid(scored):
        return False
    n = scored.rollout.truth.grid
    cells = phrase_to_cells(scored.reading.location or "", n) or frozenset()
    in_think = frozenset().union(*(m.cells for m in mentions(scored.reading.think or "", n)))
    words = normalize(scored.reading.location or "").split()
    sides = {"left", "right", "top", "bottom", "upper", "lower"} & set(words)
    return len(cells) >= STUFFED_CELLS or len(sides) >= STUFFED_CELLS or (n > 2 and len(in_think) > 2 * n)


def _types_stuffed(scored: Scored) -> bool:
    words = f" {normalize(scored.reading.type or '')} "
    named = {c for c in COARSE_TYPES for term in (c, *FINE_TERMS[c]) if f" {normalize(term)} " in words}
    return _paid(scored) and len(named) >= 3


def _wrong_but_paid(scored: Scored) -> bool:
    return _paid(scored) and not scored.reading.says(scored.rollout.truth)


_SINGLE: dict[str, Callable[[Scored], bool]] = {
    "paid for a wrong answer": _wrong_but_paid,
    "empty reasoning": _empty_think,
    "direction words stuffed": _directions_stuffed,
    "types stuffed": _types_stuffed,
}


def _answer(scored: Scored) -> tuple[str | None, object]:
    return scored.reading.answer, scored.rollout.truth.anomalous


def _location(scored: Scored) -> tuple[str | None, object] | None:
    if not scored.rollout.truth.anomalous or scored.reading.location is None:
        return None
    return normalize(scored.reading.location), scored.rollout.truth.location


def _think(scored: Scored) -> tuple[str | None, object]:
    """With the image as far as the file tells it: two normal images have the same truth, two groups may share one."""
    r = scored.rollout
    return scored.reading.think, r.image or (r.group and (r.file, r.group)) or r.truth


def _commonest(
    scored: Sequence[Scored], key: Callable[[Scored], tuple[str | None, object] | None], share: float
) -> list[Scored]:
    """Those that say the commonest thing, when at least `share` of all say it, it is paid, and their truths differ.

    Only the truths of those that say it count: a right answer to many alike images is no hack, whatever the others are.
    `key` gives what is said (None: nothing, which is never the commonest) and the truth, or None to leave a row out.
    """
    said: defaultdict[str | None, list[Scored]] = defaultdict(list)
    truths: defaultdict[str | None, set[object]] = defaultdict(set)
    for s in scored:
        if (pair := key(s)) is not None:
            said[pair[0]].append(s)
            truths[pair[0]].add(pair[1])
    enough = share * sum(map(len, said.values()))
    constant = [
        saying
        for what, saying in said.items()
        if what is not None and len(saying) >= enough and len(truths[what]) > 1 and any(map(_paid, saying))
    ]
    return max(constant, key=len, default=[])


def silent_groups(scored: Sequence[Scored]) -> tuple[int, int]:
    """Groups whose completions all earn the same (their advantage is 0: nothing is learnt), and all groups."""
    groups: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for s in scored:
        if s.rollout.group:
            groups[s.rollout.file, s.rollout.group].append(s.total)
    return sum(1 for totals in groups.values() if pstdev(totals) == 0), len(groups)


def table(name: str, scored: Sequence[Scored]) -> str:
    """Text: per reward its mean and spread and every reason with its count and pay; then groups and suspicions."""
    if not scored:
        return f"scheme {name}: no completions"
    lines = [f"scheme {name}: {len(scored)} completions, total {_mean_std([s.total for s in scored])}"]
    for reward in scored[0].payment:
        values = [v for s in scored if (v := s.payment[reward].value) is not None]
        lines.append(f"  {reward:<12} {_mean_std(values)}  over {len(values)}")
        reasons = Counter(s.payment[reward].why for s in scored)
        for why, count in reasons.most_common():
            paid = [v for s in scored if s.payment[reward].why == why and (v := s.payment[reward].value) is not None]
            pay = f"{fmean(paid):.3f}" if paid else "  -  "
            lines.append(f"    {pay}  x {count:>6}  {count / len(scored):6.1%}  {why}")
    silent, groups = silent_groups(scored)
    if groups:
        lines.append(f"  groups without variance: {silent} of {groups} ({silent / groups:.1%})")
    for s in suspicions(scored):
        others = "" if s.others_earn is None else f", the others {s.others_earn:.3f}"
        lines.append(f"  SUSPICIOUS {s.name}: {s.count} ({s.share:.1%}) earn {s.earns:.3f}{others}")
        lines.append(f"    e.g. {s.example[:160]!r}")
    return "\n".join(lines)


def _mean_std(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f} ± {pstdev(values):.3f}" if values else "does not apply"


def _check_out(path: Path, files: Sequence[Path]) -> None:
    """Refuses an `--out` that cannot be written, before minutes of scoring are lost on it."""
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}; create it first")
    if path.resolve() in {file.resolve() for file in files}:
        raise UserError(f"--out {path}: is also to be replayed and would be overwritten; name another file")


def _write(path: Path, everything: dict[str, list[Scored]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for name, scored in everything.items():
            for s in scored:
                pay = {reward: {"value": p.value, "why": p.why} for reward, p in s.payment.items()}
                source = {"file": s.rollout.file, "group": s.rollout.group}
                row = {"scheme": name, **source, "total": s.total, "rewards": pay}
                out.write(
                    json.dumps({**row, "completion": s.rollout.completion, "solution": s.rollout.truth.solution}) + "\n"
                )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.replay", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="rollout dumps (.parquet) or JSON lines")
    parser.add_argument(
        "--rewards", action="append", help="scheme, repeatable: paper, release, answer-only, accuracy+location …"
    )
    parser.add_argument(
        "--location", default="cell", choices=list(LOCATIONS), help="location reward; all but cell go beyond the paper"
    )
    parser.add_argument("--grid", type=int, default=3, choices=range(1, 6), help="n of the data set's n x n grid")
    parser.add_argument("--out", type=Path, help="write every score and reason here as JSON lines")
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an ASCII terminal has no "±"
    try:
        chosen = [scheme(spec, args.location) for spec in args.rewards or ["paper"]]
        if args.out:
            _check_out(args.out, args.files)
        rollouts = [r for path in args.files for r in read_rollouts(path, args.grid)]
    except ExpertADError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    everything = {c.name: score(rollouts, c) for c in chosen}
    print("\n\n".join(table(name, scored) for name, scored in everything.items()))
    if args.out:
        try:
            _write(args.out, everything)
        except OSError as error:
            print(f"error: --out {args.out}: cannot be written ({error.strerror}); name another file", file=sys.stderr)
            return UserError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
