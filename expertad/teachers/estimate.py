"""What a build will cost, told before it is spent.

Images are counted by the vendor's formula from their real sizes. Text is measured on a small sample that is asked for
real: those calls are kept and the build uses them, so the measurement costs nothing extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expertad import order
from expertad.sample import Case
from expertad.teachers.asking import Asker, Described
from expertad.teachers.base import Request, Stage, Usage
from expertad.teachers.money import Price


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage: questions in all, those still to be asked, and the tokens and cost of all of them."""

    questions: int
    left: int
    image_tokens: int
    text_tokens: int
    output_tokens: int
    cost: float

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.image_tokens + self.text_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Estimate:
    """Both stages, in `currency` ("" when no price is known), and the hours the rest takes at the account's limits."""

    stages: Mapping[Stage, StageEstimate]
    currency: str
    hours: float
    bound_by: str
    sampled: int

    @property
    def cost(self) -> float:
        """Of both stages together."""
        return sum(stage.cost for stage in self.stages.values())

    @property
    def tokens(self) -> int:
        """Of both stages together, input and output."""
        return sum(stage.tokens for stage in self.stages.values())

    def lines(self) -> list[str]:
        """The estimate for people."""
        found = [
            f"{name:9} {stage.questions:7,} questions ({stage.left:,} still to ask)  {stage.image_tokens:12,} image + "
            f"{stage.text_tokens:11,} text + {stage.output_tokens:11,} output tokens  {self._money(stage.cost)}"
            for name, stage in self.stages.items()
        ]
        measured = f"text measured on {self.sampled} samples" if self.sampled else "text only guessed"
        found.append(f"in all    {self.tokens:,} tokens, {self._money(self.cost)}; {measured}")
        found.append(f"time      {self.hours:.1f} hours for what is left, bound by {self.bound_by}")
        return found

    def _money(self, cost: float) -> str:
        return f"{cost:,.2f} {self.currency}" if self.currency else "price unknown"


async def estimate(
    cases: Sequence[Case],
    asker: Asker,
    *,
    price: Price | None,
    rpm: float | None,
    tpm: float | None,
    sample: int = 12,
) -> Estimate:
    """Estimate both stages for all cases.

    Args:
        cases: the samples a build would ask about.
        asker: the teacher; its calls so far count at what they really used.
        price: of its model.
        rpm: requests a minute of the account.
        tpm: tokens a minute of the account.
        sample: how many cases to ask for real; 0 asks nobody and guesses text from its length.

    Raises:
        AbortError: the sample could not be asked.
    """
    described: dict[str, str] = {}
    latencies: list[float] = []
    chosen = spread(cases, sample)
    for case in chosen:
        found = await asker.describe(case)
        if not isinstance(found, Described):
            continue
        _learn(asker, asker.describe_request(case), latencies)
        described[case.sample.sample_id] = found.description
        await asker.distill(case, found)
        _learn(asker, asker.distill_request(case, found.description), latencies)
    typical = _typical(list(described.values()))
    totals: dict[Stage, _Total] = {"describe": _Total(), "distill": _Total()}
    for case in cases:
        totals["describe"].add(asker, asker.describe_request(case))
        description = described.get(case.sample.sample_id) or asker.described(case) or typical
        totals["distill"].add(asker, asker.distill_request(case, description))
    stages = {name: total.summary(price) for name, total in totals.items()}
    left = sum(total.left for total in totals.values())
    tokens_left = sum(total.left_usage.total for total in totals.values())
    hours, bound_by = _hours(left, tokens_left, rpm, tpm, latencies, asker.limits.at_once)
    return Estimate(stages, price.currency if price else "", hours, bound_by, len(described))


def spread(cases: Sequence[Case], count: int) -> list[Case]:
    """Cases in content order, label and shot in turn, so that each prompt is measured."""
    groups: dict[tuple[bool, int], list[Case]] = {}
    for case in sorted(cases, key=lambda case: order.order_key(0, "estimate", case.sample.sample_id)):
        groups.setdefault((case.sample.anomalous, case.shot), []).append(case)
    chosen: list[Case] = []
    queues = [groups[name] for name in sorted(groups)]
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return chosen


def _learn(asker: Asker, request: Request, latencies: list[float]) -> None:
    call = asker.calls.settled(asker.key(request))
    if call is not None and call.input_tokens:
        asker.meter.learn(request, Usage(call.input_tokens, call.output_tokens, call.image_tokens))
        latencies.append(call.latency_s)


def _typical(descriptions: Sequence[str]) -> str:
    """A text of the usual length, to stand in for descriptions that are not written yet."""
    length = sum(map(len, descriptions)) // len(descriptions) if descriptions else 700
    return "x" * length


class _Total:
    """Sums over one stage's questions."""

    def __init__(self) -> None:
        self.questions = self.left = 0
        self.image = self.text = self.output = 0
        self.left_usage = Usage()

    def add(self, asker: Asker, request: Request) -> None:
        self.questions += 1
        call = asker.calls.settled(asker.key(request))
        usage = asker.meter.estimate(request)
        if call is not None and call.input_tokens:
            usage = Usage(call.input_tokens, call.output_tokens, call.image_tokens)
        elif call is None:
            self.left += 1
            so_far = self.left_usage
            self.left_usage = Usage(
                so_far.input_tokens + usage.input_tokens, so_far.output_tokens + usage.output_tokens
            )
        images = usage.image_tokens or asker.meter.image_tokens(request)
        self.image += images
        self.text += max(0, usage.input_tokens - images)
        self.output += usage.output_tokens

    def summary(self, price: Price | None) -> StageEstimate:
        cost = price.cost(Usage(self.image + self.text, self.output)) if price else 0.0
        return StageEstimate(self.questions, self.left, self.image, self.text, self.output, cost)


def _hours(
    requests: int, tokens: int, rpm: float | None, tpm: float | None, latencies: Sequence[float], at_once: int
) -> tuple[float, str]:
    """The longest of what each limit demands, in hours, and that limit's name."""
    mean = sum(latencies) / len(latencies) if latencies else 0.0
    minutes = {
        "requests a minute": requests / rpm if rpm else 0.0,
        "tokens a minute": tokens / tpm if tpm else 0.0,
        "the server's latency": requests * mean / at_once / 60,
    }
    name = max(minutes, key=lambda name: minutes[name])
    return minutes[name] / 60, name
