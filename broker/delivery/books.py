"""The ledgers of all shares that this process has, and all writing under their leases.

Whatever is written here is written only if its share is still this process's own; where it has gone to another process, nothing
is, and whoever keeps the shares is told. So a process that was frozen for a while cannot undo what its successor has done.

Who has waited for its turn to write looks once more whether the share is here. A share that was given back meanwhile has put all
that it owes on record, and then forgotten it: its ledger tells of nothing any more, though its lease may be held for a moment.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from contextlib import AsyncExitStack
from typing import Final

from broker import metrics
from broker.delivery.background import report
from broker.delivery.course import Course
from broker.delivery.lag import lag_behind
from broker.delivery.ledger import Draft
from broker.delivery.record import DOCUMENTS
from broker.delivery.share import Share, ShareLost, guard_name, share_of
from broker.delivery.subscription import SubscriptionKey
from broker.errors import StoreUnavailable
from broker.store.protocol import Document, DocumentKey, Lease, Store

FAILURE_SECONDS: Final = 0.1
"""How soon what failed is on record."""
PROGRESS_SECONDS: Final = 0.15
"""How soon what was delivered is: a crash repeats no more than what was delivered in such a time. A save costs some milliseconds
of two processes, and its commit meets those of clients at the disk, so that each one more makes notifications wait."""
COUNTS_SECONDS: Final = 0.5
"""How often counts are saved, and the watermark where nothing is delivered."""
IDLE_TURNS: Final = 4
"""Where there are many shares, the watermarks of those in which nothing happens are saved each time in so many only, together."""
FAILED_SECONDS: Final = 5.0
"""Seconds after which a store that failed is tried again."""
REFUSED_SECONDS: Final = 30.0
"""Seconds after which a document is tried again that the store refused."""
TOGETHER: Final = 500
"""Documents that are written in one commit."""

_LOG: Final = logging.getLogger(__name__)


class Books:
    """See the module. `shares` are those that this process has, by number, out of `number`. `matched` is the last position of the
    log that all of them were matched with, `lost` is told of a share that is gone."""

    def __init__(
        self,
        store: Store,
        number: int,
        matched: Callable[[], int],
        lost: Callable[[Share], None],
        now: Callable[[], str],
    ) -> None:
        self._store = store
        self._matched = matched
        self._lost = lost
        self._now = now
        self._moved = asyncio.Event()
        self._failed = asyncio.Event()
        self.number = number
        self.shares: dict[int, Share] = {}
        self._refused: dict[SubscriptionKey, float] = {}

    def share(self, key: SubscriptionKey) -> Share | None:
        """The share of a subscription, if this process has it."""
        return self.shares.get(share_of(key, self.number))

    def head(self, share: Share) -> int:
        """The last position of the log that a share was matched with."""
        return max(share.floor, self._matched()) if share.ends is None else share.ends

    # --- what happens

    def owed(self, course: Course) -> None:
        """A position was added to a course, or it fell behind."""
        if (share := self._of(course)) is not None:
            share.ledger.owed(course)
            self._moved.set()

    def attempted(self, course: Course, *, failed: bool = False) -> None:
        """A delivery succeeded or failed, or what else is counted has changed."""
        if (share := self._of(course)) is not None:
            share.ledger.attempted(course)
            self._moved.set()
            if failed:
                self._failed.set()

    def forget(self, course: Course) -> None:
        """The course is closed: nothing is owed any more."""
        if (share := self._of(course)) is not None:
            share.ledger.forget(course)

    def succeed(self, old: Course, new: Course) -> None:
        """A closed course is followed by another one of the same subscription."""
        if (share := self._of(new)) is not None:
            share.ledger.succeed(old, new)

    def _is_here(self, share: Share) -> bool:
        return self.shares.get(share.number) is share

    def _of(self, course: Course) -> Share | None:
        return None if course.gone else self.shares.get(course.share)

    # --- writing it down

    async def erase(self, key: SubscriptionKey, course: Course | None) -> None:
        """The subscription is gone: remove what is on record about it, once a save that is under way has ended.

        Where the share has gone to another process, that one does. Raises StoreUnavailable.
        """
        share = self.share(key)
        if share is None:
            return
        async with share.writing:
            if not self._is_here(share):
                return
            self._refused.pop(key, None)
            if course is not None:
                share.ledger.erase(course)
            await self._save_under(share, deletes=[(DOCUMENTS, *key)], drop_cursors=[guard_name(key)])

    async def write(
        self, key: SubscriptionKey, *, puts: Sequence[Document] = (), deletes: Collection[DocumentKey] = ()
    ) -> None:
        """Write documents of a subscription. Raises ShareLost where it is in another process's hands, StoreUnavailable."""
        share = self.share(key)
        if share is not None:
            async with share.writing:
                if self._is_here(share) and await self._save_under(share, puts=puts, deletes=deletes):
                    return
        raise ShareLost(f"the deliveries of {key[1]} have gone to another process: try again", instance=key[1])

    async def save(
        self,
        share: Share,
        *,
        counts: bool = True,
        final: bool = False,
        deletes: Collection[DocumentKey] = (),
        drop_cursors: Collection[str] = (),
        check: bool = False,
    ) -> bool:
        """Write what must be durable of a share, then move its watermark; whether the share was still here.

        With it goes what is to be deleted. `check`: find out whether the share is here, also if there is nothing to write.
        Raises StoreUnavailable.
        """
        async with share.writing:
            if not self._is_here(share):
                return False
            draft = share.ledger.draft(self.head(share), counts=counts, final=final)
            draft.drop_cursors += drop_cursors
            if draft.is_empty and not (deletes or check):
                share.ledger.written(draft)
                return True
            try:
                refused = await self._write([(share, draft)], deletes)
            except BaseException:
                share.ledger.failed(draft)
                raise
            if refused is None:
                self._lost(share)
            else:
                share.ledger.written(draft, refused)
            return refused is not None

    async def _save_under(
        self,
        share: Share,
        *,
        puts: Sequence[Document] = (),
        deletes: Collection[DocumentKey] = (),
        drop_cursors: Collection[str] = (),
    ) -> bool:
        saved = await self._store.save_under(share.lease, puts=puts, deletes=deletes, drop_cursors=drop_cursors)
        if not saved:
            self._lost(share)
        return saved

    async def run(self) -> None:
        """Keep what is durable close behind what is true: at once where one fails, soon while they arrive, else now and then."""
        loop = asyncio.get_running_loop()
        counted, turn = loop.time(), 0
        while True:
            if await _within(COUNTS_SECONDS, self._moved) and await _within(PROGRESS_SECONDS, self._failed):
                await asyncio.sleep(FAILURE_SECONDS)  # others that fail at the same time are saved together
            self._moved.clear()
            self._failed.clear()
            counts = loop.time() >= counted + COUNTS_SECONDS
            turn += counts
            try:
                await self.save_all(self._due(counts, turn), counts=counts)
                counted = loop.time() if counts else counted
            except Exception as error:  # noqa: BLE001 - deliveries must never come to a silent stop
                report("the state of deliveries cannot be saved", error)
                await asyncio.sleep(FAILED_SECONDS)
            if counts:
                await self._show()

    def _due(self, counts: bool, turn: int) -> list[Share]:
        """The shares that are to be saved now."""
        turns = 1 if self.number == 1 else IDLE_TURNS
        return [share for share in self.shares.values() if share.ledger.is_busy or (counts and turn % turns == 0)]

    async def save_all(self, shares: Iterable[Share], *, counts: bool = True, final: bool = False) -> None:
        """Save several shares in one commit, which costs little more than that of one. Raises StoreUnavailable."""
        shares = sorted(shares, key=lambda share: share.number)
        if len(shares) > 1 and await self._save_together(shares, counts=counts, final=final):
            return
        for share in shares:  # where one of them is lost, it is found out which
            await self.save(share, counts=counts, final=final)

    async def _save_together(self, shares: Sequence[Share], *, counts: bool, final: bool) -> bool:
        """Save several shares in one commit; False, and nothing saved, if one of them is lost."""
        async with AsyncExitStack() as turns:
            for share in shares:
                await turns.enter_async_context(share.writing)
            drafts = [
                (share, share.ledger.draft(self.head(share), counts=counts, final=final))
                for share in shares
                if self._is_here(share)
            ]
            refused: set[SubscriptionKey] | None = None
            try:
                refused = await self._write([(share, draft) for share, draft in drafts if not draft.is_empty])
            finally:
                for share, draft in drafts:
                    if draft.is_empty:
                        share.ledger.written(draft)
                    elif refused is None:
                        share.ledger.failed(draft)
                    else:
                        share.ledger.written(draft, refused & draft.keys)
            return refused is not None

    async def _write(
        self, drafts: Sequence[tuple[Share, Draft]], deletes: Collection[DocumentKey] = ()
    ) -> set[SubscriptionKey] | None:
        """Write drafts under the leases of their shares, but for documents that the store refuses, so that one that cannot be
        stored keeps no other from being so; the subscriptions of those, None if not all leases are held. Raises StoreUnavailable.
        """
        refused: set[SubscriptionKey] = set()
        if not drafts:
            return refused
        leases = [share.lease for share, _ in drafts]
        now = asyncio.get_running_loop().time()
        documents = []
        for _, draft in drafts:
            for document in draft.documents:
                key = document.tenant, document.id
                if self._refused.get(key, 0.0) > now:
                    refused.add(key)
                else:
                    documents.append(document)
        *groups, last = [documents[first : first + TOGETHER] for first in range(0, len(documents), TOGETHER)] or [[]]
        for group in groups:
            if not await self._put(leases, group, refused):
                return None
        if not refused:
            try:
                return refused if await self._finish(leases, drafts, last, deletes, refused) else None
            except (StoreUnavailable, asyncio.CancelledError):
                raise
            except Exception:
                if not last:
                    raise
        if not await self._put(leases, last, refused):
            return None
        return refused if await self._finish(leases, drafts, (), deletes, refused) else None

    async def _finish(
        self,
        leases: Sequence[Lease],
        drafts: Sequence[tuple[Share, Draft]],
        documents: Sequence[Document],
        deletes: Collection[DocumentKey],
        refused: Set[SubscriptionKey],
    ) -> bool:
        """Write the last documents and the cursors; whether all leases are held."""
        cursors: dict[str, int] = {}
        drops: list[str] = []
        for _, draft in drafts:
            to_set, to_drop = draft.without(refused & draft.keys)
            cursors |= to_set
            drops += to_drop
        lease, *beside = leases
        return await self._store.save_under(
            lease, puts=documents, deletes=deletes, cursors=cursors, drop_cursors=drops, beside=beside
        )

    async def _put(self, leases: Sequence[Lease], documents: Sequence[Document], refused: set[SubscriptionKey]) -> bool:
        """Store documents, but for those that the store refuses, which are named in the log; whether all leases are held."""
        lease, *beside = leases
        try:
            return await self._store.save_under(lease, puts=documents, beside=beside)
        except (StoreUnavailable, asyncio.CancelledError):
            raise
        except Exception as error:
            if len(documents) > 1:
                middle = len(documents) // 2
                first, second = documents[:middle], documents[middle:]
                return await self._put(leases, first, refused) and await self._put(leases, second, refused)
            if not documents:
                raise
            key = documents[0].tenant, documents[0].id
            _LOG.error(
                "the state of deliveries of one subscription cannot be saved: a crash repeats what its share delivers",
                extra={"id": key[1], "tenant": key[0], "detail": str(error)},
            )
            refused.add(key)
            self._refused[key] = asyncio.get_running_loop().time() + REFUSED_SECONDS
            return True

    async def _show(self) -> None:
        """Put what waits, and for how long, into the metrics."""
        ledgers = [share.ledger for share in self.shares.values()]
        metrics.notifications_waiting.set(sum(ledger.waiting for ledger in ledgers))
        oldest = [position for position in (ledger.oldest for ledger in ledgers) if position is not None]
        try:
            _, seconds = await lag_behind(self._store, min([*oldest, self._matched() + 1]), self._now())
            metrics.delivery_lag_seconds.set(seconds)
        except Exception as error:  # noqa: BLE001 - as above
            report("the lag of deliveries is not known", error)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, but no longer than so many seconds; whether it has come."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
