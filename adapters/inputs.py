"""What has come in, as the journal has it on record: inputs with their bytes, and the marks of transports.

Plain data, and what is done with it inside a transaction of the journal (`adapters.journal`).
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

WAITING, CLAIMED, DONE = 0, 1, 2
"""The status of an input: nobody has it yet; it is in the group that is worked on; all that it came to is on record."""


@dataclass(frozen=True, slots=True)
class Intake:
    """One input, as a transport hands it over.

    `name` is what its sender knows it by; None where nothing tells. `unless_among` is how many of the feed's last inputs may
    not have this name, or else it is one of those, come again; 0: it is new for sure. `marks` are what the transport wants to
    find again; they are kept if, and only if, the input is.
    """

    data: bytes
    address: str
    received_at: str
    content_type: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    unless_among: int = 0
    marks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Input:
    """One input, as it is on record."""

    id: int
    address: str
    received_at: str
    content_type: str
    parameters: Mapping[str, str]
    sha256: str
    data: bytes


def take_in(connection: sqlite3.Connection, feed: str, intakes: Sequence[Intake]) -> int:
    """Put inputs on record, in this order, and the marks that came with them; how many were new."""
    new = 0
    for intake in intakes:
        if intake.unless_among and _has_come(connection, feed, intake):
            continue
        connection.execute(
            "INSERT INTO input (feed, status, address, received_at, content_type, parameters, size, sha256, once, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                feed,
                WAITING,
                intake.address,
                intake.received_at,
                intake.content_type,
                json.dumps(dict(intake.parameters)),
                len(intake.data),
                sha256(intake.data).hexdigest(),
                intake.name,
                intake.data,
            ),
        )
        new += 1
        if intake.marks:
            set_marks(connection, feed, intake.marks)
    return new


def _has_come(connection: sqlite3.Connection, feed: str, intake: Intake) -> bool:
    found = connection.execute("SELECT max(id) FROM input WHERE feed = ? AND once = ?", (feed, intake.name)).fetchone()
    if found[0] is None:
        return False
    # Ids are those of all feeds, so what came since is counted.
    (since,) = connection.execute("SELECT count(*) FROM input WHERE feed = ? AND id > ?", (feed, found[0])).fetchone()
    return bool(since < intake.unless_among)


def set_marks(connection: sqlite3.Connection, feed: str, marks: Mapping[str, Any]) -> None:
    """Keep marks; those of the same names are replaced."""
    connection.executemany(
        "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)",
        [(feed, name, json.dumps(value)) for name, value in marks.items()],
    )


def inputs_of(connection: sqlite3.Connection, feed: str, status: int, most: int, most_bytes: int) -> tuple[Input, ...]:
    """A feed's first inputs of a status, so many and so many bytes of them at most; `most` -1: all."""
    found: list[Input] = []
    size = 0
    for each in connection.execute(
        "SELECT id, address, received_at, content_type, parameters, sha256, data FROM input"
        " WHERE feed = ? AND status = ? ORDER BY id LIMIT ?",
        (feed, status, most),
    ):
        size += len(each[6])
        if found and most >= 0 and size > most_bytes:
            break
        found.append(Input(each[0], each[1], each[2], each[3], json.loads(each[4]), each[5], each[6]))
    return tuple(found)


def set_status(connection: sqlite3.Connection, feed: str, before: int, after: int, last: int) -> None:
    """Give a feed's inputs of one status, up to the one with the id `last`, another one: groups take inputs in order."""
    connection.execute(
        "UPDATE input SET status = ? WHERE feed = ? AND status = ? AND id <= ?", (after, feed, before, last)
    )


def waiting(connection: sqlite3.Connection, feed: str) -> tuple[int, int]:
    """How many inputs of a feed are not done, and how many bytes they have."""
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM input WHERE feed = ? AND status < ?", (feed, DONE)
    ).fetchone()
    return int(count), int(size)


def trim(connection: sqlite3.Connection, feed: str, keep: int) -> None:
    """Forget all but the last inputs of a feed that are done, and those of open quarantine records."""
    # Ids are those of all feeds, so the feed's own are counted.
    connection.execute(
        "DELETE FROM input WHERE feed = ?1 AND status = ?2 AND id <= ("
        " SELECT id FROM input WHERE feed = ?1 AND status = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)"
        " AND id NOT IN (SELECT input FROM quarantine WHERE status = 'open')",
        (feed, DONE, keep),
    )
