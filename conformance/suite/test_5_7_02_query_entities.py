"""5.7.2 Query Entities, 6.4.3.2 GET /entities: which entities match."""

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, prop

AROUND = {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": "[8,40]"}

# --- what a query has to say


@clause("5.7.2.4", 1)
@clause("6.4.3.2", 4)
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"id": "urn:ngsi-ld:Building:1"},
        {"idPattern": "^urn:.*"},
        {"scopeQ": "/Madrid"},
        {"pick": "id"},
        {"omit": "id"},
        {"q": "createdAt>2020-01-01T00:00:00Z"},
        {"q": "modifiedAt"},
        {"csf": "endpoint"},
        {"limit": 5},
        {"lang": "en"},
        {"local": False},
    ],
    ids=str,
)
def test_too_wide_a_query_is_refused(broker: BrokerClient, query: dict[str, object]) -> None:
    broker.get("/entities", query).expect_problem("BadRequestData")


@clause("5.7.2.4", 1, 13)
@clause("6.4.3.2", 1, 4)
@pytest.mark.parametrize("condition", ["type", "attrs", "q", "geoquery", "local"])
def test_one_condition_is_enough(broker: BrokerClient, unique: Unique, condition: str) -> None:
    name = unique.name("size")
    one = entity(unique.id(), unique.type(), **{name: prop(1)}, location=geo("Point", [8, 40]))
    other = entity(unique.id("Other"), unique.type("Other"), size=prop(1))
    broker.post("/entityOperations/create", [one, other]).expect(201)
    query: dict[str, object] = {
        "type": {"type": unique.type()},
        "attrs": {"attrs": name},
        "q": {"q": f"{name}==1"},
        "geoquery": {**AROUND, "idPattern": one["id"]},
        "local": {"local": True, "id": one["id"]},
    }[condition]
    answer = broker.get("/entities", query).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("5.7.2.4", 13)
@clause("6.4.3.2", 2)
def test_an_entity_has_to_meet_all_conditions(broker: BrokerClient, unique: Unique) -> None:
    meets_all: Document = {
        "scope": "/Madrid",
        "size": prop(5),
        "name": prop("North"),
        "location": geo("Point", [8, 40]),
    }
    one = entity(unique.id(), unique.type(), **meets_all)
    near_misses = [
        entity(unique.id(), unique.type("Other"), **meets_all),
        entity(unique.id("Annex"), unique.type(), **meets_all),
        entity(unique.id(), unique.type(), **{**meets_all, "scope": "/Berlin"}),
        entity(unique.id(), unique.type(), **{**meets_all, "size": prop(6)}),
        entity(unique.id(), unique.type(), **{**meets_all, "location": geo("Point", [9, 40])}),
        entity(unique.id(), unique.type(), **{key: each for key, each in meets_all.items() if key != "name"}),
        {**entity(unique.id(), unique.type(), **meets_all)},
    ]
    broker.post("/entityOperations/create", [one, *near_misses]).expect(201)
    query = {
        "type": unique.type(),
        "id": [each["id"] for each in [one, *near_misses[:-1]]],
        "idPattern": "Building",
        "scopeQ": "/Madrid",
        "q": "size==5",
        "attrs": "name",
        **AROUND,
    }
    answer = broker.get("/entities", {**query, "id": None}).expect(200)
    assert {each["id"] for each in answer.json} == {one["id"], near_misses[-1]["id"]}
    answer = broker.get("/entities", {**query, "idPattern": None}).expect(200)
    assert {each["id"] for each in answer.json} == {one["id"], near_misses[1]["id"]}


@clause("6.4.3.2", 10)
@clause("5.7.2.4", 13)
def test_ids_are_a_list_of_uris(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(4)]
    broker.post("/entityOperations/create", [entity(each, unique.type()) for each in ids]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "id": [ids[0], ids[2], unique.id()]}).expect(200)
    assert {each["id"] for each in answer.json} == {ids[0], ids[2]}


@clause("6.4.3.2", 11)
@clause("5.7.2.4", 13)
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".*:000[13]$", {0, 2}),
        ("^urn:ngsi-ld:Building:.*", {0, 1, 2, 3}),
        (".*:0001$|.*:0004$", {0, 3}),
        (".+:[0-9]{4}$", {0, 1, 2, 3}),
        ("^urn:ngsi-ld:House:.*", set()),
    ],
)
def test_id_pattern_is_matched_by_ids(broker: BrokerClient, unique: Unique, pattern: str, expected: set[int]) -> None:
    ids = [unique.id() for _ in range(4)]
    broker.post("/entityOperations/create", [entity(each, unique.type()) for each in ids]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "idPattern": pattern}).expect(200)
    assert {ids.index(each["id"]) for each in answer.json} == expected


