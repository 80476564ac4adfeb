"""How a reviewer's browser gets the photographs: from the server's disk, or uploaded to it. Never inside the tasks."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from annotation.server import Project, Server, Unreachable
from expertad.errors import ReviewError
from expertad.sample import ImageFile

UPLOAD_BYTES = 16_000_000
"""Photographs are sent in requests of about this size."""

UPLOAD_FILES = 50
"""The server takes at most a hundred files a request."""

NAME_DIGITS = 32
"""The server cuts longer names."""

ROUNDS = 8

LINK = "images"
"""Name of the link to the photographs; tasks hold it, so it stays when the photographs move."""


class Images(Protocol):
    """Where the photographs are for the reviewer's browser."""

    def prepare(self, server: Server, project: int, images: Sequence[ImageFile]) -> None:
        """Make these photographs visible to a project's reviewers."""

    def url(self, image: ImageFile) -> str:
        """A photograph's address, as the browser asks for it."""


class LocalImages:
    """Photographs that the server reads from a disk it shares with us.

    Args:
        document_root: folder whose files the server may show; it refuses to show the folder itself, so the photographs
            have to lie in a folder below it, or are linked there.
        image_root: the source's folder of photographs.
        link: make a link to `image_root` in the document root; only where that folder is ours.
    """

    def __init__(self, document_root: Path, image_root: Path, *, link: bool) -> None:
        self._root = image_root.absolute()
        documents = document_root.absolute()
        if link:
            self._folder = documents / LINK
            documents.mkdir(parents=True, exist_ok=True)
            if not self._folder.is_symlink() or self._folder.readlink() != self._root:
                _point(self._folder, self._root)
            self._prefix = LINK
        else:
            if documents == self._root or documents not in self._root.parents:
                raise ReviewError(
                    f"the photographs in {self._root} do not lie in a folder below {documents}, so the server cannot "
                    "show them; name its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT with --document-root, or use "
                    "--images upload"
                )
            self._folder = self._root
            self._prefix = self._root.relative_to(documents).as_posix()

    def prepare(self, server: Server, project: int, images: Sequence[ImageFile]) -> None:
        """Give the project the folder."""
        try:
            server.serve_folder(project, str(self._folder))
        except Unreachable:
            raise
        except ReviewError as error:
            raise ReviewError(
                f"{error}. The server cannot show files from this machine's disk; use --images upload"
            ) from None

    def url(self, image: ImageFile) -> str:
        """The server's address for a file of its disk."""
        return f"/data/local-files/?d={quote(os.fsencode(f'{self._prefix}/{image.relative}'))}"


class UploadedImages:
    """Photographs sent to the server, each content once, whatever is interrupted.

    They are kept by a project of their own, because a project whose tasks hold two pictures refuses bare files.

    Args:
        store: that project.
    """

    def __init__(self, store: Project) -> None:
        self._store = store.id
        self._paths: dict[str, str] = {}

    def prepare(self, server: Server, project: int, images: Sequence[ImageFile]) -> None:
        """Send what is not there yet."""
        wanted = {image.sha256[:NAME_DIGITS]: image for image in images}
        for round_ in range(ROUNDS):
            self._paths = server.uploads(self._store)
            missing = [image for name, image in wanted.items() if name not in self._paths]
            if not missing:
                return
            try:
                for block in _blocks(missing):
                    server.upload(self._store, [_file(image) for image in block])
            except Unreachable:
                if round_ == ROUNDS - 1:
                    raise
        self._paths = server.uploads(self._store)
        if left := [image for name, image in wanted.items() if name not in self._paths]:
            raise ReviewError(f"{server.url} did not keep {len(left)} photographs, such as {left[0].relative}")

    def url(self, image: ImageFile) -> str:
        """The server's address for an uploaded file."""
        return f"/data/{quote(self._paths[image.sha256[:NAME_DIGITS]])}"


def _point(link: Path, target: Path) -> None:
    """Make a link, or make it point elsewhere, in one step: reviewers may be looking through it."""
    partial = link.with_name(f"{link.name}.part")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target, target_is_directory=True)
    partial.replace(link)


def _blocks(images: Sequence[ImageFile]) -> Iterator[list[ImageFile]]:
    block: list[ImageFile] = []
    size = 0
    for image in images:
        length = image.path.stat().st_size
        if block and (size + length > UPLOAD_BYTES or len(block) == UPLOAD_FILES):
            yield block
            block, size = [], 0
        block.append(image)
        size += length
    if block:
        yield block


def _file(image: ImageFile) -> tuple[str, bytes, str]:
    kind = mimetypes.guess_type(image.path.name)[0] or "application/octet-stream"
    return f"{image.sha256[:NAME_DIGITS]}{image.path.suffix.lower()}", image.path.read_bytes(), kind
