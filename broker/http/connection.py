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


class ConnectionServer(web.Server):
    """aiohttp's server, making connections of the kind below."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": KEEP_ALIVE_SECONDS,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_LINE,
            "auto_decompress": False,
        }
        super().__init__(handler, **self._options)

    def __call__(self) -> web.RequestHandler:
        """A connection for a client that has come."""
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)


class Connection(web.RequestHandler):
    """A connection that is given up if no request comes, and that answers what is no HTTP request like any other error."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give a client that has come some time for its first request."""
        super().connection_made(transport)
        self._opening = asyncio.get_running_loop().call_later(OPENING_SECONDS, transport.close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a client that has gone."""
        self.opened()
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
