"""5.8.2 Update Subscription, 6.11.3.2 PATCH /subscriptions/{subscriptionId}."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, seconds_from_now, subscription
from conformance.servers import DocumentServer, Receiver, eventually

NOWHERE = "http://127.0.0.1:9/notify"
NULL = "urn:ngsi-ld:null"


@clause("5.8.2.4", 1)
@clause("6.11.3.2", 1)
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient) -> None:
    broker.patch("/subscriptions/nonsense", {"description": "new"}).expect_problem("BadRequestData")


@clause("5.8.2.4", 2)
@clause("6.11.3.2", 1)
def test_an_unknown_subscription_cannot_be_updated(broker: BrokerClient, unique: Unique) -> None:
    unknown = unique.id("Subscription")
    broker.patch(f"/subscriptions/{unknown}", {"description": "new"}).expect_problem("ResourceNotFound")
    broker.get(f"/subscriptions/{unknown}").expect_problem("ResourceNotFound")


@clause("5.8.2.4", 3)
@clause("6.11.3.2", 1)
@pytest.mark.parametrize(
    "fragment",
    [
        {"type": "Entity"},
        {"id": "urn:ngsi-ld:Subscription:another"},
        {"entities": []},
        {"entities": [{"id": "urn:ngsi-ld:Car:1"}]},
        {"watchedAttributes": []},
        {"notificationTrigger": ["never"]},
        {"q": "speed>"},
        {"geoQ": {"georel": "within"}},
        {"scopeQ": 1},
        {"isActive": "no"},
        {"throttling": 0},
        {"timeInterval": -1},
        {"expiresAt": "soon"},
        {"notification": {"format": "concise"}},
        {"notification": {"endpoint": {"uri": "nonsense"}}},
        {"notification": NULL},
        {"entities": NULL},
        {"description": "changed", "throttling": "often"},
    ],
)
def test_a_fragment_outside_the_data_type_changes_nothing(
    broker: BrokerClient, unique: Unique, fragment: dict[str, Any]
) -> None:
    location = f"/subscriptions/{unique.id('Subscription')}"
    given = subscription(NOWHERE, id=location[15:], entities=[{"type": unique.type()}], description="as it was")
    broker.post("/subscriptions", given).expect(201)
    before = broker.get(location).expect(200).json
    broker.patch(location, fragment).expect_problem("BadRequestData")
    assert broker.get(location).expect(200).json == before


@clause("5.8.2.4", 3)
@clause("6.11.3.2", 1)
@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"'])
def test_a_body_that_is_no_json_object_is_refused(broker: BrokerClient, unique: Unique, body: bytes) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, body).expect_problem("InvalidRequest", "BadRequestData")


@clause("5.8.2.4", 7)
@clause("6.11.3.2", 1)
def test_members_are_added_and_replaced_and_the_others_stay(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}], q="a==1", description="one")
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    before = broker.get(location).expect(200).json
    broker.patch(location, {"description": "two", "throttling": 5}).expect(204)
    assert broker.get(location).expect(200).json == before | {"description": "two", "throttling": 5}


@clause("5.8.2.4", 7)
def test_an_array_is_replaced_as_a_whole(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, watchedAttributes=[unique.name("a"), unique.name("b")])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, {"watchedAttributes": [unique.name("c")]}).expect(204)
    assert broker.get(location).expect(200).json["watchedAttributes"] == [unique.name("c")]


@clause("5.8.2.4", 7)
@pytest.mark.parametrize("member", ["q", "description", "throttling", "watchedAttributes", "expiresAt", "scopeQ"])
def test_an_ngsi_ld_null_removes_a_member(broker: BrokerClient, unique: Unique, member: str) -> None:
    given = subscription(
        NOWHERE,
        entities=[{"type": unique.type()}],
        q="a==1",
        description="text",
        throttling=5,
        watchedAttributes=["a"],
        expiresAt="2090-01-01T00:00:00Z",
        scopeQ="/a",
    )
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    before = broker.get(location).expect(200).json
    broker.patch(location, {member: NULL}).expect(204)
    assert broker.get(location).expect(200).json == {name: before[name] for name in before if name != member}


@clause("5.8.2.4", 7)
def test_an_update_may_repeat_id_and_type(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    fragment = {"id": given["id"], "type": "Subscription", "description": "new"}
    broker.patch(f"/subscriptions/{given['id']}", fragment).expect(204)
    assert broker.get(f"/subscriptions/{given['id']}").expect(200).json["description"] == "new"


@clause("5.8.2.4", 7)
def test_notifications_follow_the_new_condition(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], q="level>100")
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(location, {"q": "level<100"}).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(200)}).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"level": prop(2)}]


@clause("5.8.2.4", 7)
def test_notifications_go_to_the_new_endpoint(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, {"notification": {"endpoint": {"uri": receiver.url}}}).expect(204)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]


@clause("5.8.2.4", 4)
def test_names_are_expanded_with_the_context_of_the_update(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(pegel=f"https://example.org/{unique.name('level')}")
    given = subscription(receiver.url, watchedAttributes=[unique.name("other")])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, {"watchedAttributes": ["pegel"]}, link=context).expect(204)
    level = f"https://example.org/{unique.name('level')}"
    assert broker.get(location).expect(200).json["watchedAttributes"] == [level]
    broker.post("/entities", entity(unique.id(), unique.type(), pegel=prop(1))).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), **{level: prop(2)})).expect(201)
    assert receiver.next_json()["data"][0][level] == prop(2)


@clause("5.8.2.4", 5)
def test_a_context_that_cannot_be_retrieved_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    missing = documents.publish_context(level="https://example.org/level")
    documents.withdraw(missing)
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    before = broker.get(location).expect(200).json
    broker.patch(location, {"jsonldContext": missing}).expect_problem("LdContextNotAvailable")
    assert broker.get(location).expect(200).json == before


@clause("5.8.2.4", 6)
@clause("6.11.3.2", 1)
@pytest.mark.parametrize("document", [b"not JSON", {"no": "context"}])
def test_a_context_that_is_invalid_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, document: object
) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    before = broker.get(location).expect(200).json
    broker.patch(location, {"jsonldContext": documents.publish(document)}).expect_problem("BadRequestData")
    assert broker.get(location).expect(200).json == before


@clause("5.8.2.4", 7)
@clause("5.8.6", 15)
def test_a_new_jsonld_context_is_used_from_then_on(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    level = f"https://example.org/{unique.name('level')}"
    context = documents.publish_context(pegel=level)
    location = broker.post("/subscriptions", subscription(receiver.url, watchedAttributes=[level])).header("Location")
    broker.patch(location, {"jsonldContext": context}).expect(204)
    assert broker.get(location).expect(200).json["jsonldContext"] == context
    broker.post("/entities", entity(unique.id(), unique.type(), **{level: prop(1)})).expect(201)
    assert receiver.next_json()["data"][0]["pegel"] == prop(1)


@clause("5.8.2.4", 8, 10)
@clause("5.8.6", 1)
@clause("5.2.12", 12)
def test_a_subscription_is_paused_and_made_active_again(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, {"isActive": False}).expect(204)
    assert broker.get(location).expect(200).json["status"] == "paused"
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    broker.patch(location, {"isActive": True}).expect(204)
    assert broker.get(location).expect(200).json["status"] == "active"
    later = entity(unique.id(), unique.type(), level=prop(2))
    broker.post("/entities", later).expect(201)
    assert receiver.next_json()["data"] == [later]


@clause("5.8.2.4", 8, 10, 11)
def test_only_a_new_expiration_makes_an_expired_subscription_active(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}], expiresAt=seconds_from_now(2))
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    eventually(lambda: broker.get(location).expect(200).json["status"] == "expired")
    for is_active in (False, True):
        broker.patch(location, {"isActive": is_active}).expect(204)
        assert broker.get(location).expect(200).json["status"] == "expired"
    broker.patch(location, {"expiresAt": "2090-01-01T00:00:00Z"}).expect(204)
    assert broker.get(location).expect(200).json["status"] == "active"


@clause("5.8.2.4", 9)
def test_active_with_an_expiration_to_come_makes_an_expired_subscription_active(
    broker: BrokerClient, unique: Unique
) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}], isActive=False, expiresAt=seconds_from_now(2))
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    assert broker.get(location).expect(200).json["status"] == "paused"
    eventually(lambda: broker.get(location).expect(200).json["status"] == "expired")
    broker.patch(location, {"isActive": True, "expiresAt": "2090-01-01T00:00:00Z"}).expect(204)
    assert broker.get(location).expect(200).json["status"] == "active"


@clause("5.8.2.4", 11)
def test_a_new_expiration_alone_leaves_a_paused_subscription_paused(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}], isActive=False)
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.patch(location, {"expiresAt": "2090-01-01T00:00:00Z"}).expect(204)
    shown = broker.get(location).expect(200).json
    assert (shown["status"], shown["expiresAt"]) == ("paused", "2090-01-01T00:00:00Z")


@clause("5.8.2.4", 12)
@clause("6.11.3.2", 1)
@pytest.mark.parametrize("members", [{}, {"isActive": True}, {"isActive": False}])
def test_an_expiration_in_the_past_is_refused(broker: BrokerClient, unique: Unique, members: dict[str, bool]) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    before = broker.get(location).expect(200).json
    past = {"expiresAt": "2020-01-01T00:00:00Z"}
    broker.patch(location, past | members).expect_problem("BadRequestData")
    assert broker.get(location).expect(200).json == before
