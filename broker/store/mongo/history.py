"""Temporal history: one document for each attribute instance at each change (4.5.7), clustered by series and time.

`_id` is tenant, entity, attribute, dataset, moment (observedAt or else modifiedAt), sequence and instance in one string: a
stretch of time of one series is one range of it, in order, and an entry that is recorded again meets itself. Which series an
entity has is in its evolution (`broker.store.mongo.evolutions`).
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from pymongo import ASCENDING, DeleteMany, ReplaceOne
from pymongo.errors import BulkWriteError

from broker.store.chronicle import times_of
from broker.store.mongo import evolutions
from broker.store.mongo.connection import Collection, Connection, Document, Session, is_duplicate
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, check_size, encode_body
from broker.store.mongo.evolutions import Series
from broker.store.mongo.instances import entry_of, prefix_of, series_range
from broker.store.mongo.leases import hold
from broker.store.mongo.log import save_cursor
from broker.store.protocol import Evolution, HistoryEntry, Lease

Change: TypeAlias = Callable[[HistoryEntry], HistoryEntry | None]

SEQUENCE_DIGITS: Final = 19
"""Enough for 64 bits, so that sequences order as strings."""
FEW: Final = 50
"""Entries of a series up to which those that they replace are looked for one by one."""
PORTION: Final = 5_000
"""Entries that are deleted at a time."""


def _document(entry: HistoryEntry) -> Document:
    times = times_of(entry)
    place = (times.moment, f"{entry.sequence:0{SEQUENCE_DIGITS}}", entry.instance_id)
    document = {
        "_id": prefix_of(entry.tenant, entry.entity_id, (entry.attribute, entry.dataset_id or ""))
        + SEPARATOR.join(place),
        "types": list(entry.types),
        "instance": entry.instance_id,
        "sequence": entry.sequence,
        "at": entry.recorded_at,
        "deleted": entry.deleted,
        "observed": times.observed,
        "created": times.created_at,
        "modified": times.modified_at,
        "body": encode_body(entry.instance),
    }
    if times.deleted_at is not None:
        document["gone"] = times.deleted_at
    check_size(entry.entity_id, document)
    return document


async def append(
    connection: Connection,
    entries: Sequence[HistoryEntry],
    cursor: tuple[str, int] | None,
    news: Sequence[Evolution],
    under: Lease | None,
) -> bool:
    """Add entries, bring evolutions up to date and set the recorder's cursor, if there is one, in one transaction; False, and
    nothing of that, where the lease is lost."""
    documents = list({document["_id"]: document for document in map(_document, entries)}.values())
    history = connection.collection("history")

    async def finish(session: Session, *, insert: bool) -> None:
        await evolutions.record(connection, entries, news, session, insert=insert)
        if cursor is not None:
            await save_cursor(connection, *cursor, session)

    async def add(session: Session, *, insert: bool) -> bool:
        if under is not None and not await hold(connection, under, session):
            return False
        try:
            if documents:
                await history.insert_many(documents, ordered=False, session=session)
            await finish(session, insert=insert)
        except BulkWriteError as error:
            if is_duplicate(error):
                raise _Recorded from error
            raise
        return True

    async def replace(session: Session) -> bool:
        if under is not None and not await hold(connection, under, session):
            return False
        writes = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
        if writes:
            await history.bulk_write(writes, ordered=False, session=session)
        await finish(session, insert=False)
        return True

    # What is hardly ever there already is tried as new first, because an upsert costs four times an insert: evolutions are there
    # where an entity comes back, and entries after a crash.
    for work in (partial(add, insert=True), partial(add, insert=False)):
        try:
            return await connection.transact(work, "writing history")
        except _Recorded:
            continue
    return await connection.transact(replace, "writing history")


class _Recorded(Exception):
    """Some of the entries, or of the evolutions that were taken for new, are there already."""


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
        prefix = prefix_of(evolution.tenant, evolution.entity_id, series)
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
                within = series_range(prefix_of(tenant, entity_id, series)) | {"$regex": ending}
                found = await history.find_one({"_id": within}, {"_id": 1})
                if found is not None:
                    return series, found["_id"]
        return None

    async def work(session: Session, series: Series, key: str) -> bool:
        found = await history.find_one_and_delete({"_id": key}, session=session)
        if found is None:
            return False
        replacement = changed(entry_of(tenant, entity_id, series, found))
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
            series_range(prefix_of(tenant, entity_id, series))
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
