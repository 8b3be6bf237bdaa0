"""The adapter for levels, rain and dams in the JSON shape of 川の防災情報: one file a station, whose number its name says.

    …/tmlist/stg/20260630/1420/9999900400001.json     13 digits: office (5), item (004 level, 001 rain, 007 dam), station (5)

Each value comes with a code of its own (`stg` with `stgCcd`): 0 is a value, and from 130 on there is none, whatever the value
says: 140 closed, 160 and 190 missing, both sent with 0. A missing value is absent, and the report says which code made it so.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from adapters.attributes import attribute_of
from adapters.contract import Adapter, Decoded, Entity, Origin, Quarantined, Repair, State
from adapters.document import is_number, read_json
from adapters.errors import UnreadableFile
from adapters.options import Options, option
from adapters.river.standing import THRESHOLDS, LevelReading, Standing, computed, stand
from adapters.transforms.reading import Severity, Unreadable
from adapters.transforms.times import JST, instant
from datamodels import model_of

MOST_BYTES: Final = 2**20
NO_VALUE: Final = 130
"""The codes from here on say that there is no value."""
SERIES: Final = ("hrValues", "min10Values")
"""The members with a station's earlier values; `obsValue` has the newest."""

_STATION: Final = re.compile(r"(?:^|\D)(\d{5}(004|001|007)\d{5})\.json$")


class Kind(NamedTuple):
    """A kind of station: its entity type, and its values by member with the attribute that each becomes."""

    type: str
    attributes: Mapping[str, str]


KINDS: Final = {
    "004": Kind("WaterLevelObserved", {"stg": "waterLevel"}),
    "001": Kind("RainGaugeObserved", {"rn10m": "precipitation10m", "rnHr": "precipitation1h"}),
    "007": Kind(
        "DamObserved",
        {
            "storLvl": "storageLevel",
            "storCap": "storageVolume",
            "storPcntIrr": "irrigationStorageRate",
            "storPcntEff": "storageRate",
            "allSink": "inflow",
            "allDisch": "outflow",
        },
    ),
}
"""The kinds of stations by the item in their numbers."""


FOLDERS: Final = {"004": "stg", "001": "rn", "007": "dam"}


@dataclass(frozen=True, slots=True)
class KawabouOptions(Options):
    """What a feed may say of its gauges."""

    stations: tuple[str, ...] = option("numbers of the stations that are polled, 13 digits each", ())
    thresholds: Mapping[str, Any] = option(
        "thresholds in metres by station number, {caution = 3.0, danger = 4.2}, for a status to be computed",
        MappingProxyType({}),
    )
    hold: int = option("readings in a row below a threshold until it counts as no longer reached", 3)


def decode_station(data: bytes, origin: Origin, options: KawabouOptions, state: State) -> Decoded:
    """The values of one station, in the order of time. Raises UnreadableFile."""
    document = _document(data)
    if isinstance(document.get("crntObsTime"), str):
        return Decoded(1, state=state, notes={"crntObsTime": document["crntObsTime"]})
    match = _STATION.search(origin.parameters.get("file") or origin.address)
    if match is None:
        raise UnreadableFile("The file's name does not say the number of a station for level, rain or dam (13 digits).")
    number, kind = match[1], KINDS[match[2]]
    repairs: list[Repair] = []
    quarantine: list[Quarantined] = []
    found: dict[str, Entity] = {}
    row = 0
    for row, record in enumerate(_records(document), 1):
        try:
            at = instant(str(record["obsTime"])).value if isinstance(record, dict) else ""
        except (KeyError, Unreadable):
            at = ""
        if not at:
            shown = record if isinstance(record, dict) else {"record": record}
            quarantine.append(Quarantined(row, "obsTime", "no-time", "The record does not say when it is of.", shown))
            continue
        attributes = dict(_attributes(row, at, record, kind, repairs))
        if attributes:
            found[at] = {**attributes, **found.get(at, {})}
    standings = dict(state or {})
    entities = [_entity(number, kind, at, found[at], options, standings) for at in sorted(found)]
    return Decoded(row, tuple(entities), tuple(repairs), tuple(quarantine), state=standings)


def links_of_time(data: bytes, origin: Origin, options: KawabouOptions) -> list[str]:
    """The files of the stations that are wanted, of the time that `tmCrntTime.json` says. Raises UnreadableFile."""
    try:
        said = instant(str(_document(data).get("crntObsTime"))).value
    except Unreadable:
        raise UnreadableFile("The file is no tmCrntTime.json: it does not say a time.") from None
    latest = datetime.fromisoformat(said).astimezone(JST)
    found = ((_STATION.search(f"{number}.json"), number) for number in options.stations)
    return [
        f"../files/tmlist/{FOLDERS[match[2]]}/{latest:%Y%m%d/%H%M}/{number}.json" for match, number in found if match
    ]


def _document(data: bytes) -> dict[str, Any]:
    document = read_json(data, MOST_BYTES)
    if not isinstance(document, dict):
        raise UnreadableFile("The file is JSON, but no object.")
    return document


def _records(document: Mapping[str, Any]) -> Iterator[Any]:
    """The newest values first: where the same instant comes again, what came first counts."""
    if "obsValue" in document:
        yield document["obsValue"]
    for name in SERIES:
        series = document.get(name)
        if isinstance(series, list):
            yield from series


def _attributes(
    row: int, at: str, record: Mapping[str, Any], kind: Kind, repairs: list[Repair]
) -> Iterator[tuple[str, dict[str, Any]]]:
    model = model_of(kind.type)
    for member, name in kind.attributes.items():
        value, code = record.get(member), record.get(f"{member}Ccd", 0)
        if value is None and member not in record:
            continue
        if not is_number(code) or code >= NO_VALUE:
            shown = f"{'' if value is None else value} ({member}Ccd={code})".strip()
            repairs.append(Repair(row, member, shown, "", "code-says-missing", Severity.INFO))
        elif is_number(value):
            attribute = attribute_of(model.attributes[name], value, at)
            if code:
                attribute["qualityCode"] = {"type": "Property", "value": code}
            yield name, attribute
        elif value is not None:
            repairs.append(Repair(row, member, str(value)[:80], "", "not-a-number", Severity.WARNING))


def _entity(
    number: str, kind: Kind, at: str, attributes: Entity, options: KawabouOptions, standings: dict[str, Any]
) -> Entity:
    entity: Entity = {
        "id": f"urn:ngsi-ld:{kind.type}:{number}",
        "type": kind.type,
        "stationId": {"type": "Property", "value": number},
        "dateObserved": {"type": "Property", "value": at},
        **attributes,
    }
    thresholds = {
        name: float(value)
        for name, value in _mapping(options.thresholds.get(number)).items()
        if name in THRESHOLDS and is_number(value)
    }
    if thresholds and "waterLevel" in entity:
        before = Standing.restored(standings[number]) if number in standings else None
        if before is None or at > before.at:
            reading = LevelReading(at, number, float(entity["waterLevel"]["value"]))
            now = stand(thresholds, reading, before, options.hold)
            standings[number] = now.stored()
            status = computed(now, before).get("levelStatus")
            if status is not None:
                entity["levelStatus"] = status
    return entity


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


KAWABOU: Final = Adapter(
    "kawabou",
    "levels, rain and dams in the JSON shape of 川の防災情報; polled by system/tmCrntTime.json",
    decode_station,
    KawabouOptions,
    stateful=True,
    links=links_of_time,
)
