"""The stored form of a subscription: checked against the tables of 5.2.12 to 5.2.15, its names expanded (5.8.1, 5.8.2).

A stored document has the members of 5.2.12. Plain names in it (`watchedAttributes`, `notification.attributes`,
`geoQ.geoproperty`) are IRIs. Texts with a grammar of their own (type selections, `q`, `csf`, projections) stay as the client
wrote them, and `terms` says what each name in them means: [name, IRI] pairs for each such member. A subscription so means the
same for ever, whatever becomes of the @context that it was written with. Beside these stand `createdAt`, `modifiedAt` and
`since`, the position of the change log from which on changes concern it.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from broker.delivery.endpoint import parse_endpoint
from broker.errors import BadRequestData
from broker.model.attributes import attribute_iri
from broker.model.entity import JsonObject, Names
from broker.model.instants import is_past
from broker.model.language import parse_language_filter
from broker.model.naming import check_instant, check_uri
from broker.model.projection import ENTITY_MEMBERS
from broker.model.terms import DEFAULT_VOCAB, NGSI_LD_NULL, NONE_DATASET
from broker.model.versions import parse_version

TRIGGERS: Final = frozenset(
    {"entityCreated", "entityUpdated", "entityDeleted", "attributeCreated", "attributeUpdated", "attributeDeleted"}
)
FORMATS: Final = frozenset({"normalized", "concise", "simplified", "keyValues"})
SIMPLIFIED: Final = frozenset({"simplified", "keyValues"})

_READ_ONLY: Final = frozenset({"status", "createdAt", "modifiedAt", "deletedAt", "@context"})
_PARAMETERS: Final = (
    "endpoint",
    "attributes",
    "format",
    "join",
    "joinLevel",
    "omit",
    "pick",
    "showChanges",
    "sysAttrs",
)
_ENDPOINT: Final = ("uri", "accept", "cooldown", "notifierInfo", "receiverInfo", "timeout")
_SEPARATORS: Final = re.compile(r"([(){};|,])")


class WrittenTerms:
    """An @context as far as a stored text needs it: a table of its own names (see the module), kept with the document."""

    def __init__(self, terms: Mapping[str, str], fallback: Names | None = None) -> None:
        self.terms = dict(terms)
        self._fallback = fallback

    def expand(self, name: str) -> str:
        """The IRI that the table gives; names that are not in it are asked of the fallback and remembered."""
        known = self.terms.get(name)
        if known is None:
            if self._fallback is not None:
                known = self._fallback.expand(name)
            else:
                known = name if ":" in name else DEFAULT_VOCAB + name
            self.terms[name] = known
        return known

    def compact(self, iri: str) -> str:
        """The IRI itself: a table is only for reading."""
        return iri


def parse_members(given: JsonObject, names: Names, now: str) -> JsonObject:
    """The stored members of a Subscription or a Subscription Fragment (without mandatory members), each checked by itself.

    Unknown and read-only members are ignored (5.2.2, 5.2.12). Raises BadRequestData naming the member.
    """
    members: JsonObject = {}
    for member, value in given.items():
        parse = _MEMBERS.get(member)
        if parse is None or member in _READ_ONLY or value is None:
            continue  # JSON-LD knows no null: such a member is not there (5.2.1)
        refuse_null(value, member)
        members[member] = parse(value, member, names)
    if "expiresAt" in members and is_past(members["expiresAt"], now):
        raise BadRequestData(f"expiresAt: {members['expiresAt']} is in the past (5.8.1, 5.8.2)")
    return members


def check_whole(document: JsonObject) -> None:
    """What the members of a whole subscription demand of one another (table 5.2.12-1). Raises BadRequestData."""
    for member in ("type", "notification"):
        if member not in document:
            raise BadRequestData(f"{member}: a subscription must have it (5.2.12)")
    entities, watched = document.get("entities"), document.get("watchedAttributes")
    if entities is None and watched is None and document.get("localOnly") is not True:
        raise BadRequestData("entities, watchedAttributes: at least one is needed, unless localOnly is true (5.2.12)")
    if "timeInterval" in document:
        for member in ("watchedAttributes", "throttling"):
            if member in document:
                raise BadRequestData(f"{member}: not allowed together with timeInterval (5.2.12)")
        if entities is None and document.get("localOnly") is not True:
            raise BadRequestData("entities: needed with timeInterval, unless localOnly is true (5.2.12)")
    if document.get("localOnly") is False and any(selector["type"] == "*" for selector in entities or ()):
        raise BadRequestData('localOnly: cannot be false where an entity selector has the type "*" (5.2.33)')


def refuse_null(value: Any, member: str) -> None:
    """BadRequestData for an NGSI-LD Null anywhere in a value (5.2.1, 5.5.4)."""
    if value == NGSI_LD_NULL:
        raise BadRequestData(f"{member}: an NGSI-LD Null is not allowed here (5.5.4)")
    children: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        refuse_null(child, member)


# --- one parser a member: (value, name of the member, names) -> stored value


def _text(value: Any, member: str, names: Names) -> str:
    if not isinstance(value, str):
        raise BadRequestData(f"{member}: a string is expected")
    return value


def _full_text(value: Any, member: str, names: Names) -> str:
    if not _text(value, member, names).strip():
        raise BadRequestData(f"{member}: an empty string is not allowed")
    return str(value)


def _uri(value: Any, member: str, names: Names) -> str:
    return check_uri(_text(value, member, names), member)


def _type(value: Any, member: str, names: Names) -> str:
    if value != "Subscription":
        raise BadRequestData("type: a subscription has the type Subscription")
    return "Subscription"


def _flag(value: Any, member: str, names: Names) -> bool:
    if not isinstance(value, bool):
        raise BadRequestData(f"{member}: true or false is expected")
    return value


def _seconds(value: Any, member: str, names: Names) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise BadRequestData(f"{member}: a number above 0 is expected")
    return value


def _instant(value: Any, member: str, names: Names) -> str:
    return check_instant(value, member)


def _list(value: Any, member: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise BadRequestData(f"{member}: a non-empty array is expected")
    return value


def _attributes(value: Any, member: str, names: Names) -> list[str]:
    return [_attribute(name, member, names) for name in _list(value, member)]


def _attribute(value: Any, member: str, names: Names) -> str:
    """The IRI of an attribute name; the entity's own members are none."""
    name = _full_text(value, member, names)
    if name in ENTITY_MEMBERS:
        raise BadRequestData(f"{member}: {name} is not an attribute (5.2.12, 5.2.14)")
    return attribute_iri(name, names)


