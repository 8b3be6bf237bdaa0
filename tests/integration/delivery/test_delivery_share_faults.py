"""Brokers on one MongoDB that die or freeze: others go on where they left off (design §7)."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from broker_process import Process
from delivery_desk import Receiver, eventually
from pymongo import MongoClient
from share_samples import prop, subscription_in, told

from broker.delivery.share import SHARES

pytestmark = [pytest.mark.mongo, pytest.mark.fault, pytest.mark.timeout(120)]

SUBSCRIPTIONS = [subscription_in(share) for share in range(SHARES)]


class Cluster:
    """Processes on one database, and a client that writes through one of them."""

    def __init__(self, uri: str, database: str, client: MongoClient[dict[str, object]]) -> None:
        base, _, options = uri.partition("?")
        self.store = f"{base.rstrip('/')}/{database}?{options}"
        self.leases = client[database]["leases"]
        self.processes: list[Process] = []
        self.session = aiohttp.ClientSession()
        self.written: list[tuple[str, int]] = []
        self.level = 0

    async def start(self) -> Process:
        process = Process(self.store)
        await process.start(self.session)
        self.processes.append(process)
        return process

    async def settled(self, processes: int) -> None:
        """Wait until so many have an equal part of all shares."""

        async def are_shared_out() -> bool:
            found = self.leases.find({"_id": {"$regex": "^delivery/"}, "holder": {"$ne": ""}})
            here = Counter(str(lease["holder"]) for lease in found)
            return here.total() == SHARES and len(here) == processes and max(here.values()) <= -(-SHARES // processes)

        await eventually(are_shared_out, seconds=30)

    async def subscribe(self, process: Process, uri: str) -> None:
        for subscription_id in SUBSCRIPTIONS:
            document = {
                "id": subscription_id,
                "type": "Subscription",
                "entities": [{"type": "Device"}],
                "notification": {"format": "keyValues", "endpoint": {"uri": uri}},
            }
            async with self.session.post(f"{process.url}/ngsi-ld/v1/subscriptions", json=document) as answer:
                assert answer.status == 201, await answer.text()

    async def write(self, process: Process, stop: asyncio.Event) -> None:
        """Write ever new levels of some entities through a process, in order; what was acknowledged is `written`."""
        while not stop.is_set():
            self.level += 1
            for number in range(3):
                entity_id = f"urn:ngsi-ld:Device:{number}"
                entity: dict[str, Any] = {"id": entity_id, "type": "Device", "level": prop(self.level)}
                target = f"{process.url}/ngsi-ld/v1/entityOperations/upsert"
                async with self.session.post(target, json=[entity]) as answer:
                    assert answer.status in (201, 204), await answer.text()
                self.written.append((entity_id, self.level))
            await asyncio.sleep(0.1)

    async def all_told(self, receiver: Receiver, seconds: float = 30) -> None:
        """Wait until the receiver was told of all that was written, under every subscription."""
        expected = {(subscription_id, *each) for subscription_id in SUBSCRIPTIONS for each in self.written}

        async def all_came() -> bool:
            await asyncio.sleep(0.2)
            return told(receiver).keys() >= expected

        await eventually(all_came, seconds=seconds)

    async def end(self) -> None:
        """In order: the transaction of a killed one would keep the database from being dropped for a while."""
        await self.session.close()
        for process in self.processes:
            if process.alive:
                await process.end(signal.SIGTERM)


@pytest.fixture
async def cluster(
    mongodb_uri: str, mongo_database: str, mongo_client: MongoClient[dict[str, object]]
) -> AsyncIterator[Cluster]:
    one = Cluster(mongodb_uri, mongo_database, mongo_client)
    yield one
    await one.end()


def assert_in_order(receiver: Receiver, most_repeats: int) -> None:
    """Of each entity, a subscription was told in order, but for repeats; those are no more than so many."""
    latest: dict[tuple[str, str], int] = {}
    seen: Counter[tuple[str, str, int]] = Counter()
    for one in receiver.received:
        for entity in one.data:
            key = one.body["subscriptionId"], entity["id"]
            seen[*key, entity["level"]] += 1
            if seen[*key, entity["level"]] == 1:
                assert entity["level"] > latest.get(key, 0)
                latest[key] = entity["level"]
    assert seen.total() - len(seen) <= most_repeats


async def test_a_broker_that_freezes_and_one_that_is_killed_are_replaced_and_nothing_is_lost_or_undone(
    cluster: Cluster, receiver: Receiver
) -> None:
    one, other = await cluster.start(), await cluster.start()
    await cluster.settled(2)
    await cluster.subscribe(one, f"{receiver.url}/")
    stop = asyncio.Event()
    writing = asyncio.create_task(cluster.write(other, stop))
    await asyncio.sleep(1)
    one.send(signal.SIGSTOP)
    await cluster.settled(1)
    one.send(signal.SIGCONT)
    await cluster.settled(2)
    await one.end(signal.SIGKILL)
    killed, level, missing = time.monotonic(), cluster.level, set(SUBSCRIPTIONS)
    while missing:
        await asyncio.sleep(0.1)
        missing -= {subscription_id for subscription_id, _, seen in told(receiver) if seen > level}
        assert time.monotonic() < killed + 20  # five seconds on a machine that has nothing else to do
    print(f"all subscriptions were served again {time.monotonic() - killed:.1f} s after the kill")
    stop.set()
    await writing
    await cluster.all_told(receiver)
    assert_in_order(receiver, most_repeats=len(receiver.received) // 4)
    assert await other.end(signal.SIGTERM) == 0
    before = len(receiver.received)
    await cluster.start()
    await cluster.settled(1)
    await asyncio.sleep(0.5)
    assert len(receiver.received) == before, "what was delivered is on record as delivered"
