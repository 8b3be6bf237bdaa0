"""What became of the notifications of a subscription: the ledger of its deliveries, replays, and dry runs.

No clause of the standard knows these: they are this broker's own, beside its API. A subscription's document (5.2.12) stays as
the standard has it.

All but the dry runs is told and done by the process that delivers for the subscription (broker.operations.errands), whichever
was asked.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from broker.delivery.course import Course
from broker.delivery.delivered import Delivered
from broker.delivery.explanation import explain, supposed_change
from broker.delivery.failure import Failure
from broker.delivery.matching import touches_of
from broker.delivery.payload import notification_id
from broker.delivery.subscription import Subscription, compile_subscription
from broker.delivery.undelivered import Undelivered
from broker.errors import BadRequestData, Conflict, ResourceNotFound
from broker.model.change import AttributeTrigger, Change
from broker.model.entity import JsonObject, Names
from broker.model.instants import canonical, parse_instant
from broker.model.naming import check_uri
from broker.operations.broker import Broker
from broker.operations.errands import HEED, Deed
from broker.operations.subscriptions import stored_subscription

State: TypeAlias = Literal["failed", "pending", "delivered"]
STATES: Final[tuple[State, ...]] = ("failed", "pending", "delivered")
"""In the order in which they are listed."""

_TRIGGERS: Final = ("attributeUpdated", "attributeCreated", "attributeDeleted")


async def list_deliveries(
    broker: Broker, tenant: str, subscription_id: str, states: frozenset[State], *, limit: int, offset: int
) -> tuple[JsonObject, int]:
    """The ledger of a subscription: a summary, and one page of the deliveries in these states; how many those are.

    Set aside ones first (the oldest first), then pending ones in order, then those that arrived (the newest first).
    Raises BadRequestData, ResourceNotFound, and StoreUnavailable where nobody delivers at the moment.
    """
    await stored_subscription(broker, tenant, subscription_id)
    given: JsonObject = {"states": sorted(states), "limit": limit, "offset": offset}
    answer = await broker.errands.ask(tenant, subscription_id, "list", given)
    return answer["found"], answer["total"]


async def _list(broker: Broker, tenant: str, subscription_id: str, given: JsonObject) -> JsonObject:
    states, limit, offset = given["states"], given["limit"], given["offset"]
    document, course = await _course(broker, tenant, subscription_id)
    key = tenant, subscription_id
    failed = broker.dispatcher.undelivered.of(key)
    pending = [] if course is None else list(course.pending.items())
    delivered = broker.dispatcher.carrier.delivered.of(key)
    chosen: list[Undelivered | tuple[int, str] | Delivered] = []
    chosen += failed if "failed" in states else []
    chosen += pending if "pending" in states else []
    chosen += delivered if "delivered" in states else []
    page = [await _shown(broker, course, each) for each in chosen[offset : offset + limit]]
    counts = {"failed": len(failed), "pending": len(pending), "delivered": len(delivered)}
    summary = await _summary(broker, document, course, tenant, counts)
    found = {"subscriptionId": subscription_id, "summary": summary, "deliveries": page}
    return {"found": found, "total": len(chosen)}


async def retrieve_delivery(broker: Broker, tenant: str, subscription_id: str, notification: str) -> JsonObject:
    """One notification as the ledger shows it. Raises BadRequestData, ResourceNotFound, StoreUnavailable."""
    await stored_subscription(broker, tenant, subscription_id)
    return await broker.errands.ask(tenant, subscription_id, "retrieve", {"notification": notification})


async def _retrieve(broker: Broker, tenant: str, subscription_id: str, given: JsonObject) -> JsonObject:
    notification = given["notification"]
    _, course = await _course(broker, tenant, subscription_id)
    key = tenant, subscription_id
    found = broker.dispatcher.undelivered.find(key, notification)
    if found is not None:
        return await _shown(broker, course, found)
    arrived = broker.dispatcher.carrier.delivered.find(key, notification)
    if arrived is not None:
        return await _shown(broker, course, arrived)
    if course is not None and course.subscription.throttling is None:
        for position, entity_id in course.pending.items():
            if notification_id(course.subscription, str(position)) == notification:
                return await _shown(broker, course, (position, entity_id))
    raise _no_notification(notification)


async def discard_delivery(broker: Broker, tenant: str, subscription_id: str, notification: str) -> None:
    """Forget a notification that was set aside. Raises BadRequestData, ResourceNotFound, StoreUnavailable."""
    await stored_subscription(broker, tenant, subscription_id)
    await broker.errands.ask(tenant, subscription_id, "discard", {"notification": notification})


async def _discard(broker: Broker, tenant: str, subscription_id: str, given: JsonObject) -> JsonObject:
    notification = given["notification"]
    if not await broker.dispatcher.undelivered.discard((tenant, subscription_id), notification):
        raise _no_notification(notification)
    return {}


async def replay_deliveries(broker: Broker, tenant: str, subscription_id: str, given: JsonObject) -> JsonObject:
    """Send notifications again: `notificationId`, or those of the window `from` ... `to` behind the position `after`.

    Raises BadRequestData, ResourceNotFound, Conflict, StoreUnavailable.
    """
    _only(given, {"notificationId", "from", "to", "after"})
    await stored_subscription(broker, tenant, subscription_id)
    return await broker.errands.ask(tenant, subscription_id, "replay", given)


async def _replay(broker: Broker, tenant: str, subscription_id: str, given: JsonObject) -> JsonObject:
    notification = given.get("notificationId")
    _, course = await _course(broker, tenant, subscription_id)
    if course is None:
        raise Conflict(f"the subscription {subscription_id} is not valid and sends nothing", instance=subscription_id)
    if notification is not None:
        if len(given) > 1:
            raise BadRequestData("notificationId: either one notification or a window from, to is replayed")
        failure = await broker.dispatcher.redelivery.one(course, check_uri(notification, "notificationId"))
        outcome: JsonObject = {"notificationId": notification, "delivered": failure is None}
        return outcome if failure is None else {**outcome, "failure": _failure(failure)}
    start = _instant(given, "from")
    end = _instant(given, "to") if "to" in given else broker.now()
    if end < start:
        raise BadRequestData("to: lies before from")
    run = await broker.dispatcher.redelivery.window(course, start, end, _position(given, "after", 0))
    return {
        "delivered": run.arrived,
        "failed": [{"notificationId": each, "failure": _failure(failure)} for each, failure in run.failed],
        "examinedChanges": run.examined,
        "logBeginsBehind": run.tail,
        **({} if run.after is None else {"next": {"from": start, "to": end, "after": run.after}}),
    }


async def explain_delivery(
    broker: Broker, tenant: str, subscription_id: str, given: JsonObject, names: Names
) -> JsonObject:
    """Whether and why a change would be notified: the one at a `position` of the log, or one of the entity `entityId` as it is
    now, of which `attributes` (else all) undergo the `trigger` (else attributeUpdated). Nothing is sent.

    Raises BadRequestData, ResourceNotFound.
    """
    _only(given, {"position", "entityId", "attributes", "trigger"})
    document = await stored_subscription(broker, tenant, subscription_id)
    subscription = compile_subscription(tenant, document)
    if "position" in given:
        if len(given) > 1:
            raise BadRequestData("position: says which change it is, the other members do not go with it")
        change = await _change(broker, tenant, _position(given, "position", 1))
    else:
        change = await _supposed(broker, tenant, given, names)
    wait = await _throttled_for(broker, subscription)
    notifies, conditions = await explain(broker.store, subscription, change, broker.now(), wait=wait)
    about: JsonObject = {
        "entityId": change.entity_id,
        "kind": change.kind,
        "at": change.at,
        "touched": [
            {"attribute": names.compact(touch.attribute), "trigger": touch.trigger}
            | ({} if touch.dataset_id is None else {"datasetId": touch.dataset_id})
            for touch in touches_of(change)
        ],
    }
    if change.sequence:
        about["position"] = change.sequence
    return {
        "notifies": notifies,
        "change": about,
        "conditions": [
            {"condition": each.subject, "given": each.given, "holds": each.holds, "detail": each.detail}
            for each in conditions
        ],
    }


async def _throttled_for(broker: Broker, subscription: Subscription) -> float:
    """Seconds for which a subscription is still throttled."""
    course = broker.dispatcher.course(subscription.tenant, subscription.id)
    if course is not None:
        return course.throttled_for(asyncio.get_running_loop().time())
    tally = await broker.dispatcher.tally(subscription.tenant, subscription.id, subscription.created_at)
    if subscription.throttling is None or tally.last_notification is None:
        return 0.0
    ago = (parse_instant(broker.now()) - parse_instant(tally.last_notification)).total_seconds()
    return max(0.0, subscription.throttling - ago)


async def _course(broker: Broker, tenant: str, subscription_id: str) -> tuple[JsonObject, Course | None]:
    """A subscription's stored document and its course. Raises BadRequestData, ResourceNotFound."""
    document = await stored_subscription(broker, tenant, subscription_id)
    return document, broker.dispatcher.course(tenant, subscription_id)


