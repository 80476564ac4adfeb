"""Does the reasoning arrive at the truth, say so plainly, and not contradict itself on the way?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from expertad.checks.finding import Finding, quote
from expertad.checks.reading import Clause, Reading
from expertad.sample import Case, Draft

Verdict = Literal["normal", "anomalous"]

_ANY_DEFECT = (
    r"(?:defects?|anomal(?:y|ies)|flaws?|faults?|damages?|irregularit(?:y|ies)|abnormalit(?:y|ies)|"
    r"imperfections?|deviations?|"
    r"deformations?|issues?|problems?|concerns?|blemish(?:es)?|discrepanc(?:y|ies)|inconsistenc(?:y|ies)|signs? of \w+)"
)
_PRODUCT = (
    r"(?:(?:the|this|that|each|every) (?:[\w-]+ ){0,3}?(?:product|item|component|part|sample|object|"
    r"unit|specimen|piece|device|"
    r"assembly|workpiece|article|image|surface)|it|this(?: one)?|everything|the (?:\w+ ){1,3}under inspection)"
)
_SOUND = (
    r"(?:normal|intact|acceptable|flawless|undamaged|defect-free|faultless|pristine|sound|"
    r"non-?defective|compliant|conforming|"
    r"free (?:of|from) (?:any |all |visible |apparent )*"
    + _ANY_DEFECT
    + r"|in (?:good|normal|proper|perfect|excellent|acceptable) "
    r"(?:condition|order|state|shape)|good|up to standard|fit for use|ok)"
)
_BE = (
    r"(?:is|are|was|appears?(?: to be)?|looks?|seems?(?: to be)?|remains?|can be (?:considered|judged|"
    r"deemed|regarded as|accepted as)|"
    r"be (?:considered|judged|deemed|regarded as|classified as)|(?:is |are )?(?:considered|judged|"
    r"deemed|classified as|regarded as|rated))"
)
_SAYS_NORMAL = re.compile(
    r"\b(?:no|without|zero|(?:not|n't|never|cannot|neither)(?: [\w-]+){0,4}?(?: any| a)?|free (?:of|"
    r"from)|absence of|lack of|lacks|"
    r"devoid of|not any|nor any|none of the) (?:(?:any|visible|obvious|apparent|noticeable|"
    r"discernible|detectable|evident|clear|"
    r"significant|observable|signs? of|evidence of|indications? of|indication|surface|structural|"
    r"physical|manufacturing|kind of|"
    rf"sort of|type of|functional|cosmetic|or|and|such|trace of)[, ]+){{0,5}}{_ANY_DEFECT}\b"
    rf"|\b{_PRODUCT} (?:\w+ )?{_BE} (?:(?:therefore|thus|completely|entirely|fully|perfectly|visually|"
    r"structurally|an? |quite|still|"
    rf"overall|both|clearly|all) ?)*{_SOUND}\b"
    r"|\b(?:meets?|satisf(?:y|ies)|fulfil?ls?|conforms? (?:to|with)|compl(?:y|ies) with|adheres? to|"
    r"passes|matches|corresponds to) "
    r"(?:(?:all|the|its|every|our|typical|expected|established|required|relevant|applicable|quality|"
    r"industrial|industry|normal|"
    r"acceptance|manufacturing|production|inspection|visual|product|design|normative|"
    r"\w+) ){0,5}(?:standards?|specifications?|"
    r"criteria|requirements?|inspection|norms?|expectations?|tolerances?|quality)\b"
    r"|\bwithin (?:the |all )?(?:acceptable|normal|specified|allowed|allowable|expected|usual|"
    r"permitted|permissible) (?:\w+ )?"
    r"(?:tolerances?|limits?|range|variations?)\b"
    rf"|\b(?:a |an |as )(?:\w+ )?(?:{_SOUND}|good) (?:product|item|component|part|sample|object|unit|"
    r"specimen|piece|condition)\b"
    r"|\bdefect-free\b|\bno(?:thing)? (?:\w+ ){0,2}(?:is|appears|looks|seems) (?:wrong|amiss|"
    r"out of (?:place|order)|abnormal|unusual|"
    r"damaged|missing|defective|irregular)\b|\bnothing (?:abnormal|unusual|irregular|wrong|amiss|"
    r"suspicious|out of place)\b"
    r"|\b(?:the )?(?:final )?answer (?:is|should be|must be)[: \"']+no\b"
)
_SAYS_ANOMALOUS = re.compile(
    rf"\b{_PRODUCT} (?:\w+ )?(?:is|are|must be|should be|can be|"
    r"has to be) (?:\w+ ){0,3}?(?:defective|anomalous|abnormal|faulty|damaged|"
    r"rejected|unacceptable|non-?conforming|unfit|scrapped|reworked|replaced|repaired|discarded)\b"
    r"|\b(?:does|do|did) not (?:\w+ )?(?:meet|conform|comply|satisfy|fulfil?l|match|adhere|pass)\b|"
    r"\bfails? (?:to (?:meet|conform|comply|"
    r"satisfy|pass|adhere)|(?:the )?(?:\w+ )?inspection)\b|\b(?:outside|beyond|out of|"
    r"exceeds?) (?:the |all )?(?:\w+ )?(?:toleranc\w+|limits?|"
    r"specifications?)\b|\b(?:the )?(?:final )?answer (?:is|should be|must be)[: \"']+yes\b|"
    r"\b(?:should|must|has to|needs to) be rejected\b"
    r"|\b(?:warrants|requires|justifies|calls for|leads to) rejection\b"
)
# The same, said before the clause in its sentence.
_LIMITED_BEFORE = re.compile(
    r"\b(?:apart from|aside from|except|besides|other than|beyond|at first (?:glance|sight)|"
    r"initially)\b"
)
# Sound only in part, or only at first sight: no verdict on the product.
_ONLY_PARTLY = re.compile(
    r"\b(?:elsewhere|otherwise|other|others|rest|remaining|remainder|surrounding|neighbou?ring|"
    r"adjacent|except|apart from|aside from|"
    r"besides|beyond|further|additional|else|at first (?:glance|sight)|initially|most of|mostly|"
    r"largely|unaffected|away from|"
    r"opposite|around it|same (?:kind|type)|such)\b"
)
_PARTIAL_SUBJECT = re.compile(
    r"\b(?:edges?|sides?|threads?|housing|body|pins?|leads?|contacts?|terminals?|corners?|teeth|cap|"
    r"rim|base|legs?|frame|markings?|"
    r"lettering|logo|text|print|labels?|colou?r|coating|texture|shape|contour|outline|background|half|"
    r"halves|left|right|top|bottom|"
    r"upper|lower|center|centre|central|region|area|section|cells?|handle|bristles|shaft|head|tip|"
    r"slots?|holes?|insulation|wires?|"
    r"connectors?|plug|ring|shell|plating|layers?|areas|regions|sections|structure|geometry|overall)\b"
)
_OPEN = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|impossible to|difficult to|hard to|"
    r"not possible to) (?:be )?(?:\w+ )?"
    r"(?:determine[d]?|tell|say|said|judge[d]?|confirm(?:ed)?|conclude[d]?|assess(?:ed)?|decide[d]?|"
    r"verif(?:y|ied)|ascertain(?:ed)?|"
    r"establish(?:ed)?|evaluate[d]?|identify|discern|distinguish)\b"
    r"|\b(?:further|additional|more|closer|detailed|subsequent|"
    r"functional)(?: \w+){0,2} (?:investigations?|testing|tests?|inspections?|"
    r"examinations?|analys[ei]s|evaluation|verification|review|information|checks?|assessment|"
    r"data)(?: \w+){0,6}? (?:is|are|would be|"
    r"may be|might be|will be|would|may|might|could|should be|need(?:s|ed)?) ?(?:\w+ )?(?:required|"
    r"needed|necessary|recommended|"
    r"advised|advisable|warranted|to (?:confirm|determine|verify|ascertain|establish|decide)|confirm|"
    r"determine|reveal|clarify|verify)\b"
    r"|\b(?:requir(?:e|es|ing)|need(?:s|ing)?|warrant(?:s|ing)?|recommend(?:s|ing|ed)?|deserves?|"
    r"suggest(?:s|ing)?|demand(?:s|ing)?|pending|"
    r"before|without|until|necessitat(?:e|es|ing)) (?:\w+ )?(?:further|additional|more|closer|"
    r"detailed) (?:\w+ )?(?:investigation|testing|tests?|"
    r"inspection|examination|analysis|evaluation|verification|review|information|checks?|assessment|scrutiny)\b"
    r"|\bfurther investigation\b"
    r"|\b(?:it is |it's |is |are |remains? )(?:\w+ )?(?:unclear|uncertain|inconclusive|ambiguous|"
    r"undetermined|not (?:clear|certain|sure|obvious) "
    r"(?:whether|if)|questionable|debatable)\b|\b(?:i am|i'm|we are) (?:not (?:entirely |completely |"
    r"fully )?(?:sure|certain)|unsure|uncertain)\b"
    r"|\bmay or may not\b|\bmight or might not\b|\bwhether (?:this|it|these|"
    r"or not)\b[^.]{0,60}\b(?:depends|remains|is unclear|is unknown)\b"
    r"|\bdepend(?:s|ing) on (?:the |its |what |whether |how |"
    r"company )?(?:\w+ ){0,3}(?:specifications?|standards?|requirements?|tolerances?|"
    r"criteria|application|use|severity)\b|\bif (?:this|it) is (?:indeed |really |actually )?(?:a |"
    r"an )?(?:defect|anomaly)\b"
)


def _verdict(think: Reading, clause: Clause) -> Verdict | None:
    """What the clause says of the product: sound, defective, or nothing."""
    says_anomalous = _SAYS_ANOMALOUS.search(clause.text)
    if says_anomalous and not re.search(
        r"\b(?:no|not|nothing|never|without)\b", clause.text[: says_anomalous.start() + 4]
    ):
        return "anomalous"
    if clause.asserts:
        return "anomalous"
    if _SAYS_NORMAL.search(clause.text) and not _ONLY_PARTLY.search(clause.text):
        limited = _LIMITED_BEFORE.search(think.low, think.sentences[clause.sentence].start, clause.start)
        return None if limited else "normal"
    return None


def _strong(clause: Clause) -> bool:
    """True when the clause asserts a word that is a defect in any product, or judges the product defective."""
    return any(t.stance == "asserted" and t.strong for t in clause.terms) or bool(_SAYS_ANOMALOUS.search(clause.text))


def check_answer(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The last verdict of the text is the truth, and it is not left open."""
    truth: Verdict = "anomalous" if case.sample.anomalous else "normal"
    verdicts = [(v, c) for c in think.clauses if (v := _verdict(think, c))]
    if truth == "anomalous":
        yield from _judge_anomalous(think, verdicts)
    else:
        yield from _judge_normal(verdicts)
    open_end = _OPEN.search(think.low)
    if open_end:
        yield Finding(
            "answer", "person", f"leaves the answer open: {quote(think.text[open_end.start() : open_end.end()])}"
        )
    elif truth == "anomalous":
        hedged = next((c for c in think.clauses if any(t.stance == "hedged" for t in c.terms) and not c.asserts), None)
        if hedged:
            yield Finding("answer", "person", f"only supposes the defect: {quote(hedged.text)}")


