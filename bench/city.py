"""A made-up city of measuring stations and its subscribers: who must hear of which write can be worked out, so each is checked.

Write number `serial` sets one attribute of one station to `value(serial)`, whose last decimals are the serial number. Of 20
subscriptions six are of people who follow one station, ten warn where a value exceeds a threshold or falls below one, and four
concern other attributes. Besides, there is a board for each kind of station, which shows all of it.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bench.stock import ROOT

WATCHED: Final = "no2"
OTHERS: Final = ("pm10", "pm25", "noise")


_LEVELS: Final = 997


def value(serial: int) -> float:
    """What a write sets: a level from 0 to 99.6, and the serial number behind it, from the third decimal on."""
    return round(serial * 7919 % _LEVELS / 10 + serial / 10**10, 10)


def serial_of(level: float) -> int:
    """The serial number of the write that set a value."""
    return round(level * 10**10) % 10**9


@dataclass(frozen=True, slots=True)
class City:
    """So many `stations`, of `kinds` kinds in turn, and `subscriptions` to `hosts` receivers in turn."""

    stations: int = 10_000
    kinds: int = 40
    subscriptions: int = 10_000
    hosts: int = 100
    patience: int = 10_000
    """Milliseconds that the broker waits for a receiver."""
    followed: bool = False
    """Each subscription follows a station of its own, and there are no others."""

    def station(self, number: int) -> str:
        """The id of a station."""
        return f"urn:ngsi-ld:{self.kind(number)}:{number:06}"

    def kind(self, number: int) -> str:
        """Its type."""
        return f"Station{number % self.kinds:03}"

    def entity(self, number: int) -> dict[str, Any]:
        """A station as it is at first: five attributes, about 540 bytes."""
        return {
            "id": self.station(number),
            "type": self.kind(number),
            "name": {"type": "Property", "value": f"Measuring station {number:06}"},
            "location": {
                "type": "GeoProperty",
                "value": {"type": "Point", "coordinates": [139 + number % 100 / 100, 35 + number // 100 % 100 / 100]},
            },
            WATCHED: {"type": "Property", "value": 50, "unitCode": "GQ", "observedAt": "2026-01-01T00:00:00Z"},
            "pm10": {"type": "Property", "value": number % 80, "unitCode": "GQ", "observedAt": "2026-01-01T00:00:00Z"},
            "operator": {"type": "Relationship", "object": f"urn:ngsi-ld:Organization:{number % 20:03}"},
        }

    def host_of(self, subscription: int) -> int:
        """The receiver of a subscription. Steps by a prime, so that each one has all sorts of them."""
        return subscription * 37 % self.hosts

    def subscription_id(self, number: int) -> str:
        """The id of a subscription."""
        return f"urn:ngsi-ld:Subscription:{number:06}"

    def documents(self, port: int) -> Iterator[dict[str, Any]]:
        """All subscriptions, for receivers at this port of 127.0.0.1, 127.0.0.2 and so on."""
        for number in range(self.subscriptions):
            document = self._wish(number)
            host = self.host_of(number)
            yield {
                "id": self.subscription_id(number),
                "type": "Subscription",
                **document,
                "notification": {
                    "endpoint": {"uri": f"http://{address(host)}:{port}/{number}", "timeout": self.patience},
                    "format": "simplified" if number % 3 == 0 else "normalized",
                    "attributes": [WATCHED],
                },
            }

    def _wish(self, number: int) -> dict[str, Any]:
        """What a subscription is about."""
        if self.followed:
            return {"entities": [{"id": self.station(number), "type": self.kind(number)}]}
        if number < self.kinds:
            return {"entities": [{"type": self.kind(number)}], "watchedAttributes": [WATCHED]}
        sort, kind = number % 20, self.kind(number // 20)
        if sort < 6:
            station = self._followed(number)
            return {"entities": [{"id": self.station(station), "type": self.kind(station)}]}
        if sort < 14:
            return {
                "entities": [{"type": kind}],
                "watchedAttributes": [WATCHED, "pm10"],
                "q": f"{WATCHED}>{self.threshold(number)}",
            }
        if sort < 16:
            q = f"{WATCHED}<{self.threshold(number)};{WATCHED}>=0"
            return {"entities": [{"type": kind}], "watchedAttributes": [WATCHED], "q": q}
        return {
            "entities": [{"type": kind}],
            "watchedAttributes": [OTHERS[number % 3]],
            "q": f"{OTHERS[number % 3]}>10",
        }

    def threshold(self, number: int) -> float:
        """The threshold of a subscription that warns: about one write in 60 is beyond it."""
        distance = (number * 37 % 323) / 100
        return round(distance if number % 20 >= 14 else 99.9 - distance, 2)

    def _followed(self, number: int) -> int:
        return number * 13 % self.stations

    def audience(self) -> "Audience":
        """Who has to hear of what."""
        audience = Audience(self)
        for number in range(self.subscriptions):
            sort = number % 20
            if self.followed:
                audience.followers[number] = [number]
            elif number < self.kinds:
                audience.boards.setdefault(number % self.kinds, []).append(number)
            elif sort < 6:
                audience.followers.setdefault(self._followed(number), []).append(number)
            elif sort < 16:
                side = audience.above if sort < 14 else audience.below
                side.setdefault(number // 20 % self.kinds, []).append((self.threshold(number), number))
        for side in (audience.above, audience.below):
            for thresholds in side.values():
                thresholds.sort()
        return audience


@dataclass(slots=True)
class Audience:
    """Subscriptions by what they are about: worked out from the city, not from the broker's own rules."""

    city: City
    boards: dict[int, list[int]] = field(default_factory=dict)
    followers: dict[int, list[int]] = field(default_factory=dict)
    above: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    below: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    def of(self, station: int, serial: int) -> list[int]:
        """The subscriptions that must hear of a write."""
        kind, level = station % self.city.kinds, value(serial)
        above, below = self.above.get(kind, []), self.below.get(kind, [])
        return [
            *self.boards.get(kind, ()),
            *self.followers.get(station, ()),
            *(number for _, number in above[: bisect_left(above, (level, -1))]),
            *(number for _, number in below[bisect_right(below, (level, self.city.subscriptions)) :]),
        ]


def address(host: int) -> str:
    """A loopback address of its own for each receiver, so that the broker takes them for different machines."""
    return f"127.0.{1 + host // 250}.{1 + host % 250}"


def patch(station: str, serial: int, host: str) -> bytes:
    """The request of a write (5.6.2), ready to be sent."""
    body = json.dumps({WATCHED: {"type": "Property", "value": value(serial), "unitCode": "GQ"}})
    return (
        f"PATCH {ROOT}/entities/{station}/attrs HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
