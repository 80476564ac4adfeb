"""What counts as a place, phrase by phrase; the grid's numbers read 0 1 2 / 3 4 5 / 6 7 8."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertad.grid import cell_name, cell_names, mentions, phrase_to_cells

NOTHING: frozenset[int] = frozenset()


def read(text: str, n: int = 3) -> frozenset[int]:
    return phrase_to_cells(text, n) or NOTHING


def table(text: str) -> list[tuple[str, frozenset[int]]]:
    """Lines of `phrase = cells`, cells as digits, none for unknown."""
    rows = []
    for line in text.strip().splitlines():
        phrase, _, cells = line.rpartition("=")
        rows.append((phrase.strip(), frozenset(int(cell) for cell in cells.split())))
    return rows


ONE_PLACE = table("""
    top left = 0
    Upper-Left Corner = 0
    LOWER RIGHT-HAND CORNER = 8
    left-hand upper corner = 0
    left-most edge = 3
    the corner at the top left = 0
    corner (top right) = 2
    left top = 0
    right lower corner = 8
    topleft = 0
    TopLeft = 0
    TOP_LEFT = 0
    top_left_corner = 0
    topmost = 1
    bottommost right = 8
    extreme bottom left corner = 6
    top edge = 1
    bottom edge = 7
    right-hand side = 5
    left outer edge = 3
    Right edge of the pale yellow plastic object = 5
    upper half = 1
    lower third, right = 8
    top right quadrant = 2
    southeast corner = 8
    north-west = 0
    left = 3
    RIGHT! = 5
    on the right = 5
    at left = 3
    The location of the defect is left = 3
    Location: Upper Left = 0
    roughly center = 4
    the centre = 4
    middle region = 4
    dead centre = 4
    center of the object = 4
    center of the gear = 4
    top center = 1
    upper middle = 1
    mid-top = 1
    center-upper area = 1
    center-left = 3
    middle right = 5
    right central area = 5
    bottom center of the lid = 7
    mid-left = 3
    left of center = 3
    left-of-center = 3
    right of the centre = 5
    slightly left of center = 4
    slightly to the left of the center = 4
    center, slightly to the left = 4
    center of the image, slightly towards the top = 4
    above the center = 1
    just below center = 4
    off-center to the left = 3
    left of the image = 3
    to the left of the image = 3
    upper left of the bottle = 0
    top of the bottle = 1
    near the top edge on the right = 2
    at the bottom, on the left = 6
    top, left = 0
    bottom (left) = 6
    upper part, left side = 0
    towards the bottom right = 8
    left side near the bottom edge = 6
    left side of the gear near the top = 0
    in the upper part of the left side = 0
    the left half of the upper edge = 0
    center of the left side = 3
    middle of the top edge = 1
    top edge, right of center = 2
    close to the upper edge, a little to the left of the center = 1
    top corner on the right = 2
    right-hand edge, just above the bottom corner = 8
    a stain on the pill's right side, near its upper edge = 2
    in the center-left portion = 3
    is located centrally = 4
    top left, 3 mm from the edge = 0
    top left near the center = 0
    just below the top left corner = 0
    middle row, left column = 3
    top row, right column = 2
    row 1, column 3 = 2
    second row, third column = 5
    r2c3 = 5
    tl = 0
    BR corner = 8
    left terminal = 3
    the upper teeth = 1
""")

SEVERAL_PLACES = table("""
    top left and center = 0 4
    top right, bottom left = 2 6
    top-left/center = 0 4
    top left - center = 0 4
    left & right = 3 5
    top+bottom = 1 7
    top and left = 1 3
    top, left, and right = 1 3 5
    left and lower left = 3 6
    top left or top right = 0 2
    the left edge and the top right corner = 3 2
    top left corner and bottom edge = 0 7
    bottom left, bottom center and bottom right = 6 7 8
    upper left / center / lower right = 0 4 8
    upper and lower left = 0 6
    top left and right = 0 2
    top left/right = 0 2
    top and bottom edges = 1 7
    left and right sides = 3 5
    left and right upper corners = 0 2
    center and right parts of the bottom edge = 7 8
    upper corners = 0 2
    all four corners = 0 2 6 8
    each corner = 0 2 6 8
    from the top left to the bottom right = 0 8
    from the top left through the center to the bottom right = 0 4 8
    from the center to the right edge = 4 5
    between the top and the center = 1 4
    left and right columns of the middle row = 3 5
