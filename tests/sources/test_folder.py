from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expertad.errors import SourceError
from expertad.sample import Sample
from expertad.sources.folder import Folder
from expertad.taxonomy import COARSE_TYPES


def reasons(inventory: Any) -> list[str]:
    return [entry.reason for entry in inventory.unusable]


def ids(inventory: Any) -> list[str]:
    return [sample.sample_id for sample in inventory.samples]


@pytest.fixture
def bottle(tmp_path, photo):
    """A category with a normal and a defective photograph, mapped."""
    folder = tmp_path / "mvtec" / "bottle"
    photo(folder / "train/good/000.png")
    photo(folder / "test/broken_large/000.png")
    photo(folder / "ground_truth/broken_large/000_mask.png")
    (tmp_path / "mvtec/expertad-folder.yaml").write_text("types:\n  broken_large: Damage\n")
    return folder


def mapping(bottle: Path, text: str) -> Path:
    path = bottle.parent / "expertad-folder.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------ good images


def test_good_is_normal_and_a_defect_folder_has_mask_and_mapped_type(bottle):
    assert Folder(bottle.parent).read("bottle").samples == [
        Sample(
            "bottle/test/broken_large/000",
            "bottle",
            "bottle/test/broken_large/000",
            "",
            "anomalous",
            "broken_large",
            "Damage",
            "bottle/test/broken_large/000.png",
            "bottle/ground_truth/broken_large/000_mask.png",
        ),
        Sample(
            "bottle/train/good/000",
            "bottle",
            "bottle/train/good/000",
            "",
            "normal",
            "OK",
            None,
            "bottle/train/good/000.png",
            None,
        ),
    ]


def test_one_category_given_as_root_has_the_same_paths(bottle):
    (bottle.parent / "expertad-folder.yaml").rename(bottle / "expertad-folder.yaml")
    source = Folder(bottle)
    assert list(source.categories()) == ["bottle"]
    assert source.image_root == bottle.parent
    inventory = source.read("bottle")
    assert [s.image_path for s in inventory.samples] == [
        "bottle/test/broken_large/000.png",
        "bottle/train/good/000.png",
    ]
    assert all((source.image_root / s.image_path).is_file() for s in inventory.samples)
    assert inventory.notes == []


def test_the_current_directory_is_named_after_its_folder(bottle, monkeypatch):
    monkeypatch.chdir(bottle)
    assert list(Folder(Path(".")).categories()) == ["bottle"]


def test_a_category_behind_a_link_is_named_after_the_link(bottle, tmp_path):
    (tmp_path / "flask").symlink_to(bottle)
    source = Folder(tmp_path / "flask", bottle.parent / "expertad-folder.yaml")
    assert ids(source.read("flask")) == ["flask/test/broken_large/000", "flask/train/good/000"]


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a.jpeg", "a.bmp", "a.tif", "a.TIFF", "a.webp", "a.Png"])
def test_photographs_have_any_of_the_usual_suffixes_in_any_case(bottle, photo, name):
    photo(bottle / "test/good" / name)
    assert "bottle/test/good/a" in ids(Folder(bottle.parent).read("bottle"))


def test_other_files_are_no_entries_and_are_noted(bottle):
    (bottle / "test/good").mkdir()
    (bottle / "test/good/readme.txt").write_text("x")
    (bottle / "test/good/.DS_Store").write_text("x")
    inventory = Folder(bottle.parent).read("bottle")
    assert len(inventory.samples) == 2
    assert inventory.notes == ["1 files of bottle are no photographs and are not read: bottle/test/good/readme.txt."]


@pytest.mark.parametrize(
    ("folder", "coarse"),
    [("Missing parts", "Missing parts"), ("missing_parts", "Missing parts"), ("surface_scratch", "Scratch")],
)
def test_a_folder_named_after_a_type_or_a_term_needs_no_line(bottle, photo, folder, coarse):
    photo(bottle / f"test/{folder}/1.png")
    photo(bottle / f"ground_truth/{folder}/1_mask.png")
    samples = {s.sample_id: s for s in Folder(bottle.parent).read("bottle").samples}
    assert samples[f"bottle/test/{folder}/1"].coarse_type == coarse
    assert samples[f"bottle/test/{folder}/1"].code == folder


def test_a_line_for_one_category_goes_before_the_line_for_all(bottle, photo):
    for file in ("train/good/0.png", "test/broken_large/0.png", "ground_truth/broken_large/0_mask.png"):
        photo(bottle.parent / "jar" / file)
    mapping(bottle, "types: {broken_large: Damage}\ncategories:\n  jar:\n    types: {broken_large: hole}\n")
    source = Folder(bottle.parent)
    assert list(source.categories()) == ["bottle", "jar"]
    assert source.read("bottle").samples[0].coarse_type == "Damage"
    assert source.read("jar").samples[0].coarse_type == "Hole"


