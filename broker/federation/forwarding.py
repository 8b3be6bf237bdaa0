"""Which parts of an update belong to other sources, and how a request to one of them looks (4.3.6, 5.6).

Attributes that an exclusive or redirect registration covers are held elsewhere only: what a client writes of them goes there,
and the rest stays here. Inclusive registrations are not written to yet. Pure: `broker.operations.sources` calls the sources.

Names are written out, or as the core @context has them, so that a source need know no other @context; one whose
`contextSourceInfo` names a `jsonldContext` gets names in that (4.3.6.6).
Nothing is made to fit an earlier version yet (`ngsildConformance`, 4.3.6.8).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from broker.federation.matching import RegistrationQuery, matching_information
from broker.federation.registration import Registration
from broker.model.members import RESERVED, reads_as_instance, reads_as_instances
from broker.query.ast import EntitySelector, TypeSelection

PROXIED: Final = frozenset({"exclusive", "redirect"})
FROM_REQUEST: Final = "urn:ngsi-ld:request"
"""The value that stands for what the triggering request has (4.3.6.5)."""
RELAYS: Final = "https://w3id.org/tsunagu/ns/relaysProblems"
"""A property of a registration: the problems of its source are its client's business and reach it as they are. An extension."""

_OWN_KEYS: Final = frozenset({"accept", "contentType", "jsonldContext", "ngsildConformance"})
_NOT_OVERRIDDEN: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "link",
        "ngsild-tenant",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
"""What belongs to a connection or an interaction, or has a place of its own (4.3.6.5)."""
_API: Final = "/ngsi-ld/v1"


class ProxiedIndex:
    """The exclusive and redirect registrations, by entity: an update that none concerns costs one look."""

    def __init__(self) -> None:
        self._by_id: dict[tuple[str, str], dict[str, Registration]] = {}
        self._others: dict[str, dict[str, Registration]] = {}
        self._count: dict[str, int] = {}

    def put(self, registration: Registration) -> None:
        """Note a registration."""
        if registration.mode in PROXIED:
            self._count[registration.tenant] = self._count.get(registration.tenant, 0) + 1
        for place in self._places(registration):
            place[registration.id] = registration

    def drop(self, registration: Registration) -> None:
        """Forget one that was noted."""
        if registration.mode in PROXIED:
            self._count[registration.tenant] -= 1
        for place in self._places(registration):
            place.pop(registration.id, None)
        for entity_id in entity_ids(registration) or ():
            if not self._by_id.get((registration.tenant, entity_id), True):
                del self._by_id[registration.tenant, entity_id]

    def any_of(self, tenant: str) -> bool:
        """Whether a tenant has any."""
        return self._count.get(tenant, 0) > 0

    def about(self, tenant: str, entity_id: str) -> list[Registration]:
        """Those that may be about an entity."""
        exact, others = self._by_id.get((tenant, entity_id)), self._others.get(tenant)
        return [*(exact.values() if exact else ()), *(others.values() if others else ())]

    def _places(self, registration: Registration) -> list[dict[str, Registration]]:
        if registration.mode not in PROXIED:
            return []
        ids = entity_ids(registration)
        if ids is None:
            return [self._others.setdefault(registration.tenant, {})]
        return [self._by_id.setdefault((registration.tenant, entity_id), {}) for entity_id in ids]


def entity_ids(registration: Registration) -> frozenset[str] | None:
    """The ids of all entities that a registration is about; None where it does not name them."""
    ids = {entity.id for info in registration.information for entity in info.entities}
    nameless = None in ids or any(not info.entities for info in registration.information)
    return None if nameless else frozenset(each for each in ids if each is not None)


@dataclass(frozen=True, slots=True)
class Share:
    """What one source is to be told of an update: these attributes (IRIs). `supported`: it takes this operation.

    `encountered`: the request came by way of it, so that nobody is left who could be told of them.
    """

    registration: Registration
    attributes: frozenset[str]
    supported: bool
    encountered: bool = False


