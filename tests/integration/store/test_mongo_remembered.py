"""Decisions on states that a process remembers of its own commits, while other processes write the same entities."""

import asyncio

import pytest
from store_samples import LEVEL, T1, T2, creation, deletion, entity, instance, update

from broker.errors import AlreadyExists, NgsiLdError, ResourceNotFound, StoreUnavailable
from broker.store.mongo.remembered import OVERHEAD, Mark, Remembered
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Mutation, VersionConflict
from broker.store.writer import EntityWriter

pytestmark = pytest.mark.mongo

ID = "urn:ngsi-ld:Thing:1"
OTHER = "urn:ngsi-ld:Thing:2"
KEY = ("", ID)


def create(entity_id, value=0, tenant=""):
    def decide(current):
        if current is not None:
            raise AlreadyExists("there is one")
        return creation(entity(entity_id.rpartition(":")[2], attrs={LEVEL: [instance(value)]}), tenant)

    return decide


def add(amount, tenant=""):
    def decide(current):
        if current is None:
            raise ResourceNotFound("there is none")
        level = current["attrs"][LEVEL][0]["value"]
        attrs = {**current["attrs"], LEVEL: [instance(level + amount)]}
        return update(current, {**current, "attrs": attrs}, tenant)

    return decide


def delete(current):
    if current is None:
        raise ResourceNotFound("there is none")
    return deletion(current)


@pytest.fixture
async def two(mongodb_uri, empty_mongo_database):
    """The writers of two processes on one database, which poll nothing: each knows only what it has committed itself."""
    stores = [MongoStore(mongodb_uri, empty_mongo_database) for _ in range(2)]
    await asyncio.gather(*(store.open() for store in stores))
    writers = [EntityWriter(store, lambda: T1) for store in stores]
    yield *writers, *stores
    await asyncio.gather(*(writer.close() for writer in writers))
    await asyncio.gather(*(store.close() for store in stores))


async def level(store, entity_id=ID):
    state = (await store.read([("", entity_id)]))[("", entity_id)]
    return state["attrs"][LEVEL][0]["value"]


async def test_alone_a_process_decides_on_what_it_has_committed_and_reads_nothing(two, monkeypatch):
    mine, _, store, _ = two
    await mine.write("", ID, create(ID))

    async def read(keys):
        raise AssertionError(f"read {keys}")

    with monkeypatch.context() as patched:
        patched.setattr(store, "read", read)
        for _ in range(3):
            await mine.write("", ID, add(1))
    assert await level(store) == 3
    assert (await store.read([KEY]))[KEY]["version"] == 4


async def test_nothing_is_decided_on_a_state_that_another_process_has_changed(two):
    mine, others, store, _ = two
    await mine.write("", ID, create(ID))
    await others.write("", ID, add(10))
    await mine.write("", ID, add(1))
    assert await level(store) == 11


async def test_no_update_is_lost_between_processes_that_remember(two):
    mine, others, store, _ = two
    await mine.write("", ID, create(ID))

    async def count(writer):
        for _ in range(25):
            await writer.write("", ID, add(1))
            await asyncio.sleep(0.001)

    await asyncio.gather(count(mine), count(others), count(mine))
    assert await level(store) == 75
    assert [change.sequence for change in await store.changes(0, 100)] == list(range(1, 77))


async def test_a_state_is_not_taken_for_another_one_of_the_same_version(two):
    mine, others, store, _ = two
    await mine.write("", ID, create(ID))
    await mine.write("", ID, add(1))
    await others.write("", ID, delete)
    await others.write("", ID, create(ID, 100))
    await others.write("", ID, add(100))
    await mine.write("", ID, add(1))
    assert await level(store) == 201


async def test_who_is_refused_is_refused_on_what_is_true_now(two):
    mine, others, store, _ = two
    await mine.write("", ID, create(ID))
    await others.write("", ID, delete)
    await mine.write("", ID, create(ID, 7))  # nothing but what is remembered speaks against it
    assert await level(store) == 7
    await others.write("", ID, delete)
    with pytest.raises(ResourceNotFound):
        await mine.write("", ID, delete)


async def test_a_refusal_beside_what_is_committed_is_as_true_as_that(two):
    mine, others, store, _ = two
    await mine.write("", ID, create(ID))
    await others.write("", ID, delete)
    outcomes = await mine.write_many("", [(OTHER, create(OTHER)), (ID, create(ID, 5))])
    assert not any(isinstance(outcome, NgsiLdError) for outcome in outcomes)
    assert await level(store) == 5


async def test_nothing_of_an_erased_space_is_remembered(two):
    mine, _, _, other_store = two
    await mine.write("space", ID, create(ID, tenant="space"))
    while await other_store.erase("space", 100):
        pass
    await mine.write("space", ID, create(ID, 3, tenant="space"))
    outcomes = await mine.write_many("space", [(ID, add(1, "space")), (OTHER, create(OTHER, tenant="space"))])
    assert not any(isinstance(outcome, NgsiLdError) for outcome in outcomes)
    assert (await other_store.read([("space", ID)]))["space", ID]["attrs"][LEVEL][0]["value"] == 4


async def test_a_commit_on_ground_that_has_gone_is_turned_away_and_leaves_nothing(two):
    mine, others, store, _ = two
    await mine.write("", ID, create(ID))
    states, ground = store.recall([KEY])
    await others.write("", OTHER, create(OTHER))  # another entity will do: who knows what else has been written
    after = {**states[KEY], "version": 2}
    with pytest.raises(VersionConflict):
        await store.commit([Mutation(update(states[KEY], after), 1, ground)])
    assert (await store.read([KEY]))[KEY]["version"] == 1
    assert store.recall([KEY]) == ({}, None)


