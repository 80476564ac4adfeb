"""The prompts, one file each, and how they are read and filled in.

A file is named `<name>.v<version>.txt`. Lines before the first section that begin with `#` are a remark. Sections
`[system]` and `[user]` are required; the distill prompts add what differs between a student who sees the query alone
(`[zero_shot]`, `[zero_shot_comparison]`) and one who sees a normal sample first (`[one_shot]`,
`[one_shot_comparison]`). `$name` is filled in from the sample; `$$` is a dollar sign. Of several versions the highest
is used. A folder of the builder's own (`--prompts`) may replace any of the four.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Literal

from expertad import taxonomy
from expertad.errors import ConfigError
from expertad.grid import cell_names
from expertad.sample import Case

Stage = Literal["describe", "distill"]

NAMES = ("describe_anomalous", "describe_normal", "distill_anomalous", "distill_normal")
VARIABLES = frozenset(
    {"category", "coarse_type", "group", "terms", "location", "cells", "grid", "area"}
    | {"description", "shot", "comparison"}
)
_SHOT = frozenset({"shot", "comparison"})
_SECTIONS = frozenset({"system", "user", "zero_shot", "zero_shot_comparison", "one_shot", "one_shot_comparison"})
_FILE_NAME = re.compile(r"(?P<name>[a-z_]+)\.v(?P<version>\d+)\.txt")
_SECTION = re.compile(r"^\[([a-z_]+)\]\s*$")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: `version` is its file's name without ".txt", with a digest appended when it is the builder's own."""

    name: str
    version: str
    sections: Mapping[str, str]

    def render(self, case: Case, description: str | None = None) -> tuple[str, str]:
        """System and user text for a case; `description` is the settled one, for a distill prompt."""
        values = _values(case, description)
        shot = "one_shot" if case.shot else "zero_shot"
        values["shot"] = _fill(self.sections.get(shot, ""), values)
        values["comparison"] = _fill(self.sections.get(f"{shot}_comparison", ""), values)
        return _fill(self.sections["system"], values), _fill(self.sections["user"], values)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The four prompts in use."""

    by_name: Mapping[str, Prompt]

    def choose(self, stage: Stage, case: Case) -> Prompt:
        """The prompt for a stage and a case's label."""
        return self.by_name[f"{stage}_{'anomalous' if case.sample.anomalous else 'normal'}"]


def load(folder: Path | None = None) -> Prompts:
    """The shipped prompts, with those of `folder` in their place.

    Raises:
        ConfigError: the folder or a file in it cannot be used; says which and why.
    """
    prompts = {}
    for entry in sorted(resources.files(__name__).iterdir(), key=lambda entry: _version(entry.name)):
        if match := _FILE_NAME.fullmatch(entry.name):
            prompts[match["name"]] = _parse(entry.name, entry.read_text("utf-8"), own=False)
    if folder is not None:
        prompts.update(_own(folder))
    return Prompts(prompts)


def _own(folder: Path) -> dict[str, Prompt]:
    if not folder.is_dir():
        raise ConfigError(f"--prompts {folder}: no such folder")
    found = {}
    for path in sorted(folder.glob("*.txt"), key=lambda path: _version(path.name)):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or match["name"] not in NAMES:
            names = ", ".join(NAMES)
            raise ConfigError(f"--prompts {path}: a prompt file is named <name>.v<number>.txt, <name> one of {names}")
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"--prompts {path}: not UTF-8 at byte {error.start}") from None
        found[match["name"]] = _parse(str(path), text, own=True)
    if not found:
        raise ConfigError(f"--prompts {folder}: holds no file named <name>.v<number>.txt")
    return found


def _version(file_name: str) -> tuple[int, str]:
    match = _FILE_NAME.fullmatch(file_name)
    return (int(match["version"]) if match else 0, file_name)


def _parse(where: str, text: str, *, own: bool) -> Prompt:
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := _SECTION.match(line):
            name = match[1]
            if name not in _SECTIONS or name in sections:
                known = ", ".join(sorted(_SECTIONS))
                raise ConfigError(f"{where}, line {number}: section [{name}] is unknown or given twice; known: {known}")
            current = sections.setdefault(name, [])
        elif current is not None:
            current.append(line)
        elif line.strip() and not line.startswith("#"):
            raise ConfigError(f"{where}, line {number}: text before the first section; begin remarks with #")
    texts = {name: "\n".join(lines).strip() for name, lines in sections.items()}
    _check(where, texts)
    stem = Path(where).name.removesuffix(".txt")
    digest = "+" + hashlib.sha256(text.encode()).hexdigest()[:8] if own else ""
    return Prompt(stem.split(".")[0], stem + digest, texts)


def _check(where: str, texts: Mapping[str, str]) -> None:
    for name in ("system", "user"):
        if not texts.get(name):
            raise ConfigError(f"{where}: section [{name}] is missing or empty")
    if "json" not in (texts["system"] + texts["user"]).lower():
        raise ConfigError(f"{where}: the prompt must contain the word JSON; servers refuse JSON mode otherwise")
    for name, text in texts.items():
        template = Template(text)
        if not template.is_valid():
            raise ConfigError(f"{where}, [{name}]: a $ that begins no name; write $$ for a dollar sign")
        unknown = set(template.get_identifiers()) - (VARIABLES if name in ("system", "user") else VARIABLES - _SHOT)
        if unknown:
            known = ", ".join(sorted(VARIABLES))
            raise ConfigError(f"{where}, [{name}]: unknown ${', $'.join(sorted(unknown))}; known: {known}")
    used = set(Template(texts["user"]).get_identifiers())
    if "distill" in Path(where).name and "description" not in used:
        raise ConfigError(f"{where}, [user]: a distill prompt must contain $description")


@lru_cache(maxsize=64)
def _pieces(text: str) -> tuple[tuple[str, str], ...]:
    """A template as (literal, name that follows it or ""): filling it in is then one join."""
    pieces, literal, at = [], "", 0
    for match in Template.pattern.finditer(text):
        literal += text[at : match.start()]
        at = match.end()
        if match["escaped"] is not None:
            literal += "$"
        else:
            pieces.append((literal, match["named"] or match["braced"]))
            literal = ""
    return (*pieces, (literal + text[at:], ""))


def _fill(text: str, values: Mapping[str, str]) -> str:
    return "".join(literal + (values[name] if name else "") for literal, name in _pieces(text))


@lru_cache(maxsize=64)
def _terms(coarse: str) -> str:
    return ", ".join((coarse.lower(), *taxonomy.FINE_TERMS[coarse]))


def _values(case: Case, description: str | None) -> dict[str, str]:
    sample, region = case.sample, case.region
    coarse = sample.coarse_type
    names = cell_names(region.grid if region else 3)
    return {
        "category": sample.category.replace("_", " "),
        "coarse_type": coarse or "",
        "group": taxonomy.group(coarse).lower() if coarse else "",
        "terms": _terms(coarse) if coarse else "",
        "location": region.location if region else "",
        "cells": ", ".join(names[cell] for cell in region.cells) if region else "",
        "grid": ", ".join(names),
        "area": f"{max(region.area, 0.001):.1%}" if region else "",
        "description": description or "",
    }
