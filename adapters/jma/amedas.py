"""The adapter for AMeDAS, the agency's automatic weather stations: their table, and what they observed, every ten minutes.

Three files make one feed. The table of stations tells where each is, and is remembered; a map file has the observations of all
stations at one instant, which only its name says (`map/20210224150000.json`); a point file has three hours of one station, whose
number only its folder says (`point/44132/20210224_15.json`). What is observed comes as pairs, a value and how far it is to be
trusted:

    0 as usual · 1 nearly · 4 doubtful · 5 missing · 6 not observed · null out of service, whatever the value says
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from adapters.contract import Adapter, Decoded, Entity, Origin, Quarantined, Repair, State
from adapters.document import is_number, read_json
from adapters.errors import UnreadableFile
from adapters.options import Options, option
from adapters.transforms.reading import Severity
from adapters.transforms.times import JST

SOUND: Final = frozenset({0, 1})
"""The flags of values that are handed on; 1 goes with the value as its `qualityFlag`."""
DOUBTFUL: Final = 4

_INSTANT: Final = re.compile(r"(\d{14})(?:\.json)?$")
_STATION: Final = re.compile(r"point/(\d{5})/\d{8}_\d{2}\.json$")
_CODE: Final = re.compile(r"\d{5}")


class Element(NamedTuple):
    """What an element of a file is in the vocabulary: attribute, UN/CEFACT unit, and what to multiply the number with."""

    attribute: str
    unit: str | None
    factor: float = 1.0


ELEMENTS: Final[Mapping[str, Element]] = MappingProxyType(
    {
        "temp": Element("temperature", "CEL"),
        "humidity": Element("relativeHumidity", None, 0.01),
        "wind": Element("windSpeed", "MTS"),
        "windDirection": Element("windDirection", "DD", 22.5),
        "precipitation10m": Element("precipitation10m", "MMT"),
        "precipitation1h": Element("precipitation", "MMT"),
        "precipitation3h": Element("precipitation3h", "MMT"),
        "precipitation24h": Element("precipitation24h", "MMT"),
        "snow": Element("snowHeight", "CMT"),
        "sun1h": Element("sunshineDuration", "HUR"),
        "pressure": Element("stationPressure", "A97"),
        "normalPressure": Element("atmosphericPressure", "A97"),
        "visibility": Element("visibility", "MTR"),
    }
)
"""The elements that are handed on. The others (snowfall by the hour, extremes of the day, gusts) are passed over."""


@dataclass(frozen=True, slots=True)
class AmedasOptions(Options):
    """What a feed may say of its stations."""

    stations: tuple[str, ...] = option(
        "numbers, or how numbers begin, of the stations that are wanted; all without", ()
    )


class _Observation(NamedTuple):
    """What one station observed at one instant (UTC, …Z), element by element."""

    station: str
    at: str
    elements: Mapping[str, Any]


def decode_amedas(data: bytes, origin: Origin, options: AmedasOptions, state: State) -> Decoded:
    """The stations of a table, or the observations of a map or point file. Raises UnreadableFile."""
    document = _document(data)
    if any(isinstance(each, dict) and "kjName" in each for each in document.values()):
        return _table(document, options)
    address = origin.parameters.get("file") or origin.address
    if match := _STATION.search(address):
        observations = _of_station(document, match[1])
    elif match := _INSTANT.search(address):
        observations = _of_instant(document, match[1])
    else:
        raise UnreadableFile(
            "The file is no table of stations, and its name tells neither an instant (20210224150000.json) nor a station."
        )
    return _decoded(observations, (state or {}).get("stations", {}), options, state)


def links_of_time(data: bytes, origin: Origin, options: AmedasOptions) -> list[str]:
    """The table of stations, and the map file of the instant that `latest_time.txt` says. Raises UnreadableFile."""
    try:
        latest = datetime.fromisoformat(data.decode("ascii").strip()).astimezone(JST)
    except (UnicodeDecodeError, ValueError, OverflowError):
        raise UnreadableFile("The file is no latest_time.txt: it does not say an instant.") from None
    return ["../const/amedastable.json", f"map/{latest:%Y%m%d%H%M%S}.json"]


def _document(data: bytes) -> dict[str, Any]:
    document = read_json(data)
    if not isinstance(document, dict):
        raise UnreadableFile("The file is JSON, but no object by station or by instant.")
    return document


# --- the table


def _table(document: Mapping[str, Any], options: AmedasOptions) -> Decoded:
    entities, quarantine, stations = [], [], {}
    for row, (code, record) in enumerate(document.items(), 1):
        try:
            latitude, longitude = _degrees(record["lat"]), _degrees(record["lon"])
            name, altitude = str(record["kjName"]), float(record["alt"])
            if not (_CODE.fullmatch(code) and name and math.isfinite(altitude)):
                raise ValueError
        except (KeyError, TypeError, ValueError, IndexError):
            quarantine.append(
                _refused(row, code, "no-station", "The record does not say number, name, place and height", record)
            )
            continue
        if not code.startswith(options.stations or ("",)):
            continue
        position = [round(longitude, 6), round(latitude, 6)]
        stations[code] = [*position, name]
        entities.append(_station(code, position, altitude, record))
    return Decoded(len(document), tuple(entities), quarantine=tuple(quarantine), state={"stations": stations})


def _station(code: str, position: list[float], altitude: float, record: Mapping[str, Any]) -> Entity:
    return {
        "id": _device(code),
        "type": "Device",
        "name": _property(record["kjName"]),
        "serialNumber": _property(code),
        "deviceCategory": _property(["sensor", "meter"]),
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": position}},
        "elevation": _property(altitude) | {"unitCode": "MTR"},
    }


def _degrees(pair: Any) -> float:
    """Degrees from whole degrees and decimal minutes."""
    degrees, minutes = float(pair[0]), float(pair[1])
    if not (0 <= minutes < 60 and abs(degrees) <= 180):
        raise ValueError
    return degrees + minutes / 60


# --- observations


def _of_instant(document: Mapping[str, Any], written: str) -> Iterator[_Observation]:
    at = _utc(written)
    if at is None:
        raise UnreadableFile(f"{written} in the file's name is no instant.")
    return (_Observation(code, at, elements) for code, elements in document.items())


def _of_station(document: Mapping[str, Any], code: str) -> Iterator[_Observation]:
    return (_Observation(code, _utc(written) or "", elements) for written, elements in document.items())


def _utc(written: str) -> str | None:
    """A UTC instant from 20210224150000, which is Japan's time."""
    try:
        moment = datetime.strptime(written, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment.replace(tzinfo=JST).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _decoded(
    observations: Iterator[_Observation], stations: Mapping[str, Any], options: AmedasOptions, state: State
) -> Decoded:
    entities: list[Entity] = []
    repairs: list[Repair] = []
    quarantine: list[Quarantined] = []
    row = 0
    for row, observation in enumerate(observations, 1):
        code, at, elements = observation
        if not _CODE.fullmatch(code) or not at or not isinstance(elements, dict):
            reason = "The record is no station's observation at an instant"
            quarantine.append(_refused(row, code, "no-observation", reason, elements))
            continue
        if not code.startswith(options.stations or ("",)):
            continue
        attributes = dict(_attributes(row, observation, repairs))
        if attributes:
            entities.append(_observed(observation, attributes, stations.get(code)))
    return Decoded(row, tuple(entities), tuple(repairs), tuple(quarantine), state=state)


def _observed(observation: _Observation, attributes: dict[str, Any], station: list[Any] | None) -> Entity:
    code, at, _ = observation
    entity: Entity = {
        "id": f"urn:ngsi-ld:WeatherObserved:jma-amedas:{code}",
        "type": "WeatherObserved",
        "stationCode": _property(code),
        "dateObserved": _property(at),
        "refDevice": {"type": "Relationship", "object": _device(code)},
    }
    if station is not None:
        longitude, latitude, name = station
        entity["stationName"] = _property(name)
        entity["location"] = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [longitude, latitude]}}
    return entity | attributes


