"""Commands as bytes of LoRaWAN downlinks, and what network servers say of them (adapters.lorawan.encoder, .downlinks, .fleet)."""

import base64
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.actuation.contract import Command, Undeliverable
from adapters.errors import InvalidFeeds, InvalidOptions
from adapters.feeds import Mqtt
from adapters.lorawan.codec import NUMBERS, parse_codec, read_payload
from adapters.lorawan.downlinks import Said, downlink, event_topics, read_verdict
from adapters.lorawan.encoder import encode, parse_encoding
from adapters.lorawan.fleet import parse_fleet

EUI = "24e124713b100000"
ID = "6b4c1b1e-0c3c-4f0a-9d55-000000000001"


def encoding(*parts, **members):
    return parse_encoding({"port": 10, "parts": list(parts), **members})


def a_fleet(server="chirpstack", **members):
    table = {
        "server": server,
        "application": "app1",
        "entity_type": "SluiceGate",
        "group": "gates",
        "commands": {"open": {"port": 10, "parts": [{"bytes": "ff0b"}, {"write": "uint8"}]}},
        "devices": {EUI.upper(): {"entity": "urn:ngsi-ld:SluiceGate:1"}},
        **members,
    }
    return parse_fleet("gates", table, Mqtt("localhost", ()), "here")


def test_a_command_is_its_parts_one_after_the_other():
    said = encoding(
        {"bytes": "ff 0b"},
        {"from": "position", "write": "uint16le", "scale": 0.5},
        {"from": "mode", "codes": {"auto": "01", "true": "02"}},
    )
    assert encode(said, {"position": 20.5, "mode": "auto"}) == bytes.fromhex("ff0b290001")
    assert encode(said, {"position": 0, "mode": True}) == bytes.fromhex("ff0b000002")


@pytest.mark.parametrize(
    "value", ["40", None, True, math.nan, math.inf, -1, 101, 40.25, {"position": 4}, [1], 10**400, 1e300]
)
def test_a_value_that_cannot_be_said_exactly_is_refused(value):
    said = encoding({"write": "uint8", "scale": 0.5, "most": 100})
    with pytest.raises(Undeliverable):
        encode(said, value)


@given(st.sampled_from(sorted(NUMBERS)), st.data())
def test_the_codec_reads_what_the_encoder_writes(write, data):
    size, _, signed = NUMBERS[write]
    low, high = (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) if signed else (0, 2 ** (8 * size) - 1)
    number = data.draw(st.integers(low, high))
    written = encode(encoding({"write": write}), number)
    codec = parse_codec({"layout": "fixed", "fields": [{"at": 0, "name": "n", "read": write}]})
    assert read_payload(codec, written).readings == {"n": number}


@pytest.mark.parametrize(
    "document",
    [
        {"port": 0, "parts": [{"bytes": "00"}]},
        {"port": 224, "parts": [{"bytes": "00"}]},
        {"port": 1, "parts": []},
        {"port": 1, "parts": [{"bytes": "zz"}]},
        {"port": 1, "parts": [{"write": "float"}]},
        {"port": 1, "parts": [{"write": "uint8", "scale": 0}]},
        {"port": 1, "parts": [{"write": "uint8", "script": "x"}]},
        {"parts": [{"bytes": "00"}]},
        "text",
    ],
)
def test_an_encoding_that_is_none_is_refused(document):
    with pytest.raises(InvalidOptions):
        parse_encoding(document)


@pytest.mark.parametrize(
    "members",
    [
        {"application": "a/b"},
        {"application": "#"},
        {"commands": {}},
        {"devices": {"24": {"entity": "urn:a:b"}}},
        {"devices": {EUI: {"entity": "urn:a:b", "commands": ["fly"]}}},
        {"devices": {EUI: {"entity": "urn:a:b", "device": "a/+"}}},
        {"group": ""},
        {"server": "other"},
    ],
)
def test_a_fleet_that_is_none_is_refused(members):
    with pytest.raises(InvalidFeeds, match="here"):
        a_fleet(**members)


