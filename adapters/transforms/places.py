"""Transforms of positions: degrees, points within Japan, Geo3x3 codes."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable

LATITUDES: Final = (20.0, 46.0)
LONGITUDES: Final = (122.0, 154.0)
"""The box around Japan that a municipal position must lie in."""

_DECIMAL: Final = re.compile(r"[+-]?\d{1,12}(\.\d{1,20})?")
_SEXAGESIMAL: Final = re.compile(r"(\d{1,3})[°度](\d{1,2})['′’分](\d{1,2}(?:\.\d+)?)(?:[\"″”秒])?")


def degrees(text: str) -> Reading:
    """Decimal degrees; 34°52'30" is brought to them."""
    narrow = unicodedata.normalize("NFKC", text).replace("−", "-")
    fixes = [Fix("full-width-characters")] if narrow != text else []
    if _DECIMAL.fullmatch(narrow):
        return Reading(float(narrow), tuple(fixes))
    match = _SEXAGESIMAL.fullmatch(text) or _SEXAGESIMAL.fullmatch(narrow)
    if match is None or float(match[2]) >= 60 or float(match[3]) >= 60:
        raise Unreadable("not-degrees", f"{text!r} are no degrees")
    value = int(match[1]) + int(match[2]) / 60 + float(match[3]) / 3600
    return Reading(round(value, 8), (Fix("degrees-minutes-seconds"),))


def latitude_longitude(text: str) -> Reading:
    """Both halves of a position from one cell: `34.342286,134.055021`."""
    parts = re.split(r"[,，、\s]+", text.strip())
    if len(parts) != 2:
        raise Unreadable("not-a-position", f"{text!r} is no latitude and longitude")
    latitude, longitude = map(degrees, parts)
    return Reading({"latitude": latitude.value, "longitude": longitude.value}, (*latitude.fixes, *longitude.fixes))


def in_japan(latitude: float, longitude: float) -> bool:
    """Whether a position lies in the box around Japan."""
    return LATITUDES[0] <= latitude <= LATITUDES[1] and LONGITUDES[0] <= longitude <= LONGITUDES[1]


def proposals(latitude: float, longitude: float) -> dict[str, tuple[float, float]]:
    """What an impossible position may have meant, by rule: swapped axes, or a decimal point in the wrong place."""
    found = {}
    if in_japan(longitude, latitude):
        found["swapped-coordinates"] = (longitude, latitude)
    moved = [_moved(latitude, LATITUDES), _moved(longitude, LONGITUDES)]
    if None not in moved:
        found["decimal-point-moved"] = (moved[0] or 0.0, moved[1] or 0.0)
    return found


def point(latitude: float, longitude: float, *, repair: Iterable[str] = ()) -> Reading:
    """A GeoJSON Point (longitude first) of a position in Japan.

    An impossible position is unreadable, and the message proposes what it may have meant; only a rule named in
    `repair` is applied, and reported as a warning.
    """
    if in_japan(latitude, longitude):
        return Reading(_geojson(latitude, longitude))
    possible = proposals(latitude, longitude)
    for rule in repair:
        if rule in possible:
            return Reading(_geojson(*possible[rule]), (Fix(rule, Severity.WARNING),))
    guess = "".join(f"; perhaps {found[0]:g}, {found[1]:g} ({rule})" for rule, found in possible.items())
    raise Unreadable(
        "impossible-coordinates", f"latitude {latitude:.10g}, longitude {longitude:.10g} is outside Japan{guess}"
    )


def geo3x3(text: str) -> Reading:
    """The centre of a Geo3x3 cell as a GeoJSON Point: a hemisphere (E or W) and one digit 1 to 9 for each of its ninths."""
    if not re.fullmatch("[EW][1-9]{1,30}", text):
        raise Unreadable("not-geo3x3", f"{text!r} is no Geo3x3 code")
    longitude, latitude, size = (0.0 if text[0] == "E" else -180.0), 0.0, 180.0
    for digit in text[1:]:
        size /= 3
        column, row = (int(digit) - 1) % 3, (int(digit) - 1) // 3
        longitude += column * size
        latitude += row * size
    return Reading(_geojson(round(latitude + size / 2 - 90, 6), round(longitude + size / 2, 6)))


def _moved(value: float, bounds: tuple[float, float]) -> float | None:
    for exponent in range(12):
        candidate = value / 10.0**exponent
        if bounds[0] <= candidate <= bounds[1]:
            return round(candidate, 10)
    return None


def _geojson(latitude: float, longitude: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude, latitude]}
