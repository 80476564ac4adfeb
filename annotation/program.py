"""Label Studio's program: the settings it runs with, the making of its data folder, its start and its log.

It sees of our environment what any program needs and which PostgreSQL to use, and nothing else: it reads plain names
like DEBUG, HOST and PORT, which are set for other programs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from annotation.access import Account
from annotation.child import tied
from annotation.environment import Say
from expertad.errors import ReviewError
from expertad.workspace import write_errors

HOST = "127.0.0.1"
START_SECONDS = 900.0
"""A first start makes the database: half a minute alone, several on a machine that is busy with other things."""
STOP_SECONDS = 15.0
TOLD_SECONDS = 15.0

PASSED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DJANGO_DB", "LABEL_STUDIO_DJANGO_DB")
PASSED_PREFIXES = ("LC_", "POSTGRE_", "LABEL_STUDIO_POSTGRE_", "PG")


@dataclass(frozen=True, slots=True)
class Program:
    """Label Studio in its own environment, for one workspace's folder."""

    path: Path
    folder: Path
    account: Account
    public_url: str | None = None

    @property
    def data(self) -> Path:
        """Its database, its secret key and its media. What has this name is whole."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """All that it says."""
        return self.folder / "server.log"

    def make_data(self, say: Say) -> None:
        """Make the data folder with its database and the account, where there is none yet.

        A database whose making was cut off cannot always be gone on with. So it is made under another name, and anew.
        """
        if self.data.exists():
            return
        say("Label Studio's database is being made; this takes a minute or more, once")
        partial = self.folder / "data.new"
        with write_errors(self.folder):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700)
        process = self._run(partial, "init", "--quiet")
        try:
            self.wait(process, lambda: False, say)
        finally:
            stop(process)
        if process.returncode != 0:
            hint = "" if self._sqlite() else " (one whose first start was cut off is half made: give it an empty one)"
            raise ReviewError(
                f"Label Studio could not make its database{hint}: it ended with code {process.returncode}; "
                f"{self.last_words()}"
            )
        with write_errors(self.folder):
            partial.rename(self.data)

    def start(self, port: int) -> subprocess.Popen[bytes]:
        """Start the server; it takes another port when this one is taken."""
        return self._run(self.data, "start", "--no-browser", "--internal-host", HOST, "--port", str(port))

    def new_log(self) -> None:
        """Put the last log aside."""
        if self.log.exists():
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))

    def last_words(self) -> str:
        """The end of its log, without the secrets that we gave it."""
        text = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        for name, value in self._environment(self.data).items():
            if name.endswith("PASSWORD") and value:
                text = text.replace(value, "…")
        return f"its log, {self.log}, says last:\n{text}"

    def wait(self, process: subprocess.Popen[bytes], done: Callable[[], bool], say: Say) -> bool:
        """Wait until something is done (True), or the process has ended before (False).

        Raises:
            ReviewError: neither comes in a quarter of an hour.
        """
        begun = told = time.monotonic()
        while process.poll() is None:
            if done():
                return True
            now = time.monotonic()
            if now - begun > START_SECONDS:
                raise ReviewError(f"Label Studio is not ready after {START_SECONDS:.0f} s; {self.last_words()}")
            if now - told > TOLD_SECONDS:
                say(f"still at it, {now - begun:.0f} s")
                told = now
            time.sleep(0.2)
        return False

    def _run(self, data: Path, *words: str) -> subprocess.Popen[bytes]:
        with write_errors(self.folder):
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                return subprocess.Popen(
                    tied([self.path, *words]), cwd=data, env=self._environment(data), umask=0o077,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                    # Ctrl-C at the terminal reaches us alone, who then end it in order.
                    start_new_session=True,
                )  # fmt: skip
            finally:
                os.close(log)

    def _environment(self, data: Path) -> dict[str, str]:
        return {
            **_passed(),
            **_names(self.public_url),
            "LABEL_STUDIO_BASE_DATA_DIR": str(data),
            "LABEL_STUDIO_USERNAME": self.account.email,
            "LABEL_STUDIO_PASSWORD": self.account.password,
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "LABEL_STUDIO_CORS_ALLOW_ALL_ORIGINS": "false",
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_SENTRY_DSN": "",
            "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.folder / "files"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONNOUSERSITE": "1",
        }

    def _sqlite(self) -> bool:
        given = _passed()
        return given.get("LABEL_STUDIO_DJANGO_DB", given["DJANGO_DB"]) == "sqlite"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process in order, or else outright."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def check_front(public_url: str) -> None:
    """Refuse what is no address of a server; one with a path would change every address behind it."""
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ReviewError(f"{public_url!r} is no address of a front: give one like https://review.example.org")


def _passed() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    return _database(kept) | kept


def _database(environment: Mapping[str, str]) -> dict[str, str]:
    """PostgreSQL where the environment names it in Label Studio's own words; else SQLite in the folder."""
    named = {"POSTGRE_HOST", "LABEL_STUDIO_POSTGRE_HOST"} & environment.keys()
    return {"DJANGO_DB": "default" if named else "sqlite"}


def _names(public_url: str | None) -> dict[str, str]:
    """Settings for the names by which the server may be asked; it refuses every other."""
    own = f"{HOST},localhost"
    if public_url is None:
        return {"LABEL_STUDIO_ALLOWED_HOSTS": own}
    parts = urlsplit(public_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return {
        "LABEL_STUDIO_ALLOWED_HOSTS": f"{own},{parts.hostname}",
        "LABEL_STUDIO_HOST": origin,
        "LABEL_STUDIO_CSRF_TRUSTED_ORIGINS": origin,
    }
