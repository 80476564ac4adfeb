"""The two answer patterns: what the strict parser takes and refuses, and what the lenient one still reads."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertad.errors import PatternError
from expertad.pattern import FIELDS, Parsed, parse, parse_lenient, write

N = "<think>No flaw.</think><answer>No</answer>"
A = "<think>A scratch.</think><location>top left</location><type>scratch</type><answer>Yes</answer>"


def test_the_n_pattern() -> None:
    assert parse(N) == Parsed("N", "No flaw.", None, None, "No", None)
    assert write("No flaw.") == N


def test_the_a_pattern() -> None:
    assert parse(A) == Parsed("A", "A scratch.", "top left", "scratch", "Yes", None)
    assert write("A scratch.", "top left", "scratch") == A


@pytest.mark.parametrize(
    "text",
    [
        f"\n {A}\t\n",
        A.replace("><", ">\n\n<"),
        A.replace("scratch.", "long,\n\nbroken\nscratch < 2 mm & > 1 mm.").replace("top left", " top left\n"),
        A.replace("Yes", "YES"),
        A.replace("Yes", " yes "),
        A.replace("A scratch.", "the <b>bold</b> one, < think, <thinking> and think>"),
    ],
)
def test_white_space_case_of_the_answer_and_other_angle_brackets_are_free(text: str) -> None:
    assert (parse(text).kind, parse(text).answer, parse(text).reason) == ("A", "Yes", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no <think> tag"),
        ("Yes", "no <think> tag"),
        ("<think>a</think>", "no <answer> tag"),
        ("<answer>No</answer>", "no <think> tag"),
        ("<think>a<answer>No</answer>", "no </think> tag"),
        ("a</think><answer>No</answer>", "no <think> tag"),
        ("<think>a</think><answer>No", "no </answer> tag"),
        (N + N, "<think> occurs 2 times"),
        ("<think>a</think><answer>No</answer><answer>No</answer>", "<answer> occurs 2 times"),
        ("<think>a</think></think><answer>No</answer>", "</think> occurs 2 times"),
        ("<think>a<think>b</think></think><answer>No</answer>", "<think> occurs 2 times"),
        ("<think>a<answer>No</answer></think>", "<answer> stands where </think> belongs"),
        ("<answer>No</answer><think>a</think>", "<answer> stands where <think> belongs"),
        ("</think>a<think><answer>No</answer>", "</think> stands before <think>"),
        (A.replace("<type>scratch</type>", ""), "no <type> tag"),
        (A.replace("<location>top left</location>", ""), "no <location> tag"),
        (
            "<think>a</think><type>t</type><location>l</location><answer>Yes</answer>",
            "<type> stands where <location> belongs",
        ),
        (
            "<think>a</think><location>l<type>t</type></location><answer>Yes</answer>",
            "<type> stands where </location> belongs",
        ),
        ("<Think>a</Think><answer>No</answer>", "the tag '<Think>' must be written <think>"),
        ("<THINK>a</THINK><ANSWER>No</ANSWER>", "the tag '<THINK>' must be written <think>"),
        ("< think >a</think><answer>No</answer>", "the tag '< think >' must be written <think>"),
        ("<think>a< /THINK ></think><answer>No</answer>", "the tag '< /THINK >' must be written </think>"),
        ("Sure: " + N, "text before <think>"),
        ("\ufeff" + N, "text before <think>"),
        (N + ".", "text after </answer>"),
        ("<think>a</think> so <answer>No</answer>", "text between </think> and <answer>"),
        (A.replace("</type>", "</type>\u200b"), "text between </type> and <answer>"),
        ("<think> \n</think><answer>No</answer>", "<think> is empty"),
        ("<think>a</think><answer></answer>", "<answer> is empty"),
        (A.replace("top left", ""), "<location> is empty"),
        (A.replace("<type>scratch", "<type>\u3000"), "<type> is empty"),
        (N.replace("No<", "No.<"), "the answer is 'No.', neither Yes nor No"),
        (N.replace("No<", "maybe<"), "the answer is 'maybe', neither Yes nor No"),
        (N.replace("No<", "A. Yes<"), "the answer is 'A. Yes', neither Yes nor No"),
        (N.replace("No<", "Yes<"), "the answer is Yes, but location and type are missing"),
        (A.replace("Yes", "No"), "the answer is No, but a location and a type are given"),
        ("＜think＞a＜/think＞＜answer＞No＜/answer＞", "no <think> tag"),
    ],
)
def test_malformed_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    assert parse(text) == Parsed(None, None, None, None, None, reason)


def test_lenient_reads_what_is_left() -> None:
    text = "Well: <answer>Yes.</answer> <type>dent</type> <think>a</think><think>b</think><location>top"
    assert parse_lenient(text) == Parsed("A", None, None, "dent", "Yes", "<think> occurs 2 times; no </location> tag")


def test_lenient_does_not_miss_location_and_type_after_no() -> None:
    assert parse_lenient("<answer>no, it is flawless</answer><think>a</think>") == Parsed(
        "N", "a", None, None, "No", None
    )


def test_lenient_reads_nested_fields_and_tags_in_any_case() -> None:
    read = parse_lenient("<THINK>so <Answer>Yes</answer> it is</think>")
    assert (read.kind, read.answer) == ("A", "Yes")
    assert read.think == "so <Answer>Yes</answer> it is"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Yes", "A"), ("no", "N"), ("**Yes**", "A"), ("Yes!", "A"), ("(No)", "N"), ("Yes, there is a dent.", "A"),
        ("No; nothing to see", "N"), ("No - fine", "N"),
        ("Yes and no", None), ("No, wait, yes", None), ("No defects", None), ("Yesterday", None), ("B", None),
        ("There are none", None), ("not sure", None),
    ],
)  # fmt: skip
def test_which_answers_read_as_yes_or_no(answer: str, kind: str | None) -> None:
    read = parse_lenient(f"<answer>{answer}</answer>")
    assert read.kind == kind
    assert read.answer == {"A": "Yes", "N": "No", None: answer}[kind]
    assert ("neither yes nor no" in (read.reason or "")) == (kind is None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("",), "the think field is empty"),
        ((" \n",), "the think field is empty"),
        (("a", "top"), "belong together"),
        (("a", None, "dent"), "belong together"),
        (("a", "", "dent"), "the location field is empty"),
        (("a", "top", "\t"), "the type field is empty"),
        (("a </think> b",), "the think field holds markup: '</think> b'"),
        (("a <Answer>Yes",), "the think field holds markup"),
        (("a < think > b",), "the think field holds markup"),
        (("a <think", "top", "dent"), "the think field holds markup"),
        (("<image> a",), "the think field holds markup"),
        (("a <|im_end|>",), "the think field holds markup"),
        (("a", "top </ location>", "dent"), "the location field holds markup"),
        (("a", "top", "<!-- dent -->"), "the type field holds markup"),
    ],
)
def test_write_refuses(fields: tuple[str, ...], reason: str) -> None:
    with pytest.raises(PatternError, match=reason.replace("|", r"\|")):
        write(*fields)


def test_write_strips_its_fields_and_keeps_less_than_signs() -> None:
    assert write(" gap < 2 mm, 3 <4 \n") == "<think>gap < 2 mm, 3 <4</think><answer>No</answer>"


PLAIN = st.text().map(lambda text: text.replace("<", ""))
FIELD = (
    st.lists(PLAIN | st.sampled_from(["a < b", "<= 3", "<5 mm", "&lt;think>", "\n"])).map(" ".join).filter(str.strip)
)


@given(FIELD, st.none() | st.tuples(FIELD, FIELD))
@settings(deadline=None)
def test_what_is_written_parses_back(think: str, place: tuple[str, str] | None) -> None:
    fields = (think, *place) if place else (think,)
    text = write(*fields)
    read = parse(text)
    stripped = tuple(field.strip() for field in fields)
    assert (read.think, read.location, read.type) == (*stripped, None, None)[:3]
    assert (read.kind, read.answer, read.reason) == (("A", "Yes", None) if place else ("N", "No", None))
    assert parse_lenient(text) == read


TAGS = [f"{opening}{name}>" for name in FIELDS for opening in ("<", "</")]
SCRAPS = st.lists(st.sampled_from([*TAGS, "<Think>", "< /answer>", "Yes", "no", " ", "\n", "a", "<"]), max_size=14)


@given(st.one_of(st.text(), SCRAPS.map("".join)))
@settings(deadline=None)
def test_any_text_is_parsed_or_refused_with_a_reason(text: str) -> None:
    read = parse(text)
    assert (read.kind is None) == (read.reason is not None)
    if read.kind is None:
        assert (read.think, read.location, read.type, read.answer) == (None, None, None, None)
    else:
        assert parse_lenient(text) == read
        assert (read.location is None) == (read.type is None) == (read.kind == "N")
        rewritten = parse("".join(f"<{n}>{v}</{n}>" for n in FIELDS if (v := getattr(read, n)) is not None))
        assert rewritten == read


@given(st.one_of(st.text(), SCRAPS.map("".join)))
@settings(deadline=None)
def test_lenient_reads_exactly_the_fields_whose_tag_occurs_once(text: str) -> None:
    read = parse_lenient(text)
    for name in FIELDS:
        spelled = text.lower().replace("< /", "</")
        once = spelled.count(f"<{name}>") == spelled.count(f"</{name}>") == 1
        if getattr(read, name) is not None:
            assert once
        elif once and spelled.index(f"<{name}>") < spelled.index(f"</{name}>"):
            value = spelled.split(f"<{name}>")[1].split(f"</{name}>")[0]
            assert not value.strip()


@pytest.mark.timeout(30)  # a parser whose time grew with the square of the length would need minutes
@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "< ", "<", "<think>a</think>", "yes ", " ", "<location><type>"]
)
def test_a_long_text_is_parsed_to_its_end(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    assert parse(text).reason
    assert parse_lenient(f"{text}<answer>{text}</answer>").reason
