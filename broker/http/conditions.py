"""Conditional requests (RFC 9110, 13) on single entities: If-Match and If-None-Match read, ETag written. An extension.

A tag is strong. That of an answer with a body ends in a digest of the body and of the headers that tell how to read it, so
that each representation, @context, projection and join has a tag of its own, and a linked entity that is shown counts
too. That of an answer without a body stands for the state alone. A write takes either (`broker.model.preconditions`).
"""

import re
from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from broker.errors import BadRequestData, OperationNotSupported
from broker.http.message import Response
from broker.model.entity import Entity
from broker.model.preconditions import (
    NO_PRECONDITION,
    SEPARATOR,
    Condition,
    EntityTag,
    Precondition,
    state_tag,
)

IF_MATCH: Final = "If-Match"
IF_NONE_MATCH: Final = "If-None-Match"

_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\U0010ffff]*)"')
_BETWEEN: Final = re.compile(r"[ \t]*(?:,[ \t]*)+")
_EDGE: Final = " \t,"
_DIGEST_BYTES: Final = 9
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def precondition(headers: Mapping[str, str]) -> Precondition:
    """What a request asks of the entity's tag. Raises BadRequestData."""
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_match is None and if_none_match is None:
        return NO_PRECONDITION
    return Precondition(
        None if if_match is None else parse_condition(if_match, IF_MATCH),
        None if if_none_match is None else parse_condition(if_none_match, IF_NONE_MATCH),
    )


def parse_condition(text: str, header: str) -> Condition:
    """`*`, or tags in quotes with commas between them; empty elements do not count (5.6.1.2). Raises BadRequestData."""
    text = text.strip(_EDGE)
    if text == "*":
        return Condition(anything=True)
    tags: list[EntityTag] = []
    place = 0
    while (match := _TAG.match(text, place)) is not None:
        tags.append(EntityTag(match[2], weak=match[1] is not None))
        place = match.end()
        if place == len(text):
            return Condition(tuple(tags))
        if (between := _BETWEEN.match(text, place)) is None:
            break
        place = between.end()
    raise BadRequestData(
        f'{header}: neither * nor a list of entity tags in double quotes, such as "3.20260101": {text!r}'
    )


def refuse_conditions(headers: Mapping[str, str]) -> None:
    """A condition that cannot be kept is refused, never ignored: its sender relies on it. Raises OperationNotSupported."""
    for header in (IF_MATCH, IF_NONE_MATCH):
        if header.lower() in headers:
            raise OperationNotSupported(f"{header}: only single entities and their attributes have entity tags")


def with_tag(response: Response, entity: Entity | None) -> Response:
    """The answer to a write with the tag of the state that it left, where it left one."""
    if entity is not None:
        response.headers["ETag"] = f'"{state_tag(entity)}"'
    return response


def tag_shown(entity: Entity, response: Response) -> str:
    """The tag of an answer that shows this state of an entity."""
    headers = response.headers
    read = f"\n{headers.get('Content-Type')}\n{headers.get('Link')}\n{headers.get('Preference-Applied')}"
    shown = blake2b(response.body, digest_size=_DIGEST_BYTES)
    shown.update(read.encode())
    form = b2a_base64(shown.digest(), newline=False).translate(_URL_SAFE).decode()
    return f'"{state_tag(entity)}{SEPARATOR}{form}"'


def not_modified(condition: Condition, tag: str) -> bool:
    """Whether If-None-Match of a GET request names what would be shown: whoever asks has it already (13.1.2)."""
    return condition.anything or any(f'"{each.text}"' == tag for each in condition.tags)
