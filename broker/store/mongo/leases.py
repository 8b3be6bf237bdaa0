"""Leases and members: who may do what alone, and which processes live, by the server's clock.

A lease is two documents. One in `leases` says who has it, and until when: `{_id: name, holder, epoch, until}`. It is read and
written with `$$NOW`, so that no clock of a process counts. The other, in `fences`, is there to collide at: whoever writes under
a lease moves it in the same transaction, and so does a change of the holder, so that one of the two comes first for everybody.
A renewal does not touch it: however long a write under a lease takes, its lease and all others are renewed meanwhile.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from broker.store.mongo import documents
from broker.store.mongo.connection import Connection, Session, is_duplicate
from broker.store.mongo.connection import Document as Row
from broker.store.mongo.log import cursor_update
from broker.store.protocol import Document, DocumentKey, Lease

NOBODY: Final = ""
"""The holder of a lease that was given up."""
PAST: Final = datetime(1970, 1, 1, tzinfo=UTC)
FORGET_SECONDS: Final = 60.0
"""How long after its end a process that never said so is forgotten."""


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}


async def take(connection: Connection, names: Collection[str], holder: str, seconds: float) -> dict[str, Lease]:
    """Take or renew those of these leases that can be had; those that the holder has now."""
    if not names:
        return {}
    leases = connection.collection("leases")
    until: Row = {"until": _from_now(seconds)}
    others: Row = {"epoch": {"$add": ["$epoch", 1]}, "holder": {"$literal": holder}, **until}
    has_ended: Row = {"$lte": ["$until", "$$NOW"]}

    # A transaction, though one statement would do: it does not wait for others' locks, and ends those of the dead.
    async def work(session: Session) -> list[Row]:
        wanted: Row = {"_id": {"$in": list(names)}}
        await leases.update_many({**wanted, "holder": holder}, [{"$set": until}], session=session)
        found = await leases.find(wanted, {"holder": 1, "epoch": 1, "free": has_ended}, session=session).to_list()
        free = [each["_id"] for each in found if each["free"] and each["holder"] != holder]
        if not free:
            return found
        await _move_fences(connection, free, session)
        await leases.update_many({"_id": {"$in": free}, "$expr": has_ended}, [{"$set": others}], session=session)
        return await leases.find(wanted, {"holder": 1, "epoch": 1}, session=session).to_list()

    found = await connection.transact(work, "taking leases")
    if missing := set(names) - {each["_id"] for each in found}:
        await _add(connection, missing)
        found = await connection.transact(work, "taking leases")
    return {each["_id"]: Lease(each["_id"], holder, each["epoch"]) for each in found if each["holder"] == holder}


async def _add(connection: Connection, names: Collection[str]) -> None:
    """Make leases that nobody has."""
    nobody: Row = {"$setOnInsert": {"holder": NOBODY, "epoch": 0, "until": PAST}}
    async with connection.translated("adding leases"):
        try:
            await connection.collection("leases").bulk_write(
                [UpdateOne({"_id": name}, nobody, upsert=True) for name in names], ordered=False
            )
        except BulkWriteError as error:
            if not is_duplicate(error):  # another process adds them at the same time
                raise


async def release(connection: Connection, leases: Collection[Lease]) -> None:
    """Give leases up, as far as they are still held so."""
    if not leases:
        return
    held: Row = {"$or": [_held(lease) for lease in leases]}

    async def work(session: Session) -> None:
        await connection.collection("leases").update_many(
            held, {"$set": {"holder": NOBODY, "until": PAST}}, session=session
        )

    await connection.transact(work, "giving up leases")


def _held(lease: Lease) -> Row:
    return {"_id": lease.name, "holder": lease.holder, "epoch": lease.epoch}


async def enlist(connection: Connection, member: str, seconds: float) -> frozenset[str]:
    """A process lives for so many seconds more; all that live."""
    members = connection.collection("members")
    async with connection.translated("counting processes"):
        if seconds > 0:
            await members.update_one({"_id": member}, [{"$set": {"until": _from_now(seconds)}}], upsert=True)
        else:
            await members.delete_one({"_id": member})
        states: Row = {
            "lives": {"$gt": ["$until", "$$NOW"]},
            "gone": {"$lt": ["$until", _from_now(-FORGET_SECONDS)]},
        }
        found = await members.find({}, states).to_list()
        if gone := [each["_id"] for each in found if each["gone"]]:
            still_gone: Row = {"$lt": ["$until", _from_now(-FORGET_SECONDS)]}
            await members.delete_many({"_id": {"$in": gone}, "$expr": still_gone})
    return frozenset(each["_id"] for each in found if each["lives"])


async def hold(connection: Connection, lease: Lease, session: Session) -> bool:
    """In a transaction that writes under a lease: whether it is still held so. If it is, nobody else gets it until the end."""
    return await hold_all(connection, (lease,), session)


async def hold_all(connection: Connection, held: Sequence[Lease], session: Session) -> bool:
    """The same for several leases."""
    names = [lease.name for lease in held]
    await _move_fences(connection, names, session)
    found = await connection.collection("leases").find({"_id": _any_of(names)}, session=session).to_list()
    holders = {each["_id"]: (each["holder"], each["epoch"]) for each in found}
    return all(holders.get(lease.name) == (lease.holder, lease.epoch) for lease in held)


def _any_of(names: Sequence[str]) -> str | Row:
    """The condition on `_id`: with one name it costs the server half."""
    return names[0] if len(names) == 1 else {"$in": list(names)}


async def _move_fences(connection: Connection, names: Sequence[str], session: Session) -> None:
    """Collide with every other transaction that does the same for one of these leases."""
    fences = connection.collection("fences")
    move: Row = {"$inc": {"moves": 1}}
    moved = await fences.update_many({"_id": _any_of(names)}, move, session=session)
    if moved.matched_count < len(names):
        await fences.bulk_write([UpdateOne({"_id": name}, move, upsert=True) for name in names], session=session)


async def save_under(
    connection: Connection,
    held: Sequence[Lease],
    puts: Sequence[Document],
    deletes: Collection[DocumentKey],
    cursors: Mapping[str, int],
    drop_cursors: Collection[str],
) -> bool:
    """Write documents and cursors in one commit, unless another holder has had one of the leases; whether it was done."""

    async def work(session: Session) -> bool:
        if not await hold_all(connection, held, session):
            return False
        await documents.write(connection, puts, deletes, session)
        rows = connection.collection("cursors")
        if cursors:
            updates = [cursor_update(name, sequence) for name, sequence in cursors.items()]
            await rows.bulk_write(updates, ordered=False, session=session)
        if drop_cursors:
            await rows.delete_many({"_id": {"$in": list(drop_cursors)}}, session=session)
        return True

    return await connection.transact(work, "saving under a lease")
