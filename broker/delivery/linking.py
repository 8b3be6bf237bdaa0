"""Linked entity conditions of q (4.9) for subscriptions: a condition is settled against the entities that are really linked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from broker.model.entity import Entity, Instance
from broker.model.expiry import without_expired
from broker.model.representation import View, linked_views, targets
from broker.query.ast import And, Condition, EntityQuery, EntitySelector, Linked, LinkedIn, Or, Path, TypeSelection
from broker.query.evaluate import satisfies
from broker.query.linked import linked_terms, replace_linked
from broker.store.protocol import Page, Store

MOST_LINKED: Final = 1_000
"""Linked entities of one entity that are looked at; those beyond do not count as matching."""
MOST_SELECTED: Final = 10_000
"""Entities that the inner condition of a periodic subscription's q may select; those beyond do not count."""


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


async def settle_query(store: Store, tenant: str, query: EntityQuery) -> EntityQuery:
    """A query over all entities with each linked path replaced by the ids that its inner condition selects."""
    condition = query.q
    if condition is None:
        return query
    while pending := linked_terms(condition):
        term = pending[0]
        inner = replace(_inner_query(term, term.condition), now=query.now)
        window = await store.query(tenant, inner, Page(MOST_SELECTED))
        found = LinkedIn(term.path, frozenset(entity["id"] for entity in window.entities))
        condition = replace_linked(condition, {term: found})
    return replace(query, q=condition)


def _inner_query(term: Linked, condition: Condition) -> EntityQuery:
    selectors: tuple[EntitySelector, ...] = ()
    if term.types:
        selectors = (EntitySelector(types=TypeSelection(tuple((name,) for name in term.types))),)
    return EntityQuery(selectors=selectors, q=condition)


def _linked_from(entity: Entity, path: Path) -> Iterator[str]:
    """The entities that the relationship at a path points to."""
    instances: list[Instance] = entity["attrs"].get(path.names[0], [])
    for name in path.names[1:]:
        instances = [inner for instance in instances for inner in instance.get(name, [])]
    for instance in instances:
        if instance["type"] in ("Relationship", "ListRelationship"):
            yield from targets(instance)


async def joined_entities(
    store: Store, tenant: str, roots: Sequence[Entity], view: View, now: str
) -> dict[str, Entity]:
    """The entities that `roots` link to, down to the view's join level, each once and none of the roots (4.5.23)."""
    met = {root["id"] for root in roots}
    found: dict[str, Entity] = {}
    frontier = [(root, view) for root in roots]
    for _ in range(view.join_level):
        wanted: dict[str, View] = {}
        for entity, seen_as in frontier:
            wanted.update(
                (target, below) for target, below in linked_views(entity, seen_as).items() if target not in met
            )
        if not wanted:
            break
        met.update(wanted)
        states = await store.read([(tenant, target) for target in sorted(wanted)])
        live = [linked for state in states.values() if (linked := without_expired(state, now)) is not None]
        found.update((linked["id"], linked) for linked in live)
        frontier = [(linked, wanted[linked["id"]]) for linked in live]
    return found
