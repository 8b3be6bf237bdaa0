"""Stretches of time: intervals that context sources have data for (5.2.11), and temporal queries about them (4.11, 5.10.2.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from broker.errors import BadRequestData
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.query.temporal import DEFAULT_TIME, parse_temporal_query

MEMBERS: Final = ("timerel", "timeAt", "endTimeAt", "timeproperty", "lastN", "aggrMethods", "aggrPeriodDuration")
"""The members of a TemporalQuery (5.2.21)."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` to `end`, both included; None is open."""

    start: datetime | None
    end: datetime | None

    def overlaps(self, other: "Stretch") -> bool:
        """Whether the two have an instant in common, be it an end point."""
        return not (_before(self.end, other.start) or _before(other.end, self.start))


@dataclass(frozen=True, slots=True)
class Period:
    """The stretch of time that a temporal query asks for; whether its ends are included makes no difference here.

    `observed`: in terms of observedAt, so that it is about observationIntervals; else about managementIntervals.
    """

    observed: bool
    stretch: Stretch


def _before(end: datetime | None, start: datetime | None) -> bool:
    return end is not None and start is not None and end < start


def interval_stretch(interval: JsonObject) -> Stretch:
    """A stored TimeInterval (5.2.11); without endAt it is open."""
    end = interval.get("endAt")
    return Stretch(parse_instant(interval["startAt"]), None if end is None else parse_instant(end))


def check_temporal_query(given: Any) -> JsonObject:
    """The stored form of a `temporalQ` (5.2.21), of which only the period matters here. Raises BadRequestData."""
    if not isinstance(given, dict):
        raise BadRequestData("temporalQ: an object with timerel and timeAt is expected (5.2.21)")
    query = {part: given[part] for part in MEMBERS if given.get(part) is not None}
    try:
        parse_period(query)
    except BadRequestData as error:
        raise BadRequestData(f"temporalQ: {error.detail}") from error
    return query


def parse_period(given: Mapping[str, Any]) -> Period:
    """The period that the members of a TemporalQuery describe (4.11, 5.2.21). Raises BadRequestData."""
    query = parse_temporal_query(*(given.get(part) for part in MEMBERS[:5]))
    if query.relation is None:
        raise BadRequestData("timerel, timeAt: a temporal query has both (4.11)")
    start, end = query.start, query.end
    return Period(
        observed=(query.time or DEFAULT_TIME) == "observedAt",
        stretch=Stretch(
            None if start is None else parse_instant(start),
            None if end is None else parse_instant(end),
        ),
    )
