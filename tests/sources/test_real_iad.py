from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expertad.errors import SourceError
from expertad.sample import Sample
from expertad.sources.real_iad import RealIAD

BSDATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "bsdata"


def reasons(inventory: Any) -> list[str]:
    return [entry.reason for entry in inventory.unusable]


def ids(inventory: Any) -> list[str]:
    return [sample.sample_id for sample in inventory.samples]


def accounted(inventory: Any, entries: int) -> bool:
    """Every entry once, each with an id of its own."""
    named = ids(inventory) + [entry.sample_id for entry in inventory.unusable]
    return len(named) == len(set(named)) == entries


# ------------------------------------------------------------------------------------------------ good entries


def test_a_normal_photograph_becomes_a_sample_named_by_part_and_view(tree):
    tree.ok(number=17, view=3)
    assert tree.read().samples == [
        Sample(
            "audiojack/OK/S0017/C3",
            "audiojack",
            "audiojack/OK/S0017",
            "C3",
            "normal",
            "OK",
            None,
            "audiojack/OK/S0017/audiojack_0017_OK_C3_20231021130235.jpg",
            None,
        )
    ]


def test_a_defect_has_its_mask_and_the_coarse_type_of_its_class(tree):
    tree.ok()
    tree.ng("QS", number=2, view=5)
    sample = tree.read().samples[0]
    stem = "audiojack/NG/QS/S0002/audiojack__0002_NG_QS_C5_20231023092610"
    assert (sample.sample_id, sample.part_id) == ("audiojack/NG_QS/S0002/C5", "audiojack/NG_QS/S0002")
    assert (sample.stratum, sample.code, sample.coarse_type) == ("anomalous", "QS", "Missing parts")
    assert (sample.image_path, sample.mask_path) == (f"{stem}.jpg", f"{stem}.png")


def test_a_view_of_a_defective_part_labelled_ok_is_its_own_stratum(tree):
    tree.ng("HS", view=2, label="OK")
    sample = tree.read().samples[0]
    assert (sample.stratum, sample.code, sample.coarse_type, sample.mask_path) == ("ng_view_ok", "OK", None, None)
    assert sample.part_id == "audiojack/NG_HS/S0001"


def test_the_label_is_the_class_and_never_the_folder(tree):
    tree.ok()
    tree.ng("HS", label="ZW")
    tree.file("OK/S0009/audiojack_0009_OK_C1_20231021130235.png")
    tree.file("OK/S0009/audiojack_0009_OK_C1_20231021130235.jpg")
    stem = "OK/S0009/audiojack_0009_OK_C1_20231021130235"
    tree.entry("AK", f"{stem}.jpg", f"{stem}.png")
    inventory = tree.read()
    labels = {s.sample_id: (s.stratum, s.coarse_type) for s in inventory.samples}
    assert labels["audiojack/NG_HS/S0001/C1"] == ("anomalous", "Contamination")
    assert labels["audiojack/OK/S0009/C1"] == ("anomalous", "Hole")
    assert any("2 images of audiojack have another class than their folder" in note for note in inventory.notes)


def test_the_same_number_under_ok_and_under_each_code_is_another_part(tree):
    tree.ok(number=1)
    tree.ng("HS", number=1)
    tree.ng("AK", number=1)
    assert {s.part_id for s in tree.read().samples} == {
        "audiojack/OK/S0001",
        "audiojack/NG_HS/S0001",
        "audiojack/NG_AK/S0001",
    }


@pytest.mark.parametrize("gap", ["_", "__"])
def test_one_or_two_underscores_follow_the_category(make_tree, tmp_path, gap):
    tree = make_tree(tmp_path, "sim_card_set")
    name = f"OK/S0001/sim_card_set{gap}0001_OK_C4_20230922140928.jpg"
    tree.file(name)
    tree.entry("OK", name)
    inventory = tree.read()
    assert ids(inventory) == ["sim_card_set/OK/S0001/C4"]
    assert inventory.notes == []


def test_fuiad_training_entries_may_be_anomalous_and_have_no_pre_transform(tree):
    tree.ok()
    tree.train.append(tree.ng("HS"))
    tree.test.clear()
    tree.json("realiad_jsons_fuiad_0.4", meta={"prefix": "audiojack/", "normal_class": "OK"})
    inventory = RealIAD(tree.root, variant="realiad_jsons_fuiad_0.4").read("audiojack")
    assert [s.stratum for s in inventory.samples] == ["anomalous", "normal"]


