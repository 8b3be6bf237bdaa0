"""From a telegram to the alerts that hold because of it, and to the matter that it is about.

A telegram says how one matter stands, as a whole: the warnings of one kind in one prefecture, the forecast of one river, one
earthquake. What an earlier telegram of the same matter said and this one does not say any more has ended
(`adapters.jma.board` keeps that). The agency's words are passed on as they are: which kind, where, since when.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element

from adapters.attributes import attribute_of
from adapters.contract import Entity
from adapters.jma.hazards import severity, severity_of_intensity, sub_category
from adapters.jma.telegram import Area, Information, Statement, Telegram, child, level_in, number_in, text, utc
from datamodels.model import model_of

WARNINGS: Final = "気象警報・注意報"
FLOODS: Final = "指定河川洪水予報"
LANDSLIDES: Final = "土砂災害警戒情報"
EARTHQUAKES: Final = frozenset({"震度速報", "地震情報"})

_DIVISIONS: Final = (
    "市町村等",
    "予報区域",
    "市町村等をまとめた地域等",
    "一次細分区域等",
    "細分区域",
    "府県予報区等",
    "発表細分",
    "",
)
"""The divisions of the country, the finest first: the first one that a telegram speaks of is taken."""
_OVER: Final = frozenset({"解除", "なし", "発表警報・注意報はなし"})
_PREFECTURES: Final = "府県予報区等"
_OLD_WARNINGS: Final = "気象警報・注意報（Ｈ２７）"
_SAME_WARNINGS: Final = {"気象特別警報・警報・注意報": _OLD_WARNINGS}
"""VPWW53 and VPWW54 say the same of the same area, so they are about one matter."""
_EVENTS: Final = frozenset({"記録的短時間大雨情報", *EARTHQUAKES})
"""What has happened and is never lifted."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: a kind of warning that holds in one area. `id` is the same for as long as it holds, and when it comes again."""

    id: str
    entity: Entity
    area: Area


@dataclass(frozen=True, slots=True)
class Matter:
    """What a telegram is about, and the alerts that hold by it. `name` is the same in all telegrams of the matter."""

    name: str
    alerts: tuple[Alert, ...]


def matter_of(telegram: Telegram, event_hours: int) -> Matter:
    """The matter of a telegram with all its alerts; what has happened and is never lifted holds for `event_hours`."""
    chosen = _finest(telegram.informations)
    if telegram.info_kind in EARTHQUAKES:
        alerts = _shaken(telegram, chosen, event_hours)
    else:
        alerts = _warned(telegram, chosen, event_hours)
    return Matter(_matter_name(telegram), tuple({alert.id: alert for alert in alerts}.values()))


def ended(alert_id: str, telegram: Telegram, status: str) -> Entity:
    """What changes in an alert that no longer holds: its `status` is ended (lifted, not said any more) or cancelled."""
    alert_type = alert_id.split(":")[2]
    changed = {"alertStatus": status, "validTo": telegram.reported_at, "infoType": telegram.info_type}
    return {"id": alert_id, "type": alert_type, **attributes_of(alert_type, changed)}


def _matter_name(telegram: Telegram) -> str:
    """Of events, the event; of the warnings of an area, which have no event, the kind of telegram and the area."""
    if telegram.event_id:
        return f"{telegram.info_kind}/{telegram.event_id}"
    title = _SAME_WARNINGS.get(telegram.title, telegram.title)
    return f"{title}/{_prefecture(telegram) or telegram.editorial_office}"


def _prefecture(telegram: Telegram) -> str:
    """The code of the area that a telegram is for as a whole."""
    for information in telegram.informations:
        if information.division in (_PREFECTURES, "発表細分"):
            return next((area.code for each in information.statements for area in each.areas), "")
    return ""


def _finest(informations: Iterable[Information]) -> Information | None:
    by_division = {information.division: information for information in reversed(tuple(informations))}
    return next((by_division[division] for division in _DIVISIONS if division in by_division), None)


