"""The network side of the HTTP binding: aiohttp's low-level server in front of `Binding` (design §9)."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from broker.errors import InvalidRequest, NgsiLdError
from broker.http.admission import Admission, Overloaded, Place
from broker.http.binding import Binding, echo_space
from broker.http.connection import Connection
from broker.http.express import ConnectionServer
from broker.http.listening import Listener, bound_sockets
from broker.http.message import Flow, FlowEnded, Request, Response
from broker.http.problem import BareStatus, PayloadTooLarge, problem_response
from broker.http.wire import SERVER

BACKLOG: Final = 1024
"""Connections that may wait to be accepted."""

BODY_SECONDS: Final = 60.0
"""How long a client may take to send a body."""

STALL_SECONDS: Final = 30.0
"""How long the client of a flow may leave unread what is on its way to it."""

FAREWELL_SECONDS: Final = 1.0
"""How long the end of a flow may take where its client reads. What is left after that is up to the operating system."""

LINGER_SECONDS: Final = 30.0
"""How long what was written may still go out to a client that did not read, after its flow has ended."""

UNREACHABLE_MILLISECONDS: Final = 60_000
"""After how long the operating system gives up the client of a flow that confirms nothing any more."""

MAX_MESSAGE: Final = 4_096
"""Bytes of a WebSocket message from a client: none is expected."""

GOING_AWAY: Final = 1001
TRY_AGAIN_LATER: Final = 1013
"""Close codes of WebSockets: the broker stops, or it gives up this client."""

MAX_QUERY_FIELDS: Final = 200
WITH_BODY: Final = frozenset({"POST", "PATCH", "PUT"})

GONE: Final = "the client went away before its body had come"

UNREAD: Final = "unread"
"""The operation, in metrics, of a request that could not be read."""
SHED: Final = "shed"
"""That of a request that was refused because there was too much to do."""

logger: Final = logging.getLogger(__name__)

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
        self._connections = ConnectionServer(self._handle, self._answer_plain, max_body_bytes)
        self._runner: web.ServerRunner | None = None
        self._listeners: list[Listener] = []
        self._flowing: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, host: str, port: int, sockets: Sequence[socket.socket] = ()) -> int:
        """Listen, on bound `sockets` if there are any; the port that was opened (for port 0, a free one).

        Raises OSError where that cannot be.
        """
        self._runner = web.ServerRunner(self._connections, handle_signals=False, shutdown_timeout=10.0)
        await self._runner.setup()
        bound = list(sockets) or bound_sockets(host, port)
        self._listeners = [Listener(each, self._connections) for each in bound]
        return self._listeners[0].port

    async def stop(self, farewell_seconds: float = 0.0) -> None:
        """End the flows, stop listening, let what is in flight finish, close the connections.

        A client that keeps its connection learns from `Connection: close` in its next answer that it needs another, if it asks
        within `farewell_seconds`. To close under a request that is on its way would cost the client a retry.
        """
        self._stopping = self._connections.stopping = True
        for flowing in list(self._flowing):
            flowing.cancel()
        for listener in self._listeners:
            await listener.close()
        if self._runner is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(farewell_seconds):
                await self._connections.gone()
        await self._runner.cleanup()
        self._runner = None

    async def _answer_plain(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """The answer to a request to the API that lies there whole."""
        started = perf_counter()
        path, _, query = target.partition("?")
        try:
            with self._admission.request(method, path) as place:
                if body:
                    place.take(len(body))
                place.work()
                try:
                    request = Request(method, path, _query_fields(query), headers, body)
                except InvalidRequest as error:
                    response, operation = problem_response(error), UNREAD
                else:
                    response, operation = await self._binding.answer(request)
        except Overloaded as error:
            response, operation = problem_response(error), SHED
        self._observe(operation, method, target, response.status, perf_counter() - started)
        if operation in (UNREAD, SHED):
            echo_space(response, headers)
        return response

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
        if response.flow is not None:
            try:
                return await self._let_flow(incoming, response, response.flow)
            finally:
                response.flow.close()
        outgoing = web.Response(status=response.status, headers=response.headers, body=response.body or None)
        if self._stopping:
            outgoing.force_close()
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

    async def _let_flow(self, incoming: web.BaseRequest, response: Response, flow: Flow) -> web.StreamResponse:
        """Answer with a flow, until its client goes, or takes nothing any more, or the server stops."""
        outgoing: web.StreamResponse
        if response.status == 101:
            outgoing = web.WebSocketResponse(timeout=FAREWELL_SECONDS, compress=False, max_msg_size=MAX_MESSAGE)
            outgoing.headers.update(response.headers)
        else:
            outgoing = web.StreamResponse(status=response.status, headers=response.headers)
            outgoing.force_close()
        await outgoing.prepare(incoming)
        _watch_peer(incoming.transport)
        flowing = asyncio.create_task(_write(flow, outgoing))
        listening = asyncio.create_task(_listen(outgoing, flowing))
        if isinstance(incoming.protocol, Connection):
            incoming.protocol.flowing = flowing
        self._flowing.add(flowing)
        if self._stopping or incoming.transport is None:
            flowing.cancel()
        try:
            await asyncio.wait({flowing})
        finally:
            self._flowing.discard(flowing)
            flowing.cancel()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        reason = "the broker stops" if flowing.cancelled() else _reason(flowing.exception())
        if incoming.transport is not None:
            await _say_farewell(
                outgoing, flow.farewell(reason), GOING_AWAY if self._stopping else TRY_AGAIN_LATER, reason
            )
            _close_soon(incoming.transport)
        return outgoing

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
                    if incoming.transport is None:
                        raise InvalidRequest(GONE)
                    part = await incoming.content.read(missing)
                    if not part:
                        raise InvalidRequest(f"the body ended after {length - missing} of {length} bytes")
                    place.take(len(part))
                    parts.append(part)
                    missing -= len(part)
        except TimeoutError:
            raise InvalidRequest(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
        except ConnectionResetError:
            raise InvalidRequest(GONE) from None
        return parts[0] if len(parts) == 1 else b"".join(parts)


async def _write(flow: Flow, outgoing: web.StreamResponse) -> None:
    """Write a flow piece by piece. Raises FlowEnded, and OSError where the client has gone."""

    async def send(piece: bytes) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await _send(outgoing, piece)
        except TimeoutError:
            raise FlowEnded(f"the client has not read for {STALL_SECONDS:g} s") from None

    await flow.write(send)


async def _send(outgoing: web.StreamResponse, piece: bytes) -> None:
    if isinstance(outgoing, web.WebSocketResponse):
        await outgoing.send_frame(piece, WSMsgType.TEXT)
    else:
        await outgoing.write(piece)


async def _listen(outgoing: web.StreamResponse, flowing: asyncio.Task[None]) -> None:
    """Let the client of a WebSocket close it, and leave unread what else it says."""
    if isinstance(outgoing, web.WebSocketResponse):
        try:
            async for _ in outgoing:
                pass
        finally:
            flowing.cancel()


def _reason(error: BaseException | None) -> str:
    if isinstance(error, FlowEnded):
        return str(error)
    if error is not None and not isinstance(error, OSError):
        logger.error("a flow failed", exc_info=error)
    return "the broker failed; its log says why"


async def _say_farewell(outgoing: web.StreamResponse, piece: bytes, code: int, reason: str) -> None:
    """Tell the client why its flow ends, as far as it reads. What was written goes out as long as the connection is there."""
    saying = asyncio.create_task(_end(outgoing, piece, code, reason))
    await asyncio.wait({saying}, timeout=FAREWELL_SECONDS)
    saying.cancel()
    await asyncio.gather(saying, return_exceptions=True)  # it failed where the client has gone, or does not read


async def _end(outgoing: web.StreamResponse, piece: bytes, code: int, reason: str) -> None:
    if not isinstance(outgoing, web.WebSocketResponse):
        await outgoing.write(piece)
        await outgoing.write_eof()
    elif not outgoing.closed:
        try:
            await outgoing.send_frame(piece, WSMsgType.TEXT)
        finally:
            await outgoing.close(code=code, message=reason.encode(), drain=False)


def _close_soon(transport: asyncio.Transport | None) -> None:
    """Close a connection after what was written has gone out, or after a while, whatever the client does."""
    if transport is not None:
        transport.close()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)


def _watch_peer(transport: asyncio.Transport | None) -> None:
    """Have the operating system notice that a client was cut off, which never says so."""
    connected = None if transport is None else transport.get_extra_info("socket")
    if connected is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):  # it has gone already
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREACHABLE_MILLISECONDS)


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
