"""Terms: what of the values at a path is indexed, and which terms a comparison of `q` (4.9) can be true for. Pure.

A comparison gives intervals of terms, both ends included. An entity for which it holds has a term in one of them or is
opaque; the reverse need not be true, as long strings are cut and times are compared by the second. What is at a path, the
evaluator's own targets say.
"""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Final, TypeAlias

from broker.query.ast import Comparison, LinkedIn, Range, Value, ValueList
from broker.query.targets import Target
from broker.query.values import plain

Term: TypeAlias = int | float | str | bytes
Interval: TypeAlias = tuple[Term, Term]

OPAQUE: Final = b""
"""The term of a value that has terms which cannot be indexed."""
LONGEST: Final = 64
"""Characters of a string that are indexed."""
MOST_TERMS: Final = 64
"""An entity with more terms at a path than this is opaque there."""
MOST_INTERVALS: Final = 64

_HIGHEST: Final = "\U0010ffff"
_TOP: Final = _HIGHEST * LONGEST
_INT64: Final = range(-(2**63), 2**63)
_EXACT: Final = {"dateTime": 19, "date": 10, "time": 8}
"""Temporal literals order like the texts of their values up to here: to the second, to the day."""


def terms_of(targets: Iterable[Target]) -> set[Term]:
    """The terms of all that a path addresses in an entity."""
    terms: set[Term] = set()
    for nature, value, _ in targets:
        if nature == "languages":
            value = [each for text in value.values() for each in (text if isinstance(text, list) else [text])]
        terms.update(_terms(value))
    return {OPAQUE} if len(terms) > MOST_TERMS else terms


def _terms(value: Any) -> Iterator[Term]:
    value = plain(value)
    for each in map(plain, value) if isinstance(value, list) else (value,):
        if isinstance(each, bool):
            yield b"\x01" if each else b"\x00"
        elif isinstance(each, str):
            yield each[:LONGEST]
        elif isinstance(each, float) or (isinstance(each, int) and each in _INT64):
            yield each
        elif isinstance(each, int):
            yield OPAQUE


def intervals(condition: Comparison | LinkedIn) -> list[Interval] | None:
    """The terms that a condition can hold for; None where the index does not help."""
    found: list[Interval | None]
    if isinstance(condition, LinkedIn):
        found = [_texts(each, each) for each in condition.ids]
    elif condition.operator == "==":
        found = [_equal(value) for value in _alternatives(condition.operand)]
    elif condition.operator in (">", ">=") and isinstance(condition.operand, Value):
        found = [_between(condition.operand, None)]
    elif condition.operator in ("<", "<=") and isinstance(condition.operand, Value):
        found = [_between(None, condition.operand)]
    else:
        return None
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) <= MOST_INTERVALS else None


def settles(condition: object) -> bool:
    """Whether a condition holds for every entity that has a term in its intervals and is not opaque."""
    if not isinstance(condition, Comparison) or condition.operator != "==" or isinstance(condition.operand, Range):
        return False
    return all(
        isinstance(each, Value)
        and (each.kind in ("number", "boolean") or (each.kind in ("string", "uri") and len(str(each.value)) < LONGEST))
        for each in _alternatives(condition.operand)
    )


def _alternatives(operand: Value | ValueList | Range) -> Iterable[Value | Range]:
    return operand.values if isinstance(operand, ValueList) else (operand,)


def _equal(value: Value | Range) -> Interval | None:
    if isinstance(value, Range):
        return _between(value.low, value.high)
    if value.kind == "boolean":
        term = b"\x01" if value.value else b"\x00"
        return term, term
    return _between(value, value)


def _between(low: Value | None, high: Value | None) -> Interval | None:
    kind = (low or high or Value(0, "number")).kind
    if kind == "number":
        lowest = -inf if low is None else low.value
        highest = inf if high is None else high.value
        if any(isinstance(each, int) and each not in _INT64 for each in (lowest, highest)):
            return None
        return lowest, highest
    if kind == "boolean":
        return None
    cut = _EXACT.get(kind, LONGEST)
    bottom = "" if low is None else str(low.value)[:cut]
    top = _TOP if high is None else str(high.value)[:cut]
    return bottom, top + _HIGHEST * (LONGEST - len(top)) if kind in _EXACT else top


def _texts(low: str, high: str) -> Interval:
    return low[:LONGEST], high[:LONGEST]
