"""The API that provisions groups (`services`, or as newer agents say `groups`) and devices, as the agents of FIWARE have it.

    POST /iot/services {"services": [{"apikey": "…", "resource": "/iot/d", "entity_type": "Device", …}]}
    POST /iot/devices  {"devices": [{"device_id": "t1", "attributes": [{"object_id": "t", "name": "temperature"}], …}]}

`fiware-service` names the tenant, in small letters whatever it is written in, `fiware-servicepath` the scope. Every request but
/iot/about needs one of the keys of the table [iot], as a Bearer token, X-Api-Key or X-Auth-Token. What is answered is on disk.
"""

import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson
from aiohttp import web

from adapters.actuation.contract import InvalidTarget
from adapters.document import read_json
from adapters.errors import UnreadableFile
from adapters.iot.agent import Agent
from adapters.iot.device import Owner
from adapters.iot.documents import InvalidDocument
from adapters.iot.registry import Duplicate, Full, NotProvisioned
from adapters.iot.south import Refusal, read_body
from adapters.journal import JournalFailed

MOST_BYTES: Final = 8 * 2**20
MOST_DOCUMENTS: Final = 1000
"""Groups or devices in one request."""
PAGE: Final = 20
LONGEST_PAGE: Final = 1000

_TENANT: Final = re.compile("[a-z0-9_]{1,50}")
_PATH: Final = re.compile(r"/|(?:/\w{1,50}){1,10}")
_LOG: Final = logging.getLogger(__name__)

Handle: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]


def north_application(agent: Agent, keys: Sequence[str], version: str) -> web.Application:
    """The web application of those who provision."""
    registry = agent.registry

    async def about(request: web.Request) -> web.Response:
        return web.json_response({"name": "tsunagu", "version": version, "protocols": ["ultralight", "json"]})

    async def add_groups(request: web.Request) -> web.Response:
        owner, documents = _owner(request), await _listed(request, _kind(request))
        async with agent.turn:
            await registry.add_groups(owner, documents)
            await agent.announce_all()  # devices that were there before it may have their commands of it
        return web.json_response({}, status=201)

    async def groups(request: web.Request) -> web.Response:
        limit, offset = _page(request)
        owner = _owner(request, any_path=True)
        found = await registry.groups(owner, request.query.get("resource"), request.query.get("apikey"), limit, offset)
        return _json({"count": found.count, _kind(request): found.documents})

    async def change_group(request: web.Request) -> web.Response:
        owner, (resource, key) = _owner(request), _group(request)
        change = await _document(request)
        if not isinstance(change, dict):
            raise Refusal(400, "WRONG_SYNTAX", "the body must be an object")
        async with agent.turn:
            await registry.change_group(owner, resource, key, change)
            await agent.announce_all()
        return web.Response(status=204)

    async def remove_group(request: web.Request) -> web.Response:
        owner, (resource, key) = _owner(request), _group(request)
        if request.query.get("device", "false") != "false":
            raise Refusal(400, "WRONG_SYNTAX", "device is not supported: devices are deleted one by one")
        async with agent.turn:
            await registry.remove_group(owner, resource, key)
            await agent.announce_all()
        return web.Response(status=204)

    async def add_devices(request: web.Request) -> web.Response:
        owner, documents = _owner(request), await _listed(request, "devices")
        async with agent.turn:
            added = await registry.add_devices(owner, documents)
            try:
                await agent.announce(added)
            except InvalidTarget:
                await agent.withdraw(added)  # all or none
                for each in added:
                    await registry.remove_device(owner, each.id)
                raise
        return web.json_response({}, status=201)

    async def devices(request: web.Request) -> web.Response:
        limit, offset = _page(request)
        found = await registry.devices(_owner(request, any_path=True), limit, offset)
        return _json({"count": found.count, "devices": found.documents})

    async def device(request: web.Request) -> web.Response:
        return _json(await registry.device_document(_owner(request), request.match_info["id"]))

    async def change_device(request: web.Request) -> web.Response:
        owner, device_id = _owner(request), request.match_info["id"]
        change = await _document(request)
        if not isinstance(change, dict):
            raise Refusal(400, "WRONG_SYNTAX", "the body must be an object")
        async with agent.turn:
            before = await registry.device_document(owner, device_id)
            changed = await registry.change_device(owner, device_id, change)
            try:
                await agent.announce([changed])
            except InvalidTarget:
                given = {name: value for name, value in before.items() if name not in ("service", "service_path")}
                await registry.change_device(owner, device_id, {**dict.fromkeys(change), **given})
                raise
        return web.Response(status=204)

    async def remove_device(request: web.Request) -> web.Response:
        owner, device_id = _owner(request), request.match_info["id"]
        async with agent.turn:
            gone = await registry.device(owner, device_id)
            if gone is not None:
                await agent.withdraw([gone])  # first: no command may be carried to a device that is no more
            await registry.remove_device(owner, device_id)
        return web.Response(status=204)

    application = web.Application(client_max_size=1 << 62, middlewares=[_guard(keys)])
    add = application.router.add_route
    add("GET", "/iot/about", about)
    for slash in ("", "/"):
        for method, handle in (("POST", add_groups), ("GET", groups), ("PUT", change_group), ("DELETE", remove_group)):
            add(method, f"/iot/services{slash}", handle)
            add(method, f"/iot/groups{slash}", handle)
        for method, handle in (("POST", add_devices), ("GET", devices)):
            add(method, f"/iot/devices{slash}", handle)
    for method, handle in (("GET", device), ("PUT", change_device), ("DELETE", remove_device)):
        add(method, "/iot/devices/{id}", handle)
    return application


