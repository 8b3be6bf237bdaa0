"""The aggregated temporal representation (4.5.19): instances gathered period by period, then one value for each method."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from hashlib import blake2b
from math import sqrt
from typing import Any, Final, NamedTuple

import orjson

from broker.errors import BadRequestData, TooManyResults
from broker.model.instants import canonical, canonical_text, parse_instant
from broker.model.terms import KINDS
from broker.query.values import plain, temporal
from broker.store.chronicle import time_in
from broker.store.protocol import HistoryEntry, HistoryQuery

MOST_PERIODS: Final = 50_000
"""Periods with instances in one answer, of all entities, attributes and datasets: with all methods some 100 MB of memory."""
MOST_DISTINCT: Final = 500_000
"""Distinct values of all periods and entities in one answer: some 50 MB of memory."""

_NUMBERS: Final = frozenset({"number", "boolean"})
_ORDERED: Final = _NUMBERS | {"array", "string", "dateTime", "date", "time"}
METHODS: Final[Mapping[str, frozenset[str] | None]] = {
    "avg": _NUMBERS | {"array", "time"},
    "distinctCount": None,
    "max": _ORDERED,
    "min": _ORDERED,
    "stddev": _NUMBERS,
    "sum": _NUMBERS | {"array"},
    "sumsq": _NUMBERS,
    "totalCount": None,
}
"""The aggregation methods, and the data types of values that each is for (tables 4.5.19.1-1 to -3); None: any."""

_COUNTED: Final = frozenset({"number", "boolean", "array"})
_DIGEST: Final = 40
"""Characters that are kept of a value to tell it from others; of a longer one they are its hash."""

_DURATION: Final = re.compile(
    r"P(?=.)(?:([0-9]{1,9})W|(?:([0-9]{1,9})Y)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})D)?"
    r"(?:T(?=.)(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?)"
)
_LAST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0)


class Duration(NamedTuple):
    """A period's length: months of the calendar, and seconds."""

    months: int
    seconds: int


WHOLE_RANGE: Final = Duration(0, 0)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Which methods, over periods of which length (0: the whole time range of the query)."""

    methods: tuple[str, ...]
    duration: Duration = WHOLE_RANGE


def parse_aggregation(methods: Any, duration: Any) -> Aggregation:
    """aggrMethods, a list or a comma-separated string, and aggrPeriodDuration (5.2.44). Raises BadRequestData."""
    names = [name.strip() for name in methods.split(",")] if isinstance(methods, str) else methods
    if not isinstance(names, list) or not names:
        raise BadRequestData("aggrMethods: a list of aggregation methods is needed for aggregated values (4.5.19)")
    for name in names:
        if not isinstance(name, str) or name not in METHODS:
            raise BadRequestData(f"aggrMethods: {name!r} is not one of {', '.join(METHODS)}")
    return Aggregation(tuple(dict.fromkeys(names)), parse_duration("PT0S" if duration is None else duration))


def parse_duration(text: Any) -> Duration:
    """A duration such as P3Y6M4DT12H30M5S or P2W (4.5.19.1). Raises BadRequestData."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise BadRequestData(
            f"aggrPeriodDuration: {text!r} is not a duration such as PT1H or P3Y6M4DT12H30M5S (4.5.19)"
        )
    weeks, years, months, days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return Duration(12 * years + months, seconds + 60 * (minutes + 60 * (hours + 24 * (days + 7 * weeks))))


def shown(moment: datetime) -> str:
    """A DateTime without a fraction of zero."""
    text = canonical(moment)
    return text if moment.microsecond else text[:19] + "Z"


