"""The recorder: a consumer of the change log that keeps temporal history (design §4).

Its entries and its cursor are written in one commit, and the same change always gives the same entries: after a crash it
goes on where it was, and what it writes twice is written once. Of all processes on a store one records at a time. The commit is
refused to one that has lost its lease, so that it cannot bring back what was changed in the history since.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from broker.errors import StoreUnavailable
from broker.store.cancellation import check_cancelled
from broker.store.protocol import Lease, Store
from broker.temporal.entries import entries_of, evolution_of

CURSOR: Final = "temporal"
"""The recorder's cursor in the store."""
BATCH: Final = 500
"""Changes recorded in one commit."""
LINGER: Final = 0.1
"""Seconds that changes wait for others, so that one commit records many. Who reads the history does not wait for it."""
LONGEST_WAIT: Final = 5.0
"""Seconds after which a wait for changes is looked at again."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts while the store is not available: pauses grow up to it."""
SHORTEST_LOOK: Final = 0.005
LONGEST_LOOK: Final = 0.05
"""Seconds between two looks at how far another process has recorded: pauses grow from one to the other."""

_LOG: Final = logging.getLogger(__name__)


class Recorder:
    """Writes history as long as `run` runs; knows in each process how far it is."""

    def __init__(self, store: Store, *, batch: int = BATCH) -> None:
        self._store = store
        self._batch = batch
        self._recorded = 0
        self._progress = asyncio.Event()
        self._wanted = asyncio.Event()
        self._at_work = False
        self._looking = asyncio.Lock()
        self._looked = 0.0

    async def run(self, lease: Lease) -> None:
        """Record changes as they come, until cancelled, or until the lease for it is lost. Waits for a store that is away."""
        self._at_work = True
        try:
            await self._run(lease)
        finally:
            self._at_work = False

    async def _run(self, lease: Lease) -> None:
        pause = 0.1
        while True:
            try:
                recorded: int | None = await self._take_up(lease)
                while recorded is not None:
                    recorded = await self._record(recorded, lease)
                    check_cancelled()
                    pause = 0.1
                    if recorded is not None:
                        await self._store.wait_for_changes(recorded, LONGEST_WAIT)
                        await self._linger()
                return
            except StoreUnavailable as error:
                check_cancelled()
                _LOG.warning("history waits for the store", extra={"detail": error.detail})
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def caught_up(self, sequence: int, *, timeout: float = 10.0) -> None:
        """Return as soon as every change up to `sequence` is in the history, so that a read of it misses none.

        Raises StoreUnavailable if that takes longer than `timeout` seconds.
        """
        pause = SHORTEST_LOOK
        try:
            async with asyncio.timeout(timeout):
                while self._recorded < sequence:
                    self._wanted.set()
                    if not self._at_work:
                        await self._look(pause)
                    if self._recorded < sequence:
                        await self._wait_for_progress(pause)
                    pause = min(LONGEST_LOOK, 2 * pause)
        except TimeoutError:
            raise StoreUnavailable(f"history is {sequence - self._recorded} changes behind: try again later") from None

    async def _wait_for_progress(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._progress.wait()

    async def _linger(self) -> None:
        """Let more changes come in, until somebody wants to read them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._wanted.wait()
        self._wanted.clear()  # what was committed before this is read next

    async def _look(self, pause: float) -> None:
        """Look how far another process is, unless somebody here has just done so."""
        async with self._looking:
            if time.monotonic() - self._looked >= pause / 2:
                self._advance(await self._store.cursor(CURSOR) or 0)
                self._looked = time.monotonic()

    async def _take_up(self, lease: Lease) -> int | None:
        """Go on from the cursor; without one, from the oldest change that there is. None where the lease is lost."""
        cursor = await self._store.cursor(CURSOR)
        tail = await self._store.tail()
        if cursor is not None and cursor < tail:
            _LOG.error(
                "changes were trimmed from the log before they were recorded in the history",
                extra={"after": cursor, "through": tail},
            )
        if cursor is None or cursor < tail:
            if not await self._store.append_history([], (CURSOR, tail), under=lease):
                return None
            cursor = tail
        self._advance(cursor)
        return cursor

    async def _record(self, recorded: int, lease: Lease) -> int | None:
        """Record everything that is in the log by now; up to where that is. None where the lease is lost."""
        while True:
            changes = await self._store.next_changes(recorded, self._batch)
            if not changes:
                return recorded
            told = [change for change in changes if change.kind != "entityLoaded"]
            entries = [entry for change in told for entry in entries_of(change)]
            evolutions = [evolution_of(change) for change in told]
            recorded = changes[-1].sequence
            if not await self._store.append_history(entries, (CURSOR, recorded), evolutions, under=lease):
                return None
            self._advance(recorded)
            check_cancelled()
            if len(changes) < self._batch:
                return recorded  # there is nothing more, as far as this process knows

    def _advance(self, sequence: int) -> None:
        if sequence <= self._recorded:
            return
        self._recorded = sequence
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()
