"""Resources types/ and attributes/ (6.25 to 6.28): what is in the broker."""

from collections.abc import Awaitable, Callable
from typing import Any

from broker.http.exchange import Exchange, local_scope
from broker.http.message import Response
from broker.operations import discovery


async def list_types(exchange: Exchange) -> Response:
    """GET /types (6.25.3.1)."""
    details = exchange.parameters.flag("details")
    return await _answer(exchange, discovery.type_details if details else discovery.type_list)


async def retrieve_type(exchange: Exchange) -> Response:
    """GET /types/{type} (6.26.3.1)."""
    return await _answer(exchange, discovery.type_information, exchange.variable("type"))


async def list_attributes(exchange: Exchange) -> Response:
    """GET /attributes (6.27.3.1)."""
    details = exchange.parameters.flag("details")
    return await _answer(exchange, discovery.attribute_details if details else discovery.attribute_list)


async def retrieve_attribute(exchange: Exchange) -> Response:
    """GET /attributes/{attrId} (6.28.3.1)."""
    return await _answer(exchange, discovery.attribute_information, exchange.variable("attrId"))


async def _answer(exchange: Exchange, operation: Callable[..., Awaitable[Any]], *name: str) -> Response:
    """What the operation finds, of everything or of the type or attribute with this name."""
    local_scope(exchange.parameters)
    media_type, context = exchange.accepted(), await exchange.context()
    payload = await operation(exchange.broker, exchange.tenant, *name, context.names)
    return await exchange.answer(payload, context, media_type)
