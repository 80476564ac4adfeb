"""The two texts of the embedded teacher: the description (query beside reference) and the reasoning in three layers.

Both are put together from measured sentences: the ones that a text needs, and as many of the others as its length
takes, in an order of the sample's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from expertad.sample import Case
from expertad.teachers.grounding import defect_prose as on
from expertad.teachers.grounding import knowledge
from expertad.teachers.grounding import scene_prose as of
from expertad.teachers.grounding.facts import Facts
from expertad.teachers.grounding.finetypes import Rule
from expertad.teachers.grounding.words import Voice, product_name, sentence, word_count

# Words of a text: at least the first and at most the second; between them each sample draws its own length.
DESCRIPTION = (84, 158)
THINK = (66, 128)

Clauses = Sequence[str | None]


def description(case: Case, facts: Facts, rule: Rule | None, voice: Voice) -> str:
    """Step 2: the query beside its reference; `rule` is None for a normal sample."""
    first = sentence(of.overall_likeness(facts, voice))
    beside = _alternate(_likeness_clauses(facts, "the query", voice), _scene_clauses(facts, voice, compared=True))
    if rule is None:
        last = sentence(_nothing_departs(case, voice))
        return " ".join([first, *_fill(DESCRIPTION, beside, (first, last), voice), last])
    about = _subject(case, facts, voice)
    found = sentence(_found(about, voice, contrast=True))
    core = _pair(on.form(about, voice), on.tone(about, voice), voice)
    last = sentence(
        voice.say(
            "[[this look|this combination of form and tone] [points to|is that of|fits] {type}; {impact}"
            "|in sum, [the finding|what is seen there] amounts to {type}; {impact}"
            "|[by its form and tone|from these observations], the [defect|anomaly] is [best called|read as] {type}: "
            "{impact}]",
            type=on.named(rule),
            impact=knowledge.impact(about.coarse, voice),
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
    if voice.number() % 2:
        return _text([first, sentence(beside[0]), found, *core], [*own, *beside[1:]], last, DESCRIPTION, voice)
    return _text([first, found, *core], [*own, *beside], last, DESCRIPTION, voice)


def reasoning(case: Case, facts: Facts, rule: Rule | None, voice: Voice) -> str:
    """Step 3: spatial perception, knowledge-driven analysis, comprehensive decision.

    With `case.shot == 0` nothing but the query is spoken of; with 1 the reference image may be.
    """
    return _reason_normal(case, facts, voice) if rule is None else _reason_defect(case, facts, rule, voice)


def _reason_defect(case: Case, facts: Facts, rule: Rule, voice: Voice) -> str:
    about = _subject(case, facts, voice)
    finding = {
        "amount": on.amount(about, voice),
        "place": on.place(about.region, voice),
        "coverage": on.coverage(about, voice),
        "be": "is" if about.defect.pieces == 1 else "are",
        **_scanned(case, voice),
    }
    first = sentence(
        voice.say(
            "[{scanning} {object} {manner}, I [find|notice|see|come across] {amount} {place}, {coverage}"
            "|{scanning} {object} {manner}, I [stop|pause|halt] {place}: there {be} {amount}, {coverage}"
            "|a {scan} of {object} {manner} [brings out|reveals|shows|turns up] {amount} {place}, {coverage}"
            "|{place}, a {scan} of {object} {manner} [comes upon|reveals|meets] {amount}, {coverage}"
            "|I {look} {object} {manner} and [find|notice|see] {amount} {place}, {coverage}]",
            **finding,
        )
    )
    form, tone = on.form(about, voice), on.tone(about, voice)
    core = _pair(form, _led(("in appearance, ", "visually, "), tone, voice), voice)
    texture, structure = on.texture(about, voice), on.structure(about, voice)
    own: Clauses = [
        texture and _led(("at the surface itself, ", "as to the finish, "), texture, voice),
        on.border(about, voice),
        structure and _led(("structurally, ", "as regards structure, "), structure, voice),
        on.caveat(about, voice),
    ]
    norm = sentence(
        _led(
            ("by inspection standards, ", "measured against quality standards, "),
            knowledge.standard(about.coarse, voice),
            voice,
        )
    )
    last = sentence(
        voice.say(
            "[[so|therefore|hence] this is [an anomaly|a defect], best called {type}: {impact}"
            "|the part is [therefore |]defective: [what shows here is {type}|the finding is {type}], and {impact}"
            "|[the decision|the conclusion|my judgement] is that this is an anomaly, [more precisely|and to be "
            "exact,] {type}; {impact}"
            "|[taken together|on balance|all in all], this is {type}, [and so a defect|which makes it a defect]: "
            "{impact}"
            "|this [qualifies as|amounts to] {type}, so the part [is anomalous|has a defect]; {impact}"
            "|an anomaly is [present|confirmed], and {type} is the [fitting|closest] term for it; {impact}]",
            type=on.named(rule),
            impact=knowledge.impact(about.coarse, voice),
        )
    )
    ending = [norm, last]
    if case.shot:
        there = on.reference_there(about, voice)
        if there is None or sum(map(word_count, (first, *core, *ending, there))) > THINK[1]:
            there = voice.say(
                "[the reference image [shows nothing of this kind|has no such {noun}|is free of anything like it]"
                "|nothing like it [appears|is visible|can be found] in the reference image]",
                noun=about.noun,
            )
        ending.insert(voice.number() % 2, sentence(there))
    return _text([first, *core], voice.shuffled(own), " ".join(ending), THINK, voice)


def _reason_normal(case: Case, facts: Facts, voice: Voice) -> str:
    first = sentence(
        voice.say(
            "[{scanning} {object} {manner}, I [find|see|notice] {quiet}"
            "|a {scan} of {object} {manner} [brings out|reveals|shows|turns up] {quiet}"
            "|I {look} {object} {manner} and [find|see|notice] {quiet}]",
            quiet=voice.say(
                "[no [area|place|zone] that [stands apart|falls out of the overall pattern|calls for a second look]"
                "|nothing that [stands apart|falls out of the overall pattern|calls for a closer look]"
                "|[one coherent pattern|a consistent picture] with no [foreign element|odd area|conspicuous place] in "
                "it]"
            ),
            **_scanned(case, voice),
        )
    )
    sound = sentence(
        voice.say(
            "[[judged by|measured against|held against] [usual|general] [quality|inspection] standards, {state}"
            "|{state}, as [inspection standards demand|it should be|quality standards require|is usual in a sound "
            "part]]",
            state=voice.say(
                "[the [surface|finish] [has|shows] no [scratch, stain or rubbed area|stain, hole or scratch], and [the "
                "[form|shape] is [complete|intact]|no piece is missing]"
                "|[appearance, surface and structure are|surface quality and structure are|surface and form are] "
                "[sound|in order], [with no damage, no deposit and no deformation|without damage, deposits or "
                "deformation]"
                "|I see no [hole|abrasion], no [scratch|stain] and no [missing piece|deformation], and the finish is "
                "[consistent|intact]"
                "|neither [contamination|foreign material] nor [abrasion|a scratch|a hole] [is visible|can be seen], "
                "and "
                "the [form is regular|material is unbroken]"
                "|appearance is [consistent|clean], the surface carries no [damage|scratch or stain], and the "
                "structure is "
                "[complete|intact]]"
            ),
        )
    )
    last = sentence(
        voice.say(
            "[[so|therefore|hence] [this is a normal part|there is no anomaly|no defect is present], and [appearance "
            "and "
            "function are not affected|nothing [impairs|limits] its [use|function or appearance]|it [can|may] be used "
            "as "
            "intended]"
            "|[the decision|the conclusion|my judgement] is that [no anomaly is present|there is no defect], with "
            "[nothing that would affect fit or function|no effect on appearance or use|function and appearance as they "
            "should be]"
            "|[on balance|taken together|all in all], the {product} image shows [no anomaly|no defect|a defect-free "
            "product], "
            "[so [function|use] [is not affected|stays as intended]|and its [function|use] is not affected]]",
            product=product_name(case.sample.category),
        )
    )
    spare = _scene_clauses(facts, voice, compared=bool(case.shot))
    if case.shot:
        against = _likeness_clauses(facts, "this image", voice)
        opened = voice.say("[next to|against|beside] the reference image, ") + against[0]
        spare = [opened, *_alternate(spare, against[1:])]
    return _text([first], spare, f"{sound} {last}", THINK, voice)


def _nothing_departs(case: Case, voice: Voice) -> str:
    return voice.say(
        "[no [local|single] area departs from the reference in a way that [amounts to|would count as] a defect"
        "|nothing in the query [amounts to|can be called] a defect, and the [surface is sound|part appears intact]"
        "|taken together, [these points|the observations] describe the {product} without [visible |]defects"
        "|neither photograph shows a flaw, [so|and] the [query passes as normal|part is judged normal]"
        "|the comparison [brings out|reveals] no defect, [and|so] the {product} surface [passes|is accepted as sound]]",
        product=product_name(case.sample.category),
    )


def _scanned(case: Case, voice: Voice) -> dict[str, str]:
    """Words for looking over the whole product: the spatial layer's opening."""
    return {
        "scanning": voice.pick(
            ("scanning", "inspecting", "going over", "checking", "surveying", "looking over", "examining")
        ),
        "scan": voice.pick(("scan", "check", "survey", "inspection", "review")),
        "look": voice.pick(("scan", "inspect", "go over", "check", "survey", "look over", "examine")),
        "object": voice.say(
            "[the {product}|the surface of the {product}|this view of the {product}|the photographed {product}]",
            product=product_name(case.sample.category),
        ),
        "manner": voice.pick(
            (
                "from edge to edge",
                "area by area",
                "over the whole field of view",
                "step by step",
                "from one end to the other",
            )
        ),
    }


