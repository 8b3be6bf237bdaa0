"""The durable side of delivery: how far the log has been worked off, what each subscription is still owed, its counts.

The promise is: whatever the moment at which the process dies, each change is notified at least once. Each share
(broker.delivery.share) has a ledger of its own:

* The cursor with the share's name is its watermark: every change up to it has been matched with every subscription of the share,
  and each match was delivered or is on record. Whoever takes the share over begins to match behind it.
* What is owed for longer than a moment, or has failed, goes on record: the subscription's document of kind `delivery` then
  has a `lag` (positions that are pending, where matching has to resume, up to where it is complete), written before the
  watermark passes those positions. It does not list positions that were never on their way, matching resumes before them:
  so the record of a receiver that does not answer stays small, and stays as it is however much comes to be owed.
* What is owed for a moment only holds the watermark back instead, which costs nothing. But what was delivered above a
  watermark that is held back is repeated after a crash, so that moment is short. A course whose oldest position the watermark
  has passed cannot hold it back any more: it is on record, and stays so until that is done.
* The cursor `delivery/<tenant>/<id>` of a subscription on record stands before its oldest position, so that the log is not
  trimmed under it.

So everything that could be lost is either above the watermark or on record, and is found again in both cases. What a crash
repeats is what was delivered since the last save; an orderly stop puts all on record and repeats nothing.

A ledger only knows what is to be written, as a `Draft`; broker.delivery.books writes it.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from broker.delivery.course import Course
from broker.delivery.record import DOCUMENTS, lag_of, stored_course
from broker.delivery.share import guard_name, guarded
from broker.delivery.subscription import SubscriptionKey
from broker.model.entity import JsonObject
from broker.store.protocol import Document

PATIENCE: Final = 0.1
"""Seconds for which a position that is owed may hold the watermark back, before it goes on record."""


@dataclass(slots=True)
class Draft:
    """What is to be written of a share: documents first, then cursors and what is dropped of them, together with the last
    documents. The rest is what the ledger needs to know of it afterwards."""

    watermark: int
    documents: list[Document]
    cursors: dict[str, int]
    drop_cursors: list[str]
    recording: list[Course] = field(default_factory=list)
    lags: dict[Course, JsonObject] = field(default_factory=dict)
    changed: list[Course] = field(default_factory=list)
    settled: list[Course] = field(default_factory=list)
    counted: list[Course] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.documents or self.cursors or self.drop_cursors)

    @property
    def keys(self) -> set[SubscriptionKey]:
        """The subscriptions that it has documents of."""
        return {(document.tenant, document.id) for document in self.documents}

    def without(self, refused: Collection[SubscriptionKey]) -> tuple[dict[str, int], list[str]]:
        """Cursors to set and to drop where documents of these subscriptions could not be stored: neither theirs nor the
        watermark, as what is not on record must be found again by matching."""
        theirs = {guard_name(key) for key in refused}
        kept = {name: position for name, position in self.cursors.items() if name not in theirs and guarded(name)}
        return (kept if theirs else self.cursors), [name for name in self.drop_cursors if name not in theirs]

    def of(self, keys: Collection[SubscriptionKey]) -> "Draft":
        """The part of it that is about these subscriptions."""

        def theirs(courses: Iterable[Course]) -> list[Course]:
            return [course for course in courses if course.subscription.key in keys]

        lags = {course: lag for course, lag in self.lags.items() if course.subscription.key in keys}
        groups = (theirs(group) for group in (self.changed, self.settled, self.counted))
        return Draft(self.watermark, [], {}, [], theirs(self.recording), lags, *groups)


class Ledger:
    """See the module. `name` is the watermark's, `watermark` where it is (-1: nowhere yet). What `courses` owe is on record."""

    def __init__(self, name: str, watermark: int, courses: Iterable[Course], clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        # The farthest that it may be, and whether it certainly is there: a save without an answer may have moved it.
        self._watermark = watermark
        self._is_certain = True
        self._fresh: set[Course] = set()
        self._recorded: dict[Course, JsonObject] = {course: {} for course in courses if course.is_outstanding}
        self._dirty: set[Course] = set()
        self._counted: set[Course] = set()
        self._heads: deque[tuple[float, int]] = deque()

    @property
    def waiting(self) -> int:
        """How many positions are owed and known, over all subscriptions."""
        return sum(len(course.pending) for course in self._fresh | self._recorded.keys())

    @property
    def oldest(self) -> int | None:
        """The first position that any subscription is owed."""
        owing = (course.oldest for course in self._fresh | self._recorded.keys())
        return min((position for position in owing if position is not None), default=None)

    @property
    def is_busy(self) -> bool:
        """Whether there is more to write than that the log has moved on."""
        return bool(self._fresh or self._dirty or self._counted)

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
        if not course.is_outstanding:  # it may have been both fresh and on record
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

    def erase(self, course: Course) -> None:
        """The subscription is gone, and what is on record about it is removed now. Not to be called while a draft is written."""
        self.forget(course)
        self._counted.discard(course)
        self._recorded.pop(course, None)

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

    def _is_due(self, course: Course, horizon: float) -> bool:
        """Whether what a course owes has to be on record: it is late, or below the watermark."""
        return _is_late(course, horizon) or (course.oldest is not None and course.oldest <= self._watermark)

    def draft(self, head: int, *, counts: bool, final: bool = False) -> Draft:
        """What must be durable, and the watermark as far as that lets it go; `head` is the last matched position.

        `counts`: also courses of which only the counts changed. `final`: put all that is owed on record. Either `written` or
        `failed` is to be told of it, before the next one is made.
        """
        horizon = math.inf if final else self._horizon(head)
        # One may be both fresh and on record: more came to be owed, or was read again, while it was put there.
        self._dirty.update([course for course in self._fresh if self._is_due(course, horizon)])
        fresh_again = {
            course for course in self._recorded if course.is_outstanding and not self._is_due(course, horizon)
        }
        recording = [course for course in self._dirty if course.is_outstanding and course not in fresh_again]
        settled = [course for course in self._recorded if not course.is_outstanding or course in fresh_again]
        counted = [course for course in self._counted if counts or course in self._dirty]
        self._dirty.clear()
        self._counted.difference_update(counted)
        self._fresh.difference_update(recording)
        self._fresh.update(course for course in settled if course.is_outstanding)
        watermark = min([head, *(course.oldest - 1 for course in self._fresh if course.oldest is not None)])
        watermark = max(watermark, self._watermark)
        lags = {
            course: lag_of(course)
            for course in {*recording, *counted}
            if course.is_outstanding and course not in self._fresh
        }
        changed = [course for course, lag in lags.items() if lag != self._recorded.get(course)]
        cursors = {guard_name(course.subscription.key): (course.oldest or 1) - 1 for course in changed}
        if watermark != self._watermark or not self._is_certain:
            cursors[self._name] = watermark
        documents = [
            Document(DOCUMENTS, *course.subscription.key, stored_course(course, lags.get(course), head))
            for course in {*changed, *settled, *counted}
        ]
        drops = [guard_name(course.subscription.key) for course in settled]
        return Draft(watermark, documents, cursors, drops, recording, lags, changed, settled, counted)

    def written(self, draft: Draft, refused: Collection[SubscriptionKey] = ()) -> None:
        """A draft is durable, but for the documents of `refused` subscriptions: where there are any, so is the watermark not."""
        if refused:
            self._put_back(draft.of(refused))
        for course in draft.changed:
            if course.subscription.key in refused:
                continue
            heir = _last_heir(course)  # it may have been closed and followed while it was written
            self._recorded[heir] = draft.lags[course] if heir is course else {}
        for course in draft.settled:
            if course.subscription.key not in refused:
                self._recorded.pop(course, None)
        if not refused:
            self._watermark = draft.watermark
            self._is_certain = self._is_certain or self._name in draft.cursors

    def failed(self, draft: Draft) -> None:
        """A draft was not written, or it is not known whether all of it was: the next one has it again.

        Its watermark may be where it was to be, and counts as being there: what is below it will be on record.
        """
        self._watermark = max(self._watermark, draft.watermark)
        self._is_certain = False
        self._put_back(draft)

    def _put_back(self, draft: Draft) -> None:
        on_record = draft.lags.keys() & self._recorded.keys()
        self._recorded.update((course, {}) for course in (*draft.settled, *on_record))
        self._dirty.update(draft.recording)
        self._counted.update(draft.counted)


def _is_late(course: Course, horizon: float) -> bool:
    """Whether what a course owes is to go on record: it fails, fell behind, or owes something from up to the horizon."""
    if course.stop.failures or course.stops or course.behind is not None:
        return True
    return course.oldest is not None and course.oldest <= horizon


def _last_heir(course: Course) -> Course:
    while course.heir is not None:
        course = course.heir
    return course
