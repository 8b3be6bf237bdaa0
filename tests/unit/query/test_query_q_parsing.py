"""The text of `q` -> a Condition (4.9)."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_queries import BASE, ExampleNames, conditions

from broker.errors import BadRequestData, TooComplexQuery
from broker.model.terms import LOCATION
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    Exists,
    Linked,
    LinkedIn,
    Or,
    Path,
    Range,
    Value,
    ValueList,
)
from broker.query.linked import linked_depth
from broker.query.q import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse_q

NAMES = ExampleNames()


def q(text: str, **options: frozenset[str]) -> Condition:
    return parse_q(text, NAMES, **options)


def path(*names: str, trailing: tuple[str, ...] | None = None) -> Path:
    return Path(tuple(NAMES.expand(name) for name in names), trailing)


def number(value: float) -> Value:
    return Value(value, "number")


def string(value: str) -> Value:
    return Value(value, "string")


# --- the clause's examples -------------------------------------------------------------------------------------------


def test_4_9_example_0_and_5_a_path_alone_asks_for_existence() -> None:
    assert q("temperature") == Exists(path("temperature"))
    assert q("isMonitoredBy") == Exists(path("isMonitoredBy"))


def test_4_9_example_1_number() -> None:
    assert q("temperature==20") == Comparison(path("temperature"), "==", number(20))


def test_4_9_example_2_and_3_quoted_strings() -> None:
    assert q('brandName!="Mercedes"') == Comparison(path("brandName"), "!=", string("Mercedes"))
    assert q('isParked=="urn:ngsi-ld:OffStreetParking:Downtown1"') == Comparison(
        path("isParked"), "==", string("urn:ngsi-ld:OffStreetParking:Downtown1")
    )


def test_4_9_example_4_and() -> None:
    assert q('speed>50;brandName!="Mercedes"') == And((q("speed>50"), q('brandName!="Mercedes"')))


def test_4_9_example_6_nested_association() -> None:
    assert q('((speed>50|rpm>3000);brandName=="Mercedes")') == And(
        (Or((q("speed>50"), q("rpm>3000"))), q('brandName=="Mercedes"'))
    )


def test_4_9_example_7_association_and_alternative() -> None:
    assert q("(temperature>=20;temperature<=25)|capacity<=10") == Or(
        (And((q("temperature>=20"), q("temperature<=25"))), q("capacity<=10"))
    )


def test_4_9_example_8_core_members_stay_short_behind_the_first_name() -> None:
    assert q("temperature.observedAt>=2017-12-24T12:00:00Z") == Comparison(
        Path((BASE + "temperature", "observedAt")), ">=", Value("2017-12-24T12:00:00Z", "dateTime")
    )


def test_4_9_example_9_and_10_trailing_paths() -> None:
    assert q('address[city]=="Berlin"') == Comparison(path("address", trailing=("city",)), "==", string("Berlin"))
    assert q("sensor.rawdata[airquality.particulate]==40") == Comparison(
        path("sensor", "rawdata", trailing=("airquality", "particulate")), "==", number(40)
    )


def test_4_9_example_11_json_keys() -> None:
    text = 'parkingTickets[value]=="Overstay 60 minutes"'
    condition = Comparison(path("parkingTickets", trailing=("value",)), "==", string("Overstay 60 minutes"))
    assert q(text, json_keys=frozenset({"parkingTickets"})) == condition
    both = frozenset({"parkingTickets"})
    assert q(text, json_keys=both, expand_values=both) == condition


def test_4_9_example_12_expand_values() -> None:
    expanded = Comparison(path("gender"), "==", Value(BASE + "Male", "uri"))
    assert q("gender==Male", expand_values=frozenset({"gender"})) == expanded
    assert q('gender=="Male"', expand_values=frozenset({"gender"})) == expanded
    assert q('gender=="Male"', expand_values=frozenset({BASE + "gender"})) == expanded
    assert q("gender==Male", expand_values=frozenset({"other"})) == Comparison(path("gender"), "==", string("Male"))
    assert q('gender~="Male"', expand_values=frozenset({"gender"})) == Comparison(path("gender"), "~=", string("Male"))
    assert q('gender!="Male","Female",3', expand_values=frozenset({"gender"})) == Comparison(
        path("gender"), "!=", ValueList((Value(BASE + "Male", "uri"), Value(BASE + "Female", "uri"), number(3)))
    )


def test_4_9_example_13_and_14_linked_entities() -> None:
    humid = Comparison(path("humidity"), "==", number(40))
    assert q("sensor{humidity}==40") == Linked(path("sensor"), (), humid)
    assert q("sensor{Device:humidity}==40") == Linked(path("sensor"), (BASE + "Device",), humid)


# --- what else the grammar holds -------------------------------------------------------------------------------------


def test_4_9_and_takes_precedence_over_or() -> None:
    assert q("a|b;c|d") == Or((q("a"), And((q("b"), q("c"))), q("d")))
    assert q("(a|b);c") == And((Or((q("a"), q("b"))), q("c")))


@pytest.mark.parametrize("operator", ["==", "!=", ">", ">=", "<", "<="])
def test_4_9_every_operator_takes_every_comparable_value(operator: str) -> None:
    for text, value in {
        "-1.5e3": number(-1500.0),
        '"x"': string("x"),
        "2020-02-29": Value("2020-02-29", "date"),
        "12:00:00Z": Value("12:00:00Z", "time"),
        "2020-02-29T12:00:00,25Z": Value("2020-02-29T12:00:00,25Z", "dateTime"),
    }.items():
        assert q(f"a{operator}{text}") == Comparison(path("a"), operator, value)  # type: ignore[arg-type]


def test_4_9_booleans_compare_for_equality_only() -> None:
    assert q("a==true;b!=false") == And(
        (Comparison(path("a"), "==", Value(True, "boolean")), Comparison(path("b"), "!=", Value(False, "boolean")))
    )
    with pytest.raises(BadRequestData):
        q("a>true")


def test_4_9_uris_are_bare_or_quoted() -> None:
    assert q("locatedIn==urn:ngsi-ld:City:Pisa|locatedIn==urn:ngsi-ld:City:Paris") == Or(
        (
            Comparison(path("locatedIn"), "==", Value("urn:ngsi-ld:City:Pisa", "uri")),
            Comparison(path("locatedIn"), "==", Value("urn:ngsi-ld:City:Paris", "uri")),
        )
    )
    assert q("(a==http://x.org/Foo_(bar)?b=c#d)") == Comparison(
        path("a"), "==", Value("http://x.org/Foo_(bar)?b=c#d", "uri")
    )
    assert q("a==urn:a:1,urn:a:2") == Comparison(
        path("a"), "==", ValueList((Value("urn:a:1", "uri"), Value("urn:a:2", "uri")))
    )


def test_4_9_lists_may_mix_types_and_hold_blanks() -> None:
    assert q('color=="black", "red" , 3,true,2020-01-01') == Comparison(
        path("color"),
        "==",
        ValueList((string("black"), string("red"), number(3), Value(True, "boolean"), Value("2020-01-01", "date"))),
    )


def test_4_9_ranges() -> None:
    assert q("t==10..20") == Comparison(path("t"), "==", Range(number(10), number(20)))
    assert q("t!=-1.5..2.5") == Comparison(path("t"), "!=", Range(number(-1.5), number(2.5)))
    assert q('t=="a".."b"') == Comparison(path("t"), "==", Range(string("a"), string("b")))
    assert q("t==12:00:00Z..13:00:00Z") == Comparison(
        path("t"), "==", Range(Value("12:00:00Z", "time"), Value("13:00:00Z", "time"))
    )


def test_4_9_patterns_are_quoted_or_bare() -> None:
    assert q('name!~="^Eiffel"') == Comparison(path("name"), "!~=", string("^Eiffel"))
    assert q("name~=^Eif(f|l);a") == And((Comparison(path("name"), "~=", string("^Eif(f|l)")), q("a")))
    assert q("(name~=[;|)]x)") == Comparison(path("name"), "~=", string("[;|)]x"))
    assert q(r'name~="a\.b\\.c\"d"') == Comparison(path("name"), "~=", string(r"a\.b\.c" + '"d'))


def test_4_9_language_tags_and_asterisk() -> None:
    assert q('color[en-GB]=="red"') == Comparison(path("color", trailing=("en-GB",)), "==", string("red"))
    assert q("color[*]") == Exists(path("color", trailing=("*",)))


def test_4_9_json_escapes_in_strings() -> None:
    assert q(r'a=="\"\\\n\u00e9;|)"') == Comparison(path("a"), "==", string('"\\\né;|)'))


def test_4_9_first_names_of_the_entitys_own_members_stay_short() -> None:
    assert q("createdAt>=2020-01-01T00:00:00Z") == Comparison(
        Path(("createdAt",)), ">=", Value("2020-01-01T00:00:00Z", "dateTime")
    )
    assert q("id") == Exists(Path(("id",)))
    assert q("unitCode") == Exists(path("unitCode"))
    assert q("type==Building") == Comparison(Path(("type",)), "==", Value(BASE + "Building", "uri"))
    assert q("location.createdAt") == Exists(Path((LOCATION, "createdAt")))


def test_4_9_names_may_be_full_iris_plain_or_encoded() -> None:
    assert q("https://ex.org/ns/speed>3") == Comparison(Path(("https://ex.org/ns/speed",)), ">", number(3))
    assert q("https://ex.org/ns#speed.observedAt") == Exists(Path(("https://ex.org/ns#speed", "observedAt")))
    assert q("https%3A%2F%2Fex.org%2Fns%2Fspeed.accuracy[x]") == Exists(
        Path(("https://ex.org/ns/speed", BASE + "accuracy"), ("x",))
    )
    assert q("https://ex.org/a.https://ex.org/b") == Exists(Path(("https://ex.org/a", "https://ex.org/b")))
    assert q("ex:speed.ex:b") == Exists(Path(("ex:speed", "ex:b")))


def test_4_9_names_of_any_script() -> None:
    assert q('気温>=20;名前=="東京"') == And(
        (Comparison(path("気温"), ">=", number(20)), Comparison(path("名前"), "==", string("東京")))
    )


def test_4_9_linked_entities_nest_and_take_several_types() -> None:
    assert q('owner{Person,Company:works{name}}=="x"') == Linked(
        path("owner"),
        (BASE + "Person", BASE + "Company"),
        Linked(path("works"), (), Comparison(path("name"), "==", string("x"))),
    )
    assert q("owner{https://ex.org/Person:name.lang[x]}") == Linked(
        path("owner"), ("https://ex.org/Person",), Exists(path("name", "lang", trailing=("x",)))
    )
    assert q("owner{https://ex.org/name}") == Linked(path("owner"), (), Exists(Path(("https://ex.org/name",))))
    assert q("owner{Person:https://ex.org/name}") == Linked(
        path("owner"), (BASE + "Person",), Exists(Path(("https://ex.org/name",)))
    )


def test_integers_beyond_64_bits_are_doubles() -> None:
    assert q(f"a=={2**63 - 1}") == Comparison(path("a"), "==", number(2**63 - 1))
    found = q(f"a=={2**63}")
    assert isinstance(found, Comparison)
    assert isinstance(found.operand, Value)
    assert type(found.operand.value) is float


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("   ", 4),
        ("speed>", 7),
        ("speed>;", 7),
        ("speed=5", 6),
        ("speed>4..5", 8),
        ("speed>4,5", 8),
        ("speed==4..", 11),
        ('speed==4.."x"', 8),
        ("a==true..false", 10),
        ("a==1 b", 6),
        ("a;;b", 3),
        ("a|", 3),
        ("(a", 3),
        ("a)", 2),
        ("()", 2),
        ("!heading", 1),
        ("a.", 3),
        (".a", 1),
        ("a..b", 3),
        ("a[", 3),
        ("a[]", 3),
        ("a[b..c]", 3),
        ("a[b][c]", 5),
        ('a=="open', 4),
        (r'a=="\x"', 4),
        ('a=="\ttab"', 4),
        ("a==01", 4),
        ("a==1.", 4),
        ("a==+1", 4),
        ("a==1e400", 4),
        ("a==" + "9" * 500, 4),
        ("a==2020-02-30", 4),
        ("a==2020-01-01T25:00:00Z", 4),
        ("a==2020-01-01T00:00:00+09:00", 4),
        ("a==99:00:00Z", 4),
        ("a==Eiffel Tower", 11),
        ("a==,", 4),
        ("a==1,", 6),
        ("a>word", 3),
        ("a~=", 4),
        ("a{b", 4),
        ("a{}", 3),
        ("a{b}c", 5),
        ("a{:b}", 3),
        ("1a==2", 1),
        ("a==urn:\ud800", 8),
        ("a[\x00]", 3),
    ],
)
def test_4_9_errors_say_where(text: str, position: int) -> None:
    with pytest.raises(BadRequestData) as refused:
        q(text)
    assert refused.value.detail.startswith("q: ")
    assert refused.value.detail.endswith(f"at character {position}")


def test_4_9_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequestData, match=r"^q: .*is not a regular expression"):
        q('a~="("')


def test_nesting_is_bounded() -> None:
    assert q("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH) == q("a")
    with pytest.raises(TooComplexQuery):
        q("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1))
    with pytest.raises(TooComplexQuery):
        q("a{" * 100_000)


def test_the_text_is_bounded() -> None:
    with pytest.raises(TooComplexQuery):
        q('a=="' + "x" * MAX_LENGTH + '"')


def test_terms_are_bounded() -> None:
    q(";".join(["a"] * MAX_TERMS))
    with pytest.raises(TooComplexQuery):
        q(";".join(["a"] * (MAX_TERMS + 1)))
    with pytest.raises(TooComplexQuery):
        q("a==" + ",".join(["1"] * (MAX_TERMS + 1)))


# --- properties ------------------------------------------------------------------------------------------------------


def unparse(condition: Condition) -> str:
    match condition:
        case And(terms):
            return ";".join(f"({unparse(term)})" if isinstance(term, And | Or) else unparse(term) for term in terms)
        case Or(terms):
            return "|".join(f"({unparse(term)})" if isinstance(term, Or) else unparse(term) for term in terms)
        case Exists(at):
            return unparse_path(at)
        case Comparison(at, operator, operand):
            return unparse_path(at) + operator + unparse_operand(operand)
        case Linked(at, types, inner):
            hint = ",".join(types) + ":" if types else ""
            inside = unparse(inner)
            assert isinstance(inner, Exists | Comparison | Linked)
            own = inner
            while isinstance(own, Linked):
                own = own.condition
            assert isinstance(own, Exists | Comparison)
            tail = unparse(own)[len(unparse_path(own.path)) :]
            return f"{unparse_path(at)}{{{hint}{inside[: len(inside) - len(tail)]}}}{tail}"
        case LinkedIn():
            raise AssertionError("no text stands for it")


def unparse_path(at: Path) -> str:
    return ".".join(at.names) + ("" if at.trailing is None else f"[{'.'.join(at.trailing)}]")


def unparse_operand(operand: Value | ValueList | Range) -> str:
    match operand:
        case ValueList(values):
            return ",".join(map(unparse_operand, values))
        case Range(low, high):
            return f"{unparse_operand(low)}..{unparse_operand(high)}"
        case Value(value, kind):
            return str(value) if kind in ("dateTime", "date", "time", "uri") else orjson.dumps(value).decode()


def without_linked_in(condition: Condition) -> Condition:
    """The condition with Linked terms where the strategy has resolved ones."""
    match condition:
        case And(terms):
            return And(tuple(map(without_linked_in, terms)))
        case Or(terms):
            return Or(tuple(map(without_linked_in, terms)))
        case LinkedIn(at, ids):
            inner: Condition = Exists(at) if len(ids) % 2 else Comparison(at, ">", Value(len(ids), "number"))
            return Linked(at, (BASE + "T",) * (len(ids) // 2), Linked(at, (), inner))
        case _:
            return condition


def as_parsed(condition: Condition) -> Condition:
    """Literals compared with `type` come back as URIs."""
    match condition:
        case And(terms):
            return And(tuple(map(as_parsed, terms)))
        case Or(terms):
            return Or(tuple(map(as_parsed, terms)))
        case Linked(at, types, inner):
            return Linked(at, types, as_parsed(inner))
        case Comparison(at, "==" | "!=" as operator, operand) if at.names == ("type",):
            if isinstance(operand, ValueList):
                return Comparison(at, operator, ValueList(tuple(map(as_type, operand.values))))
            return Comparison(at, operator, as_type(operand) if isinstance(operand, Value) else operand)
        case _:
            return condition


def as_type(value: Value) -> Value:
    return Value(NAMES.expand(str(value.value)), "uri") if value.kind in ("string", "uri") else value


@given(conditions.map(without_linked_in))
def test_4_9_what_is_written_is_read(condition: Condition) -> None:
    assert q(unparse(condition)) == as_parsed(condition)


@given(conditions.map(without_linked_in), st.data())
def test_4_9_any_text_is_read_or_refused(condition: Condition, data: st.DataObject) -> None:
    text = unparse(condition)
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(len(text), at + 3)))
    broken = text[:at] + data.draw(st.text(st.sampled_from('();|,.[]{}=!<>~"\\-1aZ:/% é*'), max_size=3)) + text[end:]
    with suppress(BadRequestData, TooComplexQuery):
        assert linked_depth(q(broken)) <= MAX_DEPTH


@given(st.text(max_size=30))
def test_4_9_no_text_does_anything_worse(text: str) -> None:
    with suppress(BadRequestData, TooComplexQuery):
        assert linked_depth(q(text)) <= MAX_DEPTH
