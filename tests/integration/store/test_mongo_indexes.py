"""Indexes of values on MongoDB: they are learned, shared, right, and used (design §5)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import ExecutionTimeout
from store_samples import BASE, LEVEL, ROOM, entity, put
from strategies_queries import ATTRIBUTES, TYPES, entities, entity_queries

from broker.errors import TooComplexQuery
from broker.model.entity import Entity
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    EntityQuery,
    EntitySelector,
    LinkedIn,
    Or,
    Path,
    Range,
    TypeSelection,
    Value,
    ValueList,
)
from broker.query.evaluate import matches
from broker.store import demand
from broker.store.demand import IndexKey
from broker.store.mongo import indexes as mongo_indexes
from broker.store.mongo.leading import led
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Page

pytestmark = pytest.mark.mongo

AT_LEVEL = Path((LEVEL,))
NOW = "2026-06-01T00:00:00Z"


@pytest.fixture
async def fresh(mongodb_uri: str, mongo_database: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongodb_uri, mongo_database)
    await store.open()
    yield store
    await store.close()


def level(operator: str, value: Any) -> Comparison:
    operand = value if isinstance(value, Range) else Value(value, "string" if isinstance(value, str) else "number")
    return Comparison(AT_LEVEL, operator, operand)  # type: ignore[arg-type]


def typed(q: Condition | None, *types: str) -> EntityQuery:
    alternatives = tuple((each,) for each in types or (ROOM,))
    return EntityQuery(selectors=(EntitySelector(types=TypeSelection(alternatives)),), q=q, now=NOW)


def stages(plan: dict[str, Any]) -> list[str]:
    found = [name for name in (plan.get("stage"), plan.get("indexName")) if name]
    for inner in (plan.get("inputStage"), *plan.get("inputStages", ()), plan.get("queryPlan")):
        if inner:
            found += stages(inner)
    return found


def explain(store: MongoStore, client: MongoClient[Any], query: EntityQuery, after: str | None = None) -> Any:
    compiled = led("", query, store._indexes.known, after).filter
    entities = client[store._connection.name].entities
    answer = entities.find(compiled.living, {"body": 1, "_id": 0}, sort=[("_id", 1)]).limit(21).explain()
    return stages(answer["queryPlanner"]["winningPlan"]), answer["executionStats"]


async def test_equality_is_led_by_its_index_in_order_of_id_from_any_page_on(
    fresh: MongoStore, mongo_client: MongoClient[Any]
) -> None:
    for start in range(0, 3000, 500):
        await put(fresh, [entity(f"{n:05}", n % 10) for n in range(start, start + 500)])
        await put(
            fresh, [entity(f"{n:05}", n % 10, types=(BASE + "House",)) for n in range(start, start + 500)], "other"
        )
    await fresh.index_values("", ROOM, AT_LEVEL)
    for query, after in (
        (typed(level("==", 7)), None),
        (typed(level("==", 7)), "urn:ngsi-ld:Thing:02000"),
        (typed(And((level("==", 7), level(">=", 0)))), None),
        (typed(Or((level("==", 7), level("==", 8)))), None),
    ):
        names, statistics = explain(fresh, mongo_client, query, after)
        assert "SORT" not in names
        assert "types" not in names
        assert statistics["totalDocsExamined"] <= 44
    assert await fresh.count("", typed(level("==", 7))) == 300
    window = await fresh.query("", typed(level("==", 7)), Page(2, after="urn:ngsi-ld:Thing:02000"))
    assert [each["id"][-5:] for each in window.entities] == ["02007", "02017"]
    assert (window.more, window.in_vain) == (True, 0)
    names, statistics = explain(fresh, mongo_client, typed(level(">", 8)))
    assert "types" not in names
    assert statistics["totalDocsExamined"] <= 310
    assert await fresh.count("", typed(level(">", 8))) == 300
    names, _ = explain(fresh, mongo_client, typed(level("==", 7), BASE + "House"))
    assert "learned" not in names
    assert await fresh.count("other", typed(level("==", 7), BASE + "House")) == 300


async def test_lists_come_in_order_of_id_up_to_a_length_and_beyond_it_are_read_so(
    fresh: MongoStore, mongo_client: MongoClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.store.mongo.entities.MOST_SORTED", 100)
    await put(fresh, [entity(f"{n:05}", n) for n in range(500)])
    await fresh.index_values("", ROOM, AT_LEVEL)
    for length, ordered in ((70, True), (400, False)):
        values = ValueList(tuple(Value(n, "number") for n in range(length)))
        query = typed(Comparison(AT_LEVEL, "==", values))
        assert (led("", query, fresh._indexes.known).otherwise is None) == ordered
        names, _ = explain(fresh, mongo_client, query)
        assert ("SORT" not in names) == ordered
        window = await fresh.query("", query, Page(3))
        assert [each["id"][-5:] for each in window.entities] == ["00000", "00001", "00002"]
        assert await fresh.count("", query) == length


async def test_a_range_of_too_many_values_is_read_in_order_of_id(
    fresh: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.store.mongo.entities.MOST_SORTED", 100)
    await put(fresh, [entity(f"{n:05}", n) for n in range(500)])
    await fresh.index_values("", ROOM, AT_LEVEL)
    for query, expected in ((typed(level(">=", 10)), 490), (typed(level(">=", 450)), 50)):
        window = await fresh.query("", query, Page(3))
        assert [each["id"][-5:] for each in window.entities] == [f"{500 - expected + n:05}" for n in range(3)]
        assert await fresh.count("", query) == expected
    used = {each.path: each.uses for each in await fresh.value_indexes()}
    assert used == {AT_LEVEL: 2}


async def test_costly_queries_make_the_store_learn_for_all_processes(
    fresh: MongoStore, mongodb_uri: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demand, "ENOUGH", 3000)
    monkeypatch.setattr(mongo_indexes, "FRESH_SECONDS", 0.0)
    other = MongoStore(mongodb_uri, mongo_database)
    await other.open()
    for start in range(0, 2000, 500):
        await put(fresh, [entity(n, n) for n in range(start, start + 500)])
    query = typed(level("==", 77))
    windows = [await fresh.query("", query, Page(20)) for _ in range(2)]
    assert [(len(each.entities), each.in_vain) for each in windows] == [(1, 1999)] * 2
    async with asyncio.timeout(20):
        for store in (fresh, other):
            while (await store.query("", query, Page(20))).in_vain:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0.05)
    assert [(each.type, each.path, each.ready) for each in await other.value_indexes()] == [(ROOM, AT_LEVEL, True)]
    await other.close()


@pytest.mark.parametrize("counted", [False, True])
async def test_a_query_that_does_not_end_in_time_makes_the_store_learn(
    fresh: MongoStore, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    def too_slow(*_: Any, **__: Any) -> Any:
        raise ExecutionTimeout("operation exceeded time limit", 50)

    await put(fresh, [entity(n, n) for n in range(3)])
    monkeypatch.setattr(fresh._search, "_find", too_slow)
    monkeypatch.setattr(fresh._search, "_count", too_slow)
    query = typed(level("==", 1))
    with pytest.raises(TooComplexQuery):
        await (fresh.count("", query) if counted else fresh.query("", query, Page(20)))
    monkeypatch.undo()
    async with asyncio.timeout(20):
        while [each.ready for each in await fresh.value_indexes()] != [True]:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.05)
    assert await fresh.count("", query) == 1


async def test_the_least_used_makes_room_and_all_can_be_switched_off(
    mongodb_uri: str, mongo_database: str, mongo_client: MongoClient[Any]
) -> None:
    store = MongoStore(mongodb_uri, mongo_database, most_indexes=2)
    await store.open()
    await put(store, [entity(n, n) for n in range(3)])
    first, second, third, fourth = (Path((BASE + name,)) for name in "abcd")
    for path in (first, second):
        await store.index_values("", ROOM, path)
    for _ in range(2):
        await store.query("", typed(Comparison(first, "==", Value(1, "number"))), Page(1))
    await store.index_values("", ROOM, third)
    await store.index_values("", ROOM, fourth)
    assert {each.path for each in await store.value_indexes()} == {first, third}
    await store.close()
    names = mongo_client[mongo_database].entities.index_information()
    assert len([name for name in names if name.startswith("index:")]) == 6
    off = MongoStore(mongodb_uri, mongo_database, most_indexes=0)
    await off.open()
    await off.index_values("", ROOM, fourth)
    assert await off.value_indexes() == []
    assert not [name for name in mongo_client[mongo_database].entities.index_information() if name.startswith("index:")]
    await off.close()


async def test_writes_go_on_while_an_index_is_built_and_are_in_it(fresh: MongoStore) -> None:
    for start in range(0, 4000, 1000):
        await put(fresh, [entity(f"{n:05}", n % 100) for n in range(start, start + 1000)])
    building = asyncio.create_task(fresh.index_values("", ROOM, AT_LEVEL))
    number = 4000
    while not building.done() or number < 4020:
        await put(fresh, [entity(f"{number:05}", 7)])
        number += 1
    await building
    query = typed(level("==", 7))
    assert led("", query, fresh._indexes.known).used
    assert await fresh.count("", query) == 40 + number - 4000


async def test_what_a_process_began_before_it_was_killed_leads_nothing_until_it_is_done(
    fresh: MongoStore, mongo_client: MongoClient[Any], mongo_database: str
) -> None:
    """The document is there before the index, and says that it is ready after it: killed in between, it says that it is not."""
    await put(fresh, [entity(n, n) for n in range(30)])
    await fresh.index_values("", ROOM, AT_LEVEL)
    mine = {"path": {"$exists": True}}
    database = mongo_client[mongo_database]
    name = database.meta.find_one(mine)["_id"]
    database.meta.update_one(mine, {"$set": {"ready": False}})
    database.entities.drop_index(f"{name}:values")
    await fresh._indexes._refresh()
    query = typed(level("==", 7))
    assert not led("", query, fresh._indexes.known).used
    assert await fresh.count("", query) == 1
    assert [each.ready for each in await fresh.value_indexes()] == [False]
    await fresh.index_values("", ROOM, AT_LEVEL)
    assert led("", query, fresh._indexes.known).used
    assert f"{name}:values" in database.entities.index_information()


async def test_names_that_queries_make_up_get_no_index(fresh: MongoStore) -> None:
    await put(fresh, [entity(n, n) for n in range(3)])
    await fresh._indexes._learn(IndexKey("", ROOM, Path((BASE + "nobodyHasThis",))))
    assert await fresh.value_indexes() == []
    await fresh._indexes._learn(IndexKey("", ROOM, AT_LEVEL))
    assert [each.ready for each in await fresh.value_indexes()] == [True]


async def test_what_kills_have_left_of_indexes_counts_and_goes(
    mongodb_uri: str, mongo_database: str, mongo_client: MongoClient[Any]
) -> None:
    first, second, third = (Path((BASE + name,)) for name in "abc")
    store = MongoStore(mongodb_uri, mongo_database, most_indexes=2)
    await store.open()
    await put(store, [entity(n, n) for n in range(3)])
    for path in (first, second):
        await store.index_values("", ROOM, path)
    await store.close()
    meta, entities = mongo_client[mongo_database].meta, mongo_client[mongo_database].entities
    gone = next(each for each in meta.find({"_id": {"$regex": "^index:"}}) if BASE + "b" in each["path"])
    meta.delete_one({"_id": gone["_id"]})  # killed before MongoDB was told to drop it
    meta.update_many({"_id": {"$regex": "^index:"}}, {"$set": {"ready": False}})  # killed before it was built
    store = MongoStore(mongodb_uri, mongo_database, most_indexes=1)
    await store.open()
    assert len([name for name in entities.index_information() if name.startswith("index:")]) == 3
    await store.index_values("", ROOM, first)
    await store.index_values("", ROOM, third)
    assert [(each.path, each.ready) for each in await store.value_indexes()] == [(third, True)]
    assert len([name for name in entities.index_information() if name.startswith("index:")]) == 3
    await store.close()


async def test_what_cannot_be_indexed_is_not_asked_for(fresh: MongoStore) -> None:
    await put(fresh, [entity(n, n) for n in range(600)])
    query = typed(Comparison(Path((LEVEL, BASE + "accuracy")), "==", Value(1, "number")))
    assert led("", query, frozenset()).missing == []
    await fresh.index_values("", ROOM, Path((LEVEL,), ("a", "b")))
    assert await fresh.value_indexes() == []


PATHS = (*(Path((each,)) for each in ATTRIBUTES), Path((ATTRIBUTES[1], "observedAt")), Path(("modifiedAt",)))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    states=st.lists(entities(), max_size=8, unique_by=lambda entity: entity["id"]),
    queries=st.lists(entity_queries(), min_size=1, max_size=6),
    types=st.sampled_from(((), TYPES[:1], TYPES[:2])),
)
async def test_with_indexes_too_a_query_means_what_the_evaluator_says(
    fresh: MongoStore, states: list[Entity], queries: list[EntityQuery], types: tuple[str, ...]
) -> None:
    tenant = uuid.uuid4().hex
    if not fresh._indexes.known:
        for path in PATHS:
            await fresh.index_values("", TYPES[0] if path.names[0] in ATTRIBUTES[:2] else "", path)
    await put(fresh, states, tenant)
    for query in queries:
        if types:
            query = replace(query, selectors=typed(None, *types).selectors)
        expected = sorted(entity["id"] for entity in states if matches(query, entity))
        window = await fresh.query(tenant, query, Page(limit=100))
        assert [entity["id"] for entity in window.entities] == expected
        assert await fresh.count(tenant, query) == len(expected)
        part = await fresh.query(tenant, query, Page(limit=2, offset=1))
        assert ([entity["id"] for entity in part.entities], part.more) == (expected[1:3], len(expected) > 3)
        if expected:
            behind = await fresh.query(tenant, query, Page(limit=100, after=expected[0]))
            assert [entity["id"] for entity in behind.entities] == expected[1:]


def test_a_condition_leads_only_where_all_of_its_types_are_indexed() -> None:
    house = BASE + "House"
    one, both = frozenset({IndexKey("", ROOM, AT_LEVEL)}), frozenset({IndexKey("", "", AT_LEVEL)})
    query = typed(level("==", 1), ROOM, house)
    assert led("", query, one).missing == [(house, AT_LEVEL)]
    assert led("", query, both).used == (IndexKey("", "", AT_LEVEL),)
    linked = typed(LinkedIn(AT_LEVEL, frozenset({"urn:x:1"})))
    assert led("", linked, one).used == (IndexKey("", ROOM, AT_LEVEL),)
