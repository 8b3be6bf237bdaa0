"""5.2.23 Query with its parts 5.2.13, 5.2.33 and 5.2.43, as 6.23.3.1 POST /entityOperations/query takes it."""

from collections.abc import Callable
from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, json_prop, lang, prop, rel, vocab
from conformance.servers import DocumentServer

QUERY = "/entityOperations/query"
AROUND = {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": [8, 40]}

Selectors = Callable[[str, str, list[str]], list[Document]]


def hotels_and_a_house(unique: Unique) -> list[Document]:
    hotel, house = unique.type("Hotel"), unique.type("House")
    return [
        entity(unique.id("Hotel"), hotel, stars=prop(3), location=geo("Point", [8, 40]), scope="/North"),
        entity(unique.id("Hotel"), hotel, stars=prop(5), location=geo("Point", [9, 41]), scope="/North/East"),
        entity(unique.id("Hotel"), hotel, stars=prop(4), name=prop("Ritz"), scope="/South"),
        entity(unique.id("House"), house, location=geo("Point", [8, 40])),
    ]


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        pytest.param(*row, marks=pytest.mark.clause(number, requirement))
        for number, requirement, *row in (
            ("5.2.33", 1, lambda hotel, house, ids: [{"type": hotel}], {0, 1, 2}),
            ("5.2.33", 1, lambda hotel, house, ids: [{"type": f"{hotel}|{house}"}], {0, 1, 2, 3}),
            ("5.2.33", 1, lambda hotel, house, ids: [{"type": hotel, "id": ids[1]}], {1}),
            ("5.2.33", 1, lambda hotel, house, ids: [{"type": house, "id": ids[1]}], set()),
            ("5.2.23", 3, lambda hotel, house, ids: [{"type": hotel}, {"type": house}], {0, 1, 2, 3}),
            (
                "5.2.23",
                3,
                lambda hotel, house, ids: [{"type": hotel, "id": ids[1]}, {"type": house, "idPattern": "House"}],
                {1, 3},
            ),
            ("5.2.33", 3, lambda hotel, house, ids: [{"type": hotel, "idPattern": ".*:000[12]$"}], {0, 1}),
            ("5.2.33", 3, lambda hotel, house, ids: [{"type": hotel, "idPattern": "^urn:ngsi-ld:House.*"}], set()),
            ("5.2.33", 4, lambda hotel, house, ids: [{"type": hotel, "id": ids[1:]}], {1, 2}),
            ("5.2.33", 4, lambda hotel, house, ids: [{"type": hotel, "id": ids[2], "idPattern": ".*:0001$"}], {2}),
        )
    ],
)
@clause("6.23.3.1", 1)
def test_entities_are_selected_by_type_id_and_pattern(
    broker: BrokerClient, unique: Unique, selectors: Selectors, expected: set[int]
) -> None:
    documents = hotels_and_a_house(unique)
    broker.post("/entityOperations/create", documents).expect(201)
    ids = [document["id"] for document in documents]
    entities = selectors(unique.type("Hotel"), unique.type("House"), ids)
    answer = broker.post(QUERY, {"type": "Query", "entities": entities}).expect(200)
    assert {ids.index(each["id"]) for each in answer.json} == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause(number, requirement))
        for number, requirement, *row in (
            ("5.2.23", 4, {"q": "stars>=4"}, {1, 2}),
            ("5.2.23", 4, {"q": 'stars==3|name=="Ritz"'}, {0, 2}),
            ("5.2.23", 5, {"geoQ": AROUND}, {0}),
            ("5.2.13", 1, {"geoQ": AROUND | {"geoproperty": "location"}}, {0}),
            ("5.2.13", 1, {"geoQ": AROUND | {"geoproperty": "observationSpace"}}, set()),
            ("5.2.13", 2, {"geoQ": AROUND | {"coordinates": "[8, 40]"}}, {0}),
            ("5.2.23", 11, {"scopeQ": "/North/#"}, {0, 1}),
            ("5.2.23", 6, {"attrs": ["name", "unheardOf"]}, {2}),
            ("5.7.2.4", 13, {"q": "stars>=4", "scopeQ": "/North/#"}, {1}),
            ("5.7.2.4", 13, {"q": "stars>=4", "geoQ": AROUND}, set()),
            ("5.7.2.4", 13, {"q": "stars", "scopeQ": "/North/#", "geoQ": AROUND, "attrs": ["location"]}, {0}),
        )
    ],
)
@clause("6.23.3.1", 1)
def test_entities_are_selected_by_all_conditions_at_once(
    broker: BrokerClient, unique: Unique, conditions: Document, expected: set[int]
) -> None:
    documents = hotels_and_a_house(unique)
    broker.post("/entityOperations/create", documents).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type("Hotel")}], **conditions}
    answer = broker.post(QUERY, query).expect(200)
    ids = [document["id"] for document in documents]
    assert {ids.index(each["id"]) for each in answer.json} == expected


