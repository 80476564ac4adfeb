"""Half-price batches of an OpenAI-compatible server (DashScope's in Beijing, OpenAI's own and others).

A batch is a file of questions, worked off within hours without rate limits. `advance` may be called any number of
times, in any process: it collects what is finished, submits what is open, and says what is still under way. A line is
known by our own key, never by its position or the server's id; what a batch did not answer stays open for another
batch or for online calls.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from expertad.errors import DataError, TeacherAbort
from expertad.teachers.asking import Asker
from expertad.teachers.base import Fault, RawReply, Request
from expertad.teachers.openai_compatible import OpenAICompatibleBackend, chat_body, read_completion
from expertad.teachers.wire import Exchange, Wire

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_GET_TRIES = 4


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one batch file may hold; the defaults are DashScope's."""

    lines: int = 50_000
    file_bytes: int = 500_000_000
    line_bytes: int = 6_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a stage stands.

    Args:
        settled: questions with a settled answer.
        under_way: questions in batches that have not ended.
        open: questions in no batch: too long for a line, unreadable, or answered by something to ask again.
        reasons: what ended batches said about questions they did not answer.
    """

    settled: int
    under_way: int
    open: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One batch file and how far it has come; kept as JSON beside it."""

    name: str
    digest: str
    file_id: str = ""
    batch_id: str = ""
    status: str = "written"


