"""Privileged information: what the teacher was shown or told and the student will not have.

The teacher sees an outline or box drawn in some color around the defect, is told the coarse type and the place, and
sees a normal reference. A think that speaks of any of it teaches the student to invent sources. The words for these
things are also plain words for products ("label", "mask", "outline", "box", "arrow", "standard", "reference plane"),
so every rule is a word together with what makes it a leak, and an exception where inspection English means the
product. A rule rejects when no reading about the product is left, and asks a person when one is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from expertad import taxonomy
from expertad.checks.finding import Finding, Severity, quote
from expertad.checks.reading import Reading
from expertad.sample import Case, Draft

_COLOR = r"(?:red|green|blue|yellow|orange|magenta|cyan|purple|pink|violet|lime)"
_ANY_COLOR = (
    r"(?:red|green|blue|yellow|orange|magenta|cyan|purple|pink|violet|lime|white|black|colou?red|bright|neon|"
    r"dashed|dotted)"
)
_REGION = (
    r"(?:areas?|regions?|zones?|sections?|spots?|locations?|places?|positions?|sites?|portions?|patch(?:es)?|"
    r"parts?|points?)"
)
_SHAPE = (
    r"(?:box(?:es)?|rectangles?|squares?|circles?|ellipses?|ovals?|contours?|polygons?|frames?|outlines?|"
    r"borders?|overlays?)"
)
_FOUND = (
    r"(?:defects?|anomal\w+|flaws?|faults?|damage|scratch\w*|holes?|contaminat\w+|deformations?|abrasions?|"
    r"stains?|marks?)"
)
# What is really on a product: printed, moulded, stuck on or built in.
_ON_PRODUCT = (
    r"\b(?:print\w*|emboss\w*|engrav\w*|etch\w*|stamp\w*|silkscreen\w*|silk-?screen\w*|paint(?:ed|ing)?|"
    r"mold\w*|mould\w*|logo|lettering|letters?|text|symbols?|icons?|sticker|polarity|serial|part number|brand|"
    r"ink|insulation|wires?|cables?|sleeves?|packag\w*|carton|cardboard|decorat\w*|pattern|warning|"
    r"graphics?)\b"
)
_GIVEN_NOUN = (
    r"(?:information|info|locations?|labels?|types?|descriptions?|coordinates|hints?|contexts?|details|data|"
    r"annotations?|categor(?:y|ies)|class(?:es)?|guidance|instructions?|criteria|captions?|masks?|cues?|"
    r"clues?|defect (?:type|location|class)|coarse type|regions?|areas?)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to leak.

    Args:
        family: what leaks; part of every reason.
        severity: "reject" or "person".
        pattern: searched in a sentence in lower case.
        triggers: literal strings of which one must be in the text; only a filter for speed.
        unless: no finding when this matches in the same sentence, within 60 characters of the match.
        why: ends the reason.
        zero_shot: applies only where the student sees no reference.
    """

    family: str
    severity: Severity
    pattern: re.Pattern[str]
    triggers: tuple[str, ...]
    why: str
    unless: re.Pattern[str] | None = None
    zero_shot: bool = False


_RULES: list[Rule] = []


def _rule(
    family: str,
    severity: Severity,
    triggers: str,
    pattern: str,
    why: str,
    *,
    unless: str | None = None,
    zero_shot: bool = False,
) -> None:
    compiled = re.compile(unless) if unless else None
    _RULES.append(Rule(family, severity, re.compile(pattern), tuple(triggers.split("|")), why, compiled, zero_shot))


# --- highlight: something drawn into the teacher's image ------------------------------------------
_DRAWN = "the student's image has nothing drawn into it"
_LIGHT = (
    r"light(?:ing|s)?|illuminat\w+|contrast|glare|reflecti\w+|shadows?|sheen|gloss\w*|specular|shin[ey]\w*|"
    r"metallic|chrome\w*|sun\w*"
)

