"""The drawn categories, by name."""

from __future__ import annotations

from ..shapes import Category
from . import bushing, cap, circuit_board, pin_header, tile, zipper

CATEGORIES: dict[str, Category] = {
    module.CATEGORY.name: module.CATEGORY for module in (bushing, cap, circuit_board, pin_header, tile, zipper)
}
