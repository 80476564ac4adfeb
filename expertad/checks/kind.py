"""Does the fine-grained type belong to the coarse type, and does the reasoning arrive at the same kind?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertad import taxonomy
from expertad.checks.finding import Finding, quote
from expertad.checks.form import TYPE_WORDS, words
from expertad.checks.reading import Clause, Reading, coarse_of
from expertad.sample import Case, Draft

_CODES = frozenset(taxonomy.CODE_TO_COARSE) | {"OK", "NG"}
# Wider than any coarse type, so never a fine-grained one.
_TOO_WIDE = (
    frozenset(taxonomy.GROUP_NAMES)
    | frozenset(
        "defect anomaly abnormality abnormal flaw fault issue problem unknown other others none normal no yes na n/a "
        "null "
        "undefined unspecified imperfection".split()
    )
    | {
        "no defect",
        "not applicable",
        "surface defect",
        "structural defect",
        "visible defect",
        "defective",
        "n a",
        "other defect",
    }
)
# Listed terms that inspection English also uses for any defect; alone they do not name another kind.
_LOOSE = frozenset("damage irregularity wear gap opening deterioration notch void cavity bending breakage".split()) | {
    "surface damage",
    "material damage",
    "structural damage",
    "shape deviation",
    "surface discontinuity",
    "surface notch",
}

_TERMS: tuple[tuple[str, str], ...] = tuple(
    sorted(
        (
            (taxonomy.normalize(term), coarse)
            for coarse, terms in taxonomy.FINE_TERMS.items()
            for term in (coarse, *terms)
        ),
        key=lambda pair: -len(pair[0]),
    )
)
# A plural counts as its singular.
_TERM = re.compile(r"\b(?:" + "|".join(re.escape(term) for term, _ in _TERMS) + r")(?:e?s)?\b")
_COARSE_OF = dict(_TERMS)


def _named(text: str) -> list[tuple[str, str]]:
    """The listed terms in a normalized text with their coarse types; of overlapping ones the longest."""
    found = []
    for match in _TERM.finditer(text):
        word = match.group()
        key = next(k for k in (word, word.removesuffix("s"), word.removesuffix("es")) if k in _COARSE_OF)
        found.append((key, _COARSE_OF[key]))
    return found


def check_type(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The fine-grained type is filed under the sample's coarse type, and the think concludes no other kind.

    Rejects codes, terms listed under another coarse type, and terms wider than any. Asks a person about a new term,
    which may be justified, about two terms at once, and where a word loosely used for any defect ("damage") is
    concluded.
    """
    fine, coarse = draft.fine_type, case.sample.coarse_type
    if not case.sample.anomalous or coarse is None:
        if fine is not None and words(fine):
            yield Finding("type", "reject", f"a normal sample's draft has the type {quote(fine)}")
        return
    if fine is not None and words(fine):
        yield from _check_field(fine, coarse)
    yield from _check_conclusion(think, coarse, fine)


def _check_field(fine: str, coarse: str) -> Iterator[Finding]:
    key = taxonomy.normalize(fine)
    if any(token in _CODES for token in re.findall(r"[A-Za-z]+", fine)) or key.upper() in _CODES:
        yield Finding("type", "reject", f"{quote(fine)} is a raw class code, not a term")
        return
    if taxonomy.coarse_type(fine) == coarse:
        return
    if key in _TOO_WIDE:
        yield Finding(
            "type", "reject", f"{quote(fine)} is wider than the coarse type {coarse}, so it says less than is known"
        )
        return
    if len(words(fine)) > TYPE_WORDS:
        yield Finding("type", "reject", f"{quote(fine)} is a sentence, not a term (at most {TYPE_WORDS} words)")
        return
    named = _named(key)
    own = [term for term, filed in named if filed == coarse]
    foreign = [(term, filed) for term, filed in named if filed != coarse]
    if foreign and not own:
        term, filed = foreign[0]
        yield Finding(
            "type",
            "reject",
            f"{quote(fine)} names {term!r}, a term of {filed}, while the sample's coarse type is {coarse}",
        )
    elif foreign:
        term, filed = foreign[0]
        yield Finding(
            "type", "person", f"{quote(fine)} joins {own[0]!r} ({coarse}) with {term!r} ({filed}): which is it?"
        )
    elif not own:
        yield Finding("type", "person", f"{quote(fine)} is no listed term of {coarse}: a justified new one?")
    elif re.search(r"/|,|;|\band\b|\bor\b", fine):
        yield Finding("type", "person", f"{quote(fine)} gives more than one term")


_NAMES_KIND = re.compile(
    r"\b(?:classif\w+|categori[sz]\w+|identif\w+|characteri[sz]\w+|diagnos\w+|recogni[sz]\w+|regarded|"
    r"considered|constitutes?|qualif\w+|best described|amounts? to|type is|(?:is|as) an? (?:clear |typical |"
    r"definite |genuine |visible |real )?(?:case|instance|example|form|kind|type) of|"
    r"(?:this|it|which) is (?:therefore |thus |clearly |evidently |indeed )?(?:an? |the )?)\b"
)
_KIND_OF_DEFECT = re.compile(r"\b(?:type|kind|defect|anomaly|fault|flaw)\b")


def _check_conclusion(think: Reading, coarse: str, fine: str | None) -> Iterator[Finding]:
    """The last clause that names a kind decides; own words anywhere in its sentence keep the text on its type."""
    for clause in reversed(think.clauses):
        named = _concluded(clause)
        if not named:
            continue
        sentence = think.sentences[clause.sentence]
        if _speaks_of(sentence.text, coarse, fine):
            return
        term, filed = named[-1]
        sure = term not in _LOOSE
        yield Finding(
            "type",
            "reject" if sure else "person",
            f"concludes {term!r} ({filed}) in {quote(clause.text)}, while the sample's coarse type is {coarse}",
        )
        return


def _concluded(clause: Clause) -> list[tuple[str, str]]:
    """Listed terms that the clause concludes."""
    cue = _NAMES_KIND.search(clause.text)
    if not cue:
        return []
    return [
        (term.text, filed)
        for term in clause.terms
        if term.stance in ("asserted", "hedged")
        and term.start - clause.start >= cue.start()
        and (filed := coarse_of(term.text)) is not None
    ]


def _speaks_of(sentence: str, coarse: str, fine: str | None) -> bool:
    """True when the sentence names the own coarse type, a term of it, a common word for it, or the fine type."""
    if fine and taxonomy.normalize(fine) in sentence:
        return True
    if any(filed == coarse for _, filed in _named(sentence)):
        return True
    return any(coarse_of(word) == coarse for word in re.findall(r"[a-z]+(?: marks?)?|foreign \w+", sentence))
