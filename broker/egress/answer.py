"""An HTTP/1.1 answer, read as its bytes come (RFC 9112). Pure: no sockets, no clock.

What counts is the status. Whatever is odd about the rest makes the connection one that is not used again, not the answer wrong.
"""

import re
from collections.abc import Callable
from typing import Final

from multidict import CIMultiDict

MOST_HEAD: Final = 16 * 1024
"""Bytes that status line and headers may have, each line of chunked coding, and all lines after the last chunk."""
MOST_INTERIM: Final = 32
"""Interim answers (1xx) that may come before the answer."""

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_BODILESS: Final = frozenset({204, 304})


class NotHttp(Exception):
    """What has come is no HTTP answer."""


class AnswerReader:
    """Reads one answer; `limit` is how much of its body is kept.

    `status` is 0 until the head is there; `ended` tells that all of it is. Then `reusable` tells whether the connection can carry
    another request. `begun`: at least one byte has come.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_interim",
        "_left",
        "_limit",
        "_parts",
        "_size",
        "_step",
        "_trailer",
        "begun",
        "ended",
        "headers",
        "reusable",
        "status",
    )

    def __init__(self, limit: int) -> None:
        self.begun = False
        self.ended = False
        self.reusable = True
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self._limit = limit
        self._buffer = b""
        self._at = 0  # what is before it has been read: many small pieces must not move the rest each time
        self._interim = 0
        self._trailer = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._left = 0
        # Functions and not bound methods: a reader that refers to itself is left to the garbage collector, one a notification.
        self._step: Callable[[AnswerReader], bool] = AnswerReader._read_head

    @property
    def body(self) -> bytes:
        """What has come of the body, up to the limit."""
        return b"".join(self._parts)[: self._limit]

    def feed(self, data: bytes) -> None:
        """More bytes have come. Raises NotHttp."""
        self.begun = True
        self._buffer = self._buffer + data if self._buffer else data
        while not self.ended and self._step(self):
            pass
        self._buffer = self._buffer[self._at :]
        self._at = 0
        if self.ended and self._buffer:
            self.reusable = False

    def feed_eof(self) -> bool:
        """The peer has closed; whether the answer is whole by that."""
        self.reusable = False
        if self.status and self._step is AnswerReader._read_to_the_end:
            self.ended = True
        return self.ended

    # each step says whether the next one can go on with what is in the buffer

    def _read_head(self) -> bool:
        end = _END_OF_HEAD.search(self._buffer, self._at)
        if end is None:
            begun = self._buffer[self._at : self._at + 7]
            if len(self._buffer) - self._at > MOST_HEAD or not b"HTTP/1.".startswith(begun):
                raise NotHttp("what came is no HTTP answer")
            return False
        lines = self._buffer[self._at : end.start()].split(b"\n")
        self._at = end.end()
        found = _STATUS.fullmatch(lines[0].rstrip(b"\r"))
        if found is None or found[2] == b"101":
            raise NotHttp("what came is no HTTP answer")
        status = int(found[2])
        if status < 200:  # an interim answer
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise NotHttp("interim answers came without end")
            return True
        self.status = status
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not name or name[:1].isspace() or name[-1:].isspace():
                self.reusable = False
                continue
            self.headers.add(name.decode("latin-1"), value.strip().decode("latin-1"))
        options = {option.strip().lower() for option in ",".join(self.headers.getall("Connection", ())).split(",")}
        if "close" in options or (found[1] == b"0" and "keep-alive" not in options):
            self.reusable = False
        self._frame()
        return True

    def _frame(self) -> None:
        """How the end of the body is known (RFC 9112, 6.3)."""
        coding = ",".join(self.headers.getall("Transfer-Encoding", ()))
        lengths = set(self.headers.getall("Content-Length", ()))
        if self.status in _BODILESS:
            self.ended = True
        elif coding:
            if lengths:
                self.reusable = False
            self._step = (
                AnswerReader._read_chunk_size if coding.strip().lower() == "chunked" else AnswerReader._read_to_the_end
            )
        elif len(lengths) == 1 and (length := lengths.pop()).isascii() and length.isdigit():
            digits = length.lstrip("0")
            self._left = int(digits[:18] or "0")  # a longer body than that never ends
            self.reusable = self.reusable and len(digits) <= 18
            self._step = AnswerReader._read_length
            self.ended = not self._left
        else:
            self._step = AnswerReader._read_to_the_end

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self.ended = True
            self.reusable = False

    def _take(self, most: int) -> bytes:
        data = self._buffer[self._at : self._at + most]
        self._at += len(data)
        return data

    def _read_length(self) -> bool:
        data = self._take(self._left)
        self._left -= len(data)
        self._keep(data)
        if not self._left:
            self.ended = True
        return False

    def _read_to_the_end(self) -> bool:
        self.reusable = False
        self._keep(self._take(len(self._buffer)))
        return False

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            if len(self._buffer) - self._at > MOST_HEAD:
                raise NotHttp("a line of the answer has no end")
            return None
        line = self._buffer[self._at : end].rstrip(b"\r")
        self._at = end + 1
        return line

    def _read_chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        digits = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", digits):
            self._step = AnswerReader._read_to_the_end
            return True
        self._left = int(digits, 16)
        self._step = AnswerReader._read_chunk if self._left else AnswerReader._read_trailer
        return True

    def _read_chunk(self) -> bool:
        data = self._take(self._left)
        self._left -= len(data)
        self._keep(data)
        if self._left:
            return False
        self._step = AnswerReader._read_end_of_chunk
        return True

    def _read_end_of_chunk(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._step = AnswerReader._read_to_the_end if line else AnswerReader._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._trailer += len(line) + 1
        if not line:
            self.ended = True
        elif self._trailer > MOST_HEAD:
            self.ended = True
            self.reusable = False
        return True
