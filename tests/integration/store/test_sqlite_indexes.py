"""Indexes of attribute values in the embedded store: they are learned, they are right, and they are used (design §5)."""

import asyncio
import contextlib
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import BASE, LEVEL, ROOM, deletion, entity, instance, point, put, update
from strategies_queries import ATTRIBUTES, SUB_ATTRIBUTES, TYPES, entities, entity_queries

from broker.model.entity import Entity
from broker.model.terms import LOCATION
from broker.query import ast
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    EntityQuery,
    EntitySelector,
    GeoQuery,
    Or,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
    ValueList,
)
from broker.query.evaluate import matches
from broker.store import demand
from broker.store.demand import path_text
from broker.store.protocol import Mutation, Page
from broker.store.sqlite import value_indexes
from broker.store.sqlite.narrowing import Narrowing, narrow
from broker.store.sqlite.store import SqliteStore

AT_LEVEL = ("", "", ast.Path((LEVEL,)))


@pytest.fixture
async def indexed(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(tmp_path))
    await store.open()
    yield store
    await store.close()


def level(operator: str, value: int | str) -> Comparison:
    return Comparison(ast.Path((LEVEL,)), operator, Value(value, "string" if isinstance(value, str) else "number"))  # type: ignore[arg-type]


async def narrowing_of(store: SqliteStore, query: EntityQuery, after: str | None = None) -> Narrowing:
    narrowing = await store._database.read(lambda c: narrow(c, "", query, after), "narrowing")
    assert narrowing is not None
    return narrowing


async def way(store: SqliteStore, query: EntityQuery) -> str:
    return (await narrowing_of(store, query)).way


async def indexes(store: SqliteStore) -> list[tuple[str, str, ast.Path]]:
    """Those in use."""
    return [(each.tenant, each.type, each.path) for each in await store.value_indexes() if each.ready]


def typed(q: Condition, entity_type: str = ROOM) -> EntityQuery:
    return EntityQuery(selectors=(EntitySelector(types=TypeSelection(((entity_type,),))),), q=q)


async def plan(store: SqliteStore, narrowing: Narrowing, statement: str) -> list[str]:
    """The steps of SQLite's plan."""
    rows = await store._database.read(
        lambda c: c.execute(f"EXPLAIN QUERY PLAN {statement}", narrowing.values).fetchall(), "explaining"
    )
    return [row[3] for row in rows]


async def until_indexed(store: SqliteStore) -> None:
    """Wait for the first index, which is built in the background."""
    async with asyncio.timeout(10):
        while not await indexes(store):  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0.01)


async def test_an_index_follows_writes_before_during_and_after_its_building(indexed: SqliteStore) -> None:
    await put(indexed, [entity(f"{number:04d}", number) for number in range(1200)])
    building = asyncio.create_task(indexed.index_values(*AT_LEVEL))
    await asyncio.sleep(0)
    await put(indexed, [entity("new", 7)])
    old = entity("0007", 7)
    await indexed.commit([Mutation(update(old, entity("0007", 8, version=2)), 1)])
    await building
    assert await indexes(indexed) == [AT_LEVEL]
    assert await way(indexed, EntityQuery(q=level("==", 7))) == "values"
    assert await indexed.count("", EntityQuery(q=level("==", 7))) == 1
    assert await indexed.count("", EntityQuery(q=level("==", 8))) == 2
    assert await indexed.count("", EntityQuery(q=And((level(">=", 10), level("<", 20))))) == 10
    assert await indexed.count("", EntityQuery(q=Or((level("==", 10), level("==", "x"))))) == 1
    await indexed.commit([Mutation(deletion(entity("0010", 10)), 1)])
    assert await indexed.count("", EntityQuery(q=level("==", 10))) == 0
    await indexed.index_values(*AT_LEVEL)


async def test_a_step_of_building_ends_behind_any_entity_however_large_they_are(
    indexed: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_indexes, "STEP_SECONDS", 1e-9)
    steps = 0

    def counted(*given: Any) -> bool:
        nonlocal steps
        steps += 1
        return build(*given)

    build = value_indexes.build
    monkeypatch.setattr(value_indexes, "build", counted)
    await put(indexed, [entity(number, [number % 3, "x" * 1000]) for number in range(50)])
    await indexed.index_values(*AT_LEVEL)
    assert steps >= 50
    assert await way(indexed, EntityQuery(q=level("==", 1))) == "values"
    assert await indexed.count("", EntityQuery(q=level("==", 1))) == 17


