"""Resource entities/ as a collection (6.4.3.2, 6.4.3.3) and entityOperations/query (6.23): query and purge."""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from broker.errors import BadRequestData
from broker.http.entities import REPRESENTATIONS, projection_members
from broker.http.exchange import ENTITY_TYPES, Exchange, json_answer, local_scope, no_content
from broker.http.joint import JointReads
from broker.http.map_use import map_members, named_map, requested_map, splits_entities, with_map, with_map_header
from broker.http.message import Response
from broker.http.negotiation import GEO_JSON, JSON
from broker.http.paging import PAGE_PARAMETERS, Paging, add_page_headers, fewer, page_links, requested_page
from broker.http.parameters import Parameters
from broker.http.prepared import Prepared, preparations
from broker.http.rendering import render_entities
from broker.http.renderings import renderings
from broker.model.attributes import attribute_iri
from broker.model.projection import SYSTEM_MEMBERS
from broker.model.representation import View
from broker.operations.entity_maps import query_with_map
from broker.operations.purge import purge as purge_entities
from broker.operations.queries import (
    QueryResult,
    check_every_type,
    check_linked_depth,
    check_query,
    compile_query,
    compile_view,
    run_query,
    run_query_for_bodies,
)
from broker.query.ast import EntityQuery
from broker.store.protocol import Sheet, Window
from broker.store.scans import SCAN

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext

SCAN_HEADER: Final = "Tsunagu-Scan"
"""How many entities a query looked at in vain, where these were many (docs/queries.md)."""
_BLANK_LEVEL: Final = re.compile(r"/ (?=[/|,;)]|$)")
"""What becomes of a scope level `+` that was not percent-encoded in the URL."""


async def query(exchange: Exchange) -> Response:
    """GET /entities: Query Entities (6.4.3.2)."""
    context = await exchange.context()
    media_type = exchange.accepted(ENTITY_TYPES)
    preferred = exchange.request.headers.get("prefer")

    def prepare() -> Prepared:
        query = _query_of(exchange)
        return Prepared(query, *compiled_query(exchange, query, context, media_type))

    key = context.names, media_type, preferred, exchange.parameters.besides(PAGE_PARAMETERS)
    query, compiled, view = preparations.get(key, prepare)
    return await _answer(exchange, query, compiled, view, context, media_type, key)


async def query_by_post(exchange: Exchange) -> Response:
    """POST /entityOperations/query: Query Entities (6.23.3.1)."""
    query, context = await posted_query(exchange)
    media_type = exchange.accepted(ENTITY_TYPES)
    compiled, view = compiled_query(exchange, query, context, media_type)
    return await _answer(exchange, query, compiled, view, context, media_type)


async def query_of(exchange: Exchange) -> "tuple[dict[str, Any], ResolvedContext]":
    """The Query (5.2.23) that the parameters of a GET request make, and its @context."""
    context = await exchange.context()
    return _query_of(exchange), context


def _query_of(exchange: Exchange) -> dict[str, Any]:
    parameters = exchange.parameters
    return {**query_members(parameters), **projection_members(exchange), **map_members(parameters)}


async def posted_query(exchange: Exchange) -> "tuple[dict[str, Any], ResolvedContext]":
    """The Query in the body of a POST request, and its @context."""
    document, context = await exchange.document()
    check_query(document)
    if "temporalQ" in document or "aggrParams" in document:
        raise BadRequestData("temporalQ, aggrParams: only for the temporal evolution of entities (5.2.23)")
    return document, context


