"""Little data sets on disk, in the layouts the sources read, with real photographs and masks in them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from expertad.sources.real_iad import RealIAD


def _encoded(mode: str, color: object, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (8, 6), color).save(stream, kind)
    return stream.getvalue()


JPEG = _encoded("RGB", (90, 120, 60), "JPEG")
PNG = _encoded("L", 255, "PNG")


class RealIADTree:
    """Builds a copy of Real-IAD entry by entry; `ok` and `ng` write the files and append the entry."""

    def __init__(self, root: Path, category: str = "audiojack", resolution: str = "1024") -> None:
        self.root = root
        self.category = category
        self.images = root / f"realiad_{resolution}" / category
        self.images.mkdir(parents=True, exist_ok=True)
        self.train: list[Any] = []
        self.test: list[Any] = []

    def file(self, path: str, content: bytes = JPEG) -> Path:
        """A file below the category's folder."""
        target = self.images / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    def entry(self, label: Any, image: Any, mask: Any = None, **more: Any) -> dict[str, Any]:
        """An entry as the release writes it, appended to `test`; no file is written."""
        made = {"category": self.category, "anomaly_class": label, "image_path": image, "mask_path": mask, **more}
        self.test.append(made)
        return made

    def ok(self, number: int = 1, view: int = 1, time: int = 20231021130235) -> dict[str, Any]:
        """A normal part's view, with its photograph, appended to `train`."""
        image = f"OK/S{number:04}/{self.category}_{number:04}_OK_C{view}_{time}.jpg"
        self.file(image)
        made = self.entry("OK", image)
        self.train.append(self.test.pop())
        return made

    def ng(self, code: str = "HS", number: int = 1, view: int = 1, label: str | None = None) -> dict[str, Any]:
        """A defective part's view, with photograph and mask (no mask when `label` is "OK"), appended to `test`."""
        label = label or code
        stem = f"NG/{code}/S{number:04}/{self.category}__{number:04}_NG_{code}_C{view}_20231023092610"
        self.file(f"{stem}.jpg")
        if label == "OK":
            return self.entry(label, f"{stem}.jpg")
        self.file(f"{stem}.png", PNG)
        return self.entry(label, f"{stem}.jpg", f"{stem}.png")

    def json(self, folder: str = "realiad_jsons", **replaced: Any) -> Path:
        """Write the category's JSON; `replaced` are other values for its top keys, None to leave a key out."""
        meta = {"prefix": f"{self.category}/", "normal_class": "OK", "pre_transform": None}
        document = {"meta": meta, "train": self.train, "test": self.test, **replaced}
        path = self.root / folder / f"{self.category}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
        return path

    def read(self, **options: Any) -> Any:
        """Write the JSON and read the category back."""
        self.json()
        return RealIAD(self.root, **options).read(self.category)


@pytest.fixture
def tree(tmp_path: Path) -> RealIADTree:
    """A copy of Real-IAD with one category and no entries yet."""
    return RealIADTree(tmp_path / "data")


@pytest.fixture
def make_tree() -> Callable[..., RealIADTree]:
    """Makes further categories, resolutions and roots."""
    return RealIADTree


@pytest.fixture
def photo() -> Callable[[Path], Path]:
    """Writes a photograph (or, named .png, a white mask) and the folders above it."""

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG if path.suffix.lower() == ".png" else JPEG)
        return path

    return write
