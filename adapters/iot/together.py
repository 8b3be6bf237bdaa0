"""Measures that come at the same time go to disk together: what waits while a transaction is under way is the next one."""

import asyncio
from collections.abc import Sequence

from adapters.door import Door
from adapters.journal import Intake, JournalFailed


class Together:
    """The way through a door for many senders at once."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._waiting: list[tuple[Sequence[Intake], asyncio.Future[None]]] = []
        self._at_work: asyncio.Task[None] | None = None

    async def take(self, intakes: Sequence[Intake]) -> None:
        """Put inputs on record, in this order; they cannot be lost any more when this returns. Raises JournalFailed."""
        on_disk: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((intakes, on_disk))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work(), name="measures to disk")
        await on_disk

    async def _work(self) -> None:
        some: list[tuple[Sequence[Intake], asyncio.Future[None]]] = []
        try:
            while self._waiting:
                some, self._waiting = self._waiting, []
                failure: JournalFailed | None = None
                try:
                    await self.door.take([each for intakes, _ in some for each in intakes])
                except JournalFailed as error:
                    failure = error
                for _, on_disk in some:
                    if on_disk.done():
                        continue  # who sent it is gone
                    if failure is None:
                        on_disk.set_result(None)
                    else:
                        on_disk.set_exception(failure)
        finally:
            self._at_work = None
            left, self._waiting = (*some, *self._waiting), []
            for _, on_disk in left:
                on_disk.cancel()  # only where the runner ends in the middle; the others are done