_rule(
    "highlight",
    "reject",
    "highlighted",
    r"\bhighlighted\b",
    _DRAWN,
    unless=r"\bhighlighted (?:only |further |clearly )?(?:by|under|in|against|through) (?:the |its |a |"
    rf"this )?(?:[\w-]+ ){{0,2}}(?:{_LIGHT}|difference|absence|fact|change|lack|surrounding|smooth\w*)\b|"
    rf"\b(?:{_LIGHT}) (?:is |are |has |have |had )?(?:clearly )?highlighted\b",
)
_rule(
    "highlight",
    "reject",
    "highlight",
    rf"\b{_COLOR}[- ]highlight|\bhighlight(?:s|ing)? (?:in|with) (?:a )?{_ANY_COLOR}|"
    r"\bhighlight(?:s|ing)? (?:box|mark(?:s|ed)? the|surround\w*|around|on the (?:image|picture)|indicat\w+|"
    r"show\w* (?:where|the location)|enclos\w+|covers?|drawn|overlay)|\b(?:drawn|digital|annotation|visual|"
    r"given|provided|added) highlight",
    _DRAWN,
)
_rule(
    "highlight",
    "person",
    "highlight",
    r"\b(?:the|this|a|its|by) highlight(?:s|ing)?\b(?! (?:the |an? |this |that |how |why |its )?(?:need|"
    r"importance|fact|issue|problem|failure|risk|difference|contrast|deviation))",
    "may mean a marking in the image or a reflection of light",
    unless=rf"\b(?:{_LIGHT}|edge|rim|curv\w+|metal|bright)\b",
)
_rule(
    "highlight",
    "reject",
    "outlin",
    rf"\boutlined (?:[\w-]+ ){{0,2}}{_REGION}\b|\b{_REGION}(?: [\w-]+){{0,3}} outlined\b|"
    rf"\boutlined (?:in|by|with) (?:a |the )?(?:[\w-]+ )?{_ANY_COLOR}\b|\b{_ANY_COLOR}[- ]outlin\w+|"
    r"\b(?:drawn|thick|visible|given|provided|superimposed|annotated|marked) outlines?\b|"
    r"\b(?:the|an|this) outline (?:marks?|indicat\w+|shows? (?:where|the (?:location|defect|anomal))|"
    r"highlights?|surrounds?|encloses?|drawn|delimits?|encompass\w+)|"
    r"\b(?:with)?in(?:side)? the outline\b(?! of)",
    _DRAWN,
    unless=r"\b(?:letters?|logo|text|symbols?|icons?|printed|characters?|digits?|graphic)\b",
)
_rule(
    "highlight",
    "reject",
    "outlin",
    rf"\b{_FOUND}(?: \w+){{0,2}} (?:is|are|being) outlined\b|\bthe outlined\b",
    _DRAWN,
    unless=r"\b(?:letters?|logo|text|symbols?|icons?|printed|procedure|steps?|requirements?)\b",
)
_rule("highlight", "reject", "bounding", r"\bbounding[- ]?(?:box|rectangle|region|circle|area)", _DRAWN)
_rule(
    "highlight",
    "reject",
    "box|rectang|square|circle|ellips|oval|contour|polygon|frame|border|overlay",
    r"\b(?:(?:with)?in|inside|by|under|enclosed (?:by|in|within)|surrounded by|of) (?:the|a|this|"
    rf"that) (?:[\w-]+ )?{_COLOR} (?:\w+ )?{_SHAPE}\b|\b{_COLOR} (?:bounding |dashed |marking )?(?:box|"
    r"rectangle|polygon|overlay|bounding)\b(?!-)",
    _DRAWN,
    unless=_ON_PRODUCT + r"|\bbox[- ](?:shaped|like)|\bhousing\b",
)
_rule(
    "highlight",
    "reject",
    "box|rectang|square|circle|ellips|contour|polygon|frame|overlay|border",
    r"\b(?:the|a|this|that|each) (?:[\w-]+ )?(?:box|rectangle|square|circle|ellipse|polygon|frame|overlay|"
    r"contour|border) (?:that |which )?(?:is |was )?(?:clearly )?(?:drawn |placed |added |"
    r"superimposed )?(?:(?:marks?|marking|indicat\w+|highlight\w*|points?|pointing|denot\w+|delineat\w+|"
    r"annotat\w+|delimit\w+|pinpoint\w*|draws|draw|guides?|directs?|focuses|identif\w+|encircles?|captures?|"
    r"contains the|isolates)\b|(?:around|over|surround\w*|enclos\w*|encompass\w*|on) (?:the |this |"
    rf"a )?(?:\w+ )?(?:{_FOUND}|suspect\w*|affected))",
    _DRAWN,
    unless=_ON_PRODUCT + r"|\b(?:lid|hinge|gift|junction|terminal|battery|gear) ?box",
)
_rule(
    "highlight",
    "reject",
    "box|rectang|circle|polygon|ellips",
    r"\b(?:drawn|superimposed|annotated|marked|indicated|highlighted|shown|given|provided) (?:by|with|in|"
    r"using|inside|within) (?:a|the) (?:[\w-]+ )?(?:box|rectangle|circle|polygon|ellipse|oval|arrow|marker)\b",
    _DRAWN,
    unless=_ON_PRODUCT,
)
_rule(
    "highlight",
    "reject",
    "boxed|circled|encircled|annotated|delineated|demarcated|flagged|tagged|cropped|pinpointed",
    r"\b(?:boxed|circled|encircled|annotated|delineated|demarcated|flagged|tagged|cropped|"
    rf"pinpointed)[- ](?:in[- ]|off[- ]|out[- ])?(?:[\w-]+ )?(?:{_REGION}|{_FOUND}|image|view)\b|"
    rf"\b(?:{_REGION}|{_FOUND}|one|image) (?:that |which )?(?:is |are |was |were |has been |"
    r"have been )?(?:boxed|circled|encircled|annotated|delineated|demarcated|flagged|tagged|pinpointed)\b",
    _DRAWN,
)
_rule(
    "highlight",
    "reject",
    "marked",
    r"\bmarked (?:[\w-]+ )?(?:areas?|regions?|zones?|spots?|locations?|positions?|places?|sections?|sites?|"
    rf"points?|{_FOUND})\b|\b(?:{_REGION}|{_FOUND}) (?:that |which )?(?:is |are |was |were |has been |"
    r"have been |as )?marked (?:in the|on the|for|earlier|above|previously|beforehand|here|with an?|"
    r"by (?:the|an?) (?:[\w-]+ )?(?:arrow|box|circle|annotation|line|marker|rectangle|outline))|"
    r"\bmarked (?:earlier|above|previously|beforehand|in the (?:image|picture|photo|query))\b",
    _DRAWN,
    unless=_ON_PRODUCT,
)
_rule(
    "highlight",
    "reject",
    "marked|circled|boxed|outlined|delineated|encircled|traced|indicated|denoted|shown|shaded|tinted",
    r"\b(?:marked|circled|boxed|delineated|encircled|traced|indicated|denoted|shown|shaded|annotated) (?:in|"
    rf"by|with) (?:a |an |the )?(?:[\w-]+ )?{_COLOR}\b(?!-)",
    _DRAWN,
    unless=_ON_PRODUCT + r"|\b(?:oxide|stain\w*|rust\w*|dots?|stripes?|rings?|bands?|ink|tape)\b",
)
_rule(
    "highlight",
    "person",
    "area|region|zone|boundary|marking|shading|tint",
    rf"\b(?:the|this|that) (?:[\w-]+ )?{_COLOR}(?:ish|-colou?red)? (?:areas?|regions?|zones?|boundary|marking|"
    r"shading|tint)\b",
    "may be the color of the teacher's marking",
    unless=_ON_PRODUCT,
)
_rule(
    "highlight",
    "reject",
    "marking|shading|tint|colo",
    rf"\b(?:the )?{_COLOR} (?:marking|colou?ring|tint|shading|line|mark)s? (?:(?:that |which )?(?:marks?|"
    rf"indicat\w+|highlight\w*|denot\w+|points?|surround\w*)|(?:around|over) (?:the |this )?(?:\w+ )?{_FOUND})",
    _DRAWN,
    unless=_ON_PRODUCT,
)
_rule(
    "highlight",
    "reject",
    "enclosed|surrounded|bounded|framed|ringed|bordered|traced|wrapped|encircled",
    r"\b(?:enclosed|surrounded|bounded|framed|ringed|bordered|traced|encircled) (?:by|in|with) (?:a |an |"
    rf"the )?(?:[\w-]+ )?(?:{_COLOR}|colou?red|dashed|dotted) (?:line|border|frame|box|outline|rectangle|"
    r"square|contour|stroke|polygon|dashes)s?\b",
    _DRAWN,
    unless=_ON_PRODUCT,
)
_rule(
    "highlight",
    "reject",
    "identified|marked|selected|specified|determined",
    r"\b(?:pre-?|already |previously )(?:identified|marked|selected|specified|determined|"
    rf"labell?ed) (?:[\w-]+ )?(?:{_REGION}|{_FOUND})\b",
    "the student is told no place",
)
_rule(
    "highlight",
    "person",
    "tinted|shaded|colored|coloured",
    r"\bthe (?:tinted|shaded|colou?red) (?:areas?|regions?|zones?|spots?|sections?)\b",
    "may be the teacher's marking",
)
_rule("highlight", "reject", "annotat", r"\bannotat\w*", "annotations are the teacher's")
_rule(
    "highlight",
    "reject",
    "overlay|overlaid|crosshair|heat|callout",
    r"\b(?:crosshairs?|heat ?maps?|callouts?|saliency|attention map)\b|\boverla(?:y|ys|id)\b",
    _DRAWN,
    unless=r"\b(?:film|foil|plastic|protective|sticker|polycarbonate|keypad|graphic|tape|fabric|"
    r"weld)\b(?! (?:is|has|shows))",
)
_rule(
    "highlight",
    "reject",
    "arrow",
    r"\barrows? (?:\w+ )?(?:point\w*|indicat\w+|mark\w*|show\w*|highlight\w*|drawn|in the image|overlaid|"
    r"locat\w+|draws?)|\b(?:by|with|to|see|following|of) (?:the|an?|this) (?:[\w-]+ )?arrows?\b",
    _DRAWN,
    unless=_ON_PRODUCT + r"|\b(?:raised|direction(?:al)?|recycl\w+|shape[ds]?)\b",
)
_rule(
    "highlight",
    "reject",
    "marker|visual mark|visual indicator",
    r"\bmarkers? (?:\w+ )?(?:point\w*|indicat\w+|mark\w*|show\w*|highlight\w*|drawn|placed|around|"
    r"surround\w*)|\b(?:by|with|from) (?:the|an?) (?:[\w-]+ )?markers?\b|\bvisual (?:markers?|markings?|"
    r"indicators?|annotations?)\b",
    _DRAWN,
    unless=_ON_PRODUCT + r"|\b(?:pen|felt|fiducial|orientation|alignment|ink)\b",
)

