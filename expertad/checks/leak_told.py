"""Leaks of what the teacher is told: label, type and place, the data set, and the request itself."""

from __future__ import annotations

import re

from expertad import taxonomy
from expertad.checks.leak_rule import GIVEN_NOUN, Rule, rule

_TOLD = "the student is told nothing but the question"
_KINDS = "|".join(re.escape(taxonomy.normalize(c)) for c in taxonomy.COARSE_TYPES)

RULES: tuple[Rule, ...] = (
    rule("label", "reject", "ground", r"\bground[- ]?truths?\b", _TOLD),
    rule(
        "label",
        "reject",
        "coarse|fine",
        r"\b(?:coarse|fine)(?:r|-?grained| grained)? (?:anomaly |defect |grained )?(?:types?|labels?|"
        r"categor(?:y|ies)|class(?:es|ification)?)\b",
        "the taxonomy is the teacher's",
    ),
    rule(
        "label",
        "reject",
        "label",
        r"\b(?:class|category|anomaly|defect|type|image|sample|true|truth|known|given|provided|dataset|"
        r"annotated|correct|existing|assigned|supplied|source) label(?:s|ed|ing)?\b|\blabell?ed (?:as |with |"
        r"under |by |to be )?(?:an? |the )?['\"(]?(?:anomal|defect|normal\b|abnormal|faulty|good\b|ok\b|ng\b|"
        r"non-?defect|" + _KINDS + r")",
        _TOLD,
    ),
    rule(
        "label",
        "reject",
        "label",
        r"\b(?:according to|per|as per|based on|match(?:es|ing)?|consistent with|in line with|aligns? with|"
        r"agrees? with|confirm(?:s|ed|ing)? (?:by )?|from|given) (?:the |its |this |our )?label(?:s|ing)?\b|"
        r"\blabels? (?:says?|states?|indicat\w+|confirms?|specif\w+|identif\w+|suggests?|provided|given|reads?|"
        rf"is|of) (?:[\w'\"-]+ ){{0,5}}?['\"(]?(?:anomal|defect|normal\b|abnormal|{_KINDS})",
        _TOLD,
        unless=r"\b(?:printed|sticker|adhesive|peel\w*|warning|bottle|paper|barcode|torn|wrinkl\w*|ink|creased)\b",
    ),
    rule(
        "label",
        "reject",
        "data|training|benchmark|iad|mvtec|json|file|.png|.jp|test set",
        r"\bdata ?sets?\b|\btraining (?:data|set|samples?|examples?|images?)\b|\btest set\b|\breal-?iad\b|"
        r"\bmvtec\b|\bbenchmarks?\b|\bmeta-?data\b|\bjson\b|\bfile ?(?:name|path)s?\b|"
        r"\b[\w-]+\.(?:png|jpe?g|json)\b",
        "speaks of the data, which the student never sees",
        unless=r"\bdata ?set(?:s)? (?:plug|cable)",
    ),
    rule(
        "label",
        "reject",
        "known|stated|given|said|supposed|reported|specified",
        r"\b(?:known|stated|given|said|supposed|reported|specified) (?:to (?:be|contain|have|show)|as) (?:an? |"
        r"the )?(?:\w+ )?(?:anomal\w+|defect\w*|normal\b|abnormal|faulty|" + _KINDS + r")",
        _TOLD,
    ),
    rule(
        "label",
        "reject",
        "type|class|categor|location|defect|anomal|position",
        r"\b(?:the|its|this) (?:defect|anomaly|fault)?(?:'s)? ?(?:type|class|category|location|position) (?:is|"
        r"was|has been) (?:already |previously )?(?:known|given|specified|provided|stated|predetermined|"
        r"predefined|labell?ed|supplied|listed as|designated)\b",
        _TOLD,
    ),
    rule(
        "label",
        "reject",
        "know|knew",
        r"\b(?:we|i) (?:already )?kn[eo]w\b(?: that)?(?: \w+){0,3} (?:defect|anomal|type|location|where|normal|"
        r"faulty)|\bknowing (?:that )?(?:the|this|it) (?:\w+ )?(?:defect|anomaly|location|type|part|is|class)\b",
        _TOLD,
    ),
    rule(
        "label",
        "reject",
        "label",
        r"\b(?:scratch|hole|contamination|deformation|abrasion|damage|missing[- ]parts?|foreign[- ]objects?|"
        r"defect|anomaly) labels?\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "given|provided|supplied|specified|stated",
        r"\b(?:category|type|class|label|location|region|position) (?:that is |that was |which is |"
        r"which was )?(?:given|provided|supplied|stated|specified)\b",
        _TOLD,
        unless=r"\b(?:drawing|data ?sheet|manufacturer\w*|type plate)\b",
    ),
    rule(
        "given information",
        "reject",
        "information|info|data|detail|description| name",
        r"\b(?:class|category|label|type) names?\b|\b(?:location|label|type|class|mask|defect|anomaly|"
        r"annotation|position|category) (?:information|info|data|details)\b|\b(?:task|problem|sample|image|"
        r"defect|anomaly|case|input|text|query) descriptions?\b",
        _TOLD,
    ),
    rule(
        "label",
        "reject",
        "class|category",
        r"\b(?:scratch|hole|contamination|deformation|abrasion|damage|missing[- ]parts?|foreign[- ]objects?|"
        r"defect|anomaly) (?:class|category)\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "request|query|task|assignment|input|caption|brief",
        r"\b(?:request|query|task|assignment|input|caption|brief) (?:\w+ )?(?:says?|states?|mentions?|"
        r"specif\w+|tells?|implies|names)\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "instructed|the prior",
        r"\binstructed\b|\bthe prior (?:says?|states?|indicates?|suggests?|tells?|points?|is|was)\b",
        _TOLD,
    ),
    rule(
        "label",
        "reject",
        "answer",
        r"\b(?:correct|expected|required|right|desired|intended|given|known) answer\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "prior|previous|earlier|preceding|advance|external|supplement|privileged|background|beforehand|contextual",
        r"\b(?:prior|previous|previously|earlier|preceding|advance|external|supplementary|privileged|"
        r"contextual) (?:\w+ )?(?:guidance|information|info|instructions?|indications?|hints?|descriptions?|"
        r"assessments?|context|inputs?|notes?|notice|report(?:s|ed)?|identification|location|labels?|"
        r"statements?)\b",
        _TOLD,
    ),
    rule(
        "given information",
        "person",
        "prior|previous|background",
        r"\b(?:prior|previous|background) (?:knowledge|analys[ei]s|observations? by|inspections?|data)\b",
        "may be what the teacher was told",
    ),
    rule(
        "given information",
        "reject",
        "given|provided|supplied|accompanying|attached|indicated|stated|determined|defined|specified|described",
        r"\b(?:the|this|our|on|from|by|with|all|these|my|your|any|to|of|at|in|its) (?:given|provided|supplied|"
        r"accompanying|attached|stated|indicated|predetermined|pre-?defined|pre-?specified|"
        rf"described) (?:[\w-]+ )??{GIVEN_NOUN}\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "specified|known|expected|reported|suspected|targeted|designated|indicated|stated",
        r"\b(?:the|this|that|a|on|at|its|in|these) (?:specified|known|reported|targeted) (?:[\w-]+ )?(?:areas?|"
        r"regions?|zones?|locations?|sites?|anomal\w+|defects?|types?|class|categor\w+|section|spots?)\b|"
        r"\b(?:expected|known|reported|specified|stated|indicated) (?:defect|anomaly|anomalous|"
        r"fault)(?:'s)? (?:locations?|areas?|regions?|types?|positions?|sites?|zones?|class|categor\w+)\b",
        _TOLD,
        unless=r"\b(?:in the drawing|by the drawing|in the design|defects? in (?:this|such) (?:material|process)|"
        r"(?:known|common) (?:failure|defect) (?:mode|pattern))\b",
    ),
    rule(
        "given information",
        "person",
        "expected|specified|designated|suspected|target|indicated|interest|roi|it is|it was|it has",
        r"\b(?:at|in|on|to|within|for|regarding|about) (?:the |these |those )?(?:expected|specified|designated|"
        r"suspected|targeted?|indicated) (?:areas?|regions?|zones?|locations?|positions?|sites?|spots?|"
        r"points?)\b|\bregions? of interest\b|\broi\b|\bit (?:is|was|has been) (?:also |already |"
        r"explicitly )?(?:indicated|specified|stated|mentioned|reported|known|said|given) that\b",
        "may be what the teacher was told",
        unless=r"\b(?:pins?|components?|parts|leads?|screws?|contacts?|mounted|inserted|soldered|assembled)\b",
    ),
    rule(
        "given information",
        "reject",
        "provided|given|supplied|stated|mentioned|outlined|specified|indicated|described|listed|marked|set out|defined",
        r"\b(?:information|details|descriptions?|context|hints?|guidance|criteria|locations?|labels?|type|"
        r"categor(?:y|ies)|cues|instructions?|requirements?|conditions|definitions?) (?:that (?:was|were|is|"
        r"has been|have been) |which (?:was|were|is) |as |has been |have been |was |were |"
        r"already )?(?:provided|given|supplied|stated|mentioned|outlined|specified|indicated|described|listed|"
        r"marked|defined|set out) (?:by|in the (?:prompt|question|task|text|description|instruction)|above|"
        r"earlier|previously|before|beforehand|to (?:me|us)|for (?:me|us|this)|regarding|here|about)\b",
        _TOLD,
        unless=r"\b(?:manufacturer|drawing|data ?sheet|iso|customer)\b",
    ),
    rule(
        "given information",
        "reject",
        "as indic|as inst|as info|as speci|as given|as prov|as prom|as supp|as told|as anno|as mark|as label|"
        "as highl|as point|as requ|as dire|as adv|as sugg|as stat|as desc|as ment|as noted|as shown|as outl|"
        "as ident",
        r"\bas (?:instructed|told|annotated|marked|labell?ed|pointed out|requested|directed|informed|advised|"
        r"prompted)\b|\bas (?:given|provided|supplied)\b(?! that)|\bas (?:indicated|specified|suggested|"
        r"outlined|identified|stated|described|mentioned|noted|shown|required) (?:in|by|on|within|from|"
        r"under) (?:the |this |that |your |our |an? )?(?:\w+ )?(?:descriptions?|prompts?|instructions?|labels?|"
        r"captions?|text|user|mask|box|arrows?|outline|reference|information|questions?|tasks?|markers?|"
        r"marking|notes?|input|guidance|guidelines?|data|highlight\w*|circle|rectangle|contour|annotation|"
        r"coordinates|hint)\b|\bas indicated(?: in the (?:\w+ )?(?:image|photo|picture))?(?=\s*(?:[,.;:)]|$))|"
        r"\bas specified(?=\s*(?:[,.;:)]|$))|\bas (?:outlined|specified) (?:above|earlier|previously|before|"
        r"beforehand)\b",
        _TOLD,
        unless=r"\b(?:drawing|data ?sheet|manufacturer|printed)\b",
    ),
    rule(
        "given information",
        "person",
        "as noted|as mentioned|mentioned|as stated|as described|aforementioned|identified|noted",
        r"\bas (?:noted|mentioned|stated|described)(?: (?:above|earlier|previously|before))?(?=\s*[,.;:)])|"
        r"\b(?:above-?mentioned|previously mentioned|(?:the|hereof|of) mentioned|previously identified|"
        r"earlier identified|previously noted) (?:issues?|defects?|anomal\w+|regions?|areas?|locations?|types?|"
        r"spots?|categor\w+|damage)\b|\bhereof mentioned\b",
        "refers to something said before, which may be what the teacher was told",
    ),
    rule(
        "given information",
        "reject",
        "told|instructed|informed|asked|given|provided|prompted|advised|notified|guided|directed|pointed out|shown",
        r"\b(?:i|we|i've|we've|i'm|we're) (?:have |had |was |were |am |are |been |just |also |already |"
        r"explicitly |specifically ){0,3}(?:told|instructed|informed|asked|given|provided|prompted|advised|"
        r"notified|guided|directed|shown)\b|\b(?:been|were|was) (?:told|instructed|informed|prompted|notified|"
        r"pointed out)\b|\bpointed out (?:to (?:me|us)|in the|by the)\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "prompt",
        r"\b(?:the|this|in|your|my|system|given|input|text|user) prompts?\b(?! (?:replacement|action|attention|"
        r"removal|rejection|repair|correction|response|intervention|detection|rework|and))|\bprompted by the\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "user",
        r"\b(?:the )?user(?:'s|s)? (?:\w+ )?(?:ask\w*|sa(?:y|ys|id)|stat\w+|provid\w+|want\w*|request\w*|"
        r"mention\w*|indicat\w+|specif\w+|gave|gives|given|question|quer\w+|input|prompt\w*|descri\w+|hint\w*|"
        r"upload\w*|told|tells|highlight\w*|mark\w*)\b|\buser-(?:provided|supplied|specified|given)\b|"
        r"\b(?:provided|given|uploaded|specified|marked|shared) by (?:the |a )?users?\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "you",
        r"\byou(?:'ve| have)? (?:\w+ )?(?:provid\w+|upload\w+|shar\w+|gave|describ\w+|mention\w*|specif\w+|"
        r"ask\w*|said|indicated|want\w*)\b|\byour (?:\w+ )?(?:description|image|question|request|input|"
        r"instructions?|query|photo)\b",
        _TOLD,
    ),
    rule(
        "given information",
        "reject",
        "instruction",
        r"\b(?:my|the|your|these|given|provided|our) instructions? (?:place|say|state|specif|indicat|mention|"
        r"point|ask|requir|tell|describ|note|list|direct|identif|suggest|are|were|is|was|call)\w*",
        _TOLD,
        unless=r"\b(?:manufacturer\w*|assembly|manual|printed)\b",
    ),
    rule(
        "given information",
        "reject",
        "description|instruction|caption|guidance|hint",
        r"\b(?:according to|per|as per|follow(?:s|ing)?|based (?:\w+ )?(?:up)?on|from|given|in|consistent with|"
        r"in line with|match(?:es|ing)?|aligns? with|reflected in|stated in|under) (?:the |this |your |its |"
        r"our |that |these |all )(?:[\w-]+ ){0,2}?(?:descriptions?|captions?|instructions?|hints?|guidance)\b|"
        r"\bthe (?:[\w-]+ )?descriptions? (?:states?|says?|mentions?|indicates?|notes?|describes?|specif\w+|"
        r"provided|given|above|of the (?:image|defect|anomaly|query|photo)|confirms?|suggests?|reports?|"
        r"also)\b|\b(?:the|a given|provided) hints?\b(?! of)",
        _TOLD,
        unless=r"\b(?:manufacturer\w*|assembly instructions?|user manual|work instructions?|product descriptions?|"
        r"guidance (?:rails?|slots?|grooves?|channels?))\b",
    ),
    rule(
        "given information",
        "reject",
        "criteri|definition|standards|requirement|categor|predefined|pre-defined|standard",
        r"\bdefined criteria\b|\bcriteri(?:a|on) (?:for|to|of) (?:identify\w*|classify\w*|recogni[sz]\w+|"
        r"label\w*|categori[sz]\w+|a|an|the|defining) ?(?:an? |the )?['\"]|"
        r"\bcriteri(?:a|on) for (?:identifying|labell?ing|categori[sz]ing)\b|\b(?:criteria|requirements?|"
        r"definitions?|standards?|categories) (?:\w+ )?(?:outlined|given|mentioned|stated|listed|described|"
        r"specified|provided|defined) (?:earlier|above|previously|before|beforehand|for (?:this task|us|me))\b|"
        r"\bcriteria (?:\w+ ){0,3}regarding ['\"]|\bpre-?defined (?:\w+ )?(?:categor\w+|types?|criteria|"
        r"class\w*|labels?|defects?|locations?|regions?|areas?)\b",
        "these criteria were the teacher's",
    ),
    rule(
        "given information",
        "person",
        "definition|category|criteri|description|the '|the \"",
        rf"\b(?:definition|category|criteria|description) (?:of|for) (?:an? |the )?['\"]?(?:{_KINDS})\b|"
        rf"\bcategory ['\"]|\bthe ['\"](?:{_KINDS})['\"]",
        "may quote the type the teacher was told",
    ),
)
