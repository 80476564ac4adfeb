"""The card's charts as PNG files whose bytes depend on the counts alone (and on the version of matplotlib)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expertad.grid import cell_names
from expertad.record import Record
from expertad.taxonomy import COARSE_TYPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1f2933"
_NORMAL = "#9aa5b1"
# Okabe and Ito's palette without its black, and a brown: told apart by color-blind readers.
_COLORS = dict(
    zip(
        COARSE_TYPES,
        ("#0072b2", "#56b4e9", "#009e73", "#b8a500", "#d55e00", "#cc79a7", "#8c510a", "#e69f00"),
        strict=True,
    )
)
_TERMS_SHOWN = 8
_DPI = 110


def plan(records: Sequence[Record]) -> dict[str, str]:
    """The charts that the records have something for: file name -> alternative text, in the order of the card."""
    planned: dict[str, str] = {}
    if records:
        planned["types.png"] = "Rows by coarse type"
    if any(record.fine_type for record in records):
        planned["fine_types.png"] = "Fine-grained types under each coarse type"
    if any(record.anomalous for record in records):
        planned["locations.png"] = "Where the defects are, by grid cell"
    if records:
        planned["categories.png"] = "Rows by category and type"
    return planned


def draw(records: Sequence[Record], grid: int, folder: Path) -> None:
    """Draw the planned charts.

    Args:
        records: all published rows, of all configs.
        grid: n of the n x n grid.
        folder: made when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    defects = [record for record in records if record.anomalous]
    drawn = {
        "types.png": lambda: _types(records),
        "fine_types.png": lambda: _fine_types(defects),
        "locations.png": lambda: _locations(defects, grid),
        "categories.png": lambda: _categories(records),
    }
    with _style():
        for name in plan(records):
            drawn[name]().savefig(folder / name, metadata={"Software": None})


@contextmanager
def _style() -> Iterator[None]:
    """The same look whatever the user's own matplotlib settings are."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": "DejaVu Sans",
                "font.size": 9,
                "text.color": _INK,
                "axes.edgecolor": _INK,
                "axes.labelcolor": _INK,
                "xtick.color": _INK,
                "ytick.color": _INK,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "text.parse_math": False,
            }
        )
        yield


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _label(text: str) -> str:
    """The text with what the font cannot draw written as an escape."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    shown = "".join(char if ord(char) in known else char.encode("ascii", "backslashreplace").decode() for char in text)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def _bars(axes: Axes, names: Sequence[str], counts: Sequence[int], colors: Sequence[str]) -> None:
    """Horizontal bars, the first on top, each with its count."""
    from matplotlib.ticker import MaxNLocator

    places = range(len(names))
    axes.barh(places, counts, color=colors, height=0.72)
    axes.set_yticks(places, [_label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, max([*counts, 1]) * 1.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for place, count in zip(places, counts, strict=True):
        text = axes.annotate(f"{count:,}", (count, place), xytext=(4, 0), textcoords="offset points", va="center")
        # It lies inside the axes; measuring hundreds of texts for the layout would take most of the time.
        text.set_in_layout(False)


def _types(records: Sequence[Record]) -> Figure:
    counts = Counter(record.coarse_type or "Normal" for record in records)
    names = ["Normal", *(name for name in COARSE_TYPES if counts[name])]
    figure = _figure(7.5, 0.8 + 0.32 * len(names))
    axes = figure.subplots()
    _bars(axes, names, [counts[name] for name in names], [_COLORS.get(name, _NORMAL) for name in names])
    axes.set_xlabel("rows")
    return figure


def _fine_types(defects: Sequence[Record]) -> Figure:
    counts = Counter((record.coarse_type or "", record.fine_type) for record in defects if record.fine_type)
    names: list[str] = []
    values: list[int] = []
    colors: list[str] = []
    for coarse in COARSE_TYPES:
        terms = sorted(((n, term) for (kind, term), n in counts.items() if kind == coarse), key=lambda t: (-t[0], t[1]))
        rest = terms[_TERMS_SHOWN:]
        shown = [(term, n) for n, term in terms[:_TERMS_SHOWN]]
        if rest:
            shown.append((f"{len(rest)} other terms", sum(n for n, _ in rest)))
        for term, n in shown:
            names.append(term)
            values.append(n)
            colors.append(_COLORS[coarse])
    figure = _figure(7.5, 1.0 + 0.22 * len(names))
    axes = figure.subplots()
    _bars(axes, names, values, colors)
    axes.set_xlabel("rows")
    from matplotlib.patches import Patch

    present = [coarse for coarse in COARSE_TYPES if _COLORS[coarse] in colors]
    figure.legend(
        handles=[Patch(color=_COLORS[coarse], label=coarse) for coarse in present],
        loc="outside right upper",
        frameon=False,
    )
    return figure


def _locations(defects: Sequence[Record], grid: int) -> Figure:
    cells = cell_names(grid)
    largest = Counter(record.location for record in defects)
    touched = Counter(cell for record in defects for cell in record.cells)
    figure = _figure(7.5, 4.1)
    left, right = figure.subplots(1, 2)
    _heat(left, [[largest[cells[r * grid + c]] for c in range(grid)] for r in range(grid)], "Blues")
    _heat(right, [[touched[r * grid + c] for c in range(grid)] for r in range(grid)], "Blues")
    left.set_title("the cell with most of the defect", fontsize=9)
    right.set_title("every cell with at least a tenth of it", fontsize=9)
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal")
        axes.spines[:].set(visible=True, color=_NORMAL, linewidth=0.5)
        for border in range(1, grid):  # a cell without defects is still seen as one
            axes.axvline(border - 0.5, color=_NORMAL, linewidth=0.5)
            axes.axhline(border - 0.5, color=_NORMAL, linewidth=0.5)
    return figure


def _categories(records: Sequence[Record]) -> Figure:
    counts = Counter((record.category, record.coarse_type or "Normal") for record in records)
    categories = sorted({record.category for record in records})
    types = ["Normal", *COARSE_TYPES]
    figure = _figure(8.5, 1.7 + 0.27 * len(categories))
    axes = figure.subplots()
    # Every second row is normal: on one scale with the types it would leave them all pale.
    table = [[counts[category, name] for name in types] for category in categories]
    _heat(axes, [[count, *(0 for _ in COARSE_TYPES)] for count, *_ in table], "Greys")
    _heat(axes, [[0, *row] for _, *row in table], "Blues")
    axes.set_yticks(range(len(categories)), [_label(category) for category in categories])
    axes.set_xticks(range(len(types)), types, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_aspect("auto")
    return figure


def _heat(axes: Axes, counts: list[list[int]], colors: str) -> None:
    """A table of counts, darker where larger; a cell without any stays as it is."""
    top = max([1, *(count for row in counts for count in row)])
    shades = [[count / top * 0.85 if count else math.nan for count in row] for row in counts]
    axes.imshow(shades, cmap=colors, vmin=-0.08, vmax=1, aspect="auto")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for r, row in enumerate(counts):
        for c, count in enumerate(row):
            if count:
                color = "white" if count > 0.65 * top else _INK
                axes.text(c, r, f"{count:,}", ha="center", va="center", color=color).set_in_layout(False)