def test_the_single_view_variant_reports_the_other_views_as_files_without_entry(tree):
    tree.ok(view=1)
    tree.ok(view=2)
    tree.train.pop()
    tree.json("realiad_jsons_sv")
    inventory = RealIAD(tree.root, variant="realiad_jsons_sv").read("audiojack")
    assert ids(inventory) == ["audiojack/OK/S0001/C1"]
    assert "1 files of audiojack have no entry" in inventory.notes[0]
    assert "audiojack_0001_OK_C2" in inventory.notes[0]


def test_a_name_that_contradicts_its_folder_is_noted_and_the_folder_counts(tree):
    name = "OK/S0002/audiojack_0001_OK_C1_20231021130235.jpg"
    tree.file(name)
    tree.entry("OK", name)
    inventory = tree.read()
    assert inventory.samples[0].part_id == "audiojack/OK/S0002"
    assert "named after another part" in inventory.notes[0]


def test_a_mask_with_a_name_of_its_own_is_taken_as_the_entry_says(tree):
    tree.file("NG/HS/S0001/audiojack_0001_NG_HS_C1_20231021130235.jpg")
    tree.file("NG/HS/masks/one.png")
    tree.entry("HS", "NG/HS/S0001/audiojack_0001_NG_HS_C1_20231021130235.jpg", "NG/HS/masks/one.png")
    assert tree.read().samples[0].mask_path == "audiojack/NG/HS/masks/one.png"


def test_samples_come_in_order_of_their_ids_whatever_the_order_of_entries(tree):
    for number in (3, 1, 2):
        tree.ok(number=number)
    assert ids(tree.read()) == [f"audiojack/OK/S000{n}/C1" for n in (1, 2, 3)]


def test_files_without_an_entry_are_counted_and_the_first_few_named(tree):
    tree.ok()
    for number in range(5):
        tree.file(f"OK/S0002/stray_{number}.jpg")
    inventory = tree.read()
    assert accounted(inventory, 1)
    assert "5 files of audiojack have no entry" in inventory.notes[0]
    assert (
        "stray_0.jpg, audiojack/OK/S0002/stray_1.jpg, audiojack/OK/S0002/stray_2.jpg and 2 more" in inventory.notes[0]
    )


def test_a_category_without_normal_images_is_noted(tree):
    tree.ng("HS")
    assert tree.read().notes == ["audiojack has no usable normal image, so its samples have no reference."]


def test_a_category_without_entries_is_noted(tree):
    inventory = tree.read()
    assert accounted(inventory, 0)
    assert inventory.notes == ["audiojack has no usable entry."]


def test_a_list_that_real_iad_does_not_have_is_noted(tree):
    tree.ok()
    tree.json(val=[1, 2, 3])
    assert "'val'" in RealIAD(tree.root).read("audiojack").notes[0]


@pytest.mark.parametrize("root_name", ["with space", "données ü", "数据"])
def test_roots_with_spaces_and_other_scripts(make_tree, tmp_path, root_name):
    tree = make_tree(tmp_path / root_name)
    tree.ok()
    tree.ng("HS")
    inventory = tree.read()
    assert len(inventory.samples) == 2
    assert all((tree.root / "realiad_1024" / s.image_path).is_file() for s in inventory.samples)


# ------------------------------------------------------------------------------------------------ unusable entries


def test_a_missing_image_keeps_the_id_it_will_have_when_it_is_back(tree):
    tree.ok()
    missing = tree.ng("HS", view=4)
    (tree.images / missing["image_path"]).unlink()
    inventory = tree.read()
    assert [(u.sample_id, u.reason) for u in inventory.unusable] == [("audiojack/NG_HS/S0001/C4", "image missing")]
    assert "realiad_jsons/audiojack.json, test[0]" in inventory.unusable[0].detail
    assert missing["image_path"] in inventory.unusable[0].detail


def test_a_missing_mask_and_one_that_is_not_named(tree):
    lost = tree.ng("HS", view=1)
    (tree.images / lost["mask_path"]).unlink()
    tree.ng("HS", view=2)["mask_path"] = None
    assert reasons(tree.read()) == ["mask missing", "no mask named"]


def test_a_normal_entry_with_a_mask_contradicts_itself(tree):
    tree.ng("HS")["anomaly_class"] = "OK"
    assert reasons(tree.read()) == ["mask on a normal entry"]


def test_a_mask_that_is_the_photograph_itself(tree):
    entry = tree.ng("HS")
    entry["mask_path"] = entry["image_path"]
    assert reasons(tree.read()) == ["mask is the image"]


