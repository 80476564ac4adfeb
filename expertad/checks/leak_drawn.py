"""Leaks of what is drawn for the teacher: the highlight in its image, and the mask it comes from."""

from __future__ import annotations

from expertad.checks.leak_rule import ANY_COLOR, COLOR, FOUND, ON_PRODUCT, REGION, SHAPE, Rule, rule

_DRAWN = "the student's image has nothing drawn into it"
_LIGHT = (
    r"light(?:ing|s)?|illuminat\w+|contrast|glare|reflecti\w+|shadows?|sheen|gloss\w*|specular|shin[ey]\w*|"
    r"metallic|chrome\w*|sun\w*"
)
_MASK = "the mask is the teacher's"

RULES: tuple[Rule, ...] = (
    rule(
        "highlight",
        "reject",
        "highlighted",
        r"\bhighlighted\b",
        _DRAWN,
        unless=r"\bhighlighted (?:only |further |clearly )?(?:by|under|in|against|through) (?:the |its |a |"
        rf"this )?(?:[\w-]+ ){{0,2}}(?:{_LIGHT}|difference|absence|fact|change|lack|surrounding|smooth\w*)\b|"
        rf"\b(?:{_LIGHT}) (?:is |are |has |have |had )?(?:clearly )?highlighted\b",
    ),
    rule(
        "highlight",
        "reject",
        "highlight",
        rf"\b{COLOR}[- ]highlight|\bhighlight(?:s|ing)? (?:in|with) (?:a )?{ANY_COLOR}|"
        r"\bhighlight(?:s|ing)? (?:box|mark(?:s|ed)? the|surround\w*|around|on the (?:image|picture)|"
        r"indicat\w+|show\w* (?:where|the location)|enclos\w+|covers?|drawn|overlay)|"
        r"\b(?:drawn|digital|annotation|visual|given|provided|added) highlight",
        _DRAWN,
    ),
    rule(
        "highlight",
        "person",
        "highlight",
        r"\b(?:the|this|a|its|by) highlight(?:s|ing)?\b(?! (?:the |an? |this |that |how |why |its )?(?:need|"
        r"importance|fact|issue|problem|failure|risk|difference|contrast|deviation))",
        "may mean a marking in the image or a reflection of light",
        unless=rf"\b(?:{_LIGHT}|edge|rim|curv\w+|metal|bright)\b",
    ),
    rule(
        "highlight",
        "reject",
        "outlin",
        rf"\boutlined (?:[\w-]+ ){{0,2}}{REGION}\b|\b{REGION}(?: [\w-]+){{0,3}} outlined\b|"
        rf"\boutlined (?:in|by|with) (?:a |the )?(?:[\w-]+ )?{ANY_COLOR}\b|\b{ANY_COLOR}[- ]outlin\w+|"
        r"\b(?:drawn|thick|visible|given|provided|superimposed|annotated|marked) outlines?\b|"
        r"\b(?:the|an|this) outline (?:marks?|indicat\w+|shows? (?:where|the (?:location|defect|anomal))|"
        r"highlights?|surrounds?|encloses?|drawn|delimits?|encompass\w+)|"
        r"\b(?:with)?in(?:side)? the outline\b(?! of)",
        _DRAWN,
        unless=r"\b(?:letters?|logo|text|symbols?|icons?|printed|characters?|digits?|graphic)\b",
    ),
    rule(
        "highlight",
        "reject",
        "outlin",
        rf"\b{FOUND}(?: \w+){{0,2}} (?:is|are|being) outlined\b|\bthe outlined\b",
        _DRAWN,
        unless=r"\b(?:letters?|logo|text|symbols?|icons?|printed|procedure|steps?|requirements?)\b",
    ),
    rule("highlight", "reject", "bounding", r"\bbounding[- ]?(?:box|rectangle|region|circle|area)", _DRAWN),
    rule(
        "highlight",
        "reject",
        "box|rectang|square|circle|ellips|oval|contour|polygon|frame|border|overlay|outline|marker|arrow|bounding",
        r"\b(?:(?:with)?in|inside|by|under|enclosed (?:by|in|within)|surrounded by|of) (?:the|a|this|"
        rf"that) (?:[\w-]+ )?{COLOR} (?:\w+ )?{SHAPE}\b|\b{COLOR} (?:bounding |dashed |marking )?(?:box|"
        r"rectangle|polygon|overlay|bounding|marker|arrow)\b(?!-)",
        _DRAWN,
        unless=ON_PRODUCT + r"|\bbox[- ](?:shaped|like)|\bhousing\b",
    ),
    rule(
        "highlight",
        "reject",
        "box|rectang|square|circle|ellips|contour|polygon|frame|overlay|border",
        r"\b(?:the|a|this|that|each) (?:[\w-]+ )?(?:box|rectangle|square|circle|ellipse|polygon|frame|overlay|"
        r"contour|border) (?:that |which )?(?:is |was )?(?:clearly )?(?:drawn |placed |added |"
        r"superimposed )?(?:(?:marks?|marking|indicat\w+|highlight\w*|points?|pointing|denot\w+|delineat\w+|"
        r"annotat\w+|delimit\w+|pinpoint\w*|draws|draw|guides?|directs?|focuses|identif\w+|encircles?|"
        r"captures?|contains the|isolates)\b|(?:around|over|surround\w*|enclos\w*|encompass\w*|on) (?:the |"
        rf"this |a )?(?:\w+ )?(?:{FOUND}|suspect\w*|affected))",
        _DRAWN,
        unless=ON_PRODUCT + r"|\b(?:lid|hinge|gift|junction|terminal|battery|gear) ?box",
    ),
    rule(
        "highlight",
        "reject",
        "box|rectang|circle|polygon|ellips|oval|arrow|marker",
        r"\b(?:drawn|superimposed|annotated|marked|indicated|highlighted|shown|given|provided) (?:by|with|in|"
        r"using|inside|within) (?:a|the) (?:[\w-]+ )?(?:box|rectangle|circle|polygon|ellipse|oval|arrow|"
        r"marker)\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "boxed|circled|encircled|annotated|delineated|demarcated|flagged|tagged|cropped|pinpointed",
        r"\b(?:boxed|circled|encircled|annotated|delineated|demarcated|flagged|tagged|cropped|"
        rf"pinpointed)[- ](?:in[- ]|off[- ]|out[- ])?(?:[\w-]+ )?(?:{REGION}|{FOUND}|image|view)\b|"
        rf"\b(?:{REGION}|{FOUND}|one|image) (?:that |which )?(?:is |are |was |were |has been |"
        r"have been )?(?:boxed|circled|encircled|annotated|delineated|demarcated|flagged|tagged|pinpointed)\b",
        _DRAWN,
    ),
    rule(
        "highlight",
        "reject",
        "marked",
        r"\bmarked (?:[\w-]+ )?(?:areas?|regions?|zones?|spots?|locations?|positions?|places?|sections?|sites?|"
        rf"points?|{FOUND})\b|\b(?:{REGION}|{FOUND}) (?:that |which )?(?:is |are |was |were |has been |"
        r"have been |as )?marked (?:in the|on the|for|earlier|above|previously|beforehand|here|with an?|"
        r"by (?:the|an?) (?:[\w-]+ )?(?:arrow|box|circle|annotation|line|marker|rectangle|outline))|"
        r"\bmarked (?:earlier|above|previously|beforehand|in the (?:image|picture|photo|query))\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "marked|circled|boxed|outlined|delineated|encircled|traced|indicated|denoted|shown|shaded|tinted|annotated",
        r"\b(?:marked|circled|boxed|delineated|encircled|traced|indicated|denoted|shown|shaded|"
        rf"annotated) (?:in|by|with) (?:a |an |the )?(?:[\w-]+ )?{COLOR}\b(?!-)",
        _DRAWN,
        unless=ON_PRODUCT + r"|\b(?:oxide|stain\w*|rust\w*|dots?|stripes?|rings?|bands?|ink|tape)\b",
    ),
    rule(
        "highlight",
        "person",
        "area|region|zone|boundary|marking|shading|tint",
        rf"\b(?:the|this|that) (?:[\w-]+ )?{COLOR}(?:ish|-colou?red)? (?:areas?|regions?|zones?|boundary|"
        r"marking|shading|tint)\b",
        "may be the color of the teacher's marking",
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "marking|shading|tint|colo|line|mark",
        rf"\b(?:the )?{COLOR} (?:marking|colou?ring|tint|shading|line|mark)s? (?:(?:that |which )?(?:marks?|"
        r"indicat\w+|highlight\w*|denot\w+|points?|surround\w*)|(?:around|over) (?:the |"
        rf"this )?(?:\w+ )?{FOUND})",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "enclosed|surrounded|bounded|framed|ringed|bordered|traced|wrapped|encircled",
        r"\b(?:enclosed|surrounded|bounded|framed|ringed|bordered|traced|encircled) (?:by|in|with) (?:a |an |"
        rf"the )?(?:[\w-]+ )?(?:{COLOR}|colou?red|dashed|dotted) (?:line|border|frame|box|outline|rectangle|"
        r"square|contour|stroke|polygon|dashes)s?\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "identified|marked|selected|specified|determined|label",
        r"\b(?:pre-?|already |previously )(?:identified|marked|selected|specified|determined|"
        rf"labell?ed) (?:[\w-]+ )?(?:{REGION}|{FOUND})\b",
        "the student is told no place",
    ),
    rule(
        "highlight",
        "person",
        "tinted|shaded|colored|coloured",
        r"\bthe (?:tinted|shaded|colou?red) (?:areas?|regions?|zones?|spots?|sections?)\b",
        "may be the teacher's marking",
    ),
    rule(
        "highlight",
        "reject",
        "drawn",
        rf"\bdrawn (?:in|with) (?:a |an |the )?(?:[\w-]+ )?{ANY_COLOR}\b|"
        rf"\b(?:{REGION}|interest|{SHAPE}),? (?:is |was |that is )?drawn\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "contour|border|frame|circle|square|oval|ellipse|line",
        rf"\b{COLOR} (?:contour|border|frame|circle|square|oval|ellipse|line) (?:that |which )?(?:encloses?|"
        r"surrounds?|marks?|encircles?|encompasses|frames?|indicates?|highlights?|delimits?|points?|"
        r"shows? where|draws)\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "framed|enclosed|shown|drawn|traced|surrounded|bordered|ringed|lined|coded",
        rf"\b{REGION} (?:that |which )?(?:is |was )?(?:framed|enclosed|shown|drawn|traced|surrounded|bordered|"
        rf"ringed|lined) (?:in|by|with) (?:a |an |the )?(?:[\w-]+ )?{COLOR}\b|\bcolou?r-?coded (?:{REGION}|"
        rf"{SHAPE}|{FOUND})\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "traced|drawn|sketched|added|placed|superimposed|shape|stroke|marker|line|box|rectang|square|circle|ellips|oval|contour|polygon|frame|border|overlay",
        r"\b(?:traced|drawn|sketched|added|placed|superimposed) (?:around|over|onto|on top of) (?:the |this |"
        rf"that )?(?:\w+ )?{FOUND}\b|\b{COLOR} (?:line|shape|marker|stroke|{SHAPE}) (?:has been|is|was|"
        r"have been) (?:traced|drawn|sketched|added|placed|superimposed|put)\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule(
        "highlight",
        "reject",
        "rectangle|box|outline|frame|border|circle|contour|line|polygon|overlay|highlight|shape|square|ellips|oval",
        r"\bcolou?red (?:rectangle|box|outline|frame|border|circle|contour|line|polygon|overlay|highlight)\b|"
        rf"\b{COLOR} (?:[\w-]+ )?(?:line|shape|{SHAPE}) (?:around|over|about) (?:the |this |"
        rf"that )?(?:\w+ )?{FOUND}\b",
        _DRAWN,
        unless=ON_PRODUCT,
    ),
    rule("highlight", "reject", "annotat", r"\bannotat\w*", "annotations are the teacher's"),
    rule(
        "highlight",
        "reject",
        "overlay|overlaid|crosshair|heat|callout|saliency| map",
        r"\b(?:crosshairs?|heat ?maps?|callouts?|saliency|(?:anomaly|saliency|attention|activation|difference|"
        r"probability|score|error|defect|density) maps?)\b|\boverla(?:y|ys|id)\b",
        _DRAWN,
        unless=r"\b(?:film|foil|plastic|protective|sticker|polycarbonate|keypad|graphic|tape|fabric|"
        r"weld)\b(?! (?:is|has|shows))",
    ),
    rule(
        "highlight",
        "reject",
        "arrow",
        r"\barrows? (?:\w+ )?(?:point\w*|indicat\w+|mark\w*|show\w*|highlight\w*|drawn|in the image|overlaid|"
        r"locat\w+|draws?)|\b(?:by|with|to|see|following|of) (?:the|an?|this) (?:[\w-]+ )?arrows?\b",
        _DRAWN,
        unless=ON_PRODUCT + r"|\b(?:raised|direction(?:al)?|recycl\w+|shape[ds]?)\b",
    ),
    rule(
        "highlight",
        "reject",
        "marker|visual mark|visual indicator|visual annotation",
        r"\bmarkers? (?:\w+ )?(?:point\w*|indicat\w+|mark\w*|show\w*|highlight\w*|drawn|placed|around|"
        r"surround\w*)|\b(?:by|with|from) (?:the|an?) (?:[\w-]+ )?markers?\b|\bvisual (?:markers?|markings?|"
        r"indicators?|annotations?)\b",
        _DRAWN,
        unless=ON_PRODUCT + r"|\b(?:pen|felt|fiducial|orientation|alignment|ink)\b",
    ),
    rule(
        "mask",
        "reject",
        "mask",
        r"\b(?:segmentation|binary|anomaly|defect|pixel(?:-level|-wise)?|ground[- ]truth|provided|given|"
        r"supplied|annotated|corresponding|associated|accompanying|label) masks?\b|\bmasked (?:areas?|regions?|"
        r"zones?|sections?|parts?|locations?|portions?)\b|\bmasks? (?:image|data|annotation|overlay|region|"
        r"area|shows?|indicat\w+|marks?|confirms?|highlights?|reveals?|covers?|locat\w+|delineat\w+|points?|"
        r"provided|given)\b",
        _MASK,
        unless=r"\b(?:solder|resist|masking|paint\w*|face|dust|gas|breathing|respirat\w+|tape|stencil|shadow)\b|"
        r"\bsoldermask\b",
    ),
    rule(
        "mask",
        "person",
        "mask",
        r"\b(?:the|this|a|its) (?:white |black )?masks?\b",
        "may be the segmentation mask",
        unless=r"\b(?:solder|resist|masking|paint\w*|face|dust|gas|breathing|respirat\w+|tape|stencil|toy|doll)\b",
    ),
    rule(
        "mask",
        "reject",
        "segmentation|pixel|coordinate",
        r"\bsegmentation\b|\bpixel[- ](?:level|wise|coordinates?|positions?|values?)\b|"
        r"\b(?:given|provided|image|box|pixel|specified) coordinates?\b|\bcoordinates? (?:of|at|provided|given|"
        r"is|are|x|\()",
        _MASK,
    ),
    rule(
        "mask",
        "reject",
        "[|(",
        r"[\[(]\s*(?:x\s*=\s*)?\d{1,4}(?:\.\d+)?\s*,\s*(?:y\s*=\s*)?\d{1,4}(?:\.\d+)?(?:\s*,\s*(?:[wh]\s*=\s*)?"
        r"\d{1,4}(?:\.\d+)?){0,2}\s*[\])]",
        "coordinates come from the mask, not from looking",
    ),
)
