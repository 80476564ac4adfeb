"""Sentences about a defect: place, form, tone, border, texture, what a sound part would show, and what follows.

Measurements come first; what a defect of a coarse type does to a part is said in general terms only. The defect's
shape noun depends on form and size alone, so that it can be checked against the image.
"""

from __future__ import annotations

from dataclasses import dataclass

from expertad.sample import Region
from expertad.teachers.grounding.colors import comparative
from expertad.teachers.grounding.facts import Defect
from expertad.teachers.grounding.finetypes import Rule
from expertad.teachers.grounding.words import (
    Voice,
    count_word,
    direction_word,
    percent,
    plural,
    points,
    size_word,
    times,
)

UNCOUNTABLE = frozenset(
    {
        "bending",
        "breakage",
        "debris",
        "deterioration",
        "dirt",
        "extraneous material",
        "foreign matter",
        "grinding damage",
        "material damage",
        "structural damage",
        "surface contamination",
        "surface damage",
        "surface erosion",
        "surface wear",
        "warping",
        "wear",
    }
)


@dataclass(frozen=True, slots=True)
class Subject:
    """How one text speaks of its defect: one noun throughout, and the verbs' endings that go with it."""

    defect: Defect
    region: Region
    coarse: str
    noun: str

    @property
    def grammar(self) -> dict[str, str]:
        """Pronoun and endings for one piece or several."""
        one = self.defect.pieces == 1
        return {
            "it": "it" if one else "they",
            "its": "its" if one else "their",
            "them": "it" if one else "them",
            "this": f"this {self.noun}" if one else f"these {plural(self.noun)}",
            "noun": self.noun if one else plural(self.noun),
            "is": "is" if one else "are",
            "has": "has" if one else "have",
            "s": "s" if one else "",
            "es": "es" if one else "",
            "largest": "it" if one else "the largest of them",
        }

    def say(self, voice: Voice, template: str, **facts: object) -> str:
        """A template with this subject's grammar and place filled in."""
        return voice.say(template, **self.grammar, **facts)


def subject(defect: Defect, region: Region, coarse: str, voice: Voice) -> Subject:
    """The noun for a defect of this form, chosen once for a text."""
    if coarse in {"Missing parts", "Deformation"}:
        # Form that is absent or changed is no thing of its own; only the area it takes can be spoken of.
        long = "narrow " if defect.elongated else ""
        options = tuple(f"{word} {long}area" for word in ("anomalous", "abnormal", "defective"))
    elif defect.aspect >= 6:
        options = ("streak", "line", "trace")
    elif defect.elongated:
        options = ("elongated patch", "narrow patch", "elongated mark", "narrow mark")
    elif defect.area / defect.pieces < 0.002:
        options = ("spot", "mark", "speck" if defect.area / defect.pieces < 0.0004 else "patch")
    else:
        options = ("patch", "mark")
    return Subject(defect, region, coarse, voice.pick(options))


def place(region: Region, voice: Voice) -> str:
    """Where: the location's exact name, in a phrase such as "in the top left part of the frame".

    A defect that reaches into other cells is there mainly, since the location is the cell with most of it.
    """
    frame = voice.pick(("frame", "image", "view", "picture"))
    mainly = "[mainly|chiefly|mostly] " if len(region.cells) > 1 else ""
    if region.grid >= 4:
        return voice.say(mainly + "[in|at|within] {name} of the {frame}", name=region.location, frame=frame)
    return voice.say(
        mainly + "[[in|within] the {name} [part|section|portion]|[at|in] the {name}] of the {frame}",
        name=region.location,
        frame=frame,
    )


def amount(about: Subject, voice: Voice) -> str:
    """How many and how large, such as "a small streak" or "three separate spots"."""
    defect = about.defect
    apart = "[distinct|isolated|conspicuous|clearly visible|visible]"
    if defect.pieces > 1:
        return voice.say(
            "{count} " + (apart if defect.pieces > 12 else "[distinct|isolated|separate, distinct]") + " {nouns}",
            count=count_word(defect.pieces),
            nouns=plural(about.noun),
        )
    apart = f"{apart} " if defect.area >= 0.004 else ""
    return voice.say("a " + apart + "{size} {noun}", size=size_word(defect.area), noun=about.noun)


def coverage(about: Subject, voice: Voice) -> str:
    """Share of the frame, as a clause to follow the amount."""
    share = percent(about.region.area)
    opening = (
        "[covering|taking up|occupying]" if share.startswith("less") else "[covering|taking up|occupying|about|roughly]"
    )
    return about.say(voice, opening + " {share} of the [frame|image area|field of view]", share=share)


