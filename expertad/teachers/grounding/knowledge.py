"""What inspection knows in general: how a sound part would look instead, and what a kind of defect affects.

Both are general to a coarse type and say nothing of a product, since nothing about products is known here. None uses a
word that belongs to another coarse type, or the reasoning would seem to conclude that one.
"""

from __future__ import annotations

from expertad.teachers.grounding.words import Voice

_STANDARD: dict[str, tuple[str, ...]] = {
    "Contamination": (
        "a clean surface [keeps|holds] one [consistent|continuous] tone, so a [local|single] deposit falls short of "
        "that",
        "cleanliness [requires|calls for] [a uniform finish|an even tone], which [is lost|fails] at this place",
        "[nothing in|no feature of] a clean finish [explains|accounts for] such a local change of tone",
        "a finish in order should [carry|show] no [residue|deposit] of this kind",
        "[an|any] otherwise [steady|constant] finish should not change tone [so locally|within so small an area]",
    ),
    "Presence of foreign objects": (
        "[a finished part carries|sound parts carry] only [its|their] own material, and this does not "
        "[continue|match] what "
        "[surrounds it|lies around it]",
        "[such|added] material does not [follow|continue] the surface around, as a feature of the part should",
        "a clean part should [be free of|carry no] loose or added material",
        "a look [so|this] different from its surroundings should not [occur|appear] on a clean part",
        "nothing in the structure [around|nearby] should [call for|require] an extra piece here",
    ),
    "Scratch": (
        "an intact finish should [have|show] no isolated [line|trace] like this",
        "a sound finish should [run on|continue] [without|free of] such a [cut|furrow] in its surface",
        "surface quality calls for a continuous finish, which is [cut|interrupted] here",
        "the course follows no [form|feature] of the part, and a sound finish should be interrupted by nothing else",
        "[a finish|any finish] in order should reflect light [evenly|alike] along this course, and here it does not",
    ),
    "Missing parts": (
        "a complete part should continue [without interruption|as one piece] through this place",
        "completeness requires material [where|at the very place where] the form now stops",
        "the form of a complete part should not stop like this",
        "[where material should continue|where the form should go on], the surface [ends|gives out]",
        "structural completeness is the standard, and here [it is not met|the part falls short of it]",
    ),
    "Deformation": (
        "a part that kept its form should [follow|continue] its regular course here",
        "a true form should [run on|continue] evenly, without such a [local departure|change of shape]",
        "form accuracy calls for a steady [course|shape], which is [lost|disturbed] here",
        "the [shape|structure] here does not [continue|match] the form around it, as a true form should",
        "geometry should stay [true|regular] throughout, and at this place it does not",
    ),
    "Hole": (
        "a closed surface should run on [without|free of] such an interruption",
        "[sound|solid] material should be closed at this place",
        "surface integrity requires closed material, which is [lost|opened] at this place",
        "the material should be continuous, and here it [gives way to|opens into] a recess",
        "no [recess|opening] should [lie|exist] in a closed surface of this kind",
    ),
    "Damage": (
        "intact material should hold together, and here it is broken",
        "structural integrity calls for unbroken material, and this [fails to meet that|is not met here]",
        "a sound part is of one piece [throughout|everywhere], and here the material is broken",
        "the material should be [whole|in one piece], and at this place its [structure|surface] is broken",
        "[regular handling|regular use] leaves no such [break|damaged place] in sound material",
    ),
    "Abrasion": (
        "an unworn finish should keep the same texture [throughout|everywhere]",
        "a finish without rubbing should hold one consistent [look|texture], which changes here",
        "surface quality calls for an unworn finish, and this place [has lost it|departs from that]",
        "[rubbing|friction] changes how a finish [takes the light|reflects light], which [fits|explains] the altered "
        "look",
        "the original finish should [extend|continue] over this place, and it has been rubbed away",
    ),
}

