"""Commands all the way: a PATCH at the broker, a simulated device that gets it and answers, its status and what it said."""

import asyncio
from contextlib import asynccontextmanager

import aiomqtt
import orjson
import pytest
from aiohttp import web
from device_desk import GROUP, KEY, a_device_desk
from mosquitto import find_mosquitto, running_mqtt_broker
from runner_desk import until

from adapters.actuation.contract import CommandTarget

OFFICE = "office-token-0123456789"
COMMANDS = {
    "port": 0,
    "principals": {"office": {"tokens": [OFFICE]}},
    "allow": [{"principals": ["office"], "groups": ["Gate"], "commands": ["open", "close"]}],
}
GATE = "urn:ngsi-ld:Gate:gate001"
DEVICE = {
    "device_id": "gate001",
    "entity_name": GATE,
    "entity_type": "Gate",
    "apikey": KEY,
    "attributes": [{"object_id": "g", "name": "gateOpening", "type": "Number"}],
    "commands": [{"name": "open", "type": "Property"}, {"name": "close", "type": "Property"}],
}


@asynccontextmanager
async def a_gate_desk(folder, device, **iot):
    """A desk with commands and one provisioned gate, which has sent its first measure."""
    async with a_device_desk(folder, commands=COMMANDS, **iot) as desk:
        assert (await desk.north("POST", "/iot/services", {"services": [GROUP]}))[0] == 201
        await provision(desk, device)
        yield desk


async def provision(desk, device):
    assert await desk.north("POST", "/iot/devices", {"devices": [device]}) == (201, {})
    if device.get("commands"):
        await until(lambda: registered(desk, device["entity_name"]))
    assert (await desk.south("/iot/json", '{"g": 0}', i=device["device_id"]))[0] == 200
    await until(lambda: desk.entity(device["entity_name"]))


async def registered(desk, entity):
    """Whether the broker knows where an entity's commands go."""
    answer = await desk.api.get(f"csourceRegistrations?id={entity}&type=Gate&attrs=open", NGSILD_Tenant="openiot")
    return answer.status == 200 and answer.json


async def command(desk, value, name="open", *, token=OFFICE, entity=GATE):
    attribute = {"type": "Property", "value": value}
    path = f"entities/{entity}/attrs/{name}"
    return (await desk.api.patch(path, attribute, NGSILD_Tenant="openiot", Authorization=f"Bearer {token}")).status


async def taken(desk, entity):
    """Give a command as soon as the broker knows where to."""

    async def is_taken():
        return await command(desk, 40, entity=entity) == 204

    await until(is_taken)


async def reaches(desk, status, info=None, name="open", entity=GATE):
    async def shown():
        found = await desk.entity(entity)
        told = found is not None and found.get(f"{name}_status", {}).get("value") == status
        return found if told and info in (None, found[f"{name}_info"]["value"]) else None

    return await until(shown)


@asynccontextmanager
async def an_endpoint(answer):
    """A device that listens: its URL, and what it was told. `answer` makes its answer of that."""
    told = []

    async def receive(request):
        told.append((await request.read()).decode())
        return web.Response(text=answer(told[-1]))

    app = web.Application()
    app.router.add_post("/gate", receive)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{server.addresses[0][1]}/gate", told
    finally:
        await server.cleanup()


