"""LoRaWAN: two network servers in one form, declared codecs, repeated uplinks, and levels from distances."""

import os
from base64 import b64encode
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Origin
from adapters.errors import InvalidOptions, UnreadableFile
from adapters.lorawan.codec import attribute_values, built_in_codecs, parse_codec, read_payload
from adapters.lorawan.events import utc
from adapters.lorawan.uplinks import LORAWAN, LorawanOptions, decode_event
from adapters.options import read_options
from adapters.testing import AdapterContract, Sample

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "lorawan"
EUI = "00ffaa0000000001"
TOPIC = f"application/7/device/{EUI}/event/up"
UDL = "milesight-em500-udl"


def origin(topic=TOPIC):
    return Origin("mqtt://lns.example", "2026-06-30T05:20:00.000Z", parameters={"topic": topic})


def chirpstack(payload=bytes.fromhex("0175640382DC05"), **members):
    return orjson.dumps(
        {
            "deduplicationId": "57433366-50a6-4dc2-8145-2df1bbc70d9e",
            "time": "2026-06-30T14:20:05.404859+09:00",
            "deviceInfo": {"applicationName": "rivers", "deviceName": "bridge", "devEui": EUI.upper()},
            "fCnt": 4,
            "fPort": 85,
            "data": b64encode(payload).decode(),
            "rxInfo": [{"rssi": -97, "snr": 7.5}],
            **members,
        }
    )


def things_stack(payload=bytes.fromhex("0175640382DC05"), **members):
    return orjson.dumps(
        {
            "end_device_ids": {
                "device_id": "bridge",
                "application_ids": {"application_id": "rivers"},
                "dev_eui": EUI.upper(),
            },
            "received_at": "2026-06-30T05:20:06.848446463Z",
            "uplink_message": {
                "session_key_id": "AYfq",
                "f_port": 85,
                "frm_payload": b64encode(payload).decode(),
                "rx_metadata": [{"rssi": -97, "snr": 7.5}],
                "received_at": "2026-06-30T05:20:05.404446463Z",
                **members,
            },
        }
    )


def decode(data, state=None, topic=TOPIC, **options):
    return decode_event(data, origin(topic), LorawanOptions(**{"model": UDL, **options}), state)


def values(entity):
    return {name: each.get("value") for name, each in entity.items() if isinstance(each, dict)}


class TestLorawan(AdapterContract):
    adapter = LORAWAN
    samples = (
        Sample(
            chirpstack(), records=1, options={"model": UDL, "devices": {EUI: {"reference_level": 5.2}}}, origin=origin()
        ),
        Sample(things_stack(), records=1, options={"model": UDL}, origin=origin("v3/rivers@ttn/devices/bridge/up")),
        Sample(chirpstack(b"\x09\x09"), records=1, options={"model": UDL}, origin=origin()),
        Sample(
            chirpstack(object={"battery": 90, "tilt": [0, None]}), records=1, options={"model": UDL}, origin=origin()
        ),
    )


@pytest.mark.parametrize("data", [chirpstack(), things_stack()])
def test_both_network_servers_give_the_same_device(data):
    (device,) = decode(data).entities
    assert device["id"] == f"urn:ngsi-ld:Device:lorawan:{EUI}"
    assert device["measuredDistance"] == {
        "type": "Property",
        "value": 1.5,
        "observedAt": "2026-06-30T05:20:05.404Z",
        "unitCode": "MTR",
    }
    found = values(device)
    assert (found["batteryLevel"], found["rssi"], found["snr"], found["name"]) == (1, -97, 7.5, "bridge")


def test_a_device_that_watches_a_level_gives_the_level_and_says_that_it_is_computed():
    decoded = decode(chirpstack(), devices={EUI: {"reference_level": 5.2, "location": [136.2, 36.06]}})
    device, level = decoded.entities
    assert level["type"] == "FloodMonitoring"
    assert (level["currentLevel"]["value"], level["measuredDistance"]["value"]) == (3.7, 1.5)
    assert level["currentLevel"]["computedFrom"]["value"] == ["referenceLevel", "measuredDistance"]
    assert level["refDevice"]["object"] == device["id"]
    assert level["location"]["value"]["coordinates"] == [136.2, 36.06]


