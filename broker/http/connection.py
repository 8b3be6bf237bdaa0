"""Connections of the HTTP server: what aiohttp leaves open about bytes that are no request, or that never become one."""

import asyncio
import logging
from typing import Final

from aiohttp import web

from broker.errors import InternalError, InvalidRequest, NgsiLdError
from broker.http.problem import problem_response
from broker.http.wire import SERVER

logger: Final = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 75.0
OPENING_SECONDS: Final = 30.0
"""How long a new connection may take until its first request line and headers are there."""

MAX_LINE: Final = 65_536
"""Bytes of a request line or of one header: room for the longest `q`, and for the longest id percent-encoded."""

READ_BYTES: Final = 16_384
"""Bytes that are taken from a connection at a time. About three times as many may rest there until somebody reads them: the
event loop's own 256 KiB, times thousands of connections that begin to send at the same moment, would be half a gigabyte."""


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
