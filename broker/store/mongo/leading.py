"""A query led by an index of values: MongoDB takes one only where each branch of a disjunction at the root has its own.

`compile_query` puts a condition of `q` among others: (in scalars, or in elements of arrays, or doubtful) and type and tenant. For
MongoDB's planner that is a disjunction inside a conjunction, for which it takes no partial index. So the condition that leads
is turned outside: each of its branches, with everything else in it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from broker.query.ast import And, Comparison, Condition, EntityQuery, LinkedIn, Or, Path
from broker.store.demand import EVERY_TYPE, IndexKey, Wanted, types_asked
from broker.store.mongo.conditions import compile_condition, field_of
from broker.store.mongo.filters import EntityFilter, compile_query
from broker.store.mongo.parts import Filter, all_of

MOST_BRANCHES: Final = 24
MOST_POINTS: Final = 150
"""MongoDB reads up to 200 stretches of indexes side by side in order of id; what lies in more it sorts."""
EVERY_TENANT: Final = ""
"""Entities of all tenants share the indexes of values."""


@dataclass(frozen=True, slots=True)
class Led:
    """A query's filter, the indexes that lead to what it finds, and those that would help.

    `doubt`: what finds as many as the leading condition does, where these may be too many to be sorted; `otherwise` is then the
    filter for a query that nothing leads.
    """

    filter: EntityFilter
    used: tuple[IndexKey, ...] = ()
    missing: list[Wanted] = field(default_factory=list)
    doubt: list[Filter] = field(default_factory=list)
    otherwise: EntityFilter | None = None


class _Leader(NamedTuple):
    place: int
    branches: list[Filter]
    keys: tuple[IndexKey, ...]
    types: tuple[str, ...]
    ordered: bool


def led(tenant: str, query: EntityQuery, known: Collection[IndexKey], after: str | None = None) -> Led:
    """The filter for a query in a tenant, led by one of the `known` indexes if any serves."""
    plain = compile_query(tenant, query, after)
    types, by_type_only = types_asked(query.selectors)
    if query.q is None or not (by_type_only or not query.selectors):
        return Led(plain)
    terms = query.q.terms if isinstance(query.q, And) else (query.q,)
    missing: list[Wanted] = []
    leaders = [each for place, term in enumerate(terms) if (each := _leader(place, term, types, known, missing))]
    if not leaders:
        return Led(plain, missing=missing)
    best = min(leaders, key=lambda each: not each.ordered)
    rest = terms[: best.place] + terms[best.place + 1 :]
    beside = compile_query(tenant, replace(query, q=And(rest) if rest else None), after)
    turned = [
        all_of([{"types": entity_type} if entity_type and len(types) > 1 else None, beside.found, branch])
        for entity_type in best.types
        for branch in best.branches
    ]
    compiled = replace(plain, branches=tuple(turned))
    if best.ordered:
        return Led(compiled, best.keys, missing)
    return Led(compiled, best.keys, missing, turned, plain)


def _leader(
    place: int, term: Condition, types: Sequence[str], known: Collection[IndexKey], missing: list[Wanted]
) -> _Leader | None:
    """How a condition leads; None where it cannot, or for what is `missing`."""
    paths = list(_paths(term))
    part = compile_condition(term)
    if None in paths or part.filter is None or not part.fields:
        return None
    branches = list(_branches(part.filter))
    if not all(map(_by_value, branches)):
        return None
    keys: dict[IndexKey, None] = {}
    over: dict[str, None] = {}
    lacking = []
    for entity_type in types:
        for path in paths:
            assert path is not None
            for of_type in dict.fromkeys((entity_type, EVERY_TYPE)):
                if (key := IndexKey(EVERY_TENANT, of_type, path)) in known:
                    keys[key] = None
                    over[entity_type] = None
                    break
            else:
                lacking.append((entity_type, path))
    if lacking or len(over) * len(branches) > MOST_BRANCHES:
        missing += lacking
        return None
    ordered = all(map(_is_point, branches)) and sum(map(_points, branches)) * len(over) <= MOST_POINTS
    return _Leader(place, branches, tuple(keys), tuple(over), ordered)


def _paths(condition: Condition) -> Iterator[Path | None]:
    """The paths that a condition compares, each None that no index could serve."""
    match condition:
        case Or(terms):
            for term in terms:
                yield from _paths(term)
        case Comparison(path) | LinkedIn(path):
            yield path if field_of(path) is not None else None
        case _:
            yield None


def _branches(found: Filter) -> Iterator[Filter]:
    if set(found) == {"$or"}:
        for branch in found["$or"]:
            yield from _branches(branch)
    else:
        yield found


def _by_value(branch: Filter) -> bool:
    name = _first_name(branch)
    return name == "doubtful" or name.startswith(("values.", "elements.", "instants."))


def _first_name(branch: Filter) -> str:
    name = next(iter(branch), "")
    return _first_name(branch[name][0]) if name == "$and" else name


def _is_point(branch: Filter) -> bool:
    """Whether what this finds comes in order of id from an index over it and the id."""
    name, wanted = next(iter(branch.items()))
    return name != "$and" and (not isinstance(wanted, dict) or set(wanted) == {"$in"})


def _points(branch: Filter) -> int:
    wanted = next(iter(branch.values()))
    return len(wanted["$in"]) if isinstance(wanted, dict) else 1
