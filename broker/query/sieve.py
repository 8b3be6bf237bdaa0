"""Many conditions, one entity: finds those that it may fulfil without trying each (subscriptions with different q, 4.9).

A condition is kept under `Clue`s: it holds only where the entity has one of them, such as a value at a path that is no less than
a threshold. Thresholds are sorted, values that must be equal are looked up, and ranges lie in cells of about their own length.
So ten thousand thresholds cost what those cost that are exceeded. The evaluator has the last word; the sieve only lets through
everything that holds.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from math import floor, frexp, ldexp
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from broker.model.entity import Entity
from broker.query.ast import And, Comparison, Condition, Or, Path, Range, Value, ValueList
from broker.query.targets import Target, compile_targets
from broker.query.values import plain

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Number: TypeAlias = int | float
Cell: TypeAlias = tuple[int, int]

MOST_CLUES: Final = 32
"""Clues under which one condition is kept; one that would need more is tried on every entity."""
_EXACT: Final = 2.0**53
"""Integers up to here are the same as floats."""
_COMPARABLE: Final = frozenset({"string", "uri", "number", "boolean"})
"""Kinds of literals that equal a value where Python says so."""


@dataclass(frozen=True, slots=True)
class Clue:
    """A value at `path` is `equal` to this one, no `less` than it, no `more` than it, or in this `range`.

    `span` is a range whose ends may be kept by two different values, as `a>1;a<5` may by two instances of `a`.
    """

    path: Path
    sort: Literal["equal", "less", "more", "range", "span"]
    value: Any


def clues_of(condition: Condition | None) -> tuple[Clue, ...] | None:
    """Clues of which there is at least one wherever a condition holds; None where no few such clues are known."""
    found = _clues(condition)
    return None if found is None or len(found) > MOST_CLUES else found


def _clues(condition: Condition | None) -> tuple[Clue, ...] | None:
    match condition:
        case And(terms):
            known = [*_spans(terms), *(clues for term in terms if (clues := _clues(term)) is not None)]
            return min(known, key=_width, default=None)
        case Or(terms):
            alternatives = [_clues(term) for term in terms]
            if None in alternatives:
                return None
            return tuple(clue for clues in alternatives if clues is not None for clue in clues)
        case Comparison(path, "==", Range(Value(low, "number"), Value(high, "number"))) if _is_range(low, high):
            return (Clue(path, "range", (low, high)),)
        case Comparison(path, "==", ValueList(values)) if all(value.kind in _COMPARABLE for value in values):
            return tuple(Clue(path, "equal", value.value) for value in values)
        case Comparison(path, "==", Value(literal, kind)) if kind in _COMPARABLE:
            return (Clue(path, "equal", literal),)
        case Comparison(path, ">" | ">=", Value(literal, "number")):
            return (Clue(path, "less", literal),)
        case Comparison(path, "<" | "<=", Value(literal, "number")):
            return (Clue(path, "more", literal),)
    return None


def _width(clues: tuple[Clue, ...]) -> tuple[int, int]:
    """The less, the fewer entities are likely to have one of these."""
    return max(_WIDTHS.index(clue.sort) for clue in clues), len(clues)


_WIDTHS: Final = ("equal", "range", "span", "less", "more")


def _spans(terms: tuple[Condition, ...]) -> Iterator[tuple[Clue, ...]]:
    """Ranges that two terms make."""
    lows: dict[Path, Any] = {}
    for term in terms:
        match term:
            case Comparison(path, ">" | ">=", Value(literal, "number")):
                lows[path] = literal
    for term in terms:
        match term:
            case Comparison(path, "<" | "<=", Value(literal, "number")) if _is_range(lows.get(path), literal):
                yield (Clue(path, "span", (lows[path], literal)),)


def _is_range(low: Any, high: Any) -> bool:
    """Whether these are two ends that a grid can tell apart from others."""
    return low is not None and -_EXACT <= low <= high <= _EXACT


class Sieve(Generic[K, V]):
    """Values by key, each with its condition (None: every entity fulfils it)."""

    __slots__ = ("_rest", "_shelves")

    def __init__(self) -> None:
        self._rest: dict[K, V] = {}
        self._shelves: dict[Path, _Shelf[K, V]] = {}

    def __bool__(self) -> bool:
        return bool(self._rest or self._shelves)

    def put(self, key: K, value: V, condition: Condition | None) -> None:
        """Add a value under a key that is not there."""
        clues = clues_of(condition)
        if clues is None:
            self._rest[key] = value
            return
        for clue in clues:
            shelf = self._shelves.get(clue.path)
            if shelf is None:
                shelf = self._shelves[clue.path] = _Shelf(clue.path)
            shelf.put(clue, key, value)

    def remove(self, key: K, condition: Condition | None) -> None:
        """Forget a value that was put with this condition."""
        clues = clues_of(condition)
        if clues is None:
            del self._rest[key]
            return
        for clue in clues:
            shelf = self._shelves.get(clue.path)
            if shelf is not None:
                shelf.remove(clue, key)
                if not shelf:
                    del self._shelves[clue.path]

    def find(self, entity: Entity) -> dict[K, V]:
        """The values whose condition the entity may fulfil."""
        if not self._shelves:
            return self._rest
        found = self._rest.copy()
        for shelf in self._shelves.values():
            shelf.find(entity, found)
        return found


class _Shelf(Generic[K, V]):
    """What is kept under clues about one path."""

    __slots__ = ("_equal", "_less", "_more", "_ranges", "_spans", "_targets")

    def __init__(self, path: Path) -> None:
        self._targets = compile_targets(path)
        self._equal: dict[Any, dict[K, V]] = {}
        self._less = _Thresholds[K, V]()
        self._more = _Thresholds[K, V]()
        self._ranges = _Grid[K, V]()
        self._spans = _Grid[K, V]()

    def __bool__(self) -> bool:
        return bool(
            self._equal or self._less.limits or self._more.limits or self._ranges.everything or self._spans.everything
        )

    def put(self, clue: Clue, key: K, value: V) -> None:
        match clue.sort:
            case "equal":
                self._equal.setdefault(clue.value, {})[key] = value
            case "less":
                self._less.put(clue.value, key, value)
            case "more":
                self._more.put(clue.value, key, value)
            case "range":
                self._ranges.put(clue.value, key, value)
            case "span":
                self._spans.put(clue.value, key, value)

    def remove(self, clue: Clue, key: K) -> None:
        match clue.sort:
            case "equal":
                if (group := self._equal.get(clue.value)) is not None:
                    group.pop(key, None)  # a condition may have the same clue twice
                    if not group:
                        del self._equal[clue.value]
            case "less":
                self._less.remove(clue.value, key)
            case "more":
                self._more.remove(clue.value, key)
            case "range":
                self._ranges.remove(clue.value, key)
            case "span":
                self._spans.remove(clue.value, key)

    def find(self, entity: Entity, found: dict[K, V]) -> None:
        scalars = [scalar for target in self._targets(entity) for scalar in _scalars(target)]
        if self._equal:
            for scalar in scalars:
                if (group := self._equal.get(scalar)) is not None:
                    found.update(group)
        numbers = [scalar for scalar in scalars if type(scalar) is int or type(scalar) is float]
        if not numbers:
            return
        lowest, highest = min(numbers), max(numbers)
        self._less.find_up_to(highest, found)
        self._more.find_from(lowest, found)
        for number in numbers:
            self._ranges.find(number, found)
        if lowest == highest:
            self._spans.find(lowest, found)
        else:
            found.update(self._spans.everything)


def _scalars(target: Target) -> Iterator[Any]:
    """The values that a comparison may look at in a target: the elements of a list, the texts in all languages."""
    if target.nature == "languages":
        for text in target.value.values():
            yield from _elements(text)
    else:
        yield from _elements(target.value)


def _elements(value: Any) -> Iterator[Any]:
    value = plain(value)
    for each in value if isinstance(value, list) else (value,):
        scalar = plain(each)
        if isinstance(scalar, str | int | float | bool):
            yield scalar


class _Thresholds(Generic[K, V]):
    """Values in order of a number."""

    __slots__ = ("_groups", "limits")

    def __init__(self) -> None:
        self.limits: list[Number] = []
        self._groups: dict[Number, dict[K, V]] = {}

    def put(self, limit: Number, key: K, value: V) -> None:
        group = self._groups.get(limit)
        if group is None:
            group = self._groups[limit] = {}
            insort(self.limits, limit)
        group[key] = value

    def remove(self, limit: Number, key: K) -> None:
        group = self._groups.get(limit)
        if group is None:
            return
        group.pop(key, None)
        if not group:
            del self._groups[limit]
            del self.limits[bisect_left(self.limits, limit)]

    def find_up_to(self, number: Number, found: dict[K, V]) -> None:
        for limit in self.limits[: bisect_right(self.limits, number)]:
            found.update(self._groups[limit])

    def find_from(self, number: Number, found: dict[K, V]) -> None:
        for limit in self.limits[bisect_left(self.limits, number) :]:
            found.update(self._groups[limit])


class _Grid(Generic[K, V]):
    """Values by a range of numbers. Each lies in at most three cells of a grid whose cells are about as long as its range."""

    __slots__ = ("_cells", "everything")

    def __init__(self) -> None:
        self.everything: dict[K, V] = {}
        self._cells: dict[int, dict[int, dict[K, V]]] = {}

    def put(self, ends: tuple[Number, Number], key: K, value: V) -> None:
        self.everything[key] = value
        for exponent, place in _cells_of(*ends):
            self._cells.setdefault(exponent, {}).setdefault(place, {})[key] = value

    def remove(self, ends: tuple[Number, Number], key: K) -> None:
        self.everything.pop(key, None)
        for exponent, place in _cells_of(*ends):
            row = self._cells.get(exponent, {})
            cell = row.get(place)
            if cell is None:
                continue
            cell.pop(key, None)
            if not cell:
                del row[place]
            if not row:
                del self._cells[exponent]

    def find(self, number: Number, found: dict[K, V]) -> None:
        if not -_EXACT <= number <= _EXACT:
            return
        for exponent, row in self._cells.items():
            cell = row.get(floor(ldexp(number, -exponent)))
            if cell is not None:
                found.update(cell)


def _cells_of(low: Number, high: Number) -> Iterator[Cell]:
    """Exponent and place of the cells that a range lies in, each 2**exponent long."""
    _, exponent = frexp(high - low)
    exponent = max(exponent, -60)
    for place in range(floor(ldexp(low, -exponent)), floor(ldexp(high, -exponent)) + 1):
        yield exponent, place
