"""How the feeds are doing, as the journal has it: the answer of `tsunagu adapters status`, whether a runner is at work or not."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from adapters.actuation import outbox, record
from adapters.actuation.schema import SCHEMA
from adapters.feeds import Feeds
from adapters.groups import last_run
from adapters.inputs import DONE
from adapters.journal import Journal
from adapters.quarantine import OPEN
from adapters.runs import status_of

MOST_REFUSALS: Final = 10
"""Of so many entities it is shown why the broker would not be told of their commands."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed: when its source was last looked at and what was wrong, what waits, what is held back, and its last run."""

    feed: str
    adapter: str
    transport: str
    checked_at: str | None
    trouble: str
    waiting: int
    waiting_bytes: int
    quarantined: int
    run: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """The status as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CommandStatus:
    """Commands to devices: how many have no end yet, how many events the broker is still to be told of, and what it refuses.

    `refused` is how many entities it would not be told of, and `refusals` are those that have waited longest.
    """

    open: int
    untold: int
    refused: int
    refusals: tuple[outbox.Refusal, ...]


async def command_status(feeds: Feeds, journal: Journal) -> CommandStatus | None:
    """The status of the commands; None where there are none."""
    if feeds.commands is None:
        return None

    def work(connection: sqlite3.Connection) -> CommandStatus:
        connection.executescript(SCHEMA)  # the journal may be older than the table [commands]
        open_ones, untold_ones = record.counts(connection)
        refused = outbox.count_refusals(connection)
        return CommandStatus(open_ones, untold_ones, refused, tuple(outbox.refusals(connection, MOST_REFUSALS)))

    return await journal.perform(work)


async def status(feeds: Feeds, journal: Journal) -> list[FeedStatus]:
    """The status of each feed."""

    def work(connection: sqlite3.Connection) -> list[FeedStatus]:
        found = []
        for feed in feeds.feeds:
            looked = connection.execute("SELECT checked_at, trouble FROM feed WHERE name = ?", (feed.name,)).fetchone()
            waiting, size = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM input WHERE feed = ? AND status < ?", (feed.name, DONE)
            ).fetchone()
            (quarantined,) = connection.execute(
                "SELECT count(*) FROM quarantine WHERE feed = ? AND status = ?", (feed.name, OPEN)
            ).fetchone()
            run = last_run(connection, feed.name)
            found.append(
                FeedStatus(
                    feed.name,
                    feed.adapter.name,
                    type(feed.transport).__name__.lower(),
                    looked[0] if looked else None,
                    (looked[1] or "") if looked else "",
                    waiting,
                    size,
                    quarantined,
                    None if run is None else {**asdict(run), "counts": dict(run.counts), "status": status_of(run)},
                )
            )
        return found

    return await journal.perform(work)


def as_text(found: Sequence[FeedStatus], commands: CommandStatus | None) -> str:
    """The status as JSON text: {"feeds": [...], "commands": {...} or null}."""
    document = {
        "feeds": [each.as_json() for each in found],
        "commands": None if commands is None else asdict(commands),
    }
    return json.dumps(document, ensure_ascii=False, indent=2)
