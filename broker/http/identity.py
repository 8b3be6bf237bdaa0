"""Resource info/sourceIdentity (6.33)."""

from broker.http.exchange import Exchange
from broker.http.message import Response
from broker.operations import identity


async def retrieve(exchange: Exchange) -> Response:
    """GET /info/sourceIdentity: Retrieve Context Source Identity Information (6.33.3.1)."""
    media_type, context = exchange.accepted(), await exchange.context()
    return await exchange.answer(identity.retrieve_identity(exchange.broker, exchange.tenant), context, media_type)
