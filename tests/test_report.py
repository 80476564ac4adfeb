"""The report as a browser shows it: a real headless Chromium opens the page from disk."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from make_records import case as make_case
from make_records import draft as make_draft

from expertad.build import Outcome
from expertad.checks import Finding
from expertad.report import Standing, write_page
from expertad.review import Ruling
from expertad.sample import Draft
from expertad.verdict import Verdict

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000",
)  # fmt: skip
HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    "<!--data--> <!--thumbs--> @digest@ <b>bold</b> & \u2028 \\u003c ${document.title = 'taken'}"
)
HEAD = {
    "version": "1.2.3",
    "title": "Real-IAD <i>",
    "accounting": {
        "ingested": 80, "selected": 58, "unselected": 19, "unusable": 3,
        "published": 51, "rejected": 4, "quarantined": 2, "pending": 1,
    },
    "waiting": 1,
    "left": 0,
    "notes": ["a note"],
    "problems": [["zipper", "its JSON ends early"]],
    "reasons": [["rejected", HOSTILE, 4]],
    "spent": [
        {
            "model": "qwen", "stage": "describe", "currency": "USD", "calls": 58.0, "input_tokens": 4000.0,
            "output_tokens": 900.0, "image_tokens": 0.0, "cost": 1.25, "latency_s": 116.0,
        }
    ],
    "held_out": 7,
    "grid": 3,
    "cells": [
        "top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right",
    ],
    "seed": 0,
    "teacher": ["openai", "qwen"],
    "review": "file",
    "agreement": [
        {
            "about": "decision", "statistic": "Cohen's kappa", "value": 0.4,
            "observed": 0.75, "items": 20, "annotators": 2,
        },
        {
            "about": "type", "statistic": "Cohen's kappa", "value": None,
            "observed": 1.0, "items": 5, "annotators": 2,
        },
    ],
    "calibration": [f"{HOSTILE}: right in 3 of 4 decisions"],
}  # fmt: skip


class Page(HTMLParser):
    """What stands in a page once its scripts have run, without the scripts."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.title = ""
        self._open = ""
        self.feed(dom)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open == "title":
            self.title += data
        elif self._open not in ("script", "style"):
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def cards(self) -> int:
        return sum(tag == "article" for tag, _ in self.elements)

    def images(self, beginning: str) -> list[str]:
        found = [attributes.get("src") or "" for tag, attributes in self.elements if tag == "img"]
        return [source for source in found if source.startswith(beginning)]


