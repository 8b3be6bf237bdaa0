"""5.8.6 Notification behaviour: how deleted entities and attributes are notified, and what showChanges adds (5.2.14.1)."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, instant, lang, prop, rel, subscription
from conformance.servers import Receiver

NULL = "urn:ngsi-ld:null"
NULL_MAP = {"@none": NULL}
OF_ENTITIES = {"notificationTrigger": ["entityDeleted"]}
OF_ATTRIBUTES = {"notificationTrigger": ["attributeDeleted"]}


@clause("5.8.6", 19)
@pytest.mark.parametrize("notification_format", ["normalized", "concise", "simplified"])
def test_of_a_deleted_entity_only_the_time_of_its_deletion_is_told(
    broker: BrokerClient, unique: Unique, receiver: Receiver, notification_format: str
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), scope="/Tokyo")
    broker.post("/entities", one).expect(201)
    wanted = {"format": notification_format}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}], **OF_ENTITIES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    notified = receiver.next_json()["data"][0]
    assert (notified["id"], notified["type"]) == (one["id"], one["type"])
    assert "deletedAt" in notified
    assert "level" not in notified
    assert "createdAt" not in notified


@clause("5.8.6", 20)
def test_with_sys_attrs_all_times_of_a_deleted_entity_are_told(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    wanted = {"sysAttrs": True}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}], **OF_ENTITIES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    notified = receiver.next_json()["data"][0]
    assert {"createdAt", "modifiedAt", "deletedAt"} <= notified.keys()
    assert instant(notified["createdAt"]) <= instant(notified["modifiedAt"]) <= instant(notified["deletedAt"])
    assert "level" not in notified


@clause("5.8.6", 19)
@clause("5.2.14.1", 8)
def test_with_show_changes_a_deleted_entity_shows_what_it_had(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), by=rel("urn:ngsi-ld:Sensor:1"))
    broker.post("/entities", one).expect(201)
    wanted = {"showChanges": True}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}], **OF_ENTITIES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    notified = receiver.next_json()["data"][0]
    assert "deletedAt" in notified
    assert notified["level"]["previousValue"] == 1
    assert notified["by"]["previousObject"] == "urn:ngsi-ld:Sensor:1"


@clause("5.8.6", 21)
@pytest.mark.parametrize(
    ("attribute", "null"),
    [
        (prop(1), prop(NULL)),
        (prop({"height": 1}, unitCode="MTR"), prop(NULL)),
        (rel("urn:ngsi-ld:Sensor:1"), rel(NULL)),
        (lang({"en": "Oak", "ja": "ナラ"}), lang(NULL_MAP)),
    ],
)
def test_a_deleted_attribute_is_told_as_a_null(
    broker: BrokerClient, unique: Unique, receiver: Receiver, attribute: Document, null: Document
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("a"), gone=attribute)
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], **OF_ATTRIBUTES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/gone").expect(204)
    notified = receiver.next_json()["data"][0]
    assert notified["name"] == prop("a")
    assert notified["gone"] in (NULL, null)


@clause("5.8.6", 21)
@pytest.mark.parametrize("notification_format", ["concise", "simplified", "keyValues"])
@pytest.mark.parametrize("attribute", [prop(1, unitCode="MTR"), rel("urn:ngsi-ld:Sensor:1")])
def test_a_deleted_attribute_is_only_a_null_in_the_shorter_formats(
    broker: BrokerClient, unique: Unique, receiver: Receiver, attribute: Document, notification_format: str
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("a"), gone=attribute)
    broker.post("/entities", one).expect(201)
    wanted = {"format": notification_format}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}], **OF_ATTRIBUTES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/gone").expect(204)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], name="a", gone=NULL)]


@clause("5.8.6", 21)
def test_an_attribute_that_an_update_sets_to_null_is_told_as_deleted(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("a"), gone=prop(1))
    broker.post("/entities", one).expect(201)
    given = subscription(
        receiver.url, notification={"format": "concise"}, entities=[{"type": unique.type()}], **OF_ATTRIBUTES
    )
    broker.post("/subscriptions", given).expect(201)
    broker.patch(f"/entities/{one['id']}", {"gone": prop(NULL)}).expect(204)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], name="a", gone=NULL)]


@clause("5.8.6", 21)
def test_with_sys_attrs_the_times_of_a_deleted_attribute_are_told(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("a"), gone=prop(1))
    broker.post("/entities", one).expect(201)
    wanted = {"sysAttrs": True}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}], **OF_ATTRIBUTES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/gone").expect(204)
    gone = receiver.next_json()["data"][0]["gone"]
    assert gone["value"] == NULL
    assert instant(gone["createdAt"]) <= instant(gone["modifiedAt"]) <= instant(gone["deletedAt"])


@clause("5.8.6", 21)
def test_a_deleted_instance_is_told_with_its_dataset(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    dataset = "urn:ngsi-ld:Dataset:gps"
    one = entity(unique.id(), unique.type(), level=[prop(1), prop(2, datasetId=dataset)])
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], **OF_ATTRIBUTES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/level", {"datasetId": dataset}).expect(204)
    level = receiver.next_json()["data"][0]["level"]
    assert prop(NULL, datasetId=dataset) in level
    assert prop(1) in level


@clause("5.2.14.1", 8)
@clause("5.8.6", 21)
@pytest.mark.parametrize(
    ("attribute", "null", "previous"),
    [
        (prop(1), {"value": NULL}, {"previousValue": 1}),
        (rel("urn:ngsi-ld:Sensor:1"), {"object": NULL}, {"previousObject": "urn:ngsi-ld:Sensor:1"}),
        (lang({"en": "Oak"}), {"languageMap": NULL_MAP}, {"previousLanguageMap": {"en": "Oak"}}),
    ],
)
def test_with_show_changes_a_deleted_attribute_shows_what_it_was(
    broker: BrokerClient, unique: Unique, receiver: Receiver, attribute: Document, null: Document, previous: Document
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("a"), gone=attribute)
    broker.post("/entities", one).expect(201)
    wanted = {"showChanges": True}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}], **OF_ATTRIBUTES)
    broker.post("/subscriptions", given).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/gone").expect(204)
    notified = receiver.next_json()["data"][0]
    assert notified["gone"] == {"type": attribute["type"], **null, **previous}
    assert notified["name"] == prop("a")


@clause("5.2.14.1", 8)
@pytest.mark.parametrize(
    ("before", "after", "previous"),
    [
        (prop(1), prop(2), {"previousValue": 1}),
        (prop(1, unitCode="MTR"), prop({"a": [1]}), {"previousValue": 1}),
        (rel("urn:ngsi-ld:Sensor:1"), rel("urn:ngsi-ld:Sensor:2"), {"previousObject": "urn:ngsi-ld:Sensor:1"}),
        (lang({"en": "Oak"}), lang({"en": "Elm"}), {"previousLanguageMap": {"en": "Oak"}}),
    ],
)
def test_with_show_changes_a_modified_attribute_shows_what_it_was(
    broker: BrokerClient, unique: Unique, receiver: Receiver, before: Document, after: Document, previous: Document
) -> None:
    given = subscription(receiver.url, notification={"showChanges": True}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), name=prop("a"), changed=before)
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]
    broker.post(f"/entities/{one['id']}/attrs", {"changed": after}).expect(204)
    assert receiver.next_json()["data"] == [one | {"changed": after | previous}]


@clause("5.2.14.1", 8)
def test_without_show_changes_nothing_previous_is_shown(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one: dict[str, Any] = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"level": prop(2)}]
