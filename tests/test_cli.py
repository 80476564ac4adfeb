"""The command line: help, settings, refusals, variants, and a README that tells the truth about all of it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from support import REPOSITORY, Ran, Run, command, environment

from expertad.cli import cli
from expertad.config import Settings

RUNNER = CliRunner()


def commands_of(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """Every command by its words, those inside groups too."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[f"{before}{name}"] = command
        if isinstance(command, click.Group):
            found |= commands_of(command, f"{before}{name} ")
    return found


COMMANDS = commands_of(cli)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, bsdata: Path) -> Path:
    """A small build of real photographs; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("cli")
    done = subprocess.run(
        command("build", "--source", "real-iad", "--root", bsdata, "--workspace", "W", "--limit", 40),
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "W"


@pytest.fixture
def copied(workspace: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(workspace, tmp_path / "W"))


def one_line(done: Ran) -> str:
    """The error of a command that failed as it should: one line on stderr, and no traceback."""
    (line,) = done.err.splitlines()
    return line


# ------------------------------------------------------------------------------------------------ help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_one_meaning(name: str):
    told = RUNNER.invoke(cli, [*name.split(), "--help"], terminal_width=110)
    assert told.exit_code == 0
    first = told.output.splitlines()[2].strip()
    assert first.endswith((".", ":"))
    assert len(first) > 30
    flags: list[str] = []
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"
            flags += [*parameter.opts, *parameter.secondary_opts]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("group", ["", "review"])
def test_no_summary_is_cut_on_a_narrow_terminal(group: str):
    listed = RUNNER.invoke(cli, [*group.split(), "--help"], terminal_width=80).output.split("Commands:\n")[1]
    assert listed.count("\n") > 4
    assert all(line.endswith(".") and not line.endswith("...") for line in listed.splitlines())


def test_the_commands_are_listed(expertad: Run):
    listed = RUNNER.invoke(cli, ["--help"], terminal_width=110).output
    assert COMMANDS.keys() >= {
        "build",
        "config",
        "doctor",
        "draw",
        "publish",
        "report",
        "retry",
        "status",
        "review push",
    }
    assert all(re.search(rf"^  {name} ", listed, re.MULTILINE) for name in COMMANDS if " " not in name)
    assert RUNNER.invoke(cli, ["--version"]).output.startswith("expertad, version ")


def commands_in(text: str) -> list[str]:
    """Every `expertad …` that a text shows, in its code blocks, its code spans and its tables."""
    blocks = re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    shown = [re.sub(r"^(?:\.venv/bin/)?expertad(?= |$)", "expertad", line.strip()) for line in lines]
    return [line.split(" #")[0] for line in shown if line.startswith("expertad ")]


def test_what_the_readme_shows_exists():
    found = commands_in((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert len(found) >= 10
    for line in found:
        _, name, *words = shlex.split(line)
        if words and f"{name} {words[0]}" in COMMANDS:
            name = f"{name} {words[0]}"
        assert name in COMMANDS, line
        options = {flag: option for option in COMMANDS[name].params for flag in option.opts}
        for word in words:
            if word.startswith("--") and word != "--help":
                assert word.split("=")[0] in options, line


def test_every_command_is_in_the_readme():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"expertad {name}\b", text)] == []


# ------------------------------------------------------------------------------------------------ settings


def test_config_prints_what_is_in_force_as_toml_and_as_json(expertad: Run, tmp_path: Path):
    (tmp_path / "expertad.toml").write_text("grid = 4\nseed = 1\n")
    env = {"EXPERTAD_SEED": "2", "EXPERTAD_LEDGER_URL": "postgresql+psycopg://me:s3cret@host/db"}
    printed = expertad("config", "--pa-sft", 7, env=env)
    assert printed.code == 0, printed.err
    values = tomllib.loads(printed.out)
    assert (values["grid"], values["seed"], values["pa_sft"], values["sc_grpo"]) == (4, 2, 7, 3000)
    assert "s3cret" not in printed.out + printed.err
    assert expertad("config", "--pa-sft", 7, "--json", env=env).json == values
    (tmp_path / "expertad.toml").write_text(printed.out)
    assert tomllib.loads(expertad("config").out) == values


def test_an_unknown_setting_names_the_known_ones(expertad: Run, tmp_path: Path):
    (tmp_path / "expertad.toml").write_text("gird = 4\n")
    done = expertad("config")
    assert done.code == 2
    line = one_line(done)
    assert "'gird'" in line
    assert all(name in line for name in Settings.model_fields)


@pytest.mark.parametrize("words", [("build", "--nope"), ("frob",), ("draw",), ("status", "x")])
def test_a_mistyped_command_says_how_it_goes(words: tuple[str, ...]):
    done = RUNNER.invoke(cli, list(words))
    assert done.exit_code == 2
    assert "Usage: " in done.output
    assert "--help" in done.output


def test_json_ends_stdout_even_when_the_command_line_is_wrong(expertad: Run):
    done = expertad("build", "--limit", "x", "--json")
    assert done.code == 2
    assert done.json["ingested"] == 0
    assert "'x' is not a valid integer" in done.json["error"]


# ------------------------------------------------------------------------------------------------ before any build


@pytest.mark.parametrize("name", ["status", "report", "publish", "retry"])
def test_what_needs_a_build_says_so_and_leaves_nothing_behind(expertad: Run, tmp_path: Path, name: str):
    done = expertad(name, "--workspace", "nowhere")
    assert done.code == 2
    assert one_line(done).startswith(
        "expertad: there is no build in nowhere yet: run `expertad build`, or name another"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--sample", "a/b"), ("--config", "none.toml")])
def test_status_as_json_before_any_build_is_an_object_too(expertad: Run, tmp_path: Path, words: tuple[str, ...]):
    done = expertad("status", "--workspace", "nowhere", "--json", *words)
    assert done.code == 2
    assert done.json["error"] in one_line(done)
    assert (done.json["ingested"], done.json["published"], done.json["reasons"]) == (0, 0, {})
    assert list(tmp_path.iterdir()) == []


def test_doctor_is_content_where_a_build_would_be(expertad: Run, bsdata: Path, tmp_path: Path):
    done = expertad("doctor", "--source", "real-iad", "--root", bsdata, "--workspace", "W")
    assert done.code == 0, done.out
    assert {line[:4] for line in done.out.splitlines()} == {"ok  "}
    assert "1 categories" in done.out
    assert "none yet; the first build makes it" in done.out
    assert list(tmp_path.iterdir()) == []


def test_doctor_names_everything_that_is_wrong_at_once(expertad: Run, tmp_path: Path):
    (tmp_path / "W").write_text("a file")
    done = expertad("doctor", "--source", "real-iad", "--root", "none", "--workspace", "W", "--teacher", "openai")
    assert done.code == 2
    failed = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1] for line in failed] == ["workspace:", "source:", "teacher:"]
    assert "is no folder" in failed[0]
    assert "does not exist" in failed[1]
    assert "--model" in failed[2]


# ------------------------------------------------------------------------------------------------ draw


@pytest.mark.slow
def test_draw_writes_a_set_once_and_keeps_off_other_folders(expertad: Run, tmp_path: Path):
    words = ("draw", tmp_path / "D", "--parts", 1, "--profile", "smoke")
    done = expertad(*words)
    assert done.code == 0, done.err
    assert re.search(r"\d+ images and \d+ masks of \d+ categories", done.out)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "D").rglob("*")}
    assert expertad(*words).code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "D").rglob("*")} == before
    other = expertad(*words, "--seed", 5)
    assert other.code == 2
    assert "drawn with other arguments" in one_line(other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    mine = expertad("draw", tmp_path / "mine", "--parts", 1, "--profile", "smoke")
    assert mine.code == 2
    assert str(tmp_path / "mine") in one_line(mine)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


# ------------------------------------------------------------------------------------------------ after a build


def ids(folder: Path, config: str = "pa_sft") -> set[str]:
    return {row["id"] for path in (folder / config).glob("*.parquet") for row in pq.read_table(path).to_pylist()}


def rows(folder: Path) -> list[dict]:
    return [row for path in sorted((folder / "pa_sft").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_status_tells_the_accounting_and_one_sample(expertad: Run, workspace: Path):
    told = expertad("status", "--workspace", workspace, "--json").json
    assert told["ingested"] == told["selected"] + told["unselected"] + told["unusable"] == 80
    assert sum(told["reasons"]["unselected"].values()) == told["unselected"]
    text = expertad("status", "--workspace", workspace).out
    assert re.search(rf"published\s+{told['published']}\n", text)
    name = min(ids(workspace / "dataset"))
    sample = expertad("status", "--workspace", workspace, "--sample", name, "--json").json
    assert (sample["state"], sample["partition"]) == ("published", "pa_sft")
    assert [call["stage"] for call in sample["calls"]] == ["describe", "distill"]
    unknown = expertad("status", "--workspace", workspace, "--sample", "no/such")
    assert unknown.code == 2
    assert "there is no sample 'no/such'" in one_line(unknown)


def test_retry_without_a_quarantine_says_so(expertad: Run, workspace: Path):
    done = expertad("retry", "no/such", "--workspace", workspace)
    assert (done.code, done.out) == (2, "")
    assert "not quarantined: no/such; nothing was changed" in one_line(done)
    everything = expertad("retry", "--workspace", workspace)
    assert (everything.code, everything.out) == (0, "0 samples will be asked again by the next `expertad build`\n")


@pytest.mark.slow
def test_a_forgotten_source_does_not_fill_a_workspace_with_another(expertad: Run, copied: Path, bsdata: Path):
    before = expertad("status", "--workspace", copied, "--json").json
    for name in ("build", "estimate", "batch"):
        done = expertad(name, "--workspace", copied)
        assert done.code == 2
        assert f"name it with --source real-iad --root {bsdata}, or name another folder" in one_line(done)
    assert expertad("status", "--workspace", copied, "--json").json == before
    assert not (copied / "drawn").exists()
    again = expertad("build", "--workspace", copied, env={"EXPERTAD_SOURCE": "real-iad", "EXPERTAD_ROOT": str(bsdata)})
    assert again.code == 0, again.err


def test_report_and_publish_go_on_from_the_last_builds_settings(expertad: Run, copied: Path):
    """Neither is told the source again, and neither changes what stands."""
    before = {path: path.read_bytes() for path in (copied / "dataset").rglob("*") if path.is_file()}
    page = (copied / "report.html").read_bytes()
    (copied / "report.html").unlink()
    done = expertad("report", "--workspace", copied)
    assert (done.code, done.out.strip()) == (0, str(copied / "report.html")), done.err
    assert (copied / "report.html").read_bytes() == page
    done = expertad("publish", "--workspace", copied)
    assert done.code == 0, done.err
    assert "(unchanged)" in done.out
    assert {path: path.read_bytes() for path in (copied / "dataset").rglob("*") if path.is_file()} == before
    assert expertad("status", "--workspace", copied, "--json").json["ingested"] == 80


@pytest.mark.slow
def test_variants_are_published_beside_the_data_set(expertad: Run, copied: Path, tmp_path: Path):
    full = rows(copied / "dataset")
    answers = expertad("publish", "--workspace", copied, "--variant", "answer-only")
    assert answers.code == 0, answers.err
    texts = {row["messages"][1]["content"] for row in rows(copied / "dataset-answer-only")}
    assert texts == {"<answer>Yes</answer>", "<answer>No</answer>"}

    assert expertad("publish", "--workspace", copied, "--variant", "coarse-type").code == 0
    coarse = rows(copied / "dataset-coarse-type")
    assert ids(copied / "dataset-coarse-type") == {row["id"] for row in full}
    assert all(row["fine_type"] == row["coarse_type"] for row in coarse)
    assert any(row["fine_type"] != row["coarse_type"] for row in full)

    for percent in (20, 40):
        done = expertad("publish", "--workspace", copied, "--variant", percent, "--out", tmp_path / str(percent))
        assert done.code == 0, done.err
    few, more = ids(tmp_path / "20"), ids(tmp_path / "40")
    assert few < more < {row["id"] for row in full}
    assert ids(tmp_path / "20", "sc_grpo") == ids(copied / "dataset", "sc_grpo")

    unknown = expertad("publish", "--workspace", copied, "--variant", "30")
    assert unknown.code == 2
    assert "unknown variant '30'; use one of: full, answer-only" in one_line(unknown)


def test_a_dry_push_lists_the_files_and_touches_no_network(expertad: Run, copied: Path):
    nowhere = "http://127.0.0.1:9"  # nothing listens there: a request would fail
    env = {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "HF_ENDPOINT": nowhere, "HF_TOKEN": "hf_secret"}
    done = expertad("publish", "--workspace", copied, "--push-to-hub", "me/expert-ad", "--dry-run", env=env)
    assert done.code == 0, done.err
    files = [path for path in (copied / "dataset").rglob("*") if path.is_file()]
    assert f"would push {len(files)} files" in done.out
    for path in files:
        assert str(path.relative_to(copied / "dataset")) in done.out
    assert "hf_secret" not in done.out + done.err
    bad = expertad("publish", "--workspace", copied, "--push-to-hub", "expert-ad", "--dry-run", env=env)
    assert bad.code == 2
    assert "owner/name" in bad.err


def test_a_reader_who_leaves_early_breaks_nothing(workspace: Path, tmp_path: Path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command("status", "--workspace", workspace), cwd=tmp_path, env=environment(PYTHONUNBUFFERED="1"),
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
