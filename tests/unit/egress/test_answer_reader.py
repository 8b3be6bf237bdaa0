"""HTTP answers, read as their bytes come (RFC 9112)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.egress.answer import MOST_HEAD, MOST_INTERIM, AnswerReader, NotHttp

LIMIT = 100


def read(*pieces: bytes, limit: int = LIMIT) -> AnswerReader:
    reader = AnswerReader(limit)
    for piece in pieces:
        reader.feed(piece)
    return reader


@pytest.mark.parametrize(
    ("answer", "status", "body", "reusable"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 204\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length:3 \r\n\r\nabc", 200, b"abc", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", 200, b"abc", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: Close\r\n\r\nabc", 200, b"abc", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", 200, b"abc", True),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: <y>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\na",
            201,
            b"a",
            True,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            200,
            b"abcde",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n", 200, b"a", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n",
            200,
            b"a",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", 200, b"a", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nodd line\r\n\r\na", 200, b"a", False),
        (b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"a" * 101, 200, b"a" * LIMIT, False),
    ],
)
def test_an_answer_is_the_same_however_it_comes(answer: bytes, status: int, body: bytes, reusable: bool) -> None:
    for reader in (read(answer), read(*(answer[place : place + 1] for place in range(len(answer))))):
        assert reader.ended
        assert (reader.status, reader.body) == (status, body)
    assert read(answer).reusable is reusable


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_chunks_come_out_as_they_went_in(chunks: list[bytes], data: st.DataObject) -> None:
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + coded
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=6)))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    reader = read(*pieces, limit=1000)
    assert reader.ended
    assert reader.reusable
    assert reader.body == b"".join(chunks)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_body_of_unknown_length_goes_on_to_the_end_of_the_connection(head: bytes) -> None:
    reader = read(head, b"abc")
    assert not reader.ended
    assert reader.status == 200
    assert reader.feed_eof()
    assert reader.ended
    assert not reader.reusable


def test_an_answer_that_breaks_off_has_its_status_and_no_whole_body() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123")
    assert not reader.feed_eof()
    assert (reader.status, reader.ended, reader.reusable) == (200, False, False)
    assert not read(b"HTTP/1.1 200").feed_eof()


@pytest.mark.parametrize(
    "noise",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x00",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MOST_HEAD,
    ],
)
def test_what_is_no_http_answer_is_refused(noise: bytes) -> None:
    with pytest.raises(NotHttp):
        read(noise)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"0\r\n\r\n"])),
        max_size=6,
    )
)
def test_no_bytes_upset_the_reader(pieces: list[bytes]) -> None:
    reader = AnswerReader(LIMIT)
    try:
        for piece in pieces:
            if not reader.ended:
                reader.feed(piece)
    except NotHttp:
        return
    reader.feed_eof()
    assert len(reader.body) <= LIMIT


@pytest.mark.parametrize("piece", [b"a: b\r\n", b"\0\n"])
def test_trailers_without_end_end_the_answer(piece: bytes) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", piece * MOST_HEAD)
    assert (reader.ended, reader.reusable, reader.body) == (True, False, b"a")


def test_interim_answers_without_end_are_no_answer() -> None:
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n" * MOST_INTERIM, b"HTTP/1.1 204\r\n\r\n").status == 204
    with pytest.raises(NotHttp, match="without end"):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * (MOST_INTERIM + 1))


def test_a_length_with_many_zeros_is_the_length_that_it_says() -> None:
    reader = AnswerReader(100)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 30 + b"3\r\n\r\nabc")
    assert (reader.ended, reader.reusable, reader.body) == (True, True, b"abc")