""")

UNKNOWN = table("""
    =
    somewhere on the object =
    across the whole image =
    entire surface =
    everywhere =
    unknown =
    n/a =
    corner =
    both sides =
    on the thread =
    top corner =
    right angle =
    right-angled triangle =
    all right =
    right away =
    right next to the hole =
    right side up =
    the right size =
    This is right. =
    left over =
    left-over material =
    what is left =
    The operator left. =
    a mark left by the tool =
    residue left on the part =
    left in the mold =
    left-handed thread =
    left-hand drive =
    The bristles lean left. =
    It looks right. =
    There is plenty of room left. =
    right-hand thread =
    upper case =
    lower contrast =
    The gloss is lower. =
    to lower the risk =
    the upper limit =
    The top coat is worn. =
    lower than usual =
    The lower the contrast, the worse =
    top quality =
    top-notch =
    bottom line =
    top 5 =
    on top of that =
    on top of the screw head =
    center of attention =
    center of gravity =
    in the middle of the inspection =
    center the part =
    top surface of the part =
    upper face =
    top view =
    bottom plate =
    center pin =
    central hole of the gear =
    central to the decision =
    off center =
    to the left of the zipper =
    to the upper left of the connector =
    left edge of the stain =
    bottom of the groove =
    center of the scratch =
    from left to right =
    top-to-bottom =
    left-right symmetry =
    The left-right balance is off. =
    turn it to the right =
    the pins point to the left =
    the label is shifted slightly to the right =
    bent to the right =
    viewed from the top =
    scanning the part from the top left to the bottom right =
    UL listed =
    BR2 resistor =
    3 o'clock =
    row 4, column 1 =
    first row =
    two columns =
    copyright, bottleneck, stop, brightly =
    upside down =
""")

DENIED = table("""
    not at the top but at the bottom = 7
    not top left but bottom left = 6
    The defect isn't on the left. =
    It cannot be in the center. =
    nothing at the left =
    nothing at the top, at the left or at the right =
    none on the left =
    neither at the top nor at the bottom =
    no visible damage at the top, left or right =
    No scratches, dents or stains are visible in the top left, the center or the bottom right. =
    The surface does not show any scratches in the top left. =
    There are no defects on the left side, but the right side shows a crack. = 5
    away from the center =
    not far from the center = 4
    rather than at the top, at the bottom = 7
    at the bottom instead of the top = 7
    unlike the right side, the left side is scratched = 3
    a bent pin at the top right, unlike the connector on the left = 2
    darker than the area on the left =
    Compared with the normal sample, the top edge is deformed. = 1
    the top left is intact; the bottom right has a dent = 8
    The top and bottom are clean but the center is dented. = 4
    The right half is free from damage. =
    The plate is smooth at the top and in the middle, whereas the bottom left is scratched. = 6
    the rest, including the center and the top edge, is clean =
    left: ok, right: dent = 5
    not only at the top but also at the left = 1 3
    not confined to the top right corner = 2
    not smooth in the upper right corner = 2
    no longer uniform at the bottom left = 6
    no label at the top right = 2
    visible in the upper right and none in the lower left = 2
    The left edge is not clean. = 3
    The left edge isn't straight. = 3
    The coating at the top right is missing. = 2
    The scratch at the top left is straight. = 0
    entirely clean except the center = 4
""")

DRESSED = table("""
    <location>top left</location> = 0
    **Bottom Right** = 8
    “upper right” = 2
    `left` = 3
    1. top left = 0
    ｔｏｐ　ＬＥＦＴ = 0
    top–left = 0
    top—left = 0
    top‑left = 0
    top−left = 0
    top left... = 0
