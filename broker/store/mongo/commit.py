"""One group commit: entity states, their change records and documents that belong to them in one transaction.

The log's head is a document that every commit moves first. So transactions of several broker processes exclude each
other, sequences have no gaps, and nobody ever sees a change before the one that precedes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bson.binary import Binary
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from broker.model.change import Change
from broker.model.entity import Entity
from broker.store.mongo import documents
from broker.store.mongo.connection import Connection, Document, Session, is_duplicate
from broker.store.mongo.encoding import binary, check_size, encode_sized, key_string
from broker.store.mongo.search import OPTIONAL, search_fields
from broker.store.mongo.turn import HEAD, Turn
from broker.store.protocol import Document as BesideEntities
from broker.store.protocol import EntityKey, Mutation, OutcomeUnknown, VersionConflict

Write: TypeAlias = InsertOne[Document] | UpdateOne | DeleteOne


@dataclass(slots=True)
class _Entry:
    """What a commit does to one entity: the version that it must find, and the last state that it leaves."""

    found: int
    version: int
    state: Entity | None
    body: bytes | None


@dataclass(slots=True)
class Draft:
    """A commit made ready: everything that does not depend on when it is tried."""

    entries: dict[EntityKey, _Entry]
    changes: list[Change]
    records: list[Document]
    sizes: list[int]
    writes: list[Write]
    inserted: int
    updated: int
    deleted: int
    documents: list[Document]

    @property
    def absent(self) -> list[str]:
        """Keys of entities that came and went within this commit: there must be none before it, and nothing is written."""
        return [key_string(key) for key, entry in self.entries.items() if not entry.found and entry.state is None]


def draft(mutations: Sequence[Mutation], beside: Sequence[BesideEntities] = ()) -> Draft:
    """Make a commit ready, with the documents that go into it. Raises VersionConflict where its mutations of one entity
    do not follow each other, BadRequestData for an entity too large."""
    entries: dict[EntityKey, _Entry] = {}
    records: list[Document] = []
    sizes: list[int] = []
    for mutation in mutations:
        change = mutation.change
        key = change.tenant, change.entity_id
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = _Entry(mutation.expected_version, mutation.expected_version, None, None)
        elif entry.version != mutation.expected_version:
            raise VersionConflict([key])
        entry.state = change.after
        entry.version = 0 if change.after is None else change.after["version"]
        entry.body, size = _encoded(change.after)
        before, size_before = _encoded(change.before)
        record = {
            "tenant": change.tenant,
            "entity": change.entity_id,
            "kind": change.kind,
            "at": change.at,
            "touched": [list(touch) for touch in change.touched],
            "before": binary(before),
            "after": binary(entry.body),
        }
        check_size(change.entity_id, record)
        records.append(record)
        sizes.append(size_before + size)
    made = Draft(entries, [mutation.change for mutation in mutations], records, sizes, [], 0, 0, 0, [])
    for key, entry in entries.items():
        _add_write(made, key, entry)
    made.documents += [documents.new(each.kind, each.tenant, each.id, each.body) for each in beside]
    return made


def _encoded(state: Entity | None) -> tuple[bytes | None, int]:
    return (None, 0) if state is None else encode_sized(state)


def _add_write(made: Draft, key: EntityKey, entry: _Entry) -> None:
    where = key_string(key)
    if entry.state is None or entry.body is None:
        if entry.found:
            made.writes.append(DeleteOne({"_id": where, "version": entry.found}))
            made.deleted += 1
        return
    fields = search_fields(key[0], entry.state) | {"version": entry.version, "body": Binary(entry.body)}
    check_size(key[1], fields)
    if entry.found:
        # $set and not a replacement: it is a quarter cheaper, as indexed fields that stay the same are left alone.
        update: dict[str, Any] = {"$set": fields}
        if absent := [name for name in OPTIONAL if name not in fields]:
            update["$unset"] = dict.fromkeys(absent, "")
        made.writes.append(UpdateOne({"_id": where, "version": entry.found}, update))
        made.updated += 1
    else:
        made.writes.append(InsertOne({"_id": where} | fields))
        made.inserted += 1


async def write(connection: Connection, made: Draft, turn: Turn) -> list[Change]:
    """Commit a draft; its changes with their sequences.

    Raises VersionConflict, DocumentExists, StoreUnavailable, OutcomeUnknown.
    """
    entities = connection.collection("entities")

    async def work(session: Session) -> int:
        count = len(made.records)
        first = await connection.advance(HEAD, "head", count, session, turn.moves()) - count + 1
        if made.writes:
            try:
                result = await entities.bulk_write(made.writes, ordered=False, session=session)
            except BulkWriteError as error:
                if is_duplicate(error):
                    raise VersionConflict(()) from error
                raise
            if result.matched_count < made.updated or result.deleted_count < made.deleted:
                raise VersionConflict(())
        if made.absent and await entities.find_one({"_id": {"$in": made.absent}}, {"_id": 1}, session=session):
            raise VersionConflict(())
        records = [{"_id": first + place} | record for place, record in enumerate(made.records)]
        await connection.collection("changes").insert_many(records, session=session)
        if made.documents:
            await documents.add(connection, made.documents, session)
        return first

    written = False
    try:
        first = await connection.transact(work, "committing", turn)
        written = True
    except VersionConflict:
        raise await _conflict(connection, made) from None
    except OutcomeUnknown:
        connection.in_doubt = True
        raise
    finally:
        turn.end(made=written)
    connection.in_doubt = False  # both have moved the head: the other one was before this one, or is never written
    return [change.committed(first + place) for place, change in enumerate(made.changes)]


async def _conflict(connection: Connection, made: Draft) -> VersionConflict:
    """Which entities are not at the version that the draft expects."""
    keys = {key_string(key): key for key in made.entries}
    async with connection.translated("reading versions"):
        found = connection.collection("entities").find({"_id": {"$in": list(keys)}}, {"version": 1})
        versions = {keys[document["_id"]]: document["version"] async for document in found}
    changed = [key for key, entry in made.entries.items() if versions.get(key, 0) != entry.found]
    return VersionConflict(changed or list(made.entries))