def _judge_anomalous(think: Reading, verdicts: list[tuple[Verdict, Clause]]) -> Iterator[Finding]:
    whole = [(v, c) for v, c in verdicts if v == "anomalous" or not _PARTIAL_SUBJECT.search(c.text)]
    if whole and whole[-1][0] == "normal":
        yield Finding(
            "answer", "reject", f"concludes that nothing is wrong with an anomalous sample: {quote(whole[-1][1].text)}"
        )
    elif not any(v == "anomalous" for v, _ in whole):
        if not any(t.stance == "hedged" for c in think.clauses for t in c.terms):
            yield Finding("answer", "reject", "never says that anything is wrong with an anomalous sample")


def _judge_normal(verdicts: list[tuple[Verdict, Clause]]) -> Iterator[Finding]:
    if not verdicts:
        yield Finding("answer", "person", "never says that a normal sample is free of defects")
    elif verdicts[-1][0] == "anomalous":
        clause = verdicts[-1][1]
        yield Finding(
            "answer",
            "reject" if _strong(clause) else "person",
            f"concludes with a defect on a normal sample: {quote(clause.text)}",
        )


def check_contradiction(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The text says both that nothing is wrong and that something is."""
    normal = [c for c in think.clauses if _verdict(think, c) == "normal" and not _PARTIAL_SUBJECT.search(c.text)]
    anomalous = [c for c in think.clauses if c.asserts and _strong(c)]
    if not normal or not anomalous:
        return
    # A text that ends on the wrong side is the answer check's; here both are said and the end is right.
    yield Finding(
        "contradiction",
        "reject" if _plainly_there(anomalous[0]) and _whole(normal[0]) else "person",
        f"says both {quote(normal[0].text)} and {quote(anomalous[0].text)}",
    )


def _plainly_there(clause: Clause) -> bool:
    """True when the defect is stated as a fact of sight."""
    return bool(
        re.search(
            r"\b(?:there (?:is|are)|(?:is|are) (?:clearly |plainly |also )?(?:visible|present|evident|seen|"
            r"observed|noticeable|apparent)|"
            r"shows?|reveals?|exhibits?|has|i (?:see|notice|observe|find)|can be seen|runs?|lies|appears)\b",
            clause.text,
        )
    )


def _whole(clause: Clause) -> bool:
    """True when a denial speaks of defects at large, not of one kind ("no stains")."""
    return bool(
        re.search(
            r"\b(?:defects?|anomal|flaws?|damage|irregularit|abnormalit|imperfection|normal|standard|intact|"
            r"tolerance)",
            clause.text,
        )
    )
