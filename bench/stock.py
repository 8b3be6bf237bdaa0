"""Entities of one type, and the operations on them that are measured: the same requests for the broker and for the raw floor.

All follows from how many entities there are, so that each answer can be checked.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

ROOT: Final = "/ngsi-ld/v1"
TYPE: Final = "Station"
ENTITIES: Final = 10_000
ALIKE: Final = 83
"""Entities that have the same level."""
BATCH: Final = 100
PAGE: Final = 20
LONG_PAGE: Final = 1_000
WIDTH: Final = 1_000
"""Columns of the grid that entities stand on, a hundredth of a degree apart."""
TOWN: Final = 10
"""Columns and rows of a town."""
HOT: Final = f"urn:ngsi-ld:{TYPE}:hot"
"""The entity that everybody writes, where everybody writes one: no other operation does."""
STEP: Final = 7919
"""A prime: goes from one entity to another in no order that a cache could like."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`request` makes the request with a number; `status` is what is expected, `found` how many entities in the answer,
    `changes` how many places in the change log a success takes."""

    name: str
    request: Callable[[int], bytes]
    status: int = 200
    found: int = 0
    changes: int = 0
    creates: bool = False


def entity_id(number: int) -> str:
    """The id of an entity."""
    return f"urn:ngsi-ld:{TYPE}:{number:07}"


def _request(method: str, path: str, payload: object = None) -> bytes:
    body = b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode()
    head = f"{method} {ROOT}{path} HTTP/1.1\r\nHost: bench\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _asking(path: Callable[[int], str]) -> Callable[[int], bytes]:
    return lambda number: _request("GET", path(number))


def _flow(value: float) -> dict[str, Any]:
    return {"type": "Property", "value": value, "unitCode": "MQS", "observedAt": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Stock:
    """So many entities."""

    entities: int = ENTITIES

    @property
    def levels(self) -> int:
        """Different values of the attribute that q asks for."""
        return max(1, self.entities // ALIKE)

    def entity(self, number: int, *, flow: float | None = None, level: int | None = None) -> dict[str, Any]:
        """An entity of five attributes and some 540 bytes; neighbours in id have nothing else in common."""
        place = number * STEP % self.entities
        longitude, latitude = 130 + place % WIDTH / 100, 30 + place // WIDTH / 100
        return {
            "id": entity_id(number),
            "type": TYPE,
            "name": {
                "type": "Property",
                "value": f"Measuring station {number:07}, on the left bank below the weir, beside the school,"
                " to be read every ten minutes, all day and all night",
            },
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [longitude, latitude]}},
            "level": {"type": "Property", "value": number % self.levels if level is None else level, "unitCode": "CMT"},
            "flow": _flow(number * 7 % 1009 / 8 if flow is None else flow),
            "operator": {"type": "Relationship", "object": f"urn:ngsi-ld:Organization:{number % 20:03}"},
        }

    def spread(self, number: int) -> str:
        """The id of an entity, another one for the next number."""
        return entity_id(number * STEP % self.entities)

    def batch(self, number: int) -> Iterator[int]:
        """The entities of a batch, others than those of the next ones."""
        return ((number * BATCH + each) % self.entities for each in range(BATCH))

    def town(self, number: int) -> str:
        """The ring around a town, in which 100 entities lie."""
        west = 130 + number * 37 % (WIDTH - TOWN) / 100 - 0.001
        rows = max(1, self.entities // WIDTH - TOWN)
        south = 30 + number * 101 % rows / 100 - 0.001
        east, north = west + TOWN / 100, south + TOWN / 100
        ring = f"[[[{west:.3f},{south:.3f}],[{east:.3f},{south:.3f}],[{east:.3f},{north:.3f}],[{west:.3f},{north:.3f}],"
        return quote(f"{ring}[{west:.3f},{south:.3f}]]]")

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Everything that is asked, by name."""
        return {**self._single(), **self._writes(), **self._queries()}

    def _single(self) -> Mapping[str, Operation]:
        return {"get": Operation("GET entity by id", lambda n: _request("GET", f"/entities/{self.spread(n)}"), 200, 1)}

    def _writes(self) -> Mapping[str, Operation]:
        # What is written is never what was there, nor what another operation writes: each write is a change.
        def patch(entity: str, flow: float) -> bytes:
            return _request("PATCH", f"/entities/{entity}/attrs", {"flow": _flow(flow)})

        def upsert(n: int) -> bytes:
            batch = [self.entity(each, flow=n + 0.02) for each in self.batch(n)]
            return _request("POST", "/entityOperations/upsert", batch)

        def update(n: int) -> bytes:
            batch = [{"id": entity_id(each), "type": TYPE, "flow": _flow(n + 0.03)} for each in self.batch(n)]
            return _request("POST", "/entityOperations/update", batch)

        return {
            "patch": Operation("PATCH one attribute", lambda n: patch(self.spread(n), n + 0.01), 204, changes=1),
            "post": Operation(
                "POST entity",
                lambda n: _request("POST", "/entities", self.entity(self.entities + n, level=-1)),
                201,
                changes=1,
                creates=True,
            ),
            "batch": Operation(f"batch upsert of {BATCH} existing", upsert, 204, changes=BATCH),
            "update": Operation(f"batch update of {BATCH}, one attribute each", update, 204, changes=BATCH),
            "hot": Operation("PATCH of one entity by all", lambda n: patch(HOT, n + 0.04), 204, changes=1),
        }

    def _queries(self) -> Mapping[str, Operation]:
        of_type = f"/entities?type={TYPE}&limit={PAGE}"

        def level(n: int) -> int:
            return n * STEP % self.levels

        def low(n: int) -> int:
            return min(level(n), max(0, self.levels - 3))

        def behind(number: int) -> str:
            return f"{of_type}&offset={number + 1}&after={entity_id(number)}"

        none = f"/entities?type={TYPE}&limit=0&count=true"
        within = "&georel=within&geometry=Polygon&coordinates="
        given: dict[str, tuple[str, Callable[[int], str], int]] = {
            "type": (f"GET type, limit={PAGE}", lambda _: of_type, PAGE),
            "q": (
                f"type and q equality, {ALIKE} of {self.entities:,} match, limit={PAGE}",
                lambda n: f"{of_type}&q=level=={level(n)}",
                PAGE,
            ),
            "attribute": (
                f"q equality without a type, {ALIKE} match, limit={PAGE}",
                lambda n: f"/entities?q=level=={level(n)}&limit={PAGE}&local=true",
                PAGE,
            ),
            "second": ("a page behind the first, by its link", lambda _: behind(PAGE - 1), PAGE),
            "last": ("the last page, by its link", lambda _: behind(self.entities - PAGE - 1), PAGE),
            "range": (
                f"type and q range, {3 * ALIKE} match",
                lambda n: f"{of_type}&q=level=={low(n)}..{low(n) + 2}",
                PAGE,
            ),
            "both": (
                f"type and two conditions, {ALIKE} match one, all the other",
                lambda n: f"{of_type}&q=level=={level(n)};flow>=0",
                PAGE,
            ),
            "town": ("geo within a town, 100 match", lambda n: f"{of_type}{within}{self.town(n)}", PAGE),
            "count": ("count of the type", lambda _: none, 0),
            "count equal": ("count of a q equality", lambda n: f"{none}&q=level=={level(n)}", 0),
            "order": (
                f"ordered by another attribute, {ALIKE} match",
                lambda n: f"{of_type}&q=level=={level(n)}&orderBy=flow&local=true",
                PAGE,
            ),
            "long page": (
                f"a page of {LONG_PAGE:,} entities",
                lambda n: f"/entities?type={TYPE}&limit={LONG_PAGE}",
                LONG_PAGE,
            ),
        }
        return {key: Operation(name, _asking(path), 200, found) for key, (name, path, found) in given.items()}