@pytest.mark.parametrize("code", ["XX", "ok", "NG", "hs", "Scratch"])
def test_an_unknown_class_lists_the_known_ones(tree, code):
    tree.ng("HS")["anomaly_class"] = code
    unusable = tree.read().unusable
    assert unusable[0].reason == "unknown class"
    assert "OK, AK, BX, CH, HS, PS, QS, YW, ZW" in unusable[0].detail


@pytest.mark.parametrize("entry", [None, 7, 1.5, True, "OK/S0001/x.jpg", [], ["OK"], {}, {"image_path": None}])
def test_entries_that_are_no_objects_or_lack_their_keys(tree, entry):
    tree.ok()
    tree.test.append(entry)
    inventory = tree.read()
    assert accounted(inventory, 2)
    assert reasons(inventory) == ["malformed entry"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("image_path", 5, "image_path is a number"),
        ("image_path", "", "image_path is empty text"),
        ("mask_path", ["a"], "mask_path is an array, not text or null"),
        ("mask_path", "", "mask_path is empty text"),
        ("anomaly_class", None, "anomaly_class is null"),
        ("anomaly_class", {"a": 1}, "anomaly_class is an object"),
        ("category", False, "category is true or false"),
    ],
)
def test_values_of_the_wrong_type_are_named(tree, key, value, said):
    tree.ok()[key] = value
    unusable = tree.read().unusable
    assert [u.reason for u in unusable] == ["malformed entry"]
    assert said in unusable[0].detail


@pytest.mark.parametrize("key", ["category", "anomaly_class", "image_path", "mask_path"])
def test_each_missing_key_is_named(tree, key):
    del tree.ok()[key]
    assert f"{key} is missing" in tree.read().unusable[0].detail


def test_an_entry_of_another_category(tree):
    tree.ok()["category"] = "usb"
    unusable = tree.read().unusable
    assert [u.reason for u in unusable] == ["another category"]
    assert "'usb'" in unusable[0].detail


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg", "outside the image root"),
        ("OK/S0001/../../../secret_C1_x.jpg", "outside the image root"),
        ("/etc/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg", "outside the image root"),
        ("C:/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg", "outside the image root"),
        ("OK\\S0001\\audiojack_0001_OK_C1_20231021130235.jpg", "path not plain"),
        ("OK//S0001/audiojack_0001_OK_C1_20231021130235.jpg", "path not plain"),
        ("./OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg", "path not plain"),
        ("OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg/", "path not plain"),
        ("OK/S0001/a\0_C1_x.jpg", "path not plain"),
        ("OK/S0001/audiojack_0001_OK_20231021130235.jpg", "path not of the layout"),
        ("OK/S0001/audiojack_0001_OK_C0_20231021130235.jpg", "path not of the layout"),
        ("OK/S0001/audiojack_0001_OK_C6_20231021130235.jpg", "path not of the layout"),
        ("OK/audiojack_0001_OK_C1_20231021130235.jpg", "path not of the layout"),
        ("ok/S0001/audiojack_0001_OK_C1_20231021130235.jpg", "path not of the layout"),
        ("OK/0001/audiojack_0001_OK_C1_20231021130235.jpg", "path not of the layout"),
        ("OK/S٠٠٠١/audiojack_0001_OK_C1_20231021130235.jpg", "path not of the layout"),
        ("NG/S0001/audiojack_0001_NG_HS_C1_20231021130235.jpg", "path not of the layout"),
        ("NG/HS/x/S0001/audiojack_0001_NG_HS_C1_20231021130235.jpg", "path not of the layout"),
    ],
)
def test_paths_that_leave_the_root_or_the_layout(tree, path, reason):
    (tree.root / "secret").mkdir()
    tree.ok()
    tree.entry("OK", path)
    inventory = tree.read()
    assert accounted(inventory, 2)
    assert reasons(inventory) == [reason]
    assert "~" in inventory.unusable[0].sample_id


@pytest.mark.parametrize("path", ["../x.png", "/etc/x.png", "NG\\x.png", "NG/HS/../../../x.png"])
def test_masks_that_leave_the_root(tree, path):
    tree.ng("HS")["mask_path"] = path
    unusable = tree.read().unusable
    assert unusable[0].reason in ("outside the image root", "path not plain")
    assert "mask_path" in unusable[0].detail


def test_a_file_with_a_backslash_in_its_name_is_not_used_even_where_it_exists(tree):
    name = "OK/S0001/audiojack_0001_OK_C1_2023\\1021.jpg"
    tree.file(name)
    tree.entry("OK", name)
    assert reasons(tree.read()) == ["path not plain"]


