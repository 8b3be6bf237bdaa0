"""The packets of MQTT that a publisher makes and reads (clause 7). The bytes are those of the MQTT specifications."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery.mqtt_packets import (
    LONGEST,
    Connack,
    Login,
    MalformedPacket,
    connect_packet,
    disconnect_packet,
    publish_packet,
    pubrel_packet,
    read_acknowledgement,
    read_connack,
)


def test_connect_has_login_keep_alive_and_with_mqtt_5_the_expiry_of_the_session() -> None:
    login = Login("me", "user", "pw", 3600)
    before = b"\x00\x04MQTT"
    after = b"\x00\x02me\x00\x04user\x00\x02pw"
    assert connect_packet("mqtt3.1.1", login, clean=False, keep_alive=30) == (
        b"\x10\x18" + before + b"\x04\xc0\x00\x1e" + after
    )
    assert connect_packet("mqtt5.0", login, clean=True, keep_alive=30) == (
        b"\x10\x1e" + before + b"\x05\xc2\x00\x1e\x05\x11\x00\x00\x0e\x10" + after
    )


def test_publish_has_flags_topic_and_number() -> None:
    assert publish_packet("mqtt3.1.1", "a/b", b"x", 0) == b"\x30\x06\x00\x03a/bx"
    assert publish_packet("mqtt5.0", "a/b", b"x", 1, 7) == b"\x32\x09\x00\x03a/b\x00\x07\x00x"
    assert publish_packet("mqtt5.0", "a/b", b"x", 2, 7, again=True)[:1] == b"\x3c"
    assert publish_packet("mqtt3.1.1", "a", bytes(200), 0)[:3] == b"\x30\xcb\x01"
    assert pubrel_packet(7) == b"\x62\x02\x00\x07"


def test_disconnect_ends_the_session_with_mqtt_5() -> None:
    assert disconnect_packet("mqtt3.1.1") == b"\xe0\x00"
    assert disconnect_packet("mqtt5.0") == b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00"


def test_connack_says_what_the_server_bears() -> None:
    assert read_connack("mqtt3.1.1", b"\x01\x00") == Connack(True, 0)
    properties = b"\x21\x00\x0a\x24\x01\x27\x00\x00\x10\x00\x12\x00\x02id\x26\x00\x01a\x00\x01b\x2a\x01\x13\x00\x05"
    body = b"\x00\x00" + bytes((len(properties),)) + properties
    assert read_connack("mqtt5.0", body) == Connack(False, 0, 10, 1, 4096, 5)
    assert read_connack("mqtt5.0", b"\x00\x87\x00") == Connack(False, 0x87, None, 2, LONGEST)


def test_acknowledgements_have_a_number_and_with_mqtt_5_a_reason() -> None:
    assert read_acknowledgement(b"\x00\x07") == (7, 0)
    assert read_acknowledgement(b"\x00\x07\x97\x00") == (7, 0x97)


@given(st.binary(max_size=40))
def test_whatever_a_server_sends_is_read_or_malformed(body: bytes) -> None:
    for read in (lambda: read_connack("mqtt5.0", body), lambda: read_acknowledgement(body)):
        with contextlib.suppress(MalformedPacket):
            read()


def test_what_does_not_fit_into_a_packet_is_an_error() -> None:
    with pytest.raises(ValueError, match="65535"):
        publish_packet("mqtt5.0", "a" * 65_536, b"", 0)
