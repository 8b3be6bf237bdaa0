"""A snapshot survives the process: it is killed (SIGKILL) while snapshots are prepared, cloned and deleted, on both stores."""

import asyncio
import os
import random
import signal
from typing import Any

import aiohttp
import pytest
from broker_process import Process

from broker.app import make_store
from broker.model.dataspace import snapshot_space
from broker.query.ast import EntityQuery
from broker.settings import parse_store

KILLS = int(os.environ.get("TSUNAGU_KILLS", "1"))
ENTITIES = 3000
WANTED = {"type": "Query", "entities": [{"type": "Kill"}]}

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120 + 20 * KILLS)]


async def test_5_16_1_every_acknowledged_snapshot_becomes_complete_and_a_deleted_one_stays_deleted(
    store_url: str,
) -> None:
    broker = Process(store_url)
    root = f"{broker.url}/ngsi-ld/v1"
    chance = random.Random(516)
    alive: list[str] = []
    dead: list[str] = []
    async with aiohttp.ClientSession() as session:
        await broker.start(session)
        for place in range(0, ENTITIES, 500):
            batch = [{"id": f"urn:k:{n}", "type": "Kill", "number": n} for n in range(place, place + 500)]
            async with session.post(f"{root}/entityOperations/create", json=batch) as answer:
                assert answer.status == 201
        for number in range(KILLS):
            made = f"urn:s:{number}"
            await _post(session, f"{root}/snapshots", {"type": "Snapshot", "id": made, "snapshotQueries": [WANTED]})
            await _post(
                session, f"{root}/snapshots", {"type": "Snapshot", "id": made + "x", "snapshotQueries": [WANTED]}
            )
            if alive:
                await _post(session, f"{root}/snapshots/{alive[0]}/clone", {"type": "Snapshot", "id": made + "c"})
                alive.append(made + "c")
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            async with session.delete(f"{root}/snapshots/{made}x") as answer:
                assert answer.status == 204
            assert await broker.end(signal.SIGKILL) == -signal.SIGKILL
            alive.append(made)
            dead.append(made + "x")
            await broker.start(session)
            for snapshot_id in alive:
                assert await _ready(session, f"{root}/snapshots/{snapshot_id}") == "success"
        for snapshot_id in alive:
            headers = {"NGSILD-Snapshot": snapshot_id}
            async with session.get(f"{root}/entities?type=Kill&count=true&limit=0", headers=headers) as answer:
                assert answer.headers["NGSILD-Results-Count"] == str(ENTITIES)
        for snapshot_id in dead:
            async with session.get(f"{root}/snapshots/{snapshot_id}") as answer:
                assert answer.status == 404
        # The spaces are emptied by whoever has the duty: on MongoDB when the lease of the killed process has run out.
        await asyncio.sleep(5 if store_url.startswith("mongodb") else 1)
        assert await broker.end(signal.SIGTERM) == 0
    await _check_that_nothing_else_is_left(store_url, alive)


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with session.post(url, json=body) as answer:
        assert answer.status == 201, await answer.text()


async def _ready(session: aiohttp.ClientSession, url: str) -> str:
    for _ in range(600):
        async with session.get(url) as answer:
            assert answer.status == 200, f"{url} was acknowledged and is lost"
            status = (await answer.json())["snapshotStatus"]
        if status != "preparing":
            return str(status)
        await asyncio.sleep(0.05)
    raise AssertionError(f"{url} is not ready after 30 s")


async def _check_that_nothing_else_is_left(store_url: str, alive: list[str]) -> None:
    """Every space that was given up is empty already; only the records of some wait for the end of their grace."""
    store = make_store(parse_store(store_url))
    await store.open()
    try:
        kept = {document["space"] for _, _, document in await store.list_documents("snapshot")}
        assert len(kept) == len(alive)
        former = await store.list_documents("formerSnapshot")
        assert former
        for tenant, generation, body in former:
            assert generation not in kept
            assert await store.count(snapshot_space(tenant, body["snapshot"], generation), EntityQuery()) == 0
    finally:
        await store.close()
