"""Looking into a workspace without building: accounting, one sample's story, and what is to be asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click
import orjson

from expertad.config import Settings
from expertad.errors import UserError
from expertad.ledger import Accounting, Ledger, shared_reason
from expertad.story import tell
from expertad.workspace import hold, open_ledger

MOST_REASONS = 5


def print_status(settings: Settings, as_json: bool) -> int:
    """The accounting, with the commonest reasons of each state, what waits, and what was spent."""
    with open_ledger(settings, create=False) as ledger:
        accounting = ledger.accounting()
        accounting.check()
        reasons = _reasons(ledger)
        spent = ledger.spent()
        problems = {name: why for name, (_, why, _) in ledger.categories().items() if why}
    if as_json:
        money = [dict(zip(("model", "stage", "currency"), key, strict=True)) | total for key, total in spent.items()]
        payload = _status(accounting, reasons=reasons, spent=money, categories_not_read=problems)
        click.echo(orjson.dumps(payload).decode())
        return 0
    for state, count in asdict(accounting).items():
        click.echo(f"{state:>12}  {count}")
        for reason, number in list(reasons.get(state, {}).items())[:MOST_REASONS]:
            click.echo(f"{'':>14}{number:>7}  {reason}")
    for (model, stage, currency), total in spent.items():
        cost = f", {total['cost']:.4f} {currency}" if currency else ""
        click.echo(
            f"{stage} by {model}: {total['calls']:.0f} calls, {total['input_tokens']:.0f} tokens in, "
            f"{total['output_tokens']:.0f} out{cost}"
        )
    for name, why in problems.items():
        click.echo(f"category {name} could not be read: {why}")
    return 0


def _status(accounting: Accounting, **told: Any) -> dict[str, Any]:
    return asdict(accounting) | {"reasons": {}, "spent": [], "categories_not_read": {}, "error": None} | told


def no_status(error: str) -> str:
    """The JSON object of `expertad status` where there is nothing to tell about."""
    return orjson.dumps(_status(Accounting(*[0] * 8), error=error)).decode()


def _reasons(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Per state, how many samples give which reason, commonest first; long reasons are told by their beginning."""
    counts: dict[str, Counter[str]] = {}
    for standing in ledger.standings().values():
        counts.setdefault(standing.state, Counter())[shared_reason(standing.reason)] += 1
    return {state: dict(found.most_common()) for state, found in sorted(counts.items())}


def print_sample(settings: Settings, sample_id: str, as_json: bool) -> int:
    """All that is known about one sample: where it stands, every call about it, every verdict and what it was about."""
    with open_ledger(settings, create=False) as ledger:
        standing = ledger.standings().get(sample_id)
        if standing is None:
            raise UserError(f"there is no sample {sample_id!r} in {settings.workspace}; ids are in report.html")
        calls = list(ledger.calls(sample_id))
        verdicts = ledger.verdicts().get(sample_id, [])
        shown = ledger.shown({verdict.revision for verdict in verdicts})
    if as_json:
        told = [asdict(verdict) | {"shown": shown.get(verdict.revision)} for verdict in verdicts]
        payload = {"sample_id": sample_id, **asdict(standing), "calls": list(map(asdict, calls)), "verdicts": told}
        click.echo(orjson.dumps(payload).decode())
        return 0
    for line in tell(sample_id, standing, calls, verdicts, shown):
        click.echo(line)
    return 0


def release(settings: Settings, sample_ids: Sequence[str]) -> Iterator[str]:
    """Let quarantined samples be asked again; yields what was done.

    Raises:
        UserError: one that is named is not quarantined.
    """
    with open_ledger(settings, create=False) as ledger, hold(settings.workspace):
        held = {sample for sample, _ in ledger.quarantined().values()}
        if missing := sorted(set(sample_ids) - held):
            raise UserError(
                f"not quarantined: {', '.join(missing)}; nothing was changed, and `expertad status` tells more"
            )
        released = ledger.release(sample_ids or None)
    yield f"{len(released)} samples will be asked again by the next `expertad build`"
