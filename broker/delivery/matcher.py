"""The matcher: reads the log in order, once for all shares of this process, and hands positions to the courses that a change
concerns (5.8.6).

A share that is taken over may be further behind than the others. Then the matcher goes back to where it was left and reads
on from there: what the others have been matched with already passes them by.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from broker.delivery.background import report, watched
from broker.delivery.carrier import RecentChanges
from broker.delivery.courses import Courses
from broker.delivery.matching import is_match_or_fault, state_of_interest
from broker.model.change import Change
from broker.store.protocol import Store

BATCH: Final = 256
"""Changes that are read from the log at a time."""
PORTION: Final = 8
"""How many of them are matched before what they are owed begins to go out, and others get their turn."""
LONGEST_WAIT: Final = 5.0
"""Seconds after which a wait for changes or a failing store is looked at again."""


class Matcher:
    """See the module. `matched` is the last position that is done, `met` the last one that was begun with. `trimmed` is told
    of a stretch of the log (after, through) that was gone before it was read."""

    def __init__(
        self, store: Store, courses: Courses, recent: RecentChanges, trimmed: Callable[[int, int], None]
    ) -> None:
        self._store = store
        self._courses = courses
        self._recent = recent
        self._trimmed = trimmed
        self._begun = 0
        self._task: asyncio.Task[None] | None = None
        self.matched = 0
        self.turn = asyncio.Lock()
        """Held while changes are matched: who has it finds no change half matched."""

    @property
    def met(self) -> int:
        """The last position that matching has begun with."""
        return max(self._begun, self.matched)

    def go_to(self, position: int) -> None:
        """Go on behind a position, forwards or back. To be called with the `turn`."""
        self.matched = self._begun = position
        self._end()  # it may be waiting for what comes behind another position
        self._task = watched(self._run())

    async def stop(self) -> None:
        """Read no more, once nothing is half matched."""
        async with self.turn:
            task = self._task
            self._end()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        """Match change after change, for ever."""
        while True:
            try:
                await self._match_more()
            except Exception as error:  # noqa: BLE001 - deliveries must never come to a silent stop
                report("the change log cannot be worked off", error)
                await asyncio.sleep(LONGEST_WAIT)

    async def _match_more(self) -> None:
        """Match what there is, or wait for more. Without any subscription the log is passed over unread."""
        async with self.turn:
            if not await self._match_batch():
                return
        await self._store.wait_for_changes(self.matched, LONGEST_WAIT)

    async def _match_batch(self) -> bool:
        """Match some changes; whether there were none, so that it is time to wait for more."""
        index = self._courses.index
        if not len(index):
            head = await self._store.head()
            if not len(index):
                self.matched = max(self.matched, head)
                return True
        changes = await self._store.next_changes(self.matched, BATCH)
        if not changes:
            return True
        if changes[0].sequence > self.matched + 1 and (tail := await self._store.tail()) > self.matched:
            self._trimmed(self.matched, tail)
        for number, change in enumerate(changes, 1):
            self._begun = change.sequence
            await self._match(change)
            self.matched = change.sequence
            if number % PORTION == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        return len(changes) < BATCH  # else there is nothing more, as far as this process knows

    async def _match(self, change: Change) -> None:
        """Hand the position of a change to the courses of all subscriptions that it concerns."""
        candidates = self._courses.index.candidates(change)
        if not candidates:
            return
        state = state_of_interest(change)
        self._recent.put(change)
        for number, subscription in enumerate(candidates, 1):
            course = self._courses.get(subscription.key)
            if (
                course is not None
                and change.sequence > course.through
                and await is_match_or_fault(self._store, subscription, change, state, course.tally)
            ):
                self._courses.owe(subscription, change)
            if number % BATCH == 0:
                await asyncio.sleep(0)