class Periods:
    """The periods of a time range that begins at `origin`; a duration of 0 is one period until `end`."""

    def __init__(self, origin: datetime, end: datetime, duration: Duration) -> None:
        self._origin = origin
        self._end = end
        self._duration = duration
        self._step = timedelta(seconds=duration.seconds) if duration.seconds < 10**11 else timedelta(days=10**7)
        self._texts: dict[int, str] = {}

    def index(self, moment: datetime) -> int:
        """The number of the period in which a moment lies."""
        months, seconds = self._duration
        if not months:
            return (moment - self._origin) // self._step if seconds else 0
        passed = (moment.year - self._origin.year) * 12 + moment.month - self._origin.month
        index = max(0, int(passed / (months + seconds / (30 * 86_400))) - 1)
        while self._start(index + 1) <= moment < _LAST:
            index += 1
        while index and self._start(index) > moment:
            index -= 1
        return index

    def bounds(self, index: int) -> tuple[str, str]:
        """The start and the end of a period."""
        if self._duration == WHOLE_RANGE:
            return shown(self._origin), shown(self._end)
        return self._text(index), self._text(index + 1)

    def _text(self, index: int) -> str:
        """The start of a period as it is shown: asked for as its own and as the end of the one before, by each method."""
        text = self._texts.get(index)
        if text is None:
            text = self._texts[index] = shown(self._start(index))
        return text

    def _start(self, index: int) -> datetime:
        months, _ = self._duration
        if not months:
            return _later(self._origin, self._step, index)
        total = self._origin.month - 1 + months * index
        year = self._origin.year + total // 12
        if year > 9999:
            return _LAST
        day, month = self._origin.day, total % 12 + 1
        while True:
            try:
                start = self._origin.replace(year=year, month=month, day=day)
                break
            except ValueError:  # the month has no such day: its last one
                day -= 1
        return _later(start, self._step, index)


def _later(start: datetime, step: timedelta, times: int) -> datetime:
    try:
        return start + step * times
    except OverflowError:
        return _LAST


@dataclass(slots=True)
class _Gathered:
    """What one period has of one series. `extremes`: by order, the least and the greatest value as compared and as shown."""

    count: int = 0
    numbers: int = 0
    total: float = 0
    squares: float = 0
    extremes: dict[str, tuple[Any, Any, Any, Any]] = field(default_factory=dict)
    distinct: set[str] = field(default_factory=set)

    def add(self, domain: str, comparable: Any, value: Any) -> None:
        self.count += 1
        number = _microseconds(comparable) if domain == "time" else comparable
        if isinstance(number, int | float):
            self.numbers += 1
            self.total += number
            self.squares += number * number
        if comparable is not None:
            order = "number" if domain in _COUNTED else domain
            known = self.extremes.get(order)
            if known is None:
                self.extremes[order] = comparable, value, comparable, value
            elif comparable < known[0]:
                self.extremes[order] = comparable, value, *known[2:]
            elif comparable > known[2]:
                self.extremes[order] = *known[:2], comparable, value


@dataclass(slots=True)
class Room:
    """What there is still room for in one answer, of all its entities together."""

    periods: int = field(default_factory=lambda: MOST_PERIODS)
    distinct: int = field(default_factory=lambda: MOST_DISTINCT)


_Place = tuple[str, str | None, str]
"""Attribute, datasetId and kind."""


