"""Is the text a finished English text of sensible length at all? Says nothing about what it claims."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from expertad.checks.finding import Finding, quote
from expertad.checks.reading import Reading, plain
from expertad.sample import Case, Draft

# Words. The shortest reasoning that can hold three layers takes about two dozen; the authors' figures run from 60 to
# 130 words, and completions are cut at 512 tokens when training, which about 350 words fill.
THINK_WORDS = (15, 350)
DESCRIPTION_WORDS = (5, 600)
TYPE_WORDS = 6

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*")


def words(text: str) -> list[str]:
    """The words and numbers of a text, in order, as written."""
    return _WORD.findall(text)


def _fields(draft: Draft) -> Iterator[tuple[str, str]]:
    yield "think", draft.think
    yield "description", draft.description
    if draft.fine_type is not None:
        yield "type", draft.fine_type


def check_empty(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """A field that must be there holds no word: nothing to learn from."""
    for field, text in _fields(draft):
        if not words(text):
            yield Finding("empty", "reject", f"the {field} holds no word: {quote(text)}")
    if case.sample.anomalous and draft.fine_type is None:
        yield Finding("empty", "reject", "an anomalous sample's draft has no fine-grained type")


def check_length(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """Too few words to reason in, or more than a completion can hold."""
    for field, text, (least, most) in (
        ("think", draft.think, THINK_WORDS),
        ("description", draft.description, DESCRIPTION_WORDS),
    ):
        count = len(words(text))
        if 0 < count < least:
            yield Finding("length", "reject", f"the {field} has {count} words, fewer than {least}: {quote(text)}")
        elif count > most:
            yield Finding("length", "reject", f"the {field} has {count} words, more than {most}: {quote(text)}")


# Letters of other scripts. Greek stays out: Ω, μ and Φ are units and symbols on products.
_CJK = re.compile(
    r"[\u2e80-\u30ff\u3100-\u33ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff01-\uff60\U00020000-\U"
    r"0003134f]+"
)
_OTHER_SCRIPT = re.compile(r"[\u0400-\u058f\u0590-\u08ff\u0900-\u0dff\u0e00-\u10ff\u1100-\u11ff\u1200-\u139f]+")
# A product may carry a few foreign characters that the text quotes; a text that speaks the language has more.
_FEW_FOREIGN_LETTERS = 4

_ENGLISH = frozenset(
    "the of and a to in is that it for as with on at by "
    "this from are be not no or an its there which any all shows show "
    "appears has have was i so such than these between while "
    "where both into against along without however therefore".split()
)
# Function words that English does not share.
_FOREIGN = frozenset(
    "der das und ist ein eine nicht mit auf den dem des "
    "von zu für sich keine wird sind oder im bei auch es el la los las que y "
    "en un una del con por para se su como sin está le "
    "les et est une du dans sur avec pour ne pas aucun ce cette qui il sono "
    "di che è della con nel una non per il lo gli os uma "
    "não com na há het een van niet zijn voor op met och att som inte på "
    "ve bir bu ile için yang dan di pada tidak dengan".split()
)
_MIN_WORDS_FOR_LANGUAGE = 8
_ENGLISH_SHARE = 0.12


def check_language(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """Expert-AD is English; teachers slip into Chinese, whole or by the word.

    Rejects another language or more than a few foreign characters; asks a person about fewer, which may quote the
    product.
    """
    for field, text in _fields(draft):
        for name, pattern in (("Chinese, Japanese or Korean", _CJK), ("non-Latin", _OTHER_SCRIPT)):
            runs = pattern.findall(text)
            if runs:
                count = sum(map(len, runs))
                few = count < _FEW_FOREIGN_LETTERS and field != "type"
                where = "may quote the product" if few else "is not English"
                yield Finding(
                    "language",
                    "person" if few else "reject",
                    f"the {field} has {count} {name} characters, {where}: {quote(runs[0])}",
                )
        tokens = [w.lower() for w in words(text)]
        if len(tokens) < _MIN_WORDS_FOR_LANGUAGE:
            continue
        counts = Counter(tokens)
        english = sum(counts[w] for w in _ENGLISH)
        foreign = sum(counts[w] for w in _FOREIGN)
        if foreign > english or english < _ENGLISH_SHARE * len(tokens):
            yield Finding(
                "language",
                "reject",
                f"the {field} does not read as English: {english} of {len(tokens)} words are common English words, "
                f"{foreign} are another language's: {quote(text)}",
            )


_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff]"
)
_TAG = re.compile(
    r"</?\s*[a-zA-Z][\w:-]*(?:\s[^<>]*)?/?>|</?\s*(?:think|location|type|answer)\b|&(?:lt|gt|amp|nbsp|quot);|"
    r"<\|[^|>]*\|>"
)
_MARKDOWN = re.compile(
    r"```|~~~|\*\*\S|^\s{0,3}#{1,6}\s|^\s*[-*•]\s+\S|^\s*\d+[.)]\s+\S|\$\$|\\(?:frac|text|begin|boxed)\b|"
    r"\[[^\]]+\]\(\w+:",
    re.MULTILINE,
)
_JSON = re.compile(r"[{}]|\"(?:think|answer|fine_type|location|description|defect)\"\s*:|\\[nrtu\"]")


def check_characters(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """Characters that break files or patterns (control, surrogate, tags), and markup that is not prose."""
    for field, text in _fields(draft):
        bad = _CONTROL.search(text)
        if bad:
            char = bad.group()
            name = unicodedata.name(char, "control character or lone surrogate")
            yield Finding(
                "characters",
                "reject",
                f"the {field} holds U+{ord(char):04X} ({name.lower()}) at character {bad.start()}",
            )
        tag = _TAG.search(text)
        if tag:
            yield Finding(
                "characters", "reject", f"the {field} holds markup, which the patterns reserve: {quote(tag.group())}"
            )
        if field == "description":
            continue  # a working text: lists and bold type do no harm there
        for pattern, what in ((_MARKDOWN, "markdown"), (_JSON, "JSON")):
            match = pattern.search(text)
            if match:
                around = text[match.start() : match.end() + 20]
                yield Finding("characters", "reject", f"the {field} holds {what}, not prose: {quote(around)}")
        if field == "type" and ("\n" in text or "|" in text):
            yield Finding("characters", "reject", f"the type spans lines or alternatives: {quote(text)}")


_TOKEN = re.compile(r"\w+(?:'\w+)?")
_LOOP_WORDS = 6
_NGRAM = 6


def check_repetition(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """A loop: the same words over and over, as decoders produce when they come off the rails."""
    for field, text in (("think", draft.think), ("description", draft.description)):
        found = _loop(text)
        if found:
            yield Finding("repetition", "reject", f"the {field} repeats itself: {found}")


def _loop(text: str) -> str | None:
    """What repeats and how often, or None."""
    tokens = _TOKEN.findall(text.lower())
    last: dict[tuple[str, ...], int] = {}
    sizes = set()
    for i, triple in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        sizes.add(i - last.get(triple, i))
        last[triple] = i
    if sizes <= {0}:
        return None  # whatever follows looks for would repeat three words
    for size in sorted(sizes - {0}):
        run = 0
        for i in range(size, len(tokens)):
            run = run + 1 if tokens[i] == tokens[i - size] else 0
            # Three times a phrase, or four times one word ("No No No No"), in direct succession.
            if run >= max(2 * size, 3) and (run + size >= _LOOP_WORDS or size == 1):
                return f"{quote(' '.join(tokens[i - size + 1 : i + 1]))} at least {(run + size) // size} times in a row"
    grams = Counter(zip(*(tokens[i:] for i in range(_NGRAM)), strict=False))
    if grams:
        gram, count = grams.most_common(1)[0]
        if count >= 3:
            return f"{quote(' '.join(gram))} {count} times"
    sentences = Counter(" ".join(_TOKEN.findall(s)) for s in re.split(r"[.!?]+\s", text.lower()))
    for sentence, count in sentences.items():
        if count > 1 and sentence.count(" ") >= 5:
            return f"the sentence {quote(sentence)} {count} times"
    return None


# Literal strings of which one must be in the text before the long pattern is tried; only for speed.
_REFUSAL_TRIGGERS = (
    " ai",
    "language model",
    "i'm ",
    "i am ",
    "sorry",
    "apolog",
    "i can",
    "i could",
    "i do",
    "no image",
    "please",
    "kindly",
    "let me",
    "i hope",
    "free to",
    "happy to",
    "my training",
    "cutoff",
    "my programming",
    "written",
    "revised",
    "distilled",
    "concise",
    "structured",
    "this re",
    "this output",
    "json",
    "policy",
    "output format",
)
_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large language model|language model|text-based|vision model|"
    r"visual assistant)\b|\bi(?:'m| am) (?:sorry|unable to|not able to|afraid|an ai|just an? ai)\b|\bsorry,|"
    r"\bi apologi[sz]e\b|\bi (?:cannot|can't|can not|could not|couldn't|do not|don't) (?:actually |directly |"
    r"physically |really )?(?:have (?:the ability|access)|view|access|process|open|analy[sz]e|assist|help|provide|"
    r"comply|fulfill|answer|display|load|perceive)\b|\bi (?:cannot|can't|can not|don't|do not) (?:actually |"
    r"directly )?see (?:the |any |an |your )?(?:attached |uploaded )?(?:image|photo|picture|file|attachment)s?\b|"
    r"\bno image (?:was|has been|is) (?:provided|attached|uploaded|supplied|given)\b|\b(?:please|kindly) (?:provide|"
    r"upload|share|attach|send|supply|let me know)\b|\blet me know if\b|\bi hope this helps\b|\bfeel free to\b|"
    r"\bhappy to help\b|\bmy (?:training|knowledge cutoff|programming)\b|\b(?:rewritten|revised|distilled|concise|"
    r"structured) (?:think|reasoning|version|chain)\b|\bthis (?:response|reply|output|json)\b|\bcontent policy\b|"
    r"\boutput format\b|\bin json\b"
)
_PREAMBLE = re.compile(
    r"\s*(?:(?:sure|certainly|of course|absolutely|great|okay|ok)[,!.:]|here(?:'s| is| are) (?:the|a|an|my|your)\b)"
)


def _refuses(low: str) -> re.Match[str] | None:
    if any(trigger in low for trigger in _REFUSAL_TRIGGERS):
        found = _REFUSAL.search(low)
        if found:
            return found
    return _PREAMBLE.match(low)


def check_refusal(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The teacher declines, apologizes or speaks about its own reply instead of about the product."""
    match = _refuses(think.low)
    if match:
        yield Finding(
            "refusal", "reject", f"the think speaks about its writer or its reply: {_around(draft.think, match)}"
        )
    match = _refuses(plain(draft.description))
    if match:
        yield Finding(
            "refusal", "reject", f"the description declines or speaks about its reply: {quote(match.group())}"
        )


def _around(text: str, match: re.Match[str]) -> str:
    return quote(text[max(0, match.start() - 10) : match.end() + 30])


_DANGLING = frozenset(
    "a an the and or but nor of to in on at by for from "
    "with without as is are was were be been that which who where when while "
    "because although this these those its their such into "
    "onto than then if so not no very more most has have had can could may "
    "might would should will shall each every any between among along near under over across".split()
)


def check_truncated(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The text stops before its last sentence ends: rejects a broken sentence, asks about a missing full stop."""
    text = draft.think.rstrip()
    core = text.rstrip("\"'”’)]")
    if not core or core.endswith((".", "!", "?")) and not core.endswith(("..", "…")):
        return
    last = words(core)[-1].lower() if words(core) else ""
    tail = quote(text[-60:])
    if (
        core.endswith((",", ";", ":", "-", "–", "—", "(", "/", "…", ".."))
        or last in _DANGLING
        or core.count("(") > core.count(")")
    ):
        yield Finding("truncated", "reject", f"the think breaks off: {tail}")
    else:
        yield Finding("truncated", "person", f"the think ends without a full stop and may be cut: {tail}")
