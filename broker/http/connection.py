"""Connections of the HTTP server: what aiohttp leaves open about bytes that are no request, or that never become one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from broker import __version__
from broker.errors import InternalError, InvalidRequest, NgsiLdError
from broker.http.problem import problem_response

logger: Final = logging.getLogger(__name__)

SERVER: Final = f"tsunagu/{__version__}"

KEEP_ALIVE_SECONDS: Final = 75.0
OPENING_SECONDS: Final = 30.0
"""How long a new connection may take until its first request line and headers are there."""

MAX_LINE: Final = 65_536
"""Bytes of a request line or of one header: room for the longest `q`, and for the longest id percent-encoded."""

LOOK_SECONDS: Final = 0.02
"""How often a server that stops looks whether its clients have gone."""

READ_BYTES: Final = 16_384
"""Bytes that are taken from a connection at a time. About three times as many may rest there until somebody reads them: the
event loop's own 256 KiB, times thousands of connections that begin to send at the same moment, would be half a gigabyte."""


class ConnectionServer(web.Server):
    """aiohttp's server, making connections of the kind below."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": KEEP_ALIVE_SECONDS,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_LINE,
            "auto_decompress": False,
            "read_bufsize": READ_BYTES,
        }
        self._buffer = bytearray(READ_BYTES)
        super().__init__(handler, **self._options)

    def __call__(self) -> "SmallReads":  # type: ignore[override] # the event loop takes both
        """A connection for a client that has come."""
        return SmallReads(Connection(self, loop=asyncio.get_running_loop(), **self._options), self._buffer)

    async def gone(self) -> None:
        """Wait until there is no connection."""
        while self.connections:  # noqa: ASYNC110 - the parent class tells nobody when it forgets one
            await asyncio.sleep(LOOK_SECONDS)


class SmallReads(asyncio.BufferedProtocol):
    """Between the event loop and a connection: takes the bytes in small portions, by a buffer that all connections share."""

    def __init__(self, connection: web.RequestHandler, buffer: bytearray) -> None:
        self._connection = connection
        self._buffer = buffer
        self._view = memoryview(buffer)
        self.connection_made = connection.connection_made  # type: ignore[method-assign]
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.eof_received = connection.eof_received  # type: ignore[method-assign]
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on the bytes that have come."""
        self._connection.data_received(bytes(self._view[:nbytes]))


class Connection(web.RequestHandler):
    """A connection that is given up if no request comes, and that answers what is no HTTP request like any other error."""

    flowing: asyncio.Task[None] | None = None
    """What writes a body without end to this client, for as long as there is one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give a client that has come some time for its first request."""
        super().connection_made(transport)
        self._opening = asyncio.get_running_loop().call_later(OPENING_SECONDS, transport.close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a client that has gone."""
        self.opened()
        if self.flowing is not None:
            self.flowing.cancel()
        super().connection_lost(exc)

    def opened(self) -> None:
        """The first request is there; from now on the keep-alive timeout watches the connection."""
        self._opening.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to bytes that are no HTTP request (`status` 400), or where this server itself failed."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if status == 400:
            logger.debug("no HTTP request from %s: %s", request.remote, message)
            reason = " ".join((message or "it cannot be parsed").encode("ascii", "backslashreplace").decode().split())
            error: NgsiLdError = InvalidRequest(f"not a valid HTTP request: {reason}")
        else:
            logger.error("a request from %s failed", request.remote, exc_info=exc)
            error = InternalError("the operation failed unexpectedly; the broker's log says why")
        response = problem_response(error)
        outgoing = web.Response(status=response.status, headers=response.headers, body=response.body)
        outgoing.headers["Server"] = SERVER
        outgoing.force_close()
        return outgoing
