"""What asking a remote teacher costs the client, against AsyncOpenAI as its documentation shows it.

    python -m benchmarks.teachers [--count 600] [--seconds 20]

A server in a process of its own answers at once, so the client is what is measured; each client runs in a process of
its own too. Every request carries two photographs of about 300 kB. Reported, all from this run: processor time and
resident memory a request, requests a second at 64 in flight, their ratio to the baseline, memory for 500 and for 5,000
samples, and how close the pacer comes to limits that the server enforces per second with buckets of two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.row import Row
from expertad.sample import Case, ImageFile, Sample
from expertad.teachers.asking import Asker, Limits, each
from expertad.teachers.calls import MemoryCallLog
from expertad.teachers.encode import ImageEncoder
from expertad.teachers.openai_compatible import OpenAICompatibleBackend
from expertad.teachers.pacing import Pacer
from expertad.teachers.registry import DEFAULT_PARAMETERS
from expertad.teachers.secret import Secret

IN_FLIGHT = 64
PHOTOS = 64
"""Distinct photographs on disk; samples beyond that name the same files under digests of their own."""

TOKENS = 2_650
"""Tokens the server says that each request used: two images of 1024 x 1024 pixels and 600 of text."""

MODEL = "qwen-bench"
REPLY = json.dumps({"description": "The part is even and complete all over.", "defect": False, "location": None})


# -- the server


class Server(asyncio.Protocol):
    """Answers every POST at once; with limits, as an account that enforces them would."""

    limits: tuple[float | None, float | None] = (None, None)
    levels: list[float]
    at = 0.0
    refused = 0
    admitted: list[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport = transport
        self.head, self.missing = bytearray(), 0

    def data_received(self, data: bytes) -> None:
        """Answer when a whole request has come; bodies are counted, not kept."""
        if self.missing:
            self.missing -= len(data)
        else:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            fields = bytes(self.head[:end]).lower().split(b"\r\n")
            length = next(int(field[15:]) for field in fields if field.startswith(b"content-length:"))
            self.missing = length - (len(self.head) - end - 4)
            self.head.clear()
        if self.missing <= 0:
            self.missing = 0
            self.transport.write(self._answer())  # type: ignore[attr-defined]

    def _answer(self) -> bytes:
        kind = type(self)
        if kind._admits():
            kind.admitted.append(time.monotonic())
            usage = {"prompt_tokens": TOKENS - 250, "completion_tokens": 250}
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": REPLY}}
            body = json.dumps(
                {"id": f"r{len(kind.admitted)}", "object": "chat.completion", "created": 0, "model": MODEL}
                | {"choices": [choice], "usage": usage}
            ).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        kind.refused += 1
        return b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    @classmethod
    def _admits(cls) -> bool:
        now = time.monotonic()
        passed, cls.at = now - cls.at, now
        costs = (1.0, float(TOKENS))
        for index, limit in enumerate(cls.limits):
            if limit is not None:
                depth = max(limit / 60 * 2, costs[index])
                cls.levels[index] = min(depth, cls.levels[index] + passed * limit / 60)
        if any(limit and cls.levels[i] < costs[i] for i, limit in enumerate(cls.limits)):
            return False
        for index in range(2):
            cls.levels[index] -= costs[index]
        return True


def serve(pipe: Connection, rpm: float | None, tpm: float | None) -> None:
    Server.limits, Server.levels = (rpm, tpm), [(rpm or 0) / 60 * 2, max((tpm or 0) / 60 * 2, TOKENS)]
    Server.at, Server.admitted = time.monotonic(), []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        server.close()
        pipe.send((Server.refused, Server.admitted))

    asyncio.run(run())


def with_server(work: Callable[[str], Any], rpm: float | None = None, tpm: float | None = None) -> tuple[Any, Any]:
    """Run `work(base_url)` in a process of its own against a server in another; both results."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, rpm, tpm), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(work, (url,))
    here.send("end")
    served = here.recv()
    server.join()
    return result, served


# -- the clients


