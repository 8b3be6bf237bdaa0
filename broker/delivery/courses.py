"""All courses of this process, and the lanes that they run on: which may run, what time does to them, what they read again.

Decisions where the standard leaves room:

* Throttling (5.2.12): changes within the period are not dropped. At its end one notification tells the last matching state
  of each entity that changed meanwhile.
* Cooldown (5.2.15): nothing is sent while it lasts; what is owed goes out afterwards.
* While a subscription is paused or expired its changes pass by: they are not notified when it becomes active again.
* A periodic notification that failed is tried again, with the states of that moment, until the next period begins.
* Creating a subscription sends nothing: 5.8.1 and 5.8.6 know no initial notification.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from broker.delivery.alarms import Alarms
from broker.delivery.background import report, watched
from broker.delivery.books import Books
from broker.delivery.course import Course
from broker.delivery.gap import Gap
from broker.delivery.lane import Carry, Lane, Traffic, most_deliveries
from broker.delivery.matching import SubscriptionIndex
from broker.delivery.replay import LOW, replay
from broker.delivery.share import share_of
from broker.delivery.subscription import Subscription, SubscriptionKey
from broker.delivery.tally import Tally
from broker.model.change import Change
from broker.model.instants import parse_instant
from broker.store.protocol import Store

CLOCK_SECONDS: Final = 30.0
"""How often an expiry that is to come is compared with the clock, which may be set meanwhile."""
SHORTEST_PERIOD: Final = 0.1
"""Seconds below which a timeInterval is not honoured."""
FEW_LANES: Final = 64
"""Lanes that are kept without looking whether anything runs on them."""
FAILED_SECONDS: Final = 5.0
"""Seconds after which a log that cannot be read is tried again."""

_LOG: Final = logging.getLogger(__name__)


class Courses:
    """See the module. To be used in one event loop. `carry` delivers, `met` is the last position that live matching has begun
    with, `books` hear of all that changes."""

    def __init__(
        self, store: Store, books: Books, carry: Carry, met: Callable[[], int], now: Callable[[], str]
    ) -> None:
        self._store = store
        self._books = books
        self._carry = carry
        self._met = met
        self._now = now
        self.index = SubscriptionIndex()
        self._all: dict[SubscriptionKey, Course] = {}
        self._lanes: dict[tuple[str, str, int], Lane] = {}
        self._room = FEW_LANES
        self._traffic = Traffic(most_deliveries())
        self._replays: dict[Lane, asyncio.Task[None]] = {}
        self._alarms = Alarms()

    def __iter__(self) -> Iterator[Course]:
        return iter(self._all.values())

    def get(self, key: SubscriptionKey) -> Course | None:
        """The course of a subscription, if it runs here."""
        return self._all.get(key)

    def of_share(self, number: int) -> list[Course]:
        """All courses of a share."""
        return [course for course in self if course.share == number]

    # --- subscriptions come, change and go

    def put(self, subscription: Subscription, *, late: bool) -> None:
        """A subscription was created or changed. `late`: by another process, so that live matching may have passed changes that
        concern it: they are read again."""
        course = self._all.get(subscription.key)
        if course is None:
            self._admit(subscription, Tally(), late=late)
        elif course.closed:
            self._alarms.cancel(subscription.key)
            self._books.succeed(course, self._admit(subscription, course.tally, late=late, after=course.through))
        else:
            former = course.subscription
            self._alarms.cancel(subscription.key)
            self._lane(former).leave(course, break_off=False)
            course.renew(subscription)
            if former.interval is not None and subscription.interval is None:  # until now it was told of no changes
                course.through = max(course.through, subscription.since)
                self._look_back(course, late=late)
            self._enter(course)
            if course.behind is not None:
                self._books.owed(course)
            if former.since != subscription.since:
                self._books.attempted(course)  # its record is to say so

    def remove(self, key: SubscriptionKey) -> Course | None:
        """A subscription was deleted: its deliveries and retries end."""
        course = self._all.pop(key, None)
        if course is not None:
            course.gone = True
            self._close(course)
        return course

    def take_in(self, courses: Iterable[Course]) -> None:
        """These were taken over as they were left."""
        courses = list(courses)
        self._all.update((course.subscription.key, course) for course in courses)
        for course in courses:
            self._join(course)

    def halt(self, courses: Iterable[Course]) -> list[asyncio.Task[None]]:
        """Begin nothing more for these; what is under way for them."""
        under_way: list[asyncio.Task[None]] = []
        for course in courses:
            self.index.remove(course.subscription.key)
            self._alarms.cancel(course.subscription.key)
            lane = self._lane(course.subscription)
            lane.leave(course, break_off=False)
            under_way += lane.under_way_for(course)
        return under_way

    def drop(self, courses: Iterable[Course]) -> None:
        """Forget these, which are another process's now. What is under way for them is broken off at once."""
        for course in courses:
            key = course.subscription.key
            self._all.pop(key, None)
            course.gone = True
            self._close(course)

    def pause(self, courses: Iterable[Course]) -> None:
        """Send nothing for these until they are resumed, though they are owed more and more."""
        for course in courses:
            self._lane(course.subscription).leave(course, break_off=True)

    def resume(self, courses: Iterable[Course]) -> None:
        """Send for these again."""
        for course in courses:
            if not course.closed:
                lane = self._lane(course.subscription)
                lane.join(course)
                self._read_on(lane)

    def pass_by(self, through: int) -> None:
        """Live matching will meet changes up to this position once more, for the sake of others."""
        for course in self:
            if course.behind is None:
                course.through = max(course.through, through)

    async def stop(self) -> None:
        """Begin nothing more for anybody."""
        tasks = list(self._replays.values())
        for task in tasks:
            task.cancel()
        for lane in self._lanes.values():
            lane.halt()
        self._alarms.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _admit(self, subscription: Subscription, tally: Tally, *, late: bool, after: int = 0) -> Course:
        """A new course for a subscription that is new, or that was not active until now, and was matched up to `after` before."""
        share, through = share_of(subscription.key, self._books.number), max(subscription.since, after)
        course = self._all[subscription.key] = Course(subscription, tally, through, share=share)
        self._look_back(course, late=late)
        self._enter(course)
        if course.behind is not None:
            self._books.owed(course)
        self._books.attempted(course)  # from now on its record says that it was taken up
        return course

    def _look_back(self, course: Course, *, late: bool) -> None:
        """Have a course that was told of nothing until now read what live matching may have passed."""
        if late and course.subscription.interval is None and course.through < self._passed(course):
            course.behind = course.through + 1

    def _passed(self, course: Course) -> int:
        """The last position that live matching has begun with for the share of a course: it may be going there once more for the
        sake of other shares."""
        share = self._books.shares.get(course.share)
        return self._met() if share is None else max(self._met(), self._books.head(share))

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
            self.index.put(subscription)
        else:
            self.index.remove(subscription.key)
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
        self.index.remove(key)
        self._alarms.cancel(key)
        course.close()
        course.through = max(course.through, self._passed(course))  # a closed course needs nothing of all that
        self._books.forget(course)
        self._lane(course.subscription).leave(course, break_off=True)

    def _lane(self, subscription: Subscription) -> Lane:
        lane = self._lanes.get(subscription.endpoint.lane)
        if lane is None:
            if len(self._lanes) >= self._room:
                self._sweep()
            lane = self._lanes[subscription.endpoint.lane] = Lane(self._carry, self._traffic)
        return lane

    def _sweep(self) -> None:
        """Forget lanes that nothing runs on."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.courses or lane.under_way}
        self._room = 2 * len(self._lanes) + FEW_LANES

    # --- time passes

    def _watch_expiry(self, subscription: Subscription) -> None:
        """Close the course when the subscription expires (5.8.1)."""
        if subscription.expires_at is None or subscription.status(self._now()) == "expired":
            return

        def look() -> None:
            course = self._all.get(subscription.key)
            if course is None or course.closed:
                return
            if subscription.status(self._now()) == "expired":
                self._close(course)
            else:
                self._watch_expiry(subscription)

        left = (parse_instant(subscription.expires_at) - parse_instant(self._now())).total_seconds()
        self._alarms.expire(subscription.key, min(left + 0.001, CLOCK_SECONDS), look)

    def _start_period(self, course: Course, interval: float) -> None:
        """Notify every `interval` seconds, counted from now, or from the last notification before it was taken over."""
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

    # --- what is owed, and what came of it

    def owe(self, subscription: Subscription, change: Change) -> None:
        """A change concerns a subscription."""
        course = self._all.get(subscription.key)
        if course is None or course.closed or course.behind is not None or change.sequence <= course.through:
            return
        lane = self._lane(course.subscription)
        if not course.push(change.sequence, change.entity_id):
            course.behind = change.sequence
            lane.behind.add(course)
        self._books.owed(course)
        lane.offer(course)

    def attempted(self, course: Course, reached: bool) -> None:
        """After each attempt: note it, let others try that had found nobody there, read on where there is room again."""
        if course.gone:
            return
        self._books.attempted(course, failed=not reached)
        lane = self._lane(course.subscription)
        if reached:
            lane.reached(asyncio.get_running_loop().time())
        if course not in lane.courses:  # closed, or about to be given back
            return
        if not reached and course.stop.unanswered:
            lane.unreachable.add(course)
        lane.offer(course)  # it may have moved to this lane while the attempt was under way in another one
        if course.behind is not None and course.has_room(LOW):
            self._read_on(lane)

    def _read_on(self, lane: Lane) -> None:
        """Read the log again for courses of a lane that are behind, unless that is going on already."""
        if lane in self._replays or not lane.behind:
            return
        task = watched(self._replay(lane))
        self._replays[lane] = task

        def done(ended: asyncio.Task[None]) -> None:
            if self._replays.get(lane) is ended:
                del self._replays[lane]

        task.add_done_callback(done)

    async def _replay(self, lane: Lane) -> None:
        def owed(course: Course) -> None:
            self._books.owed(course)
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
                await replay(self._store, self.index, lane.behind, self._passed, owed, lost)
                # Here, and not when the task is seen to have ended: who falls behind until then must not count on it.
                del self._replays[lane]
                return
            except Exception as error:  # noqa: BLE001 - deliveries must never come to a silent stop
                report("the change log cannot be read again", error)
                await asyncio.sleep(FAILED_SECONDS)
