"""The dispatcher: from the change log to the receivers of notifications (5.8.6, design §7).

It reads the log in order, finds the subscriptions that each change concerns, and hands positions to their courses; lanes send
what courses owe. Writers never wait for any of this. How nothing is lost is told in broker.delivery.ledger, how a receiver
that hangs harms nobody else in broker.delivery.lane, and what happens after a failure in broker.delivery.course.

Decisions where the standard leaves room:

* A 2xx status is success: 5.8.6 names 200, but receivers rightly answer 201, 202 or 204.
* Throttling (5.2.12): changes within the period are not dropped. At its end one notification tells the last matching state
  of each entity that changed meanwhile.
* Cooldown (5.2.15): nothing is sent while it lasts; what is owed goes out afterwards.
* While a subscription is paused or expired its changes pass by: they are not notified when it becomes active again.
* A periodic notification that failed is tried again, with the states of that moment, until the next period begins.
* Creating a subscription sends nothing: 5.8.1 and 5.8.6 know no initial notification.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from broker import metrics
from broker.delivery.alarms import Alarms
from broker.delivery.background import report, watched
from broker.delivery.carrier import Carrier
from broker.delivery.course import Course
from broker.delivery.gap import Gap
from broker.delivery.lag import lag_behind, miss
from broker.delivery.lane import Lane, Traffic, most_deliveries
from broker.delivery.ledger import DOCUMENTS, WATERMARK, Ledger, guard_name, restored_course, restored_tally
from broker.delivery.matching import SubscriptionIndex, is_match_or_fault, state_of_interest
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.redelivery import Redelivery
from broker.delivery.replay import LOW, replay
from broker.delivery.subscription import Subscription, SubscriptionKey, compile_subscription
from broker.delivery.tally import Tally
from broker.delivery.undelivered import Undelivered, UndeliveredStore
from broker.egress.http import OutboundHttp
from broker.errors import StoreUnavailable
from broker.model.change import Change
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.store.protocol import Store
from broker.store.retention import Overtaken

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

BATCH: Final = 256
"""Changes that are read from the log at a time."""
SAVE_SECONDS: Final = 0.05
"""How soon what was delivered or failed is on record: a crash repeats no more than what was delivered in such a time."""
COUNTS_SECONDS: Final = 0.5
"""How often counts are saved, and the watermark where nothing is delivered."""
LONGEST_WAIT: Final = 5.0
"""Seconds after which a wait for changes or a failing store is looked at again."""
CLOCK_SECONDS: Final = 30.0
"""How often an expiry that is to come is compared with the clock, which may be set meanwhile."""
SHORTEST_PERIOD: Final = 0.1
"""Seconds below which a timeInterval is not honoured."""
GRACE_SECONDS: Final = 2.0
"""How long a stop waits for deliveries that are under way."""

_LOG: Final = logging.getLogger(__name__)


class Dispatcher:
    """See the module. To be started and stopped in the event loop that uses it.

    What it did and does can be looked at: `undelivered`, `carrier.delivered`, `course`; `redelivery` repeats it. `started_at` is
    the canonical instant from which on it remembers what was delivered.
    """

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
    ) -> None:
        """`now` gives the canonical instant of the moment."""
        self._store = store
        self._now = now
        self.undelivered = UndeliveredStore(store, self._dropped)
        self.carrier = Carrier(store, contexts, http, mqtt, now, self._attempted, self.undelivered)
        self.redelivery = Redelivery(store, self.carrier, self.undelivered)
        self._index = SubscriptionIndex()
        self._courses: dict[SubscriptionKey, Course] = {}
        self._lanes: dict[tuple[str, str, int], Lane] = {}
        self._traffic = Traffic(most_deliveries())
        self._replays: dict[Lane, asyncio.Task[None]] = {}
        self._alarms = Alarms()
        self._ledger = Ledger(store, lambda: asyncio.get_running_loop().time())
        self._changing: WeakValueDictionary[SubscriptionKey, asyncio.Lock] = WeakValueDictionary()
        self._matched = self._met = 0
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.started_at = now()

    # --- life

    async def start(self) -> None:
        """Take up every subscription where its deliveries were left, and begin to read the log."""
        cursors = await self._store.cursors()
        documents = await self._store.list_documents("subscription")
        states = {
            (tenant, subscription_id): body
            for tenant, subscription_id, body in await self._store.list_documents(DOCUMENTS)
        }
        head, tail = await self._store.head(), await self._store.tail()
        earliest = min((document["since"] for _, _, document in documents), default=head)
        before = cursors.get(WATERMARK, min(earliest, head))
        self._matched = max(before, tail)
        for number, (tenant, subscription_id, document) in enumerate(documents, 1):
            if number % BATCH == 0:
                await asyncio.sleep(0)
            key = tenant, subscription_id
            course = restored_course(tenant, document, states.get(key, {}), self._now())
            if course is not None:
                self._courses[key] = course
        await self.undelivered.restore(self._courses)
        for key, course in self._courses.items():
            for one in self.undelivered.of(key):
                course.remember_refused(one.entities[0])
        self._ledger.restore(self._courses.values(), cursors.get(WATERMARK, -1))
        outstanding = {guard_name(key) for key, course in self._courses.items() if course.is_outstanding}
        for name in cursors:
            if name.startswith(f"{WATERMARK}/") and name not in outstanding:
                await self._store.drop_cursor(name)
        for key in states.keys() - {(tenant, subscription_id) for tenant, subscription_id, _ in documents}:
            await self._store.delete_document(DOCUMENTS, *key)
        if before < tail:
            self._tell_trimmed(before, tail)
        self._tasks = [watched(self._match_log()), watched(self._save_regularly())]
        for course in self._courses.values():
            self._join(course)

    async def stop(self) -> None:
        """Give what is under way a moment, break off the rest (it stays owed), and save.

        Where the store does not let it save, the next start repeats what was delivered since the last time it did.
        """
        tasks = [*self._tasks, *self._replays.values()]
        for task in tasks:
            task.cancel()
        for lane in self._lanes.values():
            lane.halt()
        self._alarms.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        under_way = [task for lane in self._lanes.values() for task in lane.under_way]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._tasks.clear()
        self._lanes.clear()
        await self.undelivered.close()
        try:
            await self._ledger.save(self._matched, counts=True, final=True)
        except StoreUnavailable as error:
            report("the state of deliveries cannot be saved, some will be repeated", error)

    # --- subscriptions come, change and go

    def changing(self, tenant: str, subscription_id: str) -> asyncio.Lock:
        """The lock to hold while a stored subscription is read, changed and written back."""
        return self._changing.setdefault((tenant, subscription_id), asyncio.Lock())

    def put(self, tenant: str, document: JsonObject) -> None:
        """A subscription was created or changed: its stored document. Takes effect at once."""
        subscription = compile_subscription(tenant, document)
        course = self._courses.get(subscription.key)
        if course is None:
            self._admit(subscription, Tally(), subscription.since)
            return
        if course.closed:
            self._alarms.cancel(subscription.key)
            self._ledger.succeed(course, self._admit(subscription, course.tally, subscription.since))
            return
        self._alarms.cancel(subscription.key)
        self._lane(course.subscription).leave(course, break_off=False)
        course.renew(subscription)
        self._enter(course)

    async def remove(self, tenant: str, subscription_id: str) -> None:
        """A subscription was deleted: its deliveries and retries end, its counts are forgotten."""
        key = tenant, subscription_id
        course = self._courses.pop(key, None)
        if course is not None:
            course.gone = True
            self._close(course)
        await self._ledger.erase(key, course)
        await self.undelivered.erase(key)
        self.carrier.delivered.forget(key)

    async def tally(self, tenant: str, subscription_id: str) -> Tally:
        """The counts of a subscription's deliveries, as of this moment."""
        course = self._courses.get((tenant, subscription_id))
        return await restored_tally(self._store, (tenant, subscription_id)) if course is None else course.tally

    def course(self, tenant: str, subscription_id: str) -> Course | None:
        """The course of a subscription's deliveries, to be looked at."""
        return self._courses.get((tenant, subscription_id))

    async def lag(self, course: Course | None) -> tuple[int, float]:
        """How far a subscription's deliveries are behind the log, in changes and in seconds. Raises StoreUnavailable."""
        if course is None or course.closed or course.subscription.interval is not None:
            return 0, 0.0
        return await lag_behind(self._store, course.oldest or self._matched + 1, self._now())

    def owed(self, tenant: str, subscription_id: str) -> tuple[int, int | None]:
        """How many notifications of a subscription wait, and from which position of the log on it is behind, if it is."""
        course = self._courses.get((tenant, subscription_id))
        return (0, None) if course is None else (len(course.pending), course.behind)

    def _admit(self, subscription: Subscription, tally: Tally, through: int) -> Course:
        """A new course for a subscription that is new, or that was not active until now."""
        course = self._courses[subscription.key] = Course(subscription, tally, through)
        self._enter(course)
        return course

    def _enter(self, course: Course) -> None:
        """Let a course run, if its subscription is active."""
        if course.subscription.status(self._now()) == "active":
            self._join(course)
        else:
            self._close(course)

    def _join(self, course: Course) -> None:
        if course.closed:
            return
        subscription = course.subscription
        if subscription.interval is None:
            self._index.put(subscription)
        else:
            self._index.remove(subscription.key)
            self._start_period(course, max(subscription.interval, SHORTEST_PERIOD))
        if subscription.throttling is not None and course.last_sent is None:
            ago = self._seconds_since_last(course)
            course.last_sent = None if ago is None else asyncio.get_running_loop().time() - ago
        self._watch_expiry(subscription)
        lane = self._lane(subscription)
        lane.join(course)
        self._read_on(lane)

    def _close(self, course: Course) -> None:
        """End a course: nothing more is sent under its subscription, what is under way is broken off."""
        key = course.subscription.key
        self._index.remove(key)
        self._alarms.cancel(key)
        course.close()
        self._ledger.forget(course)
        lane = self._lane(course.subscription)
        lane.leave(course, break_off=True)

    def _lane(self, subscription: Subscription) -> Lane:
        lane = self._lanes.get(subscription.endpoint.lane)
        if lane is None:
            lane = self._lanes[subscription.endpoint.lane] = Lane(self.carrier.carry, self._traffic)
        return lane

    # --- time passes

    def _watch_expiry(self, subscription: Subscription) -> None:
        """Close the course when the subscription expires (5.8.1)."""
        if subscription.expires_at is None or subscription.status(self._now()) == "expired":
            return

        def look() -> None:
            course = self._courses.get(subscription.key)
            if course is None or course.closed:
                return
            if subscription.status(self._now()) == "expired":
                self._close(course)
            else:
                self._watch_expiry(subscription)

        left = (parse_instant(subscription.expires_at) - parse_instant(self._now())).total_seconds()
        self._alarms.expire(subscription.key, min(left + 0.001, CLOCK_SECONDS), look)

    def _start_period(self, course: Course, interval: float) -> None:
        """Notify every `interval` seconds, counted from now, or from the last notification before a restart."""
        ago = self._seconds_since_last(course)
        first = interval if ago is None else max(interval - ago, 0.0)

        def tick() -> None:
            course.due = True
            self._lane(course.subscription).offer(course)

        self._alarms.repeat(course.subscription.key, first, interval, tick)

    def _seconds_since_last(self, course: Course) -> float | None:
        """Seconds since the last notification that is on record, None if there is none; 0 if the clock was set back."""
        last = course.tally.last_notification
        if last is None:
            return None
        return max((parse_instant(self._now()) - parse_instant(last)).total_seconds(), 0.0)

    # --- the log moves on

    async def _match_log(self) -> None:
        """Match change after change, for ever."""
        while True:
            try:
                await self._match_more()
            except Exception as error:  # noqa: BLE001 - deliveries must never come to a silent stop
                report("the change log cannot be worked off", error)
                await asyncio.sleep(LONGEST_WAIT)

    async def _match_more(self) -> None:
        """Match what there is, or wait for more. Without any subscription the log is passed over unread."""
        if not len(self._index):
            head = await self._store.head()
            if not len(self._index):
                self._matched = max(self._matched, head)
                await self._store.wait_for_changes(self._matched, LONGEST_WAIT)
                return
        changes = await self._store.changes(self._matched, BATCH)
        if not changes:
            await self._store.wait_for_changes(self._matched, LONGEST_WAIT)
            return
        if changes[0].sequence > self._matched + 1 and (tail := await self._store.tail()) > self._matched:
            self._tell_trimmed(self._matched, tail)
        for change in changes:
            self._met = change.sequence
            await self._match(change)
            self._matched = change.sequence
        await asyncio.sleep(0)

    def _tell_trimmed(self, after: int, tail: int) -> None:
        _LOG.error(
            "changes were trimmed from the log before they were matched with subscriptions",
            extra={"after": after, "through": tail},
        )
        for course in self._courses.values():
            since = max(after, course.subscription.since)
            if (
                since < tail
                and course.behind is None
                and miss(course, Overtaken(WATERMARK, since, tail, None, None), since)
            ):
                self._ledger.attempted(course)

    async def overtaken(self, them: Sequence[Overtaken]) -> None:
        """The log is about to be trimmed under these cursors: put on record what their subscriptions miss.

        Raises StoreUnavailable: then the log must not be trimmed yet.
        """
        guarded = {guard_name(key): course for key, course in self._courses.items()}
        for one in them:
            courses = guarded.values() if one.cursor == WATERMARK else filter(None, [guarded.get(one.cursor)])
            for course in courses:
                if miss(course, one, self._matched):
                    self._ledger.attempted(course)
        await self._ledger.save(self._matched, counts=True)

    async def _match(self, change: Change) -> None:
        """Hand the position of a change to the courses of all subscriptions that it concerns."""
        candidates = self._index.candidates(change)
        if not candidates:
            return
        state = state_of_interest(change)
        self.carrier.recent.put(change)
        for number, subscription in enumerate(candidates, 1):
            course = self._courses.get(subscription.key)
            if course is not None and await is_match_or_fault(self._store, subscription, change, state, course.tally):
                self._owe(subscription, change)
            if number % BATCH == 0:
                await asyncio.sleep(0)

    def _owe(self, subscription: Subscription, change: Change) -> None:
        course = self._courses.get(subscription.key)
        if course is None or course.closed or course.behind is not None or change.sequence <= course.through:
            return
        lane = self._lane(course.subscription)
        if not course.push(change.sequence, change.entity_id):
            course.behind = change.sequence
            lane.behind.add(course)
        self._ledger.owed(course)
        self._moved.set()
        lane.offer(course)

    def _attempted(self, course: Course, reached: bool) -> None:
        """After each attempt: note it, let others try that had found nobody there, read on where there is room again."""
        if course.gone:
            return
        self._ledger.attempted(course)
        self._moved.set()
        lane = self._lane(course.subscription)
        if reached:
            lane.reached(asyncio.get_running_loop().time())
        elif course.stop.unanswered:
            lane.unreachable.add(course)
        lane.offer(course)  # it may have moved to this lane while the attempt was under way in another one
        if course.behind is not None and course.has_room(LOW):
            self._read_on(lane)

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
            self._ledger.attempted(course)
            self._moved.set()

    def _read_on(self, lane: Lane) -> None:
        """Read the log again for courses of a lane that are behind, unless that is going on already."""
        if lane in self._replays or not lane.behind:
            return
        task = watched(self._replay(lane))
        self._replays[lane] = task

        def done(_: asyncio.Task[None]) -> None:
            del self._replays[lane]

        task.add_done_callback(done)

    async def _replay(self, lane: Lane) -> None:
        def owed(course: Course) -> None:
            self._ledger.owed(course)
            lane.offer(course)

        def lost(course: Course, through: int) -> None:
            _LOG.error(
                "changes were trimmed from the log before they were matched with a subscription",
                extra={"subscription": course.subscription.id, "after": course.through, "through": through},
            )
            course.tally.failed(self._now(), "changes were trimmed from the log before they could be delivered")
            first = through if course.behind is None else course.behind
            course.tally.miss(Gap(first - 1, through, unread=through - first + 1))

        while True:
            try:
                await replay(self._store, self._index, lane.behind, lambda: max(self._met, self._matched), owed, lost)
                return
            except Exception as error:  # noqa: BLE001 - as above
                report("the change log cannot be read again", error)
                await asyncio.sleep(LONGEST_WAIT)

    async def _save_regularly(self) -> None:
        """Keep what is durable close behind what is true: soon while there are deliveries, else now and then."""
        loop = asyncio.get_running_loop()
        counted = loop.time()
        while True:
            try:
                async with asyncio.timeout(COUNTS_SECONDS):
                    await self._moved.wait()
                await asyncio.sleep(SAVE_SECONDS)
            except TimeoutError:
                pass  # nothing moved
            self._moved.clear()
            counts = loop.time() >= counted + COUNTS_SECONDS
            try:
                await self._ledger.save(self._matched, counts=counts)
                counted = loop.time() if counts else counted
            except Exception as error:  # noqa: BLE001 - as above
                report("the state of deliveries cannot be saved", error)
                await asyncio.sleep(LONGEST_WAIT)
            metrics.notifications_waiting.set(self._ledger.waiting)
            if counts:
                await self._show_lag()
            self._lanes = {key: lane for key, lane in self._lanes.items() if lane.courses or lane.under_way}

    async def _show_lag(self) -> None:
        oldest = self._ledger.oldest or (self._matched + 1 if len(self._index) else None)
        try:
            _, seconds = await lag_behind(self._store, oldest, self._now())
            metrics.delivery_lag_seconds.set(seconds)
        except Exception as error:  # noqa: BLE001 - as above
            report("the lag of deliveries is not known", error)
