"""Indexes of attribute values in the embedded store: they are learned, they are right, and they are used (design §5)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import BASE, LEVEL, deletion, entity, instance, put, update
from strategies_queries import ATTRIBUTES, entities, entity_queries

from broker.model.entity import Entity
from broker.query import ast
from broker.query.ast import And, Comparison, EntityQuery, Or, Value, ValueList
from broker.query.evaluate import matches
from broker.store.protocol import Mutation, Page
from broker.store.sqlite import learning
from broker.store.sqlite.narrowing import narrow
from broker.store.sqlite.store import SqliteStore


@pytest.fixture
async def indexed(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(tmp_path))
    await store.open()
    yield store
    await store.close()


def level(operator: str, value: int | str) -> Comparison:
    return Comparison(ast.Path((LEVEL,)), operator, Value(value, "string" if isinstance(value, str) else "number"))  # type: ignore[arg-type]


async def way(store: SqliteStore, query: EntityQuery) -> str | None:
    narrowing = await store._database.read(lambda c: narrow(c, "", query), "narrowing")
    return None if narrowing is None else narrowing.way


async def until_indexed(store: SqliteStore) -> None:
    """Wait for the first index, which is built in the background."""
    async with asyncio.timeout(10):
        while not await store.indexed_attributes():  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0.01)


async def test_an_index_follows_writes_before_during_and_after_its_building(indexed: SqliteStore) -> None:
    await put(indexed, [entity(f"{number:04d}", number) for number in range(1200)])
    building = asyncio.create_task(indexed.index_attribute("", LEVEL))
    await asyncio.sleep(0)
    await put(indexed, [entity("new", 7)])
    old = entity("0007", 7)
    await indexed.commit([Mutation(update(old, entity("0007", 8, version=2)), 1)])
    await building
    assert await indexed.indexed_attributes() == [("", LEVEL)]
    assert await way(indexed, EntityQuery(q=level("==", 7))) == "values"
    assert await indexed.count("", EntityQuery(q=level("==", 7))) == 1
    assert await indexed.count("", EntityQuery(q=level("==", 8))) == 2
    assert await indexed.count("", EntityQuery(q=And((level(">=", 10), level("<", 20))))) == 10
    assert await indexed.count("", EntityQuery(q=Or((level("==", 10), level("==", "x"))))) == 1
    await indexed.commit([Mutation(deletion(entity("0010", 10)), 1)])
    assert await indexed.count("", EntityQuery(q=level("==", 10))) == 0
    await indexed.index_attribute("", LEVEL)


async def test_costly_queries_make_the_store_learn(indexed: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "ENOUGH", 3000)
    await put(indexed, [entity(number, number, types=(BASE + "Many",)) for number in range(2000)])
    query = EntityQuery(q=level("==", 77))
    assert await way(indexed, query) != "values"
    for _ in range(2):
        assert await indexed.count("", query) == 1
    await until_indexed(indexed)
    assert await indexed.indexed_attributes() == [("", LEVEL)]
    assert await way(indexed, query) == "values"
    assert await indexed.count("", query) == 1
    assert await indexed.count("other", query) == 0


async def test_queries_that_find_what_they_look_at_ask_for_no_index(
    indexed: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "ENOUGH", 1)
    await put(indexed, [entity(number, number) for number in range(1000)])
    await indexed.query("", EntityQuery(q=level(">=", 0)), Page(1000))
    await asyncio.sleep(0.05)
    assert await indexed.indexed_attributes() == []


async def test_a_building_that_was_interrupted_goes_on_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await put(store, [entity(number, number) for number in range(1500)])
    monkeypatch.setattr(learning, "STRIDE", 10)
    building = asyncio.create_task(store.index_attribute("", LEVEL))
    await asyncio.sleep(0.02)
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    assert await store.indexed_attributes() == []
    await store.close()
    monkeypatch.undo()
    await store.open()
    await until_indexed(store)
    assert await store.count("", EntityQuery(q=level("==", 1499))) == 1
    assert await way(store, EntityQuery(q=level("==", 1499))) == "values"
    await store.close()


async def test_opaque_values_are_always_looked_at(indexed: SqliteStore) -> None:
    await indexed.index_attribute("", LEVEL)
    wide = entity(2, attrs={LEVEL: [instance(list(range(500)))]})
    await put(indexed, [entity(1, 3), wide, entity(3, 2**64 - 1), entity(4, "x" * 200)])
    assert await indexed.count("", EntityQuery(q=level("==", 499))) == 1
    assert await indexed.count("", EntityQuery(q=level(">", 2**63))) == 1
    assert await indexed.count("", EntityQuery(q=level("==", "x" * 200))) == 1
    assert await indexed.count("", EntityQuery(q=level("==", "x" * 199))) == 0
    either = ValueList((Value(3, "number"), Value("x" * 200, "string")))
    assert await indexed.count("", EntityQuery(q=Comparison(ast.Path((LEVEL,)), "==", either))) == 3


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    states=st.lists(entities(), max_size=8, unique_by=lambda entity: entity["id"]),
    queries=st.lists(entity_queries(), min_size=1, max_size=6),
)
async def test_with_indexes_too_a_query_means_what_the_evaluator_says(
    indexed: SqliteStore, states: list[Entity], queries: list[EntityQuery]
) -> None:
    tenant = uuid.uuid4().hex
    await indexed._database.write(
        lambda c: c.executemany(
            "INSERT INTO indexed_attributes (tenant, attribute, ready) VALUES (?, ?, 1)",
            [(tenant, each) for each in ATTRIBUTES],
        ),
        "making indexes",
    )
    indexed._catalogue.forget_indexed()
    await put(indexed, states, tenant)
    for query in queries:
        expected = sorted(entity["id"] for entity in states if matches(query, entity))
        window = await indexed.query(tenant, query, Page(limit=100))
        assert [entity["id"] for entity in window.entities] == expected
        assert await indexed.count(tenant, query) == len(expected)