def test_a_symbolic_link_out_of_the_image_root_is_refused(tree, tmp_path):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"x")
    entry = tree.ok()
    (tree.images / entry["image_path"]).unlink()
    (tree.images / entry["image_path"]).symlink_to(outside)
    assert reasons(tree.read()) == ["outside the image root"]


def test_a_part_folder_linked_from_outside_is_refused(tree, tmp_path):
    tree.ok(number=1)
    (tree.images / "OK/S0001").rename(tmp_path / "S0001")
    (tree.images / "OK/S0001").symlink_to(tmp_path / "S0001")
    assert reasons(tree.read()) == ["outside the image root"]


def test_a_symbolic_link_inside_the_image_root_is_followed(tree):
    entry = tree.ok()
    path = tree.images / entry["image_path"]
    path.rename(tree.images / "stored.jpg")
    path.symlink_to(tree.images / "stored.jpg")
    assert ids(tree.read()) == ["audiojack/OK/S0001/C1"]


def test_a_part_folder_linked_inside_the_image_root_is_followed(tree):
    tree.ok(number=1)
    (tree.images / "OK/S0001").rename(tree.images / "kept")
    (tree.images / "OK/S0001").symlink_to(tree.images / "kept")
    assert ids(tree.read()) == ["audiojack/OK/S0001/C1"]


def test_links_that_lead_back_to_themselves_end(tree):
    entry = tree.ok(number=1)
    (tree.images / entry["image_path"]).unlink()
    (tree.images / entry["image_path"]).symlink_to(tree.images / entry["image_path"])
    tree.ok(number=2)
    (tree.images / "OK/S0002/again").symlink_to(tree.images / "OK")
    (tree.images / "OK/up").symlink_to(tree.images)
    (tree.images / "OK/loop").symlink_to(tree.images / "OK/loop")
    inventory = tree.read()
    assert reasons(inventory) == ["symbolic link loop"]
    assert ids(inventory) == ["audiojack/OK/S0002/C1"]
    assert isinstance(RealIAD(tree.root).fingerprint("audiojack"), str)


def test_a_broken_link_and_a_folder_in_the_place_of_an_image(tree):
    broken, folder = tree.ok(number=1), tree.ok(number=2)
    (tree.images / broken["image_path"]).unlink()
    (tree.images / broken["image_path"]).symlink_to(tree.images / "gone.jpg")
    (tree.images / folder["image_path"]).unlink()
    (tree.images / folder["image_path"]).mkdir()
    inventory = tree.read()
    assert reasons(inventory) == ["image missing", "image not a file"]
    assert "link to a file that does not exist" in inventory.unusable[0].detail


def test_an_identical_second_entry_is_unusable_and_the_first_is_kept(tree):
    entry = tree.ok()
    tree.test += [dict(entry), dict(reversed(entry.items()))]
    inventory = tree.read()
    assert accounted(inventory, 3)
    assert ids(inventory) == ["audiojack/OK/S0001/C1"]
    assert reasons(inventory) == ["duplicate entry"] * 2
    assert all(u.sample_id.startswith("audiojack/OK/S0001/C1~") for u in inventory.unusable)


@pytest.mark.parametrize("other", [{"anomaly_class": "OK", "mask_path": None}, {"anomaly_class": "AK"}])
def test_contradicting_entries_of_one_image_are_all_unusable(tree, other):
    entry = tree.ng("HS")
    tree.test.append(entry | other)
    tree.test.append(dict(entry))
    inventory = tree.read()
    assert accounted(inventory, 3)
    assert reasons(inventory) == ["conflicting entries"] * 3
    assert inventory.unusable[0].sample_id == "audiojack/NG_HS/S0001/C1"


def test_an_entry_contradicted_by_one_that_is_unusable_itself_is_unusable_too(tree):
    entry = tree.ng("HS", label="OK")
    tree.test.append(entry | {"anomaly_class": "HS"})
    inventory = tree.read()
    assert inventory.samples == []
    assert sorted(reasons(inventory)) == ["conflicting entries", "no mask named"]


def test_a_malformed_entry_does_not_take_the_good_one_with_it(tree):
    entry = tree.ok()
    tree.test.append(entry | {"mask_path": 4})
    inventory = tree.read()
    assert ids(inventory) == ["audiojack/OK/S0001/C1"]
    assert reasons(inventory) == ["malformed entry"]


def test_of_two_photographs_of_one_view_the_first_in_path_order_is_kept(tree):
    tree.ok(time=20231021130299)
    tree.ok(time=20231021130235)
    tree.ok(time=20231021130250)
    inventory = tree.read()
    assert accounted(inventory, 3)
    assert [s.image_path[-18:-4] for s in inventory.samples] == ["20231021130235"]
    assert reasons(inventory) == ["same part and view"] * 2


