"""EntityQuery -> MongoDB filter on the search fields (`broker.store.mongo.search`).

A filter never misses an entity that matches. Where it is `exact` it finds no other either, but for entities of which
the search fields do not know enough (`unsure`), so that MongoDB itself may count and skip; otherwise
`broker.query.evaluate` picks from what it finds.
"""

import re
from dataclasses import dataclass
from typing import Final

from broker.query.ast import EntityQuery, EntitySelector, GeoQuery, ScopePattern, ScopeQuery, TypeSelection
from broker.query.geometry import search_box
from broker.query.patterns import literal_prefix
from broker.store.demand import types_asked
from broker.store.mongo.cells import searched
from broker.store.mongo.conditions import compile_condition
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR, key_string, starting_with
from broker.store.mongo.parts import Filter, Part, all_of, every, fields_of, some
from broker.store.mongo.search import cell_string, microseconds

TYPES_INDEX: Final = "types"


@dataclass(frozen=True, slots=True)
class EntityFilter:
    """A whole query's filter. `alive` excludes what has expired; it is kept apart, because no index has it.

    Where it has `branches`, they find together what `found` does, and are what MongoDB is to be asked for (`leading`).

    `hint` names the index that leads to what is found, where there is no doubt: MongoDB would try several, and remember one that
    was right for another type.

    `lapsed` and `fields` make an entity unsure: an instance of an attribute has expired by that time (None: that does not
    matter), or one of these fields is doubtful.
    """

    found: Filter
    exact: bool
    alive: Filter
    now: int
    lapsed: int | None
    fields: frozenset[str]
    branches: tuple[Filter, ...] = ()
    hint: str | None = None

    @property
    def living(self) -> Filter:
        """What is found and has not expired."""
        return self._found_and(self.alive)

    def living_behind(self, key: str) -> Filter:
        """The same with a `_id` behind this one."""
        return self._found_and(self.alive, {"_id": {"$gt": key}})

    @property
    def whole(self) -> Filter:
        """What is found, expired or not."""
        return self._found_and(None)

    @property
    def expired(self) -> Filter:
        """What is found and has expired."""
        return self._found_and({"expires": {"$lte": self.now}})

    @property
    def unsure(self) -> Filter | None:
        """What is found, has not expired, and must be looked at one by one; None where nothing can be unsure."""
        doubts = self._doubts()
        return self._found_and({"$or": doubts}, self.alive) if doubts else None

    @property
    def sure(self) -> Filter:
        """What is found, has not expired, and need not be looked at."""
        doubts = self._doubts()
        return self._found_and({"$nor": doubts} if doubts else None, self.alive)

    def _found_and(self, *more: Filter | None) -> Filter:
        if len(self.branches) > 1:
            return {"$or": [all_of([branch, *more]) for branch in self.branches]}
        return all_of([*(self.branches or (self.found,)), *more])

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
    parts: list[Part] = [some([_selector(tenant, selector) for selector in query.selectors])] if query.selectors else []
    if query.scope is not None:
        parts.append(_scopes(query.scope))
    if query.attrs:
        parts.append(Part({"names": {"$in": sorted(query.attrs)}}, True))
    if query.q is not None:
        parts.append(compile_condition(query.q))
    if query.geo is not None:
        parts.append(_geo(tenant, query.geo))
    now = 0 if query.now is None else microseconds(query.now)
    on_attributes = bool(query.attrs or query.q or query.geo)
    return EntityFilter(
        found=all_of([tenant_range(tenant, after), *(part.filter for part in parts)]),
        exact=all(part.exact for part in parts),
        alive={} if query.now is None else {"expires": {"$not": {"$lte": now}}},
        now=now,
        lapsed=now if on_attributes and query.now is not None else None,
        fields=fields_of(parts),
        hint=TYPES_INDEX if types_asked(query.selectors)[1] and not (on_attributes or query.scope) else None,
    )


# --- selectors and scopes --------------------------------------------------------------------------------------------


def _selector(tenant: str, selector: EntitySelector) -> Part:
    parts: list[Part] = []
    if selector.ids is not None:
        parts.append(Part({"_id": {"$in": sorted(key_string((tenant, each)) for each in selector.ids)}}, True))
    elif selector.id_pattern is not None:
        prefix = literal_prefix(selector.id_pattern)
        low = key_string((tenant, prefix))
        parts.append(Part({"_id": starting_with(low)} if prefix else None, False))
    if selector.types is not None:
        parts.append(_types(selector.types))
    return every(parts)


def _types(selection: TypeSelection) -> Part:
    if not all(selection.alternatives):  # "*": an empty conjunction holds for every entity
        return Part(None, True)
    if all(len(conjunction) == 1 for conjunction in selection.alternatives):
        wanted = sorted({conjunction[0] for conjunction in selection.alternatives})
        return Part({"types": wanted[0] if len(wanted) == 1 else {"$in": wanted}}, True)
    return some([Part({"types": {"$all": list(conjunction)}}, True) for conjunction in selection.alternatives])


def _scopes(query: ScopeQuery) -> Part:
    conjunctions = (all_of(map(_scope, conjunction)) for conjunction in query.alternatives)
    return some([Part(conjunction, True) for conjunction in conjunctions])


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
