"""Purge Entities (5.6.21): delete all entities that a query selects, or only some of their attributes."""

from collections.abc import Callable

from broker.model.change import Change
from broker.model.entity import Entity
from broker.model.patches import delete_attributes
from broker.operations.batches import BatchResult, record_outcomes
from broker.operations.broker import Broker
from broker.operations.entities import change_of, deletion
from broker.query.ast import EntityQuery
from broker.query.evaluate import matches
from broker.store.linked import resolve_linked
from broker.store.protocol import Page

STRIDE = 500
"""Entities that one step of a purge takes: small enough that other writers get their turn."""


async def purge(
    broker: Broker, tenant: str, query: EntityQuery, *, drop: frozenset[str] | None, keep: frozenset[str] | None
) -> BatchResult:
    """5.6.21: entities that match are deleted; with `drop` only those attributes are, with `keep` all but those.

    Each entity is checked once more under the writer, so one that stopped matching meanwhile stays.
    """
    query = await resolve_linked(broker.store, tenant, query)
    now = broker.now()
    result = BatchResult()
    after: str | None = None
    while True:
        window = await broker.store.query(tenant, query, Page(STRIDE, after=after))
        requests = [
            (entity["id"], _decision(tenant, entity["id"], query, drop, keep, now)) for entity in window.entities
        ]
        record_outcomes(result, requests, await broker.writer.write_many(tenant, requests))
        if not window.more:
            return result
        after = window.entities[-1]["id"]


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
