"""Does the reasoning arrive at the truth, say so plainly, and not contradict itself on the way?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from expertad import grid
from expertad.checks.finding import Finding, Severity, quote
from expertad.checks.reading import Clause, Reading
from expertad.sample import Case, Draft

Verdict = Literal["normal", "anomalous"]

_ANY_DEFECT = (
    r"(?:defects?|anomal(?:y|ies)|flaws?|faults?|damages?|irregularit(?:y|ies)|abnormalit(?:y|ies)|"
    r"imperfections?|deviations?|deformations?|issues?|problems?|concerns?|blemish(?:es)?|"
    r"discrepanc(?:y|ies)|inconsistenc(?:y|ies)|signs? of \w+)"
)
_PRODUCT = (
    r"(?:(?:the|this|that|each|every) (?:[\w-]+ ){0,3}?(?:product|item|component|part|sample|object|unit|"
    r"specimen|piece|device|assembly|workpiece|article|image|surface)(?: of (?:the|this) [\w-]+)?|it|"
    r"this(?: one)?|everything|the (?:\w+ ){1,3}under inspection)"
)
_SOUND = (
    r"(?:normal|intact|acceptable|flawless|undamaged|defect-free|faultless|pristine|sound|non-?defective|"
    r"compliant|conforming|free (?:of|from) (?:any |all |visible |apparent )*"
    + _ANY_DEFECT
    + r"|in (?:good|normal|proper|perfect|excellent|acceptable) (?:condition|order|state|shape)|good|"
    r"up to standard|fit for use|in order|ok|of (?:good|high|sound|perfect|flawless) quality)"
)
_BE = (
    r"(?:is|are|was|appears?(?: to be)?|looks?|seems?(?: to be)?|remains?|can be (?:considered|judged|"
    r"deemed|regarded as|accepted as)|be (?:considered|judged|deemed|regarded as|classified as)|"
    r"(?:is |are )?(?:\w+ )?(?:considered|judged|deemed|classified|regarded|rated)(?: to be| as)?)"
)
_SAYS_NORMAL = re.compile(
    r"\b(?:no|without|zero|(?:not|n't|never|cannot|neither)(?: [\w-]+){0,4}?(?: any| a)?|"
    r"free (?:of|from)|absence of|lack of|lacks|devoid of|not any|nor any|none of the) (?:(?:any|visible|"
    r"obvious|apparent|noticeable|discernible|detectable|evident|clear|significant|observable|signs? of|"
    r"evidence of|indications? of|indication|surface|structural|physical|manufacturing|kind of|sort of|"
    rf"type of|functional|cosmetic|or|and|such|trace of|a|an|of)[, ]+){{0,5}}{_ANY_DEFECT}\b|"
    rf"\b{_PRODUCT} (?:\w+ )?{_BE} (?:(?:therefore|thus|completely|entirely|fully|perfectly|visually|"
    rf"structurally|an? |quite|still|overall|both|clearly|all) ?)*{_SOUND}\b|\b(?:meets?|satisf(?:y|ies)|"
    r"fulfil?ls?|conforms? (?:to|with)|compl(?:y|ies) with|adheres? to|passes|matches|"
    r"corresponds to) (?:(?:all|the|its|every|our|typical|expected|established|required|relevant|"
    r"applicable|quality|industrial|industry|normal|acceptance|manufacturing|production|inspection|visual|"
    r"product|design|normative|\w+) ){0,5}(?:standards?|specifications?|criteria|requirements?|"
    r"inspection|norms?|expectations?|tolerances?|quality|checks?|tests?|examination|control)\b|"
    r"\bwithin (?:the |all )?(?:acceptable|normal|specified|allowed|allowable|expected|usual|permitted|"
    r"permissible) (?:\w+ )?(?:tolerances?|limits?|range|variations?)\b|"
    rf"\b(?:a |an |as )(?:\w+ )?(?:{_SOUND}|good) (?:product|item|component|part|sample|object|unit|"
    r"specimen|piece|condition)\b|\bdefect-free\b|\bno(?:thing)? (?:\w+ ){0,2}(?:is|appears|looks|"
    r"seems) (?:wrong|amiss|out of (?:place|order)|abnormal|unusual|defective|irregular)\b|"
    r"\bnothing (?:abnormal|unusual|irregular|wrong|amiss|suspicious|out of place)\b|"
    r"\b(?:judge|consider|deem|rate|regard|classify|find) (?:it|them|this|(?:the|this) [\w-]+) (?:as |"
    rf"to be )?(?:an? )?{_SOUND}|\bno reason to (?:object|reject|doubt|complain)|"
    r"\b(?:the )?(?:final )?answer (?:is|should be|must be)[: \"']+no\b"
)
# The same of any subject: which one decides whether the product is meant. "can be accepted" needs no more words.
_SUBJECT_IS_SOUND = re.compile(
    r"^(?:\W|so|thus|hence|therefore|and|i (?:conclude|judge|find) that|consequently|overall|"
    r"accordingly)*(?:the|this|these|all|every|each) ([\w -]+?) "
    rf"(?:(?:{_BE} (?:(?:therefore|thus|completely|entirely|fully|perfectly|visually|structurally|overall|"
    rf"both|clearly|also|an?) )*{_SOUND})|(?:has|have|shows?|exhibits?) no (?:[\w-]+,? (?:or |"
    r"and )?){1,8}|(?:can|may) be (?:accepted|released|approved|shipped|passed)|passes|is accepted)\b"
)
_SAYS_ANOMALOUS = re.compile(
    rf"\b{_PRODUCT} (?:\w+ )?(?:is|are|must be|should be|can be|has to be) (?:\w+ ){{0,3}}?(?:defective|"
    r"anomalous|abnormal|faulty|damaged|rejected|unacceptable|non-?conforming|unfit|scrapped|reworked|"
    r"replaced|repaired|discarded)\b|\b(?:does|do|did) not (?:\w+ )?(?:meet|conform|comply|satisfy|"
    r"fulfil?l|match|adhere|pass)\b|\bfails? (?:to (?:meet|conform|comply|satisfy|pass|adhere)|"
    r"(?:the )?(?:\w+ )?inspection)\b|\b(?:outside|beyond|out of|exceeds?) (?:the |"
    r"all )?(?:\w+ )?(?:toleranc\w+|limits?|specifications?)\b|\b(?:the )?(?:final )?answer (?:is|"
    r"should be|must be)[: \"']+yes\b|\b(?:should|must|has to|needs to) be rejected\b|"
    r"\b(?:warrants|requires|justifies|calls for|leads to) rejection\b"
)
# The same, said before the clause in its sentence.
_LIMITED_BEFORE = re.compile(
    r"\b(?:apart from|aside from|except|besides|other than|beyond|at first (?:glance|sight)|initially)\b"
)
# Sound only in part, only at first sight, or only as it should be: no verdict on the product.
_ONLY_PARTLY = re.compile(
    r"\b(?:elsewhere|otherwise|other|others|rest|remaining|remainder|surrounding|neighbou?ring|adjacent|"
    r"except|apart from|aside from|besides|beyond|further|additional|else|at first (?:glance|sight)|"
    r"initially|most of|mostly|largely|unaffected|away from|opposite|around it|same (?:kind|type)|such|"
    r"whether|if|unless|should|would|must|(?:has|have|need|needs|ought|supposed|expected|required|"
    r"meant) to|expects?|requires?|calls? for)\b|^(?:unlike|in contrast|in comparison|compared|relative to|"
    r"as opposed to)\b"
)
_PARTIAL_SUBJECT = re.compile(
    r"\b(?:edges?|sides?|threads?|housing|body|pins?|leads?|contacts?|terminals?|corners?|teeth|cap|rim|"
    r"base|legs?|frame|markings?|lettering|logo|text|print|labels?|colou?r|coating|texture|shape|contour|"
    r"outline|background|half|halves|left|right|top|bottom|upper|lower|center|centre|central|region|area|"
    r"section|cells?|handle|bristles|shaft|head|tip|slots?|holes?|insulation|wires?|connectors?|plug|ring|"
    r"shell|plating|layers?|areas|regions|sections|structure|geometry|overall)\b"
)
_OPEN = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|impossible to|difficult to|hard to|"
    r"not possible to) (?:be )?(?:\w+ )?(?:determine[d]?|tell|say|said|judge[d]?|confirm(?:ed)?|"
    r"conclude[d]?|assess(?:ed)?|decide[d]?|verif(?:y|ied)|ascertain(?:ed)?|establish(?:ed)?|evaluate[d]?|"
    r"identify|discern|distinguish)\b|\b(?:further|additional|more|closer|detailed|subsequent|"
    r"functional)(?: \w+){0,2} (?:investigations?|testing|tests?|inspections?|examinations?|analys[ei]s|"
    r"evaluation|verification|review|information|checks?|assessment|data)(?: \w+){0,6}? (?:is|are|would be|"
    r"may be|might be|will be|would|may|might|could|should be|need(?:s|ed)?) ?(?:\w+ )?(?:required|needed|"
    r"necessary|recommended|advised|advisable|warranted|to (?:confirm|determine|verify|ascertain|establish|"
    r"decide)|confirm|determine|reveal|clarify|verify)\b|\b(?:requir(?:e|es|ing)|need(?:s|ing)?|"
    r"warrant(?:s|ing)?|recommend(?:s|ing|ed)?|deserves?|suggest(?:s|ing)?|demand(?:s|ing)?|pending|before|"
    r"without|until|necessitat(?:e|es|ing)) (?:\w+ )?(?:further|additional|more|closer|"
    r"detailed) (?:\w+ )?(?:investigation|testing|tests?|inspection|examination|analysis|evaluation|"
    r"verification|review|information|checks?|assessment|scrutiny)\b|\bfurther investigation\b|"
    r"\b(?:it is |it's |is |are |remains? )(?:\w+ )?(?:unclear|uncertain|inconclusive|ambiguous|"
    r"undetermined|not (?:clear|certain|sure|obvious) (?:whether|if)|questionable|debatable)\b|"
    r"\b(?:i am|i'm|we are) (?:not (?:entirely |completely |fully )?(?:sure|certain)|unsure|uncertain)\b|"
    r"\bmay or may not\b|\bmight or might not\b|\bwhether (?:this|it|these|or not)\b[^.]{0,60}\b(?:depends|"
    r"remains|is unclear|is unknown)\b|\bdepend(?:s|ing) on (?:the |its |what |whether |how |"
    r"company )?(?:\w+ ){0,3}(?:specifications?|standards?|requirements?|tolerances?|criteria|application|"
    r"use|severity)\b|\bif (?:this|it) is (?:indeed |really |actually )?(?:a |an )?(?:defect|anomaly)\b"
)


def _verdict(case: Case, think: Reading, clause: Clause) -> Verdict | None:
    """What the clause says of the product: sound, defective, or nothing."""
    says_anomalous = _SAYS_ANOMALOUS.search(clause.text)
    if says_anomalous and not _DENIES.search(clause.text, 0, says_anomalous.start() + 4):
        return "anomalous"
    if clause.asserts:
        return "anomalous"
    if not _ONLY_PARTLY.search(clause.text) and (_SAYS_NORMAL.search(clause.text) or _product_is_sound(case, clause)):
        limited = _LIMITED_BEFORE.search(think.low, think.sentences[clause.sentence].start, clause.start)
        return None if limited else "normal"
    return None


_DENIES = re.compile(r"\b(?:no|not|nothing|never|without)\b")


def _named(case: Case) -> set[str]:
    """The words of the category, which name the product, with their plurals and singulars."""
    words = set(re.split(r"[_\d]+", case.sample.category.lower())) - {""}
    return words | {f"{w}s" for w in words} | {w.removesuffix("s") for w in words}


def _product_is_sound(case: Case, clause: Clause) -> bool:
    """True when the subject that is called sound is the product by its own name."""
    found = _SUBJECT_IS_SOUND.search(clause.text)
    return found is not None and found[1].split()[-1] in _named(case)


def _denies_kinds(clause: Clause) -> bool:
    """True when the clause denies several kinds of defect at once: "no cracks or missing material"."""
    return len({t.coarse for t in clause.terms if t.stance == "denied" and t.strong}) > 1


def _strong(clause: Clause) -> bool:
    """True when the clause asserts a word that is a defect in any product, or judges the product defective."""
    return any(t.stance == "asserted" and t.strong for t in clause.terms) or bool(_SAYS_ANOMALOUS.search(clause.text))


def _of_a_part(case: Case, clause: Clause) -> bool:
    """True when the clause speaks of a part of the product; the cap of a bottle cap is the product itself."""
    named = _named(case)
    return any(m.group() not in named for m in _PARTIAL_SUBJECT.finditer(clause.text))


def check_answer(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The last verdict of the text is the truth, and it is not left open.

    Rejects the opposite verdict. Asks a person where the text hedges or where no verdict was recognized: it may be
    worded in a way this reader does not know.
    """
    truth: Verdict = "anomalous" if case.sample.anomalous else "normal"
    verdicts = [(v, c) for c in think.clauses if (v := _verdict(case, think, c))]
    if truth == "anomalous":
        yield from _judge_anomalous(case, think, verdicts)
    else:
        yield from _judge_normal(think, verdicts)
    open_end = _OPEN.search(think.low)
    if open_end:
        yield Finding(
            "answer", "person", f"leaves the answer open: {quote(think.text[open_end.start() : open_end.end()])}"
        )
    elif truth == "anomalous":
        hedged = next((c for c in think.clauses if any(t.stance == "hedged" for t in c.terms) and not c.asserts), None)
        if hedged:
            yield Finding("answer", "person", f"only supposes the defect: {quote(hedged.text)}")


