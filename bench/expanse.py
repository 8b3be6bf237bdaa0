"""Many entities of one type, and what is asked of them, for `python -m bench scale`: all follows from how many there are."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from bench.stock import PAGE, ROOT, TYPE, Operation, entity_id

ALIKE: Final = 83
"""Entities that have the same level."""
WIDTH: Final = 1000
"""Columns of the grid that they stand on, a hundredth of a degree apart."""
TOWN: Final = 10
"""Columns and rows of a town."""


def entity(number: int, entities: int) -> dict[str, Any]:
    """An entity of five attributes and about 450 bytes; neighbours in id have nothing else in common."""
    place = _place(number, entities)
    longitude, latitude = 130 + place % WIDTH / 100, 30 + place // WIDTH / 100
    return {
        "id": entity_id(number),
        "type": TYPE,
        "name": {"type": "Property", "value": f"Measuring station {number:07}, on the left bank below the weir"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [longitude, latitude]}},
        "level": {"type": "Property", "value": number % levels(entities), "unitCode": "CMT"},
        "flow": {"type": "Property", "value": number * 7 % 1009 / 8, "observedAt": "2026-01-01T00:00:00Z"},
        "operator": {"type": "Relationship", "object": f"urn:ngsi-ld:Organization:{number % 20:03}"},
    }


def levels(entities: int) -> int:
    """How many levels there are."""
    return max(1, entities // ALIKE)


def _place(number: int, entities: int) -> int:
    return number * 7919 % entities


def operations(entities: int) -> dict[str, Operation]:
    """What is asked, by name."""
    of_type = f"/entities?type={TYPE}&limit={PAGE}"

    def ask(path: Callable[[int], str]) -> Callable[[int], bytes]:
        return lambda n: f"GET {ROOT}{path(n)} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()

    def level(n: int) -> int:
        return n * 7919 % levels(entities)

    def town(n: int) -> str:
        west = 130 + n * 37 % (WIDTH - TOWN) / 100 - 0.001
        rows = max(1, entities // WIDTH - TOWN)
        south = 30 + n * 101 % rows / 100 - 0.001
        east, north = west + TOWN / 100, south + TOWN / 100
        ring = f"[[[{west:.3f},{south:.3f}],[{east:.3f},{south:.3f}],[{east:.3f},{north:.3f}],[{west:.3f},{north:.3f}],"
        return quote(f"{ring}[{west:.3f},{south:.3f}]]]")

    def behind(number: int) -> str:
        return f"{of_type}&offset={number + 1}&after={entity_id(number)}"

    within = "&georel=within&geometry=Polygon&coordinates="
    given: dict[str, tuple[str, Callable[[int], str], int]] = {
        "first": ("first page of the type", lambda _: of_type, PAGE),
        "second": ("a page behind the first, by its link", lambda _: behind(PAGE - 1), PAGE),
        "last": ("the last page, by its link", lambda _: behind(entities - PAGE - 1), PAGE),
        "equal": (f"type and q equality, {ALIKE} match", lambda n: f"{of_type}&q=level=={level(n)}", PAGE),
        "range": (
            f"type and q range, {3 * ALIKE} match",
            lambda n: (
                f"{of_type}&q=level=={min(level(n), levels(entities) - 3)}..{min(level(n), levels(entities) - 3) + 2}"
            ),
            PAGE,
        ),
        "both": (
            f"type and two conditions, {ALIKE} match one, all the other",
            lambda n: f"{of_type}&q=level=={level(n)};flow>=0",
            PAGE,
        ),
        "town": ("geo within a town, 100 match", lambda n: f"{of_type}{within}{town(n)}", PAGE),
        "count": ("count of the type", lambda _: f"/entities?type={TYPE}&limit=0&count=true", 0),
        "count equal": (
            "count of a q equality",
            lambda n: f"/entities?type={TYPE}&limit=0&count=true&q=level=={level(n)}",
            0,
        ),
        "order": (
            f"ordered by another attribute, {ALIKE} match",
            lambda n: f"{of_type}&q=level=={level(n)}&orderBy=flow&local=true",
            PAGE,
        ),
    }
    return {key: Operation(name, ask(path), 200, found) for key, (name, path, found) in given.items()}
