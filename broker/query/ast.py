"""The abstract syntax of every NGSI-LD query: what the parsers build, the evaluator means, and the stores compile.

All names in it are expanded IRIs already, except the entity's own members (`id`, `type`, `scope`, `createdAt`,
`modifiedAt`, `expiresAt`) and core sub-members (`observedAt`, `unitCode`, `datasetId`, `value`, ...), which are short
exactly as in `broker.model.entity`. Nodes are frozen and hashable: a query can key a cache.
"""

from dataclasses import dataclass
from typing import Literal as OneOf
from typing import TypeAlias

# --- q (4.9) ---------------------------------------------------------------------------------------------------------

Operator: TypeAlias = OneOf["==", "!=", ">", ">=", "<", "<=", "~=", "!~="]
ValueKind: TypeAlias = OneOf["number", "string", "boolean", "dateTime", "date", "time", "uri"]


@dataclass(frozen=True, slots=True)
class Path:
    """An attribute path: names from the entity inwards (`a.b` -> two IRIs), then the trailing path `[c.d]` inside a value.

    `trailing` is None where there is no bracket; for a LanguageProperty its only element is a language tag or `*`.
    """

    names: tuple[str, ...]
    trailing: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """One literal, with the data type that its spelling gives it."""

    value: str | int | float | bool
    kind: ValueKind


@dataclass(frozen=True, slots=True)
class ValueList:
    """`a,b,c`: matches where any of them does."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """`low..high`, both included."""

    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Exists:
    """Only an attribute path: the target element is there."""

    path: Path


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator operand`. For `~=` and `!~=` the operand is a Value of kind string: a regular expression."""

    path: Path
    operator: Operator
    operand: Value | ValueList | Range


@dataclass(frozen=True, slots=True)
class Linked:
    """`relation{Type:inner}`: the condition holds for an entity that the relationship points to.

    Evaluator and stores never see this node: whoever runs a query first replaces each Linked by the LinkedIn that its
    inner condition selects (innermost first).
    """

    path: Path
    types: tuple[str, ...]
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class LinkedIn:
    """A Linked after resolution: the relationship at `path` points to at least one of these entity ids."""

    path: Path
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold."""

    terms: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them holds."""

    terms: tuple["Condition", ...]


Condition: TypeAlias = Exists | Comparison | Linked | LinkedIn | And | Or

# --- type selection (4.17) and scopeQ (4.19) -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypeSelection:
    """A disjunction of conjunctions of entity type IRIs: `(Home;Vehicle)|Motorhome` -> ((Home, Vehicle), (Motorhome,))."""

    alternatives: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ScopePattern:
    """One scope with wildcards: levels (`+` matches exactly one level); `subtree` for a trailing `/#`.

    No levels and `subtree` is `/#`: any non-empty scope.
    """

    levels: tuple[str, ...]
    subtree: bool = False


@dataclass(frozen=True, slots=True)
class ScopeQuery:
    """A disjunction of conjunctions of scope patterns."""

    alternatives: tuple[tuple[ScopePattern, ...], ...]


# --- geoQ (4.10) -----------------------------------------------------------------------------------------------------

GeoRelation: TypeAlias = OneOf["near", "within", "contains", "overlaps", "intersects", "equals", "disjoint"]


@dataclass(frozen=True, slots=True)
class GeoQuery:
    """A spatial relationship between the GeoProperty `geoproperty` (an IRI) and a reference geometry.

    `coordinates` is the GeoJSON coordinates value as canonical JSON text, so that the node stays hashable.
    `max_distance`/`min_distance` are metres, only for `near`, exactly one of them.
    """

    relation: GeoRelation
    geometry: str
    coordinates: str
    geoproperty: str
    max_distance: float | None = None
    min_distance: float | None = None


# --- ordering (4.23) -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One element of orderBy. `by_distance` orders by metres from `Ordering.reference` instead of by value."""

    path: Path
    descending: bool = False
    by_distance: bool = False


@dataclass(frozen=True, slots=True)
class Ordering:
    """The whole of orderBy, collation, orderFrom and orderGeometry. `reference` is (geometry type, coordinates as JSON)."""

    terms: tuple[OrderTerm, ...]
    collation: str | None = None
    reference: tuple[str, str] | None = None


# --- the whole query (5.7.2) -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntitySelector:
    """Which entities (5.2.33): every given part must match; `ids` takes precedence over `id_pattern`."""

    ids: frozenset[str] | None = None
    id_pattern: str | None = None
    types: TypeSelection | None = None


@dataclass(frozen=True, slots=True)
class EntityQuery:
    """All conditions of one Query Entities operation (5.7.2.4): every part that is given must match.

    `selectors`: at least one must match; empty means every entity. `attrs`: the entity has at least one of them; empty
    means no condition. `now`: entities whose `expiresAt` is not after it do not match, and attribute instances that
    expired are as if absent (4.22). Without `ordering`, results come in ascending order of entity id (by code point).
    """

    selectors: tuple[EntitySelector, ...] = ()
    attrs: frozenset[str] = frozenset()
    q: Condition | None = None
    geo: GeoQuery | None = None
    scope: ScopeQuery | None = None
    ordering: Ordering | None = None
    now: str | None = None
