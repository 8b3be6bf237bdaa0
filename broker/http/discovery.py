"""Resources types/ and attributes/ (6.25 to 6.28): what is in the broker."""

from broker.http.exchange import Exchange, local_scope
from broker.http.message import Response
from broker.operations import discovery


async def list_types(exchange: Exchange) -> Response:
    """GET /types (6.25.3.1)."""
    local_scope(exchange.parameters)
    media_type, context = exchange.accepted(), await exchange.context()
    operation = discovery.type_details if exchange.parameters.flag("details") else discovery.type_list
    return await exchange.answer(await operation(exchange.broker, exchange.tenant, context.names), context, media_type)


async def retrieve_type(exchange: Exchange) -> Response:
    """GET /types/{type} (6.26.3.1)."""
    local_scope(exchange.parameters)
    media_type, context = exchange.accepted(), await exchange.context()
    name = exchange.variable("type")
    payload = await discovery.type_information(exchange.broker, exchange.tenant, name, context.names)
    return await exchange.answer(payload, context, media_type)


async def list_attributes(exchange: Exchange) -> Response:
    """GET /attributes (6.27.3.1)."""
    local_scope(exchange.parameters)
    media_type, context = exchange.accepted(), await exchange.context()
    operation = discovery.attribute_details if exchange.parameters.flag("details") else discovery.attribute_list
    return await exchange.answer(await operation(exchange.broker, exchange.tenant, context.names), context, media_type)


async def retrieve_attribute(exchange: Exchange) -> Response:
    """GET /attributes/{attrId} (6.28.3.1)."""
    local_scope(exchange.parameters)
    media_type, context = exchange.accepted(), await exchange.context()
    name = exchange.variable("attrId")
    payload = await discovery.attribute_information(exchange.broker, exchange.tenant, name, context.names)
    return await exchange.answer(payload, context, media_type)