@pytest.mark.parametrize("lists", [2, 5, 20])
async def test_a_query_with_hundreds_of_alternatives_is_answered_with_an_index_too(
    indexed: SqliteStore, lists: int
) -> None:
    await put(indexed, [entity(f"{number:04d}", number) for number in range(900)])
    await indexed.index_values(*AT_LEVEL)

    def alternatives(start: int) -> Condition:
        values = tuple(ast.Value(start + number, "number") for number in range(60))
        return ast.Comparison(ast.Path((LEVEL,)), "==", ast.ValueList(values))

    query = EntityQuery(q=Or(tuple(alternatives(60 * place) for place in range(lists))))
    expected = min(900, 60 * lists)
    assert await indexed.count("", query) == expected
    assert len((await indexed.query("", query, Page(1000))).entities) == expected


async def test_costly_queries_make_the_store_learn(indexed: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "ENOUGH", 3000)
    await put(indexed, [entity(number, number, types=(BASE + "Many",)) for number in range(2000)])
    query = EntityQuery(q=level("==", 77))
    assert await way(indexed, query) != "values"
    for _ in range(2):
        assert await indexed.count("", query) == 1
    await until_indexed(indexed)
    assert await indexes(indexed) == [AT_LEVEL]
    assert await way(indexed, query) == "values"
    assert await indexed.count("", query) == 1
    assert await indexed.count("other", query) == 0


async def test_queries_that_find_what_they_look_at_ask_for_no_index(
    indexed: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demand, "ENOUGH", 1)
    await put(indexed, [entity(number, number) for number in range(1000)])
    await indexed.query("", EntityQuery(q=level(">=", 0)), Page(1000))
    await asyncio.sleep(0.05)
    assert await indexes(indexed) == []


async def test_a_building_that_was_interrupted_goes_on_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await put(store, [entity(number, number) for number in range(1500)])
    monkeypatch.setattr(value_indexes, "STRIDE", 10)
    monkeypatch.setattr(value_indexes, "STEP_SECONDS", 0.0001)
    building = asyncio.create_task(store.index_values(*AT_LEVEL))
    await asyncio.sleep(0.02)
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    assert await indexes(store) == []
    await store.close()
    monkeypatch.undo()
    await store.open()
    await until_indexed(store)
    assert await store.count("", EntityQuery(q=level("==", 1499))) == 1
    assert await way(store, EntityQuery(q=level("==", 1499))) == "values"
    await store.close()


async def test_opaque_values_are_always_looked_at(indexed: SqliteStore) -> None:
    await indexed.index_values(*AT_LEVEL)
    wide = entity(2, attrs={LEVEL: [instance(list(range(500)))]})
    await put(indexed, [entity(1, 3), wide, entity(3, 2**64 - 1), entity(4, "x" * 200)])
    assert await indexed.count("", EntityQuery(q=level("==", 499))) == 1
    assert await indexed.count("", EntityQuery(q=level(">", 2**63))) == 1
    assert await indexed.count("", EntityQuery(q=level("==", "x" * 200))) == 1
    assert await indexed.count("", EntityQuery(q=level("==", "x" * 199))) == 0
    either = ValueList((Value(3, "number"), Value("x" * 200, "string")))
    assert await indexed.count("", EntityQuery(q=Comparison(ast.Path((LEVEL,)), "==", either))) == 3


async def test_what_is_settled_by_an_index_is_found_and_counted_in_it_alone(indexed: SqliteStore) -> None:
    """Both bodies and rows of entities stay where they are, and the page comes in order of id without sorting."""
    await put(indexed, [entity(f"{number:04d}", number % 10) for number in range(1000)])
    await indexed.index_values("", ROOM, ast.Path((LEVEL,)))
    query = typed(level("==", 7))
    for after in (None, "urn:ngsi-ld:Thing:0500"):
        narrowing = await narrowing_of(indexed, query, after)
        assert (narrowing.way, narrowing.exact) == ("values", True)
        rows, size = (
            await plan(indexed, narrowing, f"{narrowing.rows} ORDER BY 2 LIMIT 21"),
            await plan(indexed, narrowing, narrowing.size),
        )
        assert all("entities" not in step and "TEMP B-TREE" not in step for step in [*rows, *size]), (rows, size)
    assert await indexed.count("", query) == 100
    window = await indexed.query("", query, Page(2, after="urn:ngsi-ld:Thing:0500"))
    assert [each["id"][-4:] for each in window.entities] == ["0507", "0517"]
    assert (window.more, window.in_vain) == (True, 0)
    assert await indexed.count("", typed(level("==", 7), BASE + "House")) == 0


