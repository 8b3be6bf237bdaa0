"""Spatial relationships between geometries (4.10), distances (4.23.1), and boxes for the stores' indexes.

A line between two positions is straight in longitude and latitude, as RFC 7946 (3.1.1) has it; the topological
relationships are those of OGC Simple Features in that plane (a point on a polygon's edge is not within it). A polygon that
crosses itself stands for the area it covers; one that does so more than MAX_CROSSINGS times, for its convex hull.

What a relationship costs must not be for a client to say. Geometries have few places where the boxes of two of their segments
meet: one that has more than MAX_MEETINGS within itself, or more than MAX_POSITIONS positions, stands for its convex hull, and
so do two geometries that have so many between them. No relationship is decided in a way that looks at all crossings.

Distances are metres on a sphere of 6,371,008.8 m (the Earth's mean radius), by the haversine formula: between points
exactly that (against the ellipsoid up to 0.5 % off, typically 0.2 %). Where lines or polygons take part, the pair of nearest
points is found in the plane scaled to the local latitude, and the haversine distance of that pair counts: never less than
the shortest distance, and for geometries of up to about 100 km below 75 degrees of latitude less than 0.1 % more. What leaves
the world (a longitude beyond 180 or a latitude beyond 90 degrees) is infinitely far from everything. What leaves even the
plane in which such coordinates could have been meant (1000 degrees) is disjoint from everything.

shapely is imported when the first relationship has to be decided, not before: a broker without geoqueries stays small.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import asin, cos, degrees, inf, pi, radians, sin, sqrt
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from broker.model.entity import JsonObject
from broker.query.ast import GeoQuery

if TYPE_CHECKING:
    from shapely import STRtree
    from shapely.geometry.base import BaseGeometry

EARTH_RADIUS: Final = 6_371_008.8
"""Metres."""

Box: TypeAlias = tuple[float, float, float, float]
"""min_lon, min_lat, max_lon, max_lat."""

_PLANE: Final = 1000.0
"""Degrees: there is nothing beyond, and GEOS loses its footing where coordinates are enormous."""

MAX_CROSSINGS: Final = 1000
"""Crossings of a polygon's boundary with itself that are worth sorting out: their cost grows without measure."""

MAX_POSITIONS: Final = 100_000
MAX_MEETINGS: Final = 100_000
"""Besides those of neighbours and of a common boundary, for which MEETINGS_A_POSITION are allowed on top."""
MEETINGS_A_POSITION: Final = 8

_FEW: Final = 40_000
_FEW_OF_AREAS: Final = 4_000_000
"""Pairs of positions that need no such count: crossing lines cost the most, since all crossings have to be looked at."""
_SEGMENTS_AT_ONCE: Final = 64
_PAIRS_AT_ONCE: Final = 1_000_000
"""What one step of a count may come to at the worst, in memory as well."""

_MARGIN: Final = 1e-9
"""Degrees, about 0.1 mm: more than rounding can take away from a box."""


def bounding_box(geometry: JsonObject) -> Box:
    """The smallest box around a GeoJSON geometry, which has at least one position."""
    if geometry["type"] == "Point":
        longitude, latitude = geometry["coordinates"][:2]
        return longitude, latitude, longitude, latitude
    positions = _positions(geometry["coordinates"])
    longitudes = [position[0] for position in positions]
    latitudes = [position[1] for position in positions]
    return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


def is_on_earth(geometry: JsonObject) -> bool:
    """Whether all longitudes are between -180 and 180 and all latitudes between -90 and 90 degrees."""
    west, south, east, north = bounding_box(geometry)
    return west >= -180 and south >= -90 and east <= 180 and north <= 90


def _positions(coordinates: Sequence[Any]) -> Sequence[Sequence[float]]:
    """All positions of a geometry that is no Point, from its coordinates."""
    while isinstance(coordinates[0][0], list):
        coordinates = [position for part in coordinates for position in part]
    return coordinates


def _reference_box(query: GeoQuery) -> Box:
    """The bounding box of a query's reference geometry."""
    return bounding_box(_reference_geometry(query.geometry, query.coordinates))


@lru_cache(maxsize=64)
def search_box(query: GeoQuery) -> Box | None:
    """A box that the bounding box of every matching geometry meets; None where there is no such box.

    None for `disjoint` and for `minDistance`. A box that would reach over a pole or the antimeridian spans all longitudes.
    """
    if query.relation == "disjoint" or query.min_distance is not None:
        return None
    west, south, east, north = _reference_box(query)
    if query.max_distance is None or not -90 <= south <= north <= 90:
        return west, south, east, north
    angle = query.max_distance / EARTH_RADIUS
    reach = degrees(angle) + _MARGIN
    widest = radians(max(abs(south), abs(north)))
    south, north = max(-90.0, south - reach), min(90.0, north + reach)
    if angle >= pi / 2 or south == -90.0 or north == 90.0:
        return -180.0, south, 180.0, north
    sideways = degrees(asin(min(1.0, sin(angle) / cos(widest)))) + _MARGIN
    if west - sideways < -180.0 or east + sideways > 180.0:
        return -180.0, south, 180.0, north
    return west - sideways, south, east + sideways, north


