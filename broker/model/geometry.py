"""GeoJSON geometries (4.7, RFC 7946): whether a value is one, by structure alone."""

import math
from collections.abc import Callable
from typing import Any, Final

import orjson

from broker.errors import BadRequestData
from broker.model.entity import JsonObject

_Check = Callable[[Any], str | None]


def check_geometry(value: object, member: str) -> JsonObject:
    """A GeoJSON geometry of any type but GeometryCollection (4.7.1), from an object or its JSON text (4.7.2).

    Raises BadRequestData naming `member` and the reason.
    """
    geometry = _decoded(value, member) if type(value) is str else value
    if type(geometry) is not dict:
        raise BadRequestData(f"{member}: a GeoJSON geometry is expected, not a {_json_type(value)}")
    kind = geometry.get("type")
    check = _CHECKS.get(kind) if type(kind) is str else None
    if check is None:
        raise BadRequestData(f"{member}: {kind!r} is not a supported GeoJSON geometry type (4.7.1)")
    reason = check(geometry.get("coordinates"))
    if reason is not None:
        raise BadRequestData(f"{member}: not a valid {kind}: {reason}")
    if "bbox" in geometry and not _is_bounding_box(geometry["bbox"]):
        raise BadRequestData(f"{member}: bbox is not an array of 4 or 6 numbers")
    return geometry


def is_geometry_shaped(value: object) -> bool:
    """Whether a value announces itself as a GeoJSON geometry, so that concise input infers a GeoProperty (4.7.3)."""
    if type(value) is not dict or "coordinates" not in value:
        return False
    kind = value.get("type")
    return type(kind) is str and kind in _CHECKS


def _decoded(text: str, member: str) -> Any:
    try:
        geometry = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadRequestData(f"{member}: neither a GeoJSON geometry nor the JSON text of one (4.7.2)") from None
    if type(geometry) is dict and (foreign := geometry.keys() - {"type", "coordinates", "bbox"}):
        raise BadRequestData(f"{member}: unexpected member in the geometry: {', '.join(sorted(foreign))}")
    return geometry


def _is_bounding_box(value: object) -> bool:
    return type(value) is list and len(value) in (4, 6) and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _position(value: Any) -> str | None:
    if type(value) is not list or not 2 <= len(value) <= 3:
        return "a position is an array of two or three numbers"
    if not all(map(_is_number, value)):
        return "a coordinate is not a finite number"
    return None


def _array(of: _Check, at_least: int, what: str) -> _Check:
    def check(value: Any) -> str | None:
        if type(value) is not list or len(value) < at_least:
            return f"{what} is an array of at least {at_least}"
        for element in value:
            reason = of(element)
            if reason is not None:
                return reason
        return None

    return check


_line = _array(_position, 2, "a line of positions")
_ring_of_positions = _array(_position, 4, "a linear ring of positions")


def _ring(value: Any) -> str | None:
    reason = _ring_of_positions(value)
    if reason is None and value[0] != value[-1]:
        return "a linear ring is not closed: its first and last positions differ"
    return reason


_polygon = _array(_ring, 1, "a polygon of linear rings")

_CHECKS: Final[dict[str, _Check]] = {
    "Point": _position,
    "MultiPoint": _array(_position, 1, "coordinates of positions"),
    "LineString": _line,
    "MultiLineString": _array(_line, 1, "coordinates of lines"),
    "Polygon": _polygon,
    "MultiPolygon": _array(_polygon, 1, "coordinates of polygons"),
}

_JSON_TYPES: Final = {list: "array", dict: "object", str: "string", bool: "boolean", type(None): "null"}


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "number")
