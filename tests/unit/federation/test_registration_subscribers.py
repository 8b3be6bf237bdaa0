"""What a subscriber to registrations has to be told (5.11.2.4, 5.11.7, 5.3.2, 5.3.3, 5.12)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as randomly
from hypothesis import strategies as st
from registration_samples import NOW, about, iri, registration

from broker.delivery.subscription import bind_terms
from broker.errors import BadRequestData
from broker.federation.notice import Notice, make_message
from broker.federation.registration import Registration
from broker.federation.subscriber import MOST_TOLD, Subscriber
from broker.federation.subscription import (
    RegistrationSubscription,
    check_whole,
    compile_registration_subscription,
    parse_members,
)
from broker.jsonld.terms import CORE

CONTEXT = "https://example.org/context.jsonld"


def subscription(**members: Any) -> RegistrationSubscription:
    given = {
        "id": "urn:ngsi-ld:Subscription:1",
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "http://receiver.example/notify"}},
        **members,
    }
    document = parse_members({name: value for name, value in given.items() if value is not ...}, CORE, NOW)
    check_whole(document)
    document = bind_terms(document | {"createdAt": NOW, "modifiedAt": NOW, "since": 0}, CORE)
    return compile_registration_subscription("", document | {"jsonldContext": CONTEXT})


def versioned(version: int, registration_id: str = "urn:ngsi-ld:CSR:1", entity_type: str = "Vehicle") -> Registration:
    made = registration(id=registration_id, information=about({"type": entity_type}))
    return replace(made, document={**made.document, "modifiedAt": f"version {version}"})


def test_5_3_3_reasons_follow_from_what_was_told_before() -> None:
    subscriber = Subscriber(subscription())
    first = versioned(1)
    subscriber.look(first.id, first)
    assert subscriber.next_told() == ("newlyMatching", [first.id])
    subscriber.delivered(Notice("newlyMatching", (first,)))
    subscriber.look(first.id, first)
    assert not subscriber.is_outstanding
    second = versioned(2)
    subscriber.look(first.id, second)
    assert subscriber.next_told() == ("updated", [first.id])
    subscriber.delivered(Notice("updated", (second,)))
    other = versioned(3, entity_type="Bus")
    subscriber.look(first.id, other)
    assert subscriber.next_told() == ("noLongerMatching", [first.id])
    subscriber.delivered(Notice("noLongerMatching", (other,)))
    subscriber.look(first.id, other)
    assert not subscriber.is_outstanding
    subscriber.look(first.id, versioned(4))
    assert subscriber.next_told() == ("newlyMatching", [first.id])


def test_5_3_3_what_came_and_went_unnoticed_is_not_told() -> None:
    subscriber = Subscriber(subscription())
    subscriber.look("urn:x:1", versioned(1, "urn:x:1"))
    subscriber.look("urn:x:1", None)
    assert not subscriber.is_outstanding


def test_5_11_7_one_notification_has_one_reason_and_a_bounded_size() -> None:
    subscriber = Subscriber(subscription())
    subscriber.told["urn:x:gone"] = "version 0"
    many = [f"urn:x:{number}" for number in range(MOST_TOLD + 1)]
    for each in many:
        subscriber.look(each, versioned(1, each))
    subscriber.look("urn:x:gone", None)
    assert subscriber.next_told() == ("newlyMatching", many[:MOST_TOLD])


def test_5_11_3_4_a_changed_subscription_is_told_of_everything_anew() -> None:
    subscriber = Subscriber(subscription())
    vehicle, bus = versioned(1, "urn:x:1"), versioned(1, "urn:x:2", "Bus")
    subscriber.look(vehicle.id, vehicle)
    subscriber.delivered(Notice("newlyMatching", (vehicle,)))
    subscriber.begin_again(subscription(entities=[{"type": "Vehicle,Bus"}]), [vehicle, bus])
    assert subscriber.next_told() == ("newlyMatching", [vehicle.id, bus.id])


def test_5_11_7_a_restored_subscriber_is_owed_the_difference() -> None:
    subscriber = Subscriber(subscription())
    kept, changed, gone = (versioned(1, f"urn:x:{name}") for name in ("kept", "changed", "gone"))
    subscriber.delivered(Notice("newlyMatching", (kept, changed, gone)))
    state = subscriber.stored()
    new = versioned(1, "urn:x:new")
    restored = Subscriber.restored(subscription(), state, [kept, versioned(2, changed.id), new])
    assert restored.owed == {changed.id: "updated", gone.id: "noLongerMatching", new.id: "newlyMatching"}
    changed_subscription = replace(subscription(), version="another")
    assert Subscriber.restored(changed_subscription, state, [kept]).owed == {kept.id: "newlyMatching"}


@randomly(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["Vehicle", "Bus", "gone", "sent"]))))
def test_5_11_7_when_nothing_is_owed_the_receiver_knows_what_matches(events: list[tuple[str, str]]) -> None:
    subscriber, present = Subscriber(subscription()), dict[str, Registration]()
    known: dict[str, str] = {}

    def receive() -> Iterator[None]:
        while (owed := subscriber.next_told()) is not None:
            reason, ids = owed
            told = tuple(present.get(f"urn:x:{each[-1]}") or versioned(0, each) for each in ids)
            for each in told:
                if reason == "noLongerMatching":
                    del known[each.id]
                else:
                    assert (each.id in known) is (reason == "updated")
                    known[each.id] = each.version
            subscriber.delivered(Notice(reason, told))
            for each in ids:
                subscriber.look(each, present.get(each))
            yield

    for number, (name, event) in enumerate(events):
        registration_id = f"urn:x:{name}"
        if event == "sent":
            next(receive(), None)
            continue
        if event == "gone":
            present.pop(registration_id, None)
        else:
            present[registration_id] = versioned(number + 1, registration_id, event)
        subscriber.look(registration_id, present.get(registration_id))
    assert len(list(receive())) <= 6
    matching = {each.id: each.version for each in present.values() if subscriber.matches(each)}
    assert known == matching


@pytest.mark.parametrize(
    ("members", "names", "expected"),
    [
        ({}, ["brand"], True),
        ({"watchedAttributes": ["speed"]}, ["brand"], True),
        ({"watchedAttributes": ["speed"], "attributes": ["colour"]}, ["brand"], False),
        ({"watchedAttributes": ["speed"], "attributes": ["colour"]}, ["speed"], True),
        ({"watchedAttributes": ["speed"], "attributes": ["colour"]}, ["colour"], True),
        ({"watchedAttributes": ["speed"], "pick": ["id", "colour"]}, ["brand"], False),
        ({"attributes": ["colour"]}, ["brand"], True),
    ],
)
def test_5_12_watched_and_notified_attributes_together_are_asked_for(
    members: dict[str, Any], names: list[str], expected: bool
) -> None:
    notification = {"endpoint": {"uri": "http://receiver.example/notify"}}
    notification |= {part: members[part] for part in ("attributes", "pick") if part in members}
    watched = members.get("watchedAttributes", ...)
    asked = subscription(watchedAttributes=watched, notification=notification)
    made = registration(information=about({"type": "Vehicle"}, propertyNames=names))
    assert Subscriber(asked).matches(made) is expected


def test_5_11_2_4_temporal_query_scope_query_geoquery_and_filter_are_about_the_registration() -> None:
    asked = subscription(
        temporalQ={"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"},
        scopeQ="/Madrid",
        geoQ={"georel": "intersects", "geometry": "Point", "coordinates": [1, 2]},
        csf='mode=="inclusive"',
        q="speed>5",
    )
    members: dict[str, Any] = {
        "observationInterval": {"startAt": "2020-01-01T00:00:00Z"},
        "scope": "/Madrid",
        "location": {"type": "Point", "coordinates": [1, 2]},
    }
    assert Subscriber(asked).matches(registration(**members))
    for member in members:
        assert not Subscriber(asked).matches(registration(**{**members, member: ...}))
    assert not Subscriber(asked).matches(registration(**members, mode="redirect"))


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"temporalQ": {"timerel": "after"}}, "temporalQ: timeAt"),
        ({"temporalQ": "after"}, "temporalQ"),
        ({"entities": ..., "localOnly": True}, "entities"),
        ({"entities": ...}, "entities"),
        ({"csf": "mode=="}, "csf"),
        ({"geoQ": {"georel": "within", "geometry": {"type": "Point"}, "coordinates": [0, 0]}}, "geometry"),
        ({"geoQ": {"georel": ["within"], "geometry": "Point", "coordinates": [0, 0]}}, "georel"),
        (
            {"notification": {"endpoint": {"uri": "http://h/", "accept": "application/geo+json"}}},
            "notification.endpoint.accept",
        ),
    ],
)
def test_5_11_2_4_a_subscription_against_the_data_type_is_refused(members: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadRequestData) as refused:
        subscription(**members)
    assert fault in refused.value.detail


def test_5_3_2_a_notification_tells_registrations_and_reason() -> None:
    information = [*about({"type": "Vehicle"}), *about({"type": "Bus"})]
    made = registration(information=information)
    message = make_message(subscription(), Notice("newlyMatching", (made,)), CORE, CONTEXT, NOW)
    body = dict(message.body)
    assert body.pop("id").startswith("urn:ngsi-ld:ContextSourceNotification:")
    assert body == {
        "type": "ContextSourceNotification",
        "subscriptionId": "urn:ngsi-ld:Subscription:1",
        "notifiedAt": NOW,
        "triggerReason": "newlyMatching",
        "data": [
            {
                "id": made.id,
                "type": "ContextSourceRegistration",
                "information": [{"entities": [{"type": "Vehicle"}]}],
                "endpoint": "http://source.example:1026",
            }
        ],
    }
    assert message.http_headers()["Content-Type"] == "application/json"
    assert f"<{CONTEXT}>" in message.http_headers()["Link"]


def test_6_3_9_a_json_ld_notification_has_its_context_in_the_body() -> None:
    endpoint = {"uri": "http://h/", "accept": "application/ld+json", "receiverInfo": [{"key": "X-Key", "value": "v"}]}
    asked = subscription(notification={"endpoint": endpoint, "sysAttrs": True})
    message = make_message(asked, Notice("updated", (registration(),)), CORE, CONTEXT, NOW)
    assert message.body["@context"] == message.body["data"][0]["@context"] == CONTEXT
    assert message.body["data"][0]["createdAt"] == NOW
    assert message.http_headers() == {"Content-Type": "application/ld+json", "X-Key": "v"}


def test_5_3_2_the_same_notification_has_the_same_id() -> None:
    def id_of(notice: Notice) -> str:
        return str(make_message(subscription(), notice, CORE, CONTEXT, NOW).body["id"])

    one = Notice("updated", (versioned(1),))
    assert id_of(one) == id_of(Notice("updated", (versioned(1),)))
    others = [Notice("updated", (versioned(2),)), Notice("newlyMatching", (versioned(1),)), replace(one, occasion="x")]
    assert len({id_of(each) for each in [one, *others]}) == 4


def test_5_11_7_information_of_what_matches_no_more_is_shown_whole() -> None:
    gone = versioned(1, entity_type="Bus")
    message = make_message(subscription(), Notice("noLongerMatching", (gone,)), CORE, CONTEXT, NOW)
    assert message.body["data"][0]["information"] == [{"entities": [{"type": "Bus"}]}]


def test_5_11_7_a_periodic_subscriber_is_not_told_of_changes() -> None:
    subscriber = Subscriber(subscription(timeInterval=5))
    subscriber.look("urn:x:1", versioned(1, "urn:x:1"))
    assert not subscriber.is_outstanding
    subscriber.due = True
    assert subscriber.is_outstanding


def test_5_12_names_are_compared_expanded() -> None:
    assert subscription(watchedAttributes=["speed"]).subscription.watched == {iri("speed")}
