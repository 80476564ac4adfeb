"""One sample's story as a person reads it in a terminal."""

from __future__ import annotations

import click
import pytest

from expertad.ledger import Standing
from expertad.story import tell, word_diff
from expertad.verdict import Verdict

SHOWN = {
    "coarse_type": "Scratch",
    "fine_type": "surface scratch",
    "location": "top left",
    "think": "A thin bright line crosses the coating.\nIt is a defect.",
}


def story(*verdicts: Verdict, reason: str = "a person chose edit") -> str:
    standing = Standing("published", reason, "pa_sft")
    return click.unstyle("\n".join(tell("bolt/1", standing, [], verdicts, {"abcdef0123": SHOWN})))


def verdict(decision: str, **fields: object) -> Verdict:
    return Verdict("bolt/1", "abcdef0123", "ann", decision, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "marked"),
    [
        ("a thin line", "a thin line", "a thin line"),
        ("a thin line", "a thick line here", "a [-thin-]{+thick+} line {+here+}"),
        ("one two three", "three", "[-one two-] three"),
        ("", "new words", "{+new words+}"),
        ("old words", "", "[-old words-]"),
        ("only  white\nspace", "only white space ", "only white space"),
    ],
)
def test_words_taken_away_and_put_in_are_marked(before: str, after: str, marked: str):
    assert click.unstyle(word_diff(before, after)) == marked


def test_an_edit_is_told_as_what_it_changed():
    text = story(
        verdict(
            "edit",
            location="top",
            fine_type="surface scratch",
            think=SHOWN["think"].replace("bright ", "dark "),
            note="see the rim",
            at="2026-02-03T04:05:06Z",
            lead_time=41.7,
            origin="http://ls/tasks/7",
        )
    )
    assert "bolt/1: published, pa_sft" in text
    assert "ann edited it in 42 s at 2026-02-03T04:05:06Z (http://ls/tasks/7)" in text
    assert "location: [-top left-]{+top+}" in text
    assert "fine type" not in text  # repeated as it was
    assert "A thin [-bright-]{+dark+} line" in text
    assert "note: see the rim" in text


def test_what_each_verdict_was_for_is_told():
    text = story(
        verdict("reject", reasons=("inaccurate", "wrong_type")),
        verdict("accept", role="adjudication"),
        verdict("accept", role="calibration"),
    )
    assert "ann rejected it for inaccurate, wrong_type" in text
    assert "ann accepted it, to decide between reviewers" in text
    assert "ann accepted it, for calibration only" in text
    assert text.count("A thin bright line") == 1  # what they judged, once


def test_a_verdict_on_a_text_that_is_gone_says_so():
    gone = Verdict("bolt/1", "f" * 32, "bob", "edit", think="A new text.")
    text = story(gone)
    assert "text ffffffff, which is not kept" in text
    assert "A new text." in text


def test_nothing_in_a_text_commands_the_terminal():
    evil = "\x1b]0;taken\x07\x1b[2J\r\x9b31m"
    told = Verdict("bolt/1", "abcdef0123", f"ann{evil}", "edit", (evil,), f"top{evil}", None, f"x{evil} y", f"n{evil}")
    lines = list(tell(f"bolt{evil}", Standing("rejected", evil, None), [], [told], {"abcdef0123": SHOWN}))
    left = click.unstyle("\n".join(lines))
    assert not {character for character in left if ord(character) < 32 or 127 <= ord(character) < 160} - {"\n"}
