"""4.7 Geospatial Properties, 5.2.7 GeoProperty."""

from typing import Any

import orjson
import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, prop, rel

_SQUARE = [[[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [9.5, 0.5], [0.5, 0.5]]]
_HOLE = [[2.5, 2.5], [3.5, 2.5], [3.5, 3.5], [2.5, 2.5]]
_GEOMETRIES = [
    ("Point", [135.75, 35.0]),
    ("Point", [135.75, 35.0, 50.5]),
    ("Point", [-180, -90]),
    ("MultiPoint", [[1.5, 2.5], [3.5, 4.5]]),
    ("LineString", [[1.5, 2.5], [3.5, 4.5], [1.5, 2.5]]),
    ("MultiLineString", [[[1.5, 2.5], [3.5, 4.5]], [[5.5, 6.5], [7.5, 8.5]]]),
    ("Polygon", _SQUARE),
    ("Polygon", [*_SQUARE, _HOLE]),
    ("MultiPolygon", [_SQUARE, [_HOLE]]),
]
_NO_GEOMETRIES: list[Any] = [
    {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1.5, 2.5]}]},
    {"type": "Circle", "coordinates": [1.5, 2.5]},
    {"type": "point", "coordinates": [1.5, 2.5]},
    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1.5, 2.5]}, "properties": {}},
    {"type": "Point"},
    {"coordinates": [1.5, 2.5]},
    {"type": "Point", "coordinates": []},
    {"type": "Point", "coordinates": [1.5]},
    {"type": "Point", "coordinates": ["1.5", "2.5"]},
    {"type": "Point", "coordinates": "1.5,2.5"},
    {"type": "Point", "coordinates": [[1.5, 2.5]]},
    {"type": "LineString", "coordinates": [[1.5, 2.5]]},
    {"type": "LineString", "coordinates": [1.5, 2.5]},
    {"type": "Polygon", "coordinates": [[[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [9.5, 0.5]]]},
    {"type": "Polygon", "coordinates": [[[0.5, 0.5], [0.5, 9.5], [0.5, 0.5]]]},
    {"type": "Polygon", "coordinates": _SQUARE[0]},
    {"type": "MultiPolygon", "coordinates": _SQUARE},
    {},
    [135.75, 35.0],
    5,
    True,
]


@pytest.mark.parametrize(("kind", "coordinates"), _GEOMETRIES)
@clause("4.7.1", 1, 2)
@clause("4.7.2", 2)
@clause("4.2.3", 3, 7)
@clause("4.6.3", 1)
@clause("5.2.7", 3)
def test_all_geometries_but_collections_are_kept(
    broker: BrokerClient, unique: Unique, kind: str, coordinates: Any
) -> None:
    place = geo(kind, coordinates, source=prop("survey"), by=rel("urn:a:1"), observedAt="2026-01-01T00:00:00Z")
    one = entity(unique.id(), unique.type(), location=place, parked=geo(kind, coordinates))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("value", _NO_GEOMETRIES, ids=str)
