"""Query parameters: declared, converted, refused by name (6.3.7, 6.3.10, 6.3.13, 6.3.20)."""

import pytest

from broker.errors import BadRequestData, InvalidRequest
from broker.http.documents import MAX_DEPTH, check_depth, json_array, parse_json
from broker.http.paging import MAX_BODY_BYTES, Paging, fewer, page_links, requested_page
from broker.http.parameters import Parameters

ALLOWED = frozenset({"limit", "offset", "count", "options", "format", "details", "attrs", "q", "after"})


def parameters(*query):
    return Parameters(query, ALLOWED)


def test_6_3_20_an_unknown_parameter_is_an_invalid_request_that_names_it():
    with pytest.raises(InvalidRequest, match="'limt'"):
        parameters(("limt", "1"))


def test_6_3_20_a_repeated_parameter_is_an_invalid_request():
    with pytest.raises(InvalidRequest, match="more than once"):
        parameters(("limit", "1"), ("limit", "2"))


def test_6_3_20_an_unsupported_option_is_an_invalid_request():
    with pytest.raises(InvalidRequest, match="options=fancy"):
        parameters(("options", "sysAttrs,fancy")).options(frozenset({"sysAttrs"}))


@pytest.mark.parametrize("value", ["-1", "1.5", "a", "", "٣", "9" * 30])
def test_6_3_10_limit_is_a_non_negative_integer(value):
    with pytest.raises(BadRequestData, match="limit"):
        requested_page(parameters(("limit", value)), default=20, maximum=1000)


def test_6_3_13_limit_zero_needs_count():
    with pytest.raises(BadRequestData, match="count=true"):
        requested_page(parameters(("limit", "0")), default=20, maximum=1000)
    page = requested_page(parameters(("limit", "0"), ("count", "true")), default=20, maximum=1000)
    assert page == Paging(0, 0, True)


def test_6_3_10_a_limit_above_the_maximum_is_lowered():
    assert requested_page(parameters(("limit", "5000")), default=20, maximum=1000).limit == 1000


def test_flags_are_true_or_false():
    assert parameters(("details", "true")).flag("details") is True
    with pytest.raises(BadRequestData, match="details"):
        parameters(("details", "yes")).flag("details")


def test_6_3_7_format_takes_precedence_over_options():
    query = parameters(("format", "concise"), ("options", "keyValues"))
    assert query.representation(frozenset({"keyValues"})) == "concise"
    assert parameters(("options", "keyValues")).representation(frozenset({"keyValues"})) == "simplified"
    with pytest.raises(InvalidRequest, match="format=fancy"):
        parameters(("format", "fancy")).representation(frozenset())


def test_5_5_9_links_repeat_the_parameters_in_alphabetical_order():
    query = [("type", "Building"), ("q", 'name=="東京"'), ("limit", "2"), ("offset", "4"), ("count", "true")]
    links = page_links("/ngsi-ld/v1/entities", query, Paging(2, 4, True), more=True, media_type="application/json")
    value = "name%3D%3D%22%E6%9D%B1%E4%BA%AC%22".replace("%3D%3D", "==")
    assert links == [
        f"</ngsi-ld/v1/entities?count=true&limit=2&offset=2&q={value}&type=Building>; "
        'rel="prev"; type="application/json"',
        f"</ngsi-ld/v1/entities?count=true&limit=2&offset=6&q={value}&type=Building>; "
        'rel="next"; type="application/json"',
    ]


def test_5_5_9_the_first_page_has_no_prev_and_the_last_no_next():
    page = Paging(10, 0, False)
    assert page_links("/p", [], page, more=False, media_type="application/json") == []
    only_next = page_links("/p", [], page, more=True, media_type="application/json")
    assert len(only_next) == 1
    assert 'rel="next"' in only_next[0]


def test_a_next_link_carries_the_key_to_seek_from():
    page = Paging(100, 100, False)
    (_, link) = page_links("/p", [], page, more=True, media_type="application/json", last_id="urn:a:1")
    assert "after=urn:a:1&limit=100&offset=200" in link
    (link,) = page_links("/p", [], Paging(2, 0, False), more=True, media_type="application/json", last_id="urn:a:1")
    assert "after" not in link


def test_5_5_9_1_a_page_that_was_cut_short_goes_on_behind_what_it_shows():
    page = Paging(100, 0, False)
    (link,) = page_links("/p", [], page, more=True, media_type="application/json", shown=40, last_id="urn:a:40")
    assert "after=urn:a:40&limit=100&offset=40" in link


def test_5_5_9_1_a_page_shows_as_many_elements_as_fit():
    assert fewer(100, MAX_BODY_BYTES) == 100
    assert fewer(100, 2 * MAX_BODY_BYTES) == 50
    assert fewer(100, MAX_BODY_BYTES + 1) == 99
    assert fewer(2, 1000 * MAX_BODY_BYTES) == 1
    assert fewer(1, 1000 * MAX_BODY_BYTES) == 1


def test_5_5_4_what_is_not_json_is_an_invalid_request():
    for body in (b"", b"  ", b"{", b"{'a':1}", b"\xff\xfe", b'{"a":NaN}', b'"\\ud800"'):
        with pytest.raises(InvalidRequest):
            parse_json(body)


def test_a_body_may_be_nested_up_to_the_bound_and_no_deeper():
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(InvalidRequest, match="nested deeper"):
        parse_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    wide = parse_json(b"[" + b",".join([b"[]"] * 1000) + b"]")
    check_depth(wide)
    assert len(wide) == 1000


def test_5_6_7_a_batch_is_an_array_without_nulls_and_not_empty():
    with pytest.raises(BadRequestData, match="empty"):
        json_array([])
    with pytest.raises(BadRequestData, match="null"):
        json_array([{}, None])
    with pytest.raises(InvalidRequest):
        json_array({})
