"""What MongoDB keeps of JSON values and names is enough to tell them apart and to get them back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import creation, entity

from broker.errors import BadRequestData
from broker.store.mongo.commit import draft
from broker.store.mongo.encoding import (
    LARGE_BODY,
    check_size,
    decode_body,
    encode_body,
    escape_name,
    key_string,
    parse_key,
    starting_with,
)
from broker.store.protocol import Mutation

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def exact(value):
    """A JSON value's text tells 1 from 1.0, -0.0 from 0.0 and true from 1, as == does not."""
    return json.dumps(value)


@given(JSON)
def test_a_body_comes_back_exactly(value):
    assert exact(decode_body(encode_body(value))) == exact(value)


@pytest.mark.parametrize("value", [2**63, 2**64, -(2**63) - 1, 10**400, [1.0, 1, -0.0, 0, True, 1e300, 5e-324]])
def test_numbers_keep_value_and_type(value):
    assert exact(decode_body(encode_body(value))) == exact(value)


def test_a_large_body_is_compressed_and_comes_back():
    value = {"text": "a town's noise protocol " * (LARGE_BODY // 10)}
    body = encode_body(value)
    assert len(body) < LARGE_BODY
    assert decode_body(body) == value


def test_what_fits_into_no_document_is_refused_by_name():
    with pytest.raises(BadRequestData, match="urn:ngsi-ld:Large:1"):
        check_size("urn:ngsi-ld:Large:1", {"body": encode_body("a" * 2**20), "values": "b" * 16 * 2**20})
    check_size("urn:ngsi-ld:Large:1", {"body": encode_body("a" * 20 * 2**20)})


def unescape(field: str) -> str:
    """The inverse of escape_name: that there is one is what makes names distinct."""
    if field == "%":
        return ""
    for escaped, character in (("%24", "$"), ("%00", "\0"), ("%2E", "."), ("%25", "%")):
        field = field.replace(escaped, character)
    return field


@given(st.text(st.sampled_from("%$.\0024E5a:é")) | TEXT)
def test_every_name_makes_a_field_name_of_its_own_that_mongodb_takes(name):
    field = escape_name(name)
    assert unescape(field) == name
    assert field
    assert "." not in field
    assert "\0" not in field
    assert not field.startswith("$")
    assert "%o" not in field


@given(TEXT.filter(bool), TEXT, TEXT)
def test_the_bounds_of_a_prefix_hold_what_starts_with_it_and_nothing_else(prefix, rest, other):
    bounds = starting_with(prefix)
    for text in (prefix, prefix + rest, other):
        within = bounds["$gte"] <= text and ("$lt" not in bounds or text < bounds["$lt"])
        assert within is text.startswith(prefix)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")), TEXT)
def test_tenant_and_id_are_told_apart(tenant, entity_id):
    assert parse_key(key_string((tenant, entity_id))) == (tenant, entity_id)


def test_the_default_tenant_is_nobody_elses_prefix():
    assert not key_string(("a", "urn:x")).startswith(key_string(("", "")))


def test_what_is_kept_of_the_log_in_memory_counts_states_as_they_are_before_they_are_compressed() -> None:
    large = entity(1, "x" * 2_000_000)
    made = draft([Mutation(creation(large), 0)])
    assert len(made.records[0]["after"]) < 50_000
    assert made.sizes[0] > 2_000_000
