"""5.4 NGSI-LD Fragments: of entities, attributes and subscriptions."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, prop, rel

NULL: Final = "urn:ngsi-ld:null"
OPERATIONS: Final = [
    ("PATCH", "/entities/{id}"),
    ("PATCH", "/entities/{id}/attrs"),
    ("POST", "/entities/{id}/attrs"),
]


@clause("5.4", 1, 4)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_fragment_needs_neither_id_nor_type(broker: BrokerClient, unique: Unique, method: str, path: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    fragment = {"speed": prop(2), "owner": rel("urn:a:b")}
    broker.request(method, path.format(id=one["id"]), fragment).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, **fragment})


@clause("5.4", 2, 3)
@pytest.mark.parametrize(("method", "path"), [*OPERATIONS, ("PUT", "/entities/{id}")])
def test_a_fragment_may_repeat_id_and_type(broker: BrokerClient, unique: Unique, method: str, path: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.request(method, path.format(id=one["id"]), {**one, "speed": prop(2)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.4", 3)
def test_a_fragment_may_repeat_all_types_in_any_order(broker: BrokerClient, unique: Unique) -> None:
    types = [unique.type("Building"), unique.type("Shelter")]
    one = entity(unique.id(), types, speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"type": types[::-1], "speed": prop(2)}).expect(204)
    stored = broker.get(f"/entities/{one['id']}").json
    assert sorted(stored.pop("type")) == sorted(types)
    assert stored == {"id": one["id"], "speed": prop(2)}


@clause("5.4", 2)
@pytest.mark.parametrize(("method", "path"), [*OPERATIONS, ("PUT", "/entities/{id}")])
def test_a_fragment_with_the_id_of_another_entity_changes_neither(
    broker: BrokerClient, unique: Unique, method: str, path: str
) -> None:
    one, other = (entity(unique.id(), unique.type(), speed=prop(1)) for _ in range(2))
    broker.post("/entityOperations/create", [one, other]).expect(201)
    fragment = {**other, "speed": prop(2)}
    broker.request(method, path.format(id=one["id"]), fragment).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get(f"/entities/{other['id']}").expect_json(other)


@clause("5.4", 1, 4, 5)
def test_one_fragment_adds_modifies_and_removes_at_two_depths(broker: BrokerClient, unique: Unique) -> None:
    battery = prop(8, observedAt="2026-03-14T01:51:02Z", providedBy=rel("urn:a:b"), quality=prop("good"))
    one = entity(unique.id(), unique.type(), battery=battery, uncharged=prop(True))
    broker.post("/entities", one).expect(201)
    patch = {"value": 7, "observedAt": "2026-03-14T12:51:02Z", "providedBy": NULL, "accuracy": prop(1)}
    broker.patch(f"/entities/{one['id']}", {"battery": patch, "uncharged": prop(NULL)}).expect(204)
    expected = prop(7, observedAt="2026-03-14T12:51:02Z", quality=prop("good"), accuracy=prop(1))
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], battery=expected))


@clause("5.4", 1, 4, 5)
def test_an_attribute_fragment_adds_modifies_and_removes(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, unitCode="KMH", by=rel("urn:a:b")))
    broker.post("/entities", one).expect(201)
    fragment = {"value": 2, "unitCode": NULL, "by": NULL, "accuracy": prop(1)}
    broker.patch(f"/entities/{one['id']}/attrs/speed", fragment).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2, accuracy=prop(1))})


@clause("5.4", 5)
@pytest.mark.parametrize("path", ["/entities/{id}", "/entities/{id}/attrs"])
def test_a_null_takes_away_the_expiry(broker: BrokerClient, unique: Unique, path: str) -> None:
    one = entity(unique.id(), unique.type(), expiresAt="2099-01-01T00:00:00Z", speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(path.format(id=one["id"]), {"expiresAt": NULL, "speed": prop(2)}).expect(204)
    assert "expiresAt" not in broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json


def _subscription(unique: Unique) -> Document:
    return {
        "id": unique.id("Subscription"),
        "type": "Subscription",
        "subscriptionName": "fast ones",
        "description": "what is fast",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/notify", "accept": "application/json"}},
    }


@clause("5.4", 1, 4, 5)
@clause("5.5.8", 1, 2)
@pytest.mark.parametrize("identified", [False, True], ids=["without id and type", "with id and type"])
def test_a_subscription_fragment_adds_modifies_and_removes(
    broker: BrokerClient, unique: Unique, identified: bool
) -> None:
    one = _subscription(unique)
    broker.post("/subscriptions", one).expect(201)
    fragment: dict[str, Any] = {"id": one["id"], "type": "Subscription"} if identified else {}
    fragment |= {"description": NULL, "subscriptionName": "fast", "q": "speed>50"}
    broker.patch(f"/subscriptions/{one['id']}", fragment).expect(204)
    stored = broker.get(f"/subscriptions/{one['id']}").expect(200).json
    assert "description" not in stored
    assert (stored["subscriptionName"], stored["q"]) == ("fast", "speed>50")
    assert stored["entities"] == one["entities"]


@clause("5.4", 2)
def test_a_subscription_fragment_with_another_id_changes_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = _subscription(unique)
    broker.post("/subscriptions", one).expect(201)
    fragment = {"id": unique.id("Subscription"), "description": "changed"}
    broker.patch(f"/subscriptions/{one['id']}", fragment).expect_problem("BadRequestData")
    assert broker.get(f"/subscriptions/{one['id']}").expect(200).json["description"] == one["description"]
