"""Learns which values to index from what queries ask for, and has it done beside everything else (`value_indexes`)."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from broker import metrics
from broker.errors import StoreUnavailable
from broker.query.ast import EntityQuery
from broker.store.demand import Demand, Effort, IndexKey
from broker.store.protocol import ValueIndex
from broker.store.scans import Scans
from broker.store.sqlite import value_indexes
from broker.store.sqlite.catalogue import Catalogue
from broker.store.sqlite.database import Database, Job

MOST_INDEXES: Final = 256
"""Every index makes writes of its attribute a little dearer."""
EXCHANGE_SECONDS: Final = 600.0
"""Where there are as many as may be, at most one is given up for another in this time: who asks for ever other things
does not keep the store building."""

_LOG: Final = logging.getLogger(__name__)

T = TypeVar("T")


class Indexes:
    """The indexes of values of one database; there are `most` at most, and none with 0."""

    def __init__(self, database: Database, catalogue: Catalogue, most: int) -> None:
        self._database = database
        self._catalogue = catalogue
        self._most = most
        self._demand = Demand()
        self._scans = Scans()
        self._uses: Counter[IndexKey] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_by_one = asyncio.Lock()
        self._listing = asyncio.Lock()
        self._exchanged = -EXCHANGE_SECONDS

    async def open(self) -> None:
        """Go on with what was interrupted, and give up what is more than may be."""
        if await self._database.read(value_indexes.count, "listing indexes") > self._most:
            await self._write(lambda c: value_indexes.give_up(c, self._catalogue, self._most, {}), "giving up indexes")
        await self._show()
        building, going = await self._database.read(value_indexes.unfinished, "listing indexes")
        for number in going:
            self._beside(self._remove(number))
        for key in building:
            self._beside(self._build(key))

    async def close(self) -> None:
        """Break off what is under way, which the next start goes on with, and keep how much each was used."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        uses, self._uses = self._uses, Counter()
        if uses:
            with suppress(StoreUnavailable):  # such as on a full disk: they are only estimates
                await self._write(lambda c: value_indexes.add_uses(c, uses), "keeping the use of indexes")

    def note(self, tenant: str, query: EntityQuery, effort: Effort) -> None:
        """Count what a query took, and begin to index what costly ones compared if that has cost enough by now."""
        self._scans.note(tenant, query, effort)
        for key in effort.used:
            self._uses[key] += 1
        if self._most and (wanted := self._demand.note(tenant, effort)) is not None:
            self._beside(self.make(wanted))

    async def make(self, key: IndexKey) -> None:
        """Make an index; returns when it is in use. Does nothing where it is being made, or as many as may be are there."""
        if not self._most:
            return
        going: list[int] = []
        if await self._database.read(value_indexes.count, "listing indexes") >= self._most:
            if time.monotonic() < self._exchanged + EXCHANGE_SECONDS:
                return
            self._exchanged = time.monotonic()
            uses, self._uses = self._uses, Counter()
            going = await self._write(
                lambda c: value_indexes.give_up(c, self._catalogue, self._most - 1, uses), "giving up an index"
            )
        for number in going:
            self._beside(self._remove(number))
        if await self._write(lambda c: value_indexes.begin(c, self._catalogue, key), "beginning an index"):
            await self._show()
            await self._build(key)

    async def listing(self) -> list[ValueIndex]:
        """The indexes that are kept."""
        async with self._listing:  # counting may take long: who asks again and again takes only one thread of queries
            uses = self._uses.copy()
            return await self._database.search(
                lambda c, _: value_indexes.listing(c, uses), "listing indexes", seconds=20.0
            )

    async def _show(self) -> None:
        """Put how many there are into the metrics."""
        states = await self._database.read(value_indexes.states, "listing indexes")
        for state in ("ready", "building"):
            metrics.value_indexes.labels(state).set(states.get(state, 0))

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except StoreUnavailable as error:  # a later query asks again, or the next start goes on
                _LOG.warning("an index waits for the store", extra={"detail": error.detail})

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _build(self, key: IndexKey) -> None:
        async with self._one_by_one:
            await self._in_steps(lambda c: value_indexes.build(c, self._catalogue, key), "building an index")
        await self._show()
        _LOG.info("values are indexed", extra={"tenant": key.tenant, "type": key.type, "path": key.path.names})

    async def _remove(self, number: int) -> None:
        async with self._one_by_one:
            await self._in_steps(lambda c: value_indexes.remove_some(c, number), "removing an index")

    async def _in_steps(self, step: Job[bool], doing: str) -> None:
        """Repeat a step until it says that it was the last; as much time as it took is left to others."""
        while True:
            start = time.monotonic()
            if await self._write(step, doing):
                return
            await asyncio.sleep(time.monotonic() - start)

    async def _write(self, job: Callable[..., T], doing: str) -> T:
        return await self._database.write(job, doing, rolled_back=self._catalogue.forget)
