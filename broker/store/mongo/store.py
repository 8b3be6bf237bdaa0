"""MongoStore: the production store, the whole Store protocol on one MongoDB database."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence

from broker.model.change import Change
from broker.model.entity import Entity, JsonObject
from broker.query.ast import EntityQuery, EntitySelector, Path
from broker.store.demand import IndexKey
from broker.store.mongo import (
    commit,
    entities,
    erasure,
    evolutions,
    examination,
    following,
    history,
    instances,
    leases,
)
from broker.store.mongo import documents as document_rows
from broker.store.mongo.connection import Connection
from broker.store.mongo.entities import Search
from broker.store.mongo.indexes import MOST_INDEXES, Indexes
from broker.store.mongo.leading import EVERY_TENANT
from broker.store.mongo.log import Log
from broker.store.mongo.remembered import Remembered
from broker.store.mongo.turn import Turn
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


class MongoStore:
    """A store in `database` of the replica set or sharded cluster at `uri`. Queries may take `query_seconds` each.

    It learns up to `most_indexes` indexes of values from what queries ask for.
    """

    is_shared = True

    def __init__(
        self,
        uri: str,
        database: str = "tsunagu",
        *,
        query_seconds: float = 20.0,
        most_indexes: int = MOST_INDEXES,
    ) -> None:
        self._connection = Connection(uri, database)
        self._log = Log(self._connection)
        self._query_seconds = query_seconds
        self._committing = asyncio.Lock()
        self._turn = Turn(self._connection)
        self._remembered = Remembered()
        self._indexes = Indexes(self._connection, most_indexes)
        self._search = Search(self._connection, query_seconds, self._indexes)

    async def open(self) -> None:
        """Connect, create what is missing, refuse a server without transactions or a schema from the future."""
        await self._connection.open()
        try:
            await self._indexes.open()
        except BaseException:
            await self._connection.close()
            raise

    async def close(self) -> None:
        """Finish the commit under way and close all connections."""
        await self._indexes.close()
        async with self._committing:
            await self._turn.close()
            await self._connection.close()

    async def examine(self) -> list[Finding]:
        """Reachable, a replica set, recent enough, writable, durable, disk space; each with its remedy."""
        return await examination.examine(self._connection)

    # entities

    async def read(self, keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
        """The stored states of those that exist, expired or not."""
        return await entities.read(self._connection, keys) if keys else {}

    def recall(self, keys: Sequence[EntityKey]) -> tuple[dict[EntityKey, Entity], Ground | None]:
        """What this process has committed last; nothing while others commit, too."""
        return self._remembered.recall(keys, self._log.known) if self._turn.is_ours else ({}, None)

    async def commit(self, mutations: Sequence[Mutation], documents: Sequence[Document] = ()) -> list[Change]:
        """Write states, change records and documents in one atomic, durable commit.

        Raises VersionConflict, DocumentExists, OutcomeUnknown.
        """
        if not mutations:
            return []
        made = commit.draft(mutations, documents)
        async with self._committing:  # commits exclude each other anyway: better to queue here than to collide there
            changes = await commit.write(self._connection, made, self._turn, self._remembered)
        self._log.keep(changes, made.sizes)
        return changes

    async def query(self, tenant: str, query: EntityQuery, page: Page) -> Window:
        """One page of the entities that match."""
        return await self._search.page(tenant, query, page)

    async def query_bodies(self, tenant: str, query: EntityQuery, page: Page) -> Sheet:
        """The same page, for who may not have to read the entities."""
        return await self._search.sheet(tenant, query, page)

    async def count(self, tenant: str, query: EntityQuery) -> int:
        """How many entities match, exactly."""
        return await self._search.count(tenant, query)

    async def census(self, tenant: str, entity_type: str | None = None, now: str | None = None) -> list[TypeCensus]:
        """The types in use, ordered by IRI (only `entity_type`, where given), without entities expired at `now`."""
        return await self._search.census(tenant, entity_type, now)

    async def expired(self, now: str, limit: int) -> list[EntityKey]:
        """Entities of any tenant that have expired, or of which an attribute instance has."""
        return await self._search.expired(now, limit)

    # indexes of values

    async def index_values(self, tenant: str, entity_type: str, path: Path) -> None:
        """Index the values at a path of the entities of a type, or ("") of every type; returns when queries are led by it.

        All tenants share it.
        """
        await self._indexes.make(IndexKey(EVERY_TENANT, entity_type, path))

    async def value_indexes(self) -> list[ValueIndex]:
        """The indexes of values that there are, those that are being built included."""
        return await self._indexes.listing()

    # the change log

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The changes of all tenants with a sequence above `after`, in order."""
        return await self._log.read(after, limit)

    async def next_changes(self, after: int, limit: int) -> list[Change]:
        """The next changes above `after`; perhaps fewer than there are."""
        return await self._log.read_on(after, limit)

    async def head(self) -> int:
        """The sequence of the newest change, 0 for an empty log."""
        return await self._log.head()

    async def tail(self) -> int:
        """The sequence up to which the log has been trimmed, 0 if never."""
        return await self._log.tail()

    async def trim(self, through: int) -> None:
        """Forget the changes up to and including this sequence."""
        await self._log.trim(through)

    async def wait_for_changes(self, after: int, timeout: float) -> bool:
        """Return as soon as there is a change above `after`, or after `timeout` seconds; whether there is one."""
        return await self._log.wait(after, timeout)

    async def cursors(self) -> dict[str, int]:
        """Every consumer's durable cursor."""
        return await self._log.cursors()

    async def cursor(self, name: str) -> int | None:
        """One of them, None where there is none."""
        return await self._log.cursor(name)

    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these cursors, durably."""
        await self._log.save_cursors(cursors)

    async def drop_cursor(self, name: str) -> None:
        """Forget a cursor."""
        await self._log.drop_cursor(name)

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
        return await history.append(self._connection, entries, cursor, evolutions, under)

    async def history(self, tenant: str, entity_id: str) -> list[HistoryEntry]:
        """All entries of one entity, in order of sequence."""
        return await instances.read(self._connection, tenant, entity_id)

    async def add_history(self, evolution: Evolution, entries: Sequence[HistoryEntry], *, create: bool) -> bool:
        """Add a client's entries to one evolution, durably; whether it was there before."""
        return await history.add(self._connection, evolution, entries, create=create)

    async def change_history(
        self,
        tenant: str,
        entity_id: str,
        attribute: str,
        instance_id: str,
        change: Callable[[HistoryEntry], HistoryEntry | None],
    ) -> bool:
        """Replace or remove one entry; whether there was one."""
        return await history.change(self._connection, tenant, entity_id, attribute, instance_id, change)

    async def delete_history(
        self, tenant: str, entity_id: str, attribute: str | None = None, datasets: frozenset[str | None] | None = None
    ) -> bool:
        """Remove an evolution, or the entries of one attribute; whether there was anything to remove."""
        return await history.delete(self._connection, tenant, entity_id, attribute, datasets)

    async def evolutions(
        self,
        tenant: str,
        selectors: Sequence[EntitySelector],
        limit: int,
        *,
        after: str | None = None,
        descending: bool = False,
    ) -> list[Evolution]:
        """The evolutions that one of the selectors matches, in order of id."""
        return await evolutions.listing(self._connection, tenant, selectors, limit, after, descending)

    async def present(self, tenant: str, query: HistoryQuery) -> set[str]:
        """The entities of a query's spans of which any entry matches. Raises TooComplexQuery."""
        return await instances.present(self._connection, tenant, query, self._query_seconds)

    async def instances(self, tenant: str, query: HistoryQuery, limit: int) -> list[HistoryEntry]:
        """The first `limit` entries of a query, in its order. Raises TooComplexQuery."""
        return await instances.first(self._connection, tenant, query, limit, self._query_seconds)

    async def scan_history(
        self, tenant: str, query: HistoryQuery, visit: Callable[[Sequence[HistoryEntry]], bool]
    ) -> None:
        """Show all entries of a query to `visit` until it has seen enough. Raises TooComplexQuery."""
        await instances.scan(self._connection, tenant, query, visit, self._query_seconds)

    # whole spaces

    async def erase(self, tenant: str, limit: int) -> int:
        """Remove up to `limit` of what is kept of a tenant; how many they were."""
        return await erasure.erase(self._connection, tenant, limit)

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
        if documents:
            return await document_rows.put_with(
                self._connection, kind, tenant, document_id, body, documents, create=create
            )
        return await document_rows.put(self._connection, kind, tenant, document_id, body, create=create)

    async def get_document(self, kind: str, tenant: str, document_id: str) -> JsonObject | None:
        """A document's body."""
        return await document_rows.get(self._connection, kind, tenant, document_id)

    async def change_document(
        self, kind: str, tenant: str, document_id: str, change: Callable[[JsonObject], JsonObject | None]
    ) -> JsonObject | None:
        """Replace a body by what `change` makes of it; the new one, None where nothing was written."""
        return await document_rows.change(self._connection, kind, tenant, document_id, change)

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
        if found is None and not puts:
            return await document_rows.delete(self._connection, key)
        return await document_rows.delete_with(self._connection, key, found, puts)

    async def list_documents(self, kind: str, tenant: str | None = None) -> list[tuple[str, str, JsonObject]]:
        """(tenant, id, body) of every document of a kind, of one tenant or (None) of all, in order of creation."""
        return await document_rows.listing(self._connection, kind, tenant)

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
        return await document_rows.replace(self._connection, (kind, tenant, document_id), found, body, documents)

    def follow_documents(self, kinds: Collection[str]) -> AsyncGenerator[DocumentEvent | None]:
        """What any process writes to documents of these kinds; None where anything may have changed, and at first."""
        return following.follow(self._connection, kinds)

    # processes that share a store

    async def take_leases(self, names: Collection[str], holder: str, seconds: float) -> dict[str, Lease]:
        """Take or renew those of these leases that can be had; those that the holder has now."""
        return await leases.take(self._connection, names, holder, seconds)

    async def release_leases(self, leases_held: Collection[Lease]) -> None:
        """Give leases up, as far as they are still held so."""
        await leases.release(self._connection, leases_held)

    async def enlist(self, member: str, seconds: float) -> frozenset[str]:
        """A process lives for so many seconds more; all that live."""
        alive = await leases.enlist(self._connection, member, seconds)
        self._log.have_company(len(alive - {member}) > 0)
        return alive

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
        held = lease, *beside
        return await leases.save_under(self._connection, held, puts, deletes, cursors, drop_cursors)
