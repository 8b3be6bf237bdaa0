"""Resource stream (below /tsunagu/v1): the change log as server-sent events and as WebSocket. An extension (docs/streams.md)."""

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from broker.delivery.stream import Event, Stream, StreamEnded
from broker.errors import BadRequestData, InvalidRequest
from broker.http.entities import REPRESENTATIONS, projection_members
from broker.http.exchange import TENANT_HEADER, Exchange, check_tenant_name, no_content
from broker.http.message import Flow, FlowEnded, Response, Send, json_body
from broker.http.negotiation import context_header, context_link, negotiate
from broker.http.problem import OriginNotAllowed
from broker.http.queries import query_members
from broker.operations.streams import open_stream

HEARTBEAT_SECONDS: Final = 15.0
"""How often a stream that has nothing to tell shows that it is alive, and how far it has come."""
RETRY_MILLISECONDS: Final = 2_000
"""When a browser connects again after it lost a stream."""

EVENT_STREAM: Final = "text/event-stream"
LAST_EVENT_ID: Final = "Last-Event-ID"

PARAMETERS: Final = frozenset(
    {
        *("type", "id", "idPattern", "watchedAttributes", "attrs", "notificationTrigger"),
        *("q", "scopeQ", "expandValues", "jsonKeys", "georel", "geometry", "coordinates", "geoproperty"),
        *("pick", "omit", "format", "options", "lang", "datasetId", "join", "joinLevel", "showChanges", "accept"),
        *("context", "tenant", "lastEventId"),
    }
)

_Frame: TypeAlias = Callable[[str, int, bytes], bytes]
"""The name of an event, its position and its data as they go out."""


