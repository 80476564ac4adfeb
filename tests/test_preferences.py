"""People's work as preference data: no pair is made up, nobody is named, and TRL learns from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset
from support import Ran, Run

from expertad.config import load
from expertad.ledger import Ledger, sqlite_url
from expertad.pattern import parse
from expertad.preferences import publish
from expertad.record import ONE_SHOT_PROMPT, RecordError, parts, validate
from expertad.verdict import Verdict

PEOPLE = ("Annegret Oberhuber", "bob@factory.example")


class Desk:
    """A workspace of real photographs, and people who judge its drafts by files."""

    def __init__(self, expertad: Run, root: Path, folder: Path) -> None:
        self._expertad, self._root = expertad, root
        self.workspace = folder / "W"

    def build(self, *more: object) -> Ran:
        done = self._expertad(
            "build", "--source", "real-iad", "--root", self._root, "--workspace", self.workspace,
            "--limit", 8, "--review", "file", "--json", *more,
        )  # fmt: skip
        assert done.code == 0, done.err
        return done

    def publish(self, *more: object) -> Ran:
        return self._expertad("publish", "--preferences", "--workspace", self.workspace, *more)

    @property
    def pending(self) -> list[dict[str, Any]]:
        lines = (self.workspace / "review" / "pending.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def decide(self, row: dict[str, Any], decision: str, who: str = PEOPLE[0], **fields: object) -> None:
        with (self.workspace / "review" / "verdicts.jsonl").open("a") as file:
            file.write(json.dumps({**row, "decision": decision, "annotator": who, **fields}) + "\n")

    @property
    def rows(self) -> list[dict[str, Any]]:
        return json.loads((self.workspace / "preferences" / "preferences.json").read_text())

    def edit(self, row: dict[str, Any], addition: str, **fields: object) -> str:
        """Accept a draft with a sentence more; returns the corrected text."""
        think = f"{row['think']} {addition}"
        self.decide(row, "edit", think=think, **fields)
        return think


@pytest.fixture
def desk(expertad: Run, bsdata: Path, tmp_path: Path) -> Desk:
    made = Desk(expertad, bsdata, tmp_path)
    made.build()
    return made


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_edits_and_rejections_become_pairs_and_nobody_is_named(desk: Desk, bsdata: Path):
    nothing = desk.publish()
    assert nothing.code == 2
    assert "people have edited or rejected nothing that gives a pair" in nothing.err

    edited, refused, accepted, unsettled, *_ = [row for row in desk.pending if row["location"] is not None]
    normal = next(row for row in desk.pending if row["location"] is None)
    term = next(name for name in edited["fine_types"] if name != edited["fine_type"])
    corrected = edited["think"].replace(edited["fine_type"], term) + " This is certain."
    desk.decide(edited, "edit", think=corrected, fine_type=term, reasons=["wrong_type", f"as {PEOPLE[1]} said"])
    desk.decide(refused, "reject", PEOPLE[1], reasons=["inaccurate"], note="Annegret says no")
    desk.decide(accepted, "accept")
    desk.decide(unsettled, "edit", think=unsettled["think"] + " A.")
    desk.decide(unsettled, "reject", PEOPLE[1])
    kept = desk.edit(normal, "This is certain.")
    desk.decide(next(row for row in desk.pending if row not in (edited, normal)), "reject", role="calibration")
    desk.build()
    done = desk.publish()
    assert done.code == 0, done.err
    assert "2 pairs, 2 of edited drafts and 0 of rejected ones" in done.out
    assert "1 drafts gave no pair: rejected, and no text of the same sample was accepted" in done.out
    assert "1 drafts gave no pair: people have yet to agree" in done.out

    rows = {row["id"]: row for row in desk.rows}
    assert rows.keys() == {edited["sample_id"], normal["sample_id"]}
    assert [row["id"] for row in desk.rows] == sorted(rows)
    row = rows[edited["sample_id"]]
    chosen, rejected = (parse(row[name][0]["content"]) for name in ("chosen", "rejected"))
    assert (chosen.think, chosen.type, chosen.location) == (corrected, term, edited["location"])
    assert (rejected.think, rejected.type) == (edited["think"], edited["fine_type"])
    assert row["prompt"] == [{"role": "user", "content": [
        {"type": "image"}, {"type": "text", "text": "\nAre there any defects in the query image?"},
    ]}]  # fmt: skip
    assert (row["kind"], row["reasons"]) == ("edited", ["other", "wrong_type"])
    assert row["rejected_revision"] == row["chosen_revision"] == edited["revision"]
    assert Path(edited["query"]) == bsdata / "realiad_1024" / row["images"][0]
    assert row["image_sha256"] == [edited["query_sha256"]]
    assert parse(rows[normal["sample_id"]]["chosen"][0]["content"]).think == kept

    folder = desk.workspace / "preferences"
    written = bytes_of(folder)
    assert written.keys() == {"README.md", "digest.json", "preferences.json"}
    for word in ("Annegret", "Oberhuber", "bob@", "factory.example", str(desk.workspace), str(bsdata)):
        assert not [name for name, content in written.items() if word.encode() in content], word
    card = written["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["configs"][0]["data_files"][0]["path"] == "preferences.json"
    assert "| rejected, and no text of the same sample was accepted | 1 |" in card
    assert json.loads(written["digest.json"])["digest"] in card
    assert "(unchanged)" in desk.publish().out
    elsewhere = desk.workspace.parent / "elsewhere"
    assert desk.publish("--out", elsewhere).code == 0
    assert bytes_of(elsewhere) == written
    loaded = load_dataset(str(folder), split="train", cache_dir=str(desk.workspace.parent / "cache"))
    assert loaded["chosen"][0] == desk.rows[0]["chosen"]


@pytest.mark.slow
def test_a_rejected_draft_is_paired_with_a_text_that_was_accepted_later_and_only_in_training_parts(desk: Desk):
    """The draft that was refused is of an earlier teacher; here its text is put into the ledger by hand."""
    first, second, gone, moved = [row for row in desk.pending if row["location"] is not None][:4]
    ledger = Ledger(sqlite_url(desk.workspace))
    try:
        held_out = [name for name, standing in ledger.standings().items() if standing.partition == "held_out"]
        old = earlier(ledger, first, "It is plain to see.")
        other = earlier(ledger, moved, "It is plain to see.", question="another question")
        ledger.append_verdicts(
            [
                Verdict(first["sample_id"], old, "ann", "reject", ("inaccurate",)),
                Verdict(gone["sample_id"], "f" * 32, "ann", "reject"),
                Verdict(moved["sample_id"], other, "ann", "reject"),
                Verdict(held_out[0], "e" * 32, "ann", "reject"),
            ]
        )
    finally:
        ledger.close()
    desk.build()
    assert "rejected, and no text of the same sample was accepted" in desk.publish().err
    desk.decide(first, "accept")
    better = desk.edit(second, "This is certain.")
    desk.build()
    done = desk.publish()
    assert done.code == 0, done.err
    assert "2 pairs, 1 of edited drafts and 1 of rejected ones" in done.out
    for reason in ("what was shown is not kept", "place or prompt have changed since", "is not selected by these"):
        assert re.search(rf"^1 drafts gave no pair: .*{reason}", done.out, re.MULTILINE), done.out
    rows = {row["id"]: row for row in desk.rows}
    row = rows[first["sample_id"]]
    assert (row["kind"], row["rejected_revision"], row["chosen_revision"]) == ("rejected", old, first["revision"])
    assert parse(row["chosen"][0]["content"]).think == first["think"]
    assert parse(row["rejected"][0]["content"]).think == first["think"] + " It is plain to see."
    assert parse(rows[second["sample_id"]]["chosen"][0]["content"]).think == better
    assert held_out[0] not in rows
    assert {row["config"] for row in rows.values()} <= {"pa_sft", "sc_grpo"}


def earlier(ledger: Ledger, row: dict[str, Any], addition: str, **changes: object) -> str:
    """Put a text that was shown once into the ledger, and return its revision."""
    from hashlib import blake2b

    import orjson

    keys = (
        "sample_id", "query_sha256", "reference_sha256", "coarse_type", "location", "cells", "boxes", "question",
        "answer", "shot", "description", "fine_type",
    )  # fmt: skip
    content = {key: row[key] for key in keys} | {"think": f"{row['think']} {addition}"} | changes
    digest = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    ledger.store_shown({digest: content})
    return digest


@pytest.mark.slow
def test_a_folder_with_something_else_in_it_is_left_alone(desk: Desk):
    desk.edit(desk.pending[0], "This is certain.")
    desk.build()
    before = bytes_of(desk.workspace / "dataset")
    assert "dataset_info.json" in before
    refused = desk.publish("--out", desk.workspace / "dataset")
    assert refused.code == 2
    assert "holds other files than published preferences" in refused.err
    assert bytes_of(desk.workspace / "dataset") == before
    assert desk.publish().code == 0
    other = desk._expertad("publish", "--workspace", desk.workspace, "--out", desk.workspace / "preferences")
    assert other.code == 2
    assert "holds other files than a published data set" in other.err
    for words in (["--variant", "answer-only"], ["--push-to-hub", "me/x"]):
        assert "leave out --variant and --push-to-hub" in desk.publish(*words).err


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"config": "held_out"}, "config"),
        ({"images": ["/data/a.jpg"]}, r"images\[0\]"),
        ({"reasons": ["as bob said"]}, r"reasons\[0\]"),
        ({"chosen": [{"role": "assistant", "content": "yes"}]}, r"chosen\[0\]\.content"),
        ({"rejected": [{"role": "assistant", "content": "<think>x</think><answer>No</answer>"}]}, "rejected"),
        ({"prompt": [{"role": "user", "content": parts(ONE_SHOT_PROMPT)}]}, "prompt"),
        ({"shot": 1}, "images|prompt|image_sha256"),
        ({"annotator": "bob"}, "annotator"),
    ],
)
def test_rows_that_must_not_be_published_are_refused(change: dict[str, Any], where: str):
    reply = "<think>x</think><location>top</location><type>scratch</type><answer>Yes</answer>"
    row = {
        "id": "c/NG_HS/S1/C1", "images": ["c/a.jpg"], "image_sha256": ["0" * 64], "category": "c", "part": "c/NG_HS/S1",
        "config": "pa_sft", "anomalous": True, "shot": 0, "kind": "edited", "reasons": [],
        "chosen_revision": "a" * 32, "rejected_revision": "a" * 32,
        "prompt": [{"role": "user", "content": [
            {"type": "image"}, {"type": "text", "text": "\nAre there any defects in the query image?"},
        ]}],
        "chosen": [{"role": "assistant", "content": reply}],
        "rejected": [{"role": "assistant", "content": reply.replace("top", "left")}],
    }  # fmt: skip
    validate(row, "preferences")
    with pytest.raises(RecordError, match=where):
        validate(row | change, "preferences")


# ------------------------------------------------------------------------------------------------ TRL


@pytest.mark.training
@pytest.mark.parametrize(("arch", "one_shot"), [("qwen2_5_vl", "1"), ("llava_onevision", "0")])
def test_trl_learns_from_the_pairs_as_the_card_says(
    desk: Desk, bsdata: Path, tmp_path: Path, tiny_of: Callable[[str, list[str]], Path], arch: str, one_shot: str,
):  # fmt: skip
    desk.build("--one-shot", one_shot)
    for row in desk.pending[:4]:
        desk.edit(row, "This is certain.")
    desk.build("--one-shot", one_shot)
    list(publish(load({"workspace": desk.workspace}), None))
    card = (desk.workspace / "preferences" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    code = code.replace("path/to/this/folder", str(desk.workspace / "preferences"))
    code = code.replace("path/to/realiad_1024", str(bsdata / "realiad_1024"))
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the card's own words
    rows = names["rows"]
    assert len(rows) == 4
    assert {len(row["images"]) for row in rows} == {int(one_shot) + 1}

    folder = tiny_of(arch, [row[name][0]["content"] for row in desk.rows for name in ("chosen", "rejected")])
    from transformers import AutoProcessor
    from trl import DPOConfig, DPOTrainer

    processor = AutoProcessor.from_pretrained(folder)
    arguments = DPOConfig(
        output_dir=str(tmp_path / "run"), max_steps=1, per_device_train_batch_size=2, max_length=None, use_cpu=True,
        report_to="none", save_strategy="no", bf16=False,
    )  # fmt: skip
    trainer = DPOTrainer(model=str(folder), args=arguments, train_dataset=rows, processing_class=processor)
    batch = next(iter(trainer.get_train_dataloader()))
    texts = processor.tokenizer.batch_decode(batch["input_ids"])
    assert len(texts) == 4  # two chosen, two rejected
    assert sum("This is certain." in text for text in texts) == 2
    assert all(text.count("Are there any defects in the query image?") == 1 for text in texts)
    assert trainer.train().training_loss == pytest.approx(0.693, abs=0.01)  # both replies are new to the model


@pytest.fixture
def tiny_of(tmp_path: Path) -> Callable[[str, list[str]], Path]:
    """A function: architecture and texts -> folder of a tiny model whose tokenizer has learnt them."""
    from training.compat import import_torchvision

    import_torchvision()
    from training import tiny

    def folder(arch: str, texts: list[str]) -> Path:
        model, processor = tiny.build(arch, texts)
        model.save_pretrained(tmp_path / arch)
        processor.save_pretrained(tmp_path / arch)
        return tmp_path / arch

    return folder
