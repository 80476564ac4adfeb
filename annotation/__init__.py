"""Label Studio: the review screen in which people judge drafts (`screen.xml`)."""

from __future__ import annotations

from importlib.resources import files


def screen() -> str:
    """The labelling configuration of the review screen, as Label Studio takes it."""
    return files("annotation").joinpath("screen.xml").read_text(encoding="utf-8")
