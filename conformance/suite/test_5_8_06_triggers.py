"""5.8.6 Notification behaviour, 5.8.1.4 and 5.2.12: which changes of which entities notify."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, prop, subscription
from conformance.servers import Receiver


@clause("5.8.1.4", 11, 19)
@clause("5.8.6", 6)
def test_only_changes_of_watched_attributes_notify(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], watchedAttributes=["level"])
    broker.post("/subscriptions", given).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"name": prop("b")}).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"level": prop(2), "name": prop("b")}]


@clause("5.8.1.4", 12)
@clause("5.8.6", 8)
def test_without_watched_attributes_every_change_notifies(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]
    broker.patch(f"/entities/{one['id']}/attrs", {"name": prop("b")}).expect(204)
    assert receiver.next_json()["data"] == [one | {"name": prop("b")}]
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"name": prop("b"), "level": prop(2)}]


@clause("5.8.1.4", 11)
def test_without_entities_all_that_have_a_watched_attribute_are_subscribed(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    level = unique.name("level")
    given = subscription(receiver.url, watchedAttributes=[unique.name("depth"), level])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type("Well"), name=prop("a"))).expect(201)
    for one in (
        entity(unique.id(), unique.type("Well"), **{level: prop(1)}),
        entity(unique.id(), unique.type("Tank"), **{level: prop(2)}),
    ):
        broker.post("/entities", one).expect(201)
        assert receiver.next_json()["data"] == [one]


@clause("5.8.6", 6)
@pytest.mark.parametrize(
    "members",
    [
        {"unitCode": "CMT"},
        {"observedAt": "2026-01-01T00:00:01Z"},
        {"accuracy": prop(2)},
        {"accuracy": prop(1, note=prop("b"))},
        {"by": {"type": "Relationship", "object": "urn:ngsi-ld:Sensor:2"}},
    ],
)
def test_a_change_of_a_member_of_an_attribute_is_a_change_of_it(
    broker: BrokerClient, unique: Unique, receiver: Receiver, members: Document
) -> None:
    before = prop(1, unitCode="MTR", observedAt="2026-01-01T00:00:00Z", accuracy=prop(1, note=prop("a")))
    one = entity(unique.id(), unique.type(), level=before)
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], watchedAttributes=["level"])
    broker.post("/subscriptions", given).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": before | members}).expect(204)
    assert receiver.next_json()["data"] == [one | {"level": before | members}]


@clause("5.8.6", 9)
def test_a_write_of_the_same_value_is_no_change(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1, unitCode="MTR"))
    broker.post("/entities", one).expect(201)
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(1, unitCode="MTR")}).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"level": prop(2)}]


@clause("5.2.12", 5)
def test_by_default_deleted_attributes_do_not_notify(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/name").expect(204)
    broker.post(f"/entities/{one['id']}/attrs", {"depth": prop(9)}).expect(204)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], level=prop(1), depth=prop(9))]
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [entity(one["id"], one["type"], level=prop(2), depth=prop(9))]


@clause("5.2.12", 4)
@pytest.mark.parametrize(
    ("trigger", "shown"),
    [
        ("attributeCreated", {"level": prop(1), "name": prop("a"), "depth": prop(9)}),
        ("attributeUpdated", {"level": prop(2), "name": prop("a"), "depth": prop(9)}),
        ("attributeDeleted", {"level": prop(2), "depth": prop(9), "name": "urn:ngsi-ld:null"}),
    ],
)
def test_attribute_triggers(
    broker: BrokerClient, unique: Unique, receiver: Receiver, trigger: str, shown: Document
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=[trigger])
    broker.post("/subscriptions", given).expect(201)
    if trigger != "attributeCreated":
        broker.patch(f"/entities/{one['id']}/attrs", {"depth": prop(9)})
    broker.post(f"/entities/{one['id']}/attrs", {"depth": prop(9)}).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    broker.delete(f"/entities/{one['id']}/attrs/name").expect(204)
    assert _with_plain_nulls(receiver.next_json()["data"][0]) == entity(one["id"], one["type"], **shown)


@clause("5.2.12", 6)
def test_entity_updated_stands_for_all_attribute_triggers(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=["entityUpdated"])
    broker.post("/subscriptions", given).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"depth": prop(9)}).expect(204)
    assert receiver.next_json()["data"][0]["depth"] == prop(9)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"][0]["level"] == prop(2)
    broker.delete(f"/entities/{one['id']}/attrs/depth").expect(204)
    assert "urn:ngsi-ld:null" in str(receiver.next_json()["data"][0]["depth"])


@clause("5.2.12", 4)
def test_entity_created_is_no_update(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=["entityCreated"])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    broker.delete(f"/entities/{one['id']}").expect(204)
    broker.post("/entities", one | {"level": prop(3)}).expect(201)
    assert receiver.next_json()["data"] == [one | {"level": prop(3)}]


@clause("5.2.12", 4)
def test_entity_deleted_is_nothing_else(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], notificationTrigger=["entityDeleted"])
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    broker.delete(f"/entities/{one['id']}/attrs/name").expect(204)
    broker.delete(f"/entities/{one['id']}").expect(204)
    notified = receiver.next_json()["data"][0]
    assert notified["id"] == one["id"]
    assert "deletedAt" in notified


@clause("5.8.1.4", 10)
@pytest.mark.parametrize("many", [False, True])
def test_entities_are_subscribed_by_id(broker: BrokerClient, unique: Unique, receiver: Receiver, many: bool) -> None:
    others, ids = [unique.id(), unique.id()], [unique.id(), unique.id()]
    selectors = [{"type": unique.type(), "id": ids}] if many else [{"type": unique.type(), "id": each} for each in ids]
    broker.post("/subscriptions", subscription(receiver.url, entities=selectors)).expect(201)
    for entity_id in others:
        broker.post("/entities", entity(entity_id, unique.type(), level=prop(1))).expect(201)
    for entity_id in ids:
        one = entity(entity_id, unique.type(), level=prop(1))
        broker.post("/entities", one).expect(201)
        assert receiver.next_json()["data"] == [one]


@clause("5.8.1.4", 10)
def test_entities_are_subscribed_by_pattern(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    selector = {"type": unique.type(), "idPattern": f"^urn:ngsi-ld:Well:{unique.name('')}:.*"}
    broker.post("/subscriptions", subscription(receiver.url, entities=[selector])).expect(201)
    broker.post("/entities", entity(unique.id("Tank"), unique.type(), level=prop(1))).expect(201)
    one = entity(unique.id("Well"), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]


@clause("5.8.1.4", 10)
@pytest.mark.parametrize(
    ("selection", "others", "chosen"),
    [
        ("{0}", [["{1}"], ["{2}"]], ["{0}"]),
        ("{0}|{1}", [["{2}"]], ["{1}"]),
        ("({0};{1})", [["{0}"], ["{1}"]], ["{0}", "{1}"]),
        ("({0};{1})|{2}", [["{0}"]], ["{2}"]),
    ],
)
def test_entities_are_subscribed_by_types(
    broker: BrokerClient, unique: Unique, receiver: Receiver, selection: str, others: list[list[str]], chosen: list[str]
) -> None:
    types = [unique.type(name) for name in ("Well", "Tank", "Pond")]
    given = subscription(receiver.url, entities=[{"type": selection.format(*types)}])
    broker.post("/subscriptions", given).expect(201)
    for names in others:
        other = entity(unique.id(), [name.format(*types) for name in names], level=prop(1))
        broker.post("/entities", other).expect(201)
    one = entity(unique.id(), [name.format(*types) for name in chosen], level=prop(1))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"][0]["id"] == one["id"]


@clause("5.8.1.4", 10)
def test_any_of_several_selectors_is_enough(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    selectors = [{"type": unique.type("Well")}, {"type": unique.type("Tank"), "idPattern": ".*Tank:.*"}]
    broker.post("/subscriptions", subscription(receiver.url, entities=selectors)).expect(201)
    broker.post("/entities", entity(unique.id("Pond"), unique.type("Tank"), level=prop(1))).expect(201)
    for one in (
        entity(unique.id("Pond"), unique.type("Well"), level=prop(1)),
        entity(unique.id("Tank"), unique.type("Tank"), level=prop(1)),
    ):
        broker.post("/entities", one).expect(201)
        assert receiver.next_json()["data"] == [one]


@clause("5.8.1.4", 10)
def test_the_type_may_be_any(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    level = unique.name("level")
    given = subscription(receiver.url, entities=[{"type": "*"}], watchedAttributes=[level], localOnly=True)
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), **{level: prop(1)})
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]


@clause("5.8.6", 8)
def test_every_entity_of_a_batch_is_notified(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    batch = [entity(unique.id(), unique.type(), level=prop(number)) for number in range(3)]
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entityOperations/create", batch).expect(201)
    notified: dict[str, Document] = {}
    while len(notified) < len(batch):
        notified |= {one["id"]: one for one in receiver.next_json()["data"]}
    assert notified == {one["id"]: one for one in batch}


def _with_plain_nulls(shown: Document) -> Document:
    """A deleted attribute may be told by the NGSI-LD Null alone or by an attribute that has it as its value."""
    null = "urn:ngsi-ld:null"
    return {name: null if value in (null, prop(null)) else value for name, value in shown.items()}
