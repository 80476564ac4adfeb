"""A teacher's server on this machine: answers as a model would, or fails in a way asked for, and counts every hit.

It speaks chat completions (any path ending in `/chat/completions`), DashScope's own endpoint (any path ending in
`/generation`), and the files and batches of the OpenAI API.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
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


SCANS = (
    "Scanning the {name} from its upper edge downwards, the contour is closed and the proportions are regular.",
    "Looking over the whole {name} row by row, I find its outline complete and its parts where they belong.",
    "The view takes in the {name} as a whole; edges run evenly and nothing is out of shape.",
    "I go over the {name} region by region and first take in the overall shape, which is regular.",
    "Across the photograph the {name} fills the scene, and its silhouette has no break.",
    "Beginning with the rim of the {name} and moving inwards, the geometry stays steady.",
)
SOUND = (
    "Texture and color keep an even tone, and reflections fade smoothly over the surface.",
    "The surface shows the fine grain expected of its material, without a sharp change in brightness.",
    "Color, gloss and roughness are uniform, and transitions between faces are crisp.",
    "Its finish is consistent, with soft shading that follows the form.",
    "Markings and edges are legible, and the material looks the same everywhere.",
    "Fine structure repeats at a constant pitch, and no patch stands out from its surroundings.",
)
MARKS = (
    "At the {place}, however, a mark interrupts this: its border is sharp and it is darker than the area around it.",
    "Only at the {place} the appearance changes; a clearly bounded trace cuts through the even texture.",
    "One area, at the {place}, departs from the rest, since its tone drops abruptly along a distinct edge.",
    "My attention stops at the {place}, where the surface is visibly disturbed and loses its gloss.",
    "A local irregularity appears at the {place}; it contrasts with the material next to it.",
    "The {place} shows a break in the surface, narrow at one end and wider at the other.",
)
STANDARDS = (
    "The standard for such a {name} demands an unbroken, uniform surface, so this appearance points to {kind}.",
    "A sound {name} is smooth at this point; compared with that norm, the finding is typical of {kind}.",
    "From experience with this product, such a trace is not part of its design and matches {kind}.",
    "Requirements for a {name} allow no such change of structure, and its character corresponds to {kind}.",
    "Knowing how the part is made, an even finish is expected here; what is seen fits {kind}.",
    "Against the specification of an intact {name}, the deviation is clear and is best described as {kind}.",
)
NORMS = (
    "This is what the standard for such a {name} demands.",
    "A sound {name} looks exactly like this in material and structure.",
    "Compared with the requirements for this product, nothing departs from the norm.",
    "Knowing how a {name} is made, these features are as expected.",
    "Specification and appearance agree in shape, finish and structure.",
    "For a product of this kind, the structure and finish meet the usual criteria.",
)
VERDICTS = (
    "It is more than a harmless variation and may affect the function, so the {name} is defective.",
    "Weighing this, it cannot be taken for light or dust; it could shorten service life, and the part is an anomaly.",
    "The deviation is real, may weaken the part in use, and I conclude that the {name} has a defect.",
    "Since it may impair handling and appearance, the decision is that this is a defect.",
    "I judge it significant: the part does not conform and would be rejected.",
    "Its extent exceeds what is tolerable and it could spread, hence the {name} is not acceptable.",
)
PASSES = (
    "Slight differences in light are harmless variation, so the {name} is acceptable.",
    "Weighing all this, nothing affects its function and I conclude there is no defect.",
    "Small differences in brightness come from the lighting only; the part conforms.",
    "No finding goes beyond ordinary variation, hence the {name} passes.",
    "I judge it free of anomalies and fit for use.",
    "Decision: the part is normal, since nothing observed could impair it.",
)


def model_reply(hit: Hit) -> dict[str, Any]:
    """What a well-behaved model would write for the prompt; the same for the same item, varied between items."""
    prompt = hit.prompt
    item = re.findall(r'This is item "([0-9a-f]+)"', prompt)
    product = re.search(r'the product "([^"]+)"', prompt)
    place = re.search(r'exactly these words(?:, at least once[^:]*)?: "([^"]+)"', prompt)
    kind = re.search(r'of the kind "([^"]+)"', prompt)
    chance = random.Random(item[0] if item else hit.number)
    words = {
        "name": product[1] if product else "product",
        "place": place[1] if place else "",
        "kind": kind[1].lower() if kind else "",
    }

    def say(*pools: tuple[str, ...]) -> str:
        return " ".join(chance.choice(pool).format(**words) for pool in pools)

    location = words["place"] if place and hit.anomalous else None
    reply: dict[str, Any]
    if hit.stage == "describe":
        text = say(SCANS, SOUND, MARKS) if location else say(SCANS, SOUND, NORMS)
        reply = {"description": text, "defect": location is not None, "location": location}
    elif location:
        text = say(SCANS, SOUND, MARKS, STANDARDS, VERDICTS)
        reply = {
            "think": text,
            "fine_type": words["kind"],
            "new_term_reason": None,
            "answer": "Yes",
            "location": location,
        }
    else:
        first, second = chance.sample(SOUND, 2)
        text = say(SCANS, (first,), (second,), NORMS, PASSES)
        reply = {"think": text, "fine_type": None, "answer": "No", "location": None}
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
        if transport is None:
            return web.Response()  # the client is gone
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
