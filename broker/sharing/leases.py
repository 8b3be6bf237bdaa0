"""The leases of this process: asked for and renewed every second, and counted as lost before another process can have them.

The store says by its own clock who has a lease. How long that answer holds, the process measures from before it asked, and
less than the store gives it: so it stops doing what the lease is for before anybody else begins, also where it hears nothing
from the store, or where it was itself frozen. What it has sent off by then may still arrive late; against that there is
`Store.save_under`. Where no other process can have the store open, nothing is ever lost.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from broker.errors import NgsiLdError, StoreUnavailable
from broker.sharing.clock import elapsed
from broker.store.cancellation import check_cancelled
from broker.store.protocol import Lease, Store

LEASE_SECONDS: Final = 3.0
RENEWAL_SECONDS: Final = 1.0
"""How often leases are renewed, and looked whether those of others have become free."""
MARGIN_SECONDS: Final = 0.4
"""How much earlier than the store a process counts a lease as lost."""
TAKING_SECONDS: Final = 1.5
"""How long leases of others may be asked for: no longer, so that those that are held are renewed in time."""
RETRY_SECONDS: Final = 0.25
"""How soon the store is asked again that could not answer."""

FOREVER: Final = math.inf

_LOG: Final = logging.getLogger(__name__)

Heard = Callable[[Lease], None]


@dataclass(slots=True, eq=False)
class _Wish:
    """A lease that is wanted, and, where it is held, which one it is, and until when that is certain."""

    taken: Heard
    lost: Heard
    lease: Lease | None = None
    until: float = 0.0


class Leases:
    """See the module. `holder` is the name of this process, which no other one has or had. `clock` gives seconds."""

    def __init__(self, store: Store, holder: str, *, clock: Callable[[], float] = elapsed) -> None:
        self.holder = holder
        self._store = store
        self._clock = clock
        self._wishes: dict[str, _Wish] = {}
        self._turn = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # --- life

    async def start(self) -> None:
        """Ask for the leases that are wanted, and go on doing so. What is free is taken when this returns."""
        await self._ask()
        self._task = asyncio.create_task(self._ask_regularly(), name="leases")

    async def stop(self) -> None:
        """Give everything up, so that others can go on at once. Nobody hears of that: who works under a lease has ended."""
        if self._task is not None:
            async with self._turn:  # what is being asked for is answered: it must not be taken behind giving it up
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for wish in self._wishes.values():
            wish.lost = _nobody
        try:
            await self.give_up(list(self._wishes))
        except NgsiLdError as error:
            _LOG.warning("leases run out by themselves", extra={"detail": error.detail})
        if self._expiry is not None:
            self._expiry.cancel()

    # --- what is wanted

    def want(self, name: str, taken: Heard, lost: Heard) -> None:
        """Ask for a lease from now on. `taken` is told when it is held, `lost` when it is not any more; both must be quick."""
        self._wishes[name] = _Wish(taken, lost)
        self._hurry.set()

    async def give_up(self, names: Collection[str]) -> None:
        """Want these leases no longer, and let others have them. Raises StoreUnavailable: then they run out by themselves."""
        async with self._turn:  # not while a renewal is under way, which would take them again
            wishes = [self._wishes.pop(name) for name in names if name in self._wishes]
            held = [wish.lease for wish in wishes if wish.lease is not None]
            for wish in wishes:
                self._lose(wish)
            try:
                async with asyncio.timeout(TAKING_SECONDS):
                    await self._store.release_leases(held)
            except TimeoutError:
                raise StoreUnavailable("leases could not be given up in time: they run out by themselves") from None

    def held(self, name: str) -> Lease | None:
        """A lease that certainly is this process's in this moment."""
        wish = self._wishes.get(name)
        return wish.lease if wish is not None and self._left(wish) > 0 else None

    # --- renewal

    async def _ask_regularly(self) -> None:
        pause = RENEWAL_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            begun = self._clock()
            answered = await self._ask()
            check_cancelled()
            pause = max(0.0, begun + RENEWAL_SECONDS - self._clock()) if answered else RETRY_SECONDS

    async def _ask(self) -> bool:
        """Renew what is held, then take what can be had; whether the store answered."""
        async with self._turn:
            self._hurry.clear()
            held = [name for name, wish in self._wishes.items() if wish.lease is not None]
            renewed = not held or await self._take(held, LEASE_SECONDS)
            self._look_at_clock()
            # Apart, because what a process that died leaves behind may be in the way of taking its leases.
            others = [name for name, wish in self._wishes.items() if wish.lease is None]
            return renewed and (not others or await self._take(others, TAKING_SECONDS))

    async def _take(self, names: Collection[str], patience: float) -> bool:
        """Take or renew these as far as they can be had; whether the store answered within so many seconds."""
        begun = self._clock()
        try:
            async with asyncio.timeout(patience):
                taken = await self._store.take_leases(names, self.holder, LEASE_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be tried again
            known = isinstance(error, NgsiLdError | TimeoutError)
            detail = error.detail if isinstance(error, NgsiLdError) else "no answer"
            _LOG.info("leases cannot be renewed now", extra={"detail": detail}, exc_info=None if known else error)
            return False
        self._look_at_clock()  # what ran out meanwhile is lost, though it may be had again
        until = begun + LEASE_SECONDS - MARGIN_SECONDS
        if until <= self._clock() and self._store.is_shared:  # an answer that comes too late is worth nothing
            return False
        for name in names:
            if (wish := self._wishes.get(name)) is None:
                continue
            lease, wish.until = taken.get(name), until
            if lease != wish.lease:
                self._lose(wish)
                if lease is not None:
                    wish.lease = lease
                    _tell(wish.taken, lease)
        self._look_at_clock()
        return True

    def _look_at_clock(self) -> None:
        """Count as lost what it is time for; look again when it is time for the next."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        held = [wish for wish in self._wishes.values() if wish.lease is not None]
        late = [wish for wish in held if self._left(wish) <= 0]
        if late:
            _LOG.warning("leases were not renewed in time: what they are for ends here")
        for wish in late:
            self._lose(wish)
        left = min((self._left(wish) for wish in held if wish not in late), default=FOREVER)
        if left != FOREVER:
            self._expiry = asyncio.get_running_loop().call_later(left, self._look_at_clock)

    def _left(self, wish: _Wish) -> float:
        """For how many seconds a lease that is held is certain to be held."""
        return wish.until - self._clock() if self._store.is_shared else FOREVER

    def _lose(self, wish: _Wish) -> None:
        lease, wish.lease = wish.lease, None
        if lease is not None:
            _tell(wish.lost, lease)


def _tell(heard: Heard, lease: Lease) -> None:
    """Let one hear of its lease. Should it fail, the leases of others are renewed all the same."""
    try:
        heard(lease)
    except Exception:  # noqa: BLE001
        _LOG.critical("what a lease is for did not hear of it", extra={"lease": lease.name}, exc_info=True)


def _nobody(_: Lease) -> None:
    """Nobody has to hear of it."""
