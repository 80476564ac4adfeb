"""`python -m training.run_all`: PA-SFT, SC-GRPO and evaluation before and after each, from one command to repeat.

Looks first (training.checks), then runs each stage as its own processes and skips what an earlier run finished. All
that a run makes lies in one folder: config.yaml, dataset.sha256, manifest.json (versions, digests), the stages'
folders with checkpoints, curves and figures, and README.md, the model's card.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from expertad.errors import AbortError, ConfigError, ExpertADError, UserError

try:
    from training import backbones, checks, data, stage
    from training import settings as settings_module
    from training.card import write_card
    from training.settings import Settings
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    print(f"training needs {missing.name}, which is not installed: pip install 'expertad[training]'", file=sys.stderr)
    sys.exit(2)

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "vllm", "datasets", "expertad")
DATASET = "workspace/dataset"
DATA_DIGEST = "dataset.sha256"
SERVER_SECONDS = 1200
_RAISED = re.compile(r"(?:\[rank\d+\]:\s*)?[\w.]*(?:Error|Exception)\b")
_DIED = re.compile(r"\s*(?:terminate called|what\(\):|Fatal Python error|traceback : Signal )")
"""What is left of a process that could raise nothing: C++'s or Python's last words, or torchrun's for a signal."""


@dataclass(frozen=True)
class Step:
    """One command of a run; `done` exists once it has finished, `server` runs beside it."""

    name: str
    command: tuple[str, ...]
    done: Path
    environment: tuple[tuple[str, str], ...] = ()
    server: tuple[str, ...] = ()
    server_environment: tuple[tuple[str, str], ...] = ()
    first_node_only: bool = False

    def lines(self) -> Iterator[str]:
        """The commands as they would be typed."""
        if self.server:
            yield _typed(self.server, self.server_environment) + " &"
        yield _typed(self.command, self.environment)


def _typed(command: Sequence[str], environment: Sequence[tuple[str, str]]) -> str:
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in environment), shlex.join(command)])


def plan(run: Settings, out: Path, torchrun: Sequence[str] = ()) -> list[Step]:
    """Every command of a run, in order.

    Args:
        run: settings; they are expected in `<out>/config.yaml`.
        out: run folder.
        torchrun: further words for torchrun, such as those of several nodes.
    """
    steps = _smoke_steps(run, out) if run.smoke else []
    config = str(out / "config.yaml")
    threads = (("OMP_NUM_THREADS", "1"),) if not run.machine.gpu else ()
    offline = (("HF_HUB_OFFLINE", "1"),) if run.smoke else ()
    environment = (*threads, *offline)

    def launch(processes: int, module: str, *words: str) -> tuple[str, ...]:
        where = list(torchrun) if run.machine.nodes > 1 else ["--standalone"]
        nodes = ["--nnodes", str(run.machine.nodes)] if run.machine.nodes > 1 else []
        start = [sys.executable, "-m", "torch.distributed.run", *nodes, *where, "--nproc-per-node", str(processes)]
        return (*start, "-m", module, "--config", config, *words)

    def evaluation(of: str, model: str, *words: str) -> Step:
        folder = out / f"evaluate_{of}"
        command = launch(everyone, "training.evaluate", "--model", model, "--out", str(folder), *words)
        return Step(folder.name, command, folder / stage.DONE, environment)

    everyone = run.machine.processes
    sft, grpo = out / "pa_sft", out / "sc_grpo"
    steps.append(evaluation("backbone", run.model, "--untaught"))
    steps.append(Step("pa_sft", launch(everyone, "training.pa_sft", "--out", str(sft)), sft / stage.DONE, environment))
    steps.append(evaluation("pa_sft", str(sft / stage.FINAL)))
    steps.append(_sc_grpo(run, launch, sft, grpo, environment))
    steps.append(evaluation("sc_grpo", str(grpo / stage.FINAL)))
    return steps


def _sc_grpo(run: Settings, launch: Any, sft: Path, out: Path, environment: Any) -> Step:
    model = str(sft / stage.FINAL)
    command = launch(run.grpo_processes, "training.sc_grpo", "--model", model, "--out", str(out))
    step = Step("sc_grpo", command, out / stage.DONE, environment)
    if run.sc_grpo.vllm != "server":
        return step
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else []
    if len(gpus) < run.machine.processes:  # only a dry run gets here with fewer than it needs
        gpus = [str(i) for i in range(run.machine.processes)]
    s = run.sc_grpo
    length = s.max_prompt_tokens + s.max_completion_tokens
    server = (
        *(sys.executable, "-m", "trl.cli.main", "vllm-serve"),
        *_options(model=model, port=s.vllm_port, max_model_len=length, dtype=run.machine.dtype),
    )
    return replace(
        step,
        environment=(*environment, ("CUDA_VISIBLE_DEVICES", ",".join(gpus[: run.grpo_processes]))),
        server=server,
        server_environment=(("CUDA_VISIBLE_DEVICES", gpus[run.grpo_processes]),),
    )


