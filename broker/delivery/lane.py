"""A lane: all deliveries to one receiver (scheme, host and port), side by side within bounds, so that a receiver that hangs
holds up nobody but itself.

Courses take turns. Those whose last attempt failed are tried one notification at a time and get at most a quarter of the lane, so
that a dead path of a receiver leaves the way free to its living ones.

Each delivery under way holds a socket, and a process has only so many. So all lanes share a `Traffic`: where it is dense, each
lane gets one delivery at a time, and where it is full, lanes wait for their turn.
"""

import asyncio
import resource
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from broker.delivery.course import Course

SLOTS: Final = 16
"""Notifications under way to one receiver at the same time."""
SUSPECT_SLOTS: Final = 4
"""How many of them may be for courses whose last attempt failed."""
MOST_DELIVERIES: Final = 10_000
"""Deliveries under way to all receivers together, where the process may open enough files for them."""

Carry: TypeAlias = Callable[[Course, tuple[int, ...]], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Traffic:
    """The deliveries under way in all lanes: how many there are, how many there may be, and the lanes that wait for that."""

    most: int
    under_way: int = 0
    waiting: dict["Lane", None] = field(default_factory=dict)

    def slots(self) -> int:
        """How many deliveries a lane may have under way now."""
        if self.under_way >= self.most:
            return 0
        return SLOTS if self.under_way < self.most // 2 else 1

    def go_on(self) -> None:
        """A delivery ended: let the lanes that wait go on in turn, as far as there is room."""
        for lane in list(self.waiting):
            if self.under_way >= self.most:
                return
            del self.waiting[lane]
            lane.fill()


class Lane:
    """See the module. `carry` delivers one notification and tells the course what came of it; it must not raise.

    `behind` are the courses that have to read the log again, `unreachable` those that found no receiver at their last try.
    """

    def __init__(self, carry: Carry, traffic: Traffic) -> None:
        self.courses: set[Course] = set()
        self.behind: set[Course] = set()
        self.unreachable: set[Course] = set()
        self._carry = carry
        self._traffic = traffic
        self._sound: deque[Course] = deque()
        self._suspect: deque[Course] = deque()
        self._queued: set[Course] = set()
        self._under_way: dict[asyncio.Task[None], Course] = {}
        self._suspects_under_way = 0
        self._timers: dict[Course, asyncio.TimerHandle] = {}

    @property
    def under_way(self) -> tuple[asyncio.Task[None], ...]:
        """The deliveries that are going on."""
        return tuple(self._under_way)

    def under_way_for(self, course: Course) -> list[asyncio.Task[None]]:
        """The deliveries of a course that are going on."""
        return [task for task, owner in self._under_way.items() if owner is course]

    def join(self, course: Course) -> None:
        """Take a course into the lane."""
        self.courses.add(course)
        if course.behind is not None:
            self.behind.add(course)
        self.offer(course)

    def leave(self, course: Course, *, break_off: bool) -> None:
        """Let a course go; with `break_off` what is under way for it is cancelled."""
        self.courses.discard(course)
        self.behind.discard(course)
        self.unreachable.discard(course)
        timer = self._timers.pop(course, None)
        if timer is not None:
            timer.cancel()
        if break_off:
            for task, owner in list(self._under_way.items()):
                if owner is course:
                    task.cancel()

    def offer(self, course: Course) -> None:
        """Something may go out for a course: give it its turn, or wait until it is time."""
        if course not in self._queued and _has_more(course):
            self._queued.add(course)
            (self._suspect if course.stop.failures else self._sound).append(course)
        self.fill()

    def reached(self, now: float) -> None:
        """A delivery got through: those that had found no receiver here may try again."""
        waiting = list(self.unreachable)
        self.unreachable.clear()
        for course in waiting:
            course.reached(now)
            self.offer(course)

    def halt(self) -> None:
        """Start no more deliveries; those under way go on."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._sound.clear()
        self._suspect.clear()
        self.courses.clear()
        self._traffic.waiting.pop(self, None)

    def fill(self) -> None:
        """Start what may go out, as far as there is room."""
        while (slots := self._traffic.slots()) > len(self._under_way):
            course = self._next()
            if course is None:
                return
            self._queued.discard(course)
            if course not in self.courses:
                continue
            now = asyncio.get_running_loop().time()
            positions = course.take(now)
            if positions is None:
                self._wait(course, now)
                continue
            self._launch(course, positions)
            if not course.stop.failures and _has_more(course):
                self._queued.add(course)
                self._sound.append(course)
        if not slots and not self._under_way and (self._sound or self._suspect):  # else what lands here fills it again
            self._traffic.waiting[self] = None

    def _next(self) -> Course | None:
        """The course whose turn it is. One slot is kept from the sound ones where a suspect waits."""
        suspect_waits = bool(self._suspect) and self._suspects_under_way < SUSPECT_SLOTS
        sound_under_way = len(self._under_way) - self._suspects_under_way
        if self._sound and not (suspect_waits and sound_under_way >= SLOTS - 1):
            return self._sound.popleft()
        return self._suspect.popleft() if suspect_waits else None

    def _launch(self, course: Course, positions: tuple[int, ...]) -> None:
        suspect = course.stop.failures > 0
        task = asyncio.create_task(self._carry(course, positions))
        self._under_way[task] = course
        self._suspects_under_way += suspect
        self._traffic.under_way += 1

        def landed(done: asyncio.Task[None]) -> None:
            del self._under_way[done]
            self._suspects_under_way -= suspect
            self._traffic.under_way -= 1
            if done.cancelled():  # perhaps before its first step, and then it cannot have said so itself
                course.released(positions)
            self._traffic.go_on()
            if course in self.courses:
                self.offer(course)
            else:
                self.fill()

        task.add_done_callback(landed)

    def _wait(self, course: Course, now: float) -> None:
        """Offer the course again when its pause is over."""
        at = course.wake_at(now)
        known = self._timers.pop(course, None)
        if known is not None:
            known.cancel()
        if at is None:
            return

        def wake() -> None:
            self._timers.pop(course, None)
            if course in self.courses:
                self.offer(course)

        self._timers[course] = asyncio.get_running_loop().call_at(at, wake)


def _has_more(course: Course) -> bool:
    """Whether more is owed than what is on its way: when that lands, the course is offered again."""
    return course.due or len(course.pending) > len(course.flying)


def most_deliveries() -> int:
    """How many deliveries may be under way: half of the files that the process may open, the rest is for its clients."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DELIVERIES if files == resource.RLIM_INFINITY else max(1, min(MOST_DELIVERIES, files // 2))
