"""5.8.6 Notification behaviour, 5.2.12 and 5.2.15: periods, throttling, failures and what is known of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, instant, prop, subscription
from conformance.servers import PATIENCE, Receiver, Reply, eventually

TOLERANCE = 0.6
"""The part of a period that has to be seen between arrivals: a busy machine may hold up the first of them."""


@clause("5.2.12", 16)
@clause("5.8.1.4", 18)
@clause("5.8.6", 2, 4)
def test_a_periodic_subscription_notifies_all_entities_without_any_change(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    entities = [entity(unique.id(), unique.type(), level=prop(number)) for number in range(3)]
    for each in entities:
        broker.post("/entities", each).expect(201)
    given = subscription(receiver.url, entities=[{"type": unique.type()}], timeInterval=1.5)
    broker.post("/subscriptions", given).expect(201)
    first, second = receiver.next(), receiver.next()
    for notified in (first, second):
        assert sorted(notified.json["data"], key=lambda each: str(each["id"])) == entities
    assert first.json["id"] != second.json["id"]
    assert second.arrived - first.arrived > 1.5 * TOLERANCE


@clause("5.8.6", 3)
def test_a_periodic_notification_has_the_entities_that_meet_the_conditions(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    wanted = {"level": prop(11), "location": geo("Point", [1, 1]), "scope": "/a"}
    chosen = entity(unique.id(), unique.type(), **wanted)
    broker.post("/entities", chosen).expect(201)
    for other in ({"level": prop(9)}, {"location": geo("Point", [9, 9])}, {"scope": "/b"}):
        broker.post("/entities", entity(unique.id(), unique.type(), **(wanted | other))).expect(201)
    conditions = {
        "q": "level>10",
        "geoQ": {"georel": "equals", "geometry": "Point", "coordinates": [1, 1]},
        "scopeQ": "/a",
    }
    given = subscription(receiver.url, entities=[{"type": unique.type()}], timeInterval=0.5, **conditions)
    broker.post("/subscriptions", given).expect(201)
    assert receiver.next_json()["data"] == [chosen]


@clause("5.8.6", 5)
def test_where_nothing_matches_there_is_no_periodic_notification(
    broker: BrokerClient, unique: Unique, receiver: Receiver, new_receiver: Callable[[], Receiver]
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    other = new_receiver()
    periodic = {"entities": [{"type": unique.type()}], "timeInterval": 0.5}
    broker.post("/subscriptions", subscription(receiver.url, q="level>10", **periodic)).expect(201)
    broker.post("/subscriptions", subscription(other.url, q="level<10", **periodic)).expect(201)
    other.next()
    other.next()
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(11)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"level": prop(11)}]


@clause("5.2.12", 12)
@clause("5.8.6", 1)
def test_a_paused_periodic_subscription_is_silent(
    broker: BrokerClient, unique: Unique, receiver: Receiver, new_receiver: Callable[[], Receiver]
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    other = new_receiver()
    periodic = {"entities": [{"type": unique.type()}], "timeInterval": 0.5}
    broker.post("/subscriptions", subscription(receiver.url, isActive=False, **periodic)).expect(201)
    broker.post("/subscriptions", subscription(other.url, **periodic)).expect(201)
    other.next()
    other.next()
    receiver.expect_silence(0.1)


@clause("5.2.12", 15)
def test_throttled_notifications_lie_apart(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], throttling=2)
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(0))
    broker.post("/entities", one).expect(201)
    first = receiver.next()
    values = iter(range(1, 1000))

    def changed_and_notified() -> float:
        broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(next(values))}).expect(204)
        return receiver.next(0.1).arrived

    second = eventually(changed_and_notified)
    assert second - first.arrived > 2 * TOLERANCE


@clause("5.8.6", 31, 32, 33)
@clause("5.2.14.2", 2, 3)
def test_successful_notifications_are_counted(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    assert "lastNotification" not in broker.get(location).expect(200).json["notification"]
    for number in (1, 2):
        broker.post("/entities", entity(unique.id(), unique.type(), level=prop(number))).expect(201)
        notified_at = instant(receiver.next_json()["notifiedAt"])
        shown = _once_told(broker, location, timesSent=number, status="ok")
        assert abs(instant(shown["lastNotification"]) - notified_at) < timedelta(seconds=PATIENCE)
        assert instant(shown["lastSuccess"]) >= instant(shown["lastNotification"])
        assert "lastFailure" not in shown


@clause("5.8.6", 31, 34)
@clause("5.2.14.2", 2, 4, 5)
@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_notification_that_is_refused_is_a_failure(
    broker: BrokerClient, unique: Unique, receiver: Receiver, status: int
) -> None:
    receiver.answer_always(Reply(status))
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    shown = _once_told(broker, location, status="failed")
    assert shown["timesSent"] >= shown["timesFailed"] >= 1
    assert abs(instant(shown["lastFailure"]) - instant(shown["lastNotification"])) < timedelta(seconds=PATIENCE)
    assert "lastSuccess" not in shown
    assert broker.get(location).expect(200).json["status"] == "active"


@clause("5.8.6", 34)
@clause("5.2.14.2", 4)
def test_a_receiver_that_is_not_there_is_a_failure(
    broker: BrokerClient, unique: Unique, new_receiver: Callable[[], Receiver]
) -> None:
    gone = new_receiver()
    gone.close()
    given = subscription(gone.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    assert "lastFailure" in _once_told(broker, location, status="failed")


@clause("5.8.6", 33)
@clause("5.2.14.2", 3)
def test_a_success_after_a_failure_makes_the_status_ok(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    receiver.answer_next(Reply(500))
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    _once_told(broker, location, status="failed")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(2))).expect(201)
    shown = _once_told(broker, location, status="ok")
    assert shown["timesSent"] > shown["timesFailed"] >= 1
    assert instant(shown["lastSuccess"]) >= instant(shown["lastFailure"])


@clause("5.2.14.2", 1)
def test_counts_that_a_client_gives_are_ignored(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    made_up = {"timesSent": 7, "timesFailed": 7, "status": "failed", "lastNotification": "2020-01-01T00:00:00Z"}
    given = subscription(receiver.url, notification=made_up, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    shown = broker.get(location).expect(200).json["notification"]
    assert all(shown.get(member) != value for member, value in made_up.items())
    broker.patch(location, {"notification": given["notification"]}).expect(204)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    receiver.next()
    _once_told(broker, location, timesSent=1)


@clause("5.2.14.2", 2)
def test_queried_subscriptions_show_their_counts(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    receiver.next()

    def counted() -> bool:
        listed = {each["id"]: each for each in broker.get("/subscriptions", {"limit": 1000}).expect(200).json}
        return bool(listed[given["id"]]["notification"].get("timesSent") == 1)

    eventually(counted)


@clause("5.2.15", 4)
def test_nothing_is_sent_during_the_cooldown_after_a_failure(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    receiver.answer_next(Reply(503))
    given = subscription(receiver.url, endpoint={"cooldown": 2000}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(0))).expect(201)
    first = receiver.next()

    def changed_and_notified() -> float:
        broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
        return receiver.next(0.1).arrived

    second = eventually(changed_and_notified)
    assert second - first.arrived > 2 * TOLERANCE


@clause("5.2.15", 5)
def test_a_receiver_that_takes_too_long_is_a_failure(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    receiver.answer_next(Reply(200, delay=2.0))
    given = subscription(receiver.url, endpoint={"timeout": 200}, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    eventually(lambda: broker.get(location).expect(200).json["notification"].get("timesFailed", 0) >= 1)
    assert "lastFailure" in broker.get(location).expect(200).json["notification"]


def _once_told(broker: BrokerClient, location: str, **members: Any) -> Document:
    """What a subscription says of its notifications, as soon as it has these members."""

    def as_told() -> Document | None:
        shown: Document = broker.get(location).expect(200).json["notification"]
        return shown if members.items() <= shown.items() else None

    return dict(eventually(as_told))
