"""What is owed is carried to its receiver: changes read back from the log, a notification composed, and sent (5.8.6).

A notification that its course gives up is set aside: it is on record in the store before its positions count as done.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from broker.delivery.attempt import AttemptFailed, send
from broker.delivery.composing import compose
from broker.delivery.course import Course
from broker.delivery.delivered import LastDelivered
from broker.delivery.failure import Failure
from broker.delivery.gap import Gap
from broker.delivery.matching import is_match, state_of_interest
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.payload import Message, changed_entity, notification_id
from broker.delivery.share import ShareLost
from broker.delivery.subscription import Subscription
from broker.delivery.undelivered import Undelivered, UndeliveredStore
from broker.egress.http import OutboundHttp
from broker.errors import NgsiLdError, StoreUnavailable
from broker.model.change import Change
from broker.model.entity import Entity
from broker.query.ast import EntityQuery
from broker.store.linked import resolve_linked
from broker.store.protocol import Page, Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

RECENT: Final = 512
"""Changes that are kept at hand because they are about to be sent."""
PERIOD_PAGE: Final = 1_000
"""Entities in one periodic notification; a period with more of them is told of in several."""

_LOG: Final = logging.getLogger(__name__)


class RecentChanges:
    """The changes that were matched last, by position, so that most deliveries need not read them again."""

    def __init__(self) -> None:
        self._changes: OrderedDict[int, Change] = OrderedDict()

    def put(self, change: Change) -> None:
        """Keep a change, and forget the oldest one if there are too many."""
        self._changes[change.sequence] = change
        if len(self._changes) > RECENT:
            self._changes.popitem(last=False)

    def get(self, position: int) -> Change | None:
        """The change at a position, if it is kept."""
        return self._changes.get(position)


class Carrier:
    """Composes and sends. `report(course, reached)` is called after each attempt that was not cancelled, `may_send(course)`
    before each: without its consent nothing goes out, as another process may have the subscription by then."""

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
        report: Callable[[Course, bool], None],
        may_send: Callable[[Course], bool],
        undelivered: UndeliveredStore,
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._http = http
        self._mqtt = mqtt
        self._now = now
        self._report = report
        self._may_send = may_send
        self._undelivered = undelivered
        self.recent = RecentChanges()
        self.delivered = LastDelivered()

    async def carry(self, course: Course, positions: tuple[int, ...]) -> None:
        """Deliver the notification for these positions, and tell course and tally what came of it."""
        failed: AttemptFailed | None = None
        sent = True
        try:
            if course.subscription.interval is None:
                sent = await self._carry_changes(course, positions)
            else:
                await self._carry_period(course)
        except asyncio.CancelledError:
            course.released(positions)
            raise
        except ShareLost:
            course.released(positions)
            return
        except Exception as error:  # noqa: BLE001 - a fault in one notification must not end the deliveries of a receiver
            failed = _failed_with(error, course)
        if course.closed:
            return
        if failed is None:
            course.delivered(positions, sent=sent)
        else:
            failure = failed.at(self._now())
            course.tally.failed(failure.at, failure.detail)
            is_given_up = course.failed(
                positions,
                asyncio.get_running_loop().time(),
                by_message=failed.by_message,
                unanswered=failed.unanswered,
                failure=failure,
            )
            if is_given_up:
                await self._set_aside(course, positions, failure)
        self._report(course, failed is None)

    async def send_again(self, course: Course, changes: Sequence[Change], notification: str) -> Failure | None:
        """Send a notification of these changes once more, now, whatever its course has to wait for; what went wrong, if it did.

        One that was set aside is so no longer when it arrives. Raises ShareLost.
        """
        failure: Failure | None = None
        subscription = course.subscription
        try:
            entities = [changed_entity(subscription, change) for change in changes]
            positions = tuple(change.sequence for change in changes)
            message = await self._compose(subscription, entities, occasion_of(positions))
            message.body["id"] = notification
            await self._attempt(course, message, positions, entities)
        except ShareLost:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            failed = _failed_with(error, course)
            failure = failed.at(self._now())
            course.tally.failed(failure.at, failure.detail)
        else:
            for entity in entities:
                course.refused.pop(entity["id"], None)
            await self._take_back(subscription, notification)
        self._report(course, failure is None)
        return failure

    async def _set_aside(self, course: Course, positions: tuple[int, ...], failure: Failure) -> None:
        """Put a notification that was given up on record, and only then let the course go on without it."""
        try:
            subscription = course.subscription
            found = [await self.change_at(position) for position in positions]
            changes = [change for change in found if change is not None]
            if changes:
                stop = course.stop_of(positions)
                record = Undelivered(
                    tenant=subscription.tenant,
                    subscription_id=subscription.id,
                    notification_id=notification_id(subscription, occasion_of(positions)),
                    positions=positions,
                    entities=tuple(dict.fromkeys(change.entity_id for change in changes)),
                    changed_at=changes[-1].at,
                    attempts=stop.failures,
                    first=stop.first or failure,
                    last=failure,
                    set_aside_at=failure.at,
                    of=subscription.created_at,
                )
                await self._undelivered.keep(record, changes)
                _LOG.info(
                    "a notification is set aside",
                    extra={"subscription": subscription.id, "notification": record.notification_id},
                )
        except NgsiLdError as error:  # it is tried again, and set aside when the store is there again
            _LOG.warning("a notification cannot be set aside now", extra={"detail": error.detail})
            course.released(positions)
        except BaseException:
            course.released(positions)
            raise
        else:
            course.set_aside(positions)

    async def _carry_changes(self, course: Course, positions: tuple[int, ...]) -> bool:
        """Notify changes: one of an unthrottled subscription, the last ones of several entities of a throttled one.

        Whether there was anything to send.
        """
        subscription = course.subscription
        entities: list[Entity] = []
        for position in positions:
            change = await self.change_at(position)
            if change is None:
                self._tell_lost(course, position)
            elif position > course.unsure or await is_match(
                self._store, subscription, change, state_of_interest(change)
            ):
                entities.append(changed_entity(subscription, change))
        if not entities:
            return False
        message = await self._compose(subscription, entities, occasion_of(positions))
        await self._attempt(course, message, positions, entities)
        await self._take_back(subscription, message.body["id"])
        return True

    async def _take_back(self, subscription: Subscription, notification: str) -> None:
        """A notification arrived: it is on record as undelivered if the process died between setting it aside and noting that."""
        try:
            await self._undelivered.discard(subscription.key, notification)
        except StoreUnavailable as error:
            _LOG.warning("a notification that arrived stays set aside", extra={"detail": error.detail})

    async def _carry_period(self, course: Course) -> None:
        """Notify all entities that match now (5.8.6, timeInterval). Without any there is no notification."""
        subscription, now = course.subscription, self._now()
        query = EntityQuery(
            selectors=subscription.query.selectors,
            q=subscription.query.q,
            geo=subscription.query.geo,
            scope=subscription.query.scope,
            now=now,
        )
        query = await resolve_linked(self._store, subscription.tenant, query)
        after: str | None = None
        while True:
            window = await self._store.query(subscription.tenant, query, Page(PERIOD_PAGE, after=after))
            if window.entities:
                after = window.entities[-1]["id"]
                message = await self._compose(subscription, window.entities, f"{now} {after}")
                await self._attempt(course, message, (), window.entities)
            if not window.more:
                return

    async def _compose(self, subscription: Subscription, entities: list[Entity], occasion: str) -> Message:
        return await compose(self._store, self._contexts, subscription, entities, occasion=occasion, now=self._now())

    async def _attempt(
        self, course: Course, message: Message, positions: tuple[int, ...], entities: Sequence[Entity]
    ) -> None:
        """Send a message once, and note what came of it. Raises AttemptFailed, and ShareLost if it is not for this process to
        send it."""
        if not self._may_send(course):
            subscription_id = course.subscription.id
            raise ShareLost(f"the deliveries of {subscription_id} have gone to another process: try again")
        course.tally.sent(self._now())
        await send(self._http, self._mqtt, course.subscription.endpoint, message)
        now = self._now()
        course.tally.succeeded(now)
        ids = [entity["id"] for entity in entities]
        self.delivered.note(course.subscription.key, message.body["id"], positions, ids, now)

    async def change_at(self, position: int) -> Change | None:
        """The change at a position of the log, None if it was trimmed away. Raises StoreUnavailable where the log ends before it:
        a server that was elected a moment ago may not show all that it has."""
        known = self.recent.get(position)
        if known is not None:
            return known
        found = await self._store.changes(position - 1, 1)
        if found and found[0].sequence == position:
            return found[0]
        if position > await self._store.tail():
            raise StoreUnavailable(f"the log cannot be read up to {position} now")
        return None

    def _tell_lost(self, course: Course, position: int) -> None:
        """A change that was owed is gone from the log, because its retention ended: said loudly, and counted."""
        _LOG.error(
            "an undelivered change was trimmed from the log",
            extra={"subscription": course.subscription.id, "tenant": course.subscription.tenant, "position": position},
        )
        course.tally.failed(self._now(), "the change was trimmed from the log before it could be delivered")
        course.tally.miss(Gap(position - 1, position, owed=1))


def _failed_with(error: Exception, course: Course) -> AttemptFailed:
    """What went wrong with an attempt, whatever it was."""
    if isinstance(error, AttemptFailed):
        return error
    if isinstance(error, NgsiLdError):  # the @context cannot be had, or the store cannot be read
        return AttemptFailed(f"not composed: {error.detail}", kind="unavailable")
    _LOG.error("a notification cannot be composed", extra={"subscription": course.subscription.id}, exc_info=error)
    return AttemptFailed(f"not composed: {type(error).__name__}", by_message=True)


def occasion_of(positions: tuple[int, ...]) -> str:
    """What the id of a notification of changes is made of (broker.delivery.payload)."""
    return ",".join(map(str, positions))
