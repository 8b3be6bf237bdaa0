"""Resource entities/ as a collection (6.4.3.2, 6.4.3.3) and entityOperations/query (6.23): query and purge."""

from typing import Any, Final

import orjson

from broker.errors import BadRequestData
from broker.http.entities import REPRESENTATIONS, projection_members
from broker.http.exchange import ENTITY_TYPES, Exchange, json_answer, local_scope, no_content
from broker.http.message import Response
from broker.http.negotiation import GEO_JSON
from broker.http.paging import page_links, requested_page
from broker.http.parameters import Parameters
from broker.http.rendering import render_entities
from broker.operations.purge import purge as purge_entities
from broker.operations.queries import (
    check_linked_depth,
    check_query,
    compile_query,
    compile_view,
    run_query,
)

COUNT_HEADER: Final = "NGSILD-Results-Count"


async def query(exchange: Exchange) -> Response:
    """GET /entities: Query Entities (6.4.3.2)."""
    context = await exchange.context()
    return await _answer(exchange, {**query_members(exchange.parameters), **projection_members(exchange)}, context)


async def query_by_post(exchange: Exchange) -> Response:
    """POST /entityOperations/query: Query Entities (6.23.3.1)."""
    document, context = await exchange.document()
    check_query(document)
    if "temporalQ" in document or "aggrParams" in document:
        raise BadRequestData("temporalQ, aggrParams: only for the temporal evolution of entities (5.2.23)")
    return await _answer(exchange, document, context)


async def purge(exchange: Exchange) -> Response:
    """DELETE /entities: Purge Entities (6.4.3.3)."""
    parameters = exchange.parameters
    names = (await exchange.context()).names
    query = query_members(parameters)
    drop, keep = parameters.names("drop"), parameters.names("keep")
    if drop and keep:
        raise BadRequestData("drop and keep cannot be combined")
    if drop or keep:
        # A list of attribute names is itself a restriction (5.6.21.4 b), whatever the list is for.
        query["attrs"] = drop or None
    compiled = compile_query(
        {member: value for member, value in query.items() if value is not None},
        names,
        exchange.broker.now(),
        local=local_scope(parameters),
    )
    check_linked_depth(compiled, compile_view({}, names, representation="normalized", sys_attrs=False))
    result = await purge_entities(
        exchange.broker,
        exchange.tenant,
        compiled,
        drop=frozenset(map(names.expand, drop)) if drop else None,
        keep=frozenset(map(names.expand, keep)) if keep else None,
    )
    return json_answer(result.as_json(), status=207) if result.errors else no_content()


async def _answer(exchange: Exchange, query: dict[str, Any], context: Any) -> Response:
    parameters = exchange.parameters
    media_type = exchange.accepted(ENTITY_TYPES)
    if "geometryProperty" in parameters and media_type != GEO_JSON:
        raise BadRequestData("geometryProperty needs Accept: application/geo+json")
    options = parameters.options(REPRESENTATIONS | {"count"})
    view = compile_view(
        query, context.names, representation=parameters.representation(options), sys_attrs="sysAttrs" in options
    )
    compiled = compile_query(
        query,
        context.names,
        exchange.broker.now(),
        local=local_scope(parameters),
        picked=frozenset() if view.projection is None else view.projection.picked,
    )
    check_linked_depth(compiled, view)
    sizes = exchange.page_sizes
    paging = requested_page(parameters, default=sizes.default, maximum=sizes.maximum)
    result = await run_query(
        exchange.broker,
        exchange.tenant,
        compiled,
        limit=paging.limit,
        offset=paging.offset,
        after=paging.after,
        count=paging.count,
    )
    payload = await render_entities(exchange, result.entities, context, view, media_type, query.get("containedBy", ()))
    response = await exchange.answer(payload, context, media_type)
    last = result.entities[-1]["id"] if result.entities and compiled.ordering is None else None
    links = page_links(
        exchange.request.path,
        exchange.request.query,
        paging,
        more=result.more,
        media_type=media_type,
        last_id=last,
    )
    if links:
        response.headers["Link"] = ", ".join([*filter(None, [response.headers.get("Link")]), *links])
    if result.total is not None:
        response.headers[COUNT_HEADER] = str(result.total)
    return response


def query_members(parameters: Parameters) -> dict[str, Any]:
    """The URL parameters that select entities, as members of a Query (5.2.23)."""
    query: dict[str, Any] = {}
    selector: dict[str, Any] = {}
    if ids := parameters.names("id"):
        selector["id"] = ids
    for name in ("idPattern", "type"):
        if (text := parameters.text(name)) is not None:
            selector[name] = text
    if selector:
        query["entities"] = [selector]
    for name in ("q", "scopeQ", "csf", "expandValues", "jsonKeys"):
        if name in parameters and (text := parameters.text(name)) is not None:
            query[name] = text
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
