"""Content negotiation and the @context's place (6.3.4, 6.3.5, 6.3.6)."""

import pytest

from broker.errors import BadRequestData, InvalidRequest
from broker.http.negotiation import (
    GEO_JSON,
    JSON,
    JSON_LD,
    body_type,
    context_header,
    context_link,
    negotiate,
    preferred_version,
    prefers_plain_body,
)
from broker.http.problem import BareStatus, NotAcceptable

OFFERED = (JSON, JSON_LD, GEO_JSON)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/ld+json", JSON_LD),
        ("application/ld+json, application/json", JSON),
        ("application/ld+json, application/json;q=0.9", JSON_LD),
        ("application/geo+json", GEO_JSON),
        ("text/html, application/ld+json;q=0.1", JSON_LD),
        ("application/json;q=0, */*", JSON_LD),
        ("APPLICATION/LD+JSON", JSON_LD),
        ("application/json;q=zero, application/geo+json;q=0.2", JSON),
    ],
)
def test_6_3_4_the_most_preferred_media_type_is_chosen_in_the_order_of_the_list(accept, chosen):
    assert negotiate(accept, OFFERED) == chosen


def test_6_3_4_nothing_acceptable_is_406_and_lists_what_there_is():
    with pytest.raises(NotAcceptable) as raised:
        negotiate("text/turtle", (JSON, JSON_LD))
    assert raised.value.status == 406
    assert raised.value.problem()["available"] == [JSON, JSON_LD]


@pytest.mark.parametrize(
    ("content_type", "method", "expected"),
    [
        ("application/json", "POST", JSON),
        ("application/json; charset=utf-8", "POST", JSON),
        ("application/ld+json", "PATCH", JSON_LD),
        ("application/merge-patch+json", "PATCH", JSON),
    ],
)
def test_6_3_4_content_types_of_bodies(content_type, method, expected):
    assert body_type(content_type, method) == expected


@pytest.mark.parametrize(
    ("content_type", "method"),
    [("", "POST"), ("text/plain", "POST"), ("application/merge-patch+json", "POST"), ("application/geo+json", "PUT")],
)
def test_6_3_4_other_content_types_are_a_bare_415(content_type, method):
    with pytest.raises(BareStatus) as raised:
        body_type(content_type, method)
    assert raised.value.status == 415


def test_6_3_4_a_missing_content_type_is_an_invalid_request():
    with pytest.raises(InvalidRequest, match="Content-Type"):
        body_type(None, "POST")


def test_6_3_5_the_context_is_found_among_other_links():
    link = (
        '<https://example.org/a,b;c.jsonld>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json", '
        '<https://example.org/next>; rel="next"'
    )
    assert context_link(link) == "https://example.org/a,b;c.jsonld"
    assert context_link('<https://example.org/next>; rel="next"') is None
    assert context_link(None) is None


def test_6_3_5_a_link_without_quotes_and_with_spaces_is_read():
    assert context_link("<urn:x:y> ;type=application/ld+json; rel=http://www.w3.org/ns/json-ld#context") == "urn:x:y"


def test_6_3_5_two_contexts_in_one_link_are_refused():
    one = context_header("https://example.org/1")
    with pytest.raises(BadRequestData, match="more than one"):
        context_link(f"{one}, {context_header('https://example.org/2')}")


def test_6_3_6_what_is_sent_as_link_is_read_as_link():
    assert context_link(context_header("https://example.org/ctx.jsonld")) == "https://example.org/ctx.jsonld"


def test_6_3_6_prefer_body_json():
    assert prefers_plain_body("body=json")
    assert prefers_plain_body('respond-async, body="json"')
    assert prefers_plain_body("ngsi-ld=1.5,BODY = json; q")
    assert not prefers_plain_body("body=ld+json, body=json")
    assert not prefers_plain_body("body=ld+json")
    assert not prefers_plain_body(None)


@pytest.mark.parametrize(
    ("prefer", "version"),
    [
        ("ngsi-ld=1.5", (1, 5)),
        ('body=json, NGSI-LD = "1.5"; foo=bar', (1, 5)),
        ("ngsi-ld=1.5, ngsi-ld=1.3", (1, 5)),
        ("ngsi-ld", None),
        ("ngsi-ld=latest", None),
        ("ngsi-ld=1.5.1", None),
        ("ngsi-ldx=1.5", None),
        (None, None),
    ],
)
def test_6_3_6_prefer_a_version(prefer, version):
    assert preferred_version(prefer) == version
