from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from expertad.errors import WorkspaceError
from expertad.replace_folder import exchange, replaced_folder


def cannot_exchange(first: Path, second: Path) -> bool:
    """A file system without RENAME_EXCHANGE."""
    return False


def write(out: Path, text: str, **options: object) -> None:
    with replaced_folder(out, **options) as folder:  # type: ignore[arg-type]
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text(text)


def break_off(out: Path) -> None:
    with replaced_folder(out) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError


def text_in(out: Path) -> str:
    return (out / "inner" / "file").read_text()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("how", [exchange, cannot_exchange])
def test_replaces_a_folder_and_leaves_nothing_beside_it(tmp_path: Path, how: object) -> None:
    out = tmp_path / "deep" / "out"
    for text in ("old", "new", "newer"):
        write(out, text, exchange=how)
        assert text_in(out) == text
        assert names(out.parent) == ["out"]


def test_an_error_inside_leaves_the_old_folder(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "out")
    assert text_in(tmp_path / "out") == "old"
    assert names(tmp_path) == ["out"]


def test_the_old_folder_stands_until_the_block_ends(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    with replaced_folder(tmp_path / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("new")
        assert text_in(tmp_path / "out") == "old"
    assert text_in(tmp_path / "out") == "new"


def test_a_dead_writer_s_folder_is_removed_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from expertad.replace_folder import replaced_folder
        with replaced_folder(Path(sys.argv[1])) as folder:
            (folder / "part").write_text("x")
            print("writing", flush=True)
            sys.stdin.readline()
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        write(tmp_path / "out", "mine")
        assert len(names(tmp_path)) == 2
        writer.kill()
        writer.wait()
    assert len(names(tmp_path)) == 2
    write(tmp_path / "out", "mine again")
    assert names(tmp_path) == ["out"]
    assert text_in(tmp_path / "out") == "mine again"


def test_a_writer_that_died_between_two_renames_is_repaired(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "out")
    assert text_in(tmp_path / "out") == "old"
    assert names(tmp_path) == ["out"]


def test_a_link_to_a_folder_keeps_pointing_at_it(tmp_path: Path) -> None:
    write(tmp_path / "real", "old")
    (tmp_path / "out").symlink_to("real")
    write(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink()
    assert text_in(tmp_path / "real") == "new"
    assert names(tmp_path) == ["out", "real"]


def test_a_place_that_cannot_be_written_is_the_workspace_s_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="could not be written"), replaced_folder(tmp_path / "file" / "out"):
        pass
