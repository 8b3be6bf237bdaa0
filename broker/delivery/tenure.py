"""Which shares this process has: as many as is its part, of those that are free.

Alone, it has all of them. Where others live on the same store, each has no more than its part of them, and gives back what is
too much. A share of a process that died is free when its lease has run out.
"""

import asyncio
import math
from collections.abc import Collection
from functools import partial
from typing import Final

from broker.delivery.background import report, watched
from broker.delivery.handover import Handover
from broker.delivery.share import share_name
from broker.sharing.leases import Leases
from broker.sharing.members import Membership
from broker.store.protocol import Lease

LOOK_SECONDS: Final = 0.25
"""How often it is looked whether others came or went. Nobody is asked for that."""
EAGER_SECONDS: Final = 4.0
"""For how long after that free shares are asked for each time: a little longer than a lease of the dead may still run."""
FAILED_SECONDS: Final = 1.0
"""Seconds after which something that failed is tried again."""


class Tenure:
    """See the module. `shares`: how many there are."""

    def __init__(self, leases: Leases, members: Membership, shares: int, handover: Handover) -> None:
        self._leases = leases
        self._members = members
        self._shares = shares
        self._handover = handover
        self._granted: dict[int, Lease] = {}
        self._wanted: set[int] = set()
        self._known = members.alive
        self._changed_at = -EAGER_SECONDS
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Want shares from now on: all that are free, what is too much is not taken over."""
        self._want(range(self._shares))
        self._task = watched(self._run())

    async def settled(self) -> None:
        """Wait until what could be had at first is taken over. To be called when the leases have been asked for."""
        if self._granted:
            await self._looked.wait()

    async def stop(self) -> None:
        """Take over nothing more. Leases stay held until they are given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _want(self, numbers: Collection[int]) -> None:
        for number in numbers:
            self._wanted.add(number)
            name = share_name(number, self._shares)
            self._leases.want(name, partial(self._hear_taken, number), partial(self._hear_lost, number))

    async def _give_up(self, numbers: Collection[int]) -> None:
        self._wanted.difference_update(numbers)
        await self._leases.give_up([share_name(number, self._shares) for number in numbers])

    def _hear_taken(self, number: int, lease: Lease) -> None:
        self._granted[number] = lease
        self._handover.go_on(number, lease)
        self._looked.clear()
        self._wake.set()

    def _hear_lost(self, number: int, _: Lease) -> None:
        self._granted.pop(number, None)
        self._handover.pause(number)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            pause = LOOK_SECONDS
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - deliveries must never come to a silent stop
                report("shares of deliveries cannot be taken over or given back now", error)
                pause = FAILED_SECONDS
            if pause == FAILED_SECONDS or not any(
                self._is_new(number, lease) for number, lease in self._granted.items()
            ):
                self._looked.set()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Give back what is too much, take over what is new, and want what is missing."""
        self._wake.clear()
        here = self._handover.numbers
        part = math.ceil(self._shares / len(self._members.alive))
        if surplus := sorted(self._granted, key=lambda number: (number in here, number))[: -part or None]:
            await self._handover.give_back([number for number in surplus if number in here])
            await self._give_up(surplus)
        if new := {number: lease for number, lease in self._granted.items() if self._is_new(number, lease)}:
            await self._handover.take_over(new, self._is_granted)
        if len(self._granted) < part:
            self._want(set(range(self._shares)) - (self._granted.keys() if self._is_eager() else self._wanted))
        elif spare := self._wanted - self._granted.keys():
            await self._give_up(spare)
        for number in self._handover.numbers - self._granted.keys():
            await self._handover.check(number)

    def _is_eager(self) -> bool:
        """Whether to ask at once, and not only when leases are renewed: somebody came or went lately."""
        now = asyncio.get_running_loop().time()
        if self._members.alive != self._known:
            self._known = self._members.alive
            self._changed_at = now
        return now < self._changed_at + EAGER_SECONDS

    def _is_new(self, number: int, lease: Lease) -> bool:
        return number not in self._handover.numbers and self._handover.refused.get(number) != lease

    def _is_granted(self, number: int, lease: Lease) -> bool:
        return self._granted.get(number) == lease
