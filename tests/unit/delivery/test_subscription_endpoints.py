"""Endpoints taken apart (5.2.15, 6.3.8, 7.2)."""

import pytest

from broker.delivery.endpoint import DEFAULT_TIMEOUT, LONGEST_TIMEOUT, MqttAddress, parse_endpoint


@pytest.mark.parametrize(
    ("uri", "lane"),
    [
        ("http://Host.example/notify?a=b", ("http", "host.example", 80)),
        ("https://host.example:8443", ("https", "host.example", 8443)),
        ("http://[::1]:9/x", ("http", "::1", 9)),
        ("mqtt://host.example/a", ("mqtt", "host.example", 1883)),
        ("mqtts://host.example/a", ("mqtts", "host.example", 8883)),
    ],
)
def test_a_lane_is_scheme_host_and_port(uri: str, lane: tuple[str, str, int]) -> None:
    assert parse_endpoint({"uri": uri}).lane == lane


def test_7_2_an_mqtt_uri_has_credentials_host_port_and_topic() -> None:
    endpoint = parse_endpoint(
        {
            "uri": "mqtts://us%40er:p%3Aw@broker.example:8884/city/devices/%E3%81%AA",
            "notifierInfo": [{"key": "MQTT-Version", "value": "mqtt3.1.1"}, {"key": "MQTT-QoS", "value": "1"}],
        }
    )
    assert endpoint.mqtt == MqttAddress("broker.example", 8884, True, "city/devices/な", "us@er", "p:w", "mqtt3.1.1", 1)
    assert "p:w" not in repr(endpoint)


def test_7_2_defaults() -> None:
    mqtt = parse_endpoint({"uri": "mqtt://broker.example/a"}).mqtt
    assert mqtt is not None
    assert (mqtt.version, mqtt.qos, mqtt.username, mqtt.password) == ("mqtt5.0", 0, None, None)


def test_5_2_15_timeout_and_cooldown_are_milliseconds() -> None:
    uri = "http://r.example/"
    assert parse_endpoint({"uri": uri}).timeout == DEFAULT_TIMEOUT
    assert parse_endpoint({"uri": uri, "timeout": 250, "cooldown": 4000}).timeout == 0.25
    assert parse_endpoint({"uri": uri, "cooldown": 4000}).cooldown == 4.0
    assert parse_endpoint({"uri": uri, "timeout": 1e12}).timeout == LONGEST_TIMEOUT