class Measured:
    """Processor seconds, wall seconds and peak resident MB of a piece of work."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def end(self, requests: int) -> dict[str, float]:
        """What so many requests took."""
        wall = time.monotonic() - self._wall
        return {
            "cpu_ms": (time.process_time() - self._cpu) / requests * 1000,
            "rate": requests / wall,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def draw(folder: Path) -> None:
    """Photographs of about 300 kB: 1024 x 1024 pixels with the grain of a real sensor."""
    rng = np.random.default_rng(0)
    for number in range(PHOTOS + 1):
        smooth = cv2.GaussianBlur(rng.integers(0, 255, (1024, 1024, 3), np.uint8), (0, 0), 6)
        grain = rng.normal(0, 10.6, (1024, 1024, 3))
        pixels = np.clip(cv2.convertScaleAbs(smooth, alpha=1.0) + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])


def image(folder: Path, number: int) -> ImageFile:
    path = folder / f"{number}.jpg"
    return ImageFile(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest(), 1024, 1024)


def cases(folder: Path, count: int) -> list[Case]:
    files = [image(folder, number) for number in range(PHOTOS + 1)]
    made = []
    for number in range(count):
        sample = Sample(f"part/S{number}", "part", f"part/S{number}", "", "normal", "OK", None, "a.jpg", None)
        file = files[number % PHOTOS]
        reference = ImageFile(files[-1].path, f"{number}.jpg", files[-1].sha256, 1024, 1024)
        made.append(Case(sample, file, reference, f"r{number}", None, None))
    return made


def ask_ours(
    folder: str, count: int, rpm: float | None, tpm: float | None, seconds: float, url: str
) -> dict[str, float]:
    """The whole loop: key, encoding, pace, request, strict reading, commit."""
    log = MemoryCallLog()
    pacer = Pacer(rpm, tpm) if rpm or tpm else None
    backend = OpenAICompatibleBackend(MODEL, url, Secret("sk-bench"), DEFAULT_PARAMETERS)
    encoder = ImageEncoder(threads=2, cache_bytes=2 << 20)  # too small to hold the queries: each is read and encoded
    asker = Asker(backend, log, encoder=encoder, pacer=pacer, limits=Limits(at_once=IN_FLIGHT))
    todo = [named(case, number) for number, case in enumerate(cases(Path(folder), count))]

    async def run() -> dict[str, float]:
        await asker.describe(todo[0])
        measured = Measured()
        until = time.monotonic() + seconds

        async def work(case: Case) -> None:
            if time.monotonic() < until:
                await asker.describe(case)

        async for _ in each(todo[1:], work, at_once=IN_FLIGHT):
            pass
        result = measured.end(len(log.calls) - 1)
        await asker.aclose()
        return {**result, "calls": len(log.calls)}

    return asyncio.run(run())


def named(case: Case, number: int) -> Case:
    """The case in a category of its own, so that its prompt, and with it its key, is its own."""
    return replace(case, sample=replace(case.sample, category=f"part {number}"))


def ask_openai(folder: str, count: int, url: str) -> dict[str, float]:
    """AsyncOpenAI as documented: a semaphore, base64 in a data URI, `chat.completions.create`."""
    from openai import AsyncOpenAI

    files = [Path(folder) / f"{number}.jpg" for number in range(PHOTOS + 1)]
    places = asyncio.Semaphore(IN_FLIGHT)

    def uri(path: Path) -> dict[str, Any]:
        text = base64.b64encode(path.read_bytes()).decode()
        return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{text}"}}

    async def run() -> dict[str, float]:
        async with AsyncOpenAI(api_key="sk-bench", base_url=url, max_retries=0) as client:

            async def one(number: int) -> None:
                async with places:
                    text = {"type": "text", "text": "Describe. " * 150}
                    content = [uri(files[-1]), uri(files[number % PHOTOS]), text]
                    reply = await client.chat.completions.create(
                        model=MODEL,
                        messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
                        response_format={"type": "json_object"},
                        temperature=0.6,
                    )
                    json.loads(reply.choices[0].message.content or "")

            await one(0)
            measured = Measured()
            await asyncio.gather(*(one(number) for number in range(count)))
            return measured.end(count)

    return asyncio.run(run())


# -- the report


class Ours:
    """`ask_ours` with its settings, for a process of its own."""

    def __init__(self, folder: str, count: int, rpm: float | None, tpm: float | None, seconds: float) -> None:
        self._settings = (folder, count, rpm, tpm, seconds)

    def __call__(self, url: str) -> dict[str, float]:
        """Ask the server at `url`."""
        return ask_ours(*self._settings, url)


class Theirs:
    """`ask_openai` with its settings, for a process of its own."""

    def __init__(self, folder: str, count: int) -> None:
        self._settings = (folder, count)

    def __call__(self, url: str) -> dict[str, float]:
        """Ask the server at `url`."""
        return ask_openai(*self._settings, url)


def reached(admitted: list[float], per_request: float) -> float:
    """Units a minute between the first and the last admitted request, without the first second's stored burst."""
    steady = [at for at in admitted if at >= admitted[0] + 2]
    return (len(steady) - 1) * per_request / (steady[-1] - steady[0]) * 60


