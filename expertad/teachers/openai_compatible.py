"""Any server that speaks OpenAI's chat completions: DashScope's compatible mode, vLLM, SGLang and others.

The body is put together from bytes: the images are encoded once and spliced in, since passing 800 kB of base64 through
a JSON encoder costs more than everything else a request does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from expertad.teachers.base import Encoded, Fault, RawReply, Request, Usage
from expertad.teachers.secret import Secret
from expertad.teachers.wire import Exchange, Pieces, Wire, first_choice, text_of


class OpenAICompatibleBackend:
    """POSTs to `<base_url>/chat/completions`.

    Args:
        model: the model to ask for.
        base_url: e.g. "https://dashscope.aliyuncs.com/compatible-mode/v1".
        secret: the key; an empty one sends no Authorization header.
        parameters: sampling parameters and whatever else belongs at the body's top level.
    """

    name = "openai"
    remote = True

    def __init__(self, model: str, base_url: str, secret: Secret, parameters: Mapping[str, Any]) -> None:
        self.model, self.parameters = model, parameters
        self.wire = Wire(base_url, secret)
        self.host = self.wire.host

    async def send(self, request: Request) -> RawReply:
        """One POST, one reply.

        Raises:
            Fault: see `wire.Wire`.
        """
        body = Pieces(chat_body(request, self.model, self.parameters))
        exchange = await self.wire.post("/chat/completions", body)
        return read_completion(self.wire, exchange, self.model)

    async def aclose(self) -> None:
        """Close connections."""
        await self.wire.aclose()


def chat_body(request: Request, model: str, parameters: Mapping[str, Any]) -> list[bytes]:
    """The JSON body of a chat completion in pieces, images as data URIs before the text."""
    head = b'{"model":' + orjson.dumps(model) + b',"messages":['
    if request.system:
        head += b'{"role":"system","content":' + orjson.dumps(request.system) + b"},"
    head += b'{"role":"user","content":['
    pieces = []
    for picture in request.encoded:
        pieces += [head + b'{"type":"image_url","image_url":{"url":"' + uri_head(picture), picture.base64]
        head = b'"}},'
    tail = orjson.dumps(parameters)[1:] if parameters else b"}"
    separator = b"," if parameters else b""
    text = b'{"type":"text","text":' + orjson.dumps(request.text) + b"}]}]"
    return [*pieces, head + text + separator + tail]


def uri_head(picture: Encoded) -> bytes:
    """What stands before the base64 text in a data URI."""
    return b"data:" + picture.mime.encode() + b";base64,"


def read_completion(wire: Wire, exchange: Exchange, model: str) -> RawReply:
    """The reply in a chat completion.

    Raises:
        Fault: the exchange holds no completion.
    """
    body = wire.reply_body(exchange, model)
    raw = wire.kept(exchange)
    request_id = str(body.get("id") or body.get("request_id") or exchange.headers.get("x-request-id", ""))
    usage = _usage(body.get("usage"))
    choices = body.get("choices")
    if not isinstance(choices, list):
        kept = RawReply(None, raw, request_id=request_id, usage=usage, latency_s=exchange.latency_s, http_status=200)
        raise Fault("retry", "status 200 without choices: " + raw[:200], code="no_output", reply=kept)
    message, reason = first_choice(choices)
    text = text_of(message)
    return RawReply(
        text=None if text is None else wire.secret.hide(text),
        raw=wire.secret.hide(text) if text else raw,
        model=str(body.get("model") or ""),
        request_id=request_id,
        finish_reason="content_filter" if message.get("refusal") else reason,
        usage=usage,
        latency_s=exchange.latency_s,
        http_status=200,
        headers=wire.kept_headers(exchange),
    )


def _usage(found: Any) -> Usage | None:
    if not isinstance(found, dict) or not isinstance(found.get("prompt_tokens"), int):
        return None
    details = found.get("prompt_tokens_details")
    images = details.get("image_tokens") if isinstance(details, dict) else None
    output = found.get("completion_tokens")
    return Usage(
        found["prompt_tokens"], output if isinstance(output, int) else 0, images if isinstance(images, int) else 0
    )
