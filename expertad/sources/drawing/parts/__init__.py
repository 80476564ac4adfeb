"""The drawn categories, by name."""

from __future__ import annotations

from expertad.sources.drawing.parts import bushing, cap, circuit_board, pin_header, tile, zipper
from expertad.sources.drawing.shapes import Category

CATEGORIES: dict[str, Category] = {
    module.CATEGORY.name: module.CATEGORY for module in (bushing, cap, circuit_board, pin_header, tile, zipper)
}