@clause("4.7.1", 3)
@clause("5.2.7", 3)
def test_a_value_that_is_no_geometry_is_refused(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), parked={"type": "GeoProperty", "value": value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("name", ["location", "observationSpace", "operationSpace"])
@clause("4.7.1", 4)
@clause("5.2.4", 1)
def test_the_defined_geo_properties_hold_geometries(broker: BrokerClient, unique: Unique, name: str) -> None:
    one = entity(unique.id(), unique.type(), **{name: geo("Point", [135.75, 35.0])})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    for bad in (prop(5), rel("urn:a:1"), "Kyoto", [135.75, 35.0]):
        broker.post("/entities", entity(unique.id(), unique.type(), **{name: bad})).expect_problem("BadRequestData")
    broker.get("/entities", {"type": unique.type()}).expect_json([one])


@pytest.mark.parametrize(("kind", "coordinates"), _GEOMETRIES)
@clause("4.7.2", 1)
def test_a_geometry_may_come_as_its_json_text(
    broker: BrokerClient, unique: Unique, kind: str, coordinates: Any
) -> None:
    geometry = {"type": kind, "coordinates": coordinates}
    text = orjson.dumps(geometry).decode()
    one = entity(unique.id(), unique.type(), parked={"type": "GeoProperty", "value": text})
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["parked"]["value"]
    assert (orjson.loads(shown) if isinstance(shown, str) else shown) == geometry


@pytest.mark.parametrize(
    "value", [*(orjson.dumps(each).decode() for each in _NO_GEOMETRIES), "", "Kyoto", "{", "1.5,2.5"]
)
@clause("4.7.2", 1)
def test_a_text_that_is_no_geometry_is_refused(broker: BrokerClient, unique: Unique, value: str) -> None:
    one = entity(unique.id(), unique.type(), parked={"type": "GeoProperty", "value": value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.7.2", 1)
@clause("4.7.1", 2)
def test_a_geometry_that_came_as_text_is_found_by_geo_queries(broker: BrokerClient, unique: Unique) -> None:
    text = '{"type": "Point", "coordinates": [135.75, 35.0]}'
    one = entity(unique.id(), unique.type(), location={"type": "GeoProperty", "value": text})
    broker.post("/entities", one).expect(201)
    near = {"georel": "near;maxDistance==1000", "geometry": "Point", "type": one["type"]}
    found = broker.get("/entities", {**near, "coordinates": "[135.75,35.0]"}).expect(200).json
    assert [each["id"] for each in found] == [one["id"]]
    broker.get("/entities", {**near, "coordinates": "[139.75,35.0]"}).expect(200).expect_json([])


@pytest.mark.parametrize(
    "coordinates", [[135, 35], [135.0, 35.0], [135.768029, 35.011636], [1e2, 3.5e1], [-0.5, 0]], ids=str
)
@clause("4.7.2", 3)
def test_coordinates_are_floating_point_numbers(broker: BrokerClient, unique: Unique, coordinates: list[float]) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", coordinates))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["location"]["value"]["coordinates"]
    assert shown == pytest.approx(coordinates, abs=1e-6)


# --- concise (4.7.3)


@pytest.mark.parametrize(("kind", "coordinates"), _GEOMETRIES)
@clause("4.7.3", 1, 2, 3, 4)
@clause("5.2.7", 1)
def test_a_geo_property_without_sub_attributes_is_its_geometry(
    broker: BrokerClient, unique: Unique, kind: str, coordinates: Any
) -> None:
    geometry = {"type": kind, "coordinates": coordinates}
    one = entity(unique.id(), unique.type(), location=geometry, parked=geometry)
    broker.post("/entities", one).expect(201)
    normalized = geo(kind, coordinates)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "location": normalized, "parked": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)


@pytest.mark.parametrize(
    ("concise", "members"),
    [
        ({"source": "survey"}, {"source": prop("survey")}),
        ({"by": {"object": "urn:a:1"}}, {"by": rel("urn:a:1")}),
        ({"observedAt": "2026-01-01T00:00:00Z"}, {"observedAt": "2026-01-01T00:00:00Z"}),
        ({"datasetId": "urn:a:1"}, {"datasetId": "urn:a:1"}),
        ({"of": {"type": "Point", "coordinates": [1.5, 2.5]}}, {"of": geo("Point", [1.5, 2.5])}),
    ],
    ids=str,
)
@clause("4.7.3", 5, 6)
def test_a_geo_property_with_more_than_its_geometry_is_an_object(
    broker: BrokerClient, unique: Unique, concise: dict[str, Any], members: dict[str, Any]
) -> None:
    parked = {"value": {"type": "Point", "coordinates": [135.75, 35.0]}, **concise}
    one = entity(unique.id(), unique.type(), parked=parked)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "parked": geo("Point", [135.75, 35.0], **members)})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"type": "Point"}, marks=pytest.mark.clause("4.7.3", 3)),
        pytest.param({"type": "Point", "coordinates": [1.5]}, marks=pytest.mark.clause("4.7.3", 3)),
        pytest.param({"coordinates": [1.5, 2.5]}, marks=pytest.mark.clause("4.7.3", 2)),
        pytest.param({"type": "GeometryCollection", "geometries": []}, marks=pytest.mark.clause("4.7.3", 2)),
        pytest.param({"type": "Circle", "coordinates": [1.5, 2.5]}, marks=pytest.mark.clause("4.7.3", 2)),
    ],
    ids=str,
)
def test_a_location_whose_concise_value_is_no_geometry_is_refused(
    broker: BrokerClient, unique: Unique, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), location=value)
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.2.7", 1)
@clause("4.7.1", 2)
def test_a_property_whose_value_is_a_geometry_stays_a_property(broker: BrokerClient, unique: Unique) -> None:
    told = prop({"type": "Point", "coordinates": [135.75, 35.0]})
    one = entity(unique.id(), unique.type(), told=told)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
