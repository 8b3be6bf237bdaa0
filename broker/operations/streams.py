"""Streams: following the change log through the filters of a subscription. An extension, no operation of the standard.

A stream is described as a subscription is (5.2.12), so that it means the same, but nothing of it is stored.
"""

import uuid
from typing import TYPE_CHECKING, Final

import orjson

from broker.delivery.document import check_whole, parse_members, refuse_null
from broker.delivery.stream import Stream
from broker.delivery.subscription import Subscription, bind_terms, compile_subscription
from broker.model.entity import JsonObject
from broker.operations.broker import Broker

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext

_IDS: Final = uuid.UUID("2d1c8a3e-64f0-5b0e-8f52-0f8f0a4a9c57")
_NOWHERE: Final = "http://localhost/tsunagu/v1/stream"
"""Stands for the endpoint that a subscription must have: a stream's is the connection that its client opened."""


async def open_stream(
    broker: Broker, tenant: str, given: JsonObject, context: "ResolvedContext", position: int | None
) -> Stream:
    """A stream of what a subscription with these members would be notified of, behind a position of the log (None: its head).

    It must be given back to `broker.streams`. Raises BadRequestData, NonexistentTenant, TooManyStreams, StoreUnavailable.
    """
    subscription = await _subscription(broker, tenant, given, context)
    await broker.tenants.require(tenant)
    return await broker.streams.open(subscription, position)


async def _subscription(broker: Broker, tenant: str, given: JsonObject, context: "ResolvedContext") -> Subscription:
    """The filters compiled. Their id follows from them, so that a notification has the same id in each stream that shows it."""
    notification = dict(given.get("notification", {}))
    notification["endpoint"] = {**notification.get("endpoint", {}), "uri": _NOWHERE}
    given = {**given, "type": "Subscription", "notification": notification}
    refuse_null(given, "stream")
    # Only what this broker stores is in its log: with that said, neither entities nor attributes need be named (5.2.12).
    document = parse_members(given, context.names, broker.now()) | {"localOnly": True}
    check_whole(document)
    document = bind_terms(document, context.names)
    document["jsonldContext"] = await broker.contexts.link_for(context, tenant)
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()
    return compile_subscription(tenant, {**document, "id": uuid.uuid5(_IDS, text).urn, "since": 0})
