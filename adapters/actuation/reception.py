"""The door at which the broker hands over forwarded updates (5.6.2, 5.6.4, 5.6.17, 5.6.19), and people approve commands.

    PATCH, PUT  /ngsi-ld/v1/entities/{id}/attrs/{command}    204: the command is on disk and will be carried, or will end in time
    PATCH       /ngsi-ld/v1/entities/{id}[/attrs]            the same for several, all or none
    POST        /commands/{id}/approve, /commands/{id}/reject
    GET         /commands/{id}                               what is on record of it, for who may give or approve it

Whatever is refused is answered by ProblemDetails (5.5.3).
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from adapters.actuation import record
from adapters.actuation.asking import Asked, asked_attribute, asked_attributes, header_key
from adapters.actuation.deciding import Submission
from adapters.actuation.desk import Desk
from adapters.actuation.origin import Origin
from adapters.actuation.problem import Refused
from adapters.actuation.record import Entry, Event, status_of
from adapters.document import read_json
from adapters.errors import Undecodable

MOST_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 5.0
_ATTRS: Final = "/ngsi-ld/v1/entities/{entity}/attrs"
_LOG: Final = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def reception(desk: Desk, origin: Origin) -> web.Application:
    """The web application."""

    async def one(request: web.Request) -> web.Response:
        document = await _document(request)
        name = request.match_info["attribute"]
        return await submitted(request, (asked_attribute(name, document, bare=False),))

    async def several(request: web.Request) -> web.Response:
        words = {request.query.get("format"), *request.query.get("options", "").split(",")}
        simplified = not words.isdisjoint({"simplified", "keyValues"})
        return await submitted(request, tuple(asked_attributes(await _document(request), simplified=simplified)))

    async def submitted(request: web.Request, asked: tuple[Asked, ...]) -> web.Response:
        tenant, authorization = request.headers.get("NGSILD-Tenant", ""), request.headers.get("Authorization", "")
        desk.deciding.principal(authorization)  # before the broker is asked anything: not for everybody
        foreign = await origin.foreign(tenant, ", ".join(request.headers.getall("Via", ())))
        await desk.deciding.submit(
            Submission(
                tenant=tenant,
                entity_id=request.match_info["entity"],
                asked=asked,
                authorization=authorization,
                foreign=foreign,
                key=header_key(request.headers.get("Idempotency-Key")),
            )
        )
        return web.Response(status=204)

    async def approved(request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        reject = request.match_info["verdict"] == "reject"
        entry = await desk.deciding.approve(authorization, request.match_info["command"], reject=reject)
        return web.json_response(entry_document(entry))

    async def shown(request: web.Request) -> web.Response:
        policy = desk.book.policy
        principal = policy.principal_of(request.headers.get("Authorization", ""))
        if principal is None:
            raise Refused(401, "a bearer token must be given")
        trail = await desk.book.journal.perform(
            lambda connection: record.trail(connection, request.match_info["command"])
        )
        if trail:
            command = trail[0].entry.command
            target = command.target
            permitted = policy.permits(principal, target.tenant, target.group, command.name)
            if permitted or principal in desk.book.terms(command).approvers:
                return web.json_response(trail_document(trail))
        raise Refused(404, "there is no such command, or none that you may see")

    application = web.Application(client_max_size=MOST_BYTES, middlewares=[_answering])
    for method in ("PATCH", "PUT"):
        application.router.add_route(method, _ATTRS + "/{attribute}", one)
    application.router.add_patch(_ATTRS, several)
    application.router.add_patch(_ATTRS.removesuffix("/attrs"), several)
    application.router.add_post("/commands/{command}/{verdict:approve|reject}", approved)
    application.router.add_get("/commands/{command}", shown)
    return application


def entry_document(entry: Entry) -> dict[str, Any]:
    """A command as people and scripts read it."""
    command = entry.command
    return {
        "id": command.id,
        "commandId": command.key,
        "tenant": command.target.tenant,
        "entity": command.target.entity_id,
        "device": command.target.device_id,
        "group": command.target.group,
        "command": command.name,
        "value": command.value,
        "previousValue": entry.previous,
        "principal": entry.principal,
        "issuedAt": command.issued_at,
        "expiresAt": command.expires_at,
        "state": entry.state,
        "status": "REFUSED" if entry.state is record.State.REFUSED else status_of(entry.state),
    }


def trail_document(trail: list[Event]) -> dict[str, Any]:
    """The same with all that is on record of it."""
    events = [{"at": each.at, "state": each.state, "who": each.who, "info": each.info} for each in trail]
    return entry_document(trail[-1].entry) | {"trail": events}


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
        document = read_json(body, MOST_BYTES)
    except TimeoutError:
        raise Refused(408, "the body did not come in time") from None
    except web.HTTPRequestEntityTooLarge:
        raise Refused(413, f"the body has more than {MOST_BYTES} bytes") from None
    except Undecodable as error:
        raise Refused(400, str(error)) from None
    if not isinstance(document, dict):
        raise Refused(400, "the body must be a JSON object")
    return document


@web.middleware
async def _answering(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals as ProblemDetails."""
    try:
        return await handler(request)
    except Refused as refusal:
        body = json.dumps(refusal.document(), ensure_ascii=False)
        return web.Response(status=refusal.status, text=body, content_type="application/json")
    except web.HTTPException:
        raise
    except Exception:  # noqa: BLE001 - told, and answered as what it is
        _LOG.exception("%s %s failed", request.method, request.path)
        problem = {
            "type": "https://uri.etsi.org/ngsi-ld/errors/InternalError",
            "title": "Internal error",
            "status": 500,
        }
        return web.json_response(problem, status=500)
