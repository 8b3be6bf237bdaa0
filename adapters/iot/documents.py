"""What the provisioning API takes: documents of groups (`services`) and devices, checked member by member.

The members are those of the agents of FIWARE. What would need an expression to be evaluated, or a question to the device at
the moment of a query (`lazy`), is refused by its name: nothing that a document says is ever executed, and nothing is ignored
that would change what entities say.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from adapters.errors import AdapterError
from adapters.iot.mapping import reports_of_static

Protocol = Literal["ultralight", "json"]

RESOURCES: Final[Mapping[str, Protocol]] = {"/iot/d": "ultralight", "/iot/json": "json"}
_PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "pdi-iota-ultralight": "ultralight",
    "iota-ul": "ultralight",
    "ultralight": "ultralight",
    "ultralight2.0": "ultralight",
    "iota-json": "json",
    "pdi-iota-json": "json",
    "json": "json",
}
_SHARED: Final = (
    *("entity_type", "attributes", "static_attributes", "commands", "lazy", "timezone", "timestamp", "explicitAttrs"),
    *("ngsiVersion", "expressionLanguage"),
)
_OF_GROUP: Final = frozenset(
    [
        *_SHARED,
        "apikey",
        "resource",
        "cbroker",
        "autoprovision",
        "type",
        "protocol",
        "transport",
        "endpoint",
        "description",
    ]
)
_OF_DEVICE: Final = frozenset(
    [*_SHARED, "device_id", "apikey", "entity_name", "protocol", "transport", "endpoint", "polling", "description"]
)
_OF_ATTRIBUTE: Final = frozenset(["object_id", "name", "type", "metadata"])
_OF_STATIC: Final = frozenset(["name", "type", "value", "metadata"])
_OF_COMMAND: Final = frozenset(["object_id", "name", "type"])
_OF_THE_AGENTS: Final = frozenset(
    ["service", "subservice", "service_path", "_id", "__v", "registrationId", "creationDate", "cbHost"]
)
"""What agents add to a document that they are asked for: theirs, and nothing when it is given to another one."""
_RESERVED: Final = frozenset(["id", "type", "scope", "@context"])
_SEGMENT: Final = re.compile(r"[^\x00-\x20/+#|@\x7f?&]{1,200}")
"""A part of an MQTT topic and of an UltraLight message: without what either is made of."""
MOST_BYTES: Final = 64 * 1024
_MOST_MEMBERS: Final = 1000
_LONGEST: Final = 2048


class InvalidDocument(AdapterError):
    """A document of the provisioning API is at fault; the message names the member."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """An attribute of a device: what it calls it, and the name, type and metadata that the entity has for it."""

    object_id: str
    name: str
    type: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Static:
    """An attribute that entities have with each measure."""

    name: str
    type: str
    value: Any
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """What a group says for its devices, and a device for itself; None and empty: nothing."""

    entity_type: str = ""
    attributes: tuple[Mapped, ...] = ()
    static_attributes: tuple[Static, ...] = ()
    commands: tuple[str, ...] = ()
    timezone: str = ""
    timestamp: bool | None = None
    explicit: bool | None = None


@dataclass(frozen=True, slots=True)
class GroupDocument:
    """A group of devices, known by the key that they send: a `service` of the API."""

    apikey: str
    resource: str
    shared: Shared
    transport: str = ""
    endpoint: str = ""
    autoprovision: bool | None = None

    @property
    def protocol(self) -> Protocol | None:
        """What its devices speak; None where they speak MQTT and either."""
        return RESOURCES.get(self.resource)


@dataclass(frozen=True, slots=True)
class DeviceDocument:
    """One device."""

    device_id: str
    shared: Shared
    apikey: str = ""
    entity_name: str = ""
    protocol: Protocol | None = None
    transport: str = ""
    endpoint: str = ""
    polling: bool | None = None


def read_group(document: Any, where: str) -> GroupDocument:
    """A group. Raises InvalidDocument."""
    table = _table(document, where, _OF_GROUP)
    resource = _text(table, "resource", where)
    if resource and resource not in RESOURCES:
        raise InvalidDocument(
            f"{where}.resource must be {' or '.join(RESOURCES)}, or empty for MQTT, and is {resource!r}."
        )
    shared = _shared(table, where)
    if not shared.entity_type and "type" in table:
        shared = replace(shared, entity_type=_text(table, "type", where))
    return GroupDocument(
        _segment(table, "apikey", where),
        resource,
        shared,
        _transport(table, where),
        _endpoint(table, where),
        _truth(table, "autoprovision", where),
    )


def read_device(document: Any, where: str) -> DeviceDocument:
    """A device. Raises InvalidDocument."""
    table = _table(document, where, _OF_DEVICE)
    protocol = _text(table, "protocol", where)
    if protocol and protocol.lower() not in _PROTOCOLS:
        raise InvalidDocument(f"{where}.protocol {protocol!r} is not known: PDI-IoTA-UltraLight and IoTA-JSON are.")
    return DeviceDocument(
        _segment(table, "device_id", where),
        _shared(table, where),
        _segment(table, "apikey", where) if table.get("apikey") else "",
        _text(table, "entity_name", where),
        _PROTOCOLS[protocol.lower()] if protocol else None,
        _transport(table, where),
        _endpoint(table, where),
        _truth(table, "polling", where),
    )


def kept(document: Mapping[str, Any], where: str) -> str:
    """What is kept of a document that was read, as text. Raises InvalidDocument for one that is too large.

    What decoding needs of it is put on disk with each measure of its devices.
    """
    text = json.dumps({name: value for name, value in document.items() if name not in _OF_THE_AGENTS})
    if len(text) > MOST_BYTES:
        raise InvalidDocument(f"{where} must have {MOST_BYTES:,} bytes of JSON at most, and has {len(text):,}.")
    return text


def _shared(table: Mapping[str, Any], where: str) -> Shared:
    if _list(table, "lazy", where):
        raise InvalidDocument(
            f"{where}.lazy is not supported: no device is asked at the moment of a query; make them attributes that it sends."
        )
    language = _text(table, "expressionLanguage", where)
    if language not in ("", "jexl", "legacy", "none"):
        raise InvalidDocument(f"{where}.expressionLanguage {language!r} is not known.")
    if isinstance(table.get("explicitAttrs"), str | list):
        raise InvalidDocument(f"{where}.explicitAttrs must be true or false: expressions are not evaluated.")
    zone = _text(table, "timezone", where)
    if zone:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError below, names like "../x" are ValueErrors
            raise InvalidDocument(f"{where}.timezone {zone!r} is no time zone of the IANA list.") from None
        except KeyError:
            raise InvalidDocument(f"{where}.timezone {zone!r} is no time zone of the IANA list.") from None
    attributes = [
        _mapped(each, f"{where}.attributes[{place}]") for place, each in enumerate(_list(table, "attributes", where))
    ]
    static = [
        _static(each, f"{where}.static_attributes[{place}]")
        for place, each in enumerate(_list(table, "static_attributes", where))
    ]
    commands = [
        _command(each, f"{where}.commands[{place}]") for place, each in enumerate(_list(table, "commands", where))
    ]
    _once(where, "attributes", "object_id", [each.object_id for each in attributes])
    _once(where, "attributes", "name", [each.name for each in attributes])
    _once(where, "static_attributes", "name", [each.name for each in static])
    _once(where, "commands", "name", commands)
    return Shared(
        _text(table, "entity_type", where),
        tuple(attributes),
        tuple(static),
        tuple(commands),
        zone,
        _truth(table, "timestamp", where),
        _truth(table, "explicitAttrs", where),
    )


def _mapped(document: Any, where: str) -> Mapped:
    table = _table(document, where, _OF_ATTRIBUTE)
    name = _name(table, where)
    object_id = _text(table, "object_id", where) or name
    if any(mark in object_id for mark in "|#/+"):
        raise InvalidDocument(f"{where}.object_id {object_id!r} has one of | # / +, which no message can hold.")
    return Mapped(object_id, name, _text(table, "type", where) or "Property", _metadata(table, where))


def _static(document: Any, where: str) -> Static:
    table = _table(document, where, _OF_STATIC)
    name = _name(table, where)
    if table.get("value") is None:
        raise InvalidDocument(f"{where}.value must be given.")
    _no_expression(table["value"], f"{where}.value")
    kind = _text(table, "type", where) or "Property"
    metadata = _metadata(table, where)
    if trouble := reports_of_static(name, kind, table["value"], metadata):
        raise InvalidDocument(f"{where}.value is no {kind}: {trouble}.")
    return Static(name, kind, table["value"], metadata)


def _command(document: Any, where: str) -> str:
    table = _table(document, where, _OF_COMMAND)
    name = _segment(table, "name", where)
    if re.fullmatch(r"[^\W\d_]\w*", name) is None:
        raise InvalidDocument(
            f"{where}.name {name!r} can be no name of an attribute: a letter, then letters, digits and _."
        )
    if table.get("object_id", name) != name:
        raise InvalidDocument(f"{where}.object_id must be the command's name, or left out.")
    return name


def _name(table: Mapping[str, Any], where: str) -> str:
    name = _text(table, "name", where)
    if not name:
        raise InvalidDocument(f"{where}.name must be given.")
    if name in _RESERVED:
        raise InvalidDocument(f"{where}.name must not be {name!r}, which every entity has.")
    return name


def _metadata(table: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    metadata = table.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise InvalidDocument(f"{where}.metadata must be an object.")
    _no_expression(metadata, f"{where}.metadata")
    return {
        name: each if isinstance(each, dict) and "value" in each else {"value": each} for name, each in metadata.items()
    }


def _no_expression(value: Any, where: str) -> None:
    """Raises InvalidDocument where a text has the mark of an expression, however deep."""
    if isinstance(value, str) and "${" in value:
        raise InvalidDocument(f"{where} has an expression, and expressions are not evaluated.")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _no_expression(each, where)


def _table(document: Any, where: str, known: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidDocument(f"{where} must be an object.")
    for name, value in document.items():
        if name in known or name in _OF_THE_AGENTS or value is None or value is False or value in ("", [], {}):
            continue  # what is not known and says nothing changes nothing
        if name in ("expression", "endpointExp", "entityNameExp", "payloadType", "contentType", "headers", "mqtt"):
            raise InvalidDocument(
                f"{where}.{name} is not supported: expressions are not evaluated, and payloads have one form."
            )
        raise InvalidDocument(
            f"{where}.{str(name)[:80]} is not known or not supported; there are {', '.join(sorted(known))}."
        )
    return document


def _list(table: Mapping[str, Any], name: str, where: str) -> Sequence[Any]:
    found = table.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise InvalidDocument(f"{where}.{name} must be a list.")
    if len(found) > _MOST_MEMBERS:
        raise InvalidDocument(f"{where}.{name} must have {_MOST_MEMBERS} members at most.")
    return found


def _text(table: Mapping[str, Any], name: str, where: str) -> str:
    value = table.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise InvalidDocument(f"{where}.{name} must be a text without control characters, of {_LONGEST} at most.")
    _no_expression(value, f"{where}.{name}")
    return value


def _segment(table: Mapping[str, Any], name: str, where: str) -> str:
    value = _text(table, name, where)
    if not value:
        raise InvalidDocument(f"{where}.{name} must be given.")
    if _SEGMENT.fullmatch(value) is None:
        raise InvalidDocument(
            f"{where}.{name} must have 200 characters at most, and no space nor any of / + # | @ ? &."
        )
    return value


def _truth(table: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = table.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidDocument(f"{where}.{name} must be true or false.")
    return value


def _transport(table: Mapping[str, Any], where: str) -> str:
    transport = _text(table, "transport", where).upper()
    if transport not in ("", "HTTP", "MQTT"):
        raise InvalidDocument(f"{where}.transport must be HTTP or MQTT, and is {transport!r}.")
    return transport


def _endpoint(table: Mapping[str, Any], where: str) -> str:
    endpoint = _text(table, "endpoint", where)
    if endpoint:
        try:
            parts = urlsplit(endpoint)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise InvalidDocument(f"{where}.endpoint must be an http or https URL.")
    return endpoint


def _once(where: str, member: str, name: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        twice = next(each for each in values if values.count(each) > 1)
        raise InvalidDocument(f"{where}.{member} has the {name} {twice!r} twice.")
