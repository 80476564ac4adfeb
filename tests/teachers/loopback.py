"""A teacher's server on this machine: answers as a model would, or fails in a way asked for, and counts every hit.

It speaks chat completions (any path ending in `/chat/completions`), DashScope's own endpoint (any path ending in
`/generation`), and the files and batches of the OpenAI API.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from aiohttp import web

MODEL = "qwen-loop-1"


@dataclass
class Hit:
    """One request as it arrived."""

    number: int
    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def native(self) -> bool:
        return self.path.endswith("/generation")

    @property
    def texts(self) -> list[str]:
        messages = self.body["input"]["messages"] if self.native else self.body["messages"]
        found: list[str] = []
        for message in messages:
            content = message["content"]
            found += [content] if isinstance(content, str) else [part["text"] for part in content if "text" in part]
        return found

    @property
    def prompt(self) -> str:
        return self.texts[-1]

    @property
    def images(self) -> list[bytes]:
        messages = self.body["input"]["messages"] if self.native else self.body["messages"]
        found = []
        for part in messages[-1]["content"]:
            uri = part.get("image") or (part.get("image_url") or {}).get("url")
            if uri:
                found.append(base64.b64decode(uri.partition(",")[2], validate=True))
        return found

    @property
    def stage(self) -> str:
        return "distill" if '"think"' in self.prompt else "describe"

    @property
    def anomalous(self) -> bool:
        return 'defect of the kind "' in self.prompt


@dataclass
class Answer:
    """What the server does: a response, or a way of failing."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    action: str = "respond"


Play = Callable[[Hit], Answer]


def image_tokens(data: bytes) -> int:
    """DashScope's formula: sides to multiples of 32 within 2,621,440 pixels, then h * w / 1024 + 2."""
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    across, down = max(1, round(width / 32)) * 32, max(1, round(height / 32)) * 32
    if across * down > 2_621_440:
        beta = (width * height / 2_621_440) ** 0.5
        across, down = int(width / beta / 32) * 32, int(height / beta / 32) * 32
    return across * down // 1024 + 2


