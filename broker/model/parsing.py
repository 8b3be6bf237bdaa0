"""Documents of the API read into the internal form: entities and fragments of them (4.5.1, 5.4, 5.5.4)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.errors import BadRequestData
from broker.model.attributes import AttributeReader, attribute_iri, null_instance
from broker.model.entity import Entity, Instance, JsonObject, Names
from broker.model.members import is_null_value
from broker.model.naming import check_instant, check_name, check_uri, parse_scopes
from broker.model.simplified import read_simplified
from broker.model.terms import NGSI_LD_NULL, SYSTEM_TIMES

ENTITY_MEMBERS = frozenset({"id", "@id", "type", "@type", "scope", "expiresAt", "@context", *SYSTEM_TIMES})
_KEYWORD_ALIASES = frozenset({"id", "type"})
"""Names that the core @context maps to JSON-LD keywords, so that they can name nothing else (4.4)."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """An Entity Fragment (5.4): what to add to, change in or remove from an entity.

    `scope` and `expires_at` may be the NGSI-LD Null, and instances may be null instances (`broker.model.attributes`).
    `merge_only` names a member that only a merge may bring (5.5.4).
    """

    types: list[str] = field(default_factory=list)
    scope: list[str] | str | None = None
    expires_at: str | None = None
    attrs: dict[str, list[Instance]] = field(default_factory=dict)
    merge_only: str | None = None


def parse_entity(document: JsonObject, names: Names, now: str) -> Entity:
    """A complete entity as for Create Entity (5.6.1), in normalized or concise form, created at `now`, version 1.

    Its @context, if it is still there, is ignored. Raises BadRequestData naming the member at fault.
    """
    entity: Entity = {
        "id": check_uri(_member(document, "id"), "id"),
        "type": parse_types(_member(document, "type"), names),
        "attrs": {},
        "createdAt": now,
        "modifiedAt": now,
        "version": 1,
    }
    if "scope" in document:
        entity["scope"] = parse_scopes(document["scope"])
    if "expiresAt" in document:
        entity["expiresAt"] = check_instant(document["expiresAt"], "expiresAt")
    attrs = entity["attrs"]
    reader = AttributeReader(names)
    for name, value in document.items():
        if name in ENTITY_MEMBERS:
            continue
        iri = attribute_iri(name, names)
        if iri in attrs:
            raise BadRequestData(f"{name}: another member is the same attribute, {iri}")
        attrs[iri] = instances = reader.attribute(name, iri, value, of_entity=True)
        for instance in instances:
            instance["createdAt"] = now
            instance["modifiedAt"] = now
    return entity


def parse_fragment(document: JsonObject, names: Names, *, entity_id: str | None = None, allow_null: bool) -> Fragment:
    """An Entity Fragment in normalized or concise form, for Append (without nulls), Update Attributes and Merge (5.4).

    `entity_id` is the target, which the document may repeat. With `allow_null` NGSI-LD Nulls are deletions and attributes
    may be incomplete; each patch checks for itself what it can accept of that. Raises BadRequestData.
    """
    reader = AttributeReader(names, nulls=allow_null)

    def read(name: str, iri: str, value: Any) -> list[Instance]:
        return reader.attribute(name, iri, value, of_entity=True)

    return _fragment(document, names, entity_id, allow_null, reader, read)


def parse_simplified_fragment(
    document: JsonObject, names: Names, target: Entity | None, *, entity_id: str | None = None, lang: str | None = None
) -> Fragment:
    """An Entity Fragment in simplified representation (4.5.4), for Merge Entity (5.6.17, 6.5.3.4).

    What a value means depends on the type that the attribute has in `target`, which it keeps. `lang` is the language of
    plain strings for a LanguageProperty. Raises BadRequestData.
    """
    reader = AttributeReader(names, nulls=True)
    attrs = {} if target is None else target["attrs"]

    def read(name: str, iri: str, value: Any) -> list[Instance]:
        if is_null_value("value", value):
            return [null_instance()]
        return read_simplified(reader, name, iri, value, attrs.get(iri, []), lang)

    return _fragment(document, names, entity_id, True, reader, read)


def parse_attribute_fragment(document: JsonObject, names: Names, attribute: str, *, partial: bool) -> Instance:
    """An Attribute Fragment: for Partial Attribute Update (`partial`, 5.6.4) or Replace Attribute (5.6.19).

    A partial one may lack the type, and NGSI-LD Nulls in it are removals. Raises BadRequestData.
    """
    given = {member: value for member, value in document.items() if member != "@context"}
    reader = AttributeReader(names, nulls=partial)
    name = names.compact(attribute)
    instance = reader.instance(name, attribute, given, of_entity=True, fragment=True)
    if not instance:
        raise BadRequestData("the attribute fragment is empty: it has nothing to change")
    if reader.merge_only is not None:
        raise BadRequestData(f"{reader.merge_only}: only a merge may remove a member inside a value (5.5.4)")
    return instance


def _fragment(
    document: JsonObject,
    names: Names,
    entity_id: str | None,
    allow_null: bool,
    reader: AttributeReader,
    read: Callable[[str, str, Any], list[Instance]],
) -> Fragment:
    given_id = _member(document, "id")
    if given_id is not None and check_uri(given_id, "id") != entity_id and entity_id is not None:
        raise BadRequestData(f"id: {given_id} is not the id of the target entity, {entity_id}", instance=entity_id)
    given_types = _member(document, "type")
    scope = document.get("scope")
    if scope is not None or "scope" in document:
        scope = NGSI_LD_NULL if allow_null and scope == NGSI_LD_NULL else parse_scopes(scope)
    expires_at = document.get("expiresAt")
    if expires_at is not None or "expiresAt" in document:
        is_null = allow_null and expires_at == NGSI_LD_NULL
        expires_at = NGSI_LD_NULL if is_null else check_instant(expires_at, "expiresAt")
    attrs: dict[str, list[Instance]] = {}
    for name, value in document.items():
        if name in ENTITY_MEMBERS:
            continue
        iri = attribute_iri(name, names)
        if iri in attrs:
            raise BadRequestData(f"{name}: another member is the same attribute, {iri}")
        attrs[iri] = read(name, iri, value)
    types = [] if given_types is None and "type" not in document else parse_types(given_types, names)
    if not (attrs or types or scope or expires_at):
        raise BadRequestData("the entity fragment is empty: it has nothing to change")
    return Fragment(types, scope, expires_at, attrs, reader.merge_only)


def _member(document: JsonObject, member: str) -> Any:
    """`id` or `type` or its JSON-LD keyword (4.4); None if neither is there. Raises BadRequestData where they disagree."""
    keyword = "@" + member
    if keyword not in document:
        return document.get(member)
    if member in document and document[member] != document[keyword]:
        raise BadRequestData(f"{member}: differs from {keyword}, which is the same member (4.4)")
    return document[keyword]


def parse_types(value: Any, names: Names) -> list[str]:
    """Entity type IRIs from one type name or a non-empty array of them, without duplicates (4.5.1)."""
    given = value if type(value) is list else [value]
    if not given or given == [None]:
        raise BadRequestData("type: an entity has at least one type")
    types: dict[str, None] = {}
    for name in given:
        if type(name) is not str:
            raise BadRequestData(f"type: the name of an entity type is a string, not {name!r}")
        iri = names.expand(check_name(name))
        if ":" not in iri or name == NGSI_LD_NULL or name in _KEYWORD_ALIASES:
            raise BadRequestData(f"type: {name} is not the name of an entity type")
        types[iri] = None
    return list(types)
