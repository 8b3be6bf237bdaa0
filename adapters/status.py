"""How the feeds are doing, as the journal has it: the answer of `tsunagu adapters status`, whether a runner is at work or not."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapters.feeds import Feeds
from adapters.groups import last_run
from adapters.inputs import DONE
from adapters.journal import Journal
from adapters.quarantine import OPEN
from adapters.runs import status_of


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


def as_text(found: Sequence[FeedStatus]) -> str:
    """The status as JSON text."""
    return json.dumps([each.as_json() for each in found], ensure_ascii=False, indent=2)
