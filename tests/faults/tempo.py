"""The tempo of a run: how long faults last and what lies between them, which chance decides within bounds."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import TypeAlias

Bounds: TypeAlias = tuple[float, float]
"""Seconds, from and to."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """`long` faults are such that clients, endpoints and the broker wait for some of them in vain.

    `away` is for stores: a broker gives one up after some four seconds. `together` is how often a fault does not come alone.
    """

    chance: random.Random
    calm: Bounds = field(default=(0.05, 0.7))
    short: Bounds = field(default=(0.1, 1.0))
    long: Bounds = field(default=(0.3, 3.0))
    away: Bounds = field(default=(0.3, 7.0))
    together: float = 0.25

    async def stay_calm(self) -> None:
        await asyncio.sleep(self.chance.uniform(*self.calm))

    async def last_short(self) -> None:
        await asyncio.sleep(self.chance.uniform(*self.short))

    async def last_long(self) -> None:
        await asyncio.sleep(self.chance.uniform(*self.long))

    async def stay_away(self) -> None:
        await asyncio.sleep(self.chance.uniform(*self.away))


def brisk(chance: random.Random) -> Tempo:
    """For a run that must not take long."""
    return Tempo(chance, calm=(0.05, 0.2), short=(0.1, 0.5), long=(0.3, 1.0), away=(0.3, 1.0), together=1.0)
