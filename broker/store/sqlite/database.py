"""The database file: its connections, the threads they are used in, its lock, and what its errors mean.

One connection writes, in one thread of its own, so that an fsync never holds up the event loop. Point reads have a
connection and a thread of their own, so that no query delays them; queries share a few more. In WAL mode none of them
waits for the writer. A database in memory has one connection for everything.
"""

import asyncio
import queue
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from broker.errors import StoreUnavailable, TooComplexQuery
from broker.query.patterns import compile_pattern

FILE_NAME: Final = "tsunagu.db"
LOCK_NAME: Final = "tsunagu.lock"
SCHEMA_VERSION: Final = 2
APPLICATION_ID: Final = 0x7473756E  # "tsun": tells our file from any other SQLite database
PAGE_BYTES: Final = 8192
"""Entities of two or three KiB leave half of each page of 4 KiB empty, and every page is written twice."""
STEPS_BETWEEN_CHECKS: Final = 5_000
"""Virtual machine instructions of SQLite between two looks at the clock: well under a millisecond."""

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


class Deadline:
    """When a search has to be over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether it is too late."""
        return time.monotonic() > self._at

    def check(self) -> None:
        """Raise TooComplexQuery if it is too late."""
        if self.passed():
            raise TooComplexQuery(f"the query did not finish within {self.seconds:g} seconds")


Search = Callable[[sqlite3.Connection, Deadline], T]


@dataclass(slots=True, eq=False)
class _SmallWrite:
    """A job that shares a transaction with others, and what came of it. `withdrawn`: its caller has gone."""

    job: Job[Any]
    result: Any = None
    error: BaseException | None = None
    settled: bool = False
    withdrawn: bool = False


def unavailable(error: sqlite3.Error, doing: str) -> StoreUnavailable:
    """What an error of SQLite is to the callers of a store."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return StoreUnavailable(f"the disk is full: nothing was written while {doing}")
    return StoreUnavailable(f"the database failed while {doing}: {error}{f' ({name})' if name else ''}")


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """All or nothing: commits at the end, rolls back on any exception. `kind` is DEFERRED or IMMEDIATE."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself after some errors
            connection.execute("ROLLBACK")
        raise


