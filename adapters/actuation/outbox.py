"""What the broker is still to be told of commands, and what it would not be told: tables of the runner's journal.

An event waits here from the transaction that it was made in until the broker has it. An entity of which the broker refuses the
status waits longer and longer, with all that comes after it, so that nothing is told out of order; the others do not wait.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.actuation.asking import later
from adapters.actuation.record import Event, events_where
from adapters.actuation.targets import Place

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts to tell of an entity what the broker refused: they grow from one to the other."""
_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entity of which the broker refuses to be told: since when, how often by now, when it is tried again, and why."""

    tenant: str
    entity_id: str
    attempts: int
    since: str
    again_at: str
    reason: str


def untold(connection: sqlite3.Connection, most: int, at: str) -> list[Event]:
    """Events that the broker is to be told of at this instant, oldest first: not of entities that wait.

    One that would wait for longer than any does is told: the clock has been set back.
    """
    return events_where(
        connection,
        "JOIN command_untold u ON u.event = e.number LEFT JOIN command_refusal r"
        " ON r.tenant = c.tenant AND r.entity_id = c.entity_id WHERE r.again_at IS NULL OR r.again_at <= ? OR r.again_at > ?"
        " ORDER BY e.number LIMIT ?",
        (at, later(at, LONGEST_PAUSE), most),
    )


def attempts(connection: sqlite3.Connection, events: Sequence[Event]) -> dict[Place, int]:
    """How often it was tried to tell of those of their entities of which the broker refused."""
    if not count_refusals(connection):
        return {}
    found: dict[Place, int] = {}
    for place in {place_of_event(each) for each in events}:
        row = connection.execute(
            "SELECT attempts FROM command_refusal WHERE tenant = ? AND entity_id = ?", place
        ).fetchone()
        if row is not None:
            found[place] = row[0]
    return found


def told(connection: sqlite3.Connection, events: Sequence[Event]) -> None:
    """The broker knows of these events."""
    connection.executemany("DELETE FROM command_untold WHERE event = ?", [(each.number,) for each in events])
    connection.executemany(
        "DELETE FROM command_refusal WHERE tenant = ? AND entity_id = ?",
        [place_of_event(each) for each in events],
    )


def refused(connection: sqlite3.Connection, tenant: str, entity_id: str, reason: str, at: str) -> Refusal:
    """The broker would not be told of an entity now."""
    row = connection.execute(
        "SELECT attempts, since FROM command_refusal WHERE tenant = ? AND entity_id = ?", (tenant, entity_id)
    ).fetchone()
    attempts, since = (row[0] + 1, row[1]) if row is not None else (1, at)
    pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, 30), LONGEST_PAUSE)
    made = Refusal(tenant, entity_id, attempts, since, later(at, pause), reason[:_LONGEST_REASON])
    connection.execute(
        "INSERT OR REPLACE INTO command_refusal VALUES (?, ?, ?, ?, ?, ?)",
        (tenant, entity_id, attempts, since, made.again_at, made.reason),
    )
    return made


def next_attempt(connection: sqlite3.Connection) -> str | None:
    """When the first of those that wait is told again."""
    (found,) = connection.execute("SELECT min(again_at) FROM command_refusal").fetchone()
    return None if found is None else str(found)


def count_refusals(connection: sqlite3.Connection) -> int:
    """Of how many entities the broker refuses to be told."""
    (found,) = connection.execute("SELECT count(*) FROM command_refusal").fetchone()
    return int(found)


def refusals(connection: sqlite3.Connection, most: int) -> list[Refusal]:
    """Those entities, the one that has waited longest first."""
    rows = connection.execute(
        "SELECT tenant, entity_id, attempts, since, again_at, reason FROM command_refusal ORDER BY since LIMIT ?",
        (most,),
    )
    return [Refusal(*row) for row in rows]


def place_of_event(event: Event) -> Place:
    """The tenant and the entity that an event is about."""
    return event.entry.command.target.tenant, event.entry.command.target.entity_id
