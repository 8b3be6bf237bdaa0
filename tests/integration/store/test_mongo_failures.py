"""What MongoStore says and keeps when its MongoDB is missing, unfit, slow, or dies."""

import asyncio
import os
import time
from dataclasses import replace

import pytest
from mongod import MongodMissing, do_without, free_port, running_mongod
from pymongo import AsyncMongoClient, MongoClient

from broker.errors import Conflict, StoreUnavailable
from broker.model.change import Change
from broker.query.ast import EntityQuery
from broker.store.mongo.connection import SCHEMA_VERSION
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Mutation, OutcomeUnknown, Page
from broker.store.writer import EntityWriter

pytestmark = pytest.mark.mongo

NOW = "2026-11-22T21:34:08.123456Z"


def creation(entity_id):
    state = {"id": entity_id, "type": ["urn:T"], "createdAt": NOW, "modifiedAt": NOW, "version": 1, "attrs": {}}
    return Mutation(Change("", entity_id, "entityCreated", NOW, (), None, state), 0)


async def until_it_answers(store):
    async with asyncio.timeout(5):
        while True:
            try:
                return await store.head()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_nobody_listens():
    store = MongoStore(f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=300")
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await store.open()
    assert time.monotonic() - start < 5
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.read([("", "urn:x:1")])
    (finding,) = await store.examine()
    assert not finding.ok
    await store.close()


@pytest.mark.parametrize("uri", ["", "mongo://x", "mongodb://", "mongodb://h/?replicaSet", "mongodb://h:port/"])
async def test_a_uri_that_is_none_is_named(uri):
    with pytest.raises(StoreUnavailable, match="URI"):
        await MongoStore(uri).open()


async def test_a_server_without_transactions_is_refused_with_the_remedy():
    with running_mongod(replica_set=False) as alone:
        store = MongoStore(alone.uri)
        with pytest.raises(StoreUnavailable, match=r"rs\.initiate"):
            await store.open()
        await store.close()


async def test_a_schema_from_the_future_is_refused(mongodb_uri, mongo_client, mongo_database):
    mongo_client[mongo_database].meta.insert_one({"_id": "schema", "version": SCHEMA_VERSION + 1})
    with pytest.raises(StoreUnavailable, match=f"version {SCHEMA_VERSION + 1}"):
        await MongoStore(mongodb_uri, mongo_database).open()
    assert mongo_client[mongo_database].list_collection_names() == ["meta"]


async def test_many_processes_may_open_a_new_database_at_once(mongodb_uri, mongo_database):
    stores = [MongoStore(mongodb_uri, mongo_database) for _ in range(5)]
    await asyncio.gather(*(store.open() for store in stores))
    assert [await store.head() for store in stores] == [0] * 5
    await asyncio.gather(*(store.close() for store in stores))


async def test_opening_twice_and_closing_twice_does_no_harm(mongo_store):
    await mongo_store.open()
    await mongo_store.commit([creation("urn:x:1")])
    await mongo_store.close()
    await mongo_store.close()
    await mongo_store.open()
    assert await mongo_store.head() == 1


async def test_a_healthy_store_examines_well(mongo_store):
    findings = await mongo_store.examine()
    subjects = [finding.subject for finding in findings]
    assert subjects == ["MongoDB reachable", "Transactions", "Version", "Schema", "Durable writes", "Disk"]
    assert all(finding.ok for finding in findings if finding.subject not in ("Disk", "Durable writes")), findings


async def test_an_emptied_database_is_noticed_at_the_next_commit(mongodb_uri, mongo_client, mongo_database):
    store = MongoStore(mongodb_uri, mongo_database)
    await store.open()
    mongo_client.drop_database(mongo_database)
    with pytest.raises(StoreUnavailable, match="emptied"):
        await store.commit([creation("urn:x:1")])
    await store.close()


async def test_what_was_acknowledged_survives_a_kill_and_nothing_is_half_there(mongod):
    store = MongoStore(mongod.uri + "&timeoutMS=2000&serverSelectionTimeoutMS=500")
    await store.open()
    acknowledged = []
    killed = asyncio.Event()

    async def write():
        for number in range(100_000):
            try:
                changes = await store.commit([creation(f"urn:x:{number}:{place}") for place in range(3)])
            except StoreUnavailable:
                if killed.is_set():
                    return
                raise
            acknowledged.extend(change.sequence for change in changes)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.4)
    killed.set()
    mongod.kill()
    await writing
    assert acknowledged
    mongod.start()
    await until_it_answers(store)
    log = await store.changes(0, 100_000)
    assert [change.sequence for change in log] == list(range(1, len(log) + 1))
    assert [change.sequence for change in log][: len(acknowledged)] == acknowledged
    assert len(log) - len(acknowledged) in (0, 3)
    found = await store.query("", EntityQuery(), Page(100_000))
    assert sorted(each["id"] for each in found.entities) == sorted(change.entity_id for change in log)
    await store.commit([creation("urn:x:afterwards")])
    assert await store.head() == len(log) + 1
    await store.close()


