"""A broker process that dies, freezes or is slow in the middle of a commit does not hold up the others."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mongod import die_with_parent

import broker
from broker.model.change import Change, Touch
from broker.store.mongo import connection, orphans
from broker.store.mongo.connection import Connection
from broker.store.mongo.store import MongoStore
from broker.store.protocol import HistoryEntry, Mutation

pytestmark = pytest.mark.mongo

DEVICE = "https://example.org/Device"
LEVEL = "https://example.org/level"
NOW = "2026-11-22T21:34:08.123456Z"
ENDED = "ended an orphaned transaction"

PROGRAM = """
import asyncio, sys
from broker.model.change import Change
from broker.store.mongo.connection import Connection
from broker.store.mongo.store import MongoStore
from broker.store.protocol import HistoryEntry, Mutation

uri, database, seconds, what, where = sys.argv[1:]
now = "2026-11-22T21:34:08.123456Z"
state = {"id": "urn:x:child", "type": ["urn:t"], "attrs": {}, "version": 1, "createdAt": now, "modifiedAt": now}
move, transact = Connection.move, Connection.transact

async def pause():
    print("inside", flush=True)
    await asyncio.sleep(float(seconds))

async def move_and_pause(self, *arguments):
    moved = await move(self, *arguments)
    await pause()
    return moved

async def transact_and_pause(self, work, *arguments):
    async def work_and_pause(session):
        result = await work(session)
        await pause()
        return result
    return await transact(self, work_and_pause, *arguments)

async def main():
    store = MongoStore(uri, database)
    await store.open()
    if where == "first statement":
        Connection.move = move_and_pause
    else:
        Connection.transact = transact_and_pause
    if what == "commit":
        (change,) = await store.commit([Mutation(Change("", state["id"], "entityCreated", now, (), None, state), 0)])
        print(change.sequence, flush=True)
    else:
        instance = {"type": "Property", "value": 1}
        entry = HistoryEntry("", state["id"], ("urn:t",), "urn:a", None, "urn:i:1", 1, now, False, instance)
        await store.append_history([entry], ("history", 1))
    await store.close()

asyncio.run(main())
"""
"""A process that creates urn:x:child or writes history, and pauses in each attempt, behind its first or last statement."""


@contextmanager
def committer(
    uri: str, database: str, *, pause: float, what: str = "commit", after: str = "first statement"
) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a transaction."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, uri, database, str(pause), what, after],
        cwd=Path(broker.__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def kill(process):
    process.kill()
    process.wait()


def freeze(process):
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def creation(entity_id):
    attrs = {LEVEL: [{"type": "Property", "value": 1}]}
    state = {
        "id": entity_id,
        "type": [DEVICE],
        "createdAt": NOW,
        "modifiedAt": NOW,
        "version": 1,
        "attrs": attrs,
    }
    return Mutation(
        Change("", entity_id, "entityCreated", NOW, (Touch(LEVEL, None, "attributeCreated"),), None, state), 0
    )


def entry(sequence):
    instance = {"type": "Property", "value": 1}
    return HistoryEntry("", "urn:x:1", (DEVICE,), LEVEL, None, f"urn:i:{sequence}", sequence, NOW, False, instance)


async def assert_log(store, *entity_ids):
    log = await store.changes(0, 100)
    assert [change.sequence for change in log] == list(range(1, len(entity_ids) + 1))
    assert [change.entity_id for change in log] == list(entity_ids)
    assert sorted(key[1] for key in await store.read([("", each) for each in entity_ids])) == sorted(entity_ids)


@pytest.fixture
async def open_store(mongodb_uri, mongo_database):
    """An opened store on a database of the test's own, to which other processes connect too."""
    store = MongoStore(mongodb_uri, mongo_database)
    await store.open()
    yield store
    await store.close()


async def test_a_process_that_runs_commits_within_a_second_after_another_was_killed_in_a_transaction(
    open_store, mongodb_uri, mongo_database, caplog
):
    with committer(mongodb_uri, mongo_database, pause=60) as child:
        kill(child)
        start = time.monotonic()
        await open_store.commit([creation("urn:x:1")])
        assert time.monotonic() - start < 1
    await assert_log(open_store, "urn:x:1")
    assert caplog.text.count(ENDED) == 1


