"""Temporal evolutions of entities as clients send them (5.2.20): attributes as arrays of instances, or simplified (4.5.9)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from broker.errors import BadRequestData
from broker.model.attributes import AttributeReader, attribute_iri
from broker.model.entity import Instance, JsonObject, Names
from broker.model.members import MARKS, VALUE_MEMBERS, is_null_value, reads_as_instances
from broker.model.naming import check_instant, check_uri, parse_scopes
from broker.model.parsing import ENTITY_MEMBERS, parse_types
from broker.model.terms import KINDS, NGSI_LD, NGSI_LD_NULL

SCOPE: Final = "scope"
"""Under this name the evolution of an entity's scope is kept, as a Property (4.5.6)."""

SIMPLIFIED: Final = {kind.name: kind.value + "s" for kind in KINDS.values()}
"""By kind: the member that holds its (value, time) pairs in the simplified temporal representation (4.5.9)."""

_WRAPPED: Final = frozenset({"languageMap", "vocab", "json"})
"""Value members that stay around the value in such a pair."""
_PLACEHOLDERS: Final[dict[str, Any]] = {
    "Property": 0,
    "GeoProperty": {"type": "Point", "coordinates": [0, 0]},
    "Relationship": "urn:deleted",
    "LanguageProperty": {"@none": ""},
    "VocabProperty": "deleted",
    "ListProperty": [],
    "ListRelationship": [],
    "JsonProperty": {},
}
"""Stand in for the NGSI-LD Null while the rest of a deleted instance (4.5.7) is checked."""


@dataclass(frozen=True, slots=True)
class EvolutionFragment:
    """What a client adds to an evolution. A deleted instance holds the NGSI-LD Null in the encoding of its kind (4.5.7)."""

    entity_id: str
    types: list[str]
    attrs: dict[str, list[Instance]]
    """By IRI; the evolution of the scope under `scope`."""


def null_of(kind: str) -> Any:
    """The NGSI-LD Null in the encoding of a kind of attribute, as a deleted instance of it has it (4.5.7, 4.5.18)."""
    return {"@none": NGSI_LD_NULL} if kind == "LanguageProperty" else NGSI_LD_NULL


def parse_evolution(document: JsonObject, names: Names) -> EvolutionFragment:
    """A whole EntityTemporal (5.2.20), with id and type. Raises BadRequestData naming the member at fault."""
    entity_id = check_uri(document.get("id", document.get("@id")), "id")
    types = parse_types(document.get("type", document.get("@type")), names)
    return EvolutionFragment(entity_id, types, _attributes(document, names))


def parse_evolution_fragment(document: JsonObject, names: Names, entity_id: str) -> EvolutionFragment:
    """A fragment of the evolution of an entity (5.6.12). Raises BadRequestData, also where there is nothing to add."""
    given = document.get("id", document.get("@id"))
    if given is not None and check_uri(given, "id") != entity_id:
        raise BadRequestData(f"id: {given} is not the id of the target entity, {entity_id}", instance=entity_id)
    given_types = document.get("type", document.get("@type"))
    types = [] if given_types is None else parse_types(given_types, names)
    fragment = EvolutionFragment(entity_id, types, _attributes(document, names))
    if not fragment.attrs and not fragment.types:
        raise BadRequestData("the fragment is empty: it has nothing to add")
    return fragment


def parse_instance(document: JsonObject, names: Names, attribute: str) -> Instance:
    """The one new instance of one attribute that a modification brings (5.6.14).

    It comes under the attribute's name, in an array or alone. As the path names the attribute, a client may as well send
    the bare instance.
    """
    name = names.compact(attribute)
    if name not in document and not MARKS.isdisjoint(document):
        document = {name: document}
    attrs = _attributes(document, names)
    if attrs.keys() != {attribute} or len(attrs[attribute]) != 1:
        raise BadRequestData(
            f"{name}: the fragment has exactly one instance of this attribute and nothing else (5.6.14)"
        )
    return attrs[attribute][0]


def _attributes(document: JsonObject, names: Names) -> dict[str, list[Instance]]:
    if "expiresAt" in document:
        check_instant(document["expiresAt"], "expiresAt")
    attrs: dict[str, list[Instance]] = {}
    reader = AttributeReader(names)
    if "scope" in document:
        attrs[SCOPE] = list(_scopes(document["scope"]))
    for name, value in document.items():
        if name in ENTITY_MEMBERS:
            continue
        iri = attribute_iri(name, names)
        if iri in attrs:
            raise BadRequestData(f"{name}: another member is the same attribute, {iri}")
        attrs[iri] = list(_instances(reader, name, iri, value))
    return attrs


