"""Reads inspection English: sentences, clauses, and whether each word for a defect is asserted, denied or only weighed.

A clause here ends where the polarity can change: at a contrast ("but", "unlike"), at a new subject ("and the left edge
…"), at a participle that draws a conclusion (", indicating …"), but not inside a list ("no scratches, dents or
stains"). A negation holds from its word to the end of its clause. This is a reader for the prose that
vision-language models write about photographs of products, not a parser of English; its tables grew from such prose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Stance = Literal["asserted", "hedged", "denied", "weighed", "mentioned"]

_PLAIN = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u2010": "-", "\u2011": "-"}
)

# Every word for a defect: pattern, the coarse type it points to (None: any), and whether it is a defect in any product.
# The words that are not (a hole, a line, a gap may be the design) count only with an adjective that makes them stand
# out.
_LEXICON: tuple[tuple[str, str | None, bool], ...] = (
    (r"scratch(?:es|ed|ing)?|score marks?|scrap(?:e[sd]?|ing)", "Scratch", True),
    (r"linear (?:anomal(?:y|ies)|marks?|traces?|grooves?)|scor(?:ed|ing)", "Scratch", False),
    (
        r"abra(?:sions?|ded|ding)|scuff(?:s|ed|ing)?|erosion|eroded|chaf(?:ed|ing)|fray(?:ed|ing)?|"
        r"(?:worn|rubbed) (?:through|down|away|off|flat|out|bare)",
        "Abrasion",
        True,
    ),
    (r"wear(?: marks?)?|worn|rubbed|rub marks?|grind(?:ing)? marks?", "Abrasion", False),
    (
        r"contaminat(?:ions?|ed|ing)|contaminants?|stain(?:s|ed|ing)?|smudg(?:e|es|ed|ing)|smear(?:s|ed|ing)?",
        "Contamination",
        True,
    ),
    (
        r"residues?|dirt|dirty|grime|impurit(?:y|ies)|discolou?r(?:s|ed|ation|ations|ing)?|soil(?:ed|ing)",
        "Contamination",
        True,
    ),
    (r"blotch(?:es)?|blobs?", "Contamination", False),
    (
        r"foreign (?:objects?|bod(?:y|ies)|matter|materials?|particles?|elements?|fib(?:er|re)s?|substances?|"
        r"items?)",
        "Presence of foreign objects",
        True,
    ),
    (r"debris|extraneous (?:materials?|objects?|matter)|unwanted objects?", "Presence of foreign objects", True),
    (r"fib(?:er|re)s?|lint|hairs?|particles?|fragments?|flakes?", "Presence of foreign objects", False),
    (r"missing|absent|absence|lack(?:s|ed|ing)?", "Missing parts", True),
    (r"notch(?:es)?|gaps?|chips?|discontinuit(?:y|ies)|vacan(?:t|cy)", "Missing parts", False),
    (r"chipp(?:ed|ing)|incomplete", "Missing parts", True),
    (
        r"deform(?:s|ed|ation|ations|ity|ities|ing)?|distort(?:s|ed|ion|ions|ing)?|warp(?:s|ed|age|ing)?|bent|"
        r"misshapen",
        "Deformation",
        True,
    ),
    (
        r"twist(?:ed|ing)|buckl(?:ed|ing)|crooked|dent(?:s|ed|ing)?|bulg(?:es?|ed|ing)|kink(?:s|ed)?|tilted",
        "Deformation",
        True,
    ),
    (r"bend(?:s|ing)?|misalign(?:ed|ment|ments)|crumpled|crushed|flattened|skewed", "Deformation", False),
    (r"punctur(?:es?|ed)|perforations?|through-holes?|pierced|pitt(?:ed|ing)|pinholes?|craters?", "Hole", True),
    (r"holes?|pits?|cavit(?:y|ies)|voids?|apertures?|openings?|depressions?|recess(?:es)?", "Hole", False),
    (r"indent(?:s|ed|ations?)?", "Hole", True),
    (
        r"crack(?:s|ed|ing)?|fractur(?:es?|ed|ing)|ruptur(?:es?|ed)|break(?:age|ages)?|broken|torn|shatter(?:ed)?",
        "Damage",
        True,
    ),
    (
        r"damag(?:es?|ed|ing)|deteriorat(?:es?|ed|ion|ing)|gouge[sd]?|nick(?:s|ed)|breach(?:es|ed)?|"
        r"burn(?:s|t) marks?",
        "Damage",
        True,
    ),
    (r"tears?|splits?|peel(?:ed|ing|s)?|delaminat(?:ed|ion|ing)|burn(?:ed|t|s)?", "Damage", False),
    (r"corro(?:sion|ded|ding)|rust(?:ed|y|ing)?|oxidation|oxidi[sz]ed", None, True),
    (r"defects?|defective|anomal(?:y|ies|ous)|abnormal(?:ity|ities|ly)?|flaw(?:s|ed)?|faults?|faulty", None, True),
    (r"imperfections?|blemish(?:es|ed)?|irregularit(?:y|ies)|irregular|deviat(?:es?|ed|ing|ions?)", None, True),
    (
        r"non-?conform(?:ing|ity|ities|ance|ances)|disrupt(?:s|ed|ion|ions|ing)?|interrupt(?:s|ed|ion|ions|ing)?",
        None,
        True,
    ),
    (
        r"uneven(?:ness|ly)?|inconsisten(?:t|cy|cies|tly)|unexpected(?:ly)?|unusual(?:ly)?|discrepanc(?:y|ies)",
        None,
        True,
    ),
    (r"marks?|spots?|specks?|streaks?|lines?|patch(?:es)?|traces?|dots?|grooves?|bumps?", None, False),
)
# "defect-free" denies, "defect detection" names a task, "stain-resistant" a property.
_NOT_THE_THING = (
    r"(?![- ](?:free|proof|resistan\w+|less|detection|inspection|analysis|criteri\w+|recognition|control)\b)"
)
_TERM = re.compile(r"(?<![\w-])(?:" + "|".join(p for p, _, _ in _LEXICON) + r")(?![\w])" + _NOT_THE_THING)
_ENTRIES = tuple((re.compile(p), coarse, strong) for p, coarse, strong in _LEXICON)

# What the design of a product has, or what makes a surface word generic.
_DESIGNED = re.compile(
    r"(?:mounting|screw|through|threaded|drill(?:ed)?|bolt|pin|vent(?:ilation)?|bore|round|designed|"
    r"punched|locating|alignment|fixing|solder|contact|slot|key|air|access|printed|parting|seam|mold|mould|"
    r"straight|regular|uniform|intended|clean|adjacent|surrounding|remaining|other|contact|clearance|"
    r"functional|production|date|registration|brand)s?[ -]$"
)
_STANDS_OUT = re.compile(
    r"\b(?:dark(?:er)?|bright(?:er)?|white|whitish|black|brown(?:ish)?|red(?:dish)?|yellow(?:ish)?|"
    r"gray(?:ish)?|grey(?:ish)?|blue|bluish|green(?:ish)?|irregular(?:ly)?|thin|fine|faint|visible|"
    r"noticeabl[ey]|distinct|clear|obvious|unexpected|unusual|small|tiny|shallow|deep|elongated|jagged|"
    r"isolated|conspicuous|localized|pronounced|single|foreign|abnormal|rough(?:ened)?|shiny|dull|matte|"
    r"raised|sharp|curved|unnatural|narrow|new|extra|bare|empty|exposed|pale|lighter|hair-?like|"
    r"linear)(?:,? (?:and )?[\w-]+){0,3}[ ,]+$"
)

_NEGATION = re.compile(
    r"\b(?:no(?! (?:longer|doubt|question))|not(?! (?:only|just|merely|simply|limited))|never|neither|nor|"
    r"none|nothing|without(?! (?:a )?doubt)|cannot|free (?:of|from)|devoid of|absence of|lack of|lacks|"
    r"lacking|zero|clear of|rul(?:es?|ed|ing) out|exclud(?:es?|ed|ing)|unlikely|fail(?:s|ed)? to (?:show|"
    r"reveal|find|detect)|rather than|instead of|hardly any|as opposed to)\b|n't\b"
)
# The predicate after a defect word that denies it: "scratches are not visible", "dents are absent".
_DENIED_AFTER = re.compile(
    r"^(?![^;:]*\b(?:in|on|from|to) (?:the|a|its) (?:\w+ )?(?:reference|normal|template|good|standard|"
    r"first|defect-free)\b)[^;:]*?\b(?:(?:is|are|was|were|has|have|had|can|could|do|does|did)(?:n't| not|"
    r"not)\b(?: \w+){0,2} (?:visible|present|seen|found|observed|noted|detected|noticeable|evident|"
    r"apparent|identified|exist|appear|occur|discernible|detectable|there|recogni[sz]able|seen)|"
    r"(?:is|are|was|were) (?:completely |entirely |all )?(?:absent|ruled out|excluded|nowhere)\b|"
    r"(?:can|could) be (?:ruled out|excluded)|not (?:visible|present|observed|detected|found|seen|evident|"
    r"apparent)\b)"
)
_DISMISSED = re.compile(
    r"\b(?:is|are|was|were|as|remains?|being|represents?|proves? to be) (?:(?:only|just|merely|simply|both|"
    r"all|well|clearly|actually|purely|therefore|thus) )*(?:(?:(?:a|an|the|due to|caused by|because of|"
    r"part of|the result of) (?:[\w-]+ )?(?:reflections?|glare|shadows?|lighting|illumination|"
    r"design(?: features?)?|specular highlights?|seams?|parting lines?|moldings?|mouldings?|print(?:ing)?|"
    r"engravings?)|intended|intentional|by design|designed|normal|natural|harmless|"
    r"within (?:[\w-]+ )*tolerances?|typical of)\b)"
)
_CHECKING_FOR = (
    r"(?:check|look|search|inspect|examin|scan|screen|assess|evaluat|test|monitor|watch|survey|"
    r"review)\w*(?: [\w'-]+){0,6} for"
)
_WEIGHED = re.compile(
    rf"\b(?:whether|if|unless|would|should|any|risk of|prone to|prevent\w*|avoid\w*|against|{_CHECKING_FOR}|"
    r"signs? of any|(?:could|may|might|can|will|would|to|likely|potentially|eventually|"
    r"possibly) (?:[\w-]+ )?(?:lead|cause|result|affect|compromise|impair|reduce|allow|promote|accelerate|"
    r"create|weaken|propagate|develop|become|grow|hinder|prevent|hamper|worsen|permit|introduce|trap|"
    r"interfere|shorten|disrupt|interrupt|damage|break|crack|contaminate|scratch|tear|fail)|"
    r"lead(?:s|ing)? to|result(?:s|ing)? in (?:a )?(?:failure|premature|reduced)|what (?:a|an)|"
    r"definition of|typical(?:ly)? of)\b"
)
# A modal or an adverb that leaves the finding itself open. "could be caused by" is about the cause and leaves
# nothing open.
_HEDGED = re.compile(
    r"\b(?:(?:could|may|might|can)(?: (?:also|well|possibly|potentially|perhaps|indeed))* "
    r"(?:be(?! (?:caused|due|attributed|linked|related|explained|traced|from|the result|the cause))|"
    r"have been|have|indicate|suggest|represent|contain|reflect|point|exist|constitute|signal|imply|show|"
    r"appear)|possibl[ey]|perhaps|potential(?:ly)?|maybe|presumably|conceivably|seems? to|suspected|"
    r"might)\b"
)
FINE = re.compile(
    r"(?<![\w-])(?:intact|undamaged|unblemished|unmarred|unmarked|unscathed|unbroken|unaffected|"
    r"flawless(?:ly)?|faultless|pristine|normal(?:ly)?|regular(?:ly)?|uniform(?:ly|ity)?|"
    r"smooth(?:ly|ness)?|clean(?:ly)?|evenly|consisten(?:t|tly|cy)|correct(?:ly)?|proper(?:ly)?|sound|"
    r"acceptable|acceptably|straight|symmetr(?:y|ic|ical|ically)|good|well|[a-z]+-free|as expected|"
    r"as intended|as designed|fine|complete(?:ly)?|crisp|sharp(?:ly)?|unremarkable|even|aligned|"
    r"continuous(?:ly)?|homogeneous|legible|expected|conform(?:s|ing)?|compl(?:y|ies)|adher(?:e|es)|meets?|"
    r"match(?:es)?|resembles?)(?![\w])"
)
_NOT_FINE = re.compile(
    r"\bno longer (?!than\b)[a-z]+|\b(?:does|do|did)(?: not|n't) (?:sit|lie|close|line up|reach|stand|fit|"
    r"continue|run|seat|lock|point|align|extend|cover|touch)\b|\b(?:lean|protrud|bow|sag|stick|jut|"
    r"droop)(?:s|es|ing|ed)?\b (?:\w+ )?(?:out|inward|outward|away|down|up|sideways|forward|backward)\w*|"
    r"\b(?:not(?! only)|never|cannot|fails? to|far from|less|n't)(?: [\w'-]+){0,3}? (?:intact|normal|"
    r"regular|uniform(?:ly)?|smooth(?:ly)?|clean|even(?:ly)?|consistent|correct(?:ly)?|proper(?:ly)?|sound|"
    r"acceptable|straight|symmetrical|continuous|complete|aligned|flush|flat|as expected|conform|comply|"
    r"adhere|meet|match|belong|follow|expected|part of|in place|closed|round|circular|level|"
    r"parallel)(?:ly)?\b"
)
_SCAN = re.compile(
    r"\b(?:scan(?:s|ned|ning)?|sweep(?:s|ing)?|start(?:s|ed|ing)?|begin(?:s|ning)?|mov(?:e|es|ed|ing)|"
    r"proceed(?:s|ed|ing)?|inspect(?:s|ed|ing|ion)?|examin(?:e|es|ed|ing|ation)|check(?:s|ed|ing)?|"
    r"look(?:s|ed|ing)? (?:at|over|across|closely|from)|go(?:es|ing)? (?:from|over|across|through)|"
    r"review(?:s|ed|ing)?|survey(?:s|ed|ing)?|focus(?:es|ed|ing)?|turn(?:s|ed|ing)? to|observ(?:e|es|ing)|"
    r"follow(?:s|ed|ing)? the|from (?:the )?[\w-]+(?: [\w-]+)? to (?:the )?\w+|zoom(?:s|ing)?|"
    r"stud(?:y|ying)|assess(?:es|ed|ing)?|travers(?:e|es|ing)|pass(?:es|ing)? over|"
    r"work(?:s|ing)? (?:from|across|down|through))\b"
)

_SENTENCE_END = re.compile(r"(?:[.!?]+[\"')\]]*(?=\s|$)|\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)|…(?=\s|$))")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|approx|cf|vs|fig|no|etc|ca|incl|dia|max|min)|\b[a-z])\.$")
_DETERMINED = (
    r"(?:the|a|an|its|it|this|these|that|those|there|their|they|i|we|one|all|both|each|every|no|another|"
    r"some|several)"
)
_CLAUSE_BREAK = re.compile(
    r";|:(?!\d)|—|–| - |[()]|,?\s(?=(?:but|however|yet|although|though|whereas|while|except(?: for)?|"
    r"despite|nevertheless|nonetheless|unlike|in contrast|in comparison|by contrast|compared (?:to|with)|"
    r"as opposed to|relative to|apart from|aside from|other than|because|since|until|suggesting|"
    rf"indicating)\b)|,\s+(?=(?:(?:and|or|so|then|as|that|because|where|with|yet) )?{_DETERMINED}\b)|"
    r",\s+(?=(?:which|where|with|so|then|thus|hence|therefore|resulting|revealing|exposing|leaving|causing|"
    r"showing|implying|confirming|pointing|creating|forming|giving|making|producing|interrupting|"
    r"disrupting|running|extending|starting|located|positioned|visible|consistent|reaching|breaking|"
    rf"deviating|standing|cutting|crossing|contrasting)\b)|\s(?=and {_DETERMINED}\b(?! (?:of|for)\b))|"
    r"\s(?=with (?:a|an|one|two|three|several|some|visible|clear)\b)|"
    r"\s(?=(?:where|indicating|suggesting|revealing|confirming|showing)\b)"
)
_LEAD_IN = re.compile(
    r"^(?:and |then |next,? |first,? |finally,? )?(?:upon|on|when|while|after|by|during|from|scanning|"
    r"moving|examining|looking|starting|going|sweeping|beginning|inspecting|proceeding|checking|focusing|"
    r"following|turning|observing|working|zooming|surveying|reviewing|across|over)\b[^,]*,\s+"
)


@dataclass(frozen=True, slots=True)
class Term:
    """A word for a defect in its place: `start` and `end` are offsets in the text, `coarse` the type it points to.

    Its stance: said to be there ("asserted"), perhaps ("hedged"), not ("denied"), only talked about ("weighed":
    looked for, feared, asked), or a word that may as well be the design ("mentioned": a hole, a line).
    """

    text: str
    start: int
    end: int
    stance: Stance
    coarse: str | None
    strong: bool


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of one polarity; `text` is lower case, offsets are in the whole text."""

    text: str
    start: int
    end: int
    sentence: int
    terms: tuple[Term, ...]
    fine: bool
    scan: bool

    @property
    def asserts(self) -> bool:
        """True when the clause says that a defect is there."""
        return any(t.stance == "asserted" for t in self.terms)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in lower case with its clauses; offsets are in the whole text."""

    text: str
    start: int
    end: int
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text read once for all checks: its sentences and, in reading order, all their clauses.

    `low` is the text in lower case and has its length, so offsets hold in both.
    """

    text: str
    low: str
    sentences: tuple[Sentence, ...]
    clauses: tuple[Clause, ...]


