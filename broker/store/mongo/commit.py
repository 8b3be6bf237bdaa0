"""One group commit: entity states, their change records and documents that belong to them in one transaction.

The log's head is a document that every commit moves first. So transactions of several broker processes exclude each
other, sequences have no gaps, and nobody ever sees a change before the one that precedes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from broker.model.change import Change
from broker.model.entity import Entity
from broker.store.mongo import documents
from broker.store.mongo.connection import Connection, Document, Session, is_duplicate
from broker.store.mongo.encoding import check_size, encode_sized, is_large, key_string
from broker.store.mongo.remembered import Mark, Remembered
from broker.store.mongo.search import OPTIONAL, instant_of, search_changes, search_fields
from broker.store.mongo.turn import HEAD, Turn
from broker.store.protocol import Document as BesideEntities
from broker.store.protocol import EntityKey, Ground, Mutation, OutcomeUnknown, VersionConflict

Write: TypeAlias = InsertOne[Document] | UpdateOne | DeleteOne


@dataclass(slots=True)
class _Entry:
    """What a commit does to one entity: the version that it must find, and the last state that it leaves."""

    found: int
    version: int
    before: Entity | None
    state: Entity | None
    body: bytes | None


@dataclass(slots=True)
class Draft:
    """A commit made ready: everything that does not depend on when it is tried."""

    entries: dict[EntityKey, _Entry]
    changes: list[Change]
    records: list[Document]
    sizes: list[int]
    inserts: list[Document]
    updates: list[tuple[Document, Document]]
    deletes: list[Document]
    documents: list[Document]
    ground: Ground | None

    @property
    def writes(self) -> list[Write]:
        """What is done to the entities."""
        return [
            *(InsertOne(document) for document in self.inserts),
            *(UpdateOne(where, update) for where, update in self.updates),
            *(DeleteOne(where) for where in self.deletes),
        ]

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
            entry = entries[key] = _Entry(
                mutation.expected_version, mutation.expected_version, mutation.state, None, None
            )
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
            "before": before,
            "after": entry.body,
        }
        check_size(change.entity_id, record)
        records.append(record)
        sizes.append(size_before + size)
    ground = mutations[0].ground if mutations else None
    made = Draft(entries, [mutation.change for mutation in mutations], records, sizes, [], [], [], [], ground)
    for key, entry in entries.items():
        _add_write(made, key, entry)
    made.documents += [documents.new(each.kind, each.tenant, each.id, each.body) for each in beside]
    return made


def _encoded(state: Entity | None) -> tuple[bytes | None, int]:
    return (None, 0) if state is None else encode_sized(state)


def _add_write(made: Draft, key: EntityKey, entry: _Entry) -> None:
    # What was recalled is proven by the log's head, and a filter by `_id` alone costs a third. What was read is not: a read may
    # show what a fail-over takes back a moment later, and the head with it.
    recalled = made.ground is not None and key in made.ground.recalled
    where: Document = {"_id": key_string(key)}
    if not recalled:
        where["version"] = entry.found
        if entry.before is not None and isinstance(created := instant_of(entry.before["createdAt"]), int):
            # Versions begin anew with an entity that was deleted and created again.
            where["instants.createdAt"] = created
    if entry.state is None or entry.body is None:
        if entry.found:
            made.deletes.append(where)
        return
    own = {"version": entry.version, "body": entry.body}
    if recalled and entry.before is not None and not is_large(entry.body):
        # This process has written all the document's fields itself, by the same rules, so only what differs is written. Of a
        # large one all are made, as they are what may be too large together.
        fields, absent = search_changes(key[0], entry.before, entry.state)
        fields |= own
    else:
        fields = search_fields(key[0], entry.state) | own
        absent = [name for name in OPTIONAL if name not in fields]
    check_size(key[1], fields)
    if entry.found:
        # $set and not a replacement: it is a quarter cheaper, as indexed fields that stay the same are left alone.
        update: dict[str, Any] = {"$set": fields}
        if absent:
            update["$unset"] = dict.fromkeys(absent, "")
        made.updates.append((where, update))
    else:
        made.inserts.append({"_id": where["_id"]} | fields)


class _NotProven(Exception):
    """Another process has committed since the states that were recalled were true."""


async def write(connection: Connection, made: Draft, turn: Turn, remembered: Remembered) -> list[Change]:
    """Commit a draft, and remember the states that it leaves; its changes with their sequences.

    Raises VersionConflict, DocumentExists, StoreUnavailable, OutcomeUnknown.
    """
    entities = connection.collection("entities")

    async def work(session: Session) -> tuple[Mark, Mark]:
        count = len(made.records)
        moved = await connection.move(HEAD, "head", count, session, turn.moves())
        after = Mark(moved["head"], moved.get("erasures", 0), moved.get("name", ""))
        before = replace(after, head=after.head - count)
        if made.ground is not None and made.ground.recalled and made.ground.mark != before:
            raise _NotProven
        if writes := made.writes:
            try:
                result = await entities.bulk_write(writes, ordered=False, session=session)
            except BulkWriteError as error:
                if is_duplicate(error):
                    raise VersionConflict(()) from error
                raise
            if result.matched_count < len(made.updates) or result.deleted_count < len(made.deletes):
                raise VersionConflict(())
        if made.absent and await entities.find_one({"_id": {"$in": made.absent}}, {"_id": 1}, session=session):
            raise VersionConflict(())
        records = [{"_id": before.head + place} | record for place, record in enumerate(made.records, 1)]
        await connection.collection("changes").insert_many(records, session=session)
        if made.documents:
            await documents.add(connection, made.documents, session)
        return before, after

    written = False
    try:
        before, after = await connection.transact(work, "committing", turn)
        written = True
    except _NotProven:
        raise VersionConflict(list(made.entries)) from None
    except VersionConflict:
        raise await _conflict(connection, made) from None
    except OutcomeUnknown:
        connection.in_doubt = True
        raise
    finally:
        turn.end(made=written)
        if not written:
            remembered.forget()
    connection.in_doubt = False  # both have moved the head: the other one was before this one, or is never written
    remembered.keep(before, after, ((key, entry.body) for key, entry in made.entries.items()))
    return [change.committed(before.head + place) for place, change in enumerate(made.changes, 1)]


async def _conflict(connection: Connection, made: Draft) -> VersionConflict:
    """Which entities are not at the version that the draft expects."""
    keys = {key_string(key): key for key in made.entries}
    async with connection.translated("reading versions"):
        found = connection.collection("entities").find({"_id": {"$in": list(keys)}}, {"version": 1})
        versions = {keys[document["_id"]]: document["version"] async for document in found}
    changed = [key for key, entry in made.entries.items() if versions.get(key, 0) != entry.found]
    return VersionConflict(changed or list(made.entries))
