"""The change log and its cursors."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.model.change import Change, Touch
from broker.model.entity import Entity


def append(connection: sqlite3.Connection, changes: Sequence[Change], bodies: Sequence[str | None]) -> list[int]:
    """Add committed changes; `bodies` are their `after` as JSON already, because the entities' rows need it too.

    The sizes of their states as they are stored.
    """
    befores = [None if change.before is None else orjson.dumps(change.before).decode() for change in changes]
    connection.executemany(
        "INSERT INTO changes (sequence, tenant, entity_id, kind, at, touched, before, after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                change.sequence,
                change.tenant,
                change.entity_id,
                change.kind,
                change.at,
                orjson.dumps(change.touched, default=tuple).decode(),
                before,
                body,
            )
            for change, before, body in zip(changes, befores, bodies, strict=True)
        ],
    )
    return [len(before or "") + len(body or "") for before, body in zip(befores, bodies, strict=True)]


def read(connection: sqlite3.Connection, after: int, limit: int) -> list[Change]:
    """The changes above `after`, at most `limit`, in order."""
    rows = connection.execute(
        "SELECT sequence, tenant, entity_id, kind, at, touched, before, after FROM changes"
        " WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (after, limit),
    )
    return [
        Change(
            tenant=tenant,
            entity_id=entity_id,
            kind=kind,
            at=at,
            touched=tuple(Touch(*touch) for touch in orjson.loads(touched)),
            before=_state(before),
            after=_state(after_),
            sequence=sequence,
        )
        for sequence, tenant, entity_id, kind, at, touched, before, after_ in rows
    ]


def _state(body: str | None) -> Entity | None:
    if body is None:
        return None
    state: Entity = orjson.loads(body)
    return state


def head(connection: sqlite3.Connection) -> int:
    """The newest sequence that was ever given."""
    return _single(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'changes'")


def tail(connection: sqlite3.Connection) -> int:
    """The sequence up to which the log has been trimmed."""
    return _single(connection, "SELECT value FROM meta WHERE key = 'tail'")


def _single(connection: sqlite3.Connection, statement: str) -> int:
    row: tuple[Any, ...] | None = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def trim(connection: sqlite3.Connection, through: int) -> int:
    """Forget the changes up to and including `through`, whose sequences are never given again; the new tail."""
    before = tail(connection)
    through = min(through, head(connection))
    if through <= before:
        return before
    connection.execute("DELETE FROM changes WHERE sequence <= ?", (through,))
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('tail', ?)", (through,))
    return through


def cursors(connection: sqlite3.Connection) -> dict[str, int]:
    """All cursors by name."""
    return dict(connection.execute("SELECT name, sequence FROM cursors ORDER BY name"))


def cursor(connection: sqlite3.Connection, name: str) -> int | None:
    """One cursor."""
    row = connection.execute("SELECT sequence FROM cursors WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def save_cursors(connection: sqlite3.Connection, values: Mapping[str, int]) -> None:
    """Set cursors."""
    connection.executemany("INSERT OR REPLACE INTO cursors (name, sequence) VALUES (?, ?)", list(values.items()))


def drop_cursor(connection: sqlite3.Connection, name: str) -> None:
    """Forget a cursor."""
    connection.execute("DELETE FROM cursors WHERE name = ?", (name,))
