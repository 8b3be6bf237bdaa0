"""A broker that is killed costs the client of a stream a reconnect and nothing else."""

import asyncio
import signal

import aiohttp
import pytest
from broker_process import Process
from event_stream import event_source


@pytest.mark.fault
async def test_a_kill_of_the_broker_costs_a_client_a_reconnect_and_nothing_else(tmp_path):
    process = Process(f"sqlite:{tmp_path}/store")
    heard, last_id, written = [], "0", 0
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            await process.start(session)
            async with event_source(session, process.url, "type=Device&format=simplified", last_id) as source:
                for _ in range(20):
                    entity = {"id": f"urn:ngsi-ld:Device:{written}", "type": "Device", "@context": []}
                    headers = {"Content-Type": "application/ld+json"}
                    entity["level"] = {"type": "Property", "value": written}
                    async with session.post(
                        f"{process.url}/ngsi-ld/v1/entities", json=entity, headers=headers
                    ) as answer:
                        assert answer.status == 201
                    written += 1
                for told in await source.take(5):  # most of what there is: the kill comes before the rest
                    heard.append(told.entity["level"])
                    last_id = told.id
                await process.end(signal.SIGKILL)
        await process.start(session)
        async with event_source(session, process.url, "type=Device&format=simplified", last_id) as source:
            heard += [told.entity["level"] for told in await source.take(written - len(heard))]
            assert heard == list(range(60))
            stopping = asyncio.create_task(process.end(signal.SIGTERM))
            end = await source.next()
            assert end is not None
            assert end.name == "end"
            async with asyncio.timeout(5):
                assert await stopping == 0