Open = Callable[..., Page]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Open a page in Chromium, and look at what it has become."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("this test opens the report in a real browser, which is missing: apt-get install chromium")
    profile = tmp_path / "profile"

    def open_page(path: Path, fragment: str = "") -> Page:
        done = subprocess.run(
            [chromium, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", f"{path.as_uri()}#{fragment}"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return Page(done.stdout)

    return open_page


def standing(root: Path, number: int, **options: object) -> Standing:
    """A sample that passed its review, with real photographs under `root`."""
    case = make_case(root, number, **options)  # type: ignore[arg-type]
    outcome = Outcome("published", "passed all checks", None, case, make_draft(case), (), None)
    return Standing("pa_sft" if number % 2 else "sc_grpo", case.sample, outcome)


def changed(found: Standing, **fields: object) -> Standing:
    return dataclasses.replace(found, outcome=dataclasses.replace(found.outcome, **fields))  # type: ignore[arg-type]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Six samples of two categories in five states, one of them hostile."""
    root = tmp_path / "photos"
    scratch = standing(root, 1, code="HS")
    hole = standing(root, 2, code="AK", category="zipper")
    normal = standing(root, 3)
    assert hole.outcome.case is not None
    text = Draft(hole.sample.sample_id, HOSTILE, f"It is {HOSTILE}", "cavity", ())
    verdict = Verdict(
        hole.sample.sample_id, "r", "ann", "edit", reasons=("inaccurate",), think=f"Edited {HOSTILE}", note=HOSTILE
    )
    found = [
        scratch,
        changed(
            hole, state="pending", reason=HOSTILE, draft=text, findings=(Finding("leak", "person", HOSTILE),),
            ruling=Ruling("pending", HOSTILE, verdict, "human"),
        ),
        normal,
        changed(standing(root, 4, code="HS"), state="rejected", reason="leak: speaks of a mask"),
        changed(standing(root, 5), state="quarantined", reason="refusal", draft=None),
        changed(standing(root, 6), state="pending", reason="waits for a look at its files", case=None, draft=None),
    ]  # fmt: skip
    unusable = [
        {"id": "zipper/NG_AK/S1/C1", "state": "unusable", "reason": "mask x.png marks nothing", "set": "",
         "category": "zipper", "type": ""}
    ]  # fmt: skip
    return write_page(tmp_path / "W" / "report.html", HEAD, found, unusable, root.as_uri(), 1)


def test_the_page_shows_the_accounting_and_every_sample(page: Path, opened: Open):
    seen = opened(page)
    assert seen.title == "expertad report"
    for name, count in HEAD["accounting"].items():  # type: ignore[attr-defined]
        assert f"{name}{count}" in seen.text
    assert "Category zipper could not be read: its JSON ends early" in seen.text
    assert "58 calls, 4000 tokens in, 900 out, 2.00 s each" in seen.text
    assert "1.2500 USD" in seen.text
    assert "1 wait for a person, 7 held out" in seen.text
    assert "7 samples, page 1 of 1" in seen.text
    assert seen.cards() == 7
    assert "mask x.png marks nothing" in seen.text
    assert "check leak (person)" in seen.text
    assert "verdict by ann" in seen.text
    # Reference and query of the five whose files are known, the reference being the same; and three defects close up.
    assert len(seen.images("data:image/webp;base64,")) == 10
    assert len(set(seen.images("data:image/webp;base64,"))) == 6
    assert len(seen.images("file://")) == 3
    assert sum(tag == "rect" for tag, _ in seen.elements) == 3


def test_what_a_model_wrote_stays_text(page: Path, opened: Open):
    seen = opened(page)
    assert seen.title == "expertad report"
    # Panel, calibration, reason, check, reasoning, description, note, edited reasoning.
    assert seen.text.count(HOSTILE) == 8
    assert not [tag for tag, _ in seen.elements if tag in ("b", "i")]
    assert not seen.images("x")
    assert not [name for _, attributes in seen.elements for name in attributes if name.startswith("on")]
    assert sum(tag == "script" for tag, _ in seen.elements) == 3  # data, one block of thumbnails, the program


@pytest.mark.parametrize(
    ("fragment", "count", "words"),
    [
        ("state=pending", 2, "waits for a look at its files"),
        ("state=rejected", 1, "leak: speaks of a mask"),
        ("category=zipper", 2, "zipper/NG_AK/S1/C1"),
        ("type=Hole&set=sc_grpo", 1, "cavity"),
        ("search=SPEAKS%20of", 1, "leak: speaks of a mask"),
        ("state=rejected&category=zipper", 0, "Nothing matches; choose other filters."),
    ],
)
def test_filters_leave_what_was_asked_for(page: Path, opened: Open, fragment: str, count: int, words: str):
    seen = opened(page, fragment)
    assert seen.cards() == count
    assert words in seen.text
    assert f"{count} samples, page 1 of 1" in seen.text


def test_a_page_that_already_says_this_is_left_alone(page: Path):
    before = page.stat().st_mtime_ns
    root = page.parent.parent / "photos"
    again = [standing(root, 1, code="HS")]
    write_page(page, HEAD, again, [], root.as_uri(), 1)
    changed_at = page.stat().st_mtime_ns
    assert changed_at != before
    write_page(page, HEAD, again, [], root.as_uri(), 1)
    assert page.stat().st_mtime_ns == changed_at


@pytest.mark.slow
def test_a_page_of_the_whole_data_set_opens_and_turns(tmp_path: Path, opened: Open):
    few = [standing(tmp_path / "photos", number, code="HS" if number % 2 else "OK") for number in range(40)]
    many = [
        dataclasses.replace(
            few[number % 40], sample=dataclasses.replace(few[number % 40].sample, sample_id=f"audiojack/{number:05}")
        )
        for number in range(5_900)
    ]
    page = write_page(tmp_path / "report.html", HEAD, many, [], tmp_path.as_uri(), 1)
    assert page.stat().st_size < 12_000_000
    seen = opened(page, "page=295")
    assert "5900 samples, page 295 of 295" in seen.text
    assert seen.cards() == 20
    assert "audiojack/05899" in seen.text
    assert re.search(r"all types.*Scratch \(2950\).*normal \(2950\)", seen.text, re.DOTALL)


def test_photographs_that_are_gone_leave_the_page_whole(tmp_path: Path, opened: Open):
    found = standing(tmp_path / "photos", 1, code="HS")
    shutil.rmtree(tmp_path / "photos")
    seen = opened(write_page(tmp_path / "report.html", HEAD, [found], [], (tmp_path / "photos").as_uri(), 1))
    assert seen.cards() == 1
    assert seen.text.count("not readable any more") == 2
    assert not seen.images("file://")
    assert escape(found.sample.sample_id) in seen.text
