"""The door of a feed: where its transport hands over what has come in, and learns when it is to wait."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from adapters.journal import Intake, Journal

MOST_WAITING: Final = 5_000
MOST_BYTES_WAITING: Final = 256 * 1024 * 1024
"""How many inputs of a feed, and bytes of them, may wait for their turn: the back-pressure of its transport."""


def now() -> str:
    """This moment, as a UTC instant."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Door:
    """One feed's door. `rung` is set when something has come in, or may have."""

    def __init__(self, feed: str, journal: Journal) -> None:
        self.feed = feed
        self.journal = journal
        self.rung = asyncio.Event()
        self.trouble = ""
        self._waiting = 0
        self._bytes = 0
        self._lighter = asyncio.Event()

    async def open(self) -> None:
        """Look how much is waiting from before."""
        await self.recount()
        self.rung.set()

    @property
    def has_room(self) -> bool:
        """Whether more may come in now."""
        return self._waiting < MOST_WAITING and self._bytes < MOST_BYTES_WAITING

    @property
    def waiting(self) -> int:
        """How many inputs wait, or are worked on."""
        return self._waiting

    async def take(self, intakes: Sequence[Intake]) -> int:
        """Put inputs on record, once there is room; how many were new. They cannot be lost any more when this returns."""
        while not self.has_room:
            self._lighter.clear()
            await self._lighter.wait()
        new = await self.journal.take_in(self.feed, intakes)
        self._waiting += new
        self._bytes += sum(len(each.data) for each in intakes)
        self.rung.set()
        return new

    async def recount(self) -> None:
        """Look again how much is waiting; somebody else may have put something in, too."""
        self.left(*await self.journal.waiting(self.feed))

    def left(self, waiting: int, size: int) -> None:
        """Be told how much is waiting, in inputs and bytes."""
        self._waiting, self._bytes = waiting, size
        if self.has_room:
            self._lighter.set()

    async def marks(self) -> dict[str, Any]:
        """What the transport wanted to find again."""
        return await self.journal.marks(self.feed)

    async def set_marks(self, marks: Mapping[str, Any], forget: Iterable[str] = ()) -> None:
        """Keep marks that come without an input, and forget others."""
        await self.journal.set_marks(self.feed, marks, forget)

    async def checked(self, trouble: str = "") -> None:
        """Note that the source was looked at, and what was wrong with it."""
        self.trouble = trouble
        await self.journal.checked(self.feed, now(), trouble)