def shares(
    registrations: Iterable[Registration],
    operation: str,
    entity_id: str,
    types: TypeSelection | None,
    attributes: Collection[str],
    encountered: frozenset[str] = frozenset(),
) -> list[Share]:
    """How the attributes of an update belong to proxied registrations (5.12); what is in none of them is the broker's own.

    A source that was encountered is not told again (4.3.6.4). What only such ones hold is not the broker's own for all that.
    """
    found: list[Share] = []
    selector = EntitySelector(ids=frozenset({entity_id}), types=types)
    query = RegistrationQuery((selector,), frozenset(attributes))
    for registration in registrations:
        covered: set[str] = set()
        for position in matching_information(query, registration):
            of = registration.information[position].attributes
            covered |= set(attributes) if not of else of.intersection(attributes)
        if covered:
            supported = operation in registration.operations
            found.append(Share(registration, frozenset(covered), supported, registration.alias in encountered))
    told = frozenset().union(*(share.attributes for share in found if not share.encountered))
    left = (replace(share, attributes=share.attributes - told) if share.encountered else share for share in found)
    return [share for share in left if share.attributes]


def encountered_aliases(via: str | None) -> frozenset[str]:
    """The pseudonyms in a Via header (RFC 9110, 7.6.3): where a distributed operation has been."""
    hops = (hop.split() for hop in (via or "").split(","))
    return frozenset(hop[1] for hop in hops if len(hop) > 1)


def source_headers(
    registration: Registration, request: Mapping[str, str], alias: str, context_link: str | None
) -> dict[str, str]:
    """The headers of a request to a source. `request`: those of the request that triggered it, lower-case."""
    info = {pair["key"]: pair["value"] for pair in registration.document.get("contextSourceInfo", ())}
    headers = {"Content-Type": "application/json", "Accept": info.get("accept", "application/json")}
    via = request.get("via", "").strip()
    headers["Via"] = f"{via}, 1.1 {alias}" if via else f"1.1 {alias}"
    if (tenant := registration.document.get("tenant")) is not None:
        headers["NGSILD-Tenant"] = tenant
    if context_link is not None:
        headers["Link"] = context_link
    elif info.get("contentType") == "application/ld+json":
        headers["Content-Type"] = "application/ld+json"
    for key, value in info.items():
        if key in _OWN_KEYS or key.lower() in _NOT_OVERRIDDEN:
            continue
        said = request.get(key.lower()) if value == FROM_REQUEST else value
        if said is not None:
            headers[key] = said
    return headers


def source_url(registration: Registration, path: Iterable[str], query: str) -> str:
    """The URL of a resource of the source, of path segments that are not encoded yet."""
    endpoint = str(registration.document["endpoint"]).rstrip("/").removesuffix(_API)
    resource = "/".join(quote(segment, safe="") for segment in path)
    return f"{endpoint}{_API}/{resource}" + (f"?{query}" if query else "")


def renamed_fragment(fragment: Mapping[str, Any], rename: Callable[[str], str], *, simplified: bool) -> dict[str, Any]:
    """An entity fragment of attributes alone, with other names for the same things."""
    return {rename(name): value if simplified else renamed(value, rename) for name, value in fragment.items()}


def renamed(value: Any, rename: Callable[[str], str]) -> Any:
    """What an attribute or sub-attribute has, with other names for the same things. A value keeps what is within it."""
    if isinstance(value, list) and reads_as_instances(value):
        return [renamed(each, rename) for each in value]
    return renamed_instance(value, rename) if isinstance(value, dict) and reads_as_instance(value) else value


def renamed_instance(instance: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """The same for what is known to be an attribute instance, such as the body of a partial update."""
    made: dict[str, Any] = {}
    for member, value in instance.items():
        if member in ("vocab", "objectType"):
            made[member] = [rename(each) for each in value] if isinstance(value, list) else rename(value)
        elif member in RESERVED:
            made[member] = value
        else:
            made[rename(member)] = renamed(value, rename)
    return made
