"""Duties: what one process does for all on a store, as long as it has the lease for it; another one takes over when it ends.

A duty can be broken off between any two awaits, by a kill, a lost lease, or an orderly end, and its successor begins anew with
what is on record. It may even overlap with one for a moment, where a process was frozen. So each duty must bear being done
twice, and what could undo a successor's progress is to be written under the lease that it is given.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from broker import metrics
from broker.errors import StoreUnavailable
from broker.sharing.leases import Leases
from broker.store.protocol import Lease

Work: TypeAlias = Callable[[Lease], Coroutine[Any, Any, None]]
"""Done until it is cancelled. What returns before, as its lease was lost, or fails, is begun again while the lease is held."""

AGAIN_SECONDS: Final = 1.0
"""How long after that."""

_LOG: Final = logging.getLogger(__name__)


class Duties:
    """See the module. Duties of one `lease` are done by the same process."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._posts: dict[str, _Post] = {}

    def add(self, lease: str, what: str, work: Work) -> None:
        """Before the start: something to do. `what` it is, is for the log."""
        self._posts.setdefault(lease, _Post()).duties.append((what, work))

    def start(self) -> None:
        """Want the leases, and do what they are for as soon as they are held."""
        for name, post in self._posts.items():
            post.start(name)
            self._leases.want(name, post.take, post.lose)

    async def stop(self) -> None:
        """Break everything off, and let others go on at once, whatever this process still has to do before it ends."""
        await asyncio.gather(*(post.stop() for post in self._posts.values()))
        try:
            await self._leases.give_up(self._posts.keys())
        except StoreUnavailable as error:
            _LOG.warning("leases of duties run out by themselves", extra={"detail": error.detail})


class _Post:
    """The duties of one lease."""

    def __init__(self) -> None:
        self.duties: list[tuple[str, Work]] = []
        self._lease: Lease | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._working: list[asyncio.Task[None]] = []

    def start(self, name: str) -> None:
        self._task = asyncio.create_task(self._serve(), name=name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self, lease: Lease) -> None:
        self._lease = lease
        self._changed.set()

    def lose(self, _: Lease) -> None:
        self._lease = None
        for task in self._working:
            task.cancel()
        self._changed.set()

    async def _serve(self) -> None:
        """Work while the lease is held. What was begun under one lease has ended before anything begins under the next."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            lease = self._lease
            if lease is None:
                continue
            _LOG.info("taking over duties", extra={"lease": lease.name, "epoch": lease.epoch})
            shown = metrics.duty.labels(lease.name.removeprefix("duty/"))
            shown.set(1)
            self._working = [
                asyncio.create_task(_keep_doing(what, work, lease), name=what) for what, work in self.duties
            ]
            try:
                while self._lease is lease:
                    await self._changed.wait()
                    self._changed.clear()
            finally:
                shown.set(0)
                for task in self._working:
                    task.cancel()
                await asyncio.gather(*self._working, return_exceptions=True)
                self._working = []
            self._changed.set()


async def _keep_doing(what: str, work: Work, lease: Lease) -> None:
    while True:
        try:
            await work(lease)
        except StoreUnavailable as error:
            _LOG.warning("the %s waits for the store", what, extra={"detail": error.detail})
        except Exception:  # noqa: BLE001 - nothing that goes wrong once may end it for good
            _LOG.critical("the %s failed, and is begun again", what, exc_info=True)
        await asyncio.sleep(AGAIN_SECONDS)
