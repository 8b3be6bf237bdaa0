"""A query means the same to the evaluator and to every store: random entities, random queries (design §5)."""

import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import put
from strategies_queries import entities, entity_queries, orderings

from broker.model.entity import Entity
from broker.query.ast import EntityQuery, Ordering
from broker.query.evaluate import matches
from broker.query.ordering import sort_entities
from broker.store.protocol import Page, Store

SETTINGS = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The fixture's store serves all examples of a test, each under a tenant of its own."""

some_entities = st.lists(entities(), max_size=8, unique_by=lambda entity: entity["id"])


def ids(found: list[Entity]) -> list[str]:
    return [entity["id"] for entity in found]


@SETTINGS
@given(states=some_entities, queries=st.lists(entity_queries(), min_size=1, max_size=6))
async def test_a_store_finds_what_the_evaluator_finds(
    store: Store, states: list[Entity], queries: list[EntityQuery]
) -> None:
    tenant = uuid.uuid4().hex
    await put(store, states, tenant)
    for query in queries:
        expected = sorted(entity["id"] for entity in states if matches(query, entity))
        window = await store.query(tenant, query, Page(limit=100))
        assert ids(window.entities) == expected
        assert not window.more
        assert await store.count(tenant, query) == len(expected)
        half = await store.query(tenant, query, Page(limit=2, offset=1))
        assert (ids(half.entities), half.more) == (expected[1:3], len(expected) > 3)


@SETTINGS
@given(states=some_entities, query=entity_queries(), ordering=orderings())
async def test_a_store_orders_as_sort_entities_does(
    store: Store, states: list[Entity], query: EntityQuery, ordering: Ordering
) -> None:
    tenant = uuid.uuid4().hex
    await put(store, states, tenant)
    query = EntityQuery(query.selectors, query.attrs, query.q, query.geo, query.scope, ordering)
    expected = ids(sort_entities([entity for entity in states if matches(query, entity)], ordering))
    assert ids((await store.query(tenant, query, Page(limit=100))).entities) == expected
    part = await store.query(tenant, query, Page(limit=2, offset=2))
    assert (ids(part.entities), part.more) == (expected[2:4], len(expected) > 4)