@clause("5.2.23", 6, 12)
@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({"attrs": ["stars"]}, {"id", "type", "scope", "stars"}),
        ({"pick": ["id", "stars"]}, {"id", "stars"}),
        ({"omit": ["id", "location", "scope"]}, {"type", "stars"}),
        ({"datasetId": ["urn:dataset:unheardOf"]}, {"id", "type", "scope"}),
        ({"datasetId": ["@none"]}, {"id", "type", "scope", "stars", "location"}),
    ],
    ids=str,
)
def test_a_query_in_a_body_shapes_the_entities(
    broker: BrokerClient, unique: Unique, members: Document, shown: set[str]
) -> None:
    broker.post("/entities", hotels_and_a_house(unique)[0]).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type("Hotel")}], **members}
    (found,) = broker.post(QUERY, query).expect(200).json
    assert set(found) == shown


@clause("5.2.23", 12)
def test_a_query_in_a_body_chooses_a_language(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), name=lang({"fr": "rouge", "en": "red"}))).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "lang": "fr"}
    (found,) = broker.post(QUERY, query).expect(200).json
    assert found["name"] == prop("rouge", lang="fr")


@clause("5.2.23", 9)
@pytest.mark.parametrize(
    ("members", "joined", "number"),
    [
        ({"join": "inline"}, True, 1),
        ({"join": "inline", "joinLevel": 1}, True, 1),
        ({"join": "flat"}, False, 2),
        ({"join": "@none"}, False, 1),
        ({}, False, 1),
    ],
    ids=str,
)
def test_a_query_in_a_body_joins_linked_entities(
    broker: BrokerClient, unique: Unique, members: Document, joined: bool, number: int
) -> None:
    device = entity(unique.id("Device"), unique.type("Device"), humidity=prop(40))
    station = entity(unique.id(), unique.type(), sensor=rel(device["id"], objectType=unique.type("Device")))
    broker.post("/entityOperations/create", [device, station]).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], **members}
    shown = broker.post(QUERY, query).expect(200).json
    assert len(shown) == number
    assert ("entity" in shown[0]["sensor"]) == joined


@clause("5.2.23", 14)
@clause("5.7.2.4", 11)
def test_a_query_in_a_body_says_how_values_are_read(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Male="https://example.org/Male")
    one = entity(unique.id(), unique.type(), gender=vocab("Male"), file=json_prop({"value": 5}))
    broker.post("/entities", one, link=context).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "q": 'gender=="Male";file[value]==5'}
    both = {**query, "expandValues": "gender,other", "jsonKeys": "file,more"}
    assert [each["id"] for each in broker.post(QUERY, both, link=context).expect(200).json] == [one["id"]]
    broker.post(QUERY, {**query, "jsonKeys": "file"}, link=context).expect(200).expect_json([])


@clause("5.7.2.4", 10)
@clause("6.23.3.1", 1)
def test_the_context_of_a_query_is_in_its_body_or_in_the_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Haus="https://example.org/" + unique.type(), tempo="https://example.org/speed")
    one = {**entity(unique.id(), "Haus", tempo=prop(80)), "@context": context}
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": "Haus"}], "q": "tempo==80"}
    expected = [{**entity(one["id"], "Haus", tempo=prop(80))}]
    broker.post(QUERY, query, link=context).expect(200).expect_json(expected)
    broker.post(QUERY, {**query, "@context": context}, accept="application/json").expect(200).expect_json(expected)
    broker.post(QUERY, query).expect(200).expect_json([])


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("5.2.43", requirement))
        for requirement, *row in (
            (6, {"orderBy": ["stars"]}, [0, 2, 1]),
            (6, {"orderBy": ["stars;desc"]}, [1, 2, 0]),
            (6, {"orderBy": ["name", "stars;desc"]}, [2, 1, 0]),
            (6, {"orderBy": ["id;desc"]}, [2, 1, 0]),
            (5, {"orderBy": ["location;dist-asc"], "coordinates": [9, 41]}, [1, 0, 2]),
            (5, {"orderBy": ["location;dist-asc"], "coordinates": [9, 41], "geometry": "Point"}, [1, 0, 2]),
            (
                1,
                {"orderBy": ["location;dist-desc"], "coordinates": [[8, 40], [8, 41]], "geometry": "LineString"},
                [1, 0, 2],
            ),
        )
    ],
)
@clause("5.2.23", 10)
def test_a_query_in_a_body_orders_the_result(
    broker: BrokerClient, unique: Unique, ordering: Document, expected: list[int]
) -> None:
    documents = hotels_and_a_house(unique)
    broker.post("/entityOperations/create", documents).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type("Hotel")}], "ordering": ordering}
    answer = broker.post(f"{QUERY}?local=true", query).expect(200)
    ids = [document["id"] for document in documents]
    assert [ids.index(each["id"]) for each in answer.json] == expected


