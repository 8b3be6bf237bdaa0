"""A request and a response as plain data, so that handlers know no web framework (design §9)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson

LARGEST_KEPT: Final = 4 * 1024 * 1024
"""Bytes of a response's body that are put on record."""


@dataclass(slots=True)
class Request:
    """One HTTP request. `headers` has lower-case names; `query` keeps order and repetitions, already percent-decoded."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes = b""
    variables: Mapping[str, str] = field(default_factory=dict)


Send: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Gives the client a piece of a flow, and returns when there is room for the next one. Raises FlowEnded where it takes none."""


class FlowEnded(Exception):
    """The broker ends a flow; the text is the reason that the client is told."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A body without end: `write` sends piece after piece until it is cancelled or raises FlowEnded, `farewell` makes the last
    piece out of the reason for an end, and `close`, which is always called, gives back what the flow has taken.

    Each piece is a message of its own where the client asked for a WebSocket.
    """

    write: Callable[[Send], Awaitable[None]]
    farewell: Callable[[str], bytes]
    close: Callable[[], None]


@dataclass(slots=True)
class Response:
    """One HTTP response; `headers` in the spelling in which they go out. Status 101 with a flow is a WebSocket."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    flow: Flow | None = None


def json_body(payload: Any) -> bytes:
    """A payload as JSON text in UTF-8 (4.6.1)."""
    return orjson.dumps(payload)


def kept(response: Response) -> dict[str, Any]:
    """A response as it is put on record, in JSON; without its body where that is too large."""
    body = response.body.decode() if len(response.body) <= LARGEST_KEPT else None
    return {"status": response.status, "headers": dict(response.headers), "body": body}
