"""Regular expressions of clients (4.9, 5.2.33)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_queries import PATTERNS

from broker.errors import BadRequestData
from broker.query.patterns import MAX_LENGTH, compile_pattern, literal_prefix, pattern_test


def found(pattern: str, text: str) -> bool:
    return pattern_test(pattern)(text)


def test_a_pattern_is_searched_for() -> None:
    assert found("coll4233", "urn:ngsi-ld:Vehicle:coll4233A")
    assert found(".*downtown$", "urn:x:downtown")
    assert not found("^downtown", "urn:x:downtown")


def test_ieee_1003_2_dot_matches_any_character_and_anchors_the_whole_text() -> None:
    assert found("^a.b$", "a\nb")
    assert not found("^b$", "a\nb")


def test_case_counts_and_unicode_is_characters() -> None:
    assert not found("^red", "Red")
    assert found("^.$", "𝄞")
    assert found("[é-ü]", "ö")


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a{2,1}", "*", r"\1", "(?=a)", "a" * (MAX_LENGTH + 1), "((a{100}){100}){100}", "\ud800"]
)
def test_what_is_no_regular_expression_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(BadRequestData, match=r"^idPattern: "):
        compile_pattern(pattern, "idPattern")


def test_time_is_linear() -> None:
    started = time.perf_counter()
    assert not found("^(a+)+$", "a" * 50_000 + "b")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("^urn:ngsi-ld:Device:.*", "urn:ngsi-ld:Device:"),
        (r"^urn:a\.b$", "urn:a.b"),
        ("^abc?d", "ab"),
        ("^ab*", "a"),
        ("^ab+", "a"),
        ("^ab{0,3}", "a"),
        ("abc", ""),
        ("^a|b", ""),
        ("^(?i)a", ""),
        ("^[ab]c", ""),
        (r"^a\d", "a"),
        ("^a(b)", "a"),
        (r"^\Qa\E", ""),
        ("^名古", "名古"),
    ],
)
def test_literal_prefix(pattern: str, prefix: str) -> None:
    assert literal_prefix(pattern) == prefix


@given(
    st.one_of(st.sampled_from(PATTERNS), st.text(st.sampled_from("^ab.*+?\\d[]()$|{2}"), max_size=8).map("^".__add__)),
    st.text("ab.d2^", max_size=8),
)
def test_whatever_matches_begins_with_the_literal_prefix(pattern: str, text: str) -> None:
    try:
        test = pattern_test(pattern)
    except BadRequestData:
        return
    if test(text):
        assert text.startswith(literal_prefix(pattern))
