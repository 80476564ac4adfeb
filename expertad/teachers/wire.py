"""HTTP as the teachers need it: one POST, read whole but not without bound, and the verdict on what is not a reply.

Connections belong to one event loop, so the session is opened again when the loop has changed. Redirects are not
followed (they would carry the key elsewhere), and nothing is ever sent twice here.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter

from expertad.errors import ConfigError
from expertad.teachers.base import SUCCESSORS, Fault, RawReply
from expertad.teachers.pacing import retry_after_seconds
from expertad.teachers.secret import Secret

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a response that are read; a usable reply is a few kilobytes."""

_KEPT = 64 * 1024
_KEPT_HEADERS = ("retry-after", "x-dashscope-partialresponse", "x-request-id")
_CONNECT_S = 15.0


class Exchange(NamedTuple):
    """One response: header names in lower case; `whole` is False when it was longer than MAX_BODY."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    latency_s: float


class Pieces(aiohttp.Payload):
    """A body in several pieces, sent without joining them: a copy of 800 kB costs as much as the rest of a request."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The whole body as text."""
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send every piece."""
        for piece in self._value:
            await writer.write(piece)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send every piece; the length announced is always that of all of them."""
        await self.write(writer)


class Wire:
    """A session that posts bytes and gives back exchanges.

    Args:
        base_url: address without a path's last part, e.g. "http://localhost:8000/v1".
        secret: sent as a bearer token; hidden from every text that leaves this class.
    """

    def __init__(self, base_url: str, secret: Secret) -> None:
        self.base_url = check_url(base_url)
        self.host = urlsplit(self.base_url).netloc
        self.secret = secret
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def session(self) -> aiohttp.ClientSession:
        """The running loop's session."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            self._session, self._loop = (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    # Where no proxy is set, this would only look for a .netrc, in another thread, for every request.
                    trust_env=bool(getproxies()),
                ),
                loop,
            )
        return self._session

    async def post(self, path: str, body: bytes | Pieces) -> Exchange:
        """Send a JSON body.

        Raises:
            Fault: retry, when no whole response came.
        """
        headers = {"Content-Type": "application/json"}
        if self.secret.reveal():
            headers["Authorization"] = f"Bearer {self.secret.reveal()}"
        return await self.exchange("POST", self.base_url + path, body, headers)

    async def exchange(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Exchange:
        """One request, one response; `body` is anything aiohttp sends, mostly bytes.

        Raises:
            Fault: retry, when no whole response came.
        """
        started = time.monotonic()
        try:
            async with self.session().request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                received, whole = await _read(response)
                kept = {name.lower(): value for name, value in response.headers.items()}
                return Exchange(response.status, kept, received, whole, time.monotonic() - started)
        except TimeoutError:
            raise Fault("retry", f"cannot connect to {self.host} within {_CONNECT_S:g} s", code="network") from None
        except (aiohttp.ClientError, OSError) as error:
            reason = self.secret.hide(f"{type(error).__name__}: {error}")[:300]
            raise Fault("retry", f"the connection to {self.host} failed ({reason})", code="network") from None

    async def aclose(self) -> None:
        """Close the session; the next request opens another."""
        if self._session is not None and not self._session.closed:
            await self._session.close()
        self._session = None

    def reply_body(self, exchange: Exchange, model: str) -> dict[str, Any]:
        """The JSON object of a response with status 200.

        Raises:
            Fault: for any other status, and for a body that is cut, too long, not UTF-8, not JSON, or an error.
        """
        if exchange.status != 200:
            raise self.refusal(exchange, model)
        kept = RawReply(None, self.kept(exchange), latency_s=exchange.latency_s, http_status=200)
        if not exchange.whole:
            raise Fault("quarantine", f"the response is longer than {MAX_BODY} bytes", code="huge", reply=kept)
        try:
            text = exchange.body.decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f"the response is not UTF-8 at byte {error.start}"
            raise Fault("retry", reason, code="not_utf8", again=1, reply=kept) from None
        body = _json(exchange.body, text)
        if not isinstance(body, dict):
            what = "empty" if not text.strip() else "HTML" if text.lstrip().startswith("<") else "not a JSON object"
            raise Fault("retry", f"status 200, but the body is {what} or cut", code="bad_body", reply=kept)
        return body

    def refusal(self, exchange: Exchange, model: str) -> Fault:
        """What to do about a response whose status is not 200."""
        status = exchange.status
        raw = self.kept(exchange)
        code, message = _error(exchange.body)
        said = self.secret.hide(" ".join(f"{code} {message}".split()))[:300] or "no explanation"
        wait = retry_after_seconds(exchange.headers.get("retry-after"))
        kind, name, hint = _classify(status, f"{code} {message}".lower())
        if name == "no_model":
            hint = (
                f". The server does not offer the model {model!r}, or {self.base_url} is not its address. Qwen-VL-Max "
                f"(qwen-vl-max), the paper's teacher, was retired by its vendor in 2026; successors: {SUCCESSORS}. "
                "Name one with --model"
            )
        return Fault(
            kind, f"status {status}: {said}{hint}", code=name, raw=raw, retry_after=wait, http_status=status,
            reply=RawReply(
                None, raw, request_id=exchange.headers.get("x-request-id", ""), latency_s=exchange.latency_s,
                http_status=status, headers=self.kept_headers(exchange),
                usage=None,
            ),
        )  # fmt: skip

    def kept(self, exchange: Exchange) -> str:
        """A body as the ledger keeps it: its beginning, without the key."""
        return self.secret.hide(exchange.body[:_KEPT].decode("utf-8", "backslashreplace"))

    @staticmethod
    def kept_headers(exchange: Exchange) -> dict[str, str]:
        """The headers that bear on the verdict."""
        return {name: exchange.headers[name] for name in _KEPT_HEADERS if name in exchange.headers}


def first_choice(choices: list[Any]) -> tuple[dict[str, Any], str]:
    """Message and finish reason of the first choice; an empty message when there is none."""
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    return (message if isinstance(message, dict) else {}), str(choice.get("finish_reason") or "")


def text_of(message: Mapping[str, Any]) -> str | None:
    """A message's content, whether a string or a list of parts; None when it holds no text."""
    content = message.get("content")
    if isinstance(content, list):
        pieces = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(piece for piece in pieces if isinstance(piece, str)) or None
    return content if isinstance(content, str) else None


