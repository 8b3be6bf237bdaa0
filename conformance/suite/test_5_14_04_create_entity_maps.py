"""5.14.4 and 5.14.5: create EntityMaps for queries; 6.34 and 6.35: entityMaps and temporal/entityMaps."""

from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, geo, prop, rel, vocab
from conformance.series import ALWAYS, at, series
from conformance.servers import DocumentServer

HEADER = "NGSILD-EntityMap"
NEAR = {"georel": "near;maxDistance==1000", "geometry": "Point"}
WINDOW = {"timerel": "between", "timeAt": at(0), "endTimeAt": at(10)}


def mapped(answer: Answer) -> list[str]:
    """The ids in the map that was created, sorted."""
    return sorted(answer.expect(201).json["entityMap"])


@clause("5.14.4.4", 14)
@clause("5.14.4.5", 1)
@clause("6.34.3.1", 1, 3)
@clause("6.34.3.2", 1, 2)
@pytest.mark.parametrize("posted", [False, True])
def test_a_query_makes_a_map_that_is_kept(broker: BrokerClient, unique: Unique, posted: bool) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        broker.post("/entities", entity(entity_id, unique.type(), level=prop(1))).expect(201)
    body = {"type": "Query", "entities": [{"type": unique.type()}]}
    answer = broker.post("/entityMaps", body) if posted else broker.get("/entityMaps", {"type": unique.type()})
    assert mapped(answer) == ids
    location = answer.header(HEADER)
    assert location.endswith(f"/entityMaps/{answer.json['id']}")
    assert broker.get(location).expect(200).json == answer.json
    broker.delete(location).expect(204)


@clause("5.14.5.4", 16)
@clause("5.14.5.5", 1)
@clause("6.35.3.1", 1, 3)
@clause("6.35.3.2", 1, 2)
@pytest.mark.parametrize("posted", [False, True])
def test_a_temporal_query_makes_a_map_that_is_kept(broker: BrokerClient, unique: Unique, posted: bool) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    body = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": WINDOW}
    query = {"type": unique.type(), **WINDOW}
    path = "/temporal/entityMaps"
    answer = broker.post(path, body) if posted else broker.get(path, query)
    assert mapped(answer) == ids
    location = answer.header(HEADER)
    assert location.endswith(f"/entityMaps/{answer.json['id']}")
    assert broker.get(location).expect(200).json == answer.json
    broker.delete(location).expect(204)


@clause("5.14.4.4", 9, 10, 11, 15)
@clause("5.14.4.3", 2)
@clause("6.34.3.1", 2)
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [0, 1, 2]),
        ({"q": "level>15"}, [1, 2]),
        ({"q": "level>15", "scopeQ": "/A"}, [1]),
        ({"scopeQ": "/A/#"}, [0, 1]),
        ({**NEAR, "coordinates": "[9,41]"}, [0]),
        ({"attrs": "name"}, [2]),
        ({"attrs": "name,location"}, [0, 2]),
        ({"attrs": "name", "q": "level==10"}, []),
        ({"idPattern": ":0001$"}, [0]),
        ({"local": "true", "q": "name"}, [2]),
        ({"csf": 'endpoint=="http://a.b"'}, [0, 1, 2]),
        ({"splitEntities": "false", "q": "level>15"}, [1, 2]),
    ],
)
def test_a_map_has_what_the_query_selects(
    broker: BrokerClient, unique: Unique, query: dict[str, str], numbers: list[int]
) -> None:
    ids = [unique.id() for _ in range(3)]
    places = [geo("Point", [8, 40]), geo("Point", [9, 41], datasetId="urn:d:1")]
    for one in (
        entity(ids[0], unique.type(), level=prop(10), location=places, scope="/A/B"),
        entity(ids[1], unique.type(), level=prop(20), scope="/A"),
        entity(ids[2], unique.type(), level=prop(30), name=prop("a"), scope="/B"),
    ):
        broker.post("/entities", one).expect(201)
    assert mapped(broker.get("/entityMaps", {"type": unique.type(), **query})) == [ids[each] for each in numbers]