def test_a_view_is_not_lost_to_a_photograph_that_is_missing(tree):
    first = tree.ok(time=20231021130235)
    tree.ok(time=20231021130299)
    (tree.images / first["image_path"]).unlink()
    inventory = tree.read()
    assert [s.image_path[-18:-4] for s in inventory.samples] == ["20231021130299"]
    assert reasons(inventory) == ["image missing"]


def test_a_name_in_other_case_is_missing_and_the_near_one_is_named(tree):
    entry = tree.ok()
    path = tree.images / entry["image_path"]
    path.rename(path.with_suffix(".JPG"))
    unusable = tree.read().unusable
    assert [u.reason for u in unusable] == ["image missing"]
    assert ".JPG' does (they differ in letter case alone" in unusable[0].detail


def test_a_name_composed_otherwise_in_unicode_is_missing_and_the_near_one_is_named(make_tree, tmp_path):
    tree = make_tree(tmp_path, "schraube_\u00fc")
    entry = tree.ok()
    path = tree.images / entry["image_path"]
    path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    unusable = tree.read().unusable
    assert [u.reason for u in unusable] == ["image missing"]
    assert "composed otherwise in Unicode" in unusable[0].detail


def test_ids_of_unusable_entries_do_not_depend_on_their_order(tree):
    entry = tree.ok()
    tree.test += [5, dict(entry), {"a": 1}, 5, entry | {"anomaly_class": "HS"}]
    forth = tree.read()
    tree.train.reverse()
    tree.test.reverse()
    back = tree.read()
    assert [(u.sample_id, u.reason) for u in forth.unusable] == [(u.sample_id, u.reason) for u in back.unusable]


# ------------------------------------------------------------------------------------------------ meta.prefix


@pytest.mark.parametrize("prefix", ["audiojack/", "audiojack", "./audiojack/"])
def test_the_prefix_stands_before_every_path(tree, prefix):
    tree.ok()
    tree.json(meta={"prefix": prefix})
    inventory = RealIAD(tree.root).read("audiojack")
    assert inventory.samples[0].image_path.startswith("audiojack/OK/")


def test_a_prefix_below_the_category_is_honoured(tree):
    tree.ok()
    os.rename(tree.images / "OK", tree.root / "OK")
    (tree.images / "v2").mkdir()
    os.rename(tree.root / "OK", tree.images / "v2" / "OK")
    tree.json(meta={"prefix": "audiojack/v2/"})
    sample = RealIAD(tree.root).read("audiojack").samples[0]
    assert sample.image_path.startswith("audiojack/v2/OK/S0001/")
    assert sample.sample_id == "audiojack/OK/S0001/C1"


def test_with_an_empty_prefix_paths_begin_with_the_category(tree):
    entry = tree.ok()
    tree.entry("OK", entry["image_path"])
    entry["image_path"] = f"audiojack/{entry['image_path']}"
    tree.json(meta={"prefix": ""})
    inventory = RealIAD(tree.root).read("audiojack")
    assert inventory.samples[0].image_path == entry["image_path"]
    assert reasons(inventory) == ["path not of the layout"]


@pytest.mark.parametrize(
    "prefix", ["../audiojack/", "/audiojack/", "audiojack/../../x/", "audiojack\\", "usb/", None, 3]
)
def test_a_prefix_that_leaves_the_root_or_the_category_stops_the_category(tree, prefix):
    tree.ok()
    path = tree.json(meta={"prefix": prefix})
    with pytest.raises(SourceError, match="prefix") as caught:
        RealIAD(tree.root).read("audiojack")
    assert str(path) in str(caught.value)


# ------------------------------------------------------------------------------------------------ whole categories


def test_one_unreadable_category_leaves_the_others(tree, make_tree):
    tree.ok()
    tree.json()
    other = make_tree(tree.root, "usb")
    other.ok()
    path = other.json()
    path.write_text(path.read_text()[:-40])
    source = RealIAD(tree.root)
    assert list(source.categories()) == ["audiojack", "usb"]
    assert len(source.read("audiojack").samples) == 1
    with pytest.raises(SourceError, match=r"usb\.json, line 1, column \d+: not JSON .*extract it again"):
        source.read("usb")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"meta": {"prefix": "audiojack/"}}',
        '{"meta": [], "train": [], "test": []}',
        '{"meta": {"prefix": "audiojack/"}, "train": {}, "test": []}',
        '{"meta": {"prefix": "audiojack/", "normal_class": "good"}, "train": [], "test": []}',
        "[" * 100_000,
    ],
)
def test_what_is_not_real_iads_json_is_said(tree, text):
    path = tree.json()
    path.write_text(text)
    with pytest.raises(SourceError, match=r"audiojack\.json"):
        RealIAD(tree.root).read("audiojack")


