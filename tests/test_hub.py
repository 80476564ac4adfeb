from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from expertad.errors import AbortError, ConfigError, WorkspaceError
from expertad.hub import push_to_hub
from expertad.publish import publish
from tests.make_records import INFO, files, tables


class Hub:
    """Keeps what it is given; refuses when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.created: dict[str, Any] = {}
        self.uploaded: dict[str, Any] = {}

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.created = {"repo_id": repo_id, **options}

    def upload_folder(self, *, repo_id: str, folder_path: str, **options: Any) -> str:
        if self.error is not None:
            raise self.error
        self.uploaded = {"repo_id": repo_id, "folder_path": folder_path, **options}
        return "https://hub.example/commit/1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish(tables(tmp_path / "photos"), tmp_path / "out", INFO).path


def test_a_dry_run_lists_every_file_with_its_size_and_uploads_nothing(folder: Path) -> None:
    hub = Hub()
    push = push_to_hub(folder, "me/expert-ad", dry_run=True, api=hub)
    assert push.files == {name: len(content) for name, content in files(folder).items()}
    assert not push.done
    assert not hub.created
    assert not hub.uploaded
    text = str(push)
    assert text.startswith(f"would push {len(push.files)} files")
    assert all(name in text for name in push.files)


def test_a_push_uploads_the_files_and_removes_stale_shards(folder: Path) -> None:
    hub = Hub()
    push = push_to_hub(folder, "me/expert-ad", api=hub)
    assert push.done
    assert push.url == "https://hub.example/commit/1"
    assert hub.created == {"repo_id": "me/expert-ad", "repo_type": "dataset", "private": True, "exist_ok": True}
    assert set(hub.uploaded["allow_patterns"]) == set(files(folder))
    assert "pa_sft/*" in hub.uploaded["delete_patterns"]


def test_a_folder_that_is_not_whole_is_not_pushed(folder: Path, tmp_path: Path) -> None:
    (folder / "pa_sft.json").unlink()
    for path in (folder, tmp_path / "nowhere"):
        with pytest.raises(WorkspaceError, match="not a whole published data set"):
            push_to_hub(path, "me/expert-ad", dry_run=True)


@pytest.mark.parametrize("name", ["expert-ad", "me/", "/x", "me/a b", "me/../x", "https://x/y"])
def test_a_bad_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="owner/name"):
        push_to_hub(folder, name, dry_run=True)


def test_images_that_not_everybody_may_pass_on_need_an_explicit_word(tmp_path: Path) -> None:
    made = tables(tmp_path / "photos")
    out = publish(made, tmp_path / "out", INFO, with_images=True, image_root=tmp_path / "photos").path
    with pytest.raises(ConfigError, match="CC BY-NC-SA 4.0"):
        push_to_hub(out, "me/expert-ad", dry_run=True)
    assert push_to_hub(out, "me/expert-ad", dry_run=True, allow_images=True).files


def test_no_token_is_told_by_the_variable_s_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match="EXPERTAD_TEST_NO_SUCH_TOKEN"):
        push_to_hub(folder, "me/expert-ad", token_env="EXPERTAD_TEST_NO_SUCH_TOKEN")


def test_an_error_of_the_hub_never_shows_the_token(folder: Path) -> None:
    with pytest.raises(AbortError, match="could not be reached") as caught:
        push_to_hub(folder, "me/expert-ad", api=Hub(ConnectionError("Authorization: Bearer hf_secret")))
    assert "hf_secret" not in str(caught.value)
    assert caught.value.__cause__ is None