def _smoke_steps(run: Settings, out: Path) -> list[Step]:
    """Draws a small source, builds the data set with the real pipeline, and makes a tiny backbone."""
    smoke = run.smoke
    if smoke is None:
        return []
    drawn, workspace, base = out / "drawn", out / "workspace", Path(run.model)
    tool = (sys.executable, "-m", "expertad.cli")
    draw = (*tool, "draw", str(drawn), *_options(profile="smoke", parts=smoke.parts, seed=run.seed))
    build = (
        *(*tool, "build", "--with-images"),
        *_options(source="real-iad", root=drawn, workspace=workspace, seed=run.seed),
        *_options(pa_sft=smoke.pa_sft, sc_grpo=smoke.sc_grpo, held_out=smoke.held_out),
    )
    shape = {
        name: getattr(smoke, name)
        for name in ("hidden", "layers", "vision_hidden", "vision_layers", "image", "patch", "vocabulary")
    }
    tiny = (
        *(sys.executable, "-m", "training.tiny"),
        *_options(arch=run.arch, dataset=run.dataset, out=base),
        *_options(**shape, warm_steps=smoke.warm_steps, seed=run.seed),
    )
    environment = (("OMP_NUM_THREADS", "1"), ("HF_HUB_OFFLINE", "1"))
    return [
        Step("draw", draw, drawn / "drawn.done", first_node_only=True),
        Step("build", build, workspace / "built.done", first_node_only=True),
        Step("tiny", tiny, base / "made.done", environment, first_node_only=True),
    ]


def _options(**values: object) -> tuple[str, ...]:
    """The words of a command line for some options: --name value, for each."""
    return tuple(word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value)))


def execute(steps: Sequence[Step], run: Settings, out: Path, *, first_node: bool = True) -> bool:
    """Runs the steps that are not done; returns whether there was one.

    Raises:
        AbortError: a command failed; what it had finished is kept.
    """
    (out / "logs").mkdir(parents=True, exist_ok=True)
    ran = False
    for step in steps:
        if step.done.is_file():
            print(f"{step.name}: done before", flush=True)
            continue
        if step.first_node_only and not first_node:
            continue
        ran = True
        for line in step.lines():
            print(f"$ {line}", flush=True)
        start = time.monotonic()
        log = out / "logs" / f"{step.name}.log"
        print(f"{step.name}: started; what it says is in {log}", flush=True)
        with _server(step, out, run.sc_grpo.vllm_port) if step.server else nullcontext():
            code = _call(step.command, step.environment, log)
        if code:
            raise AbortError(f"{step.name} failed with exit code {code}; {_last_error(log)}; the whole log is {log}")
        if not step.done.is_file():
            step.done.parent.mkdir(parents=True, exist_ok=True)
            step.done.write_text("{}\n")
        print(f"{step.name}: {time.monotonic() - start:.0f} s", flush=True)
        if step.name == "build":
            checks.check_data(run, out / "images.json")
    return ran


def _last_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line for line in lines if line.startswith(("error: ", "expertad: "))]
    raised = [line for line in lines if _RAISED.match(line) and "ChildFailedError" not in line]
    found = told or raised or [line for line in lines if _DIED.match(line)]
    return (found[-1] if found else "it said nothing").strip()[:400]


def _start(command: Sequence[str], environment: Sequence[tuple[str, str]], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **dict(environment)},
            preexec_fn=stage.end_with_parent,
        )


