"""5.11.7 Notification behaviour of subscriptions to registrations, 5.3.2 CSourceNotification."""

from typing import Any

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, instant, seconds_from_now, subscription
from conformance.servers import DocumentServer, Receiver, Reply, eventually
from conformance.suite.registrations import about, registration

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
YEAR = {"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"}
TOLERANCE = 0.6
"""The part of a period that has to be seen between arrivals: a busy machine may hold up the first of them."""


@clause("5.3.2", 1, 2, 3)
@clause("5.11.7", 4, 6)
def test_a_notification_is_as_its_data_type_says(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    source = registration(unique.id("Registration"), about(unique.type()), description="one")
    broker.post("/csourceRegistrations", source).expect(201)
    given = subscription(receiver.url, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    before = seconds_from_now(-2)
    broker.post("/csourceSubscriptions", given).expect(201)
    request = receiver.next()
    notification = request.json
    assert request.method == "POST"
    assert notification.keys() - {"@context"} == {
        *("id", "type", "subscriptionId", "notifiedAt", "triggerReason", "data")
    }
    assert ":" in notification["id"]
    assert notification["type"] == "ContextSourceNotification"
    assert notification["subscriptionId"] == given["id"]
    assert instant(before) < instant(notification["notifiedAt"])
    [told] = notification["data"]
    assert {member: told[member] for member in source} == source


@clause("5.3.2", 1)
@pytest.mark.parametrize("accept", [JSON, JSON_LD])
def test_a_notification_comes_in_the_media_type_of_the_endpoint(
    broker: BrokerClient, unique: Unique, receiver: Receiver, accept: str
) -> None:
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), about(unique.type()))).expect(201)
    given = subscription(receiver.url, endpoint={"accept": accept}, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    request = receiver.next()
    assert request.headers.get_content_type() == accept
    assert ("@context" in request.json) is (accept == JSON_LD)
    assert ("Link" in request.headers) is (accept == JSON)


@clause("5.11.7", 6)
@clause("5.11.2.4", 1)
def test_names_are_compacted_with_the_context_of_the_subscription(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    car = f"https://example.org/{unique.type()}"
    source = registration(unique.id("Registration"), about(car), **{"https://example.org/owner": "city"})
    broker.post("/csourceRegistrations", source).expect(201)
    link = documents.publish_context(Car=car, owner="https://example.org/owner")
    given = subscription(receiver.url, entities=[{"type": "Car"}])
    broker.post("/csourceSubscriptions", given, link=link).expect(201)
    [told] = receiver.next_json()["data"]
    assert (told["information"], told["owner"]) == ([about("Car")], "city")


# --- without timeInterval: what changes


@clause("5.11.2.4", 5)
@clause("5.11.7", 4, 5)
@clause("5.3.2", 1)
def test_the_first_notification_has_all_that_matches(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    sources = [registration(unique.id("Registration"), about(unique.type())) for _ in range(3)]
    other = registration(unique.id("Registration"), about(unique.type("Bus")))
    for each in (*sources, other):
        broker.post("/csourceRegistrations", each).expect(201)
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    notification = receiver.next_json()
    assert notification["triggerReason"] == "newlyMatching"
    assert {each["id"] for each in notification["data"]} == {each["id"] for each in sources}


@clause("5.11.2.4", 5)
@clause("5.11.7", 4, 5)
def test_a_new_registration_is_told_of(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    source = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", source).expect(201)
    notification = receiver.next_json()
    assert notification["triggerReason"] == "newlyMatching"
    assert [each["id"] for each in notification["data"]] == [source["id"]]
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), about(unique.type("Bus"))))
    receiver.expect_silence()


@clause("5.11.2.4", 5)
@clause("5.11.7", 4, 5)
@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("Building", "Building", "updated"),
        ("Bus", "Building", "newlyMatching"),
        ("Building", "Bus", "noLongerMatching"),
    ],
)
def test_an_update_is_told_with_its_reason(
    broker: BrokerClient, unique: Unique, receiver: Receiver, before: str, after: str, reason: str
) -> None:
    anchor = registration(unique.id("Registration"), about(unique.type()))
    source = registration(unique.id("Registration"), about(unique.type(before)))
    for each in (anchor, source):
        broker.post("/csourceRegistrations", each).expect(201)
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    receiver.next()
    fragment = {"information": [about(unique.type(after))], "description": "new"}
    broker.patch(f"/csourceRegistrations/{source['id']}", fragment).expect(204)
    notification = receiver.next_json()
    assert notification["triggerReason"] == reason
    assert [each["id"] for each in notification["data"]] == [source["id"]]


