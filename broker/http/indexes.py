"""Resource /tsunagu/v1/indexes: which values are indexed, and how much that is used. Our own (docs/queries.md)."""

from broker.http.exchange import Exchange, json_answer
from broker.http.message import Response
from broker.http.negotiation import JSON
from broker.operations.indexes import list_indexes


async def retrieve(exchange: Exchange) -> Response:
    """GET /tsunagu/v1/indexes: the indexes of values that queries in the tenant of the request are led by."""
    exchange.accepted((JSON,))
    return json_answer({"indexes": await list_indexes(exchange.broker, exchange.tenant)})