def form(about: Subject, voice: Voice) -> str:
    """Shape of the largest piece: elongation and course, or compactness."""
    defect = about.defect
    ratio = times(defect.aspect)
    about_ratio = ratio if ratio.startswith("more") else f"about {ratio}"
    facts = {
        "ratio": ratio,
        "about": about_ratio,
        "direction": direction_word(defect.angle),
        "span": percent(defect.length),
    }
    if defect.straight and about.coarse == "Deformation":
        # A straight course would be praise here: the area is straight, the form is not as it should be.
        return about.say(
            voice, "{largest} is [{about} times as long as wide|drawn out {about} to 1] and {direction}", **facts
        )
    if defect.elongated:
        course = (
            "[straight|without a bend]"
            if defect.bow < 0.025
            else "[nearly straight|only faintly bowed]"
            if defect.straight
            else "[curved|bowed|arched]"
        )
        return about.say(
            voice,
            "[{largest} is {about} times as long as wide, " + course + " and [roughly |]{direction}"
            "|[the course is|in form {largest} is] {direction} and " + course + ", with a length of {about} widths"
            "|{direction} and " + course + ", {largest} [reaches|attains] a length of {about} times its width]",
            **facts,
        )
    if defect.round:
        return about.say(
            voice,
            "[{largest} is [compact and nearly round|close to circular]|the form is [roundish|almost circular]"
            "|[nearly round|roundish] in form, {largest} measures about {span} of the frame's longer edge across]",
            **facts,
        )
    if defect.ragged:
        return about.say(
            voice,
            "[{largest} has a [ragged|jagged|irregular] [shape|form][ with indentations|]"
            "|the shape is [irregular|ragged], [branching or indented|with bays and spurs]]",
            **facts,
        )
    if defect.aspect >= 1.8:
        return about.say(
            voice,
            "[{largest} is [oblong|somewhat stretched], about {ratio} times as long as wide and [roughly |]{direction}"
            "|the form is [oblong|stretched] in a {direction} direction, at {ratio} to 1]",
            **facts,
        )
    return about.say(
        voice,
        "[{largest} is [compact|blocky] [rather than|and not] drawn out"
        "|the form is [compact|blocky], without a preferred direction"
        "|{largest} measures some {span} of the frame's longer edge across and is compact in form]",
        **facts,
    )


def tone(about: Subject, voice: Voice) -> str:
    """Lightness and colour against the ring."""
    defect = about.defect
    word = comparative(defect.inside, defect.around) if defect.tint else None
    if not defect.tone_clear:
        return _within_range(about, word, voice)
    if defect.mixed:
        return about.say(
            voice,
            "[light and dark [lie side by side|alternate] inside {them}: about {dark} of {its} pixels are clearly "
            "darker "
            "and {light} clearly lighter than the surface around"
            "|inside {them}, tones [split|divide] into darker ({dark}) and lighter ({light}) parts than the adjoining "
            "surface]",
            dark=percent(defect.dark_share),
            light=percent(defect.light_share),
        )
    strength = abs(defect.step)
    change = "lighter" if defect.step > 0 else "darker"
    tail = f" and {word}" if word else ""
    if strength < 2.5:
        if word:
            return about.say(
                voice,
                "[{its} tone is {word} than that of the surroundings, at [nearly|about] the same lightness"
                "|colour, not lightness, sets {them} apart: {it} look{s} {word} than the adjoining surface]",
                word=word,
            )
        return about.say(
            voice,
            "[{its} tone [is close to|hardly differs from] that of the [adjoining|surrounding] surface"
            "|in lightness {it} [blend{s} with|stay{s} close to] the surroundings]",
        )
    degree = voice.pick(
        ("slightly", "a little")
        if strength < 7
        else ("clearly", "noticeably", "distinctly")
        if strength < 16
        else ("much", "considerably", "far")
    )
    ratio = defect.brightness
    share = f"{ratio:.1f} times" if ratio >= 1.25 else f"{100 * ratio:.0f}% of"
    return about.say(
        voice,
        "[{it} {is} {degree} {change}{tail} than the [surface around|surroundings|adjoining surface]"
        "[, at about {share} the surrounding brightness|]"
        "|[against|relative to] the [adjoining|neighbouring|surrounding] surface {it} [appear{s}|look{s}|come{s} out] "
        "{degree} {change}{tail}[, with about {share} its brightness|]"
        "|{its} tone is {degree} {change}{tail} than that of the [adjoining|neighbouring] surface, by about "
        "{points} of lightness]",
        degree=degree,
        change=change,
        tail=tail,
        share=share,
        points=points(strength),
    )


