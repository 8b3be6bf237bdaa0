"""Temporal history: one document for each attribute instance at each change (4.5.7), clustered by entity and sequence.

`_id` is tenant, entity, sequence and instance in one string: the history of an entity is one range of it, in order, and
an entry that is recorded again meets itself.
"""

from collections.abc import Sequence
from typing import Final

from bson.binary import Binary
from pymongo import ASCENDING, ReplaceOne
from pymongo.errors import BulkWriteError

from broker.store.mongo.connection import Connection, Document, Session, is_duplicate
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, decode_body, encode_body, key_string
from broker.store.mongo.log import cursor_update
from broker.store.protocol import HistoryEntry

SEQUENCE_DIGITS: Final = 19
"""Enough for 64 bits, so that sequences order as strings."""


def _document(entry: HistoryEntry) -> Document:
    place = key_string((entry.tenant, entry.entity_id)) + SEPARATOR + f"{entry.sequence:0{SEQUENCE_DIGITS}}"
    return {
        "_id": place + SEPARATOR + entry.instance_id,
        "types": list(entry.types),
        "attribute": entry.attribute,
        "dataset": entry.dataset_id,
        "instance": entry.instance_id,
        "sequence": entry.sequence,
        "at": entry.recorded_at,
        "deleted": entry.deleted,
        "body": Binary(encode_body(entry.instance)),
    }


def _entry(tenant: str, entity_id: str, document: Document) -> HistoryEntry:
    return HistoryEntry(
        tenant=tenant,
        entity_id=entity_id,
        types=tuple(document["types"]),
        attribute=document["attribute"],
        dataset_id=document["dataset"],
        instance_id=document["instance"],
        sequence=document["sequence"],
        recorded_at=document["at"],
        deleted=document["deleted"],
        instance=decode_body(document["body"]),
    )


async def append(connection: Connection, entries: Sequence[HistoryEntry], cursor: tuple[str, int]) -> None:
    """Add entries and set the recorder's cursor, in one transaction."""
    documents = list({document["_id"]: document for document in map(_document, entries)}.values())
    history = connection.collection("history")

    async def add(session: Session) -> None:
        if documents:
            try:
                await history.insert_many(documents, ordered=False, session=session)
            except BulkWriteError as error:
                if is_duplicate(error):
                    raise _Recorded from error
                raise
        await connection.collection("cursors").bulk_write([cursor_update(*cursor)], session=session)

    async def replace(session: Session) -> None:
        writes = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
        await history.bulk_write(writes, ordered=False, session=session)
        await connection.collection("cursors").bulk_write([cursor_update(*cursor)], session=session)

    try:
        await connection.transact(add, "writing history")
    except _Recorded:
        # A replay after a crash: rare, and upserts cost four times an insert, so they are not what is tried first.
        await connection.transact(replace, "writing history")


class _Recorded(Exception):
    """Some of the entries are there already."""


async def read(connection: Connection, tenant: str, entity_id: str) -> list[HistoryEntry]:
    """All entries of one entity, in order of sequence."""
    entity = key_string((tenant, entity_id))
    async with connection.translated("reading history"):
        found = connection.collection("history").find(
            {"_id": {"$gt": entity + SEPARATOR, "$lt": entity + AFTER_SEPARATOR}}, sort=[("_id", ASCENDING)]
        )
        return [_entry(tenant, entity_id, document) async for document in found]
