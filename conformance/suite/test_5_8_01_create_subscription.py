"""5.8.1 Create Subscription, 6.10.3.1 POST /subscriptions."""

import json
from urllib.request import urlopen

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, instant, prop, seconds_from_now, subscription
from conformance.servers import PATIENCE, DocumentServer, Receiver, eventually

NOWHERE = "http://127.0.0.1:9/notify"


@clause("5.8.1.4", 4)
@clause("6.10.3.1", 1, 2)
def test_a_created_subscription_is_found_at_its_location(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    answer = broker.post("/subscriptions", given).expect(201)
    assert answer.header("Location").endswith(f"/ngsi-ld/v1/subscriptions/{given['id']}")
    shown = broker.get(answer.header("Location")).expect(200).json
    assert {member: shown[member] for member in given} == given


@clause("5.8.1.4", 4)
def test_creating_a_subscription_does_not_notify_what_was_there_before(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    after = entity(unique.id(), unique.type(), level=prop(2))
    broker.post("/entities", after).expect(201)
    assert receiver.next_json()["data"] == [after]


@clause("5.8.1.4", 2)
@clause("6.10.3.1", 1)
def test_an_id_that_is_known_already_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}], description="one")
    broker.post("/subscriptions", given).expect(201)
    broker.post("/subscriptions", {**given, "description": "other"}).expect_problem("AlreadyExists")
    assert broker.get(f"/subscriptions/{given['id']}").expect(200).json["description"] == "one"


@clause("5.8.1.4", 3)
@clause("6.10.3.1", 2)
def test_an_id_is_generated_where_none_is_given(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    first, second = (broker.post("/subscriptions", given).expect(201).header("Location") for _ in range(2))
    assert first != second
    shown = broker.get(first).expect(200).json
    assert ":" in shown["id"]
    assert first.endswith(f"/subscriptions/{shown['id']}")


@clause("5.8.1.4", 5)
def test_the_expiration_is_what_was_given(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}], expiresAt="2090-01-02T03:04:05Z")
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    shown = broker.get(location).expect(200).json
    assert instant(shown["expiresAt"]) == instant("2090-01-02T03:04:05Z")
    assert shown["status"] == "active"


@clause("5.8.1.4", 6)
@clause("6.10.3.1", 1)
def test_an_expiration_in_the_past_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", {**given, "expiresAt": "2020-01-01T00:00:00Z"}).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.8.1.4", 7)
def test_without_an_expiration_a_subscription_lasts(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    shown = broker.get(broker.post("/subscriptions", given).expect(201).header("Location")).expect(200).json
    assert "expiresAt" not in shown


@clause("5.8.1.4", 8, 9)
@pytest.mark.parametrize(
    ("members", "status"), [({}, "active"), ({"isActive": True}, "active"), ({"isActive": False}, "paused")]
)
def test_the_initial_status(broker: BrokerClient, unique: Unique, members: dict[str, bool], status: str) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}], **members)
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    assert broker.get(location).expect(200).json["status"] == status


@clause("5.8.1.4", 21)
@clause("5.8.6", 1)
def test_an_expired_subscription_says_so_and_notifies_no_more(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], expiresAt=seconds_from_now(2))
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    eventually(lambda: broker.get(location).expect(200).json["status"] == "expired")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    broker.patch(location, {"expiresAt": "2090-01-01T00:00:00Z"}).expect(204)
    later = entity(unique.id(), unique.type(), level=prop(2))
    broker.post("/entities", later).expect(201)
    assert receiver.next_json()["data"] == [later]


@clause("5.8.1.4", 13)
@clause("5.8.6", 15)
@clause("6.3.8", 3)
def test_notifications_use_the_context_that_jsonld_context_names(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    written = documents.publish_context(level="https://example.org/level", Tank=f"https://example.org/{unique.type()}")
    read = documents.publish_context(pegel="https://example.org/level", Behälter=f"https://example.org/{unique.type()}")
    given = subscription(receiver.url, entities=[{"type": "Tank"}], watchedAttributes=["level"], jsonldContext=read)
    location = broker.post("/subscriptions", given, link=written).expect(201).header("Location")
    assert broker.get(location).expect(200).json["jsonldContext"] == read
    one = entity(unique.id(), "Tank", level=prop(1))
    broker.post("/entities", one, link=written).expect(201)
    notified = receiver.next()
    assert notified.json["data"] == [entity(one["id"], "Behälter", pegel=prop(1))]
    assert f"<{read}>" in notified.headers["Link"]


@clause("5.8.1.4", 14)
@clause("5.2.12", 13)
def test_the_context_of_the_subscription_becomes_its_jsonld_context(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(level="https://example.org/level", Tank=f"https://example.org/{unique.type()}")
    given = subscription(receiver.url, entities=[{"type": "Tank"}])
    location = broker.post("/subscriptions", given, link=context).expect(201).header("Location")
    assert broker.get(location).expect(200).json["jsonldContext"] == context
    one = entity(unique.id(), f"https://example.org/{unique.type()}", **{"https://example.org/level": prop(1)})
    broker.post("/entities", one).expect(201)
    notified = receiver.next()
    assert notified.json["data"] == [entity(one["id"], "Tank", level=prop(1))]
    assert f"<{context}>" in notified.headers["Link"]


@clause("5.8.1.4", 14)
@clause("5.13.1", 5)
def test_a_context_in_the_subscription_itself_is_served_to_its_receiver(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    terms = {"level": "https://example.org/level", "Tank": f"https://example.org/{unique.type()}"}
    given = subscription(receiver.url, entities=[{"type": "Tank"}], watchedAttributes=["level"])
    broker.post("/subscriptions", {**given, "@context": [terms]}).expect(201)
    one = entity(unique.id(), "Tank", level=prop(1))
    broker.post("/entities", {**one, "@context": terms}).expect(201)
    notified = receiver.next()
    assert notified.json["data"] == [one]
    with urlopen(notified.headers["Link"].partition("<")[2].partition(">")[0], timeout=PATIENCE) as served:
        assert terms in json.load(served)["@context"]


@clause("5.8.1.4", 15)
def test_a_context_that_cannot_be_retrieved_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    missing = documents.publish_context(level="https://example.org/level")
    documents.withdraw(missing)
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", {**given, "jsonldContext": missing}).expect_problem("LdContextNotAvailable")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.8.1.4", 16)
@clause("6.10.3.1", 1)
@pytest.mark.parametrize("document", [b"not JSON", {"no": "context"}, {"@context": {"level": {"@id": 7}}}])
def test_a_context_that_is_invalid_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, document: object
) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    given["jsonldContext"] = documents.publish(document)
    broker.post("/subscriptions", given).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.8.1.4", 1)
@clause("6.10.3.1", 1)
@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"'])
def test_a_body_that_is_no_json_object_is_refused(broker: BrokerClient, body: bytes) -> None:
    broker.post("/subscriptions", body).expect_problem("InvalidRequest", "BadRequestData")
