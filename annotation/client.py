"""Whether the client of Label Studio is installed: it is an extra, and builds without Label Studio do without."""

from __future__ import annotations

from importlib.util import find_spec

from expertad.builder import Reviewer
from expertad.config import Settings
from expertad.errors import ConfigError
from expertad.ledger import Ledger

TOLD = "label_studio"
"""Under this name the ledger keeps how the server was last reached, so that later commands need not be told."""


def require_client() -> None:
    """Say how to install the client, where it is missing.

    Raises:
        ConfigError: it is.
    """
    if find_spec("label_studio_sdk") is None:
        raise ConfigError(
            "review in Label Studio needs its client: install it with `pip install -c constraints.txt -e "
            "'.[annotation]'` (or `pip install 'expertad[annotation]'`)"
        )


def for_build(settings: Settings, ledger: Ledger) -> Reviewer:
    """The review server of a build with `review = "label-studio"`, or what stands in for one where none is known.

    Raises:
        ConfigError: the client is not installed.
        ReviewError: the server's token is missing.
    """
    require_client()
    from annotation.session import Absent, NoServer, open_session

    try:
        return open_session(settings, ledger)
    except NoServer as error:
        return Absent(str(error))