async def purge(exchange: Exchange) -> Response:
    """DELETE /entities: Purge Entities (6.4.3.3)."""
    parameters = exchange.parameters
    names = (await exchange.context()).names
    query = query_members(parameters)
    drop, keep = parameters.names("drop"), parameters.names("keep")
    if drop and keep:
        raise BadRequestData("drop and keep cannot be combined")
    # Names are attributes' and nothing else's: no braces for linked entities (5.6.21.4).
    dropped, kept = ({attribute_iri(name, names) for name in listed} for listed in (drop, keep))
    if attrs := parameters.names("attrs"):
        query["attrs"] = [name for name in attrs if name in SYSTEM_MEMBERS or attribute_iri(name, names)]
    elif drop:
        query["attrs"] = drop  # the list is itself a restriction (5.6.21.4 b): of what has one of them
    check_every_type(query, parameters.flag("local"))
    compiled = compile_query(query, names, exchange.broker.now(), local=local_scope(parameters))
    check_linked_depth(compiled, compile_view({}, names, representation="normalized", sys_attrs=False))
    map_id = named_map(exchange)
    result = await purge_entities(
        exchange.broker,
        exchange.tenant,
        compiled,
        drop=frozenset(dropped) if drop else None,
        keep=frozenset(kept) if keep else None,
        map_id=map_id,
    )
    response = json_answer(result.as_json(), status=207) if result.errors else no_content()
    return response if map_id is None else with_map_header(response, map_id)


def compiled_query(
    exchange: Exchange, query: dict[str, Any], context: "ResolvedContext", media_type: str
) -> tuple[EntityQuery, View]:
    """What a Query asks for, and how that is to be shown. Raises BadRequestData, InvalidRequest."""
    parameters = exchange.parameters
    if "geometryProperty" in parameters and media_type != GEO_JSON:
        raise BadRequestData("geometryProperty needs Accept: application/geo+json")
    options = parameters.options(REPRESENTATIONS)
    view = compile_view(
        query,
        context.names,
        representation=parameters.representation(options),
        sys_attrs="sysAttrs" in options,
        version=exchange.version(),
    )
    check_every_type(query, parameters.flag("local"))
    compiled = compile_query(
        query,
        context.names,
        exchange.broker.now(),
        local=local_scope(parameters),
        picked=frozenset() if view.projection is None else view.projection.picked,
    )
    check_linked_depth(compiled, view)
    return compiled, view


