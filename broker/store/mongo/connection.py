"""The connection to MongoDB: its settings, its collections and indexes, its transactions, and what its errors mean."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

import pymongo
from bson.errors import BSONError
from pymongo import ASCENDING, AsyncMongoClient, IndexModel, MongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from broker.errors import InternalError, NgsiLdError, StoreUnavailable
from broker.store.cancellation import check_cancelled
from broker.store.mongo import driver
from broker.store.mongo.orphans import end_orphans
from broker.store.mongo.reach import Call, Reach
from broker.store.mongo.turn import Turn
from broker.store.protocol import OutcomeUnknown

driver.mend()

Document: TypeAlias = dict[str, Any]
Collection: TypeAlias = AsyncCollection[Document]
Session: TypeAlias = AsyncClientSession
T = TypeVar("T")

SCHEMA_VERSION: Final = 1
SELECTION_SECONDS: Final = 4
OPERATION_SECONDS: Final = 10
"""How long one operation may take, its retries included, before the store counts as not available."""
MOST_CONNECTIONS: Final = 50
TRANSACTION_SECONDS: Final = 15.0
"""How long a commit is tried again while other processes' commits are in its way, or its result is not known."""
LONGEST_PAUSE: Final = 0.1
ABORT_SECONDS: Final = 0.5
"""How long a transaction that failed may take to tell the server so; whoever waits for it is told first where it cannot."""
PATIENCE_SECONDS: Final = 0.3
"""How long others may be in a transaction's way before it looks whether they are alive, and how often it looks again."""

DURABLE: Final = WriteConcern(w="majority", j=True)
MAJORITY: Final = ReadConcern("majority")
REPLICA_SET_REMEDY: Final = "start mongod with --replSet rs0 and run rs.initiate() once in mongosh: one node is enough"

# Codes of MongoDB's errors, by what they mean here.
_DUPLICATE_KEY: Final = 11000
_OUT_OF_DISK: Final = frozenset({14031})
_NOT_ALLOWED: Final = frozenset({13, 18})
_PASSING: Final = frozenset({24, 50, 112, 175, 202, 262, 290, 11600, 11601, 11602, 13388})
_INTERRUPTED: Final = 11601
_WRITE_CONFLICT: Final = 112

INDEXES: Final[dict[str, list[IndexModel]]] = {
    # The tenant leads `_id`, so a range of `_id` is a tenant, and each of these ends in it: bounds on both are tight,
    # and results come in order of id.
    "entities": [
        IndexModel([("types", ASCENDING), ("_id", ASCENDING)], name="types"),
        IndexModel([("scopes", ASCENDING), ("_id", ASCENDING)], name="scopes", sparse=False,
                   partialFilterExpression={"scopes": {"$exists": True}}),
        IndexModel([("cells", ASCENDING)], name="cells", sparse=True),
        IndexModel([("expires", ASCENDING)], name="expires", sparse=True),
        IndexModel([("lapses", ASCENDING)], name="lapses", sparse=True),
        IndexModel([("doubtful", ASCENDING), ("_id", ASCENDING)], name="doubts",
                   partialFilterExpression={"doubtful": {"$exists": True}}),
    ],
    "changes": [],
    "history": [],
    "evolutions": [IndexModel([("types", ASCENDING), ("_id", ASCENDING)], name="types")],
    "documents": [
        IndexModel([("kind", ASCENDING), ("number", ASCENDING)], name="kind"),
        IndexModel([("kind", ASCENDING), ("tenant", ASCENDING), ("number", ASCENDING)], name="tenant"),
    ],
    "cursors": [],
    "leases": [],
    "fences": [],
    "members": [],
    "meta": [],
}  # fmt: skip

FORMER_INDEXES: Final[dict[str, list[str]]] = {"entities": ["doubtful"]}
"""What earlier versions made and nothing uses any more."""


def meaning(error: Exception, doing: str) -> NgsiLdError:
    """What an exception of the driver is to the callers of a store."""
    if isinstance(error, OperationFailure):
        if error.code in _OUT_OF_DISK:
            return StoreUnavailable(f"MongoDB's disk is full: nothing was written while {doing}")
        if error.code in _NOT_ALLOWED:
            return StoreUnavailable(
                f"MongoDB does not let the broker in or lacks a right while {doing}: {_text(error)}"
            )
        if error.code in _PASSING or isinstance(error, ExecutionTimeout) or _labelled(error, "RetryableWriteError"):
            return StoreUnavailable(f"MongoDB could not finish {doing}: {_text(error)}")
        return InternalError(f"MongoDB refused {doing}: {_text(error)}")
    if isinstance(error, ConnectionFailure | WaitQueueTimeoutError):
        return StoreUnavailable(f"MongoDB cannot be reached for {doing}: {_text(error)}")
    if isinstance(error, ConfigurationError):  # a server that is just starting does not say yet that it has sessions
        return StoreUnavailable(f"MongoDB is not ready for {doing}: {_text(error)}")
    if isinstance(error, PyMongoError) and error.timeout:
        return StoreUnavailable(f"MongoDB did not answer in time for {doing}: {_text(error)}")
    return InternalError(f"{doing} failed: {type(error).__name__}: {_text(error)}")


