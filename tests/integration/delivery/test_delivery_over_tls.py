"""Notifications over TLS, mqtts and https: certificates on both sides, and what the ledger says when one will not do."""

import asyncio
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from certificates import Authority, Certificates, OpensslMissing
from delivery_desk import Desk, OpenDesk, eventually
from mongod import do_without
from mosquitto import MqttBroker, MqttBrokerMissing
from mqtt_listener import info, keeping

pytestmark = pytest.mark.mqtt

DEVICE = "urn:ngsi-ld:Device:1"
LEVEL = {"type": "Property", "value": 1}


class Papers:
    """Everything that one could show: authorities, and certificates that are good, expired, of another name, of a stranger."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = Authority(folder), Authority(folder, "stranger")
        self.server = ours.issue("server")
        self.expired_server = ours.issue("expired-server", days=-1)
        self.other_server = ours.issue("other-server", "DNS:other.example")
        self.client = ours.issue("client")
        self.expired_client = ours.issue("expired-client", days=-1)
        self.strange_client = theirs.issue("strange-client")
        self.authority, self.stranger = ours.certificate, theirs.certificate


@pytest.fixture(scope="module")
def papers() -> Iterator[Papers]:
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-papers-"))  # where mosquitto's own user gets to as well
    try:
        yield Papers(folder)
    except OpensslMissing as missing:
        do_without(str(missing))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def guarded(papers: Papers) -> Iterator[MqttBroker]:
    """A mosquitto that lets only clients in that show a certificate of its own authority."""
    broker = MqttBroker(papers.authority.parent, certificates=papers.server, asks_for_certificates=True)
    try:
        broker.start()
    except MqttBrokerMissing as missing:
        do_without(str(missing))
    yield broker
    broker.stop()


def shown(host: str, authority: Path | None, client: Certificates | None = None) -> str:
    """The setting that has the broker trust an authority and show a certificate to a host."""
    parts = [host]
    if authority is not None:
        parts.append(f"ca={authority}")
    if client is not None:
        parts.append(f"certificate={client.certificate} key={client.key}")
    return " ".join(parts)


async def _fails(desk: Desk, subscription: str, kind: str = "tls") -> str:
    """What the ledger says of the first failure, which has to be of this kind."""

    async def failure() -> str | None:
        course = desk.broker.dispatcher.course("", subscription)
        if course is None or course.stop.last is None:
            return None
        assert course.stop.last.kind == kind
        return course.stop.last.detail

    return await eventually(failure)


async def test_mqtts_shows_the_certificate_that_is_set_for_the_host(
    open_desk: OpenDesk, guarded: MqttBroker, papers: Papers
) -> None:
    desk = await open_desk(tls=shown(f"localhost:{guarded.port}", papers.authority, papers.client))
    context = ssl.create_default_context(cafile=str(papers.authority))
    context.load_cert_chain(papers.client.certificate, papers.client.key)
    async with keeping(guarded, "safe", context) as keeper:
        await desk.subscribe(f"mqtts://localhost:{guarded.port}/safe", endpoint=info(2))
        await desk.create(DEVICE, level=LEVEL)
        await keeper.wait({DEVICE})


@pytest.mark.parametrize(
    ("client", "said"),
    [(None, "client certificate"), ("expired_client", "certificate"), ("strange_client", "certificate")],
)
async def test_mqtts_without_a_certificate_that_the_server_accepts_fails_as_tls(
    open_desk: OpenDesk, guarded: MqttBroker, papers: Papers, client: str | None, said: str
) -> None:
    certificates = None if client is None else getattr(papers, client)
    desk = await open_desk(tls=shown("localhost", papers.authority, certificates))
    subscription = await desk.subscribe(f"mqtts://localhost:{guarded.port}/safe", endpoint=info(1))
    await desk.create(DEVICE, level=LEVEL)
    assert said in await _fails(desk, subscription)


@asynccontextmanager
async def _secure_receiver(server: Certificates, *, asks: bool = False) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """An HTTPS receiver with a certificate; its port, and whether it got something."""
    got = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        await request.read()
        got.set()
        return web.Response()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.authority) if asks else None)
    context.load_cert_chain(server.certificate, server.key)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1], got
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("scheme", ["https", "mqtts"])
@pytest.mark.parametrize(
    ("server", "authority", "said"),
    [
        ("server", "stranger", "unable to get local issuer certificate"),
        ("server", None, "unable to get local issuer certificate"),
        ("other_server", "authority", "Hostname mismatch"),
        ("expired_server", "authority", "expired"),
    ],
)
async def test_a_server_whose_certificate_will_not_do_gets_nothing(
    open_desk: OpenDesk, papers: Papers, scheme: str, server: str, authority: str | None, said: str
) -> None:
    async with _secure_receiver(getattr(papers, server)) as (port, got):
        trusted = "" if authority is None else shown("localhost", getattr(papers, authority))
        desk = await open_desk(tls=trusted)
        topic = "topic" if scheme == "mqtts" else ""
        subscription = await desk.subscribe(f"{scheme}://localhost:{port}/{topic}")
        await desk.create(DEVICE, level=LEVEL)
        assert said in await _fails(desk, subscription)
        assert not got.is_set()


async def test_https_shows_the_certificate_that_is_set_for_the_host_and_to_no_other(
    open_desk: OpenDesk, papers: Papers
) -> None:
    async with (
        _secure_receiver(papers.server, asks=True) as (port, got),
        _secure_receiver(papers.server, asks=True) as (other, nothing),
    ):
        settings = (
            f"{shown(f'localhost:{port}', papers.authority, papers.client)}; {shown('localhost', papers.authority)}"
        )
        desk = await open_desk(tls=settings)
        await desk.subscribe(f"https://localhost:{port}/")
        refused = await desk.subscribe(f"https://localhost:{other}/")
        await desk.create(DEVICE, level=LEVEL)
        async with asyncio.timeout(5):
            await got.wait()
        assert "client certificate" in await _fails(desk, refused, "refused")
        assert not nothing.is_set()