class TestHttp:
    async def test_a_pushed_command_is_answered_in_the_body(self, tmp_path):
        async with (
            an_endpoint(lambda told: f"{told.partition('|')[0]}|open OK") as (url, told),
            a_gate_desk(tmp_path, {**DEVICE, "endpoint": url}) as desk,
        ):
            assert await command(desk, {"position": 40}) == 204
            entity = await reaches(desk, "OK", "open OK")
            assert told == ["gate001@open|position=40"]
            assert entity["gateOpening"]["value"] == 0, "the state changes by what the device measures only"
            assert "open" not in entity

    async def test_a_device_by_the_name_of_another_protocols_neither_answers_for_it_nor_withdraws_it(self, tmp_path):
        gate = CommandTarget(
            "openiot", "urn:ngsi-ld:Gate:lora", "Gate", "24e124713b100000", "Gate", ("open",), "lorawan:g"
        )
        async with a_gate_desk(tmp_path, DEVICE) as desk:
            at_work = desk.runner.commands.desk
            await at_work.announce([gate])
            await until(lambda: registered(desk, gate.entity_id))
            assert await command(desk, 40, entity=gate.entity_id) == 204
            plain = {"device_id": gate.device_id, "entity_type": "Sensor", "apikey": KEY}
            assert await desk.north("POST", "/iot/devices", {"devices": [plain]}) == (201, {})
            answer = f"{gate.device_id}@open|OK"
            assert (await desk.south("/iot/d", answer, i=gate.device_id))[0] == 200
            assert at_work.book.targets.at((gate.tenant, gate.device_id)) == gate
            assert await command(desk, 50, entity=gate.entity_id) == 204
            shown = await reaches(desk, "PENDING", entity=gate.entity_id)
            assert shown["open_info"]["value"] == "accepted"

    async def test_a_device_that_was_there_before_its_group_has_the_groups_commands(self, tmp_path):
        async with a_device_desk(tmp_path, commands=COMMANDS) as desk:
            plain = {name: value for name, value in DEVICE.items() if name != "commands"}
            assert (await desk.north("POST", "/iot/devices", {"devices": [plain]}))[0] == 201
            group = {**GROUP, "entity_type": "Gate", "commands": DEVICE["commands"]}
            assert (await desk.north("POST", "/iot/services", {"services": [group]}))[0] == 201
            await until(lambda: registered(desk, GATE))

    async def test_a_command_that_is_not_permitted_reaches_nobody(self, tmp_path):
        async with (
            an_endpoint(lambda told: "") as (url, told),
            a_gate_desk(tmp_path, {**DEVICE, "endpoint": url}) as desk,
        ):
            assert await command(desk, 1, token="stranger-token-0123456789") in (401, 403)
            assert told == []

    async def test_a_device_that_polls_gets_its_commands_once_and_answers_later(self, tmp_path):
        async with a_gate_desk(tmp_path, {**DEVICE, "protocol": "PDI-IoTA-UltraLight", "polling": True}) as desk:
            assert await command(desk, 40) == 204
            assert await command(desk, "", "close") == 204
            assert (await desk.south("/iot/d", "g|1", i="gate001")) == (200, ""), "it did not ask for commands"
            got = []

            async def both():
                status, body = await desk.south("/iot/d", method="GET", i="gate001", getCmd="1")
                assert status == 200
                got.extend(body.split("#") if body else [])
                return len(got) >= 2

            await until(both)
            assert got == ["gate001@open|40", "gate001@close|"]
            assert await desk.south("/iot/d", "g|2", i="gate001", getCmd="1") == (200, "")
            await reaches(desk, "DELIVERED")
            assert await desk.south("/iot/d", "gate001@open|open OK", i="gate001") == (200, "")
            await reaches(desk, "OK", "open OK")
            assert (await desk.south("/iot/d", "gate002@close|OK", i="gate001"))[0] == 200, "another's answer"
            await reaches(desk, "DELIVERED", name="close")
            assert (await desk.south("/iot/d", "gate001@open|again", i="gate001"))[0] == 200, "an answer to no question"
            await reaches(desk, "OK", "open OK")

    async def test_a_json_device_that_polls(self, tmp_path):
        async with a_gate_desk(tmp_path, {**DEVICE, "protocol": "IoTA-JSON"}) as desk:
            assert await command(desk, {"position": 40}) == 204
            got = []

            async def it():
                status, body = await desk.south("/iot/json", '{"g": 1}', i="gate001", getCmd="1")
                assert status == 200
                got.extend([orjson.loads(body)] if body else [])
                return got

            assert await until(it) == [{"open": {"position": 40}}]
            assert (await desk.south("/iot/json/commands", '{"open": {"done": 40}}', i="gate001"))[0] == 200
            await reaches(desk, "OK", {"done": 40})

    async def test_what_has_no_form_in_ultralight_is_an_error_and_not_silence(self, tmp_path):
        async with a_gate_desk(tmp_path, {**DEVICE, "protocol": "PDI-IoTA-UltraLight"}) as desk:
            assert await command(desk, "a|b") == 204
            entity = await reaches(desk, "ERROR")
            assert "no form" in str(entity["open_info"]["value"])
            assert await desk.south("/iot/d", method="GET", i="gate001", getCmd="1") == (200, "")

    async def test_a_command_ends_with_its_device_and_one_that_is_provisioned_no_more_is_nobodys(self, tmp_path):
        async with a_gate_desk(tmp_path, DEVICE) as desk:
            assert await command(desk, 40) == 204
            await desk.north("PUT", "/iot/devices/gate001", {"commands": [{"name": "open"}]})
            assert await command(desk, 40, "close") in (207, 404)
            assert (await desk.north("DELETE", "/iot/devices/gate001"))[0] == 204
            await reaches(desk, "ERROR")
            assert (await desk.south("/iot/d", method="GET", i="gate001", getCmd="1"))[0] in (202, 401)

    async def test_of_two_commands_of_a_name_that_wait_the_later_is_told_and_the_other_an_error(self, tmp_path):
        async with a_gate_desk(tmp_path, {**DEVICE, "protocol": "IoTA-JSON"}) as desk:
            assert await command(desk, 40) == 204
            assert await command(desk, 50) == 204

            async def wait():
                waiting = "SELECT count(*) FROM command WHERE state = 'waiting'"
                return await desk.runner.journal.perform(lambda c: c.execute(waiting).fetchone()[0]) == 2

            await until(wait)
            status, body = await desk.south("/iot/json", '{"g": 1}', i="gate001", getCmd="1")
            assert (status, orjson.loads(body)) == (200, {"open": 50})
            assert (await desk.south("/iot/json/commands", '{"open": "OK"}', i="gate001"))[0] == 200
            await reaches(desk, "OK", "OK")
            states = "SELECT state FROM command ORDER BY issued_at"
            found = await desk.runner.journal.perform(lambda c: c.execute(states).fetchall())
            assert [state for (state,) in found] == ["error", "ok"]

    async def test_a_group_whose_commands_one_device_cannot_have_gives_them_to_the_others(self, tmp_path):
        plain = {name: value for name, value in DEVICE.items() if name != "commands"}
        async with a_gate_desk(tmp_path, plain) as desk:
            other = {**plain, "device_id": "gate002"}  # another device of the same entity
            third = {**plain, "device_id": "gate003", "entity_name": "urn:ngsi-ld:Gate:gate003"}
            assert (await desk.north("POST", "/iot/devices", {"devices": [other, third]}))[0] == 201
            change = {"commands": [{"name": "open"}]}
            assert (await desk.north("PUT", f"/iot/services?resource=/iot/d&apikey={KEY}", change))[0] == 204
            for entity in (GATE, "urn:ngsi-ld:Gate:gate003"):
                await taken(desk, entity)

    async def test_two_devices_cannot_have_the_same_command_of_an_entity(self, tmp_path):
        async with a_gate_desk(tmp_path, DEVICE) as desk:
            status, problem = await desk.north(
                "POST", "/iot/devices", {"devices": [{**DEVICE, "device_id": "gate002"}]}
            )
            assert (status, problem["name"]) == (409, "COMMAND_IN_USE")
            assert (await desk.north("GET", "/iot/devices/gate002"))[0] == 404
            assert (await desk.north("GET", "/iot/devices/gate001"))[0] == 200


