"""Indexes of values that queries keep asking for, on MongoDB (design §5).

They are MongoDB's own, partial ones: over the values at a path of the entities of one type, in order of id within a value. So it
is MongoDB that builds them beside everything else, takes them up again after a crash, and lets no query use half of one. All
processes on the database, and all tenants, share them. A document in `meta` says which there are and how much they are used;
one process builds at a time, under a lease.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from broker import metrics
from broker.errors import NgsiLdError
from broker.model.terms import is_attribute_name
from broker.query.ast import EntityQuery
from broker.store.demand import EVERY_TYPE, Demand, Effort, IndexKey, path_of, path_text
from broker.store.mongo import leases
from broker.store.mongo.conditions import field_of
from broker.store.mongo.connection import Collection, Connection
from broker.store.mongo.leading import EVERY_TENANT
from broker.store.mongo.parts import Filter
from broker.store.protocol import Lease, ValueIndex
from broker.store.scans import Scans

MOST_INDEXES: Final = 16
"""MongoDB keeps 64 indexes on a collection, and each of these is three."""
FRESH_SECONDS: Final = 10.0
"""How long it may take until a process knows of what another one has built."""
EXCHANGE_SECONDS: Final = 600.0
"""Where there are as many as may be, a process gives up at most one for another in this time."""
LEASE: Final = "value indexes"
LEASE_SECONDS: Final = 30.0
_PREFIX: Final = "index:"
_PARTS: Final = ("values", "elements", "instants")
_MISSING_INDEX: Final = 27

_LOG: Final = logging.getLogger(__name__)


class Indexes:
    """The indexes of values of one database, as this process knows them; there are `most` at most, and none with 0."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._most = min(most, MOST_INDEXES)
        self._holder = f"indexes/{uuid.uuid4().hex}"
        self._demand = Demand()
        self._scans = Scans()
        self._uses: Counter[IndexKey] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        self._looked = 0.0
        self._exchanged = -EXCHANGE_SECONDS
        self.known: frozenset[IndexKey] = frozenset()
        self._listed: frozenset[IndexKey] = frozenset()

    async def open(self) -> None:
        """Learn which there are, and give up what is more than may be and what a kill has left behind."""
        await self._refresh()
        if len(self._listed) > self._most:
            await self._alone(lambda: self._give_up(self._most))
        if await self._left_behind():
            with suppress(NgsiLdError):  # the next start tries it again
                await self._alone(self._clear_up)

    async def close(self) -> None:
        """Break off what is under way. What MongoDB builds it goes on building."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def note(self, tenant: str, query: EntityQuery, effort: Effort) -> None:
        """Count what a query took, and have an index made of what costly ones compared if that has cost enough by now."""
        self._scans.note(tenant, query, effort)
        for key in effort.used:
            self._uses[key] += 1
        if self._most and (wanted := self._demand.note(EVERY_TENANT, effort)) is not None:
            self._beside(self._learn(wanted))
        if time.monotonic() > self._looked + FRESH_SECONDS:
            self._looked = time.monotonic()
            self._beside(self._refresh())

    async def _learn(self, key: IndexKey) -> None:
        """Make an index, unless no entity has what it is about: names that queries make up are not worth one."""
        attribute = key.path.names[0]
        if is_attribute_name(attribute):
            of_type: Filter = {} if key.type == EVERY_TYPE else {"types": key.type}
            async with self._connection.translated("looking for an attribute"):
                found = await self._connection.collection("entities").find_one(
                    {"names": attribute, **of_type}, {"_id": 1}
                )
            if found is None:
                return
        await self.make(key)

    async def make(self, key: IndexKey) -> None:
        """Make an index; returns when it is in use. Does nothing where another process makes one, or there may be no more."""
        if not self._most or field_of(key.path) is None:
            return
        async with self._making:
            await self._alone(lambda: self._make(key))

    async def listing(self) -> list[ValueIndex]:
        """The indexes that there are, with the uses that this process has not put on record yet."""
        async with self._connection.translated("listing indexes"):
            found = await self._connection.collection("meta").find(_ours()).sort("_id", ASCENDING).to_list()
            stages: list[Filter] = [
                {"$collStats": {"storageStats": {}}},
                {"$project": {"sizes": "$storageStats.indexSizes"}},
            ]
            statistics = await (await self._entities.aggregate(stages)).to_list()
        sizes: Counter[str] = Counter()
        for shard in statistics:
            sizes.update(shard["sizes"])
        listed = []
        for each in found:
            key = _key(each)
            uses = each.get("uses", 0) + self._uses[key]
            size = sum(sizes[f"{each['_id']}:{part}"] for part in _PARTS)
            listed.append(ValueIndex(EVERY_TENANT, key.type, key.path, each["ready"], uses, bytes=size))
        return listed

    async def _make(self, key: IndexKey) -> None:
        await self._refresh()
        if key in self.known:
            return
        if len(self._listed - {key}) >= self._most:  # those count whose building was broken off, too
            if time.monotonic() < self._exchanged + EXCHANGE_SECONDS:
                return
            self._exchanged = time.monotonic()
            await self._give_up(self._most - 1)
        name = _name(key)
        columns = {"type": key.type, "path": path_text(key.path)}
        async with self._connection.translated("building an index"):
            meta = self._connection.collection("meta")
            await meta.update_one({"_id": name}, {"$setOnInsert": {**columns, "ready": False, "uses": 0}}, upsert=True)
            with pymongo.timeout(0):  # none: on a large collection, a new index takes as long as it takes
                await self._entities.create_indexes(_models(key))
            await meta.update_one({"_id": name}, {"$set": {"ready": True}})
        await self._refresh()
        _LOG.info("values are indexed", extra={"type": key.type, "path": key.path.names})

    async def _give_up(self, most: int) -> None:
        """Drop the least used until there are `most`; what was used long ago counts less each time."""
        await self._put_uses()
        async with self._connection.translated("giving up indexes"):
            meta = self._connection.collection("meta")
            await meta.update_many(_ours(), [{"$set": {"uses": {"$toLong": {"$floor": {"$divide": ["$uses", 2]}}}}}])
            order = [("uses", DESCENDING), ("_id", ASCENDING)]
            going = await meta.find(_ours()).sort(order).skip(most).to_list()
            for each in going:
                await meta.delete_one({"_id": each["_id"]})  # first, so that no process is led by it any more
                for part in _PARTS:
                    await self._drop(f"{each['_id']}:{part}")
        await self._refresh()

    async def _left_behind(self) -> list[str]:
        """Indexes of MongoDB's that `meta` knows nothing of: who gave them up has died before they were dropped."""
        async with self._connection.translated("listing indexes"):
            names = [name for name in await self._entities.index_information() if name.startswith(_PREFIX)]
            listed = {
                each["_id"] for each in await self._connection.collection("meta").find(_ours(), {"_id": 1}).to_list()
            }
        return [name for name in names if name.rpartition(":")[0] not in listed]

    async def _clear_up(self) -> None:
        for name in await self._left_behind():
            async with self._connection.translated("giving up indexes"):
                await self._drop(name)

    async def _drop(self, name: str) -> None:
        try:
            await self._entities.drop_index(name)
        except OperationFailure as error:
            if error.code != _MISSING_INDEX:
                raise

    @property
    def _entities(self) -> Collection:
        return self._connection.collection("entities")

    async def _refresh(self) -> None:
        self._looked = time.monotonic()
        await self._put_uses()
        async with self._connection.translated("listing indexes"):
            found = await self._connection.collection("meta").find(_ours()).to_list()
        self.known = frozenset(_key(each) for each in found if each["ready"])
        self._listed = frozenset(map(_key, found))
        metrics.value_indexes.labels("ready").set(len(self.known))
        metrics.value_indexes.labels("building").set(len(found) - len(self.known))

    async def _put_uses(self) -> None:
        uses, self._uses = self._uses, Counter()
        if uses:
            async with self._connection.translated("keeping the use of indexes"):
                meta = self._connection.collection("meta")
                for key, count in uses.items():
                    await meta.update_one({"_id": _name(key)}, {"$inc": {"uses": count}})

    async def _alone(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that one process does at a time, if this one may now."""
        if (lease := await self._take()) is None:
            return
        renewing = asyncio.create_task(self._renew())
        try:
            await work()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            with suppress(NgsiLdError):  # it runs out by itself
                await leases.release(self._connection, [lease])

    async def _take(self) -> Lease | None:
        return (await leases.take(self._connection, [LEASE], self._holder, LEASE_SECONDS)).get(LEASE)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with suppress(NgsiLdError):
                await self._take()

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except NgsiLdError as error:  # a later query asks again
                _LOG.warning("an index could not be looked after", extra={"detail": error.detail})

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ours() -> Filter:
    return {"_id": {"$gte": _PREFIX, "$lt": _PREFIX[:-1] + ";"}}


def _name(key: IndexKey) -> str:
    digest = hashlib.sha256(f"{key.type}\0{path_text(key.path)}".encode()).hexdigest()
    return _PREFIX + digest[:24]


def _key(document: Filter) -> IndexKey:
    return IndexKey(EVERY_TENANT, document["type"], path_of(document["path"]))


def _models(key: IndexKey) -> list[IndexModel]:
    """What MongoDB keeps of a path. An entity that has nothing there costs nothing."""
    held = field_of(key.path)
    assert held is not None
    models = []
    for part in _PARTS if held.has_values else ("instants",):
        name = f"{part}.{held.name}"
        within: Filter = {name: {"$exists": True}}
        if key.type != EVERY_TYPE:
            within["types"] = key.type
        models.append(
            IndexModel(
                [(name, ASCENDING), ("_id", ASCENDING)], name=f"{_name(key)}:{part}", partialFilterExpression=within
            )
        )
    return models
