"""Reads temporal history: where the attribute instances of an entity are, and those that a query wants, in its order.

How they are kept is told in broker.store.mongo.history, which writes them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any, Final, TypeAlias, cast

from bson import decode_all
from pymongo import ASCENDING, DESCENDING

from broker.errors import TooComplexQuery
from broker.store.chronicle import First, wanted
from broker.store.mongo import evolutions
from broker.store.mongo.connection import Connection, Document
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, decode_body, key_string
from broker.store.mongo.evolutions import Series
from broker.store.protocol import HistoryEntry, HistoryQuery, Span

Visit: TypeAlias = Callable[[Sequence[HistoryEntry]], bool]

STRIDE: Final = 500
"""Entries that are decoded at a time: few milliseconds between two other tasks."""
AT_ONCE: Final = 8
"""Attributes that are read at the same time, as long as they are small."""
ENTRIES_AT_ONCE: Final = 20_000
"""Entries that are in memory for that."""

# What an entry is made of. `_id` is left out: a third of each document, and its parts are known.
_SHOWN: Final = {"_id": 0, **dict.fromkeys(("types", "instance", "sequence", "at", "deleted", "body"), 1)}
_TIMES: Final = {"createdAt": "created", "modifiedAt": "modified", "deletedAt": "gone"}


def prefix_of(tenant: str, entity_id: str, series: Series) -> str:
    """What the keys of the entries of one series begin with."""
    return SEPARATOR.join((key_string((tenant, entity_id)), series[0], series[1], ""))


def series_range(prefix: str) -> Document:
    """All keys that begin so."""
    return {"$gt": prefix, "$lt": prefix[:-1] + AFTER_SEPARATOR}


def entry_of(tenant: str, entity_id: str, series: Series, document: Document) -> HistoryEntry:
    """The entry that a document of a series is."""
    return HistoryEntry(
        tenant,
        entity_id,
        tuple(document["types"]),
        series[0],
        series[1] or None,
        document["instance"],
        document["sequence"],
        document["at"],
        document["deleted"],
        decode_body(document["body"]),
    )


async def read(connection: Connection, tenant: str, entity_id: str) -> list[HistoryEntry]:
    """All entries of one entity, in order of sequence."""
    found: list[HistoryEntry] = []
    history = connection.collection("history")
    async with connection.translated("reading history"):
        for series in await _series_of(connection, tenant, HistoryQuery(()), entity_id):
            within = series_range(prefix_of(tenant, entity_id, series))
            async for document in history.find({"_id": within}, sort=[("_id", ASCENDING)]):
                found.append(entry_of(tenant, entity_id, series, document))  # noqa: PERF401
    return sorted(found, key=lambda entry: (entry.sequence, entry.instance_id))


async def present(connection: Connection, tenant: str, query: HistoryQuery, seconds: float) -> set[str]:
    """The entities of a query's spans of which any entry matches. Raises TooComplexQuery."""
    history = connection.collection("history")

    async def has(span: Span, of_entity: list[Series]) -> bool:
        for series in of_entity:
            wish, _ = _filter(tenant, span.entity_id, query, series, span, None)
            if _concerns(query, series) and await history.find_one(wish, {"_id": 1}) is not None:
                return True
        return False

    found: set[str] = set()
    async with _bounded(connection, seconds) as deadline:
        known = await evolutions.series_of(connection, tenant, [span.entity_id for span in query.spans])
        for place in range(0, len(query.spans), AT_ONCE):
            deadline.check()
            some = query.spans[place : place + AT_ONCE]
            answers = await asyncio.gather(*(has(span, known.get(span.entity_id, [])) for span in some))
            found.update(span.entity_id for span, answer in zip(some, answers, strict=True) if answer)
    return found


