"""Geoqueries (4.10): parameters, the seven relationships, distances and boxes."""

import random
import subprocess
import sys
import time
from itertools import product
from math import inf
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely.geometry import shape as from_geojson
from strategies_queries import BASE, ExampleNames, geo_queries, geometries

from broker.errors import BadRequestData, TooComplexQuery
from broker.model.entity import Entity, JsonObject
from broker.model.terms import LOCATION, OBSERVATION_SPACE
from broker.query.ast import GeoQuery
from broker.query.evaluate import matches_geo
from broker.query.geo import parse_geo_query
from broker.query.geometry import bounding_box, distance, haversine, relates, search_box

NAMES = ExampleNames()
SQUARE = [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]
HOLED = [*SQUARE, [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]]


def geo(georel: str, geometry: str, coordinates: Any, geoproperty: str | None = None) -> GeoQuery:
    return parse_geo_query(georel, geometry, coordinates, geoproperty, NAMES)


def shape(kind: str, coordinates: Any) -> JsonObject:
    return {"type": kind, "coordinates": coordinates}


def point(longitude: float, latitude: float) -> JsonObject:
    return shape("Point", [longitude, latitude])


# --- parameters ------------------------------------------------------------------------------------------------------


def test_4_10_example_1() -> None:
    assert geo("near;maxDistance==2000", "Point", "[8,40]", "observationSpace") == GeoQuery(
        "near", "Point", "[8,40]", BASE + "observationSpace", max_distance=2000.0
    )
    assert geo("near;minDistance==0.5e3", "Point", [8, 40]).min_distance == 500


def test_4_10_the_default_geoproperty_is_location() -> None:
    assert geo("within", "Polygon", SQUARE).geoproperty == LOCATION
    assert geo("within", "Polygon", SQUARE, OBSERVATION_SPACE).geoproperty == OBSERVATION_SPACE


def test_5_2_13_coordinates_are_an_array_or_its_text() -> None:
    text = "[[[0,0],[10,0],[10,10],[0,10],[0,0]]]"
    assert geo("within", "Polygon", text) == geo("within", "Polygon", SQUARE)
    assert geo("within", "Polygon", text).coordinates == text


@pytest.mark.parametrize(
    "georel",
    [
        "",
        "touches",
        "near",
        "near;",
        "near;maxDistance==0",
        "near;maxDistance==0.0",
        "near;maxDistance==-100",
        "near;maxDistance==+1",
        "near;maxDistance==inf",
        "near;maxDistance==1e400",
        "near;maxDistance==1e-400",
        "near;maxDistance==1 ",
        "near;maxDistance=5",
        "near;maxDistance==5;minDistance==1",
        "near;distance==5",
        "within;maxDistance==5",
        "near;maxDistance==１",
    ],
)
def test_4_10_georel_that_is_none(georel: str) -> None:
    with pytest.raises(BadRequestData, match=r"^georel: "):
        geo(georel, "Point", [8, 40])


@pytest.mark.parametrize(
    ("geometry", "coordinates", "culprit"),
    [
        ("GeometryCollection", [], "geometry"),
        ("point", [8, 40], "geometry"),
        ("Point", "[8,40", "coordinates"),
        ("Point", "8,40", "coordinates"),
        ("Point", "{}", "coordinates"),
        ("Point", [8], "coordinates"),
        ("Point", ["8", "40"], "coordinates"),
        ("Polygon", [[8, 40], [9, 40], [9, 41]], "coordinates"),
        ("LineString", [8, 40], "coordinates"),
        ("Point", [181, 40], "coordinates"),
        ("Point", [8, 91], "coordinates"),
    ],
)
def test_4_10_a_reference_geometry_that_is_none(geometry: str, coordinates: Any, culprit: str) -> None:
    with pytest.raises(BadRequestData, match=f"^{culprit}: "):
        geo("near;maxDistance==1", geometry, coordinates)


@pytest.mark.parametrize("missing", ["georel", "geometry", "coordinates"])
def test_4_10_all_three_are_needed(missing: str) -> None:
    given: dict[str, Any] = {"georel": "within", "geometry": "Polygon", "coordinates": SQUARE, missing: None}
    with pytest.raises(BadRequestData, match=f"^{missing}: "):
        parse_geo_query(**given, geoproperty=None, names=NAMES)


