"""Plain requests and answers as bytes: what most clients send, and what they get, without a server in between.

A request is plain if it lies there whole and asks nothing of the connection but to be answered. Whatever else a client can
mean, by a chunked body, `Expect`, `Upgrade`, another version or a wrong byte, is `STRANGE` here and left to aiohttp. Headers are
never parsed here, either: aiohttp's own parser says what they are, once for each text, since clients repeat theirs.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, TypeAlias

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, HttpVersion11

from broker import __version__
from broker.http.message import Response

SERVER: Final = f"tsunagu/{__version__}"

MOST_HEADS: Final = 512
"""Texts of headers that are remembered; together with `LONGEST_HEAD` the bound on what they take."""
LONGEST_HEAD: Final = 2_048

PART: Final = "part"
"""Of a request that may become a plain one, something is still to come."""
STRANGE: Final = "strange"
"""It is no plain request, or none at all."""

_LINE: Final = re.compile(rb'(GET|POST|PATCH|PUT|DELETE) (/ngsi-ld/v1/[!"$-~]*) HTTP/1\.1\r\n')
_FIELDS: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\0\r\n]*\r\n)+")
"""Lines that each are one header. Not what they are allowed to hold: that says the parser."""
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_WITH_BODY: Final = frozenset({b"POST", b"PATCH", b"PUT"})
_OF_THE_CONNECTION: Final = frozenset(
    {
        "transfer-encoding",
        "content-encoding",
        "expect",
        "upgrade",
        "te",
        "trailer",
        "proxy-connection",
        "http2-settings",
    }
)
"""Headers with which a request is never plain."""
_CONNECTION: Final = ("keep-alive", "close")
"""What `Connection` may say, where the connection stays, and where it does not."""
_ALONE: Final = frozenset({"host", "content-length", "connection"})
"""Those that may come once only."""

_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINES: Final = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\nServer: {SERVER}\r\n" for each in HTTPStatus
}
_BODYLESS: Final = frozenset({204, 304})


class Head(NamedTuple):
    """The headers of a plain request by lower-case name, how many bytes of a body they announce, and whether the client
    wants no more than this answer."""

    headers: Mapping[str, str]
    length: int | None
    closing: bool


class Plain(NamedTuple):
    """A plain request, and the `rest`: what came behind it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    closing: bool
    rest: bytes


Reading: TypeAlias = Plain | Literal["part", "strange"]


class Heads:
    """What aiohttp's parser makes of headers, those of the last requests from memory. To be made in the event loop."""

    def __init__(self, max_line: int, most: int = MOST_HEADS) -> None:
        self._max_line = max_line
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._nobody = BaseProtocol(self._loop)
        self._known: dict[bytes, Head | None] = {}

    def get(self, lines: bytes) -> Head | None:
        """The head of a plain request out of its lines, each with its end. None if they are no such head."""
        try:
            return self._known[lines]
        except KeyError:
            head = self._parsed(lines)
        if len(lines) <= LONGEST_HEAD:
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[lines] = head
        return head

    def _parsed(self, lines: bytes) -> Head | None:
        if _FIELDS.fullmatch(lines) is None:
            return None
        # A parser of its own: where a body is announced it goes on waiting for it.
        parser = HttpRequestParser(
            self._nobody,
            self._loop,
            LONGEST_HEAD,
            max_line_size=self._max_line,
            max_field_size=self._max_line,
            auto_decompress=False,
        )
        try:
            messages, upgraded, tail = parser.feed_data(b"POST / HTTP/1.1\r\n" + lines + b"\r\n")
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded or tail:
            return None
        message = messages[0][0]
        if message.version != HttpVersion11 or message.upgrade or message.chunked:
            return None
        headers: dict[str, str] = {}
        for name, value in message.headers.items():
            name = name.lower()
            if name in _OF_THE_CONNECTION or (name in _ALONE and name in headers) or not _is_unicode(value):
                return None
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        closing = message.should_close
        if "host" not in headers or headers.get("connection", "keep-alive").lower() != _CONNECTION[closing]:
            return None
        length = headers.get("content-length")
        if length is not None and _LENGTH.fullmatch(length) is None:
            return None
        return Head(headers, None if length is None else int(length), closing)


def _is_unicode(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def read_plain(data: bytes, heads: Heads, most: int) -> Reading:
    """The plain request that `data` begins with; `most` are the bytes that its body may have."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return PART
    line = _LINE.match(data)
    if line is None:
        return STRANGE
    head = heads.get(data[line.end() : end + 2])
    if head is None:
        return STRANGE
    method, target = line.groups()
    headers, length, closing = head
    begin = end + 4
    if method in _WITH_BODY:
        if length is None or length > most:
            return STRANGE
        if len(data) < begin + length:
            return PART
        body = data[begin : begin + length]
        return Plain(method.decode(), target.decode(), headers, body, closing, data[begin + length :])
    if length:
        return STRANGE
    return Plain(method.decode(), target.decode(), headers, b"", closing, data[begin:])


def answer_head(response: Response, *, closing: bool) -> bytes:
    """What goes out before an answer's body; `closing`: it is the last one on its connection.

    Raises ValueError for what cannot be a header.
    """
    if response.flow is not None:
        raise ValueError("a flow is no plain answer")
    lines = _STATUS_LINES[response.status]
    for name, value in response.headers.items():
        if not (value.isprintable() and name.isprintable()) and _FORBIDDEN.search(name + value) is not None:
            raise ValueError(f"the header {name!r} of an answer has control characters")
        lines += f"{name}: {value}\r\n"
    if response.status not in _BODYLESS:
        lines += f"Content-Length: {len(response.body)}\r\n"
    if closing:
        lines += "Connection: close\r\n"
    return f"{lines}Date: {_date()}\r\n\r\n".encode()


_dated: tuple[int, str] = (0, "")


def _date() -> str:
    """The time of an answer (RFC 9110, 6.6.1), made once a second."""
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = now, formatdate(now, usegmt=True)
    return _dated[1]
