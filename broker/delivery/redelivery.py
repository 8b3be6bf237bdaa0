"""Notifications once more, because somebody asks for it: one of them, or those of a window of time.

They go out at once and one after the other, beside what the course of the subscription owes, and with the ids that they have
or had, so that a receiver can tell them from news. What was set aside comes from the store, all else from the change log, as far
as it goes back. The window decides and nothing else: it may lie before the subscription was created, or within a pause.

A run is bounded in notifications, in changes that it looks at and in time, and says where the next one goes on. It ends early
where the receiver cannot be reached. One that dies with the process has sent what it has sent; who wanted it asks again.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from broker.delivery.carrier import Carrier, occasion_of
from broker.delivery.course import Course
from broker.delivery.failure import Failure
from broker.delivery.matching import is_match, state_of_interest
from broker.delivery.payload import notification_id
from broker.delivery.subscription import SubscriptionKey
from broker.delivery.undelivered import Undelivered, UndeliveredStore
from broker.errors import Conflict, ResourceNotFound
from broker.model.change import Change
from broker.store.protocol import Store

MOST: Final = 100
"""Notifications that one run sends."""
MOST_EXAMINED: Final = 5_000
"""Changes that one run looks at."""
SECONDS: Final = 20.0
"""How long a run may take before it begins another notification."""
BATCH: Final = 250

_ANSWERED: Final = frozenset({"status", "not composed"})


@dataclass(slots=True)
class Run:
    """What came of a run: notifications that arrived, those that did not and why, how many changes were looked at, the
    position behind which the next run goes on (None: the window is done), and how much of the log is gone (`tail`)."""

    arrived: list[str] = field(default_factory=list)
    failed: list[tuple[str, Failure]] = field(default_factory=list)
    examined: int = 0
    after: int | None = None
    tail: int = 0


class Redelivery:
    """See the module. One run at a time for each subscription."""

    def __init__(self, store: Store, carrier: Carrier, undelivered: UndeliveredStore) -> None:
        self._store = store
        self._carrier = carrier
        self._undelivered = undelivered
        self._running: set[SubscriptionKey] = set()

    async def one(self, course: Course, notification: str) -> Failure | None:
        """Send one notification again that was set aside, or that arrived lately; what went wrong, if it did.

        Raises ResourceNotFound, Conflict, StoreUnavailable.
        """
        key = course.subscription.key
        self._begin(key)
        try:
            aside = self._undelivered.find(key, notification)
            if aside is not None:
                return await self._send_aside(course, aside)
            return await self._send(course, notification, await self._changes_of(course, notification))
        finally:
            self._running.discard(key)

    async def window(self, course: Course, start: str, end: str, after: int) -> Run:
        """Send again what happened from `start` to `end` (canonical instants, both included), behind the position `after`.

        Raises Conflict, StoreUnavailable.
        """
        key = course.subscription.key
        self._begin(key)
        try:
            run = Run(tail=await self._store.tail())
            await self._run(course, start, end, max(after, 0), run)
            return run
        finally:
            self._running.discard(key)

    def _begin(self, key: SubscriptionKey) -> None:
        if key in self._running:
            raise Conflict(f"notifications of {key[1]} are being replayed already", instance=key[1])
        self._running.add(key)

    async def _changes_of(self, course: Course, notification: str) -> list[Change]:
        """The changes of a notification that arrived, from the log."""
        subscription = course.subscription
        delivered = self._carrier.delivered.find(subscription.key, notification)
        if delivered is None:
            if any(
                notification_id(subscription, occasion_of((position,))) == notification for position in course.pending
            ):
                raise Conflict(f"{notification} is pending: it is sent as soon as its receiver takes it")
            raise ResourceNotFound(f"there is no notification {notification} on record", instance=notification)
        if not delivered.positions:
            raise Conflict(f"{notification} told of a period, not of changes: it cannot be sent again")
        found = [await self._carrier.change_at(position) for position in delivered.positions]
        changes = [change for change in found if change is not None]
        if len(changes) < len(found):
            raise ResourceNotFound(f"the changes of {notification} are no longer in the log", instance=notification)
        return changes

    async def _run(self, course: Course, start: str, end: str, after: int, run: Run) -> None:
        """Go through the log and what was set aside, in order of position."""
        subscription = course.subscription
        aside = deque(
            sorted(
                (
                    one
                    for one in self._undelivered.of(subscription.key)
                    if start <= one.changed_at <= end and one.positions[0] > after
                ),
                key=lambda one: one.positions[0],
            )
        )
        covered = {position for one in aside for position in one.positions}
        deadline = asyncio.get_running_loop().time() + SECONDS
        until = await self._store.head() if course.behind is None else course.behind - 1
        position = max(after, await first_before(self._store, start, run.tail, until))

        async def catch_up(through: int | None) -> bool:
            """Send what was set aside up to a position; whether the run goes on."""
            while not course.gone and aside and (through is None or aside[0].positions[0] <= through):
                one = aside[0]
                is_there = self._undelivered.find(subscription.key, one.notification_id) is not None
                if is_there and (
                    self._is_over(run, deadline)
                    or not _goes_on(run, one.notification_id, await self._send_aside(course, one))
                ):
                    run.after = one.positions[0] - 1
                    return False
                aside.popleft()
            return True

        while position < until and (changes := await self._store.changes(position, BATCH)):
            for change in changes:
                if change.sequence > until or change.at > end:
                    await catch_up(None)
                    return
                if course.gone or not await catch_up(change.sequence):
                    return
                if run.examined >= MOST_EXAMINED or self._is_over(run, deadline):
                    run.after = change.sequence - 1
                    return
                run.examined += 1
                position = change.sequence
                if position in covered or position in course.pending or change.tenant != subscription.tenant:
                    continue
                if await is_match(self._store, subscription, change, state_of_interest(change)):
                    notification = notification_id(subscription, occasion_of((position,)))
                    if not _goes_on(run, notification, await self._send(course, notification, [change])):
                        run.after = position - 1
                        return
            await asyncio.sleep(0)
        await catch_up(None)

    def _is_over(self, run: Run, deadline: float) -> bool:
        return len(run.arrived) + len(run.failed) >= MOST or asyncio.get_running_loop().time() > deadline

    async def _send(self, course: Course, notification: str, changes: Iterable[Change]) -> Failure | None:
        return await self._carrier.send_again(course, list(changes), notification)

    async def _send_aside(self, course: Course, one: Undelivered) -> Failure | None:
        """Send what was set aside; another failure is put on its record."""
        changes = await self._undelivered.changes(one)
        if not changes:
            raise ResourceNotFound(f"{one.notification_id} was removed meanwhile", instance=one.notification_id)
        failure = await self._send(course, one.notification_id, changes)
        if failure is not None:
            await self._undelivered.note_attempt(one.failed_again(failure))
        return failure


def _goes_on(run: Run, notification: str, failure: Failure | None) -> bool:
    """Note what came of a notification; whether the receiver is there, so that it makes sense to go on."""
    if failure is None:
        run.arrived.append(notification)
        return True
    run.failed.append((notification, failure))
    return failure.kind in _ANSWERED


async def first_before(store: Store, start: str, tail: int, head: int) -> int:
    """The last position of a change made before `start`, `tail` if there is none: found by halving."""
    low, high = tail, head
    while low < high:
        middle = (low + high) // 2
        found = await store.changes(middle, 1)
        if found and found[0].at < start:
            low = found[0].sequence
        else:
            high = middle
    return low
