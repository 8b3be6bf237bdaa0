"""Commands in a real `tsunagu serve --adapters FILE`, to a device behind a real MQTT broker, through SIGKILLs of the process.

With TSUNAGU_ADAPTER_KILLS there are ten of them, else one.
"""

import asyncio
import json
import os
import signal
import sqlite3

import aiohttp
import aiomqtt
import pytest
from broker_process import Process
from mongod import free_port
from mosquitto import MqttBroker, MqttBrokerMissing, find_mosquitto

KILLS = 10 if os.environ.get("TSUNAGU_ADAPTER_KILLS") else 1
EUI = "24e124713b100000"
GATE = "urn:ngsi-ld:SluiceGate:1"
TOKEN = "a-token-of-the-duty-office"
FILE = """
[commands]
port = {door}
expires = 12
answer_within = 1.0

[commands.principals.office]
tokens = ["{token}"]

[[commands.allow]]
principals = ["office"]
groups = ["gates"]
commands = ["open"]

[lorawan.gates]
server = "chirpstack"
application = "app1"
entity_type = "SluiceGate"
group = "gates"
mqtt = {{host = "127.0.0.1", port = {mqtt}}}

[lorawan.gates.commands.open]
port = 10
parts = [{{write = "uint8"}}]

[lorawan.gates.devices.{eui}]
entity = "{gate}"
"""


@pytest.fixture
def mqtt(tmp_path):
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    (tmp_path / "mqtt").mkdir()
    broker = MqttBroker(tmp_path / "mqtt")
    try:
        broker.start()
    except MqttBrokerMissing as missing:
        pytest.skip(str(missing))
    yield broker
    broker.stop()


async def test_commands_survive_kills_of_the_process_and_none_is_carried_twice(tmp_path, mqtt):
    file = tmp_path / "adapters.toml"
    file.write_text(FILE.format(door=free_port(), token=TOKEN, mqtt=mqtt.port, eui=EUI, gate=GATE))
    broker = Process(f"sqlite:{tmp_path / 'store'}", "--adapters", str(file))
    downlinks = []
    async with aiohttp.ClientSession() as session, aiomqtt.Client(mqtt.host, mqtt.port) as network:
        await network.subscribe("application/+/device/+/command/down", 1)

        async def confirm():
            """The network: transmits each downlink, and the device confirms it."""
            async for message in network.messages:
                downlink = json.loads(message.payload)
                downlinks.append(downlink["id"])
                for kind, said in (("txack", {}), ("ack", {"acknowledged": True})):
                    event = {"deviceInfo": {"devEui": EUI}, "queueItemId": downlink["id"], **said}
                    await network.publish(f"application/app1/device/{EUI}/event/{kind}", json.dumps(event), qos=1)

        confirming = asyncio.create_task(confirm())
        taken = {}
        for life in range(KILLS + 1):
            await broker.start(session)
            url = f"{broker.url}/ngsi-ld/v1/entities"
            if life == 0:
                async with session.post(url, json={"id": GATE, "type": "SluiceGate"}) as answer:
                    assert answer.status == 201
            for number in range(60):
                key, status = f"{life}-{number}", 0
                body = {"type": "Property", "value": number, "commandId": {"type": "Property", "value": key}}
                try:
                    async with session.patch(
                        f"{url}/{GATE}/attrs/open", json=body, headers={"Authorization": f"Bearer {TOKEN}"}
                    ) as answer:
                        status = answer.status
                except aiohttp.ClientError:
                    pass
                if status == 204:
                    taken[key] = number
                else:  # not registered yet
                    await asyncio.sleep(0.1)
                if sum(each.startswith(f"{life}-") for each in taken) == 4 + 2 * (life % 3):
                    break
            if life < KILLS:
                await broker.end(signal.SIGKILL)
        assert len(taken) > 6 * KILLS // 2
        journal = sqlite3.connect(tmp_path / "tsunagu-adapters" / "journal.sqlite")
        for _ in range(600):
            (left,) = journal.execute("SELECT count(*) FROM command WHERE deadline IS NOT NULL").fetchone()
            (untold,) = journal.execute("SELECT count(*) FROM command_untold").fetchone()
            if not left and not untold:
                break
            await asyncio.sleep(0.1)
        confirming.cancel()
        ends = dict(journal.execute("SELECT key, state FROM command"))
        assert taken.keys() <= ends.keys()
        # One of which nobody knows whether it is in the network's queue is waited for, and those behind it may expire meanwhile.
        assert set(ends.values()) <= {"ok", "error", "expired"}
        assert "ok" in ends.values()
        assert list(ends.values()).count("error") <= KILLS  # what was being carried when the process died
        assert len(set(downlinks)) == len(downlinks)
        async with session.get(f"{url}/{GATE}") as answer:
            shown = await answer.json()
        assert shown["open_status"]["value"] in ("OK", "ERROR", "EXPIRED")
        assert "open" not in shown
        assert await broker.end(signal.SIGTERM) == 0