async def test_the_most_selective_condition_leads_the_way(indexed: SqliteStore) -> None:
    states = [
        entity(f"{number:04d}", number % 50, scope=["/near"] if number < 5 else ["/far"])
        | {"attrs": {LEVEL: [instance(number % 50)], LOCATION: [point(number / 100, 0)]}}
        for number in range(1000)
    ]
    await put(indexed, states)
    await indexed.index_values("", ROOM, ast.Path((LEVEL,)))
    wide, narrow_, scope = level(">=", 0), level("==", 7), ScopeQuery(((ScopePattern(("near",)),),))
    box = GeoQuery("within", "Polygon", "[[[0,-1],[0.025,-1],[0.025,1],[0,1],[0,-1]]]", LOCATION)
    assert await way(indexed, typed(wide)) == "types"
    assert await way(indexed, typed(narrow_)) == "values"
    assert await way(indexed, replace(typed(narrow_), scope=scope)) == "scope"
    assert await way(indexed, replace(typed(narrow_), geo=box)) == "place"
    assert await way(indexed, replace(typed(wide), geo=box)) == "place"
    both = And((wide, narrow_))
    assert await way(indexed, typed(both)) == "values"
    assert await indexed.count("", typed(both)) == 20
    assert await indexed.count("", replace(typed(wide), geo=box)) == 2


async def test_conditions_with_very_many_values_are_left_to_the_evaluator(indexed: SqliteStore) -> None:
    await put(indexed, [entity(number, number) for number in range(100)])
    await indexed.index_values("", ROOM, ast.Path((LEVEL,)))

    def listed(first: int) -> Comparison:
        values = tuple(Value(number, "number") for number in range(first, first + 60))
        return Comparison(ast.Path((LEVEL,)), "==", ValueList(values))

    many = Or(tuple(listed(first) for first in range(60, 700, 60)))
    assert await way(indexed, typed(listed(60))) == "values"
    assert await indexed.count("", typed(listed(60))) == 40
    assert await way(indexed, typed(many)) == "types"
    assert await indexed.count("", typed(many)) == 40
    assert await indexed.count("", typed(And((many, level("==", 77))))) == 1


async def test_a_scan_says_how_much_it_looked_at_in_vain(indexed: SqliteStore) -> None:
    await put(indexed, [entity(number, number) for number in range(1200)])
    window = await indexed.query("", typed(level("==", 7)), Page(20))
    assert (len(window.entities), window.in_vain) == (1, 1199)


async def test_the_least_used_index_makes_room_but_not_for_every_whim(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path), most_indexes=2)
    await store.open()
    await put(store, [entity(number, number) for number in range(1500)])
    first, second, third, fourth = (ast.Path((LEVEL, member)) for member in ("unitCode", "type", "datasetId", "value"))
    for path in (first, second):
        await store.index_values("", ROOM, path)
    query = typed(Comparison(first, "==", Value("CEL", "string")))
    for _ in range(2):
        assert await store.count("", query) == 0
    await store.index_values("", ROOM, third)
    await store.index_values("", ROOM, fourth)
    assert {path for _, _, path in await indexes(store)} == {first, third}
    await store.close()
    off = SqliteStore(str(tmp_path), most_indexes=0)
    await off.open()
    async with asyncio.timeout(10):
        while await off._database.read(lambda c: c.execute("SELECT count(*) FROM indexed_values").fetchone()[0], ""):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await off.index_values("", ROOM, fourth)
    assert await off.value_indexes() == []
    assert await off.count("", typed(level("==", 7))) == 1
    await off.close()


async def test_a_database_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await put(store, [entity(number, number) for number in range(3)])
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "tsunagu.db")) as connection:
        connection.executescript(FIRST_VERSION)
    await store.open()
    await store.index_values("", ROOM, ast.Path((LEVEL,)))
    assert await store.count("", typed(level("==", 1))) == 1
    assert await way(store, typed(level("==", 1))) == "values"
    await store.close()


FIRST_VERSION = """
    DROP TABLE value_indexes; DROP TABLE indexed_values; PRAGMA user_version = 1;
    CREATE TABLE indexed_attributes (
        no INTEGER PRIMARY KEY, tenant TEXT NOT NULL, attribute TEXT NOT NULL,
        built INTEGER NOT NULL DEFAULT 0, ready INTEGER NOT NULL DEFAULT 0, UNIQUE (tenant, attribute)
    );
    CREATE TABLE attribute_values (
        attribute INTEGER NOT NULL, value NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (attribute, value, row)
    ) WITHOUT ROWID;
    INSERT INTO indexed_attributes VALUES (1, '', 'https://example.org/level', 3, 1);
    INSERT INTO attribute_values SELECT 1, row - 1, row FROM entities;
    UPDATE entities SET entries = '{"boxes":[],"terms":[[1,' || (row - 1) || ']]}';
"""


