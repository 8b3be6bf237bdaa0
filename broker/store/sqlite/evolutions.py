"""Evolutions: what temporal history knows of each entity as a whole (5.2.20), whether it still exists or not."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from broker.query.ast import EntityQuery, EntitySelector
from broker.query.evaluate import compile_query
from broker.store.chronicle import candidate_ids, candidate_types, gather, joined
from broker.store.protocol import Evolution, HistoryEntry
from broker.store.sqlite.database import Deadline

STRIDE: Final = 500
_COLUMNS: Final = "tenant, id, types, created_at, modified_at, deleted_at"


def find(connection: sqlite3.Connection, tenant: str, entity_id: str) -> int | None:
    """The number of an evolution, None if there is none."""
    row = connection.execute("SELECT no FROM evolutions WHERE tenant = ? AND id = ?", (tenant, entity_id)).fetchone()
    return None if row is None else int(row[0])


def record(
    connection: sqlite3.Connection,
    entries: Sequence[HistoryEntry],
    news: Sequence[Evolution],
    *,
    by_client: bool = False,
) -> dict[tuple[str, str], int]:
    """Create or bring up to date the evolutions that are mentioned; their numbers by (tenant, entity id).

    `by_client`: data added to the evolution of an entity that was deleted do not bring it back.
    """
    numbers: dict[tuple[str, str], int] = {}
    for key, evolution in gather(entries, news).items():
        row = connection.execute(f"SELECT {_COLUMNS}, no FROM evolutions WHERE tenant = ? AND id = ?", key).fetchone()
        if row is None:
            cursor = connection.execute(
                f"INSERT INTO evolutions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, *_values(evolution)),
            )
            assert cursor.lastrowid is not None
            numbers[key] = cursor.lastrowid
            _add_types(connection, evolution, evolution.types, cursor.lastrowid)
            continue
        numbers[key] = row[6]
        known = _evolution(row)
        after = joined(known, evolution)
        if by_client:
            after = replace(after, deleted_at=known.deleted_at)
        if after != known:
            connection.execute(
                "UPDATE evolutions SET types = ?, created_at = ?, modified_at = ?, deleted_at = ? WHERE no = ?",
                (*_values(after), row[6]),
            )
            _add_types(connection, after, after.types[len(known.types) :], row[6])
    return numbers


def remove(connection: sqlite3.Connection, number: int, tenant: str, entity_id: str) -> None:
    """Forget an evolution, whose series are gone already."""
    (types,) = connection.execute("SELECT types FROM evolutions WHERE no = ?", (number,)).fetchone()
    connection.executemany(
        "DELETE FROM evolution_types WHERE tenant = ? AND type = ? AND id = ?",
        [(tenant, name, entity_id) for name in orjson.loads(types)],
    )
    connection.execute("DELETE FROM evolutions WHERE no = ?", (number,))


def listing(
    connection: sqlite3.Connection,
    deadline: Deadline,
    tenant: str,
    selectors: Sequence[EntitySelector],
    limit: int,
    after: str | None,
    descending: bool,
) -> list[Evolution]:
    """The evolutions that one of the selectors matches, in order of id."""
    test = compile_query(EntityQuery(selectors=tuple(selectors)))
    source, column = "evolutions e", "e.id"
    conditions, values = ["e.tenant = ?"], [tenant]
    ids, types = candidate_ids(selectors), candidate_types(selectors)
    if ids is not None:
        conditions.append("e.id IN (SELECT value FROM json_each(?))")
        values.append(orjson.dumps(ids).decode())
    elif types is not None:
        source, column = "evolution_types t JOIN evolutions e ON e.no = t.evolution", "t.id"
        conditions += ["t.tenant = ?", "t.type IN (SELECT value FROM json_each(?))"]
        values += [tenant, orjson.dumps(types).decode()]
        if len(types) == 1:
            conditions[-1], values[-1] = "t.type = ?", types[0]
    if after is not None:
        conditions.append(f"{column} {'<' if descending else '>'} ?")
        values.append(after)
    rows = connection.execute(
        "SELECT DISTINCT e.tenant, e.id, e.types, e.created_at, e.modified_at, e.deleted_at"
        f" FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {column} {'DESC' if descending else 'ASC'}",
        values,
    )
    found: list[Evolution] = []
    while stride := rows.fetchmany(STRIDE):
        deadline.check()
        for row in stride:
            evolution = _evolution(row)
            if test(
                {
                    "id": evolution.entity_id,
                    "type": list(evolution.types),
                    "attrs": {},
                    "createdAt": evolution.created_at,
                    "modifiedAt": evolution.modified_at,
                    "version": 0,
                }
            ):
                found.append(evolution)
                if len(found) == limit:
                    return found
    return found


def _values(evolution: Evolution) -> tuple[str, str, str, str | None]:
    types = orjson.dumps(evolution.types).decode()
    return types, evolution.created_at, evolution.modified_at, evolution.deleted_at


def _evolution(row: Sequence[Any]) -> Evolution:
    return Evolution(row[0], row[1], tuple(orjson.loads(row[2])), row[3], row[4], row[5])


def _add_types(connection: sqlite3.Connection, evolution: Evolution, types: Sequence[str], number: int) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO evolution_types (tenant, type, id, evolution) VALUES (?, ?, ?, ?)",
        [(evolution.tenant, name, evolution.entity_id, number) for name in types],
    )
