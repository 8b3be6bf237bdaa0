"""What both protocols come to: groups of readings, answers to commands, and the bounds on what a message may hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import Undecodable

MOST_BYTES: Final = 1 << 20
MOST_GROUPS: Final = 500
"""Groups in one message: each is a reading of the same entity, and they are written one after the other."""
MOST_READINGS: Final = 1000


class MalformedPayload(Undecodable):
    """The message is nothing that a device of this protocol sends; the text says where it is at fault."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One group: readings by the name that the device gives them, and its own time as written, empty if it has none.

    `shown` is the group as it was sent, for people. `fault` says why a group is none; it has no readings then.
    """

    readings: Mapping[str, Any]
    time: str = ""
    shown: Any = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What a device says became of a command."""

    command: str
    result: Any
    device: str = ""