_IMPACT: dict[str, tuple[str, ...]] = {
    "Contamination": (
        "[it|this] [impairs|spoils] [cleanliness and appearance|the clean appearance] and [may|could] "
        "[interfere with|disturb] later [coating, bonding or contact|processing or contact]",
        "[appearance and cleanliness suffer|cleanliness is affected], and the residue may [spread|transfer] in use",
        "the effect is [mainly|chiefly] on appearance and cleanliness, and contact surfaces may suffer",
        "[appearance is affected first|it affects the looks first], and [adhesion or contact|later coating] may be "
        "affected too",
        "the part [needs cleaning|would have to be cleaned] before [use|delivery], since [appearance|cleanliness] is "
        "affected",
    ),
    "Presence of foreign objects": (
        "it [can|could|may] [interfere with|disturb] [fit, assembly or later use|assembly and function][ until "
        "removed|]",
        "[purity and assembly are|cleanliness and fit are] affected[, and it may come loose in use|]",
        "added material [compromises|affects] purity and may [obstruct|hinder] [fit or movement|assembly]",
        "it affects [cleanliness|purity] and [can|could] [get between|jam] [mating surfaces|moving pieces]",
        "[until it is removed|as long as it stays], [fit and cleanliness|assembly and use] are affected",
    ),
    "Scratch": (
        "it [impairs|spoils] the [finish|appearance] and [may|could] [become a starting point for corrosion|weaken "
        "surface "
        "protection]",
        "[appearance suffers|the finish is affected], and surface protection [may|can] be [lost|weakened] along it",
        "the effect [is on|concerns] appearance first, with [possible loss of|a risk to] surface protection",
        "it affects the [looks|appearance] of the part, and [sliding or sealing|protective] surfaces [may|can] suffer "
        "from it",
        "[visual quality|the finish] is affected, while strength [should hardly be|is hardly] touched by so shallow a "
        "trace",
    ),
    "Missing parts": (
        "completeness is lost, which [may|can] affect [fit, sealing or strength|fit and strength]",
        "[fit and function|assembly and strength] [may suffer|are at risk] because material is absent",
        "the absent material [compromises|affects] completeness and [may|can] [impair|reduce] [fit or "
        "sealing|strength]",
        "[assembly|mating] may be affected, since the part is [incomplete|not complete] here",
        "an incomplete part [cannot be relied on for|may affect] [fit and load|assembly and load bearing]",
    ),
    "Deformation": (
        "[fit and alignment|alignment and assembly] [may suffer|are affected|are at risk] when the form departs like "
        "this",
        "it [affects|compromises] dimensional accuracy and [may|can] [hinder|disturb] [assembly|fit]",
        "a changed form [affects|impairs] fit[, alignment| or load bearing] and so [possibly|perhaps] function",
        "[mating surfaces|adjoining parts] may no longer [meet|fit] as they should, which affects [assembly|function]",
        "it affects the part's geometry, and with it [fit|alignment] and [even load|assembly]",
    ),
    "Hole": (
        "it [weakens|interrupts] the material and [may|can] affect [sealing or strength|strength and service life]",
        "[strength and tightness|surface integrity and strength] [may suffer|are affected]",
        "the [interrupted|opened] surface [compromises|affects] integrity and [may|can] [grow under load|impair "
        "sealing]",
        "it affects [tightness|sealing] and [can|may] concentrate [stress|load] at its rim",
        "[dirt or moisture can collect in it|it can let moisture in], and strength is affected[ too| as well]",
    ),
    "Damage": (
        "it [compromises|affects] integrity and [may|can] [reduce strength|spread under load]",
        "[strength and reliability|integrity and service life] [may suffer|are at risk]",
        "the broken material [weakens|impairs] the part and [may|can] affect its function",
        "it affects strength first, and [appearance|reliability] [as well|with it]",
        "[further|continued] loading [may|can] enlarge it, which affects [reliability|strength and safety]",
    ),
    "Abrasion": (
        "it [affects|impairs] the finish and [may|can] [shorten service life|lead to further wear]",
        "[surface protection and appearance|finish and durability] [suffer|are affected]",
        "the rubbed finish [affects|lowers] surface quality and [may|can] [reduce|limit] durability",
        "it affects appearance now and [may|can] affect [protection|fit] as rubbing goes on",
        "[protection of the surface|the protective finish] is thinned, which affects [durability|service life]",
    ),
}


def standard(coarse: str, voice: Voice) -> str:
    """How a sound part would look instead.

    Raises:
        KeyError: `coarse` is not one of taxonomy.COARSE_TYPES.
    """
    return voice.say(voice.pick(_STANDARD[coarse]))


def impact(coarse: str, voice: Voice) -> str:
    """What a defect of this coarse type affects.

    Raises:
        KeyError: `coarse` is not one of taxonomy.COARSE_TYPES.
    """
    return voice.say(voice.pick(_IMPACT[coarse]))
