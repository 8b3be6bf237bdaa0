"""The adapter for NGSIv2: entities of city systems that run on it, as lists, single ones or notifications, taken over as NGSI-LD.

    {"subscriptionId": "…", "data": [{"id": "Room1", "type": "Room", "temperature": {"type": "Number", "value": 23,
                                       "metadata": {"unitCode": {"type": "Text", "value": "CEL"}}}}]}

An id that is no URN becomes one with its type; `refDevice` and what has the type Relationship become relationships; positions
turn round (NGSIv2 says latitude first in `geo:point`); `TimeInstant` becomes `observedAt`. What has no place is reported.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson

from adapters.contract import Adapter, Decoded, Entity, Origin, Quarantined, Repair, State
from adapters.document import is_number, read_json
from adapters.errors import UnreadableFile
from adapters.options import Options, option
from adapters.transforms.reading import Severity
from datamodels.units import UNITS

_FORBIDDEN: Final = re.compile("%(3C|3E|22|27|3D|3B|28|29)", re.IGNORECASE)
"""What NGSIv2 does not allow in texts, < > " ' = ; ( ), as clients write it there."""
_URN: Final = re.compile(r"urn:ngsi-ld:[A-Za-z][A-Za-z0-9_]*:(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+")
_PLAIN_TYPE: Final = re.compile("[A-Za-z][A-Za-z0-9_]*")
_INSTANT_NAMES: Final = ("TimeInstant", "dateObserved", "timestamp")
_BUILT_IN: Final = frozenset(["dateCreated", "dateModified", "dateExpires", "servicePath", "alterationType"])
_RESERVED: Final = frozenset(["id", "type", "scope", "@context"])
SCOPE: Final = re.compile(r"(/\w+)+")
_MEMBERS: Final = frozenset(["type", "value", "metadata"])
_KINDS_OF_NGSI_LD: Final = {"VocabProperty": "vocab", "JsonProperty": "json", "LanguageProperty": "languageMap"}
"""Kinds of attributes that agents of FIWARE let their users write where NGSIv2 has a type, with the members for their values."""


@dataclass(frozen=True, slots=True)
class Ngsiv2Options(Options):
    """What a feed may say of its entities."""

    default_type: str = option("the type of entities that have none", "Thing")
    scope: bool = option("whether the service path becomes the entity's scope", True)


