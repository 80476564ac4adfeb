"""The drawn data set: Real-IAD's layout to the letter, equal bytes for equal arguments, masks that tell the truth."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from expertad.errors import UserError
from expertad.sources.drawing import camera, lot, render, smoke
from expertad.sources.drawing.parts import CATEGORIES
from expertad.sources.drawn import draw
from expertad.taxonomy import CODE_TO_COARSE

SIZE = 128
PATH = re.compile(
    r"(?:OK/S(\d{4})/(?P<a>\w+?)_\1_OK|NG/(?P<code>[A-Z]{2})/S(\d{4})/(?P<b>\w+?)__\4_NG_(?P=code))_C[1-5]_\d{14}\.jpg"
)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def items(root: Path, split: str | None = None) -> list[dict[str, str | None]]:
    out = []
    for path in sorted((root / "realiad_jsons").glob("*.json")):
        index = json.loads(path.read_text("utf-8"))
        for name in ("train", "test"):
            if split in (None, name):
                out += index[name]
    return out


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten parts a category, drawn small."""
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder, 10, 7, size=SIZE)
    return folder


def test_the_json_has_exactly_the_real_sets_schema(root: Path) -> None:
    paths = sorted((root / "realiad_jsons").iterdir())
    assert [p.name for p in paths] == sorted(f"{name}.json" for name in CATEGORIES)
    for path in paths:
        index = json.loads(path.read_text("utf-8"))
        assert list(index) == ["meta", "train", "test"]
        assert index["meta"]["prefix"] == f"{path.stem}/"
        assert index["meta"]["normal_class"] == "OK"
        assert set(index["meta"]) == {"prefix", "normal_class", "pre_transform"}
        for item in index["train"] + index["test"]:
            assert list(item) == ["category", "anomaly_class", "image_path", "mask_path"]
            assert item["category"] == path.stem
            match = PATH.fullmatch(item["image_path"])
            assert match, item["image_path"]
            assert (match["a"] or match["b"]) == path.stem
            if item["mask_path"] is not None:
                assert item["mask_path"] == item["image_path"].removesuffix(".jpg") + ".png"


def test_train_is_normal_and_no_part_is_in_both_splits(root: Path) -> None:
    train, test = items(root, "train"), items(root, "test")
    assert {item["anomaly_class"] for item in train} == {"OK"}
    assert all("/OK/" in f"/{item['image_path']}" for item in train)
    assert any(item["image_path"].startswith("OK/") for item in test)
    folders = [{(i["category"], i["image_path"].rsplit("/", 1)[0]) for i in split} for split in (train, test)]
    assert not folders[0] & folders[1]


def test_every_file_is_listed_once_and_every_listed_file_is_there(root: Path) -> None:
    listed = Counter(f"{i['category']}/{i[key]}" for i in items(root) for key in ("image_path", "mask_path") if i[key])
    on_disk = {str(p.relative_to(root / "realiad_1024")) for p in (root / "realiad_1024").rglob("*.*")}
    assert set(listed) == on_disk
    assert set(listed.values()) == {1}
    assert {p.name for p in root.iterdir()} == {"drawn.json", "realiad_1024", "realiad_jsons"}


