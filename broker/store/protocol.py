"""What the broker asks of a store (design §4, §5): one protocol, kept by SQLite and MongoDB with the same meaning.

The meaning of a query is `broker.query.evaluate`; a store may compile it but must agree with it. All methods may raise
`broker.errors.StoreUnavailable`; no other exception of a driver leaves a store.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from broker.errors import StoreUnavailable
from broker.model.change import Change
from broker.model.entity import Entity, Instance, JsonObject
from broker.query.ast import EntityQuery, EntitySelector, Path
from broker.query.temporal import TimeProperty

EntityKey: TypeAlias = tuple[str, str]
"""(tenant, entity id). The default tenant is the empty string."""

DocumentKey: TypeAlias = tuple[str, str, str]
"""(kind, tenant, id) of a document."""

NO_CURSORS: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ground:
    """What decisions rest on in a store that can `recall`: its own mark of how far its log is, and the entities whose states were
    recalled and not read. Where there are any, a commit on it is turned away unless nobody else has committed since."""

    mark: object
    recalled: frozenset[EntityKey]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change to commit, on the condition that the stored entity still has `expected_version` (0: there is none).

    All mutations of a commit have the same `ground`. `state` is the whole entity before the change, where the caller has it: a
    change's own `before` has those attributes only that it touches.
    """

    change: Change
    expected_version: int
    ground: Ground | None = None
    state: Entity | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document to write in the same commit as something else, on the condition that there is none with its id."""

    kind: str
    tenant: str
    id: str
    body: JsonObject


class DocumentExists(Exception):
    """A document that was to be written with a commit is there already: nothing of this commit was written."""


class VersionConflict(Exception):
    """Another writer was there first: nothing of this commit was written. `keys` are the entities to read again."""

    def __init__(self, keys: Sequence[EntityKey]) -> None:
        super().__init__(f"changed meanwhile: {', '.join(key[1] for key in keys)}")
        self.keys = tuple(keys)


class OutcomeUnknown(StoreUnavailable):
    """The connection was lost in the middle of a commit: it was written as a whole, or it was not, or it still may be.

    Who gets this looks for the commit's changes in the log before trying again.
    """


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one holder to do something alone, until the store's own clock says that it has run out.

    `epoch` grows with each change of holder: a lease that was lost and won again is another one.
    """

    name: str
    holder: str
    epoch: int


class DocumentEvent(NamedTuple):
    """A document was written or deleted by any process. What it is now, the store tells."""

    kind: str
    tenant: str
    id: str


class HistoryEntry(NamedTuple):
    """One attribute instance at one change, as temporal history keeps it (4.5.7). `instance_id` is derived from the change,
    so that replaying the log writes the same entry again.

    A tuple, because a million of them may be read for one answer: they are made seven times as fast as frozen data classes.
    """

    tenant: str
    entity_id: str
    types: tuple[str, ...]
    attribute: str
    dataset_id: str | None
    instance_id: str
    sequence: int
    recorded_at: str
    deleted: bool
    instance: Instance


