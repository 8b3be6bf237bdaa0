"""Indexes of values that queries compare often: built while the store goes on working, counted, and given up (design §5).

From its beginning all writes keep an index. The entities that were there before are taken into it some rows at a time, and
until all are in, no query relies on it; what a crash interrupts, the next start goes on with. An index that is given up is in
nobody's way from that commit on, and its rows are removed in steps as well.
"""

import sqlite3
import time
from collections.abc import Mapping
from typing import Final

import orjson

from broker.store.demand import EVERY_TYPE, IndexKey, path_of, path_text
from broker.store.protocol import ValueIndex
from broker.store.sqlite import entries
from broker.store.sqlite.catalogue import Catalogue

STRIDE: Final = 100
"""Rows looked at in one go."""
STEP_SECONDS: Final = 0.01
"""How long one step may take, but for the entity under way, which may be large: no write waits longer for it."""
GOING_STRIDE: Final = 1000
COUNTED: Final = 2_000_000


def begin(connection: sqlite3.Connection, catalogue: Catalogue, key: IndexKey) -> bool:
    """Keep this index in all writes from now on; False if there is one already."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO value_indexes (tenant, type, path) VALUES (?, ?, ?)", _columns(key)
    )
    catalogue.forget_indexed()
    return cursor.rowcount == 1


def build(connection: sqlite3.Connection, catalogue: Catalogue, key: IndexKey) -> bool:
    """Index the next rows; whether there is nothing left to do, as where the tenant was erased meanwhile."""
    index = connection.execute(
        "SELECT no, built FROM value_indexes WHERE tenant = ? AND type = ? AND path = ? AND state = 'building'",
        _columns(key),
    ).fetchone()
    if index is None:
        return True
    number, built = index
    (highest,) = connection.execute("SELECT ifnull(max(row), 0) FROM entities").fetchone()
    end = time.monotonic() + STEP_SECONDS
    while built < highest:
        built = _take_in(connection, catalogue, key, built, end)
        if time.monotonic() > end:
            break
    finished: bool = built >= highest
    connection.execute(
        "UPDATE value_indexes SET built = ?, state = ? WHERE no = ?",
        (built, "ready" if finished else "building", number),
    )
    return finished


def _take_in(connection: sqlite3.Connection, catalogue: Catalogue, key: IndexKey, built: int, end: float) -> int:
    """Index rows of the next stride until it is time to end; the row up to which all are indexed."""
    sets = " AND type_set IN (SELECT type_set FROM type_set_members WHERE tenant = ?1 AND type = ?4)"
    of_type = "" if key.type == EVERY_TYPE else sets
    rows = connection.execute(
        f"SELECT row, entries, body FROM entities NOT INDEXED WHERE row > ?2 AND row <= ?3 AND tenant = ?1{of_type}"
        " ORDER BY row",
        (key.tenant, built, built + STRIDE, *([key.type] if of_type else [])),
    )
    reached = built + STRIDE
    renewed = []
    for row, before, body in rows:
        made = entries.renew(connection, catalogue, key.tenant, row, before, orjson.loads(body))
        if made != before:
            renewed.append((made, row))
        if time.monotonic() > end:
            reached = row
            break
    rows.close()
    connection.executemany("UPDATE entities SET entries = ? WHERE row = ?", renewed)
    return reached


def unfinished(connection: sqlite3.Connection) -> tuple[list[IndexKey], list[int]]:
    """The indexes whose building was interrupted, and the numbers of those whose removal was."""
    building, going = [], []
    for number, tenant, of_type, path, state in connection.execute(
        "SELECT no, tenant, type, path, state FROM value_indexes WHERE state <> 'ready'"
    ):
        if state == "going":
            going.append(number)
        else:
            building.append(IndexKey(tenant, of_type, path_of(path)))
    return building, going


def give_up(connection: sqlite3.Connection, catalogue: Catalogue, most: int, uses: Mapping[IndexKey, int]) -> list[int]:
    """Stop using the least used indexes until there are `most`, after adding `uses`; the numbers of what is to be removed.

    What was used long ago counts less each time.
    """
    add_uses(connection, uses)
    connection.execute("UPDATE value_indexes SET uses = uses / 2")
    going = [
        number
        for (number,) in connection.execute(
            "SELECT no FROM value_indexes WHERE state <> 'going' ORDER BY uses DESC, no DESC LIMIT -1 OFFSET ?", (most,)
        )
    ]
    connection.executemany("UPDATE value_indexes SET state = 'going' WHERE no = ?", [(number,) for number in going])
    catalogue.forget_indexed()
    return going


def add_uses(connection: sqlite3.Connection, uses: Mapping[IndexKey, int]) -> None:
    """Keep how often indexes have led queries."""
    connection.executemany(
        "UPDATE value_indexes SET uses = uses + ? WHERE tenant = ? AND type = ? AND path = ?",
        [(count, *_columns(key)) for key, count in uses.items()],
    )


def remove_some(connection: sqlite3.Connection, number: int) -> bool:
    """Remove the next rows of an index that was given up; whether that was all."""
    removed = connection.execute(
        "DELETE FROM indexed_values WHERE no = ?1 AND (value, id) IN"
        " (SELECT value, id FROM indexed_values WHERE no = ?1 LIMIT ?2)",
        (number, GOING_STRIDE),
    ).rowcount
    if removed < GOING_STRIDE:
        connection.execute("DELETE FROM value_indexes WHERE no = ?", (number,))
    return removed < GOING_STRIDE


def states(connection: sqlite3.Connection) -> dict[str, int]:
    """How many indexes there are by state."""
    return dict(connection.execute("SELECT state, count(*) FROM value_indexes GROUP BY state").fetchall())


def count(connection: sqlite3.Connection) -> int:
    """How many indexes are kept."""
    return sum(number for state, number in states(connection).items() if state != "going")


def listing(connection: sqlite3.Connection, uses: Mapping[IndexKey, int]) -> list[ValueIndex]:
    """The indexes that are kept, with `uses` that are not on record yet."""
    found = []
    for number, tenant, of_type, path, state, used in connection.execute(
        "SELECT no, tenant, type, path, state, uses FROM value_indexes WHERE state <> 'going' ORDER BY tenant, type, path"
    ).fetchall():
        key = IndexKey(tenant, of_type, path_of(path))
        (size,) = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM indexed_values WHERE no = ? LIMIT ?)", (number, COUNTED)
        ).fetchone()
        found.append(ValueIndex(tenant, of_type, key.path, state == "ready", used + uses.get(key, 0), size))
    return found


def number_of(connection: sqlite3.Connection, key: IndexKey) -> int | None:
    """The number of an index that queries may rely on."""
    row = connection.execute(
        "SELECT no FROM value_indexes WHERE tenant = ? AND type = ? AND path = ? AND state = 'ready'", _columns(key)
    ).fetchone()
    return None if row is None else int(row[0])


def _columns(key: IndexKey) -> tuple[str, str, str]:
    return key.tenant, key.type, path_text(key.path)
