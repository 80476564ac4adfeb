"""Reads a reply strictly: one JSON object that fits the schema and the known label, or a fault that says why not.

Everything here is a pure function of the reply and the request. Nothing is guessed: a single object inside a code
fence or prose is taken and the repair is named; any doubt beyond that is a fault (`reference/teacher_failures.md` has
the catalogue the verdicts follow).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from expertad import taxonomy
from expertad.teachers.base import Fault, RawReply, Request, Stage

SCHEMA_VERSION = "1"

MAX_CHARACTERS = 20_000
"""A usable reply is under 3,000 characters; more is a model that repeats itself."""

_ITEM = {"type": "string"}
SCHEMAS: dict[Stage, dict[str, Any]] = {
    "describe": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "defect": {"type": "boolean"},
            "location": {"type": ["string", "null"]},
            "item": _ITEM,
        },
        "required": ["description", "defect", "location"],
    },
    "distill": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "think": {"type": "string", "minLength": 1},
            "fine_type": {"type": ["string", "null"]},
            "new_term_reason": {"type": ["string", "null"]},
            "answer": {"enum": ["Yes", "No"]},
            "location": {"type": ["string", "null"]},
            "item": _ITEM,
        },
        "required": ["think", "fine_type", "answer", "location"],
    },
}

_VALIDATORS = {stage: Draft202012Validator(schema) for stage, schema in SCHEMAS.items()}
_TYPES = {"string": str, "boolean": bool, "null": type(None)}
_TAG = re.compile(r"</?\s*(think|location|type|answer)\s*>", re.IGNORECASE)
_REFUSAL = re.compile(r"^\W*(i['’]?m sorry|i am sorry|sorry,|i can(no|['’])t\b|i( am|['’]m) unable|as an ai\b)", re.I)
_NOTHING = frozenset({"", "none", "null", "n/a", "na", "no", "nowhere", "not applicable"})
_NAMES_SAME_MODEL = re.compile(r"[-:@](latest|preview|\d.*)")
_MAX_CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """A usable reply: its fields, and what had to be repaired ("" when nothing)."""

    fields: Mapping[str, Any]
    repaired: str


def judge(reply: RawReply, request: Request, model: str) -> Judged:
    """The reply's fields, if it is whole, from the model asked, readable, and agrees with the known label.

    Raises:
        Fault: with the kind that the catalogue of failures gives for what is wrong.
    """
    if reply.headers.get("x-dashscope-partialresponse", "").lower() == "true":
        raise Fault("retry", "the server cut the reply off (x-dashscope-partialresponse)", code="partial")
    if reply.finish_reason == "content_filter":
        raise Fault("quarantine", "the server's content filter ended the reply", code="refused")
    if reply.finish_reason == "length":
        raise Fault("reask", "the reply was longer than the limit and was cut; write less", code="cut")
    if not reply.text or not reply.text.strip():
        raise Fault("retry", "the reply is empty", code="empty", again=2)
    if not same_model(model, reply.model):
        raise Fault("quarantine", f"asked {model}, but {reply.model} replied", code="other_model")
    judged = read(reply.text, request.stage)
    check_fields(judged.fields, request)
    return judged


def read(text: str, stage: Stage) -> Judged:
    """Decode and schema-check a reply's text.

    Raises:
        Fault: reask or quarantine.
    """
    if len(text) > MAX_CHARACTERS:
        raise Fault("quarantine", f"the reply has {len(text)} characters, more than {MAX_CHARACTERS}", code="huge")
    _refuse_unstorable(text)
    try:
        fields, repaired = _one_object(text)
    except _RefusedError as error:
        raise Fault("reask", str(error), code="not_json") from None
    for value in _strings(fields):
        _refuse_unstorable(value)
    fields, mended = _mend(fields)
    if not _plainly_fits(fields, stage):
        _explain_misfit(fields, stage)
    return Judged(fields, "; ".join(note for note in (repaired, mended) if note))


def _plainly_fits(fields: Mapping[str, Any], stage: Stage) -> bool:
    """True when the fields obviously satisfy the schema; spares the validator, which is slow, nearly every reply."""
    schema = SCHEMAS[stage]
    return all(name in fields for name in schema["required"]) and all(
        name not in fields or _is(fields[name], rule) for name, rule in schema["properties"].items()
    )


def _is(value: Any, rule: Mapping[str, Any]) -> bool:
    if "enum" in rule:
        return value in rule["enum"]
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    return any(type(value) is _TYPES[name] for name in types) and (value != "" or "minLength" not in rule)


def _explain_misfit(fields: Mapping[str, Any], stage: Stage) -> None:
    problem = next(iter(_VALIDATORS[stage].iter_errors(fields)), None)
    if problem is not None:
        where = "/".join(str(step) for step in problem.absolute_path) or "the object"
        raise Fault("reask", f"{where}: {problem.message[:200]}", code="schema", again=1)


def check_fields(fields: Mapping[str, Any], request: Request) -> None:
    """Compare well-formed fields with the request: its item, the known label, the language, tags and terms.

    Raises:
        Fault: quarantine for a contradiction or a foreign item, reask for what can be written better.
    """
    item = fields.get("item")
    if request.item and item is not None and item != request.item:
        raise Fault("quarantine", f"the reply is for item {item!r}, not {request.item!r}", code="other_item")
    anomalous = request.case.sample.anomalous
    says_defect = fields["defect"] if request.stage == "describe" else fields["answer"] == "Yes"
    if says_defect != anomalous:
        said, known = ("a defect", "normal") if says_defect else ("no defect", "anomalous")
        raise Fault("quarantine", f"the teacher sees {said}, the label says {known}", code="contradiction")
    text = fields["description"] if request.stage == "describe" else fields["think"]
    if not text.strip():
        raise Fault("reask", "the text is empty", code="schema", again=1)
    if _foreign_share(text) > 0.1:
        raise Fault("reask", "the text is not in English", code="language", again=1)
    if _TAG.search(text):
        raise Fault("reask", "the text contains <think>, <location>, <type> or <answer> tags", code="tags")
    if (fields["location"] is not None) != anomalous:
        need = "must name a place" if anomalous else "must be null for a normal product"
        raise Fault("reask", f"location {need}", code="schema", again=1)
    if request.stage == "distill":
        _check_term(fields, request)


def _check_term(fields: Mapping[str, Any], request: Request) -> None:
    term, coarse = fields["fine_type"], request.case.sample.coarse_type
    if coarse is None:
        if term is not None:
            raise Fault("reask", "fine_type must be null for a normal product", code="schema", again=1)
        return
    if term is None or not taxonomy.normalize(term):
        raise Fault("reask", "fine_type must name the defect", code="schema", again=1)
    if _TAG.search(term) or len(term) > 60:
        raise Fault("reask", "fine_type must be a plain term of one to five words", code="schema", again=1)
    filed = taxonomy.coarse_type(term)
    if filed is not None and filed != coarse:
        raise Fault("reask", f"fine_type {term!r} belongs to {filed!r}, not to {coarse!r}", code="term", again=1)
    if request.item and filed is None and not fields.get("new_term_reason"):
        raise Fault("reask", f"fine_type {term!r} is not listed and new_term_reason is missing", code="term", again=1)


def same_model(asked: str, served: str) -> bool:
    """True when the served name is the asked one, a snapshot of it, or not given; what precedes "/" is ignored."""
    if not served:
        return True
    asked_name, served_name = asked.lower().rsplit("/", 1)[-1], served.lower().rsplit("/", 1)[-1]
    if asked_name == served_name:
        return True
    return served_name.startswith(asked_name) and bool(_NAMES_SAME_MODEL.fullmatch(served_name[len(asked_name) :]))


def storable(text: str) -> str:
    """The text with NUL and lone surrogates written as escapes, so that any database and file takes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\u0000")


