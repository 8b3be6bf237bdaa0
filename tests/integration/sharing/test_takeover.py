"""A broker takes over the duties of a process that was killed or frozen, and who was frozen does no harm when it goes on."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from api import Api, running_api
from broker_process import Process
from pymongo import MongoClient

from broker.store.mongo.store import MongoStore

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(120)]

TAKEOVER_SECONDS = 5.0
SLACK_SECONDS = 5.0
"""For a machine that runs other tests beside this one."""
ID = "urn:ngsi-ld:Vehicle:1"


class Pair:
    """A process that has all duties, and a broker here that has none yet."""

    def __init__(self, holder: Process, api: Api, leases: Any) -> None:
        self.holder = holder
        self.api = api
        self.leases = leases

    def holders(self) -> set[str]:
        """The numbers of the processes that have duties."""
        found = self.leases.find({"_id": {"$regex": "^duty/"}})
        return {lease["holder"].split("/")[1] for lease in found}

    async def set_speed(self, value: int) -> None:
        fragment = {"speed": {"type": "Property", "value": value}}
        assert (await self.api.patch(f"entities/{ID}/attrs", fragment)).status == 204

    async def speeds(self, url: str = "") -> list[int]:
        """What the history has. Waits for the recorder, whoever that is."""
        async with asyncio.timeout(TAKEOVER_SECONDS + SLACK_SECONDS):
            while True:
                answer = await self.api.request("GET", f"{url or self.api.url}/ngsi-ld/v1/temporal/entities/{ID}")
                if answer.status == 200:
                    instances = answer.json.get("speed", [])
                    instances = instances if isinstance(instances, list) else [instances]
                    return [instance["value"] for instance in instances]
                if answer.status == 404:
                    return []
                assert answer.status == 503, answer.body


@pytest.fixture
async def pair(mongodb_uri: str, empty_mongo_database: str, mongo_client: MongoClient[Any]) -> AsyncIterator[Pair]:
    base, _, options = mongodb_uri.partition("?")
    holder = Process(f"{base.rstrip('/')}/{empty_mongo_database}?{options}")
    async with aiohttp.ClientSession() as session:
        await holder.start(session)
        store = MongoStore(mongodb_uri, empty_mongo_database)
        await store.open()
        try:
            async with running_api(store) as api:
                both = Pair(holder, api, mongo_client[empty_mongo_database].leases)
                assert both.holders() == {str(holder.pid)}
                vehicle = {"id": ID, "type": "Vehicle", "speed": {"type": "Property", "value": 0}}
                assert (await api.post("entities", vehicle)).status == 201
                assert await both.speeds() == [0]
                yield both
        finally:
            if holder.alive:
                await holder.end(signal.SIGKILL)
            await store.close()


async def test_history_goes_on_within_seconds_when_the_process_that_records_it_is_killed(pair: Pair) -> None:
    await pair.holder.end(signal.SIGKILL)
    begun = time.monotonic()
    await pair.set_speed(1)
    assert sorted(await pair.speeds()) == [0, 1]
    assert time.monotonic() - begun < TAKEOVER_SECONDS + SLACK_SECONDS
    assert str(pair.holder.pid) not in pair.holders()


async def test_a_process_that_was_frozen_does_nothing_twice_when_it_goes_on(pair: Pair) -> None:
    pair.holder.send(signal.SIGSTOP)
    await pair.set_speed(1)
    assert sorted(await pair.speeds()) == [0, 1]
    assert (await pair.api.delete(f"temporal/entities/{ID}")).status == 204
    assert await pair.speeds() == []
    pair.holder.send(signal.SIGCONT)
    await asyncio.sleep(1.0)
    assert await pair.speeds() == []
    assert str(pair.holder.pid) not in pair.holders()
    await pair.set_speed(2)
    assert await pair.speeds(pair.holder.url) == await pair.speeds() == [2]
