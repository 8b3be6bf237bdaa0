"""6.3.8 and 6.3.9: notifications, of entities and of registrations, over HTTP."""

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, prop, subscription
from conformance.servers import DocumentServer, Receiver

CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"
CONTEXT_RELATION = 'rel="http://www.w3.org/ns/json-ld#context"'
HEADERS = [{"key": "Authorization", "value": "Bearer a.b=="}, {"key": "X-Reason", "value": "test, of; headers"}]
NOT_HEADERS = [
    {"key": "no header", "value": "x"},
    {"key": "X:Y", "value": "x"},
    {"key": "", "value": "x"},
    {"key": "X-Two-Lines", "value": "a\r\nX-Injected: b"},
    {"key": "X-Two-Lines", "value": "a\nb"},
]


def registration(unique: Unique) -> Document:
    """A ContextSourceRegistration (5.2.9) for entities of the test's type."""
    return {
        "id": unique.id("ContextSourceRegistration"),
        "type": "ContextSourceRegistration",
        "endpoint": "http://127.0.0.1:9",
        "information": [{"entities": [{"type": unique.type()}]}],
    }


@clause("6.3.8", 1)
@clause("5.8.6", 29)
def test_a_notification_is_posted_to_the_uri_of_the_endpoint(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(f"{receiver.url}/deep%20er?key=a%2Fb&flag", entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    notified = receiver.next()
    assert notified.method == "POST"
    assert notified.path == "/notify/deep%20er?key=a%2Fb&flag"
    assert notified.headers["Host"] in receiver.url


@clause("6.3.8", 3)
def test_a_notification_as_json_names_the_core_context_where_there_is_no_other(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    link = receiver.next().headers["Link"]
    assert link.startswith(f"<{CORE}")
    assert CONTEXT_RELATION in link
    assert 'type="application/ld+json"' in link


@clause("6.3.8", 3)
def test_a_notification_as_json_names_the_context_of_the_subscription(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(level="https://example.org/level")
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given, link=context).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1)), link=context).expect(201)
    link = receiver.next().headers["Link"]
    assert link.startswith(f"<{context}>")
    assert CONTEXT_RELATION in link


@clause("6.3.8", 7)
def test_a_notification_as_json_ld_has_no_link_to_a_context(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(receiver.url, endpoint={"accept": JSON_LD}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    notified = receiver.next()
    assert CONTEXT_RELATION not in notified.headers.get("Link", "")
    assert CORE in str(notified.json["@context"])


@clause("6.3.8", 4)
@clause("5.8.6", 29)
@clause("5.2.15", 1)
def test_receiver_info_becomes_headers(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, endpoint={"receiverInfo": HEADERS}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    notified = receiver.next()
    assert [notified.headers[pair["key"]] for pair in HEADERS] == [pair["value"] for pair in HEADERS]


@clause("6.3.8", 5)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize("pair", NOT_HEADERS)
def test_receiver_info_that_is_no_header_is_refused(broker: BrokerClient, unique: Unique, pair: Document) -> None:
    endpoint = {"receiverInfo": [pair]}
    given = subscription("http://127.0.0.1:9/", endpoint=endpoint, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("6.3.9", 1, 2, 3)
def test_a_notification_of_registrations_is_posted_as_json_with_a_link(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(level="https://example.org/level")
    broker.post("/csourceRegistrations", registration(unique)).expect(201)
    given = subscription(f"{receiver.url}/deeper?key=a%2Fb", entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given, link=context).expect(201)
    notified = receiver.next()
    assert (notified.method, notified.path) == ("POST", "/notify/deeper?key=a%2Fb")
    assert notified.headers.get_content_type() == JSON
    assert notified.headers["Link"].startswith(f"<{context}>")
    assert CONTEXT_RELATION in notified.headers["Link"]
    assert "@context" not in notified.json


@clause("6.3.9", 2)
def test_a_notification_of_registrations_as_json_ld(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    broker.post("/csourceRegistrations", registration(unique)).expect(201)
    given = subscription(receiver.url, endpoint={"accept": JSON_LD}, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    notified = receiver.next()
    assert notified.headers.get_content_type() == JSON_LD
    assert CORE in str(notified.json["@context"])


@clause("6.3.9", 4)
def test_receiver_info_becomes_headers_of_notifications_of_registrations(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    broker.post("/csourceRegistrations", registration(unique)).expect(201)
    given = subscription(receiver.url, endpoint={"receiverInfo": HEADERS}, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    notified = receiver.next()
    assert [notified.headers[pair["key"]] for pair in HEADERS] == [pair["value"] for pair in HEADERS]


@clause("6.3.9", 5)
@pytest.mark.parametrize("pair", NOT_HEADERS)
def test_receiver_info_that_is_no_header_is_refused_for_registrations(
    broker: BrokerClient, unique: Unique, pair: Document
) -> None:
    endpoint = {"receiverInfo": [pair]}
    given = subscription("http://127.0.0.1:9/", endpoint=endpoint, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect_problem("BadRequestData")


@clause("5.3.3", 1)
def test_registrations_that_begin_to_match_are_newly_matching(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    present, created, changed = registration(unique), registration(unique), registration(unique)
    elsewhere = [{"entities": [{"type": unique.type("Other")}]}]
    broker.post("/csourceRegistrations", present).expect(201)
    broker.post("/csourceRegistrations", changed | {"information": elsewhere}).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    assert _told(receiver) == ("newlyMatching", [present["id"]])
    broker.post("/csourceRegistrations", created).expect(201)
    assert _told(receiver) == ("newlyMatching", [created["id"]])
    update = {"information": changed["information"]}
    broker.patch(f"/csourceRegistrations/{changed['id']}", update).expect(204)
    assert _told(receiver) == ("newlyMatching", [changed["id"]])


@clause("5.3.3", 2)
def test_a_registration_that_changes_and_still_matches_is_updated(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one = registration(unique)
    broker.post("/csourceRegistrations", one).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    receiver.next()
    broker.patch(f"/csourceRegistrations/{one['id']}", {"endpoint": "http://127.0.0.1:10"}).expect(204)
    assert _told(receiver) == ("updated", [one["id"]])


@clause("5.3.3", 3)
def test_a_registration_that_matches_no_longer(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    changed, deleted = registration(unique), registration(unique)
    for each in (changed, deleted):
        broker.post("/csourceRegistrations", each).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    receiver.next()
    elsewhere = [{"entities": [{"type": unique.type("Other")}]}]
    broker.patch(f"/csourceRegistrations/{changed['id']}", {"information": elsewhere}).expect(204)
    assert _told(receiver) == ("noLongerMatching", [changed["id"]])
    broker.delete(f"/csourceRegistrations/{deleted['id']}").expect(204)
    assert _told(receiver) == ("noLongerMatching", [deleted["id"]])


def _told(receiver: Receiver) -> tuple[str, list[str]]:
    """The trigger reason of the next notification, and the registrations that it tells of."""
    notification = receiver.next_json()
    return notification["triggerReason"], [each["id"] for each in notification["data"]]
