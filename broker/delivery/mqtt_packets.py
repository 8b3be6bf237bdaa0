"""The packets of MQTT 3.1.1 and 5 that a publisher sends and gets, as bytes and back (clause 7). Pure: no I/O.

Only what publishing needs: CONNECT, PUBLISH, PUBREL, PINGREQ and DISCONNECT are made; CONNACK, the acknowledgements, PINGRESP and
a server's DISCONNECT are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal, TypeAlias

Version: TypeAlias = Literal["mqtt3.1.1", "mqtt5.0"]
Quality: TypeAlias = Literal[0, 1, 2]


class Packet(IntEnum):
    """The types of packets, as the first four bits of a packet have them."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


LONGEST: Final = 268_435_455
"""Bytes that the rest of a packet has at most."""
PING: Final = bytes((Packet.PINGREQ << 4, 0))
NO_SUCH_PACKET: Final = 0x92
"""The reason code by which a server says that it knows of no such message any more."""
TAKEN_OVER: Final = 0x8E
"""The reason code of a DISCONNECT: another client has come with the same client id."""

_SESSION_EXPIRY: Final = 0x11
_SERVER_KEEP_ALIVE: Final = 0x13
_RECEIVE_MAXIMUM: Final = 0x21
_MAXIMUM_QOS: Final = 0x24
_MAXIMUM_PACKET: Final = 0x27

_SIZES: Final[Mapping[int, int]] = {
    0x01: 1, 0x17: 1, 0x19: 1, _MAXIMUM_QOS: 1, 0x25: 1, 0x28: 1, 0x29: 1, 0x2A: 1,
    _SERVER_KEEP_ALIVE: 2, _RECEIVE_MAXIMUM: 2, 0x22: 2, 0x23: 2,
    0x02: 4, _SESSION_EXPIRY: 4, 0x18: 4, _MAXIMUM_PACKET: 4,
}  # fmt: skip
"""Properties that are numbers, with their sizes in bytes."""
_TEXTS: Final = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
"""Properties that are texts or bytes, with their length before them."""
_PAIR: Final = 0x26

_REFUSALS: Final[Mapping[int, str]] = {
    1: "unacceptable protocol version",
    2: "client identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    TAKEN_OVER: "session taken over",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    NO_SUCH_PACKET: "packet identifier not found",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9B: "quality of service not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9F: "connection rate exceeded",
}


class MalformedPacket(Exception):
    """What came is no packet of MQTT."""


@dataclass(frozen=True, slots=True)
class Connack:
    """A server's answer to a CONNECT. `reason` 0 lets in; the others are what it bears, None for what it does not say.

    `keep_alive`: seconds in which it wants to hear of the client, in place of those that this asked for.
    """

    session_present: bool
    reason: int
    receive_maximum: int | None = None
    maximum_qos: int = 2
    maximum_packet: int = LONGEST
    keep_alive: int | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """Who connects: client id, user and password; `session_seconds` is how long the server keeps the session (MQTT 5)."""

    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    session_seconds: int = 0


def connect_packet(version: Version, login: Login, *, clean: bool, keep_alive: int) -> bytes:
    """CONNECT. `clean`: the server is to forget the session that it has for the client id."""
    flags = clean << 1 | (login.password is not None) << 6 | (login.username is not None) << 7
    variable = _text("MQTT") + bytes((5 if version == "mqtt5.0" else 4, flags)) + keep_alive.to_bytes(2, "big")
    if version == "mqtt5.0":
        variable += b"\x05" + bytes((_SESSION_EXPIRY,)) + login.session_seconds.to_bytes(4, "big")
    payload = _text(login.client_id)
    if login.username is not None:
        payload += _text(login.username)
    if login.password is not None:
        payload += _text(login.password)
    return _packet(Packet.CONNECT, 0, variable + payload)


