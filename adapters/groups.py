"""What becomes of inputs, as the journal has it on record: the group that is worked on, and the runs that tell of it.

Plain data, and what is done with it inside a transaction of the journal (`adapters.journal`).
"""

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from adapters.contract import Quarantined, State
from adapters.inputs import CLAIMED, DONE, WAITING, Input, inputs_of, set_status


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs that are worked on together: the key of all that is done for them, how many entities are, and what those came to."""

    key: str
    inputs: tuple[Input, ...]
    state: State
    run: int
    progress: int = 0
    partial: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one input, or of those that came within a while, as it is on record; instants in UTC."""

    id: int
    feed: str
    status: str
    started_at: str
    finished_at: str | None
    address: str
    sha256: str
    size: int
    counts: Mapping[str, int]
    message: str
    version: int


def claim(
    connection: sqlite3.Connection, feed: str, at: str, most: int, most_bytes: int, lasting: bool
) -> Group | None:
    """The group that was claimed and not finished, or else a new one of what waits; None where nothing does."""
    connection.execute("INSERT OR IGNORE INTO feed (name) VALUES (?)", (feed,))
    state, key, progress, partial, run = connection.execute(
        "SELECT state, group_key, progress, partial, run FROM feed WHERE name = ?", (feed,)
    ).fetchone()
    status = WAITING if key is None else CLAIMED
    inputs = inputs_of(connection, feed, status, most if key is None else -1, most_bytes)
    if not inputs:
        return None
    if key is None:
        key = uuid.uuid4().hex
        run = _run_of(connection, feed, at, inputs, lasting)
        connection.execute("UPDATE feed SET group_key = ?, run = ? WHERE name = ?", (key, run, feed))
        set_status(connection, feed, WAITING, CLAIMED, inputs[-1].id)
    return Group(key, inputs, json.loads(state), run, progress, json.loads(partial))


def _run_of(connection: sqlite3.Connection, feed: str, at: str, inputs: Sequence[Input], lasting: bool) -> int:
    """The run that a new group belongs to."""
    if lasting:
        under_way = connection.execute(
            "SELECT id FROM run WHERE feed = ? AND status = 'running' ORDER BY id DESC LIMIT 1", (feed,)
        ).fetchone()
        if under_way is not None:
            return int(under_way[0])
    first = inputs[0]
    made = connection.execute(
        "INSERT INTO run (feed, status, started_at, address, sha256, size, counts) VALUES (?, 'running', ?, ?, ?, ?, '{}')",
        (feed, at, first.address, "" if lasting else first.sha256, 0),
    )
    return int(made.lastrowid or 0)


def finish(
    connection: sqlite3.Connection,
    feed: str,
    group: Group,
    at: str,
    state: State,
    counts: Mapping[str, int],
    quarantine: Sequence[tuple[int, Quarantined]],
    lasting: bool,
    message: str,
) -> None:
    """The group is done: all that is to be known of it. No group's progress is left over for the next one."""
    connection.execute(
        "UPDATE feed SET state = ?, group_key = NULL, progress = 0, partial = '{}' WHERE name = ? AND group_key = ?",
        (json.dumps(state), feed, group.key),
    )
    set_status(connection, feed, CLAIMED, DONE, group.inputs[-1].id)
    (before,) = connection.execute("SELECT counts FROM run WHERE id = ?", (group.run,)).fetchone()
    total = json.loads(before)
    for name, value in counts.items():
        total[name] = total.get(name, 0) + value
    size = sum(len(each.data) for each in group.inputs)
    connection.execute(
        "UPDATE run SET counts = ?, size = size + ?, message = ?, version = version + 1, status = ?, finished_at = ?"
        " WHERE id = ?",
        (
            json.dumps(total),
            size,
            _sound(message),
            "running" if lasting else "failed" if message else "finished",
            None if lasting else at,
            group.run,
        ),
    )
    for input_id, each in quarantine:
        # Lone surrogates are no text for SQLite: a record that could not be kept would come again for ever.
        record = _sound(json.dumps(dict(each.record), ensure_ascii=False, sort_keys=True))
        column, reason = _sound(each.column), _sound(each.reason)
        digest = sha256("\x1f".join((column, each.rule, record)).encode()).hexdigest()
        connection.execute(
            "INSERT INTO quarantine (feed, input, digest, status, at, place, field, rule, reason, record)"
            " VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET input = excluded.input, at = excluded.at, place = excluded.place,"
            " status = CASE status WHEN 'dropped' THEN 'dropped' ELSE 'open' END",
            (feed, input_id, digest, at, each.row, column, each.rule, reason, record),
        )


def _sound(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def runs(connection: sqlite3.Connection, condition: str, values: Sequence[object] = ()) -> list[Run]:
    """The runs that a condition and an order in SQL leave."""
    rows = connection.execute(
        f"SELECT id, feed, status, started_at, finished_at, address, sha256, size, counts, message, version FROM run {condition}",
        values,
    )
    return [_run(row) for row in rows]


def last_run(connection: sqlite3.Connection, feed: str) -> Run | None:
    """The last run of a feed, if there was one."""
    found = runs(connection, "WHERE feed = ? ORDER BY id DESC LIMIT 1", (feed,))
    return found[0] if found else None


def _run(row: Sequence[Any]) -> Run:
    number, feed, status, started_at, finished_at, address, digest, size, counts, message, version = row
    return Run(
        number, feed, status, started_at, finished_at, address, digest, size, json.loads(counts), message, version
    )


def trim_runs(connection: sqlite3.Connection, feed: str, keep: int) -> list[int]:
    """Forget all but the last runs of a feed; those forgotten."""
    old = [
        row[0]
        for row in connection.execute(
            "SELECT id FROM run WHERE feed = ? AND status <> 'running' ORDER BY id DESC LIMIT -1 OFFSET ?", (feed, keep)
        )
    ]
    connection.executemany("DELETE FROM run WHERE id = ?", [(each,) for each in old])
    return old
