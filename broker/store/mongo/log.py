"""The change log: reading it, its two ends, waiting for more of it, and its consumers' cursors."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import ASCENDING, UpdateOne

from broker.model.change import Change, Touch
from broker.store.latest import LatestChanges
from broker.store.mongo.connection import Connection, Document, Session
from broker.store.mongo.encoding import decode_body
from broker.store.mongo.turn import HEAD

POLL_SECONDS: Final = 0.025
"""How often a process that waits looks for other processes' changes: 0.4 ms of CPU a look. Its own it hears of at once."""
ALONE_SECONDS: Final = 0.1
"""How often it looks where no other process is known to live: one may be there that has not been heard of yet."""
TRIM_STRIDE: Final = 10_000
TRIMMED: Final = "trimmed"
"""The `_id` of the document in `meta` that holds the log's tail."""


def _change(document: Document) -> Change:
    return Change(
        tenant=document["tenant"],
        entity_id=document["entity"],
        kind=document["kind"],
        at=document["at"],
        touched=tuple(Touch(*touch) for touch in document["touched"]),
        before=None if document["before"] is None else decode_body(document["before"]),
        after=None if document["after"] is None else decode_body(document["after"]),
        sequence=document["_id"],
    )


class Log:
    """The log of one connection. It is read with read concern majority: a fail-over takes nothing back that was seen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known = 0
        self._looked = 0.0
        self._pause = ALONE_SECONDS
        self._news = asyncio.Event()
        self._latest = LatestChanges()

    def have_company(self, others: bool) -> None:
        """Whether other processes live, whose changes are to be looked for often."""
        self._pause = POLL_SECONDS if others else ALONE_SECONDS

    def keep(self, changes: Sequence[Change], sizes: Sequence[int]) -> None:
        """Announce changes that this process has committed, and have them at hand for those who read on."""
        self._latest.add(changes, sizes)
        self._looked = time.monotonic()  # the commit was at the log's head: what others did before it is below it
        self.announce(changes[-1].sequence)

    @property
    def known(self) -> int:
        """How far the log is, as far as this process has heard."""
        return self._known

    def announce(self, head: int) -> None:
        """Tell all who wait in this process that the log has reached `head`."""
        if head > self._known:
            self._known = head
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def read(self, after: int, limit: int) -> list[Change]:
        """The changes with a sequence above `after`, in order."""
        if limit <= 0:
            return []
        async with self._connection.translated("reading the log"):
            found = self._connection.collection("changes", settled=True).find(
                {"_id": {"$gt": after}}, sort=[("_id", ASCENDING)], limit=limit
            )
            return [_change(document) async for document in found]

    async def read_on(self, after: int, limit: int) -> list[Change]:
        """The next changes above `after`: those at hand, if there are any."""
        return self._latest.after(after, limit) or await self.read(after, limit)

    async def head(self) -> int:
        """The sequence of the newest change, 0 for an empty log."""
        return await self._end(HEAD, "head")

    async def tail(self) -> int:
        """The sequence up to which the log has been trimmed, 0 if never."""
        return await self._end(TRIMMED, "tail")

    async def _end(self, document_id: str, field: str) -> int:
        async with self._connection.translated("reading the log's ends"):
            found = await self._connection.collection("meta", settled=True).find_one({"_id": document_id})
            return int(found[field]) if found is not None else 0

    async def trim(self, through: int) -> None:
        """Forget the changes up to and including this sequence."""
        through = min(through, await self.head())
        self._latest.trim(through)
        async with self._connection.translated("trimming the log"):
            await self._connection.collection("meta").update_one({"_id": TRIMMED}, {"$max": {"tail": through}})
            changes = self._connection.collection("changes")
            oldest = await changes.find_one({}, {"_id": 1}, sort=[("_id", ASCENDING)])
            # In strides, because one command that deletes millions of documents holds up all others.
            reached = through if oldest is None else min(through, oldest["_id"])
            while True:
                await changes.delete_many({"_id": {"$lte": reached}})
                if reached == through:
                    return
                reached = min(through, reached + TRIM_STRIDE)

    async def wait(self, after: int, timeout: float) -> bool:
        """Return as soon as there is a change above `after`, or after `timeout` seconds; whether there is one."""
        deadline = time.monotonic() + timeout
        while self._known <= after:
            news = self._news
            now = time.monotonic()
            if now >= self._looked + self._pause or now >= deadline:
                self._looked = now  # for all who wait in this process
                self.announce(await self.head())
                if self._known > after or now >= deadline:
                    break
            pause = min(deadline, self._looked + self._pause) - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, pause)):
                    await news.wait()
            except TimeoutError:
                continue
        return self._known > after

    async def cursors(self) -> dict[str, int]:
        """Every consumer's durable cursor."""
        async with self._connection.translated("reading cursors"):
            return {cursor["_id"]: cursor["sequence"] async for cursor in self._connection.collection("cursors").find()}

    async def cursor(self, name: str) -> int | None:
        """One of them, None where there is none."""
        async with self._connection.translated("reading a cursor"):
            found = await self._connection.collection("cursors", settled=True).find_one({"_id": name})
            return None if found is None else int(found["sequence"])

    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these cursors, durably."""
        if not cursors:
            return
        async with self._connection.translated("saving cursors"):
            await self._connection.collection("cursors").bulk_write(
                [cursor_update(name, sequence) for name, sequence in cursors.items()], ordered=False
            )

    async def drop_cursor(self, name: str) -> None:
        """Forget a cursor."""
        async with self._connection.translated("dropping a cursor"):
            await self._connection.collection("cursors").delete_one({"_id": name})


def cursor_update(name: str, sequence: int) -> UpdateOne:
    """The write that sets a cursor."""
    return UpdateOne({"_id": name}, _at(sequence), upsert=True)


async def save_cursor(connection: Connection, name: str, sequence: int, session: Session) -> None:
    """Set one cursor in the transaction of a session."""
    await connection.collection("cursors").update_one({"_id": name}, _at(sequence), upsert=True, session=session)


def _at(sequence: int) -> dict[str, Any]:
    return {"$set": {"sequence": sequence}}