async def follow(exchange: Exchange) -> Response:
    """GET /stream: what a subscription with these filters would be notified of, from now on or from a position on."""
    headers = exchange.request.headers
    is_socket = headers.get("upgrade", "").strip().lower() == "websocket"
    if is_socket:
        _check_handshake(exchange)
    else:
        negotiate(headers.get("accept"), (EVENT_STREAM,))
    position = _position(exchange)
    tenant = _tenant(exchange)
    context = await exchange.broker.contexts.resolve(_context(exchange))
    stream = await open_stream(exchange.broker, tenant, _filters(exchange), context, position)
    answered = {"Link": context_header(stream.subscription.context)}
    if tenant:
        answered[TENANT_HEADER] = tenant
    if not is_socket:
        # Nobody in between may keep the events back until there are more of them.
        answered |= {"Content-Type": EVENT_STREAM, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Response(101 if is_socket else 200, answered, flow=_flow(exchange, stream, is_socket))


async def preflight(exchange: Exchange) -> Response:
    """OPTIONS /stream: what a browser asks before it lets a page of another origin send headers of its own."""
    response = no_content()
    response.headers["Allow"] = "GET, OPTIONS"
    if "Access-Control-Allow-Origin" in exchange.origins.headers(exchange.request.headers.get("origin")):
        response.headers["Access-Control-Allow-Methods"] = "GET"
        response.headers["Access-Control-Allow-Headers"] = f"Accept, {LAST_EVENT_ID}, Link, {TENANT_HEADER}"
        response.headers["Access-Control-Max-Age"] = "86400"
    return response


# --- what the client wants


def _filters(exchange: Exchange) -> dict[str, Any]:
    """The parameters as members of a Subscription (5.2.12, 5.2.14)."""
    parameters = exchange.parameters
    members = query_members(parameters)
    for selector in members.get("entities", ()):
        selector.setdefault("type", "*")
    watched = [names for name in ("watchedAttributes", "attrs") if (names := parameters.names(name))]
    if len(watched) == 2:
        raise BadRequestData("watchedAttributes, attrs: two names of the same filter, give one of them")
    if watched:
        members["watchedAttributes"] = watched[0]
    if triggers := parameters.names("notificationTrigger"):
        members["notificationTrigger"] = triggers
    shape = projection_members(exchange)
    shape.pop("attrs", None)
    members |= {name: shape.pop(name) for name in ("lang", "datasetId") if name in shape}
    options = parameters.options(REPRESENTATIONS)
    notification = {
        **shape,
        "format": parameters.representation(options),
        "sysAttrs": "sysAttrs" in options,
        "showChanges": parameters.flag("showChanges") or False,
    }
    if (accept := parameters.text("accept")) is not None:
        notification["endpoint"] = {"accept": accept}
    return {**members, "notification": notification}


def _context(exchange: Exchange) -> str | None:
    """The URL of the @context, from the Link header or, for browsers, which cannot send one, from a parameter."""
    link, given = context_link(exchange.request.headers.get("link")), exchange.parameters.text("context")
    if link is not None and given is not None and link != given:
        raise BadRequestData("context: the Link header names another @context")
    return link or given


def _tenant(exchange: Exchange) -> str:
    """The tenant, in the same two ways."""
    header, given = exchange.request.headers.get("ngsild-tenant"), exchange.parameters.text("tenant")
    if header is not None and given is not None and header != given:
        raise BadRequestData(f"tenant: the header {TENANT_HEADER} names another one")
    check_tenant_name(given)
    return header or given or ""


def _position(exchange: Exchange) -> int | None:
    """Where to go on. A browser that connects again sends the header, and the parameter as it was at first: the header counts."""
    parameter = exchange.parameters.text("lastEventId")
    text = exchange.request.headers.get(LAST_EVENT_ID.lower()) or parameter
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequestData(f"{LAST_EVENT_ID}: {text!r} is not the id of an event of a stream")
    return int(text)


def _check_handshake(exchange: Exchange) -> None:
    """What a request for a WebSocket must have (RFC 6455, 4.2.1), and where it may come from.

    Raises InvalidRequest, OriginNotAllowed.
    """
    headers = exchange.request.headers
    if "upgrade" not in (part.strip().lower() for part in headers.get("connection", "").split(",")):
        raise InvalidRequest("Connection: upgrade is expected with Upgrade: websocket")
    if headers.get("sec-websocket-version") != "13":
        raise InvalidRequest("Sec-WebSocket-Version: 13 is expected")
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        raise InvalidRequest("Sec-WebSocket-Key: 16 bytes in Base64 are expected")
    if not exchange.origins.may_connect(headers):
        raise OriginNotAllowed(headers["origin"])


# --- what it gets


def _flow(exchange: Exchange, stream: Stream, is_socket: bool) -> Flow:
    frame: _Frame = _message if is_socket else _server_sent

    async def write(send: Send) -> None:
        opening = frame("position", stream.position, b"null")
        await send(opening if is_socket else b"retry: %d\n" % RETRY_MILLISECONDS + opening)
        while True:
            try:
                event = await stream.next(HEARTBEAT_SECONDS)
            except StreamEnded as ended:
                raise FlowEnded(str(ended)) from ended
            await send(_heartbeat(frame, stream) if event is None else _event(frame, event))
            await asyncio.sleep(0)

    def farewell(reason: str) -> bytes:
        return frame("end", -1, json_body({"reason": reason}))

    return Flow(write, farewell, lambda: exchange.broker.streams.close(stream))


def _event(frame: _Frame, event: Event) -> bytes:
    return frame(event.kind, event.position, event.data)


def _heartbeat(frame: _Frame, stream: Stream) -> bytes:
    return frame("position", stream.position, b"null")


def _server_sent(kind: str, position: int, data: bytes) -> bytes:
    """A server-sent event (HTML Living Standard, 9.2). A notification has no name, so that `onmessage` gets it.

    A position is a comment, and an id without data: a browser remembers it and tells nobody.
    """
    place = b"id: %d\n" % position if position >= 0 else b""
    if kind == "position":
        return b": alive\n" + place + b"\n"
    name = b"" if kind == "notification" else b"event: " + kind.encode() + b"\n"
    return name + place + b"data: " + data + b"\n\n"


def _message(kind: str, position: int, data: bytes) -> bytes:
    """A WebSocket message: `event`, `id` where there is a position, `data` where there is something to tell."""
    place = b',"id":"%d"' % position if position >= 0 else b""
    return b'{"event":"' + kind.encode() + b'"' + place + (b"" if data == b"null" else b',"data":' + data) + b"}"
