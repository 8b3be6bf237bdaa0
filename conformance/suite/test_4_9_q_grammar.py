"""4.9 NGSI-LD Query Language: its literals, its logic, and what it refuses."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel

LITERALS: list[tuple[tuple[int, ...], str, object, object]] = [
    ((3,), "-5", -5, 5),
    ((3,), "0", 0, 1),
    ((3,), "2.50", 2.5, 2.6),
    ((3,), "1.5e2", 150, 1.5),
    ((3,), "15E-1", 1.5, 15),
    ((4,), '"with space"', "with space", "withspace"),
    ((4,), '""', "", "x"),
    ((4,), r'"say \"hi\""', 'say "hi"', "say hi"),
    ((4,), r'"back\\slash"', "back\\slash", "backslash"),
    ((4,), r'"tab\tnew\n"', "tab\tnew\n", "tab new "),
    ((4, 22), r'"\u0061bc"', "abc", "\\u0061bc"),
    ((4, 22), '"\u6771\u4eac"', "\u6771\u4eac", "\u4eac\u6771"),
    ((4, 22), r'"\ud83d\ude00"', "\U0001f600", "\ud7ff"),
    ((4,), '"a;b|c)d"', "a;b|c)d", "a"),
    ((5,), "true", True, "true"),
    ((5,), "false", False, 0),
    ((7,), "2018-03-02T11:22:33Z", "2018-03-02T11:22:33Z", "2018-03-02T11:22:34Z"),
    ((7,), "2018-03-02T11:22:33.5Z", "2018-03-02T11:22:33.5Z", "2018-03-02T11:22:33Z"),
    ((7,), "2018-03-02", "2018-03-02", "2018-03-03"),
    ((7,), "11:22:33Z", "11:22:33Z", "11:22:34Z"),
    ((7,), "11:22:33.25Z", "11:22:33.25Z", "11:22:33Z"),
    ((8,), "2018-03-02T11:22:33.500Z", "2018-03-02T11:22:33.5Z", "2018-03-02T11:22:33.05Z"),
    ((8,), "2018-03-02T11:22:33,5Z", "2018-03-02T11:22:33.5Z", "2018-03-02T11:22:33.05Z"),
]


@pytest.mark.parametrize(
    ("literal", "equal", "other"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("4.9", *requirements))
        for requirements, *row in LITERALS
    ],
)
def test_a_literal_is_the_value_that_it_spells(
    broker: BrokerClient, unique: Unique, literal: str, equal: object, other: object
) -> None:
    one = entity(unique.id(), unique.type(), reading=prop(equal))
    broker.post("/entityOperations/create", [one, entity(unique.id(), unique.type(), reading=prop(other))]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": f"reading=={literal}"}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 7, 8)
@pytest.mark.parametrize(
    ("kind", "earlier", "later"),
    [
        ("DateTime", "2018-03-02T11:22:33Z", "2018-03-02T11:22:33.5Z"),
        ("DateTime", "2018-03-02T11:22:33.9Z", "2018-03-02T11:22:33.95Z"),
        ("Date", "2018-03-02", "2019-01-01"),
        ("Time", "09:00:00Z", "09:00:00.1Z"),
    ],
)
def test_moments_compare_in_time(broker: BrokerClient, unique: Unique, kind: str, earlier: str, later: str) -> None:
    before = entity(unique.id(), unique.type(), at=prop({"@type": kind, "@value": earlier}))
    after = entity(unique.id(), unique.type(), at=prop({"@type": kind, "@value": later}))
    broker.post("/entityOperations/create", [before, after]).expect(201)
    query = {"type": unique.type(), "q": f"at>{earlier}"}
    assert [each["id"] for each in broker.get("/entities", query).expect(200).json] == [after["id"]]
    query = {"type": unique.type(), "q": f"at<{later}"}
    assert [each["id"] for each in broker.get("/entities", query).expect(200).json] == [before["id"]]


LOGIC: list[tuple[tuple[int, ...], str, set[int]]] = [
    ((11,), "a;b", {3, 7}),
    ((11,), "a|b", {1, 2, 3, 5, 6, 7}),
    ((11,), "a;b;c", {7}),
    ((11,), "a|b|c", {1, 2, 3, 4, 5, 6, 7}),
    ((12,), "a|b;c", {1, 3, 5, 6, 7}),
    ((12,), "a;b|c", {3, 4, 5, 6, 7}),
    ((12,), "a;b|b;c", {3, 6, 7}),
    ((13,), "(a|b);c", {5, 6, 7}),
    ((13,), "a;(b|c)", {3, 5, 7}),
    ((13,), "(a;b)|c", {3, 4, 5, 6, 7}),
    ((13,), "(a|b);(b|c)", {2, 3, 5, 6, 7}),
    ((13,), "((a|b);c)", {5, 6, 7}),
]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("4.9", *requirements))
        for requirements, *row in LOGIC
    ],
)
def test_terms_combine(broker: BrokerClient, unique: Unique, q: str, expected: set[int]) -> None:
    ids = [unique.id() for _ in range(8)]
    names = {number: [name for bit, name in ((1, "a"), (2, "b"), (4, "c")) if number & bit] for number in range(8)}
    broker.post(
        "/entityOperations/create",
        [entity(ids[number], unique.type(), **{name: prop(1) for name in names[number]}) for number in range(8)],
    ).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": q}).expect(200)
    assert {ids.index(each["id"]) for each in answer.json} == expected


@clause("4.9", 11, 21, 23)
@pytest.mark.parametrize("q", ['speed>50;brand=="Mercedes"', '((speed>50|rpm>3000);brand=="Mercedes")'])
def test_terms_of_all_kinds_combine(broker: BrokerClient, unique: Unique, q: str) -> None:
    fast = entity(unique.id(), unique.type(), speed=prop(60), brand=prop("Mercedes"))
    slow = entity(unique.id(), unique.type(), speed=prop(40), rpm=prop(2000), brand=prop("Mercedes"))
    other = entity(unique.id(), unique.type(), speed=prop(60), brand=prop("Fiat"))
    broker.post("/entityOperations/create", [fast, slow, other]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": q}).expect(200)
    assert [each["id"] for each in answer.json] == [fast["id"]]


@clause("4.9", 2)
def test_a_query_may_be_percent_encoded_throughout(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), name=prop("a+b & c=d%20/\u00e9"))
    broker.post("/entityOperations/create", [one, entity(unique.id(), unique.type(), name=prop("x"))]).expect(201)
    encoded = "".join(f"%{byte:02X}" for byte in 'name=="a+b & c=d%20/\u00e9"'.encode())
    answer = broker.get(f"/entities?type={unique.type()}&q={encoded}").expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 9)
@pytest.mark.parametrize("uri", ["urn:ngsi-ld:Place:1", "http://example.org/a/b?c=d", "http://example.org/caf\u00e9"])
def test_a_value_may_be_a_uri(broker: BrokerClient, unique: Unique, uri: str) -> None:
    one = entity(unique.id(), unique.type(), lies=rel(uri))
    broker.post("/entityOperations/create", [one, entity(unique.id(), unique.type(), lies=rel(uri + "2"))]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": f"lies=={uri}"}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 3, 4, 40)
@clause("5.7.2.4", 2)
@pytest.mark.parametrize(
    "q",
    [
        "reading==",
        "reading>",
        "==5",
        "5==reading",
        "reading=5",
        "reading===5",
        "reading<>5",
        "reading==+5",
        "reading==05",
        "reading==.5",
        "reading==5.",
        "reading==0x1F",
        'reading=="red',
        'reading=="a\\x"',
        "reading=='red'",
        "reading>true",
        "reading>1..5",
        "reading<1,2",
        "reading==1,",
        "reading==1..",
        "reading;",
        ";reading",
        "reading||other",
        "reading;;other",
        "(reading==5",
        "reading==5)",
        "()",
        "reading.",
        ".reading",
        "reading..other",
        "reading[city",
        "reading[]",
        "reading[a][b]",
        "reading{other",
        "reading{}",
        "reading~=",
        "reading~=[",
        "reading==2018-13-01",
        "reading==2018-03-02T25:00:00Z",
    ],
)
def test_what_is_no_query_is_refused(broker: BrokerClient, unique: Unique, q: str) -> None:
    broker.get("/entities", {"type": unique.type(), "q": q, "join": "inline"}).expect_problem("BadRequestData")