def _projected(value: Any, member: str, names: Names) -> list[str]:
    return [_full_text(term, member, names) for term in _list(value, member)]


def _triggers(value: Any, member: str, names: Names) -> list[str]:
    for trigger in _list(value, member):
        if not isinstance(trigger, str) or trigger not in TRIGGERS:
            raise BadRequestData(f"{member}: {trigger!r} is not one of {', '.join(sorted(TRIGGERS))}")
    return list(dict.fromkeys(value))


def _datasets(value: Any, member: str, names: Names) -> list[str]:
    return [item if item == NONE_DATASET else _uri(item, member, names) for item in _list(value, member)]


def _lang(value: Any, member: str, names: Names) -> str:
    parse_language_filter(_text(value, member, names))
    return str(value)


def _version(value: Any, member: str, names: Names) -> str:
    if parse_version(_text(value, member, names)) is None:
        raise BadRequestData(f"{member}: a version in the form major.minor is expected")
    return str(value)


def _entities(value: Any, member: str, names: Names) -> list[JsonObject]:
    return [_selector(item, names) for item in _list(value, member)]


def _selector(value: Any, names: Names) -> JsonObject:
    """An EntitySelector (5.2.33), members of other names left out."""
    if not isinstance(value, dict):
        raise BadRequestData("entities: each element is an object with type, and id or idPattern (5.2.33)")
    selector: JsonObject = {}
    ids, pattern = value.get("id"), value.get("idPattern")
    if ids is not None:
        for entity_id in [ids] if isinstance(ids, str) else _list(ids, "entities.id"):
            _uri(entity_id, "entities.id", names)
        selector["id"] = ids
    if pattern is not None:
        selector["idPattern"] = _full_text(pattern, "entities.idPattern", names)
    if value.get("type") is None:
        raise BadRequestData('entities.type: an entity selector must have one, or "*" for every type (5.2.33)')
    selector["type"] = _full_text(value["type"], "entities.type", names)
    return selector


def _geo_query(value: Any, member: str, names: Names) -> JsonObject:
    """A GeoQuery (5.2.13), with its geoproperty expanded; the geometry itself is checked when it is compiled."""
    if not isinstance(value, dict):
        raise BadRequestData("geoQ: an object with georel, geometry and coordinates is expected (5.2.13)")
    for required in ("georel", "geometry", "coordinates"):
        if value.get(required) is None:
            raise BadRequestData(f"geoQ.{required}: a geoquery must have it (5.2.13)")
    query = {part: value[part] for part in ("georel", "geometry", "coordinates")}
    if value.get("geoproperty") is not None:
        query["geoproperty"] = _attribute(value["geoproperty"], "geoQ.geoproperty", names)
    return query


def _temporal_query(value: Any, member: str, names: Names) -> str:
    raise BadRequestData("temporalQ: only for subscriptions to context source registrations (5.2.12)")


