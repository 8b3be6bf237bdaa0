"""The network side of the HTTP binding: aiohttp's low-level server in front of `Binding` (design §9)."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from aiohttp import web

from broker.errors import InvalidRequest, NgsiLdError
from broker.http.admission import Admission, Overloaded, Place
from broker.http.binding import Binding, echo_space
from broker.http.connection import SERVER, Connection, ConnectionServer
from broker.http.message import Request, Response
from broker.http.problem import BareStatus, PayloadTooLarge, problem_response

BODY_SECONDS: Final = 60.0
"""How long a client may take to send a body."""

MAX_QUERY_FIELDS: Final = 200
WITH_BODY: Final = frozenset({"POST", "PATCH", "PUT"})

UNREAD: Final = "unread"
"""The operation, in metrics, of a request that could not be read."""
SHED: Final = "shed"
"""That of a request that was refused because there was too much to do."""

Observer: TypeAlias = Callable[[str, str, str, int, float], None]
"""Told of each answer: operation, method, target, status, seconds."""

SideDoor: TypeAlias = Callable[[str], Awaitable[Response | None]]
"""Answers GET requests outside the API (health, metrics) by path; None for a path that it does not know."""


class HttpServer:
    """Listens, reads requests whole, and writes what the binding answers."""

    def __init__(
        self,
        binding: Binding,
        side_door: SideDoor,
        observe: Observer,
        *,
        max_body_bytes: int,
        admission: Admission | None = None,
    ) -> None:
        self._binding = binding
        self._side_door = side_door
        self._observe = observe
        self._max_body_bytes = max_body_bytes
        self._admission = Admission() if admission is None else admission
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that was opened (for port 0, a free one). Raises OSError where that cannot be."""
        server = ConnectionServer(self._handle)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=10.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024, reuse_address=True)
        await site.start()
        address = self._runner.addresses[0]
        return int(address[1])

    async def stop(self) -> None:
        """Stop listening, let what is in flight finish, close the connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        started = perf_counter()
        if isinstance(incoming.protocol, Connection):
            incoming.protocol.opened()
        path = incoming.rel_url.raw_path
        side_answer = await self._side_door(path) if incoming.method == "GET" else None
        if side_answer is not None:
            response, operation = side_answer, "side_door"
        else:
            try:
                with self._admission.request(incoming.method, path) as place:
                    response, operation = await self._answer(incoming, place)
            except Overloaded as error:
                response, operation = problem_response(error), SHED
        self._observe(operation, incoming.method, incoming.path_qs, response.status, perf_counter() - started)
        if operation in (UNREAD, SHED):
            echo_space(response, {name.lower(): value for name, value in incoming.headers.items()})
        response.headers["Server"] = SERVER
        outgoing = web.Response(status=response.status, headers=response.headers, body=response.body or None)
        if operation == UNREAD or (operation == SHED and not incoming.content.is_eof()):
            # The rest of the body is still on its way: this connection cannot carry another request.
            outgoing.force_close()
        return outgoing

    async def _answer(self, incoming: web.BaseRequest, place: Place) -> tuple[Response, str]:
        """The response and the name of the operation. Raises Overloaded."""
        try:
            request = await self._read(incoming, place)
        except Overloaded:
            raise
        except BareStatus as bare:
            return Response(bare.status), UNREAD
        except NgsiLdError as error:
            return problem_response(error), UNREAD
        place.work()
        return await self._binding.answer(request)

    async def _read(self, incoming: web.BaseRequest, place: Place) -> Request:
        headers = _headers(incoming)
        body = b""
        if incoming.method in WITH_BODY:
            body = await self._read_body(incoming, headers, place)
        target = incoming.rel_url
        return Request(incoming.method, target.raw_path, _query_fields(target.raw_query_string), headers, body)

    async def _read_body(self, incoming: web.BaseRequest, headers: dict[str, str], place: Place) -> bytes:
        length = incoming.content_length
        if length is None:
            raise BareStatus(411)
        if length > self._max_body_bytes:
            raise PayloadTooLarge(f"the body has {length} bytes, this broker takes at most {self._max_body_bytes}")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise BareStatus(415)
        if length == 0:
            return b""
        place.announce(length)
        if headers.get("expect", "").lower() == "100-continue":
            await incoming.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            incoming.writer.output_size = 0
        parts: list[bytes] = []
        missing = length
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while missing:
                    part = await incoming.content.read(missing)
                    if not part:
                        raise InvalidRequest(f"the body ended after {length - missing} of {length} bytes")
                    place.take(len(part))
                    parts.append(part)
                    missing -= len(part)
        except TimeoutError:
            raise InvalidRequest(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
        except ConnectionResetError:
            raise InvalidRequest("the client went away before its body had come") from None
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _headers(incoming: web.BaseRequest) -> dict[str, str]:
    """The headers by lower-case name, those that come in several lines joined (RFC 9110, 5.3). Raises InvalidRequest."""
    headers: dict[str, str] = {}
    for name, value in incoming.headers.items():
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidRequest(f"the header {name} is not UTF-8")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _query_fields(raw_query: str) -> list[tuple[str, str]]:
    if not raw_query:
        return []
    try:
        return parse_qsl(raw_query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:  # too many fields, or not UTF-8
        raise InvalidRequest(f"the query string cannot be read: {error}") from None
