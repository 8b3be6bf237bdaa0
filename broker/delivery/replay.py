"""Courses that fell behind read the change log again, as far as they have room (broker.delivery.course)."""

from collections.abc import Callable
from typing import Final

from broker.delivery.course import Course
from broker.delivery.matching import SubscriptionIndex, is_match_or_fault, state_of_interest
from broker.delivery.subscription import SubscriptionKey
from broker.errors import StoreUnavailable
from broker.model.change import Change
from broker.store.protocol import Store

BATCH: Final = 128
"""Changes that are read from the log at a time."""
LOW: Final = 0.5
"""A course reads on when less than this share of its room is taken."""


async def replay(
    store: Store,
    index: SubscriptionIndex,
    behind: set[Course],
    passed: Callable[[Course], int],
    owed: Callable[[Course], None],
    lost: Callable[[Course, int], None],
) -> None:
    """Go through the log for those of the courses `behind` that have room, until none is left; who has caught up leaves it.

    One pass serves all courses of a lane. `passed` is the last position that live matching has begun with for the share of a
    course, and may have passed over while the course was behind. Where live matching has gone back for the sake of other shares,
    it is where it was before, as the share's watermark may be there. A course goes on behind what was read for it here, and
    behind nothing else. Once that is beyond `passed`, it is behind no more and gets further changes from live matching. One that
    leaves `behind` meanwhile, because its share is given back, stays where it is: the index may not know it any more. Where the
    log was trimmed under a course, `lost` is told up to which position, and reading goes on with what is left. Raises
    StoreUnavailable where the store does not show what live matching has met: to be begun again.
    """
    while readers := _readers(behind):
        tail = await store.tail()
        for course in readers.values():
            if course.behind is not None and course.behind <= tail:
                lost(course, tail)
                course.behind = tail + 1
        start = min(course.behind for course in readers.values() if course.behind is not None)
        # Asked before the log is read: what comes meanwhile need not be shown.
        there = max(passed(course) for course in readers.values())
        changes = await store.changes(start - 1, BATCH)
        if not changes and start <= there and await store.tail() < start:
            # A server that was elected a moment ago may not show all that it has: nothing of that may be passed over.
            raise StoreUnavailable(f"the log cannot be read from {start} on now")
        for change in changes:
            for course in await _readers_of(store, index, readers, change):
                if course not in behind or course.closed or course.behind is None or course.behind > change.sequence:
                    continue
                course.behind = change.sequence
                if not course.push(change.sequence, change.entity_id):
                    del readers[course.subscription.key]
        reached = changes[-1].sequence if changes else start - 1
        for course in readers.values():
            if course not in behind or course.closed or course.behind is None:
                continue
            course.behind = max(course.behind, reached + 1)
            if course.behind > passed(course):
                course.through = max(course.through, course.behind - 1)
                course.behind = None
                behind.discard(course)
            owed(course)


def _readers(courses: set[Course]) -> dict[SubscriptionKey, Course]:
    return {
        course.subscription.key: course
        for course in courses
        if course.behind is not None and not course.closed and course.has_room(LOW)
    }


async def _readers_of(
    store: Store, index: SubscriptionIndex, readers: dict[SubscriptionKey, Course], change: Change
) -> list[Course]:
    """The readers that a change concerns."""
    state = state_of_interest(change)
    found = []
    for subscription in index.candidates(change):
        course = readers.get(subscription.key)
        if course is not None and await is_match_or_fault(store, subscription, change, state, course.tally):
            found.append(course)
    return found
