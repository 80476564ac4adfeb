"""Sentences about a whole photograph, and about the query beside the reference: what was measured, in plain words.

Each function returns None where the measurement says nothing worth saying. Templates hold alternatives (`words.Voice`);
none may contain a direction word outside the location's name, since whoever reads the reasoning reads those as places.
"""

from __future__ import annotations

import math

from expertad.teachers.grounding.colors import hue_word
from expertad.teachers.grounding.facts import Facts, Scene
from expertad.teachers.grounding.words import Voice, about, count_word, direction_word, joined, percent


def tone(scene: Scene, voice: Voice) -> str:
    """The frame's colours, largest first."""
    (first, share), *rest = scene.colors
    others = [name for name, part in rest if part >= 0.12][:2]
    facts = {
        "first": first,
        "share": percent(share),
        "others": joined(others) if others else "",
        "all": joined([first, *others]),
    }
    if share >= 0.8:
        return voice.say(
            "[{first} [dominates the frame|is the ruling colour], [filling|covering|taking up] roughly {share} of it"
            "|[almost everything in view|nearly the whole frame] is {first}"
            "|[the view|the picture] is [almost entirely|nearly all] {first}, at about {share} of the [area|pixels]]",
            **facts,
        )
    if not others:
        return voice.say(
            "[{first} leads with about {share} of the [frame|view], the rest dividing into several minor tones"
            "|tones are [varied|mixed], {first} being the [most frequent|commonest] at around {share}"
            "|[no colour takes over|colours are spread out]; {first} comes first with {share}]",
            **facts,
        )
    return voice.say(
        "[colour [moves between|is divided among] {all}, the first of them [holding|taking] about {share}"
        "|[the [palette|colouring] consists mainly of|the view is made up chiefly of] {first}, "
        "[followed by|along with|next to] {others}"
        "|{first} [covers|accounts for|makes up] roughly {share} of the [frame|view], [with|beside] {others} "
        "[in the remainder|in most of the remaining area|elsewhere]]",
        **facts,
    )


def part_tone(scene: Scene, voice: Voice) -> str | None:
    """The part's own colours, where it can be told from the background."""
    if not scene.part_colors:
        return None
    (first, share), *rest = scene.part_colors
    others = [name for name, part in rest if part >= 0.12][:2]
    if share >= 0.75 or not others:
        return voice.say(
            "[the part itself is [mostly|mainly|largely] {first}[, on about {share} of its area|]"
            "|{first} is the main colour of the part[ itself|], at about {share}]",
            first=first,
            share=percent(share),
        )
    return voice.say(
        "[the part itself [shows|combines] {all}, [with {first} in the lead|{first} being the main colour]"
        "|on the part, {first} [leads|comes first], [followed by|next to] {others}"
        "|the part's own colours are {all}]",
        first=first,
        others=joined(others),
        all=joined([first, *others]),
    )


def silhouette(scene: Scene, voice: Voice) -> str | None:
    """Whether the part's rim has indentations, where it can be told from the background."""
    if scene.silhouette is None:
        return None
    if scene.silhouette >= 0.97:
        return voice.say(
            "[the part's rim [runs|goes round] without [a notable|any notable|an appreciable] indentation"
            "|the silhouette of the part is closed and [full|free of bays]"
            "|[no|not one] larger bay or recess [cuts|reaches] into the rim of the part]"
        )
    return voice.say(
        "[the part has a [branched|recessed|many-sided] silhouette that fills {share} of its convex [hull|envelope]"
        "|[its|the part's] silhouette has bays of its own and fills {share} of the convex [hull|envelope] around it]",
        share=percent(scene.silhouette),
    )


def light(scene: Scene, voice: Voice) -> str:
    """How far lightness ranges and how it changes over the frame."""
    depth = "dark" if scene.lightness < 35 else "medium" if scene.lightness < 62 else "light"
    facts = {"depth": depth, "spread": f"{scene.spread:.0f}", "falloff": f"{scene.falloff:.0f}"}
    if scene.falloff < 8:
        return voice.say(
            "[[illumination|lighting] is even: no ninth of the frame differs from another by more than "
            "{falloff} lightness points"
            "|[brightness|exposure] stays [level|steady] over the frame, at a {depth} overall tone"
            "|averaged over nine equal parts of the frame, lightness [stays within|varies by only] {falloff} points]",
            **facts,
        )
    if scene.spread < 30:
        return voice.say(
            "[contrast is [low|mild], with only {spread} lightness points between [dark and light|shade and light] "
            "parts"
            "|[the overall tone|the exposure] is {depth} and [soft|low in contrast]]",
            **facts,
        )
    return voice.say(
        "[[brightness|lightness] [changes gradually|shifts] across the frame, by {falloff} points from its darkest "
        "ninth to its lightest"
        "|[overall tone|exposure] is {depth}, with a range of {spread} lightness points between its darkest and "
        "lightest parts"
        "|[shadow and light|dark and bright zones] lie {spread} lightness points apart]",
        **facts,
    )


