"""4.6 Data Representation Restrictions: text encoding, names, data types of values, content."""

from typing import Any

import orjson
import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel

_TEXTS = ["京都 かもがわ ｶﾓｶﾞﾜ", "Straße, café, ñ", "🚲🌊", "\U0001f1ef\U0001f1f5 \u200d", "ا ب", "a\u0301", "﨑 髙 𠮷"]


@pytest.mark.parametrize("text", _TEXTS)
@clause("4.6.1", 1, 3)
def test_utf_8_goes_in_and_comes_out(broker: BrokerClient, unique: Unique, text: str) -> None:
    one = entity(unique.id(), unique.type(), name=prop(text))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200)
    assert orjson.loads(shown.body.decode("utf-8"))["name"]["value"] == text


@pytest.mark.parametrize("accept", ["application/json", JSON_LD, GEO_JSON])
@clause("4.6.1", 3)
def test_answers_of_any_media_type_are_utf_8(broker: BrokerClient, unique: Unique, accept: str) -> None:
    one = entity(unique.id(), unique.type(), name=prop("京都"))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", accept=accept).expect(200)
    assert "京都" in str(orjson.loads(shown.body.decode("utf-8")))
    assert (shown.headers.get_content_charset() or "utf-8") == "utf-8"


@clause("4.6.1", 1)
def test_escaped_characters_are_the_same_characters(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), name=prop("京 🚲"))
    body = orjson.dumps(one).decode().encode("ascii", "namereplace")
    body = body.replace(b"\\N{CJK UNIFIED IDEOGRAPH-4EAC}", b"\\u4eac").replace(b"\\N{BICYCLE}", b"\\ud83d\\udeb2")
    broker.post("/entities", body, content_type="application/json").expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "shift_jis", "lone surrogate"])
@clause("4.6.1", 2)
def test_a_body_that_is_not_utf_8_is_refused(broker: BrokerClient, unique: Unique, encoding: str) -> None:
    one = unique.id()
    text = f'{{"id": "{one}", "type": "{unique.type()}", "name": {{"type": "Property", "value": "é"}}}}'
    body = {
        "latin-1": text.encode("latin-1"),
        "utf-16": text.encode("utf-16"),
        "shift_jis": text.replace("é", "カ").encode("shift_jis"),
        "lone surrogate": text.replace("é", "\ud83d").encode("utf-8", "surrogatepass"),
    }[encoding]
    broker.post("/entities", body, content_type="application/json").expect_problem("InvalidRequest", "BadRequestData")
    broker.get(f"/entities/{one}").expect_problem("ResourceNotFound")


# --- names (4.6.2)

_NAMES = ["a", "Z9", "with_underscore", "éa", "京都", "ひらがな9", "ß٣", "x²", "long" * 30]
_NO_NAMES = [
    "",
    "9a",
    "_a",
    "with space",
    "with-dash",
    "a.b",
    "a,b",
    "a/b",
    "a(b)",
    "a<b>",
    "a'b",
    'a"b',
    "a=b",
    "a;b",
    "a&b",
]


@pytest.mark.parametrize("name", _NAMES)
@clause("4.6.2", 1)
def test_names_are_letters_numbers_and_underscores(broker: BrokerClient, unique: Unique, name: str) -> None:
    kind = name + unique.name("x")
    one = entity(unique.id(), kind, **{name: prop(5, **{name: rel("urn:a:1")})})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get("/entities", {"type": kind, "attrs": name}).expect_json([one])


@pytest.mark.parametrize("name", _NO_NAMES)
@pytest.mark.parametrize("place", ["attribute", "relationship", "sub-attribute", "type", "one of the types"])
@clause("4.6.2", 2)
def test_any_other_name_is_refused(broker: BrokerClient, unique: Unique, name: str, place: str) -> None:
    one = {
        "attribute": entity(unique.id(), unique.type(), **{name: prop(5)}),
        "relationship": entity(unique.id(), unique.type(), **{name: rel("urn:a:1")}),
        "sub-attribute": entity(unique.id(), unique.type(), speed=prop(5, **{name: prop(6)})),
        "type": entity(unique.id(), name, speed=prop(5)),
        "one of the types": entity(unique.id(), [unique.type(), name], speed=prop(5)),
    }[place]
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.6.2", 3)
def test_a_name_may_have_a_prefix_of_the_context(broker: BrokerClient, unique: Unique) -> None:
    base = f"https://example.org/{unique.name('v')}/"
    one = entity(unique.id(), "my:Car", **{"my:speed": prop(5)})
    broker.post("/entities", {"@context": {"my": base}, **one}).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], base + "Car", **{base + "speed": prop(5)}))


