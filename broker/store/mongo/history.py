"""Temporal history: one document for each attribute instance at each change (4.5.7), clustered by series and time.

`_id` is tenant, entity, attribute, dataset, moment (observedAt or else modifiedAt), sequence and instance in one string: a
stretch of time of one series is one range of it, in order, and an entry that is recorded again meets itself. Which series an
entity has is in its evolution (`broker.store.mongo.evolutions`).
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeAlias, cast

from bson import decode_all
from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING, DeleteMany, ReplaceOne
from pymongo.errors import BulkWriteError

from broker.errors import TooComplexQuery
from broker.store.chronicle import First, times_of, wanted
from broker.store.mongo import evolutions
from broker.store.mongo.connection import Collection, Connection, Document, Session, is_duplicate
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, check_size, decode_body, encode_body, key_string
from broker.store.mongo.evolutions import Series
from broker.store.mongo.log import cursor_update
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span

Change: TypeAlias = Callable[[HistoryEntry], HistoryEntry | None]
Visit: TypeAlias = Callable[[Sequence[HistoryEntry]], bool]

SEQUENCE_DIGITS: Final = 19
"""Enough for 64 bits, so that sequences order as strings."""
STRIDE: Final = 500
"""Entries that are decoded at a time: few milliseconds between two other tasks."""
FEW: Final = 50
"""Entries of a series up to which those that they replace are looked for one by one."""
PORTION: Final = 5_000
"""Entries that are deleted at a time."""
AT_ONCE: Final = 8
"""Attributes that are read at the same time, as long as they are small."""
ENTRIES_AT_ONCE: Final = 20_000
"""Entries that are in memory for that."""

# What an entry is made of. `_id` is left out: a third of each document, and its parts are known.
_SHOWN: Final = {"_id": 0, **dict.fromkeys(("types", "instance", "sequence", "at", "deleted", "body"), 1)}
_TIMES: Final = {"createdAt": "created", "modifiedAt": "modified", "deletedAt": "gone"}


def _prefix(tenant: str, entity_id: str, series: Series) -> str:
    return SEPARATOR.join((key_string((tenant, entity_id)), series[0], series[1], ""))


def _document(entry: HistoryEntry) -> Document:
    times = times_of(entry)
    place = (times.moment, f"{entry.sequence:0{SEQUENCE_DIGITS}}", entry.instance_id)
    document = {
        "_id": _prefix(entry.tenant, entry.entity_id, (entry.attribute, entry.dataset_id or ""))
        + SEPARATOR.join(place),
        "types": list(entry.types),
        "instance": entry.instance_id,
        "sequence": entry.sequence,
        "at": entry.recorded_at,
        "deleted": entry.deleted,
        "observed": times.observed,
        "created": times.created_at,
        "modified": times.modified_at,
        "body": Binary(encode_body(entry.instance)),
    }
    if times.deleted_at is not None:
        document["gone"] = times.deleted_at
    check_size(entry.entity_id, document)
    return document


def _entry(tenant: str, entity_id: str, series: Series, document: Document) -> HistoryEntry:
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


async def append(
    connection: Connection,
    entries: Sequence[HistoryEntry],
    cursor: tuple[str, int] | None,
    news: Sequence[Evolution],
) -> None:
    """Add entries, bring evolutions up to date and set the recorder's cursor, if there is one, in one transaction."""
    documents = list({document["_id"]: document for document in map(_document, entries)}.values())
    history = connection.collection("history")

    async def finish(session: Session) -> None:
        await evolutions.record(connection, entries, news, session)
        if cursor is not None:
            await connection.collection("cursors").bulk_write([cursor_update(*cursor)], session=session)

    async def add(session: Session) -> None:
        if documents:
            try:
                await history.insert_many(documents, ordered=False, session=session)
            except BulkWriteError as error:
                if is_duplicate(error):
                    raise _Recorded from error
                raise
        await finish(session)

    async def replace(session: Session) -> None:
        writes = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
        await history.bulk_write(writes, ordered=False, session=session)
        await finish(session)

    try:
        await connection.transact(add, "writing history")
    except _Recorded:
        # A replay after a crash: rare, and upserts cost four times an insert, so they are not what is tried first.
        await connection.transact(replace, "writing history")


class _Recorded(Exception):
    """Some of the entries are there already."""


async def add(connection: Connection, evolution: Evolution, entries: Sequence[HistoryEntry], *, create: bool) -> bool:
    """Add a client's entries to one evolution, in place of those of the same series and observedAt."""
    documents = [_document(entry) for entry in entries]
    history = connection.collection("history")

    async def work(session: Session) -> bool:
        known = await evolutions.find(connection, evolution.tenant, evolution.entity_id, session)
        if known is None and not create:
            return False
        await evolutions.record(connection, entries, [evolution], session, by_client=True)
        await _make_room(connection, evolution, entries, session)
        if documents:
            await history.insert_many(documents, session=session)
        return known is not None

    return await connection.transact(work, "writing history")


