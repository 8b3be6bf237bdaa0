"""Reading entities: by key, by query, counted, and as a census of types."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
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
from broker.store.demand import EVERY_TYPE, Effort
from broker.store.mongo.connection import Collection, Connection, Document
from broker.store.mongo.encoding import decode_body, encode_body, key_string, parse_key
from broker.store.mongo.filters import EntityFilter, tenant_range
from broker.store.mongo.indexes import Indexes
from broker.store.mongo.leading import led
from broker.store.mongo.parts import Filter
from broker.store.mongo.search import attribute_kinds, microseconds
from broker.store.protocol import AttributeCensus, EntityKey, Page, Sheet, TypeCensus, Window

STRIDE: Final = 250
"""Documents fetched at once while a query looks at one after the other: few milliseconds between two other tasks."""
MOST_SORTED: Final = 1_000
"""Where a range of values has more entities than this, they are not sorted: the page is filled in order of id."""
SIZE_SECONDS: Final = 60.0
MOST_SIZES: Final = 1_000
MOST_COUNTED: Final = 10_000
"""How many entities a type has is counted up to here, and remembered for a while."""
LOOKED_AT_A_SECOND: Final = 300_000
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

    def __init__(self, connection: Connection, seconds: float, indexes: Indexes) -> None:
        self._connection = connection
        self._seconds = seconds
        self._indexes = indexes
        self._sizes: dict[tuple[str, tuple[str, ...]], tuple[float, int]] = {}

    @property
    def _entities(self) -> Collection:
        return self._connection.collection("entities")

    async def page(self, tenant: str, query: EntityQuery, page: Page) -> Window:
        """One page of the entities that match. Raises TooComplexQuery where it takes too long."""
        if query.ordering is None:
            sheet = await self.sheet(tenant, query, page)
            return Window([sheet.decode(body) for body in sheet.bodies], sheet.more, sheet.in_vain)
        needed = page.offset + page.limit + 1
        effort = Effort()
        async with self._bounded(), self._noted(tenant, query, effort):
            ordered = await self._ordered(await self._led(tenant, query, effort), query, needed, effort)
        shown = ordered[page.offset : page.offset + page.limit]
        return Window(shown, len(ordered) >= needed, effort.looked_at - len(shown))

    async def sheet(self, tenant: str, query: EntityQuery, page: Page) -> Sheet:
        """The same, in the default order, without reading bodies for it."""
        if query.ordering is not None:
            raise ValueError("who orders entities reads them")
        start = time.monotonic()
        effort = Effort()
        async with self._bounded(), self._noted(tenant, query, effort):
            compiled = await self._led(tenant, query, effort, page.after)
            found = await self._page(compiled, query, page, effort)
            shown, more = found[: page.limit], len(found) > page.limit
            await self._estimate(tenant, query, effort, more, time.monotonic() - start)
        ids = [parse_key(each["_id"])[1] for each in shown]
        return Sheet(decode_body, ids, [_current_body(each, query.now) for each in shown], more, effort.wasted)

    async def _page(self, compiled: EntityFilter, query: EntityQuery, page: Page, effort: Effort) -> list[Document]:
        """The page and one more."""
        if compiled.exact and not (page.offset and await self._any_unsure(compiled)):
            found = await self._exact(compiled, query, page)
            effort.looked_at = effort.found = len(found)
            return found
        found = []
        needed = page.offset + page.limit + 1
        async for document, _ in self._matching(compiled, query, needed, effort):
            found.append(document)
            if len(found) == needed:
                break
        return found[page.offset :]

    async def count(self, tenant: str, query: EntityQuery) -> int:
        """How many entities match. Raises TooComplexQuery where it takes too long."""
        start = time.monotonic()
        effort = Effort()
        query = replace(query, ordering=None)
        async with self._bounded(), self._noted(tenant, query, effort):
            compiled = await self._led(tenant, query, effort)
            total = await self._count_of(compiled, query, effort)
            effort.found = total
            effort.looked_at = max(effort.looked_at, total)
            await self._estimate(tenant, query, effort, False, time.monotonic() - start)
        return total

    async def _count_of(self, compiled: EntityFilter, query: EntityQuery, effort: Effort) -> int:
        if not compiled.exact:
            total = 0
            async for _ in self._matching(compiled, query, STRIDE, effort):
                total += 1
            return total
        # What has expired is subtracted: few have, they have an index, and the rest is then counted in an index.
        if compiled.unsure is None or not await self._any_unsure(compiled):
            total = await self._count(compiled.whole)
            return total - (await self._count(compiled.expired) if compiled.alive else 0)
        settled = await self._count(compiled.sure)
        matches = compile_evaluation(query)
        unsure = self._find(compiled.unsure, {"body": 1}, STRIDE)
        return settled + sum([1 async for document in unsure if matches(decode_body(document["body"]))])

    async def _led(self, tenant: str, query: EntityQuery, effort: Effort, after: str | None = None) -> EntityFilter:
        """The filter for a query, led by an index of values where that is better than to look at one after the other."""
        found = led(tenant, query, self._indexes.known, after)
        effort.missing = found.missing
        if found.otherwise is not None:
            within: Filter = {"$or": found.doubt} if len(found.doubt) > 1 else found.doubt[0]
            many = await self._entities.count_documents(within, limit=MOST_SORTED, maxTimeMS=self._milliseconds)
            if many >= MOST_SORTED:
                return found.otherwise
        effort.used = list(found.used)
        return found.filter

    async def _estimate(self, tenant: str, query: EntityQuery, effort: Effort, more: bool, seconds: float) -> None:
        """How many entities MongoDB looked at in vain, which it does not tell: nearly all of the type where it came to its end,
        else what it looks at in that time."""
        if not effort.missing or effort.used:
            return
        types = tuple(dict.fromkeys(entity_type for entity_type, _ in effort.missing))
        at, size = self._sizes.get((tenant, types), (0.0, 0))
        now = time.monotonic()
        if now > at + SIZE_SECONDS:
            of_type = {} if EVERY_TYPE in types else {"types": {"$in": list(types)}}
            size = await self._entities.count_documents(
                {**tenant_range(tenant), **of_type}, limit=MOST_COUNTED, maxTimeMS=self._milliseconds
            )
            if len(self._sizes) >= MOST_SIZES:
                self._sizes.clear()
            self._sizes[tenant, types] = now, size
        if more or query.geo is not None or query.scope is not None:
            size = min(size, int(max(0.0, seconds - 0.01) * LOOKED_AT_A_SECOND))
        effort.looked_at = max(effort.looked_at, effort.found + max(0, size - effort.found))

    async def _count(self, found: Filter) -> int:
        return await self._entities.count_documents(found, maxTimeMS=self._milliseconds)

    async def _exact(self, compiled: EntityFilter, query: EntityQuery, page: Page) -> list[Document]:
        """The page and one more, skipped by MongoDB; only unsure entities are looked at."""
        matches: Callable[[Entity], bool] | None = None
        wanted = page.limit + 1
        found: list[Document] = []
        fields = {"body": 1, "lapses": 1, "doubtful": 1}
        living, skip, last = compiled.living, page.offset, ""
        while True:  # once, but where there are entities that are unsure and do not match
            taken = 0
            missing = wanted - len(found)
            cursor = self._find(living, fields, min(missing, 1000), skip, compiled.hint)
            async with cursor.limit(missing) as documents:
                async for document in documents:
                    taken += 1
                    last = document["_id"]
                    if compiled.is_unsure(document):
                        matches = matches or compile_evaluation(query)
                        if not matches(decode_body(document["body"])):
                            continue
                    found.append(document)
            if taken < missing or len(found) == wanted:
                return found
            living, skip = (
                compiled.living_behind(last),
                0,
            )  # by id: what is deleted meanwhile moves all that is behind it

    async def _any_unsure(self, compiled: EntityFilter) -> bool:
        unsure = compiled.unsure
        return unsure is not None and await self._entities.find_one(unsure, {"_id": 1}) is not None

    async def _matching(
        self, compiled: EntityFilter, query: EntityQuery, first: int, effort: Effort
    ) -> AsyncIterator[tuple[Document, Entity]]:
        """All that match, in order of id, found by MongoDB and picked by the evaluator."""
        matches, now = compile_evaluation(query), query.now
        deadline = time.monotonic() + self._seconds
        async with self._find(compiled.living, {"body": 1, "lapses": 1}, min(first, STRIDE)) as documents:
            async for document in documents:
                entity: Entity = decode_body(document["body"])
                effort.looked_at += 1
                if matches(entity):
                    effort.found += 1
                    yield document, without_expired(entity, now) or entity if now is not None else entity
                if time.monotonic() > deadline:
                    raise self._too_complex()

    def _find(
        self, found: Filter, fields: dict[str, int], batch: int, skip: int = 0, hint: str | None = None
    ) -> AsyncCursor[Document]:
        """Documents in order of id; `batch` at once, so that decoding them does not hold up other tasks for long."""
        cursor = self._entities.find(found, fields, sort=[("_id", ASCENDING)], skip=skip, hint=hint)
        return cursor.batch_size(max(2, batch)).max_time_ms(self._milliseconds)

    async def _ordered(self, compiled: EntityFilter, query: EntityQuery, needed: int, effort: Effort) -> list[Entity]:
        """The first `needed` in the order asked for; no more than some multiple of them is held at once."""
        assert query.ordering is not None
        kept: list[Entity] = []
        async for _, entity in self._matching(compiled, query, STRIDE, effort):
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

    @asynccontextmanager
    async def _noted(self, tenant: str, query: EntityQuery, effort: Effort) -> AsyncIterator[None]:
        """Count what a query takes. One that does not end in time needs an index more than any other."""
        try:
            yield
        except ExecutionTimeout:
            if effort.missing and not effort.used:
                effort.looked_at = max(effort.looked_at, effort.found + int(self._seconds * LOOKED_AT_A_SECOND))
            raise
        finally:
            self._indexes.note(tenant, query, effort)

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


def _current_body(document: Document, now: str | None) -> bytes:
    """A body without the instances that have expired (4.22)."""
    body: bytes = document["body"]
    lapses = document.get("lapses")
    if now is None or lapses is None or lapses > microseconds(now):
        return body
    left = without_expired(decode_body(body), now)
    return body if left is None else encode_body(left)


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
