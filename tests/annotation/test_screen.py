"""The review screen offers what a verdict can hold, and nothing in it gets in another thing's way."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args
from xml.etree import ElementTree

import pytest
from support import REPOSITORY

from annotation import screen
from expertad.grid import cell_names
from expertad.review import REASONS
from expertad.verdict import Decision

GRIDS = range(1, 6)
RESERVED = {"r", "u", "h"}
"""Single keys that Label Studio takes for itself: draw a rectangle, let go of a region, pan."""


def parsed(grid: int = 3) -> ElementTree.Element:
    return ElementTree.fromstring(screen(grid))


def offered(name: str, grid: int = 3) -> list[str]:
    (control,) = (element for element in parsed(grid).iter("Choices") if element.get("name") == name)
    return [choice.get("alias") or choice.get("value") for choice in control.iter("Choice")]


def shown_with(name: str) -> set[tuple[str | None, str | None, str | None]]:
    """What the views around a control depend on."""
    found: list[list[ElementTree.Element]] = []

    def walk(element: ElementTree.Element, above: list[ElementTree.Element]) -> None:
        if element.get("name") == name:
            found.append(above)
        for child in element:
            walk(child, [*above, element])

    walk(parsed(), [])
    (above,) = found
    conditions = (tuple(e.get(key) for key in ("visibleWhen", "whenTagName", "whenChoiceValue")) for e in above)
    return {condition for condition in conditions if any(condition)}


def test_it_offers_every_decision_and_reason():
    assert tuple(offered("decision")) == get_args(Decision)
    assert tuple(offered("why")) == REASONS


@pytest.mark.parametrize("grid", GRIDS)
def test_it_offers_the_cells_of_the_grid_in_reading_order(grid: int):
    assert tuple(offered("corrected_location", grid)) == cell_names(grid)
    assert f"repeat({grid}," in screen(grid)


def test_the_keys_of_the_cells_lie_as_the_cells_do():
    keys = {choice.get("value"): choice.get("hotkey") for choice in parsed().iter("Choice")}
    assert [keys[name] for name in cell_names(3)] == list("qweasdzxc")


def test_a_grid_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="6 x 6"):
        screen(6)


@pytest.mark.parametrize("grid", GRIDS)
def test_no_two_controls_share_a_name_or_a_hotkey(grid: int):
    root = parsed(grid)
    names = Counter(element.get("name") for element in root.iter() if element.get("name"))
    hotkeys = Counter(element.get("hotkey") for element in root.iter() if element.get("hotkey"))
    assert {name for name, count in names.items() if count > 1} == set()
    assert {key for key, count in hotkeys.items() if count > 1} == set()
    assert not RESERVED & set(hotkeys)


def test_whatever_is_pressed_has_a_key_of_its_own():
    """Label Studio gives a label or choice without a key the next free one, which then is anybody's guess."""
    unkeyed = [e.get("value") for tag in ("Choice", "Label") for e in parsed().iter(tag) if not e.get("hotkey")]
    assert unkeyed == []


def test_corrections_and_reasons_are_asked_for_only_where_they_belong():
    edit = {("choice-selected", "decision", "edit")}
    assert shown_with("corrected_location") == edit
    assert shown_with("corrected_type") == edit
    assert shown_with("corrected_think") == edit
    assert shown_with("shown_think") == {("choice-unselected", "decision", "edit")}
    assert shown_with("why") == {("choice-selected", "decision", "reject")}
    required = {element.get("name") for element in parsed().iter() if element.get("required") == "true"}
    assert required == {"decision", "why"}


def test_no_control_is_named_like_a_key_of_the_data():
    keys = {key for e in parsed().iter() for value in e.attrib.values() for key in re.findall(r"\$(\w+)", value)}
    names = {element.get("name") for element in parsed().iter() if element.get("name")}
    assert keys == {
        "sample_id", "reference_image", "query_image", "coarse_type", "location", "question", "answer", "description",
        "think", "fine_type", "fine_types", "hints",
    }  # fmt: skip
    assert not keys & names


def test_model_text_is_never_shown_as_markup():
    assert not list(parsed().iter("HyperText"))
    assert not any("$" in element.get("value", "") for element in parsed().iter("Header"))
    assert {element.get("toName") for element in parsed().iter() if element.get("toName")} == {"query"}


def test_the_guide_shows_pictures_that_are_there_and_names_the_keys_that_decide():
    folder = REPOSITORY / "annotation"
    guide = (folder / "ANNOTATORS.md").read_text(encoding="utf-8")
    shown = {folder / name for name in re.findall(r"pictures/[\w-]+\.png", guide)}
    assert shown == set((folder / "pictures").iterdir())
    assert max(path.stat().st_size for path in shown) <= 250_000
    keys = {choice.get("alias") or choice.get("value"): choice.get("hotkey") for choice in parsed().iter("Choice")}
    for reason in REASONS:
        assert f"`{keys[reason]}` *{reason.replace('_', ' ')}*" in guide
    for decision in get_args(Decision):
        assert f"**{decision.capitalize()}** `{keys[decision]}`" in guide