def test_only_wished_categories_are_read_and_a_missing_one_is_named(bottle):
    assert list(Folder(bottle.parent, only=["bottle"]).categories()) == ["bottle"]
    with pytest.raises(SourceError, match="no category cork; it has bottle"):
        Folder(bottle.parent, only=["bottle", "cork"])


def test_title_and_licence_come_from_the_mapping(bottle):
    assert (Folder(bottle.parent).title, Folder(bottle.parent).licence) == ("mvtec", "not stated")
    mapping(bottle, "title: Bottles\nlicence: CC BY 4.0\n")
    assert (Folder(bottle.parent).title, Folder(bottle.parent).licence) == ("Bottles", "CC BY 4.0")


def test_a_part_pattern_joins_the_views_of_a_part(bottle, photo):
    for name in ("7_view1.png", "7_view2.png", "8_view1.png"):
        photo(bottle / "test/good" / name)
    mapping(bottle, "types: {broken_large: Damage}\npart: '(.+)_view(\\d)'\n")
    inventory = Folder(bottle.parent).read("bottle")
    assert [(s.part_id, s.view) for s in inventory.samples] == [
        ("bottle/test/good/7", "1"),
        ("bottle/test/good/7", "2"),
        ("bottle/test/good/8", "1"),
    ]
    assert reasons(inventory) == ["part unknown"] * 2
    assert "does not match the part pattern" in inventory.unusable[0].detail


def test_a_part_pattern_without_a_view_group_leaves_the_view_empty(bottle, photo):
    photo(bottle / "test/good/7_view1.png")
    mapping(bottle, "part: '(.+)_view\\d'\n")
    samples = Folder(bottle.parent).read("bottle").samples
    assert [(s.part_id, s.view) for s in samples] == [("bottle/test/good/7", "")]


def test_names_of_other_scripts_and_with_spaces(tmp_path, photo):
    photo(tmp_path / "Größe 1/Teil ü/train/good/bild ä.png")
    source = Folder(tmp_path / "Größe 1")
    assert ids(source.read("Teil ü")) == ["Teil ü/train/good/bild ä"]


# ------------------------------------------------------------------------------------------------ unusable images


def test_an_unmapped_folder_says_the_line_to_add(bottle):
    path = mapping(bottle, "types: {broken_lagre: Damage}\n")
    unusable = Folder(bottle.parent).read("bottle").unusable
    assert [(u.sample_id, u.reason) for u in unusable] == [("bottle/test/broken_large/000", "defect folder not mapped")]
    assert f'add the line "  broken_large: <type>" under "types:" in {path}' in unusable[0].detail
    assert "'broken_lagre' may be meant" in unusable[0].detail
    assert ", ".join(COARSE_TYPES) in unusable[0].detail


def test_the_line_to_add_quotes_what_yaml_would_misread(bottle, photo):
    photo(bottle / "test/001/0.png")
    unusable = Folder(bottle.parent).read("bottle").unusable
    assert "\"  '001': <type>\"" in unusable[0].detail


def test_a_missing_mask_is_said_with_the_file_that_may_be_meant(bottle):
    mask = bottle / "ground_truth/broken_large/000_mask.png"
    mask.rename(mask.with_name("000.png"))
    inventory = Folder(bottle.parent).read("bottle")
    assert reasons(inventory) == ["mask missing"]
    assert "000.png does; rename it to 000_mask.png" in inventory.unusable[0].detail
    assert "bottle/ground_truth/broken_large/000.png" in inventory.notes[0]


def test_no_mask_at_all(bottle):
    (bottle / "ground_truth/broken_large/000_mask.png").unlink()
    (bottle / "ground_truth/broken_large").rmdir()
    unusable = Folder(bottle.parent).read("bottle").unusable
    assert unusable[0].reason == "mask missing"
    assert "bottle/ground_truth/broken_large/000_mask.png" in unusable[0].detail


def test_masks_without_image_are_noted(bottle, photo):
    photo(bottle / "ground_truth/broken_large/001_mask.png")
    photo(bottle / "ground_truth/good/000_mask.png")
    inventory = Folder(bottle.parent).read("bottle")
    assert len(inventory.samples) == 2
    assert "2 masks of bottle have no image" in inventory.notes[0]


