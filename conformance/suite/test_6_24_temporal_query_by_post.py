"""6.24.3.1 POST /temporal/entityOperations/query: the same query in a body."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, geo, prop
from conformance.series import ALWAYS, at, pairs, series, values_of
from conformance.servers import DocumentServer

PATH = "/temporal/entityOperations/query"
HEADER = "NGSILD-EntityMap"


@clause("6.24.3.1", 1)
@clause("5.7.4.4", 13)
@pytest.mark.parametrize(
    ("members", "numbers"),
    [
        ({}, [0, 1, 2]),
        ({"q": "level>15"}, [1, 2]),
        ({"geoQ": {"georel": "near;maxDistance==10", "geometry": "Point", "coordinates": [8, 40]}}, [0]),
        ({"scopeQ": "/A"}, [1]),
        ({"attrs": ["name"]}, [2]),
        ({"pick": ["name"]}, [2]),
        ({"datasetId": ["urn:d:1"]}, [2]),
        ({"temporalQ": {"timerel": "after", "timeAt": at(2)}}, [0]),
        ({"lang": "en"}, [0, 1, 2]),
        ({"splitEntities": True, "q": "level>15"}, [1, 2]),
        ({"csf": 'endpoint=="http://a.b"'}, [0, 1, 2]),
    ],
)
def test_each_member_of_the_query_selects(
    broker: BrokerClient, unique: Unique, members: dict[str, Any], numbers: list[int]
) -> None:
    ids = [unique.id() for _ in range(3)]
    location = [geo("Point", [8, 40], observedAt=at(0))]
    scope = [prop("/A", observedAt=at(0))]
    named = [*series("a"), *series("b", datasetId="urn:d:1")]
    for one in (
        entity(ids[0], unique.type(), level=series(1, 2, 3), location=location),
        entity(ids[1], unique.type(), level=series(10, 20), scope=scope),
        entity(ids[2], unique.type(), level=series(20, 30), name=named),
    ):
        broker.post("/temporal/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS, **members}
    answer = broker.post(f"{PATH}?count=true", query).expect(200)
    assert answer.header("NGSILD-Results-Count") == str(len(numbers))
    if "pick" not in members:
        assert sorted(each["id"] for each in answer.json) == [ids[number] for number in numbers]


@clause("6.24.3.1", 1)
def test_entity_selectors_select(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id("House"), unique.id("Tree"), unique.id("Tree")]
    for entity_id, kind in zip(ids, ("House", "Tree", "Tree"), strict=True):
        broker.post("/temporal/entities", entity(entity_id, unique.type(kind), level=series(1))).expect(201)
    for selectors, expected in (
        ([{"type": unique.type("House")}, {"type": unique.type("Tree"), "id": ids[2]}], [ids[0], ids[2]]),
        ([{"type": unique.type("Tree"), "idPattern": f"^{ids[1]}$"}], [ids[1]]),
        ([{"type": f"{unique.type('Tree')}|{unique.type('House')}", "id": ids[:2]}], ids[:2]),
        ([{"type": unique.type("House"), "id": ids[1]}], []),
    ):
        query = {"type": "Query", "entities": selectors, "temporalQ": ALWAYS}
        assert sorted(each["id"] for each in broker.post(PATH, query).expect(200).json) == sorted(expected)


@clause("6.24.3.1", 1)
@clause("5.7.4.5", 2, 3)
def test_the_body_says_what_is_shown(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": {**ALWAYS, "lastN": 1}}
    (shown,) = broker.post(f"{PATH}?format=temporalValues", {**query, "pick": ["id", "level"]}).expect(200).json
    assert shown.keys() == {"id", "level"}
    assert pairs(shown["level"]["values"]) == [[2, at(1)]]
    (shown,) = broker.post(f"{PATH}?options=sysAttrs", {**query, "omit": ["name", "type"]}).expect(200).json
    assert shown.keys() == {"id", "level", "createdAt", "modifiedAt"}


@clause("6.24.3.1", 1)
def test_names_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(niveau=DEFAULT_CONTEXT + "level")
    broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=series(1))).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS, "q": "niveau==1"}
    (in_header,) = broker.post(PATH, query, link=context).expect(200).json
    (in_body,) = broker.post(PATH, {**query, "@context": [context]}).expect(200).json
    assert values_of(in_header["niveau"]) == values_of(in_body["niveau"]) == [1]
    broker.post(PATH, query).expect(200).expect_json([])


@clause("6.24.3.1", 1)
@clause("5.7.4.4", 25)
def test_entities_come_in_pages(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    for entity_id in ids:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS}
    first = broker.post(f"{PATH}?limit=2", query).expect(200)
    onward = first.link("next")
    assert onward is not None
    second = broker.post(onward, query).expect(200)
    assert sorted(each["id"] for each in [*first.json, *second.json]) == ids
    assert (first.link("prev"), second.link("next")) == (None, None)


@clause("5.7.4.4", 1, 2, 3, 4)
@clause("6.24.3.1", 1, 3)
@pytest.mark.parametrize(
    "members",
    [
        {"temporalQ": None},
        {"temporalQ": {"lastN": 1}},
        {"entities": None},
        {"entities": []},
        {"entities": [{"id": "urn:a:1"}]},
        {"entities": [{"type": "A", "id": "no uri"}]},
        {"entities": [{"type": "A", "unknown": 1}]},
        {"entities": {"type": "A"}},
        {"q": "level>"},
        {"q": "owner{Person:name}"},
        {"pick": ["owner{name}"]},
        {"pick": []},
        {"geoQ": {"georel": "near", "geometry": "Point", "coordinates": [8, 40]}},
        {"scopeQ": "//"},
        {"csf": "))bad(("},
        {"datasetId": ["no uri"]},
        {"datasetId": "urn:d:1"},
        {"type": "Query2"},
        {"type": None},
        {"unknown": 1},
    ],
)
def test_a_query_that_is_wrong_is_refused(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS} | members
    query = {name: value for name, value in query.items() if value is not None}
    broker.post(PATH, query).expect_problem("BadRequestData", "InvalidRequest")


@clause("6.24.3.1", 3)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"null"])
def test_a_body_that_is_no_object_is_an_invalid_request(broker: BrokerClient, body: bytes) -> None:
    broker.post(PATH, body, content_type="application/json").expect_problem("InvalidRequest", "BadRequestData")


@clause("6.24.3.1", 1)
def test_the_media_type_is_the_one_asked_for(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=series(1))).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS}
    answer = broker.post(PATH, query, accept=JSON_LD).expect(200)
    assert (answer.media_type, "@context" in answer.json[0]) == (JSON_LD, True)
    broker.post(PATH, query, accept=GEO_JSON).expect(406)


@clause("6.24.3.1", 2)
@clause("5.7.4.4", 17, 20)
def test_an_entity_map_is_made_and_used(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    for entity_id in ids[:2]:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS, "entityMap": True}
    answer = broker.post(PATH, query).expect(201)
    location = answer.header(HEADER)
    assert sorted(broker.get(location).expect(200).json["entityMap"]) == ids[:2]
    broker.post("/temporal/entities", entity(ids[2], unique.type(), level=series(1))).expect(201)
    again = broker.post(PATH, query, headers={HEADER: location}).expect(200)
    assert (sorted(each["id"] for each in again.json), again.header(HEADER)) == (ids[:2], location)
    broker.delete(location).expect(204)
