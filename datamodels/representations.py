"""Reading entities in normalized, concise and key-values representation (4.5.1, 4.5.4) into the one form that checks take.

What makes a document no NGSI-LD entity at all is told as violations too, since files are seldom as good as they claim.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from datamodels.validation import Check, Violation

Representation: TypeAlias = Literal["normalized", "concise", "keyValues"]

KINDS: Final = MappingProxyType(
    {
        "Property": "value",
        "GeoProperty": "value",
        "Relationship": "object",
        "LanguageProperty": "languageMap",
        "JsonProperty": "json",
        "VocabProperty": "vocab",
        "ListProperty": "valueList",
        "ListRelationship": "objectList",
    }
)
"""The kinds of attributes, each with the member that holds the value (4.5)."""

GEOMETRIES: Final = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)

_VALUE_MEMBERS: Final = frozenset(KINDS.values())
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"{}|\\^`]+")
_OF_THE_ENTITY: Final = frozenset(
    {"@context", "id", "@id", "type", "@type", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"}
)
_OF_AN_INSTANCE: Final = _VALUE_MEMBERS | {
    "type", "observedAt", "unitCode", "datasetId", "instanceId", "createdAt", "modifiedAt", "deletedAt", "expiresAt",
    "valueType", "objectType", "entity", "entityList",
}  # fmt: skip


@dataclass(slots=True)
class Reading:
    """A document read: representation, id, types as written, attributes as {name as written: [instance, ...]}, and faults."""

    representation: Representation
    id: str
    types: tuple[str, ...]
    attributes: dict[str, list[dict[str, Any]]]
    faults: list[Violation] = field(default_factory=list)

    def subject(self, check: Check) -> dict[str, Any]:
        """The entity in the form that a check takes. A bare value becomes an attribute of the kind that the model wants."""
        attributes = {}
        for name, instances in self.attributes.items():
            iri = check.expand(name)
            kind = check.kind(iri)
            attributes[iri] = [_kinded(instance, kind) for instance in instances]
        return {"type": [check.iri], "attrs": attributes}


def representation_of(document: Mapping[str, Any]) -> Representation:
    """Which representation a document is in: with `type` in its attributes normalized, with values in members concise."""
    forms = [_form(value) for name, value in document.items() if name not in _OF_THE_ENTITY]
    if "normalized" in forms:
        return "normalized"
    return "concise" if "concise" in forms else "keyValues"


def read_entity(document: object, representation: Representation | None = None) -> Reading:
    """Read one entity; `representation` where it is known, and else what it looks like."""
    if not isinstance(document, Mapping):
        fault = Violation(None, "type", "an entity is a JSON object")
        return Reading(representation or "normalized", "", (), {}, [fault])
    faults = list(_entity_faults(document))
    given = document.get("type", document.get("@type"))
    types = tuple(each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str))
    found: Representation = representation or representation_of(document)
    attributes: dict[str, list[dict[str, Any]]] = {}
    for name, value in document.items():
        if name in _OF_THE_ENTITY:
            continue
        instances, more = _instances(name, value, found)
        attributes[name] = instances
        faults += more
    entity_id = document.get("id", document.get("@id"))
    return Reading(found, entity_id if isinstance(entity_id, str) else "", types, attributes, faults)


def _form(value: object) -> Representation:
    if isinstance(value, list):  # the instances of several datasets; any other list is a value
        named = [
            each for each in value if isinstance(each, Mapping) and ("datasetId" in each or each.get("type") in KINDS)
        ]
        value = named[0] if named and len(named) >= len(value) - 1 else None
    if not isinstance(value, Mapping) or not _VALUE_MEMBERS & value.keys():
        return "keyValues"
    return "normalized" if isinstance(value.get("type"), str) else "concise"


def _entity_faults(document: Mapping[str, Any]) -> Iterator[Violation]:
    entity_id = document.get("id", document.get("@id"))
    if entity_id is None:
        yield Violation("id", "required", "is missing")
    elif not _is_uri(entity_id):
        yield Violation("id", "format", f"{_short(entity_id)} is no URI")
    given = document.get("type", document.get("@type"))
    types = given if isinstance(given, list) else [given]
    if not types or not all(isinstance(each, str) and each for each in types):
        yield Violation("type", "required", "is missing, or no name of a type")


def _instances(
    name: str, value: object, representation: Representation
) -> tuple[list[dict[str, Any]], list[Violation]]:
    """The instances of an attribute, and what is wrong with them as NGSI-LD."""
    if representation == "keyValues":
        return [{"value": value}], []
    several = (
        value if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value) else [value]
    )
    if representation == "concise" and isinstance(value, list) and _form(value) == "keyValues":
        several = [value]
    instances: list[dict[str, Any]] = []
    faults: list[Violation] = []
    for each in several:
        if isinstance(each, Mapping) and (representation == "normalized" or _VALUE_MEMBERS & each.keys()):
            instance = dict(each)
            if "type" not in instance and representation == "concise":
                instance["type"] = _kind_of_concise(instance)
            instances.append(instance)
            faults += _instance_faults(name, instance, representation)
        elif representation == "concise":
            instances.append({"value": each})
        else:
            faults.append(Violation(name, "type", f"{_short(each)} is no attribute with type and value"))
    return instances, faults


def _instance_faults(where: str, instance: Mapping[str, Any], representation: Representation) -> Iterator[Violation]:
    kind = instance.get("type")
    if kind not in KINDS:
        yield Violation(where, "type", f"{_short(kind)} is no kind of attribute: {', '.join(KINDS)} are")
        return
    member = KINDS[str(kind)]
    if member not in instance:
        yield Violation(where, "required", f"a {kind} has its value in {member!r}, and that is missing")
    elif instance[member] is None:
        yield Violation(where, "type", "null is no value: what is missing is absent")
    else:
        yield from _value_faults(where, str(kind), instance[member])
    for other in sorted(_VALUE_MEMBERS & instance.keys() - {member}):
        yield Violation(where, "additionalProperties", f"a {kind} has no {other!r}")
    if "observedAt" in instance and not _is_instant(instance["observedAt"]):
        yield Violation(where, "format", f"observedAt: {_short(instance['observedAt'])} is no date and time with zone")
    if "unitCode" in instance and not isinstance(instance["unitCode"], str):
        yield Violation(where, "type", f"unitCode: {_short(instance['unitCode'])} is no text")
    if "datasetId" in instance and instance["datasetId"] != "@none" and not _is_uri(instance["datasetId"]):
        yield Violation(where, "format", f"datasetId: {_short(instance['datasetId'])} is no URI")
    for name, value in instance.items():
        if name not in _OF_AN_INSTANCE:
            _, faults = _instances(f"{where}.{name}", value, representation)
            yield from faults


def _value_faults(where: str, kind: str, value: object) -> Iterator[Violation]:
    if kind == "Relationship":
        for uri in value if isinstance(value, list) else [value]:
            if not _is_uri(uri):
                yield Violation(where, "format", f"object: {_short(uri)} is no URI")
    elif kind == "GeoProperty":
        if not isinstance(value, Mapping) or value.get("type") not in GEOMETRIES:
            yield Violation(where, "type", "value: is no GeoJSON geometry")
    elif kind == "LanguageProperty" and not isinstance(value, Mapping):
        yield Violation(where, "type", "languageMap: is no object of languages")


def _kind_of_concise(instance: Mapping[str, Any]) -> str:
    """The kind of an attribute that does not say: by the member that it has, and by what is in `value` (4.5.1)."""
    if "value" in instance:
        value = instance["value"]
        geometry = isinstance(value, Mapping) and value.get("type") in GEOMETRIES and "coordinates" in value
        return "GeoProperty" if geometry else "Property"
    return next(kind for kind, member in KINDS.items() if member in instance)


def _kinded(instance: Mapping[str, Any], kind: str | None) -> dict[str, Any]:
    """An instance with its kind. A bare value becomes one of the kind that the model wants, or of the one that it looks like."""
    if "type" in instance:
        return dict(instance)
    value = instance["value"]
    chosen = kind or _kind_of_concise(instance)
    return {"type": chosen, KINDS[chosen]: value}


def _is_uri(value: object) -> bool:
    """Whether it has a scheme. `uri` is none: what begins with it was meant to begin with `urn`."""
    return isinstance(value, str) and _URI.fullmatch(value) is not None and not value.startswith("uri:")


def _is_instant(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
