"""How far deliveries are behind the log, and what falls out of it before they are done."""

from broker import metrics
from broker.delivery.course import Course
from broker.delivery.gap import Gap
from broker.model.instants import parse_instant
from broker.store.protocol import Store
from broker.store.retention import Overtaken


async def lag_behind(store: Store, oldest: int | None, now: str) -> tuple[int, float]:
    """From the oldest position that is not done to the log's head: in changes, and in seconds since that change was made.

    Nothing is behind where there is no such position, or no change there yet. Raises StoreUnavailable.
    """
    if oldest is None or (head := await store.head()) < oldest:
        return 0, 0.0
    found = await store.changes(oldest - 1, 1)
    if not found:
        return 0, 0.0
    seconds = (parse_instant(now) - parse_instant(found[0].at)).total_seconds()
    return head - found[0].sequence + 1, max(round(seconds, 3), 0.0)


def miss(course: Course, one: Overtaken, matched: int) -> bool:
    """Note what a subscription misses of a stretch of the log that is about to go, where all up to `matched` was matched with
    it; whether there is anything."""
    owed = sum(one.after < position <= one.through for position in course.pending)
    unread = max(0, one.through - max((matched if course.behind is None else course.behind - 1), one.after))
    if course.closed or course.subscription.interval is not None or not (owed or unread):
        return False
    course.tally.miss(Gap(one.after, one.through, owed, unread, one.start, one.end))
    metrics.changes_missed.inc(owed + unread)
    return True