def _instances(reader: AttributeReader, name: str, iri: str, value: Any) -> Iterator[Instance]:
    # An empty array is an attribute without instances, as in an answer whose time range has none of them (6.3.10).
    several = type(value) is list and (not value or reads_as_instances(value))
    for each in value if several else [value]:
        if type(each) is not dict:
            if several:
                raise BadRequestData(f"{name}: each element of an array of instances is an object (4.5.7)")
            yield from reader.attribute(name, iri, each, of_entity=True)
        elif (pairs := _pairs(name, each)) is not None:
            for pair in pairs:
                yield _instance(reader, name, iri, pair)
        else:
            yield _instance(reader, name, iri, each)


def _instance(reader: AttributeReader, name: str, iri: str, given: JsonObject) -> Instance:
    kind = _kind(given)
    member = "" if kind is None else KINDS[kind].value
    if kind is None or not is_null_value(member, given.get(member)):
        (instance,) = reader.attribute(name, iri, given, of_entity=True)
        return instance
    (instance,) = reader.attribute(name, iri, given | {"type": kind, member: _PLACEHOLDERS[kind]}, of_entity=True)
    return instance | {member: null_of(kind)}


def _kind(given: JsonObject) -> str | None:
    """The kind that an instance names or that its value member implies."""
    name = given.get("type", given.get("@type"))
    if isinstance(name, str):
        name = name.removeprefix(NGSI_LD)
        return name if name in KINDS else None
    return next((kind.name for member, kind in VALUE_MEMBERS.items() if member in given), None)


def _pairs(name: str, given: JsonObject) -> list[JsonObject] | None:
    """The instances of the simplified temporal representation (4.5.9), None if it is another one."""
    kind = given.get("type", "Property")
    member = SIMPLIFIED.get(kind) if isinstance(kind, str) else None
    if member is None or member not in given:
        return None
    if unknown := given.keys() - {"type", "datasetId", member}:
        raise BadRequestData(f"{name}: {', '.join(sorted(unknown))} does not go with {member} (4.5.9)")
    pairs = given[member]
    if type(pairs) is not list or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise BadRequestData(f"{name}.{member}: an array of pairs of value and time is expected (4.5.9)")
    common = {key: given[key] for key in ("datasetId",) if key in given}
    return [common | _from_pair(name, str(kind), value, time) for value, time in pairs]


def _from_pair(name: str, kind: str, value: Any, time: Any) -> JsonObject:
    value_member = KINDS[kind].value
    if value_member in _WRAPPED:
        if type(value) is not dict or value.keys() != {value_member}:
            raise BadRequestData(
                f"{name}: the values of a {kind} are objects with the one member {value_member} (4.5.9)"
            )
        value = value[value_member]
    return {"type": kind, value_member: value, "observedAt": time}


def _scopes(value: Any) -> Iterator[Instance]:
    """The scope as it is in the normalized representation, without a time, or as a temporal Property (4.5.6)."""
    given = value if type(value) is list and any(type(each) is dict for each in value) else [value]
    for each in given:
        if type(each) is not dict:
            yield {"type": "Property", "value": parse_scopes(each)}
            continue
        for instance in _pairs(SCOPE, each) or [each]:
            if instance.get("type", "Property") != "Property" or "value" not in instance:
                raise BadRequestData("scope: an instance of it is a Property with a value (4.5.6)")
            if unknown := instance.keys() - _SCOPE_MEMBERS:
                raise BadRequestData(f"scope: {', '.join(sorted(unknown))}: not a member of an instance of it (4.5.6)")
            scope = instance["value"]
            parsed: Instance = {
                "type": "Property",
                "value": NGSI_LD_NULL if scope == NGSI_LD_NULL else parse_scopes(scope),
            }
            if "observedAt" in instance:
                parsed["observedAt"] = check_instant(instance["observedAt"], "observedAt", SCOPE)
            yield parsed


_SCOPE_MEMBERS: Final = frozenset({"type", "value", "observedAt", "createdAt", "modifiedAt", "deletedAt", "instanceId"})