@clause("5.11.7", 5)
def test_an_update_is_told_with_what_is_new(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    source = registration(unique.id("Registration"), about(unique.type()), **{unique.name("owner"): "city"})
    broker.post("/csourceRegistrations", source).expect(201)
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    assert receiver.next_json()["data"][0][unique.name("owner")] == "city"
    broker.patch(f"/csourceRegistrations/{source['id']}", {unique.name("owner"): "state"}).expect(204)
    assert receiver.next_json()["data"][0][unique.name("owner")] == "state"


@clause("5.11.2.4", 5)
@clause("5.11.7", 4, 5)
def test_a_deletion_is_told_of(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    source = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", source).expect(201)
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    receiver.next()
    broker.delete(f"/csourceRegistrations/{source['id']}").expect(204)
    notification = receiver.next_json()
    assert notification["triggerReason"] == "noLongerMatching"
    assert [each["id"] for each in notification["data"]] == [source["id"]]


@clause("5.11.7", 5)
@clause("5.9.2.4", 10)
def test_an_expiration_is_told_of(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    source = registration(unique.id("Registration"), about(unique.type()), expiresAt=seconds_from_now(1.2))
    broker.post("/csourceRegistrations", source).expect(201)
    broker.post("/csourceSubscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    assert receiver.next_json()["triggerReason"] == "newlyMatching"
    notification = receiver.next_json()
    assert notification["triggerReason"] == "noLongerMatching"
    assert [each["id"] for each in notification["data"]] == [source["id"]]


# --- what matches


@clause("5.11.2.4", 6)
@pytest.mark.parametrize(
    ("watched", "attributes", "expected"),
    [
        (None, None, ["brand", "none", "speed"]),
        (["speed"], None, ["brand", "none", "speed"]),
        (None, ["speed"], ["brand", "none", "speed"]),
        (["speed"], ["speed"], ["none", "speed"]),
        (["speed"], ["brand"], ["brand", "none", "speed"]),
        (["other"], ["other"], ["none"]),
    ],
)
def test_watched_and_notified_attributes_select_together(
    broker: BrokerClient,
    unique: Unique,
    receiver: Receiver,
    watched: list[str] | None,
    attributes: list[str] | None,
    expected: list[str],
) -> None:
    for name in ("speed", "brand", "none"):
        names = {} if name == "none" else {"propertyNames": [name]}
        source = registration(unique.id("Registration"), about(unique.type()) | names, description=name)
        broker.post("/csourceRegistrations", source).expect(201)
    members = {} if watched is None else {"watchedAttributes": watched}
    notification = {} if attributes is None else {"attributes": attributes}
    given = subscription(receiver.url, notification=notification, entities=[{"type": unique.type()}], **members)
    broker.post("/csourceSubscriptions", given).expect(201)
    assert sorted(each["description"] for each in receiver.next_json()["data"]) == expected


@clause("5.11.2.4", 7, 8, 9, 10)
@pytest.mark.parametrize(
    ("condition", "matching", "other"),
    [
        (
            {"geoQ": {"georel": "intersects", "geometry": "Point", "coordinates": [1, 1]}},
            {"location": SQUARE},
            {"location": {"type": "Point", "coordinates": [8, 8]}},
        ),
        (
            {
                "geoQ": {
                    **{"georel": "intersects", "geometry": "Point", "coordinates": [1, 1]},
                    "geoproperty": "operationSpace",
                }
            },
            {"operationSpace": SQUARE},
            {"location": SQUARE},
        ),
        ({"scopeQ": "/a/#"}, {"scope": ["/x", "/a/b"]}, {"scope": "/b"}),
        ({"csf": 'owner=="city"'}, {"owner": "city"}, {"owner": "state"}),
        ({"csf": "description"}, {"description": "x"}, {}),
        ({}, {}, {"observationInterval": YEAR}),
        (
            {"temporalQ": {"timerel": "after", "timeAt": "2020-06-01T00:00:00Z"}},
            {"observationInterval": YEAR},
            {},
        ),
        (
            {"temporalQ": {"timerel": "before", "timeAt": "2019-06-01T00:00:00Z"}},
            {"observationInterval": {"startAt": "2018-01-01T00:00:00Z"}},
            {"observationInterval": YEAR},
        ),
        (
            {"temporalQ": {"timerel": "after", "timeAt": "2020-06-01T00:00:00Z", "timeproperty": "modifiedAt"}},
            {"managementInterval": YEAR},
            {"observationInterval": YEAR},
        ),
    ],
)
def test_conditions_select_the_registrations(
    broker: BrokerClient, unique: Unique, receiver: Receiver, condition: Document, matching: Document, other: Document
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], **condition)
    broker.post("/csourceSubscriptions", given).expect(201)
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), about(unique.type()), **other))
    chosen = registration(unique.id("Registration"), about(unique.type()), **matching)
    broker.post("/csourceRegistrations", chosen).expect(201)
    assert [each["id"] for each in receiver.next_json()["data"]] == [chosen["id"]]


