"""The end of transient entities and attributes (4.22): what has expired is removed from the store, as a change like any other.

Reads do not wait for it: they leave out what has expired by themselves.
"""

import logging
from collections.abc import Callable
from typing import Final

from broker.errors import Conflict, NgsiLdError
from broker.model.change import Change
from broker.model.entity import Entity
from broker.model.expiry import expiry
from broker.store.protocol import Store
from broker.store.sweeping import sweep_regularly
from broker.store.writer import EntityWriter

INTERVAL: Final = 1.0
"""Seconds between two sweeps, and so the most by which a removal lags behind its instant."""
STRIDE: Final = 500

_LOG: Final = logging.getLogger(__name__)


class Sweeper:
    """Removes what has expired, as long as `run` runs."""

    def __init__(
        self, store: Store, writer: EntityWriter, now: Callable[[], str], *, interval: float = INTERVAL
    ) -> None:
        self._store = store
        self._writer = writer
        self._now = now
        self._interval = interval

    async def run(self) -> None:
        """Sweep from time to time until cancelled; whatever goes wrong is tried again next time."""
        await sweep_regularly(self._sweep_all, self._interval, _LOG, "expired entities cannot be removed")

    async def _sweep_all(self) -> None:
        while await self.sweep() == STRIDE:
            pass

    async def sweep(self) -> int:
        """Sweep once; how many entities had something to remove. Raises StoreUnavailable."""
        now = self._now()
        by_tenant: dict[str, list[str]] = {}
        for tenant, entity_id in await self._store.expired(now, STRIDE):
            by_tenant.setdefault(tenant, []).append(entity_id)
        for tenant, ids in by_tenant.items():
            requests = [(entity_id, removal(tenant, now)) for entity_id in ids]
            for outcome in await self._writer.write_many(tenant, requests, see_expired=True):
                # A Conflict is another process that swept the same entity: nothing is left to do.
                if isinstance(outcome, NgsiLdError) and not isinstance(outcome, Conflict):
                    raise outcome
        return sum(map(len, by_tenant.values()))


def removal(tenant: str, now: str) -> Callable[[Entity | None], Change | None]:
    """The decision to remove an entity, or those of its attribute instances, that have expired at `now`."""

    def decide(current: Entity | None) -> Change | None:
        return None if current is None else expiry(tenant, current, now)

    return decide