class _RefusedError(ValueError):
    """A JSON text that Python's decoder would take and we do not."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise _RefusedError(f"the JSON object has the key {name!r} twice")
        fields[name] = value
    return fields


def _no_constant(name: str) -> Any:
    raise _RefusedError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def _one_object(text: str) -> tuple[dict[str, Any], str]:
    """The only JSON object of a text, and the repair that found it ("" when the text is the object)."""
    bare = text.strip().removeprefix("\ufeff")
    try:
        value = _DECODER.decode(bare)
    except json.JSONDecodeError:
        pass
    except RecursionError:
        raise _RefusedError("the JSON object is nested too deeply") from None
    else:
        if not isinstance(value, dict):
            raise _RefusedError("the reply is JSON but not an object")
        return value, ""
    found: list[dict[str, Any]] = []
    for value in _objects(bare):
        if value not in found:
            found.append(value)
    if not found:
        if _REFUSAL.match(bare):
            raise Fault("quarantine", "the model refused: " + bare[:120], code="refused")
        raise _RefusedError("the reply holds no complete JSON object")
    if len(found) > 1:
        raise _RefusedError(f"the reply holds {len(found)} different JSON objects")
    return found[0], f"took the object out of {'its code fence' if '```' in bare else 'the text around it'}"


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost complete JSON object inside a text."""
    start, tried = text.find("{"), 0
    while start >= 0 and tried < _MAX_CANDIDATES:
        tried += 1
        try:
            value, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError:
            end = start + 1
        except RecursionError:
            raise _RefusedError("the JSON object is nested too deeply") from None
        else:
            yield value
        start = text.find("{", end)


def _mend(fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Spellings of the same value: an answer in another case, a word that means null."""
    notes = []
    answer = fields.get("answer")
    if isinstance(answer, str) and answer not in ("Yes", "No") and answer.strip(" .").capitalize() in ("Yes", "No"):
        fields = {**fields, "answer": answer.strip(" .").capitalize()}
        notes.append("answer respelt")
    for name in ("location", "fine_type"):
        value = fields.get(name)
        if isinstance(value, str) and value.strip(" .").lower() in _NOTHING:
            fields = {**fields, name: None}
            notes.append(f"{name} {value!r} read as null")
    return fields, "; ".join(notes)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _refuse_unstorable(text: str) -> None:
    if "\x00" in text:
        raise Fault("reask", "the reply contains a NUL character", code="unstorable")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Fault("reask", "the reply contains a lone surrogate", code="unstorable") from None


def _foreign_share(text: str) -> float:
    """Share of a text's letters that belong to no Latin script."""
    letters = [character for character in text if character.isalpha()]
    return sum(character > "\u024f" for character in letters) / len(letters) if letters else 0.0
