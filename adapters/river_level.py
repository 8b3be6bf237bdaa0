"""Prefectural river level tables (as Fukui publishes them) to RiverGauge entities: pure, bytes in, entities out.

The master names each gauge with its thresholds; a day's table has one reading a line: time (Japan's, 24:00 occurs), level
(`*` is missing, and missing is never 0) and gauge number. Status and `…LevelReached` are computed here and say so; a flood
that has happened is a report and is never computed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from adapters.errors import UnknownLayout
from adapters.headers import normalise, normalised
from adapters.identity import identified
from adapters.table import Row, read_table
from adapters.transforms.numbers import number
from adapters.transforms.places import geo3x3
from adapters.transforms.reading import Unreadable
from adapters.transforms.text import MISSING_MARKS, trim
from adapters.transforms.times import instant
from datamodels import model_of

Entity: TypeAlias = dict[str, Any]

FUKUI: Final = "180009"
"""The code of 福井県, whose layout this is."""

THRESHOLDS: Final = MappingProxyType(
    {
        "standby": "水防団待機水位",
        "caution": "はん濫注意水位",
        "evacuation": "避難判断水位",
        "danger": "はん濫危険水位",
    }
)
"""The thresholds of a gauge in rising order, status 1 to 4, with their columns in the master."""

_MODEL: Final = model_of("RiverGauge")
_TEXTS: Final = {"name": "観測所名", "riverName": "河川名", "operator": "管理者名"}


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

    def reached(self, level: float) -> dict[str, bool]:
        """For each threshold that the gauge has, whether the level is at or above it."""
        return {name: level >= threshold for name, threshold in self.thresholds.items()}

    def status(self, level: float) -> int | None:
        """0 to 4: the highest threshold that the level is at or above; None for a gauge without thresholds."""
        reached = self.reached(level)
        return (
            max((rank for rank, name in enumerate(THRESHOLDS, 1) if reached.get(name)), default=0) if reached else None
        )


class LevelReading(NamedTuple):
    """One reading: UTC instant, number of the gauge, metres above the gauge's zero."""

    observed_at: str
    gauge: str
    level: float


class Unread(NamedTuple):
    """A line that is no reading: its number in the file, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Levels:
    """A table of readings in the order of time; `missing` counts the lines that say that there was no reading."""

    readings: tuple[LevelReading, ...]
    missing: int
    unread: tuple[Unread, ...]


def decode_gauges(data: bytes, *, authority: str = FUKUI) -> dict[str, Gauge]:
    """The gauges of a master table (id, 河川名, 観測所名, thresholds, geo3x3), by number.

    `authority` is the code of the local government whose numbers these are. Raises UnreadableFile, UnknownLayout.
    """
    headers, rows = _rows_of(data, ("id", "観測所名", *THRESHOLDS.values()))
    found = {}
    for row in rows:
        cells = _cells(headers, row)
        gauge = _gauge(cells, authority)
        if gauge is not None:
            found[gauge.number] = gauge
    return found


def decode_levels(data: bytes) -> Levels:
    """The readings of a table (日時, 河川水位, id). Raises UnreadableFile, UnknownLayout."""
    headers, rows = _rows_of(data, ("日時", "河川水位", "id"))
    readings, missing, unread = set(), 0, []
    for row in rows:
        cells = _cells(headers, row)
        if not cells["河川水位"]:
            missing += 1
            continue
        try:
            level = float(number(cells["河川水位"]).value)
            readings.add(LevelReading(instant(cells["日時"]).value, cells["id"], level))
        except Unreadable as fault:
            unread.append(Unread(row.number, fault.reason))
    return Levels(tuple(sorted(readings)), missing, tuple(unread))


def observation(gauge: Gauge, reading: LevelReading, before: LevelReading | None = None) -> Entity:
    """What a reading changes in its gauge's entity: the level, and of the computed attributes those that change.

    `before` is the gauge's reading before this one; without it all computed attributes are given. Their `observedAt` is the
    time since which they have held, so they change only when their value does.
    """
    at = reading.observed_at
    entity = {"id": gauge.id, "type": _MODEL.type, "waterLevel": _metres(reading.level) | {"observedAt": at}}
    now, then = gauge.reached(reading.level), gauge.reached(before.level) if before else {}
    for name, reached in now.items():
        if then.get(name) is not reached:
            entity[f"{name}LevelReached"] = _computed(reached, at, ["waterLevel", f"{name}Level"])
    status = gauge.status(reading.level)
    if status is not None and (before is None or status != gauge.status(before.level)):
        entity["levelStatus"] = _computed(status, at, ["waterLevel", *(f"{name}Level" for name in gauge.thresholds)])
    return entity


def _gauge(cells: Mapping[str, str], authority: str) -> Gauge | None:
    if not cells["id"] or not cells["観測所名"]:
        return None
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
        entity[f"{name}Level"] = _metres(threshold)
    return Gauge(cells["id"], MappingProxyType(thresholds), entity)


def _rows_of(data: bytes, needed: Iterable[str]) -> tuple[list[str], tuple[Row, ...]]:
    table = read_table(data)
    headers = normalised(table.headers)
    missing = [name for name in needed if normalise(name) not in headers]
    if missing:
        raise UnknownLayout(f"This is no river level table: it lacks {'、'.join(missing)}.")
    return headers, table.rows


def _cells(headers: list[str], row: Row) -> dict[str, str]:
    """The trimmed cells by header; a mark for "no value" is an empty cell."""
    texts = (trim(cell) for cell in (*row.cells, *[""] * (len(headers) - len(row.cells))))
    return {header: "" if text in MISSING_MARKS else text for header, text in zip(headers, texts, strict=False)}


def _number_or_none(text: str) -> float | None:
    try:
        return float(number(text).value) if text else None
    except Unreadable:
        return None


def _metres(value: float) -> dict[str, Any]:
    return {"type": "Property", "value": value, "unitCode": "MTR"}


def _computed(value: bool | int, since: str, sources: list[str]) -> dict[str, Any]:
    computed_from = {"type": "Property", "value": sources}
    return {"type": "Property", "value": value, "observedAt": since, "computedFrom": computed_from}
