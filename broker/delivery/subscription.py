"""A subscription as matching and delivery need it: compiled from its stored document (broker.delivery.document)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import orjson

from broker.delivery.document import SIMPLIFIED, TRIGGERS, WrittenTerms
from broker.delivery.endpoint import Endpoint, parse_endpoint
from broker.errors import BadRequestData
from broker.model.entity import JsonObject, Names
from broker.model.instants import is_past
from broker.model.projection import parse_projection
from broker.model.representation import View
from broker.model.versions import earlier, parse_version
from broker.query.ast import Condition, EntityQuery, EntitySelector
from broker.query.evaluate import EntityTest, compile_query
from broker.query.geo import parse_geo_query
from broker.query.linked import linked_depth
from broker.query.patterns import compile_pattern
from broker.query.q import parse_q
from broker.query.scopes import parse_scope_query
from broker.query.selection import parse_type_selection

Status: TypeAlias = Literal["active", "paused", "expired"]
SubscriptionKey: TypeAlias = tuple[str, str]
"""(tenant, subscription id)."""

_ATTRIBUTE_TRIGGERS: Final = frozenset({"attributeCreated", "attributeUpdated", "attributeDeleted"})
_DEFAULT_TRIGGERS: Final = frozenset({"attributeCreated", "attributeUpdated"})
assert _ATTRIBUTE_TRIGGERS < TRIGGERS


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """A compiled Subscription (5.2.12).

    `query` has all conditions on the entity (selectors, q, geoQ, scopeQ), without `now`. `test` is the same as a function,
    only that a q that looks into linked entities is not in it but in `linked_q`. `watched` is None for every attribute.
    `triggers` has `entityUpdated` replaced by the three attribute triggers that it stands for. `throttling` and `interval`
    are seconds. `context` is the URL of the @context of its notifications (5.8.6). Changes up to the position `since` of
    the log do not concern it. `created_at` tells it from others that had its id, `revision` from what it was before.
    """

    tenant: str
    id: str
    query: EntityQuery
    test: EntityTest
    linked_q: Condition | None
    watched: frozenset[str] | None
    triggers: frozenset[str]
    throttling: float | None
    interval: float | None
    expires_at: str | None
    is_active: bool
    endpoint: Endpoint
    view: View
    show_changes: bool
    context: str
    since: int
    created_at: str
    revision: bytes

    @property
    def key(self) -> SubscriptionKey:
        """What tells it from all other subscriptions."""
        return self.tenant, self.id

    def status(self, now: str) -> Status:
        """The subscription's status (table 5.2.12-2) at an instant (5.8.1, 5.8.2)."""
        return status_at(now, self.expires_at, self.is_active)


def status_at(now: str, expires_at: str | None, is_active: bool) -> Status:
    """The status of a subscription with these members at an instant; expiry comes before pause."""
    if expires_at is not None and is_past(expires_at, now):
        return "expired"
    return "active" if is_active else "paused"


def compile_subscription(tenant: str, document: JsonObject) -> Subscription:
    """A stored document compiled. Raises BadRequestData naming the member that is not valid."""
    notification = document["notification"]
    triggers = frozenset(document.get("notificationTrigger", _DEFAULT_TRIGGERS))
    if "entityUpdated" in triggers:
        triggers = (triggers - {"entityUpdated"}) | _ATTRIBUTE_TRIGGERS
    watched = document.get("watchedAttributes")
    tables = terms_of(document)
    query = _query(document, tables)
    linked_q = query.q if query.q is not None and linked_depth(query.q) > 0 else None
    return Subscription(
        tenant=tenant,
        id=document["id"],
        query=query,
        test=compile_query(query if linked_q is None else replace(query, q=None)),
        linked_q=linked_q,
        watched=None if watched is None else frozenset(watched),
        triggers=triggers,
        throttling=document.get("throttling"),
        interval=document.get("timeInterval"),
        expires_at=document.get("expiresAt"),
        is_active=document.get("isActive", True),
        endpoint=parse_endpoint(notification["endpoint"]),
        view=_view(document, notification, tables("notification")),
        show_changes=notification.get("showChanges", False),
        context=document["jsonldContext"],
        since=document["since"],
        created_at=document.get("createdAt", ""),
        revision=revision_of(document),
    )