# --- mask and coordinates -------------------------------------------------------------------------
_MASK = "the mask is the teacher's"
_rule(
    "mask",
    "reject",
    "mask",
    r"\b(?:segmentation|binary|anomaly|defect|pixel(?:-level|-wise)?|ground[- ]truth|provided|given|supplied|"
    r"annotated|corresponding|associated|accompanying|label) masks?\b|\bmasked (?:areas?|regions?|zones?|"
    r"sections?|parts?|locations?|portions?)\b|\bmasks? (?:image|data|annotation|overlay|region|area|shows?|"
    r"indicat\w+|marks?|confirms?|highlights?|reveals?|covers?|locat\w+|delineat\w+|points?|provided|given)\b",
    _MASK,
    unless=r"\b(?:solder|resist|masking|paint\w*|face|dust|gas|breathing|respirat\w+|tape|stencil|shadow)\b|"
    r"\bsoldermask\b",
)
_rule(
    "mask",
    "person",
    "mask",
    r"\b(?:the|this|a|its) (?:white |black )?masks?\b",
    "may be the segmentation mask",
    unless=r"\b(?:solder|resist|masking|paint\w*|face|dust|gas|breathing|respirat\w+|tape|stencil|toy|doll)\b",
)
_rule(
    "mask",
    "reject",
    "segmentation|pixel|coordinate",
    r"\bsegmentation\b|\bpixel[- ](?:level|wise|coordinates?|positions?|values?)\b|\b(?:given|provided|image|"
    r"box|pixel|specified) coordinates?\b|\bcoordinates? (?:of|at|provided|given|is|are|x|\()",
    _MASK,
)
_rule(
    "mask",
    "reject",
    "[|(",
    r"[\[(]\s*(?:x\s*=\s*)?\d{1,4}(?:\.\d+)?\s*,\s*(?:y\s*=\s*)?\d{1,4}(?:\.\d+)?(?:\s*,\s*(?:[wh]\s*=\s*)?\d{"
    r"1,4}(?:\.\d+)?){0,2}\s*[\])]",
    "coordinates come from the mask, not from looking",
)

