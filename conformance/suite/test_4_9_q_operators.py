"""4.9 NGSI-LD Query Language: what each operator of a query term selects, by data type."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, lang, list_prop, list_rel, prop, rel

RED, BLUE, BLACK = "urn:color:red", "urn:color:blue", "urn:color:black"

Row = tuple[str, list[Document], list[Document]]
"""A term behind the attribute's name, attributes that fulfil it, and attributes that do not."""

EQUAL: list[Row] = [
    ('=="red"', [prop("red"), prop(["blue", "red", "green"])], [prop("black"), prop(["blue", "green"])]),
    ('=="black","red"', [prop("red"), prop("black"), prop(["red", "blue"])], [prop("green"), prop(["green"])]),
    ("==20", [prop(20), prop(20.0), prop([10, 20])], [prop(19), prop(-20), prop([2, 0])]),
    ("==10,20", [prop(10), prop(20), prop([5, 20])], [prop(15), prop([15])]),
    ("==10..20", [prop(10), prop(15.5), prop(20)], [prop(9.9), prop(20.1)]),
    ("==-5..-1", [prop(-5), prop(-3), prop(-1)], [prop(3), prop(0), prop(-6)]),
    ('=="b".."d"', [prop("b"), prop("c"), prop("d")], [prop("a"), prop("e")]),
    (
        "==2020-01-01T00:00:00Z..2020-12-31T00:00:00Z",
        [prop("2020-01-01T00:00:00Z"), prop("2020-06-01T12:00:00Z")],
        [prop("2019-12-31T23:59:59Z"), prop("2021-06-01T12:00:00Z")],
    ),
    ("==true", [prop(True), prop([False, True])], [prop(False), prop([False])]),
    ("==false", [prop(False)], [prop(True)]),
]

UNEQUAL: list[Row] = [
    ('!="red"', [prop("black"), prop(["blue", "black", "green"])], [prop("red"), prop(["blue", "red", "green"])]),
    (
        '!="black","red"',
        [prop("blue"), prop(["blue", "yellow"])],
        [prop("red"), prop("black"), prop(["blue", "red"])],
    ),
    ("!=20", [prop(19), prop([10, 30])], [prop(20), prop([10, 20])]),
    ("!=10..20", [prop(9), prop(21)], [prop(10), prop(15), prop(20)]),
    ("!=true", [prop(False)], [prop(True)]),
]

GREATER: list[Row] = [
    (">20", [prop(20.5), prop(1000)], [prop(20), prop(-30)]),
    ('>"b"', [prop("c"), prop("bb")], [prop("b"), prop("a")]),
    (">2020-01-01", [prop("2020-01-02")], [prop("2020-01-01"), prop("2019-12-31")]),
]

LESS: list[Row] = [
    ("<20", [prop(19.5), prop(-30)], [prop(20), prop(21)]),
    ('<"b"', [prop("a"), prop("aa")], [prop("b"), prop("c")]),
    ("<12:00:00Z", [prop("11:59:59Z")], [prop("12:00:00Z"), prop("12:00:01Z")]),
]

OR_EQUAL: list[Row] = [
    (">=20", [prop(20), prop(21)], [prop(19.9)]),
    ("<=20", [prop(20), prop(-1)], [prop(20.1)]),
    ('>="b"', [prop("b"), prop("c")], [prop("a")]),
    ('<="b"', [prop("b"), prop("a")], [prop("c")]),
    (">=2020-01-01T00:00:00Z", [prop("2020-01-01T00:00:00Z")], [prop("2019-12-31T23:59:59Z")]),
]

OTHER_TYPES: list[Row] = [
    ('=="5"', [prop("5")], [prop(5)]),
    ("==5", [prop(5)], [prop("5"), prop(True)]),
    ("==true", [prop(True)], [prop("true"), prop(1)]),
    ("==1..9", [prop(5)], [prop("5")]),
    ("==5", [prop(5)], [prop({"five": 5})]),
]

PATTERNS: list[Row] = [
    ("~=^Ber.*n$", [prop("Berlin"), prop("Bern")], [prop("Madrid"), prop("berlin"), prop("Bergen aan Zee")]),
    ("~=^[0-9]{3}$", [prop("123")], [prop("12"), prop("1234"), prop("abc")]),
    ("~=^[[:alpha:]]+$", [prop("abc")], [prop("abc1"), prop("")]),
    ("~=^ab?c$", [prop("ac"), prop("abc")], [prop("abbc")]),
]

NOT_PATTERNS: list[Row] = [
    ("!~=^Ber.*n$", [prop("Madrid"), prop("berlin")], [prop("Berlin"), prop("Bern")]),
    ("!~=^[0-9]+$", [prop("abc")], [prop("123")]),
]

OBJECTS: list[Row] = [
    (f'=="{RED}"', [rel(RED), rel([BLUE, RED]), list_rel([BLUE, RED])], [rel(BLACK), list_rel([BLUE])]),
    (f"=={RED}", [rel(RED), rel([BLUE, RED]), list_rel([BLUE, RED])], [rel(BLACK), list_rel([BLUE])]),
    (f'=="{BLACK}","{RED}"', [rel(RED), rel([RED, BLUE]), list_rel([BLACK])], [rel(BLUE), list_rel([BLUE])]),
    (f'!="{RED}"', [rel(BLACK), rel([BLUE, BLACK]), list_rel([BLUE])], [rel(RED), rel([BLUE, RED]), list_rel([RED])]),
    (f'!="{BLACK}","{RED}"', [rel(BLUE), list_rel([BLUE])], [rel(RED), rel([BLACK, BLUE]), list_rel([RED])]),
]