def _warned(telegram: Telegram, chosen: Information | None, event_hours: int) -> Iterator[Alert]:
    """The alerts of a telegram of warnings: one for each kind and area; several conditions of a kind are one alert."""
    holding: dict[tuple[str, str], tuple[Statement, Area, list[str]]] = {}
    for statement in () if chosen is None else chosen.statements:
        if _is_over(telegram, statement):
            continue
        for area in statement.areas:
            _, _, conditions = holding.setdefault((area.code, statement.code), (statement, area, []))
            if statement.condition and statement.condition not in conditions:
                conditions.append(statement.condition)
    for statement, area, conditions in holding.values():
        level = statement.level or _level_of_event(telegram, statement)
        values = {
            "alertCategory": "weather",
            "alertSubCategory": sub_category(f"{statement.kind}{telegram.info_kind}"),
            "severity": severity(f"{statement.kind}{telegram.info_kind}", level),
            "alertLevel": level,
            "kindName": statement.kind,
            "kindCode": statement.code,
            "sourceRecord": {"condition": "、".join(conditions)} if conditions else None,
            "validTo": telegram.valid_until or _end_of_event(telegram, event_hours),
        }
        yield _alert("WeatherAlert", telegram, area, statement.code, values)


def _is_over(telegram: Telegram, statement: Statement) -> bool:
    if statement.kind in _OVER or statement.status == "解除":
        return True
    return statement.code == "10" if telegram.info_kind == FLOODS else statement.code in {"00", "0"}


def _level_of_event(telegram: Telegram, statement: Statement) -> int | None:
    """The alert level that the headline says, of telegrams with one kind of warning only."""
    if telegram.info_kind not in (FLOODS, LANDSLIDES):
        return None
    tens = statement.code[:1]
    if telegram.info_kind == FLOODS and tens in "2345" and len(statement.code) == 2:
        return int(tens)
    return level_in(telegram.headline) or level_in(telegram.head_title)


def _shaken(telegram: Telegram, chosen: Information | None, event_hours: int) -> Iterator[Alert]:
    """The alerts of an earthquake: one for each area, with the intensity that was observed there."""
    quake = None if telegram.body is None else child(telegram.body, "Earthquake")
    cause = {} if quake is None else _hypocentre(quake)
    for statement in () if chosen is None else chosen.statements:
        intensity = _intensity(statement.kind)
        for area in statement.areas:
            values = {
                "alertCategory": "naturalDisaster",
                "alertSubCategory": "earthquake",
                "severity": severity_of_intensity(intensity),
                "kindName": statement.kind,
                "seismicIntensity": intensity,
                "validTo": _end_of_event(telegram, event_hours),
                **cause,
            }
            yield _alert("Alert", telegram, area, telegram.event_id, values)


def _hypocentre(quake: Element) -> dict[str, Any]:
    """Where an earthquake was, how strong and when, as far as it is said."""
    found: dict[str, Any] = {
        "hypocentreName": text(quake, "Hypocenter", "Area", "Name"),
        "originTime": utc(text(quake, "OriginTime")),
    }
    magnitude = child(quake, "Magnitude")
    if magnitude is not None and (number := number_in(magnitude.text)) is not None:
        found["magnitude"] = number
    return found


def _alert(alert_type: str, telegram: Telegram, area: Area, kind: str, values: dict[str, Any]) -> Alert:
    where = area.code or area.name
    name = ":".join(quote(part, safe="") for part in (telegram.info_kind, where, kind) if part)
    values = {
        **values,
        "alertStatus": "active",
        "dateIssued": telegram.reported_at,
        "validFrom": telegram.target_at,
        "alertSource": telegram.publishing_office,
        "eventId": telegram.event_id or None,
        "serial": telegram.serial or None,
        "infoKind": telegram.info_kind,
        "infoType": telegram.info_type,
        "reportStatus": telegram.status,
        "headline": telegram.headline or None,
        "name": telegram.head_title,
        "areaServed": [{key: value for key, value in area._asdict().items() if value}] if area.code else None,
    }
    alert_id = f"urn:ngsi-ld:{alert_type}:{name}"
    return Alert(alert_id, {"id": alert_id, "type": alert_type, **attributes_of(alert_type, values)}, area)


def attributes_of(model: str, values: dict[str, Any]) -> Entity:
    """The values that there are as attributes of a model, with its kinds and units; None and "" are no values."""
    known = model_of(model).attributes
    return {
        name: attribute_of(known[name], value) for name, value in values.items() if value is not None and value != ""
    }


def _intensity(kind: str) -> str:
    """A seismic intensity as the vocabulary has it: 5- for 震度５弱, 5+ for 震度５強."""
    return unicodedata.normalize("NFKC", kind).removeprefix("震度").replace("弱", "-").replace("強", "+")


def _end_of_event(telegram: Telegram, hours: int) -> str | None:
    if telegram.info_kind not in _EVENTS:
        return None
    end = datetime.fromisoformat(telegram.reported_at) + timedelta(hours=hours)
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")
