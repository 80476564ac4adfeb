from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from expertad.errors import RecordError
from expertad.pattern import parse
from expertad.record import (
    KINDS,
    ONE_SHOT_PROMPT,
    PROVENANCE_KEYS,
    QUESTION,
    published_provenance,
    schema_dir,
    solution,
    to_row,
    validate,
)
from tests.make_records import record

COMMON = (
    "id images image_sha256 category part view anomalous coarse_type fine_type location cells boxes shot reviewed "
    "revision provenance"
).split()


@pytest.fixture
def normal(tmp_path: Path) -> dict[str, Any]:
    return to_row(record(tmp_path, 1), "pa_sft")


@pytest.fixture
def anomalous(tmp_path: Path) -> dict[str, Any]:
    return to_row(record(tmp_path, 2, code="HS"), "pa_sft")


def test_every_schema_is_draft_2020_12_and_stands_alone() -> None:
    files = sorted(path.name for path in schema_dir().glob("*.json"))
    assert files == sorted(f"{kind}.schema.json" for kind in KINDS)
    for name in files:
        text = (schema_dir() / name).read_text(encoding="utf-8")
        schema = json.loads(text)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)
        assert '"$ref"' not in text


def test_the_schemas_describe_a_shared_column_alike() -> None:
    rows = [
        json.loads((schema_dir() / f"{kind}.schema.json").read_text(encoding="utf-8"))["properties"]
        for kind in ("pa_sft", "pa_sft_answer_only", "sc_grpo", "held_out")
    ]
    written_later = {"fine_type", "reviewed", "revision"}
    for column in COMMON:
        compared = rows[:3] if column in written_later else rows
        assert all(row[column] == compared[0][column] for row in compared), column
    assert rows[0].keys() == rows[1].keys()


def test_columns_of_each_config(tmp_path: Path) -> None:
    made = record(tmp_path, 2, code="HS")
    assert list(to_row(made, "pa_sft")) == [*COMMON, "messages"]
    assert list(to_row(made, "sc_grpo")) == [*COMMON, "problem", "solution"]
    assert list(to_row(made, "held_out")) == COMMON


def test_anomalous_row_says_the_same_in_its_columns_and_its_answer(anomalous: dict[str, Any]) -> None:
    question, answer = anomalous["messages"]
    assert question == {"role": "user", "content": "<image>\nAre there any defects in the query image?"}
    assert answer["role"] == "assistant"
    said = parse(answer["content"])
    assert (said.kind, said.location, said.type) == ("A", anomalous["location"], anomalous["fine_type"])
    assert anomalous["location"] == "top left"
    assert anomalous["cells"] == [0]
    assert anomalous["boxes"] == [[3, 2, 5, 6]]
    validate(anomalous, "pa_sft")


def test_normal_row_has_no_location_or_type(normal: dict[str, Any]) -> None:
    assert parse(normal["messages"][1]["content"]).kind == "N"
    empty = ("coarse_type", "fine_type", "location", "cells", "boxes")
    assert [normal[column] for column in empty] == [None, None, None, [], []]
    validate(normal, "pa_sft")


def test_one_shot_row_shows_the_reference_before_the_query(tmp_path: Path) -> None:
    made = record(tmp_path, 3, code="AK", shot=1)
    row = to_row(made, "pa_sft")
    assert row["images"] == [
        "audiojack/OK/S9000/audiojack_9000_C1.jpg",
        "audiojack/NG/AK/S0003/audiojack_0003_C1.jpg",
    ]
    assert row["messages"][0]["content"] == ONE_SHOT_PROMPT
    assert ONE_SHOT_PROMPT.count("<image>") == 2
    validate(row, "pa_sft")
    grpo = to_row(made, "sc_grpo")
    assert grpo["problem"] == QUESTION
    validate(grpo, "sc_grpo")


def test_solution_is_the_release_s(tmp_path: Path) -> None:
    assert solution(record(tmp_path, 1)) == "<answer>No</answer>"
    made = record(tmp_path, 2, code="HS")
    assert solution(made) == f"<location>top left</location><type>{made.fine_type}</type><answer>Yes</answer>"


def test_answer_only_row_has_its_own_schema(tmp_path: Path) -> None:
    row = to_row(record(tmp_path, 2, code="HS"), "pa_sft", reasoning=False)
    assert row["messages"][1]["content"] == "<answer>Yes</answer>"
    validate(row, "pa_sft_answer_only")
    with pytest.raises(RecordError, match=r"messages\[1\]\.content"):
        validate(row, "pa_sft")


