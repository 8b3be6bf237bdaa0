"""Which entities a temporal query selects (5.7.4.4): conditions held against the instances within its interval."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from broker.errors import TooComplexQuery
from broker.model.entity import Entity, Instance
from broker.model.evolution import SCOPE
from broker.model.terms import is_attribute_name
from broker.query.ast import And, Condition, EntityQuery, GeoQuery, Linked, Or, ScopeQuery
from broker.query.evaluate import compile_condition, matches_geo, matches_scope
from broker.query.temporal import TemporalQuery, TimeProperty
from broker.store.chronicle import times_of
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span, Store

MOST_SCOPES: Final = 10_000
"""Changes of one entity's scope that are looked at."""


def time_of(temporal: TemporalQuery) -> TimeProperty | None:
    """The Temporal Property that instances must have; None without a temporal query."""
    return temporal.time or ("observedAt" if temporal.restricts else None)


async def select(
    store: Store,
    tenant: str,
    evolutions: Sequence[Evolution],
    query: EntityQuery,
    temporal: TemporalQuery,
    datasets: frozenset[str | None] | None,
) -> list[tuple[Evolution, tuple[Span, ...], list[HistoryEntry]]]:
    """Those of some evolutions that a query selects, in their order.

    Each comes with the spans of its history that the query is to show, and with a scope query the scopes that match in
    them. Conditions on values hold if they hold for any instance in the interval. Where `datasets` are asked for, an entity
    that has no instance of any of them is not selected: nothing of it is left.
    """
    time = time_of(temporal)
    spans = {each.entity_id: Span(each.entity_id, temporal.start, temporal.end) for each in evolutions}
    # Where any attribute will do, what fulfils a condition on attributes is there.
    implied = not query.attrs and query.q is not None and all(_of_attribute(leaf) for leaf in _leaves(query.q))
    if not implied:
        present = HistoryQuery(tuple(spans.values()), time=time, attributes=query.attrs or None)
        there = await store.present(tenant, present)
        evolutions = [each for each in evolutions if each.entity_id in there]
    tests = (_selected(store, tenant, each, query, spans[each.entity_id], time) for each in evolutions)
    found = await asyncio.gather(*tests)
    selected = [(evolution, *parts) for evolution, parts in zip(evolutions, found, strict=True) if parts is not None]
    if datasets is None or not selected:
        return selected
    # The scope has no datasets, and by itself it is nothing of what was asked for.
    shown = tuple(span for _, spans, _ in selected for span in spans)
    left = HistoryQuery(shown, time, query.attrs or None, without=frozenset({SCOPE}), datasets=datasets)
    there = await store.present(tenant, left)
    return [each for each in selected if each[0].entity_id in there]


async def _selected(
    store: Store, tenant: str, evolution: Evolution, query: EntityQuery, span: Span, time: TimeProperty | None
) -> tuple[tuple[Span, ...], list[HistoryEntry]] | None:
    """What `select` gives for one evolution that has instances in the interval, None if it is not selected."""
    if query.q is not None and not await _fulfils(store, tenant, evolution, query.q, span, time):
        return None
    if query.geo is not None and not await _lies(store, tenant, evolution, query.geo, span, time):
        return None
    if query.scope is not None:
        return await _scoped(store, tenant, query.scope, span, time)
    return (span,), []


async def _fulfils(
    store: Store, tenant: str, evolution: Evolution, condition: Condition, span: Span, time: TimeProperty | None
) -> bool:
    """Whether the instances in a span meet the condition of a values filter query."""
    tests = {leaf: compile_condition(leaf) for leaf in _leaves(condition)}
    head = _state(evolution, {})
    met = {leaf for leaf, test in tests.items() if not _of_attribute(leaf) and test(head)}
    by_attribute: dict[str, set[Condition]] = {}
    for leaf in tests:
        if _of_attribute(leaf):
            by_attribute.setdefault(_attribute(leaf), set()).add(leaf)
    for attribute, pending in by_attribute.items():

        def visit(
            entries: Sequence[HistoryEntry], attribute: str = attribute, pending: set[Condition] = pending
        ) -> bool:
            state = _state(evolution, {attribute: [entry.instance for entry in entries if not entry.deleted]})
            passed = {leaf for leaf in pending if tests[leaf](state)}
            met.update(passed)
            pending -= passed
            return not pending

        await store.scan_history(tenant, HistoryQuery((span,), time, frozenset({attribute})), visit)
    return _holds(condition, met)


async def _lies(
    store: Store, tenant: str, evolution: Evolution, geo: GeoQuery, span: Span, time: TimeProperty | None
) -> bool:
    """Whether an instance of the GeoProperty in a span meets a geoquery."""
    found = False

    def visit(entries: Sequence[HistoryEntry]) -> bool:
        nonlocal found
        instances = [entry.instance for entry in entries if not entry.deleted]
        found = found or matches_geo(geo, _state(evolution, {geo.geoproperty: instances}))
        return found

    await store.scan_history(tenant, HistoryQuery((span,), time, frozenset({geo.geoproperty})), visit)
    return found


async def _scoped(
    store: Store, tenant: str, scope: ScopeQuery, span: Span, time: TimeProperty | None
) -> tuple[tuple[Span, ...], list[HistoryEntry]] | None:
    """The parts of a span in which a matching scope was valid: from when it was set until the next one (4.18)."""
    query = HistoryQuery((Span(span.entity_id, None, span.end),), attributes=frozenset({SCOPE}))
    entries = await store.instances(tenant, query, MOST_SCOPES)
    if len(entries) == MOST_SCOPES:
        raise TooComplexQuery(f"scopeQ: the scope of {span.entity_id} changed more than {MOST_SCOPES} times")
    moments: list[str | None] = [*(times_of(entry).moment for entry in entries), span.end]
    spans: list[Span] = []
    matching: list[HistoryEntry] = []
    for entry, start, end in zip(entries, moments, moments[1:], strict=False):
        if entry.deleted or not matches_scope(scope, entry.instance["value"]):
            continue
        if span.start is not None and end is not None and end <= span.start:
            continue
        start = max(filter(None, (start, span.start)))
        matching.append(entry)
        if spans and spans[-1].end == start:
            start = spans.pop().start or start
        spans.append(Span(span.entity_id, start, end))
    if not spans:
        return None
    # Scopes are valid in the time in which things are observed: other times are not restricted by them.
    return (tuple(spans) if time in (None, "observedAt") else (span,)), matching


def _leaves(condition: Condition) -> list[Condition]:
    if isinstance(condition, And | Or):
        return [leaf for term in condition.terms for leaf in _leaves(term)]
    return [condition]


def _attribute(leaf: Condition) -> str:
    assert not isinstance(leaf, And | Or | Linked)
    return leaf.path.names[0]


def _of_attribute(leaf: Condition) -> bool:
    return is_attribute_name(_attribute(leaf))


def _holds(condition: Condition, met: set[Condition]) -> bool:
    combine: Callable[..., bool]
    match condition:
        case And(terms):
            combine = all
        case Or(terms):
            combine = any
        case _:
            return condition in met
    return combine(_holds(term, met) for term in terms)


def _state(evolution: Evolution, attrs: dict[str, list[Instance]]) -> Entity:
    return {
        "id": evolution.entity_id,
        "type": list(evolution.types),
        "attrs": attrs,
        "createdAt": evolution.created_at,
        "modifiedAt": evolution.modified_at,
        "version": 0,
    }