LANGUAGES: list[Row] = [
    (
        '[en]=="red"',
        [lang({"fr": "rouge", "en": "red", "de": "rot"}), lang({"en": ["red", "cat"]})],
        [lang({"fr": "red", "en": "black"}), lang({"fr": ["red"], "en": ["coal"]}), lang({"fr": "red"})],
    ),
    (
        '[*]=="red"',
        [lang({"fr": "rouge", "en": "red"}), lang({"de": ["rote", "red"]})],
        [lang({"fr": "noir", "en": "black"}), lang({"en": ["coal", "black"]})],
    ),
    ('=="red"', [lang({"fr": "rouge", "en": "red"})], [lang({"fr": "noir", "en": "black"})]),
    (
        '[en]!="red"',
        [lang({"fr": "red", "en": "black"}), lang({"en": ["coal", "black"]})],
        [lang({"fr": "rouge", "en": "red"}), lang({"en": ["red", "black"]}), lang({"fr": "rouge"})],
    ),
    (
        '[*]!="red"',
        [lang({"fr": "noir", "en": "black"}), lang({"de": ["blaue", "Engel"]})],
        [lang({"fr": "rouge", "en": "red"}), lang({"en": ["red", "black"]})],
    ),
    ("[en]~=^re", [lang({"en": "red"})], [lang({"fr": "red", "en": "blue"})]),
]

LISTS: list[Row] = [
    ("==2", [list_prop([1, 2, 3])], [list_prop([1, 3]), list_prop(["2"])]),
    ('=="a","b"', [list_prop(["b", "c"])], [list_prop(["c"])]),
    ("!=2", [list_prop([1, 3])], [list_prop([1, 2, 3])]),
]


@pytest.mark.parametrize(
    ("term", "matching", "others"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("4.9", *requirements))
        for requirements, table in (
            ((1, 21, 23), EQUAL),
            ((25,), UNEQUAL),
            ((27,), GREATER),
            ((28,), LESS),
            ((30,), OR_EQUAL),
            ((24,), OTHER_TYPES),
            ((6, 31), PATTERNS),
            ((33,), NOT_PATTERNS),
            ((9, 36), OBJECTS),
            ((34,), LANGUAGES),
            ((35,), LISTS),
        )
        for row in table
    ],
)
def test_a_term_selects_the_entities_whose_attribute_fulfils_it(
    broker: BrokerClient, unique: Unique, term: str, matching: list[Document], others: list[Document]
) -> None:
    wanted = [entity(unique.id(), unique.type(), reading=attribute) for attribute in matching]
    unwanted = [entity(unique.id(), unique.type(), reading=attribute) for attribute in others]
    broker.post("/entityOperations/create", [*wanted, *unwanted]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": f"reading{term}"}).expect(200)
    assert {each["id"] for each in answer.json} == {each["id"] for each in wanted}


@clause("4.9", 23, 25, 27, 28, 30, 31, 33)
@pytest.mark.parametrize("term", ["==5", "!=5", ">5", "<5", ">=5", "<=5", "~=^a", "!~=^a", "==1..9", "!=1..9"])
def test_no_operator_selects_an_entity_without_the_attribute(broker: BrokerClient, unique: Unique, term: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), other=prop(5))).expect(201)
    broker.get("/entities", {"type": unique.type(), "q": f"reading{term}"}).expect(200).expect_json([])


@clause("4.9", 26)
@pytest.mark.parametrize(
    ("term", "value"),
    [("!=5", "5"), ('!="5"', 5), ("!=true", "true"), ("!=1", True), ("!=1..9", "5"), ("!=5", {"five": 5})],
)
def test_values_of_different_data_types_are_unequal(
    broker: BrokerClient, unique: Unique, term: str, value: object
) -> None:
    one = entity(unique.id(), unique.type(), reading=prop(value))
    broker.post("/entities", one).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": f"reading{term}"}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 29)
@pytest.mark.parametrize("operator", [">", "<", ">=", "<="])
@pytest.mark.parametrize(
    ("literal", "value"),
    [("5", "4"), ("5", "6"), ('"5"', 4), ('"5"', 6), ("0", True), ("2020-01-01", 5), ("5", {"five": 9})],
)
def test_there_is_no_order_between_different_data_types(
    broker: BrokerClient, unique: Unique, operator: str, literal: str, value: object
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), reading=prop(value))).expect(201)
    broker.get("/entities", {"type": unique.type(), "q": f"reading{operator}{literal}"}).expect(200).expect_json([])


@clause("4.9", 32)
@pytest.mark.parametrize("operator", ["~=", "!~="])
@pytest.mark.parametrize("value", [5, True, {"name": "5"}], ids=str)
def test_what_is_no_string_matches_no_pattern_nor_its_negation(
    broker: BrokerClient, unique: Unique, operator: str, value: object
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), reading=prop(value))).expect(201)
    broker.get("/entities", {"type": unique.type(), "q": f"reading{operator}^5"}).expect(200).expect_json([])


@clause("4.9", 20)
@pytest.mark.parametrize("term", [f'>"{BLACK}"', f'<"{RED}"', f'>="{RED}"', f'<="{RED}"', "~=^urn", "!~=^http"])
@pytest.mark.parametrize("attribute", [rel(RED), list_rel([RED])], ids=["Relationship", "ListRelationship"])
def test_relationships_have_no_order_and_match_no_pattern(
    broker: BrokerClient, unique: Unique, term: str, attribute: Document
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), reading=attribute)).expect(201)
    broker.get("/entities", {"type": unique.type(), "q": f"reading{term}"}).expect(200).expect_json([])
