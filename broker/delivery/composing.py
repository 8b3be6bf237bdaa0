"""Composes notifications (5.3.1, 5.8.6): from states of entities to a message, with its @context and the linked entities."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.delivery.payload import Message, make_message
from broker.delivery.subscription import Subscription
from broker.model.entity import Entity
from broker.store.linked import linked_entities
from broker.store.protocol import Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary


async def compose(
    store: Store,
    contexts: "ContextLibrary",
    subscription: Subscription,
    entities: Sequence[Entity],
    *,
    occasion: str,
    now: str,
) -> Message:
    """The notification of these entities. Raises StoreUnavailable, and what resolving an @context raises."""
    context = await contexts.resolve(subscription.context)
    linked: dict[str, Entity] = {}
    if subscription.view.join is not None:
        linked = await linked_entities(store, subscription.tenant, entities, subscription.view, now)
    return make_message(
        subscription,
        entities,
        linked,
        context.names,
        context.payload,
        subscription.context,
        occasion=occasion,
        now=now,
    )
