"""Posting over plain HTTP: addresses tried side by side, connections that are given up, hosts that are forgotten."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from yarl import URL

from broker.egress import plain
from broker.egress.plain import NoConnection, PlainHttp

Peers = set[object]


@contextlib.asynccontextmanager
async def receiving(peers: Peers, silent: bool = False) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if not silent:
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def client(*addresses: str) -> PlainHttp:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return PlainHttp(resolve, "test", 1000)


async def post(http: PlainHttp, port: int, seconds: float = 5.0, headers: dict[str, str] | None = None) -> int:
    deadline = asyncio.get_running_loop().time() + seconds
    return (await http.post(URL(f"http://receiver.example:{port}/n"), b"", headers or {}, deadline)).status


async def test_an_address_that_refuses_or_is_silent_does_not_hold_up_the_next_one() -> None:
    with socket.socket() as full:  # its queue is full, so whoever connects waits
        full.bind(("127.0.0.9", 0))
        port = full.getsockname()[1]
        full.listen(0)
        full.setblocking(False)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.9", port))
        server = await asyncio.start_server(lambda reader, writer: answer_once(reader, writer), "127.0.0.1", port)
        http = client("127.0.0.8", "127.0.0.9", "127.0.0.1")
        started = asyncio.get_running_loop().time()
        assert await post(http, port) == 204
        assert asyncio.get_running_loop().time() - started < 4
        await http.close()
        server.close()
        for each in waiting:
            each.close()


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()


async def test_where_no_address_answers_the_last_ones_failure_is_told() -> None:
    http = client("127.0.0.8", "127.0.0.9")
    with socket.socket() as unused:
        unused.bind(("127.0.0.7", 0))
        with pytest.raises(NoConnection, match="refused"):
            await post(http, unused.getsockname()[1])
    await http.close()


async def test_a_connection_whose_answer_is_not_waited_for_any_more_is_not_used_again() -> None:
    peers: Peers = set()
    async with receiving(peers, silent=True) as port:
        http = client("127.0.0.1")
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await post(http, port, 0.1)
        task = asyncio.create_task(post(http, port))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(peers) == 3
        await http.close()


async def test_a_kept_connection_that_is_being_closed_is_replaced() -> None:
    peers: Peers = set()
    async with receiving(peers) as port:
        http = client("127.0.0.1")
        assert await post(http, port) == 204
        (host,) = http._hosts.values()
        host.free[0]._transport.close()
        assert host.free[0].is_open
        assert await post(http, port) == 204
        assert len(peers) == 2
        await http.close()


async def test_connections_that_nobody_uses_are_closed_and_their_hosts_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plain, "KEEP_ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(plain, "SWEEP_SECONDS", 0.05)
    peers: Peers = set()
    async with receiving(peers) as port:
        http = client("127.0.0.1")
        assert await post(http, port) == 204
        assert await post(http, port) == 204
        assert len(peers) == 1
        for _ in range(200):
            await asyncio.sleep(0.05)
            if not http._hosts:
                break
        assert not http._hosts
        assert await post(http, port) == 204
        assert len(peers) == 2
        await http.close()


async def test_a_header_does_not_break_out_of_its_line() -> None:
    http = client("127.0.0.1")
    with pytest.raises(ValueError, match="not a header"):
        await post(http, 1, headers={"X": "a\r\nY: b"})
    await http.close()
