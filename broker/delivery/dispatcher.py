"""The dispatcher: from the change log to the receivers of notifications (5.8.6, design §7).

A matcher reads the log in order and hands positions to the courses of the subscriptions that a change concerns; lanes send
what courses owe. Writers never wait for any of this. How nothing is lost is told in broker.delivery.ledger, how a receiver
that hangs harms nobody else in broker.delivery.lane, and what happens after a failure in broker.delivery.course.

Processes on one store have shares of the subscriptions (broker.delivery.tenure, broker.delivery.handover). What happens to a
subscription through one process takes effect in the one that has it at once, if it is the same; else that is told before the
client is answered (broker.operations.errands), or hears of it by itself.

A 2xx status is success: 5.8.6 names 200, but receivers rightly answer 201, 202 or 204.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from broker import metrics
from broker.delivery.background import watched
from broker.delivery.books import Books
from broker.delivery.carrier import Carrier
from broker.delivery.course import Course
from broker.delivery.courses import Courses
from broker.delivery.gaps import OVERTAKEN, Gaps
from broker.delivery.handover import Handover
from broker.delivery.lag import lag_behind
from broker.delivery.matcher import Matcher
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.record import restored_tally
from broker.delivery.redelivery import Redelivery
from broker.delivery.share import SHARES, Share, ShareLost, share_of
from broker.delivery.subscription import SubscriptionKey, compile_subscription, revision_of
from broker.delivery.takeover import SUBSCRIPTIONS
from broker.delivery.tally import Tally
from broker.delivery.tenure import Tenure
from broker.delivery.undelivered import Undelivered, UndeliveredStore
from broker.egress.http import OutboundHttp
from broker.errors import BadRequestData, StoreUnavailable
from broker.model.entity import JsonObject
from broker.sharing.following import Following
from broker.sharing.leases import Leases
from broker.sharing.members import Membership
from broker.store.protocol import DocumentEvent, Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

RETRY_SECONDS: Final = 0.5
"""Seconds after which a subscription is looked at again that could not be read."""
CATCH_UP_SECONDS: Final = 0.5
"""How long a change of a subscription waits for what was written before it to be matched with what it was."""
CATCH_UP_PAUSE: Final = 0.003
LAGS_SECONDS: Final = 2.0
"""For how long after it waited in vain no other change waits: many at once must not add up."""

_LOG: Final = logging.getLogger(__name__)


class Dispatcher:
    """See the module. To be started and stopped in the event loop that uses it.

    What it did and does can be looked at: `undelivered`, `carrier.delivered`, `course`; `redelivery` repeats it. `overtaken` is
    for the retention of the log.
    """

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
        leases: Leases,
        members: Membership,
        following: Following,
    ) -> None:
        """`now` gives the canonical instant of the moment."""
        self._store = store
        self._now = now
        self._leases = leases
        self._shares = SHARES if store.is_shared else 1
        self._books = Books(store, self._shares, lambda: self._matcher.matched, self._lost, now)
        self.undelivered = UndeliveredStore(store, self._books.write, self._dropped)
        self.carrier = Carrier(store, contexts, http, mqtt, now, self._attempted, self._may_send, self.undelivered)
        self._courses = Courses(store, self._books, self.carrier.carry, lambda: self._matcher.met, now)
        gaps = Gaps(store, self._books, self._courses)
        self._matcher = Matcher(store, self._courses, self.carrier.recent, gaps.trimmed)
        self._handover = Handover(
            store, self._books, self._courses, self._matcher, self.carrier, self.undelivered, gaps, now, self._catch_up
        )
        self._tenure = Tenure(leases, members, self._shares, self._handover)
        self.redelivery = Redelivery(store, self.carrier, self.undelivered)
        self.overtaken = gaps.overtaken
        self._changing: WeakValueDictionary[SubscriptionKey, asyncio.Lock] = WeakValueDictionary()
        self._missed: set[SubscriptionKey] = set()
        self._lags_until = 0.0
        self._saving: asyncio.Task[None] | None = None
        following.add([SUBSCRIPTIONS], self._changed, self._look_at_all)
        following.add([OVERTAKEN], lambda _: gaps.look(), gaps.look)

    # --- life

    def start(self) -> None:
        """Want shares of the subscriptions. To be called before the leases start."""
        self._saving = watched(self._books.run())
        self._tenure.start()

    async def settled(self) -> None:
        """Wait until every subscription that is to be had is taken up where its deliveries were left."""
        await self._tenure.settled()

    async def stop(self) -> None:
        """Give what is under way a moment, break off the rest (it stays owed), and save. The leases are still held then."""
        await self._tenure.stop()
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
        await self._matcher.stop()
        await self._courses.stop()
        await self._handover.give_back(list(self._handover.numbers))

    # --- subscriptions come, change and go

    def changing(self, tenant: str, subscription_id: str) -> asyncio.Lock:
        """The lock to hold while a stored subscription is read, changed and written back."""
        return self._changing.setdefault((tenant, subscription_id), asyncio.Lock())

    def put(self, tenant: str, document: JsonObject) -> None:
        """A subscription was created or changed: its stored document. Takes effect at once, if its share is here."""
        self._put(tenant, document, late=False)

    async def catch_up(self, tenant: str, subscription_id: str) -> None:
        """Before a subscription is changed: let what was written until now be matched with what it is, if its share is here and
        matching does not lag. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        if self.course(tenant, subscription_id) is None or loop.time() < self._lags_until:
            return
        head = await self._store.head()
        if self._matcher.matched >= head:
            return
        # Who waits for news of other processes hears of it now.
        await self._store.wait_for_changes(head - 1, 0.0)
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while self._matcher.matched < head:  # noqa: ASYNC110 - matching is not slowed down by telling of each change
                    await asyncio.sleep(CATCH_UP_PAUSE)
        except TimeoutError:
            self._lags_until = loop.time() + LAGS_SECONDS

    async def heed(self, tenant: str, subscription_id: str) -> None:
        """Bring a subscription to what it is in the store, where its share is here. Raises StoreUnavailable."""
        await self._look_at((tenant, subscription_id))

    def _put(self, tenant: str, document: JsonObject, *, late: bool) -> None:
        subscription = compile_subscription(tenant, document)
        share = self._books.share(subscription.key)
        if share is not None and not share.leaving:
            self._courses.put(subscription, late=late)
        else:
            self._miss(subscription.key)

    async def remove(self, tenant: str, subscription_id: str) -> None:
        """A subscription was deleted: its deliveries and retries end, its counts are forgotten."""
        key = tenant, subscription_id
        course = self._courses.remove(key)
        if self._books.share(key) is None:
            self._miss(key)
            return
        await self._books.erase(key, course)
        with suppress(ShareLost):  # whoever has it now finds what is left
            await self.undelivered.erase(key)
        self.carrier.delivered.forget(key)

    def _miss(self, key: SubscriptionKey) -> None:
        """Something has happened to a subscription whose share is not here. If it arrives now, it may have been read before."""
        if share_of(key, self._shares) in self._handover.arriving:
            self._missed.add(key)

    # --- subscriptions come, change and go through other processes

    async def _changed(self, event: DocumentEvent) -> None:
        await self._look_at((event.tenant, event.id))

    async def _look_at(self, key: SubscriptionKey) -> None:
        """Bring a subscription to what it is in the store, where its share is here. Raises StoreUnavailable."""
        share = self._books.share(key)
        if share is None or share.leaving:
            self._miss(key)
            return
        course, document = self._courses.get(key), await self._store.get_document(SUBSCRIPTIONS, *key)
        if course is not None:
            if document is not None and course.subscription.revision == revision_of(document):
                return
            await self.catch_up(*key)
        async with self.changing(*key):
            document = await self._store.get_document(SUBSCRIPTIONS, *key)
            course = self._courses.get(key)
            if course is not None and (
                document is None or document.get("createdAt", "") != course.subscription.created_at
            ):
                await self.remove(*key)
            course = self._courses.get(key)
            if document is not None and (course is None or course.subscription.revision != revision_of(document)):
                try:
                    self._put(key[0], document, late=True)
                except BadRequestData as error:
                    _LOG.error("a stored subscription is not valid", extra={"id": key[1], "detail": error.detail})

    async def _look_at_all(self) -> None:
        """The same for all of them. Raises StoreUnavailable."""
        if self._shares == 1:  # of a store that no other process has
            return
        stored = {
            (tenant, subscription_id): revision_of(document)
            for tenant, subscription_id, document in await self._store.list_documents(SUBSCRIPTIONS)
        }
        known = {course.subscription.key: course.subscription.revision for course in self._courses}
        for key in stored.keys() | known.keys():
            if stored.get(key) != known.get(key):
                await self._look_at(key)

    async def _catch_up(self) -> None:
        """After shares were taken over: look at what happened to their subscriptions meanwhile."""
        while self._missed:
            key = self._missed.pop()
            try:
                await self._look_at(key)
            except StoreUnavailable:
                self._missed.add(key)
                await asyncio.sleep(RETRY_SECONDS)

    # --- what can be looked at

    def has(self, tenant: str, subscription_id: str) -> bool:
        """Whether it is this process that delivers what a subscription is owed."""
        return self.since(tenant, subscription_id) is not None

    def since(self, tenant: str, subscription_id: str) -> str | None:
        """The canonical instant from which on this process delivers what a subscription is owed; None if it does not."""
        share = self._books.share((tenant, subscription_id))
        return share.since if share is not None and self._is_held(share) else None

    async def tally(self, tenant: str, subscription_id: str, created_at: str | None = None) -> Tally:
        """The counts of a subscription's deliveries: as of this moment, or as another process had them on record last."""
        course = self.course(tenant, subscription_id)
        if course is None:
            return await restored_tally(self._store, (tenant, subscription_id), created_at)
        return course.tally

    def course(self, tenant: str, subscription_id: str) -> Course | None:
        """The course of a subscription's deliveries, to be looked at, if it runs in this process."""
        return self._courses.get((tenant, subscription_id)) if self.has(tenant, subscription_id) else None

    async def lag(self, course: Course | None) -> tuple[int, float]:
        """How far a subscription's deliveries are behind the log, in changes and in seconds. Raises StoreUnavailable."""
        if course is None or course.closed or course.subscription.interval is not None:
            return 0, 0.0
        oldest = course.oldest or max(self._matcher.matched, course.through) + 1
        return await lag_behind(self._store, oldest, self._now())

    def owed(self, tenant: str, subscription_id: str) -> tuple[int, int | None]:
        """How many notifications of a subscription wait, and from which position of the log on it is behind, if it is."""
        course = self.course(tenant, subscription_id)
        return (0, None) if course is None else (len(course.pending), course.behind)

    # --- what the parts tell each other

    def _is_held(self, share: Share) -> bool:
        return self._leases.held(share.lease.name) == share.lease

    def _may_send(self, course: Course) -> bool:
        """Whether a course is certainly this process's in this moment. If not, it begins nothing until that is known."""
        share = None if course.gone else self._books.shares.get(course.share)
        if share is not None and self._is_held(share):
            return True
        self._courses.pause([course])
        return False

    def _attempted(self, course: Course, reached: bool) -> None:
        self._courses.attempted(course, reached)

    def _lost(self, share: Share) -> None:
        self._handover.lose(share)

    def _dropped(self, one: Undelivered) -> None:
        """A notification that was set aside is lost, because there is no room for all of them: said loudly, and counted."""
        _LOG.error(
            "an undelivered notification is lost: more were set aside than there is room for",
            extra={"subscription": one.subscription_id, "tenant": one.tenant, "notification": one.notification_id},
        )
        metrics.notifications_dropped.inc()
        course = self._courses.get(one.key)
        if course is not None:
            course.tally.dropped += 1
            self._books.attempted(course)
