"""Purge Entities (5.6.21): delete all entities that a query selects, or only some of their attributes."""

from collections.abc import AsyncIterator, Callable

from broker.model.change import Change
from broker.model.entity import Entity
from broker.model.patches import delete_attributes
from broker.operations.batches import BatchResult, record_outcomes
from broker.operations.broker import Broker
from broker.operations.entities import change_of, deletion
from broker.operations.entity_maps import among, existing_entity_map
from broker.query.ast import EntityQuery
from broker.query.evaluate import matches
from broker.store.linked import resolve_linked
from broker.store.protocol import Page

STRIDE = 500
"""Entities that one step of a purge takes: small enough that other writers get their turn."""


async def purge(
    broker: Broker,
    tenant: str,
    query: EntityQuery,
    *,
    drop: frozenset[str] | None,
    keep: frozenset[str] | None,
    map_id: str | None = None,
) -> BatchResult:
    """5.6.21: entities that match are deleted; with `drop` only those attributes are, with `keep` all but those. With a map
    it is those entities in it that match (6.4.3.3).

    Each entity is checked once more under the writer, so one that stopped matching meanwhile stays. Raises ResourceNotFound for
    a map that is not there.
    """
    query = await resolve_linked(broker.store, tenant, query)
    now = broker.now()
    result = BatchResult()
    async for entities in _found(broker, tenant, query) if map_id is None else _mapped(broker, tenant, query, map_id):
        requests = [(entity["id"], _decision(tenant, entity["id"], query, drop, keep, now)) for entity in entities]
        record_outcomes(result, requests, await broker.writer.write_many(tenant, requests))
    return result


async def _found(broker: Broker, tenant: str, query: EntityQuery) -> AsyncIterator[list[Entity]]:
    """All entities that match, some at a time."""
    after: str | None = None
    while True:
        window = await broker.store.query(tenant, query, Page(STRIDE, after=after))
        yield window.entities
        if not window.more:
            return
        after = window.entities[-1]["id"]


async def _mapped(broker: Broker, tenant: str, query: EntityQuery, map_id: str) -> AsyncIterator[list[Entity]]:
    """Those of the entities in a map that match. Where a query would make a new map for one that has gone (5.7.2.4), a purge
    may not: it would delete what its client never saw."""
    entity_map = await existing_entity_map(broker, tenant, map_id)
    for number in range(entity_map.parts):
        slots = await broker.entity_maps.slots(tenant, entity_map, number)
        ids = [slot[0] for slot in slots if slot is not None]
        if ids:
            yield (await broker.store.query(tenant, among(query, ids), Page(len(ids)))).entities


def _decision(
    tenant: str, entity_id: str, query: EntityQuery, drop: frozenset[str] | None, keep: frozenset[str] | None, now: str
) -> Callable[[Entity | None], Change | None]:
    def decide(current: Entity | None) -> Change | None:
        if current is None or not matches(query, current):
            return None
        if drop is None and keep is None:
            return deletion(tenant, entity_id, None, now)(current)
        doomed = [
            name
            for name in current["attrs"]
            if (drop is not None and name in drop) or (keep is not None and name not in keep)
        ]
        return change_of(tenant, current, delete_attributes(current, doomed, now), now)

    return decide
