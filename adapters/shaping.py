"""From what the cells of a row say to the values of attributes: opening hours, age groups, dates with times.

While a row is read, an attribute that several columns fill is a dict of their members, `male.total` being two levels. The
functions here make the attribute's value of it; what cannot be put together is a warning in the report and is left out.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from adapters.columns import Column
from adapters.transforms.hours import DAYS, HOLIDAYS
from datamodels import Model


class Fault(NamedTuple):
    """A part that has no whole: which rule it breaks, and what is left out."""

    rule: str
    before: str


Shaped = tuple[Any, Fault | None]
"""The value, None where there is none, and what was left out."""


_DATE_AND_TIME: Final = frozenset(["date", "time"])


def place(values: dict[str, Any], column: Column, value: Any) -> None:
    """Put a cell's value where the column belongs; None is absent."""
    if value is None:
        return
    if column.negated and isinstance(value, bool):
        value = not value
    if column.item is not None:
        if value:
            values.setdefault(column.attribute, []).append(column.item)
    elif column.member is None or (isinstance(value, dict) and column.transform == "age"):
        _whole(values, column, value)
    else:
        *outer, last = column.member.split(".") if column.attribute != "ageDistribution" else _age_path(column.member)
        target = values.setdefault(column.attribute, {})
        for step in outer:
            target = target.setdefault(step, {})
        target[last] = value


def shape(model: Model, values: dict[str, Any]) -> list[tuple[str, Fault]]:
    """Make the values of a model's attributes out of their parts, in place; the faults are by attribute."""
    faults = []
    for name, parts in list(values.items()):
        if isinstance(parts, dict):
            shaper = _SHAPERS.get(name)
            if shaper is None and parts.keys() <= _DATE_AND_TIME:
                shaper = _date_and_time
            if shaper is None or name not in model.attributes:
                continue
            value, fault = shaper(parts)
            if fault is not None:
                faults.append((name, fault))
            if value is None:
                del values[name]
            else:
                values[name] = value
        elif isinstance(parts, list) and name in model.attributes and model.attributes[name].is_list_of_terms:
            order = model.attributes[name].schema["items"]["enum"]
            values[name] = sorted(dict.fromkeys(parts), key=order.index)
    return faults


def _whole(values: dict[str, Any], column: Column, value: Any) -> None:
    """A second column of the same attribute makes a list of it (画像1, 画像2), where the attribute may be one."""
    known = values.get(column.attribute)
    if known is not None and column.attribute in ("image", "imageLicense"):
        values[column.attribute] = [*(known if isinstance(known, list) else [known]), value]
    else:
        values[column.attribute] = value


def _age_path(member: str) -> list[str]:
    span, _, sex = member.rpartition(".")
    return [span, sex]


def _hours(parts: Mapping[str, Any]) -> Shaped:
    """`{dayOfWeek, opens, closes}` as one specification, `{Sunday: {opens, closes}}` as one for all days of the same hours."""
    by_day = {day: parts[day] for day in (*DAYS, HOLIDAYS) if isinstance(parts.get(day), dict)}
    if not by_day:
        return [dict(parts)], None
    groups: dict[tuple[Any, Any], list[str]] = {}
    halves = []
    for day, hours in by_day.items():
        if {"opens", "closes"} <= hours.keys():
            groups.setdefault((hours["opens"], hours["closes"]), []).append(day)
        else:
            halves.append(f"{day} {hours.get('opens', '')}-{hours.get('closes', '')}")
    found = [{"dayOfWeek": days, "opens": opens, "closes": closes} for (opens, closes), days in groups.items()]
    return found or None, Fault("half-of-the-hours", ", ".join(halves)) if halves else None


def _ages(parts: Mapping[str, Any]) -> Shaped:
    """`{"0-4": {male, female}, "85-": …}` as a list of groups, youngest first; the last one is open."""
    groups = []
    for span, numbers in parts.items():
        first, _, last = span.partition("-")
        groups.append({"from": int(first), **({"to": int(last)} if last else {}), **numbers})
    return sorted(groups, key=lambda group: group["from"]) or None, None


def _date_and_time(parts: Mapping[str, Any]) -> Shaped:
    """A date, with a time an instant in Japan's zone; 24:00 is 00:00 of the next day, a time without date says nothing."""
    if "date" not in parts:
        return None, Fault("time-without-date", str(parts["time"]))
    if "time" not in parts:
        return parts["date"], None
    day, clock = date.fromisoformat(parts["date"]), parts["time"]
    if clock == "24:00":
        day, clock = day + timedelta(days=1), "00:00"
    return f"{day.isoformat()}T{clock}:00+09:00", None


_SHAPERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Shaped]]] = MappingProxyType(
    {"openingHoursSpecification": _hours, "ageDistribution": _ages}
)
