"""The bound on the @contexts that requests make the broker keep: those that were not used for longest go (5.13.1).

It is one bound for all brokers on a store. Hosted @contexts, which clients manage themselves, do not count, nor do those that
something stored refers to, directly or through another @context: they stay.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from broker.contexts.library import ContextLibrary
from broker.contexts.storage import cached_id
from broker.contexts.uses import Use
from broker.errors import BadRequestData
from broker.jsonld.compilation import document_context, referenced_urls
from broker.store.sweeping import sweep_regularly

MOST: Final = 1_000
MOST_BYTES: Final = 64 * 1024 * 1024
KEPT_SHARE: Final = 0.9
"""How much of the bound is left when it was exceeded, so that not every new entry asks for another round."""

INTERVAL: Final = 60.0
"""Seconds between two rounds, unless CROWD entries come earlier."""
CROWD: Final = 100

GRACE_SECONDS: Final = 2.0
"""An entry that was used this recently may only be about to be stored."""

_LOG: Final = logging.getLogger(__name__)


class ContextTrimming:
    """Keeps the library of @contexts within its bound, as long as `run` runs.

    `references` gives the URLs of @contexts that subscriptions and registrations refer to.
    """

    def __init__(
        self,
        library: ContextLibrary,
        references: Callable[[], Awaitable[set[str]]],
        clock: Callable[[], float],
        *,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._library = library
        self._references = references
        self._clock = clock
        self._most = most
        self._most_bytes = most_bytes
        self._new = 0
        self._crowded = asyncio.Event()
        library.uses.on_new = self._count

    async def run(self) -> None:
        """Trim from time to time until cancelled; a store that is not available is tried again next time."""
        await sweep_regularly(self.trim, INTERVAL, _LOG, "the stored @contexts cannot be trimmed", self._crowded)

    async def trim(self) -> int:
        """Delete what is beyond the bound; how many entries went. Raises StoreUnavailable."""
        self._new = 0
        uses = await self._library.uses.all()
        if self._fits(uses.values()):
            return 0
        pinned = await self._pinned(uses.keys())
        latest = self._clock() - GRACE_SECONDS
        free = {context_id: use for context_id, use in uses.items() if context_id not in pinned}
        if self._fits(free.values()):
            return 0
        left, size, evicted = len(free), sum(use.size for use in free.values()), 0
        for context_id, use in sorted(free.items(), key=lambda each: each[1].at):
            if use.at > latest or (left <= self._most * KEPT_SHARE and size <= self._most_bytes * KEPT_SHARE):
                break
            evicted += await self._library.evict(context_id, use)
            left, size = left - 1, size - use.size
        _LOG.info("%d @contexts that were not used for longest are no longer stored", evicted)
        return evicted

    def _count(self) -> None:
        self._new += 1
        if self._new >= CROWD:
            self._crowded.set()

    def _fits(self, uses: Iterable[Use]) -> bool:
        sizes = [use.size for use in uses]
        return len(sizes) <= self._most and sum(sizes) <= self._most_bytes

    async def _pinned(self, known: Iterable[str]) -> set[str]:
        """The entries that are referred to, directly or not."""
        known = set(known)
        storage = self._library.storage
        pinned: set[str] = set()
        met: set[str] = set()
        waiting = await self._references()
        while waiting:
            met |= waiting
            found: set[str] = set()
            for url in waiting:
                for context_id in (storage.own_id(url)[0], cached_id(url)):
                    record = None if context_id is None else await storage.read(context_id)
                    if record is None:
                        continue
                    pinned |= {record.id} & known
                    try:
                        found |= referenced_urls(document_context(record.document, url), url)
                    except BadRequestData:  # it was stored by a version that took more for an @context
                        continue
            waiting = found - met
        return pinned