def check_url(url: str) -> str:
    """A base URL without trailing slash.

    Raises:
        ConfigError: not http or https, no host, or a user name, password, query or fragment in it.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ConfigError("--base-url contains a user name or key; keys come from the environment or --key-file only")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"--base-url {url!r} is not an address like https://host/v1")
    return url.rstrip("/")


def _classify(status: int, said: str) -> tuple[Any, str, str]:
    """Kind of fault, its code, and a hint for the user, from a status and the server's words in lower case."""

    def says(*words: str) -> bool:
        return any(word in said for word in words)

    if says("arrearage", "billoverdue", "bill overdue", "overdue-payment", "overdue payment"):
        return "abort", "no_money", ". The account has no money left: settle the bill and run again"
    if says("free allocated quota exceeded", "freetieronly", "free tier of the model has been exhausted"):
        return "abort", "no_money", ". The free quota is used up: enable paid use in the vendor's console"
    if says("datainspection", "data_inspection", "content_filter", "content_policy", "inappropriate content"):
        return "quarantine", "refused", ""
    if status == 404 or says("model_not_found", "modelnotfound", "model not exist", "model_not_supported"):
        return "abort", "no_model", ""
    if status == 429:
        return "throttle", "throttle", ""
    if status in (401, 402, 403) or says("invalidapikey", "invalid_api_key", "incorrect api key"):
        return "abort", "no_access", ". Check the key, its region and its rights; nothing was retried"
    if 300 <= status < 400:
        return "abort", "redirect", ". The address redirects elsewhere; set --base-url to where the server is"
    if status in (408, 409, 425) or status >= 500:
        return "retry", "server_error", ""
    return "quarantine", "invalid_request", ""


def _error(body: bytes) -> tuple[str, str]:
    """The error's code and message from the forms servers use: {error: {code, message}}, {code, message}, or text."""
    text = body[:_KEPT].decode("utf-8", "backslashreplace")
    found = _json(body[:_KEPT], text)
    if not isinstance(found, dict):
        return "", "a page in HTML" if text.lstrip().startswith("<") else text.strip()
    inner = found.get("error")
    if isinstance(inner, str):
        return str(found.get("code") or ""), inner
    fields = inner if isinstance(inner, dict) else found
    code = " ".join(str(fields[name]) for name in ("code", "type") if fields.get(name))
    return code, str(fields.get("message") or fields.get("detail") or "")


def _json(data: bytes, text: str) -> Any:
    """Decoded JSON, or None. The standard decoder is asked second: it takes escaped lone surrogates, judged later."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_BODY:
            response.close()
            return b"".join(parts)[:MAX_BODY], False
    return b"".join(parts), True
