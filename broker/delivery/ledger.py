"""The durable side of delivery: how far the log has been worked off, what each subscription is still owed, its counts.

The promise is: whatever the moment at which the process dies, each change is notified at least once.

* The cursor `delivery` is the watermark: every change up to it has been matched with every subscription, and each match was
  delivered or is on record. After a restart matching begins behind it.
* What is owed for longer than a moment, or has failed, goes on record: the subscription's document of kind `delivery` then
  has a `lag` (positions that are pending, where matching has to resume, up to where it is complete), written before the
  watermark passes those positions. It does not list positions that were never on their way, matching resumes before them:
  so the record of a receiver that does not answer stays small, and stays as it is however much comes to be owed.
* What is owed for a moment only holds the watermark back instead, which costs nothing. But what was delivered above a
  watermark that is held back is repeated after a crash, so that moment is short.
* The cursor `delivery/<tenant>/<id>` of a subscription on record stands before its oldest position, so that the log is not
  trimmed under it.

So everything that could be lost is either above the watermark or on record, and is found again in both cases. What a crash
repeats is what was delivered since the last save; an orderly stop puts all on record and repeats nothing.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final

from broker.delivery.course import Course
from broker.delivery.subscription import SubscriptionKey, compile_subscription
from broker.delivery.tally import Tally
from broker.errors import NgsiLdError
from broker.model.entity import JsonObject
from broker.store.protocol import Store

WATERMARK: Final = "delivery"
DOCUMENTS: Final = "delivery"
TOGETHER: Final = 200
"""Documents that are written side by side."""
PATIENCE: Final = 0.1
"""Seconds for which a position that is owed may hold the watermark back, before it goes on record."""

_LOG: Final = logging.getLogger(__name__)


def guard_name(key: SubscriptionKey) -> str:
    """The cursor that keeps the log from being trimmed under a subscription."""
    return f"{WATERMARK}/{key[0]}/{key[1]}"


class Ledger:
    """See the module. Everything but `save` only notes what happened, without waiting."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._watermark = -1
        self._fresh: set[Course] = set()
        self._recorded: dict[Course, JsonObject] = {}
        self._dirty: set[Course] = set()
        self._counted: set[Course] = set()
        self._heads: deque[tuple[float, int]] = deque()
        self._writing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many positions are owed and known, over all subscriptions."""
        return sum(len(course.pending) for course in self._fresh | self._recorded.keys())

    @property
    def oldest(self) -> int | None:
        """The first position that any subscription is owed."""
        owing = (course.oldest for course in self._fresh | self._recorded.keys())
        return min((position for position in owing if position is not None), default=None)

    def restore(self, courses: Iterable[Course], watermark: int) -> None:
        """Begin with what was read from the store: courses that owe something are on record."""
        self._watermark = watermark
        self._recorded = {course: {} for course in courses if course.is_outstanding}

    def owed(self, course: Course) -> None:
        """A position was added to a course, or it fell behind."""
        if course in self._recorded or course.behind is not None:
            self._dirty.add(course)
        else:
            self._fresh.add(course)

    def attempted(self, course: Course) -> None:
        """A delivery succeeded or failed."""
        self._counted.add(course)
        if course in self._recorded:
            self._dirty.add(course)
        elif not course.is_outstanding:
            self._fresh.discard(course)

    def forget(self, course: Course) -> None:
        """The course is closed: nothing is owed any more. What is on record is cleared at the next save."""
        self._fresh.discard(course)
        self._dirty.discard(course)
        self._counted.add(course)

    def succeed(self, old: Course, new: Course) -> None:
        """A closed course is followed by another one of the same subscription, which takes its place on record."""
        self.forget(old)
        self._counted.discard(old)
        self._counted.add(new)
        old.heir = new
        if self._recorded.pop(old, None) is not None:
            self._recorded[new] = {}

    async def erase(self, key: SubscriptionKey, course: Course | None) -> None:
        """The subscription is gone: remove what is on record about it, once a save that is under way has ended."""
        async with self._writing:
            if course is not None:
                self.forget(course)
                self._counted.discard(course)
                self._recorded.pop(course, None)
            await self._store.delete_document(DOCUMENTS, *key)
            await self._store.drop_cursor(guard_name(key))

    def _horizon(self, head: int) -> int:
        """The position up to which all was matched PATIENCE ago or earlier; `head` is the last one that is matched now."""
        now, horizon = self._clock(), -1
        self._heads.append((now, head))
        while self._heads[0][0] <= now - PATIENCE:
            horizon = self._heads[0][1]
            if len(self._heads) == 1 or self._heads[1][0] > now - PATIENCE:
                break
            self._heads.popleft()
        return horizon

    def _is_fresh_again(self, course: Course, horizon: float) -> bool:
        """Whether a course on record keeps up now, so that it may just hold the watermark back like others."""
        return course in self._recorded and not _is_late(course, horizon) and (course.oldest or 0) > self._watermark

    async def save(self, head: int, *, counts: bool, final: bool = False) -> None:
        """Write what must be durable, then move the watermark as far as that allows; `head` is the last matched position.

        `counts`: also write courses of which only the counts changed. `final`: put all that is owed on record.
        """
        async with self._writing:
            await self._save(head, counts, math.inf if final else self._horizon(head))

    async def _save(self, head: int, counts: bool, horizon: float) -> None:
        self._dirty.update([course for course in self._fresh if _is_late(course, horizon)])
        fresh_again = {course for course in self._recorded if self._is_fresh_again(course, horizon)}
        to_record = [course for course in self._dirty if course.is_outstanding and course not in fresh_again]
        settled = [course for course in self._recorded if not course.is_outstanding or course in fresh_again]
        counted = [course for course in self._counted if counts or course in self._dirty]
        self._dirty.clear()
        self._counted.difference_update(counted)
        self._fresh.difference_update(to_record)
        self._fresh.update(course for course in settled if course.is_outstanding)
        watermark = min([head, *(course.oldest - 1 for course in self._fresh if course.oldest is not None)])
        lags = {
            course: lag_of(course)
            for course in {*to_record, *counted}
            if course.is_outstanding and course not in self._fresh
        }
        changed = [course for course, lag in lags.items() if lag != self._recorded.get(course)]
        cursors = {guard_name(course.subscription.key): (course.oldest or 1) - 1 for course in changed}
        if watermark != self._watermark:
            cursors[WATERMARK] = watermark
        documents = [
            (course.subscription.key, stored_course(course, lags.get(course), head))
            for course in {*changed, *settled, *counted}
        ]
        try:
            await _together(
                self._store.put_document(DOCUMENTS, tenant, subscription_id, document)
                for (tenant, subscription_id), document in documents
            )
            for course in changed:
                heir = _last_heir(course)  # it may have been closed and followed while it was written
                self._recorded[heir] = lags[course] if heir is course else {}
            if cursors:
                await self._store.save_cursors(cursors)
                self._watermark = watermark
            for course in settled:
                self._recorded.pop(course, None)
            await _together(self._store.drop_cursor(guard_name(course.subscription.key)) for course in settled)
        except BaseException:
            self._recorded.update((course, {}) for course in (*settled, *(set(lags) & self._recorded.keys())))
            self._dirty.update(to_record)
            self._counted.update(counted)
            raise


async def _together(writes: Iterable[Awaitable[object]]) -> None:
    """Wait for many small writes, side by side in groups. Raises what one of them raises."""
    left = iter(writes)
    while group := list(islice(left, TOGETHER)):
        await asyncio.gather(*group)


def _is_late(course: Course, horizon: float) -> bool:
    """Whether what a course owes is to go on record: it fails, fell behind, or owes something from up to the horizon."""
    if course.stop.failures or course.stops or course.behind is not None:
        return True
    return course.oldest is not None and course.oldest <= horizon


def _last_heir(course: Course) -> Course:
    while course.heir is not None:
        course = course.heir
    return course


def lag_of(course: Course) -> JsonObject:
    """What a course is owed, for its record: pending positions that may have been sent, and from where to match again."""
    pending: list[tuple[int, str]] = []
    for position, entity_id in course.pending.items():
        if position > course.taken:
            return {"pending": pending, "behind": position}
        pending.append((position, entity_id))
    return {"pending": pending, "behind": course.behind}


def stored_course(course: Course, lag: JsonObject | None, head: int) -> JsonObject:
    """A course as its document of kind `delivery`; with `lag` also what it is owed, complete up to position `head`."""
    document = course.tally.stored()
    return document if lag is None else {**document, "lag": {**lag, "through": head}}


async def restored_tally(store: Store, key: SubscriptionKey) -> Tally:
    """The counts of a subscription that the dispatcher does not know, as they were saved last."""
    document = await store.get_document(DOCUMENTS, *key)
    return Tally() if document is None else Tally.restored(document)


def restored_course(tenant: str, document: JsonObject, state: JsonObject, now: str) -> Course | None:
    """A stored subscription as it is taken up at start: what its document of kind `delivery` says is owed, is owed.

    None where the subscription is not valid, as may be if a later version reads subscriptions more strictly: the others
    must work all the same.
    """
    try:
        subscription = compile_subscription(tenant, document)
    except NgsiLdError as error:
        _LOG.error("a stored subscription is not valid", extra={"id": document["id"], "detail": error.detail})
        return None
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
