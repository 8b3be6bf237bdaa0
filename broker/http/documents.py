"""Request bodies: bytes -> JSON, with bounds on nesting, and the rules on where their @context stands (6.3.4, 6.3.5)."""

from typing import Any, Final

import orjson

from broker.errors import BadRequestData, InvalidRequest

MAX_DEPTH: Final = 64
"""Nesting that a body may have: far beyond any real entity, far below what recursion could not bear."""

_OPENING: Final = (b"{", b"[")
_CONTAINERS: Final = (dict, list)


def parse_json(body: bytes) -> Any:
    """The JSON value of a body. Raises InvalidRequest for anything else (5.5.4), or for too deep a nesting."""
    if not body.strip():
        raise InvalidRequest("the request has no body")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    # Counting brackets costs nothing and clears nearly every body; only a suspicious one is walked.
    if sum(body.count(bracket) for bracket in _OPENING) > MAX_DEPTH:
        check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """InvalidRequest if a JSON value is nested deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, _CONTAINERS)
            for child in (parent.values() if type(parent) is dict else parent)
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return
    raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels")


def json_object(value: Any, what: str = "the body") -> dict[str, Any]:
    """The value, if it is a JSON object. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"{what} is not a JSON object")
    return value


def json_array(value: Any) -> list[Any]:
    """The value, if it is a JSON array with at least one element and no null (5.6.7.4). Raises BadRequestData."""
    if not isinstance(value, list):
        raise InvalidRequest("the body is not a JSON array")
    if not value:
        raise BadRequestData("the array in the body is empty")
    if any(element is None for element in value):
        raise BadRequestData("the array in the body contains null")
    return value
