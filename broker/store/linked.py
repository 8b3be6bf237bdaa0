"""Entities across relationships, as far as that needs a store: linked conditions of q (4.9), linked retrieval (4.5.23)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from broker.errors import TooComplexQuery
from broker.model.entity import Entity
from broker.model.expiry import without_expired
from broker.model.representation import View, linked_views
from broker.query.ast import EntityQuery, EntitySelector, Linked, LinkedIn, TypeSelection
from broker.query.linked import linked_terms, replace_linked
from broker.store.protocol import Page, Store

MAX_SELECTED: Final = 10_000
"""Entities that the inner condition of a linked path may select, before the query counts as too complex."""


async def resolve_linked(store: Store, tenant: str, query: EntityQuery) -> EntityQuery:
    """The query with each linked path replaced by the ids that its inner condition selects. Raises TooComplexQuery."""
    condition = query.q
    if condition is None:
        return query
    while pending := linked_terms(condition):
        term = pending[0]
        ids = await _select_ids(store, tenant, term, query.now)
        condition = replace_linked(condition, {term: LinkedIn(term.path, ids)})
    return query if condition is query.q else replace(query, q=condition)


async def _select_ids(store: Store, tenant: str, term: Linked, now: str | None) -> frozenset[str]:
    selectors: tuple[EntitySelector, ...] = ()
    if term.types:
        selectors = (EntitySelector(types=TypeSelection(tuple((name,) for name in term.types))),)
    inner = EntityQuery(selectors=selectors, q=term.condition, now=now)
    window = await store.query(tenant, inner, Page(MAX_SELECTED))
    if window.more:
        raise TooComplexQuery(f"q: more than {MAX_SELECTED} entities match inside a linked path; narrow it by type")
    return frozenset(entity["id"] for entity in window.entities)


async def linked_entities(
    store: Store, tenant: str, roots: Iterable[Entity], view: View, now: str, contained_by: Iterable[str] = ()
) -> dict[str, Entity]:
    """The entities that `roots` link to, down to the view's join level, each once and none of the roots.

    `contained_by` are ids that were met before and are not followed again (6.5.3.1).
    """
    frontier = [(root, view) for root in roots]
    met = {*contained_by, *(root["id"] for root, _ in frontier)}
    found: dict[str, Entity] = {}
    while frontier:
        views: dict[str, View] = {}
        for entity, shown in frontier:
            for target, below in linked_views(entity, shown).items():
                if target not in met:
                    views.setdefault(target, below)
        met |= views.keys()
        states = await store.read([(tenant, target) for target in views]) if views else {}
        frontier = []
        for (_, target), state in states.items():
            if (live := without_expired(state, now)) is not None:
                found[target] = live
                frontier.append((live, views[target]))
    return found
