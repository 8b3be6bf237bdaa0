"""5.2.14 NotificationParams and 5.2.15 Endpoint: the members of the data types and their bounds."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, subscription

NOWHERE = "http://127.0.0.1:9/notify"


@clause("5.2.14.1", 1)
@pytest.mark.parametrize(
    "members",
    [
        {"attributes": ["speed", "brand"]},
        {"format": "normalized"},
        {"format": "concise"},
        {"format": "simplified"},
        {"format": "keyValues"},
        {"join": "flat", "joinLevel": 2},
        {"join": "inline"},
        {"join": "@none"},
        {"pick": ["id", "type", "scope", "speed"]},
        {"omit": ["id", "type", "speed"]},
        {"showChanges": True},
        {"showChanges": False, "format": "simplified"},
        {"sysAttrs": True},
    ],
)
def test_members_of_notification_are_kept_as_given(
    broker: BrokerClient, unique: Unique, members: dict[str, Any]
) -> None:
    subscription_id = unique.id("Subscription")
    given = subscription(NOWHERE, id=subscription_id, notification=members, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    shown = broker.get(f"/subscriptions/{subscription_id}").expect(200).json["notification"]
    assert {member: shown.get(member) for member in members} == members


@clause("5.2.14.1", 2)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize("notification_format", ["csv", "keyvalues", "temporalValues", 1])
def test_format_is_one_of_those_in_the_table(broker: BrokerClient, unique: Unique, notification_format: Any) -> None:
    wanted = {"format": notification_format}
    given = subscription(NOWHERE, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("5.2.14.1", 3)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize("join", ["all", "none", True])
def test_join_is_one_of_those_in_the_table(broker: BrokerClient, unique: Unique, join: Any) -> None:
    given = subscription(NOWHERE, notification={"join": join}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("5.2.14.1", 4)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize("notification", [{}, {"endpoint": {}}, {"endpoint": "http://127.0.0.1:9/"}, [], "text"])
def test_notification_needs_an_endpoint(broker: BrokerClient, unique: Unique, notification: Any) -> None:
    given = subscription(NOWHERE, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", {**given, "notification": notification}).expect_problem("BadRequestData")


@clause("5.2.14.1", 5)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize(
    "members",
    [
        {"attributes": []},
        {"attributes": "speed"},
        {"attributes": ["id", "speed"]},
        {"attributes": ["type"]},
        {"attributes": ["scope"]},
        {"pick": []},
        {"pick": [1]},
        {"pick": ["speed{"]},
        {"omit": []},
        {"omit": "speed"},
        {"showChanges": "true"},
        {"sysAttrs": 1},
    ],
)
def test_values_outside_the_table_are_refused(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    given = subscription(
        NOWHERE, id=unique.id("Subscription"), notification=members, entities=[{"type": unique.type()}]
    )
    broker.post("/subscriptions", given).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.14.1", 6)
@pytest.mark.parametrize("level", [0, -1, 1.5, "2"])
def test_join_level_is_a_positive_integer(broker: BrokerClient, unique: Unique, level: Any) -> None:
    wanted = {"join": "flat", "joinLevel": level}
    given = subscription(NOWHERE, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("5.2.14.1", 7)
@pytest.mark.parametrize("simplified", ["simplified", "keyValues"])
def test_changes_cannot_be_shown_in_the_simplified_format(
    broker: BrokerClient, unique: Unique, simplified: str
) -> None:
    wanted = {"showChanges": True, "format": simplified}
    given = subscription(NOWHERE, notification=wanted, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")


@clause("5.2.15", 2)
@pytest.mark.parametrize(
    "members",
    [
        {"accept": "application/json"},
        {"accept": "application/ld+json"},
        {"accept": "application/geo+json"},
        {"cooldown": 1000},
        {"timeout": 2500.5},
        {"receiverInfo": [{"key": "Authorization", "value": "Bearer x"}, {"key": "X-Reason", "value": "test"}]},
        {"notifierInfo": [{"key": "MQTT-QoS", "value": "1"}]},
    ],
)
def test_members_of_an_endpoint_are_kept_as_given(
    broker: BrokerClient, unique: Unique, members: dict[str, Any]
) -> None:
    subscription_id = unique.id("Subscription")
    given = subscription(NOWHERE, id=subscription_id, endpoint=members, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    shown = broker.get(f"/subscriptions/{subscription_id}").expect(200).json["notification"]["endpoint"]
    assert shown == {"uri": NOWHERE, **members}


@clause("5.2.15", 2)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize(
    "endpoint",
    [
        {"accept": "application/json"},
        {"uri": 7},
        {"uri": "not a URI"},
        {"uri": "/relative"},
        {"uri": NOWHERE, "cooldown": 0},
        {"uri": NOWHERE, "cooldown": "1000"},
        {"uri": NOWHERE, "timeout": 0},
        {"uri": NOWHERE, "timeout": -5},
        {"uri": NOWHERE, "timeout": "5"},
        {"uri": NOWHERE, "receiverInfo": {"key": "X-A", "value": "b"}},
        {"uri": NOWHERE, "receiverInfo": [{"key": "X-A"}]},
        {"uri": NOWHERE, "receiverInfo": [{"value": "b"}]},
        {"uri": NOWHERE, "receiverInfo": [{"key": "X-A", "value": 1}]},
        {"uri": NOWHERE, "notifierInfo": [{"key": "MQTT-QoS"}]},
    ],
)
def test_endpoints_outside_the_table_are_refused(
    broker: BrokerClient, unique: Unique, endpoint: dict[str, Any]
) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    given["notification"]["endpoint"] = endpoint
    broker.post("/subscriptions", given).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.15", 3)
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "json", "*/*", 1])
def test_accept_is_one_of_those_in_the_table(broker: BrokerClient, unique: Unique, accept: Any) -> None:
    given = subscription(NOWHERE, endpoint={"accept": accept}, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect_problem("BadRequestData")
