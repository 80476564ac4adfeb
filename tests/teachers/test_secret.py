from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from expertad.errors import ConfigError
from expertad.teachers.secret import Secret, read_key


def test_key_shows_nowhere_but_when_revealed() -> None:
    secret = Secret("sk-abc")
    assert secret.reveal() == "sk-abc"
    assert "sk-abc" not in f"{secret} {secret!r} {[secret]}"
    assert secret.hide("Incorrect key sk-abc given") == "Incorrect key [key] given"
    assert Secret("").hide("text") == "text"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_first_variable_that_is_set_wins() -> None:
    environment = {"A": " ", "B": "sk-b\n", "C": "sk-c"}
    assert read_key(("A", "B", "C"), None, required=True, environment=environment).reveal() == "sk-b"


def test_file_wins_over_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-file\n")
    assert read_key(("A",), path, required=True, environment={"A": "sk-a"}).reveal() == "sk-file"


def test_missing_key_says_how_to_give_one() -> None:
    with pytest.raises(ConfigError, match=r"A or B.*--key-file"):
        read_key(("A", "B"), None, required=True, environment={})
    assert read_key(("A",), None, required=False, environment={}).reveal() == ""


@pytest.mark.parametrize("value", ["sk abc", "sk-ä", "sk\nabc", "sk\x7f"])
def test_what_is_no_key_is_refused_without_showing_it(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_key(("A",), None, required=True, environment={"A": value})
    assert value not in str(caught.value)
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="text file"):
        read_key((), tmp_path / "key", required=True)
    with pytest.raises(ConfigError, match="No such file"):
        read_key((), tmp_path / "none", required=True)