def test_the_report_counts_what_is_there(root: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = draw(tmp_path / "few", 2, 7, size=64, progress=lambda done, total: seen.append((done, total)))
    assert report.images == len(list(tmp_path.rglob("*.jpg"))) == 2 * 5 * len(CATEGORIES)
    assert report.masks == len(list(tmp_path.rglob("*.png")))
    assert report.categories == tuple(CATEGORIES)
    assert seen[-1] == (report.images, report.images)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_half_the_parts_are_defective_and_every_code_of_a_category_comes_up(root: Path) -> None:
    for name, category in CATEGORIES.items():
        parts = {
            (i["image_path"].split("/S")[0], i["image_path"].split("/")[-2])
            for i in items(root)
            if i["category"] == name
        }
        assert sum(folder == "OK" for folder, _ in parts) == 5
        assert {folder.removeprefix("NG/") for folder, _ in parts if folder != "OK"} == set(category.flaws)
        assert "ZW" in category.flaws
    assert {code for category in CATEGORIES.values() for code in category.flaws} == set(CODE_TO_COARSE)


@pytest.mark.parametrize("seed", range(4))
def test_four_parts_are_two_normal_and_two_defective(seed: int) -> None:
    for name, category in CATEGORIES.items():
        tickets = lot.tickets(name, tuple(category.flaws), 4, seed)
        assert sum(ticket.defective for ticket in tickets) == 2


def test_a_view_without_a_visible_defect_is_ok_without_a_mask_though_it_lies_under_ng(root: Path) -> None:
    hidden = [i for i in items(root) if i["anomaly_class"] == "OK" and i["image_path"].startswith("NG/")]
    assert hidden
    assert all(i["mask_path"] is None for i in hidden)
    assert not {i["image_path"] for i in hidden} & {i["image_path"] for i in items(root, "train")}
    for item in items(root):
        if item["anomaly_class"] != "OK":
            assert item["image_path"].startswith(f"NG/{item['anomaly_class']}/")
            assert item["mask_path"] is not None


def test_masks_are_black_and_white_and_as_large_as_their_images(root: Path) -> None:
    for item in items(root):
        if item["mask_path"] is None:
            continue
        folder = root / "realiad_1024" / str(item["category"])
        mask = cv2.imread(str(folder / item["mask_path"]), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(folder / str(item["image_path"])), cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8
        assert mask.shape == image.shape[:2] == (SIZE, SIZE)
        assert image.shape[2] == 3
        assert set(np.unique(mask)) == {0, 255}
        assert 0.0003 < (mask > 0).mean() < 0.09


def test_every_defective_part_shows_its_defect_at_least_once(root: Path) -> None:
    seen = Counter(
        (i["category"], i["image_path"].rsplit("/", 1)[0]) for i in items(root) if i["anomaly_class"] != "OK"
    )
    ng = {(i["category"], i["image_path"].rsplit("/", 1)[0]) for i in items(root) if i["image_path"].startswith("NG/")}
    assert set(seen) == ng


@pytest.mark.parametrize("name", list(CATEGORIES))
def test_a_mask_is_exactly_where_the_defect_changes_the_photograph(name: str) -> None:
    """The same part is photographed without its flaw: outside the mask nothing differs visibly, inside it does."""
    category = CATEGORIES[name]
    form = category.build(192)
    for number, code in enumerate(category.flaws):
        part = lot.body(category, form, 3, number)
        wrong = lot.flaw(category, form, 3, number, code, 0)
        for view, station in enumerate(camera.CAMERAS):
            clean = render.photograph(part, station, view)
            flawed = render.photograph(part, station, view, wrong)
            assert clean.mask is None
            changed = np.abs(clean.image.astype(int) - flawed.image).max(2)
            if flawed.mask is None:
                assert not changed.any()
                continue
            assert (changed[flawed.mask == 0] < render.VISIBLE).all()
            assert (changed[flawed.mask > 0] >= render.VISIBLE).mean() > 0.3
            assert changed[flawed.mask > 0].mean() > render.VISIBLE


def test_equal_arguments_draw_equal_bytes_whatever_the_number_of_threads(tmp_path: Path) -> None:
    draw(tmp_path / "one", 3, 5, size=64, workers=1)
    draw(tmp_path / "many", 3, 5, size=64, workers=4)
    assert tree(tmp_path / "one") == tree(tmp_path / "many")


def test_another_seed_draws_other_parts(tmp_path: Path) -> None:
    draw(tmp_path / "a", 2, 0, profile="smoke")
    draw(tmp_path / "b", 2, 1, profile="smoke")
    assert set(tree(tmp_path / "a")) != set(tree(tmp_path / "b"))


@pytest.mark.parametrize(("profile", "few", "many"), [("parts", 3, 5), ("smoke", 40, 100)])
def test_more_parts_leave_the_first_ones_as_they_were(tmp_path: Path, profile: str, few: int, many: int) -> None:
    size = 64 if profile == "parts" else None
    draw(tmp_path / "few", few, 2, profile=profile, size=size)  # type: ignore[arg-type]
    draw(tmp_path / "many", many, 2, profile=profile, size=size)  # type: ignore[arg-type]
    small, large = tree(tmp_path / "few" / "realiad_1024"), tree(tmp_path / "many" / "realiad_1024")
    assert len(small) < len(large)
    assert small.items() <= large.items()
    train = {i["image_path"] for i in items(tmp_path / "few", "train")}
    assert train <= {i["image_path"] for i in items(tmp_path / "many", "train")}


def test_a_second_draw_touches_nothing(tmp_path: Path) -> None:
    first = draw(tmp_path, 30, 1, profile="smoke")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert draw(tmp_path, 30, 1, profile="smoke") == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


class Stop(Exception):
    """Stands for Ctrl-C in the middle of a drawing."""


def test_an_interrupted_draw_is_completed_by_the_next(tmp_path: Path) -> None:
    draw(tmp_path / "whole", 40, 3, profile="smoke")

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise Stop

    broken = tmp_path / "broken"
    with pytest.raises(Stop):
        draw(broken, 40, 3, profile="smoke", progress=stop, workers=2)
    assert len(list((broken / "realiad_jsons").iterdir())) < 3
    draw(broken, 40, 3, profile="smoke")
    assert tree(broken) == tree(tmp_path / "whole")


def test_a_half_written_file_and_a_lost_one_are_drawn_again(tmp_path: Path) -> None:
    draw(tmp_path, 20, 3, profile="smoke")
    whole = tree(tmp_path)
    photos = sorted(tmp_path.rglob("*_NG_*.jpg"))
    photos[0].rename(photos[0].with_name(photos[0].name + ".part"))
    photos[1].with_suffix(".png").unlink()
    photos[1].unlink()
    (tmp_path / "realiad_jsons" / "wood.json").unlink()
    draw(tmp_path, 20, 3, profile="smoke")
    assert tree(tmp_path) == whole


@pytest.mark.parametrize("change", [{"parts": 5}, {"seed": 1}, {"size": 96}, {"profile": "parts"}])
def test_other_arguments_into_the_same_folder_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"parts": 4, "seed": 0, "profile": "smoke"}
    draw(tmp_path, **arguments)  # type: ignore[arg-type]
    before = tree(tmp_path)
    with pytest.raises(UserError, match=f"other arguments .*{next(iter(change))}"):
        draw(tmp_path, **(arguments | change))  # type: ignore[arg-type]
    assert tree(tmp_path) == before


def test_a_folder_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(UserError, match="not empty"):
        draw(tmp_path, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("arguments", [{"parts": 0}, {"parts": 10_000}, {"size": 8}, {"profile": "holiday"}])
def test_arguments_out_of_range_are_the_users_mistake(tmp_path: Path, arguments: dict[str, object]) -> None:
    with pytest.raises(UserError):
        draw(tmp_path / "x", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_smoke_defects_fill_all_nine_cells_evenly_and_keep_to_one(tmp_path: Path) -> None:
    draw(tmp_path, 108, 0, profile="smoke")
    cells: Counter[tuple[str, int]] = Counter()
    for item in items(tmp_path):
        if item["mask_path"] is None:
            continue
        mask = cv2.imread(
            str(tmp_path / "realiad_1024" / str(item["category"]) / item["mask_path"]), cv2.IMREAD_UNCHANGED
        )
        assert mask.shape == (84, 84)
        rows, columns = np.nonzero(mask)
        touched = set(zip(rows * 3 // 84, columns * 3 // 84, strict=True))
        assert len(touched) == 1
        row, column = touched.pop()
        cells[str(item["anomaly_class"]), int(row * 3 + column)] += 1
        assert 0.004 < (mask > 0).mean() < 0.06
    assert {code for code, _ in cells} == set(smoke.CODES)
    assert {cell for _, cell in cells} == set(range(9))
    assert max(cells.values()) - min(cells.values()) <= 3


def test_smoke_is_balanced_and_has_one_view(tmp_path: Path) -> None:
    report = draw(tmp_path, 50, 0, profile="smoke")
    assert report.images == 50 * len(report.categories)
    assert report.masks == report.images // 2
    assert all("_C1_" in str(i["image_path"]) for i in items(tmp_path))


def test_a_smoke_mask_is_exactly_where_the_mark_is() -> None:
    for ticket in lot.tickets("wood", smoke.CODES, 60, 0):
        flawed = smoke.photograph("wood", 0, ticket)
        clean = smoke.photograph("wood", 0, ticket, flawless=True)
        changed = (flawed.image != clean.image).any(2)
        if flawed.mask is None:
            assert not changed.any()
        else:
            assert np.array_equal(changed, flawed.mask > 0)


@pytest.mark.slow
def test_drawn_defects_reach_all_nine_cells_and_many_sizes(tmp_path: Path) -> None:
    draw(tmp_path, 40, 0, size=96)
    cells: Counter[int] = Counter()
    areas = []
    for item in items(tmp_path):
        if item["mask_path"] is None:
            continue
        mask = (
            cv2.imread(str(tmp_path / "realiad_1024" / str(item["category"]) / item["mask_path"]), cv2.IMREAD_UNCHANGED)
            > 0
        )
        share = [mask[r * 32 : r * 32 + 32, c * 32 : c * 32 + 32].sum() for r in range(3) for c in range(3)]
        cells[int(np.argmax(share))] += 1
        areas.append(mask.mean())
    assert min(cells[cell] for cell in range(9)) >= 5
    assert np.quantile(areas, 0.1) < 0.002
    assert np.quantile(areas, 0.95) > 0.015
