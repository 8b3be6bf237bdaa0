"""Connections that are answered without aiohttp: one request at a time, nobody waits for ever, and the rest is aiohttp's."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from broker.http import connection, express
from broker.http.admission import Admission, Limits
from broker.http.message import Request, Response
from broker.http.server import HttpServer

ROOT = b"/ngsi-ld/v1/"
HEAD = b" HTTP/1.1\r\nHost: a\r\n"
LARGE = 4_000_000


@pytest.fixture(autouse=True)
def _short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(express, "LINGER_SECONDS", 0.2)


class Binding:
    """Tells what it was asked, as late and as long as the path says."""

    def __init__(self) -> None:
        self.begun = 0
        self.done: list[str] = []
        self.go_on = asyncio.Event()

    async def answer(self, request: Request) -> tuple[Response, str]:
        name = request.path.rpartition("/")[2]
        self.begun += 1
        if name == "slow":
            await self.go_on.wait()
        if name == "cancelled":
            raise asyncio.CancelledError
        if name == "broken":
            raise RuntimeError("broken")
        self.done.append(name)
        body = orjson.dumps({"path": request.path, "query": request.query, "body": request.body.decode()})
        headers = {"Content-Type": "application/json"} | ({"X": "a\r\nb: c"} if name == "split" else {})
        return Response(200, headers, body + b" " * (LARGE if name.startswith("large") else 0)), name


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[HttpServer, int, Binding]]:
    async def door(path: str) -> Response | None:
        return Response(200, {}, b"door") if path == "/health/live" else None

    binding = Binding()
    server = HttpServer(binding, door, lambda *_: None, **({"max_body_bytes": 20_000} | options))  # type: ignore[arg-type]
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port, binding
    finally:
        binding.go_on.set()
        await asyncio.wait_for(server.stop(), 15)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, Any]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    body = await asyncio.wait_for(reader.readexactly(length), 10)
    return int(head.split()[1]), head, orjson.loads(body) if body[:1] == b"{" else body


def get(name: bytes, *lines: bytes) -> bytes:
    return b"GET " + ROOT + name + HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(name: bytes, body: bytes, *lines: bytes) -> bytes:
    lines = (b"Content-Length: %d" % len(body), *lines)
    return b"POST " + ROOT + name + HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is anybody's
            await asyncio.sleep(0.005)


async def test_requests_that_come_together_are_answered_in_their_order_whoever_answers_them() -> None:
    async with serving() as (_, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        chunked = b"POST " + ROOT + b"d" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        writer.write(get(b"slow") + post(b"b", b"{1}") + get(b"c?q=%25&q=2") + chunked + get(b"e"))
        await until(lambda: binding.begun == 1)
        await asyncio.sleep(0.05)
        assert binding.begun == 1, "one at a time"
        binding.go_on.set()
        assert (await answer(reader))[2]["path"].endswith("/slow")
        assert (await answer(reader))[2]["body"] == "{1}"
        assert (await answer(reader))[2]["query"] == [["q", "%"], ["q", "2"]]
        assert (await answer(reader))[0] == 411
        writer.close()


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_request_may_come_in_pieces(size: int) -> None:
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = post(b"a", b"{12345}") + get(b"b")
        for begin in range(0, len(data), size):
            writer.write(data[begin : begin + size])
            await asyncio.sleep(0)
        assert (await answer(reader))[2]["body"] == "{12345}"
        assert (await answer(reader))[2]["path"].endswith("/b")
        writer.close()


@pytest.mark.parametrize("cut", [5, 40, -3])
async def test_who_pauses_within_a_request_is_waited_for(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(express, "PATIENCE_SECONDS", 0.02)
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for data in (get(b"a"), post(b"b", b"{12345}"), get(b"c")):
            writer.write(data[:cut])
            await asyncio.sleep(0.06)
            writer.write(data[cut:])
            assert (await answer(reader))[0] == 200
        writer.close()


async def test_who_does_not_end_a_later_request_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(express, "PATIENCE_SECONDS", 0.02)
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"a"))
        await answer(reader)
        monkeypatch.setattr(connection, "OPENING_SECONDS", 0.1)
        writer.write(get(b"b")[:-4])
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_who_asks_nothing_more_is_given_up_and_who_waits_for_an_answer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "OPENING_SECONDS", 0.1)
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.1)
    async with serving() as (_, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"a"))
        await answer(reader)
        writer.write(get(b"slow"))
        await asyncio.sleep(0.3)
        binding.go_on.set()
        assert (await answer(reader))[0] == 200
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_who_says_nothing_or_little_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OPENING_SECONDS", 0.2)
    monkeypatch.setattr(express, "PATIENCE_SECONDS", 0.1)
    async with serving() as (server, port, _):
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        dripping = (await asyncio.open_connection("127.0.0.1", port))[1]
        await until(lambda: len(server._connections.open) == 2)
        gone = asyncio.create_task(server._connections.gone())
        for byte in get(b"a" * 1_000)[:-4]:
            if dripping.is_closing():
                break
            dripping.write(bytes([byte]))
            await asyncio.sleep(0.01)
        await asyncio.wait_for(gone, 10)
        silent.close()
        dripping.close()


async def test_who_wants_one_answer_gets_it_and_the_connection_ends() -> None:
    async with serving() as (server, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"a", b"Connection: close") + get(b"b"))
        status, head, _ = await answer(reader)
        assert (status, b"Connection: close" in head) == (200, True)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert binding.done == ["a"]
        assert not server._connections.connections, "aiohttp has not heard of it"
        writer.close()


async def test_the_last_answer_is_not_lost_by_what_comes_behind_it() -> None:
    async with serving() as (server, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"a", b"Connection: close"))
        await until(lambda: bool(binding.done))
        for _ in range(20):
            writer.write(get(b"b") * 50)
            await asyncio.sleep(0.005)
        assert (await answer(reader))[0] == 200
        assert await asyncio.wait_for(reader.read(), 10) == b""
        await asyncio.wait_for(server._connections.gone(), 10)
        assert binding.done == ["a"]
        writer.close()


async def test_who_takes_no_answer_is_asked_for_nothing_more_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OPENING_SECONDS", 0.5)
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.5)
    async with serving() as (server, port, binding):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        requests = b"".join(get(b"large%d" % number) for number in range(300))
        writer.write(requests)
        await until(lambda: binding.begun > 0)
        await asyncio.sleep(0.2)
        assert binding.begun < 10
        await asyncio.wait_for(server._connections.gone(), 10)
        assert binding.begun < 10
        writer.transport.abort()


async def test_who_asks_faster_than_it_is_answered_waits_itself() -> None:
    async with serving() as (server, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: len(server._connections.open) == 1)
        (express_,) = server._connections.open
        many, longest = 2_000, 0
        writer.write(get(b"a", b"X: " + b"x" * 200) * many)
        for _ in range(many):
            assert (await answer(reader))[0] == 200
            longest = max(longest, len(express_._held))
        assert len(binding.done) == many
        assert longest <= 2 * connection.READ_BYTES
        writer.close()


async def test_who_takes_answers_slowly_gets_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OPENING_SECONDS", 0.5)
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.5)
    async with serving() as (_, port, _):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.connect(("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=client, limit=65_536)
        writer.write(b"".join(get(b"large%d" % number) for number in range(3)))
        for number in range(3):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            missing = int(head.split(b"Content-Length: ")[1].split()[0])
            begin = b""
            while missing:
                part = await asyncio.wait_for(reader.read(min(missing, 400_000)), 10)
                assert part, "it was cut off"
                begin = begin or part
                missing -= len(part)
                if number == 0:
                    await asyncio.sleep(0.02)
            assert b"/large%d" % number in begin
        writer.close()


async def test_who_has_said_all_is_answered_and_the_connection_ends() -> None:
    async with serving() as (_, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"slow"))
        writer.write_eof()
        await until(lambda: binding.begun == 1)
        binding.go_on.set()
        _, head, _ = await answer(reader)
        assert b"Connection: close" in head
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_who_has_said_all_gets_a_large_answer_whole() -> None:
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
        writer.write(get(b"large"))
        writer.write_eof()
        await asyncio.sleep(0.1)
        assert len(await asyncio.wait_for(reader.read(), 10)) > LARGE
        writer.close()


@pytest.mark.parametrize("lines", [(b"Connection: close",), ()])
@pytest.mark.parametrize("behind", [b"", b"GET /half"])
async def test_who_has_said_all_while_its_answer_is_on_its_way_gets_it_whole_however_slowly_it_reads(
    lines: tuple[bytes, ...], behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.5)
    monkeypatch.setattr(express, "PATIENCE_SECONDS", 0.1)
    async with serving() as (server, port, binding):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.connect(("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=client, limit=65_536)
        writer.write(get(b"large", *lines))
        await until(lambda: bool(binding.done))
        await asyncio.sleep(0.05)
        writer.write(behind)
        await asyncio.sleep(0.05)
        writer.write_eof()
        size = 0
        while part := await asyncio.wait_for(reader.read(200_000), 10):
            size += len(part)
            await asyncio.sleep(0.02)
        assert size > LARGE
        await asyncio.wait_for(server._connections.gone(), 10)
        writer.close()


async def test_what_a_client_asked_for_before_it_went_is_done(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (server, port, binding):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"slow") + get(b"never"))
        await until(lambda: binding.begun == 1)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        binding.go_on.set()
        await until(lambda: bool(binding.done))
        await asyncio.wait_for(server._connections.gone(), 10)
        assert binding.done == ["slow"]
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_server_that_stops_answers_what_is_in_flight_and_says_that_it_closes() -> None:
    async with serving() as (server, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        idle, other = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"slow"))
        await until(lambda: binding.begun == 1)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        writer.write(get(b"never"))
        binding.go_on.set()
        status, head, _ = await answer(reader)
        assert (status, b"Connection: close" in head) == (200, True)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert await asyncio.wait_for(idle.read(), 10) == b"", "who asks nothing is not waited for"
        await asyncio.wait_for(stopping, 10)
        writer.close()
        other.close()


async def test_a_server_that_stops_waits_for_what_a_client_that_has_gone_asked_for() -> None:
    async with serving() as (server, port, binding):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"slow"))
        await until(lambda: binding.begun == 1)
        writer.transport.abort()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        binding.go_on.set()
        await asyncio.wait_for(stopping, 10)
        assert binding.done == ["slow"]


@pytest.mark.parametrize("name", [b"broken", b"split"])
async def test_an_answer_that_cannot_be_made_is_an_internal_error(
    name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(name))
        status, head, problem = await answer(reader)
        assert (status, b"Connection: close" in head) == (500, True)
        assert problem["type"].endswith("InternalError")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert [record for record in caplog.records if record.levelno == logging.ERROR]
        writer.close()


async def test_where_an_answer_is_given_up_the_next_request_does_not_get_its_place() -> None:
    async with serving() as (server, port, binding):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"cancelled") + get(b"a"))
        await until(lambda: binding.begun == 1)
        await asyncio.sleep(0.05)
        writer.write(get(b"b"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await answer(reader)
        await asyncio.wait_for(server._connections.gone(), 10)
        assert binding.done == []
        writer.close()


async def test_what_is_too_much_is_refused_and_the_connection_stays() -> None:
    async with serving(admission=Admission(Limits(requests=1))) as (_, port, binding):
        busy, asking = await asyncio.open_connection("127.0.0.1", port)
        asking.write(get(b"slow"))
        await until(lambda: binding.begun == 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"a", b"NGSILD-Tenant: city"))
        status, head, _ = await answer(reader)
        assert (status, b"NGSILD-Tenant: city" in head) == (503, True)
        binding.go_on.set()
        await answer(busy)
        writer.write(get(b"b"))
        assert (await answer(reader))[0] == 200
        asking.close()
        writer.close()


async def test_a_query_that_cannot_be_read_is_an_invalid_request_in_the_tenants_name() -> None:
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"a?q=%ff", b"NGSILD-Tenant: city") + get(b"b"))
        status, head, _ = await answer(reader)
        assert (status, b"NGSILD-Tenant: city" in head) == (400, True)
        assert (await answer(reader))[0] == 200
        writer.close()


@pytest.mark.parametrize(
    ("strange", "status"),
    [
        (post(b"a", b"x" * 17_000), 200),
        (post(b"a", b"x" * 20_001), 413),
        (post(b"a", b"{}", b"Connection: close, x"), 200),
        (b"GET /health/live" + HEAD + b"\r\n", 200),
        (b"HEAD " + ROOT + b"a HTTP/1.0\r\nHost: a\r\n\r\n", 200),
        (get(b"a", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        (b"GET " + ROOT + b"a HTTP/1.1\r\n\r\n", 400),
        (b"garbage\r\n\r\n", 400),
        (get(b"x" * 20_000), 200),
    ],
)
async def test_what_is_not_plain_is_answered_on_the_same_connection(strange: bytes, status: int) -> None:
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"before"))
        assert (await answer(reader))[0] == 200
        writer.write(strange)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert int(head.split()[1]) == status
        writer.close()


async def test_a_client_that_asks_whether_to_go_on_is_told() -> None:
    async with serving() as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"before"))
        await answer(reader)
        head, _, body = post(b"a", b"{1}", b"Expect: 100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(25), 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await answer(reader))[2]["body"] == "{1}"
        writer.close()


async def test_the_smuggled_second_request_is_never_answered() -> None:
    async with serving() as (_, port, binding):
        for line in (
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding : chunked",
            b"Content-Length: 0",
            b"X: y\nA: b",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get(b"before"))
            await answer(reader)
            writer.write(post(b"a", b"0\r\n\r\n" + get(b"smuggled"), line))
            assert (await answer(reader))[0] == 400
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        assert "smuggled" not in binding.done