def grain(scene: Scene, voice: Voice) -> str:
    """How rough the flatter half of the frame is."""
    if scene.grain < 0.25:
        return voice.say(
            "[[flat areas|the quiet zones] are [smooth|free of visible grain]|[the plain areas show|there is] "
            "[hardly any|next to no] [grain|texture] [where the surface is plain|away from the edges]]"
        )
    if scene.grain < 0.9:
        return voice.say(
            "[a [fine|light|faint] [grain|texture] [runs through|is visible in] the [plainer|flatter|quieter] areas"
            "|[texture|grain] is fine [away from the edges|between the edges|where no edge passes]"
            "|the [plainer|flatter] zones carry a [fine|slight] grain]"
        )
    return voice.say(
        "[[even the plainer areas are|the whole surface is] [visibly|clearly] [textured|grained]"
        "|a [pronounced|coarse] [grain|texture] [fills|covers] [the plainer areas too|also the quieter zones]]"
    )


def edges(scene: Scene, voice: Voice) -> str:
    """How much of the frame strong edges take, and whether they share a direction."""
    facts = {"share": about(scene.edges)}
    if scene.direction is not None and scene.edges >= 0.01:
        facts["direction"] = direction_word(scene.direction)
        return voice.say(
            "[[strong edges|hard edges|clear edges] [mostly run|run chiefly] in one {direction} direction"
            "|the [lines|edges] follow a [common|shared] {direction} [direction|course]"
            "|[the structure is drawn by|structure comes from] {direction} edges, [which take|taking] up {share} of "
            "the [frame|view]]",
            **facts,
        )
    if scene.edges < 0.01:
        return voice.say(
            "[[hardly any|few] [hard|strong] edges [cross|divide] the [view|frame]"
            "|[strong|hard] tone steps are [rare|scarce], on {share} of the pixels]",
            **facts,
        )
    return voice.say(
        "[[strong|hard] edges [take up|occupy] {share} of the [frame|view] and [point in several directions"
        "|keep to no single direction]|[clear|hard] edges run in several directions]",
        **facts,
    )


def symmetry(scene: Scene, voice: Voice) -> str | None:
    """Mirror symmetry, where there is a good deal of it."""
    if max(scene.mirror) < 0.85 or scene.spread < 12:
        return None
    axis = "upright" if scene.mirror[0] >= scene.mirror[1] else "level"
    return voice.say(
        "[the [view|layout] is close to mirror-symmetric about [an|its] {axis} axis"
        "|mirrored [about|across] an {axis} axis, the [picture|view] [nearly repeats itself|stays much the same]]",
        axis=axis,
    )


def extent(scene: Scene, voice: Voice) -> str | None:
    """How much of the frame the part fills, where a plain background allows telling."""
    if scene.part_share is None or scene.background is None:
        return None
    return voice.say(
        "[the part [fills|takes up|occupies] about {share} of the frame[, set| and stands out] against a plain "
        "{background} background"
        "|[against|before] a plain {background} background, the part [takes up|covers] roughly {share} of the "
        "[view|frame]]",
        share=percent(scene.part_share),
        background=scene.background,
    )


def details(scene: Scene, voice: Voice) -> str | None:
    """Small isolated spots of contrast: none, or how many and whether they gather."""
    if scene.details <= 1:
        return voice.say(
            "[[no|not one] isolated [fleck|speck|dot] stands out at this [scale|magnification]"
            "|there are no [stray|isolated] [dots or flecks|flecks] of contrast]"
            if scene.details == 0
            else "[only one small isolated detail [stands out|catches the eye]|a single small fleck of contrast is "
            "present]"
        )
    if scene.details_cell > 0.5:
        return None
    return voice.say(
        "[{count} small details of contrast [are spread out|lie scattered] [and do not gather|without gathering] in "
        "one place"
        "|[small contrasting details|fine contrasting points], {count} [in number|in all], are [distributed|spread] "
        "over [several parts of the view|the view] rather than [clustered|gathered]]",
        count=count_word(scene.details),
    )


