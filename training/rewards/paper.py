"""The four rewards of SC-GRPO as the paper's main text defines them.

R = R_con + R_acc + 1[anomalous] * 1[R_acc = 1] * (R_loc + R_type)      (equation 9, with the main text's condition that
location and type are paid only after a correct answer; so 0 <= R <= 2 for a normal image, 0 <= R <= 4 for an anomalous
one. A wrong answer earns nothing at all: its pattern is the other one too).

Worked example. Truth: anomalous, top left, "stain". Completion: `<think>A dark spot.</think><location>upper left
corner</location><type>dirt</type><answer>Yes</answer>`. R_con = 1, R_acc = 1, R_loc = 1 (both phrases are cell 0),
R_type = 0.85 (two terms of Contamination); R = 3.85. The same text ending in `<answer>No</answer>` fits no pattern
(R_con = 0), is wrong (R_acc = 0), and therefore earns nothing for its location and type: R = 0.
"""

from __future__ import annotations

from training.rewards.matching import STEPS, type_step
from training.rewards.truth import Pay, Reading, Truth, cells_of

NOT_ANOMALOUS = Pay(None, "image is normal")
ANSWER_WRONG = Pay(0.0, "not paid: answer wrong or missing")

_PATTERN_OF = {True: "A", False: "N"}


def consistency(reading: Reading, truth: Truth) -> Pay:
    """Equation 2: 1 when the strict parse succeeds and its pattern is the truth's, else 0.

    Example: the N-pattern pays 1 on a normal image and 0 on an anomalous one, however good its reasoning.
    """
    if reading.kind is None:
        return Pay(0.0, f"no pattern: {reading.reason}")
    if reading.kind != _PATTERN_OF[truth.anomalous]:
        return Pay(0.0, "the other pattern")
    return Pay(1.0, "the truth's pattern")


def accuracy(reading: Reading, truth: Truth) -> Pay:
    """Equation 3: 1 when the answer is the truth's, else 0.

    Example: "<answer>YES</answer>" on an anomalous image pays 1; "<answer>Cannot tell</answer>" pays 0.
    """
    if reading.says(truth):
        return Pay(1.0, "right answer")
    if reading.answer in ("yes", "no"):
        return Pay(0.0, "wrong answer")
    return Pay(0.0, "no answer of yes or no")


def location(reading: Reading, truth: Truth) -> Pay:
    """Equation 4: 1 when Φ of the location is Φ of the true one, both known, else 0; gated by the answer.

    Does not apply (None) to a normal image. A phrase without a direction has no Φ and is never paid.

    Example, truth "center": "the middle" pays 1; "somewhere on the object" pays 0; "center left" pays 0.
    """
    if not truth.anomalous:
        return NOT_ANOMALOUS
    if not reading.says(truth):
        return ANSWER_WRONG
    if reading.location is None:
        return Pay(0.0, "no location")
    cells = cells_of(reading.location, truth.grid)
    if cells is None:
        return Pay(0.0, "location names no cell")
    if cells == cells_of(truth.location or "", truth.grid):
        return Pay(1.0, "same cell")
    return Pay(0.0, "other cell")


def type_(reading: Reading, truth: Truth) -> Pay:
    """Equation 5: the step of `matching.type_step`, one of 1, .85, .6, .4, .3, 0; gated by the answer.

    Does not apply (None) to a normal image.

    Example, truth "stain": "Stain." 1, "dirt" .85, "some debris" .3 (another type of the same group), "hole" 0.
    """
    if not truth.anomalous:
        return NOT_ANOMALOUS
    if not reading.says(truth):
        return ANSWER_WRONG
    if reading.type is None:
        return Pay(0.0, "no type")
    step = type_step(reading.type, truth.fine_type or "", truth.coarse_type)
    return Pay(STEPS[step], f"{step} match" if step != "none" else "no match")
