"""A broker with its real HTTP server in the test's own process, on a store of each kind, and a client that speaks to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from broker.app import make_binding, open_broker
from broker.http.health import health_door
from broker.http.server import HttpServer
from broker.operations.broker import Broker
from broker.settings import Settings
from broker.store.protocol import Store

JSON = "application/json"


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Api:
    """Requests under /ngsi-ld/v1 of one broker."""

    def __init__(self, url: str, session: aiohttp.ClientSession, broker: Broker) -> None:
        self.url = url
        self.session = session
        self.broker = broker

    async def request(
        self, method: str, path: str, payload: Any = None, *, headers: dict[str, str] | None = None, data: Any = None
    ) -> Answer:
        sent = dict(headers or {})
        if payload is not None:
            data = orjson.dumps(payload)
            sent.setdefault("Content-Type", JSON)
        target = path if path.startswith("http") else f"{self.url}/ngsi-ld/v1/{path.lstrip('/')}"
        async with self.session.request(method, target, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    async def post(self, path: str, payload: Any, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", path, payload, headers=sent)

    async def patch(self, path: str, payload: Any, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("PATCH", path, payload, headers=sent)

    async def put(self, path: str, payload: Any, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("PUT", path, payload, headers=sent)

    async def delete(self, path: str, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("DELETE", path, headers=sent)


async def _no_metrics() -> tuple[bytes, str]:
    return b"", "text/plain"


@asynccontextmanager
async def running_api(store: Store, **settings: Any) -> AsyncIterator[Api]:
    """A broker on this open store, listening on a free port."""
    options = Settings(port=0, egress="any", **settings)
    async with open_broker(store, options) as broker:
        server = HttpServer(
            make_binding(broker, options),
            health_door(store, _no_metrics),
            lambda *_: None,
            max_body_bytes=options.max_body_bytes,
        )
        port = await server.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession() as session:
                yield Api(f"http://127.0.0.1:{port}", session, broker)
        finally:
            await server.stop()
