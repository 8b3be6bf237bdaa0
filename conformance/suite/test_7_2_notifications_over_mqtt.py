"""7.2: notifications over MQTT, for brokers that support the optional binding."""

from urllib.parse import urlsplit

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.mqtt import MqttListener
from conformance.samples import Document, Unique, entity, prop, subscription
from conformance.servers import DocumentServer, eventually

CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"


@clause("7.2", 1, 2, 3)
@clause("5.3.1", 1, 3)
def test_a_notification_is_the_body_of_a_message(broker: BrokerClient, unique: Unique, mqtt: MqttListener) -> None:
    given = subscription(mqtt.endpoint, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    message = mqtt.next_json()
    assert message.keys() == {"metadata", "body"}
    assert message["metadata"]["Content-Type"] == JSON
    body = message["body"]
    assert body.keys() == {"id", "type", "subscriptionId", "notifiedAt", "data"}
    assert (body["type"], body["subscriptionId"], body["data"]) == ("Notification", given["id"], [one])


@clause("7.2", 5)
def test_a_message_with_json_links_to_the_context(
    broker: BrokerClient, unique: Unique, mqtt: MqttListener, documents: DocumentServer
) -> None:
    context = documents.publish_context(level=f"https://example.org/{unique.name('level')}")
    given = subscription(mqtt.endpoint, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given, link=context).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1)), link=context).expect(201)
    message = mqtt.next_json()
    link = f'<{context}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    assert message["metadata"]["Link"].replace(" ", "") == link.replace(" ", "")
    assert message["body"]["data"][0]["level"] == prop(1)


@clause("7.2", 5)
def test_a_message_with_json_links_to_the_core_context_where_there_is_no_other(
    broker: BrokerClient, unique: Unique, mqtt: MqttListener
) -> None:
    broker.post("/subscriptions", subscription(mqtt.endpoint, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    assert mqtt.next_json()["metadata"]["Link"].startswith(f"<{CORE}")


@clause("7.2", 3)
def test_a_message_with_json_ld_has_its_context_in_the_body(
    broker: BrokerClient, unique: Unique, mqtt: MqttListener
) -> None:
    given = subscription(mqtt.endpoint, endpoint={"accept": JSON_LD}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    message = mqtt.next_json()
    assert message["metadata"]["Content-Type"] == JSON_LD
    assert CORE in str(message["body"]["@context"])


@clause("7.2", 4)
@clause("5.2.15", 1)
def test_receiver_info_becomes_metadata(broker: BrokerClient, unique: Unique, mqtt: MqttListener) -> None:
    pairs = [{"key": "X-Reason", "value": "test"}, {"key": "free text", "value": "with\nlines"}]
    given = subscription(mqtt.endpoint, endpoint={"receiverInfo": pairs}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    metadata = mqtt.next_json()["metadata"]
    assert metadata["X-Reason"] == "test"
    assert metadata["free text"] == "with\nlines"


@clause("7.2", 6)
@pytest.mark.parametrize("version", ["mqtt3.1.1", "mqtt5.0"])
@pytest.mark.parametrize("quality", ["0", "1", "2"])
def test_quality_and_version_of_the_protocol_can_be_chosen(
    broker: BrokerClient, unique: Unique, mqtt: MqttListener, quality: str, version: str
) -> None:
    settings = [{"key": "MQTT-QoS", "value": quality}, {"key": "MQTT-Version", "value": version}]
    given = subscription(mqtt.endpoint, endpoint={"notifierInfo": settings}, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    assert mqtt.next_json()["body"]["data"] == [one]
    eventually(lambda: broker.get(location).expect(200).json["notification"].get("status") == "ok")


@clause("7.2", 7)
@pytest.mark.parametrize(
    "setting",
    [
        {"key": "MQTT-QoS", "value": "3"},
        {"key": "MQTT-QoS", "value": "high"},
        {"key": "MQTT-Version", "value": "mqtt4"},
        {"key": "MQTT-Version", "value": "5"},
    ],
)
def test_another_quality_or_version_is_refused(
    broker: BrokerClient, unique: Unique, mqtt: MqttListener, setting: Document
) -> None:
    given = subscription(mqtt.endpoint, endpoint={"notifierInfo": [setting]}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("7.2", 1)
def test_an_endpoint_without_a_topic_is_refused(broker: BrokerClient, unique: Unique, mqtt: MqttListener) -> None:
    parts = urlsplit(mqtt.endpoint)
    given = subscription(f"{parts.scheme}://{parts.netloc}", entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("7.2", 1)
def test_every_change_is_a_message_in_order(broker: BrokerClient, unique: Unique, mqtt: MqttListener) -> None:
    quality = {"notifierInfo": [{"key": "MQTT-QoS", "value": "2"}]}
    broker.post("/subscriptions", subscription(mqtt.endpoint, endpoint=quality, entities=[{"type": unique.type()}]))
    one = entity(unique.id(), unique.type(), level=prop(0))
    broker.post("/entities", one).expect(201)
    for number in (1, 2):
        broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(number)}).expect(204)
    levels = [mqtt.next_json()["body"]["data"][0]["level"]["value"] for _ in range(3)]
    assert levels == [0, 1, 2]
