"""Terms about linked entities, and what a condition looks at (4.9, 5.7.2.4)."""

from hypothesis import given
from strategies_queries import BASE, ExampleNames, conditions

from broker.query.ast import And, Condition, Linked, LinkedIn, Or
from broker.query.linked import attributes_of, linked_depth, linked_terms, replace_linked
from broker.query.q import parse_q


def q(text: str) -> Condition:
    return parse_q(text, ExampleNames())


def linked(text: str) -> Linked:
    condition = q(text)
    assert isinstance(condition, Linked)
    return condition


def test_5_7_2_4_depth_of_linked_terms() -> None:
    assert linked_depth(q("a;b|c")) == 0
    assert linked_depth(q("a;owner{name}")) == 1
    assert linked_depth(q('a|(owner{name};owner{works{name}}=="x")')) == 2


def test_linked_terms_come_innermost_first_and_once() -> None:
    condition = q('owner{works{name}}=="x"|a;owner{name}|owner{name}')
    assert linked_terms(condition) == [
        linked('works{name}=="x"'),
        linked('owner{works{name}}=="x"'),
        linked("owner{name}"),
    ]
    assert linked_terms(q("a")) == []


def test_resolving_from_the_inside_out_ends_without_linked_terms() -> None:
    condition = q('owner{works{in{name}}}=="x"|a;owner{name}')
    rounds = 0
    while terms := linked_terms(condition):
        ready = [term for term in terms if linked_depth(term) == 1]
        condition = replace_linked(
            condition, {term: LinkedIn(term.path, frozenset({f"urn:x:{rounds}"})) for term in ready}
        )
        rounds += 1
    assert rounds == 3
    assert condition == Or(
        (
            LinkedIn(linked("owner{b}").path, frozenset({"urn:x:2"})),
            And((q("a"), LinkedIn(linked("owner{b}").path, frozenset({"urn:x:0"})))),
        )
    )


@given(conditions)
def test_a_condition_without_linked_terms_stays_as_it_is(condition: Condition) -> None:
    assert linked_terms(condition) == []
    assert linked_depth(condition) == 0
    assert replace_linked(condition, {}) == condition


def test_5_7_2_4_system_members_are_no_attributes() -> None:
    assert attributes_of(q('modifiedAt>"2020-01-01T00:00:00Z"|id')) == frozenset()
    assert attributes_of(q("createdAt;(a.b|owner{name});c[x]")) == {BASE + "a", BASE + "owner", BASE + "c"}