@pytest.mark.mqtt
@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
@pytest.mark.parametrize(
    ("protocol", "told", "answer", "info"),
    [
        ("PDI-IoTA-UltraLight", b"gate001@open|position=40", ("ul", b"gate001@open|open OK"), "open OK"),
        ("IoTA-JSON", b'{"open":{"position":40}}', ("json", b'{"open":"OK"}'), "OK"),
    ],
)
async def test_a_command_over_mqtt_is_answered_on_the_topic_for_answers(tmp_path, protocol, told, answer, info):
    with running_mqtt_broker() as mqtt:
        settings = {"mqtt": {"host": mqtt.host, "port": mqtt.port}}
        document = {**DEVICE, "transport": "MQTT", "protocol": protocol}
        async with (
            a_gate_desk(tmp_path, document, **settings) as desk,
            aiomqtt.Client(mqtt.host, mqtt.port) as device,
        ):
            await device.subscribe(f"/{KEY}/gate001/cmd", qos=1)
            assert await command(desk, {"position": 40}) == 204
            message = await asyncio.wait_for(anext(aiter(device.messages)), 20)
            assert message.payload == told
            await reaches(desk, "DELIVERED")
            await device.publish(f"/{answer[0]}/{KEY}/gate001/cmdexe", answer[1], qos=1)
            await reaches(desk, "OK", info)
