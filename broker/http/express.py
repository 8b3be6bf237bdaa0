"""The front of each connection: answers plain requests by itself, and hands over to aiohttp at the first one that is not.

aiohttp takes a request through two tasks, a dozen objects and three rounds of the event loop. Most requests need none of
that: they lie there whole, and their answer is one piece of bytes (`broker.http.wire`). As long as a client sends only such
requests, aiohttp does not hear of them. It gets the first bytes that mean anything else, and the connection from then on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from aiohttp import web

from broker.errors import InternalError
from broker.http.connection import KEEP_ALIVE_SECONDS, MAX_LINE, Connection
from broker.http.message import Response
from broker.http.problem import problem_response
from broker.http.wire import PART, Heads, Plain, answer_bytes, read_plain

READ_BYTES: Final = 16_384
"""Bytes that are taken from a connection at a time. About three times as many may rest there until somebody reads them: the
event loop's own 256 KiB, times thousands of connections that begin to send at the same moment, would be half a gigabyte."""

PATIENCE_SECONDS: Final = 1.0
"""How long a request that has begun may take to be whole, before it is aiohttp's, which knows how to wait."""

LOOK_SECONDS: Final = 0.02
"""How often a server that stops looks whether its clients have gone."""

logger: Final = logging.getLogger(__name__)

Answerer: TypeAlias = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Response]]
"""Answers a plain request: method, target, headers by lower-case name, body."""


class ConnectionServer(web.Server):
    """aiohttp's server, with an `Express` in front of each connection."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        answer: Answerer,
        max_body_bytes: int,
    ) -> None:
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": KEEP_ALIVE_SECONDS,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_LINE,
            "auto_decompress": False,
            "read_bufsize": READ_BYTES,
        }
        self.answer: Final = answer
        self.most: Final = min(READ_BYTES, max_body_bytes)
        """Bytes that the body of a plain request may have."""
        self.buffer: Final = bytearray(READ_BYTES)
        self.heads: Final = Heads(MAX_LINE)
        self.answering: Final[set[asyncio.Task[None]]] = set()
        self.stopping = False
        """Each answer is the last one on its connection."""
        super().__init__(handler, **self._options)

    def __call__(self) -> "Express":  # type: ignore[override] # the event loop takes both
        """A connection for a client that has come."""
        return Express(self, Connection(self, loop=asyncio.get_running_loop(), **self._options))

    async def gone(self) -> None:
        """Wait until there is no connection."""
        while self.connections:  # noqa: ASYNC110 - the parent class tells nobody when it forgets one
            await asyncio.sleep(LOOK_SECONDS)

    async def shutdown(self, timeout: float | None = None) -> None:
        """Let what is in flight finish, for a while, and close the connections."""
        if self.answering:
            _, late = await asyncio.wait(set(self.answering), timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await super().shutdown(timeout)


class Express(asyncio.BufferedProtocol):
    """What the event loop knows of a connection.

    It takes the bytes in small portions, by a buffer that all connections share. One request is answered at a time; what
    comes meanwhile waits, and so does a client that leaves its answers unread.
    """

    __slots__ = (
        "_answering",
        "_connection",
        "_ended",
        "_handed_over",
        "_held",
        "_idle",
        "_loop",
        "_patience",
        "_reading_paused",
        "_server",
        "_since",
        "_task",
        "_transport",
        "_unsent",
        "_view",
        "_writing_paused",
    )

    _transport: asyncio.Transport
    _task: asyncio.Task[None]

    def __init__(self, server: ConnectionServer, connection: Connection) -> None:
        self._server = server
        self._connection = connection
        self._view = memoryview(server.buffer)
        self._loop = asyncio.get_running_loop()
        self._held = b""
        self._answering = False
        self._handed_over = False
        self._ended = False
        self._reading_paused = False
        self._writing_paused = False
        self._since = 0.0
        self._unsent = 0
        self._idle: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    # --- what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast(asyncio.Transport, transport)
        self._connection.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has gone. What is being done for it is done."""
        self._forget_timers()
        self._held = b""
        self._ended = True
        self._connection.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        data = bytes(self._view[:nbytes])
        if self._handed_over:
            self._connection.data_received(data)
        elif self._answering or self._writing_paused:
            self._held += data
            if len(self._held) >= READ_BYTES and not self._reading_paused:
                self._reading_paused = True
                self._transport.pause_reading()
        else:
            self._take(self._held + data if self._held else data)

    def eof_received(self) -> bool:
        """The client sends nothing more: whether the connection stays open, for the answer that is being made."""
        if self._answering:
            self._ended = True
            return True
        if self._held and not self._handed_over:
            self._hand_over(self._held)
        self._connection.eof_received()
        return False

    def pause_writing(self) -> None:
        """Much is on its way to a client that does not take it."""
        self._writing_paused = True
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._writing_paused = False
        self._connection.resume_writing()
        if not self._answering and not self._handed_over:
            self._go_on()

    # --- what follows

    def _take(self, data: bytes) -> None:
        """Begin to answer the request that `data` begins with, or wait until it is whole, or hand over."""
        found = read_plain(data, self._server.heads, self._server.most)
        if found is PART and len(data) < READ_BYTES:
            self._held = data
            if self._patience is None:
                self._patience = self._loop.call_later(PATIENCE_SECONDS, self._lose_patience)
        elif isinstance(found, Plain):
            self._held = found.rest
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            if self._idle is None:
                self._connection.opened()
                self._connection.keep_alive(True)  # its timer ends: it does not hear of what is answered here
                self._idle = self._loop.call_later(KEEP_ALIVE_SECONDS, self._look)
            self._answering = True
            self._task = self._loop.create_task(self._answer(found))
            self._server.answering.add(self._task)
        else:
            self._hand_over(data)

    async def _answer(self, request: Plain) -> None:
        server = self._server
        try:
            response = await server.answer(request.method, request.target, request.headers, request.body)
            closing = server.stopping or self._ended
            answer = answer_bytes(response, closing=closing)
        except Exception:
            logger.exception("%s %s failed", request.method, request.target)
            response = problem_response(InternalError("the operation failed unexpectedly; the broker's log says why"))
            closing = True
            answer = answer_bytes(response, closing=closing)
        finally:
            self._answering = False
            server.answering.discard(self._task)
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(answer)
        self._since = self._loop.time()
        if closing:
            self._held = b""
            transport.close()
        elif self._held or self._reading_paused:
            self._go_on()

    def _go_on(self) -> None:
        """Take what has come while a request was answered, or was not read."""
        if self._writing_paused:
            return
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._held:
            self._take(self._held)

    def _hand_over(self, data: bytes) -> None:
        """From here on the connection is aiohttp's. It has as long as a new client for its next request."""
        self._handed_over = True
        self._forget_timers()
        self._held = b""
        if self._reading_paused:
            self._transport.resume_reading()
        self._connection.expect()
        self._connection.data_received(data)

    def _lose_patience(self) -> None:
        self._patience = None
        self._hand_over(self._held)

    def _look(self) -> None:
        """Close the connection of a client that has asked nothing for a while, or takes nothing of its answer."""
        now = self._loop.time()
        unsent = self._transport.get_write_buffer_size()
        if self._answering or unsent < self._unsent:
            self._since = now
        self._unsent = unsent
        left = self._since + KEEP_ALIVE_SECONDS - now
        if left > 0:
            self._idle = self._loop.call_later(left, self._look)
        elif unsent:
            self._transport.abort()
        else:
            self._transport.close()

    def _forget_timers(self) -> None:
        for timer in (self._idle, self._patience):
            if timer is not None:
                timer.cancel()
        self._idle = self._patience = None
