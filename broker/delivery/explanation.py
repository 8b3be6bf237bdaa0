"""Whether and why a change would be notified: the conditions of 5.2.12 and 5.8.6 one by one, without sending anything.

It asks the same functions as matching does (broker.delivery.matching), each on its own, so that all conditions that do not
hold are told and not just the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from broker.delivery.linking import settle
from broker.delivery.matching import is_triggered, state_of_interest, touches_of
from broker.delivery.subscription import Subscription
from broker.model.change import AttributeTrigger, Change, Touch
from broker.model.entity import Entity, dataset_of
from broker.query.evaluate import matches_geo, matches_scope, matches_selector, satisfies
from broker.store.protocol import Store

Subject: TypeAlias = Literal[
    "status",
    "expiresAt",
    "since",
    "timeInterval",
    "entity",
    "entities",
    "watchedAttributes",
    "notificationTrigger",
    "q",
    "geoQ",
    "scopeQ",
    "throttling",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: a member of the subscription or `entity` (there is a state, which is not expired) and `since` (the
    subscription was there and active). `given`: whether the subscription has it at all; what is not given holds."""

    subject: Subject
    holds: bool
    detail: str
    given: bool = True


def supposed_change(
    tenant: str, entity: Entity, attributes: frozenset[str] | None, trigger: AttributeTrigger, at: str
) -> Change:
    """A change that nobody made: these attributes of an entity (None: all that it has) created, updated or deleted."""
    touched = tuple(
        Touch(name, dataset_of(instance), trigger)
        for name, instances in entity["attrs"].items()
        if attributes is None or name in attributes
        for instance in instances
    )
    return Change(tenant, entity["id"], "entityUpdated", at, touched, None, entity)


async def explain(
    store: Store, subscription: Subscription, change: Change, now: str, *, wait: float
) -> tuple[bool, list[Condition]]:
    """Whether a change is notified at `now`, and all conditions. A throttling period, of which `wait` seconds are left, only
    delays. A change without a position is one that is made now. Raises StoreUnavailable."""
    conditions = [*_of_the_subscription(subscription, change, now)]
    state = state_of_interest(change)
    conditions.append(
        Condition("entity", state is not None, "the entity is there" if state is not None else "the entity has expired")
    )
    if state is not None:
        conditions += [*_of_the_change(subscription, change), *_of_the_state(subscription, state)]
        conditions.append(await _q(store, subscription, change, state))
    notifies = all(condition.holds for condition in conditions)
    return notifies, [*conditions, _throttling(subscription, wait)]


def _of_the_subscription(subscription: Subscription, change: Change, now: str) -> Iterator[Condition]:
    status = subscription.status(now)
    yield Condition("status", status == "active", f"the subscription is {status}")
    expires = subscription.expires_at
    yield Condition("expiresAt", status != "expired", expires or "it does not expire", given=expires is not None)
    is_later = not change.sequence or change.sequence > subscription.since
    yield Condition(
        "since",
        is_later,
        f"changes are notified from position {subscription.since + 1} on, when it was created or became active",
    )
    interval = subscription.interval
    yield Condition(
        "timeInterval",
        interval is None,
        "each change is looked at" if interval is None else f"notified every {interval:g} s, and not of changes",
        given=interval is not None,
    )


def _of_the_change(subscription: Subscription, change: Change) -> Iterator[Condition]:
    touches = touches_of(change)
    touched = sorted({touch.attribute for touch in touches})
    watched = subscription.watched
    is_watched = watched is None or any(name in watched for name in touched)
    yield Condition(
        "watchedAttributes",
        is_watched,
        f"touched: {', '.join(touched) or 'no attribute'}; watched: {', '.join(sorted(watched or ())) or 'all'}",
        given=watched is not None,
    )
    kinds = sorted({change.kind, *(touch.trigger for touch in touches)})
    triggers = subscription.triggers
    asked_for = is_triggered(subscription, change) if is_watched else bool(triggers & set(kinds))
    yield Condition(
        "notificationTrigger", asked_for, f"happened: {', '.join(kinds)}; asked for: {', '.join(sorted(triggers))}"
    )


def _of_the_state(subscription: Subscription, state: Entity) -> Iterator[Condition]:
    query = subscription.query
    chosen = not query.selectors or any(matches_selector(selector, state) for selector in query.selectors)
    yield _plain("entities", chosen, bool(query.selectors), "id, idPattern and type")
    geo = query.geo
    yield _plain("geoQ", geo is None or matches_geo(geo, state), geo is not None, "the geo-query")
    scope = query.scope
    yield _plain(
        "scopeQ", scope is None or matches_scope(scope, state.get("scope", ())), scope is not None, "the scope query"
    )


async def _q(store: Store, subscription: Subscription, change: Change, state: Entity) -> Condition:
    q = subscription.query.q
    if q is None:
        return _plain("q", True, False, "the query")
    if subscription.linked_q is not None:
        q = await settle(store, subscription.tenant, subscription.linked_q, state, change.at)
    return _plain("q", satisfies(q, state), True, "the query")


def _plain(subject: Subject, holds: bool, given: bool, what: str) -> Condition:
    if not given:
        return Condition(subject, True, "not given", given=False)
    return Condition(subject, holds, f"{what} {'matches' if holds else 'does not match'} the entity", given=True)


def _throttling(subscription: Subscription, wait: float) -> Condition:
    if subscription.throttling is None:
        return Condition("throttling", True, "not given", given=False)
    if wait <= 0:
        return Condition("throttling", True, "no period is under way")
    return Condition("throttling", False, f"delayed, {wait:.1f} s of the period are left")
