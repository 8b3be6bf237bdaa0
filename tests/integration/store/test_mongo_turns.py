"""Commits of several processes on one MongoDB: each has its turn, and nobody waits for one that does not use its own."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from broker.model.change import Change
from broker.store.mongo import turn as turn_module
from broker.store.mongo.store import MongoStore
from broker.store.mongo.turn import HEAD, TICKETS
from broker.store.protocol import Mutation

pytestmark = pytest.mark.mongo

NOW = "2026-11-22T21:34:08.123456Z"


def creation(entity_id):
    state = {"id": entity_id, "type": ["urn:t"], "attrs": {}, "version": 1, "createdAt": NOW, "modifiedAt": NOW}
    return Mutation(Change("", entity_id, "entityCreated", NOW, (), None, state), 0)


@asynccontextmanager
async def others(mongo_store, count):
    """More stores on the same database, as other processes have them."""
    async with AsyncExitStack() as stack:
        opened = [MongoStore(mongo_store._connection.uri, mongo_store._connection.name) for _ in range(count)]
        for store in opened:
            await store.open()
            stack.push_async_callback(store.close)
        yield opened


async def test_who_is_alone_draws_no_ticket(mongo_store, mongo_client):
    for number in range(5):
        await mongo_store.commit([creation(f"urn:x:{number}")])
    meta = mongo_client[mongo_store._connection.name].meta
    assert meta.find_one({"_id": TICKETS}) is None
    assert "serving" not in meta.find_one({"_id": HEAD})


async def test_all_that_commit_at_once_have_their_turns_and_hardly_ever_meet(mongo_store):
    collisions = turn_module.metrics.commit_collisions._value
    before, made = collisions.get(), [0, 0, 0]
    async with others(mongo_store, 2) as more:
        ends = time.monotonic() + 3

        async def keep_committing(place, store):
            while time.monotonic() < ends:
                await store.commit([creation(f"urn:x:{place}:{made[place]}")])
                made[place] += 1

        await asyncio.gather(*(keep_committing(place, store) for place, store in enumerate([mongo_store, *more])))
    assert min(made) > 0
    assert max(made) < 5 * min(made)
    assert collisions.get() - before < sum(made) / 2
    changes = await mongo_store.changes(0, 10_000)
    assert [change.sequence for change in changes] == list(range(1, sum(made) + 1))


async def test_a_ticket_of_one_that_died_is_passed_over(mongo_store, mongo_client):
    async with others(mongo_store, 2) as (dead, other):
        await dead._turn.collided(1)  # and no more is heard of it, nor does its loop pass the turn on
        meta = mongo_client[mongo_store._connection.name].meta
        assert meta.find_one({"_id": HEAD})["serving"] == 1
        for store in (mongo_store, other):
            store._turn._has_company()
        async with asyncio.timeout(10):
            await asyncio.gather(
                *(store.commit([creation(f"urn:x:{place}")]) for place, store in enumerate((mongo_store, other)))
            )
            while meta.find_one({"_id": HEAD})["serving"] < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_process_that_commits_out_of_turn_harms_nobody(mongo_store):
    """As one of an earlier version does, or one that had not met others before."""
    async with others(mongo_store, 1) as (rude,):
        mongo_store._turn._has_company()
        rude._turn._await = _at_once
        await asyncio.gather(
            *(mongo_store.commit([creation(f"urn:x:{number}")]) for number in range(20)),
            *(rude.commit([creation(f"urn:y:{number}")]) for number in range(20)),
        )
    changes = await mongo_store.changes(0, 100)
    assert [change.sequence for change in changes] == list(range(1, 41))


async def _at_once():
    """No ticket is drawn, and nothing is waited for."""
