"""5.11.2 to 5.11.6 Context Source Registration Subscriptions, 6.12 and 6.13 /csourceSubscriptions: their life."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, instant, prop, seconds_from_now, subscription
from conformance.servers import Receiver, eventually
from conformance.suite.registrations import about, registration

NOWHERE = "http://127.0.0.1:9/notify"
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}


@clause("5.11.2.4", 1, 2, 3)
@clause("5.11.4.4", 3)
@clause("6.12.3.1", 1, 2)
@clause("6.13.3.1", 1)
def test_a_subscription_is_found_at_its_location(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(
        NOWHERE,
        id=unique.id("Subscription"),
        entities=[{"type": unique.type(), "idPattern": "^urn:.*"}],
        watchedAttributes=["speed"],
        description="of sources",
        scopeQ="/a/#",
        csf='owner=="city"',
        geoQ={"georel": "within", "geometry": "Polygon", "coordinates": SQUARE["coordinates"]},
        temporalQ={"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"},
        isActive=False,
    )
    answer = broker.post("/csourceSubscriptions", given).expect(201)
    assert answer.header("Location").endswith(f"/ngsi-ld/v1/csourceSubscriptions/{given['id']}")
    shown = broker.get(answer.header("Location")).expect(200).json
    assert {member: shown[member] for member in given} == given


@clause("5.11.2.4", 1)
@clause("6.12.3.1", 2)
def test_an_id_is_generated_where_none_is_given(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    first, second = (broker.post("/csourceSubscriptions", given).expect(201).header("Location") for _ in range(2))
    assert first != second
    assert first.endswith(f"/csourceSubscriptions/{broker.get(first).expect(200).json['id']}")


@clause("5.11.2.4", 1)
@clause("6.12.3.1", 1)
def test_an_id_that_is_known_already_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}], description="one")
    broker.post("/csourceSubscriptions", given).expect(201)
    broker.post("/csourceSubscriptions", {**given, "description": "other"}).expect_problem("AlreadyExists")
    assert broker.get(f"/csourceSubscriptions/{given['id']}").expect(200).json["description"] == "one"


BROKEN: list[Document] = [
    {"type": "ContextSourceRegistration"},
    {"entities": []},
    {"entities": [{"id": "no-uri", "type": "Vehicle"}]},
    {"watchedAttributes": []},
    {"notification": {}},
    {"notification": {"endpoint": {"uri": "no uri"}}},
    {"notification": {"endpoint": {"uri": NOWHERE, "accept": "text/html"}}},
    {"csf": "owner=="},
    {"scopeQ": "/1a"},
    {"geoQ": {"georel": "within"}},
    {"temporalQ": {"timerel": "around", "timeAt": "2020-01-01T00:00:00Z"}},
    {"temporalQ": {"timerel": "after"}},
    {"timeInterval": 0},
    {"timeInterval": 5, "throttling": 5},
    {"expiresAt": "2020-01-01T00:00:00Z"},
    {"isActive": "yes"},
]


@clause("5.11.2.4", 1)
@clause("6.12.3.1", 1)
@pytest.mark.parametrize("members", BROKEN)
def test_a_subscription_that_is_not_valid_is_refused(broker: BrokerClient, unique: Unique, members: Document) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", {**given, **members}).expect_problem("BadRequestData")
    broker.get(f"/csourceSubscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.12", 1)
@clause("5.11.2.4", 1)
def test_a_subscription_names_types_or_attributes(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"))
    broker.post("/csourceSubscriptions", given).expect_problem("BadRequestData")
    broker.post("/csourceSubscriptions", {**given, "watchedAttributes": ["speed"]}).expect(201)


@clause("5.11.2.4", 1)
@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
def test_a_body_that_is_no_subscription_is_refused(broker: BrokerClient, body: bytes) -> None:
    broker.post("/csourceSubscriptions", body).expect_problem("InvalidRequest", "BadRequestData")


@clause("5.11.2.4", 1)
def test_a_subscription_expires(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], expiresAt=seconds_from_now(0.8))
    location = broker.post("/csourceSubscriptions", given).expect(201).header("Location")
    eventually(lambda: broker.get(location).expect(200).json["status"] == "expired")
    later = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", later).expect(201)
    receiver.expect_silence()


# --- 5.11.3 Update


@clause("5.11.3.4", 3)
@clause("6.13.3.2", 1)
def test_members_are_replaced_added_and_removed(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(
        NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}], description="one", scopeQ="/a"
    )
    broker.post("/csourceSubscriptions", given).expect(201)
    fragment = {"description": "other", "scopeQ": "urn:ngsi-ld:null", "subscriptionName": "new"}
    path = f"/csourceSubscriptions/{given['id']}"
    assert broker.patch(path, fragment).expect(204).body == b""
    shown = broker.get(path).expect(200).json
    assert (shown["description"], shown["subscriptionName"]) == ("other", "new")
    assert "scopeQ" not in shown
    assert shown["entities"] == given["entities"]


@clause("5.11.3.4", 4)
def test_after_an_update_what_matches_is_notified(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    bus = registration(unique.id("Registration"), about(unique.type("Bus")))
    broker.post("/csourceRegistrations", bus).expect(201)
    given = subscription(receiver.url, id=unique.id("Subscription"), entities=[{"type": unique.type("Tram")}])
    broker.post("/csourceSubscriptions", given).expect(201)
    fragment = {"entities": [{"type": unique.type("Bus")}]}
    broker.patch(f"/csourceSubscriptions/{given['id']}", fragment).expect(204)
    assert bus["id"] in [each["id"] for each in receiver.next_json()["data"]]


@clause("5.11.3.4", 1)
@clause("6.13.3.2", 1)
def test_the_id_of_an_update_is_a_uri(broker: BrokerClient) -> None:
    broker.patch("/csourceSubscriptions/no-uri", {"description": "x"}).expect_problem("BadRequestData")


@clause("6.13.3.2", 1)
def test_what_is_not_known_cannot_be_updated(broker: BrokerClient, unique: Unique) -> None:
    path = f"/csourceSubscriptions/{unique.id('Subscription')}"
    broker.patch(path, {"description": "x"}).expect_problem("ResourceNotFound")


@clause("5.11.3.4", 2)
@clause("6.13.3.2", 1)
@pytest.mark.parametrize("fragment", [*BROKEN[1:], {"id": "urn:ngsi-ld:other"}, {"notification": "urn:ngsi-ld:null"}])
def test_a_fragment_that_is_not_valid_changes_nothing(broker: BrokerClient, unique: Unique, fragment: Document) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}], isActive=False)
    broker.post("/csourceSubscriptions", given).expect(201)
    path = f"/csourceSubscriptions/{given['id']}"
    before = broker.get(path).expect(200).json
    broker.patch(path, {"description": "other", **fragment}).expect_problem("BadRequestData")
    assert broker.get(path).expect(200).json == before


# --- 5.11.4 Retrieve, 5.11.5 Query


@clause("5.11.4.4", 1)
@clause("6.13.3.1", 1)
def test_the_id_of_what_is_retrieved_is_a_uri(broker: BrokerClient) -> None:
    broker.get("/csourceSubscriptions/no-uri").expect_problem("BadRequestData")


@clause("5.11.4.4", 2)
@clause("6.13.3.1", 1)
def test_what_is_not_known_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.get(f"/csourceSubscriptions/{unique.id('Subscription')}").expect_problem("ResourceNotFound")


@clause("5.11.4.4", 3)
def test_system_times_are_shown_where_they_are_asked_for(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    location = broker.post("/csourceSubscriptions", given).expect(201).header("Location")
    assert "createdAt" not in broker.get(location).expect(200).json
    shown = broker.get(location, {"options": "sysAttrs"}).expect(200).json
    assert instant(shown["createdAt"]) <= instant(shown["modifiedAt"])


@clause("5.11.5.4", 1)
@clause("6.12.3.2", 1)
def test_subscriptions_to_registrations_and_to_entities_are_kept_apart(broker: BrokerClient, unique: Unique) -> None:
    to_sources, to_entities = (
        subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}]) for _ in range(2)
    )
    broker.post("/csourceSubscriptions", to_sources).expect(201)
    broker.post("/subscriptions", to_entities).expect(201)
    listed = {each["id"]: each for each in broker.get("/csourceSubscriptions", {"limit": 1000}).expect(200).json}
    assert {member: listed[to_sources["id"]][member] for member in to_sources} == to_sources
    assert to_entities["id"] not in listed
    others = [each["id"] for each in broker.get("/subscriptions", {"limit": 1000}).expect(200).json]
    assert to_sources["id"] not in others
    broker.get(f"/subscriptions/{to_sources['id']}").expect_problem("ResourceNotFound")


@clause("5.11.5.4", 2)
@clause("6.12.3.2", 1, 2)
def test_pages_lead_through_all_subscriptions(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id("Subscription") for _ in range(4)]
    for subscription_id in ids:
        given = subscription(NOWHERE, id=subscription_id, entities=[{"type": unique.type()}])
        broker.post("/csourceSubscriptions", given).expect(201)
    page = broker.get("/csourceSubscriptions", {"limit": 1}).expect(200)
    seen = [each["id"] for each in page.json]
    while (following := page.link("next")) is not None:
        page = broker.get(following).expect(200)
        assert len(page.json) <= 1
        seen += [each["id"] for each in page.json]
    assert set(ids) <= set(seen)
    assert len(seen) == len(set(seen))


@clause("6.12.3.2", 2)
@pytest.mark.parametrize("limit", ["-1", "many", "0", "1.5"])
def test_a_limit_that_is_none_is_refused(broker: BrokerClient, limit: str) -> None:
    broker.get("/csourceSubscriptions", {"limit": limit}).expect_problem("BadRequestData")


# --- 5.11.6 Delete


@clause("5.11.6.4", 3)
@clause("6.13.3.3", 1)
def test_a_deleted_subscription_is_gone_and_silent(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    first = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", first).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/csourceSubscriptions", given).expect(201).header("Location")
    receiver.next()
    assert broker.delete(location).expect(204).body == b""
    broker.get(location).expect_problem("ResourceNotFound")
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), about(unique.type()))).expect(201)
    receiver.expect_silence()


@clause("5.11.6.4", 1)
@clause("6.13.3.3", 1)
def test_the_id_of_what_is_deleted_is_a_uri(broker: BrokerClient) -> None:
    broker.delete("/csourceSubscriptions/no-uri").expect_problem("BadRequestData")


@clause("5.11.6.4", 2)
@clause("6.13.3.3", 1)
def test_what_is_not_known_cannot_be_deleted(broker: BrokerClient, unique: Unique) -> None:
    broker.delete(f"/csourceSubscriptions/{unique.id('Subscription')}").expect_problem("ResourceNotFound")


@clause("5.11.2.4", 1)
def test_changes_of_entities_are_none_of_its_business(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entities", {"id": unique.id(), "type": unique.type(), "level": prop(1)}).expect(201)
    receiver.expect_silence()
