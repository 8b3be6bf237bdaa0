"""Plain requests: what is taken for one is one to aiohttp's parser, too, and ends at the same byte."""

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.http.message import Flow, Response
from broker.http.wire import LONGEST_HEAD, MOST_HEADS, PART, STRANGE, Heads, Plain, answer_head, read_plain

GET = b"GET /ngsi-ld/v1/entities/urn:x:1?options=keyValues HTTP/1.1\r\n"
POST = b"POST /ngsi-ld/v1/entities HTTP/1.1\r\n"
HOST = b"Host: broker\r\n"


def reading(data: bytes, most: int = 100) -> Any:
    async def read() -> Any:
        return read_plain(data, Heads(65_536), most)

    return asyncio.run(read())


def test_a_request_without_a_body_is_plain() -> None:
    assert reading(GET + HOST + b"Accept: a/b\r\naccept: c/d\r\nX: \xe9\x83\xbd\r\n\r\nGET") == Plain(
        "GET",
        "/ngsi-ld/v1/entities/urn:x:1?options=keyValues",
        {"host": "broker", "accept": "a/b, c/d", "x": "都"},
        b"",
        False,
        b"GET",
    )


@pytest.mark.parametrize(("said", "closing"), [(b"close", True), (b"Keep-Alive", False)])
def test_a_plain_request_may_say_whether_its_connection_stays(said: bytes, closing: bool) -> None:
    assert reading(GET + HOST + b"Connection: " + said + b"\r\n\r\n").closing is closing


def test_a_request_with_a_body_is_plain_when_it_is_whole() -> None:
    data = POST + HOST + b"Content-Length: 2\r\n\r\n{}" + POST
    for length in range(len(data) - len(POST)):
        assert reading(data[:length]) == PART
    found = reading(data)
    assert (found.method, found.body, found.rest) == ("POST", b"{}", POST)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\r\n" + GET + HOST + b"\r\n",
        GET + b"\r\n",
        GET + b"Accept: a/b\r\n\r\n",
        GET + HOST + HOST + b"\r\n",
        GET.replace(b"1.1", b"1.0") + HOST + b"\r\n",
        GET.replace(b"GET", b"HEAD") + HOST + b"\r\n",
        GET.replace(b"GET", b"get") + HOST + b"\r\n",
        GET.replace(b"?", b"#") + HOST + b"\r\n",
        GET.replace(b"?", b"\xe4") + HOST + b"\r\n",
        GET.replace(b" /", b" http://broker/") + HOST + b"\r\n",
        GET.replace(b" HTTP", b"  HTTP") + HOST + b"\r\n",
        GET.replace(b"/ngsi-ld/v1/", b"/tsunagu/v1/stream/") + HOST + b"\r\n",
        GET + HOST + b"Connection: close, x\r\n\r\n",
        GET + HOST + b"Connection: keep-alive\r\nConnection: close\r\n\r\n",
        GET + HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        GET + HOST + b"Content-Length: 5\r\n\r\n",
        GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        GET + HOST + b" folded: line\r\n\r\n",
        GET + HOST + b"Accept : a/b\r\n\r\n",
        GET + HOST + b"Accept: a\0b\r\n\r\n",
        GET + HOST + b"Accept: a\nX: b\r\n\r\n",
        GET + HOST + b"Accept: a\rX: b\r\n\r\n",
        GET + HOST + b"Accept: \xff\r\n\r\n",
        GET + HOST + b"no colon\r\n\r\n",
        GET + HOST + b"X: y\r\n" * 200 + b"\r\n",
        POST + HOST + b"\r\n",
        POST + HOST + b"Content-Length: 101\r\n\r\n",
        POST + HOST + b"Content-Length: +5\r\n\r\nabcde",
        POST + HOST + b"Content-Length: -5\r\n\r\nabcde",
        POST + HOST + b"Content-Length: 5, 5\r\n\r\nabcde",
        POST + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
        POST + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        POST + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + HOST + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nabcde",
        POST + HOST + b"Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + HOST + b"Content-Length: 5\r\nContent-Encoding: gzip\r\n\r\nabcde",
        POST + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_whatever_could_be_read_in_two_ways_or_asks_for_more_is_not_plain(data: bytes) -> None:
    assert reading(data) == STRANGE


