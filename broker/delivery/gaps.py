"""What subscriptions miss because the log's bound was hit: put on record before the changes go (design §4).

The process that trims the log need not be the one that has the share of an overtaken cursor. Then it leaves a document of kind
`overtaken` for the one that has it, or will have it next, and gives it a moment before the changes go.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from broker.delivery.books import Books
from broker.delivery.course import Course
from broker.delivery.courses import Courses
from broker.delivery.lag import miss
from broker.delivery.share import WATERMARK, Share, guarded, share_name, share_of
from broker.model.entity import JsonObject
from broker.store.protocol import DocumentKey, Store
from broker.store.retention import Overtaken

OVERTAKEN: Final = "overtaken"
PATIENCE: Final = 3.0
"""Seconds that another process has to put on record what its subscriptions miss, while it still knows what they are owed."""

_LOG: Final = logging.getLogger(__name__)


class Gaps:
    """See the module."""

    def __init__(self, store: Store, books: Books, courses: Courses) -> None:
        self._store = store
        self._books = books
        self._courses = courses

    def trimmed(self, after: int, tail: int) -> None:
        """A stretch of the log was gone before the live matching read it."""
        for share in self._books.shares.values():
            start = max(after, share.floor)
            if start < tail:
                self.tell_trimmed(self._courses.of_share(share.number), start, tail)

    def tell_trimmed(self, courses: Iterable[Course], after: int, tail: int) -> None:
        """A stretch of the log was gone before it was matched with these."""
        _LOG.error(
            "changes were trimmed from the log before they were matched with subscriptions",
            extra={"after": after, "through": tail},
        )
        for course in courses:
            since = max(after, course.subscription.since)
            if (
                since < tail
                and course.behind is None
                and miss(course, Overtaken(WATERMARK, since, tail, None, None), since)
            ):
                self._books.attempted(course)

    async def overtaken(self, them: Sequence[Overtaken]) -> None:
        """The log is about to be trimmed under these cursors: put on record what their subscriptions miss.

        Raises StoreUnavailable: then the log must not be trimmed yet.
        """
        elsewhere: list[str] = []
        here: set[Share] = set()
        for one in sorted(them, key=_widest):
            for number in self._numbers(one.cursor):
                share = self._books.shares.get(number)
                if share is None:
                    elsewhere.append(await self._leave_word(one, number))
                else:
                    self.note(share, self._courses.of_share(number), one, self._books.head(share))
                    here.add(share)
        for share in here:
            if not await self._books.save(share):
                its_own = [one for one in them if share.number in self._numbers(one.cursor)]
                elsewhere += [await self._leave_word(one, share.number) for one in its_own]
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while elsewhere and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
            left = {document_id for _, document_id, _ in await self._store.list_documents(OVERTAKEN)}
            elsewhere = [each for each in elsewhere if each in left]

    def note(self, share: Share | None, courses: Iterable[Course], one: Overtaken, matched: int) -> None:
        """Note what courses miss, where all up to `matched` was matched with them."""
        key = guarded(one.cursor)
        for course in courses:
            if key in (None, course.subscription.key) and miss(course, one, matched) and share is not None:
                share.ledger.attempted(course)

    async def look(self) -> None:
        """Note what another process left word of. Raises StoreUnavailable."""
        found = await read_overtaken(self._store)
        for number, them in found.items():
            if (share := self._books.shares.get(number)) is not None:
                for one in them.values():
                    self.note(share, self._courses.of_share(number), one, self._books.head(share))
                await self._books.save(share, deletes=list(them))

    def _numbers(self, cursor: str) -> list[int]:
        """The shares of a cursor: all, for the one from before there were shares; none, if it is not one of deliveries."""
        shares = self._books.number
        key = guarded(cursor)
        if key is not None:
            return [share_of(key, shares)]
        return [number for number in range(shares) if cursor in (WATERMARK, share_name(number, shares))]

    async def _leave_word(self, one: Overtaken, number: int) -> str:
        """The id of the document that tells whoever has a share, or will have it, of an overtaken cursor."""
        document_id = f"{number} {one.through} {one.cursor}"
        body: JsonObject = {
            "share": number,
            "cursor": one.cursor,
            "after": one.after,
            "through": one.through,
            "start": one.start,
            "end": one.end,
        }
        await self._store.put_document(OVERTAKEN, "", document_id, body)
        return document_id


async def read_overtaken(store: Store) -> dict[int, dict[DocumentKey, Overtaken]]:
    """What word was left of, by share. Raises StoreUnavailable."""
    found: dict[int, dict[DocumentKey, Overtaken]] = {}
    for tenant, document_id, body in await store.list_documents(OVERTAKEN):
        one = Overtaken(body["cursor"], body["after"], body["through"], body["start"], body["end"])
        found.setdefault(body["share"], {})[OVERTAKEN, tenant, document_id] = one
    return {number: dict(sorted(them.items(), key=lambda item: _widest(item[1]))) for number, them in found.items()}


def _widest(one: Overtaken) -> int:
    """A subscription's own cursor may be overtaken together with its share's: what misses most is told first, and tells all."""
    return one.after
