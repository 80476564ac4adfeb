"""Imports point one way: the library knows neither Prefect, nor Label Studio, nor torch, and nobody knows the flows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import REPOSITORY

MAY_USE = {
    "expertad": set(),
    "annotation": {"expertad", "label_studio_sdk"},
    "flows": {"expertad", "annotation", "prefect"},
    "training": {"expertad", "torch", "transformers", "trl", "peft", "accelerate"},
}
FRAMEWORKS = {"prefect", "label_studio_sdk", "torch", "transformers", "trl", "peft", "accelerate"}
DOORS = {"expertad/cli.py": {"annotation", "flows"}}
"""Where one room leads into another: only inside functions, which are called by their command alone."""

DOMAIN = (
    ("errors", "order"),
    ("sample", "verdict"),
    ("taxonomy", "grid", "pattern"),
    ("record", "checks"),
    ("ledger", "review", "integrate", "select", "describe", "distill"),
    ("build",),
    ("builder",),
    ("cli",),
)
"""The library's storeys: a module uses its own and those above it in this list."""


def imports(path: Path, *, top_level: bool = False) -> Iterator[str]:
    """Names of the modules that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("room", MAY_USE)
def test_a_room_uses_only_what_it_may(room: str):
    closed = (FRAMEWORKS | MAY_USE.keys()) - MAY_USE[room] - {room}
    found = {}
    for path in sorted((REPOSITORY / room).rglob("*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        used = {module.split(".")[0] for module in imports(path)} & closed - DOORS.get(name, set())
        if used:
            found[name] = used
    assert found == {}


@pytest.mark.parametrize("name", DOORS)
def test_a_door_is_opened_only_by_its_command(name: str):
    used = {module.split(".")[0] for module in imports(REPOSITORY / name, top_level=True)}
    assert not used & DOORS[name]


def test_the_library_is_built_storey_on_storey():
    storey = {module: number for number, modules in enumerate(DOMAIN) for module in modules}
    found = []
    for module, number in storey.items():
        path = REPOSITORY / "expertad" / f"{module}.py"
        files = [path] if path.is_file() else sorted((REPOSITORY / "expertad" / module).rglob("*.py"))
        assert files, module
        for file in files:
            for used in imports(file):
                parts = used.split(".")
                if parts[0] == "expertad" and len(parts) > 1 and storey.get(parts[1], -1) > number:
                    found.append(f"{module} uses {parts[1]}")
    assert found == []
