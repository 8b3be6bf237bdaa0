"""What the bytes of a command are, declared and never programmed: the twin of `adapters.lorawan.codec`.

    open:
      port: 10
      parts:
        - {bytes: "ff 0b"}                                            as they are
        - {from: position, write: uint8, scale: 0.5, most: 100}       a number in the value: (number - offset) / scale
        - {from: mode, codes: {auto: "01", manual: "02"}}             one of some words, or true and false

Without `from`, it is the command's value itself. A number that the bytes cannot say exactly, or that is out of its bounds, is
refused: no device gets another number than the one that was asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from adapters.actuation.contract import Undeliverable
from adapters.errors import InvalidOptions
from adapters.lorawan.codec import NUMBERS

MOST_BYTES: Final = 242
"""What a LoRaWAN frame carries at most."""
_CLOSE: Final = 1e-6
_LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the bytes: `fixed` ones, or what the value has under `name`, said by a number or by one of `codes`."""

    fixed: bytes = b""
    name: str = ""
    write: str = ""
    scale: float = 1.0
    offset: float = 0.0
    least: float = -math.inf
    most: float = math.inf
    codes: Mapping[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """The bytes of one command, and the port that they go to."""

    port: int
    parts: tuple[Part, ...]
    confirmed: bool


def parse_encoding(document: Any) -> Encoding:
    """An encoding as it is declared. Raises InvalidOptions."""
    try:
        encoding = Encoding(
            int(document["port"]),
            tuple(_part(each) for each in document["parts"]),
            bool(document.get("confirmed", True)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidOptions(f"an encoding is not as docs/commands.md says: {type(error).__name__} {error}") from error
    if not 1 <= encoding.port <= 223:
        raise InvalidOptions(f"a port is from 1 to 223, and not {encoding.port}")
    if not encoding.parts:
        raise InvalidOptions("an encoding has at least one part")
    return encoding


def encode(encoding: Encoding, value: Any) -> bytes:
    """The bytes that say a value. Raises Undeliverable."""
    data = b"".join(_bytes(part, value) for part in encoding.parts)
    if len(data) > MOST_BYTES:
        raise Undeliverable(f"The command has {len(data)} bytes; a frame carries {MOST_BYTES}.")
    return data


def _part(document: Mapping[str, Any]) -> Part:
    known = {"bytes"} if "bytes" in document else {"from", "codes"} if "codes" in document else {
        "from", "write", "scale", "offset", "least", "most"
    }  # fmt: skip
    if unknown := set(document) - known:
        raise InvalidOptions(f"a part has no {min(unknown)!r} beside {', '.join(sorted(set(document) - unknown))}")
    if "bytes" in document:
        return Part(fixed=bytes.fromhex(document["bytes"]))
    name = str(document.get("from", ""))
    if "codes" in document:
        codes = {str(word): bytes.fromhex(text) for word, text in dict(document["codes"]).items()}
        return Part(name=name, codes=MappingProxyType(codes))
    if document["write"] not in NUMBERS:
        raise InvalidOptions(f"{document['write']!r} is no way to write a number; there are {', '.join(NUMBERS)}")
    scale = float(document.get("scale", 1.0))
    if not scale or not math.isfinite(scale):
        raise InvalidOptions("a scale is a number other than 0")
    return Part(
        name=name,
        write=document["write"],
        scale=scale,
        offset=float(document.get("offset", 0.0)),
        least=float(document.get("least", -math.inf)),
        most=float(document.get("most", math.inf)),
    )


def _bytes(part: Part, value: Any) -> bytes:
    if not part.name and not part.write and part.codes is None:
        return part.fixed
    said = value
    if part.name:
        if not isinstance(value, dict) or part.name not in value:
            raise Undeliverable(f"The value has no {part.name}.")
        said = value[part.name]
    what = part.name or "the value"
    if part.codes is not None:
        word = str(said).lower() if isinstance(said, bool) else said
        if not isinstance(word, str) or word not in part.codes:
            raise Undeliverable(f"{what} is none of {', '.join(part.codes)}.")
        return part.codes[word]
    if not isinstance(said, int | float) or isinstance(said, bool) or not -_LARGEST < said < _LARGEST:
        raise Undeliverable(f"{what} is no number.")
    if not part.least <= said <= part.most:
        raise Undeliverable(f"{what} is {said}, and not from {part.least:g} to {part.most:g}.")
    exact = (said - part.offset) / part.scale
    if not math.isfinite(exact) or abs(exact - round(exact)) > _CLOSE:
        raise Undeliverable(f"{what} is {said}, which cannot be said exactly in steps of {part.scale:g}.")
    size, order, signed = NUMBERS[part.write]
    try:
        return round(exact).to_bytes(size, "little" if order == "little" else "big", signed=signed)
    except OverflowError:
        raise Undeliverable(f"{what} is {said}, which does not fit into {part.write}.") from None
