"""Terms never miss: where the evaluator says that a comparison holds, the index of the attribute finds it (4.9)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_queries import BASE, comparisons, entities, paths

from broker.model.entity import Entity
from broker.query.ast import Comparison, LinkedIn, Path, Range, Value, ValueList
from broker.query.evaluate import satisfies
from broker.query.targets import compile_targets
from broker.store.sqlite.terms import LONGEST, OPAQUE, Term, intervals, settles, terms_of

LEVEL = BASE + "level"


def order(term: Term) -> tuple[int, Term]:
    """SQLite's order of values: numbers, texts, bytes."""
    return (0 if isinstance(term, int | float) else 1 if isinstance(term, str) else 2), term


def finds(terms: set[Term], condition: Comparison | LinkedIn) -> bool:
    wanted = intervals(condition)
    if wanted is None:
        return True
    return OPAQUE in terms or any(order(low) <= order(term) <= order(high) for term in terms for low, high in wanted)


def terms_at(path: Path, entity: Entity) -> set[Term]:
    return terms_of(compile_targets(path)(entity))


@settings(max_examples=100, deadline=None)
@given(entities(), comparisons())
def test_4_9_what_holds_is_found_and_where_terms_settle_it_nothing_else(entity: Entity, comparison: Comparison) -> None:
    for path in {comparison.path, *(Path((attribute,)) for attribute in entity["attrs"])}:
        condition = Comparison(path, comparison.operator, comparison.operand)
        terms, holds = terms_at(path, entity), satisfies(condition, entity)
        if holds:
            assert finds(terms, condition)
        elif settles(condition) and OPAQUE not in terms and intervals(condition) is not None:
            assert not finds(terms, condition)


@settings(max_examples=60, deadline=None)
@given(
    entities(),
    paths(),
    st.frozensets(st.sampled_from([f"urn:ngsi-ld:Thing:{number}" for number in range(8)]), min_size=1),
)
def test_4_9_a_relationship_is_found_by_what_it_points_to(entity: Entity, path: Path, ids: frozenset[str]) -> None:
    for each in {path, *(Path((attribute,)) for attribute in entity["attrs"])}:
        linked = LinkedIn(each, ids)
        if satisfies(linked, entity):
            assert finds(terms_at(each, entity), linked)


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        (5, {5}),
        (2.5, {2.5}),
        (True, {b"\x01"}),
        ("x" * 100, {"x" * LONGEST}),
        ([1, "a", False, None, {"@value": 3}, [4]], {1, "a", b"\x00", 3}),
        ({"@type": "DateTime", "@value": "2020-01-01T00:00:00Z"}, {"2020-01-01T00:00:00Z"}),
        ({"a": 1}, set()),
        (2**64 - 1, {OPAQUE}),
        (list(range(1000)), {OPAQUE}),
    ],
)
def test_values_have_these_terms(value: object, terms: set[Term]) -> None:
    attrs = {LEVEL: [{"type": "Property", "value": value}]}
    assert terms_at(Path((LEVEL,)), {"attrs": attrs}) == terms  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("operator", "operand", "helps"),
    [
        ("==", Value(1, "number"), True),
        ("==", Value(True, "boolean"), True),
        ("==", ValueList((Value(1, "number"), Value("a", "string"))), True),
        ("==", ValueList(tuple(Value(each, "number") for each in range(100))), False),
        ("==", Range(Value(1, "number"), Value(2, "number")), True),
        (">", Value("2020-01-01T00:00:00Z", "dateTime"), True),
        ("==", Value(2**64, "number"), False),
        ("!=", Value(1, "number"), False),
        ("~=", Value("a", "string"), False),
    ],
)
def test_the_index_helps_where_terms_can_be_told(operator: str, operand: Value, helps: bool) -> None:
    assert (intervals(Comparison(Path((LEVEL,)), operator, operand)) is not None) == helps  # type: ignore[arg-type]
