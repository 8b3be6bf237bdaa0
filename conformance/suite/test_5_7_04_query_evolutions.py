"""5.7.4 Query Temporal Evolution of Entities, 6.18.3.2 GET /temporal/entities: which entities are found."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, prop, vocab
from conformance.series import ALWAYS, at, moment, series, values_of
from conformance.servers import DocumentServer

WINDOW = {"timerel": "between", "timeAt": at(0), "endTimeAt": at(10)}
NEAR = {"georel": "near;maxDistance==1000", "geometry": "Point"}


def found(broker: BrokerClient, query: dict[str, Any]) -> list[str]:
    """The ids of the entities that a query finds, sorted."""
    return sorted(each["id"] for each in broker.get("/temporal/entities", query).expect(200).json)


@clause("5.7.4.4", 29)
@clause("5.7.4.5", 1)
@clause("6.18.3.2", 1)
def test_all_entities_of_a_type_are_found_with_their_instances(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        one = entity(entity_id, unique.type(), level=[*series(1, 2), *series(9, start=20)])
        broker.post("/temporal/entities", one).expect(201)
    shown = broker.get("/temporal/entities", {"type": unique.type(), **WINDOW}).expect(200).json
    assert sorted(each["id"] for each in shown) == ids
    assert [values_of(each["level"]) for each in shown] == [[1, 2], [1, 2]]


@clause("6.18.3.2", 1)
def test_nothing_found_is_an_empty_array(broker: BrokerClient, unique: Unique) -> None:
    broker.get("/temporal/entities", {"type": unique.type(), **WINDOW}).expect(200).expect_json([])


@clause("5.7.4.4", 1)
@pytest.mark.parametrize("query", [{}, {"lastN": 1}, {"timeproperty": "modifiedAt"}, {"local": "true"}])
def test_a_query_needs_a_temporal_query(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    broker.get("/temporal/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")


@clause("5.7.4.4", 2)
@clause("6.18.3.2", 4)
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"id": "urn:ngsi-ld:Building:1"},
        {"idPattern": ".*"},
        {"attrs": "createdAt"},
        {"attrs": "modifiedAt,deletedAt"},
        {"q": "modifiedAt>2020-01-01T00:00:00Z"},
        {"scopeQ": "/A"},
        {"pick": "id"},
        {"datasetId": "urn:d:1"},
    ],
)
def test_too_wide_a_query_is_refused(broker: BrokerClient, query: dict[str, Any]) -> None:
    broker.get("/temporal/entities", {**WINDOW, **query}).expect_problem("BadRequestData")


@clause("5.7.4.4", 2)
@clause("6.18.3.2", 4)
@pytest.mark.parametrize(
    "query",
    [
        {"attrs": "level{token}"},
        {"q": "level{token}>0"},
        {"geometry": "Point", "coordinates": "[8,40]", "georel": "near;maxDistance==1", "geoproperty": "place{token}"},
        {"local": "true", "attrs": "level{token}"},
    ],
)
def test_one_restriction_is_enough(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    level, place = unique.name("level"), unique.name("place")
    places = [geo("Point", [8, 40], observedAt=at(0))]
    one = entity(unique.id(), unique.type(), **{level: series(1), place: places})
    broker.post("/temporal/entities", one).expect(201)
    token = level.removeprefix("level")
    named = {name: value.replace("{token}", token) for name, value in query.items()}
    assert found(broker, {**WINDOW, **named}) == [one["id"]]


@clause("5.7.4.4", 2)
@clause("6.18.3.2", 19)
@pytest.mark.parametrize("query", [{"local": "true"}, {"type": "*"}, {"type": "*", "local": "true"}])
def test_the_local_scope_is_restriction_enough(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    ids = [unique.id("House"), unique.id("Tree")]
    for entity_id, kind in zip(ids, ("House", "Tree"), strict=True):
        broker.post("/temporal/entities", entity(entity_id, unique.type(kind), level=series(1))).expect(201)
    assert found(broker, {**WINDOW, **query, "id": ids}) == ids


@clause("6.18.3.2", 19)
def test_every_type_is_for_the_local_scope_only(broker: BrokerClient) -> None:
    query = {**WINDOW, "type": "*", "local": "false"}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.7.4.4", 3)
@pytest.mark.parametrize(
    "query",
    [{"pick": "owner{name}"}, {"omit": "owner{name}"}, {"q": "owner{Person:name}"}, {"q": 'owner{Person:name}=="a"'}],
)
def test_linked_entities_are_refused(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    broker.get("/temporal/entities", {"type": unique.type(), **WINDOW, **query}).expect_problem("BadRequestData")


@clause("5.7.4.4", 4)
@clause("6.18.3.2", 14)
@pytest.mark.parametrize("ids", ["no uri", "12345", "urn:ngsi-ld:A:1,no uri"])
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient, unique: Unique, ids: str) -> None:
    broker.get("/temporal/entities", {"type": unique.type(), **WINDOW, "id": ids}).expect_problem("BadRequestData")


@clause("5.7.4.4", 4)
@pytest.mark.parametrize(
    "query",
    [
        {"q": "level>"},
        {"q": "(level"},
        {"csf": "))bad(("},
        {"scopeQ": "//"},
        {"type": "(A;"},
        {"idPattern": "("},
        {"georel": "over", "geometry": "Point", "coordinates": "[8,40]"},
        {"georel": "within", "geometry": "Polygon", "coordinates": "[8,40]"},
        {"georel": "near", "geometry": "Point", "coordinates": "[8,40]"},
        {"datasetId": "no uri"},
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    answer = broker.get("/temporal/entities", {"type": unique.type(), **WINDOW, **query})
    answer.expect_problem("BadRequestData")


@clause("6.18.3.2", 6, 11, 13)
@pytest.mark.parametrize("missing", ["georel", "geometry", "coordinates"])
def test_a_geoquery_needs_all_its_parts(broker: BrokerClient, unique: Unique, missing: str) -> None:
    query = {"type": unique.type(), **WINDOW, **NEAR, "coordinates": "[8,40]"}
    del query[missing]
    broker.get("/temporal/entities", query).expect_problem("BadRequestData")


@clause("6.18.3.2", 12)
def test_a_geoproperty_alone_is_ignored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    assert found(broker, {"type": one["type"], **WINDOW, "geoproperty": "place"}) == [one["id"]]


@clause("5.7.4.4", 6)
@pytest.mark.parametrize("order", ["level", "type", "id,level", "createdAt;desc"])
def test_ordering_by_anything_but_the_id_is_refused(broker: BrokerClient, unique: Unique, order: str) -> None:
    query = {"type": unique.type(), **WINDOW, "local": "true", "orderBy": order}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData")


@clause("5.7.4.4", 7)
@pytest.mark.parametrize("collation", ["nonsense!", "und-u-co-nonsense"])
def test_a_collation_that_is_none_is_refused(broker: BrokerClient, unique: Unique, collation: str) -> None:
    query = {"type": unique.type(), **WINDOW, "local": "true", "orderBy": "id", "collation": collation}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData")


@clause("5.7.4.5", 1)
@clause("6.18.3.2", 5, 17)
@pytest.mark.parametrize("collation", [None, "de"])
@pytest.mark.parametrize(("order", "down"), [("id", False), ("id;asc", False), ("id;desc", True)])
def test_entities_come_in_the_order_asked_for(
    broker: BrokerClient, unique: Unique, order: str, down: bool, collation: str | None
) -> None:
    ids = [unique.id() for _ in range(4)]
    for entity_id in (ids[2], ids[0], ids[3], ids[1]):
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **WINDOW, "local": "true", "orderBy": order, "collation": collation}
    shown = broker.get("/temporal/entities", query).expect(200).json
    assert [each["id"] for each in shown] == sorted(ids, reverse=down)


@clause("5.7.4.4", 8)
def test_names_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    house, level = "https://example.org/House", f"https://example.org/{unique.name('level')}"
    context = documents.publish_context(Haus=house, niveau=level)
    one = {**entity(unique.id(), "Haus", niveau=series(1, 5)), "@context": [context]}
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": "Haus", **WINDOW, "id": one["id"]}
    for more in ({}, {"attrs": "niveau"}, {"q": "niveau>4"}, {"pick": "type,niveau"}):
        (shown,) = broker.get("/temporal/entities", {**query, **more}, link=context).expect(200).json
        assert (shown["type"], values_of(shown["niveau"])) == ("Haus", [1, 5])
    broker.get("/temporal/entities", query).expect(200).expect_json([])
    for more in ({"attrs": "niveau"}, {"q": "niveau>4"}):
        broker.get("/temporal/entities", {**query, "type": house, **more}).expect(200).expect_json([])


@clause("5.7.4.3", 3)
@clause("5.7.4.4", 9)
@clause("6.18.3.2", 10)
def test_values_are_expanded_where_that_is_asked_for(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(male="https://example.org/male")
    one = entity(unique.id(), unique.type(), gender=[vocab("https://example.org/male", observedAt=at(0))])
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": one["type"], **WINDOW, "q": 'gender=="male"', "expandValues": "gender"}
    (shown,) = broker.get("/temporal/entities", query, link=context).expect(200).json
    assert shown["id"] == one["id"]
    broker.get("/temporal/entities", query).expect(200).expect_json([])


@clause("5.7.4.4", 11, 13)
@clause("6.18.3.2", 15)
@pytest.mark.parametrize("split", [None, "false", "true"])
def test_ids_patterns_and_types_select_together(broker: BrokerClient, unique: Unique, split: str | None) -> None:
    house, other, tree = unique.id("House"), unique.id("House"), unique.id("Tree")
    for entity_id, types in ((house, ["House", "Home"]), (other, ["House"]), (tree, ["Tree"])):
        one = entity(entity_id, [unique.type(each) for each in types], level=series(1))
        broker.post("/temporal/entities", one).expect(201)
    a_house, a_home, a_tree = (unique.type(each) for each in ("House", "Home", "Tree"))
    for query, expected in (
        ({"type": a_house}, [house, other]),
        ({"type": f"{a_home}|{a_tree}"}, [house, tree]),
        ({"type": f"({a_house};{a_home})"}, [house]),
        ({"type": a_house, "id": f"{other},{tree}"}, [other]),
        ({"type": f"{a_house},{a_tree}", "idPattern": f"^{house}|Tree"}, [house, tree]),
        ({"type": a_house, "idPattern": "Tree"}, []),
        ({"type": a_tree, "id": house}, []),
    ):
        assert found(broker, {**query, **WINDOW, "splitEntities": split}) == sorted(expected)


@clause("5.7.4.4", 12, 14)
@pytest.mark.parametrize("split", [None, "true"])
@pytest.mark.parametrize("query", [{}, {"attrs": "level"}, {"attrs": "level,name"}, {"q": "level|!=name"}])
def test_what_has_nothing_in_the_interval_is_not_found(
    broker: BrokerClient, unique: Unique, query: dict[str, str], split: str | None
) -> None:
    inside, outside = unique.id(), unique.id()
    broker.post("/temporal/entities", entity(inside, unique.type(), level=series(1))).expect(201)
    broker.post("/temporal/entities", entity(outside, unique.type(), level=series(1, start=20))).expect(201)
    query = {"q": "level"} if "q" in query else query
    assert found(broker, {"type": unique.type(), **WINDOW, **query, "splitEntities": split}) == [inside]


@clause("5.7.4.3", 1)
@clause("5.7.4.4", 14)
def test_one_of_the_attributes_asked_for_has_to_be_in_the_interval(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"))
    other = entity(unique.id(), unique.type(), level=series(1), depth=series(2), name=series("b", start=20))
    for each in (one, other):
        broker.post("/temporal/entities", each).expect(201)
    (shown,) = broker.get("/temporal/entities", {"type": one["type"], **WINDOW, "attrs": "name"}).expect(200).json
    assert (shown["id"], shown.keys()) == (one["id"], {"id", "type", "name"})
    query = {"type": one["type"], **WINDOW, "attrs": "name,depth"}
    shown = {each["id"]: each.keys() for each in broker.get("/temporal/entities", query).expect(200).json}
    assert shown == {one["id"]: {"id", "type", "name"}, other["id"]: {"id", "type", "depth"}}


@clause("5.7.4.4", 15, 22)
@pytest.mark.parametrize("split", [None, "true"])
@pytest.mark.parametrize(
    ("q", "number"),
    [
        ("level>4", 1),
        ("level==1", 1),
        ("level>10", 0),
        ('level==5;name=="a"', 1),
        ('level==5;name=="z"', 0),
        ('level>10|name=="b"', 1),
        ('name=="z"', 0),
        ("depth", 0),
        ("level.accuracy==3", 1),
    ],
)
def test_a_q_is_held_against_all_instances_in_the_interval(
    broker: BrokerClient, unique: Unique, q: str, number: int, split: str | None
) -> None:
    level = [*series(1, 3, 5, accuracy=prop(3)), *series(50, start=20)]
    name = [*series("a", "b"), *series("z", start=20)]
    one = entity(unique.id(), unique.type(), level=level, name=name, depth=series(1, start=20))
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": one["type"], **WINDOW, "q": q, "splitEntities": split}
    shown = broker.get("/temporal/entities", query).expect(200).json
    assert [each["id"] for each in shown] == [one["id"]] * number
    assert all(values_of(each["level"]) == [1, 3, 5] for each in shown)


@clause("5.7.4.4", 16, 23)
@pytest.mark.parametrize("split", [None, "true"])
@pytest.mark.parametrize(
    ("coordinates", "more", "number"),
    [
        ("[8,40]", {}, 1),
        ("[9,41]", {}, 1),
        ("[10,42]", {}, 0),
        ("[9,41]", {"geoproperty": "place"}, 0),
        ("[20,50]", {"geoproperty": "place"}, 1),
    ],
)
def test_a_geoquery_is_held_against_the_places_in_the_interval(
    broker: BrokerClient, unique: Unique, coordinates: str, more: dict[str, str], number: int, split: str | None
) -> None:
    minutes = ((0, [8, 40]), (5, [9, 41]), (20, [10, 42]))
    places = [geo("Point", where, observedAt=at(minute)) for minute, where in minutes]
    place = [geo("Point", [20, 50], observedAt=at(0))]
    one = entity(unique.id(), unique.type(), location=places, place=place)
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": one["type"], **WINDOW, **NEAR, "coordinates": coordinates, **more, "splitEntities": split}
    assert found(broker, query) == [one["id"]] * number


@clause("5.7.4.4", 27)
def test_a_scope_query_is_about_the_time_in_which_scopes_were_valid(broker: BrokerClient, unique: Unique) -> None:
    before = entity(unique.id(), unique.type(), speed=series(3, 5, 7))
    before["scope"] = [prop("/M/C", observedAt="2024-05-01T09:00:00Z")]
    within = entity(unique.id(), unique.type(), speed=series(3, 5, 7), scope=[prop(["/M/C", "/X"], observedAt=at(1))])
    gone = entity(unique.id(), unique.type(), speed=series(3, 5, 7))
    gone["scope"] = [prop("/M/C", observedAt="2024-05-01T08:00:00Z"), prop("/Y", observedAt="2024-05-01T09:00:00Z")]
    later = entity(unique.id(), unique.type(), speed=series(3), scope=[prop("/M/C", observedAt=at(20))])
    for each in (before, within, gone, later):
        broker.post("/temporal/entities", each).expect(201)
    query = {"type": unique.type(), **WINDOW, "scopeQ": "/M/C", "attrs": "speed"}
    shown = {each["id"]: each for each in broker.get("/temporal/entities", query).expect(200).json}
    assert {name: values_of(each["speed"]) for name, each in shown.items()} == {
        before["id"]: [3, 5, 7],
        within["id"]: [5, 7],
    }


@clause("5.7.4.4", 10)
def test_last_n_counts_backwards_by_the_temporal_property(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(5, start=50))
    broker.post("/temporal/entities", one).expect(201)
    broker.post(f"/temporal/entities/{one['id']}/attrs", {"level": series(1, 2)}).expect(204)
    query = {"type": one["type"], **ALWAYS, "lastN": 1}
    (shown,) = broker.get("/temporal/entities", query).expect(200).json
    assert values_of(shown["level"]) == [5]
    query |= {"timeproperty": "modifiedAt", "options": "sysAttrs"}
    (shown,) = broker.get("/temporal/entities", query).expect(200).json
    full = broker.get(f"/temporal/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json["level"]
    (last,) = shown["level"]
    assert moment(last["modifiedAt"]) == moment(max(each["modifiedAt"] for each in full))