def test_of_one_stem_with_two_suffixes_the_first_is_kept(bottle, photo):
    photo(bottle / "train/good/000.jpg")
    inventory = Folder(bottle.parent).read("bottle")
    assert [s.image_path for s in inventory.samples] == [
        "bottle/test/broken_large/000.png",
        "bottle/train/good/000.jpg",
    ]
    assert reasons(inventory) == ["same name"]
    assert inventory.unusable[0].sample_id.startswith("bottle/train/good/000~")


def test_of_one_stem_a_broken_link_does_not_displace_the_photograph(bottle):
    (bottle / "train/good/000.jpg").symlink_to("nowhere.jpg")
    inventory = Folder(bottle.parent).read("bottle")
    assert "bottle/train/good/000.png" in [s.image_path for s in inventory.samples]
    assert reasons(inventory) == ["image missing"]


@pytest.mark.parametrize("path", ["train/bad/0.png", "train/0.png", "test/0.png", "test/hole/deep/0.png"])
def test_images_at_other_places_are_unusable(bottle, photo, path):
    photo(bottle / path)
    inventory = Folder(bottle.parent).read("bottle")
    assert len(inventory.samples) == 2
    assert [(u.sample_id, u.reason) for u in inventory.unusable] == [(f"bottle/{path[:-4]}", "path not of the layout")]


def test_other_folders_of_a_category_are_noted(bottle, photo):
    photo(bottle / "validation/good/0.png")
    assert "bottle/validation" in Folder(bottle.parent).read("bottle").notes[0]


def test_links_out_of_the_root_loops_and_folders_behind_links(bottle, tmp_path, photo):
    outside = photo(tmp_path / "outside/0.png")
    (bottle / "train/good/out.png").symlink_to(outside)
    (bottle / "train/good/loop.png").symlink_to("loop.png")
    (bottle / "train/good/broken.png").symlink_to("nowhere.png")
    (bottle / "test/good").symlink_to(outside.parent)
    (bottle / "train/good/self").symlink_to(bottle / "train")
    (bottle / "test/broken_large/in.png").symlink_to(bottle / "train/good/000.png")
    found = {u.sample_id: u.reason for u in Folder(bottle.parent).read("bottle").unusable}
    assert found == {
        "bottle/train/good/out": "outside the image root",
        "bottle/train/good/loop": "symbolic link loop",
        "bottle/train/good/broken": "image missing",
        "bottle/test/good": "outside the image root",
        "bottle/train/good/self": "image not a file",
        "bottle/test/broken_large/in": "mask missing",
    }


def test_a_category_linked_from_outside_stops_that_category(bottle, tmp_path):
    bottle.rename(tmp_path / "elsewhere")
    bottle.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="symbolic link out of"):
        Folder(bottle.parent).read("bottle")


def test_names_that_cannot_be_published_are_unusable(bottle, photo):
    photo(Path(os.fsdecode(os.fsencode(bottle / "train/good") + b"/\xff.png")))
    photo(bottle / "train/good/back\\slash.png")
    inventory = Folder(bottle.parent).read("bottle")
    assert len(inventory.samples) == 2
    assert reasons(inventory) == ["path not plain"] * 2
    for entry in inventory.unusable:
        (entry.sample_id + entry.detail).encode("utf-8")


def test_a_category_without_normal_images_is_noted(bottle):
    (bottle / "train/good/000.png").unlink()
    assert "no usable normal image" in Folder(bottle.parent).read("bottle").notes[0]


# ------------------------------------------------------------------------------------------------ wrong mappings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "types: {broken_large: Broken}",
            r"'Broken', for the folder 'broken_large', is no coarse type; write one of Con",
        ),
        ("types: {broken_large: 3}", "3, for the folder"),
        ("types: {good: Scratch}", "good holds normal images"),
        ("types: [a, b]", "types in the file should hold lines"),
        ("types: {001: Scratch}", "does not read the key 1 as text; put it in quotes"),
        ("types: {no: Scratch}", "does not read the key False as text"),
        ("types: {a: Scratch, a: Hole}", "line 1, column 21.*occurs twice"),
        ("tpyes: {a: Scratch}", "unknown key 'tpyes'; known are title, licence, types, part, categories"),
        ("- a\n- b", "the file should hold lines"),
        ("types: {a: Scratch", "line 1, column 19: not YAML"),
        ("licence: 4.0", "licence should be text"),
        ("part: '(.+'", "not a regular expression"),
        ("part: 'x+'", "no group"),
        ("categories: {jar: {types: {a: Hole}}}", "categories names jar, which .* does not have; it has bottle"),
        ("categories: {bottle: {title: x}}", "categories: bottle: unknown key 'title'"),
        ("categories: {bottle: Scratch}", "categories: bottle should hold lines"),
    ],
)
def test_a_wrong_mapping_says_where_and_what(bottle, text, said):
    path = mapping(bottle, text)
    with pytest.raises(SourceError, match=said) as caught:
        Folder(bottle.parent)
    assert str(path) in str(caught.value)


