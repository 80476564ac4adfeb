"""The command line, thin: each command reads settings, calls the library, and says what happened.

Exit codes: 0 finished, or waiting for people; 2 the user's mistake; 3 aborted or out of budget; 130 interrupted.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import orjson

from expertad import __version__, config
from expertad.errors import ConfigError, ExpertADError
from expertad.workspace import explained

Command = Callable[..., int | None]


def main() -> None:
    """Entry point of `expertad`."""
    try:
        code = cli(standalone_mode=False, prog_name="expertad")
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        if sys.argv[1:2] == ["build"] and "--json" in sys.argv:
            from expertad.builder import refused

            click.echo(refused(error.format_message()))
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


class Rooms(click.Group):
    """Commands of other rooms, loaded when they are called: the library knows nothing of Label Studio."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands by name."""
        return sorted([*super().list_commands(ctx), "review"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name."""
        if cmd_name == "review":
            from annotation.commands import review

            return review
        return super().get_command(ctx, cmd_name)


@click.group(cls=Rooms, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="expertad")
def cli() -> None:
    """Build Expert-AD: image + question -> structured reasoning, from an industrial anomaly data set.

    Without any flag, `expertad build` draws a sample data set and builds from it into ./workspace.
    """


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Options for settings, with the help and the type that `config.Settings` gives them."""

    def decorate(function: Command) -> Command:
        for name in reversed(names):
            function = _option(name)(function)
        return function

    return decorate


def _option(name: str) -> Callable[[Command], Command]:
    field = config.Settings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    default = "" if field.default in (None, (), False) else f"  [default: {field.default}]"
    text = f"{field.description}{default}"
    if field.annotation is bool:
        return click.option(flag, name, is_flag=True, default=None, help=text)
    if name == "categories":
        return click.option(
            "--category", name, multiple=True, default=None, help="Only this category; may be repeated."
        )
    return click.option(flag, name, type=_click_type(name), default=None, help=text)


def _click_type(name: str) -> Any:
    field = config.Settings.model_fields[name]
    choices = config.choices(name)
    if choices:
        return click.Choice(choices)
    kinds: dict[Any, Any] = {int: int, float: float, Path: click.Path(path_type=Path)}
    wanted = str(field.annotation)
    return next((kind for key, kind in kinds.items() if key.__name__ in wanted), str)


CONFIG_OPTION = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="TOML file; ./expertad.toml if there is one."
)
JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="End with one JSON object on the last line of stdout."
)


def guarded(function: Command) -> Command:
    """Errors of ours and of the file system become one line on stderr and an exit code; Ctrl-C becomes 130."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> int:
        try:
            return function(*args, **kwargs) or 0
        except ExpertADError as error:
            click.echo(f"expertad: {error}", err=True)
            return error.exit_code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            trouble = explained(error, Path())
            click.echo(f"expertad: {trouble}", err=True)
            return trouble.exit_code
        except KeyboardInterrupt:
            click.echo("expertad: interrupted; what is done is kept, run the same command to go on", err=True)
            return 130

    return run


BUILD_SETTINGS = (
    "source",
    "root",
    "workspace",
    "pa_sft",
    "sc_grpo",
    "limit",
    "held_out",
    "one_shot",
    "grid",
    "seed",
    "review",
    "overlap",
    "label_studio_url",
    "label_studio_token_file",
    "categories",
    "resolution",
    "variant",
    "mapping",
    "title",
    "licence",
    "parts",
    *config.TEACHER_SETTINGS,
    "with_images",
    "verify",
    "ledger_url",
    "workers",
    "chunk",
)


@cli.command()
@settings_options(*BUILD_SETTINGS)
@CONFIG_OPTION
@JSON_OPTION
@guarded
def build(config_file: Path | None, as_json: bool, **flags: Any) -> int:
    """Do all that is left to do, from ingestion to publication.

    The steps: ingest, select, locate, describe, distill, check, review, publish, report.

    Run it again whenever you like: after a crash, after reviews, after changing settings. Nothing that was done is done
    or paid for twice.
    """
    from expertad.builder import run_from_shell

    return run_from_shell(flags, config_file, as_json, _review_server)


def _review_server(settings: config.Settings, ledger: Any) -> Any:
    from annotation.client import for_build

    return for_build(settings, ledger)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--parts", type=click.IntRange(1, 99_999), default=8, show_default=True, help="Parts per category.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed draws other parts.")
@click.option(
    "--profile",
    type=click.Choice(["parts", "smoke"]),
    default="parts",
    show_default=True,
    help="parts: industrial parts at 1024 pixels; smoke: small textures that a tiny model can learn.",
)
@guarded
def draw(folder: Path, parts: int, seed: int, profile: Any) -> int:
    """Draw a sample data set in Real-IAD's layout into FOLDER."""
    from expertad.progress import Progress
    from expertad.sources.drawn import draw as draw_set

    with Progress() as progress:
        report = draw_set(
            folder, parts=parts, seed=seed, profile=profile, progress=lambda done, total: progress("draw", done, total)
        )
    click.echo(
        f"{folder}: {report.images} images and {report.masks} masks of {len(report.categories)} categories "
        f"({', '.join(report.categories)})"
    )
    return 0


