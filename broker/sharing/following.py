"""What this process remembers of documents follows what any process writes to them.

One stream of events from the store serves everybody in the process. Each follower hears of them in order, one at a time and in
its own pace, and reads the document anew: so it does not matter how often it hears of one. Where it cannot be done now, it is
done later; where it is not known what was missed, everything is looked at again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Final

from broker.errors import StoreUnavailable
from broker.store.cancellation import check_cancelled
from broker.store.protocol import DocumentEvent, Store

MOST_WAITING: Final = 10_000
"""Events that wait for one follower. With more, it looks at everything instead."""
SHORTEST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between attempts of a follower while the store is not available: pauses grow from one to the other."""

_LOG: Final = logging.getLogger(__name__)


class Following:
    """See the module. To be started and stopped in the event loop that uses it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followers: list[_Follower] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add(
        self,
        kinds: Collection[str],
        changed: Callable[[DocumentEvent], Awaitable[None]],
        everything: Callable[[], Awaitable[None]],
    ) -> None:
        """Before the start: have `changed` called with what happens to documents of these kinds, and `everything` where
        anything may have happened, first of all when the following has begun. Both may raise StoreUnavailable."""
        self._followers.append(_Follower(frozenset(kinds), changed, everything))

    def start(self) -> None:
        """Follow from now on."""
        if self._followers:
            self._tasks = [
                asyncio.create_task(self._listen(), name="following documents"),
                *(asyncio.create_task(each.run(), name="follower of documents") for each in self._followers),
            ]

    async def stop(self) -> None:
        """Follow no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        kinds = frozenset[str]().union(*(each.kinds for each in self._followers))
        while True:
            try:
                async with aclosing(self._store.follow_documents(kinds)) as events:
                    async for event in events:
                        for follower in self._followers:
                            follower.hear(event)
                        check_cancelled()
            except Exception:  # noqa: BLE001 - a store raises none: should it all the same, nobody may stay with what is old
                _LOG.critical("documents cannot be followed now", exc_info=True)
            await asyncio.sleep(LONGEST_PAUSE)


class _Follower:
    def __init__(
        self,
        kinds: frozenset[str],
        changed: Callable[[DocumentEvent], Awaitable[None]],
        everything: Callable[[], Awaitable[None]],
    ) -> None:
        self.kinds = kinds
        self._changed = changed
        self._everything = everything
        self._waiting: dict[DocumentEvent, None] = {}
        self._all = False
        self._news = asyncio.Event()

    def hear(self, event: DocumentEvent | None) -> None:
        if event is not None and event.kind not in self.kinds:
            return
        if event is None or len(self._waiting) >= MOST_WAITING:
            self._all = True
            self._waiting.clear()
        else:
            self._waiting[event] = None
        self._news.set()

    async def run(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._catch_up()
                pause = SHORTEST_PAUSE
            except StoreUnavailable as error:
                _LOG.info("changes of documents wait for the store", extra={"detail": error.detail})
                self._news.set()
                check_cancelled()
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)

    async def _catch_up(self) -> None:
        """Look at all that is waiting. Raises StoreUnavailable; then the rest still waits."""
        while self._all or self._waiting:
            check_cancelled()
            event = None if self._all else next(iter(self._waiting))
            # Taken off first: what happens meanwhile is to be looked at again.
            self._all = False
            if event is not None:
                del self._waiting[event]
            try:
                await (self._everything() if event is None else self._changed(event))
            except StoreUnavailable:
                self.hear(event)
                raise
            except Exception:  # noqa: BLE001 - one document that cannot be dealt with must not hold up the others
                _LOG.critical("a change of a document did not take effect", extra={"event": event}, exc_info=True)