# --- data types (4.6.3)

_DEEP: Any = {"a": {"b": [{"c": {"d": [1, {"e": "f"}]}}]}}


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a\nb\tc\\d/e",
        "\x00",
        "\x7f\u2028\ufeff",
        "x" * 10_000,
        0,
        -1,
        2**53 - 1,
        -(2**53) + 1,
        0.1,
        -2.5e-10,
        1e100,
        True,
        False,
        [],
        {},
        [[], {}, ""],
        [1, "1", True, [1], {"a": 1}],
        [[1, 2], [3, [4]]],
        [{"a": 1}, {"a": 1}],
        _DEEP,
        {"京都": "かもがわ", "a b": 1, "": 2, "a.b": 3, "$c": 4},
        {"type": "PostalAddress", "id": "5", "value": 6},
    ],
    ids=lambda value: repr(value)[:40],
)
@clause("4.6.3", 1)
@clause("5.2.5", 3)
def test_any_json_value_is_kept(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), told=prop(value))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200)
    assert shown.json == one
    assert isinstance(shown.json["told"]["value"], bool) is isinstance(value, bool)


@pytest.mark.parametrize(
    "value",
    ["2018-12-04T12:00:00Z", "2018-12-04", "12:00:00Z", "12:00:00.123456Z", "https://example.org/a?b=c#d", "urn:a:1"],
)
@pytest.mark.parametrize("typed", ["plain", "@value", "valueType"])
@clause("4.6.3", 1, 5, 7)
def test_times_dates_and_uris_are_kept_plain_or_typed(
    broker: BrokerClient, unique: Unique, value: str, typed: str
) -> None:
    told = {
        "plain": prop(value),
        "@value": prop({"@type": "DateTime", "@value": value}),
        "valueType": prop(value, valueType="DateTime"),
    }[typed]
    one = entity(unique.id(), unique.type(), told=told)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["told"]
    assert shown in (told, prop({"type": "DateTime", "@value": value}))


