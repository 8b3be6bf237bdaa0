"""Which values queries compare often, so that an index of them is worth its cost (design §5). Pure: no store, no clock.

A query that had to look at many entities and found few says which indexes would have led it. Once that has cost enough, the
store builds one. What is counted is bounded, and what is learned is the store's to keep.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import orjson

from broker.query.ast import EntitySelector, Path

COSTLY: Final = 500
"""Entities that a query looks at in vain before it counts as costly."""
ENOUGH: Final = 20_000
"""Entities looked at in vain, over all costly queries, that make an index worth its cost: half a second of work."""
MOST_COUNTED: Final = 10_000
LONGEST: Final = 1_000
"""Characters of a type and a path, beyond which no index is learned: clients choose them, and all are counted at first."""
MOST_TYPES: Final = 8
"""A query for more types than this is led by an index over entities of every type."""
EVERY_TYPE: Final = ""

Wanted: TypeAlias = tuple[str, Path]
"""(type, path): the values at a path of the entities of one type, or of EVERY_TYPE."""


class IndexKey(NamedTuple):
    """What one index is about: the values at `path` (4.9) of the entities of a tenant that have `type`, or of EVERY_TYPE."""

    tenant: str
    type: str
    path: Path


@dataclass(slots=True)
class Effort:
    """What one query took: entities looked at, entities found, indexes that would have led it, and those that did."""

    looked_at: int = 0
    found: int = 0
    missing: list[Wanted] = field(default_factory=list)
    used: list[IndexKey] = field(default_factory=list)

    @property
    def wasted(self) -> int:
        """Entities looked at in vain."""
        return max(0, self.looked_at - self.found)


class Demand:
    """Adds up the efforts of queries."""

    def __init__(self) -> None:
        self._wasted: Counter[IndexKey] = Counter()

    def note(self, tenant: str, effort: Effort) -> IndexKey | None:
        """Count a query's effort; the index that is worth building from now on, if there is one."""
        wasted = effort.wasted
        if wasted < COSTLY:
            return None
        if len(self._wasted) > MOST_COUNTED:
            self._wasted.clear()
        for entity_type, path in effort.missing:
            if len(entity_type) + sum(map(len, (*path.names, *(path.trailing or ())))) > LONGEST:
                continue
            key = IndexKey(tenant, entity_type, path)
            self._wasted[key] += wasted
            if self._wasted[key] >= ENOUGH:
                del self._wasted[key]
                return key
        return None


def types_asked(selectors: tuple[EntitySelector, ...]) -> tuple[tuple[str, ...], bool]:
    """Types of which each entity that the selectors let in has one, and whether having one is all that the selectors ask.

    (EVERY_TYPE,) where entities of any type may be let in, or of too many.
    """
    types: dict[str, None] = {}
    exact = bool(selectors)
    for selector in selectors or (EntitySelector(),):
        if selector.ids is not None or selector.id_pattern is not None:
            exact = False
        for conjunction in selector.types.alternatives if selector.types is not None else ((),):
            if not conjunction:
                return (EVERY_TYPE,), False
            exact = exact and len(conjunction) == 1
            types[conjunction[0]] = None
    return (tuple(types), exact) if len(types) <= MOST_TYPES else ((EVERY_TYPE,), False)


def path_text(path: Path) -> str:
    """A path as text, from which `path_of` makes it again."""
    return orjson.dumps([path.names, path.trailing]).decode()


def path_of(text: str) -> Path:
    """The path that `path_text` was given."""
    names, trailing = orjson.loads(text)
    return Path(tuple(names), None if trailing is None else tuple(trailing))
