"""A server that stops behind its successor: clients that keep their connections are told in an answer, not by an error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.http.message import Response
from broker.http.server import HttpServer

LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[HttpServer, int]]:
    async def door(path: str) -> Response | None:
        if path == "/slow":
            await asyncio.sleep(0.3)
        return Response(200, {}, b"here")

    server = HttpServer(None, door, lambda *_: None, max_body_bytes=1024)  # type: ignore[arg-type] # never asked
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop()


async def test_a_client_that_asks_again_while_the_server_stops_is_answered_and_told_to_close() -> None:
    async with serving() as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LIVE)
        assert b"Connection: close" not in await reader.readuntil(b"here")
        stopping = asyncio.create_task(server.stop(20.0))
        await asyncio.sleep(0.1)
        writer.write(LIVE)
        assert b"Connection: close" in await asyncio.wait_for(reader.read(), 10), "and the connection ends"
        await asyncio.wait_for(stopping, 10)
        writer.close()


async def test_what_is_in_flight_is_answered_and_told_to_close() -> None:
    async with serving() as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LIVE.replace(b"/health/live", b"/slow"))
        await asyncio.sleep(0.1)
        await server.stop()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        writer.close()


async def test_a_client_that_has_just_come_is_answered_too() -> None:
    async with serving() as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(server.stop(20.0))
        await asyncio.sleep(0.1)
        writer.write(LIVE)
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"here")
        await stopping
        writer.close()


async def test_clients_that_say_nothing_hold_up_the_end_for_as_long_as_it_waits_for_them_only() -> None:
    async with serving() as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        await asyncio.wait_for(server.stop(0.2), 10)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
