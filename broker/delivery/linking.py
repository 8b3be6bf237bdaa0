"""Linked entity conditions of q (4.9) for subscriptions: a condition is settled against the entities that are really linked."""

from collections.abc import Iterator
from typing import Final

from broker.model.entity import Entity, Instance
from broker.model.expiry import without_expired
from broker.model.representation import targets
from broker.query.ast import And, Condition, Linked, LinkedIn, Or, Path
from broker.query.evaluate import satisfies
from broker.store.protocol import Store

MOST_LINKED: Final = 1_000
"""Linked entities of one entity that are looked at; those beyond do not count as matching."""


async def settle(store: Store, tenant: str, condition: Condition, entity: Entity, now: str) -> Condition:
    """The condition with each linked path replaced by those ids, among the ones `entity` links to, that satisfy it.

    Only the entity's own links are read, so this costs what the entity's relationships cost, not a query.
    """
    if isinstance(condition, And):
        return And(tuple([await settle(store, tenant, term, entity, now) for term in condition.terms]))
    if isinstance(condition, Or):
        return Or(tuple([await settle(store, tenant, term, entity, now) for term in condition.terms]))
    if not isinstance(condition, Linked):
        return condition
    ids = sorted(set(_linked_from(entity, condition.path)))[:MOST_LINKED]
    states = await store.read([(tenant, entity_id) for entity_id in ids]) if ids else {}
    satisfying = set()
    for state in states.values():
        linked = without_expired(state, now)
        if linked is None:
            continue
        if condition.types and set(condition.types).isdisjoint(linked["type"]):
            continue
        if satisfies(await settle(store, tenant, condition.condition, linked, now), linked):
            satisfying.add(linked["id"])
    return LinkedIn(condition.path, frozenset(satisfying))


def _linked_from(entity: Entity, path: Path) -> Iterator[str]:
    """The entities that the relationship at a path points to."""
    instances: list[Instance] = entity["attrs"].get(path.names[0], [])
    for name in path.names[1:]:
        instances = [inner for instance in instances for inner in instance.get(name, [])]
    for instance in instances:
        if instance["type"] in ("Relationship", "ListRelationship"):
            yield from targets(instance)