class Batches:
    """The batches of one workspace.

    Args:
        asker: an asker over an OpenAI-compatible backend; its call log and price are used, its pace is not needed.
        folder: where batch files and their state are kept.
        limits: of one file.
        window: how long the server may take, "24h" to "336h".
    """

    def __init__(self, asker: Asker, folder: Path, *, limits: BatchLimits | None = None, window: str = "24h") -> None:
        if not isinstance(asker.backend, OpenAICompatibleBackend):
            raise TeacherAbort(f"the {asker.backend.name} teacher has no batch mode; use --teacher openai")
        self._asker, self._backend = asker, asker.backend
        self._wire: Wire = asker.backend.wire
        self._folder, self._limits, self._window = folder, limits or BatchLimits(), window
        folder.mkdir(parents=True, exist_ok=True)

    async def advance(self, requests: Iterable[Request]) -> Progress:
        """Collect, then submit, and report.

        Args:
            requests: every question of a stage, settled or not (`Asker.describe_request`, `distill_request`).

        Raises:
            TeacherAbort: the server refuses files or batches.
            DiskFull: a file cannot be written.
        """
        wanted = {self._asker.key(request): request for request in requests}
        reasons: list[str] = []
        for part in self._parts():
            here = self._keys(part) & wanted.keys()
            if here and part.status != "collected":  # another stage's batch is collected when that stage asks
                await self._collect(await self._submitted(part), wanted, reasons)
            elif any(self._untouched(key) for key in here):  # answered when nobody asked for it
                await self._take_all(part, wanted, reasons)
        waiting = self._under_way()
        unsettled = {key: request for key, request in wanted.items() if self._asker.calls.settled(key) is None}
        fresh = {key: request for key, request in unsettled.items() if key not in waiting}
        first_time = {key: request for key, request in fresh.items() if self._untouched(key)}
        async for part in self._write(first_time):
            await self._submitted(part)
        waiting = self._under_way()
        under_way = sum(key in waiting for key in unsettled)
        return Progress(len(wanted) - len(unsettled), under_way, len(unsettled) - under_way, tuple(reasons))

    # -- writing

    async def _write(self, requests: Mapping[str, Request]) -> AsyncIterator[_Part]:
        """Write the questions into as many files as the limits demand."""
        lines: list[bytes] = []
        keys: list[str] = []
        size = 0
        for key, request in requests.items():
            try:
                ready = await self._asker.ready(request)
            except DataError:
                continue
            line = _line(key, b"".join(chat_body(ready, self._backend.model, self._backend.parameters)))
            if len(line) > self._limits.line_bytes:
                continue
            if lines and (len(lines) >= self._limits.lines or size + len(line) > self._limits.file_bytes):
                yield self._store(lines, keys)
                lines, keys, size = [], [], 0
            lines.append(line)
            keys.append(key)
            size += len(line)
        if lines:
            yield self._store(lines, keys)

    def _store(self, lines: list[bytes], keys: list[str]) -> _Part:
        data = b"".join(lines)
        digest = hashlib.sha256(data).hexdigest()
        part = _Part(f"part-{digest[:16]}", digest)
        _put(self._folder / f"{part.name}.jsonl", data)
        _put(self._folder / f"{part.name}.keys", "\n".join(keys).encode())
        self._remember(part)
        return part

    # -- submitting

    async def _submitted(self, part: _Part) -> _Part:
        """The part with its batch at the server; one made before a crash is found again and not paid twice."""
        if part.batch_id:
            return part
        known = await self._get("/batches?limit=100")
        for batch in known.get("data") or ():
            if (batch.get("metadata") or {}).get("expertad") == part.digest[:32]:
                return self._remember(replace(part, batch_id=str(batch["id"]), status=str(batch["status"])))
        if not part.file_id:
            part = self._remember(replace(part, file_id=await self._upload(self._folder / f"{part.name}.jsonl")))
        asked = {
            "input_file_id": part.file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": self._window,
            "metadata": {"expertad": part.digest[:32]},
        }
        exchange = await self._wire.post("/batches", orjson.dumps(asked))
        batch = self._object(exchange)
        return self._remember(replace(part, batch_id=str(batch["id"]), status=str(batch["status"])))

    async def _upload(self, path: Path) -> str:
        with path.open("rb") as file:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", file, filename=path.name, content_type="application/jsonl")
            writer = form()
            exchange = await self._wire.exchange(
                "POST", self._wire.base_url + "/files", writer, {**self._authorization(), **writer.headers}
            )
        return str(self._object(exchange)["id"])

    # -- collecting

    async def _collect(self, part: _Part, wanted: Mapping[str, Request], reasons: list[str]) -> None:
        """Keep every answer of a batch that has ended; answers nobody asks for now stay in its file."""
        batch = await self._get(f"/batches/{part.batch_id}")
        status = str(batch.get("status"))
        if status not in ENDED:
            self._remember(replace(part, status=status))
            return
        if status == "failed":
            reasons.append(f"batch {part.batch_id} failed: {json.dumps(batch.get('errors'))[:300]}")
        for kind, path in zip(("output_file_id", "error_file_id"), self._answers(part), strict=True):
            if batch.get(kind):
                await self._download(str(batch[kind]), path)
        await self._take_all(part, wanted, reasons)

    async def _take_all(self, part: _Part, wanted: Mapping[str, Request], reasons: list[str]) -> None:
        """Keep what the downloaded files of a batch answer."""
        abort: Fault | None = None
        for path in filter(Path.exists, self._answers(part)):
            with path.open("rb") as file:
                for line in file:
                    fault = await self._take(line, wanted)
                    if fault is not None:
                        reasons.append(fault.reason)
                        abort = fault if fault.kind == "abort" else abort
        self._remember(replace(part, status="collected"))
        if abort is not None:
            raise TeacherAbort(f"batch {part.batch_id}: {abort.reason}")

    def _answers(self, part: _Part) -> tuple[Path, Path]:
        """Files of a batch's answers, and of its failures."""
        return self._folder / f"{part.name}.output.jsonl", self._folder / f"{part.name}.error.jsonl"

    def _untouched(self, key: str) -> bool:
        return self._asker.calls.attempts(key) == 0

    async def _take(self, line: bytes, wanted: Mapping[str, Request]) -> Fault | None:
        """Keep the answer in one line of an output or error file, if its question is wanted and not settled."""
        row = orjson.loads(line)
        request = wanted.get(str(row.get("custom_id")))
        if request is None or self._asker.calls.settled(str(row["custom_id"])) is not None:
            return None
        request = replace(request, item=str(row["custom_id"])[:10])
        answer: RawReply | Fault
        try:
            answer = read_completion(self._wire, _exchange(row), self._backend.model)
        except Fault as fault:
            answer = fault
        call = await self._asker.settle(request, answer, via="batch")
        if call.outcome in ("ok", "repaired"):
            return None
        return answer if isinstance(answer, Fault) else Fault("reask", call.reason)

    # -- the server

    async def _get(self, path: str) -> dict[str, Any]:
        for attempt in range(_GET_TRIES):
            try:
                exchange = await self._wire.exchange("GET", self._wire.base_url + path, None, self._authorization())
                if exchange.status < 500 or attempt == _GET_TRIES - 1:
                    return self._object(exchange)
            except Fault as fault:
                if attempt == _GET_TRIES - 1 or fault.kind != "retry":
                    raise TeacherAbort(f"{self._wire.host}{path}: {fault.reason}") from None
            await asyncio.sleep(2**attempt)
        raise AssertionError("the loop above returns or raises")

    async def _download(self, file_id: str, path: Path) -> None:
        url = f"{self._wire.base_url}/files/{file_id}/content"
        partial = path.with_suffix(".part")
        try:
            async with self._wire.session().get(url, headers=self._authorization(), allow_redirects=False) as response:
                if response.status != 200:
                    raise TeacherAbort(
                        f"{self._wire.host}: file {file_id} cannot be fetched (status {response.status})"
                    )
                with partial.open("wb") as file:
                    async for piece in response.content.iter_chunked(1 << 20):
                        file.write(piece)
        except aiohttp.ClientError as error:
            raise TeacherAbort(f"{self._wire.host}: file {file_id} cannot be fetched ({error})") from None
        os.replace(partial, path)

    def _object(self, exchange: Exchange) -> dict[str, Any]:
        try:
            return self._wire.reply_body(exchange, self._backend.model)
        except Fault as fault:
            raise TeacherAbort(f"batch mode of {self._wire.host}: {fault.reason}") from None

    def _authorization(self) -> dict[str, str]:
        key = self._wire.secret.reveal()
        return {"Authorization": f"Bearer {key}"} if key else {}

    # -- state

    def _parts(self) -> list[_Part]:
        return [_Part(**json.loads(path.read_text("utf-8"))) for path in sorted(self._folder.glob("part-*.json"))]

    def _remember(self, part: _Part) -> _Part:
        _put(self._folder / f"{part.name}.json", json.dumps(asdict(part)).encode())
        return part

    def _keys(self, part: _Part) -> set[str]:
        """Keys of the questions in a batch."""
        return set((self._folder / f"{part.name}.keys").read_text("utf-8").split())

    def _under_way(self) -> set[str]:
        """Keys in batches that have not been collected."""
        return {key for part in self._parts() if part.status != "collected" for key in self._keys(part)}


def _line(key: str, body: bytes) -> bytes:
    head = b'{"custom_id":"' + key.encode() + b'","method":"POST","url":"/v1/chat/completions","body":'
    return head + body + b"}\n"


def _exchange(row: Mapping[str, Any]) -> Exchange:
    """A line of a result file as the response it stands for."""
    response = row.get("response")
    if not isinstance(response, dict):
        return Exchange(500, {}, orjson.dumps({"error": row.get("error") or {"message": "no response"}}), True, 0.0)
    return Exchange(int(response.get("status_code") or 500), {}, orjson.dumps(response.get("body")), True, 0.0)


def _put(path: Path, data: bytes) -> None:
    """Write a file that is either whole or not there."""
    partial = path.with_name(path.name + ".tmp")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
