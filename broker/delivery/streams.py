"""All streams of the process: no more than there is room for, in the process and for each tenant (broker.delivery.stream)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broker import metrics
from broker.delivery.head import Head
from broker.delivery.stream import Stream
from broker.delivery.subscription import Subscription
from broker.errors import TooManyStreams
from broker.store.protocol import Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

SIDE_BY_SIDE: Final = 4
"""Streams that read the log by themselves at the same time: enough to catch up, too few to slow down all else."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many streams there may be at the same time: altogether, and of one tenant."""

    total: int = 2_000
    tenant: int = 1_000


class Streams:
    """See the module."""

    def __init__(
        self, store: Store, contexts: "ContextLibrary", now: Callable[[], str], limits: StreamLimits = StreamLimits()
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._now = now
        self._limits = limits
        self._head = Head(store)
        self._turns = asyncio.Semaphore(SIDE_BY_SIDE)
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    async def open(self, subscription: Subscription, position: int | None) -> Stream:
        """A stream from behind a position of the log on, None for its head. It takes up room until it is given to `close`.

        A position that the log has never reached is one of another log: all changes are gone then, as far as the client is
        concerned, and it is told that. Raises TooManyStreams, StoreUnavailable.
        """
        tenant = subscription.tenant
        if len(self) >= self._limits.total:
            raise TooManyStreams(f"this broker has {self._limits.total} streams already, its most")
        if self._open[tenant] >= self._limits.tenant:
            raise TooManyStreams(f"the tenant has {self._limits.tenant} streams already, its most")
        self._count(tenant, 1)
        try:
            head = await self._store.head()
        except BaseException:
            self._count(tenant, -1)
            raise
        self._head.start(head)
        known = head if position is None or position > head else position
        stream = Stream(self._store, self._contexts, self._head, self._turns, self._now, subscription, known)
        if position is not None and position > head:
            stream.lose(1, head)
        return stream

    def close(self, stream: Stream) -> None:
        """The client of a stream has gone, or must go."""
        stream.close()
        self._count(stream.subscription.tenant, -1)

    async def stop(self) -> None:
        """Read the log no more."""
        await self._head.stop()

    def _count(self, tenant: str, difference: int) -> None:
        self._open[tenant] += difference
        if not self._open[tenant]:
            del self._open[tenant]
        metrics.streams.set(len(self))