@clause("5.14.4.4", 8)
def test_where_entities_may_be_split_only_ids_and_types_select(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id(), unique.id(), unique.id("Tree")]
    for entity_id, kind in zip(ids, ("House", "House", "Tree"), strict=True):
        broker.post("/entities", entity(entity_id, unique.type(kind), level=prop(1))).expect(201)
    query = {"type": unique.type("House"), "splitEntities": "true", "q": "level>5", "scopeQ": "/A", "attrs": "name"}
    assert mapped(broker.get("/entityMaps", query)) == ids[:2]
    assert mapped(broker.get("/entityMaps", {**query, "id": ids[1:]})) == ids[1:2]
    assert mapped(broker.get("/entityMaps", {**query, "idPattern": "Tree"})) == []
    assert mapped(broker.get("/entityMaps", {**query, "local": "true"})) == []


@clause("5.14.5.4", 10, 11, 12, 13, 17)
@clause("5.14.5.3", 1, 2)
@clause("6.35.3.1", 2)
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [0, 1, 2]),
        ({"q": "level>15"}, [1, 2]),
        ({"q": "level>90"}, []),
        ({"scopeQ": "/A"}, [1]),
        ({**NEAR, "coordinates": "[8,40]"}, [0]),
        ({**NEAR, "coordinates": "[9,41]"}, []),
        ({"attrs": "name"}, [2]),
        ({"attrs": "name,location"}, [0, 2]),
        ({"attrs": "late"}, []),
        ({"idPattern": ":0001$"}, [0]),
        ({"lastN": 1, "q": "level==10"}, [0]),
        ({"datasetId": "urn:d:1"}, [2]),
        ({"timeAt": at(15), "endTimeAt": at(40)}, [0, 1, 3]),
        ({"timeproperty": "deletedAt"}, []),
        ({"local": "true"}, [0, 1, 2]),
        ({"csf": 'endpoint=="http://a.b"'}, [0, 1, 2]),
    ],
)
def test_a_map_has_what_the_temporal_query_selects(
    broker: BrokerClient, unique: Unique, query: dict[str, str], numbers: list[int]
) -> None:
    ids = [unique.id() for _ in range(4)]
    location = [geo("Point", [8, 40], observedAt=at(0)), geo("Point", [9, 41], observedAt=at(20))]
    named = [*series("a"), *series("b", datasetId="urn:d:1")]
    for one in (
        entity(ids[0], unique.type(), level=series(10, 11), location=location, late=series(1, start=20)),
        entity(ids[1], unique.type(), level=[*series(20), *series(99, start=20)], scope=[prop("/A", observedAt=at(0))]),
        entity(ids[2], unique.type(), level=series(30), name=named),
        entity(ids[3], unique.type(), level=series(40, start=30)),
    ):
        broker.post("/temporal/entities", one).expect(201)
    answer = broker.get("/temporal/entityMaps", {"type": unique.type(), **WINDOW, **query})
    assert mapped(answer) == [ids[each] for each in numbers]