def text_tokens(texts: Iterable[str]) -> int:
    """A tokenizer's habit: words cost one token for every four letters begun, punctuation one each."""
    return sum(
        sum(-(-len(word) // 5) for word in re.findall(r"\w+", text)) + len(re.findall(r"[^\w\s]", text))
        for text in texts
    )


def model_reply(hit: Hit) -> dict[str, Any]:
    """What a well-behaved model would write for the prompt."""
    prompt = hit.prompt
    item = re.findall(r'This is item "([0-9a-f]+)"', prompt)
    product = re.search(r'the product "([^"]+)"', prompt)
    name = product[1] if product else "product"
    place = re.search(r'exactly these words(?:, at least once[^:]*)?: "([^"]+)"', prompt)
    location = place[1] if place and hit.anomalous else None
    kind = re.search(r'of the kind "([^"]+)"', prompt)
    coarse = kind[1] if kind else None
    number = int(item[0], 16) % 997 if item else hit.number
    if hit.stage == "describe":
        if location:
            text = (
                f"The {name} keeps its contour and color over most of its surface, photograph {number}. At the "
                f"{location} a {str(coarse).lower()} breaks the even texture; its edge is sharp and darker than its "
                f"surroundings. A sound {name} is smooth at this place."
            )
        else:
            text = f"The {name} is complete in photograph {number}: contour, surface and color are even throughout."
        reply: dict[str, Any] = {"description": text, "defect": bool(location), "location": location}
    elif location:
        reply = {
            "think": (
                f"Scanning the {name} from the top left to the bottom right, the contour is intact and the surface is "
                f"even, view {number}. At the {location} a mark stands out: its edge is sharp, and it is darker than "
                f"the texture around it. The standard for such a {name} demands a smooth, uniform surface, so this "
                f"appearance points to {str(coarse).lower()}. It is more than a harmless variation and may affect the "
                f"function of the part, so the {name} is defective."
            ),
            "fine_type": str(coarse).lower(),
            "new_term_reason": None,
            "answer": "Yes",
            "location": location,
        }
    else:
        reply = {
            "think": (
                f"Scanning the {name} region by region, its contour is complete and its surface is even, view "
                f"{number}. Texture, color and structure are what the standard for such a {name} demands, with no "
                f"break, stain or deformation. Slight differences in light are harmless variation, so the {name} is "
                f"acceptable."
            ),
            "fine_type": None,
            "answer": "No",
            "location": None,
        }
    if item:
        reply["item"] = item[0]
    return reply


def completion(hit: Hit, text: str | None, **changes: Any) -> Answer:
    """A successful response in the form of the endpoint that was hit.

    `changes`: finish_reason, model, request_id, usage (None leaves it out), choices (replaces them), headers.
    """
    images = sum(image_tokens(data) for data in hit.images)
    counted = {"in": images + text_tokens(hit.texts), "out": text_tokens([text or ""]), "images": images}
    finish = changes.get("finish_reason", "stop")
    request_id = changes.get("request_id", f"req-{hit.number}")
    if hit.native:
        content = None if text is None else [{"text": text}]
        choices = [{"finish_reason": finish, "message": {"role": "assistant", "content": content}}]
        body: dict[str, Any] = {"request_id": request_id, "output": {"choices": changes.get("choices", choices)}}
        body["usage"] = {
            "input_tokens": counted["in"],
            "output_tokens": counted["out"],
            "image_tokens": counted["images"],
        }
        if "model" in changes:
            body["model"] = changes["model"]
    else:
        choices = [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}]
        body = {
            "id": request_id,
            "object": "chat.completion",
            "model": changes.get("model", hit.body["model"]),
            "choices": changes.get("choices", choices),
            "usage": {
                "prompt_tokens": counted["in"],
                "completion_tokens": counted["out"],
                "prompt_tokens_details": {"image_tokens": counted["images"]},
            },
        }
    if "usage" in changes:
        body.pop("usage")
    return Answer(200, json.dumps(body).encode(), changes.get("headers", {}))


def good(hit: Hit, **fields: Any) -> Answer:
    """A model's good reply, with some fields of its JSON replaced."""
    return completion(hit, json.dumps({**model_reply(hit), **fields}))


def error(hit: Hit, status: int, code: str, message: str, **headers: str) -> Answer:
    """An error in the form of the endpoint that was hit."""
    native = {"code": code, "message": message, "request_id": "req"}
    compatible = {"error": {"code": code, "type": code, "message": message, "param": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(native if hit.native else compatible).encode(), named)


class Loopback:
    """The server, in a thread of its own; `with Loopback(play) as server`."""

    def __init__(self, play: Play = good, *, latency_s: float = 0.0) -> None:
        self.play, self.latency_s = play, latency_s
        self.hits: list[Hit] = []
        self.most_at_once = 0
        self._now = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="loopback", daemon=True)
        self._ready = threading.Event()
        self.port = 0
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.finish_batches = True

    def __enter__(self) -> Loopback:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, backend: str) -> str:
        """The base URL for a backend."""
        return self.address + ("/api/v1" if backend == "dashscope" else "/v1")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/{path:.*}/files", self._upload)
        app.router.add_get("/{path:.*}/files/{id}/content", self._download)
        app.router.add_post("/{path:.*}/batches", self._submit)
        app.router.add_get("/{path:.*}/batches", self._list)
        app.router.add_get("/{path:.*}/batches/{id}", self._poll)
        app.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        hit = Hit(len(self.hits) + 1, time.monotonic(), request.path, dict(request.headers), body)
        self.hits.append(hit)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            answer = self.play(hit)
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            return await self._perform(request, answer)
        finally:
            self._now -= 1

    async def _perform(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if answer.action == "reset":
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
            return web.Response()
        if answer.action == "hang":
            await asyncio.sleep(3600)
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.action in ("cut", "reset_mid", "drip"):
            response = web.StreamResponse(status=answer.status, headers=headers)
            response.content_length = len(answer.body)
            await response.prepare(request)
            if answer.action == "drip":
                for byte in answer.body:
                    await response.write(bytes([byte]))
                    await asyncio.sleep(0.05)
                return response
            await response.write(answer.body[: len(answer.body) // 2])
            if answer.action == "reset_mid":
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
            else:
                transport.close()
            return response
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    # -- batches

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload = form["file"]
        assert form["purpose"] == "batch"
        assert isinstance(upload, web.FileField)
        name = f"file-{len(self.files) + 1}"
        self.files[name] = upload.file.read()
        return web.json_response({"id": name, "object": "file", "bytes": len(self.files[name])})

    async def _download(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        name = f"batch-{len(self.batches) + 1}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "in_progress",
            "input_file_id": asked["input_file_id"],
            "metadata": asked.get("metadata") or {},
            "endpoint": asked["endpoint"],
        }
        return web.json_response(self.batches[name])

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(self.batches.values()), "has_more": False})

    async def _poll(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        if batch["status"] == "in_progress" and self.finish_batches:
            self._finish(batch, "completed")
        return web.json_response(batch)

    def _finish(self, batch: dict[str, Any], status: str, share: float = 1.0) -> None:
        lines = self.files[batch["input_file_id"]].splitlines()
        outputs, errors = [], []
        for number, line in enumerate(lines):
            if number >= share * len(lines):
                continue
            asked = json.loads(line)
            hit = Hit(len(self.hits) + 1, time.monotonic(), "/batch" + asked["url"], {}, asked["body"])
            self.hits.append(hit)
            answer = self.play(hit)
            body = json.loads(answer.body)
            row = {"id": f"line-{number}", "custom_id": asked["custom_id"], "error": None}
            row["response"] = {"status_code": answer.status, "request_id": f"r-{number}", "body": body}
            (outputs if answer.status == 200 else errors).append(json.dumps(row))
        outputs.reverse()  # a batch promises no order
        for key, rows in (("output_file_id", outputs), ("error_file_id", errors)):
            batch[key] = None
            if rows:
                name = f"file-{len(self.files) + 1}"
                self.files[name] = ("\n".join(rows) + "\n").encode()
                batch[key] = name
        batch["status"] = status

    def end_batch(self, name: str, status: str, share: float) -> None:
        """End a batch early: the first `share` of its lines were worked on."""
        self._finish(self.batches[name], status, share)