def _call(command: Sequence[str], environment: Sequence[tuple[str, str]], log: Path) -> int:
    process = _start(command, environment, log)
    try:
        return process.wait()
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _server(step: Step, out: Path, port: int) -> Iterator[None]:
    """The vLLM server beside a step: started, waited for, stopped."""
    log = out / "logs" / "vllm.log"
    process = _start(step.server, step.server_environment, log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield
    finally:
        _stop(process)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = SERVER_SECONDS) -> None:
    """Returns once `url` answers.

    Raises:
        AbortError: the process ended, or nothing answered in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AbortError(
                f"the vLLM server ended with exit code {process.returncode}; {_last_error(log)}; see {log}"
            )
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise AbortError(f"the vLLM server did not answer within {seconds:.0f} s; see {log}")


def claim(run: Settings, out: Path) -> None:
    """Writes `<out>/dataset.sha256` and `<out>/config.yaml`, or makes sure that the folder's run is this one.

    Raises:
        UserError: the folder holds a run with other settings, whose first difference is named, or on other data.
    """
    path = out / "config.yaml"
    if not path.is_file():
        _claim_data(run, out, fresh=True)
        settings_module.write(run, path)  # last: other nodes wait for it
        return
    before = _flat(asdict(settings_module.read(path)))
    now = _flat(asdict(run))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise UserError(
                f"{out} holds a run with {key} {before.get(key)!r}, now {now.get(key)!r}; give another --out"
            )
    _claim_data(run, out, fresh=False)


def _claim_data(run: Settings, out: Path, *, fresh: bool) -> None:
    if run.smoke:  # its data set is a step of the run itself
        return
    path = out / DATA_DIGEST
    now = data.digest(run.dataset)
    if fresh or not path.is_file():
        path.write_text(now + "\n", encoding="utf-8")
    elif path.read_text(encoding="utf-8", errors="replace").strip() != now:
        raise UserError(f"{out} holds a run on other data: {run.dataset} has changed since; give another --out")


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Makes the run folder and holds it, so that no second run writes into it.

    Raises:
        UserError: the folder cannot be made or written, or another run holds it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / "run.lock").open("a+")
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; give another --out") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise UserError(f"{out}: {lock.read().strip()} is at work there; wait for it, or stop it first") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}")
        lock.flush()
        yield


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def manifest(run: Settings, out: Path) -> None:
    """Writes versions and digests: what is needed to say which run this was."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    facts = {
        "python": platform.python_version(),
        "versions": versions,
        "git": git.stdout.strip() or None,
        # That which the run started with, where it did not make its own.
        "dataset": data.digest(run.dataset) if run.smoke else (out / DATA_DIGEST).read_text(encoding="utf-8").strip(),
        "settings": sha256((out / "config.yaml").read_bytes()).hexdigest(),
    }
    (out / "manifest.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.run_all", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default=DATASET, help="published folder or hub id [%(default)s]")
    parser.add_argument("--image-root", help="the source's image folder, for a data set without images")
    parser.add_argument("--backbone", default="llava-onevision-si-0.5b", help="one of configs/, or all [%(default)s]")
    parser.add_argument("--model", help="another folder or hub id with the backbone's weights")
    parser.add_argument("--preset", default="4xA100", help=f"{', '.join(settings_module.presets())} [%(default)s]")
    parser.add_argument("--out", type=Path, help="run folder [runs/<backbone>-<preset>-<digest>]")
    parser.add_argument("--rewards", help="reward scheme: paper, release, answer-only, or accuracy+location …")
    parser.add_argument("--freeze", choices=["nothing", "release"], help="what PA-SFT leaves untrained")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report-to", default="none", help="trackers, such as tensorboard or wandb")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting, as in sc_grpo.beta=0.02"
    )
    parser.add_argument("--torchrun", default="", help="further words for torchrun on several nodes")
    parser.add_argument("--dry-run", action="store_true", help="print every command and stop")
    return parser.parse_args(argv)


def _absolute(path: str) -> str:
    """A folder's absolute path, so that a run is the same from everywhere; a hub id as it is."""
    return str(Path(path).resolve()) if path == DATASET or Path(path).is_dir() else path


def settings_for(args: argparse.Namespace, backbone: str) -> Settings:
    """The settings that the command line asks for, for one backbone.

    Raises:
        ConfigError: an unknown backbone, preset or setting.
    """
    run = settings_module.for_backbone(
        args.preset, backbones.load(backbone), _absolute(args.dataset), args.image_root and _absolute(args.image_root)
    )
    changes: dict[str, Any] = {"seed": args.seed, "report_to": args.report_to}
    if args.model:
        changes["model"] = args.model
    if args.rewards:
        changes["sc_grpo"] = {"rewards": args.rewards}
    if args.freeze:
        changes["pa_sft"] = {"freeze": args.freeze}
    run = settings_module.merge(run, changes, "command line")
    for pair in args.set:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(f"--set {pair}: expected KEY=VALUE")
        nested = _value(value)
        for name in reversed(key.split(".")):
            nested = {name: nested}
        run = settings_module.merge(run, nested, "--set")
    if run.smoke:
        own = {"dataset", "image_root", "model", "arch"} & {pair.partition("=")[0] for pair in args.set}
        if args.model or args.image_root or args.dataset != DATASET or own:
            raise ConfigError(
                f"--preset {run.preset} makes its own data set and backbone; leave out "
                + (f"--set {min(own)}" if own else "--dataset, --image-root, --model")
            )
        run = replace(run, dataset="", model="")
    return run


