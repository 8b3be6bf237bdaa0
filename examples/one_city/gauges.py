"""Simulated gauges: a flood of four hours as uplinks in the form in which ChirpStack v4 publishes them, bytes and all.

What a device is, how high it hangs and what its thresholds are is read from the same file of feeds that the city runs. Besides
what goes well, there is what happens in the field: a join, a status, an uplink that a second gateway tells again, and one that
is none of a level.
"""

import json
import tomllib
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt

from examples.one_city.expected import alerts_of

START = datetime(2026, 6, 30, 3, 0, tzinfo=UTC)
STEP = timedelta(minutes=10)
COURSE = (8, 9, 12, 15, 22, 34, 48, 63, 78, 90, 97, 100, 99, 94, 86, 77, 66, 56, 47, 38, 31, 25, 20, 17)
"""A flood's levels in per cent of its peak."""
PEAKS = (1.12, 0.86, 0.40)
"""How high the flood rises at one gauge after the other, as parts of the gauge's highest threshold."""
_NAMESPACE = uuid.UUID("2f1c4f0e-7a1f-4a43-9a0e-3d6f0b1f9a10")


@dataclass(frozen=True)
class Gauge:
    """One gauge as the file of feeds describes it; `declared` says that its codec is in the file."""

    feed: str
    eui: str
    name: str
    application: str
    reference_level: float
    thresholds: dict[str, float]
    hold: int
    declared: bool
    levels: tuple[float, ...]


@dataclass(frozen=True)
class Message:
    """One MQTT message."""

    feed: str
    topic: str
    payload: bytes


def gauges_of(feeds: Path) -> list[Gauge]:
    """The gauges of a file of feeds, with the levels that they are going to see."""
    found = []
    for name, feed in tomllib.loads(feeds.read_text("utf-8"))["feeds"].items():
        if feed["adapter"] != "lorawan":
            continue
        options = feed["options"]
        for place, (eui, device) in enumerate(options.get("devices", {}).items()):
            height, thresholds = device.get("reference_level"), device.get("thresholds")
            if height is None or not thresholds:
                continue
            peak = max(thresholds.values()) * PEAKS[place % len(PEAKS)]
            found.append(
                Gauge(
                    feed=name,
                    eui=eui,
                    name=device.get("name", eui),
                    application=feed["mqtt"]["topics"][0].split("/")[1].replace("+", name),
                    reference_level=height,
                    thresholds=thresholds,
                    hold=options.get("hold", 3),
                    declared="codec" in options,
                    levels=tuple(min(round(peak * part / 100, 3), height) for part in COURSE),
                )
            )
    return found


def messages_of(gauges: list[Gauge]) -> list[Message]:
    """All that the gauges send, in the order of time."""
    found = [Message(each.feed, _topic(each, "join"), _body(each, START)) for each in gauges]
    for step in range(len(COURSE)):
        for gauge in gauges:
            message = Message(gauge.feed, _topic(gauge, "up"), _uplink(gauge, step))
            found.append(message)
            if step == 5 and gauge is gauges[0]:
                found.append(message)  # told again
    if not gauges:
        return []
    first, at = gauges[0], START + len(COURSE) * STEP
    found.append(Message(first.feed, _topic(first, "status"), _body(first, at, margin=12, batteryLevel=92.0)))
    strange = _body(first, at, fCnt=900, fPort=2, data=b64encode(b"\xfe\x01").decode(), rxInfo=_heard(first, at))
    found.append(Message(first.feed, _topic(first, "up"), strange))
    return found


def alerts_expected(gauges: list[Gauge]) -> int:
    """How often the status of a gauge becomes another one that is caution or more."""
    return sum(alerts_of(each.levels, each.thresholds, each.hold) for each in gauges)


async def send(host: str, port: int, messages: list[Message]) -> None:
    """Publish messages, each when the MQTT broker has the one before."""
    async with aiomqtt.Client(host, port, identifier="chirpstack") as client:
        for message in messages:
            await client.publish(message.topic, message.payload, qos=1)


def _uplink(gauge: Gauge, step: int) -> bytes:
    at = START + step * STEP
    distance = round((gauge.reference_level - gauge.levels[step]) * 1000)
    payload = _declared(95, distance) if gauge.declared else _milesight(95, distance)
    data = b64encode(payload).decode()
    return _body(gauge, at, fCnt=step, fPort=85, data=data, rxInfo=_heard(gauge, at), txInfo={"frequency": 923200000})


def _milesight(battery: int, distance: int) -> bytes:
    return b"\x01\x75" + battery.to_bytes(1) + b"\x03\x82" + distance.to_bytes(2, "little")


def _declared(battery: int, distance: int) -> bytes:
    return b"\x01" + battery.to_bytes(1) + distance.to_bytes(2, "big")


def _body(gauge: Gauge, at: datetime, **members: Any) -> bytes:
    identity = uuid.uuid5(_NAMESPACE, f"{gauge.eui}/{at.isoformat()}/{members.get('fPort')}")
    device = {
        "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
        "tenantName": "city",
        "applicationId": gauge.application,
        "applicationName": gauge.feed,
        "deviceProfileId": "605d08d4-65f5-4d2c-8a5a-3d2457662f79",
        "deviceProfileName": "level sensor AS923",
        "deviceName": gauge.name,
        "devEui": gauge.eui,
        "tags": {},
    }
    body = {"deduplicationId": str(identity), "time": at.isoformat(), "deviceInfo": device, "devAddr": "01020304"}
    return json.dumps(body | {"adr": True, "dr": 3, "confirmed": False} | members, ensure_ascii=False).encode()


def _heard(gauge: Gauge, at: datetime) -> list[dict[str, Any]]:
    return [{"gatewayId": "a84041ffff1f0001", "time": at.isoformat(), "rssi": -97, "snr": 7.5, "crcStatus": "CRC_OK"}]


def _topic(gauge: Gauge, event: str) -> str:
    return f"application/{gauge.application}/device/{gauge.eui}/event/{event}"


def counted(messages: list[Message]) -> Iterator[tuple[str, int]]:
    """How many messages each feed is to get."""
    for feed in dict.fromkeys(message.feed for message in messages):
        yield feed, sum(message.feed == feed for message in messages)
