"""DashScope's own endpoint, through the vendor's SDK and its asynchronous class.

What the SDK does unasked is kept from it: it would upload local files whose path equals a text, pass the images
through a JSON encoder, name this machine's system in a header, send a request again when a connection drops (both may
be billed), and forget status and body when a reply is not what it expects. So it gets markers in place of texts and
images, and a session that puts the real ones in, sends once, and keeps what came back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
from dashscope import AioMultiModalConversation

from expertad.teachers.base import Fault, RawReply, Request, Usage
from expertad.teachers.openai_compatible import uri_head
from expertad.teachers.secret import Secret
from expertad.teachers.wire import Exchange, Pieces, Wire, first_choice, text_of

_NO_TIMEOUT_S = 86_400


class DashScopeBackend:
    """The multimodal-generation endpoint.

    Args:
        model: the model to ask for.
        base_url: e.g. "https://dashscope.aliyuncs.com/api/v1".
        secret: the key.
        parameters: sampling parameters.
    """

    name = "dashscope"
    remote = True

    def __init__(self, model: str, base_url: str, secret: Secret, parameters: Mapping[str, Any]) -> None:
        self.model, self.parameters = model, parameters
        self.wire = Wire(base_url, secret)
        self.host = self.wire.host
        # The SDK logs a traceback for every failed request; each one is in the ledger, without the key.
        logging.getLogger("dashscope").setLevel(logging.CRITICAL)

    async def send(self, request: Request) -> RawReply:
        """One call of the SDK, one POST, one reply.

        Raises:
            Fault: see `wire.Wire`.
        """
        session = _OneShot(self.wire)
        messages = _messages(request, session)
        try:
            await AioMultiModalConversation.call(
                model=self.model,
                messages=messages,
                api_key=self.wire.secret.reveal(),
                base_address=self.wire.base_url,
                request_timeout=_NO_TIMEOUT_S,
                session=session,
                **self.parameters,
            )
        except Fault:
            raise
        except Exception as error:  # the SDK lets any error of its parsing out; the exchange says what really happened
            if session.exchange is None:
                reason = self.wire.secret.hide(f"{type(error).__name__}: {error}")[:300]
                raise Fault("quarantine", f"the request could not be made ({reason})", code="invalid_request") from None
        assert session.exchange is not None
        return _read_generation(self.wire, session.exchange, self.model)

    async def aclose(self) -> None:
        """Close connections."""
        await self.wire.aclose()


class _OneShot:
    """What the SDK takes for an aiohttp session: sends once, with the markers replaced, and keeps the response."""

    # The SDK tells an asynchronous session by its class and uses its own for any other.
    __class__ = property(lambda self: aiohttp.ClientSession)

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._pieces: list[tuple[bytes, tuple[bytes, ...]]] = []
        self._sent = False
        self.exchange: Exchange | None = None

    def mark(self, quoted: bool, *pieces: bytes) -> str:
        """A marker that stands for `pieces`; with `quoted` they replace the marker's quotation marks too."""
        marker = f"expertad-{uuid4().hex}"
        found = f'"{marker}"' if quoted else marker
        self._pieces.append((found.encode(), pieces))
        return marker

    async def request(self, method: str, *, url: str, data: bytes, headers: Mapping[str, str], timeout: Any) -> _Held:
        """Send once.

        Raises:
            Fault: retry, when no whole response came, and when the SDK tries to send again.
        """
        if self._sent:
            raise Fault("retry", f"the connection to {self._wire.host} failed", code="network")
        self._sent = True
        parts, rest = [], data
        for marker, pieces in self._pieces:
            before, _, rest = rest.partition(marker)
            parts += [before, *pieces]
        needed = {name: headers[name] for name in ("Authorization", "Content-Type") if name in headers}
        self.exchange = await self._wire.exchange(method, url, Pieces([*parts, rest]), needed)
        return _Held(self.exchange)


class _Held:
    """A response already read, as the SDK wants to see one."""

    def __init__(self, exchange: Exchange) -> None:
        self.status, self.headers, self._body = exchange.status, exchange.headers, exchange.body
        self.content_type = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def json(self) -> Any:
        return orjson.loads(self._body)

    async def read(self) -> bytes:
        return self._body

    async def text(self) -> str:
        return self._body.decode("utf-8", "replace")

    async def __aenter__(self) -> _Held:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


def _messages(request: Request, session: _OneShot) -> list[dict[str, Any]]:
    """The SDK's messages, with markers where images and texts go, in the order they will stand in the body."""
    messages: list[dict[str, Any]] = []
    if request.system:
        text = session.mark(True, orjson.dumps(request.system))
        messages.append({"role": "system", "content": [{"text": text}]})
    content: list[dict[str, str]] = []
    for picture in request.encoded:
        content.append({"image": "data:" + session.mark(False, uri_head(picture)[5:], picture.base64)})
    content.append({"text": session.mark(True, orjson.dumps(request.text))})
    messages.append({"role": "user", "content": content})
    return messages


def _read_generation(wire: Wire, exchange: Exchange, model: str) -> RawReply:
    body = wire.reply_body(exchange, model)
    raw = wire.kept(exchange)
    request_id = str(body.get("request_id") or exchange.headers.get("x-request-id", ""))
    usage = _usage(body.get("usage"))
    output = body.get("output")
    choices = output.get("choices") if isinstance(output, dict) else None
    if not isinstance(choices, list):
        kept = RawReply(None, raw, request_id=request_id, usage=usage, latency_s=exchange.latency_s, http_status=200)
        raise Fault("retry", "status 200 without output: " + raw[:200], code="no_output", reply=kept)
    message, reason = first_choice(choices)
    text = text_of(message)
    return RawReply(
        text=None if text is None else wire.secret.hide(text),
        raw=wire.secret.hide(text) if text else raw,
        model=str(body.get("model") or ""),
        request_id=request_id,
        finish_reason="" if reason == "null" else reason,
        usage=usage,
        latency_s=exchange.latency_s,
        http_status=200,
        headers=wire.kept_headers(exchange),
    )


def _usage(found: Any) -> Usage | None:
    if not isinstance(found, dict) or not isinstance(found.get("input_tokens"), int):
        return None
    output, images = found.get("output_tokens"), found.get("image_tokens")
    return Usage(
        found["input_tokens"], output if isinstance(output, int) else 0, images if isinstance(images, int) else 0
    )
