"""The way into a workspace's own Label Studio: its account, its personal access token, and the link that invites.

All of it lies in `<workspace>/label-studio/`, which only its owner may enter. Password and token are in files of their
own and nowhere else: no message holds them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from annotation.child import listens
from expertad.errors import ReviewError

FOLDER = "label-studio"
SECONDS = 120.0
"""How long one answer may take: a first request on a busy machine loads the whole server."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a client of a Label Studio server needs.

    `document_root` is the folder whose subfolders the server may serve as local files, where it shares this disk;
    `public_url` is where other machines reach it, through whatever stands in front of it.
    """

    url: str
    token: str = field(repr=False)
    document_root: Path | None = None
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in."""

    email: str
    password: str = field(repr=False)


def known(workspace: Path) -> Access | None:
    """The way into the server that `expertad review serve` made for this workspace, whether it runs now or not.

    While it does not run, something else may listen at its address: `served` tells.

    Raises:
        ReviewError: its files cannot be read.
    """
    folder = home(workspace)
    try:
        server = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        token = (folder / "token").read_text(encoding="utf-8").strip()
        return Access(server["url"], token, folder / "files", server.get("public_url"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReviewError(
            f"{folder} cannot be read ({type(error).__name__}): run `expertad review serve` again, as its owner"
        ) from None


def served(workspace: Path) -> bool:
    """Whether that server, and no other program, answers at its address now; on this machine."""
    try:
        server = json.loads((home(workspace) / "server.json").read_text(encoding="utf-8"))
        return urlsplit(server["url"]).port in listens(server["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def home(workspace: Path) -> Path:
    """Where all of a workspace's Label Studio lies."""
    return workspace.absolute() / FOLDER


def invite(access: Access) -> str:
    """The link with which colleagues make accounts of their own on this server; whoever has it may join.

    Raises:
        ReviewError: the server does not answer, or refuses the token.
    """
    with client(access.url) as server:
        bearer = ask(server, "POST", "/api/token/refresh/", json={"refresh": access.token})["access"]
        path = ask(server, "GET", "/api/invite", headers={"Authorization": f"Bearer {bearer}"})["invite_url"]
    return f"{(access.public_url or access.url).rstrip('/')}{path}"


def check_email(email: str) -> None:
    """Refuse what cannot name an account."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise ReviewError(f"{email!r} is no e-mail address: Label Studio's accounts are named by one; give --email")


def account_of(folder: Path, email: str) -> Account:
    """The account in this folder; made with a random password where there is none yet."""
    path = folder / "account.json"
    try:
        return Account(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError):
        raise ReviewError(f"{path} is damaged: it holds one object with email and password; mend it") from None
    account = Account(email.lower(), secrets.token_urlsafe(24))
    write_private(path, json.dumps({"email": account.email, "password": account.password}) + "\n")
    return account


def token_of(folder: Path, url: str, account: Account) -> str:
    """A token that works: the one in this folder, or a new one in its place.

    A token can be read once, when it is made. One that was made and not saved is therefore no use to anybody, and
    stands in the way of another: it is revoked.
    """
    path = folder / "token"
    if path.exists() and accepted(url, token := path.read_text(encoding="utf-8").strip()):
        return token
    token = personal_token(url, account)
    write_private(path, token + "\n")
    return token


def accepted(url: str, token: str) -> bool:
    """Whether the server gives access for this token."""
    with client(url) as server:
        reply = _send(server, "POST", "/api/token/refresh/", json={"refresh": token})
    if reply.status_code not in (200, 401):
        raise ReviewError(f"{url} answered {reply.status_code} when it was asked whether a token is good")
    return reply.status_code == 200


def personal_token(url: str, account: Account) -> str:
    """A new personal access token of this account; older ones are revoked, because a person may have one only."""
    with client(url) as server:
        log_in(server, account)
        for old in ask(server, "GET", "/api/token/"):
            _send(server, "POST", "/api/token/blacklist/", json={"refresh": old["token"]})
        return str(ask(server, "POST", "/api/token/")["token"])


def log_in(server: httpx.Client, account: Account) -> None:
    """Begin a session, as the login page does.

    Raises:
        ReviewError: the server knows no such account, or another password.
    """
    reply = submit(server, "/user/login/", email=account.email, password=account.password)
    if not reply.is_redirect:  # the page comes again, with what is wrong
        raise ReviewError(
            f"{server.base_url} does not let {account.email} in: the password was changed there, or the account was "
            "made elsewhere; put the right password into account.json beside server.log"
        )


def submit(server: httpx.Client, page: str, **fields: str) -> httpx.Response:
    """Fill in a page's form and send it."""
    _send(server, "GET", page)
    secret = server.cookies.get("csrftoken") or ""
    return _send(server, "POST", page, data={**fields, "csrfmiddlewaretoken": secret})


def client(url: str) -> httpx.Client:
    """A client of one server. No proxy of the environment stands between, and no other server is followed."""
    return httpx.Client(base_url=url, timeout=SECONDS, trust_env=False, follow_redirects=False)


def ask(server: httpx.Client, method: str, path: str, **more: Any) -> Any:
    """The JSON that the server answers with.

    Raises:
        ReviewError: it does not answer, or refuses.
    """
    reply = _send(server, method, path, **more)
    if not reply.is_success:
        raise ReviewError(f"{server.base_url} answered {reply.status_code} to {method} {path}")
    return reply.json()


def _send(server: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    try:
        return server.request(method, path, **more)
    except httpx.HTTPError as error:
        raise ReviewError(
            f"{server.base_url} does not answer ({type(error).__name__}): start it with `expertad review serve`"
        ) from None


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