@pytest.mark.parametrize(
    ("collation", "expected"),
    [
        pytest.param(None, ["a", "A", "\u00e4", "af", "b"], marks=pytest.mark.clause("5.2.43", 3)),
        pytest.param("und-x-icu", ["a", "A", "\u00e4", "af", "b"], marks=pytest.mark.clause("5.2.43", 2, 3)),
        pytest.param("und-u-kf-upper", ["A", "a", "\u00e4", "af", "b"], marks=pytest.mark.clause("5.2.43", 2)),
        pytest.param("sv", ["a", "A", "af", "b", "\u00e4"], marks=pytest.mark.clause("5.2.43", 2)),
    ],
)
def test_strings_come_in_the_order_of_a_collation(
    broker: BrokerClient, unique: Unique, collation: str | None, expected: list[str]
) -> None:
    broker.post(
        "/entityOperations/create", [entity(unique.id(), unique.type(), name=prop(each)) for each in expected[::-1]]
    ).expect(201)
    ordering = {"orderBy": ["name"], **({} if collation is None else {"collation": collation})}
    query = {"type": "Query", "entities": [{"type": unique.type()}], "ordering": ordering}
    answer = broker.post(f"{QUERY}?local=true", query).expect(200)
    assert [each["name"]["value"] for each in answer.json] == expected


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(members, id=str(members), marks=pytest.mark.clause(number, requirement))
        for number, requirement, members in (
            ("5.2.23", 2, {"type": "query"}),
            ("5.2.23", 2, {"type": "Subscription"}),
            ("5.2.23", 2, {"type": None}),
            ("5.2.23", 1, {"entities": []}),
            ("5.2.23", 1, {"entities": {"type": "A"}}),
            ("5.2.23", 1, {"entities": ["A"]}),
            ("5.2.23", 1, {"q": 5}),
            ("5.2.23", 1, {"q": ["a"]}),
            ("5.2.23", 1, {"q": "a=="}),
            ("5.2.23", 1, {"geoQ": "near"}),
            ("5.2.23", 1, {"scopeQ": ["/A"]}),
            ("5.2.23", 1, {"scopeQ": "/A/"}),
            ("5.2.23", 1, {"attrs": []}),
            ("5.2.23", 1, {"attrs": "a"}),
            ("5.2.23", 1, {"attrs": [5]}),
            ("5.2.23", 1, {"pick": []}),
            ("5.2.23", 1, {"pick": ["a{"]}),
            ("5.2.23", 1, {"omit": []}),
            ("5.2.23", 1, {"omit": 5}),
            ("5.2.23", 1, {"datasetId": ["not a uri"]}),
            ("5.2.23", 1, {"datasetId": "urn:dataset:1"}),
            ("5.2.23", 1, {"containedBy": ["not a uri"], "join": "inline"}),
            ("5.2.23", 1, {"lang": 5}),
            ("5.2.23", 1, {"joinLevel": 0, "join": "inline"}),
            ("5.2.23", 1, {"joinLevel": 1.5, "join": "inline"}),
            ("5.2.23", 1, {"joinLevel": "1", "join": "inline"}),
            ("5.2.23", 1, {"splitEntities": "yes"}),
            ("5.2.23", 9, {"join": "deep"}),
            ("5.2.23", 9, {"join": True}),
            ("5.2.23", 13, {"temporalQ": {"timerel": "before", "timeAt": "2020-01-01T00:00:00Z"}}),
            ("5.2.23", 13, {"aggrParams": {"aggrMethods": ["max"]}}),
            ("5.2.13", 1, {"geoQ": {"geometry": "Point", "coordinates": [8, 40]}}),
            ("5.2.13", 1, {"geoQ": {"georel": "within", "coordinates": [8, 40]}}),
            ("5.2.13", 1, {"geoQ": {"georel": "within", "geometry": "Point"}}),
            ("5.2.13", 1, {"geoQ": {"georel": "beside", "geometry": "Point", "coordinates": [8, 40]}}),
            ("5.2.13", 1, {"geoQ": {"georel": "within", "geometry": "GeometryCollection", "coordinates": []}}),
            ("5.2.13", 1, {"geoQ": {"georel": "within", "geometry": 5, "coordinates": [8, 40]}}),
            ("5.2.13", 1, {"geoQ": {"georel": "within", "geometry": "Polygon", "coordinates": [8, 40]}}),
            ("5.2.13", 1, {"geoQ": AROUND | {"geoproperty": 5}}),
            ("5.2.13", 2, {"geoQ": AROUND | {"coordinates": "8, 40"}}),
            ("5.2.33", 1, {"entities": [{"type": "(A"}]}),
            ("5.2.33", 1, {"entities": [{"type": 5}]}),
            ("5.2.33", 1, {"entities": [{"type": ["A", "B"]}]}),
            ("5.2.33", 1, {"entities": [{"type": "A", "id": "not a uri"}]}),
            ("5.2.33", 1, {"entities": [{"type": "A", "id": ["urn:a:1", "not a uri"]}]}),
            ("5.2.33", 1, {"entities": [{"type": "A", "id": 5}]}),
            ("5.2.33", 3, {"entities": [{"type": "A", "idPattern": "["}]}),
            ("5.2.33", 3, {"entities": [{"type": "A", "idPattern": 5}]}),
            ("5.2.43", 1, {"ordering": {}}),
            ("5.2.43", 1, {"ordering": ["a"]}),
            ("5.2.43", 1, {"ordering": {"orderBy": "a"}}),
            ("5.2.43", 1, {"ordering": {"orderBy": []}}),
            ("5.2.43", 1, {"ordering": {"orderBy": ["a;up"]}}),
            ("5.2.43", 1, {"ordering": {"orderBy": ["a"], "collation": 5}}),
            ("5.2.43", 1, {"ordering": {"orderBy": ["a"], "collation": "not a collation"}}),
            ("5.2.43", 1, {"ordering": {"orderBy": ["a;dist-asc"], "coordinates": [8, 40], "geometry": "Circle"}}),
            ("5.2.43", 1, {"ordering": {"orderBy": ["a;dist-asc"], "coordinates": [[8, 40]]}}),
            ("5.2.43", 4, {"ordering": {"orderBy": ["a;dist-asc"]}}),
        )
    ],
)
@clause("6.23.3.1", 4)
def test_what_is_no_query_is_refused(broker: BrokerClient, unique: Unique, members: Document) -> None:
    query: dict[str, Any] = {"type": "Query", "entities": [{"type": unique.type()}], **members}
    broker.post(f"{QUERY}?local=true", query).expect_problem("BadRequestData")


