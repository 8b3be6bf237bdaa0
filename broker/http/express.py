"""The front of each connection: answers plain requests by itself, and hands over to aiohttp at the first one that is not.

aiohttp takes a request through two tasks, a dozen objects and three rounds of the event loop. Most requests need none of
that: they lie there whole, and their answer is one piece of bytes (`broker.http.wire`). As long as a client sends only such
requests, aiohttp does not hear of it. It gets the connection with the first bytes that mean anything else.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from aiohttp import web

from broker.errors import InternalError
from broker.http import connection
from broker.http.connection import MAX_LINE, READ_BYTES, Connection
from broker.http.message import Response
from broker.http.problem import problem_response
from broker.http.wire import PART, Heads, Plain, answer_head, read_plain

PATIENCE_SECONDS: Final = 1.0
"""How long a request that has begun may take to be whole, before it is aiohttp's, which knows how to wait."""

LINGER_SECONDS: Final = 1.0
"""How long a client may take to close a connection of which it was told that it ends. What it still sends is read meanwhile:
unread bytes would have the operating system tear the connection down, and the last answer with it (RFC 9112, 9.6)."""

COPIED_BYTES: Final = 65_536
"""Up to how many bytes of a body it costs less to copy them behind the head than to send two pieces."""

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
            "keepalive_timeout": connection.KEEP_ALIVE_SECONDS,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_LINE,
            "auto_decompress": False,
            "read_bufsize": READ_BYTES,
        }
        self.answer: Final = answer
        self.most: Final = min(READ_BYTES, max_body_bytes)
        """Bytes that the body of a plain request may have."""
        self.buffer: Final = bytearray(READ_BYTES)
        self.view: Final = memoryview(self.buffer)
        self.heads: Final = Heads(MAX_LINE)
        self.open: Final[set[Express]] = set()
        """Connections of which aiohttp has not heard."""
        self.answering: Final[set[asyncio.Task[None]]] = set()
        self.stopping = False
        """Each answer is the last one on its connection."""
        super().__init__(handler, **self._options)

    def __call__(self) -> "Express":  # type: ignore[override] # the event loop takes both
        """The front of a connection for a client that has come."""
        return Express(self)

    def make_connection(self) -> Connection:
        """aiohttp's part of a connection."""
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)

    async def gone(self) -> None:
        """Wait until there is no connection."""
        while self.open or self.connections:  # noqa: ASYNC110 - the parent class tells nobody when it forgets one
            await asyncio.sleep(LOOK_SECONDS)

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close the connections, those on which something is in flight when it is answered, or after a while."""
        self.stopping = True
        for express in list(self.open):
            express.retire()
        if self.answering:
            _, late = await asyncio.wait(set(self.answering), timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await super().shutdown(timeout)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self.gone()
        for express in list(self.open):
            express.abort()


class Express(asyncio.BufferedProtocol):
    """What the event loop knows of a connection.

    It takes the bytes in small portions, by a buffer that all connections share. One request is answered at a time; what
    comes meanwhile waits, and so does a client that leaves its answers unread.
    """

    __slots__ = (
        "_allowed",
        "_answering",
        "_closing",
        "_connection",
        "_ended",
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

    _idle: asyncio.TimerHandle
    _transport: asyncio.Transport
    _task: asyncio.Task[None]

    def __init__(self, server: ConnectionServer) -> None:
        self._server = server
        self._view = server.view
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._held = b""
        self._answering = False
        self._closing = False
        self._ended = False
        self._reading_paused = False
        self._writing_paused = False
        self._since = self._loop.time()
        self._allowed = connection.OPENING_SECONDS
        self._unsent = 0
        self._patience: asyncio.TimerHandle | None = None

    # --- what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come. It has some time for its first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._server.open.add(self)
        self._idle = self._loop.call_later(self._allowed, self._look)
        with suppress(OSError):  # it has gone already
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has gone. What is being done for it is done."""
        if self._connection is not None:
            self._connection.connection_lost(exc)
            return
        self._forget()
        self._held = b""
        self._ended = True

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        data = bytes(self._view[:nbytes])
        if self._connection is not None:
            self._connection.data_received(data)
        elif self._closing:
            return
        elif self._answering or self._writing_paused:
            self._held += data
            if len(self._held) >= READ_BYTES and not self._reading_paused:
                self._reading_paused = True
                self._transport.pause_reading()
        else:
            self._take(self._held + data if self._held else data)

    def eof_received(self) -> bool:
        """The client sends nothing more: whether the connection stays open, for an answer that is being made or on its way."""
        if self._connection is not None:
            self._connection.eof_received()
            return False
        self._ended = True
        if self._answering:
            return True
        if not self._transport.get_write_buffer_size():
            return False
        if not self._closing:
            self._close()
        return True

    def pause_writing(self) -> None:
        """Much is on its way to a client that does not take it."""
        self._writing_paused = True
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._writing_paused = False
        if self._connection is not None:
            self._connection.resume_writing()
        elif not (self._answering or self._closing):
            self._go_on()

    # --- what the server says

    def retire(self) -> None:
        """Close the connection, unless a request is being answered: then its answer says so, as the server stops."""
        if not (self._answering or self._closing):
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self._transport.abort()

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
            self._allowed = connection.KEEP_ALIVE_SECONDS
            self._answering = True
            self._task = self._loop.create_task(self._answer(found))
            self._server.answering.add(self._task)
        else:
            self._hand_over(data)

    async def _answer(self, request: Plain) -> None:
        server = self._server
        try:
            response = await server.answer(request.method, request.target, request.headers, request.body)
            closing = request.closing or server.stopping or self._ended
            head = answer_head(response, closing=closing)
        except asyncio.CancelledError:
            self._transport.abort()  # what comes behind it must not get the answer that it does not
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.target)
            response = problem_response(InternalError("the operation failed unexpectedly; the broker's log says why"))
            closing = True
            head = answer_head(response, closing=closing)
        finally:
            self._answering = False
            server.answering.discard(self._task)
        transport = self._transport
        if transport.is_closing():
            return
        if len(response.body) <= COPIED_BYTES:
            transport.write(head + response.body)
        else:
            transport.writelines((head, response.body))
        self._since = self._loop.time()
        if closing:
            self._close()
        elif self._held or self._reading_paused:
            self._go_on()

    def _close(self) -> None:
        """Say nothing more, and wait a little for the client to do the same."""
        self._held = b""
        if self._transport.is_closing():  # it could not be written
            return
        if self._ended and not self._transport.get_write_buffer_size():
            self._transport.close()
            return
        self._closing = True
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self._transport.write_eof()
        self._idle.cancel()
        self._look()

    def _go_on(self) -> None:
        """Take what has come while a request was answered, or was not read."""
        if self._writing_paused or self._transport.is_closing():
            return
        if self._held:
            self._take(self._held)
        # Where more than a portion waits still, more comes when that has been answered: a client may send faster than it is.
        if self._reading_paused and len(self._held) < READ_BYTES:
            self._reading_paused = False
            self._transport.resume_reading()

    def _hand_over(self, data: bytes) -> None:
        """From here on the connection is aiohttp's, to which its client is one that has come just now."""
        self._forget()
        self._held = b""
        self._connection = self._server.make_connection()
        self._connection.connection_made(self._transport)
        if self._writing_paused:
            self._connection.pause_writing()
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self._connection.data_received(data)

    def _lose_patience(self) -> None:
        self._patience = None
        if not (self._closing or self._transport.is_closing()):
            self._hand_over(self._held)

    def _look(self) -> None:
        """Close the connection of a client that has asked nothing for a while, or takes nothing of its answer."""
        if self._transport.is_closing():  # what is left goes to nobody
            self._transport.abort()
            return
        now = self._loop.time()
        unsent = self._transport.get_write_buffer_size()
        if self._answering or (unsent and unsent != self._unsent):
            self._since = now
        self._unsent = unsent
        allowed = LINGER_SECONDS if self._closing and not unsent else self._allowed
        left = self._since + allowed - now
        if left > 0:
            self._idle = self._loop.call_later(min(left, LINGER_SECONDS) if self._closing else left, self._look)
        elif unsent:
            self._transport.abort()
        else:
            self._transport.close()

    def _forget(self) -> None:
        self._server.open.discard(self)
        self._idle.cancel()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
