"""Leases and followed documents on a MongoDB that dies, steps down or forgets, and beside processes that die in a save."""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mongod import die_with_parent
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

import broker
from broker.errors import InternalError, StoreUnavailable
from broker.sharing.leases import LEASE_SECONDS, Leases
from broker.store.mongo import documents as documents_module
from broker.store.mongo import following as following_module
from broker.store.mongo import leases as lease_rows
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Document, DocumentEvent

pytestmark = pytest.mark.mongo

PROGRAM = """
import asyncio, sys
from broker.store.mongo import leases
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Document

hold_all = leases.hold_all

async def hold_and_pause(connection, leases_held, session):
    held = await hold_all(connection, leases_held, session)
    print("inside", flush=True)
    await asyncio.sleep(60)
    return held

async def main():
    store = MongoStore(*sys.argv[1:])
    await store.open()
    lease = (await store.take_leases(["work"], "child", 0.5))["work"]
    leases.hold_all = hold_and_pause
    await store.save_under(lease, puts=[Document("state", "city", "x", {"n": 1})])

asyncio.run(main())
"""
"""A process in the middle of a save under a lease."""


def document(number):
    return Document("state", "city", "x", {"n": number})


async def until_done(attempt):
    async with asyncio.timeout(30):
        while True:
            try:
                return await attempt()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def until_heard(following, event):
    """Everything heard up to this event or, as good, a call to look at everything again."""
    async with asyncio.timeout(30):
        while True:
            if await anext(following) in (event, None):
                return


async def test_a_takeover_does_not_wait_for_a_process_that_was_killed_in_the_middle_of_a_save(
    mongo_store, mongodb_uri, empty_mongo_database
):
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, mongodb_uri, empty_mongo_database),
        cwd=Path(broker.__file__).parents[1],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert await child.stdout.readline() == b"inside\n"
    child.kill()
    await child.wait()
    start = time.monotonic()
    while not await mongo_store.take_leases(["work"], "b", 30):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert time.monotonic() - start < 3
    assert await mongo_store.list_documents("state") == []


async def test_a_change_of_holder_in_the_middle_of_a_save_refuses_the_save(mongo_store, monkeypatch):
    """The lease is lost behind the beginning of the save's transaction, which therefore still sees it."""
    lease = (await mongo_store.take_leases(["work"], "a", 0.05))["work"]
    other = MongoStore(mongo_store._connection.uri, mongo_store._connection.name)
    await other.open()
    await asyncio.sleep(0.1)
    hold_all, stolen = lease_rows.hold_all, []

    async def hold_late(connection, held, session):
        await connection.collection("cursors").find_one({"_id": "a snapshot begins"}, session=session)
        if not stolen:
            stolen.append(await other.take_leases(["work"], "b", 30))
        return await hold_all(connection, held, session)

    monkeypatch.setattr(lease_rows, "hold_all", hold_late)
    try:
        assert not await mongo_store.save_under(lease, puts=[document(1)])
    finally:
        await other.close()
    assert stolen[0]["work"].holder == "b"
    assert await mongo_store.list_documents("state") == []


async def test_leases_are_renewed_however_long_a_write_under_them_takes(mongo_store, monkeypatch):
    """And another process does not take one while a write under it, begun in time, is still to be committed."""
    leases = await mongo_store.take_leases(["work", "other"], "a", 30)
    hold_all, inside, go_on = lease_rows.hold_all, asyncio.Event(), asyncio.Event()

    async def hold_and_wait(connection, held, session):
        still = await hold_all(connection, held, session)
        inside.set()
        await go_on.wait()
        return still

    monkeypatch.setattr(lease_rows, "hold_all", hold_and_wait)
    saving = asyncio.create_task(mongo_store.save_under(leases["work"], puts=[document(1)]))
    await inside.wait()
    async with asyncio.timeout(5):
        assert await mongo_store.take_leases(["work", "other"], "a", 0.05) == leases
    await asyncio.sleep(0.1)
    taking = asyncio.create_task(mongo_store.take_leases(["work"], "b", 30))
    await asyncio.sleep(0.2)
    assert not taking.done()
    go_on.set()
    assert await saving
    assert (await taking)["work"].holder == "b"
    assert not await mongo_store.save_under(leases["work"], puts=[document(2)])
    assert await mongo_store.list_documents("state") == [("city", "x", {"n": 1})]


async def test_documents_that_fit_into_no_message_together_are_saved_in_portions(mongo_store, monkeypatch):
    monkeypatch.setattr(documents_module, "PORTION_BYTES", 30)
    lease = (await mongo_store.take_leases(["share"], "me", 30.0))["share"]
    for step in (2, 1):  # every second one is there when all are saved
        puts = [Document("state", "city", f"{number}", {"n": step}) for number in range(0, 9, step)]
        assert await mongo_store.save_under(lease, puts=puts)
    found = await mongo_store.list_documents("state")
    assert found == [("city", number, {"n": 1}) for number in "024681357"]


