"""What only the embedded store does: its directory, its lock, its schema, its plans, its failures."""

import asyncio
import contextlib
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import BASE, LEVEL, creation, deletion, entity, instance, point, put

from broker.errors import StoreUnavailable, TooComplexQuery
from broker.model.terms import LOCATION
from broker.query import ast
from broker.query.ast import (
    Comparison,
    EntityQuery,
    EntitySelector,
    Exists,
    GeoQuery,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
)
from broker.store.protocol import Mutation, Page
from broker.store.sqlite import store as store_module
from broker.store.sqlite.database import PAGE_BYTES
from broker.store.sqlite.narrowing import narrow
from broker.store.sqlite.store import SqliteStore

RARE, COMMON = BASE + "Rare", BASE + "Common"


@pytest.fixture
async def directory_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "data"))
    await store.open()
    yield store
    await store.close()


def of_type(*types: str) -> EntityQuery:
    return EntityQuery((EntitySelector(types=TypeSelection(tuple((each,) for each in types))),))


def python(script: str) -> subprocess.Popen[str]:
    """Another process that runs a script."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


# --- the directory


async def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    committed = await put(store, [entity(1), entity(2)])
    await store.trim(committed[0].sequence)
    await store.save_cursors({"temporal": 1})
    await store.close()
    await store.open()
    assert await store.head() == committed[1].sequence
    assert await store.tail() == committed[0].sequence
    assert await store.cursors() == {"temporal": 1}
    assert await store.count("", EntityQuery()) == 2
    (later,) = await put(store, [entity(3)])
    assert later.sequence > committed[1].sequence
    await store.close()


async def test_a_directory_belongs_to_one_store_at_a_time(tmp_path: Path) -> None:
    first, second = SqliteStore(str(tmp_path)), SqliteStore(str(tmp_path))
    await first.open()
    with pytest.raises(StoreUnavailable, match="in use by another broker"):
        await second.open()
    script = f"""
        import asyncio
        from broker.store.sqlite.store import SqliteStore
        asyncio.run(SqliteStore({str(tmp_path)!r}).open())
    """
    other = python(script)
    _, told = other.communicate()
    assert "in use by another broker" in told
    await put(first, [entity(1)])
    await first.close()
    await second.open()
    assert await second.count("", EntityQuery()) == 1
    await second.close()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("PRAGMA user_version = 99", "schema version 99"),
        ("PRAGMA application_id = 7", "not a database of this broker"),
    ],
)
async def test_a_schema_of_the_future_and_a_foreign_file_are_refused(tmp_path: Path, statement: str, told: str) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "tsunagu.db")) as connection:
        connection.execute(statement)
    with pytest.raises(StoreUnavailable, match=told):
        await store.open()
    with pytest.raises(StoreUnavailable):
        await store.read([("", "urn:x")])


async def test_a_file_that_is_no_database_and_a_place_that_is_no_directory_are_told(tmp_path: Path) -> None:
    (tmp_path / "tsunagu.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnavailable):
        await SqliteStore(str(tmp_path)).open()
    with pytest.raises(StoreUnavailable, match="cannot use directory"):
        await SqliteStore(str(tmp_path / "tsunagu.db")).open()


async def test_a_closed_store_is_unavailable_and_closing_twice_is_fine(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await store.close()
    await store.close()
    for asked in (
        store.read([("", "urn:x")]),
        store.head(),
        store.query("", EntityQuery(), Page(1)),
        store.commit([Mutation(creation(entity(1)), 0)]),
        store.wait_for_changes(0, 1),
    ):
        with pytest.raises(StoreUnavailable):
            await asked


async def test_the_database_is_durable_by_its_settings(directory_store: SqliteStore) -> None:
    findings = {finding.subject: finding for finding in await directory_store.examine()}
    assert findings["durability"].ok
    assert findings["durability"].message == "journal_mode wal, synchronous 2"
    assert findings["disk space"].ok


async def test_a_file_keeps_the_size_of_its_pages(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "tsunagu.db")) as old:
        old.execute("PRAGMA page_size = 4096")
        old.execute("PRAGMA journal_mode = WAL")
        old.execute("CREATE TABLE x (y)")
        old.execute("DROP TABLE x")
    for folder, size in ((tmp_path, 4096), (tmp_path / "new", PAGE_BYTES)):
        for number in (1, 2):
            store = SqliteStore(str(folder))
            await store.open()
            await put(store, [entity(number)])
            assert await store.count("", EntityQuery()) == number
            await store.close()
        with contextlib.closing(sqlite3.connect(folder / "tsunagu.db")) as connection:
            assert connection.execute("PRAGMA page_size").fetchone() == (size,)


async def test_a_store_in_memory_says_that_it_is_not_durable() -> None:
    store = SqliteStore(":memory:")
    await store.open()
    assert [(finding.subject, finding.ok) for finding in await store.examine()] == [
        ("writing", True),
        ("durability", False),
    ]
    await store.close()


async def test_what_no_entity_uses_any_more_leaves_the_catalogue(
    directory_store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PRUNE_EVERY", 1)
    gone = entity(1, types=(RARE,), scope=["/Few"], attrs={BASE + "seldom": [instance(1)]})
    await put(directory_store, [gone, entity(2)])
    await directory_store.commit([Mutation(deletion(gone), 1)])
    await directory_store.trim(await directory_store.head())

    def sizes(connection: sqlite3.Connection) -> list[int]:
        tables = ("type_sets", "type_set_members", "shapes", "shape_attributes", "scope_sets")
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    assert await directory_store._database.read(sizes, "counting") == [1, 1, 1, 1, 0]
    await put(directory_store, [gone])
    assert await directory_store.count("", of_type(RARE)) == 1
    assert [each.type for each in await directory_store.census("")] == [RARE, entity(2)["type"][0]]


# --- failures


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writes beyond this size fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await put(store, [entity(1)])
    log = tmp_path / "tsunagu.db-wal"
    with files_no_larger_than(log.stat().st_size + 50_000):
        with pytest.raises(StoreUnavailable):
            await put(store, [entity(number, "x" * 1000) for number in range(2, 500)])
        assert await store.count("", EntityQuery()) == 1
        assert await store.head() == 1
    (change,) = await put(store, [entity(2, types=(RARE,))])
    assert change.sequence == 2
    assert await store.count("", of_type(RARE)) == 1
    await store.close()
    await store.open()
    assert await store.count("", EntityQuery()) == 2
    await store.close()


@pytest.mark.fault
async def test_what_was_acknowledged_survives_the_death_of_the_process(tmp_path: Path) -> None:
    script = f"""
        import asyncio, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from store_samples import T1, creation, entity
        from broker.store.sqlite.store import SqliteStore
        from broker.store.writer import EntityWriter

        async def main():
            store = SqliteStore({str(tmp_path)!r})
            await store.open()
            writer = EntityWriter(store, lambda: T1)
            async def client(name):
                for number in range(100_000):
                    state = entity(f"{{name}}-{{number}}")
                    await writer.write("", state["id"], lambda current: creation(state))
                    print(state["id"], flush=True)
            await asyncio.gather(*(client(name) for name in range(16)))

        asyncio.run(main())
    """
    process = python(script)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(400)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    acknowledged += [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    store = SqliteStore(str(tmp_path))
    await store.open()
    found = await store.read([("", each) for each in acknowledged])
    assert len(found) == len(acknowledged) >= 400
    logged = {change.entity_id for change in await store.changes(0, 1_000_000)}
    assert logged.issuperset(acknowledged)
    assert len(logged) == await store.count("", EntityQuery())
    await store.close()


async def test_a_query_that_takes_too_long_is_ended_and_others_go_on(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path), query_seconds=0.01)
    await store.open()
    await put(store, [entity(f"{number:05d}", number) for number in range(20_000)])
    slow = EntityQuery(q=Comparison(ast.Path((LEVEL,)), "==", Value(-1, "number")))
    started = time.monotonic()
    with pytest.raises(TooComplexQuery):
        await store.count("", slow)
    scan = EntityQuery((EntitySelector(id_pattern="[0-9]*.*x$"),))
    with pytest.raises(TooComplexQuery):
        await store.count("", scan)
    assert time.monotonic() - started < 2
    assert await store.count("", of_type(*entity(1)["type"])) == 20_000
    await store.close()


async def test_a_slow_query_holds_up_neither_reads_nor_writes(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await put(store, [entity(f"{number:05d}", number) for number in range(10_000)])
    scan = EntityQuery((EntitySelector(id_pattern="[0-9]*.*x$"),), q=Exists(ast.Path((LEVEL,))))
    running = [asyncio.create_task(store.count("", scan)) for _ in range(8)]
    await asyncio.sleep(0.01)
    await put(store, [entity("new")])
    assert await store.read([("", entity("new")["id"])])
    assert any(not task.done() for task in running)
    assert set(await asyncio.gather(*running)) == {0}
    await store.close()


# --- plans


def explain(store: SqliteStore, query: EntityQuery, after: str | None = None) -> tuple[str, str]:
    """The way in that a query takes, and SQLite's plan for it."""
    with contextlib.closing(sqlite3.connect(store._database.file)) as connection:
        connection.create_function("found_in", 2, lambda pattern, text: pattern in text)
        narrowing = narrow(connection, "", query, after)
        assert narrowing is not None
        statement = f"EXPLAIN QUERY PLAN {narrowing.rows} ORDER BY 2"
        plan = "\n".join(row[3] for row in connection.execute(statement, narrowing.values))
    return narrowing.way, plan


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with 5,000 common entities and 50 rare ones."""
    path = str(tmp_path_factory.mktemp("crowd"))

    async def fill() -> None:
        store = SqliteStore(path)
        await store.open()
        states = [
            entity(
                f"{number:05d}",
                types=(RARE if number % 100 == 0 else COMMON,),
                attrs={LEVEL: [instance(number)], LOCATION: [point(130 + number / 1000, 35)]}
                | ({BASE + "seldom": [instance(1)]} if number % 500 == 1 else {}),
                **({"scope": ["/Few"]} if number % 1000 == 2 else {}),
            )
            for number in range(5_000)
        ]
        await put(store, states)
        await store.close()

    asyncio.run(fill())
    return path


NEAR = GeoQuery("near", "Point", "[130.5,35]", LOCATION, max_distance=2000.0)
BIG = of_type(COMMON)


@pytest.mark.parametrize(
    ("query", "way", "used", "number"),
    [
        (of_type(RARE), "types", "entities_by_type (type_set=?)", 50),
        (EntityQuery(), "all", "entities_by_id (tenant=?)", 5000),
        (replace(BIG, attrs=frozenset({BASE + "seldom"})), "shapes", "entities_by_shape (shape=?)", 10),
        (replace(BIG, q=Exists(ast.Path((BASE + "seldom",)))), "shapes", "entities_by_shape (shape=?)", 10),
        (replace(BIG, scope=ScopeQuery(((ScopePattern(("Few",)),),))), "scope", "entities_by_scope (scope_set=?)", 5),
        (replace(BIG, geo=NEAR), "place", "VIRTUAL TABLE INDEX", 42),
        (EntityQuery((EntitySelector(ids=frozenset({"urn:ngsi-ld:Thing:00007"})),)), "ids", "(tenant=? AND id=?)", 1),
        (
            EntityQuery((EntitySelector(id_pattern="^urn:ngsi-ld:Thing:0000"),)),
            "prefix",
            "tenant=? AND id>? AND id<?",
            10,
        ),
    ],
)
async def test_the_few_are_found_without_looking_at_the_many(
    crowd: str, query: EntityQuery, way: str, used: str, number: int
) -> None:
    store = SqliteStore(crowd)
    await store.open()
    try:
        taken, plan = explain(store, query)
        assert taken == way
        assert used in plan
        assert "SCAN e" not in plan
        assert await store.count("", query) == number
    finally:
        await store.close()


async def test_a_page_in_the_middle_starts_there(crowd: str) -> None:
    store = SqliteStore(crowd)
    await store.open()
    try:
        for query, used in ((BIG, "type_set=? AND id>?"), (EntityQuery(), "tenant=? AND id>?")):
            _, plan = explain(store, query, after="urn:ngsi-ld:Thing:03000")
            assert used in plan
            assert "TEMP B-TREE" not in plan
    finally:
        await store.close()


async def test_several_types_are_merged_in_order_and_not_sorted(crowd: str) -> None:
    store = SqliteStore(crowd)
    await store.open()
    try:
        await put(store, [entity("other", types=(BASE + "Other",))])
        _, plan = explain(store, of_type(RARE, COMMON))
        assert "MERGE" in plan
        assert "TEMP B-TREE" not in plan
    finally:
        await store.close()
