"""Turns: what requests on all processes of a store may only do one after the other, because each looks at what others wrote.

A turn is a lock within the process and a lease among processes, which runs out by itself where a process dies in its turn.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from weakref import WeakValueDictionary

from broker.errors import StoreUnavailable
from broker.store.protocol import Lease, Store

TURN_SECONDS: Final = 5.0
"""How long a turn may take: far longer than any does."""
WAIT_SECONDS: Final = 10.0
"""How long others wait for theirs."""
LONGEST_PAUSE: Final = 0.05


class Turns:
    """See the module. `holder` is the name of this process."""

    def __init__(self, store: Store, holder: str) -> None:
        self._store = store
        self._holder = holder
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Lease]:
        """Nobody else has a turn of this name during the block. Raises StoreUnavailable where it takes too long to get it.

        Each turn is a change of its lease's epoch: whoever finds the next one knows that nobody else had a turn in between.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            lease = await self._take(f"turn/{name}")
            try:
                yield lease
            finally:
                with suppress(StoreUnavailable):  # it runs out by itself
                    await self._store.release_leases([lease])

    async def _take(self, name: str) -> Lease:
        pause = 0.005
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    lease = (await self._store.take_leases([name], self._holder, TURN_SECONDS)).get(name)
                    if lease is not None:
                        return lease
                    await asyncio.sleep(random.uniform(0, pause))
                    pause = min(LONGEST_PAUSE, 2 * pause)
        except TimeoutError:
            raise StoreUnavailable("others do the same for too long: try again later") from None
