"""Killed at any moment, a build loses nothing, doubles nothing, and shows nobody half a data set."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from support import Ran, command, environment


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


class Watcher(threading.Thread):
    """Looks at the data set all the time, as a reader would, and remembers what was wrong with it."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(daemon=True)
        self.dataset = dataset
        self.faults: list[str] = []
        self.looks = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.is_set():
            # A folder opened once stays the same folder however often its name is given to another.
            if self.dataset.is_dir():
                self._look()
            time.sleep(0.002)

    def _look(self) -> None:
        identity = self.dataset.stat().st_ino
        try:
            files = json.loads((self.dataset / "digest.json").read_text())["files"]
            missing = [name for name, size in files.items() if (self.dataset / name).stat().st_size != size]
        except (OSError, ValueError) as error:
            missing = [repr(error)]
        if missing and self.dataset.is_dir() and self.dataset.stat().st_ino == identity:
            self.faults.append(f"{missing}")
        self.looks += 1

    def stop(self) -> None:
        self._done.set()
        self.join()


def build(root: Path, workspace: Path, **changes: object) -> list[str]:
    flags = [word for name, value in changes.items() for word in (f"--{name}", value)]
    return command(
        "build", "--source", "real-iad", "--root", root, "--workspace", workspace, "--held-out", 0.2, "--chunk", 16,
        *flags, "--json",
    )  # fmt: skip


def run(words: list[str], cwd: Path) -> Ran:
    done = subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def kill_often(root: Path, tmp_path: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    began = time.monotonic()
    undisturbed = run(build(root, tmp_path / "calm"), tmp_path)
    whole = time.monotonic() - began
    assert undisturbed.code == 0, undisturbed.err
    workspace = tmp_path / "killed"
    watcher = Watcher(workspace / "dataset")
    watcher.start()
    killed = 0
    for _ in range(times):
        process = subprocess.Popen(
            build(root, workspace),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(chance.uniform(0.1, whole / 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    last = run(build(root, workspace), tmp_path)
    # One more change, so that the data set is replaced while somebody looks.
    changed = run(build(root, workspace, grid=2), tmp_path)
    back = run(build(root, workspace), tmp_path)
    watcher.stop()
    assert [last.code, changed.code, back.code] == [0, 0, 0], last.err + changed.err + back.err
    assert killed > 0
    assert watcher.looks > 0
    assert watcher.faults == []
    assert tree(workspace / "dataset") == tree(tmp_path / "calm" / "dataset")
    counted = {key: value for key, value in undisturbed.json.items() if isinstance(value, int)}
    assert {key: last.json[key] for key in counted} == counted
    strays = [path.name for path in workspace.iterdir() if path.name.startswith((".dataset", "dataset."))]
    assert strays == []


@pytest.mark.slow
def test_killed_3_times_it_arrives_at_the_same_bytes(drawn: Path, tmp_path: Path):
    kill_often(drawn, tmp_path, times=3, seed=1)


@pytest.mark.soak
def test_killed_20_times_it_arrives_at_the_same_bytes(drawn: Path, tmp_path: Path):
    kill_often(drawn, tmp_path, times=20, seed=2)
