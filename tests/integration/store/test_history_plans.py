"""Temporal history is read by index: a window costs what is in it, whatever the evolution's length (design §5)."""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo import MongoClient

from broker.query.ast import EntitySelector, TypeSelection
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span, Store
from broker.store.sqlite.store import SqliteStore

KIND: Final = "https://example.org/Gauge"
OTHER_KIND: Final = "https://example.org/Rare"
LEVEL: Final = "https://example.org/level"
LONG: Final = "urn:g:long"
LENGTH: Final = 3000
SHORT: Final = tuple(f"urn:g:{number:02}" for number in range(40))


def at(second: int) -> str:
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"


def entries(entity_id: str, count: int, kind: str = KIND) -> list[HistoryEntry]:
    return [
        HistoryEntry("", entity_id, (kind,), LEVEL, None, f"urn:i:{entity_id}:{place}", 0, at(place), False,
                     {"type": "Property", "value": place, "observedAt": at(place), "modifiedAt": at(place)})
        for place in range(count)
    ]  # fmt: skip


async def fill(store: Store) -> None:
    every = [entries(LONG, LENGTH), *(entries(each, 20, OTHER_KIND if each == SHORT[7] else KIND) for each in SHORT)]
    for some in every:
        news = [Evolution("", some[0].entity_id, some[0].types, at(0), at(0))]
        await store.append_history(some, ("temporal", 1), news)


def nothing(_: Sequence[HistoryEntry]) -> bool:
    return False


WINDOW: Final = HistoryQuery((Span(LONG, at(1500), at(1600)),), "observedAt")
ALL_SHORT: Final = HistoryQuery(tuple(Span(each, at(5), at(15)) for each in SHORT), "observedAt")

# What is asked, and how many entries the answer may take.
ASKED: Final[dict[str, tuple[Callable[[Store], Awaitable[Any]], int]]] = {
    "a window": (lambda store: store.instances("", WINDOW, 1000), 100),
    "the first of a window": (lambda store: store.instances("", WINDOW, 10), 10),
    "the first of all": (lambda store: store.instances("", HistoryQuery((Span(LONG),)), 10), 10),
    "lastN": (
        lambda store: store.instances("", HistoryQuery((Span(LONG),), newest_first=True, last_n=5), 1000),
        5,
    ),
    "a window, scanned": (lambda store: store.scan_history("", WINDOW, nothing), 100),
    "which of many are present": (lambda store: store.present("", ALL_SHORT), len(SHORT)),
    "a window of many": (lambda store: store.instances("", ALL_SHORT, 1000), 10 * len(SHORT)),
    "lastN=1 of many": (
        lambda store: store.instances("", HistoryQuery(ALL_SHORT.spans, newest_first=True, last_n=1), 1000),
        len(SHORT),
    ),
}


@pytest.fixture
async def sqlite_plans(tmp_path: Path) -> Any:
    """A filled store, and the statements that its queries run, as SQLite sees them."""
    store = SqliteStore(str(tmp_path), query_threads=1)
    await store.open()
    await fill(store)
    statements: list[str] = []
    connection = store._database._idle.get()
    connection.set_trace_callback(statements.append)
    store._database._idle.put(connection)
    yield store, connection, statements
    connection.set_trace_callback(None)
    await store.close()


@pytest.mark.parametrize("name", ASKED)
async def test_sqlite_seeks_in_the_order_of_time_and_sorts_nothing(sqlite_plans: Any, name: str) -> None:
    store, connection, statements = sqlite_plans
    await ASKED[name][0](store)
    asked = [each for each in statements if "FROM history" in each]
    assert asked
    statements.clear()
    for statement in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert len(plan) == 1, plan
        assert re.fullmatch(r"SEARCH history USING PRIMARY KEY \(series=\?( AND moment[<>]\?)*\)", plan[0]), plan


async def test_sqlite_lists_evolutions_by_the_index_of_their_types(sqlite_plans: Any) -> None:
    store, connection, statements = sqlite_plans
    selector = EntitySelector(types=TypeSelection(((OTHER_KIND,),)))
    assert [each.entity_id for each in await store.evolutions("", [selector], 10, after="urn:g:0")] == [SHORT[7]]
    (asked,) = [each for each in statements if "evolution_types" in each]
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked}")]
    assert plan[0] == "SEARCH t USING PRIMARY KEY (tenant=? AND type=? AND id>?)"
    assert plan[1] == "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"
    assert not any("ORDER BY" in each or "SCAN" in each for each in plan), plan


@pytest.fixture
async def profiled(
    mongo_store: MongoStore, mongo_client: MongoClient[dict[str, Any]], empty_mongo_database: str
) -> Any:
    """A filled store, and what MongoDB's profiler says of the operations since."""
    database = mongo_client[empty_mongo_database]
    await fill(mongo_store)
    database.system.profile.drop()
    database.command("profile", 2)

    def seen(collection: str) -> Iterator[dict[str, Any]]:
        database.command("profile", 0)
        yield from database.system.profile.find({"ns": f"{empty_mongo_database}.{collection}"})

    yield mongo_store, seen
    database.command("profile", 0)
    database.system.profile.drop()


@pytest.mark.mongo
@pytest.mark.parametrize("name", ASKED)
async def test_mongodb_reads_a_range_of_ids_and_sorts_nothing(profiled: Any, name: str) -> None:
    store, seen = profiled
    ask, needed = ASKED[name]
    await ask(store)
    operations = list(seen("history"))
    assert operations
    assert not any(each.get("hasSortStage") for each in operations)
    assert {each["planSummary"] for each in operations if each["op"] == "query"} == {"IXSCAN { _id: 1 }"}
    # One more key than entries for each range: that behind it.
    assert sum(each["docsExamined"] for each in operations) <= needed
    assert sum(each["keysExamined"] for each in operations) <= needed + len(SHORT)


@pytest.mark.mongo
async def test_mongodb_lists_evolutions_by_the_index_of_their_types(profiled: Any) -> None:
    store, seen = profiled
    selector = EntitySelector(types=TypeSelection(((OTHER_KIND,),)))
    assert [each.entity_id for each in await store.evolutions("", [selector], 10, after="urn:g:0")] == [SHORT[7]]
    (operation,) = seen("evolutions")
    assert operation["planSummary"] == "IXSCAN { types: 1, _id: 1 }"
    assert not operation.get("hasSortStage")
    assert operation["docsExamined"] == 1