_LINES = st.sampled_from(
    [
        HOST,
        b"Content-Length: 0\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length:5 \r\n",
        b"Content-Length: 0x5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\tchunked\r\n",
        b"Transfer_Encoding: chunked\r\n",
        b"Accept: a/b\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: close\r\n",
        b"Connection:\r\n",
        b"X:\r\n",
        b"X: a\r\n\tb\r\n",
        b"X: y\n",
        b"\r\n",
    ]
)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    line = draw(st.sampled_from([GET, POST, GET.replace(b"GET", b"DELETE")]))
    data = line + HOST + b"".join(draw(st.lists(_LINES, max_size=5))) + b"\r\n" + draw(st.sampled_from([b"", b"abcde"]))
    data += draw(st.sampled_from([b"", GET + HOST + b"\r\n", b"0\r\n\r\n"]))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.binary(max_size=2)), max_size=2)):
        data = data[:place] + byte + data[place + 1 :]
    return data


async def _agree(data: bytes) -> None:
    found = read_plain(data, Heads(65_536), 100)
    if not isinstance(found, Plain):
        return
    loop = asyncio.get_running_loop()
    whole = data[: len(data) - len(found.rest)]
    for part in (whole, whole[:-1]):
        parser = HttpRequestParser(BaseProtocol(loop), loop, 65_536, max_line_size=65_536, max_field_size=65_536)
        try:
            messages, upgraded, tail = parser.feed_data(part)
        except HttpProcessingError as error:
            raise AssertionError(f"{data!r} is no request to aiohttp: {error}") from None
        if part is whole:
            ((message, payload),) = messages
            assert (upgraded, tail, message.method, message.path) == (False, b"", found.method, found.target)
            assert payload.is_eof() or payload._eof
            assert b"".join(payload._buffer if hasattr(payload, "_buffer") else ()) == found.body
        else:
            assert not messages or not messages[0][1]._eof, "it ends at the same byte"


def test_what_is_plain_is_the_same_request_to_aiohttp() -> None:
    with asyncio.Runner() as runner:

        @settings(max_examples=150, deadline=None)
        @given(_requests())
        @example(POST + HOST + b"Content-Length: 5\r\n\r\nabcde")
        @example(GET + HOST + b"Content-Length: 0\r\n\r\n")
        def agree(data: bytes) -> None:
            runner.run(_agree(data))

        agree()


async def test_heads_are_remembered_within_bounds() -> None:
    heads = Heads(65_536)
    first = heads.get(HOST)
    assert heads.get(HOST) is first
    long = HOST + b"X: " + b"y" * LONGEST_HEAD + b"\r\n"
    assert heads.get(long) is not heads.get(long)
    for number in range(MOST_HEADS + 1):
        heads.get(HOST + b"X: %d\r\n" % number)
    assert heads.get(HOST) is not first


def test_an_answer_says_how_long_it_is_where_it_may() -> None:
    head = answer_head(Response(200, {"X": "都"}, b"here"), closing=False)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    *lines, empty, end = head.split(b"\r\n")[1:]
    assert (empty, end) == (b"", b"")
    assert {b"Content-Length: 4", "X: 都".encode()} < set(lines)
    assert {line.partition(b":")[0] for line in lines} == {b"Server", b"X", b"Content-Length", b"Date"}
    assert b"Content-Length" not in answer_head(Response(204), closing=False)
    assert b"Content-Length" not in answer_head(Response(304, {"ETag": '"1"'}), closing=False)
    assert b"Content-Length: 0\r\n" in answer_head(Response(201), closing=False)
    assert b"Connection: close\r\n" in answer_head(Response(201), closing=True)


@pytest.mark.parametrize("evil", ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "a\x7f"])
def test_an_answer_cannot_be_split_by_what_stands_in_a_header(evil: str) -> None:
    for headers in ({"Location": evil}, {evil: "x"}):
        with pytest.raises(ValueError, match="header"):
            answer_head(Response(201, headers), closing=False)


async def test_a_flow_is_no_plain_answer() -> None:
    async def write(send: Any) -> None:
        raise NotImplementedError

    with pytest.raises(ValueError, match="flow"):
        answer_head(Response(200, flow=Flow(write, str.encode, lambda: None)), closing=False)