def _text(error: Exception) -> str:
    """An error's message without the topology that the driver appends to it."""
    return str(error).split(", full error:")[0].split(", Topology Description:")[0][:500]


def _labelled(error: Exception, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


def _may_pass(error: BaseException) -> bool:
    """Whether a transaction that failed like this may succeed when it is tried again at once."""
    if isinstance(error, ServerSelectionTimeoutError):  # the driver has waited for a server long enough
        return False
    # A statement that somebody has interrupted has undone its transaction, but has no label that says so.
    interrupted = isinstance(error, OperationFailure) and error.code == _INTERRUPTED
    return interrupted or (isinstance(error, PyMongoError) and _labelled(error, "TransientTransactionError"))


def is_duplicate(error: Exception) -> bool:
    """Whether a write failed because its key is there already."""
    if not isinstance(error, OperationFailure):
        return False
    if error.code == _DUPLICATE_KEY:
        return True
    failures = (error.details or {}).get("writeErrors", ())
    return any(failure.get("code") == _DUPLICATE_KEY for failure in failures)


def _settings(uri: str, database: str) -> dict[str, Any]:
    """The driver's settings, except those that the URI has of its own."""
    settings = {
        "appName": f"tsunagu/{database}",
        "serverSelectionTimeoutMS": SELECTION_SECONDS * 1000,
        "connectTimeoutMS": SELECTION_SECONDS * 1000,
        "timeoutMS": OPERATION_SECONDS * 1000,
        "maxPoolSize": MOST_CONNECTIONS,
    }
    return {name: value for name, value in settings.items() if f"{name.lower()}=" not in uri.lower()}


class Connection:
    """One client of one database. Collections exist between `open` and `close`; before and after, StoreUnavailable.

    `in_doubt`: the result of the last commit of entities is not known. What it wrote may be there and not be settled yet;
    who looks for it in the log must not see it elsewhere before.
    """

    def __init__(self, uri: str, database: str) -> None:
        self.uri = uri
        self.name = database
        self._client: AsyncMongoClient[Document] | None = None
        self.in_doubt = False
        self._looked = 0.0
        self._reach = Reach()

    @property
    def client(self) -> AsyncMongoClient[Document]:
        """The driver's client. Raises StoreUnavailable when the store is not open."""
        if self._client is None:
            raise StoreUnavailable("the store is not open")
        return self._client

    @property
    def database(self) -> AsyncDatabase[Document]:
        """The database, written durably and read from the primary."""
        # Said here and not left to the URI: no option of it may weaken what a 2xx promises.
        return self.client.get_database(self.name, read_preference=ReadPreference.PRIMARY, write_concern=DURABLE)

    def collection(self, name: str, *, settled: bool = False) -> Collection:
        """A collection. `settled` reads only what a majority has, which no fail-over can take back."""
        return self.database.get_collection(name, read_concern=MAJORITY if settled else None)

    async def open(self) -> None:
        """Connect, check the server and the schema, create what is missing. Raises StoreUnavailable."""
        if self._client is not None:
            return
        try:
            self._client = AsyncMongoClient(self.uri, **_settings(self.uri, self.name))
        except (InvalidURI, ConfigurationError, ValueError) as error:
            raise StoreUnavailable(f"the MongoDB URI is not valid: {error}") from error
        try:
            await self._prepare()
            async with self.translated("opening the store"):
                settings = _settings(self.uri, self.name) | {"maxPoolSize": 1}
                await self._reach.start(MongoClient(self.uri, **settings))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._reach.stop()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _prepare(self) -> None:
        async with self.translated("opening the store"):
            hello = await self.client.admin.command("hello")
            if "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise StoreUnavailable(
                    f"this MongoDB is no replica set, so it has no transactions: {REPLICA_SET_REMEDY}"
                )
            await self._end_orphans()  # before anything that would have to wait for a predecessor's locks
            meta = self.collection("meta")
            schema = await meta.find_one({"_id": "schema"})
            if schema is not None and schema["version"] > SCHEMA_VERSION:
                raise StoreUnavailable(
                    f"database {self.name} has schema version {schema['version']}, made by a newer Tsunagu; "
                    f"this one knows version {SCHEMA_VERSION}: upgrade the broker"
                )
            existing = set(await self.database.list_collection_names())
            for name, indexes in INDEXES.items():
                if name not in existing:
                    await self._create_collection(name)
                if indexes:
                    with pymongo.timeout(0):  # none: on a large collection, a new index takes as long as it takes
                        await self.collection(name).create_indexes(indexes)
                for former in FORMER_INDEXES.get(name, ()):
                    await self._drop_index(name, former)
            for start in (
                {"_id": "schema", "version": SCHEMA_VERSION},
                {"_id": "log", "head": 0, "name": uuid.uuid4().hex},
                {"_id": "trimmed", "tail": 0},
                {"_id": "documents", "last": 0},
            ):
                await meta.update_one({"_id": start["_id"]}, {"$setOnInsert": start}, upsert=True)

    async def _create_collection(self, name: str) -> None:
        try:
            await self.database.create_collection(name, check_exists=False)
        except OperationFailure as error:
            if error.code != 48:  # NamespaceExists: another process opens at the same time
                raise

    async def _drop_index(self, name: str, index: str) -> None:
        try:
            await self.collection(name).drop_index(index)
        except OperationFailure as error:
            if error.code != 27:  # IndexNotFound: it was dropped before
                raise

    async def _end_orphans(self) -> None:
        application = self.client.options.pool_options.appname
        if application is not None:
            await end_orphans(self.client, application)
        self._looked = time.monotonic()

    async def advance(
        self, document_id: str, field: str, by: int, session: Session | None = None, beside: Document | None = None
    ) -> int:
        """Add to a counter in `meta`, and do what is `beside` to its document; its new value.

        Raises StoreUnavailable where somebody has removed it.
        """
        return int((await self.move(document_id, field, by, session, beside))[field])

    async def move(
        self, document_id: str, field: str, by: int, session: Session | None = None, beside: Document | None = None
    ) -> Document:
        """The same; the whole document."""
        update = {"$inc": {field: by}, **(beside or {})}
        moved = await self.collection("meta").find_one_and_update(
            {"_id": document_id}, update, return_document=ReturnDocument.AFTER, session=session
        )
        if moved is None:
            raise StoreUnavailable(
                f"database {self.name} has been emptied while the store was open: restart the broker"
            )
        return moved

    @asynccontextmanager
    async def translated(self, doing: str) -> AsyncIterator[Call]:
        """Let no exception of the driver out: StoreUnavailable or InternalError instead. Nor let it swallow a cancellation.

        Ends soon, by StoreUnavailable, where the server is away.
        """
        async with self._reach.call(doing) as call:
            try:
                yield call
            except (PyMongoError, BSONError) as error:
                raise meaning(error, doing) from error
            check_cancelled()

    async def transact(
        self,
        work: Callable[[Session], Awaitable[T]],
        doing: str,
        turn: Turn | None = None,
    ) -> T:
        """Do `work` in one transaction, again from the start while other writers are in its way; durable when it returns.

        With a `turn` it is tried when that says so, else after growing pauses.
        Raises what `work` raises, StoreUnavailable where nothing was written, OutcomeUnknown where nobody can tell.
        """
        start = time.monotonic()
        deadline = start + TRANSACTION_SECONDS
        pause, refusals = 0.001, 0
        async with self.translated(doing) as call, self.client.start_session() as session:
            if turn is not None:
                await turn.begin()
                check_cancelled()
            while True:
                try:
                    await session.start_transaction(
                        read_concern=ReadConcern("snapshot"),
                        write_concern=DURABLE,
                        read_preference=ReadPreference.PRIMARY,
                    )
                    result = await work(session)
                    call.committing = True
                    await self._commit(session, deadline, doing)
                except BaseException as error:
                    if session.in_transaction:
                        with pymongo.timeout(ABORT_SECONDS):
                            await session.abort_transaction()
                    if time.monotonic() > deadline or not _may_pass(error):
                        raise
                    answered = isinstance(error, OperationFailure)
                    collided = isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT
                else:
                    return result
                call.committing = False
                if answered and time.monotonic() > max(start, self._looked) + PATIENCE_SECONDS:
                    await self._end_orphans()
                if collided and turn is not None:
                    refusals += 1
                    await turn.collided(refusals)
                    check_cancelled()
                else:
                    await asyncio.sleep(random.uniform(0, pause))
                    pause = min(2 * pause, LONGEST_PAUSE)

    async def _commit(self, session: Session, deadline: float, doing: str) -> None:
        # Asking again for the result of a commit is safe: the server knows a transaction by its session and number, so
        # it is never applied twice, and "no such transaction" (transient) means that it was never applied. No other error
        # means that: a commit that is interrupted, or waits in vain for a majority, may have been applied before.
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                if _labelled(error, "TransientTransactionError"):
                    raise
                if self._reach.away or time.monotonic() > deadline:
                    raise OutcomeUnknown(
                        f"MongoDB did not say in time whether it finished {doing}: {_text(error)}"
                    ) from error
                await asyncio.sleep(0.05)
            else:
                return
