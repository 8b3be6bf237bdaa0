"""Resources entityMaps/ (6.32, 6.34) and temporal/entityMaps/ (6.35)."""

from typing import TYPE_CHECKING, Any

from broker.federation.entity_map import EntityMap, lifetime
from broker.http.exchange import ENTITY_TYPES, Exchange, no_content
from broker.http.map_use import splits_entities, with_map_header
from broker.http.message import Response
from broker.http.negotiation import GEO_JSON, JSON
from broker.http.queries import compiled_query, posted_query, query_of
from broker.http.temporal import compiled_request, posted_request, request_of
from broker.operations import entity_maps
from broker.operations.evolutions import evolution_question

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext


async def retrieve(exchange: Exchange) -> Response:
    """GET /entityMaps/{entityMapId}: Retrieve EntityMap (6.32.3.1)."""
    media_type, context = exchange.accepted(), await exchange.context()
    document = await entity_maps.retrieve_entity_map(exchange.broker, exchange.tenant, _id(exchange))
    return await exchange.answer(document, context, media_type)


async def update(exchange: Exchange) -> Response:
    """PATCH /entityMaps/{entityMapId}: Update EntityMap (6.32.3.2)."""
    document, _ = await exchange.document()
    await entity_maps.update_entity_map(exchange.broker, exchange.tenant, _id(exchange), document)
    return no_content()


async def delete(exchange: Exchange) -> Response:
    """DELETE /entityMaps/{entityMapId}: Delete EntityMap (6.32.3.3)."""
    await entity_maps.delete_entity_map(exchange.broker, exchange.tenant, _id(exchange))
    return no_content()


async def create(exchange: Exchange) -> Response:
    """GET /entityMaps: Create EntityMap for Query Entities (6.34.3.1)."""
    return await _created(exchange, *await query_of(exchange))


async def create_by_post(exchange: Exchange) -> Response:
    """POST /entityMaps: Create EntityMap for Query Entities (6.34.3.2)."""
    return await _created(exchange, *await posted_query(exchange))


async def create_temporal(exchange: Exchange) -> Response:
    """GET /temporal/entityMaps: Create EntityMap for Query Temporal Evolution of Entities (6.35.3.1)."""
    return await _created_temporal(exchange, *await request_of(exchange))


async def create_temporal_by_post(exchange: Exchange) -> Response:
    """POST /temporal/entityMaps: Create EntityMap for Query Temporal Evolution of Entities (6.35.3.2)."""
    return await _created_temporal(exchange, *await posted_request(exchange))


def _id(exchange: Exchange) -> str:
    return exchange.variable("entityMapId")


async def _created(exchange: Exchange, query: dict[str, Any], context: "ResolvedContext") -> Response:
    # A client that names a geometryProperty has to accept GeoJSON (5.14.4.4), but a map has no such form.
    media_type = exchange.accepted(ENTITY_TYPES)
    compiled, _ = compiled_query(exchange, query, context, media_type)
    seconds = lifetime(query.get("entityMapLifetime"))
    split = splits_entities(exchange.parameters, query)
    question = await entity_maps.entity_question(exchange.broker, exchange.tenant, compiled, split=split)
    entity_map = await entity_maps.create_entity_map(exchange.broker, exchange.tenant, question, seconds)
    return await _answer(exchange, entity_map, context, JSON if media_type == GEO_JSON else media_type)


async def _created_temporal(exchange: Exchange, query: dict[str, Any], context: "ResolvedContext") -> Response:
    media_type = exchange.accepted()
    request = compiled_request(exchange, query, context)
    seconds = lifetime(query.get("entityMapLifetime"))
    split = splits_entities(exchange.parameters, query)
    question = await evolution_question(exchange.broker, exchange.tenant, request, split=split)
    entity_map = await entity_maps.create_entity_map(exchange.broker, exchange.tenant, question, seconds)
    return await _answer(exchange, entity_map, context, media_type)


async def _answer(exchange: Exchange, entity_map: EntityMap, context: "ResolvedContext", media_type: str) -> Response:
    document = await entity_maps.entity_map_document(exchange.broker, exchange.tenant, entity_map)
    response = await exchange.answer(document, context, media_type, status=201)
    return with_map_header(response, entity_map.id)
