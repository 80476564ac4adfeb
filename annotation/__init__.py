"""Label Studio: the review screen in which people judge drafts (`screen.xml`)."""

from __future__ import annotations

from importlib.resources import files
from xml.sax.saxutils import quoteattr

from expertad.grid import cell_names

CELL_KEYS = {1: "s", 2: "qwas", 3: "qweasdzxc", 4: "qwetasdfzxcvyiop", 5: "qwetyasdfgzxcvbiopjklnm90"}
"""A key for each cell in reading order, where the keyboard's own rows allow it in the cell's place.

Left out are 1 to 8, which decide, and r, u and h, which are Label Studio's.
"""


def screen(grid: int = 3) -> str:
    """The labelling configuration of the review screen, as Label Studio takes it.

    Args:
        grid: the workspace's grid; the screen offers its cells.

    Raises:
        ValueError: the grid is not 1 to 5.
    """
    text = files("annotation").joinpath("screen.xml").read_text(encoding="utf-8")
    cells = "\n          ".join(
        f"<Choice value={quoteattr(_short(name))} alias={quoteattr(name)} hotkey={quoteattr(key)}/>"
        for name, key in zip(cell_names(grid), CELL_KEYS[grid], strict=True)
    )
    return text.replace("<!-- cells -->", cells).replace("GRID_COLUMNS", str(grid))


def _short(name: str) -> str:
    """A cell's name as it fits into the cell."""
    return name.replace("row ", "").replace(", column ", ",")
