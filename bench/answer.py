"""The first answer in what has come over a connection of HTTP/1.1, as fast as a load generator needs it."""

from typing import NamedTuple


class Answer(NamedTuple):
    """An answer: its status, its head in small letters, its body, and what came after it."""

    status: int
    head: bytes
    body: bytes
    rest: bytes


def first_answer(received: bytes) -> Answer | None:
    """The first answer, None where it is not there as a whole yet. Its length is that of its Content-Length, 0 without one."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(b"content-length:")
    whole = end + 4 + (int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0)
    if len(received) < whole:
        return None
    return Answer(int(head[9:12]), head, received[end + 4 : whole], received[whole:])