@clause("5.11.2.4", 9)
@clause("5.11.7", 5)
def test_a_property_that_comes_to_match_is_told_of(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], csf='owner=="city"')
    broker.post("/csourceSubscriptions", given).expect(201)
    source = registration(unique.id("Registration"), about(unique.type()), owner="state")
    broker.post("/csourceRegistrations", source).expect(201)
    for owner, reason in (("city", "newlyMatching"), ("urn:ngsi-ld:null", "noLongerMatching")):
        broker.patch(f"/csourceRegistrations/{source['id']}", {"owner": owner}).expect(204)
        notification = receiver.next_json()
        assert notification["triggerReason"] == reason
        assert [each["id"] for each in notification["data"]] == [source["id"]]


@clause("5.11.2.4", 6)
@pytest.mark.parametrize(
    ("selector", "expected"),
    [({}, True), ({"id": "urn:ngsi-ld:V:1"}, True), ({"id": "urn:ngsi-ld:V:2"}, False), ({"idPattern": "1$"}, True)],
)
def test_entities_select_by_id_and_pattern(
    broker: BrokerClient, unique: Unique, receiver: Receiver, selector: dict[str, str], expected: bool
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type(), **selector}])
    broker.post("/csourceSubscriptions", given).expect(201)
    one = registration(unique.id("Registration"), about(unique.type(), id="urn:ngsi-ld:V:1"))
    every = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", one).expect(201)
    first: Any = receiver.next_json()["data"] if expected else []
    assert [each["id"] for each in first] == ([one["id"]] if expected else [])
    broker.post("/csourceRegistrations", every).expect(201)
    assert [each["id"] for each in receiver.next_json()["data"]] == [every["id"]]


# --- with timeInterval


@clause("5.11.2.4", 4)
@clause("5.11.7", 2, 3)
def test_a_periodic_subscription_tells_of_everything_in_every_period(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    sources = [registration(unique.id("Registration"), about(unique.type())) for _ in range(3)]
    for each in (*sources, registration(unique.id("Registration"), about(unique.type("Bus")))):
        broker.post("/csourceRegistrations", each).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], timeInterval=1)
    broker.post("/csourceSubscriptions", given).expect(201)
    first, second = receiver.next(), receiver.next()
    for notified in (first, second):
        assert {each["id"] for each in notified.json["data"]} == {each["id"] for each in sources}
    assert first.json["id"] != second.json["id"]
    assert second.arrived - first.arrived > TOLERANCE


