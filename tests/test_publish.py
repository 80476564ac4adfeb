from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets
import pytest
from jsonschema import Draft202012Validator

from expertad.errors import RecordError, SourceError, WorkspaceError
from expertad.pattern import parse
from expertad.publish import publish, require_disjoint
from expertad.record import CONFIGS, ONE_SHOT_PROMPT, SPLIT_OF, ZERO_SHOT_PROMPT, schema_dir
from expertad.variant import Variant
from tests.make_records import INFO, files, tables


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def made(photos: Path) -> Any:
    return tables(photos)


def load(folder: Path, config: str, cache: Path) -> datasets.Dataset:
    split = SPLIT_OF[config]  # type: ignore[index]
    return datasets.load_dataset(str(folder), config, split=split, cache_dir=str(cache))


def check_against_schema(rows: Any, kind: str) -> int:
    validator = Draft202012Validator(json.loads((schema_dir() / f"{kind}.schema.json").read_text(encoding="utf-8")))
    count = 0
    for row in rows:
        validator.validate(row)
        count += 1
    return count


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_annotations_load_and_every_row_satisfies_its_schema(made: Any, tmp_path: Path) -> None:
    published = publish(made, tmp_path / "out", INFO)
    assert published.counts == {"pa_sft": 12, "sc_grpo": 8, "held_out": 4}
    for config in CONFIGS:
        loaded = load(published.path, config, tmp_path / "cache")
        assert check_against_schema(loaded, config) == published.counts[config]
        assert loaded["id"] == sorted(record.id for record in made[config])
    assert check_against_schema(read_json(published.path / "pa_sft.json"), "llamafactory_pa_sft") == 12
    assert check_against_schema(read_json(published.path / "sc_grpo.json"), "release_sc_grpo") == 8
    assert check_against_schema([read_json(published.path / "dataset_info.json")], "dataset_info") == 1


@pytest.mark.parametrize("with_images", [False, True])
def test_every_config_loads_offline(made: Any, photos: Path, tmp_path: Path, with_images: bool) -> None:
    publish(made, tmp_path / "out", INFO, with_images=with_images, image_root=photos)
    code = (
        "import sys, datasets\n"
        "for config in ('pa_sft', 'sc_grpo', 'held_out'):\n"
        "    for split, rows in datasets.load_dataset(sys.argv[1], config).items():\n"
        "        print(config, split, len(rows), type(rows[0]['images'][0]).__name__)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True, env=environment, check=True
    )
    kind = "JpegImageFile" if with_images else "str"
    assert done.stdout.split("\n")[:3] == [
        f"pa_sft train 12 {kind}",
        f"sc_grpo train 8 {kind}",
        f"held_out test 4 {kind}",
    ]


def test_a_loaded_row_equals_its_record(made: Any, tmp_path: Path) -> None:
    publish(made, tmp_path / "out", INFO)
    by_id = {record.id: record for record in made["pa_sft"]}
    for row in load(tmp_path / "out", "pa_sft", tmp_path / "cache"):
        record = by_id[row["id"]]
        said = parse(row["messages"][1]["content"])
        assert (said.think, said.location, said.type) == (record.think, record.location, record.fine_type)
        assert tuple(tuple(box) for box in row["boxes"]) == record.boxes
        assert tuple(row["cells"]) == record.cells
        assert tuple(row["images"]) == record.images
        assert row["provenance"] == dict(record.provenance)


@pytest.mark.parametrize("shots", [(0,), (0, 1)])
def test_the_card_s_python_snippets_run_as_they_stand(photos: Path, tmp_path: Path, shots: Any) -> None:
    publish(tables(photos, (4, 4, 2), shots=shots), tmp_path / "out", INFO)
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    snippets = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert len(snippets) == 2
    check = """
assert (len(pa_sft), len(sc_grpo), len(held_out)) == (4, 4, 2)
for row in rows:
    content = row["prompt"][0]["content"]
    assert [part["type"] for part in content].count("image") == len(row["images"])
    assert row["problem"] == "Are there any defects in the query image?"
    assert content[-1]["text"].endswith(row["problem"])
    assert row["images"][0].size == (48, 40)
    assert row["solution"].endswith("</answer>")
"""
    code = "\n".join([*snippets, check])
    code = code.replace("path/to/this/folder", str(tmp_path / "out")).replace("path/to/realiad_1024", str(photos))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_images_are_published_untouched_and_decode(made: Any, photos: Path, tmp_path: Path) -> None:
    published = publish(made, tmp_path / "out", INFO, with_images=True, image_root=photos)
    for config in CONFIGS:
        loaded = load(published.path, config, tmp_path / "cache")
        assert len(loaded) == published.counts[config]
        assert loaded[0]["images"][0].size == (48, 40)
        stored = loaded.cast_column("images", datasets.List(datasets.Image(decode=False)))
        for row in stored:
            for image, digest in zip(row["images"], row["image_sha256"], strict=True):
                assert image["bytes"] == (photos / image["path"]).read_bytes()
                assert sha256(image["bytes"]).hexdigest() == digest


