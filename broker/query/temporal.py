"""The NGSI-LD Temporal Query Language (4.11) and the TemporalQuery data type (5.2.21): parameters -> a TemporalQuery."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from broker.errors import BadRequestData
from broker.model.instants import canonical, parse_instant

TemporalRelation: TypeAlias = Literal["before", "after", "between"]
TimeProperty: TypeAlias = Literal["observedAt", "createdAt", "modifiedAt", "deletedAt"]

DEFAULT_TIME: Final[TimeProperty] = "observedAt"


@dataclass(frozen=True, slots=True)
class TemporalQuery:
    """A predicate over the Temporal Property `time`; `relation` None: the property only has to be there.

    `time_at` and `end_time_at` are as the client wrote them; `start` (included) and `end` (not included) are canonical.
    """

    relation: TemporalRelation | None = None
    time_at: str | None = None
    end_time_at: str | None = None
    time: TimeProperty | None = None
    last_n: int | None = None

    @property
    def restricts(self) -> bool:
        """Whether there is any predicate: instances without the Temporal Property then do not match (4.11)."""
        return self.relation is not None or self.time is not None

    @property
    def start(self) -> str | None:
        """The first instant that matches."""
        return None if self.time_at is None or self.relation == "before" else canonical(parse_instant(self.time_at))

    @property
    def end(self) -> str | None:
        """The first instant that does not match any more."""
        bound = self.time_at if self.relation == "before" else self.end_time_at
        return None if bound is None else canonical(parse_instant(bound))


def parse_temporal_query(
    timerel: Any = None, time_at: Any = None, end_time_at: Any = None, timeproperty: Any = None, last_n: Any = None
) -> TemporalQuery:
    """The temporal query that these members make. Raises BadRequestData naming the one at fault."""
    if timerel is not None and timerel not in get_args(TemporalRelation):
        raise BadRequestData(f"timerel: {timerel!r} is not one of {', '.join(get_args(TemporalRelation))}")
    if timeproperty is not None and timeproperty not in get_args(TimeProperty):
        raise BadRequestData(f"timeproperty: {timeproperty!r} is not one of {', '.join(get_args(TimeProperty))}")
    if (timerel is None) != (time_at is None):
        missing = "timerel" if timerel is None else "timeAt"
        raise BadRequestData(f"{missing}: is missing; timerel and timeAt belong together (4.11)")
    if timerel == "between" and end_time_at is None:
        raise BadRequestData("endTimeAt: is missing; timerel=between has two ends (4.11)")
    if end_time_at is not None and timerel != "between":
        raise BadRequestData("endTimeAt: is only for timerel=between (4.11)")
    for member, value in (("timeAt", time_at), ("endTimeAt", end_time_at)):
        if value is not None:
            _check_instant(member, value)
    if last_n is not None and (type(last_n) is not int or last_n < 1):
        raise BadRequestData(f"lastN: a positive integer is expected, not {last_n!r}")
    return TemporalQuery(
        cast("TemporalRelation | None", timerel),
        time_at,
        end_time_at,
        cast("TimeProperty | None", timeproperty),
        last_n,
    )


def _check_instant(member: str, value: Any) -> None:
    try:
        parse_instant(value if isinstance(value, str) else "")
    except ValueError:
        raise BadRequestData(f"{member}: not a DateTime such as 2026-11-22T21:34:08Z (4.6.3): {value!r}") from None