@pytest.mark.parametrize("separator", [".", ","])
@pytest.mark.parametrize("fraction", ["1", "12", "123", "1234", "12345", "123456"])
@clause("4.6.3", 2, 4)
def test_seconds_may_have_up_to_six_digits_after_point_or_comma(
    broker: BrokerClient, unique: Unique, separator: str, fraction: str
) -> None:
    one = entity(unique.id(), unique.type(), told=prop(5, observedAt=f"2026-03-14T01:59:26{separator}{fraction}Z"))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["told"]["observedAt"]
    assert shown.removesuffix("Z").ljust(26, "0") == f"2026-03-14T01:59:26.{fraction:0<6}"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("2026-03-14", marks=pytest.mark.clause("4.6.3", 3)),
        pytest.param("2026-03-14T01:59Z", marks=pytest.mark.clause("4.6.3", 3)),
        pytest.param("2026-03-14T01Z", marks=pytest.mark.clause("4.6.3", 3)),
        pytest.param("2026-03T01:59:26Z", marks=pytest.mark.clause("4.6.3", 3)),
        pytest.param("01:59:26Z", marks=pytest.mark.clause("4.6.3", 3)),
        "20260314T015926Z",
        "2026-3-14T01:59:26Z",
        "2026/03/14T01:59:26Z",
        "2026-03-14 01:59:26Z",
        "2026-03-14t01:59:26z",
        "2026-02-30T01:59:26Z",
        "2026-13-14T01:59:26Z",
        "2026-03-14T25:59:26Z",
        "2026-03-14T01:60:26Z",
        pytest.param("2026-03-14T01:59:2Z", marks=pytest.mark.clause("4.6.3", 4)),
        pytest.param("2026-03-14T01:59:26.Z", marks=pytest.mark.clause("4.6.3", 4)),
        pytest.param("2026-03-14T01:59:26.1234567Z", marks=pytest.mark.clause("4.6.3", 4)),
        pytest.param("2026-03-14T01:59:26", marks=pytest.mark.clause("4.6.3", 6)),
        pytest.param("2026-03-14T01:59:26+00:00", marks=pytest.mark.clause("4.6.3", 6)),
        pytest.param("2026-03-14T10:59:26+09:00", marks=pytest.mark.clause("4.6.3", 6)),
        " 2026-03-14T01:59:26Z",
        "２０２６-03-14T01:59:26Z",
        "now",
        "",
        1773453566,
    ],
    ids=str,
)
@clause("4.6.3", 2)
@clause("4.8", 2)
def test_a_date_time_of_another_shape_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), told=prop(5))
    broker.post("/entities", {**one, "told": prop(5, observedAt=bad)}).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "expiresAt": bad}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("value", "condition", "found"),
    [
        pytest.param("2018-12-04", "told==2018-12-04", True, marks=pytest.mark.clause("4.6.3", 7)),
        pytest.param("2018-12-04", "told>2018-12-03", True, marks=pytest.mark.clause("4.6.3", 7)),
        pytest.param("2018-12-04", "told<2018-12-04", False, marks=pytest.mark.clause("4.6.3", 7)),
        pytest.param("12:30:00Z", "told==12:30:00Z", True, marks=pytest.mark.clause("4.6.3", 9)),
        pytest.param("12:30:00Z", "told>12:29:59.5Z", True, marks=pytest.mark.clause("4.6.3", 9)),
        pytest.param("12:30:00Z", "told>12:30:01Z", False, marks=pytest.mark.clause("4.6.3", 9)),
        pytest.param("2018-12-04T12:30:00Z", "told>2018-12-04T12:00:00Z", True, marks=pytest.mark.clause("4.6.3", 5)),
        pytest.param("2018-12-04T12:30:00Z", "told<2018-12-04T12:00:00Z", False, marks=pytest.mark.clause("4.6.3", 5)),
    ],
)
def test_dates_and_times_are_compared_as_such(
    broker: BrokerClient, unique: Unique, value: str, condition: str, found: bool
) -> None:
    one = entity(unique.id(), unique.type(), told=prop(value))
    broker.post("/entities", one).expect(201)
    answer = broker.get("/entities", {"type": one["type"], "q": condition}).expect(200)
    answer.expect_json([one] if found else [])


@pytest.mark.parametrize(
    "bad",
    [
        *(pytest.param(text, marks=pytest.mark.clause("4.6.3", 8)) for text in ("2018-12", "2018-338", "2018-12-4")),
        *(pytest.param(text, marks=pytest.mark.clause("4.6.3", 10)) for text in ("12:30Z", "12Z:", "1:30:00Z")),
        *(pytest.param(text, marks=pytest.mark.clause("4.6.3", 11)) for text in ("12:30:0Z", "12:30:00.1234567Z")),
        *(pytest.param(text, marks=pytest.mark.clause("4.6.3", 12)) for text in ("12:30:00+09:00", "12:30:00+00:00")),
    ],
)
def test_a_date_or_time_of_another_shape_is_none_in_a_query(broker: BrokerClient, unique: Unique, bad: str) -> None:
    query = {"type": unique.type(), "q": f"told=={bad}"}
    broker.get("/entities", query).expect_problem("BadRequestData")


# --- content (4.6.4)

_SUSPICIOUS = [
    "<",
    ">",
    '"',
    "'",
    "=",
    ";",
    "(",
    ")",
    "<script>alert('x');</script>",
    '"; DROP TABLE entities; --',
    "${7*7}",
]


@pytest.mark.parametrize("text", _SUSPICIOUS)
@clause("4.6.4", 1, 2)
def test_content_is_given_back_as_it_came_or_refused(broker: BrokerClient, unique: Unique, text: str) -> None:
    one = entity(unique.id(), unique.type(), told=prop(text), tree=prop({"a": [text]}), note=prop(1, by=prop(text)))
    created = broker.post("/entities", one)
    if created.status == 201:
        for format_ in ("normalized", "concise", "simplified"):
            shown = broker.get(f"/entities/{one['id']}", {"format": format_}).expect(200).json
            assert shown["tree"] in ({"a": [text]}, prop({"a": [text]}))
            assert shown["told"] in (text, prop(text))
        broker.get(f"/entities/{one['id']}").expect_json(one)
    else:
        created.expect_problem("BadRequestData")
        broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
