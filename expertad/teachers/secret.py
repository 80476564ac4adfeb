"""A key that cannot be printed by accident: read from the environment or a file, shown nowhere, hidden in any text."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from expertad.errors import ConfigError

HIDDEN = "[key]"


class Secret:
    """Holds a key; only `reveal` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the header of a request and nothing else."""
        return self._value

    def hide(self, text: str) -> str:
        """The text with every occurrence of the key replaced: servers do repeat a refused key in their error."""
        return text.replace(self._value, HIDDEN) if self._value else text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled; read it again where it is needed")


def read_key(
    variables: Sequence[str], file: Path | None, *, required: bool, environment: Mapping[str, str] = os.environ
) -> Secret:
    """The key from `file` if given, else from the first of the environment variables that is set.

    Args:
        variables: names to look under, first wins.
        file: a file that holds the key and nothing else.
        required: whether to refuse when there is none; otherwise the empty secret is returned.
        environment: where to look.

    Raises:
        ConfigError: no key, an unreadable file, or a key with characters no key has; never shows any of it.
    """
    if file is not None:
        try:
            value, where = file.expanduser().read_text("utf-8").strip(), f"the key file {file}"
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
            raise ConfigError(f"the key file {file} cannot be read: {reason}") from None
    else:
        name = next((name for name in variables if environment.get(name, "").strip()), "")
        value, where = environment.get(name, "").strip(), f"the environment variable {name}"
    if not value:
        if not required:
            return Secret("")
        raise ConfigError(
            f"the teacher needs a key: set the environment variable {' or '.join(variables)}, "
            "or name a file that holds it with --key-file"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{where} does not hold a key: it has spaces, line breaks or characters outside ASCII")
    return Secret(value)