async def test_a_frozen_server_is_reported_in_time_and_works_again_afterwards(mongod):
    store = MongoStore(mongod.uri + "&timeoutMS=700&serverSelectionTimeoutMS=500", query_seconds=0.5)
    await store.open()
    await store.commit([creation("urn:x:1")])
    mongod.freeze()
    # A process may still answer for a moment after it is told to stop.
    await asyncio.to_thread(os.waitid, os.P_PID, mongod.process.pid, os.WSTOPPED | os.WNOWAIT)
    start = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.read([("", "urn:x:1")])
    assert time.monotonic() - start < 3
    mongod.thaw()
    await until_it_answers(store)
    assert list(await store.read([("", "urn:x:1")])) == [("", "urn:x:1")]
    await store.close()


async def test_a_frozen_server_is_given_up_by_all_calls_long_before_the_driver_would(mongod):
    store = MongoStore(mongod.uri, query_seconds=60)
    await store.open()
    await store.commit([creation("urn:x:1")])
    mongod.freeze()
    await asyncio.to_thread(os.waitid, os.P_PID, mongod.process.pid, os.WSTOPPED | os.WNOWAIT)
    start = time.monotonic()
    calls = [
        store.read([("", "urn:x:1")]),
        store.query("", EntityQuery(), Page(1)),
        store.commit([creation("urn:x:2")]),
    ]
    outcomes = await asyncio.gather(*calls, *(store.head() for _ in range(200)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert time.monotonic() - start < 10
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match="not tried"):
        await store.head()
    assert time.monotonic() - start < 0.1
    mongod.thaw()
    assert await until_it_answers(store) == 1
    assert len(await store.commit([creation("urn:x:2")])) == 1
    await store.close()


async def test_a_slow_call_is_no_reason_to_give_up_a_server_that_answers(fail_point):
    store, fail = fail_point
    await store.commit([creation("urn:x:1")])
    fail("find", blockConnection=True, blockTimeMS=3000)
    assert list(await store.read([("", "urn:x:1")])) == [("", "urn:x:1")]


@pytest.fixture(scope="module")
def breakable():
    """A MongoDB with its fail points enabled: real failures of a real server, on command."""
    try:
        with running_mongod(parameters={"enableTestCommands": "1"}) as own:
            yield own
    except MongodMissing as missing:
        do_without(str(missing))


@pytest.fixture
async def fail_point(breakable):
    """An opened, empty store, and a function that makes the server fail a command of it."""
    with MongoClient(breakable.uri) as client:
        client.drop_database("tsunagu")

        def fail(command, *, times=1, off=False, **how):
            mode = "off" if off else {"times": times}
            data = {"failCommands": [command], "appName": "tsunagu/tsunagu"} | how
            client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})

        store = MongoStore(breakable.uri)
        await store.open()
        yield store, fail
        fail("ping", off=True)
        await store.close()


@pytest.mark.parametrize("command", ["insert", "findAndModify", "commitTransaction"])
async def test_a_connection_lost_in_a_transaction_is_made_good(fail_point, command):
    store, fail = fail_point
    fail(command, closeConnection=True)
    changes = await store.commit([creation("urn:x:1")])
    assert [change.sequence for change in changes] == [1]
    assert await store.changes(0, 10) == changes


