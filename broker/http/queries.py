"""Resource entities/ as a collection (6.4.3.2, 6.4.3.3) and entityOperations/query (6.23): query and purge."""

import re
from dataclasses import replace
from typing import Any, Final

import orjson

from broker.errors import BadRequestData
from broker.http.entities import REPRESENTATIONS, projection_members
from broker.http.exchange import ENTITY_TYPES, Exchange, json_answer, local_scope, no_content
from broker.http.message import Response
from broker.http.negotiation import GEO_JSON
from broker.http.paging import add_page_headers, page_links, requested_page
from broker.http.parameters import Parameters
from broker.http.rendering import render_entities
from broker.model.attributes import attribute_iri
from broker.model.projection import SYSTEM_MEMBERS
from broker.operations.purge import purge as purge_entities
from broker.operations.queries import (
    check_every_type,
    check_linked_depth,
    check_query,
    compile_query,
    compile_view,
    run_query,
)

_BLANK_LEVEL: Final = re.compile(r"/ (?=[/|,;)]|$)")
"""What becomes of a scope level `+` that was not percent-encoded in the URL."""


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
    # Names are attributes' and nothing else's: no braces for linked entities (5.6.21.4).
    dropped, kept = ({attribute_iri(name, names) for name in listed} for listed in (drop, keep))
    if attrs := parameters.names("attrs"):
        query["attrs"] = [name for name in attrs if name in SYSTEM_MEMBERS or attribute_iri(name, names)]
    elif drop:
        query["attrs"] = drop  # the list is itself a restriction (5.6.21.4 b): of what has one of them
    check_every_type(query, parameters.flag("local"))
    compiled = compile_query(query, names, exchange.broker.now(), local=local_scope(parameters))
    check_linked_depth(compiled, compile_view({}, names, representation="normalized", sys_attrs=False))
    result = await purge_entities(
        exchange.broker,
        exchange.tenant,
        compiled,
        drop=frozenset(dropped) if drop else None,
        keep=frozenset(kept) if keep else None,
    )
    return json_answer(result.as_json(), status=207) if result.errors else no_content()


async def _answer(exchange: Exchange, query: dict[str, Any], context: Any) -> Response:
    parameters = exchange.parameters
    media_type = exchange.accepted(ENTITY_TYPES)
    if "geometryProperty" in parameters and media_type != GEO_JSON:
        raise BadRequestData("geometryProperty needs Accept: application/geo+json")
    options = parameters.options(REPRESENTATIONS)
    view = compile_view(
        query, context.names, representation=parameters.representation(options), sys_attrs="sysAttrs" in options
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
        replace(paging, offset=result.offset),
        more=result.more,
        media_type=media_type,
        last_id=last,
    )
    add_page_headers(response.headers, links, result.total)
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