def plain(text: str) -> str:
    """Lower case with straight quotes and hyphens, character for character, so that offsets stay true."""
    text = text.translate(_PLAIN)
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@lru_cache(maxsize=4096)
def _entry(word: str) -> tuple[str | None, bool]:
    """Coarse type and strength of a matched defect word."""
    for pattern, coarse, strong in _ENTRIES:
        if pattern.fullmatch(word):
            return coarse, strong
    raise ValueError(f"{word!r} is no word for a defect")


def coarse_of(word: str) -> str | None:
    """The coarse type a defect word in lower case points to; None for a general word or no defect word at all."""
    match = _TERM.search(word)
    return _entry(match.group())[0] if match else None


def read(text: str) -> Reading:
    """Sentences, clauses and the stance of every defect word of a text."""
    low = plain(text)
    sentences = []
    for number, (start, end) in enumerate(_sentences(low)):
        clauses = tuple(_clause(low, a, b, number, low[start:end]) for a, b in _clauses(low, start, end))
        sentences.append(Sentence(low[start:end], start, end, clauses))
    return Reading(text, low, tuple(sentences), tuple(c for s in sentences for c in s.clauses))


def _sentences(low: str) -> list[tuple[int, int]]:
    """Offsets of the sentences, white space and final punctuation included."""
    spans, start = [], 0
    for match in _SENTENCE_END.finditer(low):
        if match.group().startswith(".") and _ABBREVIATION.search(
            low, max(start, match.start() - 8), match.start() + 1
        ):
            continue
        if low[start : match.end()].strip():
            spans.append((start, match.end()))
        start = match.end()
    if low[start:].strip():
        spans.append((start, len(low)))
    return spans


