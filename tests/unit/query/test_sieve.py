"""The sieve of conditions: it lets through all that hold, and little else (4.9)."""

from typing import Any

import pytest
import strategies_queries
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.model.entity import Entity
from broker.query.ast import And, Comparison, Condition, Or, Path, Range, Value, ValueList
from broker.query.evaluate import satisfies
from broker.query.sieve import MOST_CLUES, Sieve, clues_of

LEVEL = "https://example.org/level"
PATH = Path((LEVEL,))


def entity(*instances: Any) -> Entity:
    return {
        "id": "urn:e:1",
        "type": ["https://example.org/Sensor"],
        "attrs": {
            LEVEL: [
                each if isinstance(each, dict) and "type" in each else {"type": "Property", "value": each}
                for each in instances
            ]
        },
        "createdAt": "2026-01-01T00:00:00.000000Z",
        "modifiedAt": "2026-01-01T00:00:00.000000Z",
        "version": 1,
    }


def number(value: float) -> Value:
    return Value(value, "number")


def sieve_of(*conditions: Condition | None) -> Sieve[int, Condition | None]:
    sieve = Sieve[int, Condition | None]()
    for key, condition in enumerate(conditions):
        sieve.put(key, condition, condition)
    return sieve


numbers = st.one_of(
    st.integers(-5, 5), st.sampled_from([0.5, -0.5, 1e-320, 2.0**53, 2**53 + 1, -(2**63), 1e300, 4.25, 3.999999999])
)
bounds = st.builds(Comparison, st.just(PATH), st.sampled_from([">", ">=", "<", "<="]), st.builds(number, numbers))
ranges = st.tuples(numbers, numbers).map(lambda ends: Comparison(PATH, "==", Range(*map(number, sorted(ends)))))
equals = st.builds(
    Comparison,
    st.just(PATH),
    st.just("=="),
    st.one_of(
        st.builds(number, numbers),
        st.builds(Value, st.sampled_from(["a", "b"]), st.just("string")),
        st.builds(Value, st.booleans(), st.just("boolean")),
        st.lists(st.builds(number, numbers), min_size=1, max_size=3).map(lambda them: ValueList(tuple(them))),
    ),
)
terms = st.one_of(bounds, ranges, equals)
several = st.lists(terms, min_size=1, max_size=3).map(tuple)
numeric_conditions = st.one_of(
    terms, several.map(And), several.map(Or), st.lists(several.map(And), min_size=1).map(tuple).map(Or)
)
values = st.one_of(
    numbers,
    st.booleans(),
    st.sampled_from(["a", "b"]),
    st.lists(numbers, max_size=2),
    numbers.map(lambda each: {"@type": "x", "@value": each}),
    st.just({"type": "LanguageProperty", "languageMap": {"en": "a", "ja": "b"}}),
    st.just({"type": "Relationship", "object": "a"}),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(numeric_conditions, max_size=8), st.lists(values, max_size=3))
def test_a_sieve_lets_through_every_comparison_that_holds(conditions: list[Condition], instances: list[Any]) -> None:
    state = entity(*instances)
    holding = {key for key, condition in enumerate(conditions) if satisfies(condition, state)}
    assert holding <= sieve_of(*conditions).find(state).keys()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), strategies_queries.conditions), max_size=4), strategies_queries.entities())
def test_a_sieve_lets_through_whatever_holds(conditions: list[Condition | None], state: Entity) -> None:
    holding = {key for key, condition in enumerate(conditions) if condition is None or satisfies(condition, state)}
    assert holding <= sieve_of(*conditions).find(state).keys()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), numeric_conditions), max_size=6))
def test_a_sieve_forgets_what_is_removed(conditions: list[Condition | None]) -> None:
    sieve = sieve_of(*conditions)
    for key, condition in enumerate(conditions):
        sieve.remove(key, condition)
    assert not sieve
    assert sieve.find(entity(1, 2, "a")) == {}


@pytest.mark.parametrize(
    ("condition", "passing", "stopped"),
    [
        (Comparison(PATH, ">", number(5)), [6, 5.5, 5], [4, "6", True]),
        (Comparison(PATH, "<=", number(5)), [5, -1], [5.5, "a"]),
        (Comparison(PATH, "==", Value("open", "string")), ["open", ["shut", "open"]], ["shut", 1]),
        (Comparison(PATH, "==", ValueList((number(1), number(2)))), [1, 2.0], [3]),
        (Comparison(PATH, "==", Range(number(10), number(10.5))), [10, 10.25, 10.5], [8, 13]),
        (And((Comparison(PATH, ">", number(10)), Comparison(PATH, "<", number(10.5)))), [10.25], [8, 13]),
        (And((Comparison(PATH, ">", number(1)), Comparison(PATH, "==", Value("a", "string")))), ["a"], [2]),
        (Or((Comparison(PATH, "<", number(1)), Comparison(PATH, ">", number(9)))), [0, 10], [5]),
        (Comparison(PATH, "!=", number(5)), [4, 5], []),
    ],
)
def test_a_sieve_stops_most_of_what_does_not_hold(condition: Condition, passing: list[Any], stopped: list[Any]) -> None:
    sieve = sieve_of(condition)
    assert [value for value in passing if not sieve.find(entity(value))] == []
    assert [value for value in stopped if sieve.find(entity(value))] == []


def test_two_instances_may_keep_the_two_ends_of_a_range() -> None:
    apart = And((Comparison(PATH, ">", number(10)), Comparison(PATH, "<", number(11))))
    assert satisfies(apart, entity(1, {"type": "Property", "value": 20, "datasetId": "urn:d:1"}))
    assert sieve_of(apart).find(entity(1, {"type": "Property", "value": 20, "datasetId": "urn:d:1"}))


def test_a_condition_with_very_many_clues_is_kept_once() -> None:
    long = Comparison(PATH, "==", ValueList(tuple(number(each) for each in range(MOST_CLUES + 1))))
    assert clues_of(long) is None
    assert sieve_of(long).find(entity("anything"))


def test_ten_thousand_conditions_on_one_path_do_not_cost_ten_thousand_evaluations() -> None:
    conditions: list[Condition] = []
    for each in range(2_500):
        conditions.append(Comparison(PATH, ">", number(each)))
        conditions.append(Comparison(PATH, "==", number(each)))
        conditions.append(Comparison(PATH, "==", Range(number(each), number(each + 0.5))))
        conditions.append(And((Comparison(PATH, ">=", number(each)), Comparison(PATH, "<=", number(each + 1)))))
    assert len(sieve_of(*conditions).find(entity(7.25))) < 30
