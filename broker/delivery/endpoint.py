"""Where notifications go (5.2.15, 6.3.8, 7.2): an endpoint's URI taken apart, its settings, its lane.

The same checks serve the creation of a subscription and its delivery, so that an endpoint which was accepted can be sent to.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from broker.errors import BadRequestData
from broker.model.entity import JsonObject

JSON: Final = "application/json"
JSON_LD: Final = "application/ld+json"
GEO_JSON: Final = "application/geo+json"

DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that an attempt may take where the endpoint sets no timeout."""
LONGEST_TIMEOUT: Final = 60.0
"""Seconds beyond which an endpoint's own timeout is cut off (5.2.15 lets the system override it)."""

_PORTS: Final = {"http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883}
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(
    r"(?:[\x21-\x7e\x80-\xff](?:[\x20\x09-\x09\x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
_FRAMING: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_MQTT_VERSIONS: Final = ("mqtt3.1.1", "mqtt5.0")


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """An MQTT endpoint (7.2): broker, credentials, topic, and the two protocol parameters of table 7.2-1."""

    host: str
    port: int
    tls: bool
    topic: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    version: Literal["mqtt3.1.1", "mqtt5.0"] = "mqtt5.0"
    qos: Literal[0, 1, 2] = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A notification endpoint. `timeout` and `cooldown` are seconds; `lane` is (scheme, host, port), what endpoints share
    when they are one receiver; `mqtt` is None for HTTP."""

    uri: str = field(repr=False)
    lane: tuple[str, str, int]
    accept: str = JSON
    timeout: float = DEFAULT_TIMEOUT
    cooldown: float = 0.0
    receiver_info: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    mqtt: MqttAddress | None = None

    @property
    def plain_geojson(self) -> bool:
        """Whether GeoJSON goes out without an @context in its body: `Prefer: body=json` (6.3.8)."""
        return any(
            key.lower() == "prefer" and any(part.strip().replace('"', "") == "body=json" for part in value.split(","))
            for key, value in self.receiver_info
        )


def parse_endpoint(given: JsonObject) -> Endpoint:
    """An Endpoint from its JSON members, checked as table 5.2.15-1 and clauses 6.3.8 and 7.2 want. Raises BadRequestData."""
    uri = given.get("uri")
    if not isinstance(uri, str):
        raise BadRequestData("notification.endpoint.uri: a URI is mandatory")
    parts, port = _split(uri)
    accept = given.get("accept", JSON)
    if accept not in (JSON, JSON_LD, GEO_JSON):
        raise BadRequestData(f"notification.endpoint.accept: one of {JSON}, {JSON_LD}, {GEO_JSON} is expected")
    receiver_info = _pairs(given, "receiverInfo")
    notifier_info = _pairs(given, "notifierInfo")
    mqtt = None
    if parts.scheme in ("mqtt", "mqtts"):
        if accept == GEO_JSON:
            raise BadRequestData(f"notification.endpoint.accept: {GEO_JSON} cannot be sent over MQTT (7.2)")
        mqtt = _mqtt_address(parts, port, dict(notifier_info))
    else:
        _check_headers(receiver_info)
    timeout = _milliseconds(given, "timeout")
    return Endpoint(
        uri=uri,
        lane=(parts.scheme, parts.hostname or "", port),
        accept=accept,
        timeout=DEFAULT_TIMEOUT if timeout is None else min(timeout, LONGEST_TIMEOUT),
        cooldown=_milliseconds(given, "cooldown") or 0.0,
        receiver_info=receiver_info,
        mqtt=mqtt,
    )


def _split(uri: str) -> tuple[SplitResult, int]:
    if any(character.isspace() or not character.isprintable() for character in uri):
        raise BadRequestData("notification.endpoint.uri: a URI has no spaces and no control characters")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise BadRequestData(f"notification.endpoint.uri: not a valid URI ({error})") from None
    if parts.scheme not in _PORTS:
        raise BadRequestData(
            f"notification.endpoint.uri: the scheme {parts.scheme!r} is not one of http, https, mqtt, mqtts (6.3.8)"
        )
    if not parts.hostname or port == 0:
        raise BadRequestData("notification.endpoint.uri: a host is expected, and a port from 1 on where there is one")
    return parts, port or _PORTS[parts.scheme]


def _mqtt_address(parts: SplitResult, port: int, settings: dict[str, str]) -> MqttAddress:
    topic = unquote(parts.path.removeprefix("/"))
    if not topic or len(topic.encode()) > 65_535 or any(character in topic for character in "+#\0"):
        raise BadRequestData("notification.endpoint.uri: an MQTT topic is expected as its path, without + and # (7.2)")
    if parts.query or parts.fragment:
        raise BadRequestData("notification.endpoint.uri: an MQTT endpoint has neither query nor fragment (7.2)")
    version = settings.get("MQTT-Version", "mqtt5.0")
    if version not in _MQTT_VERSIONS:
        raise BadRequestData(f"notifierInfo MQTT-Version: one of {', '.join(_MQTT_VERSIONS)} is expected (7.2)")
    qos = settings.get("MQTT-QoS", "0")
    if qos not in ("0", "1", "2"):
        raise BadRequestData("notifierInfo MQTT-QoS: one of 0, 1, 2 is expected (7.2)")
    return MqttAddress(
        host=parts.hostname or "",
        port=port,
        tls=parts.scheme == "mqtts",
        topic=topic,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        version="mqtt3.1.1" if version == "mqtt3.1.1" else "mqtt5.0",
        qos=0 if qos == "0" else 1 if qos == "1" else 2,
    )


def _pairs(given: JsonObject, member: str) -> tuple[tuple[str, str], ...]:
    """A KeyValuePair[] (5.2.22): objects of which key and value are strings."""
    pairs = given.get(member, [])
    if not isinstance(pairs, list):
        raise BadRequestData(f"notification.endpoint.{member}: an array of key-value pairs is expected (5.2.22)")
    return tuple(_pair(pair, member) for pair in pairs)


def _pair(pair: Any, member: str) -> tuple[str, str]:
    key, value = (pair.get("key"), pair.get("value")) if isinstance(pair, dict) else (None, None)
    if not isinstance(key, str) or not isinstance(value, str) or not key:
        raise BadRequestData(
            f"notification.endpoint.{member}: key and value must both be there and be strings (5.2.22)"
        )
    return key, value


def _check_headers(pairs: tuple[tuple[str, str], ...]) -> None:
    """receiverInfo becomes HTTP headers, so it must be made of header names and values (6.3.8, RFC 7230)."""
    for key, value in pairs:
        if not _TOKEN.fullmatch(key) or not _FIELD_VALUE.fullmatch(value):
            raise BadRequestData(f"notification.endpoint.receiverInfo: {key!r} is not a valid HTTP header (6.3.8)")
        if key.lower() in _FRAMING:
            raise BadRequestData(f"notification.endpoint.receiverInfo: {key} is a header that the broker itself sets")


def _milliseconds(given: JsonObject, member: str) -> float | None:
    value = given.get(member)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise BadRequestData(f"notification.endpoint.{member}: a number of milliseconds above 0 is expected")
    return float(value) / 1000
