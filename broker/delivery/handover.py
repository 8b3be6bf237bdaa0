"""Shares change hands: what it takes to go on where another process has left off, and to leave off so that another can go on.

Where it is not certain whether a share is still this process's, because its lease could not be renewed in time, nothing is sent
for it. All else may go on: what would be written is not, if the share has gone (broker.delivery.books). If it has not, everything
is as it was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Set
from typing import Final

from broker.delivery.background import report
from broker.delivery.books import Books
from broker.delivery.carrier import Carrier
from broker.delivery.courses import Courses
from broker.delivery.gaps import Gaps
from broker.delivery.ledger import Ledger
from broker.delivery.matcher import Matcher
from broker.delivery.share import WATERMARK, Share, share_name
from broker.delivery.takeover import Estate, read_estates
from broker.delivery.undelivered import UndeliveredStore
from broker.store.protocol import Lease, Store

GRACE_SECONDS: Final = 2.0
"""How long deliveries that are under way may go on when a share is given back."""

_LOG: Final = logging.getLogger(__name__)


class Handover:
    """See the module. `catch_up` is called when shares were taken over, to look at what happened meanwhile."""

    def __init__(
        self,
        store: Store,
        books: Books,
        courses: Courses,
        matcher: Matcher,
        carrier: Carrier,
        undelivered: UndeliveredStore,
        gaps: Gaps,
        now: Callable[[], str],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._books = books
        self._courses = courses
        self._matcher = matcher
        self._carrier = carrier
        self._undelivered = undelivered
        self._gaps = gaps
        self._now = now
        self._catch_up = catch_up
        self.arriving: set[int] = set()
        """Shares that are being taken over."""
        self.refused: dict[int, Lease] = {}
        """Leases under which nothing may be written any more, though this process may still be told that it has them."""

    @property
    def numbers(self) -> Set[int]:
        """The shares that are here."""
        return self._books.shares.keys()

    # --- another process has left off

    async def take_over(self, leases: Mapping[int, Lease], is_granted: Callable[[int, Lease], bool]) -> None:
        """Take shares over as far as their leases are still granted when it comes to that. Raises StoreUnavailable."""
        self.arriving = set(leases)
        try:
            estates = await read_estates(self._store, leases, self._books.number, self._now())
            async with self._matcher.turn:
                here = [estate for estate in estates.values() if is_granted(estate.number, estate.lease)]
                self._enter(here)
        finally:
            self.arriving = set()
        await self._catch_up()
        await self._settle(here)

    def _enter(self, estates: Collection[Estate]) -> None:
        """Make shares this process's own, at a moment at which nothing is half matched, and let their courses run."""
        if not estates:
            return
        books, matcher = self._books, self._matcher
        start = min(max(estate.start, estate.tail) for estate in estates)
        goes_elsewhere = not books.shares or start < matcher.matched
        if books.shares and goes_elsewhere:
            for share in books.shares.values():
                share.floor = books.head(share)
            self._courses.pass_by(matcher.matched)
        since, clock = self._now(), asyncio.get_running_loop().time
        for estate in estates:
            watermark = -1 if estate.watermark is None else estate.watermark
            ledger = Ledger(share_name(estate.number, books.number), watermark, estate.courses, clock)
            share = Share(estate.number, estate.lease, ledger, max(estate.start, estate.tail), since)
            books.shares[estate.number] = share
            for course in estate.courses:
                if course.behind is not None:
                    ledger.owed(course)
            for course in estate.fresh:
                ledger.attempted(course)
            self._undelivered.take_in(estate.undelivered)
            for course in estate.courses:
                for aside in self._undelivered.of(course.subscription.key):
                    course.remember_refused(aside.entities[0])
            for one in estate.overtaken.values():
                self._gaps.note(share, estate.courses, one, estate.start)
        if goes_elsewhere:
            matcher.go_to(start)
        for estate in estates:
            if estate.start < estate.tail:
                self._gaps.tell_trimmed(estate.courses, estate.start, estate.tail)
            self._courses.take_in(estate.courses)

    async def _settle(self, estates: Iterable[Estate]) -> None:
        """Clear away what belongs to nobody, and put the watermarks of shares on record that had none."""
        for estate in estates:
            share = self._books.shares.get(estate.number)
            if share is not None and share.lease == estate.lease:
                await self._books.save(share, deletes=estate.deletes, drop_cursors=estate.drop_cursors)
        if any(estate.watermark is None for estate in estates) and self._books.number > 1:
            cursors = await self._store.cursors()
            if all(share_name(number, self._books.number) in cursors for number in range(self._books.number)):
                await self._store.drop_cursor(WATERMARK)
        await self._undelivered.make_room()

    # --- another process is to go on

    async def give_back(self, numbers: Collection[int]) -> None:
        """End shares: give what is under way a moment, break off the rest (it stays owed), and save.

        Where the store does not let it save, whoever goes on repeats what was delivered since the last time it did.
        """
        shares = [self._books.shares[number] for number in numbers]
        async with self._matcher.turn:  # what is half matched would be matched once more
            for share in shares:
                share.ends = self._books.head(share)
            courses = [course for share in shares for course in self._courses.of_share(share.number)]
            under_way = self._courses.halt(courses)
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._undelivered.written()
        try:
            await self._books.save_all(shares, final=True)
        except Exception as error:  # noqa: BLE001 - a share that is left half given back would send nothing any more
            report("the state of deliveries cannot be saved, some will be repeated", error)
        for share in shares:
            self.lose(share)

    def lose(self, share: Share) -> None:
        """A share is gone: forget it at once, and write nothing."""
        if self._books.shares.get(share.number) is not share:
            return
        if not share.leaving:
            self.refused[share.number] = share.lease
            _LOG.warning("a share of deliveries has gone to another process", extra={"share": share.number})
        del self._books.shares[share.number]
        courses = self._courses.of_share(share.number)
        self._courses.drop(courses)
        for course in courses:
            self._undelivered.forget(course.subscription.key)
            self._carrier.delivered.forget(course.subscription.key)

    # --- it is not certain who has a share

    def pause(self, number: int) -> None:
        """A share may be another process's by now: send nothing for it."""
        if number in self._books.shares:
            self._courses.pause(self._courses.of_share(number))

    def go_on(self, number: int, lease: Lease) -> None:
        """A lease is held, perhaps again: then go on as if nothing had happened, unless somebody else had it meanwhile."""
        share = self._books.shares.get(number)
        if share is None:
            return
        if share.lease == lease:
            if not share.leaving:
                self._courses.resume(self._courses.of_share(number))
        else:
            self.lose(share)

    async def check(self, number: int) -> None:
        """Find out whether a share that is not certain is lost. Raises StoreUnavailable."""
        if (share := self._books.shares.get(number)) is not None:
            await self._books.save(share, check=True)
