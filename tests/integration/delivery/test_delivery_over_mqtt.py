"""The MQTT binding (clause 7) against a real MQTT broker."""

import asyncio
import ssl
from typing import Any

import aiomqtt
import orjson
import pytest
from delivery_desk import Desk, OpenDesk, eventually
from mosquitto import MqttBroker, running_mqtt_broker

pytestmark = pytest.mark.mqtt

DEVICE = "urn:ngsi-ld:Device:1"
LEVEL = {"type": "Property", "value": 1}


class Listener:
    """A subscriber to one topic."""

    def __init__(self, broker: MqttBroker, topic: str) -> None:
        login = broker.credentials
        self._topic = topic
        self._client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=None if login is None else login.username,
            password=None if login is None else login.password,
            tls_context=_trusting(broker),
        )

    async def __aenter__(self) -> "Listener":
        await self._client.__aenter__()
        await self._client.subscribe(self._topic, qos=2)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client.__aexit__(None, None, None)

    async def next(self) -> tuple[dict[str, Any], int]:
        """The next message and its quality of service."""
        async with asyncio.timeout(5):
            message = await anext(aiter(self._client.messages))
        assert isinstance(message.payload, bytes)
        return orjson.loads(message.payload), message.qos


def _trusting(broker: MqttBroker) -> ssl.SSLContext | None:
    if broker.certificates is None:
        return None
    return ssl.create_default_context(cafile=str(broker.certificates.authority))


async def test_7_2_the_message_has_the_notification_as_body_and_the_rest_as_metadata(
    desk: Desk, mqtt_broker: MqttBroker
) -> None:
    async with Listener(mqtt_broker, "city/devices") as listener:
        receiver_info = [{"key": "test-receiver-key", "value": "test-receiver-info"}]
        subscription = await desk.subscribe(
            f"{mqtt_broker.uri}/city/devices", tenant="madrid", endpoint={"receiverInfo": receiver_info}
        )
        await desk.create(DEVICE, tenant="madrid", level=LEVEL)
        message, qos = await listener.next()
    assert qos == 0
    assert message.keys() == {"metadata", "body"}
    link = message["metadata"].pop("Link")
    assert link.endswith('>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"')
    assert message["metadata"] == {
        "Content-Type": "application/json",
        "NGSILD-Tenant": "madrid",
        "test-receiver-key": "test-receiver-info",
    }
    assert message["body"]["type"] == "Notification"
    assert message["body"]["data"] == [{"id": DEVICE, "type": "Device", "level": LEVEL}]
    assert (await desk.look(subscription, tenant="madrid"))["notification"]["status"] == "ok"


@pytest.mark.parametrize("version", ["mqtt3.1.1", "mqtt5.0"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
async def test_7_2_version_and_quality_are_as_the_subscription_says(
    desk: Desk, mqtt_broker: MqttBroker, version: str, qos: str
) -> None:
    topic = f"quality/{version}/{qos}"
    info = [{"key": "MQTT-Version", "value": version}, {"key": "MQTT-QoS", "value": qos}]
    async with Listener(mqtt_broker, topic) as listener:
        await desk.subscribe(f"{mqtt_broker.uri}/{topic}", endpoint={"notifierInfo": info})
        await desk.create(DEVICE, level=LEVEL)
        message, got_qos = await listener.next()
        assert got_qos == int(qos)
        await desk.update(DEVICE, level={"type": "Property", "value": 2})
        assert (await listener.next())[0]["body"]["data"][0]["level"]["value"] == 2
    assert "Link" in message["metadata"]


async def test_7_2_json_ld_carries_its_context_in_the_body(desk: Desk, mqtt_broker: MqttBroker) -> None:
    async with Listener(mqtt_broker, "ld") as listener:
        await desk.subscribe(f"{mqtt_broker.uri}/ld", endpoint={"accept": "application/ld+json"})
        await desk.create(DEVICE, level=LEVEL)
        message, _ = await listener.next()
    assert message["metadata"] == {"Content-Type": "application/ld+json"}
    assert "@context" in message["body"]
    assert "@context" in message["body"]["data"][0]


async def test_7_2_user_and_password_of_the_uri_are_used(desk: Desk, mqtt_broker_with_password: MqttBroker) -> None:
    broker = mqtt_broker_with_password
    async with Listener(broker, "private") as listener:
        await desk.subscribe(f"{broker.uri}/private")
        wrong = await desk.subscribe(f"mqtt://nobody:wrong@{broker.host}:{broker.port}/private")
        await desk.create(DEVICE, level=LEVEL)
        await listener.next()
        tally = await desk.broker.dispatcher.tally("", wrong)
        await eventually(lambda: _failed(desk, wrong))
    assert tally.reason is not None
    assert "uthori" in tally.reason


async def test_7_2_mqtts_is_tls_with_a_checked_certificate(
    open_desk: OpenDesk, mqtt_broker_with_tls: MqttBroker
) -> None:
    broker = mqtt_broker_with_tls
    assert broker.certificates is not None
    authority = f"{broker.host}:{broker.port} ca={broker.certificates.authority}"
    trusting, strict = await open_desk("trusting", tls=authority), await open_desk("strict")
    async with Listener(broker, "safe") as listener:
        for desk in (trusting, strict):
            await desk.subscribe(f"{broker.uri}/safe")
            await desk.create(DEVICE, level=LEVEL)
        await listener.next()
        (refused,) = [body["id"] for _, _, body in await strict.broker.store.list_documents("subscription")]
        await eventually(lambda: _failed(strict, refused))
    assert "certificate" in ((await strict.broker.dispatcher.tally("", refused)).reason or "").lower()


async def test_7_2_a_broker_that_was_away_gets_what_it_missed(desk: Desk) -> None:
    with running_mqtt_broker() as broker:
        info = [{"key": "MQTT-QoS", "value": "1"}]
        subscription = await desk.subscribe(f"{broker.uri}/back", endpoint={"notifierInfo": info})
        async with Listener(broker, "back") as listener:
            await desk.create(DEVICE, level=LEVEL)
            await listener.next()
        await asyncio.to_thread(broker.stop)
        await desk.update(DEVICE, level={"type": "Property", "value": 2})
        await eventually(lambda: _failed(desk, subscription))
        await asyncio.to_thread(broker.start)
        async with Listener(broker, "back") as listener:
            message, _ = await listener.next()
        assert message["body"]["data"][0]["level"]["value"] == 2


async def test_an_mqtt_address_that_the_egress_policy_forbids_is_refused(
    open_desk: OpenDesk, mqtt_broker: MqttBroker
) -> None:
    desk = await open_desk(egress="public")
    subscription = await desk.subscribe(f"{mqtt_broker.uri}/forbidden")
    await desk.create(DEVICE, level=LEVEL)
    await eventually(lambda: _failed(desk, subscription))
    assert ((await desk.broker.dispatcher.tally("", subscription)).reason or "").startswith("forbidden")


async def _failed(desk: Desk, subscription: str) -> bool:
    return (await desk.look(subscription))["notification"].get("timesFailed", 0) > 0