async def _make_room(
    connection: Connection, evolution: Evolution, entries: Sequence[HistoryEntry], session: Session
) -> None:
    """Remove what these entries replace: entries of the same series and observedAt."""
    history = connection.collection("history")
    moments: dict[Series, set[str]] = {}
    for entry in entries:
        times = times_of(entry)
        if times.observed:
            moments.setdefault((entry.attribute, entry.dataset_id or ""), set()).add(times.moment)
    for series, taken in moments.items():
        prefix = _prefix(evolution.tenant, evolution.entity_id, series)
        if len(taken) <= FEW:
            ranges = [
                {"_id": {"$gt": prefix + at + SEPARATOR, "$lt": prefix + at + AFTER_SEPARATOR}, "observed": True}
                for at in sorted(taken)
            ]
            await history.bulk_write([DeleteMany(each) for each in ranges], ordered=False, session=session)
            continue
        between = {"$gt": prefix + min(taken) + SEPARATOR, "$lt": prefix + max(taken) + AFTER_SEPARATOR}
        replaced = [
            document["_id"]
            async for document in history.find({"_id": between, "observed": True}, {"_id": 1}, session=session)
            if document["_id"][len(prefix) :].partition(SEPARATOR)[0] in taken
        ]
        if replaced:
            await history.delete_many({"_id": {"$in": replaced}}, session=session)


async def change(
    connection: Connection, tenant: str, entity_id: str, attribute: str, instance_id: str, changed: Change
) -> bool:
    """Replace or remove one entry."""
    history = connection.collection("history")

    async def place() -> tuple[Series, str] | None:
        # It reads all keys of a series, but no documents. No index of instance ids is worth what each entry would pay.
        ending = rf"\x00{re.escape(instance_id)}$"
        for series in (await evolutions.series_of(connection, tenant, [entity_id])).get(entity_id, ()):
            if series[0] == attribute:
                within = _series_range(_prefix(tenant, entity_id, series)) | {"$regex": ending}
                found = await history.find_one({"_id": within}, {"_id": 1})
                if found is not None:
                    return series, found["_id"]
        return None

    async def work(session: Session, series: Series, key: str) -> bool:
        found = await history.find_one_and_delete({"_id": key}, session=session)
        if found is None:
            return False
        replacement = changed(_entry(tenant, entity_id, series, found))
        if replacement is not None:
            await evolutions.add_series(connection, replacement, session)
            await history.insert_one(_document(replacement), session=session)
        return True

    async with connection.translated("reading history"):
        while (at := await place()) is not None:
            if await connection.transact(partial(work, series=at[0], key=at[1]), "changing history"):
                return True
    return False


async def delete(
    connection: Connection,
    tenant: str,
    entity_id: str,
    attribute: str | None,
    datasets: frozenset[str | None] | None,
) -> bool:
    """Remove an evolution, or an attribute of it; whether there was anything to remove."""
    history = connection.collection("history")

    def chosen(known: evolutions.Known) -> list[Document]:
        return [
            _series_range(_prefix(tenant, entity_id, series))
            for series in known.series
            if attribute is None or (series[0] == attribute and (datasets is None or (series[1] or None) in datasets))
        ]

    async def work(session: Session) -> bool:
        known = await evolutions.find(connection, tenant, entity_id, session)
        if known is None:
            return False
        removed = 0
        for within in chosen(known):
            removed += (await history.delete_many({"_id": within}, session=session)).deleted_count
        if attribute is None:
            await evolutions.remove(connection, tenant, entity_id, session)
        return removed > 0 or attribute is None

    async with connection.translated("deleting history"):
        known = await evolutions.find(connection, tenant, entity_id)
        for within in [] if known is None else chosen(known):
            await _thin_out(history, within)
    return await connection.transact(work, "deleting history")


async def _thin_out(history: Collection, within: Document) -> None:
    """Remove all but the last few of many entries, some at a time: no transaction could hold a million of them."""
    while True:
        behind = await history.find_one({"_id": within}, {"_id": 1}, sort=[("_id", ASCENDING)], skip=PORTION)
        if behind is None:
            return
        await history.delete_many({"_id": within | {"$lt": behind["_id"]}})


def _series_range(prefix: str) -> Document:
    return {"$gt": prefix, "$lt": prefix[:-1] + AFTER_SEPARATOR}


async def read(connection: Connection, tenant: str, entity_id: str) -> list[HistoryEntry]:
    """All entries of one entity, in order of sequence."""
    found: list[HistoryEntry] = []
    history = connection.collection("history")
    async with connection.translated("reading history"):
        for series in await _series_of(connection, tenant, HistoryQuery(()), entity_id):
            within = _series_range(_prefix(tenant, entity_id, series))
            async for document in history.find({"_id": within}, sort=[("_id", ASCENDING)]):
                found.append(_entry(tenant, entity_id, series, document))  # noqa: PERF401
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
        yield [_entry(tenant, entity_id, series, document) for document in batch]


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
                    if visit([_entry(tenant, span.entity_id, series, document) for document in batch]):
                        return


def _filter(
    tenant: str, entity_id: str, query: HistoryQuery, series: Series, span: Span, bound: str | None
) -> tuple[Document, str]:
    """What finds the entries of one series in one span that are not behind `bound`, and the field that orders them."""
    prefix = _prefix(tenant, entity_id, series)
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
        return {"_id": _series_range(prefix), field: times}, field
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
