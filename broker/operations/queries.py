"""Query Entities (5.7.2): a Query (5.2.23) is compiled once, whether it came as a body or as URL parameters, then run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import orjson

from broker.errors import BadRequestData
from broker.federation.matching import parse_csf
from broker.model.entity import JsonObject, Names
from broker.model.language import parse_language_filter
from broker.model.naming import check_uri
from broker.model.projection import SYSTEM_MEMBERS, Projection, parse_projection
from broker.model.representation import Format, View
from broker.model.versions import Version
from broker.operations.broker import Broker
from broker.query.ast import EntityQuery, EntitySelector, Ordering
from broker.query.geo import parse_geo_query
from broker.query.linked import attributes_of, linked_depth
from broker.query.ordering import parse_ordering
from broker.query.patterns import compile_pattern
from broker.query.q import parse_q
from broker.query.scopes import parse_scope_query
from broker.query.selection import parse_type_selection
from broker.store.linked import resolve_linked
from broker.store.protocol import Page, Sheet, Window

QUERY_MEMBERS: Final[Mapping[str, type]] = {
    "type": str,
    "entities": list,
    "q": str,
    "geoQ": dict,
    "scopeQ": str,
    "temporalQ": dict,
    "attrs": list,
    "omit": list,
    "pick": list,
    "aggrParams": dict,
    "csf": str,
    "containedBy": list,
    "datasetId": list,
    "expandValues": str,
    "entityMap": bool,
    "entityMapLifetime": str,
    "jsonKeys": str,
    "join": str,
    "joinLevel": int,
    "lang": str,
    "ordering": dict,
    "splitEntities": bool,
}
"""The members of a Query (5.2.23) and their JSON types."""

NOTHING: Final = Sheet(orjson.loads)
_JSON_TYPES: Final[Mapping[type, str]] = {
    str: "a string",
    list: "an array",
    dict: "an object",
    bool: "a boolean",
    int: "an integer",
}


Found = TypeVar("Found", Window, Sheet)


@dataclass(frozen=True, slots=True)
class QueryResult(Generic[Found]):
    """One page: what was found, the number of all matches where it was asked for, and the offset at which the page begins."""

    found: Found
    total: int | None
    offset: int


def check_query(query: JsonObject) -> None:
    """Types of the members of a Query (5.2.23). Raises BadRequestData naming the member."""
    if query.get("type") != "Query":
        raise BadRequestData(f"type: a query has the type Query, not {query.get('type')!r}")
    for member, value in query.items():
        expected = QUERY_MEMBERS.get(member)
        if expected is None:
            raise BadRequestData(f"{member}: not a member of Query (5.2.23)")
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise BadRequestData(f"{member}: {_JSON_TYPES[expected]} is expected (5.2.23)")
        if isinstance(value, list) and not value:
            raise BadRequestData(f"{member}: an empty array is not allowed")
        if isinstance(value, list) and member != "entities" and not all(isinstance(item, str) for item in value):
            raise BadRequestData(f"{member}: an array of strings is expected")


def check_every_type(query: JsonObject, local: bool | None) -> None:
    """`*` for every type implies the local scope, which the request may then not deny (5.2.33). Raises BadRequestData."""
    if local is False and any(
        isinstance(entry, dict) and entry.get("type") == "*" for entry in query.get("entities", ())
    ):
        raise BadRequestData("local: may not be false where the type is *, which implies the local scope (5.2.33)")


def compile_query(
    query: JsonObject, names: Names, now: str, *, local: bool, picked: frozenset[str] = frozenset()
) -> EntityQuery:
    """The conditions of a Query, all names expanded. Raises BadRequestData for any that is invalid or all too wide.

    `picked` are the attributes that `pick` asks for: an entity has to have one of them (5.7.2.4), which does not narrow
    a query enough by itself (6.4.3.2). This broker forwards nothing, so any query is limited to the local scope, as an
    ordering demands.
    """
    selectors, every_type = _selectors(query.get("entities", []), names)
    local = local or every_type
    attrs = frozenset(names.expand(name) for name in query.get("attrs", []) if name not in SYSTEM_MEMBERS)
    q = query.get("q")
    condition = None
    if q is not None:
        condition = parse_q(
            q,
            names,
            expand_values=frozenset(_listed(query.get("expandValues"))),
            json_keys=frozenset(_listed(query.get("jsonKeys"))),
        )
    geo_query = query.get("geoQ")
    geo = None
    if geo_query is not None:
        geo = parse_geo_query(
            geo_query.get("georel"),
            geo_query.get("geometry"),
            geo_query.get("coordinates"),
            geo_query.get("geoproperty"),
            names,
        )
    if (source_filter := query.get("csf")) is not None:
        parse_csf(source_filter, names)  # it selects among sources: here it only has to be valid (5.7.2.4)
    narrowed = (
        any(selector.types is not None for selector in selectors)
        or bool(attrs)
        or (condition is not None and bool(attributes_of(condition)))
        or geo is not None
    )
    if not (narrowed or local):
        raise BadRequestData("too wide a query: give type, attrs, q on an attribute, a geoquery, or local=true (5.7.2)")
    scope = query.get("scopeQ")
    return EntityQuery(
        selectors=selectors,
        attrs=attrs or picked,
        q=condition,
        geo=geo,
        scope=parse_scope_query(scope) if scope is not None else None,
        ordering=_ordering(query.get("ordering"), names),
        now=now,
    )


def compile_view(
    query: JsonObject, names: Names, *, representation: Format, sys_attrs: bool, version: Version | None = None
) -> View:
    """How the entities of a Query are to be shown: representation, projection, language, datasets, joins (6.3.7, 4.21), and
    the earlier version of NGSI-LD that is asked for (4.3.6.8)."""
    projection = _projection(query, names)
    join, level = query.get("join"), query.get("joinLevel", 1)
    if join not in (None, "flat", "inline", "@none"):
        raise BadRequestData(f"join: {join!r} is not one of flat, inline, @none")
    if level < 1:
        raise BadRequestData("joinLevel: a positive integer is expected")
    if join == "@none":
        join = None
    depth = 0 if projection is None else projection.depth
    if depth > (level if join else 0):
        raise BadRequestData("pick, omit: the projection goes deeper than join and joinLevel (4.21)")
    datasets = query.get("datasetId")
    if datasets is not None:
        for dataset in datasets:
            if dataset != "@none":
                check_uri(dataset, "datasetId")
    for contained in query.get("containedBy", []):
        check_uri(contained, "containedBy")
    lang = query.get("lang")
    if lang is not None:
        parse_language_filter(lang)
    return View(
        format=representation,
        sys_attrs=sys_attrs,
        lang=lang,
        dataset_ids=None if datasets is None else frozenset(datasets),
        projection=projection,
        join=join,
        join_level=level if join else 0,
        version=version,
    )


def check_linked_depth(query: EntityQuery, view: View) -> None:
    """q may follow relationships only as deep as the request joins (5.7.2). Raises BadRequestData."""
    if query.q is not None and linked_depth(query.q) > view.join_level:
        raise BadRequestData("q: linked entity paths go deeper than join and joinLevel (5.7.2)")


async def run_query(
    broker: Broker, tenant: str, query: EntityQuery, *, limit: int, offset: int, after: str | None, count: bool
) -> QueryResult[Window]:
    """5.7.2 Query Entities on the local store. An offset past the end means the last element (6.3.10).

    `after` is where a `next` link goes on: behind it there may be nothing left, and then nothing is shown again.
    """
    return await _run(broker, tenant, query, broker.store.query, Window(), limit, offset, after, count)


async def run_query_for_bodies(
    broker: Broker, tenant: str, query: EntityQuery, *, limit: int, offset: int, after: str | None, count: bool
) -> QueryResult[Sheet]:
    """The same for a query without an ordering, for who may not have to read the entities."""
    return await _run(broker, tenant, query, broker.store.query_bodies, NOTHING, limit, offset, after, count)


async def _run(
    broker: Broker,
    tenant: str,
    query: EntityQuery,
    ask: Callable[[str, EntityQuery, Page], Awaitable[Found]],
    nothing: Found,
    limit: int,
    offset: int,
    after: str | None,
    count: bool,
) -> QueryResult[Found]:
    query = await resolve_linked(broker.store, tenant, query)
    total = await broker.store.count(tenant, query) if count else None
    if limit == 0:
        return QueryResult(nothing, total, offset)
    keyset = after if query.ordering is None else None
    found = await ask(tenant, query, Page(limit, 0 if keyset is not None else offset, keyset))
    if not len(found) and offset > 0 and keyset is None:
        size = total if total is not None else await broker.store.count(tenant, query)
        if size > 0:
            offset = size - 1
            found = await ask(tenant, query, Page(limit, offset))
    return QueryResult(found, total, offset)


def _selectors(entities: list[Any], names: Names) -> tuple[tuple[EntitySelector, ...], bool]:
    """The selectors of a Query, and whether `*` asks for every type."""
    selectors = []
    every_type = False
    for entry in entities:
        if not isinstance(entry, dict):
            raise BadRequestData("entities: each element is an object with type, id or idPattern (5.2.33)")
        if unknown := entry.keys() - {"id", "idPattern", "type"}:
            raise BadRequestData(f"entities: {', '.join(sorted(unknown))} is not a member of EntitySelector (5.2.33)")
        types = entry.get("type")
        if types is not None and not isinstance(types, str):
            raise BadRequestData("entities.type: a type selection is a string (4.17)")
        every_type = every_type or types == "*"
        ids = entry.get("id")
        id_list = [ids] if isinstance(ids, str) else ids
        if id_list is not None and not (isinstance(id_list, list) and id_list):
            raise BadRequestData("entities.id: a URI or a non-empty array of URIs is expected")
        pattern = entry.get("idPattern")
        if pattern is not None and not isinstance(pattern, str):
            raise BadRequestData("entities.idPattern: a regular expression is a string")
        if pattern is not None:
            compile_pattern(pattern, "idPattern")
        selectors.append(
            EntitySelector(
                ids=None if id_list is None else frozenset(check_uri(entity_id, "id") for entity_id in id_list),
                id_pattern=pattern if id_list is None else None,
                types=None if types in (None, "*") else parse_type_selection(types, names),
            )
        )
    return tuple(selectors), every_type


def _ordering(ordering: JsonObject | None, names: Names) -> Ordering | None:
    """OrderingParams (5.2.43)."""
    if ordering is None:
        return None
    if unknown := ordering.keys() - {"orderBy", "collation", "coordinates", "geometry"}:
        raise BadRequestData(f"ordering: {', '.join(sorted(unknown))} is not a member of OrderingParams (5.2.43)")
    order_by = ordering.get("orderBy")
    if not isinstance(order_by, list) or not order_by or not all(isinstance(term, str) for term in order_by):
        raise BadRequestData("ordering.orderBy: a non-empty array of strings is expected (5.2.43)")
    for member in ("collation", "geometry"):
        if not isinstance(ordering.get(member, ""), str):
            raise BadRequestData(f"ordering.{member}: a string is expected (5.2.43)")
    return parse_ordering(
        order_by,
        names,
        collation=ordering.get("collation"),
        order_from=ordering.get("coordinates"),
        order_geometry=ordering.get("geometry"),
    )


def _listed(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",")]


def _projection(query: JsonObject, names: Names) -> Projection | None:
    """`pick`, `omit` and the deprecated `attrs` (4.21). pick and attrs together are contradictory."""
    pick, omit, attrs = query.get("pick"), query.get("omit"), query.get("attrs")
    if pick is not None and attrs is not None:
        raise BadRequestData("pick and attrs cannot be combined: attrs is the deprecated spelling of pick and q")
    if pick is None and omit is None and attrs is None:
        return None
    return parse_projection(names, pick=pick, omit=omit, attrs=attrs)
