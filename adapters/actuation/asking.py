"""What a forwarded update asks for: commands with their values, keys and limits, read from what NGSI-LD clients write. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.actuation.problem import Refused

LONGEST_KEY: Final = 255
_DEFAULT: Final = "https://uri.etsi.org/ngsi-ld/default-context/"
_COMMAND_ID: Final = frozenset({"commandId", _DEFAULT + "commandId"})
_OTHER_VALUES: Final = frozenset({"object", "languageMap", "vocab", "json", "valueList", "objectList"})
_OF_ATTRIBUTES: Final = frozenset({"type", "value", "expiresAt", "datasetId", "observedAt"}) | _COMMAND_ID
"""An object with one of these is no value, but an attribute: a limit that was meant must not be taken for a part of a value."""
_NULL: Final = "urn:ngsi-ld:null"


@dataclass(frozen=True, slots=True)
class Asked:
    """One command that is asked for: by the attribute's name, with the client's key and the limit that it set, if it did."""

    name: str
    value: Any
    key: str | None = None
    expires_at: str | None = None


def asked_attributes(document: Mapping[str, Any], *, simplified: bool = False) -> list[Asked]:
    """The commands in an entity fragment (5.6.2, 5.6.17); `simplified`: of values alone. Raises Refused."""
    names = [name for name in document if name not in ("id", "type", "@context", "scope")]
    if not names:
        raise Refused(400, "the body has no attribute")
    if simplified:
        return [Asked(name, _value(name, document[name])) for name in names]
    return [asked_attribute(name, document[name]) for name in names]


def asked_attribute(name: str, attribute: Any, *, bare: bool = True) -> Asked:
    """The command that one attribute is: normalized or concise, or, if it may be `bare`, its value alone. Raises Refused."""
    if isinstance(attribute, dict) and not _OTHER_VALUES.isdisjoint(attribute):
        raise Refused(400, f"{name}: a command is a Property")
    if isinstance(attribute, list) and any(
        isinstance(each, dict) and each.get("type") == "Property" for each in attribute
    ):
        raise Refused(400, f"{name}: a command has no instances")
    if bare and (not isinstance(attribute, dict) or _OF_ATTRIBUTES.isdisjoint(attribute)):
        return Asked(name, _value(name, attribute))
    if not isinstance(attribute, dict):
        raise Refused(400, f"{name}: the body must be an object")
    if attribute.get("type", "Property") != "Property":
        raise Refused(400, f"{name}: a command is a Property")
    if "datasetId" in attribute:
        raise Refused(400, f"{name}.datasetId: a command has no instances")
    if "value" not in attribute:
        raise Refused(400, f"{name}.value: missing")
    keys = [attribute[member] for member in _COMMAND_ID if member in attribute]
    return Asked(name, _value(name, attribute["value"]), _key(name, keys[0]) if keys else None, _limit(name, attribute))


def _value(name: str, value: Any) -> Any:
    if value is None or value == _NULL:
        raise Refused(400, f"{name}: a command cannot be deleted, and has a value")
    return value


def _key(name: str, given: Any) -> str:
    key = given.get("value") if isinstance(given, dict) else given
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise Refused(400, f"{name}.commandId: must be a printable text of 1 to {LONGEST_KEY} characters")
    return key


def _limit(name: str, attribute: Mapping[str, Any]) -> str | None:
    given = attribute.get("expiresAt")
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            raise ValueError
        return instant_text(moment)
    except (ValueError, TypeError, OverflowError):
        raise Refused(400, f"{name}.expiresAt: is not a UTC instant") from None


def header_key(header: str | None) -> str | None:
    """The key in an Idempotency-Key header, with or without its quotes. Raises Refused."""
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return _key("Idempotency-Key", key)


def hops(via: str | None, own: tuple[str, ...]) -> list[str]:
    """The pseudonyms in a Via header, but for those that are one's own. What is no hop as it should be is another one's, too."""
    found = [hop.split() for hop in (via or "").split(",")]
    names = [hop[1] if len(hop) > 1 else hop[0] for hop in found if hop]
    return [name for name in names if name not in own]


def instant_text(moment: datetime) -> str:
    """A UTC instant to the millisecond, in the one form in which they can be compared as texts."""
    moment = moment.astimezone(UTC)
    if moment.year < 1000:
        raise ValueError("too early")
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def later(instant: str, seconds: float) -> str:
    """An instant that many seconds after another one."""
    moment = datetime.fromisoformat(instant)
    return instant_text(datetime.fromtimestamp(moment.timestamp() + seconds, UTC))
