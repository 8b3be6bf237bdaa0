"""A connection to an MQTT broker that breaks between two packets, on the event loop that a broker runs on."""

import asyncio

import uvloop

from broker.delivery.mqtt_link import Link
from broker.delivery.mqtt_packets import PING


def test_a_packet_for_a_connection_that_broke_a_moment_ago_is_told_by_the_reader_alone() -> None:
    async def send_and_end() -> list[str]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        link = Link("mqtt://test", "mqtt5.0", reader, writer, secure=False)
        told: list[str] = []
        writer.transport.abort()
        await asyncio.sleep(0.05)  # now it is closed, and nobody has read that yet
        link.send(PING)
        link.run(lambda kind, body: None, lambda reason: told.append(str(reason)))
        await asyncio.sleep(0.05)
        await link.end()
        server.close()
        return told

    told = uvloop.run(send_and_end())
    assert len(told) == 1
    assert "closed" in told[0]