def test_the_reference_geometry_is_bounded() -> None:
    with pytest.raises(TooComplexQuery, match=r"^coordinates: "):
        geo("disjoint", "MultiPoint", [[8, 40]] * 100_000)
    with pytest.raises(TooComplexQuery, match="10000 positions"):
        geo("disjoint", "MultiPoint", [[8, 40]] * 10_001)
    assert geo("disjoint", "MultiPoint", [[8, 40]] * 10_000)


# --- relationships ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("georel", "geometry", "coordinates", "target", "expected"),
    [
        ("within", "Polygon", SQUARE, point(5, 5), True),
        ("within", "Polygon", SQUARE, point(0, 5), False),
        ("within", "Polygon", SQUARE, point(11, 5), False),
        ("within", "Polygon", HOLED, point(5, 5), False),
        ("within", "Polygon", HOLED, point(2, 2), True),
        ("within", "MultiPolygon", [HOLED], shape("LineString", [[1, 1], [1, 2]]), True),
        ("contains", "Point", [5, 5], shape("Polygon", SQUARE), True),
        ("contains", "Point", [5, 5], shape("Polygon", HOLED), False),
        ("contains", "Point", [5, 5], point(5, 5), True),
        ("intersects", "Point", [0, 5], shape("Polygon", SQUARE), True),
        ("intersects", "LineString", [[-1, -1], [5, 5]], shape("Polygon", SQUARE), True),
        ("intersects", "LineString", [[-1, -1], [-5, 5]], shape("Polygon", SQUARE), False),
        ("disjoint", "Point", [0, 5], shape("Polygon", SQUARE), False),
        ("disjoint", "Point", [-1, 5], shape("Polygon", SQUARE), True),
        ("overlaps", "Polygon", SQUARE, shape("Polygon", [[[5, 5], [15, 5], [15, 15], [5, 15], [5, 5]]]), True),
        ("overlaps", "Polygon", SQUARE, shape("Polygon", [[[5, 5], [6, 5], [6, 6], [5, 6], [5, 5]]]), False),
        ("overlaps", "Point", [5, 5], shape("Polygon", SQUARE), False),
        ("equals", "Point", [5, 5], point(5.0, 5.0), True),
        ("equals", "Point", [5, 5, 100], point(5, 5), True),
        ("equals", "Polygon", SQUARE, shape("Polygon", [[[10, 0], [10, 10], [0, 10], [0, 0], [10, 0]]]), True),
        ("equals", "Polygon", SQUARE, shape("Polygon", HOLED), False),
        ("equals", "MultiPoint", [[1, 1], [2, 2]], shape("MultiPoint", [[2, 2], [1, 1]]), True),
    ],
)
def test_4_10_topological_relationships(
    georel: str, geometry: str, coordinates: Any, target: JsonObject, expected: bool
) -> None:
    assert relates(geo(georel, geometry, coordinates), target) is expected


def test_4_10_a_polygon_that_crosses_itself_covers_what_it_covers() -> None:
    bow_tie = [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]
    assert relates(geo("within", "Polygon", bow_tie), point(1, 5))
    assert not relates(geo("within", "Polygon", bow_tie), point(5, 1))
    assert relates(geo("equals", "Polygon", bow_tie), shape("Polygon", bow_tie))


@pytest.mark.parametrize("georel", ["within", "contains", "overlaps", "intersects", "equals", "disjoint"])
@pytest.mark.parametrize(
    "target",
    [
        shape("LineString", [[1, 1], [1, 1]]),
        shape("Polygon", [[[1, 1], [1, 1], [1, 1], [1, 1]]]),
        shape("Polygon", [[[1, 1], [2, 2], [3, 3], [1, 1]]]),
        shape("Point", [1e308, -1e308]),
        shape("Polygon", [[[-1e308, 0], [1e308, 1e308], [1e308, 0], [-1e308, 1e308], [-1e308, 0]]]),
        shape("MultiPolygon", [SQUARE, SQUARE]),
    ],
)
def test_geometries_without_sense_do_no_harm(georel: str, target: JsonObject) -> None:
    for reference in (shape("Polygon", SQUARE), target):
        query = geo(georel, reference["type"], reference["coordinates"])
        assert relates(query, target) in (True, False)
        assert distance(reference, target) >= 0


