"""Reading entities: by key, by query, counted, and as a census of types."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pymongo
from pymongo import ASCENDING
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.errors import ExecutionTimeout

from broker.errors import StoreUnavailable, TooComplexQuery
from broker.model.entity import Entity
from broker.model.expiry import without_expired
from broker.query.ast import EntityQuery
from broker.query.evaluate import compile_query as compile_evaluation
from broker.query.ordering import sort_entities
from broker.store.mongo.connection import Collection, Connection, Document
from broker.store.mongo.encoding import decode_body, key_string, parse_key
from broker.store.mongo.filters import EntityFilter, compile_query, tenant_range
from broker.store.mongo.parts import Filter
from broker.store.mongo.search import attribute_kinds, microseconds
from broker.store.protocol import AttributeCensus, EntityKey, Page, TypeCensus, Window

STRIDE: Final = 250
"""Documents fetched at once while a query looks at one after the other: few milliseconds between two other tasks."""
GRACE_SECONDS: Final = 5.0
"""How long after a query's own time is up the server may still take to say so."""


async def read(connection: Connection, keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
    """The stored states of those of `keys` that exist, in one command."""
    async with connection.translated("reading entities"):
        cursor = connection.collection("entities", settled=connection.in_doubt).find(
            {"_id": {"$in": [key_string(key) for key in set(keys)]}}, {"body": 1}
        )
        return {parse_key(document["_id"]): decode_body(document["body"]) for document in await cursor.to_list()}


class Search:
    """Queries on the entities of a connection; none may take longer than `seconds`."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    @property
    def _entities(self) -> Collection:
        return self._connection.collection("entities")

    async def page(self, tenant: str, query: EntityQuery, page: Page) -> Window:
        """One page of the entities that match. Raises TooComplexQuery where it takes too long."""
        compiled = compile_query(tenant, query, page.after)
        needed = page.offset + page.limit + 1
        async with self._bounded():
            if query.ordering is not None:
                ordered = await self._ordered(compiled, query, needed)
                return _window(ordered[page.offset :], page.limit)
            if compiled.exact and not (page.offset and await self._any_unsure(compiled)):
                return _window(await self._exact(compiled, query, page), page.limit)
            found: list[Entity] = []
            async for entity in self._matching(compiled, query, needed):
                found.append(entity)
                if len(found) == needed:
                    break
            return _window(found[page.offset :], page.limit)

    async def count(self, tenant: str, query: EntityQuery) -> int:
        """How many entities match. Raises TooComplexQuery where it takes too long."""
        compiled = compile_query(tenant, replace(query, ordering=None))
        async with self._bounded():
            if not compiled.exact:
                total = 0
                async for _ in self._matching(compiled, query, STRIDE):
                    total += 1
                return total
            # What has expired is subtracted: few have, they have an index, and the rest is then counted in an index.
            if compiled.unsure is None or not await self._any_unsure(compiled):
                total = await self._count(compiled.found)
                return total - (await self._count(compiled.expired) if compiled.alive else 0)
            settled = await self._count(compiled.sure)
            matches = compile_evaluation(query)
            unsure = self._find(compiled.unsure, {"body": 1}, STRIDE)
            return settled + sum([1 async for document in unsure if matches(decode_body(document["body"]))])

    async def _count(self, found: Filter) -> int:
        return await self._entities.count_documents(found, maxTimeMS=self._milliseconds)

    async def _exact(self, compiled: EntityFilter, query: EntityQuery, page: Page) -> list[Entity]:
        """The page and one more, skipped by MongoDB; only unsure entities are looked at."""
        matches = compile_evaluation(query)
        wanted = page.limit + 1
        found: list[Entity] = []
        fields = {"body": 1, "lapses": 1, "doubtful": 1}
        cursor = self._find(compiled.living, fields, min(wanted, 1000), page.offset)
        async with cursor.limit(wanted) if compiled.unsure is None else cursor as documents:
            async for document in documents:
                entity: Entity = decode_body(document["body"])
                if compiled.is_unsure(document) and not matches(entity):
                    continue
                found.append(entity)
                if len(found) == wanted:
                    break
        return found

    async def _any_unsure(self, compiled: EntityFilter) -> bool:
        unsure = compiled.unsure
        return unsure is not None and await self._entities.find_one(unsure, {"_id": 1}) is not None

    async def _matching(self, compiled: EntityFilter, query: EntityQuery, first: int) -> AsyncIterator[Entity]:
        """All that match, in order of id, found by MongoDB and picked by the evaluator."""
        matches = compile_evaluation(query)
        deadline = time.monotonic() + self._seconds
        async with self._find(compiled.living, {"body": 1}, min(first, STRIDE)) as documents:
            async for document in documents:
                entity: Entity = decode_body(document["body"])
                if matches(entity):
                    yield entity
                if time.monotonic() > deadline:
                    raise self._too_complex()

    def _find(self, found: Filter, fields: dict[str, int], batch: int, skip: int = 0) -> AsyncCursor[Document]:
        """Documents in order of id; `batch` at once, so that decoding them does not hold up other tasks for long."""
        cursor = self._entities.find(found, fields | {"_id": 0}, sort=[("_id", ASCENDING)], skip=skip)
        return cursor.batch_size(max(2, batch)).max_time_ms(self._milliseconds)

    async def _ordered(self, compiled: EntityFilter, query: EntityQuery, needed: int) -> list[Entity]:
        """The first `needed` in the order asked for; no more than some multiple of them is held at once."""
        assert query.ordering is not None
        kept: list[Entity] = []
        async for entity in self._matching(compiled, query, STRIDE):
            kept.append(entity)
            if len(kept) >= 2 * needed + 1000:
                kept = sort_entities(kept, query.ordering)[:needed]
        return sort_entities(kept, query.ordering)[:needed]

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Tell a query that takes too long (TooComplexQuery) from a server that does not answer (StoreUnavailable)."""
        async with self._connection.translated("querying"):
            try:
                with pymongo.timeout(0):  # the server is told by maxTimeMS, not by the driver's own deadline
                    async with asyncio.timeout(self._seconds + GRACE_SECONDS):
                        yield
            except ExecutionTimeout as error:
                raise self._too_complex() from error
            except TimeoutError as error:
                raise StoreUnavailable("MongoDB did not answer in time for querying") from error

    def _too_complex(self) -> TooComplexQuery:
        return TooComplexQuery(
            f"the query took longer than {self._seconds:g} seconds: narrow it down by id, type, scope or area"
        )

    @property
    def _milliseconds(self) -> int:
        return max(1, int(self._seconds * 1000))

    async def expired(self, now: str, limit: int) -> list[EntityKey]:
        """The keys of at most `limit` entities that have expired at `now`, or of which an attribute instance has."""
        moment = microseconds(now)
        either: list[Filter] = [{"expires": {"$lte": moment}}, {"lapses": {"$lte": moment}}]
        async with self._bounded():
            found = self._entities.find({"$or": either}, {"_id": 1}, limit=limit, max_time_ms=self._milliseconds)
            return [parse_key(document["_id"]) async for document in found]

    async def census(self, tenant: str, entity_type: str | None, now: str | None) -> list[TypeCensus]:
        """The types in use, ordered by IRI, with their attributes."""
        wanted: list[Filter] = [tenant_range(tenant)]
        if entity_type is not None:
            wanted.append({"types": entity_type})
        counted = list(wanted)
        if now is not None:
            moment = microseconds(now)
            wanted.append({"expires": {"$not": {"$lte": moment}}})
            counted = [*wanted, {"lapses": {"$not": {"$lte": moment}}}]
        # Entities of one kind have the same lists: the server counts equal ones, and few of them come back.
        alike = {"types": "$types", "names": "$names", "kinds": "$kinds"}
        pipeline: list[Filter] = [{"$match": {"$and": counted}}, {"$group": {"_id": alike, "count": {"$sum": 1}}}]
        async with self._bounded():
            cursor = await self._entities.aggregate(pipeline, allowDiskUse=True, maxTimeMS=self._milliseconds)
            groups = [(group["_id"], group["count"]) async for group in cursor]
            if now is not None:
                lapsed = self._find({"$and": [*wanted, {"lapses": {"$lte": moment}}]}, {"body": 1}, STRIDE)
                async for document in lapsed:
                    state = without_expired(decode_body(document["body"]), now)
                    if state is not None:
                        groups.append((attribute_kinds(state), 1))
        return _census(groups, entity_type)


def _census(groups: list[tuple[dict[str, list[str]], int]], entity_type: str | None) -> list[TypeCensus]:
    totals: Counter[str] = Counter()
    having: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for alike, count in groups:
        for name in alike["types"]:
            totals[name] += count
            for attribute in set(alike["names"]):
                having[name][attribute] += count
            for attribute, kind in zip(alike["names"], alike["kinds"], strict=True):
                kinds[name, attribute][kind] += count
    return [
        TypeCensus(
            name,
            totals[name],
            tuple(
                AttributeCensus(attribute, dict(sorted(kinds[name, attribute].items())), count)
                for attribute, count in sorted(having[name].items())
            ),
        )
        for name in ([entity_type] if entity_type is not None else sorted(totals))
        if name in totals
    ]


def _window(found: list[Entity], limit: int) -> Window:
    return Window(found[:limit], len(found) > limit)
