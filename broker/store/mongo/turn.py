"""Whose turn it is to commit: processes whose commits meet draw tickets, and each is served for a slice of time.

Every commit moves the log's head first, and the server turns away at once whoever comes second. Trying again after pauses of its
own choice, a process meets others again and again while the head lies idle in between, and one that has just been there is there
again before those that wait. So a process that was turned away draws a ticket, and goes on doing so as long as it has company.
While its ticket is served it commits one group after the other as if it were alone, and the writes of the others gather: so
what it costs to pass the turn on is paid once a slice. Alone it never draws one, and pays nothing.

Which ticket is served is told by the head's own document, which the last commit of a slice changes together with the log.
Nothing rests on tickets but speed: who commits although it is not its turn meets another one, no more. Tickets of the dead are
passed over after a moment by the server's clock.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from broker import metrics

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

    from broker.store.mongo.connection import Connection

Row: TypeAlias = dict[str, Any]

HEAD: Final = "log"
"""The `_id` of the document in `meta` that holds the log's head, and the ticket that is served, since when."""
TICKETS: Final = "tickets"
"""The `_id` of the document in `meta` that counts tickets."""
SLICE_SECONDS: Final = 0.04
"""For how long the commits of one process are served when its turn has come."""
IDLE_SECONDS: Final = 0.005
"""How soon its turn ends where it has nothing to commit."""
SLOW_SECONDS: Final = 0.07
"""Where a commit takes so long, it is the only one of its slice: the next process need not wait for the disk."""
OVER_MS: Final = 100
"""How long after its last commit, or after its turn came, a process is passed over that does nothing."""
LOOK_SECONDS: Final = 0.003
"""How often a process looks whether its turn has come, for each of those before it."""
FARTHEST: Final = 5
"""No more than for so many."""
LONGEST_PAUSE: Final = 0.1
PATIENCE_SECONDS: Final = 2.0
"""How long it waits at most: then it tries all the same."""
COMPANY_SECONDS: Final = 1.0
"""For how long after one was turned away, or had to wait, it is likely to happen again."""
STATEMENT_SECONDS: Final = 0.25
"""How long a look at the tickets may take."""

_FAST: Final = WriteConcern(w=1, j=False)
_IS_OVER: Final[Row] = {"$lte": ["$served", {"$subtract": ["$$NOW", OVER_MS]}]}


class Turn:
    """See the module. One for each process: at most one of its commits is under way."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._company_until = 0.0
        self._ticket: int | None = None
        self._slice_until = 0.0
        self._is_last = False
        self._moved_at = 0.0
        self._takes = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._passing: asyncio.Task[bool] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether no other process is expected to commit before the next commit of this one."""
        return self._ticket is not None or time.monotonic() >= self._company_until

    async def begin(self) -> None:
        """Before the first attempt of a commit: wait for a turn, where others have been met lately."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._ticket is None and time.monotonic() < self._company_until:
            await self._await()

    async def collided(self, times: int) -> None:
        """After an attempt that met another commit, as the last so many did: return when the next one may succeed."""
        metrics.commit_collisions.inc()
        self._has_company()
        if self._ticket is None:
            await self._await()
        else:  # met one that has no ticket, or was passed over
            await asyncio.sleep(min(LONGEST_PAUSE, LOOK_SECONDS * times))

    def moves(self) -> Row:
        """What a commit does to the head's document beside moving the head."""
        self._moved_at = time.monotonic()
        is_over = self._moved_at >= self._slice_until or self._takes >= SLOW_SECONDS
        self._is_last = self._ticket is not None and is_over
        if self._ticket is None:
            return {}
        return _serving(self._ticket + 1) if self._is_last else {"$currentDate": {"served": True}}

    def end(self, *, made: bool) -> None:
        """A commit has ended, made or not. Where the turn has not, it does so soon, unless there is another one."""
        if made:
            self._takes = time.monotonic() - self._moved_at
            if self._is_last:
                self._ticket = None
        if self._ticket is not None:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._pass_on)

    async def close(self) -> None:
        """No more commits come."""
        if self._idle is not None:
            self._idle.cancel()
            self._pass_on()
        if self._passing is not None:
            await asyncio.wait([self._passing])

    def _pass_on(self) -> None:
        ticket, self._ticket, self._idle = self._ticket, None, None
        if ticket is not None:
            passing = self._serve({"serving": ticket}, ticket + 1)
            self._passing = asyncio.create_task(passing, name="passing on a turn")

    def _has_company(self) -> None:
        self._company_until = time.monotonic() + COMPANY_SECONDS

    async def _await(self) -> None:
        """Draw a ticket and wait until it is served, or until that is not to be expected: then it counts as none.

        Raises nothing: whatever is wrong with the store, the commit finds out.
        """
        begun = time.monotonic()
        try:
            if await self._await_served(begun + PATIENCE_SECONDS):
                self._slice_until = time.monotonic() + SLICE_SECONDS
            else:
                self._ticket = None
        except PyMongoError:
            self._ticket = None
        finally:
            metrics.commit_waiting_seconds.inc(time.monotonic() - begun)

    async def _await_served(self, deadline: float) -> bool:
        with pymongo.timeout(STATEMENT_SECONDS):
            drawn = await self._meta.find_one_and_update(
                {"_id": TICKETS}, {"$inc": {"next": 1}}, upsert=True, return_document=ReturnDocument.AFTER
            )
        if drawn is None:  # an upsert leaves none out
            return False
        ticket = self._ticket = int(drawn["next"])
        while True:
            with pymongo.timeout(STATEMENT_SECONDS):
                found = await self._meta.find_one({"_id": HEAD}, {"serving": 1, "is_over": _IS_OVER}) or {}
            serving = found.get("serving", 0)
            if serving >= ticket:
                return bool(serving == ticket)
            self._has_company()
            if time.monotonic() > deadline:
                return False
            if not found.get("is_over", True):
                await asyncio.sleep(LOOK_SECONDS * min(ticket - serving, FARTHEST))
            elif not await self._serve({"serving": serving} if serving else {}, serving + 1 if serving else ticket):
                return False  # whoever is served is in the middle of a commit, or has died there

    async def _serve(self, where: Row, ticket: int) -> bool:
        """Serve this ticket; whether the head's document could be written."""
        try:
            with pymongo.timeout(STATEMENT_SECONDS):
                await self._meta.update_one({"_id": HEAD, **where}, _serving(ticket))
        except PyMongoError:
            return False
        return True

    @property
    def _meta(self) -> "AsyncCollection[Row]":
        return self._connection.collection("meta").with_options(write_concern=_FAST)


def _serving(ticket: int) -> Row:
    """The update by which this ticket is served from now on, if no later one is."""
    return {"$max": {"serving": ticket}, "$currentDate": {"served": True}}