async def _summary(
    broker: Broker, document: JsonObject, course: Course | None, tenant: str, counts: Mapping[str, int]
) -> JsonObject:
    tally = await broker.dispatcher.tally(tenant, document["id"], document["createdAt"])
    subscription = compile_subscription(tenant, document)
    lag_changes, lag_seconds = await broker.dispatcher.lag(course)
    summary: JsonObject = {
        "status": subscription.status(broker.now()),
        **counts,
        "lag": {"changes": lag_changes, "seconds": lag_seconds},
        "timesSent": tally.times_sent,
        "timesFailed": tally.times_failed,
        "dropped": tally.dropped,
        "missed": [gap.shown() for gap in tally.missed],
        "deliveredSince": broker.dispatcher.since(tenant, document["id"]),
    }
    if course is not None and course.behind is not None:
        summary["pendingUnreadFrom"] = course.behind
    if tally.reason is not None:
        summary["lastFailureReason"] = tally.reason
    return summary


async def _shown(broker: Broker, course: Course | None, one: Undelivered | tuple[int, str] | Delivered) -> JsonObject:
    match one:
        case Undelivered():
            return {
                "state": "failed",
                "notificationId": one.notification_id,
                "entityIds": list(one.entities),
                "positions": list(one.positions),
                "changedAt": one.changed_at,
                "attempts": one.attempts,
                "setAsideAt": one.set_aside_at,
                "firstFailure": _failure(one.first),
                "lastFailure": _failure(one.last),
            }
        case Delivered():
            return {
                "state": "delivered",
                "notificationId": one.notification_id,
                "entityIds": list(one.entities),
                "entityCount": one.count,
                "positions": list(one.positions),
                "deliveredAt": one.at,
            }
    position, entity_id = one
    shown: JsonObject = {"state": "pending", "entityIds": [entity_id], "positions": [position], "attempts": 0}
    if course is None:
        return shown
    if course.subscription.throttling is None:  # else the notification is made at the end of the period
        shown["notificationId"] = notification_id(course.subscription, str(position))
    change = await broker.dispatcher.carrier.change_at(position)
    if change is not None:
        shown["changedAt"] = change.at
    shown["underWay"] = position in course.flying
    if position <= course.taken:
        stop = course.stop_of((position,))
        shown["attempts"] = stop.failures + shown["underWay"]
        if stop.first is not None and stop.last is not None:
            shown |= {"firstFailure": _failure(stop.first), "lastFailure": _failure(stop.last)}
    return shown