def test_4_10_entities_without_the_geoproperty_do_not_match() -> None:
    def entity(**attrs: Any) -> Entity:
        return {
            "id": "urn:x:1",
            "type": ["urn:x:T"],
            "createdAt": "",
            "modifiedAt": "",
            "version": 1,
            "attrs": {NAMES.expand(name): found for name, found in attrs.items()},
        }

    here = {"type": "GeoProperty", "value": point(8, 40)}
    there = {"type": "GeoProperty", "value": point(20, 40), "datasetId": "urn:d:1"}
    near, far = geo("near;maxDistance==2000", "Point", [8, 40]), geo("disjoint", "Point", [8, 40])
    assert matches_geo(near, entity(location=[there, here]))
    assert matches_geo(far, entity(location=[there, here]))
    assert not matches_geo(near, entity(location=[there]))
    assert not matches_geo(far, entity(other=[here]))
    assert not matches_geo(far, entity(location=[{"type": "Property", "value": "Kyoto"}]))


# --- distances -------------------------------------------------------------------------------------------------------


def near(metres: float, geometry: str, coordinates: Any, target: JsonObject) -> bool:
    inside = relates(geo(f"near;maxDistance=={metres}", geometry, coordinates), target)
    assert relates(geo(f"near;minDistance=={metres}", geometry, coordinates), target) is not inside
    return inside


def test_4_10_near_points() -> None:
    assert haversine((0, 0), (0, 1)) == pytest.approx(111_195, abs=1)
    assert near(15_000, "Point", [13.388930, 52.534473], point(13.3986, 52.5547))
    assert not near(2_000, "Point", [13.388930, 52.534473], point(13.3986, 52.5547))


def test_4_10_near_measures_from_the_nearest_point_of_an_extended_geometry() -> None:
    assert near(2_000, "LineString", [[0, 60], [10, 60]], point(10, 60.009))
    assert not near(2_000, "LineString", [[0, 61], [10, 61]], point(10, 60.009))
    assert near(1, "Polygon", SQUARE, point(5, 5))
    assert distance(shape("Polygon", HOLED), point(5, 5)) == pytest.approx(haversine((5, 5), (4, 5)), rel=1e-4)


def test_4_10_near_is_metric_at_high_latitudes() -> None:
    line = shape("LineString", [[1, 85], [0, 85.6]])
    assert near(20_000, "Point", [0, 85], line)
    assert not near(5_000, "Point", [0, 85], line)


def test_4_10_near_across_the_antimeridian_and_the_pole() -> None:
    assert near(25_000, "Point", [179.9, 0], point(-179.9, 0))
    assert near(25_000, "Point", [179.9, 0], shape("LineString", [[-179.9, 0], [-179.8, 0]]))
    assert near(25_000, "Point", [0, 89.9], point(180, 89.9))


def test_what_leaves_the_world_is_near_nothing() -> None:
    assert distance(point(0, 0), point(181, 0)) == inf
    assert not near(1e9, "Point", [179, 0], point(181, 0))


def brute_force(one: JsonObject, other: JsonObject) -> float:
    """The shortest haversine distance between many points of two lines."""

    def sampled(line: JsonObject) -> list[tuple[float, float]]:
        (west, south), (east, north) = line["coordinates"]
        return [(west + (east - west) * t / 200, south + (north - south) * t / 200) for t in range(201)]

    return min(haversine(a, b) for a, b in product(sampled(one), sampled(other)))


def test_distances_of_lines_are_within_a_thousandth_of_the_shortest() -> None:
    chance = random.Random(7)
    for _ in range(12):
        longitude, latitude = chance.uniform(-170, 170), chance.uniform(-75, 75)

        def line(longitude: float = longitude, latitude: float = latitude) -> JsonObject:
            start = [longitude + chance.uniform(-1, 1), latitude + chance.uniform(-1, 1)]
            return shape(
                "LineString", [start, [start[0] + chance.uniform(-0.5, 0.5), start[1] + chance.uniform(-0.5, 0.5)]]
            )

        one, other = line(), line()
        shortest = brute_force(one, other)
        assert distance(one, other) <= shortest * 1.001
        assert distance(one, other) >= shortest * 0.999 - 600
        assert distance(one, other) == pytest.approx(distance(other, one), rel=1e-9)


