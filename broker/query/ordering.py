"""Entity ordering: the language of `orderBy` (4.23.3), OrderingParams (5.2.43), and the order it means (4.23.1, 4.23.2).

Decisions where the clauses leave room:

* An attribute with several instances orders by its default instance, without one by its first.
* Descending order turns everything round but "null values last": null and a missing attribute come last both ways, and
  GeoProperties come before all else in both directions of ordering by distance.
* A LanguageProperty orders as the object that it is, unless a language is chosen (`name[en]`). Objects and arrays order by
  their JSON text with sorted members, so that they have an order at all.
* Equal entities stay in ascending order of their ids, by code point.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import orjson

from broker.errors import BadRequestData
from broker.model.entity import Entity, Names
from broker.query.ast import Ordering, OrderTerm
from broker.query.collation import check_collation, sort_key
from broker.query.geo import parse_reference
from broker.query.geometry import distance_from
from broker.query.paths import read_path
from broker.query.scanner import Scanner
from broker.query.targets import preferred_target
from broker.query.values import plain, temporal

MAX_TERMS: Final = 32

_DIRECTION: Final = re.compile(r"[a-z\-]+")
_DIRECTIONS: Final = {
    "asc": (False, False),
    "desc": (True, False),
    "dist-asc": (False, True),
    "dist-desc": (True, True),
}

Key: TypeAlias = tuple[int, Any]
"""A datatype's place (4.23.2), then a value that orders within the datatype."""

_DISTANCE, _NUMBER, _STRING, _OBJECT, _ARRAY, _BOOLEAN, _TIME, _DATE, _DATE_TIME, _NULL, _MISSING = range(-1, 10)
_TEMPORAL: Final = {"time": _TIME, "date": _DATE, "dateTime": _DATE_TIME}


def parse_ordering(
    order_by: Sequence[str],
    names: Names,
    *,
    collation: str | None = None,
    order_from: str | Sequence[Any] | None = None,
    order_geometry: str | None = None,
) -> Ordering:
    """The ordering that the parameters mean; each element of `order_by` may hold several terms, separated by commas.

    Raises BadRequestData: for terms that can't be read, ordering by distance without `order_from`, a reference geometry
    that is none, a collation that ICU does not know.
    """
    terms = tuple(term for text in order_by for term in _read_terms(Scanner(text, "orderBy"), names))
    if len(terms) > MAX_TERMS:
        raise BadRequestData(f"orderBy: more than {MAX_TERMS} terms")
    if collation is not None:
        check_collation(collation)
    reference = None
    if order_from is not None:
        reference = parse_reference(
            order_geometry or "Point", order_from, ("orderGeometry", "orderFrom"), measured=True
        )
    elif any(term.by_distance for term in terms):
        raise BadRequestData("orderFrom: ordering by distance needs the coordinates to measure from")
    return Ordering(terms, collation, reference)


def _read_terms(scanner: Scanner, names: Names) -> Iterable[OrderTerm]:
    while True:
        path = read_path(scanner, names)
        descending = by_distance = False
        if scanner.take(";"):
            start = scanner.at
            direction = scanner.match(_DIRECTION)
            if direction not in _DIRECTIONS:
                raise scanner.error(f"expected one of {', '.join(_DIRECTIONS)}", start)
            descending, by_distance = _DIRECTIONS[direction]
        yield OrderTerm(path, descending, by_distance)
        scanner.skip_space()
        if scanner.at_end():
            return
        scanner.expect(",")


def sort_entities(entities: Iterable[Entity], ordering: Ordering) -> list[Entity]:
    """The entities in the order asked for. Stable passes, from the least significant term to the first."""
    ordered = sorted(entities, key=lambda entity: entity["id"])
    for term in reversed(ordering.terms):
        key = _compile_key(term, ordering)
        keyed = [(key(entity), entity) for entity in ordered]
        ordered = []
        for group in _groups(keyed, by_distance=term.by_distance):
            group.sort(key=lambda pair: pair[0], reverse=term.descending)
            ordered.extend(entity for _, entity in group)
    return ordered


def _groups(keyed: list[tuple[Key, Entity]], *, by_distance: bool) -> Iterable[list[tuple[Key, Entity]]]:
    """The parts that keep their places whatever the direction: distances (if measured), values, null, nothing."""
    if by_distance:
        yield [pair for pair in keyed if pair[0][0] == _DISTANCE]
    yield [pair for pair in keyed if _DISTANCE < pair[0][0] < _NULL]
    yield [pair for pair in keyed if pair[0][0] == _NULL]
    yield [pair for pair in keyed if pair[0][0] == _MISSING]


def _compile_key(term: OrderTerm, ordering: Ordering) -> Callable[[Entity], Key]:
    path = term.path
    collate = sort_key(ordering.collation)

    def by_value(entity: Entity) -> Key:
        target = preferred_target(path, entity)
        return (_MISSING, None) if target is None else _key(plain(target.value), collate)

    reference = ordering.reference
    if not term.by_distance or reference is None:
        return by_value

    def by_distance(entity: Entity) -> Key:
        target = preferred_target(path, entity)
        if target is None or target.kind != "GeoProperty":
            return by_value(entity)
        return _DISTANCE, distance_from(*reference, target.value)

    return by_distance


def _key(value: Any, collate: Callable[[str], bytes]) -> Key:
    match value:
        case bool():
            return _BOOLEAN, value
        case int() | float():
            return _NUMBER, value
        case str():
            moment = temporal(value)
            return (_STRING, collate(value)) if moment is None else (_TEMPORAL[moment[0]], moment[1])
        case None:
            return _NULL, None
        case list():
            return _ARRAY, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        case _:
            return _OBJECT, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
