"""Resources subscriptions/ (6.10, 6.11)."""

from urllib.parse import quote

from broker.http.exchange import API_ROOT, Exchange, created, no_content
from broker.http.message import Response
from broker.http.paging import add_page_headers, page_links, requested_page
from broker.model.naming import check_uri
from broker.operations import subscriptions


async def create(exchange: Exchange) -> Response:
    """POST /subscriptions: Create Subscription (6.10.3.1)."""
    document, context = await exchange.document()
    answer = exchange.answers(_created)
    subscription_id = await subscriptions.create_subscription(exchange.broker, exchange.tenant, document, context)
    return answer(subscription_id)


def _created(subscription_id: str) -> Response:
    return created(f"{API_ROOT}/subscriptions/{quote(subscription_id, safe=':')}")


async def query(exchange: Exchange) -> Response:
    """GET /subscriptions: Query Subscriptions (6.10.3.2)."""
    media_type, context = exchange.accepted(), await exchange.context()
    options = exchange.parameters.options(frozenset({"sysAttrs"}))
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
    response = await exchange.answer(found, context, media_type)
    more = paging.offset + len(found) < total
    links = page_links(exchange.request.path, exchange.request.query, paging, more=more, media_type=media_type)
    add_page_headers(response.headers, links, total if paging.count else None)
    return response


async def retrieve(exchange: Exchange) -> Response:
    """GET /subscriptions/{subscriptionId}: Retrieve Subscription (6.11.3.1)."""
    media_type, context = exchange.accepted(), await exchange.context()
    options = exchange.parameters.options(frozenset({"sysAttrs"}))
    subscription_id = check_uri(exchange.variable("subscriptionId"), "subscriptionId")
    payload = await subscriptions.retrieve_subscription(
        exchange.broker, exchange.tenant, subscription_id, context.names, sys_attrs="sysAttrs" in options
    )
    return await exchange.answer(payload, context, media_type)


async def update(exchange: Exchange) -> Response:
    """PATCH /subscriptions/{subscriptionId}: Update Subscription (6.11.3.2)."""
    subscription_id = check_uri(exchange.variable("subscriptionId"), "subscriptionId")
    document, context = await exchange.document()
    exchange.answers(lambda _: no_content())
    await subscriptions.update_subscription(exchange.broker, exchange.tenant, subscription_id, document, context)
    return no_content()


async def delete(exchange: Exchange) -> Response:
    """DELETE /subscriptions/{subscriptionId}: Delete Subscription (6.11.3.3)."""
    subscription_id = check_uri(exchange.variable("subscriptionId"), "subscriptionId")
    await subscriptions.delete_subscription(exchange.broker, exchange.tenant, subscription_id)
    return no_content()
