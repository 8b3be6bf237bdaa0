"""What a query means: the definition that stores and subscriptions are held to (4.9, 4.10, 4.17, 4.19, 5.7.2.4).

A path that ends at an attribute with several instances addresses any of them (4.9): a term holds when it holds for one
instance. Negative terms too: `speed!=5` holds for the instances 5 and 60, through 60. Within one instance it is the other
way round, as the clause says: `!=` and `!~=` on an array, or on all languages of a LanguageProperty, hold when no element equals.
A term never holds where the target element does not exist.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from broker.model.entity import Entity
from broker.model.expiry import without_expired
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    EntityQuery,
    EntitySelector,
    Exists,
    GeoQuery,
    LinkedIn,
    Or,
    Range,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
)
from broker.query.geometry import relates
from broker.query.patterns import pattern_test
from broker.query.scopes import scope_levels
from broker.query.targets import Target, compile_targets
from broker.query.values import Test, equality, membership, order

EntityTest: TypeAlias = Callable[[Entity], bool]


def matches(query: EntityQuery, entity: Entity) -> bool:
    """Whether an entity meets every condition of a query (5.7.2.4), not being expired at `query.now` (4.22)."""
    return compile_query(query)(entity)


@lru_cache(maxsize=16)
def compile_query(query: EntityQuery) -> EntityTest:
    """`matches` for one query and many entities. Raises BadRequestData for a pattern that is no regular expression."""
    tests: list[EntityTest] = []
    if query.selectors:
        selectors = tuple(_compile_selector(selector) for selector in query.selectors)
        tests.append(lambda entity: any(selector(entity) for selector in selectors))
    if query.attrs:
        attrs = query.attrs
        tests.append(lambda entity: not attrs.isdisjoint(entity["attrs"]))
    if query.scope is not None:
        scope = query.scope
        tests.append(lambda entity: matches_scope(scope, entity.get("scope", ())))
    if query.q is not None:
        tests.append(compile_condition(query.q))
    if query.geo is not None:
        geo = query.geo
        tests.append(lambda entity: matches_geo(geo, entity))
    now = query.now

    def test(entity: Entity) -> bool:
        current: Entity | None = entity
        if now is not None:
            current = without_expired(entity, now)
        return current is not None and all(each(current) for each in tests)

    return test


def satisfies(condition: Condition, entity: Entity) -> bool:
    """Whether an entity fulfils a condition of `q` (4.9), in which no Linked is left."""
    return compile_condition(condition)(entity)


@lru_cache(maxsize=256)
def compile_condition(condition: Condition) -> EntityTest:
    """`satisfies` for one condition and many entities: keep the function rather than asking for it again."""
    return _compile(condition)


def _compile(condition: Condition) -> EntityTest:
    match condition:
        case And(terms):
            conjuncts = tuple(_compile(term) for term in terms)
            return lambda entity: all(term(entity) for term in conjuncts)
        case Or(terms):
            disjuncts = tuple(_compile(term) for term in terms)
            return lambda entity: any(term(entity) for term in disjuncts)
        case Exists(path):
            targets = compile_targets(path)
            return lambda entity: bool(targets(entity))
        case LinkedIn(path, ids):
            return _any_target(compile_targets(path), lambda target: _points_to(target, ids))
        case Comparison(path, _, _):
            return _any_target(compile_targets(path), compile_comparison(condition))
    raise TypeError(f"{type(condition).__name__} has to be resolved before a condition can be evaluated")


def _any_target(targets: Callable[[Entity], list[Target]], test: Callable[[Target], bool]) -> EntityTest:
    def holds(entity: Entity) -> bool:
        for target in targets(entity):  # noqa: SIM110 - a loop is a third faster than any() here, where time goes
            if test(target):
                return True
        return False

    return holds


def _points_to(target: Target, ids: frozenset[str]) -> bool:
    if target.nature != "object":
        return False
    return any(each in ids for each in target.value) if isinstance(target.value, list) else target.value in ids


def compile_comparison(comparison: Comparison) -> Callable[[Target], bool]:
    """The test of one target against operator and operand, by the nature of the target."""
    operator, operand = comparison.operator, comparison.operand
    if operator in ("==", "!="):
        equals, ranged = equality(operand), isinstance(operand, Range)
        return _positive(equals, on_objects=not ranged) if operator == "==" else _unequal(equals, ranged=ranged)
    if not isinstance(operand, Value):
        raise TypeError(f"{operator} compares with one value only")
    if operator == "~=":
        return _positive(membership(operand)[0])
    if operator == "!~=":
        return _outside(*membership(operand))
    return _positive(order(operator, operand))


def _positive(test: Test, *, on_objects: bool = False) -> Callable[[Target], bool]:
    """One of the candidates passes. Relationships know only equal and unequal, and no ranges."""

    def holds(target: Target) -> bool:
        nature, value, _ = target
        if nature == "languages":
            return any(test(each) for each in value.values())
        return (nature == "value" or on_objects) and test(value)

    return holds


def _unequal(equals: Test, *, ranged: bool) -> Callable[[Target], bool]:
    """No candidate equals: a different data type is unequal."""

    def holds(target: Target) -> bool:
        nature, value, _ = target
        if nature == "languages":
            return not any(equals(each) for each in value.values())
        return (nature == "object" and ranged) or not equals(value)

    return holds


def _outside(found: Test, missed: Test) -> Callable[[Target], bool]:
    """There is text, and the pattern is found nowhere in it."""

    def holds(target: Target) -> bool:
        nature, value, _ = target
        if nature == "languages":
            texts = value.values()
            return any(missed(each) for each in texts) and not any(found(each) for each in texts)
        return nature == "value" and missed(value)

    return holds


def matches_types(selection: TypeSelection, types: Iterable[str]) -> bool:
    """Whether an entity of these types is selected (4.17): it has all types of one of the alternatives."""
    present = set(types)
    return any(present.issuperset(conjunction) for conjunction in selection.alternatives)


def matches_scope(query: ScopeQuery, scopes: Sequence[str]) -> bool:
    """Whether an entity in these scopes is selected (4.19): each pattern of one alternative matches one of its scopes."""
    present = [scope_levels(scope) for scope in scopes]
    return any(
        all(any(scope_fits(pattern, levels) for levels in present) for pattern in conjunction)
        for conjunction in query.alternatives
    )


def scope_fits(pattern: ScopePattern, levels: Sequence[str]) -> bool:
    """Whether one scope, given by its levels, matches one pattern."""
    depth = len(pattern.levels)
    if len(levels) < depth or (len(levels) > depth and not pattern.subtree):
        return False
    return all(wanted in ("+", level) for wanted, level in zip(pattern.levels, levels, strict=False))


def matches_geo(query: GeoQuery, entity: Entity) -> bool:
    """Whether one instance of the addressed GeoProperty stands in the relationship to the reference geometry (4.10)."""
    return any(
        instance["type"] == "GeoProperty" and relates(query, instance["value"])
        for instance in entity["attrs"].get(query.geoproperty, ())
    )


def matches_selector(selector: EntitySelector, entity: Entity) -> bool:
    """Whether an entity is selected (5.2.33): by id, else by the pattern found in its id, and by type."""
    return _compile_selector(selector)(entity)


def _compile_selector(selector: EntitySelector) -> EntityTest:
    ids, types = selector.ids, selector.types
    found_in = None if selector.id_pattern is None or ids is not None else pattern_test(selector.id_pattern)

    def test(entity: Entity) -> bool:
        if ids is not None and entity["id"] not in ids:
            return False
        if found_in is not None and not found_in(entity["id"]):
            return False
        return types is None or matches_types(types, entity["type"])

    return test
