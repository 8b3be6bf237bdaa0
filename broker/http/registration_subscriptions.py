"""Resources csourceSubscriptions/ (6.12, 6.13)."""

from typing import Final
from urllib.parse import quote

from broker.http.exchange import API_ROOT, Exchange, created, no_content
from broker.http.message import Response
from broker.http.paging import requested_page
from broker.http.registrations import answer_page
from broker.model.naming import check_uri
from broker.operations import registration_subscriptions as subscriptions

_OPTIONS: Final = frozenset({"sysAttrs"})


async def create(exchange: Exchange) -> Response:
    """POST /csourceSubscriptions: Create Context Source Registration Subscription (6.12.3.1)."""
    document, context = await exchange.document()
    answer = exchange.answers(_created)
    subscription_id = await subscriptions.create_subscription(exchange.broker, exchange.tenant, document, context)
    return answer(subscription_id)


def _created(subscription_id: str) -> Response:
    return created(f"{API_ROOT}/csourceSubscriptions/{quote(subscription_id, safe=':')}")


async def query(exchange: Exchange) -> Response:
    """GET /csourceSubscriptions: Query Context Source Registration Subscriptions (6.12.3.2)."""
    media_type, context = exchange.accepted(), await exchange.context()
    options = exchange.parameters.options(_OPTIONS)
    sizes = exchange.page_sizes
    paging = requested_page(exchange.parameters, default=sizes.default, maximum=sizes.maximum)
    found, total = await subscriptions.query_subscriptions(
        exchange.broker,
        exchange.tenant,
        context.names,
        limit=paging.limit,
        offset=paging.offset,
        sys_attrs="sysAttrs" in options,
    )
    return await answer_page(exchange, found, total, paging, context, media_type)


async def retrieve(exchange: Exchange) -> Response:
    """GET /csourceSubscriptions/{subscriptionId}: Retrieve Context Source Registration Subscription (6.13.3.1)."""
    media_type, context = exchange.accepted(), await exchange.context()
    options = exchange.parameters.options(_OPTIONS)
    payload = await subscriptions.retrieve_subscription(
        exchange.broker, exchange.tenant, _id(exchange), context.names, sys_attrs="sysAttrs" in options
    )
    return await exchange.answer(payload, context, media_type)


async def update(exchange: Exchange) -> Response:
    """PATCH /csourceSubscriptions/{subscriptionId}: Update Context Source Registration Subscription (6.13.3.2)."""
    subscription_id = _id(exchange)
    document, context = await exchange.document()
    exchange.answers(lambda _: no_content())
    await subscriptions.update_subscription(exchange.broker, exchange.tenant, subscription_id, document, context)
    return no_content()


async def delete(exchange: Exchange) -> Response:
    """DELETE /csourceSubscriptions/{subscriptionId}: Delete Context Source Registration Subscription (6.13.3.3)."""
    await subscriptions.delete_subscription(exchange.broker, exchange.tenant, _id(exchange))
    return no_content()


def _id(exchange: Exchange) -> str:
    return check_uri(exchange.variable("subscriptionId"), "subscriptionId")
