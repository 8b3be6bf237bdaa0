"""The adapter for prefectural river level tables (as Fukui publishes them): masters, positions and readings -> RiverGauge.

Three kinds of tables make one feed, told apart by their headers, each as often as it comes. The master names each gauge by
number, with its thresholds; the table of positions says where gauges are, in degrees, minutes and seconds; a day's table has
one reading a line: time (Japan's, 24:00 occurs), level (`*` is missing, and missing is never 0) and the gauge's number.
Thresholds are remembered, and status and `…LevelReached` are computed with them (`adapters.river.standing`). A reading of a gauge
that the master has not is handed on with the gauge's number, and reported: the master is older than the gauge.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from adapters.contract import Adapter, Decoded, Entity, Origin, Quarantined, Repair, State
from adapters.errors import UnknownLayout
from adapters.headers import normalise, normalised
from adapters.identity import identified
from adapters.options import Options, option
from adapters.river.standing import THRESHOLDS, LevelReading, Standing, computed, metres, stand
from adapters.table import UNREADABLE_BYTES, Row, Table, read_table
from adapters.transforms.numbers import number
from adapters.transforms.places import geo3x3, point
from adapters.transforms.reading import Severity, Unreadable
from adapters.transforms.text import MISSING_MARKS, trim
from adapters.transforms.times import instant
from datamodels import model_of

FUKUI: Final = "180009"
"""The code of 福井県, whose layout this is."""

_MODEL: Final = model_of("RiverGauge")
_TEXTS: Final = {"name": "観測所名", "riverName": "河川名", "operator": "管理者名"}
_READINGS: Final = ("日時", "河川水位", "id")
_MASTER: Final = ("id", "観測所名", *THRESHOLDS.values())
_DMS: Final = tuple(f"{angle}({part})" for angle in ("緯度", "経度") for part in ("度", "分", "秒"))
_POSITIONS: Final = ("観測所名", *_DMS)
_NUMBER_IN_URL: Final = re.compile(r"[?&]sn=(\d+)(?:&|$)")


@dataclass(frozen=True, slots=True)
class Gauge:
    """One gauge: its number, its thresholds in metres by name, and its entity without any reading."""

    number: str
    thresholds: Mapping[str, float]
    entity: Entity = field(repr=False)

    @property
    def id(self) -> str:
        """The id of its entity."""
        entity_id: str = self.entity["id"]
        return entity_id


@dataclass(frozen=True, slots=True)
class Levels:
    """A table of readings in the order of time, those that say that there was no reading, and those that are none; the rows that
    readings are from."""

    lines: int
    readings: tuple[LevelReading, ...]
    missing: tuple[Repair, ...]
    unread: tuple[Quarantined, ...]
    rows: Mapping[LevelReading, int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RiverOptions(Options):
    """What a feed may say of its gauges."""

    authority: str = option("code of the local government whose numbers the gauges have", FUKUI)
    hold: int = option("readings in a row below a threshold until it counts as no longer reached", 3)


def observation(
    gauge_id: str, reading: LevelReading, now: Standing | None = None, before: Standing | None = None
) -> Entity:
    """What a reading changes in its gauge's entity: the level, and of the computed attributes those that change."""
    entity = {
        "id": gauge_id,
        "type": _MODEL.type,
        "waterLevel": metres(reading.level) | {"observedAt": reading.observed_at},
    }
    return entity if now is None else entity | computed(now, before)


def decode_gauges(data: bytes, *, authority: str = FUKUI) -> dict[str, Gauge]:
    """The gauges of a master table, by number. Raises UnreadableFile, UnknownLayout."""
    table = read_table(data)
    _require(table, _MASTER)
    return _gauges(table, authority)[0]


def decode_levels(data: bytes) -> Levels:
    """The readings of a day's table. Raises UnreadableFile, UnknownLayout."""
    table = read_table(data)
    _require(table, _READINGS)
    return _levels(table)