BROKEN = [
    ("images", ["/data/real_iad/a.jpg"], r"images\[0\]"),
    ("images", ["audiojack/../secret.jpg"], r"images\[0\]"),
    ("images", ["./a.jpg"], r"images\[0\]"),
    ("images", ["C:/a.jpg"], r"images\[0\]"),
    ("images", ["audiojack\\a.jpg"], r"images\[0\]"),
    ("images", ["a.jpg\n"], r"images\[0\]"),
    ("images", ["a.jpg", "b.jpg"], "images"),
    ("images", [], "images"),
    ("image_sha256", ["ABC"], r"image_sha256\[0\]"),
    ("boxes", [[1, 2, -3, 4]], r"boxes\[0\]\[2\]"),
    ("boxes", [[1, 2, 3]], r"boxes\[0\]"),
    ("boxes", [[1.5, 2, 3, 4]], r"boxes\[0\]\[0\]"),
    ("boxes", [], "boxes"),
    ("cells", [], "cells"),
    ("cells", [0, 0], "cells"),
    ("cells", [25], r"cells\[0\]"),
    ("location", None, "location"),
    ("location", "somewhere on the object", "location"),
    ("coarse_type", None, "coarse_type"),
    ("coarse_type", "HS", "coarse_type"),
    ("fine_type", None, "fine_type"),
    ("fine_type", "scratch\n", "fine_type"),
    ("reviewed", "robot", "reviewed"),
    ("revision", None, "revision"),
    ("view", "a/b", "view"),
    ("provenance", {}, "provenance"),
    ("anomalous", False, "coarse_type|messages|cells|boxes|location|fine_type"),
    ("shot", 1, "images|messages"),
    ("think", "a column of its own", "row"),
]


@pytest.mark.parametrize(("column", "value", "where"), BROKEN, ids=[f"{c}={v!r}" for c, v, _ in BROKEN])
def test_a_broken_row_is_refused_with_its_id_and_place(
    anomalous: dict[str, Any], column: str, value: object, where: str
) -> None:
    with pytest.raises(RecordError, match=rf"^audiojack/NG_HS/S0002/C1: (?:{where})") as caught:
        validate({**anomalous, column: value}, "pa_sft")
    assert "schema: pa_sft" in str(caught.value)


@pytest.mark.parametrize("column", COMMON)
def test_no_column_may_be_missing(anomalous: dict[str, Any], column: str) -> None:
    del anomalous[column]
    with pytest.raises(RecordError, match=column):
        validate(anomalous, "pa_sft")


@pytest.mark.parametrize(
    "content",
    [
        "<answer>Yes</answer>",
        "<think>x</think><answer>No</answer>",
        "<think> </think><location>top</location><type>dent</type><answer>Yes</answer>",
        "<think>x<think></think><location>top</location><type>dent</type><answer>Yes</answer>",
        "<think>x</think><type>dent</type><location>top</location><answer>Yes</answer>",
        "<think>x</think><location>here</location><type>dent</type><answer>Yes</answer>",
        "<think>x</think><location>top</location><type>dent</type><answer>Yes</answer> done",
    ],
)
def test_an_answer_off_its_pattern_is_refused(anomalous: dict[str, Any], content: str) -> None:
    anomalous["messages"][1]["content"] = content
    with pytest.raises(RecordError, match=r"messages\[1\]\.content"):
        validate(anomalous, "pa_sft")


def test_a_normal_row_with_a_defect_s_columns_is_refused(normal: dict[str, Any], anomalous: dict[str, Any]) -> None:
    for column in ("coarse_type", "fine_type", "location", "cells", "boxes"):
        with pytest.raises(RecordError, match=column):
            validate({**normal, column: anomalous[column]}, "pa_sft")


def test_held_out_rows_carry_truth_only(tmp_path: Path) -> None:
    row = to_row(record(tmp_path, 2, code="HS"), "held_out")
    for column in ("fine_type", "reviewed", "revision"):
        assert row[column] is not None
        with pytest.raises(RecordError, match=column):
            validate({**row, "fine_type": None, "reviewed": None, "revision": None, column: row[column]}, "held_out")


def test_provenance_publishes_known_fields_only() -> None:
    published = dict(published_provenance({"backend": "openai", "host": "gpu-box-7", "asked_at": "2026-01-02"}))
    assert tuple(published) == PROVENANCE_KEYS
    assert published["backend"] == "openai"
    assert published["distill_model"] == ""
    assert "gpu-box-7" not in published.values()


_TEXT = st.text(st.characters(exclude_characters="<", exclude_categories=("Cs",)), min_size=1).filter(str.strip)


@given(think=_TEXT)
def test_whatever_the_writer_writes_the_schema_accepts(tmp_path_factory: pytest.TempPathFactory, think: str) -> None:
    from dataclasses import replace

    made = replace(_made(tmp_path_factory), think=think)
    row = to_row(made, "pa_sft")
    validate(row, "pa_sft")
    assert parse(row["messages"][1]["content"]).think == think.strip()


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "top", "C1", "a" * 64]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    column=st.sampled_from([*COMMON, "messages", "problem", "solution", "extra"]),
    value=_JSON,
    kind=st.sampled_from(["pa_sft", "sc_grpo", "held_out"]),
)
def test_agrees_with_the_stock_validator(
    tmp_path_factory: pytest.TempPathFactory, column: str, value: object, kind: Any
) -> None:
    row = {**to_row(_made(tmp_path_factory), kind), column: value}
    schema = json.loads((schema_dir() / f"{kind}.schema.json").read_text(encoding="utf-8"))
    try:
        validate(row, kind)
        accepted = True
    except RecordError:
        accepted = False
    assert accepted is Draft202012Validator(schema).is_valid(row)


_cache: list[Any] = []


def _made(factory: pytest.TempPathFactory) -> Any:
    if not _cache:
        _cache.append(record(factory.mktemp("record"), 2, code="HS"))
    return _cache[0]
