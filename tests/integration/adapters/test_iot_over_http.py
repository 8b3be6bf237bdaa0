"""Devices over HTTP: provisioned at the north port, measures at the south port, entities in a real broker."""

import asyncio
import logging
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from device_desk import GROUP, KEY, NORTH_KEY, SERVICE, a_device_desk, feeds
from runner_desk import a_broker, until
from yarl import URL

from adapters import quarantine
from adapters.errors import InvalidFeeds
from adapters.feeds import parse_feeds
from adapters.groups import last_run
from adapters.iot.measures import ULTRALIGHT
from adapters.iot.payload import MOST_BYTES
from adapters.iot.together import Together
from adapters.journal import Intake
from adapters.runner import running

REQUESTS = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "iot-agents"
T1 = {
    "device_id": "t1",
    "entity_name": "urn:ngsi-ld:Sensor:t1",
    "entity_type": "Sensor",
    "attributes": [
        {"object_id": "t", "name": "temperature", "type": "Number", "metadata": {"unitCode": {"value": "CEL"}}},
        {"object_id": "gps", "name": "location", "type": "geo:point"},
    ],
    "static_attributes": [{"name": "controlledAsset", "type": "Relationship", "value": "urn:ngsi-ld:Building:barn001"}],
}


async def provision(desk, *devices, group=GROUP):
    assert await desk.north("POST", "/iot/services", {"services": [group]}) == (201, {})
    if devices:
        assert await desk.north("POST", "/iot/devices", {"devices": list(devices)}) == (201, {})


async def held(desk):
    return [(each.feed, each.rule, each.record) for each in await quarantine.held(desk.runner.journal)]