def decode_table(data: bytes, origin: Origin, options: RiverOptions, state: State) -> Decoded:
    """The gauges of a master, their positions, or their readings. Raises UnreadableFile, UnknownLayout."""
    table = read_table(data)
    headers = frozenset(normalised(table.headers))
    known: dict[str, Any] = state or {"thresholds": {}, "standings": {}}
    if headers.issuperset(map(normalise, _READINGS)):
        return _read(_levels(table), options, known)
    if headers.issuperset(map(normalise, _MASTER)):
        gauges, refused = _gauges(table, options.authority)
        thresholds = known["thresholds"] | {each.number: dict(each.thresholds) for each in gauges.values()}
        entities = tuple(gauge.entity for gauge in gauges.values())
        return Decoded(len(table.rows), entities, quarantine=refused, state={**known, "thresholds": thresholds})
    if headers.issuperset(map(normalise, _POSITIONS)):
        return _positions(table, options.authority, known)
    raise UnknownLayout(
        f"This is no river level table: it has neither {'、'.join(_READINGS)} nor {'、'.join(_MASTER)}, "
        f"nor {'、'.join(_POSITIONS)}."
    )


def _read(levels: Levels, options: RiverOptions, known: Mapping[str, Any]) -> Decoded:
    """The entities of readings. A reading older than the last one of its gauge is told, and computes nothing."""
    standings = {number: Standing.restored(stored) for number, stored in known["standings"].items()}
    entities = []
    unknown = []
    for reading in levels.readings:
        gauge_id = identified(_MODEL.type, options.authority, reading.gauge)
        thresholds, before = known["thresholds"].get(reading.gauge), standings.get(reading.gauge)
        if known["thresholds"] and thresholds is None:
            unknown.append(Repair(levels.rows[reading], "id", reading.gauge, "", "not-in-the-master", Severity.WARNING))
            station = {"stationId": {"type": "Property", "value": reading.gauge}}
            entities.append(observation(gauge_id, reading) | station)
            continue
        if not thresholds or (before is not None and before.at > reading.observed_at):
            entities.append(observation(gauge_id, reading))
            continue
        now = before if before is not None and before.at == reading.observed_at else None
        now = now or stand(thresholds, reading, before, options.hold)
        entities.append(observation(gauge_id, reading, now, before))
        standings[reading.gauge] = now
    return Decoded(
        levels.lines,
        tuple(entities),
        (*levels.missing, *unknown),
        levels.unread,
        state={**known, "standings": {number: standing.stored() for number, standing in standings.items()}},
    )


def _levels(table: Table) -> Levels:
    readings: dict[LevelReading, int] = {}
    missing = []
    rows, unread = _rows(table)
    for row, cells in rows:
        if not cells["河川水位"]:
            said = _written(table, row).get("河川水位", "")
            missing.append(Repair(row.number, "河川水位", said, "", "missing-mark", Severity.INFO))
            continue
        try:
            level = float(number(cells["河川水位"]).value)
            if not cells["id"]:
                raise Unreadable("no-number", "the line names no gauge")
            readings[LevelReading(instant(cells["日時"]).value, cells["id"], level)] = row.number
        except Unreadable as fault:
            unread.append(_refused(table, row, fault.rule, f"{fault.reason}."))
    return Levels(len(table.rows), tuple(sorted(readings)), tuple(missing), tuple(unread), MappingProxyType(readings))


def _gauges(table: Table, authority: str) -> tuple[dict[str, Gauge], tuple[Quarantined, ...]]:
    gauges: dict[str, Gauge] = {}
    rows, refused = _rows(table)
    for row, cells in rows:
        if not cells["id"] or not cells["観測所名"]:
            refused.append(_refused(table, row, "no-number-or-name", "The row names no gauge by number and name."))
        elif cells["id"] in gauges:
            refused.append(_refused(table, row, "duplicate", "The row has the number of a gauge further up."))
        else:
            gauges[cells["id"]] = _gauge(cells, authority)
    return gauges, tuple(refused)