@dataclass(frozen=True, slots=True)
class Evolution:
    """The temporal evolution of an entity as a whole (5.2.20): every type that it ever had, and the entity's own times.

    `deleted_at` is None where the entity was not deleted, or came back.
    """

    tenant: str
    entity_id: str
    types: tuple[str, ...]
    created_at: str
    modified_at: str
    deleted_at: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one entity's history: from `start`, included, to `end`, not included; canonical instants or None."""

    entity_id: str
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which history entries. They come in the order of their `time` property, then of observedAt, sequence, instance id.

    Entries without that property do not match. `time` None means observedAt or, where there is none, modifiedAt. Spans of
    one entity do not overlap. In `datasets` None stands for the default instances. `last_n` (only with `newest_first`): not
    more than that many entries of one attribute of one entity, whatever their datasets.
    """

    spans: tuple[Span, ...]
    time: TimeProperty | None = None
    attributes: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    datasets: frozenset[str | None] | None = None
    newest_first: bool = False
    last_n: int | None = None


@dataclass(frozen=True, slots=True)
class AttributeCensus:
    """How one attribute occurs on the entities of one type: kinds by number of entities."""

    attribute: str
    kinds: Mapping[str, int]
    count: int


@dataclass(frozen=True, slots=True)
class TypeCensus:
    """One entity type as it is in use (5.7.5 to 5.7.10): how many entities have it, and which attributes they have."""

    type: str
    count: int
    attributes: tuple[AttributeCensus, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a store's self-examination, for `tsunagu doctor` and readiness."""

    subject: str
    ok: bool
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a result: skip `offset`, or start after entity id `after` (keyset, default order only); at most `limit`."""

    limit: int
    offset: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What a query found: one page, and whether there is more behind it.

    `in_vain`: how many entities were looked at that do not match, as no index led past them; about, where the store cannot
    tell exactly.
    """

    entities: list[Entity] = field(default_factory=list)
    more: bool = False
    in_vain: int = field(default=0, compare=False)

    def __len__(self) -> int:
        return len(self.entities)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a query found, as it rests: a body is what `decode` makes the entity of, and equal bodies are equal entities."""

    decode: Callable[[Any], Entity]
    ids: list[str] = field(default_factory=list)
    bodies: Sequence[str | bytes] = ()
    more: bool = False
    in_vain: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class ValueIndex:
    """An index of the values at a path (4.9) of the entities of one type, or ("") of every type, that a store has learned.

    `uses` are the queries that it has led lately, `entries` the values in it, `bytes` its size; None where the store cannot tell.
    """

    tenant: str
    type: str
    path: Path
    ready: bool
    uses: int
    entries: int | None = None
    bytes: int | None = None


class Store(Protocol):
    """See the module. `commit` is atomic: all mutations and their change records, or nothing."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may have it open at the same time."""
        ...

    async def open(self) -> None:
        """Connect, create what is missing, refuse a schema from the future (StoreUnavailable says which)."""
        ...

    async def close(self) -> None:
        """Finish what is under way and release everything."""
        ...

    async def examine(self) -> list[Finding]:
        """Reachable, writable, durable, a replica set where one is needed, disk space; each with its remedy."""
        ...

    # entities

    async def read(self, keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
        """The stored states of those that exist, expired or not."""
        ...

    def recall(self, keys: Sequence[EntityKey]) -> tuple[dict[EntityKey, Entity], Ground | None]:
        """What this process remembers of its own last commits: states that were true then, and the ground for the mutations that
        are decided on these and on what is read after this call. Only a commit on that ground tells whether they are true."""
        ...

    async def commit(self, mutations: Sequence[Mutation], documents: Sequence[Document] = ()) -> list[Change]:
        """Write states and change records in one atomic, durable commit; the changes come back with their sequences.

        Several mutations of one key are applied in the order given. `documents` go into the same commit; without
        mutations there is none. Raises VersionConflict, DocumentExists, and OutcomeUnknown where the store itself cannot
        find out whether the commit was written.
        """
        ...

    async def query(self, tenant: str, query: EntityQuery, page: Page) -> Window:
        """One page of the entities that match."""
        ...

    async def query_bodies(self, tenant: str, query: EntityQuery, page: Page) -> Sheet:
        """The same page, for who may not have to read the entities; only in the default order (ValueError otherwise)."""
        ...

    async def count(self, tenant: str, query: EntityQuery) -> int:
        """How many entities match, exactly."""
        ...

    async def census(self, tenant: str, entity_type: str | None = None, now: str | None = None) -> list[TypeCensus]:
        """The types in use, ordered by IRI (only `entity_type`, where given), without what has expired at `now`."""
        ...

    async def expired(self, now: str, limit: int) -> list[EntityKey]:
        """Entities of any tenant that have expired at `now`, or of which an attribute instance has (4.22)."""
        ...

    # indexes of values

    async def index_values(self, tenant: str, entity_type: str, path: Path) -> None:
        """Index the values at a path of the entities of a type, or ("") of every type; returns when queries are led by it.

        Does nothing where there is such an index, or as many as may be.
        """
        ...

    async def value_indexes(self) -> list[ValueIndex]:
        """The indexes of values that there are, those that are being built included."""
        ...

    # the change log

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The changes of all tenants with a sequence above `after`, in order."""
        ...

    async def next_changes(self, after: int, limit: int) -> list[Change]:
        """Some of these changes, in order and without a gap, one at least if there is one: for who reads the log to its end.

        What this process has just committed comes from memory, and is shared: nobody may alter it.
        """
        ...

    async def head(self) -> int:
        """The sequence of the newest change, 0 for an empty log."""
        ...

    async def tail(self) -> int:
        """The sequence below which the log has been trimmed (changes with sequence <= tail are gone), 0 if never."""
        ...

    async def trim(self, through: int) -> None:
        """Forget the changes up to and including this sequence."""
        ...

    async def wait_for_changes(self, after: int, timeout: float) -> bool:
        """Return as soon as there is a change above `after`, or after `timeout` seconds; whether there is one."""
        ...

    async def cursors(self) -> dict[str, int]:
        """Every consumer's durable cursor: the sequence up to which it has finished its work."""
        ...

    async def cursor(self, name: str) -> int | None:
        """One of them, None where there is none."""
        ...

    async def save_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these cursors, durably."""
        ...

    async def drop_cursor(self, name: str) -> None:
        """Forget a cursor."""
        ...

    # temporal history

    async def append_history(
        self,
        entries: Sequence[HistoryEntry],
        cursor: tuple[str, int] | None,
        evolutions: Sequence[Evolution] = (),
        *,
        under: Lease | None = None,
    ) -> bool:
        """Add entries and set the recorder's cursor in the same commit; an entry that is there already is replaced by itself.

        Evolutions are taken from the entries; `evolutions` says what these cannot: the last one of an entity counts. Without a
        cursor, the entries are copies of others and not what the recorder made of the log. False, and nothing is written, where
        another holder has had the lease `under` which this is done.
        """
        ...

    async def history(self, tenant: str, entity_id: str) -> list[HistoryEntry]:
        """All entries of one entity, in order of sequence."""
        ...

    async def add_history(self, evolution: Evolution, entries: Sequence[HistoryEntry], *, create: bool) -> bool:
        """Add entries to one evolution, durably; each replaces those with its attribute, dataset and observedAt, if it has one.

        Types are added to those that the evolution has. Whether it was there before; without `create`, nothing is written
        where it was not.
        """
        ...

    async def change_history(
        self,
        tenant: str,
        entity_id: str,
        attribute: str,
        instance_id: str,
        change: Callable[[HistoryEntry], HistoryEntry | None],
    ) -> bool:
        """Replace one entry by what the pure function `change` makes of it, or remove it for None; whether there was one."""
        ...

    async def delete_history(
        self, tenant: str, entity_id: str, attribute: str | None = None, datasets: frozenset[str | None] | None = None
    ) -> bool:
        """Remove an evolution, or the entries of one attribute (of these datasets); whether there was anything to remove.

        Many entries go in steps: who reads meanwhile, or after a crash, finds what is left of them.
        """
        ...

    async def evolutions(
        self,
        tenant: str,
        selectors: Sequence[EntitySelector],
        limit: int,
        *,
        after: str | None = None,
        descending: bool = False,
    ) -> list[Evolution]:
        """The evolutions that one of the selectors matches (all, if there are none), in order of entity id, behind `after`."""
        ...

    async def present(self, tenant: str, query: HistoryQuery) -> set[str]:
        """The entities of a query's spans of which any entry matches (`last_n` is not for this). Raises TooComplexQuery."""
        ...

    async def instances(self, tenant: str, query: HistoryQuery, limit: int) -> list[HistoryEntry]:
        """The first `limit` entries of a query, in its order. Raises TooComplexQuery where it takes too long."""
        ...

    async def scan_history(
        self, tenant: str, query: HistoryQuery, visit: Callable[[Sequence[HistoryEntry]], bool]
    ) -> None:
        """Show all entries of a query (`last_n` is not for this) to `visit`, some at a time, attribute by attribute.

        It ends early when `visit` returns True: it has seen enough. `visit` may be called in another thread.
        """
        ...

    # whole spaces

    async def erase(self, tenant: str, limit: int) -> int:
        """Remove up to `limit` of the entities, history entries, evolutions and documents of a tenant; how many they were.

        Less than `limit`: nothing is left. No change is recorded, and what the log has of the tenant stays until it is trimmed.
        """
        ...

    # documents: subscriptions, @contexts, registrations, EntityMaps, tenants, delivery states, receipts

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
        """Store a document durably. With `create`, False if there is one with this id already (and nothing is written).

        `documents` are written with it, in one commit. Raises DocumentExists, and OutcomeUnknown as `commit` does.
        """
        ...

    async def get_document(self, kind: str, tenant: str, document_id: str) -> JsonObject | None:
        """A document's body."""
        ...

    async def change_document(
        self, kind: str, tenant: str, document_id: str, change: Callable[[JsonObject], JsonObject | None]
    ) -> JsonObject | None:
        """Replace a document's body by what `change` makes of it, atomically and durably; None leaves it as it is.

        The new body; None where nothing was written, or where there is no such document. `change` is pure and raises
        nothing; it may be called more than once, and in another thread.
        """
        ...

    async def delete_document(
        self,
        kind: str,
        tenant: str,
        document_id: str,
        *,
        found: JsonObject | None = None,
        puts: Sequence[Document] = (),
    ) -> bool:
        """Delete a document, durably; with `found`, only if that is its body still. Whether there was one to delete.

        If so, `puts` are written in the same commit, and replace what is there. Raises OutcomeUnknown.
        """
        ...

    async def list_documents(self, kind: str, tenant: str | None = None) -> list[tuple[str, str, JsonObject]]:
        """(tenant, id, body) of every document of a kind, of one tenant or (None) of all, in order of creation."""
        ...

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
        """Store a document durably if its body is still `found`; whether it was. `documents` are as in `put_document`."""
        ...

    def follow_documents(self, kinds: Collection[str]) -> AsyncGenerator[DocumentEvent | None]:
        """What any process writes to documents of these kinds, from now on and without end. Raises nothing.

        None says that anything may have changed: it comes first, as soon as nothing can be missed any more, and whenever it
        is not known what was missed. Events of one document may be fewer than its changes, never fewer than one.
        """
        ...

    # processes that share a store

    async def take_leases(self, names: Collection[str], holder: str, seconds: float) -> dict[str, Lease]:
        """Take those of these leases that are free, have run out, or are the holder's already, for so many seconds from now.

        Those that the holder has now. An error may mean that some were taken all the same.
        """
        ...

    async def release_leases(self, leases: Collection[Lease]) -> None:
        """Give leases up at once, as far as they are still held so."""
        ...

    async def enlist(self, member: str, seconds: float) -> frozenset[str]:
        """Put on record that a process lives for so many seconds more (0: it ends now); all that live."""
        ...

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
        """Write and delete documents and cursors in one durable commit, unless another holder has had the lease, or one of the
        leases `beside` it; whether it was done. Here `puts` replace what is there. Raises OutcomeUnknown."""
        ...
