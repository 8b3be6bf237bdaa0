"""Documents: subscriptions, @contexts, registrations and what else the broker keeps beside entities."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from bson.binary import Binary
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from broker.model.entity import JsonObject
from broker.store.mongo.connection import Connection, Session, is_duplicate
from broker.store.mongo.encoding import SEPARATOR, check_size, decode_body, encode_body
from broker.store.protocol import Document, DocumentExists, DocumentKey

COUNTER: Final = "documents"
"""The `_id` of the document in `meta` that numbers documents in order of creation."""
PORTION_BYTES: Final = 16 * 1024 * 1024
"""Bytes of bodies in one command, but for a single body that is larger."""


def _key(kind: str, tenant: str, document_id: str) -> str:
    return kind + SEPARATOR + tenant + SEPARATOR + document_id


def parse(key: str) -> DocumentKey:
    """Kind, tenant and id of a document with this `_id`."""
    kind, tenant, document_id = key.split(SEPARATOR, 2)
    return kind, tenant, document_id


def new(kind: str, tenant: str, document_id: str, body: JsonObject) -> dict[str, Any]:
    """A document to `add`, without its number. Raises BadRequestData for one too large."""
    encoded = encode_body(body)
    check_size(document_id, {"body": encoded})
    key = _key(kind, tenant, document_id)
    return {"_id": key, "kind": kind, "tenant": tenant, "id": document_id, "body": Binary(encoded)}


async def add(connection: Connection, made: Sequence[dict[str, Any]], session: Session) -> None:
    """Write documents in the transaction of a session. Raises DocumentExists, and what the driver raises."""
    last = await connection.advance(COUNTER, "last", len(made), session)
    numbered = [{**each, "number": last - len(made) + place} for place, each in enumerate(made, start=1)]
    try:
        await connection.collection("documents").insert_many(numbered, session=session)
    except BulkWriteError as error:
        if is_duplicate(error):
            raise DocumentExists from error
        raise


async def put(
    connection: Connection, kind: str, tenant: str, document_id: str, body: JsonObject, *, create: bool
) -> bool:
    """Store a document. With `create`, False if there is one already."""
    encoded = encode_body(body)
    key = _key(kind, tenant, document_id)
    documents = connection.collection("documents")
    check_size(document_id, {"body": encoded})
    content = {"$set": {"body": Binary(encoded)}}
    async with connection.translated("storing a document"):
        if not create and (await documents.update_one({"_id": key}, content)).matched_count:
            return True
        if create and await documents.find_one({"_id": key}, {"_id": 1}) is not None:
            return False
        number = await connection.advance(COUNTER, "last", 1)
        new = {"kind": kind, "tenant": tenant, "id": document_id, "number": number}
        try:
            if create:
                await documents.insert_one({"_id": key, **new, "body": Binary(encoded)})
            else:
                await documents.update_one({"_id": key}, content | {"$setOnInsert": new}, upsert=True)
        except DuplicateKeyError:
            return False
        return True


async def put_with(
    connection: Connection,
    kind: str,
    tenant: str,
    document_id: str,
    body: JsonObject,
    others: Sequence[Document],
    *,
    create: bool,
) -> bool:
    """The same as `put`, in one transaction with other new documents. Raises DocumentExists, OutcomeUnknown, too."""
    mine = new(kind, tenant, document_id, body)
    made = [new(each.kind, each.tenant, each.id, each.body) for each in others]
    documents = connection.collection("documents")

    async def work(session: Session) -> bool:
        if await documents.find_one({"_id": mine["_id"]}, {"_id": 1}, session=session) is None:
            await add(connection, [mine, *made], session)
            return True
        if create:
            return False
        await documents.update_one({"_id": mine["_id"]}, {"$set": {"body": mine["body"]}}, session=session)
        await add(connection, made, session)
        return True

    return await connection.transact(work, "storing a document")


async def replace(
    connection: Connection, key: DocumentKey, found: JsonObject, body: JsonObject, others: Sequence[Document]
) -> bool:
    """Replace a body that is still `found`, in one transaction with other new documents; whether it was.

    Raises DocumentExists, OutcomeUnknown.
    """
    encoded = encode_body(body)
    check_size(key[2], {"body": encoded})
    made = [new(each.kind, each.tenant, each.id, each.body) for each in others]
    documents = connection.collection("documents")
    where = {"_id": _key(*key)}

    async def work(session: Session) -> bool:
        current = await documents.find_one(where, {"body": 1}, session=session)
        if current is None or decode_body(current["body"]) != found:
            return False
        await documents.update_one(where, {"$set": {"body": Binary(encoded)}}, session=session)
        if made:
            await add(connection, made, session)
        return True

    return await connection.transact(work, "replacing a document")


async def write(
    connection: Connection, puts: Sequence[Document], deletes: Collection[DocumentKey], session: Session
) -> None:
    """Store and delete documents in the transaction of a session; what is there is replaced. Raises what the driver raises.

    New ones get their numbers apart from the transaction: many transactions that move one counter would wait for each other.
    """
    documents = connection.collection("documents")
    if puts:
        made = {each["_id"]: each for each in (new(put.kind, put.tenant, put.id, put.body) for put in puts)}
        if await _replace_bodies(connection, list(made.values()), session) < len(made):
            ids: dict[str, Any] = {"_id": {"$in": list(made)}}
            present = {found["_id"] async for found in documents.find(ids, {"_id": 1}, session=session)}
            fresh = [key for key in made if key not in present]
            last = await connection.advance(COUNTER, "last", len(fresh))
            numbered = [{**made[key], "number": last - place} for place, key in enumerate(reversed(fresh))]
            await documents.insert_many(numbered, ordered=False, session=session)
    if deletes:
        await documents.delete_many({"_id": {"$in": [_key(*key) for key in deletes]}}, session=session)


async def _replace_bodies(connection: Connection, made: Sequence[dict[str, Any]], session: Session) -> int:
    """Give those of these documents that are there their new bodies; how many they are. Raises what the driver raises.

    The records of deliveries are nearly all of what comes here, hundreds a second. So each portion is one command, made here:
    the driver's bulk writes take twice the CPU time for that.
    """
    there = 0
    for portion in _portions(made):
        updates = [{"q": {"_id": each["_id"]}, "u": {"$set": {"body": each["body"]}}} for each in portion]
        command = {"update": "documents", "ordered": False, "updates": updates}
        answer = await connection.database.command(command, session=session)
        if failures := answer.get("writeErrors"):
            raise OperationFailure(failures[0].get("errmsg", ""), failures[0].get("code"), answer)
        there += int(answer["n"])
    return there


def _portions(made: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Documents in portions that fit into a message, which may have 48 MB."""
    portion: list[dict[str, Any]] = []
    size = 0
    for each in made:
        if portion and size + len(each["body"]) > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += len(each["body"])
    yield portion