async def _answer(
    exchange: Exchange,
    query: dict[str, Any],
    compiled: EntityQuery,
    view: View,
    context: "ResolvedContext",
    media_type: str,
    key: Hashable = None,
) -> Response:
    """`key` says what is asked for but for the page, where others may ask for the same."""
    broker, tenant, parameters = exchange.broker, exchange.tenant, exchange.parameters
    compiled = replace(compiled, now=broker.now())  # it may have been compiled for an earlier request
    sizes = exchange.page_sizes
    paging = requested_page(parameters, default=sizes.default, maximum=sizes.maximum)
    use = requested_map(exchange, query)
    contained_by = query.get("containedBy", ())
    if use is not None:
        split = splits_entities(parameters, query)
        mapped = await query_with_map(
            broker, tenant, compiled, use, split=split, limit=paging.limit, offset=paging.offset, count=paging.count
        )
        shown = await render_entities(exchange, mapped.page.found, context, view, media_type, contained_by)
        response = await exchange.answer_entities(shown, context, media_type)
        return with_map(exchange, response, mapped, paging, media_type)
    if media_type == JSON and compiled.ordering is None and view.join is None and view.version is None:
        return await _from_bodies(exchange, compiled, view, context, paging, key)
    result = await run_query(
        broker, tenant, compiled, limit=paging.limit, offset=paging.offset, after=paging.after, count=paging.count
    )
    entities = result.found.entities
    while True:
        shown = await render_entities(exchange, entities, context, view, media_type, contained_by)
        response = await exchange.answer_entities(shown, context, media_type)
        if (fitting := fewer(len(entities), len(response.body))) == len(entities):
            break
        entities = entities[:fitting]
    last = entities[-1]["id"] if entities and compiled.ordering is None else None
    return _paged(exchange, response, result, paging, media_type, len(entities), last)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A page as JSON text: the entities in it, and what there is to say about it."""

    body: bytes
    shown: int
    last_id: str | None
    result: QueryResult[Sheet]


_joint: Final[JointReads[_Leaf]] = JointReads()
"""Pages that this process reads now."""


async def _from_bodies(
    exchange: Exchange,
    compiled: EntityQuery,
    view: View,
    context: "ResolvedContext",
    paging: Paging,
    key: Hashable,
) -> Response:
    """The same where each entity is shown by itself, as plain JSON: what was shown before is not read again, and what several
    ask for at once is read once for all of them."""
    broker, tenant = exchange.broker, exchange.tenant

    async def read() -> _Leaf:
        result = await run_query_for_bodies(
            broker,
            tenant,
            replace(compiled, now=broker.now()),
            limit=paging.limit,
            offset=paging.offset,
            after=paging.after,
            count=paging.count,
        )
        sheet = result.found
        while True:
            body = renderings.array(sheet, context.names, view)
            if (fitting := fewer(len(sheet), len(body))) == len(sheet):
                break
            sheet = replace(sheet, ids=sheet.ids[:fitting], bodies=sheet.bodies[:fitting])
        return _Leaf(body, len(sheet), sheet.ids[-1] if sheet.ids else None, result)

    leaf = await read() if key is None else await _joint.get((broker.store, tenant, key, paging), read)
    response = await exchange.answer_array(leaf.body, context)
    return _paged(exchange, response, leaf.result, paging, JSON, leaf.shown, leaf.last_id)


def _paged(
    exchange: Exchange,
    response: Response,
    result: QueryResult[Window] | QueryResult[Sheet],
    paging: Paging,
    media_type: str,
    shown: int,
    last_id: str | None,
) -> Response:
    """A response with the links and the numbers of its page, which shows so many of what was found."""
    found = result.found
    links = page_links(
        exchange.request.path,
        exchange.request.query,
        replace(paging, offset=result.offset),
        more=found.more or shown < len(found),
        media_type=media_type,
        shown=shown,
        last_id=last_id,
    )
    add_page_headers(response.headers, links, result.total)
    if found.in_vain >= SCAN:
        response.headers[SCAN_HEADER] = str(found.in_vain)
    return response


def query_members(parameters: Parameters) -> dict[str, Any]:
    """The URL parameters that select entities, as members of a Query (5.2.23)."""
    query: dict[str, Any] = {}
    selector: dict[str, Any] = {}
    if ids := parameters.names("id"):
        selector["id"] = ids
    if (pattern := parameters.text("idPattern")) is not None:
        selector["idPattern"] = pattern.replace(" ", "+")  # ids have no blanks: it was a + not percent-encoded
    if (types := parameters.text("type")) is not None:
        selector["type"] = types
    if selector:
        query["entities"] = [selector]
    for name in ("q", "csf", "expandValues", "jsonKeys"):
        if (text := parameters.text(name)) is not None:
            query[name] = text
    if (scopes := parameters.text("scopeQ")) is not None:
        query["scopeQ"] = _BLANK_LEVEL.sub("/+", scopes)
    if geo := _geo_query(parameters):
        query["geoQ"] = geo
    if ordering := _ordering(parameters):
        query["ordering"] = ordering
    return query


def _geo_query(parameters: Parameters) -> dict[str, Any]:
    """georel, geometry and coordinates come together (4.10); geoproperty alone is ignored (6.4.3.2)."""
    geo = {name: text for name in ("georel", "geometry", "coordinates") if (text := parameters.text(name)) is not None}
    if not geo:
        return {}
    if missing := [name for name in ("georel", "geometry", "coordinates") if name not in geo]:
        raise BadRequestData(f"{', '.join(missing)}: missing; a geoquery has georel, geometry and coordinates (4.10)")
    geoproperty = parameters.text("geoproperty")
    return geo if geoproperty is None else {**geo, "geoproperty": geoproperty}


def _ordering(parameters: Parameters) -> dict[str, Any]:
    ordering: dict[str, Any] = {}
    if order_by := parameters.names("orderBy"):
        ordering["orderBy"] = order_by
    for name, member in (("collation", "collation"), ("orderGeometry", "geometry")):
        if (text := parameters.text(name)) is not None:
            ordering[member] = text
    if (order_from := parameters.text("orderFrom")) is not None:
        try:
            ordering["coordinates"] = orjson.loads(order_from)
        except orjson.JSONDecodeError:
            raise BadRequestData(f"orderFrom: not the coordinates of a geometry: {order_from!r}") from None
    if ordering and "orderBy" not in ordering:
        raise BadRequestData("collation, orderFrom and orderGeometry are part of an ordering: give orderBy (4.23)")
    return ordering