def _judge_anomalous(case: Case, think: Reading, verdicts: list[tuple[Verdict, Clause]]) -> Iterator[Finding]:
    whole = [(v, c) for v, c in verdicts if v == "anomalous" or not _of_a_part(case, c)]
    if whole and whole[-1][0] == "normal":
        yield Finding(
            "answer", "reject", f"concludes that nothing is wrong with an anomalous sample: {quote(whole[-1][1].text)}"
        )
    elif not any(v == "anomalous" for v, _ in whole):
        stances = {t.stance for c in think.clauses for t in c.terms if t.strong or t.coarse == case.sample.coarse_type}
        if "hedged" not in stances and "mentioned" not in stances:
            sound = any(_SUBJECT_IS_SOUND.search(c.text) for c in think.sentences[-1].clauses)
            severity: Severity = "reject" if sound or "denied" in stances else "person"
            yield Finding("answer", severity, "never says that anything is wrong with an anomalous sample")


def _judge_normal(think: Reading, verdicts: list[tuple[Verdict, Clause]]) -> Iterator[Finding]:
    # A streak or a dark spot may be the design; it counts where nothing else is concluded.
    decided = [(v, c) for v, c in verdicts if v == "normal" or _strong(c)]
    if decided and decided[-1][0] == "anomalous":
        clause = decided[-1][1]
        yield Finding("answer", "reject", f"concludes with a defect on a normal sample: {quote(clause.text)}")
    elif not decided:
        # Said of a name that the category does not hold: "the connector is in proper condition".
        if any(_SUBJECT_IS_SOUND.search(c.text) or _denies_kinds(c) for c in think.clauses):
            return
        seen = f": {quote(verdicts[-1][1].text)}" if verdicts else ""
        yield Finding("answer", "person", f"never says that a normal sample is free of defects{seen}")


