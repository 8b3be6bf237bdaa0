"""The payloads of IoT Agent JSON: pure, documents to readings, and commands to documents.

{"t": 3, "TimeInstant": "2026-06-30T05:20:00Z"}     one group
[{"t": 3}, {"t": 4}]                                two groups
{"open": {"position": 40}}                          a command
{"open": "OK"}                                      its answer
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from adapters.document import read_json
from adapters.errors import UnreadableFile
from adapters.iot.payload import MOST_BYTES, MOST_GROUPS, MOST_READINGS, CommandAnswer, MalformedPayload, Measure

TIME: Final = "TimeInstant"


def parse_measures(data: bytes, attribute: str = "") -> list[Measure]:
    """The groups of a message; `attribute` is the name where the topic says it, and the message is its value.

    A value alone need not be JSON: what is none is a text. Raises MalformedPayload.
    """
    if attribute:
        value = _value(data)
        return [Measure({attribute: value}, shown=value)]
    document = _document(data)
    listed = document if isinstance(document, list) else [document]
    if not listed:
        raise MalformedPayload("The message is an empty list.")
    if len(listed) > MOST_GROUPS:
        raise MalformedPayload(f"The message has more than {MOST_GROUPS} groups.")
    return [_group(each) for each in listed]


def parse_answers(data: bytes) -> list[CommandAnswer]:
    """The answers to commands, `{"command": result}`. Raises MalformedPayload."""
    document = _document(data)
    if not isinstance(document, dict) or not document:
        raise MalformedPayload("The answer to a command must be an object, {command: result}.")
    return [CommandAnswer(command, result) for command, result in document.items() if command]


def command_document(command: str, value: Any) -> bytes:
    """A command as it goes to the device."""
    return orjson.dumps({command: value})


def commands_document(commands: Sequence[tuple[str, Any]]) -> bytes:
    """Commands as they go to a device that polls: of several with one name the last one counts; empty where there are none."""
    return orjson.dumps(dict(commands)) if commands else b""


def _group(document: Any) -> Measure:
    if not isinstance(document, dict):
        return Measure({}, shown=document, fault="The group is no object.")
    if len(document) > MOST_READINGS:
        return Measure({}, shown=document, fault=f"The group has more than {MOST_READINGS} readings.")
    readings = {name: value for name, value in document.items() if name != TIME}
    if "" in readings:
        return Measure({}, shown=document, fault="The group has an empty name.")
    if not readings:
        return Measure({}, shown=document, fault="The group has no readings.")
    given = document.get(TIME)
    if isinstance(given, Mapping):  # some devices send it as NGSIv2 has it
        given = given.get("value")
    if given is not None and not isinstance(given, str):
        return Measure({}, shown=document, fault=f"{TIME} is no text.")
    return Measure(readings, given or "", document)


def _value(data: bytes) -> Any:
    if len(data) > MOST_BYTES:
        raise MalformedPayload(f"The message has more than {MOST_BYTES:,} bytes.")
    try:
        return read_json(data, MOST_BYTES)
    except UnreadableFile:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedPayload("The message is not UTF-8.") from None
        if not text:
            raise MalformedPayload("The message is empty.") from None
        return text


def _document(data: bytes) -> Any:
    try:
        return read_json(data, MOST_BYTES)
    except UnreadableFile as error:
        raise MalformedPayload(str(error)) from None
