"""The index entries of an entity's row that its columns do not hold: boxes of its GeoProperties (4.7), terms of its values.

A row remembers its entries in its column `entries`, as `{"boxes": [...], "terms": [...]}`, so that they are found again
when it changes.
"""

import sqlite3
from typing import Any, Final

import orjson

from broker.model.entity import Entity
from broker.query.geometry import Box, bounding_box
from broker.query.values import plain
from broker.store.demand import EVERY_TYPE
from broker.store.sqlite.catalogue import Catalogue
from broker.store.sqlite.terms import OPAQUE, Term, terms_of

EVERYWHERE: Final[Box] = (-1e9, -1e9, 1e9, 1e9)
"""For a value that is no geometry: it is found by every search, and the evaluator decides."""

_BYTES: Final[dict[Any, bytes]] = {None: OPAQUE, False: b"\x00", True: b"\x01"}
_JSON: Final = {term: value for value, term in _BYTES.items()}

Terms = set[tuple[int, Term]]
"""(number of the index of values, term)"""


def renew(
    connection: sqlite3.Connection, catalogue: Catalogue, tenant: str, row: int, before: str | None, state: Entity
) -> str | None:
    """Bring a row's entries in line with its entity's state; what they are now, for its column `entries`."""
    boxes: list[list[float]] = [
        [catalogue.layer(connection, tenant, attribute), *_box(plain(instance.get("value")))]
        for attribute, instances in state["attrs"].items()
        for instance in instances
        if instance["type"] == "GeoProperty"
    ]
    terms: Terms = {
        (number, term)
        for entity_type in (EVERY_TYPE, *state["type"])
        for number, targets in catalogue.indexed(connection, tenant, entity_type)
        for term in terms_of(targets(state))
    }
    if before is None and not boxes and not terms:
        return None
    drawn, held = _read(before)
    if [box[:-1] for box in drawn] != boxes:
        _erase_boxes(connection, drawn)
        drawn = [[*box, _draw(connection, row, *box)] for box in boxes]
    elif held == terms:
        return before
    _erase_terms(connection, state["id"], held - terms)
    if added := terms - held:
        connection.executemany(
            "INSERT OR IGNORE INTO indexed_values (no, value, id, row) VALUES (?, ?, ?, ?)",
            [(number, term, state["id"], row) for number, term in added],
        )
    made = {"boxes": drawn, "terms": [[number, _json(term)] for number, term in terms]}
    return orjson.dumps(made).decode() if drawn or terms else None


def erase(connection: sqlite3.Connection, entity_id: str, made: str | None) -> None:
    """Remove the entries of an entity's row."""
    drawn, held = _read(made)
    _erase_boxes(connection, drawn)
    _erase_terms(connection, entity_id, held)


def _read(made: str | None) -> tuple[list[list[float]], Terms]:
    if made is None:
        return [], set()
    entries = orjson.loads(made)
    return entries["boxes"], {(number, _term(value)) for number, value in entries["terms"]}


def _json(term: Term) -> Any:
    return _JSON[term] if isinstance(term, bytes) else term


def _term(value: Any) -> Term:
    term: Term = _BYTES[value] if value is None or isinstance(value, bool) else value
    return term


def _erase_boxes(connection: sqlite3.Connection, drawn: list[list[float]]) -> None:
    if drawn:
        connection.executemany("DELETE FROM boxes WHERE no = ?", [(box[-1],) for box in drawn])


def _erase_terms(connection: sqlite3.Connection, entity_id: str, terms: Terms) -> None:
    if terms:
        connection.executemany(
            "DELETE FROM indexed_values WHERE no = ? AND value = ? AND id = ?",
            [(number, term, entity_id) for number, term in terms],
        )


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