def _value(text: str) -> Any:
    """true, false, null or a number, else the text itself; not YAML, to which `off` and `no` are false."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def folder_for(args: argparse.Namespace, run: Settings, several: bool) -> Path:
    """The run folder: named by what the settings are, so the same command finds its own run again."""
    if args.out:
        out: Path = args.out
        return out / run.backbone if several else out
    values = asdict(run)
    digest = sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
    return Path("runs") / f"{run.backbone}-{run.preset}-{digest}"


@dataclass(frozen=True)
class Planned:
    """One backbone's run: its settings, its folder and its commands."""

    run: Settings
    out: Path
    steps: list[Step]


def planned(args: argparse.Namespace, backbone: str, several: bool) -> Planned:
    """What the command line comes to for one backbone.

    Raises:
        UserError: an unknown name or setting, one out of its bounds, or --torchrun with an open quotation.
    """
    run = settings_for(args, backbone)
    out = folder_for(args, run, several).resolve()
    if run.smoke:
        run = replace(run, dataset=str(out / "workspace" / "dataset"), model=str(out / "backbone"), arch=run.smoke.arch)
    checks.check_settings(run)
    try:
        torchrun = shlex.split(args.torchrun)
    except ValueError as error:
        raise ConfigError(f"--torchrun {args.torchrun!r}: {error}") from None
    return Planned(run, out, plan(run, out, torchrun))


def show(one: Planned) -> None:
    """Prints the commands of a run that is not started."""
    print(f"# {one.run.backbone}, preset {one.run.preset}, run folder {one.out}")
    for step in one.steps:
        print("\n".join(step.lines()))


def check(one: Planned, *, with_data: bool) -> None:
    """Everything that is looked at before a run."""
    _stay_offline_without_hub(one.run)
    checks.check_folder(one.out)
    checks.all_checks(
        one.run, checks.Host.look(), one.out / "images.json", with_data=with_data and one.run.smoke is None
    )


def carry_out(one: Planned) -> None:
    """Runs and reports one backbone on the first node, all checks passed."""
    run, out = one.run, one.out
    print(f"run folder {out}", flush=True)
    completions, prompts = checks.completions_a_step(run)
    print(f"SC-GRPO: {completions} completions of {prompts} prompts a step, rewards {run.sc_grpo.rewards}", flush=True)
    with held(out):
        claim(run, out)
        # A manifest says what trained the model: not what is installed when the command is merely repeated.
        if execute(one.steps, run, out) or not (out / "manifest.json").is_file():
            manifest(run, out)
        print(write_card(run, out))
    print(f"model: {out / 'sc_grpo' / stage.FINAL}\ncard: {out / 'README.md'}", flush=True)


def follow(one: Planned) -> None:
    """Runs one backbone's part of another node, once the first node has claimed the folder."""
    print(f"run folder {one.out}", flush=True)
    _stay_offline_without_hub(one.run)
    _await(one.out / "config.yaml")
    execute(one.steps, one.run, one.out, first_node=False)


def _stay_offline_without_hub(run: Settings) -> None:
    """Makes this process and its stages ask the local cache alone, where they need the hub and it does not answer."""
    folders = (Path(run.model), Path(run.dataset))
    asked = run.smoke is None and not all(folder.is_absolute() or folder.is_dir() for folder in folders)
    if asked and not os.environ.get("HF_HUB_OFFLINE") and not checks.hub_answers():
        print("the hub does not answer: taking what the local cache holds", flush=True)
        os.environ["HF_HUB_OFFLINE"] = "1"


def _await(path: Path, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() > end:
            raise AbortError(f"the first node did not write {path} within {seconds:.0f} s; is the run folder shared?")
        time.sleep(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = parse(argv)
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # for this process and its stages
    try:
        if args.backbone == "all" and args.model:
            raise ConfigError("--backbone all takes each backbone's own weights; leave out --model, or name a backbone")
        chosen = backbones.names() if args.backbone == "all" else [args.backbone]
        runs = [planned(args, backbone, len(chosen) > 1) for backbone in chosen]
        first_node = int(os.environ.get("SLURM_NODEID", os.environ.get("NODE_RANK", "0"))) == 0
        if not args.dry_run and first_node:
            # All before the first starts, which may take days. The data set and what is asked of it are the same.
            for number, one in enumerate(runs):
                check(one, with_data=number == 0)
        for one in runs:
            (show if args.dry_run else carry_out if first_node else follow)(one)
    except ExpertADError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
