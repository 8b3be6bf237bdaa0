"""An input that is one JSON document, read within bounds on its size and depth."""

import math
from typing import Any, Final

import orjson

from adapters.errors import UnreadableFile

MOST_BYTES: Final = 64 * 2**20
MOST_DEEP: Final = 64
"""Arrays and objects within each other: what nests by hundreds could be read, but neither sent on nor put on record."""


def read_json(data: bytes, most_bytes: int = MOST_BYTES) -> Any:
    """The JSON value of an input. Raises UnreadableFile."""
    if len(data) > most_bytes:
        raise UnreadableFile(f"The message or file has {len(data):,} bytes; more than {most_bytes:,} are not read.")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UnreadableFile(f"The message or file is no JSON: {error}.") from error
    if _nests(document):
        raise UnreadableFile(f"The message or file nests more than {MOST_DEEP} arrays and objects within each other.")
    return document


def _nests(document: Any) -> bool:
    """Whether a value is deeper than is read. Level by level, as what is too deep has no place on the stack."""
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(MOST_DEEP):
        level = [
            each
            for outer in level
            for each in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(each, dict | list)
        ]
        if not level:
            return False
    return True


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number: neither a truth value nor without end."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
