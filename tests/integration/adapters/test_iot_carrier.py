"""Commands on their way to devices: posted to real HTTP endpoints, published through a real MQTT broker, kept for polling."""

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiomqtt
import orjson
import pytest
from aiohttp import web
from device_desk import KEY
from mongod import free_port
from mosquitto import find_mosquitto, running_mqtt_broker
from runner_desk import until

from adapters.actuation.contract import Carried, Command, Outcome, TryLater, Undeliverable
from adapters.feeds import Mqtt
from adapters.iot.agent import Agent
from adapters.iot.carrier import IotCarrier, endpoint_session
from adapters.iot.device import Owner
from adapters.iot.endpoints import EndpointPolicy
from adapters.iot.mqtt import Session
from adapters.iot.registry import Registry
from adapters.iot.settings import IOT_TOPICS
from adapters.iot.targets import target_of
from adapters.journal import Journal
from adapters.transports.mqtt import SILENT_MILLISECONDS, Arrived, make_client

OWNER = Owner("city", "/park")
GATE = {"device_id": "gate001", "apikey": KEY, "entity_type": "Gate", "commands": [{"name": "open"}]}


class Gate:
    """A device with an endpoint: what it was told, and what it answers."""

    def __init__(self):
        self.told = []
        self.status, self.answer, self.delay = 200, b"gate001@open|open OK", 0.0
        self.url = ""

    @asynccontextmanager
    async def running(self):
        async def receive(request):
            self.told.append((request.headers["Content-Type"], await request.read(), dict(request.headers)))
            await asyncio.sleep(self.delay)
            headers = {"Location": "/elsewhere"} if self.status == 302 else {}
            return web.Response(body=self.answer, status=self.status, headers=headers)

        app = web.Application()
        app.router.add_post("/{name:.*}", receive)
        server = web.AppRunner(app)
        await server.setup()
        await web.TCPSite(server, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{server.addresses[0][1]}/iot/gate001"
        try:
            yield self
        finally:
            await server.cleanup()


@asynccontextmanager
async def a_carrier(folder, *, mqtt=None, endpoints=(), patience=5.0):
    policy = EndpointPolicy.parse(endpoints)
    async with await Journal.open(folder) as journal, endpoint_session(policy, "tests") as http:
        registry = await Registry.open(journal)
        session = None if mqtt is None else Session(mqtt, Agent(registry, {}), journal.identity)
        yield registry, IotCarrier(registry, http, policy, session, patience), session


async def command(registry, document, value, seconds=60.0, name="open"):
    """A device as given, and a command for it."""
    (device,) = await registry.add_devices(OWNER, [document])
    now = datetime.now(UTC)
    limit = (now + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Command("an-id", "a-key", target_of(device), name, value, now.isoformat(), limit)


async def connected(session):
    async def is_connected():
        return session.connected

    await until(is_connected)


@pytest.fixture
async def gate():
    async with Gate().running() as found:
        yield found


class TestEndpoints:
    async def test_a_command_is_posted_and_the_body_of_the_answer_is_the_devices(self, gate, tmp_path):
        async with a_carrier(tmp_path) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": gate.url}, {"position": 40})
            assert await carrier.carry(todo) == Carried(Outcome.ANSWERED, "open OK")
            ((kind, body, headers),) = gate.told
            assert (kind, body) == ("text/plain", b"gate001@open|position=40")
            assert (headers["fiware-service"], headers["fiware-servicepath"]) == ("city", "/park")

    async def test_json_devices_get_and_answer_json(self, gate, tmp_path):
        gate.answer = b'{"other": 1, "open": {"position": 40}}'
        async with a_carrier(tmp_path) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": gate.url, "protocol": "IoTA-JSON"}, {"position": 40})
            assert await carrier.carry(todo) == Carried(Outcome.ANSWERED, {"position": 40})
            kind, body, _ = gate.told[0]
            assert (kind, orjson.loads(body)) == ("application/json", {"open": {"position": 40}})

    @pytest.mark.parametrize("answer", [b"", b"thanks", b"gate002@open|OK", b"gate001@close|OK", b"x" * 100_000])
    async def test_an_answer_that_is_none_leaves_the_command_delivered(self, gate, tmp_path, answer):
        gate.answer = answer
        async with a_carrier(tmp_path) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": gate.url}, "x")
            assert await carrier.carry(todo) == Carried(Outcome.DELIVERED)

    @pytest.mark.parametrize("status", [302, 404, 500])
    async def test_a_device_that_refuses_is_told_of(self, gate, tmp_path, status):
        gate.status, gate.answer = status, b"jammed"
        async with a_carrier(tmp_path) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": gate.url}, "x")
            with pytest.raises(Undeliverable, match=f"{status}: jammed"):
                await carrier.carry(todo)
            assert len(gate.told) == 1, "a redirect is not followed"

    async def test_a_device_that_says_nothing_has_the_command_for_all_we_know(self, gate, tmp_path):
        gate.delay = 1.0
        async with a_carrier(tmp_path, patience=0.3) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": gate.url}, "x")
            with pytest.raises(TimeoutError):
                await carrier.carry(todo)

    async def test_a_device_that_is_away_is_tried_later(self, tmp_path):
        async with a_carrier(tmp_path) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": f"http://127.0.0.1:{free_port()}/"}, "x")
            with pytest.raises(TryLater):
                await carrier.carry(todo)

    @pytest.mark.parametrize(
        ("endpoint", "endpoints"),
        [
            ("http://169.254.169.254/latest", ()),
            ("http://[::ffff:169.254.169.254]/", ()),
            ("http://localhost:1/", ("10.0.0.0/8",)),
            ("http://127.0.0.1:1/", ("10.0.0.0/8",)),
            ("http://0x7f000001:1/", ("10.0.0.0/8",)),
            ("http://１６９.254.169.254/latest", ()),
            ("http://169。254。169。254/latest", ()),
            ("http://①２７.0.0.1:1/", ("10.0.0.0/8",)),
        ],
    )
    async def test_an_address_that_is_not_allowed_is_not_called(self, tmp_path, endpoint, endpoints):
        async with a_carrier(tmp_path, endpoints=endpoints) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": endpoint}, "x")
            with pytest.raises(Undeliverable, match="not allowed"):
                await carrier.carry(todo)


class TestWhatIsNotCarried:
    async def test_a_device_without_endpoint_asks_for_its_commands(self, tmp_path):
        async with a_carrier(tmp_path) as (registry, carrier, _):
            assert await carrier.carry(await command(registry, GATE, "x")) == Carried(Outcome.WAITING)

    async def test_what_cannot_be_said_or_comes_too_late_or_to_nobody_never_goes_out(self, gate, tmp_path):
        async with a_carrier(tmp_path) as (registry, carrier, _):
            todo = await command(registry, {**GATE, "endpoint": gate.url}, "a|b")
            with pytest.raises(Undeliverable, match="no form"):
                await carrier.carry(todo)
            with pytest.raises(Undeliverable, match="expired"):
                await carrier.carry(replace(todo, value="x", expires_at="2026-01-01T00:00:00.000Z"))
            with pytest.raises(Undeliverable, match="no such command"):
                await carrier.carry(replace(todo, value="x", name="close"))
            await registry.change_device(OWNER, "gate001", {"transport": "MQTT"})
            with pytest.raises(Undeliverable, match="no mqtt"):
                await carrier.carry(replace(todo, value="x"))
            await registry.remove_device(OWNER, "gate001")
            with pytest.raises(Undeliverable, match="not provisioned"):
                await carrier.carry(replace(todo, value="x"))
            assert gate.told == []


@pytest.mark.mqtt
@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
class TestMqtt:
    @pytest.mark.parametrize("version", ["5", "3.1.1"])
    async def test_a_command_is_published_on_the_devices_topic(self, tmp_path, version):
        with running_mqtt_broker() as broker:
            mqtt = Mqtt(broker.host, IOT_TOPICS, broker.port, version=version)
            async with (
                a_carrier(tmp_path, mqtt=mqtt) as (registry, carrier, session),
                aiomqtt.Client(broker.host, broker.port) as device,
            ):
                await device.subscribe(f"/{KEY}/gate001/cmd", qos=1)
                todo = await command(registry, {**GATE, "transport": "MQTT"}, {"position": 40})
                with pytest.raises(TryLater):
                    await carrier.carry(todo)
                listening = asyncio.create_task(session.run())
                await connected(session)
                assert await carrier.carry(todo) == Carried(Outcome.DELIVERED)
                message = await asyncio.wait_for(anext(aiter(device.messages)), 10)
                assert message.payload == b"gate001@open|position=40"
                assert not message.retain
                listening.cancel()

    async def test_a_device_that_comes_back_too_late_does_not_get_the_command(self, tmp_path):
        with running_mqtt_broker() as broker:
            mqtt = Mqtt(broker.host, IOT_TOPICS, broker.port)
            device = {"identifier": "gate001", "clean_session": False}
            async with aiomqtt.Client(broker.host, broker.port, **device) as client:
                await client.subscribe(f"/{KEY}/gate001/cmd", qos=1)
            async with a_carrier(tmp_path, mqtt=mqtt) as (registry, carrier, session):
                listening = asyncio.create_task(session.run())
                await connected(session)
                todo = await command(registry, {**GATE, "transport": "MQTT"}, "x", seconds=1.6)
                assert await carrier.carry(todo) == Carried(Outcome.DELIVERED)
                await asyncio.sleep(3.0)  # it counts in whole seconds
                async with aiomqtt.Client(broker.host, broker.port, **device) as client:
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(anext(aiter(client.messages)), 0.5)
                listening.cancel()


class Answers:
    """Notes the answers that are handed on."""

    def __init__(self):
        self.taken = []

    async def announce(self, targets):
        pass

    async def withdraw(self, tenant, device_ids):
        pass

    async def answered(self, tenant, device_id, name, result, at="", command_id=None, *, error=False):
        self.taken.append((device_id, name, result))
        return True


class TestAnswers:
    async def test_an_answer_that_comes_again_is_not_the_answer_to_the_next_command(self, tmp_path):
        answers, mqtt = Answers(), Mqtt("localhost", IOT_TOPICS, 1)
        for killed in (False, True):
            async with await Journal.open(tmp_path) as journal:
                registry = await Registry.open(journal)
                session = Session(mqtt, Agent(registry, {}, answers), journal.identity)
                client = make_client(mqtt, "iot", journal.identity, None)
                if not killed:
                    await registry.add_devices(OWNER, [GATE])
                first = Arrived(f"/ul/{KEY}/gate001/cmdexe", b"gate001@open|OK", 1, 7, killed, False)
                await session.receive(client, [first])
                assert answers.taken == [("/park/gate001", "open", "OK")]
                await session.receive(client, [replace(first, again=True)])
                assert len(answers.taken) == 1
        async with await Journal.open(tmp_path) as journal:
            session = Session(mqtt, Agent(await Registry.open(journal), {}, answers), journal.identity)
            await session.receive(client, [replace(first, again=False), replace(first, packet=8, again=True)])
            assert len(answers.taken) == 3, "the same answer to another command is another one"


async def test_a_device_does_not_provision_itself_as_another_entity(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        registry = await Registry.open(journal)
        agent = Agent(registry, {}, auto_provision=True)
        await registry.add_groups(OWNER, [{"apikey": KEY, "resource": "/iot/d", "entity_type": "Lamp"}])
        for device_id in ("urn:ngsi-ld:SluiceGate:1", "URN:ngsi-ld:Lamp:1"):
            sender = await agent.sender(KEY, device_id, "ultralight")
            assert sender is not None
            assert sender.device is None
        assert (await agent.sender(KEY, "lamp1", "ultralight")).device is not None


@pytest.mark.mqtt
@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
async def test_what_a_broken_network_keeps_is_not_sent_when_it_is_whole_again():
    with running_mqtt_broker() as broker:
        async with make_client(Mqtt(broker.host, ("x",), broker.port), "iot", "tests", None) as client:
            found = client._client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert found == SILENT_MILLISECONDS