def test_the_same_uplink_told_twice_is_taken_once():
    first = decode(chirpstack())
    again = decode(chirpstack(), state=first.state)
    assert again.entities == ()
    assert [repair.rule for repair in again.repairs] == ["uplink-told-twice"]


def test_after_a_join_frames_are_counted_anew():
    first = decode(chirpstack())
    joined = decode(chirpstack(), state=first.state, topic=TOPIC.replace("/up", "/join"))
    assert joined.state == {}
    lower = chirpstack(fCnt=0, deduplicationId="another", time="2026-06-30T14:30:05+09:00")
    assert len(decode(lower, state=joined.state).entities) == 1


def test_what_the_server_has_decoded_counts_and_what_has_no_place_is_kept():
    (device,) = decode(chirpstack(b"\x09", object={"battery": 50, "distance": 700, "tilt": 0})).entities
    assert (device["batteryLevel"]["value"], device["measuredDistance"]["value"]) == (0.5, 0.7)
    assert device["measurement"]["json"] == {"tilt": 0}


def test_bytes_that_the_codec_does_not_know_are_reported_and_a_payload_of_nothing_else_is_quarantined():
    some = decode(chirpstack(bytes.fromhex("017564FF0100")))
    assert [(repair.rule, repair.before) for repair in some.repairs] == [("unknown-bytes", "ff 01 00")]
    none = decode(chirpstack(bytes.fromhex("FF0100")))
    assert (none.entities, none.quarantine[0].rule) == ((), "unknown-payload")
    assert none.quarantine[0].record["data"] == "ff 01 00"


def test_a_status_event_tells_the_battery_alone():
    status = orjson.dumps(
        {
            "deduplicationId": "x",
            "time": "2026-06-30T05:20:00Z",
            "deviceInfo": {"devEui": EUI},
            "margin": 10,
            "batteryLevel": 87.0,
        }
    )
    (device,) = decode(status, topic=TOPIC.replace("/up", "/status")).entities
    assert device["batteryLevel"]["value"] == 0.87
    assert "rssi" not in device


@pytest.mark.parametrize("data", [b"", b"[]", b'{"deviceInfo": 3}', b'{"a": 1}'])
def test_what_is_no_event_is_refused(data):
    with pytest.raises(UnreadableFile, match="message"):
        decode(data)


def test_a_message_without_device_is_quarantined():
    decoded = decode(chirpstack(deviceInfo={"devEui": "12"}))
    assert [each.rule for each in decoded.quarantine] == ["no-device-or-time"]


def test_fixed_layouts_are_declared_by_place():
    codec = parse_codec(
        {
            "layout": "fixed",
            "fields": [{"name": "t", "read": "int16be", "at": 1}, {"name": "far", "read": "uint8", "at": 9}],
            "attributes": {"t": {"to": "temperature", "scale": 0.1, "offset": -40}},
        }
    )
    payload = read_payload(codec, bytes.fromhex("00FF38"))
    assert payload.readings == {"t": -200}
    assert attribute_values(codec, payload.readings) == {"temperature": -60.0}


@pytest.mark.parametrize(
    "document",
    [
        {"layout": "javascript"},
        {"fields": [{"name": "x", "read": "float"}]},
        {"fields": [{"name": "x", "read": "uint8", "tag": "01"}]},
        {"layout": "fixed", "fields": [{"name": "x", "read": "uint8", "at": -1}]},
        {"attributes": {"x": 3}},
        {"fields": [{"read": "uint8", "tag": "01 02"}]},
    ],
)
def test_a_codec_that_is_none_is_refused(document):
    with pytest.raises(InvalidOptions):
        parse_codec(document)


@given(st.binary(max_size=40))
def test_a_codec_reads_any_bytes_and_loses_none_of_a_tagged_payload(data):
    codec = built_in_codecs()[UDL]
    payload = read_payload(codec, data)
    assert data.endswith(payload.rest)
    assert set(payload.readings) <= {"battery", "distance"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-06-30T05:20:05.404446463Z", "2026-06-30T05:20:05.404Z"),
        ("2026-06-30T14:20:05+09:00", "2026-06-30T05:20:05.000Z"),
        ("2026-06-30T05:20:05", ""),
        ("0001-01-01T00:00:00+09:00", ""),
        (3, ""),
    ],
)
def test_instants_come_to_the_millisecond(written, expected):
    assert utc(written) == expected


