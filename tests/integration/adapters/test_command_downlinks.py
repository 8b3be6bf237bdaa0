"""Commands to LoRaWAN devices through a real MQTT broker, with a network server that the test plays."""

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import aiomqtt
import pytest
from command_desk import ALLOW, PRINCIPALS, City
from mosquitto import MqttBroker, MqttBrokerMissing, find_mosquitto
from runner_desk import a_broker, until

from adapters.actuation import record
from adapters.actuation.contract import Command, Outcome, TryLater
from adapters.actuation.record import State
from adapters.errors import InvalidFeeds
from adapters.feeds import parse_feeds
from adapters.lorawan.downlinks import DownlinkCarrier
from adapters.runner import running

EUI = "24e124713b100000"
GATE = "urn:ngsi-ld:SluiceGate:1"


@pytest.fixture
def mqtt(tmp_path):
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = MqttBroker(tmp_path / "mqtt")
    (tmp_path / "mqtt").mkdir()
    try:
        broker.start()
    except MqttBrokerMissing as missing:
        pytest.skip(str(missing))
    yield broker
    broker.stop()


def document(mqtt, server, confirmed=True, **commands):
    table = {"port": 10, "confirmed": confirmed, "parts": [{"bytes": "ff0b"}, {"write": "uint8", "most": 100}]}
    return {
        "runner": {"push_port": 0},
        "commands": {"port": 0, **commands, "principals": PRINCIPALS, "allow": ALLOW},
        "lorawan": {
            "gates": {
                "server": server,
                "application": "app1",
                "entity_type": "SluiceGate",
                "group": "gates",
                "mqtt": {"host": mqtt.host, "port": mqtt.port},
                "commands": {"open": table},
                "devices": {EUI: {"entity": GATE}},
            }
        },
    }


class Network:
    """A network server: takes downlinks, and says of them what the test wants."""

    def __init__(self, client):
        self.client = client
        self.heard = asyncio.Queue()

    async def listen(self):
        async for message in self.client.messages:
            self.heard.put_nowait((str(message.topic), json.loads(message.payload), message.retain))

    async def next(self):
        async with asyncio.timeout(15):
            return await self.heard.get()

    async def says(self, kind, item, **members):
        event = {"deviceInfo": {"devEui": EUI}, "time": "2026-06-30T00:00:00Z", "queueItemId": item, **members}
        await self.client.publish(f"application/app1/device/{EUI}/event/{kind}", json.dumps(event), qos=1)

    async def says_there(self, kind, tags, **members):
        event = {
            "end_device_ids": {"device_id": "d", "dev_eui": EUI},
            "correlation_ids": tags,
            f"downlink_{kind}": members,
        }
        await self.client.publish(f"v3/app1/devices/eui-{EUI}/down/{kind}", json.dumps(event))


@asynccontextmanager
async def a_network(folder, mqtt, server="chirpstack", **settings):
    feeds = parse_feeds(document(mqtt, server, **settings), folder)
    async with a_broker() as api, aiomqtt.Client(mqtt.host, mqtt.port) as client:
        network = Network(client)
        await client.subscribe([("application/+/device/+/command/down", 1), ("v3/+/devices/+/down/push", 1),
                                ("v3/+/devices/+/down/replace", 1)])  # fmt: skip
        listening = asyncio.create_task(network.listen())
        await api.post("entities", {"id": GATE, "type": "SluiceGate"})
        async with running(feeds, api.url) as runner:
            async with asyncio.timeout(20):
                await runner.commands.registering.settled.wait()
                await runner.commands.desk.carrying._carriers["lorawan:gates"].listening.wait()
            yield City(api, runner, None), network
        listening.cancel()


async def test_chirpstack_a_downlink_is_delivered_when_transmitted_and_done_when_confirmed(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt) as (city, network):
        assert (await city.command(40, key="c1")).status == 204
        topic, downlink, retained = await network.next()
        assert topic == f"application/app1/device/{EUI}/command/down"
        assert (downlink["data"], downlink["fPort"], downlink["confirmed"], retained) == ("/wso", 10, True, False)
        assert downlink["expiresAt"]
        await city.reaches("PENDING")
        await network.says("txack", downlink["id"])
        await city.reaches("DELIVERED")
        await network.says("ack", downlink["id"], acknowledged=True)
        shown = await city.reaches("OK")
        assert shown["open_status"]["commandId"]["value"] == "c1"
        await city.command(50)
        _, second, _ = await network.next()
        await network.says("txack", second["id"])
        await network.says("ack", second["id"], acknowledged=False)
        await city.reaches("ERROR")


async def test_chirpstack_a_downlink_without_confirmation_is_done_when_transmitted(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, confirmed=False) as (city, network):
        await city.command(40)
        _, downlink, _ = await network.next()
        await network.says("txack", "another-ones")
        await network.says("txack", downlink["id"])
        assert "does not confirm" in (await city.reaches("OK"))["open_info"]["value"]


async def test_chirpstack_only_one_downlink_of_a_device_is_queued_and_it_expires_there(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, expires=1.5) as (city, network):
        await city.command(40, key="a")
        _, first, _ = await network.next()
        await city.command(50, key="b")
        await asyncio.sleep(0.3)
        assert network.heard.empty()
        await network.says("txack", first["id"])
        await network.says("ack", first["id"], acknowledged=True)
        _, second, _ = await network.next()
        assert second["data"] == "/wsy"
        shown = await city.reaches("EXPIRED")
        assert "taken back" in shown["open_info"]["value"]


