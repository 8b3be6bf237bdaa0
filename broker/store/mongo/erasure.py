"""Removing all that is kept of one tenant, some documents at a time: for the spaces of snapshots (5.16.5)."""

from typing import Final

from broker.store.mongo.connection import Connection, Document
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR
from broker.store.mongo.turn import HEAD

_BY_KEY: Final = ("entities", "history", "evolutions")
"""The collections in which the tenant leads the key."""


async def erase(connection: Connection, tenant: str, limit: int) -> int:
    """Remove up to `limit` of the tenant's documents; how many they were. What a kill interrupts is just not removed yet."""
    removed = 0
    async with connection.translated("erasing a space"):
        for name in _BY_KEY:
            within: Document = {"_id": {"$gt": tenant + SEPARATOR, "$lt": tenant + AFTER_SEPARATOR}}
            removed += await _remove(connection, name, within, limit - removed)
        # No commit has told that these are gone: whoever remembers their states is to find the head's document changed.
        await connection.collection("meta").update_one({"_id": HEAD}, {"$inc": {"erasures": 1}})
        return removed + await _remove(connection, "documents", {"tenant": tenant}, limit - removed)


async def _remove(connection: Connection, name: str, wanted: Document, limit: int) -> int:
    if limit <= 0:
        return 0
    collection = connection.collection(name)
    found = [document["_id"] async for document in collection.find(wanted, {"_id": 1}, limit=limit)]
    if found:
        await collection.delete_many({"_id": {"$in": found}})
    return len(found)
