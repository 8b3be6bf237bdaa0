"""What the bytes of a device mean, declared and never programmed: a codec is data, so that nobody's JavaScript runs here.

    layout: tagged                     each value has a channel and a type before it (Milesight and others)
    fields:
      - {tag: "01 75", name: battery, read: uint8}
      - {tag: "03 82", name: distance, read: uint16le}
    attributes:
      battery: {to: batteryLevel, scale: 0.01}
      distance: {to: measuredDistance, scale: 0.001}

With `layout: fixed`, a field has `at`, the place of its first byte, instead of a tag. What a network server has decoded
already (`object`, `decoded_payload`) goes by the same names, and needs `attributes` only.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import yaml

from adapters.errors import InvalidOptions

NUMBERS: Final[Mapping[str, tuple[int, str, bool]]] = MappingProxyType(
    {
        f"{'' if signed else 'u'}int{bits}{end}": (bits // 8, {"le": "little", "be": "big", "": "big"}[end], signed)
        for bits in (8, 16, 24, 32)
        for signed in (False, True)
        for end in (("",) if bits == 8 else ("le", "be"))
    }
)
"""What `read` may say: uint8, int8, uint16le, uint16be, …, int32be; with bytes, order and sign."""


class Field(NamedTuple):
    """A number in the bytes: under which name, at which place (fixed) or behind which tag (tagged), how to read it."""

    name: str
    read: str
    tag: bytes = b""
    at: int = 0


class Target(NamedTuple):
    """The attribute that a reading becomes: reading * scale + offset."""

    to: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Codec:
    """See the module."""

    layout: str
    fields: tuple[Field, ...]
    attributes: Mapping[str, Target]


class Payload(NamedTuple):
    """The readings of a payload by name, and the bytes behind them that the codec does not know."""

    readings: Mapping[str, int]
    rest: bytes


def parse_codec(document: Mapping[str, Any]) -> Codec:
    """A codec as it is declared. Raises InvalidOptions."""
    layout = document.get("layout", "tagged")
    if layout not in ("tagged", "fixed"):
        raise InvalidOptions(f"a codec's layout is tagged or fixed, and not {layout!r}")
    try:
        fields = tuple(_field(each, layout) for each in document.get("fields", ()))
        attributes = {
            name: Target(str(each["to"]), float(each.get("scale", 1.0)), float(each.get("offset", 0.0)))
            for name, each in dict(document.get("attributes", {})).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidOptions(f"the codec is not as docs/adapters.md says: {type(error).__name__} {error}") from error
    return Codec(layout, fields, MappingProxyType(attributes))


@functools.cache
def built_in_codecs() -> Mapping[str, Codec]:
    """The codecs that come with the package, by the name of the device's model."""
    text = resources.files("adapters.lorawan").joinpath("codecs.yaml").read_text("utf-8")
    return MappingProxyType({name: parse_codec(each) for name, each in yaml.safe_load(text).items()})


def read_payload(codec: Codec, data: bytes) -> Payload:
    """The readings in the bytes of an uplink."""
    return _read_fixed(codec, data) if codec.layout == "fixed" else _read_tagged(codec, data)


def attribute_values(codec: Codec, readings: Mapping[str, Any]) -> dict[str, float]:
    """The values by attribute of readings that are numbers and that the codec has a target for."""
    values = {}
    for name, target in codec.attributes.items():
        reading = readings.get(name)
        if isinstance(reading, int | float) and not isinstance(reading, bool) and math.isfinite(reading):
            values[target.to] = round(reading * target.scale + target.offset, 6)
    return values


def _field(document: Mapping[str, Any], layout: str) -> Field:
    if document["read"] not in NUMBERS:
        raise InvalidOptions(f"{document['read']!r} is no way to read a number; there are {', '.join(NUMBERS)}")
    if layout == "tagged":
        tag = bytes.fromhex(document["tag"])
        if len(tag) != 2:
            raise InvalidOptions(f"a tag has two bytes, channel and type, and not {document['tag']!r}")
        return Field(document["name"], document["read"], tag=tag)
    at = int(document["at"])
    if at < 0:
        raise InvalidOptions(f"a place in the bytes is 0 or more, and not {at}")
    return Field(document["name"], document["read"], at=at)


def _read_tagged(codec: Codec, data: bytes) -> Payload:
    known = {field.tag: field for field in codec.fields}
    readings: dict[str, int] = {}
    place = 0
    while place < len(data):
        field = known.get(data[place : place + 2])
        end = place + 2 + (NUMBERS[field.read][0] if field is not None else 0)
        if field is None or end > len(data):
            return Payload(readings, data[place:])
        readings[field.name] = _number(field, data[place + 2 : end])
        place = end
    return Payload(readings, b"")


def _read_fixed(codec: Codec, data: bytes) -> Payload:
    readings = {}
    for field in codec.fields:
        found = data[field.at : field.at + NUMBERS[field.read][0]]
        if len(found) == NUMBERS[field.read][0]:
            readings[field.name] = _number(field, found)
    return Payload(readings, b"")


def _number(field: Field, data: bytes) -> int:
    _, order, signed = NUMBERS[field.read]
    return int.from_bytes(data, "little" if order == "little" else "big", signed=signed)