class Aggregator:
    """Takes in the entries of one entity and gives their aggregated representation."""

    def __init__(self, aggregation: Aggregation, query: HistoryQuery, periods: Periods, room: Room) -> None:
        self._aggregation = aggregation
        self._query = query
        self._periods = periods
        self._room = room
        self._counts_distinct = "distinctCount" in aggregation.methods
        self._gathered: dict[_Place, dict[int, _Gathered]] = {}
        self._domains: dict[_Place, set[str]] = {}
        self._last = ("", "", 0)

    def take(self, entries: Sequence[HistoryEntry]) -> bool:
        """Take entries in; never enough of them. Raises TooManyResults."""
        for entry in entries:
            if entry.deleted:
                continue
            kind, member, _ = KINDS[entry.instance["type"]]
            place = entry.attribute, entry.dataset_id, kind
            value = entry.instance[member]
            domain, comparable = _classified(kind, value)
            domains = self._domains.get(place)
            if domains is None:
                domains, self._gathered[place] = self._domains.setdefault(place, set()), {}
            domains.add(domain)
            gathered = self._period(self._gathered[place], time_in(entry, self._query))
            shown_value = int(value) if domain == "boolean" else comparable if domain == "array" else value
            gathered.add(domain, comparable, shown_value)
            if self._counts_distinct:
                self._note(gathered.distinct, shown_value)
        return False

    def _period(self, periods: dict[int, _Gathered], instant: str) -> _Gathered:
        """What is gathered in the period of a canonical instant."""
        start, end, index = self._last
        # Mostly it is that of the one before, as entries come in order.
        if not start <= instant < end:
            index = self._index(instant)
        gathered = periods.get(index)
        if gathered is None:
            if not self._room.periods:
                raise TooManyResults(
                    f"aggrPeriodDuration: more than {MOST_PERIODS} periods; ask for longer ones, or for fewer entities"
                )
            self._room.periods -= 1
            gathered = periods[index] = _Gathered()
        return gathered

    def _index(self, instant: str) -> int:
        """The number of the period of a canonical instant."""
        index = self._periods.index(parse_instant(instant))
        first, last = map(canonical_text, self._periods.bounds(index))
        # The whole time range has its last instant in it, any other period has not.
        self._last = (first, last, index) if first <= instant < last else (instant, instant, index)
        return index

    def _note(self, distinct: set[str], value: Any) -> None:
        """Note a value among the distinct ones. Raises TooManyResults."""
        written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        known = len(distinct)
        # A copy: the buffer in which orjson writes keeps a kilobyte for as long as it lives.
        distinct.add(
            written.decode() if len(written) <= _DIGEST else blake2b(written, digest_size=_DIGEST // 2).hexdigest()
        )
        if len(distinct) > known:
            if not self._room.distinct:
                raise TooManyResults(
                    f"aggrMethods: distinctCount of more than {MOST_DISTINCT} different values; ask for a shorter time"
                )
            self._room.distinct -= 1

    def attributes(self) -> list[str]:
        """The attributes of which there was something."""
        return sorted({attribute for attribute, _, _ in self._gathered})

    def unfit(self, attribute: str) -> list[str]:
        """The methods that are not for the values that this attribute has."""
        return [
            method
            for method in self._aggregation.methods
            if any(not _fits(method, domains) for place, domains in self._domains.items() if place[0] == attribute)
        ]

    def represented(self, attribute: str) -> list[dict[str, Any]]:
        """One object for each datasetId and kind: type, datasetId, and the values of each method that fits."""
        objects = []
        for place in sorted(self._gathered, key=lambda place: (place[1] or "", place[2])):
            if place[0] != attribute:
                continue
            methods = [method for method in self._aggregation.methods if _fits(method, self._domains[place])]
            if not methods:
                continue
            result: dict[str, Any] = {"type": place[2]}
            if place[1] is not None:
                result["datasetId"] = place[1]
            for method in methods:
                result[method] = [
                    [_RESULTS[method](gathered), *self._periods.bounds(index)]
                    for index, gathered in sorted(self._gathered[place].items())
                ]
            objects.append(result)
        return objects


def _fits(method: str, domains: set[str]) -> bool:
    """Whether a method is for all of these data types, and can take them together."""
    supported = METHODS[method]
    if supported is None:
        return True
    return domains <= supported and (len(domains) == 1 or domains <= _NUMBERS)


def _classified(kind: str, value: Any) -> tuple[str, Any]:
    """The data type of a value, and what of it is added up or compared, None for nothing."""
    if kind in ("Relationship", "ListRelationship"):
        return "relationship", None
    if kind == "VocabProperty":
        return "uri", None
    if kind in ("GeoProperty", "JsonProperty", "LanguageProperty"):
        return "object", None
    value = plain(value)
    if isinstance(value, bool):
        return "boolean", int(value)
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, list):
        return "array", len(value)
    if not isinstance(value, str):
        return "object", None
    found = temporal(value)
    return ("string", value) if found is None else (found[0], found[1])


def _microseconds(of_day: time) -> int:
    return ((of_day.hour * 60 + of_day.minute) * 60 + of_day.second) * 1_000_000 + of_day.microsecond


def _mean(gathered: _Gathered) -> Any:
    mean = gathered.total / gathered.numbers
    if "time" in gathered.extremes:
        return shown(datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(mean))).partition("T")[2]
    return mean


def _writable(number: float) -> float:
    """A number that JSON readers can take: an integer beyond 64 bits becomes a fraction."""
    return number if abs(number) < 2**63 else float(number)


def _deviation(gathered: _Gathered) -> float:
    """Of the values as a whole population: a single value deviates by 0."""
    mean = gathered.total / gathered.numbers
    return sqrt(max(0.0, gathered.squares / gathered.numbers - mean * mean))


def _extreme(which: int) -> Callable[[_Gathered], Any]:
    return lambda gathered: next(iter(gathered.extremes.values()))[which]


_RESULTS: Final[Mapping[str, Callable[[_Gathered], Any]]] = {
    "avg": _mean,
    "distinctCount": lambda gathered: len(gathered.distinct),
    "max": _extreme(3),
    "min": _extreme(1),
    "stddev": _deviation,
    "sum": lambda gathered: _writable(gathered.total),
    "sumsq": lambda gathered: _writable(gathered.squares),
    "totalCount": lambda gathered: gathered.count,
}