def test_one_shot_rows_publish_the_reference_first(photos: Path, tmp_path: Path) -> None:
    made = tables(photos, (4, 4, 2), shots=(1,))
    publish(made, tmp_path / "out", INFO, with_images=True, image_root=photos)
    row = load(tmp_path / "out", "pa_sft", tmp_path / "cache")[0]
    assert len(row["images"]) == 2
    assert row["messages"][0]["content"] == ONE_SHOT_PROMPT
    for item in read_json(tmp_path / "out" / "sc_grpo.json"):
        reference, query = item["image"]
        assert "S9000" in reference
        assert "S9000" not in query


def test_json_files_have_the_released_shapes(made: Any, tmp_path: Path) -> None:
    publish(made, tmp_path / "out", INFO)
    record = min((record for record in made["pa_sft"] if record.anomalous), key=lambda record: record.id)
    row = next(item for item in read_json(tmp_path / "out" / "pa_sft.json") if item["images"] == record.images[0])
    assert row == {
        "images": record.images[0],
        "messages": [
            {"role": "user", "content": ZERO_SHOT_PROMPT},
            {
                "role": "assistant",
                "content": f"<think>{record.think}</think><location>{record.location}</location>"
                f"<type>{record.fine_type}</type><answer>Yes</answer>",
            },
        ],
    }
    assert list(row) == ["images", "messages"]
    normal = next(record for record in made["sc_grpo"] if not record.anomalous)
    assert {
        "id": normal.id,
        "image": normal.images[0],
        "problem": "Are there any defects in the query image?",
        "solution": "<answer>No</answer>",
    } in read_json(tmp_path / "out" / "sc_grpo.json")
    assert read_json(tmp_path / "out" / "dataset_info.json") == {
        "expert_ad_pa_sft": {
            "file_name": "pa_sft.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
    }


def test_a_file_that_mixes_shots_gives_every_row_a_list(photos: Path, tmp_path: Path) -> None:
    publish(tables(photos, (6, 4, 0), shots=(0, 1)), tmp_path / "out", INFO)
    rows = read_json(tmp_path / "out" / "pa_sft.json")
    assert {len(row["images"]) for row in rows if isinstance(row["images"], list)} == {1, 2}
    assert all(isinstance(row["images"], list) for row in rows)
    for name, column in (("pa_sft", "images"), ("sc_grpo", "image")):
        loaded = datasets.load_dataset(
            "json", data_files=str(tmp_path / "out" / f"{name}.json"), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert loaded.features[column] == datasets.List(datasets.Value("string"))


def test_two_publications_of_the_same_rows_are_equal_byte_for_byte(tmp_path: Path) -> None:
    contents = []
    for place in ("here", "elsewhere/deeper"):
        root = tmp_path / place
        made = tables(root / "photos")
        shuffled = {config: records[::-1] for config, records in reversed(made.items())}
        publish(shuffled, root / "out", INFO, with_images=True, image_root=root / "photos")
        contents.append(files(root / "out"))
    assert contents[0] == contents[1]
    assert {"README.md", "digest.json", "dataset_info.json", "pa_sft.json", "sc_grpo.json"} < contents[0].keys()
    assert "pa_sft/train-00000-of-00001.parquet" in contents[0]
    assert not any(str(tmp_path).encode() in content for content in contents[0].values())


def test_what_is_published_already_is_left_alone(made: Any, tmp_path: Path) -> None:
    first = publish(made, tmp_path / "out", INFO)
    inode = (tmp_path / "out").stat().st_ino
    second = publish(made, tmp_path / "out", INFO)
    assert (first.changed, second.changed) == (True, False)
    assert second.digest == first.digest
    assert (tmp_path / "out").stat().st_ino == inode


@pytest.mark.parametrize("damage", ["pa_sft/train-00000-of-00001.parquet", "README.md", "digest.json"])
def test_a_damaged_publication_is_written_again(made: Any, tmp_path: Path, damage: str) -> None:
    publish(made, tmp_path / "out", INFO)
    before = files(tmp_path / "out")
    (tmp_path / "out" / damage).write_bytes(b"{}")
    assert publish(made, tmp_path / "out", INFO).changed
    assert files(tmp_path / "out") == before


def test_a_changed_row_changes_the_digest_and_a_changed_note_only_the_card(made: Any, tmp_path: Path) -> None:
    first = publish(made, tmp_path / "out", INFO)
    noted = publish(made, tmp_path / "out", replace(INFO, notes=("something else",)))
    assert noted.changed
    assert noted.digest == first.digest
    assert "something else" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    made["pa_sft"][0] = replace(made["pa_sft"][0], reviewed="human")
    assert publish(made, tmp_path / "out", INFO).digest != first.digest


def test_many_shards_load_as_one_split_in_order(made: Any, photos: Path, tmp_path: Path) -> None:
    publish(made, tmp_path / "out", INFO, with_images=True, image_root=photos, shard_bytes=1)
    names = sorted(path.name for path in (tmp_path / "out" / "pa_sft").iterdir())
    assert names == [f"train-{index:05d}-of-00012.parquet" for index in range(12)]
    assert load(tmp_path / "out", "pa_sft", tmp_path / "cache")["id"] == sorted(r.id for r in made["pa_sft"])


def test_a_config_without_rows_is_left_out_and_the_others_load(photos: Path, tmp_path: Path) -> None:
    made = tables(photos, (4, 0, 0))
    publish(made, tmp_path / "out", INFO)
    assert len(load(tmp_path / "out", "pa_sft", tmp_path / "cache")) == 4
    assert datasets.get_dataset_config_names(str(tmp_path / "out")) == ["pa_sft"]
    assert read_json(tmp_path / "out" / "sc_grpo.json") == []


def test_a_data_set_without_any_row_is_published(tmp_path: Path) -> None:
    published = publish({"pa_sft": [], "sc_grpo": [], "held_out": []}, tmp_path / "out", INFO)
    assert published.counts == {"pa_sft": 0, "sc_grpo": 0, "held_out": 0}
    assert "Without rows" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_names_outside_ascii_survive(tmp_path: Path) -> None:
    made = tables(tmp_path / "фото", (4, 2, 2), categories=("Zündkerze_零件",))
    out = tmp_path / "出力"
    publish(made, out, INFO, with_images=True, image_root=tmp_path / "фото")
    row = load(out, "pa_sft", tmp_path / "cache")[0]
    assert row["category"] == "Zündkerze_零件"
    assert row["images"][0].size == (48, 40)
    text = (out / "pa_sft.json").read_text(encoding="utf-8")
    assert "Zündkerze_零件" in text
    assert "µm" in text


def test_a_part_in_two_configs_stops_everything(made: Any, tmp_path: Path) -> None:
    taken = made["pa_sft"][0]
    for config in ("sc_grpo", "held_out"):
        mixed = {**made, config: [*made[config], replace(taken, id=f"{taken.part}/C2", view="C2")]}
        with pytest.raises(RecordError, match=f"{taken.part}: the part is in pa_sft and in {config}"):
            publish(mixed, tmp_path / "out", INFO)
    assert not (tmp_path / "out").exists()


def test_an_id_twice_or_a_reference_that_is_a_row_is_refused(made: Any) -> None:
    with pytest.raises(RecordError, match="occurs twice"):
        require_disjoint({**made, "pa_sft": [*made["pa_sft"], made["pa_sft"][0]]})
    pool = replace(made["pa_sft"][0], id="audiojack/OK/S9000/C1", part="audiojack/OK/S9000")
    with pytest.raises(RecordError, match="its reference audiojack/OK/S9000/C1 is itself a row"):
        require_disjoint({**made, "held_out": [pool]})


def test_a_row_off_its_schema_leaves_the_old_data_and_no_rubbish(made: Any, tmp_path: Path) -> None:
    publish(made, tmp_path / "out", INFO)
    before = files(tmp_path / "out")
    made["sc_grpo"][3] = replace(made["sc_grpo"][3], images=("/abs.jpg",))
    with pytest.raises(RecordError, match=r"images\[0\]"):
        publish(made, tmp_path / "out", INFO)
    assert files(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_an_image_that_is_not_what_was_hashed_is_never_published(
    made: Any, photos: Path, tmp_path: Path, change: str
) -> None:
    path = photos / made["pa_sft"][3].images[0]
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SourceError, match=made["pa_sft"][3].images[0]):
        publish(made, tmp_path / "out", INFO, with_images=True, image_root=photos)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_not_replaced(made: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(WorkspaceError, match="holds other files"):
        publish(made, tmp_path / "home", INFO)
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="is a file"):
        publish(made, tmp_path / "file", INFO)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"


def test_answer_only_variant(made: Any, tmp_path: Path) -> None:
    variant = Variant.parse("answer-only")
    publish(made, tmp_path / "out", INFO, variant=variant)
    rows = load(tmp_path / "out", "pa_sft", tmp_path / "cache")
    assert check_against_schema(rows, "pa_sft_answer_only") == 12
    assert {row["messages"][1]["content"] for row in rows} == {"<answer>Yes</answer>", "<answer>No</answer>"}
    for row in read_json(tmp_path / "out" / "pa_sft.json"):
        assert "think" not in row["messages"][1]["content"]


def test_coarse_type_variant(made: Any, tmp_path: Path) -> None:
    publish(made, tmp_path / "out", INFO, variant=Variant.parse("coarse-type"))
    for config in ("pa_sft", "sc_grpo"):
        rows = load(tmp_path / "out", config, tmp_path / "cache")
        assert check_against_schema(rows, config) == len(made[config])
        for row in rows:
            assert row["fine_type"] == row["coarse_type"]
            text = row["messages"][1]["content"] if config == "pa_sft" else row["solution"]
            assert (f"<type>{row['coarse_type']}</type>" in text) is row["anomalous"]


def test_fraction_variant_cuts_pa_sft_alone(made: Any, tmp_path: Path) -> None:
    published = publish(made, tmp_path / "out", INFO, variant=Variant.parse("40%"))
    assert published.counts == {"pa_sft": 4, "sc_grpo": 8, "held_out": 4}


# -- a publication is replaced as a whole

WRITER = """
    import os, sys
    from pathlib import Path
    from expertad.publish import publish
    from tests.make_records import INFO, tables
    root = Path(sys.argv[1])
    made = tables(root / "photos", (int(sys.argv[2]), 8, 4))
    print("ready", flush=True)
    sys.stdin.readline()
    publish(made, root / "out", INFO, with_images=True, image_root=root / "photos")
    print("done", flush=True)
"""


def start_writer(root: Path, rows: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(root), str(rows)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def is_whole(folder: Path) -> bool:
    stamp = read_json(folder / "digest.json")
    return {name: len(content) for name, content in files(folder).items() if name != "digest.json"} == stamp["files"]


def test_damage_that_keeps_a_file_s_size_is_mended(made: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(made, out, INFO)
    before = files(out)
    damaged = (out / "pa_sft.json").read_bytes().replace(b"think", b"thinx")
    (out / "pa_sft.json").write_bytes(damaged)
    assert publish(made, out, INFO).changed
    assert files(out) == before
    assert not publish(made, out, INFO, verify=True).changed


def test_a_reader_sees_the_old_or_the_new_data_set_and_never_less(made: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(made, out, INFO)
    names = {path.split("/")[0] for path in files(out)}
    faults: list[str] = []
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.0005):
            folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
            try:
                listed = set(os.listdir(folder))
                # Only what the name stands for counts: a replaced version may be half removed already.
                if os.fstat(folder).st_ino == out.stat().st_ino and listed != names:
                    faults.append(f"half a data set: {sorted(listed)}")
                seen.add(read_json(out / "digest.json")["digest"])
            except FileNotFoundError as error:
                faults.append(f"missing: {error.filename}")
            finally:
                os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    published = set()
    for note in ("a", "b", "c", "d"):
        made["pa_sft"][0] = replace(
            made["pa_sft"][0], think=f"I scan it all. Even, within the standard. Harmless {note}."
        )
        published.add(publish(made, out, INFO).digest)
    done.set()
    reader.join()
    assert not faults
    assert seen & published


@pytest.mark.slow
def test_a_writer_killed_anywhere_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    """Each writer is killed a little later than the one before, from its first file to after the swap."""
    out = tmp_path / "out"
    old = publish(tables(tmp_path / "photos"), out, INFO)
    assert is_whole(out)
    killed_before_the_swap = 0
    for step in range(8):
        writer = start_writer(tmp_path, 24)
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
        writer.stdin.write("go\n")
        writer.stdin.flush()
        try:
            writer.wait(timeout=0.03 + 0.2 * step)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        writer.stdin.close()
        writer.stdout.close()
        assert is_whole(out)
        killed_before_the_swap += read_json(out / "digest.json")["digest"] == old.digest
    assert killed_before_the_swap > 0
    made = tables(tmp_path / "photos", (24, 8, 4))
    publish(made, out, INFO, with_images=True, image_root=tmp_path / "photos")
    assert is_whole(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


@pytest.mark.parametrize("limit", [2_000, 20_000])
def test_a_full_disk_is_told_as_such_and_leaves_the_old_data(
    made: Any, photos: Path, tmp_path: Path, limit: int
) -> None:
    """A limit on file size stands for the disk: the write itself fails, in Parquet's writer or in another file."""
    publish(made, tmp_path / "out", INFO)
    before = files(tmp_path / "out")
    code = f"""
        import resource, signal, sys
        from pathlib import Path
        from expertad.errors import DiskFull
        from expertad.publish import publish
        from tests.make_records import INFO, tables
        root = Path({str(tmp_path)!r})
        made = tables(root / "photos")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            publish(made, root / "out", INFO, with_images=True, image_root=root / "photos")
        except DiskFull as error:
            print(error)
            sys.exit(3)
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "make room" in done.stdout
    assert files(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]
