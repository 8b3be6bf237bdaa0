"""What a decoder has to know of a device to read its messages, as one text that is put on record with each message.

So what a message meant when it came is on record with it, and decoding it again gives the same whatever was provisioned since.
There is no key in it, and nothing that only commands need.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from adapters.errors import Undecodable


@dataclass(frozen=True, slots=True)
class Provision:
    """A device as its messages are read: its entity, and by the device's own names what its readings are.

    `attributes` are (name, type, metadata) by object_id, `static` (name, type, value, metadata). `zone` is that of times without
    one, `timestamp` False where the time of arrival is not to be taken for that of the measure, `explicit` True where readings
    that are not provisioned are left out.
    """

    entity_name: str
    entity_type: str
    scope: str
    attributes: Mapping[str, tuple[str, str, Mapping[str, Any]]]
    static: tuple[tuple[str, str, Any, Mapping[str, Any]], ...] = ()
    zone: str = ""
    timestamp: bool = True
    explicit: bool = False

    def as_text(self) -> str:
        """The text of it."""
        return orjson.dumps(
            [
                self.entity_name,
                self.entity_type,
                self.scope,
                dict(self.attributes),
                self.static,
                self.zone,
                self.timestamp,
                self.explicit,
            ]
        ).decode()


@lru_cache(maxsize=4096)
def read_provision(text: str) -> Provision:
    """What such a text says. Raises Undecodable."""
    try:
        name, kind, scope, attributes, static, zone, timestamp, explicit = orjson.loads(text)
        return Provision(
            name,
            kind,
            scope,
            {object_id: (each[0], each[1], each[2]) for object_id, each in attributes.items()},
            tuple((each[0], each[1], each[2], each[3]) for each in static),
            zone,
            timestamp,
            explicit,
        )
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise Undecodable("What is on record of the device cannot be read.") from error
