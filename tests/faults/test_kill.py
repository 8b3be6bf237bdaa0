"""Nothing acknowledged is lost: the process is killed (SIGKILL) under write load, again and again, on both stores.

Each write carries a number of its own. After each kill the broker starts again on the same state; at the end every
number that got a 2xx must be in the entity's state (or overtaken by a later one), in the change log, in the temporal
history, and must have reached the subscriber. `TSUNAGU_KILLS` sets how many kills there are.
"""

import asyncio
import os
import random
import signal
from collections import defaultdict

import aiohttp
import orjson
import pytest
from broker_process import Process
from faults.numbered import JSON, Receiver, attribute, entity_of, first_entities, log_of, subscription
from held_leases import lease_of

from broker.app import make_store
from broker.settings import parse_store
from broker.temporal.recorder import Recorder

KILLS = int(os.environ.get("TSUNAGU_KILLS", "1"))
CLIENTS = 16

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120 + 15 * KILLS)]


class Load:
    """Clients that write unique numbers into new and into shared entities, and remember which were acknowledged."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/ngsi-ld/v1/entities"
        self.acknowledged: dict[str, list[int]] = defaultdict(list)
        self._next = 0

    async def client(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._next += 1
            number = self._next
            entity_id, hot = entity_of("Kill", number)
            try:
                if hot:
                    request = session.patch(
                        f"{self.url}/{entity_id}/attrs", data=orjson.dumps(attribute(number)), headers=JSON
                    )
                else:
                    body = orjson.dumps({"id": entity_id, "type": "Kill", **attribute(number)})
                    request = session.post(self.url, data=body, headers=JSON)
                async with request as answer:
                    if answer.status in (201, 204):
                        self.acknowledged[entity_id].append(number)
                    else:
                        assert answer.status >= 500, await answer.text()
            except (aiohttp.ClientError, OSError):
                return  # the broker is dead: it said nothing about this write


async def test_every_acknowledged_write_its_change_record_and_its_notification_survive(store_url: str) -> None:
    receiver = Receiver()
    broker = Process(store_url)
    load = Load(broker.url)
    chance = random.Random(20211)
    try:
        async with receiver.running(), aiohttp.ClientSession() as session:
            await broker.start(session)
            await _prepare(session, load.url, broker.url, f"{receiver.url}/notify")
            for _ in range(KILLS):
                stop = asyncio.Event()
                clients = [asyncio.create_task(load.client(session, stop)) for _ in range(CLIENTS)]
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                assert await broker.end(signal.SIGKILL) == -signal.SIGKILL
                stop.set()
                await asyncio.gather(*clients)
                await broker.start(session)
            await _check_states(session, load)
            await receiver.has_all(load.acknowledged, ["notify"])
            assert await broker.end(signal.SIGTERM) == 0
    finally:
        if not broker.has_ended:
            await broker.end(signal.SIGKILL)
    await _check_log_and_history(store_url, load)
    written = sum(map(len, load.acknowledged.values()))
    print(f"{KILLS} kills, {written} acknowledged writes, none lost; {receiver.repeated} notifications came twice")


async def _prepare(session: aiohttp.ClientSession, entities: str, url: str, endpoint: str) -> None:
    for body in first_entities("Kill"):
        async with session.post(entities, json=body) as answer:
            assert answer.status == 201
    async with session.post(f"{url}/ngsi-ld/v1/subscriptions", json=subscription("Kill", endpoint)) as answer:
        assert answer.status == 201, await answer.text()


async def _check_states(session: aiohttp.ClientSession, load: Load) -> None:
    for entity_id, numbers in load.acknowledged.items():
        async with session.get(f"{load.url}/{entity_id}?format=simplified") as answer:
            assert answer.status == 200, f"{entity_id} was acknowledged and is lost"
            assert (await answer.json())["number"] >= max(numbers)


async def _check_log_and_history(store_url: str, load: Load) -> None:
    store = make_store(parse_store(store_url))
    await store.open()
    try:
        recorder = Recorder(store)
        recording = asyncio.create_task(recorder.run(await lease_of(store)))
        await recorder.caught_up(await store.head(), timeout=60)
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await log_of(store, load.acknowledged)
    finally:
        await store.close()
