"""The journal: what has come in, how far each feed is, and what became of it, in one SQLite file of the runner's own.

Bytes are on record, with their hash, before anything looks at them, and the transport's marks (an ETag, a file's size and
time) are in the same transaction. The worker then *claims* inputs, which makes a group of them with a key; applies it batch
by batch, noting as `progress` how many entities are done; and *finishes* it: decoder state, counts and quarantine are one
transaction with the inputs being done. A process that dies finds the same group with the same key again. So whatever is
interrupted is repeated in the same form, and what it had already done to the broker is there or is recognized by its key.

An intake is on disk when `take_in` returns, even if the power fails then; the rest survives the process, and is made again
from the intake if the machine fails.
"""

import asyncio
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from adapters import groups, inputs
from adapters.contract import Quarantined, State
from adapters.errors import AdapterError
from adapters.groups import Group, Run
from adapters.inputs import Input, Intake

__all__ = ["FILE", "Group", "Input", "Intake", "Journal", "JournalFailed", "Run"]

FILE: Final = "journal.sqlite"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feed (
  name TEXT PRIMARY KEY, state TEXT NOT NULL DEFAULT 'null', group_key TEXT, progress INTEGER NOT NULL DEFAULT 0,
  partial TEXT NOT NULL DEFAULT '{}', run INTEGER, checked_at TEXT, trouble TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (feed TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (feed, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS input (
  id INTEGER PRIMARY KEY AUTOINCREMENT, feed TEXT NOT NULL, status INTEGER NOT NULL, address TEXT NOT NULL,
  received_at TEXT NOT NULL, content_type TEXT NOT NULL, parameters TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
  once TEXT, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS input_of_feed ON input (feed, status, id);
CREATE INDEX IF NOT EXISTS input_once ON input (feed, once) WHERE once IS NOT NULL;
CREATE TABLE IF NOT EXISTS run (
  id INTEGER PRIMARY KEY AUTOINCREMENT, feed TEXT NOT NULL, status TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
  address TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, counts TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL DEFAULT 1, published INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS run_of_feed ON run (feed, id);
CREATE INDEX IF NOT EXISTS run_unpublished ON run (id) WHERE published < version;
CREATE TABLE IF NOT EXISTS quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT, feed TEXT NOT NULL, input INTEGER NOT NULL, digest TEXT NOT NULL, status TEXT NOT NULL,
  at TEXT NOT NULL, place INTEGER NOT NULL, field TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL, record TEXT NOT NULL,
  mended TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS quarantine_once ON quarantine (feed, digest);
CREATE INDEX IF NOT EXISTS quarantine_input ON quarantine (input);
"""

T = TypeVar("T")


class JournalFailed(AdapterError):
    """The journal cannot be opened, read or written."""


@dataclass(frozen=True, slots=True)
class Journal:
    """One open journal. Everything is done in a thread of its own, one thing after the other."""

    path: Path
    identity: str
    _connection: sqlite3.Connection
    _thread: ThreadPoolExecutor

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """The journal in this folder, which is made if there is none. Raises JournalFailed."""
        thread = ThreadPoolExecutor(1, "journal")
        try:
            connection, identity = await asyncio.get_running_loop().run_in_executor(thread, _opened, folder)
        except (OSError, sqlite3.Error) as error:
            thread.shutdown()
            raise JournalFailed(f"The state in {folder} cannot be opened: {error}.") from error
        return cls(folder / FILE, identity, connection, thread)

    async def close(self) -> None:
        """Close it; what is under way ends first."""
        await self.perform(lambda connection: connection.close())
        self._thread.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def perform(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection. Raises JournalFailed."""
        # What was begun must not be given up half-way: a cancelled caller leaves the thread to end its transaction.
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._connection)
        except sqlite3.Error as error:
            raise JournalFailed(f"The journal {self.path} fails: {error}.") from error

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Do something in one transaction. `durable`: it is on disk afterwards. Raises JournalFailed."""

        def wrapped(connection: sqlite3.Connection) -> T:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return work(connection)

        return await self.perform(wrapped)

    async def take_in(self, feed: str, intakes: Sequence[Intake]) -> int:
        """Put inputs on record, in this order, and the marks that came with them; how many were new."""
        return await self.transact(lambda connection: inputs.take_in(connection, feed, intakes), durable=True)

    async def waiting(self, feed: str) -> tuple[int, int]:
        """How many inputs of a feed are not done, and how many bytes they have."""
        return await self.perform(lambda connection: inputs.waiting(connection, feed))

    async def marks(self, feed: str) -> dict[str, Any]:
        """The marks of a feed."""
        rows = await self.perform(
            lambda connection: connection.execute("SELECT name, value FROM mark WHERE feed = ?", (feed,)).fetchall()
        )
        return {name: json.loads(value) for name, value in rows}

    async def set_marks(self, feed: str, marks: Mapping[str, Any], forget: Iterable[str] = ()) -> None:
        """Keep marks without an input, and forget others."""
        gone = [(feed, name) for name in forget]

        def work(connection: sqlite3.Connection) -> None:
            inputs.set_marks(connection, feed, marks)
            connection.executemany("DELETE FROM mark WHERE feed = ? AND name = ?", gone)

        await self.transact(work)

    async def checked(self, feed: str, at: str, trouble: str = "") -> None:
        """Note when a feed's source was looked at the last time, and what was wrong with it."""
        await self.transact(
            lambda connection: connection.execute(
                "INSERT INTO feed (name, checked_at, trouble) VALUES (?1, ?2, ?3)"
                " ON CONFLICT DO UPDATE SET checked_at = ?2, trouble = ?3",
                (feed, at, trouble),
            )
        )

    async def claim(self, feed: str, at: str, *, most: int, most_bytes: int, lasting: bool) -> Group | None:
        """The group that was claimed and not finished, or else a new one of what waits; None where nothing does.

        `lasting`: the group belongs to the feed's run that is under way; else it is a run of its own.
        """
        return await self.transact(lambda connection: groups.claim(connection, feed, at, most, most_bytes, lasting))

    async def advance(self, feed: str, progress: int, partial: Mapping[str, Any]) -> None:
        """Note how many entities of the claimed group are done, and what they came to."""
        await self.transact(
            lambda connection: connection.execute(
                "UPDATE feed SET progress = ?, partial = ? WHERE name = ?", (progress, json.dumps(dict(partial)), feed)
            )
        )

    async def finish(
        self,
        feed: str,
        group: Group,
        at: str,
        state: State,
        counts: Mapping[str, int],
        quarantine: Iterable[tuple[int, Quarantined]],
        *,
        lasting: bool,
        message: str = "",
    ) -> tuple[int, int]:
        """The claimed group is done: all that is to be known of it, at once. `quarantine` has records by their input's id.

        The answer is how much is left, as `waiting` has it.
        """
        records = list(quarantine)

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            groups.finish(connection, feed, group, at, state, counts, records, lasting, message)
            return inputs.waiting(connection, feed)

        return await self.transact(work)

    async def close_run(self, feed: str, at: str, *, started_before: str) -> None:
        """End the feed's run that is under way if it began before that instant."""
        await self.transact(
            lambda connection: connection.execute(
                "UPDATE run SET status = 'finished', finished_at = ?, version = version + 1"
                " WHERE feed = ? AND status = 'running' AND started_at < ?"
                " AND NOT EXISTS (SELECT 1 FROM feed WHERE name = ?2 AND group_key IS NOT NULL)",
                (at, feed, started_before),
            )
        )

    async def unpublished(self) -> list[Run]:
        """The runs that the broker has not been told of in their present form."""
        return await self.perform(lambda c: groups.runs(c, "WHERE published < version ORDER BY id LIMIT 100"))

    async def published(self, runs: Sequence[Run]) -> None:
        """Note that the broker has been told of runs in this form."""
        await self.transact(
            lambda connection: connection.executemany(
                "UPDATE run SET published = max(published, ?) WHERE id = ?", [(run.version, run.id) for run in runs]
            )
        )

    async def trim(self, feed: str, *, keep_runs: int, keep_inputs: int) -> list[int]:
        """Forget all but the last runs and inputs of a feed, but for inputs of open quarantine records; the runs forgotten."""

        def work(connection: sqlite3.Connection) -> list[int]:
            inputs.trim(connection, feed, keep_inputs)
            return groups.trim_runs(connection, feed, keep_runs)

        return await self.transact(work)


def _opened(folder: Path) -> tuple[sqlite3.Connection, str]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # keys of devices are in it
    connection = sqlite3.connect(folder / FILE, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_SCHEMA)
    connection.execute("INSERT OR IGNORE INTO about VALUES ('identity', ?)", (uuid.uuid4().hex,))
    (identity,) = connection.execute("SELECT value FROM about WHERE name = 'identity'").fetchone()
    return connection, str(identity)