def _within_range(about: Subject, word: str | None, voice: Voice) -> str:
    """Tone where the surroundings are so uneven that lighter or darker would mislead."""
    if word:
        return about.say(
            voice,
            "[in colour {it} look{s} {word} than the surroundings, while {its} lightness [lies|stays] within their "
            "range"
            "|{it} {is} {word} than the [surroundings|surface around], whose lightness varies [widely|too much to "
            "compare]]",
            word=word,
        )
    return about.say(
        voice,
        "[{its} tone [lies|stays] within the range of the surroundings, which [run from dark to light|are uneven in "
        "tone]"
        "|light and dark areas [adjoin|surround] {them}, and {its} own tone lies between them"
        "|{its} lightness alone does not set {them} apart, since the surroundings [vary widely|are uneven in tone]]",
    )


def border(about: Subject, voice: Voice) -> str | None:
    """Whether the tone changes at once or gradually."""
    if about.defect.sharp is None:
        return None
    if about.defect.sharp:
        return about.say(
            voice,
            "[{its} border is [crisp|sharp]|the [transition|tone step] at {its} border is [abrupt|crisp]"
            "|{it} end{s} [abruptly|in a clean tone step]]",
        )
    return about.say(
        voice,
        "[{its} border is [soft|diffuse]|{it} fade{s} [gradually|softly] into the [surroundings|adjoining surface]"
        "|the transition at {its} border is gradual]",
    )


def texture(about: Subject, voice: Voice) -> str | None:
    """Roughness and streaks inside, where the defect is large enough to have them."""
    defect = about.defect
    if defect.roughness is None:
        return None
    if defect.streaks is not None and not defect.elongated:
        return about.say(
            voice,
            "[[fine|parallel] {direction} streaks [run through|fill] {them}|{its} inside is streaked in a {direction} "
            "direction]",
            direction=direction_word(defect.streaks),
        )
    if defect.roughness >= 1.35:
        return about.say(
            voice,
            "[the surface [is|turns] rougher there, with {ratio} times the local tone variation of the surroundings"
            "|{its} texture is [rougher|coarser] than [nearby|the adjoining finish]]",
            ratio=f"{defect.roughness:.1f}",
        )
    if defect.roughness <= 0.7:
        return about.say(
            voice,
            "[the surface [is|turns] smoother there, with {share} of the local tone variation found nearby"
            "|{its} inside is [smoother|plainer] than the [adjoining finish|surface nearby]]",
            share=f"{100 * defect.roughness:.0f}%",
        )
    return about.say(
        voice,
        "[{its} texture [stays close to|resembles] that of the [adjoining surface|surroundings]"
        "|in grain {it} [do{es} not differ|hardly differ{s}] from the [surface nearby|adjoining finish]]",
    )


def structure(about: Subject, voice: Voice) -> str | None:
    """Its relation to the part's silhouette, or to the border of the photograph."""
    defect = about.defect
    if defect.shows_background:
        return about.say(
            voice,
            "[the [tone|colour] inside {them} is that of the background[, not of the part|]"
            "|the background's [tone|colour] [shows|appears] [inside|within] {them}]",
        )
    if defect.at_silhouette:
        return about.say(
            voice,
            "[{it} reach{es} the [rim|silhouette] of the part, [where it meets|next to] the background"
            "|the part's [silhouette|rim] [is affected|is involved], since {it} touch{es} the background]",
        )
    if defect.at_silhouette is False:
        return about.say(
            voice,
            "[{it} [lie{s}|sit{s}] within the part, [clear of its rim|away from its silhouette]"
            "|the [rim|silhouette] of the part is not touched by {them}]",
        )
    if defect.at_frame:
        return about.say(voice, "{it} run{s} [up to|out to] the [border|limit] of the photograph")
    return None


def caveat(about: Subject, voice: Voice) -> str | None:
    """Surroundings that vary more than the defect departs from them."""
    defect = about.defect
    if defect.noise < 8 or defect.noise < abs(defect.step) or defect.mixed or not defect.tone_clear:
        return None
    return about.say(
        voice,
        "[the surface around varies too, with a standard deviation of {noise} points of lightness|[tone around {them} "
        "is "
        "uneven as well|the surroundings are themselves uneven in tone]]",
        noise=f"{defect.noise:.0f}",
    )


def reference_there(about: Subject, voice: Voice) -> str | None:
    """The same place of an aligned reference, where it lacks the defect's tone step."""
    step, there = about.defect.step, about.defect.reference_step
    if there is None or abs(step) < 5 or abs(there) > 0.4 * abs(step):
        return None
    return about.say(
        voice,
        "[at the same place, the reference image [has|shows] no such tone step: {there} of lightness [there, {step} "
        "here|against "
        "{step}]"
        "|the reference image runs on [evenly|almost evenly] at this very place, with a tone step of {there} "
        "[against|where the "
        "inspected part has] {step}]",
        there=points(there),
        step=points(step),
    )


def named(rule: Rule) -> str:
    """The fine-grained term with its article where it takes one; `words.sentence` turns "a" into "an"."""
    return rule.term if rule.term in UNCOUNTABLE else f"a {rule.term}"
