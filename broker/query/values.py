"""How a literal of `q` compares with a target value (4.9, "semantics of the operators").

Decisions where the clause leaves room:

* A literal's spelling gives its data type. A JSON string in an entity is a String, and also a DateTime, Date or Time
  where it has that form (4.6.3): an unquoted `2020-01-01T00:00:00Z` compares in time, the quoted one as text.
* Numbers compare exactly, whether integers or fractions; a Boolean is never a number.
* Strings are equal when their code points are (RFC 8259, section 8.3), and order by code point: the same in every store
  and with an index. (Collation is for `orderBy`.)
* URIs compare as strings, the first rung of RFC 3986, section 6: ids are opaque names here, and indexed. A URI literal
  and a String literal are one data type, as the examples of the clause quote URIs.
* An array target equals a literal when it includes it. It has no order and is in no range and no pattern's language.
* A JSON-LD typed value (`{"@type": ..., "@value": x}`, 4.6.3) compares as its `@value`.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Any, Final, TypeAlias

from broker.model.instants import parse_instant
from broker.query.ast import Operator, Range, Value, ValueKind, ValueList
from broker.query.patterns import pattern_test

Test: TypeAlias = Callable[[Any], bool]
"""A predicate over one JSON value."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,6}))?Z")
_LONGEST_INSTANT: Final = 27
_ORDER: Final[dict[Operator, Callable[[Any, Any], bool]]] = {">": gt, ">=": ge, "<": lt, "<=": le}


def parse_date(text: str) -> date:
    """The day that a Date string (4.6.3, YYYY-MM-DD) names; ValueError for anything else."""
    if _DATE.fullmatch(text) is None:
        raise ValueError(f"not a Date (YYYY-MM-DD): {text!r}")
    return date.fromisoformat(text)


def parse_time(text: str) -> time:
    """The time of day, in UTC, that a Time string (4.6.3, hh:mm:ss[.ffffff]Z) names; ValueError for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a Time (hh:mm:ss[.ffffff]Z): {text!r}")
    clock, fraction = match.groups()
    moment = time.fromisoformat(clock)
    return moment.replace(microsecond=int(fraction.ljust(6, "0"))) if fraction else moment


TEMPORAL: Final[dict[str, Callable[[str], datetime | date | time]]] = {
    "dateTime": parse_instant,
    "date": parse_date,
    "time": parse_time,
}
"""The parsers of the temporal data types, by kind of literal."""


def temporal(text: str) -> tuple[ValueKind, datetime | date | time] | None:
    """The temporal data type that a string has the form of, and the point in time it names; None for any other string."""
    if not text.endswith("Z") and len(text) != 10:
        return None
    kind: ValueKind = "date" if len(text) == 10 and text[4:5] == "-" else "time" if text[2:3] == ":" else "dateTime"
    try:
        return kind, TEMPORAL[kind](text)
    except ValueError:
        return None


def plain(value: Any) -> Any:
    """The value that counts: the `@value` of a JSON-LD typed value, everything else as it is."""
    return value["@value"] if isinstance(value, dict) and "@value" in value else value


def _read(kind: ValueKind) -> Callable[[Any], Any]:
    """A reader that gives a JSON value as the comparable value of this data type, or None if it is of another one."""
    if kind == "number":
        return lambda target: target if type(target) is int or type(target) is float else None
    if kind == "boolean":
        return lambda target: target if type(target) is bool else None
    parse = TEMPORAL.get(kind)
    if parse is None:
        return lambda target: target if type(target) is str else None

    @lru_cache(maxsize=1024)
    def parsed(text: str) -> datetime | date | time | None:
        try:
            return parse(text)
        except ValueError:
            return None

    return lambda target: parsed(target) if type(target) is str and len(target) <= _LONGEST_INSTANT else None


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    kind: _read(kind) for kind in ("number", "string", "boolean", "dateTime", "date", "time", "uri")
}


def _literal(value: Value) -> tuple[Callable[[Any], Any], Any]:
    """The reader of the literal's data type, and the literal as it reads it."""
    read = _READERS[value.kind]
    literal = read(value.value)
    if literal is None:
        raise ValueError(f"{value.value!r} is not a {value.kind}")
    return read, literal


def _scalar(value: Value) -> Test:
    read, literal = _literal(value)
    return lambda target: bool(read(target) == literal)


def equality(operand: Value | ValueList | Range) -> Test:
    """Whether a target value equals the operand: is it, or includes it; for a list any of it; for a range lies within."""
    if isinstance(operand, Range):
        read, low = _literal(operand.low)
        _, high = _literal(operand.high)

        def within(target: Any) -> bool:
            found = read(plain(target))
            return found is not None and low <= found <= high

        return within
    values = operand.values if isinstance(operand, ValueList) else (operand,)
    tests = tuple(_scalar(value) for value in values)
    test = tests[0] if len(tests) == 1 else lambda target: any(each(target) for each in tests)

    def equals(target: Any) -> bool:
        target = plain(target)
        if isinstance(target, list):
            return any(test(plain(element)) for element in target)
        return test(target)

    return equals


def order(operator: Operator, operand: Value) -> Test:
    """Whether a target value of the operand's own data type stands in this order to it (`>`, `>=`, `<`, `<=`)."""
    compare = _ORDER[operator]
    read, literal = _literal(operand)

    def ordered(target: Any) -> bool:
        found = read(plain(target))
        return found is not None and compare(found, literal)

    return ordered


def membership(operand: Value) -> tuple[Test, Test]:
    """Two tests: whether a target value is a string in which the pattern is found, and one in which it is not."""
    found_in = pattern_test(str(operand.value))

    def matches(target: Any) -> bool:
        target = plain(target)
        return isinstance(target, str) and found_in(target)

    def differs(target: Any) -> bool:
        target = plain(target)
        return isinstance(target, str) and not found_in(target)

    return matches, differs