@clause("5.14.5.4", 7)
def test_last_n_selects_no_other_entities(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(10, 20, 30), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    for query in ({}, {"q": "level==10"}, {"attrs": "name"}):
        asked = {"type": unique.type(), **WINDOW, "lastN": 1, **query}
        assert mapped(broker.get("/temporal/entityMaps", asked)) == [one["id"]]


@clause("5.14.5.4", 8, 9)
def test_where_evolutions_may_be_split_ids_types_and_the_interval_select(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id(), unique.id(), unique.id("Tree"), unique.id()]
    for entity_id, kind, start in zip(ids, ("House", "House", "Tree", "House"), (0, 5, 0, 30), strict=True):
        one = entity(entity_id, unique.type(kind), level=series(1, start=start))
        broker.post("/temporal/entities", one).expect(201)
    query = {"type": unique.type("House"), **WINDOW, "splitEntities": "true", "q": "level>5", "scopeQ": "/A"}
    assert mapped(broker.get("/temporal/entityMaps", query)) == ids[:2]
    assert mapped(broker.get("/temporal/entityMaps", {**query, "id": ids[1:]})) == ids[1:2]
    assert mapped(broker.get("/temporal/entityMaps", {**query, "local": "true"})) == []


@clause("5.14.4.4", 6)
@clause("5.14.5.4", 5)
def test_names_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    house, level = "https://example.org/House", f"https://example.org/{unique.name('level')}"
    context = documents.publish_context(Haus=house, niveau=level)
    one = {**entity(unique.id(), "Haus", niveau=prop(5, observedAt=at(0))), "@context": [context]}
    broker.post("/entities", one).expect(201)
    for path, window in (("/entityMaps", {}), ("/temporal/entityMaps", WINDOW)):
        for more in ({"attrs": "niveau"}, {"q": "niveau>4"}):
            query = {"type": "Haus", "id": one["id"], **window, **more}
            assert mapped(broker.get(path, query, link=context)) == [one["id"]]
            assert mapped(broker.get(path, query)) == []
    broker.delete(f"/temporal/entities/{one['id']}")


@clause("5.14.4.3", 3)
@clause("5.14.4.4", 7)
@clause("5.14.5.3", 3)
@clause("5.14.5.4", 6)
def test_values_are_expanded_where_that_is_asked_for(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(male="https://example.org/male", gender=DEFAULT_CONTEXT + "gender")
    one = entity(unique.id(), unique.type(), gender=vocab("https://example.org/male", observedAt=at(0)))
    broker.post("/entities", one).expect(201)
    for path, window in (("/entityMaps", {}), ("/temporal/entityMaps", WINDOW)):
        query = {"type": one["type"], **window, "q": 'gender=="male"', "expandValues": "gender"}
        assert mapped(broker.get(path, query, link=context)) == [one["id"]]
        assert mapped(broker.get(path, query)) == []
    broker.delete(f"/temporal/entities/{one['id']}")


@clause("5.14.4.3", 1)
@clause("6.34.3.1", 2)
@pytest.mark.parametrize(
    "query",
    [
        {"limit": 1},
        {"offset": 1},
        {"count": "true"},
        {"entityMap": "false"},
        {"entityMap": "true"},
        {"lang": "fr"},
        {"pick": "id,level"},
        {"omit": "level"},
        {"format": "simplified"},
        {"options": "sysAttrs"},
        {"datasetId": "urn:d:1"},
        {"join": "flat", "joinLevel": 2},
    ],
)
def test_what_does_not_matter_to_a_map_is_ignored(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        broker.post("/entities", entity(entity_id, unique.type(), level=prop(1))).expect(201)
    assert mapped(broker.get("/entityMaps", {"type": unique.type(), **query})) == ids


@clause("5.14.5.3", 4)
@clause("6.35.3.1", 2)
@pytest.mark.parametrize(
    "query",
    [
        {"limit": 1},
        {"offset": 1},
        {"count": "true"},
        {"entityMap": "false"},
        {"lang": "fr"},
        {"pick": "id,level"},
        {"format": "temporalValues"},
        {"format": "aggregatedValues", "aggrMethods": "max", "aggrPeriodDuration": "PT1H"},
        {"local": "true", "orderBy": "id", "collation": "de"},
    ],
)
def test_what_does_not_matter_to_a_temporal_map_is_ignored(
    broker: BrokerClient, unique: Unique, query: dict[str, Any]
) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    assert mapped(broker.get("/temporal/entityMaps", {"type": unique.type(), **WINDOW, **query})) == ids


@clause("5.14.4.3", 1)
def test_a_map_that_the_request_names_is_ignored(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    first = broker.get("/entityMaps", {"type": unique.type()}).expect(201).header(HEADER)
    other = broker.get("/entityMaps", {"type": unique.type()}, headers={HEADER: first}).expect(201)
    assert other.header(HEADER) != first


WIDE: list[dict[str, str]] = [
    {},
    {"id": "urn:ngsi-ld:Building:1"},
    {"idPattern": ".*"},
    {"attrs": "createdAt"},
    {"q": "modifiedAt>2020-01-01T00:00:00Z"},
    {"scopeQ": "/A"},
]
UNREADABLE: list[dict[str, str]] = [
    {"type": "A", "id": "no uri"},
    {"type": "A", "q": "level>"},
    {"type": "A", "csf": "))bad(("},
    {"type": "A", "georel": "near", "geometry": "Point", "coordinates": "[8,40]"},
    {"type": "A", "georel": "within", "geometry": "Polygon", "coordinates": "[8,40]"},
    {"type": "(A;"},
    {"type": "A", "scopeQ": "//"},
    {"type": "A", "entityMapLifetime": "one hour"},
]


@clause("5.14.4.4", 1, 2)
@clause("5.14.5.4", 2, 4)
@clause("6.34.3.1", 1)
@clause("6.35.3.1", 1)
@pytest.mark.parametrize("query", [*WIDE, *UNREADABLE])
def test_a_query_that_is_too_wide_or_wrong_makes_no_map(broker: BrokerClient, query: dict[str, str]) -> None:
    for answer in (
        broker.get("/entityMaps", query),
        broker.get("/temporal/entityMaps", {**query, **WINDOW}),
    ):
        answer.expect_problem("BadRequestData", "InvalidRequest")
        assert HEADER not in answer.headers


@clause("5.14.4.4", 3, 4)
@pytest.mark.parametrize(
    "query",
    [
        {"pick": "owner{name}"},
        {"omit": "owner{name}"},
        {"q": "owner{Person:name}"},
        {"pick": "owner{name{a}}", "join": "inline", "joinLevel": "1"},
        {"q": "owner{Person:name{Word:a}}", "join": "inline", "joinLevel": "1"},
    ],
)
def test_what_goes_beyond_the_linked_entities_asked_for_is_refused(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    broker.get("/entityMaps", {"type": unique.type(), **query}).expect_problem("BadRequestData")


@clause("5.14.4.4", 9)
def test_a_condition_on_linked_entities_selects(broker: BrokerClient, unique: Unique) -> None:
    person, other = unique.id("Person"), unique.id("Person")
    for entity_id, name in ((person, "a"), (other, "b")):
        broker.post("/entities", entity(entity_id, unique.type("Person"), name=prop(name))).expect(201)
    ids = [unique.id(), unique.id()]
    for entity_id, owner in zip(ids, (person, other), strict=True):
        broker.post("/entities", entity(entity_id, unique.type(), owner=rel(owner))).expect(201)
    query = {"type": unique.type(), "q": f'owner{{{unique.type("Person")}:name}}=="a"', "join": "flat"}
    assert mapped(broker.get("/entityMaps", query)) == ids[:1]


@clause("5.14.5.4", 3)
@pytest.mark.parametrize("query", [{"pick": "owner{name}"}, {"q": "owner{Person:name}"}])
def test_a_temporal_map_knows_no_linked_entities(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    answer = broker.get("/temporal/entityMaps", {"type": unique.type(), **WINDOW, **query})
    answer.expect_problem("BadRequestData")


@clause("5.14.5.4", 1)
@pytest.mark.parametrize("temporal", [{}, {"lastN": 1}, {"timeproperty": "modifiedAt"}])
def test_a_temporal_map_needs_a_temporal_query(broker: BrokerClient, unique: Unique, temporal: dict[str, Any]) -> None:
    broker.get("/temporal/entityMaps", {"type": unique.type(), **temporal}).expect_problem("BadRequestData")
    body = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": temporal}
    broker.post("/temporal/entityMaps", body).expect_problem("BadRequestData")


@clause("5.14.4.4", 5)
def test_a_geometry_property_is_for_geo_json_only(broker: BrokerClient, unique: Unique) -> None:
    query = {"type": unique.type(), "geometryProperty": "location"}
    for accept in (None, JSON_LD):
        broker.get("/entityMaps", query, accept=accept).expect_problem("BadRequestData")


@clause("6.34.3.2", 1, 3)
@clause("6.35.3.2", 1, 3)
@pytest.mark.parametrize(
    "members",
    [
        {"type": "Query2"},
        {"type": None},
        {"entities": []},
        {"entities": None},
        {"entities": {"type": "A"}},
        {"q": "level>"},
        {"unknown": 1},
        {"entityMapLifetime": "one hour"},
    ],
)
def test_a_body_that_is_no_query_makes_no_map(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    for path, more in (("/entityMaps", {}), ("/temporal/entityMaps", {"temporalQ": ALWAYS})):
        query = {"type": "Query", "entities": [{"type": unique.type()}], **more, **members}
        query = {name: value for name, value in query.items() if value is not None}
        broker.post(path, query).expect_problem("BadRequestData", "InvalidRequest")