class Refused(Exception):
    """The entity cannot be taken over: the member at fault, the rule that it breaks, and why."""

    def __init__(self, member: str, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.member, self.rule, self.reason = member, rule, reason


def decode_entities(data: bytes, origin: Origin, options: Ngsiv2Options, state: State) -> Decoded:
    """The entities of a notification, a list, or a single one. Raises UnreadableFile."""
    records = _records(data)
    entities: dict[str, tuple[int, Entity]] = {}
    repairs: list[Repair] = []
    quarantine: list[Quarantined] = []
    for row, record in enumerate(records, 1):
        translation = Translation(row)
        try:
            entity = translation.entity(record, options)
        except Refused as refusal:
            shown = record if isinstance(record, dict) else {"record": record}
            quarantine.append(Quarantined(row, refusal.member, refusal.rule, refusal.reason, shown))
            continue
        path = origin.parameters.get("fiware-servicepath", "")
        if options.scope and SCOPE.fullmatch(path):
            entity["scope"] = path
        entities[entity["id"]] = (row, entity)  # the later one counts, as in NGSIv2
        repairs += translation.repairs
    return Decoded(len(records), tuple(entity for _, entity in entities.values()), tuple(repairs), tuple(quarantine))


def _records(data: bytes) -> list[Any]:
    document = read_json(data)
    if isinstance(document, dict) and isinstance(document.get("data"), list) and "id" not in document:
        document = document["data"]
    if isinstance(document, dict) and "id" in document:
        return [document]
    if isinstance(document, list):
        return document
    raise UnreadableFile("The input is neither an NGSIv2 entity, nor a list of them, nor a notification with `data`.")


@dataclass(slots=True)
class Translation:
    """One entity on its way, with the repairs that it needed. Other sources that speak NGSIv2 share its rules."""

    row: int
    repairs: list[Repair] = field(default_factory=list)

    def entity(self, record: Any, options: Ngsiv2Options) -> Entity:
        """An entity from its record. Raises Refused."""
        if not isinstance(record, dict) or not isinstance(record.get("id"), str) or not record["id"]:
            raise Refused("id", "no-id", "The record has no id.")
        kind = record.get("type", options.default_type)
        if not isinstance(kind, str) or not is_name(kind):
            raise Refused("type", "no-type", f"{kind!r} cannot be a type in NGSI-LD: it is no name.")
        entity_id = urn(record["id"], kind)
        if entity_id != record["id"]:
            self.report("id", record["id"], entity_id, "id-made-a-urn")
        entity: Entity = {"id": entity_id, "type": kind}
        moment = self.instant_of(record)
        for name, given in record.items():
            if name in _RESERVED or name in _BUILT_IN or (name == "TimeInstant" and moment):
                continue
            attribute = self.attribute(name, given, moment)
            if attribute is None:
                continue
            plain = self.name(name)
            if plain in entity:
                raise Refused(
                    name, "two-attributes-of-a-name", f"{name} has the name {plain} in NGSI-LD, as another one."
                )
            entity[plain] = attribute
        return entity

    def name(self, name: str) -> str:
        """The name of an attribute in NGSI-LD, where names have letters, digits and _ only."""
        if is_name(name):
            return name
        plain = re.sub(r"\W", "_", name)
        plain = plain if is_name(plain) else f"a_{plain}"
        self.report(name, name, plain, "name-made-plain", Severity.WARNING)
        return plain

    def attribute(self, name: str, given: Any, moment: str = "") -> dict[str, Any] | None:
        """An attribute from its normalized form, or from its bare value; None where it says nothing."""
        normalized = isinstance(given, dict) and "value" in given and given.keys() <= _MEMBERS
        value = given["value"] if normalized else given
        kind = given.get("type", "") if normalized else ""
        metadata = given.get("metadata") if normalized else None
        metadata = metadata if isinstance(metadata, dict) else {}
        value = self.stated(name, value)
        if value is None:
            return None
        attribute = self.of_kind(name, kind if isinstance(kind, str) else "", value)
        own = self.instant_of(metadata) or moment
        if own:
            attribute["observedAt"] = own
        for sub, each in metadata.items():
            if sub in _INSTANT_NAMES or sub in _BUILT_IN or sub in ("previousValue", "actionType"):
                continue
            if sub == "unitCode" and isinstance(each, dict) and each.get("value") in UNITS:
                attribute["unitCode"] = each["value"]
                continue
            translated = self.attribute(f"{name}.{sub}", each)
            if translated is not None:
                plain = self.name(sub)
                plain = "unitText" if plain == "unitCode" else plain
                attribute.setdefault(plain if plain not in ("value", "object", "type") else f"{plain}_", translated)
        return attribute

    def of_kind(self, name: str, kind: str, value: Any) -> dict[str, Any]:
        """An attribute of the kind that a type of NGSIv2 has in NGSI-LD, from a value that says something."""
        if (member := _KINDS_OF_NGSI_LD.get(kind)) is not None and _holds(kind, value):
            return {"type": kind, member: value}
        if kind in ("GeoProperty", "Point"):
            kind = "geo:point" if isinstance(value, str) else "geo:json"
        if kind.startswith("geo:"):
            geometry = _geometry(kind, value)
            if geometry is not None:
                return {"type": "GeoProperty", "value": geometry}
            self.report(name, _shown(value), _shown(value), "not-a-geometry", Severity.WARNING)
        if kind in ("DateTime", "ISO8601") and isinstance(value, str):
            moment = utc(value)
            if moment:
                return {"type": "Property", "value": {"@type": "DateTime", "@value": moment}}
            self.report(name, value, value, "not-an-instant", Severity.WARNING)
        last = name.rpartition(".")[2]
        refers = kind in ("Relationship", "Reference") or re.match("ref[A-Z]", last) is not None
        if refers and _is_texts(value):
            target = last[3:] if re.match("ref[A-Z]", last) else "Thing"
            ids = [urn(each, target) for each in (value if isinstance(value, list) else [value])]
            return {"type": "Relationship", "object": ids if isinstance(value, list) else ids[0]}
        return {"type": "Property", "value": value}

    def stated(self, name: str, value: Any) -> Any:
        """A value without what says nothing, and with the characters that NGSIv2 forbids; None where nothing is left."""
        stated = value
        if isinstance(value, str):
            stated = _FORBIDDEN.sub(lambda found: unquote(found[0]), value)
            if stated != value:
                self.report(name, value, stated, "percent-decoded")
        elif isinstance(value, list):
            stated = [each for each in (self.stated(name, each) for each in value) if each is not None]
        elif isinstance(value, dict):
            members = {key: self.stated(f"{name}.{key}", each) for key, each in value.items()}
            stated = {key: each for key, each in members.items() if each is not None}
        if stated is None or stated in ("", [], {}):
            self.report(name, _shown(value), "", "says-nothing")
            return None
        return stated

    def instant_of(self, record: Mapping[str, Any]) -> str:
        """When something was observed, as `TimeInstant` and others say it; empty if none does."""
        for name in _INSTANT_NAMES if record.keys() <= {"id"} or "id" not in record else ("TimeInstant",):
            given = record.get(name)
            value = given.get("value") if isinstance(given, dict) else given
            if isinstance(value, str) and (moment := utc(value)):
                return moment
        return ""

    def report(self, member: str, before: str, after: str, rule: str, severity: Severity = Severity.INFO) -> None:
        """Note what was said otherwise than it came."""
        self.repairs.append(Repair(self.row, member, before, after, rule, severity))


def is_name(text: str) -> bool:
    """Whether a text is a name in NGSI-LD (4.6.2): a letter, then letters, digits and _."""
    return bool(text) and text[0].isalpha() and re.fullmatch(r"\w+", text) is not None


def urn(entity_id: str, kind: str) -> str:
    """The URN of an entity of NGSIv2: its own if it has one."""
    if _URN.fullmatch(entity_id):
        return entity_id
    plain = kind if _PLAIN_TYPE.fullmatch(kind) else "Thing"
    rest = entity_id.removeprefix(f"urn:ngsi-ld:{plain}:")
    return f"urn:ngsi-ld:{plain}:{quote(rest.encode('utf-8', 'replace'), safe='')}"


def utc(text: str) -> str:
    """A UTC instant to the millisecond; empty for what is none. An instant without a zone is UTC in NGSIv2."""
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    if moment.year < 1000:
        return ""
    fraction = f".{moment.microsecond // 1000:03d}" if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _geometry(kind: str, value: Any) -> dict[str, Any] | None:
    """A GeoJSON geometry from one of the five forms of NGSIv2; None for what is none."""
    if kind == "geo:json":
        known = (
            isinstance(value, dict)
            and isinstance(value.get("type"), str)
            and isinstance(value.get("coordinates"), list)
        )
        return value if known and all(map(is_number, _numbers(value["coordinates"]))) else None
    points = [_position(each) for each in (value if isinstance(value, list) else [value])]
    make = _SHAPES.get(kind)
    if make is None or not points or any(point is None for point in points):
        return None
    return make([point for point in points if point is not None])


def _box(points: list[list[float]]) -> dict[str, Any] | None:
    if len(points) != 2:
        return None
    (west, south), (east, north) = points
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _point(points: list[list[float]]) -> dict[str, Any] | None:
    return {"type": "Point", "coordinates": points[0]} if len(points) == 1 else None


def _line(points: list[list[float]]) -> dict[str, Any] | None:
    return {"type": "LineString", "coordinates": points} if len(points) > 1 else None


def _polygon(points: list[list[float]]) -> dict[str, Any] | None:
    closed = len(points) > 3 and points[0] == points[-1]
    return {"type": "Polygon", "coordinates": [points]} if closed else None


_SHAPES: Final[Mapping[str, Callable[[list[list[float]]], dict[str, Any] | None]]] = MappingProxyType(
    {"geo:point": _point, "geo:line": _line, "geo:box": _box, "geo:polygon": _polygon}
)


def _position(text: Any) -> list[float] | None:
    """Longitude and latitude from "latitude, longitude"."""
    parts = text.split(",") if isinstance(text, str) else []
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError:
        return None
    return [longitude, latitude] if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _holds(kind: str, value: Any) -> bool:
    """Whether a value is one for that kind of attribute."""
    if kind == "VocabProperty":
        return _is_texts(value)
    if kind == "LanguageProperty":
        return isinstance(value, dict) and all(map(_is_texts, value.values()))
    return isinstance(value, dict | list)


def _numbers(coordinates: list[Any]) -> Iterator[Any]:
    for each in coordinates:
        if isinstance(each, list):
            yield from _numbers(each)
        else:
            yield each


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()[:200]


NGSIV2: Final = Adapter("ngsiv2", "entities and notifications of NGSIv2 systems", decode_entities, Ngsiv2Options)