async def test_a_commit_with_unknown_result_is_asked_for_until_it_is_known(fail_point):
    store, fail = fail_point
    fail("commitTransaction", times=2, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    changes = await store.commit([creation("urn:x:1")])
    assert await store.changes(0, 10) == changes


async def test_a_commit_whose_result_stays_unknown_says_so(fail_point, monkeypatch):
    monkeypatch.setattr("broker.store.mongo.connection.TRANSACTION_SECONDS", 0.3)
    store, fail = fail_point
    fail("commitTransaction", times=1000, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    with pytest.raises(OutcomeUnknown):
        await store.commit([creation("urn:x:1")])
    fail("commitTransaction", off=True)
    assert len(await store.changes(0, 10)) == 1  # whoever is told so finds out here


async def test_in_doubt_nothing_is_remembered(fail_point, monkeypatch):
    monkeypatch.setattr("broker.store.mongo.connection.TRANSACTION_SECONDS", 0.1)
    store, fail = fail_point
    await store.commit([creation("urn:x:1")])
    states, ground = store.recall([("", "urn:x:1")])
    assert states
    assert ground is not None
    fail("commitTransaction", times=1000, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    with pytest.raises(OutcomeUnknown):
        await store.commit([creation("urn:x:2")])
    fail("commitTransaction", off=True)
    assert store.recall([("", "urn:x:1")]) == ({}, None)


async def test_a_commit_that_is_interrupted_after_it_was_applied_counts_as_committed(fail_point):
    store, fail = fail_point
    fail("commitTransaction", writeConcernError={"code": 11601, "errmsg": "operation was interrupted"})
    changes = await store.commit([creation("urn:x:1")])
    assert [change.sequence for change in changes] == [1]
    assert await store.changes(0, 10) == changes


@pytest.mark.parametrize("command", ["findAndModify", "insert", "commitTransaction"])
async def test_a_transaction_that_is_interrupted_before_anything_was_applied_is_done_again(fail_point, command):
    store, fail = fail_point
    fail(command, errorCode=11601)
    changes = await store.commit([creation("urn:x:1")])
    assert [change.sequence for change in changes] == [1]
    assert await store.changes(0, 10) == changes


@pytest.mark.parametrize("decided", ["a state", "a refusal"])
async def test_a_commit_that_no_majority_confirms_is_waited_for_and_not_done_twice(
    fail_point, breakable, monkeypatch, decided
):
    """Its result is not known, then its states can be read before its changes can."""
    monkeypatch.setattr("broker.store.mongo.connection.TRANSACTION_SECONDS", 0.2)
    store, fail = fail_point
    writer = EntityWriter(store, lambda: NOW)

    def count(stored):
        if stored is not None and decided == "a refusal":
            raise Conflict("it is there already")
        made = creation("urn:x:1").change
        if stored is None:
            return made
        counted = stored | {"attrs": {"urn:n": [{"type": "Property", "value": stored["version"]}]}}
        return replace(made, kind="entityUpdated", before=stored, after=counted)

    with MongoClient(breakable.uri) as client:
        await store.head()
        client.admin.command({"configureFailPoint": "disableSnapshotting", "mode": "alwaysOn"})
        try:
            failure = {"code": 100, "errmsg": "not enough data-bearing nodes"}
            fail("commitTransaction", times=1000, writeConcernError=failure)
            writing = asyncio.create_task(writer.write("", "urn:x:1", count))
            await asyncio.sleep(0.8)
            assert not writing.done()
        finally:
            fail("commitTransaction", off=True)
            client.admin.command({"configureFailPoint": "disableSnapshotting", "mode": "off"})
        client["elsewhere"]["writes"].insert_one({})  # a server sees what is settled when something is written
    change = await writing
    await writer.close()
    assert await store.changes(0, 10) == [change]


async def kill_all_sessions(uri, every, until):
    async with AsyncMongoClient(uri, appName="killer") as client:
        while not until.is_set():
            await client.admin.command("killSessions", [])
            await asyncio.sleep(every)


async def test_a_session_killed_behind_its_commit_leaves_the_commit_as_it_was(fail_point, breakable):
    """As when another process takes a slow one for dead in the worst moment."""
    store, fail = fail_point
    fail("commitTransaction", times=6, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    over = asyncio.Event()
    killing = asyncio.create_task(kill_all_sessions(breakable.uri, 0.01, over))
    changes = await store.commit([creation("urn:x:1")])
    over.set()
    await killing
    assert await store.changes(0, 10) == changes


async def test_sessions_killed_at_any_moment_lose_and_double_nothing(fail_point, breakable):
    store, _ = fail_point
    over = asyncio.Event()
    killing = asyncio.create_task(kill_all_sessions(breakable.uri, 0.01, over))
    acknowledged = []
    try:
        for number in range(25):
            acknowledged += await store.commit([creation(f"urn:x:{number}:{place}") for place in range(3)])
    finally:
        over.set()
        await killing
    assert await store.changes(0, 1000) == acknowledged
    assert [change.sequence for change in acknowledged] == list(range(1, 76))


async def test_a_transaction_that_is_always_in_the_way_ends_in_time(fail_point, monkeypatch):
    monkeypatch.setattr("broker.store.mongo.connection.TRANSACTION_SECONDS", 0.3)
    store, fail = fail_point
    fail("findAndModify", times=100_000, errorCode=112, errorLabels=["TransientTransactionError"])
    with pytest.raises(StoreUnavailable):
        await store.commit([creation("urn:x:1")])
    fail("findAndModify", off=True)
    assert await store.changes(0, 10) == []


async def test_a_server_that_does_not_let_the_broker_look_for_orphans_is_used_all_the_same(
    fail_point, breakable, caplog
):
    """Its own limit on transactions is all that there is then."""
    _, fail = fail_point
    fail("aggregate", errorCode=13)
    store = MongoStore(breakable.uri)
    await store.open()
    assert len(await store.commit([creation("urn:x:1")])) == 1
    await store.close()
    assert "cannot look for orphaned transactions" in caplog.text