def _guard(keys: Sequence[str]) -> Any:
    """Lets those in who have a key, and makes answers of what handlers raise."""

    @web.middleware
    async def guard(request: web.Request, handler: Handle) -> web.StreamResponse:
        if request.path != "/iot/about" and not _permitted(request, keys):
            return _problem(401, "UNAUTHORIZED", "a key of the table [iot] must be given")
        try:
            return await handler(request)
        except Refusal as refusal:
            return _problem(refusal.status, refusal.name, refusal.message)
        except InvalidDocument as fault:
            return _problem(400, "WRONG_SYNTAX", str(fault))
        except Duplicate as fault:
            return _problem(409, "DUPLICATE", str(fault))
        except InvalidTarget as fault:
            return _problem(409, "COMMAND_IN_USE", str(fault))
        except NotProvisioned as fault:
            return _problem(404, "NOT_FOUND", str(fault))
        except Full as fault:
            return _problem(507, "FULL", str(fault))
        except JournalFailed as error:
            _LOG.error("iot: %s", error)
            return _problem(503, "JOURNAL_FAILED", "what is provisioned cannot be put on disk")

    return guard


def _permitted(request: web.Request, keys: Sequence[str]) -> bool:
    given = [request.headers.get(name, "") for name in ("X-Api-Key", "X-Auth-Token")]
    given.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
    allowed = False
    for each in given:
        for key in keys:  # all of them, each in constant time
            allowed |= bool(each) and hmac.compare_digest(each.encode("utf-8", "surrogateescape"), key.encode())
    return allowed


def _owner(request: web.Request, *, any_path: bool = False) -> Owner:
    tenant = request.headers.get("fiware-service", "").lower()
    path = request.headers.get("fiware-servicepath", "")
    if not tenant or not path:
        missing = "fiware-service" if not tenant else "fiware-servicepath"
        raise Refusal(400, "MISSING_HEADERS", f"the header {missing} must be given")
    if _TENANT.fullmatch(tenant) is None:
        raise Refusal(400, "WRONG_SYNTAX", "fiware-service must have letters, digits and _ only, 50 at most")
    if _PATH.fullmatch(path) is None and not (any_path and path == "/*"):
        raise Refusal(
            400, "WRONG_SYNTAX", "fiware-servicepath must be / or levels of letters, digits and _, such as /park/east"
        )
    return Owner(tenant, path)


def _group(request: web.Request) -> tuple[str, str]:
    resource, key = request.query.get("resource"), request.query.get("apikey")
    if resource is None or key is None:
        missing = "resource" if resource is None else "apikey"
        raise Refusal(400, "MANDATORY_PARAMETERS_NOT_FOUND", f"the parameter {missing} must be given")
    return resource, key


def _kind(request: web.Request) -> str:
    """What groups are called at the resource that was asked: newer agents have a new name for `services`."""
    return request.path.split("/")[2]


def _page(request: web.Request) -> tuple[int, int]:
    found = []
    for name, default, least, most in (("limit", PAGE, 1, LONGEST_PAGE), ("offset", 0, 0, 2**31)):
        text = request.query.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
            raise Refusal(400, "WRONG_SYNTAX", f"{name} must be a number from {least} to {most}")
        found.append(int(text))
    return found[0], found[1]


async def _listed(request: web.Request, name: str) -> Sequence[Mapping[str, Any]]:
    """The documents of a body: a list under that name, or one alone."""
    document = await _document(request)
    if isinstance(document, dict) and name in document:
        if unknown := sorted(document.keys() - {name}):
            raise Refusal(400, "WRONG_SYNTAX", f"the body has {unknown[0][:80]!r} beside {name}")
        document = document[name]
    listed = document if isinstance(document, list) else [document]
    if not listed or len(listed) > MOST_DOCUMENTS:
        raise Refusal(400, "WRONG_SYNTAX", f"{name} must have at least one member, and at most {MOST_DOCUMENTS}")
    return listed


async def _document(request: web.Request) -> Any:
    body = await read_body(request, MOST_BYTES)
    try:
        return read_json(body)
    except UnreadableFile as error:
        raise Refusal(400, "WRONG_SYNTAX", str(error)) from None


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _problem(status: int, name: str, message: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return web.json_response({"name": name, "message": message}, status=status, headers=headers)
