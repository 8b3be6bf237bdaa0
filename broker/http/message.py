"""A request and a response as plain data, so that handlers know no web framework (design §9)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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


@dataclass(slots=True)
class Response:
    """One HTTP response; `headers` in the spelling in which they go out."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_body(payload: Any) -> bytes:
    """A payload as JSON text in UTF-8 (4.6.1)."""
    return orjson.dumps(payload)


def kept(response: Response) -> dict[str, Any]:
    """A response as it is put on record, in JSON; without its body where that is too large."""
    body = response.body.decode() if len(response.body) <= LARGEST_KEPT else None
    return {"status": response.status, "headers": dict(response.headers), "body": body}
