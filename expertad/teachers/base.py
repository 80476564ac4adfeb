"""What every teacher speaks: a request, a raw reply, a fault, and the backend that turns one into the other.

A backend does one thing: one request, one HTTP exchange (or none), one raw reply or one fault. Waiting, counting,
paying, asking again and giving up are `asking.py`'s, so they are the same for every backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from expertad.errors import ReplyError
from expertad.sample import Case, ImageFile, Region

Stage = Literal["describe", "distill"]
FaultKind = Literal["retry", "throttle", "reask", "quarantine", "abort"]
Outcome = Literal["ok", "repaired", "retry", "throttle", "reask", "quarantine", "abort"]
SUCCESSORS = "qwen3.7-plus, qwen3.7-plus-2026-05-26 (pinned), qwen3-vl-plus"
"""What its vendor offers in place of Qwen-VL-Max, the paper's teacher."""

SETTLED: frozenset[str] = frozenset({"ok", "repaired", "quarantine"})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens the server says it counted; `input_tokens` includes `image_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    image_tokens: int = 0

    @property
    def total(self) -> int:
        """Input and output together: what a tokens-per-minute limit counts."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the query is highlighted before a teacher sees it: the mask file, the region in it, its bytes' digest."""

    mask: Path
    region: Region
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a request: the file, and the mark drawn over it (None: shown as it is)."""

    file: ImageFile
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture ready for the wire: standard base64 of a whole image file without metadata, its MIME type and size."""

    mime: str
    base64: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a teacher about one sample.

    Args:
        stage: "describe" (step 2 of the paper) or "distill" (step 3).
        case: the sample, its reference and its truth.
        system: system prompt; "" for a backend that reads no prompts.
        prompt: the rendered user prompt.
        prompt_version: e.g. "describe_anomalous.v1".
        schema_version: version of the reply's schema; part of the key.
        description: the settled description, for "distill".
        parameters: sampling parameters as they go onto the wire.
        pictures: what is shown, in order.
        encoded: the same pictures as bytes; filled just before sending, and only for remote backends.
        item: short id the reply must carry back; "" when none is asked for.
        fault: what was wrong with the reply before, quoted when asking again; "" on the first asking.
    """

    stage: Stage
    case: Case
    system: str
    prompt: str
    prompt_version: str
    schema_version: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    encoded: tuple[Encoded, ...] = ()
    item: str = ""
    fault: str = ""

    @property
    def text(self) -> str:
        """The user's text as sent: the prompt, the item to carry back, and the fault of the reply before."""
        text = self.prompt
        if self.item:
            text += f'\n\nThis is item "{self.item}". Repeat it in the JSON object as "item": "{self.item}".'
        if self.fault:
            text += (
                f"\n\nAn earlier reply to this could not be used: {self.fault}. "
                "Write a new reply that avoids this. Reply with one JSON object and nothing else."
            )
        return text


@dataclass(frozen=True, slots=True)
class RawReply:
    """What came back, before anything is believed about it.

    Args:
        text: what the model wrote; None when the reply holds no such text.
        raw: what the ledger keeps: the text, or the body as received when there is none.
        model: the model the server names; "" when it names none.
        request_id: the server's id of the request; never used as a key, servers repeat them.
        finish_reason: "stop", "length", ...; "" when not given.
        usage: None when the server gave none.
        latency_s: seconds from sending to the last byte.
        http_status: None for a backend without HTTP.
        headers: the few response headers that bear on the verdict, names in lower case.
    """

    text: str | None
    raw: str
    model: str = ""
    request_id: str = ""
    finish_reason: str = ""
    usage: Usage | None = None
    latency_s: float = 0.0
    http_status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One request that went out, whatever became of it.

    Args:
        key: what was asked (see `asking.Asker.key`); all attempts at the same question share it.
        stage: "describe" or "distill".
        sample_id: the sample asked about.
        attempt: 1 for the first request under this key, counted over all runs.
        backend: "openai", "dashscope" or "grounded".
        model: the model asked for; the reply's own name for it is in `served_model`.
        host: where the request went; provenance, not key.
        outcome: ok or repaired (settled, usable), quarantine (settled, given up), or why it was asked again.
        reason: what was wrong or repaired; "" when nothing was.
        code: short name the reason is counted under; "" when ok.
        raw: the model's text; where there was none, the body received. NUL and lone surrogates are escaped.
        http_status: None without a response.
        request_id: the server's id of the request.
        finish_reason: as the server gave it.
        input_tokens: as billed; the estimate where the server gave no usage.
        output_tokens: likewise.
        image_tokens: part of `input_tokens`.
        cost: in `currency`; 0.0 where no price is known.
        currency: ISO 4217 code, "" where no price is known.
        latency_s: seconds from sending to the last byte.
        prompt_version: e.g. "distill_normal.v1".
        at: UTC time of the reply, ISO 8601.
        served_model: model name in the reply, "" when none was given.
        via: "online", or "batch" for a half-price batch.
    """

    key: str
    stage: Stage
    sample_id: str
    attempt: int
    backend: str
    model: str
    host: str
    outcome: Outcome
    reason: str
    code: str
    raw: str
    http_status: int | None
    request_id: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    image_tokens: int
    cost: float
    currency: str
    latency_s: float
    prompt_version: str
    at: str
    served_model: str = ""
    via: str = "online"


class Fault(ReplyError):
    """A request that gave nothing usable, and what is to be done about it.

    Args:
        kind: retry (the same again), throttle (the same again, and everybody slower), reask (again, quoting the
            fault), quarantine (this sample is given up, the run goes on), abort (no further call can succeed).
        reason: one sentence for the ledger and the user; never holds a secret.
        code: short stable name the faults of one kind are counted under, e.g. "contradiction".
        raw: what was received, as the ledger keeps it.
        retry_after: seconds the server asked to wait, if it did.
        again: how many further requests this fault may cause; None leaves it to the asker's limits.
        reply: the reply as far as one was received; its tokens were paid for.
        http_status: status of the exchange, None when there was no response.
    """

    def __init__(
        self,
        kind: FaultKind,
        reason: str,
        *,
        code: str = "",
        raw: str = "",
        retry_after: float | None = None,
        again: int | None = None,
        reply: RawReply | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.code = code or kind
        self.raw = raw
        self.retry_after = retry_after
        self.again = again
        self.reply = reply
        self.http_status = http_status


class Backend(Protocol):
    """A teacher. `remote` is True when images leave this process: such a backend is prompted, paced and paid.

    `name`, `model` and `parameters` are part of a call's key; `host` is provenance only.
    """

    name: str
    model: str
    host: str
    remote: bool
    parameters: Mapping[str, Any]

    async def send(self, request: Request) -> RawReply:
        """One request, one reply.

        Raises:
            Fault: nothing usable came back; `kind` says what to do.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; the backend cannot be used afterwards."""
        ...
