"""Leases and members of a database that one process has open: kept in memory, which ends with that process."""

import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from broker.store.protocol import Lease


class _Held(NamedTuple):
    lease: Lease
    until: float


class Leases:
    """See the module. `clock` gives seconds. All but `holds` is called in the event loop; that may be called in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._members: dict[str, float] = {}

    def take(self, names: Collection[str], holder: str, seconds: float) -> tuple[dict[str, Lease], bool]:
        """The leases that the holder has now, taken or renewed; and whether one of them had another holder before."""
        now = self._clock()
        taken: dict[str, Lease] = {}
        changed = False
        for name in names:
            held = self._held.get(name)
            if held is None or (held.lease.holder != holder and held.until <= now):
                lease = Lease(name, holder, 1 if held is None else held.lease.epoch + 1)
                changed = changed or held is not None
            elif held.lease.holder == holder:
                lease = held.lease
            else:
                continue
            self._held[name] = _Held(lease, now + seconds)
            taken[name] = lease
        return taken, changed

    def release(self, leases: Collection[Lease]) -> None:
        """Give up those that are still held so."""
        for lease in leases:
            if self.holds(lease):
                self._held[lease.name] = _Held(Lease(lease.name, "", lease.epoch), self._clock())

    def holds(self, lease: Lease) -> bool:
        """Whether nobody else has had the lease since, and it was not given up."""
        held = self._held.get(lease.name)
        return held is not None and held.lease == lease

    def enlist(self, member: str, seconds: float) -> frozenset[str]:
        """A process lives for so many seconds more; all that live."""
        now = self._clock()
        self._members[member] = now + seconds
        self._members = {each: until for each, until in self._members.items() if until > now}
        return frozenset(self._members)