async def test_a_process_that_starts_commits_within_a_second_after_another_was_killed_in_a_transaction(
    mongodb_uri, mongo_client, mongo_database
):
    with committer(mongodb_uri, mongo_database, pause=60) as child:
        kill(child)
        start = time.monotonic()
        store = MongoStore(mongodb_uri, mongo_database)
        await store.open()
        await store.commit([creation("urn:x:1")])
        assert time.monotonic() - start < 1
    await assert_log(store, "urn:x:1")
    await store.close()
    start = time.monotonic()
    mongo_client.drop_database(mongo_database)
    assert time.monotonic() - start < 5, "something still holds a lock on the database"


@pytest.mark.parametrize("after", ["first statement", "last statement"])
async def test_a_transaction_whose_process_does_nothing_is_ended_and_its_commit_done_again(
    open_store, mongodb_uri, mongo_database, monkeypatch, after
):
    """A frozen process stands for one on a machine without power: its connection stays as it was."""
    monkeypatch.setattr(orphans, "IDLE_SECONDS", 1.0)
    with committer(mongodb_uri, mongo_database, pause=0.2, after=after) as child:
        freeze(child)
        start = time.monotonic()
        await open_store.commit([creation("urn:x:1")])
        assert 0.9 < time.monotonic() - start < 3
        child.send_signal(signal.SIGCONT)
        printed, _ = await asyncio.to_thread(child.communicate, timeout=20)
        assert (child.returncode, printed) == (0, "inside\n2\n")
    await assert_log(open_store, "urn:x:1", "urn:x:child")


async def test_a_slow_process_that_is_alive_is_waited_for(open_store, mongodb_uri, mongo_database, monkeypatch, caplog):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.0)
    with committer(mongodb_uri, mongo_database, pause=0.7) as child:
        await open_store.commit([creation("urn:x:1")])
        printed, _ = await asyncio.to_thread(child.communicate, timeout=20)
        assert (child.returncode, printed) == (0, "1\n"), "its commit was not its first attempt"
    await assert_log(open_store, "urn:x:child", "urn:x:1")
    assert ENDED not in caplog.text


async def test_processes_that_compete_leave_each_other_alone(mongodb_uri, mongo_database, monkeypatch, caplog):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.0)
    stores = [MongoStore(mongodb_uri, mongo_database) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))

    async def write(number, store):
        for turn in range(15):
            await store.commit([creation(f"urn:x:{number}:{turn}")])
            await store.append_history([entry(turn + 1)], ("history", turn + 1))

    await asyncio.gather(*map(write, range(3), stores))
    assert [change.sequence for change in await stores[0].changes(0, 100)] == list(range(1, 46))
    assert ENDED not in caplog.text
    await asyncio.gather(*(store.close() for store in stores))


async def test_transactions_of_another_database_and_another_program_are_left_alone(mongodb_uri, mongo_database):
    other = f"{mongo_database}_other"
    asking = Connection(mongodb_uri, mongo_database)
    await asking.open()
    for uri, database, application in (
        (mongodb_uri, other, f"tsunagu/{other}"),
        (f"{mongodb_uri}&appName=backup", mongo_database, "backup"),
    ):
        with committer(uri, database, pause=60) as child:
            kill(child)
            assert await orphans.end_orphans(asking.client, f"tsunagu/{mongo_database}") == 0
            assert await orphans.end_orphans(asking.client, application) == 1
    await asking.client.drop_database(other)
    await asking.close()


async def test_a_process_killed_while_it_wrote_history_does_not_hold_up_history(
    open_store, mongodb_uri, mongo_database
):
    """The recorder's transaction holds its cursor, not the log's head."""
    with committer(mongodb_uri, mongo_database, pause=60, what="history", after="last statement") as child:
        kill(child)
        start = time.monotonic()
        await open_store.append_history([entry(1)], ("history", 1))
        assert time.monotonic() - start < 1
    assert await open_store.cursors() == {"history": 1}
    assert await open_store.history("", "urn:x:child") == []
    assert await open_store.history("", "urn:x:1") == [entry(1)]
