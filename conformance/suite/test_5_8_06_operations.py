"""5.8.6 Notification behaviour: whichever operation changes an entity, its change is notified."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, prop, rel, subscription
from conformance.servers import Receiver

NULL = "urn:ngsi-ld:null"
WHOLE = {"id": "{id}", "type": "{type}", "level": prop(2)}


@clause("5.8.6", 6, 8)
@clause("5.8.1.4", 19)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/entities/{id}/attrs", {"level": prop(2)}),
        ("PATCH", "/entities/{id}/attrs", {"level": prop(2)}),
        ("PATCH", "/entities/{id}/attrs/level", {"value": 2}),
        ("PUT", "/entities/{id}/attrs/level", prop(2)),
        ("PATCH", "/entities/{id}", {"level": {"value": 2}}),
        ("PUT", "/entities/{id}", WHOLE),
        ("POST", "/entityOperations/upsert", [WHOLE]),
        ("POST", "/entityOperations/upsert?options=update", [WHOLE]),
        ("POST", "/entityOperations/update", [WHOLE]),
        ("POST", "/entityOperations/merge", [WHOLE]),
    ],
)
def test_every_operation_that_updates_an_attribute_notifies(
    broker: BrokerClient, unique: Unique, receiver: Receiver, method: str, path: str, body: Any
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=["attributeUpdated"])
    broker.post("/subscriptions", given).expect(201)
    broker.request(method, path.format(**one), _filled(body, one)).expect(201, 204)
    assert receiver.next_json()["data"] == [one | {"level": prop(2)}]


@clause("5.8.6", 6, 8)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/entities", WHOLE),
        ("POST", "/entityOperations/create", [WHOLE]),
        ("POST", "/entityOperations/upsert", [WHOLE]),
    ],
)
def test_every_operation_that_creates_an_entity_notifies(
    broker: BrokerClient, unique: Unique, receiver: Receiver, method: str, path: str, body: Any
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(2))
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=["entityCreated"])
    broker.post("/subscriptions", given).expect(201)
    broker.request(method, path, _filled(body, one)).expect(201)
    assert receiver.next_json()["data"] == [one]


@clause("5.8.6", 21)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/entities/{id}/attrs/name", None),
        ("DELETE", "/entities/{id}/attrs/name?deleteAll=true", None),
        ("PATCH", "/entities/{id}/attrs", {"name": prop(NULL)}),
        ("PATCH", "/entities/{id}", {"name": NULL}),
        ("PUT", "/entities/{id}", WHOLE),
        ("POST", "/entityOperations/upsert", [WHOLE]),
        ("POST", "/entityOperations/merge", [WHOLE | {"name": NULL}]),
    ],
)
def test_every_operation_that_deletes_an_attribute_notifies(
    broker: BrokerClient, unique: Unique, receiver: Receiver, method: str, path: str, body: Any
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(2), name=prop("a"))
    broker.post("/entities", one).expect(201)
    given = subscription(
        receiver.url,
        notification={"format": "concise"},
        entities=[{"type": unique.type()}],
        notificationTrigger=["attributeDeleted"],
    )
    broker.post("/subscriptions", given).expect(201)
    broker.request(method, path.format(**one), _filled(body, one)).expect(201, 204)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], level=2, name=NULL)]


@clause("5.8.6", 19)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/entities/{id}", None),
        ("DELETE", "/entities?type={type}", None),
        ("POST", "/entityOperations/delete", ["{id}"]),
    ],
)
def test_every_operation_that_deletes_an_entity_notifies(
    broker: BrokerClient, unique: Unique, receiver: Receiver, method: str, path: str, body: Any
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(2))
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=["entityDeleted"])
    broker.post("/subscriptions", given).expect(201)
    broker.request(method, path.format(**one), _filled(body, one)).expect(204)
    notified = receiver.next_json()["data"][0]
    assert notified.keys() == {"id", "type", "deletedAt"}
    assert notified["id"] == one["id"]


@clause("5.8.6", 16)
@clause("5.8.1.4", 11)
def test_what_is_watched_and_what_is_shown_are_two_things(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    given = subscription(
        receiver.url,
        notification={"attributes": ["name"]},
        entities=[{"type": unique.type()}],
        watchedAttributes=["level"],
    )
    broker.post("/subscriptions", given).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], name=prop("a"))]


@clause("5.8.6", 22)
@clause("5.2.14.1", 8)
def test_changes_are_shown_in_the_concise_format_too(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    wanted = {"format": "concise", "showChanges": True}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    shown = {"level": {"value": 2, "previousValue": 1}, "name": "a"}
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], **shown)]


@clause("5.8.6", 25, 27)
def test_pick_reaches_into_linked_entities(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    linked = entity(unique.id("Sensor"), unique.type("Sensor"), brand=prop("x"), serial=prop(7))
    broker.post("/entities", linked).expect(201)
    wanted = {"join": "inline", "pick": ["id", "by{brand}"]}
    given = subscription(receiver.url, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1), by=rel(linked["id"], objectType=linked["type"]))
    broker.post("/entities", one).expect(201)
    notified = receiver.next_json()["data"][0]
    assert notified.keys() == {"id", "by"}
    assert notified["by"]["entity"]["brand"] == prop("x")
    assert "serial" not in notified["by"]["entity"]


@clause("5.8.2.4", 7)
@clause("5.8.6", 2)
def test_a_subscription_becomes_periodic_by_an_update(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, {"timeInterval": 0.5}).expect(204)
    for _ in range(2):
        assert receiver.next_json()["data"] == [one]


def _filled(body: Any, one: Document) -> Any:
    """A body with the id and the type of the test's entity in their places."""
    if isinstance(body, dict):
        return {member: _filled(value, one) for member, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, one) for value in body]
    return {"{id}": one["id"], "{type}": one["type"]}.get(body, body) if isinstance(body, str) else body
