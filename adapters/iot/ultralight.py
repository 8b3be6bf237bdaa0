"""The payloads of UltraLight 2.0: pure, texts to readings, and commands to texts.

    t|3|h|45                        one group with two readings
    t|3#h|45                        two groups
    2026-06-30T05:20:00Z|t|3        a group with a time of its own
    gate001@open|position=40        a command for the device gate001
    gate001@open|open OK            its answer

A text cannot hold `|` or `#`, and a value is a text: the provisioned type of the attribute says what it means (`typed`).
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from adapters.document import read_json
from adapters.errors import UnreadableFile
from adapters.iot.payload import MOST_BYTES, MOST_GROUPS, MOST_READINGS, CommandAnswer, MalformedPayload, Measure

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_TRUTH: Final = {"true": True, "false": False, "1": True, "0": False}
_TEXTS: Final = frozenset(["text", "string"])
_NUMBERS: Final = frozenset(["number", "float", "integer", "double", "percentage"])
_DOCUMENTS: Final = frozenset(
    ["structuredvalue", "object", "array", "list", "jsonproperty", "geo:json", "languageproperty"]
)
_LARGEST: Final = 2**63 - 1


class Untyped(Exception):
    """A value is not of the type that its attribute is provisioned with."""


def parse_measures(data: bytes, attribute: str = "") -> list[Measure]:
    """The groups of a message; `attribute` is the name where the topic says it, and the message is its value.

    A group at fault has its fault, and no other suffers from it. Raises MalformedPayload where it is no text at all.
    """
    text = _text(data)
    if attribute:
        return [Measure({attribute: text}, shown=text)]
    groups = text.split("#", MOST_GROUPS)
    if len(groups) > MOST_GROUPS:
        raise MalformedPayload(f"The message has more than {MOST_GROUPS} groups.")
    return [_group(each) for each in groups]


def parse_answer(data: bytes) -> CommandAnswer:
    """The answer to a command, `device@command|result`. Raises MalformedPayload."""
    text = _text(data)
    head, bar, result = text.partition("|")
    device, at, command = head.rpartition("@")
    if not at or not bar or not device or not command:
        raise MalformedPayload("The answer to a command must have the form device@command|result.")
    return CommandAnswer(command, result, device)


def is_answer(data: bytes) -> bool:
    """Whether a message is an answer to a command, not readings: its first field names a device and a command."""
    return b"@" in data.partition(b"|")[0]


def command_text(device: str, command: str, value: Any) -> str:
    """A command as it goes to the device. Raises MalformedPayload where its value has no form in UltraLight."""
    if isinstance(value, Mapping):
        return "|".join([f"{device}@{command}", *(f"{_plain(name)}={_plain(each)}" for name, each in value.items())])
    return f"{device}@{command}|{_plain(value)}"


def typed(text: str, kind: str) -> Any:
    """The value that a text stands for in an attribute of that type. Raises Untyped.

    Text and String keep it; Number, Float, Integer and Boolean must be one; DateTime, ISO8601, Relationship and positions are
    texts here, and what reads them judges them; documents are JSON. Any other type, Property among them: what is written as
    JSON writes a number is a number (`3`, `-1.5`), everything else is a text (`03`, `1,5`, `true`).
    """
    name = kind.lower()
    if name in _TEXTS:
        return text
    if name in _NUMBERS:
        number = _number(text)
        if number is None:
            raise Untyped(f"{text!r} is no number")
        if name == "integer" and not isinstance(number, int):
            raise Untyped(f"{text!r} is no whole number")
        return number
    if name == "boolean":
        if text.lower() not in _TRUTH:
            raise Untyped(f"{text!r} is neither true nor false")
        return _TRUTH[text.lower()]
    if name in _DOCUMENTS:
        try:
            return read_json(text.encode(), MOST_BYTES)
        except UnreadableFile:
            raise Untyped(f"{text!r} is no JSON") from None
    if name.startswith("geo:") or name in ("geoproperty", "point", "datetime", "iso8601", "relationship", "reference"):
        return text.replace("/", ",") if name in ("geo:point", "geoproperty", "point") else text
    number = _number(text)
    return text if number is None else number


def is_instant(text: str) -> bool:
    """Whether a text is a point in time of ISO 8601 with date and time."""
    if "T" not in text:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _text(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise MalformedPayload(f"The message has more than {MOST_BYTES:,} bytes.")
    try:
        text = data.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise MalformedPayload("The message is not UTF-8.") from None
    if not text:
        raise MalformedPayload("The message is empty.")
    return text


def _group(text: str) -> Measure:
    # A leading bar is what some devices send; the agents of FIWARE take it, too.
    fields = text.removeprefix("|").split("|", 2 * MOST_READINGS + 1)
    if len(fields) > 2 * MOST_READINGS + 1:
        return Measure({}, shown=text, fault=f"The group has more than {MOST_READINGS} readings.")
    time = ""
    if len(fields) % 2:
        time, *fields = fields
        if not is_instant(time):
            return Measure(
                {}, shown=text, fault="The group has a name without a value, and does not begin with a time."
            )
    if not fields:
        return Measure({}, shown=text, fault="The group has a time and no readings.")
    readings: dict[str, str] = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if not name or not value:
            return Measure({}, shown=text, fault="The group has an empty name or value.")
        if name in readings:
            return Measure({}, shown=text, fault=f"The group has {name!r} twice.")
        readings[name] = value
    return Measure(readings, time, text)


def _number(text: str) -> int | float | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    if text.removeprefix("-").isdigit() and len(text) < 20 and abs(int(text)) <= _LARGEST:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def _plain(value: Any) -> str:
    """A value of a command as text: what would end it, or begin another, has no place in UltraLight."""
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case str():
            text = value
        case int() | float():
            text = orjson.dumps(value).decode()
        case _:
            raise MalformedPayload("A list, or an object in an object, has no form in UltraLight.")
    if any(mark in text for mark in "|#\r\n"):
        raise MalformedPayload("A text with |, # or a line break has no form in UltraLight.")
    return text