@cli.command()
@settings_options("workspace", "ledger_url")
@CONFIG_OPTION
@JSON_OPTION
@click.option("--sample", "sample_id", help="Tell all that is known about one sample.")
@guarded
def status(config_file: Path | None, as_json: bool, sample_id: str | None, **flags: Any) -> int:
    """Show the accounting of the last run.

    Every sample is in one state; with the commonest reasons.
    """
    from expertad.inspect import no_status, print_sample, print_status

    try:
        settings = config.load(flags, config_file)
        return print_sample(settings, sample_id, as_json) if sample_id else print_status(settings, as_json)
    except ExpertADError as error:
        if as_json:
            click.echo(no_status(str(error)))
        raise


LATER_SETTINGS = tuple(name for name in BUILD_SETTINGS if name != "variant")
"""Settings that commands take which follow a build; `publish --variant` is about what is published."""


@cli.command()
@settings_options(*LATER_SETTINGS)
@CONFIG_OPTION
@guarded
def report(config_file: Path | None, **flags: Any) -> int:
    """Write report.html again from what the ledger holds.

    Nothing is asked or published.

    Settings that are not given are those of the workspace's last build.
    """
    from expertad.builder import write_report_only

    click.echo(write_report_only(config.load(flags, config_file)))
    return 0


@cli.command()
@settings_options(*LATER_SETTINGS)
@CONFIG_OPTION
@click.option(
    "--variant",
    "variant_name",
    default="full",
    show_default=True,
    help="full; answer-only (no reasoning); coarse-type; 20, 40, 60 or 80 (percent of PA-SFT, nested).",
)
@click.option(
    "--preferences",
    is_flag=True,
    help="Instead: what people corrected or accepted beside what they corrected or rejected, for TRL's DPOTrainer.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write; beside the data set if not given.")
@click.option("--push-to-hub", "repo_id", help="Upload to this Hugging Face data set afterwards.")
@click.option("--dry-run", is_flag=True, help="With --push-to-hub: say what would be uploaded, and upload nothing.")
@click.option("--private/--public", default=True, show_default=True, help="With --push-to-hub: who may see it.")
@click.option(
    "--allow-images", is_flag=True, help="With --push-to-hub: the source's licence lets you upload its images."
)
@guarded
def publish(
    config_file: Path | None,
    variant_name: str,
    preferences: bool,
    out: Path | None,
    repo_id: str | None,
    dry_run: bool,
    private: bool,
    allow_images: bool,
    **flags: Any,
) -> int:
    """Publish what is decided so far, or a variant of it.

    A variant is for an ablation; the data set can be uploaded.

    Settings that are not given are those of the workspace's last build.
    """
    settings = config.load(flags, config_file)
    if preferences:
        if variant_name != "full" or repo_id is not None:
            raise ConfigError("--preferences are published to a folder, whole: leave out --variant and --push-to-hub")
        from expertad.preferences import publish as publish_preferences

        lines = publish_preferences(settings, out)
    else:
        from expertad.builder import publish_only

        lines = publish_only(
            settings, variant_name, out, repo_id, dry_run=dry_run, private=private, allow_images=allow_images
        )
    for line in lines:
        click.echo(line)
    return 0


