"""5.2.12 Subscription: the members of the data type and their bounds."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, subscription

NOWHERE = "http://127.0.0.1:9/notify"
PERIODIC = {"entities": [{"type": "Car"}], "timeInterval": 3600}


@clause("5.2.12", 1)
@clause("5.8.3.4", 3)
@pytest.mark.parametrize(
    "members",
    [
        {"subscriptionName": "speeding", "description": "Cars that drive too fast"},
        {"watchedAttributes": ["speed", "brand"]},
        {"q": 'speed>50;brand~="A.*"'},
        {"geoQ": {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": [139.7, 35.6]}},
        {"geoQ": {"georel": "within", "geometry": "Point", "coordinates": "[1,2]", "geoproperty": "observationSpace"}},
        {"scopeQ": "/Tokyo/#"},
        {"notificationTrigger": ["entityCreated", "entityDeleted"]},
        {"datasetId": ["urn:ngsi-ld:Dataset:1", "@none"]},
        {"lang": "ja"},
        {"expandValues": "brand,colour", "q": 'brand=="x"'},
        {"jsonKeys": "brand", "q": 'brand.maker=="x"'},
        {"localOnly": True},
        {"localOnly": False},
        {"splitEntities": False},
        {"ngsildConformance": "1.6"},
        {"throttling": 0.5},
        {"timeInterval": 3600},
        {"isActive": False},
        {"expiresAt": "2090-01-02T03:04:05Z"},
    ],
)
def test_members_of_a_subscription_are_kept_as_given(
    broker: BrokerClient, unique: Unique, members: dict[str, Any]
) -> None:
    given = {"id": unique.id("Subscription"), "entities": [{"type": unique.type()}], **members}
    broker.post("/subscriptions", subscription(NOWHERE, **given)).expect(201)
    shown = broker.get(f"/subscriptions/{given['id']}").expect(200).json
    assert {member: shown.get(member) for member in given} == given


@clause("5.2.12", 1)
@pytest.mark.parametrize(
    "selector",
    [
        {"type": "Car"},
        {"type": "Car|Bus"},
        {"type": "Car", "id": "urn:ngsi-ld:Car:1"},
        {"type": "Car", "id": ["urn:ngsi-ld:Car:1", "urn:ngsi-ld:Car:2"]},
        {"type": "Car", "idPattern": "urn:ngsi-ld:Car:.*"},
    ],
)
def test_entity_selectors_are_kept_as_given(broker: BrokerClient, unique: Unique, selector: dict[str, Any]) -> None:
    subscription_id = unique.id("Subscription")
    given = subscription(NOWHERE, id=subscription_id, entities=[selector, {"type": "Bus"}])
    broker.post("/subscriptions", given).expect(201)
    assert broker.get(f"/subscriptions/{subscription_id}").expect(200).json["entities"] == given["entities"]


@clause("5.2.12", 2)
@clause("5.8.1.4", 1)
@clause("6.10.3.1", 1)
@pytest.mark.parametrize(
    "given_type", ["Entity", "ContextSourceRegistration", "subscription", 1, ["Subscription", "X"]]
)
def test_the_type_is_subscription(broker: BrokerClient, unique: Unique, given_type: Any) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", {**given, "type": given_type}).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.12", 2)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize("member", ["type", "notification"])
def test_mandatory_members(broker: BrokerClient, unique: Unique, member: str) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    del given[member]
    broker.post("/subscriptions", given).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.12", 3)
@clause("5.8.1.4", 1)
@clause("6.10.3.1", 1)
@pytest.mark.parametrize(
    "members",
    [
        {"id": "not a URI"},
        {"id": 7},
        {"entities": []},
        {"entities": {"type": "Car"}},
        {"entities": [{"id": "urn:ngsi-ld:Car:1"}]},
        {"entities": [{"type": "Car", "id": "not a URI"}]},
        {"entities": [{"type": "Car", "idPattern": "[unclosed"}]},
        {"entities": [{"type": "(Car"}]},
        {"watchedAttributes": []},
        {"watchedAttributes": "speed"},
        {"watchedAttributes": [1]},
        {"notificationTrigger": ["entityRead"]},
        {"notificationTrigger": "entityCreated"},
        {"q": "speed>"},
        {"q": 1},
        {"geoQ": {"geometry": "Point", "coordinates": [1, 2]}},
        {"geoQ": {"georel": "near;maxDistance==1", "coordinates": [1, 2]}},
        {"geoQ": {"georel": "near;maxDistance==1", "geometry": "Point"}},
        {"geoQ": {"georel": "beside", "geometry": "Point", "coordinates": [1, 2]}},
        {"geoQ": {"georel": "within", "geometry": "GeometryCollection", "coordinates": [1, 2]}},
        {"geoQ": {"georel": "within", "geometry": "Polygon", "coordinates": [1, 2]}},
        {"scopeQ": "no slash;;"},
        {"datasetId": ["not a URI"]},
        {"isActive": "yes"},
        {"localOnly": "yes"},
        {"splitEntities": 1},
        {"expiresAt": "tomorrow"},
        {"expiresAt": 1_900_000_000},
        {"ngsildConformance": "latest"},
        {"subscriptionName": 1},
        {"description": {"en": "text"}},
        {"throttling": 0},
        {"throttling": -1},
        {"throttling": "5"},
        {"timeInterval": 0},
        {"timeInterval": -1},
        {"timeInterval": "5"},
        {"jsonldContext": "not a URI"},
    ],
)
def test_values_outside_the_table_are_refused(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    given = {"id": unique.id("Subscription"), "entities": [{"type": unique.type()}], **members}
    broker.post("/subscriptions", subscription(NOWHERE, **given)).expect_problem("BadRequestData")
    if "id" not in members:
        broker.get(f"/subscriptions/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.12", 7)
@clause("5.8.1.4", 1)
@pytest.mark.parametrize("members", [{"watchedAttributes": ["speed"]}, {"throttling": 5}])
def test_what_a_periodic_subscription_may_not_have(
    broker: BrokerClient, unique: Unique, members: dict[str, Any]
) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), **PERIODIC)
    broker.post("/subscriptions", {**given, **members}).expect_problem("BadRequestData")
    broker.post("/subscriptions", given).expect(201)
    broker.patch(f"/subscriptions/{given['id']}", members).expect_problem("BadRequestData")


@clause("5.2.12", 7)
def test_a_periodic_subscription_needs_entities(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), timeInterval=3600)
    broker.post("/subscriptions", given).expect_problem("BadRequestData")
    broker.post("/subscriptions", {**given, "localOnly": True}).expect(201)


@clause("5.2.12", 17)
@clause("5.8.1.4", 1)
def test_entities_or_watched_attributes_are_needed(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/subscriptions", subscription(NOWHERE)).expect_problem("BadRequestData")
    broker.post("/subscriptions", subscription(NOWHERE, localOnly=False)).expect_problem("BadRequestData")
    broker.post("/subscriptions", subscription(NOWHERE, watchedAttributes=[unique.name("speed")])).expect(201)
    broker.post("/subscriptions", subscription(NOWHERE, entities=[{"type": unique.type()}])).expect(201)


@clause("5.2.12", 17)
def test_with_local_only_neither_entities_nor_watched_attributes_are_needed(
    broker: BrokerClient, unique: Unique
) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), localOnly=True, isActive=False)
    broker.post("/subscriptions", given).expect(201)
    assert "entities" not in broker.get(f"/subscriptions/{given['id']}").expect(200).json


@clause("5.2.12", 18)
def test_a_status_that_a_client_gives_is_ignored(broker: BrokerClient, unique: Unique) -> None:
    given = subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", {**given, "status": "expired"}).expect(201)
    assert broker.get(f"/subscriptions/{given['id']}").expect(200).json["status"] == "active"
    broker.patch(f"/subscriptions/{given['id']}", {"status": "paused", "description": "changed"}).expect(204)
    shown = broker.get(f"/subscriptions/{given['id']}").expect(200).json
    assert (shown["status"], shown["description"]) == ("active", "changed")
