"""Upload a published folder to the Hugging Face Hub, or say what would be uploaded."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from expertad.card import may_redistribute
from expertad.errors import AbortError, ConfigError, WorkspaceError
from expertad.publish import DIGEST_FILE, is_whole, read_stamp
from expertad.record import CONFIGS

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class HubApi(Protocol):
    """The two calls of `huggingface_hub.HfApi` that a push makes."""

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        """Make the repository unless it is there."""

    def upload_folder(self, *, repo_id: str, folder_path: str, **options: Any) -> Any:
        """Upload a folder in one commit."""


@dataclass(frozen=True, slots=True)
class Push:
    """What was pushed, or would be.

    Args:
        repo_id: the data set repository.
        files: path in the repository -> bytes.
        private: how the repository is made when it is new.
        done: False for a dry run.
        url: of the commit; "" for a dry run.
    """

    repo_id: str
    files: dict[str, int]
    private: bool
    done: bool
    url: str = ""

    def __str__(self) -> str:
        total = sum(self.files.values())
        visibility = "private" if self.private else "public"
        head = "pushed" if self.done else "would push"
        lines = [f"{head} {len(self.files)} files, {total:,} bytes, to {self.repo_id} ({visibility} if it is new)"]
        lines += [f"{size:>15,}  {name}" for name, size in self.files.items()]
        return "\n".join(lines)


def push_to_hub(
    path: Path,
    repo_id: str,
    *,
    dry_run: bool = False,
    token_env: str = "HF_TOKEN",
    allow_images: bool = False,
    private: bool = True,
    api: HubApi | None = None,
) -> Push:
    """Upload a published folder in one commit that also removes what an earlier one had and this one has not.

    Args:
        path: the published folder.
        repo_id: "owner/name" of a data set repository; made when missing.
        dry_run: only say what would be uploaded; needs neither token nor network.
        token_env: the environment variable that holds the token.
        allow_images: upload images although their licence does not let everybody pass them on.
        private: make a new repository private.
        api: the Hub's client; made from the token when None.

    Raises:
        WorkspaceError: the folder is no whole published data set.
        ConfigError: a bad name, no token, or images that must not be passed on.
        AbortError: the Hub refused, or could not be reached.
    """
    stamp = read_stamp(path)
    if stamp is None or not is_whole(path, stamp):
        raise WorkspaceError(f"{path} is not a whole published data set; run `expertad publish` first")
    if not _REPO_ID.fullmatch(repo_id):
        raise ConfigError(f"{repo_id!r} is not a repository name; use owner/name")
    licence = str(stamp["source_licence"])
    if stamp["with_images"] and not may_redistribute(licence) and not allow_images:
        raise ConfigError(
            f"{path} holds images under {licence}, which not everybody may pass on. Publish without images, or allow "
            "images explicitly if you have the right to do so"
        )
    files = {**stamp["files"], DIGEST_FILE: (path / DIGEST_FILE).stat().st_size}
    files = dict(sorted(files.items()))
    if dry_run:
        return Push(repo_id, files, private, done=False)
    url = _upload(path, repo_id, files, str(stamp["digest"]), private, token_env, api)
    return Push(repo_id, files, private, done=True, url=url)


def _upload(
    path: Path, repo_id: str, files: dict[str, int], digest: str, private: bool, token_env: str, api: HubApi | None
) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub: Any = api
    if hub is None:
        token = os.environ.get(token_env)
        if not token:
            raise ConfigError(f"the environment variable {token_env} holds no Hub token; set it, or use a dry run")
        hub = HfApi(token=token)
    try:
        hub.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repo_id,
            folder_path=str(path),
            repo_type="dataset",
            allow_patterns=sorted(files),
            # A shard that is left over would be loaded with the new ones.
            delete_patterns=[f"{folder}/*" for folder in (*CONFIGS, "assets")],
            commit_message=f"Publish Expert-AD, data digest {digest[:12]}",
        )
    except HfHubHTTPError as error:
        # The client's own message may quote the request; its status says enough and holds no secret.
        status = getattr(error.response, "status_code", "no status")
        raise AbortError(f"the Hub refused {repo_id}: HTTP {status}; check the token's rights and the name") from None
    except OSError as error:
        raise AbortError(f"the Hub could not be reached: {type(error).__name__}; nothing was committed") from None
    return str(getattr(commit, "commit_url", commit))