@given(geometries(), geometries())
def test_distance_is_symmetrical_and_zero_where_they_meet(one: JsonObject, other: JsonObject) -> None:
    there, back = distance(one, other), distance(other, one)
    # Where two pairs of points are equally near in the plane, either may be taken: within the accuracy of extended shapes.
    assert there == pytest.approx(back, rel=1e-3, abs=1e-6)
    meets = relates(geo("intersects", one["type"], one["coordinates"]), other)
    # A point that lies on a line in exact arithmetic may be off it in floating point, and its distance 0 all the same.
    assert there == 0 if meets else there >= 0


def test_shapely_and_icu_are_loaded_only_when_they_are_needed() -> None:
    program = (
        "import sys, broker.query.evaluate, broker.query.ordering\n"
        "assert not {'shapely', 'numpy', 'icu4py'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# --- boxes -----------------------------------------------------------------------------------------------------------


@given(
    st.tuples(*[st.sampled_from((0.0, 0.1, 0.2, 0.3))] * 4),
    st.integers(0, 3),
    st.booleans(),
    st.tuples(*[st.sampled_from((-0.1, 0.0, 0.1, 0.15, 0.2, 0.3, 0.30000000000000004))] * 2),
    st.sampled_from(("within", "intersects", "disjoint")),
)
def test_4_10_a_point_and_a_map_extent_are_what_shapely_says(
    box: tuple[float, ...], start: int, reverse: bool, position: tuple[float, float], relation: Any
) -> None:
    west, south, east, north = box
    corners = [[west, south], [east, south], [east, north], [west, north]]
    corners = corners[start:] + corners[:start]
    ring = [*corners, corners[0]]
    polygon = [ring[::-1] if reverse else ring]
    assume(west != east and south != north)
    shape, point = (
        from_geojson({"type": kind, "coordinates": at}) for kind, at in (("Polygon", polygon), ("Point", position))
    )
    query = GeoQuery(relation, "Polygon", orjson.dumps(polygon).decode(), LOCATION)
    assert relates(query, {"type": "Point", "coordinates": list(position)}) == bool(getattr(point, relation)(shape))


def test_bounding_box() -> None:
    assert bounding_box(point(8, 40)) == (8, 40, 8, 40)
    assert bounding_box(shape("MultiPolygon", [HOLED, [[[20, -5], [21, -5], [21, 0], [20, -5]]]])) == (0, -5, 21, 10)


def test_search_boxes() -> None:
    assert search_box(geo("within", "Polygon", SQUARE)) == (0, 0, 10, 10)
    assert search_box(geo("disjoint", "Polygon", SQUARE)) is None
    assert search_box(geo("near;minDistance==5", "Point", [8, 40])) is None
    west, south, east, north = search_box(geo("near;maxDistance==111195", "Point", [8, 60])) or (0, 0, 0, 0)
    assert (south, north) == pytest.approx((59, 61), abs=0.001)
    assert (west, east) == pytest.approx((6, 10), abs=0.01)
    assert search_box(geo("near;maxDistance==50000", "Point", [179.9, 0])) == pytest.approx(
        (-180, -0.45, 180, 0.45), abs=0.01
    )
    assert search_box(geo("near;maxDistance==50000", "Point", [0, 89.9])) == pytest.approx(
        (-180, 89.45, 180, 90), abs=0.01
    )
    assert search_box(geo("near;maxDistance==1e9", "Point", [8, 40])) == (-180, -90, 180, 90)


def meets(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return box[0] <= other[2] and other[0] <= box[2] and box[1] <= other[3] and other[1] <= box[3]


@given(geo_queries(), geometries())
def test_nothing_outside_of_the_search_box_matches(query: GeoQuery, target: JsonObject) -> None:
    box = search_box(query)
    if relates(query, target) and box is not None:
        assert meets(box, bounding_box(target))


_anywhere = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@given(_anywhere, _anywhere, st.floats(1, 2.1e7))
def test_nothing_outside_of_the_search_box_is_near(
    here: tuple[float, float], there: tuple[float, float], metres: float
) -> None:
    query = geo(f"near;maxDistance=={metres!r}", "Point", list(here))
    if relates(query, point(*there)):
        box = search_box(query)
        assert box is not None
        assert meets(box, bounding_box(point(*there)))


@given(geo_queries(), geometries())
def test_4_10_disjoint_is_what_does_not_intersect(query: GeoQuery, target: JsonObject) -> None:
    meets_it = relates(geo("intersects", query.geometry, query.coordinates), target)
    assert relates(geo("disjoint", query.geometry, query.coordinates), target) is not meets_it
    for relation in ("within", "contains", "overlaps", "equals"):
        assert meets_it or not relates(geo(relation, query.geometry, query.coordinates), target)


def test_4_10_a_polygon_tangled_beyond_measure_is_decided_at_once_by_its_convex_hull() -> None:
    chance = random.Random(7)
    ring = [[chance.uniform(-60, 60), chance.uniform(-60, 60)] for _ in range(5000)]
    tangle = shape("Polygon", [[*ring, ring[0]]])
    started = time.perf_counter()
    assert relates(geo("intersects", "Point", [0, 0]), tangle)
    assert not relates(geo("intersects", "Point", [100, 80]), tangle)
    assert time.perf_counter() - started < 5, "sorting out a million crossings would take hours"
    bow_tie = shape("Polygon", [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]])
    assert not relates(geo("intersects", "Point", [1, 1.5]), bow_tie), "a few crossings are sorted out"


# --- what it may cost ------------------------------------------------------------------------------------------------


def comb(positions: int, *, turned: bool = False) -> JsonObject:
    """A polygon with many long teeth, upwards from the south or, turned, eastwards from the west."""
    teeth = positions // 4
    width = 80 / (4 * teeth)
    ring: list[list[float]] = []
    for tooth in range(teeth):
        left = tooth * 4 * width
        ring += [[left, 1], [left, 80], [left + 2 * width, 80], [left + 2 * width, 1]]
    ring += [[80, 1], [80, 0], [0, 0], [0, 1]]
    return shape("Polygon", [[[y, x] if turned else [x, y] for x, y in ring]])


def zigzag(positions: int, *, turned: bool = False) -> JsonObject:
    line = [[(number % 2) * 80, number * 80 / positions] for number in range(positions)]
    return shape("LineString", [position[::-1] if turned else position for position in line])


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        *[("within", False), ("contains", False), ("overlaps", True)],
        *[("intersects", True), ("disjoint", False), ("equals", False)],
    ],
)
def test_4_10_areas_that_cross_in_millions_of_places_cost_little(relation: str, expected: bool) -> None:
    one, other = comb(8_000), comb(8_000, turned=True)
    started = time.process_time()
    assert relates(geo(relation, one["type"], one["coordinates"]), other) is expected
    assert time.process_time() - started < 3, "looking at each of four million crossings would take half a minute"


