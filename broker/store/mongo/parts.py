"""Parts of a MongoDB filter, and how they combine."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

Filter: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A filter for one part of a query; None where the part cannot narrow anything down.

    It never misses an entity that matches. Where it is `exact`, it finds no other either, but for entities that are
    doubtful in one of `fields`, the fields of attribute values that it looks at (`broker.store.mongo.search`).
    """

    filter: Filter | None
    exact: bool
    fields: frozenset[str] = frozenset()


def all_of(filters: Iterable[Filter | None]) -> Filter:
    """What all of these filters find."""
    given = [each for each in filters if each]
    return {} if not given else given[0] if len(given) == 1 else {"$and": given}


def every(parts: list[Part]) -> Part:
    """The conjunction of parts."""
    return Part(all_of(part.filter for part in parts) or None, all(part.exact for part in parts), fields_of(parts))


def some(parts: list[Part]) -> Part:
    """The disjunction of parts, of which there is at least one."""
    filters = [part.filter for part in parts if part.filter is not None]
    exact = all(part.exact for part in parts)
    if len(filters) < len(parts):
        return Part(None, exact, fields_of(parts))
    return Part(filters[0] if len(filters) == 1 else {"$or": filters}, exact, fields_of(parts))


def fields_of(parts: Iterable[Part]) -> frozenset[str]:
    """All fields that the parts look at."""
    return frozenset().union(*(part.fields for part in parts))