def publish_packet(
    version: Version, topic: str, payload: bytes, qos: Quality, packet_id: int = 0, *, again: bool = False
) -> bytes:
    """PUBLISH. `again`: the server may have got it before (DUP)."""
    variable = _text(topic)
    if qos:
        variable += packet_id.to_bytes(2, "big")
    if version == "mqtt5.0":
        variable += b"\x00"
    return _packet(Packet.PUBLISH, again << 3 | qos << 1, variable + payload)


def pubrel_packet(packet_id: int) -> bytes:
    """PUBREL: the second half of quality 2."""
    return _packet(Packet.PUBREL, 2, packet_id.to_bytes(2, "big"))


def disconnect_packet(version: Version) -> bytes:
    """DISCONNECT. With MQTT 5 the session ends with it."""
    if version == "mqtt5.0":
        return _packet(Packet.DISCONNECT, 0, b"\x00\x05" + bytes((_SESSION_EXPIRY,)) + bytes(4))
    return _packet(Packet.DISCONNECT, 0, b"")


def read_connack(version: Version, body: bytes) -> Connack:
    """The CONNACK with this body. Raises MalformedPacket."""
    if len(body) < 2:
        raise MalformedPacket("a CONNACK that is too short")
    properties = _properties(body[2:]) if version == "mqtt5.0" and len(body) > 2 else {}
    return Connack(
        session_present=bool(body[0] & 1),
        reason=body[1],
        receive_maximum=properties.get(_RECEIVE_MAXIMUM),
        maximum_qos=properties.get(_MAXIMUM_QOS, 2),
        maximum_packet=properties.get(_MAXIMUM_PACKET, LONGEST),
        keep_alive=properties.get(_SERVER_KEEP_ALIVE),
    )


def read_acknowledgement(body: bytes) -> tuple[int, int]:
    """The id of the message that is acknowledged, and the reason code (0 with MQTT 3.1.1). Raises MalformedPacket."""
    if len(body) < 2:
        raise MalformedPacket("an acknowledgement that is too short")
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def reason_text(reason: int) -> str:
    """A reason code in words."""
    return _REFUSALS.get(reason, f"reason code {reason:#04x}")


def _packet(kind: Packet, flags: int, body: bytes) -> bytes:
    """A whole packet. Raises ValueError if it would be too large."""
    size, header = len(body), bytearray((kind << 4 | flags,))
    if size > LONGEST:
        raise ValueError(f"an MQTT packet has at most {LONGEST} bytes")
    while True:
        size, digit = divmod(size, 128)
        header.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(header) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 65_535:
        raise ValueError("a text in an MQTT packet has at most 65535 bytes")
    return len(encoded).to_bytes(2, "big") + encoded


def _properties(body: bytes) -> dict[int, int]:
    """The properties of MQTT 5 that are numbers; the others are passed over. Raises MalformedPacket."""
    found: dict[int, int] = {}
    try:
        length, at = _variable(body, 0)
        end = at + length
        if end > len(body):
            raise MalformedPacket("properties that are cut off")
        while at < end:
            name, at = body[at], at + 1
            if name in _SIZES:
                found[name] = int.from_bytes(body[at : at + _SIZES[name]], "big")
                at += _SIZES[name]
            elif name in _TEXTS or name == _PAIR:
                for _ in range(2 if name == _PAIR else 1):
                    at += 2 + int.from_bytes(body[at : at + 2], "big")
            elif name == 0x0B:
                _, at = _variable(body, at)
            else:
                raise MalformedPacket(f"an unknown property {name:#04x}")
    except IndexError:
        raise MalformedPacket("properties that are cut off") from None
    return found


def _variable(body: bytes, at: int) -> tuple[int, int]:
    """A number of one to four bytes, and where it ends. Raises IndexError, MalformedPacket."""
    value = 0
    for shift in (0, 7, 14, 21):
        digit = body[at]
        at += 1
        value |= (digit & 0x7F) << shift
        if not digit & 0x80:
            return value, at
    raise MalformedPacket("a number that is too long")