KILLED = """
import asyncio, os, sys
sys.path[:0] = [{tests!r}]
from broker.store.sqlite import value_indexes
from broker.store.sqlite.store import SqliteStore
from broker.query.ast import Path
from store_samples import LEVEL, ROOM, entity, put

async def main():
    store = SqliteStore({directory!r})
    await store.open()
    await put(store, [entity(f"{{number:04d}}", number) for number in range(1500)])
    value_indexes.STRIDE, value_indexes.STEP_SECONDS = 50, 0.0001
    building = asyncio.create_task(store.index_values("", ROOM, Path((LEVEL,))))
    while not await store._database.read(lambda c: c.execute("SELECT count(*) FROM indexed_values").fetchone()[0], ""):
        await asyncio.sleep(0)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_a_building_that_was_killed_goes_on_and_answers_nothing_before(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    script = KILLED.format(tests=str(tests), directory=str(tmp_path))
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=tests.parent)
    assert await killed.wait() == -9
    with contextlib.closing(sqlite3.connect(tmp_path / "tsunagu.db")) as connection:
        assert connection.execute("SELECT state FROM value_indexes").fetchall() == [("building",)]
        (taken_in,) = connection.execute("SELECT count(*) FROM indexed_values").fetchone()
    assert 0 < taken_in < 1500
    store = SqliteStore(str(tmp_path))
    await store.open()
    query = typed(level("==", 1499))
    assert await store.count("", query) == 1
    await until_indexed(store)
    assert await way(store, query) == "values"
    for value in (0, 700, 1499):
        assert await store.count("", typed(level("==", value))) == 1
    await store.close()


PATHS = (
    *(ast.Path((each,)) for each in (*ATTRIBUTES, "modifiedAt")),
    *(ast.Path((each, SUB_ATTRIBUTES[0])) for each in ATTRIBUTES[:2]),
    *(ast.Path((ATTRIBUTES[0],), trailing) for trailing in (("city",), ("deep", "n"), ("en",), ("*",))),
    *(ast.Path((ATTRIBUTES[1], member)) for member in ("observedAt", "unitCode")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    states=st.lists(entities(), max_size=8, unique_by=lambda entity: entity["id"]),
    queries=st.lists(entity_queries(), min_size=1, max_size=6),
    changed=st.lists(entities(), max_size=4, unique_by=lambda entity: entity["id"]),
    of_type=st.sampled_from(("", *TYPES)),
)
async def test_with_indexes_too_a_query_means_what_the_evaluator_says(
    indexed: SqliteStore, states: list[Entity], queries: list[EntityQuery], changed: list[Entity], of_type: str
) -> None:
    tenant = uuid.uuid4().hex
    await indexed._database.write(
        lambda c: c.executemany(
            "INSERT INTO value_indexes (tenant, type, path, state) VALUES (?, ?, ?, 'ready')",
            [(tenant, of_type, path_text(path)) for path in PATHS],
        ),
        "making indexes",
    )
    indexed._catalogue.forget_indexed()
    await put(indexed, states, tenant)
    now = {state["id"]: state for state in states}
    for state in changed:
        if (before := now.get(state["id"])) is not None:
            now[state["id"]] = after = {**state, "version": 2}
            await indexed.commit([Mutation(update(before, after, tenant), 1)])
    for query in queries:
        if of_type and query.q is not None:
            query = replace(query, selectors=(EntitySelector(types=TypeSelection(((of_type,),))),))
        expected = sorted(entity["id"] for entity in now.values() if matches(query, entity))
        window = await indexed.query(tenant, query, Page(limit=100))
        assert [entity["id"] for entity in window.entities] == expected
        assert await indexed.count(tenant, query) == len(expected)
        part = await indexed.query(tenant, query, Page(limit=2, offset=1))
        assert ([entity["id"] for entity in part.entities], part.more) == (expected[1:3], len(expected) > 3)
        if expected:
            behind = await indexed.query(tenant, query, Page(limit=100, after=expected[0]))
            assert [entity["id"] for entity in behind.entities] == expected[1:]
