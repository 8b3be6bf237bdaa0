"""Instants and series for the tests of temporal evolutions, and how to read these back whatever form a broker gives them."""

from typing import Any

from conformance.samples import Document, prop

ALWAYS = {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z"}
"""A temporal query that finds all that was ever observed."""


def at(minute: int) -> str:
    """A DateTime: so many minutes after ten o'clock on one day."""
    return f"2024-05-01T{10 + minute // 60:02}:{minute % 60:02}:00Z"


def series(*values: Any, start: int = 0, **members: Any) -> list[Document]:
    """Instances of a Property, observed minute by minute."""
    return [prop(value, observedAt=at(minute), **members) for minute, value in enumerate(values, start)]


def listed(shown: Any) -> list[Any]:
    """One instance may stand without an array (4.5.7)."""
    return shown if isinstance(shown, list) else [shown]


def moment(shown: str) -> str:
    """A DateTime without a fraction that is zero, which makes no other instant of it (4.6.3)."""
    whole, _, fraction = shown.removesuffix("Z").partition(".")
    return f"{whole}.{fraction}Z" if fraction.strip("0") else f"{whole}Z"


def observed(shown: Any, member: str = "value") -> list[tuple[Any, str]]:
    """The values of a normalized series with the times when they were observed, in order of these."""
    return sorted(
        ((each[member], moment(each["observedAt"])) for each in listed(shown)), key=lambda pair: (pair[1], str(pair[0]))
    )


def values_of(shown: Any, member: str = "value") -> list[Any]:
    """The values of a normalized series in order of the times when they were observed."""
    return [value for value, _ in observed(shown, member)]


def pairs(shown: list[list[Any]]) -> list[list[Any]]:
    """The pairs of a simplified series, in order of time."""
    return sorted(([value, moment(time)] for value, time in shown), key=lambda pair: (pair[1], str(pair[0])))


def periods(shown: list[list[Any]]) -> list[list[Any]]:
    """The triples of an aggregated series, in order of time."""
    return sorted(([value, moment(start), moment(end)] for value, start, end in shown), key=lambda each: each[1])