def test_bytes_that_are_not_utf8_stop_the_category(tree):
    path = tree.json()
    path.write_bytes(path.read_bytes().replace(b"pre_transform", b"pre\xfftransform"))
    with pytest.raises(SourceError, match="not JSON"):
        RealIAD(tree.root).read("audiojack")


def test_a_byte_order_mark_is_skipped(tree):
    tree.ok()
    path = tree.json()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(RealIAD(tree.root).read("audiojack").samples) == 1


def test_a_missing_image_folder_tells_what_is_there_instead(tree, make_tree):
    make_tree(tree.root, "usb").json()
    tree.json()
    (tree.root / "realiad_1024/usb").rmdir()
    source = RealIAD(tree.root)
    with pytest.raises(SourceError, match="images of usb not found.*there are audiojack"):
        source.read("usb")
    (tree.root / "realiad_1024/usb.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match="usb.zip not extracted"):
        source.read("usb")
    (tree.root / "realiad_1024/USB").mkdir()
    (tree.root / "realiad_1024/usb.zip").unlink()
    with pytest.raises(SourceError, match="'USB' is there .they differ in letter case"):
        source.read("usb")


def test_a_category_extracted_twice_is_one_folder_too_deep(tree):
    tree.ok()
    (tree.images / "audiojack").mkdir()
    os.rename(tree.images / "OK", tree.images / "audiojack" / "OK")
    tree.json()
    with pytest.raises(SourceError, match="one folder too deep"):
        RealIAD(tree.root).read("audiojack")


def test_a_category_folder_linked_from_outside_stops_the_category(tree, tmp_path):
    tree.ok()
    tree.json()
    tree.images.rename(tmp_path / "elsewhere")
    tree.images.symlink_to(tmp_path / "elsewhere")
    (tree.root / "realiad_1024" / "usb").mkdir()
    with pytest.raises(SourceError, match="symbolic link out of"):
        RealIAD(tree.root).read("audiojack")


def test_an_image_root_that_is_itself_a_link_is_fine(tree, tmp_path):
    tree.ok()
    tree.json()
    (tree.root / "realiad_1024").rename(tmp_path / "disk2")
    (tree.root / "realiad_1024").symlink_to(tmp_path / "disk2")
    assert len(RealIAD(tree.root).read("audiojack").samples) == 1


# ------------------------------------------------------------------------------------------------ finding the data


def test_both_nestings_of_the_json_folder_are_found(tree):
    tree.ok()
    tree.json("realiad_jsons/realiad_jsons")
    assert len(RealIAD(tree.root).read("audiojack").samples) == 1


def test_the_largest_extracted_resolution_is_the_default(tree, make_tree):
    tree.json()
    make_tree(tree.root, resolution="256")
    assert RealIAD(tree.root).image_root == tree.root / "realiad_1024"
    (tree.root / "realiad_raw").mkdir()
    assert RealIAD(tree.root).image_root == tree.root / "realiad_1024"
    make_tree(tree.root, resolution="raw")
    assert RealIAD(tree.root).image_root == tree.root / "realiad_raw"
    assert RealIAD(tree.root, resolution="256").image_root == tree.root / "realiad_256"


def test_a_resolution_that_is_not_there_names_those_that_are(tree):
    tree.json()
    with pytest.raises(SourceError, match=r"realiad_512.*use the resolution 1024"):
        RealIAD(tree.root, resolution="512")


def test_categories_are_those_with_a_json_sorted(tree, make_tree):
    tree.json()
    make_tree(tree.root, "usb").json()
    make_tree(tree.root, "zipper")
    (tree.root / "realiad_jsons/._usb.json").write_bytes(b"\0\5\x16\7")
    assert list(RealIAD(tree.root).categories()) == ["audiojack", "usb"]
    assert list(RealIAD(tree.root, categories=["usb", "usb"]).categories()) == ["usb"]


def test_a_category_that_is_not_there_is_named_with_those_that_are(tree):
    tree.json()
    with pytest.raises(SourceError, match="no JSON for category usb; .* has audiojack"):
        RealIAD(tree.root, categories=["usb", "audiojack"])
    with pytest.raises(SourceError, match="'usb' is not a category"):
        RealIAD(tree.root).read("usb")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "found an empty folder"),
        (["realiad_jsons/", "realiad_1024/a/"], "looked for .*realiad_jsons/realiad_jsons/.*json"),
        (["realiad_jsons.zip", "realiad_1024/a/"], "unzip .*realiad_jsons.zip"),
        (["realiad_jsons_sv/a.json"], "use the variant realiad_jsons_sv"),
        (["realiad_jsons/a.json"], "no photographs.*extract the archives"),
        (["realiad_jsons/a.json", "realiad_1024/a.zip", "realiad_1024/b.zip"], "2 archives are not extracted"),
        (["realiad_jsons/a.json", "realiad_1024/"], "no photographs"),
    ],
)
def test_what_is_missing_at_the_root_is_said_with_what_was_found(tmp_path, made, said):
    for name in made:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.write_bytes(b"{}")
    with pytest.raises(SourceError, match=said):
        RealIAD(tmp_path)