# --- label, data set, truth -----------------------------------------------------------------------
_TOLD = "the student is told nothing but the question"
_KINDS = "|".join(re.escape(taxonomy.normalize(c)) for c in taxonomy.COARSE_TYPES)
_rule("label", "reject", "ground", r"\bground[- ]?truths?\b", _TOLD)
_rule(
    "label",
    "reject",
    "coarse|fine",
    r"\b(?:coarse|fine)(?:r|-?grained| grained)? (?:anomaly |defect |grained )?(?:types?|labels?|"
    r"categor(?:y|ies)|class(?:es|ification)?)\b",
    "the taxonomy is the teacher's",
)
_rule(
    "label",
    "reject",
    "label",
    r"\b(?:class|category|anomaly|defect|type|image|sample|true|truth|known|given|provided|dataset|annotated|"
    r"correct|existing|assigned|supplied|source) label(?:s|ed|ing)?\b|\blabell?ed (?:as |with |under |by |"
    r"to be )?(?:an? |the )?['\"(]?(?:anomal|defect|normal\b|abnormal|faulty|good\b|ok\b|ng\b|non-?defect|"
    + _KINDS
    + r")",
    _TOLD,
)
_rule(
    "label",
    "reject",
    "label",
    r"\b(?:according to|per|as per|based on|match(?:es|ing)?|consistent with|in line with|aligns? with|"
    r"agrees? with|confirm(?:s|ed|ing)? (?:by )?|from|given) (?:the |its |this |our )?label(?:s|ing)?\b|"
    r"\blabels? (?:says?|states?|indicat\w+|confirms?|specif\w+|identif\w+|suggests?|provided|given|reads?|is|"
    rf"of) (?:[\w'\"-]+ ){{0,5}}?['\"(]?(?:anomal|defect|normal\b|abnormal|{_KINDS})",
    _TOLD,
    unless=r"\b(?:printed|sticker|adhesive|peel\w*|warning|bottle|paper|barcode|torn|wrinkl\w*|ink|creased)\b",
)
_rule(
    "label",
    "reject",
    "data|training|benchmark|iad|mvtec|json|file|.png|.jp",
    r"\bdata ?sets?\b|\btraining (?:data|set|samples?|examples?|images?)\b|\btest set\b|\breal-?iad\b|"
    r"\bmvtec\b|\bbenchmarks?\b|\bmeta-?data\b|\bjson\b|\bfile ?(?:name|path)s?\b|"
    r"\b[\w-]+\.(?:png|jpe?g|json)\b",
    "speaks of the data, which the student never sees",
    unless=r"\bdata ?set(?:s)? (?:plug|cable)",
)
_rule(
    "label",
    "reject",
    "known|stated|given|said|supposed|reported",
    r"\b(?:known|stated|given|said|supposed|reported|described|specified) (?:to (?:be|contain|have|show)|"
    r"as) (?:an? |the )?(?:\w+ )?(?:anomal\w+|defect\w*|normal\b|abnormal|faulty|" + _KINDS + r")",
    _TOLD,
)
_rule(
    "label",
    "reject",
    "type|class|categor|location|defect|anomal",
    r"\b(?:the|its|this) (?:defect|anomaly|fault)?(?:'s)? ?(?:type|class|category|location|position) (?:is|"
    r"was|has been) (?:already |previously )?(?:known|given|specified|provided|stated|predetermined|"
    r"predefined|labell?ed|supplied|listed as|designated)\b",
    _TOLD,
)
_rule(
    "label",
    "reject",
    "know",
    r"\b(?:we|i) (?:already )?kn[eo]w\b(?: that)?(?: \w+){0,3} (?:defect|anomal|type|location|where|normal|"
    r"faulty)|\bknowing (?:that )?(?:the|this|it) (?:\w+ )?(?:defect|anomaly|location|type|part|is|class)\b",
    _TOLD,
)
_rule(
    "label", "reject", "answer", r"\b(?:correct|expected|required|right|desired|intended|given|known) answer\b", _TOLD
)