async def first(
    connection: Connection, tenant: str, query: HistoryQuery, limit: int, seconds: float
) -> list[HistoryEntry]:
    """The first `limit` entries of a query. Raises TooComplexQuery."""
    best = First(query, limit)
    each = limit if query.last_n is None else min(limit, query.last_n)
    attributes: list[tuple[str, list[Series], list[Span]]] = []
    ordered = sorted(query.spans, key=lambda span: span.entity_id)
    async with _bounded(connection, seconds) as deadline:
        known = await evolutions.series_of(connection, tenant, [span.entity_id for span in ordered])
        for entity_id, spans in groupby(ordered, lambda span: span.entity_id):
            stretches = list(spans)
            of_entity = sorted(series for series in known.get(entity_id, ()) if _concerns(query, series))
            for _, group in groupby(of_entity, lambda series: series[0]):
                attributes.append((entity_id, list(group), stretches))

        async def fetch(entity_id: str, group: list[Series], spans: list[Span]) -> First:
            part = best.part()
            for series in group:
                for span in spans:
                    async for entries in _fetch(connection, tenant, entity_id, query, series, span, part.bound, each):
                        part.offer(entries)
            return part

        at_once = max(1, min(AT_ONCE, ENTRIES_AT_ONCE // each))
        for place in range(0, len(attributes), at_once):
            deadline.check()
            some = attributes[place : place + at_once]
            for part in await asyncio.gather(*(fetch(*attribute) for attribute in some)):
                best.join(part)
    return best.found


async def _fetch(
    connection: Connection,
    tenant: str,
    entity_id: str,
    query: HistoryQuery,
    series: Series,
    span: Span,
    bound: str | None,
    limit: int,
) -> AsyncIterator[list[HistoryEntry]]:
    direction = DESCENDING if query.newest_first else ASCENDING
    wish, field = _filter(tenant, entity_id, query, series, span, bound)
    order = [(name, direction) for name in dict.fromkeys((field, "_id"))]
    async for batch in _batches(connection, wish, sort=order, limit=limit, allow_disk_use=True):
        yield [entry_of(tenant, entity_id, series, document) for document in batch]


async def _batches(connection: Connection, wish: Document, **options: Any) -> AsyncIterator[list[Document]]:
    """What a search of the history finds, as it comes from the server: a batch is decoded in half the time of its parts."""
    found = connection.collection("history").find_raw_batches(wish, _SHOWN, batch_size=STRIDE, **options)
    async for batch in found:
        yield decode_all(cast(bytes, batch))


async def scan(connection: Connection, tenant: str, query: HistoryQuery, visit: Visit, seconds: float) -> None:
    """Show all entries of a query to `visit`, until it has seen enough. Raises TooComplexQuery."""
    async with _bounded(connection, seconds) as deadline:
        for span in query.spans:
            for series in sorted(await _series_of(connection, tenant, query, span.entity_id)):
                wish, _ = _filter(tenant, span.entity_id, query, series, span, None)
                async for batch in _batches(connection, wish):
                    deadline.check()
                    if visit([entry_of(tenant, span.entity_id, series, document) for document in batch]):
                        return


def _filter(
    tenant: str, entity_id: str, query: HistoryQuery, series: Series, span: Span, bound: str | None
) -> tuple[Document, str]:
    """What finds the entries of one series in one span that are not behind `bound`, and the field that orders them."""
    prefix = prefix_of(tenant, entity_id, series)
    starts = [span.start, bound if query.newest_first else None]
    start = max((each for each in starts if each is not None), default=None)
    last = None if query.newest_first else bound
    if query.time in _TIMES:
        field = _TIMES[query.time]
        times: Document = {"$exists": True}
        if start is not None:
            times["$gte"] = start
        if span.end is not None:
            times["$lt"] = span.end
        if last is not None:
            times["$lte"] = last
        return {"_id": series_range(prefix), field: times}, field
    ends = [None if span.end is None else prefix + span.end, None if last is None else prefix + last + AFTER_SEPARATOR]
    end = min((each for each in ends if each is not None), default=prefix[:-1] + AFTER_SEPARATOR)
    within: Document = {"_id": {"$gt": prefix + (start or ""), "$lt": end}}
    return (within | {"observed": True} if query.time == "observedAt" else within), "_id"


async def _series_of(connection: Connection, tenant: str, query: HistoryQuery, entity_id: str) -> list[Series]:
    """The series of an entity that a query is about."""
    known = await evolutions.find(connection, tenant, entity_id)
    if known is None:
        return []
    return [series for series in known.series if _concerns(query, series)]


def _concerns(query: HistoryQuery, series: Series) -> bool:
    return wanted(query, series[0], series[1] or None)


class _Deadline:
    """When a read has to be over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def check(self) -> None:
        """Raise TooComplexQuery if it is too late."""
        if time.monotonic() > self._at:
            raise TooComplexQuery(f"the history took longer than {self._seconds:g} seconds: ask for a shorter time")


@asynccontextmanager
async def _bounded(connection: Connection, seconds: float) -> AsyncIterator[_Deadline]:
    async with connection.translated("reading history"):
        yield _Deadline(seconds)
