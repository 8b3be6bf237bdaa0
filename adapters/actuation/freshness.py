"""How old the state is that an interlock was read from: a gauge that has been silent since yesterday says nothing of today.

The age counts from when the attributes that the query names were observed or, without that, written last; and never from
later than that they were written, whatever a device's clock says. Pure: the time is passed in.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[;|(){}]|[^;|(){}"]+')
_OPERATOR: Final = re.compile(r"[=<>~]")
_PATH: Final = re.compile(r"\s*!?\s*([^=!<>~]+)")
_SKEW: Final = 60.0
"""Seconds by which clocks may differ."""


def attributes_in(q: str, entity: Mapping[str, Any]) -> frozenset[str]:
    """Those attributes of an entity that a query (4.9) is about: of its own, not of entities that it links to."""
    found = set()
    for path in _paths(q):
        named = [name for name in entity if path == name or (path.startswith(name) and path[len(name)] in ".[")]
        if named:
            found.add(max(named, key=len))
    return frozenset(found)


def too_old(entity: Mapping[str, Any], q: str, max_age: float, now: str) -> str | None:
    """Why the state that a query was read from is too old, in words; None where it is not. `entity`: with its sysAttrs."""
    if max_age == float("inf"):
        return None
    if _is_about_others(q):
        return "cannot be trusted: it is about an entity that this one links to, and nobody knows how old the state of that is"
    names = attributes_in(q, entity)
    if not names:
        return "is about no attribute that the entity has, so that nobody knows how old its state is"
    for name in sorted(names):
        for instance in _listed(entity[name]):
            age = _age(instance, now)
            if age is None:
                return f"cannot be trusted: {name} does not say when it was observed or written"
            if age > max_age:
                return f"cannot be trusted: {name} is {age:,.0f} s old, and may be {max_age:g} s (max_age)"
    return None


def _age(instance: Any, now: str) -> float | None:
    """Seconds since an instance was observed; None where it does not say, or says something impossible."""
    if not isinstance(instance, Mapping):
        return None
    ages = [
        (_instant(now) - instant).total_seconds()
        for name in ("observedAt", "modifiedAt")
        if (instant := _read(instance.get(name))) is not None
    ]
    return None if not ages or max(ages) < -_SKEW else max(ages)


def _read(text: Any) -> datetime | None:
    try:
        instant = _instant(text)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo is not None else None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _paths(q: str) -> Iterator[str]:
    """The paths of a query's terms. What stands in quotes, and within the braces of a linked entity, is none."""
    depth, fresh = 0, True
    for token in _TOKEN.findall(q):
        if token in "{}":
            depth += 1 if token == "{" else -1
        elif token in ";|()":
            fresh = True
        elif fresh and depth == 0 and not token.startswith('"'):
            fresh = False
            if (path := _PATH.match(token)) is not None:
                yield unquote(path[1].strip())


def _is_about_others(q: str) -> bool:
    """Whether a query goes on to a linked entity, by braces behind a path: those behind an operator belong to a pattern."""
    before = ""
    for token in _TOKEN.findall(q):
        if token == "{" and before.strip(' ;|(){}"') and _OPERATOR.search(before) is None:
            return True
        before = token
    return False


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
