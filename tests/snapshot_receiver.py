"""A receiver of notifications for the tests of snapshots, and what they do with snapshots again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from api import Answer, Api


@dataclass
class Notified:
    """One notification: its headers and its body."""

    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class SnapshotReceiver:
    """An HTTP receiver on loopback that answers with `status`."""

    url: str = ""
    status: int = 200
    received: list[Notified] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append(Notified(dict(request.headers), orjson.loads(await request.read())))
        return web.Response(status=self.status)

    async def wait(self, count: int, seconds: float = 8.0) -> list[Notified]:
        """The notifications, as soon as there are so many."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:  # noqa: ASYNC110 - nothing tells but the list itself
                await asyncio.sleep(0.01)
        return self.received


@asynccontextmanager
async def receiving() -> AsyncIterator[SnapshotReceiver]:
    receiver = SnapshotReceiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/told"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def of_type(name: str, **members: Any) -> dict[str, Any]:
    """A Query on all entities of a type."""
    return {"type": "Query", "entities": [{"type": name}], **members}


def vehicle(number: int | str, speed: Any = 50, **members: Any) -> dict[str, Any]:
    speed = speed if isinstance(speed, dict) else {"type": "Property", "value": speed}
    return {"id": f"urn:ngsi-ld:Vehicle:{number}", "type": "Vehicle", "speed": speed, **members}


async def ready(api: Api, location: str, tenant: str | None = None, seconds: float = 20.0) -> dict[str, Any]:
    """A snapshot, once it is prepared."""
    headers = {} if tenant is None else {"NGSILD-Tenant": tenant}
    async with asyncio.timeout(seconds):
        while True:
            answer = await api.request("GET", location.removeprefix("/ngsi-ld/v1"), headers=headers)
            assert answer.status == 200, answer.body
            if answer.json["snapshotStatus"] != "preparing":
                return answer.json  # type: ignore[no-any-return]
            await asyncio.sleep(0.01)


async def snapshot_of(api: Api, *queries: dict[str, Any], tenant: str | None = None, **members: Any) -> dict[str, Any]:
    """A snapshot of these queries (of all vehicles, if there are none), once it is prepared."""
    given = {"type": "Snapshot", "snapshotQueries": list(queries) or [of_type("Vehicle")], **members}
    headers = {} if tenant is None else {"NGSILD-Tenant": tenant}
    answer = await api.request("POST", "snapshots", {k: v for k, v in given.items() if v is not None}, headers=headers)
    assert answer.status == 201, answer.body
    return await ready(api, answer.headers["Location"], tenant)


async def inside(
    api: Api, snapshot: dict[str, Any], method: str, path: str, payload: Any = None, **more: str
) -> Answer:
    """A request to a snapshot, the echo of whose header is checked."""
    answer = await api.request(method, path, payload, headers={"NGSILD-Snapshot": snapshot["id"], **more})
    assert answer.headers["NGSILD-Snapshot"] == snapshot["id"]
    return answer