def _attributes(row: int, observation: _Observation, repairs: list[Repair]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The attributes that an observation gives; a doubtful value is left out and reported."""
    for name, element in ELEMENTS.items():
        pair = observation.elements.get(name)
        if not (isinstance(pair, list) and len(pair) == 2 and is_number(pair[0])):
            continue
        value, flag = pair
        if not isinstance(flag, int) or isinstance(flag, bool):
            continue
        if flag == DOUBTFUL:
            column = f"{observation.station}.{name}"
            repairs.append(Repair(row, column, str(value), "", "doubtful-value", Severity.WARNING))
        if flag not in SOUND:
            continue
        if name == "windDirection" and not 1 <= value <= 16:
            continue  # 0 is calm: there is no direction
        attribute = _property(round(value * element.factor, 6)) | {"observedAt": observation.at}
        if element.unit is not None:
            attribute["unitCode"] = element.unit
        if flag:
            attribute["qualityFlag"] = _property(flag)
        yield element.attribute, attribute


def _device(code: str) -> str:
    return f"urn:ngsi-ld:Device:jma-amedas:{code}"


def _property(value: Any) -> dict[str, Any]:
    return {"type": "Property", "value": value}


def _refused(row: int, code: str, rule: str, reason: str, record: Any) -> Quarantined:
    return Quarantined(row, code, rule, f"{reason}.", {"station": code, "record": record})


AMEDAS: Final = Adapter(
    "jma-amedas",
    "observations of the Japan Meteorological Agency's automatic weather stations; polled by data/latest_time.txt",
    decode_amedas,
    AmedasOptions,
    stateful=True,
    links=links_of_time,
)
