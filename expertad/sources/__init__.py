"""Sources of photographs: Real-IAD, folders laid out like MVTec's, and the sample data set that ships as code."""

from __future__ import annotations

from collections.abc import Callable

from expertad.config import Settings
from expertad.sources.base import Source
from expertad.sources.drawn import draw
from expertad.sources.folder import Folder
from expertad.sources.real_iad import RealIAD


def open_source(settings: Settings, progress: Callable[[int, int], None]) -> Source:
    """The source that the settings name; the drawn set is drawn first where it is not there yet.

    Raises:
        SourceError: it cannot be read.
    """
    root = settings.source_root
    categories = settings.categories or None
    if settings.source == "folder":
        return Folder(root, settings.mapping, only=categories)
    if settings.source == "drawn":
        draw(root, parts=settings.parts, seed=settings.seed, progress=progress)
        return RealIAD(root, categories=categories, licence="CC0 1.0", title="expertad's drawn sample set")
    return RealIAD(
        root,
        resolution=settings.resolution,
        variant=settings.variant,
        categories=categories,
        licence=settings.licence or "CC BY-NC-SA 4.0",
        title=settings.title or "Real-IAD",
    )
