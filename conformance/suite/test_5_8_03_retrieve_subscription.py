"""5.8.3 Retrieve Subscription (6.11.3.1) and 5.8.5 Delete Subscription (6.11.3.3)."""

from collections.abc import Callable

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, subscription
from conformance.servers import DocumentServer, Receiver

NOWHERE = "http://127.0.0.1:9/notify"


@clause("5.8.3.4", 1)
@clause("6.11.3.1", 1)
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient) -> None:
    broker.get("/subscriptions/nonsense").expect_problem("BadRequestData")


@clause("5.8.3.4", 2)
@clause("6.11.3.1", 1)
def test_an_unknown_subscription_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.get(f"/subscriptions/{unique.id('Subscription')}").expect_problem("ResourceNotFound")


@clause("5.8.3.4", 3)
@clause("6.11.3.1", 1)
def test_names_are_compacted_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Tank="https://example.org/Tank", level="https://example.org/level")
    given = subscription(
        NOWHERE,
        entities=[{"type": "Tank"}],
        watchedAttributes=["level"],
        notification={"attributes": ["level"]},
    )
    location = broker.post("/subscriptions", given, link=context).expect(201).header("Location")
    plain = broker.get(location).expect(200).json
    assert plain["entities"] == [{"type": "https://example.org/Tank"}]
    assert plain["watchedAttributes"] == plain["notification"]["attributes"] == ["https://example.org/level"]
    compacted = broker.get(location, link=context).expect(200).json
    assert compacted["entities"] == [{"type": "Tank"}]
    assert compacted["watchedAttributes"] == compacted["notification"]["attributes"] == ["level"]


@clause("6.11.3.1", 1)
def test_a_subscription_is_json_with_a_link_or_json_ld_with_its_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(level="https://example.org/level")
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    plain = broker.get(location, link=context, accept=JSON).expect(200)
    assert plain.media_type == JSON
    assert plain.link("http://www.w3.org/ns/json-ld#context") == context
    assert "@context" not in plain.json
    linked = broker.get(location, link=context, accept=JSON_LD).expect(200)
    assert linked.media_type == JSON_LD
    assert context in linked.json["@context"]


@clause("5.8.5.4", 1)
@clause("6.11.3.3", 1)
def test_a_subscription_is_not_deleted_by_an_id_that_is_no_uri(broker: BrokerClient) -> None:
    broker.delete("/subscriptions/nonsense").expect_problem("BadRequestData")


@clause("5.8.5.4", 2)
@clause("6.11.3.3", 1)
def test_an_unknown_subscription_cannot_be_deleted(broker: BrokerClient, unique: Unique) -> None:
    broker.delete(f"/subscriptions/{unique.id('Subscription')}").expect_problem("ResourceNotFound")


@clause("5.8.5.4", 2, 3)
@clause("6.11.3.3", 1)
def test_a_deleted_subscription_is_gone(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    assert broker.delete(location).expect(204).body == b""
    broker.get(location).expect_problem("ResourceNotFound")
    broker.delete(location).expect_problem("ResourceNotFound")
    broker.post("/subscriptions", given).expect(201)


@clause("5.8.5.4", 3)
def test_a_deleted_subscription_notifies_no_more(
    broker: BrokerClient, unique: Unique, receiver: Receiver, new_receiver: Callable[[], Receiver]
) -> None:
    other = new_receiver()
    for url in (receiver.url, other.url):
        broker.post("/subscriptions", subscription(url, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    ended = receiver.next_json()["subscriptionId"]
    other.next()
    broker.delete(f"/subscriptions/{ended}").expect(204)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(2))).expect(201)
    other.next()
    receiver.expect_silence(0.3)
