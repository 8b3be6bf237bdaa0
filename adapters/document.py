"""An input that is one JSON document, read within a bound on its size."""

from typing import Any, Final

import orjson

from adapters.errors import UnreadableFile

MOST_BYTES: Final = 64 * 2**20


def read_json(data: bytes, most_bytes: int = MOST_BYTES) -> Any:
    """The JSON value of an input. Raises UnreadableFile."""
    if len(data) > most_bytes:
        raise UnreadableFile(f"The message or file has {len(data):,} bytes; more than {most_bytes:,} are not read.")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UnreadableFile(f"The message or file is no JSON: {error}.") from error
