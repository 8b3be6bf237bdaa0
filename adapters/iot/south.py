"""Where devices send over HTTP: measures and answers to commands, as to the agents of FIWARE; those that poll get commands.

    POST /iot/d?k=KEY&i=DEVICE[&t=TIME]        body t|3#h|45, or an answer DEVICE@command|result
    GET  /iot/d?k=KEY&i=DEVICE&d=t|3           the same in the address
    POST /iot/json?k=KEY&i=DEVICE              body {"t": 3} or a list of such
    POST /iot/json/commands?k=KEY&i=DEVICE     body {"command": result}

The answer 200 means that the measures are on disk, and has the commands that wait where `getCmd=1` asks for them. 202: they are
on disk, and will be in the quarantine, as nobody has provisioned the device.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from adapters.iot.agent import REMEMBERED, Agent, Message, answers_in, fault_of
from adapters.iot.device import Sender
from adapters.iot.documents import RESOURCES, Protocol
from adapters.iot.payload import MOST_BYTES, MalformedPayload
from adapters.iot.ultralight import is_answer
from adapters.journal import JournalFailed
from adapters.ngsiv2 import utc
from adapters.transports.push import RETRY_AFTER_SECONDS

READ_SECONDS: Final = 30.0
_LONGEST_ID: Final = 200
_LOG: Final = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is not taken: status, name of the error as the agents have it, and why."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


def south_application(agent: Agent) -> web.Application:
    """The web application of the devices."""

    async def measure(request: web.Request) -> web.Response:
        return await _guarded(_measure(agent, request))

    async def answer(request: web.Request) -> web.Response:
        return await _guarded(_answer(agent, request))

    application = web.Application(client_max_size=1 << 62)
    for resource in RESOURCES:
        application.router.add_get(resource, measure)
        application.router.add_post(resource, measure)
        application.router.add_post(f"{resource}/attrs/{{attribute}}", measure)
        application.router.add_post(f"{resource}/commands", answer)
    return application


async def _measure(agent: Agent, request: web.Request) -> web.Response:
    protocol = _protocol(request)
    sender, device_id = await _sender(agent, request, protocol)
    time = request.query.get("t", "")
    if time and not utc(time):
        raise Refusal(400, "BAD_TIMESTAMP", f"t {time[:80]!r} is no point in time")
    data = await _payload(request)
    polls = request.query.get("getCmd") == "1"
    if not data and not polls:
        raise Refusal(400, "MANDATORY_PARAMETERS_NOT_FOUND", "there is no payload: neither a body nor the parameter d")
    attribute = request.match_info.get("attribute", "")
    if data and protocol == "ultralight" and not attribute and is_answer(data):
        await _take_answers(agent, sender, protocol, data)
    elif data:
        if fault := fault_of(protocol, data, attribute):
            raise Refusal(400, "PARSE_ERROR", fault)
        if not agent.has_room(protocol):
            raise Refusal(503, "TOO_MUCH_WAITING", "too much is waiting")
        if not await agent.has_room_for(sender, protocol):
            raise Refusal(503, "TOO_MANY_UNKNOWN", "too much of devices that nobody has provisioned is kept already")
        key, content_type = request.headers.get("Idempotency-Key"), request.headers.get("Content-Type", "")
        if not f"{key or ''}{content_type}".isprintable():
            raise Refusal(400, "BAD_HEADER", "Idempotency-Key and Content-Type must be printable text")
        name = f"{sender.owner.tenant}{sender.owner.path}:{device_id}:{key}" if key else None
        message = Message(data, content_type, time, attribute, name, REMEMBERED if key else 0)
        await agent.take(protocol, [(sender, device_id, message)])
    if sender.device is None:
        return web.json_response({"accepted": True, "quarantined": "unknown-device"}, status=202)
    body = await agent.polled(sender.device) if polls else b""
    return web.Response(body=body, content_type="application/json" if protocol == "json" and body else "text/plain")


async def _answer(agent: Agent, request: web.Request) -> web.Response:
    protocol = _protocol(request)
    sender, _ = await _sender(agent, request, protocol)
    await _take_answers(agent, sender, protocol, await _payload(request))
    return web.Response()


async def _take_answers(agent: Agent, sender: Sender, protocol: Protocol, data: bytes) -> None:
    """Hand answers on. One that comes twice or too late is taken like any other: its device must not send it for ever."""
    if sender.device is None:
        raise Refusal(404, "DEVICE_NOT_FOUND", "no such device is provisioned")
    try:
        answers = answers_in(protocol, data)
    except MalformedPayload as fault:
        raise Refusal(400, "PARSE_ERROR", str(fault)) from None
    for each in answers:
        await agent.answer(sender, each)


async def _sender(agent: Agent, request: web.Request, protocol: Protocol) -> tuple[Sender, str]:
    key, device_id = request.query.get("k", ""), request.query.get("i", "")
    missing = [name for name, value in (("k", key), ("i", device_id)) if not value]
    if missing:
        raise Refusal(400, "MANDATORY_PARAMETERS_NOT_FOUND", f"the parameter {' and '.join(missing)} must be given")
    if len(device_id) > _LONGEST_ID or not device_id.isprintable():
        raise Refusal(400, "BAD_DEVICE_ID", f"i must have {_LONGEST_ID} characters at most, and none for control")
    sender = await agent.sender(key, device_id, protocol)
    if sender is None:
        raise Refusal(401, "UNKNOWN_KEY", "k is no key of this device or its group")
    return sender, device_id


async def _payload(request: web.Request) -> bytes:
    if request.method == "GET":
        return request.query.get("d", "").encode("utf-8", "replace")
    body = await read_body(request, MOST_BYTES)
    return body or request.query.get("d", "").encode("utf-8", "replace")


async def read_body(request: web.Request, most_bytes: int) -> bytes:
    """The body of a request, within bounds on its size and on how long it takes to come. Raises Refusal."""
    if (request.content_length or 0) > most_bytes:
        raise Refusal(413, "TOO_LARGE", f"larger than {most_bytes} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > most_bytes:
                    raise Refusal(413, "TOO_LARGE", f"larger than {most_bytes} bytes")
    except TimeoutError:
        raise Refusal(408, "TOO_SLOW", f"the body did not come within {READ_SECONDS:g} seconds") from None
    return bytes(body)


def _protocol(request: web.Request) -> Protocol:
    return RESOURCES["/".join(request.path.split("/")[:3])]


async def _guarded(work: Awaitable[web.Response]) -> web.Response:
    try:
        return await work
    except Refusal as refusal:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if refusal.status == 503 else None
        body = {"name": refusal.name, "message": refusal.message}
        return web.json_response(body, status=refusal.status, headers=headers)
    except JournalFailed as error:
        _LOG.error("iot: %s", error)
        body = {"name": "JOURNAL_FAILED", "message": "the message cannot be put on disk"}
        return web.json_response(body, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
