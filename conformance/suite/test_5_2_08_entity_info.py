"""5.2.8 EntityInfo and 5.2.22 KeyValuePair."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop
from conformance.servers import Receiver

_SOURCE = "http://127.0.0.1:9/"


def _registration(info: Any) -> dict[str, Any]:
    return {"type": "ContextSourceRegistration", "endpoint": _SOURCE, "information": [{"entities": info}]}


@pytest.mark.parametrize("extra", [{}, {"id": "urn:a:1"}, {"idPattern": "urn:a:.*"}], ids=str)
@pytest.mark.parametrize("several", [False, True], ids=["one type", "several types"])
@clause("5.2.8", 1)
def test_an_entity_info_comes_back_as_it_was_written(
    broker: BrokerClient, unique: Unique, extra: dict[str, str], several: bool
) -> None:
    name = [unique.type("Car"), unique.type("Taxi")] if several else unique.type("Car")
    made = broker.post("/csourceRegistrations", _registration([{"type": name, **extra}])).expect(201)
    shown = broker.get(made.header("Location")).expect(200).json["information"]
    assert shown == [{"entities": [{"type": name, **extra}]}]


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"id": "urn:a:1"},
        {"idPattern": "urn:a:.*"},
        {"type": 5},
        {"type": ""},
        {"type": []},
        {"type": "two words"},
        {"type": "Car", "id": "no uri"},
        {"type": "Car", "id": 5},
        {"type": "Car", "idPattern": 5},
        {"type": "Car", "idPattern": "urn:(a"},
        {"type": "Car", "idPattern": "[z-a]"},
    ],
    ids=str,
)
@clause("5.2.8", 1)
def test_an_entity_info_that_is_none_is_refused(broker: BrokerClient, unique: Unique, info: dict[str, Any]) -> None:
    registration = {**_registration([info]), "id": unique.id("Registration")}
    broker.post("/csourceRegistrations", registration).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{registration['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("pattern", "asked", "found"),
    [
        (".*", "urn:ngsi-ld:Car:a1", True),
        ("^urn:ngsi-ld:Car:", "urn:ngsi-ld:Car:a1", True),
        ("^urn:ngsi-ld:Car:a[0-9]+$", "urn:ngsi-ld:Car:a17", True),
        ("^urn:ngsi-ld:Car:a[0-9]+$", "urn:ngsi-ld:Car:b17", False),
        ("^urn:ngsi-ld:(Car|Taxi):.*$", "urn:ngsi-ld:Taxi:1", True),
        ("^urn:ngsi-ld:(Car|Taxi):.*$", "urn:ngsi-ld:Van:1", False),
        ("^urn:other:.*$", "urn:ngsi-ld:Car:a1", False),
    ],
)
@clause("5.2.8", 2)
def test_ids_are_matched_by_the_pattern(
    broker: BrokerClient, unique: Unique, pattern: str, asked: str, found: bool
) -> None:
    made = broker.post("/csourceRegistrations", _registration([{"type": unique.type(), "idPattern": pattern}])).expect(
        201
    )
    shown = broker.get("/csourceRegistrations", {"type": unique.type(), "id": asked}).expect(200).json
    assert [each["id"] for each in shown] == ([made.header("Location").rpartition("/")[2]] if found else [])


@clause("5.2.8", 3)
def test_an_id_takes_precedence_over_a_pattern(broker: BrokerClient, unique: Unique) -> None:
    info = {"type": unique.type(), "id": "urn:a:1", "idPattern": "urn:a:2"}
    broker.post("/csourceRegistrations", _registration([info])).expect(201)
    assert len(broker.get("/csourceRegistrations", {"type": unique.type(), "id": "urn:a:1"}).expect(200).json) == 1
    broker.get("/csourceRegistrations", {"type": unique.type(), "id": "urn:a:2"}).expect(200).expect_json([])


@pytest.mark.parametrize(
    "pair",
    [("Authorization", "Bearer x.y"), ("X-City", "Kyoto"), ("Prefer", "respond-async"), ("X-Empty-Ish", "-")],
    ids=str,
)
@clause("5.2.22", 1)
def test_a_key_and_a_value_become_a_header_of_notifications(
    broker: BrokerClient, unique: Unique, receiver: Receiver, pair: tuple[str, str]
) -> None:
    info = [{"key": pair[0], "value": pair[1]}, {"key": "X-Second", "value": "2"}]
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": receiver.url, "receiverInfo": info}},
    }
    made = broker.post("/subscriptions", subscription).expect(201).header("Location")
    assert broker.get(made).expect(200).json["notification"]["endpoint"]["receiverInfo"] == info
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(5))).expect(201)
    headers = receiver.next().headers
    assert headers[pair[0]] == pair[1]
    assert headers["X-Second"] == "2"


@pytest.mark.parametrize(
    "bad",
    [
        {"key": "X-City"},
        {"value": "Kyoto"},
        {"key": 5, "value": "Kyoto"},
        {"key": "X-City", "value": 5},
        {"key": "X-City", "value": ["Kyoto"]},
        {"key": "X-City", "value": None},
        "X-City: Kyoto",
        ["X-City", "Kyoto"],
    ],
    ids=str,
)
@pytest.mark.parametrize("member", ["receiverInfo", "notifierInfo"])
@clause("5.2.22", 1)
def test_a_pair_without_a_string_for_key_and_value_is_refused(
    broker: BrokerClient, unique: Unique, member: str, bad: Any
) -> None:
    subscription = {
        "id": unique.id("Subscription"),
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/", member: [bad]}},
    }
    broker.post("/subscriptions", subscription).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{subscription['id']}").expect_problem("ResourceNotFound")
