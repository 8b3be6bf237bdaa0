"""Which pages may read streams and open WebSockets to them."""

import pytest

from broker.http.origins import Origins

MAP = "https://map.city.example"


@pytest.mark.parametrize(
    ("allowed", "origin", "named"),
    [
        ([], MAP, None),
        ([MAP], MAP, MAP),
        ([MAP], "https://MAP.city.example", "https://MAP.city.example"),
        ([MAP], "https://map.city.example.evil.example", None),
        ([MAP], "http://map.city.example", None),
        ([MAP], None, None),
        (["*"], "null", "null"),
    ],
)
def test_an_answer_names_the_origin_of_a_page_that_may_read_it(allowed, origin, named):
    headers = Origins(frozenset(allowed)).headers(origin)
    assert headers.get("Access-Control-Allow-Origin") == named
    assert ("Vary" in headers) == bool(allowed)  # a cache must not give one page the answer to another


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({"host": "broker:1026"}, True),
        ({"host": "broker:1026", "origin": "http://broker:1026"}, True),
        ({"host": "broker:1026", "origin": "https://city.example"}, True),
        ({"host": "broker:1026", "origin": MAP}, True),
        ({"host": "broker:1026", "origin": "http://broker:80"}, False),
        ({"host": "broker:1026", "origin": "https://evil.example"}, False),
        ({"host": "broker:1026", "origin": "null"}, False),
        ({"origin": "null"}, False),
        ({"host": "broker:1026", "origin": "http://["}, False),
    ],
)
def test_a_websocket_comes_from_no_page_or_from_one_that_may(headers, may):
    assert Origins(frozenset([MAP]), "https://city.example").may_connect(headers) is may
