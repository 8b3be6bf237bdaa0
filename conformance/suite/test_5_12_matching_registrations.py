"""5.12 Matching Context Source Registrations, as queries for registrations show it."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, subscription
from conformance.servers import Receiver
from conformance.suite.registrations import about, found, registration


@clause("5.12", 4)
def test_one_element_that_matches_is_enough(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type("Bus")), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    for asked, expected in (("Building", True), ("Bus", True), ("Tram", False)):
        answer = broker.get("/csourceRegistrations", {"type": unique.type(asked)})
        assert found(answer, given) == [expected]


@clause("5.12", 4)
def test_entities_and_attributes_match_in_one_element(broker: BrokerClient, unique: Unique) -> None:
    information = (about(unique.type(), propertyNames=["speed"]), about(unique.type("Bus"), propertyNames=["line"]))
    given = registration(unique.id("Registration"), *information)
    broker.post("/csourceRegistrations", given).expect(201)
    for asked, name, expected in (("Building", "speed", True), ("Building", "line", False), ("Bus", "line", True)):
        answer = broker.get("/csourceRegistrations", {"type": unique.type(asked), "attrs": name})
        assert found(answer, given) == [expected]


@clause("5.12", 5)
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("{Home}", [True, False, True]),
        ("{Home},{Car}", [True, True, True]),
        ("{Home}|{Car}", [True, True, True]),
        ("({Home};{Car})", [False, False, True]),
        ("({Home};{Boat})", [False, False, False]),
        ("{Boat}|({Home};{Car})", [False, False, True]),
    ],
)
def test_a_type_selector_is_held_against_the_types(
    broker: BrokerClient, unique: Unique, asked: str, expected: list[bool]
) -> None:
    types = {name: unique.type(name) for name in ("Home", "Car", "Boat")}
    given = [
        registration(unique.id("Registration"), about(types["Home"])),
        registration(unique.id("Registration"), about(types["Car"])),
        registration(unique.id("Registration"), {"entities": [{"type": [types["Home"], types["Car"]]}]}),
    ]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    assert found(broker.get("/csourceRegistrations", {"type": asked.format(**types)}), *given) == expected


@clause("5.12", 6, 7, 8)
@clause("6.8.3.2", 8, 9)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [True, True, True]),
        ({"id": "urn:ngsi-ld:Vehicle:A456"}, [True, True, True]),
        ({"id": "urn:ngsi-ld:Vehicle:B1"}, [True, False, False]),
        ({"id": "urn:ngsi-ld:Vehicle:B1,urn:ngsi-ld:Vehicle:A456"}, [True, True, True]),
        ({"id": "urn:ngsi-ld:Vehicle:A1"}, [True, False, True]),
        ({"idPattern": "A456$"}, [True, True, True]),
        ({"idPattern": "B1$"}, [True, False, True]),
    ],
)
def test_ids_and_patterns_are_held_against_ids_and_patterns(
    broker: BrokerClient, unique: Unique, query: dict[str, str], expected: list[bool]
) -> None:
    given = [
        registration(unique.id("Registration"), about(unique.type())),
        registration(unique.id("Registration"), about(unique.type(), id="urn:ngsi-ld:Vehicle:A456")),
        registration(unique.id("Registration"), about(unique.type(), idPattern="^urn:ngsi-ld:Vehicle:A.*")),
    ]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    assert found(broker.get("/csourceRegistrations", {"type": unique.type(), **query}), *given) == expected


@clause("5.12", 7)
@clause("5.2.8", 1)
def test_an_id_comes_before_a_pattern(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type(), id="urn:ngsi-ld:V:1", idPattern=".*"))
    broker.post("/csourceRegistrations", given).expect(201)
    query = {"type": unique.type()}
    assert found(broker.get("/csourceRegistrations", {**query, "id": "urn:ngsi-ld:V:1"}), given) == [True]
    assert found(broker.get("/csourceRegistrations", {**query, "id": "urn:ngsi-ld:V:2"}), given) == [False]


@clause("5.12", 9)
@pytest.mark.parametrize(
    ("info", "asked", "expected"),
    [
        ({}, "{speed}", True),
        ({"propertyNames": ["{speed}"]}, None, True),
        ({"propertyNames": ["{speed}", "{brand}"]}, "{speed}", True),
        ({"propertyNames": ["{speed}"]}, "{other},{speed}", True),
        ({"propertyNames": ["{speed}"], "relationshipNames": ["{owner}"]}, "{owner}", True),
        ({"relationshipNames": ["{speed}"]}, "{speed}", True),
        ({"propertyNames": ["{speed}"], "relationshipNames": ["{owner}"]}, "{other}", False),
    ],
)
def test_attributes_match_properties_and_relationships_together(
    broker: BrokerClient, unique: Unique, info: dict[str, list[str]], asked: str | None, expected: bool
) -> None:
    names = {name: unique.name(name) for name in ("speed", "brand", "owner", "other")}
    registered = {part: [name.format(**names) for name in given] for part, given in info.items()}
    given = registration(unique.id("Registration"), {**about(unique.type()), **registered})
    broker.post("/csourceRegistrations", given).expect(201)
    query = {"type": unique.type(), "attrs": None if asked is None else asked.format(**names)}
    assert found(broker.get("/csourceRegistrations", query), given) == [expected]


@clause("5.12", 1, 9)
@clause("5.10.2.4", 5)
def test_a_source_of_attributes_may_have_them_of_any_entity(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), {"propertyNames": [unique.name("speed")]})
    broker.post("/csourceRegistrations", given).expect(201)
    for query, expected in (
        ({"attrs": unique.name("speed")}, True),
        ({"type": unique.type(), "attrs": unique.name("speed")}, True),
        ({"type": unique.type(), "id": unique.id(), "attrs": unique.name("speed")}, True),
        ({"attrs": unique.name("brand")}, False),
    ):
        assert found(broker.get("/csourceRegistrations", {**query, "limit": 1000}), given) == [expected]


@clause("5.12", 10)
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, [True, True, True]),
        (["urn:x:1"], [True, True, False]),
        (["urn:x:2", "@none"], [True, False, True]),
        (["urn:x:1", "@none"], [True, True, True]),
        (["urn:x:3"], [True, False, False]),
    ],
)
def test_dataset_ids_have_one_in_common(
    broker: BrokerClient, unique: Unique, receiver: Receiver, asked: list[str] | None, expected: list[bool]
) -> None:
    given: list[Document] = [
        registration(unique.id("Registration"), about(unique.type())),
        registration(unique.id("Registration"), about(unique.type()), datasetId=["urn:x:1"]),
        registration(unique.id("Registration"), about(unique.type()), datasetId=["@none", "urn:x:2"]),
    ]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    members = {} if asked is None else {"datasetId": asked}
    wanted = subscription(receiver.url, entities=[{"type": unique.type()}], **members)
    broker.post("/csourceSubscriptions", wanted).expect(201)
    notified = {each["id"] for each in receiver.next_json()["data"]}
    assert [each["id"] in notified for each in given] == expected
