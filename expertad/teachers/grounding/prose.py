"""The two texts of the embedded teacher: the description (query beside reference) and the reasoning in three layers.

Both are put together from measured sentences: the ones that a text needs, and as many of the others as its length takes,
in an order of the sample's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from expertad.sample import Case
from expertad.teachers.grounding import defect_prose as on
from expertad.teachers.grounding import scene_prose as of
from expertad.teachers.grounding.facts import Defect, Facts
from expertad.teachers.grounding.finetypes import Rule
from expertad.teachers.grounding.words import Voice, product_name, sentence, word_count

# Words of a text: at least the first and at most the second; between them each sample draws its own length.
DESCRIPTION = (84, 158)
THINK = (66, 128)

Clauses = list[str | None]


def description(case: Case, facts: Facts, rule: Rule | None, voice: Voice) -> str:
    """Step 2: the query beside its reference; `rule` is None for a normal sample."""
    first = sentence(of.overall_likeness(facts, voice))
    beside = _alternate(_likeness_clauses(facts, voice), _scene_clauses(facts, voice))
    if rule is None:
        last = sentence(_nothing_departs(case, voice))
        return " ".join([first, *_fill(DESCRIPTION, beside, (first, last), voice), last])
    about = _subject(case, facts, voice)
    found = sentence(_found(about, voice, contrast=True))
    core = _pair(on.form(about, voice), on.tone(about, voice), voice)
    last = sentence(
        voice.say(
            "[[this look|this combination of form and tone] [points to|is that of|fits] {type}, and {impact}"
            "|in sum, [the finding|what is seen there] amounts to {type}; {impact}"
            "|[by its form and tone|from these observations], the [defect|anomaly] is [best called|read as] {type}, "
            "and {impact}]",
            type=on.named(rule),
            impact=on.impact(about.coarse, voice),
        )
    )
    own = voice.shuffled(
        [
            on.border(about, voice),
            on.texture(about, voice),
            on.structure(about, voice),
            on.reference_there(about, voice),
            on.caveat(about, voice),
        ]
    )
    context = [sentence(clause) for clause in beside if clause is not None][:1]
    if voice.number() % 2:
        return _text([first, *context, found, *core], own + beside[1:], last, DESCRIPTION, voice)
    return _text([first, found, *core], own + beside, last, DESCRIPTION, voice)


def reasoning(case: Case, facts: Facts, rule: Rule | None, voice: Voice) -> str:
    """Step 3: spatial perception, knowledge-driven analysis, comprehensive decision.

    With `case.shot == 0` nothing but the query is spoken of; with 1 the reference image may be.
    """
    return _reason_normal(case, facts, voice) if rule is None else _reason_defect(case, facts, rule, voice)


def _reason_defect(case: Case, facts: Facts, rule: Rule, voice: Voice) -> str:
    about = _subject(case, facts, voice)
    scan = _scan(case, voice)
    first = sentence(f"{scan}, {_found(about, voice, contrast=False)}")
    core = _pair(on.form(about, voice), on.tone(about, voice), voice)
    norm = voice.say(
        "[[by|measured against] [inspection|quality] standards, |[in terms of|as regards] [surface|material] [quality|integrity], "
        "||]{norm}",
        norm=on.standard(about.coarse, voice),
    )
    beside: str | None = None
    if case.shot:
        beside = on.reference_there(about, voice) or voice.say(
            "[the reference image shows [nothing of this kind|no such {noun}]|nothing like it [appears|is visible] in the "
            "reference image|the reference image is free of such a {noun}]",
            noun=about.noun,
        )
    last = sentence(
        voice.say(
            "[[so|therefore|hence] this is [an anomaly|a defect], [namely|best described as] {type}: {impact}"
            "|the part is [therefore |]defective[ here|]: {type} [is present|is the finding], and {impact}"
            "|[the decision|the conclusion|my judgement] is an anomaly [of the kind|that reads as] {type}; {impact}"
            "|[taken together|on balance], this is {type}, a [real|genuine] defect: {impact}"
            "|this [qualifies as|amounts to] {type}, so the part [is anomalous|has a defect]; {impact}]",
            type=on.named(rule),
            impact=on.impact(about.coarse, voice),
        )
    )
    own: Clauses = [on.texture(about, voice), on.border(about, voice), on.structure(about, voice), on.caveat(about, voice)]
    ending = [sentence(norm)] + ([sentence(beside)] if beside else [])
    if voice.number() % 2:
        ending.reverse()
    return _text([first, *core], voice.shuffled(own), " ".join([*ending, last]), THINK, voice)


def _reason_normal(case: Case, facts: Facts, voice: Voice) -> str:
    scan = _scan(case, voice)
    quiet = voice.say(
        "[[no area|nothing|no part of it] [calls for a second look|stands apart from the rest]"
        "|[I find|there is] no [area|place] [that falls out of the overall pattern|that stands apart]"
        "|[every area|each area] [fits|agrees with] the [overall pattern|rest]]"
    )
    first = sentence(f"{scan}, {quiet}")
    sound = sentence(
        voice.say(
            "[[judged by|measured against] [usual|general] [quality|inspection] standards, |]"
            "[[the surface|the finish] [has|shows] no scratch, stain or [break|rubbed area], and the [form|shape] [is complete"
            "|is intact|has no missing piece]"
            "|[appearance, surface and structure|surface quality and structure] are [sound|in order]: [no damage, no deposit and "
            "no deformation [is visible|can be seen]|neither damage nor deposits [are visible|can be seen]]"
            "|neither [contamination|foreign material] nor [abrasion|a scratch|a hole] [is visible|can be seen], and the "
            "[form is regular|material looks unbroken]]"
        )
    )
    beside: Clauses = _likeness_clauses(facts, voice) if case.shot else []
    last = sentence(
        voice.say(
            "[[so|therefore|hence] [this is a normal part|there is no anomaly|no defect is present]: [appearance and function are "
            "unaffected|nothing [impairs|limits] its [use|function or appearance]]"
            "|[the decision|the conclusion|my judgement] is [no anomaly|no defect], with [appearance and function "
            "unaffected|nothing that would affect fit or function]"
            "|[on balance|taken together], the {product} image shows a [sound|defect-free] product whose [function|use] is not "
            "affected]",
            product=product_name(case.sample.category),
        )
    )
    spare = _scene_clauses(facts, voice)
    if beside:
        opened = voice.say("[next to|against|beside] the reference image, ") + str(beside[0])
        spare = [opened, *_alternate(spare, beside[1:])]
    return _text([first], spare, f"{sound} {last}", THINK, voice)


def _nothing_departs(case: Case, voice: Voice) -> str:
    return voice.say(
        "[no [local|single] area departs from the reference in a way that [amounts to|would count as] a defect"
        "|the remaining differences [belong to|come from] [pose and lighting|position and exposure], and none of them is a "
        "local flaw"
        "|nothing in the query [amounts to|can be called] a defect, and the [surface is sound|part appears intact]"
        "|taken together, [these points|the observations] describe {product} without [visible |]defects]",
        product=f"the {product_name(case.sample.category)}",
    )


def _scan(case: Case, voice: Voice) -> str:
    return voice.say(
        "[scanning|inspecting|going over|checking|working across|surveying|looking over] [the {product}|the surface of the "
        "{product}|this image of the {product}] [from edge to edge|across the whole surface|area by area|over the whole field "
        "of view|step by step|from one end to the other]",
        product=product_name(case.sample.category),
    )


def _defect(facts: Facts) -> Defect:
    if facts.defect is None:
        raise ValueError("the case is anomalous, but nothing was measured: it has no mask or no region")
    return facts.defect


def _subject(case: Case, facts: Facts, voice: Voice) -> on.Subject:
    if case.region is None or case.sample.coarse_type is None:
        raise ValueError(f"{case.sample.sample_id}: an anomalous case needs a region and a coarse type")
    return on.subject(_defect(facts), case.region, case.sample.coarse_type, voice)


def _found(about: on.Subject, voice: Voice, *, contrast: bool) -> str:
    """Place, count and size in one clause; with `contrast` it may open against the sentence before."""
    many = about.defect.pieces > 1
    return voice.say(
        ("[[but|yet|however,] |]" if contrast else "")
        + "[[there {be}|I [find|notice|see]] {amount} {place}, {coverage}"
        "|{amount} [stand{s} out|catch{es} the eye] {place}, {coverage}"
        "|{amount}, {coverage}, [appear{s}|{be} visible] {place}"
        "|{place} [there {be}|one finds] {amount}, {coverage}]",
        be="are" if many else "is",
        s="" if many else "s",
        es="" if many else "es",
        amount=on.amount(about, voice),
        place=on.place(about.region, voice),
        coverage=on.coverage(about, voice),
    )


def _scene_clauses(facts: Facts, voice: Voice) -> Clauses:
    scene = facts.scene
    speakers: Sequence[Callable[[], str | None]] = (
        lambda: of.tone(scene, voice),
        lambda: of.light(scene, voice),
        lambda: of.grain(scene, voice),
        lambda: of.edges(scene, voice),
        lambda: of.symmetry(scene, voice),
        lambda: of.extent(scene, voice),
        lambda: of.details(scene, voice),
    )
    return [speak() for speak in voice.shuffled(speakers)]


def _likeness_clauses(facts: Facts, voice: Voice) -> Clauses:
    speakers: Sequence[Callable[[], str | None]] = (
        lambda: of.exposure(facts, voice),
        lambda: of.shared_texture(facts, voice),
        lambda: of.shared_details(facts, voice),
    )
    return [speak() for speak in voice.shuffled(speakers)]


def _alternate(one: Clauses, other: Clauses) -> Clauses:
    return [row[i] for i in range(max(len(one), len(other))) for row in (one, other) if i < len(row)]


def _pair(one: str, other: str, voice: Voice) -> list[str]:
    """Two clauses in either order, as one sentence or as two."""
    first, second = voice.shuffled([one, other])
    if voice.number() % 3:
        return [sentence(first), sentence(second)]
    return [sentence(f"{first}; {second}")]


def _text(opening: list[str], spare: Clauses, ending: str, length: tuple[int, int], voice: Voice) -> str:
    return " ".join([*opening, *_fill(length, spare, (*opening, ending), voice), ending])


def _fill(length: tuple[int, int], spare: Iterable[str | None], have: Sequence[str], voice: Voice) -> list[str]:
    """Sentences from `spare`, in its order, until the sample's own length is reached; none that would pass the longest."""
    least, most = length
    wanted = least + voice.number() % ((most - least) // 2)
    words = sum(word_count(text) for text in have)
    taken: list[str] = []
    for clause in spare:
        if words >= wanted:
            break
        text = sentence(clause) if clause is not None else ""
        if text and words + word_count(text) <= most:
            taken.append(text)
            words += word_count(text)
    return taken