def _gauge(cells: Mapping[str, str], authority: str) -> Gauge:
    thresholds = {
        name: value for name, column in THRESHOLDS.items() if (value := _number_or_none(cells[column])) is not None
    }
    entity: Entity = {"id": identified(_MODEL.type, authority, cells["id"]), "type": _MODEL.type}
    for name, column in _TEXTS.items():
        if cells.get(column):
            entity[name] = {"type": "Property", "value": cells[column]}
    entity["stationId"] = {"type": "Property", "value": cells["id"]}
    if cells.get("所在地"):
        entity["address"] = {"type": "Property", "value": {"addressCountry": "JP", "addressText": cells["所在地"]}}
    try:
        entity["location"] = {"type": "GeoProperty", "value": geo3x3(cells.get("geo3x3", "")).value}
    except Unreadable:
        entity.pop("location", None)
    for name, threshold in thresholds.items():
        entity[f"{name}Level"] = metres(threshold)
    return Gauge(cells["id"], MappingProxyType(thresholds), entity)


def _positions(table: Table, authority: str, known: Mapping[str, Any]) -> Decoded:
    """Where gauges are. Their number is in the address of their page; the name of a gauge is not always only its own."""
    entities: dict[str, Entity] = {}
    rows, refused = _rows(table)
    for row, cells in rows:
        match = next(filter(None, map(_NUMBER_IN_URL.search, cells.values())), None)
        if match is None:
            refused.append(_refused(table, row, "no-number", "No address in the row tells the number of the gauge."))
            continue
        try:
            degrees = [float(number(cells[part]).value) for part in map(normalise, _DMS)]
            latitude, longitude = (d + m / 60 + s / 3600 for d, m, s in (degrees[:3], degrees[3:]))
            place = point(round(latitude, 6), round(longitude, 6), repair=()).value
        except Unreadable as fault:
            refused.append(_refused(table, row, fault.rule, f"{fault.reason}."))
            continue
        entity_id = identified(_MODEL.type, authority, match[1])
        if entity_id in entities:
            refused.append(_refused(table, row, "duplicate", "The row has the number of a gauge further up."))
            continue
        location = {"type": "GeoProperty", "value": place}
        entities[entity_id] = {"id": entity_id, "type": _MODEL.type, "location": location}
    return Decoded(len(table.rows), tuple(entities.values()), quarantine=tuple(refused), state=known)


def _require(table: Table, needed: Iterable[str]) -> None:
    headers = normalised(table.headers)
    missing = [name for name in needed if normalise(name) not in headers]
    if missing:
        raise UnknownLayout(f"This is no river level table: it lacks {'、'.join(missing)}.")


def _written(table: Table, row: Row) -> dict[str, str]:
    return dict(zip(normalised(table.headers), row.cells, strict=False))


def _rows(table: Table) -> tuple[list[tuple[Row, dict[str, str]]], list[Quarantined]]:
    """The rows with their cells by header, without those whose bytes are no text: these are refused."""
    rows, refused = [], []
    for row in table.rows:
        if any(map(UNREADABLE_BYTES.search, row.cells)):
            reason = f"The row has bytes that are not {table.encoding.upper()}."
            refused.append(_refused(table, row, "undecodable-bytes", reason))
        else:
            rows.append((row, _cells(table, row)))
    return rows, refused


def _cells(table: Table, row: Row) -> dict[str, str]:
    """The trimmed cells by header; a mark for "no value" is an empty cell, and so is one that the row does not have."""
    texts = {header: trim(text) for header, text in _written(table, row).items()}
    blank = dict.fromkeys(normalised(table.headers), "")
    return blank | {header: "" if text in MISSING_MARKS else text for header, text in texts.items()}


def _refused(table: Table, row: Row, rule: str, reason: str) -> Quarantined:
    cells = zip(table.headers, row.cells, strict=False)
    record = {header: UNREADABLE_BYTES.sub("\ufffd", cell) for header, cell in cells if trim(cell)}
    return Quarantined(row.number, "", rule, reason, record)


def _number_or_none(text: str) -> float | None:
    try:
        return float(number(text).value) if text else None
    except Unreadable:
        return None


PREFECTURE: Final = Adapter(
    "river-level", "river levels as tables of a prefecture, with thresholds", decode_table, RiverOptions, stateful=True
)
