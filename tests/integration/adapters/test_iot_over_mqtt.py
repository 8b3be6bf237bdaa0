"""Devices over MQTT, against a real MQTT broker: from provisioning to the entity, and what happens when one side is away."""

import asyncio
import logging

import aiomqtt
import pytest
from device_desk import GROUP, KEY, a_device_desk
from mosquitto import find_mosquitto, running_mqtt_broker
from runner_desk import until

from adapters import quarantine

pytestmark = [pytest.mark.mqtt, pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")]

DEVICE = {
    "device_id": "t1",
    "transport": "MQTT",
    "attributes": [{"object_id": "t", "name": "temperature", "type": "Number", "metadata": {"unitCode": "CEL"}}],
}
ENTITY = "urn:ngsi-ld:Sensor:t1"


@pytest.fixture
def mqtt():
    with running_mqtt_broker() as broker:
        yield broker


def settings(mqtt, **others):
    return {"mqtt": {"host": mqtt.host, "port": mqtt.port}} | others


async def send(mqtt, *messages, retain=False):
    async with aiomqtt.Client(mqtt.host, mqtt.port) as client:
        for topic, payload in messages:
            await client.publish(topic, payload, qos=1, retain=retain)


async def provision(desk):
    assert (await desk.north("POST", "/iot/services", {"services": [GROUP]}))[0] == 201
    assert (await desk.north("POST", "/iot/devices", {"devices": [DEVICE]}))[0] == 201


async def heard(desk, mqtt):
    """Wait until the session is there."""

    async def connected():
        return desk.runner.devices.session.connected

    await until(connected)


async def temperature(desk, value):
    async def is_there():
        entity = await desk.entity(ENTITY)
        return entity is not None and entity["temperature"]["value"] == value

    await until(is_there)


async def test_measures_on_every_topic_become_the_entity(mqtt, tmp_path):
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await provision(desk)
        await heard(desk, mqtt)
        for number, (topic, payload) in enumerate(
            [
                (f"/ul/{KEY}/t1/attrs", "t|{}"),
                (f"ul/{KEY}/t1/attrs/t", "{}"),
                (f"/json/{KEY}/t1/attrs", '{{"t": {}}}'),
                (f"json/{KEY}/t1/attrs/t", "{}"),
                (f"/{KEY}/t1/attrs", "t|{}"),
                (f"{KEY}/t1/attrs/t", "{}"),
            ]
        ):
            await send(mqtt, (topic, payload.format(number)))
            await temperature(desk, number)
        assert await quarantine.held(desk.runner.journal) == []
        assert (await desk.entity(ENTITY))["temperature"]["unitCode"] == "CEL"


async def test_what_is_wrong_is_held_back_or_passed_over_and_nothing_else_waits_for_it(mqtt, tmp_path):
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await provision(desk)
        await heard(desk, mqtt)
        await send(
            mqtt,
            (f"/ul/{KEY}/t1/attrs", b"\xff\xfe"),
            (f"/json/{KEY}/t1/attrs", b"t|3"),
            (f"/ul/{KEY}/t2/attrs", b"t|3"),
            ("/ul/wrong-key-of-somebody/t1/attrs", b"t|3"),
            (f"/ul/{KEY}/t1/cmdexe", b"no answer"),
            (f"/ul/{KEY}/t1/cmdexe", b"t1@on|OK"),
            ("/ul//t1/attrs", b"t|3"),
            (f"/ul/{KEY}/t1/attrs", b"t|8"),
        )
        await temperature(desk, 8)
        await until(desk.settled)
        rules = [each.rule for each in await quarantine.held(desk.runner.journal)]
        assert sorted(rules) == ["undecodable", "undecodable", "unknown-device"]


async def test_keys_in_topics_are_not_in_the_log(mqtt, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await provision(desk)
        await heard(desk, mqtt)
        await send(mqtt, (f"/ul/{KEY}/t1/attrs", b"t|5"), ("/ul/another-key/t1/attrs", b"t|5"))
        await temperature(desk, 5)
    said = [each.getMessage() for each in caplog.records if each.name.startswith("adapters")]
    assert said
    assert KEY not in repr(said)
    assert "another-key" not in repr(said)


async def test_a_retained_measure_is_none(mqtt, tmp_path):
    await send(mqtt, (f"/ul/{KEY}/t1/attrs", b"t|99"), retain=True)
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await provision(desk)
        await heard(desk, mqtt)
        await send(mqtt, (f"/ul/{KEY}/t1/attrs", b"t|1"))
        await temperature(desk, 1)
        answer = await desk.api.get(f"temporal/entities/{ENTITY}?attrs=temperature", NGSILD_Tenant="openiot")
        found = answer.json["temperature"]
        assert {instance["value"] for instance in (found if isinstance(found, list) else [found])} == {1}


async def test_what_comes_while_the_runner_is_away_comes_in_afterwards_once(mqtt, tmp_path):
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await provision(desk)
        await heard(desk, mqtt)
    await send(mqtt, *((f"/ul/{KEY}/t1/attrs", f"t|{number}") for number in range(5)))
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await temperature(desk, 4)

        def count(connection):
            return connection.execute("SELECT count(*) FROM input WHERE feed = 'iot-ultralight'").fetchone()[0]

        assert await desk.runner.journal.perform(count) == 5


async def test_the_session_comes_back_when_the_mqtt_broker_does(mqtt, tmp_path):
    async with a_device_desk(tmp_path, **settings(mqtt)) as desk:
        await provision(desk)
        await heard(desk, mqtt)
        mqtt.kill()

        async def away():
            return not desk.runner.devices.session.connected

        await until(away)
        await asyncio.to_thread(mqtt.start)
        await heard(desk, mqtt)
        await send(mqtt, (f"/ul/{KEY}/t1/attrs", b"t|2"))
        await temperature(desk, 2)
