"""The ordeal: faults of all kinds, in an order that chance makes, one after the other and now and then two at a time."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from faults.audit import Occurrence
from faults.fault import Fault
from faults.stage import Stage
from faults.tempo import Tempo
from faults.writer import Writers

RECOVERY_SECONDS: Final = 60.0
"""How long it may take after a fault until a write is acknowledged again."""


def plan(faults: Sequence[Fault], number: int, tempo: Tempo) -> list[list[Fault]]:
    """So many faults, every kind about as often as any other, in groups that are done at the same time."""
    drawn: list[Fault] = []
    while len(drawn) < number:
        drawn += tempo.chance.sample(faults, len(faults))
    groups: list[list[Fault]] = []
    for fault in drawn[:number]:
        alone = len(groups[-1]) == 1 if groups else False
        if alone and groups[-1][0].part != fault.part and tempo.chance.random() < tempo.together:
            groups[-1].append(fault)
        else:
            groups.append([fault])
    return groups


async def undergo(
    stage: Stage, writers: Writers, faults: Sequence[Fault], number: int, tempo: Tempo
) -> list[Occurrence]:
    """Do so many of these faults to what is on the stage while clients write; what was done, and when."""
    done: list[Occurrence] = []

    async def do(fault: Fault) -> None:
        began = time.monotonic()
        await fault.harm(stage, tempo)
        done.append(Occurrence(fault.name, began, time.monotonic()))

    for group in plan(faults, number, tempo):
        await tempo.stay_calm()
        await asyncio.gather(*(do(fault) for fault in group))
        await _recovered(stage, writers, " and ".join(fault.name for fault in group))
    return done


async def _recovered(stage: Stage, writers: Writers, what: str) -> None:
    """Wait for the first write that is acknowledged from now on."""
    healed = time.monotonic()
    while writers.last_acknowledged < healed:
        writers.check()
        assert not any(broker.has_ended for broker in stage.brokers), f"{what}: a broker ended by itself"
        assert time.monotonic() < healed + RECOVERY_SECONDS, f"{what}: nothing is acknowledged any more"
        await asyncio.sleep(0.02)
