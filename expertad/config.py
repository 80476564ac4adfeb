"""Settings of a build: flags over environment over file over defaults, in one typed model.

`expertad.toml` holds the same names in snake case at its top level; the environment holds them as `EXPERTAD_<NAME>`.
Secrets are no settings: a teacher reads its key from the environment or a file when it is built, and only the name of
that variable or file is configuration.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from expertad.errors import ConfigError

CONFIG_NAME = "expertad.toml"
PREFIX = "EXPERTAD_"
OTHER_VARIABLES = ("EXPERTAD_TEACHER_KEY", "EXPERTAD_LABEL_STUDIO", "EXPERTAD_ENVS")
"""Variables that are read elsewhere: a teacher's key, Label Studio's environment, and the tests' environments."""

TEACHER_SETTINGS = (
    "teacher",
    "model",
    "teachers",
    "region",
    "base_url",
    "key_env",
    "key_file",
    "rpm",
    "tpm",
    "at_once",
    "budget",
    "prompts",
    "shared_limit",
)
"""The settings that say who teaches, and how; `parameters`, `prices`, `thinking` and `json_mode` are file only."""

SourceName = Literal["drawn", "real-iad", "folder"]
TeacherName = Literal["grounded", "openai", "dashscope"]
ReviewMode = Literal["auto", "file", "label-studio"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Settings(BaseSettings):
    """Everything a build is a function of, besides what its ledger holds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, toml_file=None)
    _toml: ClassVar[Path | None] = None

    source: SourceName = Field("drawn", description="Where samples come from.")
    root: Path | None = Field(None, description="The source data set's folder; the drawn set needs none.")
    workspace: Path = Field(Path("workspace"), description="Folder of the ledger, the data set and the report.")
    ledger_url: str | None = Field(
        None, description="SQLAlchemy URL of the ledger; SQLite in the workspace if not set."
    )
    resolution: Literal["256", "512", "1024", "raw"] | None = Field(
        None, description="Real-IAD resolution; the largest present if not set."
    )
    variant: str = Field("realiad_jsons", description="Real-IAD's folder of JSON files.")
    categories: tuple[str, ...] = Field((), description="Only these categories; all if empty.")
    mapping: Path | None = Field(None, description="YAML that maps a folder source's defect names to coarse types.")
    title: str | None = Field(None, description="The data set's name on the card, if it is not Real-IAD itself.")
    licence: str | None = Field(None, description="The photographs' licence on the card, if it is not Real-IAD's.")
    parts: int = Field(8, ge=1, le=99_999, description="Parts per category of the drawn set.")

    pa_sft: int = Field(2900, ge=0, description="Published rows asked for PA-SFT.")
    sc_grpo: int = Field(3000, ge=0, description="Published rows asked for SC-GRPO.")
    held_out: Fraction = Field(0.1, description="Share of the parts held out for evaluation.")
    one_shot: Fraction = Field(0.0, description="Share of the samples that also show a normal reference.")
    limit: int | None = Field(None, ge=1, description="At most this many samples in all, for a pilot.")
    grid: int = Field(3, ge=1, le=5, description="n of the n x n location grid.")
    seed: int = Field(0, description="Seed of every choice.")

    teacher: TeacherName = Field("grounded", description="Who writes the descriptions and the reasoning.")
    model: str | None = Field(None, description="The teacher's model; a remote teacher needs one named.")
    teachers: str | None = Field(
        None,
        description="Two teachers as BACKEND:MODEL,BACKEND:MODEL: the first writes; where the second differs, a person "
        "decides. Instead of teacher and model.",
    )
    region: Literal["cn", "intl", "us"] | None = Field(None, description="Which of DashScope's regions.")
    base_url: str | None = Field(None, description="Another server, such as http://localhost:8000/v1 for vLLM.")
    key_env: str | None = Field(None, description="Environment variable that holds the API key.")
    key_file: Path | None = Field(None, description="File that holds the API key.")
    rpm: float | None = Field(None, gt=0, description="Requests a minute that the account allows.")
    tpm: float | None = Field(None, gt=0, description="Tokens a minute that the account allows, input and output.")
    at_once: int = Field(64, ge=1, le=1024, description="Requests under way at a time.")
    budget: float | None = Field(None, ge=0, description="The most to spend on the teacher in this workspace.")
    prompts: Path | None = Field(None, description="Folder with prompts of your own.")
    shared_limit: str | None = Field(
        None, description="Name of Prefect's global limits (NAME-requests, NAME-tokens) that several machines share."
    )
    patch: int = Field(32, ge=1, description="Pixels a side of the model's image patches; Qwen2.5-VL's are 28.")
    max_pixels: int = Field(2_621_440, ge=4_096, description="Pixels of an image that the model uses at most.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Sampling parameters, over the defaults.")
    prices: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="model -> {input, output, currency}, per million tokens."
    )
    thinking: bool = Field(False, description="Whether the model may think before it writes.")
    json_mode: bool = Field(True, description="Whether the server is asked for JSON.")

    review: ReviewMode | None = Field(
        None,
        description="Who decides: auto (the checks), or people, through files or through Label Studio. Not set: auto "
        "for the grounded teacher, else file.",
    )
    overlap: int | None = Field(
        None, ge=1, le=10, description="People who judge each sample; as last told, 1 at first."
    )
    label_studio_url: str | None = Field(
        None, description="Label Studio's address; that of the workspace's own server if not set."
    )
    label_studio_token_file: Path | None = Field(
        None, description="File with an access token of Label Studio; else LABEL_STUDIO_API_KEY is taken."
    )
    with_images: bool = Field(False, description="Publish image bytes too, under the source's licence.")
    verify: bool = Field(False, description="Hash every file again, whatever its size and time say.")
    workers: int = Field(0, ge=0, description="Threads for images; 0 takes one for each core.")
    chunk: int = Field(128, ge=1, le=4096, description="Samples handed to one task.")

    @field_validator("root", "workspace", "mapping", "key_file", "prompts", "label_studio_token_file", mode="after")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @field_validator("label_studio_url", mode="after")
    @classmethod
    def _plain_address(cls, value: str | None) -> str | None:
        """Settings are remembered and printed, so an address with a password in it is none."""
        if value is None:
            return None
        if re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", value) is None:
            raise PydanticCustomError("address", "an address such as http://localhost:8080, without name or password")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.source != "drawn" and self.root is None:
            raise ValueError(f"source {self.source!r} needs --root, the folder of the data set")
        if self.teachers is not None:
            self.pair  # noqa: B018 - raises for what cannot be read
        if self.pa_sft + self.sc_grpo == 0:
            raise ValueError("pa_sft and sc_grpo are both 0: nothing is asked for")
        return self

    @property
    def pair(self) -> tuple[tuple[str, str | None], ...]:
        """Backend and model of each teacher: the one who writes, and the one who gives a second opinion, if any."""
        if self.teachers is None:
            return ((self.teacher, self.model),)
        found = [text.strip().partition(":")[::2] for text in self.teachers.split(",")]
        known = get_args(TeacherName)
        if len(found) != 2 or any(name not in known for name, _ in found):
            raise ValueError(
                f"teachers is BACKEND:MODEL,BACKEND:MODEL with backends among {', '.join(known)}, not {self.teachers!r}"
            )
        return tuple((name, model or None) for name, model in found)

    @property
    def review_mode(self) -> ReviewMode:
        """The review mode in force: people decide on what any teacher but the grounded one wrote."""
        return self.review or ("auto" if {name for name, _ in self.pair} == {"grounded"} else "file")

    @property
    def source_root(self) -> Path:
        """The source's folder; the drawn set lives in the workspace unless told otherwise."""
        return self.root if self.root is not None else self.workspace / "drawn"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the file."""
        if cls._toml is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=cls._toml)


def load(flags: dict[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Settings in force.

    Args:
        flags: values given on the command line or by a flow; None values count as not given.
        config: a TOML file; without it `expertad.toml` in the current folder, if there is one.

    Raises:
        ConfigError: a file cannot be read, or a value is unknown or out of range.
    """
    path = config if config is not None else Path(CONFIG_NAME)
    if config is not None and not path.is_file():
        raise ConfigError(f"there is no configuration file {path}")
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    if path.is_file():
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
    chosen = type("FileSettings", (Settings,), {"_toml": path}) if path.is_file() else Settings
    try:
        found = chosen(**given)
    except ValidationError as error:
        where = f" (flags, EXPERTAD_ environment, {path})" if path.is_file() else " (flags, EXPERTAD_ environment)"
        raise ConfigError("; ".join(_explain(item) for item in error.errors()) + where) from None
    _refuse_unknown_variables(found.key_env)
    return Settings.model_construct(found.model_fields_set, **dict(found))


def _refuse_unknown_variables(key_env: str | None) -> None:
    """A variable that nothing reads is a mistyped setting, and a build without it another build."""
    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name in known or variable in (*OTHER_VARIABLES, key_env):
            continue
        near = difflib.get_close_matches(name, known, 1)
        advice = (
            f"did you mean {PREFIX}{near[0]}?" if near else "unset it; `expertad config` prints the settings there are"
        )
        raise ConfigError(f"the environment variable {variable} is no setting: {advice}")


def to_remember(settings: Settings) -> str:
    """Settings as JSON for `as_before`, without what says where the ledger is; paths hold from any folder.

    `overlap` is left out too: the ledger remembers it by itself, since others than a build may tell it.
    """
    values = dict(settings)
    paths = {name: value.absolute() for name, value in values.items() if isinstance(value, Path)}
    left_out = ("workspace", "ledger_url", "overlap")
    kept = {name: value for name, value in {**values, **paths}.items() if name not in left_out}
    return json.dumps({name: value for name, value in kept.items() if value is not None}, default=str)


def as_before(settings: Settings, remembered: str) -> Settings:
    """Settings in which everything that flags, environment and file leave open is as in an earlier build.

    Args:
        settings: as loaded.
        remembered: what `to_remember` made of the earlier build's.
    """
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    earlier = {name: value for name, value in json.loads(remembered).items() if name in Settings.model_fields}
    return Settings(**{**earlier, **given})


def choices(name: str) -> tuple[str, ...]:
    """The values a setting may have, where they are few; else nothing."""
    found = re.findall(r"Literal\[([^\]]*)\]", str(Settings.model_fields[name].annotation))
    return tuple(value.strip().strip("'") for value in found[0].split(",")) if found else ()


def printable(settings: Settings) -> dict[str, Any]:
    """Settings as plain values, with the password of a ledger's URL hidden and what is not set left out."""
    values = settings.model_dump(mode="json", exclude_none=True)
    if settings.ledger_url is not None:
        values["ledger_url"] = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", settings.ledger_url)
    return values


def to_toml(values: dict[str, Any]) -> str:
    """Plain values as the lines of an expertad.toml; JSON's scalars, strings and lists are TOML's too."""
    return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(values.items()))


def _explain(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "address":  # what was given may hold a password
        return f"{name}: {message}"
    if item["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; known are {', '.join(sorted(Settings.model_fields))}"
    return f"{name}: {message}, not {item['input']!r}" if name else message
