"""Does the text reason in the paper's three layers, or only assert?

Cues are lexical, so a miss asks a person and never rejects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertad import grid
from expertad.checks.finding import Finding
from expertad.checks.reading import FINE, Reading
from expertad.sample import Case, Draft

_PERCEPTION = re.compile(
    r"\b(?:observ\w+|inspect\w+|examin\w+|scan\w*|look\w*|view\w*|near|spots?|see|seen|notic\w+|visible|"
    r"visual\w*|appear\w*|shows?|region|area|across|along|throughout|overall|surface|edges?|corners?|"
    r"sides?|center|centre|display\w*|focus\w*|survey\w*|shown|find|found|images?|photos?|photograph\w*|"
    r"pictures?|every|each|all|entire\w*|whole|details?|parts?|body|bodies|rims?|base|leads?|pins?|"
    r"contacts?|terminals?|housing|handle|head|tip|frame|shell|sleeve|threads?|layers|rows?|face|faces|"
    r"ends?|beside|between|above|below|under|inside|around)\b"
)
_KNOWLEDGE = re.compile(
    r"\b(?:standards?|expected|expectations?|typical\w*|normal\w*|should|supposed|intended|design\w*|"
    r"uniform\w*|consisten\w+|inconsisten\w+|textur\w+|smooth\w*|rough\w*|contours?|colou?r\w*|shapes?|"
    r"structur\w+|finish|gloss\w*|symmetr\w+|specifi\w+|toleranc\w+|deviat\w+|irregular\w*|manufactur\w+|"
    r"unlike|instead|rather than|compared|contrast\w*|material|coating|norms?|regular\w*|align\w*|"
    r"geometr\w+|profile|continu\w+|interrupt\w+|wear|process\w*|handling|quality|requirements?|properly|"
    r"well-\w+|clean\w*|sharp\w*|level|intact|matte|shiny|flush|straight|round|even\w*|crisp|natural\w*|"
    r"function\w*|rigid|usual\w*|must|ought|has to|have to|requires?|reference|template|belong\w*|part of|"
    r"beyond)\b"
)
_DECISION = re.compile(
    r"\b(?:therefore|thus|hence|conclu\w+|consequently|accordingly|overall|so|indicat\w+|confirm\w*|"
    r"constitut\w+|classif\w+|represent\w*|qualif\w+|judg\w+|deem\w*|consider\w*|verdict|decision|means|"
    r"meets?|conform\w*|compl(?:y|ies)|(?:un)?accept\w*|makes|reject\w*|defect\w*|anomal\w+|abnormal\w*|"
    r"flaw\w*|fault\w*|non-?conform\w*|fails?|normal|affect\w*|compromis\w*|replac\w*|repair\w*|reduc\w*|"
    r"impair\w*|passes|adheres?|satisf\w*|no reason|must|pass|sorted|un(?:usable|suitable|fit)|condition|"
    r"good|sound|contaminated|damaged|scrap\w*)\b"
)
# The decision closes the text: its cue has to stand in the last part.
_DECISION_PART = 0.5


def check_layers(case: Case, draft: Draft, think: Reading) -> Iterator[Finding]:
    """Spatial perception, knowledge-driven analysis and decision each leave a trace; a person judges what has none."""
    low = think.low
    if not low.strip():
        return
    if not _perceives(case, think):
        yield Finding("layers", "person", "no trace of spatial perception: it never says that or where it looked")
    if not _KNOWLEDGE.search(low) and not FINE.search(low):
        yield Finding(
            "layers",
            "person",
            "no trace of knowledge-driven analysis: nothing is held against what the product should be",
        )
    judged = any(t.stance != "weighed" for c in think.sentences[-1].clauses for t in c.terms if t.strong)
    if not judged and not _DECISION.search(low, int(len(low) * (1 - _DECISION_PART))):
        yield Finding(
            "layers",
            "person",
            "no trace of a decision: its later half never says what follows from the observation",
        )


def _perceives(case: Case, think: Reading) -> bool:
    """True when the text looks or names a place; on a normal sample, also when it goes through several parts."""
    if _PERCEPTION.search(think.low) or grid.mentions(think.text, case.region.grid if case.region else 3):
        return True
    return not case.sample.anomalous and sum(c.fine for c in think.clauses) > 1