def overall_likeness(facts: Facts, voice: Voice) -> str:
    """How alike query and reference are as whole frames; always says something."""
    like = facts.likeness
    overlap = f"{100 * like.overlap:.0f}%"
    if like.aligned:
        return voice.say(
            "[compared with|set against|laid over|held against] the reference image, the query "
            "[[lines up|coincides] [closely|well] in [layout|structure][, with a correlation of {agreement}|]"
            "|has the same [layout|structure] at the same place[ (correlation {agreement})|]"
            "|[repeats|keeps] the [layout|structure] almost point for point]",
            agreement=f"{like.agreement:.2f}",
        )
    if like.overlap >= 0.8:
        return voice.say(
            "[compared with|beside|next to|set against] the reference image, the query [has|shows] [nearly the same|a "
            "very "
            "similar|much the same] [spread|distribution] of light and dark tones, [overlapping by|with an overlap of] "
            "{overlap}[, although the two frames do not coincide point for point|]",
            overlap=overlap,
        )
    return voice.say(
        "[compared with|set against|beside] the reference image, the query is [framed or posed differently|not "
        "congruent], "
        "so [the comparison|it] rests on [tone and texture|colour and texture] [rather than position|alone]; "
        "[lightness distributions|the tone distributions] overlap by {overlap}",
        overlap=overlap,
    )


def exposure(facts: Facts, query: str, voice: Voice) -> str:
    """Difference in mean brightness and colour of the two frames; `query` is how the text calls the first."""
    lightness, a, b = facts.likeness.shift
    cast = hue_word(a, b) if math.hypot(a, b) >= 5 else None
    if abs(lightness) < 2.5 and cast is None:
        return voice.say(
            "[mean brightness and colour [agree|match] [closely|well] between the two photographs"
            "|[on average|averaged over the frame], [both|the two] photographs are [equally bright|alike in "
            "brightness] "
            "and [have the same colour cast|agree in colour]"
            "|average lightness differs from the reference by less than three points]"
        )
    points = f"{abs(lightness):.0f}"
    change = "lighter" if lightness > 0 else "darker"
    if abs(lightness) < 2.5:
        return voice.say(
            "[{query} has a more {cast} cast [overall|as a whole] than the reference, at the same mean brightness"
            "|as a whole, it [leans|turns] {cast} [against|relative to] the reference]",
            cast=cast,
            query=query,
        )
    tail = f" and more {cast}" if cast else ""
    return voice.say(
        "[as a whole, {query} is {points} lightness [points|units] {change}{tail}"
        "|[mean lightness|average brightness] puts {query} {points} lightness points {change}{tail}[, a difference of "
        "the "
        "whole "
        "exposure|]]",
        points=points,
        change=change,
        tail=tail,
        query=query,
    )


def shared_extent(facts: Facts, voice: Voice) -> str | None:
    """The part's size in the two frames."""
    ratio = facts.likeness.part
    if ratio is None or not 0.97 <= ratio <= 1.03:
        return None
    return voice.say(
        "[the part takes up the same share of the frame in both [photographs|images]"
        "|in size the part [agrees|matches]: its share of the frame differs by less than 3%]"
    )


def shared_texture(facts: Facts, voice: Voice) -> str:
    """Grain of the two frames."""
    ratio = facts.likeness.grain
    if 0.8 <= ratio <= 1.25:
        return voice.say(
            "[surface grain [is of the same strength|is equally fine] in both"
            "|[both frames|the two frames] [carry|have] [comparable|the same degree of] [grain|surface texture]"
            "|[texture|grain] [agrees|matches][, at {ratio} times the reference value| between the two photographs]]",
            ratio=f"{ratio:.2f}",
        )
    return voice.say(
        "[its [plain areas are|finer texture is] [somewhat|a little] {change} than in the reference"
        "|[overall|as a whole], grain comes out {change}, at {ratio} times the reference value]",
        change="rougher" if ratio > 1 else "smoother",
        ratio=f"{ratio:.1f}",
    )


def shared_details(facts: Facts, voice: Voice) -> str | None:
    """Small isolated spots of contrast in both frames."""
    query, reference = facts.scene.details, facts.likeness.details
    if max(query, reference) < 4 or not 0.6 <= (query + 1) / (reference + 1) <= 1.7:
        return None
    return voice.say(
        "[small contrasting details are about as frequent in both, {query} here and {reference} there"
        "|the count of small contrasting details is similar in both ({query} and {reference})]",
        query=count_word(query),
        reference=count_word(reference),
    )
