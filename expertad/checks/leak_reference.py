"""Leaks of the second image, the normal reference, which a zero-shot student does not see."""

from __future__ import annotations

from expertad.checks.leak_rule import Rule, rule

_SECOND = "a zero-shot student sees one image only"
_SOUND = (
    r"(?:normal|reference|template|golden|good|defect-free|baseline|comparison|control|non-?defective|"
    r"anomaly-free|known-good|flawless|perfect|ideal|undamaged|standard|exemplar|flaw-free|fault-free|"
    r"pristine|clean|intact|unblemished|ok|faultless|non-anomalous)"
)
_PIECE = (
    r"(?:sample|specimen|example|template|part|product|item|unit|piece|component|object|one|version|model|"
    r"image|photo|photograph|picture|view|reference|counterpart)"
)
_GEOMETRIC = (
    r"(?:plane|surface|lines?|marks?|designators?|edges?|points?|holes?|datum|datums|voltages?|frame|"
    r"levels?|axis|dimensions?|features?|pins?|numbers?|values?|tabs?|diameter|grid|notch|face|text|"
    r"letters?|symbols?|id|temperature|clock|signal)"
)

RULES: tuple[Rule, ...] = (
    rule(
        "reference",
        "reject",
        "image|photo|picture|view|frame",
        rf"\b{_SOUND} (?:[\w-]+ )?(?:images?|photos?|photographs?|pictures?)\b",
        _SECOND,
        zero_shot=True,
    ),
    rule(
        "reference",
        "person",
        "image|photo|picture",
        r"\b(?:original|sample|example|earlier|previous) (?:images?|photos?|photographs?|pictures?)\b|"
        r"\bexpected (?:image|picture)\b",
        "may be the reference",
        zero_shot=True,
    ),
    rule(
        "reference",
        "reject",
        "reference",
        rf"\breference (?:{_PIECE}|standard image|state image|samples|parts|images|{_PIECE}s)\b",
        _SECOND,
        zero_shot=True,
    ),
    rule(
        "reference",
        "reject",
        "reference",
        r"\b(?:the|this|its|our|provided|given|normal|to|from|with|unlike|good|that) (?:normal |good |clean |"
        rf"provided |given |defect-free )?reference\b(?!(?:-| )(?:{_GEOMETRIC}|standards?|design|position|"
        r"specification|contour|profile|shape|to)\b)",
        _SECOND,
        unless=r"\bwith reference to (?:the |its |this )?(?:\w+ )?(?:standards?|specifications?|drawing|centerline|"
        r"axis|edges?|housing|iso)\b",
        zero_shot=True,
    ),
    rule(
        "reference",
        "person",
        "reference",
        r"\b(?:the|its|a|our) reference (?:standards?|design|position|specification|contour|profile|shape|"
        r"appearance|condition|state|geometry|texture|color)\b",
        "may be the reference image",
        zero_shot=True,
    ),
    rule(
        "reference",
        "reject",
        "counterpart",
        rf"\b{_SOUND}d? counterparts?\b",
        _SECOND,
        zero_shot=True,
        unless=r"\b(?:intact|undamaged|perfect|flawless) counterparts? (?:on|at|in|to) the\b",
    ),
    rule(
        "reference",
        "reject",
        "normal|good|defect-free|golden|template|non|known|anomaly-free|flaw|baseline|control|perfect|undamaged",
        r"\b(?:the|this|its|our|provided|given|that|your) (?:provided |given |corresponding |"
        r"matching )?(?:normal|good|defect-free|non-?defective|golden|flawless|anomaly-free|template|"
        rf"known-good|undamaged|baseline|perfect) (?:[a-z]+ )?{_PIECE}s?\b(?! of)",
        _SECOND,
        zero_shot=True,
    ),
    rule(
        "reference",
        "reject",
        "sample|specimen|template|unit|golden|reference",
        r"\bgolden (?:samples?|units?|templates?|references?|images?|parts?)\b|\b(?:a|any) (?:normal|reference|"
        r"good) (?:[a-z]+ )?(?:template|reference)\b|\b(?:the|a|this|our|provided) (?:[\w-]+ )?templates?\b",
        _SECOND,
        zero_shot=True,
    ),
    rule(
        "reference",
        "person",
        "standard|sample|specimen|golden|original|example|other one|unchanged",
        r"\b(?:a|an|any) (?:normal|good|reference) (?:sample|specimen|example)\b|\bgold(?:en)? standard\b|"
        r"\bthe standard (?:sample|specimen|example|part|version|model|unit|one|product|component|piece|"
        r"item)\b|\b(?:to|with|from|unlike) the original\b(?! (?:material|shape|position|contour|surface|"
        r"geometry|design|form|color|coating|equipment))|\bunchanged (?:from|compared)\b|"
        r"\bthe other (?:sample|specimen|one)\b",
        "may be the reference image",
        zero_shot=True,
    ),
    rule(
        "reference",
        "reject",
        "image|photo|picture",
        r"\b(?:left|right|upper|lower|top|bottom)(?:-hand|most)? (?:image|picture|photo|"
        r"photograph)\b(?! (?:half|edge|side|border|area|region|corner|part|margin|quarter|third|section|"
        r"boundary|plane))",
        _SECOND,
        zero_shot=True,
    ),
    rule(
        "reference",
        "reject",
        "image|photo|picture|side|sample",
        r"\b(?:both|two|these|those|between(?: the)?|the(?: \w+)? (?:pair of|two)|provided|given|supplied|"
        r"across|all|comparing(?: the)?|pair of) (?:provided |given |product |input |of the )?(?:images|photos|"
        r"photographs|pictures)\b|\bthe images\b|\b(?:first|second|other|another|left-hand|right-hand|previous|"
        r"former|latter|companion|paired|initial|1st|2nd) (?:images?|photos?|photographs?|pictures?|"
        r"samples?)\b|\bimage (?:1|2|a|b|one|two|#\d)\b|\bside[- ]by[- ]side (?:comparison|view|image|"
        r"inspection)\b",
        _SECOND,
        unless=r"\bmirror images\b",
        zero_shot=True,
    ),
)