# --- given information ----------------------------------------------------------------------------
_rule(
    "given information",
    "reject",
    "prior|previous|earlier|preceding|advance|external|supplement|privileged|background|beforehand",
    r"\b(?:prior|previous|previously|earlier|preceding|advance|external|supplementary|privileged|"
    r"contextual) (?:\w+ )?(?:guidance|information|info|instructions?|indications?|hints?|descriptions?|"
    r"assessments?|context|inputs?|notes?|notice|report(?:s|ed)?|identification|location|labels?|"
    r"statements?)\b",
    _TOLD,
)
_rule(
    "given information",
    "person",
    "prior|previous|background",
    r"\b(?:prior|previous|background) (?:knowledge|analys[ei]s|observations? by|inspections?|data)\b",
    "may be what the teacher was told",
)
_rule(
    "given information",
    "reject",
    "given|provided|supplied|accompanying|attached|specified|indicated|stated|known|available|described",
    r"\b(?:the|this|our|on|from|by|with|all|these|my|your|any|to|of|at|in|its) (?:given|provided|supplied|"
    r"accompanying|attached|stated|indicated|predetermined|pre-?defined|pre-?specified|"
    rf"described) (?:[\w-]+ )??{_GIVEN_NOUN}\b",
    _TOLD,
)
_rule(
    "given information",
    "reject",
    "specified|known|expected|reported|suspected|targeted|designated",
    r"\b(?:the|this|that|a|on|at|its|in|these) (?:specified|known|reported|targeted) (?:[\w-]+ )?(?:areas?|"
    r"regions?|zones?|locations?|sites?|anomal\w+|defects?|types?|class|categor\w+|section|spots?)\b|"
    r"\b(?:expected|known|reported|specified|stated|indicated) (?:defect|anomaly|anomalous|"
    r"fault)(?:'s)? (?:locations?|areas?|regions?|types?|positions?|sites?|zones?|class|categor\w+)\b",
    _TOLD,
    unless=r"\b(?:in the drawing|by the drawing|in the design|defects? in (?:this|such) (?:material|process)|"
    r"(?:known|common) (?:failure|defect) (?:mode|pattern))\b",
)
_rule(
    "given information",
    "person",
    "expected|specified|designated|target|interest|roi",
    r"\b(?:at|in|on|to|within|for|regarding|about) (?:the |these |those )?(?:expected|specified|designated|"
    r"suspected|targeted?|indicated) (?:areas?|regions?|zones?|locations?|positions?|sites?|spots?|points?)\b|"
    r"\bregions? of interest\b|\broi\b",
    "may be the place the teacher was told",
)
_rule(
    "given information",
    "reject",
    "provided|given|supplied|stated|mentioned|outlined|specified|indicated|described|listed|marked",
    r"\b(?:information|details|descriptions?|context|hints?|guidance|criteria|locations?|labels?|type|"
    r"categor(?:y|ies)|cues|instructions?|requirements?|conditions|definitions?) (?:that (?:was|were|is|"
    r"has been|have been) |which (?:was|were|is) |as |has been |have been |was |were |already )?(?:provided|"
    r"given|supplied|stated|mentioned|outlined|specified|indicated|described|listed|marked|defined|"
    r"set out) (?:by|in the (?:prompt|question|task|text|description|instruction)|above|earlier|previously|"
    r"before|beforehand|to (?:me|us)|for (?:me|us|this)|regarding|here|about)\b",
    _TOLD,
    unless=r"\b(?:manufacturer|drawing|data ?sheet|iso|customer)\b",
)
_rule(
    "given information",
    "reject",
    "as indicated|as specified|as instructed|as given|as provided|as told|as annotated|as marked|"
    "as label|as highlighted|as pointed|as requested|as directed|as suggested|as stated|as described|"
    "as mentioned|as noted|as shown|as outlined|as identified|as required",
    r"\bas (?:instructed|told|annotated|marked|labell?ed|pointed out|requested|directed|informed|advised|"
    r"prompted)\b|\bas (?:given|provided|supplied)\b(?! that)|\bas (?:indicated|specified|suggested|outlined|"
    r"identified|stated|described|mentioned|noted|shown|required) (?:in|by|on|within|from|under) (?:the |"
    r"this |that |your |our |an? )?(?:\w+ )?(?:descriptions?|prompts?|instructions?|labels?|captions?|text|"
    r"user|mask|box|arrows?|outline|reference|information|questions?|tasks?|markers?|marking|notes?|input|"
    r"guidance|guidelines?|data|highlight\w*|circle|rectangle|contour|annotation|coordinates|hint)\b|"
    r"\bas indicated(?: in the (?:\w+ )?(?:image|photo|picture))?(?=\s*(?:[,.;:)]|$))|"
    r"\bas specified(?=\s*(?:[,.;:)]|$))|\bas (?:outlined|specified) (?:above|earlier|previously|before|"
    r"beforehand)\b",
    _TOLD,
    unless=r"\b(?:drawing|data ?sheet|manufacturer|printed)\b",
)
_rule(
    "given information",
    "person",
    "as noted|as mentioned|mentioned|as stated|as described|aforementioned",
    r"\bas (?:noted|mentioned|stated|described)(?: (?:above|earlier|previously|before))?(?=\s*[,.;:)])|"
    r"\b(?:above-?mentioned|previously mentioned|(?:the|hereof|of) mentioned|previously identified|"
    r"earlier identified|previously noted) (?:issues?|defects?|anomal\w+|regions?|areas?|locations?|types?|"
    r"spots?|categor\w+|damage)\b|\bhereof mentioned\b",
    "refers to something said before, which may be what the teacher was told",
)
_rule(
    "given information",
    "reject",
    "told|instructed|informed|asked|given|provided|prompted|advised|notified|guided|directed",
    r"\b(?:i|we|i've|we've|i'm|we're) (?:have |had |was |were |am |are |been |just |also |already |"
    r"explicitly |specifically ){0,3}(?:told|instructed|informed|asked|given|provided with|prompted|advised|"
    r"notified|guided|directed|shown)\b|\b(?:been|were|was) (?:told|instructed|informed|prompted|notified|"
    r"pointed out)\b|\bpointed out (?:to (?:me|us)|in the|by the)\b",
    _TOLD,
)
_rule(
    "given information",
    "reject",
    "prompt",
    r"\b(?:the|this|in|your|my|system|given|input|text|user) prompts?\b(?! (?:replacement|action|attention|"
    r"removal|rejection|repair|correction|response|intervention|detection|rework|and))|\bprompted by the\b",
    _TOLD,
)
_rule(
    "given information",
    "reject",
    "user",
    r"\b(?:the )?user(?:'s|s)? (?:\w+ )?(?:ask\w*|sa(?:y|ys|id)|stat\w+|provid\w+|want\w*|request\w*|"
    r"mention\w*|indicat\w+|specif\w+|gave|gives|given|question|quer\w+|input|prompt\w*|descri\w+|hint\w*|"
    r"upload\w*|told|tells|highlight\w*|mark\w*)\b|\buser-(?:provided|supplied|specified|given)\b|"
    r"\b(?:provided|given|uploaded|specified|marked|shared) by (?:the |a )?users?\b",
    _TOLD,
)
_rule(
    "given information",
    "reject",
    "you",
    r"\byou(?:'ve| have)? (?:\w+ )?(?:provid\w+|upload\w+|shar\w+|gave|describ\w+|mention\w*|specif\w+|ask\w*|"
    r"said|indicated|want\w*)\b|\byour (?:\w+ )?(?:description|image|question|request|input|instructions?|"
    r"query|photo)\b",
    _TOLD,
)
_rule(
    "given information",
    "reject",
    "instruction",
    r"\b(?:my|the|your|these|given|provided|our) instructions? (?:place|say|state|specif|indicat|mention|"
    r"point|ask|requir|tell|describ|note|list|direct|identif|suggest|are|were|is|was|call)\w*",
    _TOLD,
    unless=r"\b(?:manufacturer\w*|assembly|manual|printed)\b",
)
_rule(
    "given information",
    "reject",
    "description|instruction|caption|guidance|hint",
    r"\b(?:according to|per|as per|follow(?:s|ing)?|based (?:\w+ )?(?:up)?on|from|given|in|consistent with|"
    r"in line with|match(?:es|ing)?|aligns? with|reflected in|stated in|under) (?:the |this |your |its |our |"
    r"that |these |all )(?:[\w-]+ ){0,2}?(?:descriptions?|captions?|instructions?|hints?|guidance)\b|"
    r"\bthe (?:[\w-]+ )?descriptions? (?:states?|says?|mentions?|indicates?|notes?|describes?|specif\w+|"
    r"provided|given|above|of the (?:image|defect|anomaly|query|photo)|confirms?|suggests?|reports?|also)\b|"
    r"\b(?:the|a given|provided) hints?\b(?! of)",
    _TOLD,
    unless=r"\b(?:manufacturer\w*|assembly instructions?|user manual|work instructions?|product descriptions?|"
    r"guidance (?:rails?|slots?|grooves?|channels?))\b",
)
_rule(
    "given information",
    "reject",
    "criteri|definition|standards|requirement|categor|predefined|pre-defined",
    r"\bdefined criteria\b|\bcriteri(?:a|on) (?:for|to|of) (?:identify\w*|classify\w*|recogni[sz]\w+|label\w*|"
    r"categori[sz]\w+|a|an|the|defining) ?(?:an? |the )?['\"]|\bcriteri(?:a|on) for (?:identifying|labell?ing|"
    r"categori[sz]ing)\b|\b(?:criteria|requirements?|definitions?|standards?|categories) (?:\w+ )?(?:outlined|"
    r"given|mentioned|stated|listed|described|specified|provided|defined) (?:earlier|above|previously|before|"
    r"beforehand|for (?:this task|us|me))\b|\bcriteria (?:\w+ ){0,3}regarding ['\"]|"
    r"\bpre-?defined (?:\w+ )?(?:categor\w+|types?|criteria|class\w*|labels?|defects?|locations?|regions?|"
    r"areas?)\b",
    "these criteria were the teacher's",
)
_rule(
    "given information",
    "person",
    "definition|category",
    rf"\b(?:definition|category|criteria|description) (?:of|for) (?:an? |the )?['\"]?(?:{_KINDS})\b|"
    rf"\bcategory ['\"]|\bthe ['\"](?:{_KINDS})['\"]",
    "may quote the type the teacher was told",
)

