"""GeoJSON geometries (4.7): what is one and what is not."""

from typing import Any

import pytest
from hypothesis import given, settings
from strategies_entities import geometries

from broker.errors import BadRequestData
from broker.model.geometry import check_geometry, is_geometry_shaped

RING = [[0, 0], [1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [1, 2.5]},
        {"type": "Point", "coordinates": [500, -500, 3]},
        {"type": "MultiPoint", "coordinates": [[1, 2]]},
        {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": [RING, RING]},
        {"type": "MultiPolygon", "coordinates": [[RING], [RING, RING]]},
        {"type": "Point", "coordinates": [1, 2], "bbox": [1, 2, 1, 2], "foreign": {"a": 1}},
    ],
)
def test_4_7_1_every_geometry_but_a_collection_is_accepted(geometry: dict[str, Any]) -> None:
    assert check_geometry(geometry, "location") is geometry
    assert is_geometry_shaped(geometry)


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "GeometryCollection", "geometries": []}, "GeometryCollection"),
        ({"type": "Circle", "coordinates": [1, 2]}, "Circle"),
        ({"coordinates": [1, 2]}, "None"),
        ({"type": ["Point"], "coordinates": [1, 2]}, "Point"),
        ({"type": "Point"}, "position"),
        ({"type": "Point", "coordinates": [1]}, "position"),
        ({"type": "Point", "coordinates": [1, 2, 3, 4]}, "position"),
        ({"type": "Point", "coordinates": ["1", 2]}, "number"),
        ({"type": "Point", "coordinates": [True, 2]}, "number"),
        ({"type": "Point", "coordinates": [float("inf"), 2]}, "finite"),
        ({"type": "Point", "coordinates": [None, 2]}, "number"),
        ({"type": "MultiPoint", "coordinates": [1, 2]}, "position"),
        ({"type": "MultiPoint", "coordinates": []}, "at least 1"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "at least 2"),
        ({"type": "Polygon", "coordinates": RING}, "ring"),
        ({"type": "Polygon", "coordinates": []}, "at least 1"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, "at least 4"),
        ({"type": "Polygon", "coordinates": [[*RING[:3], [5, 5]]]}, "not closed"),
        ({"type": "MultiPolygon", "coordinates": [RING]}, "ring"),
        ({"type": "Point", "coordinates": [1, 2], "bbox": "x"}, "bbox"),
        ([1, 2], "array"),
        (5, "number"),
        (None, "null"),
    ],
)
def test_4_7_1_anything_else_is_refused_with_a_reason(geometry: object, reason: str) -> None:
    with pytest.raises(BadRequestData, match=rf"^location: .*{reason}"):
        check_geometry(geometry, "location")


def test_4_7_2_the_json_text_of_a_geometry_becomes_an_object() -> None:
    assert check_geometry('{"type": "Point", "coordinates": [17.1, 48.7]}', "location") == {
        "type": "Point",
        "coordinates": [17.1, 48.7],
    }
    deep = '{"type": "Point", "coordinates": [1, 2], "x": ' + "[" * 500 + "]" * 500 + "}"
    for text in ("not a geometry", "5", "[1, 2]", '{"type": "Point"}', "{", deep, '"' * 3):
        with pytest.raises(BadRequestData, match=r"^location: "):
            check_geometry(text, "location")


@settings(deadline=None)
@given(geometries)
def test_random_geometries_are_valid(geometry: dict[str, Any]) -> None:
    assert check_geometry(geometry, "location") is geometry
