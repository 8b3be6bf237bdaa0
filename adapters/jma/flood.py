"""What the forecast of a river (指定河川洪水予報) says of its gauges: the level now, the levels to come, the thresholds.

The gauges are those of rivers that the state and prefectures forecast together; their 17-digit numbers are the nation's. A level
that is missing (欠測, or an empty one) is absent. The level to come is said by the forecast, so it is an entity of its own:
whoever asks a gauge for its level must get what was measured.
"""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from adapters.contract import Entity, Repair
from adapters.jma.alerts import attributes_of
from adapters.jma.telegram import Telegram, child, children, local, number_in, text, utc
from adapters.transforms.reading import Severity

THRESHOLDS: Final = {
    "水防団待機水位": "standbyLevel",
    "氾濫注意水位": "cautionLevel",
    "避難判断水位": "evacuationLevel",
    "氾濫危険水位": "dangerLevel",
}
"""The thresholds of RiverGauge, by how their names end (レベル２氾濫注意水位)."""
_LEVELS: Final = "水位・流量情報"
_MISSING: Final = frozenset({"欠測", "無効"})


def gauges(telegram: Telegram) -> tuple[list[Entity], list[Repair]]:
    """The gauges of a telegram and what is forecast for them, and which of them it names twice."""
    if telegram.body is None:
        return [], []
    thresholds = dict(_criteria(telegram.body))
    rivers = "、".join(_rivers(telegram))
    entities: dict[str, Entity] = {}
    repairs = []
    for series in _series(telegram.body):
        instants = dict(_instants(series))
        for item in children(series, "Item"):
            station = child(item, "Station")
            code = "" if station is None else text(station, "Code")
            if station is None or not code:
                continue
            name = text(station, "Name")
            gauge = _gauge(code, name, text(station, "Location"), rivers, thresholds.get(code, {}))
            forecast = _forecast(gauge, code, name, telegram, _levels(item, instants))
            if gauge["id"] in entities:
                repairs.append(Repair(1, "Station/Code", f"{code} {name}", "", "station-named-twice", Severity.WARNING))
                continue
            entities[gauge["id"]] = gauge
            if forecast is not None:
                entities[forecast["id"]] = forecast
    return list(entities.values()), repairs


def _gauge(code: str, name: str, place: str, rivers: str, thresholds: dict[str, float]) -> Entity:
    address = {"addressCountry": "JP", "addressText": place} if place else None
    values = {"name": name, "stationId": code, "riverName": rivers, "address": address, **thresholds}
    return {"id": f"urn:ngsi-ld:RiverGauge:{code}", "type": "RiverGauge", **attributes_of("RiverGauge", values)}


def _forecast(
    gauge: Entity, code: str, name: str, telegram: Telegram, levels: list[tuple[str, float, int | None]]
) -> Entity | None:
    """Put the level that was measured into the gauge; the entity of those that are to come."""
    to_come = []
    for at, level, stage in levels:
        if at <= telegram.reported_at:
            gauge["waterLevel"] = {"type": "Property", "value": level, "unitCode": "MTR", "observedAt": at}
        else:
            to_come.append({"at": at, "level": level, **({} if stage is None else {"condition": f"レベル{stage}"})})
    if not to_come:
        return None
    values = {
        "gauge": gauge["id"],
        "stationId": code,
        "stationName": name,
        "riverName": gauge.get("riverName", {}).get("value"),
        "dateIssued": telegram.reported_at,
        "waterLevelForecast": to_come,
        "infoType": telegram.info_type,
        "reportStatus": telegram.status,
        "eventId": telegram.event_id,
        "serial": telegram.serial,
        "alertSource": telegram.publishing_office,
    }
    entity_id = f"urn:ngsi-ld:WaterLevelForecast:{code}"
    return {"id": entity_id, "type": "WaterLevelForecast", **attributes_of("WaterLevelForecast", values)}


def _series(body: Element) -> Iterator[Element]:
    for informations in children(body, "MeteorologicalInfos"):
        if informations.get("type") == _LEVELS:
            yield from children(informations, "TimeSeriesInfo")


def _instants(series: Element) -> Iterator[tuple[str, str]]:
    """The UTC instants of a series, by their ids."""
    for define in series.iter():
        if local(define) == "TimeDefine" and (at := utc(text(define, "DateTime"))):
            yield define.get("timeId", ""), at


def _levels(item: Element, instants: dict[str, str]) -> list[tuple[str, float, int | None]]:
    """Instant, level in metres and stage (0 to 5) of an item, in the order of time, without those that are missing."""
    levels: dict[str, float] = {}
    stages: dict[str, int] = {}
    for each in item.iter():
        if local(each) != "WaterLevel":
            continue
        at, written = instants.get(each.get("refID", "")), (each.text or "").strip()
        if at is None or not written or each.get("condition") in _MISSING:
            continue
        if each.get("type") == "水位" and each.get("unit") == "m" and (level := number_in(written)) is not None:
            levels[at] = level
        elif each.get("type") == "レベル" and written.isdecimal():
            stages[at] = int(written)
    return [(at, level, stages.get(at)) for at, level in sorted(levels.items())]


def _criteria(body: Element) -> Iterator[tuple[str, dict[str, float]]]:
    """The thresholds of each gauge, by its code."""
    for part in body.iter():
        if local(part) != "HydrometricStationPart":
            continue
        found = {}
        for each in part.iter():
            if local(each) == "WaterLevel" and each.get("unit") == "m" and each.get("condition") not in _MISSING:
                name = next((to for end, to in THRESHOLDS.items() if each.get("type", "").endswith(end)), None)
                if name is not None and (level := number_in(each.text)) is not None:
                    found[name] = level
        yield text(part, "Area", "Code"), found


def _rivers(telegram: Telegram) -> Iterator[str]:
    for information in telegram.informations:
        if information.division == "河川":
            yield from dict.fromkeys(area.name for each in information.statements for area in each.areas)