async def test_a_value_that_the_encoding_cannot_say_is_an_error(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt) as (city, network):
        await city.command(101)
        assert "101" in (await city.reaches("ERROR"))["open_info"]["value"]
        assert network.heard.empty()


async def test_an_mqtt_broker_that_is_away_is_waited_for_until_the_command_expires(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, expires=1.0) as (city, _):
        mqtt.kill()
        carrier = city.desk.carrying._carriers["lorawan:gates"]
        for _ in range(100):
            if not carrier.listening.is_set():
                break
            await asyncio.sleep(0.05)
        assert (await city.command(40)).status == 204
        await city.reaches("EXPIRED")


async def test_the_things_stack_a_downlink_is_confirmed_or_taken_back(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, "things-stack", expires=1.5) as (city, network):
        await city.command(40)
        topic, document, _ = await network.next()
        assert topic == f"v3/app1/devices/eui-{EUI}/down/push"
        (item,) = document["downlinks"]
        await network.says_there("sent", item["correlation_ids"])
        await city.reaches("DELIVERED")
        await network.says_there("ack", item["correlation_ids"])
        await city.reaches("OK")
        await city.command(50, key="never heard of")
        await network.next()
        topic, document, _ = await network.next()
        assert (topic.rpartition("/")[2], document) == ("replace", {"downlinks": []})
        assert "taken back" in (await city.reaches("EXPIRED"))["open_info"]["value"]


async def test_the_things_stack_what_a_killed_runner_may_have_left_in_the_queue_is_taken_back(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, "things-stack", expires=4.0) as (city, network):
        await city.command(40)
        topic, _, _ = await network.next()
        assert topic.endswith("/push")
        journal = city.runner.journal.path
    with sqlite3.connect(journal) as other:  # as a kill leaves it between the downlink and the note that it is sent
        other.execute("UPDATE command SET state = 'carrying'")
    async with a_network(tmp_path, mqtt, "things-stack", expires=4.0) as (city, network):
        await city.command(50)
        topic, document, _ = await network.next()
        assert (topic.rpartition("/")[2], document) == ("replace", {"downlinks": []}), (
            "and nothing went out before that"
        )

        async def ended():
            entries = await city.desk.book.journal.perform(lambda c: record.last(c, 2))
            first = entries[-1].command.id
            return next((each for each in await city.trail_of(first) if each.state is State.ERROR), None)

        assert "told to drop it" in (await until(ended)).info


async def test_the_things_stack_a_downlink_that_cannot_be_taken_back_is_as_soon_as_it_can(tmp_path, mqtt):
    fleet = parse_feeds(document(mqtt, "things-stack"), tmp_path).fleets[0]
    carrier = DownlinkCarrier(fleet, "tests")
    late = Command("id1", "k", fleet.targets[0], "open", 40, "2026-06-30T00:00:00.000Z", "2026-06-30T00:00:01.000Z")
    carrier.expect([late])
    with pytest.raises(TryLater):
        await carrier.recall(late)
    async with aiomqtt.Client(mqtt.host, mqtt.port) as client:
        network = Network(client)
        await client.subscribe("v3/+/devices/+/down/replace", 1)
        tasks = [asyncio.create_task(network.listen()), asyncio.create_task(carrier.run(None))]
        topic, told, _ = await network.next()
        assert (topic, told) == (f"v3/app1/devices/eui-{EUI}/down/replace", {"downlinks": []})
        async with asyncio.timeout(10):
            await carrier.listening.wait()
        assert (
            await carrier.carry(replace(late, id="id2", expires_at="2199-01-01T00:00:00.000Z"))
        ).outcome is Outcome.SENT
        assert await carrier.recall(late), "and the later one stays where it is"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(network.heard.get(), 0.3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_device_in_two_fleets_is_refused(tmp_path):
    found = document(SimpleNamespace(host="localhost", port=1883), "chirpstack")
    found["lorawan"]["locks"] = found["lorawan"]["gates"] | {"devices": {EUI: {"entity": "urn:ngsi-ld:Lock:1"}}}
    with pytest.raises(InvalidFeeds, match=rf"{EUI} is in both .*gates.*locks"):
        parse_feeds(found, tmp_path)


async def test_the_things_stack_what_the_device_did_not_confirm_is_not_sent_again_after_its_end(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, "things-stack", answer_within=1.0) as (city, network):
        await city.command(40)
        _, told, _ = await network.next()
        await network.says_there("sent", told["downlinks"][0]["correlation_ids"])
        await city.reaches("DELIVERED")
        topic, told, _ = await network.next()
        assert (topic.rpartition("/")[2], told) == ("replace", {"downlinks": []})
        assert "no answer" in (await city.reaches("EXPIRED"))["open_info"]["value"]


async def test_the_things_stack_a_downlink_of_a_device_that_is_withdrawn_is_taken_back(tmp_path, mqtt):
    async with a_network(tmp_path, mqtt, "things-stack") as (city, network):
        await city.command(40)
        assert (await network.next())[0].endswith("/push")
        await city.desk.withdraw("", [EUI])
        topic, told, _ = await network.next()
        assert (topic.rpartition("/")[2], told) == ("replace", {"downlinks": []})
        await city.reaches("ERROR")
