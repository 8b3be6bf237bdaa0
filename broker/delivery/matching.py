"""Which subscriptions a change concerns (5.2.12, 5.8.6): an index that narrows, then the exact rules.

The index keeps every active subscription under keys such that any change it may match has at least one of them, and as few
changes as possible have them: entity ids first, then type with watched attribute, type, watched attribute, and last `any`.
Under one key, subscriptions are told apart by their q, as far as a sieve can (broker.query.sieve).
"""

import logging
from collections.abc import Iterator
from typing import Final, TypeAlias

from broker.delivery.linking import settle
from broker.delivery.subscription import Subscription, SubscriptionKey
from broker.delivery.tally import Tally
from broker.errors import StoreUnavailable
from broker.model.change import AttributeTrigger, Change, Touch
from broker.model.entity import Entity, dataset_of
from broker.model.expiry import without_expired
from broker.query.ast import EntitySelector
from broker.query.evaluate import satisfies
from broker.query.sieve import Sieve
from broker.store.protocol import Store

IndexKey: TypeAlias = tuple[str, ...]

_ANY: Final = "any"
_LOG: Final = logging.getLogger(__name__)


class SubscriptionIndex:
    """The active subscriptions of all tenants, found by what a change touches."""

    def __init__(self) -> None:
        self._by_key: dict[IndexKey, Sieve[SubscriptionKey, Subscription]] = {}
        self._subscriptions: dict[SubscriptionKey, Subscription] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    def put(self, subscription: Subscription) -> None:
        """Add a subscription, or replace the one with its key."""
        self.remove(subscription.key)
        self._subscriptions[subscription.key] = subscription
        for index_key in index_keys(subscription):
            sieve = self._by_key.get(index_key)
            if sieve is None:
                sieve = self._by_key[index_key] = Sieve()
            sieve.put(subscription.key, subscription, subscription.query.q)

    def remove(self, key: SubscriptionKey) -> None:
        """Forget a subscription, if it is there."""
        subscription = self._subscriptions.pop(key, None)
        if subscription is None:
            return
        for index_key in index_keys(subscription):
            sieve = self._by_key[index_key]
            sieve.remove(key, subscription.query.q)
            if not sieve:
                del self._by_key[index_key]

    def candidates(self, change: Change) -> list[Subscription]:
        """The subscriptions that may match a change: all that do, and few others."""
        found: dict[SubscriptionKey, Subscription] = {}
        state = change.before if change.after is None else change.after
        if state is None:
            return []
        for key in change_keys(change):
            sieve = self._by_key.get(key)
            if sieve is not None:
                found.update(sieve.find(state))
        return list(found.values())


def index_keys(subscription: Subscription) -> set[IndexKey]:
    """The keys under which a subscription stands in the index."""
    selectors = subscription.query.selectors or (EntitySelector(),)
    return {key for selector in selectors for key in _selector_keys(subscription, selector)}


def _selector_keys(subscription: Subscription, selector: EntitySelector) -> Iterator[IndexKey]:
    tenant, watched = subscription.tenant, subscription.watched
    if selector.ids is not None:
        for entity_id in selector.ids:
            yield tenant, "id", entity_id
    elif selector.types is not None:
        for conjunction in selector.types.alternatives:
            if watched is None:
                yield tenant, "type", conjunction[0]
            else:
                for attribute in watched:
                    yield tenant, "type", conjunction[0], attribute
    elif watched is not None:
        for attribute in watched:
            yield tenant, "attribute", attribute
    else:
        yield tenant, _ANY


def change_keys(change: Change) -> Iterator[IndexKey]:
    """All keys under which a subscription that matches this change can stand."""
    tenant, state = change.tenant, change.before if change.after is None else change.after
    yield tenant, _ANY
    yield tenant, "id", change.entity_id
    attributes = {touch.attribute for touch in touches_of(change)}
    for attribute in attributes:
        yield tenant, "attribute", attribute
    for entity_type in () if state is None else state["type"]:
        yield tenant, "type", entity_type
        for attribute in attributes:
            yield tenant, "type", entity_type, attribute


def touches_of(change: Change) -> tuple[Touch, ...]:
    """What a change touched. The creation and the deletion of an entity create and delete all its attributes."""
    if change.kind == "entityCreated" and change.after is not None:
        return tuple(_all_touched(change.after, "attributeCreated"))
    if change.kind == "entityDeleted" and change.before is not None:
        return tuple(_all_touched(change.before, "attributeDeleted"))
    return change.touched


def _all_touched(entity: Entity, trigger: AttributeTrigger) -> Iterator[Touch]:
    for attribute, instances in entity["attrs"].items():
        for instance in instances:
            yield Touch(attribute, dataset_of(instance), trigger)


def is_triggered(subscription: Subscription, change: Change) -> bool:
    """Whether the kind of a change is one that the subscription asks for, in an attribute that it watches (5.2.12).

    An entity's creation and deletion are its attributes' creations and deletions as well; a subscription that watches
    attributes is told of a creation or a deletion only if one of them was part of the entity.
    """
    triggers, watched = subscription.triggers, subscription.watched
    if change.kind in triggers and watched is None:
        return True
    is_kind = change.kind in triggers
    for touch in touches_of(change):  # no generator: it would take as long as all the rest, for each candidate
        if (watched is None or touch.attribute in watched) and (is_kind or touch.trigger in triggers):
            return True
    return False


def state_of_interest(change: Change) -> Entity | None:
    """The state that a subscription's conditions are about: after the change, for a deletion before it (5.8.6).

    None if the entity had expired by then (4.22).
    """
    if change.after is None:
        return change.before
    return without_expired(change.after, change.at)


async def is_match(store: Store, subscription: Subscription, change: Change, state: Entity | None) -> bool:
    """Whether a change must be notified: triggered, and the entity meets selectors, q, geoQ and scopeQ (5.8.6).

    `state` is the change's `state_of_interest`, which many subscriptions share.
    """
    if state is None or not is_triggered(subscription, change) or not subscription.test(state):
        return False
    if subscription.linked_q is None:
        return True
    return satisfies(await settle(store, subscription.tenant, subscription.linked_q, state, change.at), state)


async def is_match_or_fault(
    store: Store, subscription: Subscription, change: Change, state: Entity | None, tally: Tally
) -> bool:
    """The same for unattended matching: what goes wrong with one subscription is noted in its tally and ends nothing else.

    Raises StoreUnavailable only.
    """
    try:
        return await is_match(store, subscription, change, state)
    except StoreUnavailable:
        raise
    except Exception as fault:  # noqa: BLE001 - one subscription must not stop the matching of all others
        _LOG.exception(
            "a change cannot be matched", extra={"subscription": subscription.id, "entity": change.entity_id}
        )
        tally.failed(change.at, f"not matched: {type(fault).__name__}")
        return False