def _failure(failure: Failure) -> JsonObject:
    return failure.shown()


async def _change(broker: Broker, tenant: str, position: int) -> Change:
    found = await broker.store.changes(position - 1, 1)
    if not found or found[0].sequence != position or found[0].tenant != tenant:
        raise ResourceNotFound(f"there is no change of this tenant at position {position} of the log (any more)")
    return found[0]


async def _supposed(broker: Broker, tenant: str, given: JsonObject, names: Names) -> Change:
    if "entityId" not in given:
        raise BadRequestData("entityId: the entity, or the position of a change, is expected")
    entity_id = check_uri(given["entityId"], "entityId")
    attributes = given.get("attributes")
    if attributes is not None and (
        not isinstance(attributes, list) or not attributes or not all(type(name) is str and name for name in attributes)
    ):
        raise BadRequestData("attributes: a list of names of attributes is expected")
    trigger = given.get("trigger", _TRIGGERS[0])
    if trigger not in _TRIGGERS:
        raise BadRequestData(f"trigger: one of {', '.join(_TRIGGERS)} is expected")
    entity = (await broker.store.read([(tenant, entity_id)])).get((tenant, entity_id))
    if entity is None:
        raise ResourceNotFound(f"there is no entity {entity_id}", instance=entity_id)
    chosen = None if attributes is None else frozenset(names.expand(name) for name in attributes)
    return supposed_change(tenant, entity, chosen, cast(AttributeTrigger, trigger), broker.now())


def _only(given: JsonObject, members: set[str]) -> None:
    unknown = sorted(given.keys() - members)
    if unknown:
        raise BadRequestData(f"{unknown[0]}: not a member of this request (it has: {', '.join(sorted(members))})")


def _instant(given: JsonObject, member: str) -> str:
    value: Any = given.get(member)
    if not isinstance(value, str):
        raise BadRequestData(f"{member}: a DateTime is expected, or a notificationId instead of a window")
    try:
        return canonical(parse_instant(value))
    except ValueError:
        raise BadRequestData(f"{member}: not a DateTime: {value[:50]!r}") from None


def _position(given: JsonObject, member: str, least: int) -> int:
    value: Any = given.get(member, least)
    if type(value) is not int or not least <= value < 2**63:
        raise BadRequestData(f"{member}: a position of the change log is expected, an integer from {least} on")
    return value


def _no_notification(notification: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no such notification on record: {notification}", instance=notification)


async def _heed(broker: Broker, tenant: str, subscription_id: str, _: JsonObject) -> JsonObject:
    await broker.dispatcher.heed(tenant, subscription_id)
    return {}


DEEDS: Final[dict[str, Deed]] = {
    "list": _list,
    "retrieve": _retrieve,
    "discard": _discard,
    "replay": _replay,
    HEED: _heed,
}
"""What only the process can do that has the subscription."""
