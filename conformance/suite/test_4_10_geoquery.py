"""4.10 NGSI-LD Geoquery Language: relationships between the geometries of entities and a reference geometry."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, prop
from conformance.servers import DocumentServer

SQUARE = [[[100.0, 0.0], [101.0, 0.0], [101.0, 1.0], [100.0, 1.0], [100.0, 0.0]]]
TURNED = [[[101.0, 1.0], [100.0, 1.0], [100.0, 0.0], [101.0, 0.0], [101.0, 1.0]]]
SMALL = [[[100.4, 0.4], [100.6, 0.4], [100.6, 0.6], [100.4, 0.6], [100.4, 0.4]]]
SHIFTED = [[[100.5, 0.5], [101.5, 0.5], [101.5, 1.5], [100.5, 1.5], [100.5, 0.5]]]
DISTANT = [[[110.0, 0.0], [111.0, 0.0], [111.0, 1.0], [110.0, 1.0], [110.0, 0.0]]]
PIERCED = [[*SQUARE[0]], [*SMALL[0][::-1]]]

Row = tuple[str, str, Any, list[Document], list[Document]]
"""georel, geometry and coordinates, then GeoProperties that match and GeoProperties that do not."""

NEAR: list[Row] = [
    (
        "near;maxDistance==2000",
        "Point",
        [8, 40],
        [geo("Point", [8, 40]), geo("Point", [8.01, 40]), geo("LineString", [[7, 40.01], [9, 40.01]])],
        [geo("Point", [8.1, 40]), geo("Point", [-172, -40])],
    ),
    (
        "near;minDistance==2000",
        "Point",
        [8, 40],
        [geo("Point", [8.1, 40]), geo("Point", [-172, -40])],
        [geo("Point", [8, 40]), geo("Point", [8.01, 40])],
    ),
    ("near;maxDistance==1.5e3", "Point", [0, 80], [geo("Point", [0.07, 80])], [geo("Point", [0.1, 80])]),
    ("near;maxDistance==5000", "Point", [179.99, 0], [geo("Point", [-179.99, 0])], [geo("Point", [179.9, 0])]),
    (
        "near;maxDistance==2000",
        "LineString",
        [[7, 40], [9, 40]],
        [geo("Point", [8, 40.01])],
        [geo("Point", [8, 40.1])],
    ),
    (
        "near;maxDistance==2000",
        "Polygon",
        SQUARE,
        [geo("Point", [100.5, 0.5]), geo("Point", [101.01, 0.5])],
        [geo("Point", [101.1, 0.5])],
    ),
]

WITHIN: list[Row] = [
    (
        "within",
        "Polygon",
        SQUARE,
        [geo("Point", [100.5, 0.5]), geo("Polygon", SMALL), geo("LineString", [[100.1, 0.1], [100.9, 0.9]])],
        [geo("Point", [102, 0.5]), geo("Point", [101.0, 0.5]), geo("Polygon", SHIFTED), geo("Polygon", DISTANT)],
    ),
    ("within", "Polygon", PIERCED, [geo("Point", [100.2, 0.2])], [geo("Point", [100.5, 0.5])]),
    (
        "within",
        "MultiPolygon",
        [SQUARE, DISTANT],
        [geo("Point", [100.5, 0.5]), geo("Point", [110.5, 0.5])],
        [geo("Point", [105, 0.5])],
    ),
]

CONTAINS: list[Row] = [
    (
        "contains",
        "Point",
        [100.5, 0.5],
        [geo("Polygon", SQUARE), geo("Polygon", SMALL)],
        [geo("Polygon", DISTANT), geo("Polygon", PIERCED), geo("Point", [100.6, 0.5])],
    ),
    ("contains", "Polygon", SMALL, [geo("Polygon", SQUARE)], [geo("Polygon", SHIFTED), geo("Point", [100.5, 0.5])]),
]

OVERLAPS: list[Row] = [
    (
        "overlaps",
        "Polygon",
        SQUARE,
        [geo("Polygon", SHIFTED)],
        [geo("Polygon", SMALL), geo("Polygon", SQUARE), geo("Polygon", DISTANT), geo("Point", [100.5, 0.5])],
    ),
]

INTERSECTS: list[Row] = [
    (
        "intersects",
        "Polygon",
        SQUARE,
        [geo("Polygon", SHIFTED), geo("Point", [101.0, 0.5]), geo("LineString", [[99, 0.5], [102, 0.5]])],
        [geo("Polygon", DISTANT), geo("Point", [102, 0.5])],
    ),
    (
        "intersects",
        "LineString",
        [[0, 0], [2, 2]],
        [geo("LineString", [[0, 2], [2, 0]]), geo("Point", [1, 1])],
        [geo("LineString", [[0, 1], [1, 2]])],
    ),
]

DISJOINT: list[Row] = [
    (
        "disjoint",
        "Polygon",
        SQUARE,
        [geo("Polygon", DISTANT), geo("Point", [102, 0.5])],
        [geo("Polygon", SHIFTED), geo("Point", [100.5, 0.5]), geo("Point", [101.0, 0.5])],
    ),
]

EQUALS: list[Row] = [
    ("equals", "Point", [8, 40], [geo("Point", [8.0, 40.0])], [geo("Point", [8, 40.0001])]),
    ("equals", "Polygon", SQUARE, [geo("Polygon", SQUARE), geo("Polygon", TURNED)], [geo("Polygon", SMALL)]),
    (
        "equals",
        "LineString",
        [[0, 0], [1, 1]],
        [geo("LineString", [[1, 1], [0, 0]])],
        [geo("LineString", [[0, 0], [1, 2]])],
    ),
    ("equals", "MultiPoint", [[0, 0], [1, 1]], [geo("MultiPoint", [[1, 1], [0, 0]])], [geo("MultiPoint", [[0, 0]])]),
]


@pytest.mark.parametrize(
    ("georel", "geometry", "coordinates", "matching", "others"),
    [
        pytest.param(*row, id=f"{row[0]} {row[1]}", marks=pytest.mark.clause("4.10", requirement, 3, 13))
        for requirement, table in (
            (1, NEAR),
            (6, EQUALS),
            (7, DISJOINT),
            (8, INTERSECTS),
            (9, WITHIN),
            (10, CONTAINS),
            (11, OVERLAPS),
        )
        for row in table
    ],
)
def test_a_relationship_selects_the_entities_whose_location_stands_in_it(
    broker: BrokerClient,
    unique: Unique,
    georel: str,
    geometry: str,
    coordinates: Any,
    matching: list[Document],
    others: list[Document],
) -> None:
    wanted = [entity(unique.id(), unique.type(), location=place) for place in matching]
    unwanted = [entity(unique.id(), unique.type(), location=place) for place in others]
    broker.post("/entityOperations/create", [*wanted, *unwanted]).expect(201)
    reference = {"georel": georel, "geometry": geometry, "coordinates": orjson.dumps(coordinates).decode()}
    answer = broker.get("/entities", {"type": unique.type(), **reference}).expect(200)
    assert {each["id"] for each in answer.json} == {each["id"] for each in wanted}


@clause("4.10", 12)
@pytest.mark.parametrize(
    "georel",
    [
        "near;maxDistance==2000",
        "near;minDistance==2000",
        "within",
        "contains",
        "overlaps",
        "intersects",
        "equals",
        "disjoint",
    ],
)
def test_an_entity_without_the_geo_property_never_matches(broker: BrokerClient, unique: Unique, georel: str) -> None:
    placeless = entity(unique.id(), unique.type(), name=prop("nowhere"))
    elsewhere = entity(unique.id(), unique.type(), observationSpace=geo("Polygon", SQUARE))
    broker.post("/entityOperations/create", [placeless, elsewhere]).expect(201)
    reference = {"georel": georel, "geometry": "Polygon", "coordinates": orjson.dumps(SQUARE).decode()}
    broker.get("/entities", {"type": unique.type(), **reference}).expect(200).expect_json([])


@clause("4.10", 4)
def test_geoproperty_names_the_property_that_counts(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    yard = f"https://example.org/{unique.name('yard')}"
    here, there = geo("Point", [8, 40]), geo("Point", [9, 50])
    one = entity(unique.id(), unique.type(), location=there, observationSpace=here, **{yard: there})
    other = entity(unique.id(), unique.type(), location=here, observationSpace=there, **{yard: here})
    broker.post("/entityOperations/create", [one, other]).expect(201)
    query = {
        "type": unique.type(),
        "georel": "near;maxDistance==2000",
        "geometry": "Point",
        "coordinates": "[8,40]",
    }

    def found(geoproperty: str | None) -> list[str]:
        answer = broker.get(
            "/entities", {**query, "geoproperty": geoproperty}, link=documents.publish_context(garden=yard)
        )
        return [each["id"] for each in answer.expect(200).json]

    assert found(None) == [other["id"]]
    assert found("location") == [other["id"]]
    assert found("observationSpace") == [one["id"]]
    assert found("garden") == [other["id"]]
    assert found("unheardOf") == []


@clause("5.7.2.4", 25)
@pytest.mark.parametrize("georel", ["near;maxDistance==2000", "intersects", "within"])
def test_one_of_several_instances_of_a_geo_property_is_enough(
    broker: BrokerClient, unique: Unique, georel: str
) -> None:
    places = [geo("Point", [50, 50]), geo("Point", [100.5, 0.5], datasetId="urn:dataset:2")]
    one = entity(unique.id(), unique.type(), location=places)
    broker.post("/entities", one).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), location=places[:1])).expect(201)
    reference = {"georel": georel, "geometry": "Polygon", "coordinates": orjson.dumps(SQUARE).decode()}
    answer = broker.get("/entities", {"type": unique.type(), **reference}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.10", 5)
def test_a_geoquery_may_be_percent_encoded_throughout(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]))
    broker.post("/entities", one).expect(201)
    georel, coordinates = quote("near;maxDistance==2000", safe=""), quote("[8,40]", safe="")
    target = f"/entities?type={unique.type()}&georel={georel}&geometry=%50oint&coordinates={coordinates}"
    assert [each["id"] for each in broker.get(target).expect(200).json] == [one["id"]]


@pytest.mark.parametrize(
    ("georel", "geometry", "coordinates"),
    [
        pytest.param(*row, marks=pytest.mark.clause("4.10", requirement))
        for requirement, *row in (
            (2, "near;maxDistance==0", "Point", "[8,40]"),
            (2, "near;maxDistance==-5", "Point", "[8,40]"),
            (2, "near;minDistance==0", "Point", "[8,40]"),
            (2, "near;maxDistance==far", "Point", "[8,40]"),
            (2, "near;maxDistance==", "Point", "[8,40]"),
            (2, "near;maxDistance==05", "Point", "[8,40]"),
            (2, 'near;maxDistance=="5"', "Point", "[8,40]"),
            (14, "near", "Point", "[8,40]"),
            (14, "near;maxDistance=2000", "Point", "[8,40]"),
            (14, "near;distance==2000", "Point", "[8,40]"),
            (14, "beside", "Point", "[8,40]"),
            (14, "within;maxDistance==2000", "Polygon", "[[[0,0],[1,0],[1,1],[0,0]]]"),
            (3, "within", "GeometryCollection", "[]"),
            (3, "within", "Circle", "[8,40]"),
            (3, "within", "polygon", "[[[0,0],[1,0],[1,1],[0,0]]]"),
            (3, "within", "Polygon", "[8,40]"),
            (3, "within", "Polygon", "[[[0,0],[1,0],[1,1]]]"),
            (3, "within", "Polygon", "[[[0,0],[1,0],[1,1],[0,1]]]"),
            (3, "intersects", "Point", "[[8,40]]"),
            (3, "intersects", "Point", "[8]"),
            (3, "intersects", "Point", '["8","40"]'),
            (3, "intersects", "Point", "8,40"),
            (3, "intersects", "Point", '{"type":"Point","coordinates":[8,40]}'),
            (3, "intersects", "LineString", "[[8,40]]"),
        )
    ],
)
@clause("5.7.2.4", 2)
def test_what_is_no_geoquery_is_refused(
    broker: BrokerClient, unique: Unique, georel: str, geometry: str, coordinates: str
) -> None:
    query = {"type": unique.type(), "georel": georel, "geometry": geometry, "coordinates": coordinates}
    broker.get("/entities", query).expect_problem("BadRequestData")


@clause("6.4.3.2", 6)
@clause("4.10", 14)
@pytest.mark.parametrize("missing", [["georel"], ["geometry"], ["coordinates"], ["georel", "geometry"]], ids=str)
def test_a_geoquery_is_complete_or_refused(broker: BrokerClient, unique: Unique, missing: list[str]) -> None:
    whole = {"georel": "within", "geometry": "Polygon", "coordinates": "[[[0,0],[1,0],[1,1],[0,0]]]"}
    part = {name: value for name, value in whole.items() if name not in missing}
    broker.get("/entities", {"type": unique.type(), **part}).expect_problem("BadRequestData")


@clause("6.4.3.2", 9)
def test_geoproperty_without_a_geoquery_is_ignored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), name=prop("placeless"))
    broker.post("/entities", one).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "geoproperty": "observationSpace"}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]
