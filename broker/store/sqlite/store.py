"""SqliteStore: the embedded default, the whole Store protocol on one SQLite database."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from broker.model.change import Change
from broker.model.entity import Entity, JsonObject
from broker.query.ast import EntityQuery, EntitySelector, Path
from broker.store.demand import Effort, IndexKey
from broker.store.latest import LatestChanges
from broker.store.protocol import (
    NO_CURSORS,
    Document,
    DocumentEvent,
    DocumentKey,
    EntityKey,
    Evolution,
    Finding,
    Ground,
    HistoryEntry,
    HistoryQuery,
    Lease,
    Mutation,
    Page,
    Sheet,
    TypeCensus,
    ValueIndex,
    Window,
)
from broker.store.sqlite import (
    census,
    entities,
    erasure,
    evolutions,
    examination,
    history,
    log,
    search,
)
from broker.store.sqlite import documents as document_rows
from broker.store.sqlite.catalogue import Catalogue
from broker.store.sqlite.database import Database, Deadline
from broker.store.sqlite.indexes import MOST_INDEXES, Indexes
from broker.store.sqlite.leases import Leases

PRUNE_EVERY: Final = 100_000
"""Changes after which a trim also drops what no entity uses any more from the catalogue."""


T = TypeVar("T")


class SqliteStore:
    """A store in directory `path`, or in memory with ":memory:". Queries may take `query_seconds` each.

    It learns up to `most_indexes` indexes of values from what queries ask for.
    """

    is_shared = False

    def __init__(
        self, path: str, *, query_seconds: float = 20.0, query_threads: int = 3, most_indexes: int = MOST_INDEXES
    ) -> None:
        self._database = Database(path, query_threads=query_threads)
        self._query_seconds = query_seconds
        self._catalogue = Catalogue()
        self._head = 0
        self._tail = 0
        self._pruned = 0
        self._news = asyncio.Event()
        self._latest = LatestChanges()
        self._indexes = Indexes(self._database, self._catalogue, most_indexes)
        self._leases = Leases()

    async def open(self) -> None:
        """Take the directory, create or check the database, find the log's ends."""
        await self._database.open()
        await self._indexes.open()
        self._head, self._tail = await self._database.read(lambda c: (log.head(c), log.tail(c)), "reading the log")

    async def close(self) -> None:
        """Finish what is under way and let go of the directory."""
        await self._indexes.close()
        await self._database.close()
        self._catalogue.forget()

    async def examine(self) -> list[Finding]:
        """Whether the database can be written, is sound, and has room to grow."""
        return await examination.examine(self._database)

    # entities

    async def read(self, keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
        """The stored states of those that exist, expired or not."""
        return await self._database.read(lambda c: entities.read(c, keys), "reading entities")

    def recall(self, keys: Sequence[EntityKey]) -> tuple[dict[EntityKey, Entity], Ground | None]:
        """Nothing: to read costs no round trip here."""
        return {}, None

    async def commit(self, mutations: Sequence[Mutation], documents: Sequence[Document] = ()) -> list[Change]:
        """Write states, change records and documents in one atomic, durable commit. Raises VersionConflict, DocumentExists."""
        if not mutations:
            return []
        loop = asyncio.get_running_loop()

        def write(connection: sqlite3.Connection) -> tuple[list[Change], list[int]]:
            done = entities.commit(connection, self._catalogue, mutations, self._head)
            document_rows.add(connection, documents)
            return done

        def committed(done: tuple[list[Change], list[int]]) -> None:
            self._head = done[0][-1].sequence
            loop.call_soon_threadsafe(self._announce, *done)

        changes, _ = await self._database.write(
            write,
            "committing",
            committed=committed,
            rolled_back=self._catalogue.forget,
        )
        return changes

    async def query(self, tenant: str, query: EntityQuery, page: Page) -> Window:
        """One page of the entities that match. Raises TooComplexQuery if that takes too long."""
        return await self._search(
            tenant, query, lambda c, by, effort: search.find(c, by, effort, tenant, query, page), "querying entities"
        )

    async def query_bodies(self, tenant: str, query: EntityQuery, page: Page) -> Sheet:
        """The same page, for who may not have to read the entities. Raises TooComplexQuery if that takes too long."""
        return await self._search(
            tenant,
            query,
            lambda c, by, effort: search.find_bodies(c, by, effort, tenant, query, page),
            "querying entities",
        )

    async def count(self, tenant: str, query: EntityQuery) -> int:
        """How many entities match, exactly. Raises TooComplexQuery if that takes too long."""
        return await self._search(
            tenant, query, lambda c, by, effort: search.count(c, by, effort, tenant, query), "counting entities"
        )

    async def _search(
        self, tenant: str, query: EntityQuery, work: Callable[[sqlite3.Connection, Deadline, Effort], T], doing: str
    ) -> T:
        """Do a query's work, and note its effort, whether or not it ended in time: from that, indexes are learned."""
        effort = Effort()
        try:
            return await self._database.search(lambda c, by: work(c, by, effort), doing, self._query_seconds)
        finally:
            self._indexes.note(tenant, query, effort)

    async def census(self, tenant: str, entity_type: str | None = None, now: str | None = None) -> list[TypeCensus]:
        """The types in use, ordered by IRI, without entities and attribute instances expired at `now`."""
        return await self._database.search(
            lambda c, _: census.take(c, tenant, entity_type, now), "counting types", self._query_seconds
        )

    async def expired(self, now: str, limit: int) -> list[EntityKey]:
        """Entities of any tenant that have expired, or of which an attribute instance has."""
        return await self._database.read(lambda c: entities.expired(c, now, limit), "listing expired entities")

    # indexes of values

    async def index_values(self, tenant: str, entity_type: str, path: Path) -> None:
        """Index the values at a path of the entities of a type, or ("") of every type; returns when queries are led by it."""
        await self._indexes.make(IndexKey(tenant, entity_type, path))

    async def value_indexes(self) -> list[ValueIndex]:
        """The indexes of values that there are, those that are being built included."""
        return await self._indexes.listing()

    # the change log

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The changes of all tenants with a sequence above `after`, in order."""
        self._database.check_open()
        if after >= self._head or limit <= 0:
            return []
        return await self._database.read(lambda c: log.read(c, after, limit), "reading the log")

    async def next_changes(self, after: int, limit: int) -> list[Change]:
        """The next changes above `after`; perhaps fewer than there are."""
        self._database.check_open()
        return self._latest.after(after, limit) or await self.changes(after, limit)

    async def head(self) -> int:
        """The sequence of the newest change, 0 for an empty log."""
        self._database.check_open()
        return self._head

    async def tail(self) -> int:
        """The sequence up to which the log has been trimmed, 0 if never."""
        self._database.check_open()
        return self._tail

    async def trim(self, through: int) -> None:
        """Forget the changes up to and including this sequence."""

        def job(connection: sqlite3.Connection) -> int:
            if self._head >= self._pruned + PRUNE_EVERY:
                self._catalogue.prune(connection)
                self._pruned = self._head
            return log.trim(connection, through)

        self._tail = await self._database.write(job, "trimming the log", rolled_back=self._catalogue.forget)
        self._latest.trim(self._tail)

    async def wait_for_changes(self, after: int, timeout: float) -> bool:
        """Return as soon as there is a change above `after`, or after `timeout` seconds; whether there is one."""
        self._database.check_open()
        try:
            async with asyncio.timeout(timeout):
                while self._head <= after:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _announce(self, changes: list[Change], sizes: list[int]) -> None:
        """Wake all who wait for changes; they look at the head themselves."""
        self._latest.add(changes, sizes)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def cursors(self) -> dict[str, int]:
        """Every consumer's durable cursor."""
        return await self._database.read(log.cursors, "reading cursors")

    async def cursor(self, name: str) -> int | None:
        """One of them, None where there is none."""
        return await self._database.read(lambda c: log.cursor(c, name), "reading a cursor")

    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these cursors, durably."""
        values = dict(cursors)
        await self._database.write_together(lambda c: log.save_cursors(c, values), "saving cursors")

    async def drop_cursor(self, name: str) -> None:
        """Forget a cursor."""
        await self._database.write_together(lambda c: log.drop_cursor(c, name), "dropping a cursor")

    # temporal history

    async def append_history(
        self,
        entries: Sequence[HistoryEntry],
        cursor: tuple[str, int] | None,
        evolutions: Sequence[Evolution] = (),
        *,
        under: Lease | None = None,
    ) -> bool:
        """Add entries and, if there is one, set the recorder's cursor in the same commit, unless the lease is lost."""

        def job(connection: sqlite3.Connection) -> bool:
            if under is not None and not self._leases.holds(under):
                return False
            history.append(connection, entries, evolutions)
            log.save_cursors(connection, dict([] if cursor is None else [cursor]))
            return True

        return await self._database.write(job, "writing history")

    async def history(self, tenant: str, entity_id: str) -> list[HistoryEntry]:
        """All entries of one entity, in order of sequence."""
        return await self._database.search(
            lambda c, _: history.read(c, tenant, entity_id), "reading history", self._query_seconds
        )

    async def add_history(self, evolution: Evolution, entries: Sequence[HistoryEntry], *, create: bool) -> bool:
        """Add a client's entries to one evolution, durably; whether it was there before."""
        return await self._database.write(
            lambda c: history.add(c, evolution, entries, create=create), "writing history"
        )

    async def change_history(
        self,
        tenant: str,
        entity_id: str,
        attribute: str,
        instance_id: str,
        change: Callable[[HistoryEntry], HistoryEntry | None],
    ) -> bool:
        """Replace or remove one entry; whether there was one."""
        # It is looked for beside the writer, which would have to wait for that.
        while place := await self._database.search(
            lambda c, _: history.place_of(c, tenant, entity_id, attribute, instance_id),
            "reading history",
            self._query_seconds,
        ):
            if await self._database.write(partial(history.change, place=place, changed=change), "changing history"):
                return True
        return False

    async def delete_history(
        self, tenant: str, entity_id: str, attribute: str | None = None, datasets: frozenset[str | None] | None = None
    ) -> bool:
        """Remove an evolution, or the entries of one attribute; whether there was anything to remove."""
        while await self._database.write(
            lambda c: history.thin_out(c, tenant, entity_id, attribute, datasets), "deleting history"
        ):
            pass  # a million entries go in a hundred steps, between which others can write
        return await self._database.write(
            lambda c: history.delete(c, tenant, entity_id, attribute, datasets), "deleting history"
        )

    async def evolutions(
        self,
        tenant: str,
        selectors: Sequence[EntitySelector],
        limit: int,
        *,
        after: str | None = None,
        descending: bool = False,
    ) -> list[Evolution]:
        """The evolutions that one of the selectors matches, in order of id. Raises TooComplexQuery."""
        return await self._database.search(
            lambda c, deadline: evolutions.listing(c, deadline, tenant, selectors, limit, after, descending),
            "listing evolutions",
            self._query_seconds,
        )

    async def present(self, tenant: str, query: HistoryQuery) -> set[str]:
        """The entities of a query's spans of which any entry matches. Raises TooComplexQuery."""
        return await self._database.search(
            lambda c, deadline: history.present(c, deadline, tenant, query), "reading history", self._query_seconds
        )

    async def instances(self, tenant: str, query: HistoryQuery, limit: int) -> list[HistoryEntry]:
        """The first `limit` entries of a query, in its order. Raises TooComplexQuery."""
        return await self._database.search(
            lambda c, deadline: history.first(c, deadline, tenant, query, limit),
            "reading history",
            self._query_seconds,
        )

    async def scan_history(
        self, tenant: str, query: HistoryQuery, visit: Callable[[Sequence[HistoryEntry]], bool]
    ) -> None:
        """Show all entries of a query to `visit` until it has seen enough. Raises TooComplexQuery."""
        await self._database.search(
            lambda c, deadline: history.scan(c, deadline, tenant, query, visit), "reading history", self._query_seconds
        )

    # whole spaces

    async def erase(self, tenant: str, limit: int) -> int:
        """Remove up to `limit` of what is kept of a tenant; how many they were."""
        return await self._database.write(
            lambda c: erasure.erase(c, self._catalogue, tenant, limit),
            "erasing a space",
            rolled_back=self._catalogue.forget,
        )

    # documents

    async def put_document(
        self,
        kind: str,
        tenant: str,
        document_id: str,
        body: JsonObject,
        *,
        create: bool = False,
        documents: Sequence[Document] = (),
    ) -> bool:
        """Store a document durably, with others. With `create`, False if there is one already. Raises DocumentExists."""

        def put(connection: sqlite3.Connection) -> bool:
            written = document_rows.put(connection, kind, tenant, document_id, body, create=create)
            if written:
                document_rows.add(connection, documents)
            return written

        return await self._database.write_together(put, "storing a document")

    async def get_document(self, kind: str, tenant: str, document_id: str) -> JsonObject | None:
        """A document's body."""
        return await self._database.read(
            lambda c: document_rows.get(c, kind, tenant, document_id), "reading a document"
        )

    async def change_document(
        self, kind: str, tenant: str, document_id: str, change: Callable[[JsonObject], JsonObject | None]
    ) -> JsonObject | None:
        """Replace a body by what `change` makes of it; the new one, None where nothing was written."""
        return await self._database.write_together(
            lambda c: document_rows.change(c, kind, tenant, document_id, change), "changing a document"
        )

    async def delete_document(
        self,
        kind: str,
        tenant: str,
        document_id: str,
        *,
        found: JsonObject | None = None,
        puts: Sequence[Document] = (),
    ) -> bool:
        """Delete a document, if its body is still `found`, and write others in its stead; whether it was there."""
        key = kind, tenant, document_id
        return await self._database.write_together(
            lambda c: document_rows.delete_with(c, key, found, puts), "deleting a document"
        )

    async def list_documents(self, kind: str, tenant: str | None = None) -> list[tuple[str, str, JsonObject]]:
        """(tenant, id, body) of every document of a kind, of one tenant or (None) of all, in order of creation."""
        return await self._database.read(lambda c: document_rows.listing(c, kind, tenant), "listing documents")

    async def replace_document(
        self,
        kind: str,
        tenant: str,
        document_id: str,
        found: JsonObject,
        body: JsonObject,
        *,
        documents: Sequence[Document] = (),
    ) -> bool:
        """Store a document, with others, if its body is still `found`; whether it was. Raises DocumentExists."""
        key = kind, tenant, document_id
        return await self._database.write_together(
            lambda c: document_rows.replace(c, key, found, body, documents), "replacing a document"
        )

    async def follow_documents(self, kinds: Collection[str]) -> AsyncGenerator[DocumentEvent | None]:
        """Nothing but the None at first: no other process has this database open."""
        yield None
        await asyncio.Event().wait()

    # processes that share a store: here there is one, but what it is made of may still compete

    async def take_leases(self, names: Collection[str], holder: str, seconds: float) -> dict[str, Lease]:
        """Take or renew those of these leases that can be had; those that the holder has now."""
        self._database.check_open()
        taken, changed = self._leases.take(names, holder, seconds)
        if changed:  # what a former holder is saving in this moment is saved when its successor begins
            await self._database.write_together(lambda _: None, "taking leases")
        return taken

    async def release_leases(self, leases: Collection[Lease]) -> None:
        """Give leases up, as far as they are still held so."""
        self._leases.release(leases)

    async def enlist(self, member: str, seconds: float) -> frozenset[str]:
        """A process lives for so many seconds more; all that live."""
        self._database.check_open()
        return self._leases.enlist(member, seconds)

    async def save_under(
        self,
        lease: Lease,
        *,
        puts: Sequence[Document] = (),
        deletes: Collection[DocumentKey] = (),
        cursors: Mapping[str, int] = NO_CURSORS,
        drop_cursors: Collection[str] = (),
        beside: Collection[Lease] = (),
    ) -> bool:
        """Write documents and cursors in one commit, unless another holder has had one of the leases; whether it was done."""
        values = dict(cursors)

        def save(connection: sqlite3.Connection) -> bool:
            if not all(self._leases.holds(each) for each in (lease, *beside)):
                return False
            document_rows.write(connection, puts, deletes)
            log.save_cursors(connection, values)
            for name in drop_cursors:
                log.drop_cursor(connection, name)
            return True

        return await self._database.write_together(save, "saving under a lease")