""")


@pytest.mark.parametrize(
    ("phrase", "cells"), [*ONE_PLACE, *SEVERAL_PLACES, *UNKNOWN, *DENIED, *DRESSED], ids=lambda value: str(value)[:60]
)
def test_a_phrase_names_exactly_these_cells(phrase: str, cells: frozenset[int]) -> None:
    assert read(phrase) == cells


def test_unknown_is_none_and_not_an_empty_set() -> None:
    assert phrase_to_cells("somewhere on the object") is None


def test_bullets_and_line_breaks() -> None:
    assert read("- top left\n- center") == {0, 4}
    assert read("in the top\nleft corner") == {0}
    assert read("top\n\nleft") == {1, 3}


PROSE = [
    (
        "Scanning the component from left to right, the surface is uniform until the upper right region, where a thin"
        " scratch runs diagonally.",
        {2},
    ),
    ("The left-handed thread is regular. At the bottom right there is a notch.", {8}),
    (
        "The center pin is bent, the material left over from machining is minimal. Near the top, a dent is visible.",
        {1},
    ),
    ("It is all right. Right, let me look: the mark is in the top-left corner, right next to the hole.", {0}),
    ("The bottom line: what is left of the coating at the center is damaged.", {4}),
    ("The upper surface of the cap is scratched near the bottom edge.", {7}),
    ("In the top-left region of the toothbrush head, the bristles are bent to the right.", {0}),
    ("The right terminal is bent, in the lower right of the picture.", {8}),
    ("Toward the bottom, along the left edge, a chip is missing.", {6}),
    ("a crack that runs along the left edge from top to bottom", {3}),
    ("The scratch starts at the top left and extends to the bottom right.", {0, 8}),
    ("A hole can be seen near the middle of the lower edge of the part.", {7}),
    ("Focusing particularly on its right side, I noticed wear near the upper-right section.", {5, 2}),
    ("The screw head at the top is intact, while the tip at the bottom is broken.", {7}),
    ("The defect spans the left and center regions.", {3, 4}),
]


@pytest.mark.parametrize(("text", "cells"), PROSE, ids=lambda value: str(value)[:60])
def test_running_prose(text: str, cells: set[int]) -> None:
    assert read(text) == cells


def test_mentions_carry_their_words_and_where_they_stand() -> None:
    text = "A dent lies near the top edge on the right, another at the lower left-hand corner."
    first, second = mentions(text)
    assert (first.text, first.cells) == ("top edge on the right", {2})
    assert (second.text, second.cells) == ("lower left-hand corner", {6})
    assert text[first.start : first.end] == first.text
    assert text[second.start : second.end] == second.text


def test_a_parts_name_counts_only_when_no_place_is_named() -> None:
    assert read("The left terminal is bent.") == {3}
    assert read("The left terminal is bent, at the bottom right.") == {8}


ADDRESSES = [
    ("row 2, column 3", 4, {6}),
    ("Row: 2, Column: 3", 4, {6}),
    ("(row 2, col 3)", 4, {6}),
    ("row-2-column-3", 4, {6}),
    ("row 2 / column 3", 4, {6}),
    ("row two, column three", 5, {7}),
    ("second row, third column", 4, {6}),
    ("2nd row, 3rd column", 5, {7}),
    ("third column of the second row", 4, {6}),
    ("column 3, row 2", 4, {6}),
    ("r2c3", 5, {7}),
    ("R2-C3", 4, {6}),
    ("rows 2 and 3, column 1", 4, {4, 8}),
    ("rows 2-3, columns 1 to 2", 4, {4, 5, 8, 9}),
    ("first and second rows, third column", 4, {2, 6}),
    ("row 2, columns 1, 2 and 4", 4, {4, 5, 7}),
    ("row 2, column 3 and column 4", 4, {6, 7}),
    ("row 1, column 1 and row 4, column 4", 4, {0, 15}),
    ("bottom row, right column", 4, {15}),
    ("middle row, middle column", 5, {12}),
    ("middle row, middle column", 4, set()),
    ("row 5, column 1", 4, set()),
    ("row 0, column 1", 4, set()),
    ("rows 2 and 9, column 1", 4, set()),
    ("row 99999999999999999999, column 1", 4, set()),
    ("row 2", 4, set()),
    ("column 3 of pins", 5, set()),
    ("not in row 2, column 3 but in row 1, column 1", 4, {0}),
    ("top left", 4, set()),
    ("center", 5, set()),
]


@pytest.mark.parametrize(("phrase", "n", "cells"), ADDRESSES)
def test_rows_and_columns(phrase: str, n: int, cells: set[int]) -> None:
    assert read(phrase, n) == cells


def test_small_grids() -> None:
    assert read("left", 2) == {0, 2}
    assert read("top center", 2) == {0, 1}
    assert read("bottom right", 2) == {3}
    assert phrase_to_cells("center", 2) is None
    assert read("anywhere near the upper left", 1) == {0}
    assert phrase_to_cells("somewhere", 1) is None


@pytest.mark.parametrize("n", [0, 6, -1])
def test_there_are_five_grids(n: int) -> None:
    with pytest.raises(ValueError, match="n must be 1, 2, 3, 4 or 5"):
        phrase_to_cells("top", n)


WRAPPINGS = st.sampled_from(
    [
        "{}",
        " {} ",
        "the {}",
        "The {} corner.",
        "({})",
        "in the {} of the image",
        '"{}"',
        "**{}**",
        "<location>{}</location>",
    ]
)


@given(data=st.data(), n=st.integers(1, 5))
@settings(deadline=None)
def test_every_cells_name_reads_back(data: st.DataObject, n: int) -> None:
    cell = data.draw(st.integers(0, n * n - 1))
    name = cell_name(cell, n)
    letters = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in name)
    gap = data.draw(st.sampled_from([" ", "  ", "-", "\t", "_", "\u2011", "\u00a0"])) if n < 4 else " "
    wrapping = data.draw(WRAPPINGS)
    if "corner" in wrapping and (" " not in name or n > 3):
        wrapping = "{}"
    text = wrapping.format(letters.replace(" ", gap))
    assert phrase_to_cells(text, n) == {cell}, text


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=9, unique=True),
    st.sampled_from(["; ", ". ", " and the ", ", then the "]),
)
@settings(deadline=None)
def test_a_list_of_names_reads_as_their_union(cells: list[int], separator: str) -> None:
    assert read(separator.join(cell_name(cell) for cell in cells)) == set(cells)


WORDS = st.sampled_from(
    "top left right bottom upper lower center middle of the to from not no and or , . ; - / ( corner edge side row 2"
    " column r1c1 slightly above image scratch is clean nothing surface hand all four than between \n".split(" ")
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map(" ".join)), st.integers(1, 5))
@settings(deadline=None)
def test_any_text_is_read_and_every_mention_lies_in_it(text: str, n: int) -> None:
    found = mentions(text, n)
    for mention in found:
        assert mention.cells
        assert mention.cells <= set(range(n * n))
        assert text[mention.start : mention.end] == mention.text
    assert [mention.start for mention in found] == sorted(mention.start for mention in found)
    assert read(text, n) == NOTHING.union(*(mention.cells for mention in found))


@given(st.lists(WORDS, max_size=25).map(" ".join))
@settings(deadline=None)
def test_case_and_width_make_no_difference(text: str) -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in text)
    assert phrase_to_cells(text) == phrase_to_cells(wide.upper()) or "r1c1" in text


@pytest.mark.timeout(30)  # a reader whose time grew with the square of the length would need minutes
@pytest.mark.parametrize(
    ("piece", "found"),
    [("top left; ", 1), ("top, ", 1), ("not at the left of ", 0), ("row 2 and 3, column 1. ", 1), ("r2c3 ", 1)]
    + [(piece, 0) for piece in ("not ", "(", "-", "\n ", "a", "1", "of the ", "slightly to the ")],
)
def test_a_long_text_is_read_to_its_end(piece: str, found: int) -> None:
    times = 60_000 // len(piece)
    assert len(mentions(piece * times)) == found * times


def test_names_are_unambiguous() -> None:
    for n in range(1, 6):
        assert len({read(name, n) for name in cell_names(n)}) == n * n
