"""What a network server says of a device, in one form for ChirpStack v4 and The Things Stack v3."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.document import read_json
from adapters.errors import UnreadableFile

MOST_BYTES: Final = 2**20
UPLINK: Final = "up"

_CHIRPSTACK_TOPIC: Final = "/event/"
_THINGS_STACK_KINDS: Final = {
    "uplink_message": UPLINK,
    "join_accept": "join",
    "downlink_ack": "ack",
    "downlink_nack": "nack",
    "downlink_sent": "txack",
    "downlink_failed": "failed",
    "downlink_queued": "queued",
    "location_solved": "location",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` are the device's bytes, None where they cannot be read; `readings` what the server made of them.

    `at` is a UTC instant, empty where it is not said; `identity` is the same when the same event is told again.
    """

    kind: str
    device: str
    name: str
    application: str
    at: str
    identity: str
    counter: int | None = None
    port: int | None = None
    data: bytes | None = b""
    readings: Mapping[str, Any] | None = None
    rssi: float | None = None
    snr: float | None = None
    battery: float | None = None


def parse_event(data: bytes, topic: str) -> Event:
    """The event that a message has. Raises UnreadableFile."""
    document = read_json(data, MOST_BYTES)
    if isinstance(document, dict) and isinstance(document.get("deviceInfo"), dict):
        return _chirpstack(document, topic)
    if isinstance(document, dict) and isinstance(document.get("end_device_ids"), dict):
        return _things_stack(document)
    raise UnreadableFile(
        "The message has neither the deviceInfo of ChirpStack v4 nor the end_device_ids of The Things Stack v3."
    )


def _chirpstack(document: Mapping[str, Any], topic: str) -> Event:
    info = document["deviceInfo"]
    heard = _first(document.get("rxInfo"))
    kind = topic.rpartition(_CHIRPSTACK_TOPIC)[2] if _CHIRPSTACK_TOPIC in topic else _chirpstack_kind(document)
    level = _number(document.get("batteryLevel"))
    return Event(
        kind=kind,
        device=_device(info.get("devEui")),
        name=_text(info.get("deviceName")),
        application=_text(info.get("applicationName")),
        at=utc(document.get("time")),
        identity=_text(document.get("deduplicationId")),
        counter=_count(document.get("fCnt")),
        port=_count(document.get("fPort")),
        data=_bytes(document.get("data")),
        readings=document["object"] if isinstance(document.get("object"), dict) else None,
        rssi=_number(heard.get("rssi")),
        snr=_number(heard.get("snr")),
        battery=None if level is None or document.get("batteryLevelUnavailable") is True else level / 100,
    )


def _chirpstack_kind(document: Mapping[str, Any]) -> str:
    """The kind of an event whose topic is not known, such as one that came over HTTP without `event=`."""
    if "fCnt" in document and "rxInfo" in document:
        return UPLINK
    return next((kind for name, kind in (("margin", "status"), ("acknowledged", "ack")) if name in document), "other")


def _things_stack(document: Mapping[str, Any]) -> Event:
    ids = document["end_device_ids"]
    applications = ids.get("application_ids")
    member = next((name for name in _THINGS_STACK_KINDS if isinstance(document.get(name), dict)), "")
    message: Mapping[str, Any] = document.get(member, {}) if member else {}
    heard = _first(message.get("rx_metadata"))
    readings = message.get("decoded_payload")
    counter = _count(message.get("f_cnt"))
    at = utc(message.get("received_at")) or utc(document.get("received_at"))
    return Event(
        kind=_THINGS_STACK_KINDS.get(member, "other"),
        device=_device(ids.get("dev_eui")),
        name=_text(ids.get("device_id")),
        application=_text(applications.get("application_id")) if isinstance(applications, dict) else "",
        at=at,
        identity=f"{_text(message.get('session_key_id'))}/{counter}/{at}" if member == "uplink_message" else "",
        counter=0 if counter is None and member == "uplink_message" else counter,  # a 0 is left out
        port=_count(message.get("f_port")),
        data=_bytes(message.get("frm_payload")),
        readings=readings if isinstance(readings, dict) else None,
        rssi=_number(heard.get("rssi")),
        snr=_number(heard.get("snr")),
    )


def utc(value: Any) -> str:
    """A UTC instant to the millisecond; empty for what is none."""
    if not isinstance(value, str):
        return ""
    head, dot, fraction = value.partition(".")
    if dot:  # The Things Stack counts nanoseconds
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        value = f"{head}.{digits[:6].ljust(6, '0')}{fraction[len(digits) :]}" if digits else head
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return ""
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z" if moment.year >= 1000 else ""


def _device(value: Any) -> str:
    """An EUI in lower case; empty for what is none."""
    text = value.lower() if isinstance(value, str) else ""
    return text if len(text) == 16 and all(each in "0123456789abcdef" for each in text) else ""


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return b""
    try:
        return b64decode(value, validate=True)
    except (Base64Error, TypeError, ValueError):
        return None


def _first(values: Any) -> Mapping[str, Any]:
    return values[0] if isinstance(values, list) and values and isinstance(values[0], dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