def check_contradiction(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The text says both that nothing is wrong and that something is, or denies the very kind that it reports.

    Rejects only when both are said plainly and of the whole product; else a person reads.
    """
    normal = [c for c in think.clauses if _verdict(case, think, c) == "normal" and not _of_a_part(case, c)]
    anomalous = [c for c in think.clauses if c.asserts and _strong(c)]
    if not anomalous:
        return
    if normal:
        # A text that ends on the wrong side is the answer check's; here both are said and the end is right.
        yield Finding(
            "contradiction",
            "reject" if _plainly_there(anomalous[0]) and _whole(normal[0]) else "person",
            f"says both {quote(normal[0].text)} and {quote(anomalous[0].text)}",
        )
        return
    found = {t.coarse for c in anomalous for t in c.terms if t.stance == "asserted" and t.strong and t.coarse}
    for clause in think.clauses:
        if any(t.stance == "denied" and t.coarse in found for t in clause.terms) and _of_all(think, clause):
            yield Finding("contradiction", "person", f"says both {quote(clause.text)} and {quote(anomalous[0].text)}")
            return


def _of_all(think: Reading, clause: Clause) -> bool:
    """True when the clause speaks of the whole product and limits what it denies neither in place nor in kind."""
    if _ONLY_PARTLY.search(clause.text) or grid.mentions(clause.text):
        return False
    subject = _OF_PRODUCT.match(think.sentences[clause.sentence].text.strip())
    return bool(subject) and not _LIMITED_BEFORE.search(think.low, think.sentences[clause.sentence].start, clause.start)


_OF_PRODUCT = re.compile(rf"(?:{_PRODUCT}|there|no|i|we)\b")


def _plainly_there(clause: Clause) -> bool:
    """True when the defect is stated as a fact of sight."""
    return bool(
        re.search(
            r"\b(?:there (?:is|are)|(?:is|are) (?:clearly |plainly |also )?(?:visible|present|evident|seen|"
            r"observed|noticeable|apparent)|shows?|reveals?|exhibits?|has|i (?:see|notice|observe|find)|"
            r"can be seen|runs?|lies|appears)\b",
            clause.text,
        )
    )


def _whole(clause: Clause) -> bool:
    """True when a denial speaks of defects at large, not of one kind ("no stains")."""
    return bool(
        re.search(
            r"\b(?:defects?|anomal|flaws?|damage|irregularit|abnormalit|imperfection|normal|standard|intact|tolerance)",
            clause.text,
        )
    )
