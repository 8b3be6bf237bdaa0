"""The journal: what has come in, how far each feed is, and what became of it, in one SQLite file of the runner's own.

Bytes are on record, with their hash, before anything looks at them, and the transport's marks (an ETag, a file's size and
time) are in the same transaction. The worker then *claims* inputs, which makes a group of them with a key; applies it batch
by batch, each noted as `progress`; and *finishes* it: decoder state, counts and quarantine are one transaction with the
inputs being done. A process that dies finds the same group with the same key again. So whatever is interrupted is repeated in
the same form, and what it had already done to the broker is there or is recognized by its key.

An intake is on disk when `take_in` returns, even if the power fails then; the rest survives the process, and is made again
from the intake if the machine fails.
"""

import asyncio
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from adapters.contract import Quarantined, State
from adapters.errors import AdapterError

FILE: Final = "journal.sqlite"
WAITING, CLAIMED, DONE = 0, 1, 2

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


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs that are worked on together: the key of all that is done for them, how many batches are, and what those came to."""

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
        return await self.transact(lambda connection: _take_in(connection, feed, intakes), durable=True)

    async def waiting(self, feed: str) -> tuple[int, int]:
        """How many inputs of a feed are not done, and how many bytes they have."""
        count, size = await self.perform(
            lambda connection: connection.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM input WHERE feed = ? AND status < ?", (feed, DONE)
            ).fetchone()
        )
        return int(count), int(size)

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
            _set_marks(connection, feed, marks)
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
        return await self.transact(lambda connection: _claim(connection, feed, at, most, most_bytes, lasting))

    async def advance(self, feed: str, progress: int, partial: Mapping[str, Any]) -> None:
        """Note how many batches of the claimed group are done, and what they came to."""
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
    ) -> None:
        """The claimed group is done: all that is to be known of it, at once. `quarantine` has records by their input's id."""
        records = list(quarantine)
        await self.transact(
            lambda connection: _finish(connection, feed, group, at, state, counts, records, lasting, message)
        )

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
        return await self.perform(lambda c: _runs(c, "WHERE published < version ORDER BY id LIMIT 100", ()))

    async def published(self, runs: Sequence[Run]) -> None:
        """Note that the broker has been told of runs in this form."""
        await self.transact(
            lambda connection: connection.executemany(
                "UPDATE run SET published = max(published, ?) WHERE id = ?", [(run.version, run.id) for run in runs]
            )
        )

    async def trim(self, feed: str, *, runs: int, inputs: int) -> list[int]:
        """Forget all but the last runs and inputs of a feed, but for inputs of open quarantine records; the runs forgotten."""
        return await self.transact(lambda connection: _trim(connection, feed, runs, inputs))


def _opened(folder: Path) -> tuple[sqlite3.Connection, str]:
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / FILE, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_SCHEMA)
    connection.execute("INSERT OR IGNORE INTO about VALUES ('identity', ?)", (uuid.uuid4().hex,))
    (identity,) = connection.execute("SELECT value FROM about WHERE name = 'identity'").fetchone()
    return connection, str(identity)


def _take_in(connection: sqlite3.Connection, feed: str, intakes: Sequence[Intake]) -> int:
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
        _set_marks(connection, feed, intake.marks)
    return new


def _has_come(connection: sqlite3.Connection, feed: str, intake: Intake) -> bool:
    found = connection.execute("SELECT max(id) FROM input WHERE feed = ? AND once = ?", (feed, intake.name)).fetchone()
    if found[0] is None:
        return False
    # Ids are those of all feeds, so what came since is counted.
    (since,) = connection.execute("SELECT count(*) FROM input WHERE feed = ? AND id > ?", (feed, found[0])).fetchone()
    return bool(since < intake.unless_among)


def _set_marks(connection: sqlite3.Connection, feed: str, marks: Mapping[str, Any]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)",
        [(feed, name, json.dumps(value)) for name, value in marks.items()],
    )


def _claim(
    connection: sqlite3.Connection, feed: str, at: str, most: int, most_bytes: int, lasting: bool
) -> Group | None:
    connection.execute("INSERT OR IGNORE INTO feed (name) VALUES (?)", (feed,))
    state, key, progress, partial, run = connection.execute(
        "SELECT state, group_key, progress, partial, run FROM feed WHERE name = ?", (feed,)
    ).fetchone()
    status = WAITING if key is None else CLAIMED
    inputs = _inputs(connection, feed, status, most if key is None else -1, most_bytes)
    if not inputs:
        return None
    if key is None:
        key, progress, partial = uuid.uuid4().hex, 0, "{}"
        run = _run_of(connection, feed, at, inputs, lasting)
        connection.execute(
            "UPDATE feed SET group_key = ?, progress = 0, partial = '{}', run = ? WHERE name = ?", (key, run, feed)
        )
        connection.executemany("UPDATE input SET status = ? WHERE id = ?", [(CLAIMED, each.id) for each in inputs])
    return Group(key, inputs, json.loads(state), run, progress, json.loads(partial))


def _inputs(connection: sqlite3.Connection, feed: str, status: int, most: int, most_bytes: int) -> tuple[Input, ...]:
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


def _finish(
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
    connection.execute(
        "UPDATE feed SET state = ?, group_key = NULL, progress = 0, partial = '{}' WHERE name = ? AND group_key = ?",
        (json.dumps(state), feed, group.key),
    )
    connection.executemany("UPDATE input SET status = ? WHERE id = ?", [(DONE, each.id) for each in group.inputs])
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


def _runs(connection: sqlite3.Connection, condition: str, values: Sequence[object]) -> list[Run]:
    rows = connection.execute(
        f"SELECT id, feed, status, started_at, finished_at, address, sha256, size, counts, message, version FROM run {condition}",
        values,
    )
    return [_run(row) for row in rows]


def last_run(connection: sqlite3.Connection, feed: str) -> Run | None:
    """The last run of a feed, if there was one."""
    found = _runs(connection, "WHERE feed = ? ORDER BY id DESC LIMIT 1", (feed,))
    return found[0] if found else None


def _run(row: Sequence[Any]) -> Run:
    number, feed, status, started_at, finished_at, address, digest, size, counts, message, version = row
    return Run(
        number, feed, status, started_at, finished_at, address, digest, size, json.loads(counts), message, version
    )


def _trim(connection: sqlite3.Connection, feed: str, runs: int, inputs: int) -> list[int]:
    connection.execute(
        "DELETE FROM input WHERE feed = ?1 AND status = ?2 AND id <= ("
        " SELECT max(id) FROM input WHERE feed = ?1) - ?3 AND id NOT IN (SELECT input FROM quarantine WHERE status = 'open')",
        (feed, DONE, inputs),
    )
    old = [
        row[0]
        for row in connection.execute(
            "SELECT id FROM run WHERE feed = ? AND status <> 'running' ORDER BY id DESC LIMIT -1 OFFSET ?", (feed, runs)
        )
    ]
    connection.executemany("DELETE FROM run WHERE id = ?", [(each,) for each in old])
    return old
