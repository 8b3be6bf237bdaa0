"""Evolutions: what temporal history knows of each entity as a whole (5.2.20), whether it still exists or not.

`_id` is tenant and entity id; `series` lists the (attribute, datasetId or "") of which there ever were entries.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymongo import ASCENDING, DESCENDING, InsertOne, UpdateOne

from broker.query.ast import EntityQuery, EntitySelector
from broker.query.evaluate import compile_query
from broker.store.chronicle import candidate_ids, candidate_types, gather
from broker.store.mongo.connection import Connection, Document, Session
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, key_string, parse_key
from broker.store.protocol import Evolution, HistoryEntry

Series: TypeAlias = tuple[str, str]
"""An attribute and a datasetId, "" for the default instance."""

STRIDE: Final = 250
KEYS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """An evolution as it is stored."""

    evolution: Evolution
    series: list[Series]


def _known(document: Document) -> Known:
    tenant, entity_id = parse_key(document["_id"])
    evolution = Evolution(
        tenant,
        entity_id,
        tuple(document["types"]),
        document["created"],
        document["modified"],
        document.get("gone"),
    )
    return Known(evolution, [(attribute, dataset) for attribute, dataset in document.get("series", ())])


async def find(connection: Connection, tenant: str, entity_id: str, session: Session | None = None) -> Known | None:
    """An evolution, None if there is none."""
    found = await connection.collection("evolutions").find_one(
        {"_id": key_string((tenant, entity_id))}, session=session
    )
    return None if found is None else _known(found)


async def series_of(connection: Connection, tenant: str, entity_ids: Iterable[str]) -> dict[str, list[Series]]:
    """The series of these evolutions, by entity id."""
    keys = [key_string((tenant, entity_id)) for entity_id in dict.fromkeys(entity_ids)]
    found: dict[str, list[Series]] = {}
    for place in range(0, len(keys), KEYS_AT_ONCE):
        wish = {"_id": {"$in": keys[place : place + KEYS_AT_ONCE]}}
        async for document in connection.collection("evolutions").find(wish, {"series": 1}):
            series = [(attribute, dataset) for attribute, dataset in document.get("series", ())]
            found[parse_key(document["_id"])[1]] = series
    return found


async def record(
    connection: Connection,
    entries: Sequence[HistoryEntry],
    news: Sequence[Evolution],
    session: Session,
    *,
    by_client: bool = False,
    insert: bool = False,
) -> None:
    """Create or bring up to date the evolutions that are mentioned.

    `by_client`: data added to the evolution of an entity that was deleted do not bring it back. `insert`: those of entities that
    have just been created are taken for new, which costs a quarter; BulkWriteError (a duplicate) where one is not.
    """
    series: dict[tuple[str, str], dict[Series, None]] = {}
    for entry in entries:
        series.setdefault((entry.tenant, entry.entity_id), {})[entry.attribute, entry.dataset_id or ""] = None
    writes: list[InsertOne[Document] | UpdateOne] = []
    for key, evolution in gather(entries, news).items():
        if insert and evolution.created_at == evolution.modified_at and evolution.deleted_at is None:
            writes.append(
                InsertOne(
                    {
                        "_id": key_string(key),
                        "types": list(dict.fromkeys(evolution.types)),
                        "series": [list(each) for each in series.get(key, ())],
                        "created": evolution.created_at,
                        "modified": evolution.modified_at,
                        "gone": None,
                    }
                )
            )
            continue
        update: dict[str, Any] = {
            "$min": {"created": evolution.created_at},
            "$max": {"modified": evolution.modified_at},
            "$addToSet": {
                "types": {"$each": list(evolution.types)},
                "series": {"$each": [list(each) for each in series.get(key, ())]},
            },
        }
        if not by_client:
            update["$set"] = {"gone": evolution.deleted_at}
        writes.append(UpdateOne({"_id": key_string(key)}, update, upsert=True))
    if writes:
        await connection.collection("evolutions").bulk_write(writes, ordered=False, session=session)


async def add_series(connection: Connection, entry: HistoryEntry, session: Session) -> None:
    """Note the series of an entry that takes another one's place."""
    await connection.collection("evolutions").update_one(
        {"_id": key_string((entry.tenant, entry.entity_id))},
        {"$addToSet": {"series": [entry.attribute, entry.dataset_id or ""]}},
        session=session,
    )


async def remove(connection: Connection, tenant: str, entity_id: str, session: Session) -> None:
    """Forget an evolution."""
    await connection.collection("evolutions").delete_one({"_id": key_string((tenant, entity_id))}, session=session)


async def listing(
    connection: Connection,
    tenant: str,
    selectors: Sequence[EntitySelector],
    limit: int,
    after: str | None,
    descending: bool,
) -> list[Evolution]:
    """The evolutions that one of the selectors matches, in order of id."""
    test = compile_query(EntityQuery(selectors=tuple(selectors)))
    ids, types = candidate_ids(selectors), candidate_types(selectors)
    bounds: Document = {"$gt": tenant + SEPARATOR, "$lt": tenant + AFTER_SEPARATOR}
    if after is not None:
        bounds["$lt" if descending else "$gt"] = key_string((tenant, after))
    if ids is not None:
        bounds["$in"] = [key_string((tenant, entity_id)) for entity_id in ids]
    wish: Document = {"_id": bounds}
    by_type = types is not None and ids is None
    if types is not None and by_type:
        wish["types"] = {"$in": types} if len(types) > 1 else types[0]
    found: list[Evolution] = []
    order = DESCENDING if descending else ASCENDING
    async with connection.translated("listing evolutions"):
        cursor = connection.collection("evolutions").find(wish, {"series": 0}, sort=[("_id", order)])
        if by_type:
            # Left to itself, the server may go through all ids of the tenant, in which a type can be rare.
            cursor = cursor.hint([("types", ASCENDING), ("_id", ASCENDING)])
        async for document in cursor.batch_size(STRIDE):
            evolution = _known(document).evolution
            if test(
                {
                    "id": evolution.entity_id,
                    "type": list(evolution.types),
                    "attrs": {},
                    "createdAt": evolution.created_at,
                    "modifiedAt": evolution.modified_at,
                    "version": 0,
                }
            ):
                found.append(evolution)
                if len(found) == limit:
                    break
    return found