@clause("6.4.3.2", 14)
def test_every_type_means_every_entity_of_this_broker(broker: BrokerClient, unique: Unique) -> None:
    one, other = entity(unique.id(), unique.type()), entity(unique.id(), unique.type("Other"))
    broker.post("/entityOperations/create", [one, other]).expect(201)
    query = {"type": "*", "id": [one["id"], other["id"]]}
    expected = {one["id"], other["id"]}
    assert {each["id"] for each in broker.get("/entities", query).expect(200).json} == expected
    assert {each["id"] for each in broker.get("/entities", {**query, "local": True}).expect(200).json} == expected
    broker.get("/entities", {**query, "local": False}).expect_problem("BadRequestData")


@clause("6.4.3.2", 2)
@pytest.mark.parametrize("split", [True, False])
def test_split_entities_does_not_hide_what_is_held_here(broker: BrokerClient, unique: Unique, split: bool) -> None:
    one = entity(unique.id(), unique.type(), size=prop(5))
    broker.post("/entityOperations/create", [one, entity(unique.id(), unique.type(), size=prop(6))]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": "size==5", "splitEntities": split}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


# --- what is refused


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, id=str(query), marks=pytest.mark.clause(number, requirement))
        for number, requirement, query in (
            ("6.4.3.2", 10, {"id": "not-a-uri"}),
            ("6.4.3.2", 10, {"id": "urn:ngsi-ld:Building:1,not-a-uri"}),
            ("5.7.2.4", 2, {"id": "urn:ngsi-ld:Building:1,"}),
            ("5.7.2.4", 2, {"q": "size=="}),
            ("5.7.2.4", 2, {"georel": "beside", "geometry": "Point", "coordinates": "[8,40]"}),
            ("5.7.2.4", 2, {"csf": "endpoint=="}),
            ("5.7.2.4", 2, {"csf": "(a"}),
            ("6.4.3.2", 11, {"idPattern": "["}),
            ("6.4.3.2", 11, {"idPattern": "(a"}),
            ("6.4.3.2", 17, {"attrs": ""}),
            ("6.4.3.2", 17, {"attrs": "a,,b"}),
            ("6.4.3.2", 17, {"attrs": "a", "pick": "b"}),
            ("6.4.3.2", 17, {"datasetId": "not a uri"}),
            ("6.4.3.2", 17, {"join": "deep"}),
            ("6.4.3.2", 17, {"join": "inline", "joinLevel": 0}),
            ("6.4.3.2", 17, {"join": "inline", "joinLevel": "two"}),
            ("6.4.3.2", 17, {"join": "inline", "containedBy": "not a uri"}),
            ("6.4.3.2", 17, {"lang": "not a language!"}),
            ("6.4.3.2", 17, {"splitEntities": "maybe"}),
            ("6.4.3.2", 17, {"local": "maybe"}),
            ("6.4.3.2", 17, {"scopeQ": "/A/"}),
            ("6.4.3.2", 17, {"format": "fancy"}),
            ("6.4.3.2", 17, {"options": "fancy"}),
        )
    ],
)
def test_values_that_a_parameter_does_not_have_are_refused(
    broker: BrokerClient, unique: Unique, query: dict[str, object]
) -> None:
    broker.get("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.7.2.4", 5)
@pytest.mark.parametrize("accept", [None, "application/json", JSON_LD])
def test_geometry_property_is_for_geo_json_only(broker: BrokerClient, unique: Unique, accept: str | None) -> None:
    query = {"type": unique.type(), "geometryProperty": "location"}
    broker.get("/entities", query, accept=accept).expect_problem("BadRequestData")


@clause("5.7.2.4", 4)
@pytest.mark.parametrize(
    "query",
    [
        {"q": "sensor{humidity}==40"},
        {"q": "sensor{humidity}==40", "join": "@none"},
        {"q": "size==1|sensor{humidity}"},
        {"q": "sensor{maker{name}}", "join": "inline"},
        {"q": "sensor{maker{name}}", "join": "flat", "joinLevel": 1},
    ],
    ids=str,
)
def test_q_reaches_no_deeper_than_entities_are_joined(
    broker: BrokerClient, unique: Unique, query: dict[str, object]
) -> None:
    broker.get("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")
