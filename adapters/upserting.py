"""Bring a broker to what some entities say, with as few writes as possible: compare, send what differs, take away what is gone.

The comparison is made here, so that the same input twice changes nothing and notifies nobody, with any broker. Each batch has an
idempotency key of its run and its place in it, so that a batch that is sent again, as its answer was lost, has one effect.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from adapters.contract import Entity
from adapters.ngsild_client import BATCH, NgsiLdClient
from adapters.wire import Change, change, to_wire
from datamodels import Model

IN_FLIGHT: Final = 4
"""Batches that may be under way at the same time: the back-pressure of an import."""


@dataclass(slots=True)
class Outcome:
    """How many entities were created, updated and left as they were, and why others failed, by id."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many entities have been dealt with."""
        return self.created + self.updated + self.unchanged + len(self.failed)

    def add(self, other: "Outcome") -> None:
        """Count what became of further entities."""
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.failed |= other.failed


async def upsert_entities(
    client: NgsiLdClient,
    model: Model,
    entities: Sequence[Entity],
    owned: frozenset[str],
    on_done: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Compare entities (short names, of one model) with the broker's and send what differs, in batches.

    `owned` are the attributes (short names) that are taken away from an entity that no longer has them. `on_done` is told the
    number of entities dealt with. Raises BrokerUnreachable, BrokerRefused.
    """
    outcome = Outcome()
    owned_on_wire = frozenset(model.attributes[name].wire_name for name in owned)
    waiting = asyncio.Semaphore(IN_FLIGHT)
    run = uuid4()

    async def bring(batch: Sequence[Entity], key: str) -> None:
        async with waiting:
            await _bring(client, model, batch, owned_on_wire, outcome, key)
            on_done(outcome.done)

    try:
        async with asyncio.TaskGroup() as tasks:
            for start in range(0, len(entities), BATCH):
                tasks.create_task(bring(entities[start : start + BATCH], f"{run}/{start // BATCH}"))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return outcome


async def _bring(
    client: NgsiLdClient, model: Model, batch: Sequence[Entity], owned: frozenset[str], outcome: Outcome, key: str
) -> None:
    wire = [to_wire(entity, model) for entity in batch]
    current = await client.entities(model.iri, [entity["id"] for entity in wire])
    changes = [found for entity in wire if (found := change(entity, current.get(entity["id"]), owned)) is not None]
    outcome.unchanged += len(wire) - len(changes)
    failed = await client.upsert([found.fragment for found in changes if found.created or found.attributes], key=key)
    outcome.failed.update(failed)
    for found in changes:
        if found.id in failed:
            continue
        await _remove(client, found)
        if found.created:
            outcome.created += 1
        else:
            outcome.updated += 1


async def _remove(client: NgsiLdClient, found: Change) -> None:
    for name in found.removed:
        await client.delete_attribute(found.id, name)
