"""A lane: all deliveries to one receiver (scheme, host and port), side by side within bounds, so that a receiver that hangs
holds up nobody but itself.

Courses take turns. Those whose last attempt failed are tried one notification at a time and get at most a quarter of the lane, so
that a dead path of a receiver leaves the way free to its living ones.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from broker.delivery.course import Course

SLOTS: Final = 16
"""Notifications under way to one receiver at the same time."""
SUSPECT_SLOTS: Final = 4
"""How many of them may be for courses whose last attempt failed."""

Carry: TypeAlias = Callable[[Course, tuple[int, ...]], Coroutine[Any, Any, None]]


class Lane:
    """See the module. `carry` delivers one notification and tells the course what came of it; it must not raise.

    `behind` are the courses that have to read the log again, `unreachable` those that found no receiver at their last try.
    """

    def __init__(self, carry: Carry) -> None:
        self.courses: set[Course] = set()
        self.behind: set[Course] = set()
        self.unreachable: set[Course] = set()
        self._carry = carry
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
        if course not in self._queued:
            self._queued.add(course)
            (self._suspect if course.stop.failures else self._sound).append(course)
        self._fill()

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

    def _fill(self) -> None:
        while len(self._under_way) < SLOTS:
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
            if not course.stop.failures:
                self._queued.add(course)
                self._sound.append(course)

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

        def landed(done: asyncio.Task[None]) -> None:
            del self._under_way[done]
            self._suspects_under_way -= suspect
            if course in self.courses:
                self.offer(course)
            else:
                self._fill()

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
