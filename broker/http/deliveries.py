"""Resources /tsunagu/v1/subscriptions/{subscriptionId}/deliveries: this broker's own, not the standard's (docs/deliveries.md).

Bodies and answers are plain JSON. An @context matters in one place only: the names of attributes in a dry run.
"""

from typing import cast

from broker.errors import InvalidRequest
from broker.http.documents import json_object
from broker.http.exchange import Exchange, json_answer, no_content
from broker.http.message import Response
from broker.http.negotiation import JSON
from broker.http.paging import add_page_headers, page_links, requested_page
from broker.model.naming import check_uri
from broker.operations import deliveries
from broker.operations.deliveries import STATES, State


async def query(exchange: Exchange) -> Response:
    """GET .../deliveries: the ledger of a subscription."""
    exchange.accepted((JSON,))
    sizes = exchange.page_sizes
    paging = requested_page(exchange.parameters, default=sizes.default, maximum=sizes.maximum)
    states = exchange.parameters.names("state") or list(STATES)
    for state in states:
        if state not in STATES:
            raise InvalidRequest(f"state={state} is not one of {', '.join(STATES)}")
    found, total = await deliveries.list_deliveries(
        exchange.broker,
        exchange.tenant,
        _subscription(exchange),
        frozenset(cast(list[State], states)),
        limit=paging.limit,
        offset=paging.offset,
    )
    response = json_answer(found)
    more = paging.offset + len(found["deliveries"]) < total
    links = page_links(exchange.request.path, exchange.request.query, paging, more=more, media_type=JSON)
    add_page_headers(response.headers, links, total if paging.count else None)
    return response


async def retrieve(exchange: Exchange) -> Response:
    """GET .../deliveries/{notificationId}: one notification."""
    exchange.accepted((JSON,))
    return json_answer(
        await deliveries.retrieve_delivery(
            exchange.broker, exchange.tenant, _subscription(exchange), exchange.variable("notificationId")
        )
    )


async def discard(exchange: Exchange) -> Response:
    """DELETE .../deliveries/{notificationId}: forget one that was set aside."""
    await deliveries.discard_delivery(
        exchange.broker, exchange.tenant, _subscription(exchange), exchange.variable("notificationId")
    )
    return no_content()


async def replay(exchange: Exchange) -> Response:
    """POST .../deliveries/replay: send one notification, or those of a window of time, again."""
    exchange.accepted((JSON,))
    given = json_object(exchange.json()[0])
    return json_answer(
        await deliveries.replay_deliveries(exchange.broker, exchange.tenant, _subscription(exchange), given)
    )


async def explain(exchange: Exchange) -> Response:
    """POST .../deliveries/explain: whether and why a change would be notified."""
    exchange.accepted((JSON,))
    given, context = await exchange.document()
    return json_answer(
        await deliveries.explain_delivery(
            exchange.broker, exchange.tenant, _subscription(exchange), given, context.names
        )
    )


def _subscription(exchange: Exchange) -> str:
    return check_uri(exchange.variable("subscriptionId"), "subscriptionId")
