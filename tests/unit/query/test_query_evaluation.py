"""What a condition of `q` means for an entity (4.9)."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies_queries import (
    BASE,
    IDS,
    ExampleNames,
    comparisons,
    conditions,
    entities,
    entity_queries,
    paths,
    ranges,
    values,
)

from broker.errors import BadRequestData
from broker.model.entity import Entity, Instance
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    EntityQuery,
    EntitySelector,
    Exists,
    Linked,
    LinkedIn,
    Or,
    Path,
    Range,
    Value,
    ValueList,
)
from broker.query.evaluate import (
    compile_query,
    matches,
    matches_geo,
    matches_scope,
    matches_selector,
    satisfies,
)
from broker.query.q import parse_q
from broker.query.selection import parse_type_selection

NAMES = ExampleNames()
AT = "2020-01-01T00:00:00.000000Z"


def entity(**attrs: Any) -> Entity:
    """An entity with these attributes: one instance or several."""
    return {
        "id": "urn:ngsi-ld:Thing:1",
        "type": [BASE + "Sensor", BASE + "Room"],
        "scope": ["/Madrid/Gardens", "Kyoto"],
        "createdAt": AT,
        "modifiedAt": "2021-01-01T00:00:00.000000Z",
        "version": 1,
        "attrs": {NAMES.expand(name): given if isinstance(given, list) else [given] for name, given in attrs.items()},
    }


def prop(value: Any, **members: Any) -> Instance:
    return {
        "type": "Property",
        "value": value,
        **{BASE + name if isinstance(found, list) else name: found for name, found in members.items()},
    }


def relationship(target: str | list[str]) -> Instance:
    return {"type": "Relationship", "object": target}


def language(**tags: str | list[str]) -> Instance:
    return {"type": "LanguageProperty", "languageMap": tags}


def holds(text: str, subject: Entity, **options: frozenset[str]) -> bool:
    return satisfies(parse_q(text, NAMES, **options), subject)


# --- equal and unequal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ('a=="red"', "red", True),
        ('a=="red"', ["blue", "red", "green"], True),
        ('a=="red"', "Red", False),
        ('a=="black","red"', "red", True),
        ('a=="black","red"', ["red", "blue"], True),
        ('a=="black","red"', ["x"], False),
        ("a==10..20", 15, True),
        ("a==10..20", 10, True),
        ("a==10..20", 20.0, True),
        ("a==10..20", 20.5, False),
        ("a==10..20", [15], False),
        ('a!="red"', "black", True),
        ('a!="red"', "red", False),
        ('a!="red"', ["blue", "black", "green"], True),
        ('a!="red"', ["blue", "red", "green"], False),
        ('a!="black","red"', "blue", True),
        ('a!="black","red"', ["blue", "red", "green"], False),
        ('a!="black","red"', ["blue", "yellow", "green"], True),
        ("a!=10..20", 9, True),
        ("a!=10..20", 10, False),
        ("a!=10..20", "15", True),
    ],
)
def test_4_9_equal_and_unequal_examples(text: str, value: Any, expected: bool) -> None:
    assert holds(text, entity(a=prop(value))) is expected


@pytest.mark.parametrize("value", ["1", True, False, None, [True], {"x": 1}, ["1"], [[1]]])
def test_4_9_no_equality_between_data_types(value: Any) -> None:
    assert not holds("a==1", entity(a=prop(value)))
    assert not holds("a==0", entity(a=prop(value)))
    assert holds("a!=1;a!=0", entity(a=prop(value)))
    for operator in (">", "<", ">=", "<="):
        assert not holds(f"a{operator}1", entity(a=prop(value)))


def test_4_9_booleans_are_no_numbers() -> None:
    assert holds("a==true", entity(a=prop(True)))
    assert not holds("a==true", entity(a=prop(1)))
    assert not holds("a==false", entity(a=prop(0)))


def test_4_9_numbers_compare_exactly() -> None:
    assert holds("a==20", entity(a=prop(20.0)))
    assert not holds("a==9007199254740992", entity(a=prop(9007199254740993)))
    assert holds("a>9007199254740992.0", entity(a=prop(9007199254740993)))


def test_4_9_the_target_element_must_exist() -> None:
    for text in (
        "a",
        "a==1",
        "a!=1",
        "a>1",
        "a<=1",
        'a~="x"',
        'a!~="x"',
        "b.c!=1",
        "b[c]!=1",
        "b.c.d",
        "b.unitCode!=1",
    ):
        assert not holds(text, entity(b=prop({"x": 1})))


def test_4_9_existence_regardless_of_value() -> None:
    assert holds("a", entity(a=prop(None)))
    assert holds("a", entity(a=relationship("urn:x:1")))
    assert holds("a.b", entity(a=prop(1, b=[prop(2)])))
    assert not holds("a.c", entity(a=prop(1, b=[prop(2)])))


# --- order -----------------------------------------------------------------------------------------------------------


def test_4_9_strings_order_by_code_point() -> None:
    assert holds('a>"m"', entity(a=prop("z")))
    assert not holds('a>"m"', entity(a=prop("m")))
    assert holds('a>="m"', entity(a=prop("m")))
    assert holds('a>"Z"', entity(a=prop("a")))
    assert holds('a>"\uffee"', entity(a=prop("𝄞")))


def test_4_9_dates_and_times_order_in_time() -> None:
    seen = entity(a=prop("2020-01-01T00:00:00.5Z"), d=prop("2020-01-02"), t=prop("12:00:00,5Z"))
    assert holds("a>2020-01-01T00:00:00Z", seen)
    assert holds("a==2020-01-01T00:00:00.500Z", seen)
    assert holds("a!=2020-01-01T00:00:00Z", seen)
    assert holds("d>=2020-01-02;d<2020-01-10", seen)
    assert holds("t>12:00:00Z;t==12:00:00.500000Z", seen)
    assert holds("t==12:00:00Z..12:00:01Z", seen)
    assert not holds("a>2020-01-01", seen)
    assert not holds("d>2020-01-01T00:00:00Z", seen)
    assert not holds("a>2020-01-01T00:00:00Z", entity(a=prop("later")))
    assert not holds("a<9999-01-01", entity(a=prop("2020-02-30")))
    assert holds('a>"2020-01-01T00:00:00"', seen)


def test_4_9_typed_values_compare_as_their_value() -> None:
    typed = {"@type": "DateTime", "@value": "2020-01-01T00:00:00Z"}
    assert holds("a>=2020-01-01T00:00:00Z", entity(a=prop(typed)))
    assert holds("a==2020-01-01T00:00:00Z", entity(a=prop([typed])))
    assert holds("a==1", entity(a=prop({"@value": 1})))


def test_4_9_arrays_have_no_order() -> None:
    assert not holds("a>1", entity(a=prop([2, 3])))
    assert not holds('a~="x"', entity(a=prop(["x"])))


# --- patterns --------------------------------------------------------------------------------------------------------


def test_4_9_patterns_are_found_anywhere_unless_anchored() -> None:
    tower = entity(a=prop("Eiffel Tower"))
    assert holds('a~="Tower"', tower)
    assert holds('a~="^Eiffel"', tower)
    assert not holds('a~="^Tower$"', tower)
    assert holds('a!~="^Pisa"', tower)
    assert not holds('a!~="^Eiffel"', tower)


def test_4_9_patterns_match_strings_only() -> None:
    for value in (3, True, None, ["3"], {"x": "3"}):
        assert not holds('a~="3"', entity(a=prop(value)))
        assert not holds('a!~="x"', entity(a=prop(value)))


# --- kinds of attributes ---------------------------------------------------------------------------------------------


def test_4_9_relationships_know_only_equal_and_unequal() -> None:
    one = entity(r=relationship("urn:a:1"), m=relationship(["urn:a:1", "urn:a:2"]))
    for name in ("r", "m"):
        assert holds(f'{name}=="urn:a:1"', one)
        assert holds(f"{name}==urn:a:1", one)
        assert holds(f'{name}=="urn:a:9","urn:a:1"', one)
        assert not holds(f'{name}!="urn:a:1"', one)
        assert holds(f'{name}!="urn:a:9"', one)
        assert holds(f"{name}!=5", one)
        assert holds(f'{name}!="urn:a".."urn:b"', one)
        for term in ('=="urn:a".."urn:b"', '>"urn:a"', '<"urn:z"', '>="urn:a:1"', '~="urn"', '!~="x"'):
            assert not holds(name + term, one)


def test_4_9_list_relationship_and_list_property_include() -> None:
    one = entity(
        r={"type": "ListRelationship", "objectList": ["urn:a:1", "urn:a:2"]},
        v={"type": "ListProperty", "valueList": [1, 2, "x", [3]]},
    )
    assert holds("r==urn:a:2;r!=urn:a:3", one)
    assert not holds('r~="a"', one)
    assert holds('v==2;v=="x";v!=3', one)


def test_4_9_example_12_vocab_property() -> None:
    person = entity(gender={"type": "VocabProperty", "vocab": BASE + "Male"})
    assert holds("gender==Male", person, expand_values=frozenset({"gender"}))
    assert not holds("gender==Male", person)
    assert holds(f'gender=="{BASE}Male"', person)
    several = entity(gender={"type": "VocabProperty", "vocab": [BASE + "Male", BASE + "Old"]})
    assert holds("gender==Old", several, expand_values=frozenset({"gender"}))


def test_4_9_example_9_to_11_trailing_paths() -> None:
    place = entity(
        address=prop({"city": "Berlin", "street": None, "list": [{"n": 1}]}),
        sensor=prop(40, rawdata=[prop({"airquality": {"particulate": 40}})]),
        parkingTickets={"type": "JsonProperty", "json": {"id": "85a6", "value": "Overstay 60 minutes"}},
    )
    assert holds('address[city]=="Berlin"', place)
    assert holds("sensor.rawdata[airquality.particulate]==40", place)
    assert holds('parkingTickets[value]=="Overstay 60 minutes"', place)
    assert holds('address[city];address[street];address[street]!="x"', place)
    assert not holds('address[postcode]!="x"', place)
    assert not holds("address[list.n]", place)
    assert not holds("address[city.length]", place)


def test_4_9_language_property_of_one_language() -> None:
    assert holds('c[en]=="red"', entity(c=language(fr="rouge", en="red", de="rot")))
    assert not holds('c[en]=="red"', entity(c=language(fr="red", en="black", de="blue")))
    assert holds('c[en]=="red"', entity(c=language(fr=["chat", "rouge"], en=["red", "cat"])))
    assert not holds('c[en]=="red"', entity(c=language(en=["coal", "black"])))
    assert holds('c[en]!="red"', entity(c=language(fr="noir", en="black")))
    assert not holds('c[en]!="red"', entity(c=language(fr=["rouge", "noir"], en=["red", "black"])))
    assert not holds('c[en]!="red"', entity(c=language(fr="rouge")))
    assert not holds("c[en.x]", entity(c=language(en="x")))


@pytest.mark.parametrize("name", ["c", "c[*]"])
def test_4_9_language_property_of_any_language(name: str) -> None:
    assert holds(f'{name}=="red"', entity(c=language(fr="rouge", en="red")))
    assert holds(f'{name}=="red"', entity(c=language(fr=["chat", "rouge"], en=["red", "cat"])))
    assert holds(f'{name}!="red"', entity(c=language(fr="noir", en="black")))
    assert not holds(f'{name}!="red"', entity(c=language(fr="rouge", en="red")))
    assert not holds(f'{name}!="red"', entity(c=language(fr="rouge", en=["red", "black"])))
    assert holds(f'{name}~="^rou"', entity(c=language(fr="rouge", en="red")))
    assert not holds(f'{name}!~="^rou"', entity(c=language(fr="rouge", en="red")))
    assert holds(f'{name}!~="^x"', entity(c=language(fr="rouge", en="red")))
    assert holds(f'{name}>"rot"', entity(c=language(fr="rouge", en="rotten")))
    assert holds(name, entity(c=language(fr="rouge")))


def test_4_9_any_instance_of_an_attribute() -> None:
    speed = entity(speed=[prop(5), prop(60, datasetId="urn:d:1")])
    assert holds("speed>50", speed)
    assert holds("speed==5", speed)
    assert holds("speed!=5", speed)
    assert not holds("speed!=1..100", speed)
    assert holds("speed.datasetId==urn:d:1", speed)


def test_4_9_sub_attributes_and_core_members() -> None:
    one = entity(t=prop(20, unitCode="CEL", observedAt="2020-06-01T00:00:00Z", accuracy=[prop(0.1, by=[prop("me")])]))
    assert holds("t.accuracy==0.1", one)
    assert holds('t.accuracy.by=="me"', one)
    assert holds('t.unitCode=="CEL"', one)
    assert holds("t.observedAt>=2020-01-01T00:00:00Z", one)
    assert holds("t.value==20", one)
    assert not holds("t.unitCode.x", one)
    assert not holds("t.observedAt[x]", one)


def test_4_9_the_entitys_own_members() -> None:
    one = entity()
    assert holds("createdAt==2020-01-01T00:00:00Z;modifiedAt>2020-06-01T00:00:00Z", one)
    assert holds('id~="Thing";id==urn:ngsi-ld:Thing:1', one)
    assert holds("type==Sensor;type!=House", one)
    assert holds('scope=="/Madrid/Gardens"', one)
    assert not holds("expiresAt", one)
    assert not holds("id.x", one)


def test_linked_in_follows_relationships_only() -> None:
    one = entity(
        r=relationship(["urn:a:1", "urn:a:2"]),
        s={"type": "ListRelationship", "objectList": ["urn:a:1"]},
        p=prop("urn:a:1"),
    )
    ids = frozenset({"urn:a:1"})
    assert satisfies(LinkedIn(Path((BASE + "r",)), ids), one)
    assert satisfies(LinkedIn(Path((BASE + "s",)), ids), one)
    assert not satisfies(LinkedIn(Path((BASE + "p",)), ids), one)
    assert not satisfies(LinkedIn(Path((BASE + "r",)), frozenset()), one)


def test_a_linked_term_has_to_be_resolved_first() -> None:
    with pytest.raises(TypeError, match="Linked"):
        satisfies(Linked(Path((BASE + "r",)), (), Exists(Path((BASE + "a",)))), entity())


# --- the parts of a query --------------------------------------------------------------------------------------------


def test_5_2_33_ids_take_precedence_over_the_pattern() -> None:
    one = entity()
    assert matches_selector(EntitySelector(ids=frozenset({one["id"]}), id_pattern="^nothing$"), one)
    assert not matches_selector(EntitySelector(ids=frozenset({"urn:x:2"}), id_pattern="Thing"), one)
    assert matches_selector(EntitySelector(id_pattern="Thing:1"), one)
    assert not matches_selector(EntitySelector(id_pattern="^Thing:1"), one)
    assert not matches_selector(EntitySelector(id_pattern="Thing", types=parse_type_selection("House", NAMES)), one)


def test_5_2_33_a_bad_pattern_is_the_clients_error() -> None:
    with pytest.raises(BadRequestData):
        matches_selector(EntitySelector(id_pattern="["), entity())


def test_5_7_2_4_at_least_one_of_the_attributes() -> None:
    one = entity(a=prop(1))
    assert matches(EntityQuery(attrs=frozenset({BASE + "a", BASE + "b"})), one)
    assert not matches(EntityQuery(attrs=frozenset({BASE + "b"})), one)


def test_5_7_2_4_at_least_one_of_the_selectors() -> None:
    one = entity()
    none, some = EntitySelector(ids=frozenset({"urn:x:2"})), EntitySelector(id_pattern="1$")
    assert matches(EntityQuery(selectors=(none, some)), one)
    assert not matches(EntityQuery(selectors=(none,)), one)
    assert matches(EntityQuery(), one)


def test_4_22_what_has_expired_is_as_if_absent() -> None:
    one = entity(a=[prop(1, expiresAt="2020-01-01T00:00:00Z"), prop(2, datasetId="urn:d:1")])
    later = "2022-01-01T00:00:00Z"
    assert matches(EntityQuery(q=parse_q("a==1", NAMES)), one)
    assert not matches(EntityQuery(q=parse_q("a==1", NAMES), now=later), one)
    assert matches(EntityQuery(q=parse_q("a==2", NAMES), now=later), one)
    one["expiresAt"] = later
    assert not matches(EntityQuery(now=later), one)
    assert matches(EntityQuery(now="2021-01-01T00:00:00Z"), one)


# --- properties ------------------------------------------------------------------------------------------------------


@given(st.lists(conditions, min_size=1, max_size=3), entities())
def test_and_and_or_are_what_they_are(terms: list[Condition], one: Entity) -> None:
    each = [satisfies(term, one) for term in terms]
    assert satisfies(And(tuple(terms)), one) is all(each)
    assert satisfies(Or(tuple(terms)), one) is any(each)


@given(paths(), st.lists(values(), min_size=1, max_size=4), entities())
def test_4_9_a_list_equals_what_one_of_its_values_equals(path: Path, found: list[Value], one: Entity) -> None:
    in_list = satisfies(Comparison(path, "==", ValueList(tuple(found))), one)
    assert in_list is any(satisfies(Comparison(path, "==", value), one) for value in found)


def with_one_target(one: Entity) -> Entity:
    """The entity with one instance of each attribute and one language in it: every path has one target at most."""

    def single(instances: list[Instance]) -> list[Instance]:
        instance = {name: single(found) if ":" in name else found for name, found in instances[0].items()}
        if "languageMap" in instance:
            tag, texts = min(instance["languageMap"].items())
            instance["languageMap"] = {tag: texts if isinstance(texts, str) else texts[0]}
        return [instance]

    return {**one, "attrs": {name: single(instances) for name, instances in one["attrs"].items()}}


@given(paths(), ranges(), entities().map(with_one_target))
def test_4_9_a_range_is_two_comparisons(path: Path, limits: Range, one: Entity) -> None:
    both = And((Comparison(path, ">=", limits.low), Comparison(path, "<=", limits.high)))
    assert satisfies(Comparison(path, "==", limits), one) is satisfies(both, one)


@given(comparisons(), entities().map(with_one_target))
def test_4_9_unequal_is_the_complement_of_equal_where_there_is_one_target(term: Comparison, one: Entity) -> None:
    assume(term.operator in ("==", "!="))
    equal = satisfies(Comparison(term.path, "==", term.operand), one)
    unequal = satisfies(Comparison(term.path, "!=", term.operand), one)
    assert unequal is (satisfies(Exists(term.path), one) and not equal)


@given(comparisons(), entities())
def test_4_9_no_comparison_holds_without_a_target(term: Comparison, one: Entity) -> None:
    if not satisfies(Exists(term.path), one):
        assert not satisfies(term, one)


@given(entity_queries(), entities())
def test_5_7_2_4_a_query_holds_when_all_its_parts_do(query: EntityQuery, one: Entity) -> None:
    assume(query.now is None)
    parts = [
        not query.selectors or any(matches_selector(selector, one) for selector in query.selectors),
        not query.attrs or bool(query.attrs & one["attrs"].keys()),
        query.scope is None or matches_scope(query.scope, one.get("scope", [])),
        query.q is None or satisfies(query.q, one),
        query.geo is None or matches_geo(query.geo, one),
    ]
    assert matches(query, one) is all(parts)
    assert compile_query(query)(one) is all(parts)


@given(st.sets(st.sampled_from(IDS)), entities())
def test_selecting_all_ids_but_one_leaves_it_out(ids: set[str], one: Entity) -> None:
    assert matches(EntityQuery(selectors=(EntitySelector(ids=frozenset(ids)),)), one) is (one["id"] in ids)
