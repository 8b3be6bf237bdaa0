"""POST over plain HTTP on connections that are kept: what the broker does most, so it has a small client of its own.

aiohttp's client takes more CPU time for one request than composing the notification that it carries. This one knows only what a
notification needs: a body of known length, one request at a time on a connection, no redirects, no compression. Requests
over TLS and everything else go through aiohttp (broker.egress.http).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from multidict import CIMultiDictProxy
from yarl import URL

from broker.egress.answer import AnswerReader, NotHttp

CONNECTIONS_PER_HOST: Final = 16
KEEP_ALIVE_SECONDS: Final = 30.0
"""How long a connection is kept that nobody uses."""
CONNECT_SECONDS: Final = 10.0
NEXT_ADDRESS_SECONDS: Final = 0.25
"""After how long the next address of a host is tried beside one that does not answer (RFC 8305)."""
SWEEP_SECONDS: Final = 5.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host that may be called. Raises what its caller understands."""


class NoConnection(Exception):
    """There is no connection to be had. The text says why."""


class NoAnswer(Exception):
    """The connection ended before the head of an answer was there. The text says how."""


@dataclass(slots=True)
class Reply:
    """An answer. `body` is empty if it did not come whole, or in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, eq=False)
class _Host:
    """The connections to one host and port: those that are free, the last used last, and room for more."""

    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS_PER_HOST))
    free: list["_Connection"] = field(default_factory=list)
    users: int = 0


class PlainHttp:
    """See the module. To be created and closed inside the running event loop."""

    def __init__(self, resolve: Resolve, user_agent: str, limit: int) -> None:
        """`limit` is how much is kept of the body of an answer."""
        self._resolve = resolve
        self._user_agent = user_agent
        self._limit = limit
        self._hosts: dict[tuple[str, int], _Host] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def post(self, target: URL, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        """POST once; on a new connection once more, where a kept one was closed before anything of an answer came.

        Raises NoConnection, NoAnswer, NotHttp, TimeoutError, ValueError for headers that cannot be sent, and what resolving
        raises.
        """
        request = _request(target, body, headers, self._user_agent)
        key = cast(str, target.raw_host), cast(int, target.port)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Host()
        host.users += 1
        try:
            if host.room.locked():
                async with asyncio.timeout_at(deadline):
                    await host.room.acquire()
            else:
                await host.room.acquire()
            try:
                return await self._post(host, key, request, deadline)
            finally:
                host.room.release()
        finally:
            host.users -= 1

    async def close(self) -> None:
        """Close all connections that are free; those in use end with their requests."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for host in self._hosts.values():
            for connection in host.free:
                connection.abort()
            host.free.clear()
        self._hosts.clear()

    async def _post(self, host: _Host, key: tuple[str, int], request: bytes, deadline: float) -> Reply:
        while host.free:
            connection = host.free.pop()
            if connection.is_open:
                try:
                    return await self._exchange(host, connection, request, deadline)
                except NoAnswer:
                    if connection.reader.begun:
                        raise
                    break
        async with asyncio.timeout_at(deadline):
            connection = await self._connect(*key)
        return await self._exchange(host, connection, request, deadline)

    async def _exchange(self, host: _Host, connection: "_Connection", request: bytes, deadline: float) -> Reply:
        try:
            reply = await connection.exchange(request, deadline, self._limit)
        except BaseException:
            connection.abort()
            raise
        if connection.is_open and connection.reader.ended and connection.reader.reusable:
            connection.free_since = asyncio.get_running_loop().time()
            host.free.append(connection)
            if self._sweeper is None:
                self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        else:
            connection.abort()
        return reply

    def _sweep(self) -> None:
        """Close what was not used for long."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        for key, host in list(self._hosts.items()):
            while host.free and (
                not host.free[0].is_open or host.free[0].free_since < loop.time() - KEEP_ALIVE_SECONDS
            ):
                host.free.pop(0).abort()
            if not host.free and not host.users:
                del self._hosts[key]
        if self._hosts:
            self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)

    async def _connect(self, name: str, port: int) -> "_Connection":
        """A new connection to the first address that answers, each tried a little after the one before."""
        addresses = await self._resolve(name, port)
        async with asyncio.timeout(CONNECT_SECONDS):
            if len(addresses) == 1:
                return await _open(addresses[0], port)
            attempts: list[asyncio.Task[_Connection]] = []
            try:
                for address in addresses:
                    attempts.append(asyncio.create_task(_open(address, port)))
                    await asyncio.wait(attempts, timeout=NEXT_ADDRESS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    if (connected := _first(attempts)) is not None:
                        return connected
                left = [attempt for attempt in attempts if not attempt.done()]
                while left:
                    _, pending = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                    if (connected := _first(attempts)) is not None:
                        return connected
                    left = list(pending)
                return attempts[-1].result()
            finally:
                chosen = _first(attempts)
                for attempt in attempts:
                    attempt.cancel()
                for connection in await asyncio.gather(*attempts, return_exceptions=True):
                    if isinstance(connection, _Connection) and connection is not chosen:
                        connection.abort()


def _first(attempts: Sequence["asyncio.Task[_Connection]"]) -> "_Connection | None":
    for attempt in attempts:
        if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
            return attempt.result()
    return None


async def _open(address: str, port: int) -> "_Connection":
    try:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, address, port)
    except OSError as error:
        raise NoConnection(os.strerror(error.errno) if error.errno else str(error)) from error
    return connection


class _Connection(asyncio.Protocol):
    """One connection, which carries one request after the other."""

    def __init__(self) -> None:
        self.is_open = False
        self.free_since = 0.0
        self.reader = AnswerReader(0)
        self._answered: asyncio.Future[None] | None = None

    async def exchange(self, request: bytes, deadline: float, limit: int) -> Reply:
        """Send a request and wait for the answer. Raises NoAnswer, NotHttp, TimeoutError."""
        loop = asyncio.get_running_loop()
        reader = self.reader = AnswerReader(limit)
        if self._transport.is_closing():
            raise NoAnswer("the connection was closed without an answer")
        self._answered = loop.create_future()
        try:
            self._transport.write(request)
        except RuntimeError as error:  # uvloop's word for a connection that was reset a moment ago
            raise NoAnswer(f"the connection broke: {error}") from error
        expiry = loop.call_at(deadline, self._expire)
        try:
            await self._answered
        finally:
            expiry.cancel()
            self._answered = None
        return Reply(reader.status, CIMultiDictProxy(reader.headers), reader.body if reader.ended else b"")

    def abort(self) -> None:
        """Close at once."""
        if self.is_open:
            self.is_open = False
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; of none that was asked for: then the connection is not to be trusted."""
        answered = self._answered
        if answered is None or answered.done():
            self.abort()
            return
        try:
            self.reader.feed(data)
        except NotHttp as error:
            answered.set_exception(error)
            return
        if self.reader.ended:
            answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self.is_open = False
        answered = self._answered
        if answered is None or answered.done():
            return
        self.reader.feed_eof()
        if self.reader.status:
            answered.set_result(None)
        elif isinstance(exc, OSError):
            answered.set_exception(NoAnswer(f"the connection broke: {exc.strerror or exc}"))
        else:
            answered.set_exception(NoAnswer("the connection was closed without an answer"))

    def _expire(self) -> None:
        if self._answered is not None and not self._answered.done():
            if self.reader.status:
                self._answered.set_result(None)
            else:
                self._answered.set_exception(TimeoutError())


def _request(target: URL, body: bytes, headers: Mapping[str, str], user_agent: str) -> bytes:
    """The bytes of a request. Raises ValueError where a header would break out of its line."""
    lines = [f"POST {target.raw_path_qs} HTTP/1.1", f"Host: {target.host_port_subcomponent}"]
    given = {name.lower() for name in headers}
    if "user-agent" not in given:
        lines.append(f"User-Agent: {user_agent}")
    if "accept" not in given:
        lines.append("Accept: */*")
    if "content-type" not in given:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    head = "\n".join(lines)
    if head.count("\n") != len(lines) - 1 or "\r" in head or "\0" in head:
        wrong = next(line for line in lines if "\r" in line or "\n" in line or "\0" in line)
        raise ValueError(f"not a header: {wrong!r}")
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