@clause("5.2.23", 1)
@clause("6.23.3.1", 4)
def test_a_body_without_a_type_is_no_query(broker: BrokerClient, unique: Unique) -> None:
    broker.post(QUERY, {"entities": [{"type": unique.type()}]}).expect_problem("BadRequestData")


@clause("5.2.33", 2)
def test_every_type_means_every_entity_of_this_broker(broker: BrokerClient, unique: Unique) -> None:
    documents = hotels_and_a_house(unique)
    broker.post("/entityOperations/create", documents).expect(201)
    query = {"type": "Query", "entities": [{"type": "*", "idPattern": documents[0]["id"].split(":")[3]}]}
    expected = {document["id"] for document in documents}
    assert {each["id"] for each in broker.post(QUERY, query).expect(200).json} == expected
    assert {each["id"] for each in broker.post(f"{QUERY}?local=true", query).expect(200).json} == expected
    broker.post(f"{QUERY}?local=false", query).expect_problem("BadRequestData")


@clause("6.23.3.1", 1)
@clause("5.7.2.4", 20)
def test_a_query_in_a_body_is_answered_in_pages(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(5)]
    broker.post("/entityOperations/create", [entity(each, unique.type(), size=prop(1)) for each in ids]).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "q": "size==1"}
    answer = broker.post(f"{QUERY}?limit=2&count=true", query).expect(200)
    assert answer.header("NGSILD-Results-Count") == "5"
    found = [each["id"] for each in answer.json]
    while (link := answer.link("next")) is not None:
        answer = broker.post(link, query).expect(200)
        found += [each["id"] for each in answer.json]
    assert sorted(found) == ids


@clause("5.7.2.4", 24)
@clause("6.23.3.1", 1)
def test_a_query_in_a_body_may_be_answered_as_a_feature_collection(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]), yard=geo("Point", [9, 41]))
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    answer = broker.post(f"{QUERY}?geometryProperty=yard", query, accept="application/geo+json").expect(200)
    assert (answer.media_type, answer.json["type"]) == ("application/geo+json", "FeatureCollection")
    assert [feature["geometry"]["coordinates"] for feature in answer.json["features"]] == [[9, 41]]
