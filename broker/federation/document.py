"""The stored form of a context source registration: checked against the tables of 5.2.8 to 5.2.11, 5.2.22 and 5.2.34.

A stored document has the members of 5.2.9. Names in it (entity types, property and relationship names) are IRIs, and entity types
always stand in an array. Beside these it has `createdAt` and `modifiedAt`, canonical instants, and its Context Source
Properties (4.9): members that table 5.2.9-1 does not have, under the IRIs of their names, with any JSON value. Ignored are
read-only members (5.2.2, table 5.2.9-2), core terms that only attributes have, and what nested data types do not know.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from broker.delivery.document import refuse_null
from broker.errors import BadRequestData
from broker.federation.operation_names import AUXILIARY, GROUPS, OPERATIONS
from broker.jsonld.terms import CORE
from broker.model.attributes import attribute_iri
from broker.model.durations import is_duration
from broker.model.entity import JsonObject, Names
from broker.model.geometry import check_geometry
from broker.model.instants import is_past, parse_instant
from broker.model.members import RESERVED
from broker.model.naming import check_instant, check_name, check_uri, parse_scopes
from broker.model.terms import NONE_DATASET, SYSTEM_TIMES, is_attribute_name
from broker.model.versions import parse_version
from broker.query.patterns import compile_pattern

TYPE: Final = "ContextSourceRegistration"
MODES: Final = ("inclusive", "exclusive", "redirect", "auxiliary")
DEFAULT_MODE: Final = "inclusive"

_MANDATORY: Final = ("type", "endpoint", "information")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_MEDIA_TYPES: Final = ("application/json", "application/ld+json")
_TENANT_KEY: Final = "ngsild-tenant"
_READ_ONLY: Final = ("status", "timesSent", "timesFailed", "lastSuccess", "lastFailure", *SYSTEM_TIMES)


def stored_members(given: JsonObject, names: Names) -> JsonObject:
    """The members of a CSourceRegistration or a fragment of one, under the names that they are stored by, values untouched.

    Those that are ignored are left out. Raises BadRequestData for what is no name, and where two are the same.
    """
    members: JsonObject = {}
    for name, value in given.items():
        member = _stored_name(name, names)
        if member in members:
            raise BadRequestData(f"{name}: another member is the same, {member}")
        if member is not None:
            members[member] = value
    return members


def _stored_name(name: str, names: Names) -> str | None:
    if name in _MEMBERS:
        return name
    if name in RESERVED or name in _READ_ONLY:
        return None
    iri = attribute_iri(name, names)
    return _MEMBER_OF.get(iri, iri)


def parse_members(given: JsonObject, names: Names, now: str) -> JsonObject:
    """The stored members of a CSourceRegistration or a fragment of one, each checked by itself.

    A JSON null is as if its member were not there (5.2.1). Raises BadRequestData naming the member.
    """
    members: JsonObject = {}
    for member, value in stored_members(given, names).items():
        if value is None:
            continue
        refuse_null(value, member)
        members[member] = value if is_attribute_name(member) else _MEMBERS[member](value, member, names)
    if "expiresAt" in members and is_past(members["expiresAt"], now):
        raise BadRequestData(f"expiresAt: {members['expiresAt']} is in the past (5.9.2.4)")
    return members


def check_whole(document: JsonObject) -> None:
    """What a whole registration must have (5.2.9), and what its mode demands (4.3.6.3, 5.9.2.4). Raises BadRequestData."""
    for member in _MANDATORY:
        if member not in document:
            raise BadRequestData(f"{member}: a registration must have it (5.2.9)")
    mode = document.get("mode", DEFAULT_MODE)
    if mode == "auxiliary" and not AUXILIARY.issuperset(document.get("operations") or ("none",)):
        raise BadRequestData(
            f"operations: an auxiliary registration must list only {', '.join(sorted(AUXILIARY))} (5.9.2.4)"
        )
    if mode == "exclusive":
        _check_exclusive(document["information"])


def _check_exclusive(information: list[JsonObject]) -> None:
    """An exclusive registration is about attributes of one entity (4.3.6.3)."""
    ids: set[str] = set()
    for info in information:
        if not info.get("propertyNames") and not info.get("relationshipNames"):
            raise BadRequestData("information: an exclusive registration must name attributes (4.3.6.3)")
        if not info.get("entities") or not all("id" in entity for entity in info["entities"]):
            raise BadRequestData("information.entities: an exclusive registration must give an entity id (4.3.6.3)")
        if any("idPattern" in entity for entity in info["entities"]):
            raise BadRequestData("information.entities.idPattern: not in an exclusive registration (4.3.6.3)")
        ids.update(entity["id"] for entity in info["entities"])
    if len(ids) > 1:
        raise BadRequestData("information.entities.id: an exclusive registration is about a single entity (4.3.6.3)")


def attributes_of(info: JsonObject) -> frozenset[str]:
    """The combination of properties and relationships of a stored RegistrationInfo; empty means all (5.12)."""
    return frozenset(info.get("propertyNames", ())) | frozenset(info.get("relationshipNames", ()))


# --- one parser a member: (value, name of the member, names) -> stored value


def _text(value: Any, member: str, names: Names) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadRequestData(f"{member}: a non-empty string is expected")
    return value


def _tenant(value: Any, member: str, names: Names) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isprintable():
        raise BadRequestData(f"{member}: a non-empty printable string of at most 256 characters is expected (5.2.9)")
    return value


def _uri(value: Any, member: str, names: Names) -> str:
    return check_uri(value, member)


def _type(value: Any, member: str, names: Names) -> str:
    if value != TYPE:
        raise BadRequestData(f"type: a registration has the type {TYPE} (5.2.9)")
    return TYPE


def _endpoint(value: Any, member: str, names: Names) -> str:
    """The base URL of an NGSI-LD interface, which is bound to HTTP (clause 6)."""
    uri = check_uri(value, member)
    try:
        parts = urlsplit(uri)
        reachable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        reachable = False
    if not reachable:
        raise BadRequestData(f"{member}: an http or https URI with a host is expected (5.2.9)")
    return uri


def _alias(value: Any, member: str, names: Names) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise BadRequestData(f"{member}: a pseudonym as in a Via header is expected, a token of RFC 7230 (5.2.9)")
    return value


def _instant(value: Any, member: str, names: Names) -> str:
    return check_instant(value, member)


def _geometry(value: Any, member: str, names: Names) -> JsonObject:
    return check_geometry(value, member)


def _scope(value: Any, member: str, names: Names) -> list[str]:
    return parse_scopes(value, member)


def _duration(value: Any, member: str, names: Names) -> str:
    if not isinstance(value, str) or not is_duration(value):
        raise BadRequestData(f"{member}: an ISO 8601 duration such as PT5M is expected")
    return value


def _flag(value: Any, member: str, names: Names) -> bool:
    if not isinstance(value, bool):
        raise BadRequestData(f"{member}: true or false is expected")
    return value


def _milliseconds(value: Any, member: str, names: Names) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise BadRequestData(f"{member}: a number of milliseconds above 0 is expected (5.2.34)")
    return value


def _mode(value: Any, member: str, names: Names) -> str:
    if value not in MODES:
        raise BadRequestData(f"{member}: one of {', '.join(MODES)} is expected (5.2.9)")
    return str(value)


def _operations(value: Any, member: str, names: Names) -> list[str]:
    for name in _list(value, member):
        if not isinstance(name, str) or (name not in OPERATIONS and name not in GROUPS):
            raise BadRequestData(f"{member}: {name!r} is no operation and no group of operations (4.20)")
    return list(dict.fromkeys(value))


def _datasets(value: Any, member: str, names: Names) -> list[str]:
    return [item if item == NONE_DATASET else check_uri(item, member) for item in _list(value, member)]


def _list(value: Any, member: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise BadRequestData(f"{member}: a non-empty array is expected")
    return value


def _object(value: Any, member: str, of: Collection[str]) -> JsonObject:
    """The members of a nested data type that it knows."""
    if not isinstance(value, dict):
        raise BadRequestData(f"{member}: an object is expected")
    return {part: value[part] for part in of if value.get(part) is not None}


def _information(value: Any, member: str, names: Names) -> list[JsonObject]:
    return [_registration_info(info, member, names) for info in _list(value, member)]


def _registration_info(value: Any, member: str, names: Names) -> JsonObject:
    """A RegistrationInfo (5.2.10)."""
    info = _object(value, member, ("entities", "propertyNames", "relationshipNames"))
    if not info:
        raise BadRequestData(f"{member}: entities, propertyNames or relationshipNames is needed (5.2.10)")
    if "entities" in info:
        where = f"{member}.entities"
        info["entities"] = [_entity_info(entity, where, names) for entity in _list(info["entities"], where)]
    for part in ("propertyNames", "relationshipNames"):
        if part in info:
            where = f"{member}.{part}"
            info[part] = [attribute_iri(_text(name, where, names), names) for name in _list(info[part], where)]
    return info


def _entity_info(value: Any, member: str, names: Names) -> JsonObject:
    """An EntityInfo (5.2.8)."""
    info = _object(value, member, ("id", "type", "idPattern"))
    if "type" not in info:
        raise BadRequestData(f"{member}.type: an entity type is mandatory, also beside id or idPattern (5.2.8)")
    types = info["type"] if isinstance(info["type"], list) else [info["type"]]
    info["type"] = list(dict.fromkeys(_entity_type(name, f"{member}.type", names) for name in _list(types, member)))
    if "id" in info:
        check_uri(info["id"], f"{member}.id")
    if "idPattern" in info:
        compile_pattern(_text(info["idPattern"], f"{member}.idPattern", names), f"{member}.idPattern")
    return info


def _entity_type(value: Any, member: str, names: Names) -> str:
    iri = names.expand(check_name(_text(value, member, names)))
    if ":" not in iri:
        raise BadRequestData(f"{member}: {value} is not the name of an entity type (4.6.2)")
    return iri


def _interval(value: Any, member: str, names: Names) -> JsonObject:
    """A TimeInterval (5.2.11)."""
    interval = _object(value, member, ("startAt", "endAt"))
    if "startAt" not in interval:
        raise BadRequestData(f"{member}.startAt: a time interval must have it (5.2.11)")
    interval = {part: check_instant(instant, part, member) for part, instant in interval.items()}
    if "endAt" in interval and parse_instant(interval["endAt"]) < parse_instant(interval["startAt"]):
        raise BadRequestData(f"{member}.endAt: is before startAt (5.2.11)")
    return interval


def _management(value: Any, member: str, names: Names) -> JsonObject:
    """A RegistrationManagementInfo (5.2.34)."""
    info = _object(value, member, tuple(_MANAGEMENT))
    return {part: _MANAGEMENT[part](item, f"{member}.{part}", names) for part, item in info.items()}


def _source_info(value: Any, member: str, names: Names) -> list[JsonObject]:
    """KeyValuePairs that become headers of requests to the source (5.2.22, 4.3.6.5, 4.3.6.6)."""
    if not isinstance(value, list):
        raise BadRequestData(f"{member}: an array of key-value pairs is expected (5.2.22)")
    pairs = []
    for pair in value:
        key, item = (pair.get("key"), pair.get("value")) if isinstance(pair, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(item, str):
            raise BadRequestData(f"{member}: key and value must both be there and be strings (5.2.22)")
        _check_source_pair(key, item, member)
        pairs.append({"key": key, "value": item})
    return pairs


def _check_source_pair(key: str, value: str, member: str) -> None:
    if not _TOKEN.fullmatch(key) or not _FIELD_VALUE.fullmatch(value):
        raise BadRequestData(f"{member}: {key!r} is not a valid HTTP header (4.3.6.5)")
    if key.lower() == _TENANT_KEY:
        raise BadRequestData(f"{member}: the tenant is no part of it, it has a member of its own, tenant (4.3.6.5)")
    if key in ("accept", "contentType") and value not in _MEDIA_TYPES:
        raise BadRequestData(f"{member}.{key}: one of {', '.join(_MEDIA_TYPES)} is expected (4.3.6.6)")
    if key == "jsonldContext":
        check_uri(value, f"{member}.jsonldContext")
    if key == "ngsildConformance" and parse_version(value) is None:
        raise BadRequestData(f"{member}.{key}: a version in the form major.minor is expected (4.3.6.6)")


_Parse = Callable[[Any, str, Names], Any]

_MANAGEMENT: Final[Mapping[str, _Parse]] = {
    "cacheDuration": _duration,
    "cooldown": _milliseconds,
    "localOnly": _flag,
    "timeout": _milliseconds,
}

_MEMBERS: Final[Mapping[str, _Parse]] = {
    "id": _uri,
    "type": _type,
    "registrationName": _text,
    "description": _text,
    "information": _information,
    "endpoint": _endpoint,
    "contextSourceAlias": _alias,
    "contextSourceInfo": _source_info,
    "tenant": _tenant,
    "mode": _mode,
    "operations": _operations,
    "management": _management,
    "refreshRate": _duration,
    "datasetId": _datasets,
    "scope": _scope,
    "location": _geometry,
    "observationSpace": _geometry,
    "operationSpace": _geometry,
    "observationInterval": _interval,
    "managementInterval": _interval,
    "expiresAt": _instant,
}
"""Every member of a CSourceRegistration that a client may give (table 5.2.9-1), in the order in which it is shown."""

MEMBERS: Final = tuple(_MEMBERS)

_MEMBER_OF: Final[Mapping[str, str | None]] = {
    **{CORE.expand(member): member for member in _MEMBERS},
    **{CORE.expand(member): None for member in _READ_ONLY},
}
"""What the names of members mean where a client writes them out, or has words of its own for them."""


def context_source_properties(document: JsonObject) -> JsonObject:
    """The Context Source Properties of a stored registration, by IRI (4.9)."""
    return {member: value for member, value in document.items() if is_attribute_name(member)}


# --- back to what a client reads


def show_document(
    document: JsonObject, names: Names, *, sys_attrs: bool = False, matching: Collection[int] | None = None
) -> JsonObject:
    """A stored registration with its names compacted in the reader's @context (5.5.7).

    `matching`: show only the RegistrationInfo elements at these positions (5.11.7).
    """
    shown: JsonObject = {member: document[member] for member in MEMBERS if member in document}
    shown["information"] = [
        _show_info(info, names)
        for position, info in enumerate(document["information"])
        if matching is None or position in matching
    ]
    if len(shown.get("scope", ())) == 1:
        shown["scope"] = shown["scope"][0]
    shown |= {names.compact(iri): value for iri, value in context_source_properties(document).items()}
    if sys_attrs:
        shown["createdAt"], shown["modifiedAt"] = document["createdAt"], document["modifiedAt"]
    return shown


def _show_info(info: JsonObject, names: Names) -> JsonObject:
    shown = dict(info)
    if "entities" in shown:
        shown["entities"] = [
            {**entity, "type": types[0] if len(types) == 1 else types}
            for entity in shown["entities"]
            for types in [[names.compact(iri) for iri in entity["type"]]]
        ]
    for part in ("propertyNames", "relationshipNames"):
        if part in shown:
            shown[part] = [names.compact(iri) for iri in shown[part]]
    return shown
