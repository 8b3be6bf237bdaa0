"""The NGSI-LD Geoquery Language (4.10) and the GeoQuery data type (5.2.13): parameters -> a GeoQuery."""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, cast, get_args

import orjson

from broker.errors import BadRequestData, TooComplexQuery
from broker.model.entity import Names
from broker.model.geometry import check_geometry
from broker.model.terms import LOCATION
from broker.query.ast import GeoQuery, GeoRelation
from broker.query.geometry import is_on_earth

_NEAR: Final = re.compile(r"near;(maxDistance|minDistance)==(.*)", re.DOTALL)
_POSITIVE: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
MAX_LENGTH: Final = 500_000
"""Characters of a reference geometry's coordinates as JSON."""
MAX_POSITIONS: Final = 10_000
"""Positions of a reference geometry: each is held against those of every entity that comes near."""

_POSITION: Final = re.compile(r"\[[^\[]")

_TYPES: Final = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"})


def parse_geo_query(
    georel: str | None,
    geometry: str | None,
    coordinates: str | Sequence[Any] | None,
    geoproperty: str | None,
    names: Names,
) -> GeoQuery:
    """The geoquery that these parameters make; coordinates are a JSON array, or a string that holds one.

    Raises BadRequestData that names the parameter at fault, also where one of the three needed ones is missing.
    """
    if georel is None or geometry is None or coordinates is None:
        missing = "georel" if georel is None else "geometry" if geometry is None else "coordinates"
        raise BadRequestData(f"{missing}: a geoquery needs georel, geometry and coordinates")
    for name, text in (("georel", georel), ("geometry", geometry), ("geoproperty", geoproperty)):
        if text is not None and type(text) is not str:
            raise BadRequestData(f"{name}: a string is expected")
    relation, max_distance, min_distance = _relation(georel)
    kind, canonical = parse_reference(geometry, coordinates, measured=relation == "near")
    return GeoQuery(
        relation=relation,
        geometry=kind,
        coordinates=canonical,
        geoproperty=LOCATION if not geoproperty else names.expand(geoproperty),
        max_distance=max_distance,
        min_distance=min_distance,
    )


def parse_reference(
    geometry: str,
    coordinates: str | Sequence[Any],
    members: tuple[str, str] = ("geometry", "coordinates"),
    *,
    measured: bool,
) -> tuple[str, str]:
    """A reference geometry as (GeoJSON type, coordinates as canonical JSON), for geoqueries and for ordering by distance.

    `members` are the names of the two parameters in error messages; `measured` asks for a geometry on the globe.
    """
    geometry_member, coordinates_member = members
    if geometry not in _TYPES:
        raise BadRequestData(f"{geometry_member}: {geometry!r} is none of {', '.join(sorted(_TYPES))}")
    if isinstance(coordinates, str):
        try:
            coordinates = orjson.loads(coordinates)
        except orjson.JSONDecodeError as error:
            raise BadRequestData(f"{coordinates_member}: not a JSON array: {error}") from error
    checked = check_geometry({"type": geometry, "coordinates": coordinates}, coordinates_member)
    if measured and not is_on_earth(checked):
        raise BadRequestData(
            f"{coordinates_member}: distances need longitudes within 180 and latitudes within 90 degrees"
        )
    canonical = orjson.dumps(checked["coordinates"]).decode()
    if len(canonical) > MAX_LENGTH:
        raise TooComplexQuery(f"{coordinates_member}: longer than {MAX_LENGTH} characters")
    if len(_POSITION.findall(canonical)) > MAX_POSITIONS:
        raise TooComplexQuery(f"{coordinates_member}: more than {MAX_POSITIONS} positions; simplify the geometry")
    return geometry, canonical


def _relation(georel: str) -> tuple[GeoRelation, float | None, float | None]:
    if not georel.startswith("near"):
        if georel not in get_args(GeoRelation):
            raise BadRequestData(f"georel: {georel!r} is none of {', '.join(get_args(GeoRelation))}")
        return cast(GeoRelation, georel), None, None
    match = _NEAR.fullmatch(georel)
    if match is None:
        raise BadRequestData(f"georel: {georel!r} is not near;maxDistance==METRES or near;minDistance==METRES")
    modifier, number = match.groups()
    metres = float(number) if _POSITIVE.fullmatch(number) else 0.0
    if metres == 0 or not isfinite(metres):
        raise BadRequestData(f"georel: {modifier} {number!r} is not a positive number of metres")
    return ("near", metres, None) if modifier == "maxDistance" else ("near", None, metres)