def test_a_root_that_does_not_exist_is_a_file_or_is_one_level_too_deep(tree):
    tree.json()
    with pytest.raises(SourceError, match="does not exist"):
        RealIAD(tree.root / "nowhere")
    with pytest.raises(SourceError, match="is a file"):
        RealIAD(tree.root / "realiad_jsons/audiojack.json")
    with pytest.raises(SourceError, match=f"give its parent folder, {tree.root}"):
        RealIAD(tree.root / "realiad_1024")


@pytest.mark.parametrize("variant", ["../x", "/etc", "a/b", ""])
def test_a_variant_is_the_name_of_a_folder(tree, variant):
    tree.json()
    with pytest.raises(SourceError, match="variant"):
        RealIAD(tree.root, variant=variant)


# ------------------------------------------------------------------------------------------------ fingerprint


def test_the_fingerprint_changes_with_json_and_files_and_only_then(tree):
    tree.ok()
    tree.ng("HS")
    json_path = tree.json()
    seen = [RealIAD(tree.root).fingerprint("audiojack")]
    assert RealIAD(tree.root).fingerprint("audiojack") == seen[0]

    def changed() -> bool:
        seen.append(RealIAD(tree.root).fingerprint("audiojack"))
        return len(set(seen)) == len(seen)

    added = tree.file("NG/HS/S0001/extra.png")
    assert changed()
    added.unlink()
    tree.file("OK/S0002/new.jpg")
    assert changed()
    tree.file("NG/AK/S0001/new.jpg")
    assert changed()
    (tree.images / "OK/S0002/new.jpg").unlink()
    assert changed()
    os.utime(json_path, ns=(1, 1))
    assert changed()


def test_the_fingerprint_of_settled_files_ignores_reading_and_sees_an_old_looking_change(tree):
    tree.ok()
    tree.json()
    for folder, _, _ in os.walk(tree.root):
        os.utime(folder, ns=(10**18, 10**18))
    first = RealIAD(tree.root).fingerprint("audiojack")
    RealIAD(tree.root).read("audiojack")
    assert RealIAD(tree.root).fingerprint("audiojack") == first
    tree.file("OK/S0001/more.jpg")
    assert RealIAD(tree.root).fingerprint("audiojack") != first


def test_each_category_resolution_and_variant_has_its_own_fingerprint(tree, make_tree):
    tree.json()
    tree.json("realiad_jsons_sv")
    make_tree(tree.root, "usb").json()
    make_tree(tree.root, resolution="256")
    found = {
        RealIAD(tree.root).fingerprint("audiojack"),
        RealIAD(tree.root).fingerprint("usb"),
        RealIAD(tree.root, resolution="256").fingerprint("audiojack"),
        RealIAD(tree.root, variant="realiad_jsons_sv").fingerprint("audiojack"),
    }
    assert len(found) == 4


# ------------------------------------------------------------------------------------------------ real photographs


def test_bsdata_reads_whole():
    source = RealIAD(BSDATA, licence="CC BY-SA 4.0", title="BSData")
    assert list(source.categories()) == ["ball_screw"]
    inventory = source.read("ball_screw")
    assert inventory.unusable == inventory.notes == []
    assert [s.stratum for s in inventory.samples] == ["anomalous"] * 40 + ["normal"] * 40
    assert {s.coarse_type for s in inventory.samples if s.anomalous} == {"Hole"}
    for sample in inventory.samples:
        assert (source.image_root / sample.image_path).read_bytes()[:2] == b"\xff\xd8"
        if sample.mask_path:
            assert (source.image_root / sample.mask_path).read_bytes()[:4] == b"\x89PNG"
    assert (source.licence, source.title, source.name) == ("CC BY-SA 4.0", "BSData", "real_iad")


