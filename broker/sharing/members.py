"""The processes that live on one store: each says every second that it does, and learns from the store who else did."""

import asyncio
import logging
import os
import socket
import uuid
from typing import Final

from broker import metrics
from broker.errors import NgsiLdError
from broker.sharing.leases import LEASE_SECONDS, RENEWAL_SECONDS
from broker.store.cancellation import check_cancelled
from broker.store.protocol import Store

_LOG: Final = logging.getLogger(__name__)


class Membership:
    """This process among those on its store. `name` is its own, which no other one has or had: host, process id, and more.

    `alive` are all that live, as far as the store last said; itself is always one of them.
    """

    def __init__(self, store: Store) -> None:
        self.name = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"
        self.alive = frozenset({self.name})
        self._store = store
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Live on record from now on."""
        await self._enlist(LEASE_SECONDS)
        self._task = asyncio.create_task(self._enlist_regularly(), name="membership")

    async def stop(self) -> None:
        """Take leave."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._enlist(0.0)

    async def _enlist_regularly(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            await self._enlist(LEASE_SECONDS)
            check_cancelled()

    async def _enlist(self, seconds: float) -> None:
        try:
            alive = await self._store.enlist(self.name, seconds) | {self.name}
        except NgsiLdError as error:
            _LOG.info("the other processes are not known now", extra={"detail": error.detail})
            return
        except Exception:  # noqa: BLE001 - whatever it is, it must be tried again
            _LOG.critical("the other processes are not known now", exc_info=True)
            return
        if alive != self.alive:
            _LOG.info("%d processes share the work on this store", len(alive), extra={"processes": sorted(alive)})
        self.alive = alive
        metrics.processes.set(len(alive))