def a_command(fleet):
    return Command(ID, "c1", fleet.targets[0], "open", 40, "2026-06-30T00:00:00.000Z", "2026-06-30T00:01:00.000Z")


def test_chirpstack_is_told_the_id_and_when_it_expires():
    fleet = a_fleet()
    assert downlink(fleet, a_command(fleet), b"\x01") == {
        "id": ID,
        "devEui": EUI,
        "confirmed": True,
        "fPort": 10,
        "data": "AQ==",
        "expiresAt": "2026-06-30T00:01:00.000Z",
    }
    assert "expiresAt" not in downlink(a_fleet(network_expiry=False), a_command(fleet), b"\x01")


def test_the_things_stack_is_told_the_id_as_a_correlation():
    fleet = a_fleet("things-stack", application="app1@ttn")
    (item,) = downlink(fleet, a_command(fleet), b"\x01")["downlinks"]
    assert item["correlation_ids"] == [f"tsunagu:{ID}"]
    assert base64.b64decode(item["frm_payload"]) == b"\x01"
    assert event_topics(fleet)[0] == "v3/app1@ttn/devices/+/down/sent"
    assert fleet.targets[0].address == {"device": f"eui-{EUI}"}


def chirpstack(kind, **members):
    event = {"deviceInfo": {"devEui": EUI}, "time": "2026-06-30T00:00:01Z", "queueItemId": ID, **members}
    return read_verdict(a_fleet(), f"application/app1/device/{EUI}/event/{kind}", json.dumps(event).encode())


def test_chirpstack_tells_what_was_transmitted_confirmed_and_refused():
    assert (chirpstack("txack").said, chirpstack("txack").at) == (Said.SENT, "2026-06-30T00:00:01.000Z")
    assert chirpstack("ack", acknowledged=True).said is Said.DONE
    assert chirpstack("ack", acknowledged=False).said is Said.NOT_CONFIRMED
    assert chirpstack("ack").said is Said.NOT_CONFIRMED
    failed = chirpstack("log", level="ERROR", code="DOWNLINK_PAYLOAD_SIZE", context={"queue_item_id": ID})
    assert (failed.said, failed.command_id) == (Said.FAILED, ID)
    assert chirpstack("log", level="INFO", context={"queue_item_id": ID}) is None
    assert chirpstack("txack", queueItemId=None) is None


def things_stack(kind, body, **members):
    ids = {
        "end_device_ids": {"device_id": "d", "dev_eui": EUI.upper()},
        "received_at": "2026-06-30T00:00:01.123456789Z",
    }
    document = json.dumps({**ids, f"downlink_{kind}": body, **members}).encode()
    return read_verdict(a_fleet("things-stack"), f"v3/app1/devices/d/down/{kind}", document)


def test_the_things_stack_tells_what_was_sent_confirmed_and_refused():
    ours = {"correlation_ids": ["as:x", f"tsunagu:{ID}"]}
    assert (things_stack("sent", ours).said, things_stack("sent", ours).device) == (Said.SENT, EUI)
    assert things_stack("ack", {}, correlation_ids=[f"tsunagu:{ID}"]).said is Said.DONE
    assert things_stack("nack", ours).said is Said.NOT_CONFIRMED
    failed = things_stack("failed", {"downlink": ours, "error": {"message_format": "no gateway"}})
    assert (failed.said, failed.reason) == (Said.FAILED, "no gateway")
    assert things_stack("sent", {"correlation_ids": ["as:x"]}) is None


_MEMBERS = ["deviceInfo", "queueItemId", "end_device_ids", "downlink_sent", "correlation_ids", "context"]
_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda each: st.lists(each) | st.dictionaries(st.sampled_from(_MEMBERS), each),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.binary(max_size=60) | _VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_event_breaks_the_listening(payload):
    for server in ("chirpstack", "things-stack"):
        for kind in ("txack", "ack", "log", "sent", "failed"):
            read_verdict(a_fleet(server), f"x/{kind}", payload)