def _led(leads: Sequence[str], clause: str, voice: Voice) -> str:
    """The clause, on every second occasion behind one of the lead-ins if it begins with its subject."""
    plain = clause.startswith(("it", "they", "their", "the ", "a ", "sound", "intact", "light and"))
    return voice.pick(leads) + clause if plain and voice.number() % 2 else clause


def _subject(case: Case, facts: Facts, voice: Voice) -> on.Subject:
    if facts.defect is None or case.region is None or case.sample.coarse_type is None:
        raise ValueError(f"{case.sample.sample_id}: a defect's text needs its measurements, region and coarse type")
    return on.subject(facts.defect, case.region, case.sample.coarse_type, voice)


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


def _scene_clauses(facts: Facts, voice: Voice, *, compared: bool) -> list[str]:
    """The query as a whole; `compared` when the reference may be named beside it."""
    scene = facts.scene
    return _spoken(
        (
            lambda: of.part_tone(scene, voice) or of.tone(scene, voice),
            lambda: of.light(scene, voice),
            lambda: of.grain(scene, voice),
            lambda: of.edges(scene, voice),
            lambda: of.symmetry(scene, voice),
            lambda: of.extent(scene, voice),
            lambda: of.silhouette(scene, voice),
            lambda: (of.shared_details(facts, voice) if compared else None) or of.details(scene, voice),
        ),
        voice,
    )


def _likeness_clauses(facts: Facts, query: str, voice: Voice) -> list[str]:
    return _spoken(
        (
            lambda: of.exposure(facts, query, voice),
            lambda: of.shared_texture(facts, voice),
            lambda: of.shared_extent(facts, voice),
        ),
        voice,
    )


def _spoken(speakers: Sequence[Callable[[], str | None]], voice: Voice) -> list[str]:
    """What the speakers have to say, in an order of the voice's own."""
    return [clause for speak in voice.shuffled(speakers) if (clause := speak()) is not None]


def _alternate(one: Sequence[str], other: Sequence[str]) -> list[str]:
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
    """Sentences from `spare`, in its order, until the sample's own length is reached; none that would pass the "
    "longest.
    """
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
