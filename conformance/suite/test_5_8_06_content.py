"""5.8.6 Notification behaviour, 5.2.14.1 and 5.3.1: what notifications are made of."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import (
    Document,
    Unique,
    entity,
    geo,
    instant,
    json_prop,
    lang,
    list_prop,
    list_rel,
    prop,
    rel,
    subscription,
    vocab,
)
from conformance.servers import DocumentServer, Receiver

DATASET = "urn:ngsi-ld:Dataset:gps"


@clause("5.3.1", 1, 2, 3)
@clause("5.8.6", 14)
def test_the_structure_of_a_notification(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    notification = receiver.next_json()
    assert notification.keys() == {"id", "type", "subscriptionId", "notifiedAt", "data"}
    assert ":" in notification["id"]
    assert notification["type"] == "Notification"
    assert notification["subscriptionId"] == given["id"]
    assert notification["notifiedAt"].endswith("Z")
    assert abs(instant(notification["notifiedAt"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert notification["data"] == [one]


@clause("5.3.1", 2)
def test_each_notification_has_an_id_of_its_own(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    ids = []
    for number in range(3):
        broker.post("/entities", entity(unique.id(), unique.type(), level=prop(number))).expect(201)
        ids.append(receiver.next_json()["id"])
    assert len(set(ids)) == 3


@clause("5.8.6", 22, 23, 24)
@clause("5.2.14.1", 2)
@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({}, {"level": prop(1, unitCode="MTR"), "by": rel("urn:ngsi-ld:A:1"), "name": lang({"en": "Oak"})}),
        (
            {"format": "normalized"},
            {"level": prop(1, unitCode="MTR"), "by": rel("urn:ngsi-ld:A:1"), "name": lang({"en": "Oak"})},
        ),
        (
            {"format": "concise"},
            {
                "level": {"value": 1, "unitCode": "MTR"},
                "by": {"object": "urn:ngsi-ld:A:1"},
                "name": {"languageMap": {"en": "Oak"}},
            },
        ),
        ({"format": "simplified"}, {"level": 1, "by": "urn:ngsi-ld:A:1", "name": {"languageMap": {"en": "Oak"}}}),
        ({"format": "keyValues"}, {"level": 1, "by": "urn:ngsi-ld:A:1", "name": {"languageMap": {"en": "Oak"}}}),
    ],
)
def test_the_representation_of_entities(
    broker: BrokerClient, unique: Unique, receiver: Receiver, wanted: Document, shown: Document
) -> None:
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    parts = {"level": prop(1, unitCode="MTR"), "by": rel("urn:ngsi-ld:A:1"), "name": lang({"en": "Oak"})}
    one = entity(unique.id(), unique.type(), **parts)
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], **shown)]


@clause("5.8.6", 16, 18)
@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        ({}, {"id", "type", "scope", "level", "name", "depth"}),
        ({"attributes": ["level"]}, {"id", "type", "level"}),
        ({"attributes": ["name", "depth", "unknown"]}, {"id", "type", "name", "depth"}),
    ],
)
def test_attributes_choose_what_is_notified(
    broker: BrokerClient, unique: Unique, receiver: Receiver, wanted: Document, members: set[str]
) -> None:
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), scope="/a", level=prop(1), name=prop("a"), depth=prop(9))
    broker.post("/entities", one).expect(201)
    notified = receiver.next_json()["data"][0]
    assert notified.keys() - {"scope"} == members - {"scope"}
    assert all(notified[member] == one[member] for member in members)


@clause("5.8.6", 17)
def test_names_of_attributes_are_expanded_with_the_context_of_the_subscription(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    level = f"https://example.org/{unique.name('level')}"
    context = documents.publish_context(pegel=level)
    given = subscription(receiver.url, notification={"attributes": ["pegel"]}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given, link=context).expect(201)
    one = entity(unique.id(), unique.type(), pegel=prop(1), **{level: prop(2)})
    broker.post("/entities", one).expect(201)
    notified = receiver.next_json()["data"][0]
    assert notified.keys() == {"id", "type", "pegel"}
    assert notified["pegel"] == prop(2)


@clause("5.8.6", 25, 26)
@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        ({"pick": ["id", "level"]}, {"id", "level"}),
        ({"pick": ["type", "scope", "name"]}, {"type", "scope", "name"}),
        ({"omit": ["level", "scope"]}, {"id", "type", "name"}),
        ({"omit": ["id", "type"]}, {"scope", "level", "name"}),
    ],
)
def test_pick_and_omit_choose_members(
    broker: BrokerClient, unique: Unique, receiver: Receiver, wanted: Document, members: set[str]
) -> None:
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), scope="/a", level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [{member: one[member] for member in members}]


@clause("5.8.6", 27)
def test_linked_entities_are_notified_inline(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    linked = entity(unique.id("Sensor"), unique.type("Sensor"), brand=prop("x"))
    broker.post("/entities", linked).expect(201)
    given = subscription(receiver.url, notification={"join": "inline"}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), by=rel(linked["id"], objectType=linked["type"]))
    broker.post("/entities", one).expect(201)
    notified = receiver.next_json()["data"]
    assert [each["id"] for each in notified] == [one["id"]]
    assert notified[0]["by"]["entity"] == linked


@clause("5.8.6", 27)
def test_linked_entities_are_notified_flattened(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    farther = entity(unique.id("Maker"), unique.type("Maker"), name=prop("m"))
    linked = entity(unique.id("Sensor"), unique.type("Sensor"), of=rel(farther["id"], objectType=farther["type"]))
    for each in (farther, linked):
        broker.post("/entities", each).expect(201)
    given = subscription(receiver.url, notification={"join": "flat"}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), by=rel(linked["id"], objectType=linked["type"]))
    broker.post("/entities", one).expect(201)
    assert {each["id"] for each in receiver.next_json()["data"]} == {one["id"], linked["id"]}


@clause("5.8.6", 27)
@clause("5.2.14.1", 6)
def test_join_level_says_how_far_links_are_followed(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    farther = entity(unique.id("Maker"), unique.type("Maker"), name=prop("m"))
    linked = entity(unique.id("Sensor"), unique.type("Sensor"), of=rel(farther["id"], objectType=farther["type"]))
    for each in (farther, linked):
        broker.post("/entities", each).expect(201)
    wanted = {"join": "flat", "joinLevel": 2}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), by=rel(linked["id"], objectType=linked["type"]))
    broker.post("/entities", one).expect(201)
    assert {each["id"] for each in receiver.next_json()["data"]} == {one["id"], linked["id"], farther["id"]}


@clause("5.2.14.1", 3)
@pytest.mark.parametrize("wanted", [{}, {"join": "@none"}])
def test_without_join_no_linked_entities_are_notified(
    broker: BrokerClient, unique: Unique, receiver: Receiver, wanted: Document
) -> None:
    linked = entity(unique.id("Sensor"), unique.type("Sensor"), brand=prop("x"))
    broker.post("/entities", linked).expect(201)
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), by=rel(linked["id"], objectType=linked["type"]))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]


@clause("5.2.14.1", 9)
def test_system_attributes_are_notified_where_they_are_asked_for(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(receiver.url, notification={"sysAttrs": True}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1), expiresAt="2090-01-01T00:00:00Z")
    broker.post("/entities", one).expect(201)
    notified = receiver.next_json()["data"][0]
    assert notified["createdAt"] == notified["modifiedAt"]
    assert notified["expiresAt"].startswith("2090-01-01T00:00:00")
    assert {"createdAt", "modifiedAt"} <= notified["level"].keys()


@clause("5.2.12", 14)
@clause("5.8.6", 28)
@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("1.9", prop(1, valueType="integer"), prop(1, valueType="integer")),
        ("1.8", prop(1, valueType="integer"), prop(1)),
        ("1.8", rel("urn:ngsi-ld:A:1", objectType="A"), rel("urn:ngsi-ld:A:1", objectType="A")),
        ("1.7", rel("urn:ngsi-ld:A:1", objectType="A"), rel("urn:ngsi-ld:A:1")),
        ("1.7", json_prop({"a": 1}), prop({"a": 1})),
        ("1.7", list_prop([1, 2]), prop([1, 2])),
        ("1.7", vocab("Oak"), prop("Oak")),
        ("1.4", lang({"en": "Oak"}), lang({"en": "Oak"})),
        ("1.3", lang({"en": "Oak"}), prop({"en": "Oak"})),
        ("1.3", prop(1, unitCode="MTR"), prop(1, unitCode="MTR")),
        ("1.2", prop(1, unitCode="MTR", observedAt="2026-01-01T00:00:00Z"), prop(1)),
        ("1.2", [prop(1), prop(2, datasetId=DATASET)], prop(1)),
    ],
)
def test_entities_fall_back_to_the_version_that_is_asked_for(
    broker: BrokerClient, unique: Unique, receiver: Receiver, version: str, given: Any, expected: Document
) -> None:
    wanted = subscription(receiver.url, ngsildConformance=version, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", wanted).expect(201)
    one = entity(unique.id(), unique.type(), level=given)
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one | {"level": expected}]


@clause("5.8.6", 28)
@pytest.mark.parametrize(("version", "has_scope"), [("1.4", True), ("1.3", False)])
def test_scopes_are_left_out_before_version_1_4(
    broker: BrokerClient, unique: Unique, receiver: Receiver, version: str, has_scope: bool
) -> None:
    given = subscription(receiver.url, ngsildConformance=version, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), scope="/a", level=prop(1))).expect(201)
    assert ("scope" in receiver.next_json()["data"][0]) is has_scope


@clause("5.8.6", 28)
def test_before_version_1_3_an_entity_has_one_type(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, ngsildConformance="1.2", entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), [unique.type(), unique.type("Other")], level=prop(1))).expect(201)
    assert receiver.next_json()["data"][0]["type"] in (unique.type(), unique.type("Other"))


@clause("5.8.6", 28)
def test_a_list_relationship_falls_back_to_a_relationship(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(receiver.url, ngsildConformance="1.7", entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), of=list_rel(["urn:ngsi-ld:A:1"]))).expect(201)
    assert receiver.next_json()["data"][0]["of"]["type"] == "Relationship"


@clause("5.2.12", 19)
@clause("5.8.6", 11)
@pytest.mark.parametrize(
    ("datasets", "shown"),
    [
        ([DATASET], {"level": prop(2, datasetId=DATASET)}),
        (["@none"], {"level": prop(1), "name": prop("a")}),
        (["urn:ngsi-ld:Dataset:none"], {}),
    ],
)
def test_only_instances_of_the_named_datasets_are_notified(
    broker: BrokerClient, unique: Unique, receiver: Receiver, datasets: list[str], shown: Document
) -> None:
    given = subscription(receiver.url, datasetId=datasets, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=[prop(1), prop(2, datasetId=DATASET)], name=prop("a"))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], **shown)]


@clause("5.2.12", 20)
def test_texts_are_notified_in_the_language_that_is_asked_for(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    broker.post("/subscriptions", subscription(receiver.url, lang="ja", entities=[{"type": unique.type()}])).expect(201)
    one = entity(unique.id(), unique.type(), name=lang({"en": "Oak", "ja": "ナラ"}))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one | {"name": prop("ナラ", lang="ja")}]


@clause("5.8.6", 30)
@clause("6.3.8", 2)
@clause("5.3.1", 4)
def test_by_default_a_notification_is_json(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    notified = receiver.next()
    assert notified.headers.get_content_type() == JSON
    assert "@context" not in notified.json
    assert notified.json["data"] == [one]


@clause("5.8.6", 30)
@clause("6.3.8", 2, 7)
@clause("5.2.3", 1)
def test_a_notification_as_json_ld_has_its_context_in_the_body(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(level=f"https://example.org/{unique.name('level')}")
    given = subscription(receiver.url, endpoint={"accept": JSON_LD}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given, link=context).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one, link=context).expect(201)
    notified = receiver.next()
    assert notified.headers.get_content_type() == JSON_LD
    assert context in notified.json["@context"]
    assert any("ngsi-ld-core-context" in str(part) for part in notified.json["@context"])
    assert notified.json["data"][0]["level"] == prop(1)


@clause("5.3.1", 4, 5)
@clause("5.8.6", 30)
@clause("6.3.8", 2, 6, 7)
@pytest.mark.parametrize(
    ("receiver_info", "in_body"),
    [
        ({}, True),
        ({"receiverInfo": [{"key": "Prefer", "value": "body=ld+json"}]}, True),
        ({"receiverInfo": [{"key": "Prefer", "value": "body=json"}]}, False),
    ],
)
def test_a_notification_as_geojson(
    broker: BrokerClient, unique: Unique, receiver: Receiver, receiver_info: Document, in_body: bool
) -> None:
    endpoint = {"accept": GEO_JSON, **receiver_info}
    broker.post("/subscriptions", subscription(receiver.url, endpoint=endpoint, entities=[{"type": unique.type()}]))
    one = entity(unique.id(), unique.type(), location=geo("Point", [1, 2]), level=prop(1))
    broker.post("/entities", one).expect(201)
    notified = receiver.next()
    data = notified.json["data"]
    assert notified.headers.get_content_type() == GEO_JSON
    assert data["type"] == "FeatureCollection"
    assert [(each["id"], each["type"], each["geometry"]) for each in data["features"]] == [
        (one["id"], "Feature", {"type": "Point", "coordinates": [1, 2]})
    ]
    assert data["features"][0]["properties"]["level"] == prop(1)
    assert ("@context" in data) is in_body
    assert ("json-ld#context" in notified.headers.get("Link", "")) is not in_body
