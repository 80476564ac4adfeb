"""A factory's own photographs in MVTec's layout, built end to end: real crops with real defects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import Run

from expertad import grid
from expertad.taxonomy import COARSE_TYPES

SIDE = 160
MAPPING = """\
title: Kugelgewinde der Linie 4
licence: "© Werk Süd, internal use"
types:
  Ausbruch: Hole
part: '(.+)_cam(\\d)'
"""


def crop(image: Image.Image, center: tuple[int, int]) -> Image.Image:
    left = min(max(center[0] - SIDE // 3, 0), image.width - SIDE)
    top = min(max(center[1] - SIDE // 3, 0), image.height - SIDE)
    return image.crop((left, top, left + SIDE, top + SIDE))


@pytest.fixture
def factory(bsdata: Path, tmp_path: Path) -> Path:
    """Crops of real photographs: 8 sound ones and 6 with a pit, filed as a factory might, umlauts and all."""
    root = tmp_path / "Werk Süd"
    category = root / "Gewinde"
    photos = bsdata / "realiad_1024"
    masks = sorted(photos.glob("*/NG/*/*/*.png"))[:6]
    for number, path in enumerate(masks):
        mask = Image.open(path).convert("L")
        rows, columns = np.nonzero(np.asarray(mask) > 127)
        center = (int(columns.mean()), int(rows.mean()))
        folder = "Ausbruch" if number < 4 else "Öl-Rest"
        for kind, image, suffix in (
            ("test", Image.open(path.with_suffix(".jpg")), ""),
            ("ground_truth", mask, "_mask"),
        ):
            out = category / kind / folder / f"{number:03d}_cam1{suffix}.png"
            out.parent.mkdir(parents=True, exist_ok=True)
            crop(image, center).save(out)
    for number, path in enumerate(sorted(photos.glob("*/OK/*/*.jpg"))[:8]):
        out = category / ("train" if number < 6 else "test") / "good" / f"{number:03d}_cam1.png"
        out.parent.mkdir(parents=True, exist_ok=True)
        crop(Image.open(path), (200 + 40 * number, 180)).save(out)
    (root / "expertad-folder.yaml").write_text(MAPPING, encoding="utf-8")
    return root


def rows_of(workspace: Path) -> dict[str, dict]:
    folders = [workspace / "dataset" / name for name in ("pa_sft", "sc_grpo")]
    tables = [path for folder in folders for path in folder.glob("*.parquet")]
    return {row["id"]: row for path in tables for row in pq.read_table(path).to_pylist()}


@pytest.mark.slow
def test_a_factorys_own_folders_become_a_data_set(expertad: Run, factory: Path, tmp_path: Path):
    words = ("build", "--source", "folder", "--root", factory, "--workspace", tmp_path / "W", "--held-out", 0, "--json")
    first = expertad(*words)
    assert first.code == 0, first.err
    assert (first.json["ingested"], first.json["unusable"]) == (14, 2)
    assert first.json["published"] > 0

    told = expertad("status", "--workspace", tmp_path / "W", "--sample", "Gewinde/test/Öl-Rest/004_cam1", "--json").json
    assert told["state"] == "unusable"
    assert '"  Öl-Rest: <type>" under "types:"' in told["reason"]
    assert str(factory / "expertad-folder.yaml") in told["reason"]
    assert all(name in told["reason"] for name in COARSE_TYPES)

    rows = rows_of(tmp_path / "W")
    assert {row["category"] for row in rows.values()} == {"Gewinde"}
    assert {row["coarse_type"] for row in rows.values()} == {None, "Hole"}
    for name, row in rows.items():
        assert row["view"] == "1"
        assert row["part"] == name.removesuffix("_cam1")
        if row["anomalous"]:
            (path,) = row["images"]
            mask = factory / path.replace("/test/", "/ground_truth/").replace(".png", "_mask.png")
            assert row["location"] == grid.locate(np.asarray(Image.open(mask))).location
    card = (tmp_path / "W" / "dataset" / "README.md").read_text(encoding="utf-8")
    assert "Kugelgewinde der Linie 4" in card
    assert "© Werk Süd, internal use" in card
    assert str(tmp_path) not in card

    # The line that the reason asks for, added: both photographs are used from now on, and nothing else is asked again.
    mapping = factory / "expertad-folder.yaml"
    mapping.write_text(MAPPING.replace("types:\n", "types:\n  Öl-Rest: Contamination\n"), encoding="utf-8")
    second = expertad(*words)
    assert second.code == 0, second.err
    assert second.json["unusable"] == 0
    assert second.json["published"] >= first.json["published"]
    assert "Contamination" in {row["coarse_type"] for row in rows_of(tmp_path / "W").values()}
    asked = second.json["selected"] - first.json["selected"]
    assert second.json["teacher"]["calls"] <= 2 * (asked + 2)


def test_a_mapping_that_is_wrong_is_one_line_and_exit_2(expertad: Run, factory: Path):
    mapping = factory / "expertad-folder.yaml"
    mapping.write_text(MAPPING.replace("Hole", "Pit"), encoding="utf-8")
    done = expertad("build", "--source", "folder", "--root", factory, "--workspace", "W", "--json")
    assert done.code == 2
    assert f"{mapping}: " in done.err
    assert "'Pit', for the folder 'Ausbruch', is no coarse type" in done.err
    assert "Traceback" not in done.err
    assert json.dumps(done.json["error"], ensure_ascii=False)


@pytest.mark.slow
def test_a_row_that_cannot_be_published_is_rejected_with_the_reason_and_ends_nothing(
    expertad: Run, factory: Path, tmp_path: Path
):
    # The pattern takes the whole name for the view, and some names are longer than a published view may be.
    mapping = MAPPING.replace("(.+)_cam(\\d)", "(.{3})(.*)")
    (factory / "expertad-folder.yaml").write_text(mapping, encoding="utf-8")
    view = f"_{'links' * 7}"
    folder = factory / "Gewinde"
    for kind, end in (("test/Ausbruch", ""), ("ground_truth/Ausbruch", "_mask"), ("train/good", "")):
        for number in range(3 if kind == "train/good" else 1):
            (folder / kind / f"00{number}_cam1{end}.png").rename(folder / kind / f"00{number}{view}{end}.png")
    words = ("build", "--source", "folder", "--root", factory, "--workspace", tmp_path / "W", "--json")
    for held_out in (0, 0, 0.9):  # the second run finds it as the first left it
        done = expertad(*words, "--held-out", held_out)
        assert done.code == 0, done.err
        assert done.json["ingested"] == done.json["selected"] + done.json["unselected"] + done.json["unusable"]
        name = f"Gewinde/test/Ausbruch/000{view}"
        assert name not in rows_of(tmp_path / "W")
        told = expertad("status", "--workspace", tmp_path / "W", "--sample", name, "--json").json
        if held_out == 0:
            assert done.json["published"] > 2
            assert done.json["pa_sft"] + done.json["sc_grpo"] == done.json["published"] == len(rows_of(tmp_path / "W"))
            assert told["state"] == "rejected"
            assert told["reason"].startswith("record: view: ")
    again = expertad("publish", "--workspace", tmp_path / "W")
    assert again.code == 0, again.err
