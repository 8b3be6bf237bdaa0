"""Entity ordering (4.23, 5.2.43)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_queries import BASE, ExampleNames, entities, orderings, texts

from broker.errors import BadRequestData
from broker.model.entity import Entity
from broker.model.terms import LOCATION
from broker.query.ast import Ordering, OrderTerm, Path
from broker.query.collation import check_collation, sort_key
from broker.query.ordering import MAX_TERMS, parse_ordering, sort_entities

NAMES = ExampleNames()


def entity(identifier: str, **attrs: Any) -> Entity:
    def instances(given: Any) -> Any:
        if isinstance(given, list) and given and isinstance(given[0], dict) and "type" in given[0]:
            return given
        return [{"type": "Property", "value": given}]

    return {
        "id": f"urn:x:{identifier}",
        "type": [BASE + "T"],
        "createdAt": "2020-01-01T00:00:00.000000Z",
        "modifiedAt": "2020-01-01T00:00:00.000000Z",
        "version": 1,
        "attrs": {NAMES.expand(name): instances(given) for name, given in attrs.items()},
    }


def ordered(found: list[Entity], *order_by: str, **options: Any) -> list[str]:
    ordering = parse_ordering(order_by, NAMES, **options)
    return [each["id"].removeprefix("urn:x:") for each in sort_entities(found, ordering)]


def named(**names: Any) -> list[Entity]:
    return [entity(identifier, name=name) for identifier, name in names.items()]


def at(identifier: str, longitude: float, latitude: float) -> Entity:
    value = {"type": "Point", "coordinates": [longitude, latitude]}
    return entity(identifier, location=[{"type": "GeoProperty", "value": value}])


# --- parsing ---------------------------------------------------------------------------------------------------------


def test_4_23_3_examples_1_to_5() -> None:
    name, age = OrderTerm(Path((BASE + "name",))), OrderTerm(Path((BASE + "age",)))
    assert parse_ordering(["name"], NAMES) == Ordering((name,))
    assert parse_ordering(["name,age"], NAMES) == parse_ordering(["name", "age"], NAMES) == Ordering((name, age))
    assert parse_ordering(["name,age;desc"], NAMES).terms == (name, OrderTerm(Path((BASE + "age",)), descending=True))
    assert parse_ordering(["address[city]"], NAMES).terms == (OrderTerm(Path((BASE + "address",), ("city",))),)
    assert parse_ordering(["name.observedAt;asc"], NAMES).terms == (OrderTerm(Path((BASE + "name", "observedAt"))),)


def test_4_23_3_examples_8_to_10() -> None:
    location = Path((LOCATION,))
    assert parse_ordering(["location;dist-asc"], NAMES, order_from="[8,40]") == Ordering(
        (OrderTerm(location, by_distance=True),), reference=("Point", "[8,40]")
    )
    assert parse_ordering(
        ["location;dist-desc"], NAMES, order_from=[[8, 40], [9, 42], [9, 45], [8, 40]], order_geometry="LineString"
    ) == Ordering(
        (OrderTerm(location, descending=True, by_distance=True),),
        reference=("LineString", "[[8,40],[9,42],[9,45],[8,40]]"),
    )


def test_5_2_43_own_members_stay_short() -> None:
    assert [term.path.names for term in parse_ordering(["id,type;desc", "scope,createdAt"], NAMES).terms] == [
        ("id",),
        ("type",),
        ("scope",),
        ("createdAt",),
    ]


@pytest.mark.parametrize(
    "text", ["", ",", "name,", "name;", "name;up", "name;dist", "name asc", "name;asc;desc", "name[", "1"]
)
def test_4_23_3_errors_say_where(text: str) -> None:
    with pytest.raises(BadRequestData, match=r"^orderBy: .* at character \d+$"):
        parse_ordering([text], NAMES)


def test_the_number_of_terms_is_bounded() -> None:
    with pytest.raises(BadRequestData, match=r"^orderBy: "):
        parse_ordering([",".join(["a"] * (MAX_TERMS + 1))], NAMES)


def test_5_7_2_4_ordering_by_distance_needs_a_place() -> None:
    with pytest.raises(BadRequestData, match=r"^orderFrom: "):
        parse_ordering(["location;dist-asc"], NAMES)


@pytest.mark.parametrize(
    ("geometry", "coordinates", "culprit"),
    [(None, "[8]", "orderFrom"), ("Circle", "[8,40]", "orderGeometry"), (None, "[8,140]", "orderFrom")],
)
def test_5_7_2_4_the_place_has_to_be_a_geometry(geometry: str | None, coordinates: str, culprit: str) -> None:
    with pytest.raises(BadRequestData, match=f"^{culprit}: "):
        parse_ordering(["name"], NAMES, order_from=coordinates, order_geometry=geometry)


# --- collation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag",
    [
        "und",
        "und-x-icu",
        "und-u-ks-identic",
        "und-u-ks-level2",
        "de-u-co-phonebk",
        "de-DE-u-co-phonebk",
        "ja",
        "sr-Latn",
        "zh-u-co-stroke",
        "DE",
    ],
)
def test_4_23_3_collations_that_icu_knows(tag: str) -> None:
    check_collation(tag)


@pytest.mark.parametrize(
    "tag", ["", "!!nope", "nope", "xx", "de-u-co-bogus", "und-u-ks-bogus", "en_US", "de ", "é", "a" * 500, "de\x00"]
)
def test_5_7_2_4_an_unknown_collation_is_refused(tag: str) -> None:
    with pytest.raises(BadRequestData, match=r"^collation: "):
        parse_ordering(["name"], NAMES, collation=tag)


def test_4_23_1_the_root_collation_is_the_default() -> None:
    found = named(a="A", b="b", c="á", d="Z", e="a", f="あ", g="名")
    assert ordered(found, "name") == ["e", "a", "c", "b", "d", "f", "g"]
    assert (
        ordered(found, "name", collation="und")
        == ordered(found, "name", collation="und-x-icu")
        == ordered(found, "name")
    )


def test_4_23_3_examples_6_and_7() -> None:
    found = named(c="a", b="A", a="b")
    assert ordered(found, "name", collation="und-u-ks-level2") == ["b", "c", "a"]
    german = named(a="Ärger", b="Adler", c="Affe")
    assert ordered(german, "name", collation="de") == ["b", "c", "a"]
    assert ordered(german, "name", collation="de-u-co-phonebk") == ["b", "a", "c"]


@given(st.text(), st.text())
def test_sort_keys_are_total_and_prefix_free(one: str, other: str) -> None:
    key = sort_key()
    assert isinstance(key(one) <= key(other), bool)
    assert key(one) == key(one)
    assert key("a" * 3000) > key("a" * 2999)


# --- order -----------------------------------------------------------------------------------------------------------


def test_4_23_2_datatypes_in_order_missing_last() -> None:
    found = named(
        j=None,
        i="2020-01-01T00:00:00Z",
        h="2020-01-01",
        g="00:00:00Z",
        f=True,
        e=[1],
        d={"x": 1},
        c="text",
        b=10**6,
        a=-0.5,
    )
    found.append(entity("k"))
    assert ordered(found[::-1], "name") == list("abcdefghijk")
    assert ordered(found, "name;desc") == [*"ihgfedcba", "j", "k"]


def test_4_23_2_within_datatypes() -> None:
    assert ordered(named(a=2, b=1.5, c=2.0, d=-1), "name") == ["d", "b", "a", "c"]
    assert ordered(named(a="2020-01-01T00:00:00.5Z", b="2020-01-01T00:00:00Z"), "name") == ["b", "a"]
    assert ordered(named(a=True, b=False), "name") == ["b", "a"]
    assert ordered(named(a=[2], b=[1]), "name") == ["b", "a"]


def test_4_23_3_several_terms_and_ties_by_id() -> None:
    found = [entity(identifier, a=a, b=b) for identifier, a, b in (("3", 1, 1), ("1", 1, 2), ("2", 1, 2), ("4", 0, 9))]
    assert ordered(found, "a,b;desc") == ["4", "1", "2", "3"]
    assert ordered(found, "a;desc") == ["1", "2", "3", "4"]
    assert ordered(found, "id;desc") == ["4", "3", "2", "1"]


def test_4_23_3_example_4_trailing_path_and_core_members() -> None:
    found = [
        entity(
            "1",
            address={"city": "Zurich"},
            name=[{"type": "Property", "value": 1, "observedAt": "2021-01-01T00:00:00Z"}],
        ),
        entity(
            "2",
            address={"city": "Berlin"},
            name=[{"type": "Property", "value": 9, "observedAt": "2020-01-01T00:00:00Z"}],
        ),
        entity("3", address="x"),
    ]
    assert ordered(found, "address[city]") == ["2", "1", "3"]
    assert ordered(found, "name.observedAt") == ["2", "1", "3"]


def test_kinds_of_attributes_and_instances() -> None:
    found = [
        entity("1", n=[{"type": "LanguageProperty", "languageMap": {"en": "b"}}]),
        entity("2", n=[{"type": "LanguageProperty", "languageMap": {"en": "a", "fr": "z"}}]),
        entity("3", n=[{"type": "Relationship", "object": "urn:a"}]),
        entity("4", n=[{"type": "Property", "value": 1, "datasetId": "urn:d"}, {"type": "Property", "value": 5}]),
        entity("5", n=[{"type": "Property", "value": 3, "datasetId": "urn:d"}]),
        entity("6", n=[{"type": "Property", "value": 0, "sub": 1, BASE + "s": [{"type": "Property", "value": 7}]}]),
    ]
    assert ordered(found, "n[en]") == ["2", "1", "3", "4", "5", "6"]
    assert ordered(found, "n") == ["6", "5", "4", "3", "2", "1"]
    assert ordered(found, "n.s") == ["6", "1", "2", "3", "4", "5"]


def test_4_23_3_example_8_and_9_distance() -> None:
    found = [
        at("far", 10, 45),
        at("near", 8.01, 40.01),
        at("mid", 9, 41),
        entity("text", location="Kyoto"),
        entity("none"),
    ]
    assert ordered(found, "location;dist-asc", order_from="[8,40]") == ["near", "mid", "far", "text", "none"]
    assert ordered(found, "location;dist-desc", order_from="[8,40]") == ["far", "mid", "near", "text", "none"]


@settings(max_examples=30)
@given(
    st.lists(entities(), max_size=4, unique_by=lambda each: each["id"]), orderings(), st.randoms(use_true_random=False)
)
def test_an_order_does_not_depend_on_where_it_starts(found: list[Entity], ordering: Ordering, chance: Any) -> None:
    result = sort_entities(found, ordering)
    assert sorted(each["id"] for each in result) == sorted(each["id"] for each in found)
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert sort_entities(shuffled, ordering) == result
    assert sort_entities(result, ordering) == result


@given(st.lists(texts, max_size=6))
def test_descending_is_ascending_turned_round(names: list[str]) -> None:
    found = [entity(str(place), name=name) for place, name in enumerate(names)]
    up, down = parse_ordering(["name,id"], NAMES), parse_ordering(["name;desc,id;desc"], NAMES)
    assert sort_entities(found, down) == sort_entities(found, up)[::-1]
