"""The durable side of delivery: how far the log has been worked off, what each subscription is still owed, its counts.

The promise is: whatever the moment at which the process dies, each change is notified at least once.

* The cursor `delivery` is the watermark: every change up to it has been matched with every subscription, and each match was
  delivered or is on record. After a restart matching begins behind it.
* What is owed for longer than a moment, or has failed, goes on record: the subscription's document of kind `delivery` then
  has a `lag` (positions that are pending, where matching has to resume, up to where it is complete), written before the
  watermark passes those positions. What is owed for a moment only holds the watermark back instead, which costs nothing.
* The cursor `delivery/<tenant>/<id>` of a subscription on record stands before its oldest position, so that the log is not
  trimmed under it.

So everything that could be lost is either above the watermark or on record, and is found again in both cases.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from broker.delivery.course import Course
from broker.delivery.subscription import SubscriptionKey
from broker.delivery.tally import Tally
from broker.model.entity import JsonObject
from broker.store.protocol import Store

WATERMARK: Final = "delivery"
DOCUMENTS: Final = "delivery"
TOGETHER: Final = 200
"""Documents that are written side by side."""
PATIENCE: Final = 1.0
"""Seconds for which a position that is owed may hold the watermark back, before it goes on record."""


def guard_name(key: SubscriptionKey) -> str:
    """The cursor that keeps the log from being trimmed under a subscription."""
    return f"{WATERMARK}/{key[0]}/{key[1]}"


class Ledger:
    """See the module. Everything but `save` only notes what happened, without waiting."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._watermark = -1
        self._fresh: dict[Course, tuple[int, float]] = {}
        self._recorded: set[Course] = set()
        self._dirty: set[Course] = set()
        self._counted: set[Course] = set()
        self._writing = asyncio.Lock()

    @property
    def is_urgent(self) -> bool:
        """Whether something should be on record soon."""
        return bool(self._dirty)

    @property
    def waiting(self) -> int:
        """How many positions are owed and known, over all subscriptions."""
        return sum(len(course.pending) for course in self._fresh.keys() | self._recorded)

    def restore(self, courses: Iterable[Course], watermark: int) -> None:
        """Begin with what was read from the store: courses that owe something are on record."""
        self._watermark = watermark
        self._recorded = {course for course in courses if course.is_outstanding}

    def owed(self, course: Course) -> None:
        """A position was added to a course, or it fell behind."""
        if course in self._recorded or course.behind is not None:
            self._dirty.add(course)
        elif course not in self._fresh and course.oldest is not None:
            self._fresh[course] = (course.oldest, self._clock())

    def attempted(self, course: Course) -> None:
        """A delivery succeeded or failed."""
        self._counted.add(course)
        if not course.is_outstanding:
            self._fresh.pop(course, None)
        elif course.stop.failures or course.stops:
            self._dirty.add(course)

    def forget(self, course: Course) -> None:
        """The course is closed: nothing is owed any more. What is on record is cleared at the next save."""
        self._fresh.pop(course, None)
        self._dirty.discard(course)
        self._counted.add(course)

    def succeed(self, old: Course, new: Course) -> None:
        """A closed course is followed by another one of the same subscription, which takes its place on record."""
        self.forget(old)
        self._counted.discard(old)
        self._counted.add(new)
        old.heir = new
        if old in self._recorded:
            self._recorded.discard(old)
            self._recorded.add(new)

    async def erase(self, key: SubscriptionKey, course: Course | None) -> None:
        """The subscription is gone: remove what is on record about it, once a save that is under way has ended."""
        async with self._writing:
            if course is not None:
                self.forget(course)
                self._counted.discard(course)
                self._recorded.discard(course)
            await self._store.delete_document(DOCUMENTS, *key)
            await self._store.drop_cursor(guard_name(key))

    def _overdue(self) -> list[Course]:
        """The fresh courses that fail, or whose oldest position has not moved for too long."""
        now, overdue = self._clock(), []
        for course, (position, since) in self._fresh.items():
            oldest = course.oldest
            if course.stop.failures or course.stops or (oldest == position and since <= now - PATIENCE):
                overdue.append(course)
            elif oldest is not None and oldest != position:
                self._fresh[course] = (oldest, now)
        return overdue

    def _is_fresh_again(self, course: Course) -> bool:
        """Whether a course on record keeps up now, so that it may just hold the watermark back like others."""
        sound = not (course.stop.failures or course.stops or course.behind is not None)
        return sound and course in self._recorded and (course.oldest or 0) > self._watermark

    async def save(self, head: int, *, counts: bool) -> None:
        """Write what must be durable, then move the watermark as far as that allows; `head` is the last matched position.

        `counts`: also write courses of which only the counts changed.
        """
        async with self._writing:
            await self._save(head, counts)

    async def _save(self, head: int, counts: bool) -> None:
        self._dirty.update(self._overdue())
        to_record = [course for course in self._dirty if course.is_outstanding and not self._is_fresh_again(course)]
        settled = [course for course in self._recorded if not course.is_outstanding or self._is_fresh_again(course)]
        counted = [course for course in self._counted if counts or course in self._dirty]
        self._dirty.clear()
        self._counted.difference_update(counted)
        for course in to_record:
            self._fresh.pop(course, None)
        for course in settled:
            if course.oldest is not None:
                self._fresh[course] = (course.oldest, self._clock())
        watermark = min([head, *(course.oldest - 1 for course in self._fresh if course.oldest is not None)])
        cursors = {guard_name(course.subscription.key): (course.oldest or 1) - 1 for course in to_record}
        if watermark != self._watermark:
            cursors[WATERMARK] = watermark
        documents = [
            (course.subscription.key, stored_course(course, None if course in self._fresh else head))
            for course in {*to_record, *settled, *counted}
        ]
        try:
            for start in range(0, len(documents), TOGETHER):
                await asyncio.gather(
                    *(
                        self._store.put_document(DOCUMENTS, tenant, subscription_id, document)
                        for (tenant, subscription_id), document in documents[start : start + TOGETHER]
                    )
                )
            self._recorded.update(
                map(_last_heir, to_record)
            )  # one may have been closed and followed while it was written
            if cursors:
                await self._store.save_cursors(cursors)
                self._watermark = watermark
            for course in settled:
                self._recorded.discard(course)
                await self._store.drop_cursor(guard_name(course.subscription.key))
        except BaseException:
            self._dirty.update(to_record)
            self._counted.update(counted)
            raise


def _last_heir(course: Course) -> Course:
    while course.heir is not None:
        course = course.heir
    return course


def stored_course(course: Course, head: int | None) -> JsonObject:
    """A course as its document of kind `delivery`; with `head` also what it is owed, complete up to that position."""
    document = course.tally.stored()
    if head is not None and course.is_outstanding:
        pending = [[position, entity_id] for position, entity_id in course.pending.items()]
        document["lag"] = {"pending": pending, "behind": course.behind, "through": head}
    return document


async def restored_tally(store: Store, key: SubscriptionKey) -> Tally:
    """The counts of a subscription that the dispatcher does not know, as they were saved last."""
    document = await store.get_document(DOCUMENTS, *key)
    return Tally() if document is None else Tally.restored(document)
