"""The recorder: a consumer of the change log that keeps temporal history (design §4).

Its entries and its cursor are written in one commit, and the same change always gives the same entries: after a crash it
goes on where it was, and what it writes twice is written once.
"""

import asyncio
import logging
from typing import Final

from broker.errors import StoreUnavailable
from broker.store.cancellation import check_cancelled
from broker.store.protocol import Store
from broker.temporal.entries import entries_of, evolution_of

CURSOR: Final = "temporal"
"""The recorder's cursor in the store."""
BATCH: Final = 500
"""Changes recorded in one commit."""
LONGEST_WAIT: Final = 5.0
"""Seconds after which a wait for changes is looked at again."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts while the store is not available: pauses grow up to it."""

_LOG: Final = logging.getLogger(__name__)


class Recorder:
    """Writes history as long as `run` runs."""

    def __init__(self, store: Store, *, batch: int = BATCH) -> None:
        self._store = store
        self._batch = batch
        self._recorded = 0
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Record changes as they come, until cancelled. Waits for a store that is not available."""
        pause = 0.1
        while True:
            try:
                await self._take_up()
                while True:
                    await self._record()
                    check_cancelled()
                    pause = 0.1
                    await self._store.wait_for_changes(self._recorded, LONGEST_WAIT)
            except StoreUnavailable as error:
                check_cancelled()
                _LOG.warning("history waits for the store", extra={"detail": error.detail})
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def caught_up(self, sequence: int, *, timeout: float = 10.0) -> None:
        """Return as soon as every change up to `sequence` is in the history, so that a read of it misses none.

        Raises StoreUnavailable if that takes longer than `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._recorded < sequence:
                    await self._progress.wait()
        except TimeoutError:
            raise StoreUnavailable(f"history is {sequence - self._recorded} changes behind: try again later") from None

    async def _take_up(self) -> None:
        """Go on from the cursor; without one, from the oldest change that there is."""
        cursor = (await self._store.cursors()).get(CURSOR)
        tail = await self._store.tail()
        if cursor is None:
            await self._store.append_history([], (CURSOR, tail))
            cursor = tail
        elif cursor < tail:
            _LOG.error(
                "changes were trimmed from the log before they were recorded in the history",
                extra={"after": cursor, "through": tail},
            )
        self._advance(max(cursor, tail))

    async def _record(self) -> None:
        """Record everything that is in the log by now."""
        while changes := await self._store.changes(self._recorded, self._batch):
            recorded = [change for change in changes if change.kind != "entityLoaded"]
            entries = [entry for change in recorded for entry in entries_of(change)]
            evolutions = [evolution_of(change) for change in recorded]
            await self._store.append_history(entries, (CURSOR, changes[-1].sequence), evolutions)
            self._advance(changes[-1].sequence)
            check_cancelled()

    def _advance(self, sequence: int) -> None:
        self._recorded = sequence
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()
