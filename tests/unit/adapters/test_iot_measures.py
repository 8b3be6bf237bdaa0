"""The decoders of devices: from a message and what is provisioned to entities, and what goes into the quarantine."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from adapters.contract import Origin
from adapters.iot.device import Owner, merged
from adapters.iot.documents import read_device, read_group
from adapters.iot.measures import ATTRIBUTE, DEVICE, IOT_JSON, PATH, PROVISION, TENANT, TIME, ULTRALIGHT
from adapters.options import NoOptions
from adapters.testing import AdapterContract, Sample

REQUESTS = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "iot-agents"
ARRIVED = "2026-06-30T05:20:00.000Z"
GROUP = read_group({"apikey": "a-key", "resource": "/iot/d", "entity_type": "Sensor"}, "group")
T1 = {
    "device_id": "t1",
    "timezone": "Asia/Tokyo",
    "attributes": [
        {"object_id": "t", "name": "temperature", "type": "Number", "metadata": {"unitCode": "CEL"}},
        {"object_id": "s", "name": "state", "type": "Text"},
        {"object_id": "gps", "name": "location", "type": "geo:point"},
        {"object_id": "fill-level", "name": "fill-level", "type": "Property"},
        {"object_id": "ts", "name": "TimeInstant", "type": "DateTime"},
    ],
    "static_attributes": [
        {"name": "controlledAsset", "type": "Relationship", "value": "urn:ngsi-ld:Building:barn001"},
        {"name": "place", "type": "geo:point", "value": "35.6,139.7"},
        {"name": "sort", "type": "VocabProperty", "value": "sensor"},
    ],
}


def origin(document=T1, path="/", **parameters):
    given = {TENANT: "city", PATH: path, DEVICE: "t1"}
    if document is not None:
        device = merged(Owner("city", path), read_device(document, "device"), GROUP)
        given[PROVISION] = device.provision.as_text()
    return Origin("iot:iot-json", ARRIVED, parameters=given | parameters)


def decoded(message, document=T1, path="/", **parameters):
    adapter = ULTRALIGHT if isinstance(message, str) else IOT_JSON
    data = message.encode() if isinstance(message, str) else orjson.dumps(message)
    return adapter.decode(data, origin(document, path, **parameters), NoOptions(), None)


def only(message, document=T1, path="/", **parameters):
    found = decoded(message, document, path, **parameters)
    assert found.quarantine == ()
    (entity,) = found.entities
    return entity


def held(message, document=T1, **parameters):
    (one,) = decoded(message, document, **parameters).quarantine
    return one.column, one.rule


class TestUltralight(AdapterContract):
    adapter = ULTRALIGHT
    samples = (
        Sample(b"t|3|s|on#gps|35.6/139.7#2026-06-30T14:20:00|t|4", records=3, origin=origin()),
        Sample(b"t|x#t#gps|1,2,3#u|7", records=4, origin=origin()),
        Sample(b"t|3#t|4", records=2, origin=origin(None)),
        Sample(b"3", records=1, origin=origin(**{ATTRIBUTE: "t"})),
    )


class TestJson(AdapterContract):
    adapter = IOT_JSON
    samples = (
        Sample(
            orjson.dumps({"t": 3, "s": None, "list": [1, None], "ts": "2026-06-30T14:20:00"}),
            records=1,
            origin=origin(),
        ),
        Sample(
            orjson.dumps([{"t": "x"}, 3, {"gps": [1, 2]}, {"t": 3, "TimeInstant": "noon"}]), records=4, origin=origin()
        ),
        Sample(orjson.dumps([{"t": 3}, {"t": 4}]), records=2, origin=origin(None)),
        Sample(b"on", records=1, origin=origin(**{ATTRIBUTE: "s"})),
    )


def test_a_reading_has_the_name_the_type_and_the_unit_that_are_provisioned():
    entity = only("t|3|s|3", path="/park/east")
    assert (entity["id"], entity["type"], entity["scope"]) == ("urn:ngsi-ld:Sensor:t1", "Sensor", "/park/east")
    assert entity["temperature"] == {"type": "Property", "value": 3, "observedAt": ARRIVED, "unitCode": "CEL"}
    assert entity["state"]["value"] == "3"
    assert entity["controlledAsset"] == {"type": "Relationship", "object": "urn:ngsi-ld:Building:barn001"}
    assert entity["place"]["value"]["coordinates"] == [139.7, 35.6]
    assert entity["sort"] == {"type": "VocabProperty", "vocab": "sensor"}
    assert "scope" not in only("t|3")


def test_a_position_is_latitude_first_and_turned_round():
    for message in ("gps|35.6,139.7", "gps|35.6/139.7", {"gps": "35.6, 139.7"}):
        assert only(message)["location"]["value"] == {"type": "Point", "coordinates": [139.7, 35.6]}


@pytest.mark.parametrize(
    ("message", "parameters", "observed_at"),
    [
        ("t|3", {}, ARRIVED),
        ("t|3", {TIME: "2026-06-30T05:00:00Z"}, "2026-06-30T05:00:00Z"),
        ("2026-06-30T13:00:00+09:00|t|3", {TIME: "2026-06-30T05:00:00Z"}, "2026-06-30T04:00:00Z"),
        ("2026-06-30T13:00:00|t|3", {}, "2026-06-30T04:00:00Z"),
        ("t|3|ts|2026-06-30T13:00:00", {}, "2026-06-30T04:00:00Z"),
        ({"t": 3, "TimeInstant": "2026-06-30T04:00:00.5Z"}, {}, "2026-06-30T04:00:00.500Z"),
    ],
)
def test_observed_at_is_the_groups_time_or_the_messages_or_that_of_its_arrival(message, parameters, observed_at):
    assert only(message, **parameters)["temperature"]["observedAt"] == observed_at


def test_a_device_whose_time_of_arrival_says_nothing_has_none():
    assert "observedAt" not in only("t|3", {**T1, "timestamp": False})["temperature"]
    assert "observedAt" in only("2026-06-30T05:00:00Z|t|3", {**T1, "timestamp": False})["temperature"]


@pytest.mark.parametrize(
    ("message", "held_as"),
    [
        ("t|warm", ("t", "not-of-its-type")),
        ({"t": "warm"}, ("t", "not-of-its-type")),
        ("gps|91,0", ("gps", "not-a-position")),
        ({"gps": {"lat": 1}}, ("gps", "not-a-position")),
        ("2026-07-02T00:00:00Z|t|3", ("TimeInstant", "time-in-the-future")),
        ({"t": 3, "TimeInstant": "noon"}, ("TimeInstant", "not-an-instant")),
        ({"t": 3, "ts": 1782796800}, ("TimeInstant", "not-an-instant")),
        ("t|3|temperature|4", ("temperature", "two-readings-of-a-name")),
    ],
)
def test_a_group_in_which_something_is_wrong_is_held_back(message, held_as):
    assert held(message) == held_as


def test_readings_that_are_not_provisioned_keep_their_name_or_are_left_out():
    assert only({"x": "a", "n": 3})["x"]["value"] == "a"
    found = decoded({"x": "a", "t": 3}, {**T1, "explicitAttrs": True})
    assert "x" not in found.entities[0]
    assert [each.rule for each in found.repairs] == ["not-provisioned"]
    assert [each.rule for each in decoded({"id": "a", "t": 3}).repairs] == ["reserved-name"]


def test_names_and_types_that_ngsi_ld_does_not_have_are_made_plain():
    assert only({"fill-level": 3})["fill_level"]["value"] == 3
    entity = only("t|3", {**T1, "entity_type": "IoT-Device"})
    assert (entity["type"], entity["id"]) == ("IoT_Device", "urn:ngsi-ld:IoT_Device:t1")


def test_a_text_for_a_number_in_json_is_a_repair():
    found = decoded({"t": "3.5"})
    assert found.entities[0]["temperature"]["value"] == 3.5
    assert [each.rule for each in found.repairs] == ["text-for-number"]


def test_a_device_that_nobody_has_provisioned_is_held_back_and_its_tenant_is_its_keys():
    found = decoded("t|3", None)
    assert (found.entities, found.tenant) == ((), "city")
    assert held("t|3", None) == ("device", "unknown-device")


def test_a_device_has_what_its_group_says_where_it_says_nothing_itself():
    group = read_group(
        {
            "apikey": "k",
            "resource": "/iot/json",
            "entity_type": "Lamp",
            "timezone": "Asia/Tokyo",
            "attributes": [{"object_id": "t", "name": "temp"}, {"object_id": "h", "name": "humidity"}],
            "static_attributes": [{"name": "city", "value": "A"}, {"name": "owner", "value": "B"}],
            "commands": [{"name": "on"}],
        },
        "group",
    )
    own = {
        "device_id": "l1",
        "attributes": [{"object_id": "t", "name": "temperature"}],
        "static_attributes": [{"name": "owner", "value": "C"}],
        "commands": [{"name": "off"}],
    }
    device = merged(Owner("city", "/"), read_device(own, "device"), group)
    assert {key: each[0] for key, each in device.provision.attributes.items()} == {"h": "humidity", "t": "temperature"}
    assert {each[0]: each[2] for each in device.provision.static} == {"city": "A", "owner": "C"}
    assert (device.provision.entity_type, device.protocol, device.commands) == ("Lamp", "json", ("on", "off"))


@pytest.mark.real_data
@pytest.mark.skipif(not REQUESTS.is_dir(), reason="the requests of the tutorials are not there")
@pytest.mark.parametrize("file", ["iot-agent", "iot-agent-json", "iot-sensors"])
def test_what_the_tutorials_provision_and_send_is_read(file):
    groups, devices, measures = [], [], []
    for request in orjson.loads((REQUESTS / f"{file}.requests.json").read_bytes()):
        url = urlsplit(request["url"] or "")
        body = request.get("json", {})
        if request["method"] == "POST" and url.path == "/iot/services":
            groups += [read_group(each, "services") for each in body["services"]]
        elif request["method"] == "POST" and url.path == "/iot/devices":
            devices += [read_device(each, "devices") for each in body["devices"]]
        elif url.path in ("/iot/d", "/iot/json"):
            data = orjson.dumps(body) if url.path == "/iot/json" else request["body"].encode()
            measures.append((ULTRALIGHT if url.path == "/iot/d" else IOT_JSON, parse_qs(url.query)["i"][0], data))
    assert (len(groups), len(devices), len(measures)) == ((0, 0, 1) if file == "iot-sensors" else (2, 5, 2))
    known = {each.device_id: merged(Owner("openiot", "/"), each, groups[0]) for each in devices}
    for adapter, device_id, data in measures:
        device = known.get(device_id)
        given = {DEVICE: device_id} | ({} if device is None else {PROVISION: device.provision.as_text()})
        found = adapter.decode(data, Origin("iot:", ARRIVED, parameters=given), NoOptions(), None)
        if device is None:
            assert [each.rule for each in found.quarantine] == ["unknown-device"]
            continue
        (entity,) = found.entities
        assert entity["id"] == "urn:ngsi-ld:Device:temperature001"
        assert entity["temperature"] == {"type": "Property", "value": 3, "observedAt": ARRIVED, "unitCode": "CEL"}
        assert entity["category"] == {"type": "VocabProperty", "vocab": "sensor"}


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "2026-03-29T02:30:00", "20260629T052000Z"]
)
def test_no_time_is_too_strange_for_a_zone(time):
    for zone in ("Asia/Tokyo", "America/New_York", "Europe/Berlin"):
        found = decoded(f"{time}|t|3", {**T1, "timezone": zone})
        assert len(found.entities) + len(found.quarantine) == 1
