"""The embedded teacher says what is in the image, says it differently each time, and gives nothing away."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from expertad import taxonomy
from expertad.checks import near_duplicates, run_checks
from expertad.errors import ImageError, MaskError
from expertad.grid import cell_names, locate
from expertad.sample import Case, Draft, ImageFile, Sample
from expertad.teachers import grounded
from expertad.teachers.grounding.finetypes import RULES, fine_rule
from expertad.teachers.grounding.measure import measure
from expertad.teachers.grounding.words import Voice, percent, product_name, sentence

Paint = Callable[[np.ndarray, np.ndarray], None]

# Everything that would tell the student what it cannot know.
LEAKS = re.compile(
    r"highlight|outline|\bbox|\bmask|annotat|label|given|prior|provided|expected|ground truth|marked|marking|"
    r"known|told|bounding|query|coarse|category",
    re.IGNORECASE,
)
SECOND_IMAGE = re.compile(r"reference|template|normal image|comparison|other image", re.IGNORECASE)
DIRECTIONS = re.compile(
    r"\b(?:left|right|top|bottom|cent(?:er|re)\w*|middle|upper|lower|above|below|central|corner|side|row|column)\b"
)


def photo(path: Path, pixels: np.ndarray) -> ImageFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageFile(path, path.name, digest, pixels.shape[1], pixels.shape[0])


def plate(seed: int = 0, size: int = 384, grey: int = 140) -> np.ndarray:
    """A grey textured surface that fills the frame, shaded a little from one end to the other."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 6, (size, size)), (0, 0), 1.0)
    shaded = grey + np.linspace(-8, 8, size)[None, :] + grain
    return np.repeat(np.clip(shaded, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def part_on_white(seed: int = 0, size: int = 384) -> np.ndarray:
    """A grey square part on a plain white background."""
    pixels = np.full((size, size, 3), 245, np.uint8)
    inner = slice(size // 6, size - size // 6)
    pixels[inner, inner] = plate(seed, size, 110)[inner, inner]
    return pixels


class Bench:
    """Draws cases into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drawn = 0

    def normal(
        self,
        pixels: np.ndarray,
        category: str = "end_cap",
        reference: np.ndarray | None = None,
        shot: Literal[0, 1] = 0,
    ) -> Case:
        return self._case(pixels, None, category, None, reference, shot, 3)

    def defect(
        self,
        coarse: str,
        paint: Paint,
        pixels: np.ndarray | None = None,
        *,
        category: str = "end_cap",
        reference: np.ndarray | None = None,
        shot: Literal[0, 1] = 0,
        grid: int = 3,
    ) -> Case:
        pixels = plate(self.drawn + 1) if pixels is None else pixels.copy()
        mask = np.zeros(pixels.shape[:2], np.uint8)
        paint(pixels, mask)
        return self._case(pixels, mask, category, coarse, reference, shot, grid)

    def _case(
        self,
        pixels: np.ndarray,
        mask: np.ndarray | None,
        category: str,
        coarse: str | None,
        reference: np.ndarray | None,
        shot: Literal[0, 1],
        grid: int,
    ) -> Case:
        self.drawn += 1
        stem = f"{category}/{self.drawn:04d}"
        mask_path = None
        if mask is not None:
            mask_path = self.folder / f"{stem}.png"
            photo(mask_path, mask)
        sample = Sample(
            sample_id=f"{category}/{'OK' if coarse is None else 'NG_XX'}/S{self.drawn:04d}/C1",
            category=category,
            part_id=f"{category}/S{self.drawn:04d}",
            view="C1",
            stratum="normal" if coarse is None else "anomalous",
            code="OK" if coarse is None else "XX",
            coarse_type=coarse,
            image_path=f"{stem}.bmp",
            mask_path=None if mask is None else f"{stem}.png",
        )
        return Case(
            sample=sample,
            query=photo(self.folder / f"{stem}.bmp", pixels),
            reference=photo(self.folder / f"{stem}_reference.bmp", plate(999) if reference is None else reference),
            reference_id="reference",
            region=None if mask is None else locate(mask, grid),
            mask=mask_path,
            shot=shot,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def disc(at: tuple[int, int], radius: int, color: tuple[int, ...]) -> Paint:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> None:
        cv2.circle(pixels, at, radius, color, -1)
        cv2.circle(mask, at, radius, 255, -1)

    return paint


def bar(start: tuple[int, int], end: tuple[int, int], width: int, grey: int) -> Paint:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> None:
        cv2.line(pixels, start, end, (grey, grey, grey), width)
        cv2.line(mask, start, end, 255, width)

    return paint


def texts(case: Case) -> tuple[str, str]:
    """Description and think of a case."""
    description = grounded.describe(case)["description"]
    return description, grounded.distill(case, description)["think"]


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Defects of all coarse types in many places, sizes and tones."""
    bench = Bench(tmp_path_factory.mktemp("varied"))
    rng = np.random.default_rng(7)
    cases = []
    for index in range(64):
        at = (int(rng.integers(40, 344)), int(rng.integers(40, 344)))
        coarse = taxonomy.COARSE_TYPES[index % 8]
        grey = int(rng.choice([20, 70, 120, 150, 200, 250]))
        if coarse == "Scratch" or rng.random() < 0.2:
            paint = bar(at, (at[0] + int(rng.integers(-120, 120)), at[1] + 60), int(rng.integers(1, 6)), grey)
        else:
            color = tuple(int(c) for c in rng.integers(0, 255, 3)) if rng.random() < 0.4 else (grey, grey, grey)
            paint = disc(at, int(rng.integers(2, 40)), color)
        base = part_on_white(index) if index % 3 == 0 else plate(index)
        reference = part_on_white(500) if index % 3 == 0 else plate(500)
        cases.append(bench.defect(coarse, paint, base, reference=reference))
    return cases


# --- what is said is in the image ---


def test_a_dark_round_blob_is_called_darker_and_round(bench: Bench) -> None:
    case = bench.defect("Hole", disc((190, 190), 30, (25, 25, 25)))
    for text in texts(case):
        assert "darker" in text
        assert "lighter" not in text.replace("lightness", "")
        assert re.search(r"round|circular", text)
    assert grounded.distill(case, "")["fine_type"] == "aperture"


def test_a_long_bright_streak_is_called_lighter_straight_and_as_long_as_it_is(bench: Bench) -> None:
    case = bench.defect("Scratch", bar((100, 200), (220, 200), 9, 230))
    for text in texts(case):
        assert "lighter" in text
        assert "horizontal" in text.lower()
        ratio = re.search(r"about (\d+) (?:times as long as wide|widths|times its width)", text)
        assert ratio
        assert 11 <= int(ratio[1]) <= 16
    assert grounded.distill(case, "")["fine_type"] == "linear scratch"


@pytest.mark.parametrize(
    ("end", "word"), [((300, 100), "horizontal"), ((100, 300), "vertical"), ((280, 280), "diagonal")]
)
def test_the_direction_of_a_streak_is_named(bench: Bench, end: tuple[int, int], word: str) -> None:
    case = bench.defect("Scratch", bar((100, 100), end, 3, 240))
    for text in texts(case):
        assert word in re.findall(r"\w+", text.lower())
        assert not ({"horizontal", "vertical", "diagonal"} - {word}) & set(re.findall(r"\w+", text.lower()))


def test_an_arc_is_long_and_thin_and_a_ragged_blob_is_not(bench: Bench) -> None:
    def arc(pixels: np.ndarray, mask: np.ndarray) -> None:
        cv2.ellipse(mask, (190, 190), (80, 80), 0, 200, 340, 255, 4)
        pixels[mask > 0] = 230

    def ragged(pixels: np.ndarray, mask: np.ndarray) -> None:
        corners = [(100, 200), (140, 120), (150, 160), (180, 110), (185, 170), (230, 150), (200, 215), (150, 190)]
        cv2.fillPoly(mask, [np.array(corners)], 255)
        pixels[mask > 0] = 30

    curved = measure(bench.defect("Scratch", arc)).defect
    assert curved is not None
    assert 30 <= curved.aspect <= 70
    assert curved.bow > 0.1
    for text in texts(bench.defect("Scratch", arc)):
        assert re.search(r"curved|bowed|arched", text)
    blob = bench.defect("Hole", ragged)
    facts = measure(blob).defect
    assert facts is not None
    assert facts.aspect < 2.5
    for text in texts(blob):
        assert re.search(r"ragged|jagged|irregular", text)


def test_a_defect_is_not_called_lighter_or_darker_where_light_and_dark_surround_it(bench: Bench) -> None:
    pixels = plate(1)
    pixels[:, :] = np.where((np.arange(384)[None, :, None] // 24) % 2 == 0, 60, 200).astype(np.uint8)
    for text in texts(bench.defect("Contamination", disc((190, 190), 30, (130, 130, 130)), pixels)):
        assert not re.search(r"\b(?:lighter|darker) (?:and|than)", text)
        assert re.search(r"range|uneven|vary|varies|between them", text)


def test_print_across_the_surroundings_does_not_tint_the_comparison(bench: Bench) -> None:
    pixels = plate(1, grey=220)
    pixels[150:170, :] = 20
    case = bench.defect("Contamination", disc((190, 190), 12, (150, 150, 150)), pixels, reference=pixels)
    for text in texts(case):
        assert "darker" in text
        assert "lighter" not in text


@pytest.mark.parametrize(
    ("color", "word"),
    [((40, 40, 200), "reddish"), ((200, 90, 60), "bluish"), ((50, 180, 60), "greenish"), ((60, 200, 210), "yellowish")],
)
def test_a_hue_is_named_where_there_is_one(bench: Bench, color: tuple[int, ...], word: str) -> None:
    case = bench.defect("Contamination", disc((190, 190), 30, color))
    for text in texts(case):
        assert word in text


def test_no_hue_is_named_on_a_grey_defect(bench: Bench) -> None:
    for grey in (20, 60, 200, 240):
        for text in texts(bench.defect("Contamination", disc((190, 190), 30, (grey, grey, grey)))):
            assert not re.search(r"reddish|bluish|greenish|yellowish|brownish|purplish|pinkish", text)


@pytest.mark.parametrize(("number", "word"), [(1, None), (2, "two"), (3, "three"), (5, "five"), (12, "twelve")])
def test_pieces_are_counted(bench: Bench, number: int, word: str | None) -> None:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> None:
        for index in range(number):
            disc((60 + 60 * (index % 4), 60 + 60 * (index // 4)), 8, (30, 30, 30))(pixels, mask)

    case = bench.defect("Contamination", paint)
    facts = measure(case).defect
    assert facts is not None
    assert facts.pieces == number
    for text in texts(case):
        if word:
            assert re.search(rf"\b{word} (?:separate, distinct|distinct|isolated) (?:\w+ )?\w+s\b", text, re.IGNORECASE)
        else:
            assert not re.search(r"\b(?:two|three|separate)\b.{0,12}s\b,? ", text)


def test_a_soft_border_and_a_crisp_one_are_told_apart(bench: Bench) -> None:
    def soft(pixels: np.ndarray, mask: np.ndarray) -> None:
        cv2.circle(mask, (190, 190), 40, 255, -1)
        fade = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 10)[:, :, None]
        pixels[:] = (pixels * (1 - fade) + 30 * fade).astype(np.uint8)

    soft_facts = measure(bench.defect("Contamination", soft)).defect
    crisp_facts = measure(bench.defect("Contamination", disc((190, 190), 40, (30, 30, 30)))).defect
    assert soft_facts is not None
    assert soft_facts.sharp is False
    assert crisp_facts is not None
    assert crisp_facts.sharp is True


def test_a_roughened_patch_and_a_polished_one_are_told_apart(bench: Bench) -> None:
    def rough(pixels: np.ndarray, mask: np.ndarray) -> None:
        cv2.circle(mask, (190, 190), 40, 255, -1)
        noise = np.random.default_rng(1).normal(0, 40, pixels.shape[:2])[:, :, None]
        pixels[:] = np.where(mask[:, :, None] > 0, np.clip(pixels + noise, 0, 255), pixels).astype(np.uint8)

    roughened = measure(bench.defect("Abrasion", rough)).defect
    polished = measure(bench.defect("Abrasion", disc((190, 190), 40, (150, 150, 150)))).defect
    assert roughened is not None
    assert roughened.roughness is not None
    assert roughened.roughness > 1.5
    assert polished is not None
    assert polished.roughness is not None
    assert polished.roughness < 0.7


def test_streaks_inside_an_abrasion_are_seen_with_their_direction(bench: Bench) -> None:
    def grind(pixels: np.ndarray, mask: np.ndarray) -> None:
        cv2.circle(mask, (190, 190), 50, 255, -1)
        stripes = (30 * np.sin(np.arange(384) * 1.2))[:, None, None] * np.ones((1, 384, 3))
        pixels[:] = np.where(mask[:, :, None] > 0, np.clip(pixels + stripes, 0, 255), pixels).astype(np.uint8)

    case = bench.defect("Abrasion", grind)
    facts = measure(case).defect
    assert facts is not None
    assert facts.streaks is not None
    assert min(facts.streaks, 180 - facts.streaks) < 10
    assert grounded.distill(case, "")["fine_type"] == "grinding damage"


def test_an_opening_that_shows_the_background_is_a_through_hole(bench: Bench) -> None:
    case = bench.defect("Hole", disc((190, 190), 25, (245, 245, 245)), part_on_white(1), reference=part_on_white(2))
    assert grounded.distill(case, "")["fine_type"] == "through-hole"
    closed = bench.defect("Hole", disc((190, 190), 15, (30, 30, 30)), part_on_white(1), reference=part_on_white(2))
    assert grounded.distill(closed, "")["fine_type"] == "cavity"


def test_the_silhouette_is_involved_only_where_the_background_is_met(bench: Bench) -> None:
    inside = measure(
        bench.defect("Damage", disc((190, 190), 15, (30, 30, 30)), part_on_white(1), reference=part_on_white(2))
    )
    rim = measure(
        bench.defect("Damage", disc((64, 190), 15, (30, 30, 30)), part_on_white(1), reference=part_on_white(2))
    )
    unknown = measure(bench.defect("Damage", disc((190, 190), 15, (30, 30, 30))))
    assert inside.defect is not None
    assert inside.defect.at_silhouette is False
    assert rim.defect is not None
    assert rim.defect.at_silhouette is True
    assert unknown.defect is not None
    assert unknown.defect.at_silhouette is None, "a surface that fills the frame has no silhouette"


def test_the_reference_is_compared_place_by_place_only_when_it_is_aligned(bench: Bench) -> None:
    paint = disc((190, 190), 30, (30, 30, 30))
    aligned = measure(bench.defect("Damage", paint, part_on_white(1), reference=part_on_white(2)))
    assert aligned.likeness.aligned
    assert aligned.defect is not None
    assert aligned.defect.reference_step is not None
    assert abs(aligned.defect.reference_step) < 2
    turned = cv2.warpAffine(
        part_on_white(2), cv2.getRotationMatrix2D((192, 192), 40, 1), (384, 384), borderValue=(245, 245, 245)
    )
    loose = bench.defect("Damage", paint, part_on_white(1), reference=turned)
    assert not measure(loose).likeness.aligned
    assert "at the same place" not in grounded.describe(loose)["description"].lower()


def test_a_whole_shift_in_exposure_is_reported_of_a_normal_pair(bench: Bench) -> None:
    for seed in range(12):
        case = bench.normal(plate(seed, grey=180), reference=plate(seed, grey=140))
        assert "darker" not in grounded.describe(case)["description"]
    described = [grounded.describe(bench.normal(plate(s, grey=180), reference=plate(s, grey=140))) for s in range(12)]
    assert any(re.search(r"1[3-7] (?:lightness )?(?:points|units) lighter", d["description"]) for d in described)


# --- fine-grained types ---


def test_every_rule_names_a_term_of_its_coarse_type_and_every_list_ends_open() -> None:
    assert set(RULES) == set(taxonomy.COARSE_TYPES)
    for coarse, rules in RULES.items():
        assert all(rule.term in taxonomy.FINE_TERMS[coarse] for rule in rules)
        assert len({rule.term for rule in rules}) == len(rules), "a term with two rules hides one of them"


@pytest.mark.parametrize(
    ("coarse", "paint", "term"),
    [
        ("Contamination", disc((190, 190), 2, (40, 40, 40)), "impurity"),
        ("Contamination", disc((190, 190), 30, (70, 70, 70)), "stain"),
        ("Contamination", disc((190, 190), 30, (60, 170, 170)), "color anomaly"),
        ("Scratch", bar((100, 100), (250, 180), 3, 150), "surface scratch"),
        ("Hole", disc((190, 190), 2, (20, 20, 20)), "puncture"),
        ("Hole", bar((100, 100), (200, 100), 12, 20), "opening"),
        ("Damage", bar((100, 100), (250, 180), 4, 30), "fracture"),
        ("Missing parts", disc((190, 190), 40, (20, 20, 20)), "missing part"),
        ("Deformation", disc((190, 190), 60, (180, 180, 180)), "warping"),
        ("Abrasion", bar((100, 100), (250, 180), 8, 190), "wear mark"),
        ("Presence of foreign objects", disc((190, 190), 5, (20, 20, 20)), "foreign body"),
    ],
)
def test_the_measurements_decide_the_fine_type(bench: Bench, coarse: str, paint: Paint, term: str) -> None:
    assert grounded.distill(bench.defect(coarse, paint), "")["fine_type"] == term


def test_scored_lines_side_by_side_are_a_score_mark(bench: Bench) -> None:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> None:
        for offset in (0, 20, 40):
            bar((80, 100 + offset), (300, 120 + offset), 3, 240)(pixels, mask)

    case = bench.defect("Scratch", paint)
    facts = measure(case).defect
    assert facts is not None
    assert facts.parallel
    assert fine_rule("Scratch", facts).term == "score mark"


# --- the replies ---


def test_replies_state_the_truth(bench: Bench) -> None:
    bad = bench.defect("Hole", disc((60, 60), 20, (20, 20, 20)))
    good = bench.normal(plate(3))
    assert grounded.describe(bad).keys() == {"description", "defect", "location"}
    assert grounded.describe(bad)["defect"] is True
    assert grounded.describe(bad)["location"] == "top left"
    reply = grounded.distill(bad, "")
    assert (reply["answer"], reply["location"]) == ("Yes", "top left")
    assert grounded.describe(good)["defect"] is False
    assert grounded.describe(good)["location"] is None
    reply = grounded.distill(good, "")
    assert (reply["answer"], reply["location"], reply["fine_type"]) == ("No", None, None)


@pytest.mark.parametrize("grid", [1, 2, 3, 4, 5])
def test_the_location_is_named_exactly_and_no_other_place_is(bench: Bench, grid: int) -> None:
    for index, name in enumerate(cell_names(grid)):
        row, column = divmod(index, grid)
        at = (int((column + 0.5) * 384 / grid), int((row + 0.5) * 384 / grid))
        case = bench.defect("Contamination", disc(at, 12, (30, 30, 30)), grid=grid)
        for text in texts(case):
            assert len(re.findall(rf"\b{name}\b", text)) == 1
            assert not DIRECTIONS.search(text.lower().replace(name, ""))


@pytest.mark.parametrize("shot", [0, 1])
def test_defect_texts_leak_nothing_and_satisfy_every_check(varied: list[Case], shot: Literal[0, 1]) -> None:
    for drawn in varied:
        case = replace(drawn, shot=shot)
        description, think = texts(case)
        fine = grounded.distill(case, description)["fine_type"]
        assert not LEAKS.search(think), think
        assert (SECOND_IMAGE.search(think) is not None) == bool(shot), think
        assert "reference" in description
        assert fine in think
        assert 60 <= len(think.split()) <= 130
        assert 80 <= len(description.split()) <= 160
        draft = Draft(case.sample.sample_id, description, think, fine)
        assert run_checks(case, draft) == (), think


@pytest.mark.parametrize("shot", [0, 1])
def test_normal_texts_leak_nothing_name_no_place_and_satisfy_every_check(bench: Bench, shot: Literal[0, 1]) -> None:
    for seed in range(40):
        if seed % 2:
            case = bench.normal(part_on_white(seed), "wooden_beads", part_on_white(99), shot)
        else:
            case = bench.normal(plate(seed, grey=80 + 3 * seed), "rolled_strip_base", plate(99), shot)
        description, think = texts(case)
        assert not LEAKS.search(think), think
        assert not DIRECTIONS.search(think.lower()), think
        assert (SECOND_IMAGE.search(think) is not None) == bool(shot), think
        assert 60 <= len(think.split()) <= 130
        assert 80 <= len(description.split()) <= 160
        draft = Draft(case.sample.sample_id, description, think, None)
        assert run_checks(case, draft) == (), think


def test_texts_are_clean_english(bench: Bench, varied: list[Case]) -> None:
    cases = [*varied, *(bench.normal(plate(seed), "pcb") for seed in range(16))]
    for case in cases:
        for text in texts(case):
            assert not re.search(r"\b[Aa] [aeio]\w|\b[Aa]n [bcdfgjkpqrtvwz]", text.replace("a one", "")), text
            assert not re.search(r"[\[\]{}|_]|\s[,.;:]|\.\.|  |\bNone\b|\bnan\b", text), text
            sentences = re.split(r"(?<=\.) (?=[A-Z])", text)
            assert len(set(sentences)) == len(sentences)
            assert all(s[0].isupper() and s.endswith(".") for s in sentences), text


def test_alike_cases_give_no_near_duplicates(bench: Bench) -> None:
    surface = plate(999, 256)
    paint = disc((190, 190), 20, (25, 25, 25))
    batches = (
        [bench.normal(plate(seed, 256), "mint", surface) for seed in range(70)],
        [bench.defect("Hole", paint, plate(seed, 256), reference=surface) for seed in range(70)],
    )
    for batch in batches:
        written = [(case.sample.sample_id, *texts(case)) for case in batch]
        assert near_duplicates([(name, description) for name, description, _ in written]) == {}
        assert near_duplicates([(name, think) for name, _, think in written]) == {}


def test_fine_types_vary_over_a_varied_set(varied: list[Case]) -> None:
    seen: dict[str, set[str]] = {}
    for case in varied:
        assert case.sample.coarse_type is not None
        seen.setdefault(case.sample.coarse_type, set()).add(grounded.distill(case, "")["fine_type"])
    assert all(len(terms) >= 2 for terms in seen.values()), seen


# --- a function of bytes and truth ---


def test_the_same_files_elsewhere_give_the_same_texts(bench: Bench, tmp_path: Path) -> None:
    case = bench.defect("Scratch", bar((60, 60), (200, 90), 3, 230))
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert case.mask is not None
    moved = replace(
        case,
        query=replace(case.query, path=Path(shutil.copy(case.query.path, other / "q.bmp"))),
        reference=replace(case.reference, path=Path(shutil.copy(case.reference.path, other / "r.bmp"))),
        mask=Path(shutil.copy(case.mask, other / "m.png")),
    )
    assert texts(moved) == texts(case)
    assert texts(replace(case, sample=replace(case.sample, sample_id="end_cap/other"))) != texts(case)


def test_threads_write_what_one_thread_writes(varied: list[Case]) -> None:
    cases = varied[:16]
    alone = [texts(case) for case in cases]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(texts, cases)) == alone


def test_a_mask_redrawn_under_its_name_is_measured_again(bench: Bench) -> None:
    case = bench.defect("Hole", disc((60, 60), 20, (20, 20, 20)))
    before = measure(case).defect
    assert case.mask is not None
    larger = np.zeros((384, 384), np.uint8)
    cv2.circle(larger, (60, 60), 40, 255, -1)
    photo(case.mask, larger)
    after = measure(case).defect
    assert before is not None
    assert after is not None
    assert after.area > 3 * before.area


def test_bad_files_are_reported_with_their_path(bench: Bench) -> None:
    broken = bench.normal(plate(1))
    broken.query.path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=re.escape(str(broken.query.path))):
        grounded.describe(broken)
    broken.query.path.write_bytes(b"")
    with pytest.raises(ImageError, match=re.escape(str(broken.query.path))):
        grounded.describe(broken)
    swapped = bench.defect("Hole", disc((60, 60), 20, (20, 20, 20)))
    photo(swapped.query.path, plate(1, 200))
    with pytest.raises(ImageError, match=re.escape(str(swapped.query.path))):
        grounded.describe(swapped)
    empty = bench.defect("Hole", disc((60, 60), 20, (20, 20, 20)))
    assert empty.mask is not None
    photo(empty.mask, np.zeros((384, 384), np.uint8))
    with pytest.raises(MaskError, match=re.escape(str(empty.mask))):
        grounded.describe(empty)
    empty.mask.unlink()
    with pytest.raises(MaskError, match=re.escape(str(empty.mask))):
        grounded.describe(empty)
    with pytest.raises(MaskError, match=empty.sample.sample_id):
        grounded.describe(replace(empty, mask=None, region=None))


@pytest.mark.parametrize("side", [1, 2, 5])
def test_the_smallest_masks_are_measured(bench: Bench, side: int) -> None:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> None:
        pixels[0:side, 0:side] = 0
        mask[0:side, 0:side] = 255

    description, think = texts(bench.defect("Hole", paint))
    assert "top left" in think
    assert "darker" in description


def test_a_mask_over_the_whole_image_is_measured(bench: Bench) -> None:
    def paint(pixels: np.ndarray, mask: np.ndarray) -> None:
        mask[:] = 255

    description, think = texts(bench.defect("Abrasion", paint))
    assert "100%" in description
    assert "100%" in think


def test_images_of_other_sizes_and_flat_images_are_measured(bench: Bench) -> None:
    wide = plate(1)[100:160]
    assert texts(bench.normal(wide, reference=plate(2)))[1]
    flat = np.full((200, 300, 3), 128, np.uint8)
    assert texts(bench.normal(flat, reference=flat))[1]
    large = cv2.resize(plate(3), (2200, 1500))
    assert "darker" in texts(bench.defect("Hole", disc((700, 700), 300, (10, 10, 10)), large, reference=large))[1]


# --- words ---


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("rolled_strip_base", "rolled strip base"),
        ("transistor1", "transistor"),
        ("pcb", "PCB"),
        ("usb_adaptor", "USB adaptor"),
        ("left_hinge", "part"),
        ("face_mask", "part"),
        ("7", "part"),
    ],
)
def test_product_names_are_readable_and_name_no_place(category: str, name: str) -> None:
    assert product_name(category) == name


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.00001, "less than 0.01%"), (0.0004, "0.04%"), (0.0042, "0.4%"), (0.0951, "10%"), (0.31, "31%")],
)
def test_shares_have_two_digits_at_most(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a irregular patch", "An irregular patch."),
        ("it is an uniform tone", "It is a uniform tone."),
        ("a 8 to 1 ratio", "An 8 to 1 ratio."),
        ("a one-sided bend", "A one-sided bend."),
    ],
)
def test_articles_follow_the_sound(text: str, written: str) -> None:
    assert sentence(text) == written


def test_a_voice_is_a_function_of_its_keys() -> None:
    template = "[a|b|c] {x} [d|e [f|g]]"
    assert Voice("k", "1").say(template, x=1) == Voice("k", "1").say(template, x=1)
    assert len({Voice("k", str(i)).say(template, x=1) for i in range(60)}) == 9