@cli.command("estimate")
@settings_options(*BUILD_SETTINGS)
@CONFIG_OPTION
@click.option(
    "--sample", type=click.IntRange(0), default=12, show_default=True, help="Samples asked for real; 0 asks nobody."
)
@guarded
def estimate_command(config_file: Path | None, sample: int, **flags: Any) -> int:
    """Tell what a build will cost, and how long it takes.

    Nothing is spent.
    """
    from expertad.progress import Progress
    from expertad.teaching import tell_estimate

    with Progress() as progress:
        lines = list(tell_estimate(config.load(flags, config_file), progress, sample))
    for line in lines:
        click.echo(line)
    return 0


@cli.command("compare-prompts")
@click.argument("first")
@click.argument("second")
@settings_options(*(name for name in BUILD_SETTINGS if name not in ("prompts", "limit")))
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Samples to compare on.")
@CONFIG_OPTION
@guarded
def compare_command(config_file: Path | None, first: str, second: str, limit: int, **flags: Any) -> int:
    """Try two sets of prompts on the same samples.

    Asks the same samples with two folders of prompts (or the word `shipped`), and shows the checks side by side.
    """
    from expertad.progress import Progress
    from expertad.teaching import tell_comparison

    with Progress() as progress:
        lines = list(tell_comparison(config.load(flags, config_file), progress, first, second, limit))
    for line in lines:
        click.echo(line)
    return 0


@cli.command()
@settings_options(*BUILD_SETTINGS)
@CONFIG_OPTION
@click.option("--wait", type=click.FloatRange(1), help="Look again every so many seconds until nothing is under way.")
@guarded
def batch(config_file: Path | None, wait: float | None, **flags: Any) -> int:
    """Ask in half-price batches, instead of at once.

    Submits what is open, collects what is finished, and says what is under way.
    """
    from expertad.progress import Progress
    from expertad.teaching import advance_batches

    with Progress() as progress:
        for line in advance_batches(config.load(flags, config_file), progress, wait):
            progress.say(line)
    return 0


@cli.command()
@click.argument("sample_ids", nargs=-1)
@settings_options("workspace", "ledger_url")
@CONFIG_OPTION
@guarded
def retry(config_file: Path | None, sample_ids: tuple[str, ...], **flags: Any) -> int:
    """Have the next build ask quarantined samples again.

    Those that are named, or all.
    """
    from expertad.inspect import release

    for line in release(config.load(flags, config_file), sample_ids):
        click.echo(line)
    return 0


@cli.command("config")
@settings_options(*BUILD_SETTINGS)
@CONFIG_OPTION
@JSON_OPTION
@guarded
def config_command(config_file: Path | None, as_json: bool, **flags: Any) -> int:
    """Print the settings in force, as expertad.toml.

    Secrets are left out.
    """
    settings = config.load(flags, config_file)
    values = config.printable(settings)
    click.echo(orjson.dumps(values).decode() if as_json else config.to_toml(values))
    return 0


@cli.command()
@settings_options(*BUILD_SETTINGS)
@CONFIG_OPTION
@guarded
def doctor(config_file: Path | None, **flags: Any) -> int:
    """Check everything a build needs, and say what to do."""
    from annotation.environment import look
    from expertad.doctor import examine

    findings = [*examine(config.load(flags, config_file)), look()]
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.detail}")
    return 0 if all(finding.ok for finding in findings) else 2


if __name__ == "__main__":
    main()
