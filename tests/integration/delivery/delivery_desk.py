"""A broker without HTTP for tests of delivery, and HTTP receivers that answer, refuse or hang as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from broker.contexts.library import ContextLibrary
from broker.delivery.dispatcher import Dispatcher
from broker.delivery.mqtt import MqttPublisher
from broker.egress.http import OutboundHttp
from broker.egress.policy import EgressPolicy
from broker.egress.tls import TlsContexts, parse_tls
from broker.federation.entity_maps import EntityMaps
from broker.federation.identity import SourceIdentity
from broker.federation.registry import ContextRegistry
from broker.model.instants import canonical
from broker.operations import entities, subscriptions
from broker.operations.broker import Broker
from broker.operations.errands import Errands
from broker.operations.receipts import Receipts
from broker.operations.tenants import Tenants
from broker.sharing.following import Following
from broker.sharing.leases import Leases
from broker.sharing.members import Membership
from broker.sharing.turns import Turns
from broker.store.sqlite.store import SqliteStore
from broker.store.writer import EntityWriter
from broker.temporal.recorder import Recorder

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def now() -> str:
    return canonical(datetime.now(UTC))


@dataclass
class Received:
    """One request that a receiver got: header names in the spelling that went over the wire."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def data(self) -> list[dict[str, Any]]:
        return self.body["data"]

    @property
    def entity_ids(self) -> list[str]:
        return [entity["id"] for entity in self.data]


@dataclass
class Receiver:
    """An HTTP receiver on loopback. `status` is what it answers with, by path; `hold` makes it wait for `release`."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)
    hold: set[str] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        headers = {name.decode(): value.decode() for name, value in request.raw_headers}
        if request.path in self.hold:
            await self.release.wait()
        status = self.status.get(request.path, 200)
        self.received.append(Received(request.path, headers, body))
        self._news.set()
        return web.Response(status=status)

    async def wait(self, count: int, *, path: str | None = None, seconds: float = 5.0) -> list[Received]:
        """The requests, as soon as there are `count` of them (on a path)."""
        async with asyncio.timeout(seconds):
            while len(found := [one for one in self.received if path in (None, one.path)]) < count:
                self._news.clear()
                await self._news.wait()
        return found

    async def silence(self, seconds: float = 0.4) -> None:
        """Assert that nothing arrives for a while."""
        before = len(self.received)
        await asyncio.sleep(seconds)
        assert self.received[before:] == []


@dataclass
class Refusing(Receiver):
    """A receiver that answers with `answer` to what is about one of the entities `refused`, and takes all else."""

    refused: set[str] = field(default_factory=set)
    answer: int = 400
    refusals: int = 0

    async def _handle(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if any(entity["id"] in self.refused for entity in body["data"]):
            self.refusals += 1
            return web.Response(status=self.answer)
        return await super()._handle(request)


class Desk:
    """What a client can do, without HTTP: everything in the core @context."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def subscribe(self, uri: str, tenant: str = "", **members: Any) -> str:
        """Create a subscription to entities of type Device; `notification` and `endpoint` members may be added to."""
        context = await self.broker.contexts.resolve(members.pop("context", None))
        notification = {"endpoint": {"uri": uri, **members.pop("endpoint", {})}, **members.pop("notification", {})}
        given = {"type": "Subscription", "entities": [{"type": "Device"}], "notification": notification, **members}
        return await subscriptions.create_subscription(
            self.broker, tenant, {key: value for key, value in given.items() if value is not ...}, context
        )

    async def change(self, subscription_id: str, fragment: dict[str, Any], tenant: str = "") -> None:
        context = await self.broker.contexts.resolve(None)
        await subscriptions.update_subscription(self.broker, tenant, subscription_id, fragment, context)

    async def unsubscribe(self, subscription_id: str) -> None:
        await subscriptions.delete_subscription(self.broker, "", subscription_id)

    async def look(self, subscription_id: str, tenant: str = "") -> dict[str, Any]:
        names = (await self.broker.contexts.resolve(None)).names
        return await subscriptions.retrieve_subscription(self.broker, tenant, subscription_id, names, sys_attrs=False)

    async def create(self, entity_id: str, tenant: str = "", type_: str = "Device", **attributes: Any) -> None:
        names = (await self.broker.contexts.resolve(None)).names
        await entities.create_entity(self.broker, tenant, {"id": entity_id, "type": type_, **attributes}, names)

    async def update(self, entity_id: str, **attributes: Any) -> None:
        names = (await self.broker.contexts.resolve(None)).names
        await entities.append(self.broker, "", entity_id, attributes, names, None, overwrite=True)

    async def delete(self, entity_id: str) -> None:
        await entities.delete(self.broker, "", entity_id, None)


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 5.0) -> Any:
    """The condition's value, as soon as it is true."""
    async with asyncio.timeout(seconds):
        while not (value := await condition()):  # noqa: ASYNC110 - what a client can only look at has no event
            await asyncio.sleep(0.01)
        return value


OpenDesk = Callable[..., Awaitable[Desk]]


@asynccontextmanager
async def opened_desk(folder: Path, *, egress: str = "any", tls: str = "") -> AsyncIterator[Desk]:
    """A desk on a SQLite store in `folder`, its dispatcher at work; `tls` is as in the setting. Stopped in order on leaving."""
    store = SqliteStore(str(folder))
    await store.open()
    policy = EgressPolicy.parse(egress)
    certificates = TlsContexts(parse_tls(tls))
    http, mqtt = OutboundHttp(policy, certificates), MqttPublisher(policy, certificates)
    contexts = ContextLibrary(store, http, now, "http://127.0.0.1:9")
    await contexts.open()
    members = Membership(store)
    leases = Leases(store, members.name)
    following = Following(store)
    dispatcher = Dispatcher(store, contexts, http, mqtt, now, leases, members, following)
    await members.start()
    dispatcher.start()
    following.start()
    await leases.start()
    await dispatcher.settled()
    registry = ContextRegistry(store, contexts, http, mqtt, now, Turns(store, "desk"))
    lease = (await store.take_leases(["registrations"], "desk", 3600.0))["registrations"]
    serving = asyncio.create_task(registry.serve(lease))
    writer = EntityWriter(store, now)
    try:
        identity = SourceIdentity("desk")
        parts = (store, writer, contexts, dispatcher, Tenants(store), now, registry, identity, Recorder(store))
        broker = Broker(*parts, EntityMaps(store, now), Receipts(store, now))
        broker.errands = Errands(broker, {})
        yield Desk(broker)
    finally:
        await writer.close()
        await dispatcher.stop()
        await following.stop()
        await leases.stop()
        await members.stop()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await mqtt.close()
        await http.close()
        await store.close()
