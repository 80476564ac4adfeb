"""Flags over environment over file over defaults; every mistake named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from expertad import config
from expertad.errors import ConfigError


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_drawn_set_is_built_into_workspace():
    settings = config.load()
    assert (settings.source, settings.workspace, settings.review_mode) == ("drawn", Path("workspace"), "auto")
    assert settings.source_root == Path("workspace/drawn")


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "expertad.toml").write_text('grid = 2\nseed = 2\npa_sft = 2\ncategories = ["a"]\n')
    monkeypatch.setenv("EXPERTAD_SEED", "3")
    monkeypatch.setenv("EXPERTAD_PA_SFT", "3")
    settings = config.load({"pa_sft": 4, "sc_grpo": None})
    assert (settings.grid, settings.seed, settings.pa_sft, settings.sc_grpo) == (2, 3, 4, 3000)
    assert settings.categories == ("a",)


def test_a_named_file_is_read_instead_of_the_one_here(tmp_path: Path):
    (tmp_path / "expertad.toml").write_text("grid = 2\n")
    (tmp_path / "other.toml").write_text("grid = 4\n")
    assert config.load({}, tmp_path / "other.toml").grid == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gird = 3\n", r"unknown setting 'gird'; known are .*grid"),
        ("grid = 6\n", "grid: .*less than or equal to 5, not 6"),
        ('grid = "x"\n', "grid: .*integer"),
        ('source = "folder"\n', "needs --root"),
        ("pa_sft = 0\nsc_grpo = 0\n", "nothing is asked for"),
        ("held_out = 1.5\n", "held_out"),
        ("grid = = 3\n", "cannot read .*expertad.toml"),
        ('teacher = "gpt"\n', "teacher: .*'grounded', 'openai' or 'dashscope'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "expertad.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        config.load()


def test_the_review_server_is_named_without_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    told = {"review": "label-studio", "label_studio_url": "http://host:8080/ls/", "label_studio_token_file": "~/token"}
    settings = config.load(told)
    assert (settings.label_studio_url, settings.label_studio_token_file) == ("http://host:8080/ls", tmp_path / "token")
    for url in ("http://me:secret@host", "host:8080", "ftp://host", "http://host/?token=secret", "http://"):
        with pytest.raises(ConfigError, match="label_studio_url: an address such as") as error:
            config.load({"label_studio_url": url})
        assert "secret" not in str(error.value)


def test_how_many_judge_is_remembered_by_the_ledger_alone():
    told = config.load({"overlap": 2, "grid": 4})
    again = config.as_before(config.load(), config.to_remember(told))
    assert (again.overlap, again.grid) == (None, 4)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("EXPERTAD_SEDE", "did you mean EXPERTAD_SEED?"),
        ("EXPERTAD_ONESHOT", "did you mean EXPERTAD_ONE_SHOT?"),
        ("expertad_heldout", "did you mean EXPERTAD_HELD_OUT?"),
        ("EXPERTAD_XYZ", "unset it"),
    ],
)
def test_a_mistyped_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch, name: str, advice: str):
    monkeypatch.setenv(name, "secret")
    with pytest.raises(
        ConfigError, match=rf"the environment variable {name} is no setting: {re.escape(advice)}"
    ) as error:
        config.load()
    assert "secret" not in str(error.value)


def test_variables_that_are_no_settings_but_are_read_pass(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXPERTAD_LABEL_STUDIO", "/somewhere")
    monkeypatch.setenv("EXPERTAD_TEACHER_KEY", "secret")
    monkeypatch.setenv("EXPERTAD_KEY_ENV", "EXPERTAD_MY_KEY")
    monkeypatch.setenv("EXPERTAD_MY_KEY", "secret")
    monkeypatch.setenv("expertad_seed", "5")
    assert config.load().seed == 5


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no configuration file .*none.toml"):
        config.load({}, tmp_path / "none.toml")


def test_what_is_printed_can_be_read_again_and_holds_no_password(tmp_path: Path):
    settings = config.load({"ledger_url": "postgresql+psycopg://me:secret@db/x", "categories": ("ü", "b"), "grid": 4})
    text = config.to_toml(config.printable(settings))
    assert "secret" not in text
    assert tomllib.loads(text)["categories"] == ["ü", "b"]
    assert tomllib.loads(text)["ledger_url"] == "postgresql+psycopg://me:***@db/x"


def test_people_review_what_a_model_wrote():
    assert config.load({"teacher": "openai", "model": "m"}).review_mode == "file"
    assert config.load({"teacher": "openai", "model": "m", "review": "auto"}).review_mode == "auto"


def test_choices_of_a_setting():
    assert config.choices("source") == ("drawn", "real-iad", "folder")
    assert config.choices("grid") == ()