def relates(query: GeoQuery, geometry: JsonObject) -> bool:
    """Whether a geometry stands in the query's relationship to its reference geometry."""
    if query.relation == "near":
        box = search_box(query)
        if box is not None and not _boxes_meet(box, bounding_box(geometry)):
            return False
        metres = distance_from(query.geometry, query.coordinates, geometry)
        return metres <= query.max_distance if query.max_distance is not None else metres > (query.min_distance or 0.0)
    if geometry["type"] == "Point" and query.relation in _OF_POINTS:
        extent = _map_extent(query.geometry, query.coordinates)
        if extent is not None:
            return _point_relates(query, extent, *geometry["coordinates"][:2])
    own, other = bounding_box(geometry), _reference_box(query)
    if not (_boxes_meet(own, other) and max(map(abs, own + other)) <= _PLANE):
        return query.relation == "disjoint"
    reference = _reference(query.geometry, query.coordinates)
    target = _shape(geometry)
    if _may_be_entangled(reference, target) and _is_entangled(
        _reference_tree(query.geometry, query.coordinates), target
    ):
        reference, target = _prepared(reference.convex_hull), target.convex_hull
    match query.relation:
        case "within":
            return bool(reference.contains(target))
        case "contains":
            return bool(_prepared(target).contains(reference))
        case "overlaps":
            return _overlap(reference, target)
        case "intersects":
            return bool(reference.intersects(target))
        case "disjoint":
            return bool(reference.disjoint(target))
        case "equals":
            return _cover_each_other(reference, target)
    raise ValueError(query.relation)


_OF_POINTS: Final = frozenset({"within", "intersects", "disjoint"})


@lru_cache(maxsize=64)
def _map_extent(kind: str, coordinates: str) -> Box | None:
    """The corners of a reference geometry that is a rectangle along the axes, as maps ask for; None for any other."""
    if kind != "Polygon":
        return None
    rings = _reference_geometry(kind, coordinates)["coordinates"]
    if len(rings) != 1 or len(rings[0]) != 5:
        return None
    ring = [(position[0], position[1]) for position in rings[0]]
    west, south, east, north = bounding_box({"type": kind, "coordinates": rings})
    if len(set(ring)) != 4 or max(map(abs, (west, south, east, north))) > _PLANE:
        return None
    along = all((one[0] == other[0]) != (one[1] == other[1]) for one, other in pairwise(ring))
    return (west, south, east, north) if along else None


def _point_relates(query: GeoQuery, extent: Box, longitude: float, latitude: float) -> bool:
    """What GEOS would say of a point and a rectangle, at a fiftieth of its cost."""
    west, south, east, north = extent
    if query.relation == "within":
        return west < longitude < east and south < latitude < north
    meets = west <= longitude <= east and south <= latitude <= north
    return meets if query.relation == "intersects" else not meets


def _overlap(reference: "BaseGeometry", target: "BaseGeometry") -> bool:
    """The relationship overlaps. Areas do if they share some of their inside and none covers the other: the first crossing of
    their boundaries tells the former."""
    if not reference.intersects(target):
        return False
    if _is_area(reference) and _is_area(target):
        return not (reference.touches(target) or reference.covers(target) or _prepared(target).covers(reference))
    return bool(reference.overlaps(target))


def _cover_each_other(reference: "BaseGeometry", target: "BaseGeometry") -> bool:
    return bool(reference.covers(target)) and bool(_prepared(target).covers(reference))


def _is_area(geometry: "BaseGeometry") -> bool:
    return geometry.geom_type in ("Polygon", "MultiPolygon")


def distance_from(reference_type: str, reference_coordinates: str, geometry: JsonObject) -> float:
    """Metres between a reference geometry (coordinates as JSON text) and a geometry."""
    reference = _reference_geometry(reference_type, reference_coordinates)
    if not (is_on_earth(reference) and is_on_earth(geometry)):
        return inf
    if reference_type == "Point" and geometry["type"] == "Point":
        return haversine(reference["coordinates"], geometry["coordinates"])
    return _metres(_reference(reference_type, reference_coordinates), _shape(geometry))


def distance(one: JsonObject, other: JsonObject) -> float:
    """Metres between two geometries."""
    return distance_from(one["type"], orjson.dumps(one["coordinates"]).decode(), other)


def haversine(one: Sequence[float], other: Sequence[float]) -> float:
    """Metres between two positions (longitude, latitude)."""
    latitude, other_latitude = radians(one[1]), radians(other[1])
    height = sin((other_latitude - latitude) / 2) ** 2
    width = sin(radians(other[0] - one[0]) / 2) ** 2
    return 2 * EARTH_RADIUS * asin(min(1.0, sqrt(height + cos(latitude) * cos(other_latitude) * width)))


