"""What a draft must satisfy before a person sees it: each check has a name, a severity and a reason that quotes the
text.

A finding rejects when the text is broken, privileged or false beyond doubt; the next candidate takes the sample's
place. It asks for a person when the words may be right and someone has to read them. `CHECKS` lists the checks in
the order they run; `CHECKS_VERSION` changes with the source of any rule (and of Φ and the taxonomy, which rules
read), so a finding kept under another version is stale.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from expertad.checks.answer import check_answer, check_contradiction
from expertad.checks.duplicates import near_duplicates
from expertad.checks.finding import Finding, Severity
from expertad.checks.form import (
    check_characters,
    check_empty,
    check_language,
    check_length,
    check_refusal,
    check_repetition,
    check_truncated,
)
from expertad.checks.kind import check_type
from expertad.checks.layers import check_layers
from expertad.checks.leak import check_leak
from expertad.checks.place import check_location
from expertad.checks.reading import Reading, read
from expertad.sample import Case, Draft

__all__ = ["CHECKS", "CHECKS_VERSION", "Check", "Finding", "Severity", "near_duplicates", "run_checks"]


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of the registry.

    Args:
        name: what findings carry.
        severity: the gravest a finding of this check can be.
        about: what the check demands, in a sentence.
        run: yields its findings for a case, a draft and the reading of its think.
    """

    name: str
    severity: Severity
    about: str
    run: Callable[[Case, Draft, Reading], Iterator[Finding]]


def _check(
    name: str, severity: Severity, run: Callable[[Case, Draft, Reading], Iterator[Finding]]
) -> tuple[str, Check]:
    return name, Check(name, severity, (run.__doc__ or "").strip(), run)


CHECKS: Mapping[str, Check] = MappingProxyType(
    dict(
        (
            _check("empty", "reject", check_empty),
            _check("length", "reject", check_length),
            _check("language", "reject", check_language),
            _check("characters", "reject", check_characters),
            _check("repetition", "reject", check_repetition),
            _check("truncated", "reject", check_truncated),
            _check("refusal", "reject", check_refusal),
            _check("leak", "reject", check_leak),
            _check("location", "reject", check_location),
            _check("type", "reject", check_type),
            _check("answer", "reject", check_answer),
            _check("contradiction", "reject", check_contradiction),
            _check("layers", "person", check_layers),
        )
    )
)

# Whatever the reading checks would say of a text that is no English prose is noise.
_UNREADABLE = frozenset({"empty", "language"})
_OF_FORM = ("empty", "length", "language", "characters", "repetition", "truncated", "refusal")


def run_checks(case: Case, draft: Draft) -> tuple[Finding, ...]:
    """All findings on a draft, in the registry's order; none when it may go on.

    A think that is empty or not English gets only the checks of form.

    Raises:
        ValueError: the draft belongs to another sample.
    """
    if draft.sample_id != case.sample.sample_id:
        raise ValueError(f"the draft of {draft.sample_id} was handed in with the case of {case.sample.sample_id}")
    think = read(draft.think)
    findings = [f for name in _OF_FORM for f in CHECKS[name].run(case, draft, think)]
    if any(f.name in _UNREADABLE and f.severity == "reject" and f.reason.startswith("the think") for f in findings):
        return tuple(findings)
    findings += [f for name, check in CHECKS.items() if name not in _OF_FORM for f in check.run(case, draft, think)]
    return tuple(findings)


def _version() -> str:
    """Digest of the source of every module that decides a finding."""
    deciding = ("expertad.checks", "expertad.grid", "expertad.phrases", "expertad.taxonomy")
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.startswith(deciding):
            digest.update(f"{name}\0{inspect.getsource(module)}\0".encode())
    return digest.hexdigest()[:16]


CHECKS_VERSION: str = _version()