@pytest.mark.real_data
@pytest.mark.parametrize("server", ["ChirpStack", "ThingsStackCommunity"])
def test_the_real_uplinks_of_a_level_sensor(server):
    path = DATA / f"Milesight-EM500-UDL.{server}.payload.json"
    if not path.exists():
        pytest.skip(f"the real file {path.name} is not present")
    (device,) = decode(path.read_bytes(), topic="").entities
    assert (device["batteryLevel"]["value"], device["measuredDistance"]["value"]) == (1, 0.03)


def uplink(minute, distance, **members):
    payload = bytes.fromhex("0382") + distance.to_bytes(2, "little")
    at = f"2026-06-30T05:{minute:02}:00Z"
    return chirpstack(payload, time=at, fCnt=minute, deduplicationId=f"uplink-{minute}", **members)


def test_the_status_of_a_watched_level_changes_when_a_threshold_is_crossed_and_goes_down_with_patience():
    place = {"reference_level": 3.0, "thresholds": {"caution": 1.5, "danger": 2.0}, "name": "本町アンダーパス"}
    state, told = None, []
    for minute, distance in enumerate([2000, 1500, 1400, 900, 1600, 1400, 1600, 1600, 1600]):
        decoded = decode(uplink(minute, distance), state=state, devices={EUI.upper(): place})
        state = decoded.state
        _, level = decoded.entities
        status = level.get("levelStatus", {})
        told.append((level["currentLevel"]["value"], status.get("value"), status.get("observedAt", "")[14:16]))
    assert told == [
        (1.0, 0, "00"),
        (1.5, 2, "01"),
        (1.6, None, ""),
        (2.1, 4, "03"),
        (1.4, None, ""),
        (1.6, None, ""),
        (1.4, 2, "06"),
        (1.4, None, ""),
        (1.4, 0, "08"),
    ]
    assert level["levelStatus"]["computedFrom"]["value"] == ["currentLevel", "cautionLevel", "dangerLevel"]
    assert level["cautionLevel"] == {"type": "Property", "value": 1.5, "unitCode": "MTR"}
    assert level["name"]["value"] == "本町アンダーパス"


def test_a_late_uplink_computes_no_status_and_a_join_forgets_none():
    place = {EUI: {"reference_level": 3.0, "thresholds": {"caution": 1.5}}}
    state = decode(uplink(10, 1000), devices=place).state
    late = decode(uplink(5, 2500), state=state, devices=place)
    assert (late.entities[1]["currentLevel"]["value"], "levelStatus" in late.entities[1]) == (0.5, False)
    joined = decode(uplink(11, 1000), state=state, topic=TOPIC.replace("/up", "/join"))
    again = decode(uplink(12, 1000), state=joined.state, devices=place)
    assert "levelStatus" not in again.entities[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "milesight"}, "no codec of the model 'milesight'"),
        ({"codec": {"layout": "loose"}}, "layout is tagged or fixed"),
        (
            {"codec": {"attributes": {"d": {"to": "depht"}}}},
            "codec, d: neither a Device nor a FloodMonitoring has 'depht'",
        ),
        ({"devices": {"A1": {}}}, "devices, A1: an EUI has 16 hexadecimal digits"),
        ({"devices": {EUI: 5.2}}, "must be a table"),
        ({"devices": {EUI: {"referencelevel": 5.2}}}, "there is no 'referencelevel'; there are .*reference_level"),
        ({"devices": {EUI: {"reference_level": "5.2"}}}, "reference_level must be a number, in metres"),
        ({"devices": {EUI: {"thresholds": {"warning": 1.0}}}}, "thresholds is a table of standby, caution"),
        ({"devices": {EUI: {"thresholds": {"caution": True}}}}, "caution must be a number"),
        ({"devices": {EUI: {"location": [138.3]}}}, r"must be \[longitude, latitude\]"),
        ({"devices": {EUI: {"location": [34.8, 138.3]}}}, r"must be \[longitude, latitude\]"),
        ({"devices": {EUI: {"name": ""}}}, "name must be a text"),
        ({"model": UDL, "devices": {EUI: {"thresholds": {"caution": 1.0}}}}, "thresholds need reference_level"),
    ],
)
def test_a_device_that_is_not_described_as_it_must_be_is_told_before_anything_runs(options, words):
    with pytest.raises(InvalidOptions, match=words):
        read_options(LorawanOptions, options)
