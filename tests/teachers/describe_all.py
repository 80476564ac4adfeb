"""Describes many samples with a remote teacher and keeps the calls in a real ledger: the program that tests kill.

python -m tests.teachers.describe_all FOLDER BASE_URL COUNT AT_ONCE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from expertad.ledger import Ledger, sqlite_url
from expertad.teachers.asking import Asker, Limits, each
from expertad.teachers.encode import ImageEncoder
from expertad.teachers.openai_compatible import OpenAICompatibleBackend
from expertad.teachers.secret import Secret
from tests.teachers.helpers import KEY, PARAMETERS, build_case
from tests.teachers.loopback import MODEL


def main(folder: Path, url: str, count: int, at_once: int) -> None:
    cases = [build_case(folder / "photos", number, anomalous=False, size=(48, 40)) for number in range(count)]
    ledger = Ledger(sqlite_url(folder))
    backend = OpenAICompatibleBackend(MODEL, url, Secret(KEY), PARAMETERS)
    asker = Asker(backend, ledger, encoder=ImageEncoder(threads=1), limits=Limits(at_once=at_once))

    async def run() -> None:
        async for _ in each(cases, asker.describe, at_once=at_once):
            pass
        await asker.aclose()

    asyncio.run(run())
    ledger.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
