"""Evolutions: what temporal history knows of each entity as a whole (5.2.20), whether it still exists or not."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from broker.query.ast import EntityQuery, EntitySelector
from broker.query.evaluate import compile_query
from broker.store.chronicle import candidate_ids, candidate_types, gather, joined
from broker.store.protocol import Evolution, HistoryEntry
from broker.store.sqlite.database import Deadline
from broker.store.sqlite.entities import by_tenant

STRIDE: Final = 500
_COLUMNS: Final = "tenant, id, types, created_at, modified_at, deleted_at"


def find(connection: sqlite3.Connection, tenant: str, entity_id: str) -> int | None:
    """The number of an evolution, None if there is none."""
    row = connection.execute("SELECT no FROM evolutions WHERE tenant = ? AND id = ?", (tenant, entity_id)).fetchone()
    return None if row is None else int(row[0])


class Numbers(NamedTuple):
    """The numbers of evolutions by (tenant, entity id), and which of them are new, so that they have no series yet."""

    of: dict[tuple[str, str], int]
    new: set[int]


def record(
    connection: sqlite3.Connection,
    entries: Sequence[HistoryEntry],
    news: Sequence[Evolution],
    *,
    by_client: bool = False,
) -> Numbers:
    """Create or bring up to date the evolutions that are mentioned.

    `by_client`: data added to the evolution of an entity that was deleted do not bring it back.
    """
    gathered = gather(entries, news)
    rows = _rows(connection, gathered)
    numbers = {key: int(row[6]) for key, row in rows.items()}
    made = [evolution for key, evolution in gathered.items() if key not in rows]
    if made:
        (last,) = connection.execute("SELECT ifnull(max(no), 0) FROM evolutions").fetchone()
        new = dict(enumerate(made, start=last + 1))
        numbers.update(((evolution.tenant, evolution.entity_id), number) for number, evolution in new.items())
        connection.executemany(
            f"INSERT INTO evolutions (no, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(number, evolution.tenant, evolution.entity_id, *_values(evolution)) for number, evolution in new.items()],
        )
        _add_types(connection, [(evolution, evolution.types, number) for number, evolution in new.items()])
    for key, row in rows.items():
        known = _evolution(row)
        after = joined(known, gathered[key])
        if by_client:
            after = replace(after, deleted_at=known.deleted_at)
        if after != known:
            connection.execute(
                "UPDATE evolutions SET types = ?, created_at = ?, modified_at = ?, deleted_at = ? WHERE no = ?",
                (*_values(after), row[6]),
            )
            if len(after.types) > len(known.types):
                _add_types(connection, [(after, after.types[len(known.types) :], row[6])])
    return Numbers(numbers, {numbers[evolution.tenant, evolution.entity_id] for evolution in made})


def _rows(connection: sqlite3.Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Sequence[Any]]:
    """The rows of those that there are, each with its number behind its columns."""
    return {
        (row[0], row[1]): row
        for tenant, ids in by_tenant(keys).items()
        for row in connection.execute(
            f"SELECT {_COLUMNS}, no FROM evolutions WHERE tenant = ? AND id IN (SELECT value FROM json_each(?))",
            (tenant, orjson.dumps(ids).decode()),
        )
    }


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
    return types_text(evolution.types), evolution.created_at, evolution.modified_at, evolution.deleted_at


@lru_cache(maxsize=1024)
def types_text(types: tuple[str, ...]) -> str:
    """Entity types as a row has them."""
    return orjson.dumps(types).decode()


def _evolution(row: Sequence[Any]) -> Evolution:
    return Evolution(row[0], row[1], tuple(orjson.loads(row[2])), row[3], row[4], row[5])


def _add_types(connection: sqlite3.Connection, added: Sequence[tuple[Evolution, Sequence[str], int]]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO evolution_types (tenant, type, id, evolution) VALUES (?, ?, ?, ?)",
        [(evolution.tenant, name, evolution.entity_id, number) for evolution, types, number in added for name in types],
    )