def revision_of(document: JsonObject) -> bytes:
    """What tells a stored document from all others that the same subscription ever had."""
    return blake2b(orjson.dumps(document, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def bind_terms(document: JsonObject, names: Names) -> JsonObject:
    """A document with the `terms` that its texts need: those it has already, the others taken from `names`.

    Every text is parsed on the way, so this raises BadRequestData for the first that is not valid.
    """
    tables: dict[str, WrittenTerms] = {}
    known = document.get("terms", {})

    def table(member: str) -> WrittenTerms:
        return tables.setdefault(member, WrittenTerms(dict(known.get(member, ())), names))

    _query(document, table)
    _view(document, document["notification"], table("notification"))
    if "csf" in document:
        try:
            parse_q(document["csf"], table("csf"))
        except BadRequestData as error:
            raise BadRequestData(f"csf: not a valid query: {error.detail}") from error
    terms = {member: sorted(bound.terms.items()) for member, bound in tables.items() if bound.terms}
    return {**document, "terms": {member: [list(pair) for pair in pairs] for member, pairs in terms.items()}}


def terms_of(document: JsonObject) -> Callable[[str], WrittenTerms]:
    """What gives each text member of a stored document the names that it was written with."""
    known = document.get("terms", {})
    return lambda member: WrittenTerms(dict(known.get(member, ())))


def _query(document: JsonObject, tables: Callable[[str], WrittenTerms]) -> EntityQuery:
    q, scope, geo = document.get("q"), document.get("scopeQ"), document.get("geoQ")
    condition = None
    if q is not None:
        condition = parse_q(
            q,
            tables("q"),
            expand_values=_listed(document.get("expandValues")),
            json_keys=_listed(document.get("jsonKeys")),
        )
    return EntityQuery(
        selectors=tuple(_selector(selector, tables("entities")) for selector in document.get("entities", ())),
        q=condition,
        geo=None
        if geo is None
        else parse_geo_query(
            geo["georel"], geo["geometry"], geo["coordinates"], geo.get("geoproperty"), tables("geoQ")
        ),
        scope=None if scope is None else parse_scope_query(scope),
    )


def _selector(selector: JsonObject, names: Names) -> EntitySelector:
    ids, pattern = selector.get("id"), selector.get("idPattern")
    if pattern is not None:
        compile_pattern(pattern)
    return EntitySelector(
        ids=None if ids is None else frozenset([ids] if isinstance(ids, str) else ids),
        id_pattern=pattern if ids is None else None,  # id takes precedence (5.2.33)
        types=None if selector["type"] == "*" else parse_type_selection(selector["type"], names),
    )


def _view(document: JsonObject, notification: JsonObject, names: Names) -> View:
    pick, omit, attributes = (notification.get(part) for part in ("pick", "omit", "attributes"))
    projection = None
    if pick is not None or omit is not None or attributes is not None:
        projection = parse_projection(names, pick=pick, omit=omit, attrs=attributes)
    join = notification.get("join")
    level = 0 if join in (None, "@none") else notification.get("joinLevel", 1)
    if projection is not None and projection.depth > level:
        raise BadRequestData("notification: pick or omit goes deeper than join and joinLevel (4.21)")
    datasets = document.get("datasetId")
    representation = notification.get("format", "normalized")
    return View(
        format="simplified" if representation in SIMPLIFIED else representation,
        sys_attrs=notification.get("sysAttrs", False),
        lang=document.get("lang"),
        dataset_ids=None if datasets is None else frozenset(datasets),
        projection=projection,
        join=None if level == 0 else join,
        join_level=level,
        version=earlier(parse_version(document.get("ngsildConformance", ""))),
    )


def _listed(text: str | None) -> frozenset[str]:
    parts: Iterable[str] = () if text is None else text.split(",")
    return frozenset(part.strip() for part in parts)
