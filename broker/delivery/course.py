"""The course of one subscription's deliveries: what is owed to its receiver, what may go out next, when to try again.

Pure state: time comes in as seconds of a monotonic clock, so every rule here is tested without waiting. A course keeps
positions of the change log, never bodies. It takes up to a bound of them; beyond it falls `behind`: it then only remembers
from which position on nothing has been looked at for it yet, and the log is read again when there is room (broker.delivery.lane).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from broker.delivery.subscription import Subscription
from broker.delivery.tally import Tally

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
"""Seconds before the first retry, and the most that retries of one notification lie apart."""

SIDE_BY_SIDE: Final = 8
"""Notifications of one subscription that are under way at the same time."""
ROOM: Final = 256
"""Positions that a course keeps."""
THROTTLED_ROOM: Final = 2_000
"""Positions that a throttled course keeps: all that one notification at the end of its period can tell of."""


@dataclass(slots=True)
class Stop:
    """Why deliveries wait: failures in a row, the time before which none is tried, whether no one answered the last try."""

    failures: int = 0
    until: float = 0.0
    unanswered: bool = False


@dataclass(slots=True, eq=False)
class Course:
    """What is owed under one subscription.

    `pending`: position -> entity id of changes that match and are not acknowledged yet, in order. `flying`: those of them
    that are on their way. `taken`: the last position that ever was on its way. `behind`: None, or the first position that
    was not matched yet. `through`: every position up to it is accounted for. `unsure`: positions up to it were matched under
    an earlier version of the subscription, or before a restart, and are matched again before they are sent. `due`: the
    period of a periodic subscription is over. `newest`: entity id -> its last pending position, kept for throttled
    subscriptions only. `heir`: the course that followed this closed one.
    """

    subscription: Subscription
    tally: Tally
    through: int
    pending: dict[int, str] = field(default_factory=dict)
    flying: set[int] = field(default_factory=set)
    taken: int = 0
    behind: int | None = None
    unsure: int = 0
    due: bool = False
    closed: bool = False
    busy: bool = False
    last_sent: float | None = None
    heir: "Course | None" = None
    stop: Stop = field(default_factory=Stop)
    stops: dict[str, Stop] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)

    # --- what is owed

    @property
    def is_outstanding(self) -> bool:
        """Whether anything up to the matched head of the log is still owed."""
        return bool(self.pending) or self.behind is not None

    @property
    def oldest(self) -> int | None:
        """The first position that is not done."""
        for position in self.pending:
            return position
        return self.behind

    def has_room(self, share: float = 1.0) -> bool:
        """Whether another position may be taken."""
        room = ROOM if self.subscription.throttling is None else THROTTLED_ROOM
        return len(self.pending) < max(1, int(room * share))

    def push(self, position: int, entity_id: str) -> bool:
        """Take the position of a change that matches; False, and nothing taken, where there is no room.

        A throttled course tells of an entity's last change only, so a newer position takes an older one's place.
        """
        if position <= self.through:
            return True
        older = self.newest.get(entity_id)
        if older is not None and older not in self.flying:
            self.pending.pop(older, None)
        elif not self.has_room():
            return False
        self.pending[position] = entity_id
        self.through = position
        if self.subscription.throttling is not None:
            self.newest[entity_id] = position
        return True

    def renew(self, subscription: Subscription) -> None:
        """Go on under a changed subscription: at once, as whatever was wrong with its endpoint may be right now."""
        self.subscription = subscription
        self.stop = Stop()
        self.stops.clear()
        if subscription.interval is not None:
            self.pending.clear()
            self.behind = None
        self.recall(self.pending)

    def recall(self, pending: dict[int, str]) -> None:
        """Owe these positions, without being sure that they still match."""
        self.pending = pending
        self.unsure = max([self.unsure, *pending])
        self.newest = {}
        if self.subscription.throttling is not None:
            self.newest = {entity_id: position for position, entity_id in pending.items()}

    def close(self) -> None:
        """Owe nothing any more: the subscription is gone, paused or expired."""
        self.closed = True
        self.pending.clear()
        self.newest.clear()
        self.behind = None
        self.due = False

    # --- what goes out next

    def take(self, now: float) -> tuple[int, ...] | None:
        """The positions that the next notification tells of, marked as flying; None if nothing may go out now.

        Notifications of one entity go out in order, one after the other; of a throttled or periodic subscription, only
        one is under way at a time. The empty tuple is a periodic notification, which tells of no change.
        """
        if self.closed or now < self.ready_at(now):
            return None
        if self.subscription.interval is not None:
            if not self.due or self.busy:
                return None
            self.due = False
            self.busy = True
            self.last_sent = now
            return ()
        if self.subscription.throttling is not None:
            if not self.pending or self.flying:
                return None
            positions = tuple(self.pending)
        else:
            first = next(self._free(now), None)
            if first is None or len(self.flying) >= SIDE_BY_SIDE:
                return None
            positions = (first,)
        self.flying.update(positions)
        self.taken = max(self.taken, positions[-1])
        self.last_sent = now
        return positions

    def ready_at(self, now: float) -> float:
        """The time before which nothing goes out, whatever is owed: after a failure, or within the throttling period."""
        until = self.stop.until
        if self.subscription.throttling is not None and self.last_sent is not None:
            until = max(until, self.last_sent + self.subscription.throttling)
        return until

    def wake_at(self, now: float) -> float | None:
        """When `take` may give something without anything new happening; None if nothing waits for time to pass."""
        if self.closed or not (self.pending or self.due):
            return None
        ready = self.ready_at(now)
        if ready > now:
            return ready
        waits = [stop.until for entity, stop in self.stops.items() if stop.until > now]
        return min(waits, default=None)

    def _free(self, now: float) -> Iterator[int]:
        """The positions that may go out: their entity has no earlier one that is flying or waits."""
        held = set()
        for position, entity_id in self.pending.items():
            stop = self.stops.get(entity_id)
            if entity_id not in held and position not in self.flying and (stop is None or stop.until <= now):
                yield position
            held.add(entity_id)

    # --- what came of it

    def delivered(self, positions: tuple[int, ...]) -> None:
        """The notification arrived, or turned out not to be owed: its positions are done."""
        self.busy = False
        self.stop = Stop()
        for position in positions:
            self.flying.discard(position)
            entity_id = self.pending.pop(position, None)
            if entity_id is not None:
                self.stops.pop(entity_id, None)
                if self.newest.get(entity_id) == position:
                    del self.newest[entity_id]

    def failed(
        self, positions: tuple[int, ...], now: float, *, by_message: bool = False, unanswered: bool = False
    ) -> None:
        """The notification did not arrive; it is tried again after a pause that grows with each failure.

        `by_message`: the receiver is there but refuses this very message, so only its entity has to wait. `unanswered`: it
        could not be reached. The endpoint's cooldown is a pause for everything (5.2.15).
        """
        self.busy = False
        self.flying.difference_update(positions)
        cooldown = self.subscription.endpoint.cooldown
        entities = {self.pending[position] for position in positions if position in self.pending}
        if by_message and len(entities) == 1 and self.subscription.throttling is None:
            stop = self.stops.setdefault(entities.pop(), Stop())
            self.stop.until = max(self.stop.until, now + cooldown)
        else:
            stop = self.stop
        if (
            not stop.failures or now >= stop.until
        ):  # else it was under way together with one that has failed: they fail as one
            stop.failures += 1
        stop.until = max(stop.until, now + max(cooldown, pause_after(stop.failures)))
        stop.unanswered = unanswered
        if self.subscription.interval is not None:
            self.due = True

    def reached(self, now: float) -> None:
        """Another delivery to the same receiver got through: one that could not be reached need not wait any longer."""
        if self.stop.unanswered and not self.subscription.endpoint.cooldown:
            self.stop.until = min(self.stop.until, now)

    def released(self, positions: tuple[int, ...]) -> None:
        """The attempt was broken off by the broker itself: as if it had not been taken."""
        self.busy = False
        self.flying.difference_update(positions)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling up to LONGEST_PAUSE, with jitter so that many do not meet."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
    return pause * random.uniform(0.75, 1.0)