async def test_fences_that_several_make_at_once_are_made_once(mongo_store, mongo_client):
    """As in a database from before there were any."""
    lease = (await mongo_store.take_leases(["work"], "a", 30))["work"]
    fences = mongo_client[mongo_store._connection.name].fences
    for _ in range(20):
        fences.delete_many({})
        assert all(await asyncio.gather(*(mongo_store.save_under(lease, cursors={f"x{n}": 1}) for n in range(4))))
        assert fences.count_documents({}) == 1


async def test_a_lease_that_cannot_be_had_costs_none_that_is_held(mongo_store, mongodb_uri, empty_mongo_database):
    """The dead of another machine, whose connection stays, is in the middle of a write under a lease that has run out."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, mongodb_uri, empty_mongo_database),
        cwd=Path(broker.__file__).parents[1],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert await child.stdout.readline() == b"inside\n"
    lost = []
    leases = Leases(mongo_store, "a")
    leases.want("own", lambda _: None, lost.append)
    leases.want("work", lambda _: None, lost.append)
    await leases.start()
    try:
        assert leases.held("own")
        await asyncio.sleep(LEASE_SECONDS + 0.5)
        assert leases.held("own")
        assert not leases.held("work")
        assert lost == []
        child.kill()
        await child.wait()
        async with asyncio.timeout(20):
            while not leases.held("work"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await leases.stop()


async def test_members_that_ended_without_a_word_are_forgotten(mongo_store, mongo_client, monkeypatch):
    monkeypatch.setattr(lease_rows, "FORGET_SECONDS", 0.2)
    await mongo_store.enlist("a", 0.05)
    members = mongo_client[mongo_store._connection.name].members
    async with asyncio.timeout(10):
        while members.count_documents({}) != 1 or members.find_one({"_id": "a"}):
            await mongo_store.enlist("b", 30)
            await asyncio.sleep(0.05)


async def test_what_others_write_is_heard_of(mongo_store):
    writer = MongoStore(mongo_store._connection.uri, mongo_store._connection.name)
    await writer.open()
    try:
        await writer.put_document("state", "city", "before", {"n": 0})
        following = mongo_store.follow_documents(["state", "registration"])
        assert await asyncio.wait_for(anext(following), 10) is None
        await writer.put_document("state", "city", "x", {"n": 1})
        await writer.put_document("states", "city", "x", {"n": 1})
        await writer.put_document("stat", "city", "x", {"n": 1})
        await writer.put_document("registration", "", "urn:a b:é", {"n": 1}, create=True)
        await writer.put_document("state", "city", "x", {"n": 2})
        await writer.change_document("state", "city", "x", lambda body: {"n": body["n"] + 1})
        lease = (await writer.take_leases(["work"], "a", 30))["work"]
        await writer.save_under(
            lease, puts=[Document("state", "city", "y", {"n": 1})], deletes=[("state", "city", "before")]
        )
        await mongo_store.delete_document("state", "city", "x")
        async with asyncio.timeout(10):
            heard = [await anext(following) for _ in range(7)]
        assert heard[:4] == [
            DocumentEvent("state", "city", "x"),
            DocumentEvent("registration", "", "urn:a b:é"),
            DocumentEvent("state", "city", "x"),
            DocumentEvent("state", "city", "x"),
        ]
        assert set(heard[4:6]) == {DocumentEvent("state", "city", "y"), DocumentEvent("state", "city", "before")}
        assert heard[6] == DocumentEvent("state", "city", "x")
        await following.aclose()
    finally:
        await writer.close()


async def test_following_goes_on_behind_a_killed_server_and_a_step_down(mongod):
    """What was written while nobody could be followed is heard of afterwards."""
    follower, writer = MongoStore(mongod.uri), MongoStore(mongod.uri)
    await follower.open()
    await writer.open()
    following = follower.follow_documents(["state"])
    assert await asyncio.wait_for(anext(following), 10) is None
    await writer.put_document("state", "", "1", {})
    await until_heard(following, DocumentEvent("state", "", "1"))
    mongod.kill()
    hearing = asyncio.create_task(until_heard(following, DocumentEvent("state", "", "2")))
    await asyncio.sleep(0.3)
    mongod.start()
    await until_done(lambda: writer.put_document("state", "", "2", {}))
    await hearing
    hearing = asyncio.create_task(until_heard(following, DocumentEvent("state", "", "3")))
    with MongoClient(mongod.uri, directConnection=True) as client:
        client.admin.command({"replSetStepDown": 1, "force": True})
    await until_done(lambda: writer.put_document("state", "", "3", {}))
    await hearing
    lease = await until_done(lambda: writer.take_leases(["work"], "a", 30))
    assert lease["work"].holder == "a"
    await following.aclose()
    await follower.close()
    await writer.close()


async def test_a_lease_survives_a_step_down_in_the_middle_of_renewing_and_saving(mongod):
    store = MongoStore(mongod.uri)
    await store.open()
    (lease,) = (await store.take_leases(["work"], "a", 60)).values()
    saved = 0

    async def save():
        nonlocal saved
        for number in range(1, 10_000):
            if await until_done(lambda number=number: store.save_under(lease, puts=[document(number)])):
                saved = number

    async def renew():
        while True:
            held = await until_done(lambda: store.take_leases(["work"], "a", 60))
            assert held == {"work": lease}
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(save()), asyncio.create_task(renew())]
    await asyncio.sleep(0.3)
    with MongoClient(mongod.uri, directConnection=True) as client:
        client.admin.command({"replSetStepDown": 1, "force": True})
    before = saved
    async with asyncio.timeout(30):
        while saved <= before + 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await store.get_document("state", "city", "x"))["n"] >= saved
    await store.close()


async def test_whoever_follows_is_told_when_the_collection_was_dropped(mongodb_uri, mongo_client, mongo_database):
    store = MongoStore(mongodb_uri, mongo_database)
    await store.open()
    following = store.follow_documents(["state"])
    assert await asyncio.wait_for(anext(following), 10) is None
    mongo_client[mongo_database].documents.drop()
    assert await asyncio.wait_for(anext(following), 10) is None
    await store.put_document("state", "", "1", {})
    assert await asyncio.wait_for(anext(following), 10) == DocumentEvent("state", "", "1")
    await following.aclose()
    await store.close()


class CutOff:
    """A stream that loses its connection, and whose place is older than anything that the server still knows."""

    alive = True

    def __init__(self, stream, cut_off=True):
        self.stream = stream
        self.cut_off = cut_off
        self.resume_token = None

    async def try_next(self):
        if self.resume_token is not None and self.cut_off:
            raise AutoReconnect("cut off")
        event = await self.stream.try_next()
        if event is not None:
            data = self.stream.resume_token["_data"]
            self.resume_token = {"_data": data[:2] + "0000000100000001" + data[18:]}
        return event


async def test_an_unknown_error_that_does_not_pass_makes_the_following_begin_afresh(mongo_store, monkeypatch, caplog):
    opened, places = following_module._opened, []

    @asynccontextmanager
    async def refused_behind_any_place(connection, kinds, place):
        places.append(place)
        if place is not None:
            raise InternalError("MongoDB refused following documents: who knows why")
        async with opened(connection, kinds, place) as stream:
            yield CutOff(stream, cut_off=places == [None])

    monkeypatch.setattr(following_module, "_opened", refused_behind_any_place)
    restarts = following_module.metrics.following_restarts._value
    before = restarts.get()
    following = mongo_store.follow_documents(["state"])
    assert await asyncio.wait_for(anext(following), 10) is None
    await mongo_store.put_document("state", "", "1", {})
    assert await asyncio.wait_for(anext(following), 10) == DocumentEvent("state", "", "1")
    assert await asyncio.wait_for(anext(following), 20) is None
    assert len(places) == 2 + following_module.MOST_ATTEMPTS
    assert restarts.get() == before + 1
    assert "followed afresh" in caplog.text
    await mongo_store.put_document("state", "", "2", {})
    assert await asyncio.wait_for(anext(following), 10) == DocumentEvent("state", "", "2")
    await following.aclose()


async def test_whoever_follows_is_told_when_its_place_is_too_old_for_the_server(mongo_store, monkeypatch, caplog):
    opened, places = following_module._opened, []

    @asynccontextmanager
    async def opened_and_cut_off(connection, kinds, place):
        places.append(place)
        async with opened(connection, kinds, place) as stream:
            yield CutOff(stream) if len(places) == 1 else stream

    monkeypatch.setattr(following_module, "_opened", opened_and_cut_off)
    following = mongo_store.follow_documents(["state"])
    assert await asyncio.wait_for(anext(following), 10) is None
    await mongo_store.put_document("state", "", "1", {})
    assert await asyncio.wait_for(anext(following), 10) == DocumentEvent("state", "", "1")
    assert await asyncio.wait_for(anext(following), 10) is None
    assert places[1]["_data"].startswith("820000000100000001")
    assert places[2:] == [None]
    assert "is lost" in caplog.text
    await mongo_store.put_document("state", "", "2", {})
    assert await asyncio.wait_for(anext(following), 10) == DocumentEvent("state", "", "2")
    await following.aclose()
