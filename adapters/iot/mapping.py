"""From a group of readings to the part of an entity that it says: pure, by the rules that NGSIv2 has here (`adapters.ngsiv2`).

A reading that is provisioned gets the name, the type and the metadata that it is provisioned with; another one keeps its own
name, unless only explicit ones are wanted. A group in which something is not what its type says is refused as a whole.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from adapters.contract import Entity
from adapters.iot.payload import Measure
from adapters.iot.snapshot import Provision
from adapters.iot.ultralight import Untyped, typed
from adapters.ngsiv2 import SCOPE, Refused, Translation, urn, utc

TIME: Final = "TimeInstant"
_RESERVED: Final = frozenset(["id", "type", "scope", "@context"])
_GEOMETRIES: Final = frozenset(["geo:point", "geo:line", "geo:box", "geo:polygon", "geo:json", "GeoProperty", "Point"])
_NUMBERS: Final = frozenset(["number", "float", "integer", "double", "percentage"])
_MOST_AHEAD: Final = timedelta(days=1)
"""A time this far after its arrival is wrong: it would keep every true reading out of the entity's state until then."""


def plain_type(kind: str) -> str:
    """A type as NGSI-LD can have it (4.6.2): letters, digits and _."""
    plain = "".join(each if each.isalnum() or each == "_" else "_" for each in kind) or "Thing"
    return plain if plain[0].isalpha() else f"T_{plain}"


def entity_id(provision: Provision) -> str:
    """The id of a device's entity."""
    return urn(provision.entity_name, provision.entity_type)


def part_of(
    measure: Measure, provision: Provision, translation: Translation, at: str, arrived: str, *, texts: bool
) -> Entity:
    """The part of the device's entity that a group says. Raises Refused.

    `at` is the time that came with the message, for a group that has none; `arrived` is when it came. `texts`: the readings are
    texts whose type decides what they mean.
    """
    found: dict[str, tuple[str, str, Any, Mapping[str, Any]]] = {}
    time = measure.time
    for object_id, value in measure.readings.items():
        name, kind, metadata = provision.attributes.get(object_id, ("", "", {}))
        if name == TIME or (not name and object_id == TIME):
            time = _shown(value)
            continue
        if not name:
            if provision.explicit or object_id in _RESERVED:
                rule = "not-provisioned" if provision.explicit else "reserved-name"
                translation.report(object_id, _shown(value), "", rule)
                continue
            name = object_id
        found[object_id] = (name, kind, _value(translation, object_id, kind, value, texts=texts), metadata)
    moment = _moment(time or at, provision, arrived)
    entity: Entity = {"id": entity_id(provision), "type": provision.entity_type}
    for object_id, (name, kind, value, metadata) in found.items():
        attribute = _attribute(translation, name, kind, value, metadata, moment)
        if attribute is None:
            continue
        if kind in _GEOMETRIES and attribute["type"] != "GeoProperty":
            raise Refused(object_id, "not-a-position", f"{_shown(value)} is no {kind}.")
        plain = translation.name(name)
        if plain in entity:
            raise Refused(object_id, "two-readings-of-a-name", f"{plain} has two readings in one group.")
        entity[plain] = attribute
    for name, kind, value, metadata in provision.static:
        attribute = _attribute(translation, name, kind, value, metadata, "")
        if attribute is not None:
            entity.setdefault(translation.name(name), attribute)
    if SCOPE.fullmatch(provision.scope):
        entity["scope"] = provision.scope
    return entity


def reports_of_static(name: str, kind: str, value: Any, metadata: Mapping[str, Any]) -> str:
    """What is wrong with the value of a static attribute; empty if nothing is."""
    translation = Translation(1)
    attribute = _attribute(translation, name, kind, value, metadata, "")
    if attribute is None:
        return "it says nothing"
    if kind in _GEOMETRIES and attribute["type"] != "GeoProperty":
        return "it is no geometry"
    if kind in ("Relationship", "VocabProperty", "LanguageProperty", "JsonProperty") and attribute["type"] != kind:
        return "it has another form"
    if any(each.rule == "not-an-instant" for each in translation.repairs):
        return "it is no instant"
    return ""


def _attribute(
    translation: Translation, name: str, kind: str, value: Any, metadata: Mapping[str, Any], moment: str
) -> dict[str, Any] | None:
    return translation.attribute(name, {"type": kind, "value": value, "metadata": dict(metadata)}, moment)


def _value(translation: Translation, object_id: str, kind: str, value: Any, *, texts: bool) -> Any:
    try:
        if texts:
            return typed(value, kind)
        if isinstance(value, str) and kind.lower() in _NUMBERS:
            number = typed(value, kind)
            translation.report(object_id, value, _shown(number), "text-for-number")
            return number
    except Untyped as fault:
        raise Refused(object_id, "not-of-its-type", f"{fault}, and the type of {object_id} is {kind}.") from None
    return value


def _moment(text: str, provision: Provision, arrived: str) -> str:
    """The UTC instant of a group; empty where it has none and the time of arrival is not wanted."""
    if not text:
        return arrived if provision.timestamp else ""
    moment = utc(_zoned(text, provision.zone))
    if not moment:
        raise Refused(TIME, "not-an-instant", f"{text[:80]!r} is no point in time.")
    if datetime.fromisoformat(moment) > datetime.fromisoformat(arrived) + _MOST_AHEAD:
        raise Refused(TIME, "time-in-the-future", f"{moment} is more than a day after the message came.")
    return moment


def _zoned(text: str, zone: str) -> str:
    """A time with the device's zone, if it says none itself."""
    if not zone:
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)).isoformat()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()[:200]
