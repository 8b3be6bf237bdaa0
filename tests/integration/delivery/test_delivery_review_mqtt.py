"""MQTT brokers that accept a connection and then say nothing: they cost a bounded number of sockets, and no time at the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from delivery_desk import Desk, eventually

from broker.delivery import mqtt_session

LEVEL = {"type": "Property", "value": 1}


@dataclass
class Silent:
    """A server that accepts and never answers."""

    port: int = 0
    accepted: int = 0
    open: int = 0


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    one = Silent()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one.accepted += 1
        one.open += 1
        try:
            while await reader.read(1024):
                pass
        except ConnectionError:
            pass
        finally:
            one.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
async def test_attempts_that_time_out_leave_no_sockets_behind(desk: Desk, silent: Silent, scheme: str) -> None:
    subscriptions = [
        await desk.subscribe(f"{scheme}://127.0.0.1:{silent.port}/{number}", endpoint={"timeout": 100})
        for number in range(5)
    ]
    for number in range(3):
        await desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL)

    async def all_failed_twice() -> bool:
        tallies = [await desk.broker.dispatcher.tally("", one) for one in subscriptions]
        return all(tally.times_failed >= 2 for tally in tallies)

    await eventually(all_failed_twice)
    assert silent.open <= 2
    assert silent.accepted <= 2


async def test_7_2_a_broker_that_let_nobody_in_is_used_as_soon_as_it_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection is closed without an answer; an attempt later the client gets in and the message arrives."""
    monkeypatch.setattr(mqtt_session, "CONNECT_SECONDS", 0.5)
    connections = 0
    published = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        first = await reader.read(1024)
        if first:
            connections += 1
            if connections > 1:
                writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK of MQTT 5: success
                await writer.drain()
                if b"urn:ngsi-ld:Device:1" in await reader.read(65536):
                    published.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        await desk.subscribe(f"mqtt://127.0.0.1:{port}/topic")
        await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
        async with asyncio.timeout(10):
            await published.wait()
    finally:
        server.close()