# --- reference: a second image, which the zero-shot student does not have -------------------------
_SECOND = "a zero-shot student sees one image only"
_SOUND = (
    r"(?:normal|reference|template|golden|good|defect-free|baseline|comparison|control|non-?defective|"
    r"anomaly-free|known-good|flawless|perfect|ideal|undamaged|standard|exemplar|flaw-free|fault-free)"
)
_PIECE = (
    r"(?:sample|specimen|example|template|part|product|item|unit|piece|component|object|one|version|model|"
    r"image|photo|photograph|picture|view|reference|counterpart)"
)
_rule(
    "reference",
    "reject",
    "image|photo|picture|view|frame",
    rf"\b{_SOUND} (?:[\w-]+ )?(?:images?|photos?|photographs?|pictures?)\b",
    _SECOND,
    zero_shot=True,
)
_rule(
    "reference",
    "person",
    "image|photo|picture",
    r"\b(?:original|sample|example|earlier|previous) (?:images?|photos?|photographs?|pictures?)\b|"
    r"\bexpected (?:image|picture)\b",
    "may be the reference",
    zero_shot=True,
)
_rule(
    "reference",
    "reject",
    "reference",
    rf"\breference (?:{_PIECE}|standard image|state image|samples|parts|images|{_PIECE}s)\b",
    _SECOND,
    zero_shot=True,
)
_GEOMETRIC = (
    r"(?:plane|surface|lines?|marks?|designators?|edges?|points?|holes?|datum|datums|voltages?|frame|levels?|"
    r"axis|dimensions?|features?|pins?|numbers?|values?|tabs?|diameter|grid|notch|face|text|letters?|symbols?|"
    r"id|temperature|clock|signal)"
)
_rule(
    "reference",
    "reject",
    "reference",
    r"\b(?:the|this|its|our|provided|given|normal|to|from|with|unlike|good|that) (?:normal |good |clean |"
    rf"provided |given |defect-free )?reference\b(?!(?:-| )(?:{_GEOMETRIC}|standards?|design|position|"
    r"specification|contour|profile|shape|to)\b)",
    _SECOND,
    unless=r"\bwith reference to (?:the |its |this )?(?:\w+ )?(?:standards?|specifications?|drawing|centerline|axis|"
    r"edges?|housing|iso)\b",
    zero_shot=True,
)
_rule(
    "reference",
    "person",
    "reference",
    r"\b(?:the|its|a|our) reference (?:standards?|design|position|specification|contour|profile|shape|"
    r"appearance|condition|state|geometry|texture|color)\b",
    "may be the reference image",
    zero_shot=True,
)
_rule(
    "reference",
    "reject",
    "counterpart",
    rf"\b{_SOUND}d? counterparts?\b",
    _SECOND,
    zero_shot=True,
    unless=r"\b(?:intact|undamaged|perfect|flawless) counterparts? (?:on|at|in|to) the\b",
)
_rule(
    "reference",
    "reject",
    "normal|good|defect-free|golden|template|non|known|anomaly-free|flaw|baseline|control|perfect",
    r"\b(?:the|this|its|our|provided|given|that|your) (?:provided |given |corresponding |matching )?(?:normal|"
    r"good|defect-free|non-?defective|golden|flawless|anomaly-free|template|known-good|undamaged|baseline|"
    rf"perfect) (?:[a-z]+ )?{_PIECE}s?\b(?! of)",
    _SECOND,
    zero_shot=True,
)
_rule(
    "reference",
    "reject",
    "sample|specimen|template|unit|golden",
    r"\bgolden (?:samples?|units?|templates?|references?|images?|parts?)\b|\b(?:a|any) (?:normal|reference|"
    r"good) (?:[a-z]+ )?(?:template|reference)\b|\b(?:the|a|this|our|provided) templates?\b",
    _SECOND,
    zero_shot=True,
)
_rule(
    "reference",
    "person",
    "standard|sample|specimen|golden|original",
    r"\b(?:a|an|any) (?:normal|good|reference) (?:sample|specimen|example)\b|\bgold(?:en)? standard\b|"
    r"\bthe standard (?:sample|specimen|example|part|version|model|unit|one|product|component|piece|item)\b|"
    r"\b(?:to|with|from|unlike) the original\b(?! (?:material|shape|position|contour|surface|geometry|design|"
    r"form|color|coating|equipment))|\bunchanged (?:from|compared)\b|\bthe other (?:sample|specimen|one)\b",
    "may be the reference image",
    zero_shot=True,
)
_rule(
    "reference",
    "reject",
    "image|photo|picture|side|sample",
    r"\b(?:both|two|these|those|between(?: the)?|the(?: \w+)? (?:pair of|two)|provided|given|supplied|across|"
    r"all|comparing(?: the)?|pair of) (?:provided |given |product |input |of the )?(?:images|photos|"
    r"photographs|pictures)\b|\bthe images\b|\b(?:first|second|other|another|left-hand|right-hand|previous|"
    r"former|latter|companion|paired|initial|1st|2nd) (?:images?|photos?|photographs?|pictures?|samples?)\b|"
    r"\bimage (?:1|2|a|b|one|two|#\d)\b|\bside[- ]by[- ]side (?:comparison|view|image|inspection)\b",
    _SECOND,
    unless=r"\bmirror images\b",
    zero_shot=True,
)