class Database:
    """One SQLite database, in directory `path` or (":memory:") nowhere. Every method may raise StoreUnavailable."""

    def __init__(self, path: str, *, query_threads: int = 3) -> None:
        self.path = path
        self.in_memory = path == ":memory:"
        self._query_threads = query_threads
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._lock: sqlite3.Connection | None = None
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._write_thread: ThreadPoolExecutor | None = None
        self._read_thread: ThreadPoolExecutor | None = None
        self._search_threads: ThreadPoolExecutor | None = None
        self._small: deque[_SmallWrite] = deque()

    @property
    def file(self) -> Path:
        """The database file of a database that has one."""
        return Path(self.path) / FILE_NAME

    async def open(self) -> None:
        """Take the directory, create what is missing, refuse what is not ours or newer than this program."""
        if self._writer is not None:
            return
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        try:
            await asyncio.get_running_loop().run_in_executor(self._write_thread, self._open)
        except BaseException:
            self._release()
            self._write_thread.shutdown()
            self._write_thread = None
            raise
        if self.in_memory:
            self._read_thread = self._search_threads = self._write_thread
        else:
            self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read")
            self._search_threads = ThreadPoolExecutor(self._query_threads, thread_name_prefix="sqlite-query")

    def _open(self) -> None:
        try:
            if not self.in_memory:
                Path(self.path).mkdir(parents=True, exist_ok=True)
                self._lock = _hold(Path(self.path) / LOCK_NAME)
            self._writer = self._connect()
            _prepare(self._writer, self.path)
            if self.in_memory:
                self._reader = self._writer
                self._idle.put(self._writer)
            else:
                self._reader = self._connect(read_only=True)
                for _ in range(self._query_threads):
                    self._idle.put(self._connect(read_only=True))
        except OSError as error:
            raise StoreUnavailable(f"cannot use directory {self.path}: {error.strerror or error}") from error
        except sqlite3.Error as error:
            raise unavailable(error, f"opening {self.path}") from error

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if self.in_memory else self.file,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        if not self.in_memory:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; another keeps its own
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function("found_in", 2, _found_in, deterministic=True)
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        return connection

    async def close(self) -> None:
        """Wait for what is under way, then close the file and let go of the directory."""
        threads = {self._search_threads, self._read_thread, self._write_thread} - {None}
        self._search_threads = self._read_thread = self._write_thread = None
        for thread in threads:
            assert thread is not None
            await asyncio.to_thread(thread.shutdown)
        self._release()

    def _release(self) -> None:
        connections = {self._reader, self._writer}
        while not self._idle.empty():
            connections.add(self._idle.get())
        self._reader = self._writer = None
        for connection in connections - {None}:
            assert connection is not None
            connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def write(
        self,
        job: Job[T],
        doing: str,
        *,
        committed: Callable[[T], None] | None = None,
        rolled_back: Callable[[], None] | None = None,
    ) -> T:
        """Run `job` in the writer's thread, in one durable transaction: all of it, or nothing if it raises.

        `committed` or `rolled_back` runs in that thread right afterwards, even where the caller was cancelled.
        """

        def run() -> T:
            assert self._writer is not None
            try:
                with transaction(self._writer, "IMMEDIATE"):
                    result = job(self._writer)
            except BaseException:
                if rolled_back is not None:
                    rolled_back()
                raise
            if committed is not None:
                committed(result)
            return result

        return await self._run(self._write_thread, run, doing)

    async def write_together(self, job: Job[T], doing: str) -> T:
        """Run a small `job` like `write` does, in one transaction with all others that came while the thread was busy.

        A job that raises spoils nothing for the others: each is then tried by itself, so a job may run twice.
        """
        mine = _SmallWrite(job)
        self._small.append(mine)

        def turn() -> T:
            if not mine.settled:
                self._write_small([self._small.popleft() for _ in range(len(self._small))])
            if mine.error is not None:
                raise mine.error
            result: T = mine.result
            return result

        try:
            return await self._run(self._write_thread, turn, doing)
        except asyncio.CancelledError:
            mine.withdrawn = True
            raise

    def _write_small(self, batch: list[_SmallWrite]) -> None:
        """Settle a batch, in the writer's thread."""
        assert self._writer is not None
        batch = [each for each in batch if not each.withdrawn]
        try:
            with transaction(self._writer, "IMMEDIATE"):
                results = [each.job(self._writer) for each in batch]
        except BaseException as error:  # noqa: BLE001 - it is raised to the callers
            if len(batch) > 1:
                for each in batch:
                    self._write_small([each])
                return
            for each in batch:
                each.error, each.settled = error, True
            return
        for each, result in zip(batch, results, strict=True):
            each.result, each.settled = result, True

    async def read(self, job: Job[T], doing: str) -> T:
        """Run a short `job` that only reads."""

        def run() -> T:
            assert self._reader is not None
            return job(self._reader)

        return await self._run(self._read_thread, run, doing)

    async def search(self, job: Search[T], doing: str, seconds: float) -> T:
        """Run a `job` that may read much, on one snapshot. Raises TooComplexQuery if it takes longer than `seconds`."""

        def run() -> T:
            connection = self._idle.get()
            deadline = Deadline(seconds)
            connection.set_progress_handler(deadline.passed, STEPS_BETWEEN_CHECKS)
            try:
                with transaction(connection, "DEFERRED"):
                    return job(connection, deadline)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                    raise TooComplexQuery(f"the query did not finish within {seconds:g} seconds") from error
                raise
            finally:
                connection.set_progress_handler(None, 0)
                self._idle.put(connection)

        return await self._run(self._search_threads, run, doing)

    def check_open(self) -> None:
        """Raise StoreUnavailable if this database is not open."""
        if self._write_thread is None:
            raise StoreUnavailable("the store is closed")

    async def _run(self, thread: ThreadPoolExecutor | None, run: Callable[[], T], doing: str) -> T:
        if thread is None:
            raise StoreUnavailable("the store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, run)
        except sqlite3.Error as error:
            raise unavailable(error, doing) from error


def _found_in(pattern: str, text: str) -> bool:
    """SQL function: whether a client's pattern, which has been checked, is found in a text."""
    return compile_pattern(pattern).search(text) is not None


def _hold(lock: Path) -> sqlite3.Connection:
    """Lock out other processes (and other stores of this one) for as long as the connection stays open.

    SQLite's own file locking is used for it: the operating system drops it when the process dies.
    """
    connection = sqlite3.connect(lock, timeout=0.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        raise StoreUnavailable(f"directory {lock.parent} is in use by another broker") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if version > SCHEMA_VERSION and application == APPLICATION_ID:
        raise StoreUnavailable(
            f"the database in {path} has schema version {version}; this program knows {SCHEMA_VERSION} at most"
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        _run(connection, _read_sql("schema.sql") + _read_sql("value_indexes.sql"))
    elif application != APPLICATION_ID:
        raise StoreUnavailable(f"the file {FILE_NAME} in {path} is not a database of this broker")
    elif version == 1:
        _run(connection, _FROM_1_TO_2 + _read_sql("value_indexes.sql") + _NUMBERS_FOLLOW)


_FROM_1_TO_2: Final = """
    CREATE TEMP TABLE former AS SELECT ifnull(max(no), 0) AS no FROM indexed_attributes;
    DROP TABLE attribute_values;
    DROP TABLE indexed_attributes;
"""
"""Version 2 has other indexes of values, which are learned anew."""
_NUMBERS_FOLLOW: Final = """
    INSERT INTO sqlite_sequence (name, seq) SELECT 'value_indexes', no FROM temp.former;
    DROP TABLE temp.former;
"""
"""The rows of entities still name the former indexes by number."""


def _read_sql(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Make or change the schema, in one transaction."""
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {statements}\n"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
