"""What is on record of one subscription's deliveries: its document of kind `delivery`, written by the ledger and read back when
its share is taken over."""

import logging
from typing import Final

from broker.delivery.course import Course
from broker.delivery.subscription import SubscriptionKey, compile_subscription
from broker.delivery.tally import Tally
from broker.errors import NgsiLdError
from broker.model.entity import JsonObject
from broker.store.protocol import Store

DOCUMENTS: Final = "delivery"

_LOG: Final = logging.getLogger(__name__)


def lag_of(course: Course) -> JsonObject:
    """What a course is owed, for its record: pending positions that may have been sent, and from where to match again."""
    pending: list[tuple[int, str]] = []
    for position, entity_id in course.pending.items():
        if position > course.taken:
            return {"pending": pending, "behind": position}
        pending.append((position, entity_id))
    return {"pending": pending, "behind": course.behind}


def stored_course(course: Course, lag: JsonObject | None, head: int) -> JsonObject:
    """A course as its document; with `lag` also what it is owed, complete up to position `head`."""
    document = course.tally.stored() | {"of": course.subscription.created_at, "since": course.subscription.since}
    return document if lag is None else {**document, "lag": {**lag, "through": head}}


async def restored_tally(store: Store, key: SubscriptionKey, created_at: str | None = None) -> Tally:
    """The counts of a subscription (made at this instant), as they were saved last."""
    document = await store.get_document(DOCUMENTS, *key)
    return Tally() if document is None or not _is_of(document, created_at) else Tally.restored(document)


def is_taken_up(course: Course, state: JsonObject | None) -> bool:
    """Whether a subscription has a record, as it is now: made by somebody who matched what came since it is so."""
    if state is None:
        return False
    subscription = course.subscription
    return _is_of(state, subscription.created_at) and state.get("since", subscription.since) == subscription.since


def _is_of(state: JsonObject, created_at: str | None) -> bool:
    """Whether a record is that of this subscription, and not of a deleted one that had the same id."""
    return created_at is None or state.get("of", created_at) == created_at


def restored_course(tenant: str, document: JsonObject, state: JsonObject, now: str) -> Course | None:
    """A stored subscription as it is taken over: what its record says is owed, is owed.

    None where the subscription is not valid, as may be if a later version reads subscriptions more strictly: the others
    must work all the same.
    """
    try:
        subscription = compile_subscription(tenant, document)
    except NgsiLdError as error:
        _LOG.error("a stored subscription is not valid", extra={"id": document["id"], "detail": error.detail})
        return None
    if not _is_of(state, subscription.created_at):
        state = {}
    lag = state.get("lag", {})
    course = Course(subscription, Tally.restored(state), max(subscription.since, lag.get("through", 0)))
    if subscription.status(now) != "active":
        course.closed = True
        return course
    course.recall({position: entity for position, entity in lag.get("pending", ()) if position > subscription.since})
    if lag.get("behind") is not None:
        course.behind = max(lag["behind"], subscription.since + 1)
        course.through = course.behind - 1
    return course
