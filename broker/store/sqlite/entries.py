"""The index entries of an entity's row that its columns do not hold: the bounding boxes of its GeoProperties (4.7).

A row remembers its entries in its column `entries`, so that they are found again when it changes.
"""

import sqlite3
from typing import Any, Final

import orjson

from broker.model.entity import Entity
from broker.query.geometry import Box, bounding_box
from broker.query.values import plain
from broker.store.sqlite.catalogue import Catalogue

EVERYWHERE: Final[Box] = (-1e9, -1e9, 1e9, 1e9)
"""For a value that is no geometry: it is found by every search, and the evaluator decides."""


def renew(
    connection: sqlite3.Connection, catalogue: Catalogue, tenant: str, row: int, before: str | None, state: Entity
) -> str | None:
    """Bring a row's entries in line with its entity's state; what they are now, for its column `entries`."""
    wanted: list[list[float]] = [
        [catalogue.layer(connection, tenant, attribute), *_box(plain(instance.get("value")))]
        for attribute, instances in state["attrs"].items()
        for instance in instances
        if instance["type"] == "GeoProperty"
    ]
    if not wanted and before is None:
        return None
    drawn: list[list[float]] = [] if before is None else orjson.loads(before)
    if [box[:-1] for box in drawn] == wanted:
        return before
    erase(connection, before)
    made = [[*box, _draw(connection, row, *box)] for box in wanted]
    return orjson.dumps(made).decode() if made else None


def erase(connection: sqlite3.Connection, made: str | None) -> None:
    """Remove a row's entries."""
    if made is not None:
        connection.executemany("DELETE FROM boxes WHERE no = ?", [(box[-1],) for box in orjson.loads(made)])


def _draw(
    connection: sqlite3.Connection, row: int, layer: float, west: float, south: float, east: float, north: float
) -> int:
    cursor = connection.execute(
        "INSERT INTO boxes (layer_low, layer_high, west, east, south, north, row) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (layer, layer + 0.5, west, east, south, north, row),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _box(geometry: Any) -> Box:
    try:
        return bounding_box(geometry)
    except (KeyError, TypeError, ValueError, IndexError):
        return EVERYWHERE