@pytest.mark.parametrize("relation", ["within", "contains", "overlaps", "intersects", "disjoint", "equals"])
def test_4_10_lines_entangled_beyond_measure_are_compared_by_their_convex_hulls(relation: str) -> None:
    one, other = zigzag(4_000), zigzag(4_000, turned=True)
    started = time.process_time()
    expected = relation in ("overlaps", "intersects")
    assert relates(geo(relation, one["type"], one["coordinates"]), other) is expected
    assert time.process_time() - started < 3, "looking at each crossing would take a minute"


def test_4_10_a_geometry_of_too_many_positions_is_its_convex_hull() -> None:
    huge = zigzag(200_000)
    started = time.process_time()
    assert relates(geo("within", "Polygon", [[[-1, -1], [81, -1], [81, 81], [-1, 81], [-1, -1]]]), huge)
    assert relates(geo("intersects", "Point", [40, 40]), huge)
    assert not relates(geo("intersects", "Point", [-1, 40]), huge)
    assert relates(geo("near;maxDistance==200000", "Point", [-1, 40]), huge)
    assert time.process_time() - started < 5


@given(geo_queries(), geometries())
def test_4_10_relationships_are_those_of_simple_features(query: GeoQuery, target: JsonObject) -> None:
    one = from_geojson(shape(query.geometry, orjson.loads(query.coordinates)))
    other = from_geojson(target)
    assume(one.is_valid and other.is_valid and not (one.is_empty or other.is_empty))
    named = {"within": "contains", "contains": "within"}
    for relation in ("within", "contains", "overlaps", "intersects", "disjoint", "equals"):
        expected = getattr(one, named.get(relation, relation))(other)
        assert relates(geo(relation, query.geometry, query.coordinates), target) is bool(expected), relation