def test_a_mapping_of_bytes_that_are_no_text(bottle):
    (bottle.parent / "expertad-folder.yaml").write_bytes(b"types: \xff\xfe")
    with pytest.raises(SourceError, match="not YAML"):
        Folder(bottle.parent)


def test_an_empty_mapping_and_none_are_the_same(bottle):
    path = mapping(bottle, "# nothing yet\n")
    assert reasons(Folder(bottle.parent).read("bottle")) == ["defect folder not mapped"]
    path.unlink()
    assert reasons(Folder(bottle.parent).read("bottle")) == ["defect folder not mapped"]


def test_a_mapping_that_is_asked_for_must_exist(bottle, tmp_path):
    with pytest.raises(SourceError, match=r"other\.yaml cannot be read"):
        Folder(bottle.parent, tmp_path / "other.yaml")


def test_a_line_for_a_folder_the_category_does_not_have_is_noted(bottle):
    mapping(bottle, "types: {broken_large: Damage}\ncategories: {bottle: {types: {brokn: Hole}}}\n")
    assert "brokn" in Folder(bottle.parent).read("bottle").notes[0]


# ------------------------------------------------------------------------------------------------ finding the data


def test_a_root_without_categories_says_what_was_looked_for(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match=r"no category in .*<category>/train/good.*found images"):
        Folder(tmp_path)
    with pytest.raises(SourceError, match="does not exist"):
        Folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="is a file"):
        Folder(tmp_path / "file")


def test_a_category_that_is_not_there(bottle):
    with pytest.raises(SourceError, match="'jar' is not a category here; there are bottle"):
        Folder(bottle.parent).read("jar")


# ------------------------------------------------------------------------------------------------ fingerprint


def test_the_fingerprint_changes_with_files_and_mapping_and_only_then(bottle, photo):
    first = Folder(bottle.parent).fingerprint("bottle")
    assert Folder(bottle.parent).fingerprint("bottle") == first
    photo(bottle / "test/good/1.png")
    second = Folder(bottle.parent).fingerprint("bottle")
    mapping(bottle, "types: {broken_large: Hole}\n")
    third = Folder(bottle.parent).fingerprint("bottle")
    (bottle / "ground_truth/broken_large/000_mask.png").unlink()
    fourth = Folder(bottle.parent).fingerprint("bottle")
    mapping(bottle, "types: {broken_large: Hole}\npart: '(.+)'\n")
    assert len({first, second, third, fourth, Folder(bottle.parent).fingerprint("bottle")}) == 5


# ------------------------------------------------------------------------------------------------ properties

names = st.one_of(
    st.sampled_from(["000", "001", "a b", "x_mask", "ü", unicodedata.normalize("NFD", "ü"), ".hidden", "a.b", "a\\b"]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6),
)
places = st.sampled_from(
    ["train/good", "test/good", "test/hole", "test/odd", "ground_truth/hole", "train", "test", "test/hole/deep", "."]
)
files = st.tuples(places, names, st.sampled_from([".png", ".PNG", ".jpg", "_mask.png", ".txt", ""]))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=st.lists(files, max_size=12))
def test_any_files_are_accounted_for(tmp_path_factory, found):
    root = tmp_path_factory.mktemp("soup")
    (root / "part/test").mkdir(parents=True)
    for place, stem, suffix in found:
        path = root / "part" / place / (stem + suffix)
        if stem + suffix not in (".", "..") and not path.exists() and not path.parent.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    suffixes = {".png", ".jpg"}
    entries = [
        path
        for split in ("train", "test")
        for path in (root / "part" / split).rglob("*")
        if path.is_file() and os.path.splitext(path.name)[1].lower() in suffixes
    ]
    inventory = Folder(root).read("part")
    named = ids(inventory) + [entry.sample_id for entry in inventory.unusable]
    assert len(named) == len(set(named)) == len(entries)
    assert {root / s.image_path for s in inventory.samples} <= set(entries)
    for sample in inventory.samples:
        assert sample.anomalous == (root / (sample.mask_path or "none")).is_file()


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.from_regex(r"(types|part|categories|title): [\[{'a-z:,}\]0-9& *!]{0,20}", fullmatch=True)
)
def test_any_mapping_is_read_or_refused_in_words(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp() / "mapped"
    (root / "part/test").mkdir(parents=True, exist_ok=True)
    path = root / "expertad-folder.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        told = Folder(root).licence
    except SourceError as refused:
        told = str(refused)
        assert str(path) in told
    assert told
