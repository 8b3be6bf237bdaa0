"""A subscriber whose session an MQTT broker keeps, which comes back by itself, and an MQTT broker that does as it is told."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import orjson
from mosquitto import MqttBroker

from broker.delivery.mqtt_packets import Packet


@dataclass
class Keeper:
    """What a persistent subscriber got: entity ids by how often, in order of arrival."""

    ids: list[str] = field(default_factory=list)
    notifications: Counter[str] = field(default_factory=Counter)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    listens: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, payload: bytes) -> None:
        body = orjson.loads(payload)["body"]
        self.ids.extend(entity["id"] for entity in body["data"])
        self.notifications[body["id"]] += 1
        self.news.set()

    async def wait(self, ids: set[str], seconds: float = 10.0) -> None:
        """Until all of these have come."""
        async with asyncio.timeout(seconds):
            while not ids <= set(self.ids):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def keeping(broker: MqttBroker, topic: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Keeper]:
    """A subscriber of quality 2 with a session of its own, for as long as the block runs, whatever becomes of the broker."""
    keeper = Keeper()

    async def listen() -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                client = aiomqtt.Client(
                    broker.host,
                    broker.port,
                    identifier="keeper",
                    clean_session=False,
                    protocol=aiomqtt.ProtocolVersion.V311,
                    tls_context=tls,
                )
                async with client:
                    await client.subscribe(topic, qos=2)
                    keeper.listens.set()
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        keeper.take(message.payload)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(5):
            await keeper.listens.wait()
        yield keeper
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass
class Told:
    """An MQTT 3.1.1 broker that plays one script a connection, and what it got there: (type, flags, body) of each packet.

    A script has packets to send, each after the next packet has come; b"" sends nothing. At its end the connection is cut.
    """

    scripts: list[list[bytes]]
    port: int = 0
    got: list[list[tuple[int, int, bytes]]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets: list[tuple[int, int, bytes]] = []
        script = self.scripts[len(self.got)]
        self.got.append(packets)
        try:
            for answer in script:
                packets.append(await _packet(reader))
                writer.write(answer)
                await writer.drain()
            if len(self.got) == len(self.scripts):
                await reader.read()
        except (EOFError, OSError):
            pass  # the client left
        finally:
            writer.transport.abort()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    first = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        size |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return first >> 4, first & 0xF, await reader.readexactly(size)


@asynccontextmanager
async def told(*scripts: list[bytes]) -> AsyncIterator[Told]:
    """An MQTT broker that plays these scripts, one a connection."""
    one = Told(list(scripts))
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


def connack(*, session_present: bool = False) -> bytes:
    return bytes((Packet.CONNACK << 4, 2, session_present, 0))


def ack(kind: Packet, packet_id: int) -> bytes:
    return bytes((kind << 4 | (2 if kind == Packet.PUBREL else 0), 2)) + packet_id.to_bytes(2, "big")


def info(qos: int, version: str = "mqtt5.0") -> dict[str, Any]:
    """The endpoint's members that ask for a quality and a version (7.2)."""
    return {"notifierInfo": [{"key": "MQTT-Version", "value": version}, {"key": "MQTT-QoS", "value": str(qos)}]}
