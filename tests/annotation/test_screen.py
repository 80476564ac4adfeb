"""The review screen offers what a verdict can hold, and nothing in it gets in another thing's way."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args
from xml.etree import ElementTree

from annotation import screen
from expertad.grid import cell_names
from expertad.review import REASONS
from expertad.verdict import Decision

ROOT = ElementTree.fromstring(screen())


def offered(name: str) -> list[str]:
    (control,) = (element for element in ROOT.iter("Choices") if element.get("name") == name)
    return [choice.get("alias") or choice.get("value") for choice in control.iter("Choice")]


def test_it_offers_every_decision_reason_and_cell():
    assert tuple(offered("decision")) == get_args(Decision)
    assert tuple(offered("why")) == REASONS
    assert tuple(offered("corrected_location")) == cell_names(3)


def test_no_two_controls_share_a_name_or_a_hotkey():
    names = Counter(element.get("name") for element in ROOT.iter() if element.get("name"))
    hotkeys = Counter(element.get("hotkey") for element in ROOT.iter() if element.get("hotkey"))
    assert {name for name, count in names.items() if count > 1} == set()
    assert {key for key, count in hotkeys.items() if count > 1} == set()


def test_no_control_is_named_like_a_key_of_the_data():
    keys = set(re.findall(r"\$(\w+)", screen()))
    names = {element.get("name") for element in ROOT.iter() if element.get("name")}
    assert keys == {
        "reference_image", "query_image", "coarse_type", "location", "question", "answer", "description", "think",
        "fine_types", "hints",
    }  # fmt: skip
    assert not keys & names


def test_model_text_is_never_shown_as_markup():
    assert not list(ROOT.iter("HyperText"))
    assert {element.get("toName") for element in ROOT.iter() if element.get("toName")} == {"query"}