class TestMeasures:
    async def test_a_measure_of_a_provisioned_device_becomes_its_entity(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            assert await desk.south("/iot/d", "t|3|gps|35.6,139.7", t="2026-06-30T05:20:00Z") == (200, "")
            entity = await until(lambda: desk.entity("urn:ngsi-ld:Sensor:t1"))
            assert entity["temperature"] == {
                "type": "Property",
                "value": 3,
                "unitCode": "CEL",
                "observedAt": "2026-06-30T05:20:00Z",
            }
            assert entity["location"]["value"] == {"type": "Point", "coordinates": [139.7, 35.6]}
            assert entity["controlledAsset"]["object"] == "urn:ngsi-ld:Building:barn001"

    async def test_every_way_in_leads_to_the_entity_and_older_readings_do_not_win(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)

            async def temperature(value):
                async def is_there():
                    entity = await desk.entity("urn:ngsi-ld:Sensor:t1")
                    return entity is not None and entity["temperature"]["value"] == value

                await until(is_there)

            assert (await desk.south("/iot/d", method="GET", d="2026-06-30T05:00:00Z|t|4"))[0] == 200
            await temperature(4)
            assert (await desk.south("/iot/json", '{"t": 5, "TimeInstant": "2026-06-30T05:01:00Z"}'))[0] == 200
            await temperature(5)
            assert (await desk.south("/iot/json/attrs/t", "6", t="2026-06-30T05:02:00Z"))[0] == 200
            await temperature(6)
            assert (await desk.south("/iot/d", "2026-06-30T04:00:00Z|t|1#2026-06-30T05:03:00Z|t|7"))[0] == 200
            await temperature(7)
            assert await held(desk) == []

    @pytest.mark.parametrize(
        ("path", "body", "parameters", "status", "said"),
        [
            ("/iot/d", "t|3", {"k": ""}, 400, "parameter k"),
            ("/iot/d", "t|3", {"i": "", "k": ""}, 400, "k and i"),
            ("/iot/d", "t|3", {"i": "x" * 300}, 400, "i must have"),
            ("/iot/d", "t|3", {"t": "noon"}, 400, "'noon'"),
            ("/iot/d", "", {}, 400, "no payload"),
            ("/iot/d", "t", {}, 400, "name without a value"),
            ("/iot/d", b"\xff", {}, 400, "UTF-8"),
            ("/iot/json", "t|3", {}, 400, "no JSON"),
            ("/iot/json", "[" * 1000, {}, 400, ""),
            ("/iot/json", "[]", {}, 400, "empty list"),
            ("/iot/json/commands", "3", {}, 400, "answer"),
            ("/iot/d", b"t|" + b"1" * MOST_BYTES, {}, 413, "larger"),
            ("/iot/d", "t|3", {"k": "another-key"}, 401, "no key"),
            ("/iot/x", "t|3", {}, 404, ""),
        ],
    )
    async def test_what_is_no_measure_is_refused_with_the_reason(self, tmp_path, path, body, parameters, status, said):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            found = await desk.south(path, body, **parameters)
            assert found[0] == status
            assert said in found[1]
            assert desk.runner.doors["iot-ultralight"].waiting == desk.runner.doors["iot-json"].waiting == 0

    async def test_a_body_that_does_not_come_is_not_waited_for(self, tmp_path, monkeypatch):
        monkeypatch.setattr("adapters.iot.south.READ_SECONDS", 0.2)
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            for url, head in (
                (desk.runner.devices.south_url, f"POST /iot/d?k={KEY}&i=t1 HTTP/1.1"),
                (
                    desk.runner.devices.north_url,
                    f"POST /iot/devices HTTP/1.1\r\nX-Api-Key: {NORTH_KEY}\r\nfiware-service: a",
                ),
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
                head += "\r\nHost: x\r\nfiware-servicepath: /\r\nContent-Length: 9\r\n\r\nt|"
                writer.write(head.encode())
                assert b"408" in await asyncio.wait_for(reader.readline(), 10)
                writer.close()

    async def test_an_unknown_device_is_held_back_and_its_replay_sees_what_is_provisioned_since(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk)
            assert (await desk.south("/iot/d", "t|3", t="2026-06-30T05:20:00Z"))[0] == 202
            await until(desk.settled)
            journal = desk.runner.journal
            (record,) = await quarantine.held(journal)
            assert (record.rule, record.record) == ("unknown-device", {"device": "t1", "measure": "t|3"})
            assert await desk.entity("urn:ngsi-ld:Sensor:t1") is None
            await desk.north("POST", "/iot/devices", {"devices": [T1]})
            await quarantine.replay(journal, ULTRALIGHT, record.id)
            await desk.runner.doors["iot-ultralight"].recount()
            desk.runner.doors["iot-ultralight"].rung.set()
            entity = await until(lambda: desk.entity("urn:ngsi-ld:Sensor:t1"))
            assert entity["temperature"]["observedAt"] == "2026-06-30T05:20:00Z"
            await until(desk.settled)
            assert await held(desk) == []

    async def test_the_same_measure_again_changes_nothing(self, tmp_path):
        device = {
            **T1,
            "attributes": [
                *T1["attributes"],
                {"object_id": "bpm", "name": "heartRate", "metadata": {"unitCode": "5K", "accuracy": {"value": 0.5}}},
                {"object_id": "on", "name": "since", "type": "DateTime"},
            ],
            "static_attributes": [
                *T1["static_attributes"],
                {"name": "sort", "type": "VocabProperty", "value": "sensor"},
            ],
        }
        async with a_device_desk(tmp_path) as desk:
            headers = {"fiware_servicepath": "/park"}
            await desk.north("POST", "/iot/services", GROUP, **headers)
            await desk.north("POST", "/iot/devices", device, **headers)
            for _ in range(2):
                text = "t|3|gps|35.6,139.7|bpm|70|on|2026-06-30T05:00:00Z"
                assert (await desk.south("/iot/d", text, t="2026-06-30T05:20:00Z"))[0] == 200
                await until(desk.settled)
            run = await desk.runner.journal.perform(lambda connection: last_run(connection, "iot-ultralight"))
            assert (run.counts["created"], run.counts.get("unchanged"), run.counts.get("updated", 0)) == (1, 1, 0)
            assert (await desk.entity("urn:ngsi-ld:Sensor:t1"))["scope"] == "/park"

    async def test_a_measure_that_is_sent_again_with_its_key_counts_once_and_for_its_device_only(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1, {"device_id": "t2"})
            for device in ("t1", "t2", "t1"):
                url = f"{desk.runner.devices.south_url}/iot/d?k={KEY}&i={device}"
                async with desk.web.post(url, data="t|3", headers={"Idempotency-Key": "1"}) as answer:
                    assert answer.status == 200

            def count(connection):
                return connection.execute("SELECT count(*) FROM input").fetchone()[0]

            assert await desk.runner.journal.perform(count) == 2

    @pytest.mark.parametrize("header", [b"Idempotency-Key", b"Content-Type"])
    async def test_headers_that_are_no_text_are_refused_and_no_other_device_suffers(self, tmp_path, header):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            url = URL(desk.runner.devices.south_url)

            async def hostile():
                reader, writer = await asyncio.open_connection(url.host, url.port)
                writer.write(b"POST /iot/d?k=%s&i=t1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % KEY.encode())
                writer.write(header + b": a\xff\r\nContent-Length: 3\r\n\r\nt|3")
                answer = await reader.read()
                writer.close()
                return answer.split(b" ")[1]

            work = [coroutine for n in range(10) for coroutine in (hostile(), desk.south("/iot/d", f"t|{n}"))]
            answers = await asyncio.gather(*work)
            assert set(answers[::2]) == {b"400"}
            assert set(answers[1::2]) == {(200, "")}

    async def test_a_measure_that_cannot_be_written_is_its_senders_trouble_alone(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            together = Together(desk.runner.doors["iot-ultralight"])
            sound = Intake(b"t|3", "iot:tests", "2026-06-30T05:20:00.000Z", "", {})
            unsound = replace(sound, content_type="a\udcff")
            each = [together.take([one]) for one in (sound, unsound, sound)]
            first, second, third = await asyncio.gather(*each, return_exceptions=True)
            assert first is None
            assert isinstance(second, UnicodeEncodeError)
            assert third is None

    async def test_newer_clients_say_groups_for_services(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            assert await desk.north("POST", "/iot/groups", {"groups": [GROUP]}) == (201, {})
            assert (await desk.north("GET", "/iot/groups"))[1]["groups"][0]["apikey"] == KEY
            assert (await desk.north("GET", "/iot/services"))[1]["count"] == 1
            assert (await desk.north("POST", "/iot/groups", {"services": [GROUP]}))[0] == 400

    async def test_of_unknown_devices_only_so_much_is_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr("adapters.iot.agent.MOST_UNKNOWN", 3)
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, {"device_id": "known"})
            found = [(await desk.south("/iot/d", f"t|{number}", i="unknown"))[0] for number in range(5)]
            assert found == [202, 202, 202, 503, 503]
            assert (await desk.south("/iot/d", "t|3", i="known"))[0] == 200

    async def test_an_unknown_device_is_provisioned_by_its_group_where_that_is_wanted(self, tmp_path):
        async with a_device_desk(tmp_path, auto_provision=True) as desk:
            await provision(desk, group={**GROUP, "attributes": [{"object_id": "t", "name": "temperature"}]})
            assert (await desk.south("/iot/d", "t|3", i="new1"))[0] == 200
            assert (await until(lambda: desk.entity("urn:ngsi-ld:Sensor:new1")))["temperature"]["value"] == 3
            assert (await desk.north("GET", "/iot/devices"))[1]["count"] == 1
            assert (await desk.south("/iot/d", "t|3", i="a/b"))[0] == 202, "no name for a topic: it stays unknown"

    async def test_neither_keys_nor_secrets_are_in_the_log_or_beside_what_came_in(self, tmp_path, caplog):
        caplog.set_level(logging.DEBUG)
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            await desk.south("/iot/d", "t|3")
            await desk.south("/iot/d", "t|x")
            await desk.south("/iot/d", "t|3", i="t2")
            await desk.south("/iot/d", "t|3", k="wrong-key-of-somebody")
            await until(desk.settled)

            def texts(connection):
                rows = connection.execute("SELECT address, parameters, data FROM input").fetchall()
                rows += connection.execute("SELECT reason, record FROM quarantine").fetchall()
                rows += connection.execute("SELECT address, message FROM run").fetchall()
                return repr(rows)

            kept = await desk.runner.journal.perform(texts)
            assert "iot:openiot/t1" in kept
            for secret in (KEY, NORTH_KEY, "wrong-key-of-somebody"):
                assert secret not in kept
                # asyncio's debug mode and aiohttp's client, which is the test's, may show addresses
                said = [each.getMessage() for each in caplog.records if each.name.startswith("adapters")]
                assert secret not in repr(said)

    @pytest.mark.parametrize("rest", [b"&i=\x01 HTTP/1.1", b" HTTP/9.9", b"&i=" + b"a" * 9000 + b" HTTP/1.1"])
    async def test_a_request_that_is_no_http_is_not_in_the_log(self, tmp_path, caplog, rest):
        caplog.set_level(logging.DEBUG)
        async with a_device_desk(tmp_path) as desk:
            port = urlsplit(desk.runner.devices.south_url).port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /iot/d?k=a-secret-key" + rest + b"\r\n\r\n")
            assert b"400" in await reader.readline()
            writer.close()
        assert "a-secret-key" not in caplog.text


class TestProvisioning:
    async def test_only_those_with_a_key_provision(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            for headers in ({"X_Api_Key": ""}, {"X_Api_Key": KEY}, {"X_Api_Key": NORTH_KEY + "x"}):
                assert (await desk.north("GET", "/iot/devices", **headers))[0] == 401
            headers = {"X_Api_Key": "", "Authorization": f"Bearer {NORTH_KEY}"}
            assert (await desk.north("GET", "/iot/devices", **headers))[0] == 200
            assert (await desk.north("GET", "/iot/about", X_Api_Key=""))[0] == 200

    async def test_tenants_are_in_small_letters_and_do_not_see_each_other(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            (found,) = (await desk.north("GET", "/iot/devices", fiware_service="OPENIOT"))[1]["devices"]
            assert found == {"service": "openiot", "service_path": "/", **T1}
            for headers in ({"fiware_service": "other"}, {"fiware_servicepath": "/park"}):
                assert (await desk.north("GET", "/iot/devices", **headers))[1]["count"] == 0
                assert (await desk.north("GET", "/iot/devices/t1", **headers))[0] == 404
                assert (await desk.north("DELETE", "/iot/devices/t1", **headers))[0] == 404
                # A key means one owner, or nobody could tell whose a message is.
                status, problem = await desk.north("POST", "/iot/services", {"services": [GROUP]}, **headers)
                assert (status, problem["name"]) == (409, "DUPLICATE")
            assert (await desk.north("GET", "/iot/devices", fiware_servicepath="/*"))[1]["count"] == 1

    @pytest.mark.parametrize(
        ("headers", "said"),
        [
            ({"fiware_service": ""}, "fiware-service"),
            ({"fiware_servicepath": ""}, "fiware-servicepath"),
            ({"fiware_service": "a-b"}, "fiware-service"),
            ({"fiware_service": "x" * 51}, "fiware-service"),
            ({"fiware_servicepath": "park"}, "fiware-servicepath"),
            ({"fiware_servicepath": "/a/"}, "fiware-servicepath"),
        ],
    )
    async def test_headers_at_fault_are_named(self, tmp_path, headers, said):
        async with a_device_desk(tmp_path) as desk:
            status, problem = await desk.north("POST", "/iot/devices", {"devices": [T1]}, **headers)
            assert status == 400
            assert said in problem["message"]

    async def test_what_is_there_is_not_provisioned_twice_and_all_of_a_request_is_or_none(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            assert (await desk.north("POST", "/iot/services", {"services": [GROUP]}))[0] == 409
            status, problem = await desk.north("POST", "/iot/devices", {"devices": [{"device_id": "t2"}, T1]})
            assert (status, problem["message"]) == (409, "There is a device 't1' already.")
            assert (await desk.north("GET", "/iot/devices/t2"))[0] == 404
            status, problem = await desk.north(
                "POST", "/iot/devices", {"devices": [{"device_id": "t2"}, {"device_id": 1}]}
            )
            assert status == 400
            assert problem["message"].startswith("devices[1].device_id")
            large = {"device_id": "t3", "description": "x" * 70_000}
            for body in (3, [], {"devices": []}, {"devices": [T1], "x": 1}, {"devices": [large]}):
                assert (await desk.north("POST", "/iot/devices", body))[0] == 400

    @pytest.mark.parametrize("text", ["%00", "%ED%A0%80", "%FF", "a%20b", "..%2F..", "x" * 4000])
    async def test_no_text_of_an_address_is_too_strange(self, tmp_path, text):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk)
            for method, path in (
                ("GET", f"/iot/devices/{text}"),
                ("DELETE", f"/iot/devices/{text}"),
                ("GET", f"/iot/services?apikey={text}"),
                ("DELETE", f"/iot/services?resource={text}&apikey={text}"),
            ):
                status, _ = await desk.north(method, URL(path, encoded=True))
                assert status in (200, 400, 404), (method, path)
            for query in (
                f"k={text}&i=t1",
                f"k={KEY}&i={text}",
                f"k={KEY}&i=t1&t={text}",
                f"k={KEY}&i=t1&getCmd={text}",
            ):
                url = URL(f"{desk.runner.devices.south_url}/iot/d?{query}", encoded=True)
                async with desk.web.post(url, data=b"t|3") as answer:
                    assert answer.status in (202, 400, 401), query

    async def test_pages_have_the_count_of_all(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, *({"device_id": f"d{number}"} for number in range(25)))
            found = (await desk.north("GET", "/iot/devices"))[1]
            assert (found["count"], len(found["devices"])) == (25, 20)
            found = (await desk.north("GET", "/iot/devices?limit=10&offset=20"))[1]
            assert [each["device_id"] for each in found["devices"]] == [f"d{number}" for number in range(20, 25)]
            for query in ("limit=0", "limit=x", "limit=1001", "offset=-1", "limit=%EF%BC%91"):
                assert (await desk.north("GET", f"/iot/devices?{query}"))[0] == 400

    async def test_devices_and_groups_are_changed_and_removed(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
            change = {"attributes": [{"object_id": "t", "name": "waterTemperature"}]}
            assert (await desk.north("PUT", "/iot/devices/t1", change))[0] == 204
            assert (await desk.south("/iot/d", "t|3"))[0] == 200
            assert "waterTemperature" in await until(lambda: desk.entity("urn:ngsi-ld:Sensor:t1"))
            assert (await desk.north("PUT", "/iot/devices/t1", {"device_id": "t9"}))[0] == 400
            assert (await desk.north("PUT", "/iot/devices/t9", {}))[0] == 404
            query = f"resource=/iot/d&apikey={KEY}"
            assert (await desk.north("PUT", f"/iot/services?{query}", {"entity_type": 3}))[0] == 400
            assert (await desk.north("PUT", f"/iot/services?{query}", {"apikey": "another-key"}))[0] == 204
            assert (await desk.south("/iot/d", "t|3"))[0] == 401
            assert (await desk.south("/iot/d", "t|3", k="another-key"))[0] == 200
            assert (await desk.north("DELETE", "/iot/devices/t1"))[0] == 204
            assert (await desk.south("/iot/d", "t|3", k="another-key"))[0] == 202
            assert (await desk.north("DELETE", f"/iot/services?{query}"))[0] == 404
            assert (await desk.north("DELETE", "/iot/services?resource=/iot/d&apikey=another-key&device=true"))[
                0
            ] == 400
            assert (await desk.north("DELETE", "/iot/services?resource=/iot/d&apikey=another-key"))[0] == 204
            assert (await desk.south("/iot/d", "t|3", k="another-key"))[0] == 401

    async def test_what_an_agent_answers_can_be_given_to_another_one(self, tmp_path):
        async with a_device_desk(tmp_path / "a") as desk:
            await provision(desk, T1)
            groups = (await desk.north("GET", "/iot/services"))[1]["services"]
            devices = (await desk.north("GET", "/iot/devices"))[1]["devices"]
        theirs = {
            "_id": "5",
            "__v": 0,
            "lazy": [],
            "internal_attributes": [],
            "subscriptions": [],
            "bidirectional": False,
        }
        async with a_device_desk(tmp_path / "b") as desk:
            moved = {"fiware_service": "newcity", "fiware_servicepath": "/park"}
            given = {"services": [each | theirs for each in groups]}
            assert (await desk.north("POST", "/iot/services", given, **moved))[0] == 201
            given = {"devices": [each | theirs for each in devices]}
            assert (await desk.north("POST", "/iot/devices", given, **moved))[0] == 201
            (found,) = (await desk.north("GET", "/iot/devices", **moved))[1]["devices"]
            assert (found["service"], found["service_path"]) == ("newcity", "/park")

    async def test_what_is_provisioned_is_there_after_a_restart(self, tmp_path):
        async with a_device_desk(tmp_path) as desk:
            await provision(desk, T1)
        async with a_device_desk(tmp_path) as desk:
            assert (await desk.north("GET", "/iot/services"))[1]["count"] == 1
            assert (await desk.south("/iot/d", "t|3"))[0] == 200


@pytest.mark.real_data
@pytest.mark.skipif(not REQUESTS.is_dir(), reason="the requests of the tutorials are not there")
@pytest.mark.parametrize("file", ["iot-agent", "iot-agent-json"])
async def test_the_requests_of_the_tutorials_are_served_in_their_order(tmp_path, file):
    expected = {"POST": 201, "GET": 200, "PUT": 204, "DELETE": 204}
    async with a_device_desk(tmp_path, auto_provision=True) as desk:
        served = 0
        for request in orjson.loads((REQUESTS / f"{file}.requests.json").read_bytes()):
            url = urlsplit(request["url"] or "")
            if url.path in ("/iot/d", "/iot/json"):
                body = orjson.dumps(request["json"]) if "json" in request else request["body"]
                assert (await desk.south(url.path, body, **dict(parse_qsl(url.query))))[0] == 200, request
            elif url.path.startswith("/iot/"):
                path = f"{url.path}?{url.query}"
                status, answer = await desk.north(request["method"], path, request.get("json"))
                assert status == expected[request["method"]], (request, answer)
            else:
                continue
            served += 1
        assert served == 19
        left = (await desk.north("GET", "/iot/devices"))[1]["devices"]
        assert [each["device_id"] for each in left] == [
            "temperature001",
            "motion003",
            "water001",
            "filling001",
            "tractor001",
        ]
        await until(desk.settled)
        assert await held(desk) == []
        entity = await desk.entity("urn:ngsi-ld:Device:temperature001")
        assert (entity["temperature"]["value"], entity["temperature"]["unitCode"]) == (3, "CEL")
        assert await desk.entity("urn:ngsi-ld:Device:motion003") is not None


class TestSettings:
    @pytest.mark.parametrize(
        ("table", "said"),
        [
            ({}, "'keys'"),
            ({"keys": []}, "keys must"),
            ({"keys": ["short"]}, "keys must"),
            ({"keys": [NORTH_KEY], "endpoints": ["10.0.0.0/33"]}, "endpoints"),
            ({"keys": [NORTH_KEY], "patience": 0}, "patience"),
            ({"keys": [NORTH_KEY], "mqtt": {"host": "h", "topics": ["x"]}}, "topics"),
            ({"keys": [NORTH_KEY], "mqtt": {"port": 1}}, "'host'"),
            ({"keys": [NORTH_KEY], "colour": 1}, "'colour'"),
        ],
    )
    def test_a_table_at_fault_is_refused_by_the_member(self, tmp_path, table, said):
        with pytest.raises(InvalidFeeds, match=said):
            parse_feeds({"iot": table}, tmp_path)

    def test_no_feed_has_the_name_of_the_devices(self, tmp_path):
        feed = {"adapter": "ngsiv2", "push": {"keys": ["12345678"]}}
        with pytest.raises(InvalidFeeds, match="iot-json"):
            parse_feeds({"iot": {"keys": [NORTH_KEY]}, "feeds": {"iot-json": feed}}, tmp_path)

    async def test_a_port_that_is_taken_is_told(self, tmp_path):
        async with a_broker() as api, running(feeds(tmp_path / "a"), api.url) as runner:
            port = urlsplit(runner.devices.north_url).port
            with pytest.raises(InvalidFeeds, match=str(port)):
                async with running(feeds(tmp_path / "b", north_port=port), api.url):
                    pass


def test_the_service_of_the_tests_has_a_capital_letter():
    assert SERVICE["fiware-service"] != SERVICE["fiware-service"].lower()
