"""Entity type selection (4.17) and scope queries (4.19)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_queries import BASE, SCOPES, ExampleNames, scope_queries

from broker.errors import BadRequestData, TooComplexQuery
from broker.query.ast import ScopePattern, ScopeQuery
from broker.query.evaluate import matches_scope, matches_types
from broker.query.scopes import parse_scope_query
from broker.query.selection import ANY_TYPE, parse_type_selection

NAMES = ExampleNames()
BUILDING, HOUSE, HOME, VEHICLE, MOTORHOME = (
    BASE + name for name in ("Building", "House", "Home", "Vehicle", "Motorhome")
)


def types(text: str) -> tuple[tuple[str, ...], ...]:
    return parse_type_selection(text, NAMES).alternatives


def test_4_17_examples() -> None:
    assert types("Building|House") == types("Building,House") == ((BUILDING,), (HOUSE,))
    assert types("(Home;Vehicle)") == ((HOME, VEHICLE),)
    assert types("(Home;Vehicle)|Motorhome") == types("(Home;Vehicle),Motorhome") == ((HOME, VEHICLE), (MOTORHOME,))


def test_4_17_parentheses_may_group_a_disjunction_too() -> None:
    assert types("(Home|House)") == types("Home|House")
    assert types("(Home|House);Vehicle") == types("(Home;Vehicle)|(House;Vehicle)")
    assert types("((Home))") == types("Home")


def test_4_17_too_many_alternatives_are_too_complex() -> None:
    with pytest.raises(TooComplexQuery):
        types(";".join(["(A|B)"] * 12))
    with pytest.raises(TooComplexQuery):
        types("(" * 30 + "A" + ")" * 30)


def test_4_17_a_bare_conjunction_and_blanks_are_tolerated() -> None:
    assert types("Home;Vehicle , Motorhome") == types("(Home;Vehicle),Motorhome")
    assert types("https://ngsi-ld-test-suite/context#Building") == (("https://ngsi-ld-test-suite/context#Building",),)


@pytest.mark.parametrize("text", ["", ",", "Building,", "(Home", "Home)", "()", "(Home|)", "((Home)", "(A)B", "A B"])
def test_4_17_errors_say_where(text: str) -> None:
    with pytest.raises(BadRequestData, match=r"^type: .* at character \d+$"):
        types(text)


def test_4_17_the_number_of_elements_is_bounded() -> None:
    with pytest.raises(TooComplexQuery):
        types(",".join(["A"] * 1001))


def test_5_2_33_an_asterisk_selects_all_types() -> None:
    assert parse_type_selection("*", NAMES) == ANY_TYPE
    assert matches_types(ANY_TYPE, [HOUSE])


def test_4_17_all_types_of_one_alternative() -> None:
    selection = parse_type_selection("(Home;Vehicle)|Motorhome", NAMES)
    assert matches_types(selection, [VEHICLE, HOUSE, HOME])
    assert matches_types(selection, [MOTORHOME])
    assert not matches_types(selection, [HOME])
    assert not matches_types(selection, [VEHICLE, HOUSE])


# --- scopes ----------------------------------------------------------------------------------------------------------


def in_scope(text: str, *scopes: str) -> bool:
    return matches_scope(parse_scope_query(text), scopes)


def test_4_19_example_1_exactly_this_scope() -> None:
    assert in_scope("/Madrid", "/Madrid")
    assert not in_scope("/Madrid", "/Madrid/Gardens")
    assert not in_scope("/Madrid", "/madrid")
    assert not in_scope("/Madrid")


def test_4_19_example_2_the_scope_and_all_below() -> None:
    for scope in (
        "/Madrid/Gardens",
        "/Madrid/Gardens/ParqueNorte",
        "/Madrid/Gardens/ParqueNorte/Parterre1",
        "/Madrid/Gardens/ParqueSur",
    ):
        assert in_scope("/Madrid/Gardens/#", scope)
    assert not in_scope("/Madrid/Gardens/#", "/Madrid")
    assert not in_scope("/Madrid/Gardens/#", "/Madrid/GardensOfEden")


def test_4_19_example_3_one_level() -> None:
    assert in_scope("/Madrid/+/ParqueNorte", "/Madrid/Gardens/ParqueNorte")
    assert in_scope("/Madrid/+/ParqueNorte", "/Madrid/Sights/ParqueNorte")
    assert not in_scope("/Madrid/+/ParqueNorte", "/Madrid/ParqueNorte")
    assert not in_scope("/Madrid/+/ParqueNorte", "/Madrid/a/b/ParqueNorte")
    assert in_scope("/+/#", "/Madrid", "/x")
    assert not in_scope("/+", "/Madrid/Gardens")


def test_4_19_example_4_and_5_conjunctions() -> None:
    assert in_scope("(/Madrid/Districts;/CompanyA)", "/CompanyA", "/Madrid/Districts")
    assert not in_scope("(/Madrid/Districts;/CompanyA)", "/CompanyA")
    for text in (
        "(/Madrid/Districts;/CompanyA)|CompanyB",
        "(/Madrid/Districts;/CompanyA),CompanyB",
        "/Madrid/Districts;/CompanyA|/CompanyB",
    ):
        assert in_scope(text, "/CompanyB")
        assert in_scope(text, "/CompanyA", "/Madrid/Districts")
        assert not in_scope(text, "/CompanyA")


def test_4_19_any_non_empty_scope() -> None:
    assert parse_scope_query("/#") == ScopeQuery(((ScopePattern((), subtree=True),),))
    assert in_scope("/#", "/anything")
    assert not in_scope("/#")


def test_4_18_the_leading_slash_is_optional() -> None:
    assert in_scope("/Madrid/#", "Madrid/Gardens")


@pytest.mark.parametrize(
    "text", ["", "/", "//a", "/a/", "/a//b", "/#/a", "/a#", "/1a", "/a/+b", "/a-b", "(/a|/b", "/a,"]
)
def test_4_19_errors_name_the_parameter(text: str) -> None:
    with pytest.raises(BadRequestData, match=r"^scopeQ: "):
        parse_scope_query(text)


def write(query: ScopeQuery) -> str:
    def scope(pattern: ScopePattern) -> str:
        return "/" + "/".join((*pattern.levels, *(["#"] if pattern.subtree else [])))

    return "|".join("(" + ";".join(map(scope, conjunction)) + ")" for conjunction in query.alternatives)


@given(scope_queries)
def test_4_19_what_is_written_is_read(query: ScopeQuery) -> None:
    assert parse_scope_query(write(query)) == query


@given(st.lists(st.sampled_from(SCOPES), unique=True))
def test_4_19_a_subtree_holds_its_root_and_what_starts_with_it(scopes: list[str]) -> None:
    below = any(f"/{scope.removeprefix('/')}/".startswith("/Madrid/") for scope in scopes)
    assert in_scope("/Madrid/#", *scopes) is below