def _clauses(low: str, start: int, end: int) -> list[tuple[int, int]]:
    """Offsets of the clauses of one sentence."""
    cuts = [start]
    while cuts[-1] < end and low[cuts[-1]].isspace():
        cuts[-1] += 1
    lead = _LEAD_IN.match(low[cuts[0] : end])
    if lead:
        cuts.append(cuts[0] + lead.end())
    cuts += [m.end() for m in _CLAUSE_BREAK.finditer(low, cuts[-1], end) if m.end() > cuts[-1]]
    return [(a, b) for a, b in zip(cuts, [*cuts[1:], end], strict=True) if low[a:b].strip()]


def _clause(low: str, start: int, end: int, sentence: int, whole: str) -> Clause:
    text = low[start:end]
    asked = whole.rstrip().endswith("?")
    terms = tuple(t for t in (_term(text, m, start, asked) for m in _TERM.finditer(text)) if t)
    not_fine = _NOT_FINE.search(text)
    if not_fine and not _WEIGHED.search(text, 0, not_fine.start() + 1):
        stance: Stance = "hedged" if _HEDGED.search(text, 0, not_fine.end()) else "asserted"
        a, b = not_fine.span()
        terms += (Term(not_fine.group(), start + a, start + b, stance, None, False),)
    asserted = any(t.stance in ("asserted", "hedged") for t in terms)
    denied = any(t.stance == "denied" for t in terms)
    fine = not asserted and (denied or bool(FINE.search(text)))
    return Clause(text, start, end, sentence, terms, fine, not asserted and not fine and bool(_SCAN.search(text)))


def _term(text: str, match: re.Match[str], offset: int, asked: bool) -> Term | None:
    """The defect word at `match`, or None when it is a feature of the design or a plain word like "line"."""
    word = match.group()
    coarse, strong = _entry(word)
    before, after = text[: match.start()], text[match.end() :]
    if not strong and _DESIGNED.search(before):
        return None
    stance = "weighed" if asked else _stance(before, after)
    lacking = word.startswith(("absen", "lack"))
    if lacking and _TERM.search(after):
        return None  # "absence of scratches": the word denies, it is not the defect
    if not strong and stance in ("asserted", "hedged") and not _STANDS_OUT.search(before):
        stance = "mentioned"
    return Term(word, offset + match.start(), offset + match.end(), stance, coarse, strong)


def _stance(before: str, after: str) -> Stance:
    if _NEGATION.search(before) or _DENIED_AFTER.search(after):
        return "denied"
    dismissed = _DISMISSED.search(after)
    if dismissed:
        return "denied"
    if _WEIGHED.search(before):
        return "weighed"
    if _HEDGED.search(before) or re.match(r"[\w ]{0,12}\b(?:might|may|could) be (?:present|there)\b", after):
        return "hedged"
    return "asserted"