def main(count: int = 600, seconds: float = 20.0) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder)
        size = sum((folder / f"{number}.jpg").stat().st_size for number in range(PHOTOS)) / PHOTOS
        print(f"two images of {size / 1000:.0f} kB a request, {IN_FLIGHT} in flight, {count} requests")
        long = 3600.0
        theirs, _ = with_server(Theirs(name, count))
        ours, _ = with_server(Ours(name, count, None, None, long))
        for title, one in (("AsyncOpenAI", theirs), ("expertad", ours)):
            print(f"{title:12} {one['cpu_ms']:6.2f} ms CPU  {one['rate']:7.0f} requests/s  {one['rss_mb']:6.0f} MB")
        less, more = theirs["cpu_ms"] / ours["cpu_ms"], ours["rate"] / theirs["rate"]
        print(f"ratio        {less:6.1f} x CPU  {more:6.1f} x requests/s")
        for samples in (500, 5000):
            one, _ = with_server(Ours(name, samples, None, None, long))
            print(f"{samples:5} samples: {one['rss_mb']:.0f} MB resident")
        for title, rpm, tpm, unit in (("RPM", 1200.0, None, 1.0), ("TPM", None, 1_000_000.0, float(TOKENS))):
            one, (refused, admitted) = with_server(Ours(name, 5000, rpm, tpm, seconds), rpm, tpm)
            limit = rpm or tpm or 0.0
            print(f"{title} {limit:,.0f}: reached {reached(admitted, unit) / limit:.1%}, {refused} refusals")


def rows(*, quick: bool = False) -> list[Row]:
    """The table's rows; `quick` sends fewer requests."""
    count, many, seconds = (200, 1_000, 6.0) if quick else (600, 5_000, 20.0)
    long = 3600.0
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name))
        theirs, _ = with_server(Theirs(name, count))
        ours, _ = with_server(Ours(name, count, None, None, long))
        few_mb, many_mb = (with_server(Ours(name, n, None, None, long))[0]["rss_mb"] for n in (many // 10, many))
        found = [
            Row(
                "client's processor time a request with two photographs",
                f"{ours['cpu_ms']:.2f} ms (AsyncOpenAI: {theirs['cpu_ms']:.2f} ms)",
                "<= 2 ms",
                ours["cpu_ms"] <= 2.0,
            ),
            Row(
                f"requests a second at {IN_FLIGHT} in flight / AsyncOpenAI's",
                f"{ours['rate'] / theirs['rate']:.1f} ({ours['rate']:.0f} and {theirs['rate']:.0f})",
                ">= 3",
                ours["rate"] >= 3 * theirs["rate"],
            ),
            Row(
                f"client's memory, {many // 10:,} and {many:,} samples",
                f"{few_mb:.0f} and {many_mb:.0f} MB",
                "< 300 MB and the same",
                many_mb < 300 and many_mb < 1.1 * few_mb,
            ),
        ]
        for title, rpm, tpm, unit in (("RPM", 1200.0, None, 1.0), ("TPM", None, 1_000_000.0, float(TOKENS))):
            _, (refused, admitted) = with_server(Ours(name, many, rpm, tpm, seconds), rpm, tpm)
            share = reached(admitted, unit) / (rpm or tpm or 1.0)
            figure, target = f"{share:.1%}, {refused} refusals", ">= 95%, 0 refusals"
            found.append(Row(f"of a set {title} of {rpm or tpm:,.0f}", figure, target, share >= 0.95 and not refused))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    main(options.count, options.seconds)