def _boxes_meet(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


@lru_cache(maxsize=64)
def _reference_geometry(kind: str, coordinates: str) -> JsonObject:
    return {"type": kind, "coordinates": orjson.loads(coordinates)}


@lru_cache(maxsize=64)
def _reference(kind: str, coordinates: str) -> "BaseGeometry":
    return _prepared(_shape(_reference_geometry(kind, coordinates)))


@lru_cache(maxsize=64)
def _reference_tree(kind: str, coordinates: str) -> "STRtree":
    import shapely

    return shapely.STRtree(_segments(_reference(kind, coordinates)))


def _prepared(geometry: "BaseGeometry") -> "BaseGeometry":
    """The same geometry, indexed for many questions, or for one about a large other one."""
    import shapely

    shapely.prepare(geometry)
    return geometry


def _shape(geometry: JsonObject) -> "BaseGeometry":
    import shapely
    from shapely.geometry import shape

    if geometry["type"] == "Point":
        return shapely.Point(geometry["coordinates"][:2])
    if len(positions := _positions(geometry["coordinates"])) > MAX_POSITIONS:
        return _hull(positions)
    made = shapely.force_2d(shape(geometry))
    if _may_be_entangled(made, made) and _is_entangled(shapely.STRtree(_segments(made)), made):
        return made.convex_hull
    if made.is_valid:
        return made
    if _is_tangled(made):
        return made.convex_hull
    return shapely.make_valid(made, method="structure", keep_collapsed=True)


def _hull(positions: Sequence[Sequence[float]]) -> "BaseGeometry":
    """The convex hull of positions, a million of them in less than a second."""
    import numpy as np
    import shapely

    plane = [np.fromiter((position[axis] for position in positions), float, len(positions)) for axis in (0, 1)]
    hull: BaseGeometry = shapely.linestrings(np.column_stack(plane)).convex_hull
    return hull


def _is_tangled(polygons: "BaseGeometry") -> bool:
    """Whether the boundaries cross more than MAX_CROSSINGS times; found without looking much further than that."""
    import shapely

    if not _is_area(polygons):
        return False
    segments = _segments(polygons)
    tree = shapely.STRtree(segments)
    allowed = 2 * MAX_CROSSINGS  # each is met from both sides
    for start in range(0, len(segments), _SEGMENTS_AT_ONCE):
        queried = segments[start : start + _SEGMENTS_AT_ONCE]
        # A segment meets itself and its two neighbours in any case.
        allowed -= tree.query(queried, predicate="intersects").shape[1] - 3 * len(queried)
        if allowed < 0:
            return True
    return False


def _may_be_entangled(one: "BaseGeometry", other: "BaseGeometry") -> bool:
    """Whether two geometries have so many positions that what is between them is worth counting."""
    import shapely

    few = _FEW_OF_AREAS if _is_area(one) and _is_area(other) else _FEW
    return int(shapely.get_num_coordinates(one)) * int(shapely.get_num_coordinates(other)) > few


def _is_entangled(tree: "STRtree", other: "BaseGeometry") -> bool:
    """Whether the boxes of a geometry's segments (in the tree) and those of another meet in more places than MAX_MEETINGS;
    found without looking much further."""
    queried = _segments(other)
    allowed = MAX_MEETINGS + MEETINGS_A_POSITION * (len(tree) + len(queried))
    at_once = 1 + _PAIRS_AT_ONCE // max(1, len(tree))
    for start in range(0, len(queried), at_once):
        allowed -= tree.query(queried[start : start + at_once]).shape[1]
        if allowed < 0:
            return True
    return False


def _segments(geometry: "BaseGeometry") -> Any:
    """The segments of lines and of the rings of polygons, as an array of lines; none of points."""
    import numpy as np
    import shapely

    parts = shapely.get_parts(geometry)
    lines = shapely.get_rings(parts) if _is_area(geometry) else parts
    positions, line = shapely.get_coordinates(lines, return_index=True)
    same = line[1:] == line[:-1]
    return shapely.linestrings(np.stack([positions[:-1][same], positions[1:][same]], axis=1))


def _metres(one: "BaseGeometry", other: "BaseGeometry") -> float:
    from shapely.affinity import translate

    if one.is_empty or other.is_empty:
        return inf
    west, _, east, _ = one.bounds
    other_west, _, other_east, _ = other.bounds
    shifts = (0.0,) if max(east, other_east) - min(west, other_west) <= 180 else (0.0, -360.0, 360.0)
    return min(_planar(one, translate(other, xoff=shift) if shift else other) for shift in shifts)


def _planar(one: "BaseGeometry", other: "BaseGeometry") -> float:
    """Metres between the points that are nearest in the plane, scaled to the latitude where they lie."""
    import shapely
    from shapely.affinity import scale

    if one.intersects(other):
        return 0.0
    latitude = (max(one.bounds[1], other.bounds[1]) + min(one.bounds[3], other.bounds[3])) / 2
    shortest = inf
    for _ in range(3):
        narrowing = max(cos(radians(latitude)), 1e-6)
        pair = shapely.shortest_line(
            _prepared(scale(one, xfact=narrowing, origin=(0, 0))), scale(other, xfact=narrowing, origin=(0, 0))
        )
        (x, y), (other_x, other_y) = pair.coords
        found = haversine((x / narrowing, y), (other_x / narrowing, other_y))
        if found >= shortest:
            break
        shortest = found
        latitude = (y + other_y) / 2
    return shortest