@clause("5.11.7", 2, 3)
def test_a_change_waits_for_the_end_of_the_period(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    source = registration(unique.id("Registration"), about(unique.type()), description="one")
    broker.post("/csourceRegistrations", source).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], timeInterval=1.5)
    broker.post("/csourceSubscriptions", given).expect(201)
    first = receiver.next()
    broker.patch(f"/csourceRegistrations/{source['id']}", {"description": "other"}).expect(204)
    second = receiver.next()
    assert second.json["data"][0]["description"] == "other"
    assert second.arrived - first.arrived > 1.5 * TOLERANCE


# --- as subscriptions to entities (5.8.6)


@clause("5.11.7", 1)
def test_a_paused_subscription_is_silent_until_it_is_active(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    source = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", source).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], isActive=False)
    location = broker.post("/csourceSubscriptions", given).expect(201).header("Location")
    assert broker.get(location).expect(200).json["status"] == "paused"
    receiver.expect_silence()
    broker.patch(location, {"isActive": True}).expect(204)
    assert [each["id"] for each in receiver.next_json()["data"]] == [source["id"]]


@clause("5.11.7", 1)
def test_throttling_keeps_notifications_apart(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], throttling=1.5)
    broker.post("/csourceSubscriptions", given).expect(201)
    sources = [registration(unique.id("Registration"), about(unique.type())) for _ in range(2)]
    broker.post("/csourceRegistrations", sources[0]).expect(201)
    first = receiver.next()
    broker.post("/csourceRegistrations", sources[1]).expect(201)
    second = receiver.next()
    assert [each["id"] for each in second.json["data"]] == [sources[1]["id"]]
    assert second.arrived - first.arrived > 1.5 * TOLERANCE


@clause("5.11.7", 6)
def test_receiver_info_becomes_headers(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), about(unique.type()))).expect(201)
    info = {"receiverInfo": [{"key": "X-Token", "value": "abc"}]}
    given = subscription(receiver.url, endpoint=info, entities=[{"type": unique.type()}])
    broker.post("/csourceSubscriptions", given).expect(201)
    assert receiver.next().headers["X-Token"] == "abc"


@clause("5.11.7", 6, 7, 8, 9)
def test_notifications_are_counted_and_dated(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/csourceSubscriptions", given).expect(201).header("Location")
    for number in (1, 2):
        source = registration(unique.id("Registration"), about(unique.type()))
        broker.post("/csourceRegistrations", source).expect(201)
        notified = receiver.next_json()["notifiedAt"]

        def told(number: int = number) -> Any:
            shown = broker.get(location).expect(200).json["notification"]
            return shown if shown.get("timesSent") == number and "lastSuccess" in shown else None

        shown = eventually(told)
        assert instant(shown["lastNotification"]) >= instant(notified)
        assert instant(shown["lastSuccess"]) >= instant(notified)
    assert broker.get(location).expect(200).json["status"] in ("active", "ok")


@clause("5.11.7", 10)
@pytest.mark.parametrize("status", [404, 500])
def test_a_failure_is_on_record(broker: BrokerClient, unique: Unique, receiver: Receiver, status: int) -> None:
    receiver.answer_always(Reply(status))
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), about(unique.type()))).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/csourceSubscriptions", given).expect(201).header("Location")
    receiver.next()
    # The status of the subscription, says the clause; 5.2.12 has "failed" in the status of its notification alone.
    eventually(
        lambda: "failed" in ((shown := broker.get(location).json)["status"], shown["notification"].get("status"))
    )
    shown = broker.get(location).expect(200).json
    assert "lastFailure" in shown["notification"]
    assert "lastSuccess" not in shown["notification"]
