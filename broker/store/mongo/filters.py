"""EntityQuery -> MongoDB filter on the search fields (`broker.store.mongo.search`).

A filter never misses an entity that matches. Where it is `exact` it finds no other either, but for entities of which
the search fields do not know enough (`unsure`), so that MongoDB itself may count and skip; otherwise
`broker.query.evaluate` picks from what it finds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from broker.model.terms import is_attribute_name
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    EntityQuery,
    EntitySelector,
    Exists,
    GeoQuery,
    Linked,
    LinkedIn,
    Or,
    Path,
    Range,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
    ValueList,
)
from broker.query.geometry import search_box
from broker.query.patterns import literal_prefix
from broker.store.mongo.cells import searched
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, escape_name, key_string
from broker.store.mongo.search import INT64, cell_string, instant_string, microseconds, observed_field

Filter: TypeAlias = dict[str, Any]

_COMPARISONS: Final = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_LAST_CHARACTER: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Part:
    """A filter for one part of a query; None where the part cannot narrow anything down."""

    filter: Filter | None
    exact: bool
    fields: frozenset[str] = frozenset()
    """The fields of attribute values that the filter looks at."""


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """A whole query's filter. `alive` excludes what has expired; it is kept apart, because no index has it.

    `lapsed` and `fields` make an entity unsure: an instance of an attribute has expired by that time (None: that does not
    matter), or one of these fields is doubtful.
    """

    found: Filter
    exact: bool
    alive: Filter
    now: int
    lapsed: int | None
    fields: frozenset[str]

    @property
    def living(self) -> Filter:
        """What is found and has not expired."""
        return _all_of([self.found, self.alive]) or {}

    @property
    def expired(self) -> Filter:
        """What is found and has expired."""
        return _all_of([self.found, {"expires": {"$lte": self.now}}]) or {}

    @property
    def unsure(self) -> Filter | None:
        """What is found, has not expired, and must be looked at one by one; None where nothing can be unsure."""
        doubts = self._doubts()
        return _all_of([self.found, {"$or": doubts}, self.alive]) if doubts else None

    @property
    def sure(self) -> Filter:
        """What is found, has not expired, and need not be looked at."""
        doubts = self._doubts()
        return _all_of([self.found, {"$nor": doubts} if doubts else None, self.alive]) or {}

    def is_unsure(self, document: Filter) -> bool:
        """Whether one document, of which `doubtful` and `lapses` have been fetched, must be looked at."""
        lapses = document.get("lapses")
        if self.lapsed is not None and lapses is not None and lapses <= self.lapsed:
            return True
        return not self.fields.isdisjoint(document.get("doubtful", ()))

    def _doubts(self) -> list[Filter]:
        doubts: list[Filter] = [] if self.lapsed is None else [{"lapses": {"$lte": self.lapsed}}]
        if self.fields:
            doubts.append({"doubtful": {"$in": sorted(self.fields)}})
        return doubts


def tenant_range(tenant: str, after: str | None = None) -> Filter:
    """All entities of a tenant, or those with an id behind `after`."""
    low = {"$gte": tenant + SEPARATOR} if after is None else {"$gt": key_string((tenant, after))}
    return {"_id": low | {"$lt": tenant + AFTER_SEPARATOR}}


def compile_query(tenant: str, query: EntityQuery, after: str | None = None) -> EntityFilter:
    """The filter for a query in a tenant, from behind the entity id `after` on."""
    parts: list[Part] = (
        [_any_of([_selector(tenant, selector) for selector in query.selectors])] if query.selectors else []
    )
    if query.scope is not None:
        parts.append(_scopes(query.scope))
    if query.attrs:
        parts.append(Part({"names": {"$in": sorted(query.attrs)}}, True))
    if query.q is not None:
        parts.append(_or_doubtful(_condition(query.q)))
    if query.geo is not None:
        parts.append(_geo(tenant, query.geo))
    now = 0 if query.now is None else microseconds(query.now)
    on_attributes = bool(query.attrs or query.q or query.geo)
    return EntityFilter(
        found=_all_of([tenant_range(tenant, after), *(part.filter for part in parts)]) or {},
        exact=all(part.exact for part in parts),
        alive={} if query.now is None else {"expires": {"$not": {"$lte": now}}},
        now=now,
        lapsed=now if on_attributes and query.now is not None else None,
        fields=_fields(parts),
    )


def _all_of(filters: Iterable[Filter | None]) -> Filter | None:
    given = [each for each in filters if each]
    return None if not given else given[0] if len(given) == 1 else {"$and": given}


def _both(parts: list[Part]) -> Part:
    return Part(_all_of(part.filter for part in parts), all(part.exact for part in parts), _fields(parts))


def _any_of(parts: list[Part]) -> Part:
    filters = [part.filter for part in parts if part.filter is not None]
    exact = all(part.exact for part in parts)
    if len(filters) < len(parts):
        return Part(None, exact, _fields(parts))
    return Part(filters[0] if len(filters) == 1 else {"$or": filters}, exact, _fields(parts))


def _fields(parts: Iterable[Part]) -> frozenset[str]:
    return frozenset().union(*(part.fields for part in parts))


def _or_doubtful(part: Part) -> Part:
    if part.filter is None or not part.fields:
        return part
    return Part({"$or": [part.filter, {"doubtful": {"$in": sorted(part.fields)}}]}, part.exact, part.fields)


# --- selectors and scopes --------------------------------------------------------------------------------------------


def _selector(tenant: str, selector: EntitySelector) -> Part:
    parts: list[Part] = []
    if selector.ids is not None:
        parts.append(Part({"_id": {"$in": sorted(key_string((tenant, each)) for each in selector.ids)}}, True))
    elif selector.id_pattern is not None:
        prefix = literal_prefix(selector.id_pattern)
        low = key_string((tenant, prefix))
        parts.append(Part({"_id": {"$gte": low, "$lt": low + _LAST_CHARACTER}} if prefix else None, False))
    if selector.types is not None:
        parts.append(_types(selector.types))
    return _both(parts)


def _types(selection: TypeSelection) -> Part:
    if not all(selection.alternatives):  # "*": an empty conjunction holds for every entity
        return Part(None, True)
    if all(len(conjunction) == 1 for conjunction in selection.alternatives):
        wanted = sorted({conjunction[0] for conjunction in selection.alternatives})
        return Part({"types": wanted[0] if len(wanted) == 1 else {"$in": wanted}}, True)
    return _any_of([Part({"types": {"$all": list(conjunction)}}, True) for conjunction in selection.alternatives])


def _scopes(query: ScopeQuery) -> Part:
    return _any_of(
        [
            Part(_all_of(_scope(pattern) for pattern in conjunction), True)
            for conjunction in query.alternatives
        ]
    )  # fmt: skip


def _scope(pattern: ScopePattern) -> Filter:
    if not pattern.levels:
        return {"scopes": {"$exists": True}}
    if not pattern.subtree and "+" not in pattern.levels:
        return {"scopes": "/" + "/".join(pattern.levels)}
    if "+" not in pattern.levels:
        scope = "/" + "/".join(pattern.levels)
        below = {"$elemMatch": {"$gte": scope + "/", "$lt": scope + "0"}}  # "0" is the character behind the slash
        return {"$or": [{"scopes": scope}, {"scopes": below}]}
    levels = "".join("/[^/]*" if level == "+" else "/" + re.escape(level) for level in pattern.levels)
    # Anchored, with escaped levels and no alternatives: the index narrows it down and nothing backtracks.
    alone: Filter = {"scopes": {"$regex": f"^{levels}\\z"}}
    return {"$or": [alone, {"scopes": {"$regex": f"^{levels}/"}}]} if pattern.subtree else alone


# --- q ---------------------------------------------------------------------------------------------------------------


def _condition(condition: Condition) -> Part:
    if isinstance(condition, And):
        return _both([_condition(term) for term in condition.terms])
    if isinstance(condition, Or):
        return _any_of([_condition(term) for term in condition.terms])
    if isinstance(condition, Exists):
        exists, field = _existence(condition.path), _field(condition.path)
        if exists is None or field is None or len(condition.path.names) > 1:
            return Part(exists, False)
        return Part(exists, True, frozenset({field}))
    if isinstance(condition, LinkedIn):
        return _linked(condition)
    if isinstance(condition, Linked):
        return Part(_existence(condition.path), False)
    return _comparison(condition)


def _existence(path: Path) -> Filter | None:
    """Every condition on a path presumes that its first attribute is there."""
    return {"names": path.names[0]} if is_attribute_name(path.names[0]) else None


def _field(path: Path) -> str | None:
    """The field that has all of the target values at this path, if one has."""
    if path.trailing is not None:
        return None
    name = path.names[0]
    if len(path.names) == 1 and (is_attribute_name(name) or name in ("createdAt", "modifiedAt")):
        return escape_name(name)
    if len(path.names) == 2 and is_attribute_name(name) and path.names[1] == "observedAt":
        return observed_field(escape_name(name))
    return None


def _linked(condition: LinkedIn) -> Part:
    field = _field(condition.path)
    if field is None:
        return Part(_existence(condition.path), False)
    ids = {"$in": sorted(condition.ids)}
    return Part({"$or": [{f"values.{field}": ids}, {f"elements.{field}": ids}]}, False, frozenset({field}))


def _comparison(comparison: Comparison) -> Part:
    field = _field(comparison.path)
    compiled: Part | None = None
    if field is not None:
        operator, operand = comparison.operator, comparison.operand
        if operator == "==":
            compiled = _equality(field, operand)
        elif operator in _COMPARISONS and isinstance(operand, Value):
            compiled = _bounds(field, operand.kind, {_COMPARISONS[operator]: operand.value})
        elif operator == "~=" and isinstance(operand, Value) and (prefix := literal_prefix(str(operand.value))):
            compiled = Part(
                {f"values.{field}": {"$gte": prefix, "$lt": prefix + _LAST_CHARACTER}}, False, frozenset({field})
            )
    return compiled or Part(_existence(comparison.path), False)


def _equality(field: str, operand: Value | ValueList | Range) -> Part | None:
    if isinstance(operand, Range):
        if operand.low.kind != operand.high.kind:
            return None
        return _bounds(field, operand.low.kind, {"$gte": operand.low.value, "$lte": operand.high.value})
    plain: list[Any] = []
    instants: list[str] = []
    for value in operand.values if isinstance(operand, ValueList) else (operand,):
        if value.kind in ("dateTime", "date", "time"):
            instant = instant_string(str(value.value))
            if instant is None:
                return None
            instants.append(instant)
        elif isinstance(value.value, int) and value.value not in INT64:
            return None
        else:
            plain.append(value.value)
    alternatives: list[Filter] = []
    if plain:
        wanted = plain[0] if len(plain) == 1 else {"$in": plain}
        alternatives += [{f"values.{field}": wanted}, {f"elements.{field}": wanted}]
    if instants:
        alternatives.append({f"instants.{field}": {"$in": instants}})
    return Part(alternatives[0] if len(alternatives) == 1 else {"$or": alternatives}, True, frozenset({field}))


def _bounds(field: str, kind: str, bounds: dict[str, Any]) -> Part | None:
    """Values of one kind between bounds, in one and the same element; MongoDB compares within a BSON type only."""
    if kind in ("dateTime", "date", "time"):
        instants = {operator: instant_string(str(value)) for operator, value in bounds.items()}
        if None in instants.values():
            return None
        whole_kind = {"$gte": f"{kind} ", "$lt": f"{kind}!"}  # "!" is the character behind the space
        if "$gt" in instants:
            del whole_kind["$gte"]
        if "$lte" in instants:
            del whole_kind["$lt"]
        return Part({f"instants.{field}": {"$elemMatch": whole_kind | instants}}, True, frozenset({field}))
    if kind == "boolean" or any(isinstance(value, int) and value not in INT64 for value in bounds.values()):
        return None
    return Part({f"values.{field}": {"$elemMatch": bounds}}, True, frozenset({field}))


# --- geoQ ------------------------------------------------------------------------------------------------------------


def _geo(tenant: str, geo: GeoQuery) -> Part:
    box = search_box(geo)
    if box is None:
        return Part({"names": geo.geoproperty}, False)

    def entry(cell: str) -> str:
        return cell_string(tenant, geo.geoproperty, cell)

    around, ranges = searched(box)
    found: list[Filter] = [{"cells": {"$elemMatch": {"$gte": entry(low), "$lt": entry(high)}}} for low, high in ranges]
    if around:
        found.append({"cells": {"$in": [entry(cell) for cell in around]}})
    return Part({"$or": found} if len(found) > 1 else found[0], False)