async def get(connection: Connection, kind: str, tenant: str, document_id: str) -> JsonObject | None:
    """A document's body."""
    async with connection.translated("reading a document"):
        found = await connection.collection("documents").find_one({"_id": _key(kind, tenant, document_id)})
        body: JsonObject | None = None if found is None else decode_body(found["body"])
        return body


async def change(
    connection: Connection,
    kind: str,
    tenant: str,
    document_id: str,
    changed: Callable[[JsonObject], JsonObject | None],
) -> JsonObject | None:
    """Replace a body by what `changed` makes of it; the new one, if any. Whoever was faster is read again."""
    key = _key(kind, tenant, document_id)
    documents = connection.collection("documents")
    async with connection.translated("changing a document"):
        while (found := await documents.find_one({"_id": key})) is not None:
            replacement = changed(decode_body(found["body"]))
            if replacement is None:
                return None
            encoded = encode_body(replacement)
            check_size(document_id, {"body": encoded})
            unchanged = {"_id": key, "body": found["body"]}
            if (await documents.update_one(unchanged, {"$set": {"body": Binary(encoded)}})).matched_count:
                return replacement
    return None


async def delete(connection: Connection, key: DocumentKey) -> bool:
    """Whether there was one to delete."""
    async with connection.translated("deleting a document"):
        result = await connection.collection("documents").delete_one({"_id": _key(*key)})
        return result.deleted_count > 0


async def delete_with(
    connection: Connection, key: DocumentKey, found: JsonObject | None, puts: Sequence[Document]
) -> bool:
    """Delete a document, where given only one with the body `found`, and store others in the same transaction; whether it was
    there. Raises OutcomeUnknown."""
    documents = connection.collection("documents")
    where = {"_id": _key(*key)}

    async def work(session: Session) -> bool:
        current = await documents.find_one(where, {"body": 1}, session=session)
        if current is None or (found is not None and decode_body(current["body"]) != found):
            return False
        await documents.delete_one(where, session=session)
        await write(connection, puts, (), session)
        return True

    return await connection.transact(work, "deleting a document")


async def listing(connection: Connection, kind: str, tenant: str | None) -> list[tuple[str, str, JsonObject]]:
    """(tenant, id, body) of every document of a kind, in order of creation."""
    wanted = {"kind": kind} if tenant is None else {"kind": kind, "tenant": tenant}
    async with connection.translated("listing documents"):
        found = connection.collection("documents").find(wanted, sort=[("number", ASCENDING)])
        return [(each["tenant"], each["id"], decode_body(each["body"])) async for each in found]
