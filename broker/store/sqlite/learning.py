"""Which attributes queries compare often, and the building of their index while the store goes on working (design §5).

A query that had to look at many entities and found few says what it compared. Once that has cost enough, the attribute's
values are indexed, a stride of rows at a time; until all rows are in, no query relies on it.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import orjson

from broker.store.sqlite import entries
from broker.store.sqlite.catalogue import Catalogue

AttributeKey = tuple[str, str]
"""(tenant, attribute)"""

COSTLY: Final = 500
"""Entities that a query looks at in vain before it counts as costly."""
ENOUGH: Final = 20_000
"""Entities looked at in vain, over all costly queries, that make an attribute worth an index: half a second of work."""
MOST_INDEXES: Final = 256
"""Every index makes writes of its attribute a little dearer."""
STRIDE: Final = 500
"""Rows looked at in one transaction, so that no write waits long for it."""


@dataclass(slots=True)
class Effort:
    """What one query took: entities looked at, entities found, and the attributes an index of which would have helped."""

    looked_at: int = 0
    found: int = 0
    compared: list[str] = field(default_factory=list)


class Demand:
    """Adds up the efforts of queries."""

    def __init__(self) -> None:
        self._wasted: Counter[AttributeKey] = Counter()

    def note(self, tenant: str, effort: Effort) -> AttributeKey | None:
        """Count a query's effort; the attribute that is worth an index from now on, if there is one."""
        wasted = effort.looked_at - effort.found
        if wasted < COSTLY:
            return None
        for attribute in effort.compared:
            self._wasted[tenant, attribute] += wasted
            if self._wasted[tenant, attribute] >= ENOUGH:
                self._wasted[tenant, attribute] = 0
                return tenant, attribute
        if len(self._wasted) > 10_000:
            self._wasted.clear()
        return None


def begin(connection: sqlite3.Connection, catalogue: Catalogue, key: AttributeKey) -> bool:
    """Index the attribute in all writes from now on; False if it is indexed already or there are too many indexes."""
    (number,) = connection.execute("SELECT count(*) FROM indexed_attributes").fetchone()
    if number >= MOST_INDEXES:
        return False
    cursor = connection.execute("INSERT OR IGNORE INTO indexed_attributes (tenant, attribute) VALUES (?, ?)", key)
    catalogue.forget_indexed()
    return cursor.rowcount == 1


def unfinished(connection: sqlite3.Connection) -> list[AttributeKey]:
    """The indexes whose building was interrupted."""
    return connection.execute("SELECT tenant, attribute FROM indexed_attributes WHERE NOT ready").fetchall()


def ready(connection: sqlite3.Connection) -> list[AttributeKey]:
    """The indexes in use."""
    return connection.execute(
        "SELECT tenant, attribute FROM indexed_attributes WHERE ready ORDER BY tenant, attribute"
    ).fetchall()


def build(connection: sqlite3.Connection, catalogue: Catalogue, key: AttributeKey) -> bool:
    """Index the next rows; whether that was all. Where the tenant was erased meanwhile, there is nothing to index."""
    index = connection.execute(
        "SELECT no, built FROM indexed_attributes WHERE tenant = ? AND attribute = ?", key
    ).fetchone()
    if index is None:
        return True
    number, built = index
    last = built + STRIDE
    rows = connection.execute(
        "SELECT row, entries, body FROM entities NOT INDEXED WHERE row > ?3 AND row <= ?4 AND tenant = ?1"
        " AND shape IN (SELECT shape FROM shape_attributes WHERE tenant = ?1 AND attribute = ?2)",
        (*key, built, last),
    ).fetchall()
    for row, before, body in rows:
        made = entries.renew(connection, catalogue, key[0], row, before, orjson.loads(body))
        connection.execute("UPDATE entities SET entries = ? WHERE row = ?", (made, row))
    (highest,) = connection.execute("SELECT max(row) FROM entities").fetchone()
    finished = highest is None or highest <= last
    connection.execute("UPDATE indexed_attributes SET built = ?, ready = ? WHERE no = ?", (last, finished, number))
    return finished
