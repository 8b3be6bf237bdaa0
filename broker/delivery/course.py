"""The course of one subscription's deliveries: what is owed to its receiver, what may go out next, when to try again.

Pure state: time comes in as seconds of a monotonic clock, so every rule here is tested without waiting. A course keeps
positions of the change log, never bodies. It takes up to a bound of them; beyond it falls `behind`: it then only remembers
from which position on nothing has been looked at for it yet, and the log is read again when there is room (broker.delivery.lane).

A notification that fails too often while others go through is given up (broker.delivery.failure says how often): it is set
aside, and the course goes on without it. Notifications of one entity go out in order; once one is set aside, the later ones
of its entity still go out, because a later state supersedes it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from broker.delivery.failure import Failure, Patience, patience_with
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

CROWD: Final = ROOM // 4
"""Entities whose notifications fail, from which on they are given up sooner, so that they leave room for the others."""
YIELD: Final = 0.1
"""Seconds by which a notification that was refused waits longer than the others, so that one of them is tried first."""
MOST_REFUSED: Final = 1_000
"""Entities with notifications set aside that a course remembers."""


@dataclass(slots=True)
class Stop:
    """Why deliveries wait: failures in a row, the time before which none is tried, whether no one answered the last try.

    Also: `refusals`, how many of the failures were answers that refuse the message; `beside_others`, how many of them all
    others went through between; `seen`, how many had gone through by the last one; and the first and the last failure.
    """

    failures: int = 0
    until: float = 0.0
    unanswered: bool = False
    refusals: int = 0
    beside_others: int = 0
    seen: int = 0
    first: Failure | None = None
    last: Failure | None = None

    def count(self, successes: int, failure: Failure | None) -> None:
        """One more failure, by the time of which so many other notifications have gone through."""
        if not self.failures or successes > self.seen:
            self.beside_others += 1
        self.failures += 1
        self.refusals += patience_with(failure).alone is not None
        self.seen = successes
        self.first = self.first or failure
        self.last = failure


@dataclass(slots=True, eq=False)
class Course:
    """What is owed under one subscription.

    `pending`: position -> entity id of changes that match and are not acknowledged yet, in order. `flying`: those of them
    that are on their way. `taken`: the last position that ever was on its way. `behind`: None, or the first position that
    was not matched yet. `through`: every position up to it is accounted for. `unsure`: positions up to it were matched under
    an earlier version of the subscription, or before a restart, and are matched again before they are sent. `due`: the
    period of a periodic subscription is over. `newest`: entity id -> its last pending position, kept for throttled
    subscriptions only. `heir`: the course that followed this closed one. `gone`: the subscription was deleted, or another
    process has it. `successes`: notifications that went through. `refused`: entities of which a notification was set aside and
    none got through since, with the successes until then. `share`: that of the subscription (broker.delivery.share).
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
    gone: bool = False
    busy: bool = False
    last_sent: float | None = None
    heir: "Course | None" = None
    stop: Stop = field(default_factory=Stop)
    stops: dict[str, Stop] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    successes: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    share: int = 0

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
        self.refused.clear()
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

    def throttled_for(self, now: float) -> float:
        """Seconds that are left of a throttling period (5.2.12)."""
        if self.subscription.throttling is None or self.last_sent is None:
            return 0.0
        return max(0.0, self.last_sent + self.subscription.throttling - now)

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

    def delivered(self, positions: tuple[int, ...], *, sent: bool = True) -> None:
        """The notification arrived, or (not `sent`) turned out not to be owed: its positions are done."""
        self.stop = Stop()
        entities = self._done(positions)
        if sent:
            self.successes += 1
            for entity_id in entities:
                self.refused.pop(entity_id, None)

    def set_aside(self, positions: tuple[int, ...]) -> None:
        """The notification was given up and is on record as undelivered: its positions are done."""
        entities = self._done(positions)
        if self.subscription.throttling is not None:
            self.stop = Stop()
            return
        for entity_id in entities:
            self.remember_refused(entity_id)

    def remember_refused(self, entity_id: str) -> None:
        """A notification of this entity is on record as undelivered: the next one that is refused joins it at once."""
        self.refused.pop(entity_id, None)
        self.refused[entity_id] = self.successes
        if len(self.refused) > MOST_REFUSED:
            del self.refused[next(iter(self.refused))]

    def _done(self, positions: tuple[int, ...]) -> list[str]:
        """Forget positions; the entities that they were about."""
        self.busy = False
        entities = []
        for position in positions:
            self.flying.discard(position)
            entity_id = self.pending.pop(position, None)
            if entity_id is not None:
                entities.append(entity_id)
                self.stops.pop(entity_id, None)
                if self.newest.get(entity_id) == position:
                    del self.newest[entity_id]
        return entities

    def failed(
        self,
        positions: tuple[int, ...],
        now: float,
        *,
        by_message: bool = False,
        unanswered: bool = False,
        failure: Failure | None = None,
    ) -> bool:
        """The notification did not arrive; it is tried again after a pause that grows with each failure, or given up.

        True if it is given up: then its positions stay flying until `set_aside`, or `released` where that cannot be done now.
        `by_message`: the receiver is there but refuses this very message, so only its entity has to wait. `unanswered`: it
        could not be reached. The endpoint's cooldown is a pause for everything (5.2.15).
        """
        self.busy = False
        patience = patience_with(failure)
        cooldown = self.subscription.endpoint.cooldown
        entities = {self.pending[position] for position in positions if position in self.pending}
        own: Stop | None = None
        if len(entities) == 1 and self.subscription.throttling is None:
            entity_id = entities.pop()
            own = self.stops.setdefault(entity_id, Stop())
            own.count(self.successes, failure)
            if by_message:
                self.stop.until = max(self.stop.until, now + cooldown)
                own.until = max(own.until, now + max(cooldown, pause_after(own.failures)))
            if self._is_given_up(entity_id, own, patience):
                own.until = max(own.until, now + pause_after(1))
                return True
        self.flying.difference_update(positions)
        if own is None or not by_message:
            self._pause(now, unanswered, failure)
        if own is not None and not by_message:
            self._step_back(own, now, unanswered)
        if self.subscription.interval is not None:
            self.due = True
        if own is None and entities and patience.alone is not None and self.stop.refusals >= patience.alone:
            self.flying.update(positions)
            return True
        return False

    def stop_of(self, positions: tuple[int, ...]) -> Stop:
        """What is known of the failures of a notification that is owed."""
        for position in positions:
            own = self.stops.get(self.pending.get(position, ""))
            if own is not None and self.subscription.throttling is None:
                return own
        return self.stop

    def _pause(self, now: float, unanswered: bool, failure: Failure | None) -> None:
        """Let everything wait."""
        stop = self.stop
        if not stop.failures or now >= stop.until:
            stop.count(self.successes, failure)  # else it was under way together with one that has failed: one failure
        stop.until = max(stop.until, now + max(self.subscription.endpoint.cooldown, pause_after(stop.failures)))
        stop.unanswered = unanswered

    def _step_back(self, own: Stop, now: float, unanswered: bool) -> None:
        """Let an entity wait that failed in a way which may be the endpoint's: as long as all do, and a little longer where
        there are others, because what becomes of them tells whose fault it is."""
        own.unanswered = unanswered
        until = self.stop.until
        if own.beside_others > 1:
            until = max(until, now + pause_after(own.failures))
        has_others = any(self.stops.get(entity_id) is not own for entity_id in self.pending.values())
        own.until = max(own.until, until + YIELD if has_others else until)

    def _is_given_up(self, entity_id: str, own: Stop, patience: Patience) -> bool:
        """Whether an entity's notification has failed often enough."""
        mark = self.refused.get(entity_id)
        if mark is not None and patience.beside_others is not None and (patience.again or self.successes > mark):
            return True
        beside = patience.crowded if len(self.stops) >= CROWD else patience.beside_others
        if beside is not None and own.beside_others >= beside:
            return True
        return patience.alone is not None and own.refusals >= patience.alone

    def reached(self, now: float) -> None:
        """Another delivery to the same receiver got through: one that could not be reached need not wait any longer."""
        if self.stop.unanswered and not self.subscription.endpoint.cooldown:
            self.stop.until = min(self.stop.until, now)
            for own in self.stops.values():
                if own.unanswered and own.beside_others <= 1:
                    own.until = min(own.until, now)

    def released(self, positions: tuple[int, ...]) -> None:
        """The attempt was broken off by the broker itself: as if it had not been taken."""
        self.busy = False
        self.flying.difference_update(positions)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling up to LONGEST_PAUSE, with jitter so that many do not meet."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
    return pause * random.uniform(0.75, 1.0)