def _notification(value: Any, member: str, names: Names) -> JsonObject:
    """NotificationParams (5.2.14) without the members that are output only."""
    if not isinstance(value, dict):
        raise BadRequestData("notification: an object is expected (5.2.14)")
    given = {part: value[part] for part in _PARAMETERS if value.get(part) is not None}
    endpoint = given.get("endpoint")
    if not isinstance(endpoint, dict):
        raise BadRequestData("notification.endpoint: an object with a uri is mandatory (5.2.14)")
    given["endpoint"] = {part: endpoint[part] for part in _ENDPOINT if endpoint.get(part) is not None}
    parse_endpoint(given["endpoint"])
    for part, parse in _PARAMETER_PARSERS.items():
        if part in given:
            given[part] = parse(given[part], f"notification.{part}", names)
    if given.get("format", "normalized") not in FORMATS:
        raise BadRequestData("notification.format: one of normalized, concise, simplified, keyValues is expected")
    if given.get("showChanges") and given.get("format") in SIMPLIFIED:
        raise BadRequestData("notification.showChanges: not possible in the simplified format (5.2.14)")
    if given.get("join", "@none") not in ("flat", "inline", "@none"):
        raise BadRequestData("notification.join: one of flat, inline, @none is expected")
    if "attributes" in given:
        for other in ("pick", "omit"):
            if other in given:
                raise BadRequestData(f"notification.{other}: not possible together with attributes (5.2.14)")
    return given


def _level(value: Any, member: str, names: Names) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise BadRequestData(f"{member}: a positive integer is expected")
    return int(value)


_Parse = Callable[[Any, str, Names], Any]

_PARAMETER_PARSERS: Final[Mapping[str, _Parse]] = {
    "attributes": _attributes,
    "format": _text,
    "join": _text,
    "joinLevel": _level,
    "omit": _projected,
    "pick": _projected,
    "showChanges": _flag,
    "sysAttrs": _flag,
}

_MEMBERS: Final[Mapping[str, _Parse]] = {
    "id": _uri,
    "type": _type,
    "subscriptionName": _text,
    "description": _text,
    "entities": _entities,
    "watchedAttributes": _attributes,
    "notificationTrigger": _triggers,
    "timeInterval": _seconds,
    "q": _full_text,
    "geoQ": _geo_query,
    "scopeQ": _full_text,
    "temporalQ": _temporal_query,
    "csf": _full_text,
    "datasetId": _datasets,
    "expandValues": _full_text,
    "jsonKeys": _full_text,
    "lang": _lang,
    "expiresAt": _instant,
    "isActive": _flag,
    "throttling": _seconds,
    "localOnly": _flag,
    "splitEntities": _flag,
    "ngsildConformance": _version,
    "notification": _notification,
    "jsonldContext": _uri,
}
"""Every member of a Subscription that a client may give (table 5.2.12-1), in the order in which it is shown."""

MEMBER_ORDER: Final = tuple(_MEMBERS)


# --- back to what a client reads


def show_document(document: JsonObject, names: Names, *, sys_attrs: bool) -> JsonObject:
    """The members of a stored subscription with its names compacted in the reader's @context (5.5.7), without status."""
    shown: JsonObject = {member: document[member] for member in MEMBER_ORDER if member in document}
    tables = {member: dict(pairs) for member, pairs in document.get("terms", {}).items()}
    if "entities" in shown:
        terms = tables.get("entities", {})
        shown["entities"] = [
            {**selector, "type": rename_terms(selector["type"], terms, names)} for selector in shown["entities"]
        ]
    if "watchedAttributes" in shown:
        shown["watchedAttributes"] = [names.compact(iri) for iri in shown["watchedAttributes"]]
    shown.setdefault("notificationTrigger", ["attributeCreated", "attributeUpdated"])
    if "geoproperty" in shown.get("geoQ", {}):
        shown["geoQ"] = {**shown["geoQ"], "geoproperty": names.compact(shown["geoQ"]["geoproperty"])}
    notification = dict(shown["notification"])
    if "attributes" in notification:
        notification["attributes"] = [names.compact(iri) for iri in notification["attributes"]]
    for part in ("pick", "omit"):
        if part in notification:
            terms = tables.get("notification", {})
            notification[part] = [rename_terms(term, terms, names) for term in notification[part]]
    shown["notification"] = notification
    if sys_attrs:
        shown["createdAt"], shown["modifiedAt"] = document["createdAt"], document["modifiedAt"]
    return shown


def rename_terms(text: str, terms: Mapping[str, str], names: Names) -> str:
    """A type selection (4.17) or a projection (4.21) with its names as they are called in another @context."""
    return "".join(
        names.compact(terms[token]) if token in terms else token for token in _SEPARATORS.split(text) if token
    )