RULES: tuple[Rule, ...] = tuple(_RULES)

_NEAR = 60


def check_leak(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """The think speaks of what only the teacher had: drawings, mask, label, information, in zero-shot the reference."""
    reported: set[tuple[str, Severity]] = set()
    for rule in RULES:
        if rule.zero_shot and case.shot:
            continue
        if not any(t in think.low for t in rule.triggers):
            continue
        found = _first(rule, think)
        if found and (rule.family, rule.severity) not in reported and (rule.family, "reject") not in reported:
            reported.add((rule.family, rule.severity))
            yield Finding("leak", rule.severity, f"{rule.family}: {found}: {rule.why}")
    yield from _codes(case, draft)


def _first(rule: Rule, think: Reading) -> str | None:
    """The first unexcused match, quoted with a little of what stands around it."""
    for sentence in think.sentences:
        for match in rule.pattern.finditer(sentence.text):
            near = sentence.text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
            if rule.unless is None or not rule.unless.search(near):
                a, b = sentence.start + match.start(), sentence.start + match.end()
                return quote(think.text[a:b])
    return None


_CODE = re.compile(r"\b(" + "|".join(taxonomy.CODE_TO_COARSE) + r")\b")
_CODE_SAID = re.compile(
    r"\b(?:code|class|type|categor(?:y|ies)|label|defect)\w*(?: is| of|:)? ?[\"'(]?(?:"
    + "|".join(taxonomy.CODE_TO_COARSE)
    + r"|NG|OK)\b|\bNG_[A-Z]{2}\b|\bNG\b(?= (?:part|sample|image|code|class|label))"
)


def _codes(case: Case, draft: Draft) -> Iterator[Finding]:
    """The source's class codes, which read like any two capitals on a product unless they are this sample's own."""
    for match in _CODE.finditer(draft.think):
        if match.group() == case.sample.code:
            yield Finding("leak", "reject", f"label: {quote(match.group())} is the source's code for this class")
            return
    said = _CODE_SAID.search(draft.think)
    if said:
        yield Finding("leak", "reject", f"label: {quote(said.group())} is a class code of the source")
