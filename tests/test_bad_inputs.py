"""Bad files and bad places, through the shell: one clear reason each, everything accounted for, nothing lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import Ran, Run, command, environment

from expertad.grid import locate
from expertad.images import read_mask


@pytest.fixture
def source(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the drawn set to spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "source"))


def a_defect(root: Path) -> Path:
    """A mask, whose photograph lies beside it."""
    return sorted((root / "realiad_1024").glob("*/NG/*/*/*.png"))[0]


def photo(mask: Path) -> Path:
    return mask.with_suffix(".jpg")


def build(expertad: Run, root: Path, *more: object) -> Ran:
    return expertad(
        "build", "--source", "real-iad", "--root", root, "--workspace", "W", "--held-out", 0, "--json", *more
    )


def sample_of(mask: Path) -> str:
    category, _, code, part, name = mask.parts[-5:]
    view = next(piece for piece in name.split("_") if piece in {"C1", "C2", "C3", "C4", "C5"})
    return f"{category}/NG_{code}/{part}/{view}"


def turned(path: Path) -> None:
    image = Image.open(path)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


def bomb(path: Path) -> None:
    Image.new("L", (10_000, 6_000)).save(path)


def of_another_size(path: Path) -> None:
    Image.open(path).resize((50, 60)).save(path)


SPOILT: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty mask", lambda m: Image.new("L", Image.open(m).size).save(m), "marks nothing"),
    ("mask of another size", of_another_size, "50 ?x ?60"),
    ("mask of no bytes", lambda m: m.write_bytes(b""), "empty|0 bytes"),
    ("missing mask", lambda m: m.unlink(), "mask"),
    ("missing photograph", lambda m: photo(m).unlink(), "missing|not there|no such"),
    ("photograph of no bytes", lambda m: photo(m).write_bytes(b""), "empty|0 bytes"),
    (
        "truncated JPEG",
        lambda m: photo(m).write_bytes(photo(m).read_bytes()[:-900]),
        "cut short|ends|truncated|damaged",
    ),
    ("CMYK JPEG", lambda m: Image.open(photo(m)).convert("CMYK").save(photo(m)), "CMYK"),
    ("EXIF-turned JPEG", lambda m: turned(photo(m)), "EXIF orientation 6"),
    ("60-megapixel bomb", lambda m: bomb(photo(m)), "60|megapixel|pixels"),
    ("text as JPEG", lambda m: photo(m).write_text("hello"), "not a|no "),
]


@pytest.mark.slow
def test_each_bad_file_is_an_unusable_sample_with_its_reason(expertad: Run, source: Path):
    before = build(expertad, source)
    rows = pq.read_table(Path(before.json["dataset"]) / "pa_sft", columns=["images", "anomalous"]).to_pylist()
    rows += pq.read_table(Path(before.json["dataset"]) / "sc_grpo", columns=["images", "anomalous"]).to_pylist()
    photos = sorted(row["images"][-1] for row in rows if row["anomalous"])[: len(SPOILT)]
    masks = [(source / "realiad_1024" / name).with_suffix(".png") for name in photos]
    total = sum(
        len(split)
        for path in (source / "realiad_jsons").glob("*.json")
        for split in (json.loads(path.read_text())[name] for name in ("train", "test"))
    )
    for mask, (_, spoil, _) in zip(masks, SPOILT, strict=True):
        spoil(mask)
    done = build(expertad, source)
    assert done.code == 0, done.err
    assert done.json["ingested"] == total
    assert done.json["published"] > 10
    told = [expertad("status", "--workspace", "W", "--sample", sample_of(mask), "--json").json for mask in masks]
    for mask, (name, _, words), sample in zip(masks, SPOILT, told, strict=True):
        assert sample["state"] == "unusable", (name, sample)
        assert re.search(words, sample["reason"]), (name, sample["reason"])
        assert mask.stem in sample["reason"]
    assert done.json["unusable"] == len(SPOILT)
    card = (Path(done.json["dataset"]) / "README.md").read_text()
    assert str(source) not in card


@pytest.mark.slow
def test_a_file_that_is_put_right_is_used_again(expertad: Run, source: Path):
    path = photo(a_defect(source))
    data = path.read_bytes()
    path.unlink()
    assert build(expertad, source).json["unusable"] == 1
    path.write_bytes(data)
    assert build(expertad, source).json["unusable"] == 0


@pytest.mark.parametrize("mode", ["RGB", "1", "I;16", "P"])
def test_masks_of_other_modes_mean_the_same(source: Path, mode: str):
    mask = a_defect(source)
    plain = np.asarray(Image.open(mask).convert("L")) > 127
    if mode == "RGB":
        Image.fromarray(np.dstack([plain * 0, plain * 200, plain * 0]).astype(np.uint8)).save(mask)
    elif mode == "1":
        Image.fromarray(plain).save(mask)
    elif mode == "I;16":
        Image.fromarray((plain * 40_000).astype(np.uint16)).save(mask)
    else:
        paletted = Image.fromarray(plain.astype(np.uint8), mode="P")
        paletted.putpalette([0, 0, 0, 255, 255, 255])
        paletted.save(mask)
    assert locate(read_mask(mask)) == locate(plain)


@pytest.mark.slow
def test_one_bad_category_does_not_stop_the_others(expertad: Run, source: Path):
    bad = sorted((source / "realiad_jsons").glob("*.json"))[0]
    bad.write_text(bad.read_text()[:-200])
    done = build(expertad, source)
    assert done.code == 0, done.err
    assert f"category {bad.stem} could not be read" in done.err
    assert done.json["published"] > 10


def test_bad_entries_are_unusable_with_their_reasons(expertad: Run, source: Path):
    path = sorted((source / "realiad_jsons").glob("*.json"))[0]
    data = json.loads(path.read_text())
    spoilt = (
        {"image_path": "../../../../etc/passwd"},
        {"image_path": "/etc/passwd"},
        {"anomaly_class": "XX"},
        {"image_path": 7},
    )
    for row, change in zip(data["test"], spoilt, strict=False):
        row |= change
    data["test"].append({"category": "x"})
    path.write_text(json.dumps(data))
    done = build(expertad, source, "--limit", 4)
    assert done.code == 0, done.err
    assert done.json["unusable"] == 5
    reasons = expertad("status", "--workspace", "W", "--json").json["reasons"]["unusable"]
    assert reasons.pop("malformed entry") == 2
    assert reasons.pop("unknown class") == 1
    assert sum(reasons.values()) == 2
    assert all(re.search("leaves|outside|absolute", reason) for reason in reasons)


def test_a_symlink_loop_ends(expertad: Run, source: Path):
    path = photo(a_defect(source))
    path.unlink()
    path.symlink_to(path.name)
    done = build(expertad, source, "--limit", 4)
    assert done.code == 0, done.err
    assert done.json["unusable"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source", "real-iad", "--root", "no/such/folder"), "does not exist"),
        (("--source", "real-iad"), "needs --root"),
        (("--source", "folder", "--root", "."), "train/good"),
        (("--grid", 9), "grid: .*less than or equal to 5"),
        (("--config", "none.toml"), "no configuration file"),
        (("--limit", "x"), "not a valid integer"),
        (("--source", "real-iad", "--root", "."), "realiad"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(expertad: Run, words: tuple, message: str):
    done = expertad("build", "--workspace", "W", *words, "--json")
    assert done.code == 2
    assert re.search(message, done.err), done.err
    assert "Traceback" not in done.err
    if "Usage" not in done.err:
        assert done.json["ingested"] == 0
        assert done.json["error"]


def test_paths_with_spaces_and_other_letters(expertad: Run, source: Path, tmp_path: Path):
    there = tmp_path / "Prüf teile 検査"
    source.rename(there)
    done = build(expertad, there, "--limit", 6)
    assert done.code == 0, done.err
    assert done.json["published"] > 0


def test_an_unwritable_folder_says_so(tmp_path: Path, drawn: Path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    program = (
        "import os\n"
        "from expertad import build, builder, cli, doctor, inspect\n"  # an unprivileged user may not read them later
        "if os.getuid() == 0: os.setgid(65534), os.setuid(65534)\n"
        "cli.main()\n"
    )
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", program, "build", "--workspace", str(folder / "W"), "--json"],
        cwd="/", env=environment(HOME=str(folder)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "--workspace" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["ingested"] == 0


@pytest.mark.slow
def test_a_full_disk_stops_with_3_and_a_later_run_goes_on(expertad: Run, source: Path, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        try:
            words = ("build", "--source", "real-iad", "--root", source, "--workspace", disk / "W", "--json")
            done = expertad(*words)
            assert done.code == 3, done.err
            assert "space" in done.err
            assert "Traceback" not in done.err
            subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
            again = expertad(*words)
            assert again.code == 0, again.err
            assert again.json["published"] > 0
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    else:
        # Without the right to mount, a limit on file sizes stands for the disk: writes fail in the same places.
        words = command("build", "--source", "real-iad", "--root", source, "--workspace", tmp_path / "W", "--json")
        limited = subprocess.run(
            ["bash", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "bash", *words],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert limited.returncode in (2, 3), limited.stderr
        assert "Traceback" not in limited.stderr
        assert expertad(*words[3:]).code == 0


@pytest.mark.slow
def test_a_second_builder_is_told_who_holds_the_workspace(expertad: Run, source: Path, tmp_path: Path):
    words = command("build", "--source", "real-iad", "--root", source, "--workspace", tmp_path / "W", "--json")
    first = subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    while not (tmp_path / "W" / "ledger.sqlite3").exists():
        time.sleep(0.02)
    first.send_signal(signal.SIGSTOP)
    second = expertad(*words[3:])
    first.send_signal(signal.SIGCONT)
    out, _ = first.communicate()
    assert second.code == 2
    assert f"process {first.pid} on {os.uname().nodename}" in second.err
    assert first.returncode == 0
    assert json.loads(out.splitlines()[-1])["published"] > 0


@pytest.mark.slow
def test_an_interrupt_ends_with_130_and_a_later_run_goes_on(expertad: Run, source: Path, tmp_path: Path):
    words = command("build", "--source", "real-iad", "--root", source, "--workspace", tmp_path / "W", "--json")
    first = subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "W" / "ledger.sqlite3").exists():
        time.sleep(0.02)
    time.sleep(0.5)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "ingested" in json.loads(out.splitlines()[-1])
    assert expertad(*words[3:]).code == 0
