"""Two sets of prompts on the same samples, side by side: how to better a prompt without guessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from expertad.sample import Case, Draft
from expertad.teachers.asking import Asker, Described, Distilled, each


class Found(Protocol):
    """What a check found: `checks.Finding` has both."""

    @property
    def name(self) -> str:
        """The check's name."""
        ...

    @property
    def severity(self) -> str:
        """Either "reject" or "person"."""
        ...


Check = Callable[[Case, Draft], Iterable[Found]]


@dataclass(slots=True)
class Side:
    """One set of prompts: what it wrote and what the checks say.

    `rejected` and `for_person` count drafts, `findings` counts findings by check; cost and tokens are those of this
    comparison and leave out what the call log held before.
    """

    prompts: tuple[str, ...] = ()
    written: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    clean: int = 0
    rejected: int = 0
    for_person: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    words: int = 0
    tokens: int = 0
    cost: float = 0.0
    currency: str = ""
    drafts: dict[str, Draft] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides over the same samples."""

    samples: int
    first: Side
    second: Side

    def lines(self) -> list[str]:
        """A table for people, one line a measure."""
        one, two = self.first, self.second
        rows: list[tuple[str, str, str]] = [
            ("drafts written", str(one.written), str(two.written)),
            ("pass every check", _share(one.clean, self.samples), _share(two.clean, self.samples)),
            ("rejected by a check", str(one.rejected), str(two.rejected)),
            ("need a person", str(one.for_person), str(two.for_person)),
        ]
        names = sorted(set(one.findings) | set(two.findings))
        rows += [(f"  {name}", str(one.findings[name]), str(two.findings[name])) for name in names]
        codes = sorted(set(one.quarantined) | set(two.quarantined))
        rows += [(f"quarantined: {code}", str(one.quarantined[code]), str(two.quarantined[code])) for code in codes]
        rows += [
            ("words a reasoning", _mean(one.words, one.written), _mean(two.words, two.written)),
            ("tokens", f"{one.tokens:,}", f"{two.tokens:,}"),
            ("cost", f"{one.cost:.4f} {one.currency}", f"{two.cost:.4f} {two.currency}"),
        ]
        heads = ("", ", ".join(one.prompts), ", ".join(two.prompts))
        return [f"{name:32} {left:>28} {right:>28}".rstrip() for name, left, right in [heads, *rows]]


async def compare_prompts(cases: Sequence[Case], first: Asker, second: Asker, check: Check) -> Comparison:
    """Ask both steps of every case with both askers, which differ in their prompts, and check all drafts.

    Raises:
        AbortError: a teacher cannot be asked.
    """
    return Comparison(len(cases), await _side(cases, first, check), await _side(cases, second, check))


async def _side(cases: Sequence[Case], asker: Asker, check: Check) -> Side:
    side = Side(currency=asker.counts.currency)
    side.prompts = tuple(sorted({prompt.version for prompt in asker.prompts.by_name.values()}))
    before, spent = asker.counts.input_tokens + asker.counts.output_tokens, asker.counts.cost

    async def write(case: Case) -> Draft | str:
        described = await asker.describe(case)
        if not isinstance(described, Described):
            return described.code
        written = await asker.distill(case, described)
        if not isinstance(written, Distilled):
            return written.code
        return Draft(case.sample.sample_id, described.description, written.think, written.fine_type)

    async for case, result in each(cases, write, at_once=asker.limits.at_once):
        if isinstance(result, str):
            side.quarantined[result] += 1
        else:
            _count(side, case, result, check)
    side.tokens = asker.counts.input_tokens + asker.counts.output_tokens - before
    side.cost = asker.counts.cost - spent
    return side


def _count(side: Side, case: Case, draft: Draft, check: Check) -> None:
    side.written += 1
    side.words += len(draft.think.split())
    side.drafts[draft.sample_id] = draft
    found = list(check(case, draft))
    side.findings.update(finding.name for finding in found)
    severities = {finding.severity for finding in found}
    side.rejected += "reject" in severities
    side.for_person += "reject" not in severities and "person" in severities
    side.clean += not found


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else str(part)


def _mean(total: int, count: int) -> str:
    return f"{total / count:.0f}" if count else "-"