async def test_two_commits_of_one_process_on_one_ground_do_not_build_on_one_state(two):
    mine, _, store, _ = two
    await mine.write("", ID, create(ID))
    states, ground = store.recall([KEY])
    after = {**states[KEY], "version": 2}
    tries = [store.commit([Mutation(update(states[KEY], after), 1, ground)]) for _ in range(2)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 1


async def test_what_was_read_before_another_process_committed_is_not_written_over(two):
    mine, others, store, _ = two
    await others.write("", ID, create(ID))
    await mine.write("", OTHER, create(OTHER))
    _, ground = store.recall([KEY])
    state = (await store.read([KEY]))[KEY]
    await others.write("", ID, add(1))
    with pytest.raises(VersionConflict):
        await store.commit([Mutation(update(state, {**state, "version": 2}), 1, ground)])
    assert await level(store) == 1


@pytest.mark.parametrize("decide", [add(1), delete], ids=["update", "deletion"])
async def test_what_was_read_and_a_fail_over_has_taken_back_is_not_built_upon(two, decide):
    """A read may show what no majority ever gets: then the head is where it was, and the entity is not as it was read."""
    mine, others, store, _ = two
    await others.write("", ID, create(ID))
    await mine.write("", OTHER, create(OTHER))
    states, ground = store.recall([KEY])
    assert not states
    assert ground is not None
    found = (await store.read([KEY]))[KEY]
    shown = {**found, "attrs": {**found["attrs"], LEVEL: [instance(100)]}, "version": 2}
    with pytest.raises(VersionConflict):
        await store.commit([Mutation(decide(shown), 2, ground)])
    assert await level(store) == 0
    assert await store.head() == 2


@pytest.mark.parametrize("decide", [add(1), delete], ids=["update", "deletion"])
async def test_what_was_read_is_not_taken_for_another_entity_that_was_created_since(two, decide):
    """An entity that is deleted and created again has the versions that it had: the moment of its creation tells them apart."""
    mine, others, store, _ = two
    await others.write("", ID, create(ID, 5))
    found = (await store.read([KEY]))[KEY]
    await others.write("", ID, delete)
    new = entity("1", attrs={LEVEL: [instance(7)]}) | {"createdAt": T2, "modifiedAt": T2}
    await others.write("", ID, lambda _: creation(new))
    with pytest.raises(VersionConflict):
        await store.commit([Mutation(decide(found), 1, None, found)])
    assert await level(store) == 7
    await mine.write("", ID, add(1))
    assert await level(store) == 8


async def test_an_emptied_database_that_is_as_far_again_is_another_one(two, mongodb_uri, mongo_client, mongo_database):
    stores = [MongoStore(mongodb_uri, mongo_database) for _ in range(2)]
    await stores[0].open()
    mine = EntityWriter(stores[0], lambda: T1)
    await mine.write("", ID, create(ID))
    mongo_client.drop_database(mongo_database)
    with pytest.raises(StoreUnavailable):
        await mine.write("", ID, add(1))
    await stores[1].open()
    await EntityWriter(stores[1], lambda: T1).write("", OTHER, create(OTHER))
    with pytest.raises(ResourceNotFound):
        await mine.write("", ID, add(1))
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_document_of_which_only_changes_were_written_is_as_one_written_whole(
    two, mongo_client, empty_mongo_database
):
    mine, _, store, _ = two
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.7, 35.6]}}
    steps = [
        {LEVEL: [instance(1)], "urn:a.b": [instance("x")]},
        {LEVEL: [instance(True)], "urn:a.b": [instance("x")], "urn:g": [place]},
        {LEVEL: [instance(["a", 2])], "urn:g": [place], "$:x": [instance("2026-01-01T00:00:00Z")]},
        {LEVEL: [instance(1.0)], "$:x": [instance(2**70)]},
    ]
    await mine.write("", ID, create(ID))
    for attrs in steps:
        await mine.write("", ID, lambda current: update(current, {**current, "attrs": attrs}))  # noqa: B023
        state = (await store.read([KEY]))[KEY]
        await mine.write("", OTHER, lambda _: creation({**state, "id": OTHER}))  # noqa: B023
        changed, whole = mongo_client[empty_mongo_database].entities.find({}, {"_id": 0, "body": 0, "version": 0})
        assert changed == whole
        await mine.write("", OTHER, delete)


def test_what_was_written_longest_ago_is_forgotten_first():
    remembered = Remembered(most_bytes=2 * (OVERHEAD + 2))
    remembered.keep(Mark(0), Mark(3), [(("", name), b"{}") for name in "abc"])
    assert remembered.recall([("", name) for name in "abc"], 3)[0].keys() == {("", "b"), ("", "c")}
    remembered.keep(Mark(3), Mark(5), [(("", "b"), b"{}"), (("", "d"), b"[]")])
    assert remembered.recall([("", name) for name in "abcd"], 5)[0].keys() == {("", "b"), ("", "d")}
    assert remembered.recall([("", "b")], 6) == ({}, None)  # the log has gone on
    remembered.keep(Mark(5), Mark(6), [(("", "b"), None)])
    remembered.keep(Mark(7), Mark(8), [(("", "e"), b"{}")])
    assert remembered.recall([("", name) for name in "abcde"], 8)[0].keys() == {("", "e")}