# ------------------------------------------------------------------------------------------------ properties

IMAGES = [
    "OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg",
    "OK/S0001/audiojack_0001_OK_C1_20231021130299.jpg",
    "OK/S0001/audiojack_0001_OK_C2_20231021130235.jpg",
    "NG/HS/S0001/audiojack__0001_NG_HS_C1_20231023092610.jpg",
    "NG/HS/S0001/audiojack__0001_NG_HS_C2_20231023092610.jpg",
]
MASKS = [IMAGES[3].replace("jpg", "png"), "NG/HS/S0001/other.png"]
ABSENT = ["OK/S0001/audiojack_0001_OK_C3_20231021130235.jpg", "../x.jpg", "OK/S0001", "", "a\\b", "/", "\0", "OK/S/x"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
likely = st.fixed_dictionaries(
    {
        "category": st.sampled_from(["audiojack"] * 9 + ["usb"]),
        "anomaly_class": st.sampled_from(["OK", "OK", "HS", "HS", "AK", "XX"]),
        "image_path": st.sampled_from(IMAGES * 3 + ABSENT),
        "mask_path": st.none() | st.sampled_from(MASKS * 3 + IMAGES + ABSENT),
    }
)
broken = st.builds(lambda entry, key, value: entry | {key: value}, likely, st.sampled_from(list("xcam")), json_values)
shortened = st.builds(
    lambda entry, key: {name: value for name, value in entry.items() if name != key},
    likely,
    st.sampled_from(["category", "anomaly_class", "image_path", "mask_path"]),
)
keyed = st.builds(
    lambda entry, key, value: entry | {key: value},
    likely,
    st.sampled_from(["category", "anomaly_class", "image_path", "mask_path"]),
    json_values,
)
soups = st.lists(likely | likely | likely | broken | shortened | keyed | json_values, max_size=14)


@pytest.fixture(scope="module")
def soup_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("soup")
    for path in IMAGES + MASKS:
        file = root / "realiad_1024/audiojack" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "realiad_jsons").mkdir()
    return root


def read_soup(root: Path, train: list[Any], test: list[Any]) -> Any:
    document = {"meta": {"prefix": "audiojack/"}, "train": train, "test": test}
    (root / "realiad_jsons/audiojack.json").write_text(json.dumps(document))
    return RealIAD(root).read("audiojack")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(train=soups, test=soups, data=st.data())
def test_any_entries_are_accounted_for_whatever_their_order(soup_root, train, test, data):
    inventory = read_soup(soup_root, train, test)
    assert accounted(inventory, len(train) + len(test))
    for sample in inventory.samples:
        assert sample.image_path.startswith("audiojack/")
        assert (soup_root / "realiad_1024" / sample.image_path).is_file()
        assert (sample.mask_path is not None) == sample.anomalous == (sample.code != "OK")
    assert len({s.image_path for s in inventory.samples}) == len(inventory.samples)
    shuffled = read_soup(soup_root, [], data.draw(st.permutations(train + test)))
    assert shuffled.samples == inventory.samples
    assert [(u.sample_id, u.reason) for u in shuffled.unusable] == [(u.sample_id, u.reason) for u in inventory.unusable]


@settings(max_examples=150, deadline=None)
@given(entry=likely, again=st.booleans())
def test_a_closer_look_at_a_good_entry_finds_the_same_sample(soup_root, entry, again):
    alone = read_soup(soup_root, [entry], [])
    beside = read_soup(soup_root, [entry], [entry])
    assert beside.samples == alone.samples
    assert len(beside.unusable) == 2 - len(alone.samples)


@settings(max_examples=100, deadline=None)
@given(content=json_values | st.fixed_dictionaries({"meta": json_values, "train": json_values, "test": json_values}))
def test_any_json_is_read_or_refused_in_words(soup_root, content):
    path = soup_root / "realiad_jsons/audiojack.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=r"audiojack\.json"):
        RealIAD(soup_root).read("audiojack")


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(min_value=0, max_value=400), junk=st.binary(max_size=5))
def test_damaged_bytes_are_read_or_refused_in_words(soup_root, cut, junk):
    read_soup(soup_root, [], [])
    path = soup_root / "realiad_jsons/audiojack.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + junk + whole[cut + len(junk) :])
    try:
        inventory = RealIAD(soup_root).read("audiojack")
    except SourceError as refused:
        told = str(refused)
    else:
        told = f"audiojack.json with {len(inventory.samples) + len(inventory.unusable)} entries"
    assert "audiojack.json" in told
