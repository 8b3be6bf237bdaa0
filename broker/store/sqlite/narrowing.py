"""EntityQuery -> SQL for a proven superset of the rows that match, by the shortest way in.

Types, attributes and scopes are resolved on the catalogue's few sets first; what is left for the rows is comparing
integers. How many rows each way in would meet is known from the catalogue or counted up to a bound.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from broker.model.terms import is_attribute_name
from broker.query.ast import And, Comparison, Condition, EntityQuery, EntitySelector, LinkedIn, Or
from broker.query.evaluate import matches_scope, matches_types
from broker.query.geometry import search_box
from broker.query.patterns import compile_pattern, literal_prefix
from broker.store.demand import EVERY_TYPE, IndexKey, Wanted, types_asked
from broker.store.sqlite import value_indexes
from broker.store.sqlite.catalogue import canonical_instant
from broker.store.sqlite.terms import OPAQUE, Term, intervals, settles

COUNT_BOUND: Final = 10_000
"""Rows are counted up to this, where ways in are compared."""
MERGE_BOUND: Final = 40
"""Up to so many type sets are read side by side in order of id; the rows of more are sorted."""
TERM_BOUND: Final = 64
"""A condition with more terms than this is left to the evaluator."""
MOST_PARTS: Final = 200
"""A condition that is in more parts of indexes of values is left to the evaluator: SQLite joins 500 at most."""
UNORDERED_COST: Final = 2
"""A row that comes in order of id may never have to be read, as a page ends; one that does not is read and sorted."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """SELECTs for the rows that may match, as the parts behind `SELECT ...`; their union is disjoint unless they `overlap`.

    Where `exact`, every row found matches unless `faded`: then some row of the tenant has instances that have expired.
    `known_count` is the number of rows, where that is known without counting. `way` names the way in, `source` the table
    that it leads through. `missing` are indexes of values that would have helped, `used` those that do.
    """

    way: str
    source: str
    arms: list[str]
    overlap: bool
    values: dict[str, Any]
    exact: bool
    faded: bool
    known_count: int | None
    missing: list[Wanted]
    used: list[IndexKey]

    @property
    def rows(self) -> str:
        """A statement for the number of each row, and the id of its entity."""
        select = (
            f"SELECT {'DISTINCT ' if self.overlap and len(self.arms) == 1 else ''}{self.source}.row, {self.source}.id"
        )
        return (" UNION " if self.overlap else " UNION ALL ").join(f"{select} FROM {arm}" for arm in self.arms)

    @property
    def size(self) -> str:
        """A statement that counts the rows."""
        if self.overlap:
            return f"SELECT count(*) FROM ({self.rows})"
        return f"SELECT count(*) FROM ({' UNION ALL '.join(f'SELECT 1 FROM {arm}' for arm in self.arms)})"


class _Way(NamedTuple):
    name: str
    arms: list[str]
    rows: int
    ordered: bool
    implied: frozenset[str] = frozenset()
    """The conditions that its rows meet by themselves, besides the one of its name."""
    keys: tuple[IndexKey, ...] = ()
    overlap: bool = False

    @property
    def cost(self) -> int:
        return self.rows if self.ordered else self.rows * UNORDERED_COST


class _Values(NamedTuple):
    """Parts of indexes of values: conditions on `indexed_values v`, the indexes, and what they say of the condition.

    `points`: in each part all have the same value, so that it is in order of id. `settled`: every row in them meets the
    condition. `typed`: each is over the entities of one type.
    """

    parts: list[str]
    keys: tuple[IndexKey, ...]
    points: bool
    settled: bool
    typed: bool


class _NothingMatches(Exception):
    """It is certain already that no row can match."""


def narrow(
    connection: sqlite3.Connection, tenant: str, query: EntityQuery, after: str | None = None
) -> Narrowing | None:
    """The shortest way to the rows that may match (with ids above `after`); None if there are none.

    Raises BadRequestData for a pattern that is no regular expression.
    """
    try:
        return _Draft(connection, tenant).narrow(query, after)
    except _NothingMatches:
        return None


class _Draft:
    """Collects ways in, and the conditions that the rows of any way must meet (by the way that implies them)."""

    def __init__(self, connection: sqlite3.Connection, tenant: str) -> None:
        self.connection = connection
        self.values: dict[str, Any] = {"tenant": tenant}
        self.conditions: dict[str, str] = {}
        self.ways: list[_Way] = []
        self.exact = True
        self.missing: list[Wanted] = []
        self.types: tuple[str, ...] = (EVERY_TYPE,)
        self.type_sets: dict[int, tuple[list[str], int]] = {}
        self.all_type_sets = False

    def narrow(self, query: EntityQuery, after: str | None) -> Narrowing:
        self.load_type_sets(query.selectors)
        chosen, by_type_only = self.select(query.selectors)
        rows = sum(self.type_sets[number][1] for number in chosen)
        if not rows:
            raise _NothingMatches
        self.enter_by_type(chosen, rows)
        rows = self.require_attributes(query, chosen, rows)
        if query.scope is not None:
            self.require_scope(query)
        if query.geo is not None:
            self.require_place(query)
        settled = query.q is None or self.require_values(query)
        faded = expired = False
        if query.now is not None:
            now = canonical_instant(query.now)
            faded, expired = self.any_until("fades_at", now), self.any_until("expires_at", now)
            if expired:
                self.conditions["expiry"] = f"(e.expires_at IS NULL OR e.expires_at > {self.bind(now)})"
        exact = self.exact and settled and query.geo is None
        known = by_type_only and query.q is None and query.scope is None and not (faded or expired) and after is None
        way = min(self.ways, key=lambda each: each.cost)
        source = "v" if way.name == "values" else "e"
        conditions = [text for name, text in self.conditions.items() if name != way.name and name not in way.implied]
        arms = way.arms
        if source == "v" and conditions:
            arms = [arm.replace(" WHERE ", " CROSS JOIN entities e ON e.row = v.row WHERE ", 1) for arm in arms]
        if after is not None:
            conditions.append(f"{source}.id > {self.bind(after)}")
        return Narrowing(
            way.name,
            source,
            [" AND ".join((arm, *conditions)) for arm in arms],
            way.overlap,
            self.values,
            exact,
            faded,
            rows if exact and known else None,
            self.missing,
            list(way.keys),
        )

    def bind(self, value: Term) -> str:
        """A parameter that stands for a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def among(self, members: Sequence[int] | Sequence[str]) -> str:
        """What comes behind IN."""
        return f"(SELECT value FROM json_each({self.bind(orjson.dumps(members).decode())}))"

    def count(self, source: str) -> int:
        """How many rows a source has, COUNT_BOUND at most."""
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {COUNT_BOUND})"
        number: int = self.connection.execute(statement, self.values).fetchone()[0]
        return number

    def any_until(self, column: str, now: str) -> bool:
        statement = f"SELECT 1 FROM entities WHERE tenant = ? AND {column} <= ? LIMIT 1"
        return self.connection.execute(statement, (self.values["tenant"], now)).fetchone() is not None

    # selectors (5.2.33): ids, id patterns, types

    def load_type_sets(self, selectors: Sequence[EntitySelector]) -> None:
        """Those type sets of the tenant that the selectors may let in."""
        named: set[str] = set()
        for selector in selectors:
            for conjunction in selector.types.alternatives if selector.types is not None else ((),):
                if not conjunction:
                    self.all_type_sets = True
                named.update(conjunction[:1])
        if not selectors:
            self.all_type_sets = True
        among = ""
        if not self.all_type_sets:
            members = "SELECT type_set FROM type_set_members WHERE tenant = :tenant AND type IN"
            among = f" AND no IN ({members} {self.among(sorted(named))})"
        self.type_sets = {
            number: (orjson.loads(types), entities)
            for number, types, entities in self.connection.execute(
                f"SELECT no, types, entities FROM type_sets WHERE tenant = :tenant AND entities > 0{among}", self.values
            )
        }

    def select(self, selectors: Sequence[EntitySelector]) -> tuple[list[int], bool]:
        """The type sets of the rows that the selectors let in, and whether the selectors look at types only."""
        if not selectors:
            return list(self.type_sets), True
        chosen: set[int] = set()
        alternatives: list[str] = []
        for selector in selectors:
            sets = self.type_sets_of(selector)
            chosen.update(sets)
            terms = [] if self.is_every(sets) else [f"+e.type_set IN {self.among(sets)}"]
            if selector.ids is not None:
                terms.append(f"+e.id IN {self.among(sorted(selector.ids))}")
            elif selector.id_pattern is not None:
                compile_pattern(selector.id_pattern, "idPattern")
                terms.append(f"found_in({self.bind(selector.id_pattern)}, e.id)")
            if sets:
                alternatives.append(f"({' AND '.join(terms) or 'TRUE'})")
        if all(selector.ids is None and selector.id_pattern is None for selector in selectors):
            return sorted(chosen), True
        if len(alternatives) > TERM_BOUND:
            self.exact = False
        elif alternatives and "(TRUE)" not in alternatives:
            self.conditions["selectors"] = f"({' OR '.join(alternatives)})"
        self.enter_by_id(selectors)
        return sorted(chosen), False

    def type_sets_of(self, selector: EntitySelector) -> list[int]:
        if selector.types is None:
            return list(self.type_sets)
        return [number for number, (types, _) in self.type_sets.items() if matches_types(selector.types, types)]

    def is_every(self, sets: Sequence[int]) -> bool:
        return self.all_type_sets and len(sets) == len(self.type_sets)

    def enter_by_id(self, selectors: Sequence[EntitySelector]) -> None:
        source = "entities e INDEXED BY entities_by_id WHERE e.tenant = :tenant AND"
        if all(selector.ids is not None for selector in selectors):
            ids = sorted({each for selector in selectors for each in selector.ids or ()})
            self.ways.append(_Way("ids", [f"{source} e.id IN {self.among(ids)}"], len(ids), ordered=True))
        elif len(selectors) == 1 and (prefix := literal_prefix(selectors[0].id_pattern or "")):
            arm = f"{source} e.id >= {self.bind(prefix)} AND e.id < {self.bind(_beyond(prefix))}"
            self.ways.append(_Way("prefix", [arm], self.count(arm), ordered=True))

    def enter_by_type(self, chosen: Sequence[int], rows: int) -> None:
        if self.is_every(chosen) and len(chosen) > 1:
            self.ways.append(
                _Way("all", ["entities e INDEXED BY entities_by_id WHERE e.tenant = :tenant"], rows, ordered=True)
            )
            return
        source = "entities e INDEXED BY entities_by_type WHERE e.type_set"
        merged = len(chosen) <= MERGE_BOUND
        arms = [f"{source} = {number}" for number in chosen] if merged else [f"{source} IN {self.among(chosen)}"]
        self.conditions["types"] = f"+e.type_set IN {self.among(chosen)}"
        self.ways.append(_Way("types", arms, rows, ordered=merged))

    # attributes: a list of which one is enough (5.7.2.4), those that q cannot do without, the geoproperty

    def require_attributes(self, query: EntityQuery, chosen: Sequence[int], rows: int) -> int:
        """Narrow to the shapes that have the attributes; how many rows these have."""
        terms = [term for term in (self.one_of(query.attrs), query.q and self.attributes_of(query.q)) if term]
        if query.geo is not None:
            terms.append(self.one_of([query.geo.geoproperty]))
        if not terms:
            return rows
        shapes = self.connection.execute(
            "SELECT s.no, s.entities FROM shapes s WHERE s.entities > 0"
            f" AND s.type_set IN {self.among(chosen)} AND {' AND '.join(terms)}",
            self.values,
        ).fetchall()
        found: int = sum(entities for _, entities in shapes)
        if not found:
            raise _NothingMatches
        if found < rows:
            numbers = self.among([number for number, _ in shapes])
            self.conditions["shapes"] = f"+e.shape IN {numbers}"
            arm = f"entities e INDEXED BY entities_by_shape WHERE e.shape IN {numbers}"
            self.ways.append(_Way("shapes", [arm], found, ordered=False))
        return found

    def one_of(self, attributes: Iterable[str]) -> str:
        names = sorted(attributes)
        if not names:
            return ""
        return (
            f"s.no IN (SELECT shape FROM shape_attributes WHERE tenant = :tenant AND attribute IN {self.among(names)})"
        )

    def attributes_of(self, condition: Condition) -> str:
        """What must be true of a shape for this condition to hold, "" for nothing: no term holds without its target."""
        if _terms(condition) > TERM_BOUND:
            return ""
        match condition:
            case And(terms):
                parts = [part for term in terms if (part := self.attributes_of(term))]
                return f"({' AND '.join(parts)})" if parts else ""
            case Or(terms):
                parts = [self.attributes_of(term) for term in terms]
                return f"({' OR '.join(parts)})" if all(parts) else ""
            case _:
                name = condition.path.names[0]
                return self.one_of([name]) if is_attribute_name(name) else ""

    # values that are indexed (4.9)

    def require_values(self, query: EntityQuery) -> bool:
        """Enter by indexes of values as far as there are any for `q`; whether they say all that there is to say of it."""
        assert query.q is not None
        self.types, by_type_only = types_asked(query.selectors)
        found = self.values_of(query.q)
        if found is None or len(found.parts) > MOST_PARTS:
            return False
        arms = _in_values(found)
        rows = self.count_all(arms)
        implied = {"shapes"} if not query.attrs and query.geo is None else set()
        if found.typed and by_type_only:
            implied.add("types")
        ordered = found.points and len(arms) <= MERGE_BOUND
        overlap = len(arms) > 1 or not found.points
        self.ways.append(_Way("values", arms, rows, ordered, frozenset(implied), found.keys, overlap))
        if ordered:
            probes = " OR ".join(f"EXISTS (SELECT 1 FROM {arm} AND v.id = e.id)" for arm in arms)
            self.conditions["values"] = f"({probes})"
            return found.settled
        if rows < COUNT_BOUND:  # with more, another way in does better to ask the evaluator
            self.conditions["values"] = f"+e.row IN ({' UNION ALL '.join(f'SELECT v.row FROM {arm}' for arm in arms)})"
        return found.settled and rows < COUNT_BOUND

    def values_of(self, condition: Condition) -> _Values | None:
        """Where the rows that a condition can hold for are in indexes of values; None where there are none for it."""
        if _terms(condition) > TERM_BOUND:
            return None
        match condition:
            case And(terms):
                found = [each for term in terms if (each := self.values_of(term)) and len(each.parts) <= MOST_PARTS]
                least = min(found, key=lambda each: self.count_all(_in_values(each)), default=None)
                return None if least is None else least._replace(settled=False)
            case Or(terms):
                found = [each for term in terms if (each := self.values_of(term))]
                if len(found) < len(terms):
                    return None
                return _Values(
                    [part for each in found for part in each.parts],
                    tuple(key for each in found for key in each.keys),
                    all(each.points for each in found),
                    all(each.settled for each in found),
                    all(each.typed for each in found),
                )
            case Comparison() | LinkedIn():
                return self.values_at(condition)
            case _:
                return None

    def values_at(self, condition: Comparison | LinkedIn) -> _Values | None:
        wanted = intervals(condition)
        if wanted is None:
            return None
        numbers: dict[int, IndexKey] = {}
        missing = []
        for entity_type in self.types:
            for of_type in dict.fromkeys((entity_type, EVERY_TYPE)):
                key = IndexKey(self.values["tenant"], of_type, condition.path)
                if (number := value_indexes.number_of(self.connection, key)) is not None:
                    numbers[number] = key
                    break
            else:
                missing.append((entity_type, condition.path))
        if missing:
            self.missing += missing
            return None
        bounds = [
            f"v.value = {self.bind(low)}" if low == high else f"v.value BETWEEN {self.bind(low)} AND {self.bind(high)}"
            for low, high in wanted
        ]
        settled = settles(condition)
        parts = []
        for number in numbers:
            parts += [f"v.no = {number} AND {bound}" for bound in bounds]
            opaque = "SELECT 1 FROM indexed_values WHERE no = ? AND value = ? LIMIT 1"
            if self.connection.execute(opaque, (number, OPAQUE)).fetchone() is not None:
                parts.append(f"v.no = {number} AND v.value = x''")
                settled = False
        return _Values(
            parts or ["v.no = 0"],
            tuple(numbers.values()),
            all(low == high for low, high in wanted),
            settled,
            all(key.type != EVERY_TYPE for key in numbers.values()),
        )

    def count_all(self, arms: Sequence[str]) -> int:
        """How many rows these have together, COUNT_BOUND at most; what is in several counts more than once."""
        return self.count(f"({' UNION ALL '.join(f'SELECT 1 FROM {arm}' for arm in arms)})")

    # scope (4.19) and place (4.10)

    def require_scope(self, query: EntityQuery) -> None:
        assert query.scope is not None
        sets = [
            number
            for number, scopes in self.connection.execute(
                "SELECT no, scopes FROM scope_sets WHERE tenant = ?", (self.values["tenant"],)
            )
            if matches_scope(query.scope, orjson.loads(scopes))
        ]
        if not sets:
            raise _NothingMatches
        numbers = self.among(sets)
        self.conditions["scope"] = f"+e.scope_set IN {numbers}"
        arm = f"entities e INDEXED BY entities_by_scope WHERE e.scope_set IN {numbers}"
        self.ways.append(_Way("scope", [arm], self.count(arm), ordered=False))

    def require_place(self, query: EntityQuery) -> None:
        assert query.geo is not None
        box = search_box(query.geo)
        if box is None:
            return
        layer = self.connection.execute(
            "SELECT no FROM layers WHERE tenant = ? AND attribute = ?", (self.values["tenant"], query.geo.geoproperty)
        ).fetchone()
        if layer is None:
            raise _NothingMatches
        low, high = self.bind(layer[0] - 0.25), self.bind(layer[0] + 0.75)
        west, south, east, north = map(self.bind, box)
        met = (
            f"boxes WHERE layer_low >= {low} AND layer_high <= {high}"
            f" AND west <= {east} AND east >= {west} AND south <= {north} AND north >= {south}"
        )
        self.conditions["place"] = f"+e.row IN (SELECT row FROM {met})"
        arm = f"entities e WHERE e.row IN (SELECT row FROM {met})"
        self.ways.append(_Way("place", [arm], self.count(met), ordered=False))


def _in_values(found: _Values) -> list[str]:
    return [f"indexed_values v WHERE {part}" for part in found.parts]


def _terms(condition: Condition) -> int:
    match condition:
        case And(terms) | Or(terms):
            return 1 + sum(map(_terms, terms))
        case _:
            return 1


def _beyond(prefix: str) -> str:
    """The lowest text above every text that begins with `prefix`."""
    last = ord(prefix[-1]) + 1
    if last > 0x10FFFF:
        return _beyond(prefix[:-1]) if len(prefix) > 1 else prefix * 64
    return prefix[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)
