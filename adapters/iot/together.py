"""Measures that come at the same time go to disk together: what waits while a transaction is under way is the next one."""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from adapters.door import Door
from adapters.journal import Intake, JournalFailed

_Waiting: TypeAlias = tuple[Sequence[Intake], "asyncio.Future[None]"]


class Together:
    """The way through a door for many senders at once."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._waiting: list[_Waiting] = []
        self._at_work: asyncio.Task[None] | None = None

    async def take(self, intakes: Sequence[Intake]) -> None:
        """Put inputs on record, in this order; they cannot be lost any more when this returns. Raises JournalFailed."""
        on_disk: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((intakes, on_disk))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work(), name="measures to disk")
        await on_disk

    async def _together(self, some: Sequence[_Waiting]) -> None:
        await self.door.take([each for intakes, _ in some for each in intakes])
        _settle(some, None)

    async def _work(self) -> None:
        some: list[_Waiting] = []
        try:
            while self._waiting:
                some, self._waiting = self._waiting, []
                try:
                    await self._together(some)
                except JournalFailed as error:
                    _settle(some, error)
                except Exception:  # noqa: BLE001 - one of them cannot be written, and its sender alone is told so
                    for each in some:
                        try:
                            await self._together([each])
                        except Exception as error:  # noqa: BLE001 - whatever it is, it is whose input it was to know it
                            _settle([each], error)
        finally:
            self._at_work = None
            left, self._waiting = (*some, *self._waiting), []
            for _, on_disk in left:
                on_disk.cancel()  # only where the runner ends in the middle; the others are done


def _settle(some: Sequence[_Waiting], failure: Exception | None) -> None:
    for _, on_disk in some:
        if on_disk.done():
            continue  # who sent it is gone
        if failure is None:
            on_disk.set_result(None)
        else:
            on_disk.set_exception(failure)
