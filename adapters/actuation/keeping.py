"""How long commands stay on record: so many days, and so many bytes, whichever comes first.

Only what has its end, and of which the broker knows, ever goes, with its whole trail. Where bytes are short, refusals go before
commands that were given, and what was given within the last hour stays: a client that repeats a command under its `commandId`
may still do so.
"""

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from typing import Final

from adapters import metrics
from adapters.actuation.asking import later
from adapters.actuation.book import Book

LOOK_SECONDS: Final = 300.0
PORTION: Final = 200
"""Commands that one transaction takes away: others wait for it."""
REPEATABLE_SECONDS: Final = 3600.0
DAY: Final = 86_400.0

_UNTOLD: Final = (
    "EXISTS (SELECT 1 FROM command_event e JOIN command_untold u ON u.event = e.number WHERE e.command = c.id)"
)
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many commands went from the record, because of their age and because of the bytes; how many bytes are left."""

    by_age: int
    by_size: int
    left: int


async def keep(book: Book) -> None:
    """Keep the record within its bounds, for ever."""
    while True:
        await keep_now(book)
        await asyncio.sleep(LOOK_SECONDS)


async def keep_now(book: Book) -> Dropped:
    """Drop what is too old or too much. Raises JournalFailed."""
    settings = book.policy.settings
    at = book.now()
    old, recent = later(at, -settings.keep_days * DAY), later(at, -REPEATABLE_SECONDS)
    most = settings.keep_megabytes * 1024 * 1024
    by_age = by_size = 0
    while True:
        found = await book.journal.transact(lambda connection: drop(connection, old, recent, most))
        by_age, by_size = by_age + found.by_age, by_size + found.by_size
        if not found.by_age + found.by_size:
            break
    metrics.commands_record_bytes.set(found.left)
    metrics.commands_dropped.labels("age").inc(by_age)
    metrics.commands_dropped.labels("size").inc(by_size)
    if by_age:
        _LOG.info("%d commands that ended before %s are no longer on record", by_age, old)
    if by_size:
        _LOG.warning("%d commands are no longer on record: they had more than %d bytes together", by_size, most)
    if found.left > most:
        _LOG.warning("the record of commands has %d bytes, and none of it may go yet", found.left)
    return Dropped(by_age, by_size, found.left)


def drop(connection: sqlite3.Connection, old: str, recent: str, most: int) -> Dropped:
    """Drop a portion of what ended before `old`, or, where there are more than `most` bytes, of what may go."""
    aged = _ended(connection, f"state_at < ? AND NOT {_UNTOLD} ORDER BY state_at", (old,))
    for command_id in aged:
        _drop(connection, command_id)
    by_size = 0
    if not aged and size(connection) > most:
        for command_id in (
            *_ended(connection, f"state = 'refused' AND NOT {_UNTOLD} ORDER BY state_at", ()),
            *_ended(connection, f"state <> 'refused' AND state_at < ? AND NOT {_UNTOLD} ORDER BY state_at", (recent,)),
        )[:PORTION]:
            _drop(connection, command_id)
            by_size += 1
            if size(connection) <= most:
                break
    return Dropped(len(aged), by_size, size(connection))


def size(connection: sqlite3.Connection) -> int:
    """About how many bytes the record of commands has."""
    (found,) = connection.execute("SELECT bytes FROM command_size").fetchone()
    return int(found)


def _ended(connection: sqlite3.Connection, condition: str, values: tuple[str, ...]) -> list[str]:
    rows = connection.execute(
        f"SELECT c.id FROM command c WHERE c.deadline IS NULL AND {condition} LIMIT {PORTION}", values
    )
    return [command_id for (command_id,) in rows]


def _drop(connection: sqlite3.Connection, command_id: str) -> None:
    connection.execute("DELETE FROM command WHERE id = ?", (command_id,))
    connection.execute("DELETE FROM command_event WHERE command = ?", (command_id,))
